//! The top of the report: what came of it in a word, a colour and a symbol, why, and what to do; then the run in
//! numbers.

use maud::{Markup, html};

use crate::evidence::outcome::{Outcome, StageView};
use crate::evidence::record::{Git, Record};
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::marks::{icon, is_failure, tone};
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::skipped;
use crate::hint::quoted;
use crate::words::{counted, duration, moment, number};

pub fn header(reading: &Reading) -> Markup {
    let run = &reading.run.outcome;
    let status = run.status.as_str();
    html! {
        header class=(tone(status)) {
            h1 { (icon(status)) span { (run.command) " " strong { (status) } } }
            p class="headline" { (prose(headline(run))) }
            @if !reading.run.pruned.is_empty() {
                p { "It took older runs away: " (counted(reading.run.pruned.len(), "run")) ", each named in " code { "run.json" } " by its digest." }
            }
            (facts(reading))
            (reasons(run))
            (tiles(reading))
            (chips(reading))
            (notes(&run.notes))
        }
    }
}

fn headline(run: &Outcome) -> &str {
    match (&run.error, run.status.as_str()) {
        (Some(error), _) if !error.message.is_empty() => &error.message,
        (_, "ok") if run.target.is_some() => "Done, and verified on the server.",
        (_, "ok") => "Done.",
        (_, "abandoned") => "The run was killed before it closed its record; a later run closed it.",
        (_, "running") => "This record was never closed: the run is still at work, or it was killed.",
        _ => "The run ended without a message.",
    }
}

/// Which run, what was typed, who, where and when.
fn facts(reading: &Reading) -> Markup {
    let record = &reading.run;
    html! {
        dl class="facts" {
            dt { "Run" } dd { code { (reading.name) } }
            dt { "Command" } dd { code { "cargo xtask " (record.argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")) } }
            @let who = who(record);
            @if !who.is_empty() {
                dt { "Who" }
                dd { @for (at, one) in who.iter().enumerate() { @if at > 0 { ", " } (one) } }
            }
            @if let Some(git) = &record.git { dt { "Commit" } dd { (commit(git)) } }
            dt { "Where" } dd { (place(record)) }
            dt { "When" } dd { (when(&record.outcome)) }
        }
    }
}

/// By their own account.
fn who(record: &Record) -> Vec<Markup> {
    let operator = &record.operator;
    let ci = operator.ci_run.as_ref().map(|run| html! { "CI run " (link(run)) });
    let actor = operator.actor.as_ref().map(|actor| html! { b { (actor) } });
    let here = (operator.user.is_some() || operator.host.is_some()).then(|| {
        html! {
            @if let Some(user) = &operator.user { b { (user) } " " }
            @if let Some(host) = &operator.host { "on " code { (host) } }
        }
    });
    [actor, here, ci].into_iter().flatten().collect()
}

fn commit(git: &Git) -> Markup {
    html! {
        code { (git.commit.get(..10).unwrap_or(&git.commit)) }
        @if let Some(author) = &git.author { " by " (author) }
        @if git.dirty { ", with uncommitted changes" }
    }
}

/// What is no address of the web leads nowhere.
fn link(url: &str) -> Markup {
    let is_web = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    html! { @if is_web { a href=(url) { (url) } } @else { (url) } }
}

fn place(record: &Record) -> Markup {
    let target = record.outcome.target.as_ref();
    html! {
        @match target {
            Some(target) => {
                b { (target.name) } ", database " code { (target.database) }
                " on " code { (target.host) ":" (target.port) }
                @if let Some(project) = &target.project_ref { ", project " code { (project) } }
            },
            None => "no target was reached",
        }
        @if let Some(server) = &record.server { ", Postgres " (server.version) }
    }
}

fn when(run: &Outcome) -> Markup {
    html! {
        (moment(&run.started_at))
        @if let Some(end) = &run.finished_at { " to " (end.split_once('T').map_or(end.as_str(), |(_, time)| time.trim_end_matches('Z'))) }
    }
}

/// How many steps came to what; chosen, only those are shown. It needs no script: the sheet looks at what is chosen.
fn chips(reading: &Reading) -> Markup {
    let run = &reading.run.outcome;
    let count = |is: fn(&str) -> bool| run.steps().filter(|step| is(&step.status)).count();
    let (passed, failed, skipped) =
        (count(|status| tone(status) == "good"), count(is_failure), skipped::count(reading));
    let all = passed + failed + skipped;
    let chips = [
        ("all", "none", "All", all),
        ("failed", "bad", "Failed", failed),
        ("skipped", "none", "Not tried", skipped),
        ("passed", "good", "Passed", passed),
    ];
    html! {
        @if all > 0 {
            fieldset class="chips" {
                legend { "Steps to show" }
                @for (name, tone, title, count) in chips {
                    label class=(tone) {
                        input type="radio" name="show" id={ "show-" (name) } value=(name) checked[name == "all"] disabled[count == 0];
                        (title) " " b { (count) }
                    }
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
    let moved = run.migrations.as_ref().map(|moved| (moved.applied.len(), moved.rolled_back.len()));
    let (applied, back) = moved.unwrap_or_default();
    let rows = run.counts.as_ref().map(|counts| {
        let before: u64 = counts.data().filter_map(|(_, before, _)| before).sum();
        let after: u64 = counts.data().filter_map(|(.., after)| after).sum();
        format!("{} → {}", number(before), number(after))
    });
    let tiles = [
        (moved.is_some() && (applied > 0 || back == 0)).then(|| tile(&counted(applied, "migration"), "applied")),
        (back > 0).then(|| tile(&counted(back, "migration"), "rolled back")),
        rows.map(|rows| tile(&rows, "rows in all")),
        (!run.planning.is_empty()).then(|| tile(&duration(planning(run)), "before the first step")),
        took(&run.stages).map(|took| tile(&duration(took), "to the end of the last step")),
    ];
    html! {
        @if tiles.iter().any(Option::is_some) {
            ul class="tiles" { @for tile in tiles.into_iter().flatten() { (tile) } }
        }
    }
}

/// Milliseconds that its phases took.
fn planning(run: &Outcome) -> u64 {
    run.planning.iter().map(|phase| phase.duration_ms).sum()
}

fn tile(value: &str, what: &str) -> Markup {
    html! { li { b { (value) } " " span { (what) } } }
}

/// Milliseconds to the end of the last stage; None without stages. Stages follow each other, also where no record says
/// when they began.
pub fn took(stages: &[StageView]) -> Option<u64> {
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
