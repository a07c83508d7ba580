//! `backward` on a real Postgres with the real Prisma CLI: what it says is gone is gone, and nothing else.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::made_history::{applied, apply, record, with_history};
use crate::project::{Answer, Project, stop};
use crate::rehearse::torture;
use crate::server::{self, Database};

const ALL: [&str; 4] = [
    "20251001090000_create_sessions",
    "20251003090000_create_facts_and_decisions",
    "20251006090000_backfill_fact_scope",
    "20251008090000_add_session_collaborator",
];

/// A claimed staging database with this repo's history applied.
fn migrated(name: &str) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    forward_and_claim(&project, &database);
    (project, database)
}

fn forward_and_claim(project: &Project, database: &Database) {
    project.run(&["forward", "-q"]).expect(0);
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
}

fn exists(database: &Database, relation: &str) -> bool {
    database.one(&format!("select to_regclass('public.{relation}') is not null"))
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[track_caller]
fn says(answer: &Answer, parts: &[&str]) {
    for part in parts {
        assert!(answer.stderr.contains(part), "{part} is missing in:\n{}", answer.stderr);
    }
}

const SESSIONS: &str = r#"insert into "Session" (id, shop, state, "accessToken", collaborator, "emailVerified")
    select i::text, 's', 's', 't', null, null from generate_series(1, 5) i"#;

#[test]
fn the_last_migration_is_taken_back_and_applied_again() {
    let (project, database) = migrated("backward_once");
    database.execute(SESSIONS);
    let answer = project.run(&["backward", "--json"]).expect(0);
    let json = answer.json();
    assert_eq!(strings(&json["migrations"]["rolled_back"]), [ALL[3]]);
    assert_eq!(strings(&json["migrations"]["pending"]), [ALL[3]]);
    assert_eq!(json["counts"]["after"]["public.Session"], 5);
    assert_eq!(applied(&database), ALL[..3]);
    let script = project.read(&format!("{}/down/{}.sql", json["evidence"].as_str().unwrap(), ALL[3]));
    assert!(script.contains("DROP COLUMN \"collaborator\""), "{script}");
    assert!(project.read("feedback/qa.md").contains("backward ok"));
    let forward = project.run(&["forward", "--json"]).expect(0).json();
    assert_eq!(strings(&forward["migrations"]["applied"]), [ALL[3]]);
    project.assert_no_secret(&[&answer]);
}

#[test]
fn data_is_not_lost_without_a_word_and_not_without_a_snapshot() {
    let (project, database) = with_history(
        "backward_loss",
        &[
            ("1_t", "create table t (id int primary key, keep text)", ""),
            ("2_c", "alter table t add column c text, add column d text", ""),
        ],
    );
    database.execute("insert into t select i, 'k', case when i < 4 then 'v' end, null from generate_series(1, 10) i");
    let refused = project.run(&["backward", "--json"]).expect(3);
    says(&refused, &["column \"public\".\"t\".\"c\": 3 values that are not null, in 10 rows", "--accept-data-loss"]);
    assert!(!refused.stderr.contains("\"d\": "), "an empty column is no loss: {}", refused.stderr);
    assert_eq!(applied(&database), ["1_t", "2_c"]);
    assert_eq!(database.one::<i64>("select count(c) from t"), 3);

    let plan = project.run(&["backward", "--plan"]).expect(0);
    assert!(plan.stdout.contains("DROP COLUMN \"c\"") && plan.stdout.contains("3 values"), "{}", plan.stdout);
    assert!(plan.stdout.contains("drops column \"public\".\"t\".\"d\" (empty)"), "{}", plan.stdout);

    let json = project.run(&["backward", "--accept-data-loss", "--json"]).expect(0).json();
    let snapshot = json["snapshot"]["name"].as_str().unwrap();
    assert!(json["notes"][0].as_str().unwrap().contains(snapshot));
    assert_eq!(applied(&database), ["1_t"]);
    assert_eq!(json["counts"]["after"]["public.t"], 10);
}

#[test]
fn a_renamed_column_is_no_loss_and_one_dropped_and_added_again_is() {
    let (project, database) = with_history(
        "backward_identity",
        &[
            ("1_t", "create table t (id int primary key, a text, n int)", ""),
            ("2_rename", "alter table t rename column a to b", "alter table t rename column b to a"),
            (
                "3_type",
                "alter table t alter column n type text",
                "alter table t drop column n; alter table t add column n int",
            ),
            ("4_names", "alter table t alter column id type text; alter table t rename to \"order\"", ""),
        ],
    );
    database.execute("insert into \"order\" values (1, 'x', '2')");
    let refused = project.run(&["backward", "--steps", "3", "--json"]).expect(3).json();
    let losses: Vec<&str> =
        refused["refusals"].as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    assert_eq!(losses, ["column \"public\".\"order\".\"n\": 1 values that are not null, in 1 rows"]);
    project.run(&["backward", "--steps", "3", "--accept-data-loss"]).expect(0);
    assert_eq!(database.one::<String>("select a from t where id = 1"), "x");
}

#[test]
fn the_torture_history_goes_back_to_nothing_and_up_again() {
    let (project, database) = Project::on_staging("backward_torture");
    torture(&project);
    apply(&project, &database);
    let json = project.run(&["backward", "--to", "01_shop", "--accept-data-loss", "--json"]).expect(0).json();
    assert_eq!(strings(&json["migrations"]["rolled_back"]).len(), 11);
    assert_eq!(strings(&json["migrations"]["rolled_back"])[0], "12_note_goes");
    let kept: i64 = database.one("select count(*) from \"Customer\" where city is not null");
    assert_eq!(kept, 30, "renamed and moved there, and moved and renamed back");
    project.run(&["backward", "--accept-data-loss"]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 1, "the ledger");
    let again = project.run(&["forward", "--json"]).expect(0).json();
    assert_eq!(strings(&again["migrations"]["applied"]).len(), 12);
}

#[test]
fn a_way_back_that_leaves_something_changes_nothing_and_is_drafted_whole() {
    let (project, database) = with_history(
        "backward_leftovers",
        &[
            (
                "1_t",
                "create table t (id int, note text, owner text); create view v as select id from t;
                 create function f(n int) returns int language sql as 'select n'",
                "",
            ),
            (
                "2_all",
                "create or replace function f(n int) returns int language sql as 'select n + 1';
                 create function g() returns trigger language plpgsql as $$ begin return new; end $$;
                 create trigger tick before insert on t for each row execute function g();
                 alter table t enable row level security; create policy mine on t using (owner = current_user);
                 create or replace view v as select id, note from t; alter table t alter note set default 'x';
                 create view w as select 1 as one; create index i on t (lower(note)); alter table t add check (id > 0)",
                "drop index i; select 1",
            ),
        ],
    );
    database.execute("insert into t values (1, 'a', 'b')");
    let plan = project.run(&["backward", "--plan"]).expect(0);
    assert!(plan.stdout.contains("leaves: function \"public\".\"g\""), "{}", plan.stdout);
    assert!(plan.stdout.contains("-- draft of 2_all/down.sql"), "{}", plan.stdout);
    let answer = project.run(&["backward", "--json"]).expect(5);
    let json = answer.json();
    says(&answer, &["so nothing was changed", "DROP FUNCTION \"public\".\"g\"();", "2_all/down.sql"]);
    assert_eq!(strings(&json["migrations"]["rolled_back"]), [""; 0]);
    assert_eq!(applied(&database), ["1_t", "2_all"]);
    assert!(json["leftovers"].as_array().unwrap().len() > 5, "{}", json["leftovers"]);

    let draft = project.read(&format!("{}/down/2_all.sql", json["evidence"].as_str().unwrap()));
    project.write("prisma/postgres/migrations/2_all/down.sql", &draft);
    project.run(&["backward", "--json"]).expect(0);
    assert_eq!(applied(&database), ["1_t"]);
    assert_eq!(database.one::<i32>("select f(1)"), 1);
}

#[test]
fn where_the_role_may_not_create_databases_the_sandbox_is_the_workshop() {
    let (project, database) = with_history("backward_workshop", &[("1_t", "create table t (id int)", "")]);
    let mut server = server::shared().superuser("postgres");
    server.batch_execute(&format!("alter role {} nocreatedb", database.user)).unwrap();
    let json = project.run(&["backward", "--json"]).expect(0).json();
    assert_eq!(strings(&json["migrations"]["rolled_back"]), ["1_t"]);
    assert!(!exists(&database, "t"));
}

#[test]
fn what_differed_before_is_no_leftover() {
    let (project, database) = with_history(
        "backward_drift",
        &[("1_t", "create table t (id int)", "drop table t"), ("2_u", "create table u (id int)", "drop table u")],
    );
    database.execute("create view mine as select 1 as one");
    let json = project.run(&["backward", "--json"]).expect(0).json();
    assert!(json["notes"][0].as_str().unwrap().contains("\"mine\""), "{}", json["notes"]);
    assert!(json["leftovers"].is_null());
}

#[test]
fn a_script_that_cannot_work_is_refused_before_the_database_is_touched() {
    for (at, (up, down, reason)) in [
        ("create table t (id int)", "drop table t; select 1/0;", "division by zero"),
        ("create table t (id int)", "drop table t; commit; select 1;", "it ends the transaction"),
        (
            "create table t (id int); create index i on t (id)",
            "drop index concurrently i;",
            "cannot run inside a transaction block",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (project, database) = with_history(&format!("backward_unfit_{at}"), &[("1_t", up, down)]);
        let answer = project.run(&["backward"]).expect(4);
        says(&answer, &[reason, "`1_t/down.sql`"]);
        assert!(exists(&database, "t"));
        assert_eq!(applied(&database), ["1_t"]);
    }
}

#[test]
fn a_script_that_fails_on_the_rows_that_are_there_changes_nothing_and_those_before_it_stay_taken_back() {
    let (project, database) = with_history(
        "backward_midway",
        &[
            ("1_t", "create table t (id int, n int not null)", "drop table t"),
            (
                "2_nullable",
                "alter table t alter column n drop not null",
                "create table half (id int); drop table half; alter table t alter column n set not null",
            ),
            ("3_u", "create table u (id int)", "drop table u"),
        ],
    );
    database.execute("insert into t (id) values (1)");
    let answer = project.run(&["backward", "--steps", "2", "--json"]).expect(1);
    says(&answer, &["`2_nullable/down.sql` failed", "contains null values", "rolled back are `3_u`", "note: "]);
    assert_eq!(strings(&answer.json()["migrations"]["rolled_back"]), ["3_u"]);
    assert_eq!(applied(&database), ["1_t", "2_nullable"]);
    assert!(!exists(&database, "half"));
}

#[test]
fn an_enum_value_in_use_cannot_be_taken_back_and_one_that_is_not_can() {
    let (project, database) = with_history(
        "backward_enum",
        &[
            ("1_t", "create type \"Size\" as enum ('s', 'm'); create table t (id int, size \"Size\")", ""),
            ("2_l", "alter type \"Size\" add value 'l'", ""),
        ],
    );
    database.execute("insert into t values (1, 'l')");
    let answer = project.run(&["backward"]).expect(1);
    says(&answer, &["invalid input value for enum", "nothing is rolled back"]);
    assert_eq!(database.one::<i64>("select count(*) from t where size = 'l'"), 1);
    database.execute("update t set size = 'm'");
    project.run(&["backward"]).expect(0);
    assert_eq!(database.one::<String>("select enum_range(null::\"Size\")::text"), "{s,m}");
}

/// Prisma, which has to be asked of what the catalogs do not tell, knows neither of these changes, nor what stands on the enum.
#[test]
fn what_a_migration_altered_is_as_it_was_and_a_counter_goes_on() {
    let (project, database) = with_history(
        "backward_altered",
        &[
            (
                "1_t",
                "create type kind as enum ('a'); \
                 create table t (id serial primary key, k kind default 'a', n int, twice int generated always as (n * 2) stored); \
                 create schema archive; create table old (id int); create index few on t (n) where k = 'a'; create view seen as select k from t; \
                 create function is_a(kind) returns boolean language sql as $$ select $1 = 'a' $$",
                "",
            ),
            (
                "2_altered",
                "alter table old set schema archive; alter type kind add value 'b'; alter table t replica identity full; \
                 alter table t add column more int, add column most int generated always as (more + 1) stored; \
                 alter table t alter twice drop expression, alter n set storage plain; alter table t set (fillfactor = 70); \
                 alter table t alter id drop default; drop sequence t_id_seq; alter table t alter id add generated always as identity",
                "",
            ),
        ],
    );
    database
        .execute("insert into t (id, n, twice) overriding system value select i, i, i from generate_series(1, 3) i");
    database.execute("insert into archive.old values (1)");
    let refused = project.run(&["backward"]).expect(3);
    says(&refused, &["column \"public\".\"t\".\"twice\": 3 values that are not null, in 3 rows"]);
    let json = project.run(&["backward", "--accept-data-loss", "--json"]).expect(0).json();
    assert_eq!(strings(&json["migrations"]["rolled_back"]), ["2_altered"]);
    database.execute("insert into t (n) values (7)");
    assert_eq!(database.one::<i64>("select count(*) from old"), 1);
    let rows =
        "select string_agg(concat_ws(' ', id, k, n, twice), ', ' order by id) from t where k in (select k from seen)";
    assert_eq!(database.one::<String>(rows), "1 a 1 2, 2 a 2 4, 3 a 3 6, 4 a 7 14");
    project.run(&["forward", "-q"]).expect(0);
    project.run(&["backward", "--accept-data-loss", "-q"]).expect(0);
}

#[test]
fn rows_that_a_script_deletes_need_the_same_word() {
    let (project, database) = with_history(
        "backward_delete",
        &[
            ("1_t", "create table t (id int)", "drop table t"),
            ("2_rows", "insert into t values (1), (2)", "delete from t"),
        ],
    );
    let answer = project.run(&["backward"]).expect(3);
    says(&answer, &["table \"public\".\"t\": rows are deleted, of 2", "--accept-data-loss"]);
    assert_eq!(database.one::<i64>("select count(*) from t"), 2);
    project.run(&["backward", "--accept-data-loss"]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from t"), 0);
}

#[test]
fn values_that_would_not_survive_need_the_same_word_and_others_need_none() {
    let (project, database) = with_history(
        "backward_values",
        &[
            ("1_t", "create table t (id int primary key, width int, seen timestamp(3))", ""),
            ("2_finer", "alter table t alter width type double precision, alter seen type timestamp(6)", ""),
        ],
    );
    database
        .execute("insert into t values (1, 1.5, '2026-01-01 10:00:00.123456'), (2, 2, '2026-01-01'), (3, null, null)");
    let refused = project.run(&["backward", "--json"]).expect(3);
    let json = refused.json();
    let losses: Vec<&str> =
        json["refusals"].as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    assert_eq!(
        losses,
        [
            "column \"public\".\"t\".\"width\": 1 values that do not survive `integer`, in 3 rows",
            "column \"public\".\"t\".\"seen\": 1 values that do not survive `timestamp(3) without time zone`, in 3 rows",
        ]
    );
    assert_eq!(database.one::<f64>("select width from t where id = 1"), 1.5);
    project.run(&["backward", "--accept-data-loss"]).expect(0);
    project.run(&["forward", "-q"]).expect(0);
    project.run(&["restore", "--confirm", "-q"]).expect(0);
    assert_eq!(
        database.one::<String>("select width || ' ' || seen from t where id = 1"),
        "1.5 2026-01-01 10:00:00.123456"
    );
    database.execute("delete from t where id = 1");
    project.run(&["backward"]).expect(0);
}

#[test]
fn what_a_script_takes_from_another_schema_is_named_and_copied_and_comes_back() {
    let (project, database) = with_history(
        "backward_elsewhere",
        &[
            ("1_t", "create table t (id int)", "drop table t"),
            (
                "2_trail",
                "create schema trail; create table trail.step (id int primary key, what text)",
                "drop schema trail cascade",
            ),
        ],
    );
    database.execute("insert into trail.step select i, 'row ' || i from generate_series(1, 500) i");
    let loss = "table \"trail\".\"step\": 500 rows";
    assert!(project.run(&["backward", "--plan"]).expect(0).stdout.contains(loss));
    says(&project.run(&["backward"]).expect(3), &[loss, "--accept-data-loss"]);
    assert_eq!(database.one::<i64>("select count(*) from trail.step"), 500);
    project.run(&["backward", "--accept-data-loss"]).expect(0);
    assert!(database.one::<bool>("select to_regnamespace('trail') is null"));
    project.run(&["forward", "-q"]).expect(0);
    project.run(&["restore", "--confirm", "-q"]).expect(0);
    assert_eq!(database.one::<String>("select what from trail.step where id = 500"), "row 500");
}

#[test]
fn whoever_holds_a_lock_is_named_and_not_pushed_aside() {
    let (project, database) = with_history("backward_lock", &[("1_t", "create table t (id int)", "drop table t")]);
    for (lock, what) in [
        ("select pg_advisory_xact_lock(72707369)", "Prisma's migration lock"),
        ("lock table t in share mode", "a lock on `t`"),
    ] {
        let mut holder = database.connect();
        holder.batch_execute(&format!("set application_name = 'a colleague'; begin; {lock}")).unwrap();
        let begun = Instant::now();
        let answer = project.run(&["backward"]).expect(4);
        says(&answer, &[what, "`a colleague`", "nothing is rolled back", "note: wait for it to end"]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        assert_eq!(applied(&database), ["1_t"]);
        assert!(exists(&database, "t"));
    }
}

#[test]
fn ctrl_c_in_a_script_stops_it_on_the_server_and_nothing_of_it_stays() {
    // The rehearsal has no rows, so only the real run sleeps.
    let down = "alter table t add column half int; select pg_sleep(60) from t; drop table t";
    let (project, database) = with_history("backward_int", &[("1_t", "create table t (id int)", down)]);
    database.execute("insert into t values (1)");
    let child = project.start(&["backward", "--accept-data-loss", "--json"]);
    let busy = "select count(*) from pg_stat_activity
                 where datname = current_database() and query like '%pg_sleep(60)%' and pid <> pg_backend_pid() and state = 'active'";
    let begun = Instant::now();
    while database.one::<i64>(busy) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the script never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
    let answer = stop(child, Signal::INT).expect(130);
    assert_eq!(answer.json()["status"], "interrupted");
    assert_eq!(database.one::<i64>(busy), 0);
    assert_eq!(applied(&database), ["1_t"]);
    assert_eq!(database.one::<i64>("select count(*) from pg_attribute where attname = 'half'"), 0);
    says(&answer, &["nothing is rolled back"]);
}

#[test]
fn what_cannot_be_taken_back_is_said_before_anything_runs() {
    let (project, database) = with_history("backward_input", &[("1_t", "create table t (id int)", "drop table t")]);
    project.migration("2_pending", "select 1");
    for (args, parts) in [
        (&["--steps", "0"] as &[&str], &["--steps"] as &[&str]),
        (&["--steps", "2"], &["2 migrations cannot be rolled back: 1 is applied", "--steps 1"]),
        (&["--to", "9_nowhere"], &["there is no migration `9_nowhere`", "applied are: 1_t"]),
        (&["--to", "2_pending"], &["`2_pending` is not applied"]),
        (&["--failed"], &["no migration has failed"]),
        (&["--failed", "--to", "1_t"], &["cannot be used with"]),
    ] {
        let answer = project.run(&[&["backward"], args].concat()).expect(2);
        says(&answer, parts);
    }
    let nothing = project.run(&["backward", "--to", "1_t", "--json"]).expect(0).json();
    assert_eq!(strings(&nothing["migrations"]["rolled_back"]), [""; 0]);
    project.migration("1_t", "create table t (id bigint)");
    says(&project.run(&["backward"]).expect(5), &["`1_t` was edited after it was applied"]);
    std::fs::remove_dir_all(project.path("prisma/postgres/migrations/1_t")).unwrap();
    says(&project.run(&["backward"]).expect(5), &["`1_t` is applied, but its folder is not here"]);
    database.execute("drop schema staging_drill cascade");
    says(&project.run(&["backward"]).expect(3), &["claim"]);
    assert!(exists(&database, "t"));
}

/// A migration that failed: `left` is what is there of it, `logged` whether Prisma saw the error.
fn failed(name: &str, up: &str, left: &str, down: &str, logged: bool) -> (Project, Database) {
    let (project, database) = with_history(name, &[("1_t", "create table t (id int)", "drop table t")]);
    project.migration("2_broken", up);
    if !down.is_empty() {
        project.write("prisma/postgres/migrations/2_broken/down.sql", down);
    }
    database.execute(left);
    record(&database, "2_broken", up, "null", if logged { "'ERROR'" } else { "null" });
    (project, database)
}

fn unsettled(database: &Database) -> i64 {
    database.one("select count(*) from _prisma_migrations where finished_at is null and rolled_back_at is null")
}

#[test]
fn a_failed_migration_that_left_nothing_is_marked_as_rolled_back() {
    let (project, database) = failed("settle_nothing", "create table u (id int); select 1/0", "", "", true);
    says(&project.run(&["backward"]).expect(1), &["backward --failed"]);
    let json = project.run(&["backward", "--failed", "--json"]).expect(0).json();
    assert_eq!(strings(&json["migrations"]["pending"]), ["2_broken"]);
    let next = "`2_broken` is pending again, and once its script is right this applies it: cargo xtask forward";
    assert_eq!(strings(&json["notes"]), [next]);
    assert_eq!(unsettled(&database), 0);
}

#[test]
fn a_failed_migration_that_is_all_there_is_marked_as_applied() {
    let up = "create table u (id int)";
    let (project, database) = failed("settle_all", up, up, "", false);
    project.migration("3_later", "create table later (id int)");
    let json = project.run(&["backward", "--failed", "--json"]).expect(0).json();
    assert_eq!(strings(&json["notes"]), ["1 migration still to come: cargo xtask forward"]);
    assert_eq!(strings(&json["migrations"]["applied"]), ["2_broken"]);
    assert_eq!((unsettled(&database), applied(&database).len()), (0, 2));
}

#[test]
fn what_a_failed_migration_left_is_named_and_taken_back_by_its_down_script_alone() {
    let up = "create table u (id int); create table w (id int)";
    let (project, database) = failed("settle_half", up, "create table u (id int)", "", true);
    let refused = project.run(&["backward", "--failed"]).expect(5);
    says(&refused, &["table \"public\".\"u\" is not expected", "2_broken/down.sql"]);
    let down = "prisma/postgres/migrations/2_broken/down.sql";
    project.write(down, "select 1");
    says(&project.run(&["backward", "--failed"]).expect(5), &["does not bring the schema back", "\"u\""]);
    assert_eq!(unsettled(&database), 1);
    database.execute("insert into u values (1)");
    project.write(down, "drop table if exists w; drop table if exists u");
    says(&project.run(&["backward", "--failed"]).expect(5), &["holds 1 rows", "--accept-data-loss"]);
    assert!(exists(&database, "u"));
    let json = project.run(&["backward", "--failed", "--accept-data-loss", "--json"]).expect(0).json();
    assert!(json["snapshot"]["name"].is_string());
    assert!(!exists(&database, "u"));
    assert_eq!((unsettled(&database), applied(&database).len()), (0, 1));
}

#[test]
fn a_failed_migration_that_stopped_halfway_is_told_by_statement() {
    let up = "create table u (id int);\nupdate t set id = 2;\ncreate table w (id int);\n\n\
              begin; create table x (id int); commit;\nselect 1/0; create table y (id int)";
    let stops_after = |name: &str, left: &str| {
        let (project, _database) = failed(name, up, left, "", true);
        let answer = project.run(&["backward", "--failed"]).expect(5);
        let causes = answer.stderr.lines().filter(|line| line.contains(" statements "));
        causes.map(|line| line.trim_start_matches("caused by:").trim().to_owned()).collect::<Vec<_>>()
    };
    let first = "the first of its 8 statements is there, and the next leaves no trace in a schema; what begins on line 3 is not";
    assert_eq!(stops_after("settle_by_statement_1", "create table u (id int)"), [first]);
    let fourth = "the first 3 of its 8 statements are there; what begins on line 5 is not";
    assert_eq!(stops_after("settle_by_statement_2", "create table u (id int); create table w (id int)"), [fourth]);
    let all = "create table u (id int); create table w (id int); create table x (id int)";
    let block = "the first 6 of its 8 statements are there; what begins on line 6 is not";
    assert_eq!(stops_after("settle_by_statement_3", all), [block]);
    assert_eq!(stops_after("settle_by_statement_4", "create table v (id int)"), Vec::<String>::new());
}

#[test]
fn a_failed_migration_whose_rows_may_have_changed_is_left_to_a_person() {
    let up = "update t set id = 2;\nalter table t add constraint c check (id < 2)";
    let (project, database) = failed("settle_rows_before", up, "", "", true);
    says(
        &project.run(&["backward", "--failed"]).expect(5),
        &[
            "it cannot be known whether `2_broken` changed rows before it failed",
            "line 1 changes rows",
            "--rolled-back 2_broken",
        ],
    );
    assert_eq!(unsettled(&database), 1);
    for logged in [true, false] {
        let last = "create table u (id int);\nupdate t set id = 2";
        let name = format!("settle_rows_after_{logged}");
        let (project, database) = failed(&name, last, "create table u (id int)", "", logged);
        says(
            &project.run(&["backward", "--failed"]).expect(5),
            &[
                "it cannot be known whether `2_broken` changed all rows that it should",
                "the first of its 2 statements is there, and the next leaves no trace in a schema",
                "line 2 changes rows",
                "--applied 2_broken",
            ],
        );
        assert_eq!(unsettled(&database), 1);
    }
    let one = "begin; update t set id = 2; alter table t add constraint c check (id < 2); commit;";
    let (project, database) = failed("settle_rows_together", one, "", "", true);
    project.run(&["backward", "--failed"]).expect(0);
    assert_eq!(unsettled(&database), 0);
}

#[test]
fn what_prisma_left_of_a_migration_is_settled_after_the_rest_was_run() {
    let (project, database) = with_history("settle_for_real", &[("1_t", "create table t (id int)", "drop table t")]);
    database.execute("insert into t values (1), (1)");
    project.migration(
        "2_broken",
        "create table u (id int);\n-- fails\ncreate unique index i on t (id);\ncreate table w (id int)",
    );
    let failed = project.run(&["forward", "--json"]).expect(1);
    says(&failed, &["P3018", "its script left this behind: table \"public\".\"u\""]);
    assert_eq!(failed.json()["error"]["line"], 3, "the first statement that is not there is the one that failed");
    assert!(exists(&database, "u") && !exists(&database, "w"));
    let stopped = ["the first of its 3 statements is there; what begins on line 3 is not", "run the rest of it"];
    says(&project.run(&["backward", "--failed"]).expect(5), &stopped);
    database.execute("delete from t; create unique index i on t (id); create table w (id int)");
    let json = project.run(&["backward", "--failed", "--json"]).expect(0).json();
    assert_eq!(strings(&json["migrations"]["applied"]), ["2_broken"]);
    assert_eq!(unsettled(&database), 0);
}

#[test]
fn a_failed_migration_that_only_moved_rows_is_left_to_a_person() {
    let (project, database) = failed("settle_rows", "update t set id = 2", "", "", false);
    says(
        &project.run(&["backward", "--failed"]).expect(5),
        &["it cannot be known whether `2_broken` ran", "note: Prisma's `migrate resolve` has `--rolled-back`"],
    );
    assert_eq!(unsettled(&database), 1);
}
