//! The text of a script. A long one stays in its file and is read a part at a time, since a data migration may have some hundred megabytes.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes of a script that is held in memory.
const SHORT: u64 = 1 << 18;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;
/// Bytes of a line that are shown at most.
const SHOWN: usize = 1 << 12;

/// Cheap to clone, as histories are many.
#[derive(Debug, Clone)]
pub struct Text(Arc<Kept>);

#[derive(Debug)]
enum Kept {
    Memory(String),
    File(Long),
}

/// The file is held open: what takes its place under its name is another one.
#[derive(Debug)]
struct Long {
    path: PathBuf,
    file: File,
    length: u64,
    modified: SystemTime,
}

/// A script that could be opened, and not be read to its end.
#[derive(Debug)]
pub struct Unreadable {
    pub path: PathBuf,
    pub error: io::Error,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read `{}`: {}", self.path.display(), self.error)
    }
}

impl Error for Unreadable {}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Text {
        Text(Arc::new(Kept::Memory(text.into())))
    }
}

impl Text {
    /// What is in `file`, which was opened as `path`. Whether it is UTF-8 is known when it was read.
    ///
    /// # Errors
    /// Where the system cannot read it.
    pub fn of_file(path: &Path, file: File) -> Result<Text, Unreadable> {
        let in_path = |error| Unreadable { path: path.to_owned(), error };
        let metadata = file.metadata().map_err(in_path)?;
        let modified = metadata.modified().map_err(in_path)?;
        let long = Text(Arc::new(Kept::File(Long { path: path.to_owned(), file, length: metadata.len(), modified })));
        if metadata.len() > SHORT { Ok(long) } else { Ok(long.chunks().collect::<Result<String, _>>()?.into()) }
    }

    /// In bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, cut between two characters.
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks { kept: &self.0, at: 0, cut: Vec::new(), is_over: false }
    }

    /// All of it, cut behind lines that end a statement: no words that belong together lie in two of them.
    pub fn parts(&self) -> impl Iterator<Item = Result<String, Unreadable>> {
        let mut buffer = Buffer::of(self);
        std::iter::from_fn(move || match buffer.line_end(CHUNK) {
            Ok(Some(end)) => Some(Ok(buffer.take(end))),
            Ok(None) if buffer.rest.is_empty() => None,
            Ok(None) => Some(Ok(buffer.take(buffer.rest.len()))),
            Err(error) => Some(Err(error)),
        })
    }

    /// Whether one of its parts is so.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn any_part(&self, mut is_so: impl FnMut(&str) -> bool) -> Result<bool, Unreadable> {
        for part in self.parts() {
            if is_so(&part?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What it begins with: so many bytes at most, and whole characters.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn head(&self, bytes: usize) -> Result<String, Unreadable> {
        let mut buffer = Buffer::of(self);
        buffer.fill(bytes)?;
        let end = (0..=bytes.min(buffer.rest.len())).rev().find(|&at| buffer.rest.is_char_boundary(at));
        Ok(buffer.take(end.unwrap_or_default()))
    }

    /// `count` lines from the one of the number `from`, which is 1 for the first. Of a line that nobody reads to its end, the beginning.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn lines(&self, from: usize, count: usize) -> Result<Vec<String>, Unreadable> {
        let (mut number, mut line, mut found) = (1, String::new(), Vec::new());
        for chunk in self.chunks() {
            for part in chunk?.split_inclusive('\n') {
                if found.len() == count {
                    return Ok(found);
                }
                if number >= from && line.len() < SHOWN {
                    line.push_str(part);
                }
                if part.ends_with('\n') {
                    number += 1;
                    found.extend((number > from).then(|| ended(&std::mem::take(&mut line))));
                }
            }
        }
        found.extend((!line.is_empty() && found.len() < count).then(|| ended(&line)));
        Ok(found)
    }
}

fn ended(line: &str) -> String {
    line.lines().next().unwrap_or_default().to_owned()
}

pub struct Chunks<'a> {
    kept: &'a Kept,
    at: u64,
    /// A character of which the last chunk had the beginning.
    cut: Vec<u8>,
    is_over: bool,
}

impl Chunks<'_> {
    fn read(&mut self) -> io::Result<String> {
        let mut bytes = std::mem::take(&mut self.cut);
        let (held, left) = (bytes.len(), usize::try_from(self.kept.len() - self.at).unwrap_or(usize::MAX));
        bytes.resize(held + CHUNK.min(left), 0);
        self.kept.read_at(&mut bytes[held..], self.at)?;
        self.at += (bytes.len() - held) as u64;
        let is_last = self.at == self.kept.len();
        match std::str::from_utf8(&bytes) {
            Ok(_) => {}
            Err(error) if error.error_len().is_none() && !is_last => self.cut = bytes.split_off(error.valid_up_to()),
            Err(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")),
        }
        if is_last {
            self.is_over = true;
            self.kept.check_same()?;
        }
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

impl Iterator for Chunks<'_> {
    type Item = Result<String, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over || self.kept.len() == 0 {
            return None;
        }
        let read = self.read();
        self.is_over |= read.is_err();
        Some(read.map_err(|error| Unreadable { path: self.kept.path(), error }))
    }
}

impl Kept {
    fn len(&self) -> u64 {
        match self {
            Kept::Memory(text) => text.len() as u64,
            Kept::File(long) => long.length,
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Kept::Memory(_) => PathBuf::new(),
            Kept::File(long) => long.path.clone(),
        }
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Kept::Memory(text) => {
                let at = usize::try_from(at).map_err(io::Error::other)?;
                bytes.copy_from_slice(&text.as_bytes()[at..at + bytes.len()]);
                Ok(())
            }
            Kept::File(long) => long.file.read_exact_at(bytes, at).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => changed(),
                _ => error,
            }),
        }
    }

    /// Each reading is of the same bytes, or none.
    fn check_same(&self) -> io::Result<()> {
        let Kept::File(long) = self else { return Ok(()) };
        let metadata = long.file.metadata()?;
        if metadata.len() == long.length && metadata.modified()? == long.modified { Ok(()) } else { Err(changed()) }
    }
}

fn changed() -> io::Error {
    io::Error::other("it was changed while it was read")
}

/// What was read and is not taken yet.
pub(crate) struct Buffer<'a> {
    chunks: Chunks<'a>,
    /// Bytes of the whole script.
    all: usize,
    pub rest: String,
}

impl<'a> Buffer<'a> {
    pub fn of(text: &'a Text) -> Buffer<'a> {
        Buffer { chunks: text.chunks(), all: usize::try_from(text.len()).unwrap_or(usize::MAX), rest: String::new() }
    }

    /// Whether there was more.
    fn more(&mut self) -> Result<bool, Unreadable> {
        let chunk = self.chunks.next().transpose()?;
        self.rest.push_str(chunk.as_deref().unwrap_or_default());
        Ok(chunk.is_some())
    }

    /// Has `length` bytes of it at least, as far as there are so many.
    pub fn fill(&mut self, length: usize) -> Result<(), Unreadable> {
        // Not twice as much, as a text that grows by itself would take in the end.
        self.rest.reserve_exact(length.min(self.all).saturating_sub(self.rest.len()));
        while self.rest.len() < length && self.more()? {}
        Ok(())
    }

    /// Whether nothing comes behind `rest`.
    pub fn is_all(&mut self) -> Result<bool, Unreadable> {
        Ok(!self.more()?)
    }

    /// Behind the first line that ends a statement, at `at_least` or later; where there is none, all is read.
    pub fn line_end(&mut self, at_least: usize) -> Result<Option<usize>, Unreadable> {
        self.fill(at_least)?;
        let mut from = at_least;
        loop {
            let bytes = self.rest.as_bytes();
            let is_end = |at: &usize| bytes[*at] == b'\n' && ends_statement(&bytes[..*at]);
            if let Some(at) = (from..bytes.len()).find(is_end) {
                return Ok(Some(at + 1));
            }
            from = bytes.len().max(from);
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    pub fn take(&mut self, length: usize) -> String {
        let behind = self.rest.split_off(length);
        std::mem::replace(&mut self.rest, behind)
    }

    pub fn put_back(&mut self, text: &str) {
        self.rest.insert_str(0, text);
    }
}

/// Whether the last line has a semicolon, and nothing behind it but blanks and a comment.
fn ends_statement(text: &[u8]) -> bool {
    let last = text.iter().rposition(|byte| [b';', b'\n'].contains(byte));
    let Some(semicolon) = last.filter(|&at| text[at] == b';') else { return false };
    let behind = text[semicolon + 1..].trim_ascii_start();
    behind.is_empty() || behind.starts_with(b"--")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::statements::{Version, split};

    /// A file of `text`, and what is read of it.
    fn in_file(text: &[u8]) -> (tempfile::NamedTempFile, Result<Text, Unreadable>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let read = Text::of_file(file.path(), File::open(file.path()).unwrap());
        (file, read)
    }

    fn all(text: &Text) -> Result<String, Unreadable> {
        text.chunks().collect()
    }

    #[test]
    fn a_long_script_stays_in_its_file_and_says_what_it_would_say_in_memory() {
        let row = "insert into t values ('é€😀;\n', 1);\r\n-- and\n";
        let text = row.repeat(3 * CHUNK / row.len() * 2);
        let (file, long) = in_file(text.as_bytes());
        let (long, short) = (long.unwrap(), Text::from(text.as_str()));
        assert!(matches!(&*long.0, Kept::File(_)) && long.len() == short.len());
        assert_eq!(all(&long).unwrap(), text);
        let parts: Vec<String> = long.parts().collect::<Result<_, _>>().unwrap();
        assert_eq!(parts.concat(), text);
        assert!(
            parts.len() > 4 && parts.iter().rev().skip(1).all(|part| part.ends_with(";\r\n") || part.ends_with(";\n"))
        );
        for at in [0, 1, 11, CHUNK + 1, CHUNK + 2, text.len(), text.len() + 1] {
            let end = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            assert_eq!(long.head(at).unwrap(), text[..end]);
        }
        let count = text.lines().count();
        for from in [1, 2, 3, 5_000, count - 1, count, count + 1] {
            let expected: Vec<&str> = text.lines().skip(from - 1).take(3).collect();
            assert_eq!(long.lines(from, 3).unwrap(), expected, "from line {from}");
        }
        let statements = |text: &Text| split(text, Version::NEWEST).unwrap().all().unwrap();
        assert_eq!(statements(&long), statements(&short));
        // Under its name there is another one now, which this one does not care about.
        let other = file.path().with_extension("other");
        fs::write(&other, "select 1").unwrap();
        fs::rename(&other, file.path()).unwrap();
        assert_eq!(all(&long).unwrap(), text);
    }

    #[test]
    fn a_statement_ends_on_a_line_whatever_blanks_and_comments_follow() {
        for end in [";", ";;", "; ", ";\t -- and a note", ";\r"] {
            let text = Text::from(format!("select 1{end}\n").repeat(3 * CHUNK / 10));
            let sizes: Vec<usize> = text.parts().map(|part| part.unwrap().len()).collect();
            assert!(sizes.len() > 2 && sizes.iter().all(|size| *size < CHUNK + 99), "{end:?}: {sizes:?}");
        }
        for no_end in ["", "; select 2", "; /* more", "';'"] {
            assert!(!ends_statement(format!("select 1;\nselect 2{no_end}").as_bytes()), "{no_end:?}");
        }
    }

    #[test]
    fn what_is_changed_meanwhile_or_is_no_text_is_not_read() {
        let text = "select 1;\n".repeat(CHUNK);
        let why = |text: &Text| all(text).unwrap_err();
        let (file, long) = in_file(text.as_bytes());
        let long = long.unwrap();
        let shorter = File::options().write(true).open(file.path()).unwrap();
        shorter.set_len(long.len() - 1).unwrap();
        assert_eq!(why(&long).error.to_string(), "it was changed while it was read");
        let (file, long) = in_file(text.as_bytes());
        let long = long.unwrap();
        File::options().append(true).open(file.path()).unwrap().write_all(b"drop table t;").unwrap();
        assert!(split(&long, Version::NEWEST).is_err());
        assert_eq!(why(&long).path, file.path());
        for wrong in [[text.as_bytes(), &[0xe9]].concat(), [&[0xe9], text.as_bytes()].concat()] {
            assert_eq!(why(&in_file(&wrong).1.unwrap()).error.to_string(), "it is not UTF-8");
        }
        assert_eq!(in_file(&[0xe9]).1.unwrap_err().error.to_string(), "it is not UTF-8");
        assert_eq!(all(&in_file(b"").1.unwrap()).unwrap(), "");
    }

    #[test]
    fn of_a_line_that_has_no_end_the_beginning_is_there() {
        let text = Text::from(format!("a\n{}\nb", "x".repeat(3 * CHUNK)));
        let lines = text.lines(1, 3).unwrap();
        assert_eq!((lines[0].as_str(), lines[2].as_str()), ("a", "b"));
        assert!(lines[1].len() >= SHOWN && lines[1].len() <= SHOWN + CHUNK);
        assert_eq!(Text::from("a\n").lines(2, 1).unwrap(), [""; 0]);
        assert_eq!(Text::from("a\r\nb").lines(1, 2).unwrap(), ["a", "b"]);
    }
}
