//! What people and CI servers look at, written when a record is about to be closed: `report.html` and `junit.xml`.

pub mod attestation;
pub mod github;
mod junit;
pub mod names;
pub mod planned;
pub mod reading;
pub mod report;
pub mod trace;

use crate::error::{Result, guarded};
use crate::evidence::folder::Run;
use crate::evidence::record::Record;
use crate::evidence::views::reading::Reading;

/// A name, and what makes the text.
type View = (&'static str, fn(&Reading) -> String);

/// They are not vouched for before the record is closed.
const VIEWS: [View; 2] = [(names::REPORT, report::page), (names::JUNIT, junit::document)];

/// Writes both. `record` says how the run ended, and no digest yet.
///
/// # Errors
/// `failed` when the folder cannot be written, or a child put a file of that name there; `bug` when a view cannot be
/// made, which keeps neither the other one nor the record from being written.
pub fn write(run: &Run, record: &Record) -> Result<()> {
    write_all(run, record, &VIEWS)
}

fn write_all(run: &Run, record: &Record, views: &[View]) -> Result<()> {
    let reading = Reading::closing(run, record)?;
    let write = |(name, make): &View| {
        let text = guarded(&format!("`{name}` cannot be made of this run"), || Ok(make(&reading)))?;
        run.write_made(name, &text)
    };
    views.iter().map(write).fold(Ok(()), Result::and)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use redact::Redactor;

    /// Fault injection: a view that panics.
    #[test]
    fn a_view_that_cannot_be_made_keeps_no_other_from_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let run = Run::open(dir.path(), "20261123T000000Z", "forward", &Redactor::generic()).unwrap();
        let views: [View; 2] = [(names::REPORT, |_| panic!("a bug")), (names::JUNIT, |_| "<testsuites/>".to_owned())];
        let failure = write_all(&run, &Record::of(serde_json::json!({})), &views).unwrap_err();
        assert_eq!(
            (failure.status, failure.message.as_str()),
            (Status::Bug, "`report.html` cannot be made of this run")
        );
        assert!(!run.folder().join(names::REPORT).exists());
        assert_eq!(std::fs::read_to_string(run.folder().join(names::JUNIT)).unwrap(), "<testsuites/>");
    }
}
