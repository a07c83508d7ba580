//! Count and checksum of tables as the server computes them, several tables at a time: no row leaves it.
//!
//! The checksum is the sum of the hashes of all rows, so that their order does not matter. The hash is the server's own of a row; where a column
//! has a type without one (`json`), of the row as text.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use postgres::error::SqlState;

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot, failure};
use crate::rows::snapshot::contents::Source;
use crate::rows::snapshot::copy::mark::prove;
use crate::rows::snapshot::{Snapshot, Table};
use crate::session::Session;

/// Sessions at work in one database.
const SIDE_BY_SIDE: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    pub rows: u64,
    pub checksum: String,
}

/// Those of `sources` in `database`, in their order.
///
/// # Errors
/// `failed` with the server's words; `interrupted`.
pub fn sums(session: &Session<'_>, database: &str, sources: &[Source]) -> Result<Vec<Sum>> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(sources[at].bytes));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![None; sources.len()]));
    let work = &|number: usize| -> Result<()> {
        let mut connection = match session.connect_to(database) {
            // The database or the role may let in no more: the first does it alone.
            Err(_) if number > 0 => return Ok(()),
            connection => connection?,
        };
        connection.limit_statements(session.settings.timeouts.snapshot)?;
        while let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            session.interrupt.check()?;
            let sum = sum(&mut connection, &sources[at])?;
            found.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[at] = Some(sum);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..SIDE_BY_SIDE.min(sources.len())).map(|number| scope.spawn(move || work(number))).collect();
        let panicked = |_| Err(Failure::bug("a checksum panicked"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })?;
    let found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.into_iter().map(|sum| sum.ok_or_else(|| Failure::bug("a table has no checksum"))).collect()
}

fn sum(connection: &mut Connection, source: &Source) -> Result<Sum> {
    // `row.*` is the whole row, whatever its columns are called.
    let of = |hash: &str| {
        let only = if source.partitioned { "" } else { "only " };
        let table = source.sql_name();
        format!("select pg_catalog.count(*), coalesce(pg_catalog.sum({hash}), 0)::text from {only}{table} \"row\"")
    };
    let (hash, text) =
        ("pg_catalog.hash_record_extended(\"row\".*, 0)", "pg_catalog.hashtextextended((\"row\".*)::text, 0)");
    let (kind, answer) = match connection.client().query_one(&of(hash), &[]) {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => {
            ("text", connection.client().query_one(&of(text), &[]))
        }
        answer => ("record", answer),
    };
    let intent = format!("count and check the rows of `{}`", source.full_name());
    let row = answer.map_err(|error| failure(&intent, error))?;
    let rows: i64 = row.get(0);
    Ok(Sum { rows: rows.unsigned_abs(), checksum: format!("{kind} {}", row.get::<_, String>(1)) })
}

/// That all rows of `snapshot` are as they were, wherever they lie.
///
/// # Errors
/// `blocked` where they are gone, `refused` where something else stands in their place, `different`, naming what is not as it was.
pub fn verify_rows(session: &Session<'_>, snapshot: &Snapshot) -> Result<()> {
    let Some(copy) = &snapshot.manifest.database else { return snapshot.verify_files(&session.headway) };
    prove(session, &mut session.connection(), snapshot, copy)?;
    verify(session, &copy.name, snapshot).map(drop)
}

/// That the copy still holds what the record says; the words for it.
///
/// # Errors
/// `different`, naming what is not as it was.
pub fn verify(session: &Session<'_>, database: &str, snapshot: &Snapshot) -> Result<String> {
    let schemas: Vec<&str> = snapshot.manifest.schemas.iter().map(String::as_str).collect();
    let sources = session
        .connect_to(database)?
        .read(|transaction| crate::rows::snapshot::contents::tables(transaction, &schemas))?;
    let found = sums(session, database, &sources)?;
    let now = |table: &Table| {
        let at = sources.iter().position(|source| source.schema == table.schema && source.name == table.name)?;
        Some(&found[at])
    };
    let is_same =
        |table: &&Table| now(table).is_some_and(|now| now.rows == table.rows && now.checksum == table.checksum);
    let tables = &snapshot.manifest.tables;
    let wrong: Vec<String> = tables.iter().filter(|table| !is_same(table)).map(|table| table.full_name()).collect();
    if wrong.is_empty() && sources.len() == tables.len() {
        return Ok(format!("{} tables of `{database}` are as they were when it was made", tables.len()));
    }
    Err(Failure::different(format!("the snapshot `{}` is not as it was made", snapshot.name))
        .because_all(wrong.iter().map(|table| format!("`{table}` of `{database}` has other rows")))
        .note("nothing was changed")
        .hint(crate::hint::Hint::run("restore --list")))
}

/// Whether a partitioned table, which COPY does not read.
pub fn is_partitioned(connection: &mut Connection, table: &Table) -> Result<bool> {
    const KIND: &str = "
        select c.relkind = 'p' from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = $2";
    let row = connection.client().query_one(KIND, &[&table.schema, &table.name]).could_not("look at a table")?;
    Ok(row.get(0))
}
