//! One entry a run in a feedback file, newest first, below the line that says so.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use fs4::FileExt;

use crate::error::{Failure, Result};
use crate::evidence::record::Record;
use crate::outcome::BeforeAfter;
use crate::parity::comparison::{Compared, Comparison, percent};

/// Entries go right below this line; a file without it gets it at its end.
pub const MARK: &str = "<!-- staging drill: newest entry first -->";

/// Adds an entry that names the verdict, the target, the commit, the counts, the folder and its digest.
///
/// The file is replaced in one step under a lock, so that two runs at once are both kept.
///
/// # Errors
/// `failed`, with the entry's text as a cause, when the file cannot be written: nothing of it is lost.
pub fn add(path: &Path, record: &Record, folder: &str, digest: &str) -> Result<()> {
    let entry = entry(record, folder, digest);
    insert(path, &entry).map_err(|error| {
        Failure::failed(format!("cannot add the entry to `{}`", path.display()))
            .caused_by(&error)
            .hint(format!("make the file writable and add by hand:\n{entry}"))
    })
}

fn insert(path: &Path, entry: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(beside(path, ".lock"))?;
    FileExt::lock(&lock)?;
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let draft = beside(path, ".new");
    let mut file = File::create(&draft)?;
    file.write_all(with_entry(&old, entry).as_bytes())?;
    file.sync_data()?;
    fs::rename(&draft, path)
}

/// A hidden neighbour of `path`; both kinds are ignored by git.
fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}{suffix}"))
}

fn with_entry(old: &str, entry: &str) -> String {
    match old.split_once(MARK) {
        Some((above, below)) => {
            format!("{above}{MARK}\n\n{entry}\n{}", below.trim_start_matches('\n')).trim_end().to_owned() + "\n"
        }
        None if old.is_empty() => format!("{MARK}\n\n{entry}"),
        None => format!("{}\n\n{MARK}\n\n{entry}", old.trim_end()),
    }
}

fn entry(record: &Record, folder: &str, digest: &str) -> String {
    let outcome = &record.outcome;
    let mut text = format!("## {} — {} {}\n\n", outcome.started_at, outcome.command, outcome.status);
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(text, "- {name}: {value}");
    };
    if let Some(target) = &outcome.target {
        fact("target", format!("{} (`{}` on `{}:{}`)", target.name, target.database, target.host, target.port));
    }
    if let Some(git) = &record.git {
        fact("commit", format!("`{}`{}", git.commit, if git.dirty { ", with uncommitted changes" } else { "" }));
    }
    if let Some(migrations) = &outcome.migrations {
        match migrations.rolled_back.as_slice() {
            [] => fact("applied", listed(&migrations.applied)),
            names => fact("taken back", listed(names)),
        }
    }
    if let Some(error) = &outcome.error {
        fact("error", error.message.clone());
    }
    fact("evidence", format!("`{folder}`, run.json sha256 `{digest}`"));
    if let Some(counts) = &outcome.counts {
        text.push_str(&table(counts));
    }
    if let Some(parity) = &outcome.parity {
        text.push_str(&pairs(parity));
    }
    text
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing (none was pending)".to_owned() } else { format!("`{}`", names.join("`, `")) }
}

fn pairs(parity: &Comparison) -> String {
    let mut text = "\n| pair | Prisma | mirror | difference |\n|---|---:|---:|---:|\n".to_owned();
    for Compared { name, prisma, mirror, delta, diff_pct, .. } in &parity.pairs {
        let _ = writeln!(text, "| {name} | {prisma} | {mirror} | {delta:+} ({}) |", percent(*diff_pct));
    }
    let _ = writeln!(text, "\nThreshold: {} %.", parity.threshold_pct);
    text
}

fn table(counts: &BeforeAfter) -> String {
    let mut text = "\n| table | before | after |\n|---|---:|---:|\n".to_owned();
    let names: std::collections::BTreeSet<_> = counts.before.keys().chain(counts.after.keys()).collect();
    for name in names {
        let shown = |count: Option<&u64>| count.map_or("-".to_owned(), u64::to_string);
        let _ = writeln!(text, "| {name} | {} | {} |", shown(counts.before.get(name)), shown(counts.after.get(name)));
    }
    text
}
