//! What people and CI servers look at, written when a record is about to be closed: `report.html` and `junit.xml`.

use serde::Serialize;

use crate::error::Result;
use crate::evidence::junit;
use crate::evidence::reading::Reading;
use crate::evidence::report;
use crate::evidence::run::Run;

/// Names of the views. Nobody vouches for them before the record is closed.
pub const VIEWS: [&str; 2] = [report::REPORT, junit::JUNIT];

/// Writes both. `record` says how the run ended, and no digest yet.
///
/// # Errors
/// `failed` when the folder cannot be written, or a child put a file of that name there.
pub fn write(run: &Run, record: &impl Serialize) -> Result<()> {
    let reading = Reading::closing(run, record)?;
    run.write(report::REPORT, &report::page(&reading))?;
    run.write(junit::JUNIT, &junit::document(&reading))
}
