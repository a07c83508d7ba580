//! Where the target stands: pending, failed, running, edited, drifted, claimed, locked. Asked of the server, and written nowhere: no evidence, no
//! `.drill`, no throw-away database.

use std::sync::OnceLock;

use crate::causes::{history as causes, prisma};
use crate::doctor::check::{Check, Mark};
use crate::doctor::{Patient, copies, history, server};
use crate::error::{Failure, Result, Status};
use crate::guard::input::Declared;
use crate::guard::{self, Candidate, Demand};
use crate::interrupt::Interrupt;
use crate::migrations::status::MigrationStatus;
use crate::postgres::activity::lock_holders;
use crate::postgres::connection::Connection;
use crate::postgres::identity::Identity;
use crate::postgres::{claim, table_locks};
use crate::sandbox;
use crate::schema::history::History;
use crate::schema::ledger::{LEDGER_TABLE, ledger};
use crate::schema::owed::Owed;
use crate::session::{self, reach::Reached};
use crate::settings::Settings;
use crate::stages::{preflight, still_owed};
use crate::words::{counted, listed};

const RESET: &str = "reset";
const LEDGER: &str = "ledger";
const DRIFT: &str = "drift";

pub struct Standing {
    pub checks: Vec<Check>,
    /// None where a lock keeps everybody from reading the ledger, or where there should be one and is none.
    pub migrations: Option<MigrationStatus>,
}

/// What is declared of the target. A sandbox that does not run is not started for it.
///
/// # Errors
/// `blocked` where nothing says where the target is.
pub fn declare(settings: &Settings) -> Result<Declared> {
    match settings.target.is_sandbox() {
        true => Ok(Declared::of_sandbox(settings, &sandbox::url(settings)?)),
        false => Declared::of_environment(settings),
    }
}

/// # Errors
/// `refused` and `blocked` as for every command; what is not well with the database itself is a check.
pub fn look(
    mut settings: Settings,
    interrupt: &Interrupt,
    declared: &Declared,
    candidate: &Candidate,
) -> Result<Standing> {
    settings.reads_only = true;
    let (interrupt, candidate) = (interrupt.clone(), candidate.clone());
    let redactor = declared.redactor();
    let history = History::of(&settings)?;
    let Reached { pin: _pin, lease: _lease, mut connection, identity } =
        Reached::new(&settings, &interrupt, &candidate)?;
    identity.check_version()?;
    let observed = session::observed(&identity, claim::read(&mut connection)?);
    guard::prove(candidate.clone(), &observed, Demand::ReadOnly)
        .map_err(|refusals| Failure::refused(&settings.target.name, refusals))?;
    let mut checks = server::claim_of(&mut connection, &identity, &candidate)?;
    checks.extend(copies::look(&mut connection, &settings, &identity.database));
    checks.extend(cut_short(&settings, &identity));
    checks.extend(history::locks(&mut connection, &candidate)?.into_iter().map(differs));
    let patient = Patient {
        settings,
        interrupt,
        redactor,
        candidate: None,
        node: OnceLock::new(),
        toolbox: OnceLock::new(),
        unusable: None,
    };
    let (rows, migrations) = of_history(&patient, &candidate, &mut connection, &history)?;
    checks.extend(rows);
    Ok(Standing { checks, migrations })
}

/// A reset of this checkout's that has taken what is not there again.
fn cut_short(settings: &Settings, identity: &Identity) -> Option<Check> {
    let seen = match Owed::to(identity, settings) {
        Ok(owed) => {
            owed.filter(Owed::is_cut_short).map(|_| "one was cut short, and not all that it took is back".to_owned())
        }
        Err(failure) => Some(failure.message),
    };
    Some(differs(Check::fail(RESET, seen?, still_owed::way_back(settings))))
}

/// A run that meets it would be blocked; for who only looks, it is how the database differs from one that is ready.
fn differs(check: Check) -> Check {
    if check.mark == Mark::Fail { check.status(Status::Different) } else { check }
}

fn of_history(
    patient: &Patient,
    candidate: &Candidate,
    connection: &mut Connection,
    history: &History,
) -> Result<(Vec<Check>, Option<MigrationStatus>)> {
    let schemas = candidate.schemas();
    if table_locks::of_others(connection, &schemas)?.iter().any(|lock| lock.shuts_out) {
        let why = "waits for who holds the lock";
        return Ok(([LEDGER, DRIFT].map(|name| Check::skipped(name, why)).into(), None));
    }
    let ledger = ledger(connection, &candidate.dsn().schema)?;
    if ledger.is_none() && table_locks::has_tables(connection, &schemas)? {
        let seen = format!("`{}` has tables and no `{LEDGER_TABLE}` (P3005)", candidate.dsn().schema);
        let row = differs(Check::fail(LEDGER, seen, prisma::NOT_EMPTY.hint(&[])));
        return Ok((vec![row, Check::skipped(DRIFT, "needs a ledger")], None));
    }
    let is_at_work = lock_holders(connection)?.iter().any(|lock| lock.granted);
    let standing = MigrationStatus::new(history, ledger.as_ref(), is_at_work);
    let drift = match () {
        () if ledger.is_none() => Check::skipped(DRIFT, "nothing is applied yet"),
        () if !standing.running.is_empty() => Check::skipped(DRIFT, "waits for the migration that is running"),
        () => history::drift_row(patient, candidate, connection, &history.only(&standing.applied)),
    };
    let rows = of_standing(&standing).into_iter().chain([drift]).collect();
    Ok((rows, Some(standing)))
}

/// One row a question, what stands in the way of all else first.
pub fn of_standing(standing: &MigrationStatus) -> Vec<Check> {
    let MigrationStatus { applied, pending, failed, running, out_of_order, .. } = standing;
    let row = |name, names: &[String], well: String, seen: String, hint| match names {
        [] => Check::ok(name, well),
        _ => differs(Check::fail(name, seen, hint)),
    };
    let edited = MigrationStatus { running: Vec::new(), ..standing.clone() };
    let edited = match preflight::check_standing(&edited) {
        Ok(()) if standing.in_ledger().is_empty() => Check::skipped("history", "nothing is applied yet"),
        Ok(()) => Check::ok("history", "every applied migration is as its folder has it"),
        Err(failure) => differs(Check::of_failure("history", &failure, None)),
    };
    let late = out_of_order.first().map(|name| format!("; `{name}` is older than one that is applied"));
    vec![
        row(
            "failed",
            failed,
            "no migration has failed".to_owned(),
            format!("{} (P3009): {}", counted(failed.len(), "failed migration"), listed(failed)),
            prisma::FAILED_BEFORE.hint(&[]),
        ),
        row(
            "running",
            running,
            "no migration is running".to_owned(),
            format!("in another session: {}", listed(running)),
            causes::RUNNING.hint(&[]),
        ),
        edited,
        row(
            "pending",
            pending,
            format!("nothing, and {} applied", counted(applied.len(), "migration")),
            format!("{}: {}{}", counted(pending.len(), "migration"), listed(pending), late.unwrap_or_default()),
            crate::hint::Hint::run("forward --plan"),
        ),
    ]
}

#[cfg(test)]
mod tests;
