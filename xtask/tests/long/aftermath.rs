//! What must hold after whatever happened to a run: written once for all tables of faults.
//!
//! No process of ours, no session of ours on the server and so no lock of any kind, no temporary folder, a record that is closed and says how the
//! run ended, or is told as killed by the next run; evidence that verifies; a command that works next, after which ledger and catalog are what the
//! migrations make and every row is there.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::project::{Answer, Project, claim};
use crate::server::{self, Database, Server};

const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// A failure as one sentence.
pub type Held<T = ()> = Result<T, String>;

/// A target with rows, and all that a run on it can leave behind.
pub struct Stand {
    server: &'static Server,
    pub project: Project,
    pub database: Database,
    rows: String,
    /// Whether a run may lose the sessions in which it tidies up, so that a throw-away database stays until a replay an hour later.
    loses_sessions: bool,
}

const ROWS: &str = r#"
    insert into "Session" (id, shop, state, "accessToken") select i::text, 's' || i, 's', 't' from generate_series(1, 40) i;
    insert into "DecisionLog" (scope, actor, action) select 's', 'a', i::text from generate_series(1, 60) i;
    insert into "DashboardFact" ("shopDomain", "factType", scope, value, "updatedAt")
      select 'shop', 'a kind that no pair compares', 'ops', '{"a": 1}', now() from generate_series(1, 80) i"#;

/// Of the tables that Prisma's models are of, whatever the order.
const DIGEST: &str = r#"
    select concat_ws(' ', (select count(*) || md5(string_agg(t::text, ',' order by id)) from "Session" t),
                          (select count(*) || md5(string_agg(t::text, ',' order by id)) from "DecisionLog" t),
                          (select count(*) || md5(string_agg(t::text, ',' order by id)) from "DashboardFact" t))"#;

impl Stand {
    /// All migrations applied, rows in every table, claimed.
    pub fn new(name: &str) -> Stand {
        Stand { loses_sessions: false, ..Stand::on(server::shared(), name) }
    }

    /// On a server that something may happen to.
    pub fn on(server: &'static Server, name: &str) -> Stand {
        let (mut project, database) = (Project::new(), server.database(name));
        project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
        server.grant_supabase_roles(&database);
        fs::create_dir(project.path("tmp")).unwrap();
        project.env.insert("TMPDIR".to_owned(), project.path("tmp").display().to_string());
        let script = server::workspace().join("supabase/sql/analytics_facts_table.sql");
        fs::copy(script, project.path("supabase/sql/analytics_facts_table.sql")).unwrap();
        project.run(&["forward"]).expect(0);
        claim(&project, &database);
        database.execute(ROWS);
        let mut stand = Stand { server, project, database, rows: String::new(), loses_sessions: true };
        stand.rows = stand.digest().unwrap();
        stand
    }

    /// In the target's own database.
    pub fn superuser(&self) -> postgres::Client {
        self.server.superuser(&self.database.name)
    }

    /// Every row, as one text; an error where a table is not there.
    pub fn digest(&self) -> Held<String> {
        let row = self.database.connect().query_one(DIGEST, &[]);
        row.map(|row| row.get(0)).map_err(|error| format!("the rows cannot be read: {}", reason(&error)))
    }

    pub fn rows_are_there(&self) -> Held {
        is(self.digest()? == self.rows, || "not every row is as it was".to_owned())
    }

    /// Its output goes to files, which are never full.
    pub fn start(&self, args: &[&str]) -> Child {
        let [stdout, stderr] = STREAMS.map(|name| fs::File::create(self.project.path(name)).unwrap());
        self.project.command(args).stdout(stdout).stderr(stderr).spawn().unwrap()
    }

    /// The answer of what `start` began, unless it does not end.
    pub fn ended(&self, mut child: Child) -> Held<Answer> {
        if within(Duration::from_secs(90), || child.try_wait().unwrap().is_some()).is_err() {
            let _ = (child.kill(), child.wait());
            return Err("it does not end".to_owned());
        }
        let [stdout, stderr] = STREAMS.map(|name| self.project.read(name));
        Ok(Answer { code: child.wait().unwrap().code().unwrap_or(-1), stdout, stderr })
    }

    /// The folders of all runs, by time.
    pub fn runs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.project.path("feedback/evidence")).into_iter().flatten().flatten();
        let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !is_hidden(path));
        let mut folders: Vec<_> = folders.collect();
        folders.sort();
        folders
    }

    pub fn record(&self, run: &std::path::Path) -> Option<Value> {
        serde_json::from_slice(&fs::read(run.join("run.json")).ok()?).ok()
    }

    /// What our processes, and what they started, have in common: this project's path among their arguments, in their environment, or as their
    /// folder. Whatever was killed is given the time that its children need to notice.
    pub fn no_process_is_left(&self) -> Held {
        let marker = self.project.path("").display().to_string();
        let marker = marker.trim_end_matches('/');
        let left = || {
            let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
            let ours = processes.filter(|process| {
                let has = |file: &str| {
                    let bytes = fs::read(process.join(file)).unwrap_or_default();
                    String::from_utf8_lossy(&bytes).contains(marker)
                };
                has("cmdline")
                    || has("environ")
                    || fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(marker))
            });
            ours.map(|process| fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " "))
                .collect::<Vec<_>>()
        };
        within(Duration::from_secs(30), || left().is_empty()).map_err(|()| format!("processes are left: {:?}", left()))
    }

    /// Sessions of the target's role, and so the locks that they would hold.
    pub fn no_session_is_left(&self) -> Held {
        let mut server = self.superuser();
        let sessions = "
            select coalesce(string_agg(concat_ws(' ', a.datname, a.state, left(a.query, 80), (select count(*) from pg_locks l where l.pid = a.pid)), '; '), '')
              from pg_stat_activity a where a.usename = $1";
        let mut left = || server.query_one(sessions, &[&self.database.user]).unwrap().get::<_, String>(0);
        within(Duration::from_secs(20), || left().is_empty()).map_err(|()| format!("sessions are left: {}", left()))
    }

    /// Databases that were to be thrown away; after a kill, or where the server was gone, those that the next replay finds by their mark.
    pub fn no_database_is_left(&self, killed: bool) -> Held {
        let mut server = self.superuser();
        let left = "
            select d.datname, coalesce(shobj_description(d.oid, 'pg_database'), '') from pg_database d join pg_roles r on r.oid = d.datdba
             where r.rolname = $1 and d.datname <> $2 and d.datname not like 'drill\\_copy%'";
        let left = server.query(left, &[&self.database.user, &self.database.name]).unwrap();
        for row in left {
            let (name, mark): (String, String) = (row.get(0), row.get(1));
            is(killed, || format!("the database `{name}` is left"))?;
            let known = mark.starts_with("staging drill: throw-away database") || name.starts_with("drill_replay_");
            is(known, || format!("nobody will know the database `{name}`"))?;
            server.batch_execute(&format!("drop database \"{name}\"")).unwrap();
        }
        Ok(())
    }

    /// Temporary folders; what was killed leaves its own, for the next run to remove.
    fn no_folder_is_left(&self) -> Held {
        let left: Vec<_> = self.temporary().iter().map(|path| path.display().to_string()).collect();
        is(left.is_empty(), || format!("temporary folders are left: {left:?}"))
    }

    fn temporary(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.project.path("tmp")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("staging-drill.run-")).collect()
    }

    /// As a minute later: a folder that was just made may not be locked yet, so the next run leaves it.
    fn age_folders(&self) {
        let then = SystemTime::now() - Duration::from_secs(120);
        self.temporary()
            .iter()
            .for_each(|path| drop(fs::File::open(path).and_then(|folder| folder.set_modified(then))));
    }

    /// Right after the end of a run that `seen` does not have: nothing of it is at work any more, and its record is closed or, where it was killed,
    /// says that it runs.
    pub fn right_after(&self, answer: &Answer, seen: &[PathBuf]) -> Held {
        self.no_process_is_left()?;
        self.no_session_is_left()?;
        let killed = answer.code == -1;
        self.no_database_is_left(killed || self.loses_sessions)?;
        if killed {
            self.age_folders();
            return Ok(());
        }
        self.no_folder_is_left()?;
        let new = self.runs().into_iter().find(|run| !seen.contains(run));
        let Some(record) = new.and_then(|run| self.record(&run)) else {
            return is(answer.code != 0, || "a run that ended well has no record".to_owned());
        };
        is(!record["finished_at"].is_null(), || "the record is not closed".to_owned())?;
        is(record["exit_code"] == answer.code, || {
            format!("the record says exit {}, and it was {}", record["exit_code"], answer.code)
        })?;
        let stages = record["stages"].as_array().cloned().unwrap_or_default();
        let steps = stages.iter().flat_map(|stage| stage["steps"].as_array().cloned().unwrap_or_default());
        let running = steps.filter(|step| step["status"] == "running").count();
        is(running == 0, || format!("{running} steps of a closed record run"))?;
        self.ledger_is_as_told(&record)
    }

    /// What the record says is applied is so.
    fn ledger_is_as_told(&self, record: &Value) -> Held {
        let Some(told) = record["migrations"]["pending"].as_array() else { return Ok(()) };
        // Applied or failed: both are not pending. A reset that was stopped may have left no ledger.
        let begun = "select count(distinct migration_name) from _prisma_migrations where rolled_back_at is null";
        let begun = self.database.connect().query_one(begun, &[]).map_or(0, |row| row.get::<_, i64>(0));
        let all = fs::read_dir(self.project.path("prisma/postgres/migrations"))
            .unwrap()
            .flatten()
            .filter(|it| it.path().is_dir())
            .count();
        let pending = i64::try_from(all).unwrap() - begun;
        is(i64::try_from(told.len()).unwrap() == pending, || {
            format!("the record says {} pending, and it is {pending}", told.len())
        })
    }

    /// What is typed next: what the run asked for, or `again`, and then whatever each run asks for, until one has nothing more to ask.
    pub fn follow(&self, answer: &Answer, again: &str) -> Held<Vec<String>> {
        let asked = serde_json::from_str(&answer.stdout).ok().and_then(|json: Value| hint(&json));
        let mut next = Some(asked.unwrap_or_else(|| again.to_owned()));
        let mut typed = Vec::new();
        while let Some(command) = next {
            is(typed.len() < 10, || format!("the hints lead nowhere: {typed:?}"))?;
            typed.push(command.clone());
            let answer = self.project.run(&command.split(' ').chain(["--json"]).collect::<Vec<_>>());
            next = serde_json::from_str(&answer.stdout).ok().and_then(|json: Value| hint(&json));
            if next.is_none() {
                is(answer.code == 0, || format!("{typed:?} ended with {}: {}", answer.code, answer.failure()))?;
            }
        }
        Ok(typed)
    }

    /// At the end: ledger and catalog are what the migrations make, every row is there, and the evidence is whole.
    pub fn at_the_end(&self) -> Held {
        self.forward_finds_nothing_wrong()?;
        self.records_are_closed()?;
        let verified = self.project.run(&["evidence", "verify"]);
        is(verified.code == 0, || format!("`evidence verify`: {}{}", verified.stdout, verified.stderr))?;
        self.rows_are_there()
    }

    /// A reset that went through, or was not put right by its hints alone, has the rows in a snapshot.
    pub fn rows_back(&self) -> Held {
        if self.rows_are_there().is_err() {
            let restored = self.project.run(&["restore", "--confirm"]);
            is(restored.code == 0, || format!("`restore`: {}", restored.failure()))?;
        }
        Ok(())
    }

    pub fn forward_finds_nothing_wrong(&self) -> Held {
        let forward = self.project.run(&["forward"]);
        is(forward.code == 0, || format!("`forward` at the end: {}", forward.failure()))
    }

    /// By their own runs, or by those that came after a kill, which also removed what that left in folders.
    pub fn records_are_closed(&self) -> Held {
        self.no_folder_is_left()?;
        let runs = self.runs().into_iter();
        let open = runs.filter(|run| self.record(run).is_some_and(|record| record["status"] == "running"));
        let open: Vec<_> = open.collect();
        is(open.is_empty(), || format!("nobody closed {open:?}"))
    }
}

/// The command that a run hints at, or a note has at its end.
fn hint(json: &Value) -> Option<String> {
    let noted = |note: &Value| note.as_str()?.split_once(": cargo xtask ").map(|(_, command)| command.to_owned());
    let hinted = json["hint_command"].as_str().and_then(|hint| hint.strip_prefix("cargo xtask ")).map(str::to_owned);
    hinted.or_else(|| json["notes"].as_array()?.iter().find_map(noted))
}

pub fn is(holds: bool, otherwise: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Waits for it.
pub fn within(time: Duration, mut holds: impl FnMut() -> bool) -> Result<(), ()> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > time {
            return Err(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn reason(error: &postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned())
}

fn is_hidden(path: &std::path::Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}
