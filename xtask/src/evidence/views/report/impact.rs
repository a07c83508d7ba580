//! What each statement of the migrations was in the way of, beside made-up rows.

use maud::{Markup, html};

use crate::evidence::impact::{Blocks, Impact, TableLock};
use crate::evidence::outcome::Outcome;
use crate::evidence::views::report::lanes::lanes;
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::section::Section;
use crate::words::{number, size};

/// Lines of the table on the page; `run.json` has all.
const LINES: usize = 1_000;

pub fn impact(run: &Outcome) -> Option<Section> {
    if run.impact.is_empty() {
        return None;
    }
    let is_foretold = run.impact.iter().any(|one| one.production.is_some());
    let body = html! {
        p { "Measured statement by statement in a throw-away database with few made-up rows: locks and work are those of a large table, times are not." }
        @if is_foretold { p { "What statements take in production is foretold from tables of up to 100,000 made-up rows on this machine; the range is what the measurements leave open." } }
        @if let Some(picture) = lanes(&run.impact) { (picture) }
        div class="scroll" {
            table {
                thead { tr { th { "Migration" } th { "Statement" } th { "Blocks" } th { "Work" } th { "WAL" } @if is_foretold { th { "In production" } } } }
                tbody { @for one in run.impact.iter().take(LINES) { (row(one, is_foretold)) } }
            }
        }
    };
    Some(Section { id: "impact", title: "What the migrations are in the way of", body })
}

fn row(one: &Impact, is_foretold: bool) -> Markup {
    let blocking = one.locks.iter().filter(|lock| lock.blocks > Blocks::Nothing);
    let blocked = |lock: &TableLock| format!("{} of `{}` ({})", lock.blocks.in_words(), lock.table, lock.mode);
    html! {
        tr {
            td { code { (one.migration) } ", line " (one.line) }
            td { code { (one.statement) } }
            td {
                @for lock in blocking { div { (prose(&blocked(lock))) } }
                @if let Some(why) = &one.unmeasured { (prose(why)) }
            }
            td { @for work in work(one) { div { (prose(&work)) } } }
            td class="nowrap" { (size(one.wal_bytes)) }
            @if is_foretold { td { @if let Some(foretold) = &one.production { (foretold.in_words()) } } }
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
