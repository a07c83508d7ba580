//! One entry a run in a feedback file: newest first, below the line that says so. The rest of the file is people's,
//! and stays as it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Failure, Result};
use crate::evidence::entry::{Place, entry, relative};
use crate::evidence::lock;
use crate::evidence::record::Record;
use crate::files;
use pin::file;

/// Entries go right below the first such line; a file without one gets one at its end.
pub const MARK: &str = "<!-- staging drill: newest entry first -->";
/// In the run's folder: an entry that found no place in the feedback file.
pub const KEPT: &str = "feedback-entry.md";

/// Adds the entry of the run in `folder`. `shown` makes paths readable.
///
/// The file is replaced in one step under a lock, so that two runs at once are both kept. Where it cannot be
/// written to, or must not, the entry is kept in the run's folder, and the sentence that says so is returned.
///
/// # Errors
/// `failed`, with the entry's text as the hint, when it cannot be kept either.
pub fn add(
    path: &Path,
    record: &Record,
    sha256: &str,
    folder: &Path,
    shown: impl Fn(&Path) -> String,
) -> Result<Option<String>> {
    let link = relative(path.parent().unwrap_or(path), folder);
    let place = Place { shown: &shown(folder), link: &link.to_string_lossy() };
    let entry = entry(record, sha256, &place);
    let Err(obstacle) = insert(path, &entry) else { return Ok(None) };
    let kept = folder.join(KEPT);
    keep(&kept, &entry).map_err(|error| {
        Failure::failed(format!("cannot add the entry to `{}`", shown(path)))
            .because(obstacle.to_string())
            .caused_by(error)
            .note(format!("the entry is:\n{entry}"))
            .hint("make the file writable, and add the entry by hand")
    })?;
    Ok(Some(format!("warning: `{}` got no entry: {obstacle}; the entry is in `{}`", shown(path), shown(&kept))))
}

fn keep(path: &Path, entry: &str) -> io::Result<()> {
    File::create_new(path)?.write_all(entry.as_bytes())
}

fn insert(path: &Path, entry: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let _lock = lock::take(folder)?;
    // A link stays one: what it leads to is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let old = match file::read(&path, file::LONGEST) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if let Some(line) = conflict(&old) {
        return Err(io::Error::other(format!("it has a merge conflict at line {line}")));
    }
    replace(&path, &with_entry(&old, entry))
}

/// Replaces the file in one step, and keeps who may read and write it.
fn replace(path: &Path, new: &[u8]) -> io::Result<()> {
    let permissions = fs::metadata(path).map(|metadata| metadata.permissions()).ok();
    // A rename needs no leave of the file itself, and for root nothing does; who made it read-only meant something
    // by it.
    if permissions.as_ref().is_some_and(fs::Permissions::readonly) {
        return Err(io::Error::other("it is read-only"));
    }
    files::replace(path, new)
}

/// The line of the first conflict marker that git left: whatever is written near it is lost with one of the sides.
fn conflict(text: &[u8]) -> Option<usize> {
    let is_marker = |line: &[u8]| {
        [b"<<<<<<<", b">>>>>>>"].iter().any(|marker| {
            line.strip_prefix(marker.as_slice()).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
        })
    };
    text.split(|&byte| byte == b'\n').position(is_marker).map(|index| index + 1)
}

/// Bytes, not text: what people wrote need not be UTF-8.
fn with_entry(old: &[u8], entry: &str) -> Vec<u8> {
    let mark = old.windows(MARK.len()).position(|window| window == MARK.as_bytes());
    let (above, below) = mark.map_or((old, &b""[..]), |at| (&old[..at], &old[at + MARK.len()..]));
    let mut new = above.to_vec();
    if mark.is_none() && !above.is_empty() {
        new = [above.trim_ascii_end(), b"\n\n"].concat();
    }
    new.extend_from_slice(format!("{MARK}\n\n{entry}").as_bytes());
    let below = below.trim_ascii();
    if !below.is_empty() {
        new.push(b'\n');
        new.extend_from_slice(below);
        new.push(b'\n');
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(old: &[u8]) -> String {
        String::from_utf8_lossy(&with_entry(old, "## new\n")).into_owned()
    }

    #[test]
    fn the_newest_entry_comes_first_and_what_people_wrote_stays() {
        let mark = MARK;
        assert_eq!(added(b""), format!("{mark}\n\n## new\n"));
        assert_eq!(added(b"# QA\n\nours\n"), format!("# QA\n\nours\n\n{mark}\n\n## new\n"));
        let old = format!("# QA\n\n{mark}\n\n## old\n\n- x\n");
        assert_eq!(added(old.as_bytes()), format!("# QA\n\n{mark}\n\n## new\n\n## old\n\n- x\n"));
        let twice = format!("{mark}\n\n## old\n\n{mark}\n\n## older\n");
        assert_eq!(added(twice.as_bytes()), format!("{mark}\n\n## new\n\n## old\n\n{mark}\n\n## older\n"));
    }

    #[test]
    fn text_that_is_no_utf8_keeps_its_bytes() {
        let old = [b"caf\xe9\n".as_slice(), MARK.as_bytes(), b"\n\nna\xefve\n"].concat();
        let new = with_entry(&old, "## new\n");
        assert!(new.starts_with(b"caf\xe9\n") && new.ends_with(b"\n\nna\xefve\n"), "{}", String::from_utf8_lossy(&new));
    }

    #[test]
    fn a_conflict_is_a_line_that_git_wrote() {
        assert_eq!(conflict(b"a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> other\n"), Some(2));
        assert_eq!(conflict(b"a\r\n<<<<<<<\r\n"), Some(2));
        assert_eq!(conflict(b"a\n <<<<<<< HEAD\n<<<<<<<<\n=======\n"), None);
    }
}
