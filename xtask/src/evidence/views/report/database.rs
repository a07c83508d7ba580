//! What the run did to the database: migrations, rows, schema, parity.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde_json::Value;

use crate::evidence::outcome::{BeforeAfter, Migrations, Outcome, Rehearsed};
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::marks::icon;
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::section::{Section, region};
use crate::parity::comparison::Compared;
use crate::schema::catalog::{Catalog, Change, Difference, diff};
use crate::words::{counted, in_line, list, number, text};

/// Lines of one list on the page; the files have all of them.
const LINES: usize = 1_000;

/// A drawing on the page, at most.
const PLOT_LIMIT: u64 = 512 * 1024;

pub fn migrations(run: &Outcome) -> Option<Section> {
    let none = Migrations::default();
    let Migrations { applied, pending, rolled_back } = run.migrations.as_ref().unwrap_or(&none);
    let kinds = [(applied, "Applied"), (rolled_back, "Rolled back"), (pending, "Still pending")];
    if run.rehearsal.is_empty() && kinds.iter().all(|(names, _)| names.is_empty()) {
        return None;
    }
    let body = html! {
        @for (names, title) in kinds {
            @if !names.is_empty() {
                h3 { (title) }
                ol class="names" { @for name in names.iter().take(LINES) { li { code { (name) } } } }
            }
        }
        @if !run.rehearsal.is_empty() { (rehearsed(&run.rehearsal)) }
    };
    Some(Section { id: "migrations", title: "Migrations", body })
}

fn rehearsed(rehearsal: &[Rehearsed]) -> Markup {
    html! {
        h3 { "Up, down and up again" }
        (region("Migrations and what became of them", &html! {
            table {
                thead { tr { th { "Migration" } th { "Verdict" } th { "What shows it" } } }
                tbody {
                    @for one in rehearsal.iter().take(LINES) {
                        tr {
                            td { code { (one.migration) } }
                            td class="nowrap" { (icon(one.verdict.word())) " " (one.verdict.word()) }
                            td { @for line in &one.leftovers { div { (prose(line)) } } }
                        }
                    }
                }
            }
        }))
    }
}

pub fn rows(run: &Outcome) -> Option<Section> {
    let counts = run.counts.as_ref()?;
    let is_same =
        |(name, before, after): &(&str, Option<u64>, Option<u64>)| before == after && counts.about(name).is_empty();
    let (same, other): (Vec<_>, Vec<_>) = counts.data().partition(is_same);
    if same.is_empty() && other.is_empty() {
        return None;
    }
    let body = html! {
        @if !other.is_empty() { (count_table(counts, &other)) }
        @if !same.is_empty() {
            details open[other.is_empty()] {
                summary { (counted(same.len(), "table")) " with the same number of rows as before" }
                (count_table(counts, &same))
            }
        }
    };
    Some(Section { id: "rows", title: "Rows before and after", body })
}

fn count_table(counts: &BeforeAfter, rows: &[(&str, Option<u64>, Option<u64>)]) -> Markup {
    html! {
        (region("Rows of each table", &html! {
            table class="numbers" {
                thead { tr { th { "Table" } th { "Before" } th { "After" } th { "Change" } } }
                tbody {
                    @for &(name, before, after) in rows.iter().take(LINES) {
                        @let about = counts.about(name);
                        @let shown = |count: Option<u64>| count.map_or("–".to_owned(), |count| format!("{about}{}", number(count)));
                        @let (word, tone) = if about.is_empty() { change(before, after) } else { ("estimated".to_owned(), "") };
                        tr {
                            td { code { (name) } } td { (shown(before)) } td { (shown(after)) }
                            td class=(tone) { (word) }
                        }
                    }
                }
            }
            (left_out(rows.len(), "counts.json"))
        }))
    }
}

/// Fewer rows than before is what a reviewer must not overlook.
fn change(before: Option<u64>, after: Option<u64>) -> (String, &'static str) {
    match (before, after) {
        (None, _) => ("new".to_owned(), "more"),
        (Some(_), None) => ("gone".to_owned(), "fewer"),
        (Some(before), Some(after)) if after > before => (format!("+{}", number(after - before)), "more"),
        (Some(before), Some(after)) if after < before => (format!("−{}", number(before - after)), "fewer"),
        _ => ("=".to_owned(), ""),
    }
}

/// A drill has a folder for each stage beside the files of the whole; each says what it changed.
pub fn schema(reading: &Reading) -> Option<Section> {
    let leftovers = &reading.run.outcome.leftovers;
    let mut parts: Vec<&str> =
        reading.names("catalog-after.json").filter_map(|name| name.strip_suffix("catalog-after.json")).collect();
    parts.sort_unstable();
    let changes: Vec<Markup> = parts.into_iter().filter_map(|part| schema_changes(reading, part)).collect();
    if changes.is_empty() && leftovers.is_empty() {
        return None;
    }
    let body = html! {
        @if !leftovers.is_empty() {
            h3 { "Not as promised" }
            ul class="changes" {
                @for one in leftovers.iter().take(LINES) { li class="wrong" { (prose(&one.message)) } }
            }
        }
        @for part in changes { (part) }
    };
    Some(Section { id: "schema", title: "Schema", body })
}

/// `part` is empty for the run itself, else the stage's folder with its slash.
fn schema_changes(reading: &Reading, part: &str) -> Option<Markup> {
    let catalog = |name: &str| reading.parsed::<Catalog>(&format!("{part}{name}"));
    let (before, after) = (catalog("catalog-before.json")?, catalog("catalog-after.json")?);
    let changes = diff(&before, &after);
    let shown = changes.iter().take(LINES).filter_map(|change| reading.harmless(change));
    let who = part.strip_suffix('/').unwrap_or("the run");
    Some(html! {
        h3 { "What " (who) " changed" }
        @if changes.is_empty() { p { "Nothing: " (counted(after.objects.len(), "object")) ", each as before." } }
        @else { ul class="changes" { @for change in shown { (schema_change(&change)) } } }
        (left_out(changes.len(), "catalog-after.json"))
    })
}

fn schema_change(difference: &Difference) -> Markup {
    let name = html! { (difference.object.kind) " " code { (difference.object.name()) } };
    let line = |value: &Option<String>| value.as_deref().unwrap_or("none").to_owned();
    html! {
        @match &difference.change {
            Change::Missing => li class="removed" { (name) },
            Change::Unexpected => li class="added" { (name) },
            Change::Changed { property, expected, actual } => {
                li class="changed" { (name) ": " (property) " " del { (line(expected)) } " → " ins { (line(actual)) } }
            }
        }
    }
}

pub fn parity(reading: &Reading) -> Option<Section> {
    let parity = reading.run.outcome.parity.as_ref().filter(|parity| !parity.pairs.is_empty())?;
    let source = format!("{:?}", parity.source).to_uppercase();
    let by_row = parity.pairs.iter().any(|pair| pair.rows.is_some());
    let listings = reading.json("parity.json")["rows"].clone();
    let plot = reading.bytes("parity.svg", PLOT_LIMIT).map(|svg| STANDARD.encode(svg));
    let body = html! {
        p {
            "Counted by " (source) ". Up to " (shown(parity.threshold_pct)) " % counts as equal."
        }
        (region("Pairs of tables", &html! {
            table class="numbers" {
                thead {
                    tr {
                        th { "Pair" } th { "Prisma" } th { "Mirror" } th { "Delta" } th { "Difference" }
                        @if by_row { th { "Missing" } th { "Extra" } th { "Changed" } }
                        th { "" }
                    }
                }
                tbody { @for pair in parity.pairs.iter().take(LINES) { (pair_row(pair, by_row)) } }
            }
        }))
        @for listing in list(&listings) { (differing_rows(listing)) }
        @for finding in list(&reading.json("parity.json")["where"]) {
            h3 { "Where " code { (text(&finding["pair"])) } " differs" }
            ul { @for sentence in list(&finding["sentences"]).iter().take(LINES) { li { (text(sentence)) } } }
        }
        // As an image it can run nothing, whoever wrote it.
        @if let Some(plot) = plot {
            img class="plot" alt="Rows of each side over time" src={ "data:image/svg+xml;base64," (plot) };
        }
    };
    Some(Section { id: "parity", title: "Parity", body })
}

/// The rows of a pair that differ: by key and time, and the columns in which they do.
fn differing_rows(listing: &Value) -> Markup {
    let kinds = [
        ("missing", "Missing from the mirror"),
        ("extra", "Extra in the mirror"),
        ("changed", "Changed in the mirror"),
    ];
    html! {
        @for (kind, title) in kinds {
            @let rows = list(&listing[kind]["rows"]);
            @if !rows.is_empty() {
                details {
                    summary { code { (text(&listing["pair"])) } ": " (title) }
                    (region(title, &html! {
                        table {
                            thead { tr { th { "Key" } th { "Time" } @if kind == "changed" { th { "Columns" } } } }
                            tbody {
                                @for row in rows.iter().take(LINES) {
                                    tr {
                                        td { code { (in_line(text(&row["key"]))) } } td { (text(&row["time"])) }
                                        @if kind == "changed" {
                                            td { (list(&row["columns"]).iter().map(text).collect::<Vec<_>>().join(", ")) }
                                        }
                                    }
                                }
                            }
                        }
                    }))
                    (left_out(rows.len(), "parity.json"))
                }
            }
        }
    }
}

fn pair_row(pair: &Compared, by_row: bool) -> Markup {
    let (verdict, tone) = if pair.within { ("ok", "") } else { ("different", "fewer") };
    let delta = if pair.delta < 0 { pair.delta.to_string() } else { number(pair.delta.unsigned_abs()) };
    html! {
        tr {
            td { (pair.name) }
            td { (number(pair.prisma)) } td { (number(pair.mirror)) } td { (delta) }
            td class=(tone) { (shown(pair.diff_pct)) " %" }
            @if by_row { @for figure in by_row_figures(pair) { td { (figure) } } }
            td { (icon(verdict)) }
        }
    }
}

/// Empty where the rows were not compared.
fn by_row_figures(pair: &Compared) -> [String; 3] {
    let figures = pair.rows.as_ref().map(|rows| [rows.missing, rows.extra, rows.changed].map(number));
    figures.unwrap_or_default()
}

/// A share as a reader expects it.
fn shown(percent: f64) -> String {
    if percent.fract() == 0.0 { format!("{percent:.0}") } else { format!("{percent:.2}") }
}

/// A list that was cut says so.
fn left_out(count: usize, file: &str) -> Markup {
    html! {
        @if count > LINES { p class="cut" { (number((count - LINES) as u64)) " more are in " code { (file) } "." } }
    }
}
