//! A network that stops forwarding, and a server whose processes are all stopped, at each place of a run: it ends, says what did not answer,
//! and its record is closed. What each kind of wait does by itself is tested in the pin (`xtask/crates/pin/src/tests/silence.rs`).

use std::process::Child;
use std::time::{Duration, Instant};

use chores::faults::{Network, Stopped};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::interrupt::await_statement;
use crate::project::{Answer, DRILL_TOML, Project, claim};
use crate::restore::{claimed, snapshot};
use crate::server::{self, Database, Server, fingerprint};

/// What Ctrl-C may take until the process is gone: two seconds, and as much again on a machine that runs other tests.
const SOON: Duration = Duration::from_secs(4);

/// Not in a replay, which has another database.
const SLOW: &str =
    "create table slow_one (id int);\nselect case when current_database() like '%test' then pg_sleep(6) end;\n";

/// A network between the project and the server of `database`, and seconds for `[timeouts]`.
fn behind_a_network(project: &Project, database: &Database, timeouts: &str) -> Network {
    let network = Network::to(database.port).unwrap();
    let url = database.url().replace(&format!(":{}/", database.port), &format!(":{}/", network.port));
    project.write(".env.staging", &format!("DATABASE_URL={url}\n"));
    project.drill_toml(&format!("{DRILL_TOML}\n[timeouts]\n{timeouts}\n"));
    network
}

/// Interrupts `child` `times`, and gives its answer and how long that took.
fn interrupted(child: Child, times: usize) -> (Answer, Duration) {
    let begun = Instant::now();
    for _ in 0..times {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    (answer(child), begun.elapsed())
}

fn answer(child: Child) -> Answer {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What a run is told to have come to, without what differs between two runs: of several connections that are silent, any may be given up first.
fn told(answer: &Answer) -> String {
    let varying = [
        (r"\d+\.\d+ s on the connection of `[^`]+`", "TIME on the connection of `NAME`"),
        (r"backend \d+", "backend PID"),
    ];
    varying.iter().fold(answer.failure(), |text, (pattern, name)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned()
    })
}

/// The newest record of `project`, which must be closed and verify.
fn closed_record(project: &Project) -> Value {
    let mut records: Vec<_> = project.files().into_iter().filter(|file| file.ends_with("run.json")).collect();
    records.sort();
    let record: Value = serde_json::from_slice(&std::fs::read(records.last().unwrap()).unwrap()).unwrap();
    assert!(!record["finished_at"].is_null(), "{record:#}");
    let stages = record["stages"].as_array().unwrap();
    let steps = stages.iter().flat_map(|stage| stage["steps"].as_array().unwrap());
    assert!(steps.chain(stages).all(|step| step["status"] != "running"), "{record:#}");
    project.run(&["evidence", "verify"]).expect(0);
    record
}

/// Before the first change: no answer to the login, and none to a query of the inspection.
#[test]
fn before_the_first_change_a_silent_server_blocks_and_ctrl_c_ends_the_wait() {
    let project = Project::new();
    for (bytes, said) in [(0, LOGIN), (6000, INSPECTION)] {
        let database = server::shared().database("stalls_before");
        let network = behind_a_network(&project, &database, "connect = 3\nsilence = 3");
        network.stalls_after(bytes);
        let whole = told(&project.run(&["forward"]).expect(4));
        // Which question the network swallows is a matter of bytes.
        let rest = whole.strip_prefix("error: could not ").and_then(|told| told.split_once('\n'));
        assert_eq!(rest.map_or(&*whole, |(_, rest)| rest), said);
        drop(network);
        let database = server::shared().database("stalls_before");
        let network = behind_a_network(&project, &database, "connect = 60\nsilence = 60");
        network.stalls_after(bytes);
        let child = project.start(&["forward"]);
        std::thread::sleep(Duration::from_millis(1500));
        let (answer, took) = interrupted(child, 1);
        assert!(took < SOON, "after {bytes} bytes: {took:?}");
        assert_eq!(told(&answer.expect(130)), "error: stopped by Ctrl-C");
    }
}

const LOGIN: &str = "\
error: cannot connect to `stalls_before_N_test` on 127.0.0.1:PORT\n\
caused by: 127.0.0.1:PORT did not answer the TLS handshake within 3 s\n\
note: see whether the server at 127.0.0.1:PORT still works: it takes connections and does not answer; see docs/failures/server-hangs";
/// Behind what could not be read.
const INSPECTION: &str = "\
caused by: error communicating with the server\n\
caused by: bytes remaining on stream\n\
caused by: the server does not answer: no byte for TIME on the connection of `NAME`, and none on a new one\n\
note: nothing was changed\n\
note: see whether the server at 127.0.0.1:PORT still works: it takes connections and does not answer; see docs/failures/server-hangs";

/// What the last runs of one project came to: in Prisma's child, waited out and interrupted; in the drain, when the child is gone and the run
/// waits until the server has finished what it was sent; and on a server of its own whose processes are all stopped.
#[test]
fn in_prismas_child_and_after_it_a_silent_server_is_told_and_ctrl_c_ends_the_wait() {
    let project = Project::new();
    project.migration("20260101000000_slow", SLOW);

    let (_database, network, child) = in_a_migration(&project, server::shared(), "silence = 2");
    network.stalls();
    assert_eq!(told(&answer(child).expect(1)), CHILD);
    assert_eq!(closed_record(&project)["status"], "failed");

    drop(network);
    let (_database, network, child) = in_a_migration(&project, server::shared(), "silence = 60");
    network.stalls();
    let (stopped, took) = interrupted(child, 1);
    assert!(took < SOON, "{took:?}");
    assert_eq!(told(&stopped.expect(130)), STOPPED);
    assert_eq!(closed_record(&project)["status"], "interrupted");

    drop(network);
    let (_database, network, child) = in_a_migration(&project, server::shared(), "silence = 60");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    network.stalls();
    let begun = Instant::now();
    assert_eq!(told(&answer(child).expect(130)), STOPPED);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(closed_record(&project)["status"], "interrupted");

    drop(network);
    let own = Server::start();
    let (_database, _network, child) = in_a_migration(&project, &own, "silence = 60");
    let stopped = Stopped::with_children(own.pid());
    let (answer, took) = interrupted(child, 2);
    drop(stopped);
    assert!(took < SOON, "{took:?}");
    assert!(answer.expect(130).failure().starts_with("error: stopped by Ctrl-C\ncaused by: the server "));
    assert_eq!(closed_record(&project)["status"], "interrupted");
}

const CHILD: &str = "\
error: the migrations were not applied: `migrate deploy` exited with code 1\n\
caused by: P1017: Server has closed the connection.\n\
caused by: the server does not answer: no byte for TIME on the connection of `NAME`, and none on a new one\n\
note: the state of the database could not be read: could not ask which sessions are busy\n\
note: the server may still do, or undo, what it was sent; once it answers, this shows what the database is\n\
hint: cargo xtask forward --plan";
const STOPPED: &str = "\
error: stopped by Ctrl-C\n\
caused by: the server does not answer: no byte for TIME on the connection of `NAME`, and none on a new one\n\
note: the state of the database could not be read: could not ask which sessions are busy\n\
note: the server may still do, or undo, what it was sent; once it answers, this shows what the database is\n\
hint: cargo xtask forward --plan";

/// A `forward` of a new database of `server`, through a network, while the server works on the slow migration.
fn in_a_migration(project: &Project, server: &Server, timeouts: &str) -> (Database, Network, Child) {
    let database = server.database("stalls");
    let network = behind_a_network(project, &database, timeouts);
    let mut child = project.start(&["forward"]);
    let working = "select count(*) from pg_stat_activity where datname = current_database() and state = 'active'
        and pid <> pg_backend_pid() and query like '%pg_sleep(6)%'";
    while database.one::<i64>(working) == 0 {
        assert_eq!(child.try_wait().unwrap(), None, "{:?}", answer(child));
        std::thread::sleep(Duration::from_millis(20));
    }
    (database, network, child)
}

/// COPY in both directions, stalled in the middle of a big table: rows on their way out, and on their way back.
#[test]
fn in_a_copy_ctrl_c_ends_the_wait_for_a_stalled_network() {
    let (project, database) = claimed("stalls_copy");
    database.execute(
        r#"insert into "Session" (id, shop, state, "accessToken") select i::text, 's', 's', repeat('t', 900) from generate_series(1, 60000) i"#,
    );
    // So many rows would be kept as a database, in which nothing crosses the network.
    let files = "[snapshots]\nkeep_as = \"files\"";
    project.drill_toml(&format!("{DRILL_TOML}\n{files}\n"));
    snapshot(&project);
    let network = behind_a_network(&project, &database, &format!("silence = 60\n\n{files}"));
    claim(&project, &database);
    network.stalls_after(20_000_000);
    let child = project.start(&["reset", "--confirm"]);
    await_client(&database, "copy %");
    let (answer, took) = interrupted(child, 1);
    assert!(took < SOON, "{took:?}");
    assert_eq!(told(&answer.expect(130)), OUT);
    assert_eq!(closed_record(&project)["status"], "interrupted");

    network.flows();
    let rows = fingerprint(&database);
    let child = project.start(&["restore", "--confirm"]);
    await_statement(&database, "copy %from stdin%");
    network.stalls();
    let (answer, took) = interrupted(child, 1);
    assert!(took < SOON, "{took:?}");
    assert_eq!(told(&answer.expect(130)), BACK);
    assert_eq!(closed_record(&project)["status"], "interrupted");
    // Until the server hears of the end, it holds what it has of the restore, locks included.
    drop(network);
    assert_eq!(fingerprint(&database), rows, "the server undid what it had of it");
}

const OUT: &str = "\
error: stopped by Ctrl-C\n\
caused by: the server does not answer: no byte for TIME on the connection of `NAME`, and none on a new one\n\
note: the state of the database could not be read: could not begin a read-only transaction\n\
note: the server may still do, or undo, what it was sent; once it answers, this shows what the database is\n\
hint: cargo xtask forward --plan";
const BACK: &str = "\
error: stopped by Ctrl-C\n\
caused by: the server does not answer: no byte for TIME on the connection of `NAME`, and none on a new one\n\
note: the database is as it was before: all of it was one transaction\n\
note: the rows from before are in the snapshot `RUN`\n\
note: the server may still do, or undo, what it was sent; once it answers, this shows what the database is\n\
hint: cargo xtask forward --plan";

/// Waits until a session of the database whose query is LIKE `pattern` waits for its client, and goes on waiting.
fn await_client(database: &Database, pattern: &str) {
    let waits = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and query ilike '{pattern}' and wait_event_type = 'Client'
            and state = 'active'"
    );
    let (begun, mut seen) = (Instant::now(), 0);
    while seen < 10 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{pattern} never waited");
        seen = if database.one::<i64>(&waits) > 0 { seen + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(20));
    }
}
