//! One file as it is and as it would be.

use std::path::Path;

use pin::file;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::error::{Failure, OrFail, Result};
use crate::files;

#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Below the root of the repo.
    pub path: String,
    /// None where the file is not there.
    before: Option<String>,
    after: String,
}

impl Change {
    /// A file that is made where there is none, and stays as it is where there is one.
    pub fn new_file(root: &Path, path: &str, after: impl FnOnce() -> String) -> Option<Change> {
        let is_there = root.join(path).symlink_metadata().is_ok();
        (!is_there).then(|| Change { path: path.to_owned(), before: None, after: after() })
    }

    /// What `edit` makes of a file, which is empty where it is not there; None where that is the same.
    ///
    /// # Errors
    /// `blocked` when the file cannot be read, or `edit` can make nothing of it.
    pub fn edit(root: &Path, path: &str, edit: impl FnOnce(&str) -> Result<String>) -> Result<Option<Change>> {
        let before = match file::read_text(&root.join(path), file::LONGEST) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            read => Some(read.or_fail(|| Failure::blocked(format!("cannot read `{path}`")))?),
        };
        let after = edit(before.as_deref().unwrap_or_default())?;
        let is_same = after == before.as_deref().unwrap_or_default();
        Ok((!is_same).then(|| Change { path: path.to_owned(), before, after }))
    }

    /// As `diff -u` shows it.
    pub fn diff(&self) -> String {
        let before = self.before.as_deref().unwrap_or_default();
        let from = if self.before.is_some() { &self.path } else { "/dev/null" };
        let diff = TextDiff::from_lines(before, &self.after);
        diff.unified_diff().context_radius(2).header(from, &self.path).to_string()
    }

    pub fn view(&self) -> Value {
        let does = if self.before.is_some() { "change" } else { "create" };
        json!({ "path": self.path, "does": does, "diff": self.diff() })
    }

    /// # Errors
    /// `failed` when the file is another one now than was shown, or cannot be written; it is as it was then.
    pub fn write(&self, root: &Path) -> Result<()> {
        let path = root.join(&self.path);
        let cannot = || Failure::failed(format!("cannot write `{}`", self.path));
        let now = match file::read_text(&path, file::LONGEST) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            read => Some(read.or_fail(cannot)?),
        };
        if now != self.before {
            return Err(cannot().because("it was changed since it was shown").hint("run this again"));
        }
        let write = || {
            path.parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| files::replace(&path, self.after.as_bytes()))
        };
        write().or_fail(cannot)
    }
}

/// `text` with `lines` after it, in its own line ends.
pub fn appended(text: &str, lines: &str) -> String {
    if lines.is_empty() {
        return text.to_owned();
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let gap = match text {
        "" => "",
        text if text.ends_with('\n') => end,
        _ => &end.repeat(2),
    };
    format!("{text}{gap}{}", lines.replace('\n', end))
}
