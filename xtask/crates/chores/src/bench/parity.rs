use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xshell::{Cmd, cmd};

use super::redaction::peak_mib;
use super::samples::Samples;
use super::scratch::{OURS, Scratch};
use super::{parity_rows, silently, time};

/// `parity` against `psql` running the same four counts one after the other in one session, on the same sandbox
///
/// In both states of a table: just written, so that a count reads all of it, and vacuumed, so that an index answers. The budget of 0.7 is for
/// the first: what is read once for two pairs is half the work. Where an index answers there is nothing to share, and psql's parallel counts
/// use both cores of a small machine already; the line says what the command costs on top. `parity` is the whole command: start, guard, catalog,
/// evidence. Needs psql, and about half a GB of disk for each million rows. Before that, rows compared one by one (`parity_rows.rs`).
#[derive(clap::Args)]
pub struct Options {
    /// Rows a side that are compared one by one; 0 leaves that out
    #[arg(long, default_value_t = 1_000_000)]
    compared: usize,
    /// No more than the rows one by one
    #[arg(long)]
    by_row: bool,
    /// Rows a side
    #[arg(long, default_value_t = 10_000_000)]
    rows: usize,
    /// Pairs
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

const SIZE: &str = r#"select format('%s rows in DashboardFact, %s in facts, %s', (select count(*) from "DashboardFact"), (select count(*) from facts),
  pg_size_pretty(pg_database_size(current_database())))"#;

const COUNTS: [&str; 4] = [
    r#"select count(*) from "DashboardFact" where "factType" = 'dashboard.session.opened'"#,
    r#"select count(*) from "DashboardFact" where "factType" = 'dashboard.refresh.triggered'"#,
    "select count(*) from facts where topic = 'dashboard.analytics' and key = 'view'",
    "select count(*) from facts where topic = 'dashboard.analytics' and key = 'refresh'",
];

const BREACH: &str = "with middle as (
  select date_trunc('hour', percentile_disc(0.5) within group (order by created_at)) as begun from facts)
delete from facts using middle where key = 'view' and created_at >= begun and created_at < begun + interval '20 hours'";

impl Options {
    pub fn run(&self) -> Result<()> {
        if self.compared > 0 {
            parity_rows::run(self.compared, self.runs)?;
        }
        if self.by_row {
            return Ok(());
        }
        let sides = Sides::new(self.rows)?;
        sides.pairs(&counted_pairs()?)?;
        println!("{}", sides.sql(&[SIZE]).read()?);
        sides.agree()?;
        self.measure(&sides, "just written", "; budget 0.70")?;
        sides.sql(&[r#"vacuum "DashboardFact""#, "vacuum facts"]).run()?;
        self.measure(&sides, "vacuumed    ", "")?;
        sides.sql(&[BREACH]).run()?;
        sides.locate()
    }

    fn measure(&self, sides: &Sides, state: &str, budget: &str) -> Result<()> {
        let (mut psql, mut parity) = (Samples::default(), Samples::default());
        for _ in 0..self.runs {
            psql.push(time(|| silently(sides.sql(&COUNTS)))?);
            parity.push(time(|| silently(sides.parity()))?);
        }
        let (plain, drill, ratio) = (psql.median(), parity.median(), parity.ratio_to(&psql));
        println!("{state}: psql {plain:.0} ms, parity {drill:.0} ms; {ratio} ({} pairs{budget})", psql.len());
        Ok(())
    }
}

/// This repo's pairs without what identifies their rows.
fn counted_pairs() -> Result<String> {
    Ok(our_pairs()?.lines().filter(|line| !line.starts_with("rows = ")).map(|line| format!("{line}\n")).collect())
}

pub fn our_pairs() -> Result<&'static str> {
    let (_, pairs) = OURS.split_once("[[parity.pairs]]").context("drill.toml names pairs")?;
    Ok(pairs.split("\n[evidence]").next().unwrap_or_default())
}

/// The two tables, full, in a sandbox of their own.
pub struct Sides {
    project: Scratch,
    url: String,
}

impl Sides {
    pub fn new(rows: usize) -> Result<Sides> {
        let project = Scratch::new("[timeouts]\nquery = 600\n")?;
        for command in [&["forward"][..], &["mirror"], &["sandbox", "seed", "--rows", "100000"]] {
            silently(project.xtask().args(["--sandbox", "--quiet"]).args(command))?;
        }
        let sides = Sides { url: project.sandbox_url()?, project };
        sides.sql(&[]).arg("-v").arg(format!("rows={rows}")).stdin(include_str!("parity.sql")).ignore_stdout().run()?;
        Ok(sides)
    }

    /// From now on it compares `pairs`: what follows the first `[[parity.pairs]]` of drill.toml.
    pub fn pairs(&self, pairs: &str) -> Result<()> {
        let (shell, path) = (&self.project.shell, self.project.path("drill.toml"));
        let text = shell.read_file(&path)?;
        let (before, rest) = text.split_once("[[parity.pairs]]").context("drill.toml names pairs")?;
        let (_, after) = rest.split_once("\n[evidence]").context("drill.toml has a section `[evidence]`")?;
        Ok(shell.write_file(path, format!("{before}[[parity.pairs]]{pairs}\n[evidence]{after}"))?)
    }

    pub fn sql(&self, statements: &[&str]) -> Cmd<'_> {
        let url = &self.url;
        let psql = cmd!(self.project.shell, "psql -qAtX -v ON_ERROR_STOP=1 {url}").quiet();
        statements.iter().fold(psql, |psql, statement| psql.args(["-c", statement]))
    }

    pub fn parity(&self) -> Cmd<'_> {
        self.project.xtask().args(["--sandbox", "--quiet", "parity", "--json"])
    }

    fn agree(&self) -> Result<()> {
        let answer: Value = serde_json::from_str(&self.parity().ignore_stderr().read()?)?;
        let pairs = answer["parity"]["pairs"].as_array().context("parity has pairs")?;
        let sides = ["prisma", "mirror"].iter().flat_map(|side| pairs.iter().map(|pair| pair[*side].to_string()));
        let (ours, theirs) = (sides.collect::<Vec<_>>().join("\n"), self.sql(&COUNTS).read()?);
        ensure!(ours == theirs, "the counts differ: psql\n{theirs}\nparity\n{ours}");
        Ok(())
    }

    /// What a breach costs on top, and what it needs in memory, once.
    fn locate(&self) -> Result<()> {
        let mut parity = Command::from(self.project.xtask().args(["--sandbox", "parity"]));
        let mut child = parity.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let pid = child.id();
        let peak = thread::spawn(move || last_peak(pid));
        let mut said = String::new();
        child.stderr.take().context("stderr was asked for")?.read_to_string(&mut said)?;
        child.wait()?;
        let line =
            |mark: &str| said.lines().find_map(|line| line.find(mark).map(|at| &line[at..])).context(said.clone());
        println!("{}", line("locate: ")?);
        println!("{}", line("caused by: view: ")?.trim_start_matches("caused by: "));
        println!("peak memory of parity: {:.0} MiB", peak.join().unwrap_or_default());
        Ok(())
    }
}

/// Looks until the process has ended.
fn last_peak(pid: u32) -> f64 {
    let mut last = 0.0;
    while let Some(peak) = peak_mib(pid) {
        last = peak;
        thread::sleep(Duration::from_millis(5));
    }
    last
}
