//! Why a run failed: a kind that decides the exit code, causes down to the root, what is so now, and one thing to do about it.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use script::text::Text;
use serde::{Deserialize, Serialize};

use crate::causes::Cause;
use crate::hint::Hint;

/// How a run ended. The word is the `status` of `--json`; the number is the exit code (docs/exit-codes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Done and verified.
    Ok,
    /// A step failed; the database is as the message says.
    Failed,
    /// Wrong arguments.
    Usage,
    /// The guard refused; nothing was spawned, nothing changed.
    Refused,
    /// A prerequisite is missing.
    Blocked,
    /// Verification found something other than what was promised.
    Different,
    /// Our own invariant broke.
    Bug,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM; the word is the same, the code is not.
    #[serde(rename(serialize = "interrupted"))]
    Terminated,
}

impl Status {
    pub fn exit_code(self) -> u8 {
        match self {
            Status::Ok => 0,
            Status::Failed => 1,
            Status::Usage => 2,
            Status::Refused => 3,
            Status::Blocked => 4,
            Status::Different => 5,
            Status::Bug => 70,
            Status::Interrupted => 130,
            Status::Terminated => 143,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Failed => "failed",
            Status::Usage => "usage",
            Status::Refused => "refused",
            Status::Blocked => "blocked",
            Status::Different => "different",
            Status::Bug => "bug",
            Status::Interrupted | Status::Terminated => "interrupted",
        }
    }
}

/// One check of the guard that said no: which check, what was seen (never a secret), and the fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub check: Cow<'static, str>,
    pub message: String,
    pub hint: String,
}

/// The check that refuses to lose rows; the only one that is made after programs were asked.
pub const DATA_LOSS: &str = "data loss";

impl Refusal {
    pub fn new(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Refusal { check: check.into(), message: message.into(), hint: hint.into() }
    }
}

/// Everything a command can end with other than success.
///
/// Texts may hold anything but a secret; the console masks them once more on the way out.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: Status,
    pub message: String,
    /// Why, nearest first. One error is a chain; what was found to differ is many, each without a chain.
    causes: Vec<Arc<anyhow::Error>>,
    /// What is so now, whatever the cause: what became of the database, where its rows are.
    pub notes: Vec<String>,
    /// In a box, since every `Result` has room for a failure.
    pub hint: Option<Box<Hint>>,
    pub refusals: Vec<Refusal>,
    /// The script that it is about.
    pub place: Option<Box<Place>>,
}

/// Where in the folder of migrations something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder's name.
    pub migration: String,
    pub line: Option<usize>,
    pub excerpt: Excerpt,
}

/// Some lines of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The number of the first one.
    pub from: usize,
    pub text: String,
}

impl Excerpt {
    const BEFORE: usize = 8;
    const LINES: usize = 24;
    /// Of one line, in characters.
    const WIDTH: usize = 400;

    /// What stands around `line`; the beginning, where nobody knows which one counts.
    pub fn of(script: &Text, line: Option<usize>) -> Excerpt {
        let from = line.unwrap_or(1).saturating_sub(Self::BEFORE).max(1);
        let cut = |line: &str| match line.char_indices().nth(Self::WIDTH) {
            Some((end, _)) => format!("{} …", &line[..end]),
            None => line.to_owned(),
        };
        // It is told beside a failure; what cannot be read any more is not shown.
        let lines = script.lines(from, Self::LINES).unwrap_or_default();
        let lines: Vec<String> = lines.iter().map(|line| cut(line)).collect();
        Excerpt { from, text: lines.join("\n") }
    }
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    fn new(status: Status, message: impl Into<String>) -> Self {
        let message = message.into();
        Failure {
            status,
            message,
            causes: Vec::new(),
            notes: Vec::new(),
            hint: None,
            refusals: Vec::new(),
            place: None,
        }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Status::Failed, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, message)
    }

    pub fn blocked(message: impl Into<String>) -> Self {
        Self::new(Status::Blocked, message)
    }

    pub fn different(message: impl Into<String>) -> Self {
        Self::new(Status::Different, message)
    }

    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Status::Bug, message)
    }

    pub fn interrupted(status: Status) -> Self {
        let signal = if status == Status::Interrupted { "Ctrl-C" } else { "a signal to end" };
        Self::new(status, format!("stopped by {signal}"))
    }

    pub fn refused(target: &str, refusals: Vec<Refusal>) -> Self {
        let mut failure = Self::new(Status::Refused, format!("`{target}` is not provably a staging database"));
        failure.refusals = refusals;
        failure
    }

    /// Replaces the kind's own sentence by one that fits better.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same under another kind, for a caller to whom it means something else.
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    pub fn caused_by(mut self, error: impl Into<anyhow::Error>) -> Self {
        self.causes.push(Arc::new(error.into()));
        self
    }

    pub fn because(self, cause: impl Into<String>) -> Self {
        self.caused_by(anyhow::Error::msg(cause.into()))
    }

    pub fn because_all(self, causes: impl IntoIterator<Item = String>) -> Self {
        causes.into_iter().fold(self, Failure::because)
    }

    /// Adds what another failure says: what that one failed at, why, and what is so now.
    pub fn because_of(mut self, other: Failure) -> Self {
        self = self.because(other.message);
        self.causes.extend(other.causes);
        self.notes.extend(other.notes);
        self
    }

    /// The sentences behind `caused by:`, down to the root of each.
    pub fn causes(&self) -> impl Iterator<Item = String> {
        self.causes.iter().flat_map(|cause| cause.chain()).map(ToString::to_string)
    }

    /// All that is known, a line each.
    pub fn in_full(&self) -> String {
        let causes = self.causes().map(|cause| format!("\ncaused by: {cause}"));
        let notes = self.notes.iter().map(|note| format!("\nnote: {note}"));
        format!("{}: {}{}", self.status.word(), self.message, causes.chain(notes).collect::<String>())
    }

    pub fn note(mut self, fact: impl Into<String>) -> Self {
        self.notes.push(fact.into());
        self
    }

    /// A known cause, with what varies in its fix.
    pub fn known(self, cause: &Cause, values: &[(&str, &str)]) -> Self {
        self.hint(cause.hint(values))
    }

    /// Names the migration whose script it is about, and the line where that is known.
    pub fn at(mut self, migration: &str, script: &Text, line: Option<usize>) -> Self {
        let (migration, excerpt) = (migration.to_owned(), Excerpt::of(script, line));
        self.place = Some(Box::new(Place { migration, line, excerpt }));
        self
    }

    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hint = Some(Box::new(hint.into()));
        self
    }
}

/// Makes another crate's error the cause of a failure of ours.
pub trait OrFail<T>: Sized {
    /// As `failure` says it.
    fn or_fail(self, failure: impl FnOnce() -> Failure) -> Result<T>;

    fn failed<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.or_fail(|| Failure::failed(message()))
    }

    fn blocked<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.or_fail(|| Failure::blocked(message()))
    }

    /// What cannot happen, so that a fixed sentence is enough.
    fn bug(self, message: &'static str) -> Result<T> {
        self.or_fail(|| Failure::bug(message))
    }
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, failure: impl FnOnce() -> Failure) -> Result<T> {
        self.map_err(|error| failure().caused_by(error))
    }
}

/// What `work` returns. A panic in it is a bug of ours, and becomes a failure that is told and recorded like any other.
pub fn guarded<T>(broke: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failure::bug(broke).hint("please report this, with the line above that names the place"))
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_what_stands_around_a_line_and_no_more() {
        let script: String = (1..=60).map(|number| format!("line {number}\n")).collect();
        let lines = |line| {
            let Excerpt { from, text } = Excerpt::of(&script.as_str().into(), line);
            (from, text.lines().count(), text.lines().next().map(str::to_owned))
        };
        assert_eq!(lines(None), (1, 24, Some("line 1".to_owned())));
        assert_eq!(lines(Some(3)), (1, 24, Some("line 1".to_owned())));
        assert_eq!(lines(Some(50)), (42, 19, Some("line 42".to_owned())));
        assert_eq!(lines(Some(900)), (892, 0, None));
        assert_eq!(Excerpt::of(&"é".repeat(500).into(), Some(1)).text, format!("{} …", "é".repeat(400)));
    }
}
