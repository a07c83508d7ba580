//! Ctrl-C, SIGTERM and a killed child in the middle of a migration: the tree ends, the server is waited for, the record is true.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use rustix::process::Signal;
use serde_json::Value;

use crate::project::{Project, program, stop};
use crate::server::{self, Database};
use crate::streams::on_a_terminal;

const SLOW: &str = "create table slow_one (id int);\nselect pg_sleep(4);\ncreate table slow_two (id int);\n";

fn busy(database: &Database) -> i64 {
    // In this database: the replay runs the same script in a throw-away one.
    database.one(
        "select count(*) from pg_stat_activity where datname = current_database() and query like '%pg_sleep(4)%'
            and pid <> pg_backend_pid() and state = 'active'",
    )
}

/// Waits until another session of the database runs a statement that is LIKE `pattern`.
pub fn await_statement(database: &Database, pattern: &str) {
    let running = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
            and state = 'active' and query ilike '{pattern}'"
    );
    let begun = Instant::now();
    while database.one::<i64>(&running) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{pattern} never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn await_migration(database: &Database) {
    let begun = Instant::now();
    while busy(database) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the migration never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a Node or engine process of `project` is still there.
fn orphans(project: &Project) -> Vec<String> {
    let marker = project.path("").display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
        if cmdline.contains(&marker) {
            found.push(cmdline);
        }
    }
    found
}

fn interrupted(name: &str, signal: Signal, code: i32) {
    let (project, database) = Project::on_staging(name);
    project.migration("20260101000000_slow", SLOW);
    let child = project.start(&["forward", "--json"]);
    await_migration(&database);
    let answer = stop(child, signal).expect(code);
    assert_eq!(busy(&database), 0, "it waited for the server to finish");
    assert_eq!(orphans(&project), Vec::<String>::new());
    let json = answer.json();
    assert_eq!(json["status"], "interrupted");
    let record: Value =
        serde_json::from_str(&project.read(&format!("{}/run.json", json["evidence"].as_str().unwrap()))).unwrap();
    assert_eq!(record["status"], "interrupted");
    assert!(!record["finished_at"].is_null(), "the evidence is closed");
    let steps = record["stages"][0]["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["status"] != "running"), "{steps:?}");
    // What the record says is what the server says.
    let applied: i64 = database.one("select count(*) from _prisma_migrations where finished_at is not null");
    assert_eq!(record["migrations"]["applied"].as_array().unwrap().len(), usize::try_from(applied).unwrap());
    project.assert_no_secret(&[&answer]);
}

#[test]
fn ctrl_c_in_a_migration_ends_with_130_and_a_true_record() {
    interrupted("interrupt_int", Signal::INT, 130);
}

#[test]
fn sigterm_in_a_migration_ends_with_143_and_a_true_record() {
    interrupted("interrupt_term", Signal::TERM, 143);
}

/// Our own statement, which no child ends: on the target's server, and on one of its own where the history acts on the server.
#[test]
fn ctrl_c_in_a_replay_cancels_it() {
    let (project, database) = Project::on_staging("interrupt_replay");
    let sleep = "select case when current_database() like 'drill_%' then pg_sleep(30) end;\n";
    project.migration("20260101000000_slow", sleep);
    let shared = || Some(server::shared().superuser("postgres"));
    let own = || {
        let state = std::fs::read(project.path(".drill/ephemeral/0/state.json")).ok()?;
        let state: Value = serde_json::from_slice(&state).ok()?;
        let (password, port) = (state["password"].as_str()?, state["port"].as_u64()?);
        Client::connect(&format!("postgresql://postgres:{password}@127.0.0.1:{port}/postgres"), NoTls).ok()
    };
    // Other tests' replays sleep on the shared server, too.
    let ours = format!("usename = '{}'", database.user);
    let places: [(&dyn Fn() -> Option<Client>, &str); 2] = [(&shared, &ours), (&own, "true")];
    for (place, whose) in places {
        let mut child = project.start(&["forward"]);
        let asleep = format!(
            "select count(*) from pg_stat_activity where datname like 'drill_%' and wait_event = 'PgSleep' and {whose}"
        );
        while place().is_none_or(|mut server| server.query_one(&asleep, &[]).unwrap().get::<_, i64>(0) == 0) {
            assert_eq!(child.try_wait().unwrap(), None);
            std::thread::sleep(Duration::from_millis(50));
        }
        let begun = Instant::now();
        let answer = stop(child, Signal::INT).expect(130);
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        assert!(answer.stderr.contains("error: stopped by Ctrl-C\n"), "{}", answer.stderr);
        project.migration("20260101000000_slow", &format!("create role {}_made;\n{sleep}", database.user));
    }
}

/// A question is waited for as long as nobody answers it, and not longer.
#[test]
fn ctrl_c_ends_a_question() {
    let (project, _database) = Project::on_staging("interrupt_question");
    let (mut run, terminal) = on_a_terminal(&project, "exec setsid -c \"$@\"", &["claim"]);
    let (mut shown, mut asked) = (File::from(terminal), Vec::new());
    while !String::from_utf8_lossy(&asked).contains("Type the database's name") {
        let mut bytes = [0; 512];
        let count = shown.read(&mut bytes).unwrap();
        asked.extend_from_slice(&bytes[..count]);
    }
    let begun = Instant::now();
    // As the terminal makes of it a SIGINT for who is at it.
    shown.write_all(b"\x03").unwrap();
    let code = run.wait().unwrap().code();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(code, Some(130));
    assert_eq!(project.run(&["evidence", "list", "--json"]).expect(0).json()["runs"][0]["status"], "interrupted");
}

#[test]
fn a_deadline_stops_a_migration_and_says_what_the_database_is() {
    let (project, database) = Project::on_staging("interrupt_deadline");
    project.migration("20260101000000_slow", SLOW);
    project.drill_toml(&format!("{}\n[timeouts]\nmigrate = 3\n", crate::project::DRILL_TOML));
    let answer = project.run(&["forward"]).expect(1);
    // How far it came in this time is the machine's.
    let failure = answer.failure();
    let first = "error: the migrations were not applied: `migrate deploy` did not end in time and was stopped\n";
    assert!(failure.starts_with(first) && failure.contains("\nnote: the database now: "), "{failure}");
    assert_eq!(busy(&database), 0);
}

/// Fault injection: an engine that dies without a word makes Prisma's CLI exit with 0. The drill must not believe it.
#[test]
fn a_dead_engine_behind_an_exit_code_of_zero_is_not_believed() {
    let (mut project, database) = Project::on_staging("interrupt_dead_engine");
    // It says its commit, as Prisma's own engines do, so that the record can name it.
    let commit = "0edf323efd1d98336f3f0a68684b56f689b900d3";
    project.write(
        "dead-engine",
        &format!("#!/bin/sh\n[ \"$*\" = --version ] && echo schema-engine-cli {commit}\nexit 0\n"),
    );
    Command::new("chmod").arg("+x").arg(project.path("dead-engine")).status().unwrap();
    let engine = project.path("dead-engine").display().to_string();
    project.env.insert("PRISMA_SCHEMA_ENGINE_BINARY".to_owned(), engine);
    let answer = project.run(&["forward", "--json"]).expect(1);
    assert_eq!(database.one::<Option<String>>("select to_regclass('public._prisma_migrations')::text"), None);
    assert!(answer.stderr.contains("error: "), "{}", answer.stderr);
    let record = project.read(&format!("{}/run.json", answer.json()["evidence"].as_str().unwrap()));
    assert!(record.contains(&format!("\"engine\": \"native (dead-engine, {commit})\"")), "{record}");
}

/// A `cargo build` beside a drill replaces the program under its feet.
#[test]
fn a_program_that_was_replaced_while_it_runs_still_stands_before_the_engine() {
    let (project, database) = Project::on_staging("interrupt_replaced");
    let copy = project.path("replaced-xtask");
    std::fs::copy(program(), &copy).unwrap();
    let mut command = Command::new(&copy);
    command.arg("--root").arg(project.path("")).args(["forward"]).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::fs::remove_file(&copy).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations where finished_at is not null"), 4);
}
