//! A run as a trace: one span for the command, below it planning's phases, stages, steps and child processes, at the times that
//! `run.json` has.
//!
//! A file of OTLP JSON, one line (OpenTelemetry's "OTLP File Exporter"; field names and hexadecimal ids as in "JSON Protobuf Encoding"
//! of the OTLP specification 1.x). Written here, and not by OpenTelemetry's own crates: those record while a program runs, bring an
//! asynchronous runtime's protocol buffers, and would not hold the times of the record.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::digest::hex;
use crate::error::{OrFail, Result};
use crate::evidence::outcome::{Lifetime, Outcome, StageView, StepView};

/// `Status` of the specification: nothing was said, it went well, it did not.
const UNSET: u8 = 0;
const OK: u8 = 1;
const ERROR: u8 = 2;
/// `SpanKind` of what happens inside of one program.
const INTERNAL: u8 = 1;

/// The file's text for a masked outcome, whose command was at work for `duration_ms`.
///
/// # Errors
/// `bug` where the system gives no random numbers, or the start is no time.
pub fn document(outcome: &Outcome, duration_ms: u64, version: &str) -> Result<String> {
    let start: jiff::Timestamp = outcome.started_at.parse().bug("the run began at no time")?;
    let mut trace = Trace { id: random::<16>()?, start_ns: start.as_nanosecond(), spans: Vec::new() };
    trace.command(outcome, duration_ms)?;
    let resource = [("service.name", "staging-drill"), ("service.version", version)];
    let text = json!({"resourceSpans": [{
        "resource": { "attributes": attributes(&resource.map(|(name, value)| (name, Some(value)))) },
        "scopeSpans": [{ "scope": { "name": "staging-drill" }, "spans": trace.spans }],
    }]});
    Ok(format!("{text}\n"))
}

struct Trace {
    id: String,
    start_ns: i128,
    spans: Vec<Value>,
}

/// What a span says beside its name and time.
#[derive(Default)]
struct Said<'a> {
    status: &'a str,
    /// Why, where it did not go well.
    message: Option<&'a str>,
    attributes: BTreeMap<&'static str, Option<&'a str>>,
}

impl Trace {
    fn command(&mut self, outcome: &Outcome, duration_ms: u64) -> Result<()> {
        let whole = Lifetime { offset_ms: 0, duration_ms };
        let target = outcome.target.as_ref().map(|target| target.name.as_str());
        let said = Said {
            status: &outcome.status,
            message: outcome.error.as_ref().map(|error| error.message.as_str()),
            attributes: BTreeMap::from([("drill.target", target), ("drill.evidence", outcome.evidence.as_deref())]),
        };
        let root = self.span(None, &outcome.command, whole, &said)?;
        for phase in &outcome.planning {
            let time = Lifetime { offset_ms: phase.offset_ms, duration_ms: phase.duration_ms };
            self.span(Some(&root), &phase.name, time, &Said::default())?;
        }
        outcome.stages.iter().try_for_each(|stage| self.stage(&root, stage))
    }

    fn stage(&mut self, root: &str, stage: &StageView) -> Result<()> {
        let Some(offset_ms) = stage.offset_ms else { return Ok(()) };
        let time = Lifetime { offset_ms, duration_ms: stage.duration_ms };
        let said = Said { status: &stage.status, message: stage.detail.as_deref(), ..Said::default() };
        let span = self.span(Some(root), &stage.name, time, &said)?;
        stage.steps.iter().try_for_each(|step| self.step(&span, step))
    }

    fn step(&mut self, stage: &str, step: &StepView) -> Result<()> {
        let Some(offset_ms) = step.offset_ms else { return Ok(()) };
        let time = Lifetime { offset_ms, duration_ms: step.duration_ms };
        let found = step.found();
        let attributes = BTreeMap::from([("drill.log", step.log.as_deref()), ("drill.detail", found.as_deref())]);
        let said = Said { status: &step.status, message: found.as_deref(), attributes };
        let span = self.span(Some(stage), &step.name, time, &said)?;
        match step.process {
            Some(process) => self.span(Some(&span), &format!("process of {}", step.name), process, &said).map(drop),
            None => Ok(()),
        }
    }

    /// Returns its id.
    fn span(&mut self, parent: Option<&str>, name: &str, time: Lifetime, said: &Said<'_>) -> Result<String> {
        let id = random::<8>()?;
        let at = |ms: u64| (self.start_ns + i128::from(ms) * 1_000_000).to_string();
        let mut told = said.attributes.clone();
        told.insert("drill.status", Some(said.status).filter(|word| !word.is_empty()));
        let mut span = json!({
            "traceId": self.id, "spanId": id, "name": name, "kind": INTERNAL,
            "startTimeUnixNano": at(time.offset_ms),
            "endTimeUnixNano": at(time.offset_ms + time.duration_ms),
            "attributes": attributes(&told.into_iter().collect::<Vec<_>>()),
            "status": status(said),
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = parent.into();
        }
        self.spans.push(span);
        Ok(id)
    }
}

/// What was skipped is neither.
fn status(said: &Said<'_>) -> Value {
    match said.status {
        "ok" => json!({"code": OK}),
        "" | "skipped" | "running" => json!({"code": UNSET}),
        _ => json!({"code": ERROR, "message": said.message.unwrap_or(said.status)}),
    }
}

fn attributes(told: &[(&str, Option<&str>)]) -> Value {
    let told = told.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    told.map(|(name, value)| json!({"key": name, "value": {"stringValue": value}})).collect()
}

fn random<const LENGTH: usize>() -> Result<String> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).bug("no random numbers")?;
    Ok(hex(&bytes))
}
