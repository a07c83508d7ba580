//! What of the sandbox grows, and goes with `sandbox prune`: old runs and snapshots, in files and as databases, servers that killed commands left, the
//! server's log.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::project::{Project, stop};

/// A server that its command did not come to throw away: the sandbox's own programs, on a cluster of their own.
fn leave_a_server(project: &Project) -> (String, PathBuf) {
    project.migration("20260101000000_role", "create role left_behind;\nselect pg_sleep(60);\n");
    let child = project.start(&["forward", "--sandbox"]);
    let base = project.path(".drill/ephemeral/0");
    while !base.join("state.json").is_file() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    stop(child, Signal::KILL);
    let state: Value = serde_json::from_slice(&fs::read(base.join("state.json")).unwrap()).unwrap();
    let data = Path::new(state["data"].as_str().unwrap()).to_owned();
    let pid = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    fs::remove_dir_all(project.path("prisma/postgres/migrations/20260101000000_role")).unwrap();
    (pid.lines().next().unwrap().to_owned(), data)
}

/// What is left of a process that nobody waited for has no command line.
fn is_alive(pid: &str) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn what_of_it_grows_is_shown_and_goes_once_that_is_confirmed() {
    let project = Project::new();
    project.run(&["sandbox", "up"]).expect(0);
    let nothing = project.run(&["sandbox", "prune", "--confirm"]).expect(0);
    assert_eq!(nothing.stdout, "nothing of the sandbox has to go\n");
    let (server, data) = leave_a_server(&project);
    let log = project.path(".drill/sandbox/postgres.log");
    fs::write(&log, "a line of the server that nobody reads any more\n".repeat(10_000)).unwrap();
    // There is no snapshot that it could put back.
    (0..3).for_each(|_| drop(project.run(&["restore", "--sandbox", "--confirm"]).expect(4)));

    let shown = project.run(&["sandbox", "prune", "--keep", "1", "--json"]).expect(0).json();
    let prune = &shown["prune"];
    assert_eq!((&prune["confirmed"], prune["log_bytes"].as_u64()), (&json!(false), Some(480_000 - (256 << 10))));
    assert_eq!((prune["servers"].as_array().unwrap().len(), prune["runs"].as_array().unwrap().len()), (1, 3));
    assert!(is_alive(&server) && data.exists(), "it was only shown");
    let said = project.run(&["sandbox", "prune", "--keep", "1"]).expect(0).stdout;
    let size = regex::Regex::new(r"\d+(\.\d)? [KM]B").unwrap();
    insta::assert_snapshot!(size.replace_all(&said, "SIZE"), @r"
    of the sandbox would go, SIZE:
      3 runs, SIZE
      1 throw-away server, SIZE, left by a command that was killed
      the beginning of the server's log, SIZE
    to do it: cargo xtask sandbox prune --keep 1 --confirm
    ");

    // A run is at work: what it writes would be taken away beneath it.
    let url = project.run(&["sandbox", "url"]).expect(0).stdout;
    let mut other = postgres::Client::connect(url.trim().split('?').next().unwrap(), postgres::NoTls).unwrap();
    other.batch_execute("select pg_advisory_lock(8319388092774050924)").unwrap();
    let blocked = project.run(&["sandbox", "prune", "--keep", "1", "--confirm"]).expect(4);
    assert!(blocked.stderr.contains("another run of the drill is at work"), "{}", blocked.stderr);
    assert!(data.exists());
    drop(other);

    let done = project.run(&["sandbox", "prune", "--keep", "1", "--confirm"]).expect(0);
    assert!(done.stdout.starts_with("removed from the sandbox, "), "{}", done.stdout);
    assert!(!is_alive(&server) && !data.exists());
    let left = fs::read_to_string(&log).unwrap();
    assert!(left.len() <= 256 << 10 && left.starts_with("a line of the server"), "{} bytes", left.len());
    project.run(&["evidence", "verify", "--sandbox"]).expect(0);
    assert_eq!(
        project.run(&["evidence", "list", "--sandbox", "--json"]).expect(0).json()["runs"].as_array().unwrap().len(),
        2
    );
    let nothing = project.run(&["sandbox", "prune", "--keep", "1"]).expect(0);
    assert_eq!(nothing.stdout, "nothing of the sandbox has to go\n");
}

/// The rows of a table that was emptied since are in one snapshot alone, which stays whatever its age.
#[test]
fn old_snapshots_go_with_their_databases_and_the_only_copy_of_rows_stays() {
    let project = Project::new();
    project.run(&["forward", "--sandbox"]).expect(0);
    let url = project.run(&["sandbox", "url"]).expect(0).stdout;
    let connect = || postgres::Client::connect(url.trim().split('?').next().unwrap(), postgres::NoTls).unwrap();
    let fill = |table: &str, rows: i32| {
        let row = if table == "Session" {
            "(id, shop, state, \"accessToken\") select i::text, 's', 's', 't'"
        } else {
            "(scope, actor, action) select 's', 'a', i::text"
        };
        connect().batch_execute(&format!("insert into \"{table}\" {row} from generate_series(1, {rows}) i")).unwrap();
    };
    let toml = project.read("drill.toml");
    let keep_as = |what: &str| project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"{what}\"\n"));
    let snapshots = || {
        let list = project.run(&["restore", "--list", "--sandbox", "--json"]).expect(0).json();
        let list = list["snapshots"].as_array().unwrap().clone();
        list.iter().rev().map(|one| format!("{} {}", one["kind"].as_str().unwrap(), one["rows"])).collect::<Vec<_>>()
    };
    for (kept, table, rows) in
        [("files", "DecisionLog", 3), ("database", "Session", 5), ("files", "Session", 4), ("files", "Session", 5)]
    {
        keep_as(kept);
        fill(table, rows);
        project.run(&["reset", "--sandbox", "--confirm", "-q"]).expect(0);
    }
    assert_eq!(snapshots(), ["files 3", "database 5", "files 4", "files 5"]);
    let copies = || connect().query("select 1 from pg_database where datname like 'drill_copy%'", &[]).unwrap().len();
    assert_eq!(copies(), 1);

    let shown = project.run(&["sandbox", "prune", "--keep", "1", "--json"]).expect(0).json();
    let kinds: Vec<_> = shown["prune"]["snapshots"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["files", "database"]);
    assert_eq!((snapshots().len(), copies()), (4, 1), "it was only shown");
    project.run(&["sandbox", "prune", "--keep", "1", "--confirm"]).expect(0);
    assert_eq!((snapshots(), copies()), (vec!["files 3".to_owned(), "files 5".to_owned()], 0));
    project.run(&["evidence", "verify", "--sandbox"]).expect(0);
    project.run(&["restore", "--sandbox", "--confirm"]).expect(0);
    assert_eq!(connect().query_one("select count(*) from \"Session\"", &[]).unwrap().get::<_, i64>(0), 5);
}
