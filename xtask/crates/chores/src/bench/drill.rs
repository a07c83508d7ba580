use std::path::Path;

use anyhow::{Context, Result};
use xshell::cmd;

use super::samples::Samples;
use super::scratch::Scratch;
use super::{silently, time};

/// The whole `drill`, with all its checks, against the seven calls that the runbook has a user type
///
/// Each is on a fresh database of one sandbox server, each pair in turn. `first` is a drill of a history that this machine has never seen;
/// `again` finds the catalogs, down scripts and rehearsals of an earlier one in `.drill`. The budgets are 0.45 and 0.3.
#[derive(clap::Args)]
pub struct Options {
    /// Pairs
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

const DRILL_TOML: &str = r#"
[targets.staging]
allow_hosts = ["127.0.0.1"]
allow_databases = ["*_test"]
"#;

const CREATE_DATABASE: &str = r#"
import pg from "pg"
const client = new pg.Client(process.env.SERVER)
await client.connect()
await client.query(`create database ${process.env.NAME}`)
await client.end()
"#;

const RUNBOOK: [&[&str]; 7] = [
    &["generate"],
    &["migrate", "deploy"],
    &["migrate", "status"],
    &["migrate", "reset", "--force"],
    &["migrate", "deploy"],
    &["validate"],
    &["migrate", "status"],
];

impl Options {
    pub fn run(&self) -> Result<()> {
        let project = Scratch::new(DRILL_TOML)?;
        project.xtask().args(["sandbox", "up", "--quiet"]).run()?;
        let server = Server { url: project.sandbox_url()?, project: &project };
        server.runbook("warm_test")?; // once, its time thrown away: the file caches
        let (mut plain, mut first, mut again) = (Samples::default(), Samples::default(), Samples::default());
        for run in 1..=self.runs {
            plain.push(server.runbook(&format!("plain_{run}_test"))?);
            project.shell.remove_path(".drill/catalogs")?;
            project.shell.remove_path(".drill/down")?;
            project.shell.remove_path(".drill/rehearsals")?;
            first.push(server.drill(&format!("first_{run}_test"))?);
            again.push(server.drill(&format!("again_{run}_test"))?);
        }
        let show = |name: &str, samples: &Samples| println!("{name}: {samples}; {}", samples.ratio_to(&plain));
        show("the runbook's seven calls", &plain);
        show("drill, first            ", &first);
        show("drill, again            ", &again);
        println!("{} pairs; budgets 0.45 and 0.30", plain.len());
        Ok(())
    }
}

struct Server<'a> {
    url: String,
    project: &'a Scratch,
}

impl Server<'_> {
    /// A new, empty database; its URL. The server asks for no password, the guard does.
    fn fresh(&self, name: &str) -> Result<String> {
        let create = cmd!(self.project.shell, "node --input-type=module --eval {CREATE_DATABASE}");
        silently(create.env("SERVER", &self.url).env("NAME", name))?;
        let (server, _) = self.url.rsplit_once('/').context("a URL has a path")?;
        let (user, host) = server.split_once('@').context("a URL has a user")?;
        Ok(format!("{user}:Bench-only-7@{host}/{name}"))
    }

    fn runbook(&self, database: &str) -> Result<f64> {
        let url = self.fresh(database)?;
        time(|| RUNBOOK.iter().try_for_each(|call| self.npx(call, &url)))
    }

    /// As the drill does it where Prisma's engine could not be downloaded, and without an update check, for which only the bare calls would wait.
    fn npx(&self, call: &[&str], url: &str) -> Result<()> {
        let prisma = cmd!(self.project.shell, "npx prisma {call...} --config prisma/postgres.config.ts");
        let prisma = prisma.env("DATABASE_URL", url).env("CHECKPOINT_DISABLE", "1");
        let engines = self.project.shell.read_dir("node_modules/@prisma/engines")?;
        let downloaded =
            |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"schema-engine-"));
        silently(match engines.iter().any(|path| downloaded(path)) {
            true => prisma,
            false => prisma.env("PRISMA_SCHEMA_ENGINE_BINARY", self.project.path("prisma/engine/schema-engine.mjs")),
        })
    }

    fn drill(&self, database: &str) -> Result<f64> {
        let url = self.fresh(database)?;
        self.project.shell.write_file(".env.staging", format!("DATABASE_URL={url}\n"))?;
        silently(self.project.xtask().args(["claim", "--confirm", database, "--quiet"]))?;
        let drill = || self.project.xtask().args(["drill", "--accept-data-loss", "--quiet"]);
        time(|| silently(drill().env("CHECKPOINT_DISABLE", "1")))
    }
}
