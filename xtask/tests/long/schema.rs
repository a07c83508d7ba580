//! Layouts of a Prisma schema: `?schema=`, a folder of files, several schemas of the database. Every command keeps to the
//! schemas that are the project's, all of them, and leaves the others alone.

use crate::project::{DRILL_TOML, Project};
use crate::server::Database;

/// A table of somebody else, in the schema that the commands must not touch.
fn with_schema(name: &str) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    project.write(".env.staging", &format!("DATABASE_URL={}?schema=shop\n", database.url()));
    project.drill_toml(&DRILL_TOML.replace("\nallow_databases", "\nallow_schemas = [\"shop\"]\nallow_databases"));
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

/// A schema folder, as Prisma's config names it, with models in files of their own.
fn in_a_folder(project: &Project, datasource: &str, models: &[(&str, &str)]) {
    let generator =
        "generator client {\n  provider = \"prisma-client-js\"\n  output   = \"../generated/postgres\"\n}\n";
    let main = format!(
        "{generator}generator again {{\n  provider = \"prisma-client-js\"\n  output = \"../generated/twice\"\n}}\n"
    );
    project.write(
        "prisma/whole/main.prisma",
        &format!("{main}datasource db {{\n  provider = \"postgresql\"\n{datasource}\n}}\n"),
    );
    for (name, text) in models {
        project.write(&format!("prisma/whole/models/{name}.prisma"), text);
    }
    let config = project.read("prisma/postgres.config.ts").replace("schema.postgres.prisma", "whole");
    project.write("prisma/postgres.config.ts", &config);
    std::fs::remove_dir_all(project.path("prisma/postgres/migrations")).unwrap();
    project.write("prisma/postgres/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
}

const FOLDER: &str = "[prisma]\nschema = \"prisma/whole\"\nmigrations = \"prisma/postgres/migrations\"\nconfig = \"prisma/postgres.config.ts\"\n";

#[test]
fn a_schema_folder_is_generated_whole() {
    let (project, database) = Project::on_staging("folder");
    in_a_folder(
        &project,
        "",
        &[("shelf", "model Shelf {\n  id Int @id\n}\n"), ("book", "model Book {\n  id Int @id\n}\n")],
    );
    project.drill_toml(&format!("{DRILL_TOML}{FOLDER}"));
    project.migration(
        "1_init",
        "create table \"Shelf\" (id integer primary key); create table \"Book\" (id integer primary key)",
    );
    // As `prisma init` writes it, without a shadow database; `env` throws where the variable is not set.
    let config = "import { defineConfig, env } from \"prisma/config\";
        export default defineConfig({ migrations: { path: \"postgres/migrations\" }, datasource: { url: env(\"DATABASE_URL\") } });";
    project.write("prisma/postgres.config.ts", config);
    project.run(&["forward"]).expect(0);
    for client in ["postgres", "twice"] {
        let types = project.read(&format!("prisma/generated/{client}/index.d.ts"));
        assert!(types.contains("Shelf") && types.contains("Book"), "{client}");
    }
    // Of a changed type Prisma is asked, which wants a shadow database.
    project.migration("2_wide", "alter table \"Book\" alter column id set data type bigint");
    project.write("prisma/whole/models/book.prisma", "model Book {\n  id BigInt @id\n}\n");
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    project.run(&["forward"]).expect(0);
    project.run(&["backward"]).expect(0);
    let kind = "select data_type::text from information_schema.columns where table_name = 'Book'";
    assert_eq!(database.one::<String>(kind), "integer");
    // A developer's own shadow database, for which nothing is set here, and which no engine may be told of.
    let shadow = "url: env<Env>(\"DATABASE_URL\"), shadowDatabaseUrl: env(\"SHADOW_OF_DEV\")";
    project.write(
        "prisma/postgres.config.ts",
        &config.replace("url: env(\"DATABASE_URL\")", shadow).replace("export", "type Env = object; export"),
    );
    project.run(&["forward"]).expect(0);
    assert_eq!(database.one::<String>(kind), "bigint");
    // The file with the datasource alone would make a client without any model.
    project.drill_toml(&format!("{DRILL_TOML}{}", FOLDER.replace("prisma/whole", "prisma/whole/main.prisma")));
    let prose = project.run(&["forward"]).expect(3).prose();
    assert!(prose.contains("write `schema = \"prisma/whole\"` under `[prisma]` in drill.toml"), "{prose}");
}

const SHOP: &str =
    "model Shelf {\n  id Int @id @default(autoincrement())\n  label String\n  logs Log[]\n  @@schema(\"public\")\n}\n";
const AUDIT: &str = "model Log {\n  id Int @id @default(autoincrement())\n  shelfId Int\n  shelf Shelf @relation(fields: [shelfId], references: [id])\n  @@schema(\"audit\")\n}\n";

fn rows(database: &Database) -> [i64; 2] {
    ["public.\"Shelf\"", "audit.\"Log\""].map(|table| database.one(&format!("select count(*) from {table}")))
}

/// Proves that every stage sees, counts, copies and puts back what lies in the second schema, since a reset drops that too.
#[test]
fn several_schemas_go_the_whole_way() {
    let (project, database) = Project::on_staging("several");
    in_a_folder(&project, "  schemas = [\"public\", \"audit\"]", &[("shop", SHOP), ("audit", AUDIT)]);
    project.migration(
        "1_init",
        "create schema if not exists \"audit\";
         create table \"public\".\"Shelf\" (id serial primary key, label text not null);
         create table \"audit\".\"Log\" (id serial primary key, \"shelfId\" integer not null,
           constraint \"Log_shelfId_fkey\" foreign key (\"shelfId\") references \"public\".\"Shelf\" (id) on update cascade on delete restrict)",
    );
    project.migration("2_note", "alter table \"audit\".\"Log\" add column note text");
    let with_note = AUDIT.replace("  shelfId Int\n", "  shelfId Int\n  note String?\n");
    project.write("prisma/whole/models/audit.prisma", &with_note);
    project.drill_toml(&format!("{DRILL_TOML}{FOLDER}"));
    let prose = project.run(&["forward"]).expect(3).prose();
    let line = "write `allow_schemas = [\"public\", \"audit\"]` under `[targets.staging]` in drill.toml";
    assert!(prose.contains(line), "{prose}");
    project.drill_toml(&format!("{DRILL_TOML}allow_schemas = [\"public\", \"audit\"]\n{FOLDER}"));

    project.run(&["forward"]).expect(0);
    database.execute("insert into \"Shelf\" (label) select 's' from generate_series(1, 3)");
    database.execute("insert into audit.\"Log\" (\"shelfId\", note) select 1, 'n' from generate_series(1, 5)");
    database.execute("grant usage on schema audit to public; grant select on audit.\"Log\" to public");
    let claim = project.run(&["claim", "--confirm", &database.name]).expect(0);
    assert!(claim.stderr.contains("holds: 3 tables, 10 rows"), "{}", claim.stderr);

    // Values in the other schema are a loss as well, and come back.
    project.run(&["backward"]).expect(3);
    let json = project.run(&["backward", "--accept-data-loss", "--json"]).expect(0).json();
    assert_eq!(json["counts"]["after"]["audit.Log"], 5, "{json}");
    project.run(&["forward"]).expect(0);

    // A drift there is one.
    database.execute("alter table audit.\"Log\" add column stray int");
    project.run(&["forward"]).expect(5);
    database.execute("alter table audit.\"Log\" drop column stray");

    let reset = project.run(&["reset", "--confirm"]).expect(0);
    assert!(reset.stderr.contains("lost: 5 rows of `audit.Log`"), "{}", reset.stderr);
    assert_eq!(rows(&database), [0, 0]);
    assert!(database.one::<bool>("select has_table_privilege('public', 'audit.\"Log\"', 'select')"));
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!(rows(&database), [3, 5]);
    assert_eq!(database.one::<i64>("select nextval('audit.\"Log_id_seq\"')"), 6);
}

/// `CREATE SCHEMA` without IF NOT EXISTS: the first forward and its way back do it right, and Prisma's own reset, which makes the
/// schema before, cannot.
#[test]
fn a_schema_that_a_migration_makes_from_nothing_goes_up_down_and_up() {
    let (project, database) = Project::on_staging("several_bare");
    in_a_folder(&project, "  schemas = [\"public\", \"audit\"]", &[("shop", SHOP), ("audit", AUDIT)]);
    project.migration("1_shelf", "create table \"Shelf\" (id serial primary key, label text not null)");
    project.migration(
        "2_log",
        "create schema \"audit\";
         create table \"audit\".\"Log\" (id serial primary key, \"shelfId\" integer not null,
           constraint \"Log_shelfId_fkey\" foreign key (\"shelfId\") references \"public\".\"Shelf\" (id) on update cascade on delete restrict)",
    );
    project.drill_toml(&format!("{DRILL_TOML}allow_schemas = [\"public\", \"audit\"]\n{FOLDER}"));
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    project.run(&["drill", "--no-mirror"]).expect(0);
    let each = project.run(&["drill", "--each", "--json"]).expect(0).json();
    assert!(each["rehearsal"].as_array().unwrap().iter().all(|one| one["verdict"] == "reversible"), "{each}");
    let reset = project.run(&["reset", "--confirm"]).expect(4);
    insta::assert_snapshot!(reset.failure(), @r#"
    error: a reset would not come back: the migration `2_log` does not apply again after `public`, `audit` were dropped
    caused by: ERROR: schema "audit" already exists (SQLSTATE 42P06), in statement 1 of 2, line 1 of the script
    note: nothing was dropped: this was tried in a throw-away database
    note: Prisma makes every schema of `schemas` again before the first migration, which then finds it
    note: have the migration expect what it finds the second time, as `if not exists` does
    "#);
    assert_eq!(rows(&database), [0, 0]);
}
