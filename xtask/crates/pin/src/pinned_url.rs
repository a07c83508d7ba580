//! The one form of a URL that leads through the pin: how it is made for children, and how the interposer knows it
//! again.
//!
//! It is known again by comparing strings, not by parsing: two parsers can disagree about `?host=`, a second `@` or a
//! `%`, and the one that counts is the engine's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Parameters of a target that a child gets, too: they change how Prisma uses a connection, not where it goes.
pub const PASSED_ON: [&str; 6] =
    ["connect_timeout", "connection_limit", "pgbouncer", "pool_timeout", "socket_timeout", "statement_cache_size"];

/// What every datasource URL of a child must say. No secret: the interposer gets it through the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// As it stands in the URL: `127.0.0.1`.
    pub host: String,
    pub port: u16,
    /// Decoded.
    pub user: String,
    pub database: String,
    /// The schema that was verified: `prisma migrate reset` drops whatever `?schema=` says.
    pub schema: String,
    /// The shadow database of this run.
    pub shadow: Option<String>,
}

/// Why a URL is not the pinned one. Shows at most its host and database, and those only where they are plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strayed(String);

impl Strayed {
    pub fn unreadable() -> Self {
        Strayed("a request to the engine cannot be read, so it cannot be checked either".into())
    }
}

impl fmt::Display for Strayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an engine will do with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Target,
    /// The engine empties this database without asking, so it must not be the target (prisma/web PR 4188).
    Shadow,
}

impl Expected {
    /// Accepts exactly the URLs that a lease of this run hands out, with any token, and with parameters that lead
    /// nowhere else.
    pub fn admit(&self, url: &str, purpose: Use) -> Result<(), Strayed> {
        let (location, query) = url.split_once('?').unwrap_or((url, ""));
        let (what, database) = match purpose {
            Use::Target => ("datasource", Some(&self.database)),
            Use::Shadow => ("shadow database", self.shadow.as_ref()),
        };
        let Some(database) = database else {
            return Err(Strayed(format!(
                "this run has no shadow database, but a URL of one leads to {}",
                shown(location)
            )));
        };
        if !self.is_here(location, database) {
            return Err(Strayed(format!(
                "a {what} URL leads to {} instead of `{}:{}/{database}`, the database that this run is pinned to",
                shown(location),
                self.host,
                self.port,
            )));
        }
        let mut seen = Vec::new();
        for parameter in query.split('&').filter(|_| !query.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if seen.contains(&name) || !self.is_harmless(name, value) {
                return Err(Strayed(format!("the datasource URL has the parameter `{}`", plain(name).unwrap_or("…"))));
            }
            seen.push(name);
        }
        if self.schema != DEFAULT_SCHEMA && !seen.contains(&"schema") {
            return Err(Strayed(format!("the datasource URL does not name the schema `{}`", self.schema)));
        }
        Ok(())
    }

    fn is_here(&self, location: &str, database: &str) -> bool {
        let rest = location.strip_prefix("postgresql://").or_else(|| location.strip_prefix("postgres://"));
        let Some((userinfo, place)) = rest.and_then(|rest| rest.split_once('@')) else { return false };
        let (user, token) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        user == percent_encoded(&self.user)
            && token.bytes().all(is_unreserved)
            && place == format!("{}:{}/{database}", self.host, self.port)
    }

    fn is_harmless(&self, name: &str, value: &str) -> bool {
        match name {
            "schema" => value == self.schema,
            "sslmode" => matches!(value, "disable" | "prefer"),
            _ => PASSED_ON.contains(&name) && value.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        }
    }
}

/// What Prisma takes where a URL names no schema.
const DEFAULT_SCHEMA: &str = "public";

/// What stands between the last `@` and the `?`, if it holds only what host names, ports and database names are made
/// of.
fn shown(location: &str) -> String {
    let place = location.rsplit_once('@').and_then(|(_, place)| plain(place));
    place.map_or_else(|| "another place".to_owned(), |place| format!("`{place}`"))
}

fn plain(text: &str) -> Option<&str> {
    let fits = |byte: u8| is_unreserved(byte) || b":/[]".contains(&byte);
    (!text.is_empty() && text.len() <= 128 && text.bytes().all(fits)).then_some(text)
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if is_unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            host: "127.0.0.1".into(),
            port: 40_001,
            user: "postgres.abc@x".into(),
            database: "shop_staging".into(),
            schema: "public".into(),
            shadow: Some("drill_shadow".into()),
        }
    }

    #[test]
    fn the_urls_of_a_lease_pass() {
        for url in [
            "postgresql://postgres.abc%40x:tOk-en_1@127.0.0.1:40001/shop_staging?schema=public",
            "postgres://postgres.abc%40x:t@127.0.0.1:40001/shop_staging",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging?schema=public&connection_limit=1",
            "postgresql://postgres.abc%40x@127.0.0.1:40001/shop_staging?sslmode=disable",
        ] {
            assert_eq!(expected().admit(url, Use::Target), Ok(()), "{url}");
        }
    }

    #[test]
    fn whatever_leads_elsewhere_or_could_is_refused() {
        for url in [
            "",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40002/shop_staging",
            "postgresql://postgres.abc%40x:t@127.0.0.1/shop_staging",
            "postgresql://postgres.abc%40x:t@db.example.com:40001/shop_staging",
            "postgresql://postgres.abc%40x:t@localhost:40001/shop_staging",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging/../shop",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging#x",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging?host=db.example.com",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging?%68ost=db.example.com",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging?schema=auth",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging?schema=public&schema=auth",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging?schema=public%22",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging?connection_limit=1%26host%3Dx",
            "postgresql://postgres.abc%40x:t@127.0.0.1:40001,db:5432/shop_staging",
            "postgresql://a:t@db:5432/x?@127.0.0.1:40001/shop_staging",
            "postgresql://postgres.abc%40x:t@db@127.0.0.1:40001/shop_staging",
            "postgresql://other:t@127.0.0.1:40001/shop_staging",
            "POSTGRESQL://postgres.abc%40x:t@127.0.0.1:40001/shop_staging",
            " postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging",
            "prisma+postgres://localhost:40001/?api_key=e30",
            "file:./dev.db",
        ] {
            assert!(expected().admit(url, Use::Target).is_err(), "{url}");
        }
    }

    #[test]
    fn the_target_is_never_a_shadow_database_and_the_shadow_database_never_the_target() {
        let target = "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging";
        let shadow = "postgresql://postgres.abc%40x:t@127.0.0.1:40001/drill_shadow";
        assert_eq!(expected().admit(shadow, Use::Shadow), Ok(()));
        assert!(expected().admit(target, Use::Shadow).is_err());
        assert!(expected().admit(shadow, Use::Target).is_err());
        let without = Expected { shadow: None, ..expected() };
        assert!(without.admit(shadow, Use::Shadow).is_err());
    }

    #[test]
    fn a_schema_other_than_the_default_must_be_named() {
        let expected = Expected { schema: "app".into(), ..expected() };
        let here = "postgresql://postgres.abc%40x:t@127.0.0.1:40001/shop_staging";
        assert_eq!(expected.admit(&format!("{here}?schema=app"), Use::Target), Ok(()));
        assert!(expected.admit(here, Use::Target).is_err());
    }

    #[test]
    fn a_refusal_shows_where_but_never_who_or_the_password() {
        for url in [
            "postgresql://u:s3cret@db.example.com:5432/prod?x=s3cret",
            "postgresql://u:s3/cret@x@db.example.com:5432/prod",
            "postgresql://u:s3?cret@db.example.com/prod",
            "postgresql://u:s3#cret@db.example.com/prod",
            "postgresql://db/s3cret",
        ] {
            let text = expected().admit(url, Use::Target).unwrap_err().to_string();
            assert!(!text.contains("s3") && !text.contains("cret"), "{text}");
        }
        let text = expected().admit("postgresql://u:p@db.example.com:5432/prod", Use::Target).unwrap_err().to_string();
        assert!(text.contains("`db.example.com:5432/prod`"), "{text}");
    }
}
