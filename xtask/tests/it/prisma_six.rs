//! Prisma 6: the schema's datasource says where the database is, under names of its own, and there is no config.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::project::{DRILL_TOML, Project};
use crate::server::Database;
use chores::setup::clients;

const SCHEMA: &str = r#"
generator client {
  provider   = "prisma-client"
  output     = "./generated"
  engineType = "client"
}

datasource db {
  provider  = "postgresql"
  url       = env("STAGING_DB")
  directUrl = env("STAGING_DIRECT")
}

model Shop {
  id   Int    @id @default(autoincrement())
  name String
}
"#;

const HISTORY: [(&str, &str); 3] = [
    ("1_shop", r#"create table "Shop" ("id" serial primary key, "name" text not null);"#),
    ("2_city", r#"alter table "Shop" add column "city" text;"#),
    ("3_no_city", r#"alter table "Shop" drop column "city";"#),
];

/// A project of Prisma 6, with nothing of this repo's.
pub fn project(name: &str) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    fs::remove_dir_all(project.path("prisma")).unwrap();
    fs::remove_file(project.path("node_modules")).unwrap();
    fs::create_dir(project.path("node_modules")).unwrap();
    let packages = clients().join("node_modules");
    symlink(packages.join("prisma-6"), project.path("node_modules/prisma")).unwrap();
    project.write("prisma/schema.prisma", SCHEMA);
    project.write("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    for (name, sql) in HISTORY {
        project.write(&format!("prisma/migrations/{name}/migration.sql"), sql);
    }
    project.write("drill.toml", DRILL_TOML);
    let url = database.url();
    project.write(".env.staging", &format!("STAGING_DB={url}\nSTAGING_DIRECT={url}\n"));
    (project, database)
}

#[test]
fn an_engine_of_another_commit_and_a_release_without_one_are_refused() {
    let (project, database) = project("six_refused");
    let packages = clients().join("node_modules");
    fs::remove_file(project.path("node_modules/prisma")).unwrap();
    for folder in ["node_modules/prisma/build", "node_modules/@prisma/engines-version"] {
        fs::create_dir_all(project.path(folder)).unwrap();
    }
    fs::copy(packages.join("prisma-6/build/child.js"), project.path("node_modules/prisma/build/index.js")).unwrap();
    let refused = |release: &str, engine: &str| {
        let package = |version: &str| format!("{{\"version\":\"{version}\"}}");
        project.write("node_modules/prisma/package.json", &package(release));
        project.write("node_modules/@prisma/engines-version/package.json", &package(engine));
        project.run(&["forward"]).expect(4).failure()
    };
    let said = [
        refused("6.19.2", "7.1.1-2.0000000000000000000000000000000000000000"),
        refused("6.5.0", "6.5.0-73.0"),
        refused("8.0.0-rc.19", "8.0.0-1.0"),
        {
            project.write("drill.toml", &format!("{DRILL_TOML}[prisma]\nmigrations = \"db/history\"\n"));
            refused("5.22.0", "5.22.0-44.0")
        },
    ];
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    error: Prisma's schema engine is not here
    caused by: its download was blocked or skipped when the package was installed
    caused by: `npm install @prisma/schema-engine-wasm@7.1.1-2.0000000000000000000000000000000000000000` exited with code 1
    hint: npm install --save-dev --save-exact @prisma/schema-engine-wasm@7.1.1-2.0000000000000000000000000000000000000000  # see docs/failures/engine-missing

    error: the schema engine of Prisma 6.5.0 is not here
    caused by: its download was blocked or skipped, and npm has none for it; the nearest release with one is 6.6.0
    note: `prisma version` downloads the native engine, and PRISMA_SCHEMA_ENGINE_BINARY names one that is elsewhere
    hint: npm install --save-dev --save-exact prisma@6.6.0  # see docs/failures/engine-missing

    error: Prisma 8.0.0-rc.19 is not supported
    caused by: it has no `migrate reset`, `resolve` and `diff`, which the drill is made of; `env check` and `evidence` still work
    hint: npm install --save-dev --save-exact prisma@7  # see docs/failures/prisma-unsupported

    error: Prisma 5.22.0 reads its history from `prisma/migrations`, and not from `db/history`
    note: write `migrations = "prisma/migrations"` under `[prisma]` in drill.toml
    "#);
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

/// The npm here stands in for one that prints what it was told, as a proxy's error may.
#[test]
fn what_npm_says_while_an_engine_is_brought_is_masked() {
    let (mut project, _database) = project("six_npm");
    project.write("bin/npm", "#!/bin/sh\ncat .npmrc >&2\necho \"$HTTPS_PROXY\"\nexit 1\n");
    fs::set_permissions(project.path("bin/npm"), fs::Permissions::from_mode(0o755)).unwrap();
    project.write(".npmrc", "registry=https://npm.example/\n//npm.example/:_authToken=t0ken-of-npm-1\n");
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    project.env.insert("PATH".to_owned(), path);
    project.env.insert("HTTPS_PROXY".to_owned(), "http://me:pr0xy-p4ss@proxy.example:8080".to_owned());
    insta::assert_snapshot!(project.run(&["forward"]).expect(4).said(), @"
    not installed in the project, so brought once into `.drill`: @prisma/schema-engine-wasm@7.1.1-3.c2990dca591cba766e3b7ef5d9e8a84796e47ab7
    registry=https://npm.example/
    //npm.example/:_authToken=[REDACTED__authToken]
    http://me:[REDACTED_HTTPS_PROXY]@proxy.example:8080
    error: Prisma's schema engine is not here
    caused by: its download was blocked or skipped when the package was installed
    caused by: `npm install @prisma/schema-engine-wasm@7.1.1-3.c2990dca591cba766e3b7ef5d9e8a84796e47ab7` exited with code 1
    hint: npm install --save-dev --save-exact @prisma/schema-engine-wasm@7.1.1-3.c2990dca591cba766e3b7ef5d9e8a84796e47ab7  # see docs/failures/engine-missing
    ");
}
