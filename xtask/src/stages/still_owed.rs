//! What a reset that was cut short has not given back, and the command that brings it back.

use crate::error::Result;
use crate::hint::Hint;
use crate::postgres::counts::Counts;
use crate::rows::snapshot::Store;
use crate::schema::catalog::Catalog;
use crate::schema::dependents::Dependent;
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::owed::{Missing, Owed};
use crate::session::Session;
use crate::settings::Settings;
use crate::words::counted;

/// What to say where the schema is `now`; settles what is there again if the migrations are all applied, since one that is still to come may
/// make what had privileges.
///
/// # Errors
/// `failed` with the server's words; `blocked` when what was written down cannot be read.
pub fn notes(session: &Session<'_>, now: &Catalog, is_clean: bool) -> Result<Vec<String>> {
    let Some(owed) = Owed::read(session)? else { return Ok(Vec::new()) };
    let missing = owed.missing(session, now)?;
    if missing.is_empty() {
        if is_clean && owed.taken.validate.is_empty() {
            Owed::settle(session)?;
        }
        return Ok(Vec::new());
    }
    let mirror = missing.mirror.then(|| {
        let mirror = Hint::run("mirror").line(&session.settings.aim);
        format!("a reset that was cut short took the mirror, which is not back: {mirror}")
    });
    let rest = in_words(&missing).map(|words| {
        let command = way_back(session.settings).line(&session.settings.aim);
        format!("a reset that was cut short took what is not back ({words}): {command}")
    });
    Ok(mirror.into_iter().chain(rest).collect())
}

/// Whether a reset was cut short where another one takes nothing from anybody: it owes something, and no table has rows.
pub fn drop_again(session: &Session<'_>, counts: &Counts) -> bool {
    let is_empty = counts.iter().all(|(table, rows)| *rows == 0 || table.ends_with(LEDGER_TABLE));
    is_empty && Owed::read(session).is_ok_and(|owed| owed.is_some_and(|owed| owed.is_cut_short()))
}

/// All but the mirror; None where nothing else is missing.
pub fn in_words(missing: &Missing) -> Option<String> {
    let count = missing.privileges.len();
    let privileges = missing
        .privileges
        .first()
        .map(|first| format!("privileges, which take {} such as `{first}`", counted(count, "statement")));
    let words: Vec<String> = privileges.into_iter().chain(missing.dependents.iter().map(Dependent::in_words)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Where there is no snapshot, nothing but another reset gives back what the first one took.
pub fn way_back(settings: &Settings) -> Hint {
    match Store::of(settings).whole() {
        Ok(_) => Hint::run("restore --confirm"),
        Err(_) => Hint::run("reset --confirm --no-snapshot"),
    }
}
