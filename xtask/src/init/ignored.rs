//! What git must not take: the env file with its secrets, and what belongs to one machine.

use crate::error::Result;
use crate::init::change::{Change, appended};
use crate::init::repo::Repo;

const HEADING: &str = "# The staging drill: secrets, and what is of this machine only.";
const LINES: [&str; 4] = [".env.staging", "!.env.staging.example", "/.drill/", "/feedback/.*.new"];

pub fn change(repo: &Repo<'_>) -> Result<Option<Change>> {
    Change::edit(repo.root(), ".gitignore", |text| Ok(with_lines(text)))
}

fn with_lines(text: &str) -> String {
    let is_missing = |line: &&&str| !text.lines().any(|there| there.trim_end() == **line);
    let missing: String = LINES.iter().filter(is_missing).map(|line| format!("{line}\n")).collect();
    let lines = if missing.is_empty() { missing } else { format!("{HEADING}\n{missing}") };
    appended(text, &lines)
}
