//! This machine: where files are written, and whether the evidence of past runs is as it was.

use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use crate::causes::machine;
use crate::doctor::Patient;
use crate::doctor::check::Check;
use crate::error::Status;
use crate::evidence::verify::Verification;
use crate::settings::Settings;
use crate::temporary::Temporary;
use crate::words::counted;

pub fn look(patient: &Patient) -> Vec<Check> {
    let settings = &patient.settings;
    vec![folders(settings), temporary(), evidence(settings)]
}

/// A folder that is not there yet is made in the nearest one that is.
fn folders(settings: &Settings) -> Check {
    const NAME: &str = "folders";
    let private = (settings.private_dir(), &machine::PRIVATE_FOLDER);
    let evidence = (settings.evidence_dir(), &machine::EVIDENCE_FOLDER);
    for (folder, cause) in [private, evidence] {
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        if !there.is_dir() || access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
            let shown = settings.shown(there);
            let shown = if shown.is_empty() { ".".to_owned() } else { shown };
            let hint = cause.hint(&[("user", &geteuid().as_raw().to_string()), ("folder", &shown)]);
            return Check::fail(NAME, format!("`{shown}` cannot be written"), hint);
        }
    }
    Check::ok(NAME, "`.drill` and the evidence can be written")
}

fn temporary() -> Check {
    const NAME: &str = "temporary";
    match Temporary::new() {
        Ok(_) => Check::ok(NAME, "temporary files can be written"),
        Err(error) => {
            Check::fail(NAME, format!("temporary files cannot be written: {error}"), machine::TEMPORARY.hint(&[]))
        }
    }
}

fn evidence(settings: &Settings) -> Check {
    const NAME: &str = "evidence";
    match Verification::of(settings) {
        Err(failure) => Check::of_failure(NAME, &failure, None),
        Ok(found) => match found.findings.first() {
            None => Check::ok(NAME, format!("{} as recorded", counted(found.runs.len(), "run"))),
            Some(first) => {
                Check::fail(NAME, format!("{}: {}", first.run, first.message), machine::EVIDENCE_ALTERED.hint(&[]))
                    .status(Status::Different)
            }
        },
    }
}
