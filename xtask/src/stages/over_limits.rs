//! The limits of `drill.toml`, held against what the migrations did beside rows.

use crate::error::{Failure, Result};
use crate::evidence::impact::Impact;
use crate::evidence::limits::OverLimit;
use crate::migrations::impact::ROWS;
use crate::migrations::impact::limits::Check;
use crate::run::journal::Journal;
use crate::schema::history::Migration;
use crate::session::Session;

/// None where drill.toml has no limit. What is accepted is told, and what is not is the failure.
///
/// # Errors
/// `different` where a statement goes over a limit, and nobody has accepted it.
pub fn check(
    session: &Session<'_>,
    journal: &Journal<'_>,
    migrations: &[Migration],
    impacts: &[Impact],
    holds_rows: &dyn Fn(&str) -> bool,
) -> Result<Option<String>> {
    let settings = session.settings;
    if !settings.limits.are_set() {
        return Ok(None);
    }
    let folder = settings.shown(&settings.prisma.migrations);
    let check = Check { limits: &settings.limits, rows: ROWS, holds_rows, folder: &folder };
    let verdict = check.all(migrations, impacts)?;
    let accepted = verdict.over.iter().filter(|one| one.accepted.is_some());
    accepted.for_each(|one| journal.console.say(format!("  {}", one.in_words())));
    verdict.notes.iter().for_each(|note| journal.console.say(format!("  note: {note}")));
    let mut record = journal.record();
    record.outcome.limits.clone_from(&verdict.over);
    record.outcome.add_notes(&verdict.notes);
    drop(record);
    let over: Vec<&OverLimit> = verdict.not_accepted().collect();
    if over.is_empty() { Ok(Some(verdict.in_words())) } else { Err(too_much(&over)) }
}

fn too_much(over: &[&OverLimit]) -> Failure {
    let mut keys: Vec<String> = over.iter().map(|one| one.limit.replace('_', "-")).collect();
    keys.sort();
    keys.dedup();
    Failure::different("the migrations go over the limits of drill.toml")
        .because_all(over.iter().map(|one| one.in_words()))
        .hint(format!(
            "write that statement so that it is less in the way (docs/impact.md), or accept it with a line above it: \
             `-- drill-accept: {} because REASON`",
            keys.join(", ")
        ))
}

/// A limit that was not looked at is not kept.
pub fn cannot_be_checked(failure: Failure) -> Failure {
    Failure::blocked("the limits of drill.toml cannot be checked, since what the migrations do was not measured")
        .because_of(failure)
        .note("nothing was changed")
}
