//! Exact row counts of every table, of one moment.

use std::collections::BTreeMap;

use postgres::Transaction;
use postgres::error::SqlState;
use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot, failure, server_words};

/// `schema.table` to its number of rows.
pub type Counts = BTreeMap<String, u64>;

/// Every table that may hold rows, with the table that it is counted under: a partition counts for its root. Foreign
/// tables and foreign partitions are not listed, since to count them is to reach another server.
const TABLES: &str = "
    select n.nspname::text, c.relname::text, rn.nspname || '.' || r.relname, c.relkind = 'p'
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_class r on r.oid = coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid)
      join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
     where rn.nspname = any($1) and c.relkind in ('r', 'p') and c.relpersistence <> 't'
     order by 1, 2";

/// Tables in one statement; far below the depth at which the server gives up on a UNION.
const TABLES_PER_STATEMENT: usize = 500;

/// Counts all tables of `schemas` in one snapshot: one round trip for the list, one for the counts.
///
/// # Errors
/// `blocked` when the role may not see every row of a table (no SELECT, or row security applies to it): a count of less
/// than everything would be a lie.
pub fn counts(connection: &mut Connection, schemas: &[&str]) -> Result<Counts> {
    connection.read(|transaction| counts_in(transaction, schemas))
}

/// As `counts`, as `transaction` sees them; it must have row security off.
pub fn counts_in(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Counts> {
    let listed = transaction.query(TABLES, &[&schemas]).could_not("list the tables")?;
    let mut counts: Counts = listed.iter().map(|row| (row.get(2), 0)).collect();
    let tables: Vec<Table> = listed
        .iter()
        .filter(|row| !row.get::<_, bool>(3))
        .map(|row| Table { schema: row.get(0), name: row.get(1), counted_as: row.get(2) })
        .collect();
    for some in tables.chunks(TABLES_PER_STATEMENT) {
        add_counts(transaction, some, &mut counts)?;
    }
    Ok(counts)
}

struct Table {
    schema: String,
    name: String,
    counted_as: String,
}

fn add_counts(transaction: &mut Transaction<'_>, tables: &[Table], counts: &mut Counts) -> Result<()> {
    let selects: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(index, table)| {
            // ONLY: the rows of an inheriting table are counted under its own name.
            let (schema, name) = (escape_identifier(&table.schema), escape_identifier(&table.name));
            format!("select {index}::int4, pg_catalog.count(*) from only {schema}.{name}")
        })
        .collect();
    let rows = transaction.query(&selects.join("\nunion all\n"), &[]).map_err(not_countable)?;
    for row in rows {
        let (index, count): (i32, i64) = (row.get(0), row.get(1));
        *counts.entry(tables[index as usize].counted_as.clone()).or_default() += count as u64;
    }
    Ok(())
}

fn not_countable(error: postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(answer) if *answer.code() == SqlState::INSUFFICIENT_PRIVILEGE => {
            Failure::blocked("this role may not count every row of every table")
                .because(server_words(answer))
                .hint("connect as the role that owns the tables: it reads them whole, whatever their row security says")
        }
        _ => failure("count the rows", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::postgres::server::{Database, open_as};

    fn of(database: &mut Database, schemas: &[&str]) -> Vec<(String, u64)> {
        counts(&mut database.connection, schemas).unwrap().into_iter().collect()
    }

    fn pair(table: &str, rows: u64) -> (String, u64) {
        (table.to_owned(), rows)
    }

    #[test]
    fn every_table_is_counted_whatever_its_name() {
        let mut database = Database::new();
        database.run(
            r#"create table "odd "" name." (a int); insert into "odd "" name." select generate_series(1, 7);
               create table empty (a int); create view v as select 1; create schema other; create table other.t (a int);
               insert into other.t values (1)"#,
        );
        assert_eq!(of(&mut database, &["public"]), [pair("public.empty", 0), pair("public.odd \" name.", 7)]);
        assert_eq!(of(&mut database, &["other"]), [pair("other.t", 1)]);
        assert_eq!(of(&mut database, &[]), []);
    }

    #[test]
    fn a_partition_counts_for_its_root_and_an_heir_for_itself() {
        let mut database = Database::new();
        database.run(
            "create table log (a int) partition by range (a);
             create table log_1 partition of log for values from (0) to (10) partition by range (a);
             create table log_1_1 partition of log_1 for values from (0) to (10);
             create table log_2 partition of log default; insert into log select generate_series(1, 15);
             create table bare (a int) partition by range (a);
             create table base (a int); create table heir () inherits (base);
             insert into base values (1); insert into heir values (1), (2)",
        );
        let expected = [pair("public.bare", 0), pair("public.base", 1), pair("public.heir", 2), pair("public.log", 15)];
        assert_eq!(of(&mut database, &["public"]), expected);
    }

    #[test]
    fn another_server_is_not_reached_to_count() {
        let mut database = Database::new();
        database.run(
            "create extension file_fdw; create server files foreign data wrapper file_fdw;
             create foreign table outside (a int) server files options (filename '/nowhere');
             create table log (a int) partition by range (a);
             create foreign table log_old partition of log default server files options (filename '/nowhere')",
        );
        assert_eq!(of(&mut database, &["public"]), [pair("public.log", 0)]);
    }

    #[test]
    fn rows_that_the_role_may_not_see_are_an_error_and_not_a_smaller_number() {
        let mut database = Database::new();
        database.run(
            "create table open (a int); grant select on open to clerk; create table shut (a int);
             insert into shut values (1);
             alter table shut enable row level security; grant select on shut to clerk",
        );
        let failure = counts(&mut open_as("clerk", &database.name), &["public"]).unwrap_err();
        assert_eq!(failure.status, Status::Blocked);
        assert!(failure.causes().next().unwrap().contains("\"shut\""), "{failure:?}");
        assert_eq!(of(&mut database, &["public"]), [pair("public.open", 0), pair("public.shut", 1)]);
    }

    #[test]
    fn more_tables_than_one_statement_takes_are_counted_too() {
        let mut database = Database::new();
        database.run(
            "do $$ begin for i in 1..501 loop execute format('create table t%s as select 1 a', i); end loop; end $$",
        );
        let counts = of(&mut database, &["public"]);
        assert_eq!((counts.len(), counts.iter().map(|(_, rows)| rows).sum::<u64>()), (501, 501));
    }
}
