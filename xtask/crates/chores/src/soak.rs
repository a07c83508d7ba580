//! `cargo chore soak`: many drills in a row on one sandbox, and what each leaves: nothing may grow but what `sandbox prune` takes away.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use crate::bench::scratch::Scratch;

/// Drills in a row on one sandbox, and what grows: memory, open files, connections, databases, temporary files, disk
#[derive(clap::Args)]
pub struct Options {
    /// Drills
    #[arg(long, default_value_t = 200)]
    runs: usize,
}

const DRILL_TOML: &str = "[targets.staging]\nallow_hosts = [\"127.0.0.1\"]\nallow_databases = [\"*_test\"]\n";

/// How much more memory the last run may have than the second: what the system gives is not always the same.
const SPREAD: u64 = 10;

/// Runs and snapshots that stay at the end.
const KEPT: usize = 10;

const SERVER: &str = r#"
import pg from "pg"
const client = new pg.Client(process.env.SERVER)
await client.connect()
const { rows } = await client.query(`select
  (select count(*)::int from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()) as connections,
  (select count(*)::int from pg_database) as databases,
  (select sum(temp_files)::int from pg_stat_database) as temporary`)
console.log(rows[0].connections, rows[0].databases, rows[0].temporary)
await client.end()
"#;

/// After one run, or at its peak.
#[derive(Default, Clone, Copy)]
struct Measure {
    memory_kb: u64,
    open_files: u64,
    connections: u64,
    databases: u64,
    /// That the server wrote since it began to count.
    spilled: u64,
    temporary: u64,
    server_memory_kb: u64,
    server_files: u64,
    sandbox_kb: u64,
    kept_kb: u64,
    caches_kb: u64,
    ms: u64,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        let project = Scratch::new(DRILL_TOML)?;
        project.shell.create_dir("tmp")?;
        project.xtask().args(["sandbox", "up", "--quiet"]).run()?;
        let mut all = Vec::new();
        for run in 1..=self.runs {
            let measure = one(&project)?;
            println!("{run:>4}  {measure}");
            all.push(measure);
        }
        let (second, last) =
            (all.get(1).or(all.first()).context("a soak has a run")?, all.last().context("a soak has a run")?);
        project
            .xtask()
            .args(["sandbox", "prune", "--keep", &KEPT.to_string(), "--confirm", "--quiet"])
            .ignore_stdout()
            .run()?;
        let pruned = disk(&project)?;
        print!("{}", table(second, last, pruned.kept_kb, self.runs));
        check(second, last)?;
        let tenth = all.get(KEPT - 1).unwrap_or(last);
        let bound = tenth.kept_kb + tenth.kept_kb / 4;
        ensure!(pruned.kept_kb <= bound, "`sandbox prune` leaves {} KB, and {KEPT} runs need {bound}", pruned.kept_kb);
        project.xtask().args(["evidence", "verify", "--sandbox", "--quiet"]).ignore_stdout().run()?;
        Ok(())
    }
}

/// One drill, watched while it runs.
fn one(project: &Scratch) -> Result<Measure> {
    let begun = Instant::now();
    let mut drill = Command::new(project.path("xtask"))
        .arg("--root")
        .arg(project.path(""))
        .args(["drill", "--sandbox", "--accept-data-loss", "--quiet"])
        .current_dir(project.path(""))
        .env("TMPDIR", project.path("tmp"))
        .stdout(Stdio::null())
        .spawn()?;
    let (memory_kb, open_files) = watch(&mut drill)?;
    let ms = u64::try_from(begun.elapsed().as_millis())?;
    ensure!(drill.wait()?.success(), "a drill failed");
    let shell = &project.shell;
    let url = project.sandbox_url()?;
    let said = cmd!(shell, "node --input-type=module --eval {SERVER}").quiet().env("SERVER", url).read()?;
    let numbers: Vec<u64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [connections, databases, spilled] = numbers[..] else { anyhow::bail!("{said}") };
    let temporary = fs::read_dir(project.path("tmp"))?.count() as u64;
    let server = server(project)?;
    let proc = Path::new("/proc").join(&server);
    let measure = disk(project)?;
    Ok(Measure {
        memory_kb,
        open_files,
        connections,
        databases,
        spilled,
        temporary,
        server_memory_kb: field(&proc, "VmRSS:"),
        server_files: fs::read_dir(proc.join("fd")).map_or(0, |files| files.count() as u64),
        ms,
        ..measure
    })
}

/// The most memory and open files that it ever had.
fn watch(drill: &mut Child) -> Result<(u64, u64)> {
    let proc = Path::new("/proc").join(drill.id().to_string());
    let (mut memory, mut files) = (0, 0);
    while drill.try_wait()?.is_none() {
        memory = memory.max(field(&proc, "VmHWM:"));
        files = files.max(fs::read_dir(proc.join("fd")).map_or(0, |files| files.count() as u64));
        thread::sleep(Duration::from_millis(5));
    }
    Ok((memory, files))
}

/// In KB; 0 of a process that is gone.
fn field(proc: &Path, name: &str) -> u64 {
    let status = fs::read_to_string(proc.join("status")).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or_default()
}

fn server(project: &Scratch) -> Result<String> {
    let said = project.xtask().args(["sandbox", "status", "--json"]).read()?;
    let json: serde_json::Value = serde_json::from_str(&said)?;
    Ok(json["sandbox"]["pid"].to_string())
}

fn disk(project: &Scratch) -> Result<Measure> {
    let size = |folders: &[&str]| -> Result<u64> {
        let there = folders.iter().map(|folder| project.path(&format!(".drill/{folder}"))).filter(|path| path.exists());
        let there: Vec<_> = there.collect();
        if there.is_empty() {
            return Ok(0);
        }
        let shell = &project.shell;
        let said = cmd!(shell, "du -sk {there...}").quiet().read()?;
        said.lines().map(|line| Ok(line.split_whitespace().next().context("du names a size")?.parse::<u64>()?)).sum()
    };
    let caches = ["catalogs", "clients", "down", "impacts", "rehearsals", "schemas", "values"];
    Ok(Measure {
        sandbox_kb: size(&["sandbox"])?,
        kept_kb: size(&["evidence", "snapshots"])?,
        caches_kb: size(&caches)?,
        ..Measure::default()
    })
}

impl Measure {
    /// What may not grow, with its name.
    fn steady(&self) -> [(&'static str, u64); 7] {
        [
            ("open files, at most", self.open_files),
            ("connections left", self.connections),
            ("databases", self.databases),
            ("temporary files of the server", self.spilled),
            ("files in `TMPDIR`", self.temporary),
            ("open files of the server", self.server_files),
            ("caches in `.drill`, KB", self.caches_kb),
        ]
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms, memory {} KB, server {} KB", self.ms, self.memory_kb, self.server_memory_kb)?;
        self.steady().iter().try_for_each(|(name, value)| write!(f, ", {name}: {value}"))?;
        write!(f, ", cluster {} KB, kept {} KB", self.sandbox_kb, self.kept_kb)
    }
}

/// As docs/reliability.md has it.
fn table(second: &Measure, last: &Measure, pruned_kb: u64, runs: usize) -> String {
    let mut rows = vec![
        ("memory of a drill, at most, KB", second.memory_kb, last.memory_kb),
        ("memory of the server's first process, KB", second.server_memory_kb, last.server_memory_kb),
    ];
    rows.extend(second.steady().into_iter().zip(last.steady()).map(|((name, one), (_, other))| (name, one, other)));
    rows.push(("cluster on disk, KB", second.sandbox_kb, last.sandbox_kb));
    rows.push(("runs and snapshots, KB", second.kept_kb, last.kept_kb));
    let lines = rows.iter().map(|(name, second, last)| format!("| {name} | {second} | {last} |\n"));
    let head = format!("| | run 2 | run {runs} |\n|---|---:|---:|\n");
    format!(
        "{head}{}\nafter `sandbox prune --keep {KEPT}`: {pruned_kb} KB of runs and snapshots\n",
        lines.collect::<String>()
    )
}

fn check(second: &Measure, last: &Measure) -> Result<()> {
    for ((name, then), (_, now)) in second.steady().into_iter().zip(last.steady()) {
        ensure!(now <= then, "{name}: {then} after the second run, {now} after the last");
    }
    for (name, then, now) in [
        ("memory of a drill", second.memory_kb, last.memory_kb),
        ("memory of the server", second.server_memory_kb, last.server_memory_kb),
    ] {
        ensure!(now <= then + then / SPREAD, "{name}: {then} KB in the second run, {now} in the last");
    }
    Ok(())
}
