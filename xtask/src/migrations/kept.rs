//! What was found in a throw-away database and is the same each time, kept for the program that found it: another one may judge otherwise.

use std::env;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files;

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    program: String,
    found: T,
}

/// What this program has kept there; None also where it cannot be read.
pub fn known<T: DeserializeOwned>(file: &Path) -> Option<T> {
    read(file, &program()?)
}

/// What cannot be kept is found again the next time.
pub fn keep<T: Serialize>(file: &Path, found: &T) {
    let Some(program) = program() else { return };
    if let Ok(bytes) = serde_json::to_vec(&Kept { program, found }) {
        files::keep(file, &bytes);
    }
}

fn read<T: DeserializeOwned>(file: &Path, program: &str) -> Option<T> {
    let kept: Kept<T> = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (kept.program == program).then_some(kept.found)
}

/// Size and age of the program's file: enough to tell two builds apart, and nothing is read for it.
fn program() -> Option<String> {
    let file = fs::metadata(env::current_exe().ok()?).ok()?;
    let age = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} bytes of {}", file.len(), age.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_program_found_or_nobody_can_read_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kept.json");
        assert_eq!(known::<u32>(&file), None);
        keep(&file, &7_u32);
        assert_eq!(known(&file), Some(7_u32));
        assert_eq!(read::<u32>(&file, "another"), None);
        assert_eq!(known::<String>(&file), None);
        fs::write(&file, &fs::read(&file).unwrap()[..20]).unwrap();
        assert_eq!(known::<u32>(&file), None);
    }
}
