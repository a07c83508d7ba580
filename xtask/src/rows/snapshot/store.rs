//! Where snapshots lie: one folder each under `.drill/snapshots/<target>/`, named by time, for the eyes of their owner alone.
//!
//! A folder without a manifest was cut short, by a crash or a full disk, and is never put back. Old snapshots are pruned after each new one:
//! the newest ten and everything younger than 30 days stay, so the only whole one always does.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::digest::{of_file, sha256};
use crate::error::{Failure, OrFail, Result};
use crate::files;
use crate::hint::Hint;
use crate::rows::snapshot::manifest::{FORMAT, Manifest, Snapshot};
use crate::settings::Settings;

const MANIFEST: &str = "manifest.json";
const KEEP_NEWEST: usize = 10;
const KEEP_DAYS: i64 = 30;
/// Begins the name of every snapshot: sorts by time.
const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// The snapshots of one target.
pub struct Store {
    dir: PathBuf,
    /// How a user would type `dir`.
    shown: String,
}

/// A folder in the store.
#[derive(Debug)]
pub struct Listed {
    pub name: String,
    pub taken_at: Timestamp,
    /// On disk.
    pub bytes: u64,
    pub state: Kept,
}

#[derive(Debug)]
pub enum Kept {
    Whole(Box<Manifest>),
    CutShort,
    /// The manifest is there and cannot be believed: why.
    Unreadable(String),
}

/// The manifest with a digest of itself, so that a changed byte in it is seen.
#[derive(Serialize, Deserialize)]
struct Sealed {
    sha256: String,
    manifest: Manifest,
}

impl Store {
    pub fn of(settings: &Settings) -> Store {
        // A target's name is a key of drill.toml and may hold anything.
        let name = settings.target.name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_', "_");
        let dir = settings.private_dir().join("snapshots").join(name);
        Store { shown: settings.shown(&dir), dir }
    }

    /// Newest first. What is no snapshot's folder is left out.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let unreadable = || format!("cannot read the snapshots in `{}`", self.shown);
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.blocked(unreadable)?,
        };
        let mut listed = Vec::new();
        for entry in entries {
            let name = entry.blocked(unreadable)?.file_name().to_string_lossy().into_owned();
            if let Some(taken_at) = time_of(&name) {
                let folder = self.dir.join(&name);
                let bytes = size_of(&folder).blocked(unreadable)?;
                listed.push(Listed { taken_at, bytes, state: state_of(&folder), name });
            }
        }
        listed.sort_by(|a, b| b.name.cmp(&a.name));
        Ok(listed)
    }

    /// The snapshot `name`, or the newest whole one.
    ///
    /// # Errors
    /// `blocked` when there is none, or it was cut short; `different` when its manifest is not as it was written.
    pub fn find(&self, name: Option<&str>) -> Result<Snapshot> {
        let list = self.list()?;
        let found = match name {
            Some(name) => list.into_iter().find(|listed| listed.name == name),
            None => list.into_iter().find(|listed| matches!(listed.state, Kept::Whole(_))),
        };
        let Some(Listed { name, state, .. }) = found else {
            let what =
                name.map_or("there is no whole snapshot".to_owned(), |name| format!("there is no snapshot `{name}`"));
            return Err(Failure::blocked(format!("{what} in `{}`", self.shown)).hint(Hint::run("restore --list")));
        };
        match state {
            Kept::Whole(manifest) => Ok(Snapshot { folder: self.dir.join(&name), name, manifest: *manifest }),
            Kept::CutShort => Err(Failure::blocked(format!("the snapshot `{name}` was cut short"))
                .because("it has no manifest, which is written last: some of its rows are missing")
                .hint(Hint::run("restore --list"))),
            Kept::Unreadable(why) => Err(altered(&name, &format!("its manifest {why}"))),
        }
    }

    /// Removes what the rule no longer keeps, and returns the names.
    pub fn prune(&self) -> Result<Vec<String>> {
        let now = clock::now();
        let list = self.list()?;
        let age = |listed: &Listed| now.duration_since(listed.taken_at).as_hours() / 24;
        let facts: Vec<(i64, bool)> =
            list.iter().map(|listed| (age(listed), matches!(listed.state, Kept::Whole(_)))).collect();
        let mut removed = Vec::new();
        for (listed, _) in list.into_iter().zip(expired(&facts)).filter(|(_, expired)| *expired) {
            fs::remove_dir_all(self.dir.join(&listed.name))
                .failed(|| format!("cannot remove the old snapshot `{}/{}`", self.shown, listed.name))?;
            removed.push(listed.name);
        }
        Ok(removed)
    }

    /// A new, empty folder for a snapshot that may grow to `bytes`.
    ///
    /// # Errors
    /// `blocked` when the disk has less room than that, or cannot be written to.
    pub fn begin(&self, bytes: u64) -> Result<Draft> {
        let blocked = || {
            Failure::blocked(format!("cannot write a snapshot to `{}`", self.shown))
                .hint("make room there, or make the folder writable")
        };
        private_dir(&self.dir).or_fail(blocked)?;
        keep_out_of_git(&self.dir).or_fail(blocked)?;
        let free = free_bytes(&self.dir).or_fail(blocked)?;
        if free < bytes {
            return Err(Failure::blocked(format!("there is too little room for a snapshot in `{}`", self.shown))
                .because(format!(
                    "the tables and their indexes take {}, and {} are free",
                    megabytes(bytes),
                    megabytes(free)
                ))
                .hint("make room there"));
        }
        let mut id = [0; 3];
        getrandom::fill(&mut id).bug("no random numbers")?;
        let name = format!("{}-{}", clock::now().strftime(STAMP), crate::digest::hex(&id));
        let folder = self.dir.join(&name);
        DirBuilder::new().mode(0o700).create(&folder).or_fail(blocked)?;
        Ok(Draft { shown: format!("{}/{name}", self.shown), name, folder, sealed: false })
    }
}

/// For each of a list from new to old, given as age in days and wholeness, whether it goes.
fn expired(list: &[(i64, bool)]) -> Vec<bool> {
    let mut whole_ones = 0;
    let goes = |&(days, whole): &(i64, bool)| {
        whole_ones += usize::from(whole);
        let among_newest = whole && whole_ones <= KEEP_NEWEST;
        !among_newest && days >= KEEP_DAYS
    };
    list.iter().map(goes).collect()
}

/// A snapshot that is being written. Unless it is sealed, its folder goes with this value.
pub struct Draft {
    name: String,
    folder: PathBuf,
    shown: String,
    sealed: bool,
}

impl Draft {
    pub fn create(&self, file: &str) -> Result<File> {
        private_file(&self.folder.join(file)).or_fail(|| self.unwritable(file))
    }

    /// Writes the manifest: from here on the snapshot is whole.
    #[expect(clippy::expect_used, reason = "a manifest holds nothing but text and numbers, which JSON always holds")]
    pub fn seal(mut self, manifest: Manifest) -> Result<Snapshot> {
        let sealed = Sealed { sha256: digest(&manifest), manifest };
        let text = serde_json::to_vec_pretty(&sealed).expect("a manifest holds nothing but text and numbers");
        let write = || {
            files::replace_private(&self.folder.join(MANIFEST), &text)?;
            File::open(&self.folder)?.sync_all()
        };
        write().or_fail(|| self.unwritable(MANIFEST))?;
        self.sealed = true;
        Ok(Snapshot { name: self.name.clone(), folder: self.folder.clone(), manifest: sealed.manifest })
    }

    pub fn unwritable(&self, file: &str) -> Failure {
        Failure::failed(format!("cannot write the snapshot `{}/{file}`", self.shown))
            .note("the snapshot was removed again, and the database was only read")
            .hint("make room on that disk, then run this again")
    }
}

impl Drop for Draft {
    /// Half of the rows is nothing to believe in. Where even removing fails, the folder has no manifest.
    fn drop(&mut self) {
        if !self.sealed {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Listed {
    /// One line for a person.
    pub fn in_words(&self, now: Timestamp) -> String {
        let state = match &self.state {
            Kept::Whole(manifest) => {
                let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
                format!("whole, {rows} rows of {} tables, before {}", manifest.tables.len(), manifest.reason)
            }
            Kept::CutShort => "cut short: it cannot be put back".to_owned(),
            Kept::Unreadable(why) => format!("cannot be put back: its manifest {why}"),
        };
        format!(
            "{}  {} old  {}  {state}",
            self.name,
            age(now.duration_since(self.taken_at).as_mins()),
            megabytes(self.bytes)
        )
    }

    pub fn to_json(&self) -> serde_json::Value {
        let (state, manifest) = match &self.state {
            Kept::Whole(manifest) => ("whole", Some(manifest)),
            Kept::CutShort => ("cut short", None),
            Kept::Unreadable(_) => ("unreadable", None),
        };
        let rows = manifest.map(|manifest| manifest.tables.iter().map(|table| table.rows).sum::<u64>());
        let reason = manifest.map(|manifest| &manifest.reason);
        serde_json::json!({
            "name": self.name, "taken_at": clock::rfc3339(self.taken_at), "bytes": self.bytes, "state": state, "rows": rows, "reason": reason,
        })
    }
}

/// `5 min`, `3 h`, `12 days`
fn age(minutes: i64) -> String {
    match minutes {
        ..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

impl Snapshot {
    /// Reads every file once and compares it with the manifest.
    ///
    /// # Errors
    /// `different`, naming the first file that is missing or not as it was written.
    pub fn verify_files(&self) -> Result<()> {
        for table in &self.manifest.tables {
            match of_file(&self.folder.join(&table.file)) {
                Ok(digest) if digest == table.file_sha256 => {}
                Ok(_) => {
                    return Err(altered(&self.name, &format!("its file `{}` is not as it was written", table.file)));
                }
                Err(error) => {
                    return Err(
                        altered(&self.name, &format!("its file `{}` cannot be read", table.file)).caused_by(error)
                    );
                }
            }
        }
        Ok(())
    }
}

fn altered(name: &str, what: &str) -> Failure {
    Failure::different(format!("the snapshot `{name}` cannot be believed: {what}"))
        .note("nothing was changed")
        .hint(Hint::run("restore --list"))
}

fn state_of(folder: &Path) -> Kept {
    let bytes = match fs::read(folder.join(MANIFEST)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::CutShort,
        Err(error) => return Kept::Unreadable(format!("cannot be read: {error}")),
        Ok(bytes) => bytes,
    };
    match serde_json::from_slice::<Sealed>(&bytes) {
        Err(_) => Kept::Unreadable("is not one that this program writes".to_owned()),
        Ok(Sealed { manifest, .. }) if manifest.format != FORMAT => {
            Kept::Unreadable(format!("has format {}, and this program reads {FORMAT}", manifest.format))
        }
        Ok(Sealed { sha256, manifest }) if sha256 != digest(&manifest) => Kept::Unreadable("was changed".to_owned()),
        Ok(Sealed { manifest, .. }) => Kept::Whole(Box::new(manifest)),
    }
}

#[expect(clippy::expect_used, reason = "a manifest holds nothing but text and numbers, which JSON always holds")]
fn digest(manifest: &Manifest) -> String {
    sha256(serde_json::to_string(manifest).expect("a manifest holds nothing but text and numbers"))
}

fn time_of(name: &str) -> Option<Timestamp> {
    let (stamp, _) = name.split_once('-')?;
    let time = DateTime::strptime(STAMP, stamp).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn size_of(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.try_fold(0, |sum, entry| Ok(sum + entry?.metadata()?.len()))
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Whatever the project's own ignore file says.
fn keep_out_of_git(dir: &Path) -> io::Result<()> {
    match private_file(&dir.join(".gitignore")) {
        Ok(mut file) => file.write_all(b"*\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// `1.5 MB`
pub fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ten_whole_ones_and_everything_young_stay() {
        let old = |count| vec![(90, true); count];
        assert_eq!(expired(&old(1)), [false], "the only whole one");
        assert_eq!(expired(&old(12)), [vec![false; 10], vec![true; 2]].concat());
        assert_eq!(expired(&[(29, true); 20]), [false; 20]);
        assert_eq!(
            expired(&[vec![(0, false); 3], vec![(40, false)], old(1)].concat()),
            [false, false, false, true, false]
        );
    }

    #[test]
    fn a_name_tells_its_time() {
        assert_eq!(time_of("20261122T191405Z-a1b2c3").unwrap().to_string(), "2026-11-22T19:14:05Z");
        assert_eq!([time_of("notes"), time_of(".gitignore"), time_of("20261322T191405Z-a1b2c3")], [None; 3]);
    }
}
