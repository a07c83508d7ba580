//! The runs in an evidence folder, read back, in whatever state a crash or a person left them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::digest::sha256;
use crate::error::{Failure, Result};
use crate::evidence::lock;
use crate::evidence::record::{Link, RECORD, Record};
use crate::files::read_plain;
use crate::hint::Hint;

/// `<UTC>-<command>-<short id>`
#[expect(clippy::expect_used, reason = "the pattern is a constant, which a test compiles")]
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^[0-9]{8}T[0-9]{6}Z-[a-z-]+-[0-9a-f]{6}$").expect("the pattern is a constant that a test compiles")
});

/// What lies in an evidence folder under one name.
#[derive(Debug)]
pub struct Past {
    pub name: String,
    pub folder: PathBuf,
    pub state: State,
    /// Of `run.json`; None where there is none.
    pub sha256: Option<String>,
    /// None where it cannot be read.
    pub link: Option<Link>,
    /// None where it cannot be read, and where no more than the link was.
    pub record: Option<Record>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Closed,
    /// Its process is at work, or the file system cannot tell.
    Running,
    /// Its process is gone, and no other run has closed it yet.
    Unclosed,
    /// Named like a run, but without a record that can be read: why.
    Unreadable(String),
    /// No run's folder.
    Foreign,
}

/// Everything in `dir` but hidden files: what is not a run first, then the runs, oldest first. Nothing when there is
/// no such folder.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn read_all(dir: &Path) -> io::Result<Vec<Past>> {
    all(dir, Past::read)
}

/// As `read_all`, of each run no more than its link: what takes as much time and memory with every run that was ever made must be little.
///
/// # Errors
/// As `read_all`.
pub fn read_links(dir: &Path) -> io::Result<Vec<Past>> {
    all(dir, Past::read_link)
}

fn all(dir: &Path, read: fn(&Path, &str) -> Past) -> io::Result<Vec<Past>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    let mut runs: Vec<Past> = names.iter().map(|name| read(dir, name)).collect();
    sort(&mut runs);
    Ok(runs)
}

/// What the newest run against `target` says of it, and that run's name. Reads no more records than it must.
pub fn last_environment(dir: &Path, target: &str) -> Option<(String, BTreeMap<String, String>)> {
    let entries = fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = entries.filter(|name| is_run(name)).collect();
    names.sort_unstable();
    let seconds = names.chunk_by(|a, b| stamp(a) == stamp(b)).rev();
    seconds.flat_map(|names| newest_first(dir, names)).find_map(|past| {
        let record = past.record?;
        let is_ours = record.outcome.target.is_some_and(|view| view.name == target);
        (is_ours && !record.environment.is_empty()).then_some((past.name, record.environment))
    })
}

/// The last closed run before `name` of the same command against the same target, with stages of the same names where both have some. Reads no
/// more records than it must.
pub fn before_alike(dir: &Path, name: &str, record: &Record) -> Option<Past> {
    let target = &record.outcome.target.as_ref()?.name;
    let entries = fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_before = |other: &String| is_run(other) && other != name && stamp(other) <= stamp(name);
    let mut names: Vec<String> = entries.filter(is_before).collect();
    names.sort_unstable();
    let seconds = names.chunk_by(|a, b| stamp(a) == stamp(b)).rev();
    seconds.flat_map(|names| newest_first(dir, names)).find(|past| {
        let Some(other) = past.record.as_ref().filter(|_| past.state == State::Closed) else { return false };
        let is_alike = other.outcome.command == record.outcome.command
            && other.outcome.target.as_ref().is_some_and(|view| view.name == *target)
            && has_stages_alike(other, record);
        is_alike && !past.link.iter().flat_map(Link::followed).any(|previous| previous.run == name)
    })
}

/// `drill` and `drill --each` are one command, and nothing alike.
fn has_stages_alike(one: &Record, other: &Record) -> bool {
    let first = |record: &Record| record.outcome.stages.first().map(|stage| stage.name.clone());
    first(one).zip(first(other)).is_none_or(|(one, other)| one == other)
}

fn newest_first(dir: &Path, names: &[String]) -> impl Iterator<Item = Past> {
    let mut runs: Vec<Past> = names.iter().map(|name| Past::read(dir, name)).collect();
    sort(&mut runs);
    runs.into_iter().rev()
}

/// What is not a run first, then the runs, oldest first. Names are to the second; of the runs of one second the chain knows
/// the order, and what is not closed yet has no place in it and comes last.
fn sort(runs: &mut [Past]) {
    let depths = depths(runs);
    runs.sort_by_cached_key(|past| {
        let depth = depths.get(&past.name).copied();
        let is_open = matches!(past.state, State::Running | State::Unclosed);
        (past.state != State::Foreign, stamp(&past.name).to_owned(), is_open, depth, past.name.clone())
    });
}

/// The time in a run's name.
fn stamp(name: &str) -> &str {
    name.split_once('-').map_or(name, |(stamp, _)| stamp)
}

/// How many runs each one came after, by their links.
fn depths(runs: &[Past]) -> BTreeMap<String, usize> {
    let links =
        runs.iter().filter_map(|past| Some((past.name.as_str(), past.link.as_ref()?.previous.as_ref()?.run.as_str())));
    let links: BTreeMap<&str, &str> = links.collect();
    let mut known = BTreeMap::new();
    for past in runs {
        depth(&past.name, &links, &mut known);
    }
    known.into_iter().map(|(name, depth)| (name.to_owned(), depth)).collect()
}

fn depth<'a>(name: &'a str, links: &BTreeMap<&'a str, &'a str>, known: &mut BTreeMap<&'a str, usize>) -> usize {
    if let Some(depth) = known.get(name) {
        return *depth;
    }
    known.insert(name, 0); // Links in a ring come to an end here.
    let steps = links.get(name).map_or(0, |previous| depth(previous, links, known) + 1);
    known.insert(name, steps);
    steps
}

/// Whether a folder of this name is a run's.
pub fn is_run(name: &str) -> bool {
    NAME.is_match(name)
}

/// The newest run, or the only one that `wanted` can mean: its name, the beginning of it, or its short id. `dir` is
/// for people.
///
/// # Errors
/// `blocked` when there is no run at all; `usage` when none or several fit.
pub fn find<'a>(runs: &'a [Past], wanted: Option<&str>, dir: &str) -> Result<&'a Past> {
    let mut known = runs.iter().filter(|past| past.state != State::Foreign);
    let Some(wanted) = wanted else {
        let none = || Failure::blocked(format!("there is no run in `{dir}`")).hint(Hint::run("forward"));
        // What only took others away is nobody's last run.
        return known.rfind(|past| !past.is_anchor()).ok_or_else(none);
    };
    let fits = |past: &&Past| past.name.starts_with(wanted) || past.short_id().starts_with(wanted);
    match known.filter(fits).collect::<Vec<_>>().as_slice() {
        [past] => Ok(past),
        [] => Err(Failure::usage(format!("there is no run `{wanted}` in `{dir}`")).hint(Hint::run("evidence list"))),
        several => Err(Failure::usage(format!("`{wanted}` can mean {} runs", several.len()))
            .because_all(several.iter().map(|past| past.name.clone()))
            .hint("name it by more letters")),
    }
}

/// The command whose runs take others away.
pub const PRUNE: &str = "prune";

impl Past {
    /// Whether it is a run that took those away which it names. One that was killed before it was closed has taken nothing.
    pub fn is_anchor(&self) -> bool {
        let link = self.link.as_ref().filter(|_| self.state == State::Closed);
        link.is_some_and(|link| link.command == PRUNE && link.status == "ok")
    }

    /// What ends the name, and is enough to name the run by.
    pub fn short_id(&self) -> &str {
        self.name.rsplit('-').next().unwrap_or(&self.name)
    }

    pub fn read(dir: &Path, name: &str) -> Past {
        Past::read_as(dir, name, |past, bytes| {
            let record: Record = serde_json::from_slice(bytes)?;
            past.link = Some(record.link());
            past.record = Some(record);
            Ok(())
        })
    }

    fn read_link(dir: &Path, name: &str) -> Past {
        Past::read_as(dir, name, |past, bytes| {
            past.link = Some(serde_json::from_slice(bytes)?);
            Ok(())
        })
    }

    fn read_as(dir: &Path, name: &str, take: Take) -> Past {
        let folder = dir.join(name);
        let state = State::Foreign;
        let mut past = Past { name: name.to_owned(), folder, state, sha256: None, link: None, record: None };
        let is_folder = past.folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if is_folder && is_run(name) {
            past.look(take);
            // It may have been closed between the look at its record and the look at its lock.
            if past.state == State::Running && lock::is_free(&past.folder) {
                past.look(take);
                if past.state == State::Running {
                    past.state = State::Unclosed;
                }
            }
        }
        past
    }

    fn look(&mut self, take: Take) {
        let bytes = match read_plain(&self.folder.join(RECORD)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.state = State::Unreadable(format!("`{RECORD}` is missing"));
                return;
            }
            Err(error) => {
                self.state = State::Unreadable(format!("`{RECORD}` cannot be read: {error}"));
                return;
            }
        };
        self.sha256 = Some(sha256(&bytes));
        self.state = match take(self, &bytes) {
            Ok(()) if self.link.as_ref().is_some_and(|link| link.status == "running") => State::Running,
            Ok(()) => State::Closed,
            Err(error) => State::Unreadable(format!("`{RECORD}` is not a record of a run: {error}")),
        };
    }
}

/// Takes out of the bytes of a record what is asked.
type Take = fn(&mut Past, &[u8]) -> serde_json::Result<()>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_known_by_its_name() {
        assert!(is_run("20261122T200401Z-forward-4368db"));
        assert!(is_run("20261122T200401Z-env-check-4368db"));
        for name in
            ["20261122T200401Z-forward", "20261122T200401Z-forward-4368dbf", "a/20261122T200401Z-forward-4368db", ""]
        {
            assert!(!is_run(name), "{name}");
        }
    }

    /// A closed run against staging, as far as it is read again.
    fn write(dir: &Path, name: &str, host: &str, previous: Option<&str>) {
        let target = serde_json::json!({"name": "staging", "host": host, "port": 5432, "database": "d"});
        let previous = previous.map(|run| serde_json::json!({"run": run, "sha256": ""}));
        let record = serde_json::json!({
            "command": "claim", "status": "ok", "target": target, "environment": {"host": host}, "previous": previous,
            "started_at": "2026-11-23T01:19:33Z", "operator": {}, "files": {},
        });
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join(RECORD), record.to_string()).unwrap();
    }

    /// Their names are ordered by chance.
    #[test]
    fn of_the_runs_of_one_second_the_newest_is_the_one_that_was_closed_last() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, third] = ["ccc000", "aaa000", "bbb000"].map(|id| format!("20261123T011933Z-claim-{id}"));
        let earlier = "20261123T011932Z-claim-ddd000";
        write(dir.path(), earlier, "earlier", None);
        write(dir.path(), &first, "first", Some(earlier));
        write(dir.path(), &second, "second", Some(&first));
        write(dir.path(), &third, "third", Some(&second));
        let names: Vec<String> = read_all(dir.path()).unwrap().into_iter().map(|past| past.name).collect();
        assert_eq!(names, [earlier, &first, &second, &third]);
        let (run, environment) = last_environment(dir.path(), "staging").unwrap();
        assert_eq!((run, environment["host"].as_str()), (third, "third"));
        assert_eq!(last_environment(dir.path(), "other"), None);
    }

    #[test]
    fn a_run_is_compared_with_the_last_closed_one_of_its_kind_that_came_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, target: &str, stage: &str, status: &str, previous: Option<&str>| {
            let command = name.split('-').nth(1).unwrap();
            let record = Record::of(serde_json::json!({
                "command": command, "status": status,
                "target": {"name": target, "host": "h", "port": 5432, "database": "d"},
                "stages": [{"name": stage, "status": status}],
                "previous": previous.map(|run| serde_json::json!({"run": run, "sha256": ""})),
            }));
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join(RECORD), serde_json::json!(record).to_string()).unwrap();
            record
        };
        let [oldest, this, same_second] = ["0-drill-aaa000", "4-drill-bbb000", "4-drill-aaa000"]
            .map(|rest| format!("2026112{}T011933Z{}", &rest[..1], &rest[1..]));
        write(&oldest, "staging", "forward", "failed", None);
        write("20261121T011933Z-drill-ccc000", "sandbox", "forward", "ok", None);
        write("20261121T011933Z-forward-ccc000", "staging", "forward", "ok", None);
        write("20261122T011933Z-drill-ddd000", "staging", "each", "ok", None);
        write("20261123T011933Z-drill-eee000", "staging", "forward", "running", None);
        let record = write(&this, "staging", "forward", "ok", None);
        write(&same_second, "staging", "forward", "ok", Some(&this));
        write("20261125T011933Z-drill-fff000", "staging", "forward", "ok", None);
        let found = |name: &str, record| before_alike(dir.path(), name, record).map(|past| past.name);
        assert_eq!(found(&this, &record), Some(oldest.clone()));
        assert_eq!(found(&same_second, &record), Some(this));
        assert_eq!(found(&oldest, &record), None);
    }

    #[test]
    fn a_record_of_another_shape_is_told_and_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let [old, strange] = ["20261123T011933Z-claim-aaa000", "20261123T011934Z-claim-bbb000"];
        fs::create_dir(dir.path().join(old)).unwrap();
        let least = r#"{"command": "claim", "status": "ok", "started_at": "2026-11-23T01:19:33Z", "of_tomorrow": [1]}"#;
        fs::write(dir.path().join(old).join(RECORD), least).unwrap();
        fs::create_dir(dir.path().join(strange)).unwrap();
        fs::write(dir.path().join(strange).join(RECORD), least.replace("[1]", "1, \"stages\": 7")).unwrap();
        let runs = read_all(dir.path()).unwrap();
        assert_eq!(runs[0].record.as_ref().unwrap().outcome.extra["of_tomorrow"], serde_json::json!([1]));
        let State::Unreadable(why) = &runs[1].state else { panic!("{:?}", runs[1].state) };
        assert!(
            why.starts_with("`run.json` is not a record of a run: invalid type: integer `7`, expected a sequence"),
            "{why}"
        );
    }
}
