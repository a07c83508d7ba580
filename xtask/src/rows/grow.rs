//! Many rows for tables that have few, by one statement a table: what a rehearsal of large tables is made with.
//!
//! Values are made as `filler` makes them, from numbers that are not in order, since an index of ordered values is built faster than
//! production's would be. Keys point to rows that are there, in turn. What a unique index refuses is left out, so what counts is how many
//! there are afterwards.

use std::time::Instant;

use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::filler::{in_order, table_of};
use crate::rows::ways::{Column, Empty};
use crate::schema::place::Place;

/// Columns of a table that are in a unique index or an exclusion.
const UNIQUE: &str = "
    select distinct a.attname::text from pg_catalog.pg_index i
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
     where i.indrelid = $1::text::pg_catalog.regclass and (i.indisunique or i.indisexclusion)";

/// More are not tried.
const MANY_WAYS: usize = 24;

/// A prime, so that its multiples go through all numbers below another one, and not in order.
const STRIDE: u64 = 2_654_435_761;

/// What became of one table.
#[derive(Debug, PartialEq, Eq)]
pub struct Grown {
    pub rows: u64,
    /// Why there are not as many as were wanted.
    pub why: Option<String>,
}

/// How many rows, of what kind, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub rows: u64,
    pub variety: Variety,
    pub until: Instant,
}

/// How values differ that need not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variety {
    All,
    /// So many numbers are behind them: those of the rows of the smallest table, to which a key may want to point that is not there yet.
    Of(u64),
    /// As in the few rows that were there.
    Copies,
}

/// Gives `place` as many rows as are wanted, from the few that it has; none where it has none.
///
/// # Errors
/// `failed` when the server cannot be asked. A table that takes no more is not an error.
pub fn grow(connection: &mut Connection, place: &Place, wanted: Wanted) -> Result<Grown> {
    let (table, unique) = connection.read(|transaction| {
        let table = table_of(transaction, &place.schema, &place.table)?;
        let rows = transaction.query(UNIQUE, &[&table.name]).could_not("look at a table's unique indexes")?;
        Ok((table, rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()))
    })?;
    let mut rows = connection.read(|transaction| count(transaction, &table.name))?;
    let mut why = None;
    for way in ways(&table, &unique, wanted.variety) {
        if rows == 0 || is_enough(rows, wanted.rows) {
            break;
        }
        let before = rows;
        match more(connection, &way.insert(&table, rows, wanted.rows), wanted.until) {
            Some(refused) => why = why.or(Some(refused)),
            None => rows = connection.read(|transaction| count(transaction, &table.name))?,
        }
        let none = || "its unique indexes take no more".to_owned();
        why = why.or_else(|| (rows == before).then(none));
    }
    Ok(Grown { rows, why: why.filter(|_| !is_enough(rows, wanted.rows)) })
}

/// But for a few that a unique index has refused.
pub fn is_enough(rows: u64, wanted: u64) -> bool {
    rows.saturating_mul(100) >= wanted.saturating_mul(99)
}

/// What the server says to it, where it refuses.
fn more(connection: &mut Connection, insert: &str, until: Instant) -> Option<String> {
    let left = until.saturating_duration_since(Instant::now()).as_millis().max(1);
    let script = format!("set local statement_timeout = {left}; set local synchronize_seqscans = off; {insert}");
    let sent = connection.write(|transaction| transaction.batch_execute(&script).could_not("fill a table"));
    sent.err().map(|failure| failure.causes().collect::<Vec<_>>().join("; "))
}

fn count(transaction: &mut Transaction<'_>, table: &str) -> Result<u64> {
    let row = transaction.query_one(&format!("select pg_catalog.count(*) from {table}"), &[]);
    Ok(row.could_not("count what was filled")?.get::<_, i64>(0).unsigned_abs())
}

/// Those that the keys of others point to come first.
///
/// # Errors
/// `failed` when the server cannot be asked.
pub fn in_order_of_keys(connection: &mut Connection, places: Vec<Place>) -> Result<Vec<Place>> {
    let mut tables: Vec<(Empty, Place)> = connection.read(|transaction| {
        let table = |place: Place| Ok((table_of(transaction, &place.schema, &place.table)?, place));
        places.into_iter().map(table).collect()
    })?;
    let names: Vec<(String, Place)> = tables.iter().map(|(table, place)| (table.name.clone(), place.clone())).collect();
    let ordered = in_order(tables.drain(..).map(|(table, _)| table).collect());
    let place = |table: Empty| names.iter().find(|(name, _)| *name == table.name).map(|(_, place)| place.clone());
    Ok(ordered.into_iter().filter_map(place).collect())
}

/// How values that are no keys come about.
struct Way<'a> {
    /// Of unique columns in place of the one by type, what their checks may ask for.
    likely: Option<usize>,
    variety: Variety,
    /// A value where the server has one.
    given: bool,
    unique: &'a [String],
}

/// By type first; then what need not differ as in rows that are there.
fn ways<'a>(table: &Empty, unique: &'a [String], variety: Variety) -> Vec<Way<'a>> {
    let most = table.columns.iter().map(|column| column.likely.len()).max().unwrap_or_default();
    let way = |likely, variety, given| Way { likely, variety, given, unique };
    let plain = [way(None, Variety::Copies, false), way(None, Variety::Copies, true)];
    let likely = (0..most).map(|at| way(Some(at), Variety::Copies, false));
    let varied = (variety != Variety::Copies).then(|| way(None, variety, false));
    varied.into_iter().chain(plain).chain(likely).take(MANY_WAYS).collect()
}

impl Way<'_> {
    /// Rows `from` + 1 to `to`.
    fn insert(&self, table: &Empty, from: u64, to: u64) -> String {
        let mut targets: Vec<&str> = Vec::new();
        let values = table.columns.iter().filter_map(|column| {
            let value = self.value(column, &mut targets)?;
            Some((escape_identifier(&column.name), value))
        });
        let (names, values): (Vec<String>, Vec<String>) = values.unzip();
        let keys = targets.iter().enumerate().map(|(at, target)| in_turn(&format!("k{at}"), target));
        let copied = (self.variety == Variety::Copies).then(|| in_turn("s", &table.name));
        let joins: String = keys.chain(copied).collect();
        let (first, count) = (from + 1, to - from);
        let numbers = format!(
            "(select i, {first} + (i - {first}) * {STRIDE} % {count} as n from pg_catalog.generate_series({first}::int8, {to}) g (i)) made"
        );
        match names.as_slice() {
            [] => format!("insert into {} select from {numbers}", table.name),
            names => format!(
                "insert into {} ({}) overriding system value select {} from {numbers}{joins} on conflict do nothing",
                table.name,
                names.join(", "),
                values.join(", ")
            ),
        }
    }

    /// None leaves it to the server.
    fn value<'t>(&self, column: &'t Column, targets: &mut Vec<&'t str>) -> Option<String> {
        let is_unique = self.unique.contains(&column.name);
        if let Some((target, there)) = column.keys.first() {
            let at = targets.iter().position(|known| known == target).unwrap_or_else(|| {
                targets.push(target);
                targets.len() - 1
            });
            return Some(format!("(k{at}.r).{}", escape_identifier(there)));
        }
        match () {
            () if column.has_default && !(self.given && is_unique) => None,
            () if is_unique => self.likely.and_then(|at| column.likely.get(at)).or(Some(&column.made)).cloned(),
            () => Some(self.varied(column)),
        }
    }

    fn varied(&self, column: &Column) -> String {
        match self.variety {
            Variety::All => column.made.clone(),
            Variety::Of(numbers) => {
                format!("(select {} from (select 1 + (made.n - 1) % {numbers} as n) made)", column.made)
            }
            Variety::Copies => format!("(s.r).{}", escape_identifier(&column.name)),
        }
    }
}

/// The rows of `table` beside the made numbers, again and again.
fn in_turn(name: &str, table: &str) -> String {
    format!(
        " left join (select r, pg_catalog.row_number() over () as turn from {table} r) {name}
            on {name}.turn = 1 + (made.i - 1) % greatest((select pg_catalog.count(*) from {table}), 1)"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::postgres::server::Database;
    use crate::rows::filler::fill_empty;

    /// What each table has after `rows` were wanted of it.
    fn grown(database: &mut Database, tables: &[&str], rows: u64) -> Vec<Grown> {
        let left = fill_empty(&mut database.connection, &["public"], &[], 20).unwrap();
        assert_eq!(left, [""; 0]);
        let place = |table: &&str| Place { schema: "public".to_owned(), table: (*table).to_owned(), column: None };
        let places = in_order_of_keys(&mut database.connection, tables.iter().map(place).collect()).unwrap();
        let wanted = Wanted { rows, variety: Variety::All, until: Instant::now() + Duration::from_secs(60) };
        places.iter().map(|place| grow(&mut database.connection, place, wanted).unwrap()).collect()
    }

    #[test]
    fn keys_uniques_checks_and_defaults_are_respected() {
        let mut database = Database::new();
        database.run(
            "create type mood as enum ('calm', 'so so');
             create table child (id uuid primary key default gen_random_uuid(), parent int not null references parent, mood mood,
                                 small smallint, n numeric(3, 2), at timestamptz not null, day date);
             create table parent (id serial primary key, mail text not null unique check (mail ~ '^[^@ ]+@[^@ ]+$'),
                                  state text not null check (state in ('on', 'off')), self int references parent);
             create table one_to_one (id int primary key references parent (id), \"n\" int generated always as identity);
             create table pair (a int, b int, c text, primary key (a, b));
             create table span (begins date not null, ends date not null, check (begins <= ends));
             create table parts (id int, at date not null) partition by range (at);
             create table part_1 partition of parts for values from ('2020-02-01') to ('2020-03-01');"
                .replacen("create table child", "create table parent_first (id int); create table child", 1)
                .replacen(" references parent, mood", ", mood", 1)
                .as_str(),
        );
        database.run("alter table child add foreign key (parent) references parent");
        let tables = ["child", "parent", "one_to_one", "pair", "span", "parts"];
        let grown = grown(&mut database, &tables, 40_000);
        assert!(grown.iter().all(|one| is_enough(one.rows, 40_000) && one.why.is_none()), "{grown:?}");
        assert!(database.ask::<i64>("select count(distinct parent) from public.child") > 39_000, "in turn");
        assert_eq!(database.ask::<i64>("select count(distinct mood) from public.child"), 2);
    }

    #[test]
    fn what_takes_no_more_says_why_and_what_has_no_row_gets_none() {
        let mut database = Database::new();
        database.run(
            "create table flag (ok boolean not null unique); create table few (id smallint primary key);
             create table grumpy (id int); create function refuse() returns trigger language plpgsql as
             $$ begin if (select count(*) from public.grumpy) > 20 then raise 'enough'; end if; return new; end $$;
             create trigger t after insert on grumpy for each statement execute function refuse();",
        );
        let grown = grown(&mut database, &["flag", "few", "grumpy"], 50_000);
        let said: Vec<String> = grown.iter().map(|one| format!("{} {:?}", one.rows, one.why)).collect();
        insta::assert_snapshot!(said.join("\n"));
        database.run("create table none (id int); create table kinds (id serial primary key, n int); insert into kinds (n) values (1)");
        let kinds = Place { schema: "public".to_owned(), table: "kinds".to_owned(), column: None };
        let wanted = Wanted { rows: 900, variety: Variety::Of(50), until: Instant::now() + Duration::from_secs(60) };
        grow(&mut database.connection, &kinds, wanted).unwrap();
        assert_eq!(database.ask::<i64>("select count(distinct n) from public.kinds where n between 1 and 50"), 50);
        assert_eq!(database.ask::<i64>("select count(*) from public.kinds where n between 1 and 50"), 900);
        let place = Place { schema: "public".to_owned(), table: "none".to_owned(), column: None };
        let wanted = Wanted { rows: 5, variety: Variety::All, until: Instant::now() + Duration::from_secs(60) };
        assert_eq!(grow(&mut database.connection, &place, wanted).unwrap(), Grown { rows: 0, why: None });
        let late = Wanted { rows: 50_000_000, until: Instant::now(), ..wanted };
        database.run("insert into none values (1)");
        let stopped = grow(&mut database.connection, &place, late).unwrap();
        assert!(stopped.rows == 1 && stopped.why.unwrap().contains("57014"));
    }
}
