//! Invented repos of many kinds, each from nothing through init, forward, forward, backward, forward, reset, restore and `drill --each`, with
//! nothing edited but the example of an env file.

use std::fs;
use std::os::unix::fs::symlink;

use chores::setup::clients;

use crate::project::Project;
use crate::server::{self, Database, workspace};
use crate::stranger::{AUTH, AUTH_HISTORY, CONFIG, HEAD, repo};

const SHOP: &str = "model Shop {\n  id   Int    @id @default(autoincrement())\n  name String\n  city String?\n}\n";
const SHOP_HISTORY: [(&str, &str); 2] = [
    (
        "20240101000000_shop",
        "CREATE TABLE \"Shop\" (\"id\" SERIAL NOT NULL, \"name\" TEXT NOT NULL, CONSTRAINT \"Shop_pkey\" PRIMARY KEY (\"id\"));\n",
    ),
    ("20240201000000_city", "ALTER TABLE \"Shop\" ADD COLUMN \"city\" TEXT;\n"),
];
const SHOP_ROWS: &str = "insert into \"Shop\" (name, city) select 'shop ' || n, 'city' from generate_series(1, 20) n";
const SHOPS: &str = "select count(*) from \"Shop\"";
const HEAD_OF_SIX: &str = "generator client {\n  provider   = \"prisma-client\"\n  output     = \"./generated\"\n  engineType = \"client\"\n}\n\n\
                           datasource db {\n  provider  = \"postgresql\"\n  url       = env(\"APP_DB\")\n  directUrl = env(\"APP_DIRECT\")\n}\n\n";

fn database() -> Database {
    server::shared().database("stranger")
}

/// The only file that a person fills in: each placeholder becomes the URL of the target.
fn fill_in(project: &Project, url: &str) {
    let example = project.read(".env.staging.example");
    let filled = example.lines().map(|line| match line.split_once("=postgresql://USER:PASSWORD@") {
        Some((name, _)) => format!("{name}={url}\n"),
        None => format!("{line}\n"),
    });
    project.write(".env.staging", &filled.collect::<String>());
}

/// Takes the repo through all of it; `rows` fills it, and `count` counts what must be there again. Returns the verdicts of `drill --each`.
fn through(project: &Project, rows: &str, count: &str) -> String {
    let database = database();
    project.run(&["init", "--confirm", "-q", "--allow-host", "127.0.0.1"]).expect(0);
    fill_in(project, &database.url());
    project.run(&["env", "check"]).expect(0);
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    project.run(&["forward", "-q"]).expect(0);
    project.run(&["forward", "-q"]).expect(0);
    database.execute(rows);
    let before: i64 = database.one(count);
    assert!(before > 0, "nothing would be lost");
    project.run(&["backward", "-q", "--accept-data-loss"]).expect(0);
    project.run(&["forward", "-q"]).expect(0);
    project.run(&["reset", "-q", "--confirm"]).expect(0);
    assert_eq!(database.one::<i64>(count), 0);
    project.run(&["restore", "-q", "--confirm"]).expect(0);
    assert_eq!(database.one::<i64>(count), before);
    let each = project.run(&["drill", "--each", "--json"]);
    let init = project.run(&["init", "--confirm", "--json"]).expect(0).json();
    assert_eq!(init["init"]["files"].as_array().unwrap().len(), 0, "init has something to write after all: {init}");
    project.assert_no_secret(&[&each]);
    let json = each.json();
    let verdicts = json["rehearsal"].as_array().unwrap_or_else(|| panic!("{}", each.stderr)).iter();
    let line = |one: &serde_json::Value| {
        format!("{} {}", one["migration"].as_str().unwrap(), one["verdict"].as_str().unwrap())
    };
    let verdicts: Vec<String> = verdicts.map(line).collect();
    format!("{}: {}", each.code, verdicts.join(", "))
}

fn shop(files: &[(&str, &str)], migrations: &str) -> Project {
    repo(files, migrations, &SHOP_HISTORY)
}

fn with_prisma_six(project: &Project) {
    fs::remove_file(project.path("node_modules/prisma")).unwrap();
    symlink(clients().join("node_modules/prisma-6"), project.path("node_modules/prisma")).unwrap();
}

#[test]
fn npm_with_tables_of_auth_js() {
    let schema = format!("{HEAD}{AUTH}");
    let project =
        repo(&[("prisma.config.ts", CONFIG), ("prisma/schema.prisma", &schema)], "prisma/migrations", &AUTH_HISTORY);
    let rows = r#"insert into "User" values ('u', 'a@example.com');
        insert into "Session" values ('s', 'token', 'u', now()); insert into "ApiKey" values ('k', 'secret', 'u', 'a note')"#;
    insta::assert_snapshot!(through(&project, rows, r#"select count(*) from "ApiKey""#), @r"0: 20240101000000_init reversible, 20240201000000_note reversible");
}

#[test]
fn a_monorepo_with_the_schema_in_a_package_and_the_packages_above() {
    let schema = format!("{HEAD}{SHOP}");
    let files = [
        ("packages/db/package.json", "{ \"name\": \"@shop/db\", \"devDependencies\": { \"prisma\": \"7.10.0\" } }\n"),
        ("packages/db/prisma.config.ts", CONFIG),
        ("packages/db/prisma/schema.prisma", &schema),
        ("apps/web/package.json", "{ \"name\": \"web\" }\n"),
        ("justfile", "default:\n    @just --list\n"),
    ];
    insta::assert_snapshot!(through(&shop(&files, "packages/db/prisma/migrations"), SHOP_ROWS, SHOPS), @r"0: 20240101000000_shop reversible, 20240201000000_city reversible");
}

/// The layout as pnpm leaves it, made by hand: the packages' own places are below `.pnpm`.
#[test]
fn the_layout_of_pnpm() {
    let schema = format!("{HEAD}{SHOP}");
    let files = [
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n"),
        ("prisma.config.ts", CONFIG),
        ("prisma/schema.prisma", &schema),
    ];
    let project = shop(&files, "prisma/migrations");
    let store = project.path("node_modules/.pnpm/prisma@7.10.0/node_modules");
    fs::create_dir_all(&store).unwrap();
    fs::remove_file(project.path("package-lock.json")).unwrap();
    fs::remove_file(project.path("node_modules/prisma")).unwrap();
    symlink(workspace().join("node_modules/prisma"), store.join("prisma")).unwrap();
    symlink(".pnpm/prisma@7.10.0/node_modules/prisma", project.path("node_modules/prisma")).unwrap();
    insta::assert_snapshot!(through(&project, SHOP_ROWS, SHOPS), @r"0: 20240101000000_shop reversible, 20240201000000_city reversible");
}

#[test]
fn a_folder_of_schema_files_and_stray_files_among_the_migrations() {
    let config = CONFIG.replace("prisma/schema.prisma", "prisma/schema");
    let files = [
        ("prisma.config.ts", config.as_str()),
        ("prisma/schema/base.prisma", HEAD),
        ("prisma/schema/models/shop.prisma", SHOP),
        ("prisma/schema/migrations/README.md", "How we migrate.\n"),
        ("prisma/schema/migrations/.DS_Store", "x"),
    ];
    insta::assert_snapshot!(through(&shop(&files, "prisma/schema/migrations"), SHOP_ROWS, SHOPS), @r"0: 20240101000000_shop reversible, 20240201000000_city reversible");
}

#[test]
fn several_schemas_of_the_database() {
    let head = HEAD.replace("\"postgresql\"", "\"postgresql\"\n  schemas  = [\"public\", \"audit\"]");
    let models = "model Shop {\n  id Int @id\n  @@schema(\"public\")\n}\n\nmodel Entry {\n  id   Int    @id\n  what String?\n  @@schema(\"audit\")\n}\n";
    let history = [
        (
            "1_both",
            "CREATE SCHEMA IF NOT EXISTS \"audit\";\nCREATE TABLE \"Shop\" (\"id\" INTEGER NOT NULL, CONSTRAINT \"Shop_pkey\" PRIMARY KEY (\"id\"));\n\
                    CREATE TABLE \"audit\".\"Entry\" (\"id\" INTEGER NOT NULL, CONSTRAINT \"Entry_pkey\" PRIMARY KEY (\"id\"));\n",
        ),
        ("2_what", "ALTER TABLE \"audit\".\"Entry\" ADD COLUMN \"what\" TEXT;\n"),
    ];
    let schema = format!("{head}{models}");
    let project =
        repo(&[("prisma.config.ts", CONFIG), ("prisma/schema.prisma", &schema)], "prisma/migrations", &history);
    let rows =
        "insert into \"Shop\" values (1); insert into audit.\"Entry\" select n, 'x' from generate_series(1, 9) n";
    insta::assert_snapshot!(through(&project, rows, "select count(*) from audit.\"Entry\""), @r"0: 1_both reversible, 2_what reversible");
}

#[test]
fn prisma_six_without_a_config_and_names_of_its_own() {
    let schema = format!("{HEAD_OF_SIX}{SHOP}");
    let project = shop(&[("prisma/schema.prisma", &schema)], "prisma/migrations");
    with_prisma_six(&project);
    insta::assert_snapshot!(through(&project, SHOP_ROWS, SHOPS), @r"0: 20240101000000_shop reversible, 20240201000000_city reversible");
}

#[test]
fn prisma_six_whose_package_json_says_where_the_schema_is() {
    let schema = format!("{HEAD_OF_SIX}{SHOP}");
    let manifest =
        "{\n\t\"prisma\": { \"schema\": \"./db/main.prisma\" },\n\t\"devDependencies\": { \"prisma\": \"6.19.3\" }\n}";
    let project = shop(&[("package.json", manifest), ("db/main.prisma", &schema)], "db/migrations");
    with_prisma_six(&project);
    insta::assert_snapshot!(through(&project, SHOP_ROWS, SHOPS), @r"0: 20240101000000_shop reversible, 20240201000000_city reversible");
}

#[test]
fn configs_in_other_languages_and_places() {
    let schema = format!("{HEAD}{SHOP}");
    let esm = "export default { schema: './db/schema.prisma', migrations: { path: './db/history' }, datasource: { url: process.env.PG_URL } };\n";
    let commonjs = "const path = require('node:path');\nmodule.exports = {\n  schema: path.join(__dirname, 'db', 'schema.prisma'),\n  \
                    migrations: { path: path.join(__dirname, 'db', 'history') },\n  datasource: { url: process.env['PG_URL'] ?? '' },\n};\n";
    let in_folder = "export default { schema: '../db/schema.prisma', migrations: { path: '../db/history' }, datasource: { url: process.env.PG_URL! } };\n";
    let said = [("prisma.config.mjs", esm), ("prisma.config.cjs", commonjs), (".config/prisma.ts", in_folder)].map(
        |(name, config)| {
            let project = shop(&[(name, config), ("db/schema.prisma", &schema)], "db/history");
            format!("{name}: {}", through(&project, SHOP_ROWS, SHOPS))
        },
    );
    insta::assert_snapshot!(said.join("\n"), @r"
    prisma.config.mjs: 0: 20240101000000_shop reversible, 20240201000000_city reversible
    prisma.config.cjs: 0: 20240101000000_shop reversible, 20240201000000_city reversible
    .config/prisma.ts: 0: 20240101000000_shop reversible, 20240201000000_city reversible
    ");
}

#[test]
fn tables_that_point_in_circles_with_checks_enums_and_generated_columns() {
    let models = "enum Level {\n  LOW\n  HIGH\n}\n\nmodel Team {\n  id      Int      @id @default(autoincrement())\n  name    String   @unique\n  \
                  lead    Int?     @unique\n  leader  Member?  @relation(\"leads\", fields: [lead], references: [id])\n  members Member[] @relation(\"of\")\n}\n\n\
                  model Member {\n  id     Int     @id @default(autoincrement())\n  team   Int\n  of     Team    @relation(\"of\", fields: [team], references: [id])\n  \
                  leads  Team?   @relation(\"leads\")\n  boss   Int?\n  above  Member? @relation(\"boss\", fields: [boss], references: [id])\n  \
                  below  Member[] @relation(\"boss\")\n  level  Level   @default(LOW)\n  hours  Int\n  twice  Int?    @default(dbgenerated())\n}\n";
    let history = [
        (
            "1_teams",
            r#"CREATE TYPE "Level" AS ENUM ('LOW', 'HIGH');
CREATE TABLE "Team" ("id" SERIAL PRIMARY KEY, "name" TEXT NOT NULL, "lead" INTEGER);
CREATE TABLE "Member" ("id" SERIAL PRIMARY KEY, "team" INTEGER NOT NULL, "boss" INTEGER, "hours" INTEGER NOT NULL CHECK ("hours" BETWEEN 1 AND 40));
CREATE UNIQUE INDEX "Team_name_key" ON "Team"("name");
CREATE UNIQUE INDEX "Team_lead_key" ON "Team"("lead");
ALTER TABLE "Team" ADD CONSTRAINT "Team_lead_fkey" FOREIGN KEY ("lead") REFERENCES "Member"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "Member" ADD CONSTRAINT "Member_team_fkey" FOREIGN KEY ("team") REFERENCES "Team"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "Member" ADD CONSTRAINT "Member_boss_fkey" FOREIGN KEY ("boss") REFERENCES "Member"("id") ON DELETE SET NULL ON UPDATE CASCADE;
"#,
        ),
        ("2_level", "ALTER TABLE \"Member\" ADD COLUMN \"level\" \"Level\" NOT NULL DEFAULT 'LOW';\n"),
        (
            "3_twice",
            "ALTER TABLE \"Member\" ADD COLUMN \"twice\" INTEGER GENERATED ALWAYS AS (\"hours\" * 2) STORED;\n",
        ),
    ];
    let schema = format!("{HEAD}{models}");
    let project =
        repo(&[("prisma.config.ts", CONFIG), ("prisma/schema.prisma", &schema)], "prisma/migrations", &history);
    let rows = r#"insert into "Team" (name) values ('a'); insert into "Member" (team, hours) values (1, 9); update "Team" set lead = 1"#;
    insta::assert_snapshot!(through(&project, rows, r#"select count(*) from "Member" where twice = 18"#), @r"0: 1_teams reversible, 2_level reversible, 3_twice reversible");
}

#[test]
fn extensions_that_the_history_makes() {
    let models = "model Person {\n  id    String  @id @default(dbgenerated(\"gen_random_uuid()\")) @db.Uuid\n  email String  @unique @db.Citext\n  hash  Bytes?\n}\n";
    let history = [
        ("1_extensions", "CREATE EXTENSION IF NOT EXISTS \"citext\";\nCREATE EXTENSION IF NOT EXISTS \"pgcrypto\";\n"),
        (
            "2_person",
            "CREATE TABLE \"Person\" (\"id\" UUID NOT NULL DEFAULT gen_random_uuid(), \"email\" CITEXT NOT NULL, CONSTRAINT \"Person_pkey\" PRIMARY KEY (\"id\"));\n\
                      CREATE UNIQUE INDEX \"Person_email_key\" ON \"Person\"(\"email\");\n",
        ),
        (
            "3_hash",
            "ALTER TABLE \"Person\" ADD COLUMN \"hash\" BYTEA;\nUPDATE \"Person\" SET \"hash\" = digest(\"email\"::text, 'sha256');\n",
        ),
    ];
    let schema = format!("{HEAD}{models}");
    let project =
        repo(&[("prisma.config.ts", CONFIG), ("prisma/schema.prisma", &schema)], "prisma/migrations", &history);
    let rows = "insert into \"Person\" (email, hash) select 'p' || n || '@example.com', digest(n::text, 'sha256') from generate_series(1, 9) n";
    insta::assert_snapshot!(through(&project, rows, "select count(*) from \"Person\""), @r"5: 1_extensions leftovers, 2_person reversible, 3_hash reversible");
}
