use std::fs;

use anyhow::Result;

use super::scratch::Scratch;
use super::time;

/// `backward` over whole histories, each in a project and a sandbox of its own
///
/// Prints the seconds a migration, without and with kept down scripts. Linear growth is a constant in each column; the budget is 2 s. 160
/// migrations take some minutes, most of them in Prisma.
#[derive(clap::Args)]
pub struct Options {
    /// How many migrations
    #[arg(default_values_t = [10, 40, 160])]
    sizes: Vec<usize>,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        println!("{:>10}  {:>28}  {:>28}", "migrations", "Prisma asked (s, s each)", "scripts kept (s, s each)");
        for &size in &self.sizes {
            let project = project(size)?;
            let (cold, warm) = (backward(&project, size)?, backward(&project, size)?);
            #[expect(clippy::cast_precision_loss, reason = "a history is short")]
            let (cold_each, warm_each) = (cold / size as f64, warm / size as f64);
            println!("{size:>10}  {cold:>18.1}  {cold_each:>8.2}  {warm:>18.1}  {warm_each:>8.2}");
        }
        Ok(())
    }
}

/// With a table in every fourth migration; columns, indexes and defaults of it in the others.
fn project(size: usize) -> Result<Scratch> {
    let project = Scratch::new("")?;
    let folder = project.path("prisma/postgres/migrations");
    for migration in project.shell.read_dir(&folder)?.iter().filter(|path| path.is_dir()) {
        fs::remove_dir_all(migration)?;
    }
    for number in 0..size {
        let table = format!("t{}", number / 4);
        let sql = match number % 4 {
            0 => format!("CREATE TABLE \"{table}\" (\"id\" SERIAL PRIMARY KEY, \"a\" TEXT NOT NULL);\n"),
            1 => format!("ALTER TABLE \"{table}\" ADD COLUMN \"b\" INTEGER;\n"),
            2 => format!("CREATE INDEX \"{table}_a_idx\" ON \"{table}\" (\"a\");\n"),
            _ => format!("ALTER TABLE \"{table}\" ALTER COLUMN \"b\" SET DEFAULT 1;\n"),
        };
        project.shell.write_file(folder.join(format!("{number:04}_step/migration.sql")), sql)?;
    }
    Ok(project)
}

/// In seconds.
fn backward(project: &Scratch, size: usize) -> Result<f64> {
    project.xtask().args(["forward", "--sandbox", "--quiet"]).ignore_stdout().run()?;
    let steps = size.to_string();
    let backward = project.xtask().args(["backward", "--sandbox", "--quiet", "--steps", &steps]).ignore_stdout();
    Ok(time(|| Ok(backward.run()?))? / 1e3)
}
