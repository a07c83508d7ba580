//! Whether the evidence is what it was when it was written: every file against its record, every record against who
//! vouches for it, every entry for people against the record it is of.
//!
//! It finds what was changed, added or taken away since. It cannot find what was never recorded, nor a history that
//! were written anew as a whole, with the feedback files: against that there is a signature, and a commit that
//! was pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::digest::of_file;
use crate::error::{OrFail, Result};
use crate::evidence::anchors::{self, anchored};
use crate::evidence::chain;
use crate::evidence::committed;
use crate::evidence::digest_witnesses::{self, Voucher, Vouchers};
use crate::evidence::entries::{self, Altered, Lying};
use crate::evidence::feedback::KEPT;
use crate::evidence::folder::pretty;
use crate::evidence::lock;
use crate::evidence::past::{Past, State, read_all};
use crate::evidence::record::{Link, RECORD, Record};
use crate::evidence::signature::{self, SIGNATURE, Signed};
use crate::evidence::views::attestation::{ATTESTATION, statement};
use crate::files::{draft, is_too_large, plain, read_linked, read_plain, strange};
use crate::interrupt::Interrupt;
use crate::settings::Settings;

#[derive(Debug)]
pub struct Verification {
    /// As they lie in the folder, oldest first.
    pub runs: Vec<Past>,
    pub findings: Vec<Finding>,
    /// What does not show a change, but limits what was verified.
    pub notes: Vec<String>,
    /// Runs of which only the record is here.
    pub summaries: BTreeSet<String>,
    vouchers: Vouchers,
    /// Who signed, by run.
    signers: BTreeMap<String, Signed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub run: String,
    /// In the run's folder; None when it is the run as a whole.
    pub file: Option<String>,
    pub kind: Kind,
    /// The last moment at which it is known to have been right (RFC 3339).
    pub since: Option<String>,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Changed,
    Missing,
    Added,
    /// The run's folder is gone.
    Removed,
    Renamed,
    Unreadable,
    /// It should be signed by one of the project's list, and is not.
    Unsigned,
}

impl Verification {
    /// Reads everything once. The target decides whose evidence it is.
    ///
    /// # Errors
    /// `blocked` when the folder of the evidence cannot be read.
    pub fn of(settings: &Settings) -> Result<Verification> {
        let dir = settings.evidence_dir();
        // No record is closed meanwhile that another one may already name.
        let _lock = lock::share(&dir);
        let runs = read_all(&dir).blocked(|| format!("cannot read `{}`", settings.shown(&dir)))?;
        let vouchers = digest_witnesses::collect(settings, &runs);
        let summaries = summaries(settings, &runs);
        let checked = |past: &Past| check(past, vouchers.get(&past.name), summaries.contains(&past.name));
        let mut findings: Vec<Finding> = runs.iter().flat_map(checked).collect();
        findings.extend(removed(&runs, &vouchers));
        findings.extend(altered_entries(settings, &runs));
        findings.sort_by(|a, b| (&a.run, &a.file).cmp(&(&b.run, &b.file)));
        let of_summary = |name: &String| {
            format!(
                "`{name}`: only its record is here, as `commit = \"summary\"` has it; none of its files was verified"
            )
        };
        let notes = notes(&runs, &vouchers)
            .into_iter()
            .chain(anchors::notes(&runs, &dir))
            .chain(summaries.iter().map(of_summary))
            .collect();
        Ok(Verification { runs, findings, notes, summaries, vouchers, signers: BTreeMap::new() })
    }

    /// Checks every signature. Where the project names its signers, each end of the chain must be signed by one of
    /// them: what comes before an end is vouched for by its digest.
    ///
    /// # Errors
    /// `blocked` when there is a signature and no ssh-keygen.
    pub fn check_signatures(&mut self, settings: &Settings, interrupt: &Interrupt) -> Result<()> {
        let listed = settings.evidence.allowed_signers.as_deref().filter(|_| settings.recorded());
        let ends: BTreeSet<String> = self.ends().iter().map(|past| past.name.clone()).collect();
        let mut findings = Vec::new();
        for past in self.runs.iter().filter(|past| past.state == State::Closed) {
            let signed = signature::check(settings, &past.folder, interrupt)?;
            // A run that was closed a moment ago is still being signed.
            let demanded = listed.is_some() && ends.contains(&past.name) && lock::is_free(&past.folder);
            findings.extend(wrong_signature(past, signed.as_ref(), demanded));
            self.signers.extend(signed.map(|signed| (past.name.clone(), signed)));
        }
        self.findings.extend(findings);
        Ok(())
    }

    /// Who signed the run's record, as far as is known; None before the signatures were checked, too.
    pub fn signed_by(&self, run: &str) -> Option<String> {
        match self.signers.get(run)? {
            Signed::By(name) => Some(name.clone()),
            Signed::Unknown(key) => Some(format!("an unknown key, {key}")),
            Signed::Wrong => None,
        }
    }

    /// The run that `wanted` means and that was pruned, and the anchor that accounts for it.
    pub fn pruned(&self, wanted: &str) -> Option<(&str, &Past)> {
        let fits = |run: &str| run == wanted || run.ends_with(&format!("-{wanted}"));
        let mut gone = anchored(&self.runs).into_iter().map(|(run, anchor)| (run, anchor.by));
        gone.find(|(run, _)| fits(run))
    }

    pub fn findings_of(&self, run: &str) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.run == run)
    }

    /// Who vouches for the record of `run` as it is now, outside its own folder.
    pub fn vouched_by(&self, past: &Past) -> Vec<&str> {
        let vouchers = self.vouchers.get(&past.name).into_iter().flatten();
        let agree = vouchers.filter(|voucher| voucher.outside && Some(&voucher.sha256) == past.sha256.as_ref());
        agree.map(|voucher| voucher.by.as_str()).collect()
    }

    /// The runs that end the chain: the newest, and others where branches were merged.
    pub fn ends(&self) -> Vec<&Past> {
        chain::ends(&self.runs)
    }
}

impl Past {
    fn finding(&self, file: Option<&str>, kind: Kind, since: Option<&str>, message: String) -> Finding {
        let (file, since) = (file.map(str::to_owned), since.map(str::to_owned));
        Finding { run: self.name.clone(), file, kind, since, message }
    }
}

fn wrong_signature(past: &Past, signed: Option<&Signed>, demanded: bool) -> Option<Finding> {
    let name = &past.name;
    let since = past.link.as_ref().and_then(Link::closed_at);
    let message = match signed {
        Some(Signed::Wrong) => {
            let message = format!("`{name}/{SIGNATURE}` does not sign the record beside it");
            return Some(past.finding(Some(SIGNATURE), Kind::Changed, since, message));
        }
        Some(Signed::Unknown(key)) if demanded => {
            format!("`{name}` is signed by {key}, which no signer on the list has")
        }
        None if demanded => format!("`{name}` is not signed"),
        _ => return None,
    };
    Some(past.finding(None, Kind::Unsigned, since, message))
}

/// Runs whose files git does not keep, in a checkout that never had them.
fn summaries(settings: &Settings, runs: &[Past]) -> BTreeSet<String> {
    let is_summary = |past: &&Past| {
        let record = past.record.as_ref().filter(|_| past.state == State::Closed);
        record.is_some_and(|record| committed::is_summary(&past.folder, record))
    };
    let counts = settings.recorded() && settings.evidence.summary_alone;
    runs.iter().filter(|_| counts).filter(is_summary).map(|past| past.name.clone()).collect()
}

pub(super) fn check(past: &Past, vouchers: Option<&Vec<Voucher>>, is_summary: bool) -> Vec<Finding> {
    let record = changed_record(past, vouchers.map(Vec::as_slice).unwrap_or_default());
    let rest = match (&past.state, &past.record) {
        (State::Closed, Some(read)) => changed_folder(past, read, record.is_none(), is_summary),
        (State::Unreadable(why), _) if record.is_none() && !never_began(past) => {
            vec![past.finding(Some(RECORD), Kind::Unreadable, None, format!("`{}`: {why}", past.name))]
        }
        _ => Vec::new(),
    };
    record.into_iter().chain(rest).collect()
}

/// The attestation is derived from the record, so it is a measure only where that is right.
fn changed_folder(past: &Past, record: &Record, record_is_right: bool, is_summary: bool) -> Vec<Finding> {
    let since = past.link.as_ref().and_then(Link::closed_at);
    let attestation = if record_is_right { altered_attestation(past, record) } else { None };
    let is_known = |kind: &Kind| is_summary && *kind == Kind::Missing;
    let altered = altered(past, record).into_iter().filter(|(_, kind, _)| !is_known(kind)).chain(attestation);
    let mut findings: Vec<Finding> = altered
        .map(|(file, kind, what)| {
            let at = since.unwrap_or("its end");
            let message = format!("`{}/{file}` {what} after the run was closed at {at}", past.name);
            past.finding(Some(&file), kind, since, message)
        })
        .collect();
    if let Some(name) = other_name(past, record) {
        let message = format!("`{}` calls itself `{name}`: the folder was renamed", past.name);
        findings.push(past.finding(None, Kind::Renamed, since, message));
    }
    findings
}

/// A folder without anything in it but what was to become its first record: its run was killed before its first line.
fn never_began(past: &Past) -> bool {
    let draft = draft(&past.folder.join(RECORD));
    let is_draft = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.path() == draft);
    fs::read_dir(&past.folder).is_ok_and(|mut entries| entries.all(is_draft))
}

/// Whether another digest is held of `run.json`, and when it was last known to be right.
fn changed_record(past: &Past, vouchers: &[Voucher]) -> Option<Finding> {
    let differs = |voucher: &&Voucher| Some(&voucher.sha256) != past.sha256.as_ref();
    let against: Vec<&Voucher> = vouchers.iter().filter(differs).collect();
    let agree: Vec<&Voucher> = vouchers.iter().filter(|voucher| !differs(voucher)).collect();
    // Who agrees from outside outweighs the file beside the record, which is then the one that was changed.
    let beside_alone = against.iter().all(|voucher| !voucher.outside);
    if against.is_empty() || (beside_alone && agree.iter().any(|voucher| voucher.outside)) {
        return None;
    }
    let since = against.iter().filter_map(|voucher| voucher.at.clone()).max();
    let by = names(&against);
    let record = format!("`{}/{RECORD}`", past.name);
    let is_there = past.folder.join(RECORD).symlink_metadata().is_ok();
    let kind = if is_there { Kind::Changed } else { Kind::Missing };
    let message = match (&since, kind) {
        (_, Kind::Missing) => format!("{record} is missing; its digest is in {by}"),
        _ if beside_alone => format!("{record} or {by} beside it was changed: they do not belong together"),
        (Some(at), _) if agree.is_empty() => format!("{record} was changed after {by} recorded it at {at}"),
        _ if agree.is_empty() => format!("{record} was changed after {by} recorded it"),
        _ => format!("{record} was changed between {by} and {}, which hold different digests of it", names(&agree)),
    };
    Some(past.finding(Some(RECORD), kind, since.as_deref(), message))
}

fn names(vouchers: &[&Voucher]) -> String {
    let names: BTreeSet<String> = vouchers.iter().map(|voucher| format!("`{}`", voucher.by)).collect();
    listed(&names.into_iter().collect::<Vec<_>>())
}

/// `a, b and c`
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Files that are not as the record says: which, and what became of them.
fn altered(past: &Past, record: &Record) -> Vec<(String, Kind, &'static str)> {
    let there: BTreeMap<String, PathBuf> = plain(&past.folder).unwrap_or_default().into_iter().collect();
    let mut altered = Vec::new();
    for (name, sha256) in &record.files {
        match there.get(name).map(|path| digest(path)) {
            None => altered.push((name.clone(), Kind::Missing, "was removed")),
            Some(Ok(digest)) if digest == *sha256 => {}
            Some(Err(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                altered.push((name.clone(), Kind::Changed, "was changed"));
            }
            Some(Ok(_)) => altered.push((name.clone(), Kind::Changed, "was changed")),
            Some(Err(_)) => altered.push((name.clone(), Kind::Unreadable, "became unreadable")),
        }
    }
    let known = |name: &str| record.files.contains_key(name) || [RECORD, ATTESTATION, SIGNATURE, KEPT].contains(&name);
    let new = there.into_keys().filter(|name| !known(name));
    let new = new.chain(strange(&past.folder).unwrap_or_default().into_iter().map(|(name, _)| name));
    altered.extend(new.map(|name| (name, Kind::Added, "was added")));
    altered
}

/// What is larger than any file of a run is none of its files, and need not be read.
fn digest(path: &Path) -> io::Result<String> {
    if is_too_large(path) { Err(io::ErrorKind::FileTooLarge.into()) } else { of_file(path) }
}

/// Words in a feedback file, or in an entry that found no place there, which are not what the record makes them.
fn altered_entries(settings: &Settings, runs: &[Past]) -> Vec<Finding> {
    let evidence = &settings.evidence;
    let files: BTreeSet<&Path> = [&evidence.deployment, &evidence.data, &evidence.qa].map(PathBuf::as_path).into();
    let all: Vec<&Path> = files.iter().copied().collect();
    let public = files.iter().filter(|_| settings.recorded()).map(|path| (path.to_path_buf(), vec![*path]));
    let kept = runs.iter().map(|past| (past.folder.join(KEPT), all.clone()));
    let mut findings = Vec::new();
    for (path, links_from) in public.chain(kept) {
        let Ok(bytes) = read_linked(&path) else { continue };
        let lying = Lying { text: &String::from_utf8_lossy(&bytes), links_from: &links_from };
        for Altered { run, difference } in entries::altered(settings, runs, &lying) {
            let message = format!("the entry of `{run}` in `{}` was changed: {difference}", settings.shown(&path));
            findings.push(Finding { run, file: None, kind: Kind::Changed, since: None, message });
        }
    }
    findings
}

/// It can be made again and compared as a whole.
fn altered_attestation(past: &Past, record: &Record) -> Option<(String, Kind, &'static str)> {
    let Ok(found) = read_plain(&past.folder.join(ATTESTATION)) else {
        return Some((ATTESTATION.to_owned(), Kind::Missing, "was removed"));
    };
    let made = past.sha256.as_ref().and_then(|sha256| pretty(&statement(record, sha256)).ok());
    let same = made.is_some_and(|made| made.as_bytes() == found);
    (!same).then(|| (ATTESTATION.to_owned(), Kind::Changed, "was changed"))
}

/// The name that the run had when it was recorded, where it has another one now.
fn other_name<'a>(past: &Past, record: &'a Record) -> Option<&'a str> {
    let recorded = record.outcome.evidence.as_deref()?.rsplit('/').next()?;
    (recorded != past.name).then_some(recorded)
}

/// Runs that others know, and whose folders are gone.
fn removed(runs: &[Past], vouchers: &Vouchers) -> Vec<Finding> {
    let there: BTreeSet<&str> = runs.iter().map(|past| past.name.as_str()).collect();
    let gone = vouchers.iter().filter(|(run, _)| !there.contains(run.as_str()));
    let anchored = anchored(runs);
    let missed = gone.filter_map(|(run, vouchers)| match anchored.get(run.as_str()) {
        Some(anchor) => {
            let against = vouchers.iter().filter(|voucher| voucher.sha256 != anchor.sha256).collect::<Vec<_>>();
            (!against.is_empty()).then(|| otherwise_anchored(run, anchor.by, &against))
        }
        None => Some(taken_away(run, vouchers)),
    });
    missed.collect()
}

/// Whoever pruned it had another one before them.
fn otherwise_anchored(run: &str, anchor: &Past, against: &[&Voucher]) -> Finding {
    let since = against.iter().filter_map(|voucher| voucher.at.clone()).max();
    let message = format!(
        "the run `{run}` was changed before `{}` took it away: {} holds another digest of it",
        anchor.name,
        names(against)
    );
    Finding { run: run.to_owned(), file: None, kind: Kind::Changed, since, message }
}

fn taken_away(run: &str, vouchers: &[Voucher]) -> Finding {
    let since = vouchers.iter().filter_map(|voucher| voucher.at.clone()).max();
    let at = since.as_ref().map(|at| format!(" after {at}")).unwrap_or_default();
    let by = names(&vouchers.iter().collect::<Vec<_>>());
    let message = format!("the run `{run}` was removed{at}; it is named in {by}");
    Finding { run: run.to_owned(), file: None, kind: Kind::Removed, since, message }
}

fn notes(runs: &[Past], vouchers: &Vouchers) -> Vec<String> {
    let note = |past: &Past| {
        let name = &past.name;
        match &past.state {
            State::Closed => None,
            State::Running => Some(format!("`{name}` is still running: not verified")),
            State::Unclosed => Some(format!(
                "`{name}` was killed before it closed its record: nothing vouches for its files until the next run closes it"
            )),
            State::Unreadable(_) if never_began(past) && !vouchers.contains_key(name) => {
                Some(format!("`{name}` is empty: its run was ended before its first step"))
            }
            State::Unreadable(_) => None,
            State::Foreign => Some(format!("`{name}` is not a run: not verified")),
        }
    };
    let mut notes: Vec<String> = runs.iter().filter_map(note).collect();
    let ends = chain::ends(runs);
    if ends.len() > 1 {
        let names: Vec<String> = ends.iter().map(|past| format!("`{}`", past.name)).collect();
        let names = listed(&names);
        notes.push(format!(
            "the chain has {} ends, as after a merge of branches: {names}; the next run follows them all",
            ends.len()
        ));
    }
    notes
}
