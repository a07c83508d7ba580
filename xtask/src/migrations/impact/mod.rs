//! What migrations are in the way of while they run, measured: each statement beside made-up rows in a throw-away database, in a
//! transaction of its own where it has one on the target, and looked at before that ends.

mod alike;
mod at_size;
pub mod claims;
mod exceptions;
mod growth;
pub mod limits;
mod measure;
#[cfg(test)]
mod pairs;
mod probe;
pub mod production;

use std::collections::BTreeSet;

use crate::error::Result;
use crate::evidence::impact::Impact;
use crate::migrations::in_the_way::InTheWay;
use crate::migrations::stock::stock_in;
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::history::History;
use crate::schema::place::Place;
use crate::schema::replay::{AsPrisma, apply_all, in_throw_away_database};

pub use at_size::AtSize;
pub use measure::apply_measured;

/// Rows that each empty table gets: the locks are those of a large one, the times are not.
pub const ROWS: u64 = 20;

/// What each statement of `pending` does after `applied`. Rows that are in the way of a migration are left out for it.
///
/// # Errors
/// `failed` when a migration applies neither to rows nor to an empty database; whatever `go_on` says.
pub fn impacts(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    applied: &History,
    pending: &History,
    prisma: AsPrisma<'_>,
    go_on: impl Fn() -> Result<()>,
) -> Result<Vec<Impact>> {
    let mut found: Vec<Vec<Impact>> = Vec::new();
    let mut in_the_way = InTheWay::default();
    let work = prisma.counts(pending.migrations.len());
    while found.len() < pending.migrations.len() {
        let (before, rest) = pending.migrations.split_at(found.len());
        in_throw_away_database(admin, &open, prisma, |connection| {
            apply_all(connection, &applied.migrations, prisma)?;
            apply_all(connection, before, prisma)?;
            for migration in rest {
                go_on()?;
                work.step(found.len() + 1, &migration.name);
                in_the_way.fill_others(connection, prisma.schemas, ROWS)?;
                match apply_measured(connection, migration, prisma, &go_on) {
                    Ok(impacts) => found.push(impacts),
                    Err(refused) => return in_the_way.widen(*refused, &filled(connection, prisma.schemas)?),
                }
                in_the_way = InTheWay::default();
            }
            Ok(())
        })?;
    }
    Ok(found.into_iter().flatten().collect())
}

/// The tables of `schemas` that have rows.
fn filled(connection: &mut Connection, schemas: &[&str]) -> Result<BTreeSet<Place>> {
    connection.read(|transaction| {
        let stock = stock_in(transaction)?;
        let tables = stock.of_roots().filter(|(id, place)| {
            place.column.is_none() && schemas.contains(&place.schema.as_str()) && !stock.is_closed(id.0)
        });
        let mut filled = BTreeSet::new();
        for (_, place) in tables {
            let look = format!("select exists (select from {})", place.relation());
            if transaction.query_one(&look, &[]).could_not("look for rows")?.get(0) {
                filled.insert(place);
            }
        }
        Ok(filled)
    })
}

#[cfg(test)]
mod tests;
