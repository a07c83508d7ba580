//! A rehearsal of the way back is the same each time: history, scripts and server decide it. So it is kept in `.drill/rehearsals`.

use std::path::PathBuf;

use crate::digest::sha256;
use crate::error::Result;
use crate::migrations::down::Down;
use crate::migrations::kept;
use crate::migrations::rehearsed::Rehearsal;
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::replay::cache_key;
use crate::session::Session;

/// What was found when `downs` were last rehearsed on `history`, by this program.
///
/// # Errors
/// As `platform::as_prisma`.
pub fn known(session: &Session<'_>, history: &History, downs: &[Down]) -> Result<Option<Rehearsal>> {
    Ok(kept::known(&kept_as(session, history, downs)?))
}

/// Keeps a rehearsal that went to its end.
///
/// # Errors
/// As `platform::as_prisma`.
pub fn keep(session: &Session<'_>, history: &History, downs: &[Down], rehearsal: &Rehearsal) -> Result<()> {
    let file = kept_as(session, history, downs)?;
    if rehearsal.had_rows {
        kept::keep(&file, rehearsal);
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
