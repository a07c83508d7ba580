//! A server that owes an answer and says nothing: does it work, or is it gone?
//!
//! A migration may run for hours without a byte on the wire, and a kernel keeps the connections of a stopped process alive. So silence alone
//! ends nothing: another connection asks the server what the session is doing. While it works it is waited for. It is gone when nobody
//! answers there either; and the connection is lost when the server does not know its session, or waits for us as we wait for it.
//!
//! A TCP user timeout would not do: it also ends a connection whose server works and does not read meanwhile, as in a COPY that waits for a
//! lock.

use std::fmt;
use std::future::pending;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::login::LoginFailure;
use crate::relay::first;
use crate::shared::{Grant, Shared};
use crate::turn::Turn;
use crate::wire::{self, CancelKey};

/// Since the user asked to stop: what a session of ours has for what it is at before it is cancelled, and when it is cut off.
const CANCELLED_AFTER: Duration = Duration::from_millis(800);
const CUT_AFTER: Duration = Duration::from_millis(1600);
/// How long a session may be silent then until the server is asked.
const LOOK: Duration = Duration::from_millis(200);

/// A connection that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Of its lease.
    pub purpose: String,
    pub silent: Duration,
    pub how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nor did a new connection get an answer.
    NoAnswer,
    /// A new connection says that the server has no such session.
    NoSession,
    /// A new connection says that the session waits for us.
    Stuck,
    /// The user did not want to wait any longer.
    Stopped,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (purpose, seconds) = (&self.purpose, self.silent.as_secs_f32());
        match self.how {
            How::NoAnswer => write!(
                f,
                "the server does not answer: no byte for {seconds:.1} s on the connection of `{purpose}`, and none on a new one"
            ),
            How::NoSession => write!(
                f,
                "the connection of `{purpose}` is lost: no byte for {seconds:.1} s, and the server knows no such session any more"
            ),
            How::Stuck => write!(
                f,
                "the connection of `{purpose}` is lost: no byte for {seconds:.1} s, and the server waits for what was sent to it"
            ),
            How::Stopped => {
                write!(f, "the server was not waited for: it still owed an answer on the connection of `{purpose}`")
            }
        }
    }
}

/// One session, or a login that is to become one.
pub struct Watch<'a> {
    pub shared: &'a Shared,
    pub grant: &'a Grant,
    pub turn: &'a Turn,
    /// The server's process and its key; None during a login.
    pub backend: Option<(i32, Option<CancelKey>)>,
}

impl Watch<'_> {
    /// Ends when the connection is to be given up.
    pub async fn lost(&self) -> How {
        let before = self.shared.urgency.asked();
        match first(self.patiently(), self.shared.urgency.raised(1)).await {
            Some(how) => how,
            None => first(self.in_haste(before == 0), self.asked_again(before.max(1))).await.unwrap_or(How::Stopped),
        }
    }

    /// Notes that it is.
    pub fn give_up(&self, how: How) -> Lost {
        let silent = self.turn.silent_since().map(|since| since.elapsed()).unwrap_or_default();
        let lost = Lost { purpose: self.grant.purpose.clone(), silent, how };
        self.shared.lose(lost.clone());
        lost
    }

    /// While nobody wants to stop: as long as the server works.
    async fn patiently(&self) -> How {
        // Six pauses, or two with a look that takes all its time after each, are the whole of it.
        let pause = self.shared.silence / 6;
        let mut faults = 0;
        loop {
            let before = self.turn.silent_since();
            sleep(pause).await;
            let Some(since) = before.filter(|_| self.turn.silent_since() == before) else { continue };
            let fault = self.look(pause).await.filter(|_| self.turn.silent_since() == before);
            faults = fault.map_or(0, |_| faults + 1);
            // Twice, since at the first look its answer may have been on the way.
            if let Some(how) = fault.filter(|_| faults > 1 && since.elapsed() >= self.shared.silence) {
                return how;
            }
        }
    }

    /// After the user has asked to stop: as long as the server answers, and what a session of ours was at `before` no longer than that.
    async fn in_haste(&self, before: bool) -> How {
        let (begun, open) = (Instant::now(), self.open());
        loop {
            if self.turn.silent_since().is_some() && self.shared.known_silent() {
                return How::NoAnswer;
            }
            sleep(LOOK / 5).await;
            if self.turn.silent_since().is_none_or(|since| since.elapsed() < LOOK) {
                continue;
            }
            if !self.shared.answers_soon().await {
                return How::NoAnswer;
            }
            let still_at_it = self.grant.ours && before && open.is_some() && open == self.open();
            if still_at_it && begun.elapsed() >= CUT_AFTER {
                return How::Stopped;
            }
            if still_at_it && begun.elapsed() >= CANCELLED_AFTER {
                self.cancel().await;
            }
            sleep(LOOK).await;
        }
    }

    /// A request that comes later was asked for since, and is waited for.
    async fn asked_again(&self, before: usize) {
        self.shared.urgency.raised(before + 1).await;
        if self.turn.silent_since().is_none() {
            pending::<()>().await;
        }
    }

    /// The number of the request that the server owes an answer to.
    fn open(&self) -> Option<u64> {
        self.turn.silent_since().map(|_| self.turn.request())
    }

    /// What is wrong, if anything: another connection asks.
    async fn look(&self, limit: Duration) -> Option<How> {
        let answer = timeout(limit, self.ask()).await;
        match answer {
            Ok(Ok(fault)) => fault,
            // It refuses another connection: it has too many, or starts, or another password now.
            Ok(Err(LoginFailure { response: Some(_), .. })) => None,
            _ => (!self.shared.answers(limit).await).then_some(How::NoAnswer),
        }
    }

    async fn ask(&self) -> Result<Option<How>, LoginFailure> {
        let Some((pid, _)) = self.backend else {
            return Err(LoginFailure::from(wire::malformed("a login has no session yet")));
        };
        let waits = self.shared.upstream.waits_for_client(&self.shared.identity.database, pid).await?;
        Ok(match waits {
            None => Some(How::NoSession),
            Some(true) => Some(How::Stuck),
            Some(false) => None,
        })
    }

    async fn cancel(&self) {
        self.shared.note_cancelled();
        if let Some((_, Some(key))) = self.backend {
            let _ = self.shared.upstream.cancel(key).await;
        }
    }
}
