//! The staging drill: `cargo xtask`.

#![forbid(unsafe_code)]

mod causes;
mod cli;
mod clock;
mod digest;
mod doctor;
mod error;
mod evidence;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod guard;
mod headway;
mod hint;
mod init;
mod interrupt;
mod meanwhile;
mod migrations;
mod parity;
mod postgres;
mod process;
mod rows;
mod run;
mod sandbox;
mod schema;
mod session;
mod settings;
mod stages;
mod temporary;
mod tools;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(release) = tools::splitter::requested() {
        return tools::splitter::run(release);
    }
    match tools::reentry::EngineReentry::requested() {
        Some(reentry) => reentry.run(),
        None => cli::dispatch::run(),
    }
}
