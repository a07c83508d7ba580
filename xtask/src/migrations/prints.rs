//! What is in tables, as numbers that can be compared: for each column a sum of hashes, which no order of rows changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;

use crate::error::Result;
use crate::migrations::harm::Harm;
use crate::migrations::stock::{Id, Stock, stock_in};
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::place::Place;

/// Of a larger table the first rows by its primary key are compared, and the others are only counted.
const MOST_ROWS: u64 = 1_000_000;

/// Tables in one statement.
const TABLES_PER_STATEMENT: usize = 100;

/// A table or column, and what is in it.
#[derive(Debug, Clone)]
pub struct Print {
    pub place: Place,
    pub id: Id,
    /// Of the table.
    pub rows: u64,
    /// Not null; of a table, its rows.
    pub values: u64,
    /// Of all values, whatever their order; of a table, none.
    pub hash: String,
    /// Only the first rows were hashed.
    pub is_sample: bool,
    /// Of a column of a few rows, the hash of each value, in order.
    each: Option<Vec<i64>>,
}

impl Print {
    /// Whether every value of `self` is still among those of `now`, beside which there are others.
    fn is_within(&self, now: &Print) -> bool {
        let (Some(before), Some(after)) = (&self.each, &now.each) else { return false };
        let mut rest = after.iter();
        before.iter().all(|value| rest.any(|other| other == value))
    }
}

#[derive(Debug, Clone, Default)]
pub struct Prints(BTreeMap<Id, Print>);

impl Prints {
    pub fn iter(&self) -> impl Iterator<Item = &Print> {
        self.0.values()
    }

    pub fn get(&self, id: Id) -> Option<&Print> {
        self.0.get(&id)
    }

    /// `self`, and of what is not in `tables`, and still there in `stock`, what it was `before`.
    pub fn beside(mut self, before: &Prints, tables: &BTreeSet<u32>, stock: &Stock) -> Prints {
        let is_left = |id: &Id| stock.contains(*id) && !tables.contains(&id.0);
        self.0.extend(before.0.iter().filter(|(id, _)| is_left(id)).map(|(id, print)| (*id, print.clone())));
        self
    }

    /// Rows and values that are no longer there in what `after` still has. A column whose table lost rows is not named beside it.
    pub fn harmed<'a>(&'a self, after: &'a Prints) -> impl Iterator<Item = (Id, Harm)> {
        self.iter().filter_map(|before| {
            let now = after.get(before.id)?;
            let harm = match before.place.column {
                None => (now.rows < before.rows).then_some(Harm::Deletes),
                Some(_) if now.rows < before.rows => None,
                Some(_) => {
                    (before.values > 0 && now.hash != before.hash && !before.is_within(now)).then_some(Harm::Changes)
                }
            };
            harm.map(|harm| (before.id, harm))
        })
    }

    /// The first thing that is lost between here and `now`, as the end of "it would …".
    pub fn worst(&self, now: &Prints) -> Option<String> {
        let (id, _) = self.harmed(now).next()?;
        let (before, now) = (self.get(id)?, now.get(id)?);
        let Print { place, rows, values, .. } = before;
        Some(match place.column {
            None => format!("delete {} rows of {place}", rows - now.rows),
            Some(_) => format!("change values of {place}, which holds {values} in {rows} rows"),
        })
    }

    /// Tables that were compared by their first rows alone, each as a sentence.
    pub fn samples(&self) -> impl Iterator<Item = String> {
        let tables = self.iter().filter(|print| print.is_sample && print.place.column.is_none());
        tables.map(|print| format!("{}: values compared in the first {MOST_ROWS} rows of {}", print.place, print.rows))
    }
}

/// What is in the tables of `stock` that this role may read; where `only` is given, in those. Under our own settings. `then` is an earlier moment: a column
/// that had another type is read as that, since a value that comes back from the new one is not lost.
///
/// # Errors
/// `failed` when this role may not read a table.
pub fn prints_in(
    transaction: &mut Transaction<'_>,
    stock: &Stock,
    only: Option<&BTreeSet<u32>>,
    then: Option<&Stock>,
) -> Result<Prints> {
    let sizes = sizes(transaction)?;
    let tables = tables(stock, only, &sizes);
    prints_of(transaction, tables, stock, then)
}

/// As `prints_in`, of a database with a few rows in each table: rows that are added do not hide there what becomes of the others.
///
/// # Errors
/// As `prints_in`.
pub fn prints_of_few(
    transaction: &mut Transaction<'_>,
    stock: &Stock,
    only: Option<&BTreeSet<u32>>,
    then: Option<&Stock>,
) -> Result<Prints> {
    let mut tables = tables(stock, only, &BTreeMap::new());
    tables.iter_mut().for_each(|table| table.has_few = true);
    prints_of(transaction, tables, stock, then)
}

fn prints_of(
    transaction: &mut Transaction<'_>,
    tables: Vec<Table>,
    stock: &Stock,
    then: Option<&Stock>,
) -> Result<Prints> {
    let has_retyped = |table: &Table| table.columns.iter().any(|(id, _)| is_retyped(*id, stock, then));
    let (retyped, same): (Vec<Table>, Vec<Table>) = tables.into_iter().partition(has_retyped);
    let mut prints = Prints::default();
    for some in same.chunks(TABLES_PER_STATEMENT) {
        prints.read(transaction, some, &|_| None)?;
    }
    for table in retyped {
        let table = [table];
        let as_then = |id| then.filter(|_| is_retyped(id, stock, then)).and_then(|then| then.kind(id));
        let mut trial = transaction.transaction().could_not("begin a savepoint")?;
        match prints.read(&mut trial, &table, &as_then) {
            Ok(()) => trial.commit().could_not("end a savepoint")?,
            Err(_) => {
                trial.rollback().could_not("end a savepoint")?;
                prints.read(transaction, &table, &|_| None)?;
            }
        }
    }
    Ok(prints)
}

/// Every table that this role may read, and what is in it, as texts that can be kept and compared; each statement takes at most
/// `limit`.
pub fn values(connection: &mut Connection, limit: Duration) -> Result<BTreeMap<String, String>> {
    connection.read(|transaction| {
        let sql = format!("set local statement_timeout = {}", limit.as_millis());
        transaction.batch_execute(&sql).could_not("set a time limit")?;
        let stock = stock_in(transaction)?;
        let prints = prints_in(transaction, &stock, None, None)?;
        let columns = prints.iter().filter(|print| print.place.column.is_some());
        Ok(columns.map(|print| (print.place.to_string(), format!("{} {}", print.values, print.hash))).collect())
    })
}

fn is_retyped(id: Id, stock: &Stock, then: Option<&Stock>) -> bool {
    then.and_then(|then| then.kind(id)).is_some_and(|kind| Some(kind) != stock.kind(id))
}

/// What is known of a table before it is read.
struct Size {
    rows: f32,
    key: Vec<String>,
}

fn sizes(transaction: &mut Transaction<'_>) -> Result<BTreeMap<u32, Size>> {
    const LARGE: &str = "
        select c.oid, c.reltuples,
               array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum = any(i.indkey))
          from pg_catalog.pg_class c
          join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
         where c.relkind in ('r', 'p') and c.reltuples > $1::float4";
    let rows = transaction.query(LARGE, &[&(MOST_ROWS as f32)]).could_not("look at the sizes of tables")?;
    Ok(rows.iter().map(|row| (row.get(0), Size { rows: row.get(1), key: row.get(2) })).collect())
}

struct Table {
    id: Id,
    place: Place,
    columns: Vec<(Id, Place)>,
    /// The rows that are read, as SQL.
    source: String,
    is_sample: bool,
    has_few: bool,
}

/// Tables with their columns. A partition's rows are its root's.
fn tables(stock: &Stock, only: Option<&BTreeSet<u32>>, sizes: &BTreeMap<u32, Size>) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let is_read = |id: &Id| only.map_or_else(|| !stock.is_closed(id.0), |only| only.contains(&id.0));
    for (id, place) in stock.of_roots().filter(|(id, _)| is_read(id)) {
        match (place.column.is_none(), tables.last_mut()) {
            (false, Some(table)) => table.columns.push((id, place)),
            _ => tables.push(table(stock, id, place, sizes.get(&id.0))),
        }
    }
    tables
}

fn table(stock: &Stock, id: Id, place: Place, size: Option<&Size>) -> Table {
    let all = format!("{}{}", if stock.is_plain(id.0) { "only " } else { "" }, place.relation());
    let key = |size: &Size| size.key.iter().map(|column| escape_identifier(column)).collect::<Vec<_>>().join(", ");
    let source = match size.filter(|size| size.rows > MOST_ROWS as f32) {
        Some(size) => format!("(select * from {all} order by {} limit {MOST_ROWS})", key(size)),
        None => all,
    };
    Table { id, place, columns: Vec::new(), source, is_sample: size.is_some(), has_few: false }
}

impl Prints {
    fn read<'a>(
        &mut self,
        transaction: &mut Transaction<'_>,
        tables: &[Table],
        read_as: &dyn Fn(Id) -> Option<&'a str>,
    ) -> Result<()> {
        let selects: Vec<String> = tables.iter().enumerate().map(|(at, table)| table.select(at, read_as)).collect();
        let rows = transaction.query(&selects.join("\nunion all\n"), &[]).could_not("read what is in the tables")?;
        for row in rows {
            let table = &tables[row.get::<_, i32>(0) as usize];
            let rows = row.get::<_, i64>(1).unsigned_abs();
            let contents = row.get::<_, Vec<String>>(2).into_iter().zip(row.get::<_, Vec<i64>>(3));
            let is_sample = table.is_sample;
            let itself = Print {
                place: table.place.clone(),
                id: table.id,
                rows,
                values: rows,
                hash: String::new(),
                is_sample,
                each: None,
            };
            self.0.insert(table.id, itself);
            let each: Vec<Option<String>> = row.get(4);
            for (((id, place), (hash, values)), each) in table.columns.iter().zip(contents).zip(each) {
                let each = each.filter(|_| table.has_few).map(|list| sorted(&list));
                let values = values.unsigned_abs();
                let print = Print { place: place.clone(), id: *id, rows, values, hash, is_sample, each };
                self.0.insert(*id, print);
            }
        }
        Ok(())
    }
}

fn sorted(list: &str) -> Vec<i64> {
    let mut hashes: Vec<i64> = list.split(',').filter_map(|hash| hash.parse().ok()).collect();
    hashes.sort_unstable();
    hashes
}

impl Table {
    fn select<'a>(&self, at: usize, read_as: &dyn Fn(Id) -> Option<&'a str>) -> String {
        let column =
            |(_, place): &(Id, Place)| format!("t.{}", escape_identifier(place.column.as_deref().unwrap_or_default()));
        let hash = |one: &(Id, Place)| {
            let cast = read_as(one.0).map(|kind| format!("::{kind}")).unwrap_or_default();
            format!("pg_catalog.hashtextextended({}{cast}::text, 0)", column(one))
        };
        let sum = |one| format!("coalesce(pg_catalog.sum({}::numeric), 0)::text", hash(one));
        let hashes: Vec<String> = self.columns.iter().map(sum).collect();
        let list = |one| match self.has_few {
            true => format!("pg_catalog.string_agg({}::text, ',')", hash(one)),
            false => "null".to_owned(),
        };
        let each: Vec<String> = self.columns.iter().map(list).collect();
        let values: Vec<String> = self.columns.iter().map(|one| format!("pg_catalog.count({})", column(one))).collect();
        let all = if self.is_sample {
            let only = self.place.relation();
            format!("(select pg_catalog.count(*) from {only})")
        } else {
            "pg_catalog.count(*)".to_owned()
        };
        format!(
            "select {at}::int4, {all}, array[{}]::text[], array[{}]::int8[], array[{}]::text[] from {} t",
            hashes.join(", "),
            values.join(", "),
            each.join(", "),
            self.source
        )
    }
}
