//! A run's entry in a feedback file, as Markdown that reads well in a diff. Derived from the closed record, whose
//! texts are masked already.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::evidence::outcome::{BeforeAfter, Migrations, StageView};
use crate::evidence::record::Record;
use crate::evidence::views::names::REPORT;
use crate::parity::comparison::{Compared, Comparison};
use crate::words::in_line;

/// Where a run's folder is, for its entry.
pub struct Place<'a> {
    /// As a person would type it in the project's folder.
    pub shown: &'a str,
    /// From the folder of the feedback file.
    pub link: &'a str,
}

/// Names the verdict, the target, the commit, the counts, the folder and the digest of its record.
pub fn entry(record: &Record, sha256: &str, place: &Place<'_>) -> String {
    let outcome = &record.outcome;
    let (started, command, status) = (inline(&outcome.started_at), inline(&outcome.command), inline(&outcome.status));
    let mut entry = format!("## {started} — {command} {status}\n\n");
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(entry, "- {name}: {value}");
    };
    if let Some(target) = &outcome.target {
        let address = code(&format!("{}:{}", target.host, target.port));
        fact("target", format!("{} ({} on {address})", inline(&target.name), code(&target.database)));
    }
    if let Some(git) = &record.git {
        let dirty = if git.dirty { ", with uncommitted changes" } else { "" };
        fact("commit", format!("{}{dirty}", code(&git.commit)));
    }
    if outcome.stages.len() > 1 {
        let stage = |stage: &StageView| format!("{} {}", inline(&stage.name), inline(&stage.status));
        fact("stages", outcome.stages.iter().map(stage).collect::<Vec<_>>().join(", "));
    }
    if let Some(migrations) = &outcome.migrations {
        let (verb, names) = in_words(migrations);
        fact(verb, names);
    }
    if let Some((first, last)) = record.pruned.first().zip(record.pruned.last()) {
        let count = record.pruned.len();
        fact("pruned", format!("{count} in all, from {} to {}", inline(&first.run), inline(&last.run)));
    }
    if let Some(error) = &outcome.error {
        fact("error", inline(&error.message));
    }
    if let Some(abandoned) = &record.abandoned {
        fact(
            "abandoned",
            format!("it was killed before it closed its record; closed by {}", inline(&abandoned.closed_by)),
        );
    }
    fact("evidence", evidence(record, sha256, place));
    entry.extend(outcome.counts.as_ref().map(table));
    entry.extend(outcome.parity.as_ref().map(pairs));
    entry
}

/// An entry's line of evidence, as `evidence` writes it: the folder of the runs, the run, and the digest of its record.
#[expect(clippy::expect_used, reason = "the pattern is a constant, which a test compiles")]
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("`([^`]+)/([^`/]+)`.*run\\.json sha256 `([0-9a-f]{64})`")
        .expect("the pattern is a constant that a test uses")
});

/// Of a line of a feedback file: the folder of the runs, the run, and the digest of its record.
pub fn evidence_of(line: &str) -> Option<(&str, &str, &str)> {
    let (_, [dir, run, sha256]) = LINE.captures(line)?.extract();
    Some((dir, run, sha256))
}

/// `evidence verify` reads this line again.
fn evidence(record: &Record, sha256: &str, place: &Place<'_>) -> String {
    let link = |path: &str| {
        let path = format!("{}/{path}", place.link);
        if path.contains([' ', '(', ')']) { format!("<{path}>") } else { path }
    };
    let report = match record.files.get(REPORT) {
        Some(_) => format!(" ([report]({}))", link(REPORT)),
        None => String::new(),
    };
    format!("[`{}`]({}){report}, run.json sha256 `{sha256}`", place.shown, link("run.json"))
}

fn in_words(migrations: &Migrations) -> (&'static str, String) {
    let names = |names: &[String]| names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ");
    match migrations {
        Migrations { rolled_back, .. } if !rolled_back.is_empty() => ("rolled back", names(rolled_back)),
        Migrations { applied, .. } if !applied.is_empty() => ("applied", names(applied)),
        _ => ("applied", "nothing (none was pending)".to_owned()),
    }
}

fn table(counts: &BeforeAfter) -> String {
    let mut text = "\n| table | before | after |\n|---|---:|---:|\n".to_owned();
    for (name, before, after) in counts.tables() {
        let about = if counts.about(name).is_empty() { "" } else { "about " };
        let shown = |count: Option<u64>| count.map_or("-".to_owned(), |count| format!("{about}{count}"));
        let _ = writeln!(text, "| {} | {} | {} |", cell(name), shown(before), shown(after));
    }
    text
}

fn pairs(parity: &Comparison) -> String {
    let mut text = "\n| pair | Prisma | mirror | difference |\n|---|---:|---:|---:|\n".to_owned();
    for Compared { name, prisma, mirror, delta, diff_pct, .. } in &parity.pairs {
        let _ = writeln!(text, "| {} | {prisma} | {mirror} | {delta:+} ({diff_pct:.2} %) |", cell(name));
    }
    for Compared { name, rows, .. } in &parity.pairs {
        let Some(rows) = rows.as_ref().filter(|rows| rows.differs()) else { continue };
        let _ = writeln!(
            text,
            "\n{}: {} rows missing, {} extra, {} changed.",
            inline(name),
            rows.missing,
            rows.extra,
            rows.changed
        );
    }
    let _ = writeln!(text, "\nThreshold: {:?} %.", parity.threshold_pct);
    text
}

/// A sentence of others as text: no link, no markup, no cell's end. Backticks would be read as a line of evidence.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in in_line(text).chars() {
        match c {
            '`' => out.push('\''),
            '&' | '<' | '[' | '|' | '*' | '~' | '@' | '\\' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    // GitHub makes links of these, wherever they stand.
    out.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// A name, which in code is what it is but for what ends the code, a cell or an entry.
fn code(name: &str) -> String {
    let shown = |c: char| match c {
        '`' | '<' | '|' | '[' => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    format!("`{}`", in_line(name).chars().map(shown).collect::<String>())
}

/// A name in a table, bare where that is the same.
fn cell(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    if name.chars().all(is_plain) { name.to_owned() } else { code(name) }
}

/// The way from a folder to a path, both absolute.
pub fn relative(folder: &Path, path: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (folder.components().collect(), path.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - common);
    up.chain(to[common..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_is_one_heading_a_list_and_a_table() {
        let record = Record::of(json!({
            "started_at": "2026-11-22T20:04:01Z", "command": "forward", "status": "failed",
            "target": { "name": "staging", "host": "db.example", "port": 5432, "database": "app_staging" },
            "git": { "commit": "c0ffee", "dirty": true },
            "migrations": { "applied": ["one"], "pending": [], "rolled_back": [] },
            "error": { "message": "a table `x|y`\n<<<<<<< was <b>bold</b>" },
            "files": { "report.html": "00" },
            "counts": { "before": { "public.A": 1 }, "after": { "public.A": 2, "public.b|c": 0 } },
        }));
        assert_eq!(evidence_of("x `a/b`, run.json sha256 `77`"), None);
        let place = Place { shown: "a b/run", link: "../a b/run" };
        insta::assert_snapshot!(entry(&record, "77", &place), @r"
        ## 2026-11-22T20:04:01Z — forward failed

        - target: staging (`app_staging` on `db.example:5432`)
        - commit: `c0ffee`, with uncommitted changes
        - applied: `one`
        - error: a table 'x&#124;y'&#92;n&#60;&#60;&#60;&#60;&#60;&#60;&#60; was &#60;b>bold&#60;/b>
        - evidence: [`a b/run`](<../a b/run/run.json>) ([report](<../a b/run/report.html>)), run.json sha256 `77`

        | table | before | after |
        |---|---:|---:|
        | public.A | 1 | 2 |
        | `public.b\u{7c}c` | - | 0 |
        ");
    }

    /// What a name or a server's error may hold: each is text in an entry, on its line and in its cell.
    #[test]
    fn what_others_named_and_said_is_inert_in_an_entry() {
        let hostile =
            "[x](http://e.example) ![i](www.e.example) <!-- c --> <b> | `a/b` @all *b* ~s~ &lt; \\| \n## no\u{202e}";
        let record = Record::of(json!({
            "status": "failed", "error": { "message": hostile }, "migrations": { "rolled_back": [hostile] },
            "counts": { "before": {}, "after": { hostile: 1 } },
        }));
        insta::assert_snapshot!(entry(&record, "77", &Place { shown: "e/run", link: "e/run" }), @r"
        ## 2026-11-22T20:04:01Z — forward failed

        - rolled back: `\u{5b}x](http://e.example) !\u{5b}i](www.e.example) \u{3c}!-- c --> \u{3c}b> \u{7c} \u{60}a/b\u{60} @all *b* ~s~ &lt; \\u{7c} \n## no\u{202e}`
        - error: &#91;x](http&#58;//e.example) !&#91;i](www&#46;e.example) &#60;!-- c --> &#60;b> &#124; 'a/b' &#64;all &#42;b&#42; &#126;s&#126; &#38;lt; &#92;&#124; &#92;n## no&#92;u{202e}
        - evidence: [`e/run`](e/run/run.json), run.json sha256 `77`

        | table | before | after |
        |---|---:|---:|
        | `\u{5b}x](http://e.example) !\u{5b}i](www.e.example) \u{3c}!-- c --> \u{3c}b> \u{7c} \u{60}a/b\u{60} @all *b* ~s~ &lt; \\u{7c} \n## no\u{202e}` | - | 1 |
        ");
    }

    #[test]
    fn a_path_is_found_from_any_folder() {
        let relative = |from: &str, to: &str| super::relative(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(relative("/p/feedback", "/p/feedback/evidence/x"), "evidence/x");
        assert_eq!(relative("/p/docs/feedback", "/p/evidence/x"), "../../evidence/x");
    }
}
