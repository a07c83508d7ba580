//! What git must not take: the env file with its secrets, and what belongs to one machine.

use crate::error::Result;
use crate::init::change::{Change, appended};
use crate::init::repo::Repo;

const HEADING: &str = "# The staging drill: secrets, and what is of this machine only.";
const ENV_FILE: &str = ".env.staging";
/// What covers it too.
const WIDER: [&str; 3] = [".env*", ".env.*", ".env.staging*"];
const LINES: [&str; 4] = [ENV_FILE, "!.env.staging.example", "/.drill/", "/feedback/.*.new"];

pub fn change(repo: &Repo<'_>) -> Result<Option<Change>> {
    Change::edit(repo.root(), ".gitignore", |text| Ok(with_lines(text)))
}

fn with_lines(text: &str) -> String {
    let is_there = |line: &str| text.lines().any(|there| there.trim_end() == line);
    let is_covered = |line: &str| line == ENV_FILE && WIDER.into_iter().any(is_there);
    let is_missing = |line: &&&str| !is_there(line) && !is_covered(line);
    let missing: String = LINES.iter().filter(is_missing).map(|line| format!("{line}\n")).collect();
    let lines = if missing.is_empty() { missing } else { format!("{HEADING}\n{missing}") };
    appended(text, &lines)
}
