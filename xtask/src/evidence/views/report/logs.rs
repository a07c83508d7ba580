//! What the programs said: each log folded, what failed open, and a filter over all of them.

use maud::{Markup, html};

use crate::evidence::outcome::StepView;
use crate::evidence::views::reading::{Excerpt, Reading, inert_name};
use crate::evidence::views::report::marks::{icon, is_failure, kind};
use crate::evidence::views::report::section::Section;
use crate::words::{duration, size};

/// Bytes of logs on the page, shared by all; the file of each is beside the report.
const BUDGET: u64 = 2 * 1024 * 1024;
const SHARE: std::ops::RangeInclusive<u64> = 8 * 1024..=256 * 1024;

pub fn section(reading: &Reading) -> Option<Section> {
    let logs: Vec<&str> = reading.names(".log").collect();
    if logs.is_empty() {
        return None;
    }
    let share = (BUDGET / logs.len() as u64).clamp(*SHARE.start(), *SHARE.end());
    let body = html! {
        p class="filter" hidden {
            label for="filter" { "Show only lines with" }
            input id="filter" type="search" autocomplete="off" spellcheck="false";
            output for="filter" {}
        }
        @for name in logs {
            @if let Some(excerpt) = reading.text(name, share) { (log(name, step_of(reading, name), &excerpt)) }
        }
    };
    Some(Section { id: "logs", title: "Logs", body })
}

fn step_of<'a>(reading: &'a Reading, log: &str) -> Option<&'a StepView> {
    reading.run.outcome.steps().find(|step| step.log.as_deref() == Some(log))
}

fn log(name: &str, step: Option<&StepView>, excerpt: &Excerpt) -> Markup {
    let failed = step.is_some_and(|step| is_failure(&step.status));
    let kind = step.map_or("", |step| kind(&step.status));
    let name = &inert_name(name);
    html! {
        details class={ "log " (kind) } open[failed] {
            summary {
                @if let Some(step) = step { (icon(&step.status)) " " }
                code { (name) }
                @if let Some(step) = step { span class="aside end" { (duration(step.duration_ms)) } }
                span class="aside matches" {}
            }
            // A jump to what is inside opens the fold, without the script.
            div id=(name) {
                pre { (excerpt.head) }
                @if excerpt.left_out > 0 {
                    p class="cut" {
                        (size(excerpt.left_out)) " of the middle are left out here; all of it is in " code { (name) }
                        " beside this report."
                    }
                    pre { (excerpt.tail) }
                }
            }
        }
    }
}
