//! A run's entry in a feedback file, as Markdown that reads well in a diff. Derived from the closed record, whose
//! texts are masked already.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::evidence::views::report::REPORT;

/// Where a run's folder is, for its entry.
pub struct Place<'a> {
    /// As a person would type it in the project's folder.
    pub shown: &'a str,
    /// From the folder of the feedback file.
    pub link: &'a str,
}

/// Names the verdict, the target, the commit, the counts, the folder and the digest of its record.
pub fn entry(record: &Value, sha256: &str, place: &Place<'_>) -> String {
    let text = |value: &Value| inline(value.as_str().unwrap_or_default());
    let (started, command) = (text(&record["started_at"]), text(&record["command"]));
    let mut entry = format!("## {started} — {command} {}\n\n", text(&record["status"]));
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(entry, "- {name}: {value}");
    };
    let target = &record["target"];
    if target.is_object() {
        let (name, database, host) = (text(&target["name"]), text(&target["database"]), text(&target["host"]));
        fact("target", format!("{name} (`{database}` on `{host}:{}`)", target["port"]));
    }
    if let Some(commit) = record["git"]["commit"].as_str() {
        let dirty = record["git"]["dirty"] == true;
        fact("commit", format!("`{}`{}", inline(commit), if dirty { ", with uncommitted changes" } else { "" }));
    }
    let stages = record["stages"].as_array().map_or(&[][..], Vec::as_slice);
    if stages.len() > 1 {
        let stage = |stage: &Value| format!("{} {}", text(&stage["name"]), text(&stage["status"]));
        fact("stages", stages.iter().map(stage).collect::<Vec<_>>().join(", "));
    }
    if record["migrations"].is_object() {
        let (verb, names) = migrations(&record["migrations"]);
        fact(verb, names);
    }
    if let Some(message) = record["error"]["message"].as_str() {
        fact("error", inline(message));
    }
    if let Some(by) = record["abandoned"]["closed_by"].as_str() {
        fact("abandoned", format!("its process ended without a word; closed by {}", inline(by)));
    }
    fact("evidence", evidence(record, sha256, place));
    if record["counts"].is_object() {
        entry.push_str(&table(&record["counts"]));
    }
    if record["parity"].is_object() {
        entry.push_str(&pairs(&record["parity"]));
    }
    entry
}

/// `evidence verify` reads this line again.
fn evidence(record: &Value, sha256: &str, place: &Place<'_>) -> String {
    let link = |path: &str| {
        let path = format!("{}/{path}", place.link);
        if path.contains([' ', '(', ')']) { format!("<{path}>") } else { path }
    };
    let report = match record["files"].get(REPORT) {
        Some(_) => format!(" ([report]({}))", link(REPORT)),
        None => String::new(),
    };
    format!("[`{}`]({}){report}, run.json sha256 `{sha256}`", place.shown, link("run.json"))
}

fn migrations(migrations: &Value) -> (&'static str, String) {
    let names = |key: &str| -> Vec<String> {
        let names = migrations[key].as_array().into_iter().flatten();
        names.filter_map(|name| Some(format!("`{}`", inline(name.as_str()?)))).collect()
    };
    match (names("rolled_back"), names("applied")) {
        (taken_back, _) if !taken_back.is_empty() => ("taken back", taken_back.join(", ")),
        (_, applied) if !applied.is_empty() => ("applied", applied.join(", ")),
        _ => ("applied", "nothing (none was pending)".to_owned()),
    }
}

fn table(counts: &Value) -> String {
    let mut text = "\n| table | before | after |\n|---|---:|---:|\n".to_owned();
    let names = |key: &str| counts[key].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let shown = |key: &str, name: &str| counts[key].get(name).map_or("-".to_owned(), Value::to_string);
    for name in names("before").chain(names("after")).collect::<BTreeSet<_>>() {
        let _ = writeln!(text, "| {} | {} | {} |", inline(name), shown("before", name), shown("after", name));
    }
    text
}

fn pairs(parity: &Value) -> String {
    let mut text = "\n| pair | Prisma | mirror | difference |\n|---|---:|---:|---:|\n".to_owned();
    for pair in parity["pairs"].as_array().into_iter().flatten() {
        let name = inline(pair["name"].as_str().unwrap_or_default());
        let share = pair["diff_pct"].as_f64().map_or("no rows in Prisma".to_owned(), |share| format!("{share:.2} %"));
        let delta = pair["delta"].as_i64().unwrap_or_default();
        let _ = writeln!(text, "| {name} | {} | {} | {delta:+} ({share}) |", pair["prisma"], pair["mirror"]);
    }
    let _ = writeln!(text, "\nThreshold: {} %.", parity["threshold_pct"]);
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
        let record = json!({
            "started_at": "2026-11-22T20:04:01Z", "command": "forward", "status": "failed",
            "target": { "name": "staging", "host": "db.example", "port": 5432, "database": "app_staging" },
            "git": { "commit": "c0ffee", "dirty": true },
            "migrations": { "applied": ["one"], "pending": [], "rolled_back": [] },
            "error": { "message": "a table `x|y`\n<<<<<<< was <b>bold</b>" },
            "files": { "report.html": "00" },
            "counts": { "before": { "public.A": 1 }, "after": { "public.A": 2, "public.b|c": 0 } },
        });
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
