//! The encodings that tools put around a value before they print it, each taken off on its own.
//!
//! One at a time, and not all at once, because a password may itself hold what looks like another encoding: `a%41"b`
//! in JSON is `a%41\"b`, and a decoder that also read the percent sign would not recognise it. No encoding here
//! reaches over a line end, so what a line decodes to never depends on its neighbours, or on how the stream was cut.

use std::ops::Range;

use memchr::{memchr, memchr2, memrchr};

use super::rules;
use super::view::{Budget, DECODED, Source, View};

/// What an escape stands for (up to four bytes, none if it is dropped) and its length in the text.
struct Escape {
    bytes: [u8; 4],
    len: usize,
    consumed: usize,
}

impl Escape {
    fn nothing(consumed: usize) -> Self {
        Escape { bytes: [0; 4], len: 0, consumed }
    }

    fn byte(byte: u8, consumed: usize) -> Self {
        Escape { bytes: [byte, 0, 0, 0], len: 1, consumed }
    }

    fn char(character: char, consumed: usize) -> Self {
        let mut bytes = [0; 4];
        let len = character.encode_utf8(&mut bytes).len();
        Escape { bytes, len, consumed }
    }
}

/// In the order in which they are tried. Where two encodings have nothing to do with each other, they can be taken off in
/// either order, and it is enough to see one.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub enum Encoding {
    /// Base64 and hexadecimal.
    Binary,
    /// `%XX`.
    Percent,
    /// Backslash escapes of JSON, JavaScript, Rust, C, Python and the shell, which agree where they overlap.
    Backslash,
    /// HTML and XML character references.
    Html,
    /// A quote inside quotes: `''` in SQL, `'\\''` and `'"'"'` in a shell.
    Quote,
    /// Text as a terminal would show it: without colours, cursor movements and carriage returns.
    Terminal,
    /// UTF-16 of ASCII in either byte order.
    Utf16,
    /// `application/x-www-form-urlencoded`: `%XX`, and `+` for a space.
    Form,
}

impl Encoding {
    pub const ESCAPES: [Encoding; 7] = {
        use Encoding::*;
        [Percent, Backslash, Html, Quote, Terminal, Utf16, Form]
    };

    /// How far away the next byte is with which an escape could begin.
    fn candidate(self, text: &[u8]) -> Option<usize> {
        match self {
            Encoding::Percent => memchr(b'%', text),
            Encoding::Backslash => memchr(b'\\', text),
            Encoding::Html => memchr(b'&', text),
            Encoding::Quote => memchr(b'\'', text),
            Encoding::Terminal => memchr2(0x1b, b'\r', text),
            Encoding::Utf16 => memchr(0, text),
            Encoding::Form => memchr2(b'%', b'+', text),
            Encoding::Binary => None,
        }
    }

    /// The escape at the beginning of `text`, which ends with its line at the latest.
    fn escape(self, text: &[u8]) -> Option<Escape> {
        match self {
            Encoding::Form if text[0] == b'+' => Some(Escape::byte(b' ', 1)),
            Encoding::Percent | Encoding::Form => percent_escape(text),
            Encoding::Backslash => backslash_escape(text),
            Encoding::Html => html_escape(text),
            Encoding::Quote => quote_escape(text),
            Encoding::Terminal => terminal_escape(text),
            Encoding::Utf16 => Some(Escape::nothing(1)),
            Encoding::Binary => None,
        }
    }
}

/// `text` without percent signs, whole; nothing if it has none.
pub fn percent(text: &[u8]) -> View {
    escapes(Encoding::Percent, Source::outermost(text), &mut Budget::new(text, DECODED))
}

/// Copies every line that holds an escape, with its escapes replaced, and as far as the budget goes.
pub fn escapes(encoding: Encoding, source: Source<'_>, budget: &mut Budget<'_>) -> View {
    let text = source.text;
    let mut view = budget.view();
    let (mut copied, mut line_end, mut at) = (0, 0, 0);
    // What could have been taken off before the last encoding was, and for a form what a percent sign alone says.
    let is_tried = |range: Range<usize>| {
        let is_percent = encoding == Encoding::Form && text[range.start] == b'%';
        is_percent || (encoding as usize) < source.last && !source.is_new(range)
    };
    let mut is_copying = false;
    let mut lines = source.lines();
    while let Some(skipped) = encoding.candidate(&text[at..]) {
        at += skipped;
        if at >= line_end {
            if is_copying {
                view.copy(text, copied..line_end);
            }
            is_copying = false;
            copied = memrchr(b'\n', &text[line_end..at]).map_or(line_end, |newline| line_end + newline + 1);
            line_end = memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline + 1);
        }
        let Some(escape) = encoding.escape(&text[at..line_end]) else {
            at += 1;
            continue;
        };
        let range = at..at + escape.consumed;
        if is_copying {
            view.copy(text, copied..at);
            view.escape(&escape.bytes[..escape.len], range.clone());
            (at, copied) = (range.end, range.end);
        } else if is_tried(range.clone()) {
            at = range.end;
        } else {
            let line = lines.origin(copied);
            is_copying = budget.allows(line, line_end - copied);
            at = if is_copying { copied } else { line_end };
            if is_copying {
                view.begin_line(line);
            }
        }
    }
    if is_copying {
        view.copy(text, copied..line_end);
    }
    view
}

fn percent_escape(text: &[u8]) -> Option<Escape> {
    Some(Escape::byte(hex_number(text.get(1..3)?)? as u8, 3))
}

fn backslash_escape(text: &[u8]) -> Option<Escape> {
    Some(match *text.get(1)? {
        b'n' => Escape::byte(b'\n', 2),
        b'r' => Escape::byte(b'\r', 2),
        b't' => Escape::byte(b'\t', 2),
        b'b' => Escape::byte(8, 2),
        b'f' => Escape::byte(12, 2),
        b'v' => Escape::byte(11, 2),
        b'e' => Escape::byte(0x1b, 2),
        b'x' => Escape::byte(hex_number(text.get(2..4)?)? as u8, 4),
        b'u' if text.get(2) == Some(&b'{') => braced_unicode(text)?,
        b'u' => four_digit_unicode(text)?,
        b'0'..=b'7' => octal(text)?,
        punctuation if punctuation.is_ascii_punctuation() || punctuation == b' ' => Escape::byte(punctuation, 2),
        _ => return None,
    })
}

fn braced_unicode(text: &[u8]) -> Option<Escape> {
    let digits = memchr(b'}', &text[..text.len().min(12)])?;
    Some(Escape::char(char::from_u32(hex_number(&text[3..digits])?)?, digits + 1))
}

/// `\uXXXX`, or two of them for a character outside the basic plane.
fn four_digit_unicode(text: &[u8]) -> Option<Escape> {
    let unit = |at: usize| hex_number(text.get(at..at + 4)?);
    let high = unit(2)?;
    if let Some(character) = char::from_u32(high) {
        return Some(Escape::char(character, 6));
    }
    let low = text.get(6..8).filter(|escape| escape == b"\\u").and_then(|_| unit(8))?;
    let scalar = 0x10000 + ((high.checked_sub(0xd800)?) << 10) + low.checked_sub(0xdc00)?;
    Some(Escape::char(char::from_u32(scalar)?, 12))
}

/// `\303`, as Postgres prints a `bytea` and git a file name.
fn octal(text: &[u8]) -> Option<Escape> {
    let digits = text.get(1..4)?;
    if digits.iter().any(|digit| !(b'0'..=b'7').contains(digit)) {
        return None;
    }
    let value = digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
    Some(Escape::byte(u8::try_from(value).ok()?, 4))
}

fn html_escape(text: &[u8]) -> Option<Escape> {
    const NAMED: [(&[u8], char); 6] =
        [(b"amp", '&'), (b"lt", '<'), (b"gt", '>'), (b"quot", '"'), (b"apos", '\''), (b"nbsp", '\u{a0}')];
    let end = memchr(b';', &text[..text.len().min(12)])?;
    let body = &text[1..end];
    let character = match body {
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(hex_number(digits)?)?,
        [b'#', digits @ ..] => char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
        _ => NAMED.iter().find(|(name, _)| *name == body)?.1,
    };
    Some(Escape::char(character, end + 1))
}

fn quote_escape(text: &[u8]) -> Option<Escape> {
    const WRITTEN: [&[u8]; 3] = [b"''", b"'\\''", b"'\"'\"'"];
    let written = WRITTEN.iter().find(|written| text.starts_with(written))?;
    Some(Escape::byte(b'\'', written.len()))
}

/// ECMA-48 control sequences, operating system commands up to BEL or ST, two-character escapes; a sequence ends with
/// its line at the latest.
fn terminal_escape(text: &[u8]) -> Option<Escape> {
    if text[0] != 0x1b {
        let ends_the_line = text[0] == b'\r' && text.get(1) == Some(&b'\n');
        return if ends_the_line { None } else { Some(Escape::nothing(1)) };
    }
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let len = match line.get(1) {
        Some(b'[') => line[2..].iter().position(|byte| (0x40..=0x7e).contains(byte)).map_or(line.len(), |at| at + 3),
        Some(b']' | b'P' | b'_' | b'^' | b'X') => string_len(line),
        Some(b' '..=b'/') => line.len().min(3),
        Some(0x1b) => 1,
        Some(_) => 2,
        None => 1,
    };
    Some(Escape::nothing(len))
}

fn string_len(line: &[u8]) -> usize {
    let mut at = 2;
    while let Some(next) = memchr2(0x07, 0x1b, &line[at..]) {
        at += next + 1;
        match (line[at - 1], line.get(at)) {
            (0x07, _) => return at,
            (_, Some(b'\\')) => return at + 1,
            _ => {}
        }
    }
    line.len()
}

/// At most eight hexadecimal digits in either case.
fn hex_number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

const NO_DIGIT: u8 = 0xff;

/// What each byte is worth in base64, in the standard and the URL-safe alphabet at once.
const BASE64: [u8; 256] = {
    let mut worth = [NO_DIGIT; 256];
    let standard = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < 64 {
        worth[standard[value] as usize] = value as u8;
        value += 1;
    }
    worth[b'-' as usize] = 62;
    worth[b'_' as usize] = 63;
    worth
};

/// The bits of each digit of a group that are the highest of a byte.
const BASE64_HIGHEST: [u8; 4] = [0b10_0000, 0b1000, 0b10, 0];
const HEX_HIGHEST: [u8; 2] = [0b1000, 0];

const HEX: [u8; 256] = {
    let mut worth = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        worth[b"0123456789abcdef"[value] as usize] = value as u8;
        worth[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    worth
};

/// Every run of base64 or hexadecimal digits that could hold `shortest` bytes and decodes to text, which may hold a
/// secret in yet another encoding. (A secret right inside, binary neighbours or not, is searched for as it is.) A
/// group may begin at any digit: what stands before a run may look like part of it.
pub fn binary(source: Source<'_>, shortest: usize, budget: &mut Budget<'_>) -> View {
    let text = source.text;
    let mut view = budget.view();
    let (mut line, mut line_end) = (0, 0);
    let mut lines = source.lines();
    for_each_run(text, &BASE64, (shortest * 4).div_ceil(3), |from, run| {
        let is_tried = source.last > Encoding::Binary as usize && !source.is_new(from..from + run.len());
        if is_tried || rules::is_in_mask(text, from) {
            return;
        }
        if from >= line_end {
            line = memrchr(b'\n', &text[..from]).map_or(0, |newline| newline + 1);
            line_end = memchr(b'\n', &text[from..]).map_or(text.len(), |newline| from + newline);
        }
        let origin = lines.origin(line).in_part();
        view.begin_line(origin);
        let starts = if has_upper_case(run) { 0..4 } else { 0..0 };
        for start in starts {
            let digits = &run[start..];
            if reads_as_text(digits, 2, &BASE64, BASE64_HIGHEST) && budget.allows(origin, digits.len()) {
                view.begin_base64(from + start);
                view.text.extend(base64_bytes(digits));
                view.text.push(b'\n');
            }
        }
        for_each_run(run, &HEX, shortest * 2, |into_run, run| {
            for start in 0..2 {
                let digits = &run[start..];
                if reads_as_text(digits, 0, &HEX, HEX_HIGHEST) && budget.allows(origin, digits.len()) {
                    view.begin_hex(from + into_run + start);
                    view.text.extend(hex_bytes(digits));
                    view.text.push(b'\n');
                }
            }
        });
    });
    view
}

/// Base64 of text this long has one; most paths, digests and names have none.
fn has_upper_case(digits: &[u8]) -> bool {
    digits.iter().any(u8::is_ascii_uppercase)
}

fn base64_bytes(digits: &[u8]) -> impl Iterator<Item = u8> {
    digits.chunks(4).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | u32::from(BASE64[usize::from(*digit)]));
        let [_, bytes @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        bytes.into_iter().take(group.len() * 6 / 8)
    })
}

fn hex_bytes(digits: &[u8]) -> impl Iterator<Item = u8> {
    digits.chunks_exact(2).map(|pair| HEX[usize::from(pair[0])] << 4 | HEX[usize::from(pair[1])])
}

/// Whether the first, the last or the middle sixteen digits decode to ASCII but for `tolerated` bytes, as one character with
/// an accent: `worth` says by its place in a group which digits make a byte another. Words, paths and digests are digits
/// too, and must not cost a search; of those, the digests in hexadecimal are so many that they get no tolerance.
fn reads_as_text<const GROUP: usize>(digits: &[u8], tolerated: usize, worth: &[u8; 256], highest: [u8; GROUP]) -> bool {
    const SAMPLE: usize = 16;
    let whole_groups = digits.len() - digits.len() % GROUP;
    let len = whole_groups.min(SAMPLE);
    let (middle, last) = ((whole_groups - len) / 2, whole_groups - len);
    let others = |group: &[u8; GROUP]| {
        (0..GROUP).map(|place| usize::from(worth[usize::from(group[place])] & highest[place] != 0)).sum::<usize>()
    };
    let is_text = |from: usize| {
        let (groups, _) = digits[from - from % GROUP..][..len].as_chunks();
        groups.iter().map(others).sum::<usize>() <= tolerated
    };
    [0, last, middle].into_iter().any(is_text)
}

/// Calls `found` with the position and the bytes of each run of at least `shortest` digits. Most text holds none, and
/// is skipped in strides: a run that long has a digit at every stride's end.
fn for_each_run(text: &[u8], worth: &[u8; 256], shortest: usize, mut found: impl FnMut(usize, &[u8])) {
    let is_digit = |byte: &u8| worth[usize::from(*byte)] != NO_DIGIT;
    let mut from = 0;
    while from + shortest <= text.len() {
        let window = &text[from..from + shortest];
        if let Some(other) = window.iter().rposition(|byte| !is_digit(byte)) {
            from += other + 1;
            continue;
        }
        let rest = &text[from + shortest..];
        let end = from + shortest + rest.iter().position(|byte| !is_digit(byte)).unwrap_or(rest.len());
        found(from, &text[from..end]);
        from = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoding: Encoding, text: &[u8]) -> View {
        escapes(encoding, Source::outermost(text), &mut Budget::new(text, DECODED))
    }

    fn digits(text: &[u8]) -> View {
        binary(Source::outermost(text), 6, &mut Budget::new(text, DECODED))
    }

    #[test]
    fn a_view_holds_only_the_lines_that_an_encoding_changed() {
        assert_eq!(percent(b"one\ntwo %41%zz\nthree\nfour%42\n").text, b"two A%zz\nfourB\n");
        assert!(percent(b"100% done\n").is_empty());
    }

    #[test]
    fn backslash_escapes_of_five_languages_are_read() {
        let text = br#"\" \\ \/ \u00e4 \u{e4} \ud83d\ude00 \x41 \303\244 \' \$ \q \ud83d"#;
        let plain = "\" \\ / ä ä 😀 A ä ' $ \\q \\ud83d".as_bytes();
        assert_eq!(read(Encoding::Backslash, text).text, plain);
    }

    #[test]
    fn character_references_are_read_by_name_and_by_number() {
        assert_eq!(read(Encoding::Html, b"&amp;&lt;&#39;&#x27;&#X3e;&nope;&").text, b"&<''>&nope;&");
    }

    #[test]
    fn quotes_within_quotes_are_read() {
        assert_eq!(read(Encoding::Quote, br#"a''b'\''c'"'"'d"#).text, b"a'b'c'd");
    }

    #[test]
    fn control_sequences_are_dropped_and_end_with_their_line() {
        let text = b"a\x1b[1;31mb\x1b]8;;http://x\x1b\\c\x1b]0;t\x07d\x1b(Be\x1b[2\nf\r\ng\rh\n";
        assert_eq!(read(Encoding::Terminal, text).text, b"abcde\ngh\n");
    }

    #[test]
    fn base64_is_read_from_all_four_beginnings_in_both_alphabets() {
        assert_eq!(digits(b"x=aG90ZGFzaDo_Pz8/Pg==").text, b"hotdash:????>\n");
        for before in ["", "a", "ab", "abc"] {
            let text = digits(format!("={before}aG90ZGFzaDpzZWNyZXQ=").as_bytes()).text;
            assert!(text.ends_with(b"hotdash:secret\n"), "{before}");
        }
    }

    #[test]
    fn text_with_other_digits_before_it_and_an_accent_at_its_end_is_read() {
        let text = digits(b"ab48756e74657248756e74657248756e746572c3a441").text;
        assert!(text.windows(6).any(|window| window == b"Hunter"), "{text:?}");
    }

    #[test]
    fn text_is_told_by_its_digits_as_by_what_they_decode_to() {
        fn others(bytes: impl Iterator<Item = u8>) -> usize {
            bytes.filter(|byte| !byte.is_ascii()).count()
        }
        let runs = (0..4096_u32).map(|seed| seed.wrapping_mul(0x9e37_79b1).to_be_bytes());
        for [first, second, third, fourth] in runs {
            let digits = [first, second, third, fourth].map(|byte| b"AZaz09+/_Qhw4gUP"[usize::from(byte % 16)]);
            let least = others(base64_bytes(&digits));
            assert!(reads_as_text(&digits, least, &BASE64, BASE64_HIGHEST), "{digits:?}");
            assert!(least == 0 || !reads_as_text(&digits, least - 1, &BASE64, BASE64_HIGHEST), "{digits:?}");
            let digits = [first, second, third, fourth].map(|byte| b"0123456789abcDEF"[usize::from(byte % 16)]);
            assert_eq!(reads_as_text(&digits, 0, &HEX, HEX_HIGHEST), others(hex_bytes(&digits)) == 0, "{digits:?}");
        }
    }

    #[test]
    fn short_runs_are_not_worth_a_look() {
        assert!(digits(b"abCdefg bCdefgh").is_empty());
        assert!(digits(b"0123456789a").is_empty());
        assert_eq!(digits(b"x48756E746572").text, b"Hunter\n");
        assert!(digits(b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").is_empty());
    }
}
