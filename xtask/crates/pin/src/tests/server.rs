//! A scratch Postgres from the embedded binaries, for tests that only a real server can answer.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

pub const SUPERUSER_PASSWORD: &str = "crate::tests-Secret-1";

/// One cluster; stops and vanishes when it is dropped or when the test process ends, however it ends.
pub struct Server {
    pub port: u16,
    pub dir: PathBuf,
    watchdog: Child,
}

/// Runs the rest of its arguments until its stdin closes, then removes the folder.
const WATCHDOG: &str =
    r#"dir=$1; shift; "$@" >>"$dir/log" 2>&1 & p=$!; cat >/dev/null; kill -INT $p; wait $p; rm -rf "$dir""#;

impl Server {
    /// `hba` are the rules before the one that lets everyone in with SCRAM; `settings` are `name=value`.
    pub fn start(name: &str, hba: &str, settings: &[&str]) -> Server {
        Self::prepare(name, hba, settings, crate::tests::tls::write_certificates)
    }

    /// As `start`; `prepare` may put files into the data folder first.
    pub fn prepare(name: &str, hba: &str, settings: &[&str], prepare: impl FnOnce(&Path)) -> Server {
        let port = free_port();
        let dir = std::env::temp_dir().join(format!("pin-{name}-{}-{port}", std::process::id()));
        let data = dir.join("data");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("pw"), SUPERUSER_PASSWORD).unwrap();
        let initdb = chores::embedded::postgres("initdb")
            .args(["-U", "postgres", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8", "--locale=C", "--pwfile"])
            .arg(dir.join("pw"))
            .arg("-D")
            .arg(&data)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
        std::fs::write(data.join("pg_hba.conf"), format!("{hba}\nhost all all all scram-sha-256\n")).unwrap();
        prepare(&data);
        let mut config = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        for setting in ["fsync=off", "listen_addresses='127.0.0.1'", "unix_socket_directories=''", "max_connections=60"]
            .iter()
            .chain(settings)
        {
            writeln!(config, "{setting}").unwrap();
        }
        drop(config);
        let server = Server { port, watchdog: launch(&dir, &data, port), dir };
        server.ready();
        server
    }

    fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = self.try_admin() {
            let log = || std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{error}\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn try_admin(&self) -> Result<Client, postgres::Error> {
        self.try_admin_of("postgres")
    }

    fn try_admin_of(&self, database: &str) -> Result<Client, postgres::Error> {
        let url = format!("postgresql://postgres:{SUPERUSER_PASSWORD}@127.0.0.1:{}/{database}", self.port);
        Client::connect(&url, NoTls)
    }

    pub fn admin_of(&self, database: &str) -> Client {
        self.try_admin_of(database).unwrap()
    }

    /// A superuser's connection that does not go through a pin.
    pub fn admin(&self) -> Client {
        self.try_admin().unwrap()
    }

    /// Lets this cluster take over the port of one that has ended.
    pub fn restart_on(&mut self, port: u16) {
        let keep = self.dir.with_extension("kept");
        std::fs::rename(&self.dir, &keep).unwrap();
        self.end();
        std::fs::rename(&keep, &self.dir).unwrap();
        self.port = port;
        self.watchdog = launch(&self.dir, &self.dir.join("data"), port);
        self.ready();
    }

    fn end(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn launch(dir: &Path, data: &Path, port: u16) -> Child {
    let postgres = chores::embedded::postgres("postgres");
    let mut command = Command::new("sh");
    command.args(["-c", WATCHDOG, "watchdog"]).arg(dir).arg(postgres.get_program()).args(postgres.get_args());
    command.arg("-D").arg(data).arg("-p").arg(port.to_string());
    command.stdin(Stdio::piped()).spawn().unwrap()
}

pub fn free_port() -> u16 {
    chores::ports::free("127.0.0.1").unwrap()
}

/// The rules behind the roles of `shared`: each role is one way to log in.
const HBA: &str = "host all app_md5 all md5\nhost all app_clear all password\nhost all app_trust all trust\n\
    hostssl all app_tls all scram-sha-256\nhostnossl all app_tls all reject\n\
    hostnossl all app_plain all scram-sha-256\nhostssl all app_plain all reject";

/// The server that most tests share, since `initdb` takes half a second. It offers TLS.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let settings = ["ssl=on", "ssl_cert_file='server.crt'", "ssl_key_file='server.key'"];
        let server = Server::start("shared", HBA, &settings);
        let mut admin = server.admin();
        for role in ["app", "app_tls", "app_plain", "app_clear", "app_trust"] {
            admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{}'", crate::tests::PASSWORD)).unwrap();
        }
        admin
            .batch_execute(&format!(
                "SET password_encryption = 'md5'; CREATE ROLE app_md5 LOGIN PASSWORD '{0}'; RESET password_encryption; \
                 CREATE ROLE app_nologin NOLOGIN PASSWORD '{0}'",
                crate::tests::PASSWORD
            ))
            .unwrap();
        for database in ["shop_staging", "shop_shadow", "shop"] {
            admin.batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
        }
        server
    })
}
