//! One strict grammar for a Postgres URL, over its bytes.
//!
//! libpq, tokio-postgres, node-postgres, Prisma's engine and the Supabase CLI each have a parser of their own, and they
//! dial different hosts for the same text: the first `@` or the last, `?host=`, several hosts, `#`, tabs that vanish,
//! `..` that is resolved. So this grammar has no opinion about such texts; it refuses them:
//!
//! ```text
//! ("postgres" | "postgresql") "://" user [":" password] "@" host [":" port] "/" database ["?" key "=" value ("&" …)*]
//! ```
//!
//! Whatever it accepts may be given to an ordinary parser: tests show that they all agree with the canonical form. A
//! refusal names characters and well-formed names, never a piece of a text that may hold a password.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;

use crate::error::Refusal;
use pin::dsn::{Dsn, Host, SslMode};
use redact::Secret;

use crate::guard::host_entry;
use crate::guard::pattern::{NAME_BYTES_MAX, Value, ends_in_a_number, is_host_name, is_made_of};
use crate::guard::policy::{PARAMETERS, WITHOUT_EFFECT};
use crate::guard::providers::{self, ToldApartBy};

const DEFAULT_PORT: u16 = 5432;

/// What is wrong, and what to type; the variable's name is added at the door.
struct Flaw(&'static str, String, String);

type Parsed<T> = Result<T, Flaw>;

fn flaw<T>(check: &'static str, seen: impl Into<String>, fix: impl Into<String>) -> Parsed<T> {
    Err(Flaw(check, seen.into(), fix.into()))
}

/// Reads the value of `variable`.
///
/// # Errors
/// Every part that does not fit the grammar, or the one flaw that keeps the parts from being told apart.
pub fn parse(variable: &str, text: &str) -> Result<Dsn, Vec<Refusal>> {
    let refusal = |Flaw(check, seen, fix)| Refusal::new(check, format!("`{variable}` {seen}"), fix);
    let parts = split(text).map_err(|flaw| vec![refusal(flaw)])?;
    let mut flaws = Vec::new();
    let mut keep = |flaw: Flaw| flaws.push(refusal(flaw));
    let user = read_user(parts.user).map_err(&mut keep);
    let password = parts.password.map(read_password).transpose().map_err(&mut keep);
    let address = read_address(parts.address).map_err(&mut keep);
    let database = read_database(parts.database, parts.address).map_err(&mut keep);
    let parameters = parts.query.map_or(Ok(BTreeMap::new()), read_parameters).map_err(&mut keep);
    match (user, password, address, database, parameters) {
        (Ok(user), Ok(password), Ok((host, port)), Ok(database), Ok(mut parameters)) => {
            check_user_length(&user, &host).map_err(|flaw| vec![refusal(flaw)])?;
            check_endpoint(&parameters, &host).map_err(|flaw| vec![refusal(flaw)])?;
            let sslmode = read_sslmode(&mut parameters).map_err(|flaw| vec![refusal(flaw)])?;
            check_channel_binding(&mut parameters, sslmode).map_err(|flaw| vec![refusal(flaw)])?;
            parameters.retain(|name, _| is_kept(name));
            let schema = parameters.remove("schema").unwrap_or_else(|| "public".into());
            Ok(Dsn { user, password, host, port, database, sslmode, schema, parameters })
        }
        _ => Err(flaws),
    }
}

/// The parameters of `text`, which [`parse`] accepted, that change nothing here: to be told.
pub fn without_effect(text: &str) -> Vec<String> {
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
    names.filter(|name| *name == ENDPOINT || is_without_effect(name)).map(str::to_owned).collect()
}

struct Parts<'a> {
    user: &'a str,
    password: Option<&'a str>,
    address: &'a str,
    database: &'a str,
    query: Option<&'a str>,
}

/// Cuts at the one `@`, the first `/` after it and the first `?` after that; every character has been looked at by
/// then.
fn split(text: &str) -> Parsed<Parts<'_>> {
    let rest = after_scheme(text)?;
    if leads_to_a_socket(rest) {
        return flaw(
            "url",
            "leads to a Unix socket, which the clients do not spell alike",
            "write `postgresql://user:password@127.0.0.1:5432/database`, and let the server, or Cloud SQL's proxy, listen there",
        );
    }
    let Some((userinfo, location)) = rest.rsplit_once('@') else {
        return flaw("url", "names no user", "write `postgresql://user:password@host:5432/database`");
    };
    check_userinfo(userinfo)?;
    check_location(location)?;
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (userinfo, None),
    };
    let (path, query) = match location.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (location, None),
    };
    match path.split_once('/') {
        Some((address, database)) => Ok(Parts { user, password, address, database, query }),
        None => flaw("url", "names no database", "add `/` and the database's name behind the host"),
    }
}

/// A folder in the place of the host, as libpq writes it, or behind `host=`, as Prisma's and Cloud SQL's pages do.
fn leads_to_a_socket(rest: &str) -> bool {
    let is_folder =
        |text: &str| text.starts_with('/') || text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2F"));
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    let host = location.rsplit_once('@').map_or(location, |(_, host)| host);
    let named = query.split('&').filter_map(|pair| pair.strip_prefix("host=")).any(is_folder);
    named || host.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2F"))
}

fn after_scheme(text: &str) -> Parsed<&str> {
    if let Some(rest) = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        return Ok(rest);
    }
    let start = text.to_ascii_lowercase();
    if text.is_empty() {
        flaw("url", "is empty", "write `postgresql://user:password@host:5432/database`, or remove the variable")
    } else if start.starts_with("postgres://") || start.starts_with("postgresql://") {
        flaw("url", "spells the scheme in capitals, which libpq does not know", "write `postgresql://` in lower case")
    } else if start.starts_with("prisma:") || start.starts_with("prisma+") {
        flaw(
            "url",
            "hides the real address in an API key",
            "use the direct `postgres://` URL of the database, which Prisma's console gives, too",
        )
    } else if start.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).starts_with("postgres") {
        flaw("url", "has a character before `postgresql://`", "remove the blank, quote or byte order mark at the start")
    } else {
        flaw("url", "is not a Postgres URL", "write `postgresql://user:password@host:5432/database`")
    }
}

/// RFC 3986's `userinfo`: unreserved characters, sub-delimiters, `:` and `%XX`.
fn check_userinfo(userinfo: &str) -> Parsed<()> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:%".contains(c);
    let mut wrong: BTreeSet<char> = userinfo.chars().filter(|&c| !valid(c)).collect();
    if has_bad_escape(userinfo) {
        wrong.insert('%');
    }
    if let Some(c) = wrong.iter().find(|c| c.is_control()) {
        return flaw("url", format!("holds the control character U+{:04X}", u32::from(*c)), "remove it");
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let fixes: Vec<String> = wrong.iter().map(|c| format!("{} as `{}`", shown(*c), escaped(*c))).collect();
    flaw(
        "url",
        "has a character in the user name or password that clients read as the end of it",
        format!("in the user name and the password write {}", fixes.join(", ")),
    )
}

/// A character that could act on a terminal, or not be seen, by its number.
fn shown(c: char) -> String {
    if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() {
        format!("`{c}`")
    } else {
        format!("U+{:04X}", u32::from(c))
    }
}

fn escaped(c: char) -> String {
    c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn has_bad_escape(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .any(|rest| !rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
}

/// What no host, database or parameter may hold, and what each client does with it differs most.
fn check_location(location: &str) -> Parsed<()> {
    match location.chars().find(|c| !c.is_ascii_graphic() || "#\\\"<>^`{|}'$".contains(*c)) {
        None => Ok(()),
        Some(c @ ('\n' | '\r')) if location.ends_with(c) => flaw("url", "ends in a line break", "remove it"),
        Some('#') => flaw("url", "has a `#` behind the host", "remove it; in a password write `%23`"),
        Some('$') => flaw("url", "has an unexpanded variable", "write the value itself"),
        Some(c) if c.is_ascii_graphic() => flaw("url", format!("has a `{c}` behind the user"), "remove it"),
        Some(c) => {
            flaw("url", format!("holds the character U+{:04X}", u32::from(c)), "remove it; only ASCII is read alike")
        }
    }
}

/// The text behind `%XX`, which must be printable UTF-8: clients send other bytes differently, or stop at a NUL.
fn decode(what: &str, raw: &str) -> Parsed<String> {
    match percent_decode_str(raw).decode_utf8() {
        Ok(text) if text.chars().any(char::is_control) => {
            flaw("url", format!("has an escape for a control character in the {what}"), format!("correct the {what}"))
        }
        Ok(text) => Ok(text.into_owned()),
        Err(_) => flaw(
            "url",
            format!("has escapes in the {what} that are not UTF-8"),
            format!("percent-encode the UTF-8 bytes of the {what}"),
        ),
    }
}

fn read_user(raw: &str) -> Parsed<String> {
    let user = decode("user name", raw)?;
    let needless = raw.split('%').skip(1).any(|rest| {
        let byte = rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    });
    match user.len() {
        0 => flaw("url", "names no user", "write `postgresql://user:password@host:5432/database`"),
        // An escaped `.` would hide the project ref from a pooler that reads the name undecoded.
        _ if needless => flaw(
            "url",
            "escapes a character of the user name that needs no escape",
            "write letters, digits and `-._~` as they are",
        ),
        _ => Ok(user),
    }
}

/// Where a proxy reads the tenant from the name, the server never sees it.
fn check_user_length(user: &str, host: &Host) -> Parsed<()> {
    let longest = if providers::told_apart_by(host) == ToldApartBy::User { 128 } else { NAME_BYTES_MAX };
    match user.len() <= longest {
        true => Ok(()),
        false => {
            flaw("url", format!("has a user name over {longest} bytes, which the server cuts"), "correct the user name")
        }
    }
}

fn read_password(raw: &str) -> Parsed<Secret> {
    if raw.is_empty() {
        return flaw("url", "has an empty password", "write the password after the `:`; on loopback the `:` may go");
    }
    decode("password", raw).map(Secret::new)
}

fn read_address(address: &str) -> Parsed<(Host, u16)> {
    if address.contains(',') {
        return flaw("url", "names several hosts", "name the one host that is staging");
    }
    if let Some(rest) = address.strip_prefix('[') {
        let Some((ip, port)) = rest.split_once(']').and_then(|(ip, port)| Some((host_entry::read_address(ip)?, port)))
        else {
            return flaw(
                "url",
                "has an IPv6 address that is not one machine's, or is not in its shortest spelling",
                "write the host's name, or an address such as `[::1]`",
            );
        };
        return Ok((Host::Ip(ip), read_port(port)?));
    }
    let (name, port) = address.split_at(address.find(':').unwrap_or(address.len()));
    // Host names have no case; every client reaches the same host, so the canonical form is lower case.
    Ok((read_host(&name.to_ascii_lowercase())?, read_port(port)?))
}

fn read_host(name: &str) -> Parsed<Host> {
    if ends_in_a_number(name) {
        return match host_entry::read_address(name) {
            Some(ip) => Ok(Host::Ip(ip)),
            None => flaw(
                "url",
                "has a number for a host that is not one machine's address, or is not spelled in full",
                "write the host's name, or its address with four numbers and three dots",
            ),
        };
    }
    match name {
        "" => flaw("url", "names no host", "write the host's name between `@` and the port"),
        name if name.contains('%') => flaw("url", "has an escape in the host", "write the host's plain name"),
        name if is_host_name(name) => Ok(Host::Name(name.into())),
        _ => flaw(
            "url",
            "has a host that is not a DNS name",
            "write the host's name: letters, digits, `-` and single dots",
        ),
    }
}

/// What follows the host: nothing, or `:` and a decimal number without leading zeros.
fn read_port(text: &str) -> Parsed<u16> {
    let digits = match text.strip_prefix(':') {
        None if text.is_empty() => return Ok(DEFAULT_PORT),
        None => "",
        Some(digits) => digits,
    };
    match digits.parse() {
        // `parse` alone would take `+5432` and `005432`.
        Ok(port) if digits.starts_with(|c: char| matches!(c, '1'..='9')) => Ok(port),
        _ => flaw(
            "url",
            "has a port that is not a number from 1 to 65535",
            "write the port in digits; a `:`, `/`, `?`, `#` or `@` of the password must be percent-encoded",
        ),
    }
}

fn read_database(name: &str, address: &str) -> Parsed<String> {
    match name {
        // Its console leaves the name out, and clients differ in what they then take: the user's, or this.
        "" if address.contains("prisma.io") => flaw("url", "names no database", "add `postgres` behind the `/`"),
        "" => flaw("url", "names no database", "add the database's name behind the `/`"),
        name if name.contains('/') => {
            flaw("url", "has a path of several parts", "write one `/` and the database's name")
        }
        name if name.contains('%') => {
            flaw("url", "has an escape in the database's name", "use a name of letters, digits, `_` and `-`")
        }
        name if name.len() > NAME_BYTES_MAX => {
            flaw("url", "has a database name over 63 bytes, which the server cuts silently", "use a shorter name")
        }
        name if is_made_of(name, "_-", 1..=NAME_BYTES_MAX) => Ok(name.into()),
        _ => flaw("url", "has a database name that clients read differently", "use letters, digits, `_` and `-`"),
    }
}

fn read_parameters(query: &str) -> Parsed<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&') {
        let Some((key, value)) = pair.split_once('=') else {
            return flaw("parameter", "has a parameter without `=`", "write `key=value` pairs, joined by `&`");
        };
        let Some((key, allowed)) = known(key, value) else {
            return unknown_parameter(key);
        };
        if !allowed.fits(value) {
            return flaw(
                "parameter",
                format!("has a value of `{key}` that is not allowed"),
                format!("write `{key}=` and {}", allowed.in_words()),
            );
        }
        if parameters.insert(key.to_owned(), value.to_owned()).is_some() {
            return flaw("parameter", format!("sets `{key}` twice"), format!("keep one `{key}`"));
        }
    }
    Ok(parameters)
}

/// Neon's name for the parameter that names an endpoint.
const ENDPOINT: &str = "options";
const ROOTS: &str = "sslrootcert";

/// The last two are what other clients read as anything: only these values of them are known.
fn known(key: &str, value: &str) -> Option<(&'static str, Value)> {
    let narrow = [(ENDPOINT, Value::Endpoint), (ROOTS, Value::OneOf(&["system"]))];
    let narrow = narrow.into_iter().filter(|(_, allowed)| allowed.fits(value));
    PARAMETERS.into_iter().chain(WITHOUT_EFFECT).chain(narrow).find(|(name, _)| *name == key)
}

fn is_without_effect(name: &str) -> bool {
    WITHOUT_EFFECT.iter().any(|(without, _)| *without == name)
}

/// What is told apart from the target's own: what children and the connection itself act on.
fn is_kept(name: &str) -> bool {
    PARAMETERS.iter().any(|(kept, _)| *kept == name)
}

/// Neon's proxy follows `options=endpoint=…` before the name in the handshake, which is the host's and always sent here: so it may say the same.
fn check_endpoint(parameters: &BTreeMap<String, String>, host: &Host) -> Parsed<()> {
    let Some(endpoint) = parameters.get(ENDPOINT).and_then(|value| Value::endpoint(value)) else { return Ok(()) };
    match providers::neon_endpoint(host) {
        Some(own) if own == endpoint => Ok(()),
        Some(_) => flaw(
            "parameter",
            "names with `options` another endpoint of Neon than its host does",
            "remove `options`, and let the host name the endpoint that is staging",
        ),
        None => unknown_parameter(ENDPOINT),
    }
}

/// The login is bound to the TLS session wherever the server offers it; `require` asks for no login without.
fn check_channel_binding(parameters: &mut BTreeMap<String, String>, sslmode: SslMode) -> Parsed<()> {
    match parameters.get("channel_binding").map(String::as_str) {
        Some("require") if matches!(sslmode, SslMode::Disable | SslMode::Allow | SslMode::Prefer) => flaw(
            "parameter",
            "asks with `channel_binding` for TLS, which its `sslmode` does not",
            "write `sslmode=require`, or remove `channel_binding=require`",
        ),
        Some("require") => Ok(()),
        _ => {
            parameters.remove("channel_binding");
            Ok(())
        }
    }
}

/// libpq's `sslmode` and Prisma's `sslaccept` as one: `strict` is Prisma's word for a certificate that has to be right, name included, and
/// would not be honoured by a connection that may be plain. Where the two contradict each other, neither is chosen.
fn read_sslmode(parameters: &mut BTreeMap<String, String>) -> Parsed<SslMode> {
    let mode = parameters.remove("sslmode").and_then(|word| SslMode::from_word(&word));
    // libpq: with the system's roots nothing less than `verify-full` is allowed, and it is the default.
    let mode = match (parameters.remove(ROOTS), mode) {
        (Some(_), None) => Some(SslMode::VerifyFull),
        (Some(_), Some(weaker)) if weaker != SslMode::VerifyFull => {
            return flaw(
                "parameter",
                "asks with `sslrootcert=system` for a certificate that is checked, and with `sslmode` for less",
                "write `sslmode=verify-full`, or remove `sslrootcert`",
            );
        }
        (_, mode) => mode,
    };
    match (parameters.remove("sslaccept").as_deref(), mode) {
        (Some("strict"), Some(SslMode::Disable | SslMode::Allow)) => flaw(
            "parameter",
            "asks with `sslaccept` for a certificate that is checked, and with `sslmode` for none",
            "write `sslmode=verify-full`, or remove `sslaccept=strict`",
        ),
        (Some("strict"), _) => Ok(SslMode::VerifyFull),
        (Some(_), Some(SslMode::VerifyCa | SslMode::VerifyFull)) => flaw(
            "parameter",
            "asks with `sslmode` for a certificate that is checked, and with `sslaccept` for any",
            "remove `sslaccept=accept_invalid_certs`",
        ),
        (_, mode) => Ok(mode.unwrap_or(SslMode::Prefer)),
    }
}

/// What to write instead of a parameter that is known elsewhere, and would mean something.
fn instead_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "ssl" => "write `sslmode=require`: `ssl` is not read alike",
        "sslrootcert" | "sslcert" | "sslidentity" | "sslpassword" | "sslkey" => {
            "remove it; a certificate authority is named as `ca_file` under the target in drill.toml, and no client certificate is sent"
        }
        _ => return None,
    })
}

fn unknown_parameter<T>(key: &str) -> Parsed<T> {
    let seen = match key {
        key if is_made_of(key, "_", 1..=30) => {
            format!("has the parameter `{key}`, which could redirect or change the session")
        }
        _ => "has a parameter whose name is not plain".into(),
    };
    let known = || PARAMETERS.map(|(name, _)| name).join("`, `");
    let fix = instead_of(key).map_or_else(|| format!("remove it; allowed are `{}`", known()), str::to_owned);
    flaw("parameter", seen, fix)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use redact::Secret;

    /// Everything but RFC 3986's unreserved characters, so that no client sees a character of meaning in a name or
    /// password.
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

    /// The one canonical form, to compare how others read it: user and password percent-encoded, port and `sslmode` spelled
    /// out, `schema` where it is not `public`, then the other parameters by name. Children never see a target's own URL.
    fn to_url(dsn: &Dsn) -> Secret {
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

    use super::*;

    fn read(text: &str) -> Dsn {
        parse("DATABASE_URL", text).unwrap_or_else(|refusals| panic!("{text}: {refusals:?}"))
    }

    fn refused(text: &str) -> String {
        let refusals = parse("DATABASE_URL", text).map(|dsn| dsn.identity()).expect_err(text);
        refusals.iter().map(|r| format!("{}: {} -> {}\n", r.check, r.message, r.hint)).collect()
    }

    /// `url` and the Postgres driver read `text` as `dsn` says.
    fn assert_agreement(text: &str, dsn: &Dsn) {
        let password = dsn.password.as_ref().map(Secret::expose);
        let url = url::Url::parse(text).expect("url reads it");
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().expect("UTF-8").into_owned();
        assert_eq!(url.host_str().map(str::to_ascii_lowercase), Some(dsn.host.to_string()));
        assert_eq!(url.port().unwrap_or(5432), dsn.port);
        assert_eq!(decoded(url.username()), dsn.user);
        assert_eq!(url.password().map(decoded).as_deref(), password);
        assert_eq!(url.path(), format!("/{}", dsn.database));
        assert_eq!(url.fragment(), None);
        assert_same_parameters(&url, dsn);
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

    /// Each parameter once, and what is left out stands for the default.
    fn assert_same_parameters(url: &url::Url, dsn: &Dsn) {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut named: BTreeMap<String, String> = pairs.iter().cloned().collect();
        assert_eq!(named.len(), pairs.len());
        assert_eq!(named.remove("sslmode").unwrap_or_else(|| "prefer".into()), dsn.sslmode.word());
        assert_eq!(named.remove("schema").unwrap_or_else(|| "public".into()), dsn.schema);
        assert_eq!(named, dsn.parameters);
    }

    #[test]
    fn the_parts_come_out_decoded_once_and_the_host_in_lower_case() {
        let dsn =
            read("postgres://me%40a.com:a%2540b%2f@DB.Staging.HotDash.App/hd_test?sslmode=require&pool_timeout=3");
        assert_eq!(dsn.user, "me@a.com");
        assert_eq!(dsn.password.as_ref().map(Secret::expose), Some("a%40b/"));
        assert_eq!(dsn.identity(), "db.staging.hotdash.app:5432/hd_test");
        assert_eq!(
            to_url(&dsn).expose(),
            "postgresql://me%40a.com:a%2540b%2F@db.staging.hotdash.app:5432/hd_test?sslmode=require&pool_timeout=3"
        );
    }

    #[test]
    fn loopback_has_three_spellings() {
        for host in ["localhost", "127.0.0.1", "127.0.0.2", "[::1]"] {
            assert!(read(&format!("postgresql://u@{host}:5433/a_test")).host.is_loopback(), "{host}");
        }
        for host in [
            "127.1",
            "0x7f.1",
            "0127.0.0.1",
            "127.0.0.01",
            "2130706433",
            "0",
            "[::]",
            "[0:0:0:0:0:0:0:1]",
            "[::1%25lo]",
            "[::ffff:127.0.0.1]",
            "[::1",
            "[::1]x",
            "0.0.0.0",
            "255.255.255.255",
            "239.1.2.3",
            "10.0.0.05",
            "10.0.5",
        ] {
            refused(&format!("postgresql://u@{host}:5433/a_test"));
        }
    }

    #[test]
    fn characters_that_break_a_password_are_named_with_their_escape_and_nothing_else() {
        let told = refused("postgresql://hotdash:hun#ter/2@se?cret%zz@db.staging.hotdash.app/hotdash_staging");
        assert_eq!(
            told,
            "url: `DATABASE_URL` has a character in the user name or password that clients read as the end of it -> \
             in the user name and the password write `#` as `%23`, `%` as `%25`, `/` as `%2F`, `?` as `%3F`, \
             `@` as `%40`\n"
        );
        assert!(refused("postgresql://u:pä ss@h/d_test").contains("` ` as `%20`, `ä` as `%C3%A4`"));
    }

    #[test]
    fn a_parameter_that_could_redirect_is_refused_with_the_list_of_those_allowed() {
        assert_eq!(
            refused("postgresql://u:hunter2@h/d_test?host=prod.example.com"),
            "parameter: `DATABASE_URL` has the parameter `host`, which could redirect or change the session -> \
             remove it; allowed are `sslmode`, `schema`, `connection_limit`, `pool_timeout`, `connect_timeout`, \
             `socket_timeout`, `statement_cache_size`, `pgbouncer`, `application_name`, `sslaccept`, `channel_binding`\n"
        );
        assert_eq!(
            refused("postgresql://u:hunter2@h/d_test?sslmode=no-verify"),
            "parameter: `DATABASE_URL` has a value of `sslmode` that is not allowed -> write `sslmode=` and one of \
             `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`\n"
        );
    }

    #[test]
    fn every_bad_part_is_reported_at_once() {
        assert_eq!(refused("postgresql://:@h..x:0/a%5Fb?x=1").lines().count(), 5);
    }

    #[test]
    fn what_stands_where_a_port_or_host_belongs_is_never_quoted() {
        for text in [
            "postgresql://me:x@hunter2/hunter2/x",
            "postgresql://me@h:hunter2/d",
            "postgresql://me:x@hunter2%20/d",
            "hunter2",
            "postgresql://me:x@h/hunter2%00",
            "postgresql://me:x@h/d?hunter2%20=1",
            "postgresql://me:x@h/d?schema=hunter2'",
            "hunter2@x",
            "postgresql://me:hunter2 @h/d",
            "postgresql://me:hunter2@h/d\n",
            "postgresql://hunter2",
            "postgresql://me:hunter2@",
        ] {
            assert!(!refused(text).contains("hunter2"), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn strict_certificates_are_checked_or_refused_and_never_forgotten() {
        let contradiction = |query: &str| refused(&format!("postgresql://u:p@h/d_test?{query}"));
        for mode in SslMode::ALL.map(SslMode::word) {
            let both = [format!("sslmode={mode}&sslaccept=strict"), format!("sslaccept=strict&sslmode={mode}")];
            for query in both {
                if ["disable", "allow"].contains(&mode) {
                    assert!(contradiction(&query).contains("write `sslmode=verify-full`"), "{query}");
                } else {
                    let dsn = read(&format!("postgresql://u:p@h/d_test?{query}"));
                    assert_eq!(dsn.sslmode, SslMode::VerifyFull, "{query}");
                    assert_eq!(dsn.parameters, BTreeMap::new());
                }
            }
            let lax = format!("sslmode={mode}&sslaccept=accept_invalid_certs");
            match mode {
                "verify-ca" | "verify-full" => assert!(contradiction(&lax).contains("remove `sslaccept="), "{lax}"),
                _ => assert_eq!(read(&format!("postgresql://u:p@h/d_test?{lax}")).sslmode.word(), mode),
            }
        }
        assert_eq!(read("postgresql://u:p@h/d_test?sslaccept=strict").sslmode, SslMode::VerifyFull);
    }

    /// What is neither of the target's own nor passed on would be a parameter that says something and does nothing.
    #[test]
    fn no_allowed_parameter_is_ignored_but_the_name_that_the_drill_gives_its_sessions_itself() {
        let ours = ["sslmode", "sslaccept", "schema", "channel_binding"];
        let ignored = PARAMETERS
            .map(|(name, _)| name)
            .into_iter()
            .filter(|name| !ours.contains(name) && !pin::PASSED_ON.contains(name));
        assert_eq!(ignored.collect::<Vec<_>>(), ["application_name"]);
    }

    #[test]
    fn the_table_and_the_type_know_the_same_modes() {
        for mode in SslMode::ALL {
            assert_eq!(read(&format!("postgresql://u:p@h/d_test?sslmode={}", mode.word())).sslmode, mode);
        }
    }

    const USER: &str = "([a-z0-9._~!$&'()*+,;=-]|%[2-7][0-9a-eA-E]|%C3%A4){1,20}";
    const PASSWORD: &str = "([a-z0-9._~!$&'()*+,;=:-]|%[2-7][0-9a-eA-E]|%C3%A4){1,20}";

    proptest! {
        #[test]
        fn whatever_is_allowed_is_read_alike_by_url_and_the_driver(
            scheme in "postgres(ql)?",
            user in USER,
            password in proptest::option::of(PASSWORD),
            host in "([a-zA-Z0-9-]{1,6}\\.){0,3}[a-zA-Z]{2,5}|127\\.[0-9]{1,3}\\.0\\.1|\\[::1\\]|localhost",
            port in proptest::option::of(0u32..70000),
            database in "[A-Za-z0-9_-]{1,64}",
            query in "(\\?(sslmode=(require|prefer|verify-full)|schema=[a-z_]{1,8}|pool_timeout=[0-9]{1,3}))?(&pgbouncer=true)?",
        ) {
            let password = password.map(|password| format!(":{password}")).unwrap_or_default();
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let text = format!("{scheme}://{user}{password}@{host}{port}/{database}{query}");
            if let Ok(dsn) = parse("U", &text) {
                assert_agreement(&text, &dsn);
                let canonical = to_url(&dsn);
                assert_agreement(canonical.expose(), &dsn);
                let again = read(canonical.expose());
                assert_eq!(to_url(&again).expose(), canonical.expose());
            }
        }

        #[test]
        fn mutilated_urls_never_panic_and_what_survives_is_read_alike(
            at in 0usize..80, cut in 0usize..3, junk in "[@:/?#&=%,. \\[\\]\\\\a0-]{0,3}|\\PC{0,2}|[\0-\u{1f}]",
        ) {
            let sound = "postgresql://hotdash:s3cret@db.staging.hotdash.app:5432/hotdash_staging?schema=public";
            let mut bytes = sound.as_bytes().to_vec();
            bytes.splice(at..at + cut, junk.into_bytes());
            let text = String::from_utf8(bytes).expect("spliced at ASCII");
            if let Ok(dsn) = parse("U", &text) {
                assert_agreement(&text, &dsn);
                assert_agreement(to_url(&dsn).expose(), &dsn);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = parse("U", &text);
            let _ = parse("U", &format!("postgresql://{text}"));
            let _ = parse("U", &format!("postgresql://u:p@{text}"));
        }
    }
}
