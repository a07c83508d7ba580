//! What the server says a database is: where it stands in its history, its rows and its schema. Read before a stage and
//! after it, so that what a stage leaves and what the next one finds are the same kind of thing.

use crate::error::Result;
use crate::evidence::outcome::BeforeAfter;
use crate::migrations::status::MigrationStatus;
use crate::postgres::activity::lock_holders;
use crate::postgres::counts::{Counts, counts};
use crate::run::journal::Journal;
use crate::schema::catalog::{Catalog, catalog};
use crate::schema::history::History;
use crate::schema::ledger::{LEDGER_TABLE, ledger};
use crate::session::Session;

#[derive(Debug, Clone)]
pub struct DatabaseState {
    pub standing: MigrationStatus,
    pub counts: Counts,
    pub catalog: Catalog,
}

impl DatabaseState {
    /// Asks on the session's own connection, between steps; `history` is the folder that the ledger is laid beside.
    ///
    /// # Errors
    /// As the server's: a table that this role may not count, a ledger of another shape.
    pub fn read(session: &Session<'_>, history: &History) -> Result<DatabaseState> {
        let schemas = session.target.schemas();
        let mut connection = session.connection();
        let ledger = ledger(&mut connection, &session.target.dsn().schema)?;
        let lock_held = !lock_holders(&mut connection)?.is_empty();
        Ok(DatabaseState {
            standing: MigrationStatus::new(history, ledger.as_ref(), lock_held),
            counts: counts(&mut connection, &schemas)?,
            catalog: catalog(&mut connection, &schemas)?,
        })
    }

    /// Whether Prisma's ledger is there, be it empty.
    pub fn has_ledger(&self, session: &Session<'_>) -> bool {
        self.counts.contains_key(&format!("{}.{LEDGER_TABLE}", session.target.dsn().schema))
    }

    /// Writes down that this is what the database is now, and that it had `before`'s rows when the stage began.
    pub fn record(&self, journal: &Journal<'_>, before: &Counts) -> Result<()> {
        journal.write_json("catalog-after.json", &self.catalog)?;
        record_counts(journal, before, &self.counts)
    }
}

/// As `DatabaseState::record`, of a stage that leaves the schema alone.
pub fn record_counts(journal: &Journal<'_>, before: &Counts, after: &Counts) -> Result<()> {
    let counts = BeforeAfter { before: before.clone(), after: after.clone() };
    journal.write_json("counts.json", &counts)?;
    journal.record().outcome.counts = Some(counts);
    Ok(())
}
