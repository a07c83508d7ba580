//! Backward: takes applied migrations back, newest first, and verifies what is left on the server.
//!
//! Everything that can go wrong is tried before: the history is replayed in a throw-away database, each down script
//! runs there as it will run for real, and what it drops and what it leaves undone is in the plan. Then script and
//! ledger change together, one transaction a migration.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Failure, Result};
use crate::evidence::outcome::Migrations;
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::down::{Down, Order, RolledBack};
use crate::migrations::down_scripts::{self, Sources};
use crate::migrations::harm::Harm;
use crate::migrations::kept_rehearsal;
use crate::migrations::losses::{Loss, Removal, losses, schemas_of};
use crate::migrations::prisma_status::Question;
use crate::migrations::rehearsal::{Workplace, drafts, rehearse};
use crate::migrations::rehearsed::{Rehearsal, RehearsedDown};
use crate::migrations::roll_back::roll_back;
use crate::migrations::status::MigrationStatus;
use crate::postgres::claim;
use crate::postgres::connection::Connection;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Script, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::catalog::{Catalog, Difference};
use crate::schema::drift::{self, Drift};
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::scratch_server;
use crate::session::Session;
use crate::session::groundwork::External;
use crate::settings::EvidenceSettings;
use crate::stages::preflight::{check_standing, leftover};
use crate::stages::snapshot_step::{Keep, consent_to_loss, take_snapshot};
use crate::stages::surroundings;
use crate::words::{counted, listed};

/// The options of `backward`.
pub struct Backward {
    pub extent: Extent,
    pub accept_data_loss: bool,
    /// In a drill the forward that follows has Prisma's own word on what is pending, and rows are put back after it.
    pub drilled: bool,
}

/// How far.
pub enum Extent {
    /// So many, at least one.
    Steps(usize),
    /// Until this migration is the last that is applied.
    To(String),
}

pub struct Inspection {
    history: History,
    before: DatabaseState,
    way: RollbackPlan,
    /// For each script.
    losses: Vec<Vec<Loss>>,
    /// The datasource's schemas, and every other in which something is at stake. None without a word that anything may go.
    keep: Option<Keep>,
}

/// The scripts that lead back, newest first, and what a throw-away database says of them. Depends on the history alone.
#[derive(Clone)]
pub struct RollbackPlan {
    downs: Vec<Down>,
    rehearsal: Rehearsal,
    /// In place of those that leave something behind, with what undoes that too.
    drafts: Vec<Down>,
    /// What the last draft leaves all the same.
    still: Vec<String>,
}

#[derive(Default)]
pub struct Memory {
    /// When the first script began.
    begun: OnceLock<Instant>,
    /// The session of all scripts.
    connection: Mutex<Option<Connection>>,
    /// What the database is, read once, when no script runs any more.
    after: OnceLock<DatabaseState>,
    /// To Prisma, whose CLI gets ready while the scripts run.
    question: OnceLock<Question>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Go no further where the rehearsal left something behind.
    RefuseLeftovers,
    /// Copy all rows to where they can be put back from.
    Snapshot,
    /// Take back the migration of this place in the list of scripts.
    RollBack(usize),
    VerifyCatalog,
    VerifyPending,
    VerifyClaim,
}

impl Stage for Backward {
    type Inspection = Inspection;
    type Action = Builtin;
    type Memory<'a> = Memory;

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// `usage` when there is no such way back; `different` when folder and ledger disagree; `blocked` when a script
    /// fails in the rehearsal. Nothing was changed then.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let history = History::of(session.settings)?;
        let before = DatabaseState::read(session, &history)?.whole()?;
        let way = self.way(session, &history, &before.standing)?;
        Inspection::new(session, history, before, way, self)
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let mut summary = format!(
            "backward on {}: roll {} back and verify.",
            session.settings.target.name,
            counted(inspection.way.downs.len(), "migration")
        );
        summary.extend(inspection.undone().map(|line| format!("\n{line}")));
        let refusal = (!inspection.way.drafts.is_empty()).then(|| vec![refuse_leftovers()]);
        let snapshot = self.snapshot(session, inspection).map(|step| vec![step]);
        let losses = inspection.losses.iter().flatten().filter(|loss| loss.values > 0);
        let script = |down: &Down| Script::new(format!("down/{}.sql", down.migration), down.sha256(), &down.sql);
        let draft = |down: &Down| Script { name: format!("draft of {}/down.sql", down.migration), ..script(down) };
        Ok(Plan {
            stage: "backward",
            summary,
            scripts: inspection.way.downs.iter().map(script).chain(inspection.way.drafts.iter().map(draft)).collect(),
            rows: inspection.before.counts.clone(),
            losses: losses.map(ToString::to_string).collect(),
            groups: refusal.into_iter().chain(snapshot).chain(groups(inspection, self.drilled)).collect(),
        })
    }

    fn losses(&self, inspection: &Inspection) -> Vec<Value> {
        inspection.losses().filter(|loss| loss.values > 0).map(Loss::view).collect()
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Builtin>, console: &Console) -> Result<()> {
        let command = match &self.extent {
            Extent::Steps(1) => Hint::run("backward"),
            Extent::Steps(steps) => Hint::run("backward --steps").arg(steps),
            Extent::To(migration) => Hint::run("backward --to").arg(migration),
        };
        consent_to_loss(session, "rolling back", &plan.losses, self.accept_data_loss, command, console)
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        journal.record().inputs.insert("migrations".to_owned(), inspection.history.digest());
        journal.write_json("catalog-before.json", &inspection.before.catalog)?;
        inspection.way.scripts().try_for_each(|down| journal.run().write(&file_of(down), &down.sql))
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) -> Self::Memory<'a> {
        Memory::default()
    }

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        running.builtin(action).map(Ended::from)
    }

    fn explain(running: &Running<'_, Self>, failure: Failure) -> Failure {
        running.explain_state(failure)
    }

    fn record(running: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        running.record_state()
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.qa
    }
}

/// The scripts and their rehearsal, where an earlier run has made both.
fn known(session: &Session<'_>, applied: &History, steps: usize) -> Result<Option<(Vec<Down>, Rehearsal)>> {
    let Some(downs) = down_scripts::known(session, applied, steps)? else { return Ok(None) };
    Ok(kept_rehearsal::known(session, applied, &downs)?.map(|rehearsal| (downs, rehearsal)))
}

/// The file in the evidence that holds a script.
fn file_of(down: &Down) -> String {
    format!("down/{}.sql", down.migration)
}

impl Backward {
    /// The way back from `standing`, which may be one that is only foreseen.
    ///
    /// # Errors
    /// As `inspect`.
    pub fn way(&self, session: &Session<'_>, history: &History, standing: &MigrationStatus) -> Result<RollbackPlan> {
        check_standing(standing)?;
        if let Some(name) = standing.failed.first() {
            return Err(Failure::failed(format!("migration `{name}` failed, so it has to be settled first (P3009)"))
                .hint(Hint::run("backward --failed")));
        }
        let steps = self.steps(history, &standing.applied)?;
        let applied = history.only(&standing.applied);
        let schemas = session.target.schemas();
        let prisma = platform::as_prisma(session, &schemas)?;
        scratch_server::open(session, &applied, |workshop| {
            let place = Workplace {
                connect: &|| workshop.connect(),
                open: &|name| workshop.connect_to(name),
                one_at_a_time: scratch_server::acts_on_server(session, &applied)?.is_some(),
            };
            let (downs, rehearsal) = match known(workshop, &applied, steps)? {
                Some(known) => known,
                None => {
                    let scripts = Sources::new(workshop, prisma, &applied, steps);
                    let (downs, rehearsal) = rehearse(&place, &applied, prisma, &scripts)?;
                    kept_rehearsal::keep(workshop, &applied, &downs, &rehearsal)?;
                    (downs, rehearsal)
                }
            };
            let (drafts, still) = drafts(&place, &applied, prisma, &downs, &rehearsal)?;
            Ok(RollbackPlan { downs, rehearsal, drafts, still })
        })
    }

    /// Taken wherever rows may go, in a way that no rehearsal shows too. A drill's plan is made before there may be any rows.
    fn snapshot(&self, session: &Session<'_>, inspection: &Inspection) -> Option<Step<Builtin>> {
        let keep = inspection.keep.as_ref()?;
        let ours = &session.target.dsn().schema;
        let elsewhere = inspection.losses().filter(|loss| loss.place().schema != *ours).map(|loss| loss.rows);
        let rows = inspection.before.counts.values().sum::<u64>() + elsewhere.sum::<u64>();
        match self.drilled {
            true => Some(keep.step("every row", Builtin::Snapshot)),
            false => (rows > 0).then(|| keep.step(&format!("{rows} rows"), Builtin::Snapshot)),
        }
    }

    fn steps(&self, history: &History, applied: &[String]) -> Result<usize> {
        let listed =
            format!("applied are: {}", if applied.is_empty() { "none".to_owned() } else { applied.join(", ") });
        match &self.extent {
            Extent::Steps(steps) if *steps <= applied.len() => Ok(*steps),
            Extent::Steps(steps) => Err(Failure::usage(format!(
                "{} cannot be rolled back: {} applied",
                counted(*steps, "migration"),
                match applied.len() {
                    0 => "none is".to_owned(),
                    1 => "1 is".to_owned(),
                    count => format!("{count} are"),
                }
            ))
            .hint(match applied.len() {
                0 => Hint::run("forward"),
                count => Hint::run(if self.drilled { "drill --steps" } else { "backward --steps" }).arg(count),
            })),
            Extent::To(name) => match applied.iter().position(|applied| applied == name) {
                Some(at) => Ok(applied.len() - at - 1),
                None if history.migrations.iter().any(|migration| migration.name == *name) => {
                    Err(Failure::usage(format!("migration `{name}` is not applied, so it cannot be rolled back to"))
                        .hint(listed))
                }
                None => Err(Failure::usage(format!("there is no migration `{name}`")).hint(listed)),
            },
        }
    }
}

impl RollbackPlan {
    /// Each as it should be: a draft where there is one.
    fn scripts(&self) -> impl Iterator<Item = &Down> {
        let draft = |down: &Down| self.drafts.iter().find(|draft| draft.migration == down.migration);
        self.downs.iter().map(move |down| draft(down).unwrap_or(down))
    }

    pub fn migrations(&self) -> Vec<String> {
        self.downs.iter().map(|down| down.migration.clone()).collect()
    }
}

impl Inspection {
    /// Counts what `way` would take away now. What a migration fills with a default again is at stake only where none is sure to follow.
    pub fn new(
        session: &Session<'_>,
        history: History,
        before: DatabaseState,
        mut way: RollbackPlan,
        options: &Backward,
    ) -> Result<Inspection> {
        for removal in way.rehearsal.rehearsed.iter_mut().flat_map(|rehearsed| &mut rehearsed.removals) {
            if removal.harm == Harm::DropsDefault && !options.drilled {
                removal.harm = Harm::Drops;
            }
        }
        let rehearsed = &way.rehearsal.rehearsed;
        let removals: Vec<Removal> = rehearsed.iter().flat_map(|down| down.removals.iter().cloned()).collect();
        let mut counted = losses(&mut session.connection(), &removals)?.into_iter();
        let losses: Vec<Vec<Loss>> =
            rehearsed.iter().map(|down| counted.by_ref().take(down.removals.len()).collect()).collect();
        let schemas = || schemas_of(&session.target.schemas(), losses.iter().flatten());
        let keep = options.accept_data_loss.then(|| Keep::of(session, schemas())).transpose()?;
        Ok(Inspection { history, before, way, losses, keep })
    }

    pub fn losses(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter().flatten()
    }

    /// What is dropped, and is empty as long as those migrations are pending.
    pub fn made_by(&self, pending: &[String]) -> impl Iterator<Item = &Loss> {
        let rehearsed = self.way.downs.iter().zip(&self.losses);
        let of_pending = rehearsed.filter(move |(down, _)| pending.contains(&down.migration));
        of_pending.flat_map(|(_, losses)| losses).filter(|loss| loss.values == 0 && loss.removal.harm == Harm::Drops)
    }

    /// What the scripts leave undone, by the rehearsal: for each a line that says so.
    fn undone(&self) -> impl Iterator<Item = String> {
        self.way.downs.iter().zip(&self.way.rehearsal.rehearsed).flat_map(|(down, rehearsed_down)| {
            let leftovers = rehearsed_down.leftovers().into_iter();
            leftovers.map(move |difference| format!("{down} leaves: {difference}"))
        })
    }

    /// The catalog of the history that is to be reached.
    fn expected(&self) -> &Catalog {
        &self.way.rehearsal.end
    }

    /// What set the database apart from its history before we came, which no down script is asked to undo.
    fn drift_before(&self) -> Vec<Difference> {
        // Whoever takes nothing back, in a drill that is resumed, came after it: what differs now was left behind.
        if self.way.downs.is_empty() {
            return Vec::new();
        }
        drift::between(&self.way.rehearsal.start, &self.before.catalog).definition
    }
}

fn refuse_leftovers() -> Step<Builtin> {
    Step {
        name: "check the way back",
        does: "stop here: the way back would leave something behind".to_owned(),
        failure: "the way back would leave something behind",
        action: Action::Builtin(Builtin::RefuseLeftovers),
    }
}

fn groups(inspection: &Inspection, drilled: bool) -> Vec<Vec<Step<Builtin>>> {
    let roll_back = |(at, down): (usize, &Down)| {
        let empty: Vec<String> = inspection.losses[at]
            .iter()
            .filter(|loss| loss.values == 0 && loss.removal.is_drop())
            .map(|loss| match loss.removal.harm {
                Harm::DropsDefault => format!(", drops {} (all its default)", loss.removal.then),
                _ => format!(", drops {} ({})", loss.removal.then, if drilled { "empty now" } else { "empty" }),
            })
            .collect();
        vec![Step {
            name: "roll back",
            does: format!("roll `{}` back with {down}{}", down.migration, empty.concat()),
            failure: "the migration was not rolled back",
            action: Action::Builtin(Builtin::RollBack(at)),
        }]
    };
    let verify = vec![
        Step {
            name: "verify catalog",
            does: "compare the schema with the replayed one at that point of the history".to_owned(),
            failure: "the schema is not what its migrations make",
            action: Action::Builtin(Builtin::VerifyCatalog),
        },
        Step {
            name: "verify pending",
            does: match drilled {
                true => "ask the ledger which migrations are pending; Prisma says so in the forward that follows",
                false => "ask the ledger and Prisma which migrations are pending",
            }
            .to_owned(),
            failure: "other migrations are pending than those rolled back",
            action: Action::Builtin(Builtin::VerifyPending),
        },
        Step {
            name: "verify claim",
            does: "read the claim again: a script may drop any schema".to_owned(),
            failure: "the claim is gone",
            action: Action::Builtin(Builtin::VerifyClaim),
        },
    ];
    inspection.way.downs.iter().enumerate().map(roll_back).chain([verify]).collect()
}

impl Running<'_, Backward> {
    fn builtin(&self, action: &Builtin) -> Result<String> {
        match action {
            Builtin::RefuseLeftovers => Err(self.refuse_leftovers()),
            Builtin::Snapshot => {
                let Inspection { keep, before, .. } = self.inspection;
                take_snapshot(self.session, self.journal, "backward", keep.as_ref(), &before.counts)
            }
            Builtin::RollBack(at) => self.roll_back(*at),
            Builtin::VerifyCatalog => self.verify_catalog(),
            Builtin::VerifyPending => self.verify_pending(),
            Builtin::VerifyClaim => verify_claim(self.session),
        }
    }

    /// What the database is after the last script.
    fn after(&self) -> Result<&DatabaseState> {
        if self.memory.after.get().is_none() {
            let _ = self.memory.after.set(DatabaseState::read(self.session, &self.inspection.history)?);
        }
        self.memory.after.get().ok_or_else(|| Failure::bug("the state that was read is not there"))
    }

    fn question(&self) -> Result<&Question> {
        if self.memory.question.get().is_none() {
            let _ = self.memory.question.set(Question::new(self.session)?);
        }
        self.memory.question.get().ok_or_else(|| Failure::bug("the question that was made is not there"))
    }

    fn roll_back(&self, at: usize) -> Result<String> {
        if at == 0 && !self.options.drilled {
            self.question()?.get_ready(self.journal);
        }
        let names = self.inspection.before.standing.in_ledger();
        let order = Order {
            schema: &self.session.target.dsn().schema,
            applied: &names[..names.len() - at],
            down: &self.inspection.way.downs[at],
            losses: Some(&self.inspection.losses[at]),
            accept_data_loss: self.options.accept_data_loss,
            kept: Keep::schemas(self.inspection.keep.as_ref()),
            must_reach: None,
            external: &External::NONE,
            limit: self.session.settings.timeouts.migrate,
        };
        let begun = *self.memory.begun.get_or_init(Instant::now);
        let work = self.session.headway.steps_since(begun, self.inspection.way.downs.len());
        work.step(at + 1, &order.down.migration);
        let mut connection = self.memory.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let RolledBack { samples, .. } = roll_back(self.session, &mut connection, &order)?;
        self.journal.record().outcome.notes.extend(samples);
        Ok(format!("`{}` is rolled back, and out of the ledger", order.down.migration))
    }

    /// Nothing was changed yet, and the drafts are in the evidence.
    fn refuse_leftovers(&self) -> Failure {
        let RollbackPlan { rehearsal, drafts, still, .. } = &self.inspection.way;
        let mut left: Vec<Difference> = rehearsal.rehearsed.iter().flat_map(RehearsedDown::leftovers).collect();
        left.dedup();
        self.journal.record().outcome.leftovers = left.iter().map(leftover).collect();
        let failure = Failure::different("the way back would leave something behind, so nothing was changed")
            .because_all(self.inspection.undone());
        let failure = drafts.iter().fold(failure, |failure, draft| {
            failure.note(format!("`{}` in the evidence is a draft:\n{}", file_of(draft), draft.sql.trim_end()))
        });
        let failure =
            still.iter().fold(failure, |failure, left| failure.note(format!("what the draft does not do: {left}")));
        let names: Vec<String> = drafts.iter().map(|draft| format!("`{}/down.sql`", draft.migration)).collect();
        failure.hint(format!("read the draft, and put it into {}", names.join(", ")))
    }

    fn verify_catalog(&self) -> Result<String> {
        let expected = self.inspection.expected();
        let before = self.inspection.drift_before();
        let mut drift = self.drift(expected)?;
        let (known, left): (Vec<_>, Vec<_>) =
            drift.definition.drain(..).partition(|difference| before.contains(difference));
        surroundings::note(self.journal, &drift);
        let mut record = self.journal.record();
        record.outcome.notes.extend(known.iter().map(|difference| format!("was so before: {difference}")));
        record.outcome.leftovers = left.iter().map(leftover).collect();
        if left.is_empty() {
            return Ok(drift.verdict("the migrations"));
        }
        Err(Failure::different("the migrations are rolled back, but not everything that they made")
            .because_all(left.iter().map(Difference::to_string))
            .hint(match self.inspection.way.downs.first() {
                Some(newest) => format!("undo it by hand, and put that into `{}/down.sql`", newest.migration),
                None => "undo it by hand".to_owned(),
            }))
    }

    fn drift(&self, expected: &Catalog) -> Result<Drift> {
        let after = self.after()?;
        match self.inspection.way.downs.is_empty() {
            true => {
                let history = self.inspection.history.only(&after.standing.applied);
                drift::of_target(self.session, &history, &after.catalog)
            }
            false => Ok(drift::between(expected, &after.catalog)),
        }
    }

    /// Our reading of the ledger and Prisma's must both say that exactly what was taken back is pending.
    fn verify_pending(&self) -> Result<String> {
        let standing = &self.after()?.standing;
        let taken = self.inspection.way.downs.iter().map(|down| &down.migration);
        let mut expected: Vec<String> = taken.chain(&self.inspection.before.standing.pending).cloned().collect();
        expected.sort();
        let ask = || self.question()?.ask(self.session, self.journal).map(|found| ("Prisma", found));
        let prisma = (!self.options.drilled).then(ask).transpose()?;
        for (who, found) in [("the ledger", standing.pending.clone())].into_iter().chain(prisma) {
            if found != expected {
                return Err(Failure::different(format!("{who} says that other migrations are pending"))
                    .because(format!("expected {}, found {}", listed(&expected), listed(&found)))
                    .hint(Hint::run("forward --plan")));
            }
        }
        let pending = counted(expected.len(), "migration");
        Ok(match self.options.drilled {
            true => format!("the ledger says {pending} pending; Prisma confirms it in the next forward"),
            false => format!("the ledger and Prisma agree: {pending} pending"),
        })
    }

    /// Whatever came before, the record says what the database is now.
    fn record_state(&self) -> Result<()> {
        let after = self.after()?;
        after.record(self.journal, &self.inspection.before.counts)?;
        let (pending, rolled_back) = (after.standing.pending.clone(), self.rolled_back()?);
        self.journal.record().outcome.migrations = Some(Migrations { applied: Vec::new(), pending, rolled_back });
        Ok(())
    }

    /// What is no longer applied, newest first.
    fn rolled_back(&self) -> Result<Vec<String>> {
        let still = &self.after()?.standing.applied;
        let gone = self.inspection.before.standing.applied.iter().filter(|name| !still.contains(name));
        Ok(gone.rev().cloned().collect())
    }

    /// Adds to a failure what became of the database.
    fn explain_state(&self, failure: Failure) -> Failure {
        match self.rolled_back() {
            Ok(gone) if gone.is_empty() => failure.note("the database now: nothing is rolled back"),
            Ok(gone) => failure.note(format!("the database now: rolled back are {}", listed(&gone))),
            Err(other) => failure.note(format!("the state of the database could not be read: {}", other.message)),
        }
    }
}

fn verify_claim(session: &Session<'_>) -> Result<String> {
    match claim::read(&mut session.connect()?)? {
        Some(_) => Ok("the database is still claimed".to_owned()),
        None => Err(Failure::different("the claim is gone: a down script took it away")
            .hint(Hint::run("claim --confirm").arg(&session.target.dsn().database))),
    }
}
