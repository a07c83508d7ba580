//! Closes the tables of some schemas to writers from the moment before they are copied until they are dropped, so that no row gets lost in
//! between: whoever writes waits while the rows are copied, and is refused by the server from then on.
//!
//! A lock cannot do all of it, since Prisma drops in a session of its own. So the lock is handed over to triggers, in the transaction that
//! holds it; they go with the tables, or are lifted where nothing was dropped. A run that is killed in between leaves them, and their error
//! says how to be rid of them.

use postgres::error::SqlState;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::error::{Failure, Result, Status};
use crate::guard::StagingTarget;
use crate::postgres::activity::{PRISMA_LOCK, lock_holders};
use crate::postgres::connection::{Connection, CouldNot, failure};

const NAME: &str = "staging_drill_fence";

/// Partitions get their root's trigger; an extension's tables are not ours; the ledger is Prisma's, and holds no rows of a user.
const TABLES: &str = "
    select pg_catalog.format('%I.%I', n.nspname, c.relname)
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any($1) and c.relkind in ('r', 'p') and c.relpersistence <> 't' and not c.relispartition and c.relname <> $2
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
     order by 1";

/// Refuses to go on while a `migrate deploy` is at work.
///
/// # Errors
/// `blocked`, naming who holds Prisma's lock.
pub fn refuse_deploy(connection: &mut Connection) -> Result<()> {
    match lock_holders(connection)?.first() {
        None => Ok(()),
        Some(holder) => Err(Failure::blocked("a migration is at work on this database: Prisma's lock is taken")
            .because(holder.in_words())
            .note("nothing was changed")
            .hint("wait for it to end, then run this again")),
    }
}

/// Tables under a lock that writers wait for.
pub struct Fence {
    connection: Connection,
    /// Where the function of the triggers is.
    schema: String,
    tables: Vec<String>,
}

impl Fence {
    /// Waits for writers that are at work, takes Prisma's lock and that of every table of `schemas` but `ledger`, and holds them.
    ///
    /// # Errors
    /// `blocked` when another session keeps one of them; the run says which.
    pub fn lock(mut connection: Connection, _: &StagingTarget, schemas: &[&str], ledger: &str) -> Result<Fence> {
        let client = connection.client();
        client.batch_execute("begin").could_not("begin a transaction")?;
        let prisma = client.query_one("select pg_catalog.pg_try_advisory_xact_lock($1)", &[&PRISMA_LOCK]);
        if !prisma.could_not("take Prisma's lock")?.get::<_, bool>(0) {
            refuse_deploy(&mut connection)?;
            return Err(Failure::blocked("a migration was at work on this database").hint("run this again"));
        }
        let rows = client.query(TABLES, &[&schemas, &ledger]).could_not("list the tables")?;
        let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if !tables.is_empty() {
            let lock = format!("lock table {} in share row exclusive mode", tables.join(", "));
            if let Err(error) = client.batch_execute(&lock) {
                return Err(not_locked(error));
            }
        }
        let schema = schemas.first().ok_or_else(|| Failure::bug("a fence needs a schema"))?;
        Ok(Fence { connection, schema: (*schema).to_owned(), tables })
    }

    /// From now on the server refuses to write to them. Ends the transaction.
    ///
    /// # Errors
    /// As the server's; nothing is changed then.
    pub fn close(mut self) -> Result<()> {
        if self.tables.is_empty() {
            // Nor is there a schema, where a reset was killed right after its drop.
            return self.connection.client().batch_execute("commit").could_not("commit");
        }
        let function = function(&self.schema);
        let hint = escape_literal(&format!("where no reset is at work any more: drop function {function}() cascade"));
        let mut sql = format!(
            "create or replace function {function}() returns trigger language plpgsql as $fence$ begin
               raise exception 'the staging drill is resetting this schema, which takes no more rows' using hint ={hint};
             end $fence$;"
        );
        for table in &self.tables {
            sql += &format!(
                "create or replace trigger {NAME} before insert or update or delete on {table} for each row execute function {function}();
                 alter table {table} enable always trigger {NAME};
                 create or replace trigger {NAME}_truncate before truncate on {table} for each statement execute function {function}();
                 alter table {table} enable always trigger {NAME}_truncate;"
            );
        }
        let client = self.connection.client();
        client.batch_execute(&sql).map_err(not_closed)?;
        client.batch_execute("commit").could_not("commit")
    }
}

fn not_locked(error: postgres::Error) -> Failure {
    let waited = error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE);
    let failure = not_closed(error);
    if waited { failure.hint("wait until its transaction has ended, then run this again") } else { failure }
}

fn not_closed(error: postgres::Error) -> Failure {
    failure("close the tables to writers", error)
        .with_status(Status::Blocked)
        .note("nothing was dropped")
        .hint("connect as the role that owns the tables")
}

/// Whether a run that was killed has left the tables closed.
///
/// # Errors
/// `failed` with the server's words.
pub fn is_closed(connection: &mut Connection, schema: &str) -> Result<bool> {
    let there = "select pg_catalog.to_regproc($1) is not null";
    let row = connection.client().query_one(there, &[&function(schema)]).could_not("look whether tables are closed")?;
    Ok(row.get(0))
}

/// Whether an object of a catalog, by its names, is a part of it.
pub fn owns(path: &[String]) -> bool {
    path.last().is_some_and(|name| name.starts_with(NAME))
}

/// Opens the tables again, where they are still there.
pub fn lift(connection: &mut Connection, _: &StagingTarget, schema: &str) -> Result<()> {
    let sql = format!("set client_min_messages = warning; drop function if exists {}() cascade", function(schema));
    connection.client().batch_execute(&sql).could_not("open the tables to writers again")
}

fn function(schema: &str) -> String {
    format!("{}.{NAME}", escape_identifier(schema))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::proven;
    use crate::postgres::server::{Database, open};

    const WRITES: [&str; 6] = [
        "insert into t values (2)",
        "update t set a = 3",
        "delete from t",
        "truncate t",
        "insert into parts values (2)",
        "set session_replication_role = replica; insert into t values (2)",
    ];

    fn filled() -> Database {
        let mut database = Database::new();
        database.run(
            "create table t (a int); insert into t values (1); create table parts (a int) partition by range (a);
             create table part partition of parts for values from (0) to (9); create table ledger (a int)",
        );
        database
    }

    fn count(database: &mut Database) -> i64 {
        database.ask("select (select count(*) from public.t) + (select count(*) from public.parts)")
    }

    #[test]
    fn a_writer_waits_for_the_copy_is_refused_after_it_and_let_in_again() {
        let mut database = filled();
        let fence = Fence::lock(open(&database.name), &proven(), &["public"], "ledger").unwrap();
        let mut writer = open(&database.name);
        let waiting = writer.client().batch_execute("set lock_timeout = '100ms'; insert into public.t values (2)");
        assert_eq!(waiting.unwrap_err().code().unwrap().code(), "55P03");
        assert_eq!(count(&mut database), 1);
        assert!(!is_closed(&mut database.connection, "public").unwrap());
        fence.close().unwrap();
        assert!(is_closed(&mut database.connection, "public").unwrap());
        for write in WRITES {
            let refused = writer.client().batch_execute(&format!("set search_path = public; {write}")).unwrap_err();
            assert!(refused.as_db_error().unwrap().message().contains("takes no more rows"), "{write}");
        }
        database.run("insert into ledger values (1)");
        lift(&mut database.connection, &proven(), "public").unwrap();
        WRITES.iter().for_each(|write| database.run(write));
        assert_eq!(database.ask::<i64>("select count(*) from pg_catalog.pg_trigger"), 0);
    }

    #[test]
    fn what_another_session_keeps_is_an_obstacle_and_nothing_stays_locked() {
        let mut database = filled();
        let mut other = open(&database.name);
        other.client().batch_execute("begin; insert into public.t values (2)").unwrap();
        let busy = Fence::lock(open(&database.name), &proven(), &["public"], "ledger").err().unwrap();
        assert_eq!(busy.status.exit_code(), 4);
        assert!(busy.causes().any(|cause| cause.contains("55P03")), "{busy:?}");
        let lock = format!("rollback; select pg_catalog.pg_advisory_lock({PRISMA_LOCK})");
        other.client().batch_execute(&lock).unwrap();
        let deploy = Fence::lock(open(&database.name), &proven(), &["public"], "ledger").err().unwrap();
        assert!(deploy.message.contains("Prisma's lock is taken"), "{deploy:?}");
        database.run("insert into t values (2)");
    }

    #[test]
    fn a_second_fence_and_a_dropped_schema_are_no_obstacle() {
        let mut database = filled();
        for _ in 0..2 {
            Fence::lock(open(&database.name), &proven(), &["public"], "ledger").unwrap().close().unwrap();
        }
        database.run("drop schema public cascade");
        lift(&mut database.connection, &proven(), "public").unwrap();
        Fence::lock(open(&database.name), &proven(), &["public"], "ledger").unwrap().close().unwrap();
        lift(&mut database.connection, &proven(), "public").unwrap();
    }
}
