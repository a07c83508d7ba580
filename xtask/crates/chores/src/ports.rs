//! Ports for servers that tests and benches start.

use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// Below what a system hands out for port 0 and for connections that go out (Linux: `ip_local_port_range`, from 32768; macOS: from 49152),
/// so that no other test can be given one of these between here and a server's start, which an `initdb` may lie before.
const RANGE: Range<u16> = 10_000..32_000;

/// A port that nobody listens on at that address, and that this process is given once. An error is the last one of listening there, as
/// where the address is none of this machine.
pub fn free(address: &str) -> io::Result<u16> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let ports = RANGE.end - RANGE.start;
    // Test processes that run at the same time begin far from each other.
    let begin = std::process::id() * 97 % u32::from(ports);
    let mut refused = io::ErrorKind::AddrInUse.into();
    for _ in 0..ports {
        let offset = (begin + u32::from(GIVEN.fetch_add(1, Relaxed))) % u32::from(ports);
        let port = RANGE.start + offset as u16;
        match TcpListener::bind((address, port)) {
            Ok(_) => return Ok(port),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_one_that_somebody_listens_on_or_that_the_system_hands_out() {
        let first = free("127.0.0.1").unwrap();
        let _next = TcpListener::bind(("127.0.0.1", first + 1));
        let others: Vec<u16> = (0..20).map(|_| free("127.0.0.1").unwrap()).collect();
        assert!(!others.contains(&first) && !others.contains(&(first + 1)), "{first} {others:?}");
        assert!(others.iter().all(|port| RANGE.contains(port)), "{others:?}");
    }
}
