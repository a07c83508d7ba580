//! `status`: where the target stands, in rows, and 5 as the exit code where that is not well.

use serde_json::json;

use crate::cli::doctor;
use crate::doctor::standing;
use crate::error::{Failure, Result};
use crate::evidence::outcome::Outcome;
use crate::run::runner::Runner;
use crate::session;

pub fn run(runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, interrupt, .. } = *runner;
    let declared = standing::declare(settings)?;
    console.mask(&declared.redactor());
    let candidate = declared.check().map_err(|refusals| Failure::refused(&settings.target.name, refusals))?;
    outcome.target = Some(session::view(settings, &candidate));
    let found = standing::look(settings.clone(), interrupt, &declared, &candidate);
    interrupt.check()?;
    let found = found?;
    outcome.extra.insert("standing".to_owned(), json!(found.migrations));
    doctor::tell(settings, &found.checks, console, outcome);
    doctor::verdict(&found.checks)
}
