//! What a script takes away: tables and columns that it drops, rows that it deletes, values that it changes.
//!
//! What is dropped is told by identity (relation and column numbers), not by name: a renamed column keeps its values, and a
//! column that is dropped and added again under its name has lost them. What is changed is told by a sum of hashes for each
//! column, which no order of rows changes. Every schema is looked at, whatever the datasource says: a script may reach all.

use std::collections::BTreeSet;
use std::fmt;

use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Result;
use crate::migrations::harm::Harm;
use crate::migrations::prints::Prints;
use crate::migrations::stock::{Stock, stock_in};
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::counts::check_seen;
use crate::schema::place::Place;

/// What a script takes away, by the rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Its name when the script runs.
    pub then: Place,
    /// Its name in the database as it is now; None where an earlier script of the same run makes it.
    pub now: Option<Place>,
    #[serde(default = "drops")]
    pub harm: Harm,
}

impl Removal {
    pub fn is_drop(&self) -> bool {
        matches!(self.harm, Harm::Drops | Harm::DropsDefault)
    }
}

/// Records of before this key told what is dropped alone.
fn drops() -> Harm {
    Harm::Drops
}

/// A removal with what is in it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    pub removal: Removal,
    pub rows: u64,
    /// Not null; of a table, its rows.
    pub values: u64,
    /// Of rows that are deleted or values that are changed: `values` are these, and not what is at stake at most.
    #[serde(default)]
    pub is_exact: bool,
}

impl Loss {
    pub fn place(&self) -> &Place {
        self.removal.now.as_ref().unwrap_or(&self.removal.then)
    }

    /// As `--json` says it.
    pub fn view(&self) -> Value {
        let place = self.place();
        json!({ "table": place.full_table_name(), "column": place.column, "rows": self.rows, "values": self.values })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { rows, values, is_exact, .. } = self;
        let place = self.place();
        match &self.removal.harm {
            Harm::Drops if place.column.is_none() => write!(f, "{place}: {rows} rows"),
            Harm::Drops => write!(f, "{place}: {values} values that are not null, in {rows} rows"),
            Harm::DropsDefault => write!(f, "{place}: {values} values that are not its default, in {rows} rows"),
            Harm::Deletes if *is_exact => write!(f, "{place}: {values} of {rows} rows are deleted"),
            Harm::Changes if *is_exact => write!(f, "{place}: {values} values are changed, in {rows} rows"),
            Harm::Deletes => write!(f, "{place}: rows are deleted, of {rows}"),
            Harm::Changes => write!(f, "{place}: values are changed, of {values} that are not null in {rows} rows"),
            Harm::Untried => write!(f, "{place}: what is done to its {rows} rows could not be tried"),
            Harm::Retypes(to) => write!(f, "{place}: {values} values that do not survive `{to}`, in {rows} rows"),
        }
    }
}

/// Counts what is in `removals` now. What a pending migration has yet to make is empty.
///
/// # Errors
/// `blocked`, with the way out, where row security hides rows from this role; `failed` when the server refuses.
pub fn losses(connection: &mut Connection, removals: &[Removal]) -> Result<Vec<Loss>> {
    if removals.is_empty() {
        return Ok(Vec::new());
    }
    connection.read(|transaction| {
        let there = stock_in(transaction)?;
        let now = |removal: &'_ Removal| removal.now.clone().filter(|place| there.has(place));
        let places: Vec<(Option<Place>, &Harm)> = removals.iter().map(|one| (now(one), &one.harm)).collect();
        let counted = at_stake(transaction, places.iter().map(|(place, harm)| (place.as_ref(), *harm)))?;
        let loss = |(removal, (rows, values)): (&Removal, (u64, u64))| Loss {
            removal: removal.clone(),
            rows,
            values,
            is_exact: false,
        };
        Ok(removals.iter().zip(counted).map(loss).collect())
    })
}

/// Rows of each place, and the values in it that would be lost; a place that is None has none.
pub fn at_stake<'a>(
    transaction: &mut Transaction<'_>,
    places: impl Iterator<Item = (Option<&'a Place>, &'a Harm)>,
) -> Result<Vec<(u64, u64)>> {
    let places: Vec<(Option<&Place>, &Harm)> = places.collect();
    let whole = |(at, (place, _)): (usize, &(Option<&Place>, &Harm))| Some(count_of(at, (*place)?));
    let selects: Vec<String> = places.iter().enumerate().filter_map(whole).collect();
    let mut counted = vec![(0, 0); places.len()];
    if selects.is_empty() {
        return Ok(counted);
    }
    let relations: Vec<String> =
        places.iter().filter_map(|(place, _)| Some(place.as_ref()?.full_table_name())).collect();
    check_seen(transaction, &relations)?;
    for row in transaction.query(&selects.join("\nunion all\n"), &[]).could_not("count what would be lost")? {
        let (at, rows, values): (i32, i64, i64) = (row.get(0), row.get(1), row.get(2));
        counted[at as usize] = (rows.unsigned_abs(), values.unsigned_abs());
    }
    for (at, (place, harm)) in places.into_iter().enumerate() {
        let Some(place) = place.filter(|_| counted[at].0 > 0) else { continue };
        if let Some(values) = some_of(transaction, place, harm)? {
            counted[at].1 = values;
        }
    }
    Ok(counted)
}

fn count_of(at: usize, place: &Place) -> String {
    let what = place.column.as_ref().map_or("*".to_owned(), |column| format!("t.{}", escape_identifier(column)));
    format!("select {at}::int4, pg_catalog.count(*), pg_catalog.count({what}) from {} t", place.relation())
}

/// How many values are lost where it need not be all; None where the server cannot tell.
fn some_of(transaction: &mut Transaction<'_>, place: &Place, harm: &Harm) -> Result<Option<u64>> {
    let Some(column) = place.column.as_ref().map(|column| format!("t.{}", escape_identifier(column))) else {
        return Ok(None);
    };
    let (kind, default) = type_and_default(transaction, place)?;
    let comes_back = match (harm, default) {
        (Harm::Retypes(to), _) => format!("{column}::{to}::{kind}"),
        (Harm::DropsDefault, Some(default)) => format!("({default})"),
        _ => return Ok(None),
    };
    let is_lost = format!("{comes_back}::text is distinct from {column}::text");
    let sql = format!("select pg_catalog.count(*) from {} t where {is_lost}", place.relation());
    // A type that is not there yet, or a value that the cast refuses: all of them are at stake then.
    let mut trial = transaction.transaction().could_not("begin a savepoint")?;
    Ok(trial.query_one(&sql, &[]).ok().map(|row| row.get::<_, i64>(0).unsigned_abs()))
}

pub fn type_and_default(transaction: &mut Transaction<'_>, place: &Place) -> Result<(String, Option<String>)> {
    const COLUMN: &str = "
        select pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.pg_get_expr(d.adbin, d.adrelid)
          from pg_catalog.pg_attribute a
          join pg_catalog.pg_class c on c.oid = a.attrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where n.nspname = $1 and c.relname = $2 and a.attname = $3";
    let Place { schema, table, column } = place;
    let row = transaction.query_one(COLUMN, &[schema, table, column]).could_not(&format!("look at {place}"))?;
    Ok((row.get(0), row.get(1)))
}

/// Whether every value of a column is its default, which is there; `there` is all that is.
pub fn holds_its_default(transaction: &mut Transaction<'_>, there: &Stock, place: &Place) -> Result<bool> {
    let (rows, others) = match there.has(place) {
        true => at_stake(transaction, [(Some(place), &Harm::DropsDefault)].into_iter())?[0],
        false => (0, 0),
    };
    Ok(rows > 0 && others == 0 && type_and_default(transaction, place)?.1.is_some())
}

/// What differs between two moments of the same database: `before`, and `after` a script. `born` has the names of the
/// beginning.
pub fn removals(born: &Stock, before: (&Stock, &Prints), after: (&Stock, &Prints)) -> Vec<Removal> {
    let removal =
        |(id, harm)| Removal { then: before.0.place(id), now: born.contains(id).then(|| born.place(id)), harm };
    let dropped = before.0.without(after.0).into_iter().map(|id| (id, Harm::Drops));
    let retyped = before.0.retyped(after.0).map(|(id, to)| (id, Harm::Retypes(to)));
    let harmed: Vec<_> = before.1.harmed(after.1).collect();
    let is_harmed = |id: &_| harmed.iter().any(|(harmed, _)| harmed == id);
    let retyped: Vec<_> = retyped.filter(|(id, _)| !is_harmed(id)).collect();
    dropped.chain(retyped).chain(harmed).map(removal).collect()
}

/// The relations of `losses`, to be locked.
pub fn relations(losses: &[Loss]) -> BTreeSet<String> {
    losses.iter().map(|loss| loss.removal.then.relation()).collect()
}

/// The datasource's schema, and every other in which something is lost.
pub fn schemas_of<'a>(ours: &[&str], losses: impl Iterator<Item = &'a Loss>) -> Vec<String> {
    let others: BTreeSet<&str> = losses
        .filter(|loss| loss.rows > 0)
        .map(|loss| loss.place().schema.as_str())
        .filter(|schema| !ours.contains(schema))
        .collect();
    ours.iter().copied().chain(others).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    /// Two rows, of which a user has changed `changed` in one.
    const TABLE: &str = "
        create table t (
            id int, constant int default 7, nothing text default null, words text not null default 'it''s',
            moment timestamptz default clock_timestamp(), number serial, changed int default 7);
        insert into t (id) values (1), (2);
        update t set changed = 8 where id = 2";

    #[test]
    fn of_what_comes_back_with_its_default_only_other_values_are_at_stake() {
        let mut database = Database::new();
        database.run(TABLE);
        let removal = |column: &str, harm| {
            let place = Place { schema: "public".to_owned(), table: "t".to_owned(), column: Some(column.to_owned()) };
            Removal { then: place.clone(), now: Some(place), harm }
        };
        let mut values =
            |column: &str, harm| losses(&mut database.connection, &[removal(column, harm)]).unwrap()[0].values;
        for (column, others) in
            [("constant", 0), ("nothing", 0), ("words", 0), ("moment", 2), ("number", 2), ("changed", 1)]
        {
            assert_eq!(values(column, Harm::DropsDefault), others, "{column}");
        }
        assert_eq!(
            [values("constant", Harm::Drops), values("nothing", Harm::Drops)],
            [2, 0],
            "where nothing brings it back"
        );
    }
}
