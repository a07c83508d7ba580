//! `backward --failed`: settles a migration that failed, so that Prisma goes on (P3009, P3018).
//!
//! Prisma knows only that it did not end well. What the database became decides the word: nothing left behind means
//! rolled back, everything there means applied (the server had finished after its client was gone), and what lies
//! between is taken back by the migration's `down.sql` or left alone and named: from 7.4 on Prisma sends statement by
//! statement, so a replay tells after which one it stopped.

use std::path::Path;

use serde::Serialize;

use crate::error::{Failure, Result};
use crate::evidence::outcome::Migrations;
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::down::{Down, Order};
use crate::migrations::down_scripts;
use crate::migrations::prisma_status::Question;
use crate::migrations::roll_back::roll_back;
use crate::migrations::status::MigrationStatus;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Script, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::catalog::{Catalog, Difference};
use crate::schema::drift;
use crate::schema::expected;
use crate::schema::history::History;
use crate::schema::ledger::ledger;
use crate::schema::platform;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::stages::halfway::{self, Halfway};
use crate::stages::preflight::check_standing;
use crate::stages::snapshot_step::{Keep, take_snapshot};
use crate::tools::prisma::Prisma;
use crate::tools::prisma_error;
use crate::words::counted;
use pin::Lease;

/// The options of `backward --failed`.
pub struct ResolveFailed {
    pub accept_data_loss: bool,
}

pub struct Inspection {
    history: History,
    before: DatabaseState,
    failed: String,
    /// The catalog before the failed migration.
    sound: Catalog,
    /// What sets the database apart from `sound`.
    left: Vec<Difference>,
    way: Resolution,
    /// What is copied before what was left goes.
    keep: Option<Keep>,
    lease: Lease,
}

/// How it is settled.
enum Resolution {
    RolledBack,
    Applied,
    TakenBack(Down),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    Snapshot,
    TakeBack,
    Verify,
}

impl Stage for ResolveFailed {
    type Inspection = Inspection;
    type Action = Builtin;
    type Memory<'a> = ();

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// `usage` when nothing failed; `different`, naming what was left behind, when only a person can settle it.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let history = History::of(session.settings)?;
        let before = DatabaseState::read(session, &history)?.whole()?;
        let standing = &before.standing;
        check_standing(standing)?;
        let failed = standing.failed.first().cloned().ok_or_else(|| {
            Failure::usage("no migration has failed, so there is nothing to settle").hint(Hint::run("backward --plan"))
        })?;
        let sound = point(session, &history.only(&standing.applied), &before.catalog)?;
        let left = drift::between(&sound, &before.catalog).definition;
        let logged = ledger(&mut session.connection(), &session.target.dsn().schema)?
            .is_some_and(|ledger| ledger.failed().any(|entry| entry.name == failed && entry.logs.is_some()));
        let after = after(session, &history, standing, &failed, &before.catalog);
        let seen = Seen { failed: &failed, before: &sound, after: after.as_ref(), now: &before.catalog, logged };
        let way = resolution(session, &seen, || halfway::of(session, &history, standing, &failed, &before.catalog))?;
        let may_lose = self.accept_data_loss && matches!(way, Resolution::TakenBack(_));
        let takes_one = may_lose && before.counts.values().any(|rows| *rows > 0);
        let keep = takes_one.then(|| Keep::of(session, ours(session))).transpose()?;
        let lease = session.lease("prisma migrate resolve");
        Ok(Inspection { history, before, failed, sound, left, way, keep, lease })
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let Inspection { failed, left, .. } = inspection;
        let (found, settle, scripts) = match &inspection.way {
            Resolution::RolledBack => {
                ("nothing of it is left".to_owned(), self.resolve(session, inspection)?, Vec::new())
            }
            Resolution::Applied => ("all of it is there".to_owned(), self.resolve(session, inspection)?, Vec::new()),
            Resolution::TakenBack(down) => {
                let left: Vec<String> = left.iter().map(Difference::to_string).collect();
                let script = Script::new(format!("down/{failed}.sql"), down.sha256(), &down.sql);
                (format!("it left this behind: {}", left.join("; ")), take_back(failed), vec![script])
            }
        };
        let rows: u64 = inspection.before.counts.values().sum();
        let step = |keep: &Keep| vec![keep.step(&format!("{rows} rows"), Builtin::Snapshot)];
        let snapshot = inspection.keep.as_ref().map(step);
        let verify = Step {
            name: "verify",
            does: "read the ledger and the schema, and ask Prisma".to_owned(),
            failure: "the migration is not settled",
            action: Action::Builtin(Builtin::Verify),
        };
        Ok(Plan {
            stage: "settle",
            summary: format!("settle `{failed}` on {}: {found}.", session.settings.target.name),
            scripts,
            rows: inspection.before.counts.clone(),
            losses: Vec::new(),
            groups: snapshot.into_iter().chain([vec![settle], vec![verify]]).collect(),
        })
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        journal.record().inputs.insert("migrations".to_owned(), inspection.history.digest());
        journal.write_json("catalog-before.json", &inspection.before.catalog)?;
        match &inspection.way {
            Resolution::TakenBack(down) => journal.run().write(&format!("down/{}.sql", down.migration), &down.sql),
            _ => Ok(()),
        }
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) {}

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        let Running { options, session, journal, inspection, .. } = running;
        let done = match action {
            Builtin::Snapshot => {
                take_snapshot(session, journal, "backward", inspection.keep.as_ref(), &inspection.before.counts)
            }
            Builtin::TakeBack => options.take_back(session, inspection),
            Builtin::Verify => verify(session, journal, inspection),
        };
        done.map(Ended::from)
    }

    fn record(running: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        let Running { session, journal, inspection, .. } = running;
        session.settle(&inspection.lease).and_then(|()| record(session, journal, inspection))
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.qa
    }
}

/// The migration that failed, where nothing of it is left and so its row of the ledger is all there is to settle; None where none has failed.
///
/// # Errors
/// Why only a person, or a script, can settle it.
pub fn without_trace(session: &Session<'_>) -> Result<Option<String>> {
    let ledger = ledger(&mut session.connection(), &session.target.dsn().schema)?;
    if ledger.is_none_or(|ledger| ledger.failed().next().is_none()) {
        return Ok(None);
    }
    let Inspection { failed, way, .. } = ResolveFailed { accept_data_loss: false }.inspect(session)?;
    match way {
        Resolution::RolledBack => Ok(Some(failed)),
        Resolution::Applied => Err(Failure::different(format!("all of `{failed}` is there, although it failed"))),
        Resolution::TakenBack(_) => Err(Failure::different(format!("`{failed}` left something behind"))),
    }
}

/// What `history` makes, with the mirror's table where the target has it.
fn point(session: &Session<'_>, history: &History, now: &Catalog) -> Result<Catalog> {
    Ok(expected::catalog(session, &expected::as_on_target(session, history, now)?)?.catalog)
}

/// The catalog with the failed migration; None where its folder is gone or it does not apply to an empty database.
fn after(
    session: &Session<'_>,
    history: &History,
    standing: &MigrationStatus,
    failed: &str,
    now: &Catalog,
) -> Option<Catalog> {
    let history = history.only(&[standing.applied.as_slice(), &[failed.to_owned()]].concat());
    (history.migrations.len() > standing.applied.len()).then(|| point(session, &history, now).ok())?
}

/// What is known of a failed migration without a replay of its own.
struct Seen<'a> {
    failed: &'a str,
    before: &'a Catalog,
    after: Option<&'a Catalog>,
    now: &'a Catalog,
    /// Prisma saw the error, so the script did fail.
    logged: bool,
}

fn resolution(
    session: &Session<'_>,
    seen: &Seen<'_>,
    halfway: impl Fn() -> Result<Option<Halfway>>,
) -> Result<Resolution> {
    let Seen { failed, before, after, now, logged } = *seen;
    let left = drift::between(before, now).definition;
    let at_after = after.is_some_and(|after| drift::between(after, now).definition.is_empty());
    match (left.is_empty(), at_after) {
        (true, true) if !logged => Err(Failure::different(format!("it cannot be known whether `{failed}` ran"))
            .because("the schema is the same before and after it, and no error was recorded")
            .note("Prisma's `migrate resolve` has `--rolled-back` if it did not run, and `--applied` if it did")
            .hint("look at the rows that it changes, and resolve it with Prisma: docs/failed-migrations.md says how")),
        (true, _) => match halfway()?.and_then(|halfway| halfway.rows_at_stake(failed)) {
            Some(failure) => Err(failure),
            None => Ok(Resolution::RolledBack),
        },
        (false, true) => match halfway()?.and_then(|halfway| halfway.rows_missing(failed)) {
            Some(failure) => Err(failure),
            None => Ok(Resolution::Applied),
        },
        (false, false) => match down_scripts::written(session, failed)? {
            Some(down) => Ok(Resolution::TakenBack(down)),
            None => {
                let failure = Failure::different(format!("`{failed}` failed and left something behind"));
                let stopped = halfway()?.map(|halfway| halfway.in_words());
                Err(failure
                    .because_all(stopped)
                    .because_all(left.iter().map(Difference::to_string))
                    .note(format!("undo it by hand first, or run the rest of it, or write `{failed}/down.sql`"))
                    .hint(Hint::run("backward --failed")))
            }
        },
    }
}

fn take_back(failed: &str) -> Step<Builtin> {
    Step {
        name: "roll back",
        does: format!("run the down.sql of `{failed}` and take it out of the ledger, if that leads back to before it"),
        failure: "what it left behind was not rolled back",
        action: Action::Builtin(Builtin::TakeBack),
    }
}

impl ResolveFailed {
    fn resolve(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Step<Builtin>> {
        let word = if matches!(inspection.way, Resolution::Applied) { "--applied" } else { "--rolled-back" };
        let invocation = Prisma::new(session, &inspection.lease).resolve(word, &inspection.failed)?;
        Ok(Step {
            name: "migrate resolve",
            does: format!("mark `{}` as {}", inspection.failed, word.trim_start_matches('-').replace('-', " ")),
            failure: "the migration was not settled",
            action: Action::Child {
                invocation,
                deadline: session.settings.timeouts.migrate,
                explain: prisma_error::explain,
            },
        })
    }

    fn take_back(&self, session: &Session<'_>, inspection: &Inspection) -> Result<String> {
        let Resolution::TakenBack(down) = &inspection.way else {
            return Err(Failure::bug("there is no script to run"));
        };
        let (ours, schemas) = (ours(session), session.target.schemas());
        let order = Order {
            schema: &session.target.dsn().schema,
            applied: &inspection.before.standing.in_ledger(),
            down,
            losses: None,
            accept_data_loss: self.accept_data_loss,
            kept: if self.accept_data_loss { &ours } else { &[] },
            must_reach: Some(&inspection.sound),
            external: &platform::as_prisma(session, &schemas)?.groundwork.external,
            limit: session.settings.timeouts.migrate,
        };
        roll_back(session, &mut None, &order)?;
        Ok("the schema is as before it, and it is out of the ledger".to_owned())
    }
}

/// The schemas of the project.
fn ours(session: &Session<'_>) -> Vec<String> {
    session.target.schemas().into_iter().map(str::to_owned).collect()
}

fn verify(session: &Session<'_>, journal: &Journal<'_>, inspection: &Inspection) -> Result<String> {
    let failed = &inspection.failed;
    let standing = DatabaseState::read(session, &inspection.history)?.standing;
    if standing.failed.contains(failed) {
        return Err(Failure::failed(format!("`{failed}` is still marked as failed, although Prisma exited 0"))
            .hint(journal.read_step("migrate resolve")));
    }
    let applied_now = standing.applied.contains(failed);
    if applied_now != matches!(inspection.way, Resolution::Applied) {
        return Err(Failure::different(format!("the ledger says the opposite of what was asked about `{failed}`"))
            .hint(Hint::run("forward --plan")));
    }
    let prisma = Question::new(session)?.ask(session, journal)?;
    if prisma != standing.pending {
        return Err(Failure::different("Prisma and the ledger disagree about what is pending").because(format!(
            "Prisma: {}; the ledger: {}",
            prisma.join(", "),
            standing.pending.join(", ")
        )));
    }
    journal.record().outcome.notes.extend(next(session, failed, &standing.pending));
    let state = if applied_now { "applied" } else { "pending" };
    Ok(format!("`{failed}` is {state}; {} pending in all", standing.pending.len()))
}

/// What comes after it, where something does.
fn next(session: &Session<'_>, settled: &String, pending: &[String]) -> Option<String> {
    let forward = Hint::run("forward").line(&session.settings.aim);
    match pending {
        [] => None,
        pending if pending.contains(settled) => {
            Some(format!("`{settled}` is pending again, and once its script is right this applies it: {forward}"))
        }
        pending => Some(format!("{} still to come: {forward}", counted(pending.len(), "migration"))),
    }
}

fn record(session: &Session<'_>, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
    let after = DatabaseState::read(session, &inspection.history)?;
    after.record(journal, &inspection.before.counts)?;
    let standing = after.standing;
    let failed = || vec![inspection.failed.clone()];
    let applied = if standing.applied.contains(&inspection.failed) { failed() } else { Vec::new() };
    let settled = !standing.failed.contains(&inspection.failed);
    let rolled_back = if settled && applied.is_empty() { failed() } else { Vec::new() };
    journal.record().outcome.migrations = Some(Migrations { applied, pending: standing.pending, rolled_back });
    Ok(())
}
