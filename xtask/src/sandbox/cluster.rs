//! One database cluster on disk: its programs, its data folder, and the server that may run on it.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::error::{Failure, OrFail, Result};
use crate::hint::{Hint, quoted};
use crate::interrupt::Interrupt;
use crate::postgres;
use crate::process::locate;
use crate::process::{self, Exit, Invocation, said};
use crate::sandbox::run_as::Privileges;
use crate::sandbox::server::{SUPERUSER, Sandbox, USER};
use crate::settings::Settings;
use redact::Secret;

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

pub struct Cluster {
    base: PathBuf,
    /// What the server calls itself, as long as it runs: only who starts it can say.
    pub name: &'static str,
    programs: PathBuf,
    privileges: Privileges,
    search_path: String,
    interrupt: Interrupt,
}

impl Cluster {
    pub fn find(settings: &Settings, base: &Path, interrupt: &Interrupt) -> Result<Cluster> {
        let search_path = settings.variable("PATH").unwrap_or("/usr/bin:/bin").to_owned();
        let privileges = Privileges::find(&search_path, interrupt);
        // `nobody` cannot walk into a private home, so its cluster lies where it can.
        let base = match privileges {
            Privileges::Nobody => nobody_base(base)?,
            _ => base.to_path_buf(),
        };
        let programs = match &settings.sandbox_programs {
            // As the machine has it for all its users.
            Some(programs) => locate::other_postgres(programs)?,
            None => privileges.programs(&locate::embedded_postgres(settings, interrupt)?, &base)?.join("bin"),
        };
        Ok(Cluster {
            base,
            name: "staging drill: sandbox",
            programs,
            privileges,
            search_path,
            interrupt: interrupt.clone(),
        })
    }

    pub fn data(&self) -> PathBuf {
        self.base.join("cluster/data")
    }

    pub fn running(&self) -> Option<(u32, u16)> {
        running_in(&self.data())
    }

    fn invocation(&self, program: &str) -> Invocation {
        let invocation = self.privileges.invocation(&self.programs.join(program), &self.base);
        invocation.env("PATH", &self.search_path).env("LC_ALL", "C").env("TZ", "UTC")
    }

    /// A data folder is of one major version for ever.
    ///
    /// # Errors
    /// `blocked` when the one that is there was made by another than `programs` are of.
    pub fn check_version(&self) -> Result<()> {
        let Ok(made_by) = fs::read_to_string(self.data().join("PG_VERSION")) else { return Ok(()) };
        let (_, said) = process::capture(&self.invocation("postgres").arg("--version"), START, &self.interrupt)?;
        match major(&String::from_utf8_lossy(&said)) {
            Some(major) if major != made_by.trim() => Err(Failure::blocked(format!(
                "the sandbox was made by Postgres {}, and this is Postgres {major}",
                made_by.trim()
            ))
            .note("its rows are made up; the next command makes a new one")
            .hint(Hint::shell(format!("rm -r {}", quoted(&self.base.display().to_string()))))),
            _ => Ok(()),
        }
    }

    pub fn initialise(&self, password: &Secret) -> Result<()> {
        let failed = || "cannot create the sandbox";
        self.privileges.own(&self.base.join("cluster")).blocked(failed)?;
        let password_file = self.base.join("cluster/password");
        fs::write(&password_file, password.expose()).blocked(failed)?;
        if self.privileges == Privileges::Nobody {
            std::os::unix::fs::chown(&password_file, Some(65534), Some(65534)).blocked(failed)?;
        }
        let invocation = self
            .invocation("initdb")
            .arg("--pgdata")
            .arg(self.data())
            .args(["--username", SUPERUSER, "--auth", "scram-sha-256", "--pwfile"])
            .arg(&password_file)
            .args(["--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]);
        let log = self.log("initdb.log")?;
        let redactor = redact::Redactor::generic();
        let finished = process::run(&invocation, START, log, &redactor, &self.interrupt);
        fs::remove_file(&password_file).blocked(failed)?;
        let finished = finished?;
        if finished.exit != Exit::Success {
            return Err(
                Failure::blocked(format!("`initdb` {}", finished.exit.in_words())).because(said::why(&finished.tail))
            );
        }
        finished.whole("initdb.log")?;
        self.allow_local_user().blocked(failed)
    }

    /// Loopback only; the superuser by password, the sandbox's own user without one.
    fn allow_local_user(&self) -> std::io::Result<()> {
        let rules = format!("host all {USER} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
        fs::write(self.data().join("pg_hba.conf"), rules)
    }

    /// Starts the server on `wanted` when that port is free, else on any free one, and waits until it answers.
    pub fn start(&self, wanted: Option<u16>) -> Result<Sandbox> {
        // A port can be taken between the look and the start, so a failed start is tried on another.
        let mut last = None;
        for attempt in 0..3 {
            let port = free_port(wanted.filter(|_| attempt == 0))?;
            self.clear_stale_pid();
            let pid = process::start_detached(&self.server(port), self.log("postgres.log")?)?;
            match self.await_ready(pid, port) {
                Ok(()) => return Ok(Sandbox { port, pid, started: true }),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::bug("the sandbox was not started")))
    }

    fn server(&self, port: u16) -> Invocation {
        let setting = |text: String| ["-c".to_owned(), text];
        self.invocation("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-p")
            .arg(port.to_string())
            .args(setting("listen_addresses=127.0.0.1".to_owned()))
            .args(setting("unix_socket_directories=".to_owned()))
            // The rows are made up and the server is ours: after a power loss the sandbox is made anew.
            .args(setting("fsync=off".to_owned()))
            .args(setting("full_page_writes=off".to_owned()))
            .args(setting("timezone=UTC".to_owned()))
            .args(setting("log_line_prefix=%m [%p] %d ".to_owned()))
            .args(setting("max_connections=100".to_owned()))
            .args(setting(format!("cluster_name={}", self.name)))
    }

    fn await_ready(&self, pid: u32, port: u16) -> Result<()> {
        let begun = Instant::now();
        loop {
            if self.running() == Some((pid, port)) && postgres::ready::answers(port) {
                return Ok(());
            }
            self.interrupt.check()?;
            if begun.elapsed() > START || !alive(pid) {
                return Err(Failure::blocked("the sandbox's Postgres did not start")
                    .because(self.last_log_line())
                    .hint(Hint::shell("less").arg(self.base.join("postgres.log").display())));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Stops the server if it runs; `false` when it did not.
    pub fn stop(&self) -> Result<bool> {
        let Some((pid, _)) = self.running() else { return Ok(false) };
        let begun = Instant::now();
        signal(pid, Signal::INT); // fast shutdown: sessions are ended, nothing is lost
        while alive(pid) {
            if begun.elapsed() > STOP {
                return Err(Failure::failed(format!("the sandbox's Postgres (pid {pid}) does not stop"))
                    .hint(Hint::shell("kill -QUIT").arg(pid)));
            }
            std::thread::sleep(POLL);
        }
        Ok(true)
    }

    /// Throws the cluster away.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(self.base.join("cluster")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::blocked("cannot remove a half-made sandbox").caused_by(error))
            }
            _ => Ok(()),
        }
    }

    /// Postgres removes a stale pid file itself unless the number now belongs to another process.
    fn clear_stale_pid(&self) {
        if self.running().is_none() {
            let _ = fs::remove_file(self.data().join("postmaster.pid"));
        }
    }

    fn log(&self, name: &str) -> Result<fs::File> {
        let path = self.base.join(name);
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .blocked(|| format!("cannot write `{}`", path.display()))
    }

    fn last_log_line(&self) -> String {
        let log = fs::read_to_string(self.base.join("postgres.log")).unwrap_or_default();
        log.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

/// Its name can be guessed, so a folder that is there already must be ours.
fn nobody_base(base: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let id = crate::digest::sha256(base.as_os_str().as_encoded_bytes());
    let path = Path::new("/var/tmp").join(format!("staging-drill-{}", &id[..16]));
    let ours = fs::create_dir(&path).is_ok()
        || fs::symlink_metadata(&path)
            .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw());
    if ours {
        return Ok(path);
    }
    Err(Failure::blocked(format!("`{}` belongs to another user", path.display()))
        .hint("remove it, then run this again"))
}

/// Pid and port of the server on `data`, when its pid file names a living Postgres of that very folder.
pub fn running_in(data: &Path) -> Option<(u32, u16)> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    let pid = lines.first()?.trim().parse().ok()?;
    let port = lines.get(3)?.trim().parse().ok()?;
    (alive(pid) && serves(pid, data)).then_some((pid, port))
}

/// A pid is reused sooner or later; where /proc tells, the process must name this data folder.
fn serves(pid: u32, data: &Path) -> bool {
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(cmdline) => cmdline.split(|&byte| byte == 0).any(|arg| arg == data.as_os_str().as_encoded_bytes()),
        Err(_) => !Path::new("/proc/self").exists(),
    }
}

/// A zombie is not alive: it is what is left of a server that we started and did not wait for.
fn alive(pid: u32) -> bool {
    let exists = to_pid(pid).is_some_and(|pid| test_kill_process(pid).is_ok());
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    exists && !state.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn free_port(wanted: Option<u16>) -> Result<u16> {
    if let Some(port) = wanted
        && TcpListener::bind(("127.0.0.1", port)).is_ok()
    {
        return Ok(port);
    }
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .blocked(|| "no free port on loopback")?;
    Ok(listener.port())
}

/// "17" in "postgres (PostgreSQL) 17.10 (Debian 17.10-1)", and in "postgres (PostgreSQL) 17beta1".
fn major(said: &str) -> Option<&str> {
    let version = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()
}
