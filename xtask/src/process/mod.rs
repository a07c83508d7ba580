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
mod npm_cache;
pub mod package_manager;
mod packages;
mod pnp;
pub mod prisma_cli;
pub mod release;
mod tail;
#[cfg(test)]
mod tests;
mod wasm_engine;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use exit::Exit;
pub use invocation::Invocation;

use crate::error::{Failure, OrFail, Result};
use crate::interrupt::Interrupt;
use crate::settings::network;
use log::Log;
use redact::Redactor;

/// How long the pipes may stay open after the child has ended: a program that left the group can hold them for ever.
const DRAIN: Duration = Duration::from_secs(2);
const STDOUT: usize = 0;
const STDERR: usize = 1;

#[derive(Debug)]
pub struct Finished {
    pub exit: Exit,
    /// The last lines of both streams as they came, masked.
    pub tail: Vec<String>,
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
    let begun = Instant::now();
    let log = Arc::new(Mutex::new(Log::new(log, &format!("$ {}\n", invocation.shown()), redactor)));
    let taking = Arc::clone(&log);
    let (exit, drained) =
        supervise(invocation, deadline, interrupt, move |stream, bytes| lock(&taking).take(stream, bytes))?;
    let duration = begun.elapsed();
    let (tail, broken) = lock(&log).finish(&last_line(exit, duration, drained));
    Ok(Finished { exit, tail, duration, broken })
}

fn last_line(exit: Exit, duration: Duration, drained: bool) -> String {
    let held = if drained { "" } else { "; another program held its output open, which was read no further" };
    format!("[{} after {} ms{held}]\n", exit.in_words(), duration.as_millis())
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
    match supervise(invocation, deadline, interrupt, take)?.0 {
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

/// Runs a child to its end and gives `take` what comes on each stream, and nothing at its end. Returns how the child ended, and
/// whether both streams did.
fn supervise(
    invocation: &Invocation,
    deadline: Duration,
    interrupt: &Interrupt,
    take: impl Fn(usize, &[u8]) + Clone + Send + 'static,
) -> Result<(Exit, bool)> {
    let until = Instant::now() + deadline;
    let (done, drained) = channel::<()>();
    let child = invocation.start(|expression| {
        let (stdout, to_stdout) = io::pipe()?;
        let (stderr, to_stderr) = io::pipe()?;
        for (stream, pipe) in [(STDOUT, stdout), (STDERR, stderr)] {
            let (take, done) = (take.clone(), done.clone());
            thread::spawn(move || {
                pump(pipe, |bytes| take(stream, bytes));
                drop(done);
            });
        }
        Ok(expression.stdout_file(to_stdout).stderr_file(to_stderr))
    })?;
    drop(done);
    let exit = group::wait(&child, until, interrupt)?;
    Ok((exit, drained.recv_timeout(DRAIN) == Err(RecvTimeoutError::Disconnected)))
}

fn pump(mut stream: impl Read, take: impl Fn(&[u8])) {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => take(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return take(&[]),
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
