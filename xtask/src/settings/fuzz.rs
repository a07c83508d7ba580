//! What must hold of whatever stands in an env file and in `drill.toml`; see `crate::fuzz`.

#![allow(clippy::expect_used, reason = "a property panics where it does not hold")]

use std::path::Path;

use super::drill_toml::File;
use super::env_file;
use crate::error::Status;

/// What is accepted is read the same way in each of the other forms that are allowed; no refusal says more of a line than a name.
pub fn env_file(bytes: &[u8]) {
    if let Ok(variables) = env_file::parse(bytes) {
        let plain = |(name, value): &(String, redact::Secret)| (name.clone(), value.expose().to_owned());
        let variables: Vec<_> = variables.iter().map(plain).collect();
        let in_another_form = |(name, value): &(String, String)| {
            let quote = if value.contains('\'') { '"' } else { '\'' };
            format!("# {name}\r\nexport {name}={quote}{value}{quote}\r\n")
        };
        let text: String = variables.iter().map(in_another_form).collect();
        let again = env_file::parse(text.as_bytes()).expect("every value can be quoted");
        assert_eq!(again.iter().map(plain).collect::<Vec<_>>(), variables);
        let given = String::from_utf8_lossy(bytes);
        assert!(variables.iter().all(|(_, value)| given.contains(value)), "a value that was not written so");
    }
    let at = usize::from(bytes.first().copied().unwrap_or_default()) % (bytes.len() + 1);
    let with_secret = [&bytes[..at], b"~Zq7-Lm2%9w~", &bytes[at..]].concat();
    for refusal in env_file::parse(&with_secret).err().unwrap_or_default() {
        assert!(!format!("{refusal:?}").contains("Zq7"), "{refusal:?}");
        assert!(refusal.message.lines().count() == 1, "{refusal:?}");
    }
}

/// What is accepted has no key that is unknown, means the same with a comment behind it, and holds no number that cannot be used.
pub fn drill_toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = match File::of(text) {
        Ok(file) => file,
        Err(failure) => {
            assert_eq!((failure.status, failure.message.lines().count()), (Status::Usage, 1), "{failure:?}");
            return;
        }
    };
    assert!(File::of(&format!("{text}\n[unheard_of]\n")).is_err(), "an unknown section");
    let commented = File::of(&format!("{text}\n# nothing\n")).expect("a comment");
    assert_eq!(format!("{commented:?}"), format!("{file:?}"));
    let root = Path::new("/project");
    if let Ok(parity) = file.parity() {
        assert!((0.0..=100.0).contains(&parity.threshold_pct), "{}", parity.threshold_pct);
    }
    let timeouts = file.timeouts();
    assert!(!timeouts.silence.is_zero());
    let _ = (file.supabase(root), file.evidence(root), file.deploy(), file.limits(), file.production_rows());
}
