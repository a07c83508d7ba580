//! How a child ended: a domain word, written unchanged into the evidence.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

use crate::error::Status;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Success,
    Code(i32),
    Signal(i32),
    TimedOut,
    Interrupted(Status),
}

impl Exit {
    pub fn code(self) -> Option<i32> {
        match self {
            Exit::Success => Some(0),
            Exit::Code(code) => Some(code),
            _ => None,
        }
    }

    pub fn in_words(self) -> String {
        match self {
            Exit::Success => "exited 0".to_owned(),
            Exit::Code(code) => format!("exited with code {code}"),
            Exit::Signal(signal) => format!("was killed by signal {signal}"),
            Exit::TimedOut => "did not end in time and was stopped".to_owned(),
            Exit::Interrupted(_) => "was stopped with the run".to_owned(),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Exit::Success,
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_said_in_plain_words() {
        let exits =
            [Exit::Success, Exit::Code(3), Exit::Signal(9), Exit::TimedOut, Exit::Interrupted(Status::Interrupted)];
        assert_eq!(
            exits.map(Exit::in_words),
            [
                "exited 0",
                "exited with code 3",
                "was killed by signal 9",
                "did not end in time and was stopped",
                "was stopped with the run",
            ]
        );
    }
}
