//! Sessions of ours that wait for a lock, who keeps them waiting, and what a failure says that came of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postgres::error::SqlState;

use crate::error::{Failure, Result, Status};
use crate::postgres::activity::PRISMA_LOCK;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::holder::{Holder, OF_SESSION, PREPARED};

/// Prisma's own end of its wait for the migration lock.
const PRISMAS_TIMEOUT: &str = "P1002";

/// How the end by a deadline is called: ours of a child, and the server's of a statement.
const DEADLINES: [&str; 2] = ["did not end in time", "57014"];

/// One session that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWait {
    pub waiter: i32,
    pub holder: Holder,
    /// What is held, in words.
    lock: String,
}

impl LockWait {
    pub fn in_words(&self) -> String {
        format!("{} holds {}", self.holder.in_words(), self.lock)
    }
}

/// Which of `pids` wait for a lock, and for whom that is none of them. Who looks holds nothing for longer than the look.
pub fn lock_waits(connection: &mut Connection, pids: &[i32]) -> Result<Vec<LockWait>> {
    // A one-argument advisory lock shows its key as two halves, and `objsubid` 1. A prepared transaction has the pid 0.
    let sql = format!(
        "select w.pid, l.locktype, case when l.database = w.datid and w.datname = pg_catalog.current_database() then c.relname::text end,
                case when l.locktype = 'advisory' and l.objsubid = 1 then l.classid::int8 << 32 | l.objid::int8 end,
                p.gid, p.owner::text, p.prepared, b.pid, {OF_SESSION}
           from pg_catalog.pg_stat_activity w
          cross join lateral pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b (pid)
           left join pg_catalog.pg_stat_activity a on a.pid = b.pid
           left join lateral (select * from pg_catalog.pg_locks l where l.pid = w.pid and not l.granted limit 1) l on true
           left join pg_catalog.pg_class c on c.oid = l.relation
           left join lateral (
                select p.* from {PREPARED} p join pg_catalog.pg_locks h using (virtualtransaction)
                 where b.pid = 0 and h.pid is null and h.granted and h.locktype = l.locktype
                   and (h.database, h.relation, h.transactionid, h.classid, h.objid)
                       is not distinct from (l.database, l.relation, l.transactionid, l.classid, l.objid)
                 limit 1) p on true
          where w.pid = any($1) and w.wait_event_type = 'Lock' and b.pid <> all($1) and b.pid <> pg_catalog.pg_backend_pid()
          order by w.pid, coalesce(p.prepared, a.xact_start)"
    );
    let rows = connection.client().query(&sql, &[&pids]).could_not("ask who holds a lock")?;
    Ok(rows.iter().map(read).collect())
}

fn read(row: &postgres::Row) -> LockWait {
    let (kind, table, key): (Option<&str>, Option<&str>, Option<i64>) = (row.get(1), row.get(2), row.get(3));
    let lock = match (kind, table, key) {
        (_, Some(table), _) => format!("a lock on `{table}`"),
        (_, _, Some(PRISMA_LOCK)) => "Prisma's migration lock".to_owned(),
        (_, _, Some(key)) => format!("the advisory lock {key}"),
        (Some("transactionid" | "tuple"), ..) => "a lock on a row".to_owned(),
        (Some("virtualxid"), ..) => "a transaction open that has to end first".to_owned(),
        _ => "a lock".to_owned(),
    };
    let holder = Holder::prepared_or_session(row, 4);
    LockWait { waiter: row.get(0), holder, lock }
}

/// What is seen of the waits of one run.
#[derive(Debug, Default)]
pub struct Waits(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<(Instant, LockWait)>,
    ended: bool,
    /// What the sessions are for whose waits somebody else tells.
    followed: Option<String>,
}

/// While it is there, the waits of the sessions for one purpose are told by who holds it.
pub struct Follows<'a>(&'a Waits);

impl Drop for Follows<'_> {
    fn drop(&mut self) {
        self.0.seen().followed = None;
    }
}

impl Waits {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a look found.
    pub fn note(&self, wait: Option<&LockWait>) {
        if let Some(wait) = wait {
            self.seen().last = Some((Instant::now(), wait.clone()));
        }
    }

    #[must_use]
    pub fn follow(&self, purpose: &str) -> Follows<'_> {
        self.seen().followed = Some(purpose.to_owned());
        Follows(self)
    }

    pub fn is_followed(&self, purpose: &str) -> bool {
        self.seen().followed.as_deref() == Some(purpose)
    }

    /// Whether a failure of this run came of a wait.
    pub fn ended_one(&self) -> bool {
        self.seen().ended
    }

    /// Says of a failure that came of a wait who was waited for. One that ended by a lock's time limit has waited for what was seen last, one
    /// that ended by a deadline for what was seen within `recent`; other failures are what they are.
    pub fn explain(&self, failure: Failure, recent: Duration) -> Failure {
        let says = |words: &str| failure.message.contains(words) || failure.causes().any(|cause| cause.contains(words));
        let by_lock = says(SqlState::LOCK_NOT_AVAILABLE.code()) || says(PRISMAS_TIMEOUT);
        let by_deadline = DEADLINES.into_iter().any(says);
        if !matches!(failure.status, Status::Failed | Status::Blocked) || !by_lock && !by_deadline {
            return failure;
        }
        let mut seen = self.seen();
        if seen.ended {
            return failure;
        }
        let wait = seen.last.take().filter(|(when, _)| by_lock || when.elapsed() <= recent).map(|(_, wait)| wait);
        seen.ended = by_lock || wait.is_some();
        let Some(wait) = wait else {
            return if by_lock { failure.with_status(Status::Blocked).hint(AGAIN) } else { failure };
        };
        let note = format!("it may end by itself, and this ends it: {}", wait.holder.remedy());
        failure.with_status(Status::Blocked).because(wait.in_words()).note(note).hint(AGAIN)
    }
}

const AGAIN: &str = "wait for it to end, then run this again";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::{Database, open, open_as};

    /// Waits for what another thread is about to do on the server.
    fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "nothing happened");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn pid(connection: &mut Connection) -> i32 {
        connection.client().query_one("select pg_catalog.pg_backend_pid()", &[]).unwrap().get(0)
    }

    /// What is said while `waiting` waits for what holds it; `release` ends that.
    fn said(database: &mut Database, waiting: &str, release: impl FnOnce(&mut Connection)) -> String {
        let mut waiter = open(&database.name);
        let pids = [pid(&mut waiter)];
        assert_eq!(lock_waits(&mut database.connection, &pids).unwrap(), []);
        waiter.client().batch_execute("set lock_timeout = 0").unwrap();
        let waiting = waiting.to_owned();
        let waiter = std::thread::spawn(move || waiter.client().batch_execute(&waiting));
        let wait = until(|| lock_waits(&mut database.connection, &pids).unwrap().into_iter().next());
        release(&mut database.connection);
        waiter.join().unwrap().unwrap();
        assert_eq!(lock_waits(&mut database.connection, &pids).unwrap(), []);
        assert_eq!(wait.waiter, pids[0]);
        without_numbers(&wait.in_words())
    }

    /// Pids and times are of the moment.
    fn without_numbers(text: &str) -> String {
        let words = text.split(' ').map(|word| if word.starts_with(|c: char| c.is_ascii_digit()) { "N" } else { word });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn who_keeps_a_session_waiting_is_named_whatever_holds_what() {
        let held = [
            (
                "begin; lock table public.t in access share mode",
                "alter table public.t add b int",
                "backend pid N (role `clerk`, `xtask tests`, idle in transaction since N holds a lock on `t`",
            ),
            (
                "begin; update public.t set a = 2",
                "update public.t set a = 3",
                "backend pid N (role `clerk`, `xtask tests`, idle in transaction since N holds a lock on a row",
            ),
            (
                "begin isolation level repeatable read; select from public.t",
                "create index concurrently on public.t (a)",
                "backend pid N (role `clerk`, `xtask tests`, idle in transaction since N holds a transaction open that has to end first",
            ),
            (
                "select pg_catalog.pg_advisory_lock(72707369)",
                "select pg_catalog.pg_advisory_lock(72707369)",
                "backend pid N (role `clerk`, `xtask tests`, idle since N holds Prisma's migration lock",
            ),
            (
                "select pg_catalog.pg_advisory_lock(5)",
                "select pg_catalog.pg_advisory_lock(5)",
                "backend pid N (role `clerk`, `xtask tests`, idle since N holds the advisory lock N",
            ),
        ];
        let mut database = Database::new();
        database.run("create table t (a int); insert into t values (1); grant all on t to clerk; grant usage on schema public to clerk");
        for (hold, wait, words) in held {
            let mut holder = open_as("clerk", &database.name);
            holder.client().batch_execute(hold).unwrap();
            assert_eq!(said(&mut database, wait, |_| drop(holder)), words, "{hold}");
        }
    }

    #[test]
    fn a_prepared_transaction_has_no_session_and_is_named_all_the_same() {
        let mut database = Database::new();
        database.run("create table t (a int); insert into t values (1)");
        let name = format!("left in {}", database.name);
        let held = [
            ("insert into public.t values (2)", "alter table public.t add b int", "a lock on `t`"),
            ("update public.t set a = 2", "update public.t set a = 3", "a lock on a row"),
            (
                "select pg_catalog.pg_advisory_xact_lock(72707369)",
                "select pg_catalog.pg_advisory_lock(72707369)",
                "Prisma's migration lock",
            ),
        ];
        for (hold, wait, lock) in held {
            let mut holder = open(&database.name);
            holder.client().batch_execute(&format!("begin; {hold}; prepare transaction '{name}'")).unwrap();
            drop(holder);
            if lock.starts_with("Prisma") {
                let holders = crate::postgres::activity::lock_holders(&mut database.connection).unwrap();
                let words = without_numbers(&holders[0].in_words());
                assert_eq!(words, format!("prepared transaction `{name}` (role `postgres`, since N holds it"));
            }
            let end = format!("rollback prepared '{name}'");
            let said = said(&mut database, wait, |other| other.client().batch_execute(&end).unwrap());
            assert_eq!(said, format!("prepared transaction `{name}` (role `postgres`, since N holds {lock}"));
        }
    }

    #[test]
    fn a_worker_of_the_server_is_named_as_what_it_is() {
        let mut database = Database::new();
        // Slow enough to be met: it gives way a second after somebody waits for it.
        database.run(
            "create table t (a int, b text) with (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
                 autovacuum_analyze_threshold = 1000000000, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
             insert into t select n, repeat('x', 500) from generate_series(1, 20000) n; delete from t where a % 2 = 0",
        );
        let at_work = "select exists (select from pg_catalog.pg_stat_progress_vacuum p
            join pg_catalog.pg_stat_activity a on a.pid = p.pid and a.backend_type = 'autovacuum worker' where p.datname = pg_catalog.current_database())";
        // Else it comes by once a minute.
        let hurry = ["alter system set autovacuum_naptime = 1", "select pg_catalog.pg_reload_conf()"];
        hurry.into_iter().for_each(|sql| database.connection.client().batch_execute(sql).unwrap());
        until(|| database.ask::<bool>(at_work).then_some(()));
        let rest = ["alter system reset autovacuum_naptime", "select pg_catalog.pg_reload_conf()"];
        rest.into_iter().for_each(|sql| database.connection.client().batch_execute(sql).unwrap());
        let said = said(&mut database, "alter table public.t add c int", |_| {});
        assert_eq!(said, "autovacuum worker pid N (active since N holds a lock on `t`");
    }

    fn seen(waits: &Waits) {
        let holder = Holder {
            who: crate::postgres::holder::Who::Session(7),
            role: Some("ana".into()),
            application_name: None,
            state: Some("idle".into()),
            since: None,
        };
        waits.note(Some(&LockWait { waiter: 1, holder, lock: "a lock on `t`".into() }));
    }

    #[test]
    fn a_failure_that_came_of_a_wait_is_blocked_once_and_says_who_held_the_lock() {
        let ends = [
            ("ERROR: canceling statement due to lock timeout (SQLSTATE 55P03)", Duration::ZERO),
            ("P1002: the advisory lock", Duration::ZERO),
            ("`migrate deploy` did not end in time and was stopped", Duration::from_secs(60)),
            ("ERROR: canceling statement due to statement timeout (SQLSTATE 57014)", Duration::from_secs(60)),
        ];
        for (cause, recent) in ends {
            let waits = Waits::default();
            seen(&waits);
            let failure = waits.explain(Failure::failed("it failed").because(cause), recent);
            let told = "backend pid 7 (role `ana`, `unknown`, idle) holds a lock on `t`";
            assert_eq!(
                failure.in_full(),
                format!(
                    "blocked: it failed\ncaused by: {cause}\ncaused by: {told}\nnote: it may end by itself, and this ends it: select pg_terminate_backend(7)"
                )
            );
            assert!(waits.ended_one());
            seen(&waits);
            assert_eq!(waits.explain(failure.clone(), recent).in_full(), failure.in_full());
        }
    }

    #[test]
    fn a_failure_of_another_kind_is_what_it_is_whatever_waited_before_it() {
        let others = [
            Failure::failed("it failed").because("ERROR: division by zero (SQLSTATE 22012)"),
            Failure::failed("`migrate deploy` did not end in time and was stopped"),
            Failure::interrupted(Status::Interrupted).because("SQLSTATE 55P03"),
        ];
        for other in others {
            let waits = Waits::default();
            seen(&waits);
            assert_eq!(waits.explain(other.clone(), Duration::ZERO).in_full(), other.in_full());
            assert!(!waits.ended_one());
        }
    }
}
