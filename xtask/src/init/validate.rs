//! Whether Prisma itself can read the schema: `prisma validate`, which asks no database.

use std::path::Path;

use crate::error::{Failure, OrFail, Result};
use crate::hint::{Hint, quoted};
use crate::interrupt::Interrupt;
use crate::process::locate::{Engine, Toolbox};
use crate::process::package_manager::PackageManager;
use crate::process::{self, Exit, Invocation};
use crate::session::environment;
use crate::session::prisma_config::NOWHERE;
use crate::settings::Settings;
use crate::temporary::Temporary;
use redact::Redactor;

/// How many lines of Prisma's answer are told.
const MOST: usize = 6;

/// # Errors
/// `blocked` with Prisma's own words where it cannot, or where a program is missing.
pub fn schema(settings: &Settings, manager: PackageManager, interrupt: &Interrupt) -> Result<()> {
    let toolbox = Toolbox::find(settings)?;
    let home = Temporary::new().blocked(|| "cannot make a temporary folder")?;
    let schema = settings.shown(&settings.prisma.schema);
    let mut invocation = Invocation::new(&toolbox.node, &settings.root)
        .arg(&toolbox.prisma.script)
        .args(["validate", "--schema", schema.as_str()])
        .envs(environment::child(settings, home.path()))
        // Prisma asks for it before any command, and starts it for none like this.
        .env("PRISMA_SCHEMA_ENGINE_BINARY", engine(&toolbox))
        // Nothing of the repo is changed by looking.
        .env("NODE_COMPILE_CACHE", home.path().join("cache"))
        .env("JITI_FS_CACHE", "false");
    for name in [&settings.prisma.url_env, &settings.prisma.direct_url_env, &settings.prisma.shadow_url_env] {
        invocation = invocation.env(name, NOWHERE);
    }
    if settings.prisma.config.is_file() {
        invocation = invocation.arg("--config").arg(settings.shown(&settings.prisma.config));
    }
    if !toolbox.has_query_engine() {
        invocation = invocation.env("PRISMA_QUERY_ENGINE_LIBRARY", "/dev/null");
    }
    let deadline = settings.timeouts.generate;
    let ended = process::run(&invocation, deadline, std::io::sink(), &Redactor::generic(), interrupt)?;
    match ended.exit {
        Exit::Success => Ok(()),
        Exit::Interrupted(status) => Err(Failure::interrupted(status)),
        exit => Err(Failure::blocked(format!("Prisma cannot read `{schema}`: `prisma validate` {}", exit.in_words()))
            .because_all(told(&ended.tail))
            .hint(Hint::shell(format!("{} prisma validate --schema {}", manager.runs(), quoted(&schema))))),
    }
}

fn engine(toolbox: &Toolbox) -> &Path {
    match &toolbox.engine {
        Engine::Native(engine) => &engine.path,
        Engine::Wasm { program, .. } => program,
    }
}

/// From the first line that speaks of an error on.
fn told(said: &[String]) -> Vec<String> {
    let lines = said.iter().map(|line| line.trim()).filter(|line| line.chars().any(char::is_alphanumeric));
    lines.skip_while(|line| !line.to_ascii_lowercase().contains("error")).take(MOST).map(str::to_owned).collect()
}
