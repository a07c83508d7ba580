//! How fast text is masked, in MB/s: what logs look like, and the worst that a child could print.
//!
//!     cargo run --release --package redact --example throughput [MEGABYTES] [PART OF A NAME]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::fs;
use std::sync::LazyLock;
use std::time::Instant;

use redact::{Redactor, Secret};

const DSN: &str = "postgresql://hotdash:Hunter2%2FZ%40q%23x%25y%24@db.staging.hotdash.app:5432/hotdash_staging";
const KEY: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZSIsInJlZiI6InN0YWdpbmdyZWZhYmNkZWZnaGlqIiwicm9sZSI6InNlcnZpY2Vfcm9sZSIsImlhdCI6MTc2OTQyODgwMCwiZXhwIjoyMTEwNzA4ODAwfQ.gt54w-UWNK5--mt_GmfcsiyWmgJ3N_Ct1IDxT6bEANU";

/// Repeated until there is enough of it.
#[expect(clippy::too_many_lines, reason = "a table of inputs")]
fn blocks() -> Vec<(&'static str, String)> {
    let prose = [
        "Applying migration `20250101000000_init`",
        "Prisma schema loaded from prisma/schema.postgres.prisma.",
        "Datasource \"db\": PostgreSQL database \"hotdash_staging\", schema \"public\" at \"db.staging.hotdash.app:5432\"",
        "NOTICE:  relation \"facts\" already exists, skipping",
        "    at Object.<anonymous> (/app/node_modules/@prisma/client/runtime/library.js:123:45)",
        "2026-01-01 00:00:00.123 UTC [1234] LOG:  duration: 0.123 ms",
    ];
    let lines = |line: &dyn Fn(usize) -> String| (0..2000).map(line).collect::<String>();
    let every_escape = "%41 \\x41 &amp; '' \x1b[1m \0 Zm9vYmFyYmF6cXV1eGZvbw== x\n";
    let nested =
        |depth: usize| (0..depth).fold("\"a'%<".to_owned(), |text, _| text.replace('\\', "\\\\").replace('"', "\\\""));
    vec![
        ("plain: log", lines(&|at| format!("{} {at}\n", prose[at * 7 % 6]))),
        (
            "plain: JSON lines",
            lines(&|at| format!("{{\"level\": \"info\", \"at\": {at}, \"message\": {:?}}}\n", prose[at * 7 % 6])),
        ),
        ("plain: one endless line", lines(&|at| format!("{} ", prose[at * 7 % 6]))),
        ("plain: colours", lines(&|at| format!("\x1b[32m{}\x1b[0m {at}\n", prose[at * 7 % 6]))),
        ("plain: counts in JSON", lines(&|at| format!("{{\"public.ApiKey\": {at}, \"public.User\": 5}}\n"))),
        ("secret: URL in every line", lines(&|at| format!("{at} connecting to {DSN} now\n"))),
        ("secret: password in every line", lines(&|at| format!("{at} the password is Hunter2/Z@q#x%y$ now\n"))),
        ("secret: key in every line", lines(&|at| format!("{at} apikey: {KEY}\n"))),
        ("secret: NAME=value in every line", lines(&|at| format!("PGPASSWORD=Hunter{at}-x\n"))),
        (
            "secret: JSON in JSON in every line",
            lines(&|at| format!("{{\"m\":\"{{\\\"password\\\":\\\"Hunter{at}\\\",\\\"n\\\":1}}\"}}\n")),
        ),
        ("secret: colours in every line", lines(&|at| format!("\x1b[32m{at}\x1b[0m url \x1b[36m{DSN}\x1b[39m\n"))),
        ("secret: base64 in every line", lines(&|at| format!("{at} aG90ZGFzaDpIdW50ZXIyL1pAcSN4JXkk now\n"))),
        ("worst: %", "%".to_owned()),
        ("worst: %25", "%25".to_owned()),
        ("worst: %2525 lines", lines(&|_| "%25252525\n".to_owned())),
        ("worst: backslashes", "\\".to_owned()),
        ("worst: quotes", "'".to_owned()),
        ("worst: double quotes", "\"".to_owned()),
        ("worst: &amp;amp;", "&amp;amp;".to_owned()),
        ("worst: escape", "\x1b".to_owned()),
        ("worst: osc", "\x1b]".to_owned()),
        ("worst: csi", "\x1b[".to_owned()),
        ("worst: CR", "\r".to_owned()),
        ("worst: NUL", "\0".to_owned()),
        ("worst: newlines", "\n".to_owned()),
        ("worst: a", "a".to_owned()),
        ("worst: eyJ", "eyJa".to_owned()),
        ("worst: eyJ with dots", "eyJhbGciO.eyJa".to_owned()),
        ("worst: eyJ lines", "eyJhbGciOiJI.\n".to_owned()),
        ("worst: postgres://", "postgres://".to_owned()),
        ("worst: postgres://u:", "postgres://u:".to_owned()),
        ("worst: postgres://@", "postgres://@".to_owned()),
        ("worst: x://", "x://".to_owned()),
        ("worst: password", "password".to_owned()),
        ("worst: password=", "password=".to_owned()),
        ("worst: password=\"", "password=\"\\".to_owned()),
        ("worst: password=\\\"", "password=\\\"".to_owned()),
        ("worst: password: {", "password: { ".to_owned()),
        ("worst: password blanks", format!("password{}", " ".repeat(200))),
        ("worst: password ''", "password '''' ".to_owned()),
        ("worst: secret_key-", "secret_key-".to_owned()),
        ("worst: authorization", "authorization: bearer ".to_owned()),
        ("worst: bearer", "bearer a.".to_owned()),
        ("worst: :5432:", ":5432:a:b".to_owned()),
        ("worst: :5432", ":5432:".to_owned()),
        ("worst: BEGIN", "-----BEGIN ".to_owned()),
        ("worst: BEGIN PRIVATE KEY", "-----BEGIN PRIVATE KEY-----a".to_owned()),
        ("worst: md5", "md5a".to_owned()),
        ("worst: sb_secret_", "sb_secret_".to_owned()),
        ("worst: --token", "--token x".to_owned()),
        ("worst: identified by", "identified by '".to_owned()),
        ("worst: base64", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9w ".to_owned()),
        (
            "worst: base64 endless",
            "UVVKRFJFVkdSMGhKU2t0TVRVNVBVRkZTVTFSVlZsZFlXVnBoWW1Oa1pXWm5hR2xxYTJ4dGJtOXc".to_owned(),
        ),
        ("worst: hex endless", "35343438".to_owned()),
        ("worst: digits endless", "31".to_owned()),
        ("worst: hex dump", "48 75 6e 74 65 ".to_owned()),
        ("worst: number dump", "72,117,110,116,101,".to_owned()),
        ("worst: .pgpass without end", ":*:aa1B2-c3D4".to_owned()),
        ("worst: masks in values", "password=a[REDACTED postgres://u:a[REDACTED".to_owned()),
        ("worst: names in digits", "Zm9vYmFyYmF6cXV1eA===secretpassword".to_owned()),
        ("worst: names and NULs", "postgres://%5c\0eyJaeyJhbGciOi.eyJyb2xlIj.sig\\\x1b[1m".to_owned()),
        ("worst: every escape", every_escape.to_owned()),
        ("worst: every escape endless", every_escape.trim_end().to_owned()),
        ("worst: JSON nested", nested(4)),
        ("worst: nearly the password", "Hunter2/Z@q#x%y Hunter2%2FZ%40q%23x%25y".to_owned()),
        ("worst: nearly the key", KEY[60..200].to_owned()),
        ("worst: beginnings", "Hunter2 ".to_owned()),
        ("worst: one letter of the key", "gt54w-".to_owned()),
    ]
}

/// Of this thread, so that a busy machine does not show; where Linux does not say, of the clock.
fn cpu_seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let nanoseconds = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = nanoseconds.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| START.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let megabytes: usize = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(4);
    let wanted = arguments.next().unwrap_or_default();
    let secrets = [("DATABASE_URL", DSN), ("SUPABASE_SERVICE_KEY", KEY)];
    let redactor = Redactor::new(&secrets.map(|(name, value)| (name.to_owned(), Secret::new(value))), &[]);
    for (name, block) in blocks().into_iter().filter(|(name, _)| name.contains(&wanted)) {
        let text = block.repeat((megabytes << 20).div_ceil(block.len()));
        let text = &text.as_bytes()[..megabytes << 20];
        let rate = |text: &[u8]| {
            let started = cpu_seconds();
            let masked = redactor.bytes(text);
            (text.len() as f64 / 1e6 / (cpu_seconds() - started), masked.len())
        };
        let sample = rate(&text[..text.len().min(1 << 18)]);
        let (best, len) = if sample.0 < 2.0 {
            sample
        } else {
            (0..3).map(|_| rate(text)).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or(sample)
        };
        println!("{name:36} {best:8.1} MB/s  {len:9} bytes out");
    }
}
