//! The evidence folder of one run, as a type with a lifetime: opened before the first step, rewritten after each,
//! closed on every way out. Files are created new and never overwritten, but for `run.json`, which is replaced as a
//! whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::digest::{self, hex, sha256};
use crate::error::{Failure, OrFail, Result};
use crate::evidence::abandoned::{self, Adopted};
use crate::evidence::chain::Chain;
use crate::evidence::lock;
use crate::evidence::record::{Previous, Record};
use crate::evidence::views;
use crate::evidence::views::attestation::{ATTESTATION, statement};
use crate::files;
use redact::Redactor;

pub const RECORD: &str = "run.json";

#[derive(Debug)]
pub struct Run {
    dir: PathBuf,
    folder: PathBuf,
    redactor: Redactor,
    adopted: Vec<Adopted>,
    /// Held until the process ends, however it ends: who finds it free knows that this run is over.
    _lock: Option<File>,
}

/// What a record gets when it is closed. No other run takes a place in the chain while this value lives.
pub struct Closing {
    pub files: BTreeMap<String, String>,
    pub previous: Option<Previous>,
    pub merged: Vec<Previous>,
    _chain: Chain,
}

impl Run {
    /// Creates `<dir>/<stamp>-<command>-<short id>/`, and closes the records that a crash left open in `dir`.
    ///
    /// # Errors
    /// `blocked` when the folder cannot be written: a run without evidence does not start.
    pub fn open(dir: &Path, stamp: &str, command: &str, redactor: &Redactor) -> Result<Run> {
        let blocked = |error: io::Error| {
            Failure::blocked(format!("cannot write evidence to `{}`", dir.display()))
                .caused_by(error)
                .hint("make the folder writable, or name another one as `dir` under `[evidence]` in drill.toml")
        };
        fs::create_dir_all(dir).map_err(blocked)?;
        let name = format!("{stamp}-{command}-{}", short_id()?);
        let folder = dir.join(&name);
        fs::create_dir(&folder).map_err(blocked)?;
        let lock = lock::take(&folder).map_err(blocked)?;
        let adopted = abandoned::close_all(dir, &name, redactor);
        Ok(Run { dir: dir.to_path_buf(), folder, redactor: redactor.clone(), adopted, _lock: lock })
    }

    /// The run of a process that is gone; `lock` is its folder's. What it was writing about a state that it did not
    /// reach is thrown away.
    pub fn adopt(dir: &Path, folder: &Path, redactor: &Redactor, lock: File) -> Run {
        let _ = fs::remove_file(files::draft(&folder.join(RECORD)));
        for name in [ATTESTATION].into_iter().chain(views::names()) {
            let _ = fs::remove_file(folder.join(name));
        }
        let (dir, folder) = (dir.to_path_buf(), folder.to_path_buf());
        Run { dir, folder, redactor: redactor.clone(), adopted: Vec::new(), _lock: Some(lock) }
    }

    /// The runs that a crash had left open, and this one closed.
    pub fn adopted(&self) -> &[Adopted] {
        &self.adopted
    }

    pub fn folder(&self) -> &Path {
        &self.folder
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

    /// Replaces `run.json` in one step, so that a reader or a crash sees the old one or the new one, whole. It is
    /// on the disk before this returns: a step must not begin before the record says so.
    pub fn save(&self, record: &impl Serialize) -> Result<()> {
        self.replace_record(&self.masked(record)?)
    }

    /// The digests of all files, and the run's place in the chain.
    ///
    /// # Errors
    /// `failed` when a file or the folder of the chain cannot be read.
    pub fn closing(&self) -> Result<Closing> {
        let unwritable = |error: io::Error| self.unwritable(RECORD, &error);
        let files = self.digests().map_err(unwritable)?;
        let chain = Chain::lock(&self.dir).map_err(unwritable)?;
        let (previous, merged) = chain.ends().map_err(unwritable)?;
        Ok(Closing { files, previous, merged, _chain: chain })
    }

    /// Saves the record for the last time.
    pub fn close(&self, record: &mut Record) -> Result<()> {
        let closing = self.closing()?;
        record.files.clone_from(&closing.files);
        record.previous.clone_from(&closing.previous);
        record.merged.clone_from(&closing.merged);
        self.save_closed(record)
    }

    /// Writes a record that is closed, and its attestation before it: whoever sees a closed record sees both.
    pub fn save_closed(&self, record: &impl Serialize) -> Result<()> {
        let bytes = self.masked(record)?;
        let statement = pretty(&statement(&parsed(&bytes)?, &sha256(&bytes)))?;
        // Made of nothing but the masked record, it is not masked again: whoever makes it anew must get the same
        // bytes.
        let mut file = self.create(ATTESTATION)?;
        file.write_all(statement.as_bytes()).map_err(|error| self.unwritable(ATTESTATION, &error))?;
        self.replace_record(&bytes)?;
        // The last rename, too, is worth waiting for.
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// The bytes of `record` as `save` writes them.
    pub fn masked(&self, record: &impl Serialize) -> Result<Vec<u8>> {
        Ok(self.redactor.bytes(pretty(record)?.as_bytes()))
    }

    fn replace_record(&self, bytes: &[u8]) -> Result<()> {
        files::replace(&self.folder.join(RECORD), bytes).map_err(|error| self.unwritable(RECORD, &error))
    }

    /// Names of files that hold a secret in spite of all masking. They are removed: a hole in the record is better
    /// than a leak.
    ///
    /// A child can write here too, so folders are searched, and what cannot be (a link, a pipe) is removed as a leak.
    pub fn purge_leaks(&self) -> Result<Vec<String>> {
        let mut leaked = Vec::new();
        for (name, path) in files::strange(&self.folder).map_err(|error| self.unwritable("", &error))? {
            fs::remove_file(&path).map_err(|error| self.unwritable(&name, &error))?;
            leaked.push(name);
        }
        for (name, path) in files::plain(&self.folder).map_err(|error| self.unwritable("", &error))? {
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

    fn digests(&self) -> io::Result<BTreeMap<String, String>> {
        let others = files::plain(&self.folder)?.into_iter().filter(|(name, _)| name != RECORD);
        others.map(|(name, path)| Ok((name, digest::of_file(&path)?))).collect()
    }

    fn unwritable(&self, name: &str, error: &io::Error) -> Failure {
        Failure::failed(format!("cannot write the evidence `{}`", self.folder.join(name).display()))
            .because(error.to_string())
            .hint("make room, or make the folder writable, and run this again")
    }
}

fn parsed(masked: &[u8]) -> Result<Value> {
    serde_json::from_slice(masked).bug("a masked record is no JSON any more")
}

/// As every JSON file of the evidence is written.
///
/// # Errors
/// `bug`: values of ours can be written.
pub fn pretty(value: &impl Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).bug("cannot write a record as JSON")?;
    text.push('\n');
    Ok(text)
}

fn short_id() -> Result<String> {
    let mut bytes = [0; 3];
    getrandom::fill(&mut bytes).bug("no random numbers")?;
    Ok(hex(&bytes))
}
