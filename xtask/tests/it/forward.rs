//! `forward` on a real Postgres with the real Prisma CLI: what it claims is what the server says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::made_history::with_history;
use crate::project::{Answer, DRILL_TOML, Project, program};
use crate::server::{self, Database};

const ALL: [&str; 4] = [
    "20251001090000_create_sessions",
    "20251003090000_create_facts_and_decisions",
    "20251006090000_backfill_fact_scope",
    "20251008090000_add_session_collaborator",
];

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

#[test]
fn the_first_run_applies_everything_and_the_second_applies_nothing_and_still_verifies() {
    let (project, database) = Project::on_staging_without_client("forward_twice");
    let first = project.run(&["forward", "--json"]).expect(0);
    let json = first.json();
    assert_eq!(json["schema"], "drill/v1");
    assert_eq!(json["command"], "forward");
    assert_eq!((&json["status"], &json["exit_code"]), (&json!("ok"), &json!(0)));
    assert_eq!(json["target"]["database"], database.name);
    assert_eq!(strings(&json["migrations"]["applied"]), ALL);
    assert_eq!(json["counts"]["before"], json!({}));
    let empty = json!({"public.DashboardFact": 0, "public.DecisionLog": 0, "public.Session": 0, "public._prisma_migrations": 4});
    assert_eq!(json["counts"]["after"], empty);
    assert!(json["hint"].is_null());
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations where finished_at is not null"), 4);

    let second = project.run(&["forward", "--json"]).expect(0);
    let json = second.json();
    assert_eq!(json["migrations"]["applied"], json!([]));
    let steps = &json["stages"][0]["steps"];
    let known = "not again: `prisma/generated/postgres` is what was generated from this very schema";
    assert_eq!(generated(&json), (&json!(null), &json!(known)));
    let verified = steps.as_array().unwrap().iter().filter(|step| step["name"].as_str().unwrap().starts_with("verify"));
    assert!(verified.clone().count() == 2 && verified.clone().all(|step| step["status"] == "ok"), "{steps}");
    project.assert_no_secret(&[&first, &second]);
}

/// How Prisma's `generate` ended, and what the step found.
fn generated(json: &Value) -> (&Value, &Value) {
    let mut steps = json["stages"][0]["steps"].as_array().unwrap().iter();
    let step = steps.find(|step| step["name"] == "generate").unwrap();
    (&step["exit_code"], &step["detail"])
}

#[test]
fn rows_that_were_there_are_counted_before_and_after() {
    let (mut project, database) = Project::on_staging("forward_rows");
    let first = project.run(&["forward", "--rows", "3_000"]).expect(0);
    let told = "  note: no migration was applied here before, so these make every table themselves and keep nobody waiting: `drill --each`";
    assert!(first.stderr.contains(told), "{}", first.stderr);
    database.execute(r#"insert into "Session" (id, shop, state, "accessToken") select i::text, 's', 's', 't' from generate_series(1, 5) i"#);
    let tidy = r#"delete from "Session" where id = '1'; create index tidy on "Session" (shop); create index on "DecisionLog" (scope);"#;
    project.migration("20260101000000_tidy", tidy);
    project.write("prisma/generated/postgres/index.js", "// Not what Prisma wrote.\n");
    fake_squawk(&mut project);
    over_a_limit(&mut project, &database);
    let accept = "-- drill-accept: blocks_writes because it is small\n";
    project.migration("20260101000000_tidy", &tidy.replacen("; create", &format!(";\n{accept}create"), 1));
    let answer = project.run(&["forward", "--accept-data-loss", "--json", "--rows", "3_000"]).expect(0);
    let json = answer.json();
    let of_production = &json["impact"][1]["production"];
    assert_eq!([&of_production["how"], &of_production["table"]], ["measured", "public.Session"], "{of_production}");
    assert!(
        answer.stderr.contains(" at 3 k rows (measured), writes of `public.Session` blocked throughout\n"),
        "{}",
        answer.stderr
    );
    assert_eq!(json["limits"][0]["accepted"], "it is small");
    let lint = |at: usize| json["impact"][at]["lint"][0]["rule"].as_str();
    assert_eq!(
        [lint(0), lint(1), lint(2)],
        [Some("require-concurrent-index-deletion"), Some("require-concurrent-index-creation"), None]
    );
    let told = "line 1: squawk's `require-concurrent-index-deletion` does not hold: measured, nobody waits for it\n";
    assert!(
        answer.stderr.contains(told)
            && answer.stderr.contains("; squawk has 2 findings, 1 of which the measurement contradicts; "),
        "{}",
        answer.stderr
    );
    project.assert_no_secret(&[&answer]);
    let told = "  `20260101000000_tidy` line 3 blocks writes of `public.Session` for as long as it builds an index of it\n  note: CREATE INDEX CONCURRENTLY in";
    assert!(answer.stderr.contains(told), "{}", answer.stderr);
    let blocked = |one: &Value| one["locks"].as_array().unwrap().iter().any(|lock| lock["blocks"] == "writes");
    assert_eq!(json["impact"].as_array().unwrap().iter().map(blocked).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(json["impact"][1]["statement"], r#"create index tidy on "Session" (shop);"#);
    assert_eq!(generated(&json), (&json!(0), &json!(null)), "a client that was changed is made again");
    assert!(!project.read("prisma/generated/postgres/index.js").contains("Not what"));
    assert_eq!(json["counts"]["before"]["public.Session"], 5);
    assert_eq!(json["counts"]["after"]["public.Session"], 4);
}

/// A fake of squawk, on PATH: it answers in the words of 2.70.0, adds the target's URL, which nobody may repeat, and finds what is not so.
fn fake_squawk(project: &mut Project) {
    let program = r#"#!/bin/sh
for file; do :; done
secret=$(sed -n 's/DATABASE_URL=//p' .env.staging)
finding() { printf '{"file":"%s","line":%s,"column":0,"level":"Warning","message":"%s %s","help":null,"rule_name":"%s","column_end":38,"line_end":1}' "$file" "$1" "$2" "$secret" "$3"; }
echo "[$(finding 0 'A normal `DROP INDEX` acquires an `ACCESS EXCLUSIVE` lock on the table' require-concurrent-index-deletion),"
echo "$(finding 2 'During normal index creation, table updates are blocked, but reads are still allowed.' require-concurrent-index-creation)]"
exit 1
"#;
    project.write("bin/squawk", program);
    fs::set_permissions(project.path("bin/squawk"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    project.env.insert("PATH".to_owned(), format!("{}:{path}", project.path("bin").display()));
}

/// Before anything is changed, and where a reviewer sees it.
fn over_a_limit(project: &mut Project, database: &Database) {
    project.drill_toml(&format!("{DRILL_TOML}[limits]\nblocks_writes = \"moment\"\n"));
    project.env.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    let job = project.path("").canonicalize().unwrap().parent().unwrap().display().to_string();
    project.env.insert("GITHUB_WORKSPACE".to_owned(), job);
    let answer = project.run(&["forward", "--accept-data-loss", "--json"]).expect(5);
    let name = project.path("").file_name().unwrap().to_string_lossy().into_owned();
    let annotation =
        answer.stderr.lines().find(|line| line.starts_with("::error file=")).unwrap().replace(&name, "PROJECT");
    insta::assert_snapshot!(format!("{}\n{annotation}", answer.failure()), @"
    error: the migrations go over the limits of drill.toml
    caused by: `20260101000000_tidy` line 1 blocks writes of `public.Session` for as long as it builds an index of `public.Session`, and `blocks_writes` allows a moment
    note: the database now: 0 migrations applied by this run, 1 pending
    note: write that statement so that it is less in the way (docs/impact.md), or accept it with a line above it: `-- drill-accept: blocks-writes because REASON`
    ::error file=PROJECT/prisma/postgres/migrations/20260101000000_tidy/migration.sql,line=1,title=blocks_writes over its limit::blocks writes of `public.Session` for as long as it builds an index of `public.Session`, and `blocks_writes` allows a moment
    ");
    assert_eq!(answer.json()["limits"][0]["limit"], "blocks_writes");
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations"), 4);
    project.env.remove("GITHUB_ACTIONS");
}

#[test]
fn a_table_whose_rows_the_owner_may_not_see_stops_only_what_needs_them() {
    let (project, database) = Project::on_staging("forward_forced");
    database.grant_supabase_roles();
    let sql = r#"create table vault (id int primary key); insert into vault values (1), (2), (3);
        alter table vault enable row level security; alter table vault force row level security;
        create policy few on vault using (id < 2);"#;
    project.migration("20260101000000_vault", sql);
    let json = project.run(&["forward", "--json"]).expect(0).json();
    let counts = json["counts"]["after"].as_object().unwrap();
    assert!(counts.contains_key("public.Session") && !counts.contains_key("public.vault"), "{counts:?}");
    let note = "not counted: table \"public\".\"vault\": its row security is forced, so it applies to the owner too; to have it \
                counted, alter table \"public\".\"vault\" no force row level security; or connect as a role with BYPASSRLS";
    assert_eq!(strings(&json["notes"]).iter().filter(|said| **said == note).count(), 1, "{}", json["notes"]);
    fs::copy(
        server::workspace().join("supabase/sql/analytics_facts_table.sql"),
        project.path("supabase/sql/analytics_facts_table.sql"),
    )
    .unwrap();
    project.run(&["mirror"]).expect(0);
    project.run(&["forward"]).expect(0);
    let fix = r#"alter table "public"."vault" no force row level security"#;
    let hint = format!("hint: {fix}; -- or connect as a role with BYPASSRLS");
    let refused = project.run(&["claim", "--confirm", &database.name]).expect(4);
    assert!(refused.prose().contains(&hint), "{}", refused.prose());
    database.execute(fix);
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    project.run(&["backward", "--plan"]).expect(0);
    database.execute("alter table vault force row level security");
    let refused = project.run(&["backward"]).expect(4);
    assert!(refused.prose().contains(&hint), "{}", refused.prose());
    // What a pending migration takes away has to be counted, and what is copied has to be seen whole.
    database.execute(r#"insert into "DecisionLog" (id, scope, actor, action) values (1, 's', 'a', 'a')"#);
    for (name, sql, command) in [
        ("20260102000000_vault", "drop table vault;", &["forward"][..]),
        ("20260102000000_log", "drop table \"DecisionLog\";", &["forward", "--accept-data-loss"]),
    ] {
        project.migration(name, sql);
        let refused = project.run(command).expect(4);
        assert!(refused.prose().contains(&hint), "{}", refused.prose());
        fs::remove_dir_all(project.path(&format!("prisma/postgres/migrations/{name}"))).unwrap();
    }
    assert_eq!(database.one::<i64>(r#"select count(*) from "DecisionLog""#), 1);
}

#[test]
fn the_evidence_says_what_ran_and_what_it_found() {
    let (project, _) = Project::on_staging_without_client("forward_evidence");
    let answer = project.run(&["forward", "--json"]).expect(0);
    let json = answer.json();
    let folder = json["evidence"].as_str().unwrap();
    assert!(folder.starts_with("feedback/evidence/"), "{folder}");
    let (run, lines) = (folder.rsplit('/').next().unwrap(), answer.stderr.lines().rev().take(2).collect::<Vec<_>>());
    assert_eq!(lines[0], format!("evidence: {folder}"));
    let verdict = format!(r"^forward passed in \d+([.]\d)? m?s: cargo xtask evidence open {run}$");
    assert!(regex::Regex::new(&verdict).unwrap().is_match(lines[1]), "{}", lines[1]);
    let report = project.run(&["evidence", "open", run]).expect(0).stdout;
    assert_eq!(report.trim(), format!("{folder}/report.html"));
    let record: Value = serde_json::from_str(&project.read(&format!("{folder}/run.json"))).unwrap();
    assert_eq!(record["status"], "ok");
    assert!(record["tools"]["engine"].as_str().unwrap().starts_with("wasm (7.10.0"), "{}", record["tools"]);
    assert_eq!(record["server"]["claimed"], false);
    let files: Vec<&String> = record["files"].as_object().unwrap().keys().collect();
    assert_eq!(
        files,
        [
            "03-generate.log",
            "04-migrate-deploy.log",
            "catalog-after.json",
            "catalog-before.json",
            "counts.json",
            "debug.log",
            "junit.xml",
            "plan.json",
            "report.html"
        ]
    );
    let log = project.read(&format!("{folder}/04-migrate-deploy.log"));
    assert!(
        log.starts_with("$ node ") && log.contains("4 migrations found") && log.contains("[exited 0 after"),
        "{log}"
    );
    let feedback = project.read("feedback/deployment.md");
    assert!(feedback.contains(folder) && feedback.contains("| public.Session | - | 0 |"), "{feedback}");
}

#[test]
fn a_plan_shows_the_sql_and_changes_nothing() {
    let (project, database) = Project::on_staging("forward_plan");
    let plan = project.run(&["forward", "--plan"]).expect(0);
    assert!(
        plan.stdout.contains("apply 4 migrations") && plan.stdout.contains("CREATE TABLE \"Session\""),
        "{}",
        plan.stdout
    );
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
    assert!(!project.path("feedback").exists(), "a plan leaves no evidence");
    let json = project.run(&["forward", "--plan", "--json"]).expect(0).json();
    assert_eq!(json["plan"]["scripts"].as_array().unwrap().len(), 4);
}

#[test]
fn the_generated_client_reads_every_model() {
    let (project, _) = Project::on_staging("forward_smoke");
    let json = project.run(&["forward", "--smoke", "--json"]).expect(0).json();
    let log = json["stages"][0]["steps"].as_array().unwrap().last().unwrap()["log"].as_str().unwrap();
    let log = project.read(&format!("{}/{log}", json["evidence"].as_str().unwrap()));
    for model in ["Session", "DashboardFact", "DecisionLog"] {
        assert!(log.contains(&format!("{model}: 0 rows")), "{log}");
    }
}

#[test]
fn a_missing_database_is_not_created() {
    let (project, database) = Project::on_staging("forward_typo");
    project.write(".env.staging", &format!("DATABASE_URL={}_tpyo_test\n", database.url()));
    let answer = project.run(&["forward"]).expect(4);
    assert!(answer.stderr.contains("does not exist"), "{}", answer.stderr);
    let mut server = server::shared().superuser("postgres");
    let found = server.query("select 1 from pg_database where datname like '%tpyo%'", &[]).unwrap();
    assert!(found.is_empty(), "Prisma would have created it");
}

/// Fails where its rows are, as a script does whose error no empty database shows.
const FAILS_ON_STAGING: &str = "select 1 / starts_with(current_database(), 'drill_replay_')::int;";

/// What is left of a migration of three statements, of which the second fails.
fn fails_in_the_middle(name: &str, up: &str, left: &str, first_is_there: bool) {
    let (project, database) = Project::on_staging(name);
    project.migration("20260101000000_broken", up);
    let first = project.run(&["forward"]).expect(1);
    for part in ["P3018", "20260101000000_broken", "division by zero", left, "hint: "] {
        assert!(first.stderr.contains(part), "{part} is missing in:\n{}", first.stderr);
    }
    // What the server refused leaves no trace in a schema, and it names no place: no line is better than a wrong one.
    let evidence = first.stderr.lines().last().unwrap().trim_start_matches("evidence: ");
    let record: Value = serde_json::from_str(&project.read(&format!("{evidence}/run.json"))).unwrap();
    assert_eq!((&record["error"]["line"], &record["error"]["excerpt"]["text"]), (&Value::Null, &json!(up.trim_end())));
    let there = database.one::<Option<String>>("select to_regclass('public.first')::text").is_some();
    assert_eq!(there, first_is_there);
    let second = project.run(&["forward"]).expect(1);
    assert!(second.stderr.contains("P3009") && second.stderr.contains("20260101000000_broken"), "{}", second.stderr);
    project.assert_no_secret(&[&first, &second]);
}

/// Runs a hint as a user does who pastes it: through a shell, in any folder.
fn paste(project: &Project, answer: &Answer) -> std::process::Output {
    let json = answer.json();
    let command = json["hint_command"].as_str().unwrap();
    // Behind it stands the name of its page, as a comment.
    let hint = json["hint"].as_str().unwrap();
    assert!(hint == command || hint.starts_with(&format!("{command}  # see docs/failures/")), "{hint}");
    assert!(answer.stderr.contains(&format!("\nhint: {hint}\n")), "{}", answer.stderr);
    let words = hint.strip_prefix("cargo xtask ").unwrap();
    let pasted = project.command(&[]);
    let environment = pasted.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("\"$0\" {words}")]).arg(program()).current_dir("/").env_clear().envs(environment);
    shell.output().unwrap()
}

#[test]
fn a_pasted_hint_acts_on_the_database_of_the_run_that_gave_it() {
    let broken = ("20260101000000_broken", FAILS_ON_STAGING);
    let sandbox = Project::new();
    sandbox.migration(broken.0, broken.1);
    let root = sandbox.path("");
    let root = root.to_str().unwrap();
    let failed = sandbox.run(&["forward", "--sandbox", "--json"]).expect(1);
    assert_eq!(failed.json()["hint_command"], "cargo xtask backward --failed --sandbox");
    let failed = sandbox.run(&["forward", "--sandbox", "--root", root, "--json"]).expect(1);
    assert_eq!(failed.json()["hint_command"], format!("cargo xtask backward --failed --sandbox --root '{root}'"));
    let settled = paste(&sandbox, &failed);
    assert!(settled.status.success(), "{}", String::from_utf8_lossy(&settled.stderr));

    let (staging, database) = Project::on_staging("forward_hint");
    staging.migration(broken.0, broken.1);
    std::fs::rename(staging.path(".env.staging"), staging.path("it's.env")).unwrap();
    staging.run(&["claim", "-q", "--confirm", &database.name, "--env-file", "it's.env"]).expect(0);
    let (root, file) = (staging.path(""), staging.path("it's.env"));
    let flags = ["--root", root.to_str().unwrap(), "--env-file", file.to_str().unwrap()];
    let failed = staging.run(&[&["forward", "--json"], &flags[..]].concat()).expect(1);
    let settled = paste(&staging, &failed);
    assert!(settled.status.success(), "{}", String::from_utf8_lossy(&settled.stderr));
    assert_eq!(
        database.one::<i64>("select count(*) from _prisma_migrations where rolled_back_at is not null"),
        1,
        "{failed:?}"
    );
}

#[test]
fn a_migration_that_fails_in_the_middle_is_named_and_the_next_try_says_what_to_do() {
    let up = format!("create table first (id int);\n{FAILS_ON_STAGING}\ncreate table third (id int);\n");
    fails_in_the_middle("forward_failing", &up, "its script left this behind: table \"public\".\"first\"", true);
}

#[test]
fn a_migration_that_prisma_sends_as_one_leaves_nothing_when_it_fails() {
    let body = FAILS_ON_STAGING.replace("select", "perform");
    let up = format!("create table first (id int);\ndo $$ begin {body} end $$;\ncreate table third (id int);\n");
    fails_in_the_middle("forward_failing_whole", &up, "its script changed nothing in the schema", false);
}

#[test]
fn a_migration_that_applies_nowhere_never_reaches_the_target() {
    let (project, database) = Project::on_staging("forward_replay_first");
    project.run(&["forward"]).expect(0);
    project.migration("20260101000000_broken", "create table first (id int);\n\nalter table nowhere add x int;\n");
    let answer = project.run(&["forward"]).expect(4);
    let told = answer.prose().lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(told, @r#"
    error: the migration `20260101000000_broken` does not apply to an empty database
    caused by: ERROR: relation "nowhere" does not exist (SQLSTATE 42P01), in statement 2 of 2, line 3 of the script
    note: nothing was changed
    note: the database now: 0 migrations applied by this run, 1 pending
    note: correct the migration; what the platform made and no migration did, make in `migrations.initShadowDb` of the Prisma config
    "#);
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations"), 4);
    assert!(database.one::<Option<String>>("select to_regclass('public.first')::text").is_none());
    let json = project.run(&["forward", "--json"]).expect(4).json();
    let steps = json["stages"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["name"].as_str().unwrap()).collect::<Vec<_>>(), ["replay"]);
    assert_eq!(project.programs(), [""; 0], "Prisma's CLI, which was started early, is gone");
}

#[test]
fn who_keeps_the_deploy_waiting_is_named_at_once_and_when_it_is_stopped() {
    let (project, database) = Project::on_staging("forward_waits");
    project.run(&["forward"]).expect(0);
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    project.migration("20260101000000_room", "alter table \"Session\" add column room text;");
    project.drill_toml(&format!("{DRILL_TOML}[timeouts]\nmigrate = 25\nsettle = 1\n"));
    let mut holder = database.connect();
    holder
        .batch_execute("set application_name = 'nightly'; begin; lock table \"Session\" in access share mode")
        .unwrap();
    let pid = holder.query_one("select pg_backend_pid()", &[]).unwrap().get::<_, i32>(0);
    let answer = project.run(&["forward"]).expect(4);
    let told = format!("backend pid {pid} (role `{}`, `nightly`, idle in transaction since ", database.user);
    let lines: Vec<&str> = answer.stderr.lines().filter(|line| line.contains(&told)).collect();
    assert!(lines.iter().all(|line| line.contains(") holds a lock on `Session`")), "{lines:?}");
    assert!(
        lines[0].ends_with(", and was last sent `select …`") || lines[0].ends_with("pg_backend_pid()`"),
        "{lines:?}"
    );
    let starts: Vec<&str> = lines.iter().map(|line| line.split(" backend").next().unwrap()).collect();
    assert_eq!(starts, ["  prisma migrate deploy waits:", "caused by:"]);
    drop(holder);
    // The server goes on with what the stopped child had sent.
    let at_work =
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    while database.one::<i64>(at_work) > 0 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    project.run(&["backward", "--failed"]).expect(0);
    project.run(&["forward"]).expect(0);
}

#[test]
fn drift_is_found_named_and_ends_with_five() {
    let (project, database) = Project::on_staging("forward_drift");
    project.run(&["forward"]).expect(0);
    let status = |code| {
        let json = project.run(&["status", "--json"]).expect(code).json();
        let rows = json["checks"].as_array().unwrap().iter().filter(|row| row["name"] == "drift");
        rows.map(|row| format!("{}: {}", row["status"], row["message"])).collect::<String>()
    };
    insta::assert_snapshot!(status(0), @r#""ok": "48 objects are exactly what the migrations make; 39 kinds compared""#);
    database.execute(r#"alter table "Session" drop column locale; create view spy as select 1 as one"#);
    insta::assert_snapshot!(status(5), @r#""fail": "2 differences from what the migrations make: column \"public\".\"Session\".\"locale\" is missing""#);
    let answer = project.run(&["forward", "--json"]).expect(5);
    let messages: Vec<String> = answer.json()["leftovers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages.iter().any(|m| m.contains("\"locale\"") && m.contains("missing")), "{messages:?}");
    assert!(messages.iter().any(|m| m.contains("\"spy\"")), "{messages:?}");
}

#[test]
fn an_edited_migration_and_a_missing_folder_are_found_before_anything_runs() {
    let (project, database) = Project::on_staging("forward_history");
    project.run(&["forward"]).expect(0);
    project.migration(ALL[2], "-- edited\nselect 1;\n");
    let edited = project.run(&["forward"]).expect(5);
    assert!(edited.stderr.contains("was edited after it was applied"), "{}", edited.stderr);
    std::fs::remove_dir_all(project.path(&format!("prisma/postgres/migrations/{}", ALL[2]))).unwrap();
    let missing = project.run(&["forward"]).expect(5);
    assert!(missing.stderr.contains("its folder is not here"), "{}", missing.stderr);
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations"), 4);
}

#[test]
fn a_migration_with_dollar_bodies_and_semicolons_in_strings_is_one_script() {
    let (project, database) = Project::on_staging("forward_dollar");
    let sql = "create function greet() returns text language plpgsql as $$ begin return 'a;b'; end $$;\n\
               insert into \"DecisionLog\" (scope, actor, action) values ('x;y', 'o''clock; z', greet());\n";
    project.migration("20260101000000_dollar", sql);
    project.run(&["forward"]).expect(0);
    assert_eq!(database.one::<String>(r#"select action from "DecisionLog""#), "a;b");
}

#[test]
fn two_runs_at_once_the_second_is_blocked_by_the_lock() {
    let (project, database) = Project::on_staging("forward_lock");
    project.migration("20260101000000_slow", "select pg_sleep(6);");
    let first = project.start(&["forward"]);
    let mut client = database.connect();
    let sleeping = "select count(*) from pg_stat_activity where query like '%pg_sleep(6)%' and pid <> pg_backend_pid()";
    while client.query_one(sleeping, &[]).unwrap().get::<_, i64>(0) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let second = project.run(&["forward"]).expect(4);
    assert!(second.stderr.contains("another run"), "{}", second.stderr);
    assert!(first.wait_with_output().unwrap().status.success());
}

const SHELVES: &str = "create schema trail; create table trail.step (id int primary key, what text);
    create table shelf (id int primary key, label text not null, width double precision, seen timestamp(6), old text);
    create table book (id int primary key, shelf int references shelf (id) on delete cascade)";
const FILLED: &str = "insert into trail.step values (1, 'a'), (2, 'b');
    insert into shelf values (1, 'one', 1.5, '2026-01-01 10:00:00.123456', 'x'), (2, 'two', 2, '2026-01-01 10:00:00', null);
    insert into book values (7, 1), (8, 1), (9, 2)";

#[test]
fn tables_that_cannot_be_counted_in_time_are_estimated_where_nothing_is_destroyed_and_said_to_be() {
    let (project, database) = with_history("forward_estimate", &[("1_items", r#"create table "Item" (id int)"#, "")]);
    database.execute(r#"insert into "Item" select generate_series(1, 1000); analyze "Item""#);
    let toml = project.read("drill.toml");
    project.write("drill.toml", &format!("{toml}\n[timeouts]\ncount = 0\n"));
    let answer = project.run(&["forward", "--json"]).expect(0);
    let prose = answer.prose();
    insta::assert_snapshot!(prose[prose.find("   table").unwrap()..], @"
    table        before  after     change
    public.Item   ~1000  ~1000  estimated
    ");
    let counts = &answer.json()["counts"];
    assert_eq!(counts["estimated"], json!(["public.Item", "public._prisma_migrations"]));
    insta::assert_snapshot!(answer.json()["notes"][0].as_str().unwrap(), @"estimated, not counted: public.Item and 1 other table; `[timeouts] count` in drill.toml says how long a count may take");
    assert!(project.read("feedback/deployment.md").contains("| public.Item | about 1000 | about 1000 |"));
    // What destroys counts every row, however long it takes.
    let plan = project.run(&["backward", "--plan", "--accept-data-loss", "--json"]).expect(0).json();
    assert_eq!(plan["losses"][0]["rows"], 1000);
    project.write("drill.toml", &toml);
    let exact = project.run(&["forward", "--json"]).expect(0).json();
    assert!(exact["counts"].get("estimated").is_none());
}

#[test]
fn what_a_migration_takes_away_needs_a_word_and_is_copied_first() {
    let (project, database) = with_history("forward_loss", &[("1_shelves", SHELVES, "")]);
    database.execute(FILLED);
    project.migration("2_next", "alter table shelf drop column old; truncate trail.step");
    let refused = project.run(&["forward", "--json"]).expect(3);
    let prose = refused.prose();
    insta::assert_snapshot!(prose[prose.find("What would be lost").unwrap()..], @r#"
    What would be lost:
      column "public"."shelf"."old": 1 values that are not null, in 2 rows
      table "trail"."step": 2 of 2 rows are deleted
    error: migrating would lose data, and `--accept-data-loss` was not given
      data loss: column "public"."shelf"."old": 1 values that are not null, in 2 rows
        fix: add --accept-data-loss: a snapshot is taken first
      data loss: table "trail"."step": 2 of 2 rows are deleted
        fix: add --accept-data-loss: a snapshot is taken first
    note: `--plan` shows the scripts, and `--accept-data-loss` takes a snapshot and goes on
    Nothing was changed.
    hint: cargo xtask forward --plan
    "#);
    assert_eq!(refused.json()["losses"].as_array().unwrap().len(), 2);
    assert_eq!(database.one::<i64>("select count(old) + (select count(*) from trail.step) from shelf"), 3);

    let done = project.run(&["forward", "--accept-data-loss", "--json"]).expect(0).json();
    assert!(done["snapshot"]["name"].is_string());
    assert_eq!(database.one::<i64>("select count(*) from trail.step"), 0);
    project.write("prisma/postgres/migrations/2_next/down.sql", "alter table shelf add column old text");
    project.run(&["backward", "-q"]).expect(0);
    project.run(&["restore", "--confirm", "-q", done["snapshot"]["name"].as_str().unwrap()]).expect(0);
    assert_eq!(database.one::<i64>("select count(old) + (select count(*) from trail.step) from shelf"), 3);
}

/// Tables that somebody made by hand, rows that no made-up row is like, and rows that refer to them.
#[test]
fn what_no_migration_made_and_what_no_made_up_row_meets_is_not_lost_without_a_word() {
    let (project, database) = with_history("forward_unmanaged", &[("1_shelves", SHELVES, "")]);
    database.execute(FILLED);
    database.execute(
        "create table by_hand (id int primary key, shelf int references shelf (id) on delete cascade); insert into by_hand values (1, 2), (2, 1);
         create schema elsewhere; create table elsewhere.kept (id int); insert into elsewhere.kept values (1), (2), (3)",
    );
    project.migration("2_next", "delete from shelf where label = 'two'; drop schema if exists elsewhere cascade");
    project.migration("3_more", "do $$ begin update trail.step set what = 'c' where what = 'b'; end $$");
    let refused = project.run(&["forward", "--json"]).expect(3);
    let prose = refused.prose();
    let lost = &prose[prose.find("What would be lost").unwrap()..prose.find("error:").unwrap()];
    insta::assert_snapshot!(lost, @r#"
    What would be lost:
      table "elsewhere"."kept": 3 rows
      table "trail"."step": what is done to its 2 rows could not be tried
      table "public"."shelf": 1 of 2 rows are deleted
      table "public"."book": 1 of 3 rows are deleted
      table "public"."by_hand": 1 of 2 rows are deleted
    "#);
    assert_eq!(database.one::<i64>("select count(*) + (select count(*) from elsewhere.kept) from by_hand"), 5);

    project.migration("2_next", "drop table if exists by_hand");
    project.migration(
        "3_more",
        "insert into trail.step values (3, 'x'), (1, 'a') on conflict (id) do update set what = excluded.what",
    );
    let refused = project.run(&["forward", "--json"]).expect(3);
    let losses = &refused.json()["losses"];
    assert_eq!(*losses, json!([{ "table": "public.by_hand", "column": null, "rows": 2, "values": 2 }]));
    let done = project.run(&["forward", "--accept-data-loss", "--json"]).expect(0).json();
    database.execute("create table by_hand (id int primary key, shelf int)");
    project.run(&["restore", "--confirm", "-q", done["snapshot"]["name"].as_str().unwrap()]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from by_hand"), 2);
}

#[test]
fn what_is_there_before_the_first_migration_is_not_lost_without_a_word() {
    let (project, database) = Project::on_staging("forward_first_loss");
    database.execute(
        "create schema elsewhere; create table elsewhere.kept (id int); insert into elsewhere.kept values (1), (2)",
    );
    project.migration("20240101000000_clean", "drop schema if exists elsewhere cascade");
    let refused = project.run(&["forward", "--json"]).expect(3).json();
    assert_eq!(refused["losses"][0]["table"], "elsewhere.kept");
    assert_eq!(database.one::<i64>("select count(*) from elsewhere.kept"), 2);
    project.run(&["forward", "--accept-data-loss", "-q"]).expect(0);
    assert!(database.one::<bool>("select to_regclass('elsewhere.kept') is null"));
}

/// Literals are read and paths searched as the target's database has them set, which the throw-away one is not. What may be a secret is not
/// sent to it.
#[test]
fn what_is_set_for_the_database_decides_in_the_replay_too() {
    let (project, database) = Project::on_staging("settings");
    let mut superuser = server::shared().superuser("postgres");
    let secret = "app.jwt_secret = 'jwt-7Hq2'";
    for setting in ["standard_conforming_strings = off", "xmloption = document", "client_encoding = latin1", secret] {
        superuser.batch_execute(&format!("alter database {} set {setting}", database.name)).unwrap();
    }
    project
        .migration("20990101000000_notes", r"create table notes (a text not null default 'x\ty', b text default 'é…')");
    project.run(&["forward"]).expect(0);
    database.execute("insert into notes values (default)");
    assert_eq!(database.one::<String>("select a || b from notes"), "x\tyé…");
    project.migration("20990103000000_documents", "insert into notes values ('<a/>b'::xml::text)");
    // Foretold: else the target would find out.
    let forward = project.run(&["forward"]).expect(4);
    assert!(forward.stderr.contains("invalid XML document"), "{}", forward.stderr);
    assert_eq!(server::shared().mentions("jwt-7Hq2"), 1, "but for the statement above");
}
