//! Which database had the target's name before: a restore gives it to another one, and what was taken of the one before is still the target's.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{OrFail, Result};
use crate::files;
use crate::settings::Settings;

const FILE: &str = "successions.json";

/// `to` was given the name of `from`, or was about to be; both are OIDs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession {
    pub system_identifier: Option<String>,
    pub from: u32,
    pub to: u32,
}

/// Where the snapshots of the target lie.
pub fn folder(settings: &Settings) -> PathBuf {
    // A target's name is a key of drill.toml and may hold anything.
    let name = settings.target.name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_', "_");
    settings.private_dir().join("snapshots").join(name)
}

/// Written before it happens: where it does not, no database with that OID is ever met under the target's name.
///
/// # Errors
/// `blocked` when the folder cannot be written to.
pub fn note(settings: &Settings, succession: Succession) -> Result<()> {
    let mut all = read(settings);
    if all.contains(&succession) {
        return Ok(());
    }
    all.push(succession);
    let path = folder(settings).join(FILE);
    let unwritable = || format!("cannot write `{}`", settings.shown(&path));
    let text = serde_json::to_vec_pretty(&all).bug("numbers cannot be written as JSON")?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder(settings)).blocked(unwritable)?;
    files::replace_private(&path, &text).blocked(unwritable)
}

/// The OIDs of all databases that came before `oid`. A file that cannot be read says nothing: what was taken of them is refused then.
pub fn before(settings: &Settings, system_identifier: Option<&str>, oid: u32) -> BTreeSet<u32> {
    let all = read(settings);
    let mut found = BTreeSet::new();
    let mut next = vec![oid];
    while let Some(oid) = next.pop() {
        let here = |one: &&Succession| one.to == oid && one.system_identifier.as_deref() == system_identifier;
        next.extend(all.iter().filter(here).map(|one| one.from).filter(|from| found.insert(*from)));
    }
    found
}

fn read(settings: &Settings) -> Vec<Succession> {
    let text = fs::read(folder(settings).join(FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
