//! Exact row counts of every table, of one moment.

use std::collections::BTreeMap;
use std::fmt;

use postgres::{Row, Transaction};
use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot};

/// `schema.table` to its number of rows.
pub type Counts = BTreeMap<String, u64>;

/// Every table that may hold rows, with the table that it is counted under: a partition counts for its root. Foreign
/// tables and foreign partitions are not listed, since to count them is to reach another server.
const TABLES: &str = "
    select n.nspname::text, c.relname::text, rn.nspname || '.' || r.relname, c.relkind = 'p',
           case when not pg_catalog.has_schema_privilege(n.oid, 'usage')
                  or not pg_catalog.has_any_column_privilege(c.oid, 'select') then 'not granted'
                when not pg_catalog.row_security_active(c.oid) then null
                when c.relforcerowsecurity and pg_catalog.pg_has_role(c.relowner, 'usage') then 'forced'
                else 'row security' end
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_class r on r.oid = coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid)
      join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
     where rn.nspname = any($1) and c.relkind in ('r', 'p') and c.relpersistence <> 't'
     order by 1, 2";

/// Tables in one statement; far below the depth at which the server gives up on a UNION.
const TABLES_PER_STATEMENT: usize = 500;

/// The rows of the tables that the role sees whole, and the tables of which it does not.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    pub counts: Counts,
    pub uncounted: Vec<Uncounted>,
}

/// # Errors
/// `blocked`, with what would make every table countable.
pub fn all_counted(uncounted: &[Uncounted]) -> Result<()> {
    let Some(first) = uncounted.first() else { return Ok(()) };
    Err(Failure::blocked("this role may not count every row of every table")
        .because_all(uncounted.iter().map(ToString::to_string))
        .hint(first.fix()))
}

/// A table of which the role may not see every row: to count the others would be a lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncounted {
    schema: String,
    table: String,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    NotGranted,
    RowSecurity,
    /// It holds for the owner too, and that is who we are.
    Forced,
}

impl Uncounted {
    fn relation(&self) -> String {
        format!("{}.{}", escape_identifier(&self.schema), escape_identifier(&self.table))
    }

    fn fix(&self) -> String {
        let relation = self.relation();
        match self.reason {
            Reason::Forced => {
                format!("alter table {relation} no force row level security; or connect as a role with BYPASSRLS")
            }
            _ => "connect as the role that owns the tables, or as one with BYPASSRLS that may read them".to_owned(),
        }
    }

    /// What a run that needs no rows says of it.
    pub fn note(&self) -> String {
        format!("not counted: {self}; to have it counted, {}", self.fix())
    }
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.reason {
            Reason::NotGranted => "this role has no SELECT on it",
            Reason::RowSecurity => "its row security applies to this role",
            Reason::Forced => "its row security is forced, so it applies to the owner too",
        };
        write!(f, "table {}: {why}", self.relation())
    }
}

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
    let Survey { counts, uncounted } = survey_in(transaction, schemas)?;
    all_counted(&uncounted).map(|()| counts)
}

/// As `counts`, of the tables that the role sees whole.
pub fn survey(connection: &mut Connection, schemas: &[&str]) -> Result<Survey> {
    connection.read(|transaction| survey_in(transaction, schemas))
}

fn survey_in(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Survey> {
    let listed = transaction.query(TABLES, &[&schemas]).could_not("list the tables")?;
    let hidden = listed.iter().filter_map(|row| Some((row.get::<_, String>(2), uncounted(row)?)));
    let hidden: BTreeMap<String, Uncounted> = hidden.collect();
    let seen = || listed.iter().filter(|row| !hidden.contains_key(row.get::<_, &str>(2)));
    let mut counts: Counts = seen().map(|row| (row.get(2), 0)).collect();
    let tables: Vec<Table> = seen()
        .filter(|row| !row.get::<_, bool>(3))
        .map(|row| Table { schema: row.get(0), name: row.get(1), counted_as: row.get(2) })
        .collect();
    for some in tables.chunks(TABLES_PER_STATEMENT) {
        add_counts(transaction, some, &mut counts)?;
    }
    Ok(Survey { counts, uncounted: hidden.into_values().collect() })
}

/// A table that holds its rows in partitions is not read itself.
fn uncounted(row: &Row) -> Option<Uncounted> {
    let reason = match row.get::<_, Option<&str>>(4)? {
        _ if row.get(3) => return None,
        "forced" => Reason::Forced,
        "row security" => Reason::RowSecurity,
        _ => Reason::NotGranted,
    };
    Some(Uncounted { schema: row.get(0), table: row.get(1), reason })
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
    let rows = transaction.query(&selects.join("\nunion all\n"), &[]).could_not("count the rows")?;
    for row in rows {
        let (index, count): (i32, i64) = (row.get(0), row.get(1));
        *counts.entry(tables[index as usize].counted_as.clone()).or_default() += count as u64;
    }
    Ok(())
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
    fn forced_row_security_holds_for_the_owner_and_the_way_out_is_true_for_it() {
        let mut database = Database::new();
        database.run(
            "create table open (a int); insert into open values (1); create table forced (a int);
             insert into forced values (1), (2); alter table forced enable row level security;
             alter table forced force row level security; create table alien (a int);
             create table log (a int) partition by range (a);
             create table log_1 partition of log for values from (0) to (10); create table log_2 partition of log default;
             alter table log_2 enable row level security; alter table log_2 force row level security;
             alter table log owner to clerk; alter table log_1 owner to clerk; alter table log_2 owner to clerk;
             alter table open owner to clerk; alter table forced owner to clerk",
        );
        let mut clerk = open_as("clerk", &database.name);
        let survey = survey(&mut clerk, &["public"]).unwrap();
        assert_eq!(survey.counts.into_iter().collect::<Vec<_>>(), [pair("public.open", 1)]);
        let notes: Vec<String> = survey.uncounted.iter().map(Uncounted::note).collect();
        insta::assert_snapshot!(notes.join("\n"), @r#"
        not counted: table "public"."alien": this role has no SELECT on it; to have it counted, connect as the role that owns the tables, or as one with BYPASSRLS that may read them
        not counted: table "public"."forced": its row security is forced, so it applies to the owner too; to have it counted, alter table "public"."forced" no force row level security; or connect as a role with BYPASSRLS
        not counted: table "public"."log_2": its row security is forced, so it applies to the owner too; to have it counted, alter table "public"."log_2" no force row level security; or connect as a role with BYPASSRLS
        "#);
        let failure = counts(&mut clerk, &["public"]).unwrap_err();
        assert_eq!(failure.status, Status::Blocked);
        database.run(
            "alter table forced no force row level security; alter table log_2 no force row level security;
                      drop table alien",
        );
        assert_eq!(counts(&mut clerk, &["public"]).unwrap().get("public.forced"), Some(&2));
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
