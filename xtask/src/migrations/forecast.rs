//! What pending migrations would take away from the target, known before they run: the rehearsal on made-up rows says what they drop,
//! empty, retype and change, their own UPDATEs and DELETEs say which rows they are about, and the target says how many there are.

use std::path::PathBuf;

use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;

use crate::digest::sha256;
use crate::error::Result;
use crate::files;
use crate::migrations::harm::Harm;
use crate::migrations::losses::{Loss, Removal, losses};
use crate::migrations::rehearsal::foresee;
use crate::migrations::stock::{Stock, stock_in};
use crate::postgres::connection::CouldNot;
use crate::schema::history::History;
use crate::schema::place::Place;
use crate::schema::platform;
use crate::schema::replay::cache_key;
use crate::schema::row_changes::{RowChange, row_changes};
use crate::schema::scratch_server;
use crate::session::Session;

/// What the migrations `pending` would take away now, with what is in it; where it is empty, too.
///
/// # Errors
/// `failed` when an applied migration does not apply to an empty database, or the server refuses.
pub fn forecast(session: &Session<'_>, history: &History, applied: &[String], pending: &[String]) -> Result<Vec<Loss>> {
    if applied.is_empty() || pending.is_empty() || !session.connection().read(holds_rows)? {
        return Ok(Vec::new());
    }
    let (before, after) = (history.only(applied), history.only(pending));
    let removals = removals(session, &before, &after)?;
    let found = losses(&mut session.connection(), &removals)?;
    let told = after.migrations.iter().map(|migration| row_changes(&migration.sql));
    let (changes, is_all): (Vec<_>, Vec<_>) = told.unzip();
    let ours = session.target.dsn().schema.clone();
    let counted = session.connection().read(|transaction| by_their_text(transaction, &ours, &changes.concat()))?;
    Ok(merged(found, counted, is_all.into_iter().all(|is_all| is_all)))
}

/// Where the text tells all, what a condition counts is exact; else the larger number counts. What is dropped anyway is not named
/// beside that.
fn merged(found: Vec<Loss>, counted: Vec<Loss>, is_all: bool) -> Vec<Loss> {
    let is_same = |one: &Loss, other: &Loss| one.removal.harm == other.removal.harm && one.place() == other.place();
    let mut merged: Vec<Loss> =
        found.into_iter().filter(|loss| !is_all || !counted.iter().any(|one| is_same(one, loss))).collect();
    for loss in counted {
        let table = Place { column: None, ..loss.place().clone() };
        let is_gone = |one: &Loss| one.removal.is_drop() && (*one.place() == table || one.place() == loss.place());
        if merged.iter().any(is_gone) {
            continue;
        }
        match merged.iter_mut().find(|one| is_same(one, &loss)) {
            Some(known) if is_all => known.values = (known.values + loss.values).min(known.rows),
            Some(known) => known.values = known.values.max(loss.values),
            None => merged.push(loss),
        }
    }
    merged
}

fn holds_rows(transaction: &mut Transaction<'_>) -> Result<bool> {
    let stock = stock_in(transaction)?;
    let tables = stock.of_roots().filter(|(id, place)| place.column.is_none() && !stock.is_closed(id.0));
    let looks: Vec<String> = tables.map(|(_, place)| format!("exists (select from {})", place.relation())).collect();
    if looks.is_empty() {
        return Ok(false);
    }
    let row = transaction.query_one(&format!("select {}", looks.join(" or ")), &[]);
    Ok(row.could_not("look whether there are rows")?.get(0))
}

/// Depends on the history and on nothing of the target, so it is kept.
fn removals(session: &Session<'_>, applied: &History, pending: &History) -> Result<Vec<Removal>> {
    let file = kept_as(session, applied, pending)?;
    if let Some(known) = std::fs::read(&file).ok().and_then(|json| serde_json::from_slice(&json).ok()) {
        return Ok(known);
    }
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let migrations = applied.migrations.iter().chain(&pending.migrations).cloned().collect();
    let whole = History { migrations, ..applied.clone() };
    let removals = scratch_server::open(session, &whole, |workshop| {
        foresee(&mut workshop.connect()?, |name| workshop.connect_to(name), applied, pending, prisma)
    })?;
    if let Ok(json) = serde_json::to_vec(&removals) {
        files::keep(&file, &json);
    }
    Ok(removals)
}

fn kept_as(session: &Session<'_>, applied: &History, pending: &History) -> Result<PathBuf> {
    let schemas = session.target.schemas();
    let histories = sha256(format!("forecast 1\n{}\n{}", applied.digest(), pending.digest()));
    let key = cache_key(&histories, session.identity.major_version(), platform::as_prisma(session, &schemas)?);
    Ok(session.settings.private_dir().join("forecasts").join(format!("{key}.json")))
}

/// What UPDATEs and DELETEs find on the target. A table or column that an earlier statement has yet to make holds nothing.
fn by_their_text(transaction: &mut Transaction<'_>, schema: &str, changes: &[RowChange]) -> Result<Vec<Loss>> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let stock = stock_in(transaction)?;
    let path = format!("set local search_path = {}", escape_identifier(schema));
    transaction.batch_execute(&path).could_not("look as Prisma does")?;
    let mut found: Vec<Loss> = Vec::new();
    for change in changes {
        let Some(table) = place_of(transaction, &change.table)?.filter(|place| stock.has(place)) else { continue };
        found.extend(losses_of(transaction, &stock, change, &table)?);
    }
    Ok(found)
}

fn place_of(transaction: &mut Transaction<'_>, table: &str) -> Result<Option<Place>> {
    const TABLE: &str = "
        select n.nspname::text, c.relname::text from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = pg_catalog.to_regclass($1)";
    let row = transaction.query_opt(TABLE, &[&table]).could_not(&format!("look for {table}"))?;
    Ok(row.map(|row| Place { schema: row.get(0), table: row.get(1), column: None }))
}

fn losses_of(transaction: &mut Transaction<'_>, stock: &Stock, change: &RowChange, table: &Place) -> Result<Vec<Loss>> {
    let all =
        count(transaction, &format!("select pg_catalog.count(*) from {} t", table.relation()))?.unwrap_or_default();
    let loss = |place: Place, harm, values| Loss {
        removal: Removal { then: place.clone(), now: Some(place), harm },
        rows: all,
        values,
    };
    if change.columns.is_empty() {
        let rows = count(transaction, &format!("select pg_catalog.count(*) {}", change.rows))?.unwrap_or(all);
        return Ok(vec![loss(table.clone(), Harm::Deletes, rows)]);
    }
    let mut found = Vec::new();
    for column in &change.columns {
        let place = Place { column: Some(column.name.clone()), ..table.clone() };
        if !stock.has(&place) {
            continue;
        }
        let (from, to) = (&column.from, &column.to);
        let differs = format!("{from} is not null and ({from})::text is distinct from ({to})::text");
        let exact =
            count(transaction, &format!("select pg_catalog.count(*) filter (where {differs}) {}", change.rows))?;
        let values = match exact {
            Some(values) => values,
            None => {
                let name = escape_identifier(&column.name);
                count(transaction, &format!("select pg_catalog.count(t.{name}) from {} t", table.relation()))?
                    .unwrap_or(all)
            }
        };
        found.push(loss(place, Harm::Changes, values));
    }
    Ok(found)
}

/// None where the server cannot tell before the statements that come first have run.
fn count(transaction: &mut Transaction<'_>, sql: &str) -> Result<Option<u64>> {
    let mut trial = transaction.transaction().could_not("begin a savepoint")?;
    Ok(trial.query_one(sql, &[]).ok().map(|row| row.get::<_, i64>(0).unsigned_abs()))
}
