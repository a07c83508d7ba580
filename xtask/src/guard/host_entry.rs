//! One entry of `allow_hosts`: `[user@]host[:port]`.
//!
//! The host is a name, `*.` before a suffix, or an address. A user or a port narrows it, for hosts at which a proxy answers for many
//! customers, and for loopback, where a port says which of several servers is meant.

use std::net::{IpAddr, Ipv6Addr};

use pin::dsn::{Dsn, Host};

use crate::guard::pattern::{host_matches, is_host_name, is_made_of};
use crate::guard::providers::{self, ToldApartBy, is_supabase_host};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostEntry<'a> {
    user: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> HostEntry<'a> {
    /// None where it is no such entry.
    pub fn read(text: &'a str) -> Option<HostEntry<'a>> {
        let (user, address) = match text.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, text),
        };
        let (host, port) = split_port(address)?;
        let sound = user.is_none_or(|user| is_made_of(user, "._-", 1..=128)) && is_host(host);
        sound.then_some(HostEntry { user, host, port })
    }

    pub fn matches(&self, dsn: &Dsn) -> bool {
        self.user.is_none_or(|user| user == dsn.user)
            && self.port.is_none_or(|port| port == dsn.port)
            && host_matches(self.host, &dsn.host)
    }

    /// Whether it can lead to one server alone, so that a database that every server has is one database.
    pub fn is_of_one_server(&self) -> bool {
        let is_loopback = matches!(self.host, "localhost" | "127.0.0.1" | "::1");
        !self.host.starts_with('*') && (!is_loopback || self.port.is_some())
    }

    /// Why it allows more than its writer can mean, with what to write.
    pub fn is_too_wide(&self) -> Option<String> {
        let name = self.host.strip_prefix("*.").unwrap_or(self.host);
        if is_supabase_host(name) {
            return Some("the project's ref in `allow_projects`: Supabase's hosts are shared by all projects".into());
        }
        if let Some(suffix) = self.host.strip_prefix("*.") {
            return wide_suffix(suffix);
        }
        let provider = providers::of_host(name)?;
        match provider.told_apart_by {
            ToldApartBy::User if self.user.is_none() => {
                Some(format!("`<user>@{name}` with the URL's user: {} has one host for many databases", provider.name))
            }
            ToldApartBy::Port if self.port.is_none() => {
                Some(format!("`{name}:<port>` with the URL's port: {} has one host for many databases", provider.name))
            }
            _ => None,
        }
    }
}

fn wide_suffix(suffix: &str) -> Option<String> {
    if let Some(provider) = providers::of_host(suffix) {
        return Some(format!(
            "the whole name of the host: below `{suffix}` {} has more databases than yours",
            provider.name
        ));
    }
    public_suffix::is_public(suffix).then(|| format!("a domain of yours: everybody can have a name below `{suffix}`"))
}

/// What to write for `dsn` into `allow_hosts`: as narrow as its host needs.
pub fn for_dsn(dsn: &Dsn) -> String {
    let host = match &dsn.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    match providers::told_apart_by(&dsn.host) {
        // Without a password behind it, what stands there may be one.
        ToldApartBy::User if dsn.password.is_none() => format!("<user>@{host}"),
        ToldApartBy::User => format!("{}@{host}", dsn.user),
        ToldApartBy::Port => format!("{host}:{}", dsn.port),
        ToldApartBy::Host if dsn.host.is_loopback() && dsn.database == "postgres" => {
            format!("{}:{}", dsn.host, dsn.port)
        }
        ToldApartBy::Host => host,
    }
}

/// `host`, `host:port`, an IPv6 address, or one in brackets with a port.
fn split_port(address: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once("]:")?;
        return Some((host, Some(read_port(port)?)));
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(read_port(port)?))),
        _ => Some((address, None)),
    }
}

fn read_port(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|_| digits.starts_with(|c: char| matches!(c, '1'..='9')))
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix("*.") {
        Some(suffix) => is_host_name(suffix) && suffix.contains('.'),
        None => {
            is_host_name(host)
                || read_address(host).is_some_and(|ip| !ip.is_loopback() || matches!(host, "127.0.0.1" | "::1"))
        }
    }
}

/// An address of one machine, spelled in the one way in which it is printed. `127.0.0.1` stands for all of 127.0.0.0/8.
pub fn read_address(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.parse().ok()?;
    let is_mapped = |six: Ipv6Addr| six.to_ipv4_mapped().is_some();
    let is_of_many = match ip {
        IpAddr::V4(four) => four.is_unspecified() || four.is_multicast() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unspecified() || six.is_multicast() || is_mapped(six),
    };
    (!is_of_many && ip.to_string() == text).then_some(ip)
}
