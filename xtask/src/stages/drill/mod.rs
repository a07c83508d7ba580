//! The whole drill: forward, backward, forward, mirror, parity, as one run with one plan, one folder and one verdict.
//!
//! Each stage is the one that its own command runs; what is here is what holds between them. All are planned before
//! the first begins, from the history, which is known; when its turn comes a stage looks again, and what it would run
//! then must be what the plan has shown. What a stage leaves is what the next one must find. The first miss stops the
//! run.

mod execution;
pub mod pass;
mod phase;
mod planning;
pub mod progress;

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use crate::error::{Failure, OrFail, Result};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::losses::Loss;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan};
use crate::run::stage::{Running, Stage};
use crate::schema::history::History;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::settings::schema_files;
use crate::stages::drill::progress::Earlier;
use crate::stages::forward::Forward;
use crate::stages::preflight::check_providers;
use crate::stages::snapshot_step::consent_to_loss;
use crate::words::in_line;
use execution::Execution;
use phase::Phase;
pub use planning::{Drill, DrillExtent};
use planning::{Inspection, PARITY, Planned, add, check_mirror, left_out};

impl Stage for Drill {
    type Inspection = Inspection;
    type Action = Planned;
    type Memory<'a> = ();

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// Whatever any of its stages would be stopped by, as far as it can be known before.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let history = History::of(session.settings)?;
        check_providers(session, &history)?;
        let before = DatabaseState::read(session, &history)?.whole()?;
        let earlier = if self.resume { Some(Earlier::find(session, &history, &before)?) } else { None };
        let progress = match &earlier {
            Some(earlier) => earlier.progress.clone(),
            None => self.start(session, &history, &before)?,
        };
        if !progress.no_mirror {
            check_mirror(session)?;
        }
        let mut losses = Vec::new();
        if progress.stage == Phase::Forward.number() {
            // What goes is the same whatever release is running.
            let forward = Forward { deployed: None, ..self.first_forward(session, None) };
            let forward = forward.inspect_from(session, history.clone(), before.clone())?;
            losses = forward.lost().cloned().collect();
        }
        let is_between = (Phase::Backward.number()..=Phase::ForwardAgain.number()).contains(&progress.stage);
        let between = earlier.as_ref().filter(|_| is_between);
        let baseline = between.map(|earlier| earlier.baseline(session)).transpose()?;
        let schema = match between {
            Some(earlier) => earlier.schema(),
            None => {
                schema_files::digest(&session.settings.prisma.schema).blocked(|| "cannot read the Prisma schema")?
            }
        };
        let why = |phase| Some((phase, left_out(session.settings, &progress, phase)?));
        let left_out = Phase::ALL.into_iter().filter_map(why).collect();
        let mut inspection = Inspection {
            history,
            before,
            progress,
            earlier,
            baseline,
            way: None,
            schema,
            losses: Vec::new(),
            left_out,
        };
        inspection.way = self.way(session, &inspection)?;
        inspection.losses = self.lost(session, &inspection, losses)?;
        if inspection.phases().any(|phase| phase == Phase::Mirror) {
            let state = inspection.foreseen(session, Phase::Mirror);
            let of_mirror = self.mirror(session).foresee(session, &inspection.history, &state)?;
            inspection.losses.extend(of_mirror.into_iter().filter(|loss| loss.values > 0));
        }
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
                Phase::Forward => add(&mut plan, session, &self.first_forward(session, None), |stage| {
                    stage.inspect_from(session, history, state)
                })?,
                Phase::Backward => self.add_backward(session, inspection, &mut plan)?,
                Phase::ForwardAgain => {
                    let stage = self.second_forward(session, inspection, &state);
                    add(&mut plan, session, &stage, |stage| stage.inspect_from(session, history, state))?;
                }
                Phase::Mirror => {
                    add(&mut plan, session, &self.mirror(session), |stage| stage.inspect_from(session, history, state))?
                }
                Phase::Parity => add(&mut plan, session, &PARITY, |stage| stage.inspect(session))?,
            }
        }
        Ok(plan)
    }

    fn losses(&self, inspection: &Inspection) -> Vec<Value> {
        inspection.losses.iter().map(Loss::view).collect()
    }

    fn in_words(&self, plan: &Plan<Planned>) -> String {
        let mut lines = vec![plan.summary.clone()];
        for step in plan.groups.iter().flatten() {
            lines.push(format!("\n{}", in_line(&step.does)));
            if let Action::Builtin(planned) = &step.action {
                lines.extend(planned.words.iter().map(|line| format!("  {line}")));
            }
        }
        lines.extend(plan.stakes_in_words());
        lines.join("\n")
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Planned>, console: &Console) -> Result<()> {
        let command = match self.extent {
            DrillExtent::Steps(1) => Hint::run("drill"),
            DrillExtent::Steps(steps) => Hint::run("drill --steps").arg(steps),
            DrillExtent::Branch => Hint::run("drill --branch"),
        };
        consent_to_loss(session, "the drill", &plan.losses, self.may_lose(session), command, console)
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

    fn builtin(_: &Running<'_, Self>, planned: &Planned) -> Result<Ended> {
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
        let (deploy, mirror, needless) = Default::default();
        let execution = Execution {
            options: self,
            session,
            journal,
            inspection,
            plan,
            progress,
            baseline,
            deploy,
            mirror,
            needless,
        };
        let result = execution.all();
        journal.subfolder("");
        let recorded = journal.console.during("record", || execution.record());
        result.map_err(|failure| execution.explain(failure)).and(recorded)
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.qa
    }
}
