use std::fs;

use anyhow::Result;

use super::scratch::Scratch;
use super::time;

/// `backward` and `drill --each` over whole histories, each in a project and a sandbox of its own
///
/// Prints the seconds a migration: taken back without and with kept down scripts, and rehearsed by `drill --each` with nothing kept. Linear
/// growth is a constant in each column; the budgets are 2 s for `backward`, 1 s for `drill --each`. 160 migrations take some minutes.
#[derive(clap::Args)]
pub struct Options {
    /// How many migrations
    #[arg(default_values_t = [10, 40, 160])]
    sizes: Vec<usize>,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        let columns = ["back, Prisma asked (s, s each)", "back, scripts kept (s, s each)", "drill --each (s, s each)"];
        println!("{:>10}  {:>30}  {:>30}  {:>30}", "migrations", columns[0], columns[1], columns[2]);
        for &size in &self.sizes {
            let kept = project(size)?;
            let times = [backward(&kept, size)?, backward(&kept, size)?, rehearsed(&project(size)?)?];
            #[expect(clippy::cast_precision_loss, reason = "a history is short")]
            let [cold, warm, each] = times.map(|time| format!("{time:.1}  {:>8.2}", time / size as f64));
            println!("{size:>10}  {cold:>30}  {warm:>30}  {each:>30}");
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

/// In seconds, beside a sandbox that runs already.
fn rehearsed(project: &Scratch) -> Result<f64> {
    project.xtask().args(["sandbox", "up", "--quiet"]).ignore_stdout().run()?;
    let each = project.xtask().args(["drill", "--each", "--sandbox", "--quiet"]).ignore_stdout();
    Ok(time(|| Ok(each.run()?))? / 1e3)
}

/// In seconds.
fn backward(project: &Scratch, size: usize) -> Result<f64> {
    project.xtask().args(["forward", "--sandbox", "--quiet"]).ignore_stdout().run()?;
    let steps = size.to_string();
    let backward = project.xtask().args(["backward", "--sandbox", "--quiet", "--steps", &steps]).ignore_stdout();
    Ok(time(|| Ok(backward.run()?))? / 1e3)
}
