//! What failed, open: each step with what it found and the end of its log, and the lines of the script that the server refused.

use maud::{Markup, html};

use crate::error::Excerpt;
use crate::evidence::outcome::{ErrorView, StageView, StepView};
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::marks::{icon, is_failure};
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::section::{Section, region};
use crate::words::duration;

/// Bytes of the end of a log; all of it is in its own section.
const TAIL: u64 = 4 * 1024;

pub fn section(reading: &Reading) -> Option<Section> {
    let run = &reading.run.outcome;
    let steps = run.stages.iter().flat_map(|stage| stage.steps.iter().map(move |step| (stage, step)));
    let failed: Vec<_> = steps.filter(|(_, step)| is_failure(&step.status)).collect();
    let script = run.error.as_ref().and_then(|error| Some((error, error.excerpt.as_ref()?)));
    if failed.is_empty() && script.is_none() {
        return None;
    }
    let body = html! {
        @if let Some((error, excerpt)) = script { (listing(error, excerpt)) }
        @for (stage, step) in failed { (one(reading, stage, step)) }
    };
    Some(Section { id: "failed", title: "What failed", body })
}

fn one(reading: &Reading, stage: &StageView, step: &StepView) -> Markup {
    let log = step.log.as_deref().and_then(|log| Some((log, reading.tail(log, TAIL)?)));
    html! {
        details class="failure" open {
            summary {
                (icon(&step.status)) " " (stage.name) " › " b { (step.name) }
                span class="aside end" { (duration(step.duration_ms)) }
            }
            div {
                p { (prose(&step.found().unwrap_or_else(|| step.status.clone()))) }
                @if let Some((log, tail)) = log {
                    p class="aside" { "The end of " a href={ "#" (log) } { (log) } ":" }
                    pre { (tail) }
                }
            }
        }
    }
}

/// A script's lines with their numbers, and a mark at the one that counts.
fn listing(error: &ErrorView, Excerpt { from, text }: &Excerpt) -> Markup {
    let place = error.line.map(|line| format!(", line {line}")).unwrap_or_default();
    let lines = html! {
        pre class="listing" {
            @for (line, number) in text.lines().zip(*from..) {
                @let class = if error.line == Some(number) { "line hit" } else { "line" };
                span class=(class) { b { (number) } span { (line) "\n" } }
            }
        }
    };
    html! {
        details class="failure" open {
            summary { "SQL of " code { (error.file.as_deref().unwrap_or("the migration")) } (place) }
            (region("The script where it failed", &lines))
            @if error.line.is_none() {
                p class="cut" { "Which line it was is not known: neither the server nor the schema tells." }
            }
        }
    }
}
