use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use chores::shell;
use serde_json::json;
use xshell::cmd;

use super::xtask;

/// How fast, and in how much memory, `evidence redact` masks a log, beside `cat` and a `sed` that knows one literal secret
///
/// The budget is at least 300 MB/s, 20 MB/s of whatever a child may print, and at most 40 MiB resident whatever the size. Of the last lines each is
/// the slowest of random mixtures of what triggers rules, decoders and comparisons, 20 MB of each mixture. Every program reads from a pipe and writes to /dev/null; the best of
/// three runs counts, since other work on the machine only ever slows one down. CPU time stands beside the wall clock for machines that are not
/// idle.
#[derive(clap::Args)]
pub struct Options {
    #[arg(default_value_t = 300)]
    megabytes: usize,
    /// How many random mixtures are tried
    #[arg(long, default_value_t = 60)]
    mixtures: usize,
    /// Of the random mixtures
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const PASSWORD: &str = "Hunter2%2FZ%40q%23x%25y%24";
const DSN: &str = "postgresql://hotdash:Hunter2%2FZ%40q%23x%25y%24@db.staging.hotdash.app:5432/hotdash_staging";
const SERVICE_KEY: &str = "sb_secret_AbCdEfGhIjKlMnOpQrStUv_1a2b3c4d";

const PROSE: [&str; 6] = [
    "Applying migration `20250101000000_init`",
    "Prisma schema loaded from prisma/schema.postgres.prisma.",
    r#"Datasource "db": PostgreSQL database "hotdash_staging", schema "public" at "db.staging.hotdash.app:5432""#,
    r#"NOTICE:  relation "facts" already exists, skipping"#,
    "    at Object.<anonymous> (/app/node_modules/@prisma/client/runtime/library.js:123:45)",
    "2026-01-01 00:00:00.123 UTC [1234] LOG:  duration: 0.123 ms",
];

const ENDLESS: &str = "one endless line";

/// What a child could print to keep the rules, the decoders and the comparisons busy.
const HOSTILE: [&str; 6] = [
    "postgres://",
    "password=a[REDACTED ",
    ":*:aHunter2",
    "%41 \\x41 &amp; '' \u{1b}[1m \0 Zm9vYmFyYmF6cXV1eGZvbw== ",
    "Zm9vYmFyYmF6cXV1eA===secretpassword",
    "eyJhbGciOi.eyJa",
];

/// What rules, decoders and comparisons react to, and parts of the two secrets.
#[rustfmt::skip]
const TRIGGERS: [&str; 64] = [
    "x://", "resql://", "mysql://", "Postgres://u:", "postgres://u:a", "password", "passwd", "passphrase", "pwd=", "pwd:", "secret", "secret=", "apikey",
    "service_key", "private_key", "_token", "accesstoken", "\"pass\"", "_pass", "--password", "--token", "identified by", "identified by '", ":5432:",
    ":*:a", ":*:a:b:", "authorization", "authorization:", "bearer ", "eyJa", "eyJhbGciOi.eyJa", "sb_secret_", "sbp_", "shpat_", "ghp_", "npm_",
    "github_pat_", "SCRAM-SHA-256$", "md5a", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "Hunter2", "Hunter2/Z@q", "%2FZ%40q", "hotdash:", "x%y$",
    "sb_secret_AbCd", "AbCdEfGhIjKlMnOp", "%41", "%2541", "\\x41", "\\u0041", "&amp;", "''", "\u{1b}[1m", "\0", "Zm9vYmFyYmF6cXV1eGZvbw==", "48756e74657232",
    "48 75 6e 74 ", "72,117,110,", "[REDACTED ", "[REDACTED]", "\\", "=",
];

impl Options {
    pub fn run(&self) -> Result<()> {
        let shell = shell()?;
        let (xtask, folder) = (xtask(&shell)?.display().to_string(), shell.create_temp_dir()?);
        let env_file = folder.path().join("env.staging").display().to_string();
        shell.write_file(&env_file, format!("DATABASE_URL='{DSN}'\nSUPABASE_SERVICE_KEY={SERVICE_KEY}\n"))?;
        let masked = cmd!(shell, "{xtask} --root . evidence redact --env-file {env_file}").quiet();
        let masked = masked.stdin(format!("pw {DSN}\n")).read()?;
        ensure!(masked.contains("REDACTED") && !masked.contains(PASSWORD), "it masks nothing: {masked}");
        let redact = [&xtask, "--root", ".", "evidence", "redact", "--env-file", &env_file];
        let sed = ["sed", "-e", &format!("s#{PASSWORD}#[REDACTED]#g")];
        println!("{} MB each, best of 3", self.megabytes);
        println!(
            "{:20} {:>9} {:>11} {:>9} {:>10} {:>9}   redact/sed",
            "", "redact", "of its CPU", "peak", "cat", "sed"
        );
        let mut random = fastrand::Rng::with_seed(1);
        for kind in ["log", "log, 1 % secrets", "JSON lines", "every line a secret", "hostile", ENDLESS] {
            let block = block(kind, &mut random)?;
            let (ours, cat) = (self.measure(&redact, &block)?, self.measure(&["cat"], &block)?);
            print!("{kind:20} {ours} {:5.0} MB/s", cat.wall);
            if kind == ENDLESS {
                println!(); // sed would hold it in memory
            } else {
                let sed = self.measure(&sed, &block)?.wall;
                println!(" {sed:4.0} MB/s   {:.2} x", ours.wall / sed);
            }
        }
        self.mixtures(&redact)
    }

    /// Prints the three slowest.
    fn mixtures(&self, redact: &[&str]) -> Result<()> {
        const MEGABYTES: usize = 20;
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut speeds = Vec::new();
        for _ in 0..self.mixtures {
            let parts: Vec<&str> = (0..random.usize(1..10)).map(|_| TRIGGERS[random.usize(..TRIGGERS.len())]).collect();
            let (repeats, end) = ([1, 5, 100, 5000][random.usize(..4)], ["\n", "\r\n", ""][random.usize(..3)]);
            let block = (parts.concat().repeat(repeats) + end).repeat(100_000 / (parts.concat().len() * repeats) + 1);
            let speed = speed(redact, &block, (MEGABYTES * 1_000_000).div_ceil(block.len()))?;
            speeds.push((speed, format!("{:?} x {repeats} {end:?}", parts.concat())));
        }
        speeds.sort_by(|(one, _), (other, _)| one.cpu.total_cmp(&other.cpu));
        println!("the slowest of {} mixtures, {MEGABYTES} MB each (seed {})", self.mixtures, self.seed);
        speeds.iter().take(3).for_each(|(speed, what)| println!("{:20} {speed}   {what}", ""));
        Ok(())
    }

    /// The best of three runs, with the largest resident set of them.
    fn measure(&self, argv: &[&str], block: &str) -> Result<Speed> {
        let repeats = (self.megabytes * 1_000_000 / block.len()).max(1);
        let mut best = Speed::default();
        for _ in 0..3 {
            let speed = speed(argv, block, repeats)?;
            let peak = best.peak.max(speed.peak);
            best = Speed { peak, ..if speed.wall > best.wall { speed } else { best } };
        }
        Ok(best)
    }
}

fn block(kind: &str, random: &mut fastrand::Rng) -> Result<String> {
    let mut block = String::new();
    for at in 0..20_000 {
        let prose = PROSE[random.usize(..PROSE.len())];
        match kind {
            "JSON lines" => writeln!(block, "{}", json!({"level": "info", "at": at, "message": prose}))?,
            "every line a secret" => writeln!(block, "{at} connecting to {DSN} now")?,
            "log, 1 % secrets" if at % 100 == 0 => writeln!(block, "connecting to {DSN}")?,
            "hostile" => writeln!(block, "{}", HOSTILE[at % HOSTILE.len()].repeat(20))?,
            ENDLESS => write!(block, "{prose} ")?,
            _ => writeln!(block, "{prose} {at}")?,
        }
    }
    Ok(block)
}

#[derive(Default)]
struct Speed {
    /// MB/s.
    wall: f64,
    /// MB per second of CPU.
    cpu: f64,
    /// MiB.
    peak: f64,
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:4.0} MB/s {:6.0} MB/s {:5.1} MiB", self.wall, self.cpu, self.peak)
    }
}

fn speed(argv: &[&str], block: &str, repeats: usize) -> Result<Speed> {
    let (cpu_before, begun) = (children_cpu()?, Instant::now());
    let mut child = Command::new(argv[0]).args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut stdin = child.stdin.take().context("stdin was asked for")?;
    for _ in 0..repeats {
        stdin.write_all(block.as_bytes())?;
    }
    let peak = peak_mib(child.id()).context("it is still running")?;
    drop(stdin);
    ensure!(child.wait()?.success(), "`{}` failed", argv[0]);
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), children_cpu()? - cpu_before);
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let size = (repeats * block.len()) as f64 / 1e6;
    Ok(Speed { wall: size / seconds, cpu: size / cpu.max(1e-3), peak })
}

/// Seconds of CPU of all children that were waited for, as Linux counts them: in hundredths.
fn children_cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("the name stands in brackets")?;
    let ticks = fields.split_whitespace().skip(13).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

/// The largest resident set so far, None once the process has ended.
pub fn peak_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
