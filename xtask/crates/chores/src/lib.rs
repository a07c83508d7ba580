//! What `cargo chore` and the tests share: where the workspace is, and the set-up of the tests.

#![allow(clippy::disallowed_methods, reason = "the module rules are for the program that users run")]

pub mod embedded;
pub mod setup;

use std::path::Path;

use anyhow::Result;
use xshell::Shell;

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
