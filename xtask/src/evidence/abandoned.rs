//! Runs that were killed before they closed their record: SIGKILL, a power cut. The next run in the same folder finds their lock free and
//! closes their record.
//!
//! It says no more than is known: which steps were running, what the files were when they were found, and who found
//! them. When the run ended, and with which exit code, cannot be known.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::clock;
use crate::error::{OrFail, Result};
use crate::evidence::folder::Run;
use crate::evidence::lock;
use crate::evidence::outcome::Outcome;
use crate::evidence::past::{Past, State, read_links};
use crate::evidence::record::RECORD;
use crate::evidence::record::{Abandonment, Record};
use crate::evidence::views;
use crate::evidence::views::attestation::ATTESTATION;
use crate::files;

pub const ABANDONED: &str = "abandoned";

/// A run that another one found open.
#[derive(Debug)]
pub struct Adopted {
    pub folder: PathBuf,
    /// Whether its record is closed now.
    pub closed: bool,
    /// What became of it, for people.
    pub sentence: String,
}

/// Closes every record beside `run` that its process left open. What cannot be closed is named, and stops no run.
pub fn close_all(run: &Run) -> Vec<Adopted> {
    let runs = read_links(run.dir()).unwrap_or_default();
    let left = runs.iter().filter(|past| past.state == State::Unclosed);
    left.filter_map(|past| {
        let folder = past.folder.clone();
        match close(past, run) {
            Ok(sentence) => Some(Adopted { folder, closed: true, sentence: sentence? }),
            Err(failure) => {
                let cause = failure.causes().last().map(|cause| format!(": {cause}")).unwrap_or_default();
                let sentence = format!("warning: the run {} was left open, and {failure}{cause}", past.name);
                Some(Adopted { folder, closed: false, sentence })
            }
        }
    })
    .collect()
}

/// None when another process was faster.
fn close(past: &Past, by: &Run) -> Result<Option<String>> {
    let Some(lock) = lock::try_take(&past.folder) else { return Ok(None) };
    let run = adopt(past, by, lock);
    let unreadable = || format!("cannot read `{}`", past.folder.join(RECORD).display());
    let bytes = files::read_plain(&past.folder.join(RECORD)).failed(unreadable)?;
    let mut record: Record = serde_json::from_slice(&bytes).failed(unreadable)?;
    if record.outcome.status != "running" {
        return Ok(None);
    }
    let leaked = run.purge_leaks()?;
    let running = end_steps(&mut record.outcome);
    record.abandoned = Some(Abandonment { closed_by: by.name(), closed_at: clock::rfc3339(clock::now()) });
    if !leaked.is_empty() {
        record.outcome.notes.push(format!("removed, because a secret was in it: {}", leaked.join(", ")));
    }
    views::write(&run, &record)?;
    run.close(&mut record)?;
    let snapshot = record.outcome.extra.get("snapshot").and_then(|snapshot| snapshot["name"].as_str());
    Ok(Some(sentence(&past.name, &running, snapshot)))
}

/// The run of a process that is gone; `lock` is its folder's. What it was writing about a state that it did not reach is
/// thrown away.
fn adopt(past: &Past, by: &Run, lock: File) -> Run {
    let _ = fs::remove_file(files::draft(&past.folder.join(RECORD)));
    for name in [ATTESTATION].into_iter().chain(views::names::ALL) {
        let _ = fs::remove_file(past.folder.join(name));
    }
    Run::of(by.dir(), &past.folder, by.redactor(), Some(lock))
}

/// Gives run, stages and steps the word, and returns the names of the steps that were running.
fn end_steps(outcome: &mut Outcome) -> Vec<String> {
    let steps = outcome.stages.iter().flat_map(|stage| &stage.steps).filter(|step| step.status == "running");
    let running = steps.map(|step| format!("`{}`", step.name)).collect();
    outcome.end(ABANDONED);
    running
}

/// `snapshot` is where the rows are that it may have taken away, or was to put back.
fn sentence(name: &str, running: &[String], snapshot: Option<&str>) -> String {
    let when = match running {
        [] => "between two steps".to_owned(),
        [step] => format!("while {step} was running"),
        steps => format!("while {} were running", steps.join(" and ")),
    };
    let rows = snapshot.map(|name| format!("; its snapshot is `{name}`")).unwrap_or_default();
    format!(
        "note: the run {name} was ended {when}, before it could say so; its record is now closed as abandoned{rows}"
    )
}
