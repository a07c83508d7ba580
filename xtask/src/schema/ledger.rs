//! Prisma's ledger, the table `_prisma_migrations` of a schema: what Prisma did, in its own record.

use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot};

/// Its name; in the datasource's schema.
pub const LEDGER_TABLE: &str = "_prisma_migrations";

/// One attempt at a migration. Names may repeat: a failed attempt that was marked as rolled back stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub name: String,
    /// SHA-256 of `migration.sql` when it was applied; see `history::Migration::has_checksum`.
    pub checksum: String,
    pub started_at: jiff::Timestamp,
    pub finished_at: Option<jiff::Timestamp>,
    pub rolled_back_at: Option<jiff::Timestamp>,
    /// The error, where it failed. It may quote the script.
    pub logs: Option<String>,
    pub applied_steps: i32,
}

impl Entry {
    pub fn is_applied(&self) -> bool {
        self.finished_at.is_some() && self.rolled_back_at.is_none()
    }

    /// Failed, or still running in another session: the row looks the same until it ends.
    pub fn is_unfinished(&self) -> bool {
        self.finished_at.is_none() && self.rolled_back_at.is_none()
    }
}

/// All rows, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    pub rows: Vec<Entry>,
}

impl Ledger {
    pub fn applied(&self) -> impl Iterator<Item = &Entry> {
        self.rows.iter().filter(|entry| entry.is_applied())
    }

    /// Attempts that never finished and were not settled (Prisma's P3009).
    pub fn failed(&self) -> impl Iterator<Item = &Entry> {
        self.rows.iter().filter(|entry| entry.is_unfinished())
    }
}

/// Reads the ledger of `schema`; None where the table is absent, as before the first `migrate deploy`.
///
/// # Errors
/// `failed` when it is there but is no plain table: a view in its place would run its author's code.
pub fn ledger(connection: &mut Connection, schema: &str) -> Result<Option<Ledger>> {
    connection.read(|transaction| ledger_in(transaction, schema))
}

/// As `ledger`, in a transaction that reads other things too.
pub fn ledger_in(transaction: &mut Transaction<'_>, schema: &str) -> Result<Option<Ledger>> {
    match relation_kind(transaction, schema)? {
        None => Ok(None),
        Some(kind) if kind == "r" => rows(transaction, schema).map(|rows| Some(Ledger { rows })),
        Some(_) => {
            Err(Failure::failed(format!("`{schema}.{LEDGER_TABLE}` is not a plain table, so it is not Prisma's"))
                .hint("look at what stands there before you migrate this database"))
        }
    }
}

fn relation_kind(transaction: &mut Transaction<'_>, schema: &str) -> Result<Option<String>> {
    const KIND: &str = "
        select c.relkind::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = $2";
    let row = transaction.query_opt(KIND, &[&schema, &LEDGER_TABLE]).could_not("look for the ledger")?;
    Ok(row.map(|row| row.get(0)))
}

fn rows(transaction: &mut Transaction<'_>, schema: &str) -> Result<Vec<Entry>> {
    let sql = format!(
        "select id::text, migration_name::text, checksum::text, started_at, finished_at, rolled_back_at, logs,
                applied_steps_count
           from only {}.{} order by started_at, id",
        escape_identifier(schema),
        escape_identifier(LEDGER_TABLE),
    );
    let rows = transaction.query(&sql, &[]).could_not("read the ledger")?;
    rows.iter().map(|row| entry(row).could_not("read the ledger")).collect()
}

fn entry(row: &postgres::Row) -> Result<Entry, postgres::Error> {
    Ok(Entry {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        checksum: row.try_get(2)?,
        started_at: row.try_get(3)?,
        finished_at: row.try_get(4)?,
        rolled_back_at: row.try_get(5)?,
        logs: row.try_get(6)?,
        applied_steps: row.try_get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    /// As Prisma 7.10 creates it.
    const CREATE: &str = r#"create table "_prisma_migrations" (
        id varchar(36) primary key not null, checksum varchar(64) not null, finished_at timestamptz,
        migration_name varchar(255) not null, logs text, rolled_back_at timestamptz,
        started_at timestamptz not null default now(), applied_steps_count integer not null default 0)"#;

    #[test]
    fn no_ledger_is_not_an_empty_ledger() {
        let mut database = Database::new();
        assert_eq!(ledger(&mut database.connection, "public").unwrap(), None);
        database.run(CREATE);
        assert_eq!(ledger(&mut database.connection, "public").unwrap(), Some(Ledger::default()));
        assert_eq!(ledger(&mut database.connection, "other").unwrap(), None);
    }

    #[test]
    fn entries_come_oldest_first_with_what_became_of_them() {
        let mut database = Database::new();
        database.run(CREATE);
        database.run(
            "insert into _prisma_migrations
                 (id, checksum, migration_name, started_at, finished_at, rolled_back_at, logs) values
             ('3', 'c', 'third', '2026-01-03Z', null, null, 'ERROR: no'),
             ('1', 'a', 'first', '2026-01-01Z', '2026-01-01 00:00:01.5Z', null, null),
             ('2', 'b', 'second', '2026-01-02Z', null, '2026-01-02 01:00Z', 'ERROR: no')",
        );
        let ledger = ledger(&mut database.connection, "public").unwrap().unwrap();
        let names = |entries: Vec<&Entry>| entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(ledger.rows.iter().collect()), ["first", "second", "third"]);
        assert_eq!(names(ledger.applied().collect()), ["first"]);
        assert_eq!(names(ledger.failed().collect()), ["third"]);
        assert_eq!(ledger.rows[0].finished_at.unwrap().to_string(), "2026-01-01T00:00:01.5Z");
    }

    #[test]
    fn a_view_in_the_ledgers_place_is_not_read() {
        let mut database = Database::new();
        database.run("create view _prisma_migrations as select pg_sleep(60)::text");
        let failure = ledger(&mut database.connection, "public").unwrap_err();
        assert!(failure.message.contains("not a plain table"), "{failure:?}");
    }
}
