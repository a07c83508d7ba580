//! Every kind of release of Prisma: with a URL in the schema and in the config, whose engine takes a script as one and takes it apart, with a
//! package of its engine on npm and without. One history goes through every stage, and the server says what each did.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::project::{DRILL_TOML, Project};
use crate::server::{self, Database};
use crate::stranger::CONFIG;

const RELEASES: [&str; 6] = ["6.6.0", "6.19.3", "7.0.0", "7.4.0", "7.10.0", "7.10.1"];

const SCHEMA: &str = r#"generator client {
  provider = "prisma-client"
  output   = "./generated"
}

datasource db {
  provider = "postgresql"
}

model Shop {
  id   Int    @id @default(autoincrement())
  name String
}
"#;

const HISTORY: [(&str, &str); 5] = [
    ("1_shop", r#"create table "Shop" ("id" serial primary key, "name" text not null);"#),
    ("2_city", r#"alter table "Shop" add column "city" text; create index "Shop_city" on "Shop"("city");"#),
    ("3_named", r#"alter table "Shop" add column "owner" text not null;"#),
    ("4_no_city", r#"alter table "Shop" drop column "city";"#),
    ("5_unnamed", r#"alter table "Shop" drop column "owner";"#),
];

/// Its packages as npm installs them, but for the native engines that its scripts would download.
fn packages(release: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prisma-{release}"));
    let packages = folder.join("node_modules");
    if !packages.join(".package-lock.json").is_file() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("package.json"), "{}").unwrap();
        // The generator of the others writes a client that nobody loads here.
        let client = [format!("@prisma/client@{release}"), format!("@prisma/schema-engine-wasm@{ENGINE_OF_6_6}")];
        let of_old = OF_NATIVE_ENGINES.contains(&release).then_some(client);
        let wanted = [format!("prisma@{release}")].into_iter().chain(of_old.into_iter().flatten());
        let words = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"];
        assert!(Command::new("npm").args(words).args(wanted).current_dir(&folder).status().unwrap().success());
    }
    packages
}

/// Whose engines are programs of their own only.
const OF_NATIVE_ENGINES: [&str; 3] = ["5.0.0", "5.22.0", "6.5.0"];
const ENGINE_OF_6_6: &str = "6.6.0-53.f676762280b54cd07c770017ed3711ddde35f37a";

/// None of them can be had where this was written: in the place of one, a program that speaks their protocol in front of the engine of 6.6.0.
fn with_stand_in(project: &mut Project, release: &str) {
    let wasm = packages(release).join("@prisma/schema-engine-wasm/schema_engine_bg");
    let half = |ending: &str| wasm.with_extension(ending).display().to_string();
    let named = json!({
        "commit": ENGINE_OF_6_6.rsplit('.').next(), "version": ENGINE_OF_6_6,
        "glue": half("js"), "wasm": half("wasm"), "twin": half("wasm"),
    });
    let [translator, engine] = ["xtask/tests/long/engine-before-6-6.mjs", "prisma/engine/schema-engine.mjs"]
        .map(|file| server::workspace().join(file).display().to_string());
    let script = format!("#!/bin/sh\nSTAGING_DRILL_WASM='{named}' exec node '{translator}' '{engine}' \"$@\"\n");
    project.write("schema-engine", &script);
    fs::set_permissions(project.path("schema-engine"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = project.path("schema-engine").display().to_string();
    project.env.insert("PRISMA_SCHEMA_ENGINE_BINARY".to_owned(), path);
}

fn project(release: &str) -> (Project, Database) {
    let (mut project, database) = (Project::empty(), server::shared().database("release"));
    symlink(packages(release).join("prisma"), project.path("node_modules/prisma")).unwrap();
    if OF_NATIVE_ENGINES.contains(&release) {
        symlink(packages(release).join("@prisma"), project.path("node_modules/@prisma")).unwrap();
        let schema = SCHEMA.replace("\"prisma-client\"\n  output   = \"./generated\"", "\"prisma-client-js\"");
        let url = "\"postgresql\"\n  url = env(\"DATABASE_URL\")";
        project.write("prisma/schema.prisma", &schema.replace("\"postgresql\"", url));
        with_stand_in(&mut project, release);
    } else if release.starts_with('6') {
        let url = "\"postgresql\"\n  url = env(\"DATABASE_URL\")";
        project.write("prisma/schema.prisma", &SCHEMA.replace("\"postgresql\"", url));
    } else {
        project.write("prisma/schema.prisma", SCHEMA);
        project.write("prisma.config.ts", CONFIG);
    }
    project.write("package.json", "{}");
    project.write("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    for (name, sql) in HISTORY {
        project.write(&format!("prisma/migrations/{name}/migration.sql"), sql);
    }
    project.write("drill.toml", DRILL_TOML);
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
    (project, database)
}

/// What the server has after a stage.
fn is_there(database: &Database) -> String {
    let columns: String = database.one(
        "select string_agg(attname, ' ' order by attnum) from pg_attribute
         where attrelid = '\"Shop\"'::regclass and attnum > 0 and not attisdropped",
    );
    let applied: i64 = database.one("select count(*) from _prisma_migrations where finished_at is not null");
    let rows: i64 = database.one("select count(*) from \"Shop\"");
    format!("{applied} applied; Shop ({columns}), {rows} rows")
}

/// What the run's record says that ran.
fn tools(project: &Project, json: &Value) -> String {
    let folder = json["evidence"].as_str().unwrap_or_else(|| panic!("{json}"));
    let record = project.read(&format!("{folder}/run.json"));
    let record: Value = serde_json::from_str(&record).unwrap();
    let tool = |name: &str| record["tools"][name].as_str().unwrap_or_else(|| panic!("{json}")).to_owned();
    format!("{} on {}", tool("prisma"), tool("engine"))
}

fn verdicts(json: &Value) -> String {
    let rehearsed = json["rehearsal"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    rehearsed
        .map(|one| format!("; {} {}", one["migration"].as_str().unwrap(), one["verdict"].as_str().unwrap()))
        .collect()
}

/// A line for each stage: its exit code, what the server has then, and what was found of each migration.
fn through(release: &str) -> String {
    let (project, database) = project(release);
    let mut answers = vec![project.run(&["claim", "-q", "--confirm", &database.name]).expect(0)];
    let mut stage = |words: &[&str]| {
        let answer = project.run(&[words, &["--json"]].concat());
        let json = answer.json();
        let line = format!("  {}: {}; {}{}\n", words.join(" "), answer.code, is_there(&database), verdicts(&json));
        answers.push(answer);
        (line, tools(&project, &json))
    };
    let (forward, tools) = stage(&["forward"]);
    // Of what was dropped, Prisma's own diff has to know the way back.
    let mut said = vec![format!("{tools}\n"), forward, stage(&["backward", "--steps", "4"]).0, stage(&["forward"]).0];
    database.execute("insert into \"Shop\" (name) select 'shop ' || n from generate_series(1, 20) n");
    let rest: [&[&str]; 3] = [&["drill", "--each"], &["reset", "--confirm"], &["restore", "--confirm"]];
    said.extend(rest.map(|words| stage(words).0));
    project.assert_no_secret(&answers.iter().collect::<Vec<_>>());
    said.concat()
}

#[test]
fn each_release_of_prisma_goes_forward_and_back_and_is_rehearsed_reset_and_restored() {
    let said = RELEASES.map(through).concat();
    insta::assert_snapshot!(said, @r"
    6.6.0 on wasm (6.6.0-53.f676762280b54cd07c770017ed3711ddde35f37a)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    6.19.3 on wasm (7.1.1-3.c2990dca591cba766e3b7ef5d9e8a84796e47ab7)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    7.0.0 on wasm (6.20.0-16.next-0c19ccc313cf9911a90d99d2ac2eb0280c76c513)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    7.4.0 on wasm (7.4.0-20.ab56fe763f921d033a6c195e7ddeb3e255bdbb57)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    7.10.0 on wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    7.10.1 on wasm (8.1.0-1.d1b3f377ca835d73fd50954a5e22128b9ebdd6b8, with the JavaScript of 7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    ");
}

/// Prisma's own CLIs, before an engine that is not theirs: flags, the protocol between the two, and what the drill makes of both.
#[test]
fn releases_of_native_engines_go_the_same_way_before_a_stand_in() {
    let said = OF_NATIVE_ENGINES.map(through).concat();
    insta::assert_snapshot!(said, @"
    5.0.0 on native (schema-engine, f676762280b54cd07c770017ed3711ddde35f37a, where the CLI goes with 6b0aef69b7cdfc787f822ecd7cdc76d5f1991584)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    5.22.0 on native (schema-engine, f676762280b54cd07c770017ed3711ddde35f37a, where the CLI goes with 605197351a3c8bdd595af2d2a9bc3025bca48ea2)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    6.5.0 on native (schema-engine, f676762280b54cd07c770017ed3711ddde35f37a, where the CLI goes with 173f8d54f8d52e692c7e27e72a88314ec7aeff60)
      forward: 0; 5 applied; Shop (id name), 0 rows
      backward --steps 4: 0; 1 applied; Shop (id name), 0 rows
      forward: 0; 5 applied; Shop (id name), 0 rows
      drill --each: 5; 5 applied; Shop (id name), 20 rows; 1_shop reversible; 2_city reversible; 3_named needs_empty_table; 4_no_city lossy; 5_unnamed failed
      reset --confirm: 0; 5 applied; Shop (id name), 0 rows
      restore --confirm: 0; 5 applied; Shop (id name), 20 rows
    ");
}

/// Of what npm has, in the order of their numbers: which of these releases want an engine whose commit has no package. The drill knows the
/// nearest release of each (`process/release.rs`), and one that is not in this list is not known to it.
#[test]
fn the_releases_without_an_engine_on_npm_are_those_that_the_drill_knows() {
    let asked = |words: &[&str]| -> Value {
        let answer = Command::new("npm").args(["view", "--json"]).args(words).output().unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        serde_json::from_slice(&answer.stdout).unwrap()
    };
    let commit = |version: &Value| version.as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    let packages = asked(&["@prisma/schema-engine-wasm", "versions"]);
    let packages: Vec<String> = packages.as_array().unwrap().iter().map(commit).collect();
    let releases = asked(&["@prisma/engines@>=6.6.0 <=7.10.1", "version", "dependencies"]);
    let releases = releases.as_array().unwrap().iter();
    let without = releases.filter(|one| !packages.contains(&commit(&one["dependencies"]["@prisma/engines-version"])));
    let mut without: Vec<&str> = without.map(|one| one["version"].as_str().unwrap()).collect();
    without.sort_unstable();
    assert_eq!(without, ["6.11.0", "7.10.1"]);
}

/// Says of each child which it is and what it was told.
const TELLING: &str = r#"import { appendFileSync } from "node:fs";

const [, , ...words] = process.argv;
const told = ["HTTP_PROXY", "PRISMA_ENGINES_MIRROR"].filter((name) => process.env[name]);
appendFileSync("told.txt", `${words.slice(0, 2).join(" ")}: ${told.join(" ") || "nothing"}\n`);

export default { schema: "prisma/schema.prisma" };
"#;

/// The proxy here stands in for a company's: it writes down what it is asked for, and has nothing.
#[test]
fn generate_alone_is_told_of_the_users_mirror_and_proxy_and_no_password_of_theirs_shows() {
    let (mut project, database) = project("6.19.3");
    project.write("prisma.config.ts", TELLING);
    let schema = project
        .read("prisma/schema.prisma")
        .replace("\"prisma-client\"", "\"prisma-client\"\n  engineType = \"library\"");
    project.write("prisma/schema.prisma", &schema);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noting = Arc::clone(&asked);
    thread::spawn(move || proxy.incoming().flatten().for_each(|client| noting.lock().unwrap().extend(refused(client))));
    let pairs = [
        ("HTTP_PROXY", format!("http://me:pr0xy-p4ss@{address}")),
        ("PRISMA_ENGINES_MIRROR", "http://mirror.example".to_owned()),
    ];
    project.env.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    let forward = project.run(&["forward"]).expect(1);
    let asked = asked.lock().unwrap().clone();
    assert!(
        asked.iter().any(|line| line.starts_with("GET http://mirror.example/all_commits/")),
        "{asked:#?}\n{}",
        forward.stderr
    );
    assert!(asked.iter().any(|line| line.starts_with("Proxy-Authorization: Basic ")), "{asked:#?}");
    let told: BTreeSet<String> = project.read("told.txt").lines().map(str::to_owned).collect();
    insta::assert_snapshot!(told.into_iter().collect::<Vec<_>>().join("\n"), @r"
    generate --no-hints: HTTP_PROXY PRISMA_ENGINES_MIRROR
    migrate deploy: nothing
    ");
    let failure = forward.failure();
    let failure = regex::Regex::new(r"all_commits/\S+").unwrap().replace(&failure, "all_commits/ENGINE");
    insta::assert_snapshot!(failure, @r"
    error: the client was not generated: `generate` exited with code 1
    caused by: Error: Failed to fetch sha256 checksum at http://mirror.example/all_commits/ENGINE - 404 Not Found
    note: the database now: 5 migrations applied by this run, 0 pending
    hint: less feedback/evidence/RUN/03-generate.log
    ");
    // As it is, and as HTTP writes it.
    let secrets = ["pr0xy-p4ss", "bWU6cHIweHktcDRzcw"];
    for file in project.files() {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).into_owned();
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{}", file.display());
    }
    assert!(!secrets.iter().any(|secret| forward.stderr.contains(secret)), "{}", forward.stderr);
}

/// The lines of a request, which is answered with nothing.
fn refused(mut client: TcpStream) -> Vec<String> {
    let lines = BufReader::new(&client).lines().map_while(Result::ok);
    let request = lines.take_while(|line| !line.is_empty()).collect();
    let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    request
}
