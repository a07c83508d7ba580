//! Rows for tables without a description, made by the types of their columns: a rehearsal on empty tables would
//! call every loss reversible.
//!
//! Unlike `seed`, nothing here is believable. The rows only have to be there, to differ, and to satisfy what the schema
//! asks: foreign keys point to rows that exist, and what cannot be filled is named.

use std::collections::BTreeSet;

use postgres::{Row, Transaction};
use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::ledger::LEDGER_TABLE;

/// A table without rows.
#[derive(Debug, Default)]
struct Empty {
    /// Qualified and quoted.
    name: String,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// As SQL writes it, with its length and precision.
    sql_type: String,
    /// Of the base type, where this is a domain.
    type_name: String,
    category: String,
    required: bool,
    /// The table and the column that a foreign key takes its values from.
    key: Option<(String, String)>,
}

/// Puts `rows` rows into each table of `schemas` that has none, but for those named in `except`, as `counts` names them. Returns which
/// stayed empty, each as a sentence.
///
/// # Errors
/// `failed` when the server cannot be asked; a table that refuses its rows is not an error.
pub fn fill_empty(connection: &mut Connection, schemas: &[&str], except: &[String], rows: u64) -> Result<Vec<String>> {
    let mut left = in_order(connection.read(|transaction| empty_tables(transaction, schemas, except))?);
    loop {
        let tried = left.len();
        let fill = |table: Empty| Some((fill(connection, &table, rows).err()?, table));
        let refused: Vec<(Failure, Empty)> = left.into_iter().filter_map(fill).collect();
        if refused.is_empty() || refused.len() == tried {
            let sentence = |(failure, table): (Failure, Empty)| {
                format!(
                    "no rows could be made for table {}: {}",
                    table.name,
                    failure.causes().collect::<Vec<_>>().join("; ")
                )
            };
            return Ok(refused.into_iter().map(sentence).collect());
        }
        left = refused.into_iter().map(|(_, table)| table).collect();
    }
}

/// Tables after those that their keys point to; those in a circle of keys last.
fn in_order(mut tables: Vec<Empty>) -> Vec<Empty> {
    let mut ordered = Vec::new();
    while !tables.is_empty() {
        let names: BTreeSet<String> = tables.iter().map(|table| table.name.clone()).collect();
        let waits = |table: &Empty| table.points_to().any(|other| *other != table.name && names.contains(other));
        let (later, now): (Vec<Empty>, Vec<Empty>) = tables.into_iter().partition(waits);
        if now.is_empty() {
            ordered.extend(later);
            break;
        }
        ordered.extend(now);
        tables = later;
    }
    ordered
}

impl Empty {
    fn points_to(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().filter_map(|column| column.key.as_ref()).map(|(table, _)| table)
    }
}

fn empty_tables(transaction: &mut Transaction<'_>, schemas: &[&str], except: &[String]) -> Result<Vec<Empty>> {
    const COLUMNS: &str = "
        select pg_catalog.format('%I.%I', n.nspname, c.relname), a.attname::text,
               pg_catalog.format_type(a.atttypid, a.atttypmod), b.typname::text, b.typcategory::text, a.attnotnull,
               k.target, k.column
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                                        and a.attgenerated = '' and a.attidentity = '' and not a.atthasdef
          join pg_catalog.pg_type t on t.oid = a.atttypid
          join pg_catalog.pg_type b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
          left join lateral (
               select pg_catalog.format('%I.%I', rn.nspname, r.relname) as target, ra.attname::text as column
                 from pg_catalog.pg_constraint f
                 join pg_catalog.pg_class r on r.oid = f.confrelid
                 join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
                 cross join lateral unnest(f.conkey, f.confkey) as u (here, there)
                 join pg_catalog.pg_attribute ra on ra.attrelid = r.oid and ra.attnum = u.there
                where f.conrelid = c.oid and f.contype = 'f' and u.here = a.attnum order by f.oid limit 1) k on true
         where n.nspname = any($1) and c.relname <> $2 and n.nspname || '.' || c.relname <> all($3) and c.relkind in ('r', 'p') and not c.relispartition
           and c.relpersistence <> 't' and not pg_catalog.row_security_active(c.oid)
         order by 1, a.attnum";
    let rows =
        transaction.query(COLUMNS, &[&schemas, &LEDGER_TABLE, &except]).could_not("look at the tables to fill")?;
    let mut tables: Vec<Empty> = Vec::new();
    for row in &rows {
        let name: String = row.get(0);
        if tables.last().is_none_or(|table| table.name != name) {
            tables.push(Empty { name, columns: Vec::new() });
        }
        if let Some(table) = tables.last_mut() {
            table.columns.push(column(row));
        }
    }
    let mut empty = Vec::new();
    for table in tables {
        let any = transaction.query(&format!("select from {} limit 1", table.name), &[]);
        if any.could_not("look for rows")?.is_empty() {
            empty.push(table);
        }
    }
    Ok(empty)
}

fn column(row: &Row) -> Column {
    Column {
        name: row.get(1),
        sql_type: row.get(2),
        type_name: row.get(3),
        category: row.get(4),
        required: row.get(5),
        key: row.get::<_, Option<String>>(6).zip(row.get(7)),
    }
}

fn fill(connection: &mut Connection, table: &Empty, rows: u64) -> Result<()> {
    let filled: Vec<(String, String)> =
        table.columns.iter().filter_map(|column| Some((escape_identifier(&column.name), column.value()?))).collect();
    let (names, values): (Vec<String>, Vec<String>) = filled.into_iter().unzip();
    let sql = format!(
        "insert into {} ({}) select {} from pg_catalog.generate_series(1, {rows}) made (n)",
        table.name,
        names.join(", "),
        values.join(", ")
    );
    connection.write(|transaction| transaction.batch_execute(&sql).could_not(&format!("fill table {}", table.name)))
}

impl Column {
    /// The value of row `n` as SQL; None leaves the column NULL, where it may be and nothing better is known.
    fn value(&self) -> Option<String> {
        if let Some((table, column)) = &self.key {
            let column = escape_identifier(column);
            // The other table may have a column `n` of its own.
            let turn = format!("(made.n - 1) % greatest((select pg_catalog.count(*) from {table}), 1)");
            return Some(format!("(select k.{column} from {table} k offset {turn} limit 1)"));
        }
        let value = match (self.type_name.as_str(), self.category.as_str()) {
            ("uuid", _) => "pg_catalog.md5(n::text)",
            ("json" | "jsonb", _) => "pg_catalog.jsonb_build_object('n', n)",
            ("bytea", _) => "pg_catalog.decode(pg_catalog.md5(n::text), 'hex')",
            ("date" | "timestamp" | "timestamptz", _) => "'2026-01-01 00:00Z'::timestamptz + n * '1 day'::interval",
            ("time" | "timetz", _) => "'00:00'::time + n * '1 minute'::interval",
            ("interval", _) => "n * '1 minute'::interval",
            (_, "N" | "S") => "n",
            (_, "B") => "n % 2 = 0",
            (_, "A") => "'{}'::text",
            (_, "I") => "'10.0.0.0'::inet + n",
            (_, "R") => "'empty'::text",
            (_, "E") => return Some(format!("(pg_catalog.enum_range(null::{}))[1]", self.sql_type)),
            _ if self.required => "n::text",
            _ => return None,
        };
        Some(format!("({value})::{}", self.sql_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    const TABLES: &str = "
        create type mood as enum ('calm', 'not');
        create domain code as varchar(3) check (value <> 'x');
        create table a_child (id serial primary key, parent int not null references parent_of_all (id), alone int);
        create table row_of_types (
          u uuid primary key, j jsonb not null, b bytea, at timestamptz, day date, t time, i interval, s varchar(2), c code,
          m mood, f double precision, d numeric(6, 2), ok boolean, l text[], host inet, r int4range, p point,
          twice int generated always as (2) stored, id bigint generated always as identity);";

    #[test]
    fn tables_are_filled_by_type_after_those_that_their_keys_point_to() {
        let mut database = Database::new();
        database.run(&format!(
            "create table parent_of_all (id int primary key, own int references parent_of_all, n int, made int);{TABLES}"
        ));
        assert_eq!(fill_empty(&mut database.connection, &["public"], &[], 20).unwrap(), Vec::<String>::new());
        assert_eq!(database.ask::<i64>("select count(distinct parent) from public.a_child"), 20);
        let filled = "select count(*) from public.row_of_types where row(u, j, b, at, day, t, i, s, c, m, f, d, ok, l, host, r) is not null";
        assert_eq!(database.ask::<i64>(filled), 20);
    }

    #[test]
    fn what_has_rows_is_left_alone_and_what_refuses_them_is_named() {
        let mut database = Database::new();
        database.run(
            "create table full_one (id int); insert into full_one values (7);
             create table refuses (id int check (id < 0));
             create table parts (id int) partition by list (id);",
        );
        let left = fill_empty(&mut database.connection, &["public"], &[], 5).unwrap();
        assert_eq!(database.ask::<i64>("select count(*) from public.full_one"), 1);
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left[0].starts_with("no rows could be made for table public.parts: "), "{left:?}");
        assert!(left[1].contains("refuses_id_check"), "{left:?}");
    }
}
