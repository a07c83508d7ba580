//! Runs that ended without a word: SIGKILL, a power cut. The next run in the same folder finds their lock free and
//! closes their record.
//!
//! It says no more than is known: which steps were running, what the files were when they were found, and who found
//! them. When the run ended, and with which exit code, nobody knows.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::clock;
use crate::error::{OrFail, Result};
use crate::evidence::folder::{RECORD, Run};
use crate::evidence::lock;
use crate::evidence::past::{Past, State, read_all};
use crate::evidence::record::Abandonment;
use crate::evidence::views;
use redact::Redactor;

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

/// Closes every record in `dir` that its process left open. What cannot be closed is named, and stops nobody.
pub fn close_all(dir: &Path, by: &str, redactor: &Redactor) -> Vec<Adopted> {
    let runs = read_all(dir).unwrap_or_default();
    let left = runs.iter().filter(|past| past.state == State::Unclosed);
    left.filter_map(|past| {
        let folder = past.folder.clone();
        match close(dir, past, by, redactor) {
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

/// None when somebody else was faster.
fn close(dir: &Path, past: &Past, by: &str, redactor: &Redactor) -> Result<Option<String>> {
    let Some(lock) = lock::try_take(&past.folder) else { return Ok(None) };
    let run = Run::adopt(dir, &past.folder, redactor, lock);
    let unreadable = || format!("cannot read `{}`", past.folder.join(RECORD).display());
    let bytes = fs::read(past.folder.join(RECORD)).failed(unreadable)?;
    let mut record: Value = serde_json::from_slice(&bytes).failed(unreadable)?;
    if record["status"] != "running" {
        return Ok(None);
    }
    let leaked = run.purge_leaks()?;
    let running = end_steps(&mut record);
    record["status"] = json!(ABANDONED);
    record[ABANDONED] = json!(Abandonment { closed_by: by.to_owned(), closed_at: clock::rfc3339(clock::now()) });
    if !leaked.is_empty() {
        let note = json!(format!("removed, because a secret was in it: {}", leaked.join(", ")));
        match record["notes"].as_array_mut() {
            Some(notes) => notes.push(note),
            None => record["notes"] = json!([note]),
        }
    }
    views::write(&run, &record)?;
    let closing = run.closing()?;
    record["files"] = json!(closing.files);
    record["previous"] = json!(closing.previous);
    if !closing.merged.is_empty() {
        record["merged"] = json!(closing.merged);
    }
    run.save_closed(&record)?;
    Ok(Some(sentence(&past.name, &running)))
}

/// Gives whatever was running the word, and returns the steps' names.
fn end_steps(record: &mut Value) -> Vec<String> {
    let mut running = Vec::new();
    for stage in record["stages"].as_array_mut().into_iter().flatten() {
        for step in stage["steps"].as_array_mut().into_iter().flatten().filter(|step| step["status"] == "running") {
            step["status"] = json!(ABANDONED);
            running.extend(step["name"].as_str().map(|name| format!("`{name}`")));
        }
        if stage["status"] == "running" {
            stage["status"] = json!(ABANDONED);
        }
    }
    running
}

fn sentence(name: &str, running: &[String]) -> String {
    let when = match running {
        [] => "between two steps".to_owned(),
        [step] => format!("while {step} was running"),
        steps => format!("while {} were running", steps.join(" and ")),
    };
    format!("note: the run {name} was ended {when}, before it could say so; its record is now closed as abandoned")
}
