//! Locks on tables that a migration would wait for: strong ones, and any of a transaction that somebody left open.

use std::time::Duration;

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::holder::{Holder, OF_SESSION, PREPARED};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLock {
    pub schema: String,
    pub table: String,
    /// As `pg_locks` has it, without `Lock`.
    pub mode: String,
    /// Not even a question about the table passes it.
    pub shuts_out: bool,
    pub holder: Holder,
}

impl TableLock {
    pub fn in_words(&self) -> String {
        let TableLock { schema, table, mode, holder, .. } = self;
        format!("{} holds {mode} on `{schema}.{table}`", holder.in_words())
    }
}

/// Between two looks at a session that does not show its state, or is between two statements: what only reads or writes at this moment has
/// ended then.
const MOMENT: Duration = Duration::from_millis(250);

/// Of each other session in one of `schemas`, the strongest lock first. What reads or writes at this moment is about to end, and the
/// server's own workers give way to a migration.
///
/// # Errors
/// As the server's.
pub fn of_others(connection: &mut Connection, schemas: &[&str]) -> Result<Vec<TableLock>> {
    let first = look(connection, schemas)?;
    if first.iter().all(|seen| seen.lasts == Some(true)) {
        return Ok(first.into_iter().map(|seen| seen.lock).collect());
    }
    std::thread::sleep(MOMENT);
    let still: Vec<_> =
        look(connection, schemas)?.into_iter().map(|seen| (seen.transaction, seen.lock.table)).collect();
    let lasts = |seen: &Seen| {
        seen.lasts == Some(true)
            || still.iter().any(|(same, table)| *same == seen.transaction && *table == seen.lock.table)
    };
    Ok(first.into_iter().filter(lasts).map(|seen| seen.lock).collect())
}

struct Seen {
    lock: TableLock,
    transaction: String,
    /// None where that is not known yet: the session's state is hidden from this role, or it may send the next statement at once.
    lasts: Option<bool>,
}

fn look(connection: &mut Connection, schemas: &[&str]) -> Result<Vec<Seen>> {
    let sql = format!(
        "select s.* from (
           select n.nspname::text, c.relname::text, pg_catalog.replace(l.mode, 'Lock', ''), l.mode = 'AccessExclusiveLock',
                  p.gid, p.owner::text, p.prepared, l.pid, {OF_SESSION},
                  l.virtualtransaction,
                  case when l.mode not in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') or l.pid is null then true
                       when a.state like 'idle in transaction%'
                       then nullif(a.state_change < pg_catalog.clock_timestamp() - interval '10 s', false)
                       else a.xact_start < pg_catalog.clock_timestamp() - interval '10 s' end as lasts
             from pg_catalog.pg_locks l
             join pg_catalog.pg_class c on c.oid = l.relation and c.relkind in ('r', 'p')
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             left join pg_catalog.pg_stat_activity a on a.pid = l.pid
             left join {PREPARED} p on l.pid is null and p.virtualtransaction = l.virtualtransaction
            where l.locktype = 'relation' and l.granted and n.nspname = any($1)
              and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
              and l.pid is distinct from pg_catalog.pg_backend_pid()
              and coalesce(a.backend_type, 'client backend') = 'client backend'
            order by l.mode = 'AccessExclusiveLock' desc, l.mode like '%Exclusive%' desc, c.relname, l.pid) s
          where s.lasts is distinct from false"
    );
    let rows = connection.client().query(&sql, &[&schemas]).could_not("ask who holds locks on tables")?;
    let seen = |row: &postgres::Row| Seen {
        lock: TableLock {
            schema: row.get(0),
            table: row.get(1),
            mode: row.get(2),
            shuts_out: row.get(3),
            holder: Holder::prepared_or_session(row, 4),
        },
        transaction: row.get("virtualtransaction"),
        lasts: row.get("lasts"),
    };
    Ok(rows.iter().map(seen).collect())
}

/// Whether there is any table in `schemas`.
///
/// # Errors
/// As the server's.
pub fn has_tables(connection: &mut Connection, schemas: &[&str]) -> Result<bool> {
    const ANY: &str = "
        select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                        where n.nspname = any($1) and c.relkind in ('r', 'p')
                          and not exists (select from pg_catalog.pg_depend d
                                           where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e'))";
    Ok(connection.client().query_one(ANY, &[&schemas]).could_not("ask whether there are tables")?.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::{Database, open, open_as};

    #[test]
    fn who_is_between_two_statements_is_not_named_and_who_stays_there_is() {
        let mut database = Database::new();
        database.run("create table one (); create table two ()");
        let mut left_open = open(&database.name);
        left_open.client().batch_execute("begin; select from public.two").unwrap();
        let mut at_work = open(&database.name);
        at_work.client().batch_execute("begin; select from public.one").unwrap();
        let work = std::thread::spawn(move || {
            std::thread::sleep(MOMENT / 5);
            at_work.client().batch_execute("commit").unwrap();
        });
        let found = of_others(&mut database.connection, &["public"]).unwrap();
        work.join().unwrap();
        assert_eq!(found.iter().map(|it| it.table.as_str()).collect::<Vec<_>>(), ["two"]);
    }

    #[test]
    fn who_keeps_a_table_is_named_and_who_only_reads_is_not() {
        let mut database = Database::new();
        assert!(!has_tables(&mut database.connection, &["public"]).unwrap());
        database.run("create table one (); create table two ()");
        assert!(has_tables(&mut database.connection, &["public"]).unwrap());
        let mut other = open(&database.name);
        let mut held = |sql: &str| {
            other.client().batch_execute(sql).unwrap();
            let found = of_others(&mut database.connection, &["public"]).unwrap();
            let shown: Vec<_> = found.iter().map(|it| format!("{} {} {}", it.table, it.mode, it.shuts_out)).collect();
            other.client().batch_execute("rollback").unwrap();
            shown
        };
        assert_eq!(held("begin; select pg_sleep(0)"), [""; 0]);
        assert_eq!(held("begin; select from public.one"), ["one AccessShare false"], "left open");
        assert_eq!(
            held("begin; select from public.two; lock public.one"),
            ["one AccessExclusive true", "two AccessShare false"]
        );
        assert_eq!(held("select 1"), [""; 0]);
    }

    #[test]
    fn a_session_that_hides_its_state_is_believed_when_it_lasts() {
        let mut database = Database::new();
        database.run("create table one ()");
        let mut clerk = open_as("clerk", &database.name);
        let mut other = open(&database.name);
        other.client().batch_execute("begin; select from public.one").unwrap();
        assert_eq!(of_others(&mut clerk, &["public"]).unwrap().len(), 1);
        let begun = std::time::Instant::now();
        other.client().batch_execute("rollback").unwrap();
        assert_eq!(of_others(&mut clerk, &["public"]).unwrap(), []);
        assert!(begun.elapsed() < MOMENT, "nobody waits where nobody holds anything");
    }
}
