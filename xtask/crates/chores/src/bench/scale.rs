use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use xshell::cmd;

use super::redaction::peak_mib;
use super::scratch::Scratch;
use super::silently;

/// How time and memory grow: each command at a quarter, half and the whole of a size, with the peak memory of the drill's own process
///
/// Linear growth doubles a column from line to line; memory should stay as it is, below 64 MiB. What runs is one command each, as a user types
/// it, on a sandbox of its own. All of it takes some twenty minutes and 20 GB of disk. Needs psql.
#[derive(clap::Args)]
pub struct Options {
    /// Which, if not all
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Divides every size, for a first look
    #[arg(long, default_value_t = 1)]
    divide: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// 10 million rows a side: forward with nothing pending, parity, reset, restore
    Rows,
    /// 1,000 tables: forward, and again with nothing pending
    Tables,
    /// 500 migrations: forward, backward, drill --each
    Migrations,
    /// 1 GB that a program prints
    Output,
    /// A migration of 100 MB
    Script,
    /// A migration of 100,000 statements, of a row each
    Statements,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        let all = Part::value_variants();
        for part in all.iter().filter(|part| self.parts.is_empty() || self.parts.contains(part)) {
            let (whole, unit, measure): (usize, _, fn(usize) -> Result<()>) = match part {
                Part::Rows => (10_000_000, "rows a side", rows),
                Part::Tables => (1_000, "tables", tables),
                Part::Migrations => (500, "migrations", migrations),
                Part::Output => (1_000, "MB printed", output),
                Part::Script => (100, "MB of SQL", script),
                Part::Statements => (100_000, "statements", statements),
            };
            for size in [4, 2, 1].map(|share| whole / share / self.divide) {
                println!("{size} {unit}");
                measure(size)?;
            }
        }
        Ok(())
    }
}

fn rows(size: usize) -> Result<()> {
    let project = Scratch::new("[timeouts]\nquery = 600\ncount = 600\n")?;
    for command in [&["forward"][..], &["mirror"], &["sandbox", "seed", "--rows", "100000"]] {
        silently(project.xtask().args(["--sandbox", "--quiet"]).args(command))?;
    }
    let (url, rows) = (project.sandbox_url()?, format!("rows={size}"));
    let psql = cmd!(project.shell, "psql -qAtX -v ON_ERROR_STOP=1 {url} -v {rows}").quiet();
    psql.stdin(include_str!("parity.sql")).ignore_stdout().run()?;
    // `forward` would call it drift.
    let reset =
        "alter table \"DashboardFact\" reset (autovacuum_enabled); alter table facts reset (autovacuum_enabled)";
    cmd!(project.shell, "psql -qAtX -v ON_ERROR_STOP=1 {url} -c {reset}").quiet().run()?;
    for command in [&["forward"][..], &["parity"], &["reset", "--confirm"], &["restore", "--confirm"]] {
        measured(&project, command)?;
    }
    Ok(())
}

/// One migration makes them, each with a key, an index and a default.
fn tables(size: usize) -> Result<()> {
    let mut sql = String::new();
    for number in 0..size {
        writeln!(
            sql,
            "CREATE TABLE \"t{number}\" (\"id\" SERIAL PRIMARY KEY, \"a\" TEXT NOT NULL, \"b\" INTEGER DEFAULT 1);"
        )?;
        writeln!(sql, "CREATE INDEX \"t{number}_a_idx\" ON \"t{number}\" (\"a\");")?;
    }
    let project = with_migrations("", [("0001_tables".to_owned(), sql)])?;
    measured(&project, &["forward"])?;
    measured(&project, &["forward"])
}

fn migrations(size: usize) -> Result<()> {
    let project = with_migrations("[timeouts]\nmigrate = 3600\n", super::backward::history(size))?;
    measured(&project, &["forward"])?;
    measured(&project, &["backward", "--steps", &size.to_string()])?;
    measured(&project, &["drill", "--each"])
}

/// In place of the program that reads every model.
fn output(size: usize) -> Result<()> {
    let project = Scratch::new("[timeouts]\nsmoke = 3600\n")?;
    let noise = format!(
        "const line = 'x'.repeat(99) + '\\n', chunk = line.repeat(10_000)\n\
         for (let megabyte = 0; megabyte < {size}; megabyte++)\n  \
         if (!process.stdout.write(chunk)) await new Promise(done => process.stdout.once('drain', done))\n"
    );
    project.shell.write_file("prisma/smoke.mjs", noise)?;
    measured(&project, &["forward", "--smoke"])
}

/// Rows as a data migration inserts them, a thousand a statement.
fn script(size: usize) -> Result<()> {
    let mut sql = "CREATE TABLE \"t\" (\"id\" INTEGER, \"a\" TEXT);\n".to_owned();
    let value = "x".repeat(80);
    let mut row = 0;
    while sql.len() < size * 1_000_000 {
        sql.push_str("INSERT INTO \"t\" VALUES");
        for within in 0..1_000 {
            write!(sql, "{}({row}, '{value}')", if within == 0 { ' ' } else { ',' })?;
            row += 1;
        }
        sql.push_str(";\n");
    }
    let project = with_migrations("[timeouts]\nmigrate = 3600\nquery = 3600\n", [("0001_rows".to_owned(), sql)])?;
    measured(&project, &["forward"])
}

/// As a dump inserts rows, with words that other statements have, too.
fn statements(size: usize) -> Result<()> {
    let mut sql = "CREATE TABLE \"t\" (\"id\" INTEGER PRIMARY KEY, \"a\" TEXT);\n".to_owned();
    for row in 0..size {
        writeln!(sql, "INSERT INTO \"t\" VALUES ({row}, 'the user of table {row}, from view to type');")?;
    }
    let project = with_migrations("[timeouts]\nmigrate = 3600\nquery = 3600\n", [("0001_rows".to_owned(), sql)])?;
    measured(&project, &["forward"])
}

fn with_migrations(drill_toml: &str, history: impl IntoIterator<Item = (String, String)>) -> Result<Scratch> {
    let project = Scratch::new(drill_toml)?;
    let folder = project.path("prisma/postgres/migrations");
    for migration in project.shell.read_dir(&folder)?.iter().filter(|path| path.is_dir()) {
        fs::remove_dir_all(migration)?;
    }
    for (name, sql) in history {
        project.shell.write_file(folder.join(name).join("migration.sql"), sql)?;
    }
    project.xtask().args(["sandbox", "up", "--quiet"]).ignore_stdout().run()?;
    Ok(project)
}

/// Prints what `command` took, and what our own process needed of memory, children and server apart.
fn measured(project: &Scratch, command: &[&str]) -> Result<()> {
    let begun = Instant::now();
    let log = project.path("said");
    let mut run = Command::from(project.xtask().args(["--sandbox", "--quiet"]).args(command));
    let mut child = run.stdout(Stdio::null()).stderr(fs::File::create(&log)?).spawn()?;
    let mut peak = 0.0;
    let status = loop {
        peak = peak_mib(child.id()).unwrap_or(peak);
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    ensure!(status.success(), "`{}` failed:\n{}", command.join(" "), fs::read_to_string(log)?);
    println!("  {:24} {:8.1} s {peak:8.0} MiB", command.join(" "), begun.elapsed().as_secs_f64());
    Ok(())
}
