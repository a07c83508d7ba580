//! Nothing moves the children of a run to another database, and none of them ever holds the password.
//!
//! What would move them is laid out around the real Prisma CLI all at once; a second server stands where each of it leads, has the same
//! roles and databases, and logs who knocks.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::project::{Answer, Project};
use crate::server::{self, Database, Server, workspace};

/// A password of one test alone, so that whoever holds it is of its run.
const OWN_PASSWORD: &str = "Only-In-This-Run-7c1e9b40";

/// What agents set, and the user's own consent, which nobody but the user gives.
const MARKERS: [&str; 9] = [
    "CLAUDECODE",
    "CODEX_SANDBOX",
    "CODEX_THREAD_ID",
    "GEMINI_CLI",
    "CURSOR_AGENT",
    "AI_AGENT",
    "OPENCODE",
    "COPILOT_CLI",
    "PRISMA_USER_CONSENT_FOR_DANGEROUS_AI_ACTION",
];

/// What would move a client, or make it talk, and so reaches no child.
const MOVERS: [&str; 14] = [
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSFILE",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGOPTIONS",
    "NODE_OPTIONS",
    "BUN_OPTIONS",
    "DOTENV_CONFIG_OVERRIDE",
    "SUPABASE_YES",
    "DEBUG",
];

/// The second server's twin of `database`: same names, same password.
fn decoy(database: &Database) -> (&'static Server, Database) {
    let server = server::second();
    (server, server.database_named(&database.name))
}

/// A config for Prisma that does what `prisma/postgres.config.ts` does, after `first`, and with `url` (and `shadow`) as expressions.
fn config(first: &str, url: &str, shadow: &str) -> String {
    format!(
        "import {{ writeFileSync }} from 'node:fs';\nimport {{ defineConfig }} from 'prisma/config';\n{first}\n\
         writeFileSync('prisma-environment.json', JSON.stringify(process.env));\n\
         export default defineConfig({{\n  schema: 'schema.postgres.prisma',\n  migrations: {{ path: 'postgres/migrations' }},\n\
         \x20 datasource: {{ url: {url}, shadowDatabaseUrl: {shadow} }},\n}});\n"
    )
}

/// `url` as an expression that no text search takes for one.
fn pieced_together(url: &str) -> String {
    let rest = url.strip_prefix("postgresql:").unwrap();
    format!("['postgre', 'sql', ':', '{rest}'].join('')")
}

/// Every file and every variable that some client reads, leading to `decoy`.
fn surround(project: &mut Project, decoy: &Database) {
    let url = decoy.url();
    for file in [".env", ".env.local", ".env.development", "supabase/.env", "supabase/.env.local"] {
        project.write(file, &format!("DATABASE_URL={url}\nPGHOST=localhost\nPGOPTIONS=-csearch_path=evil\n"));
    }
    project.write("prisma/.env", &format!("DATABASE_URL={url}\n"));
    project.write("bunfig.toml", "preload = [\"./evil.cjs\"]\n");
    project.write("supabase/.temp/project-ref", "abcdefghijklmnopqrst");
    project.write("evil.cjs", "require('node:fs').writeFileSync(__dirname + '/evil-ran', 'x');\n");
    project.write("passwords", &format!("*:*:*:*:{}\n", server::PASSWORD));
    let service = format!("[decoy]\nhost=127.0.0.1\nport={}\ndbname={}\nuser={}\n", decoy.port, decoy.name, decoy.user);
    project.write("service.conf", &service);
    let path = |name: &str| project.path(name).display().to_string();
    let evil = path("evil.cjs").replace(' ', "\\ ");
    let values = [
        "127.0.0.1".to_owned(),
        "127.0.0.1".to_owned(),
        decoy.port.to_string(),
        decoy.name.clone(),
        decoy.user.clone(),
        path("passwords"),
        "decoy".to_owned(),
        path("service.conf"),
        "-c search_path=evil".to_owned(),
        format!("--require \"{}\"", path("evil.cjs")),
        format!("--preload {evil}"),
        "true".to_owned(),
        "1".to_owned(),
        "*".to_owned(),
    ];
    project.env.extend(MOVERS.iter().map(|&name| name.to_owned()).zip(values));
    project.env.extend(MARKERS.iter().map(|&name| (name.to_owned(), format!("as given by {name}"))));
}

/// Proves that the movers are real: outside the drill each kind of them does move a client.
fn assert_movers_work(project: &Project, decoy: (&Server, &Database)) {
    let (server, database) = decoy;
    let before = server.mentions(&database.name);
    let bare = |program: &str, args: &[&str], variables: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", project.path("home"));
        command.envs(project.env.iter().filter(|(name, _)| variables.contains(&name.as_str())));
        command.env("PGPASSWORD", server::PASSWORD).current_dir(project.path("")).output().unwrap();
    };
    let ran = || fs::remove_file(project.path("evil-ran")).is_ok();
    bare("psql", &["-c", "select 1"], &MOVERS);
    assert!(server.mentions(&database.name) > before, "PGSERVICE and PGHOSTADDR lead to the decoy");
    bare("node", &["-e", "0"], &["NODE_OPTIONS"]);
    assert!(ran(), "NODE_OPTIONS runs code in Node");
    let supabase = supabase_binary().display().to_string();
    bare(&supabase, &["--version"], &[]);
    assert!(ran(), "bunfig.toml runs code in the Supabase CLI");
    fs::rename(project.path("bunfig.toml"), project.path("aside.toml")).unwrap();
    bare(&supabase, &["--version"], &["BUN_OPTIONS"]);
    assert!(ran(), "BUN_OPTIONS runs code in the Supabase CLI");
    fs::rename(project.path("aside.toml"), project.path("bunfig.toml")).unwrap();
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

fn supabase_binary() -> PathBuf {
    let packages = fs::read_dir(workspace().join("node_modules/@supabase")).unwrap();
    let mut names = packages.map(|entry| entry.unwrap().path());
    names.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("cli-")).unwrap().join("bin/supabase")
}

/// What the process table showed while a run was under way.
#[derive(Default)]
struct Sightings {
    /// Command lines of processes of this run.
    seen: BTreeSet<String>,
    /// Where the password was.
    leaks: BTreeSet<String>,
}

/// Reads the command line and the environment of every process, again and again until `child` ends.
fn watch(child: &mut Child, project: &Project, secrets: &[String]) -> Sightings {
    let marker = project.path("").display().to_string();
    let marker = marker.trim_end_matches('/');
    let mut sightings = Sightings::default();
    while child.try_wait().unwrap().is_none() {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let read = |name: &str| {
                let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', "\n")
            };
            let (cmdline, environ) = (read("cmdline"), read("environ"));
            if cmdline.contains(marker) || environ.contains(marker) {
                sightings.seen.insert(cmdline.clone());
            }
            for (place, text) in [("arguments", &cmdline), ("environment", &environ)] {
                if secrets.iter().any(|secret| text.contains(secret.as_str())) {
                    sightings.leaks.insert(format!("{place} of {cmdline}"));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    sightings
}

fn forms(secret: &str) -> Vec<String> {
    let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Base64 of a text that holds it somewhere: the two middle thirds are the same whatever stands around it.
    let inner = |offset: usize| {
        let padded = format!("{}{secret}", &"xxx"[..offset]);
        let encoded = STANDARD.encode(padded);
        encoded[4..encoded.len() - 4].to_owned()
    };
    vec![secret.to_owned(), hex, inner(0), inner(1), inner(2), secret.replace('-', "%2D")]
}

fn variables(project: &Project, file: &str) -> Value {
    serde_json::from_str(&project.read(file)).unwrap()
}

/// A staging project with a password of its own, and everything around it that leads to the second server.
fn surrounded(name: &str) -> (Project, Database, Database) {
    let (mut project, database) = Project::on_staging(name);
    let (second, twin) = decoy(&database);
    let alter = format!("alter role {} password '{OWN_PASSWORD}'", database.user);
    server::shared().superuser("postgres").batch_execute(&alter).unwrap();
    let url = database.url().replace(server::PASSWORD_IN_URL, OWN_PASSWORD);
    project.write(".env.staging", &format!("DATABASE_URL={url}\nSHOPIFY_API_KEY=for-the-app\n"));
    surround(&mut project, &twin);
    assert_movers_work(&project, (second, &twin));
    (project, database, twin)
}

/// Runs a command that must end well, with the process table under watch, and proves that it left no trace of the password, reached the
/// second server with nothing, and let no foreign code run.
fn run_watched(project: &Project, args: &[&str], twin: &Database) -> Sightings {
    let second = server::second();
    let before = second.mentions(&twin.name);
    let mut run = project.start(args);
    let sightings = watch(&mut run, project, &forms(OWN_PASSWORD));
    let output = run.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    let answer = Answer { code, stdout: text(output.stdout), stderr: text(output.stderr) }.expect(0);
    assert_eq!(second.mentions(&twin.name), before, "{}", second.log());
    assert!(!project.path("evil-ran").exists(), "NODE_OPTIONS, BUN_OPTIONS or bunfig.toml ran code in a child");
    assert_eq!(sightings.leaks, BTreeSet::new());
    for file in project.files() {
        let bytes = fs::read(&file).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(OWN_PASSWORD), "{}", file.display());
    }
    assert!(!format!("{}{}", answer.stdout, answer.stderr).contains(OWN_PASSWORD));
    sightings
}

/// Proves, with everything around that could move a client, that the real Prisma CLI, its engine and the generated client, and after them
/// the real Supabase CLI, reach the verified server alone; that no foreign code runs in them; that agents' markers and the user's consent
/// come through as they are; and that the password is in no process's arguments or environment while they run.
#[test]
fn no_variable_and_no_file_moves_the_children_and_none_holds_the_password() {
    let (mut project, database, twin) = surrounded("pinned");
    let config = config("import 'dotenv/config';", "process.env.DATABASE_URL", "undefined");
    project.write("prisma/postgres.config.ts", &config);
    let smoke = project.read("prisma/smoke.mjs");
    let probe = "import { writeFileSync } from 'node:fs';\n\
         writeFileSync('smoke-environment.json', JSON.stringify(process.env));\n";
    project.write("prisma/smoke.mjs", &format!("{probe}{smoke}"));
    let sightings = run_watched(&project, &["forward", "--smoke"], &twin);
    for program in ["prisma/build/index.js", "schema-engine", "prisma/smoke.mjs"] {
        assert!(sightings.seen.iter().any(|cmdline| cmdline.contains(program)), "{program}: {:?}", sightings.seen);
    }
    for file in ["prisma-environment.json", "smoke-environment.json"] {
        assert_environment(&project, file);
    }
    let mut superuser = server::shared().superuser(&database.name);
    let mut count = |sql: &str| superuser.query_one(sql, &[]).unwrap().get::<_, i64>(0);
    assert_eq!(count("select count(*) from public._prisma_migrations"), 4);

    lay_traps_for_supabase(&mut project, &twin);
    database.grant_supabase_roles();
    let sightings = run_watched(&project, &["mirror"], &twin);
    let supabase: Vec<&String> = sightings.seen.iter().filter(|cmdline| cmdline.contains("--remote=")).collect();
    assert!(!supabase.is_empty(), "{:?}", sightings.seen);
    let no_password = format!("--remote=postgresql://{}@127.0.0.1:", database.user);
    assert!(supabase.iter().all(|cmdline| cmdline.contains(&no_password)), "{supabase:?}");
    assert_eq!(count("select count(*) from pg_tables where schemaname = 'public' and tablename = 'facts'"), 1);
    assert_eq!(twin.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

/// What a child was given: no mover as it is exported, every marker as it is, the application's own, and no password.
fn assert_environment(project: &Project, file: &str) {
    let variables = variables(project, file);
    for name in MOVERS {
        // What dotenv adds to Prisma's own process comes from `.env`, with other values.
        assert_ne!(variables[name], *project.env[name], "{file}: {name}");
    }
    for name in MARKERS {
        assert_eq!(variables[name], format!("as given by {name}"), "{file}: {name}");
    }
    assert_eq!(variables["SHOPIFY_API_KEY"], "for-the-app");
    assert!(!variables.to_string().contains(OWN_PASSWORD));
}

/// A linked project, a login, a program in the CLI's place, and a `supabase` folder above the temporary one, where the CLI would look.
fn lay_traps_for_supabase(project: &mut Project, twin: &Database) {
    let script = "supabase/sql/analytics_facts_table.sql";
    project.write(script, &fs::read_to_string(workspace().join(script)).unwrap());
    project.write("supabase/config.toml", "project_id = \"elsewhere\"\n");
    project.write("impostor", "#!/bin/sh\n: > \"$(dirname \"$0\")/evil-ran\"\n");
    fs::set_permissions(project.path("impostor"), fs::Permissions::from_mode(0o755)).unwrap();
    let elsewhere = format!("PGHOST=localhost\nPGPORT={}\nPGOPTIONS=-csearch_path=evil\n", twin.port);
    project.write("tmp/supabase/.env", &elsewhere);
    project.write("tmp/supabase/config.toml", "this is no TOML, so whoever reads it stumbles");
    let path = |name: &str| project.path(name).display().to_string();
    let variables = [
        ("TMPDIR", path("tmp")),
        ("SUPABASE_DB_PASSWORD", "wrong".to_owned()),
        ("SUPABASE_DB_URL", twin.url()),
        ("SUPABASE_ACCESS_TOKEN", format!("sbp_{}", "0".repeat(40))),
        ("SUPABASE_WORKDIR", path("")),
        ("SUPABASE_HOME", path("")),
        ("SUPABASE_CLI_BINARY_OVERRIDE", path("impostor")),
    ];
    project.env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
}

/// Proves that a config of Prisma that ignores the target is stopped before its engine dials, with nothing changed anywhere, and that a
/// shadow of its own, which the engine would wipe, is never dialled.
#[test]
fn a_config_that_leads_elsewhere_is_stopped_before_the_engine_dials() {
    let (project, database) = Project::on_staging("config");
    let (second, twin) = decoy(&database);
    let elsewhere = pieced_together(&twin.url());
    let forward = |url: &str, shadow: &str, code: i32| {
        project.write("prisma/postgres.config.ts", &config("", url, shadow));
        let before = second.mentions(&twin.name);
        let answer = project.run(&["forward"]).expect(code);
        assert_eq!(second.mentions(&twin.name), before, "{}", second.log());
        project.assert_no_secret_but_in(&[&answer], &["prisma/postgres.config.ts"]);
        // What nobody gave is not made up: no consent, no shadow.
        let variables = variables(&project, "prisma-environment.json");
        assert_eq!(variables["PRISMA_USER_CONSENT_FOR_DANGEROUS_AI_ACTION"], Value::Null);
        assert_eq!(variables["SHADOW_DATABASE_URL"], Value::Null);
        assert_eq!(twin.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
        answer
    };
    let stopped = forward(&elsewhere, "undefined", 1);
    let led = format!("127.0.0.1:{}/{}", twin.port, twin.name);
    assert!(stopped.stderr.contains(&led), "{led} is missing in:\n{}", stopped.stderr);
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
    // No engine is told of another shadow than the drill's own, so none is wiped: not the twin, and not the target itself.
    let ours = "process.env.DATABASE_URL";
    forward(ours, &elsewhere, 0);
    database.execute(r#"insert into "Session" (id, shop, state, "accessToken") values ('a', 's', 's', 't')"#);
    forward(ours, ours, 0);
    assert_eq!(database.one::<i64>(r#"select count(*) from "Session""#), 1);
}

/// The built binary in a namespace where `/etc/hosts` is a file of the project, which the test can rewrite while a run is under way.
fn with_own_hosts(project: &Project, args: &[&str]) -> Command {
    let xtask = project.command(args);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", r#"mount --bind "$0" /etc/hosts && exec "$@""#]);
    command.arg(project.path("hosts")).arg(xtask.get_program()).args(xtask.get_args()).current_dir(project.path(""));
    command.env_clear().envs(xtask.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

pub fn await_true(database: &Database, sql: &str) {
    let begun = Instant::now();
    while !database.one::<bool>(sql) {
        assert!(begun.elapsed() < Duration::from_secs(60), "never true: {sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Proves that a name that leads elsewhere after the check moves nobody: the run ends on the server that was verified. Needs a user
/// namespace, as the embedded Postgres does under root.
#[test]
fn a_dns_answer_that_changes_after_the_check_moves_nobody() {
    const HOST: &str = "db.staging.hotdash.app";
    let port = server::free_port("127.0.0.2");
    let (first, other) = (Server::start_at("127.0.0.2", port), Server::start_at("127.0.0.3", port));
    let database = first.database("dns");
    let twin = other.database_named(&database.name);
    let project = Project::new();
    project
        .drill_toml("[targets.staging]\nallow_hosts = [\"*.staging.hotdash.app\"]\nallow_databases = [\"*_test\"]\n");
    project.write(".env.staging", &format!("DATABASE_URL={}?sslmode=disable\n", database.url_at(HOST)));
    project.write("hosts", &format!("127.0.0.2 {HOST}\n127.0.0.1 localhost\n"));
    // The migration waits for the test, in this database alone: the replay has another.
    project.migration("20260101000000_waits", "select pg_advisory_xact_lock(4711);");
    let mut gate = database.connect();
    gate.batch_execute("select pg_advisory_lock(4711)").unwrap();

    let allowed = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status().unwrap();
    assert!(allowed.success(), "no user namespaces here: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
    let run = with_own_hosts(&project, &["forward"]).spawn().unwrap();
    await_true(
        &database,
        "select exists (select from pg_locks where locktype = 'advisory' and objid = 4711 and not granted)",
    );
    project.write("hosts", &format!("127.0.0.3 {HOST}\n127.0.0.1 localhost\n"));
    let before = other.connections();
    gate.batch_execute("select pg_advisory_unlock(4711)").unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(other.connections(), before, "{}", other.log());
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations where finished_at is not null"), 5);
    assert_eq!(twin.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);

    // The change is real: the next run resolves anew, and is led to the other server.
    let before = other.connections();
    assert!(with_own_hosts(&project, &["forward", "--plan"]).output().unwrap().status.success());
    assert!(other.connections() > before);

    // A production file that names the same database under a name of its own: where both lead to one address, nobody knocks there.
    let production = format!("DATABASE_URL=postgresql://hotdash@main.hotdash.app/{}\n", database.name);
    project.write(".env.production", &production);
    project.write("hosts", &format!("127.0.0.3 {HOST}\n127.0.0.2 main.hotdash.app\n127.0.0.1 localhost\n"));
    assert!(with_own_hosts(&project, &["forward", "--plan"]).output().unwrap().status.success());
    project.write("hosts", &format!("127.0.0.3 {HOST} main.hotdash.app\n127.0.0.1 localhost\n"));
    let before = other.connections();
    let refused = Project::answer(&mut with_own_hosts(&project, &["forward", "--plan"])).expect(3);
    insta::assert_snapshot!(refused.said(), @"
    error: `staging` is not provably a staging database
      production-file: `main.hotdash.app`, which a production file names with the database `dns_N_test`, is the address of `db.staging.hotdash.app`
        fix: correct the target, or what the two names resolve to
    Nothing was spawned, and nothing was changed.
    note: correct the target, or what the two names resolve to; see docs/failures/shared-with-production
    ");
    assert_eq!(other.connections(), before);
}

/// Proves that a program of the project, which could be anybody's, gets a way to the pinned database and to no other on the same server.
#[test]
fn a_child_with_a_lease_reaches_the_pinned_database_alone() {
    let (project, database) = Project::on_staging("lease");
    let other = server::shared().database("lease_other");
    let probe = "import pg from 'pg';\n\
         for (const [name, change] of [['own', u => u], ['other database', u => { u.pathname = '/OTHER'; }], ['superuser', u => { u.username = 'postgres'; }]]) {\n\
         \x20 const url = new URL(process.env.DATABASE_URL); url.search = ''; change(url);\n\
         \x20 const client = new pg.Client({ connectionString: url.href });\n\
         \x20 const answer = await client.connect().then(() => 'connected', error => error.message);\n\
         \x20 await client.end().catch(() => {});\n  console.log(`${name}: ${answer}`);\n}\n";
    project.write("prisma/smoke.mjs", &probe.replace("OTHER", &other.name));
    let json = project.run(&["forward", "--smoke", "--json"]).expect(0).json();
    let log = json["stages"][0]["steps"].as_array().unwrap().last().unwrap()["log"].as_str().unwrap();
    let log = project.read(&Path::new(json["evidence"].as_str().unwrap()).join(log).display().to_string());
    assert!(log.contains("own: connected"), "{log}");
    let refused =
        format!("other database: this run is pinned to database \"{}\", not \"{}\"", database.name, other.name);
    assert!(log.contains(&refused), "{log}");
    assert!(log.contains("superuser: this run is pinned to user"), "{log}");
}

/// Where the pooler leads to there is nobody: what was reached was reached over the other URL.
#[test]
fn a_pooler_in_transaction_mode_is_passed_by_where_there_is_a_direct_url() {
    let (project, database) = Project::on_staging("direct");
    let nobody =
        database.url().replace(&format!(":{}/", database.port), &format!(":{}/", server::free_port("127.0.0.1")));
    let text = format!("DATABASE_URL={nobody}?pgbouncer=true\nDIRECT_URL={}\n", database.url());
    project.write(".env.staging", &text);
    let forward = project.run(&["forward"]).expect(0);
    assert!(
        forward.stderr.contains("Over `DIRECT_URL`: `DATABASE_URL` leads to a pooler in transaction mode\n"),
        "{}",
        forward.stderr
    );
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations where finished_at is not null"), 4);
    project.write(".env.staging", &format!("DATABASE_URL={nobody}?pgbouncer=true\n"));
    let alone = project.run(&["forward"]).expect(4);
    assert!(alone.stderr.contains("refused the connection"), "{}", alone.stderr);
    project.assert_no_secret(&[&forward, &alone]);
}
