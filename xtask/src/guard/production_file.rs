//! Whether a production file names the target, however it is written there.
//!
//! The file is searched, not parsed: it may be of any tool. What could be a host is brought to one canonical form, as the clients' own
//! libraries would, so that `DB.App.`, `%64b.app`, `127.1` or `[::ffff:127.0.0.1]` hide nothing. A name that only leads to the same
//! address can be told by asking the resolver alone; those are handed to the pin, which asks before it dials.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use percent_encoding::percent_decode_str;
use pin::dsn::Dsn;
use url::Host;

use crate::error::Refusal;
use crate::guard::candidate::{Reading, project_ref};
use crate::guard::declared::Declared;
use crate::guard::policy::{Home, home};
use crate::guard::project_files::without_comments;
use crate::guard::providers::{self, ToldApartBy};
use crate::guard::supabase::project_of;

/// More names than this in one file are no list of databases.
const MOST_NAMES: usize = 64;

/// The refusal of each production file that names the target's project, or both its host and its database. The port is not compared:
/// one database may be reached directly and through a pooler.
pub fn check(declared: &Declared<'_>, reading: &Reading) -> Vec<Refusal> {
    texts(declared).filter_map(|(name, text)| shared(name, &text, reading)).collect()
}

fn shared(name: &str, text: &str, reading: &Reading) -> Option<Refusal> {
    let dsn = reading.dsn.as_ref()?;
    let project = project_ref(dsn, reading.supabase.as_ref());
    let what = match &project {
        Some(project) if names_project(text, project) => format!("the Supabase project `{project}`"),
        _ if names_database(text, dsn) && names_server(text, dsn) => format!("`{}`", dsn.identity()),
        _ => return None,
    };
    let seen = format!("`{name}`, a production file, names {what} too");
    Some(Refusal::new("production-file", seen, format!("correct the target, or remove it from `{name}`")))
}

/// The host names of those production files that name a database as the target does: if one leads to the target's address, it is the
/// target's other name. Not where a proxy has that address for many: there the tenant was compared.
pub fn other_names(declared: &Declared<'_>, dsn: &Dsn) -> Vec<String> {
    if providers::told_apart_by(&dsn.host) != ToldApartBy::Host {
        return Vec::new();
    }
    let texts = texts(declared).map(|(_, text)| text).filter(|text| names_database(text, dsn));
    let names: BTreeSet<String> = texts.flat_map(|text| hosts(&text)).filter(|host| is_dns_name(host)).collect();
    names.into_iter().take(MOST_NAMES).collect()
}

/// The production files: as they stand and as a client decodes them, without comments.
fn texts<'a>(declared: &'a Declared<'_>) -> impl Iterator<Item = (&'a str, String)> {
    let files = declared.project_files.iter().map(|(name, bytes)| (name.as_str(), bytes));
    let files = files.filter(|(name, _)| name.rsplit('/').next().unwrap_or(name).starts_with(".env.prod"));
    files.map(|(name, bytes)| (name, readings(&String::from_utf8_lossy(bytes))))
}

fn readings(text: &str) -> String {
    let text = without_comments(text, "#");
    let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
    if decoded == text { text } else { format!("{text}\n{decoded}") }
}

fn names_project(text: &str, project: &str) -> bool {
    let words = text.split(|c: char| c.is_whitespace() || "'\"`=:,".contains(c));
    mentions(&text.to_ascii_lowercase(), project, "")
        || words.into_iter().any(|word| project_of(word).as_deref() == Some(project))
}

/// On Supabase every project has a database `postgres`, on the same hosts; there only the project counts. Elsewhere it is one like any other, which a URL of
/// the scheme `postgres` seems to name, too: then the server decides alone.
fn names_database(text: &str, dsn: &Dsn) -> bool {
    let is_a_projects = dsn.database == "postgres" && matches!(home(dsn), Home::Project(_) | Home::UnknownProject);
    !is_a_projects && mentions(text, &dsn.database, "-")
}

/// The host, or what tells a proxy's tenants apart, under whatever name that proxy goes.
fn names_server(text: &str, dsn: &Dsn) -> bool {
    match providers::told_apart_by(&dsn.host) {
        ToldApartBy::Host => hosts(text).contains(&canonical(&dsn.host.to_string())),
        ToldApartBy::User => mentions(text, &dsn.user, "-."),
        ToldApartBy::Port => mentions(text, &dsn.port.to_string(), ""),
    }
}

/// True where `word` stands in `text` with no letter, digit, `_` or character of `joining` on either side.
fn mentions(text: &str, word: &str, joining: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || joining.contains(c));
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
        !joins(before) && !joins(after)
    })
}

/// All that a client could take for a host, in canonical form.
fn hosts(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_alphanumeric() || "-._:[]".contains(c) || is_ideographic_dot(c) || is_invisible(c);
    let words = text.split(|c: char| !is_part(c)).filter(|word| !word.is_empty());
    let after_at = text.split('@').skip(1).filter_map(|rest| rest.split(|c: char| !is_part(c)).next());
    let behind_at = after_at.filter_map(|word| word.split(':').next()).map(canonical);
    let parts = words.flat_map(|word| std::iter::once(word).chain(word.split([':', '[', ']'])));
    parts.filter(|part| !is_small_number(part)).map(canonical).chain(behind_at).collect()
}

/// `5432` is a port; only behind an `@` is it an address.
fn is_small_number(word: &str) -> bool {
    word.len() < 8 && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// One text for all that leads to one place: no case, no last dot, Unicode names as their ASCII form, addresses as one notation of one
/// family, and loopback as one name.
fn canonical(host: &str) -> String {
    let name: String = host.chars().filter(|c| !is_invisible(*c)).map(plain).flat_map(char::to_lowercase).collect();
    let name = name.trim_matches(['[', ']']).trim_end_matches('.');
    let ascii = name.split('.').map(to_ascii).collect::<Vec<_>>().join(".");
    let address = match name.parse::<IpAddr>() {
        Ok(address) => Some(address),
        Err(_) => match Host::parse(&ascii) {
            Ok(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            _ => None,
        },
    };
    match address.map(in_one_family) {
        Some(address) if address.is_loopback() || address.is_unspecified() => "localhost".into(),
        Some(address) => address.to_string(),
        None if ascii.ends_with(".localhost") || ascii == "localhost.localdomain" => "localhost".into(),
        None => ascii,
    }
}

fn in_one_family(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) if !six.is_loopback() && !six.is_unspecified() => {
            six.to_ipv4().map_or(address, |four: Ipv4Addr| IpAddr::V4(four))
        }
        address => address,
    }
}

/// As the resolver knows a name that is not ASCII (RFC 3492, RFC 5890).
fn to_ascii(label: &str) -> String {
    match idna::punycode::encode_str(label) {
        Some(encoded) if !label.is_ascii() => format!("xn--{encoded}"),
        _ => label.to_owned(),
    }
}

/// Full-width letters and the other dots, which some clients take for the plain ones (UTS 46).
fn plain(c: char) -> char {
    match c {
        c if is_ideographic_dot(c) => '.',
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        c => c,
    }
}

fn is_ideographic_dot(c: char) -> bool {
    matches!(c, '\u{3002}' | '\u{FF0E}' | '\u{FF61}')
}

/// A soft hyphen and what has no width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

fn is_dns_name(host: &str) -> bool {
    host.contains('.') && host.parse::<IpAddr>().is_err() && crate::guard::pattern::is_host_name(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_form_however_it_is_written() {
        for (written, form) in [
            ("DB.Staging.App.", "db.staging.app"),
            ("db\u{3002}staging\u{FF0E}app", "db.staging.app"),
            ("\u{FF44}b.sta\u{AD}ging.app", "db.staging.app"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("127.1", "localhost"),
            ("0x7f000001", "localhost"),
            ("0177.0.0.1", "localhost"),
            ("2130706433", "localhost"),
            ("127.255.0.9", "localhost"),
            ("[::1]", "localhost"),
            ("0:0:0:0:0:0:0:1", "localhost"),
            ("[::ffff:127.0.0.1]", "localhost"),
            ("0.0.0.0", "localhost"),
            ("LocalHost.", "localhost"),
            ("db.localhost", "localhost"),
            ("[::FFFF:0a00:0005]", "10.0.0.5"),
            ("10.5", "10.0.0.5"),
        ] {
            assert_eq!(canonical(written), form, "{written}");
        }
    }

    #[test]
    fn a_mention_is_a_whole_word() {
        assert!(mentions("DB=x_test", "x_test", "-"));
        assert!(!mentions("hotdash_staging_old my_hotdash_staging", "hotdash_staging", "-"));
        let found = hosts("postgres://u:p@db.a.app:5432/x_test?y @db.b.app.evil.com @xdb.c.app PORT=5432");
        assert!(found.contains("db.a.app") && !found.contains("db.b.app") && !found.contains("db.c.app"), "{found:?}");
    }
}
