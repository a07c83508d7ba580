//! A reset that keeps a database, and what undoes it; killed wherever the server makes, marks or renames one.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::project::{Answer, Project, claim, stop};
use crate::server::{Database, Server, fingerprint};

const ROWS: &str = r#"insert into "Session" (id, shop, state, "accessToken") select i::text, 's', 's', 't' from generate_series(1, 500) i;
    insert into "DecisionLog" (scope, actor, action) select 's', 'a', i::text from generate_series(1, 700) i"#;

/// On a server of its own: what keeps a run waiting keeps every run of the server.
fn staging(name: &str) -> (Project, Database, Server) {
    let (project, server) = (Project::new(), Server::start());
    let database = server.database(name);
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
    let toml = project.read("drill.toml");
    project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"database\"\n"));
    project.run(&["forward"]).expect(0);
    claim(&project, &database);
    database.execute(ROWS);
    (project, database, server)
}

fn copies(server: &Server, database: &Database) -> Vec<String> {
    let sql =
        "select datname::text from pg_database where datname like 'drill_copy_%' and datname like $1 order by oid";
    server
        .superuser("postgres")
        .query(sql, &[&format!("%{}", database.name)])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

fn oid(database: &Database) -> u32 {
    database.one("select oid from pg_database where datname = current_database()")
}

fn notes(answer: &Answer) -> String {
    answer.json()["notes"].to_string()
}

/// Runs `args` until the server has it at `before`, then holds `gate`, waits until that keeps it waiting at `statement`, kills it there, and lets the
/// server go on.
fn kill_at(server: &Server, project: &Project, args: &[&str], [before, gate, statement]: [&str; 3]) {
    let (mut holder, mut watcher) = (server.superuser("postgres"), server.superuser("postgres"));
    holder.batch_execute("begin").unwrap();
    if before.is_empty() {
        holder.batch_execute(gate).unwrap();
    }
    let mut child = project.start(args);
    let mut until = |condition: &str, statement: &str| {
        let sql = format!(
            "select count(*) from pg_stat_activity where {condition} and query ~* $1 and pid <> pg_backend_pid()"
        );
        let begun = Instant::now();
        while watcher.query_one(&sql, &[&statement]).unwrap().get::<_, i64>(0) == 0 {
            if child.try_wait().unwrap().is_some() || begun.elapsed() > Duration::from_secs(60) {
                panic!("{args:?} never came to {statement}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    if !before.is_empty() {
        until("state = 'active'", before);
        holder.batch_execute(gate).unwrap();
    }
    until("wait_event_type = 'Lock'", statement);
    assert_eq!(stop(child, Signal::KILL).code, -1);
    holder.batch_execute("rollback").unwrap();
    let left = "select count(*) from pg_stat_activity where application_name = 'staging drill'";
    let begun = Instant::now();
    while watcher.query_one(left, &[]).unwrap().get::<_, i64>(0) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the server never came to an end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reset_is_undone_by_a_rename_and_that_by_the_next_restore() {
    let (project, database, _server) = staging("copies_reset");
    let (rows, before) = (fingerprint(&database), oid(&database));
    project.run(&["reset", "--confirm"]).expect(0);
    let empty = fingerprint(&database);
    assert_ne!(empty, rows);
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("is the newest snapshot now"), "{}", notes(&answer));
    assert_eq!(fingerprint(&database), rows);
    assert_ne!(oid(&database), before);
    project.run(&["status"]).expect(0);
    let list = project.run(&["restore", "--list", "--json"]).expect(0).json()["snapshots"].clone();
    project.run(&["restore", list[0]["name"].as_str().unwrap(), "--confirm"]).expect(0);
    assert_eq!((fingerprint(&database), oid(&database)), (empty, before));
    project.run(&["forward"]).expect(0);
    // A newer history: the copy's schema is the older one, so its rows go back one table after the other.
    project.migration("20270101000000_more", "create table more (n int); insert into more values (1)");
    project.run(&["forward"]).expect(0);
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("the schema is not the copy's"), "{}", notes(&answer));
    database.execute("drop table more");
    assert_eq!((fingerprint(&database), oid(&database)), (rows, before));
}

#[test]
fn a_kill_while_the_server_makes_a_copy_loses_nothing_and_leaves_nothing() {
    let (project, database, server) = staging("copies_killed_making");
    let rows = fingerprint(&database);
    let before = format!("comment on database {} is 'wait'", database.name);
    let gates = [
        // Before it is there, and when it is and has no mark.
        ["", before.as_str(), "^create database \"drill_copy"],
        [
            "^create database \"drill_copy",
            "lock table pg_catalog.pg_shdescription in share mode",
            "comment on database \"drill_copy",
        ],
    ];
    for gate in gates {
        kill_at(&server, &project, &["reset", "--confirm"], gate);
        assert_eq!(fingerprint(&database), rows);
        assert_eq!(copies(&server, &database).len(), 1, "what was sent is done");
    }
    project.run(&["reset", "--confirm"]).expect(0);
    assert_eq!(copies(&server, &database).len(), 1);
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!((fingerprint(&database), copies(&server, &database).len()), (rows, 1));
}

#[test]
fn a_kill_around_the_renaming_leaves_a_target_and_the_next_restore_ends_it() {
    let (project, database, server) = staging("copies_killed_renaming");
    let rows = fingerprint(&database);
    project.run(&["reset", "--confirm"]).expect(0);
    let (empty, before) = (fingerprint(&database), oid(&database));
    let copy = copies(&server, &database).swap_remove(0);
    let of = |name: &str| format!("alter database {name} connection limit 77");
    let gates = [
        ["", "lock table pg_catalog.pg_database in share mode", "^create database \"drill_replay"],
        ["", "lock table pg_catalog.pg_shdescription in share mode", "comment on database %I"],
        ["", &of(&database.name), "alter database .* rename to"],
        ["", &of(&copy), "alter database .* rename to"],
    ];
    for gate in gates {
        kill_at(&server, &project, &["restore", "--confirm"], gate);
        assert_eq!((fingerprint(&database), oid(&database)), (empty.clone(), before), "{gate:?}");
        assert_eq!(copies(&server, &database), [copy.as_str()], "{gate:?}");
    }
    // Right after it.
    let mut child = project.start(&["restore", "--confirm"]);
    let mut watcher = server.superuser("postgres");
    let now = "select oid from pg_database where datname = $1";
    while watcher.query_one(now, &[&database.name]).unwrap().get::<_, u32>(0) == before {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
    }
    stop(child, Signal::KILL);
    assert_eq!(fingerprint(&database), rows);
    assert_ne!(oid(&database), before);
    // What had the name is a snapshot of its own, and no other.
    let old = copies(&server, &database);
    assert_eq!(old.len(), 1);
    project.run(&["restore", "--plan"]);
    let list = project.run(&["restore", "--list", "--json"]).expect(0).json()["snapshots"].clone();
    let whole: Vec<_> = list.as_array().unwrap().iter().filter(|one| one["state"] == "whole").collect();
    assert_eq!(whole.len(), 1, "{list}");
    assert_eq!(whole[0]["database"]["name"], old[0].as_str());
    project.run(&["status"]).expect(0);
    project.run(&["restore", whole[0]["name"].as_str().unwrap(), "--confirm"]).expect(0);
    assert_eq!((fingerprint(&database), oid(&database)), (empty, before));
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!(fingerprint(&database), rows);
}
