//! The claim on real servers: who may make it, what it survives, and that a copy's is not believed.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::project::{Answer, Project};
use crate::server::{self, Database, PASSWORD_IN_URL, workspace};

/// What the claim says, and since when, as the server has it.
fn stored(database: &Database) -> Option<(String, u32, String)> {
    let mut client = database.connect();
    let there: Option<String> =
        client.query_one("select to_regclass('staging_drill.claim')::text", &[]).unwrap().get(0);
    there?;
    let row =
        client.query_opt("select database, database_oid, claimed_at::text from staging_drill.claim", &[]).unwrap()?;
    Some((row.get(0), row.get(1), row.get(2)))
}

fn claim(project: &Project, database: &Database) -> Answer {
    project.run(&["claim", "--confirm", &database.name])
}

/// The line of `claim --plan` that says whose claim is there.
fn standing(project: &Project) -> String {
    let plan = project.run(&["claim", "--plan"]).expect(0).stdout;
    plan.lines().find_map(|line| line.strip_prefix("  claim: ")).unwrap_or_else(|| panic!("{plan}")).to_owned()
}

/// Proves that nothing is claimed without the database's name, that the identity is shown first, and that what is stored is the server's own.
#[test]
fn a_claim_takes_the_databases_name_and_is_verified_on_the_server() {
    let (project, database) = Project::on_staging("claim_name");
    database.execute("create table facts as select generate_series(1, 7) i");
    let unasked = project.run(&["claim"]).expect(3);
    for part in
        ["  database: claim_name_", "  system: ", "  claim: none", "1 tables, 7 rows", "there is no terminal to ask at"]
    {
        assert!(unasked.stderr.contains(part), "{part} is missing in:\n{}", unasked.stderr);
    }
    insta::assert_snapshot!(unasked.said(), @r"
    Target: staging is database `claim_name_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
      database: claim_name_N_test
      server: Postgres 17.10 at 127.0.0.1:PORT
      system: SYSTEM
      project: no Supabase project
      user: claim_name_N_test_owner
      claim: none
      holds: 1 tables, 7 rows; claimed, the drill may drop and restore all of them
    error: there is no consent to claim this database as disposable
      consent: it takes your consent to claim this database as disposable, and there is no terminal to ask at
        fix: give it with `--confirm`, as the hint does
    Nothing was spawned, and nothing was changed.
    hint: cargo xtask claim --confirm claim_name_N_test
    ");
    let wrong = project.run(&["claim", "--confirm", "claim_name_test"]).expect(3);
    insta::assert_snapshot!(wrong.said(), @r"
    Target: staging is database `claim_name_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
      database: claim_name_N_test
      server: Postgres 17.10 at 127.0.0.1:PORT
      system: SYSTEM
      project: no Supabase project
      user: claim_name_N_test_owner
      claim: none
      holds: 1 tables, 7 rows; claimed, the drill may drop and restore all of them
    error: there is no consent to claim this database as disposable
      consent: `--confirm` names `claim_name_test`, and the target's database is `claim_name_N_test`
        fix: give it with `--confirm`, as the hint does
    Nothing was spawned, and nothing was changed.
    hint: cargo xtask claim --confirm claim_name_N_test
    ");
    assert_eq!(stored(&database), None);
    assert_eq!(database.one::<i64>("select count(*) from pg_namespace where nspname = 'staging_drill'"), 0);

    let answer = claim(&project, &database).expect(0);
    let (name, oid, since) = stored(&database).unwrap();
    assert_eq!(name, database.name);
    assert_eq!(oid, database.one::<u32>("select oid from pg_database where datname = current_database()"));
    // Again: it is there and holds, so there is nothing to ask and nothing to write.
    let again = project.run(&["claim"]).expect(0);
    insta::assert_snapshot!(again.said(), @r"
    Target: staging is database `claim_name_N_test` on 127.0.0.1:PORT (Postgres 17.10, claimed as disposable)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
      database: claim_name_N_test
      server: Postgres 17.10 at 127.0.0.1:PORT
      system: SYSTEM
      project: no Supabase project
      user: claim_name_N_test_owner
      claim: its own, made of `claim_name_N_test` at MOMENT by unknown
    claim:
      ✓ verify claim: the claim names this database of this server
    ");
    assert_eq!(stored(&database).unwrap().2, since);
    project.run(&["claim", "--confirm", "other_test"]).expect(3);
    project.assert_no_secret(&[&unasked, &wrong, &answer, &again]);
}

/// Runs `claim` on a terminal of its own (`script` of util-linux) and types `typed` there.
fn at_a_terminal(project: &Project, typed: &str) -> (i32, String) {
    let xtask = project.command(&["claim"]);
    let words = std::iter::once(xtask.get_program()).chain(xtask.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]).current_dir(project.path(""));
    script
        .env_clear()
        .env("TERM", "xterm")
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", project.path("home"));
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (mut seen, mut byte) = (String::new(), [0; 1]);
    while screen.read(&mut byte).unwrap() == 1 {
        seen.push(char::from(byte[0]));
        // Typed when the question is there, as a person would.
        if seen.ends_with("as disposable: ") {
            writeln!(keyboard, "{typed}").unwrap();
        }
    }
    (child.wait().unwrap().code().unwrap(), seen)
}

/// Proves that on a terminal the name is asked for after the identity was shown, and that only the name itself is a yes.
#[test]
fn on_a_terminal_the_typed_name_is_the_consent() {
    let (project, database) = Project::on_staging("claim_typed");
    for typed in ["y", "yes", ""] {
        let (code, seen) = at_a_terminal(&project, typed);
        assert!(code == 3 && seen.contains("the answer was not the database's name"), "{typed}: {code}\n{seen}");
        assert_eq!(stored(&database), None);
    }
    let (code, seen) = at_a_terminal(&project, &database.name);
    assert_eq!(code, 0, "{seen}");
    let (shown, asked) = (seen.find("  system: ").unwrap(), seen.find("Type the database's name").unwrap());
    assert!(shown < asked, "{seen}");
    assert_eq!(stored(&database).unwrap().0, database.name);
}

/// Proves that what stands in the claim's place without being one is neither believed nor run nor replaced, by no command.
#[test]
fn a_planted_claim_is_refused_and_never_run() {
    let (project, database) = Project::on_staging("claim_planted");
    let boom = "create function staging_drill.boom() returns text language plpgsql as $$ begin raise exception 'boom'; end $$;";
    for (planted, suspicion) in [
        ("create view staging_drill.claim as select staging_drill.boom() as database", "is not a plain table"),
        ("create materialized view staging_drill.claim as select 'x'::text as database", "is not a plain table"),
        ("create table staging_drill.claim (database text)", "does not have the columns of a claim"),
    ] {
        database.execute(&format!(
            "drop schema if exists staging_drill cascade; create schema staging_drill; {boom} {planted}"
        ));
        let before: String =
            database.one("select string_agg(oid::text, ',' order by oid) from pg_class where relname = 'claim'");
        for answer in [claim(&project, &database), project.run(&["forward"])] {
            let answer = answer.expect(3);
            assert!(answer.stderr.contains(suspicion) && !answer.stderr.contains("boom"), "{}", answer.stderr);
            assert!(answer.stderr.contains("drop schema staging_drill cascade"), "{}", answer.stderr);
        }
        let after: String =
            database.one("select string_agg(oid::text, ',' order by oid) from pg_class where relname = 'claim'");
        assert_eq!(before, after);
    }
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

/// Proves that one role cannot vouch for the database of another, that a superuser can, and what is said to a role that may not write.
#[test]
fn a_claim_counts_when_its_owner_is_the_role_itself_or_a_superuser() {
    let (project, database) = Project::on_staging("claim_roles");
    let admin = server::shared();
    let app = format!("{}_app", database.name);
    let mut superuser = admin.superuser(&database.name);
    superuser.batch_execute(&format!("create role {app} login password '{}'", server::PASSWORD)).unwrap();
    let as_app = Project::new();
    let url = database.url().replacen(&format!("//{}", database.user), &format!("//{app}"), 1);
    as_app.write(".env.staging", &format!("DATABASE_URL={url}\n"));
    let may_not = claim(&as_app, &database).expect(4);
    insta::assert_snapshot!(may_not.said(), @r#"
    Target: staging is database `claim_roles_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: the role `claim_roles_N_test_app` may not write the claim into the database `claim_roles_N_test`
    caused by: the claim has a schema of its own, `staging_drill`, which this role may not create or does not own
    note: the database's owner may run the SQL below
    hint: grant create on database "claim_roles_N_test" to "claim_roles_N_test_app"
    "#);
    let hint = format!("hint: grant create on database \"{}\" to \"{app}\"", database.name);
    assert!(may_not.stderr.contains(&hint), "{}", may_not.stderr);
    assert_eq!(stored(&database), None);

    claim(&project, &database).expect(0);
    let foreign = as_app.run(&["claim", "--plan"]).expect(3);
    insta::assert_snapshot!(foreign.said(), @r"
    error: `staging_drill` is not provably a staging database
      claim: `staging_drill.claim` is owned by another role, or its schema is, so the drill did not make it
        fix: find out who put it there; then, as its owner: drop schema staging_drill cascade
    Nothing was spawned, and nothing was changed.
    ");

    superuser.batch_execute("drop schema staging_drill cascade").unwrap();
    let as_superuser = Project::new();
    as_superuser.write(".env.staging", &format!("DATABASE_URL={}\n", admin.superuser_url(&database.name)));
    claim(&as_superuser, &database).expect(0);
    assert!(standing(&as_app).starts_with("its own"), "{}", standing(&as_app));
    assert!(standing(&project).starts_with("its own"));
}

/// Proves that the real `prisma migrate reset` leaves the claim alone, and that it is no drift.
#[test]
fn a_claim_outlives_prismas_reset_and_is_no_drift() {
    let (project, database) = Project::on_staging("claim_reset");
    claim(&project, &database).expect(0);
    project.run(&["forward"]).expect(0);
    let (_, _, since) = stored(&database).unwrap();
    let prisma = workspace().join("node_modules/prisma/build/index.js");
    let mut reset = Command::new("node");
    reset.arg(prisma).args(["migrate", "reset", "--force", "--config", "prisma/postgres.config.ts"]);
    reset.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", project.path("home"));
    let engine = project.path("prisma/engine/schema-engine.mjs");
    reset.env("DATABASE_URL", database.url()).env("CHECKPOINT_DISABLE", "1").env("PRISMA_SCHEMA_ENGINE_BINARY", engine);
    let output = reset.current_dir(project.path("")).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stored(&database).unwrap().2, since);
    let json = project.run(&["forward", "--json"]).expect(0).json();
    assert_eq!(json["leftovers"], Value::Null);
    let record: Value =
        serde_json::from_str(&project.read(&format!("{}/run.json", json["evidence"].as_str().unwrap()))).unwrap();
    assert_eq!(record["server"]["claimed"], true);

    // A migration that takes it away is told of when it does, and not when the next command is refused.
    project.migration("20270101000000_tidy_up", "drop schema if exists staging_drill cascade");
    let lost = project.run(&["forward", "--json"]).expect(0);
    let told = format!(
        "this run took the database's claim away; what destroys asks for a new one: cargo xtask claim --confirm {}",
        database.name
    );
    assert!(lost.stderr.contains(&format!("warning: {told}")), "{}", lost.stderr);
    assert!(lost.json()["notes"].as_array().unwrap().contains(&Value::from(told.as_str())), "{}", lost.stdout);
    // What a role has turned against a session ends none of ours, and changes nothing that they read.
    for setting in [
        "idle_session_timeout = '1s'",
        "xmloption = document",
        "array_nulls = off",
        "datestyle = german",
        "bytea_output = escape",
    ] {
        database.execute(&format!("alter role {} set {setting}", database.user));
    }
    let unclaimed = project.run(&["forward", "--json"]).expect(0);
    assert!(!unclaimed.stderr.contains("claim away"), "{}", unclaimed.stderr);
    project.run(&["restore", "--plan"]).expect(3);
}

/// What `pg_dump` would write of the claim: its columns and its row.
fn dump(database: &Database) -> String {
    database.one(
        "select 'create schema staging_drill; create table staging_drill.claim (' || (
                  select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
                    from pg_attribute a
                   where a.attrelid = 'staging_drill.claim'::regclass and a.attnum > 0 and not a.attisdropped)
             || '); insert into staging_drill.claim values ('
             || string_agg(coalesce(quote_literal(v.value), 'null'), ', ' order by a.attnum) || ')'
           from staging_drill.claim c
           join lateral jsonb_each_text(to_jsonb(c)) v on true
           join pg_attribute a on a.attrelid = 'staging_drill.claim'::regclass and a.attname = v.key",
    )
}

/// Proves, with two fresh servers at one address that hand out the same OIDs and hide their system identifiers, that the claim which a dump
/// brings along is not believed where something can be lost, that this is said, and that a new claim settles it.
#[test]
fn a_dump_into_a_fresh_server_at_the_same_address_does_not_pass_where_the_system_identifier_is_hidden() {
    let port = server::free_port("127.0.0.5");
    let begin = || {
        let server = server::Server::start_at("127.0.0.5", port);
        let hide = "revoke execute on function pg_control_system() from public";
        server.superuser("template1").batch_execute(hide).unwrap();
        while server
            .superuser("postgres")
            .query_one("select count(*) from pg_stat_activity where datname = 'template1'", &[])
            .unwrap()
            .get::<_, i64>(0)
            > 0
        {
            std::thread::yield_now();
        }
        let database = server.database_named("hidden_1_test");
        (server, database)
    };
    let identity = |database: &Database| -> String {
        database.one(
            "select concat_ws(' ', d.oid, d.datdba, has_function_privilege('pg_control_system()', 'execute'))
                        from pg_database d where datname = current_database()",
        )
    };
    let (first, original) = begin();
    let project = Project::new();
    project.drill_toml("[targets.staging]\nallow_hosts = [\"127.0.0.1\"]\nallow_databases = [\"*_test\"]\n");
    project.write(".env.staging", &format!("DATABASE_URL={}\n", original.url()));
    claim(&project, &original).expect(0);
    // There is no snapshot, which is asked for when the guard has said yes.
    project.run(&["restore", "--plan"]).expect(4);
    let (known, dump) = (identity(&original), dump(&original));
    first.stop();

    let (_second, restored) = begin();
    assert_eq!(identity(&restored), known);
    restored.execute(&dump);
    let refused = project.run(&["restore", "--plan"]).expect(3);
    insta::assert_snapshot!(refused.said(), @r"
    error: `staging` is not provably a staging database
      claim: the claim in the database `hidden_N_test` was made elsewhere: its row differs
        fix: if this database is disposable, `claim --confirm hidden_N_test` says so
    Nothing was spawned, and nothing was changed.
    hint: cargo xtask claim --confirm hidden_N_test
    ");
    claim(&project, &restored).expect(0);
    project.run(&["restore", "--plan"]).expect(4);
}

/// Proves with a copied database and with rows restored on another server that the claim they bring along is known as another's, that
/// this is shown before consent, and that claiming anew replaces it. That destructive stages refuse it is proven in `guard::server`.
#[test]
fn a_copy_brings_the_originals_claim_and_it_does_not_count() {
    let (project, original) = Project::on_staging("claim_copy");
    claim(&project, &original).expect(0);
    let (shared, second) = (server::shared(), server::second());

    // `create database … template …`: the same cluster, another database.
    let copy = format!("copy_of_{}", original.name);
    let sql = format!("create database {copy} template {} owner {}", original.name, original.user);
    shared.superuser("postgres").batch_execute(&sql).unwrap();
    let beside = Project::new();
    let url = original.url();
    beside.write(".env.staging", &format!("DATABASE_URL={}/{copy}\n", url.rsplit_once('/').unwrap().0));
    let shown = standing(&beside);
    assert!(
        shown.starts_with("of another database, of which this is a copy") && shown.contains(&original.name),
        "{shown}"
    );
    assert!(shown.ends_with("differs in database name, database oid"), "{shown}");

    // Dump and restore: another cluster, the same name. The claim is made there and then overwritten with the original's row.
    let restored = second.database_named(&original.name);
    let elsewhere = Project::new();
    elsewhere.write(".env.staging", &format!("DATABASE_URL={}\n", restored.url()));
    claim(&elsewhere, &restored).expect(0);
    let mut dump = Vec::new();
    original.connect().copy_out("copy staging_drill.claim to stdout").unwrap().read_to_end(&mut dump).unwrap();
    restored.execute("delete from staging_drill.claim");
    let mut client = restored.connect();
    let mut rows = client.copy_in("copy staging_drill.claim from stdin").unwrap();
    rows.write_all(&dump).unwrap();
    rows.finish().unwrap();
    // What a claim says is shown to whoever decides, so it must not draw its own picture of it.
    let forged = "update staging_drill.claim set claimed_by = E'ana\\n  claim: its own\\u001b[8m'";
    for database in [&original, &restored] {
        database.execute(forged);
    }
    assert!(standing(&elsewhere).contains(r"by ana\n  claim: its own\u{1b}[8m"), "{}", standing(&elsewhere));
    assert!(standing(&elsewhere).contains("system identifier"), "{}", standing(&elsewhere));

    let unasked = elsewhere.run(&["claim"]).expect(3);
    // Two servers may hand out the same OIDs.
    let said = |answer: &Answer| answer.said().replace("database oid, ", "");
    insta::assert_snapshot!(said(&unasked), @r"
    Target: staging is database `claim_copy_N_test` on 127.0.0.1:PORT (Postgres 17.10, with the claim of another database: its system identifier, row differs)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
      database: claim_copy_N_test
      server: Postgres 17.10 at 127.0.0.1:PORT
      system: SYSTEM
      project: no Supabase project
      user: claim_copy_N_test_owner
      claim: of another database, of which this is a copy, made of `claim_copy_N_test` at MOMENT by ana\n  claim: its own\u{1b}[8m; differs in system identifier, row
      holds: 0 tables, 0 rows; claimed, the drill may drop and restore all of them
    error: there is no consent to claim this database as disposable
      consent: it takes your consent to claim this database as disposable, and there is no terminal to ask at
        fix: give it with `--confirm`, as the hint does
    Nothing was spawned, and nothing was changed.
    hint: cargo xtask claim --confirm claim_copy_N_test
    ");
    assert_eq!(stored(&restored), stored(&original), "without consent it stays as it was");
    let forward = elsewhere.run(&["forward", "--json"]).expect(0);
    insta::assert_snapshot!(said(&forward).lines().next().unwrap(), @"Target: staging is database `claim_copy_N_test` on 127.0.0.1:PORT (Postgres 17.10, with the claim of another database: its system identifier, row differs)");
    claim(&elsewhere, &restored).expect(0);
    assert!(standing(&elsewhere).starts_with("its own"));
    assert_ne!(stored(&restored), stored(&original));
    assert!(!unasked.stderr.contains(PASSWORD_IN_URL));
}
