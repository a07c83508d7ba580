//! A target's address in canonical form: what the guard read out of a URL, and all that anyone may dial.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use redact::Secret;

/// A Postgres data source name after the guard's grammar accepted it; every client reads it the same way.
#[derive(Debug, Clone)]
pub struct Dsn {
    /// Decoded user name.
    pub user: String,
    /// Decoded password; absent only on loopback.
    pub password: Option<Secret>,
    pub host: Host,
    pub port: u16,
    pub database: String,
    pub sslmode: SslMode,
    /// The plain identifier of `?schema=`, `public` where the URL names none.
    pub schema: String,
    /// The other allow-listed parameters as given, for children that understand them (`connection_limit`, …).
    pub parameters: BTreeMap<String, String>,
}

impl Dsn {
    /// `host:port/database`, for messages: no user, no secret.
    pub fn identity(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A lower-case DNS name, or `localhost`.
    Name(String),
    /// A loopback literal.
    Ip(IpAddr),
}

impl fmt::Display for Host {
    /// As it stands in a URL: an IPv6 literal is bracketed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl Host {
    pub fn is_loopback(&self) -> bool {
        match self {
            Host::Name(name) => name == "localhost",
            Host::Ip(ip) => ip.is_loopback(),
        }
    }
}

/// libpq's six values, with libpq's meaning (PostgreSQL documentation, "SSL Mode Descriptions").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    pub const ALL: [SslMode; 6] =
        [SslMode::Disable, SslMode::Allow, SslMode::Prefer, SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull];

    /// As libpq spells it.
    pub fn word(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }

    /// The mode that `word` spells; nothing but libpq's exact words counts.
    pub fn from_word(word: &str) -> Option<SslMode> {
        SslMode::ALL.into_iter().find(|mode| mode.word() == word)
    }
}
