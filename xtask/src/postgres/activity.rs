//! What other sessions are doing: who holds Prisma's lock, and whether the server still works on what a killed client
//! had sent.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};

/// The key of the advisory lock that `migrate deploy` and `migrate resolve` take, one per database (prisma-engines,
/// measured on 6.19 and 7.10).
pub const PRISMA_LOCK: i64 = 72_707_369;

/// Between two looks at the server: a look costs half a millisecond, and this much waiting is not noticed.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// A session that holds or waits for Prisma's lock. What the role may not see of another role's session is None.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockHolder {
    pub pid: i32,
    /// False: it waits.
    pub granted: bool,
    pub application_name: Option<String>,
    pub state: Option<String>,
    /// When the session last changed its state.
    pub since: Option<jiff::Timestamp>,
}

impl LockHolder {
    pub fn in_words(&self) -> String {
        let name = self.application_name.as_deref().unwrap_or("unknown");
        let since = self.since.map(|since| format!(", {} since {since:.0}", self.state.as_deref().unwrap_or("there")));
        format!("backend {} (`{name}`) holds it{}", self.pid, since.unwrap_or_default())
    }
}

/// The session, other than ours, that holds locks on the most of this database's own tables, in words.
pub fn table_lock_holder(connection: &mut Connection) -> Result<Option<String>> {
    const HOLDER: &str = "
        select l.pid, coalesce(nullif(a.application_name, ''), 'unknown'), coalesce(a.state, 'unknown'),
               pg_catalog.string_agg(distinct c.relname::text, ', ')
          from pg_catalog.pg_locks l
          join pg_catalog.pg_class c on c.oid = l.relation and c.relkind in ('r', 'p')
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname not in ('pg_catalog', 'pg_toast')
          left join pg_catalog.pg_stat_activity a on a.pid = l.pid
         where l.locktype = 'relation' and l.granted and l.pid <> pg_catalog.pg_backend_pid()
           and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
         group by 1, 2, 3 order by pg_catalog.count(*) desc limit 1";
    let row = connection.client().query_opt(HOLDER, &[]).could_not("ask who holds locks on tables")?;
    Ok(row.map(|row| {
        let (pid, name, state): (i32, &str, &str) = (row.get(0), row.get(1), row.get(2));
        format!("backend {pid} (`{name}`, {state}) holds a lock on {}", row.get::<_, &str>(3))
    }))
}

/// Who keeps `pids` waiting for a lock: its pid, and the rest in words. None while none of them waits.
pub fn blocker(connection: &mut Connection, pids: &[i32]) -> Result<Option<(i32, String)>> {
    const BLOCKER: &str = "
        select b.pid, coalesce(nullif(a.application_name, ''), 'unknown'), coalesce(a.state, 'unknown'),
               coalesce(a.xact_start, a.state_change), c.relname::text
          from pg_catalog.pg_stat_activity w
          cross join lateral pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b (pid)
          left join pg_catalog.pg_stat_activity a on a.pid = b.pid
          left join pg_catalog.pg_locks l on l.pid = w.pid and not l.granted and l.locktype = 'relation'
               and l.database = w.datid
          left join pg_catalog.pg_class c on c.oid = l.relation
         where w.pid = any($1) and w.wait_event_type = 'Lock' and b.pid <> all($1)
         order by a.xact_start limit 1";
    let row = connection.client().query_opt(BLOCKER, &[&pids]).could_not("ask who holds a lock")?;
    Ok(row.map(|row| {
        let (pid, name, state): (i32, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let since = row.get::<_, Option<jiff::Timestamp>>(3).map(|since| format!(" since {since:.0}"));
        let table = row.get::<_, Option<&str>>(4).map(|table| format!(" on `{table}`"));
        let (since, table) = (since.unwrap_or_default(), table.unwrap_or_default());
        (pid, format!("backend pid {pid} (`{name}`, {state}{since}) holds a lock{table}"))
    }))
}

/// Sessions that hold or await Prisma's lock in this database, the holder first.
pub fn lock_holders(connection: &mut Connection) -> Result<Vec<LockHolder>> {
    // A one-argument advisory lock shows its key as two halves, and `objsubid` 1.
    const HOLDERS: &str = "
        select l.pid, l.granted, nullif(a.application_name, ''), a.state, a.state_change
          from pg_catalog.pg_locks l
          left join pg_catalog.pg_stat_activity a on a.pid = l.pid
         where l.locktype = 'advisory' and l.objsubid = 1 and l.classid::int8 << 32 | l.objid::int8 = $1
           and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
         order by l.granted desc, a.state_change";
    let rows = connection.client().query(HOLDERS, &[&PRISMA_LOCK]).could_not("ask who holds Prisma's lock")?;
    let holder = |row: &postgres::Row| LockHolder {
        pid: row.get(0),
        granted: row.get(1),
        application_name: row.get(2),
        state: row.get(3),
        since: row.get(4),
    };
    Ok(rows.iter().map(holder).collect())
}

/// Those of `pids` whose sessions are there and not idle. A session that the role may not look into counts as busy.
pub fn busy(connection: &mut Connection, pids: &[i32]) -> Result<Vec<i32>> {
    const BUSY: &str = "
        select a.pid from pg_catalog.pg_stat_activity a
         where a.pid = any($1) and a.state is distinct from 'idle' order by a.pid";
    let rows = connection.client().query(BUSY, &[&pids]).could_not("ask which sessions are busy")?;
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
            holders.iter().map(|holder| (holder.pid, holder.granted)).collect::<Vec<_>>(),
            [(holding, true), (waiting, false)]
        );
        assert_eq!(holders[0].application_name.as_deref(), Some("xtask tests"));
        assert_eq!(holders[0].state.as_deref(), Some("idle"));
        drop(holder);
        waiter.join().unwrap();
    }

    #[test]
    fn who_keeps_a_session_waiting_is_named_and_for_which_table() {
        let mut database = Database::new();
        database.run("create table t ()");
        let (mut holder, mut waiter) = (open(&database.name), open(&database.name));
        let (holding, waiting) = (pid(&mut holder), pid(&mut waiter));
        holder.client().batch_execute("begin; lock table public.t in access share mode").unwrap();
        assert_eq!(blocker(&mut database.connection, &[waiting]).unwrap(), None);
        let waiter = std::thread::spawn(move || waiter.client().batch_execute("alter table public.t add a int"));
        until(|| blocker(&mut database.connection, &[waiting]).unwrap().is_some());
        let (found, told) = blocker(&mut database.connection, &[waiting]).unwrap().unwrap();
        assert_eq!(found, holding);
        let begins = format!("backend pid {holding} (`xtask tests`, idle in transaction since 2");
        assert!(told.starts_with(&begins) && told.ends_with(") holds a lock on `t`"), "{told}");
        drop(holder);
        waiter.join().unwrap().unwrap();
        assert_eq!(blocker(&mut database.connection, &[waiting]).unwrap(), None);
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
