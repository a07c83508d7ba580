//! The step that keeps the state before as a database where that is possible, and in files everywhere else.

use crate::error::{Failure, Result};
use crate::postgres::counts::Counts;
use crate::rows::snapshot::copy::{Keeping, Kept, keep, seal};
use crate::rows::snapshot::{self, Snapshot};
use crate::run::journal::Journal;
use crate::session::Session;

/// Copies the target; None where it is to be kept in files, which is said where it was meant to be otherwise.
///
/// # Errors
/// `failed` where the server does not answer; `interrupted`.
pub fn copy_database(session: &Session<'_>, journal: &Journal<'_>, keeping: &Keeping) -> Result<Option<Kept>> {
    match keeping {
        Keeping::Files => Ok(None),
        Keeping::FilesBecause(why) => {
            note(journal, why);
            Ok(None)
        }
        Keeping::Database(_) => {
            // The lock of the run lives in that session: nothing else of the run may be in the database meanwhile.
            let lock = journal.run_lock().ok_or_else(|| Failure::bug("a run that destroys has no lock"))?;
            match lock.with(|staying| keep(session, staying))? {
                Ok(kept) => Ok(Some(kept)),
                Err(why) => {
                    note(journal, &why);
                    Ok(None)
                }
            }
        }
    }
}

/// As `take_of`, of the project's schemas.
///
/// # Errors
/// As `take_of`.
pub fn take(
    session: &Session<'_>,
    journal: &Journal<'_>,
    reason: &str,
    copy: Option<Kept>,
    rows: &Counts,
) -> Result<Snapshot> {
    take_of(session, journal, (reason, &session.target.schemas()), copy, rows)
}

/// The snapshot of `schemas` for the command `reason`: of the copy where it is what the tables hold, else in files.
///
/// # Errors
/// As `snapshot::take_of`.
pub fn take_of(
    session: &Session<'_>,
    journal: &Journal<'_>,
    (reason, schemas): (&str, &[&str]),
    copy: Option<Kept>,
    rows: &Counts,
) -> Result<Snapshot> {
    if let Some(copy) = copy {
        match seal(session, copy, schemas, reason)? {
            Ok(snapshot) => return Ok(snapshot),
            Err(what) => note(journal, &what),
        }
    }
    snapshot::take_of(session, reason, schemas, rows)
}

/// Takes a copy back that nobody will need, and says what is left of it.
pub fn discard(session: &Session<'_>, copy: Option<Kept>, failure: Failure) -> Failure {
    let Some(copy) = copy else { return failure };
    let name = copy.made.name.clone();
    match copy.discard(session) {
        Ok(()) => failure,
        Err(_) => failure.note(format!("the database `{name}` is a copy that was not needed; it may be dropped")),
    }
}

fn note(journal: &Journal<'_>, why: &str) {
    let note = format!("the state before is kept in files and not as a database of the same server: {why}");
    journal.console.say(format!("  note: {note}"));
    journal.record().outcome.notes.push(note);
}
