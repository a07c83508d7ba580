//! The running record of one run: each step is on disk and on the console when it begins and when it ends.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock;
use crate::error::{Failure, Result, Status};
use crate::evidence::abandoned::{self, Adopted};
use crate::evidence::debug_log::DebugLog;
use crate::evidence::folder::Run;
use crate::evidence::outcome::{StageView, StepView};
use crate::evidence::record::Record;
use crate::evidence::views;
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::postgres::run_lock::RunLock;
use crate::process::{Finished, Invocation};
use crate::run::console::Console;
use crate::run::early::Early;
use crate::run::ended::Ended;
use redact::Redactor;

pub struct Journal<'a> {
    pub console: &'a Console,
    pub interrupt: &'a Interrupt,
    pub redactor: Redactor,
    pub early: Early,
    run: Run,
    adopted: Vec<Adopted>,
    record: Mutex<Record>,
    debug: DebugLog,
    /// No step begins without it.
    lock: OnceLock<RunLock>,
    /// The folder in the evidence that a drill's stage has for its own files; empty for a run of one stage.
    subfolder: Mutex<String>,
    /// Whether any step has.
    has_begun: AtomicBool,
}

/// One stage that is running.
pub struct Stage<'a, 'b> {
    journal: &'b Journal<'a>,
    index: usize,
    begun: Instant,
}

impl<'a> Journal<'a> {
    pub fn new(
        console: &'a Console,
        interrupt: &'a Interrupt,
        redactor: Redactor,
        run: Run,
        record: Record,
    ) -> Result<Self> {
        run.save(&record)?;
        let adopted = abandoned::close_all(&run);
        adopted.iter().for_each(|left| console.show(&left.sentence));
        let debug = DebugLog::of(&run)?;
        debug.line(format!("{} {} begins: {}", record.tools.drill, run.name(), record.argv.join(" ")));
        let (record, subfolder) = (Mutex::new(record), Mutex::default());
        let lock = OnceLock::new();
        let early = Early::default();
        let has_begun = AtomicBool::new(false);
        Ok(Journal { console, interrupt, redactor, early, run, adopted, record, debug, lock, subfolder, has_begun })
    }

    /// Gives the journal the lock of this run, to ask before each step whether it is still held.
    pub fn hold(&self, lock: RunLock) {
        let _ = self.lock.set(lock);
    }

    /// The lock of this run; None where it has none.
    pub fn run_lock(&self) -> Option<&RunLock> {
        self.lock.get()
    }

    /// # Errors
    /// `interrupted`; `failed` where the lock of the run is lost.
    fn may_go_on(&self) -> Result<()> {
        self.interrupt.check()?;
        self.lock.get().map_or(Ok(()), RunLock::check)
    }

    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The folders of the runs that a crash had left open and this one closed, and its own.
    pub fn closed(&self) -> impl Iterator<Item = &Path> {
        let adopted = self.adopted.iter().filter(|left| left.closed).map(|left| left.folder.as_path());
        adopted.chain([self.run.folder()])
    }

    /// Where `write_json` puts files from now on: `<name>/` in the evidence, or the folder itself for an empty name.
    /// Each of a drill's stages leaves files of the same names.
    pub fn subfolder(&self, name: &str) {
        name.clone_into(&mut self.subfolder.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes a new file of the stage that is at work.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let subfolder = self.subfolder.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let name = if subfolder.is_empty() { name.to_owned() } else { format!("{subfolder}/{name}") };
        self.run.write_json(&name, value)
    }

    /// A stage that was left out: named, so that silence is not taken for success.
    pub fn skip(&self, name: &str, why: &str) -> Result<()> {
        let mut record = self.record();
        let (now, detail) = (record.outcome.elapsed_ms(), Some(format!("left out, {why}")));
        let view = StageView { status: "skipped".to_owned(), detail, ..StageView::running(name, now) };
        record.outcome.stages.push(view);
        drop(record);
        self.console.left_out(name, why);
        self.save()
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To look into the log `name` of this run.
    pub fn read(&self, name: &str) -> Hint {
        let folder = self.record().outcome.evidence.clone().unwrap_or_else(|| self.run.folder().display().to_string());
        Hint::read(Path::new(&folder).join(name).display())
    }

    /// To look into the log of the program that ran last in a step of this name.
    pub fn read_step(&self, name: &str) -> Hint {
        let record = self.record();
        let steps = record.outcome.stages.iter().flat_map(|stage| &stage.steps).filter(|step| step.name == name);
        let log = steps.filter_map(|step| step.log.clone()).next_back().unwrap_or_default();
        drop(record);
        self.read(&log)
    }

    fn save(&self) -> Result<()> {
        self.run.save(&self.record()).map_err(|failure| self.hole(failure))
    }

    pub fn stage(&self, name: &str) -> Result<Stage<'a, '_>> {
        let index = {
            let mut record = self.record();
            let view = StageView::running(name, record.outcome.elapsed_ms());
            record.outcome.stages.push(view);
            record.outcome.stages.len() - 1
        };
        self.save()?;
        self.console.say(format!("{name}:"));
        Ok(Stage { journal: self, index, begun: Instant::now() })
    }

    /// A run whose steps have begun may have changed the database: to run it again is no way to mend its evidence.
    fn hole(&self, failure: Failure) -> Failure {
        if !self.has_begun.load(Ordering::Relaxed) {
            return failure.note("no step had begun, so the database is as it was");
        }
        failure
            .note(
                "what the run has done to the database stays; make room for its evidence, then look where the database is",
            )
            .hint(Hint::run("forward --plan"))
    }

    /// Before any step, and whatever it does.
    fn begin_step(&self) -> Result<()> {
        self.may_go_on()?;
        self.has_begun.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the record, whatever happened: a step or stage that still runs is closed with the run's own word. Returns
    /// what the run came to, which a leak or a record that cannot be written makes worse.
    pub fn close(&self, result: Result<()>) -> Result<()> {
        self.early.end();
        let result = match self.run.purge_leaks() {
            Ok(leaked) if leaked.is_empty() => result,
            Ok(leaked) => Err(leak_failure(&leaked)),
            Err(failure) => both(result, failure),
        };
        self.debug.line(result.as_ref().map_or_else(Failure::in_full, |()| "ok".to_owned()));
        let mut record = self.record();
        record.outcome.finish(result.as_ref().err(), clock::rfc3339(clock::now()));
        let result = match views::write(&self.run, &record) {
            Ok(()) => result,
            Err(failure) => {
                let result = both(result, self.hole(failure));
                record.outcome.finish(result.as_ref().err(), clock::rfc3339(clock::now()));
                result
            }
        };
        match self.run.close(&mut record) {
            Ok(()) => result,
            Err(failure) => both(result, self.hole(failure)),
        }
    }
}

/// The run's own failure comes first; that the evidence has a hole is said with it.
fn both(result: Result<()>, evidence: Failure) -> Result<()> {
    Err(match result {
        Ok(()) => evidence,
        Err(failure) => failure.because_of(evidence),
    })
}

fn leak_failure(files: &[String]) -> Failure {
    Failure::failed(format!("a secret was found in the evidence after the run: {}", files.join(", ")))
        .because("the masking missed it; the files were removed")
        .hint("change that secret, and report which program printed it in which form")
}

impl Stage<'_, '_> {
    /// Writes down that steps are next, in the plan's order, whichever of them begins first; each is named by its
    /// number.
    pub fn announce(&self, names: &[&str]) -> Result<Vec<usize>> {
        let numbers = {
            let mut record = self.journal.record();
            let now = record.outcome.elapsed_ms();
            let steps = &mut record.outcome.stages[self.index].steps;
            let first = steps.len();
            steps.extend(names.iter().map(|name| StepView::running(name, now)));
            (first..steps.len()).collect()
        };
        self.journal.save()?;
        Ok(numbers)
    }

    /// Says which steps of the plan no longer come.
    pub fn not_tried(&self, names: &[&str]) {
        self.journal.console.not_tried("  ", names);
    }

    /// Of a step among all steps of the run, from 1: the number of its log.
    fn number(&self, index: usize) -> usize {
        let stages = &self.journal.record().outcome.stages;
        stages[..self.index].iter().map(|stage| stage.steps.len()).sum::<usize>() + index + 1
    }

    fn note(&self, step: usize, change: impl FnOnce(&mut StepView)) {
        change(&mut self.journal.record().outcome.stages[self.index].steps[step]);
    }

    /// Writes down how the steps ended.
    pub fn save(&self) -> Result<()> {
        self.journal.save()
    }

    /// A step of our own. Where it is not `alone`, what is counted may be another step's. Its end is written down by whatever is saved next:
    /// where another step follows at once, that one is announced.
    pub fn step<T: Into<Ended>>(
        &self,
        index: usize,
        (name, alone): (&str, bool),
        work: impl FnOnce() -> Result<T>,
    ) -> Result<()> {
        self.journal.begin_step()?;
        self.journal.debug.line(format!("{name}: begins"));
        let console = self.journal.console;
        let timed = || {
            let begun = Instant::now();
            (work(), begun.elapsed())
        };
        let (result, took) = if alone { console.during(name, timed) } else { console.waiting(name, timed) };
        let (word, detail, result) = match result {
            Ok(found) => {
                let (word, detail) = found.into().in_words();
                (word, detail, Ok(()))
            }
            Err(failure) => (failure.status.word(), failure.message.clone(), Err(failure)),
        };
        self.journal.debug.line(format!("{name}: {word}, {detail}"));
        self.note(index, |step| {
            step.status = word.to_owned();
            step.duration_ms = milliseconds(took);
            step.detail = Some(detail.clone());
        });
        match word {
            "ok" => console.ok(name, &detail, took),
            "skipped" => console.skipped(name, &detail, took),
            _ => console.failed(name, &detail, took),
        }
        result
    }

    /// A child process, its masked output in a log of its own. How it ended is for `judge` to say, which gets the way to that log, too; a
    /// log that is not whole fails the step in any case.
    pub fn child(
        &self,
        index: usize,
        name: &str,
        (invocation, deadline): (&Invocation, Duration),
        judge: impl FnOnce(&Finished, Hint) -> Result<()>,
    ) -> Result<()> {
        self.journal.begin_step()?;
        let (log, file) = self.journal.run.log(self.number(index), name)?;
        let given: Vec<_> = invocation.env.keys().map(|name| name.to_string_lossy()).collect();
        let (shown, dir) = (invocation.shown(), invocation.dir.display());
        self.journal.debug.line(format!("{name}: $ {shown}\nin {dir}, given {}", given.join(" ")));
        let console = self.journal.console;
        let child = self.journal.early.take_or_start(invocation)?;
        let run = || child.run(deadline, file, &self.journal.redactor, self.journal.interrupt);
        let finished = console.waiting(name, run)?;
        let process = self.journal.record().outcome.lifetime(finished.started);
        self.journal.debug.line(format!("{name}: {}", finished.exit.in_words()));
        let whole = finished.whole(&log);
        let hole = whole.as_ref().err().map(|failure| failure.message.clone());
        let ended = judge(&finished, self.journal.read(&log));
        let result = match whole {
            Ok(()) => ended,
            Err(failure) => both(ended, failure),
        };
        self.note(index, |step| {
            step.status = result.as_ref().map_or_else(|failure| failure.status, |()| Status::Ok).word().to_owned();
            step.exit_code = finished.exit.code();
            step.exit = Some(finished.exit);
            step.duration_ms = milliseconds(finished.duration);
            step.process = Some(process);
            step.detail.clone_from(&hole);
            step.log = Some(log);
        });
        self.save()?;
        match &result {
            Ok(()) => console.ok(name, "done", finished.duration),
            Err(_) => console.failed(name, &hole.unwrap_or_else(|| finished.exit.in_words()), finished.duration),
        }
        result
    }

    pub fn end(&self, result: &Result<()>) -> Result<()> {
        let word = result.as_ref().map_or_else(|failure| failure.status.word(), |()| Status::Ok.word());
        {
            let mut record = self.journal.record();
            let stage = &mut record.outcome.stages[self.index];
            stage.status = word.to_owned();
            stage.duration_ms = milliseconds(self.begun.elapsed());
        }
        self.journal.save()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
