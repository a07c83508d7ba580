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
mod tests;
