//! `attestation.intoto.json`: the verdict as an in-toto Statement, which cosign and GitHub can sign and store.
//!
//! It is derived from `run.json` and nothing else, so it claims no more than that does, and whoever has one can
//! make the other again. Statement: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>.
//! Predicate: <https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md>, where a test is a
//! step.

use serde_json::{Map, Value, json};

use crate::evidence::outcome::Outcome;
use crate::evidence::record::RECORD;
use crate::evidence::record::Record;

pub const ATTESTATION: &str = "attestation.intoto.json";
pub const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// The Statement about a closed record whose own digest is `sha256`.
pub fn statement(record: &Record, sha256: &str) -> Value {
    let mut subject = vec![json!({ "name": RECORD, "digest": { "sha256": sha256 } })];
    subject.extend(record.files.iter().map(named));
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": PREDICATE,
        "predicate": predicate(record),
    })
}

fn named((name, sha256): (&String, &String)) -> Value {
    json!({ "name": name, "digest": { "sha256": sha256 } })
}

fn predicate(record: &Record) -> Value {
    let result = if record.outcome.status == "ok" { "PASSED" } else { "FAILED" };
    let mut predicate = Map::from_iter([
        ("result".to_owned(), json!(result)),
        ("configuration".to_owned(), json!(configuration(record))),
    ]);
    if let Some(url) = &record.operator.ci_run {
        predicate.insert("url".to_owned(), json!(url));
    }
    let (passed, failed) = steps(&record.outcome);
    predicate.insert("passedTests".to_owned(), json!(passed));
    predicate.insert("warnedTests".to_owned(), json!([]));
    predicate.insert("failedTests".to_owned(), json!(failed));
    Value::Object(predicate)
}

/// What the run used, by digest. A commit is named only where the checkout did not differ from it.
fn configuration(record: &Record) -> Vec<Value> {
    let commit = record.git.iter().filter(|git| !git.dirty);
    let commit = commit.map(|git| json!({ "name": "commit", "digest": { "gitCommit": git.commit } }));
    record.inputs.iter().map(named).chain(commit).collect()
}

/// As `stage/NN-step`, numbered as their logs are: those that passed, and those that did not. A skipped one is
/// neither.
fn steps(outcome: &Outcome) -> (Vec<String>, Vec<String>) {
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    let steps = outcome.stages.iter().flat_map(|stage| stage.steps.iter().map(move |step| (stage, step)));
    for ((stage, step), number) in steps.zip(1..) {
        let name = format!("{}/{number:02}-{}", stage.name.replace(' ', "-"), step.name.replace(' ', "-"));
        match step.status.as_str() {
            "ok" => passed.push(name),
            "skipped" => {}
            _ => failed.push(name),
        }
    }
    (passed, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, status: &str) -> Value {
        json!({ "name": name, "status": status })
    }

    #[test]
    fn a_statement_says_what_the_record_says() {
        let record = Record::of(json!({
            "status": "failed",
            "operator": { "ci_run": "https://ci.example/7" },
            "git": { "commit": "c0ffee", "dirty": false },
            "inputs": { "schema": "5c" },
            "files": { "plan.json": "91" },
            "stages": [
                { "name": "forward", "status": "ok", "steps": [step("migrate deploy", "ok"), step("smoke", "skipped")] },
                { "name": "forward", "status": "failed", "steps": [step("verify ledger", "failed")] },
            ],
        }));
        insta::assert_snapshot!(serde_json::to_string_pretty(&statement(&record, "77")).unwrap(), @r#"
        {
          "_type": "https://in-toto.io/Statement/v1",
          "subject": [
            {
              "name": "run.json",
              "digest": {
                "sha256": "77"
              }
            },
            {
              "name": "plan.json",
              "digest": {
                "sha256": "91"
              }
            }
          ],
          "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
          "predicate": {
            "result": "FAILED",
            "configuration": [
              {
                "name": "schema",
                "digest": {
                  "sha256": "5c"
                }
              },
              {
                "name": "commit",
                "digest": {
                  "gitCommit": "c0ffee"
                }
              }
            ],
            "url": "https://ci.example/7",
            "passedTests": [
              "forward/01-migrate-deploy"
            ],
            "warnedTests": [],
            "failedTests": [
              "forward/03-verify-ledger"
            ]
          }
        }
        "#);
    }

    #[test]
    fn a_commit_that_the_checkout_differed_from_is_not_named_and_a_refused_run_has_failed() {
        let record = json!({ "status": "refused", "git": { "commit": "c0ffee", "dirty": true } });
        let predicate = &statement(&Record::of(record), "77")["predicate"];
        assert_eq!((&predicate["result"], &predicate["configuration"]), (&json!("FAILED"), &json!([])));
    }
}
