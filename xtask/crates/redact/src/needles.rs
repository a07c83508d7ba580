//! Where in a text a secret may begin: at a few bytes of a known secret, or at a rule's trigger.
//!
//! A secret is recognised by short *seeds* (its first and last bytes, and for long ones a few between), then compared
//! outwards from there. So a secret that a tool cut off is found as well as a whole one. Case is ignored: URL parsers
//! lower the half of a password that they take for a host.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use memchr::{memchr, memmem, memrchr};

use super::grams::{self, Grams};
use super::known::{Known, Literal, Place};
use super::rules::{self, MASK_OPENING, RULES};
use super::words;
use super::work;

const SEED: usize = 6;

/// A secret at least this long is recognised by any `PART` bytes of it.
const LONG: usize = 24;
const PART: usize = 16;

/// The first letters of a secret may be a word with which some line ends.
const NO_WORD: usize = 8;

/// How far a rule reads from its trigger.
pub const RULE_REACH: usize = 8 * 1024;

/// A trigger as far inside of what is masked already tells nothing new.
const RULE_REST: usize = 32;

pub struct Needles {
    grams: Grams,
    /// By needle.
    starts: Vec<Vec<Start>>,
    /// By literal: its public parts, once a part of it was seen.
    public: Vec<OnceLock<Vec<usize>>>,
    /// Of masks that are there already.
    masks: memmem::Finder<'static>,
}

#[derive(Clone, Copy)]
enum Start {
    Rule(usize),
    Seed { literal: usize, offset: usize },
}

/// Bytes to be masked.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub range: Range<usize>,
    /// Index into `Known::labels`.
    pub label: Option<usize>,
    pub what: &'static str,
}

impl Needles {
    pub fn new(known: &Known) -> Self {
        let mut starts: BTreeMap<Vec<u8>, Vec<Start>> = BTreeMap::new();
        for (index, rule) in RULES.iter().enumerate() {
            for trigger in rule.spelled_out_triggers() {
                starts.entry(trigger).or_default().push(Start::Rule(index));
            }
        }
        for (literal, Literal { bytes, place, .. }) in known.literals.iter().enumerate() {
            for offset in seed_offsets(bytes.len(), place) {
                let seed = bytes[offset..bytes.len().min(offset + SEED)].to_ascii_lowercase();
                starts.entry(seed).or_default().push(Start::Seed { literal, offset });
            }
        }
        // Too short to search for; the rules see it where a password stands.
        starts.retain(|needle, _| needle.len() >= grams::SHORTEST);
        let (needles, starts): (Vec<_>, _) = starts.into_iter().unzip();
        let public = known.literals.iter().map(|_| OnceLock::new()).collect();
        Needles { grams: Grams::new(&needles), starts, public, masks: memmem::Finder::new(MASK_OPENING) }
    }

    /// Adds what `lines` of `text` hold to `found`: whole lines, since nothing is read over their ends.
    pub fn find(&self, known: &Known, text: &[u8], lines: Range<usize>, found: &mut Vec<Hit>) {
        let (from, first, text) = (lines.start, found.len(), &text[lines]);
        let mut reading = Reading::of(text, &self.masks);
        self.grams.find(text, |needle, at| {
            let is_inside = reading.masked.start <= at && at + RULE_REST < reading.masked.end;
            for start in &self.starts[needle] {
                let hit = match *start {
                    Start::Rule(_) if is_inside => None,
                    Start::Rule(rule) => reading.rule_hit(known, at, rule),
                    Start::Seed { literal, offset } => reading.literal_hit(known, &self.public, literal, at, offset),
                };
                if let Some(hit) = hit {
                    reading.masks(&hit.range);
                    add(found, first, Hit { range: from + hit.range.start..from + hit.range.end, ..hit });
                }
            }
        });
    }
}

/// What was read of a text already, which nothing need read again: that is what keeps the work proportional to its
/// length, whatever a child prints.
struct Reading<'a> {
    text: &'a [u8],
    masks: &'a memmem::Finder<'static>,
    /// The line of the last trigger.
    line: Range<usize>,
    /// From where on in it the next mask was looked for, and where that is: at the line's end, if there is none.
    mask: (usize, usize),
    /// What is to be masked already, as far ahead as is known: in it no rule need look.
    masked: Range<usize>,
    /// By rule: where it found nothing.
    settled: [Range<usize>; RULES.len()],
    /// By literal: where it would begin, and up to where it was compared so.
    compared: Vec<(usize, usize)>,
}

impl<'a> Reading<'a> {
    fn of(text: &'a [u8], masks: &'a memmem::Finder<'static>) -> Self {
        let settled = [const { 0..0 }; RULES.len()];
        Reading { text, masks, line: 0..0, mask: (0, 0), masked: 0..0, settled, compared: Vec::new() }
    }

    /// What a rule may read from its trigger at `at`: its line, as far as a rule reads, and up to the next mask, since what
    /// stands behind that was judged when it was written. Triggers come nearly in order: some lie a few bytes back.
    fn reach(&mut self, at: usize) -> Range<usize> {
        if !self.line.contains(&at) {
            let start = memrchr(b'\n', &self.text[..at]).map_or(0, |newline| newline + 1);
            let end = memchr(b'\n', &self.text[at..]).map_or(self.text.len(), |newline| at + newline);
            (self.line, self.mask) = (start..end, (end, end));
        }
        let (from, mask) = self.mask;
        if at < from || mask < at {
            let until = if at < from { (from + MASK_OPENING.len() - 1).min(self.line.end) } else { self.line.end };
            let found = self.masks.find(&self.text[at..until]).map(|mask| at + mask);
            self.mask = (at, found.unwrap_or(if at < from { mask } else { self.line.end }));
        }
        at..self.mask.1.min(at + RULE_REACH)
    }

    fn masks(&mut self, range: &Range<usize>) {
        let touches = self.masked.start <= range.end && range.start <= self.masked.end;
        if touches {
            self.masked = self.masked.start.min(range.start)..self.masked.end.max(range.end);
        } else if self.masked.end < range.end {
            self.masked = range.clone();
        }
    }

    /// Whether the rule found nothing from another place of the same word.
    fn is_settled(&self, rule: usize, at: usize) -> bool {
        let settled = &self.settled[rule];
        let is_before = || (at..at + SEED * 4).contains(&settled.start);
        settled.contains(&at)
            || !settled.is_empty()
                && is_before()
                && rules::settled(rule, &self.text[at..settled.start]) == settled.start - at
    }

    fn rule_hit(&mut self, known: &Known, at: usize, rule: usize) -> Option<Hit> {
        if self.is_settled(rule, at) {
            return None;
        }
        let reach = self.reach(at);
        let hit = rule_hit(known, self.text, reach.clone(), rule);
        if hit.is_none() {
            // What is longer than a rule's reach is read again halfway.
            let len = rules::settled(rule, &self.text[at..reach.end.min(at + RULE_REACH / 2)]);
            self.settled[rule] = at..at + len;
        }
        hit
    }

    /// Compares outwards from the seed, which stands at `at` in the text and at `offset` in the secret.
    fn literal_hit(
        &mut self,
        known: &Known,
        public: &[OnceLock<Vec<usize>>],
        index: usize,
        at: usize,
        offset: usize,
    ) -> Option<Hit> {
        self.compared.resize(known.literals.len(), (0, 0));
        let (literal, text) = (&known.literals[index], self.text);
        let begin = at.wrapping_sub(offset);
        let (last_begin, until) = self.compared[index];
        if last_begin == begin && at < until {
            return None;
        }
        let bytes = &literal.bytes;
        let before = alike_backwards(&text[..at], &bytes[..offset]);
        let seed = SEED.min(bytes.len() - offset);
        let after = seed + alike(&text[at + seed..], &bytes[offset + seed..]);
        work::read(before + after);
        self.compared[index] = (begin, at + after);
        let is_public =
            |part: &Range<usize>| part.len() <= public[index].get_or_init(|| known.public_parts(bytes))[part.start];
        literal_hit(literal, is_public, text, offset - before..offset + after, at - before..at + after)
    }
}

/// Compared at once as long as the case is the same, too, which it nearly always is.
const AT_ONCE: usize = 8;

/// How many bytes at the beginning of both are the same in any case.
fn alike(text: &[u8], secret: &[u8]) -> usize {
    let chunks = text.chunks_exact(AT_ONCE).zip(secret.chunks_exact(AT_ONCE));
    let exactly = AT_ONCE * chunks.take_while(|(a, b)| a == b).count();
    let rest = text[exactly..].iter().zip(&secret[exactly..]);
    exactly + rest.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// As `alike`, at the end of both.
fn alike_backwards(text: &[u8], secret: &[u8]) -> usize {
    let chunks = text.rchunks_exact(AT_ONCE).zip(secret.rchunks_exact(AT_ONCE));
    let exactly = AT_ONCE * chunks.take_while(|(a, b)| a == b).count();
    let rest = text[..text.len() - exactly].iter().rev().zip(secret[..secret.len() - exactly].iter().rev());
    exactly + rest.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// The same secret is seen by its first bytes, by its last, and by a rule: that is one hit. Most are found in order, and the
/// others a few places back; `first` is the first of this text.
fn add(hits: &mut Vec<Hit>, first: usize, hit: Hit) {
    const NEAR: usize = 8;
    let near = &hits[first.max(hits.len().saturating_sub(NEAR))..];
    let behind = near.iter().rev().take_while(|other| hit.range.end < other.range.start).count();
    let at = hits.len() - behind;
    if !hits[first..at].last_mut().is_some_and(|last| last.takes_in(&hit)) {
        hits.insert(at, hit);
    }
}

/// Puts them in order, and makes one of those that overlap or touch.
pub fn merge(hits: &mut Vec<Hit>) {
    if !hits.is_sorted_by_key(|hit| hit.range.start) {
        hits.sort_by_key(|hit| hit.range.start);
    }
    hits.dedup_by(|hit, last| last.takes_in(hit));
}

impl Hit {
    /// Becomes one with `other`, if they overlap or touch.
    fn takes_in(&mut self, other: &Hit) -> bool {
        let touches = self.range.start <= other.range.end && other.range.start <= self.range.end;
        if touches {
            self.range = self.range.start.min(other.range.start)..self.range.end.max(other.range.end);
            self.label = self.label.or(other.label);
        }
        touches
    }
}

/// Any part of `PART` bytes of a long secret holds a seed: they stand that much closer to each other.
fn seed_offsets(len: usize, place: &Place) -> Vec<usize> {
    match place {
        Place::Anywhere | Place::Encoded { .. } if len >= LONG => {
            (0..len - SEED).step_by(PART - SEED + 1).chain([len - SEED]).collect()
        }
        Place::Anywhere => vec![0, len - SEED],
        Place::Encoded { .. } if len < SEED * 2 => vec![0],
        Place::Encoded { .. } => vec![0, len - SEED],
        Place::Word | Place::Piece => vec![0],
        // The user's name is in every log.
        Place::Userinfo(_) => vec![len.saturating_sub(SEED)],
    }
}

fn rule_hit(known: &Known, text: &[u8], reach: Range<usize>, rule: usize) -> Option<Hit> {
    let at = reach.start;
    let secret = rules::secret_at(rule, &text[reach], |value| known.is_weak(value))?;
    let range = at + secret.start..at + secret.end;
    let is_masked = rules::is_in_mask(text, at) || rules::is_in_mask(text, range.start);
    (!is_masked).then_some(Hit { range, label: None, what: RULES[rule].what })
}

/// Whether `part` of the literal, which stands at `range`, is a secret there.
fn literal_hit(
    literal: &Literal,
    is_public: impl Fn(&Range<usize>) -> bool,
    text: &[u8],
    part: Range<usize>,
    range: Range<usize>,
) -> Option<Hit> {
    let bytes = &literal.bytes;
    let is_whole = part == (0..bytes.len());
    let is_secret = match &literal.place {
        Place::Anywhere | Place::Encoded { .. } => {
            is_whole
                || is_telling_part(bytes, &part, text, &range)
                    && !is_public(&part)
                    && !rules::is_in_mask(text, range.start)
        }
        Place::Word | Place::Piece => is_whole && is_bounded(text, &range),
        Place::Userinfo(_) => is_whole,
    };
    let range = masked_range(literal, &part, text, range);
    (is_secret && !range.is_empty()).then_some(Hit { range, label: literal.label, what: "secret of the target" })
}

/// What to mask where `part` of the literal stands at `range`.
fn masked_range(literal: &Literal, part: &Range<usize>, text: &[u8], range: Range<usize>) -> Range<usize> {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte));
    match &literal.place {
        Place::Userinfo(password) => range.start + password.start..range.start + password.end,
        Place::Encoded { shared_before, shared_after } => {
            let before = *shared_before && part.start == 0 && is_digit(text[..range.start].last());
            let after = *shared_after && part.end == literal.bytes.len() && is_digit(text.get(range.end));
            range.start - usize::from(before)..range.end + usize::from(after)
        }
        Place::Anywhere | Place::Word | Place::Piece => range,
    }
}

/// A long part tells enough wherever it stands; a short one where its line begins or ends, because a tool wrapped or
/// shortened the text there.
fn is_telling_part(secret: &[u8], part: &Range<usize>, text: &[u8], range: &Range<usize>) -> bool {
    let is_long = secret.len() >= LONG && part.len() >= PART;
    let bytes = &secret[part.clone()];
    let least = if bytes.iter().all(u8::is_ascii_alphabetic) { NO_WORD } else { SEED };
    let is_cut_off = part.start == 0 && part.len() >= least && ends_line(&text[range.end..]);
    let is_carried_over = part.end == secret.len() && part.len() >= least && begins_line(&text[..range.start]);
    (is_long || is_cut_off || is_carried_over) && !words::is_common(bytes)
}

/// How many quotes, dots and operators may stand between a cut and the end of the line.
const TRIMMINGS: usize = 8;

fn ends_line(after: &[u8]) -> bool {
    let rest = &after[..after.len().min(TRIMMINGS + 1)];
    let rest = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
    rest.len() <= TRIMMINGS && !rest.iter().any(u8::is_ascii_alphanumeric)
}

fn begins_line(before: &[u8]) -> bool {
    let lead = before
        .iter()
        .rev()
        .take_while(|byte| !byte.is_ascii_alphanumeric() && **byte != b'\n')
        .take(TRIMMINGS + 1)
        .count();
    lead <= TRIMMINGS && before.len().checked_sub(lead + 1).is_none_or(|last| before[last] == b'\n')
}

fn is_bounded(text: &[u8], range: &Range<usize>) -> bool {
    let before = range.start.checked_sub(1).map(|at| text[at]);
    let after = text.get(range.end).copied();
    ![before, after].into_iter().flatten().any(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_counted_to_the_byte_in_any_case() {
        let secret: Vec<u8> = (b'a'..=b'y').collect();
        for other in 0..secret.len() {
            let mut text = secret.clone();
            text[other] = b'!';
            let lengths = (alike(&text, &secret), alike_backwards(&text, &secret));
            assert_eq!(lengths, (other, secret.len() - 1 - other));
            text[other] = secret[other].to_ascii_uppercase();
            assert_eq!((alike(&text, &secret), alike_backwards(&text, &secret)), (25, 25));
        }
        assert_eq!((alike(b"abcdefghij", &secret), alike_backwards(b"qrstuvwxy", &secret)), (10, 9));
        assert_eq!((alike(b"", &secret), alike_backwards(&secret, b"")), (0, 0));
    }
}
