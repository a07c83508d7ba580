//! Sections of the page of a run that failed, beside one that went well before it.

use serde_json::{Value, json};

use crate::evidence::record::{RECORD, Record};
use crate::evidence::views::report::*;
use redact::{Redactor, Secret};

const SECRET: &str = "shpss_0f1e2d3c4b5a6978";

fn leave(dir: &Path, name: &str, run: Value, plan: &Value) -> PathBuf {
    let mut run = run;
    run["command"] = json!("drill");
    run["target"] = json!({"name": "staging", "host": "h", "port": 5432, "database": "d"});
    let folder = dir.join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(RECORD), json!(Record::of(run)).to_string()).unwrap();
    fs::write(folder.join("plan.json"), plan.to_string()).unwrap();
    folder
}

fn plan() -> Value {
    let steps = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
    let part = |stage: &str, names: &[&str]| json!([{"name": stage, "action": {"own": {"stage": stage, "groups": [steps(names)]}}}]);
    json!({"stage": "drill", "groups": [part("forward", &["replay", "migrate deploy", "verify ledger"]), part("backward", &["snapshot", "roll back"])]})
}

/// One that went well, and a day later one that did not.
fn two_runs(dir: &Path) -> PathBuf {
    let step = |name: &str, status: &str, detail: &str| json!({"name": name, "status": status, "detail": detail, "duration_ms": 1_500});
    let forward = |status: &str, took: u64, steps: &[Value]| json!({"name": "forward", "status": status, "duration_ms": took, "offset_ms": 400, "steps": steps});
    let counts = |after: u64| json!({"before": {}, "after": {"public.a": after, "public.b": 7, "public._prisma_migrations": after}});
    let before = json!({
        "stages": [forward("ok", 3_000, &[]), {"name": "mirror", "status": "ok", "duration_ms": 9}], "counts": counts(1_000),
        "migrations": {"applied": ["1_a", "2_b"]}, "inputs": {"migrations": "aa11"}, "tools": {"drill": "0.1.0", "prisma": "7.9.0"},
    });
    leave(dir, "20261122T200401Z-drill-aaa000", before, &Value::Null);
    let left_out = json!({"name": "mirror", "status": "skipped", "detail": "left out, as asked"});
    let excerpt = json!({"from": 6, "text": format!("alter table t\n  add s text default '{SECRET}';\n-- <b>")});
    let run = json!({
        "status": "failed", "argv": ["drill", "--target", "staging"], "planning": [{"name": "inspect", "offset_ms": 0, "duration_ms": 400}],
        "error": {"message": "no", "causes": [], "file": "prisma/migrations/3_c/migration.sql", "line": 7, "excerpt": excerpt},
        "stages": [forward("failed", 4_250, &[step("replay", "skipped", "not tried: no server"), step("migrate deploy", "failed", "exited with code 1")]), left_out],
        "counts": counts(990), "migrations": {"applied": []}, "inputs": {"migrations": "bb22"}, "tools": {"drill": "0.1.0", "prisma": "7.10.0"},
        "operator": {"user": "runner", "host": "vm", "ci_run": "javascript:alert(1)", "actor": "ana"},
    });
    leave(dir, "20261123T200401Z-drill-bbb000", run, &plan())
}

fn reading(folder: &Path) -> Reading {
    let secret = Secret::new(SECRET.to_owned());
    Reading::open(folder, &Redactor::new(&[("SHOPIFY_API_SECRET".to_owned(), secret)], &[])).unwrap()
}

/// Its elements a line each.
fn lines(markup: &Markup) -> String {
    markup.0.replace("><", ">\n<").replace("</td><td", "</td>\n<td")
}

/// As a reader sees it: its texts, a row or an item a line.
fn texts(markup: &Markup) -> String {
    let ends = ["</tr>", "</p>", "</dd>", "</div>", "</li>", "</summary>", "</label>"];
    let broken = ends.iter().fold(markup.0.clone(), |text, end| text.replace(end, "\n"));
    let spaced = broken.replace("</td>", " | ").replace("</th>", " | ").replace("</dt>", ": ");
    let mut out = String::new();
    let mut is_tag = false;
    for c in spaced.chars() {
        match c {
            '<' => is_tag = true,
            '>' => is_tag = false,
            c if !is_tag => out.push(c),
            _ => {}
        }
    }
    out.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_failed_is_open_with_the_line_of_its_script_marked_and_masked() {
    let dir = tempfile::tempdir().unwrap();
    let failed = failures::section(&reading(&two_runs(dir.path()))).unwrap();
    assert_eq!(failed.body.0.matches("<details class=\"failure\" open>").count(), 2);
    insta::assert_snapshot!(lines(&failed.body), @r#"
    <details class="failure" open>
    <summary>SQL of <code>prisma/migrations/3_c/migration.sql</code>, line 7</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="The script where it failed">
    <pre class="listing">
    <span class="line">
    <b>6</b>
    <span>alter table t
    </span>
    </span>
    <span class="line hit">
    <b>7</b>
    <span>  add s text default '[REDACTED_SHOPIFY_API_SECRET]';
    </span>
    </span>
    <span class="line">
    <b>8</b>
    <span>-- &lt;b&gt;
    </span>
    </span>
    </pre>
    </div>
    </details>
    <details class="failure" open>
    <summary>
    <svg class="icon bad" viewBox="0 0 16 16" role="img" aria-label="failed">
    <path d="M4 4 12 12 M12 4 4 12">
    </path>
    </svg> forward › <b>migrate deploy</b>
    <span class="aside end">1.5 s</span>
    </summary>
    <div>
    <p>exited with code 1</p>
    </div>
    </details>
    "#);
}

#[test]
fn what_was_not_tried_is_listed_with_why() {
    let dir = tempfile::tempdir().unwrap();
    let reading = reading(&two_runs(dir.path()));
    insta::assert_snapshot!(texts(&skipped::section(&reading).unwrap().body), @r"
    What was not tried says nothing, neither good nor bad: 5 steps.
    | Stage | Step | Why |
    | forward | replay | not tried: no server |
    | forward | verify ledger | migrate deploy failed before it |
    | mirror | all of it | left out, as asked |
    | backward | all of it | migrate deploy failed before it |
    ");
    assert_eq!(skipped::count(&reading), 5);
}

#[test]
fn what_changed_since_the_run_before_is_named_and_its_report_linked() {
    let dir = tempfile::tempdir().unwrap();
    let folder = two_runs(dir.path());
    let since = since::section(&reading(&folder), "..").unwrap();
    assert!(since.body.0.contains("href=\"../20261122T200401Z-drill-aaa000/report.html\""), "{}", since.body.0);
    insta::assert_snapshot!(texts(&since.body), @r"
    20261122T200401Z-drill-aaa000 of 2026-11-22 20:04:01 UTC is the last drill of this target before: ok.
    | Then | Now | Change |
    verdict | ok | failed |  |
    history, by SHA-256 | aa11 | bb22 |  |
    migrations applied | 2 | 0 |  |
    Prisma | 7.9.0 | 7.10.0 |  |
    rows of public.a | 1,000 | 990 | −10 |
    | Then | Now | Change |
    forward | 3.0 s | 4.2 s | +1.2 s |
    to the end of the last step | 3.4 s | 4.6 s | +1.2 s |
    ");
    assert!(since::section(&reading(&dir.path().join("20261122T200401Z-drill-aaa000")), "..").is_none());
}

#[test]
fn a_page_elsewhere_leads_to_the_run_before_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let evidence = dir.path().join("feedback/evidence");
    fs::create_dir_all(&evidence).unwrap();
    let saved = save(&reading(&two_runs(&evidence)), None, &dir.path().join(".drill")).unwrap();
    let page = fs::read_to_string(saved).unwrap();
    let link = "href=\"../../feedback/evidence/20261122T200401Z-drill-aaa000/report.html\"";
    assert!(page.contains(link) && !page.contains(SECRET), "{page}");
}

#[test]
fn the_top_says_which_run_who_where_and_when_and_counts_the_steps() {
    let dir = tempfile::tempdir().unwrap();
    let top = verdict::header(&reading(&two_runs(dir.path())));
    assert!(!top.0.contains("href=\"javascript"), "{}", top.0);
    insta::assert_snapshot!(texts(&top), @r"
    drill failedno
    Run: 20261123T200401Z-drill-bbb000
    Command: cargo xtask drill --target staging
    Who: ana, runner on vm, CI run javascript:alert(1)
    Where: staging, database d on h:5432
    When: 2026-11-22 20:04:01 UTC
    0 migrations applied
    0 → 997 rows in all
    400 ms before the first step
    4.6 s to the end of the last step
    Steps to showAll 6
    Failed 1
    Not tried 5
    Passed 0
    ");
}
