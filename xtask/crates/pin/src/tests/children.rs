//! Real clients as real processes: what they are handed, and what they can do with it.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::Lease;
use crate::tests::{PASSWORD, pin, shared, wait_until};

fn node_modules(path: &str) -> PathBuf {
    chores::setup::packages().join("node_modules").join(path)
}

/// A child with nothing but what a run would give it.
fn child(program: impl AsRef<std::ffi::OsStr>, lease: &Lease) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("PGPASSWORD", lease.password().expose());
    command.stdin(Stdio::null()).current_dir(std::env::temp_dir());
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn psql_sees_the_database_and_never_the_password() {
    let pin = pin();
    let lease = pin.token("psql");
    let mut psql = child("psql", &lease);
    psql.args([&lease.url_without_password(), "-At", "-c", "select current_database()"]);
    psql.args(["-c", r"\! tr '\0' '\n' < /proc/$PPID/environ; tr '\0' '\n' < /proc/$PPID/cmdline"]);
    let output = psql.output().unwrap();
    let text = said(&output);
    assert!(output.status.success() && text.starts_with("shop_staging\n"), "{text}");
    assert!(text.contains(lease.password().expose()), "the child's environment was not looked at: {text}");
    assert!(!text.contains(PASSWORD), "{text}");
}

#[test]
fn pgoptions_and_other_variables_cannot_move_psql() {
    let pin = pin();
    let lease = pin.token("psql");
    let run = |name: &str, value: &str| {
        let mut psql = child("psql", &lease);
        let output = psql.env(name, value).args([&lease.url_without_password(), "-Atc", "select 1"]).output().unwrap();
        (output.status.success(), said(&output))
    };
    let (worked, text) = run("PGOPTIONS", "-c search_path=evil");
    assert!(!worked && text.contains("\"options\" is not passed on"), "{text}");
    for (name, value) in [("PGDATABASE", "shop"), ("PGUSER", "postgres"), ("PGHOST", "192.0.2.1"), ("PGPORT", "1")] {
        assert_eq!(run(name, value), (true, "1\n".into()), "{name}");
    }
}

/// Starts psql on a statement that sleeps and returns once the server is at it.
fn asleep(lease: &Lease, name: &str) -> Child {
    let mut psql = child("psql", lease);
    psql.args([&lease.url_without_password(), "-Atc", &format!("select '{name}', pg_sleep(60)")]);
    let psql = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let query = format!("query like 'select ''{name}''%' and wait_event = 'PgSleep'");
    wait_until(&mut shared().admin(), &format!("select exists (select from pg_stat_activity where {query})"));
    psql
}

#[test]
fn ctrl_c_in_psql_reaches_the_server() {
    let pin = pin();
    let lease = pin.token("psql");
    let psql = asleep(&lease, "ctrl-c");
    rustix::process::kill_process(rustix::process::Pid::from_child(&psql), rustix::process::Signal::INT).unwrap();
    let text = said(&psql.wait_with_output().unwrap());
    assert!(text.contains("canceling statement due to user request"), "{text}");
}

#[test]
fn a_server_process_that_dies_in_a_statement_says_so_itself() {
    let pin = pin();
    let lease = pin.token("psql");
    let psql = asleep(&lease, "terminated");
    shared().admin().execute("select pg_terminate_backend($1)", &[&pin.backends()[0].pid]).unwrap();
    let text = said(&psql.wait_with_output().unwrap());
    assert!(text.contains("terminating connection due to administrator command"), "{text}");
}

#[test]
fn a_child_that_is_killed_leaves_its_backend_known() {
    let pin = pin();
    let lease = pin.token("psql");
    let mut psql = asleep(&lease, "killed");
    psql.kill().unwrap();
    psql.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while pin.backends()[0].connected {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let pid = pin.backends()[0].pid;
    let mut admin = shared().admin();
    let still = admin.query_one("select exists (select from pg_stat_activity where pid = $1)", &[&pid]).unwrap();
    assert!(still.get::<_, bool>(0), "Postgres finishes what it was sent; the pid is what a caller waits for");
    admin.execute("select pg_terminate_backend($1)", &[&pid]).unwrap();
}

#[test]
fn node_pg_comes_through_with_its_url() {
    let pin = pin();
    let lease = pin.token("node");
    let script = "const {Client} = require(process.argv[1]); (async () => { \
        const c = new Client({connectionString: process.env.DATABASE_URL}); await c.connect(); \
        console.log((await c.query('select current_database() d')).rows[0].d); await c.end(); })()";
    let mut node = child("node", &lease);
    node.env("DATABASE_URL", lease.url().expose()).arg("-e").arg(script).arg(node_modules("pg"));
    let output = node.output().unwrap();
    assert_eq!(said(&output), "shop_staging\n");
}

#[test]
fn the_supabase_cli_comes_through_without_a_password_in_its_arguments() {
    let pin = pin();
    let lease = pin.token("supabase");
    let home = std::env::temp_dir().join(format!("pin-supabase-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let mut supabase = child(node_modules(".bin/supabase"), &lease);
    supabase.current_dir(&home).env("HOME", &home).env("SUPABASE_TELEMETRY_DISABLED", "1");
    supabase.env("SUPABASE_NO_UPDATE_NOTIFIER", "1");
    supabase.args([
        "db",
        "query",
        "select current_database() as d",
        "--output-format",
        "json",
        "--agent",
        "no",
        "--yes",
    ]);
    supabase.arg(format!("--remote={}", lease.url_without_password()));
    let output = supabase.output().unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    let text = said(&output);
    assert!(output.status.success() && text.contains("shop_staging"), "{text}");
    assert!(!text.contains(lease.password().expose()) && !text.contains(PASSWORD), "{text}");
}
