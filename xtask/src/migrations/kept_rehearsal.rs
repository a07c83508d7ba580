//! A rehearsal is the same each time: history, scripts and server decide it. So it is kept in `.drill/rehearsals`, for the program that
//! made it: another one may judge otherwise.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::error::Result;
use crate::files;
use crate::migrations::down::Down;
use crate::migrations::rehearsal::Rehearsal;
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::replay::cache_key;
use crate::session::Session;

#[derive(Serialize, Deserialize)]
struct Kept<R> {
    program: String,
    rehearsal: R,
}

/// What was found when `downs` were last rehearsed on `history`, by this program.
///
/// # Errors
/// As `platform::as_prisma`.
pub fn known(session: &Session<'_>, history: &History, downs: &[Down]) -> Result<Option<Rehearsal>> {
    let file = kept_as(session, history, downs)?;
    Ok(program().and_then(|program| read(&file, &program)))
}

fn read(file: &Path, program: &str) -> Option<Rehearsal> {
    let kept: Kept<Rehearsal> = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (kept.program == program).then_some(kept.rehearsal)
}

/// Keeps a rehearsal that went to its end. One that cannot be kept is made again the next time.
///
/// # Errors
/// As `platform::as_prisma`.
pub fn keep(session: &Session<'_>, history: &History, downs: &[Down], rehearsal: &Rehearsal) -> Result<()> {
    let file = kept_as(session, history, downs)?;
    if let Some(program) = program().filter(|_| rehearsal.had_rows)
        && let Ok(bytes) = serde_json::to_vec(&Kept { program, rehearsal })
    {
        files::keep(&file, &bytes);
    }
    Ok(())
}

fn kept_as(session: &Session<'_>, history: &History, downs: &[Down]) -> Result<PathBuf> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let scripts: String = downs.iter().map(|down| format!("\n{} {}", down.migration, down.sha256())).collect();
    let key = sha256(cache_key(&history.digest(), session.identity.major_version(), prisma) + &scripts);
    Ok(session.settings.private_dir().join("rehearsals").join(format!("{key}.json")))
}

/// Size and age of the program's file: enough to tell two builds apart, and nothing is read for it.
fn program() -> Option<String> {
    let file = fs::metadata(env::current_exe().ok()?).ok()?;
    let age = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} bytes of {}", file.len(), age.as_nanos()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::schema::catalog::Catalog;

    #[test]
    fn what_another_program_found_or_nobody_can_read_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kept.json");
        assert!(read(&file, "this").is_none());
        let start = Catalog { schemas: vec!["public".to_owned()], objects: BTreeMap::new(), major: 17 };
        let rehearsal = Rehearsal { start, rehearsed: Vec::new(), had_rows: true };
        let kept = serde_json::to_string(&Kept { program: "this".to_owned(), rehearsal }).unwrap();
        fs::write(&file, &kept).unwrap();
        assert!(read(&file, "this").is_some());
        assert!(read(&file, "another").is_none());
        fs::write(&file, &kept[..kept.len() / 2]).unwrap();
        assert!(read(&file, "this").is_none());
    }
}
