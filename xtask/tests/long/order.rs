//! Where folder and ledger tell another order or other names: a merged branch, a renamed folder, a squash.

use std::fs;

use crate::project::Project;
use crate::server::Database;

fn project(name: &str, history: &[(&str, &str)]) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    fs::remove_dir_all(project.path("prisma/postgres/migrations")).unwrap();
    project.write("prisma/postgres/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    for (name, sql) in history {
        project.migration(name, sql);
    }
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    project.run(&["forward"]).expect(0);
    (project, database)
}

fn folder(project: &Project, name: &str) -> std::path::PathBuf {
    project.path(&format!("prisma/postgres/migrations/{name}"))
}

/// Applied names, in the order in which they were.
fn ledger(database: &Database) -> Vec<String> {
    database.one("select array_agg(migration_name::text order by started_at) from _prisma_migrations")
}

#[test]
fn a_late_migration_is_announced_and_is_the_first_that_is_taken_back() {
    let (project, database) = project("order_late", &[("1_t", "create table t ()"), ("3_v", "create table v ()")]);
    project.migration("2_u", "create table u ()");
    let remark = "out of order: `2_u` is pending although a later migration is applied";
    let plan = project.run(&["forward", "--plan"]).expect(0);
    assert!(plan.stdout.contains(remark), "{}", plan.stdout);
    let json = project.run(&["forward", "--json"]).expect(0).json();
    assert!(json["notes"][0].as_str().unwrap().starts_with(remark), "{}", json["notes"]);
    assert_eq!(ledger(&database), ["1_t", "3_v", "2_u"]);
    let json = project.run(&["backward", "--json"]).expect(0).json();
    assert_eq!(json["migrations"]["rolled_back"], serde_json::json!(["2_u"]));
    assert_eq!(ledger(&database), ["1_t", "3_v"]);
    let json = project.run(&["drill", "--no-mirror", "--accept-data-loss", "--json"]).expect(0).json();
    assert_eq!(json["migrations"]["rolled_back"], serde_json::json!(["2_u"]));
}

#[test]
fn a_renamed_folder_is_settled_by_the_statement_of_the_hint() {
    let (project, database) = project("order_renamed", &[("1_t", "create table t ()"), ("2_u", "create table u ()")]);
    fs::rename(folder(&project, "2_u"), folder(&project, "3_it's u")).unwrap();
    let answer = project.run(&["forward", "--json"]).expect(5);
    let told = answer.prose();
    let told = told.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(told, @r#"
    error: migration `2_u` is applied, and its folder is now called `3_it's u`
    caused by: Prisma would apply the same script a second time
    note: one statement gives the ledger the new name; the other way is to give the folder its old one
    hint: update "_prisma_migrations" set migration_name = '3_it''s u' where migration_name = '2_u'; -- see docs/failures/migration-renamed
    "#);
    database.execute(answer.json()["hint"].as_str().unwrap());
    project.run(&["forward"]).expect(0);
    assert_eq!(ledger(&database), ["1_t", "3_it's u"]);
}

#[test]
fn a_squash_by_prismas_guide_is_understood_and_a_false_one_is_not() {
    let old = [("1_t", "create table t (id int)"), ("2_u", "alter table t add column u int")];
    let (project, database) = project("order_squashed", &old);
    let squash = |sql: &str| {
        for (name, _) in old {
            let _ = fs::remove_dir_all(folder(&project, name));
        }
        project.migration("3_squashed", sql);
        let checksum = format!("encode(sha256(convert_to($sql${sql}$sql$, 'UTF8')), 'hex')");
        // As `prisma migrate resolve --applied` writes it.
        database.execute(&format!(
            "delete from _prisma_migrations where migration_name = '3_squashed';
             insert into _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
             values ('squashed', {checksum}, '3_squashed', now(), 0)"
        ));
    };
    squash("create table t (id int)");
    let wrong = project.run(&["forward"]).expect(5);
    assert!(wrong.stderr.contains("do not make the schema that the squashed migrations made"), "{}", wrong.stderr);
    squash("create table t (id int, u int)");
    project.migration("4_w", "create table w ()");
    let json = project.run(&["forward", "--json"]).expect(0).json();
    let remark = "squashed: `1_t`, `2_u` stand in the ledger without a folder, and the folders make the same schema";
    assert_eq!(json["notes"][0], remark);
    let json = project.run(&["backward", "--json"]).expect(0).json();
    assert_eq!(json["migrations"]["rolled_back"], serde_json::json!(["4_w"]));
    assert_eq!(ledger(&database), ["1_t", "2_u", "3_squashed"]);
}
