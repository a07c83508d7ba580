//! Runs a plan: group after group, the steps of a group side by side, and the first miss stops it.

use crate::error::{Failure, Result};
use crate::hint::READ_THE_LOG;
use crate::process::{Exit, Finished};
use crate::run::journal::Stage;
use crate::run::plan::{Action, Explanation, Plan, Step};

/// Runs a program once; told the number of the try, from 1.
pub type Once<'a> = dyn Fn(u8) -> Result<()> + 'a;

/// `own` does what the stage does itself, and returns what it found in one line. `around` runs a program by its name: what it is given does
/// that once, told the number of the try.
pub fn run_plan<A: Sync>(
    stage: &Stage<'_, '_>,
    plan: &Plan<A>,
    own: &(impl Fn(&A) -> Result<String> + Sync),
    around: &(impl Fn(&str, &Once<'_>) -> Result<()> + Sync),
) -> Result<()> {
    plan.groups.iter().try_for_each(|steps| group(stage, steps, (own, around)))
}

/// All steps of a group are waited for; the first failure in the plan's order is the group's.
fn group<A: Sync>(
    stage: &Stage<'_, '_>,
    steps: &[Step<A>],
    (own, around): (&(impl Fn(&A) -> Result<String> + Sync), &(impl Fn(&str, &Once<'_>) -> Result<()> + Sync)),
) -> Result<()> {
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    let numbers = stage.announce(&names)?;
    if let ([only], [number]) = (steps, numbers.as_slice()) {
        return step(stage, *number, only, (own, around));
    }
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let running: Vec<_> = steps
            .iter()
            .zip(numbers)
            .map(|(each, number)| scope.spawn(move || step(stage, number, each, (own, around))))
            .collect();
        let ended = running.into_iter().map(|thread| thread.join());
        ended.map(|result| result.unwrap_or_else(|_| Err(Failure::bug("a step panicked")))).collect()
    });
    results.into_iter().collect()
}

fn step<A: Sync>(
    stage: &Stage<'_, '_>,
    number: usize,
    step: &Step<A>,
    (own, around): (&(impl Fn(&A) -> Result<String> + Sync), &(impl Fn(&str, &Once<'_>) -> Result<()> + Sync)),
) -> Result<()> {
    match &step.action {
        Action::Builtin(action) => stage.step(number, step.name, || own(action)),
        Action::Child { .. } => around(step.name, &|attempt| run_child(stage, number, step, attempt)),
    }
}

/// Runs the program of a step, with a log for each try.
pub fn run_child<A>(stage: &Stage<'_, '_>, number: usize, step: &Step<A>, attempt: u8) -> Result<()> {
    let Action::Child { invocation, deadline, explain } = &step.action else {
        return Err(Failure::bug(format!("`{}` is no program", step.name)));
    };
    let name = if attempt == 1 { step.name.to_owned() } else { format!("{} {attempt}", step.name) };
    stage.child(number, &name, (invocation, *deadline), |finished| match finished.exit {
        Exit::Success => Ok(()),
        Exit::Interrupted(status) => Err(Failure::interrupted(status)),
        _ => Err(child_failure(step, finished, explain(&finished.tail))),
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

fn child_failure<A>(step: &Step<A>, finished: &Finished, explanation: Option<Explanation>) -> Failure {
    let failure = Failure::failed(format!("{}: `{}` {}", step.failure, step.name, finished.exit.in_words()));
    match explanation {
        Some(Explanation { code, message, details, note, hint }) => {
            let failure = failure.because(format!("{code}: {message}")).because_all(details).hint(hint);
            note.into_iter().fold(failure, Failure::note)
        }
        None if finished.exit == Exit::TimedOut => failure
            .because(format!("it had {} s", finished.duration.as_secs()))
            .hint(format!("raise `{}` under `[timeouts]` in drill.toml", limit_of(step.name))),
        None => {
            let last = finished.tail.iter().rev().find(|line| !line.trim().is_empty());
            failure.because(last.cloned().unwrap_or_else(|| "it said nothing".to_owned())).hint(READ_THE_LOG)
        }
    }
}
