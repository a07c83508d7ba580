//! After which statement a migration stopped. From 7.4 on Prisma sends most scripts statement by statement, and what came before
//! the failing one stays: a replay tells which beginning of the script makes the schema that is there.

use script::statements::{Statement, split};

use crate::error::{Failure, Result};
use crate::migrations::status::MigrationStatus;
use crate::schema::catalog::Catalog;
use crate::schema::drift;
use crate::schema::expected;
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::replay::replay_by_statement;
use crate::schema::scratch_server;
use crate::session::Session;

/// A script whose beginning is in the schema.
#[derive(Debug)]
pub struct Halfway {
    statements: Vec<Sent>,
    /// After so many statements the schema is as it is now,
    fewest: usize,
    /// and after so many it still is.
    most: usize,
}

#[derive(Debug)]
struct Sent {
    line: usize,
    moves_rows: bool,
    /// A failure after it takes it back, too.
    in_block: bool,
}

/// None where Prisma sends the script as one request, and where no beginning of it makes the schema `now`.
pub fn of(
    session: &Session<'_>,
    history: &History,
    standing: &MigrationStatus,
    failed: &str,
    now: &Catalog,
) -> Result<Option<Halfway>> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let migration = history.migrations.iter().find(|migration| migration.name == failed);
    let Some(migration) = migration else { return Ok(None) };
    let script = split(&migration.sql, prisma.release)?;
    if script.len() < 2 {
        return Ok(None);
    }
    let applied = expected::as_on_target(session, &history.only(&standing.applied), now)?;
    let points = scratch_server::open(session, history, |workshop| {
        let open = |name: &str| workshop.connect_to(name);
        replay_by_statement(&mut workshop.connect()?, open, &applied, migration, prisma)
    })?;
    let equal = points.iter().filter(|(_, catalog)| drift::between(catalog, now).definition.is_empty());
    let equal: Vec<usize> = equal.map(|(count, _)| *count).collect();
    let sent = |it: Statement| Sent { line: it.line, moves_rows: it.nature.moves_rows, in_block: it.nature.in_block };
    let statements = script.statements().map(|it| it.map(sent)).collect::<Result<_, _>>()?;
    let range = equal.first().zip(equal.last());
    Ok(range.map(|(&fewest, &most)| Halfway { statements, fewest, most }))
}

impl Halfway {
    /// What the schema says of the script.
    pub fn in_words(&self) -> String {
        let count = self.statements.len();
        let there = match self.fewest {
            0 => format!("none of its {count} statements is in the schema"),
            1 => format!("the first of its {count} statements is there"),
            fewest => format!("the first {fewest} of its {count} statements are there"),
        };
        let traceless = match self.most - self.fewest {
            0 => String::new(),
            1 => ", and the next leaves no trace in a schema".to_owned(),
            more => format!(", and the next {more} leave no trace in a schema"),
        };
        let missing = self.statements.get(self.most);
        let missing = missing.map(|next| format!("; what begins on line {} is not", next.line)).unwrap_or_default();
        format!("{there}{traceless}{missing}")
    }

    /// The line of the first statement that is not there, where that is the one that failed: what came before it left a trace, and it begins
    /// no transaction block of which a later one may have failed.
    pub fn next_line(&self) -> Option<usize> {
        let next = self.statements.get(self.most).filter(|next| self.fewest == self.most && !next.in_block)?;
        Some(next.line)
    }

    /// The line of a statement that changes rows, and of which the schema does not tell whether it ran.
    fn line_that_may_have_run(&self) -> Option<usize> {
        self.statements[self.fewest..self.most].iter().find(|it| it.moves_rows).map(|it| it.line)
    }

    /// Why a migration of which the schema shows nothing is not simply rolled back.
    pub fn rows_at_stake(&self, failed: &str) -> Option<Failure> {
        let failure = self.unknown(format!("it cannot be known whether `{failed}` changed rows before it failed"))?;
        Some(failure.hint(format!(
            "look at the rows, and undo by hand what it changed; then: npx prisma migrate resolve --rolled-back {failed}"
        )))
    }

    /// Why a migration of which the schema shows everything is not simply applied: what fails last may be about rows.
    pub fn rows_missing(&self, failed: &str) -> Option<Failure> {
        let failure = self.unknown(format!("it cannot be known whether `{failed}` changed all rows that it should"))?;
        Some(failure.hint(format!(
            "look at the rows, and run what is missing of it; then: npx prisma migrate resolve --applied {failed}"
        )))
    }

    fn unknown(&self, what: String) -> Option<Failure> {
        let line = self.line_that_may_have_run()?;
        Some(
            Failure::different(what).because(self.in_words()).because(format!(
                "line {line} changes rows, and Prisma sends each statement as a transaction of its own"
            )),
        )
    }
}
