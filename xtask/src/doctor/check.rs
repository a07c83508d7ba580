//! One row of the answer: what was looked at, what is so, and what to do where that is not well.

use serde_json::{Value, json};

use crate::causes::Cause;
use crate::error::{Failure, Refusal, Status};
use crate::hint::{Aim, Hint};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    Ok,
    /// Not looked at, since something else is in the way or there is nothing to look at.
    Skipped,
    /// Works, and may not for long, or not for everything.
    Warn,
    Fail,
}

impl Mark {
    pub fn word(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Skipped => "skipped",
            Mark::Warn => "warn",
            Mark::Fail => "fail",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Check {
    pub name: &'static str,
    pub mark: Mark,
    /// One line.
    pub message: String,
    pub hint: Option<Hint>,
    /// What a run that meets it ends with.
    pub status: Status,
}

impl Check {
    fn new(name: &'static str, mark: Mark, message: impl Into<String>) -> Check {
        Check { name, mark, message: message.into(), hint: None, status: Status::Ok }
    }

    pub fn ok(name: &'static str, message: impl Into<String>) -> Check {
        Check::new(name, Mark::Ok, message)
    }

    pub fn skipped(name: &'static str, message: impl Into<String>) -> Check {
        Check::new(name, Mark::Skipped, message)
    }

    pub fn warn(name: &'static str, message: impl Into<String>, hint: Hint) -> Check {
        Check { hint: Some(hint), ..Check::new(name, Mark::Warn, message) }
    }

    pub fn fail(name: &'static str, message: impl Into<String>, hint: Hint) -> Check {
        Check { hint: Some(hint), status: Status::Blocked, ..Check::new(name, Mark::Fail, message) }
    }

    /// What a stage would fail with; `cause` names it where the failure itself does not.
    pub fn of_failure(name: &'static str, failure: &Failure, cause: Option<&'static Cause>) -> Check {
        let causes = failure.causes().map(|cause| format!(": {cause}"));
        let message = failure.message.clone() + &causes.collect::<String>();
        let hint = failure.hint.as_deref().cloned();
        let hint = match (hint, cause) {
            (Some(hint), Some(cause)) if hint.page().is_none() => Some(hint.see(cause.name)),
            (None, Some(cause)) => Some(cause.hint(&[])),
            (hint, _) => hint,
        };
        Check { hint, status: failure.status, ..Check::new(name, Mark::Fail, message) }
    }

    /// What the guard refuses, by its own words.
    pub fn of_refusal(name: &'static str, refusal: &Refusal) -> Check {
        let cause = crate::causes::of_code(&format!("guard: {}", refusal.check));
        let hint = Hint::from(refusal.hint.clone());
        let hint = cause.map_or(hint.clone(), |cause| hint.see(cause.name));
        Check { hint: Some(hint), status: Status::Refused, ..Check::new(name, Mark::Fail, refusal.message.clone()) }
    }

    pub fn status(self, status: Status) -> Check {
        Check { status, ..self }
    }

    /// As in `checks` of `--json`.
    pub fn to_json(&self, aim: &Aim) -> Value {
        json!({
            "name": self.name,
            "status": self.mark.word(),
            "message": self.message,
            "hint": self.hint.as_ref().map(|hint| hint.line(aim)),
            "hint_command": self.hint.as_ref().and_then(|hint| hint.command(aim)),
            "cause": self.hint.as_ref().and_then(Hint::page),
        })
    }
}
