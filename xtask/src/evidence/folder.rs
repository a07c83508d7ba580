//! The evidence folder of one run, as a type with a lifetime: opened before the first step, rewritten after each,
//! closed on every way out. Files are created new and never overwritten, but for `run.json`, which is replaced as a
//! whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::digest::{self, hex, sha256};
use crate::error::{Failure, OrFail, Result};
use crate::evidence::chain::Chain;
use crate::evidence::lock;
use crate::evidence::masked_text::masked_text;
use crate::evidence::masking;
use crate::evidence::record::{Previous, RECORD, Record};
use crate::evidence::views::attestation::{ATTESTATION, statement};
use crate::files;
use redact::Redactor;

/// What the drill writes as JSON. It creates each of them new, so that none can be a child's that was there before.
const OURS: [&str; 7] = [
    RECORD,
    "plan.json",
    "counts.json",
    "parity.json",
    "privileges-before.json",
    "catalog-before.json",
    "catalog-after.json",
];

#[derive(Debug)]
pub struct Run {
    dir: PathBuf,
    folder: PathBuf,
    redactor: Redactor,
    /// The digest of each file as this process wrote it, masked: what is still so needs no search for secrets.
    written: Mutex<BTreeMap<String, String>>,
    /// Held until the process ends, however it ends: who finds it free knows that this run is over.
    _lock: Option<File>,
}

/// What a record gets when it is closed. No other run takes a place in the chain while this value lives.
struct Closing {
    files: BTreeMap<String, String>,
    previous: Option<Previous>,
    merged: Vec<Previous>,
    _chain: Chain,
}

impl Run {
    /// Creates `<dir>/<stamp>-<command>-<short id>/`.
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
        Ok(Run::of(dir, &folder, redactor, lock))
    }

    /// A run in a folder that is there; `lock` is the folder's.
    pub fn of(dir: &Path, folder: &Path, redactor: &Redactor, lock: Option<File>) -> Run {
        let (dir, folder, redactor) = (dir.to_path_buf(), folder.to_path_buf(), redactor.clone());
        Run { dir, folder, redactor, written: Mutex::default(), _lock: lock }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// As other runs name it.
    pub fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Where its neighbours are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The new log of the run's step `number`. Its writer gets bytes that are masked already.
    pub fn log(&self, number: usize, step: &str) -> Result<(String, File)> {
        let name = format!("{number:02}-{}.log", step.replace(' ', "-"));
        let file = self.create(&name)?;
        Ok((name, file))
    }

    /// Writes a new file of plain text, masked.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        self.write_made(name, &self.redactor.text(text))
    }

    /// Writes a new file of values that are masked, each by itself.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.write_made(name, &(masked_text(&self.redactor, value)? + "\n"))
    }

    /// Writes a new file that is made of names, numbers and what is masked already: a mask in its markup would break it.
    pub fn write_made(&self, name: &str, text: &str) -> Result<()> {
        if text.len() as u64 > files::LARGEST {
            return Err(self.unwritable(name, &io::ErrorKind::FileTooLarge.into()));
        }
        let written = self.create(name)?.write_all(text.as_bytes());
        written.map_err(|error| self.unwritable(name, &error))?;
        self.remember(name, text.as_bytes());
        Ok(())
    }

    /// Replaces `run.json` in one step, so that a reader or a crash sees the old one or the new one, whole. It is
    /// on the disk before this returns: a step must not begin before the record says so.
    pub fn save(&self, record: &Record) -> Result<()> {
        self.replace_record(pretty(&masking::masked(&self.redactor, record)?)?.as_bytes())
    }

    /// The digests of all files, and the run's place in the chain.
    ///
    /// # Errors
    /// `failed` when a file or the folder of the chain cannot be read.
    fn closing(&self) -> Result<Closing> {
        let unwritable = |error: io::Error| self.unwritable(RECORD, &error);
        let files = self.digests().map_err(unwritable)?;
        let chain = Chain::lock(&self.dir).map_err(unwritable)?;
        let (previous, merged) = chain.ends().map_err(unwritable)?;
        Ok(Closing { files, previous, merged, _chain: chain })
    }

    /// Saves the record for the last time, and its attestation before it: whoever sees a closed record sees both.
    pub fn close(&self, record: &mut Record) -> Result<()> {
        let closing = self.closing()?;
        record.files.clone_from(&closing.files);
        record.previous.clone_from(&closing.previous);
        // What a prune leaves without a follower is there already.
        record.merged.extend(closing.merged.iter().cloned());
        let masked = self.masked(record)?;
        let text = pretty(&masked)?;
        self.write_made(ATTESTATION, &pretty(&statement(&masked, &sha256(text.as_bytes())))?)?;
        self.replace_record(text.as_bytes())?;
        // The last rename, too, is worth waiting for.
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// The record as `save` writes it.
    pub fn masked(&self, record: &Record) -> Result<Record> {
        masking::view(&self.redactor, record)
    }

    fn replace_record(&self, bytes: &[u8]) -> Result<()> {
        files::replace(&self.folder.join(RECORD), bytes).map_err(|error| self.unwritable(RECORD, &error))?;
        self.remember(RECORD, bytes);
        Ok(())
    }

    fn remember(&self, name: &str, bytes: &[u8]) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), sha256(bytes));
    }

    /// Names of files that hold a secret in spite of all masking. They are removed: a hole in the record is better
    /// than a leak.
    ///
    /// A child can write here too, so folders are searched, and what cannot be (a link, a pipe, a file without end) is removed as a leak.
    pub fn purge_leaks(&self) -> Result<Vec<String>> {
        let mut leaked = Vec::new();
        for (name, path) in files::strange(&self.folder).map_err(|error| self.unwritable("", &error))? {
            fs::remove_file(&path).map_err(|error| self.unwritable(&name, &error))?;
            leaked.push(name);
        }
        for (name, path) in files::plain(&self.folder).map_err(|error| self.unwritable("", &error))? {
            let leaks = match self.leaks(&name, &path) {
                Ok(leaks) => leaks,
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => true,
                Err(error) => return Err(self.unwritable(&name, &error)),
            };
            if leaks {
                fs::remove_file(&path).map_err(|error| self.unwritable(&name, &error))?;
                leaked.push(name);
            }
        }
        Ok(leaked)
    }

    /// What this process wrote was masked then. Of what another process wrote, the drill's own JSON is judged value by
    /// value as well; everything else may be a child's, and neither its bytes nor its name may hold a secret.
    fn leaks(&self, name: &str, path: &Path) -> io::Result<bool> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = written.get(name)
            && *digest == digest::of_file(path)?
        {
            return Ok(false);
        }
        let ours = written.is_empty() && OURS.iter().any(|ours| name.rsplit('/').next() == Some(ours));
        if ours && let Ok(value) = serde_json::from_slice(&files::read_plain(path)?) {
            return Ok(masking::leaks(&self.redactor, &value));
        }
        let is_named_after_migration = name.starts_with("down/");
        let named = !is_named_after_migration && self.redactor.scan(name.as_bytes()).is_some();
        // A log may be large, and one at a time is enough in memory.
        Ok(named || self.redactor.scan_all(files::open_plain(path)?)?.is_some())
    }

    /// A new file. Its writer masks.
    pub fn create(&self, name: &str) -> Result<File> {
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
