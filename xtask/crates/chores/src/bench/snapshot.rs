use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;
use xshell::{Cmd, Shell, TempDir, cmd};

use super::samples::Samples;
use super::scratch::Scratch;
use super::time;

/// Taking a snapshot and putting it back, as a database and as files, against `pg_dump -Fc` and `pg_restore` of the same rows
///
/// pg_dump refuses servers newer than itself, so server and clients are of one installation. Ours are the steps' own durations, with every check in
/// them: `put back` compares each row and value with the snapshot before it commits; pg_restore compares nothing.
/// Files against `pg_restore --data-only`: the budget is 1.2 for each. An undo, alone and with the taking, is against `pg_dump -Fc` and `pg_restore -j2` of all into an empty
/// database: the budget is 0.2 by a copy, which is counted and checked before it takes the name, and 0.9 by files. What a `backward` waits for its
/// copy is against its files. What one session and one transaction cost at least is measured, too: psql's COPY out, TRUNCATE and COPY in of the same
/// tables, with nothing compressed, compared or checked; and with the rows read back once, as whoever compares them has to.
#[derive(clap::Args)]
pub struct Options {
    /// Rows a table
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Pairs
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Postgres' programs [default: the newest of Debian's package `postgresql`]
    #[arg(long, value_name = "DIR")]
    pgbin: Option<PathBuf>,
}

const DRILL_TOML: &str = r#"
[targets.staging]
allow_hosts = ["127.0.0.1"]
allow_databases = ["*_test"]

[snapshots]
keep_as = "KIND"
"#;

const TABLES: [&str; 3] = ["Session", "DashboardFact", "DecisionLog"];

const RESET: [&str; 2] = ["reset", "--confirm"];
const RESTORE: [&str; 2] = ["restore", "--confirm"];
const BACKWARD: [&str; 2] = ["backward", "--accept-data-loss"];

impl Options {
    pub fn run(&self) -> Result<()> {
        let (project, pgbin) = (Scratch::new(&drill_toml("files"))?, self.pgbin()?);
        let server = Server::start(pgbin.clone())?;
        let toml = project.shell.read_file("drill.toml")?;
        let bench = Bench { project: &project, pgbin, url: server.url(), toml };
        bench.fill(self.rows)?;
        let [mut dump, mut take, mut restore, mut put_back] = [(); 4].map(|()| Samples::default());
        let [mut theirs, mut renamed, mut by_copy, mut by_files] = [(); 4].map(|()| Samples::default());
        let [mut back_files, mut back_copy, mut bare, mut bare_read] = [(); 4].map(|()| Samples::default());
        let [mut bare_undo, mut bare_undo_read] = [(); 2].map(|()| Samples::default());
        for _ in 0..self.runs {
            bench.keep_as("files")?;
            dump.push(time(|| bench.dump())?);
            bench.psql(&["-c", r#"truncate "Session", "DashboardFact", "DecisionLog""#]).run()?;
            restore.push(time(|| bench.restore())?);
            let files = [bench.steps_ms(&["snapshot"], RESET)?, bench.steps_ms(&["put back"], RESTORE)?];
            take.push(files[0]);
            put_back.push(files[1]);
            by_files.push(files.iter().sum());
            bench.keep_as("database")?;
            let copy = [bench.steps_ms(&["snapshot"], RESET)?, bench.steps_ms(&["verify copy", "put back"], RESTORE)?];
            renamed.push(copy[1]);
            by_copy.push(copy.iter().sum());
            theirs.push(bench.undo()?);
            let [out, back, read] = bench.bare()?;
            bare.push(out + back);
            bare_read.push(out + back + read);
            bare_undo.push(back);
            bare_undo_read.push(back + read);
            for (kind, times) in [("files", &mut back_files), ("database", &mut back_copy)] {
                bench.keep_as(kind)?;
                times.push(bench.steps_ms(&["snapshot"], BACKWARD)?);
                bench.forward()?;
            }
        }
        let rows = 3 * self.rows;
        for (name, ours, theirs) in [("take", &take, &dump), ("put back", &put_back, &restore)] {
            let (ratio, ours, theirs) = (ours.ratio_to(theirs), ours.median(), theirs.median());
            println!("{name}: ours median {ours:.0} ms, theirs {theirs:.0} ms for {rows} rows; {ratio} (budget 1.20)");
        }
        for (name, ours, budget) in [
            ("undo after a reset by the copy", &renamed, " (budget 0.20)"),
            ("taken and undone by the copy", &by_copy, ""),
            ("undo after a reset by files", &put_back, " (budget 0.90)"),
            ("the same by psql, nothing compared", &bare_undo, ""),
            ("the same by psql, rows read back", &bare_undo_read, ""),
            ("taken and undone by files", &by_files, ""),
            ("the same by psql, nothing compared", &bare, ""),
            ("the same by psql, rows read back", &bare_read, ""),
        ] {
            let (ratio, ours, theirs) = (ours.ratio_to(&theirs), ours.median(), theirs.median());
            println!("{name}: ours median {ours:.0} ms, theirs {theirs:.0} ms for {rows} rows; {ratio}{budget}");
        }
        let (ratio, copy, files) = (back_copy.ratio_to(&back_files), back_copy.median(), back_files.median());
        println!("kept before a backward: copy median {copy:.0} ms, files {files:.0} ms for {rows} rows; {ratio}");
        Ok(())
    }

    fn pgbin(&self) -> Result<PathBuf> {
        if let Some(pgbin) = &self.pgbin {
            return Ok(pgbin.clone());
        }
        let installed = Shell::new()?.read_dir("/usr/lib/postgresql").unwrap_or_default();
        let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        let newest = installed.into_iter().max_by_key(version);
        Ok(newest.context("no Postgres: apt-get install postgresql, or --pgbin DIR")?.join("bin"))
    }
}

fn drill_toml(kind: &str) -> String {
    DRILL_TOML.replace("KIND", kind)
}

struct Bench<'a> {
    project: &'a Scratch,
    pgbin: PathBuf,
    url: String,
    /// As it is for files.
    toml: String,
}

impl Bench<'_> {
    fn program(&self, name: &str) -> Cmd<'_> {
        self.project.shell.cmd(self.pgbin.join(name)).quiet()
    }

    fn psql(&self, arguments: &[&str]) -> Cmd<'_> {
        self.program("psql").args(["-qX", &self.url]).args(arguments)
    }

    fn fill(&self, rows: usize) -> Result<()> {
        self.project.shell.write_file(".env.staging", format!("DATABASE_URL={}\n", self.url))?;
        self.forward()?;
        self.project.xtask().args(["--quiet", "claim", "--confirm", "bench_test"]).ignore_stdout().run()?;
        Ok(self.psql(&["-v", &format!("rows={rows}")]).stdin(include_str!("snapshot.sql")).run()?)
    }

    fn forward(&self) -> Result<()> {
        Ok(self.project.xtask().args(["--quiet", "forward"]).ignore_stdout().run()?)
    }

    fn dump(&self) -> Result<()> {
        let dump = self.program("pg_dump").args(["-Fc", "--data-only", "-n", "public"]);
        Ok(dump.args(["--exclude-table=_prisma_migrations", "-f", "rows.dump", &self.url]).run()?)
    }

    fn restore(&self) -> Result<()> {
        Ok(self.program("pg_restore").args(["--data-only", "-d", &self.url, "rows.dump"]).run()?)
    }

    fn keep_as(&self, kind: &str) -> Result<()> {
        let toml = self.toml.replace("keep_as = \"files\"", &format!("keep_as = \"{kind}\""));
        Ok(self.project.shell.write_file("drill.toml", toml)?)
    }

    /// Of all that is in the database, into an empty one.
    fn undo(&self) -> Result<f64> {
        let dump =
            time(|| Ok(self.program("pg_dump").args(["-Fc", "-n", "public", "-f", "all.dump", &self.url]).run()?))?;
        let copy = self.url.replace("bench_test", "theirs_test");
        self.psql(&["-c", "create database theirs_test"]).run()?;
        // `public` is there already.
        let drop = self.program("psql").args(["-qX", &copy, "-c", "drop schema public"]);
        drop.run()?;
        let restore = time(|| Ok(self.program("pg_restore").args(["-j2", "-d", &copy, "all.dump"]).run()?))?;
        self.psql(&["-c", "drop database theirs_test"]).run()?;
        Ok(dump + restore)
    }

    /// Out, in by one session in one transaction, and out once more.
    fn bare(&self) -> Result<[f64; 3]> {
        let copy = |how: &dyn Fn(&str) -> String| {
            TABLES.iter().map(|table| format!("\\copy public.\"{table}\" {}\n", how(table))).collect::<String>()
        };
        let run = |script: String| time(|| Ok(self.psql(&["-v", "ON_ERROR_STOP=1"]).stdin(script).run()?));
        let out = run(copy(&|table| format!("to '{table}.copy'")))?;
        let into = copy(&|table| format!("from '{table}.copy'"));
        let names: Vec<String> = TABLES.iter().map(|table| format!("public.\"{table}\"")).collect();
        let back = run(format!("begin;\ntruncate {};\n{into}commit;\n", names.join(", ")))?;
        Ok([out, back, run(copy(&|_| "to '/dev/null'".to_owned()))?])
    }

    /// The durations of steps of a command, added up.
    fn steps_ms(&self, wanted: &[&str], command: [&str; 2]) -> Result<f64> {
        // These would make Prisma refuse the reset.
        let call = ["CLAUDECODE", "CURSOR_AGENT", "GEMINI_CLI"].iter().fold(self.project.xtask(), Cmd::env_remove);
        let answer = call.args(["--json", "--quiet"]).args(command).ignore_stderr().read()?;
        let answer: Value = serde_json::from_str(&answer)?;
        let steps = answer["stages"][0]["steps"].as_array().context("a run has steps")?;
        let of = |name: &&str| {
            let found = steps.iter().find(|found| found["name"] == **name);
            found.and_then(|step| step["duration_ms"].as_f64()).context(format!("no step `{name}`"))
        };
        wanted.iter().map(of).sum()
    }
}

/// A server of Debian's, gone with this value.
struct Server {
    folder: TempDir,
    shell: Shell,
    pgbin: PathBuf,
    port: u16,
    /// Postgres refuses to run as root.
    root: bool,
}

impl Server {
    fn start(pgbin: PathBuf) -> Result<Server> {
        let shell = Shell::new()?;
        let folder = shell.create_temp_dir()?;
        let port = chores::ports::free("127.0.0.1")?;
        let root = cmd!(shell, "id -u").quiet().read()? == "0";
        if root {
            let folder = folder.path();
            cmd!(shell, "chown nobody {folder}").quiet().run()?;
        }
        shell.change_dir("/");
        let server = Server { folder, shell, pgbin, port, root };
        let initdb = server.program("initdb").args(["-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        initdb.ignore_stdout().run()?;
        let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=");
        let start = server.program("pg_ctl").arg("-l").arg(server.folder.path().join("log"));
        start.args(["-w", "-o", &options, "start"]).ignore_stdout().run()?;
        let createdb = server.shell.cmd(server.pgbin.join("createdb")).quiet();
        createdb.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "bench", "bench_test"]).run()?;
        Ok(server)
    }

    fn program(&self, name: &str) -> Cmd<'_> {
        let (program, data) = (self.pgbin.join(name), self.folder.path().join("data"));
        let user: &[&str] = if self.root { &["runuser", "-u", "nobody", "--"] } else { &["env"] };
        self.shell.cmd(user[0]).args(&user[1..]).arg(program).arg("-D").arg(data).quiet()
    }

    fn url(&self) -> String {
        format!("postgresql://bench:bench@127.0.0.1:{}/bench_test", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.program("pg_ctl").args(["-m", "immediate", "stop"]).ignore_stdout().run();
    }
}
