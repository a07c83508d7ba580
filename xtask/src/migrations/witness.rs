//! Which tables a script updates or deletes from, told by the server: a trigger for each statement fires also where the statement meets no row,
//! whatever runs it, a `DO` block, a function, a MERGE. In throw-away databases alone.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::migrations::stock::Stock;
use crate::postgres::claim::CLAIM_SCHEMA;
use crate::postgres::connection::{Connection, CouldNot};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Updates,
    Deletes,
}

/// A statement that wrote to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    pub relation: u32,
    pub operation: Operation,
    /// A row was there for it.
    pub met: bool,
}

/// Has every table of `stock` watched, but for those that this role may not alter. What hears it lies where no stock is taken.
///
/// # Errors
/// `failed` when the server refuses.
pub fn watch(connection: &mut Connection, stock: &Stock) -> Result<()> {
    let tables: Vec<String> = stock.tables().map(|(table, _)| table.to_string()).collect();
    let sql = format!(
        "create schema if not exists {CLAIM_SCHEMA};
         create table {CLAIM_SCHEMA}.written (relation oid, operation text, met bool, unique (relation, operation, met));
         grant usage on schema {CLAIM_SCHEMA} to public;
         grant all on {CLAIM_SCHEMA}.written to public;
         create function {CLAIM_SCHEMA}.witness() returns trigger language plpgsql security definer set search_path = '' as $witness$
         begin
             insert into {CLAIM_SCHEMA}.written values (tg_relid, tg_op, exists (select from met)) on conflict do nothing;
             return null;
         end $witness$;
         do $place$
         declare relation pg_catalog.oid; operation pg_catalog.text;
         begin
             foreach relation in array '{{{}}}'::pg_catalog.oid[] loop
                 foreach operation in array '{{update,delete}}'::pg_catalog.text[] loop
                     begin
                         execute pg_catalog.format('create trigger %I after %s on %s referencing old table as met
                                                    for each statement execute function {CLAIM_SCHEMA}.witness()',
                                                   '{CLAIM_SCHEMA} ' || operation, operation, relation::pg_catalog.regclass);
                     exception when others then null;
                     end;
                 end loop;
             end loop;
         end $place$",
        tables.join(",")
    );
    connection.client().batch_execute(&sql).could_not("watch what migrations write to")
}

/// What was written since the last time. Nothing where the script's own transaction has failed already.
pub fn heard(connection: &mut Connection) -> BTreeSet<Write> {
    let sql = format!("delete from {CLAIM_SCHEMA}.written returning relation, operation, met");
    let rows = connection.client().query_typed(&sql, &[]).unwrap_or_default();
    let write = |row: &postgres::Row| Write {
        relation: row.get(0),
        operation: if row.get::<_, &str>(1) == "DELETE" { Operation::Deletes } else { Operation::Updates },
        met: row.get(2),
    };
    rows.iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::stock::stock;
    use crate::postgres::server::Database;

    /// Each table that `sql` writes to; `-` where it met no row.
    fn written(database: &mut Database, sql: &str) -> Vec<String> {
        database.run(sql);
        let stock = stock(&mut database.connection).unwrap();
        let name = |write: &Write| {
            let place = stock.place((write.relation, 0));
            format!("{:?} {}{}", write.operation, place.table, if write.met { "" } else { " -" })
        };
        heard(&mut database.connection).iter().map(name).collect()
    }

    #[test]
    fn what_writes_is_heard_whatever_runs_it_and_whether_or_not_it_meets_a_row() {
        let mut database = Database::new();
        database.run(
            "create table t (id int primary key, a int); create table u (id int primary key, t int references t on delete cascade);
             create table p (id int) partition by range (id); create table p1 partition of p for values from (0) to (10);
             create function f() returns void language plpgsql as $$ begin delete from u where id = 99; end $$;
             insert into t values (1, 1), (2, 2); insert into u values (1, 1), (2, 2); insert into p values (1)",
        );
        let stock = stock(&mut database.connection).unwrap();
        watch(&mut database.connection, &stock).unwrap();
        for (sql, expected) in [
            ("insert into t values (3, 3) on conflict do nothing", &[][..]),
            ("insert into t values (4, 3) on conflict (id) do update set a = 1", &["Updates t -"]),
            (
                "do $$ begin delete from t where id = 99; update t set a = 9 where id = 1; end $$",
                &["Updates t", "Deletes t -"],
            ),
            ("select f()", &["Deletes u -"]),
            ("delete from t where id = 2", &["Deletes t", "Deletes u"]),
            ("with gone as (delete from p where id = 7 returning *) select from gone", &["Deletes p -"]),
            ("delete from p1 where id = 8", &["Deletes p1 -"]),
            ("set search_path = pg_catalog; delete from public.p; reset search_path", &["Deletes p"]),
            ("alter table t alter a type bigint; alter table t drop column a; alter table u rename to v", &[]),
        ] {
            assert_eq!(written(&mut database, sql), expected, "{sql}");
        }
    }

    #[test]
    fn a_script_that_meets_a_failed_transaction_is_not_in_the_way() {
        let mut database = Database::new();
        database.run("create table t (id int)");
        let stock = stock(&mut database.connection).unwrap();
        watch(&mut database.connection, &stock).unwrap();
        database.connection.client().batch_execute("begin").unwrap();
        assert!(database.connection.client().batch_execute("delete from nothing").is_err());
        assert!(heard(&mut database.connection).is_empty());
        database.connection.client().batch_execute("rollback").unwrap();
        database.run("update t set id = 1");
        assert_eq!(heard(&mut database.connection).len(), 1);
    }
}
