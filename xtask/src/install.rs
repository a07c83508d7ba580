//! Installs the project's npm packages where there are none, visibly: the sandbox must work from a bare clone.

use crate::console::Console;
use crate::error::{Failure, Result};
use crate::process::{self, Exit};
use crate::settings::Settings;
use crate::toolbox;

pub fn packages(settings: &Settings, console: &Console) -> Result<()> {
    if !toolbox::needs_install(settings) {
        return Ok(());
    }
    let npm = toolbox::on_path(settings, "npm")
        .ok_or_else(|| Failure::blocked("`npm` is not on PATH").hint("install Node 20 or newer, with npm"))?;
    console.say("the project's packages are not installed yet: npm ci");
    match process::run_visibly(&npm, &["ci"], &settings.root)? {
        Exit::Success => Ok(()),
        exit => Err(Failure::blocked(format!("`npm ci` {}", exit.in_words())).hint("npm ci")),
    }
}
