//! `evidence list`, `show`, `verify` and `report`: past runs, for the person who has to believe them. Nothing here
//! changes a run.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Failure, OrFail, Result};
use crate::evidence::outcome::{Outcome, StageView, StepView};
use crate::evidence::past::{Past, State, find, read_all};
use crate::evidence::record::{Link, Operator, Record, Server};
use crate::evidence::verify::{Finding, Kind, Verification};
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report;
use crate::hint::Hint;
use crate::run::console::{self, Console};
use crate::run::runner::Runner;
use crate::session::TargetView;
use crate::settings::Settings;
use crate::words::{in_line, sentence};
use redact::Redactor;

/// Every run, newest first, with what `verify` says of it; runs that are gone, too.
pub fn list(settings: &Settings, console: &Console, outcome: &mut Outcome) -> Result<()> {
    let verification = Verification::of(settings)?;
    let newest_first = || verification.runs.iter().rev();
    outcome.extra.insert("runs".to_owned(), newest_first().map(|past| listed(past, &verification)).collect());
    if settings.output.json {
        return Ok(());
    }
    if verification.runs.is_empty() {
        console.result(&format!("no runs in `{}`", settings.shown(&settings.evidence_dir())));
    } else {
        let header = ["id", "started", "command", "status", "target", "who", "evidence"];
        console.result(&console::table(header, newest_first().map(|past| row(past, &verification))));
    }
    for finding in &verification.findings {
        console.result(&in_line(&finding.message));
    }
    Ok(())
}

/// One run: what it was, what it did, what it counted, and whether that is still what it recorded.
pub fn show(settings: &Settings, console: &Console, wanted: Option<&str>, outcome: &mut Outcome) -> Result<()> {
    let verification = Verification::of(settings)?;
    let past = meant_run(&verification, wanted, &settings.shown(&settings.evidence_dir()))?;
    let findings: Vec<&Finding> = verification.findings_of(&past.name).collect();
    let mut json = listed(past, &verification);
    json["record"] = json!(past.record);
    outcome.extra.insert("run".to_owned(), json);
    if settings.output.json {
        return Ok(());
    }
    if let Some(record) = &past.record {
        console.result(&in_words(record));
    }
    console.result(&format!("evidence: {}, {}", settings.shown(&past.folder), standing(past, &verification)));
    for finding in findings {
        console.result(&format!("  {}", in_line(&finding.message)));
    }
    Ok(())
}

/// # Errors
/// `different` when anything was changed, added or removed; `usage` when there is no such run.
pub fn verify(runner: &Runner<'_>, wanted: Option<&str>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, interrupt, .. } = *runner;
    let mut verification = Verification::of(settings)?;
    verification.check_signatures(settings, interrupt)?;
    let dir = settings.shown(&settings.evidence_dir());
    let one = wanted.map(|wanted| meant(&verification, wanted, &dir)).transpose()?;
    let is_meant = |run: &str| one.as_deref().is_none_or(|one| one == run);
    let findings: Vec<&Finding> = verification.findings.iter().filter(|finding| is_meant(&finding.run)).collect();
    let closed = verification.runs.iter().filter(|past| past.state == State::Closed && is_meant(&past.name));
    let closed: Vec<&Past> = closed.collect();
    outcome.extra.insert(
        "verification".to_owned(),
        json!({
            "runs": closed.len(),
            "findings": findings,
            "notes": verification.notes,
            "ends": verification.ends().iter().map(|past| vouched(past, &verification)).collect::<Vec<_>>(),
        }),
    );
    if findings.is_empty() {
        if !settings.output.json {
            console.result(&verified(&verification, &closed, one.is_some(), &dir));
        }
        return Ok(());
    }
    Err(Failure::different(format!("the evidence in `{dir}` is not what was recorded"))
        .because_all(findings.iter().map(|finding| finding.message.clone()))
        .hint(Hint::shell("git log --stat --").arg(dir)))
}

/// Makes the page of an old run again, beside its folder and not in it: one file more would be a change of the
/// evidence.
pub fn report(
    runner: &Runner<'_>,
    wanted: Option<&str>,
    out: Option<&Path>,
    redactor: &Redactor,
    outcome: &mut Outcome,
) -> Result<()> {
    let Runner { settings, console, .. } = *runner;
    let dir = settings.evidence_dir();
    let runs = read_all(&dir).blocked(|| format!("cannot read `{}`", settings.shown(&dir)))?;
    let reading = Reading::open(&find(&runs, wanted, &settings.shown(&dir))?.folder, redactor)?;
    let shown = settings.shown(&report::save(&reading, out, &settings.private_dir())?);
    outcome.extra.insert("report".to_owned(), shown.clone().into());
    if !settings.output.json {
        console.result(&shown);
    }
    Ok(())
}

/// The name of a run, which may be gone: who asks for that one has read of it elsewhere.
fn meant(verification: &Verification, wanted: &str, dir: &str) -> Result<String> {
    let is_gone = |finding: &&Finding| {
        finding.kind == Kind::Removed && (finding.run == wanted || finding.run.ends_with(&format!("-{wanted}")))
    };
    match verification.findings.iter().find(is_gone) {
        Some(finding) => Ok(finding.run.clone()),
        None => meant_run(verification, Some(wanted), dir).map(|past| past.name.clone()),
    }
}

/// Who asks for a run that was pruned has read of it elsewhere, too.
fn meant_run<'a>(verification: &'a Verification, wanted: Option<&str>, dir: &str) -> Result<&'a Past> {
    find(&verification.runs, wanted, dir).map_err(|failure| {
        match wanted.and_then(|wanted| verification.pruned(wanted)) {
            Some((run, anchor)) => Failure::usage(format!("the run `{run}` was pruned"))
                .note(format!("`{}` names it, with how it ended and the digest of its record", anchor.name))
                .hint(Hint::run("evidence show").arg(anchor.short_id())),
            None => failure,
        }
    })
}

/// No more than was verified.
fn verified(verification: &Verification, closed: &[&Past], one_alone: bool, dir: &str) -> String {
    let in_part = closed.iter().any(|past| verification.summaries.contains(&past.name));
    let files = if in_part { "every file that is here" } else { "every file" };
    let mut lines = match closed {
        [] => vec![format!("nothing was verified: no closed run in `{dir}`")],
        [past] if one_alone => {
            vec![format!("`{}`: {files} is as its record says", past.name), vouched_in_words(past, verification)]
        }
        [_] => vec![format!("1 run in `{dir}`: {files} is as its record says")],
        runs => vec![format!(
            "{} runs in `{dir}`: {files} is as its record says, and every record is as the run after it says",
            runs.len()
        )],
    };
    if !one_alone {
        lines.extend(verification.ends().into_iter().map(|past| vouched_in_words(past, verification)));
        lines.extend(verification.notes.iter().map(|note| format!("note: {}", in_line(note))));
    }
    lines.join("\n")
}

fn vouched_in_words(past: &Past, verification: &Verification) -> String {
    let signed = verification.signed_by(&past.name).map(|who| format!("signed by {who}"));
    let said = match verification.vouched_by(past).as_slice() {
        [] => None,
        by => Some(format!("as `{}` says", by.join("` and `"))),
    };
    match (said, signed) {
        (None, None) => format!("`{}`: nothing outside its own folder vouches for its record", past.name),
        (said, signed) => {
            let both: Vec<String> = said.into_iter().chain(signed).collect();
            format!("`{}`: its record is {}", past.name, both.join(", and "))
        }
    }
}

fn vouched(past: &Past, verification: &Verification) -> Value {
    let (vouched_by, signed_by) = (verification.vouched_by(past), verification.signed_by(&past.name));
    json!({ "run": past.name, "sha256": past.sha256, "vouched_by": vouched_by, "signed_by": signed_by })
}

fn listed(past: &Past, verification: &Verification) -> Value {
    let outcome = past.record.as_ref().map(|record| &record.outcome);
    json!({
        "run": past.name,
        "state": state(past),
        "command": outcome.map(|outcome| &outcome.command),
        "status": outcome.map(|outcome| &outcome.status),
        "target": outcome.map(|outcome| &outcome.target),
        "operator": past.record.as_ref().map(|record| &record.operator),
        "started_at": outcome.map(|outcome| &outcome.started_at),
        "closed_at": past.link.as_ref().and_then(Link::closed_at),
        "findings": verification.findings_of(&past.name).collect::<Vec<_>>(),
    })
}

fn state(past: &Past) -> &'static str {
    match past.state {
        State::Closed => "closed",
        State::Running => "running",
        State::Unclosed => "unclosed",
        State::Unreadable(_) => "unreadable",
        State::Foreign => "foreign",
    }
}

fn row(past: &Past, verification: &Verification) -> [String; 7] {
    let standing = standing(past, verification);
    let Some(record) = &past.record else {
        let blank = || "-".to_owned();
        let name = if past.state == State::Foreign { &past.name } else { past.short_id() };
        return [name.to_owned(), blank(), blank(), blank(), blank(), blank(), standing];
    };
    let Outcome { started_at, command, status, target, .. } = &record.outcome;
    let target = target.as_ref().map_or("-", |target| target.name.as_str());
    let word = if past.state == State::Unclosed { "abandoned" } else { status };
    let [started_at, command, word, target] = [started_at, command, word, target].map(str::to_owned);
    [past.short_id().to_owned(), started_at, command, word, target, who(&record.operator), standing]
}

/// Whether the evidence of one run is what it was, in two words.
fn standing(past: &Past, verification: &Verification) -> String {
    let findings = verification.findings_of(&past.name).count();
    match &past.state {
        _ if findings > 0 => "altered".to_owned(),
        State::Closed if verification.summaries.contains(&past.name) => "its record alone".to_owned(),
        State::Closed => "as recorded".to_owned(),
        State::Running => "not closed yet".to_owned(),
        State::Unclosed => "not closed".to_owned(),
        State::Unreadable(_) => "empty".to_owned(),
        State::Foreign => "no run".to_owned(),
    }
}

fn who(operator: &Operator) -> String {
    match (&operator.ci_run, &operator.user, &operator.host) {
        (Some(url), _, _) => url.clone(),
        (None, Some(user), Some(host)) => format!("{user}@{host}"),
        (None, user, host) => user.clone().or_else(|| host.clone()).unwrap_or_else(|| "-".to_owned()),
    }
}

/// A record as a page of text. What it does not have is left out.
fn in_words(record: &Record) -> String {
    let outcome = &record.outcome;
    let mut lines = vec![format!("{}: {}", outcome.command, outcome.status)];
    lines.extend(facts(record).into_iter().map(|(name, value)| format!("  {name:<8} {}", in_line(&value))));
    lines.extend(outcome.stages.iter().flat_map(stage));
    lines.extend(outcome.counts.as_ref().map(console::counts_table));
    lines.extend(ending(outcome));
    lines.join("\n")
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let Record { outcome, operator, tools, .. } = record;
    let mut facts = Vec::new();
    if let Some(TargetView { name, host, port, database, .. }) = &outcome.target {
        facts.push(("target", format!("{name} is database `{database}` on {host}:{port}")));
    }
    if let Some(Server { version, address, claimed, .. }) = &record.server {
        let claimed = if *claimed { "claimed as disposable" } else { "unclaimed" };
        facts.push(("server", format!("Postgres {version} at {address}, {claimed}")));
    }
    let until = outcome.finished_at.as_deref().unwrap_or("unknown");
    facts.push(("time", format!("{} to {until}", outcome.started_at)));
    let who: Vec<&str> =
        [&operator.user, &operator.host, &operator.ci_run].into_iter().flatten().map(String::as_str).collect();
    facts.push(("who", format!("{}, as the environment said", who.join(", "))));
    if let Some(git) = &record.git {
        let dirty = if git.dirty { ", with uncommitted changes" } else { "" };
        facts.push(("commit", format!("{}{dirty}", git.commit)));
    }
    let others = [("node", &tools.node), ("prisma", &tools.prisma), ("engine", &tools.engine)];
    let others = others.into_iter().filter_map(|(name, version)| Some(format!(", {name} {}", version.as_ref()?)));
    facts.push(("tools", format!("drill {}{}", tools.drill, others.collect::<String>())));
    if let Some(abandoned) = &record.abandoned {
        facts.push(("closed", format!("by {}, which found it open", abandoned.closed_by)));
    }
    facts
}

fn ending(outcome: &Outcome) -> Vec<String> {
    let error = outcome.error.iter().map(|error| format!("error: {}", error.message));
    let refusals = outcome.refusals.iter().map(|refusal| format!("  {}: {}", refusal.check, refusal.message));
    let causes = outcome.causes().iter().map(|cause| format!("caused by: {cause}"));
    let hint = outcome.hint.iter().map(|hint| format!("hint: {hint}"));
    let notes = outcome.notes.iter().map(|note| format!("note: {note}"));
    error.chain(refusals).chain(causes).chain(hint).chain(notes).map(|line| sentence(&line)).collect()
}

fn stage(stage: &StageView) -> Vec<String> {
    let step = |step: &StepView| {
        let mark = match step.status.as_str() {
            "ok" => "✓",
            "skipped" => "-",
            _ => "✗",
        };
        let found = step.detail.as_ref().or(step.log.as_ref()).map(String::as_str).unwrap_or_default();
        let line = format!("  {mark} {}: {}, {} ms  {found}", step.name, step.status, step.duration_ms);
        in_line(line.trim_end())
    };
    let why = stage.detail.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
    std::iter::once(in_line(&format!("{}: {}{why}", stage.name, stage.status)))
        .chain(stage.steps.iter().map(step))
        .collect()
}
