//! Ctrl-C and SIGTERM as a question that a step can ask: has the user asked to stop, and how?

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Failure, OrFail, Result, Status};

/// Shared by everything that waits. The first signal decides how the run ends; another one says that waiting must end too.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    first: Arc<AtomicI32>,
    count: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP for the rest of the process.
    pub fn listen() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).bug("cannot listen for signals")?;
        let heard = interrupt.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let _ = heard.first.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
                heard.count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(interrupt)
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
