//! From the guard's yes to the end of a run: the proven target, the one door to it, and the tools.

pub mod environment;
pub mod groundwork;
pub mod prisma_config;
pub mod reach;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::causes::network;
use crate::error::{Failure, OrFail, Refusal, Result, Status};
use crate::guard::{self, Candidate, Demand, Observed, StagingTarget};
use crate::headway::Headway;
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::postgres::activity;
use crate::postgres::claim;
use crate::postgres::connection::Connection;
use crate::postgres::identity::Identity;
use crate::postgres::lock_wait::Waits;
use crate::process::locate::Toolbox;
use crate::session::groundwork::Groundwork;
use crate::session::reach::{NAME, Reached};
use crate::settings::Settings;
use crate::temporary::Temporary;
use pin::{Lease, Pin};
use redact::Redactor;
use serde::{Deserialize, Serialize};

/// How long a wait goes on without asking whether it should.
const LOOK: Duration = Duration::from_millis(200);

/// How long the server may take to see that our sessions are gone.
const LEFT: Duration = Duration::from_secs(2);

/// While it is kept, the run has no session in the target but what its holder knows of.
pub struct Away<'a> {
    _connection: MutexGuard<'a, Connection>,
    _onlooker: MutexGuard<'a, Option<Connection>>,
}

/// The target as every run names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetView {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub database: String,
    pub project_ref: Option<String>,
}

pub struct Session<'a> {
    pub settings: &'a Settings,
    pub interrupt: &'a Interrupt,
    pub toolbox: Toolbox,
    pub target: StagingTarget,
    pub identity: Identity,
    pub redactor: Redactor,
    /// What is counted while it is done, for whoever tells how far it is.
    pub headway: Headway,
    /// What a replay of the history begins with; `schema::platform` fills it in.
    pub groundwork: OnceLock<Groundwork>,
    /// What was seen of waits for locks.
    pub waits: Waits,
    /// Our own session for what is asked between steps.
    connection: Mutex<Connection>,
    /// The OID of the database that has the target's name since a restore gave it to it.
    replaced_by: OnceLock<u32>,
    /// For who looks on while that one is at work.
    onlooker: Mutex<Option<Connection>>,
    pin: Pin,
    /// Our own way through the pin.
    lease: Lease,
    /// Folders for children, readable by us alone and gone with the run.
    temporary: Temporary,
}

impl<'a> Session<'a> {
    /// Dials the candidate's server, lets it say who it is, and has the guard decide.
    ///
    /// # Errors
    /// `blocked` when the server cannot be reached, `refused` when it is not the one that was meant.
    pub fn open(
        settings: &'a Settings,
        interrupt: &'a Interrupt,
        candidate: Candidate,
        redactor: Redactor,
        demand: Demand,
    ) -> Result<Session<'a>> {
        let toolbox = Toolbox::find(settings)?;
        let Reached { pin, lease, mut connection, identity } = Reached::new(settings, interrupt, &candidate)?;
        identity.check_version()?;
        let observed = observed(&identity, claim::read(&mut connection)?);
        let target = guard::prove(candidate, &observed, demand)
            .map_err(|refusals| refused(settings, &identity.database, refusals))?;
        let temporary = Temporary::new().or_fail(no_temporary_files)?;
        std::fs::create_dir(temporary.path().join("home")).or_fail(no_temporary_files)?;
        Ok(Session {
            settings,
            interrupt,
            toolbox,
            target,
            identity,
            redactor,
            headway: Headway::default(),
            groundwork: OnceLock::new(),
            waits: Waits::default(),
            connection: Mutex::new(connection),
            replaced_by: OnceLock::new(),
            onlooker: Mutex::default(),
            pin,
            lease,
            temporary,
        })
    }

    /// The session that is open anyway; for questions that do not run side by side with others. Nothing depends on it from one question to the next, so one
    /// that the server has ended meanwhile is opened again; where that fails, the question says why.
    pub fn connection(&self) -> MutexGuard<'_, Connection> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.has_ended()
            && let Ok(again) = self.connect()
        {
            *connection = again;
        }
        connection
    }

    /// As `connection`, where nobody is at it.
    pub fn idle_connection(&self) -> Option<MutexGuard<'_, Connection>> {
        self.connection.try_lock().ok()
    }

    /// The session of who looks on, opened when it is needed first; None where somebody else is at it, or the run has left the database.
    pub fn onlooker(&self) -> Option<MutexGuard<'_, Option<Connection>>> {
        self.onlooker.try_lock().ok()
    }

    /// Ends the sessions of this run in the target, but those that a caller holds, and opens none while the answer is kept.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn leave(&self, staying: &mut Connection) -> Result<Away<'_>> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut onlooker = self.onlooker.lock().unwrap_or_else(PoisonError::into_inner);
        *onlooker = None;
        connection.end();
        let away = Away { _connection: connection, _onlooker: onlooker };
        let deadline = Instant::now() + LEFT;
        while !activity::others_of(staying, &self.pids())?.is_empty() && Instant::now() < deadline {
            std::thread::sleep(LOOK / 40);
        }
        Ok(away)
    }

    /// A database that was proven to be a copy of the target is about to get its name.
    pub fn expect_renamed(&self, oid: u32) {
        self.pin.expect_renamed(oid);
    }

    /// And has it.
    pub fn was_renamed(&self, oid: u32) {
        let _ = self.replaced_by.set(oid);
    }

    /// As the server has it now.
    fn identity_now(&self) -> Identity {
        let database_oid = self.replaced_by.get().copied().unwrap_or(self.identity.database_oid);
        Identity { database_oid, ..self.identity.clone() }
    }

    /// The server's processes of every session of this run.
    pub fn pids(&self) -> Vec<i32> {
        self.pin.backends().into_iter().map(|backend| backend.pid).collect()
    }

    /// A session of one's own, for what runs beside other things or holds a lock.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(&self.lease.driver_url(&self.target.dsn().database), NAME, self.settings.timeouts.query)
    }

    /// As `connect`, for whoever may not keep the run waiting: what it opens ends with `lease`, in the middle of a question, too.
    pub fn opener(&self, lease: &Lease) -> impl FnOnce() -> Result<Connection> + Send + use<> {
        let (url, timeout) = (lease.driver_url(&self.target.dsn().database), self.settings.timeouts.query);
        move || Connection::open(&url, NAME, timeout)
    }

    /// Another database of the same server that this run made: a replay, a shadow database.
    pub fn connect_to(&self, database: &str) -> Result<Connection> {
        self.lease.allow_database(database);
        Connection::open(&self.lease.driver_url(database), NAME, self.settings.timeouts.query)
    }

    /// A way through the pin for one child; it closes when the lease is dropped.
    pub fn lease(&self, purpose: &str) -> Lease {
        self.pin.token(purpose)
    }

    /// What every child gets: the allow-listed environment with an empty HOME.
    pub fn bare_environment(&self) -> BTreeMap<String, String> {
        environment::child(self.settings, &self.temporary.path().join("home"))
    }

    /// What the project's own programs and configs get: the application's variables too, no URL.
    pub fn child_environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.bare_environment();
        let variables = self.target.candidate().variables().iter();
        environment.extend(variables.map(|(name, value)| (name.clone(), value.expose().to_owned())));
        environment
    }

    /// A folder in which a child finds nothing.
    pub fn empty_folder(&self) -> Result<PathBuf> {
        let folder = self.temporary.path().join("empty");
        std::fs::create_dir_all(&folder).or_fail(no_temporary_files)?;
        Ok(folder)
    }

    /// A file for a child to read.
    pub fn temporary(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.temporary.path().join(name);
        std::fs::write(&path, text).or_fail(no_temporary_files)?;
        Ok(path)
    }

    /// Waits until the server has finished what the children of `lease` had sent, at most as long as the settings say. Who
    /// asks a second time to stop is not kept waiting.
    ///
    /// # Errors
    /// `failed`, naming the sessions that still work.
    pub fn settle(&self, lease: &Lease) -> Result<()> {
        let pids = self.backends(lease);
        if pids.is_empty() {
            return Ok(());
        }
        let mut connection = self.connection();
        let deadline = Instant::now() + self.settings.timeouts.settle;
        let asked = self.interrupt.count();
        let mut busy = activity::busy(&mut connection, &pids)?;
        while !busy.is_empty() && Instant::now() < deadline && self.interrupt.count() <= asked {
            busy = activity::wait_until_gone(&mut connection, &pids, Instant::now() + LOOK)?;
        }
        if busy.is_empty() {
            return Ok(());
        }
        let list = busy.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        Err(Failure::failed(format!("the server still works on what a stopped child had sent (backend {list})"))
            .note("it may end by itself, and the SQL below ends it")
            .hint(Hint::sql(format!("select pg_terminate_backend({})", busy[0]))))
    }

    /// The server's processes for what a child opened through `lease`.
    pub fn backends(&self, lease: &Lease) -> Vec<i32> {
        let own = self.pin.backends().into_iter().filter(|backend| backend.purpose == lease.purpose());
        own.map(|backend| backend.pid).collect()
    }

    /// Every session of this run, its children's and our own, and what each is for.
    pub fn all_backends(&self) -> Vec<(i32, String)> {
        self.pin.backends().into_iter().map(|backend| (backend.pid, backend.purpose)).collect()
    }

    /// The address that was verified, and that alone is dialled.
    pub fn address(&self) -> SocketAddr {
        self.pin.address()
    }

    /// An error once the server behind the verified address was found to be another one: nothing that was read since is proof.
    pub fn same_server(&self) -> Result<()> {
        match self.pin.violation() {
            None => Ok(()),
            Some(violation) => Err(Failure::failed(violation.to_string())
                .because(format!("noticed on a connection for `{}`; every further one was refused", violation.purpose))
                .hint("find out what answers at that address before anything else")),
        }
    }

    /// Whether the database had a claim that counts when the run began, and has none now: what ran has dropped it or put something in its place.
    /// A server that does not answer says nothing about that.
    pub fn claim_was_lost(&self) -> bool {
        let now = || match claim::read(&mut self.connect().ok()?) {
            Ok(claim) => {
                Some(self.target.standing_of(&observed(&self.identity_now(), claim)) == guard::ClaimStatus::Claimed)
            }
            Err(failure) => (failure.status == Status::Refused).then_some(false),
        };
        self.target.claimed() && now() == Some(false)
    }

    /// Adds to a failure that the server was given up, where it was: that is its cause. `changing`: what the server has of this run is not
    /// known then.
    pub fn told(&self, failure: Failure, changing: bool) -> Failure {
        let lost = self.pin.lost();
        let failure = match self.interrupt.status() {
            Some(status) if lost.is_some() || self.pin.cancelled() => in_haste(failure, status),
            _ => failure,
        };
        let Some(lost) = lost else { return failure };
        let failure = failure.because(lost.to_string());
        if changing {
            let unknown =
                "the server may still do, or undo, what it was sent; once it answers, this shows what the database is";
            failure.note(unknown).hint(Hint::run("forward --plan"))
        } else {
            failure
                .with_status(Status::Blocked)
                .note("nothing was changed")
                .known(&network::SERVER_HANGS, &[("address", &self.address().to_string())])
        }
    }

    pub fn view(&self) -> TargetView {
        view(self.settings, self.target.candidate())
    }
}

/// What failed because the user did not want to wait has not failed.
fn in_haste(failure: Failure, status: Status) -> Failure {
    match failure.status {
        Status::Failed | Status::Blocked => Failure::interrupted(status).because_of(failure),
        _ => failure,
    }
}

pub fn view(settings: &Settings, candidate: &Candidate) -> TargetView {
    let dsn = candidate.dsn();
    TargetView {
        name: settings.target.name.clone(),
        host: dsn.host.to_string(),
        port: dsn.port,
        database: dsn.database.clone(),
        project_ref: candidate.project_ref().map(str::to_owned),
    }
}

/// What the guard is told of the server.
pub fn observed(identity: &Identity, claim: Option<claim::Claim>) -> Observed {
    Observed {
        database: identity.database.clone(),
        system_identifier: identity.system_identifier.clone(),
        is_replica: identity.in_recovery,
        database_oid: identity.database_oid,
        address: identity.address.map(|address| address.to_string()),
        claim: claim.map(|claim| guard::Claim {
            database: claim.database,
            database_oid: claim.database_oid,
            system_identifier: claim.system_identifier,
            project_ref: claim.project_ref,
            claimed_at: claim.claimed_at.to_string(),
            claimed_by: claim.claimed_by,
            address: claim.address,
            origin: claim.origin,
        }),
    }
}

/// A claim is what to do where nothing but the claim is missing.
fn refused(settings: &Settings, database: &str, refusals: Vec<Refusal>) -> Failure {
    let unclaimed = matches!(refusals.as_slice(), [only] if only.check == "claim");
    let failure = Failure::refused(&settings.target.name, refusals);
    if unclaimed { failure.hint(Hint::run("claim --confirm").arg(database)) } else { failure }
}

fn no_temporary_files() -> Failure {
    Failure::blocked("cannot write temporary files").hint("make room, or point TMPDIR elsewhere")
}
