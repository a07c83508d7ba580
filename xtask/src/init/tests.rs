//! Small repos of every kind, looked at and written to. The packages in them are fakes of which only names and versions are read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::change::Change;
use super::repo::{Allowed, read};
use super::{proposed, scripts};
use crate::error::Result;
use crate::settings::Settings;
use crate::settings::env_file;
use crate::settings::flags::Global;

const POSTGRES: &str =
    "datasource db {\n provider = \"postgresql\"\n url = env(\"DATABASE_URL\")\n}\nmodel Shop {\n id Int @id\n}\n";
const MANIFEST: &str = "{\n  \"name\": \"shop\",\n  \"devDependencies\": { \"prisma\": \"^7.0.0\" }\n}\n";

type Files<'a> = &'a [(&'a str, &'a str)];

struct Kind {
    folder: TempDir,
    settings: Settings,
}

impl Kind {
    /// A sound repo, but for `files`; an empty text takes a file away.
    fn of(files: Files<'_>) -> Kind {
        let folder = tempfile::tempdir().unwrap();
        let sound = [
            ("package.json", MANIFEST),
            ("package-lock.json", "{}"),
            ("node_modules/prisma/package.json", "{ \"version\": \"7.10.0\" }"),
            ("node_modules/prisma/build/index.js", "//"),
            ("prisma/schema.prisma", POSTGRES),
            ("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n"),
            ("prisma/migrations/1_init/migration.sql", "create table \"Shop\" (id int primary key);"),
        ];
        for (name, text) in sound.into_iter().chain(files.iter().copied()) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if text.is_empty() { fs::remove_file(path).unwrap() } else { fs::write(path, text).unwrap() }
        }
        let settings = settings(folder.path());
        Kind { folder, settings }
    }

    fn changes(&self) -> Result<Vec<Change>> {
        proposed(&read(&self.settings, Allowed::default())?)
    }

    /// Every file, and what is in it.
    fn files(&self) -> BTreeMap<String, String> {
        let files = crate::files::plain(self.folder.path()).unwrap();
        files.into_iter().map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect()
    }

    /// Writes what is proposed; what is proposed then is nothing.
    fn written(&self) -> BTreeMap<String, String> {
        let before = self.files();
        let changes = self.changes().unwrap();
        changes.iter().for_each(|change| change.write(self.folder.path()).unwrap());
        let again = Kind { settings: settings(self.folder.path()), folder: tempfile::tempdir().unwrap() };
        assert_eq!(again.changes().unwrap(), []);
        let is_new = |(name, text): &(String, String)| before.get(name) != Some(text);
        self.files().into_iter().filter(is_new).collect()
    }
}

fn settings(root: &Path) -> Settings {
    let (target, root) = ("staging".to_owned(), Some(root.to_path_buf()));
    Settings::load(&Global {
        target,
        root,
        quiet: true,
        sandbox: false,
        env_file: None,
        plan: false,
        json: false,
        record: false,
        trace: None,
        color: crate::settings::colour::Colour::Auto,
        plain: false,
    })
    .unwrap()
}

/// What is said of a repo that nothing is written to, and its hint.
fn refused(files: Files<'_>) -> String {
    let kind = Kind::of(files);
    // Folders that files were taken out of are none of a package manager's or Prisma's doing.
    for folder in ["prisma/migrations/1_init", "node_modules/prisma/build", "node_modules/prisma"] {
        let _ = fs::remove_dir(kind.folder.path().join(folder));
    }
    let before = kind.files();
    let failure = kind.changes().unwrap_err();
    assert_eq!(kind.files(), before);
    let hint = failure.hint.as_ref().map(|hint| hint.line(&crate::hint::Aim::default())).unwrap_or_default();
    format!("{}\n  {hint}", failure.message)
}

#[test]
fn what_a_drill_could_not_work_with_is_told_in_a_line_with_its_fix_and_nothing_is_written() {
    let mysql = POSTGRES.replace("postgresql", "mysql");
    let client = "{ \"dependencies\": { \"@prisma/client\": \"7\" }, \"devDependencies\": { \"prisma\": \"7\" } }";
    let lock = ("prisma/migrations/migration_lock.toml", "");
    let pushed = [("prisma/migrations/1_init/migration.sql", ""), lock];
    let kinds: [(&str, Files<'_>); 13] = [
        ("no package", &[("package.json", "")]),
        ("a broken package.json", &[("package.json", "{ \"name\": }")]),
        ("no schema", &[("prisma/schema.prisma", "")]),
        ("a schema for MySQL", &[("prisma/schema.prisma", &mysql)]),
        ("a history for SQLite", &[("prisma/migrations/migration_lock.toml", "provider = \"sqlite\"\n")]),
        ("two schemas", &[("prisma/schema.prisma", ""), ("a/x.prisma", POSTGRES), ("b/y.prisma", POSTGRES)]),
        (
            "a drill.toml without the schema",
            &[
                ("drill.toml", "\n"),
                ("prisma/schema.prisma", &mysql),
                ("packages/db/x.prisma", POSTGRES),
                ("packages/db/prisma.config.cjs", "//"),
            ],
        ),
        ("a schema that does not parse", &[("prisma/schema.prisma", "datasource db {\n provider = \"postgresql\"\n")]),
        ("only pushed", &pushed),
        ("not installed", &[("node_modules/prisma/package.json", ""), ("node_modules/prisma/build/index.js", "")]),
        (
            "half installed",
            &[("node_modules/prisma/build/index.js", ""), ("package-lock.json", ""), ("pnpm-lock.yaml", "x")],
        ),
        ("a client that is not there", &[("package.json", client)]),
        (
            "two versions",
            &[
                ("package.json", client),
                ("node_modules/@prisma/client/package.json", "{ \"version\": \"6.19.3\" }"),
                ("yarn.lock", "x"),
            ],
        ),
    ];
    let said = kinds.map(|(what, files)| format!("{what}: {}", refused(files)));
    insta::assert_snapshot!(said.join("\n"), @r#"
    no package: there is no `package.json` here
      name the folder of the project with `--root`
    a broken package.json: `package.json` is not JSON
      correct it where the cause says
    no schema: there is no Prisma schema here
      name the folder of the project with `--root`
    a schema for MySQL: `prisma/schema.prisma` is for `mysql`, and the drill is for Postgres
      where another schema is for Postgres, name it in drill.toml: `[prisma]` and below it `schema = "…"`
    a history for SQLite: `prisma/migrations` is a history for `sqlite`, and the drill is for Postgres
      name the Postgres history as `migrations` under `[prisma]` in drill.toml
    two schemas: there are 2 schemas for Postgres: `a/x.prisma`, `b/y.prisma`
      name one in drill.toml: `[prisma]` and below it `schema = "a/x.prisma"`
    a drill.toml without the schema: drill.toml does not name the schema for Postgres, `packages/db/x.prisma`
      write below `[prisma]` in drill.toml: `schema = "packages/db/x.prisma"` and `config = "packages/db/prisma.config.cjs"`
    a schema that does not parse: `prisma/schema.prisma` cannot be read for certain at line 1: this block does not end
      correct `prisma/schema.prisma`; `npx prisma validate` and `npx prisma format` say what Prisma makes of it
    only pushed: there are no migrations in `prisma/migrations`: this schema was only ever pushed, and a drill rehearses migrations
      mkdir -p prisma/migrations/0_init && npx prisma migrate diff --from-empty --to-schema prisma/schema.prisma --script --output prisma/migrations/0_init/migration.sql
    not installed: the packages are not installed whole: `node_modules/prisma` is not there, and package.json asks for it
      npm ci
    half installed: the packages are not installed whole: `node_modules/prisma` is there only in part
      pnpm install --frozen-lockfile
    a client that is not there: the packages are not installed whole: `node_modules/@prisma/client` is not there, and package.json asks for it
      npm ci
    two versions: Prisma is installed in two versions: 7.10.0 in `node_modules/prisma`, 6.19.3 in `node_modules/@prisma/client`
      yarn add --exact prisma@7.10.0 @prisma/client@7.10.0
    "#);
}

const NAMES_OF_THEIR_OWN: &str =
    "NEXT_PUBLIC_SUPABASE_URL=x\nNEXT_PUBLIC_SUPABASE_ANON_KEY=x\nSUPABASE_SERVICE_ROLE_KEY=x\n";

fn written_in_full(files: Files<'_>) -> String {
    let mut told = String::new();
    let written = Kind::of(files).written();
    for (name, text) in written.iter().filter(|(name, _)| *name != "package.json") {
        let text = text.replace(super::env_example::RULES, "…\n").replace('\r', "␍");
        // The workflow is one text but for a few places.
        let is_workflow = name.ends_with(".yml");
        let places = |line: &&str| !is_workflow || ["- \"", "- run", "URL"].iter().any(|word| line.contains(word));
        let text: Vec<&str> = text.lines().filter(places).collect();
        told += &format!("-- {name}\n{}\n", text.join("\n"));
    }
    told
}

#[test]
fn each_kind_of_repo_gets_what_fits_it() {
    let schemas = POSTGRES.replace("\"postgresql\"", "\"postgresql\"\n schemas = [\"shop\", \"audit\", \"auth\"]");
    let models = "model Item {\n id Int @id\n}\n";
    let head = "datasource db {\n provider = \"postgresql\"\n}\n";
    let config = "import { defineConfig, env } from 'prisma/config';\nexport default defineConfig({\n  schema: './models',\n  migrations: { path: './history' },\n  datasource: { url: env('PG') },\n});\n";
    let kinds: [(&str, Files<'_>); 5] = [
        (
            "npm, GitHub, variables of its own",
            &[
                (".github/workflows/ci.yml", "on: push\n"),
                (".env.example", "# x\nDATABASE_URL=\nexport AUTH_SECRET=abc\nAUTH_SECRET=\n"),
            ],
        ),
        (
            "pnpm, a package of a monorepo, a folder of files, a config, GitLab",
            &[
                ("prisma/schema.prisma", ""),
                ("pnpm-lock.yaml", "x"),
                ("package-lock.json", ""),
                (".gitlab-ci.yml", "x"),
                ("packages/db/prisma.config.mts", config),
                ("packages/db/models/base.prisma", head),
                ("packages/db/models/parts/item.prisma", models),
                (
                    "packages/db/history/1_a/migration.sql",
                    "create extension if not exists \"citext\"; CREATE EXTENSION pgcrypto;",
                ),
            ],
        ),
        (
            "several schemas, Supabase, a justfile",
            &[
                ("prisma/schema.prisma", &schemas),
                ("supabase/config.toml", "x"),
                ("justfile", "alias reset-staging := x\n\nx:\n    true\n@drill-staging:\n    true"),
                (".gitignore", "node_modules\r\n.env.staging\r\n"),
                (".gitlab-ci.yml", "x"),
            ],
        ),
        (
            "Supabase's variables under names of its own",
            &[("prisma/schema.prisma", &schemas), (".env.example", NAMES_OF_THEIR_OWN), (".gitlab-ci.yml", "x")],
        ),
        (
            "what is there already",
            &[
                ("drill.toml", "[targets.staging]\n"),
                (".env.staging.example", "X=\n"),
                (".gitlab-ci.yml", "x"),
                (".gitignore", ".env.*\n/.drill/"),
            ],
        ),
    ];
    let told: String =
        kinds.into_iter().map(|(what, files)| format!("==== {what}\n{}", written_in_full(files))).collect();
    insta::assert_snapshot!(told, @r#"
    ==== npm, GitHub, variables of its own
    -- .env.staging.example
    …
    DATABASE_URL=postgresql://USER:PASSWORD@HOST:PORT/DATABASE_staging?schema=public

    # The application's own. The drill needs none of them, unless the Prisma config does.
    # AUTH_SECRET=
    -- .github/workflows/staging-drill.yml
    # branches of this repository. To set up, once: the variable STAGING_DRILL, the Git URL that the drill is installed from; an
          - "prisma/**"
          - "prisma/schema.prisma"
          - "drill.toml"
          - "package-lock.json"
          - ".github/workflows/staging-drill.yml"
          - run: npm ci
          - run: cargo install --locked --git "$STAGING_DRILL" xtask
          - run: xtask drill --sandbox --branch
          - run: npm ci
          - run: cargo install --locked --git "$STAGING_DRILL" xtask
              DATABASE_URL: ${{ secrets.DATABASE_URL }}
    -- .gitignore
    # The staging drill: secrets, and what is of this machine only.
    .env.staging
    !.env.staging.example
    /.drill/
    /feedback/.*.new
    -- drill.toml
    # What the staging drill may touch, and where it finds things. Committed; secrets are in `.env.staging`.
    # Every key is optional, unknown keys are errors, paths are relative to this folder.

    [targets.staging]
    allow_hosts = []                                            # a host is staging when it is named here; a leading `*.` is one or more labels
    allow_projects = []                                         # refs of Supabase projects
    allow_databases = ["*_staging", "*_test", "*_sandbox"]      # a letter first, and something before the suffix
    allow_schemas = ["public"]                                  # what a reset may drop

    [prisma]
    schema = "prisma/schema.prisma"
    migrations = "prisma/migrations"
    url_env = "DATABASE_URL"
    ==== pnpm, a package of a monorepo, a folder of files, a config, GitLab
    -- .env.staging.example
    …
    PG=postgresql://USER:PASSWORD@HOST:PORT/DATABASE_staging?schema=public
    -- .gitignore
    # The staging drill: secrets, and what is of this machine only.
    .env.staging
    !.env.staging.example
    /.drill/
    /feedback/.*.new
    -- drill.toml
    # What the staging drill may touch, and where it finds things. Committed; secrets are in `.env.staging`.
    # Every key is optional, unknown keys are errors, paths are relative to this folder.

    [targets.staging]
    allow_hosts = []                                            # a host is staging when it is named here; a leading `*.` is one or more labels
    allow_projects = []                                         # refs of Supabase projects
    allow_databases = ["*_staging", "*_test", "*_sandbox"]      # a letter first, and something before the suffix
    allow_schemas = ["public"]                                  # what a reset may drop

    [prisma]
    schema = "packages/db/models"
    migrations = "packages/db/history"
    config = "packages/db/prisma.config.mts"
    url_env = "PG"
    ==== several schemas, Supabase, a justfile
    -- .env.staging.example
    …
    # On Supabase use the session pooler, port 5432: the direct host has only IPv6, and port 6543 cannot migrate.
    DATABASE_URL=postgresql://USER:PASSWORD@HOST:PORT/DATABASE_staging?schema=public

    # For a mirror that is counted over REST, exactly `https://<ref>.supabase.co` and the service key:
    # SUPABASE_URL=
    # SUPABASE_SERVICE_KEY=
    -- .gitignore
    node_modules␍
    .env.staging␍
    ␍
    # The staging drill: secrets, and what is of this machine only.␍
    !.env.staging.example␍
    /.drill/␍
    /feedback/.*.new␍
    -- drill.toml
    # What the staging drill may touch, and where it finds things. Committed; secrets are in `.env.staging`.
    # Every key is optional, unknown keys are errors, paths are relative to this folder.

    [targets.staging]
    allow_hosts = []                                            # a host is staging when it is named here; a leading `*.` is one or more labels
    allow_projects = []                                         # refs of Supabase projects
    allow_databases = ["*_staging", "*_test", "*_sandbox"]      # a letter first, and something before the suffix
    allow_schemas = ["shop", "audit"]                           # what a reset may drop

    [prisma]
    schema = "prisma/schema.prisma"
    migrations = "prisma/migrations"
    url_env = "DATABASE_URL"
    -- justfile
    alias reset-staging := x

    x:
        true
    @drill-staging:
        true

    # Forward, backward, forward on an embedded Postgres, which it fills first: start here
    [positional-arguments]
    drill-sandbox *args:
        xtask drill --sandbox "$@"

    # Is the env file complete, and is it staging? No network
    [positional-arguments]
    check-staging *args:
        xtask env check "$@"

    # Generate the client, apply pending migrations to staging, verify
    [positional-arguments]
    migrate-staging *args:
        xtask forward "$@"

    # Take the last migration back, verify; --steps, --to, --failed
    [positional-arguments]
    rollback-staging *args:
        xtask backward "$@"

    # Rehearse only the migrations that this branch adds to the main one, as a pull request needs it
    [positional-arguments]
    drill-pr *args:
        xtask drill --branch "$@"

    # Put the rows of a snapshot back, verify; needs --confirm, and --list shows what there is
    [positional-arguments]
    restore-staging *args:
        xtask restore "$@"
    ==== Supabase's variables under names of its own
    -- .env.staging.example
    …
    DATABASE_URL=postgresql://USER:PASSWORD@HOST:PORT/DATABASE_staging?schema=public

    # For a mirror that is counted over REST, exactly `https://<ref>.supabase.co` and the service key:
    # NEXT_PUBLIC_SUPABASE_URL=
    # SUPABASE_SERVICE_ROLE_KEY=

    # The application's own. The drill needs none of them, unless the Prisma config does.
    # NEXT_PUBLIC_SUPABASE_ANON_KEY=
    -- .gitignore
    # The staging drill: secrets, and what is of this machine only.
    .env.staging
    !.env.staging.example
    /.drill/
    /feedback/.*.new
    -- drill.toml
    # What the staging drill may touch, and where it finds things. Committed; secrets are in `.env.staging`.
    # Every key is optional, unknown keys are errors, paths are relative to this folder.

    [targets.staging]
    allow_hosts = []                                            # a host is staging when it is named here; a leading `*.` is one or more labels
    allow_projects = []                                         # refs of Supabase projects
    allow_databases = ["*_staging", "*_test", "*_sandbox"]      # a letter first, and something before the suffix
    allow_schemas = ["shop", "audit"]                           # what a reset may drop

    [prisma]
    schema = "prisma/schema.prisma"
    migrations = "prisma/migrations"
    url_env = "DATABASE_URL"

    [supabase]
    url_env = "NEXT_PUBLIC_SUPABASE_URL"
    key_env = "SUPABASE_SERVICE_ROLE_KEY"
    ==== what is there already
    -- .gitignore
    .env.*
    /.drill/

    # The staging drill: secrets, and what is of this machine only.
    !.env.staging.example
    /feedback/.*.new
    "#);
}

#[test]
fn the_example_holds_placeholders_that_the_guard_knows() {
    let direct = POSTGRES.replace("env(\"DATABASE_URL\")", "env(\"DB\")\n directUrl = env(\"DB_DIRECT\")");
    let written = Kind::of(&[("prisma/schema.prisma", &direct)]).written();
    let variables = env_file::parse(written[".env.staging.example"].as_bytes()).unwrap();
    let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["DB", "DB_DIRECT"]);
    assert!(variables.iter().all(|(_, value)| env_file::is_placeholder(value.expose())));
}

#[test]
fn a_package_json_keeps_its_order_its_indentation_and_its_end() {
    let taken = r#"{"scripts":{"drill-sandbox":"mine","check-staging":"a","migrate-staging":"b","rollback-staging":"c","drill-staging":"d","reset-staging":"e"}}"#;
    let texts = [
        "{\n\t\"name\": \"a\",\n\t\"scripts\": {\n\t\t\"dev\": \"x\"\n\t},\n\t\"files\": [ 1,2 ]\n}\n",
        "{\r\n    \"scripts\": {\r\n        \"dev\": \"x\"\r\n    }\r\n}",
        "{\n  \"name\": \"\\u00e9 \\/\",\n  \"version\":\"1\"\n}\n",
        taken,
        "{ \"scripts\": {} }\n",
    ];
    let told = texts.map(|text| {
        let after = scripts::with_scripts(text).unwrap();
        assert_eq!(scripts::with_scripts(&after).unwrap(), after);
        let mut before: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut now: serde_json::Value = serde_json::from_str(&after).unwrap();
        let old = before.as_object_mut().unwrap().remove("scripts").unwrap_or_else(|| serde_json::json!({}));
        let new = now.as_object_mut().unwrap().remove("scripts").unwrap();
        assert_eq!(before, now);
        assert!(old.as_object().unwrap().iter().all(|(name, script)| new[name] == *script));
        // Of seven scripts the first and the last say how they are set.
        let lines = after.replace('\r', "␍").replace('\t', "→");
        let is_between = |line: &str| {
            line.contains("xtask") && !["drill --sandbox", "restore"].iter().any(|word| line.contains(word))
        };
        lines.split('\n').filter(|line| !is_between(line)).collect::<Vec<_>>().join("\n")
    });
    insta::assert_snapshot!(told.join("\n----\n"), @r#"
    {
    →"name": "a",
    →"scripts": {
    →→"dev": "x",
    →→"drill-sandbox": "xtask drill --sandbox",
    →→"restore-staging": "xtask restore"
    →},
    →"files": [ 1,2 ]
    }

    ----
    {␍
        "scripts": {␍
            "dev": "x",␍
            "drill-sandbox": "xtask drill --sandbox",␍
            "restore-staging": "xtask restore"␍
        }␍
    }
    ----
    {
      "name": "\u00e9 \/",
      "version":"1",
      "scripts": {
        "drill-sandbox": "xtask drill --sandbox",
        "restore-staging": "xtask restore"
      }
    }

    ----
    {"scripts":{
        "drill-sandbox":"mine",
        "check-staging":"a",
        "migrate-staging":"b",
        "rollback-staging":"c",
        "drill-staging":"d",
        "reset-staging":"e",
        "restore-staging": "xtask restore"
      }}
    ----
    { "scripts": {
        "drill-sandbox": "xtask drill --sandbox",
        "restore-staging": "xtask restore"
      } }
    "#);
}

#[test]
fn a_file_that_changed_since_it_was_shown_is_left_alone() {
    let kind = Kind::of(&[(".gitignore", "node_modules\n")]);
    let changes = kind.changes().unwrap();
    fs::write(kind.folder.path().join(".gitignore"), "node_modules\ndist\n").unwrap();
    let ignored = changes.iter().find(|change| change.path == ".gitignore").unwrap();
    assert_eq!(ignored.write(kind.folder.path()).unwrap_err().message, "cannot write `.gitignore`");
    assert_eq!(kind.files()[".gitignore"], "node_modules\ndist\n");
}

#[test]
fn the_workflow_of_every_package_manager_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    for lock in ["package-lock.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock"] {
        let files = [("package-lock.json", ""), (lock, "{}")];
        let written = Kind::of(&files[usize::from(lock == "package-lock.json")..]).written();
        fs::write(folder.path().join(format!("{lock}.yml")), &written[".github/workflows/staging-drill.yml"]).unwrap();
    }
    chores::workflows::lint(folder.path()).unwrap();
}
