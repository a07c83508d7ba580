//! What is made of a record once it is closed, and so cannot be part of it: the signature, and the entry for people.

use std::path::Path;

use crate::error::{OrFail, Result};

use crate::digest::sha256;
use crate::evidence::feedback;
use crate::evidence::record::RECORD;
use crate::evidence::record::Record;
use crate::evidence::signature;
use crate::files::read_plain;
use crate::settings::Settings;

/// Seals runs, in this order. `file` is the feedback file that gets the entries, if any
/// does.
///
/// # Errors
/// `failed` when something could not be made; the rest is made all the same. Warnings are in the `Ok` otherwise.
pub fn seal<'a>(
    settings: &Settings,
    folders: impl Iterator<Item = &'a Path>,
    file: Option<&Path>,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mut result = Ok(());
    for folder in folders {
        match seal_one(settings, folder, file) {
            Ok(warning) => warnings.extend(warning),
            Err(failure) => result = result.and(Err(failure)),
        }
    }
    result.map(|()| warnings)
}

fn seal_one(settings: &Settings, folder: &Path, file: Option<&Path>) -> Result<Option<String>> {
    let unreadable = || format!("cannot read `{}`", settings.shown(&folder.join(RECORD)));
    let bytes = read_plain(&folder.join(RECORD)).failed(unreadable)?;
    let record: Record = serde_json::from_slice(&bytes).failed(unreadable)?;
    if record.outcome.status == "running" {
        // It could not be closed, which is a failure of its own; the next run will try.
        return Ok(None);
    }
    let signed = signature::sign(settings, folder);
    let shown = |path: &Path| settings.shown(path);
    let added = file.map_or(Ok(None), |file| feedback::add(file, &record, &sha256(&bytes), folder, shown));
    match (signed, added) {
        (Ok(()), added) => added,
        (Err(failure), Ok(warning)) => Err(failure.because_all(warning)),
        (Err(failure), Err(other)) => Err(failure.because_of(other)),
    }
}
