//! Runs a plan: group after group, the steps of a group side by side, and the first miss stops it.

use crate::error::{Failure, Result};
use crate::hint::Hint;
use crate::process::{Exit, Finished, NodeError, said};
use crate::run::ended::Ended;
use crate::run::journal::Stage;
use crate::run::plan::{Action, Explanation, Plan, Step};

/// Runs a program once; told the number of the try, from 1.
pub type Once<'a> = dyn Fn(u8) -> Result<()> + 'a;

/// `own` does what the stage does itself. `around` runs a program by its name: what it is given does
/// that once, told the number of the try.
pub fn run_plan<A: Sync>(
    stage: &Stage<'_, '_>,
    plan: &Plan<A>,
    own: &(impl Fn(&A) -> Result<Ended> + Sync),
    around: &(impl Fn(&str, &Once<'_>) -> Result<()> + Sync),
) -> Result<()> {
    plan.groups.iter().enumerate().try_for_each(|(at, steps)| {
        let left = || plan.groups[at + 1..].iter().flatten().map(|step| step.name);
        group(stage, steps, (own, around)).inspect_err(|_| stage.not_tried(&left().collect::<Vec<_>>()))?;
        // Else the next step says so in a moment.
        if at + 1 == plan.groups.len() { stage.save() } else { Ok(()) }
    })
}

/// All steps of a group are waited for; the first failure in the plan's order is the group's.
fn group<A: Sync>(
    stage: &Stage<'_, '_>,
    steps: &[Step<A>],
    (own, around): (&(impl Fn(&A) -> Result<Ended> + Sync), &(impl Fn(&str, &Once<'_>) -> Result<()> + Sync)),
) -> Result<()> {
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    let numbers = stage.announce(&names)?;
    let own_steps = steps.iter().filter(|step| matches!(step.action, Action::Builtin(_))).count();
    if let ([only], [number]) = (steps, numbers.as_slice()) {
        return step(stage, (*number, true), only, (own, around));
    }
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let running: Vec<_> = steps
            .iter()
            .zip(numbers)
            .map(|(each, number)| {
                scope.spawn(move || {
                    let result = step(stage, (number, own_steps == 1), each, (own, around));
                    // The others may take their time.
                    result.and(stage.save())
                })
            })
            .collect();
        let ended = running.into_iter().map(|thread| thread.join());
        ended.map(|result| result.unwrap_or_else(|_| Err(Failure::bug("a step panicked")))).collect()
    });
    results.into_iter().collect()
}

fn step<A: Sync>(
    stage: &Stage<'_, '_>,
    (number, alone): (usize, bool),
    step: &Step<A>,
    (own, around): (&(impl Fn(&A) -> Result<Ended> + Sync), &(impl Fn(&str, &Once<'_>) -> Result<()> + Sync)),
) -> Result<()> {
    match &step.action {
        Action::Builtin(action) => stage.step(number, (step.name, alone), || own(action)),
        Action::Child { .. } => around(step.name, &|attempt| run_child(stage, number, step, attempt)),
    }
}

/// Runs the program of a step, with a log for each try.
pub fn run_child<A>(stage: &Stage<'_, '_>, number: usize, step: &Step<A>, attempt: u8) -> Result<()> {
    let Action::Child { invocation, deadline, explain } = &step.action else {
        return Err(Failure::bug(format!("`{}` is no program", step.name)));
    };
    let name = if attempt == 1 { step.name.to_owned() } else { format!("{} {attempt}", step.name) };
    stage.child(number, &name, (invocation, *deadline), |finished, log| match finished.exit {
        Exit::Success => Ok(()),
        Exit::Interrupted(status) => Err(Failure::interrupted(status)),
        _ => Err(child_failure(step, finished, explain(&finished.tail), log)),
    })
}

/// The setting that bounds a program.
fn limit_of(step: &str) -> &'static str {
    match step {
        "generate" => "generate",
        "smoke" => "smoke",
        _ => "migrate",
    }
}

fn child_failure<A>(step: &Step<A>, finished: &Finished, explanation: Option<Explanation>, log: Hint) -> Failure {
    let failure = Failure::failed(format!("{}: `{}` {}", step.failure, step.name, finished.exit.in_words()));
    if explanation.is_none() && finished.exit == Exit::TimedOut {
        return failure
            .because(format!("it had {} s", finished.duration.as_secs()))
            .hint(format!("raise `{}` under `[timeouts]` in drill.toml", limit_of(step.name)));
    }
    in_its_words(failure, &finished.tail, explanation, log)
}

/// `failure` with why, as the program said it, and what to do: its code's own way out, else Node's, else its log.
pub fn in_its_words(failure: Failure, said: &[String], explanation: Option<Explanation>, log: Hint) -> Failure {
    match explanation {
        Some(Explanation { code, message, details, note, hint }) => {
            let failure = failure.because(format!("{code}: {message}")).because_all(details).hint(hint.unwrap_or(log));
            note.into_iter().fold(failure, Failure::note)
        }
        None => failure.because(said::why(said)).hint(NodeError::of(said).map_or(log, |known| known.hint())),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;
    use crate::evidence::folder::Run;
    use crate::evidence::record::Record;
    use crate::hint::Aim;
    use crate::interrupt::Interrupt;
    use crate::process::Invocation;
    use crate::run::console::Console;
    use crate::run::journal::Journal;
    use crate::settings::Output;
    use redact::Redactor;

    const QUIET: Output = Output {
        json: false,
        quiet: true,
        color: false,
        color_results: false,
        live: false,
        person: false,
        github: false,
    };

    fn journal<'a>(root: &Path, evidence: &str, console: &'a Console, interrupt: &'a Interrupt) -> Journal<'a> {
        let redactor = Redactor::generic();
        let run = Run::open(&root.join(evidence), "20261123T000000Z", "forward", &redactor).unwrap();
        let record = Record::of(json!({ "evidence": format!("{evidence}/{}", run.name()) }));
        Journal::new(console, interrupt, redactor, run, record).unwrap()
    }

    /// What a user reads of a step that runs `script` in a run whose evidence lies in `evidence`, below `root`; and what is in the log that it leads to.
    fn told(root: &Path, evidence: &str, script: &str, attempt: u8) -> (String, String) {
        let (console, interrupt) = (Console::new(QUIET), Interrupt::default());
        let journal = journal(root, evidence, &console, &interrupt);
        let name = journal.run().name();
        let stage = journal.stage("forward").unwrap();
        let invocation = Invocation::new("/bin/sh", root).args(["-c", script]);
        let deadline = Duration::from_secs(20);
        let action: Action<()> = Action::Child { invocation, deadline, explain: |_| None };
        let step = Step { name: "its step", does: String::new(), failure: "it is not done", action };
        let numbers = stage.announce(&["before", "its step"]).unwrap();
        let failure = run_child(&stage, numbers[1], &step, attempt).unwrap_err();
        let hint = failure.hint.as_ref().unwrap().line(&Aim::default());
        let last = journal.read_step("its step").line(&Aim::default());
        let log =
            last.strip_prefix("less ").map(|path| std::fs::read_to_string(root.join(path.trim_matches('\''))).unwrap());
        let causes: Vec<String> = failure.causes().collect();
        let text = format!("{}\n{}\nhint: {hint}\nthe last log: {last}", failure.message, causes.join("\n"));
        (text.replace(&name, "RUN"), log.unwrap())
    }

    #[test]
    fn a_failure_that_nobody_knows_is_told_in_its_first_words_and_leads_to_its_log() {
        let root = tempfile::tempdir().unwrap();
        let stack =
            "i=0; while [ $i -lt 90 ]; do echo \"    at f (a.js:$i)\" >&2; i=$((i+1)); done; echo 'Node.js v20.20.2'";
        let (text, log) =
            told(root.path(), ".drill/evidence", &format!("echo 'Error: the reason' >&2; {stack}; exit 1"), 1);
        assert!(log.contains("at f (a.js:89)") && log.contains("[exited with code 1"), "{log}");
        let silent = told(root.path(), "feedback/my evidence", "exit 7", 2).0;
        let known =
            told(root.path(), "e", "echo \"Error: EROFS: read-only file system, open '/x/y'\"; kill -9 $$", 1).0;
        insta::assert_snapshot!([text, silent, known].join("\n\n"), @"
        it is not done: `its step` exited with code 1
        Error: the reason
        hint: less .drill/evidence/RUN/02-its-step.log
        the last log: less .drill/evidence/RUN/02-its-step.log

        it is not done: `its step` exited with code 7
        it said nothing
        hint: less 'feedback/my evidence/RUN/02-its-step-2.log'
        the last log: less 'feedback/my evidence/RUN/02-its-step-2.log'

        it is not done: `its step` was killed by signal 9
        Error: EROFS: read-only file system, open '/x/y'
        hint: run this where `/x/y` can be written; see docs/failures/node-read-only-disk
        the last log: less e/RUN/02-its-step.log
        ");
    }

    static SAID: Mutex<String> = Mutex::new(String::new());

    /// Waits until all of it was said.
    fn said(texts: &[&str]) -> String {
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            let said = SAID.lock().unwrap().clone();
            if texts.iter().all(|text| said.contains(text)) {
                return said;
            }
            assert!(Instant::now() < limit, "{texts:?} are not in {said}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn of_steps_side_by_side_none_is_told_with_the_numbers_of_another() {
        let (root, interrupt) = (tempfile::tempdir().unwrap(), Interrupt::default());
        let console = Console::new(Output { quiet: false, ..QUIET })
            .heard(Duration::from_millis(10), |text| SAID.lock().unwrap().write_fmt(text).unwrap());
        let journal = journal(root.path(), "e", &console, &interrupt);
        let stage = journal.stage("forward").unwrap();
        let step = |name| Step { name, does: String::new(), failure: "", action: Action::Builtin(name) };
        let own = |name: &&str| {
            let work = console.headway.part(9);
            work.step(3, name);
            said(if *name == "alone" { &["… alone 3/9 alone ("] } else { &["… one: ", "… other: "] });
            Ok(Ended::from(String::new()))
        };
        group(&stage, &[step("one"), step("other")], (&own, &|_, run| run(1))).unwrap();
        group(&stage, &[step("alone")], (&own, &|_, run| run(1))).unwrap();
        let said = said(&[]);
        assert!(said.lines().filter(|line| line.contains("3/9")).all(|line| line.starts_with("  … alone")), "{said}");
    }
}
