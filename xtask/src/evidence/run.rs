//! The evidence folder of one run, as a type with a lifetime: opened before the first step, rewritten after each, closed on
//! every way out. Files are created new and never overwritten, but for `run.json`, which is replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Failure, Result};
use crate::evidence::record::{Previous, Record};
use redact::Redactor;

pub const RECORD: &str = "run.json";

#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    redactor: Redactor,
    previous: Option<Previous>,
}

impl Run {
    /// Creates `<dir>/<stamp>-<command>-<short id>/`.
    ///
    /// # Errors
    /// `blocked` when the folder cannot be written: a run without evidence does not start.
    pub fn open(dir: &Path, stamp: &str, command: &str, redactor: &Redactor) -> Result<Run> {
        let blocked = |error: io::Error| {
            Failure::blocked(format!("cannot write evidence to `{}`", dir.display()))
                .caused_by(&error)
                .hint("make the folder writable, or name another one as `dir` under `[evidence]` in drill.toml")
        };
        fs::create_dir_all(dir).map_err(blocked)?;
        let previous = latest(dir).map_err(blocked)?;
        let folder = dir.join(format!("{stamp}-{command}-{}", short_id()?));
        fs::create_dir(&folder).map_err(blocked)?;
        Ok(Run { folder, redactor: redactor.clone(), previous })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn previous(&self) -> Option<Previous> {
        self.previous.clone()
    }

    /// The new log of the run's step `number`. Its writer gets bytes that are masked already.
    pub fn log(&self, number: usize, step: &str) -> Result<(String, File)> {
        let name = format!("{number:02}-{}.log", step.replace(' ', "-"));
        let file = self.create(&name)?;
        Ok((name, file))
    }

    /// Writes a new file, masked.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let mut file = self.create(name)?;
        file.write_all(&self.redactor.bytes(text.as_bytes())).map_err(|error| self.unwritable(name, &error))
    }

    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.write(name, &pretty(value)?)
    }

    /// The bytes of `record` as `save` writes them: masked.
    pub fn as_saved(&self, record: &Record) -> Result<Vec<u8>> {
        Ok(self.redactor.bytes(pretty(record)?.as_bytes()))
    }

    /// Replaces `run.json` in one step, so that a reader or a crash sees the old one or the new one, whole.
    pub fn save(&self, record: &Record) -> Result<()> {
        let draft = self.folder.join(".run.json.new");
        let bytes = self.as_saved(record)?;
        let write = || -> io::Result<()> {
            let mut file = File::create(&draft)?;
            file.write_all(&bytes)?;
            fs::rename(&draft, self.folder.join(RECORD))
        };
        write().map_err(|error| self.unwritable(RECORD, &error))
    }

    /// Adds the digests of all files, saves the record for the last time, and returns the record's own digest.
    pub fn close(&self, record: &mut Record) -> Result<String> {
        record.files = self.digests().map_err(|error| self.unwritable(RECORD, &error))?;
        self.save(record)?;
        // Only the last state is worth waiting for the disk.
        let _ = File::open(self.folder.join(RECORD)).and_then(|file| file.sync_all());
        digest_of(&self.folder.join(RECORD)).map_err(|error| self.unwritable(RECORD, &error))
    }

    /// Names of files that hold a secret in spite of all masking. They are removed: a hole in the record is better than a leak.
    ///
    /// A child can write here too, so folders are searched, and what cannot be (a link, a pipe) is removed as a leak.
    pub fn purge_leaks(&self) -> Result<Vec<String>> {
        let mut leaked = Vec::new();
        for (name, path) in strange(&self.folder).map_err(|error| self.unwritable("", &error))? {
            fs::remove_file(&path).map_err(|error| self.unwritable(&name, &error))?;
            leaked.push(name);
        }
        for (name, path) in self.files().map_err(|error| self.unwritable("", &error))? {
            let bytes = fs::read(&path).map_err(|error| self.unwritable(&name, &error))?;
            if self.redactor.scan(&bytes).is_some() {
                fs::remove_file(&path).map_err(|error| self.unwritable(&name, &error))?;
                leaked.push(name);
            }
        }
        Ok(leaked)
    }

    fn create(&self, name: &str) -> Result<File> {
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| self.unwritable(name, &error))?;
        }
        OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| self.unwritable(name, &error))
    }

    /// Every file by its path in the folder.
    fn files(&self) -> io::Result<Vec<(String, PathBuf)>> {
        Ok(entries(&self.folder)?.into_iter().filter(|(_, path)| is_plain(path)).collect())
    }

    fn digests(&self) -> io::Result<BTreeMap<String, String>> {
        let others = self.files()?.into_iter().filter(|(name, _)| name != RECORD);
        others.map(|(name, path)| Ok((name, digest_of(&path)?))).collect()
    }

    fn unwritable(&self, name: &str, error: &io::Error) -> Failure {
        Failure::failed(format!("cannot write the evidence `{}`", self.folder.join(name).display())).caused_by(error)
    }
}

/// Everything below `folder` that is no folder itself: names relative to it, and paths, in order.
fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                found.push((name, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn strange(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    Ok(entries(folder)?.into_iter().filter(|(_, path)| !is_plain(path)).collect())
}

fn is_plain(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

fn pretty(value: &impl Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::bug("cannot write a record as JSON").caused_by(&error))?;
    text.push('\n');
    Ok(text)
}

/// SHA-256 of a file, in hex.
pub fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&chunk[..count]),
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The newest run in `dir`. Folder names begin with their time, so the last name is the newest.
fn latest(dir: &Path) -> io::Result<Option<Previous>> {
    let mut names: Vec<String> = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| dir.join(name).join(RECORD).is_file())
        .collect();
    names.sort();
    names.pop().map(|run| Ok(Previous { sha256: digest_of(&dir.join(&run).join(RECORD))?, run })).transpose()
}

fn short_id() -> Result<String> {
    let mut bytes = [0; 3];
    getrandom::fill(&mut bytes).map_err(|error| Failure::bug("no random numbers").caused_by(&error))?;
    Ok(hex(&bytes))
}
