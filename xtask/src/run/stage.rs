//! What a stage is: inspect (read only), plan (pure), apply and verify (its own steps), record. The loop is here, once.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Failure, Result};
use crate::guard::Demand;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::{self, Journal};
use crate::run::lock_watch::RECENT;
use crate::run::plan::Plan;
use crate::run::run_plan::{Once, run_plan};
use crate::session::Session;
use crate::settings::EvidenceSettings;

/// What the runner calls in order. A stage is made from its command's options.
pub trait Stage: Sized + Sync {
    /// What is known before anything is decided.
    type Inspection: Sync;
    /// What the stage does itself.
    type Action: Serialize + Sync;
    /// What its steps find out for each other while it runs.
    type Memory<'a>: Sync;

    /// How much it may do to the database; the guard proves the target for that and no more.
    const DEMAND: Demand;

    /// Reads files and the server; changes nothing.
    fn inspect(&self, session: &Session<'_>) -> Result<Self::Inspection>;

    /// The steps, decided from what was inspected and from nothing else.
    fn plan(&self, session: &Session<'_>, inspection: &Self::Inspection) -> Result<Plan<Self::Action>>;

    /// What would be lost, as `losses` of `--json`.
    fn losses(&self, _: &Self::Inspection) -> Vec<Value> {
        Vec::new()
    }

    /// As `--plan` prints it.
    fn in_words(&self, plan: &Plan<Self::Action>) -> String {
        plan.in_words()
    }

    /// The user's word, where the stage destroys: what is at stake is shown first.
    ///
    /// # Errors
    /// `refused` without it; nothing was changed then.
    fn consent(&self, _session: &Session<'_>, _plan: &Plan<Self::Action>, _console: &Console) -> Result<()> {
        Ok(())
    }

    /// What the record starts with: files like `catalog-before.json`, digests of inputs.
    fn open(&self, journal: &Journal<'_>, inspection: &Self::Inspection) -> Result<()>;

    fn memory<'a>(&self, session: &'a Session<'a>, inspection: &'a Self::Inspection) -> Self::Memory<'a>;

    /// Does one of the stage's own steps.
    fn builtin(running: &Running<'_, Self>, action: &Self::Action) -> Result<Ended>;

    /// Runs the program of the step `name`: once, unless the stage knows better.
    fn child(_: &Running<'_, Self>, _name: &str, run: &Once<'_>) -> Result<()> {
        run(1)
    }

    /// Adds to a failure what became of the database.
    fn explain(_: &Running<'_, Self>, failure: Failure) -> Failure {
        failure
    }

    /// Whatever came before, the record says what the database is now.
    ///
    /// # Errors
    /// What cannot be read or written down.
    fn record(_: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        Ok(())
    }

    /// Runs the plan. This is the loop of every stage but the drill, which is a stage of stages.
    ///
    /// # Errors
    /// The first step that failed; else that the record could not be made.
    fn run(
        &self,
        session: &Session<'_>,
        journal: &Journal<'_>,
        inspection: &Self::Inspection,
        plan: &Plan<Self::Action>,
    ) -> Result<()> {
        let entry = journal.stage(plan.stage)?;
        let memory = self.memory(session, inspection);
        let running = Running { options: self, session, journal, entry: &entry, inspection, memory };
        let own = |action: &Self::Action| Self::builtin(&running, action);
        let result = run_plan(&entry, plan, &own, &|name, run| Self::child(&running, name, run));
        let result = result.map_err(|failure| session.waits.explain(failure, RECENT));
        let result = result.map_err(|failure| with_snapshot(Self::explain(&running, failure), journal));
        let recorded = journal.console.during("record", || Self::record(&running, &result));
        entry.end(&result)?;
        result.and(recorded)
    }

    /// The feedback file that gets this run's entry.
    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path;
}

/// Where rows were copied before something happened to them, a failure says where, whatever else could not be found out.
fn with_snapshot(failure: Failure, journal: &Journal<'_>) -> Failure {
    let record = journal.record();
    let name = record.outcome.extra.get("snapshot").and_then(|snapshot| snapshot["name"].as_str());
    match name {
        Some(name) if !failure.notes.iter().any(|note| note.contains(name)) => {
            let note = format!("the rows from before are in the snapshot `{name}`");
            failure.note(note)
        }
        _ => failure,
    }
}

/// A stage while it runs.
pub struct Running<'a, S: Stage> {
    pub options: &'a S,
    pub session: &'a Session<'a>,
    pub journal: &'a Journal<'a>,
    /// The stage in the record, for steps that no plan has.
    pub entry: &'a journal::Stage<'a, 'a>,
    pub inspection: &'a S::Inspection,
    pub memory: S::Memory<'a>,
}
