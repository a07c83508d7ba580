//! A run's entry in a feedback file, as Markdown that reads well in a diff. Derived from the closed record, whose
//! texts are masked already.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use crate::evidence::outcome::{BeforeAfter, Migrations, StageView};
use crate::evidence::record::Record;
use crate::evidence::views::names::REPORT;
use crate::parity::comparison::{Compared, Comparison};

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
        let (name, database, host) = (inline(&target.name), inline(&target.database), inline(&target.host));
        fact("target", format!("{name} (`{database}` on `{host}:{}`)", target.port));
    }
    if let Some(git) = &record.git {
        let dirty = if git.dirty { ", with uncommitted changes" } else { "" };
        fact("commit", format!("`{}`{dirty}", inline(&git.commit)));
    }
    if outcome.stages.len() > 1 {
        let stage = |stage: &StageView| format!("{} {}", inline(&stage.name), inline(&stage.status));
        fact("stages", outcome.stages.iter().map(stage).collect::<Vec<_>>().join(", "));
    }
    if let Some(migrations) = &outcome.migrations {
        let (verb, names) = in_words(migrations);
        fact(verb, names);
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
    let names =
        |names: &[String]| names.iter().map(|name| format!("`{}`", inline(name))).collect::<Vec<_>>().join(", ");
    match migrations {
        Migrations { rolled_back, .. } if !rolled_back.is_empty() => ("taken back", names(rolled_back)),
        Migrations { applied, .. } if !applied.is_empty() => ("applied", names(applied)),
        _ => ("applied", "nothing (none was pending)".to_owned()),
    }
}

fn table(counts: &BeforeAfter) -> String {
    let mut text = "\n| table | before | after |\n|---|---:|---:|\n".to_owned();
    let shown = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    for (name, before, after) in counts.tables() {
        let _ = writeln!(text, "| {} | {} | {} |", inline(name), shown(before), shown(after));
    }
    text
}

fn pairs(parity: &Comparison) -> String {
    let mut text = "\n| pair | Prisma | mirror | difference |\n|---|---:|---:|---:|\n".to_owned();
    for Compared { name, prisma, mirror, delta, diff_pct, .. } in &parity.pairs {
        let _ = writeln!(text, "| {} | {prisma} | {mirror} | {delta:+} ({diff_pct:.2} %) |", inline(name));
    }
    let _ = writeln!(text, "\nThreshold: {:?} %.", parity.threshold_pct);
    text
}

/// Text that stays on its line and in its cell: names and errors may hold anything.
fn inline(text: &str) -> String {
    let plain = |c: char| match c {
        '|' => r"\|".to_owned(),
        '<' => "&lt;".to_owned(),
        '`' => "'".to_owned(),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(plain).collect()
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
        let place = Place { shown: "a b/run", link: "../a b/run" };
        insta::assert_snapshot!(entry(&record, "77", &place), @r"
        ## 2026-11-22T20:04:01Z — forward failed

        - target: staging (`app_staging` on `db.example:5432`)
        - commit: `c0ffee`, with uncommitted changes
        - applied: `one`
        - error: a table 'x\|y' &lt;&lt;&lt;&lt;&lt;&lt;&lt; was &lt;b>bold&lt;/b>
        - evidence: [`a b/run`](<../a b/run/run.json>) ([report](<../a b/run/report.html>)), run.json sha256 `77`

        | table | before | after |
        |---|---:|---:|
        | public.A | 1 | 2 |
        | public.b\|c | - | 0 |
        ");
    }

    #[test]
    fn a_path_is_found_from_any_folder() {
        let relative = |from: &str, to: &str| super::relative(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(relative("/p/feedback", "/p/feedback/evidence/x"), "evidence/x");
        assert_eq!(relative("/p/docs/feedback", "/p/evidence/x"), "../../evidence/x");
    }
}
