//! The pin: a loopback proxy through which alone anyone reaches the database.
//!
//! What was checked must be what is reached, and host names, config files and environments can all change in between.
//! So the name is resolved once, one full login proves the address, and from then on this is the only door to it:
//! every client, our own included, connects to `127.0.0.1` with a token that was made for it and ends with its lease.
//! The pin holds the password, TLS and SCRAM; children never see them. On every connection the server is asked again
//! who it is.
//!
//! What a child can reach: the verified database, plus databases of this run that its lease was given. Everything else
//! is refused with a Postgres error that says so.

mod answerer;
mod dial;
mod downstream;
pub mod dsn;
mod error;
pub mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod identity;
mod lease;
mod login;
mod peer;
mod pinned_url;
mod relay;
mod shared;
mod silence;
mod startup;
mod tls;
mod turn;
mod upstream;
mod urgency;
mod wire;

pub mod interposer;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use error::{PinError, Unanswered};
pub use identity::Identity;
pub use lease::{Hold, Lease};
pub use pinned_url::{Expected, PASSED_ON};
use shared::Shared;
pub use shared::{Backend, Violation};
pub use silence::{How, Lost};
pub use urgency::Urgency;

use crate::dsn::{Dsn, Host};

/// How to reach the server, beyond what the DSN says.
#[derive(Debug, Clone)]
pub struct Options {
    /// PEM certificates to verify the server's with; `None` means the system's roots.
    pub ca_file: Option<PathBuf>,
    /// For the name lookup, for each address, and for each login.
    pub connect_timeout: Duration,
    /// Names that must not lead to where the DSN's host does: a name that leads nowhere is nobody's.
    pub elsewhere: Vec<String>,
    /// How long a server that owes an answer may be silent before it counts as gone: it answers no new connection either.
    pub silence: Duration,
    pub urgency: Urgency,
}

/// A running pin. Dropping it closes every connection through it.
pub struct Pin {
    shared: Arc<Shared>,
    dsn: Arc<Dsn>,
    port: u16,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pin {
    /// Resolves the DSN's host, proves with one full login which of its addresses and encryptions works, and listens
    /// on a free loopback port for those who hold a lease. Blocks until the login is done. Errors: why there is no way
    /// in; nothing runs then.
    pub fn open(dsn: &Dsn, options: Options) -> Result<Pin, PinError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(local)?;
        let proof = upstream::prove(dsn, &options);
        let proven = runtime.block_on(relay::first(proof, options.urgency.raised(1)));
        let (upstream, identity) = match proven.unwrap_or(Err(PinError::Stopped)) {
            Ok(proven) => proven,
            Err(error) => {
                // Not an ordinary drop: that would wait for a name lookup that hangs.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(local)?;
        let port = listener.local_addr().map_err(local)?.port();
        let shared = Arc::new(Shared::new(upstream, identity, dsn.user.clone(), options.silence, options.urgency));
        let (stop, stopped) = watch::channel(());
        let server = shared.clone();
        let thread = std::thread::Builder::new()
            .name("pin".into())
            .spawn(move || run(runtime, listener, &server, stopped))
            .map_err(local)?;
        Ok(Pin { shared, dsn: Arc::new(dsn.clone()), port, stop: Some(stop), thread: Some(thread) })
    }

    /// The verified address: the only one that is dialled.
    pub fn address(&self) -> SocketAddr {
        self.shared.upstream.address
    }

    /// Whether the way to the server is TLS.
    pub fn is_encrypted(&self) -> bool {
        self.shared.upstream.is_encrypted()
    }

    /// What the server said it is at the first login.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// A token of its own for one child or one purpose of ours; `purpose` names it in `pg_stat_activity` and in
    /// `backends`.
    pub fn token(&self, purpose: &str) -> Lease {
        Lease::new(self.shared.clone(), self.dsn.clone(), self.port, purpose, false)
    }

    /// As `token`, for our own process: what a session of it waits for is cancelled when the user asks to stop.
    pub fn own_token(&self, purpose: &str) -> Lease {
        Lease::new(self.shared.clone(), self.dsn.clone(), self.port, purpose, true)
    }

    /// The owner is about to give another database of the server, which it has proven, the verified one's name. From now on either may be it:
    /// whoever has asked for that finds out which.
    pub fn expect_renamed(&self, oid: u32) {
        self.shared.expect_renamed(oid);
    }

    /// Every server process that was started through the pin, in order. After a child was killed, wait until its
    /// backends are gone from `pg_stat_activity`: they finish what they were sent.
    pub fn backends(&self) -> Vec<Backend> {
        self.shared.backends()
    }

    /// The first connection that was given up, if any.
    pub fn lost(&self) -> Option<Lost> {
        self.shared.lost()
    }

    /// Whether a statement of ours was cancelled because the user asked to stop.
    pub fn cancelled(&self) -> bool {
        self.shared.cancelled()
    }

    /// Set once the server behind the address was found to be another one; from then on every connection is refused.
    pub fn violation(&self) -> Option<Violation> {
        self.shared.violation()
    }
}

/// All addresses that `host` has now, for who wants to know before a login; `limit` bounds the question.
///
/// # Errors
/// `Unresolvable`.
pub fn addresses(host: &Host, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, PinError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(local)?;
    let found = runtime.block_on(dial::resolve(host, port, limit));
    // Not an ordinary drop: that would wait for a name lookup that hangs.
    runtime.shutdown_background();
    found
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by the thread itself; there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

fn local(error: std::io::Error) -> PinError {
    PinError::Local { reason: error.to_string() }
}

/// The pin's thread: ends when the `Pin` is dropped, and takes every connection with it.
fn run(runtime: Runtime, listener: TcpListener, shared: &Arc<Shared>, mut stopped: watch::Receiver<()>) {
    runtime.block_on(relay::first_of(accept(&listener, shared), stopped.changed()));
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(downstream::serve(shared.clone(), client))),
            // Out of file descriptors, most likely: some connection has to end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
