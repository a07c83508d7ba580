//! A snapshot as a database of the same server: what `reset` keeps there comes back whole, and where it cannot be kept there, files are.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::project::{Answer, Project};
use crate::restore::{claimed, snapshot};
use crate::server::{self, Database, fingerprint};

const FIVE_SESSIONS: &str = r#"insert into "Session" (id, shop, state, "accessToken") select i::text, 's', 's', 't' from generate_series(1, 5) i"#;

/// As `claimed`, where the state before is kept as a database.
fn kept_as_database(name: &str) -> (Project, Database) {
    let (project, database) = claimed(name);
    let toml = project.read("drill.toml");
    project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"database\"\n"));
    database.execute(FIVE_SESSIONS);
    (project, database)
}

/// The databases of the server that are copies of this one.
fn copies(database: &Database) -> Vec<String> {
    let of = format!("%\"of\":\"{}\"%", database.name);
    let found = server::shared().superuser("postgres").query(
        "select datname::text from pg_database where datname like 'drill_copy_%' and shobj_description(oid, 'pg_database') like $1 order by oid",
        &[&of],
    );
    found.unwrap().iter().map(|row| row.get(0)).collect()
}

fn list(project: &Project) -> Value {
    project.run(&["restore", "--list", "--json"]).expect(0).json()["snapshots"].clone()
}

fn notes(answer: &Answer) -> String {
    answer.json()["notes"].to_string()
}

#[test]
fn a_copy_puts_rows_back_table_by_table_where_the_schema_has_changed() {
    let (project, database) = kept_as_database("copies_rows");
    database.execute(
        "create table parts (n int, j json) partition by range (n); create table one partition of parts for values from (0) to (50);
         create table rest partition of parts default; insert into parts select n, '{\"a\": 1}' from generate_series(1, 99) n;
         create unlogged table quick (n int primary key, \"row\" text); insert into quick values (1, E'tab\\t');
         create table \"odd \"\"one\" (id int generated always as identity, twice int generated always as (7) stored); insert into \"odd \"\"one\" default values",
    );
    let rows = fingerprint(&database);
    let name = snapshot(&project);
    let found = copies(&database);
    assert_eq!(found.len(), 1);
    let listed = &list(&project)[0];
    assert_eq!(
        (&listed["kind"], &listed["database"]["name"]),
        (&Value::from("database"), &Value::from(found[0].clone()))
    );
    let files: Vec<_> =
        fs::read_dir(project.path(&format!(".drill/snapshots/staging/{name}"))).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    // Only its owner gets in.
    let public = format!("select has_database_privilege('public', '{}', 'connect')", found[0]);
    assert!(!server::shared().superuser("postgres").query_one(&public, &[]).unwrap().get::<_, bool>(0));

    database.execute("delete from \"Session\" where id > '2'; truncate parts; update quick set n = 9; alter table quick add later int default 4");
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    database.execute("alter table quick drop later");
    assert_eq!(fingerprint(&database), rows);
    assert_eq!(copies(&database), found, "it can be put back again");
    project.assert_no_secret(&[&answer]);
}

#[test]
fn a_copy_that_was_written_to_or_is_not_ours_is_never_put_back() {
    let (project, database) = kept_as_database("copies_doubt");
    snapshot(&project);
    let copy = copies(&database).swap_remove(0);
    let of_copy = database.named(copy.clone());
    database.execute("delete from \"Session\"");
    of_copy.execute("update \"Session\" set shop = 'other' where id = '3'");
    let answer = project.run(&["restore", "--confirm"]).expect(5);
    assert!(answer.stderr.contains("`public.Session` of"), "{}", answer.stderr);
    assert_eq!(database.one::<i64>("select count(*) from \"Session\""), 0);
    of_copy.execute("update \"Session\" set shop = 's' where id = '3'");
    database.execute(&format!("comment on database {copy} is 'hands off'"));
    let answer = project.run(&["restore", "--confirm"]).expect(3);
    assert!(answer.stderr.contains("it has no mark of the drill"), "{}", answer.stderr);
    database.execute(&format!("drop database {copy}"));
    let answer = project.run(&["restore", "--confirm"]).expect(4);
    assert!(answer.stderr.contains("is gone"), "{}", answer.stderr);
    assert_eq!(database.one::<i64>("select count(*) from \"Session\""), 0);
}

#[test]
fn where_the_server_makes_no_copy_files_are_written_and_a_line_says_why() {
    let (project, database) = kept_as_database("copies_files");
    let notes_of_reset = |project: &Project| {
        snapshot(project);
        let runs = fs::read_dir(project.path("feedback/evidence")).unwrap().flatten();
        let newest =
            runs.map(|run| run.path()).filter(|run| run.join("run.json").exists()).max_by_key(|run| modified(run));
        fs::read_to_string(newest.unwrap().join("run.json")).unwrap()
    };
    let guest = database.connect();
    let said = notes_of_reset(&project);
    assert!(said.contains("not as a database of the same server: client backend of"), "{said}");
    drop(guest);
    let mut server = server::shared().superuser("postgres");
    server.batch_execute(&format!("alter role {} nocreatedb", database.user)).unwrap();
    let said = notes_of_reset(&project);
    assert!(said.contains("may not create databases"), "{said}");
    server.batch_execute(&format!("alter role {} createdb", database.user)).unwrap();
    assert_eq!(copies(&database), [""; 0]);
    assert_eq!(list(&project)[0]["kind"], "files");
    database.execute("delete from \"Session\"");
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from \"Session\""), 5, "{}", notes(&answer));
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path.join("run.json")).unwrap().modified().unwrap()
}
