//! `evidence list`, `show` and `verify`: past runs, for the person who has to believe them. Reads files and nothing else.

use serde_json::{Value, json};

use crate::console::{self, Console};
use crate::drill::Drill;
use crate::error::{Failure, Result};
use crate::evidence::past::{Past, State, Summary};
use crate::evidence::run::RECORD;
use crate::evidence::verify::{Finding, Verification};
use crate::outcome::{BeforeAfter, Outcome};
use crate::settings::Settings;

/// Every run, newest first, with what `verify` says of it; runs that are gone, too.
pub fn list(settings: &Settings, console: &Console, outcome: &mut Outcome) -> Result<()> {
    let verification = Verification::of(settings)?;
    outcome
        .extra
        .insert("runs".to_owned(), verification.runs.iter().rev().map(|past| listed(past, &verification)).collect());
    if settings.output.json {
        return Ok(());
    }
    if verification.runs.is_empty() {
        console.result(&format!("no runs in `{}`", settings.shown(&settings.evidence_dir())));
    } else {
        let header = ["id", "started", "command", "status", "target", "who", "evidence"];
        console.result(&console::table(header, verification.runs.iter().rev().map(|past| row(past, &verification))));
    }
    for finding in &verification.findings {
        console.result(&finding.message);
    }
    Ok(())
}

/// One run: what it was, what it did, what it counted, and whether that is still what it recorded.
pub fn show(settings: &Settings, console: &Console, wanted: Option<&str>, outcome: &mut Outcome) -> Result<()> {
    let verification = Verification::of(settings)?;
    let past = find(settings, &verification.runs, wanted)?;
    let findings: Vec<&Finding> = verification.findings_of(&past.name).collect();
    let record: Option<Value> =
        std::fs::read(past.folder.join(RECORD)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut json = listed(past, &verification);
    json["record"] = json!(record);
    outcome.extra.insert("run".to_owned(), json);
    if settings.output.json {
        return Ok(());
    }
    if let Some(record) = &record {
        console.result(&in_words(record));
    }
    console.result(&format!("evidence: {}, {}", settings.shown(&past.folder), standing(past, &verification)));
    for finding in findings {
        console.result(&format!("  {}", finding.message));
    }
    Ok(())
}

/// # Errors
/// `different` when anything was changed, added or removed; `usage` when there is no such run.
pub fn verify(drill: &Drill<'_>, wanted: Option<&str>, outcome: &mut Outcome) -> Result<()> {
    let Drill { settings, console, interrupt, .. } = *drill;
    let mut verification = Verification::of(settings)?;
    verification.check_signatures(settings, interrupt)?;
    let verification = verification;
    let one = wanted.map(|wanted| find(settings, &verification.runs, Some(wanted))).transpose()?;
    let findings: Vec<&Finding> =
        verification.findings.iter().filter(|finding| one.is_none_or(|past| finding.run == past.name)).collect();
    let runs = one.map_or_else(|| verification.runs.iter().collect(), |past| vec![past]);
    let closed: Vec<&&Past> = runs.iter().filter(|past| past.state == State::Closed).collect();
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
            let words = verified(settings, &verification, one, closed.len());
            console.result(&words);
        }
        return Ok(());
    }
    let dir = settings.shown(&settings.evidence_dir());
    Err(Failure::different(format!("the evidence in `{dir}` is not what was recorded"))
        .because_all(findings.iter().map(|finding| finding.message.clone()))
        .hint(format!("git log --stat -- {dir}")))
}

/// No more than was verified.
fn verified(settings: &Settings, verification: &Verification, one: Option<&Past>, closed: usize) -> String {
    let dir = settings.shown(&settings.evidence_dir());
    let mut lines = Vec::new();
    match (one, closed) {
        (_, 0) => lines.push(format!("nothing was verified: no closed run in `{dir}`")),
        (Some(past), _) => {
            lines.push(format!("`{}`: every file is as its record says", past.name));
            lines.push(vouched_in_words(past, verification));
        }
        (None, 1) => lines.push(format!("1 run in `{dir}`: every file is as its record says")),
        (None, _) => lines.push(format!(
            "{closed} runs in `{dir}`: every file is as its record says, and every record is as the run after it says"
        )),
    }
    if one.is_none() {
        lines.extend(verification.ends().into_iter().map(|past| vouched_in_words(past, verification)));
        lines.extend(verification.notes.iter().map(|note| format!("note: {note}")));
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
    json!({ "run": past.name, "sha256": past.sha256, "vouched_by": verification.vouched_by(past), "signed_by": verification.signed_by(&past.name) })
}

fn listed(past: &Past, verification: &Verification) -> Value {
    let summary = past.summary.as_ref();
    json!({
        "run": past.name,
        "state": state(past),
        "command": summary.map(|summary| &summary.command),
        "status": summary.map(|summary| &summary.status),
        "target": summary.map(|summary| &summary.target),
        "operator": summary.map(|summary| &summary.operator),
        "started_at": summary.map(|summary| &summary.started_at),
        "closed_at": summary.and_then(Summary::closed_at),
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
    let Some(summary) = &past.summary else {
        let blank = || "-".to_owned();
        let name = if past.state == State::Foreign { &past.name } else { short_id(&past.name) };
        return [name.to_owned(), blank(), blank(), blank(), blank(), blank(), standing];
    };
    let target = summary.target.as_ref().map_or("-", |target| target.name.as_str());
    let word = if past.state == State::Unclosed { "abandoned" } else { summary.status.as_str() };
    [
        short_id(&past.name).to_owned(),
        summary.started_at.clone(),
        summary.command.clone(),
        word.to_owned(),
        target.to_owned(),
        who(summary),
        standing,
    ]
}

/// Whether the evidence of one run is what it was, in two words.
fn standing(past: &Past, verification: &Verification) -> String {
    let findings = verification.findings_of(&past.name).count();
    match &past.state {
        _ if findings > 0 => "altered".to_owned(),
        State::Closed => "as recorded".to_owned(),
        State::Running => "not closed yet".to_owned(),
        State::Unclosed => "not closed".to_owned(),
        State::Unreadable(_) => "empty".to_owned(),
        State::Foreign => "no run".to_owned(),
    }
}

fn who(summary: &Summary) -> String {
    let operator = &summary.operator;
    match (&operator.ci_run, &operator.user, &operator.host) {
        (Some(url), _, _) => url.clone(),
        (None, Some(user), Some(host)) => format!("{user}@{host}"),
        (None, user, host) => user.clone().or_else(|| host.clone()).unwrap_or_else(|| "-".to_owned()),
    }
}

fn short_id(name: &str) -> &str {
    name.rsplit('-').next().unwrap_or(name)
}

/// The newest one, or the only one that `wanted` can mean.
fn find<'a>(settings: &Settings, runs: &'a [Past], wanted: Option<&str>) -> Result<&'a Past> {
    let dir = settings.shown(&settings.evidence_dir());
    let mut known = runs.iter().filter(|past| past.state != State::Foreign);
    let Some(wanted) = wanted else {
        return known.next_back().ok_or_else(|| Failure::usage(format!("there is no run in `{dir}`")));
    };
    let meant: Vec<&Past> =
        known.filter(|past| past.name.starts_with(wanted) || short_id(&past.name).starts_with(wanted)).collect();
    match meant.as_slice() {
        [past] => Ok(past),
        [] => Err(Failure::usage(format!("there is no run `{wanted}` in `{dir}`")).hint("cargo xtask evidence list")),
        several => Err(Failure::usage(format!("`{wanted}` can mean {} runs", several.len()))
            .because_all(several.iter().map(|past| past.name.clone()))
            .hint("name it by more letters")),
    }
}

/// A record as a page of text. What it does not have is left out.
fn in_words(record: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let mut lines = vec![format!("{}: {}", text(&record["command"]), text(&record["status"]))];
    let mut fact = |name: &str, value: String| lines.push(format!("  {name:<8} {value}"));
    let target = &record["target"];
    if target.is_object() {
        let (name, database, host) = (text(&target["name"]), text(&target["database"]), text(&target["host"]));
        fact("target", format!("{name} is database `{database}` on {host}:{}", target["port"]));
    }
    let server = &record["server"];
    if server.is_object() {
        let claimed = if server["claimed"] == true { "claimed as disposable" } else { "unclaimed" };
        fact("server", format!("Postgres {} at {}, {claimed}", text(&server["version"]), text(&server["address"])));
    }
    let until = record["finished_at"].as_str().unwrap_or("nobody knows");
    fact("time", format!("{} to {until}", text(&record["started_at"])));
    let operator = &record["operator"];
    let who: Vec<&str> = ["user", "host", "ci_run"].iter().filter_map(|key| operator[key].as_str()).collect();
    fact("who", format!("{}, as the environment said", who.join(", ")));
    if let Some(commit) = record["git"]["commit"].as_str() {
        let dirty = if record["git"]["dirty"] == true { ", with uncommitted changes" } else { "" };
        fact("commit", format!("{commit}{dirty}"));
    }
    let tools = record["tools"].as_object().into_iter().flatten();
    let tools: Vec<String> =
        tools.filter_map(|(name, version)| Some(format!("{name} {}", version.as_str()?))).collect();
    fact("tools", tools.join(", "));
    if let Some(by) = record["abandoned"]["closed_by"].as_str() {
        fact("closed", format!("by {by}, which found it open"));
    }
    lines.extend(stages(record));
    if let Ok(counts) = serde_json::from_value::<BeforeAfter>(record["counts"].clone()) {
        lines.push(console::counts_table(&counts));
    }
    let causes = record["error"]["causes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.extend(record["error"]["message"].as_str().map(|message| format!("error: {message}")));
    for refusal in record["refusals"].as_array().into_iter().flatten() {
        lines.push(format!("  {}: {}", text(&refusal["check"]), text(&refusal["message"])));
    }
    lines.extend(causes.map(|cause| format!("caused by: {cause}")));
    lines.extend(record["hint"].as_str().map(|hint| format!("hint: {hint}")));
    lines.extend(record["notes"].as_array().into_iter().flatten().map(|note| format!("note: {}", text(note))));
    lines.join("\n")
}

fn stages(record: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for stage in record["stages"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        lines.push(format!("{}: {}", text(&stage["name"]), text(&stage["status"])));
        for step in stage["steps"].as_array().into_iter().flatten() {
            let mark = if step["status"] == "ok" { "✓" } else { "✗" };
            let found = step["detail"].as_str().or(step["log"].as_str()).unwrap_or_default();
            let (name, status, took) = (text(&step["name"]), text(&step["status"]), &step["duration_ms"]);
            lines.push(format!("  {mark} {name}: {status}, {took} ms  {found}").trim_end().to_owned());
        }
    }
    lines
}
