//! What an environment's values tell about its secrets: which parts are secret, how strong, and which parts are
//! public and have to stay readable.
//!
//! Values are read leniently, in every way that some client might read them, because what leaks is most often the
//! half of a password that a parser took for a host or a port.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::decode;
use super::view::{Budget, DECODED, Source};
use super::words;
use crate::Secret;

/// Shorter values occur in any log by chance.
const STRONG_CHARS: usize = 6;

/// Letters only, and yet no word that a log says by chance.
const NO_WORD_CHARS: usize = 16;

/// Half of a password that a parser cut at a special character.
const PIECE_CHARS: usize = 4;

#[derive(Default)]
pub struct Known {
    pub literals: Vec<Literal>,
    /// Secrets too short or too common to be searched for; masked where a secret stands by its context.
    pub weak: Vec<Vec<u8>>,
    /// Host, user, database, public URLs.
    pub public: Vec<Vec<u8>>,
    /// Names of the variables, for the masks.
    pub labels: Vec<String>,
    trust: Trust,
}

/// How to tell which values are secret.
#[derive(Default, Clone, Copy, PartialEq)]
pub enum Trust {
    /// By their names and shapes.
    #[default]
    Names,
    /// All are, but for those of names that are public.
    Nothing,
}

/// Something to search for.
pub struct Literal {
    pub bytes: Vec<u8>,
    /// Index into `labels`.
    pub label: Option<usize>,
    pub place: Place,
}

#[derive(Clone, PartialEq)]
pub enum Place {
    /// Wherever it occurs, and in part where it was cut off.
    Anywhere,
    /// A few letters only: where neither a letter nor a digit adjoins.
    Word,
    /// As `Word`, but a part of a secret only.
    Piece,
    /// A secret in hexadecimal or base64, less the digits of base64 that it shares with its neighbours; whether there
    /// is one on either side.
    Encoded { shared_before: bool, shared_after: bool },
    /// `user:password@`, of which this part is the secret, however weak.
    Userinfo(Range<usize>),
}

/// A value that is secret, and the user it belongs to where a URL says so.
struct Found {
    value: String,
    user: Option<String>,
    label: Option<usize>,
    /// Passwords are typed by people and cut by parsers; keys are neither.
    is_password: bool,
}

impl Known {
    /// `in_texts` says how the raw texts are judged.
    pub fn new(variables: &[(String, Secret)], raw_texts: &[&[u8]], in_texts: Trust) -> Self {
        let mut known = Known { labels: variables.iter().map(|(name, _)| name.clone()).collect(), ..Known::default() };
        let mut found = Vec::new();
        for (label, (name, value)) in variables.iter().enumerate() {
            known.read(name, value.expose(), Some(label), &mut found);
        }
        known.trust = in_texts;
        for text in raw_texts {
            known.read_raw(&String::from_utf8_lossy(text), &mut found);
        }
        for secret in &found {
            known.add(secret);
        }
        known
    }

    /// The length in bytes of the shortest secret that is worth decoding base64 for.
    pub fn shortest(&self) -> Option<usize> {
        self.strong().map(|literal| literal.bytes.len()).min()
    }

    /// Secrets that are searched for whole and by themselves, not what they are encoded to.
    pub fn strong(&self) -> impl Iterator<Item = &Literal> {
        self.literals.iter().filter(|literal| matches!(literal.place, Place::Anywhere | Place::Word))
    }

    /// Whether a `+` may stand for a part of a secret.
    pub fn has_space(&self) -> bool {
        self.strong().any(|literal| literal.bytes.contains(&b' '))
    }

    pub fn is_public(&self, value: &[u8]) -> bool {
        self.public.iter().any(|public| contains_ignoring_case(public, value))
    }

    /// By where a part of `secret` may begin: how long it may be and still be a part of a public value.
    pub fn public_parts(&self, secret: &[u8]) -> Vec<usize> {
        let longest = |from: usize| {
            let is_public = |len: &usize| self.is_public(&secret[from..from + len]);
            (1..=secret.len() - from).take_while(is_public).last().unwrap_or(0)
        };
        (0..secret.len()).map(longest).collect()
    }

    pub fn is_weak(&self, value: &[u8]) -> bool {
        self.weak.iter().any(|weak| weak == value)
    }

    /// Every line may be an assignment that some parser did not understand, or the middle of a value with several
    /// lines.
    fn read_raw(&mut self, text: &str, found: &mut Vec<Found>) {
        for line in text.split(['\n', '\r', '\0']).map(|line| line.trim_matches(['\u{feff}', ' ', '\t'])) {
            let assignment = line.trim_start_matches(['#', ' ']);
            let assignment = assignment.strip_prefix("export ").unwrap_or(assignment);
            let Some((key, value)) = assignment.split_once(['=', ':']) else {
                let continues_a_value = !line.starts_with('#') && !line.contains(' ');
                self.read(if continues_a_value { "SECRET" } else { "" }, line, None, found);
                continue;
            };
            let key = key.trim();
            // Only a name that was parsed may appear in a mask: this one could be a part of a secret.
            let label = self.labels.iter().position(|label| label == key);
            // Else the name itself would be a long part of a secret, and masked wherever it is mentioned.
            if label.is_none() {
                self.read("", assignment, None, found);
            }
            self.read(key, value, label, found);
            self.read(key, value.split(" #").next().unwrap_or(value), label, found);
        }
    }

    fn read(&mut self, name: &str, value: &str, label: Option<usize>, found: &mut Vec<Found>) {
        let value = value.trim().trim_matches(['"', '\'', '`']);
        if value.contains("://") && !name.is_empty() {
            self.read_url(value, label, found);
        } else if is_public_name(name) || value.starts_with("sb_publishable_") {
            self.public.push(value.into());
        } else if let Some(password) = conninfo_password(value).filter(|_| !name.is_empty()) {
            found.push(Found { value: password.into(), user: None, label, is_password: true });
        } else if is_secret_name(name) || looks_random(value) || self.trust == Trust::Nothing && !name.is_empty() {
            let is_password = name.to_ascii_uppercase().contains("PASS");
            found.push(Found { value: value.into(), user: None, label, is_password });
        }
    }

    /// A URL cut at its last `@`, which is where a raw `@`, `/` or `#` in the password leaves the host, and also at
    /// the one that RFC 3986 means.
    fn read_url(&mut self, url: &str, label: Option<usize>, found: &mut Vec<Found>) {
        let Some((_, rest)) = url.split_once("://") else { return };
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let mut password = |user: &str, value: &str| {
            let user = Some(user.to_owned());
            found.push(Found { value: value.into(), user, label, is_password: true });
        };
        let last = rest.rfind('@');
        for userinfo in [last, authority.rfind('@')].into_iter().flatten().map(|at| &rest[..at]) {
            let (user, value) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            self.public.push(user.into());
            self.public.push(decoded(user).into());
            password(user, value);
        }
        let server = last.map_or(rest, |at| &rest[at + 1..]);
        if let (None, Some((user, tail))) = (last, authority.split_once(':'))
            && !tail.bytes().all(|byte| byte.is_ascii_digit())
        {
            password(user, tail);
            return;
        }
        let (place, query) = server.split_once('?').unwrap_or((server, ""));
        self.public.extend([place, place.split(['/', ':']).next().unwrap_or(place)].map(Vec::from));
        for (key, value) in query.split('&').filter_map(|parameter| parameter.split_once('=')) {
            if is_secret_name(key) {
                nested_urls(value).iter().for_each(|url| self.read_url(url, label, found));
                found.push(Found { value: value.into(), user: None, label, is_password: true });
            }
        }
    }

    fn add(&mut self, secret: &Found) {
        for value in forms(&secret.value) {
            if let Some(user) = &secret.user {
                let start = user.len() + 1;
                let bytes = format!("{user}:{value}@").into_bytes();
                self.push(bytes, secret.label, Place::Userinfo(start..start + value.len()));
            }
            match self.strength(&value) {
                Some(place) => {
                    self.add_encoded_forms(value.as_bytes(), secret.label);
                    self.push(value.clone().into_bytes(), secret.label, place);
                }
                None => self.weak.push(value.clone().into_bytes()),
            }
            if let Some(latin1) = latin1(&value) {
                self.push(latin1, secret.label, Place::Anywhere);
            }
            if secret.is_password {
                self.add_pieces(&value, secret.label);
            }
        }
    }

    /// What programs print for bytes: hexadecimal digits, numbers, base64 in both alphabets from each of the three
    /// places in a group where the secret may begin. And the secret backwards.
    fn add_encoded_forms(&mut self, value: &[u8], label: Option<usize>) {
        for form in dumps(value).into_iter().chain([value.iter().rev().copied().collect()]) {
            self.push(form, label, Place::Encoded { shared_before: false, shared_after: false });
        }
        for before in 0..3 {
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let digits = engine.encode([&[0; 2][..before], value].concat());
                // Those that hold bits of nothing but the secret.
                let (from, to) = (before * 8, (before + value.len()) * 8);
                let place = Place::Encoded { shared_before: from % 6 != 0, shared_after: to % 6 != 0 };
                self.push(digits[from.div_ceil(6)..to / 6].into(), label, place);
            }
        }
    }

    fn add_pieces(&mut self, value: &str, label: Option<usize>) {
        let pieces = value.split(|cut: char| cut.is_ascii_punctuation() && !"-_.*+!~^|".contains(cut) || cut == ' ');
        for piece in pieces.filter(|piece| piece.len() < value.len() && piece.chars().count() >= PIECE_CHARS) {
            let is_number = piece.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number && !words::is_common(piece.as_bytes()) && !self.is_public(piece.as_bytes()) {
                self.push(piece.into(), label, Place::Piece);
            }
        }
    }

    fn push(&mut self, bytes: Vec<u8>, label: Option<usize>, place: Place) {
        if !self.literals.iter().any(|literal| literal.bytes == bytes && literal.place == place) {
            self.literals.push(Literal { bytes, label, place });
        }
    }

    /// Where `value` may be searched for; nowhere if the log would suffer.
    fn strength(&self, value: &str) -> Option<Place> {
        let bytes = value.as_bytes();
        let is_number = bytes.iter().all(|byte| byte.is_ascii_digit());
        let least = if is_number { STRONG_CHARS + 2 } else { STRONG_CHARS };
        let is_weak = value.chars().count() < least
            || bytes.iter().all(|byte| *byte == bytes[0])
            || words::is_common(bytes)
            || self.is_public(bytes)
            || self.labels.iter().any(|label| contains_ignoring_case(label.as_bytes(), bytes));
        match is_weak {
            true => None,
            false if bytes.len() < NO_WORD_CHARS && bytes.iter().all(u8::is_ascii_alphabetic) => Some(Place::Word),
            false => Some(Place::Anywhere),
        }
    }
}

/// The spellings under which a secret is one and the same: as given and percent-decoded, a JWT's parts in both
/// alphabets of base64, each line of a key.
fn forms(value: &str) -> Vec<String> {
    let mut forms: Vec<String> = value.lines().map(|line| line.trim().to_owned()).collect();
    if value.starts_with("eyJ") && value.contains('.') {
        // The header is the same in every token, and public.
        let parts: Vec<String> = value.split('.').skip(1).map(str::to_owned).collect();
        forms.extend(parts.iter().map(|part| part.replace('-', "+").replace('_', "/")));
        forms.extend(parts);
    }
    forms.extend(forms.clone().iter().map(|form| decoded(form)));
    forms.retain(|form| !form.is_empty());
    forms.sort();
    forms.dedup();
    forms
}

/// Bytes in hexadecimal as `openssl`, Node's `<Buffer 70 61>`, a certificate's fingerprint, an array in C and `xxd` (pairs
/// that begin at an even or at an odd byte) write them, and as the numbers of an array in JSON, in Go and in a row of Node's
/// `Uint8Array`.
fn dumps(value: &[u8]) -> Vec<Vec<u8>> {
    let joined = |separator: &str, digit: fn(&u8) -> String| {
        value.iter().map(digit).collect::<Vec<_>>().join(separator).into_bytes()
    };
    let pairs_from = |odd: usize| {
        let (first, rest) = value.split_at(odd.min(value.len()));
        let pairs = [first].into_iter().chain(rest.chunks(2)).filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.iter().map(hex).collect::<String>()).collect::<Vec<_>>().join(" ").into_bytes()
    };
    let mut dumps: Vec<_> = ["", " ", ":", "-", ", 0x", ",0x"].iter().map(|separator| joined(separator, hex)).collect();
    dumps.extend([",", ", ", " "].iter().map(|separator| joined(separator, u8::to_string)));
    dumps.push(joined(", ", |byte| format!("{byte:>3}")));
    dumps.extend([pairs_from(0), pairs_from(1)]);
    dumps
}

fn hex(byte: &u8) -> String {
    format!("{byte:02x}")
}

fn decoded(value: &str) -> String {
    let view = decode::percent(value.as_bytes());
    if view.is_empty() { value.to_owned() } else { String::from_utf8_lossy(&view.text).into_owned() }
}

/// What a program that knows nothing of UTF-8 prints; nothing where that is the same or impossible.
fn latin1(value: &str) -> Option<Vec<u8>> {
    let bytes: Option<Vec<u8>> = value.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    bytes.filter(|bytes| bytes.len() >= STRONG_CHARS && bytes.len() < value.len())
}

/// `prisma+postgres://…?api_key=` holds base64 of JSON that holds the real URLs.
fn nested_urls(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let view = decode::binary(Source::outermost(bytes), 12, &mut Budget::new(bytes, DECODED));
    let text = String::from_utf8_lossy(&view.text).into_owned();
    text.split('"').filter(|part| part.contains("://")).map(str::to_owned).collect()
}

/// `host=… password=… user=…`, libpq's other form of a DSN.
fn conninfo_password(value: &str) -> Option<&str> {
    let (_, after) = value.split_once("password=")?;
    match after.strip_prefix('\'') {
        Some(quoted) => quoted.split('\'').next(),
        None => after.split_whitespace().next(),
    }
}

fn is_public_name(name: &str) -> bool {
    ["PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGSSLMODE"].contains(&name)
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let telling = ["PASS", "PWD", "SECRET", "KEY", "TOKEN", "CREDENTIAL", "AUTH", "PRIVATE", "SALT", "SIGN", "COOKIE"];
    telling.iter().any(|word| name.contains(word)) && !name.contains("PUBLISHABLE") && !name.contains("PUBLIC_")
}

/// A value whose name does not tell: long, of letters and digits in no order that a word, a path or a version has.
fn looks_random(value: &str) -> bool {
    let bytes = value.as_bytes();
    let has = |class: fn(&u8) -> bool| bytes.iter().any(class);
    let is_token = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-.".contains(byte));
    let switches = bytes.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count();
    let is_scattered = switches >= 4 || (has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && switches >= 1);
    value.len() >= 16 && is_token && !value.starts_with('/') && has(u8::is_ascii_alphabetic) && is_scattered
}

fn contains_ignoring_case(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, value: &str) -> Known {
        Known::new(&[(name.to_owned(), Secret::new(value))], &[], Trust::Names)
    }

    fn searched(known: &Known) -> Vec<&str> {
        known.strong().map(|literal| std::str::from_utf8(&literal.bytes).unwrap()).collect()
    }

    #[test]
    fn a_password_is_searched_for_as_given_and_decoded_and_the_rest_of_the_url_is_public() {
        let known = known("DATABASE_URL", "postgresql://hotdash:a%40b-Zq9@db.staging.hotdash.app:5432/hotdash_staging");
        assert_eq!(searched(&known), ["a%40b-Zq9", "a@b-Zq9"]);
        assert!(known.is_public(b"hotdash_staging") && known.is_public(b"db.staging.hotdash.app"));
    }

    #[test]
    fn a_password_with_raw_delimiters_is_read_in_both_ways() {
        let known = known("DATABASE_URL", "postgresql://u:Hunter2@Zt/op#99@h.example/d_staging");
        assert_eq!(searched(&known), ["Hunter2@Zt/op#99", "Hunter2"]);
    }

    #[test]
    fn words_short_values_and_public_names_are_not_searched_for() {
        for password in ["a", "valid", "postgres", "Migration", "hotdash", "aaaaaaaa", "1234567", "***"] {
            let known = known("DATABASE_URL", &format!("postgresql://hotdash:{password}@h/hotdash_staging"));
            assert_eq!(searched(&known), [""; 0], "{password}");
            assert!(known.is_weak(password.as_bytes()));
        }
    }

    #[test]
    fn public_variables_hold_no_secret() {
        for (name, value) in [
            ("SUPABASE_URL", "https://stagingrefabcdefghij.supabase.co"),
            ("SHOPIFY_APP_URL", "https://staging.hotdash.app:8443/app"),
            ("PGUSER", "postgres.stagingrefabcdefghij"),
            ("SUPABASE_ANON", "sb_publishable_AbCdEfGhIjKlMnOpQrStUv_1a2b3c4d"),
            ("SCOPES", "read_products,write_products"),
            ("LOG_FILE", "/var/log/app-2024-01-02T03.log"),
        ] {
            assert_eq!(searched(&known(name, value)), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_file_that_no_parser_accepts_still_tells_its_secrets() {
        let raw = b"export DATABASE_URL=\"postgresql://u:Hunt\\er2$x@h/d\" oops\nSHOPIFY_API_SECRET: shh-9-shh\n\
            # OLD_TOKEN=old-tok-1 # was\nb64line9Zq8Yw7Xv6";
        let known = Known::new(&[], &[raw], Trust::Names);
        for secret in ["Hunt\\er2$x", "shh-9-shh", "old-tok-1", "b64line9Zq8Yw7Xv6"] {
            assert!(searched(&known).contains(&secret), "{secret} in {:?}", searched(&known));
        }
    }

    #[test]
    fn in_a_file_that_cannot_be_read_every_value_is_a_secret() {
        let raw = b"GREETING=hunter-two is mine\nPGHOST=db.example.org\nNODE_ENV=production";
        let names = Known::new(&[], &[raw], Trust::Names);
        assert_eq!(searched(&names), [""; 0]);
        let nothing = Known::new(&[], &[raw], Trust::Nothing);
        assert_eq!(searched(&nothing), ["hunter-two is mine"]);
    }

    #[test]
    fn the_url_inside_a_local_prisma_postgres_key_is_read() {
        let key = "eyJkYXRhYmFzZVVybCI6InBvc3RncmVzOi8vdTpIdW50ZXIyLVpAaC9kIn0";
        assert!(
            searched(&known("DATABASE_URL", &format!("prisma+postgres://localhost:1/?api_key={key}")))
                .contains(&"Hunter2-Z")
        );
    }
}
