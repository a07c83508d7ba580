//! The word that something may be lost, and the step that copies the rows before.

use crate::error::{DATA_LOSS, Failure, Refusal, Result};
use crate::hint::Hint;
use crate::postgres::counts::Counts;
use crate::rows::snapshot;
use crate::run::console::Console;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Step};
use crate::session::Session;

/// Shows what would be lost, and refuses to lose it unless the user has said that it may go.
pub fn consent_to_loss(
    session: &Session<'_>,
    deed: &str,
    losses: &[String],
    accepted: bool,
    command: Hint,
    console: &Console,
) -> Result<()> {
    if losses.is_empty() {
        return Ok(());
    }
    console.say("What would be lost:");
    losses.iter().for_each(|loss| console.say(format!("  {loss}")));
    if accepted {
        return Ok(());
    }
    let refusal =
        |loss: &String| Refusal::new(DATA_LOSS, loss.clone(), "add --accept-data-loss: a snapshot is taken first");
    Err(Failure::refused(&session.settings.target.name, losses.iter().map(refusal).collect())
        .message(format!("{deed} would lose data, and `--accept-data-loss` was not given"))
        .note("`--plan` shows the scripts, and `--accept-data-loss` takes a snapshot and goes on")
        .hint(command.arg("--plan")))
}

pub fn snapshot_step<A>(may_lose: bool, rows: u64, action: A) -> Option<Vec<Step<A>>> {
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

/// Copies `schemas`, of which the first is the datasource's, and names the snapshot in the record, so that whoever misses a row finds
/// it. `rows` are those that the plan has counted.
pub fn take_snapshot(
    session: &Session<'_>,
    journal: &Journal<'_>,
    reason: &str,
    schemas: &[String],
    rows: &Counts,
) -> Result<String> {
    let schemas: Vec<&str> = schemas.iter().map(String::as_str).collect();
    let snapshot = snapshot::take_of(session, reason, &schemas, rows)?;
    let view =
        serde_json::json!({ "name": snapshot.name, "created_at": snapshot.manifest.created_at, "reason": reason });
    let mut record = journal.record();
    record.outcome.extra.insert("snapshot".to_owned(), view);
    record.outcome.notes.push(format!("the rows from before are in the snapshot `{}`", snapshot.name));
    record.outcome.notes.extend(snapshot.pruning());
    Ok(format!("{} rows of {} tables in `{}`", snapshot.rows(), snapshot.manifest.tables.len(), snapshot.name))
}
