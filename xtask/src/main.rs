//! The staging drill: `cargo xtask`.

#![forbid(unsafe_code)]

mod circumstances;
mod cli;
mod clock;
mod commands;
mod consent;
mod console;
mod database;
mod declared;
mod down_scripts;
mod drift;
mod drill;
mod env_file;
mod error;
mod evidence;
mod execute;
mod expected;
mod guard;
mod install;
mod interrupt;
mod journal;
mod matrix;
mod outcome;
mod parity;
mod pin;
mod plan;
mod process;
mod progress;
mod rest;
mod review;
mod sandbox;
mod seeding;
mod session;
mod settings;
mod stages;
mod state;
mod target;
mod toolbox;
mod tools;
mod workshop;

use std::process::ExitCode;

fn main() -> ExitCode {
    match tools::engine::Door::requested() {
        Some(door) => door.run(),
        None => commands::run(),
    }
}
