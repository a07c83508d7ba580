//! Drops copies: those that the rule of snapshots no longer keeps, and one that is not what the target was. Only with our mark, and never with
//! somebody in it.

use postgres_protocol::escape::escape_identifier;

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::snapshot::copy::mark::{Found, Mark};
use crate::rows::snapshot::{Copy, Origin, Snapshot, Store};
use crate::schema::owed::Owed;
use crate::session::Session;

/// Drops the copy with that number, where it is there and is it.
///
/// # Errors
/// `failed` with the server's words.
pub fn forget(connection: &mut Connection, name: &str, id: &str, oid: Option<u32>) -> Result<()> {
    match Found::look(connection, name)? {
        Some(found) if found.doubt(id, oid).is_none() => drop_database(connection, name),
        _ => Ok(()),
    }
}

fn drop_database(connection: &mut Connection, name: &str) -> Result<()> {
    let sql = format!("drop database {}", escape_identifier(name));
    connection.client().batch_execute(&sql).could_not(&format!("drop the copy `{name}`"))
}

/// Drops the copy that `snapshot` is, with its record; whoever does has found every row of it in the target.
///
/// # Errors
/// `failed` with the server's words, or where the record cannot be removed.
pub fn drop_needless(session: &Session<'_>, snapshot: &Snapshot) -> Result<()> {
    if let Some(copy) = &snapshot.manifest.database {
        forget(&mut session.connect()?, &copy.name, &copy.id, Some(copy.oid))?;
    }
    Store::of(session.settings).forget(&snapshot.name)
}

/// Drops what killed runs had begun to copy, marked or not yet: its random name was written down before it was made.
///
/// # Errors
/// `failed` with the server's words.
pub fn clear_begun(session: &Session<'_>, connection: &mut Connection) -> Result<()> {
    let store = Store::of(session.settings);
    for (name, begun) in store.begun()? {
        if Found::look(connection, &begun.database)?.is_some_and(|found| found.is_begun(&begun.id)) {
            drop_database(connection, &begun.database)?;
            store.forget(&name)?;
        }
    }
    Ok(())
}

/// Copies of the target that no record here knows: nobody would ever put them back, or drop them.
fn unknown(session: &Session<'_>) -> Result<Vec<String>> {
    let known: Vec<String> = Store::of(session.settings).databases()?;
    let here = Origin::of(session);
    let is_of_here = |mark: &Mark| {
        mark.of == here.database && (mark.of_oid == here.database_oid || here.before.contains(&mark.of_oid))
    };
    let found = Mark::all(&mut session.connect()?)?.into_iter();
    let unknown = found.filter(|(_, mark)| is_of_here(mark) && !known.contains(&mark.id));
    let line = |(name, _)| {
        format!(
            "the database `{name}` is a copy of this one too: of another checkout, or its record is gone; whoever needs it no more drops it"
        )
    };
    Ok(unknown.map(line).collect())
}

/// Removes what the rule no longer keeps at the time of `newest`, with its databases, and notes it there. A copy that cannot be dropped
/// stays, and so does its record. While a reset that was cut short owes something, nothing goes: an old one may be what is to be put back.
///
/// # Errors
/// `failed` when a folder cannot be removed; `blocked` when what is owed cannot be read.
pub fn prune(session: &Session<'_>, newest: &mut Snapshot) -> Result<()> {
    if Owed::read(session)?.is_some_and(|owed| owed.is_cut_short()) {
        return Ok(());
    }
    let mut kept = Vec::new();
    let dropped = |copy: &Copy| {
        let forgotten = session.connect().and_then(|mut one| forget(&mut one, &copy.name, &copy.id, Some(copy.oid)));
        let is_gone = forgotten.is_ok();
        kept.extend(forgotten.err().map(|failure| format!("an old copy stays: {}", failure.message)));
        is_gone
    };
    newest.pruned = Store::of(session.settings).prune(newest.manifest.created_at, dropped)?;
    kept.extend(unknown(session)?);
    newest.kept = kept;
    Ok(())
}
