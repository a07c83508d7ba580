//! What each statement of the migrations was in the way of, beside made-up rows.

use maud::{Markup, html};

use crate::evidence::impact::{Blocks, Impact, TableLock};
use crate::evidence::lint::Lint;
use crate::evidence::outcome::Outcome;
use crate::evidence::views::report::lanes::lanes;
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::section::{Section, region};
use crate::words::{number, size};

/// Lines of the table on the page; `run.json` has all.
const LINES: usize = 1_000;

pub fn impact(run: &Outcome) -> Option<Section> {
    if run.impact.is_empty() {
        return None;
    }
    let columns = Columns {
        production: run.impact.iter().any(|one| one.production.is_some()),
        lint: run.impact.iter().any(|one| !one.lint.is_empty()),
    };
    let body = html! {
        p { "Measured statement by statement in a throw-away database with few made-up rows: locks and work are those of a large table, times are not." }
        @if columns.production { p { "What statements take in production is foretold from tables of up to 100,000 made-up rows on this machine; the range is what the measurements leave open." } }
        @if !run.limits.is_empty() {
            p { "Over the limits of drill.toml:" }
            ul { @for one in &run.limits { li { (prose(&one.in_words())) } } }
        }
        @if let Some(picture) = lanes(&run.impact) { (picture) }
        (region("Statements and what they block", &html! {
            table {
                thead { tr {
                    th { "Migration" } th { "Statement" } th { "Blocks" } th { "Work" } th { "WAL" }
                    @if columns.production { th { "In production" } }
                    @if columns.lint { th { "Said by a linter, not measured" } }
                } }
                tbody { @for one in run.impact.iter().take(LINES) { (row(one, columns)) } }
            }
        }))
    };
    Some(Section { id: "impact", title: "What the migrations are in the way of", body })
}

/// Those that only some runs have.
#[derive(Clone, Copy)]
struct Columns {
    production: bool,
    lint: bool,
}

fn lint(lint: &Lint) -> Markup {
    html! {
        div {
            (lint.by) ": " code { (lint.rule) } " " (prose(&lint.message))
            @if let Some(why) = &lint.contradicted { " " strong { "It does not hold: " (prose(why)) } }
        }
    }
}

fn row(one: &Impact, columns: Columns) -> Markup {
    let blocking = one.locks.iter().filter(|lock| lock.blocks > Blocks::Nothing);
    let blocked = |lock: &TableLock| format!("{} of `{}` ({})", lock.blocks.in_words(), lock.table, lock.mode);
    html! {
        tr {
            td { code { (one.migration) } ", line " (one.line) }
            td {
                code { (one.statement) }
                @if one.more_like_it > 0 { " and " (number(one.more_like_it)) " more like it" }
            }
            td {
                @for lock in blocking { div { (prose(&blocked(lock))) } }
                @if let Some(why) = &one.unmeasured { (prose(why)) }
            }
            td { @for work in work(one) { div { (prose(&work)) } } }
            td class="nowrap" { (size(one.wal_bytes)) }
            @if columns.production { td { @if let Some(foretold) = &one.production { (foretold.in_words()) } } }
            @if columns.lint { td { @for one in &one.lint { (lint(one)) } } }
        }
    }
}

fn work(one: &Impact) -> Vec<String> {
    let kinds = [("rewrites", &one.rewritten), ("builds an index of", &one.indexed), ("reads whole", &one.scanned)];
    let tables =
        kinds.into_iter().flat_map(|(what, tables)| tables.iter().map(move |table| format!("{what} `{table}`")));
    let rows = one.rows.iter().map(|(table, rows)| format!("changes {} rows of `{table}`", number(*rows)));
    tables.chain(rows).collect()
}
