//! `--trace FILE`: an OpenTelemetry trace whose spans are what `run.json` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::project::Project;

fn spans(text: &str) -> Vec<Value> {
    assert_eq!(text.lines().count(), 1, "one request a line");
    let json: Value = serde_json::from_str(text).unwrap();
    json["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

fn nanoseconds(span: &Value, name: &str) -> i128 {
    span[name].as_str().unwrap().parse().unwrap()
}

/// Parent's name, name, when it began after the run did, how long it took: in milliseconds.
type Told = (String, String, i128, i128);

fn told(spans: &[Value]) -> Vec<Told> {
    let names: BTreeMap<&str, &str> =
        spans.iter().map(|span| (span["spanId"].as_str().unwrap(), span["name"].as_str().unwrap())).collect();
    let start = nanoseconds(&spans[0], "startTimeUnixNano");
    let one = |span: &Value| {
        let parent = span.get("parentSpanId").map_or("", |id| names[id.as_str().unwrap()]);
        let [from, to] = ["startTimeUnixNano", "endTimeUnixNano"].map(|name| nanoseconds(span, name) - start);
        assert!(from % 1_000_000 == 0 && (to - from) % 1_000_000 == 0);
        (parent.to_owned(), span["name"].as_str().unwrap().to_owned(), from / 1_000_000, (to - from) / 1_000_000)
    };
    spans.iter().map(one).collect()
}

/// What the record says of its phases, stages, steps and programs, in its order.
fn recorded(run: &Value) -> Vec<Told> {
    let items = |value: &Value| value.as_array().unwrap().clone();
    let one = |parent: &str, name: &str, value: &Value| {
        let [from, took] = ["offset_ms", "duration_ms"].map(|key| i128::from(value[key].as_u64().unwrap()));
        (parent.to_owned(), name.to_owned(), from, took)
    };
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let command = run["command"].as_str().unwrap();
    let mut all: Vec<Told> = items(&run["planning"]).iter().map(|phase| one(command, &name(phase), phase)).collect();
    for stage in items(&run["stages"]) {
        all.push(one(command, &name(&stage), &stage));
        for step in items(&stage["steps"]) {
            all.push(one(&name(&stage), &name(&step), &step));
            if let Some(process) = step.get("process") {
                all.push(one(&name(&step), &format!("process of {}", name(&step)), process));
            }
        }
    }
    all
}

#[test]
fn the_spans_of_a_run_are_the_times_of_its_record() {
    let (project, _database) = Project::on_staging("trace");
    let answer = project.run(&["forward", "--trace", "a trace.json"]).expect(0);
    let text = project.read("a trace.json");
    let spans = spans(&text);
    let (ids, traces): (BTreeSet<&str>, BTreeSet<&str>) =
        spans.iter().map(|span| (span["spanId"].as_str().unwrap(), span["traceId"].as_str().unwrap())).unzip();
    assert_eq!((ids.len(), traces.len()), (spans.len(), 1));
    assert!(ids.iter().all(|id| id.len() == 16) && traces.iter().all(|id| id.len() == 32));

    let evidence = answer.stderr.lines().rev().find_map(|line| line.strip_prefix("evidence: ")).unwrap();
    let run: Value = serde_json::from_str(&project.read(&format!("{evidence}/run.json"))).unwrap();
    let told = told(&spans);
    let began: jiff::Timestamp = run["started_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(nanoseconds(&spans[0], "startTimeUnixNano"), began.as_nanosecond());
    assert_eq!((told[0].0.as_str(), told[0].1.as_str(), told[0].2), ("", "forward", 0));
    assert_eq!(told[1..], recorded(&run));
    // A program that was started early was there before its step, and never after the command's end.
    let process = told.iter().find(|(_, name, ..)| name == "process of migrate deploy").unwrap();
    assert!(process.2 + process.3 <= told[0].3 && process.3 > 0, "{process:?} of {:?}", told[0]);
    project.assert_no_secret(&[&answer]);
}

#[test]
fn a_run_that_is_refused_has_a_trace_that_says_so_and_another_takes_its_place() {
    let project = Project::new();
    project.write(".env.staging", "DATABASE_URL=postgresql://app:hunter2hunter2@db.example.com:5432/shop\n");
    for code in ["3", "3"] {
        project.run(&["forward", "--trace", "trace.json"]).expect(code.parse().unwrap());
        let text = project.read("trace.json");
        let spans = spans(&text);
        assert_eq!((told(&spans)[1].1.as_str(), &spans[0]["status"]["code"]), ("declare", &2.into()), "{text}");
        assert!(!text.contains("hunter2"));
    }
}

#[test]
fn a_file_that_is_no_trace_is_not_overwritten_and_nothing_has_begun() {
    let project = Project::new();
    project.write(".env.staging", "DATABASE_URL=nothing\n");
    fs::create_dir(project.path("folder")).unwrap();
    let said = |file: &str| {
        let answer = project.run(&["forward", "--trace", file]).expect(2);
        assert!(answer.stdout.is_empty());
        answer.stderr
    };
    let lines = [".env.staging", "folder", "none/trace.json"].map(said).concat();
    insta::assert_snapshot!(lines, @"
    error: `--trace .env.staging` cannot be written
    caused by: there is a file of that name which is no trace
    note: name a new file, or that of an earlier trace, in a folder that is there
    error: `--trace folder` cannot be written
    caused by: Is a directory (os error 21)
    note: name a new file, or that of an earlier trace, in a folder that is there
    error: `--trace none/trace.json` cannot be written
    caused by: No such file or directory (os error 2)
    note: name a new file, or that of an earlier trace, in a folder that is there
    ");
    assert_eq!(project.read(".env.staging"), "DATABASE_URL=nothing\n");
    assert!(!project.path("none").exists() && !project.path("feedback").exists());
}
