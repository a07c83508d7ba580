//! Where a drill keeps the sums of what was in each column, for the one that is resumed. They are not evidence, and for their owner alone: who has one
//! of a short value can guess that. They go with the drill that went through, and with a run that is pruned.

use std::fs;
use std::path::PathBuf;

use crate::settings::Settings;

pub fn values_of(settings: &Settings, run: &str) -> PathBuf {
    settings.private_dir().join("values").join(format!("{run}.json"))
}

/// Most runs have none.
pub fn forget(settings: &Settings, run: &str) {
    let _ = fs::remove_file(values_of(settings, run));
}
