//! Who is at the other end of a loopback connection, as far as the operating system tells.
//!
//! Loopback is open to every user of a machine. The token keeps them out already; this keeps them from even being
//! asked for it. Linux lists the owner of each TCP socket in `/proc/net/tcp` and `tcp6` (proc(5)). Where there is no
//! such list, or the socket is not in it (another network namespace), the token decides alone.

use std::net::{IpAddr, SocketAddr};

/// The user that owns the client's end of a connection, where the system tells. `client` is its address, `ours` the
/// address it dialled.
pub fn owner(client: SocketAddr, ours: SocketAddr) -> Option<u32> {
    // A client that dials through an IPv6 socket is listed under its mapped address.
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        let row = |address: SocketAddr| if table.ends_with('6') { in_tcp6(address) } else { in_tcp(address) };
        owner_in(&text, &row(client)?, &row(ours)?)
    })
}

fn owner_in(table: &str, local: &str, remote: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let same = columns.next()? == local && columns.next()? == remote;
        if same { columns.nth(4)?.parse().ok() } else { None }
    })
}

fn in_tcp(address: SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()))
}

fn in_tcp6(address: SocketAddr) -> Option<String> {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let words = ip.octets();
    let hex: String =
        words.chunks_exact(4).map(|w| format!("{:08X}", u32::from_ne_bytes([w[0], w[1], w[2], w[3]]))).collect();
    Some(format!("{hex}:{:04X}", address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    fn the_owner_is_that_of_the_clients_end_and_not_of_ours() {
        let table = format!(
            "{HEAD}   0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 1 1\n\
             {}   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000    33        0 2 1\n",
            ""
        );
        assert_eq!(owner_in(&table, "0100007F:C350", "0100007F:1F90"), Some(33));
        assert_eq!(owner_in(&table, "0100007F:C351", "0100007F:1F90"), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_written_as_the_kernel_writes_them() {
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(in_tcp(address).unwrap(), "0100007F:1F90");
        assert_eq!(in_tcp6(address).unwrap(), "0000000000000000FFFF00000100007F:1F90");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_connection_of_our_own_is_found_to_be_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = listener.local_addr().unwrap();
        #[allow(clippy::disallowed_methods, reason = "a client to look at")]
        let client = std::net::TcpStream::connect(ours).unwrap();
        assert_eq!(owner(client.local_addr().unwrap(), ours), Some(rustix::process::geteuid().as_raw()));
    }
}
