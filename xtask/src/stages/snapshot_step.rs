//! The step that copies the rows before anything may lose them.

use crate::error::Result;
use crate::postgres::counts::Counts;
use crate::rows::snapshot;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Step};
use crate::session::Session;

pub fn snapshot_step<A>(may_lose: bool, counts: &Counts, action: A) -> Option<Vec<Step<A>>> {
    let rows: u64 = counts.values().sum();
    (may_lose && rows > 0).then(|| vec![snapshot(format!("{rows} rows"), action)])
}

pub fn snapshot<A>(what: String, action: A) -> Step<A> {
    Step {
        name: "snapshot",
        does: format!("copy {what} to `.drill/snapshots`, from where `restore` puts them back"),
        failure: "no snapshot was taken",
        action: Action::Builtin(action),
    }
}

/// Names the snapshot in the record, so that whoever misses a row finds it.
pub fn take_snapshot(session: &Session<'_>, journal: &Journal<'_>) -> Result<String> {
    let snapshot = snapshot::take(session, "backward")?;
    let view = serde_json::json!({ "name": snapshot.name, "created_at": snapshot.manifest.created_at });
    let mut record = journal.record();
    record.outcome.extra.insert("snapshot".to_owned(), view);
    record.outcome.notes.push(format!("the rows from before are in the snapshot `{}`", snapshot.name));
    record.outcome.notes.extend(snapshot.pruning());
    Ok(format!("{} rows of {} tables in `{}`", snapshot.rows(), snapshot.manifest.tables.len(), snapshot.name))
}
