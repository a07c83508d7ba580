//! Long work on the server that ends soon after the user asks to stop: a statement is cancelled there, not just forgotten here.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use postgres::{CancelToken, NoTls, Transaction};

use crate::error::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::meanwhile::meanwhile;

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
    if result.is_err() {
        let _ = token.cancel_query(NoTls);
    }
    // Also of work that was done by then: a cancellation that was sent would hit what comes next, the commit.
    interrupt.status().map_or(result, |status| Err(Failure::interrupted(status)))
}

/// Does `work`, and cancels the statements of `sessions` when a signal comes.
pub fn watched<T>(sessions: &[CancelToken], interrupt: &Interrupt, work: impl FnOnce() -> T) -> T {
    meanwhile(&|ended| watch(sessions, interrupt, ended), work)
}

fn watch(sessions: &[CancelToken], interrupt: &Interrupt, ended: &Receiver<()>) {
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        // Again and again: a cancellation that comes between two statements is lost.
        if interrupt.status().is_some() {
            for session in sessions {
                let _ = session.cancel_query(NoTls);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::postgres::connection::CouldNot;
    use crate::postgres::server::{Database, open_as};

    #[test]
    fn what_is_done_as_the_signal_comes_is_not_committed_and_was_stopped_by_it() {
        let (mut database, interrupt) = (Database::new(), Interrupt::default());
        let made = database.connection.write(|transaction| {
            interruptible(transaction, &interrupt, |transaction| {
                transaction.batch_execute("create table public.t ()").could_not("make a table")?;
                interrupt.pretend(signal_hook::consts::SIGINT);
                // The cancellation comes while nothing runs that it could hit.
                std::thread::sleep(3 * LOOK);
                Ok(())
            })
        });
        assert_eq!(made.unwrap_err().status, Status::Interrupted);
        let there = "select pg_catalog.to_regclass('public.t') is null";
        let mut other = open_as("postgres", &database.name);
        assert!(other.client().query_one(there, &[]).unwrap().get::<_, bool>(0));
    }

    #[test]
    fn a_panic_in_the_work_is_no_reason_to_wait_for_ever() {
        let (told, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let work = || watched(&[], &Interrupt::default(), || panic!("fault injection"));
            let _ = told.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(30)), Ok(true));
    }
}
