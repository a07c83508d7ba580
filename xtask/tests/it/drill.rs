//! `drill` as one run, with the real Prisma and Supabase CLIs: there, back and there again, and nothing is lost on
//! the way.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::command_line::git;
use crate::made_history::{applied, apply, with_history};
use crate::pinning::await_true;
use crate::project::{Answer, DRILL_TOML, Project, stop};
use crate::server::{self, Database, workspace};

const NEWEST: &str = "20251008090000_add_session_collaborator";
const MIRROR: &str = "supabase/sql/analytics_facts_table.sql";

fn add_mirror(project: &Project) {
    project.write(MIRROR, &std::fs::read_to_string(workspace().join(MIRROR)).unwrap());
}

/// A claimed staging database with this repo's history applied and five sessions in it, whose new columns say
/// something.
fn with_sessions(name: &str) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    apply(&project, &database);
    database.execute(
        r#"insert into "Session" (id, shop, state, "accessToken", collaborator, "emailVerified")
           select i::text, 'shop ' || i, 's', 't', i = 2, null from generate_series(1, 5) i"#,
    );
    (project, database)
}

const OPENED: &str = r#"insert into "DashboardFact" ("shopDomain", "factType", value, "updatedAt")
    values ('a.myshopify.com', 'dashboard.session.opened', '{}', now())"#;
const MIRRORED: &str = "insert into facts (project, topic, key, value)
    values ('a.myshopify.com', 'dashboard.analytics', 'view', '{}')";

/// Every row of the sessions, as one value.
fn sessions(database: &Database) -> String {
    let columns = r#"id, shop, state, "isOnline", "accessToken", collaborator, "emailVerified""#;
    database.one(&format!(r#"select md5(string_agg(row({columns})::text, ',' order by id)) from "Session""#))
}

fn stages(json: &Value) -> Vec<String> {
    let stage = |stage: &Value| format!("{} {}", stage["name"].as_str().unwrap(), stage["status"].as_str().unwrap());
    json["stages"].as_array().unwrap().iter().map(stage).collect()
}

fn step(json: &Value, stage: usize, name: &str) -> Value {
    let steps = json["stages"][stage]["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{name} is not in {steps:?}")).clone()
}

fn record(project: &Project, answer: &Answer) -> Value {
    serde_json::from_str(&project.read(&format!("{}/run.json", answer.json()["evidence"].as_str().unwrap()))).unwrap()
}

#[track_caller]
fn says(answer: &Answer, parts: &[&str]) {
    for part in parts {
        assert!(answer.stderr.contains(part), "{part} is missing in:\n{}", answer.stderr);
    }
}

#[test]
fn on_the_sandbox_it_goes_from_nothing_there_and_all_the_way_back_and_every_row_is_put_back() {
    let project = Project::new();
    add_mirror(&project);
    let answer = project.run(&["drill", "--sandbox", "--steps", "4", "--json"]).expect(0);
    let json = answer.json();
    assert_eq!((&json["schema"], &json["command"]), (&json!("drill/v1"), &json!("drill")));
    assert_eq!((&json["status"], &json["exit_code"]), (&json!("ok"), &json!(0)));
    assert_eq!(stages(&json), ["forward ok", "backward ok", "forward ok", "mirror ok", "parity ok"]);
    assert_eq!(step(&json, 2, "put back")["status"], "ok");
    assert!(
        step(&json, 2, "put back")["detail"].as_str().unwrap().starts_with("3000 rows of `public.DashboardFact`, ")
    );
    assert_eq!(json["counts"]["before"], json!({}));
    for table in ["Session", "DashboardFact", "DecisionLog"] {
        assert_eq!(json["counts"]["after"][format!("public.{table}")], 1000);
    }
    assert_eq!(json["migrations"]["applied"].as_array().unwrap().len(), 4);
    assert_eq!((&json["migrations"]["rolled_back"][0], &json["migrations"]["pending"]), (&json!(NEWEST), &json!([])));
    let url = project.run(&["sandbox", "url"]).expect(0).stdout;
    let mut client = postgres::Client::connect(url.trim().split('?').next().unwrap(), postgres::NoTls).unwrap();
    let next = client.query_one(r#"select nextval('"DashboardFact_id_seq"')"#, &[]).unwrap();
    assert_eq!(next.get::<_, i64>(0), 1001, "the sequence goes on where it was");
    assert!(json["evidence"].as_str().unwrap().starts_with(".drill/evidence/"));
    assert!(!project.path("feedback").exists(), "trying it out dirties no checkout");
}

#[test]
fn on_staging_it_asks_first_loses_nothing_and_stops_where_the_mirror_lacks_a_row() {
    let (project, database) = with_sessions("drill_staging");
    database.grant_supabase_roles();
    add_mirror(&project);
    project.drill_toml(&format!("{DRILL_TOML}\n[parity]\nsettle_seconds = 0\n"));
    database.execute(OPENED);
    let before = sessions(&database);
    let plan = project.run(&["drill", "--plan"]).expect(0);
    for part in [
        "forward on staging: nothing is pending",
        "backward on staging: roll 1 migration back",
        "DROP COLUMN",
        "forward on staging: apply 1 migration",
        "mirror on staging",
        "collaborator\": 1 values that are not its default",
        "Nothing was changed.",
    ] {
        assert!(plan.stdout.contains(part), "{part} is missing in:\n{}", plan.stdout);
    }
    assert!(!plan.stdout.contains("seed"), "staging is never seeded:\n{}", plan.stdout);

    let refused = project.run(&["drill", "--json"]).expect(3);
    let loss =
        |column: &str, values: u64| json!({ "table": "public.Session", "column": column, "rows": 5, "values": values });
    assert_eq!(refused.json()["losses"], json!([loss("collaborator", 1), loss("emailVerified", 5)]));
    says(
        &refused,
        &["column \"public\".\"Session\".\"collaborator\": 1 values that are not its default", "--accept-data-loss"],
    );
    assert_eq!(applied(&database).len(), 4);
    assert_eq!(sessions(&database), before);

    let answer = project.run(&["drill", "--accept-data-loss", "--json"]).expect(5);
    let json = answer.json();
    assert_eq!(stages(&json), ["forward ok", "backward ok", "forward ok", "mirror ok", "parity different"]);
    assert_eq!(json["parity"]["pairs"][0]["within"], false);
    says(&answer, &["the drill stopped in stage 5 of 5: parity", "hint: cargo xtask drill --resume"]);
    assert_eq!(sessions(&database), before, "what backward dropped is back, value by value");
    let record = record(&project, &answer);
    for file in
        ["plan.json", "counts.json", "catalog-before.json", "1-forward/counts.json", "2-backward/catalog-after.json"]
    {
        assert!(record["files"][file].is_string(), "{file} is not in {}", record["files"]);
    }
    let feedback = project.read("feedback/qa.md");
    assert_eq!(feedback.matches("drill different").count(), 1, "{feedback}");
    assert!(feedback.contains("forward ok, backward ok, forward ok, mirror ok, parity different"), "{feedback}");

    database.execute(MIRRORED);
    let resumed = project.run(&["drill", "--resume", "--json"]).expect(0);
    assert_eq!(stages(&resumed.json()), ["parity ok"], "what went well is not done again");
    project.assert_no_secret(&[&plan, &refused, &answer, &resumed]);
}

/// Also where it begins with a clean table.
#[test]
fn what_the_mirrors_script_takes_away_needs_a_word_in_a_drill_too() {
    let (project, database) = Project::on_staging("drill_mirror_loss");
    database.grant_supabase_roles();
    apply(&project, &database);
    add_mirror(&project);
    project.run(&["mirror", "-q"]).expect(0);
    project.run(&["claim", "--confirm", &database.name, "-q"]).expect(0);
    database.execute("insert into facts (project, topic, key, value) values ('p', 'elsewhere', 'k', '{}')");
    project.write(MIRROR, &format!("drop table if exists public.facts;\n{}", project.read(MIRROR)));
    let refused = project.run(&["drill", "--json"]).expect(3);
    says(&refused, &["table \"public\".\"facts\": 1 rows", "`--accept-data-loss` was not given"]);
    assert!(refused.json()["losses"].as_array().unwrap().iter().any(|loss| loss["table"] == "public.facts"));
    assert_eq!(database.one::<i64>("select count(*) from facts"), 1);

    let done = project.run(&["drill", "--accept-data-loss", "--json"]).expect(0).json();
    assert_eq!(step(&done, 3, "snapshot")["status"], "ok");
    assert_eq!(database.one::<i64>("select count(*) from facts"), 0);
}

#[test]
fn without_a_claim_or_a_mirror_nothing_runs() {
    let (project, database) = Project::on_staging("drill_early");
    let unclaimed = project.run(&["drill"]).expect(3);
    says(&unclaimed, &["Nothing was spawned, and nothing was changed."]);
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    let answer = project.run(&["drill"]).expect(4);
    insta::assert_snapshot!(answer.said(), @"
    Target: staging is database `drill_early_N_test` on 127.0.0.1:PORT (Postgres 17.10, claimed as disposable)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: there is no `supabase/sql/analytics_facts_table.sql`, which drill.toml names, so there is no mirror to drill
    note: drill.toml names the mirror's script as `mirror_sql` under `[supabase]`
    hint: cargo xtask drill --no-mirror
    ");
    // Another project has none, and says so by naming none.
    let names_none = project.read("drill.toml").replace("mirror_sql", "# mirror_sql");
    let names_nothing = names_none.split("[[parity.pairs]]").next().unwrap().replace("smoke = ", "# smoke = ");
    let first_line = |drill_toml: &str, args: &[&str], code| {
        project.write("drill.toml", drill_toml);
        let answer = project.run(args).expect(code);
        let lines = answer.stdout.lines().take(1).chain(answer.stderr.lines().filter(|line| line.contains("r: ")));
        lines.collect::<Vec<_>>().join("\n")
    };
    let said = [
        first_line(&names_none, &["drill", "--plan"], 0),
        first_line(&names_nothing, &["drill", "--plan"], 0),
        first_line(&names_nothing, &["mirror"], 4),
        first_line(&names_nothing, &["forward", "--smoke"], 4),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    drill on staging: forward, backward, forward, parity; mirror is left out, since drill.toml names no `mirror_sql`.
    drill on staging: forward, backward, forward; mirror is left out, since drill.toml names no `mirror_sql`; parity is left out, since drill.toml names no `[[parity.pairs]]`.
    error: drill.toml names no script that makes a mirror
    error: drill.toml names no program that opens the database with the generated client
    ");
    project.drill_toml(DRILL_TOML);
    let resume = project.run(&["drill", "--resume", "--no-mirror"]).expect(2);
    says(&resume, &["cannot be used with"]);
    let resume = project.run(&["drill", "--resume"]).expect(2);
    insta::assert_snapshot!(resume.said(), @"
    Target: staging is database `drill_early_N_test` on 127.0.0.1:PORT (Postgres 17.10, claimed as disposable)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: there is no drill of `staging` to resume
    hint: cargo xtask drill
    ");
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

#[test]
fn a_migration_that_fails_on_the_rows_stops_it_in_the_first_forward() {
    let (project, database) = with_sessions("drill_fails");
    project.migration("20260101000000_broken", "create table half (id int); select 1 / 0;");
    let early = project.run(&["drill", "--no-mirror", "--accept-data-loss", "--json"]).expect(4);
    says(&early, &["20260101000000_broken", "division by zero", "nothing was changed"]);
    assert_eq!(stages(&early.json()), [""; 0], "a script that works nowhere is found before anything runs");
    project.migration("20260101000000_broken", r#"alter table "Session" alter column "emailVerified" set not null;"#);
    let answer = project.run(&["drill", "--no-mirror", "--accept-data-loss", "--json"]).expect(1);
    let json = answer.json();
    assert_eq!(stages(&json), ["forward failed"]);
    assert_eq!((&json["error"]["line"], &json["error"]["excerpt"]["from"]), (&json!(1), &json!(1)), "{json:#}");
    assert!(json["error"]["excerpt"]["text"].as_str().unwrap().ends_with("set not null;"), "{json:#}");
    says(&answer, &["P3018", "20260101000000_broken", "the drill stopped in stage 1 of 5: the first forward"]);
    says(
        &answer,
        &[
            "the database now: 0 migrations applied by this run",
            "note: that migration was never applied, so editing it is right: above that statement, fill the column",
            "see docs/failures/rows-have-nulls",
            "hint: cargo xtask backward --failed  # see docs/failures/migration-failed\n",
        ],
    );
    assert_eq!(applied(&database).len(), 4, "nothing was rolled back");
}

#[test]
fn a_way_back_that_leaves_something_stops_it_and_it_goes_on_once_that_is_gone() {
    let (project, database) = with_history(
        "drill_leftovers",
        &[
            ("1_t", "create table t (id int primary key)", ""),
            (
                "2_f",
                "create table u (id int primary key); create or replace function f() returns int language sql as 'select 1'",
                "drop table u",
            ),
        ],
    );
    let answer = project.run(&["drill", "--no-mirror", "--json"]).expect(5);
    let json = answer.json();
    assert_eq!(stages(&json), ["forward ok", "backward different"]);
    assert_eq!(json["leftovers"][0]["kind"], "function");
    assert_eq!(json["migrations"]["pending"], json!([]), "nothing was rolled back");
    says(&answer, &["the drill stopped in stage 2 of 5: backward", "hint: cargo xtask drill --resume"]);
    assert_eq!(project.programs(), [""; 0], "Prisma's CLI, which was started early, is gone");
    let still = project.run(&["drill", "--resume", "--json"]).expect(5);
    assert_eq!(stages(&still.json()), ["backward different"]);
    let draft = project.read(&format!("{}/down/2_f.sql", json["evidence"].as_str().unwrap()));
    project.write("prisma/postgres/migrations/2_f/down.sql", &draft);
    let answer = project.run(&["drill", "--resume", "--json"]).expect(0);
    assert_eq!(stages(&answer.json()), ["backward ok", "forward ok", "mirror skipped", "parity skipped"]);
    assert_eq!(applied(&database), ["1_t", "2_f"]);
}

#[test]
fn a_column_with_its_default_is_no_loss_where_it_comes_back() {
    let (project, database) = with_history("drill_default", &[("1_t", "create table t (id int primary key)", "")]);
    database.execute("insert into t values (1), (2)");
    let unknown = project.run(&["drill", "--branch", "--no-mirror"]).expect(4);
    says(&unknown, &["git knows no merge base with a main branch", "hint: git fetch --unshallow origin"]);

    // A pull request that adds a column, and nothing but its migration is taken back.
    let commit = |message: &str| {
        git(&project.path(""), &["add", "prisma/postgres/migrations"]);
        git(&project.path(""), &["commit", "-qm", message]);
    };
    git(&project.path(""), &["init", "-q", "-b", "main"]);
    commit("main");
    let none = project.run(&["drill", "--branch", "--no-mirror", "--json"]).expect(0);
    assert_eq!(
        stages(&none.json()),
        ["forward ok", "backward skipped", "forward skipped", "mirror skipped", "parity skipped"]
    );
    git(&project.path(""), &["checkout", "-qb", "topic"]);
    project.migration("2_c", "alter table t add column c int not null default 7");
    commit("add a column");
    let added = project.run(&["drill", "--branch", "--no-mirror", "--json"]).expect(0);
    assert_eq!(added.json()["migrations"]["rolled_back"], json!(["2_c"]));
    let plan = project.run(&["drill", "--branch", "--no-mirror", "--plan"]).expect(0);
    assert!(plan.stdout.contains("drops column \"public\".\"t\".\"c\" (all its default)"), "{}", plan.stdout);
    assert_eq!(database.one::<i64>("select sum(c) from t"), 14);
    database.execute("update t set c = 8 where id = 2");
    let refused = project.run(&["drill", "--no-mirror"]).expect(3);
    says(&refused, &["column \"public\".\"t\".\"c\": 1 values that are not its default, in 2 rows"]);
    project.run(&["drill", "--no-mirror", "--accept-data-loss"]).expect(0);
    assert_eq!(database.one::<i64>("select sum(c) from t"), 15, "put back from the snapshot");
}

#[test]
fn values_that_the_second_forward_makes_otherwise_are_found() {
    let (project, database) = with_history(
        "drill_values",
        &[
            ("1_t", "create table t (id int primary key, v text)", ""),
            ("2_more", "update t set v = v || '!' where id = 7", "select 1"),
        ],
    );
    database.execute("insert into t values (7, 'seven'), (8, 'eight')");
    let answer = project.run(&["drill", "--no-mirror", "--json"]).expect(5);
    assert_eq!(stages(&answer.json()), ["forward ok", "backward ok", "forward different"]);
    says(&answer, &["column \"public\".\"t\".\"v\": its values are not those from before"]);
}

#[test]
fn a_migration_that_adds_rows_each_time_is_found() {
    let (project, database) = with_history(
        "drill_twice",
        &[
            ("1_t", "create table t (id serial primary key, v text)", ""),
            ("2_rows", "insert into t (v) values ('a'), ('b')", "select 1"),
        ],
    );
    let answer = project.run(&["drill", "--no-mirror", "--json"]).expect(5);
    assert_eq!(stages(&answer.json()), ["forward ok", "backward ok", "forward different"]);
    says(&answer, &["`public.t`: 2 rows before, 4 rows now"]);
    assert_eq!(answer.json()["counts"]["after"]["public.t"], 4);
    assert_eq!(database.one::<i64>("select count(*) from t"), 4);
}

#[test]
fn rows_that_were_changed_since_the_snapshot_are_not_replaced() {
    let (project, database) = with_history(
        "drill_changed",
        &[
            ("1_t", "create table t (id int primary key, v text)", ""),
            ("2_c", "alter table t add column c text; update t set v = v || '!'", "alter table t drop column c"),
        ],
    );
    database.execute("insert into t values (1, 'one', 'kept')");
    let answer = project.run(&["drill", "--no-mirror", "--accept-data-loss", "--json"]).expect(5);
    says(
        &answer,
        &[
            "`public.t` was written to since the snapshot",
            "what backward dropped is in the snapshot",
            "cargo xtask restore",
        ],
    );
    assert_eq!(database.one::<String>("select v from t"), "one!", "what was written since is still there");
}

#[test]
fn sigterm_in_the_second_forward_leaves_a_true_record_and_a_drill_that_can_be_resumed() {
    let (project, database) = with_sessions("drill_term");
    let before = sessions(&database);
    let child = project.start(&["drill", "--no-mirror", "--accept-data-loss", "--json"]);
    project.await_second_forward();
    let answer = stop(child, Signal::TERM).expect(143);
    let stopped = record(&project, &answer);
    assert_eq!(
        (&stopped["status"], stages(&stopped).last().unwrap().as_str()),
        (&json!("interrupted"), "forward interrupted")
    );
    assert_eq!(stopped["migrations"]["pending"], json!([NEWEST]));
    says(&answer, &["what backward dropped is in the snapshot", "hint: cargo xtask drill --resume"]);
    assert_eq!(applied(&database).len(), 3);

    let env = project.read(".env.staging");
    let other = server::shared().database("drill_elsewhere");
    apply_elsewhere(&project, &other);
    let refused = project.run(&["drill", "--resume"]).expect(3);
    says(&refused, &["the drill to resume is another database's"]);
    project.write(".env.staging", &env);
    project.migration("20260101000000_new", "select 1");
    says(&project.run(&["drill", "--resume"]).expect(4), &["the migrations are not those of the drill"]);
    std::fs::remove_dir_all(project.path("prisma/postgres/migrations/20260101000000_new")).unwrap();
    let ledger = "update _prisma_migrations set finished_at = null where migration_name like '%scope'";
    database.execute(ledger);
    says(&project.run(&["drill", "--resume"]).expect(4), &["the ledger is not as the drill to resume had left it"]);
    database.execute(&ledger.replace("null", "now()"));

    let resumed = project.run(&["drill", "--resume", "--json"]).expect(0);
    assert_eq!(stages(&resumed.json()), ["forward ok", "mirror skipped", "parity skipped"]);
    assert_eq!(sessions(&database), before, "what backward dropped is back, value by value");
    says(&project.run(&["drill", "--resume"]).expect(2), &["went through: nothing is left to resume"]);
    project.assert_no_secret(&[&answer, &resumed]);
}

/// Prisma's CLI for the second forward is there while backward waits for a lock; the server hears nothing of it.
#[test]
fn sigkill_while_a_program_waits_for_its_turn_ends_that_too_and_its_turn_never_comes() {
    let (project, database) = with_sessions("drill_kill_early");
    let mut holder = database.connect();
    holder.batch_execute("begin; lock table \"Session\" in access share mode").unwrap();
    let drill = project.start(&["drill", "--no-mirror", "--accept-data-loss"]);
    let waits = "exists (select from pg_locks where not granted and relation = '\"Session\"'::regclass)";
    await_true(&database, &format!("select {waits}"));
    let early: Vec<String> = project.programs().into_iter().filter(|line| line.contains("migrate deploy")).collect();
    assert_eq!(early.len(), 1, "{early:?}");
    let of_early = "select count(*) from pg_stat_activity
                     where datname = current_database() and application_name = 'staging drill: prisma migrate deploy'";
    assert_eq!(database.one::<i64>(of_early), 0);
    stop(drill, Signal::KILL);
    let begun = Instant::now();
    while !project.programs().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", project.programs());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(holder);
    await_true(&database, &format!("select not {waits}"));
    assert_eq!((database.one::<i64>(of_early), applied(&database).len()), (0, 4));
    project.run(&["drill", "--resume", "--accept-data-loss"]).expect(0);
}

/// Points the target at another claimed database with the same history.
fn apply_elsewhere(project: &Project, other: &Database) {
    project.write(".env.staging", &format!("DATABASE_URL={}\n", other.url()));
    apply(project, other);
}
