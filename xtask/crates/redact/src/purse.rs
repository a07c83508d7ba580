//! What a stream may cost: a child that prints encodings in encodings without end must not keep us busy for as long as it
//! likes.
//!
//! Every byte that passes earns one, every byte decoded costs one. Once all is spent, a line is read in one encoding at
//! most (and masked whole if it holds more) until enough has passed again. It is reckoned line by line, so that how a
//! stream was cut into chunks does not show.

use std::ops::Range;

use memchr::memchr;

use super::view::DECODED;

/// In bytes. A log of any length in which some lines are encoded in several ways is read to its end, and so are the first
/// hundred kilobytes in which all are.
const FULL: i64 = 1 << 19;

/// How much must pass until an empty purse is full, as many times as much.
const SLOWLY: i64 = 16;

pub struct Purse {
    saved: i64,
    full: i64,
    is_empty: bool,
    /// Of its own length, of each line.
    times: usize,
}

impl Default for Purse {
    fn default() -> Self {
        Purse { saved: FULL, full: FULL, is_empty: false, times: DECODED }
    }
}

impl Purse {
    /// For what was masked already, which is not to be taken for a secret because its masks made it longer.
    pub fn bottomless() -> Self {
        Purse { saved: i64::MAX, full: i64::MAX, is_empty: false, times: DECODED * 2 }
    }

    /// How much of `text` is to be searched next, and how many times its own length each line of it may be decoded.
    pub fn allows(&mut self, text: &[u8]) -> (usize, usize) {
        if !self.is_empty && self.saved <= 0 {
            (self.is_empty, self.saved) = (true, self.full - self.full * SLOWLY);
        }
        if !self.is_empty {
            return (text.len(), self.times);
        }
        let last = usize::try_from(self.full - self.saved - 1).unwrap_or(0);
        let rest = text.get(last..).unwrap_or_default();
        (memchr(b'\n', rest).map_or(text.len(), |newline| last + newline + 1), 1)
    }

    /// Takes in what `len` bytes earn that were searched, and pays for what was decoded of each line. Up to where it could be
    /// paid: what follows is to be searched once more, for less.
    pub fn pay(&mut self, len: usize, costs: impl Iterator<Item = (Range<usize>, usize)>) -> usize {
        if self.is_empty {
            self.earn(len);
            self.is_empty = self.saved < self.full;
            return len;
        }
        let mut paid = 0;
        for (line, cost) in costs {
            if self.saved <= 0 {
                return paid;
            }
            paid = len.min(line.end + 1);
            self.earn(paid - line.start);
            self.saved = self.saved.saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
        }
        self.earn(len - paid);
        len
    }

    fn earn(&mut self, bytes: usize) {
        self.saved = self.saved.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX)).min(self.full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> impl Iterator<Item = (Range<usize>, usize)> {
        std::iter::empty()
    }

    #[test]
    fn what_is_spent_is_earned_again_by_what_passes() {
        let mut purse = Purse { saved: 10, full: 10, ..Purse::default() };
        assert_eq!(purse.allows(b"abc\ndef\nghi\n"), (12, DECODED));
        assert_eq!(
            purse.pay(12, [(0..3, 9), (4..7, 8), (8..11, 0)].into_iter()),
            8,
            "all is spent before the third line"
        );
        assert_eq!(purse.allows(b"ghi\n"), (4, 1));
        assert_eq!(purse.pay(4, [(0..3, 3)].into_iter()), 4, "one encoding costs nothing");
        assert_eq!(purse.pay(148, nothing()), 148);
        assert_eq!(purse.allows(b"0123456\n890\nabc\n"), (8, 1), "the line with which it is full again");
        assert_eq!(purse.pay(8, nothing()), 8);
        assert_eq!(purse.allows(b"abc\n"), (4, DECODED));
    }

    #[test]
    fn a_file_is_read_whatever_it_costs() {
        let mut purse = Purse::bottomless();
        assert_eq!(purse.pay(3, [(0..3, usize::MAX)].into_iter()), 3);
        purse.pay(3, [(0..3, 1 << 30)].into_iter());
        assert!(purse.saved > 0 || !purse.is_empty);
    }
}
