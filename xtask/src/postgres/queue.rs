//! The queue at a lock: which sessions of ours wait in it, and who waits behind them.

use std::collections::BTreeSet;
use std::time::Duration;

use postgres::{Row, SimpleQueryMessage};

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};

/// A session that waits for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub pid: i32,
    /// When it began to wait, as the server counts; 0 for a moment after that.
    pub since: i64,
    pub waited: Duration,
    /// The sessions that it waits for: who holds the lock, and who stands before it.
    pub behind: Vec<i32>,
    /// What it waits to get at; None where that is no table, or not of this database.
    pub table: Option<String>,
    pub role: Option<String>,
    pub application_name: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Of the sessions that were asked about.
    pub ours: Vec<Waiting>,
    /// Who waits for one of those, or for who does.
    pub behind: Vec<Waiting>,
    /// On the whole server, for whomever: then the question is the dear one.
    pub somebody_waits: bool,
}

/// Who waits is asked of `pg_locks`, which hides nothing from any role; who waits for whom only of those.
const WAITING: &str = include_str!("waiting.sql");

/// Who waits behind `pids`, and they themselves, the longest first. Who looks holds nothing for longer than the look.
pub fn queue(connection: &mut Connection, pids: &[i32]) -> Result<Queue> {
    if !somebody_waits(connection)? {
        return Ok(Queue::default());
    }
    let rows = connection.client().query(WAITING, &[]).could_not("ask who waits for a lock")?;
    Ok(sorted(rows.iter().map(read).collect(), pids))
}

/// Mostly nobody does, and that is known in a tenth of the time.
fn somebody_waits(connection: &mut Connection) -> Result<bool> {
    const ANY: &str = include_str!("somebody_waits.sql");
    let answer = connection.client().simple_query(ANY).could_not("ask who waits for a lock")?;
    Ok(answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))))
}

fn read(row: &Row) -> Waiting {
    Waiting {
        pid: row.get(0),
        since: row.get(1),
        waited: Duration::from_millis(u64::try_from(row.get::<_, i64>(2)).unwrap_or_default()),
        behind: row.get(3),
        table: row.get(4),
        role: row.get(5),
        application_name: row.get(6),
    }
}

fn sorted(all: Vec<Waiting>, pids: &[i32]) -> Queue {
    let (ours, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(|waiting| pids.contains(&waiting.pid));
    let mut before: BTreeSet<i32> = pids.iter().copied().collect();
    loop {
        let found = others.iter().filter(|other| other.behind.iter().any(|pid| before.contains(pid)));
        let found: Vec<i32> = found.map(|other| other.pid).filter(|pid| !before.contains(pid)).collect();
        if found.is_empty() {
            break;
        }
        before.extend(found);
    }
    others.retain(|other| before.contains(&other.pid));
    Queue { ours, behind: others, somebody_waits: true }
}

/// What a session was sent last, as it stands; None where the role may not see it.
pub fn last_statement(connection: &mut Connection, pid: i32) -> Result<Option<String>> {
    const QUERY: &str = "
        select case when pg_catalog.pg_has_role(a.usesysid, 'usage') or pg_catalog.pg_has_role('pg_read_all_stats', 'usage') then a.query end
          from pg_catalog.pg_stat_activity a where a.pid = $1";
    let rows = connection.client().query(QUERY, &[&pid]).could_not("ask what a session does")?;
    Ok(rows.first().and_then(|row| row.get(0)))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::postgres::server::{Database, open, open_as};

    fn pid(connection: &mut Connection) -> i32 {
        connection.client().query_one("select pg_catalog.pg_backend_pid()", &[]).unwrap().get(0)
    }

    /// Sends `sql` in a session of its own; its pid, and how it ended.
    fn send(mut connection: Connection, sql: &str) -> (i32, std::thread::JoinHandle<Result<(), postgres::Error>>) {
        let (pid, sql) = (pid(&mut connection), sql.to_owned());
        connection.client().batch_execute("set lock_timeout = 0").unwrap();
        (pid, std::thread::spawn(move || connection.client().batch_execute(&sql)))
    }

    fn until(database: &mut Database, pids: &[i32], met: impl Fn(&Queue) -> bool) -> Queue {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = queue(&mut database.connection, pids).unwrap();
            if met(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "{found:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The accident: a reader that nobody looks after, a change of the table behind it, and every reader behind that one. Who asks is a role that
    /// sees of the others nothing but their locks.
    #[test]
    fn who_waits_behind_a_change_is_known_to_any_role_and_who_waits_beside_it_is_not_meant() {
        let mut database = Database::new();
        database.run("create table t (a int); create table u (a int); grant select on t, u to clerk; grant usage on schema public to clerk");
        let mut watch = Database { name: database.name.clone(), connection: open_as("clerk", &database.name) };
        let (mut reader, mut other) = (open(&database.name), open(&database.name));
        let holder = pid(&mut reader);
        reader.client().batch_execute("begin; select from public.t where a = 4711").unwrap();
        other.client().batch_execute("begin; lock table public.u").unwrap();
        let (change, changing) = send(open(&database.name), "alter table public.t add b int");
        let before = until(&mut watch, &[change], |queue| !queue.ours.is_empty());
        assert_eq!(before.behind, []);
        let (aside, waits_aside) = send(open(&database.name), "select from public.u");
        let (first, reads) =
            send(open(&database.name), "begin; lock table public.u in access share mode; select from public.t");
        until(&mut watch, &[aside, first], |queue| queue.ours.len() == 2);
        drop(other);
        waits_aside.join().unwrap().unwrap();
        let queue =
            until(&mut watch, &[change], |queue| queue.behind.len() == 1 && queue.behind[0].waited.as_millis() > 150);
        assert_eq!(queue.ours.iter().map(|it| (it.pid, &it.behind[..])).collect::<Vec<_>>(), [(change, &[holder][..])]);
        assert_eq!((queue.behind[0].pid, &queue.behind[0].behind[..]), (first, &[change][..]));
        assert!(queue.ours[0].since > 0 && queue.ours[0].waited > queue.behind[0].waited);
        let tables = queue.ours.iter().chain(&queue.behind).map(|it| (it.table.as_deref(), it.role.as_deref()));
        assert_eq!(tables.collect::<Vec<_>>(), [(Some("t"), Some("postgres")); 2]);
        let seen = last_statement(&mut database.connection, holder).unwrap();
        assert_eq!(seen.as_deref(), Some("begin; select from public.t where a = 4711"));
        assert_eq!(last_statement(&mut watch.connection, holder).unwrap(), None);
        drop(reader);
        changing.join().unwrap().unwrap();
        reads.join().unwrap().unwrap();
        // Other tests' sessions on this server may wait meanwhile.
        let after = super::queue(&mut watch.connection, &[change]).unwrap();
        assert!(after.ours.is_empty() && after.behind.is_empty(), "{after:?}");
    }

    #[test]
    fn a_row_that_is_waited_for_is_named_by_its_table_and_the_queue_is_followed_to_its_end() {
        let mut database = Database::new();
        database.run("create table t (a int); insert into t values (1)");
        let mut holder = open(&database.name);
        holder.client().batch_execute("begin; update public.t set a = 2").unwrap();
        let (deploy, deploying) = send(open(&database.name), "update public.t set a = 3");
        until(&mut database, &[deploy], |queue| queue.ours.len() == 1);
        let (second, behind) = send(open(&database.name), "update public.t set a = 4");
        let (third, last) = send(open(&database.name), "update public.t set a = 5");
        let queue = until(&mut database, &[deploy], |queue| queue.behind.len() == 2);
        assert_eq!(queue.behind.iter().map(|it| it.pid).collect::<BTreeSet<_>>(), [second, third].into());
        assert!(queue.ours.iter().chain(&queue.behind).all(|it| it.table.as_deref() == Some("t")), "{queue:?}");
        drop(holder);
        for ends in [deploying, behind, last] {
            ends.join().unwrap().unwrap();
        }
    }
}
