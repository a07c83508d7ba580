//! A migration sent as Prisma sends it, but for a look before each transaction ends.

use std::collections::BTreeSet;
use std::time::Instant;

use postgres::error::SqlState;
use script::statements::{Script, Statement, Version, split};

use crate::error::{Failure, Result};
use crate::evidence::impact::Impact;
use crate::migrations::impact::alike::{self, Alike, SinceLook};
use crate::migrations::impact::probe::{Probe, There, wal};
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::history::Migration;
use crate::schema::replay::{AsPrisma, Refused, apply_with};

/// Letters of a statement that are shown.
const SHOWN: usize = 120;

const OUTSIDE: &str =
    "it cannot run in a transaction, and outside of one nothing can be looked at before its locks are gone";

/// Applies `migration`, and says what each of its statements did.
///
/// # Errors
/// As `replay::try_to_apply`; whatever `go_on` says, which is asked before each statement.
pub fn apply_measured(
    connection: &mut Connection,
    migration: &Migration,
    prisma: AsPrisma<'_>,
    go_on: impl Fn() -> Result<()>,
) -> Result<Vec<Impact>, Box<Refused>> {
    apply_timed(connection, migration, prisma, None, go_on)
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
/// As `apply_measured`.
pub fn apply_timed(
    connection: &mut Connection,
    migration: &Migration,
    prisma: AsPrisma<'_>,
    timed: Option<&Timed>,
    go_on: impl Fn() -> Result<()>,
) -> Result<Vec<Impact>, Box<Refused>> {
    let mut watch = Watch { timed, ..Watch::default() };
    let applied = apply_with(connection, migration, prisma, |connection, statement| {
        go_on()?;
        if statement.text.len() as u64 != migration.sql.len() {
            return watch.alone(connection, statement);
        }
        // The file goes as one; its statements are still told apart.
        let parts = split(&migration.sql, Version::NEWEST)?;
        match parts.len() {
            0 | 1 => watch.alone(connection, statement),
            // One request is one transaction, in which Postgres refuses such a statement. It has to say so here, too.
            _ if parts.natures().any(|nature| nature.outside) => watch.unseen(connection, statement),
            _ => watch.as_one(connection, &parts, &go_on),
        }
    });
    if applied.is_err() {
        // Whoever looks for what was in the way finds no transaction open, where the server still answers.
        let _ = connection.client().batch_execute("rollback");
    }
    applied?;
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
    /// Whether a session of this server reports what it counts when it is told to.
    reports: Option<bool>,
    alike: Alike,
}

pub(super) type Sent = std::result::Result<(), postgres::Error>;

impl Watch<'_> {
    /// A statement that is a request of its own.
    pub(super) fn alone(&mut self, connection: &mut Connection, statement: &Statement) -> Result<Sent> {
        let was_in_block = std::mem::replace(&mut self.in_block, statement.nature.in_block);
        if statement.nature.outside {
            return self.unseen(connection, statement);
        }
        match (was_in_block, self.in_block) {
            (true, true) => self.within(connection, statement),
            (false, false) if self.alike.is_one_of_many(statement) => self.together(connection, statement, true),
            (false, false) => match self.end_together(connection)? {
                Ok(()) => self.in_transaction(connection, statement),
                Err(error) => Ok(Err(error)),
            },
            _ => {
                (self.since, self.probe) = (self.found.len(), None);
                self.begin(connection, &statement.text)
            }
        }
    }

    /// In the transaction that is open.
    fn within(&mut self, connection: &mut Connection, statement: &Statement) -> Result<Sent> {
        if self.alike.is_one_of_many(statement) {
            return self.together(connection, statement, false);
        }
        match self.end_together(connection)? {
            Ok(()) => self.seen(connection, statement),
            Err(error) => Ok(Err(error)),
        }
    }

    fn in_transaction(&mut self, connection: &mut Connection, statement: &Statement) -> Result<Sent> {
        self.since = self.found.len();
        if let Err(error) = self.begin(connection, "begin")? {
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

    /// Sends what may begin a transaction. A session counts rows also for what it has not reported yet, which it does once a second.
    fn begin(&mut self, connection: &mut Connection, sql: &str) -> Result<Sent> {
        const IS_THERE: &str = "select pg_catalog.to_regproc('pg_catalog.pg_stat_force_next_flush') is not null"; // from Postgres 15 on
        if self.reports.is_none() {
            let row =
                connection.client().query_one(IS_THERE, &[]).could_not("ask how a session reports what it counts")?;
            self.reports = Some(row.get(0));
        }
        if self.reports == Some(true)
            && let Err(error) = connection.client().batch_execute("select pg_catalog.pg_stat_force_next_flush()")
        {
            return Ok(Err(error));
        }
        Ok(connection.client().batch_execute(sql))
    }

    /// Statements that Postgres takes as one request, and so as one transaction, unless one of them ends it.
    fn as_one(&mut self, connection: &mut Connection, parts: &Script, go_on: impl Fn() -> Result<()>) -> Result<Sent> {
        self.since = self.found.len();
        let own = parts.natures().any(|nature| nature.in_block);
        let begin = if own { "" } else { "begin" };
        if let Err(error) = self.begin(connection, begin)? {
            return Ok(Err(error));
        }
        for part in parts.statements() {
            let part = part?;
            go_on()?;
            let sent = if own { self.alone(connection, &part)? } else { self.within(connection, &part)? };
            if let Err(error) = sent {
                let _ = connection.client().batch_execute("rollback");
                return Ok(Err(error));
            }
        }
        Ok(connection.client().batch_execute(if own { "" } else { "commit" }))
    }

    /// A statement behind others of its kind, which are looked at together: in a transaction of ours where each is one of its own.
    fn together(&mut self, connection: &mut Connection, statement: &Statement, own: bool) -> Result<Sent> {
        if self.alike.since_look.count == 0
            && let Err(error) = self.begin_together(connection, own)?
        {
            return Ok(Err(error));
        }
        match sent(connection, statement) {
            Ok(ms) => self.alike.since_look.add(statement, ms, wal(connection)?),
            Err(_) if own => return self.one_by_one(connection, statement),
            Err(error) => return Ok(Err(error)),
        }
        match self.alike.is_over() || self.alike.since_look.is_full() {
            true => self.end_together(connection),
            false => Ok(Ok(())),
        }
    }

    fn begin_together(&mut self, connection: &mut Connection, own: bool) -> Result<Sent> {
        // What is put off to the end of a transaction is not put off behind the next statement.
        if own && let Err(error) = self.begin(connection, "begin; set constraints all immediate")? {
            return Ok(Err(error));
        }
        let left = self.timed.map(|timed| timed.until.saturating_duration_since(Instant::now()).as_millis().max(1));
        let limit = left.map(|left| format!("set local statement_timeout = {left}")).unwrap_or_default();
        if let Err(error) = connection.client().batch_execute(&limit) {
            return Ok(Err(error));
        }
        self.probe = Some(self.look(connection)?);
        self.alike.since_look = SinceLook::begun(own, wal(connection)?);
        Ok(Ok(()))
    }

    /// Looks at what those did that were sent since the last look.
    fn end_together(&mut self, connection: &mut Connection) -> Result<Sent> {
        let sent = std::mem::take(&mut self.alike.since_look);
        let at = if self.alike.is_over() { self.alike.at.take() } else { self.alike.at };
        let Some(first) = sent.statements.first() else { return Ok(Ok(())) };
        let mut probe = self.look_back()?;
        let before = probe.look_again(connection)?;
        let (impact, Impact { line, statement, .. }) = (probe.since(&before), described(first));
        self.probe = Some(probe);
        let (ms, wal_bytes, more_like_it) = (sent.longest_ms, sent.most_wal, sent.count - 1);
        let held_ms = if sent.own { ms } else { 0.0 };
        let transaction = if sent.own { line } else { self.found.get(self.since).map_or(line, |first| first.line) };
        let impact = Impact { line, transaction, statement, ms, held_ms, wal_bytes, more_like_it, ..impact };
        match at.and_then(|at| self.found.get_mut(at)) {
            Some(known) => alike::add(known, impact),
            None => {
                self.alike.at = Some(self.found.len()).filter(|_| !self.alike.is_over());
                self.found.push(impact);
            }
        }
        if sent.own {
            return Ok(connection.client().batch_execute("commit"));
        }
        self.found[self.since..].iter_mut().for_each(|held| held.held_ms += sent.all_ms);
        Ok(Ok(()))
    }

    /// What one transaction refuses, each of its own may not: `now()` is the same in one.
    fn one_by_one(&mut self, connection: &mut Connection, last: &Statement) -> Result<Sent> {
        connection.client().batch_execute("rollback").could_not("take back what was sent together")?;
        let sent = std::mem::take(&mut self.alike.since_look).statements;
        self.alike.at = None;
        for statement in sent.iter().chain([last]) {
            if let Err(error) = self.in_transaction(connection, statement)? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn unseen(&mut self, connection: &mut Connection, statement: &Statement) -> Result<Sent> {
        let begun = Instant::now();
        self.probe = None;
        let sent = connection.client().batch_execute(&statement.text);
        let unmeasured = Some(OUTSIDE.to_owned());
        self.found.push(Impact { unmeasured, ms: milliseconds(begun), ..described(statement) });
        Ok(sent)
    }

    fn fastest(&self, connection: &mut Connection, statement: &Statement) -> std::result::Result<f64, postgres::Error> {
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

    fn look_back(&mut self) -> Result<Probe> {
        self.probe.take().ok_or_else(|| Failure::bug("what is compared was not looked at before"))
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
    pub(super) fn seen(&mut self, connection: &mut Connection, statement: &Statement) -> Result<Sent> {
        let mut probe = self.look(connection)?;
        let ms = match self.fastest(connection, statement) {
            Ok(ms) => ms,
            Err(error) => return Ok(Err(error)),
        };
        let before = probe.look_again(connection)?;
        let mut impact = probe.since(&before);
        self.probe = Some(probe).filter(|_| !leaves_no_lock(&statement.text));
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
fn sent(connection: &mut Connection, statement: &Statement) -> std::result::Result<f64, postgres::Error> {
    let begun = Instant::now();
    connection.client().batch_execute(&statement.text)?;
    Ok(milliseconds(begun))
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// Without the comments before it.
fn described(statement: &Statement) -> Impact {
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
