//! What `cargo chore` and the tests share: where the workspace is, the set-up of the tests, and the check of workflows.

#![allow(clippy::disallowed_methods, reason = "the module rules are for the program that users run")]

pub mod embedded;
pub mod faults;
pub mod fuzz;
pub mod pg_dump;
pub mod ports;
pub mod reliability;
pub mod setup;
mod wheel;
pub mod workflows;

use std::path::Path;

use anyhow::Result;
use xshell::{Cmd, Shell};

pub fn workspace() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent);
    crates.and_then(Path::parent).unwrap_or(Path::new("."))
}

/// A shell that stands in the workspace.
pub fn shell() -> Result<Shell> {
    let shell = Shell::new()?;
    shell.change_dir(workspace());
    Ok(shell)
}

/// What cargo tells the program that it runs. A cargo within it must not hear of it: `ring`'s build script would take it for a change, and
/// half of the drill be built again.
pub fn told_by_cargo() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "OUT_DIR")
}

pub fn cargo(shell: &Shell) -> Cmd<'_> {
    told_by_cargo().fold(shell.cmd("cargo"), Cmd::env_remove)
}
