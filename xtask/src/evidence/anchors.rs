//! Runs that were taken away and are accounted for: the anchors name each of them, with the digest of its record.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::evidence::past::Past;
use crate::evidence::record::{Link, Pruned};

/// Before the name of a run that is being removed. Hidden files are no part of the evidence.
pub const GOING: &str = ".pruned-";

/// A run as its anchor names it.
pub struct Anchored<'a> {
    pub by: &'a Past,
    pub sha256: &'a str,
}

/// All of them, by their names.
pub fn anchored(runs: &[Past]) -> BTreeMap<&str, Anchored<'_>> {
    let anchors = runs.iter().filter(|past| past.is_anchor());
    let mut named = BTreeMap::new();
    for by in anchors {
        named.extend(named_by(by).iter().map(|Pruned { run, sha256, .. }| (run.as_str(), Anchored { by, sha256 })));
    }
    named
}

fn named_by(anchor: &Past) -> &[Pruned] {
    anchor.link.as_ref().map_or(&[], |link| &link.pruned)
}

/// Folders that a prune was about to remove when it was ended.
pub fn hidden(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_going = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(GOING);
    entries.filter(is_going).map(|entry| entry.path()).collect()
}

/// Where the chain begins anew, and what an interrupted prune has left to do.
pub fn notes(runs: &[Past], dir: &Path) -> Vec<String> {
    let mut notes = Vec::new();
    for anchor in runs.iter().filter(|past| past.is_anchor()) {
        let (count, name) = (named_by(anchor).len(), &anchor.name);
        let at = anchor.link.as_ref().and_then(Link::closed_at).unwrap_or("its end");
        let were = if count == 1 { "1 run that was" } else { &format!("{count} runs that were") };
        notes.push(format!(
            "the chain begins after {were} pruned at {at}: `{name}` names each with its digest; nobody vouches for the words of their entries any more"
        ));
    }
    let named = anchored(runs);
    let there = runs.iter().filter(|past| named.contains_key(past.name.as_str())).count();
    let left = there + hidden(dir).len();
    if left > 0 {
        let runs =
            if left == 1 { "1 run is still there that was" } else { &format!("{left} runs are still there that were") };
        notes.push(format!("{runs} to be pruned; another `evidence prune` removes what is left"));
    }
    notes
}
