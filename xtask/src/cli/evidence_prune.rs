//! `evidence prune`: what would go, with sizes; and, once that is confirmed, the record that names it and the removal.

use serde_json::json;

use crate::cli::args::Prune;
use crate::clock;
use crate::error::{Failure, Result};
use crate::evidence::outcome::Outcome;
use crate::evidence::prune::{Going, Pruning, Rule};
use crate::evidence::signature;
use crate::evidence::verify::Verification;
use crate::guard::input::Declared;
use crate::hint::Hint;
use crate::rows::snapshot::Store;
use crate::run::console;
use crate::run::preamble;
use crate::run::runner::Runner;
use crate::words::{counted, size};

/// # Errors
/// `different` when the evidence is not what was recorded: nothing is removed then. `failed` when something cannot be written or removed.
pub fn run(args: &Prune, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, .. } = *runner;
    let pruning = planned(args, runner)?;
    let confirmed = args.confirm && !runner.plan_only;
    if confirmed {
        apply(&pruning, runner, outcome)?;
    }
    outcome.extra.insert("prune".to_owned(), as_json(&pruning, confirmed));
    if !settings.output.json {
        console.result(&in_words(args, runner, &pruning, confirmed));
    }
    Ok(())
}

/// Writes the record that names each run that goes, and takes them away.
///
/// # Errors
/// `failed` when something cannot be written or removed.
pub fn apply(pruning: &Pruning, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, .. } = *runner;
    signature::rehearse(settings)?;
    let (redactor, _) = Declared::known_at_any_rate(settings, true, false);
    let mut record = preamble::record(settings, &runner.argv, outcome);
    record.outcome.command = "prune".to_owned();
    let warnings = pruning.apply(settings, &redactor, &mut record)?;
    outcome.evidence.clone_from(&record.outcome.evidence);
    warnings.iter().for_each(|warning| console.show(warning));
    outcome.add_notes(&warnings);
    Ok(())
}

fn planned(args: &Prune, runner: &Runner<'_>) -> Result<Pruning> {
    let verification = verified(runner)?;
    let snapshots = Store::of(runner.settings).list()?.into_iter().map(|snapshot| snapshot.name).collect();
    Ok(Pruning::of(runner.settings, &verification, &rule(args)?, &snapshots))
}

/// # Errors
/// `different` when it is not what was recorded.
pub fn verified(runner: &Runner<'_>) -> Result<Verification> {
    let Runner { settings, interrupt, .. } = *runner;
    let mut verification = Verification::of(settings)?;
    verification.check_signatures(settings, interrupt)?;
    if !verification.findings.is_empty() {
        return Err(Failure::different(
            "the evidence is not what was recorded, and nothing is removed before that is settled",
        )
        .because_all(verification.findings.iter().map(|finding| finding.message.clone()))
        .hint(Hint::run("evidence verify")));
    }
    Ok(verification)
}

fn rule(args: &Prune) -> Result<Rule> {
    match (args.keep, &args.older_than) {
        (Some(count), _) => Ok(Rule::Keep(count)),
        (None, age) => {
            let moment = age.as_deref().and_then(|age| clock::before(clock::now(), age));
            let moment =
                moment.ok_or_else(|| Failure::usage("`--keep N` or `--older-than AGE` says which runs stay"))?;
            Ok(Rule::Since(clock::rfc3339(moment)))
        }
    }
}

pub fn as_json(pruning: &Pruning, confirmed: bool) -> serde_json::Value {
    let going = pruning.going.iter().map(|going| {
        let mut json = json!(going.run);
        json["bytes"] = going.bytes.into();
        json
    });
    let staying = pruning.staying.iter().map(|staying| json!({ "run": staying.run, "why": staying.why }));
    json!({
        "confirmed": confirmed,
        "runs": going.collect::<Vec<_>>(),
        "bytes": pruning.bytes(),
        "unfinished": pruning.left(),
        "kept": staying.collect::<Vec<_>>(),
    })
}

fn in_words(args: &Prune, runner: &Runner<'_>, pruning: &Pruning, confirmed: bool) -> String {
    let dir = runner.settings.shown(&runner.settings.evidence_dir());
    let (runs, bytes) = (counted(pruning.going.len(), "run"), size(pruning.bytes()));
    let mut lines = match (pruning.going.is_empty(), confirmed) {
        (true, _) => vec![format!("no run in `{dir}` has to go")],
        (false, true) => vec![format!("{runs} removed from `{dir}`, {bytes}:")],
        (false, false) => vec![format!("{runs} in `{dir}` would go, {bytes}:")],
    };
    if !pruning.going.is_empty() {
        let row = |going: &Going| {
            let run = &going.run;
            let id = run.run.rsplit('-').next().unwrap_or(&run.run);
            [format!("  {id}"), run.started_at.clone(), run.command.clone(), run.status.clone(), size(going.bytes)]
        };
        lines.push(console::table(["  id", "started", "command", "status", "size"], pruning.going.iter().map(row)));
    }
    let left = pruning.left();
    if left > 0 {
        let what = if confirmed { "removed" } else { "to go" };
        lines.push(format!("{} of an earlier prune {what}", counted(left, "run")));
    }
    lines.extend(pruning.staying.iter().map(|staying| format!("`{}` stays: {}", staying.run, staying.why)));
    if !pruning.is_empty() && !confirmed {
        lines.push(format!("to do it: {}", again(args).line(&runner.settings.aim)));
    }
    lines.join("\n")
}

fn again(args: &Prune) -> Hint {
    let hint = Hint::run("evidence prune");
    let hint = match (args.keep, &args.older_than) {
        (Some(count), _) => hint.arg("--keep").arg(count),
        (None, age) => hint.arg("--older-than").arg(age.as_deref().unwrap_or_default()),
    };
    hint.arg("--confirm")
}
