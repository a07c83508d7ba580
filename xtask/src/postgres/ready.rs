//! Whether a server takes connections: one that was just started, or one that a child is about to use.

use std::error::Error;
use std::time::Duration;

use postgres::NoTls;
use postgres::error::SqlState;

/// True when the server on this loopback port answers a login, be it with a refusal: it is past its start.
pub fn answers(port: u16) -> bool {
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(port).user("nobody").dbname("postgres").connect_timeout(Duration::from_secs(1));
    #[allow(clippy::disallowed_methods, reason = "`database` is the owner of this dependency")]
    let login = config.connect(NoTls);
    match login {
        Ok(_) => true,
        Err(error) => match error.as_db_error() {
            Some(refusal) => *refusal.code() != SqlState::CANNOT_CONNECT_NOW,
            // The server asked for the password that we do not have: it is up. Anything of the network is an `io::Error`.
            None => error.source().is_some_and(|cause| !cause.is::<std::io::Error>()),
        },
    }
}

/// True when a login with `url`, a pin's address with its token, works and the database answers.
pub fn lets_in(url: &str) -> bool {
    let Ok(mut config) = url.parse::<postgres::Config>() else { return false };
    config.connect_timeout(Duration::from_secs(5));
    #[allow(clippy::disallowed_methods, reason = "`database` is the owner of this dependency")]
    let login = config.connect(NoTls);
    login.and_then(|mut client| client.simple_query("select 1")).is_ok()
}
