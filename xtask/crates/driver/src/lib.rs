//! Begins a session of Postgres.
//!
//! The driver's inner loop, which is passed once for each row of a COPY, is generic over the kind of connection, and generic code is compiled where it is
//! used: in the program, that would not be optimised. This crate uses it for the one kind that there is, so that it is compiled here.

#![allow(
    clippy::disallowed_methods,
    reason = "`postgres` in the program is the owner of this dependency, and decides where to"
)]

use postgres::{Client, Config, Error, NoTls};

/// A session as `config` says. It is not encrypted: the program speaks to its own proxy on loopback, which encrypts.
///
/// # Errors
/// The network's, or the server's refusal.
pub fn connect(config: &Config) -> Result<Client, Error> {
    config.connect(NoTls)
}
