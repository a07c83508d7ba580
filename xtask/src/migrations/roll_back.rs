//! Takes one migration back on the target; a signal stops the script on the server.

use crate::error::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::migrations::down::{self, Order, RolledBack};
use crate::postgres::cancel::watched;
use crate::postgres::connection::Connection;
use crate::session::Session;

/// Takes one migration back; a signal stops the script on the server, and nothing of it stays. `connection` is a session of nobody else's,
/// made where there is none and kept while all goes well.
pub fn roll_back(session: &Session<'_>, connection: &mut Option<Connection>, order: &Order<'_>) -> Result<RolledBack> {
    let kept = connection.take().and_then(|mut kept| (!kept.has_ended()).then_some(kept));
    let mut own = kept.map_or_else(|| session.connect(), Ok)?;
    let token = own.cancel_token();
    let result = watched(&[token], session.interrupt, || down::roll_back(&mut own, &session.target, order));
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
