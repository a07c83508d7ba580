//! `reset`: nothing is dropped without claim, consent and snapshot, and afterwards the server is what the evidence says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::interrupt::await_statement;
use crate::made_history::with_history;
use crate::project::{Answer, Project};
use crate::project::{claim, stop};
use crate::restore::claimed;
use crate::server::{self, Database, fingerprint};

const FIVE_SESSIONS: &str = r#"insert into "Session" (id, shop, state, "accessToken") select i::text, 's', 's', 't' from generate_series(1, 5) i"#;

fn sessions(database: &Database) -> i64 {
    database.one(r#"select count(*) from "Session""#)
}

/// The OID of a table: another one after it was dropped and made again.
fn session_oid(database: &Database) -> u32 {
    database.one(r#"select '"Session"'::regclass::oid"#)
}

fn notes(answer: &Answer) -> String {
    answer.json()["notes"].to_string()
}

#[test]
fn the_schema_is_rebuilt_with_its_privileges_and_restore_brings_every_row_back() {
    let (project, database) = claimed("reset_whole");
    let mut server = server::shared().superuser(&database.name);
    let owner = &database.user;
    server
        .batch_execute(&format!(
            "do $$ begin create role reset_anon; exception when duplicate_object then null; end $$;
             do $$ begin create role reset_service; exception when duplicate_object then null; end $$;
             grant usage on schema public to reset_anon, reset_service; grant all on schema public to reset_service;
             alter default privileges for role {owner} in schema public grant select on tables to reset_anon;
             alter default privileges for role {owner} in schema public grant all on sequences to reset_service;
             grant update on \"Session\" to reset_anon; grant select on \"DashboardFact\" to reset_anon"
        ))
        .unwrap();
    database.execute(FIVE_SESSIONS);
    database.execute("create table facts (id int); insert into facts values (1); create view spy as select 1 as one");
    let (rows, oid) = (fingerprint(&database), session_oid(&database));
    let acl = "select array_agg(x order by x) from (select nspname || nspacl::text || pg_get_userbyid(nspowner) from pg_namespace where nspname = 'public'
               union all select defaclobjtype::text || defaclacl::text from pg_default_acl) t(x)";
    let before: Vec<String> = database.one(acl);

    let answer = project.run(&["reset", "--confirm", "--json"]).expect(0);
    assert_ne!(session_oid(&database), oid);
    assert_eq!(sessions(&database), 0);
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations where finished_at is not null"), 4);
    assert_eq!(database.one::<Vec<String>>(acl), before);
    for (table, privilege, expected) in
        [("Session", "update", true), ("DashboardFact", "select", true), ("DecisionLog", "select", false)]
    {
        let has = format!("select has_table_privilege('reset_anon', '\"{table}\"', '{privilege}')");
        assert_eq!(database.one::<bool>(&has), expected, "{table} {privilege}");
    }
    for part in ["lost: 5 rows of `public.Session`", "facts\\\": no migration makes it", "Target: staging"] {
        let part = part.replace("\\\"", "\"");
        assert!(answer.stderr.contains(&part), "{part} is missing in:\n{}", answer.stderr);
    }
    assert!(
        notes(&answer).contains("gone: table \\\"public\\\".\\\"facts\\\"") && notes(&answer).contains("spy"),
        "{}",
        notes(&answer)
    );
    let json = answer.json();
    assert_eq!(
        (&json["counts"]["before"]["public.Session"], &json["counts"]["after"]["public.Session"]),
        (&json!(5), &json!(0))
    );
    let folder = json["evidence"].as_str().unwrap();
    assert!(
        !fs::read_dir(project.path(folder))
            .unwrap()
            .flatten()
            .any(|file| file.file_name().to_string_lossy().contains("lz4"))
    );
    assert!(project.read("feedback/qa.md").contains(folder));

    // The rows of a table that nobody has made again are not silently left out.
    let refused = project.run(&["restore", "--confirm"]).expect(4);
    assert!(refused.stderr.contains("the table `public.facts` (1 rows) is not there"), "{}", refused.stderr);
    database.execute("create table facts (id int)");
    let restored = project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!(fingerprint(&database), rows);
    project.assert_no_secret(&[&answer, &refused, &restored]);
}

#[test]
fn without_a_claim_of_its_own_or_a_word_nothing_is_touched() {
    let (project, database) = claimed("reset_refused");
    database.execute(FIVE_SESSIONS);
    let oid = session_oid(&database);
    let silent = project.run(&["reset"]).expect(3);
    assert!(
        silent.stderr.contains("no consent") && silent.stderr.contains("cargo xtask reset --confirm"),
        "{}",
        silent.stderr
    );
    let plan = project.run(&["reset", "--plan"]).expect(0);
    assert!(
        plan.stdout.contains("5 rows of `public.Session`") && plan.stdout.contains("migrate reset --force"),
        "{}",
        plan.stdout
    );

    // A copy brings the claim along, and it is the original's.
    let copy = database.named(format!("{}_copy_test", database.name));
    let mut server = server::shared().superuser("postgres");
    let (original, user) = (&database.name, &database.user);
    server.batch_execute(&format!("create database {} template {original} owner {user}", copy.name)).unwrap();
    project.write(".env.staging", &format!("DATABASE_URL={}\n", copy.url()));
    let copied = project.run(&["reset", "--confirm"]).expect(3);
    assert!(copied.stderr.contains("was made elsewhere"), "{}", copied.stderr);
    assert_eq!(sessions(&copy), 5);
    copy.execute("drop schema staging_drill cascade");
    let unclaimed = project.run(&["reset", "--confirm"]).expect(3);
    assert!(unclaimed.stderr.contains("nothing in the database"), "{}", unclaimed.stderr);
    assert_eq!((sessions(&copy), session_oid(&copy)), (5, oid));
    assert!(!project.path(".drill/snapshots").exists());
    project.assert_no_secret(&[&silent, &plan, &copied, &unclaimed]);
}

#[test]
fn prismas_agent_gate_is_neither_answered_nor_switched_off() {
    let (mut project, database) = claimed("reset_agent");
    database.execute(FIVE_SESSIONS);
    let oid = session_oid(&database);
    project.env.insert("CLAUDECODE".to_owned(), "1".to_owned());
    let refused = project.run(&["reset", "--confirm", "--json"]).expect(3);
    for part in ["Prisma refused to reset", "`CLAUDECODE`", "the database is as it was before"] {
        assert!(refused.stderr.contains(part), "{part} is missing in:\n{}", refused.stderr);
    }
    assert!(!refused.stderr.contains("Nothing was spawned"), "{}", refused.stderr);
    assert_eq!((sessions(&database), session_oid(&database)), (5, oid));
    assert_eq!(refused.json()["status"], "refused");

    let consent = "yes, reset the staging database of this test".to_owned();
    project.env.insert("PRISMA_USER_CONSENT_FOR_DANGEROUS_AI_ACTION".to_owned(), consent);
    project.run(&["reset", "--confirm"]).expect(0);
    assert_eq!(sessions(&database), 0);
}

#[test]
fn sigterm_while_prisma_resets_ends_with_143_and_says_where_the_rows_are() {
    let (project, database) = claimed("reset_term");
    database.execute(FIVE_SESSIONS);
    project.migration(
        "20260101000000_slow",
        "create table slow_one (id int);\nselect pg_sleep(3);\ncreate table slow_two (id int);\n",
    );
    let child = project.start(&["reset", "--confirm", "--json"]);
    await_statement(&database, "%pg_sleep(3)%");
    let answer = stop(child, Signal::TERM).expect(143);
    assert!(answer.stderr.contains("the old schema was dropped; the database now: "), "{}", answer.stderr);
    assert!(answer.stderr.contains("all 5 rows are in the snapshot"), "{}", answer.stderr);
    let json = answer.json();
    // What the record says is what the server says.
    let applied: i64 = database.one("select count(*) from _prisma_migrations where finished_at is not null");
    assert_eq!(json["migrations"]["applied"].as_array().unwrap().len(), usize::try_from(applied).unwrap());
    assert_eq!(
        (&json["counts"]["before"]["public.Session"], &json["counts"]["after"]["public.Session"]),
        (&json!(5), &json!(0))
    );
    assert_eq!(database.one::<i64>("select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(3)%' and pid <> pg_backend_pid()"), 0);
    let record: Value =
        serde_json::from_str(&project.read(&format!("{}/run.json", json["evidence"].as_str().unwrap()))).unwrap();
    assert_eq!(record["status"], "interrupted");
    let way = answer.stderr.lines().find_map(|line| line.strip_prefix("note: the whole way back: cargo xtask "));
    let back: Vec<&str> = way.unwrap().split(' ').collect();
    let plan = project.run(&[back[0], back[1], "--plan"]).expect(0).stdout;
    assert!(plan.contains("9. restore: put back 5 rows of 3 tables"), "{plan}");
    let restored = project.run(&back).expect(0);
    let said = regex::Regex::new("taken [^)]*").unwrap().replace(&restored.said(), "taken THEN").into_owned();
    insta::assert_snapshot!(said, @"
    Target: staging is database `reset_term_N_test` on 127.0.0.1:PORT (Postgres 17.10, claimed as disposable)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    restore on staging: a reset was cut short here, and is run again first.
    reset on staging: drop the schema `public` of database `reset_term_N_test`, snapshot first, and apply 5 migrations.
    Then put back 5 rows of 3 tables from `RUN` (taken THEN).
      lost: 5 rows of `public._prisma_migrations`
    reset:
      ✓ snapshot: 0 rows of 4 tables in `RUN`
      ✓ write down privileges: kept until they are back
      ✓ migrate reset: done
      ✓ restore privileges: as before; 3 statements were needed
      ✓ verify ledger: all 5 migrations are applied, none failed
      ✓ verify rows: all 6 tables are new and empty
      ✓ verify catalog: 52 objects are exactly what the migrations make; 39 kinds compared
      ✓ verify claim: still there, and it names this database
    restore:
      ✓ put back: 5 rows, as many and the same as in the snapshot
      ✓ verify counts: 6 tables have the rows that they should
      ✓ verify catalog: 51 objects are as before
       table                 before  after  change
       public.DashboardFact       0      0       =
       public.DecisionLog         0      0       =
       public.Session             0      5      +5
       public.slow_one            0      0       =
       public.slow_two            -      0     new
    ");
    let run = restored.stderr.lines().find_map(|line| line.strip_prefix("evidence: ")).unwrap().to_owned();
    for file in ["1-reset/catalog-after.json", "2-restore/counts.json", "catalog-before.json", "catalog-after.json"] {
        assert!(project.path(&run).join(file).exists(), "{file}");
    }
    project.run(&["evidence", "verify"]).expect(0);
    assert_eq!(sessions(&database), 5);
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where tablename like 'slow_%'"), 2);
    project.assert_no_secret(&[&answer]);
}

/// Fault injection: a `git` that stops the run between inspection and snapshot until the test says go.
fn gated_git(project: &mut Project) {
    project.write(
        "bin/git",
        "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n: > waiting\nwhile [ ! -e go ]; do sleep 0.05; done\nexit 1\n",
    );
    fs::set_permissions(project.path("bin/git"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    project.env.insert("PATH".to_owned(), path);
}

#[test]
fn a_table_that_grew_after_the_inspection_is_counted_as_it_was_dropped() {
    let (mut project, database) = claimed("reset_grew");
    database.execute(FIVE_SESSIONS);
    gated_git(&mut project);
    let child = project.start(&["reset", "--confirm", "--json"]);
    let begun = Instant::now();
    while !project.path("bin/waiting").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "git was never asked");
        std::thread::sleep(Duration::from_millis(20));
    }
    database.execute(&FIVE_SESSIONS.replace("(1, 5)", "(6, 8)"));
    project.write("bin/go", "");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["counts"]["before"]["public.Session"], 8);
    assert_eq!(json["snapshot"]["rows"], 8);
}

#[test]
fn the_mirror_goes_with_the_schema_and_is_made_again() {
    let (project, database) = claimed("reset_mirror");
    let script = fs::read_to_string(server::workspace().join("supabase/sql/analytics_facts_table.sql")).unwrap();
    project.write("supabase/sql/analytics_facts_table.sql", &script);
    database.execute(&script);
    let oid: u32 = database.one("select 'facts'::regclass::oid");
    let answer = project.run(&["reset", "--confirm", "--no-snapshot", "--json"]).expect(0);
    assert_ne!(database.one::<u32>("select 'facts'::regclass::oid"), oid);
    assert_eq!(answer.json()["snapshot"], Value::Null);
    assert!(notes(&answer).contains("--no-snapshot"), "{}", notes(&answer));
    assert!(!project.path(".drill/snapshots").exists());
}

#[test]
fn a_history_that_does_not_apply_is_found_before_anything_is_dropped() {
    let (project, database) = claimed("reset_history");
    database.execute(FIVE_SESSIONS);
    project.migration("20260101000000_broken", "select 1/0;");
    let answer = project.run(&["reset", "--confirm"]).expect(1);
    assert!(answer.stderr.contains("`20260101000000_broken` does not apply to an empty database"), "{}", answer.stderr);
    assert_eq!(sessions(&database), 5);
}

/// 2 MB that do not compress.
const BULKY: &str = "create extension if not exists pgcrypto; create table bulky (b bytea);
     insert into bulky select gen_random_bytes(1000) from generate_series(1, 2000)";

#[test]
fn a_full_disk_leaves_no_snapshot_and_drops_nothing() {
    let (project, database) = claimed("reset_disk");
    server::shared().superuser(&database.name).batch_execute("create extension pgcrypto").unwrap();
    database.execute(BULKY);
    let rows = fingerprint(&database);
    let reset = project.command(&["reset", "--confirm"]);
    let run = |script: &str| {
        let mut shell = Command::new("unshare");
        shell
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(reset.get_program())
            .args(reset.get_args());
        shell.current_dir(project.path("")).env_clear();
        shell.envs(reset.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = shell.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    fs::create_dir_all(project.path(".drill/snapshots/staging")).unwrap();
    let (code, text) = run("mount -t tmpfs -o size=1m none .drill/snapshots/staging && exec \"$@\"");
    assert!(code == Some(4) && text.contains("there is too little room for a snapshot"), "{code:?} {text}");
    // The estimate is right and the disk fills up all the same: a limit on the size of a file stands for another program's files.
    let (code, text) = run("trap '' XFSZ; ulimit -f 1000; exec \"$@\"");
    assert!(code == Some(1) && text.contains("cannot write the snapshot"), "{code:?} {text}");
    assert!(text.contains("the database is as it was before"), "{text}");
    assert_eq!(project.run(&["restore", "--list"]).expect(0).stdout, "no snapshots\n");
    assert_eq!(fingerprint(&database), rows);
    claim(&project, &database);
}

/// What hangs on `public` from outside, as Supabase projects have it, and as a public report describes it.
const OUTSIDE: &str = r#"
    create schema people; create table people.users (id int, shop text);
    create function greet() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger greet_new after insert on people.users for each row execute function greet();
    alter table people.users add session text references "Session";
    insert into people.users values (1, 's', '3');
    create view people.shops as select shop from "Session";
    create publication live for table "Session""#;

const LEFT: &str = "
    select (select count(*) from pg_trigger where tgname = 'greet_new') + (select count(*) from pg_views where schemaname = 'people')
         + (select count(*) from pg_constraint where conname = 'users_session_fkey')
         + (select count(*) from pg_publication_tables where pubname = 'live')";

#[test]
fn what_other_schemas_hang_on_the_schema_is_named_and_made_again() {
    let (project, database) = claimed("reset_outside");
    project.migration(
        "20260101000000_greet",
        "create function greet() returns trigger language plpgsql as $$ begin return new; end $$;",
    );
    project.run(&["reset", "--confirm"]).expect(0);
    database.execute(FIVE_SESSIONS);
    database.execute(&OUTSIDE.replace("create function", "create or replace function"));
    let plan = project.run(&["reset", "--plan"]).expect(0);
    let line = plan.stdout.lines().find(|line| line.contains("restore dependents")).unwrap_or_default();
    insta::assert_snapshot!(line, @"4. restore dependents: make again what other schemas hang on this one, and what goes with it: trigger `greet_new on people.users`, table constraint `users_session_fkey on people.users`, view `people.shops`, publication relation `public.\"Session\" in publication live`");

    let answer = project.run(&["reset", "--confirm", "--json"]).expect(0);
    assert_eq!(database.one::<i64>(LEFT), 4);
    let key = "alter table people.users validate constraint users_session_fkey";
    assert!(notes(&answer).contains(key), "{}", notes(&answer));
    let kept = project.read(&format!("{}/dependents-before.json", answer.json()["evidence"].as_str().unwrap()));
    assert!(kept.contains("CREATE TRIGGER greet_new AFTER INSERT ON people.users"), "{kept}");
    // The key holds for old rows again once these are back.
    project.run(&["restore", "--confirm"]).expect(0);
    assert!(database.one::<bool>("select convalidated from pg_constraint where conname = 'users_session_fkey'"));
    assert!(!project.path(".drill/owed/staging.json").exists());
    assert_eq!(database.one::<i64>(LEFT), 4);
}

#[test]
fn values_in_another_schema_that_would_go_refuse_the_reset() {
    let (project, database) = claimed("reset_outside_values");
    database.execute(FIVE_SESSIONS);
    let oid = session_oid(&database);
    database.execute(
        "create type mood as enum ('good', 'bad'); create schema billing; create table billing.lines (id int, mood mood);
         insert into billing.lines values (1, 'good'), (2, 'bad'), (3, null)",
    );
    for arguments in [["reset", "--plan"], ["reset", "--confirm"]] {
        let refused = project.run(&arguments).expect(4);
        let lost = "table column `billing.lines.mood` with 2 values would be lost";
        assert!(refused.stderr.contains(lost) && refused.stderr.contains("nothing was dropped"), "{}", refused.stderr);
    }
    assert_eq!((sessions(&database), session_oid(&database)), (5, oid));
    // The way out that the hint names. A view on what no migration makes could not be made again either.
    database.execute(
        "alter table billing.lines alter column mood type text; create view billing.moods as select null::mood as mood",
    );
    let refused = project.run(&["reset", "--confirm"]).expect(4);
    assert!(refused.stderr.contains("view `billing.moods` would be lost"), "{}", refused.stderr);
    database.execute("drop view billing.moods");
    project.run(&["reset", "--confirm"]).expect(0);
    assert_eq!(database.one::<i64>("select count(mood) from billing.lines"), 2);
}

#[test]
fn a_history_that_does_not_apply_a_second_time_is_refused_before_anything_is_dropped() {
    let (project, database) = claimed("reset_twice");
    project.migration(
        "20260101000000_trail",
        "create schema trail; create table trail.step (id int); create table late (id int);",
    );
    project.run(&["reset", "--confirm"]).expect(0);
    database.execute(FIVE_SESSIONS);
    let oid = session_oid(&database);
    for arguments in [["reset", "--plan"], ["reset", "--confirm"]] {
        let refused = project.run(&arguments).expect(4);
        for part in ["`20260101000000_trail` does not apply again", "nothing was dropped", "schema trail"] {
            assert!(refused.stderr.contains(part), "{part} is missing in:\n{}", refused.stderr);
        }
    }
    assert_eq!((sessions(&database), session_oid(&database)), (5, oid));
    // The way out that the hint names.
    database.execute("drop schema trail cascade");
    project.run(&["reset", "--confirm"]).expect(0);
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!(sessions(&database), 5);
}

#[test]
fn rows_that_would_not_go_back_refuse_the_reset_before_anything_is_dropped() {
    let (project, database) = claimed("reset_trial");
    project.migration("20260101000000_lent", "create table lent (amount int, constraint positive check (amount > 0));");
    database.execute("create table lent (amount int); insert into lent values (5), (-5)");
    database.execute(FIVE_SESSIONS);
    let (oid, rows) = (session_oid(&database), fingerprint(&database));
    let refused = project.run(&["reset", "--confirm"]).expect(4);
    insta::assert_snapshot!(refused.failure(), @r#"
    error: a reset would not come back: what its snapshot holds could not be restored
    caused by: could not put rows back into `public.lent`
    caused by: ERROR: new row for relation "lent" violates check constraint "positive" (SQLSTATE 23514)
    note: nothing was dropped: this was tried with the rows, in a throw-away database
    note: make the rows or the migrations fit each other; `reset --no-snapshot` lets the rows go for good
    "#);
    assert_eq!((session_oid(&database), fingerprint(&database)), (oid, rows));
    // What is asked to go for good needs no way back; and the way out that the hint names.
    project.run(&["reset", "--no-snapshot", "--plan"]).expect(0);
    database.execute("delete from lent where amount < 0");
    let plan = project.run(&["reset", "--plan"]).expect(0).stdout;
    let tried = plan.lines().find(|line| line.starts_with("Tried beforehand")).unwrap_or_default();
    insta::assert_snapshot!(tried, @"Tried beforehand: every row of 2 tables was put back in a throw-away database that the migrations were applied to.");
    let left = "select count(*) from pg_database where datname like 'drill_replay%' and datdba = (select oid from pg_roles where rolname = current_user)";
    assert_eq!(database.one::<i64>(left), 0);
}

#[test]
fn a_row_written_after_the_snapshot_is_refused_by_the_server_and_not_lost() {
    let (project, database) = claimed("reset_writer");
    project.run(&["reset", "--confirm"]).expect(0);
    database.execute(FIVE_SESSIONS);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let mut client = server::shared().superuser(&database.name);
    // Counts what the server took, until the table is another one.
    let writer = std::thread::spawn(move || {
        let (mut taken, mut refused) = (0, 0);
        let insert = "insert into \"Session\" (id, shop, state, \"accessToken\") values (gen_random_uuid()::text, 'w', 's', 't')";
        while stopped.try_recv().is_err() && refused == 0 {
            match client.batch_execute(insert) {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        (taken, refused)
    });
    let answer = project.run(&["reset", "--confirm", "--json"]).expect(0);
    let _ = stop.send(());
    let (taken, refused) = writer.join().unwrap();
    assert_eq!((answer.json()["snapshot"]["rows"].as_i64().unwrap(), refused), (5 + taken, 1));
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!(sessions(&database), 5 + taken);
}

#[test]
fn a_deploy_at_work_refuses_the_reset_and_is_named() {
    let (project, database) = claimed("reset_deploy");
    database.execute(FIVE_SESSIONS);
    let mut deploy = database.connect();
    deploy.batch_execute("set application_name = 'the deploy'; select pg_advisory_lock(72707369)").unwrap();
    let refused = project.run(&["reset", "--confirm"]).expect(4);
    assert!(refused.stderr.contains("`the deploy`, idle since"), "{}", refused.stderr);
    assert_eq!(sessions(&database), 5);
    drop(deploy);
}

/// What a check calls finds its names on the path that users' sessions begin with, and that may be set for the database alone.
#[test]
fn a_way_back_is_tried_on_the_path_that_is_set_for_the_database() {
    let script = "create schema if not exists outside;
        create or replace function outside.plain(t text) returns text language sql immutable as 'select lower(t)';
        create function is_named(t text) returns boolean language plpgsql immutable as 'begin return plain(t) <> ''''; end';
        create table notes (body text check (is_named(body)))";
    let (project, database) = with_history("reset_path", &[("20260101000000_notes", script, "")]);
    database.execute(&format!("alter database {} set search_path = public, outside", database.name));
    database.execute("insert into notes values ('a'), ('B')");
    let plan = project.run(&["reset"]).expect(3);
    assert!(plan.stderr.contains("Tried beforehand: every row of 1 table was put back"), "{}", plan.stderr);
}
