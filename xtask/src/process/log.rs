//! A child's log: masked before a byte reaches it, of bounded size, and whole or known not to be.

use std::collections::VecDeque;
use std::io::{self, Write};

use redact::{Redactor, Stream};

use crate::process::tail::Tail;

/// What a log keeps of its beginning, written as it comes, and of its end, kept in memory until then: 64 MiB together
/// (docs/evidence.md).
const HEAD: usize = 56 << 20;
const END: usize = 8 << 20;

/// Takes both streams of a child, each masked on its own, in the order in which they come.
pub struct Log {
    /// None after the end: a program that left the child's group may write for ever.
    file: Option<Box<dyn Write + Send>>,
    masked: [Option<Stream>; 2],
    room: usize,
    end: VecDeque<u8>,
    cut: u64,
    tail: Tail,
    /// Whether what was taken last ended in the middle of a line.
    in_line: bool,
    /// Why the log is not whole. The child must go on: it may be in the middle of a migration.
    broken: Option<io::Error>,
}

impl Log {
    pub fn new(file: impl Write + Send + 'static, header: &str, redactor: &Redactor) -> Log {
        let masked = [Some(redactor.stream()), Some(redactor.stream())];
        let (file, end, tail): (Option<Box<dyn Write + Send>>, _, _) =
            (Some(Box::new(file)), VecDeque::new(), Tail::default());
        let mut log = Log { file, masked, room: HEAD, end, cut: 0, tail, in_line: false, broken: None };
        log.write(&redactor.bytes(header.as_bytes()));
        log
    }

    /// Takes what came on a stream; nothing is its end.
    pub fn take(&mut self, stream: usize, bytes: &[u8]) {
        let mut out = Vec::new();
        if bytes.is_empty() {
            self.masked[stream].take().into_iter().for_each(|masked| masked.finish(&mut out));
        } else if let Some(masked) = &mut self.masked[stream] {
            masked.push(bytes, &mut out);
        }
        self.tail.remember(stream, &out);
        self.in_line = out.last().map_or(self.in_line, |&last| last != b'\n');
        let (head, rest) = out.split_at(out.len().min(self.room));
        self.room -= head.len();
        self.write(head);
        self.keep(rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        // By doubling it would take twice as much.
        self.end.reserve_exact((END + bytes.len()).saturating_sub(self.end.len()));
        self.end.extend(bytes);
        let over = self.end.len().saturating_sub(END);
        self.end.drain(..over);
        self.cut += over as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        if let (Some(file), None) = (&mut self.file, &self.broken) {
            self.broken = file.write_all(bytes).err();
        }
    }

    /// Ends both streams and the log with a last line; returns what is kept of what the child said, and why the log is not whole.
    pub fn finish(&mut self, last: &str) -> (Vec<String>, Option<io::Error>) {
        (0..2).for_each(|stream| self.take(stream, &[]));
        if self.cut > 0 {
            let cut =
                format!("\n[{} bytes are left out here: a log keeps the first {HEAD} and the last {END}]\n", self.cut);
            self.write(cut.as_bytes());
        }
        let end = std::mem::take(&mut self.end);
        let (first, second) = end.as_slices();
        let gap = if self.in_line { "\n" } else { "" };
        [first, second, gap.as_bytes(), last.as_bytes()].into_iter().for_each(|bytes| self.write(bytes));
        let flushed = self.file.take().map_or(Ok(()), |mut file| file.flush());
        (self.tail.finish(), self.broken.take().or(flushed.err()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_log_has_a_limit_and_says_what_it_left_out() {
        let mut file = tempfile::tempfile().unwrap();
        let mut log = Log::new(file.try_clone().unwrap(), "$ loud\n", &Redactor::generic());
        let mut line = 0..;
        let mut chunk = || -> String { line.by_ref().take(4096).map(|line| format!("{line:015}\n")).collect() };
        let chunks = (70 << 20) / (4096 * 16);
        (0..chunks).for_each(|_| log.take(0, chunk().as_bytes()));
        assert!(log.finish("[exited 0]\n").1.is_none());
        let mut written = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut written).unwrap();
        let said = "\n[6291456 bytes are left out here: a log keeps the first 58720256 and the last 8388608]\n";
        let lines = |range: std::ops::Range<usize>| range.map(|line| format!("{line:015}\n")).collect::<String>();
        let (head, all) = (HEAD / 16, chunks * 4096);
        let expected = format!("$ loud\n{}{said}{}[exited 0]\n", lines(0..head), lines(all - END / 16..all));
        assert!(written == expected, "{}", written.len());
    }
}
