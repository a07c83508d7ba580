//! A text as it reads once an encoding is taken off, and the way back to the bytes that it came from.
//!
//! A secret that a child prints percent-encoded, JSON-escaped or in base64 is found by searching the decoded text;
//! what has to be masked is the encoded one. So a view remembers, as a short list of pieces rather than a number for
//! each byte, where everything in it stood in its parent. A view holds only the lines in which its encoding occurs at
//! all: all others were searched in the parent, and leaving them out is what keeps eight decoders, nested four deep,
//! affordable. What a line may cost is limited all the same: a `Budget` says how much of it may be decoded.

use std::ops::Range;

use memchr::memchr_iter;

use super::work;

#[derive(Default)]
pub struct View {
    pub text: Vec<u8>,
    pieces: Vec<Piece>,
    lines: Vec<Line>,
}

/// The text from `at` to the next line comes from the line of the outermost text that begins at `origin`.
#[derive(Clone, Copy)]
pub struct Line {
    at: usize,
    origin: usize,
    /// Whether it is all of that line, or only what some digits in it decode to.
    is_whole: bool,
}

/// What is decoded next: a text as it came, or a view of one.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub text: &'a [u8],
    view: Option<&'a View>,
    /// The encoding that was taken off last.
    pub last: usize,
}

/// How many times its own length of each line may be decoded; a line that hides that much is masked whole.
pub const DECODED: usize = 32;

/// What is left to be decoded of each line of the outermost text; and the memory for it.
pub struct Budget<'a> {
    text: &'a [u8],
    /// Of its own length, of each line.
    times: usize,
    /// Of the text, in order; found when the first is asked for, since most texts hold nothing to decode.
    lines: Vec<Allowance>,
    /// Of any of them.
    is_exceeded: bool,
    /// Into `lines`: what is asked for next is the same line or the one after it, most often.
    last: usize,
    /// Empty ones.
    views: Vec<View>,
}

/// Memory that was used for another text: to get it from the system takes longer than to decode into it.
#[derive(Default)]
pub struct Spare {
    lines: Vec<Allowance>,
    views: Vec<View>,
}

/// What may still be decoded of a line; nothing once more was asked for than was left.
struct Allowance {
    line: Range<usize>,
    left: Option<usize>,
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

    /// What is appended from now on comes from that line.
    pub fn begin_line(&mut self, line: Line) {
        self.lines.push(Line { at: self.text.len(), ..line });
    }

    fn begin(&mut self, from: usize, kind: Kind) {
        self.pieces.push(Piece { at: self.text.len(), from, kind });
    }

    /// Every byte of the parent that took part in `range` of the text; a character of base64 that holds bits of it
    /// counts. `near` is the piece at which the last range ended: most follow each other.
    pub fn parent_range(&self, range: Range<usize>, near: &mut usize) -> Range<usize> {
        let (first, into_first) = self.piece(range.start, near);
        let start = first.from
            + match first.kind {
                Kind::Copy => into_first,
                Kind::Escape(_) => 0,
                Kind::Base64 => into_first * 4 / 3,
                Kind::Hex => into_first * 2,
            };
        let (last, into_last) = self.piece(range.end - 1, near);
        let end = last.from
            + match last.kind {
                Kind::Copy => into_last + 1,
                Kind::Escape(len) => len,
                Kind::Base64 => (into_last * 8 + 7) / 6 + 1,
                Kind::Hex => into_last * 2 + 2,
            };
        start..end
    }

    /// Those lines of the text that are so, of which the last ends at `end`.
    fn lines_where(&self, end: usize, mut is_so: impl FnMut(&Line) -> bool) -> Vec<Range<usize>> {
        let ends = self.lines.iter().skip(1).map(|line| line.at).chain([end]);
        let lines = self.lines.iter().zip(ends).filter(|(line, _)| is_so(line));
        lines.map(|(line, end)| line.at..end).collect()
    }

    fn piece(&self, at: usize, near: &mut usize) -> (&Piece, usize) {
        const NEXT: usize = 8;
        let begins_before = |piece: &Piece| piece.at <= at;
        let next = &self.pieces[*near..self.pieces.len().min(*near + NEXT)];
        let found = next.iter().take_while(|piece| begins_before(piece)).count();
        *near = match found {
            0 | NEXT => self.pieces.partition_point(begins_before) - 1,
            _ => *near + found - 1,
        };
        let piece = &self.pieces[*near];
        (piece, at - piece.at)
    }
}

impl Line {
    pub fn in_part(self) -> Line {
        Line { is_whole: false, ..self }
    }
}

impl<'a> Source<'a> {
    pub fn outermost(text: &'a [u8]) -> Self {
        Source { text, view: None, last: 0 }
    }

    pub fn of_view(view: &'a View, last: usize) -> Self {
        Source { text: &view.text, view: Some(view), last }
    }

    /// To ask, from its first line to its last, where each came from.
    pub fn lines(&self) -> Lines<'a> {
        Lines { of: self.view.map(|view| view.lines.as_slice()) }
    }

    /// Whether `range` reads as it does only since the last encoding was taken off.
    pub fn is_new(&self, range: Range<usize>) -> bool {
        let Some(view) = self.view else { return true };
        let next = view.pieces.partition_point(|piece| piece.at <= range.start);
        let is_copy = matches!(view.pieces[next - 1].kind, Kind::Copy);
        !is_copy || view.pieces.get(next).is_some_and(|piece| piece.at < range.end)
    }
}

/// The lines of a source that were not gone by yet.
pub struct Lines<'a> {
    /// None of the outermost text, whose lines come from themselves.
    of: Option<&'a [Line]>,
}

impl Lines<'_> {
    /// Where the line that begins at `at` came from; none that lies before the last one asked for.
    pub fn origin(&mut self, at: usize) -> Line {
        let Some(lines) = &mut self.of else { return Line { at, origin: at, is_whole: true } };
        while lines.get(1).is_some_and(|next| next.at <= at) {
            *lines = &lines[1..];
        }
        lines[0]
    }
}

impl<'a> Budget<'a> {
    pub fn new(text: &'a [u8], times: usize) -> Self {
        Budget::reusing(Spare::default(), text, times)
    }

    pub fn reusing(Spare { mut lines, views }: Spare, text: &'a [u8], times: usize) -> Self {
        lines.clear();
        Budget { text, times, lines, is_exceeded: false, last: 0, views }
    }

    pub fn spare(self) -> Spare {
        Spare { lines: self.lines, views: self.views }
    }

    /// An empty view, to be given back.
    pub fn view(&mut self) -> View {
        self.views.pop().unwrap_or_default()
    }

    pub fn give_back(&mut self, mut view: View) {
        view.text.clear();
        view.pieces.clear();
        view.lines.clear();
        self.views.push(view);
    }

    /// Whether `bytes` more may be decoded of what came from `line`. All of a line costs its length however short its
    /// decoded text is, so that a mask in it, which makes it longer, costs nothing.
    pub fn allows(&mut self, line: Line, bytes: usize) -> bool {
        let allowance = self.allowance(line.origin);
        let Some(before) = allowance.left else { return false };
        let cost = if line.is_whole { allowance.line.len() } else { bytes };
        allowance.left = before.checked_sub(cost);
        let is_allowed = allowance.left.is_some();
        self.is_exceeded |= !is_allowed;
        if is_allowed {
            work::read(cost);
        }
        is_allowed
    }

    /// Of the line that begins at `start`.
    fn allowance(&mut self, start: usize) -> &mut Allowance {
        if self.lines.is_empty() {
            self.divide();
        }
        self.last += usize::from(self.lines[self.last].line.start != start);
        if self.lines.get(self.last).is_none_or(|allowance| allowance.line.start != start) {
            self.last = self.lines.partition_point(|allowance| allowance.line.start < start);
        }
        &mut self.lines[self.last]
    }

    fn divide(&mut self) {
        let mut start = 0;
        let ends = memchr_iter(b'\n', self.text).chain([self.text.len()]);
        let lines = ends.map(|end| std::mem::replace(&mut start, end + 1)..end);
        self.lines.extend(lines.map(|line| Allowance { left: Some(line.len() * self.times), line }));
    }

    /// How many bytes of each line were decoded; of none at all, if of none any were asked for.
    pub fn costs(&self) -> impl Iterator<Item = (Range<usize>, usize)> {
        let cost = |allowance: &Allowance| allowance.line.len() * self.times - allowance.left.unwrap_or(0);
        self.lines.iter().map(move |allowance| (allowance.line.clone(), cost(allowance)))
    }

    /// What of `source` is worth a search: all but the lines that are masked whole.
    pub fn legible(&mut self, source: Source<'_>) -> Vec<Range<usize>> {
        let (all, mut from, mut legible) = (0..source.text.len(), 0, Vec::new());
        if !self.is_exceeded {
            return vec![all];
        }
        let lines: Vec<_> = match source.view {
            Some(view) => view.lines_where(all.end, |line| self.allowance(line.origin).left.is_none()),
            None => self.exceeded().map(|line| line.start..all.end.min(line.end + 1)).collect(),
        };
        for line in lines {
            legible.push(from..line.start);
            from = line.end;
        }
        legible.push(from..all.end);
        legible.retain(|range| !range.is_empty());
        legible
    }

    /// The lines of which more would have been to decode.
    pub fn exceeded(&self) -> impl Iterator<Item = Range<usize>> {
        self.lines.iter().filter(|allowance| allowance.left.is_none()).map(|allowance| allowance.line.clone())
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
        assert_eq!(view.parent_range(1..3, &mut 0), 1..5);
    }

    #[test]
    fn what_was_dropped_between_two_bytes_is_covered_but_not_what_follows() {
        let mut view = View::default();
        view.copy(b"a\x1b[mb\x1b[0m", 0..1);
        view.escape(b"", 1..4);
        view.copy(b"a\x1b[mb\x1b[0m", 4..5);
        assert_eq!(view.parent_range(0..2, &mut 0), 0..5);
    }

    #[test]
    fn a_byte_of_base64_covers_both_characters_that_share_it() {
        let mut view = View::default();
        view.begin_base64(10);
        view.text.extend_from_slice(b"abc");
        assert_eq!(view.parent_range(0..1, &mut 0), 10..12);
        assert_eq!(view.parent_range(1..2, &mut 0), 11..13);
        assert_eq!(view.parent_range(2..3, &mut 0), 12..14);
    }
}
