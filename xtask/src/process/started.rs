//! A child from its start to its end.

use std::io::{self, PipeReader, Read, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use duct::Handle;

use crate::error::{OrFail, Result};
use crate::interrupt::Interrupt;
use crate::process::log::Log;
use crate::process::{Exit, Finished, Invocation, STDERR, STDOUT, group, lock};
use redact::Redactor;

/// How long the pipes may stay open after the child has ended: a program that left the group can hold them for ever.
const DRAIN: Duration = Duration::from_secs(2);

/// A child that is running. Nobody reads what it says before `run`; one that says more than a pipe holds waits for that.
pub struct Started {
    command: String,
    begun: Instant,
    child: Handle,
    streams: [(usize, PipeReader); 2],
}

impl Started {
    pub fn new(invocation: &Invocation) -> Result<Started> {
        let pipes = io::pipe().and_then(|stdout| Ok((stdout, io::pipe()?)));
        let ((stdout, to_stdout), (stderr, to_stderr)) =
            pipes.failed(|| "cannot open a pipe for a program's output")?;
        let child = invocation.start(|expression| Ok(expression.stdout_file(to_stdout).stderr_file(to_stderr)))?;
        Ok(Started {
            command: invocation.shown(),
            begun: Instant::now(),
            child,
            streams: [(STDOUT, stdout), (STDERR, stderr)],
        })
    }

    /// As `process::run`, from now on.
    pub fn run(
        self,
        deadline: Duration,
        log: impl Write + Send + 'static,
        redactor: &Redactor,
        interrupt: &Interrupt,
    ) -> Result<Finished> {
        let (started, begun) = (self.begun, Instant::now());
        let log = Arc::new(Mutex::new(Log::new(log, &format!("$ {}\n", self.command), redactor)));
        let taking = Arc::clone(&log);
        let (exit, drained) =
            self.supervise(deadline, interrupt, move |stream, bytes| lock(&taking).take(stream, bytes))?;
        let duration = begun.elapsed();
        let (tail, broken) = lock(&log).finish(&last_line(exit, duration, drained));
        Ok(Finished { exit, tail, started, duration, broken })
    }

    /// Waits for its end and gives `take` what comes on each stream, and nothing at its end. Returns how the child ended, and
    /// whether both streams did.
    pub fn supervise(
        self,
        deadline: Duration,
        interrupt: &Interrupt,
        take: impl Fn(usize, &[u8]) + Clone + Send + 'static,
    ) -> Result<(Exit, bool)> {
        let until = Instant::now() + deadline;
        let (done, drained) = channel::<()>();
        for (stream, pipe) in self.streams {
            let (take, done) = (take.clone(), done.clone());
            thread::spawn(move || {
                pump(pipe, |bytes| take(stream, bytes));
                drop(done);
            });
        }
        drop(done);
        let exit = group::wait(&self.child, until, interrupt)?;
        Ok((exit, drained.recv_timeout(DRAIN) == Err(RecvTimeoutError::Disconnected)))
    }

    /// Ends it at once, with all that it started: one whose turn never came has nothing to tidy up.
    pub fn end(self) {
        group::end(&self.child);
    }
}

fn last_line(exit: Exit, duration: Duration, drained: bool) -> String {
    let held = if drained { "" } else { "; another program held its output open, which was read no further" };
    format!("[{} after {} ms{held}]\n", exit.in_words(), duration.as_millis())
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
