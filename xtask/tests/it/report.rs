//! What people look at: the report in a real browser, JUnit's file, GitHub's summary and annotations.

use std::fs;
use std::process::Command;

use chores::setup;
use serde_json::{Value, json};

use crate::project::{Answer, Project};
use crate::server::workspace;

/// Markup, quotes, and what turns the direction of writing: each must arrive as text.
const HOSTILE: &str = "</script></pre><script>owned = 1</script><img src=x onerror='owned = 1'>--> \"q\" 'a' & \u{202e}txet \u{1b}[31mred\u{1b}[0m ]]>";

/// A record as a run leaves it, with `changes` on top.
fn record(changes: Value) -> Value {
    let mut record = json!({
        "schema": "drill/v1", "command": "forward", "status": "ok", "exit_code": 0,
        "target": {"name": "staging", "host": "db.staging.hotdash.app", "port": 5432, "database": "hotdash_staging", "project_ref": null},
        "started_at": "2026-11-22T20:04:01Z", "finished_at": "2026-11-22T20:04:09Z", "stages": [], "evidence": "feedback/evidence/x",
        "hint": null, "error": null, "argv": ["forward"], "operator": {"user": "ana", "host": "desk", "ci_run": null}, "git": null,
        "tools": {"drill": "0.1.0", "node": "20.20.2", "prisma": "7.10.0", "engine": null}, "server": null, "inputs": {}, "files": {}, "previous": null,
    });
    for (key, value) in changes.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn step(name: &str, status: &str, offset: u64, took: u64, log: Option<&str>) -> Value {
    json!({"name": name, "status": status, "exit_code": null, "exit": null, "offset_ms": offset, "duration_ms": took, "log": log, "detail": null})
}

fn leave(project: &Project, name: &str, record: &Value) -> String {
    let folder = format!("feedback/evidence/{name}");
    project.write(&format!("{folder}/run.json"), &record.to_string());
    folder
}

fn refused(project: &Project) {
    let refusals = [json!({"check": "policy", "message": HOSTILE, "hint": HOSTILE})];
    let error = json!({"message": "`staging` is not provably a staging database", "causes": []});
    let changes = json!({"status": "refused", "exit_code": 3, "error": error, "refusals": refusals, "hint": HOSTILE});
    leave(project, "20261122T200401Z-forward-000001", &record(changes));
}

fn interrupted(project: &Project) {
    let steps = [
        step("generate", "ok", 40, 900, None),
        step("migrate deploy", "interrupted", 40, 0, Some("02-migrate-deploy.log")),
    ];
    let stages =
        [json!({"name": "forward", "status": "interrupted", "offset_ms": 40, "duration_ms": 910, "steps": steps})];
    let error = json!({"message": "stopped by Ctrl-C", "causes": []});
    let changes = json!({"status": "interrupted", "exit_code": 130, "error": error, "stages": stages});
    let folder = leave(project, "20261122T200401Z-forward-000002", &record(changes));
    project.write(&format!("{folder}/02-migrate-deploy.log"), "$ node migrate deploy\nApplying\n");
}

/// Everything at once, much of it, and of everything something that is no text to a browser.
fn long(project: &Project) {
    let log = |number: usize| format!("{number:03}-step.log");
    let steps: Vec<Value> = (1..=200)
        .map(|number| {
            let status = if number == 200 { "failed" } else { "ok" };
            let mut step =
                step(&format!("step {number} {HOSTILE}"), status, 50 * number as u64, 45, Some(&log(number)));
            step["detail"] = json!(HOSTILE.repeat(3));
            step
        })
        .collect();
    let counts: serde_json::Map<String, Value> =
        (0..300).map(|table| (format!("public.{HOSTILE}{table}"), json!(table * 1000))).collect();
    let changes = json!({
        "command": "drill", "status": "failed", "exit_code": 1, "hint": HOSTILE,
        "error": {"message": HOSTILE.repeat(4), "causes": [HOSTILE, "a\nb"], "file": HOSTILE, "line": 3, "excerpt": {"from": 2, "text": format!("{HOSTILE}\n{}", HOSTILE.repeat(20))}},
        "argv": ["drill", HOSTILE], "operator": {"user": HOSTILE, "host": HOSTILE, "ci_run": HOSTILE, "actor": HOSTILE},
        "planning": [{"name": "inspect", "offset_ms": 0, "duration_ms": 40}],
        "stages": [{"name": HOSTILE, "status": "failed", "offset_ms": 30, "duration_ms": 10_100, "steps": steps}],
        "migrations": {"applied": [HOSTILE], "pending": [], "rolled_back": [HOSTILE]},
        "rehearsal": [{"migration": HOSTILE, "verdict": "lossy", "leftovers": [HOSTILE]}],
        "impact": [{"migration": HOSTILE, "line": 1, "statement": HOSTILE, "locks": [{"table": HOSTILE, "mode": "ShareLock", "blocks": "writes"}],
                    "rewritten": [], "indexed": [HOSTILE], "scanned": [], "rows": {HOSTILE: 7}, "wal_bytes": 8192, "ms": 1.5, "held_ms": 1.5,
                    "production": {"table": HOSTILE, "rows": 12_000_000, "ms": 40_000.0, "low_ms": 30_000.0, "high_ms": 55_000.0, "how": "extrapolated", "tried": [{"rows": 100_000, "ms": 300.0}]},
                    "lint": [{"by": "squawk", "rule": HOSTILE, "message": HOSTILE, "contradicted": HOSTILE}]}],
        "limits": [{"migration": HOSTILE, "file": HOSTILE, "line": 3, "limit": "wal", "message": HOSTILE, "accepted": HOSTILE}],
        "deploys": [{"attempt": 2, "looks": 9, "waited_ms": 73_800, "blocked_ms": 42_000, "waits": [{"table": HOSTILE, "waited_ms": 73_800, "held": HOSTILE, "statement": HOSTILE}],
                     "blocked": [{"pid": 7, "role": HOSTILE, "application_name": HOSTILE, "table": HOSTILE, "waited_ms": 42_000}], "unwatched": HOSTILE}],
        "deployed": {"reference": HOSTILE, "commit": HOSTILE, "models": [{"model": HOSTILE, "reads": {"breaks": HOSTILE}, "writes": {"not_tried": HOSTILE}}],
                     "next": [{"model": HOSTILE, "reads": {"breaks": HOSTILE}, "writes": "compatible"}]},
        "counts": {"before": {"public.gone": 7}, "after": counts}, "leftovers": [{"kind": "table", "name": "x", "message": HOSTILE}], "notes": [HOSTILE],
        "parity": {"threshold_pct": 1.0, "source": "sql", "pairs": [
            {"name": HOSTILE, "prisma": 1000, "mirror": 985, "delta": -15, "diff_pct": 1.5, "within": false},
            {"name": "refresh", "prisma": 12, "mirror": 12, "delta": 0, "diff_pct": 0.0, "within": true},
        ]},
        "git": {"commit": "4368db4368db4368db4368db4368db4368db4368", "dirty": true},
        "server": {"version": "17.10", "database": HOSTILE, "user": "u", "address": "10.0.0.1:5432", "system_identifier": "7", "claimed": true},
    });
    let mut before = changes.clone();
    before["operator"] = json!({"user": null, "host": null, "ci_run": null});
    before["counts"]["after"] = json!({HOSTILE: 7});
    leave(project, "20261121T200401Z-drill-000004", &record(before));
    let folder = leave(project, "20261122T200401Z-drill-000003", &record(changes));
    for number in 1..=200 {
        project.write(&format!("{folder}/{}", log(number)), &format!("$ node\n{HOSTILE}\nFINDME FINDME {number}\n"));
    }
    let huge: String = (0..60_000).map(|line| format!("line {line} {HOSTILE}\n")).collect();
    project.write(&format!("{folder}/001-step.log"), &format!("FINDME\n{huge}\nFINDME\n"));
    let scripts = [json!({"name": HOSTILE, "sha256": "", "sql": format!("-- {HOSTILE}\n").repeat(40_000)})];
    project.write(&format!("{folder}/plan.json"), &json!({"scripts": scripts, "groups": []}).to_string());
    project.write(&format!("{folder}/down/20260101000000_x.sql"), &format!("drop table x; -- {HOSTILE}"));
    let evil = "<svg xmlns='http://www.w3.org/2000/svg' width='300' height='40'><script>top.owned = 1</script><rect width='300' height='40'/></svg>";
    project.write(&format!("{folder}/parity.svg"), evil);
    let object =
        |kind: &str, name: &str| json!({"kind": kind, "path": ["public", name], "properties": {"type": HOSTILE}});
    let catalog = |objects: Vec<Value>| json!({"version": 1, "schemas": ["public"], "objects": objects}).to_string();
    project
        .write(&format!("{folder}/catalog-before.json"), &catalog(vec![object("table", "a"), object("view", HOSTILE)]));
    project
        .write(&format!("{folder}/catalog-after.json"), &catalog(vec![object("table", "a"), object("table", HOSTILE)]));
}

/// What headless Chromium saw of each page.
fn browse(pages: &[String]) -> Vec<Value> {
    let mut command = Command::new("node");
    command.arg(workspace().join("xtask/tests/it/browser.mjs")).args(pages);
    command.env("CHROMIUM", &setup::programs().chromium);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn report(project: &Project, run: &str) -> String {
    let out = project.path(&format!("{run}.html")).display().to_string();
    project.run(&["evidence", "report", run, "--out", &out]).expect(0);
    out
}

#[test]
fn a_report_reads_well_in_a_browser_whatever_the_run_and_its_texts_were() {
    let project = Project::new();
    refused(&project);
    interrupted(&project);
    long(&project);
    let pages: Vec<String> = ["000001", "000002", "000003"].map(|run| report(&project, run)).into();
    let size = fs::metadata(&pages[2]).unwrap().len();
    assert!(size < 8_000_000, "{size} bytes");
    let seen = browse(&pages);
    for page in &seen {
        for nothing in ["overflow", "stuck", "faint", "complaints", "requests"] {
            assert_eq!(page[nothing], json!([]), "{nothing} of {page:#}");
        }
        assert_eq!((&page["scripts"], &page["alien"], &page["ran"]), (&json!(1), &json!(0), &json!(false)), "{page:#}");
        assert_eq!((&page["above"], &page["hiddenInPrint"]), (&json!(true), &json!(0)), "{page:#}");
    }
    let verdicts: Vec<&str> = seen.iter().map(|page| page["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["forward refused", "forward interrupted", "drill failed"]);
    assert_eq!(seen[0]["search"], Value::Null, "there is no log to search");
    // 199 short logs with a line each, and both ends of the huge one; every second word is a match of its own.
    assert_eq!(seen[2]["search"], json!({"total": "201 lines", "marks": 400, "open": 200, "restored": true}));
    assert_eq!(
        seen[1]["chosen"],
        json!([["all", 2], ["failed", 1], ["passed", 1]]),
        "what there is none of cannot be chosen"
    );
    assert_eq!(seen[2]["chosen"], json!([["all", 200], ["failed", 1], ["passed", 199]]));
    assert_eq!((&seen[0]["steps"], &seen[2]["steps"]), (&Value::Null, &json!("11 steps")));
    assert_eq!(seen[2]["jump"], true, "a step's name opens its log without the script");
    assert!(seen[2]["folded"].as_u64().unwrap() > 200, "print had something to open");
}

#[test]
fn a_report_of_an_old_run_is_written_beside_its_folder() {
    let project = Project::new();
    let none = project.run(&["evidence", "report"]).expect(4);
    insta::assert_snapshot!(none.said(), @r"
    error: there is no run in `feedback/evidence`
    hint: cargo xtask forward
    ");
    refused(&project);
    interrupted(&project);
    let newest = project.run(&["evidence", "report"]).expect(0);
    assert_eq!(newest.stdout, ".drill/reports/20261122T200401Z-forward-000002.html\n");
    assert!(project.read(newest.stdout.trim()).contains("stopped by Ctrl-C"));
    project.run(&["evidence", "report"]).expect(0);
    let named = project.run(&["evidence", "report", "000001", "--json"]).expect(0);
    assert_eq!(named.json()["report"], ".drill/reports/20261122T200401Z-forward-000001.html");
    project.run(&["evidence", "report", "0000"]).expect(2);
    project.run(&["evidence", "report", "000001", "--out", project.path("here.html").to_str().unwrap()]).expect(0);
    let written = project.read("here.html");
    let again =
        project.run(&["evidence", "report", "000002", "--out", project.path("here.html").to_str().unwrap()]).expect(1);
    insta::assert_snapshot!(again.said(), @"
    error: cannot write the report to `PROJECT/here.html`
    caused by: File exists (os error 17)
    note: name a file that is not there yet with `--out FILE`
    ");
    assert_eq!(project.read("here.html"), written, "it was not overwritten");
    let mut left: Vec<_> =
        fs::read_dir(project.path("feedback/evidence/20261122T200401Z-forward-000001")).unwrap().collect();
    assert_eq!(left.pop().unwrap().unwrap().file_name(), "run.json");
    assert!(left.is_empty(), "the evidence got another file");
    project.write("feedback/evidence/20261122T200401Z-forward-000009/run.json", "[");
    let broken = project.run(&["evidence", "report"]).expect(4);
    insta::assert_snapshot!(broken.said(), @r"
    error: the run `RUN` has no `run.json` that can be read
    caused by: invalid type: sequence, expected struct Record at line 1 column 0
    ");
    // Every record that a test leaves is checked against the schema.
    fs::remove_dir_all(project.path("feedback/evidence/20261122T200401Z-forward-000009")).unwrap();
}

const SECRET: &str = "shpss_0f1e2d3c4b5a6978&<\"x";

/// Fault injection: a program of the project that says its secret in the forms that would matter here, and markup, and fails.
const LEAKER: &str = r#"
const secret = process.env.SHOPIFY_API_SECRET;
const html = secret.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
for (const form of [secret, html, encodeURIComponent(secret)]) console.error(`</script><b>${form}</b> ]]> | @everyone`);
console.error(`::error::the last line ${secret}`);
process.exitCode = 1;
"#;

/// A failed run in GitHub Actions, with a summary that somebody began.
fn failed_in_github(project: &mut Project, url: &str) -> Answer {
    project.write(".env.staging", &format!("DATABASE_URL={url}\nSHOPIFY_API_SECRET='{SECRET}'\n"));
    project.write("prisma/smoke.mjs", LEAKER);
    project.write("summary.md", "before\n");
    project.env.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    project.env.insert("GITHUB_ACTOR".to_owned(), "ana".to_owned());
    project.env.insert("GITHUB_STEP_SUMMARY".to_owned(), project.path("summary.md").display().to_string());
    project.run(&["forward", "--smoke", "--json"]).expect(1)
}

fn assert_no_secret(project: &Project, answer: &Answer) {
    let html = SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let shown: String = answer.stderr.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    let mut texts = vec![("stdout".to_owned(), answer.stdout.clone()), ("stderr".to_owned(), shown)];
    texts.extend(project.files().into_iter().map(|path| {
        (path.display().to_string(), String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned())
    }));
    for (place, text) in texts {
        for form in [SECRET, &html, "shpss_0f1e2d3c"] {
            assert!(!text.contains(form), "{form} in {place}:\n{text}");
        }
    }
}

#[test]
fn a_failed_run_is_told_to_github_and_junit_without_its_secret() {
    let (mut project, database) = Project::on_staging("report_failed");
    let answer = failed_in_github(&mut project, &database.url());
    assert_no_secret(&project, &answer);
    let folder = answer.json()["evidence"].as_str().unwrap().to_owned();

    let annotation = answer.stderr.lines().find(|line| line.starts_with("::error ")).unwrap();
    assert!(
        annotation.starts_with("::error title=forward failed::the generated client cannot use the database"),
        "{annotation}"
    );
    assert!(annotation.contains("%0Acaused by: ::error::the last line [REDACTED"), "{annotation}");
    assert_eq!(answer.stderr.lines().last().unwrap(), format!("evidence: {folder}"));

    let summary = project.read("summary.md");
    assert!(summary.starts_with("before\n## ❌ <code>forward</code> failed\n"), "{summary}");
    assert!(summary.contains("| ❌ | <code>forward</code> | <code>smoke</code> |"), "{summary}");
    assert!(summary.contains("| <code>public.Session</code> | – | **0** |"), "{summary}");

    let junit = project.read(&format!("{folder}/junit.xml"));
    let document = roxmltree::Document::parse(&junit).unwrap_or_else(|error| panic!("{error}\n{junit}"));
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    let names: Vec<_> = cases.iter().map(|case| case.attribute("name").unwrap()).collect();
    assert_eq!(
        names,
        ["replay", "impact", "generate", "migrate deploy", "verify ledger", "verify catalog", "verify waits", "smoke"]
    );
    let missed: Vec<_> = document.descendants().filter(|node| node.has_tag_name("failure")).collect();
    assert_eq!(missed.len(), 1);
    assert_eq!(missed[0].attribute("message"), Some("exited with code 1"));
    assert!(missed[0].text().unwrap().contains("</script><b>[REDACTED"), "{junit}");

    let page = browse(&[project.path(&format!("{folder}/report.html")).display().to_string()]).remove(0);
    assert_eq!(
        (&page["verdict"], &page["ran"], &page["complaints"]),
        (&json!("forward failed"), &json!(false), &json!([]))
    );
    let record: Value = serde_json::from_str(&project.read(&format!("{folder}/run.json"))).unwrap();
    assert_eq!(record["operator"]["actor"], "ana");
    let planning = record["planning"].as_array().unwrap().iter().map(|phase| phase["name"].as_str().unwrap());
    let planning: Vec<&str> = planning.collect();
    assert_eq!(planning, ["declare", "connect", "lock", "inspect", "plan", "consent", "tools", "open"]);
    assert!(
        record["files"]["report.html"].is_string() && record["files"]["junit.xml"].is_string(),
        "{}",
        record["files"]
    );
}

#[test]
fn what_ends_before_the_first_step_is_told_to_github_too() {
    let mut project = Project::new();
    project.env.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    project.env.insert("GITHUB_STEP_SUMMARY".to_owned(), project.path("summary.md").display().to_string());
    let blocked = project.run(&["forward"]).expect(4);
    let annotation =
        |answer: &Answer| answer.stderr.lines().find(|line| line.starts_with("::error ")).unwrap().to_owned();
    insta::assert_snapshot!(annotation(&blocked), @"::error title=forward blocked::there is no `.env.staging`, and `DATABASE_URL` is not set%0Anote: a copy of the example has to be filled in; in CI, the variables are injected as secrets%0Ahint: cp .env.staging.example .env.staging  # see docs/failures/env-file-missing");
    project.write(".env.staging", "DATABASE_URL=postgresql://u:p@db.production.example/hotdash_test\n");
    let refused = project.run(&["forward", "--json"]).expect(3);
    insta::assert_snapshot!(annotation(&refused), @r#"::error title=forward refused::`staging` is not provably a staging database%0A  host: `DATABASE_URL` leads to `db.production.example`, which is not an allowed host of target `staging`%0Ahint: correct `DATABASE_URL`; or, if that host is staging, add "db.production.example" to `allow_hosts` in drill.toml"#);
    let folder = refused.json()["evidence"].as_str().unwrap().to_owned();
    let junit = project.read(&format!("{folder}/junit.xml"));
    assert!(junit.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{junit}");
    let summary = project.read("summary.md").replace(&folder, "FOLDER");
    let lines = summary.lines().map(|line| if line.ends_with(" UTC") { "NOW" } else { line });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
    ## ⚠️ <code>forward</code> blocked

    NOW

    ```text
    there is no `.env.staging`, and `DATABASE_URL` is not set
    note: a copy of the example has to be filled in; in CI, the variables are injected as secrets
    hint: cp .env.staging.example .env.staging  # see docs/failures/env-file-missing
    ```

    ## ⛔ <code>forward</code> refused

    NOW

    ```text
    `staging` is not provably a staging database
      host: `DATABASE_URL` leads to `db.production.example`, which is not an allowed host of target `staging`
    hint: correct `DATABASE_URL`; or, if that host is staging, add "db.production.example" to `allow_hosts` in drill.toml
    ```

    Evidence: <code>FOLDER</code>. Its `report.html` is the place to start.
    "#);
    // What went well without leaving evidence is nobody's news, and elsewhere nothing is told.
    project.run(&["sandbox", "status"]).expect(0);
    let told = project.read("summary.md");
    project.env.clear();
    assert!(!project.run(&["forward"]).expect(3).stderr.contains("::error"));
    assert_eq!(project.read("summary.md"), told);
}

/// Proves that what was typed, named or written by others is shown in GitHub's log and commands nothing there: the runner takes each line that begins
/// with `::`, and `##[` wherever it stands.
#[test]
fn nothing_that_others_wrote_is_a_command_to_github() {
    let mut project = Project::new();
    project.env.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    project.write(".env.staging", "DATABASE_URL=postgresql://u:p@db.production.example/hotdash_test\n");
    let hostile = "x\n::error::owned\r ::add-path::/tmp\n##[error]\u{202e}\u{1b}[31m";
    project.write(&format!("feedback/evidence/{hostile}/y"), "");
    let answers = [
        project.run(&[hostile]).expect(2),
        project.run(&["forward", hostile]).expect(2),
        project.run(&["forward", "--target", hostile]).expect(2),
        project.run(&["forward", "--env-file", hostile]).expect(4),
        project.run(&["forward", "--env-file", hostile, "--json"]).expect(4),
        project.run(&["evidence", "show", hostile]).expect(2),
        project.run(&["evidence", "list"]).expect(0),
        project.run(&["evidence", "verify"]).expect(0),
        project.run(&["backward", "--to", hostile]).expect(3),
        project.run(&["evidence", "show"]).expect(0),
    ];
    let is_meant = |line: &str| line.starts_with("::add-mask::") || line.starts_with("::error title=");
    for answer in answers {
        for text in [&answer.stdout, &answer.stderr] {
            let said: Vec<&str> = text.split(['\n', '\r']).filter(|line| !is_meant(line)).collect();
            let commands = said.iter().filter(|line| line.trim_start().starts_with("::") || line.contains("##["));
            assert_eq!(commands.count(), 0, "{text}");
            let is_json = text.starts_with('{');
            assert!(is_json || !text.contains(['\u{1b}', '\u{202e}', '\r']), "{text:?}");
        }
    }
    // It is shown, on one line.
    let shown = project.run(&["forward", "--target", hostile]).expect(2).stderr;
    let shown: Vec<&str> = shown.lines().filter(|line| !is_meant(line)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    error: there is no target `x\n::error::owned\r ::add-path::/tmp\n\u{23}#[error]\u{202e}\u{1b}[31m`
    caused by: the targets are: staging, sandbox
    note: add `[targets.x\n::error::owned\r ::add-path::/tmp\n\u{23}#[error]\u{202e}\u{1b}[31m]` to drill.toml, or name one of these with `--target`
    ");
}
