//! No secret gets past it, and the log stays readable.
//!
//! Every byte that a child prints, and every message of our own, goes through a [`Redactor`]. It knows the target's
//! secrets and searches for them under every encoding that a tool may put around them; secrets that it was never told
//! it recognises by shape and by name (`rules`). A mask reads `[REDACTED_DATABASE_URL]` with the variable that the
//! secret came from, or `[REDACTED]`; hosts, users and databases stay, because a log that does not say what failed is
//! no evidence. Redaction is idempotent, and does not depend on how a stream was cut into chunks.
//!
//! | file | holds |
//! |---|---|
//! | `known` | what an environment's values tell: secret parts, strong or weak, and public ones |
//! | `rules`, `named` | secrets recognised without being known |
//! | `grams` | a fast search for many needles at once |
//! | `needles` | where a secret may begin, and the comparison from there |
//! | `view`, `decode` | a text with one encoding taken off, and the way back |
//! | `work` | what all that costs, for the tests |
//! | `stream`, `private_key` | bytes as they come; what spans lines |

mod decode;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod grams;
mod known;
mod named;
mod needles;
mod private_key;
mod purse;
mod rules;
mod secret;
mod shapes;
mod stream;
mod view;
mod words;
mod work;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod properties;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use decode::Encoding;
use known::{Known, Trust};
use needles::{Hit, Needles};
#[cfg(test)]
use view::DECODED;
use view::{Budget, Source, View};

pub use secret::Secret;
pub use stream::{Stream, filter};

/// How many encodings may lie around each other: three, and a terminal's colours.
const DEPTH: usize = 4;

/// Knows what to mask. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Redactor(Arc<Detector>);

struct Detector {
    known: Known,
    needles: Needles,
}

/// The first secret in a text that should hold none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In bytes from the beginning.
    pub offset: u64,
    /// What it is, never its value: the name of its variable, or the rule that saw it.
    pub what: String,
}

impl Redactor {
    /// `secrets` are the variables of a target with their values, public ones too: they tell what has to stay
    /// readable. `raw_texts` are the files that they were read from, so that a value in a line that no parser accepts
    /// is masked as well.
    pub fn new(secrets: &[(String, Secret)], raw_texts: &[&[u8]]) -> Self {
        Redactor::of(Known::new(secrets, raw_texts, Trust::Names))
    }

    /// As `new`, where a raw text could not be parsed: what it gives any name but a public one may be a secret.
    pub fn of_unreadable(secrets: &[(String, Secret)], raw_texts: &[&[u8]]) -> Self {
        Redactor::of(Known::new(secrets, raw_texts, Trust::Nothing))
    }

    fn of(known: Known) -> Self {
        let needles = Needles::new(&known);
        Redactor(Arc::new(Detector { known, needles }))
    }

    /// Knows shapes and names only, for what is printed before any env file was read.
    pub fn generic() -> Self {
        Redactor::new(&[], &[])
    }

    /// A message of our own with its secrets masked.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// A whole buffer with its secrets masked.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut stream = self.stream();
        stream.push(bytes, &mut out);
        stream.finish(&mut out);
        out
    }

    /// For one stream of a child: what arrives on stdout and stderr must not be mixed before it is redacted.
    pub fn stream(&self) -> Stream {
        Stream::new(self.clone())
    }

    /// Looks for a secret in a finished file; what is masked already is none.
    pub fn scan(&self, bytes: &[u8]) -> Option<Finding> {
        self.scan_all(bytes).unwrap_or_default()
    }

    /// As `scan`, of what a reader gives, with no more than a part of it in memory.
    ///
    /// # Errors
    /// The reader's; a slice has none.
    pub fn scan_all(&self, mut file: impl Read) -> io::Result<Option<Finding>> {
        let mut stream = self.stream().of_a_file();
        let (mut chunk, mut discarded) = (vec![0; 1 << 20], Vec::new());
        loop {
            let count = match file.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if count == 0 {
                stream.finish_in_place(&mut discarded);
                return Ok(stream.first_finding());
            }
            stream.push(&chunk[..count], &mut discarded);
            discarded.clear();
            if let Some(finding) = stream.first_finding() {
                return Ok(Some(finding));
            }
        }
    }

    /// The strong secrets in their literal forms, each escaped to stand behind `::add-mask::` as GitHub's workflow
    /// commands require (<https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts>). The runner
    /// derives base64 and others itself. Weak ones are left out: GitHub would blot out every `a`.
    pub fn masks(&self) -> Vec<String> {
        let texts = self.0.known.strong().filter_map(|literal| std::str::from_utf8(&literal.bytes).ok());
        let forms = texts.flat_map(|text| {
            let json = serde_json::Value::from(text).to_string();
            [text.to_owned(), percent_encoded(text), json[1..json.len() - 1].to_owned()]
        });
        let escaped = forms.map(|form| form.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"));
        escaped.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(…)")
    }
}

impl Detector {
    /// Adds what to mask in `text`, which should end with a line's end, in no order. Of a line at most as many times its own
    /// length is decoded as the budget, which was made for `text`, says.
    fn find(&self, text: &[u8], budget: &mut Budget<'_>, hits: &mut Vec<Hit>) {
        self.explore(Source::outermost(text), 0, budget, hits);
        let hidden = |range| Hit { range, label: None, what: "a line of encodings in encodings" };
        hits.extend(budget.exceeded().map(hidden));
    }

    /// How many bytes the search of `text` goes through: in all views together, and by rules and comparisons in each.
    #[cfg(test)]
    fn work(&self, text: &[u8]) -> usize {
        work::taken();
        self.find(text, &mut Budget::new(text, DECODED), &mut Vec::new());
        text.len() + work::taken()
    }

    /// Searches every view that one more encoding taken off gives, then the text itself, less the lines that were found to
    /// be masked whole.
    fn explore(&self, source: Source<'_>, depth: usize, budget: &mut Budget<'_>, hits: &mut Vec<Hit>) {
        let before = hits.len();
        if depth < DEPTH {
            self.explore_views(source, depth, budget, hits);
        }
        let in_views = hits.len() - before;
        for legible in budget.legible(source) {
            self.needles.find(&self.known, source.text, legible, hits);
        }
        hits[before..].rotate_left(in_views);
    }

    fn explore_views(&self, source: Source<'_>, depth: usize, budget: &mut Budget<'_>, hits: &mut Vec<Hit>) {
        if let Some(shortest) = self.known.shortest() {
            let view = decode::binary(source, shortest, budget);
            self.look_through(view, Encoding::Binary, depth, budget, hits);
        }
        for encoding in Encoding::ESCAPES {
            if encoding != Encoding::Form || self.known.has_space() {
                let view = decode::escapes(encoding, source, budget);
                self.look_through(view, encoding, depth, budget, hits);
            }
        }
    }

    fn look_through(&self, view: View, encoding: Encoding, depth: usize, budget: &mut Budget<'_>, hits: &mut Vec<Hit>) {
        if !view.is_empty() {
            let before = hits.len();
            self.explore(Source::of_view(&view, encoding as usize), depth + 1, budget, hits);
            let mut near = 0;
            hits[before..].iter_mut().for_each(|hit| hit.range = view.parent_range(hit.range.clone(), &mut near));
        }
        budget.give_back(view);
    }

    fn write_mask(&self, hit: &Hit, out: &mut Vec<u8>) {
        out.extend_from_slice(rules::MASK_OPENING);
        let longest = rules::LONGEST_MASK - rules::MASK_OPENING.len() - 2;
        let is_plain = |name: &&String| {
            name.len() <= longest && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if let Some(name) = hit.label.map(|label| &self.known.labels[label]).filter(is_plain) {
            out.push(b'_');
            out.extend_from_slice(name.as_bytes());
        }
        out.push(b']');
    }

    fn describe(&self, hit: &Hit) -> String {
        hit.label.map_or_else(|| hit.what.to_owned(), |label| self.known.labels[label].clone())
    }
}

/// As `encodeURIComponent` does.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let dsn = "postgresql://hotdash:Hunter2%2FZ%40q%23x%25y%24@db.staging.hotdash.app:5432/hotdash_staging";
        Redactor::new(&[("DATABASE_URL".to_owned(), Secret::new(dsn))], &[])
    }

    #[test]
    fn a_mask_names_the_variable_and_keeps_the_rest() {
        let text =
            "connecting to postgresql://hotdash:Hunter2%2FZ%40q%23x%25y%24@db.staging.hotdash.app:5432/hotdash_staging";
        let masked =
            "connecting to postgresql://hotdash:[REDACTED_DATABASE_URL]@db.staging.hotdash.app:5432/hotdash_staging";
        assert_eq!(redactor().text(text), masked);
    }

    #[test]
    fn a_scan_says_where_and_what_but_not_the_value() {
        let finding = redactor().scan(b"line\npw Hunter2/Z@q#x%y$ end\n").unwrap();
        assert_eq!(finding, Finding { offset: 8, what: "DATABASE_URL".to_owned() });
        let finding = Redactor::generic().scan(b"https://u:r3d1spw@cache/0").unwrap();
        assert_eq!(finding, Finding { offset: 10, what: "password in a URL".to_owned() });
    }

    #[test]
    fn a_scan_finds_nothing_in_what_was_masked() {
        let redactor = redactor();
        let masked =
            redactor.bytes(b"PGPASSWORD=x9 u:Hunter2/Z@q#x%y$ redis://:r3d1spw@cache eyJhbGciOi.eyJyb2xlIj.sig\n");
        assert_eq!(redactor.scan(&masked), None, "{}", String::from_utf8_lossy(&masked));
    }

    /// The raw text of an env file is searched for as well, and a line of it begins with the name that a mask shows.
    #[test]
    fn a_name_in_a_mask_at_the_end_of_a_line_is_no_part_of_the_env_file() {
        let (name, key) = ("SUPABASE_SERVICE_KEY", "sb_secret_Zq7Lm2xY9wV4tR8sK3nB6c_Hp0aJd1E");
        let file = format!("SUPABASE_URL=http://127.0.0.1:1\n{name}={key}\n");
        let redactor = Redactor::new(&[(name.to_owned(), Secret::new(key))], &[file.as_bytes()]);
        for text in ["a secret key (`sb_secret_...`)\n", "\"sb_secret_Zq7Lm2xY9wV\"\n", key] {
            let masked = redactor.text(text);
            assert!(masked.contains("[REDACTED_SUPABASE_SERVICE_KEY]"), "{masked}");
            assert_eq!(redactor.text(&masked), masked);
            assert_eq!(redactor.scan(masked.as_bytes()), None, "{masked}");
        }
        let mention = format!("`{name}` holds no key, and {name} is set\n");
        assert_eq!(redactor.text(&mention), mention, "the name of a variable is no secret");
    }

    #[test]
    fn masks_for_github_are_escaped_and_leave_weak_secrets_out() {
        let masks = redactor().masks();
        assert!(masks.contains(&"Hunter2/Z@q#x%25y$".to_owned()), "{masks:?}");
        assert!(masks.contains(&"Hunter2%252FZ%2540q%2523x%2525y%2524".to_owned()), "{masks:?}");
        let weak = Redactor::new(&[("DATABASE_URL".to_owned(), Secret::new("postgresql://u:a@h/d"))], &[]);
        assert!(weak.masks().is_empty());
        let key = "-----BEGIN KEY-----\nMIIEabcdefghij0123\n-----END KEY-----";
        let lines = Redactor::new(&[("SIGNING_KEY".to_owned(), Secret::new(key))], &[]).masks();
        assert!(lines.contains(&"MIIEabcdefghij0123".to_owned()) && lines.iter().all(|mask| !mask.contains("%0A")));
    }

    /// Whoever prints lines that are masked whole anyway does not keep the rules busy with them.
    #[test]
    fn what_is_masked_whole_is_not_searched_and_what_stands_beside_it_is() {
        let text = "password=Qp9-zz\npassword=Qp9-zz\\x41\x1b[1mpassword=Qp9-zz\npassword=Qp9-zz\\x41\n";
        let mut hits = Vec::new();
        redactor().0.find(text.as_bytes(), &mut Budget::new(text.as_bytes(), 1), &mut hits);
        let mut found: Vec<_> = hits.iter().map(|hit| (&text[hit.range.clone()], hit.what)).collect();
        found.sort();
        let name = "secret by name";
        let whole = ("password=Qp9-zz\\x41\x1b[1mpassword=Qp9-zz", "a line of encodings in encodings");
        assert_eq!(found, [("Qp9-zz", name), ("Qp9-zz\\x41", name), ("Qp9-zz\\x41", name), whole]);
    }

    #[test]
    fn a_variable_whose_name_is_no_plain_word_is_not_named() {
        for name in ["A".repeat(90), "x]y".to_owned()] {
            let redactor = Redactor::new(&[(name + "_SECRET", Secret::new("Hunter2-Z"))], &[]);
            assert_eq!(redactor.text("it is Hunter2-Z"), "it is [REDACTED]");
        }
    }

    #[test]
    fn nothing_is_printed_by_debug() {
        assert_eq!(format!("{:?}", redactor()), "Redactor(…)");
    }
}
