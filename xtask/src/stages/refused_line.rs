//! At which line of a migration's script the server refused it, as far as that can be known: Prisma says it where the server points at a
//! place, and of a script that it sent statement by statement the schema shows which of them is the first that is not there.

use script::statements::{Version, split};

use crate::error::Failure;
use crate::migrations::database_state::DatabaseState;
use crate::schema::history::{History, Migration};
use crate::session::Session;
use crate::stages::halfway;
use crate::tools::prisma_error;

/// Names the migration that failed on the target, with its line and what stands there.
pub fn named(session: &Session<'_>, failure: Failure, history: &History, after: &DatabaseState) -> Failure {
    let Some(failed) = after.standing.failed.first().filter(|_| failure.place.is_none()) else { return failure };
    let Some(migration) = history.migrations.iter().find(|migration| migration.name == *failed) else { return failure };
    let line = said(&failure, migration).or_else(|| only(session, migration));
    let line = line.or_else(|| shown(session, history, after, failed));
    failure.at(failed, &migration.sql, line)
}

/// What Prisma quotes, where the script has that at that line: it may have counted from the statement's own first line.
fn said(failure: &Failure, migration: &Migration) -> Option<usize> {
    let quoted: Vec<String> = failure.causes().collect();
    let (line, sql) = quoted.iter().find_map(|cause| prisma_error::quoted_line(cause))?;
    let there = migration.sql.lines(line, 1).ok()?;
    (there.first()?.trim() == sql).then_some(line)
}

/// Of a script of one statement it is that one.
fn only(session: &Session<'_>, migration: &Migration) -> Option<usize> {
    let release = Version::of(&session.toolbox.prisma.version);
    let script = split(&migration.sql, release).ok()?;
    let is_one = script.len() == 1 && release.splits() && script.whole_because.is_none();
    is_one.then(|| script.statements().next()?.ok()).flatten().map(|only| only.line)
}

/// Nobody waits for that who has asked to stop.
fn shown(session: &Session<'_>, history: &History, after: &DatabaseState, failed: &str) -> Option<usize> {
    session.interrupt.check().ok()?;
    halfway::of(session, history, &after.standing, failed, &after.catalog).ok()??.next_line()
}
