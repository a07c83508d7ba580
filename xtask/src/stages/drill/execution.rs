//! Runs a drill's stages one after the other, and holds what is true between them: what would run is what the plan
//! has shown, and what a stage says that it left is what the next one finds.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Failure, OrFail, Result};
use crate::evidence::outcome::Migrations;
use crate::evidence::values::{self, values_of};
use crate::files;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::prints;
use crate::rows::snapshot::{Snapshot, Store, copy};
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan};
use crate::run::stage::Stage;
use crate::schema::history::History;
use crate::session::Session;
use crate::stages::deploy_tries;
use crate::stages::drill::pass::{Baseline, Pass, SecondPass, differing};
use crate::stages::drill::phase::Phase;
use crate::stages::drill::planning::{Drill, Inspection, PARITY, Planned, Promise};
use crate::stages::drill::progress::{self, Progress};
use crate::stages::forward::Forward;
use crate::stages::mirror::{self, Mirror};
use pin::Lease;

pub struct Execution<'a> {
    pub options: &'a Drill,
    pub session: &'a Session<'a>,
    pub journal: &'a Journal<'a>,
    pub inspection: &'a Inspection,
    pub plan: &'a Plan<Planned>,
    pub progress: Mutex<Progress>,
    /// Where the first forward led.
    pub baseline: OnceLock<Baseline>,
    /// The second forward's way through the pin, where its Prisma was started early.
    pub deploy: OnceLock<Arc<Lease>>,
    /// The mirror's, where its CLI was started early.
    pub mirror: OnceLock<Arc<Lease>>,
    /// The copy that backward kept, where the second forward has led to every row of it.
    pub needless: OnceLock<Snapshot>,
}

impl Execution<'_> {
    pub fn all(&self) -> Result<()> {
        let mut state = self.inspection.before.clone();
        let from = self.inspection.progress.stage;
        for phase in Phase::ALL.into_iter().filter(|phase| phase.number() >= from) {
            if let Some((_, why)) = self.inspection.left_out.iter().find(|(other, _)| *other == phase) {
                self.journal.skip(phase.name(), why)?;
                continue;
            }
            self.begin(phase, &state)?;
            self.recorded(phase, self.phase(phase, state)).inspect_err(|_| self.tell_not_tried(phase))?;
            state = self.journal.console.during("record", || self.left_by(phase))?;
        }
        self.progress().stage = Phase::ALL.len() + 1;
        self.forget_values();
        self.drop_copy();
        Ok(())
    }

    /// A copy takes the room of the whole database on the server. It goes with a drill that went through where the server says that the target
    /// has the same rows in each table.
    fn look_whether_needless(&self) -> Result<()> {
        let Some(name) = self.progress().snapshot.clone() else { return Ok(()) };
        let Ok(snapshot) = Store::of(self.session.settings).find(&name) else { return Ok(()) };
        let same = || copy::verify(self.session, &self.session.identity.database, &snapshot).is_ok();
        if snapshot.manifest.database.is_some() && same() {
            let _ = self.needless.set(snapshot);
        }
        self.session.interrupt.check()
    }

    fn drop_copy(&self) {
        let Some(snapshot) = self.needless.get() else { return };
        let place = snapshot.place();
        let note = match copy::remove::drop_needless(self.session, snapshot) {
            Ok(()) => format!("the snapshot {place}, was dropped: every row of it is in place again"),
            Err(failure) => format!("the snapshot {place}, is needed no more and stays: {}", failure.message),
        };
        let mut record = self.journal.record();
        record.outcome.notes.retain(|note| !note.contains(&snapshot.name));
        record.outcome.notes.push(note);
    }

    /// They are for a drill that is resumed, which this one is not any more.
    fn forget_values(&self) {
        if let Some(run) = self.progress().baseline.as_deref().and_then(|baseline| baseline.split('/').next()) {
            values::forget(self.session.settings, run);
        }
    }

    fn tell_not_tried(&self, failed: Phase) {
        let after = Phase::ALL.into_iter().filter(|phase| phase.number() > failed.number());
        let is_left_out = |phase: &Phase| self.inspection.left_out.iter().any(|(other, _)| other == phase);
        let names: Vec<&str> = after.filter(|phase| !is_left_out(phase)).map(Phase::name).collect();
        self.journal.console.not_tried("", &names);
    }

    fn phase(&self, phase: Phase, before: DatabaseState) -> Result<()> {
        let history = self.inspection.history.clone();
        let is_the_same = History::of(self.session.settings)?.digest() == history.digest();
        if !is_the_same {
            return Err(Failure::different("the migrations were changed while the drill ran").hint(Hint::run("drill")));
        }
        match phase {
            Phase::Forward => {
                let next = self.deploy.get_or_init(|| Arc::new(deploy_tries::lease(self.session)));
                let stage = self.options.first_forward(self.session, Some(Arc::clone(next)));
                self.stage(phase, &stage, || stage.inspect_from(self.session, history, before))
            }
            Phase::Backward => self.backward(before),
            Phase::ForwardAgain => {
                self.start_mirror();
                let stage = self.second_forward(&before)?;
                self.stage(phase, &stage, || stage.inspect_from(self.session, history, before))
            }
            Phase::Mirror => {
                let stage = Mirror { lease: self.mirror.get().cloned(), ..self.options.mirror(self.session) };
                self.stage(phase, &stage, || stage.inspect_from(self.session, history, before))
            }
            Phase::Parity => self.stage(phase, &PARITY, || PARITY.inspect(self.session)),
        }
    }

    /// Runs a stage as its own command does, if it still is what the plan has shown.
    fn stage<S: Stage>(&self, phase: Phase, stage: &S, inspect: impl FnOnce() -> Result<S::Inspection>) -> Result<()> {
        let inspection = self.journal.console.during("plan", inspect)?;
        let plan = stage.plan(self.session, &inspection)?;
        let at = self.inspection.phases().position(|other| other == phase);
        let shown = at.and_then(|at| self.plan.groups.get(at)).and_then(|group| group.first());
        match shown.map(|step| &step.action) {
            Some(Action::Builtin(planned)) if planned.promise == Promise::of(&plan) => {}
            _ => {
                return Err(Failure::different("what would run now is not what the plan has shown")
                    .hint(Hint::run("drill --plan")));
            }
        }
        stage.open(self.journal, &inspection)?;
        stage.run(self.session, self.journal, &inspection, &plan)?;
        self.session.same_server()
    }

    fn backward(&self, before: DatabaseState) -> Result<()> {
        let look = || self.options.before_backward(self.session, self.inspection, before.whole()?);
        let inspected = self.journal.console.during("plan", look)?;
        let lost = inspected.losses().find(|loss| loss.values > 0);
        if let Some(loss) = lost.filter(|_| !self.options.may_lose(self.session)) {
            return Err(Failure::different("going back would lose what was not there when the drill began")
                .because(loss.to_string())
                .note("a snapshot is taken first, and put back after the second forward")
                .hint(Hint::run("drill --resume --accept-data-loss")));
        }
        let dropped = inspected.losses().filter(|loss| loss.rows > 0 && loss.removal.now.is_some());
        let dropped = dropped.filter(|loss| loss.removal.is_drop() || loss.values > 0);
        self.progress().dropped.extend(dropped.cloned());
        self.save_progress()?;
        self.stage(Phase::Backward, &self.options.backward(self.session, self.inspection), || Ok(inspected))
    }

    fn start_mirror(&self) {
        let follows = !self.inspection.left_out.iter().any(|(phase, _)| *phase == Phase::Mirror);
        let lease = follows.then(|| mirror::start_early(self.session, self.journal)).flatten();
        let _ = lease.map(|lease| self.mirror.set(lease));
    }

    fn second_forward(&self, before: &DatabaseState) -> Result<Forward> {
        let baseline = self.baseline.get().cloned().ok_or_else(|| Failure::bug("a second forward without a first"))?;
        let Progress { snapshot, dropped, .. } = self.progress().clone();
        let (taken, schema) = (before.standing.pending.clone(), self.inspection.schema.clone());
        Ok(Forward {
            smoke: false,
            pass: Pass::Second(Box::new(SecondPass {
                baseline,
                taken,
                schema,
                dropped,
                snapshot,
                deploy: self.deploy.get().cloned(),
            })),
            accept_data_loss: false,
            deployed: None,
        })
    }

    /// A stage that ended before its first step is a stage that did not go well.
    fn recorded(&self, phase: Phase, result: Result<()>) -> Result<()> {
        let seen = self.journal.record().outcome.stages.len();
        let begun = seen > phase.number() - self.inspection.progress.stage;
        if result.is_err() && !begun {
            self.journal.stage(phase.name())?.end(&result)?;
        }
        result
    }

    /// What a stage says that it left must still be there: the drill works here alone.
    fn left_by(&self, phase: Phase) -> Result<DatabaseState> {
        let state = DatabaseState::read(self.session, &self.inspection.history)?;
        self.update(&state);
        let said = self.journal.record().outcome.counts.clone();
        let wrong = said.map(|said| differing(&said.after, &state.counts)).unwrap_or_default();
        if !wrong.is_empty() {
            return Err(Failure::different(format!(
                "another session wrote to the database after {} had ended",
                phase.name()
            ))
            .because_all(wrong)
            .hint("stop what else writes there"));
        }
        if phase == Phase::ForwardAgain {
            self.look_whether_needless()?;
        }
        if phase == Phase::Forward {
            let run = self.journal.run().folder().file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.progress().baseline = Some(format!("{run}/{}", phase.subfolder()));
            let sums = prints::values(&mut self.session.connection(), self.session.settings.timeouts.snapshot)?;
            files::keep_private(
                &values_of(self.session.settings, &run),
                &serde_json::to_vec(&sums).bug("cannot write values")?,
            );
            let (counts, catalog) = (state.counts.clone(), state.catalog.clone());
            let _ = self.baseline.set(Baseline { counts, values: sums, catalog });
        }
        Ok(state)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, phase: Phase, state: &DatabaseState) -> Result<()> {
        self.journal.subfolder(&phase.subfolder());
        self.progress().stage = phase.number();
        self.progress().standing.clone_from(&state.standing);
        self.save_progress()
    }

    /// What the server and the stages say of where the drill is.
    fn update(&self, state: &DatabaseState) {
        let snapshot = self
            .journal
            .record()
            .outcome
            .extra
            .get("snapshot")
            .filter(|view| view["reason"] != "forward")
            .and_then(|view| view["name"].as_str().map(str::to_owned));
        let mut progress = self.progress();
        progress.standing.clone_from(&state.standing);
        // Of two runs' snapshots the first has what the second no longer found.
        progress.snapshot = progress.snapshot.take().or(snapshot);
        if progress.stage == Phase::Backward.number() {
            progress.taken.clone_from(&state.standing.pending);
        }
    }

    /// Writes down where the drill is, for `--resume` to read; on disk with the next step.
    fn save_progress(&self) -> Result<()> {
        let json = serde_json::to_value(&*self.progress()).bug("cannot write down how far the drill came")?;
        self.journal.record().outcome.extra.insert(progress::KEY.to_owned(), json);
        Ok(())
    }

    /// Of the whole run: what the database was before the first stage, and what it is now.
    pub fn record(&self) -> Result<()> {
        let after = DatabaseState::read(self.session, &self.inspection.history)?;
        self.update(&after);
        self.save_progress()?;
        after.record(self.journal, &self.inspection.before.counts)?;
        let before = &self.inspection.before.standing;
        let rolled_back: Vec<String> = self.progress().taken.iter().rev().cloned().collect();
        let applied = self.inspection.history.migrations.iter().map(|migration| migration.name.clone());
        let new = |name: &String| {
            before.pending.contains(name) && (after.standing.applied.contains(name) || rolled_back.contains(name))
        };
        let applied = applied.filter(new).collect();
        let mut record = self.journal.record();
        let notes = std::mem::take(&mut record.outcome.notes);
        record.outcome.add_notes(&notes);
        record.outcome.migrations = Some(Migrations { applied, pending: after.standing.pending, rolled_back });
        Ok(())
    }

    /// Adds to a failure where the drill stopped, where the rows are, and how to go on.
    pub fn explain(&self, failure: Failure) -> Failure {
        let progress = self.progress().clone();
        let Some(phase) = Phase::ALL.into_iter().find(|phase| phase.number() == progress.stage) else { return failure };
        let failure = failure.note(format!(
            "the drill stopped in stage {} of {}: {}",
            phase.number(),
            Phase::ALL.len(),
            phase.in_words()
        ));
        let failure = match (&progress.snapshot, phase) {
            (Some(name), Phase::Backward | Phase::ForwardAgain) if !progress.dropped.is_empty() => {
                failure.note(format!("what backward dropped is in the snapshot `{name}`"))
            }
            _ => failure,
        };
        let failure = match phase {
            Phase::Mirror | Phase::Parity => failure.note("the database now: all migrations are applied"),
            _ => failure,
        };
        let stuck = !progress.standing.failed.is_empty() || !progress.standing.running.is_empty();
        let on = match phase {
            _ if stuck => return failure,
            Phase::Forward if failure.hint.is_some() => return failure,
            Phase::Forward => Hint::run("drill"),
            Phase::Backward if self.options.accept_data_loss => Hint::run("drill --resume --accept-data-loss"),
            _ => Hint::run("drill --resume"),
        };
        self.then(failure, on)
    }

    /// The way on is the hint, unless another command comes before it. It counts again itself.
    fn then(&self, failure: Failure, on: Hint) -> Failure {
        match failure.hint.as_deref().cloned() {
            Some(first) if first.advice().is_some() => failure.note(first.line(&self.session.settings.aim)).hint(on),
            Some(first) if first != on && first != Hint::run("parity") => {
                failure.note(format!("after that: {}", on.line(&self.session.settings.aim)))
            }
            _ => failure.hint(on),
        }
    }
}
