//! Takes one migration back on the target; a signal stops the script on the server.

use std::time::Duration;

use crate::error::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::migrations::down::{self, Order, RolledBack};
use crate::session::Session;

/// Between two looks whether the user wants to stop.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

/// Takes one migration back; a signal stops the script on the server, and nothing of it stays.
pub fn roll_back(session: &Session<'_>, order: &Order<'_>) -> Result<RolledBack> {
    let mut connection = session.connect()?;
    let canceller = connection.canceller();
    let result = std::thread::scope(|scope| {
        let (done, ended) = std::sync::mpsc::channel::<()>();
        let interrupt = session.interrupt;
        scope.spawn(move || {
            // Not once: a request that arrives between two statements stops neither.
            while ended.recv_timeout(INTERRUPT_INTERVAL) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                if interrupt.status().is_some() {
                    canceller.cancel();
                }
            }
        });
        let result = down::roll_back(&mut connection, &session.target, order);
        drop(done);
        result
    });
    result.map_err(|failure| interrupted(session.interrupt, failure))
}

fn interrupted(interrupt: &Interrupt, failure: Failure) -> Failure {
    match interrupt.status() {
        Some(status) => Failure::interrupted(status).because_all(failure.causes()),
        None => failure,
    }
}
