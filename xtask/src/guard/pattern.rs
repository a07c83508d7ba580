//! How the patterns of `drill.toml` match, and which are mistakes because they would allow more than they seem to.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::error::Refusal;
use pin::dsn::Host;

use crate::guard::policy::{Policy, is_supabase_host};

/// Names are cut at this many bytes by the server (`NAMEDATALEN` - 1), silently.
pub const NAME_BYTES_MAX: usize = 63;
/// Databases that are on every server.
const MAINTENANCE: [&str; 3] = ["postgres", "template0", "template1"];
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
}

impl Value {
    pub fn fits(self, text: &str) -> bool {
        match self {
            Value::OneOf(words) => words.contains(&text),
            Value::Number => is_number(text),
            Value::Identifier => is_identifier(text),
            Value::Label => is_made_of(text, "_.-", 1..=NAME_BYTES_MAX),
        }
    }

    /// For a hint: what to write.
    pub fn in_words(self) -> String {
        match self {
            Value::OneOf(words) => format!("one of `{}`", words.join("`, `")),
            Value::Number => "up to six digits".into(),
            Value::Identifier => "a name of lower-case letters, digits and `_`".into(),
            Value::Label => "a name of letters, digits and `_.-`".into(),
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

/// A DNS name as every resolver reads it: lower case, no empty label, no last dot, not an address.
pub fn is_host_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
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
        (None, Host::Ip(IpAddr::V4(ip))) => pattern == "127.0.0.1" && ip.is_loopback(),
        (None, Host::Ip(IpAddr::V6(ip))) => pattern == "::1" && ip.is_loopback(),
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

/// What to write instead of an entry that is one.
type Mistake = fn(&str) -> Option<&'static str>;

impl Policy {
    /// Every entry that is not a pattern or would allow too much, each with what to write; empty for a sound policy.
    pub fn mistakes(&self) -> Vec<Refusal> {
        let lists: [(&str, &[String], Mistake); 5] = [
            ("allow_hosts", &self.allow_hosts, host_mistake),
            ("allow_projects", &self.allow_projects, project_mistake),
            ("allow_databases", &self.allow_databases, database_mistake),
            ("allow_schemas", &self.allow_schemas, schema_mistake),
            ("deny_systems", &self.deny_systems, system_mistake),
        ];
        let entries = lists.iter().flat_map(|(key, list, mistake)| {
            list.iter().filter_map(move |entry| mistake(entry).map(|fix| self.mistake(key, entry, fix)))
        });
        entries.chain(self.variable_mistakes()).collect()
    }

    fn variable_mistakes(&self) -> Vec<Refusal> {
        let names = [
            ("url_env", &self.url_env),
            ("direct_url_env", &self.direct_url_env),
            ("shadow_url_env", &self.shadow_url_env),
        ];
        let known = ["SUPABASE_URL", "SUPABASE_SERVICE_KEY"];
        let wrong = |index: usize, name: &str| {
            let repeated = names[..index].iter().any(|(_, earlier)| *earlier == name) || known.contains(&name);
            repeated || !is_made_of(name, "_", 1..=200) || name.starts_with(|c: char| c.is_ascii_digit())
        };
        names
            .iter()
            .enumerate()
            .filter(|(index, (_, name))| wrong(*index, name))
            .map(|(_, (key, name))| self.mistake(key, name, "a variable name of its own, such as `DATABASE_URL`"))
            .collect()
    }

    fn mistake(&self, key: &str, entry: &str, fix: &str) -> Refusal {
        let message = format!("drill.toml: `{entry}` in `{key}` of target `{}` cannot be used", self.target);
        Refusal::new("policy", message, format!("write {fix}"))
    }
}

fn host_mistake(pattern: &str) -> Option<&'static str> {
    let name = pattern.strip_prefix("*.").unwrap_or(pattern);
    if is_supabase_host(name) {
        return Some("the project's ref in `allow_projects`: Supabase's hosts are shared by all projects");
    }
    let sound = match pattern.strip_prefix("*.") {
        Some(suffix) => is_host_name(suffix) && suffix.contains('.'),
        None => is_host_name(pattern) || matches!(pattern, "127.0.0.1" | "::1"),
    };
    (!sound).then_some("a lower-case host name, `*.` before at least two labels, `localhost`, `127.0.0.1` or `::1`")
}

fn project_mistake(project: &str) -> Option<&'static str> {
    (!is_project_ref(project)).then_some("the project's ref, 20 lower-case letters or digits")
}

fn database_mistake(pattern: &str) -> Option<&'static str> {
    if MAINTENANCE.contains(&pattern) {
        return Some("the name of a disposable database: this one is on every server");
    }
    let sound = match pattern.strip_prefix('*') {
        Some(suffix) => suffix.starts_with(['_', '-']) && is_made_of(suffix, "_-", 2..=NAME_BYTES_MAX - 1),
        None => pattern.starts_with(|c: char| c.is_ascii_alphabetic()) && is_made_of(pattern, "_-", 1..=NAME_BYTES_MAX),
    };
    (!sound).then_some("a name, or `*_suffix` such as `*_staging`")
}

fn schema_mistake(schema: &str) -> Option<&'static str> {
    let foreign = FOREIGN_SCHEMAS.iter().any(|start| schema.starts_with(start));
    (foreign || !is_identifier(schema))
        .then_some("the name of a schema of yours that a reset may drop, such as `public`")
}

fn system_mistake(identifier: &str) -> Option<&'static str> {
    let sound = (1..=20).contains(&identifier.len()) && identifier.bytes().all(|byte| byte.is_ascii_digit());
    (!sound).then_some("the number from `select system_identifier from pg_control_system()`")
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

    #[test]
    fn a_pattern_that_would_allow_everything_is_a_mistake() {
        let list = |entries: &[&str]| entries.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut policy = Policy::new("staging");
        policy.allow_hosts = list(&[
            "*",
            "*.",
            "*.app",
            "a.*.b",
            "*staging.app",
            "",
            "A.b",
            "10.0.0.1",
            "0",
            "*.supabase.co",
            "db.x.supabase.co",
        ]);
        policy.allow_projects = list(&["*", "short", ""]);
        policy.allow_databases = list(&["*", "*_", "*staging", "postgres", "a*", "", "*_a*"]);
        policy.allow_schemas = list(&["auth", "pg_catalog", "*", "a\"b"]);
        policy.deny_systems = list(&["x"]);
        policy.direct_url_env = "DATABASE_URL".into();
        policy.shadow_url_env = "A B".into();
        assert_eq!(policy.mistakes().len(), 11 + 3 + 7 + 4 + 1 + 2, "{:#?}", policy.mistakes());
    }

    #[test]
    fn a_sound_policy_has_no_mistakes() {
        let mut policy = Policy::new("staging");
        policy.allow_hosts =
            ["*.staging.hotdash.app", "localhost", "127.0.0.1", "::1", "postgres"].map(String::from).into();
        policy.allow_databases.push("hotdash_pr1".into());
        assert_eq!(policy.mistakes(), []);
    }
}
