//! The order of the runs in an evidence folder: each one names, by digest, the run that was closed before it.
//!
//! A record gets its place when it is closed, under a lock: only then is the digest of the one before it final. Two
//! branches that are merged have two ends; the next run follows both, and names the others as `merged`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::evidence::anchors::anchored;
use crate::evidence::lock;
use crate::evidence::past::{Past, State, read_all};
use crate::evidence::record::{Previous, Record};

/// The chain while one run is closed; everybody else who wants to close one waits.
#[derive(Debug)]
pub struct Chain {
    dir: PathBuf,
    _lock: Option<File>,
}

impl Chain {
    /// # Errors
    /// The folder cannot be opened.
    pub fn lock(dir: &Path) -> io::Result<Chain> {
        Ok(Chain { dir: dir.to_path_buf(), _lock: lock::take(dir)? })
    }

    /// The newest closed run, and the other ends of the chain, where branches were merged.
    ///
    /// # Errors
    /// The folder cannot be read. A run that cannot be read is not an end: it must not be vouched for as it is now.
    pub fn ends(&self) -> io::Result<(Option<Previous>, Vec<Previous>)> {
        let mut ends: Vec<_> = ends(&read_all(&self.dir)?)
            .into_iter()
            .filter_map(|past| {
                let closed_at = past.record.as_ref()?.closed_at()?.to_owned();
                Some((closed_at, Previous { run: past.name.clone(), sha256: past.sha256.clone()? }))
            })
            .collect();
        ends.sort_by(|(at, end), (other_at, other)| (at, &end.run).cmp(&(other_at, &other.run)));
        let mut ends = ends.into_iter().map(|(_, end)| end).rev();
        Ok((ends.next(), ends.collect()))
    }
}

/// The closed runs that no closed run follows. What an anchor names was followed, by a run that may be gone.
pub fn ends(runs: &[Past]) -> Vec<&Past> {
    let closed = || runs.iter().filter(|past| past.state == State::Closed);
    let records = closed().filter_map(|past| past.record.as_ref());
    let followed: std::collections::BTreeSet<&str> =
        records.flat_map(Record::followed).map(|previous| previous.run.as_str()).collect();
    let pruned = anchored(runs);
    closed().filter(|past| !followed.contains(past.name.as_str()) && !pruned.contains_key(past.name.as_str())).collect()
}
