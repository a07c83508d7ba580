//! What the programs said: each log folded, what failed open, and a filter over all of them.

use maud::{Markup, html};
use serde_json::Value;

use crate::evidence::views::reading::{Excerpt, Reading};
use crate::evidence::views::report::Section;
use crate::evidence::views::report::verdict::icon;
use crate::words::{duration, list, size, text};

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

fn step_of<'a>(reading: &'a Reading, log: &str) -> Option<&'a Value> {
    let mut steps = list(&reading.run["stages"]).iter().flat_map(|stage| list(&stage["steps"]));
    steps.find(|step| text(&step["log"]) == log)
}

fn log(name: &str, step: Option<&Value>, excerpt: &Excerpt) -> Markup {
    let failed = step.is_some_and(|step| step["status"] != "ok");
    html! {
        details class="log" open[failed] {
            summary {
                @if let Some(step) = step { (icon(text(&step["status"]))) " " }
                code { (name) }
                @if let Some(took) = step.and_then(|step| step["duration_ms"].as_u64()) {
                    span class="aside" { (duration(took)) }
                }
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
