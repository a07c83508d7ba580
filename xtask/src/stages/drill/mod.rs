//! The whole drill: forward, backward, forward, mirror, parity, as one run with one plan, one folder and one verdict.
//!
//! Each stage is the one that its own command runs; what is here is what holds between them. All are planned before
//! the first begins, from the history, which is known; when its turn comes a stage looks again, and what it would run
//! then must be what the plan has shown. What a stage leaves is what the next one must find. The first miss stops the
//! run.

mod execution;
pub mod pass;
mod phase;
pub mod progress;

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use serde::Serialize;
use serde_json::Value;

use crate::digest::of_file;
use crate::error::{Failure, OrFail, Result};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::status::MigrationStatus;
use crate::parity::comparison::Source;
use crate::run::console::Console;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::expected;
use crate::schema::history::History;
use crate::schema::ledger::LEDGER_TABLE;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::stages::backward::{self, Backward, Extent, consent_to_loss};
use crate::stages::drill::pass::{Baseline, Pass, SecondPass};
use crate::stages::drill::progress::{Earlier, Progress};
use crate::stages::forward::{self, Forward};
use crate::stages::mirror::Mirror;
use crate::stages::parity::Parity;
use execution::Execution;
use phase::Phase;

/// How many rows each of the sandbox's empty tables gets.
const ROWS: u64 = 1000;

/// One server has both sides, so one snapshot can count them.
const PARITY: Parity = Parity { source: Some(Source::Sql) };

/// The options of `drill`.
pub struct Drill {
    /// How many migrations are taken back.
    pub steps: usize,
    pub accept_data_loss: bool,
    /// Leaves out mirror and parity, for a project that has no Supabase.
    pub no_mirror: bool,
    /// Goes on where the last drill of this target stopped.
    pub resume: bool,
}

pub struct Inspection {
    history: History,
    before: DatabaseState,
    /// Where this run begins; an earlier one may have come some way.
    progress: Progress,
    earlier: Option<Earlier>,
    /// Where an earlier run's first forward had led, if this run begins between there and the second.
    baseline: Option<Baseline>,
    /// The way back that is still to go; None where it is behind us.
    way: Option<backward::RollbackPlan>,
    /// SHA-256 of the Prisma schema that the client is generated from.
    schema: String,
}

/// A stage as it was planned before the first one began.
#[derive(Debug, Serialize)]
pub struct Planned {
    #[serde(flatten)]
    plan: Value,
    #[serde(skip)]
    words: Vec<String>,
    #[serde(skip)]
    promise: Promise,
}

/// What must still be planned when the stage's turn comes: names and digests of its scripts, and its steps.
#[derive(Debug, PartialEq, Eq)]
struct Promise {
    scripts: Vec<(String, String)>,
    steps: Vec<&'static str>,
}

impl Promise {
    fn of<A>(plan: &Plan<A>) -> Promise {
        let scripts = plan.scripts.iter().map(|script| (script.name.clone(), script.sha256.clone()));
        let steps = plan.groups.iter().flatten().map(|step| step.name);
        Promise { scripts: scripts.collect(), steps: steps.collect() }
    }
}

impl Stage for Drill {
    type Inspection = Inspection;
    type Action = Planned;
    type Memory<'a> = ();

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// Whatever any of its stages would be stopped by, as far as it can be known before.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let history = History::load(&session.settings.prisma.migrations)?;
        forward::check_providers(session, &history)?;
        let before = DatabaseState::read(session, &history)?;
        let earlier = if self.resume { Some(Earlier::find(session, &history, &before)?) } else { None };
        let progress = earlier.as_ref().map_or_else(|| self.start(&before), |earlier| earlier.progress.clone());
        if !progress.no_mirror {
            check_mirror(session)?;
        }
        if progress.stage == Phase::Forward.number() {
            first_forward(session).inspect_from(session, history.clone(), before.clone())?;
        }
        let is_between = (Phase::Backward.number()..=Phase::ForwardAgain.number()).contains(&progress.stage);
        let between = earlier.as_ref().filter(|_| is_between);
        let baseline = between.map(|earlier| earlier.baseline(session)).transpose()?;
        let schema = match between {
            Some(earlier) => earlier.schema(),
            None => of_file(&session.settings.prisma.schema).blocked(|| "cannot read the Prisma schema")?,
        };
        let mut inspection = Inspection { history, before, progress, earlier, baseline, way: None, schema };
        inspection.way = self.way(session, &inspection)?;
        Ok(inspection)
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Planned>> {
        let mut plan = Plan {
            stage: "drill",
            summary: self.summary(session, inspection),
            scripts: Vec::new(),
            rows: inspection.before.counts.clone(),
            losses: Vec::new(),
            groups: Vec::new(),
        };
        for phase in inspection.phases() {
            let state = inspection.foreseen(session, phase);
            let history = inspection.history.clone();
            match phase {
                Phase::Forward => add(&mut plan, session, &first_forward(session), |stage| {
                    stage.inspect_from(session, history, state)
                })?,
                Phase::Backward => self.add_backward(session, inspection, &mut plan)?,
                Phase::ForwardAgain => {
                    let stage = self.second_forward(session, inspection, &state);
                    add(&mut plan, session, &stage, |stage| stage.inspect_from(session, history, state))?;
                }
                Phase::Mirror => {
                    add(&mut plan, session, &mirror(session), |stage| stage.inspect_from(session, history, state))?
                }
                Phase::Parity => add(&mut plan, session, &PARITY, |stage| stage.inspect(session))?,
            }
        }
        Ok(plan)
    }

    fn in_words(&self, plan: &Plan<Planned>) -> String {
        let mut lines = vec![plan.summary.clone()];
        for step in plan.groups.iter().flatten() {
            lines.push(format!("\n{}", step.does));
            if let Action::Builtin(planned) = &step.action {
                lines.extend(planned.words.iter().map(|line| format!("  {line}")));
            }
        }
        lines.extend(plan.stakes_in_words());
        lines.join("\n")
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Planned>, console: &Console) -> Result<()> {
        let command = match self.steps {
            1 => Hint::run("drill"),
            steps => Hint::run("drill --steps").arg(steps),
        };
        consent_to_loss(session, &plan.losses, self.may_lose(session), command, console)
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        let mut record = journal.record();
        record.inputs.insert("migrations".to_owned(), inspection.history.digest());
        if let Some(earlier) = &inspection.earlier {
            let stage = inspection.progress.stage;
            record.outcome.notes.push(format!("goes on with stage {stage} of the drill in `{}`", earlier.run));
        }
        drop(record);
        journal.write_json("catalog-before.json", &inspection.before.catalog)
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) {}

    fn builtin(_: &Running<'_, Self>, planned: &Planned) -> Result<String> {
        Err(Failure::bug(format!("a drill runs its stages and not a step: {:?}", planned.promise.steps)))
    }

    fn run(
        &self,
        session: &Session<'_>,
        journal: &Journal<'_>,
        inspection: &Inspection,
        plan: &Plan<Planned>,
    ) -> Result<()> {
        let progress = Mutex::new(inspection.progress.clone());
        let baseline = inspection.baseline.clone().map(OnceLock::from).unwrap_or_default();
        let execution = Execution { options: self, session, journal, inspection, plan, progress, baseline };
        let result = execution.all();
        journal.subfolder("");
        let recorded = execution.record();
        result.map_err(|failure| execution.explain(failure)).and(recorded)
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.qa
    }
}

/// # Errors
/// `blocked` where the project has no mirror and nobody said so.
fn check_mirror(session: &Session<'_>) -> Result<()> {
    if session.settings.supabase.script()?.is_some() {
        return Ok(());
    }
    let path = session.settings.shown(&session.settings.supabase.mirror_sql);
    Err(Failure::blocked(format!("there is no `{path}`, so there is no mirror to drill"))
        .note("where the project has one, name it as `mirror_sql` under `[supabase]` in drill.toml")
        .hint(Hint::run("drill --no-mirror")))
}

/// Adds the plan of a stage, as `inspect` foresees it, as one step of the drill's.
fn add<S: Stage>(
    plan: &mut Plan<Planned>,
    session: &Session<'_>,
    stage: &S,
    inspect: impl FnOnce(&S) -> Result<S::Inspection>,
) -> Result<()> {
    let planned = stage.plan(session, &inspect(stage)?)?;
    let json = serde_json::to_value(&planned).bug("cannot write a plan")?;
    let action = Planned { plan: json, words: planned.steps_in_words(), promise: Promise::of(&planned) };
    for script in planned.scripts {
        if !plan.scripts.iter().any(|known| known.name == script.name) {
            plan.scripts.push(script);
        }
    }
    let step = Step {
        name: planned.stage,
        does: planned.summary,
        failure: "the drill stopped",
        action: Action::Builtin(action),
    };
    plan.groups.push(vec![step]);
    Ok(())
}

fn first_forward(session: &Session<'_>) -> Forward {
    let seed = session.settings.target.is_sandbox().then_some(ROWS);
    Forward { smoke: false, pass: Pass::First { seed } }
}

fn mirror(session: &Session<'_>) -> Mirror {
    Mirror { feed: session.settings.target.is_sandbox() }
}

impl Drill {
    fn start(&self, before: &DatabaseState) -> Progress {
        Progress {
            stage: Phase::Forward.number(),
            steps: self.steps,
            no_mirror: self.no_mirror,
            standing: before.standing.clone(),
            taken: Vec::new(),
            dropped: Vec::new(),
            snapshot: None,
            baseline: None,
        }
    }

    /// The sandbox holds nothing but made-up rows.
    fn may_lose(&self, session: &Session<'_>) -> bool {
        self.accept_data_loss || session.settings.target.is_sandbox()
    }

    fn summary(&self, session: &Session<'_>, inspection: &Inspection) -> String {
        let names: Vec<&str> = inspection.phases().map(Phase::name).collect();
        let without = if inspection.progress.no_mirror { "; without a mirror, as asked (--no-mirror)" } else { "" };
        format!("drill on {}: {}{without}.", session.settings.target.name, names.join(", "))
    }

    fn backward(&self, session: &Session<'_>, inspection: &Inspection) -> Backward {
        let Progress { steps, taken, .. } = &inspection.progress;
        let extent = Extent::Steps(steps.saturating_sub(taken.len()));
        Backward { extent, accept_data_loss: self.may_lose(session), drilled: true }
    }

    fn way(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Option<backward::RollbackPlan>> {
        if inspection.progress.stage > Phase::Backward.number() {
            return Ok(None);
        }
        // A script that cannot work is named before Prisma is asked for the way back from it, and before anything
        // changes.
        if !inspection.before.standing.pending.is_empty() {
            expected::catalog(session, &inspection.history)?;
        }
        let standing = inspection.foreseen(session, Phase::Backward).standing;
        self.backward(session, inspection).way(session, &inspection.history, &standing).map(Some)
    }

    /// What backward would drop is counted as far as it is there; what pending migrations have yet to make is named.
    fn add_backward(&self, session: &Session<'_>, inspection: &Inspection, plan: &mut Plan<Planned>) -> Result<()> {
        let inspected = inspection.before_backward(session, inspection.foreseen(session, Phase::Backward))?;
        let filled = inspected.losses().filter(|loss| loss.values > 0).map(ToString::to_string);
        plan.losses.extend(filled);
        if inspection.before.counts.values().sum::<u64>() > 0 {
            let to_come = inspected.made_by(&inspection.before.standing.pending);
            plan.losses.extend(to_come.map(|loss| format!("{}: what forward puts there", loss.removal.then)));
        }
        add(plan, session, &self.backward(session, inspection), |_| Ok(inspected))
    }

    /// As far as it is known before: where the first forward led, and what was dropped, are filled in when its turn
    /// comes.
    fn second_forward(&self, session: &Session<'_>, inspection: &Inspection, before: &DatabaseState) -> Forward {
        let takes_one = inspection.way.is_some() && self.may_lose(session);
        let snapshot = (takes_one || inspection.progress.snapshot.is_some()).then(String::new);
        let baseline = Baseline { counts: before.counts.clone(), catalog: before.catalog.clone() };
        let taken = before.standing.pending.clone();
        let schema = inspection.schema.clone();
        let second = SecondPass { baseline, taken, schema, dropped: Vec::new(), snapshot };
        Forward { smoke: false, pass: Pass::Second(Box::new(second)) }
    }
}

impl Inspection {
    /// What is to be done, in order.
    fn phases(&self) -> impl Iterator<Item = Phase> + use<> {
        let (from, mirror) = (self.progress.stage, !self.progress.no_mirror);
        Phase::ALL.into_iter().filter(move |phase| phase.number() >= from && (mirror || !phase.is_of_the_mirror()))
    }

    /// The database when `phase` begins: as it is now for the first, and as its history says for the others, whose rows
    /// are not foreseen.
    fn foreseen(&self, session: &Session<'_>, phase: Phase) -> DatabaseState {
        if phase.number() == self.progress.stage {
            return self.before.clone();
        }
        let taken = match (phase, &self.way) {
            (Phase::ForwardAgain, Some(way)) => [self.progress.taken.as_slice(), &way.migrations()].concat(),
            _ => Vec::new(),
        };
        let names = self.history.migrations.iter().map(|migration| migration.name.clone());
        let (pending, applied) = names.partition(|name| taken.contains(name));
        let standing = MigrationStatus { applied, pending, ..MigrationStatus::default() };
        let mut state = DatabaseState { standing, ..self.before.clone() };
        state.counts.entry(format!("{}.{LEDGER_TABLE}", session.target.dsn().schema)).or_default();
        state
    }

    fn before_backward(&self, session: &Session<'_>, before: DatabaseState) -> Result<backward::Inspection> {
        let way = self.way.clone().ok_or_else(|| Failure::bug("a way back that is behind us"))?;
        backward::Inspection::new(session, self.history.clone(), before, way)
    }
}
