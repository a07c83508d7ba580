//! A stage before it happens: an ordered list of steps, each with the sentence shown when it fails. Pure data.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::error::Result;
use crate::evidence::outcome::Counts;
use crate::hint::Hint;
use crate::process::Invocation;
use crate::schema::history::Migration;
use crate::words::{in_line, size};

/// `A` is what the stage does itself, beside the programs that it calls.
#[derive(Debug, Serialize)]
pub struct Plan<A> {
    pub stage: &'static str,
    /// What `--plan` says first: the target and what is to happen to it.
    pub summary: String,
    /// Each script that will run, by name.
    pub scripts: Vec<Script>,
    /// The rows that are there now, and so at stake.
    pub rows: Counts,
    /// What would be lost, each as a sentence; what consent is asked for.
    pub losses: Vec<String>,
    /// In order; the steps of one group run side by side.
    pub groups: Vec<Vec<Step<A>>>,
}

/// As it is shown and recorded: the file itself is in git, and a data migration may have a hundred megabytes.
#[derive(Debug, Clone, Serialize)]
pub struct Script {
    pub name: String,
    /// Of all of it.
    pub sha256: String,
    pub sql: String,
    /// Bytes behind `sql`.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

/// Bytes of one script that a plan shows.
const SHOWN: usize = 1 << 20;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

impl Script {
    pub fn new(name: String, sha256: String, sql: &str) -> Script {
        Script::beginning(name, sha256, sql.to_owned(), sql.len() as u64)
    }

    /// # Errors
    /// `blocked` where the script cannot be read any more.
    pub fn of_migration(migration: &Migration) -> Result<Script> {
        let (name, sha256) = (migration.name.clone(), migration.checksum.clone());
        Ok(Script::beginning(name, sha256, migration.sql.head(SHOWN)?, migration.sql.len()))
    }

    /// A long one is cut where a line ends, since half of a secret is no secret that is known.
    fn beginning(name: String, sha256: String, mut sql: String, length: u64) -> Script {
        if length > SHOWN as u64 {
            let shown = &sql.as_bytes()[..SHOWN.min(sql.len())];
            sql.truncate(shown.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1));
        }
        let left_out = length - sql.len() as u64;
        Script { name, sha256, sql, left_out }
    }

    fn in_words(&self) -> String {
        let more = (self.left_out > 0).then(|| format!("\n-- and {} more, which are not shown", size(self.left_out)));
        format!("\n-- {}\n{}{}", in_line(&self.name), self.sql.trim_end(), more.unwrap_or_default())
    }
}

#[derive(Debug, Serialize)]
pub struct Step<A> {
    pub name: &'static str,
    /// What it does, in one line.
    pub does: String,
    /// What is said when it fails.
    pub failure: &'static str,
    pub action: Action<A>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action<A> {
    Child {
        #[serde(rename = "command", serialize_with = "shown")]
        invocation: Invocation,
        #[serde(skip)]
        deadline: Duration,
        /// Reads the last lines of a child that failed.
        #[serde(skip)]
        explain: fn(&[String]) -> Option<Explanation>,
    },
    #[serde(rename = "own")]
    Builtin(A),
}

/// What a program's own error code means here, and what to type next.
pub struct Explanation {
    pub code: String,
    pub message: String,
    /// What the database said, where the program passes it on.
    pub details: Vec<String>,
    /// What else a user has to know to follow the hint.
    pub note: Option<String>,
    /// None where the code is not a known one: then the log is what there is.
    pub hint: Option<Hint>,
}

fn shown<S: Serializer>(invocation: &Invocation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&invocation.shown())
}

impl<A> Plan<A> {
    /// The same as part of a plan whose own actions are `B`.
    pub fn with<B>(self, wrap: fn(A) -> B) -> Plan<B> {
        let step = |Step { name, does, failure, action }: Step<A>| {
            let action = match action {
                Action::Child { invocation, deadline, explain } => Action::Child { invocation, deadline, explain },
                Action::Builtin(own) => Action::Builtin(wrap(own)),
            };
            Step { name, does, failure, action }
        };
        let groups = self.groups.into_iter().map(|group| group.into_iter().map(step).collect()).collect();
        let Plan { stage, summary, scripts, rows, losses, .. } = self;
        Plan { stage, summary, scripts, rows, losses, groups }
    }

    /// As `--plan` prints it.
    pub fn in_words(&self) -> String {
        let mut lines = vec![self.summary.clone(), String::new()];
        lines.extend(self.steps_in_words());
        lines.extend(self.stakes_in_words());
        lines.join("\n")
    }

    /// The steps alone, a line or two each.
    pub fn steps_in_words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            for step in group {
                let beside = if group.len() > 1 { "  (side by side)" } else { "" };
                lines.push(format!("{}. {}: {}{beside}", number + 1, step.name, in_line(&step.does)));
                if let Action::Child { invocation, .. } = &step.action {
                    lines.push(format!("     $ {}", in_line(&invocation.shown())));
                }
            }
        }
        lines
    }

    /// What is there, what would go, and the scripts.
    pub fn stakes_in_words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.rows.is_empty() {
            lines.push("\nRows there now:".to_owned());
            lines.extend(self.rows.iter().map(|(table, rows)| format!("  {}: {rows}", in_line(table))));
        }
        if !self.losses.is_empty() {
            lines.push("\nWhat would be lost:".to_owned());
            lines.extend(self.losses.iter().map(|loss| format!("  {}", in_line(loss))));
        }
        for script in &self.scripts {
            lines.push(script.in_words());
        }
        lines.push("\nNothing was changed.".to_owned());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_script_whole_lines_are_shown_and_how_much_is_not() {
        let script = |sql: &str| Script::new("1_a".to_owned(), String::new(), sql);
        let line = "insert into t values ('x');\n";
        let short = script(&line.repeat(SHOWN / line.len()));
        assert_eq!((short.left_out, serde_json::to_value(&short).unwrap().get("left_out")), (0, None));
        let long = line.repeat(SHOWN / line.len() + 2);
        let cut = script(&long);
        assert_eq!((cut.sql.len(), cut.left_out), (short.sql.len(), 2 * line.len() as u64));
        assert!(cut.sql.ends_with(line) && cut.in_words().ends_with("-- and 56 bytes more, which are not shown"));
        // Half of a line could be half of a secret.
        let one = script(&"x".repeat(SHOWN + 1));
        assert_eq!((one.sql.as_str(), one.left_out), ("", SHOWN as u64 + 1));
    }
}
