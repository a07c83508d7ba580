//! Whether a server takes connections: one that was just started, or one that a child is about to use.

use std::error::Error;
use std::sync::mpsc::channel;
use std::time::Duration;

use postgres::error::SqlState;

/// How long a server may take to answer; one that is stopped takes connections and says nothing.
const LIMIT: Duration = Duration::from_secs(1);

/// True when the server on this loopback port answers a login, be it with a refusal: it is past its start.
pub fn answers(port: u16) -> bool {
    let (told, answer) = channel();
    // The driver has a limit for the connecting, and none for the login. A thread that is left behind ends with the server, or with us.
    std::thread::spawn(move || told.send(logs_in(port)));
    answer.recv_timeout(LIMIT).unwrap_or(false)
}

fn logs_in(port: u16) -> bool {
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(port).user("nobody").dbname("postgres").connect_timeout(LIMIT);
    #[allow(clippy::disallowed_methods, reason = "`database` is the owner of this dependency")]
    let login = driver::connect(&config);
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
    let login = driver::connect(&config);
    login.and_then(|mut client| client.simple_query("select 1")).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    /// As the kernel takes connections for a server whose processes are stopped.
    #[test]
    fn a_server_that_takes_a_connection_and_says_nothing_does_not_answer() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let begun = Instant::now();
        assert!(!answers(silent.local_addr().unwrap().port()));
        assert!(begun.elapsed() < LIMIT * 3, "{:?}", begun.elapsed());
    }
}
