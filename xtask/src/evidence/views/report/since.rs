//! What changed since the last run of the same command against the same target.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::evidence::outcome::{Migrations, Outcome};
use crate::evidence::record::Record;
use crate::evidence::views::names;
use crate::evidence::views::reading::{Earlier, Reading};
use crate::evidence::views::report::marks::icon;
use crate::evidence::views::report::section::{Section, region};
use crate::evidence::views::report::verdict::took;
use crate::words::{duration, moment, number};

/// Tables whose number of rows is another.
const LINES: usize = 200;

/// What is said of both runs.
struct Line {
    what: String,
    then: String,
    now: String,
    change: String,
}

/// `siblings` leads from the page to the folder of all runs.
pub fn section(reading: &Reading, siblings: &str) -> Option<Section> {
    let Earlier { name, run: then } = reading.earlier.as_ref()?;
    let now = &reading.run;
    let facts = facts(then, now);
    let times = times(&then.outcome, &now.outcome);
    let body = html! {
        p {
            (icon(&then.outcome.status)) " " a href={ (siblings) "/" (name) "/" (names::REPORT) } { (name) }
            " of " (moment(&then.outcome.started_at)) " is the last " (then.outcome.command) " of this target before: "
            b { (then.outcome.status) } "."
        }
        @if facts.is_empty() { p { "Verdict, migrations, rows, commit and tools are as they were then." } }
        @else { (region("What changed since the run before", &lines(&facts))) }
        @if !times.is_empty() { (region("What it took then and now", &lines(&times))) }
    };
    Some(Section { id: "since", title: "Since the run before", body })
}

fn lines(lines: &[Line]) -> Markup {
    html! {
        table class="numbers" {
            thead { tr { th { "" } th { "Then" } th { "Now" } th { "Change" } } }
            tbody {
                @for Line { what, then, now, change } in lines {
                    tr { td { (what) } td { (then) } td { (now) } td { (change) } }
                }
            }
        }
    }
}

/// Only what both know and what is another.
fn facts(then: &Record, now: &Record) -> Vec<Line> {
    let plain = |what: &str, of: &dyn Fn(&Record) -> Option<String>| {
        let (then, now) = (of(then), of(now));
        let (then, now) = then.zip(now).filter(|(then, now)| then != now)?;
        Some(Line { what: what.to_owned(), then, now, change: String::new() })
    };
    let moved = |of: fn(&Migrations) -> usize| {
        move |run: &Record| run.outcome.migrations.as_ref().map(|moved| of(moved).to_string())
    };
    let digest = |run: &Record| run.inputs.get("migrations").map(|digest| short(digest));
    let all = [
        plain("verdict", &|run| Some(run.outcome.status.clone())),
        plain("history, by SHA-256", &digest),
        plain("migrations applied", &moved(|moved| moved.applied.len())),
        plain("migrations rolled back", &moved(|moved| moved.rolled_back.len())),
        plain("migrations still pending", &moved(|moved| moved.pending.len())),
        plain("commit", &|run| run.git.as_ref().map(|git| short(&git.commit))),
        plain("Prisma", &|run| run.tools.prisma.clone()),
        plain("Node", &|run| run.tools.node.clone()),
        plain("Postgres", &|run| run.server.as_ref().map(|server| server.version.clone())),
    ];
    all.into_iter().flatten().chain(rows(&then.outcome, &now.outcome)).collect()
}

fn short(digest: &str) -> String {
    digest.chars().take(10).collect()
}

/// Of each table at the end of both runs, where both counted.
fn rows(then: &Outcome, now: &Outcome) -> Vec<Line> {
    let Some((then_counts, now_counts)) = then.counts.as_ref().zip(now.counts.as_ref()) else { return Vec::new() };
    let after = |name: &str| now_counts.after.get(name).copied();
    let before: BTreeMap<&str, Option<u64>> = then_counts.data().map(|(name, _, count)| (name, count)).collect();
    let names = before.keys().copied().chain(now_counts.data().map(|(name, ..)| name));
    let names: std::collections::BTreeSet<&str> = names.collect();
    let shown = |count: Option<u64>| count.map_or("–".to_owned(), number);
    let line = |name: &str| {
        let (then, now) = (before.get(name).copied().flatten(), after(name));
        let change = signed(then.unwrap_or(0), now.unwrap_or(0), number);
        (then != now).then(|| Line { what: format!("rows of {name}"), then: shown(then), now: shown(now), change })
    };
    // What was not counted has not changed by so many.
    let exact = |name: &&str| then_counts.about(name).is_empty() && now_counts.about(name).is_empty();
    names.into_iter().filter(exact).filter_map(line).take(LINES).collect()
}

/// What planning and each stage took, in the order of this run; of two stages with one name the first is compared with the first.
fn times(then: &Outcome, now: &Outcome) -> Vec<Line> {
    let spans = |run: &Outcome| {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let planning: u64 = run.planning.iter().map(|phase| phase.duration_ms).sum();
        let mut spans = vec![("planning".to_owned(), planning)];
        for stage in run.stages.iter().filter(|stage| stage.status != "skipped") {
            let count = seen.entry(stage.name.clone()).and_modify(|count| *count += 1).or_insert(1);
            let name = if *count == 1 { stage.name.clone() } else { format!("{} ({count})", stage.name) };
            spans.push((name, stage.duration_ms));
        }
        spans.push(("to the end of the last step".to_owned(), took(&run.stages).unwrap_or(0)));
        spans.into_iter().filter(|(_, took)| *took > 0).collect::<Vec<_>>()
    };
    let before: BTreeMap<String, u64> = spans(then).into_iter().collect();
    let line = |(what, now): (String, u64)| {
        let then = *before.get(&what)?;
        Some(Line { then: duration(then), now: duration(now), change: signed(then, now, duration), what })
    };
    spans(now).into_iter().filter_map(line).collect()
}

fn signed(then: u64, now: u64, shown: fn(u64) -> String) -> String {
    match now.checked_sub(then) {
        Some(0) => "=".to_owned(),
        Some(more) => format!("+{}", shown(more)),
        None => format!("−{}", shown(then - now)),
    }
}
