//! The order of the runs in an evidence folder: each one names, by digest, the run that was closed before it.
//!
//! A record gets its place when it is closed, under a lock: only then is the digest of the one before it final. Two
//! branches that are merged have two ends; the next run follows both, and names the others as `merged`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::evidence::anchors::anchored;
use crate::evidence::lock;
use crate::evidence::past::{Past, State, read_links};
use crate::evidence::record::{Link, Previous};

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
        let mut ends: Vec<_> = ends(&self.runs()?)
            .into_iter()
            .filter_map(|past| {
                let closed_at = past.link.as_ref()?.closed_at()?.to_owned();
                Some((closed_at, Previous { run: past.name.clone(), sha256: past.sha256.clone()? }))
            })
            .collect();
        ends.sort_by(|(at, end), (other_at, other)| (at, &end.run).cmp(&(other_at, &other.run)));
        let mut ends = ends.into_iter().map(|(_, end)| end).rev();
        Ok((ends.next(), ends.collect()))
    }

    /// With their links, and with all of those that are ends.
    fn runs(&self) -> io::Result<Vec<Past>> {
        let mut runs = read_links(&self.dir)?;
        let seen = |past: &Past| past.record.is_some();
        loop {
            let unseen: Vec<String> =
                ends(&runs).into_iter().filter(|past| !seen(past)).map(|past| past.name.clone()).collect();
            if unseen.is_empty() {
                return Ok(runs);
            }
            for past in runs.iter_mut().filter(|past| unseen.contains(&past.name)) {
                *past = Past::read(&self.dir, &past.name);
            }
        }
    }
}

/// The closed runs that no closed run follows. What an anchor names was followed, by a run that may be gone.
pub fn ends(runs: &[Past]) -> Vec<&Past> {
    let closed = || runs.iter().filter(|past| past.state == State::Closed);
    let links = closed().filter_map(|past| past.link.as_ref());
    let followed: std::collections::BTreeSet<&str> =
        links.flat_map(Link::followed).map(|previous| previous.run.as_str()).collect();
    let pruned = anchored(runs);
    closed().filter(|past| !followed.contains(past.name.as_str()) && !pruned.contains_key(past.name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::record::{RECORD, Record};

    #[test]
    fn a_run_of_which_no_more_than_the_link_can_be_read_is_no_end_and_neither_is_one_that_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let name = |number: usize| format!("20261123T01193{number}Z-claim-aaa000");
        let write = |number: usize, changes: Value| {
            let mut record = json!(Record::of(json!({
                "finished_at": format!("2026-11-23T01:19:4{number}Z"),
                "previous": (number > 1).then(|| json!({"run": name(number - 1), "sha256": ""})),
            })));
            record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            fs::create_dir_all(dir.path().join(name(number))).unwrap();
            fs::write(dir.path().join(name(number)).join(RECORD), record.to_string()).unwrap();
        };
        let ends = || {
            let (newest, others) = Chain::lock(dir.path()).unwrap().ends().unwrap();
            newest.into_iter().chain(others).map(|end| end.run).collect::<Vec<_>>()
        };
        assert_eq!(ends(), [""; 0]);
        (1..=4).for_each(|number| write(number, json!({})));
        assert_eq!(ends(), [name(4)]);
        write(4, json!({"stages": 7}));
        assert_eq!(ends(), [name(3)]);
        write(3, json!({"files": 7}));
        assert_eq!(ends(), [name(2)]);
        write(4, json!({"merged": [{"run": name(1), "sha256": ""}]}));
        assert_eq!(ends(), [name(4)]);
    }
}
