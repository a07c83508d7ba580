//! A text as it reads once an encoding is taken off, and the way back to the bytes that it came from.
//!
//! A secret that a child prints percent-encoded, JSON-escaped or in base64 is found by searching the decoded text;
//! what has to be masked is the encoded one. So a view remembers, as a short list of pieces rather than a number for
//! each byte, where everything in it stood in its parent. A view holds only the lines in which its encoding occurs at
//! all: all others were searched in the parent, and leaving them out is what keeps eight decoders, nested four deep,
//! affordable.

use std::ops::Range;

#[derive(Default)]
pub struct View {
    pub text: Vec<u8>,
    pieces: Vec<Piece>,
}

/// The text from `at` to the next piece stands for the parent's bytes from `from` on.
struct Piece {
    at: usize,
    from: usize,
    kind: Kind,
}

enum Kind {
    /// Byte for byte.
    Copy,
    /// One unit: these many bytes of the parent stand for all of the piece, as `\u00e4` does for two bytes of UTF-8.
    Escape(usize),
    /// Four characters of the parent for three bytes.
    Base64,
    /// Two characters of the parent for one byte.
    Hex,
}

impl View {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes over `range` of `parent` as it is.
    pub fn copy(&mut self, parent: &[u8], range: Range<usize>) {
        if !range.is_empty() {
            self.begin(range.start, Kind::Copy);
            self.text.extend_from_slice(&parent[range]);
        }
    }

    /// Notes that `range` of the parent stands for `bytes`; none where the encoding drops it, as for a colour code.
    pub fn escape(&mut self, bytes: &[u8], range: Range<usize>) {
        if !bytes.is_empty() {
            self.begin(range.start, Kind::Escape(range.len()));
            self.text.extend_from_slice(bytes);
        }
    }

    /// The caller appends to `text` what the parent's base64 from `from` on decodes to.
    pub fn begin_base64(&mut self, from: usize) {
        self.begin(from, Kind::Base64);
    }

    /// The caller appends to `text` what the parent's hexadecimal digits from `from` on decode to.
    pub fn begin_hex(&mut self, from: usize) {
        self.begin(from, Kind::Hex);
    }

    fn begin(&mut self, from: usize, kind: Kind) {
        self.pieces.push(Piece { at: self.text.len(), from, kind });
    }

    /// Every byte of the parent that took part in `range` of the text; a character of base64 that holds bits of it
    /// counts.
    pub fn parent_range(&self, range: Range<usize>) -> Range<usize> {
        let (first, into_first) = self.piece(range.start);
        let start = first.from
            + match first.kind {
                Kind::Copy => into_first,
                Kind::Escape(_) => 0,
                Kind::Base64 => into_first * 4 / 3,
                Kind::Hex => into_first * 2,
            };
        let (last, into_last) = self.piece(range.end - 1);
        let end = last.from
            + match last.kind {
                Kind::Copy => into_last + 1,
                Kind::Escape(len) => len,
                Kind::Base64 => (into_last * 8 + 7) / 6 + 1,
                Kind::Hex => into_last * 2 + 2,
            };
        start..end
    }

    fn piece(&self, at: usize) -> (&Piece, usize) {
        let index = self.pieces.partition_point(|piece| piece.at <= at) - 1;
        let piece = &self.pieces[index];
        (piece, at - piece.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_begins_in_a_copy_and_ends_in_an_escape_covers_the_whole_escape() {
        let mut view = View::default();
        view.copy(b"ab%40", 0..2);
        view.escape(b"@", 2..5);
        assert_eq!(view.parent_range(1..3), 1..5);
    }

    #[test]
    fn what_was_dropped_between_two_bytes_is_covered_but_not_what_follows() {
        let mut view = View::default();
        view.copy(b"a\x1b[mb\x1b[0m", 0..1);
        view.escape(b"", 1..4);
        view.copy(b"a\x1b[mb\x1b[0m", 4..5);
        assert_eq!(view.parent_range(0..2), 0..5);
    }

    #[test]
    fn a_byte_of_base64_covers_both_characters_that_share_it() {
        let mut view = View::default();
        view.begin_base64(10);
        view.text.extend_from_slice(b"abc");
        assert_eq!(view.parent_range(0..1), 10..12);
        assert_eq!(view.parent_range(1..2), 11..13);
        assert_eq!(view.parent_range(2..3), 12..14);
    }
}
