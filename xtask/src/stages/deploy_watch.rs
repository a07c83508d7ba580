//! Looks on while `migrate deploy` works on the target: for what it waits, who waits behind it, and how long.
//!
//! By a session of its own, one question every 100 ms, or less often where it is dear. Who looks on neither ends the step nor keeps it from ending: where the server does
//! not answer, that is said of the watch alone.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

use script::without_values::without_values;

use crate::error::{Failure, Result};
use crate::evidence::deploy::{Blocked, Deploy, Wait};
use crate::postgres::connection::Connection;
use crate::postgres::lock_wait::lock_waits;
use crate::postgres::queue::{Queue, Waiting, last_statement, queue};
use crate::run::console::Console;
use crate::session::Session;
use pin::Lease;

const INTERVAL: Duration = Duration::from_millis(100);
/// While somebody waits the question is dearer: then the pause is so many times as long as the look was, up to a longest one.
const TIMES_A_LOOK: u32 = 60;
const LONGEST_INTERVAL: Duration = Duration::from_millis(400);
/// Between two lines, however often who waits is another.
const PAUSE: Duration = Duration::from_secs(1);
/// So long everybody waits behind somebody now and then.
const WORTH_A_LINE: Duration = Duration::from_millis(500);
/// Sessions that a line names, and the record.
const NAMED: usize = 3;
const KEPT: usize = 20;

/// Does `work`, whose sessions are those of `deploy`, and says what they waited for and who waited behind them.
pub fn watched<T>(session: &Session<'_>, console: &Console, deploy: &Lease, work: impl FnOnce() -> T) -> (T, Deploy) {
    let lease = session.lease("deploy watch");
    let open = session.opener(&lease);
    let follows = || {
        let connection = open()?;
        Ok((connection, session.waits.follow(deploy.purpose())))
    };
    let watch = Watch { name: deploy.purpose(), pids: &|| session.backends(deploy), tell: &|line| console.say(line) };
    // Nobody waits for a question that is still open when the work is done.
    watch.beside(follows, || {
        let done = work();
        drop(lease);
        done
    })
}

struct Watch<'a> {
    name: &'a str,
    /// The server's processes of the deploy.
    pids: &'a (dyn Fn() -> Vec<i32> + Sync),
    tell: &'a (dyn Fn(String) + Sync),
}

/// By session and the moment at which the server says that it began to wait.
type Key = (i32, i64);

#[derive(Default)]
struct Seen {
    looks: u64,
    waits: BTreeMap<Key, Wait>,
    blocked: BTreeMap<Key, Blocked>,
    last: Option<(Instant, Told)>,
}

/// What a line was about: who waits for whom.
type Told = (Vec<(i32, Vec<i32>)>, Vec<i32>);

impl Watch<'_> {
    /// `open` brings the session that asks, and what has to be there as long as it is.
    fn beside<T, G>(
        &self,
        open: impl FnOnce() -> Result<(Connection, G)> + Send,
        work: impl FnOnce() -> T,
    ) -> (T, Deploy) {
        std::thread::scope(|scope| {
            let (working, ended) = channel();
            let watch = scope.spawn(move || {
                let mut seen = Seen::default();
                // What fails because the step is over, and its door is closed, is no failure.
                let is_over = |_: &Failure| ended.try_recv() == Err(TryRecvError::Disconnected);
                let failure = match open() {
                    // Asked while `_follows` still says that the watch goes on.
                    Ok((mut connection, _follows)) => {
                        self.all(&mut connection, &mut seen, &ended).err().filter(|failure| !is_over(failure))
                    }
                    Err(failure) => Some(failure).filter(|failure| !is_over(failure)),
                };
                seen.told(failure)
            });
            let done = work();
            drop(working);
            let panicked = |_| Seen::default().told(Some(Failure::bug("the watch panicked")));
            (done, watch.join().unwrap_or_else(panicked))
        })
    }

    fn all(&self, connection: &mut Connection, seen: &mut Seen, ended: &Receiver<()>) -> Result<()> {
        let begun = Instant::now();
        loop {
            let (pids, mut pause) = ((self.pids)(), INTERVAL);
            seen.looks += 1;
            if !pids.is_empty() {
                let looked = Instant::now();
                let queue = queue(connection, &pids)?;
                if queue.somebody_waits {
                    pause = (looked.elapsed() * TIMES_A_LOOK).clamp(INTERVAL, LONGEST_INTERVAL);
                }
                self.see(connection, seen, &queue, begun.elapsed())?;
            }
            if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return Ok(());
            }
        }
    }

    fn see(&self, connection: &mut Connection, seen: &mut Seen, queue: &Queue, watched: Duration) -> Result<()> {
        for one in queue.ours.iter().filter(|one| one.since > 0) {
            let wait = match seen.waits.get_mut(&(one.pid, one.since)) {
                Some(known) => known,
                None => {
                    let wait = wait(connection, one)?;
                    seen.waits.entry((one.pid, one.since)).or_insert(wait)
                }
            };
            wait.waited_ms = milliseconds(one.waited);
        }
        for one in queue.behind.iter().filter(|one| one.since > 0) {
            // Who waited before the deploy began has not waited for it.
            let blocked = blocked(one, watched);
            let known = seen.blocked.entry((one.pid, one.since)).or_default();
            if known.waited_ms <= blocked.waited_ms {
                *known = blocked;
            }
        }
        self.say(seen, queue, watched);
        Ok(())
    }

    /// One line, and another when who waits for whom has changed.
    fn say(&self, seen: &mut Seen, queue: &Queue, watched: Duration) {
        let worth = queue.behind.iter().filter(|one| one.waited >= WORTH_A_LINE);
        let about: Told = (
            queue.ours.iter().filter(|one| one.since > 0).map(|one| (one.pid, one.behind.clone())).collect(),
            worth.clone().map(|one| one.pid).collect(),
        );
        let is_new = seen.last.as_ref().is_none_or(|(when, told)| *told != about && when.elapsed() >= PAUSE);
        if about == Told::default() || !is_new {
            return;
        }
        let behind: Vec<Blocked> = worth.map(|one| blocked(one, watched)).collect();
        let wait = queue.ours.iter().find_map(|one| seen.waits.get(&(one.pid, one.since)));
        (self.tell)(line(self.name, wait, &behind));
        seen.last = Some((Instant::now(), about));
    }
}

/// Who holds what `one` waits for: asked once.
fn wait(connection: &mut Connection, one: &Waiting) -> Result<Wait> {
    let held = lock_waits(connection, &[one.pid])?.into_iter().next();
    let statement = match held.as_ref().and_then(|held| held.holder.pid()) {
        Some(pid) => last_statement(connection, pid)?,
        None => None,
    };
    let statement = statement.map(|sql| without_values(&sql)).filter(|shown| !shown.is_empty());
    Ok(Wait { table: one.table.clone(), waited_ms: 0, held: held.map(|held| held.in_words()), statement })
}

fn line(name: &str, wait: Option<&Wait>, behind: &[Blocked]) -> String {
    let more = behind.len().saturating_sub(NAMED);
    let named = behind.iter().take(NAMED).map(|one| one.in_words("waits"));
    let behind: Vec<String> = named.chain((more > 0).then(|| format!("and {more} more"))).collect();
    let behind = behind.join(", ");
    match (wait, behind.is_empty()) {
        (Some(wait), true) => format!("  {name} waits: {}", wait.in_words()),
        (Some(wait), false) => format!("  {name} waits: {}; behind it {behind}", wait.in_words()),
        (None, _) => format!("  {name} keeps others waiting: {behind}"),
    }
}

fn blocked(one: &Waiting, at_most: Duration) -> Blocked {
    Blocked {
        pid: one.pid,
        role: one.role.clone(),
        application_name: one.application_name.clone(),
        table: one.table.clone(),
        waited_ms: milliseconds(one.waited.min(at_most)),
    }
}

impl Seen {
    fn told(self, failure: Option<Failure>) -> Deploy {
        let over = || Failure::failed("it was over before the first look");
        let failure = failure.or_else(|| (self.looks == 0).then(over));
        let mut blocked: Vec<Blocked> = self.blocked.into_values().collect();
        blocked.sort_by_key(|one| std::cmp::Reverse(one.waited_ms));
        blocked.truncate(KEPT);
        Deploy {
            attempt: 1,
            looks: self.looks,
            waited_ms: self.waits.values().map(|wait| wait.waited_ms).sum(),
            blocked_ms: blocked.first().map_or(0, |longest| longest.waited_ms),
            waits: self.waits.into_values().collect(),
            blocked,
            unwatched: failure
                .map(|failure| [vec![failure.message.clone()], failure.causes().collect()].concat().join(": ")),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::postgres::server::{Database, open};

    fn pid(connection: &mut Connection) -> i32 {
        connection.client().query_one("select pg_catalog.pg_backend_pid()", &[]).unwrap().get(0)
    }

    /// Waits for what a look of the watch brings: how soon it comes is the machine's business.
    fn until(what: &str, mut happened: impl FnMut() -> bool) {
        let asked = Instant::now();
        while !happened() {
            assert!(asked.elapsed() < Duration::from_secs(30), "never saw {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Tells when the watch is over: it has this until then.
    struct UntilDropped<'a>(&'a AtomicBool);
    impl Drop for UntilDropped<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// Three sessions in a queue: a reader, a change of its table, and who comes after that. `meanwhile` gets the watch's own pid,
    /// and whether the watch is over.
    fn queued(meanwhile: impl FnOnce(&mut Database, i32, &AtomicBool)) -> (Vec<String>, Deploy) {
        let mut database = Database::new();
        database.run("create table t (a int)");
        let [mut reader, mut deploy, mut web, mut watch] = [(); 4].map(|()| open(&database.name));
        let (deploying, watching) = (pid(&mut deploy), pid(&mut watch));
        reader.client().batch_execute("begin; select from public.t where a = 4711").unwrap();
        let lines = std::sync::Mutex::new(Vec::new());
        let (pids, tell) = (|| vec![deploying], |line| lines.lock().unwrap().push(line));
        let told = || lines.lock().unwrap().len();
        let over = AtomicBool::new(false);
        let (_, seen) = Watch { name: "the deploy", pids: &pids, tell: &tell }.beside(
            || Ok((watch, UntilDropped(&over))),
            || {
                let deploy =
                    std::thread::spawn(move || deploy.client().batch_execute("alter table public.t add b int"));
                until("the line of the deploy", || told() == 1);
                let web = std::thread::spawn(move || web.client().batch_execute("select from public.t"));
                until("the line of who waits behind it", || told() == 2);
                meanwhile(&mut database, watching, &over);
                drop(reader);
                deploy.join().unwrap().unwrap();
                web.join().unwrap().unwrap();
            },
        );
        (lines.into_inner().unwrap(), seen)
    }

    #[test]
    fn one_line_at_once_one_when_the_queue_grows_and_all_of_it_in_the_record() {
        let (lines, seen) = queued(|_, _, _| ());
        let ends =
            lines.iter().map(|line| line.split_once(") holds a lock on ").unwrap().1.split(" pid").next().unwrap());
        let sent = "`t`, and was last sent `begin; select from public.t where a = ?`";
        assert_eq!(ends.collect::<Vec<_>>(), [sent.to_owned(), format!("{sent}; behind it backend")]);
        assert_eq!((seen.waits.len(), seen.blocked.len(), &seen.unwatched), (1, 1, &None));
        // The second line comes a second after the first, and who waits is worth it after half a one.
        assert!(seen.looks >= 2 && seen.waited_ms >= 1_000, "{seen:?}");
        assert!((500..seen.waited_ms).contains(&seen.blocked_ms), "{seen:?}");
    }

    #[test]
    fn a_watch_that_ends_early_says_so_and_keeps_what_it_saw() {
        let (_, seen) = queued(|database, watching, over| {
            let _ = database.ask::<bool>(&format!("select pg_catalog.pg_terminate_backend({watching})"));
            until("the end of the watch", || over.load(Ordering::SeqCst));
        });
        assert!(
            seen.unwatched.as_ref().is_some_and(|why| why.starts_with("could not ask who waits for a lock")),
            "{seen:?}"
        );
        assert!(seen.blocked_ms >= 500, "{seen:?}");
    }

    #[test]
    fn a_watch_that_does_not_begin_says_so_and_what_is_watched_is_as_it_would_be() {
        let watch = Watch { name: "the deploy", pids: &Vec::new, tell: &|line| panic!("{line}") };
        let none = || Err::<(Connection, ()), _>(Failure::blocked("no slot is left"));
        let (result, seen) = watch.beside(none, || {
            std::thread::sleep(Duration::from_millis(50));
            7
        });
        assert_eq!((result, seen.looks, seen.unwatched.as_deref()), (7, 0, Some("no slot is left")));
    }
}
