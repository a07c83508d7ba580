//! One file a benchmark. Each measures against what else does the same, pair by pair in one run, so that a busy machine slows both down.

mod backward;
mod build;
mod doctor;
mod drill;
mod forward;
mod parity;
mod parity_rows;
mod production;
mod redaction;
mod samples;
mod scale;
pub mod scratch;
mod snapshot;
mod stranger;
mod watcher;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use chores::cargo;
use clap::Subcommand;
use xshell::{Cmd, Shell};

#[derive(Subcommand)]
pub enum Bench {
    Backward(backward::Options),
    Build(build::Options),
    Doctor(doctor::Options),
    Drill(drill::Options),
    Forward(forward::Options),
    Parity(parity::Options),
    Production(production::Options),
    Redaction(redaction::Options),
    Scale(scale::Options),
    Snapshot(snapshot::Options),
    Stranger(stranger::Options),
    Watcher(watcher::Options),
}

impl Bench {
    pub fn run(self) -> Result<()> {
        match self {
            Bench::Backward(options) => options.run(),
            Bench::Build(options) => options.run(),
            Bench::Doctor(options) => options.run(),
            Bench::Drill(options) => options.run(),
            Bench::Forward(options) => options.run(),
            Bench::Parity(options) => options.run(),
            Bench::Production(options) => options.run(),
            Bench::Redaction(options) => options.run(),
            Bench::Scale(options) => options.run(),
            Bench::Snapshot(options) => options.run(),
            Bench::Stranger(options) => options.run(),
            Bench::Watcher(options) => options.run(),
        }
    }
}

/// The program under measurement, built as `cargo xtask` builds it, beside this one.
fn xtask(shell: &Shell) -> Result<PathBuf> {
    cargo(shell).args(["build", "--quiet", "--package", "xtask"]).quiet().run()?;
    Ok(std::env::current_exe()?.with_file_name("xtask"))
}

/// Runs it without a word, unless it fails.
fn silently(command: Cmd) -> Result<()> {
    let name = command.to_string();
    let output = command.quiet().ignore_status().output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "`{name}` failed:\n{}", String::from_utf8_lossy(&said));
    Ok(())
}

/// In milliseconds.
fn time(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
