//! The embedded Postgres: a server of our own, from the npm package, on a free port, under the ignored folder `.drill/sandbox`.
//!
//! It outlives the command that started it, so that the next one is warm. Whatever a crash left (a half-made data folder, a
//! pid of a process that is gone or is another program now) is recognised and cleaned up by the next `up`.

mod bootstrap;
mod cluster;
pub mod leftovers;
pub mod npm;
mod run_as;
mod server;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Failure, OrFail, Result};
use crate::files;
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::postgres::connection::Connection;
use crate::settings::Settings;
use cluster::Cluster;
use redact::Secret;
pub use server::{DATABASE, Sandbox};
use server::{SUPERUSER, USER};

/// What survives between commands, readable by the owner only.
#[derive(Serialize, Deserialize)]
struct State {
    port: u16,
    /// Of the superuser, for births and for nothing else.
    password: String,
    /// Where the cluster lies: here, or where `nobody` can reach it.
    data: PathBuf,
}

#[derive(Debug, Serialize)]
pub struct Status {
    pub running: bool,
    pub pid: Option<u32>,
    pub port: Option<u16>,
    pub database: &'static str,
    pub folder: String,
}

impl Status {
    pub fn in_words(&self) -> String {
        match (self.pid, self.port) {
            (Some(pid), Some(port)) => {
                format!("running: port {port}, pid {pid}, database `{}`, in `{}`", self.database, self.folder)
            }
            _ => "not running".to_owned(),
        }
    }
}

/// Starts the sandbox, or finds it running; `tell` hears what is about to be done for it.
///
/// # Errors
/// `blocked` when the embedded Postgres is not installed or does not start; the hint says what to do.
pub fn up(settings: &Settings, interrupt: &Interrupt, tell: &dyn Fn(&str)) -> Result<Sandbox> {
    let base = folder(settings)?;
    let _lock = lock(&base, interrupt)?;
    let cluster = Cluster::find(settings, &base, interrupt)?;
    // A state whose cluster was removed by hand describes nothing.
    match state(&base)?.filter(|state| state.data.join("PG_VERSION").is_file()) {
        Some(state) => resume(&cluster, &base, state, tell),
        None => create(&cluster, &base, tell),
    }
}

fn resume(cluster: &Cluster, base: &Path, state: State, tell: &dyn Fn(&str)) -> Result<Sandbox> {
    if let Some((pid, port)) = cluster.running() {
        return Ok(Sandbox { port, pid, started: false });
    }
    cluster.check_version()?;
    tell(STARTS);
    let started = cluster.start(Some(state.port))?;
    if started.port != state.port || cluster.data() != state.data {
        save(base, &State { port: started.port, data: cluster.data(), ..state })?;
    }
    Ok(started)
}

/// Whether there is one, running or not.
///
/// # Errors
/// `blocked` when what it says of itself cannot be read.
pub fn exists(settings: &Settings) -> Result<bool> {
    Ok(state(&base(settings))?.is_some_and(|state| state.data.join("PG_VERSION").is_file()))
}

const STARTS: &str = "its server starts";

/// A new cluster counts from the moment its state is written; what an interrupted birth left is thrown away before.
fn create(cluster: &Cluster, base: &Path, tell: &dyn Fn(&str)) -> Result<Sandbox> {
    cluster.stop()?;
    cluster.remove()?;
    let password = new_password()?;
    tell("a new one is made: initdb");
    cluster.initialise(&password)?;
    tell(STARTS);
    let started = cluster.start(None)?;
    let born = give_birth(started.port, &password);
    if born.is_err() {
        cluster.stop()?;
    }
    born?;
    save(base, &State { port: started.port, password: password.expose().to_owned(), data: cluster.data() })?;
    Ok(started)
}

fn give_birth(port: u16, password: &Secret) -> Result<()> {
    let open = |database: &str| {
        let url = format!("postgresql://{SUPERUSER}:{}@127.0.0.1:{port}/{database}", password.expose());
        Connection::open(&Secret::new(url), "staging drill", Duration::from_secs(30))
    };
    bootstrap::create(&mut open("postgres")?, USER, DATABASE)?;
    bootstrap::claim_it(&mut open(DATABASE)?, USER)
}

/// The name of a server that is thrown away, as `cluster_name` says it there.
pub const EPHEMERAL: &str = "staging drill: ephemeral";

/// A server of its own for one piece of work, gone with this value: for what would change the sandbox itself.
pub struct Ephemeral {
    pub sandbox: Sandbox,
    cluster: Cluster,
    /// Held as long as the server is ours; what a killed command left, the next one of this place throws away.
    _lock: fs::File,
}

impl Ephemeral {
    /// # Errors
    /// As `up`.
    pub fn start(settings: &Settings, interrupt: &Interrupt, tell: &dyn Fn(&str)) -> Result<Ephemeral> {
        let (base, lock) = free_place(&settings.private_dir().join("ephemeral"))?;
        let mut cluster = Cluster::find(settings, &base, interrupt)?;
        cluster.name = EPHEMERAL;
        let sandbox = create(&cluster, &base, tell)?;
        Ok(Ephemeral { sandbox, cluster, _lock: lock })
    }
}

impl Drop for Ephemeral {
    /// Its error has no reader any more; the next one of this place tries again.
    fn drop(&mut self) {
        let _ = self.cluster.stop().and_then(|_| self.cluster.remove());
    }
}

/// Of servers that are thrown away, at one time.
const PLACES: usize = 16;

/// The first of a few numbered folders that no other command holds.
fn free_place(parent: &Path) -> Result<(PathBuf, fs::File)> {
    for number in 0..PLACES {
        let base = parent.join(number.to_string());
        let unusable = || format!("cannot lock `{}`", base.display());
        fs::create_dir_all(&base).blocked(unusable)?;
        let options = OpenOptions::new().create(true).truncate(false).write(true).open(base.join("lock"));
        let file = options.blocked(unusable)?;
        if file.try_lock().is_ok() {
            return Ok((base, file));
        }
    }
    Err(Failure::blocked(format!("{PLACES} other commands replay on servers of their own"))
        .hint("wait for one of them to end, then run this again"))
}

/// Stops the sandbox; `false` when it was not running. Its rows stay.
pub fn down(settings: &Settings, interrupt: &Interrupt) -> Result<bool> {
    let base = folder(settings)?;
    let _lock = lock(&base, interrupt)?;
    if state(&base)?.is_none() {
        return Ok(false);
    }
    Cluster::find(settings, &base, interrupt)?.stop()
}

/// Where it runs, without starting it. Needs nothing to be installed.
pub fn status(settings: &Settings) -> Result<Status> {
    let running = running(settings)?;
    Ok(Status {
        running: running.is_some(),
        pid: running.map(|(pid, _)| pid),
        port: running.map(|(_, port)| port),
        database: DATABASE,
        folder: settings.shown(&base(settings)),
    })
}

/// The URL of a running sandbox.
///
/// # Errors
/// `blocked` when it does not run.
pub fn url(settings: &Settings) -> Result<String> {
    let (pid, port) = running(settings)?
        .ok_or_else(|| Failure::blocked("the sandbox is not running").hint(Hint::run("sandbox up")))?;
    Ok(Sandbox { port, pid, started: false }.url())
}

fn running(settings: &Settings) -> Result<Option<(u32, u16)>> {
    Ok(state(&base(settings))?.and_then(|state| cluster::running_in(&state.data)))
}

fn base(settings: &Settings) -> PathBuf {
    settings.private_dir().join("sandbox")
}

fn folder(settings: &Settings) -> Result<PathBuf> {
    let base = base(settings);
    fs::create_dir_all(&base).or_fail(|| {
        Failure::blocked(format!("cannot create `{}`", base.display())).hint("make the project's folder writable")
    })?;
    Ok(base)
}

/// Longer than another command needs to make a sandbox, on a slow machine.
const LOCKED: Duration = Duration::from_secs(120);

/// Held while a sandbox is started or stopped, so that two commands do not do it at once.
fn lock(base: &Path, interrupt: &Interrupt) -> Result<fs::File> {
    let path = base.join("lock");
    let unusable = || format!("cannot lock `{}`", path.display());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).blocked(unusable)?;
    let begun = Instant::now();
    while let Err(error) = file.try_lock() {
        interrupt.check()?;
        if !matches!(error, fs::TryLockError::WouldBlock) || begun.elapsed() > LOCKED {
            return Err(Failure::blocked(unusable()).caused_by(error).hint("wait for the other command, or end it"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(file)
}

fn state_file(base: &Path) -> PathBuf {
    base.join("state.json")
}

/// None when there is no whole sandbox yet; a broken state file means the same.
fn state(base: &Path) -> Result<Option<State>> {
    match fs::read(state_file(base)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => Ok(serde_json::from_slice(&read.blocked(|| "cannot read the sandbox's state")?).ok()),
    }
}

fn save(base: &Path, state: &State) -> Result<()> {
    let write = || files::replace_private(&state_file(base), &serde_json::to_vec(state)?);
    write().blocked(|| "cannot write the sandbox's state")
}

fn new_password() -> Result<Secret> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).bug("no random numbers")?;
    Ok(Secret::new(crate::digest::hex(&bytes)))
}
