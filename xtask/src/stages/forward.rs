//! Forward: generate the client, apply the pending migrations, and verify both on the server.
//!
//! A child's exit code proves nothing (Prisma's can be 0 with a dead engine), so what counts is the ledger and the
//! catalog afterwards. The catalog is compared with the history's own: its migrations replayed once in a throw-away
//! database, before Prisma gets to the target with them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Failure, Result, Status};
use crate::evidence::deploy::Deploy;
use crate::evidence::outcome::Migrations;
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::forecast::forecast;
use crate::migrations::losses::Loss;
use crate::migrations::status::MigrationStatus;
use crate::postgres::fence;
use crate::process::Invocation;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Script, Step};
use crate::run::run_plan::Once;
use crate::run::stage::{Running, Stage};
use crate::schema::catalog::{Catalog, Difference};
use crate::schema::drift;
use crate::schema::history::History;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::stages::blocked_behind;
use crate::stages::deploy_tries::{self, Tries};
use crate::stages::deployed::{self, Wanted};
use crate::stages::drill::pass::{self, Pass};
use crate::stages::impact_step::{self, impact_step};
use crate::stages::preflight::{
    check_history, check_providers, check_schema, check_squash, check_standing, failed_before, leftover, remarks,
    replay_first,
};
use crate::stages::refused_line;
use crate::stages::snapshot_step::{Keep, before_a_loss, consent_to_loss, no_more_than, take_snapshot};
use crate::stages::still_owed;
use crate::stages::surroundings;
use crate::tools::generated_client::GeneratedClient;
use crate::tools::prisma::{self, Prisma};
use crate::tools::prisma_error;
use crate::words::{counted, in_line, listed};
use pin::Lease;

/// The options of `forward`.
pub struct Forward {
    pub smoke: bool,
    pub pass: Pass,
    pub accept_data_loss: bool,
    pub deployed: Option<Wanted>,
}

pub struct Inspection {
    history: History,
    before: DatabaseState,
    leases: Leases,
    /// What the pending migrations take away, with what is in it.
    losses: Vec<Loss>,
    /// What is copied before they do; None where nothing is at stake, or nobody has said that it may go.
    keep: Option<Keep>,
    /// The client that is there, where it is the schema's own already.
    client: Option<GeneratedClient>,
    /// The release that is running, where the migrations may break it.
    running: Option<deployed::Running>,
    /// Why no release is tried.
    not_tried: Option<String>,
    /// What the generated client will lack.
    of_the_client: Option<String>,
}

const TAKEN: &str = "the migrations take away";
const GENERATE: &str = "generate";
const DEPLOY: &str = "migrate deploy";

/// One way through the pin for each child that needs the database.
struct Leases {
    deploy: Arc<Lease>,
    smoke: Lease,
}

#[derive(Default)]
pub struct Memory {
    /// What was read when no child works any more, and again when we have changed rows ourselves.
    state: Mutex<Option<Arc<DatabaseState>>>,
    /// What was seen while the migrations were applied.
    deploys: Mutex<Vec<Deploy>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Copy all rows to where they can be put back from.
    Snapshot,
    /// Count what goes once more.
    CountAgain,
    /// Replay the history into a throw-away database, unless its catalog is known.
    Replay,
    Impact,
    NothingPending,
    /// Look at the client again, in place of making it.
    VerifyClient,
    VerifyLedger,
    VerifyCatalog,
    VerifyWaits,
    VerifyDeployed,
    #[serde(rename = "round")]
    Pass(pass::Builtin),
}

impl Stage for Forward {
    type Inspection = Inspection;
    type Action = Builtin;
    type Memory<'a> = Memory;

    const DEMAND: Demand = Demand::Additive;

    /// # Errors
    /// Whatever would make Prisma fail or mislead later, said now and in full.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let history = History::of(session.settings)?;
        check_providers(session, &history)?;
        let before = self.look(session, &history)?;
        self.inspect_from(session, history, before)
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let pending = &inspection.before.standing.pending;
        let migrations = inspection.history.migrations.iter().filter(|migration| pending.contains(&migration.name));
        let what = match pending.len() {
            0 if inspection.client.is_some() => "nothing is pending; verify".to_owned(),
            0 => "nothing is pending; generate the client and verify".to_owned(),
            count => format!("apply {} and verify", counted(count, "migration")),
        };
        let mut groups =
            vec![[replay()].into_iter().chain(Self::generate_deployed(session, inspection)?).collect::<Vec<_>>()];
        groups.extend(self.looks_at_impact(inspection).then(|| vec![impact_step(session, Builtin::Impact)]));
        let Inspection { keep, losses, .. } = inspection;
        groups.extend(before_a_loss(keep.as_ref(), losses, TAKEN, Builtin::Snapshot, Builtin::CountAgain));
        if let Some(running) = &inspection.running {
            groups.push(vec![running.probe(session, deployed::BEFORE)?]);
        }
        groups.push(self.apply_group(session, inspection)?);
        groups.extend(verification().map(|step| vec![step]));
        let waits = (!pending.is_empty())
            .then(|| blocked_behind::step(session.settings.deploy.blocked_behind, Builtin::VerifyWaits));
        // What a drill has dropped is put back before anything may stop it.
        let (first, last) = if matches!(self.pass, Pass::Second(_)) { (None, waits) } else { (waits, None) };
        groups.extend(first.map(|step| vec![step]));
        if let Some(running) = &inspection.running {
            groups.push(vec![running.probe(session, deployed::AFTER)?]);
            groups.push(vec![running.verify(Builtin::VerifyDeployed)]);
        }
        if self.smoke {
            groups.push(vec![smoke(session, &inspection.leases)?]);
        }
        groups.extend(self.pass.steps(Builtin::Pass).into_iter().chain(last).map(|step| vec![step]));
        Ok(Plan {
            stage: "forward",
            summary: [format!("forward on {}: {what}.", session.settings.target.name)]
                .into_iter()
                .chain(remarks(&inspection.before.standing))
                .chain(inspection.of_the_client.clone())
                .map(|line| in_line(&line))
                .collect::<Vec<_>>()
                .join("\n"),
            scripts: migrations.map(Script::of_migration).collect::<Result<_>>()?,
            rows: inspection.before.counts.clone(),
            losses: inspection.lost().map(ToString::to_string).collect(),
            groups,
        })
    }

    fn losses(&self, inspection: &Inspection) -> Vec<Value> {
        inspection.lost().map(Loss::view).collect()
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Builtin>, console: &Console) -> Result<()> {
        let command = Hint::run(if self.smoke { "forward --smoke" } else { "forward" });
        consent_to_loss(session, "migrating", &plan.losses, self.accept_data_loss, command, console)
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        journal.record().inputs.insert("migrations".to_owned(), inspection.history.digest());
        let remarks = remarks(&inspection.before.standing).into_iter();
        for remark in remarks.chain(inspection.of_the_client.clone()).chain(inspection.not_tried.clone()) {
            journal.console.say(&remark);
            journal.record().outcome.notes.push(remark);
        }
        journal.write_json("catalog-before.json", &inspection.before.catalog)
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) -> Self::Memory<'a> {
        Memory::default()
    }

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        running.builtin(action)
    }

    fn child(running: &Running<'_, Self>, name: &str, run: &Once<'_>) -> Result<()> {
        if [deployed::GENERATE, deployed::GENERATE_NEXT, deployed::BEFORE].contains(&name) {
            return run(1).map_err(not_yet);
        }
        match name == DEPLOY && !running.inspection.before.standing.pending.is_empty() {
            true => running.deploy(run),
            false => run(1),
        }
    }

    fn explain(running: &Running<'_, Self>, failure: Failure) -> Failure {
        running.explain_state(failure)
    }

    fn record(running: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        running.record_state()
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.deployment
    }
}

impl Forward {
    /// What goes is counted to the row, and so is what a drill compares afterwards.
    fn look(&self, session: &Session<'_>, history: &History) -> Result<DatabaseState> {
        match (&self.pass, self.accept_data_loss) {
            (Pass::Alone, false) => DatabaseState::read_in_time(session, history),
            _ => DatabaseState::read(session, history),
        }
    }

    /// As `inspect`, of a state that was read before or that is only foreseen.
    pub fn inspect_from(&self, session: &Session<'_>, history: History, before: DatabaseState) -> Result<Inspection> {
        check_history(session, &history, &before.standing.in_ledger())?;
        check_standing(&before.standing)?;
        if let Some(name) = before.standing.failed.first() {
            return Err(failed_before(session, &history, &before, name));
        }
        check_squash(session, &history, &before)?;
        let deploy = self.pass.deploy().unwrap_or_else(|| Arc::new(deploy_tries::lease(session)));
        let leases = Leases { deploy, smoke: session.lease("smoke") };
        let losses = match self.pass {
            // What it takes away again was there after the first, and is compared with that.
            Pass::Second(_) => Vec::new(),
            _ => forecast(session, &history, &before.standing.applied, &before.standing.pending)?,
        };
        let keep = Keep::before(session, &losses, self.accept_data_loss)?;
        let client = match self.pass {
            Pass::Second(_) => None,
            _ => GeneratedClient::known(session),
        };
        let (running, not_tried) = self.running(session, &history, &before)?;
        let of_the_client = prisma::of_the_client(session);
        Ok(Inspection { history, before, leases, losses, keep, client, running, not_tried, of_the_client })
    }

    /// Beside the replay: before the migrations they have to be there.
    fn generate_deployed(session: &Session<'_>, inspection: &Inspection) -> Result<Vec<Step<Builtin>>> {
        let steps = inspection.running.as_ref().map(|running| running.generate(session)).transpose()?;
        Ok(steps.into_iter().flatten().collect())
    }

    /// Where nothing is pending, nothing breaks.
    fn running(&self, session: &Session<'_>, history: &History, before: &DatabaseState) -> Result<deployed::Found> {
        match &self.deployed {
            Some(wanted) => deployed::find(session, wanted, history, &before.standing),
            None => Ok((None, None)),
        }
    }

    /// What comes again was measured the first time.
    fn looks_at_impact(&self, inspection: &Inspection) -> bool {
        !inspection.before.standing.pending.is_empty() && !matches!(self.pass, Pass::Second(_))
    }

    /// Beside the engine, which is the slowest: the client.
    fn apply_group(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Vec<Step<Builtin>>> {
        let timeouts = session.settings.timeouts;
        Ok(vec![
            match (self.pass.client(Builtin::Pass), &inspection.client) {
                (Some(of_the_first), _) => of_the_first,
                (None, Some(client)) => verify_client(client),
                (None, None) => {
                    generate(Prisma::new(session, &inspection.leases.deploy).generate()?, timeouts.generate)
                }
            },
            inspection.deploy_step(session)?,
        ])
    }
}

impl Inspection {
    /// Prisma reads the ledger and applies what is pending; where that is nothing, the ledger was read already, and is again afterwards.
    fn deploy_step(&self, session: &Session<'_>) -> Result<Step<Builtin>> {
        let (pending, all) = (self.before.standing.pending.len(), self.history.migrations.len());
        let action = match pending {
            0 => Action::Builtin(Builtin::NothingPending),
            _ => child(self.deploy(session)?, session.settings.timeouts.migrate),
        };
        let does = format!("apply {pending} of {all} migrations");
        Ok(Step { name: DEPLOY, does, failure: "the migrations were not applied", action })
    }

    fn deploy(&self, session: &Session<'_>) -> Result<Invocation> {
        Prisma::new(session, &self.leases.deploy).deploy()
    }

    pub fn lost(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter().filter(|loss| loss.values > 0)
    }
}

/// What ends before the migrations are applied has changed nothing.
fn not_yet(failure: Failure) -> Failure {
    match failure.status {
        Status::Failed => failure.with_status(Status::Blocked),
        _ => failure,
    }
}

fn generate(invocation: Invocation, deadline: Duration) -> Step<Builtin> {
    Step {
        name: GENERATE,
        does: "generate the Prisma client from the schema".to_owned(),
        failure: "the client was not generated",
        action: child(invocation, deadline),
    }
}

fn verify_client(client: &GeneratedClient) -> Step<Builtin> {
    Step {
        name: GENERATE,
        does: format!("not again: check that {} is what was generated from this very schema", client.in_words()),
        failure: "the client is not the schema's",
        action: Action::Builtin(Builtin::VerifyClient),
    }
}

/// Comes first: a script that fails here never reaches the target.
fn replay() -> Step<Builtin> {
    Step {
        name: "replay",
        does: "replay the history in a throw-away database, to know that it applies and what the schema should be"
            .to_owned(),
        failure: "the history does not apply to an empty database",
        action: Action::Builtin(Builtin::Replay),
    }
}

fn child(invocation: Invocation, deadline: Duration) -> Action<Builtin> {
    Action::Child { invocation, deadline, explain: prisma_error::explain }
}

fn verification() -> [Step<Builtin>; 2] {
    [
        Step {
            name: "verify ledger",
            does: "read the ledger: every migration applied, none failed, none pending".to_owned(),
            failure: "the ledger is not complete",
            action: Action::Builtin(Builtin::VerifyLedger),
        },
        Step {
            name: "verify catalog",
            does: "compare the schema with the replayed one, and count every table".to_owned(),
            failure: "the schema is not what its migrations make",
            action: Action::Builtin(Builtin::VerifyCatalog),
        },
    ]
}

/// What a reset that was killed left in the way, `restore` takes away.
fn way_out(drift: &drift::Drift) -> Hint {
    match drift.definition.iter().any(|difference| fence::owns(&difference.object.path)) {
        true => Hint::run("restore --confirm"),
        false => "undo the difference by hand, or put it into a migration".into(),
    }
}

fn smoke(session: &Session<'_>, leases: &Leases) -> Result<Step<Builtin>> {
    Ok(Step {
        name: "smoke",
        does: "open the database with the generated client and read every model".to_owned(),
        failure: "the generated client cannot use the database",
        action: child(Prisma::new(session, &leases.smoke).smoke()?, session.settings.timeouts.smoke),
    })
}

impl Running<'_, Forward> {
    fn builtin(&self, action: &Builtin) -> Result<Ended> {
        let done = match action {
            Builtin::Snapshot => {
                let Inspection { keep, before, .. } = self.inspection;
                take_snapshot(self.session, self.journal, "forward", keep.as_ref(), &before.counts)
            }
            Builtin::CountAgain => self.count_again(),
            Builtin::Replay => self.replay(),
            Builtin::Impact => return self.impact(),
            Builtin::NothingPending => {
                return Ok(Ended::NotTried("not run: the ledger says that nothing is pending".to_owned()));
            }
            Builtin::VerifyClient => self.verify_client(),
            Builtin::VerifyLedger => self.verify_ledger(),
            Builtin::VerifyCatalog => self.verify_catalog(),
            Builtin::VerifyWaits => return self.verify_waits(),
            Builtin::VerifyDeployed => return self.verify_deployed(),
            Builtin::Pass(action) => self.pass(action),
        };
        done.map(Ended::from)
    }

    fn deploy(&self, run: &Once<'_>) -> Result<()> {
        let Running { session, journal, entry, inspection, .. } = *self;
        let (lease, pending) = (&inspection.leases.deploy, &inspection.before.standing.pending);
        Tries { session, journal, entry, lease, pending, seen: &self.memory.deploys }.all(run)
    }

    fn verify_waits(&self) -> Result<Ended> {
        let deploys = self.memory.deploys.lock().unwrap_or_else(PoisonError::into_inner);
        blocked_behind::verify(&deploys, self.session.settings.deploy.blocked_behind)
    }

    fn verify_deployed(&self) -> Result<Ended> {
        let running = self.inspection.running.as_ref().zip(self.options.deployed.as_ref());
        let (running, wanted) = running.ok_or_else(|| Failure::bug("no release was asked for"))?;
        running.judge(self.journal, wanted)
    }

    fn count_again(&self) -> Result<String> {
        let Inspection { history, before, losses, .. } = self.inspection;
        let now = forecast(self.session, history, &before.standing.applied, &before.standing.pending)?;
        no_more_than(losses, &now, TAKEN, Hint::run("forward"))
    }

    fn impact(&self) -> Result<Ended> {
        let Inspection { history, before, .. } = self.inspection;
        impact_step::tell_unheard_of(self.session, self.journal, history)?;
        let standing = &before.standing;
        let histories = (&history.only(&standing.applied), &history.only(&standing.pending));
        impact_step::measure(self.session, self.journal, histories, &before.counts)
    }

    /// It may have been changed since the plan was made.
    fn verify_client(&self) -> Result<String> {
        match GeneratedClient::known(self.session) {
            Some(client) if Some(&client) == self.inspection.client.as_ref() => {
                Ok(format!("not again: {} is what was generated from this very schema", client.in_words()))
            }
            _ => Err(Failure::different("the schema or its client was changed while the run went on")
                .hint(Hint::run("forward"))),
        }
    }

    /// What the next run need not generate, by the log of it.
    fn keep_client(&self) {
        let record = self.journal.record();
        let mut steps = record.outcome.stages.last().into_iter().flat_map(|stage| &stage.steps);
        let generated = steps.find(|step| step.name == GENERATE && step.exit_code == Some(0));
        let log = generated.and_then(|step| Some(self.journal.run().folder().join(step.log.as_ref()?)));
        drop(record);
        log.into_iter().for_each(|log| GeneratedClient::keep(self.session, &log));
    }

    fn replay(&self) -> Result<String> {
        if !self.inspection.before.standing.pending.is_empty() {
            self.journal.early.start(&self.inspection.deploy(self.session)?, &self.inspection.leases.deploy, None);
        }
        let replayed = std::thread::scope(|scope| {
            let schema = scope.spawn(|| check_schema(self.session));
            let replayed = replay_first(self.session, &self.inspection.history)?.in_words();
            let schema = schema.join().unwrap_or_else(|_| Err(Failure::bug("the reading of the schema panicked")));
            schema.map(|()| replayed)
        })?;
        // Where no client is generated, a core is free for it already.
        if self.inspection.client.is_some() {
            self.start_next()?;
        }
        Ok(replayed)
    }

    fn pass(&self, action: &pass::Builtin) -> Result<String> {
        match (action, &self.options.pass) {
            (pass::Builtin::Seed(rows), _) => self.changing(|_| pass::seed(self.session, *rows)),
            (pass::Builtin::VerifyClient, Pass::Second(second)) => second.verify_client(self.session),
            (pass::Builtin::PutBack, Pass::Second(second)) => {
                self.changing(|state| second.put_back(self.session, state))
            }
            (pass::Builtin::VerifyRows, Pass::Second(second)) => {
                second.verify_rows(self.session, &self.after()?.counts)
            }
            _ => Err(Failure::bug("a step of the second forward in the first")),
        }
    }

    /// What was read before `work` is no longer true after it.
    fn changing(&self, work: impl FnOnce(&DatabaseState) -> Result<String>) -> Result<String> {
        let result = work(&*self.after()?);
        *self.read_last() = None;
        result
    }

    fn read_last(&self) -> MutexGuard<'_, Option<Arc<DatabaseState>>> {
        self.memory.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the database is after the last child. A child that was stopped leaves the server finishing what it had
    /// sent; only then does the ledger tell the truth.
    fn after(&self) -> Result<Arc<DatabaseState>> {
        let mut after = self.read_last();
        if let Some(state) = &*after {
            return Ok(Arc::clone(state));
        }
        self.session.settle(&self.inspection.leases.deploy)?;
        let state = Arc::new(self.options.look(self.session, &self.inspection.history)?);
        *after = Some(Arc::clone(&state));
        Ok(state)
    }

    /// While this forward is verified and the way back is taken, Prisma's CLI gets ready for the next one. It is started once.
    fn start_next(&self) -> Result<()> {
        if let Pass::First { next: Some(lease), .. } = &self.options.pass {
            self.journal.early.start(&Prisma::new(self.session, lease).deploy()?, lease, None);
        }
        Ok(())
    }

    fn verify_ledger(&self) -> Result<String> {
        self.start_next()?;
        let after = self.after()?;
        let standing = &after.standing;
        if let Some(name) = standing.failed.iter().chain(&standing.running).chain(&standing.pending).next() {
            return Err(Failure::failed(format!("migration `{name}` is not applied, although Prisma exited 0"))
                .hint(self.journal.read_step(DEPLOY)));
        }
        let all = format!("all {} migrations are applied, none failed", standing.applied.len());
        let Pass::Second(second) = &self.options.pass else { return Ok(all) };
        let again = self.newly_applied(standing);
        second.verify_applied(&again)?;
        Ok(format!("{all}; applied again: {}", listed(&again)))
    }

    fn verify_catalog(&self) -> Result<String> {
        let drift = drift::of_target(self.session, &self.inspection.history, &self.after()?.catalog)?;
        self.record_drift(&drift);
        match drift.definition.len() {
            0 => {
                if let Pass::Second(second) = &self.options.pass {
                    second.verify_catalog(&self.after()?.catalog)?;
                }
                Ok(drift.verdict("the migrations"))
            }
            count => Err(Failure::different(format!(
                "the schema differs from what its migrations make, in {count} {}",
                if count == 1 { "place" } else { "places" }
            ))
            .hint(way_out(&drift))
            .because_all(drift.definition.iter().map(Difference::to_string))),
        }
    }

    fn record_drift(&self, drift: &drift::Drift) {
        let mut record = self.journal.record();
        record.outcome.leftovers = drift.definition.iter().map(leftover).collect();
        drop(record);
        surroundings::note(self.journal, drift);
    }

    /// Whatever came before, the record says what the database is now.
    fn record_state(&self) -> Result<()> {
        self.keep_client();
        let after = self.after()?;
        after.record_beside(self.journal, &self.inspection.before)?;
        let (applied, pending) = (self.newly_applied(&after.standing), after.standing.pending.clone());
        let owed = still_owed::notes(self.session, &after.catalog, after.standing.is_clean())?;
        let mut record = self.journal.record();
        record.outcome.notes.extend(owed);
        record.outcome.migrations = Some(Migrations { applied, pending, rolled_back: Vec::new() });
        Ok(())
    }

    fn newly_applied(&self, standing: &MigrationStatus) -> Vec<String> {
        let before = &self.inspection.before.standing.applied;
        standing.applied.iter().filter(|name| !before.contains(name)).cloned().collect()
    }

    /// Adds to a failure what became of the database. A deploy that was stopped while it waited for a lock has begun a migration,
    /// unless the ledger says otherwise.
    fn explain_state(&self, failure: Failure) -> Failure {
        let failure = match self.after() {
            Ok(after) => refused_line::named(self.session, failure, &self.inspection.history, &after),
            Err(_) => failure,
        };
        let (failure, begun) = match self.state_in_words() {
            Ok((state, begun)) => (failure.note(state), begun),
            Err(other) => {
                (failure.note(format!("the state of the database could not be read: {}", other.message)), true)
            }
        };
        if !begun || !self.session.waits.ended_one() {
            return failure;
        }
        failure
            .note("when that session has ended, settle the migration that was stopped")
            .hint(Hint::run("backward --failed"))
    }

    /// And whether a migration was begun and is not done.
    fn state_in_words(&self) -> Result<(String, bool)> {
        let after = self.after()?;
        let DatabaseState { standing, catalog, .. } = &*after;
        let new = self.newly_applied(standing).len();
        let pending = standing.pending.len();
        let summary = format!("the database now: {} applied by this run, {pending} pending", counted(new, "migration"));
        match standing.failed.first() {
            None => Ok((summary, !standing.running.is_empty())),
            Some(failed) => {
                Ok((format!("{summary}, `{failed}` marked as failed; {}", self.kept(standing, catalog)?), true))
            }
        }
    }

    /// Whether a failed script left something behind, said by the catalog and not by the rule that it should not have.
    fn kept(&self, standing: &MigrationStatus, actual: &Catalog) -> Result<String> {
        let before_it = self.inspection.history.only(&standing.applied);
        let drift = drift::of_target(self.session, &before_it, actual)?;
        if drift.definition.is_empty() {
            return Ok("its script changed nothing in the schema".to_owned());
        }
        let list = drift.definition.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ");
        Ok(format!("its script left this behind: {list}"))
    }
}
