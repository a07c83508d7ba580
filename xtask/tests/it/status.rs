//! `status`: where a target stands, without a trace of the question. The ledger is written by SQL here: Prisma has nothing to do with it.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::project::{Answer, Project};
use crate::server::{self, Database};

const LEDGER: &str = "create table _prisma_migrations (
    id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamptz, migration_name varchar(255) not null, logs text,
    rolled_back_at timestamptz, started_at timestamptz not null default now(), applied_steps_count integer not null default 0)";

fn migrations(project: &Project) -> Vec<(String, String)> {
    let folder = project.path("prisma/postgres/migrations");
    let names = fs::read_dir(&folder).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    let digest = |name: &String| {
        let bytes = Sha256::digest(fs::read(folder.join(name).join("migration.sql")).unwrap());
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    names.iter().map(|name| (name.clone(), digest(name))).collect()
}

fn record(database: &Database, (name, checksum): &(String, String), finished: &str) {
    database.execute(&format!(
        "insert into _prisma_migrations (id, checksum, migration_name, finished_at, logs)
         values (gen_random_uuid(), '{checksum}', '{name}', {finished})"
    ));
}

/// Every file of the project with its bytes, and every row and mark of the database: what `status` must leave as it is.
fn traces(project: &Project, database: &Database) -> (Vec<(std::path::PathBuf, Vec<u8>)>, String) {
    let mut files: Vec<_> = project.files().into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    let marks = database.one::<String>(
        "select concat(pg_catalog.shobj_description(oid, 'pg_database'), (select count(*) from pg_namespace))
           from pg_database where datname = current_database()",
    );
    (files, server::fingerprint(database) + &marks)
}

/// Name, status, message and command of each check, a line each.
fn rows(answer: &Answer) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let json = answer.json();
    let rows = json["checks"].as_array().unwrap().iter();
    let lines = rows.map(|row| ["name", "status", "message", "hint_command"].map(|key| text(&row[key])).join(" | "));
    let ports = regex::Regex::new(r"_\d+_test|pid \d+|since \S+").unwrap();
    ports.replace_all(&lines.collect::<Vec<_>>().join("\n"), "N").into_owned()
}

#[test]
fn a_status_says_what_is_pending_failed_and_locked_and_leaves_no_trace() {
    let (project, database) = Project::on_staging_without_client("status");
    let status = |code| {
        let before = traces(&project, &database);
        let answer = project.run(&["status", "--json"]).expect(code);
        assert_eq!(traces(&project, &database), before, "{}", answer.stdout);
        assert_eq!((&answer.json()["evidence"], &answer.json()["command"]), (&Value::Null, &json!("status")));
        answer
    };
    let fresh = status(5);
    insta::assert_snapshot!(rows(&fresh), @"
    claim | warn | `statusN` is unclaimed: backward, reset and restore are refused | cargo xtask claim --confirm statusN
    locks | ok | nobody holds a lock that a migration would wait for | -
    failed | ok | no migration has failed | -
    running | ok | no migration is running | -
    history | skipped | nothing is applied yet | -
    pending | fail | 4 migrations: `20251001090000_create_sessions`, `20251003090000_create_facts_and_decisions`, `20251006090000_backfill_fact_scope`, `20251008090000_add_session_collaborator` | cargo xtask forward --plan
    drift | skipped | nothing is applied yet | -
    ");
    assert_eq!(fresh.json()["standing"]["pending"].as_array().unwrap().len(), 4);

    database.execute(LEDGER);
    let all = migrations(&project);
    all.iter().for_each(|migration| record(&database, migration, "now(), null"));
    let applied = status(0);
    insta::assert_snapshot!(rows(&applied), @"
    claim | warn | `statusN` is unclaimed: backward, reset and restore are refused | cargo xtask claim --confirm statusN
    locks | ok | nobody holds a lock that a migration would wait for | -
    failed | ok | no migration has failed | -
    running | ok | no migration is running | -
    history | ok | every applied migration is as its folder has it | -
    pending | ok | nothing, and 4 migrations applied | -
    drift | skipped | these migrations were never replayed here, and `forward --plan` does that | -
    ");
    let said = project.run(&["status"]).expect(0);
    insta::assert_snapshot!(regex::Regex::new(r"_\d+_test").unwrap().replace_all(&said.stdout, "N"), @"
    ! claim: `statusN` is unclaimed: backward, reset and restore are refused
        fix: cargo xtask claim --confirm statusN  # see docs/failures/unclaimed
    ✓ locks: nobody holds a lock that a migration would wait for
    ✓ failed: no migration has failed
    ✓ running: no migration is running
    ✓ history: every applied migration is as its folder has it
    ✓ pending: nothing, and 4 migrations applied
    - drift: these migrations were never replayed here, and `forward --plan` does that
    ");
    assert_eq!(said.stderr, "");
    assert_eq!(project.run(&["status", "-q"]).expect(0).stdout.lines().count(), 2, "the warning and its fix");

    database.execute(&format!("delete from _prisma_migrations where migration_name = '{}'", all[3].0));
    record(&database, &all[3], "null, 'ERROR: relation \"x\" does not exist'");
    insta::assert_snapshot!(rows(&status(5)), @"
    claim | warn | `statusN` is unclaimed: backward, reset and restore are refused | cargo xtask claim --confirm statusN
    locks | ok | nobody holds a lock that a migration would wait for | -
    failed | fail | 1 failed migration (P3009): `20251008090000_add_session_collaborator` | cargo xtask backward --failed
    running | ok | no migration is running | -
    history | ok | every applied migration is as its folder has it | -
    pending | ok | nothing, and 3 migrations applied | -
    drift | skipped | these migrations were never replayed here, and `forward --plan` does that | -
    ");

    let (mut other, mut reader) = (database.connect(), database.connect());
    other.batch_execute("select pg_advisory_lock(72707369)").unwrap();
    reader.batch_execute("begin; lock table _prisma_migrations").unwrap();
    insta::assert_snapshot!(rows(&status(5)), @"
    claim | warn | `statusN` is unclaimed: backward, reset and restore are refused | cargo xtask claim --confirm statusN
    locks | fail | Prisma's migration lock: backend N (role `statusN_owner`, `unknown`, idle N holds it | -
    locks | fail | backend N (role `statusN_owner`, `unknown`, idle in transaction N holds AccessExclusive on `public._prisma_migrations` | -
    ledger | skipped | waits for who holds the lock | -
    drift | skipped | waits for who holds the lock | -
    ");
    project.assert_no_secret(&[&fresh, &applied, &said]);
}

#[test]
fn a_status_of_what_is_refused_or_cannot_be_reached_says_so_with_the_code_of_every_command() {
    let (project, database) = Project::on_staging_without_client("status");
    let sandbox = project.run(&["status", "--sandbox"]).expect(4);
    assert!(sandbox.stderr.starts_with("error: the sandbox is not running"), "{}", sandbox.stderr);
    assert!(!project.path(".drill").exists());
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url().replace("_test", "_prod")));
    let refused = project.run(&["status", "--json"]).expect(3);
    assert!(refused.json()["refusals"].as_array().is_some_and(|refusals| !refusals.is_empty()), "{}", refused.stdout);
    let port = server::free_port("127.0.0.1");
    project.write(".env.staging", &format!("DATABASE_URL=postgresql://u:p@127.0.0.1:{port}/a_test\n"));
    project.run(&["status"]).expect(4);
    assert!(!project.path("feedback").exists() && !project.path(".drill").exists());
}
