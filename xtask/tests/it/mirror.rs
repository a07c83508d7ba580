//! `mirror` with the real Supabase CLI: what its script makes is there, and nothing in sight can move the CLI elsewhere.

use chores::setup::clients;
use serde_json::Value;

use std::fs;
use std::os::unix::fs::symlink;

use crate::project::{Answer, DRILL_TOML, Project};
use crate::server::{self, Database, workspace};

/// A migrated staging database on a server that has Supabase's roles.
fn migrated(name: &str) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    database.grant_supabase_roles();
    std::fs::create_dir_all(project.path("supabase/sql")).unwrap();
    let script = "supabase/sql/analytics_facts_table.sql";
    std::fs::copy(workspace().join(script), project.path(script)).unwrap();
    project.run(&["forward"]).expect(0);
    (project, database)
}

fn step<'a>(json: &'a Value, name: &str) -> &'a Value {
    json["stages"][0]["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap()
}

fn digest(project: &Project, answer: &Answer) -> String {
    project.read(&format!("{}/catalog-after.json", answer.json()["evidence"].as_str().unwrap()))
}

#[test]
fn the_script_is_applied_once_and_a_second_time_changes_nothing() {
    let (project, database) = migrated("mirror_twice");
    let first = project.run(&["mirror", "--json"]).expect(0);
    let json = first.json();
    assert_eq!(
        step(&json, "verify write")["detail"],
        "the service role wrote a row to `public.facts` and read it back; rolled back"
    );
    assert_eq!(json["counts"]["after"]["public.facts"], 0);
    assert!(database.one::<bool>("select relrowsecurity from pg_class where oid = 'public.facts'::regclass"));
    let second = project.run(&["mirror", "--json"]).expect(0);
    assert_eq!(digest(&project, &first), digest(&project, &second));
    assert!(project.read("feedback/data.md").contains("mirror ok"));
    // Its table is no drift.
    let forward = project.run(&["forward", "--json"]).expect(0);
    assert_eq!(forward.json()["counts"]["after"]["public.facts"], 0);
    project.assert_no_secret(&[&first, &second, &forward]);
}

/// What the mirror's script makes need not be known where nothing differs without it.
#[test]
fn after_a_forward_the_drift_is_known_whether_or_not_the_mirror_is_there() {
    let (project, database) = migrated("mirror_drift");
    let drift = |status: i32| {
        let rows = project.run(&["status", "--json"]).expect(status).json();
        let row = rows["checks"].as_array().unwrap().iter().find(|row| row["name"] == "drift").unwrap().clone();
        format!("{} {}", row["status"].as_str().unwrap(), row["message"].as_str().unwrap())
    };
    assert_eq!(drift(0), "ok 48 objects are exactly what the migrations make; 39 kinds compared");
    database.execute("create table by_hand (id int)");
    assert!(drift(0).starts_with("skipped"), "it may be the mirror's");
    project.run(&["forward", "-q"]).expect(5);
    assert!(drift(5).starts_with("fail"), "{}", drift(5));
}

#[test]
fn before_the_migrations_it_is_blocked() {
    let (project, database) = Project::on_staging("mirror_early");
    std::fs::create_dir_all(project.path("supabase/sql")).unwrap();
    project.write("supabase/sql/analytics_facts_table.sql", "create table public.facts (id int);");
    let answer = project.run(&["mirror"]).expect(4);
    insta::assert_snapshot!(answer.said(), @"
    Target: staging is database `mirror_early_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: the database has no migrations yet, and the mirror comes after them
    caused by: Prisma refuses a database that has tables and no ledger (P3005)
    hint: cargo xtask forward
    ");
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

/// Scripts that begin with a clean table are common.
#[test]
fn what_the_script_takes_away_needs_a_word_and_is_copied_first() {
    let (project, database) = migrated("mirror_loss");
    project.run(&["mirror", "-q"]).expect(0);
    database.execute(
        "insert into facts (project, topic, key, value) select 'p', 't', 'k' || i, '{}' from generate_series(1, 3) i;
         create table audit (id int); insert into audit values (1), (2)",
    );
    let script = "supabase/sql/analytics_facts_table.sql";
    let made = project.read(script);
    project.write(script, &format!("drop table if exists public.facts;\n{made}\ndelete from audit where id > 1;"));
    let refused = project.run(&["mirror", "--json"]).expect(3);
    let prose = refused.prose();
    insta::assert_snapshot!(prose[prose.find("What would be lost").unwrap()..].trim_end(), @r#"
    What would be lost:
      table "public"."facts": 3 rows
      table "public"."audit": rows are deleted, of 2
    error: running the mirror's script would lose data, and `--accept-data-loss` was not given
      data loss: table "public"."facts": 3 rows
        fix: add --accept-data-loss: a snapshot is taken first
      data loss: table "public"."audit": rows are deleted, of 2
        fix: add --accept-data-loss: a snapshot is taken first
    note: `--plan` shows the scripts, and `--accept-data-loss` takes a snapshot and goes on
    Nothing was changed.
    hint: cargo xtask mirror --plan
    "#);
    assert_eq!(refused.json()["losses"].as_array().unwrap().len(), 2);
    let rows = "select count(*) + (select count(*) from audit) from facts";
    assert_eq!(database.one::<i64>(rows), 5);

    database.execute("drop table audit");
    project.write(script, &format!("drop table if exists public.facts;\n{made}"));
    let done = project.run(&["mirror", "--accept-data-loss", "--json"]).expect(0).json();
    assert_eq!((step(&done, "snapshot")["status"].as_str(), &done["losses"][0]["rows"]), (Some("ok"), &Value::from(3)));
    assert_eq!(database.one::<i64>("select count(*) from facts"), 0);
    project.run(&["claim", "--confirm", &database.name, "-q"]).expect(0);
    project.run(&["restore", "--confirm", "-q", done["snapshot"]["name"].as_str().unwrap()]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from facts"), 3);

    // One that takes nothing needs no word, whatever is there.
    project.write(script, &made);
    project.run(&["mirror", "-q"]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from facts"), 3);
}

#[test]
fn a_failing_statement_leaves_nothing_of_the_script() {
    let (project, database) = migrated("mirror_failing");
    project.write("supabase/sql/analytics_facts_table.sql", "create table public.facts (id int);\nselect 1 / 0;\n");
    let answer = project.run(&["mirror"]).expect(1);
    insta::assert_snapshot!(answer.failure(), @"
    error: the mirror's script was not applied: `supabase db query` exited with code 1
    caused by: DbQueryExecError: failed to execute query: error: division by zero
    note: correct that statement in the mirror's script; nothing of the script is there; see docs/failures/mirror-script-fails
    ");
    assert_eq!(database.one::<Option<String>>("select to_regclass('public.facts')::text"), None);
}

/// Everything that is known to move the Supabase CLI or to run code in it, all at once.
#[test]
fn nothing_in_the_project_or_the_environment_moves_the_supabase_cli() {
    let (mut project, database) = migrated("mirror_hostile");
    let other = server::shared().database("mirror_elsewhere");
    let evil = project.path("evil-was-here").display().to_string();
    project.write("evil.cjs", &format!("require('fs').writeFileSync({evil:?}, 'x')"));
    project.write("bunfig.toml", "preload = [\"./evil.cjs\"]\n");
    project.write("supabase/config.toml", "project_id = \"elsewhere\"\n");
    project.write("supabase/.temp/project-ref", "productionrefabcdefg");
    let elsewhere = format!("PGDATABASE={}\nPGUSER={}\nPGOPTIONS=-c search_path=evil\n", other.name, other.user);
    project.write("supabase/.env", &elsewhere);
    let preload = project.path("evil.cjs").display().to_string();
    let hostile = [
        ("PGDATABASE", other.name.as_str()),
        ("PGUSER", other.user.as_str()),
        ("PGHOST", "127.0.0.9"),
        ("PGHOSTADDR", "127.0.0.9"),
        ("PGSERVICE", "evil"),
        ("PGOPTIONS", "-c search_path=evil"),
        ("NODE_OPTIONS", &format!("--require {preload}")),
        ("BUN_OPTIONS", &format!("--preload {preload}")),
        ("SUPABASE_DB_PASSWORD", "wrong"),
    ];
    project.env.extend(hostile.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let answer = project.run(&["mirror", "--json"]).expect(0);
    assert!(!project.path("evil-was-here").exists(), "a child ran somebody's code");
    assert_eq!(database.one::<Option<String>>("select to_regclass('public.facts')::text").as_deref(), Some("facts"));
    assert_eq!(other.one::<Option<String>>("select to_regclass('public.facts')::text"), None);
    project.assert_no_secret(&[&answer]);
}

/// The project's packages with the Supabase CLI of `clients` in the place of its own.
fn use_major_two(project: &Project) {
    let (packages, others) = (project.path("node_modules"), clients().join("node_modules"));
    let own = fs::canonicalize(&packages).unwrap();
    fs::remove_file(&packages).unwrap();
    fs::create_dir(&packages).unwrap();
    for entry in fs::read_dir(own).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        let from =
            if matches!(name.to_str(), Some("supabase" | "@supabase")) { others.join(&name) } else { entry.path() };
        symlink(from, packages.join(&name)).unwrap();
    }
}

/// Major 2 has other flags for the target and for consent, and another form of errors.
#[test]
fn major_two_of_the_supabase_cli_makes_the_same_mirror() {
    let (project, database) = migrated("mirror_two");
    use_major_two(&project);
    let answer = project.run(&["mirror", "--json"]).expect(0);
    let json = answer.json();
    let log = step(&json, "supabase db query")["log"].as_str().unwrap();
    let log = project.read(&format!("{}/{log}", json["evidence"].as_str().unwrap()));
    assert!(log.contains("--db-url") && !log.contains("--remote"), "{log}");
    assert_eq!(database.one::<Option<String>>("select to_regclass('public.facts')::text").as_deref(), Some("facts"));
    project.write("supabase/sql/analytics_facts_table.sql", "create table public.other (id int);\nselect 1 / 0;\n");
    let failed = project.run(&["mirror"]).expect(1);
    insta::assert_snapshot!(failed.failure(), @"
    error: the mirror's script was not applied: `supabase db query` exited with code 1
    caused by: DbQueryExecError: failed to execute query: error: division by zero
    note: correct that statement in the mirror's script; nothing of the script is there; see docs/failures/mirror-script-fails
    ");
    assert_eq!(database.one::<Option<String>>("select to_regclass('public.other')::text"), None);
    project.assert_no_secret(&[&answer, &failed]);
}

#[test]
fn a_project_without_supabase_says_so_once_and_types_no_flag() {
    let (project, database) = Project::on_staging_without_client("no_supabase");
    project.drill_toml(&DRILL_TOML.replace("[targets.staging]", "[supabase]\nenabled = false\n\n[targets.staging]"));
    let said = ["mirror", "parity"].map(|command| project.run(&[command]).expect(4).said());
    insta::assert_snapshot!(said.join("\n\n"), @"
    Target: staging is database `no_supabase_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: drill.toml says that this project has no Supabase: `enabled = false` under `[supabase]`
    note: remove that line, where there is a mirror

    Target: staging is database `no_supabase_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: drill.toml says that this project has no Supabase: `enabled = false` under `[supabase]`
    note: remove that line, where there is a mirror
    ");
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    let plan = project.run(&["drill", "--plan"]).expect(0);
    let told: Vec<&str> = plan.stdout.lines().filter(|line| line.contains("enabled = false")).collect();
    insta::assert_snapshot!(told.join("\n"), @"drill on staging: forward, backward, forward; mirror is left out, since drill.toml says `enabled = false` under `[supabase]`; parity is left out, since drill.toml says `enabled = false` under `[supabase]`.");
}
