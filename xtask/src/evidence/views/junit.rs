//! `junit.xml`: the run in the form that CI servers show beside other tests: a suite for each stage, a case for each
//! step.
//!
//! The shape is the part of Ant's that both Jenkins (its junit plugin) and GitLab (`artifacts:reports:junit`) read:
//! `testsuites`, `testsuite`, `properties`, `testcase` with `failure`, `error` or `skipped`. Written with the report's
//! templates, since XML that has no void elements and quotes its attributes is what they make; a crate for JUnit would
//! bring three more and their build.

use maud::{Markup, PreEscaped, html};

use crate::evidence::outcome::{Outcome, StageView, StepView};
use crate::evidence::views::planned::unreached;
use crate::evidence::views::reading::Reading;
use crate::words::{in_line, sentence};

/// Bytes of a failed step's log.
const TAIL: u64 = 8 * 1024;

struct Suite {
    name: String,
    cases: Vec<Case>,
    milliseconds: u64,
}

struct Case {
    name: String,
    milliseconds: u64,
    end: End,
}

enum End {
    Passed,
    /// Why it was not tried.
    Skipped(String),
    /// A miss: the step did not do what it was to do.
    Failure(Miss),
    /// It never came to a verdict: refused, blocked, interrupted.
    Error(Miss),
}

struct Miss {
    kind: String,
    message: String,
    output: String,
}

/// The whole document.
pub fn document(reading: &Reading) -> String {
    let suites = suites(reading);
    let all = || suites.iter().flat_map(|suite| &suite.cases);
    let document = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
        testsuites name="staging drill" tests=(all().count()) failures=(failures(all())) errors=(errors(all()))
            time=(seconds(suites.iter().map(|suite| suite.milliseconds).sum())) {
            @for suite in &suites { (suite_element(reading, suite)) }
        }
        "\n"
    };
    document.into_string()
}

fn suites(reading: &Reading) -> Vec<Suite> {
    let run = &reading.run.outcome;
    let left = unreached(reading);
    let mut names = Vec::new();
    let begun = run.stages.iter().zip(left.steps);
    let mut suites: Vec<Suite> = begun.map(|(stage, left)| suite(reading, stage, left, &mut names)).collect();
    suites.extend(left.stages.into_iter().map(|plan| Suite {
        name: distinct(&plan.stage, &mut names),
        cases: plan.steps.into_iter().map(not_reached).collect(),
        milliseconds: 0,
    }));
    if let Some(end) = unexplained(run, &suites) {
        let case = Case { name: "the run".to_owned(), milliseconds: 0, end };
        suites.push(Suite { name: run.command.clone(), cases: vec![case], milliseconds: 0 });
    }
    suites
}

fn not_reached(name: String) -> Case {
    skipped(name, None)
}

fn skipped(name: String, why: Option<String>) -> Case {
    Case { name, milliseconds: 0, end: End::Skipped(why.unwrap_or_else(|| "not reached".to_owned())) }
}

fn suite(reading: &Reading, stage: &StageView, left: Vec<String>, names: &mut Vec<String>) -> Suite {
    let left_out = (stage.status == "skipped").then(|| skipped(stage.name.clone(), stage.detail.clone()));
    let cases = stage.steps.iter().map(|step| case(reading, step));
    Suite {
        name: distinct(&stage.name, names),
        cases: cases.chain(left_out).chain(left.into_iter().map(not_reached)).collect(),
        milliseconds: stage.duration_ms,
    }
}

/// Two stages of one name are told apart, since servers merge cases by name.
fn distinct(name: &str, names: &mut Vec<String>) -> String {
    names.push(name.to_owned());
    match names.iter().filter(|other| *other == name).count() {
        1 => name.to_owned(),
        count => format!("{name} ({count})"),
    }
}

fn case(reading: &Reading, step: &StepView) -> Case {
    let miss = || Miss {
        kind: step.status.clone(),
        message: step.found().unwrap_or_else(|| step.status.clone()),
        output: step.log.as_ref().and_then(|log| reading.tail(log, TAIL)).unwrap_or_default(),
    };
    let end = match step.status.as_str() {
        "ok" => End::Passed,
        "skipped" => End::Skipped(step.found().unwrap_or_else(|| "not tried".to_owned())),
        _ => missed(miss()),
    };
    Case { name: step.name.clone(), milliseconds: step.duration_ms, end }
}

fn missed(miss: Miss) -> End {
    if matches!(miss.kind.as_str(), "failed" | "different") { End::Failure(miss) } else { End::Error(miss) }
}

/// What went wrong outside of any step, as when the guard refuses: a run that did not end well must not be green.
fn unexplained(run: &Outcome, suites: &[Suite]) -> Option<End> {
    let all = || suites.iter().flat_map(|suite| &suite.cases);
    if run.status == "ok" || failures(all()) + errors(all()) > 0 {
        return None;
    }
    let refusals = run.refusals.iter().map(|one| format!("{}: {}", one.check, sentence(&one.message)));
    let causes = run.causes().iter().map(|cause| sentence(cause));
    let notes = run.notes.iter().map(|note| format!("note: {}", sentence(note)));
    let hint = run.hint.iter().map(|hint| format!("hint: {}", sentence(hint)));
    let message = run.error.as_ref().map_or(&run.status, |error| &error.message).clone();
    let output = refusals.chain(causes).chain(notes).chain(hint).collect::<Vec<_>>().join("\n");
    Some(missed(Miss { kind: run.status.clone(), message, output }))
}

fn suite_element(reading: &Reading, suite: &Suite) -> Markup {
    let run = &reading.run;
    let cases = || suite.cases.iter();
    let left_out = cases().filter(|case| matches!(case.end, End::Skipped(_))).count();
    let target = run.outcome.target.as_ref();
    let host = target.map_or("", |target| &target.host);
    let properties = [
        ("target", target.map_or("", |target| &target.name)),
        ("database", target.map_or("", |target| &target.database)),
        ("host", host),
        ("commit", run.git.as_ref().map_or("", |git| &git.commit)),
        ("evidence", run.outcome.evidence.as_deref().unwrap_or_default()),
    ];
    html! {
        "\n"
        testsuite name=(suite.name) tests=(suite.cases.len()) failures=(failures(cases())) errors=(errors(cases()))
            skipped=(left_out) time=(seconds(suite.milliseconds))
            timestamp=(run.outcome.started_at.trim_end_matches('Z')) hostname=(host) {
            properties {
                @for (name, value) in properties.into_iter().filter(|(_, value)| !value.is_empty()) {
                    property name=(name) value=(value) {}
                }
            }
            @for case in cases() {
                "\n  "
                testcase name=(case.name) classname={ "drill." (suite.name) } time=(seconds(case.milliseconds)) {
                    (end_element(&case.end))
                }
            }
            "\n"
        }
    }
}

fn end_element(end: &End) -> Markup {
    html! {
        @match end {
            End::Passed => {},
            End::Skipped(why) => skipped message=(in_line(why)) {},
            End::Failure(miss) => failure type=(miss.kind) message=(in_line(&miss.message)) { (miss.output) },
            End::Error(miss) => error type=(miss.kind) message=(in_line(&miss.message)) { (miss.output) },
        }
    }
}

fn failures<'a>(cases: impl Iterator<Item = &'a Case>) -> usize {
    cases.filter(|case| matches!(case.end, End::Failure(_))).count()
}

fn errors<'a>(cases: impl Iterator<Item = &'a Case>) -> usize {
    cases.filter(|case| matches!(case.end, End::Error(_))).count()
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::record::Record;

    fn document_of(run: Value, plan: &Value) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("run.json"), json!(Record::of(run)).to_string()).unwrap();
        std::fs::write(folder.path().join("plan.json"), plan.to_string()).unwrap();
        std::fs::write(folder.path().join("02-a.log"), "one\n]]> <b>\n").unwrap();
        document(&Reading::open(folder.path(), &redact::Redactor::generic()).unwrap())
    }

    #[test]
    fn steps_are_cases_and_what_was_not_reached_is_skipped() {
        let step = |name: &str, status: &str, log: Value| {
            let exit = json!({"code": 1});
            json!({"name": name, "status": status, "exit": exit, "duration_ms": 1_250, "log": log, "detail": null})
        };
        let stages = json!([
            {"name": "forward", "status": "ok", "duration_ms": 1_300, "steps": [step("a & b", "ok", Value::Null)]},
            {"name": "forward", "status": "failed", "duration_ms": 20, "steps": [step("c", "failed", json!("02-a.log"))]},
        ]);
        let target = json!({"name": "staging", "host": "h", "port": 5432, "database": "d"});
        let run = json!({"status": "failed", "started_at": "2026-11-22T20:04:01Z", "target": target, "stages": stages});
        let part = |steps: &[&str]| {
            let steps: Vec<Value> = steps.iter().map(|name| json!({"name": name})).collect();
            json!([{"name": "forward", "action": {"own": {"stage": "forward", "groups": [steps]}}}])
        };
        let plan = json!({"stage": "drill", "groups": [part(&["a & b"]), part(&["c", "d"])]});
        insta::assert_snapshot!(document_of(run, &plan), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="staging drill" tests="3" failures="1" errors="0" time="1.320">
        <testsuite name="forward" tests="1" failures="0" errors="0" skipped="0" time="1.300" timestamp="2026-11-22T20:04:01" hostname="h"><properties><property name="target" value="staging"></property><property name="database" value="d"></property><property name="host" value="h"></property></properties>
          <testcase name="a &amp; b" classname="drill.forward" time="1.250"></testcase>
        </testsuite>
        <testsuite name="forward (2)" tests="2" failures="1" errors="0" skipped="1" time="0.020" timestamp="2026-11-22T20:04:01" hostname="h"><properties><property name="target" value="staging"></property><property name="database" value="d"></property><property name="host" value="h"></property></properties>
          <testcase name="c" classname="drill.forward (2)" time="1.250"><failure type="failed" message="exited with code 1">one
        ]]&gt; &lt;b&gt;
        </failure></testcase>
          <testcase name="d" classname="drill.forward (2)" time="0.000"><skipped message="not reached"></skipped></testcase>
        </testsuite></testsuites>
        "#);
    }

    #[test]
    fn what_was_not_tried_is_skipped_and_says_why() {
        let step = json!({"name": "verify write", "status": "skipped", "detail": "not tried: no role"});
        let stages = json!([
            {"name": "mirror", "status": "ok", "steps": [step]},
            {"name": "parity", "status": "skipped", "detail": "left out, as asked"},
        ]);
        let document = document_of(json!({"status": "ok", "stages": stages}), &Value::Null);
        let cases: Vec<&str> = document.lines().filter(|line| line.contains("<testcase")).collect();
        insta::assert_snapshot!(cases.join("\n"), @r#"
          <testcase name="verify write" classname="drill.mirror" time="0.000"><skipped message="not tried: no role"></skipped></testcase>
          <testcase name="parity" classname="drill.parity" time="0.000"><skipped message="left out, as asked"></skipped></testcase>
        "#);
        assert_eq!(document.matches("skipped=\"1\"").count(), 2, "{document}");
    }

    #[test]
    fn a_refused_run_is_one_error() {
        let refusals = json!([{"check": "policy", "message": "no \"such\" host", "hint": "h"}]);
        let error = json!({"message": "`staging` is not staging", "causes": []});
        let run = json!({"command": "forward", "status": "refused", "error": error, "refusals": refusals,
            "hint": "h", "stages": []});
        insta::assert_snapshot!(document_of(run, &Value::Null), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="staging drill" tests="1" failures="0" errors="1" time="0.000">
        <testsuite name="forward" tests="1" failures="0" errors="1" skipped="0" time="0.000" timestamp="2026-11-22T20:04:01" hostname=""><properties></properties>
          <testcase name="the run" classname="drill.forward" time="0.000"><error type="refused" message="`staging` is not staging">policy: no &quot;such&quot; host
        hint: h</error></testcase>
        </testsuite></testsuites>
        "#);
    }
}
