//! Wrong input: a one-line cause, the exact fix, the documented exit code, and nothing changed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::project::{DRILL_TOML, Project};
use crate::server;

#[test]
fn no_env_file_and_no_variable() {
    let project = Project::new();
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.stderr, @"
    error: there is no `.env.staging`, and `DATABASE_URL` is not set
    note: a copy of the example has to be filled in; in CI, the variables are injected as secrets
    hint: cp .env.staging.example .env.staging  # see docs/failures/env-file-missing
    ");
    assert!(!project.path("feedback").exists(), "nothing is half-recorded");
}

/// The environment stands in for the one file that nobody named; it holds a URL here that must not be used.
#[test]
fn an_env_file_that_somebody_named_is_there_or_nothing_happens() {
    let mut project = Project::new();
    project.env.insert("DATABASE_URL".to_owned(), "postgresql://u:Sup3r-S3cret-Pw@127.0.0.1:1/a_test".to_owned());
    let by_flag = project.run(&["env", "check", "--env-file", ".env.preview"]).expect(4);
    insta::assert_snapshot!(by_flag.stderr, @"
    error: there is no `.env.preview`, which `--env-file` names
    caused by: No such file or directory (os error 2)
    note: the process environment stands in for `.env.staging` alone, as in CI
    hint: cp .env.staging.example .env.preview  # see docs/failures/env-file-missing
    ");
    project.run(&["env", "check", "--env-file", ".env.staging"]).expect(4);
    project.run(&["env", "check", "--env-file", "no/such/folder"]).expect(4);
    project.run(&["env", "check"]).expect(0);
    project.drill_toml(&format!("{DRILL_TOML}env_file = \".env.preview\"\n"));
    let by_file = project.run(&["env", "check"]).expect(4);
    assert!(
        by_file.stderr.starts_with("error: there is no `.env.preview`, which drill.toml names\n"),
        "{}",
        by_file.stderr
    );
    project.drill_toml(&format!("{DRILL_TOML}env_file = \".env.staging\"\n"));
    project.run(&["env", "check"]).expect(0);
    std::os::unix::fs::symlink("nowhere", project.path(".env.staging")).unwrap();
    let dangling = project.run(&["env", "check"]).expect(4);
    insta::assert_snapshot!(dangling.stderr, @"
    error: `.env.staging` cannot be read
    caused by: No such file or directory (os error 2)
    note: let `.env.staging` be a plain file of `NAME=value` lines; see docs/failures/env-file-unreadable
    ");
}

fn take_away(path: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
}

/// Puts in the place of a file what has no end, or none that could be waited for.
fn put(what: &str, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    take_away(path);
    let link = |to: &str| std::os::unix::fs::symlink(to, path).unwrap();
    match what {
        "pipe" => {
            let everybody = rustix::fs::Mode::from_raw_mode(0o666);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, everybody, 0).unwrap();
        }
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        "device" => link("/dev/zero"),
        "folder" => fs::create_dir(path).unwrap(),
        "endless file" => fs::File::create(path).unwrap().set_len(1 << 40).unwrap(),
        _ => panic!("{what}"),
    }
}

const ENDLESS: [&str; 5] = ["pipe", "socket", "device", "folder", "endless file"];

/// Proves for every file that settings name, and for those that have a fixed name, that what is no plain file of a sane length is
/// refused at once: each of these reads would wait or grow for ever.
#[test]
fn what_is_no_plain_file_is_refused_at_once_wherever_one_is_read() {
    let env_file = "DATABASE_URL=postgresql://u:Sup3r-S3cret-Pw@127.0.0.1:1/a_test\n";
    for (path, code, commands) in [
        (".env.staging", 4, &[&["env", "check"][..], &["forward", "--plan"], &["evidence", "redact"]][..]),
        (".env.named", 4, &[&["env", "check", "--env-file", ".env.named"]]),
        ("drill.toml", 2, &[&["env", "check"], &["evidence", "list"]]),
        (".env.production", 3, &[&["env", "check"]]),
        ("prisma/.env", 3, &[&["env", "check"]]),
        ("prisma/postgres.config.ts", 3, &[&["env", "check"]]),
        ("prisma/whole/main.prisma", 3, &[&["env", "check"]]),
        ("ca.pem", 4, &[&["forward", "--plan"]]),
    ] {
        let project = Project::new();
        for what in ENDLESS {
            if (path, what) == ("prisma/whole/main.prisma", "folder") {
                continue;
            }
            project.write(".env.staging", env_file);
            let named = match path {
                "ca.pem" => "ca_file = \"ca.pem\"\n",
                "prisma/postgres.config.ts" => "[prisma]\nconfig = \"prisma/postgres.config.ts\"\n",
                "prisma/whole/main.prisma" => "[prisma]\nschema = \"prisma/whole\"\n",
                _ => "",
            };
            if path == "ca.pem" {
                project.write(".env.staging", &env_file.replace("a_test", "a_test?sslaccept=strict"));
            }
            project.drill_toml(&format!("{DRILL_TOML}{named}"));
            put(what, &project.path(path));
            for command in commands {
                let begun = Instant::now();
                let answer = project.run(command);
                let said = &answer.stderr;
                assert_eq!(answer.code, code, "{what} as {path}, {command:?}: {said}");
                assert!(begun.elapsed() < Duration::from_secs(5), "{what} as {path}, {command:?}");
                assert!(said.contains("not a file") || said.contains("it is longer than"), "{what} as {path}: {said}");
            }
            take_away(&project.path(path));
        }
    }
}

#[test]
fn strict_certificates_are_not_forgotten_where_the_server_offers_no_tls() {
    let (project, database) = Project::on_staging("bad_strict");
    project.write(".env.staging", &format!("DATABASE_URL={}?sslaccept=strict\n", database.url()));
    insta::assert_snapshot!(project.run(&["forward", "--plan"]).expect(4).said(), @"
    error: cannot connect to `bad_strict_N_test` on 127.0.0.1:PORT
    caused by: the server offers no TLS, and `sslmode` or `sslaccept` asks for it
    note: set `sslmode=disable` in `DATABASE_URL` of `.env.staging`, or let the server offer TLS (`ssl = on`); see docs/failures/tls-not-offered
    ");
    project.write(".env.staging", &format!("DATABASE_URL={}?sslmode=disable&sslaccept=strict\n", database.url()));
    project.run(&["forward", "--plan"]).expect(3);
}

#[test]
fn an_unknown_target() {
    let answer = Project::new().run(&["forward", "--target", "prod"]).expect(2);
    insta::assert_snapshot!(answer.stderr, @"
    error: there is no target `prod`
    caused by: the targets are: staging, sandbox
    note: add `[targets.prod]` to drill.toml, or name one of these with `--target`
    ");
}

#[test]
fn a_broken_drill_toml_names_the_line() {
    let project = Project::new();
    project.drill_toml("[targets.staging]\nallow_hosts = [\"a.staging.hotdash.app\"]\nallow_host = 1\n");
    let answer = project.run(&["forward"]).expect(2);
    insta::assert_snapshot!(answer.stderr, @"
    error: `drill.toml` cannot be read at line 3
    caused by: unknown field `allow_host`, expected one of `kind`, `env_file`, `allow_hosts`, `allow_projects`, `allow_databases`, `allow_schemas`, `app_variables`, `deny_systems`, `ca_file`
    note: correct that line; docs/configuration.md lists every key
    ");
}

#[test]
fn productions_sizes_are_read_from_what_psql_printed_and_nothing_else() {
    let project = Project::new();
    let query = project.run(&["production-sizes"]).expect(0);
    assert!(query.stdout.starts_with("-- How large") && query.stderr.is_empty(), "{}", query.said());
    let psql = " production_sizes \n---\n {\"production_sizes\" : 1, \"tables\" : [{\"schema\" : \"public\", \"table\" : \"Session\", \"rows\" : 12000000, \"bytes\" : 3100000000}]}\n(1 row)\n";
    let section = "[production.rows]\n\"public.Session\" = 12_000_000 # 3100.0 MB\n";
    project.write("sizes.txt", psql);
    let read = ["production-sizes", "--read", "sizes.txt"];
    assert_eq!(project.run(&read).expect(0).stdout, section);
    let piped = project.shell("\"$@\" < sizes.txt", &["production-sizes", "--read", "-"]);
    assert_eq!(Project::answer(&mut { piped }).expect(0).stdout, section);
    let planned = project.run(&[&read[..], &["--write", "--plan"]].concat()).expect(0);
    assert!(planned.stderr.contains("Nothing was changed.") && !project.read("drill.toml").contains(section));
    let written = project.run(&[&read[..], &["--write", "--json"]].concat()).expect(0).json();
    assert_eq!(
        (&written["production_sizes"]["written"], project.read("drill.toml").ends_with(section)),
        (&true.into(), true)
    );
    project.write("sizes.txt", "psql: error: no password supplied\n");
    let wrong = [
        project.run(&read).expect(2).stderr,
        project.run(&["production-sizes", "--read", "nothing.txt"]).expect(2).stderr,
        project.run(&["forward", "--sandbox", "--rows", "12M"]).expect(2).stderr,
    ];
    project.write("drill.toml", "[production.rows]\n\"public.Session\" = 12e6\n");
    insta::assert_snapshot!([wrong.concat(), project.run(&["forward"]).expect(2).stderr].concat());
}

#[test]
fn a_production_host_is_refused_before_anything_is_spawned() {
    let project = Project::new();
    project.drill_toml("");
    project.write(".env.staging", "DATABASE_URL=postgresql://u:Sup3r-S3cret-Pw@db.hotdash.app:5432/hotdash\n");
    let answer = project.run(&["forward", "--json"]).expect(3);
    let json = answer.json();
    assert_eq!((json["status"].as_str(), json["stages"].as_array().map(Vec::len)), (Some("refused"), Some(0)));
    let refusals = json["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 2, "host and database, both at once: {refusals:?}");
    insta::assert_snapshot!(answer.said(), @r#"
    error: `staging` is not provably a staging database
      host: `DATABASE_URL` leads to `db.hotdash.app`, which is not an allowed host of target `staging`
        fix: correct `DATABASE_URL`; or, if that host is staging, add "db.hotdash.app" to `allow_hosts` in drill.toml
      database: `DATABASE_URL` names the database `hotdash`, which target `staging` does not allow
        fix: name a database that fits `allow_databases` in drill.toml: `*_staging`, `*_test`, `*_sandbox`; or, if that database is staging, add "hotdash" to it
    Nothing was spawned, and nothing was changed.
    "#);
    assert!(!format!("{}{}", answer.stdout, answer.stderr).contains("Sup3r-S3cret-Pw"));
    let folder = project.path(json["evidence"].as_str().unwrap());
    assert!(folder.join("run.json").is_file(), "a refusal is evidence too");
    let logs = fs::read_dir(folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("01-"));
    assert_eq!(logs.count(), 0);
}

/// Node is taken away by a PATH without it; everything else of the sealed room stays.
fn without_node(project: &mut Project) {
    fs::create_dir_all(project.path("bin")).unwrap();
    project.env.insert("PATH".to_owned(), project.path("bin").display().to_string());
}

#[test]
fn no_node() {
    let (mut project, _) = Project::on_staging("bad_no_node");
    without_node(&mut project);
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.stderr, @"
    error: `node` is not on PATH
    note: install Node 20 or newer, and put it on PATH; see docs/failures/node-missing
    ");
}

/// Fault injection: a program that says it is an old Node.
#[test]
fn a_node_that_is_too_old() {
    let (mut project, database) = Project::on_staging("bad_old_node");
    without_node(&mut project);
    project.write("bin/node", "#!/bin/sh\necho v18.19.0\n");
    std::process::Command::new("chmod").arg("+x").arg(project.path("bin/node")).status().unwrap();
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.said(), @"
    Target: staging is database `bad_old_node_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: Node 18.19.0 is too old
    caused by: `PROJECT/bin/node` is the first on PATH
    note: install Node 20 or newer, and put it first on PATH: now it is `PROJECT/bin/node`; see docs/failures/node-too-old
    ");
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

#[test]
fn no_packages_on_a_staging_target_names_the_command() {
    let (project, _) = Project::on_staging("bad_no_packages");
    fs::remove_file(project.path("node_modules")).unwrap();
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.stderr, @"
    error: the Prisma CLI is not installed
    hint: npm ci  # see docs/failures/packages-missing
    ");
}

#[test]
fn a_wrong_password_and_a_closed_port() {
    let (project, database) = Project::on_staging("bad_login");
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url().replace("Hunter2", "Hunter3")));
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.said(), @"
    error: cannot connect to `bad_login_N_test` on 127.0.0.1:PORT
    caused by: the server rejected the password of user `bad_login_N_test_owner`
    note: correct the password in `DATABASE_URL` of `.env.staging`, with its special characters percent-encoded; see docs/failures/wrong-password
    ");
    let closed = database.url().replace(&format!(":{}/", database.port), ":1/");
    project.write(".env.staging", &format!("DATABASE_URL={closed}\n"));
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.said(), @"
    error: cannot connect to `bad_login_N_test` on 127.0.0.1:PORT
    caused by: 127.0.0.1:PORT refused the connection
    note: start the server, or correct port 1 in `DATABASE_URL` of `.env.staging`; see docs/failures/port-refused
    ");
}

#[test]
fn supabase_transaction_pooler_is_blocked_before_it_is_dialled() {
    let project = Project::new();
    project.drill_toml("[targets.staging]\nallow_projects = [\"stagingrefabcdefghij\"]\n");
    let host = "aws-0-eu-central-1.pooler.supabase.com:6543";
    let url = format!("postgresql://postgres.stagingrefabcdefghij:Sup3r-S3cret-Pw@{host}/postgres");
    project.write(".env.staging", &format!("DATABASE_URL={url}\n"));
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.prose(), @"
    error: aws-0-eu-central-1.pooler.supabase.com:6543 is a transaction pooler, and migrations need a session
    note: in `DATABASE_URL` of `.env.staging`, name port 5432 of the same host: its session pooler; see docs/failures/pooler-transaction-mode
    ");
}

#[test]
fn a_sqlite_history_is_not_applied_to_postgres() {
    let (project, database) = Project::on_staging("bad_history");
    project.drill_toml(&format!("{DRILL_TOML}\n[prisma]\nmigrations = \"prisma/migrations\"\n"));
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.said(), @"
    Target: staging is database `bad_history_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: `prisma/migrations` is a history for `sqlite`, not for Postgres (P3019)
    caused by: `migration_lock.toml` says so
    note: name the Postgres history as `migrations` under `[prisma]` in drill.toml; see docs/failures/history-not-postgres
    ");
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

#[test]
fn an_exported_url_that_differs_from_the_file_is_refused() {
    let (mut project, database) = Project::on_staging("bad_conflict");
    project.env.insert("DATABASE_URL".to_owned(), database.url().replace("bad_conflict", "other"));
    project.run(&["forward"]).expect(3);
    project.env.insert("DATABASE_URL".to_owned(), database.url());
    project.run(&["forward", "--plan"]).expect(0);
}

#[test]
fn in_ci_the_injected_variables_work_without_a_file() {
    let (mut project, database) = Project::on_staging("bad_injected");
    fs::remove_file(project.path(".env.staging")).unwrap();
    project.env.insert("DATABASE_URL".to_owned(), database.url());
    let answer = project.run(&["forward", "--json"]).expect(0);
    project.assert_no_secret(&[&answer]);
}

#[test]
fn evidence_that_cannot_be_written_stops_the_run_before_it_begins() {
    let (project, database) = Project::on_staging("bad_evidence");
    project.write("feedback", "a file where the folder should be");
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.said(), @"
    Target: staging is database `bad_evidence_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: cannot write evidence to `PROJECT/feedback/evidence`
    caused by: Not a directory (os error 20)
    note: make the folder writable, or name another one as `dir` under `[evidence]` in drill.toml
    ");
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
    assert!(!server::shared().log().contains("bad_evidence_owner CREATE TABLE"));
}

/// Prisma itself would say so in `generate`, beside which the migrations are applied.
#[test]
fn what_prisma_cannot_read_or_reads_elsewhere_is_refused_before_anything_is_applied() {
    let (project, database) = Project::on_staging("unreadable_schema");
    let schema = project.read("prisma/schema.postgres.prisma").replacen("String", "Strin", 1);
    project.write("prisma/schema.postgres.prisma", &schema);
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    let answer = project.run(&["forward"]).expect(4);
    insta::assert_snapshot!(answer.failure(), @r#"
    error: Prisma cannot read the schema (P1012)
    caused by: Type "Strin" is neither a built-in type, nor refers to another model, composite type, or enum.
    note: nothing was changed
    note: the database now: 0 migrations applied by this run, 4 pending
    note: correct `prisma/schema.postgres.prisma:18`; `prisma validate` says whether it is right; see docs/failures/schema-error
    "#);
    let schema = schema.replacen("Strin", "String", 1);
    project.write("prisma/schema.postgres.prisma", &schema);
    let config = project.read("prisma/postgres.config.ts");
    let elsewhere = "export default { migrations: { path: [\"postgres\", \"other\"].join(\"/\") } };";
    project.write("prisma/postgres.config.ts", elsewhere);
    insta::assert_snapshot!(project.run(&["forward"]).expect(4).failure(), @r#"
    error: `prisma/postgres.config.ts` has the migrations in `prisma/postgres/other`, and the drill reads `prisma/postgres/migrations`
    caused by: Prisma would apply others than were looked at
    note: write `migrations = "prisma/postgres/other"` under `[prisma]` in drill.toml
    "#);
    project.write("prisma/postgres.config.ts", &config);
    let migrations = project.path("prisma/postgres/migrations");
    fs::rename(&migrations, project.path("kept")).unwrap();
    fs::create_dir(&migrations).unwrap();
    let [empty, each] = [vec!["forward"], vec!["drill", "--each"]].map(|words| project.run(&words).expect(4).failure());
    assert_eq!(empty, each);
    insta::assert_snapshot!(empty, @"
    error: there are no migrations in `prisma/postgres/migrations`, so there is nothing to rehearse
    note: `prisma db push` leaves none
    note: name the folder of migrations as `migrations` under `[prisma]` in drill.toml, or make the first one with `prisma migrate diff`; see docs/failures/no-migrations
    ");
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}
