//! From a host name to the addresses it has *now*, and from an address to a socket. The name is looked up once in a
//! run.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::dsn::Host;
use crate::error::{PinError, Unanswered};

/// A migration may run for an hour without a byte on the wire, and NAT gateways forget silent connections after some
/// minutes. A machine that is gone is noticed after idle time, and as many intervals as there are retries.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// All addresses of `host`, in the system resolver's order, without repeats.
pub async fn resolve(host: &Host, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, PinError> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
        Host::Name(name) => name,
    };
    let unresolvable = |reason: String| PinError::Unresolvable { host: name.clone(), reason };
    let answer = timeout(limit, tokio::net::lookup_host((name.as_str(), port))).await;
    let answer = answer.map_err(|_| unresolvable("the resolver did not answer in time".into()))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in answer.map_err(|error| unresolvable(error.to_string()))? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(unresolvable("it has no address".into())) } else { Ok(addresses) }
}

/// An error where one of `names` leads to one of `addresses`, whatever the port. All are looked up at once.
pub async fn refuse_shared(addresses: &[SocketAddr], names: &[String], limit: Duration) -> Result<(), PinError> {
    let look_up = |name: &String| {
        let host = Host::Name(name.clone());
        (name.clone(), tokio::spawn(async move { resolve(&host, 0, limit).await }))
    };
    let running: Vec<_> = names.iter().map(look_up).collect();
    for (host, answer) in running {
        let found = answer.await.ok().and_then(Result::ok).unwrap_or_default();
        let is_ours =
            |other: &SocketAddr| addresses.iter().any(|ours| ours.ip().to_canonical() == other.ip().to_canonical());
        if let Some(shared) = found.into_iter().find(is_ours) {
            return Err(PinError::Shared { host, address: shared.ip() });
        }
    }
    Ok(())
}

/// Opens a connection to exactly `address`. Errors: `Refused`, `TimedOut`, `Unreachable`.
pub async fn connect(address: SocketAddr, limit: Duration) -> Result<TcpStream, PinError> {
    let timed_out = || PinError::TimedOut { address, what: Unanswered::Connecting, after: limit };
    let answer = timeout(limit, open(address)).await.map_err(|_| timed_out())?;
    answer.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => PinError::Refused { address },
        io::ErrorKind::TimedOut => timed_out(),
        _ => PinError::Unreachable { address, reason: error.to_string() },
    })
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether another address of the same name is worth a try: this one was not reached.
pub fn unreachable(error: &PinError) -> bool {
    matches!(
        error,
        PinError::Refused { .. }
            | PinError::TimedOut { what: Unanswered::Connecting, .. }
            | PinError::Unreachable { .. }
    )
}

/// The error for a host none of whose `addresses` answered; `last` is what the last one said.
pub fn exhausted(host: &Host, addresses: &[SocketAddr], last: PinError) -> PinError {
    let only_ipv6 = addresses.iter().all(SocketAddr::is_ipv6) && !host.is_loopback();
    match last {
        PinError::Unreachable { .. } if only_ipv6 => PinError::Ipv6Only { host: host.to_string() },
        last => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable(address: &str) -> PinError {
        PinError::Unreachable { address: address.parse().unwrap(), reason: "Network is unreachable".into() }
    }

    #[test]
    fn an_open_connection_is_kept_alive_while_nothing_is_said() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stream = runtime.block_on(connect(address, Duration::from_secs(5))).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap() + socket.tcp_keepalive_interval().unwrap() * 3,
            Duration::from_secs(90)
        );
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    }

    #[test]
    fn a_host_with_only_ipv6_and_no_route_is_named_as_such() {
        let host = Host::Name("db.abcdefghijklmnopqrst.supabase.co".into());
        let six = ["[2001:db8::1]:5432".parse().unwrap()];
        assert!(matches!(exhausted(&host, &six, unreachable("[2001:db8::1]:5432")), PinError::Ipv6Only { .. }));
    }

    #[test]
    fn a_host_that_also_has_ipv4_is_not_blamed_on_ipv6() {
        let host = Host::Name("db.example".into());
        let both = ["[2001:db8::1]:5432".parse().unwrap(), "192.0.2.1:5432".parse().unwrap()];
        assert!(matches!(exhausted(&host, &both, unreachable("192.0.2.1:5432")), PinError::Unreachable { .. }));
    }
}
