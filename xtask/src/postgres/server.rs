//! The real Postgres that this module's tests run on: one for each test process, from the embedded package, gone when
//! the process is.

#![allow(clippy::disallowed_methods, reason = "the test harness starts its server without the code under test")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::postgres::connection::Connection;
use redact::Secret;

/// A database of its own for one test.
pub struct Database {
    pub name: String,
    pub connection: Connection,
}

impl Database {
    pub fn new() -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        open("postgres").client().batch_execute(&format!("create database {name}")).unwrap();
        Database { connection: open(&name), name }
    }

    /// Runs `sql` as a user of the database would, with the usual search path.
    pub fn run(&mut self, sql: &str) {
        self.connection.client().batch_execute("discard all").unwrap();
        self.connection.impersonate_prisma("public").unwrap();
        self.connection
            .client()
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{:?} in {sql}", error.as_db_error()));
    }

    pub fn ask<T: postgres::types::FromSqlOwned>(&mut self, sql: &str) -> T {
        self.connection.client().query_one(sql, &[]).unwrap().get(0)
    }
}

/// A session as the superuser in `database`.
pub fn open(database: &str) -> Connection {
    open_as("postgres", database)
}

/// Who makes throw-away databases in the tests: a member of no role, so that what other tests do to theirs meanwhile is no change
/// to it.
pub fn open_as_migrator() -> Connection {
    open_as("migrator", "postgres")
}

pub fn open_as(role: &str, database: &str) -> Connection {
    Connection::open(&Secret::new(url(role, database)), "xtask tests", Duration::from_secs(60)).unwrap()
}

/// A session of the superuser that hears what the server writes to its log about it.
pub fn open_heard(database: &str) -> (postgres::Client, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let mut config: postgres::Config = url("postgres", database).parse().unwrap();
    config.notice_callback(move |notice| hears.lock().unwrap().push(notice.message().to_owned()));
    (config.connect(postgres::NoTls).unwrap(), heard)
}

pub fn url(role: &str, database: &str) -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    format!("postgresql://{role}@127.0.0.1:{}/{database}", SERVER.get_or_init(Server::start).port)
}

struct Server {
    port: u16,
    /// Its standard input ends with our process, by whatever cause, and with it the server.
    _watchdog: Child,
}

/// Ends the server when standard input does, waits for it and removes its folder.
const WATCHDOG: &str = r#"
    folder=$1; shift
    "$@" </dev/null & server=$!
    cat >/dev/null
    kill -INT "$server"; wait "$server"; rm -rf "$folder""#;

impl Server {
    fn start() -> Server {
        let folder = std::env::temp_dir().join(format!("staging-drill-tests-{}", std::process::id()));
        let data = folder.join("data");
        std::fs::create_dir_all(&folder).unwrap();
        let options = ["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"];
        let made =
            chores::embedded::postgres("initdb").args(options).arg(&data).stdout(Stdio::null()).status().unwrap();
        assert!(made.success(), "initdb failed");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let postgres = chores::embedded::postgres("postgres");
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&folder)
            .arg(postgres.get_program())
            .args(postgres.get_args())
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "fsync=off", "-c", "max_prepared_transactions=4"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until_ready(&mut watchdog);
        let server = Server { port, _watchdog: watchdog };
        server.create_roles();
        server
    }

    /// Roles are the server's, not a database's: those of all tests are made here.
    fn create_roles(&self) {
        let url = Secret::new(format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port));
        let mut connection = Connection::open(&url, "xtask tests", Duration::from_secs(60)).unwrap();
        let roles =
            "create role anon; create role reader; create role migrator login createdb; create role clerk login;
             create role landlord login; create role heir login in role landlord; create role overseer login bypassrls;
             create role stepchild login noinherit in role landlord;
             create role crowded login connection limit 0";
        connection.client().batch_execute(roles).unwrap();
    }
}

fn wait_until_ready(watchdog: &mut Child) {
    let mut lines = BufReader::new(watchdog.stderr.take().unwrap()).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("ready to accept connections"));
    assert!(ready, "postgres did not start");
    // Somebody has to go on reading, or the server would block on a full pipe.
    std::thread::spawn(move || lines.count());
}
