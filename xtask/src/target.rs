//! A target's address in canonical form: what the guard read out of a URL, and all that anyone may dial.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

#[cfg(test)]
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

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

/// Everything but RFC 3986's unreserved characters, so that no client sees a character of meaning in a name or
/// password.
#[cfg(test)]
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Dsn {
    /// `host:port/database`, for messages: no user, no secret.
    pub fn identity(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// For the property tests, which compare how others read it: children never see the target's own URL. The one canonical form: user and password percent-encoded, port and `sslmode` spelled out, `schema` where it is
    /// not `public`, then the other parameters by name.
    #[cfg(test)]
    pub fn to_url(&self) -> Secret {
        let mut url = format!("postgresql://{}", utf8_percent_encode(&self.user, RESERVED));
        if let Some(password) = &self.password {
            url.push(':');
            url.extend(utf8_percent_encode(password.expose(), RESERVED));
        }
        url.push_str(&format!("@{}?sslmode={}", self.identity(), self.sslmode.word()));
        if self.schema != "public" {
            url.push_str(&format!("&schema={}", self.schema));
        }
        for (name, value) in &self.parameters {
            url.push_str(&format!("&{name}={value}"));
        }
        Secret::new(url)
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
