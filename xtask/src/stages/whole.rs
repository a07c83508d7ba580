//! The whole drill: forward, backward, forward, mirror, parity, as one run with one plan, one folder and one verdict.
//!
//! Each stage is the one that its own command runs; what is here is what holds between them. All are planned before the first
//! begins, from the history, which is known; when its turn comes a stage looks again, and what it would run then must be what
//! the plan has shown. What a stage leaves is what the next one must find. The first miss stops the run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::Stage;
use super::backward::{self, Backward, Extent, consent_to_loss};
use super::forward::{self, Forward};
use super::mirror::Mirror;
use super::parity::Parity;
use super::round::{Landing, Return, Round, differing};
use crate::console::Console;
use crate::database::history::History;
use crate::database::ledger::LEDGER_TABLE;
use crate::database::standing::Standing;
use crate::error::{Failure, Result};
use crate::evidence::run::digest_of;
use crate::expected;
use crate::guard::Demand;
use crate::journal::Journal;
use crate::outcome::Migrations;
use crate::parity::comparison::Source;
use crate::plan::{Action, Plan, Step};
use crate::progress::{self, Earlier, Progress};
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::state::State;

/// How many rows each of the sandbox's empty tables gets.
const ROWS: u64 = 1000;

/// One server has both sides, so one snapshot can count them.
const PARITY: Parity = Parity { source: Some(Source::Sql) };

/// The options of `drill`.
pub struct Whole {
    /// How many migrations are taken back.
    pub steps: usize,
    pub accept_data_loss: bool,
    /// Leaves out mirror and parity, for a project that has no Supabase.
    pub no_mirror: bool,
    /// Goes on where the last drill of this target stopped.
    pub resume: bool,
}

/// One stage's place in the drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leg {
    Forward,
    Backward,
    Again,
    Mirror,
    Parity,
}

impl Leg {
    const ALL: [Leg; 5] = [Leg::Forward, Leg::Backward, Leg::Again, Leg::Mirror, Leg::Parity];

    /// From 1, in the order of the drill.
    fn number(self) -> usize {
        self as usize + 1
    }

    fn name(self) -> &'static str {
        match self {
            Leg::Forward | Leg::Again => "forward",
            Leg::Backward => "backward",
            Leg::Mirror => "mirror",
            Leg::Parity => "parity",
        }
    }

    /// Where its files are in the evidence.
    fn chapter(self) -> String {
        format!("{}-{}", self.number(), self.name())
    }

    fn in_words(self) -> &'static str {
        match self {
            Leg::Forward => "the first forward",
            Leg::Again => "the second forward",
            other => other.name(),
        }
    }

    fn is_of_the_mirror(self) -> bool {
        self >= Leg::Mirror
    }
}

pub struct Inspection {
    history: History,
    before: State,
    /// Where this run begins; an earlier one may have come some way.
    progress: Progress,
    earlier: Option<Earlier>,
    /// Where an earlier run's first forward had led, if this run begins between there and the second.
    landing: Option<Landing>,
    /// The way back that is still to go; None where it is behind us.
    way: Option<backward::Way>,
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

impl Stage for Whole {
    type Inspection = Inspection;
    type Action = Planned;

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// Whatever any of its stages would be stopped by, as far as it can be known before.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let history = History::load(&session.settings.prisma.migrations)?;
        forward::check_providers(session, &history)?;
        let before = State::read(session, &history)?;
        let earlier = if self.resume { Some(Earlier::find(session, &history, &before)?) } else { None };
        let progress = earlier.as_ref().map_or_else(|| self.start(&before), |earlier| earlier.progress.clone());
        if !progress.no_mirror {
            check_mirror(session)?;
        }
        let is_between = (Leg::Backward.number()..=Leg::Again.number()).contains(&progress.stage);
        let between = earlier.as_ref().filter(|_| is_between);
        let landing = between.map(|earlier| earlier.landing(session)).transpose()?;
        let schema = match between {
            Some(earlier) => earlier.schema(),
            None => digest_of(&session.settings.prisma.schema)
                .map_err(|error| Failure::blocked("cannot read the Prisma schema").caused_by(&error))?,
        };
        let mut inspection = Inspection { history, before, progress, earlier, landing, way: None, schema };
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
        for leg in inspection.legs() {
            let state = inspection.foreseen(session, leg);
            let history = inspection.history.clone();
            match leg {
                Leg::Forward => {
                    add(&mut plan, session, &first_forward(session), |stage| stage.at(session, history, state))?
                }
                Leg::Backward => self.add_backward(session, inspection, &mut plan)?,
                Leg::Again => {
                    let stage = self.second_forward(session, inspection, &state);
                    add(&mut plan, session, &stage, |stage| stage.at(session, history, state))?;
                }
                Leg::Mirror => add(&mut plan, session, &mirror(session), |stage| stage.at(session, history, state))?,
                Leg::Parity => add(&mut plan, session, &PARITY, |stage| stage.inspect(session))?,
            }
        }
        Ok(plan)
    }

    fn in_words(&self, plan: &Plan<Planned>) -> String {
        let mut lines = vec![plan.summary.clone()];
        for step in plan.groups.iter().flatten() {
            lines.push(format!("\n{}", step.does));
            if let Action::Own(planned) = &step.action {
                lines.extend(planned.words.iter().map(|line| format!("  {line}")));
            }
        }
        lines.extend(plan.stakes_in_words());
        lines.join("\n")
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Planned>, console: &Console) -> Result<()> {
        consent_to_loss(session, &plan.losses, self.may_lose(session), "drill", console)
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

    fn run(
        &self,
        session: &Session<'_>,
        journal: &Journal<'_>,
        inspection: &Inspection,
        plan: &Plan<Planned>,
    ) -> Result<()> {
        let progress = Mutex::new(inspection.progress.clone());
        let landing = inspection.landing.clone().map(OnceLock::from).unwrap_or_default();
        let execution = Execution { options: self, session, journal, inspection, plan, progress, landing };
        let result = execution.all();
        journal.chapter("");
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
    Err(Failure::blocked(format!("there is no `{path}`, so there is no mirror to drill")).hint(
        "name the mirror's script as `mirror_sql` under `[supabase]` in drill.toml; without Supabase: \
         cargo xtask drill --no-mirror",
    ))
}

/// Adds the plan of a stage, as `inspect` foresees it, as one step of the drill's.
fn add<S: Stage>(
    plan: &mut Plan<Planned>,
    session: &Session<'_>,
    stage: &S,
    inspect: impl FnOnce(&S) -> Result<S::Inspection>,
) -> Result<()> {
    let planned = stage.plan(session, &inspect(stage)?)?;
    let json = serde_json::to_value(&planned).map_err(|error| Failure::bug("cannot write a plan").caused_by(&error))?;
    let action = Planned { plan: json, words: planned.steps_in_words(), promise: Promise::of(&planned) };
    for script in planned.scripts {
        if !plan.scripts.iter().any(|known| known.name == script.name) {
            plan.scripts.push(script);
        }
    }
    let step =
        Step { name: planned.stage, does: planned.summary, failure: "the drill stopped", action: Action::Own(action) };
    plan.groups.push(vec![step]);
    Ok(())
}

fn first_forward(session: &Session<'_>) -> Forward {
    let seed = session.settings.target.is_sandbox().then_some(ROWS);
    Forward { smoke: false, round: Round::First { seed } }
}

fn mirror(session: &Session<'_>) -> Mirror {
    Mirror { feed: session.settings.target.is_sandbox() }
}

impl Whole {
    fn start(&self, before: &State) -> Progress {
        Progress {
            stage: Leg::Forward.number(),
            steps: self.steps,
            no_mirror: self.no_mirror,
            standing: before.standing.clone(),
            taken: Vec::new(),
            dropped: Vec::new(),
            snapshot: None,
            landing: None,
        }
    }

    /// The sandbox holds nothing but made-up rows.
    fn may_lose(&self, session: &Session<'_>) -> bool {
        self.accept_data_loss || session.settings.target.is_sandbox()
    }

    fn summary(&self, session: &Session<'_>, inspection: &Inspection) -> String {
        let names: Vec<&str> = inspection.legs().map(Leg::name).collect();
        let without = if inspection.progress.no_mirror { "; without a mirror, as asked (--no-mirror)" } else { "" };
        format!("drill on {}: {}{without}.", session.settings.target.name, names.join(", "))
    }

    fn backward(&self, session: &Session<'_>, inspection: &Inspection) -> Backward {
        let Progress { steps, taken, .. } = &inspection.progress;
        let extent = Extent::Steps(steps.saturating_sub(taken.len()));
        Backward { extent, accept_data_loss: self.may_lose(session), drilled: true }
    }

    fn way(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Option<backward::Way>> {
        if inspection.progress.stage > Leg::Backward.number() {
            return Ok(None);
        }
        // A script that cannot work is named before Prisma is asked for the way back from it, and before anything changes.
        if !inspection.before.standing.pending.is_empty() {
            expected::catalog(session, &inspection.history)?;
        }
        let standing = inspection.foreseen(session, Leg::Backward).standing;
        self.backward(session, inspection).way(session, &inspection.history, &standing).map(Some)
    }

    /// What backward would drop is counted as far as it is there; what pending migrations have yet to make is named.
    fn add_backward(&self, session: &Session<'_>, inspection: &Inspection, plan: &mut Plan<Planned>) -> Result<()> {
        let inspected = inspection.before_backward(session, inspection.foreseen(session, Leg::Backward))?;
        let filled = inspected.losses().filter(|loss| loss.values > 0).map(ToString::to_string);
        plan.losses.extend(filled);
        if inspection.before.counts.values().sum::<u64>() > 0 {
            let to_come = inspected.made_by(&inspection.before.standing.pending);
            plan.losses.extend(to_come.map(|loss| format!("{}: what forward puts there", loss.removal.then)));
        }
        add(plan, session, &self.backward(session, inspection), |_| Ok(inspected))
    }

    /// As far as it is known before: where the first forward led, and what was dropped, are filled in when its turn comes.
    fn second_forward(&self, session: &Session<'_>, inspection: &Inspection, before: &State) -> Forward {
        let keeps = match inspection.way {
            Some(_) => self.may_lose(session),
            None => inspection.progress.snapshot.is_some(),
        };
        let snapshot = keeps.then(String::new);
        let landing = Landing { counts: before.counts.clone(), catalog: before.catalog.clone() };
        let taken = before.standing.pending.clone();
        let schema = inspection.schema.clone();
        let round = Return { landing, taken, schema, dropped: Vec::new(), snapshot };
        Forward { smoke: false, round: Round::Second(Box::new(round)) }
    }
}

impl Inspection {
    /// What is to be done, in order.
    fn legs(&self) -> impl Iterator<Item = Leg> + use<> {
        let (from, mirror) = (self.progress.stage, !self.progress.no_mirror);
        Leg::ALL.into_iter().filter(move |leg| leg.number() >= from && (mirror || !leg.is_of_the_mirror()))
    }

    /// The database when `leg` begins: as it is now for the first, and as its history says for the others, whose rows are not
    /// foreseen.
    fn foreseen(&self, session: &Session<'_>, leg: Leg) -> State {
        if leg.number() == self.progress.stage {
            return self.before.clone();
        }
        let taken = match (leg, &self.way) {
            (Leg::Again, Some(way)) => [self.progress.taken.as_slice(), &way.migrations()].concat(),
            _ => Vec::new(),
        };
        let names = self.history.migrations.iter().map(|migration| migration.name.clone());
        let (pending, applied) = names.partition(|name| taken.contains(name));
        let standing = Standing { applied, pending, ..Standing::default() };
        let mut state = State { standing, ..self.before.clone() };
        state.counts.entry(format!("{}.{LEDGER_TABLE}", session.target.dsn().schema)).or_default();
        state
    }

    fn before_backward(&self, session: &Session<'_>, before: State) -> Result<backward::Inspection> {
        let way = self.way.clone().ok_or_else(|| Failure::bug("a way back that is behind us"))?;
        backward::Inspection::new(session, self.history.clone(), before, way)
    }
}

struct Execution<'a> {
    options: &'a Whole,
    session: &'a Session<'a>,
    journal: &'a Journal<'a>,
    inspection: &'a Inspection,
    plan: &'a Plan<Planned>,
    progress: Mutex<Progress>,
    /// Where the first forward led.
    landing: OnceLock<Landing>,
}

impl Execution<'_> {
    fn all(&self) -> Result<()> {
        let mut state = self.inspection.before.clone();
        for leg in self.inspection.legs() {
            self.begin(leg, &state)?;
            self.recorded(leg, self.leg(leg, state))?;
            state = self.left_by(leg)?;
        }
        if self.inspection.progress.no_mirror {
            self.journal.skip("mirror", "as asked (--no-mirror)")?;
            self.journal.skip("parity", "as asked (--no-mirror)")?;
        }
        self.progress().stage = Leg::ALL.len() + 1;
        Ok(())
    }

    fn leg(&self, leg: Leg, before: State) -> Result<()> {
        let history = self.inspection.history.clone();
        let is_the_same = History::load(&self.session.settings.prisma.migrations)?.digest() == history.digest();
        if !is_the_same {
            return Err(Failure::different("the migrations were changed while the drill ran").hint("cargo xtask drill"));
        }
        match leg {
            Leg::Forward => {
                let stage = first_forward(self.session);
                self.stage(leg, &stage, stage.at(self.session, history, before)?)
            }
            Leg::Backward => self.backward(before),
            Leg::Again => {
                let stage = self.second_forward(&before)?;
                self.stage(leg, &stage, stage.at(self.session, history, before)?)
            }
            Leg::Mirror => {
                let stage = mirror(self.session);
                self.stage(leg, &stage, stage.at(self.session, history, before)?)
            }
            Leg::Parity => self.stage(leg, &PARITY, PARITY.inspect(self.session)?),
        }
    }

    /// Runs a stage as its own command does, if it still is what the plan has shown.
    fn stage<S: Stage>(&self, leg: Leg, stage: &S, inspection: S::Inspection) -> Result<()> {
        let plan = stage.plan(self.session, &inspection)?;
        let at = self.inspection.legs().position(|other| other == leg);
        let shown = at.and_then(|at| self.plan.groups.get(at)).and_then(|group| group.first());
        match shown.map(|step| &step.action) {
            Some(Action::Own(planned)) if planned.promise == Promise::of(&plan) => {}
            _ => {
                return Err(Failure::different("what would run now is not what the plan has shown")
                    .hint("cargo xtask drill --plan"));
            }
        }
        stage.open(self.journal, &inspection)?;
        stage.run(self.session, self.journal, &inspection, &plan)?;
        self.session.same_server()
    }

    fn backward(&self, before: State) -> Result<()> {
        let inspected = self.inspection.before_backward(self.session, before)?;
        let lost = inspected.losses().find(|loss| loss.values > 0);
        if let Some(loss) = lost.filter(|_| !self.options.may_lose(self.session)) {
            return Err(Failure::different("going back would lose what was not there when the drill began")
                .because(loss.to_string())
                .hint("--accept-data-loss takes a snapshot first, and puts it back"));
        }
        let dropped = inspected.losses().filter(|loss| loss.rows > 0 && loss.removal.now.is_some());
        self.progress().dropped.extend(dropped.cloned());
        self.save_progress()?;
        self.stage(Leg::Backward, &self.options.backward(self.session, self.inspection), inspected)
    }

    fn second_forward(&self, before: &State) -> Result<Forward> {
        let landing = self.landing.get().cloned().ok_or_else(|| Failure::bug("a second forward without a first"))?;
        let Progress { snapshot, dropped, .. } = self.progress().clone();
        let (taken, schema) = (before.standing.pending.clone(), self.inspection.schema.clone());
        Ok(Forward {
            smoke: false,
            round: Round::Second(Box::new(Return { landing, taken, schema, dropped, snapshot })),
        })
    }

    /// A stage that ended before its first step is a stage that did not go well.
    fn recorded(&self, leg: Leg, result: Result<()>) -> Result<()> {
        let seen = self.journal.record().outcome.stages.len();
        let begun = seen > leg.number() - self.inspection.progress.stage;
        if result.is_err() && !begun {
            self.journal.stage(leg.name())?.end(&result)?;
        }
        result
    }

    /// What a stage says that it left must still be there: nobody else is at work here.
    fn left_by(&self, leg: Leg) -> Result<State> {
        let state = State::read(self.session, &self.inspection.history)?;
        self.update(&state);
        let said = self.journal.record().outcome.counts.clone();
        let wrong = said.map(|said| differing(&said.after, &state.counts)).unwrap_or_default();
        if !wrong.is_empty() {
            return Err(Failure::different(format!(
                "somebody else wrote to the database after {} had ended",
                leg.name()
            ))
            .because_all(wrong)
            .hint("stop what writes there"));
        }
        if leg == Leg::Forward {
            let run = self.journal.run().folder().file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.progress().landing = Some(format!("{run}/{}", leg.chapter()));
            let _ = self.landing.set(Landing { counts: state.counts.clone(), catalog: state.catalog.clone() });
        }
        Ok(state)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, leg: Leg, state: &State) -> Result<()> {
        self.journal.chapter(&leg.chapter());
        self.progress().stage = leg.number();
        self.progress().standing.clone_from(&state.standing);
        self.save_progress()
    }

    /// What the server and the stages say of where the drill is.
    fn update(&self, state: &State) {
        let snapshot = self
            .journal
            .record()
            .outcome
            .extra
            .get("snapshot")
            .and_then(|view| view["name"].as_str().map(str::to_owned));
        let mut progress = self.progress();
        progress.standing.clone_from(&state.standing);
        progress.snapshot = snapshot.or_else(|| progress.snapshot.take());
        if progress.stage == Leg::Backward.number() {
            progress.taken.clone_from(&state.standing.pending);
        }
    }

    /// Writes down where the drill is, for `--resume` to read; on disk with the next step.
    fn save_progress(&self) -> Result<()> {
        let json = serde_json::to_value(&*self.progress())
            .map_err(|error| Failure::bug("cannot write down how far the drill came").caused_by(&error))?;
        self.journal.record().outcome.extra.insert(progress::KEY.to_owned(), json);
        Ok(())
    }

    /// Of the whole run: what the database was before the first stage, and what it is now.
    fn record(&self) -> Result<()> {
        let after = State::read(self.session, &self.inspection.history)?;
        self.update(&after);
        self.save_progress()?;
        after.record(self.journal, &self.inspection.before.counts)?;
        let before = &self.inspection.before.standing;
        let rolled_back = self.progress().taken.clone();
        let applied = self.inspection.history.migrations.iter().map(|migration| migration.name.clone());
        let new = |name: &String| {
            before.pending.contains(name) && (after.standing.applied.contains(name) || rolled_back.contains(name))
        };
        let applied = applied.filter(new).collect();
        let mut record = self.journal.record();
        record.outcome.notes = unique(std::mem::take(&mut record.outcome.notes));
        record.outcome.migrations = Some(Migrations { applied, pending: after.standing.pending, rolled_back });
        Ok(())
    }

    /// Adds to a failure where the drill stopped, where the rows are, and how to go on.
    fn explain(&self, failure: Failure) -> Failure {
        let progress = self.progress().clone();
        let Some(leg) = Leg::ALL.into_iter().find(|leg| leg.number() == progress.stage) else { return failure };
        let failure = failure.because(format!(
            "the drill stopped in stage {} of {}: {}",
            leg.number(),
            Leg::ALL.len(),
            leg.in_words()
        ));
        let failure = match (&progress.snapshot, leg) {
            (Some(name), Leg::Backward | Leg::Again) if !progress.dropped.is_empty() => {
                failure.because(format!("what backward dropped is in the snapshot `{name}`"))
            }
            _ => failure,
        };
        let stuck = !progress.standing.failed.is_empty() || !progress.standing.running.is_empty();
        let sandbox = if self.session.settings.target.is_sandbox() { " --sandbox" } else { "" };
        let on = match leg {
            _ if stuck => None,
            Leg::Forward => failure.hint.is_none().then(|| format!("cargo xtask drill{sandbox}")),
            Leg::Backward if self.options.accept_data_loss => {
                Some(format!("cargo xtask drill --resume --accept-data-loss{sandbox}"))
            }
            _ => Some(format!("cargo xtask drill --resume{sandbox}")),
        };
        match (on, failure.hint.clone()) {
            (None, _) => failure,
            (Some(on), None) => failure.hint(on),
            (Some(on), Some(hint)) => failure.hint(format!("{hint}; then: {on}")),
        }
    }
}

/// Both forwards note what they find.
fn unique(notes: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    notes.into_iter().filter(|note| seen.insert(note.clone())).collect()
}
