//! What is said of a run while it goes on, and at its end.

use std::fmt::Write;
use std::path::PathBuf;

use super::*;
use crate::hint::Aim;
use redact::Secret;

static SAID: Mutex<String> = Mutex::new(String::new());

fn hear(text: Arguments<'_>) {
    SAID.lock().unwrap().write_fmt(text).unwrap();
}

fn said() -> String {
    SAID.lock().unwrap().clone()
}

fn console(quiet: bool, written: Duration) -> Console {
    let [json, color, color_results, live, person, github] = [false; 6];
    let output = Output { json, quiet, color, color_results, live, person, github };
    let console = Console::new(output).heard(written, hear);
    let secret = ("PASSWORD".to_owned(), Secret::new("hunter2-of-the-name".to_owned()));
    console.mask(&Redactor::new(&[secret], &[]));
    console
}

/// Waits until that was said.
fn await_said(text: &str) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !said().contains(text) {
        assert!(Instant::now() < limit, "`{text}` is not in {}", said());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn without_a_terminal_what_lasts_is_told_in_lines_and_what_does_not_is_not() {
    let often = console(false, Duration::from_millis(20));
    often.during("snapshot", || {
        let work = often.headway.rows(Some(300_000));
        work.rows(120_000, 14_200_000);
        await_said("MB");
    });
    often.during("plan", || {
        let work = often.headway.part(44);
        work.step(7, "2025_hunter2-of-the-name\n::error::");
        await_said("7/44");
    });
    often.waiting("migrate deploy", || await_said("deploy"));
    console(true, Duration::from_millis(1)).during("quiet", || std::thread::sleep(Duration::from_millis(20)));
    console(false, WRITTEN).during("fast", || std::thread::sleep(Duration::from_millis(20)));
    // The last line of each: a busy machine may look before anything is counted.
    let said = regex::Regex::new(r"\d+ s\b").unwrap().replace_all(&said(), "N s").into_owned();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.reverse();
    lines.dedup_by_key(|line| line.split_whitespace().nth(1).map(|name| name.trim_end_matches(':')));
    lines.reverse();
    insta::assert_snapshot!(lines.join("\n"), @r"
    … snapshot: 120,000 of 300,000 rows, 14.2 MB (N s)
    … plan 7/44 2025_[REDACTED_PASSWORD]\n::error:: (N s)
    … migrate deploy: N s
    ");
}

#[test]
fn the_last_lines_say_what_came_of_it_and_what_opens_the_report() {
    let mut outcome = Outcome::begin("drill", "2026-11-22T23:53:42Z".to_owned());
    let evidence = "feedback/evidence/20261122T235342Z-drill-62fddb";
    let mut lines = vec![verdict(&outcome, evidence, None, 14_000)];
    outcome.aim = Aim { sandbox: true, root: Some(PathBuf::from("../other project")), ..Aim::default() };
    let all = [
        Failure::failed("x"),
        Failure::refused("staging", Vec::new()),
        Failure::blocked("x"),
        Failure::different("x"),
        Failure::bug("x"),
        Failure::interrupted(Status::Terminated),
    ];
    lines.extend(all.iter().map(|failure| verdict(&outcome, evidence, Some(failure), 3_210)));
    insta::assert_snapshot!(lines.join("\n"), @"
    drill passed in 14.0 s: cargo xtask evidence open 20261122T235342Z-drill-62fddb
    drill failed after 3.2 s: cargo xtask evidence open 20261122T235342Z-drill-62fddb --sandbox --root '../other project'
    drill was refused after 3.2 s: cargo xtask evidence open 20261122T235342Z-drill-62fddb --sandbox --root '../other project'
    drill was blocked after 3.2 s: cargo xtask evidence open 20261122T235342Z-drill-62fddb --sandbox --root '../other project'
    drill found a difference after 3.2 s: cargo xtask evidence open 20261122T235342Z-drill-62fddb --sandbox --root '../other project'
    drill broke after 3.2 s: cargo xtask evidence open 20261122T235342Z-drill-62fddb --sandbox --root '../other project'
    drill was interrupted after 3.2 s: cargo xtask evidence open 20261122T235342Z-drill-62fddb --sandbox --root '../other project'
    ");
}
