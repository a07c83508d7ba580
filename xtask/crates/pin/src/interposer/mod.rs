//! Stands between Prisma's CLI and its engine: `PRISMA_SCHEMA_ENGINE_BINARY` names our own binary.
//!
//! The pin stops an engine from reaching another database *through it*; a `prisma.config.ts` that ignores
//! `DATABASE_URL` would not go through it. The engine is where every address ends up, so that is where addresses are
//! compared. Requests are checked before the engine sees them; its answers pass untouched, on the streams that the CLI
//! opened.
//!
//! A refusal comes in the engine's own shape, so that the CLI prints it and fails: a request is answered with a
//! JSON-RPC error (a dead engine alone would let Prisma 7 exit with 0), a subcommand ends with an error line on stderr
//! and exit code 1.

#![allow(
    clippy::disallowed_methods,
    reason = "spawns the engine in the CLI's place and reads what the engine will read"
)]

pub(crate) mod datasource;

use std::io::{self, BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::pinned_url::{Expected, Strayed};
use datasource::Check;
pub use datasource::variables;

/// Stands where the engine puts one of Prisma's codes: none of theirs means "another database".
const CODE: &str = "PINNED";
/// The CLI reads 1 as "the error was printed" and everything else as a crash.
const FAILURE: u8 = 1;

/// Runs `real_engine` with `arguments` (without the program's name), through `via_node` where the engine is a Node
/// program, if nothing that it is told leads to another database than `pinned`. Returns the engine's exit code, 128 +
/// n where signal n ended it, or 1 after a refusal.
///
/// `can_connect` logs in for the engine where that is all it is asked for: a third of a Prisma call is spent on starting
/// programs, and this one would be started for one login. Where it cannot, the engine is asked all the same and says why in
/// its own words.
pub fn run(
    arguments: &[String],
    pinned: &Expected,
    real_engine: &Path,
    via_node: Option<&Path>,
    can_connect: impl Fn(&str) -> bool,
) -> ExitCode {
    ExitCode::from(exit_code(arguments, pinned, real_engine, via_node, can_connect))
}

/// As `run`; apart from it because nothing can be read out of an `ExitCode`.
pub fn exit_code(
    arguments: &[String],
    pinned: &Expected,
    real_engine: &Path,
    via_node: Option<&Path>,
    can_connect: impl Fn(&str) -> bool,
) -> u8 {
    if let Err(refusal) = check(pinned).arguments(arguments) {
        return refuse(arguments, &refusal);
    }
    if asked_to_connect(arguments).is_some_and(|url| can_connect(&url)) {
        log(&[("INFO", json!({ "message": "Connection successful" }))]);
        return 0;
    }
    supervise(arguments, pinned, real_engine, via_node).unwrap_or_else(|error| {
        log_error(&format!("the schema engine `{}` cannot be run: {error}", real_engine.display()));
        FAILURE
    })
}

fn check(pinned: &Expected) -> Check<'_> {
    Check { expected: pinned, environment: |name| std::env::var(name).ok() }
}

#[expect(clippy::expect_used, reason = "`spawn` asks for the pipe of stdin")]
fn supervise(arguments: &[String], pinned: &Expected, real_engine: &Path, via_node: Option<&Path>) -> io::Result<u8> {
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let mut engine = spawn(arguments, real_engine, via_node)?;
    let forwarding = signals.handle();
    forward(signals, &engine);
    let (report, reported) = mpsc::channel();
    let to_engine = engine.stdin.take().expect("it was asked for");
    let pinned = pinned.clone();
    // Not joined: it may wait for the CLI's next request after the engine has ended.
    thread::spawn(move || feed(to_engine, &check(&pinned), &report));
    let status = engine.wait()?;
    forwarding.close();
    match reported.try_recv() {
        Ok(Refused { request, refusal }) => {
            answer(&request, &refusal);
            answer_all(&refusal);
            Ok(FAILURE)
        }
        Err(_) => {
            let code = status.code().or(status.signal().map(|signal| 128 + signal));
            Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILURE))
        }
    }
}

fn spawn(arguments: &[String], real_engine: &Path, via_node: Option<&Path>) -> io::Result<Child> {
    let mut command = match via_node {
        Some(node) => {
            let mut command = Command::new(node);
            command.arg(real_engine);
            command
        }
        None => Command::new(real_engine),
    };
    command.args(arguments).stdin(Stdio::piped()).spawn()
}

/// Passes on the signals that the CLI stops its engine with.
fn forward(mut signals: Signals, engine: &Child) {
    let engine = Pid::from_child(engine);
    thread::spawn(move || {
        for signal in signals.forever().filter_map(Signal::from_named_raw) {
            // The engine may just have ended; then `wait` has seen it, too.
            let _ = kill_process(engine, signal);
        }
    });
}

/// A request that did not reach the engine.
struct Refused {
    request: String,
    refusal: Strayed,
}

/// Hands the engine what it may see. At the first refusal its stdin is closed, so that it finishes what it has and
/// ends: from then on stdout is ours, and an answer cannot land in the middle of one of the engine's.
fn feed(mut engine: ChildStdin, check: &Check<'_>, report: &mpsc::Sender<Refused>) {
    for request in io::stdin().lock().lines().map_while(Result::ok) {
        if let Err(refusal) = check.request(&request) {
            // Told before the engine can notice.
            let _ = report.send(Refused { request, refusal });
            return;
        }
        if writeln!(engine, "{request}").is_err() {
            return;
        }
    }
}

/// Refuses before an engine is started.
fn refuse(arguments: &[String], refusal: &Strayed) -> u8 {
    log_error(&refusal.to_string());
    if !arguments.iter().any(|argument| argument == "cli") {
        answer_all(refusal);
    }
    FAILURE
}

fn answer_all(refusal: &Strayed) {
    for request in io::stdin().lock().lines().map_while(Result::ok) {
        answer(&request, refusal);
    }
}

/// Answers a request as the engine answers one that fails with a known error.
fn answer(request: &str, refusal: &Strayed) {
    let id = serde_json::from_str::<Value>(request).ok().and_then(|request| request.get("id").cloned());
    let error = json!({
        "code": 4466,
        "message": "An error happened. Check the data field for details.",
        "data": { "is_panic": false, "message": refusal.to_string(), "meta": null, "error_code": CODE },
    });
    let mut stdout = io::stdout().lock();
    // The CLI may be gone; its error has no reader then.
    let _ = writeln!(stdout, "{}", json!({ "jsonrpc": "2.0", "id": id, "error": error }));
    let _ = stdout.flush();
}

/// Logs as the engine does. The CLI skips the first line it gets from a subcommand, where the engine says that it
/// started.
fn log_error(message: &str) {
    log(&[("ERROR", json!({ "is_panic": false, "error_code": CODE, "message": message }))]);
}

fn log(lines: &[(&str, Value)]) {
    let mut stderr = io::stderr().lock();
    let started = ("INFO", json!({ "message": "Starting schema engine CLI" }));
    for (level, fields) in std::iter::once(&started).chain(lines) {
        let line = json!({ "level": level, "fields": fields, "target": "schema_engine::logger" });
        let _ = writeln!(stderr, "{line}");
    }
}

/// The target's URL without Prisma's own parameters, when the engine is asked for nothing but whether it can connect (7.10:
/// `--datasource {"url":…} cli can-connect-to-database`).
fn asked_to_connect(arguments: &[String]) -> Option<String> {
    let [.., cli, command] = arguments else { return None };
    if cli != "cli" || command != "can-connect-to-database" {
        return None;
    }
    let datasource = arguments.iter().skip_while(|argument| *argument != "--datasource").nth(1)?;
    let datasource: Value = serde_json::from_str(datasource).ok()?;
    let url = datasource.get("url")?.as_str()?;
    Some(url.split('?').next().unwrap_or(url).to_owned())
}
