//! Every form that docs/safety.md says is masked, of secrets of each kind.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Redactor, percent_encoded};
use crate::Secret;

/// Letters alone, every kind of character, and a long key.
const SECRETS: [&str; 3] = ["sunflowerbicycleharbor", "Hunter2/Z@q#x%y$", "sb_secret_Zq7Lm2xY9wV4tR8sK3nB6c_Hp0aJd1E"];

fn redactor() -> Redactor {
    let named = |(at, secret): (usize, &&str)| (format!("KEY_{at}"), Secret::new(*secret));
    Redactor::new(&SECRETS.iter().enumerate().map(named).collect::<Vec<_>>(), &[])
}

fn joined(secret: &str, separator: &str, written: impl Fn(u8) -> String) -> String {
    secret.bytes().map(written).collect::<Vec<_>>().join(separator)
}

/// As text, encoded, and as a dump; whole.
fn forms(secret: &str) -> Vec<String> {
    let (hex, number) = (|byte: u8| format!("{byte:02x}"), |byte: u8| byte.to_string());
    let pairs = |text: &str| text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    let reversed: String = secret.chars().rev().collect();
    let base64 = STANDARD.encode(secret);
    let mut forms = vec![
        secret.to_owned(),
        format!("x{secret}y"),
        format!("{secret}\u{1b}[0m"),
        format!("\u{1b}[31m{secret}"),
        format!("{}\u{1b}[1m{}", &secret[..7], &secret[7..]),
        format!("\r{secret}"),
        secret.to_ascii_uppercase(),
        percent_encoded(secret),
        joined(secret, "", |byte| format!("%{byte:02X}")),
        joined(secret, "", |byte| format!("\\x{byte:02x}")),
        joined(secret, "", |byte| format!("\\u{byte:04x}")),
        joined(secret, "", |byte| format!("\\{byte:03o}")),
        joined(secret, "", |byte| format!("&#{byte};")),
        joined(secret, "\0", |byte| char::from(byte).to_string()),
        serde_json::Value::from(secret).to_string(),
        reversed,
        STANDARD.encode(format!("user:{secret}")),
        URL_SAFE_NO_PAD.encode(format!("ab{secret}cd")),
        STANDARD.encode(&base64),
        base64,
        format!("<Buffer {}>", joined(secret, " ", hex)),
        pairs(&joined(secret, "", hex)),
        format!("[{}]", joined(secret, " ", number)),
        format!("{{\"type\":\"Buffer\",\"data\":[{}]}}", joined(secret, ",", number)),
        joined(secret, ", ", |byte| format!("{byte:>3}")),
        joined(secret, ", ", |byte| format!("0x{byte:02x}")),
    ];
    forms.extend(["", " ", ":", "-"].map(|separator| joined(secret, separator, hex)));
    forms.extend(["", " ", ":", "-"].map(|separator| joined(secret, separator, hex).to_ascii_uppercase()));
    forms.extend([",", ", "].map(|separator| joined(secret, separator, number)));
    forms
}

#[test]
fn every_promised_form_of_every_kind_of_secret_is_masked() {
    let (redactor, mut tried) = (redactor(), 0);
    for secret in SECRETS {
        for form in forms(secret) {
            for (before, after) in [("", ""), ("say ", " end"), ("k=", ";")] {
                let masked = redactor.text(&format!("{before}{form}{after}\n"));
                assert!(masked.contains("[REDACTED") && !masked.contains(&form), "{form:?} in {masked:?}");
                let left = masked.replace(|c: char| !c.is_ascii_alphanumeric(), " ");
                let longest = left.split(' ').filter(|word| form.contains(word)).map(str::len).max().unwrap_or(0);
                assert!(longest < 8, "{longest} characters of {form:?} are left in {masked:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 300, "{tried}");
}

/// By a line's end, an escape code, or a row of a dump.
#[test]
fn what_was_cut_or_wrapped_is_masked_but_for_short_pieces() {
    let redactor = redactor();
    for secret in SECRETS {
        for at in 8..=secret.len() - 8 {
            let (head, tail) = secret.split_at(at);
            for text in [
                format!("{head}\n{tail}\n"),
                format!("say {head}\u{1b}[0m\nmore: {head}...\n"),
                format!("'{head}' +\n  '{tail}'\n"),
                format!("{head}=\n{tail}\n"),
            ] {
                let masked = redactor.text(&text);
                assert!(!masked.contains(head), "{at}: {masked:?}");
                assert!(text.contains("say") || !masked.contains(tail), "{at}: {masked:?}");
            }
        }
        let rows = |digits: String, width: usize| {
            digits.as_bytes().chunks(width).map(|row| format!("{}\n", String::from_utf8_lossy(row))).collect::<String>()
        };
        let hex: String = joined(secret, "", |byte| format!("{byte:02x}"));
        let wrapped = STANDARD.encode(format!("{}{secret}{}", "before it ".repeat(6), " and after".repeat(6)));
        for text in
            [rows(hex, 32), rows(wrapped, 64), rows(joined(secret, ", ", |byte| format!("{byte:>3}")) + ",", 60)]
        {
            assert!(redactor.text(&text).contains("[REDACTED"), "{text}");
        }
    }
}
