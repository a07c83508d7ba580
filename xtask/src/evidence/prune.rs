//! Old runs taken away without a hole in the chain: a run of its own, the anchor, names each of them by digest before the first one goes.
//!
//! The anchor is closed, sealed and followed as any run is, so who changes it, or takes away a run that no anchor names, is found. What it
//! does not take: where a chain ends, what is not closed, and what somebody still needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use crate::clock;
use crate::error::{OrFail, Result};
use crate::evidence::abandoned;
use crate::evidence::anchors::{self, GOING, anchored};
use crate::evidence::entry::evidence_of;
use crate::evidence::folder::Run;
use crate::evidence::past::{PRUNE, Past, State};
use crate::evidence::record::{Link, Previous, Pruned, Record};
use crate::evidence::seal::seal;
use crate::evidence::values;
use crate::evidence::verify::Verification;
use crate::evidence::views;
use crate::files::{plain, read_linked};
use crate::settings::Settings;
use redact::Redactor;

/// Which runs may stay for their age alone.
#[derive(Debug, Clone)]
pub enum Rule {
    /// So many of the newest.
    Keep(usize),
    /// Those that began at that moment or later (RFC 3339).
    Since(String),
}

/// What is to go, and what of it stays all the same.
#[derive(Debug)]
pub struct Pruning {
    pub going: Vec<Going>,
    pub staying: Vec<Staying>,
    /// What an earlier prune had named and did not come to.
    unfinished: Vec<String>,
    /// And what it had begun to remove.
    half_gone: usize,
    /// What earlier anchors, which go, had named.
    carried: Vec<Pruned>,
    /// What stays, and whose followers all go: the anchor follows it in their place, and vouches for it.
    orphans: Vec<Previous>,
}

#[derive(Debug)]
pub struct Going {
    pub run: Pruned,
    pub bytes: u64,
}

/// A run that is old enough to go.
#[derive(Debug, PartialEq, Eq)]
pub struct Staying {
    pub run: String,
    pub why: &'static str,
}

impl Pruning {
    /// `verification` found nothing: what was altered would be altered for good. `snapshots` are those that can still be put back.
    pub fn of(settings: &Settings, verification: &Verification, rule: &Rule, snapshots: &BTreeSet<String>) -> Pruning {
        let runs = &verification.runs;
        let needed = Needed::of(settings, verification, snapshots);
        let named = anchored(runs);
        let closed = runs.iter().filter(|past| past.state == State::Closed);
        let is_named = |past: &&Past| {
            named.get(past.name.as_str()).is_some_and(|anchor| Some(anchor.sha256) == past.sha256.as_deref())
        };
        let (unfinished, closed): (Vec<&Past>, Vec<&Past>) = closed.partition(is_named);
        let unfinished = unfinished.into_iter().filter(|past| needed.why(past).is_none());
        let unfinished = unfinished.map(|past| past.name.clone()).collect();
        let half_gone = anchors::hidden(&settings.evidence_dir()).len();
        let (mut going, mut staying, mut carried) = (Vec::new(), Vec::new(), Vec::new());
        for past in old(closed, rule) {
            let Some(run) = Pruned::of(past) else { continue };
            match needed.why(past) {
                Some(_) if past.is_anchor() => {}
                Some(why) => staying.push(Staying { run: run.run, why }),
                None => {
                    carried.extend(past.record.iter().flat_map(|record| record.pruned.clone()));
                    going.push(Going { bytes: size(past), run });
                }
            }
        }
        let orphans = orphans(runs, going.iter().map(|going| going.run.run.as_str()));
        Pruning { going, staying, unfinished, half_gone, carried, orphans }
    }

    /// How many runs an earlier prune has left to remove.
    pub fn left(&self) -> usize {
        self.unfinished.len() + self.half_gone
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.going.is_empty() && self.left() == 0
    }

    pub fn bytes(&self) -> u64 {
        self.going.iter().map(|going| going.bytes).sum()
    }

    /// Writes the anchor, where anything new goes, and takes the runs away. Returns the warnings.
    ///
    /// # Errors
    /// `failed` when something cannot be written or removed; the next prune goes on from there.
    pub fn apply(&self, settings: &Settings, redactor: &Redactor, record: &mut Record) -> Result<Vec<String>> {
        let warnings = if self.going.is_empty() { Vec::new() } else { self.anchor(settings, redactor, record)? };
        self.remove(settings)?;
        Ok(warnings)
    }

    /// Nothing is gone before the anchor is closed and sealed.
    ///
    /// # Errors
    /// As `apply`.
    fn anchor(&self, settings: &Settings, redactor: &Redactor, record: &mut Record) -> Result<Vec<String>> {
        let stamp = record.outcome.started_at.replace(['-', ':'], "");
        let run = Run::open(&settings.evidence_dir(), &stamp, PRUNE, redactor)?;
        record.outcome.evidence = Some(settings.shown(run.folder()));
        run.save(record)?;
        let adopted = abandoned::close_all(&run);
        let new = self.going.iter().map(|going| going.run.clone());
        let all = self.carried.iter().cloned().chain(new).map(|pruned| (pruned.run.clone(), pruned));
        record.pruned = all.collect::<BTreeMap<_, _>>().into_values().collect();
        record.merged.clone_from(&self.orphans);
        record.outcome.finish(None, clock::rfc3339(clock::now()));
        views::write(&run, record)?;
        run.close(record)?;
        let closed = adopted.iter().filter(|left| left.closed).map(|left| left.folder.as_path());
        let feedback = settings.recorded().then_some(settings.evidence.deployment.as_path());
        let told = adopted.iter().map(|left| left.sentence.clone());
        let sealed = seal(settings, closed.chain([run.folder()]), feedback)?;
        Ok(told.chain(sealed).collect())
    }

    /// A run is there or gone: its folder gets a name that nobody reads before the first file of it goes.
    ///
    /// # Errors
    /// As `apply`.
    fn remove(&self, settings: &Settings) -> Result<()> {
        let dir = settings.evidence_dir();
        let unremovable = || format!("cannot remove runs from `{}`", settings.shown(&dir));
        let sweep = || anchors::hidden(&dir).iter().try_for_each(fs::remove_dir_all).failed(unremovable);
        sweep()?;
        let new = self.going.iter().map(|going| &going.run.run);
        for run in new.chain(&self.unfinished) {
            hide(&dir, run).failed(unremovable)?;
            values::forget(settings, run);
        }
        sweep()
    }
}

fn hide(dir: &Path, run: &str) -> io::Result<()> {
    match fs::rename(dir.join(run), dir.join(format!("{GOING}{run}"))) {
        // Another prune was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// Closed runs that the rule does not keep, and earlier anchors, which a new one replaces.
fn old<'a>(closed: Vec<&'a Past>, rule: &Rule) -> Vec<&'a Past> {
    let (anchors, runs): (Vec<&Past>, Vec<&Past>) = closed.into_iter().partition(|past| past.is_anchor());
    let began = |past: &Past| past.record.as_ref().map(|record| record.outcome.started_at.clone()).unwrap_or_default();
    let old: Vec<&Past> = match rule {
        Rule::Keep(count) => runs[..runs.len().saturating_sub(*count)].to_vec(),
        Rule::Since(moment) => runs.into_iter().filter(|past| began(past) < *moment).collect(),
    };
    let anchors = if old.is_empty() { Vec::new() } else { anchors };
    anchors.into_iter().chain(old).collect()
}

/// Runs that somebody follows now, and nobody once those that are `going` are gone.
fn orphans<'a>(runs: &'a [Past], going: impl Iterator<Item = &'a str>) -> Vec<Previous> {
    let going: BTreeSet<&str> = going.chain(anchored(runs).into_keys()).collect();
    let followed = |of: &dyn Fn(&Past) -> bool| {
        let followers = runs.iter().filter(|past| past.state == State::Closed && of(past));
        let links = followers.filter_map(|past| past.link.as_ref());
        links.flat_map(Link::followed).map(|previous| previous.run.as_str()).collect::<BTreeSet<_>>()
    };
    let lost = followed(&|past| going.contains(past.name.as_str()));
    let still = followed(&|past| !going.contains(past.name.as_str()));
    let orphans = runs.iter().filter(|past| {
        let name = past.name.as_str();
        lost.contains(name) && !still.contains(name) && !going.contains(name)
    });
    orphans.filter_map(|past| Some(Previous { run: past.name.clone(), sha256: past.sha256.clone()? })).collect()
}

/// What keeps a run, whatever its age.
struct Needed<'a> {
    newest: Option<&'a str>,
    ends: BTreeSet<&'a str>,
    resumable: BTreeSet<String>,
    snapshots: &'a BTreeSet<String>,
    /// What people wrote in the feedback files.
    texts: Vec<String>,
}

impl<'a> Needed<'a> {
    fn of(settings: &Settings, verification: &'a Verification, snapshots: &'a BTreeSet<String>) -> Needed<'a> {
        let ends = verification.ends().into_iter().map(|past| past.name.as_str()).collect();
        let evidence = &settings.evidence;
        let files = [&evidence.deployment, &evidence.data, &evidence.qa].into_iter().filter(|_| settings.recorded());
        let texts = files.map(|file| String::from_utf8_lossy(&read_linked(file).unwrap_or_default()).into_owned());
        let closed = verification.runs.iter().filter(|past| past.state == State::Closed && !past.is_anchor());
        let newest = closed.map(|past| past.name.as_str()).next_back();
        Needed { newest, ends, resumable: resumable(&verification.runs), snapshots, texts: texts.collect() }
    }

    fn why(&self, past: &Past) -> Option<&'static str> {
        let record = past.record.as_ref()?;
        let snapshot = record.outcome.extra.get("snapshot").and_then(|snapshot| snapshot["name"].as_str());
        let because = [
            (self.newest == Some(past.name.as_str()), "it is the newest"),
            (self.ends.contains(past.name.as_str()), "no run follows it"),
            (self.resumable.contains(&past.name), "`drill --resume` goes on from it"),
            (snapshot.is_some_and(|name| self.snapshots.contains(name)), "its snapshot can still be put back"),
            (
                self.texts.iter().any(|text| is_named_by_people(text, &past.name)),
                "a feedback file names it in words of its own",
            ),
        ];
        because.into_iter().find(|(is_so, _)| *is_so).map(|(_, why)| why)
    }
}

/// The snapshots that a drill which can be resumed puts rows back from.
pub fn snapshots_of_resumable(runs: &[Past]) -> BTreeSet<String> {
    let resumable = resumable(runs);
    let records = runs.iter().filter(|past| resumable.contains(&past.name)).filter_map(|past| past.record.as_ref());
    let extra = |record: &Record, key: &str| record.outcome.extra.get(key).cloned().unwrap_or_default();
    let named =
        |record: &Record| [extra(record, "drill")["snapshot"].clone(), extra(record, "snapshot")["name"].clone()];
    records.flat_map(named).filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The last drill of each target, where it did not go through, and the run whose first forward it goes back to.
fn resumable(runs: &[Past]) -> BTreeSet<String> {
    let mut last = BTreeMap::new();
    for past in runs.iter().filter(|past| past.state == State::Closed) {
        let Some(record) = &past.record else { continue };
        if let (Some(target), Some(drill)) = (&record.outcome.target, record.outcome.extra.get("drill")) {
            last.insert(&target.name, (past, record.outcome.status == "ok", drill));
        }
    }
    let stopped = last.into_values().filter(|(_, is_through, _)| !is_through);
    let names = |(past, _, drill): (&Past, bool, &serde_json::Value)| {
        let landing = drill["landing"].as_str().and_then(|landing| landing.split('/').next()).map(str::to_owned);
        [Some(past.name.clone()), landing]
    };
    stopped.flat_map(names).flatten().collect()
}

/// Whether a text names a run elsewhere than in what the drill writes: the entry of that run, and that of one which it closed.
fn is_named_by_people(text: &str, run: &str) -> bool {
    let is_ours = |line: &str| {
        evidence_of(line).is_some_and(|(_, of, _)| of == run)
            || ["- abandoned:", "- pruned:"].iter().any(|fact| line.trim_start().starts_with(fact))
    };
    text.lines().any(|line| line.contains(run) && !is_ours(line))
}

impl Pruned {
    fn of(past: &Past) -> Option<Pruned> {
        let outcome = &past.record.as_ref()?.outcome;
        Some(Pruned {
            run: past.name.clone(),
            sha256: past.sha256.clone()?,
            command: outcome.command.clone(),
            status: outcome.status.clone(),
            started_at: outcome.started_at.clone(),
        })
    }
}

fn size(past: &Past) -> u64 {
    let files = plain(&past.folder).unwrap_or_default();
    files.iter().filter_map(|(_, path)| Some(fs::metadata(path).ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn past(name: &str, changes: Value) -> Past {
        let record = Record::of(changes);
        let sha256 = Some("7".repeat(64));
        let link = Some(record.link());
        Past { name: name.to_owned(), folder: name.into(), state: State::Closed, sha256, link, record: Some(record) }
    }

    fn names(runs: &[&Past]) -> String {
        runs.iter().map(|past| past.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn age_decides_of_runs_and_what_decides_of_anchors_is_whether_any_run_goes() {
        let began = |day: u8| json!({"started_at": format!("2026-11-{day:02}T00:00:00Z")});
        let anchor = past("anchor", json!({"command": "prune", "started_at": "2026-11-02T00:00:00Z"}));
        let runs = [past("1", began(1)), anchor, past("3", began(3)), past("4", began(4))];
        let old = |rule| names(&old(runs.iter().collect(), &rule));
        assert_eq!([1, 2, 3, 9].map(|count| old(Rule::Keep(count))), ["anchor 1 3", "anchor 1", "", ""]);
        let since = |moment: &str| old(Rule::Since(moment.to_owned()));
        assert_eq!(since("2026-11-04T00:00:00Z"), "anchor 1 3");
        assert_eq!(since("2026-11-01T00:00:00Z"), "");
    }

    #[test]
    fn what_stays_between_runs_that_go_is_followed_by_the_anchor() {
        let after = |run: &str| json!({"previous": {"run": run, "sha256": "7"}});
        let both = json!({"previous": {"run": "3", "sha256": "7"}, "merged": [{"run": "side", "sha256": "7"}]});
        let runs = [
            past("1", json!({})),
            past("2", after("1")),
            past("side", after("1")),
            past("3", after("2")),
            past("4", both),
        ];
        let left = |going: &[&'static str]| {
            let orphans = orphans(&runs, going.iter().copied());
            orphans.into_iter().map(|orphan| orphan.run).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(left(&["2"]), "", "the side follows the first one, too");
        assert_eq!(left(&["2", "side"]), "1");
        assert_eq!(left(&["1", "2", "3"]), "");
        assert_eq!(left(&["4"]), "side 3");
    }

    #[test]
    fn only_an_anchor_that_was_closed_well_accounts_for_anything() {
        let pruned = json!([{"run": "r", "sha256": "7", "command": "forward", "status": "ok", "started_at": "2026-11-01T00:00:00Z"}]);
        let of = |command: &str, status: &str, state| Past {
            state,
            ..past("p", json!({"command": command, "status": status, "pruned": pruned}))
        };
        let accounts = |past: Past| anchored(&[past]).contains_key("r");
        assert!(accounts(of("prune", "ok", State::Closed)));
        assert!(!accounts(of("prune", "abandoned", State::Closed)));
        assert!(!accounts(of("prune", "running", State::Unclosed)));
        assert!(!accounts(of("forward", "ok", State::Closed)));
    }

    #[test]
    fn what_somebody_still_needs_stays() {
        let target = |name: &str| json!({"name": name, "host": "h", "port": 5432, "database": "d"});
        let drill = |status: &str, name: &str, landing: &str| json!({"command": "drill", "status": status, "target": target(name), "drill": {"stage": 2, "landing": landing}});
        let runs = [
            past("first", json!({})),
            past("landing", json!({})),
            past("stopped", drill("failed", "staging", "landing/1-forward")),
            past("through_before", drill("failed", "preview", "first/1-forward")),
            past("through", drill("ok", "preview", "first/1-forward")),
            past("copied", json!({"snapshot": {"name": "there"}})),
            past("copied_once", json!({"snapshot": {"name": "gone"}})),
            past("linked", json!({})),
            past("newest", json!({})),
        ];
        let snapshots = BTreeSet::from(["there".to_owned()]);
        let texts = vec!["see the run linked, please".to_owned()];
        let (ends, newest) = (BTreeSet::from(["newest"]), Some("newest"));
        let needed = Needed { newest, ends, resumable: resumable(&runs), snapshots: &snapshots, texts };
        let said = runs.iter().map(|past| format!("{}: {}", past.name, needed.why(past).unwrap_or("goes")));
        insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"), @"
        first: goes
        landing: `drill --resume` goes on from it
        stopped: `drill --resume` goes on from it
        through_before: goes
        through: goes
        copied: its snapshot can still be put back
        copied_once: goes
        linked: a feedback file names it in words of its own
        newest: it is the newest
        ");
    }

    #[test]
    fn the_drills_own_lines_name_a_run_for_nobody() {
        let run = "20261122T200401Z-forward-4368db";
        let sha256 = "7".repeat(64);
        let own =
            format!("- evidence: [`feedback/evidence/{run}`](evidence/{run}/run.json), run.json sha256 `{sha256}`");
        let closed = format!("- abandoned: it was killed before it closed its record; closed by {run}");
        assert!(!is_named_by_people(&format!("## x\n\n{own}\n{closed}\n"), run));
        assert!(is_named_by_people(&format!("{own}\nwhat broke in {run} was the index\n"), run));
    }
}
