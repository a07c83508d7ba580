//! Where the target is said to be, and layers 1 to 3 of the guard over it: files and variables, no network.

use std::sync::OnceLock;

use crate::causes::{env_file, machine};
use crate::doctor::Patient;
use crate::doctor::check::Check;
use crate::error::{Failure, Refusal};
use crate::guard::Candidate;
use crate::guard::Source;
use crate::guard::input::Declared;
use crate::interrupt::Interrupt;
use crate::sandbox;
use crate::settings::Settings;
use redact::Redactor;

const NAME: &str = "target";

/// The patient, and the rows about what is declared.
pub fn look(settings: Settings, interrupt: &Interrupt, unusable: Option<Failure>) -> (Patient, Vec<Check>) {
    let mut rows = vec![settings_row(&settings, unusable.as_ref())];
    // Defaults that nobody chose would say of any target that it is not allowed.
    let (candidate, redactor) = match &unusable {
        Some(_) => {
            rows.push(Check::skipped(NAME, "not looked at while drill.toml cannot be used"));
            (None, Declared::known_at_any_rate(&settings, false, false).0)
        }
        None => target(&settings, &mut rows),
    };
    (
        Patient {
            settings,
            interrupt: interrupt.clone(),
            redactor,
            candidate,
            node: OnceLock::new(),
            toolbox: OnceLock::new(),
            unusable,
        },
        rows,
    )
}

fn settings_row(settings: &Settings, unusable: Option<&Failure>) -> Check {
    const NAME: &str = "drill.toml";
    match unusable {
        Some(failure) => Check::of_failure(NAME, failure, Some(&machine::SETTINGS)),
        None if settings.root.join("drill.toml").is_file() => Check::ok(NAME, "every key is known"),
        None => Check::ok(NAME, "there is none, so the defaults count"),
    }
}

fn target(settings: &Settings, rows: &mut Vec<Check>) -> (Option<Candidate>, Redactor) {
    if settings.target.is_sandbox() {
        return (of_sandbox(settings, rows), Redactor::generic());
    }
    match Declared::of_environment(settings) {
        Ok(declared) => {
            let redactor = declared.redactor();
            (judged(&declared, rows), redactor)
        }
        Err(failure) if nobody_named_one(settings) => {
            let hint = env_file::MISSING.hint(&[("file", crate::settings::env_file::DEFAULT)]);
            rows.push(Check::warn(NAME, failure.message + ": the sandbox is looked at instead", hint));
            (of_sandbox(settings, rows), Redactor::generic())
        }
        Err(failure) => {
            rows.push(Check::of_failure(NAME, &failure, None));
            (None, Declared::known_at_any_rate(settings, true, false).0)
        }
    }
}

/// Only the default name was looked for, and there is nothing.
fn nobody_named_one(settings: &Settings) -> bool {
    let default = settings.root.join(crate::settings::env_file::DEFAULT);
    settings.aim.env_file.is_none()
        && settings.target.env_file.as_ref() == Some(&default)
        && std::fs::symlink_metadata(&default).is_err()
}

fn judged(declared: &Declared, rows: &mut Vec<Check>) -> Option<Candidate> {
    match declared.check() {
        Ok(candidate) => {
            let dsn = candidate.dsn();
            let source = match candidate.source() {
                Source::EnvFile(name) => format!("`{name}`"),
                Source::Process => "the process environment".to_owned(),
            };
            let at = format!("`{}` on {}:{} is staging, by {source} and drill.toml", dsn.database, dsn.host, dsn.port);
            rows.push(Check::ok(NAME, at));
            Some(candidate)
        }
        Err(refusals) => {
            rows.extend(refusals.iter().map(of_refusal));
            None
        }
    }
}

fn of_refusal(refusal: &Refusal) -> Check {
    let row = Check::of_refusal(NAME, refusal);
    let is_placeholder = refusal.message.contains("holds a placeholder");
    let hint = if is_placeholder { row.hint.map(|hint| hint.see(env_file::PLACEHOLDER.name)) } else { row.hint };
    Check { hint, ..row }
}

fn of_sandbox(settings: &Settings, rows: &mut Vec<Check>) -> Option<Candidate> {
    let url = sandbox::url(settings).ok()?;
    let declared = Declared::of_sandbox(settings, &url);
    match declared.check() {
        Ok(candidate) => Some(candidate),
        Err(refusals) => {
            rows.extend(refusals.iter().map(of_refusal));
            None
        }
    }
}
