//! Redaction of bytes as they come: held back until their line is complete, never more than a line's worth of memory.
//!
//! Where a stream was cut into chunks never shows in the output. A line longer than `REGION` is given out region by
//! region; each is searched together with `OVERLAP` bytes on either side, so that a secret across the seam is seen
//! from both.

use std::io::{self, Read, Write};
use std::ops::Range;

use memchr::{memchr, memrchr};

use super::needles::merge;
use super::private_key::PrivateKey;
use super::purse::Purse;
use super::view::{Budget, Spare};
use super::{Finding, Hit, Redactor};

pub(super) const REGION: usize = 128 * 1024;

/// Longer than any known secret in any encoding, and than the reach of a rule.
const OVERLAP: usize = 16 * 1024;

pub struct Stream {
    redactor: Redactor,
    purse: Purse,
    /// Not yet given out, behind `context` bytes that were.
    pending: Vec<u8>,
    /// How much of `pending` is there only to search the rest with; not zero only inside a line longer than `REGION`.
    context: usize,
    /// Whether the mask of the secret that reaches over the last seam was written already.
    is_masking: bool,
    private_key: PrivateKey,
    spare: Spare,
    /// What was found in the lines searched last, and in `pending` so far: empty between two searches.
    found: Vec<Hit>,
    hits: Vec<Hit>,
    /// Bytes of input given out so far.
    given: u64,
    first: Option<Finding>,
}

impl Stream {
    pub(super) fn new(redactor: Redactor) -> Self {
        Stream {
            redactor,
            purse: Purse::default(),
            pending: Vec::new(),
            context: 0,
            is_masking: false,
            private_key: PrivateKey::default(),
            spare: Spare::default(),
            found: Vec::new(),
            hits: Vec::new(),
            given: 0,
            first: None,
        }
    }

    /// Of bytes that all lie there, and are read to their end whatever it costs.
    pub(super) fn of_a_file(self) -> Self {
        Stream { purse: Purse::bottomless(), ..self }
    }

    /// Takes the next bytes, appends to `out` what is safe to show by now.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        for part in chunk.chunks(REGION) {
            self.pending.extend_from_slice(part);
            // A child that writes single bytes must not have its whole line searched for a newline at each.
            if memchr(b'\n', part).is_some() || self.pending.len() - self.context >= REGION + OVERLAP {
                self.give(out);
            }
        }
    }

    /// Appends the rest: a stream may end without a newline.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.finish_in_place(out);
    }

    pub(super) fn finish_in_place(&mut self, out: &mut Vec<u8>) {
        let end = self.pending.len();
        self.redact(end, end, out);
        self.pending.clear();
        self.context = 0;
    }

    /// The first thing that was masked.
    pub(super) fn first_finding(&mut self) -> Option<Finding> {
        self.first.take()
    }

    /// Bytes in memory.
    #[cfg(test)]
    pub(super) fn held_back(&self) -> usize {
        self.pending.capacity()
    }

    fn give(&mut self, out: &mut Vec<u8>) {
        loop {
            let fresh = &self.pending[self.context..];
            let window = &fresh[..fresh.len().min(REGION + OVERLAP)];
            if let Some(newline) = memrchr(b'\n', window) {
                let end = self.context + newline + 1;
                self.redact(end, end, out);
                self.pending.drain(..end);
                self.context = 0;
            } else if window.len() == REGION + OVERLAP {
                let (end, seam) = (self.context + window.len(), self.context + REGION);
                self.redact(end, seam, out);
                self.pending.drain(..seam - OVERLAP);
                self.context = OVERLAP;
            } else {
                return;
            }
        }
    }

    /// Notes what to mask in `pending[..searched]`, as far as the purse lets us look.
    fn search(&mut self, searched: usize) {
        let mut from = 0;
        while from < searched {
            let text = first_lines(&self.pending[from..searched]);
            let (len, times) = self.purse.allows(text);
            let mut budget = Budget::reusing(std::mem::take(&mut self.spare), &text[..len], times);
            self.redactor.0.find(&text[..len], &mut budget, &mut self.found);
            let paid = self.purse.pay(len, budget.costs());
            self.spare = budget.spare();
            merge(&mut self.found);
            let in_pending = |hit: Hit| Hit { range: from + hit.range.start..from + hit.range.end, ..hit };
            self.hits.extend(self.found.drain(..).filter(|hit| hit.range.start < paid).map(in_pending));
            from += paid;
        }
    }

    /// Searches `pending[..searched]` and gives out what lies between the context and `until`.
    fn redact(&mut self, searched: usize, until: usize, out: &mut Vec<u8>) {
        self.search(searched);
        let from = self.context;
        merge(&mut self.hits);
        let hits = &self.hits;
        let is_hit = |line: &Range<usize>| {
            let at = hits.partition_point(|hit| hit.range.start < from + line.start);
            hits.get(at).is_some_and(|hit| hit.range == (from + line.start..from + line.end))
        };
        let body = self.private_key.body_lines(&self.pending[from..until], is_hit);
        self.hits.extend(body.into_iter().map(|line| Hit {
            range: from + line.start..from + line.end,
            label: None,
            what: "private key",
        }));
        merge(&mut self.hits);
        let mut at = from;
        for hit in self.hits.drain(..) {
            let (start, end) = (hit.range.start.max(from), hit.range.end.min(until));
            if start >= end {
                continue;
            }
            out.extend_from_slice(&self.pending[at..start]);
            if start > from || !self.is_masking {
                self.redactor.0.write_mask(&hit, out);
            }
            let offset = self.given + (start - from) as u64;
            self.first.get_or_insert_with(|| Finding { offset, what: self.redactor.0.describe(&hit) });
            at = end;
        }
        self.is_masking = at == until && at > from;
        out.extend_from_slice(&self.pending[at..until]);
        self.given += (until - from) as u64;
    }
}

/// As many lines as the processor's cache holds with all that is noted of them.
fn first_lines(text: &[u8]) -> &[u8] {
    const AT_ONCE: usize = 16 * 1024;
    let rest = text.get(AT_ONCE..).unwrap_or_default();
    memchr(b'\n', rest).map_or(text, |newline| &text[..=AT_ONCE + newline])
}

/// Copies `reader` to `writer` with every secret masked; what is complete is written and flushed before more is read.
pub fn filter(redactor: &Redactor, mut reader: impl Read, mut writer: impl Write) -> io::Result<()> {
    let mut stream = redactor.stream();
    let mut chunk = vec![0; REGION];
    let mut out = Vec::new();
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        stream.push(&chunk[..read], &mut out);
        writer.write_all(&out)?;
        writer.flush()?;
        out.clear();
    }
    stream.finish(&mut out);
    writer.write_all(&out)?;
    writer.flush()
}
