//! Where snapshots lie: one folder each under `.drill/snapshots/<target>/`, named by time, for the eyes of their owner alone.
//!
//! Which one is newer is decided by the number that each manifest has, since a clock may have been days off when a folder was named.
//! A folder without a manifest was cut short, by a crash or a full disk, and is never put back.

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
use crate::headway::Headway;
use crate::hint::Hint;
use crate::rows::snapshot::manifest::{Copy, FORMAT, Manifest, OLDEST_FORMAT, Snapshot};
use crate::rows::snapshot::pruning::{Candidate, expired};
use crate::rows::snapshot::succession::folder;
use crate::settings::Settings;

const MANIFEST: &str = "manifest.json";
/// Names the database that is being made, until the manifest does.
const BEGUN: &str = "begun.json";
/// The manifest of a database that gets the name that it says in a moment.
const PENDING: &str = "pending.json";
/// Begins the name of every snapshot.
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
    /// By the server's clock where the manifest can be believed and has it.
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
        let dir = folder(settings);
        Store { shown: settings.shown(&dir), dir }
    }

    /// Newest first, and at the end what cannot be put back. Folders that are not snapshots are left out.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut listed = self.each(|listed| listed)?;
        listed.sort_by(|a, b| b.rank().cmp(&a.rank()));
        Ok(listed)
    }

    /// What `take` takes of each, in no order: of a sandbox that was drilled a thousand times, no more than one manifest at a time.
    fn each<T>(&self, take: impl Fn(Listed) -> T) -> Result<Vec<T>> {
        let unreadable = || format!("cannot read the snapshots in `{}`", self.shown);
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.blocked(unreadable)?,
        };
        let mut taken = Vec::new();
        for entry in entries {
            let name = entry.blocked(unreadable)?.file_name().to_string_lossy().into_owned();
            if let Some(named) = time_of(&name) {
                let folder = self.dir.join(&name);
                let bytes = size_of(&folder).blocked(unreadable)?;
                let state = state_of(&folder);
                let taken_at = if let Kept::Whole(manifest) = &state { manifest.created_at } else { named };
                taken.push(take(Listed { taken_at, bytes, state, name }));
            }
        }
        Ok(taken)
    }

    /// Those that can be put back, newest first.
    ///
    /// # Errors
    /// `blocked` when there is none.
    pub fn whole(&self) -> Result<Vec<Snapshot>> {
        let whole = |Listed { name, state, .. }| match state {
            Kept::Whole(manifest) => Some(self.snapshot(name, *manifest)),
            _ => None,
        };
        let snapshots: Vec<Snapshot> = self.list()?.into_iter().filter_map(whole).collect();
        if snapshots.is_empty() {
            return Err(self.missing("there is no whole snapshot"));
        }
        Ok(snapshots)
    }

    fn snapshot(&self, name: String, manifest: Manifest) -> Snapshot {
        Snapshot { folder: self.dir.join(&name), name, manifest, pruned: Vec::new(), kept: Vec::new() }
    }

    fn missing(&self, what: &str) -> Failure {
        Failure::blocked(format!("{what} in `{}`", self.shown)).hint(Hint::run("restore --list"))
    }

    /// The number of the next snapshot.
    ///
    /// # Errors
    /// `blocked` when the store cannot be read.
    pub fn next_number(&self) -> Result<u64> {
        Ok(self.each(|listed| listed.number())?.into_iter().flatten().max().unwrap_or_default() + 1)
    }

    /// The snapshot `name`.
    ///
    /// # Errors
    /// `blocked` when it is not there, or was cut short; `different` when its manifest is not as it was written.
    pub fn find(&self, name: &str) -> Result<Snapshot> {
        let found = self.list()?.into_iter().find(|listed| listed.name == name);
        let Some(Listed { name, state, .. }) = found else {
            return Err(self.missing(&format!("there is no snapshot `{name}`")));
        };
        match state {
            Kept::Whole(manifest) => Ok(self.snapshot(name, *manifest)),
            Kept::CutShort => Err(Failure::blocked(format!("the snapshot `{name}` was cut short"))
                .because("it has no manifest, which is written last: some of its rows are missing")
                .hint(Hint::run("restore --list"))),
            Kept::Unreadable(why) => Err(altered(&name, &format!("its manifest {why}"))),
        }
    }

    /// Removes what the rule no longer keeps at the server's time `now`, and returns the names. One that is a database goes where `dropped`
    /// says that the database has.
    ///
    /// # Errors
    /// `failed` when a folder cannot be removed.
    pub fn prune(&self, now: Timestamp, mut dropped: impl FnMut(&Copy) -> bool) -> Result<Vec<String>> {
        let mut list = self.each(|listed| {
            let (is_whole, number, name) = listed.rank();
            let rank = (is_whole, number, name.to_owned());
            (rank, listed.candidate(now), listed.copy().cloned())
        })?;
        list.sort_by(|(a, ..), (b, ..)| b.cmp(a));
        let (list, candidates): (Vec<_>, Vec<Candidate>) =
            list.into_iter().map(|((.., name), candidate, copy)| ((name, copy), candidate)).unzip();
        let mut removed = Vec::new();
        for ((name, copy), _) in list.into_iter().zip(expired(&candidates)).filter(|(_, expired)| *expired) {
            if copy.is_some_and(|copy| !dropped(&copy)) {
                continue;
            }
            fs::remove_dir_all(self.dir.join(&name))
                .failed(|| format!("cannot remove the old snapshot `{}/{name}`", self.shown))?;
            removed.push(name);
        }
        Ok(removed)
    }

    /// The databases that runs had begun to make when they were killed, each with its snapshot's name.
    ///
    /// # Errors
    /// `blocked` when the store cannot be read.
    pub fn begun(&self) -> Result<Vec<(String, Begun)>> {
        let begun = |name: String| {
            let text = fs::read(self.dir.join(&name).join(BEGUN)).ok()?;
            Some((name, serde_json::from_slice(&text).ok()?))
        };
        Ok(self.cut_short()?.into_iter().filter_map(begun).collect())
    }

    /// The random numbers of all databases that a record speaks of, whole or not.
    ///
    /// # Errors
    /// `blocked` when the store cannot be read.
    pub fn databases(&self) -> Result<Vec<String>> {
        let whole = self.each(|listed| Some(listed.copy()?.id.clone()))?.into_iter().flatten();
        let begun = self.begun()?.into_iter().map(|(_, begun)| begun.id);
        let pending = self.pending()?.into_iter().filter_map(|pending| Some(pending.manifest.database?.id));
        Ok(whole.chain(begun).chain(pending).collect())
    }

    /// The records that are true once their databases have their names: of runs that were killed around that moment.
    ///
    /// # Errors
    /// `blocked` when the store cannot be read.
    pub fn pending(&self) -> Result<Vec<Pending>> {
        let pending = |name: String| {
            let text = fs::read(self.dir.join(&name).join(PENDING)).ok()?;
            let Content { consumed, manifest } = serde_json::from_slice(&text).ok()?;
            Some(Pending { name, consumed, manifest })
        };
        Ok(self.cut_short()?.into_iter().filter_map(pending).collect())
    }

    fn cut_short(&self) -> Result<Vec<String>> {
        let names = self.each(|listed| matches!(listed.state, Kept::CutShort).then_some(listed.name))?;
        Ok(names.into_iter().flatten().collect())
    }

    /// It happened: the record counts, and the snapshot whose database has the target's name now is none any more.
    ///
    /// # Errors
    /// `failed` when the folder cannot be written to.
    pub fn settle(&self, pending: &Pending) -> Result<Snapshot> {
        let folder = self.dir.join(&pending.name);
        let unwritable = || format!("cannot write `{}/{}/{MANIFEST}`", self.shown, pending.name);
        files::replace_private(&folder.join(MANIFEST), &sealed(&pending.manifest)).failed(unwritable)?;
        let _ = fs::remove_file(folder.join(PENDING));
        if self.dir.join(&pending.consumed).exists() {
            self.forget(&pending.consumed)?;
        }
        Ok(self.snapshot(pending.name.clone(), pending.manifest.clone()))
    }

    /// Forgets a snapshot that was cut short, or that is the target itself now.
    ///
    /// # Errors
    /// `failed` when its folder cannot be removed.
    pub fn forget(&self, name: &str) -> Result<()> {
        fs::remove_dir_all(self.dir.join(name)).failed(|| format!("cannot remove `{}/{name}`", self.shown))
    }

    /// A new, empty folder for a snapshot that is taken at `time` and may grow to `bytes`.
    ///
    /// # Errors
    /// `blocked` when the disk has less room than that, or cannot be written to.
    pub fn begin(&self, time: Timestamp, bytes: u64) -> Result<Draft> {
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
        let name = format!("{}-{}", time.strftime(STAMP), crate::digest::hex(&id));
        let folder = self.dir.join(&name);
        DirBuilder::new().mode(0o700).create(&folder).or_fail(blocked)?;
        Ok(Draft { shown: format!("{}/{name}", self.shown), name, folder, sealed: false })
    }
}

/// As it lies in the folder.
#[derive(Serialize, Deserialize)]
struct Content {
    consumed: String,
    manifest: Manifest,
}

/// The record of the database that has the target's name, for when it has not.
pub struct Pending {
    pub name: String,
    /// The snapshot that is about to be the target.
    pub consumed: String,
    pub manifest: Manifest,
}

/// A database that is to be a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begun {
    pub database: String,
    pub id: String,
}

/// A snapshot that is being written. Unless it is sealed, its folder goes with this value.
pub struct Draft {
    name: String,
    folder: PathBuf,
    shown: String,
    sealed: bool,
}

impl Draft {
    /// Writes down which database is about to be made: what a killed run leaves is found by it.
    ///
    /// # Errors
    /// `failed` when it cannot be written.
    pub fn begin_database(&self, begun: &Begun) -> Result<()> {
        let text = serde_json::to_vec(begun).bug("a name cannot be written as JSON")?;
        files::replace_private(&self.folder.join(BEGUN), &text).or_fail(|| self.unwritable(BEGUN))
    }

    /// There is no such database.
    pub fn end_database(&self) {
        let _ = fs::remove_file(self.folder.join(BEGUN));
    }

    pub fn create(&self, file: &str) -> Result<File> {
        private_file(&self.folder.join(file)).or_fail(|| self.unwritable(file))
    }

    /// Writes down what becomes of the target's database when the snapshot `consumed` takes its place.
    ///
    /// # Errors
    /// `failed` when it cannot be written.
    pub fn pend(mut self, manifest: Manifest, consumed: &str) -> Result<Pending> {
        let consumed = consumed.to_owned();
        let text = serde_json::to_vec_pretty(&Content { consumed: consumed.clone(), manifest: manifest.clone() });
        let text = text.bug("a manifest cannot be written as JSON")?;
        files::replace_private(&self.folder.join(PENDING), &text).or_fail(|| self.unwritable(PENDING))?;
        self.sealed = true;
        Ok(Pending { name: self.name.clone(), consumed, manifest })
    }

    /// Writes the manifest: from here on the snapshot is whole.
    pub fn seal(mut self, manifest: Manifest) -> Result<Snapshot> {
        let text = sealed(&manifest);
        let write = || {
            files::replace_private(&self.folder.join(MANIFEST), &text)?;
            File::open(&self.folder)?.sync_all()
        };
        write().or_fail(|| self.unwritable(MANIFEST))?;
        self.sealed = true;
        self.end_database();
        let (name, folder) = (self.name.clone(), self.folder.clone());
        Ok(Snapshot { name, folder, manifest, pruned: Vec::new(), kept: Vec::new() })
    }

    pub fn unwritable(&self, file: &str) -> Failure {
        Failure::failed(format!("cannot write the snapshot `{}/{file}`", self.shown))
            .note("the snapshot was removed again, and the database was only read")
            .hint("make room on that disk, then run this again")
    }
}

impl Drop for Draft {
    /// Half of the rows is nothing to believe in. Where even removing fails, the folder has no manifest. What says that a database may be there
    /// stays as long as that.
    fn drop(&mut self) {
        if !self.sealed && !self.folder.join(BEGUN).exists() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Listed {
    /// Of two, the newer one has the higher rank. What cannot be put back comes after all that can; of format 1 the name is all there is.
    fn rank(&self) -> (bool, Option<u64>, &str) {
        (matches!(self.state, Kept::Whole(_)), self.number(), &self.name)
    }

    fn number(&self) -> Option<u64> {
        if let Kept::Whole(manifest) = &self.state { manifest.number } else { None }
    }

    fn copy(&self) -> Option<&Copy> {
        if let Kept::Whole(manifest) = &self.state { manifest.database.as_ref() } else { None }
    }

    fn candidate(&self, now: Timestamp) -> Candidate {
        let rows = if let Kept::Whole(manifest) = &self.state { manifest.rows() } else { 0 };
        Candidate { days: now.duration_since(self.taken_at).as_hours() / 24, rows }
    }

    /// One line for a person.
    pub fn in_words(&self) -> String {
        let state = match &self.state {
            Kept::Whole(manifest) => {
                format!(
                    "whole, {} rows of {} tables, before {}",
                    manifest.rows(),
                    manifest.tables.len(),
                    manifest.reason
                )
            }
            Kept::CutShort => "cut short: it cannot be put back".to_owned(),
            Kept::Unreadable(why) => format!("cannot be put back: its manifest {why}"),
        };
        let state = match self.copy() {
            Some(copy) => format!("{state}, as the database `{}`", copy.name),
            None => state,
        };
        let bytes = self.copy().map_or(self.bytes, |copy| copy.bytes);
        let number = self.number().map(|number| format!("#{number}")).unwrap_or_default();
        let taken = self.taken_at.strftime("%Y-%m-%d %H:%M UTC");
        format!("{number:>4}  {}  taken {taken}  {}  {state}", self.name, megabytes(bytes))
    }

    pub fn to_json(&self) -> serde_json::Value {
        let (state, manifest) = match &self.state {
            Kept::Whole(manifest) => ("whole", Some(manifest)),
            Kept::CutShort => ("cut short", None),
            Kept::Unreadable(_) => ("unreadable", None),
        };
        let rows = manifest.map(|manifest| manifest.rows());
        let reason = manifest.map(|manifest| &manifest.reason);
        serde_json::json!({
            "name": self.name, "taken_at": clock::rfc3339(self.taken_at), "bytes": self.bytes, "state": state, "rows": rows, "reason": reason,
            "number": self.number(), "kind": if self.copy().is_some() { "database" } else { "files" }, "database": self.copy(),
        })
    }
}

impl Snapshot {
    /// Reads every file once and compares it with the manifest.
    ///
    /// # Errors
    /// `different`, naming the first file that is missing or not as it was written.
    pub fn verify_files(&self, headway: &Headway) -> Result<()> {
        if self.manifest.database.is_some() {
            return Ok(());
        }
        let work = headway.part(self.manifest.tables.len());
        for (at, table) in self.manifest.tables.iter().enumerate() {
            work.step(at + 1, &format!("the snapshot's `{}`", table.full_name()));
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
    believed(&bytes)
}

/// What a manifest's file is worth.
pub(super) fn believed(bytes: &[u8]) -> Kept {
    match serde_json::from_slice::<Sealed>(bytes) {
        Err(_) => Kept::Unreadable("is not one that this program writes".to_owned()),
        Ok(Sealed { manifest, .. }) if !(OLDEST_FORMAT..=FORMAT).contains(&manifest.format) => {
            let format = manifest.format;
            Kept::Unreadable(format!("has format {format}, and this program reads {OLDEST_FORMAT} to {FORMAT}"))
        }
        Ok(Sealed { sha256, manifest }) if sha256 != digest(&manifest) => Kept::Unreadable("was changed".to_owned()),
        Ok(Sealed { manifest, .. }) => Kept::Whole(Box::new(manifest)),
    }
}

#[expect(clippy::expect_used, reason = "a manifest holds nothing but text and numbers, which JSON always holds")]
pub(super) fn sealed(manifest: &Manifest) -> Vec<u8> {
    let sealed = Sealed { sha256: digest(manifest), manifest: manifest.clone() };
    serde_json::to_vec_pretty(&sealed).expect("a manifest holds nothing but text and numbers")
}

#[expect(clippy::expect_used, reason = "a manifest holds nothing but text and numbers, which JSON always holds")]
fn digest(manifest: &Manifest) -> String {
    sha256(serde_json::to_string(manifest).expect("a manifest holds nothing but text and numbers"))
}

pub(super) fn time_of(name: &str) -> Option<Timestamp> {
    let (stamp, _) = name.split_once('-')?;
    let time = DateTime::strptime(STAMP, stamp).ok()?;
    // It would read `2026112T1914Z`, too, which is the name of a folder of somebody else's.
    if time.strftime(STAMP).to_string() != stamp {
        return None;
    }
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

pub fn free_bytes(dir: &Path) -> io::Result<u64> {
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
    fn a_name_tells_its_time() {
        assert_eq!(time_of("20261122T191405Z-a1b2c3").unwrap().to_string(), "2026-11-22T19:14:05Z");
        assert_eq!([time_of("notes"), time_of(".gitignore"), time_of("20261322T191405Z-a1b2c3")], [None; 3]);
        assert_eq!(time_of("20261122T19145Z-a1b2c3"), None, "a digit is missing");
    }

    /// As the program before the numbers wrote it.
    const FORMAT_1: &str = r#"{"sha256": "ccfad02d0b0bc38216328042f5acad2053c1a6e1eafd630acf6f208892f3009d", "manifest": {"format":1,"drill":"0.1.0","created_at":"2026-11-22T20:49:29.5Z","reason":"reset","origin":{"database":"d","database_oid":5,"system_identifier":"7","project_ref":null},"server_version":"17.10","schemas":["public"],"tables":[{"schema":"public","name":"t","columns":["a"],"rows":2,"checksum":"00","file":"0001.copy.lz4","file_sha256":"11"}],"sequences":[],"ledger":null,"catalog":"22"}}"#;

    fn folder(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MANIFEST), text).unwrap();
        folder
    }

    #[test]
    fn a_snapshot_of_before_is_still_read_and_one_of_later_is_not() {
        let Kept::Whole(manifest) = state_of(folder(FORMAT_1).path()) else { panic!("not whole") };
        assert_eq!((manifest.rows(), manifest.number), (2, None));
        let Kept::Unreadable(why) = state_of(folder(&FORMAT_1.replace("\"format\":1", "\"format\":5")).path()) else {
            panic!()
        };
        assert_eq!(why, "has format 5, and this program reads 1 to 4");
    }

    #[test]
    fn the_number_says_which_is_newer_and_the_name_where_there_is_none() {
        let Kept::Whole(manifest) = state_of(folder(FORMAT_1).path()) else { panic!("not whole") };
        let whole = |name: &str, number| {
            let manifest = Manifest { number, ..(*manifest).clone() };
            Listed {
                name: name.to_owned(),
                taken_at: manifest.created_at,
                bytes: 0,
                state: Kept::Whole(Box::new(manifest)),
            }
        };
        let cut_short = Listed { state: Kept::CutShort, ..whole("20280101T000000Z-000000", None) };
        // Two months ahead, of format 1; then the counter begins.
        let (ahead, old) = (whole("20270122T000000Z-aaaaaa", None), whole("20261122T000000Z-bbbbbb", None));
        let (first, second) = (whole("20270125T000000Z-cccccc", Some(1)), whole("20261126T000000Z-dddddd", Some(2)));
        let mut list = [cut_short, ahead, old, first, second];
        list.sort_by(|a, b| b.rank().cmp(&a.rank()));
        let ends: Vec<&str> = list.iter().map(|listed| &listed.name[17..]).collect();
        assert_eq!(ends, ["dddddd", "cccccc", "aaaaaa", "bbbbbb", "000000"]);
    }
}
