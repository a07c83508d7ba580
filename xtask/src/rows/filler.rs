//! Rows for tables without a description, made by the types of their columns: a rehearsal on empty tables would
//! call every loss reversible.
//!
//! Unlike `seed`, nothing here is believable. The rows only have to be there, to differ, and to satisfy what the schema
//! asks: foreign keys point to rows that exist, and what cannot be filled is named.

use std::collections::BTreeSet;

use postgres::{Row, Transaction};
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::error::{Failure, Result};
use crate::headway::Headway;
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::likely;
use crate::rows::made_value::Kinds;
use crate::rows::ways::{Column, Empty};
use crate::schema::ledger::LEDGER_TABLE;

/// Rows that are made one by one, each in a savepoint, where not all of them go in.
const MOST_ONE_BY_ONE: u64 = 1000;

/// Rows of one statement: a second's work.
const AT_ONCE: usize = 100_000;

/// Puts `rows` rows into each table of `schemas` that has none, but for those named in `except`, as `counts` names them. Returns which
/// tables and columns stayed empty, each as a sentence.
///
/// # Errors
/// `failed` when the server cannot be asked; a table that refuses its rows is not an error.
pub fn fill_empty(connection: &mut Connection, schemas: &[&str], except: &[String], rows: u64) -> Result<Vec<String>> {
    fill_counted(connection, (schemas, except), rows, &Headway::default())
}

/// As `fill_empty`, for so many rows that it lasts.
///
/// # Errors
/// As `fill_empty`.
pub fn fill_counted(
    connection: &mut Connection,
    (schemas, except): (&[&str], &[String]),
    rows: u64,
    headway: &Headway,
) -> Result<Vec<String>> {
    let mut left = in_order(connection.read(|transaction| empty_tables(transaction, schemas, except))?);
    let mut filled: Vec<Empty> = Vec::new();
    let mut refused: Vec<(Failure, Empty)> = Vec::new();
    let work = headway.rows(Some(left.len() as u64 * rows));
    while !left.is_empty() {
        let before = filled.len();
        for table in std::mem::take(&mut left) {
            let before = filled.len() as u64 * rows;
            match fill(connection, &table, rows, |rows| work.rows(before + rows, 0)) {
                Ok(()) => filled.push(table),
                Err(failure) => refused.push((failure, table)),
            }
        }
        // A circle of keys may be open now.
        let points_to_new =
            |table: &Empty| table.points_to().any(|name| filled[before..].iter().any(|new| new.name == *name));
        let (again, stuck): (Vec<_>, Vec<_>) = refused.into_iter().partition(|(_, table)| points_to_new(table));
        left = again.into_iter().map(|(_, table)| table).collect();
        refused = stuck;
    }
    let refused = if refused.len() > 1 && fill_together(connection, &refused, rows).is_ok() {
        filled.extend(refused.into_iter().map(|(_, table)| table));
        Vec::new()
    } else {
        refused
    };
    for (at, table) in filled.iter().enumerate() {
        close_circles(connection, table, &filled[at..]);
    }
    let without = match filled.as_slice() {
        [] => Vec::new(),
        filled => connection.read(|transaction| without_values(transaction, filled))?,
    };
    Ok(refused.into_iter().map(sentence).chain(without).collect())
}

fn sentence((failure, table): (Failure, Empty)) -> String {
    let causes: Vec<String> = failure.causes().collect();
    format!("no rows could be made for table {}: {}", table.name, causes.join("; "))
}

/// Tables after those that their keys point to; those in a circle of keys last.
pub fn in_order(mut tables: Vec<Empty>) -> Vec<Empty> {
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

/// All rows in one transaction where that goes, else row by row and in other ways, until there are enough.
fn fill(connection: &mut Connection, table: &Empty, rows: u64, tell: impl Fn(u64)) -> Result<()> {
    let intent = format!("fill table {}", table.name);
    let insert = table.best();
    let all = connection.write(|transaction| {
        (1..=rows).step_by(AT_ONCE).try_for_each(|from| {
            let to = rows.min(from + AT_ONCE as u64 - 1);
            let some = format!("{insert} pg_catalog.generate_series({from}, {to}) made (n)");
            transaction.batch_execute(&some).could_not(&intent)?;
            tell(to);
            Ok(())
        })
    });
    if all.is_ok() {
        return Ok(());
    }
    let ways = table
        .ways()
        .into_iter()
        .map(|way| escape_literal(&format!("{way} pg_catalog.generate_series($1, $2) made (n)")));
    let ways: Vec<String> = ways.collect();
    let script = format!("do {}", escape_literal(&one_by_one(&ways.join(", "), rows)));
    connection.write(|transaction| transaction.batch_execute(&script).could_not(&intent))
}

/// Each way makes all rows, or those that it can; one that makes none of the first two is left. What the server said to the first row is
/// what it says at the end, if none went in.
fn one_by_one(ways: &str, rows: u64) -> String {
    let one_by_one = rows.min(MOST_ONE_BY_ONE);
    format!(
        "declare way text; made int8 := 0; of_this int8; code text; words text;
         begin
           foreach way in array array[{ways}]::text[] loop
             if made = 0 then
               begin
                 execute way using 1, {rows};
                 made := {rows};
                 exit;
               exception when others then
                 if code is null then
                   get stacked diagnostics code = returned_sqlstate, words = message_text;
                 end if;
               end;
             end if;
             of_this := 0;
             for n in 1..{one_by_one} loop
               exit when made >= {one_by_one} or (n > 2 and of_this = 0);
               begin
                 execute way using n, n;
                 made := made + 1;
                 of_this := of_this + 1;
               exception when others then
                 null;
               end;
             end loop;
             exit when made >= {one_by_one};
           end loop;
           if made = 0 then
             raise exception using errcode = code, message = words;
           end if;
         end"
    )
}

/// Tables whose keys wait for each other, where the server lets all of them wait for the end of the transaction: rows of one number
/// point to each other.
fn fill_together(connection: &mut Connection, tables: &[(Failure, Empty)], rows: u64) -> Result<()> {
    let waiting = |name: &str| tables.iter().map(|(_, table)| table).find(|table| table.name == *name);
    let is_meant = |name: &str, column: &str| {
        let mut keys = tables.iter().flat_map(|(_, table)| &table.columns).flat_map(|column| &column.keys);
        keys.any(|(target, there)| target == name && there == column)
    };
    let value = |table: &Empty, column: &Column| {
        let other = column.keys.first().and_then(|(target, there)| {
            waiting(target)?.columns.iter().find(|column| column.name == *there).map(|column| column.made.clone())
        });
        let own = || is_meant(&table.name, &column.name).then(|| column.made.clone());
        other.or_else(own).map_or_else(|| column.choices(table).usual.swap_remove(0), Some)
    };
    let insert = |(_, table): &(Failure, Empty)| {
        let values = table.columns.iter().map(|column| value(table, column)).collect();
        format!("{} pg_catalog.generate_series(1, {rows}) made (n);", table.insert(values))
    };
    let inserts: String = tables.iter().map(insert).collect();
    let script = format!("set constraints all deferred; {inserts}");
    connection.write(|transaction| transaction.batch_execute(&script).could_not("fill tables together"))
}

/// Gives a key that may be null, and was when its target had no rows, which are of the tables in `since`, a row to point to. Where that is
/// refused it stays so, and is named.
fn close_circles(connection: &mut Connection, table: &Empty, since: &[Empty]) {
    let keys = table.columns.iter().filter(|column| !column.required);
    let keys = keys.filter_map(|column| Some((column, column.keys.first()?)));
    for (column, (target, there)) in keys.filter(|(_, (target, _))| since.iter().any(|new| new.name == *target)) {
        let (name, column, there) = (&table.name, escape_identifier(&column.name), escape_identifier(there));
        let sql = format!(
            "update {name} t set {column} = k.v
               from (select r.ctid as place, pg_catalog.row_number() over () as n from {name} r) r
               join (select k.{there} as v, pg_catalog.row_number() over () as n from {target} k) k using (n)
              where t.ctid = r.place and t.{column} is null"
        );
        let _ = connection.write(|transaction| transaction.batch_execute(&sql).could_not("close a circle of keys"));
    }
}

/// Tables that kept no row after all, and columns that have no value in any, each as a sentence.
fn without_values(transaction: &mut Transaction<'_>, tables: &[Empty]) -> Result<Vec<String>> {
    let mut sentences = Vec::new();
    for table in tables {
        let count = |column: &Column| format!("pg_catalog.count({})", escape_identifier(&column.name));
        let counts: Vec<String> =
            ["pg_catalog.count(*)".to_owned()].into_iter().chain(table.columns.iter().map(count)).collect();
        let row = transaction.query_one(&format!("select {} from {}", counts.join(", "), table.name), &[]);
        let row = row.could_not("look at what was filled")?;
        if row.get::<_, i64>(0) == 0 {
            sentences
                .push(format!("no rows could be made for table {}: the server took them and kept none", table.name));
            continue;
        }
        let none = table.columns.iter().enumerate().filter(|(at, _)| row.get::<_, i64>(at + 1) == 0);
        sentences.extend(none.map(|(_, column)| {
            format!("no value could be made for column {}.{}", table.name, escape_identifier(&column.name))
        }));
    }
    Ok(sentences)
}

/// A row a column of these tables, or one for a table that has none.
fn columns(transaction: &mut Transaction<'_>, tables: &[u32]) -> Result<Vec<Row>> {
    const COLUMNS: &str = "
        select pg_catalog.format('%I.%I', n.nspname, c.relname), a.attname::text, a.atttypid,
               pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull or t.typnotnull, a.atthasdef or a.attidentity <> '',
               array(select pg_catalog.format('%I.%I', rn.nspname, r.relname) from pg_catalog.pg_constraint f
                 join pg_catalog.pg_class r on r.oid = f.confrelid
                 join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
                where f.conrelid = c.oid and f.contype = 'f' and a.attnum = any(f.conkey)
                order by pg_catalog.cardinality(f.conkey) desc, f.oid),
               array(select ra.attname::text from pg_catalog.pg_constraint f
                 cross join lateral unnest(f.conkey, f.confkey) as u (here, there)
                 join pg_catalog.pg_attribute ra on ra.attrelid = f.confrelid and ra.attnum = u.there
                where f.conrelid = c.oid and f.contype = 'f' and u.here = a.attnum
                order by pg_catalog.cardinality(f.conkey) desc, f.oid),
               pg_catalog.concat_ws(' ',
                 (select pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(f.oid), ' ') from pg_catalog.pg_constraint f
                   where f.contype = 'c' and ((f.conrelid = c.oid and a.attnum = any(f.conkey))
                      or f.contypid in (t.oid, t.typbasetype) and f.contypid <> 0)),
                 (select pg_catalog.string_agg(pg_catalog.pg_get_expr(p.relpartbound, p.oid), ' ') from pg_catalog.pg_class p
                    join pg_catalog.pg_inherits i on i.inhrelid = p.oid and p.relispartition
                    join pg_catalog.pg_partitioned_table q on q.partrelid = i.inhparent
                   where i.inhparent = c.oid and a.attnum = any(q.partattrs))),
               a.attgenerated <> '' as is_generated
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          left join pg_catalog.pg_type t on t.oid = a.atttypid
         where c.oid = any($1)
         order by 1, a.attnum";
    transaction.query(COLUMNS, &[&tables]).could_not("look at the tables to fill")
}

/// The ways to make one row of a table, whatever it holds; as `Empty::ways` has them.
///
/// # Errors
/// `failed` when the server cannot be asked.
pub fn ways_of(transaction: &mut Transaction<'_>, schema: &str, table: &str) -> Result<Vec<String>> {
    Ok(table_of(transaction, schema, table)?.ways())
}

/// A table, whatever it holds.
///
/// # Errors
/// `failed` when the server cannot be asked.
pub fn table_of(transaction: &mut Transaction<'_>, schema: &str, table: &str) -> Result<Empty> {
    const TABLE: &str = "
        select pg_catalog.format('%I.%I', $1::text, $2::text),
               array(select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                      where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p') and not c.relispartition)";
    let row = transaction.query_one(TABLE, &[&schema, &table]).could_not("look at a table")?;
    let columns = columns(transaction, &row.get::<_, Vec<u32>>(1))?;
    let kinds = Kinds::read(transaction)?;
    Ok(empty(row.get(0), &columns, &kinds))
}

/// Tables of one question.
const ASKED: usize = 500;

/// Those that have no row, by OID. One question for many: this is asked again after each migration of a history.
fn without_rows(transaction: &mut Transaction<'_>, schemas: &[&str], except: &[String]) -> Result<Vec<u32>> {
    const TABLES: &str = "
        select c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname)
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = any($1) and c.relname <> $2 and n.nspname || '.' || c.relname <> all($3) and c.relkind in ('r', 'p')
           and not c.relispartition and c.relpersistence <> 't' and not pg_catalog.row_security_active(c.oid)";
    let tables = transaction.query(TABLES, &[&schemas, &LEDGER_TABLE, &except]).could_not("list the tables to fill")?;
    let mut without = Vec::new();
    for some in tables.chunks(ASKED) {
        let look = |row: &Row| format!("exists (select from {})", row.get::<_, &str>(1));
        let looks: Vec<String> = some.iter().map(look).collect();
        let row =
            transaction.query_one(&format!("select array[{}]", looks.join(", ")), &[]).could_not("look for rows")?;
        let any: Vec<bool> = row.get(0);
        without.extend(some.iter().zip(any).filter(|(_, any)| !any).map(|(table, _)| table.get::<_, u32>(0)));
    }
    Ok(without)
}

fn empty_tables(transaction: &mut Transaction<'_>, schemas: &[&str], except: &[String]) -> Result<Vec<Empty>> {
    let without = without_rows(transaction, schemas, except)?;
    if without.is_empty() {
        return Ok(Vec::new());
    }
    let rows = columns(transaction, &without)?;
    let mut tables: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in &rows {
        match tables.last_mut() {
            Some((name, columns)) if *name == row.get::<_, String>(0) => columns.push(row),
            _ => tables.push((row.get(0), vec![row])),
        }
    }
    let kinds = Kinds::read(transaction)?;
    Ok(tables.into_iter().map(|(name, columns)| empty(name, columns, &kinds)).collect())
}

fn empty<'a>(name: String, columns: impl IntoIterator<Item = &'a Row>, kinds: &Kinds) -> Empty {
    let columns = columns.into_iter().filter(|row| row.get::<_, Option<bool>>(9) == Some(false));
    Empty { name, columns: columns.map(|row| column(row, kinds)).collect() }
}

fn column(row: &Row, kinds: &Kinds) -> Column {
    let (oid, written): (u32, String) = (row.get(2), row.get(3));
    let (targets, columns): (Vec<String>, Vec<String>) = (row.get(6), row.get(7));
    let checks: String = row.get(8);
    let cast = |value: String| format!("({value})::{written}");
    let likely = match checks.is_empty() {
        true => Vec::new(),
        false => likely::values(kinds.category(oid), &checks).into_iter().map(cast).collect(),
    };
    Column {
        name: row.get(1),
        made: kinds.value(oid, &written),
        likely,
        required: row.get(4),
        has_default: row.get(5),
        keys: targets.into_iter().zip(columns).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    /// Fills, and says what stayed empty and how many rows each of `tables` has.
    fn filled(sql: &str, tables: &[&str]) -> (Vec<String>, Vec<i64>) {
        let mut database = Database::new();
        database.run(sql);
        let left = fill_empty(&mut database.connection, &["public"], &[], 20).unwrap();
        let rows = tables.iter().map(|table| database.ask::<i64>(&format!("select count(*) from public.{table}")));
        (left, rows.collect())
    }

    const TYPES: &str = "
        create type mood as enum ('calm', 'not', 'so so');
        create type pair as (a int, b text, c mood);
        create type span as range (subtype = text);
        create domain code as varchar(3) check (value <> 'x');
        create domain short_code as code;
        create domain kept as mood not null;
        create domain marks as numeric(2, 1)[];
        create table types (
          u uuid primary key, j jsonb not null, j1 json, b bytea, at timestamptz, day date, t time, tz timetz, i interval, s varchar(2),
          c code, c2 short_code, k kept, ms marks, m mood, f double precision, d numeric(6, 2), d1 numeric(3, 2), d0 numeric(2, 2),
          sm smallint, o oid, ok boolean, l text[] not null, l2 mood[], l3 bit(3)[], l4 char(2)[], host inet, net cidr, mac macaddr,
          mac8 macaddr8, r int4range, rd daterange, rt tstzrange, rs span, mr int8multirange, p point, ln line, ls lseg, bx box, ph path,
          pg polygon, ci circle, one bit, four bit(4), vary bit varying(2), words tsvector, asked tsquery, x xml, price money, both_of pair,
          pairs pair[], lsn pg_lsn, jp jsonpath, letter \"char\", n name, ch char(1),
          twice int generated always as (2) stored, id bigint generated always as identity);
        create table only_id (id serial primary key);
        create table no_column ();";

    #[test]
    fn every_type_has_a_value() {
        assert_eq!(filled(TYPES, &["types", "only_id", "no_column"]), (Vec::new(), vec![20, 20, 20]));
    }

    #[test]
    fn keys_point_to_rows_in_circles_too() {
        let mut database = Database::new();
        database.run(
            "create table parent_of_all (id int primary key, own int references parent_of_all, n int, made int);
             create table a_child (id serial primary key, parent int not null references parent_of_all (id), alone int);
             create table one_to_one (id int primary key references few (id));
             create table c_left (id serial primary key, r int not null references c_right);
             create table by_default (id int primary key, f int not null default 99 references few (id));
             create table tree (id uuid primary key default gen_random_uuid(), up uuid not null references tree);
             create table tenant (id int primary key);
             create table member (tenant int references tenant, id int, primary key (tenant, id));
             create table note (id int primary key, tenant int not null references tenant, by int not null,
                                foreign key (tenant, by) references member (tenant, id));
             create table both_of (id int primary key references parent_of_all references few);"
                .replacen("create table one_to_one", "create table few (id int primary key); insert into few values (7), (8), (9); create table one_to_one", 1)
                .replacen("create table c_left", "create table c_right (id serial primary key, l int); create table c_left", 1)
                .as_str(),
        );
        database.run(
            "alter table c_right add foreign key (l) references c_left;
             create table egg (id serial primary key, hen int not null);
             create table hen (id serial primary key, egg int not null references egg deferrable);
             alter table egg add foreign key (hen) references hen deferrable initially deferred",
        );
        let left = fill_empty(&mut database.connection, &["public"], &[], 20).unwrap();
        assert_eq!(left, Vec::<String>::new());
        let mut count = |sql: &str| database.ask::<i64>(&format!("select count({sql}"));
        assert_eq!(count("distinct parent) from public.a_child"), 20);
        assert_eq!(count("own) from public.parent_of_all"), 20);
        assert_eq!(count("*) from public.one_to_one"), 3);
        assert_eq!(count("distinct l) from public.c_right"), 20);
        assert_eq!(count("distinct f) from public.by_default"), 3);
        assert_eq!(count("*) from public.tree"), 20);
        assert_eq!(count("*) from public.note"), 20);
        assert_eq!(count("*) from public.both_of"), 3);
        assert_eq!(count("*) from public.hen join public.egg on hen.egg = egg.id and egg.hen = hen.id"), 20);
    }

    #[test]
    fn uniques_and_checks_are_respected_where_that_can_be() {
        let tables = [
            ("a", "(id int check (id < 0))"),
            (
                "b",
                "(state text not null check (state in ('it''s', 'off')), kind varchar(8) check (kind in ('x', 'y')))",
            ),
            ("c", "(ok boolean not null unique, at date)"),
            (
                "d",
                "(mail text not null unique check (mail ~ '^[^@ ]+@[^@ ]+$'), cents int check (cents between 1000 and 2000))",
            ),
            (
                "e",
                "(pass text check (length(pass) >= 64), country char(2) check (country ~ '^[A-Z]{2}$' or country ~ '^[a-z]{2}$'))",
            ),
            ("f", "(id serial primary key, k text unique default 'same')"),
            ("g", "(id int, during int4range, exclude using gist (during with &&))"),
            ("h", "(id int primary key deferrable, f int not null default 5 check (f > 7))"),
            ("i", "(at date not null) partition by range (at)"),
            ("i_2", "partition of i for values from ('2020-02-01') to ('2020-03-01')"),
            ("j", "(id int, begins date not null, ends date not null, check (begins <= ends))"),
            ("k", "(low int not null, high int not null, check (low < high))"),
        ];
        let sql: String = tables.iter().map(|(name, columns)| format!("create table {name} {columns};")).collect();
        let (left, rows) = filled(&sql, &tables.map(|(name, _)| name));
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(rows, [20, 20, 2, 20, 20, 20, 20, 20, 20, 20, 20, 20]);
    }

    #[test]
    fn what_has_rows_is_left_alone_and_what_refuses_them_is_named() {
        let mut database = Database::new();
        database.run(
            "create table full_one (id int); insert into full_one values (7);
             create table refuses (id int check (id is null and id is not null));
             create table parts (id int) partition by list (id);
             create table unheard_of (id int, snap pg_snapshot);
             create table swallows (id int);
             create function swallow() returns trigger language plpgsql as $$ begin return null; end $$;
             create trigger t before insert on swallows for each row execute function swallow()",
        );
        let left = fill_empty(&mut database.connection, &["public"], &[], 5).unwrap();
        assert_eq!(database.ask::<i64>("select count(*) from public.full_one"), 1);
        assert_eq!(database.ask::<i64>("select count(id) from public.unheard_of"), 5);
        assert_eq!(
            left,
            [
                "no rows could be made for table public.parts: ERROR: no partition of relation \"parts\" found for row (SQLSTATE 23514)",
                "no rows could be made for table public.refuses: ERROR: new row for relation \"refuses\" violates check constraint \
                 \"refuses_id_check\" (SQLSTATE 23514)",
                "no rows could be made for table public.swallows: the server took them and kept none",
                "no value could be made for column public.unheard_of.\"snap\"",
            ]
        );
    }
}
