//! What must hold of whatever names a database; see `crate::fuzz`.

#![allow(clippy::expect_used, reason = "a property panics where it does not hold")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pin::dsn::{Dsn, Host};
use redact::Secret;

use crate::error::Refusal;
use crate::guard::{Declared, Policy, check, form, policy, prisma_schema};

/// Everything but RFC 3986's unreserved characters, so that no client sees a character of meaning in a name or
/// password.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The one canonical form, to compare how others read it: user and password percent-encoded, port and `sslmode` spelled
/// out, `schema` where it is not `public`, then the other parameters by name. Children never see a target's own URL.
pub fn to_url(dsn: &Dsn) -> Secret {
    let mut url = format!("postgresql://{}", utf8_percent_encode(&dsn.user, RESERVED));
    if let Some(password) = &dsn.password {
        url.push(':');
        url.extend(utf8_percent_encode(password.expose(), RESERVED));
    }
    url.push_str(&format!("@{}?sslmode={}", dsn.identity(), dsn.sslmode.word()));
    if dsn.schema != "public" {
        url.push_str(&format!("&schema={}", dsn.schema));
    }
    for (name, value) in &dsn.parameters {
        url.push_str(&format!("&{name}={value}"));
    }
    Secret::new(url)
}

/// `url` and the Postgres driver read the place in `text` as `dsn` says.
pub fn assert_same_place(text: &str, dsn: &Dsn) {
    let password = dsn.password.as_ref().map(Secret::expose);
    let url = url::Url::parse(text).expect("url reads it");
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned();
    assert_eq!(url.host_str().map(str::to_ascii_lowercase), Some(dsn.host.to_string()));
    assert_eq!(url.port().unwrap_or(5432), dsn.port);
    assert_eq!(decoded(url.username()), dsn.user);
    assert_eq!(url.password().map(decoded).as_deref(), password);
    assert_eq!(url.path(), format!("/{}", dsn.database));
    assert_eq!(url.fragment(), None);
    let plain = text.split('?').next().expect("split has a first part");
    let driver: postgres::Config = plain.parse().expect("the driver reads it");
    let name = dsn.host.to_string().trim_matches(['[', ']']).to_owned();
    let driver_host = match driver.get_hosts() {
        [postgres::config::Host::Tcp(host)] => host.to_ascii_lowercase(),
        other => panic!("{other:?}"),
    };
    assert_eq!(driver_host.trim_matches(['[', ']']), name);
    assert!(driver.get_hostaddrs().is_empty());
    assert_eq!(driver.get_ports().first().copied().unwrap_or(5432), dsn.port);
    assert_eq!(driver.get_user(), Some(dsn.user.as_str()));
    assert_eq!(driver.get_password(), password.map(str::as_bytes));
    assert_eq!(driver.get_dbname(), Some(dsn.database.as_str()));
}

/// What the fuzzed targets may be.
fn allowed() -> Policy {
    let mut policy = Policy::new("staging");
    policy.allow_hosts = ["*.staging.hotdash.app", "127.0.0.1"].map(String::from).into();
    policy
}

fn assert_allowed(dsn: &Dsn) {
    let host = dsn.host.to_string();
    assert!(host.ends_with(".staging.hotdash.app") || host.starts_with("127."), "{host}");
    let suffixes = ["_staging", "_test", "_sandbox"];
    assert!(suffixes.iter().any(|suffix| dsn.database.len() > suffix.len() && dsn.database.ends_with(suffix)));
    assert_eq!(dsn.schema, "public");
}

fn assert_mute(refusals: &[Refusal], secret: &str) {
    for refusal in refusals {
        assert!(!format!("{refusal:?}").contains(secret), "{refusal:?}");
    }
}

/// What is accepted is one place for every client, in its canonical form too, and a place that is allowed; what is refused is not quoted.
pub fn database_url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(dsn) = form::parse("DATABASE_URL", text) {
        assert_same_place(text, &dsn);
        let canonical = to_url(&dsn);
        assert_same_place(canonical.expose(), &dsn);
        let again = form::parse("DATABASE_URL", canonical.expose()).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        assert_eq!(to_url(&again).expose(), canonical.expose());
        let elsewhere = ["host=", "hostaddr=", "service=", "port=", "user=", "dbname=", "password=", "options=-c"];
        let query = text.split_once('?').map_or("", |(_, query)| query);
        assert!(!query.split('&').any(|pair| elsewhere.iter().any(|name| pair.starts_with(name))), "{query}");
    }
    let exported = BTreeMap::from([("DATABASE_URL".to_owned(), text.to_owned())]);
    if let Ok(candidate) = asked(None, &exported, &[]) {
        assert_allowed(candidate.dsn());
    }
    let Some(at) = text.find("://").map(|at| at + 3) else { return };
    let with_secret = format!("{}u:Zq7-Lm2{}", &text[..at], &text[at..]);
    if with_secret.matches('@').count() > 0 {
        assert_mute(&form::parse("DATABASE_URL", &with_secret).err().unwrap_or_default(), "Zq7");
    }
}

fn asked(
    env_file: Option<&[u8]>,
    exported: &BTreeMap<String, String>,
    files: &[(String, Vec<u8>)],
) -> Result<crate::guard::Candidate, Vec<Refusal>> {
    let policy = allowed();
    let now = Timestamp::UNIX_EPOCH;
    let env_file = env_file.map(|bytes| (".env.staging", bytes));
    check(&Declared { policy: &policy, env_file, exported, project_files: files, now })
}

/// A target as a whole, from its env file and beside it a production file: every URL that comes out is allowed, none of them production's, and
/// nothing that children get is another one.
pub fn target(bytes: &[u8]) {
    let (file, production) = match bytes.windows(4).position(|window| window == b"\n--\n") {
        Some(at) => (&bytes[..=at], &bytes[at + 4..]),
        None => (bytes, &b""[..]),
    };
    let files = [(".env.production".to_owned(), production.to_vec())];
    if let Ok(candidate) = asked(Some(file), &BTreeMap::new(), &files) {
        assert_allowed(candidate.dsn());
        let place = candidate.dsn().identity();
        let known = String::from_utf8_lossy(production);
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let is_known = known.split(&format!("@{place}")).skip(1).any(|rest| !goes_on(rest));
        assert!(!is_known, "production's own place: {place}");
        for (name, value) in candidate.variables() {
            assert!(!value.expose().to_ascii_lowercase().contains("postgres://"), "{name} is handed to children");
        }
    }
    let secret = [file, b"\nDIRECT_URL=postgresql://u:Zq7-Lm2@db.staging.hotdash.app:5432/a_test\n"].concat();
    assert_mute(&asked(Some(&secret), &BTreeMap::new(), &files).err().unwrap_or_default(), "Zq7");
}

/// Lists that pass as a policy let in nothing that is not named in them: `host NAME`, `database NAME` and `project REF` in lines.
pub fn policy(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let listed = |key: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix(key)).map(|entry| entry.trim().to_owned()).collect()
    };
    let mut policy = Policy::new("staging");
    policy.allow_hosts = listed("host ");
    policy.allow_databases = listed("database ");
    policy.allow_projects = listed("project ");
    if !policy.mistakes().is_empty() {
        return;
    }
    let names = ["db.shop.example", "db.abcdefghijklmnopqrst.supabase.co", "aws-0-eu-west-1.pooler.supabase.com"];
    let hosts = names.map(|name| (Host::Name(name.to_owned()), name)).into_iter();
    for (host, name) in hosts.chain([(Host::Ip([203, 0, 113, 9].into()), "203.0.113.9")]) {
        let dsn = |database: &str| Dsn {
            user: "app".to_owned(),
            password: None,
            host: host.clone(),
            port: 5432,
            database: database.to_owned(),
            sslmode: pin::dsn::SslMode::Require,
            schema: "public".to_owned(),
            parameters: BTreeMap::new(),
        };
        let is_named = match policy::home(&dsn("shop")) {
            policy::Home::Project(project) => policy.allow_projects.contains(&project),
            _ => policy.allow_hosts.iter().any(|entry| {
                let entry = entry.rsplit('@').next().unwrap_or_default();
                entry.starts_with("*.shop.example") || entry.starts_with(name)
            }),
        };
        assert!(!policy.allows_home(&dsn("shop")) || is_named, "{name} is let in");
        for database in ["shop", "shop_production", "template1"] {
            let is_named = policy
                .allow_databases
                .iter()
                .any(|entry| *entry == database || entry.strip_prefix("*_").is_some_and(|end| end == "production"));
            assert!(!policy.allows_disposable(database) || is_named, "{database} is let in");
        }
    }
}

/// What is read is read alike with comments around it, with a blank for each of them, and as one of several files; what is refused is told by
/// its line, not by its text.
pub fn prisma_schema(bytes: &[u8]) {
    let read = |bytes: &[u8]| prisma_schema::read([("main.prisma", bytes)]);
    let around = |bytes: &[u8]| [b"// datasource x {\n", bytes, b"\n/* } */ // \"\n"].concat();
    match (read(bytes), read(&around(bytes))) {
        (Ok(schema), commented) => {
            assert_eq!(commented.as_ref(), Ok(&schema));
            let models = b"enum Far {\n A\n}\n";
            assert_eq!(prisma_schema::read([("main.prisma", bytes), ("b.prisma", models)]), Ok(schema));
        }
        (Err(refusal), _) => {
            let line =
                refusal.message.split_once("at line ").and_then(|(_, rest)| rest.split(':').next()?.parse().ok());
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!(line.is_some_and(|line: usize| (1..=lines).contains(&line)), "{refusal:?} of {lines} lines");
        }
    }
    let middle = bytes.len() / 2;
    let with_secret = [&bytes[..middle], b" \"Zq7-Lm2\" ", &bytes[middle..]].concat();
    assert_mute(&read(&with_secret).err().into_iter().collect::<Vec<_>>(), "Zq7");
}
