use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xshell::{Cmd, cmd};

use super::scratch::Scratch;
use super::silently;

/// What `forward --rows N` foretells of expensive statements against what they take beside N rows on the same server
///
/// The rows are as wide as made-up ones and in no order. Each statement is measured at least three times, all but the last in a transaction that is
/// rolled back, and the fastest counts; the one that changes rows comes last, and twice. Foretold is from 100,000 rows at most. Needs psql, and half a GB of
/// disk for a million rows.
#[derive(clap::Args)]
pub struct Options {
    /// Rows of the large table
    #[arg(long, default_value_t = 2_000_000)]
    rows: usize,
    /// Also print what was measured for what is foretold
    #[arg(long)]
    tried: bool,
}

/// Kind, statement, and how often it is measured.
const KINDS: [(&str, &str, usize); 6] = [
    ("index", r#"create index bench_note on "BenchEvent" (note)"#, 3),
    (
        "validate (foreign key)",
        r#"alter table "BenchEvent" add constraint bench_fk foreign key (account) references "BenchAccount" (id)"#,
        3,
    ),
    ("validate (check)", r#"alter table "BenchEvent" add constraint bench_check check (amount >= 0)"#, 3),
    ("set not null", r#"alter table "BenchEvent" alter column note set not null"#, 3),
    ("rewrite", r#"alter table "BenchEvent" alter column amount type bigint"#, 3),
    ("backfill", r#"update "BenchEvent" set filled = note"#, 2),
];

/// What is short is measured more often, as the machine does other things too.
const ENOUGH_MS: f64 = 2_000.0;
const MOST_TRIES: usize = 12;

const TABLES: &str = r#"create table "BenchAccount" (id serial primary key, name text);
create table "BenchEvent" (id serial primary key, account int not null, amount int not null, note text, filled text);"#;

const FILL: &str = r#"
insert into "BenchAccount" (name) select i::text from generate_series(1, :rows) i;
insert into "BenchEvent" (account, amount, note)
select 1 + i * 2654435761 % :rows, 1 + i * 2654435761 % :rows, (1 + i * 2654435761 % :rows)::text from generate_series(1, :rows::bigint) i;
vacuum (analyze) "BenchAccount";
vacuum (analyze) "BenchEvent";"#;

impl Options {
    pub fn run(&self) -> Result<()> {
        let project = Scratch::new("")?;
        migration(&project, "20990101000000_tables", TABLES)?;
        silently(project.xtask().args(["forward", "--sandbox", "--quiet"]))?;
        let script: Vec<String> = KINDS.iter().map(|(_, statement, _)| format!("{statement};\n")).collect();
        migration(&project, "20990102000000_work", &script.concat())?;
        let foretold = self.foretold(&project)?;
        let database = Database::new(&project)?;
        database.psql(&["-v", &format!("rows={}", self.rows)]).stdin(format!("{TABLES}{FILL}")).run()?;
        for ((kind, statement, tries), foretold) in KINDS.iter().zip(foretold) {
            let ms = database.fastest(statement, *tries)?;
            let time = |name: &str| foretold[name].as_f64().with_context(|| format!("{kind}: {foretold}"));
            let (ours, low, high) = (time("ms")?, time("low_ms")?, time("high_ms")?);
            let (off, within) =
                ((ours / ms - 1.0) * 100.0, if (low..=high).contains(&ms) { "within" } else { "outside" });
            println!(
                "{kind:<22}: foretold {ours:>6.0} ms, measured {ms:>6.0} ms: {off:>+4.0} % (budget 30), {within} the range {low:.0} to {high:.0}"
            );
            if self.tried {
                println!("  {}", foretold["tried"]);
            }
        }
        Ok(())
    }

    /// Of each statement of the second migration.
    fn foretold(&self, project: &Scratch) -> Result<Vec<Value>> {
        let rows = self.rows.to_string();
        let forward = project.xtask().args(["forward", "--sandbox", "--json", "--accept-data-loss", "--rows", &rows]);
        let answer: Value = serde_json::from_str(&forward.ignore_stderr().read()?)?;
        let impact = answer["impact"].as_array().context("a forward with pending migrations has `impact`")?;
        ensure!(impact.len() == KINDS.len(), "{} statements: {}", impact.len(), answer["impact"]);
        Ok(impact.iter().map(|one| one["production"].clone()).collect())
    }
}

fn migration(project: &Scratch, name: &str, sql: &str) -> Result<()> {
    let path = project.path(&format!("prisma/postgres/migrations/{name}/migration.sql"));
    Ok(project.shell.write_file(path, sql)?)
}

/// Beside the sandbox's own, on its server.
struct Database<'a> {
    project: &'a Scratch,
    url: String,
}

impl Database<'_> {
    fn new(project: &Scratch) -> Result<Database<'_>> {
        let url = project.sandbox_url()?;
        let (server, _) = url.rsplit_once('/').context("the sandbox's URL names a database")?;
        let database = Database { project, url: format!("{server}/bench") };
        cmd!(project.shell, "psql -qX {url} -c").arg("create database bench").quiet().run()?;
        Ok(database)
    }

    fn psql(&self, arguments: &[&str]) -> Cmd<'_> {
        let url = &self.url;
        cmd!(self.project.shell, "psql -qAtX -v ON_ERROR_STOP=1 {url}").quiet().args(arguments)
    }

    /// In milliseconds. All tries but the last are rolled back.
    fn fastest(&self, statement: &str, tries: usize) -> Result<f64> {
        let time = |end: &str| {
            let script = format!("begin;\n\\timing on\n{statement};\n\\timing off\n{end};");
            let said = self.psql(&[]).stdin(script).read()?;
            let ms = said.lines().find_map(|line| line.strip_prefix("Time: ")?.split(' ').next());
            ms.and_then(|ms| ms.parse::<f64>().ok()).with_context(|| format!("psql told no time: {said}"))
        };
        let mut tried: Vec<f64> = Vec::new();
        while tried.len() + 1 < tries || tried.iter().sum::<f64>() < ENOUGH_MS && tried.len() < MOST_TRIES {
            tried.push(time("rollback")?);
        }
        Ok(tried.into_iter().fold(time("commit")?, f64::min))
    }
}
