//! SIGKILL at every boundary of `reset` and `restore`: what is typed then, to the letter as each run prints it, ends with everything as it was.
//! CI's tests try a few of the places.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::killing::{Staging, end_sessions};
use crate::made_history::with_history;
use crate::project::stop;
use crate::server::{self, fingerprint};

#[test]
fn the_whole_way_back_that_a_failed_reset_prints_is_true_and_each_command_of_it_works() {
    let staging = Staging::new("killed_failed");
    let gates = [("CREATE SCHEMA", "public"), ("CREATE TABLE", "facts"), ("CREATE TRIGGER", "greet_new")];
    let said: Vec<String> = gates.into_iter().map(|gate| staging.refused_at(gate)).collect();
    insta::assert_snapshot!(said.join("\n"), @"
    CREATE SCHEMA public, exit 1: restore NAME --confirm
    CREATE TABLE facts, exit 1: restore NAME --confirm
    CREATE TRIGGER greet_new, exit 5: restore NAME --confirm
    ");
}

#[test]
fn a_reset_or_restore_that_is_killed_around_prismas_work_loses_nothing() {
    let staging = Staging::new("killed_around");
    let gates = [
        // The rows are copied.
        ("CREATE FUNCTION", "staging_drill_fence"),
        // The tables are closed, what will be owed is written down.
        ("DROP SCHEMA", "public"),
        ("CREATE TABLE", "facts"),
        ("CREATE TRIGGER", "greet_new"),
        // All is back, and nothing verified.
        ("DROP FUNCTION", "staging_drill_fence"),
    ];
    let mut said = staging.killed_at(&gates);
    for step in ["snapshot", "verify ledger"] {
        assert!(staging.kill_in_step("reset", step));
        said.push(format!("{step}: {}", staging.came_back("restore --confirm")));
    }
    // A reset is killed, and the next one gives back what that one took, and no more.
    staging.kill(&["reset", "--confirm"], ("ALTER DEFAULT PRIVILEGES", "killed_anon"));
    insta::assert_snapshot!(staging.reset_without_an_engine().failure(), @r"
    error: the table `public.DashboardFact` was not dropped, although Prisma exited 0
    note: no table was dropped
    note: the rows from before are in the snapshot `RUN`
    hint: less feedback/evidence/RUN/03-migrate-reset.log
    ");
    said.push(format!("no engine: {}", staging.came_back("restore --confirm")));
    // A restore is killed, after a reset that was, and one that failed.
    staging.kill(&["reset", "--confirm"], ("ALTER DEFAULT PRIVILEGES", "killed_anon"));
    // One that changes nothing forgets nothing either.
    let mut server = server::shared().superuser(&staging.database.name);
    server.batch_execute("insert into gates.gate values ('CREATE FUNCTION', 'staging_drill_fence', true)").unwrap();
    let failed = staging.project.run(&["reset", "--confirm"]).expect(4);
    assert!(failed.stderr.contains("the database is as it was before"), "{}", failed.stderr);
    server.batch_execute("delete from gates.gate").unwrap();
    for gate in [
        ("ALTER TABLE", "drop constraint"),
        ("ALTER TABLE", "add constraint"),
        ("ALTER DEFAULT PRIVILEGES", "killed_anon"),
    ] {
        staging.kill(&["restore", "--confirm"], gate);
    }
    said.push(format!("restore, thrice: {}", staging.came_back("restore --confirm")));
    insta::assert_snapshot!(said.join("\n"), @"
    CREATE FUNCTION staging_drill_fence: restore --confirm
    DROP SCHEMA public: restore --confirm
    CREATE TABLE facts: restore --confirm
    CREATE TRIGGER greet_new: restore --confirm
    DROP FUNCTION staging_drill_fence: restore --confirm
    snapshot: restore --confirm
    verify ledger: restore --confirm
    no engine: restore --confirm
    restore, thrice: restore --confirm
    ");
}

#[test]
fn a_reset_that_is_killed_while_prisma_is_at_work_loses_nothing() {
    let staging = Staging::new("killed_within");
    let gates = [
        ("CREATE SCHEMA", "public"),
        // In the second statement of a migration, and in the only one of another.
        ("CREATE TABLE", "\"DecisionLog\""),
        ("CREATE FUNCTION", "greet"),
    ];
    let mut said = staging.killed_at(&gates);
    // The way back is killed, too: before the tables are there, and before the mirror is.
    staging.kill(&["reset", "--confirm"], gates[1]);
    staging.kill(&["restore", "--confirm"], gates[0]);
    staging.kill(&["restore", "--confirm"], ("CREATE TABLE", "facts"));
    said.push(format!("reset, restore, restore: {}", staging.came_back("restore --confirm")));
    // Without a snapshot the rows are gone by choice, and nothing else.
    fs::remove_dir_all(staging.project.path(".drill/snapshots")).unwrap();
    staging.kill(&["reset", "--confirm", "--no-snapshot"], ("CREATE SCHEMA", "public"));
    said.push(format!("no snapshot: {}", staging.came_back("restore --confirm")));
    insta::assert_snapshot!(said.join("\n"), @r#"
    CREATE SCHEMA public: restore --confirm
    CREATE TABLE "DecisionLog": restore --confirm
    CREATE FUNCTION greet: restore --confirm
    reset, restore, restore: restore --confirm
    no snapshot: restore --confirm, reset --confirm --no-snapshot
      gone: "DecisionLog" 7
      gone: "Session" 5
      gone: facts 1
      gone: constraint people.users users_session_fkey FOREIGN KEY (session) REFERENCES "Session"(id) t
      gone: sequence DecisionLog_id_seq 77
      new: "DecisionLog" 0
      new: "Session" 0
      new: facts 0
      new: constraint people.users users_session_fkey FOREIGN KEY (session) REFERENCES "Session"(id) NOT VALID f
      new: sequence DecisionLog_id_seq
    "#);
}

/// Names, kinds of tables and rows of a stranger's; the second migration takes its time on the target alone.
const STRANGE: [(&str, &str, &str); 2] = [
    (
        "1_shop",
        r#"create type "Mo""od" as enum ('so so', 'gut'); create table "ApiKey" (id int generated always as identity primary key, "select" text, mood "Mo""od");
           create table "Ta ble" (day date not null, n int, twice int generated always as (n * 2) stored) partition by range (day);
           create table "Ta ble_2026" partition of "Ta ble" for values from ('2026-01-01') to ('2027-01-01');
           create view "all" as select * from "ApiKey"; insert into "ApiKey" ("select") values ('a migration''s own')"#,
        "",
    ),
    (
        "2_slow",
        r"select pg_sleep(3) where current_database() not like 'drill\_%'; create table later (id uuid primary key default gen_random_uuid());",
        "",
    ),
];

#[test]
fn a_strangers_rows_are_back_by_one_command_after_a_kill_in_the_middle_of_a_migration() {
    for way in ["files", "database"] {
        let (project, database) = with_history(&format!("killed_strange_{way}"), &STRANGE);
        let toml = project.read("drill.toml");
        project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"{way}\"\n"));
        database.execute(
            r#"insert into "ApiKey" ("select", mood) select repeat('x', i % 5), 'gut' from generate_series(1, 40) i;
               insert into "Ta ble" (day, n) select '2026-01-01'::date + i, nullif(i, 3) from generate_series(1, 60) i; insert into later select from generate_series(1, 7)"#,
        );
        let rows = fingerprint(&database);
        let child = project.start(&["reset", "--confirm"]);
        let begun = Instant::now();
        let sleeps =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
        while database.one::<i64>(sleeps) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "never in the migration");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(stop(child, Signal::KILL).code, -1);
        end_sessions(&database);
        assert!(project.run(&["status"]).expect(5).stderr.contains("cargo xtask restore --confirm"));
        let answer = project.run(&["restore", "--confirm", "--json"]).expect(0).json();
        assert_eq!(answer["hint_command"], serde_json::Value::Null);
        assert_eq!(fingerprint(&database), rows, "{way}");
        project.run(&["status"]).expect(0);
    }
}
