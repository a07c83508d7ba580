//! Calls the parts in order: declare, guard, dial, inspect, plan, consent, apply, verify, record. Holds no logic of its own.

use crate::clock;
use crate::error::{Failure, OrFail, Result, Status, guarded};
use crate::evidence::committed;
use crate::evidence::folder::Run;
use crate::evidence::outcome::Outcome;
use crate::evidence::record::Record;
use crate::evidence::seal::seal;
use crate::evidence::signature;
use crate::guard::input::Declared;
use crate::guard::{Candidate, Demand};
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::postgres::run_lock::RunLock;
use crate::process::locate::Toolbox;
use crate::run::console::Console;
use crate::run::journal::Journal;
use crate::run::lock_watch::watched;
use crate::run::plan::Plan;
use crate::run::preamble;
use crate::run::stage::Stage;
use crate::sandbox::npm;
use crate::sandbox::{self, Sandbox};
use crate::session::{self, Session};
use crate::settings::{PrismaSettings, Settings};
use redact::Redactor;

/// What a panic is called. The evidence is closed all the same.
const BROKE: &str = "the drill broke while it ran";

/// One invocation of one command.
pub struct Runner<'a> {
    pub settings: &'a Settings,
    pub console: &'a Console,
    pub interrupt: &'a Interrupt,
    pub command: &'static str,
    pub argv: Vec<String>,
    pub plan_only: bool,
}

impl Runner<'_> {
    /// One stage, from the env file to the closed evidence.
    pub fn stage<S: Stage>(&self, stage: &S, outcome: &mut Outcome) -> Result<()> {
        let declared = self.declare()?;
        outcome.phase("declare");
        let redactor = declared.redactor();
        self.console.mask(&redactor);
        let session = match self.reach(&declared, &redactor, S::DEMAND, outcome) {
            Err(failure) if failure.status == Status::Refused || self.could_dial(outcome) => {
                return self.record_failure(stage, None, &redactor, failure, outcome);
            }
            other => other?,
        };
        self.announce(&session);
        outcome.phase("connect");
        let prepare = || watched(&session, self.console, || self.prepare(stage, &session, outcome));
        let prepared = guarded(BROKE, || self.console.during("plan", prepare));
        let (lock, inspection, plan) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => {
                let failure = self.in_time(session.told(failure, false));
                return self.record_failure(stage, Some(&session), &redactor, failure, outcome);
            }
        };
        let losses = stage.losses(&inspection);
        if !losses.is_empty() {
            outcome.extra.insert("losses".to_owned(), losses.into());
        }
        if self.plan_only {
            return self.show(stage, &plan, outcome);
        }
        if let Err(failure) = guarded(BROKE, || stage.consent(&session, &plan, self.console)) {
            // Who interrupts the question has not answered it.
            let failure = self.interrupt.status().map_or(failure, Failure::interrupted);
            return self.record_failure(stage, Some(&session), &redactor, failure, outcome);
        }
        outcome.phase("consent");
        let journal = self.begin(&session, outcome)?;
        lock.into_iter().for_each(|lock| journal.hold(lock));
        let result = guarded(BROKE, || {
            journal.run().write_json("plan.json", &plan)?;
            stage.open(&journal, &inspection)?;
            journal.record().outcome.phase("open");
            let result = watched(&session, self.console, || stage.run(&session, &journal, &inspection, &plan));
            session.same_server().and(result)
        });
        let result = result.map_err(|failure| session.told(failure, true));
        self.tell_of_the_claim(&session, &journal);
        self.close(stage, &journal, result, outcome)
    }

    /// Said where it happened, and not when the next command is refused for it.
    fn tell_of_the_claim(&self, session: &Session<'_>, journal: &Journal<'_>) {
        if !session.claim_was_lost() {
            return;
        }
        let claim = Hint::run("claim --confirm").arg(&session.identity.database).line(&self.settings.aim);
        let told = format!("this run took the database's claim away; what destroys asks for a new one: {claim}");
        self.console.show(format!("warning: {told}"));
        journal.record().outcome.notes.push(told);
    }

    /// Where the target is said to be. For the sandbox: installs what it needs, and starts it.
    pub fn declare(&self) -> Result<Declared> {
        if !self.settings.target.is_sandbox() {
            return Declared::of_environment(self.settings);
        }
        self.packages()?;
        let sandbox = self.sandbox()?;
        if sandbox.started {
            let port = sandbox.port;
            let down = Hint::run("sandbox down").line(&self.settings.aim);
            self.console.say(format!("sandbox: started on port {port}; it stays up for the next command ({down})"));
        }
        Ok(Declared::of_sandbox(self.settings, &sandbox.url()))
    }

    /// The project's packages, installed where there are none.
    pub fn packages(&self) -> Result<()> {
        let tell = |line: &str| self.console.say(line);
        self.console.beside("npm ci", || npm::packages(self.settings, tell, self.interrupt))
    }

    /// The sandbox, started where it does not run.
    pub fn sandbox(&self) -> Result<Sandbox> {
        let tell = |what: &str| self.console.say(format!("sandbox: {what}"));
        self.console.waiting("sandbox", || sandbox::up(self.settings, self.interrupt, &tell))
    }

    /// Guard layers 1 to 3, the connection, and layer 4.
    pub fn reach(
        &self,
        declared: &Declared,
        redactor: &Redactor,
        demand: Demand,
        outcome: &mut Outcome,
    ) -> Result<Session<'_>> {
        let refused = |refusals| Failure::refused(&self.settings.target.name, refusals);
        let candidate: Candidate = declared.check().map_err(refused)?;
        outcome.target = Some(session::view(self.settings, &candidate));
        let open = || Session::open(self.settings, self.interrupt, candidate, redactor.clone(), demand);
        let mut session = self.console.waiting("connect", open).map_err(|failure| self.in_time(failure))?;
        session.headway = self.console.headway.clone();
        Ok(session)
    }

    /// Whether layers 1 to 3 have passed and nothing is missing here: what failed then is the way to the server, or the server.
    fn could_dial(&self, outcome: &Outcome) -> bool {
        outcome.target.is_some() && Toolbox::here(self.settings).is_ok()
    }

    /// Before the first change: what fails after the user has asked to stop fails because of that, whatever it says.
    fn in_time(&self, failure: Failure) -> Failure {
        match self.interrupt.status() {
            Some(status) if matches!(failure.status, Status::Failed | Status::Blocked) => Failure::interrupted(status),
            _ => failure,
        }
    }

    /// A plan needs no lock: it changes nothing, and another run may be at work meanwhile.
    #[allow(clippy::type_complexity, reason = "three things that belong to one caller")]
    fn prepare<S: Stage>(
        &self,
        stage: &S,
        session: &Session<'_>,
        outcome: &mut Outcome,
    ) -> Result<(Option<RunLock>, S::Inspection, Plan<S::Action>)> {
        let lock = if self.plan_only { None } else { Some(RunLock::take(session.connect()?)?) };
        outcome.phase("lock");
        let inspection = stage.inspect(session)?;
        outcome.phase("inspect");
        let plan = stage.plan(session, &inspection)?;
        outcome.phase("plan");
        Ok((lock, inspection, plan))
    }

    fn show<S: Stage>(&self, stage: &S, plan: &Plan<S::Action>, outcome: &mut Outcome) -> Result<()> {
        let json = serde_json::to_value(plan).bug("cannot print the plan")?;
        outcome.extra.insert("plan".to_owned(), json);
        if !self.settings.output.json {
            self.console.result(&stage.in_words(plan));
        }
        Ok(())
    }

    /// The lines before anything is asked of the target: it is the one that was meant.
    pub fn announce(&self, session: &Session<'_>) {
        let view = session.view();
        let project = view.project_ref.map(|project| format!(", project {project}")).unwrap_or_default();
        let claim = session.target.standing().in_words();
        self.console.say(format!(
            "Target: {} is database `{}` on {}:{}{project} (Postgres {}, {claim})",
            view.name, view.database, view.host, view.port, session.identity.version,
        ));
        let candidate = session.target.candidate();
        if candidate.pooled().is_some() {
            let PrismaSettings { url_env, direct_url_env, .. } = &self.settings.prisma;
            self.console.say(format!("Over `{direct_url_env}`: `{url_env}` leads to a pooler in transaction mode"));
        }
        if !candidate.without_effect().is_empty() {
            self.console.say(format!("Without effect in the URL: {}", candidate.without_effect().join(", ")));
        }
        let (prisma, engine) = (&session.toolbox.prisma.version, session.toolbox.engine.in_words());
        self.console.say(format!("Tools: Prisma {prisma}, engine {engine}"));
        let unforwarded = candidate.unforwarded();
        if !unforwarded.is_empty() {
            self.console.say(format!("Kept from children: {}", unforwarded.join(", ")));
        }
    }

    /// The first programs of a run (Node and git, for their versions): nothing is spawned before the guard and the user have
    /// said yes.
    fn begin(&self, session: &Session<'_>, outcome: &mut Outcome) -> Result<Journal<'_>> {
        signature::rehearse(self.settings)?;
        let mut record = preamble::record(self.settings, &self.argv, outcome);
        preamble::add_server(&mut record, session);
        preamble::add_environment(&mut record, session);
        preamble::add_tools(&mut record, session)?;
        record.outcome.phase("tools");
        self.journal(record, &session.redactor, outcome)
    }

    fn journal(&self, mut record: Record, redactor: &Redactor, outcome: &mut Outcome) -> Result<Journal<'_>> {
        let stamp = outcome.started_at.replace(['-', ':'], "");
        if self.settings.recorded() && self.settings.evidence.summary_alone {
            let dir = &self.settings.evidence.dir;
            committed::ignore_the_rest(dir).blocked(|| format!("cannot write to `{}`", self.settings.shown(dir)))?;
        }
        let run = Run::open(&self.settings.evidence_dir(), &stamp, self.command, redactor)?;
        outcome.evidence = Some(self.settings.shown(run.folder()));
        record.outcome.evidence.clone_from(&outcome.evidence);
        Journal::new(self.console, self.interrupt, redactor.clone(), run, record)
    }

    fn close<S: Stage>(
        &self,
        stage: &S,
        journal: &Journal<'_>,
        result: Result<()>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let result = journal.close(result);
        *outcome = journal.record().outcome.clone();
        if let Some(counts) = &outcome.counts {
            self.console.counts(counts);
        }
        let feedback = self.settings.recorded().then(|| stage.feedback(&self.settings.evidence));
        match seal(self.settings, journal.closed(), feedback) {
            Ok(warnings) => {
                warnings.iter().for_each(|warning| self.console.show(warning));
                outcome.notes.extend(warnings);
            }
            Err(failure) if result.is_ok() => {
                outcome.finish(Some(&failure), clock::rfc3339(clock::now()));
                return Err(failure);
            }
            Err(failure) => self.console.show(format!("warning: {failure}")),
        }
        result
    }

    /// A run that ended before its first step is evidence too. Nothing is spawned for it, so it does not know what git says.
    fn record_failure<S: Stage>(
        &self,
        stage: &S,
        session: Option<&Session<'_>>,
        redactor: &Redactor,
        failure: Failure,
        outcome: &mut Outcome,
    ) -> Result<()> {
        // What was mistyped is no run.
        if self.plan_only || failure.status == Status::Usage {
            return Err(failure);
        }
        let mut record = preamble::record(self.settings, &self.argv, outcome);
        if let Some(session) = session {
            preamble::add_server(&mut record, session);
        }
        let journal = self.journal(record, redactor, outcome)?;
        self.close(stage, &journal, Err(failure), outcome)
    }
}

#[cfg(test)]
mod tests;
