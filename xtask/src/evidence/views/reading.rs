//! A run's folder as a reviewer finds it: what `report.html` and `junit.xml` are made from.
//!
//! Both are made from what is on disk and not from what is in memory, for three reasons: it is masked already, an old
//! run reads as a new one does, and a view can say no more than the record. What an old run wrote is masked once more,
//! by the secrets of today, value by value: in a page or a drawing nothing is. A folder may be of another version, half
//! deleted, or a stranger's: a file that is missing or of another shape is null, only plain files of the folder itself
//! are read, and no character of theirs acts on a page.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::digest::of_file;
use crate::error::{Failure, OrFail, Result};
use crate::evidence::folder::Run;
use crate::evidence::masking;
use crate::evidence::past::before_alike;
use crate::evidence::record::RECORD;
use crate::evidence::record::Record;
use crate::files::{LARGEST, plain, read_plain};
use crate::words::is_unseen;
use redact::Redactor;

/// Bytes of a JSON file that are worth reading for a page.
const JSON_LIMIT: u64 = 32 * 1024 * 1024;

/// Bytes of all files that are worth reading for their digests on a page.
const DIGESTED: u64 = 1024 * 1024 * 1024;

#[derive(Debug)]
pub struct Reading {
    /// `run.json`.
    pub run: Record,
    /// The folder's own name.
    pub name: String,
    /// The folder of all runs.
    pub dir: PathBuf,
    /// The last run of its kind before it.
    pub earlier: Option<Earlier>,
    files: BTreeMap<String, PathBuf>,
    /// None for the run that is about to be closed, which has masked all of it a moment ago.
    redactor: Option<Redactor>,
}

/// Another run, as far as this one is compared with it.
#[derive(Debug)]
pub struct Earlier {
    pub name: String,
    pub run: Record,
}

/// A text file: all of it, or its two ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    pub head: String,
    /// Bytes between `head` and `tail`.
    pub left_out: u64,
    pub tail: String,
}

impl Reading {
    /// An old run's folder.
    ///
    /// # Errors
    /// `blocked` when there is no `run.json` that can be read.
    pub fn open(folder: &Path, redactor: &Redactor) -> Result<Reading> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unreadable = || Failure::blocked(format!("the run `{name}` has no `{RECORD}` that can be read"));
        let bytes = read_plain(&folder.join(RECORD)).map_err(|error| unreadable().caused_by(error))?;
        let run: Record = serde_json::from_slice(&bytes).map_err(|error| unreadable().caused_by(error))?;
        Reading::of(folder, &masking::view(redactor, &run)?, redactor, Some(redactor.clone()))
    }

    /// The folder of a run that is about to be closed, with its last record as it will be saved: on the disk it is
    /// still running, and must be until every digest is known.
    ///
    /// # Errors
    /// `blocked` when the folder cannot be read.
    pub fn closing(run: &Run, record: &Record) -> Result<Reading> {
        Reading::of(run.folder(), &run.masked(record)?, run.redactor(), None)
    }

    fn of(folder: &Path, run: &Record, of_today: &Redactor, redactor: Option<Redactor>) -> Result<Reading> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = plain(folder).blocked(|| format!("the run `{name}` cannot be read"))?;
        let earlier = earlier(folder, &name, run, of_today)?;
        let dir = folder.parent().unwrap_or(folder).to_path_buf();
        Ok(Reading { run: inert_record(run)?, name, dir, earlier, files: files.into_iter().collect(), redactor })
    }

    /// The file as JSON, its strings made inert; null where there is none that can be read.
    pub fn json(&self, name: &str) -> Value {
        self.parsed::<Value>(name).and_then(|json| self.harmless(&json)).unwrap_or_default()
    }

    /// The file as it is; None where there is none that can be read. What is shown of it has to be made harmless.
    pub fn parsed<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.files.get(name)?;
        let small = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= JSON_LIMIT);
        small.then(|| serde_json::from_slice(&fs::read(path).ok()?).ok()).flatten()
    }

    /// `value` masked, and its strings made inert.
    pub fn harmless<T: Serialize + DeserializeOwned>(&self, value: &T) -> Option<T> {
        let json = match &self.redactor {
            Some(redactor) => masking::masked(redactor, value).ok()?,
            None => serde_json::to_value(value).ok()?,
        };
        serde_json::from_value(inert_json("", json)).ok()
    }

    /// At most about `limit` bytes of a text file, cut at ends of lines.
    pub fn text(&self, name: &str, limit: u64) -> Option<Excerpt> {
        let Excerpt { head, left_out, tail } = excerpt(self.files.get(name)?, limit).ok()?;
        Some(Excerpt { head: self.shown(&head), left_out, tail: self.shown(&tail) })
    }

    /// The last lines of a text file, at most about `limit` bytes.
    pub fn tail(&self, name: &str, limit: u64) -> Option<String> {
        let path = self.files.get(name)?;
        let length = fs::metadata(path).ok()?.len();
        if length <= limit {
            return Some(self.shown(&excerpt(path, limit).ok()?.head));
        }
        Some(self.shown(after_line_end(&part(path, length - limit, limit).ok()?)))
    }

    fn shown(&self, text: &str) -> String {
        self.redactor.as_ref().map_or_else(|| inert(text), |redactor| inert(&redactor.text(text)))
    }

    /// The bytes of a file that is at most `limit` long.
    pub fn bytes(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let path = self.files.get(name)?;
        fs::metadata(path).is_ok_and(|metadata| metadata.len() <= limit).then(|| fs::read(path).ok()).flatten()
    }

    /// Names of files that end in `suffix`, in order.
    pub fn names<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.keys().map(String::as_str).filter(move |name| name.ends_with(suffix))
    }

    /// Name, size in bytes and SHA-256 of the files that are `wanted`; no digest where there is too much to read.
    pub fn digests(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, u64, Option<String>)> {
        let mut left = DIGESTED;
        let described = move |(name, path): (&String, &PathBuf)| {
            let size = fs::metadata(path).ok()?.len();
            let room = left.checked_sub(size).filter(|_| size <= LARGEST);
            left = room.unwrap_or(left);
            let digest = room.and_then(|_| of_file(path).ok());
            Some((inert_name(name), size, digest))
        };
        self.files.iter().filter(move |(name, _)| wanted(name)).filter_map(described)
    }
}

/// Masked by the secrets of today as well as by those of its own time.
fn earlier(folder: &Path, name: &str, run: &Record, redactor: &Redactor) -> Result<Option<Earlier>> {
    let past = folder.parent().and_then(|dir| before_alike(dir, name, run));
    let Some((name, record)) = past.and_then(|past| Some((past.name, past.record?))) else { return Ok(None) };
    Ok(Some(Earlier { name, run: inert_record(&masking::view(redactor, &record)?)? }))
}

fn inert_record(run: &Record) -> Result<Record> {
    let run = serde_json::to_value(run).and_then(|run| serde_json::from_value(inert_json("", run)));
    run.bug("a record that is made inert is none any more")
}

fn excerpt(path: &Path, limit: u64) -> io::Result<Excerpt> {
    let length = fs::metadata(path)?.len();
    if length <= limit {
        return Ok(Excerpt { head: part(path, 0, length)?, ..Excerpt::default() });
    }
    let (head, tail) = (part(path, 0, limit / 4)?, part(path, length - limit / 4 * 3, limit / 4 * 3)?);
    let head = &head[..head.rfind('\n').map_or(head.len(), |at| at + 1)];
    let tail = after_line_end(&tail);
    let left_out = length.saturating_sub((head.len() + tail.len()) as u64);
    Ok(Excerpt { head: head.to_owned(), left_out, tail: tail.to_owned() })
}

fn part(path: &Path, from: u64, length: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn after_line_end(text: &str) -> &str {
    text.split_once('\n').map_or(text, |(_, rest)| rest)
}

fn inert_json(key: &str, value: Value) -> Value {
    match value {
        Value::String(name) if masking::is_name(key) => Value::String(inert_name(&name)),
        Value::String(text) => Value::String(inert(&text)),
        Value::Array(values) => values.into_iter().map(|value| inert_json(key, value)).collect(),
        Value::Object(entries) => {
            let entry = |(key, value): (String, Value)| (inert_name(&key), inert_json(&key, value));
            Value::Object(entries.into_iter().map(entry).collect())
        }
        other => other,
    }
}

/// `text` without colours, and with everything else that a reader would not see as a visible `⟨U+202E⟩`: controls, what
/// turns the direction of writing (CVE-2021-42574), and what XML has no place for.
pub fn inert(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    shown(&anstream::adapter::strip_str(&text).to_string(), |c| matches!(c, '\n' | '\t'))
}

/// A name, all of it: no character of it makes a line or a colour.
pub fn inert_name(name: &str) -> String {
    shown(name, |_| false)
}

fn shown(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) && !is_kept(c) { out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_reader_is_left() {
        assert_eq!(inert("a\u{1b}[31mred\u{1b}[0m b\r\nc\rd\te\u{202e}f\u{85}g"), "ared b\nc\nd\te⟨U+202E⟩f⟨U+0085⟩g");
        assert_eq!(inert("héé 漢字 \u{5d0}"), "héé 漢字 \u{5d0}");
        let json = serde_json::json!({"a\u{0}\n": ["\u{feff}\n", 1], "name": "x\ny\u{1b}[1m"});
        let shown = serde_json::json!({"a⟨U+0000⟩⟨U+000A⟩": ["⟨U+FEFF⟩\n", 1], "name": "x⟨U+000A⟩y⟨U+001B⟩[1m"});
        assert_eq!(inert_json("", json), shown);
    }

    #[test]
    fn a_long_file_keeps_whole_lines_of_both_ends_and_says_what_is_between() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..1000).map(|line| format!("line {line:03}\n")).collect();
        fs::write(folder.path().join("run.json"), serde_json::json!(Record::of(Value::Null)).to_string()).unwrap();
        fs::write(folder.path().join("a.log"), &text).unwrap();
        let reading = Reading::open(folder.path(), &Redactor::generic()).unwrap();
        let cut = reading.text("a.log", 100).unwrap();
        assert_eq!(cut.head, "line 000\nline 001\n");
        assert!(cut.tail.starts_with("line 99") && cut.tail.ends_with("line 999\n"), "{}", cut.tail);
        assert_eq!(cut.left_out as usize, text.len() - cut.head.len() - cut.tail.len());
        assert_eq!(reading.text("a.log", 9000).unwrap().head, text);
        assert_eq!(reading.tail("a.log", 20).unwrap(), "line 998\nline 999\n");
    }

    #[test]
    fn only_plain_files_of_the_folder_are_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("run.json"), serde_json::json!(Record::of(Value::Null)).to_string()).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), run.join("link.log")).unwrap();
        let reading = Reading::open(&run, &Redactor::generic()).unwrap();
        assert_eq!(reading.text("../secret", 100), None);
        assert_eq!(reading.text("link.log", 100), None);
        assert_eq!(reading.names(".log").count(), 0);
    }
}
