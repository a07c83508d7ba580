//! A datasource with `?schema=`: every command keeps to that schema, and leaves `public` alone.

use crate::project::{DRILL_TOML, Project};
use crate::server::Database;

/// A table of somebody else, in the schema that the commands must not touch.
fn with_schema(name: &str) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    project.write(".env.staging", &format!("DATABASE_URL={}?schema=shop\n", database.url()));
    project
        .write("drill.toml", &DRILL_TOML.replace("\nallow_databases", "\nallow_schemas = [\"shop\"]\nallow_databases"));
    database.execute("create table public.bystander (id int); insert into public.bystander values (1)");
    (project, database)
}

fn facts(database: &Database) -> i64 {
    database.one("select count(*) from shop.\"DashboardFact\"")
}

#[test]
fn a_schema_other_than_public_goes_the_whole_way() {
    let (project, database) = with_schema("schema");
    project.run(&["forward"]).expect(0);
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    database.execute(
        "insert into shop.\"DashboardFact\" (\"shopDomain\", \"factType\", value, \"updatedAt\") values ('s', 'f', '{}', now())",
    );
    let json = project.run(&["backward", "--steps", "2", "--json"]).expect(0).json();
    assert_eq!(json["counts"]["after"]["shop.DashboardFact"], 1, "{json}");
    project.run(&["forward"]).expect(0);
    project.run(&["reset", "--confirm"]).expect(0);
    assert_eq!(facts(&database), 0);
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!(facts(&database), 1);
    let each = project.run(&["drill", "--each", "--json"]).expect(0).json();
    assert!(each["rehearsal"].as_array().unwrap().iter().all(|one| one["verdict"] == "reversible"), "{each}");
    assert_eq!(database.one::<i64>("select count(*) from public.bystander"), 1);
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 1);
}
