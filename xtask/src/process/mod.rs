//! The one door to other programs.
//!
//! A child gets exactly the environment it is given, its own process group, a closed stdin and a deadline; its output is
//! masked before the first byte reaches the log. On a deadline or a signal the whole group ends, not only the child.
#![allow(clippy::disallowed_methods, reason = "the one place that spawns")]

pub mod locate;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;

use crate::error::{Failure, OrFail, Result, Status};
use crate::hint::quoted;
use crate::interrupt::Interrupt;
use redact::Redactor;

/// How long a group has between SIGTERM and SIGKILL. Prisma's engine gives itself four seconds after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long the pipes may stay open after the child has ended: a program that left the group can hold them for ever.
const DRAIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(5);
const TAIL_LINES: usize = 40;

/// A child before it is one: a value that a plan can print and a test can compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub dir: PathBuf,
    /// The whole environment of the child, nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    /// Run as this user and group instead of as root.
    pub user: Option<u32>,
    /// The file that it reads as its stdin; None for a closed one.
    pub stdin: Option<PathBuf>,
}

impl Invocation {
    pub fn new(program: impl Into<PathBuf>, dir: &Path) -> Self {
        let (program, dir) = (program.into(), dir.to_path_buf());
        Invocation { program, args: Vec::new(), dir, env: BTreeMap::new(), user: None, stdin: None }
    }

    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    pub fn stdin(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdin = Some(file.into());
        self
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env.extend(pairs.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned())));
        self
    }

    /// The program and its arguments for people: no environment, so no secret.
    pub fn shown(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned();
        let args = self.args.iter().map(|arg| quoted(&arg.to_string_lossy()));
        std::iter::once(name).chain(args).collect::<Vec<_>>().join(" ")
    }

    fn command(&self) -> std::io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.dir).env_clear().envs(&self.env).process_group(0);
        if let Some(user) = self.user {
            command.gid(user).uid(user);
        }
        let stdin = self.stdin.as_ref().map(File::open).transpose()?.map_or_else(Stdio::null, Stdio::from);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    fn spawn(&self) -> Result<Child> {
        self.command()
            .and_then(|mut command| command.spawn())
            .blocked(|| format!("cannot start `{}`", self.program.display()))
    }
}

/// How a child ended: a domain word, written unchanged into the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Success,
    Code(i32),
    Signal(i32),
    TimedOut,
    Interrupted(Status),
}

impl Exit {
    pub fn code(self) -> Option<i32> {
        match self {
            Exit::Success => Some(0),
            Exit::Code(code) => Some(code),
            _ => None,
        }
    }

    pub fn in_words(self) -> String {
        match self {
            Exit::Success => "ended well".to_owned(),
            Exit::Code(code) => format!("ended with exit code {code}"),
            Exit::Signal(signal) => format!("was ended by signal {signal}"),
            Exit::TimedOut => "did not end in time and was stopped".to_owned(),
            Exit::Interrupted(_) => "was stopped with the run".to_owned(),
        }
    }
}

#[derive(Debug)]
pub struct Finished {
    pub exit: Exit,
    /// The last lines of both streams as they came, masked.
    pub tail: Vec<String>,
    pub duration: Duration,
}

/// Runs a child to its end and writes its masked output to `log` as it comes.
///
/// # Errors
/// `blocked` when the program cannot be started. A child that fails is no error here: see [`Finished::exit`].
pub fn run(
    invocation: &Invocation,
    deadline: Duration,
    log: impl Write + Send + 'static,
    redactor: &Redactor,
    interrupt: &Interrupt,
) -> Result<Finished> {
    let begun = Instant::now();
    let mut child = invocation.spawn()?;
    let sink = Arc::new(Mutex::new(Sink { log: Box::new(log), tail: VecDeque::new(), partial: Vec::new() }));
    let (done, drained) = channel();
    for stream in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
        let (sink, redactor, done) = (Arc::clone(&sink), redactor.clone(), done.clone());
        std::thread::spawn(move || {
            pump(stream, &redactor, &sink);
            let _ = done.send(());
        });
    }
    drop(done);
    let exit = wait(&mut child, begun + deadline, interrupt)?;
    drain(&drained);
    let tail = sink.lock().unwrap_or_else(PoisonError::into_inner).finish();
    Ok(Finished { exit, tail, duration: begun.elapsed() })
}

/// Runs a short, trusted query of a tool (`git rev-parse`, `node --version`) and returns its stdout.
pub fn capture(invocation: &Invocation, deadline: Duration, interrupt: &Interrupt) -> Result<(Exit, Vec<u8>)> {
    let begun = Instant::now();
    let mut child = invocation.spawn()?;
    let (send, receive) = channel();
    if let Some(mut stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stdout.read_to_end(&mut bytes);
            let _ = send.send(bytes);
        });
    }
    if let Some(mut stderr) = child.stderr.take() {
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    }
    let exit = wait(&mut child, begun + deadline, interrupt)?;
    Ok((exit, receive.recv_timeout(DRAIN).unwrap_or_default()))
}

/// Runs a program in the user's own terminal and environment: `npm ci`, which needs their registry settings. Its output is theirs to see.
pub fn run_visibly(program: &Path, args: &[&str], dir: &Path) -> Result<Exit> {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().blocked(|| format!("cannot start `{}`", program.display()))?;
    Ok(ended(status))
}

/// Starts a server that outlives us: in a group of its own, its output in `log`.
pub fn start_detached(invocation: &Invocation, log: std::fs::File) -> Result<u32> {
    let second = log.try_clone().blocked(|| "cannot open the server's log")?;
    let spawn = || invocation.command()?.stdout(log).stderr(second).spawn();
    let child = spawn().blocked(|| format!("cannot start `{}`", invocation.program.display()))?;
    Ok(child.id())
}

fn boxed(stream: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(stream)
}

struct Sink {
    log: Box<dyn Write + Send>,
    tail: VecDeque<String>,
    partial: Vec<u8>,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) {
        // A log that cannot be written is found by the evidence's own check of the file; the child must go on.
        let _ = self.log.write_all(bytes);
        self.remember(bytes);
    }

    fn remember(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.partial.len() < 4096 {
                self.partial.extend_from_slice(&piece[..piece.len().min(4096)]);
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        self.tail.push_back(line);
        if self.tail.len() > TAIL_LINES {
            self.tail.pop_front();
        }
    }

    fn finish(&mut self) -> Vec<String> {
        if !self.partial.is_empty() {
            self.end_line();
        }
        let _ = self.log.flush();
        std::mem::take(&mut self.tail).into()
    }
}

/// Moves one stream through its own redactor into the sink that both share, so that lines keep the order in which they came.
fn pump(mut stream: Box<dyn Read + Send>, redactor: &Redactor, sink: &Mutex<Sink>) {
    let mut masked = redactor.stream();
    let mut chunk = vec![0; 64 * 1024];
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>| {
        if !out.is_empty() {
            sink.lock().unwrap_or_else(PoisonError::into_inner).write(out);
            out.clear();
        }
    };
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        masked.push(&chunk[..count], &mut out);
        write(&mut out);
    }
    masked.finish(&mut out);
    write(&mut out);
}

fn drain(drained: &Receiver<()>) {
    let until = Instant::now() + DRAIN;
    while drained.recv_timeout(until.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Disconnected) {
        if Instant::now() >= until {
            return;
        }
    }
}

fn wait(child: &mut Child, deadline: Instant, interrupt: &Interrupt) -> Result<Exit> {
    let lost = |error: std::io::Error| Failure::bug("lost a child process").caused_by(error);
    loop {
        if let Some(status) = child.try_wait().map_err(lost)? {
            signal_group(child, Signal::KILL); // what it may have left behind
            return Ok(ended(status));
        }
        if let Some(status) = interrupt.status() {
            end_group(child).map_err(lost)?;
            return Ok(Exit::Interrupted(status));
        }
        if Instant::now() >= deadline {
            end_group(child).map_err(lost)?;
            return Ok(Exit::TimedOut);
        }
        std::thread::sleep(POLL);
    }
}

/// SIGTERM to the whole group, then SIGKILL for what is left.
fn end_group(child: &mut Child) -> std::io::Result<()> {
    signal_group(child, Signal::TERM);
    let until = Instant::now() + GRACE;
    while child.try_wait()?.is_none() && Instant::now() < until {
        std::thread::sleep(POLL);
    }
    signal_group(child, Signal::KILL);
    child.wait().map(|_| ())
}

fn signal_group(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // An error means that the group is gone already, which is what was wanted.
        let _ = kill_process_group(group, signal);
    }
}

fn ended(status: std::process::ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(0), _) => Exit::Success,
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}
