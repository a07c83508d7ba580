//! Stages that meet a lock of somebody else: who holds it is said while it is waited for, and again in the failure, which is no failure of theirs.

use crate::project::Project;
use crate::server::Database;

const ONE_SESSION: &str =
    r#"insert into "Session" (id, shop, state, "accessToken", room) values ('1', 's', 's', 't', 'r')"#;

/// A session that somebody has forgotten, until it is dropped.
fn holder(database: &Database, hold: &str) -> (postgres::Client, String) {
    let mut holder = database.connect();
    holder.batch_execute(&format!("set application_name = 'nightly'; {hold}")).unwrap();
    let pid: i32 = holder.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    (holder, format!("backend pid {pid} (role `{}`, `nightly`, idle", database.user))
}

#[test]
fn whoever_keeps_a_stage_waiting_is_named_at_once_and_at_its_end() {
    let (project, database) = Project::on_staging("locks");
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    project.migration("20260101000000_room", "alter table \"Session\" add column room text;");
    project
        .write("prisma/postgres/migrations/20260101000000_room/down.sql", "alter table \"Session\" drop column room;");
    let read = "begin; lock table \"Session\" in access share mode";
    let write = "begin; lock table \"Session\" in row exclusive mode";
    let close = "begin; lock table \"Session\" in access exclusive mode";
    let advisory = "select pg_advisory_lock(72707369)";
    // Where it waits: a child of Prisma, a script, the fence before a snapshot, a count before anything is planned, the same of another stage.
    let cases: [(&str, &[&str], &str, &str); 5] = [
        (advisory, &["forward"], "prisma migrate deploy", "holds Prisma's migration lock"),
        (read, &["backward", "--accept-data-loss"], "staging drill", "holds a lock on `Session`"),
        (write, &["reset", "--confirm"], "staging drill", "holds a lock on `Session`"),
        (close, &["mirror"], "staging drill", "holds a lock on `Session`"),
        (close, &["restore", "--confirm"], "staging drill", "holds a lock on `Session`"),
    ];
    for (at, (hold, command, waits, lock)) in cases.into_iter().enumerate() {
        let (holder, name) = holder(&database, hold);
        let answer = project.run(command).expect(4);
        let lines: Vec<&str> = answer.stderr.lines().filter(|line| line.contains(&name)).collect();
        let starts: Vec<&str> = lines.iter().map(|line| line.split(" backend").next().unwrap()).collect();
        assert_eq!(starts, [&format!("  {waits} waits:"), "caused by:"], "{command:?}: {}", answer.stderr);
        assert!(lines.iter().all(|line| line.ends_with(lock)), "{lines:?}");
        assert!(answer.stderr.contains("note: it may end by itself, and this ends it: select pg_terminate_backend("));
        drop(holder);
        if at == 0 {
            project.run(&["forward"]).expect(0);
            database.execute(ONE_SESSION);
        }
    }
    // A stage that ended behind a lock has changed nothing.
    assert_eq!(database.one::<i64>("select count(*) from \"Session\" where room = 'r'"), 1);
}
