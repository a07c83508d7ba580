use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use super::samples::Samples;
use super::scratch::Scratch;
use super::{silently, time};

/// `backward` and `drill --each` over whole histories, each size in a project and a sandbox of its own
///
/// Against the scripts of the same run (`down/` of its evidence), run bare by psql in a copy of the database, one call after the other,
/// newest first: that verifies nothing and leaves the ledger as it is. First with nothing kept from an earlier run, then with scripts and
/// rehearsal kept. Linear growth is a constant in the columns of a migration. The budgets: 160 migrations within 10 s and 4 times psql;
/// 1 s a migration for `drill --each`. Without psql there is no ratio.
#[derive(clap::Args)]
pub struct Options {
    /// How many migrations
    #[arg(default_values_t = [40, 80, 160])]
    sizes: Vec<usize>,
    /// Pairs of a size
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Rehearse with `drill --each`, too
    #[arg(long)]
    each: bool,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        for &size in &self.sizes {
            let bench = Bench { project: project(size)?, size };
            let [mut cold, mut kept, mut psql] = [(); 3].map(|()| Samples::default());
            for _ in 0..self.runs {
                bench.project.shell.remove_path(".drill/down")?;
                bench.project.shell.remove_path(".drill/rehearsals")?;
                bench.forward()?;
                bench.copy()?;
                cold.push(bench.backward()?);
                psql.extend(bench.psql()?);
                bench.forward()?;
                kept.push(bench.backward()?);
            }
            for (name, ours) in [("nothing kept", &cold), ("scripts kept", &kept)] {
                bench.tell(&format!("backward, {name}"), ours, Some(&psql));
            }
            bench.tell("psql", &psql, None);
            if self.each {
                let mut each = Samples::default();
                each.push(bench.rehearsed()?);
                bench.tell("drill --each", &each, None);
            }
        }
        Ok(())
    }
}

fn project(size: usize) -> Result<Scratch> {
    let project = Scratch::new("")?;
    let folder = project.path("prisma/postgres/migrations");
    for migration in project.shell.read_dir(&folder)?.iter().filter(|path| path.is_dir()) {
        fs::remove_dir_all(migration)?;
    }
    for (name, sql) in history(size) {
        project.shell.write_file(folder.join(name).join("migration.sql"), sql)?;
    }
    Ok(project)
}

/// Each migration's folder and script: a table in every fourth, columns, indexes and defaults of it in the others.
pub fn history(size: usize) -> impl Iterator<Item = (String, String)> {
    (0..size).map(|number| {
        let table = format!("t{}", number / 4);
        let sql = match number % 4 {
            0 => format!("CREATE TABLE \"{table}\" (\"id\" SERIAL PRIMARY KEY, \"a\" TEXT NOT NULL);\n"),
            1 => format!("ALTER TABLE \"{table}\" ADD COLUMN \"b\" INTEGER;\n"),
            2 => format!("CREATE INDEX \"{table}_a_idx\" ON \"{table}\" (\"a\");\n"),
            _ => format!("ALTER TABLE \"{table}\" ALTER COLUMN \"b\" SET DEFAULT 1;\n"),
        };
        (format!("{number:04}_step"), sql)
    })
}

struct Bench {
    project: Scratch,
    size: usize,
}

const COPY: &str = "bench_copy";

impl Bench {
    fn forward(&self) -> Result<()> {
        silently(self.project.xtask().args(["forward", "--sandbox", "--quiet"]))
    }

    fn backward(&self) -> Result<f64> {
        let steps = self.size.to_string();
        let backward = self.project.xtask().args(["backward", "--sandbox", "--quiet", "--steps", &steps]);
        time(|| silently(backward))
    }

    /// Beside a sandbox that runs already, with nothing kept.
    fn rehearsed(&self) -> Result<f64> {
        let project = project(self.size)?;
        silently(project.xtask().args(["sandbox", "up", "--quiet"]))?;
        time(|| silently(project.xtask().args(["drill", "--each", "--sandbox", "--quiet"])))
    }

    /// What psql works on.
    fn copy(&self) -> Result<()> {
        let (shell, url) = (&self.project.shell, self.project.sandbox_url()?);
        if cmd!(shell, "which psql").quiet().ignore_stdout().run().is_err() {
            return Ok(());
        }
        let (server, database) = url.rsplit_once('/').context("the sandbox's URL names a database")?;
        let again = format!("create database {COPY} template \"{database}\"");
        silently(cmd!(shell, "psql -qX {server}/postgres -c").arg(format!("drop database if exists {COPY}")))?;
        silently(cmd!(shell, "psql -qX {server}/postgres -c").arg(again))
    }

    /// The scripts of the last `backward`, a call each; None without psql.
    fn psql(&self) -> Result<Option<f64>> {
        let (shell, url) = (&self.project.shell, self.project.sandbox_url()?);
        if cmd!(shell, "which psql").quiet().ignore_stdout().run().is_err() {
            return Ok(None);
        }
        let (server, _) = url.rsplit_once('/').context("the sandbox's URL names a database")?;
        let scripts = self.scripts()?;
        let run = |script: PathBuf| silently(cmd!(shell, "psql -qX -v ON_ERROR_STOP=1 {server}/{COPY} -f {script}"));
        time(|| scripts.into_iter().try_for_each(run)).map(Some)
    }

    /// Newest first.
    fn scripts(&self) -> Result<Vec<PathBuf>> {
        let shell = &self.project.shell;
        let runs = shell.read_dir(".drill/evidence")?;
        let last = runs.into_iter().filter(|run| run.to_string_lossy().contains("-backward-")).max();
        let mut scripts = shell.read_dir(last.context("a `backward` leaves evidence")?.join("down"))?;
        scripts.sort();
        scripts.reverse();
        Ok(scripts)
    }

    fn tell(&self, name: &str, samples: &Samples, base: Option<&Samples>) {
        #[expect(clippy::cast_precision_loss, reason = "a history is short")]
        let each = samples.median() / self.size as f64;
        let ratio = base.filter(|base| base.len() > 0).map(|base| format!("; {} to psql", samples.ratio_to(base)));
        println!("{} migrations, {name}: {samples}, {each:.1} ms each{}", self.size, ratio.unwrap_or_default());
    }
}
