//! The sandbox: whether it runs, and where it does not, whether it could.

use crate::causes::machine;
use crate::doctor::Patient;
use crate::doctor::check::Check;
use crate::hint::Hint;
use crate::process::locate;
use crate::sandbox;

pub fn look(patient: &Patient) -> Vec<Check> {
    const NAME: &str = "sandbox";
    let settings = &patient.settings;
    let status = match sandbox::status(settings) {
        Ok(status) => status,
        Err(failure) => return vec![Check::of_failure(NAME, &failure, Some(&machine::SANDBOX_CRASHED))],
    };
    if status.running {
        return vec![Check::ok(NAME, status.in_words())];
    }
    let programs = match &settings.sandbox_programs {
        Some(programs) => locate::other_postgres(programs),
        None => locate::postgres_package(settings, None),
    };
    vec![match programs {
        Ok(_) => Check::ok(NAME, "not running; its Postgres is here"),
        Err(_) if settings.sandbox_programs.is_none() && locate::on_path(settings, "npm").is_some() => {
            Check::ok(NAME, "not running; the next start brings its Postgres from npm")
        }
        Err(failure) => {
            let row = Check::of_failure(NAME, &failure, Some(&machine::SANDBOX_PROGRAMS));
            let hint = row.hint.unwrap_or_else(|| Hint::run("sandbox up"));
            Check::warn(NAME, row.message, hint)
        }
    }]
}
