//! Every migration up, down and up again in a throw-away database, with rows in it: whether a history can go back is
//! known before anybody needs it.
//!
//! Rows are compared by a sum of hashes for each column, which no order of rows changes. Only what was there before a
//! migration counts: what is written into a new column is lost with the column, and everybody expects that.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;

use super::catalog::{Catalog, Concern, Difference, catalog, diff};
use super::connect::{Connection, failure};
use super::history::{History, Migration};
use super::replay::{apply, in_throw_away_database};
use super::rollback::{Down, Place, Stock, stock_in, try_out};
use super::seed::seed_empty;
use crate::error::{Failure, Result};

/// Rows that each table gets before a migration touches it: enough for a hash, few enough to cost nothing.
const ROWS: u64 = 20;

/// What became of one migration.
#[derive(Debug, Default)]
pub struct Rung {
    pub migration: String,
    /// What down did not undo, or what the second up made otherwise.
    pub leftovers: Vec<Difference>,
    /// Rows and values from before the migration that did not come back, each as a sentence.
    pub lost: Vec<String>,
    /// Why down, or up for the second time, did not run.
    pub failure: Option<Failure>,
}

impl Rung {
    fn is_clean(&self) -> bool {
        self.leftovers.is_empty() && self.failure.is_none()
    }
}

/// Takes every migration of `history` up, down and up again, oldest first. `downs` are its scripts, oldest first; `go_on`
/// is asked before each migration.
///
/// # Errors
/// `failed` when a migration does not apply to an empty database; whatever `go_on` says.
pub fn climb(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    downs: &[Down],
    schemas: &[&str],
    now: Timestamp,
    go_on: impl Fn() -> Result<()>,
) -> Result<Vec<Rung>> {
    let mut rungs: Vec<Rung> = Vec::new();
    // A database in which a way back went wrong is no place to try the next one: that starts from a fresh replay.
    while rungs.len() < history.migrations.len() {
        in_throw_away_database(admin, &open, schemas, |connection| {
            for migration in &history.migrations[..rungs.len()] {
                apply(connection, migration, schemas)?;
            }
            for (migration, down) in history.migrations.iter().zip(downs).skip(rungs.len()) {
                go_on()?;
                seed_empty(connection, ROWS, now)?;
                rungs.push(rung(connection, migration, down, schemas)?);
                if !rungs.last().is_some_and(Rung::is_clean) {
                    break;
                }
            }
            Ok(())
        })?;
    }
    Ok(rungs)
}

fn rung(connection: &mut Connection, migration: &Migration, down: &Down, schemas: &[&str]) -> Result<Rung> {
    let (rows_before, before) = (prints(connection, schemas)?, catalog(connection, schemas)?);
    let mut rung = Rung { migration: migration.name.clone(), ..Rung::default() };
    apply(connection, migration, schemas)?;
    let up = catalog(connection, schemas)?;
    if let Err(failure) = try_out(connection, down, schemas) {
        rung.failure = Some(failure);
        return Ok(rung);
    }
    rung.leftovers = definition(&before, &catalog(connection, schemas)?);
    rung.lost = lost(&rows_before, &prints(connection, schemas)?);
    match apply(connection, migration, schemas) {
        Ok(()) => rung.leftovers.extend(definition(&up, &catalog(connection, schemas)?)),
        Err(failure) => rung.failure = Some(failure.message("it does not apply a second time")),
    }
    Ok(rung)
}

fn definition(expected: &Catalog, actual: &Catalog) -> Vec<Difference> {
    diff(expected, actual).into_iter().filter(|difference| difference.concern == Concern::Definition).collect()
}

/// A table or column, and what is in it.
struct Print {
    place: Place,
    rows: u64,
    /// Of all values, whatever their order; of a table, none.
    hash: String,
}

fn prints(connection: &mut Connection, schemas: &[&str]) -> Result<BTreeMap<Place, Print>> {
    connection.read(|transaction| {
        let stock = stock_in(transaction, schemas)?;
        let mut prints = BTreeMap::new();
        for (table, columns) in tables(&stock) {
            for print in prints_of(transaction, &table, &columns)? {
                prints.insert(print.place.clone(), print);
            }
        }
        Ok(prints)
    })
}

/// Tables with their columns. A partition's rows are its root's.
fn tables(stock: &Stock) -> Vec<(Place, Vec<Place>)> {
    let mut tables: Vec<(Place, Vec<Place>)> = Vec::new();
    for place in stock.places_of_roots() {
        match (place.column.is_none(), tables.last_mut()) {
            (false, Some((_, columns))) => columns.push(place),
            _ => tables.push((place, Vec::new())),
        }
    }
    tables
}

fn prints_of(transaction: &mut Transaction<'_>, table: &Place, columns: &[Place]) -> Result<Vec<Print>> {
    let hash = |place: &Place| {
        let column = escape_identifier(place.column.as_deref().unwrap_or_default());
        format!("coalesce(pg_catalog.sum(pg_catalog.hashtextextended(t.{column}::text, 0)::numeric), 0)::text")
    };
    let hashes: Vec<String> = columns.iter().map(hash).collect();
    let sql = format!(
        "select pg_catalog.count(*), array[{}]::text[] from {}.{} t",
        hashes.join(", "),
        escape_identifier(&table.schema),
        escape_identifier(&table.table),
    );
    let row = transaction.query_one(&sql, &[]).map_err(|error| failure(&format!("read {table}"), &error))?;
    let rows = row.get::<_, i64>(0).unsigned_abs();
    let of_columns = columns.iter().zip(row.get::<_, Vec<String>>(1));
    let of_columns = of_columns.map(|(place, hash)| Print { place: place.clone(), rows, hash });
    Ok([Print { place: table.clone(), rows, hash: String::new() }].into_iter().chain(of_columns).collect())
}

/// What was there and is no more. A column whose table lost rows is not named beside it.
fn lost(before: &BTreeMap<Place, Print>, after: &BTreeMap<Place, Print>) -> Vec<String> {
    let table = |place: &Place| Place { column: None, ..place.clone() };
    let rows = |prints: &BTreeMap<Place, Print>, place: &Place| prints.get(&table(place)).map(|print| print.rows);
    let mut lost = Vec::new();
    for (place, print) in before.iter().filter(|(_, print)| print.rows > 0) {
        let same_rows = rows(after, place) == Some(print.rows);
        match (&place.column, after.get(place)) {
            (None, None) => lost.push(format!("{place}: all {} rows are gone", print.rows)),
            (None, Some(now)) if !same_rows => lost.push(format!("{place}: {} rows, {} before", now.rows, print.rows)),
            (Some(_), Some(now)) if same_rows && now.hash != print.hash => {
                lost.push(format!("{place}: its values are not those from before"));
            }
            _ => {}
        }
    }
    lost
}
