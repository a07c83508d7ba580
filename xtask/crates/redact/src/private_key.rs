//! The body of a private key in PEM: the one secret of a fixed form that spans lines.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::rules::MASK_OPENING;

/// Whether the next line belongs to a private key that an earlier line opened.
#[derive(Default)]
pub struct PrivateKey {
    is_open: bool,
}

impl PrivateKey {
    /// The lines of `text` that are a key's body, to be called for all lines of a stream in order. `will_be_mask` tells of a line whether nothing
    /// but a mask stays of it: it has to be judged as it will be when what was masked is searched again.
    pub fn body_lines(&mut self, text: &[u8], will_be_mask: impl Fn(&Range<usize>) -> bool) -> Vec<Range<usize>> {
        let mut body = Vec::new();
        if !self.is_open && memmem::find(text, b"PRIVATE KEY").is_none() {
            return body;
        }
        let mut at = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let content = line.trim_ascii_end();
            let place = at..at + content.len();
            self.is_open = self.is_open && (is_body(content) || will_be_mask(&place));
            if self.is_open && !content.is_empty() && !is_mask(content) {
                body.push(place);
            }
            self.is_open |= opens(content);
            at += line.len();
        }
        body
    }
}

fn opens(line: &[u8]) -> bool {
    let key = memmem::find(line, b"-----BEGIN ").and_then(|begin| memmem::find(&line[begin..], b"PRIVATE KEY"));
    key.is_some() && memmem::find(line, b"-----END ").is_none()
}

/// One word of base64, maybe quoted, a header of RFC 1421, or a line that was masked.
fn is_body(line: &[u8]) -> bool {
    let is_header = line.starts_with(b"Proc-Type:") || line.starts_with(b"DEK-Info:");
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\"'\\,".contains(byte);
    is_header || is_mask(line) || line.trim_ascii().iter().all(is_base64)
}

fn is_mask(line: &[u8]) -> bool {
    line.starts_with(MASK_OPENING) && memchr(b']', line) == Some(line.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_open_until_its_end_or_until_text_that_is_no_key() {
        let mut key = PrivateKey::default();
        let mut bodies = |text: &'static str| -> Vec<&str> {
            key.body_lines(text.as_bytes(), |_| false).into_iter().map(|line| &text[line]).collect()
        };
        assert_eq!(bodies("x\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"), ["MIIE"]);
        assert_eq!(bodies("abcd\r\n\n-----END RSA PRIVATE KEY-----\nMIIE\n"), ["abcd"]);
        assert_eq!(bodies("-----BEGIN PRIVATE KEY-----\nMIIE\nreset successful\nabcd\n"), ["MIIE"]);
    }

    #[test]
    fn certificates_and_public_keys_stay() {
        let mut key = PrivateKey::default();
        let text = b"-----BEGIN PUBLIC KEY-----\nMIIE\n-----BEGIN CERTIFICATE-----\nMIIE\n";
        assert!(key.body_lines(text, |_| false).is_empty());
    }
}
