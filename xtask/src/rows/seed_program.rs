//! The project's own seed as a program: it runs in Node, and reaches the database only through the pin.

use std::path::Path;

use crate::error::{Failure, Result};
use crate::process::{self, Exit, Invocation, said};
use crate::session::Session;

/// Whether a seed is a program, by its name; SQL otherwise.
pub fn is_one(seed: &Path) -> bool {
    let programs = ["js", "mjs", "cjs", "ts", "mts", "cts"];
    seed.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| programs.contains(&extension))
}

/// `wish` is what it finds in its environment.
///
/// # Errors
/// `failed` with its first error when it does not end with 0. What it had written by then is there.
pub fn run(session: &Session<'_>, program: &Path, wish: &[(&str, String)]) -> Result<()> {
    let name = session.settings.shown(program);
    if !program.is_file() {
        return Err(Failure::failed(format!("there is no `{name}`, which drill.toml names as `seed`")));
    }
    let lease = session.lease("the project's seed");
    let (settings, interrupt) = (session.settings, session.interrupt);
    let invocation = invocation(session, &name, wish, lease.url().expose());
    let ended = process::run(&invocation, settings.timeouts.migrate, std::io::sink(), &session.redactor, interrupt)?;
    session.settle(&lease)?;
    match ended.exit {
        Exit::Success => Ok(()),
        Exit::Interrupted(status) => Err(Failure::interrupted(status)),
        exit => Err(Failure::failed(format!("`{name}` {}", exit.in_words()))
            .because(said::why(&ended.tail))
            .note("what it had written by then is in the sandbox")
            .hint(format!("correct `{name}`"))),
    }
}

fn invocation(session: &Session<'_>, name: &str, wish: &[(&str, String)], url: &str) -> Invocation {
    let prisma = &session.settings.prisma;
    Invocation::new(&session.toolbox.node, &session.settings.root)
        .arg(name)
        .envs(session.child_environment())
        .envs([&prisma.url_env, &prisma.direct_url_env].map(|variable| (variable, url)))
        .envs(wish.iter().map(|(variable, value)| (variable, value)))
}
