//! What a run keeps in memory of what a child said: the lines from its first error on, which may be far above its end, and its last lines.

use std::collections::VecDeque;

use crate::process::said::{is_an_error, may_be_an_error, plain};

const LINES: usize = 40;
const LINE: usize = 4096;

#[derive(Default)]
pub struct Tail {
    /// From the first error on.
    first: Vec<String>,
    /// The last of those that came after `first`, or of all while there was no error; as they came, since few of them are ever shown.
    last: VecDeque<Vec<u8>>,
    /// Of each stream, so that a line of one never ends in the other's.
    unfinished: [Line; 2],
}

/// A line as far as it came.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    returned: bool,
}

impl Line {
    /// As a terminal shows it: what follows a carriage return is written over what was there.
    fn add(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\r') {
            let text = part.strip_suffix(b"\r").unwrap_or(part);
            if self.returned && !text.is_empty() {
                self.bytes.clear();
                self.returned = false;
            }
            let room = LINE.saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(&text[..text.len().min(room)]);
            self.returned |= text.len() < part.len();
        }
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).bytes
    }
}

fn shown(line: &[u8]) -> String {
    plain(&String::from_utf8_lossy(line)).trim_end().to_owned()
}

impl Tail {
    pub fn remember(&mut self, stream: usize, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let text = piece.strip_suffix(b"\n");
            self.unfinished[stream].add(text.unwrap_or(piece));
            if text.is_some() {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: usize) {
        let line = self.unfinished[stream].take();
        let is_first = !self.first.is_empty() || may_be_an_error(&line) && is_an_error(&shown(&line));
        if is_first && self.first.len() < LINES {
            return self.first.push(shown(&line));
        }
        self.last.push_back(line);
        if self.last.len() > LINES {
            self.last.pop_front();
        }
    }

    /// In the order in which they came.
    pub fn finish(&mut self) -> Vec<String> {
        let open = (0..2).filter(|&stream| !self.unfinished[stream].bytes.is_empty());
        open.collect::<Vec<_>>().into_iter().for_each(|stream| self.end_line(stream));
        let mut lines = std::mem::take(&mut self.first);
        lines.extend(std::mem::take(&mut self.last).iter().map(|line| shown(line)));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(pieces: &[(usize, &[u8])]) -> Vec<String> {
        let mut tail = Tail::default();
        pieces.iter().for_each(|(stream, bytes)| tail.remember(*stream, bytes));
        tail.finish()
    }

    #[test]
    fn a_first_error_is_kept_however_much_comes_after_it_and_in_bounds() {
        let stack = (0..10_000).map(|line| format!("    at f{line} (file.js:{line})\n")).collect::<String>();
        let said = format!("start\nError: the reason\n{stack}Node.js v20.20.2\n");
        let lines = kept(&[(1, said.as_bytes())]);
        assert_eq!((lines.len(), lines[0].as_str()), (2 * LINES, "Error: the reason"));
        assert_eq!(lines.last().unwrap(), "Node.js v20.20.2");
        let quiet = (0..100).map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(kept(&[(0, quiet.as_bytes())]).first().unwrap(), "60");
    }

    #[test]
    fn a_line_of_one_stream_does_not_end_in_the_others() {
        assert_eq!(kept(&[(0, b"Loading"), (1, b"Error: P3018\n"), (0, b" done")]), ["Error: P3018", "Loading done"]);
    }

    #[test]
    fn a_line_is_what_a_terminal_shows_of_it() {
        let progress = (0..3_000).map(|part| format!("{part} %\r")).collect::<String>();
        let pieces = [progress.as_bytes(), b"Error: \x1b[31mred\x1b[0m\r", b"\nnext\r\r\n", b"\xff\xfe!\n"];
        let lines = kept(&pieces.map(|piece| (1, piece)));
        assert_eq!(lines, ["Error: red", "next", "\u{fffd}\u{fffd}!"]);
        let long = kept(&[(0, format!("Error: {}\n", "x".repeat(1 << 20)).as_bytes())]);
        assert_eq!((long.len(), long[0].len()), (1, LINE));
    }
}
