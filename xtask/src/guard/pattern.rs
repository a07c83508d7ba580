//! How the patterns of `drill.toml` match.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use pin::dsn::Host;

/// Names are cut at this many bytes by the server (`NAMEDATALEN` - 1), silently.
pub const NAME_BYTES_MAX: usize = 63;
/// Databases that are on every server.
pub const MAINTENANCE: [&str; 3] = ["postgres", "template0", "template1"];
/// Schemas that are the server's or Supabase's, by how their names begin; `prisma migrate reset` would drop them.
const FOREIGN_SCHEMAS: [&str; 17] = [
    "pg_",
    "information_schema",
    "auth",
    "storage",
    "realtime",
    "_realtime",
    "vault",
    "extensions",
    "graphql",
    "pgbouncer",
    "supabase_",
    "_supabase",
    "_analytics",
    "cron",
    "net",
    "pgsodium",
    "pgmq",
];

/// A plain name, and not of a schema that the server or a platform needs.
pub fn may_be_dropped(schema: &str) -> bool {
    is_identifier(schema) && !FOREIGN_SCHEMAS.iter().any(|start| schema.starts_with(start))
}

/// What the value of a URL's parameter may be.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    OneOf(&'static [&'static str]),
    /// Up to six digits.
    Number,
    /// A name that Postgres needs no quotes for.
    Identifier,
    /// Letters, digits and `_.-`.
    Label,
    /// `endpoint=` and a label, its `=` escaped or not.
    Endpoint,
}

impl Value {
    pub fn fits(self, text: &str) -> bool {
        match self {
            Value::OneOf(words) => words.contains(&text),
            Value::Number => is_number(text),
            Value::Identifier => is_identifier(text),
            Value::Label => is_made_of(text, "_.-", 1..=NAME_BYTES_MAX),
            Value::Endpoint => Value::endpoint(text).is_some(),
        }
    }

    /// What a value of the kind `Endpoint` names.
    pub fn endpoint(text: &str) -> Option<&str> {
        let rest = text.strip_prefix("endpoint")?;
        let label = rest.strip_prefix("%3D").or_else(|| rest.strip_prefix("%3d")).or_else(|| rest.strip_prefix('='))?;
        is_made_of(label, "-", 1..=NAME_BYTES_MAX).then_some(label)
    }

    /// For a hint: what to write.
    pub fn in_words(self) -> String {
        match self {
            Value::OneOf(words) => format!("one of `{}`", words.join("`, `")),
            Value::Number => "up to six digits".into(),
            Value::Identifier => "a name of lower-case letters, digits and `_`".into(),
            Value::Label => "a name of letters, digits and `_.-`".into(),
            Value::Endpoint => "`endpoint%3D` and the first label of Neon's host".into(),
        }
    }
}

/// True for ASCII letters, digits and the characters of `extra` only, as many as `lengths` says.
pub fn is_made_of(text: &str, extra: &str, lengths: RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

pub fn is_number(text: &str) -> bool {
    (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub fn is_identifier(text: &str) -> bool {
    is_made_of(text, "_", 1..=NAME_BYTES_MAX)
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.contains(|c: char| c.is_ascii_uppercase())
}

/// A Supabase project ref.
pub fn is_project_ref(text: &str) -> bool {
    is_made_of(text, "", 20..=20) && !text.contains(|c: char| c.is_ascii_uppercase())
}

/// A name as every resolver reads it: lower case, no empty label, no last dot, not an address. `_` is in no name of DNS and in many of compose.
pub fn is_host_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let ends = |label: &str| label.starts_with(['-', '_']) || label.ends_with(['-', '_']);
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain) && !ends(label);
    name.len() <= 253 && name.split('.').all(label) && !ends_in_a_number(name)
}

/// `1.2.3.4`, `127.1`, `0x7f000001`: a name whose last label is a number is an address to some resolvers (WHATWG URL,
/// "ends in a number checker").
pub fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    decimal || hex
}

/// `*.suffix` stands for one or more whole labels before the suffix.
pub fn host_matches(pattern: &str, host: &Host) -> bool {
    match (pattern.strip_prefix('*'), host) {
        (Some(suffix), Host::Name(name)) => name.strip_suffix(suffix).is_some_and(|labels| !labels.is_empty()),
        (None, Host::Name(name)) => name == pattern,
        (None, Host::Ip(IpAddr::V4(ip))) if ip.is_loopback() => pattern == "127.0.0.1",
        (None, Host::Ip(ip)) => pattern.parse() == Ok(*ip),
        (Some(_), Host::Ip(_)) => false,
    }
}

/// `*_suffix` needs a letter first and something before the suffix.
pub fn database_matches(pattern: &str, database: &str) -> bool {
    match pattern.strip_prefix('*') {
        None => database == pattern,
        Some(suffix) => {
            database.strip_suffix(suffix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Host {
        Host::Name(name.into())
    }

    #[test]
    fn a_star_is_one_or_more_whole_labels() {
        let pattern = "*.staging.hotdash.app";
        assert!(host_matches(pattern, &name("db.staging.hotdash.app")));
        assert!(host_matches(pattern, &name("a.b.staging.hotdash.app")));
        for other in [
            "staging.hotdash.app",
            ".staging.hotdash.app",
            "evilstaging.hotdash.app",
            "db.staging.hotdash.app.evil.com",
        ] {
            assert!(!host_matches(pattern, &name(other)) || !is_host_name(other), "{other}");
        }
    }

    #[test]
    fn loopback_is_allowed_by_its_own_entries_only() {
        let v4 = Host::Ip("127.0.0.2".parse().unwrap());
        let v6 = Host::Ip("::1".parse().unwrap());
        assert!(host_matches("127.0.0.1", &v4) && host_matches("::1", &v6));
        for pattern in ["localhost", "*.staging.hotdash.app", "::1"] {
            assert!(!host_matches(pattern, &v4), "{pattern}");
        }
        assert!(!host_matches("127.0.0.1", &v6));
    }

    #[test]
    fn a_database_suffix_needs_a_letter_first_and_something_before_it() {
        assert!(database_matches("*_test", "a_test"));
        for other in ["_test", "test", "1_test", "__test", "-a_test", "a_test_old", "a_TEST"] {
            assert!(!database_matches("*_test", other), "{other}");
        }
    }
}
