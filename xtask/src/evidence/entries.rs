//! Whether the entries in a feedback file say what the records say: each is made again from its record and compared, claim by
//! claim. Its digest alone would vouch for the record and not for the words above it, which are what people read.
//!
//! What counts is what claims something (heading, facts, rows of tables); how it is set is a formatter's business, and all other
//! lines are people's.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::evidence::entry::evidence_of;
use crate::evidence::feedback;
use crate::evidence::past::Past;
use crate::evidence::record::Record;
use crate::settings::Settings;

/// An entry's heading: when the run began, its command and how it ended.
#[expect(clippy::expect_used, reason = "the pattern is a constant, which a test compiles")]
static HEADING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^## +([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z) — ").expect("the pattern is a constant that a test uses")
});

/// What `entry` writes before a fact's colon.
const FACTS: [&str; 9] = [
    "- target:",
    "- commit:",
    "- stages:",
    "- applied:",
    "- rolled back:",
    "- pruned:",
    "- error:",
    "- abandoned:",
    "- evidence:",
];

/// An entry that is not as its record would have it.
#[derive(Debug, PartialEq, Eq)]
pub struct Altered {
    pub run: String,
    /// What it claims and the record does not, or what it leaves out.
    pub difference: String,
}

/// Where a feedback file lies: its own path, and those from which its entries' links may be meant.
pub struct Lying<'a> {
    pub text: &'a str,
    pub links_from: &'a [&'a Path],
}

/// Every altered entry of a run that is there with the record that the entry means.
pub fn altered(settings: &Settings, runs: &[Past], file: &Lying<'_>) -> Vec<Altered> {
    let dir = settings.shown(&settings.evidence_dir());
    let of_section = |section: &Vec<&str>| {
        let started = HEADING.captures(section[0]).map(|found| found.extract::<1>().1[0].to_owned());
        let lines: Vec<_> = section.iter().filter_map(|line| evidence_of(line)).collect();
        match lines.as_slice() {
            [] => without_evidence(runs, started.as_deref()?, section[0]),
            lines => lines.iter().filter(|(of, ..)| *of == dir).find_map(|(_, run, sha256)| {
                let past = runs.iter().find(|past| past.name == *run && past.sha256.as_deref() == Some(sha256))?;
                compared(settings, past, section, file.links_from)
            }),
        }
    };
    sections(file.text).iter().filter_map(of_section).collect()
}

/// The lines from each heading to the next.
fn sections(text: &str) -> Vec<Vec<&str>> {
    let mut sections: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        match sections.last_mut() {
            Some(section) if !line.starts_with("## ") && !line.starts_with("# ") => section.push(line),
            _ => sections.push(vec![line]),
        }
    }
    sections
}

/// Who takes the line of evidence away leaves a verdict that no digest is asked about.
fn without_evidence(runs: &[Past], started: &str, heading: &str) -> Option<Altered> {
    let is_of = |record: &Record| {
        let command = format!("— {} ", record.outcome.command);
        record.outcome.started_at == started && heading.contains(&command)
    };
    let past = runs.iter().find(|past| past.record.as_ref().is_some_and(is_of))?;
    Some(Altered { run: past.name.clone(), difference: "its line of evidence is gone".to_owned() })
}

fn compared(settings: &Settings, past: &Past, section: &[&str], links_from: &[&Path]) -> Option<Altered> {
    let (record, sha256) = (past.record.as_ref()?, past.sha256.as_deref()?);
    let shown = settings.shown(&past.folder);
    let said = claims(section.iter().copied());
    let made = links_from.iter().map(|path| feedback::text(path, record, sha256, &past.folder, &shown));
    let made: Vec<Vec<String>> = made.map(|entry| claims(entry.lines())).collect();
    if made.contains(&said) {
        return None;
    }
    let difference = difference(&said, made.first()?);
    Some(Altered { run: past.name.clone(), difference })
}

/// What claims something, in order and without what a formatter may change.
fn claims<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    lines.filter_map(claim).collect()
}

fn claim(line: &str) -> Option<String> {
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(row) = words.strip_prefix('|') {
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        let is_rule = cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-:".contains(c)));
        return (!is_rule).then(|| format!("| {} |", cells.join(" | ")));
    }
    let words = words.strip_prefix("* ").map_or(words.clone(), |fact| format!("- {fact}"));
    // As entries of 0.1's first weeks say it.
    let words = words.strip_prefix("- taken back:").map_or(words.clone(), |fact| format!("- rolled back:{fact}"));
    let is_claim = words.starts_with("## ") || words.starts_with("Threshold:");
    (is_claim || FACTS.iter().any(|fact| words.starts_with(fact))).then_some(words)
}

fn difference(said: &[String], made: &[String]) -> String {
    match (said.iter().find(|claim| !made.contains(claim)), made.iter().find(|claim| !said.contains(claim))) {
        (Some(said), Some(made)) => format!("it has `{said}` where the record makes `{made}`"),
        (Some(said), None) => format!("it has `{said}`, which the record does not make"),
        (None, Some(made)) => format!("it lacks `{made}`"),
        (None, None) => "it says the same in another order, or twice".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::entry::{Place, entry};

    /// Everything that an entry can say.
    fn whole() -> String {
        let record = Record::of(serde_json::json!({
            "command": "drill", "status": "failed", "error": {"message": "x"}, "files": {"report.html": "0"},
            "target": {"name": "staging", "host": "h", "port": 5432, "database": "d"}, "git": {"commit": "c", "dirty": true},
            "stages": [{"name": "forward", "status": "ok"}, {"name": "backward", "status": "failed"}],
            "migrations": {"applied": ["a"]}, "counts": {"before": {"public.A": 1}, "after": {"public.A": 2}},
            "parity": {"threshold_pct": 1.0, "source": "sql", "pairs": []},
            "abandoned": {"closed_by": "r", "closed_at": "2026-11-22T20:04:01Z"},
        }));
        entry(&record, &"7".repeat(64), &Place { shown: "e/r", link: "e/r" })
    }

    #[test]
    fn every_line_of_an_entry_is_a_claim_and_its_heading_is_known() {
        let entry = whole();
        let written: Vec<&str> = entry.lines().filter(|line| !line.is_empty() && !line.starts_with("|---")).collect();
        assert_eq!(claims(entry.lines()), written);
        assert_eq!(&HEADING.captures(written[0]).unwrap()[1], "2026-11-22T20:04:01Z");
    }

    #[test]
    fn an_entry_of_an_earlier_wording_claims_the_same() {
        let entry = "## 2026-11-22T20:04:01Z — backward ok\n- rolled back: `a`\n";
        let earlier = entry.replace("rolled back", "taken back");
        assert_eq!(claims(earlier.lines()), claims(entry.lines()));
        assert_ne!(claims(earlier.replace("`a`", "`b`").lines()), claims(entry.lines()));
    }

    #[test]
    fn how_an_entry_is_set_and_what_people_write_below_it_is_no_claim() {
        let entry = whole();
        let set =
            entry.replace("| public.A | 1 | 2 |", "| public.A |      1 |     2 |").replace("- target", "*   target");
        let set =
            set.replace("|---|---:|---:|", "| :------- | -----: | ----: |") + "\nSeen by Ana: fine.\n- so it is\n";
        assert_ne!(set, entry);
        assert_eq!(claims(set.lines()), claims(entry.lines()));
        for (from, to) in
            [("drill failed", "drill ok"), ("| 1 |", "| 7 |"), ("| public.A", "| public.B"), ("`d`", "`prod`")]
        {
            let forged = entry.replace(from, to);
            assert_ne!(claims(forged.lines()), claims(entry.lines()), "{to}");
        }
        let two = sections(&format!("# Data\n\nours\n{entry}{entry}")).len();
        assert_eq!(two, 3);
    }
}
