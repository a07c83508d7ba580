//! Long work on the server that ends soon after the user asks to stop: a statement is cancelled there, not just forgotten here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::{CancelToken, NoTls, Transaction};

use crate::error::{Failure, Result};
use crate::interrupt::Interrupt;

const LOOK: Duration = Duration::from_millis(50);

/// Does `work`, and cancels the statement that runs in it when a signal comes or the work fails with one still running: else the server
/// would finish what it is at before it hears of the end.
///
/// # Errors
/// Those of `work`; `interrupted` when a signal came before it was done.
pub fn interruptible<T>(
    transaction: &mut Transaction<'_>,
    interrupt: &Interrupt,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let token = transaction.cancel_token();
    let result = watched(std::slice::from_ref(&token), interrupt, || work(transaction));
    result.map_err(|failure| {
        let _ = token.cancel_query(NoTls);
        interrupt.status().map_or(failure, Failure::interrupted)
    })
}

/// Does `work`, and cancels the statements of `sessions` when a signal comes.
pub fn watched<T>(sessions: &[CancelToken], interrupt: &Interrupt, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(sessions, interrupt, &done));
        let result = work();
        done.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        result
    })
}

fn watch(sessions: &[CancelToken], interrupt: &Interrupt, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        // Again and again: a cancellation that comes between two statements is lost.
        if interrupt.status().is_some() {
            for session in sessions {
                let _ = session.cancel_query(NoTls);
            }
        }
        std::thread::park_timeout(LOOK);
    }
}
