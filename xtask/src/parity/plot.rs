//! `parity.svg`: both sides by day, by hour and by minute, as far down as it was looked. One file without scripts,
//! fonts or links, which reads the same in a light viewer and in a dark one.

use std::fmt::Write as _;

use crate::parity::bisect::Level;
use crate::parity::place::{clock, date};
use crate::parity::report::Finding;
use crate::parity::time::{Bucket, Second, Width};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 8.0;
const BARS: f64 = 64.0;
const PANEL: f64 = 108.0;
const TITLE: f64 = 34.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.mirror{fill:#4a7ebb}.missing{fill:#d33}.extra{fill:#e6a100}\
line{stroke:#999}@media(prefers-color-scheme:dark){text{fill:#ddd}.mirror{fill:#7aa7dc}.missing{fill:#ff6b6b}line{stroke:#777}}";

/// One panel for each level of each finding.
pub fn svg(findings: &[Finding]) -> String {
    let panels: usize = findings.iter().map(|finding| finding.levels.len()).sum();
    let height = TITLE + PANEL * panels as f64 + TITLE * findings.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <style>{STYLE}</style>\n\
         <text x=\"{LEFT}\" y=\"20\">Rows of both sides by time (UTC): in the mirror, <tspan class=\"missing\">missing from it</tspan>, \
         <tspan class=\"extra\">too many in it</tspan></text>\n"
    );
    let mut top = TITLE;
    for finding in findings {
        let sentence = finding.sentences.first().map(String::as_str).unwrap_or_default();
        text(&mut out, top + 20.0, &format!("{}: {sentence}", finding.pair));
        top += TITLE;
        for level in &finding.levels {
            panel(&mut out, top, level);
            top += PANEL;
        }
    }
    out + "</svg>\n"
}

/// Bars stand where their time is, so that a stretch without rows is a gap.
fn panel(out: &mut String, top: f64, level: &Level) {
    let (Some(first), Some(last)) = (level.buckets.first(), level.buckets.last()) else { return };
    let span = (last.start - first.start) / level.width.seconds() + 1;
    let step = (WIDTH - 2.0 * LEFT) / span as f64;
    let tallest = level.buckets.iter().map(|bucket| bucket.prisma.max(bucket.mirror)).max().unwrap_or(1).max(1) as f64;
    let base = top + BARS + 8.0;
    for bucket in &level.buckets {
        let x = LEFT + step * ((bucket.start - first.start) / level.width.seconds()) as f64;
        bar(out, x, base, (step * 0.85).max(0.5), bucket, BARS / tallest);
    }
    let _ = writeln!(out, "<line x1=\"{LEFT}\" y1=\"{base}\" x2=\"{:.1}\" y2=\"{base}\"/>", WIDTH - LEFT);
    let width = level.width;
    let ends = format!("{} to {}", label(first.start, width), label(last.start, width));
    text(out, base + 18.0, &format!("by {}: {ends}; the tallest bar is {tallest} rows", width.word()));
}

/// What both hold, and on top of it what one of them lacks.
fn bar(out: &mut String, x: f64, base: f64, width: f64, bucket: &Bucket, scale: f64) {
    let both = bucket.prisma.min(bucket.mirror) as f64 * scale;
    let differs = bucket.delta().unsigned_abs() as f64 * scale;
    let class = if bucket.delta() < 0 { "missing" } else { "extra" };
    for (class, height, y) in [("mirror", both, base - both), (class, differs, base - both - differs)] {
        if height > 0.0 {
            let _ = writeln!(
                out,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            );
        }
    }
}

/// Names are plain identifiers and sentences are ours, so there is nothing to escape.
fn text(out: &mut String, y: f64, words: &str) {
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{y}\">{words}</text>");
}

fn label(second: Second, width: Width) -> String {
    match width {
        Width::Day => date(second),
        Width::Hour | Width::Minute => format!("{} on {}", clock(second), date(second)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_stands_on_what_is_there() {
        let buckets = vec![
            Bucket { start: 1_791_554_700, prisma: 4, mirror: 4 },
            Bucket { start: 1_791_554_820, prisma: 4, mirror: 1 },
            Bucket { start: 1_791_554_880, prisma: 0, mirror: 2 },
        ];
        let finding = Finding {
            pair: "view".to_owned(),
            sentences: vec!["3 rows are missing".to_owned()],
            places: Vec::new(),
            sample: None,
            levels: vec![Level { width: Width::Minute, buckets }],
        };
        let svg = svg(&[finding]);
        let drawn: Vec<&str> =
            svg.lines().filter(|line| line.starts_with("<rect") || line.starts_with("<text")).collect();
        insta::assert_snapshot!(drawn[1..].join("\n"), @r#"
        <text x="8" y="54">view: 3 rows are missing</text>
        <rect class="mirror" x="8.0" y="76.0" width="179.3" height="64.0"/>
        <rect class="mirror" x="430.0" y="124.0" width="179.3" height="16.0"/>
        <rect class="missing" x="430.0" y="76.0" width="179.3" height="48.0"/>
        <rect class="extra" x="641.0" y="108.0" width="179.3" height="32.0"/>
        <text x="8" y="158">by minute: 14:05 on 9 October 2026 to 14:08 on 9 October 2026; the tallest bar is 4 rows</text>
        "#);
    }
}
