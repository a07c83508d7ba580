//! Nobody reads what a run prints: a pipe that is closed, a disk that is full, a terminal that is gone. It ends the printing and nothing else.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::interrupt::await_statement;
use crate::project::Project;
use crate::server::Database;

/// What the script says of the exit code of `"$@"`, on a stream of its own.
const SAID: &str = "echo $? > code";

/// The exit code, the record and the ledger of a `forward` that is started by `script`.
fn assert_forwards(name: &str, script: &str) {
    let (project, database) = Project::on_staging(name);
    project.shell(script, &["forward"]).output().unwrap();
    assert_eq!(project.read("code").trim(), "0");
    assert_eq!(applied(&database), 4);
    let record = record(&project);
    assert_eq!((&record["status"], &record["exit_code"]), (&"ok".into(), &0.into()));
    assert!(!record["finished_at"].is_null());
    project.run(&["evidence", "verify"]).expect(0);
}

fn applied(database: &Database) -> i64 {
    database.one("select count(*) from _prisma_migrations where finished_at is not null")
}

/// Of the only run of `project`.
fn record(project: &Project) -> Value {
    let record = project.files().into_iter().find(|file| file.ends_with("run.json")).unwrap();
    serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap()
}

#[test]
fn a_full_disk_on_both_streams_ends_no_run() {
    assert_forwards("streams_full", &format!("\"$@\" > /dev/full 2> /dev/full; {SAID}"));
}

#[test]
fn closed_streams_end_no_run() {
    assert_forwards("streams_closed", &format!("\"$@\" >&- 2>&-; {SAID}"));
}

/// `| head -1`, which leaves in the middle of the run.
#[test]
fn a_reader_that_leaves_ends_no_run() {
    assert_forwards("streams_head", &format!("{{ \"$@\" 2>&1; {SAID}; }} | head -1"));
}

#[test]
fn every_kind_of_output_survives_that_nobody_reads_it() {
    let (project, _database) = Project::on_staging("streams_kinds");
    let outputs: [(&[&str], i32); 9] = [
        (&["--help"], 0),
        (&["--version"], 0),
        (&["nonsense"], 2),
        (&["forward", "--plan"], 0),
        (&["forward", "--plan", "--json"], 0),
        (&["env", "check"], 0),
        (&["restore", "--list"], 0),
        (&["evidence", "list", "--json"], 0),
        (&["forward", "--target", "nowhere"], 2),
    ];
    for (arguments, code) in outputs {
        for streams in ["> /dev/full 2> /dev/full", ">&- 2>&-", "2>&1 | true"] {
            let script = format!("{{ sleep 0.1; \"$@\"; echo $? > '{}'; }} {streams}", project.path("code").display());
            project.shell(&script, arguments).output().unwrap();
            assert_eq!(project.read("code").trim(), code.to_string(), "{arguments:?} {streams}");
        }
    }
}

/// What it masks is all that it is for: a reader that leaves has what it wanted, a full disk has not.
#[test]
fn a_filter_ends_with_its_reader_and_fails_on_a_full_disk() {
    let project = Project::new();
    let filter = |streams: &str| {
        let script = format!("yes | head -c 3000000 | {{ \"$@\" 2> said; {SAID}; }} {streams}");
        project.shell(&script, &["evidence", "redact"]).output().unwrap();
        (project.read("code").trim().to_owned(), project.read("said"))
    };
    assert_eq!(filter("| head -1"), ("0".to_owned(), String::new()));
    let full = "error: cannot filter stdin to stdout\ncaused by: No space left on device (os error 28)\n";
    assert_eq!(filter("> /dev/full"), ("1".to_owned(), full.to_owned()));
}

/// A run in a terminal of its own, in the middle of a slow migration, whose terminal goes then. Returns its exit code.
fn loses_its_terminal(project: &Project, database: &Database, script: &str) -> Option<i32> {
    project.migration("20260101000000_slow", "select pg_sleep(4);\ncreate table slow (id int);\n");
    let (mut run, terminal) = on_a_terminal(project, script, &["forward"]);
    let terminal = File::from(terminal);
    for told in ["replay 5/5 20260101000000_slow", "impact 5/5 20260101000000_slow"] {
        shows(&terminal, told);
    }
    await_statement(database, "%pg_sleep(4)%");
    drop(terminal);
    run.wait().unwrap().code()
}

/// Waits until the terminal has shown `text`.
fn shows(mut terminal: &File, text: &str) {
    let (mut seen, mut some) = (Vec::new(), [0; 1024]);
    while !String::from_utf8_lossy(&seen).contains(text) {
        let read = terminal.read(&mut some);
        let count = read.unwrap_or_else(|_| panic!("`{text}` is not in {}", String::from_utf8_lossy(&seen)));
        seen.extend_from_slice(&some[..count]);
    }
}

/// `script` as the leader of a terminal's session, and the end that shows the terminal: without it the terminal is gone.
pub fn on_a_terminal(project: &Project, script: &str, args: &[&str]) -> (Child, OwnedFd) {
    let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&shown).unwrap();
    unlockpt(&shown).unwrap();
    let path = ptsname(&shown, Vec::new()).unwrap().into_string().unwrap();
    let terminal = || File::options().read(true).write(true).open(&path).unwrap();
    let mut command = project.shell(script, args);
    command.env("TERM", "xterm").stdin(terminal()).stdout(terminal()).stderr(terminal());
    (command.spawn().unwrap(), shown)
}

#[test]
fn a_terminal_that_goes_ends_the_run_in_order() {
    let (project, database) = Project::on_staging("streams_hangup");
    let code = loses_its_terminal(&project, &database, "exec setsid -c \"$@\"");
    let record = record(&project);
    assert_eq!((code, &record["status"], &record["exit_code"]), (Some(143), &"interrupted".into(), &143.into()));
    assert!(!record["finished_at"].is_null(), "the evidence is closed");
    assert_eq!(i64::try_from(record["migrations"]["applied"].as_array().unwrap().len()).unwrap(), applied(&database));
}

/// The spinners are drawn on until the end: nothing says that the terminal is gone but the writes that fail.
#[test]
fn under_nohup_a_terminal_that_goes_ends_nothing() {
    let (project, database) = Project::on_staging("streams_nohup");
    let code = loses_its_terminal(&project, &database, "trap '' HUP; exec setsid -c \"$@\"");
    let record = record(&project);
    assert_eq!((code, &record["status"], applied(&database)), (Some(0), &"ok".into(), 5));
}
