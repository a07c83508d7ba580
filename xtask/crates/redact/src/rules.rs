//! Secrets that are not known beforehand, recognised by their shape or by what they are called.
//!
//! The table below is the whole policy. A rule is tried only where one of its triggers stands, and reads forward from
//! there, so a line without a trigger costs nothing. The first group that takes part is what gets masked; the rest of
//! the match stays, because a log that does not say which user or which host failed is of no use.

use std::ops::Range;

use memchr::{memchr, memrchr};

use super::named;
use super::shapes::{self, Bytes, TOKEN, run, set};
use super::words;
use super::work;

pub struct Rule {
    /// What a finding is called.
    pub what: &'static str,
    /// Where the rule is tried, in any case; `?` is a letter or a digit. At least four bytes.
    triggers: &'static [&'static str],
    /// Reads from the trigger on, within the line. Logs are full of URLs and of names with values: no pattern of `regex` is
    /// quick enough.
    secret: fn(&[u8]) -> Option<&[u8]>,
    /// What may stand there without being a secret.
    innocent: Innocent,
}

/// How far the letters and digits go with which the rule's reading begins: where it found nothing from the first of
/// them, it finds nothing from the others.
pub fn settled(rule: usize, text: &[u8]) -> usize {
    let is_word = RULES[rule].triggers == SECRET_KEYS || text.starts_with(b"eyJ");
    if is_word { named::key_len(text) } else { 0 }
}

#[derive(PartialEq)]
enum Innocent {
    Nothing,
    /// `postgres://host:5432/`: a port stands where a password might.
    Port,
    /// `password: required`: prose, types and literals.
    Word,
    /// As `Word`, and `"public.ApiKey": 65650`: how many rows a table of that name holds.
    WordOrCount,
}

const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd=",
    "pwd:",
    "pwd\"",
    "pwd'",
    "secret",
    "api_key",
    "apikey",
    "api-key",
    "service_key",
    "servicekey",
    "role_key",
    "private_key",
    "privatekey",
    "signing_key",
    "encryption_key",
    "_token",
    "accesstoken",
    "authtoken",
    "refreshtoken",
    "\"pass\"",
    "'pass'",
];

/// How the schemes of Postgres, MySQL, MariaDB, MongoDB and Redis end.
const DATABASE_SCHEMES: &[&str] =
    &["resql://", "gres://", "mysql://", "iadb://", "godb://", "+srv://", "edis://", "ediss://"];

pub const RULES: &[Rule] = &[
    Rule { what: "password in a URL", triggers: &["?://"], secret: url_password, innocent: Innocent::Nothing },
    Rule {
        what: "password in a database URL",
        triggers: DATABASE_SCHEMES,
        secret: database_url_password,
        innocent: Innocent::Port,
    },
    Rule { what: "secret by name", triggers: SECRET_KEYS, secret: named::value, innocent: Innocent::WordOrCount },
    Rule { what: "secret by name", triggers: &["_pass"], secret: shapes::pass, innocent: Innocent::Word },
    Rule {
        what: "secret on a command line",
        triggers: &["--password", "--token", "--secret", "--api-key"],
        secret: shapes::option,
        innocent: Innocent::Word,
    },
    Rule {
        what: "password in SQL",
        triggers: &["password", "identified by"],
        secret: sql_password,
        innocent: Innocent::Nothing,
    },
    // host:port:database:user:password, https://www.postgresql.org/docs/17/libpq-pgpass.html
    Rule {
        what: "password of a .pgpass line",
        triggers: &[":5432:", ":6543:", ":5433:", ":54322:", ":*:?"],
        secret: shapes::pgpass,
        innocent: Innocent::Nothing,
    },
    Rule {
        what: "credentials of an Authorization header",
        triggers: &["authorization"],
        secret: credentials,
        innocent: Innocent::Nothing,
    },
    Rule { what: "bearer token", triggers: &["bearer "], secret: shapes::bearer, innocent: Innocent::Nothing },
    Rule { what: "JSON web token", triggers: &["eyJ?"], secret: shapes::json_web_token, innocent: Innocent::Nothing },
    // Publishable keys (`sb_publishable_`) are public by design and stay.
    Rule {
        what: "Supabase secret key",
        triggers: &["sb_secret_", "sbp_"],
        secret: shapes::supabase_key,
        innocent: Innocent::Nothing,
    },
    Rule {
        what: "Shopify token",
        triggers: &["shpat_", "shpca_", "shppa_", "shpss_", "shpua_", "shprt_"],
        secret: shapes::shopify_token,
        innocent: Innocent::Nothing,
    },
    Rule {
        what: "GitHub or npm token",
        triggers: &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "npm_"],
        secret: shapes::registry_token,
        innocent: Innocent::Nothing,
    },
    // https://www.postgresql.org/docs/17/catalog-pg-authid.html
    Rule {
        what: "SCRAM verifier",
        triggers: &["SCRAM-SHA-256$"],
        secret: shapes::scram_verifier,
        innocent: Innocent::Nothing,
    },
    Rule { what: "md5 password hash", triggers: &["md5?"], secret: md5_hash, innocent: Innocent::Nothing },
    // The lines that follow are masked by `private_key`.
    Rule { what: "private key", triggers: &["-----BEGIN "], secret: shapes::private_key, innocent: Innocent::Nothing },
];

/// What it costs to try a rule, in bytes that are searched.
const TRIED: usize = 8;

/// How every mask begins; a value that is a mask already is not a secret.
pub const MASK_OPENING: &[u8] = b"[REDACTED";

/// In bytes; a variable with a longer name is left out of its mask.
pub const LONGEST_MASK: usize = 80;

impl Rule {
    pub fn spelled_out_triggers(&self) -> impl Iterator<Item = Vec<u8>> {
        self.triggers.iter().flat_map(|trigger| {
            let characters = if trigger.contains('?') { "abcdefghijklmnopqrstuvwxyz0123456789" } else { "?" };
            let lower = trigger.to_ascii_lowercase();
            characters.chars().map(move |character| lower.replace('?', &character.to_string()).into_bytes())
        })
    }
}

/// The secret that rule number `rule` sees at the beginning of `text`, which starts at a trigger and ends with its
/// line at the latest, or before the next mask. `is_known` says whether a value is a weak secret of the target, which is
/// a secret here even if it is a word.
pub fn secret_at(rule: usize, text: &[u8], is_known: impl Fn(&[u8]) -> bool) -> Option<Range<usize>> {
    work::read(TRIED);
    let value = (RULES[rule].secret)(text)?;
    let value = trim_closing(value);
    let innocent = match RULES[rule].innocent {
        Innocent::Nothing => false,
        Innocent::Port => is_port(value),
        Innocent::Word => !is_known(value) && words::is_common(value),
        Innocent::WordOrCount => {
            let is_after_colon = text[..value.as_ptr().addr() - text.as_ptr().addr()].trim_ascii_end().ends_with(b":");
            !is_known(value) && (words::is_common(value) || is_after_colon && is_count(value))
        }
    };
    if innocent || value.iter().all(|byte| b"*\\)]}.,".contains(byte)) {
        return None;
    }
    let skipped = value.as_ptr().addr() - text.as_ptr().addr();
    Some(skipped..skipped + value.len())
}

/// How far from its scheme the password of a URL ends: its whole text is read at each scheme.
const URL_REACH: usize = 384;

/// `://user:password@`, as RFC 3986 has it, except that an `@` may stand in the password.
fn url_password(text: &[u8]) -> Option<&[u8]> {
    let authority = up_to(&text[slashes(text)? + 2..], &AUTHORITY_ENDS);
    password_of(&authority[..memrchr(b'@', authority)?])
}

/// How far away the first slash is: a few bytes, which are looked at sooner than a search is begun.
fn slashes(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| *byte == b'/')
}

/// As `url_password`, but the password may also hold a raw `/`, `#` or `?`: only the last `@` ends it. (Not so for
/// http, whose paths may hold one.) Where there is none, the URL was cut off, or its parser took the password's end
/// for the host.
fn database_url_password(text: &[u8]) -> Option<&[u8]> {
    let url = &text[slashes(text)? + 2..text.len().min(URL_REACH)];
    let authority = up_to(url, &AUTHORITY_ENDS);
    memchr(b':', authority)?;
    // Asked first: it is quick, and where there is none, what stands behind the host need not be read.
    let is_whole = memchr(b'@', &url[authority.len()..]).is_some();
    let whole = || &url[..authority.len() + up_to(&url[authority.len()..], &URL_ENDS).len()];
    match memrchr(b'@', if is_whole { whole() } else { authority }) {
        Some(at) => password_of(&url[..at]),
        None => password_of(authority).filter(|_| !url.starts_with(b"[")),
    }
}

/// `PASSWORD 'it''s'`, `IDENTIFIED BY E'it\'s'`, whether a quote closes it or the line's end.
fn sql_password(text: &[u8]) -> Option<&[u8]> {
    let is = |keyword: &&&[u8]| text.get(..keyword.len()).is_some_and(|there| there.eq_ignore_ascii_case(keyword));
    let keyword = [b"password".as_slice(), b"identified by"].iter().find(is)?.len();
    let value = text[keyword..].trim_ascii_start();
    let open = [b"'".as_slice(), b"E'", b"e'", b"U&'", b"u&'"].into_iter().find(|open| value.starts_with(open))?;
    let value = &value[open.len()..];
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        at += match (byte, value.get(at + 1)) {
            (b'\'', Some(b'\'')) | (b'\\', Some(_)) => 2,
            (b'\'', _) | (b'\\', None) => break,
            _ => 1,
        };
    }
    work::read(at);
    (at > 0 && text[keyword].is_ascii_whitespace()).then(|| &value[..at])
}

fn md5_hash(text: &[u8]) -> Option<&[u8]> {
    let digits = text[3..].iter().take(33).take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
    (digits == 32).then(|| &text[3..35])
}

fn up_to<'a>(text: &'a [u8], ends: &Bytes) -> &'a [u8] {
    let found = &text[..text.iter().position(|byte| ends[usize::from(*byte)]).unwrap_or(text.len())];
    work::read(found.len());
    found
}

const AUTHORITY_ENDS: Bytes = set(b"/?# \t\r\n\"'<>`");
const URL_ENDS: Bytes = set(b" \t\r\n\"'<>`");

/// The credentials of `Authorization: Bearer abc`, of the header as JSON and of one without a scheme.
fn credentials(text: &[u8]) -> Option<&[u8]> {
    const SCHEMES: [&[u8]; 6] = [b"bearer", b"basic", b"token", b"apikey", b"digest", b"negotiate"];
    let unquoted = |text| named::strip_one(named::strip_all(text, b"\\"), b"\"'");
    let (operator, rest) = unquoted(&text["authorization".len()..]).trim_ascii_start().split_first()?;
    let rest = unquoted(Some(rest).filter(|_| b":=,".contains(operator))?.trim_ascii_start());
    let (first, rest) = rest.split_at(run(rest, &TOKEN).len());
    let is_scheme = SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(first));
    let value = if is_scheme { run(rest.trim_ascii_start(), &TOKEN) } else { first };
    (value.len() >= 6).then_some(value)
}

fn password_of(userinfo: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', userinfo)?;
    Some(&userinfo[colon + 1..])
}

fn is_port(value: &[u8]) -> bool {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && value.get(digits).is_none_or(|after| b"/?\\,".contains(after))
}

/// A number of fewer than ten digits, which may end a sentence.
fn is_count(value: &[u8]) -> bool {
    let number = value.strip_suffix(b".").unwrap_or(value);
    number.len() < 10 && number.iter().all(u8::is_ascii_digit)
}

/// Whether `at` lies in a mask, whole as we write it. The name of a variable may hold a trigger
/// (`[REDACTED_SHOPIFY_API_SECRET]: …`) without naming what follows.
pub fn is_in_mask(text: &[u8], at: usize) -> bool {
    let from = at.saturating_sub(LONGEST_MASK);
    let Some(opening) = memrchr(b'[', &text[from..=at]).map(|opening| from + opening) else { return false };
    let Some(name) = text[opening..].strip_prefix(MASK_OPENING) else { return false };
    let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let len = name.iter().take(LONGEST_MASK).take_while(is_of_name).count();
    let is_mask = name.get(len) == Some(&b']') && (len == 0 || name[0] == b'_');
    is_mask && at < opening + MASK_OPENING.len() + len
}

/// `{password=abc}` ends a value that nothing quotes.
fn trim_closing(value: &[u8]) -> &[u8] {
    let kept = value.iter().rposition(|byte| !b")]},".contains(byte)).map_or(0, |last| last + 1);
    &value[..kept]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the rules mask in `text`, tried at every position as their triggers would.
    fn masked(text: &str) -> Vec<&str> {
        let lower = text.to_ascii_lowercase();
        let mut found = Vec::new();
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            for (index, rule) in RULES.iter().enumerate() {
                if rule.spelled_out_triggers().any(|trigger| lower.as_bytes()[at..].starts_with(&trigger)) {
                    let mask = text[at..].find("[REDACTED").unwrap_or(text.len() - at);
                    let range = secret_at(index, &text.as_bytes()[at..][..mask], |_| false);
                    found.extend(range.map(|range| &text[at + range.start..at + range.end]));
                }
            }
        }
        let range = |value: &str| value.as_ptr().addr()..value.as_ptr().addr() + value.len();
        let covers = |outer: &str, inner: &str| outer.len() > inner.len() && range(outer).contains(&range(inner).start);
        found.sort_by_key(|value| range(value).start);
        found.dedup();
        found.iter().filter(|inner| !found.iter().any(|outer| covers(outer, inner))).copied().collect()
    }

    #[test]
    fn passwords_of_urls_never_loaded_are_seen_and_nothing_else_of_the_url() {
        assert_eq!(masked("postgresql://repl:OtherPw9@replica.internal:5432/x"), ["OtherPw9"]);
        assert_eq!(masked("redis://:r3d1spw@cache:6379/0"), ["r3d1spw"]);
        assert_eq!(masked("postgres://u:p@ss/w#rd@h/d"), ["p@ss/w#rd"]);
        assert_eq!(masked("'postgresql://hotdash:Hunter2%2FZ' +"), ["Hunter2%2FZ"]);
        assert_eq!(
            masked("https://user@example.com http://localhost:3000/@vite/client ssh://git@h:org/r.git"),
            [""; 0]
        );
        assert_eq!(masked("postgresql://localhost:5432/db postgres://[::1]:5432/db postgres://u@h:5432"), [""; 0]);
    }

    #[test]
    fn values_are_secret_by_the_name_of_their_key() {
        assert_eq!(masked("password=a host=x"), ["a"]);
        assert_eq!(masked(r#"{"Password": "a\"b", "port": 1}"#), [r#"a\"b"#]);
        assert_eq!(masked(r#"Config { password: Some("p w"), host: "h" }"#), ["p w"]);
        assert_eq!(masked("SHOPIFY_API_SECRET='it''s'"), ["it''s"]);
        assert_eq!(masked("{user:u password:abc}"), ["abc"]);
        assert_eq!(masked("?password=Qp9-zz&sslmode=require"), ["Qp9-zz"]);
        assert_eq!(masked("psql --password hunter3 -c"), ["hunter3"]);
        assert_eq!(masked("ALTER ROLE x PASSWORD 'it''s-9x';"), ["it''s-9x"]);
    }

    #[test]
    fn prose_types_and_literals_stay() {
        for text in [
            "password authentication failed for user \"x\"",
            "password: string; secret?: null",
            "{\"password\":null,\"token\":true}",
            "Password for user hotdash:",
            "secrets.ts:12:3 and node_token.js",
            "12 tests_passed: 3",
            "use --password to ask",
            "PASSWORD=***",
        ] {
            assert_eq!(masked(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn names_of_tables_and_their_counts_stay() {
        for text in [
            r#"{"public.ApiKey": 65650, "public.Session_Token": 0}"#,
            "ApiKey: 5 rows",
            "  public.PasswordReset: ok",
            "before: User 3, ApiKey: 12, Secret: 0.",
            r#"{\"ApiKey\": 65650}"#,
        ] {
            assert_eq!(masked(text), [""; 0], "{text}");
        }
        assert_eq!(masked("ApiKey=sk_live_4eC39HqLyjWD"), ["sk_live_4eC39HqLyjWD"]);
        assert_eq!(masked(r#"{"ApiKey": "sk_live_4eC39HqLyjWD"}"#), ["sk_live_4eC39HqLyjWD"]);
        assert_eq!(masked("PGPASSWORD=4711 ApiKey: 4711471147"), ["4711", "4711471147"]);
    }

    #[test]
    fn shapes_of_tokens_are_seen() {
        assert_eq!(masked("sb_secret_AbCdEf_1a2b sb_publishable_AbCdEf"), ["AbCdEf_1a2b"]);
        assert_eq!(masked("x eyJhbGciOi.eyJyb2xlIj.sig-_1 y"), ["eyJhbGciOi.eyJyb2xlIj.sig-_1"]);
        assert_eq!(masked("authorization: Basic aG90ZGFzaA=="), ["aG90ZGFzaA=="]);
        assert_eq!(masked("localhost:5432:db:me:pass word"), ["pass"]);
        assert_eq!(masked("SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"), ["4096:c2FsdA==$c3RvcmVk:c2VydmVy"]);
    }

    #[test]
    fn only_what_is_written_as_a_mask_is_one() {
        let text = b"[REDACTED] [REDACTED_A_SECRET]secret";
        let masked: Vec<_> = (0..text.len()).filter(|at| is_in_mask(text, *at)).collect();
        assert_eq!(masked, (0..9).chain(11..29).collect::<Vec<_>>());
        for text in ["[REDACTED_X\n]", "[REDACTED secret]", "[REDACTEDsecret]", "[REDACTED_X", "[REDACTED"] {
            assert!(!(0..text.len()).any(|at| is_in_mask(text.as_bytes(), at)), "{text}");
        }
    }

    #[test]
    fn a_mask_is_no_secret() {
        assert_eq!(masked("password=[REDACTED_DATABASE_URL]"), [""; 0]);
        assert_eq!(masked("postgres://u:[REDACTED]@h/d \"password\":\"[REDACTED]\""), [""; 0]);
    }
}
