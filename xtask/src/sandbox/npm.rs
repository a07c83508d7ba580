//! Installs the project's npm packages where there are none, visibly: the sandbox must work from a bare clone.

use crate::error::{Failure, Result};
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::process::locate;
use crate::process::{self, Exit};
use crate::settings::Settings;

/// `say` tells that it takes a while.
///
/// # Errors
/// `blocked` when npm is missing or fails; `interrupted` when a signal came.
pub fn packages(settings: &Settings, say: impl FnOnce(&str), interrupt: &Interrupt) -> Result<()> {
    if !locate::needs_install(settings) {
        return Ok(());
    }
    let npm = locate::on_path(settings, "npm")
        .ok_or_else(|| Failure::blocked("`npm` is not on PATH").hint("install Node 20 or newer, with npm"))?;
    say("the project's packages are not installed yet: npm ci");
    let exit = process::run_visibly(&npm, &["ci"], &settings.root)?;
    interrupt.check()?;
    match exit {
        Exit::Success => Ok(()),
        exit => Err(Failure::blocked(format!("`npm ci` {}", exit.in_words())).hint(Hint::shell("npm ci"))),
    }
}
