//! Stages that meet a lock of somebody else: who holds it is said while it is waited for, and again in the failure, which is no failure of theirs.

use crate::project::{Answer, DRILL_TOML, Project};
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
        assert!(lines.iter().all(|line| line.contains(lock)), "{lines:?}");
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

/// What is said of locks and of the end, without what differs from run to run.
fn told(answer: &Answer) -> String {
    let varying = [
        (r"pid \d+", "pid N"),
        (r"\d+(\.\d+)? m?s\b", "TIME"),
        (r"terminate_backend\(\d+\)", "terminate_backend(N)"),
        (r"looked \d+ times", "looked N times"),
    ];
    let said = answer.said();
    let lines = said.lines().skip_while(|line| !line.contains("deploy waits: "));
    let lines = lines.filter(|line| !line.contains("generate") && !line.starts_with("   "));
    let said = lines.collect::<Vec<_>>().join("\n");
    varying
        .iter()
        .fold(said, |text, (varying, name)| regex::Regex::new(varying).unwrap().replace_all(&text, *name).into_owned())
}

/// Waits until so many sessions of the database wait for a lock.
fn until_waiting(database: &Database, sessions: i64) {
    let waiting = "select count(distinct l.pid) from pg_locks l join pg_stat_activity a using (pid)
                    where not l.granted and a.datname = current_database()";
    let begun = std::time::Instant::now();
    while database.one::<i64>(waiting) < sessions {
        assert!(begun.elapsed().as_secs() < 60, "nobody waits");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Two accidents with the same cause: a session that somebody has forgotten keeps a migration in the queue, and the migration keeps everybody else there.
#[test]
fn a_deploy_leaves_the_queue_in_time_or_its_run_says_who_waited_behind_it() {
    let (project, database) = Project::on_staging("deploy_waits");
    project.run(&["forward", "-q"]).expect(0);
    let read = "begin; select 's3cret' from \"Session\" where id = 's3cret'";
    project.migration("20260101000000_room", "alter table \"Session\" add column room text;");

    let forgotten = nightly(&database, read);
    project.drill_toml(&format!("{DRILL_TOML}[prisma]\nlock_timeout = \"1500ms\"\nlock_retries = 1\n"));
    let answer = project.run(&["forward", "--json"]).expect(4);
    insta::assert_snapshot!(told(&answer), @r#"
      prisma migrate deploy waits: backend pid N (role `deploy_waits_N_test_owner`, `nightly`, idle in transaction since MOMENT) holds a lock on `Session`, and was last sent `begin; select ? from "Session" where id = ?`
      ✗ migrate deploy: exited with code 1
      it waited TIME for locks
      ✓ migrate resolve: done
      it gave up its place in the queue, and nothing of that migration was applied: try 2 of 2
      prisma migrate deploy waits: backend pid N (role `deploy_waits_N_test_owner`, `nightly`, idle in transaction since MOMENT) holds a lock on `Session`, and was last sent `begin; select ? from "Session" where id = ?`
      ✗ migrate deploy 2: exited with code 1
      it waited TIME for locks
      ✓ migrate resolve: done
      - not tried: verify ledger, verify catalog, verify waits
    error: the migrations were not applied: `migrate deploy` exited with code 1
    caused by: P3018: A migration failed to apply. New migrations cannot be applied before the error is recovered from. Read more about how to resolve migration issues in a production database: https://pris.ly/d/migrate-resolve
    caused by: Migration name: 20260101000000_room
    caused by: Database error code: 55P03
    caused by: ERROR: canceling statement due to lock timeout
    caused by: backend pid N (role `deploy_waits_N_test_owner`, `nightly`, idle in transaction since MOMENT) holds a lock on `Session`
    note: nothing of `20260101000000_room` was applied, and the ledger says so: it was marked as rolled back
    note: it may end by itself, and this ends it: select pg_terminate_backend(N)
    note: the database now: 0 migrations applied by this run, 1 pending
    note: wait for it to end, then run this again
    "#);
    let json = answer.json();
    let tries = json["deploys"].as_array().unwrap();
    assert_eq!(tries.iter().map(|one| one["attempt"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    // What was seen of it: on a busy machine the first look may be late.
    assert!(tries.iter().all(|one| (500..=3_000).contains(&one["waited_ms"].as_u64().unwrap())), "{tries:?}");
    let open = "select count(*) from _prisma_migrations where finished_at is null and rolled_back_at is null";
    assert_eq!(database.one::<i64>(open), 0);

    project.drill_toml(&format!("{DRILL_TOML}[limits]\nblocked_behind = \"900ms\"\n"));
    let answer = deployed_behind(&project, &database, forgotten).expect(5);
    insta::assert_snapshot!(told(&answer), @r#"
      prisma migrate deploy waits: backend pid N (role `deploy_waits_N_test_owner`, `nightly`, idle in transaction since MOMENT) holds a lock on `Session`, and was last sent `begin; select ? from "Session" where id = ?`
      prisma migrate deploy waits: backend pid N (role `deploy_waits_N_test_owner`, `nightly`, idle in transaction since MOMENT) holds a lock on `Session`, and was last sent `begin; select ? from "Session" where id = ?`; behind it backend pid N (role `deploy_waits_N_test_owner`, `web`) waits TIME for `Session`
      ✓ migrate deploy: done
      it waited TIME for locks; behind it backend pid N (role `deploy_waits_N_test_owner`, `web`) waited TIME for `Session`
      ✓ verify ledger: all 5 migrations are applied, none failed
      ✓ verify catalog: 49 objects are exactly what the migrations make; 39 kinds compared
      ✗ verify waits: others waited up to TIME behind `migrate deploy`, and `blocked_behind` allows TIME
    error: others waited up to TIME behind `migrate deploy`, and `blocked_behind` allows TIME
    caused by: backend pid N (role `deploy_waits_N_test_owner`, `web`) waited TIME for `Session`
    caused by: the deploy waited TIME before them: backend pid N (role `deploy_waits_N_test_owner`, `nightly`, idle in transaction since MOMENT) holds a lock on `Session`, and was last sent `begin; select ? from "Session" where id = ?`
    note: the database now: 1 migration applied by this run, 0 pending
    note: set `lock_timeout` under `[prisma]` in drill.toml: the deploy then leaves the queue, lets them pass, and is tried again
    "#);
    let json = answer.json();
    let [one] = &json["deploys"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!(
        (&one["blocked"][0]["table"], &one["blocked"][0]["application_name"]),
        (&"Session".into(), &"web".into())
    );
    assert!((1_500..9_000).contains(&one["blocked_ms"].as_u64().unwrap()), "{one}");
    assert!(!answer.stdout.contains("s3cret") && !answer.stderr.contains("s3cret"));
    // What was applied is applied: the next run has nothing to wait for, and nothing to watch.
    assert_eq!(database.one::<i64>("select count(room) from \"Session\""), 0);
    let again = project.run(&["forward", "--json"]).expect(0).json();
    assert!(again.get("deploys").is_none(), "{again}");
}

/// A session that somebody has forgotten, in the middle of a transaction.
fn nightly(database: &Database, hold: &str) -> postgres::Client {
    let mut holder = database.connect();
    holder.batch_execute("set application_name = 'nightly'").unwrap();
    holder.batch_execute(hold).unwrap();
    holder
}

/// A forward that `forgotten` keeps waiting, and a reader that waits behind that for more than a second.
fn deployed_behind(project: &Project, database: &Database, forgotten: postgres::Client) -> Answer {
    let run = project.start(&["forward", "--json"]);
    until_waiting(database, 1);
    let mut web = database.connect();
    web.batch_execute("set application_name = 'web'").unwrap();
    let request = std::thread::spawn(move || web.batch_execute("select from \"Session\""));
    until_waiting(database, 2);
    // Long enough for a watch that a busy machine makes look seldom.
    std::thread::sleep(std::time::Duration::from_millis(4_500));
    drop(forgotten);
    request.join().unwrap().unwrap();
    Project::answered(run)
}
