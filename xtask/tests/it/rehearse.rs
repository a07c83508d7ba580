//! `drill --each`: what it says of a migration is what happens to rows and schema.

use std::path::Path;

use serde_json::Value;

use crate::project::{DRILL_TOML, Project, copy_tree};
use crate::server::Database;

/// A history of everything that is hard to take back. Its rows are its own.
pub fn torture(project: &Project) {
    let history = project.path("prisma/postgres/migrations");
    let lock = "provider = \"postgresql\"\n";
    std::fs::remove_dir_all(&history).unwrap();
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/torture"), &history);
    project.write("prisma/postgres/migrations/migration_lock.toml", lock);
}

fn claimed(name: &str) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    (project, database)
}

fn verdicts(json: &Value) -> Vec<(&str, &str)> {
    let list = json["rehearsal"].as_array().unwrap();
    list.iter().map(|one| (one["migration"].as_str().unwrap(), one["verdict"].as_str().unwrap())).collect()
}

fn tables(database: &Database) -> i64 {
    database.one("select count(*) from pg_tables where schemaname = 'public'")
}

#[test]
fn every_migration_of_this_repo_can_be_taken_back() {
    let (project, database) = claimed("each_own");
    let answer = project.run(&["drill", "--each", "--json"]).expect(0);
    let json = answer.json();
    assert!(verdicts(&json).iter().all(|(_, verdict)| *verdict == "reversible"), "{}", json["rehearsal"]);
    assert_eq!(verdicts(&json).len(), 4);
    assert_eq!(tables(&database), 0, "the target itself is not touched");
    let databases: i64 = database.one(&format!(
        "select count(*) from pg_database d join pg_roles r on r.oid = d.datdba where r.rolname = '{}'",
        database.user
    ));
    assert_eq!(databases, 1, "no throw-away database is left");
    project.assert_no_secret(&[&answer]);
}

#[test]
fn the_torture_history_can_be_taken_back_but_for_the_column_that_it_drops() {
    let (project, _) = claimed("each_torture");
    torture(&project);
    project.drill_toml(&format!("{DRILL_TOML}[limits]\nblocks_reads = \"moment\"\nrewrites = false\n"));
    let answer = project.run(&["drill", "--each", "--json"]).expect(5);
    insta::assert_snapshot!(answer.failure(), @"
    error: the migrations go over the limits of drill.toml
    caused by: `07_generated_column` line 1 blocks reads of `public.Order` for as long as it rewrites `public.Order`, and `blocks_reads` allows a moment
    caused by: `07_generated_column` line 1 rewrites `public.Order`, and `rewrites` is false
    caused by: `11_index_and_unique` line 3 blocks reads of `public.Person` for as long as it builds an index of `public.Person`, and `blocks_reads` allows a moment
    note: write that statement so that it is less in the way (docs/impact.md), or accept it with a line above it: `-- drill-accept: blocks-reads, rewrites because REASON`
    ");
    let json = answer.json();
    let (bad, good): (Vec<_>, Vec<_>) = verdicts(&json).into_iter().partition(|(_, verdict)| *verdict != "reversible");
    assert_eq!(bad, [("12_note_goes", "lossy")], "{}", json["rehearsal"]);
    assert_eq!(good.len(), 11);
    let why = json["rehearsal"][11]["leftovers"][0].as_str().unwrap().to_owned();
    assert!(why.contains("\"note\"") && why.contains("not those from before"), "{why}");
}

#[test]
fn leftovers_and_failures_are_told_apart_and_do_not_stop_the_rest() {
    let (project, _) = claimed("each_verdicts");
    std::fs::remove_dir_all(project.path("prisma/postgres/migrations")).unwrap();
    project.write("prisma/postgres/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    for (name, up, down) in [
        ("1_table", "create table t (id int primary key); insert into t values (1), (2)", "drop table t"),
        ("2_leaves", "create function f() returns int language sql as 'select 1'", "select 1"),
        ("3_fails", "alter table t add column c int", "alter table t drop column d"),
        ("4_loses", "update t set c = 1", "delete from t where id = 1"),
        (
            "5_fine",
            "create view v as select id from t; create table u (id int); create table never (id int check (false))",
            "drop view v; drop table u, never",
        ),
        ("6_empty", "alter table u add d text not null", "alter table u drop column d"),
        ("7_idle", "select 1", "select 1"),
    ] {
        project.migration(name, up);
        project.write(&format!("prisma/postgres/migrations/{name}/down.sql"), down);
    }
    let answer = project.run(&["drill", "--each", "--json"]).expect(5);
    let json = answer.json();
    let expected = [
        ("1_table", "reversible"),
        ("2_leaves", "leftovers"),
        ("3_fails", "failed"),
        ("4_loses", "lossy"),
        ("5_fine", "reversible"),
        ("6_empty", "needs_empty_table"),
        ("7_idle", "reversible"),
    ];
    assert_eq!(verdicts(&json), expected, "{}", json["rehearsal"]);
    assert!(json["rehearsal"][1]["leftovers"][0].as_str().unwrap().contains("function \"public\".\"f\""));
    insta::assert_snapshot!(answer.said(), @r#"
    Target: staging is database `each_verdicts_N_test` on 127.0.0.1:PORT (Postgres 17.10, claimed as disposable)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    rehearse:
      ✗ rehearse: not every migration can be rolled back: 3 reversible, 1 lossy, 1 need an empty table, 1 leave something behind, 1 cannot be rolled back
      1_table   reversible
      2_leaves  leftovers          function "public"."f"() is not expected
      3_fails   failed             `3_fails/down.sql` does not work: a rehearsal of it failed
      4_loses   lossy              table "public"."t": 1 rows, 2 before
      5_fine    reversible
      6_empty   needs_empty_table  table "public"."u" has to be empty: ERROR: column "d" of relation "u" contains null values (SQLSTATE 23502)
      7_idle    reversible
      `6_empty` line 1 blocks reads and writes of `public.u` for as long as it reads it whole
      note: add the constraint as NOT VALID, and VALIDATE it in a later migration, which blocks no write; for SET NOT NULL do so with CHECK (… IS NOT NULL), after which it reads nothing
    error: not every migration can be rolled back: 3 reversible, 1 lossy, 1 need an empty table, 1 leave something behind, 1 cannot be rolled back
    caused by: `2_leaves`: function "public"."f"() is not expected
    caused by: `2_leaves`: it does not apply a second time
    caused by: `2_leaves`: ERROR: function "f" already exists with same argument types (SQLSTATE 42723)
    note: write the way back as `2_leaves/down.sql`
    "#);
    let note = json["notes"][0].as_str().unwrap();
    assert!(note.starts_with("no rows could be made for table public.never: "), "{note}");
}
