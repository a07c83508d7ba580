//! What must hold of whatever psql prints in answer to the question for production's sizes; see `crate::fuzz`.

use super::production_sizes;
use crate::settings::Settings;

/// What is read as sizes can be written to `drill.toml` and read there; nothing else is.
pub fn production_sizes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(sizes) = production_sizes::read(&text) else { return };
    let lines = production_sizes::lines(&sizes);
    let mut names: Vec<&str> = lines.lines().filter_map(|line| line.split(" = ").next()).collect();
    let (all, ()) = (names.len(), names.sort_unstable());
    names.dedup();
    if names.len() == all {
        assert!(Settings::production_rows_in(&lines).is_some(), "{lines}");
    }
}
