//! Who holds what a migration needs, where the ledger stands beside the folder, and whether the schema is what it should be.

use crate::causes::{history as causes, locks, prisma};
use crate::doctor::Patient;
use crate::doctor::check::{Check, Mark};
use crate::error::{Result, Status};
use crate::guard::{Candidate, Demand};
use crate::migrations::status::MigrationStatus;
use crate::postgres::activity::lock_holders;
use crate::postgres::connection::Connection;
use crate::postgres::table_locks::{self, TableLock};
use crate::schema::catalog::catalog;
use crate::schema::drift;
use crate::schema::history::History;
use crate::schema::ledger::{LEDGER_TABLE, ledger};
use crate::session::Session;
use crate::stages::preflight;
use crate::temporary::Temporary;
use crate::words::counted;

const LOCKS: &str = "locks";
const LEDGER: &str = "ledger";
const DRIFT: &str = "drift";

/// # Errors
/// As the server's.
pub fn locks(connection: &mut Connection, candidate: &Candidate) -> Result<Vec<Check>> {
    let mut rows = Vec::new();
    if let Some(lock) = lock_holders(connection)?.into_iter().find(|lock| lock.granted) {
        let hint = locks::PRISMA_LOCK.hint(&[("remedy", &lock.holder.remedy())]);
        rows.push(Check::fail(LOCKS, format!("Prisma's migration lock: {}", lock.in_words()), hint));
    }
    if let Some(run) = crate::postgres::run_lock::held_by_another(connection)? {
        rows.push(Check::fail(LOCKS, format!("another run of the drill is at work: {run}"), locks::RUN_LOCK.hint(&[])));
    }
    let held = table_locks::of_others(connection, &candidate.schemas())?;
    let (on_ledger, on_tables): (Vec<_>, Vec<_>) = held.into_iter().partition(|lock| lock.table == LEDGER_TABLE);
    let remedy = |lock: &TableLock| lock.holder.remedy();
    if let Some(lock) = on_ledger.first() {
        let hint = locks::LEDGER_LOCKED.hint(&[("remedy", &remedy(lock))]);
        rows.push(Check::fail(LOCKS, lock.in_words(), hint));
    }
    if let Some(lock) = on_tables.iter().find(|lock| on_ledger.iter().all(|other| other.holder != lock.holder)) {
        let hint = locks::TABLES_LOCKED.hint(&[("remedy", &remedy(lock))]);
        let row = Check::warn(LOCKS, lock.in_words(), hint);
        // A question about the schema would wait for it, too.
        rows.push(if lock.shuts_out { Check { mark: Mark::Fail, status: Status::Blocked, ..row } } else { row });
    }
    if rows.is_empty() {
        rows.push(Check::ok(LOCKS, "nobody holds a lock that a migration would wait for"));
    }
    Ok(rows)
}

/// Ledger and drift.
pub fn look(patient: &Patient, candidate: &Candidate, connection: &mut Connection) -> Vec<Check> {
    let history = History::of(&patient.settings).ok().filter(|history| !history.migrations.is_empty());
    let Some(history) = history else {
        return [LEDGER, DRIFT].map(|name| Check::skipped(name, "needs the migrations")).into();
    };
    let ledger = match ledger(connection, &candidate.dsn().schema) {
        Ok(ledger) => ledger,
        Err(failure) => {
            return vec![Check::of_failure(LEDGER, &failure, None), Check::skipped(DRIFT, "needs the ledger")];
        }
    };
    let standing = MigrationStatus::new(&history, ledger.as_ref(), false);
    let has_tables = table_locks::has_tables(connection, &candidate.schemas());
    if ledger.is_none() && has_tables.is_ok_and(|has_tables| has_tables) {
        let seen = format!("`{}` has tables and no `{LEDGER_TABLE}` (P3005)", candidate.dsn().schema);
        return vec![Check::fail(LEDGER, seen, prisma::NOT_EMPTY.hint(&[])), Check::skipped(DRIFT, "needs a ledger")];
    }
    let rows = of_standing(&standing);
    let drift = match ledger.is_none() {
        true => Check::skipped(DRIFT, "nothing is applied yet"),
        false => drift_row(patient, candidate, connection, &history.only(&standing.applied)),
    };
    rows.into_iter().chain([drift]).collect()
}

fn of_standing(standing: &MigrationStatus) -> Vec<Check> {
    if let Some(name) = standing.failed.first() {
        return vec![Check::fail(
            LEDGER,
            format!("migration `{name}` failed before (P3009)"),
            prisma::FAILED_BEFORE.hint(&[]),
        )];
    }
    if let Err(failure) = preflight::check_standing(standing) {
        return vec![Check::of_failure(LEDGER, &failure, None)];
    }
    let pending = standing.pending.len();
    let words = format!("{} applied, {pending} pending", counted(standing.applied.len(), "migration"));
    match standing.out_of_order.first() {
        Some(name) => {
            let seen = format!("{words}; `{name}` is pending although a later one is applied");
            vec![Check::warn(LEDGER, seen, causes::OUT_OF_ORDER.hint(&[]))]
        }
        None => vec![Check::ok(LEDGER, words)],
    }
}

/// At a glance: where these migrations were replayed before. A replay would make a database on the server.
pub fn drift_row(patient: &Patient, candidate: &Candidate, connection: &mut Connection, history: &History) -> Check {
    let settings = &patient.settings;
    if patient.toolbox().is_none() || Temporary::new().is_err() {
        return Check::skipped(DRIFT, "needs Prisma, its engine and temporary files");
    }
    let (candidate, redactor) = (candidate.clone(), patient.redactor.clone());
    let schemas: Vec<String> = candidate.schemas().into_iter().map(str::to_owned).collect();
    let look = || {
        let session = Session::open(settings, &patient.interrupt, candidate, redactor, Demand::ReadOnly)?;
        let schemas: Vec<&str> = schemas.iter().map(String::as_str).collect();
        let actual = catalog(connection, &schemas)?;
        drift::of_target_if_known(&session, history, &actual)
    };
    match look() {
        Err(failure) => Check::of_failure(DRIFT, &failure, None),
        Ok(None) => Check::skipped(DRIFT, "these migrations were never replayed here, and `forward --plan` does that"),
        Ok(Some(drift)) => match drift.definition.first() {
            None => Check::ok(DRIFT, drift.verdict("the migrations")),
            Some(first) => {
                let first = first.to_string();
                let seen =
                    format!("{} from what the migrations make: {first}", counted(drift.definition.len(), "difference"));
                Check::fail(DRIFT, seen, causes::DRIFT.hint(&[("first", &first)])).status(Status::Different)
            }
        },
    }
}
