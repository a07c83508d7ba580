//! The top of the report: what came of it in a word, a colour and a symbol, why, and what to do; then the run in
//! numbers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde_json::Value;

use crate::evidence::views::planned::unreached;
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::database::total;
use crate::evidence::views::report::prose::prose;
use crate::words::{counted, duration, list, moment, number, text};

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
    let run = &reading.run;
    let status = text(&run["status"]);
    html! {
        header class=(tone(status)) {
            h1 { (icon(status)) span { (text(&run["command"])) " " strong { (status) } } }
            p class="headline" { (prose(headline(run))) }
            (facts(run))
            (reasons(run))
            (tiles(reading))
            (notes(run))
        }
    }
}

fn headline(run: &Value) -> &str {
    let message = text(&run["error"]["message"]);
    match text(&run["status"]) {
        _ if !message.is_empty() => message,
        "ok" => "Done, and verified on the server.",
        "abandoned" => "The run's process ended without a word; a later run closed this record.",
        "running" => "This record was never closed: the run is still at work, or it was killed.",
        _ => "The run ended without a message.",
    }
}

/// Where, when, from what: one line.
fn facts(run: &Value) -> Markup {
    let target = &run["target"];
    html! {
        p class="facts" {
            @if let Some(port) = target["port"].as_u64() {
                span {
                    b { (text(&target["name"])) } " is " code { (text(&target["database"])) }
                    " on " code { (text(&target["host"])) ":" (port) }
                }
            }
            @if let Some(project) = target["project_ref"].as_str() { span { "project " code { (project) } } }
            span { (moment(text(&run["started_at"]))) }
            @if let Some(commit) = run["git"]["commit"].as_str() {
                span {
                    "commit " code { (commit.get(..10).unwrap_or(commit)) }
                    @if run["git"]["dirty"] == true { ", with uncommitted changes" }
                }
            }
        }
    }
}

fn reasons(run: &Value) -> Markup {
    let (causes, refusals, hint) = (list(&run["error"]["causes"]), list(&run["refusals"]), text(&run["hint"]));
    html! {
        @if !causes.is_empty() {
            div class="causes" { b { "Caused by" } ul { @for cause in causes { li { (prose(text(cause))) } } } }
        }
        @for refusal in refusals {
            div class="refusal" {
                p { b { (text(&refusal["check"])) } ": " (prose(text(&refusal["message"]))) }
                p class="fix" { b { "Fix" } " " (prose(text(&refusal["hint"]))) }
            }
        }
        @if !hint.is_empty() && refusals.is_empty() {
            p class="hint" { b { "What to do" } " " code { (hint) } }
        }
    }
}

fn tiles(reading: &Reading) -> Markup {
    let run = &reading.run;
    let steps: Vec<&Value> = list(&run["stages"]).iter().flat_map(|stage| list(&stage["steps"])).collect();
    let left = unreached(reading);
    let planned = left.steps.iter().chain(left.stages.iter().map(|plan| &plan.steps)).map(Vec::len).sum::<usize>();
    let good = steps.iter().filter(|step| step["status"] == "ok").count();
    let migrations = &run["migrations"];
    let (applied, back) = (list(&migrations["applied"]).len(), list(&migrations["rolled_back"]).len());
    let rows = total(&run["counts"]["before"]).zip(total(&run["counts"]["after"]));
    let tiles = [
        (!steps.is_empty()).then(|| tile(&format!("{good} of {}", steps.len() + planned), "steps ended well")),
        (migrations.is_object() && (applied > 0 || back == 0)).then(|| tile(&counted(applied, "migration"), "applied")),
        (back > 0).then(|| tile(&counted(back, "migration"), "taken back")),
        rows.map(|(before, after)| tile(&format!("{} → {}", number(before), number(after)), "rows in all")),
        took(run).map(|took| tile(&duration(took), "to the end of the last step")),
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
fn took(run: &Value) -> Option<u64> {
    let end = |now: u64, stage: &Value| {
        stage["offset_ms"].as_u64().unwrap_or(now) + stage["duration_ms"].as_u64().unwrap_or(0)
    };
    let stages = list(&run["stages"]);
    (!stages.is_empty()).then(|| stages.iter().fold(0, end))
}

fn notes(run: &Value) -> Markup {
    let notes = list(&run["notes"]);
    html! {
        @if !notes.is_empty() {
            details class="notes" {
                summary { (counted(notes.len(), "note")) " on what is no failure" }
                ul { @for note in notes.iter().take(200) { li { (prose(text(note))) } } }
            }
        }
    }
}
