//! What tokens, keys and credentials look like where they stand by themselves: each reader gets a text that begins with
//! its rule's trigger and says which part of it is the secret.
//!
//! They go through each byte once and by hand: the crate `regex` takes microseconds for a match where it is not built
//! optimised, and a child may print a trigger every four bytes. The tests hold each reader to the pattern it stands for.

use super::named::strip_one;
use super::work;

/// A set of bytes.
pub type Bytes = [bool; 256];

pub const fn set(bytes: &[u8]) -> Bytes {
    let mut set = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        set[bytes[at] as usize] = true;
        at += 1;
    }
    set
}

/// All others.
pub const fn not(bytes: &[u8]) -> Bytes {
    let mut set = set(bytes);
    let mut at = 0;
    while at < set.len() {
        set[at] = !set[at];
        at += 1;
    }
    set
}

const LETTERS_AND_DIGITS: Bytes = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
const WORD: Bytes = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
/// Base64 in the URL-safe alphabet; names are made of the same.
pub const URL_SAFE: Bytes = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
pub const TOKEN: Bytes = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=._~-");
const NO_SPACE: Bytes = not(b" \t\n\x0b\x0c\r");
const NO_SPACE_OR_QUOTE: Bytes = not(b" \t\n\x0b\x0c\r\"'");
const NO_SPACE_QUOTE_OR_BRACKET: Bytes = not(b" \t\n\x0b\x0c\r\"'<>");
const IN_ASSIGNMENT: Bytes = not(b" \t\n\x0b\x0c\r\"'&;");
const PORT: Bytes = set(b"0123456789*");
const FIELD: Bytes = not(b" \t\n\x0b\x0c\r:[]");
const KEY_LABEL: Bytes = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ");
const KEY_BODY: Bytes = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\n\x0b\x0c\r:,");

/// As many bytes of `set` as `text` begins with.
pub fn run<'a>(text: &'a [u8], set: &Bytes) -> &'a [u8] {
    let run = &text[..text.iter().position(|byte| !set[usize::from(*byte)]).unwrap_or(text.len())];
    work::read(run.len());
    run
}

fn at_least(least: usize, run: &[u8]) -> Option<&[u8]> {
    (run.len() >= least).then_some(run)
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|byte| NO_SPACE[usize::from(*byte)]).unwrap_or(text.len())..]
}

/// `text` behind one byte of `any_of`.
fn behind<'a>(text: &'a [u8], any_of: &[u8]) -> Option<&'a [u8]> {
    text.split_first().filter(|(first, _)| any_of.contains(first)).map(|(_, rest)| rest)
}

/// `DB_PASS=…`, from `_pass` on.
pub fn pass(text: &[u8]) -> Option<&[u8]> {
    let name_ends = skip_spaces(strip_one(text.get("_pass".len()..)?, b"\"'"));
    let value = skip_spaces(behind(name_ends, b":=")?);
    at_least(1, run(strip_one(value, b"\"'"), &IN_ASSIGNMENT))
}

/// `--token=…`, `--db-password …`.
pub fn option(text: &[u8]) -> Option<&[u8]> {
    const LONGEST_NAME: usize = 24;
    let name = text.strip_prefix(b"--")?;
    let is_of_name = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
    let len = name.iter().take(LONGEST_NAME + 1).take_while(|byte| is_of_name(byte)).count();
    let value = behind(&name[len..], b"= ").filter(|_| (1..=LONGEST_NAME).contains(&len))?;
    at_least(1, run(strip_one(skip_spaces(value), b"\"'"), &NO_SPACE_OR_QUOTE))
}

/// `host:port:database:user:password`, from the first colon on.
pub fn pgpass(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    for field in [&PORT, &FIELD, &FIELD] {
        let field = at_least(1, run(rest.strip_prefix(b":")?, field))?;
        rest = &rest[1 + field.len()..];
    }
    at_least(1, run(rest.strip_prefix(b":")?, &NO_SPACE))
}

pub fn bearer(text: &[u8]) -> Option<&[u8]> {
    let rest = text.get("bearer".len()..)?;
    let token = skip_spaces(rest);
    at_least(16, run(token, &TOKEN)).filter(|_| token.len() < rest.len())
}

/// Header, payload and perhaps a signature, with the dots between them.
pub fn json_web_token(text: &[u8]) -> Option<&[u8]> {
    let header = at_least(6, run(text.strip_prefix(b"eyJ")?, &URL_SAFE))?;
    let payload = 3 + header.len() + 1;
    let signature = payload + at_least(6, run(text[payload - 1..].strip_prefix(b".")?, &URL_SAFE))?.len();
    let end = text[signature..].strip_prefix(b".").map_or(signature, |rest| signature + 1 + run(rest, &URL_SAFE).len());
    Some(&text[..end])
}

pub fn supabase_key(text: &[u8]) -> Option<&[u8]> {
    prefixed(text, b"sb_secret_", &URL_SAFE, 4).or_else(|| prefixed(text, b"sbp_", &WORD, 16))
}

pub fn shopify_token(text: &[u8]) -> Option<&[u8]> {
    let is_kind = text.len() > 6 && text.starts_with(b"shp") && text[3..5].iter().all(u8::is_ascii_lowercase);
    prefixed(text.get(5..).filter(|_| is_kind)?, b"_", &LETTERS_AND_DIGITS, 16)
}

pub fn registry_token(text: &[u8]) -> Option<&[u8]> {
    let is_short = text.len() > 4 && text.starts_with(b"gh") && text[2].is_ascii_lowercase();
    let short = text.get(3..).filter(|_| is_short).and_then(|rest| prefixed(rest, b"_", &WORD, 20));
    let long = || prefixed(text, b"github_pat_", &WORD, 20);
    short.or_else(long).or_else(|| prefixed(text, b"npm_", &LETTERS_AND_DIGITS, 30))
}

pub fn scram_verifier(text: &[u8]) -> Option<&[u8]> {
    prefixed(text, b"SCRAM-SHA-256$", &NO_SPACE_QUOTE_OR_BRACKET, 8)
}

/// At least so many bytes of `set` behind `prefix`.
fn prefixed<'a>(text: &'a [u8], prefix: &[u8], set: &Bytes, least: usize) -> Option<&'a [u8]> {
    at_least(least, run(text.strip_prefix(prefix)?, set))
}

/// What stands on the line of a private key's `-----BEGIN`; line ends may be written `\n` in it.
pub fn private_key(text: &[u8]) -> Option<&[u8]> {
    let label = run(text.strip_prefix(b"-----BEGIN ")?, &KEY_LABEL);
    let is_private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    let body = text["-----BEGIN ".len() + label.len()..].strip_prefix(b"-----").filter(|_| is_private)?;
    let mut len = 0;
    loop {
        len += run(&body[len..], &KEY_BODY).len();
        len += match body.get(len..len + 2) {
            Some([b'\\', b'n' | b'r']) => 2,
            Some([b'-', next]) if next.is_ascii_alphanumeric() => 2,
            _ => return at_least(1, &body[..len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;

    type Reader = fn(&[u8]) -> Option<&[u8]>;

    /// Each reader, its pattern of which the first group that takes part is the secret, and what is worth mixing.
    const READERS: [(Reader, &str, &[&str]); 10] = [
        (
            pass,
            r#"(?i)^_pass["']?\s*[:=]\s*["']?([^\s"'&;]+)"#,
            &["_pass", "_PASS", ":", "=", "\"", "'", " ", "a", ";"],
        ),
        (
            option,
            r#"(?i)^--[a-z-]{1,24}[= ]\s*["']?([^\s"']+)"#,
            &["--", "token", "-Password", "=", " ", "'", "a", "_"],
        ),
        (pgpass, r"^:[0-9*]+:[^\s:\[\]]+:[^\s:\[\]]+:([^\s]+)", &[":", "*", "5432", "a", "b c", "[", ":*:", "a:b:c"]),
        (
            bearer,
            r"(?i)^bearer\s+([a-z0-9+/=._~-]{16,})",
            &["Bearer", "bearer ", " ", "\t", "aB3+/=._~-", "12345678", "\""],
        ),
        (
            json_web_token,
            r"^(eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?)",
            &["eyJ", "eyj", "abc_-9", "abcde", ".", " "],
        ),
        (
            supabase_key,
            r"^(?:sb_secret_([A-Za-z0-9_-]{4,})|sbp_([A-Za-z0-9_]{16,}))",
            &["sb_secret_", "sbp_", "a-b", "abcd", "0123456789abcdef", "."],
        ),
        (
            shopify_token,
            r"^shp[a-z]{2}_([A-Za-z0-9]{16,})",
            &["shpat_", "shpCA_", "shp", "at", "_", "0123456789abcdef"],
        ),
        (
            registry_token,
            r"^(?:(?:gh[a-z]|github_pat)_([A-Za-z0-9_]{20,})|npm_([A-Za-z0-9]{30,}))",
            &["ghp_", "github_pat_", "npm_", "gh", "a", "_", "0123456789", "-"],
        ),
        (
            scram_verifier,
            r#"^SCRAM-SHA-256\$([^\s"'<>]{8,})"#,
            &["SCRAM-SHA-256$", "scram", "$", "4096:", "abc=", "\"", "<"],
        ),
        (
            private_key,
            r"^-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----((?:[A-Za-z0-9+/=\s:,]|\\[nr]|-[A-Za-z0-9])+)",
            &["-----BEGIN ", "RSA ", "PRIVATE KEY", " BLOCK", "-----", "MIIE+/=", "\\n", "\\x", "-a", "-", "é"],
        ),
    ];

    fn by_pattern<'a>(pattern: &Regex, text: &'a [u8]) -> Option<&'a [u8]> {
        let groups = pattern.captures(text)?;
        (1..groups.len()).find_map(|group| groups.get(group)).map(|group| group.as_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, rng_seed: crate::properties::rng_seed(), ..ProptestConfig::default() })]

        #[test]
        fn each_reader_reads_what_its_pattern_says(
            reader in 0..READERS.len(),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            is_upper in prop::bool::weighted(0.2),
        ) {
            let (read, pattern, parts) = READERS[reader];
            let first = if is_upper { parts[0].to_ascii_uppercase() } else { parts[0].to_owned() };
            let text = picks.iter().fold(first, |text, pick| text + *pick.get(parts));
            let pattern = Regex::new(&format!("(?-u){pattern}")).unwrap();
            prop_assert_eq!(read(text.as_bytes()), by_pattern(&pattern, text.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn each_reader_finds_something_and_refuses_one_byte_less() {
        let shortest: [(Reader, &str); 10] = [
            (pass, "_pass:a"),
            (option, "--x a"),
            (pgpass, ":*:d:u:p"),
            (bearer, "bearer 0123456789abcdef"),
            (json_web_token, "eyJ123456.123456"),
            (supabase_key, "sb_secret_1234"),
            (shopify_token, "shpat_0123456789abcdef"),
            (registry_token, "npm_0123456789012345678901234567ab"),
            (scram_verifier, "SCRAM-SHA-256$12345678"),
            (private_key, "-----BEGIN PRIVATE KEY-----M"),
        ];
        for (read, text) in shortest {
            assert!(read(text.as_bytes()).is_some(), "{text}");
            assert_eq!(read(&text.as_bytes()[..text.len() - 1]), None, "{text}");
        }
    }
}
