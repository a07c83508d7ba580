//! What was not tried, and why: nobody may take it for what went well.

use maud::html;

use crate::evidence::outcome::StageView;
use crate::evidence::views::planned::{Planned, unreached};
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::marks::{icon, is_failure};
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::section::{Section, region};
use crate::words::counted;

/// Rows on the page.
const LINES: usize = 1_000;

/// A step, or a whole stage.
struct NotTried {
    stage: String,
    step: Option<String>,
    why: String,
    /// How many steps it stands for.
    steps: usize,
}

pub fn section(reading: &Reading) -> Option<Section> {
    let all = all(reading);
    if all.is_empty() {
        return None;
    }
    let rows = html! {
        table {
            thead { tr { th { "" } th { "Stage" } th { "Step" } th { "Why" } } }
            tbody {
                @for one in all.iter().take(LINES) {
                    tr {
                        td { (icon("skipped")) } td { (one.stage) }
                        td { (one.step.as_deref().unwrap_or("all of it")) } td { (prose(&one.why)) }
                    }
                }
            }
        }
    };
    let body = html! {
        p { "What was not tried says nothing, neither good nor bad: " (counted(sum(&all), "step")) "." }
        (region("What was not tried", &rows))
    };
    Some(Section { id: "skipped", title: "Not tried", body })
}

/// How many of them there are.
pub fn count(reading: &Reading) -> usize {
    sum(&all(reading))
}

fn sum(all: &[NotTried]) -> usize {
    all.iter().map(|one| one.steps).sum()
}

fn all(reading: &Reading) -> Vec<NotTried> {
    let left = unreached(reading);
    let why = why(&reading.run.outcome.stages);
    let not = |stage: &str, step: Option<&str>, why: &str| NotTried {
        stage: stage.to_owned(),
        step: step.map(str::to_owned),
        why: why.to_owned(),
        steps: 1,
    };
    let mut all = Vec::new();
    for (stage, left) in reading.run.outcome.stages.iter().zip(&left.steps) {
        if stage.status == "skipped" {
            all.push(not(&stage.name, None, stage.detail.as_deref().unwrap_or("left out")));
        }
        let skipped = stage.steps.iter().filter(|step| step.status == "skipped");
        all.extend(skipped.map(|step| {
            not(&stage.name, Some(&step.name), step.detail.as_deref().unwrap_or("it says nothing of why"))
        }));
        all.extend(left.iter().map(|step| not(&stage.name, Some(step), &why)));
    }
    let whole = |plan: &Planned| NotTried { steps: plan.steps.len().max(1), ..not(&plan.stage, None, &why) };
    all.extend(left.stages.iter().map(whole));
    all
}

/// Why the rest of the plan was not reached.
fn why(stages: &[StageView]) -> String {
    let failed = stages.iter().flat_map(|stage| &stage.steps).find(|step| is_failure(&step.status));
    failed.map_or("the run ended before it".to_owned(), |step| format!("`{}` failed before it", step.name))
}
