//! One run at a time on one database: an advisory lock of our own, held by a session that lives as long as the run.
//!
//! It is on the server, so that it also holds between two machines, and ends with its session, so that a crash frees it. The server may end that
//! session, too: so it is asked before each step whether the lock is still there.

use std::sync::{Mutex, PoisonError};

use crate::causes::locks;
use crate::error::{Failure, Result};
use crate::hint::Hint;
use crate::postgres::connection::{Connection, CouldNot, in_server_words};

/// "stgdrill" in ASCII; unlike Prisma's 72707369, which its engine takes itself.
const KEY: i64 = 0x7374_6764_7269_6c6c;

pub struct RunLock {
    connection: Mutex<Connection>,
}

impl RunLock {
    /// Takes the lock with `connection`, which belongs to the lock from then on.
    ///
    /// # Errors
    /// `blocked` when another run holds it, naming that run.
    pub fn take(mut connection: Connection) -> Result<RunLock> {
        let row = connection
            .client()
            .query_one("select pg_catalog.pg_try_advisory_lock($1)", &[&KEY])
            .could_not("take the lock of this run")?;
        if row.get(0) {
            return Ok(RunLock { connection: Mutex::new(connection) });
        }
        Err(Failure::blocked("another run of the drill is at work on this database")
            .because(holder(&mut connection)?)
            .known(&locks::RUN_LOCK, &[]))
    }

    /// Lends the session that holds it, for what no other session of the run may be at: an exclusive use of the database leaves it this one.
    pub fn with<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        work(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends its session for `work`, which nobody may be in the database for, and takes it again with one that `connect` opens: what another run
    /// did meanwhile is as if it had come before this one.
    ///
    /// # Errors
    /// As `take`; those of `connect`.
    pub fn without<T>(&self, connect: impl FnOnce() -> Result<Connection>, work: impl FnOnce() -> T) -> Result<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.end();
        let done = work();
        let RunLock { connection: again } = RunLock::take(connect()?)?;
        *connection = again.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(done)
    }

    /// # Errors
    /// `failed` when the server has ended the session that held it: another run may be at work since.
    pub fn check(&self) -> Result<()> {
        const HELD: &str = "
            select exists (select from pg_catalog.pg_locks l
                            where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'advisory' and l.granted and l.objsubid = 1
                              and (l.classid::int8 << 32 | l.objid::int8) = $1)";
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = || {
            Failure::failed("the lock of this run is lost, so nothing more was changed")
                .note("another run may have begun since, and only one at a time may change the database")
                .hint(Hint::run("forward --plan"))
        };
        match connection.client().query_one(HELD, &[&KEY]) {
            Ok(row) if row.get(0) => Ok(()),
            Ok(_) => Err(lost().because("its session does not hold it any more")),
            Err(error) => {
                Err(in_server_words(lost().because("the session that held it has ended"), error, |_| String::new()))
            }
        }
    }
}

/// Who holds it, if another session does now.
///
/// # Errors
/// As the server's.
pub fn held_by_another(connection: &mut Connection) -> Result<Option<String>> {
    const HELD: &str = "
        select exists (select from pg_catalog.pg_locks l
                        where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and (l.classid::int8 << 32 | l.objid::int8) = $1
                          and l.pid is distinct from pg_catalog.pg_backend_pid()
                          and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))";
    let held = connection.client().query_one(HELD, &[&KEY]).could_not("ask who holds the lock of this run")?;
    if held.get(0) { holder(connection).map(Some) } else { Ok(None) }
}

fn holder(connection: &mut Connection) -> Result<String> {
    const HOLDER: &str = "
        select l.pid, coalesce(nullif(a.application_name, ''), 'unknown'), a.backend_start::timestamptz(0)::text
          from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
         where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and (l.classid::int8 << 32 | l.objid::int8) = $1
           and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())";
    let row = connection.client().query_opt(HOLDER, &[&KEY]).could_not("ask who holds the lock of this run")?;
    Ok(match row {
        None => "it has just ended".to_owned(),
        Some(row) => {
            let since: Option<String> = row.get(2);
            format!(
                "backend {} (`{}`) holds the lock since {}",
                row.get::<_, i32>(0),
                row.get::<_, String>(1),
                since.unwrap_or_else(|| "an unknown time".to_owned())
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::postgres::server::{Database, open};

    #[test]
    fn a_lock_whose_session_the_server_has_ended_is_known_to_be_lost() {
        let mut database = Database::new();
        let lock = RunLock::take(open(&database.name)).unwrap();
        lock.check().unwrap();
        let second = RunLock::take(open(&database.name)).err().unwrap();
        assert_eq!(second.status, Status::Blocked);
        // Other tests hold such locks in other databases of the server.
        database.run(
            "select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database
              where locktype = 'advisory' and datname = current_database() and l.pid <> pg_backend_pid()",
        );
        let lost = lock.check().unwrap_err();
        assert_eq!(lost.message, "the lock of this run is lost, so nothing more was changed");
        // How the end of the connection shows is the system's choice.
        assert_eq!(lost.causes().next().as_deref(), Some("the session that held it has ended"));
        let next = RunLock::take(open(&database.name)).unwrap();
        lock.check().unwrap_err();
        next.check().unwrap();
        next.connection.lock().unwrap().client().batch_execute("select pg_advisory_unlock_all()").unwrap();
        assert_eq!(next.check().unwrap_err().causes().collect::<Vec<_>>(), ["its session does not hold it any more"]);
    }
}
