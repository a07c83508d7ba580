//! What the pin's owner and the pin's thread both know: who may come in, who is in, and whether the server is still
//! the same.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::identity::Identity;
use crate::silence::Lost;
use crate::upstream::Upstream;
use crate::urgency::Urgency;
use crate::wire::CancelKey;
use redact::Secret;

pub struct Shared {
    pub upstream: Upstream,
    pub identity: Identity,
    pub user: String,
    /// How long a server that owes an answer may be silent, here and on a new connection.
    pub silence: Duration,
    pub urgency: Urgency,
    state: Mutex<State>,
}

/// How long a new connection may be silent after the user has asked to stop: two round trips, from anywhere to anywhere.
const HASTE: Duration = Duration::from_millis(800);
/// How long it is remembered that it was: who asks next need not wait for that again.
const REMEMBERED: Duration = Duration::from_secs(5);

#[derive(Default)]
struct State {
    grants: Vec<Grant>,
    next_grant: u64,
    sessions: Vec<Backend>,
    /// From the keys that children hold to the server's.
    cancel_keys: HashMap<CancelKey, CancelKey>,
    violation: Option<Violation>,
    /// OIDs that the verified database may have, too.
    renamed: Vec<u32>,
    lost: Option<Lost>,
    cancelled: bool,
    unanswered: Option<Instant>,
}

/// A live token and what it opens.
#[derive(Clone)]
pub struct Grant {
    id: u64,
    token: Secret,
    pub purpose: String,
    /// Whether it is for our own process: no child that ends, and nobody else stops what it waits for.
    pub ours: bool,
    pub databases: Vec<String>,
    /// Limits of its sessions, in milliseconds, whatever the role, the database or the server sets.
    pub limits: Vec<(&'static str, u64)>,
    stands: Stands,
}

/// What becomes of a token in the hands of its lease.
#[derive(Clone)]
pub struct Stands {
    /// Whether it opens nothing yet.
    pub held: watch::Receiver<bool>,
    /// Ends when the lease is dropped.
    pub revoked: watch::Receiver<()>,
}

impl Grant {
    /// Until the lease lets in who comes with it; for ever, where it is dropped before.
    pub async fn turn(&self) {
        let mut held = self.stands.held.clone();
        if held.wait_for(|held| !held).await.is_err() {
            std::future::pending().await
        }
    }

    /// Until the lease is dropped.
    pub async fn revoked(&self) {
        let _ = self.stands.revoked.clone().changed().await;
    }
}

/// A server process that was started for a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Of the lease, as given to `Pin::token`.
    pub purpose: String,
    /// As in `pg_stat_activity.pid`.
    pub pid: i32,
    /// Whether the child is still connected. The backend may live on for a while when it is not, finishing what it was
    /// sent.
    pub connected: bool,
}

/// The server behind the pinned address turned out not to be the one that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub purpose: String,
    pub expected: Identity,
    pub found: Identity,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server is no longer the one that was verified: expected {}, found {}", self.expected, self.found)
    }
}

impl Shared {
    pub fn new(upstream: Upstream, identity: Identity, user: String, silence: Duration, urgency: Urgency) -> Self {
        Shared { upstream, identity, user, silence, urgency, state: Mutex::default() }
    }

    /// The state is plain data and consistent between statements, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add_grant(&self, token: Secret, purpose: &str, ours: bool, stands: Stands) -> u64 {
        let mut state = self.state();
        state.next_grant += 1;
        let id = state.next_grant;
        let databases = vec![self.identity.database.clone()];
        let (purpose, limits) = (purpose.to_owned(), Vec::new());
        state.grants.push(Grant { id, token, purpose, ours, databases, limits, stands });
        id
    }

    pub fn remove_grant(&self, id: u64) {
        self.state().grants.retain(|grant| grant.id != id);
    }

    pub fn allow_database(&self, id: u64, database: &str) {
        let mut state = self.state();
        if let Some(grant) = state.grants.iter_mut().find(|grant| grant.id == id) {
            grant.databases.push(database.to_owned());
        }
    }

    pub fn limit(&self, id: u64, setting: &'static str, milliseconds: u64) {
        let mut state = self.state();
        if let Some(grant) = state.grants.iter_mut().find(|grant| grant.id == id) {
            grant.limits.push((setting, milliseconds));
        }
    }

    /// The grant that `password` is the token of. Every token is compared whole, so time tells nothing about any of
    /// them.
    pub fn grant(&self, password: &[u8]) -> Option<Grant> {
        let state = self.state();
        let right = |grant: &&Grant| bool::from(grant.token.expose().as_bytes().ct_eq(password));
        state.grants.iter().filter(right).fold(None, |_, grant| Some(grant.clone()))
    }

    pub fn cancel_key(&self, handed_out: CancelKey) -> Option<CancelKey> {
        self.state().cancel_keys.get(&handed_out).copied()
    }

    pub fn expect_renamed(&self, oid: u32) {
        self.state().renamed.push(oid);
    }

    /// Whether `found` is the verified server, and in `database` the database that was verified or one that we put in its place.
    pub fn vouches_for(&self, found: &Identity, database: &str) -> bool {
        let renamed = self.state().renamed.clone();
        let own = self.identity.database_oid;
        let is = |oid: u32| Identity { database_oid: oid, ..self.identity.clone() }.vouches_for(found, database);
        std::iter::once(own).chain(renamed).any(is)
    }

    pub fn violation(&self) -> Option<Violation> {
        self.state().violation.clone()
    }

    /// The first violation stays: after it nothing that this server says is proof of anything.
    pub fn report(&self, violation: Violation) {
        self.state().violation.get_or_insert(violation);
    }

    pub fn backends(&self) -> Vec<Backend> {
        self.state().sessions.clone()
    }

    pub fn lost(&self) -> Option<Lost> {
        self.state().lost.clone()
    }

    /// The first stays: the others are what came of it.
    pub fn lose(&self, lost: Lost) {
        self.state().lost.get_or_insert(lost);
    }

    pub fn cancelled(&self) -> bool {
        self.state().cancelled
    }

    pub fn note_cancelled(&self) {
        self.state().cancelled = true;
    }

    /// Whether a new connection got no answer a moment ago.
    pub fn known_silent(&self) -> bool {
        self.state().unanswered.is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    /// Whether anybody answers a new connection within `limit`.
    pub async fn answers(&self, limit: Duration) -> bool {
        let answers = self.upstream.answers(limit).await;
        self.state().unanswered = (!answers).then(Instant::now);
        answers
    }

    /// As `answers`, for a user who wants to stop.
    pub async fn answers_soon(&self) -> bool {
        !self.known_silent() && self.answers(if self.urgency.asked() > 1 { HASTE / 4 } else { HASTE }).await
    }
}

/// A child's session for as long as it is open; takes back its cancel key at the end, however it ends.
pub struct OpenSession {
    shared: Arc<Shared>,
    index: usize,
    cancel_key: CancelKey,
}

impl OpenSession {
    /// `real` is the server's cancel key, which a child never sees: with ours it can only cancel through the pin.
    pub fn new(shared: &Arc<Shared>, grant: &Grant, pid: i32, real: Option<CancelKey>) -> Self {
        let cancel_key = (pid, random_secret());
        let mut state = shared.state();
        if let Some(real) = real {
            state.cancel_keys.insert(cancel_key, real);
        }
        state.sessions.push(Backend { purpose: grant.purpose.clone(), pid, connected: true });
        let index = state.sessions.len() - 1;
        drop(state);
        OpenSession { shared: shared.clone(), index, cancel_key }
    }

    pub fn cancel_key(&self) -> CancelKey {
        self.cancel_key
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.cancel_keys.remove(&self.cancel_key);
        state.sessions[self.index].connected = false;
    }
}

#[expect(clippy::expect_used, reason = "the system's random numbers do not run out")]
fn random_secret() -> i32 {
    getrandom::u32().expect("the system has randomness").cast_signed()
}
