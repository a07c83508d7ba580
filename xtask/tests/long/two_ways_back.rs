//! The way back by the catalogs and the one by Prisma's own difference: of what Prisma can express, both lead to the same schema.

use std::fs;
use std::path::Path;

use crate::project::{Project, claim, copy_tree};
use crate::server::{self, Database};

/// As Prisma writes them, oldest first.
const MIGRATIONS: [(&str, &str); 12] = [
    (
        "01_tables",
        r#"CREATE TABLE "Shop" ("id" SERIAL NOT NULL, "name" TEXT NOT NULL, "order" INTEGER DEFAULT 3, CONSTRAINT "Shop_pkey" PRIMARY KEY ("id"));
           CREATE TABLE "Visit" ("shopId" INTEGER NOT NULL, "at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "by" UUID, CONSTRAINT "Visit_pkey" PRIMARY KEY ("shopId", "at"));"#,
    ),
    (
        "02_foreign_key",
        r#"ALTER TABLE "Visit" ADD CONSTRAINT "Visit_shopId_fkey" FOREIGN KEY ("shopId") REFERENCES "Shop"("id") ON DELETE CASCADE ON UPDATE CASCADE;"#,
    ),
    (
        "03_enum",
        r#"CREATE TYPE "Mood" AS ENUM ('GOOD', 'so, so'); ALTER TABLE "Shop" ADD COLUMN "mood" "Mood" NOT NULL DEFAULT 'GOOD';"#,
    ),
    (
        "04_unique",
        r#"CREATE UNIQUE INDEX "Shop_name_key" ON "Shop"("name"); CREATE INDEX "Visit_by_idx" ON "Visit"("by" DESC);"#,
    ),
    (
        "05_columns",
        r#"ALTER TABLE "Shop" ADD COLUMN "tags" TEXT[], ADD COLUMN "worth" DECIMAL(65,30), ALTER COLUMN "order" SET NOT NULL;"#,
    ),
    (
        "06_defaults",
        r#"ALTER TABLE "Shop" ALTER COLUMN "order" DROP DEFAULT, ALTER COLUMN "name" SET DEFAULT 'it''s';"#,
    ),
    (
        "07_types",
        r#"ALTER TABLE "Shop" ALTER COLUMN "order" SET DATA TYPE BIGINT, ALTER COLUMN "worth" SET DATA TYPE DOUBLE PRECISION;"#,
    ),
    ("08_drop_column", r#"ALTER TABLE "Shop" DROP COLUMN "tags";"#),
    ("09_drop_index", r#"DROP INDEX "Visit_by_idx"; DROP INDEX "Shop_name_key";"#),
    (
        "10_other_key",
        r#"ALTER TABLE "Visit" DROP CONSTRAINT "Visit_shopId_fkey";
           ALTER TABLE "Visit" ADD CONSTRAINT "Visit_shopId_fkey" FOREIGN KEY ("shopId") REFERENCES "Shop"("id") ON DELETE RESTRICT ON UPDATE CASCADE;"#,
    ),
    (
        "11_primary_key",
        r#"ALTER TABLE "Visit" DROP CONSTRAINT "Visit_pkey", ADD COLUMN "id" SERIAL NOT NULL, ADD CONSTRAINT "Visit_pkey" PRIMARY KEY ("id");"#,
    ),
    ("12_drop_table", r#"DROP TABLE "Visit";"#),
];

/// What Prisma knows of a schema, whatever the order of the columns.
const SCHEMA: &str = "
    select coalesce(string_agg(line, e'\n' order by line collate \"C\"), '') from (
      select concat_ws(' ', 'column', a.attrelid::regclass, a.attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
        from pg_attribute a join pg_class c on c.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
       where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped
      union all select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
       where connamespace = 'public'::regnamespace and contype <> 'n'
      union all select concat_ws(' ', 'index', indexdef) from pg_indexes where schemaname = 'public'
      union all select concat_ws(' ', 'enum', enumtypid::regtype, string_agg(enumlabel, ', ' order by enumsortorder)) from pg_enum group by enumtypid
      union all select concat_ws(' ', 'sequence', sequencename, data_type, increment_by, cycle) from pg_sequences where schemaname = 'public'
    ) lines (line) where line not like '%_prisma_migrations%'";

fn schema(database: &Database) -> String {
    database.one(SCHEMA)
}

/// Prisma's own script from the schema of `database` to that of the migrations in `to`, typed as its documentation has it.
fn by_prisma(project: &Project, database: &Database, shadow: &Database, to: &Path) -> String {
    let script = "node node_modules/prisma/build/index.js migrate diff --config prisma/postgres.config.ts --from-config-datasource --script --to-migrations \"$0\"";
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", script]).arg(to).current_dir(project.path(""));
    command.env("DATABASE_URL", database.url()).env("SHADOW_DATABASE_URL", shadow.url()).env("CHECKPOINT_DISABLE", "1");
    command.env("PRISMA_SCHEMA_ENGINE_BINARY", project.path("prisma/engine/schema-engine.mjs"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How each script of the last `backward` begins, by the number of its migration.
fn origin(project: &Project, name: &str) -> String {
    let runs = fs::read_dir(project.path("feedback/evidence")).unwrap().flatten().map(|entry| entry.path());
    let last = runs.filter(|run| run.to_string_lossy().contains("-backward-")).max().unwrap();
    fs::read_to_string(last.join(format!("down/{name}.sql"))).unwrap().lines().next().unwrap().to_owned()
}

#[test]
fn the_catalogs_and_prisma_lead_back_to_the_same_schema() {
    let (project, ours) = Project::on_staging("two_ways");
    let migrations = project.path("prisma/postgres/migrations");
    MIGRATIONS.iter().for_each(|(name, sql)| project.migration(&format!("20260101{name}"), sql));
    project.run(&["forward"]).expect(0);
    claim(&project, &ours);
    let server = server::shared();
    let (theirs, shadow) = (ours.named(format!("{}_theirs", ours.name)), server.database("two_ways_shadow"));
    let mut postgres = server.superuser("postgres");
    let clone = format!("create database {} template {} owner {}", theirs.name, ours.name, ours.user);
    postgres.batch_execute(&clone).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut origins = Vec::new();
    for (at, (name, _)) in MIGRATIONS.iter().enumerate().rev() {
        let to = folder.path().join(format!("to {at}"));
        copy_tree(&migrations, &to);
        MIGRATIONS[at..].iter().for_each(|(name, _)| fs::remove_dir_all(to.join(format!("20260101{name}"))).unwrap());
        let script = by_prisma(&project, &theirs, &shadow, &to);
        theirs.execute(&script);
        project.run(&["backward", "--accept-data-loss"]).expect(0);
        assert_eq!(schema(&ours), schema(&theirs), "{name}: Prisma's was\n{script}");
        origins.push(format!("{name}: {}", origin(&project, &format!("20260101{name}"))));
    }
    insta::assert_snapshot!(origins.join("\n"), @"
    12_drop_table: -- By the catalogs before and after the migration.
    11_primary_key: -- By the catalogs before and after the migration.
    10_other_key: -- By the catalogs before and after the migration.
    09_drop_index: -- By the catalogs before and after the migration.
    08_drop_column: -- By the catalogs before and after the migration.
    07_types: -- By the catalogs before and after the migration.
    06_defaults: -- By the catalogs before and after the migration.
    05_columns: -- By the catalogs before and after the migration.
    04_unique: -- By the catalogs before and after the migration.
    03_enum: -- By the catalogs before and after the migration.
    02_foreign_key: -- By the catalogs before and after the migration.
    01_tables: -- By the catalogs before and after the migration.
    ");
}
