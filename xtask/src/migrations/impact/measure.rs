//! A migration sent as Prisma sends it, but for a look before each transaction ends.

use std::collections::BTreeSet;
use std::time::Instant;

use postgres::error::SqlState;
use script::statements::{Statement, Version, split};

use crate::error::Result;
use crate::evidence::impact::Impact;
use crate::migrations::impact::probe::{Probe, There};
use crate::postgres::connection::Connection;
use crate::schema::history::Migration;
use crate::schema::replay::{AsPrisma, Refused, apply_with};

/// Letters of a statement that are shown.
const SHOWN: usize = 120;

const OUTSIDE: &str =
    "it cannot run in a transaction, and outside of one nothing can be looked at before its locks are gone";

/// Applies `migration`, and says what each of its statements did.
///
/// # Errors
/// As `replay::try_to_apply`.
pub fn apply_measured(
    connection: &mut Connection,
    migration: &Migration,
    prisma: AsPrisma<'_>,
) -> Result<Vec<Impact>, Box<Refused>> {
    apply_timed(connection, migration, prisma, None)
}

/// How often a statement that leaves nothing behind when it is rolled back is tried at least, and at most where that takes no longer than
/// this, in milliseconds.
const TRIES: usize = 3;
const MOST_TRIES: usize = 20;
const MORE_TRIES_MS: f64 = 100.0;

/// Statements whose time counts.
pub struct Timed {
    /// The lines of those that are tried several times, of which the fastest counts: what else the machine does makes none faster.
    pub again: BTreeSet<usize>,
    /// Nothing goes on for longer.
    pub until: Instant,
}

/// As `apply_measured`, and with a limit on each statement.
///
/// # Errors
/// As `replay::try_to_apply`.
pub fn apply_timed(
    connection: &mut Connection,
    migration: &Migration,
    prisma: AsPrisma<'_>,
    timed: Option<&Timed>,
) -> Result<Vec<Impact>, Box<Refused>> {
    let mut watch = Watch { timed, ..Watch::default() };
    apply_with(connection, migration, prisma, |connection, statement| {
        let parts = split(statement.text, Version::NEWEST).statements;
        match parts.as_slice() {
            [] | [_] => watch.alone(connection, statement),
            // One request is one transaction, in which Postgres refuses such a statement. It has to say so here, too.
            parts if parts.iter().any(|part| part.nature.outside) => watch.unseen(connection, statement),
            // The file goes as one; its statements are still told apart.
            parts => watch.as_one(connection, parts),
        }
    })?;
    for impact in &mut watch.found {
        impact.migration.clone_from(&migration.name);
    }
    Ok(watch.found)
}

#[derive(Default)]
pub(super) struct Watch<'a> {
    pub(super) found: Vec<Impact>,
    timed: Option<&'a Timed>,
    /// Where the transaction that is open began, in `found`.
    since: usize,
    in_block: bool,
    /// The last look; None where something was done that no lock tells of.
    pub(super) probe: Option<Probe>,
    there: Option<There>,
}

pub(super) type Sent = std::result::Result<(), postgres::Error>;

impl Watch<'_> {
    /// A statement that is a request of its own.
    pub(super) fn alone(&mut self, connection: &mut Connection, statement: &Statement<'_>) -> Result<Sent> {
        let was_in_block = std::mem::replace(&mut self.in_block, statement.nature.in_block);
        if statement.nature.outside {
            return self.unseen(connection, statement);
        }
        match (was_in_block, self.in_block) {
            (true, true) => self.seen(connection, statement),
            (false, false) => self.in_transaction(connection, statement),
            _ => {
                (self.since, self.probe) = (self.found.len(), None);
                Ok(connection.client().batch_execute(statement.text))
            }
        }
    }

    fn in_transaction(&mut self, connection: &mut Connection, statement: &Statement<'_>) -> Result<Sent> {
        self.since = self.found.len();
        if let Err(error) = connection.client().batch_execute("begin") {
            return Ok(Err(error));
        }
        let sent = self.seen(connection, statement)?;
        match sent {
            Ok(()) => Ok(connection.client().batch_execute("commit")),
            Err(error) => {
                let _ = connection.client().batch_execute("rollback");
                match error.code() {
                    Some(&SqlState::ACTIVE_SQL_TRANSACTION) => self.unseen(connection, statement),
                    _ => Ok(Err(error)),
                }
            }
        }
    }

    /// Statements that Postgres takes as one request, and so as one transaction, unless one of them ends it.
    fn as_one(&mut self, connection: &mut Connection, parts: &[Statement<'_>]) -> Result<Sent> {
        self.since = self.found.len();
        let own = parts.iter().any(|part| part.nature.in_block);
        let begin = if own { "" } else { "begin" };
        if let Err(error) = connection.client().batch_execute(begin) {
            return Ok(Err(error));
        }
        for part in parts {
            let sent = if own { self.alone(connection, part)? } else { self.seen(connection, part)? };
            if let Err(error) = sent {
                let _ = connection.client().batch_execute("rollback");
                return Ok(Err(error));
            }
        }
        Ok(connection.client().batch_execute(if own { "" } else { "commit" }))
    }

    fn unseen(&mut self, connection: &mut Connection, statement: &Statement<'_>) -> Result<Sent> {
        let begun = Instant::now();
        self.probe = None;
        let sent = connection.client().batch_execute(statement.text);
        let unmeasured = Some(OUTSIDE.to_owned());
        self.found.push(Impact { unmeasured, ms: milliseconds(begun), ..described(statement) });
        Ok(sent)
    }

    fn fastest(
        &self,
        connection: &mut Connection,
        statement: &Statement<'_>,
    ) -> std::result::Result<f64, postgres::Error> {
        let Some(timed) = self.timed else { return sent(connection, statement) };
        let left = timed.until.saturating_duration_since(Instant::now()).as_millis().max(1);
        connection.client().batch_execute(&format!("set local statement_timeout = {left}"))?;
        let (mut tries, mut all) = (1, 0.0);
        let mut fastest = f64::INFINITY;
        while timed.again.contains(&statement.line) && (tries < TRIES || tries < MOST_TRIES && all < MORE_TRIES_MS) {
            connection.client().batch_execute("savepoint drill_try")?;
            let ms = sent(connection, statement)?;
            connection.client().batch_execute("rollback to drill_try; release drill_try")?;
            (tries, all, fastest) = (tries + 1, all + ms, ms.min(fastest));
        }
        Ok(sent(connection, statement)?.min(fastest))
    }

    /// The last look, brought up to date.
    fn look(&mut self, connection: &mut Connection) -> Result<Probe> {
        if let Some(mut probe) = self.probe.take() {
            probe.look_again(connection)?;
            return Ok(probe);
        }
        let probe = Probe::read(connection, self.there.clone())?;
        self.there.get_or_insert_with(|| probe.there());
        Ok(probe)
    }

    /// Looks around a statement in the transaction that is open.
    pub(super) fn seen(&mut self, connection: &mut Connection, statement: &Statement<'_>) -> Result<Sent> {
        let mut probe = self.look(connection)?;
        let ms = match self.fastest(connection, statement) {
            Ok(ms) => ms,
            Err(error) => return Ok(Err(error)),
        };
        let before = probe.look_again(connection)?;
        let mut impact = probe.since(&before);
        self.probe = Some(probe).filter(|_| !leaves_no_lock(statement.text));
        let Impact { line, statement, .. } = described(statement);
        if statement.to_lowercase().starts_with("truncate") {
            // New files, and nothing in them.
            impact.rewritten.clear();
            impact.indexed.clear();
            impact.scanned.clear();
        }
        let transaction = self.found.get(self.since).map_or(line, |first| first.line);
        self.found.push(Impact { line, transaction, statement, ms, ..impact });
        // What came before it in this transaction holds its locks as long.
        self.found[self.since..].iter_mut().for_each(|held| held.held_ms += ms);
        Ok(Ok(()))
    }
}

/// Whether it may do what no lock tells of: give tables another name by their schema's, or undo what came before with its locks.
fn leaves_no_lock(sql: &str) -> bool {
    let sql = sql.to_lowercase();
    sql.contains("schema") && sql.contains("rename") || sql.contains("rollback")
}

/// What it took.
fn sent(connection: &mut Connection, statement: &Statement<'_>) -> std::result::Result<f64, postgres::Error> {
    let begun = Instant::now();
    connection.client().batch_execute(statement.text)?;
    Ok(milliseconds(begun))
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// Without the comments before it.
fn described(statement: &Statement<'_>) -> Impact {
    let own = statement.text.lines().skip(statement.line - statement.starts);
    let words: Vec<&str> = own.flat_map(str::split_whitespace).collect();
    let text = words.join(" ");
    let text = text.trim_start_matches([';', ' ']);
    let shown = match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    Impact { line: statement.line, statement: shown, ..Impact::default() }
}
