//! What must hold of whatever a program prints. The tests try the same inputs in every run, and `cargo chore fuzz` lets libFuzzer look for others.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Redactor, Secret, percent_encoded};

/// As `chores::fuzz::Target` has it.
pub type Target = (&'static str, &'static str, &'static str, usize, fn(&[u8]));

pub const TARGETS: [Target; 3] = [
    (
        "redactor",
        "output with a known secret in any of eight encodings, or two around each other",
        "the secret is not in what is left, in no encoding; what is not masked is there, in order; a second time finds nothing",
        1000,
        masks,
    ),
    ("redactor-pieces", "output in pieces", "the same in any pieces", 1000, pieces),
    (
        "redactor-env-file",
        "an env file that nobody could parse",
        "its values are masked wherever they stand, and their encodings too",
        200,
        env_file,
    ),
];

const PASSWORD: &str = "Hunter2/Z@q#x%y$";

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let dsn = format!("postgresql://hotdash:{}@db.staging.hotdash.app:5432/hotdash_staging", percent_encoded(PASSWORD));
    let key = "sb_secret_Zq7Lm2xY9wV4tR8sK3nB6c_Hp0aJd1E";
    let secrets = [("DATABASE_URL", dsn.as_str()), ("SUPABASE_SERVICE_KEY", key)];
    Redactor::new(&secrets.map(|(name, value)| (name.to_owned(), Secret::new(value))), &[])
});

fn encoded(text: &str, how: u8) -> String {
    match how % 8 {
        0 => text.to_owned(),
        1 => percent_encoded(text),
        2 => text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        3 => {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].replace('/', "\\/")
        }
        4 => text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        5 => STANDARD.encode(format!("hotdash:{text}")),
        6 => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        _ => text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;"),
    }
}

/// `0xff` and a byte stand for the secret, in the encoding that the byte says, and that in the other one that it says.
fn with_secrets(bytes: &[u8]) -> (Vec<u8>, Vec<String>) {
    let (mut text, mut forms) = (Vec::new(), Vec::new());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if *byte == 0xff {
            let how = rest.next().copied().unwrap_or_default();
            let form = encoded(&encoded(PASSWORD, how), how >> 3);
            // What stands right before it may be the beginning of an encoding of its own.
            text.extend_from_slice(format!(" {form} ").as_bytes());
            forms.push(form);
        } else {
            text.push(*byte);
        }
    }
    (text, forms)
}

fn masks(bytes: &[u8]) {
    let redactor = &*REDACTOR;
    let (text, forms) = with_secrets(bytes);
    let out = redactor.bytes(&text);
    let shown = String::from_utf8_lossy(&out);
    assert!(!shown.contains(PASSWORD) && !forms.iter().any(|form| shown.contains(form.as_str())), "{shown}");
    assert_eq!(redactor.scan(&out), None, "{shown}");
    assert!(forms.is_empty() || shown.contains("[REDACTED"), "{shown}");
    assert_rest_is_there(&text, &out);
    #[cfg(test)]
    assert!(redactor.0.work(&text) <= 400 * text.len() + (64 << 10), "{} bytes cost more", text.len());
}

/// What lies between masks stands in the text, in that order, from its beginning to its end.
fn assert_rest_is_there(text: &[u8], out: &[u8]) {
    let mut rest = text;
    let mut parts = split(out).into_iter();
    let first = parts.next().unwrap_or_default();
    assert!(rest.starts_with(first), "{} is lost", first.escape_ascii());
    rest = &rest[first.len()..];
    for part in parts {
        let at = rest.windows(part.len().max(1)).position(|window| window == part);
        let at = if part.is_empty() { Some(0) } else { at };
        assert!(at.is_some(), "{} is lost of {}", part.escape_ascii(), text.escape_ascii());
        rest = &rest[at.unwrap_or_default() + part.len()..];
    }
    let last = split(out).pop().unwrap_or_default();
    assert!(text.ends_with(last), "{} is lost", last.escape_ascii());
}

/// Without the masks.
fn split(out: &[u8]) -> Vec<&[u8]> {
    const MASK: &[u8] = b"[REDACTED";
    let (mut parts, mut rest) = (Vec::new(), out);
    while let Some(at) = rest.windows(MASK.len()).position(|window| window == MASK) {
        let Some(end) = rest[at..].iter().position(|byte| *byte == b']') else { break };
        parts.push(&rest[..at]);
        rest = &rest[at + end + 1..];
    }
    parts.push(rest);
    parts
}

/// The pieces are as large as the bytes of the text say.
fn pieces(bytes: &[u8]) {
    let redactor = &*REDACTOR;
    let (text, _) = with_secrets(bytes);
    let (mut out, mut stream, mut rest) = (Vec::new(), redactor.stream(), text.as_slice());
    while let Some(first) = rest.first() {
        let (piece, after) = rest.split_at((1 + usize::from(first % 48)).min(rest.len()));
        stream.push(piece, &mut out);
        rest = after;
    }
    stream.finish(&mut out);
    assert_eq!(out.escape_ascii().to_string(), redactor.bytes(&text).escape_ascii().to_string());
}

/// An env file with a line more.
fn env_file(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = format!("PAYMENT_TOKEN={PASSWORD}\n");
    let file = [&bytes[..at], line.as_bytes(), &bytes[at..]].concat();
    let redactor = Redactor::of_unreadable(&[], &[&file]);
    for how in 0..8 {
        let form = encoded(PASSWORD, how);
        let out = redactor.text(&format!("it said {form} and went\n"));
        assert!(!out.contains(&form) && !out.contains(PASSWORD), "{out}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_programs_print_holds_no_surprise() {
        let about = "The redactor, fed with the seeds of `xtask/fuzz/seeds` and with what becomes of them after some mishaps: the same inputs in \
                     every run. That its work grows as the text does is counted for each, and in `no_flood_costs_more_than_its_length_allows`.";
        chores::fuzz::hold("fuzz-of-the-redactor", about, "what_programs_print_holds_no_surprise", &super::TARGETS);
    }
}
