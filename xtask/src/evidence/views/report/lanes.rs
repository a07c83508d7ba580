//! The statements that keep others waiting, as a picture: from left to right as they run, a lane for each table, coloured by what
//! others cannot do with it meanwhile.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::evidence::impact::{Blocks, Impact, InTheWay, Work};
use crate::evidence::views::report::timeline::percent;
use crate::words::counted;

/// More would be too narrow to tell apart; `run.json` has all.
const COLUMNS: usize = 120;
const LANES: usize = 60;

struct Bar<'a> {
    column: usize,
    impact: &'a Impact,
    way: InTheWay,
}

/// Nothing where nobody has to wait.
pub fn lanes(impacts: &[Impact]) -> Option<Markup> {
    let waiting: Vec<&Impact> = impacts.iter().filter(|impact| !impact.in_the_way().is_empty()).collect();
    let shown = &waiting[..waiting.len().min(COLUMNS)];
    let mut lanes: BTreeMap<String, Vec<Bar<'_>>> = BTreeMap::new();
    for (column, impact) in shown.iter().copied().enumerate() {
        for way in impact.in_the_way() {
            lanes.entry(way.table.clone()).or_default().push(Bar { column, impact, way });
        }
    }
    let left_out = [(waiting.len() - shown.len(), "statement"), (lanes.len().saturating_sub(LANES), "table")];
    (!lanes.is_empty()).then(|| {
        html! {
            div class="waterfall lanes" {
                (axis(shown))
                @for (table, bars) in lanes.iter().take(LANES) {
                    div class="row" {
                        span class="name" { code { (table) } }
                        svg class="bar" height="14" { @for one in bars { (bar(one, shown.len())) } }
                        span class="took" { (longest(bars)) }
                    }
                }
                (legend())
                @for (count, what) in left_out.into_iter().filter(|(count, _)| *count > 0) {
                    p class="cut" { (counted(count, what)) " more in " code { "run.json" } }
                }
            }
        }
    })
}

/// Where each migration begins.
fn axis(shown: &[&Impact]) -> Markup {
    let begins = |at: &usize| *at == 0 || shown[*at].migration != shown[*at - 1].migration;
    html! {
        div class="row axis" {
            span class="name" { "migration" }
            svg class="scale" height="16" {
                @for (number, at) in (0..shown.len()).filter(begins).enumerate() {
                    text x=(percent(at as u64, shown.len() as u64)) y="12" {
                        (number + 1)
                        title { (shown[at].migration) }
                    }
                }
            }
            span class="took" {}
        }
    }
}

fn bar(Bar { column, impact, way }: &Bar<'_>, columns: usize) -> Markup {
    let class = match (way.blocks, way.work) {
        (Blocks::ReadsAndWrites, Work::Moment) => "bad brief",
        (Blocks::ReadsAndWrites, _) => "bad",
        (_, Work::Moment) => "warn brief",
        _ => "warn",
    };
    html! {
        rect class=(class) x=(percent(*column as u64, columns as u64)) width=(percent(1, columns as u64)) height="14" rx="2" {
            title { (impact.migration) ", " (impact.in_words(way)) }
        }
    }
}

fn longest(bars: &[Bar<'_>]) -> &'static str {
    match bars.iter().map(|bar| bar.way.work).max() {
        Some(Work::Rewrites) => "rewritten",
        Some(Work::Indexes) => "indexed",
        Some(Work::Reads) => "read whole",
        Some(Work::Changes) => "rows changed",
        Some(Work::Moment) | None => "a moment",
    }
}

fn legend() -> Markup {
    let kinds = [
        ("bad", "nobody reads or writes, for as long as the table is large"),
        ("bad brief", "the same for a moment"),
        ("warn", "nobody writes, for as long as the table is large"),
        ("warn brief", "the same for a moment"),
    ];
    html! {
        p class="legend" {
            @for (class, means) in kinds {
                span { svg class="bar" width="14" height="14" aria-hidden="true" { rect class=(class) width="14" height="14" rx="2" {} } (means) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::impact::TableLock;

    fn impact(migration: &str, locks: &[(&str, &str)]) -> Impact {
        let lock = |(table, mode): &(&str, &str)| TableLock {
            table: (*table).to_owned(),
            mode: (*mode).to_owned(),
            blocks: Blocks::of(mode),
        };
        Impact {
            migration: migration.to_owned(),
            line: 1,
            locks: locks.iter().map(lock).collect(),
            ..Impact::default()
        }
    }

    #[test]
    fn a_table_has_a_lane_and_a_statement_a_place_in_each_that_it_blocks() {
        let index = Impact { indexed: vec!["s.<a>".to_owned()], ..impact("1_one", &[("s.<a>", "ShareLock")]) };
        let key = impact("2_two", &[("s.<a>", "ShareRowExclusiveLock"), ("s.b", "AccessExclusiveLock")]);
        let nothing = impact("2_two", &[("s.b", "RowExclusiveLock")]);
        assert!(lanes(std::slice::from_ref(&nothing)).is_none());
        let drawn = lanes(&[index, nothing, key]).unwrap().into_string();
        let of_lanes = drawn.split("<p class=\"legend\">").next().unwrap();
        insta::assert_snapshot!(of_lanes.replace("><", ">\n<"), @r#"
        <div class="waterfall lanes">
        <div class="row axis">
        <span class="name">migration</span>
        <svg class="scale" height="16">
        <text x="0.0%" y="12">1<title>1_one</title>
        </text>
        <text x="50.0%" y="12">2<title>2_two</title>
        </text>
        </svg>
        <span class="took">
        </span>
        </div>
        <div class="row">
        <span class="name">
        <code>s.&lt;a&gt;</code>
        </span>
        <svg class="bar" height="14">
        <rect class="warn" x="0.0%" width="50.0%" height="14" rx="2">
        <title>1_one, line 1 blocks writes of `s.&lt;a&gt;` for as long as it builds an index of it</title>
        </rect>
        <rect class="warn brief" x="50.0%" width="50.0%" height="14" rx="2">
        <title>2_two, line 1 blocks writes of `s.&lt;a&gt;` for a moment, and everybody who comes behind it while it waits for who uses the table</title>
        </rect>
        </svg>
        <span class="took">indexed</span>
        </div>
        <div class="row">
        <span class="name">
        <code>s.b</code>
        </span>
        <svg class="bar" height="14">
        <rect class="bad brief" x="50.0%" width="50.0%" height="14" rx="2">
        <title>2_two, line 1 blocks reads and writes of `s.b` for a moment, and everybody who comes behind it while it waits for who uses the table</title>
        </rect>
        </svg>
        <span class="took">a moment</span>
        </div>
        "#);
    }

    #[test]
    fn what_has_no_place_is_counted() {
        let many: Vec<Impact> = (0..COLUMNS + 3).map(|at| impact("m", &[(&format!("t{at}"), "ShareLock")])).collect();
        let drawn = lanes(&many).unwrap().into_string();
        assert!(
            drawn.contains("3 statements more in") && drawn.contains(&format!("{} tables more in", COLUMNS - LANES))
        );
    }
}
