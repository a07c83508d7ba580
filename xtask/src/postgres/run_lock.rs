//! One run at a time on one database: an advisory lock of our own, held by a session that lives as long as the run.
//!
//! It is on the server, so that it also holds between two machines, and ends with its session, so that a crash frees it.

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot};

/// "stgdrill" in ASCII; unlike Prisma's 72707369, which its engine takes itself.
const KEY: i64 = 0x7374_6764_7269_6c6c;

pub struct RunLock {
    _connection: Connection,
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
            return Ok(RunLock { _connection: connection });
        }
        Err(Failure::blocked("another run of the drill is at work on this database")
            .because(holder(&mut connection)?)
            .hint("wait for it to end, then run this again"))
    }
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
