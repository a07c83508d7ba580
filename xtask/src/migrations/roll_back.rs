//! Takes one migration back on the target; a signal stops the script on the server.

use std::time::Duration;

use crate::error::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::migrations::down::{self, Order, RolledBack};
use crate::postgres::connection::Connection;
use crate::session::Session;

/// Between two looks whether the user wants to stop.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

/// Takes one migration back; a signal stops the script on the server, and nothing of it stays. `connection` is a session of nobody else's,
/// made where there is none and kept while all goes well.
pub fn roll_back(session: &Session<'_>, connection: &mut Option<Connection>, order: &Order<'_>) -> Result<RolledBack> {
    let kept = connection.take().and_then(|mut kept| (!kept.has_ended()).then_some(kept));
    let mut own = kept.map_or_else(|| session.connect(), Ok)?;
    let canceller = own.canceller();
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
        let result = down::roll_back(&mut own, &session.target, order);
        drop(done);
        result
    });
    let done = result.map_err(|failure| interrupted(session.interrupt, failure))?;
    *connection = Some(own);
    Ok(done)
}

fn interrupted(interrupt: &Interrupt, failure: Failure) -> Failure {
    match interrupt.status() {
        Some(status) => Failure::interrupted(status).because_all(failure.causes()),
        None => failure,
    }
}
