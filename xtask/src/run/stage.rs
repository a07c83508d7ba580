//! What a stage is: inspect (read only), plan (pure), run (apply, verify, record).

use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::guard::Demand;
use crate::run::console::Console;
use crate::run::journal::Journal;
use crate::run::plan::Plan;
use crate::session::Session;
use crate::settings::EvidenceSettings;

/// What `drill` calls in order. A stage is made from its command's options.
pub trait Stage {
    /// What is known before anything is decided.
    type Inspection;
    /// What the stage does itself.
    type Action: Serialize + Sync;

    /// How much it may do to the database; the guard proves the target for that and no more.
    const DEMAND: Demand;

    /// Reads files and the server; changes nothing.
    fn inspect(&self, session: &Session<'_>) -> Result<Self::Inspection>;

    /// The steps, decided from what was inspected and from nothing else.
    fn plan(&self, session: &Session<'_>, inspection: &Self::Inspection) -> Result<Plan<Self::Action>>;

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

    /// Runs the plan and verifies it; whatever happens, what the database is then is in the record.
    fn run(
        &self,
        session: &Session<'_>,
        journal: &Journal<'_>,
        inspection: &Self::Inspection,
        plan: &Plan<Self::Action>,
    ) -> Result<()>;

    /// The feedback file that gets this run's entry.
    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path;
}
