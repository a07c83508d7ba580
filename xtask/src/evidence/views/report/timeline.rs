//! What happened when: a bar for each step, to one scale from the run's start.

use maud::{Markup, html};

use crate::evidence::outcome::{Outcome, Phase, StageView, StepView};
use crate::evidence::views::planned::unreached;
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::marks::{icon, kind, tone};
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::section::Section;
use crate::words::duration;

/// When something began and ended, in milliseconds from the run's start.
#[derive(Clone, Copy)]
struct Span {
    from: u64,
    to: u64,
}

pub fn section(reading: &Reading) -> Option<Section> {
    let Outcome { stages, planning, .. } = &reading.run.outcome;
    if stages.is_empty() && planning.is_empty() {
        return None;
    }
    let left = unreached(reading);
    let spans = spans(stages);
    let first = spans.iter().flatten().map(|span| span.from).min();
    let before = first.unwrap_or_else(|| planning.last().map_or(0, |last| last.offset_ms + last.duration_ms));
    let end = spans.iter().flatten().map(|span| span.to).max().unwrap_or(before).max(1);
    let body = html! {
        p class="filter" hidden {
            label for="search-steps" { "Show only steps with" }
            input id="search-steps" type="search" autocomplete="off" spellcheck="false";
            output for="search-steps" {}
        }
        div class="waterfall" id="steps" {
            (axis(end))
            @if before > 0 { (before_the_first(planning, before, end)) }
            @for ((stage, spans), left) in stages.iter().zip(&spans).zip(&left.steps) {
                div class={ "group " (kind_of_stage(stage)) } {
                    (rows(reading, stage, spans, end))
                    @for step in left { (not_reached(step, "row step")) }
                }
            }
            @for plan in &left.stages {
                div class="group is-skipped" {
                    (not_reached(&plan.stage, "row stage"))
                    @for step in &plan.steps { (not_reached(step, "row step")) }
                }
            }
        }
    };
    Some(Section { id: "timeline", title: "Timeline", body })
}

/// Older records know no phases.
fn before_the_first(planning: &[Phase], before: u64, end: u64) -> Markup {
    html! {
        div class="group before" {
            div class="row stage" {
                span class="name" { "before the first step" }
                (bar(Span { from: 0, to: before }, end, "none"))
                span class="took" { (duration(before)) }
                @if planning.is_empty() { span class="detail" { "guard, connection, inspection, plan" } }
            }
            // What took no time to speak of is in the sum.
            @for Phase { name, offset_ms, duration_ms } in planning.iter().filter(|phase| phase.duration_ms * 50 > before) {
                div class="row" {
                    span class="name" { (name) }
                    (bar(Span { from: *offset_ms, to: offset_ms + duration_ms }, end, "none"))
                    span class="took" { (duration(*duration_ms)) }
                    span class="detail" { (phase_in_words(name)) }
                }
            }
        }
    }
}

fn phase_in_words(name: &str) -> &'static str {
    match name {
        "declare" => "drill.toml, the variables, and the sandbox's start",
        "connect" => "the guard's checks, the way to the server, and whether it is the one that is meant",
        "lock" => "the lock of this run",
        "inspect" => "the history, the ledger, the schema and the rows as they are",
        "plan" => "each step, and what has to be known for it",
        "consent" => "what is at stake, and a word for it",
        "tools" => "the versions of Node, Prisma and git",
        "open" => "the record, and what it starts with",
        _ => "",
    }
}

/// A stage that was left out has no step to be found by.
fn kind_of_stage(stage: &StageView) -> &'static str {
    if stage.steps.is_empty() { kind(&stage.status) } else { "" }
}

/// The stage's own span and those of its steps. A record from before offsets were kept is laid out end to end.
fn spans(stages: &[StageView]) -> Vec<Vec<Span>> {
    let mut now = 0;
    let mut span = |offset_ms: Option<u64>, duration_ms: u64, is_step: bool| {
        let from = offset_ms.unwrap_or(now);
        let to = from + duration_ms;
        now = if is_step { to } else { from };
        Span { from, to }
    };
    let of_stage = |stage: &StageView| {
        let own = span(stage.offset_ms, stage.duration_ms, false);
        let steps = stage.steps.iter().map(|step| span(step.offset_ms, step.duration_ms, true));
        std::iter::once(own).chain(steps).collect()
    };
    stages.iter().map(of_stage).collect()
}

fn rows(reading: &Reading, stage: &StageView, spans: &[Span], end: u64) -> Markup {
    html! {
        @if stage.status == "skipped" { (not_tried(&stage.name, "row stage", stage.detail.as_deref().unwrap_or("left out"))) }
        @else { div class="row stage" { (cells(&html! { (stage.name) }, &stage.status, spans[0], end)) } }
        @for (step, span) in stage.steps.iter().zip(&spans[1..]) {
            div class={ "row step " (kind(&step.status)) } {
                (cells(&name(reading, step), &step.status, *span, end))
                @if let Some(detail) = detail(step) { span class="detail" { (prose(&detail)) } }
            }
        }
    }
}

/// What was planned and not tried.
fn not_reached(name: &str, class: &str) -> Markup {
    not_tried(name, class, "not reached")
}

fn not_tried(name: &str, class: &str, why: &str) -> Markup {
    html! {
        div class={ (class) " is-skipped unreached" } {
            span class="name" { (icon("skipped")) " " (name) }
            span class="detail" { (prose(why)) }
        }
    }
}

fn cells(name: &Markup, status: &str, span: Span, end: u64) -> Markup {
    html! {
        span class="name" { (icon(status)) " " (name) }
        (bar(span, end, tone(status)))
        span class="took" { (duration(span.to - span.from)) }
    }
}

/// A step that has a log leads to it.
fn name(reading: &Reading, step: &StepView) -> Markup {
    let log = step.log.as_deref().filter(|log| reading.names(".log").any(|name| name == *log));
    html! {
        @if let Some(log) = log { a href={ "#" (log) } { (step.name) } } @else { (step.name) }
    }
}

fn detail(step: &StepView) -> Option<String> {
    step.found().or_else(|| (step.status != "ok").then(|| step.status.clone()))
}

fn axis(end: u64) -> Markup {
    html! {
        div class="row axis" aria-hidden="true" {
            span class="name" {}
            svg class="scale" height="16" {
                @for tick in ticks(end) {
                    text x=(percent(tick, end)) y="12" text-anchor=(if tick == 0 { "start" } else { "middle" }) {
                        (duration(tick))
                    }
                }
            }
            span class="took" {}
        }
    }
}

/// Lengths are attributes of a drawing: the page's policy allows no style beside the one sheet.
fn bar(span: Span, end: u64, tone: &str) -> Markup {
    let width = (span.to - span.from).max(end / 250); // what took no time is there all the same
    html! {
        svg class="bar" height="14" aria-hidden="true" {
            @for tick in ticks(end) { rect class="grid" x=(percent(tick, end)) width="1" height="14" {} }
            rect class=(tone) x=(percent(span.from, end)) width=(percent(width, end)) height="14" rx="2" {}
        }
    }
}

pub fn percent(part: u64, whole: u64) -> String {
    format!("{}.{}%", part * 100 / whole, part * 1000 / whole % 10)
}

/// Round moments from 0, at most six, the last well before the end.
fn ticks(end: u64) -> impl Iterator<Item = u64> {
    let steps = (0..12).flat_map(|power| [1, 2, 5].map(|factor| factor * 10u64.pow(power)));
    let step = steps.into_iter().find(|step| end / step <= 6).unwrap_or(end);
    (0..).map(move |number| number * step).take_while(move |tick| *tick * 10 <= end * 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_round() {
        let shown = |end| ticks(end).collect::<Vec<_>>();
        assert_eq!(shown(2_300), [0, 500, 1_000, 1_500, 2_000]);
        assert_eq!(shown(90_000), [0, 20_000, 40_000, 60_000, 80_000]);
        assert_eq!(shown(10_400), [0, 2_000, 4_000, 6_000, 8_000]);
        assert_eq!(shown(1), [0]);
    }

    #[test]
    fn steps_without_offsets_follow_each_other() {
        let step = |took| StepView { duration_ms: took, ..StepView::default() };
        let first = StageView { duration_ms: 30, steps: vec![step(10), step(20)], ..StageView::default() };
        let stages = [first, StageView::default()];
        let spans: Vec<Vec<(u64, u64)>> =
            spans(&stages).iter().map(|spans| spans.iter().map(|span| (span.from, span.to)).collect()).collect();
        assert_eq!(spans, [vec![(0, 30), (0, 10), (10, 30)], vec![(30, 30)]]);
    }
}
