//! Reset: a snapshot of every row, then the real `prisma migrate reset`, then proof that the database is what its migrations make.
//!
//! Prisma drops the whole schema. What goes with it and no migration brings back is named before and looked at afterwards: grants and default
//! privileges are granted again, the mirror is applied again, anything else is said to be gone.

use std::path::Path;
use std::sync::OnceLock;

use serde::Serialize;

use crate::error::{Failure, Result, Status};
use crate::evidence::outcome::Migrations;
use crate::guard::{Demand, forwarded_markers};
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::postgres::claim;
use crate::postgres::counts::Counts;
use crate::postgres::fence::{self, Fence, refuse_deploy};
use crate::rows::snapshot::copy::{Keeping, keeping};
use crate::rows::snapshot::{Snapshot, Trial, megabytes, try_way_back};
use crate::run::consent::Question;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Explanation, Plan, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::catalog::{Catalog, Change, Concern, Difference, ObjectKey};
use crate::schema::dependents::{dependents, or_since, refuse_loss, strand};
use crate::schema::drift;
use crate::schema::expected;
use crate::schema::history::History;
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::owed::{Owed, Taken};
use crate::schema::privileges::{self, privileges_of};
use crate::schema::second_application;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::stages::database_copy::{copy_database, discard, take};
use crate::stages::dependents_step::{make_again, restore_dependents, write_down};
use crate::stages::standpoint::Standpoint;
use crate::stages::surroundings;
use crate::stages::way_back::WayBack;
use crate::tools::prisma::Prisma;
use crate::tools::prisma_error;
use crate::tools::supabase::{self, Supabase};
use pin::Lease;

/// The options of `reset`.
pub struct Reset {
    pub confirm: bool,
    pub no_snapshot: bool,
    /// What the same run puts back afterwards, where it is a restore.
    pub then: Option<Snapshot>,
}

impl Reset {
    /// As a command of its own.
    pub fn new(confirm: bool, no_snapshot: bool) -> Reset {
        Reset { confirm, no_snapshot, then: None }
    }
}

pub struct Inspection {
    history: History,
    before: Standpoint,
    /// What migrations, and the mirror's script where the mirror is there, make.
    expected: Catalog,
    mirror: Option<String>,
    /// What no migration makes, so that nothing of it comes back.
    unmanaged: Vec<Difference>,
    /// What goes and is given back, with what an earlier reset has not given back.
    taken: Taken,
    /// By an earlier reset alone.
    owed: Option<Owed>,
    /// What came of a try to put rows back; None where there are none, or nobody wants them back.
    way_back: Option<Trial>,
    /// As what the state before is kept.
    keeping: Keeping,
    leases: Leases,
}

impl Inspection {
    /// What is there before it.
    pub fn catalog(&self) -> &Catalog {
        &self.before.state.catalog
    }

    pub fn counts(&self) -> &Counts {
        &self.before.state.counts
    }
}

struct Leases {
    reset: Lease,
    mirror: Lease,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    Snapshot,
    WriteDown,
    RestoreDependents,
    RestorePrivileges,
    VerifyLedger,
    VerifyRows,
    VerifyCatalog,
    VerifyClaim,
}

impl Stage for Reset {
    type Inspection = Inspection;
    type Action = Builtin;
    type Memory<'a> = Memory;

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// `failed` when the history does not apply to an empty database: a reset would end half way; `blocked` when it does not apply
    /// a second time, or when something outside of the schema would go with it and could not be put back.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        refuse_deploy(&mut session.connection())?;
        let history = History::of(session.settings)?;
        let before = Standpoint::read(session, &history)?;
        let dropped = session.target.schemas_of_reset();
        let owed = Owed::read(session)?;
        let earlier = owed.iter().flat_map(|owed| owed.taken.dependents.clone()).collect();
        let mut dependents = or_since(earlier, dependents(&mut session.connect()?, &dropped)?);
        let plain = expected::catalog(session, &history)?.catalog;
        let with_mirror = expected::with_mirror(session, &history)?.map(|expected| expected.catalog);
        let is_owed = owed.as_ref().is_some_and(|owed| owed.taken.lacks_mirror(&before.state.catalog));
        let with_mirror =
            with_mirror.filter(|catalog| is_owed || expected::has_mirror(&plain, catalog, &before.state.catalog));
        let of_mirror = |catalog: &Catalog| {
            catalog
                .objects
                .keys()
                .filter(|object| !plain.objects.contains_key(*object))
                .map(ToString::to_string)
                .collect()
        };
        let mirror_made = with_mirror.as_ref().map(of_mirror).unwrap_or_default();
        let mirror = if with_mirror.is_some() { session.settings.supabase.script()? } else { None };
        let expected = with_mirror.unwrap_or(plain);
        second_application::check(session, &history)?;
        let drift = drift::between(&expected, &before.state.catalog).definition;
        let external = before.state.external.iter().filter(|object| is_dropped(object, &dropped)).map(unexpected);
        let unmanaged: Vec<Difference> =
            drift.into_iter().filter(|difference| difference.change == Change::Unexpected).chain(external).collect();
        unmanaged.iter().for_each(|stranger| strand(&mut dependents, &stranger.object));
        refuse_loss(&dropped, &dependents)?;
        let privileges = privileges_of(&mut session.connect()?, &dropped)?;
        let tables = before.oids.clone();
        let now = Taken { tables, privileges, mirror: mirror_made, dependents, validate: Vec::new() };
        let taken = match owed.clone() {
            Some(owed) => owed.or_since(now),
            None => now,
        };
        let way_back = match self.no_snapshot {
            true => None,
            false => {
                try_way_back(session, &all_of(session, &history, mirror.is_some())?, &before.rows(), &taken.privileges)?
            }
        };
        let keeping = if self.no_snapshot { Keeping::Files } else { keeping(session, &session.target.schemas())? };
        let leases =
            Leases { reset: session.lease("prisma migrate reset"), mirror: session.lease("supabase db query") };
        Ok(Inspection { history, before, expected, mirror, unmanaged, taken, owed, way_back, keeping, leases })
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let filled = inspection.before.state.counts.iter().filter(|(_, rows)| **rows > 0);
        let rows = filled.map(|(table, rows)| format!("{rows} rows of `{table}`"));
        let unmanaged =
            inspection.unmanaged.iter().map(|stranger| format!("{}: no migration makes it", stranger.object));
        let way_back = inspection.way_back.iter();
        let gaps = way_back.clone().flat_map(|trial| trial.losses.iter().cloned());
        let tried: String = way_back.map(|trial| format!("\n{}", trial.words)).collect();
        let first = if self.no_snapshot { "without a snapshot" } else { "snapshot first" };
        let mut groups = Vec::new();
        groups.extend((!self.no_snapshot).then(|| vec![snapshot_step(&inspection.keeping)]));
        groups.push(vec![write_down_step()]);
        groups.push(vec![reset_step(session, inspection)?]);
        groups.extend(mirror_step(session, inspection)?.map(|step| vec![step]));
        groups.extend(restore_dependents(&inspection.taken.dependents, Builtin::RestoreDependents));
        groups.extend(verification().map(|step| vec![step]));
        Ok(Plan {
            stage: "reset",
            summary: format!(
                "reset on {}: drop the schema `{}` of database `{}`, {first}, and apply {} migrations.{tried}",
                session.settings.target.name,
                session.target.schemas_of_reset().join("`, `"),
                session.target.dsn().database,
                inspection.history.migrations.len()
            ),
            scripts: Vec::new(),
            rows: inspection.before.state.counts.clone(),
            losses: rows.chain(unmanaged).chain(gaps).collect(),
            groups,
        })
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Builtin>, console: &Console) -> Result<()> {
        plan.summary.lines().for_each(|line| console.say(line));
        plan.losses.iter().for_each(|loss| console.say(format!("  lost: {loss}")));
        let steps = plan
            .groups
            .iter()
            .flatten()
            .filter(|step| matches!(step.action, Action::Builtin(Builtin::RestoreDependents)));
        steps.for_each(|step| console.say(format!("  to {}", step.does)));
        let question = Question {
            target: &session.settings.target.name,
            database: &session.target.dsn().database,
            deed: "drop and rebuild this schema",
            command: Hint::run(if self.no_snapshot { "reset --confirm --no-snapshot" } else { "reset --confirm" }),
        };
        question.by_flag(self.confirm, console)
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        let mut record = journal.record();
        record.inputs.insert("migrations".to_owned(), inspection.history.digest());
        if self.no_snapshot {
            record.outcome.extra.insert("snapshot".to_owned(), serde_json::Value::Null);
            record.outcome.notes.push("no snapshot was taken, as asked (--no-snapshot)".to_owned());
        }
        drop(record);
        journal.write_json("privileges-before.json", &inspection.taken.privileges)?;
        write_down(journal, &inspection.taken.dependents)?;
        journal.write_json("catalog-before.json", &inspection.before.state.catalog)
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) -> Memory {
        Memory::default()
    }

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        running.builtin(action).map(Ended::from)
    }

    fn explain(running: &Running<'_, Self>, failure: Failure) -> Failure {
        running.explain(failure)
    }

    fn record(running: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        running.record()
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.qa
    }
}

/// What makes all that is there when the rows go back.
fn all_of(session: &Session<'_>, history: &History, has_mirror: bool) -> Result<History> {
    let with_mirror = if has_mirror { expected::and_mirror(session, history)? } else { None };
    Ok(with_mirror.unwrap_or_else(|| history.clone()))
}

/// Prisma drops its schema whatever is external in it (measured on 7.10).
fn is_dropped(object: &ObjectKey, dropped: &[&str]) -> bool {
    object.path.first().is_some_and(|schema| dropped.contains(&schema.as_str()))
}

fn unexpected(object: &ObjectKey) -> Difference {
    Difference { object: object.clone(), change: Change::Unexpected, concern: Concern::Definition }
}

fn write_down_step() -> Step<Builtin> {
    Step {
        name: "write down privileges",
        does: "keep who may do what, what else goes with the schema, and whether there is a mirror, in `.drill/owed` until it is there again"
            .to_owned(),
        failure: "nothing was dropped",
        action: Action::Builtin(Builtin::WriteDown),
    }
}

fn snapshot_step(keeping: &Keeping) -> Step<Builtin> {
    let files = "close the tables to writers, and copy every row into files of this machine, readable by you alone";
    let does = match keeping {
        Keeping::Files => files.to_owned(),
        Keeping::FilesBecause(why) => format!("{files} (not as a database of the same server: {why})"),
        Keeping::Database(bytes) => format!(
            "keep a copy of the database, {}, on the same server, which lets nobody else in for that moment; close the tables to writers, and \
             compare the two",
            megabytes(*bytes)
        ),
    };
    Step {
        name: "snapshot",
        does,
        failure: "there is no snapshot, so nothing was dropped",
        action: Action::Builtin(Builtin::Snapshot),
    }
}

fn reset_step(session: &Session<'_>, inspection: &Inspection) -> Result<Step<Builtin>> {
    Ok(Step {
        name: "migrate reset",
        does: format!("drop the schema and apply {} migrations", inspection.history.migrations.len()),
        failure: "Prisma did not reset the database",
        action: Action::Child {
            invocation: Prisma::new(session, &inspection.leases.reset).reset()?,
            deadline: session.settings.timeouts.migrate,
            explain,
        },
    })
}

fn mirror_step(session: &Session<'_>, inspection: &Inspection) -> Result<Option<Step<Builtin>>> {
    let Some(sql) = &inspection.mirror else { return Ok(None) };
    let path = session.settings.mirror_shown();
    Ok(Some(Step {
        name: "supabase db query",
        does: format!("make the mirror again, which went with the schema: run `{path}`"),
        failure: "the mirror was not made again",
        action: Action::Child {
            invocation: Supabase::find(session.settings)?.query(session, &inspection.leases.mirror, sql)?,
            deadline: session.settings.timeouts.migrate,
            explain: supabase::explain,
        },
    }))
}

fn verification() -> [Step<Builtin>; 5] {
    let step =
        |name, does: &str, failure, own| Step { name, does: does.to_owned(), failure, action: Action::Builtin(own) };
    [
        step(
            "restore privileges",
            "grant what was granted before on the schema and in it, and its default privileges",
            "the privileges are not what they were",
            Builtin::RestorePrivileges,
        ),
        step(
            "verify ledger",
            "read the ledger: every migration applied, none failed, none pending",
            "the ledger is not complete",
            Builtin::VerifyLedger,
        ),
        step(
            "verify rows",
            "every table is a new one, and holds what migrations inserted",
            "old rows are still there",
            Builtin::VerifyRows,
        ),
        step(
            "verify catalog",
            "compare the schema with what the migrations make",
            "the schema is not what its migrations make",
            Builtin::VerifyCatalog,
        ),
        step(
            "verify claim",
            "the claim is still there and names this database",
            "the claim is gone",
            Builtin::VerifyClaim,
        ),
    ]
}

/// What Prisma prints when a variable says that an agent runs it (6.19, 7.10).
const GATE: &str = "detected that it was invoked by";
/// Stands where Prisma's own errors have their code.
const GATE_CODE: &str = "agent gate";

fn explain(tail: &[String]) -> Option<Explanation> {
    let Some(line) = tail.iter().find(|line| line.contains(GATE)) else { return prisma_error::explain(tail) };
    Some(Explanation {
        code: GATE_CODE.to_owned(),
        message: line.trim().trim_start_matches("Error: ").to_owned(),
        details: Vec::new(),
        note: None,
        hint: Some(
            "a person runs this, or gives consent in the words that Prisma asks for; the drill never answers for one"
                .into(),
        ),
    })
}

/// What its steps find out for each other.
#[derive(Default)]
pub struct Memory {
    snapshot: OnceLock<Snapshot>,
    /// The tables may be closed to writers, who have to be let in again where the tables stay.
    fenced: OnceLock<()>,
    /// Makes keys of other schemas hold for old rows too.
    unchecked: OnceLock<Vec<String>>,
    /// Read once, when no child works any more.
    after: OnceLock<Standpoint>,
}

impl Running<'_, Reset> {
    fn builtin(&self, action: &Builtin) -> Result<String> {
        match action {
            Builtin::Snapshot => self.take_snapshot(),
            Builtin::WriteDown => self.write_down(),
            Builtin::RestoreDependents => self.restore_dependents(),
            Builtin::RestorePrivileges => self.restore_privileges(),
            Builtin::VerifyLedger => self.verify_ledger(),
            Builtin::VerifyRows => self.verify_rows(),
            Builtin::VerifyCatalog => self.verify_catalog(),
            Builtin::VerifyClaim => self.verify_claim(),
        }
    }

    fn take_snapshot(&self) -> Result<String> {
        let session = self.session;
        let schemas = session.target.schemas_of_reset();
        let copy = copy_database(session, self.journal, &self.inspection.keeping)?;
        let fence = match Fence::lock(session.connect()?, &session.target, &schemas, LEDGER_TABLE) {
            Ok(fence) => fence,
            Err(failure) => return Err(discard(session, copy, failure)),
        };
        let snapshot = take(session, self.journal, "reset", copy, &self.inspection.before.state.counts)?;
        let _ = self.memory.fenced.set(());
        fence.close()?;
        let words =
            format!("{} rows of {} tables in {}", snapshot.rows(), snapshot.manifest.tables.len(), snapshot.place());
        let view = serde_json::json!({
            "name": snapshot.name, "folder": self.session.settings.shown(&snapshot.folder),
            "rows": snapshot.rows(), "catalog": snapshot.manifest.catalog,
            "database": snapshot.manifest.database,
        });
        let mut record = self.journal.record();
        record.outcome.extra.insert("snapshot".to_owned(), view);
        record.outcome.notes.extend(snapshot.pruning());
        drop(record);
        let _ = self.memory.snapshot.set(snapshot);
        Ok(words)
    }

    fn write_down(&self) -> Result<String> {
        Owed::write_down(self.session, self.inspection.taken.clone())?;
        Ok("kept until they are back".to_owned())
    }

    /// What was dropped: counted in the snapshot's own transaction where there is one, since a table may have grown after the inspection.
    fn dropped(&self) -> Counts {
        let mut counts = self.inspection.before.state.counts.clone();
        counts.extend(self.memory.snapshot.get().map(Snapshot::counts).unwrap_or_default());
        counts
    }

    /// What the database is after the last child. A child that was stopped leaves the server finishing what it had sent.
    fn after(&self) -> Result<&Standpoint> {
        if self.memory.after.get().is_none() {
            self.session.settle(&self.inspection.leases.reset)?;
            self.session.settle(&self.inspection.leases.mirror)?;
            if self.memory.fenced.get().is_some() {
                let schemas = self.session.target.schemas_of_reset();
                let first = schemas.first().copied().unwrap_or_default();
                fence::lift(&mut self.session.connect()?, &self.session.target, first)?;
            }
            let _ = self.memory.after.set(Standpoint::read(self.session, &self.inspection.history)?);
        }
        self.memory.after.get().ok_or_else(|| Failure::bug("the state that was read is not there"))
    }

    fn restore_dependents(&self) -> Result<String> {
        let (words, unchecked) = make_again(self.session, self.journal, &self.inspection.taken.dependents)?;
        let _ = self.memory.unchecked.set(unchecked);
        Ok(words)
    }

    fn restore_privileges(&self) -> Result<String> {
        let taken = &self.inspection.taken;
        let restored = privileges::restore_all(&mut self.session.connect()?, &self.session.target, &taken.privileges)?;
        if restored.missing.is_empty() {
            // The mirror and what hangs on the schema were made again before this step.
            let mut validate = taken.validate.clone();
            validate.extend(self.memory.unchecked.get().into_iter().flatten().cloned());
            match validate.is_empty() {
                true => Owed::settle(self.session)?,
                false => Owed::write_down(self.session, Taken { validate, ..Taken::default() })?,
            }
            return Ok(format!("as before; {} statements were needed", restored.statements));
        }
        Err(Failure::different("the privileges in the schema are not all as they were before the reset")
            .because_all(restored.missing.iter().map(|sql| format!("needed: {sql}")))
            .hint("have a role that may grant them run these statements"))
    }

    fn verify_ledger(&self) -> Result<String> {
        let standing = &self.after()?.state.standing;
        if standing.is_clean() {
            return Ok(format!("all {} migrations are applied, none failed", standing.applied.len()));
        }
        Err(Failure::failed("the ledger is not complete, although Prisma exited 0").hint(Hint::run("forward")))
    }

    fn verify_rows(&self) -> Result<String> {
        let after = self.after()?;
        let old = &self.inspection.before.oids;
        if let Some((name, _)) = after.oids.iter().find(|(name, oid)| old.get(*name) == Some(*oid)) {
            return Err(Failure::different(format!("the table `{name}` was not dropped, although Prisma exited 0"))
                .hint(self.journal.read_step("migrate reset")));
        }
        let filled = after.state.counts.iter().filter(|(table, rows)| **rows > 0 && !table.ends_with(LEDGER_TABLE));
        let filled: Vec<String> = filled.map(|(table, rows)| format!("{rows} in `{table}`")).collect();
        let all = format!("all {} tables are new", after.oids.len());
        Ok(if filled.is_empty() {
            format!("{all} and empty")
        } else {
            format!("{all}; inserted by migrations: {}", filled.join(", "))
        })
    }

    fn verify_catalog(&self) -> Result<String> {
        let mut drift = drift::between(&self.inspection.expected, &self.after()?.state.catalog);
        drift.definition.retain(|difference| !self.was_made_again(difference));
        if drift.definition.is_empty() {
            surroundings::note(self.journal, &drift);
            return Ok(drift.verdict("the migrations"));
        }
        Err(Failure::different("the schema is not what its migrations make")
            .because_all(drift.definition.iter().map(Difference::to_string))
            .hint(Hint::run("forward")))
    }

    /// A publication that no migration makes is a property of its tables, and has them again.
    fn was_made_again(&self, difference: &Difference) -> bool {
        let Change::Changed { property, .. } = &difference.change else { return false };
        let before = || drift::between(&self.inspection.expected, &self.inspection.before.state.catalog);
        property == "publications" && before().definition.contains(difference)
    }

    fn verify_claim(&self) -> Result<String> {
        let claim = claim::read(&mut self.session.connect()?)?;
        let project = self.session.target.candidate().project_ref();
        match claim {
            Some(claim) if claim.disagreements(&self.session.identity, project).is_empty() => {
                Ok("still there, and it names this database".to_owned())
            }
            _ => Err(Failure::different("the claim is gone or names another database")
                .hint(Hint::run("claim --confirm").arg(&self.session.identity.database))),
        }
    }

    /// Whatever came before, the record says what the database is now.
    fn record(&self) -> Result<()> {
        let state = &self.after()?.state;
        state.record(self.journal, &self.dropped())?;
        let DatabaseState { standing, catalog, external, .. } = state;
        let is_there = |object| catalog.objects.contains_key(object) || external.contains(object);
        let gone = self.inspection.unmanaged.iter().filter(|stranger| !is_there(&stranger.object));
        let gone =
            gone.map(|stranger| format!("gone: {}; no migration makes it, so make it again by hand", stranger.object));
        let earlier = self.way_back().rows_of_the_earlier();
        let mut record = self.journal.record();
        record.outcome.notes.extend(gone.chain(earlier));
        let (applied, pending) = (standing.applied.clone(), standing.pending.clone());
        record.outcome.migrations = Some(Migrations { applied, pending, rolled_back: Vec::new() });
        Ok(())
    }

    fn way_back(&self) -> WayBack<'_> {
        let Inspection { owed, .. } = self.inspection;
        WayBack {
            session: self.session,
            own: self.memory.snapshot.get(),
            then: self.options.then.as_ref(),
            owed: owed.as_ref(),
        }
    }

    /// Adds to a failure what became of the database.
    fn explain(&self, failure: Failure) -> Failure {
        let after = match self.after() {
            Ok(after) => after,
            Err(other) => {
                return failure.note(format!("the state of the database could not be read: {}", other.message));
            }
        };
        let before = &self.inspection.before;
        if after.is_untouched(before) {
            let gate = failure.causes().find(|cause| cause.starts_with(GATE_CODE));
            let failure = if gate.is_some() { self.refused_by_prisma(failure) } else { failure };
            // What an earlier one took is owed as before.
            let settled = match &self.inspection.owed {
                Some(owed) => Owed::write_down(self.session, owed.taken.clone()),
                None => Owed::settle(self.session),
            };
            return settled
                .err()
                .into_iter()
                .fold(failure, Failure::because_of)
                .note("the database is as it was before");
        }
        // Prisma exits with 0 where its engine has died.
        if after.oids == before.oids {
            return failure.note("no table was dropped");
        }
        let (applied, all) = (after.state.standing.applied.len(), self.inspection.history.migrations.len());
        let failure = failure
            .note(format!("the old schema was dropped; the database now: {applied} of {all} migrations applied"));
        self.way_back().tell(failure, &after.state.standing)
    }

    /// Nothing of ours went wrong: Prisma asks for a person, and the server says that nothing happened.
    fn refused_by_prisma(&self, failure: Failure) -> Failure {
        let set = |name: &&&str| self.session.settings.variable(name).is_some();
        let markers: Vec<String> = forwarded_markers().iter().filter(set).map(|name| format!("`{name}`")).collect();
        failure
            .with_status(Status::Refused)
            .message("Prisma refused to reset the database: it takes the caller for an agent")
            .because(format!("the environment has {}", markers.join(", ")))
    }
}
