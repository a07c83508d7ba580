//! Looks on while work is done on the target, whoever does it: a session of the run that waits for a lock is said at once, with who keeps
//! it waiting, and again in the failure that came of it.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::error::Result;
use crate::meanwhile::meanwhile;
use crate::postgres::lock_wait::{LockWait, lock_waits};
use crate::run::console::Console;
use crate::session::Session;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// A wait that was seen in one of the last looks may be what a deadline has ended.
pub const RECENT: Duration = Duration::from_millis(800);

/// Does `work` and says what of it waits.
///
/// # Errors
/// Those of `work`; `blocked` where they came of a wait.
pub fn watched<T>(session: &Session<'_>, console: &Console, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let result = meanwhile(&|ended| watch(session, console, ended), work);
    result.map_err(|failure| session.waits.explain(failure, RECENT))
}

/// Each holder is told once, unless somebody looks closer. Whoever cannot look says nothing: the work itself tells what fails.
fn watch(session: &Session<'_>, console: &Console, ended: &Receiver<()>) {
    let mut told = BTreeSet::new();
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let Some(waits) = look(session) else { return };
        session.waits.note(waits.first());
        for wait in waits {
            let name = name(session, &wait);
            let is_new = told.insert(wait.holder.who.clone());
            if is_new && !session.waits.is_followed(&name) {
                console.say(format!("  {name} waits: {}", wait.in_words()));
            }
        }
    }
}

/// By the session that is open anyway, and by one of our own where that one is at work, and may itself be what waits.
fn look(session: &Session<'_>) -> Option<Vec<LockWait>> {
    let pids: Vec<i32> = session.all_backends().into_iter().map(|(pid, _)| pid).collect();
    // A run that has left the database waits for nobody in it.
    let Some(mut own) = session.onlooker() else { return Some(Vec::new()) };
    if let Some(mut idle) = session.idle_connection() {
        return lock_waits(&mut idle, &pids).ok();
    }
    if own.is_none() {
        *own = Some(session.connect().ok()?);
    }
    let waits = lock_waits(own.as_mut()?, &pids).ok();
    if waits.is_none() {
        *own = None;
    }
    waits
}

/// What the session that waits is for.
fn name(session: &Session<'_>, wait: &LockWait) -> String {
    let purpose = session.all_backends().into_iter().find(|(pid, _)| *pid == wait.waiter).map(|(_, purpose)| purpose);
    purpose.unwrap_or_else(|| "a session that has ended".to_owned())
}
