//! A child's permission to reach the pinned database, for as long as its owner keeps it.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::watch;

use crate::dsn::Dsn;
use crate::pinned_url::{self, Expected, PASSED_ON};
use crate::shared::{Shared, Stands};
use redact::Secret;

/// 192 bits; in bytes.
const TOKEN_LENGTH: usize = 24;
/// Where the pin listens: an address and no name, since a name would have to be looked up.
const HOST: &str = "127.0.0.1";

/// A fresh token and the URLs that carry it. Dropping it makes the token worthless and closes every connection that it
/// opened.
#[must_use = "a lease that is dropped at once opens nothing"]
pub struct Lease {
    shared: Arc<Shared>,
    dsn: Arc<Dsn>,
    port: u16,
    id: u64,
    purpose: String,
    token: Secret,
    held: Arc<watch::Sender<bool>>,
    /// Dropped with the lease, which every connection of it notices.
    _alive: watch::Sender<()>,
}

/// Keeps those who come with a lease waiting at the pin, until it is dropped: nothing of them reaches the server before.
#[must_use = "a hold that is dropped at once holds nobody"]
pub struct Hold(Arc<watch::Sender<bool>>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Lease {
    #[expect(clippy::expect_used, reason = "the system's random numbers do not run out")]
    pub fn new(shared: Arc<Shared>, dsn: Arc<Dsn>, port: u16, purpose: &str, ours: bool) -> Self {
        let mut bytes = [0; TOKEN_LENGTH];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        let token = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
        let (alive, revoked) = watch::channel(());
        let (holder, held) = watch::channel(false);
        let id = shared.add_grant(token.clone(), purpose, ours, Stands { held, revoked });
        Lease { shared, dsn, port, id, purpose: purpose.to_owned(), token, held: Arc::new(holder), _alive: alive }
    }

    /// For a child that is started before its turn.
    pub fn hold(&self) -> Hold {
        self.held.send_replace(true);
        Hold(Arc::clone(&self.held))
    }

    /// Lets this lease reach one more database of the same server: the shadow or throw-away database of this run.
    pub fn allow_database(&self, name: &str) {
        self.shared.allow_database(self.id, name);
    }

    /// Every session that this lease opens from now on gives up a wait for a lock after that long.
    pub fn limit_locks(&self, limit: Duration) {
        self.shared.limit(self.id, "lock_timeout", milliseconds(limit));
    }

    /// Every session that this lease opens from now on gives up a statement after that long.
    pub fn limit_statements(&self, limit: Duration) {
        self.shared.limit(self.id, "statement_timeout", milliseconds(limit));
    }

    /// For Prisma: the pinned database, with the target's schema and those of its parameters that a child may have.
    pub fn url(&self) -> Secret {
        self.url_of(&self.dsn.database)
    }

    /// As `url`, for a database that `allow_database` named.
    pub fn url_of(&self, database: &str) -> Secret {
        // Without `sslmode`, Prisma's engine would ask for TLS first and dial again after our no.
        let mut url =
            format!("{}?sslmode=disable&schema={}", self.location(Some(&self.token), database), self.dsn.schema);
        for (name, value) in self.dsn.parameters.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str())) {
            let _ = write!(url, "&{name}={value}");
        }
        Secret::new(url)
    }

    /// For our own driver, which knows none of Prisma's parameters.
    pub fn driver_url(&self, database: &str) -> Secret {
        Secret::new(self.location(Some(&self.token), database))
    }

    /// What it was made for, as in `Backend::purpose`.
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// For clients that put their URL on a command line and take the password from `PGPASSWORD`; no secret in it.
    pub fn url_without_password(&self) -> String {
        self.location(None, &self.dsn.database)
    }

    /// The token alone, for `PGPASSWORD`.
    pub fn password(&self) -> Secret {
        self.token.clone()
    }

    /// What the interposer has to find in every datasource URL of the child that holds this lease.
    pub fn expected(&self, shadow: Option<&str>) -> Expected {
        Expected {
            host: HOST.to_owned(),
            port: self.port,
            user: self.dsn.user.clone(),
            database: self.dsn.database.clone(),
            schema: self.dsn.schema.clone(),
            shadow: shadow.map(str::to_owned),
        }
    }

    /// The loopback port that this run listens on.
    #[cfg(test)]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn location(&self, password: Option<&Secret>, database: &str) -> String {
        let password = password.map(|token| format!(":{}", token.expose())).unwrap_or_default();
        let user = pinned_url::percent_encoded(&self.dsn.user);
        format!("postgresql://{user}{password}@{HOST}:{}/{database}", self.port)
    }
}

/// To the server 0 is no limit.
fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.remove_grant(self.id);
    }
}
