//! The top of the report: what came of it in a word, a colour and a symbol, why, and what to do; then the run in
//! numbers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use crate::evidence::outcome::{BeforeAfter, Outcome, StageView};
use crate::evidence::record::Record;
use crate::evidence::views::planned::unreached;
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::prose::prose;
use crate::words::{counted, duration, moment, number};

/// A word of the exit-code table as the reader sees it: one of four colours, and a symbol for who sees none.
pub fn tone(status: &str) -> &'static str {
    match status {
        "ok" | "reversible" => "good",
        "failed" | "different" | "bug" | "leftovers" => "bad",
        "skipped" => "none",
        _ => "warn",
    }
}

/// The symbol as the path of a 16 x 16 drawing: fonts differ, and some have none.
fn symbol(status: &str) -> &'static str {
    match status {
        "ok" | "reversible" => "M3 8.5 6.5 12 13 4.5",
        "failed" | "bug" | "leftovers" => "M4 4 12 12 M12 4 4 12",
        "different" => "M3 6H13M3 10H13M10 3 6 13",
        "refused" => "M8 2.5a5.5 5.5 0 1 0 .01 0ZM4.2 4.2 11.8 11.8",
        "interrupted" => "M5.5 4V12M10.5 4V12",
        "skipped" => "M4 8H12",
        _ => "M8 3V9M8 12.2V12.8",
    }
}

pub fn icon(status: &str) -> Markup {
    html! {
        svg class={ "icon " (tone(status)) } viewBox="0 0 16 16" role="img" aria-label=(status) {
            path d=(symbol(status)) {}
        }
    }
}

/// The verdict on the browser's tab.
pub fn favicon(status: &str) -> String {
    let color = match tone(status) {
        "good" => "#1a7f37",
        "bad" => "#cf222e",
        _ => "#9a6700",
    };
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" {
            rect width="16" height="16" rx="4" fill=(color) {}
            path d=(symbol(status)) fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round" {}
        }
    };
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg.into_string()))
}

pub fn header(reading: &Reading) -> Markup {
    let run = &reading.run.outcome;
    let status = run.status.as_str();
    html! {
        header class=(tone(status)) {
            h1 { (icon(status)) span { (run.command) " " strong { (status) } } }
            p class="headline" { (prose(headline(run))) }
            (facts(&reading.run))
            (reasons(run))
            (tiles(reading))
            (notes(&run.notes))
        }
    }
}

fn headline(run: &Outcome) -> &str {
    match (&run.error, run.status.as_str()) {
        (Some(error), _) if !error.message.is_empty() => &error.message,
        (_, "ok") => "Done, and verified on the server.",
        (_, "abandoned") => "The run was killed before it closed its record; a later run closed it.",
        (_, "running") => "This record was never closed: the run is still at work, or it was killed.",
        _ => "The run ended without a message.",
    }
}

/// Where, when, from what: one line.
fn facts(record: &Record) -> Markup {
    html! {
        p class="facts" {
            @if let Some(target) = &record.outcome.target {
                span {
                    b { (target.name) } " is " code { (target.database) }
                    " on " code { (target.host) ":" (target.port) }
                }
                @if let Some(project) = &target.project_ref { span { "project " code { (project) } } }
            }
            span { (moment(&record.outcome.started_at)) }
            @if let Some(git) = &record.git {
                span {
                    "commit " code { (git.commit.get(..10).unwrap_or(&git.commit)) }
                    @if git.dirty { ", with uncommitted changes" }
                }
            }
        }
    }
}

fn reasons(run: &Outcome) -> Markup {
    html! {
        @if !run.causes().is_empty() {
            div class="causes" { b { "Caused by" } ul { @for cause in run.causes() { li { (prose(cause)) } } } }
        }
        @for refusal in &run.refusals {
            div class="refusal" {
                p { b { (refusal.check) } ": " (prose(&refusal.message)) }
                p class="fix" { b { "Fix" } " " (prose(&refusal.hint)) }
            }
        }
        @if let Some(hint) = run.hint.as_ref().filter(|hint| !run.refusals.iter().any(|refusal| refusal.hint == **hint)) {
            p class="hint" { b { "What to do" } " " code { (hint) } }
        }
    }
}

fn tiles(reading: &Reading) -> Markup {
    let run = &reading.run.outcome;
    let left = unreached(reading);
    let planned = left.steps.iter().chain(left.stages.iter().map(|plan| &plan.steps)).map(Vec::len).sum::<usize>();
    let (steps, good) = (run.steps().count(), run.steps().filter(|step| step.status == "ok").count());
    let moved = run.migrations.as_ref().map(|moved| (moved.applied.len(), moved.rolled_back.len()));
    let (applied, back) = moved.unwrap_or_default();
    let total = |side: fn((&str, Option<u64>, Option<u64>)) -> Option<u64>, counts: &BeforeAfter| {
        number(counts.data().filter_map(side).sum())
    };
    let rows =
        run.counts.as_ref().map(|counts| format!("{} → {}", total(|row| row.1, counts), total(|row| row.2, counts)));
    let tiles = [
        (steps > 0).then(|| tile(&format!("{good} of {}", steps + planned), "steps are ok")),
        (moved.is_some() && (applied > 0 || back == 0)).then(|| tile(&counted(applied, "migration"), "applied")),
        (back > 0).then(|| tile(&counted(back, "migration"), "rolled back")),
        rows.map(|rows| tile(&rows, "rows in all")),
        took(&run.stages).map(|took| tile(&duration(took), "to the end of the last step")),
    ];
    html! {
        @if tiles.iter().any(Option::is_some) {
            ul class="tiles" { @for tile in tiles.into_iter().flatten() { (tile) } }
        }
    }
}

fn tile(value: &str, what: &str) -> Markup {
    html! { li { b { (value) } " " span { (what) } } }
}

/// Milliseconds to the end of the last stage; None without stages. Stages follow each other, also where no record says
/// when they began.
fn took(stages: &[StageView]) -> Option<u64> {
    let end = |now: u64, stage: &StageView| stage.offset_ms.unwrap_or(now) + stage.duration_ms;
    (!stages.is_empty()).then(|| stages.iter().fold(0, end))
}

fn notes(notes: &[String]) -> Markup {
    html! {
        @if !notes.is_empty() {
            details class="notes" {
                summary { (counted(notes.len(), "note")) }
                ul { @for note in notes.iter().take(200) { li { (prose(note)) } } }
            }
        }
    }
}
