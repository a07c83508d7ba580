//! Ctrl-C, SIGTERM and SIGHUP as a question that a step can ask: has the user asked to stop, and how?

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Failure, OrFail, Result, Status};

/// Shared by everything that waits. The first signal decides how the run ends; another one says that waiting must end too.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    first: Arc<AtomicI32>,
    count: Arc<AtomicUsize>,
    waiting: Arc<Mutex<Vec<Sender<()>>>>,
}

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process; SIGHUP not where `nohup` said to ignore it.
    pub fn listen() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let hangup = (!ignored(SIGHUP)).then_some(SIGHUP);
        let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup)).bug("cannot listen for signals")?;
        let heard = interrupt.clone();
        std::thread::spawn(move || signals.forever().for_each(|signal| heard.hear(signal)));
        Ok(interrupt)
    }

    fn hear(&self, signal: i32) {
        let first = self.first.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // A terminal that goes sends SIGHUP more than once, and that is no second request.
        if first || signal != SIGHUP {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        self.wake();
    }

    /// From now on every signal is told to `waiting` too, until its receiver is gone.
    pub fn wakes(&self, waiting: Sender<()>) {
        self.wake();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
    }

    /// Who is woken looks around and waits again, so one time too often does no harm.
    fn wake(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).retain(|waiting| waiting.send(()).is_ok());
    }

    /// How the run must end, once a signal has come.
    pub fn status(&self) -> Option<Status> {
        match self.first.load(Ordering::Relaxed) {
            0 => None,
            SIGINT => Some(Status::Interrupted),
            _ => Some(Status::Terminated),
        }
    }

    /// How many signals have come: who asks twice does not want to wait for the server either.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// An error when a signal has come: what a step calls before it begins.
    pub fn check(&self) -> Result<()> {
        match self.status() {
            None => Ok(()),
            Some(status) => Err(Failure::interrupted(status)),
        }
    }
}

/// Whether we were started with `signal` ignored; false where the system does not say.
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
impl Interrupt {
    /// As if the process had got `signal`.
    pub fn pretend(&self, signal: i32) {
        self.hear(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_decides_and_a_terminal_that_goes_asks_once() {
        let interrupt = Interrupt::default();
        let counts = [SIGHUP, SIGHUP, SIGINT].map(|signal| {
            interrupt.hear(signal);
            interrupt.count()
        });
        assert_eq!((counts, interrupt.status()), ([1, 1, 2], Some(Status::Terminated)));
    }
}
