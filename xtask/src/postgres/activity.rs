//! What other sessions are doing: who holds Prisma's lock, and whether the server still works on what a killed client
//! had sent.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::holder::{Holder, OF_SESSION, PREPARED};

/// The key of the advisory lock that `migrate deploy` and `migrate resolve` take, one per database (prisma-engines,
/// measured on 6.19 and 7.10).
pub const PRISMA_LOCK: i64 = 72_707_369;

/// Between two looks at the server: a look costs half a millisecond, and this much waiting is not noticed.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Who holds or waits for Prisma's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    pub holder: Holder,
    /// False: it waits.
    pub granted: bool,
}

impl LockHolder {
    pub fn in_words(&self) -> String {
        format!("{} holds it", self.holder.in_words())
    }
}

/// Who holds or awaits Prisma's lock in this database, the holder first.
pub fn lock_holders(connection: &mut Connection) -> Result<Vec<LockHolder>> {
    // A one-argument advisory lock shows its key as two halves, and `objsubid` 1. A prepared transaction has no pid.
    let sql = format!(
        "select l.granted, p.gid, p.owner::text, p.prepared, l.pid, {OF_SESSION}
           from pg_catalog.pg_locks l
           left join pg_catalog.pg_stat_activity a on a.pid = l.pid
           left join {PREPARED} p on l.pid is null and p.virtualtransaction = l.virtualtransaction
          where l.locktype = 'advisory' and l.objsubid = 1 and l.classid::int8 << 32 | l.objid::int8 = $1
            and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
          order by l.granted desc, a.state_change"
    );
    let rows = connection.client().query(&sql, &[&PRISMA_LOCK]).could_not("ask who holds Prisma's lock")?;
    Ok(rows.iter().map(|row| LockHolder { granted: row.get(0), holder: Holder::prepared_or_session(row, 1) }).collect())
}

/// Those of `pids` whose sessions are there and not idle. A session that the role may not look into counts as busy.
pub fn busy(connection: &mut Connection, pids: &[i32]) -> Result<Vec<i32>> {
    const BUSY: &str = "
        select a.pid from pg_catalog.pg_stat_activity a
         where a.pid = any($1) and a.state is distinct from 'idle' order by a.pid";
    let rows = connection.client().query(BUSY, &[&pids]).could_not("ask which sessions are busy")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Those of `pids` that are sessions of this database, other than the one that asks.
pub fn others_of(connection: &mut Connection, pids: &[i32]) -> Result<Vec<i32>> {
    const OTHERS: &str = "
        select a.pid from pg_catalog.pg_stat_activity a
         where a.pid = any($1) and a.pid <> pg_catalog.pg_backend_pid() and a.datname = pg_catalog.current_database()";
    let rows = connection.client().query(OTHERS, &[&pids]).could_not("ask which sessions there are")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Who is in this database besides `own`, in words. An autovacuum worker is not: the server sends it away for whoever needs the database.
pub fn strangers(connection: &mut Connection, own: &[i32]) -> Result<Vec<String>> {
    const STRANGERS: &str = "
        select pg_catalog.format('%s of %s (`%s`, backend %s)', coalesce(a.backend_type, 'a session'),
                                 coalesce(a.usename::text, 'the server'), coalesce(a.application_name, ''), a.pid)
          from pg_catalog.pg_stat_activity a
         where a.datname = pg_catalog.current_database() and a.pid <> all($1) and a.pid <> pg_catalog.pg_backend_pid()
           and coalesce(a.leader_pid, a.pid) <> all($1) and a.backend_type is distinct from 'autovacuum worker'
         order by a.pid";
    let rows = connection.client().query(STRANGERS, &[&own]).could_not("ask who else is in the database")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Waits until none of `pids` is busy, or until `deadline`; returns those that still are.
pub fn wait_until_gone(connection: &mut Connection, pids: &[i32], deadline: Instant) -> Result<Vec<i32>> {
    loop {
        let busy = busy(connection, pids)?;
        if busy.is_empty() || Instant::now() >= deadline {
            return Ok(busy);
        }
        sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::holder::Who;
    use crate::postgres::server::{Database, open};

    /// Waits for what another thread is about to do on the server.
    fn until(mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition() {
            assert!(Instant::now() < deadline, "nothing happened");
            std::thread::yield_now();
        }
    }

    fn pid(connection: &mut Connection) -> i32 {
        connection.client().query_one("select pg_catalog.pg_backend_pid()", &[]).unwrap().get(0)
    }

    #[test]
    fn who_holds_prismas_lock_and_who_waits_is_known() {
        let mut database = Database::new();
        let lock = format!("select pg_catalog.pg_advisory_lock({PRISMA_LOCK})");
        let (mut holder, mut waiter, mut elsewhere) = (open(&database.name), open(&database.name), Database::new());
        let (holding, waiting) = (pid(&mut holder), pid(&mut waiter));
        assert_eq!(lock_holders(&mut database.connection).unwrap(), []);
        holder.client().batch_execute(&lock).unwrap();
        elsewhere.connection.client().batch_execute(&lock).unwrap();
        let waiter = std::thread::spawn(move || waiter.client().batch_execute(&lock).unwrap());
        until(|| lock_holders(&mut database.connection).unwrap().len() == 2);
        let holders = lock_holders(&mut database.connection).unwrap();
        assert_eq!(
            holders.iter().map(|it| (it.holder.who.clone(), it.granted)).collect::<Vec<_>>(),
            [(Who::Session(holding), true), (Who::Session(waiting), false)]
        );
        let begins = format!("backend pid {holding} (role `postgres`, `xtask tests`, idle since 2");
        assert!(holders[0].in_words().starts_with(&begins), "{holders:?}");
        drop(holder);
        waiter.join().unwrap();
    }

    #[test]
    fn a_busy_session_is_waited_for_and_a_deadline_kept() {
        let mut database = Database::new();
        let (mut worker, mut gate) = (open(&database.name), open(&database.name));
        let working = pid(&mut worker);
        gate.client().batch_execute("select pg_catalog.pg_advisory_lock(1)").unwrap();
        let work = move || worker.client().batch_execute("select pg_catalog.pg_advisory_lock(1)").unwrap();
        let worker = std::thread::spawn(work);
        until(|| busy(&mut database.connection, &[working]).unwrap() == [working]);
        assert_eq!(wait_until_gone(&mut database.connection, &[working], Instant::now()).unwrap(), [working]);
        drop(gate);
        let deadline = Instant::now() + Duration::from_secs(30);
        assert_eq!(wait_until_gone(&mut database.connection, &[working], deadline).unwrap(), [0; 0]);
        worker.join().unwrap();
    }
}
