//! The word that something may be lost, and the step that copies the rows before.

use crate::error::{DATA_LOSS, Failure, Refusal, Result};
use crate::hint::Hint;
use crate::migrations::losses::{Loss, schemas_of};
use crate::postgres::counts::Counts;
use crate::rows::snapshot::copy::{Keeping, keeping};
use crate::rows::snapshot::{Manifest, megabytes};
use crate::run::console::Console;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Step};
use crate::session::Session;
use crate::stages::database_copy::{copy_database, take_of};
use crate::words::counted;

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

/// Before something is lost: a copy of it, if it is not empty, and a last look that it has not grown. `who` is "the script takes away".
pub fn before_a_loss<A>(keep: Option<&Keep>, losses: &[Loss], who: &str, snapshot: A, again: A) -> Vec<Vec<Step<A>>> {
    let rows = losses.iter().filter(|loss| loss.values > 0).map(|loss| loss.rows).max().unwrap_or_default();
    let snapshot = keep.map(|keep| vec![keep.step(&format!("{rows} rows"), snapshot)]);
    let again = (!losses.is_empty()).then(|| {
        vec![Step {
            name: "count again",
            does: format!("count what {who} once more, just before"),
            failure: "more would be lost than the plan has shown",
            action: Action::Builtin(again),
        }]
    });
    snapshot.into_iter().chain(again).collect()
}

/// What is lost `now` is no more than the plan has shown `then`.
///
/// # Errors
/// `different`, naming what has grown.
pub fn no_more_than(then: &[Loss], now: &[Loss], who: &str, command: Hint) -> Result<String> {
    let is_shown = |now: &Loss| then.iter().any(|then| then.removal == now.removal && then.values >= now.values);
    match now.iter().find(|now| !is_shown(now)) {
        None => Ok(format!("{} that {who}: no more in any than in the plan", counted(then.len(), "place"))),
        Some(grown) => Err(Failure::different(format!("{} has grown since the plan was made", grown.place()))
            .because(grown.to_string())
            .hint(command.arg("--plan"))),
    }
}

/// What of the state before is kept, and as what.
pub struct Keep {
    /// The first is the datasource's.
    schemas: Vec<String>,
    keeping: Keeping,
}

impl Keep {
    /// Of `schemas`, as things are; reads only.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn of(session: &Session<'_>, schemas: Vec<String>) -> Result<Keep> {
        let names: Vec<&str> = schemas.iter().map(String::as_str).collect();
        Ok(Keep { keeping: keeping(session, &names)?, schemas })
    }

    /// Of where something of `losses` is, if there is anything and the user has said that it may go.
    ///
    /// # Errors
    /// As `of`.
    pub fn before(session: &Session<'_>, losses: &[Loss], accepted: bool) -> Result<Option<Keep>> {
        let lost = || losses.iter().filter(|loss| loss.values > 0);
        let takes_one = accepted && lost().any(|loss| loss.rows > 0);
        takes_one.then(|| Keep::of(session, schemas_of(&session.target.schemas(), lost()))).transpose()
    }

    /// Its schemas; none where nothing is kept.
    pub fn schemas(keep: Option<&Keep>) -> &[String] {
        keep.map(|keep| keep.schemas.as_slice()).unwrap_or_default()
    }

    /// The step that keeps `what`.
    pub fn step<A>(&self, what: &str, action: A) -> Step<A> {
        let files = format!("copy {what} to `.drill/snapshots`, from where `restore` puts them back");
        let does = match &self.keeping {
            Keeping::Files => files,
            Keeping::FilesBecause(why) => format!("{files} (not as a database of the same server: {why})"),
            Keeping::Database(bytes) => format!(
                "keep {what} for `restore` in a copy of the database, {}, on the same server, which lets nobody else in for that moment, and \
                 compare the two",
                megabytes(*bytes)
            ),
        };
        Step { name: "snapshot", does, failure: "no snapshot was taken", action: Action::Builtin(action) }
    }
}

/// Keeps the state before and names the snapshot in the record, so that whoever misses a row finds it. `rows` are those that the plan has
/// counted. Writers are not shut out: where one comes between a copy and the look at both, they differ, and files are written.
pub fn take_snapshot(
    session: &Session<'_>,
    journal: &Journal<'_>,
    reason: &str,
    keep: Option<&Keep>,
    rows: &Counts,
) -> Result<String> {
    let Keep { schemas, keeping } = keep.ok_or_else(|| Failure::bug("nothing is to be kept"))?;
    let schemas: Vec<&str> = schemas.iter().map(String::as_str).collect();
    let copy = copy_database(session, journal, keeping)?;
    let snapshot = take_of(session, journal, (reason, &schemas), copy, rows)?;
    let Manifest { created_at, catalog, database, .. } = &snapshot.manifest;
    let view = serde_json::json!({
        "name": snapshot.name, "created_at": created_at, "reason": reason, "folder": session.settings.shown(&snapshot.folder),
        "rows": snapshot.rows(), "catalog": catalog, "database": database,
    });
    let mut record = journal.record();
    record.outcome.extra.insert("snapshot".to_owned(), view);
    record.outcome.notes.push(format!("the rows from before are in the snapshot `{}`", snapshot.name));
    record.outcome.notes.extend(snapshot.pruning());
    Ok(format!("{} rows of {} tables in {}", snapshot.rows(), snapshot.manifest.tables.len(), snapshot.place()))
}
