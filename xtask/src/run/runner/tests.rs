//! What is left of a run that a bug of ours ends: stages that panic (fault injection), on a real server.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::evidence::outcome::Counts;
use crate::evidence::past::{State, read_all};
use crate::evidence::verify::Verification;
use crate::evidence::views::names::REPORT;
use crate::headway::Unit;
use crate::postgres::connection::CouldNot;
use crate::postgres::server::{self, Database};
use crate::rows::{self, snapshot};
use crate::run::ended::Ended;
use crate::run::plan::{Action, Step};
use crate::run::runner::*;
use crate::run::stage::Running;
use crate::schema::owed::{Owed, Taken};
use crate::schema::privileges::privileges_of;
use crate::settings::EvidenceSettings;
use crate::settings::colour::Colour;
use crate::settings::flags::Global;

const PASSWORD: &str = "s3cret-of-the-panic";

#[derive(Clone, Copy, PartialEq)]
enum Moment {
    /// What was typed names nothing that is there.
    Typo,
    Inspect,
    /// For a lock that another session holds, as the next one.
    WaitToInspect,
    WaitInStep,
    Consent,
    Step,
    /// While the record is locked, which poisons it.
    Record,
    /// On a thread that the stage waits for.
    Beside,
    /// The server ends every session of the run in the first step; the second one must not begin.
    SessionsEnded,
    Never,
}

/// A stage of two steps, of which the second is the one that breaks.
struct Breaks(Moment);

impl Breaks {
    /// As a server does that is restarted, and one with an administrator who wants room. Between two steps a stage holds no session.
    fn end_sessions(running: &Running<'_, Self>) -> Result<()> {
        let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                    where application_name = 'staging drill' and datname = current_database() and pid <> pg_backend_pid()";
        let ended: i64 = running.session.connect()?.client().query_one(all, &[]).unwrap().get(0);
        assert_eq!(ended, 2, "that of the lock, and the one for questions");
        std::thread::sleep(std::time::Duration::from_millis(300));
        let answer = running.session.connection().read(|t| Ok(t.query_one("select 1", &[]).unwrap().get::<_, i32>(0)));
        assert_eq!(answer?, 1, "nothing depended on that one");
        running.journal.record().outcome.extra.insert("snapshot".to_owned(), json!({ "name": "the-one-before" }));
        Ok(())
    }

    fn at(&self, moment: Moment) {
        assert!(self.0 != moment, "a panic that quotes {PASSWORD}");
    }

    fn wait(&self, session: &Session<'_>, moment: Moment) -> Result<()> {
        if self.0 != moment {
            return Ok(());
        }
        let lock = "set lock_timeout = '1500ms'; lock table public.held";
        session.connect()?.client().batch_execute(lock).could_not("lock a table")
    }
}

impl Stage for Breaks {
    type Inspection = ();
    type Action = &'static str;
    type Memory<'a> = ();

    const DEMAND: Demand = Demand::Additive;

    fn inspect(&self, session: &Session<'_>) -> Result<()> {
        self.at(Moment::Inspect);
        if self.0 == Moment::Typo {
            return Err(Failure::usage("there is no migration `1_aa`"));
        }
        self.wait(session, Moment::WaitToInspect)
    }

    fn plan(&self, _session: &Session<'_>, _inspection: &()) -> Result<Plan<&'static str>> {
        let step = |name| {
            vec![Step { name, does: "something".to_owned(), failure: "it was not done", action: Action::Builtin(name) }]
        };
        let groups = vec![step("first"), step("second")];
        let (summary, rows) = ("to break".to_owned(), Counts::default());
        Ok(Plan { stage: "breaks", summary, scripts: Vec::new(), rows, losses: Vec::new(), groups })
    }

    fn consent(&self, _session: &Session<'_>, _plan: &Plan<&'static str>, _console: &Console) -> Result<()> {
        self.at(Moment::Consent);
        Ok(())
    }

    fn open(&self, _journal: &Journal<'_>, _inspection: &()) -> Result<()> {
        Ok(())
    }

    fn memory<'a>(&self, _session: &'a Session<'a>, _inspection: &'a ()) {}

    fn builtin(running: &Running<'_, Self>, step: &&'static str) -> Result<Ended> {
        if *step == "first" && running.options.0 == Moment::SessionsEnded {
            Self::end_sessions(running)?;
        }
        if *step == "second" {
            running.options.at(Moment::SessionsEnded);
            running.options.wait(running.session, Moment::WaitInStep)?;
            running.options.at(Moment::Step);
            std::thread::scope(|scope| {
                scope.spawn(|| running.options.at(Moment::Beside));
            });
            let _record = running.journal.record();
            running.options.at(Moment::Record);
        }
        Ok(Ended::Done("done".to_owned()))
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.qa
    }
}

/// A project whose staging is a database of its own.
struct Project {
    folder: TempDir,
    database: Database,
    settings: Settings,
}

impl Project {
    fn new() -> Project {
        let (folder, database) = (tempfile::tempdir().unwrap(), Database::new());
        let root = folder.path().canonicalize().unwrap();
        symlink(chores::setup::packages().join("node_modules"), root.join("node_modules")).unwrap();
        let url = server::url(&format!("postgres:{PASSWORD}"), &database.name);
        fs::write(root.join(".env.staging"), format!("DATABASE_URL={url}\n")).unwrap();
        let name = &database.name;
        let allowed = format!("[targets.staging]\nallow_hosts = [\"127.0.0.1\"]\nallow_databases = [\"{name}\"]\n");
        fs::write(root.join("drill.toml"), allowed).unwrap();
        let (target, root) = ("staging".to_owned(), Some(root));
        let quiet = true;
        let global = Global {
            target,
            root,
            quiet,
            sandbox: false,
            env_file: None,
            plan: false,
            json: false,
            record: false,
            trace: None,
            color: Colour::Auto,
            plain: false,
        };
        let mut settings = Settings::load(&global).unwrap();
        settings.environment.retain(|name, _| name == "PATH");
        Project { folder, database, settings }
    }

    fn runner<'a>(&'a self, console: &'a Console, interrupt: &'a Interrupt) -> Runner<'a> {
        let argv = vec!["breaks".to_owned()];
        Runner { settings: &self.settings, console, interrupt, command: "breaks", argv, plan_only: false }
    }

    /// How a run of `Breaks` ended for the user.
    fn run(&self, moment: Moment) -> (Result<()>, Outcome) {
        let (console, interrupt) = (Console::new(self.settings.output), Interrupt::default());
        let drill = self.runner(&console, &interrupt);
        let mut outcome = Outcome::begin("breaks", clock::rfc3339(clock::now()));
        let result = drill.stage(&Breaks(moment), &mut outcome);
        (result, outcome)
    }

    /// What the record says of the end: of the run, and of each stage and step.
    fn ends(&self, outcome: &Outcome) -> Value {
        let folder = self.folder.path().join(outcome.evidence.as_ref().unwrap());
        let record: Value = serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
        let stages = record["stages"].as_array().unwrap().iter().map(|stage| {
            let steps = stage["steps"].as_array().unwrap().iter().map(|step| step["status"].clone());
            json!([stage["status"], steps.collect::<Vec<_>>()])
        });
        let stages: Vec<Value> = stages.collect();
        json!({ "status": record["status"], "exit_code": record["exit_code"], "error": record["error"]["message"], "stages": stages })
    }

    /// Every file of the project but the one that holds the password by right.
    fn texts(&self) -> String {
        let files = crate::files::plain(self.folder.path()).unwrap();
        let written = files.iter().filter(|(name, _)| !name.contains("node_modules") && name != ".env.staging");
        written.map(|(_, path)| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect()
    }
}

#[test]
fn a_panic_ends_as_a_bug_with_the_evidence_closed_and_everything_let_go() {
    let project = Project::new();
    let broke = |stages: Value| json!({"status": "bug", "exit_code": 70, "error": BROKE, "stages": stages});
    let begun = json!([["bug", ["ok", "bug"]]]);
    let moments = [
        (Moment::Inspect, json!([])),
        (Moment::Consent, json!([])),
        (Moment::Step, begun.clone()),
        (Moment::Record, begun.clone()),
        (Moment::Beside, begun),
    ];
    for (count, (moment, stages)) in moments.into_iter().enumerate() {
        let (result, outcome) = project.run(moment);
        let failure = result.unwrap_err();
        assert_eq!(failure.status, Status::Bug, "{failure:?}");
        assert_eq!(project.ends(&outcome), broke(stages));
        let runs = read_all(&project.settings.evidence_dir()).unwrap();
        assert_eq!(runs.len(), count + 1);
        assert!(runs.iter().all(|past| past.state == State::Closed), "{runs:?}");
    }
    let (result, outcome) = project.run(Moment::Never); // the run's lock was let go, or this would be refused
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(project.ends(&outcome)["stages"], json!([["ok", ["ok", "ok"]]]));
    let verification = Verification::of(&project.settings).unwrap();
    assert_eq!((verification.runs.len(), verification.findings), (6, vec![]));
    let texts = project.texts();
    assert!(texts.contains(REPORT) && texts.contains(BROKE) && !texts.contains(PASSWORD));
    let feedback = fs::read_to_string(project.folder.path().join("feedback/qa.md")).unwrap();
    assert_eq!(feedback.matches("run.json sha256").count(), 6, "{feedback}");
    let left = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    let mut database = project.database;
    assert_eq!(database.ask::<i64>(left), 0);
}

#[test]
fn a_run_whose_lock_the_server_has_ended_begins_no_further_step_and_says_where_the_rows_are() {
    let project = Project::new();
    let (result, outcome) = project.run(Moment::SessionsEnded);
    let failure = result.unwrap_err();
    let lost = "the lock of this run is lost, so nothing more was changed";
    assert_eq!((failure.status, failure.message.as_str()), (Status::Failed, lost));
    assert_eq!(failure.causes().next().as_deref(), Some("the session that held it has ended"));
    assert_eq!(
        failure.notes,
        [
            "another run may have begun since, and only one at a time may change the database",
            "the rows from before are in the snapshot `the-one-before`"
        ]
    );
    let ends = json!({"status": "failed", "exit_code": 1, "error": lost, "stages": [["failed", ["ok", "failed"]]]});
    assert_eq!(project.ends(&outcome), ends);
    assert!(project.run(Moment::Never).0.is_ok());
}

#[test]
fn a_lock_of_another_session_blocks_a_run_that_names_it_wherever_it_waited() {
    let mut project = Project::new();
    project.database.run("create table held ()");
    let mut holder = server::open(&project.database.name);
    holder.client().batch_execute("begin; lock table public.held in access share mode").unwrap();
    let pid: i32 = holder.client().query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    for (moment, stages) in
        [(Moment::WaitToInspect, json!([])), (Moment::WaitInStep, json!([["blocked", ["ok", "failed"]]]))]
    {
        let (result, outcome) = project.run(moment);
        let failure = result.unwrap_err();
        let causes: Vec<String> = failure.causes().collect();
        let by = format!("backend pid {pid} (role `postgres`, `xtask tests`, idle in transaction since ");
        assert_eq!(causes.len(), 2, "{causes:?}");
        assert!(causes[1].starts_with(&by) && causes[1].ends_with(") holds a lock on `held`"), "{causes:?}");
        let ends = json!({"status": "blocked", "exit_code": 4, "error": "could not lock a table", "stages": stages});
        assert_eq!(project.ends(&outcome), ends);
    }
}

#[test]
fn a_run_that_cannot_connect_leaves_its_record_and_its_entry() {
    let project = Project::new();
    let url = format!("postgresql://postgres:{PASSWORD}@127.0.0.1:1/{}", project.database.name);
    fs::write(project.folder.path().join(".env.staging"), format!("DATABASE_URL={url}\n")).unwrap();
    let (result, outcome) = project.run(Moment::Never);
    let failure = result.unwrap_err();
    assert_eq!(failure.status, Status::Blocked, "{failure:?}");
    let ends = json!({"status": "blocked", "exit_code": 4, "error": failure.message, "stages": []});
    assert_eq!(project.ends(&outcome), ends);
    let texts = project.texts();
    assert!(texts.contains("run.json sha256") && !texts.contains(PASSWORD), "{texts}");
    assert_eq!(Verification::of(&project.settings).unwrap().findings, vec![]);
}

#[test]
fn what_was_mistyped_leaves_no_trace() {
    let project = Project::new();
    let (result, outcome) = project.run(Moment::Typo);
    assert_eq!(result.unwrap_err().status, Status::Usage);
    assert_eq!(outcome.evidence, None);
    assert!(!project.folder.path().join("feedback").exists());
}

#[allow(clippy::disallowed_methods, reason = "a repository for the test, made without the code under test")]
fn git(folder: &Path, words: &str) {
    let mut git = std::process::Command::new("git");
    git.current_dir(folder).args(["-c", "user.name=t", "-c", "user.email=t@t"]).args(words.split(' '));
    assert!(git.output().unwrap().status.success(), "{words}");
}

/// In a repository whose project is a folder of it.
#[test]
fn what_runs_leave_behind_is_no_uncommitted_change() {
    let project = Project::new();
    let root = project.folder.path();
    fs::write(root.join(".gitignore"), "node_modules\n.env.staging\n").unwrap();
    fs::create_dir(root.join("feedback")).unwrap();
    fs::write(root.join("feedback/qa.md"), "# QA\n").unwrap();
    ["init -q", "add .", "commit -qm first"].iter().for_each(|words| git(root, words));
    let is_dirty = || {
        let (result, outcome) = project.run(Moment::Never);
        assert!(result.is_ok(), "{result:?}");
        let record = fs::read(root.join(outcome.evidence.unwrap()).join("run.json")).unwrap();
        serde_json::from_slice::<Value>(&record).unwrap()["git"]["dirty"].as_bool().unwrap()
    };
    fs::create_dir(root.join(".drill")).unwrap();
    fs::write(root.join(".drill/cache"), "of this machine").unwrap();
    assert_eq!([is_dirty(), is_dirty()], [false, false]);
    fs::write(root.join("feedback/notes.md"), "mine").unwrap();
    assert!(is_dirty(), "a file of a person in the same folder");
    fs::remove_file(root.join("feedback/notes.md")).unwrap();
    fs::write(root.join("drill.toml"), fs::read_to_string(root.join("drill.toml")).unwrap() + "# changed\n").unwrap();
    assert!(is_dirty());
}

/// A checkout has what git keeps, and says so; what is changed or taken in part is found all the same.
#[test]
fn of_a_summary_that_git_keeps_the_record_is_verified_and_nothing_else_is_claimed() {
    let mut project = Project::new();
    project.settings.evidence.summary_alone = true;
    let root = project.folder.path().to_owned();
    ["init -q"].iter().for_each(|words| git(&root, words));
    let (result, outcome) = project.run(Moment::Never);
    assert!(result.is_ok(), "{result:?}");
    let name = outcome.evidence.unwrap().rsplit('/').next().unwrap().to_owned();
    let whole = Verification::of(&project.settings).unwrap();
    assert_eq!((whole.findings, whole.summaries.len()), (vec![], 0));
    git(&root, "add feedback");
    git(&root, "commit -qm evidence");
    fs::remove_file(root.join("feedback/evidence").join(&name).join(REPORT)).unwrap();
    let in_part = Verification::of(&project.settings).unwrap();
    assert_eq!(in_part.findings.iter().map(|found| found.file.as_deref()).collect::<Vec<_>>(), [Some(REPORT)]);
    git(&root, "clean -qfdx feedback");
    let checkout = Verification::of(&project.settings).unwrap();
    assert_eq!((checkout.findings, checkout.summaries), (vec![], [name.clone()].into()));
    assert!(checkout.notes.iter().any(|note| note.contains("none of its files was verified")), "{:?}", checkout.notes);
    let record = root.join("feedback/evidence").join(&name).join("run.json");
    fs::write(&record, fs::read_to_string(&record).unwrap().replace("\"ok\"", "\"OK\"")).unwrap();
    assert!(!Verification::of(&project.settings).unwrap().findings.is_empty(), "its entry holds the digest");
    project.settings.evidence.summary_alone = false;
    assert!(Verification::of(&project.settings).unwrap().findings.len() > 2, "all of it was to be kept");
}

/// How many rows there are and what is said of them, and how many of them were seen, with their bytes.
type RowsSeen = BTreeMap<(Option<u64>, String), (u64, u64)>;

/// What `work` counts in rows while it is done.
fn counted_rows<T>(session: &Session<'_>, work: impl FnOnce() -> T) -> (T, RowsSeen) {
    std::thread::scope(|scope| {
        let (working, ended) = channel::<()>();
        let seen = scope.spawn(move || {
            let mut seen = BTreeMap::new();
            while ended.recv_timeout(Duration::from_micros(200)) == Err(RecvTimeoutError::Timeout) {
                for now in session.headway.look().into_iter().filter(|now| now.unit == Unit::Rows && now.done > 0) {
                    seen.insert((now.total, now.name), (now.done, now.bytes));
                }
            }
            seen
        });
        let done = work();
        drop(working);
        (done, seen.join().unwrap())
    })
}

#[test]
fn what_lasts_counts_the_rows_that_it_has_done() {
    const ROWS: u64 = 250_000;
    let mut project = Project::new();
    project.database.run("create table public.many (id int primary key, word text)");
    let (console, interrupt) = (Console::new(project.settings.output), Interrupt::default());
    let runner = project.runner(&console, &interrupt);
    let declared = runner.declare().unwrap();
    let mut outcome = Outcome::begin("breaks", clock::rfc3339(clock::now()));
    let session = runner.reach(&declared, &declared.redactor(), Demand::Additive, &mut outcome).unwrap();
    let (_, made) = counted_rows(&session, || rows::seed::fill(&session, ROWS).unwrap());
    assert!(made[&(Some(ROWS), String::new())].0 >= 100_000, "{made:?}");
    let known = [("public.many".to_owned(), ROWS)].into();
    let (snapshot, copied) =
        counted_rows(&session, || snapshot::take_of(&session, "reset", &session.target.schemas(), &known).unwrap());
    let (seen, bytes) = copied[&(Some(ROWS), String::new())];
    assert!(seen <= ROWS && bytes > seen, "{copied:?}");
    let fit = snapshot::fit(&mut session.connect().unwrap(), "it", snapshot.contents(), false).unwrap();
    let (put_back, counted) = counted_rows(&session, || snapshot::put_back(&session, &snapshot, &fit).unwrap());
    let names: Vec<&str> = counted.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!((put_back, names), (ROWS, vec!["before indexes, keys and a comparison", "read back and compared"]));
    let unknown = counted_rows(&session, || {
        snapshot::take_of(&session, "reset", &session.target.schemas(), &Counts::default()).unwrap()
    })
    .1;
    assert!(unknown.keys().all(|(total, _)| total.is_none()) && !unknown.is_empty(), "{unknown:?}");
}

#[test]
fn no_snapshot_goes_while_a_reset_that_was_cut_short_owes_something() {
    let mut project = Project::new();
    project.database.run("create table public.empty (id int)");
    let (console, interrupt) = (Console::new(project.settings.output), Interrupt::default());
    let runner = project.runner(&console, &interrupt);
    let declared = runner.declare().unwrap();
    let mut outcome = Outcome::begin("breaks", clock::rfc3339(clock::now()));
    let session = runner.reach(&declared, &declared.redactor(), Demand::Additive, &mut outcome).unwrap();
    let take = || snapshot::take_of(&session, "reset", &session.target.schemas(), &Counts::default()).unwrap();
    // One of long ago, dated by its name since it is not whole.
    let old = take().folder.with_file_name("20000101T000000Z-abcdef");
    fs::create_dir(&old).unwrap();
    let privileges = privileges_of(&mut session.connect().unwrap(), &["public"]).unwrap();
    Owed::write_down(&session, Taken { privileges, ..Taken::default() }).unwrap();
    take();
    assert!(old.exists());
    Owed::settle(&session).unwrap();
    assert_eq!(take().pruned, ["20000101T000000Z-abcdef"]);
    assert!(!old.exists());
}
