//! The one door to other programs.
//!
//! A child gets exactly the environment it is given, its own process group, a closed stdin and a deadline; its output is
//! masked before the first byte reaches the log. On a deadline or a signal the whole group ends, not only the child.

mod engine_program;
mod exit;
mod group;
mod invocation;
pub mod locate;
mod log;
pub mod native_engine;
mod node_error;
mod npm_cache;
pub mod package_manager;
pub mod packages;
mod pnp;
pub mod prisma_cli;
pub mod release;
pub mod said;
mod started;
mod tail;
#[cfg(test)]
mod tests;
mod wasm_engine;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use exit::Exit;
pub use invocation::Invocation;
pub use node_error::NodeError;
pub use npm_cache::NO_NPM;
pub use started::Started;

use crate::error::{Failure, OrFail, Result};
use crate::interrupt::Interrupt;
use crate::settings::network;
use redact::Redactor;

const STDOUT: usize = 0;
const STDERR: usize = 1;

#[derive(Debug)]
pub struct Finished {
    pub exit: Exit,
    /// Of both streams as they came, masked: the lines from the first error on, and the last ones.
    pub tail: Vec<String>,
    /// Before its turn, where it was started early.
    pub started: Instant,
    /// From its turn on.
    pub duration: Duration,
    /// Why the log is not whole, where it is not.
    pub broken: Option<io::Error>,
}

impl Finished {
    /// # Errors
    /// `failed`, naming `log`, when it is not whole: what is missing could not be told from it.
    pub fn whole(&self, log: &str) -> Result<()> {
        self.broken.as_ref().map_or(Ok(()), |error| {
            Err(Failure::failed(format!("cannot write the whole of `{log}`"))
                .because(error.to_string())
                .because(format!("the program itself {}", self.exit.in_words())))
        })
    }
}

/// Runs a child to its end. `log` gets the command, its masked output as it comes, and how it ended.
///
/// # Errors
/// `blocked` when the program cannot be started. A child that fails is not an error here: see [`Finished::exit`].
pub fn run(
    invocation: &Invocation,
    deadline: Duration,
    log: impl Write + Send + 'static,
    redactor: &Redactor,
    interrupt: &Interrupt,
) -> Result<Finished> {
    Started::new(invocation)?.run(deadline, log, redactor, interrupt)
}

/// Runs a short, trusted query of a tool (`git rev-parse`, `node --version`) and returns its stdout.
///
/// # Errors
/// `blocked` when the program cannot be started; `interrupted` when the run was.
pub fn capture(invocation: &Invocation, deadline: Duration, interrupt: &Interrupt) -> Result<(Exit, Vec<u8>)> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let taking = Arc::clone(&said);
    let take = move |stream, bytes: &[u8]| {
        if stream == STDOUT {
            lock(&taking).extend_from_slice(bytes);
        }
    };
    match Started::new(invocation)?.supervise(deadline, interrupt, take)?.0 {
        Exit::Interrupted(status) => Err(Failure::interrupted(status)),
        exit => Ok((exit, std::mem::take(&mut lock(&said)))),
    }
}

/// Runs npm in the user's own environment, which has their registry settings. Its output is theirs to see, but for the passwords of those.
pub fn run_visibly(program: &Path, args: &[&str], dir: &Path) -> Result<Exit> {
    let npm = duct::cmd(program.as_os_str(), args).dir(dir).stdin_null().stderr_to_stdout().unchecked();
    let unstarted = || format!("cannot start `{}`", program.display());
    let said = npm.reader().blocked(unstarted)?;
    redact::filter(&network::of_npm(dir), &said, io::stderr()).blocked(|| "cannot show what npm says")?;
    let ended = said.try_wait().blocked(unstarted)?;
    ended.map_or_else(|| Err(Failure::bug("npm closed its output and goes on")), |ended| Ok(ended.status.into()))
}

/// Starts a server that outlives us: in a group of its own, its output in `log`.
pub fn start_detached(invocation: &Invocation, log: File) -> Result<u32> {
    let server = invocation.start(|expression| Ok(expression.stderr_to_stdout().stdout_file(log)))?;
    server.pids().first().copied().ok_or_else(|| Failure::bug("a server was started and has no pid"))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
