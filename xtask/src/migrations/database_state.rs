//! What the server says a database is: where it stands in its history, its rows and its schema. Read before a stage and
//! after it, so that what a stage leaves and what the next one finds are the same kind of thing.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::Result;
use crate::evidence::outcome::BeforeAfter;
use crate::migrations::status::MigrationStatus;
use crate::postgres::activity::lock_holders;
use crate::postgres::counts::{Counts, Survey, Uncounted, all_counted, survey};
use crate::run::journal::Journal;
use crate::schema::catalog::{Catalog, ObjectKey, catalog};
use crate::schema::external::parted;
use crate::schema::history::History;
use crate::schema::ledger::{LEDGER_TABLE, ledger};
use crate::schema::platform;
use crate::session::Session;
use crate::words::counted;

#[derive(Debug, Clone)]
pub struct DatabaseState {
    pub standing: MigrationStatus,
    pub counts: Counts,
    /// Those of `counts` that would have taken too long to count.
    pub estimated: BTreeSet<String>,
    /// What `counts` does not say, since this role does not see every row.
    pub uncounted: Vec<Uncounted>,
    pub catalog: Catalog,
    /// What `catalog` does not have, since the Prisma config leaves it to others.
    pub external: Vec<ObjectKey>,
}

impl DatabaseState {
    /// Asks on the session's own connection, between steps; `history` is the folder that the ledger is laid beside.
    ///
    /// # Errors
    /// As the server's: a ledger of another shape.
    pub fn read(session: &Session<'_>, history: &History) -> Result<DatabaseState> {
        DatabaseState::read_in(None, session, history)
    }

    /// As `read`, for a stage that destroys nothing: tables that are not counted in `timeouts.count` are estimated.
    ///
    /// # Errors
    /// As `read`.
    pub fn read_in_time(session: &Session<'_>, history: &History) -> Result<DatabaseState> {
        DatabaseState::read_in(Some(session.settings.timeouts.count), session, history)
    }

    fn read_in(budget: Option<Duration>, session: &Session<'_>, history: &History) -> Result<DatabaseState> {
        let schemas = session.target.schemas();
        let left_out = &platform::as_prisma(session, &schemas)?.groundwork.external;
        let mut connection = session.connection();
        let ledger = ledger(&mut connection, &session.target.dsn().schema)?;
        let lock_held = !lock_holders(&mut connection)?.is_empty();
        let Survey { counts, estimated, uncounted } = survey(&mut connection, &schemas, &session.headway, budget)?;
        let (catalog, external) = parted(catalog(&mut connection, &schemas)?, left_out);
        Ok(DatabaseState {
            standing: MigrationStatus::new(history, ledger.as_ref(), lock_held),
            counts,
            estimated,
            uncounted,
            catalog,
            external,
        })
    }

    /// What destroys counts every row first, or does not begin.
    ///
    /// # Errors
    /// `blocked`, with the way out, when this role may not count a table.
    pub fn whole(self) -> Result<DatabaseState> {
        all_counted(&self.uncounted).map(|()| self)
    }

    /// Whether Prisma's ledger is there, be it empty.
    pub fn has_ledger(&self, session: &Session<'_>) -> bool {
        self.counts.contains_key(&format!("{}.{LEDGER_TABLE}", session.target.dsn().schema))
    }

    /// Writes down that this is what the database is now, and that it had `before`'s rows when the stage began.
    pub fn record(&self, journal: &Journal<'_>, before: &Counts) -> Result<()> {
        self.record_with(journal, BeforeAfter::new(before, &self.counts))
    }

    /// As `record`, where rows may be estimated.
    pub fn record_beside(&self, journal: &Journal<'_>, before: &DatabaseState) -> Result<()> {
        let estimated: BTreeSet<String> = before.estimated.union(&self.estimated).cloned().collect();
        journal.record().outcome.add_notes(note(&estimated).as_slice());
        self.record_with(journal, BeforeAfter { estimated, ..BeforeAfter::new(&before.counts, &self.counts) })
    }

    fn record_with(&self, journal: &Journal<'_>, counts: BeforeAfter) -> Result<()> {
        journal.write_json("catalog-after.json", &self.catalog)?;
        let notes: Vec<String> = self.uncounted.iter().map(Uncounted::note).collect();
        journal.record().outcome.add_notes(&notes);
        save_counts(journal, counts)
    }
}

fn note(estimated: &BTreeSet<String>) -> Option<String> {
    let first = estimated.first()?;
    let others = estimated.len() - 1;
    let more = if others > 0 { format!(" and {}", counted(others, "other table")) } else { String::new() };
    Some(format!(
        "estimated, not counted: {first}{more}; `[timeouts] count` in drill.toml says how long a count may take"
    ))
}

/// As `DatabaseState::record`, of a stage that leaves the schema alone.
pub fn record_counts(journal: &Journal<'_>, before: &Counts, after: &Counts) -> Result<()> {
    save_counts(journal, BeforeAfter::new(before, after))
}

fn save_counts(journal: &Journal<'_>, counts: BeforeAfter) -> Result<()> {
    journal.write_json("counts.json", &counts)?;
    journal.record().outcome.counts = Some(counts);
    Ok(())
}
