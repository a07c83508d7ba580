//! Why the rows of a pair were not compared, where their counts were: nothing that was not compared passes for equal.

use std::fmt;
use std::time::Duration;

use postgres::error::SqlState;

/// The rest of a sentence that begins with the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCompared {
    /// It was asked, and there was no answer.
    Failed(String),
    /// There is nothing that could be asked.
    NotAsked(String),
}

impl NotCompared {
    /// What a server says of a value holds the value: its code alone is told. A connection that is gone is no answer at all.
    ///
    /// # Errors
    /// The connection's.
    pub fn or_lost<T>(
        answer: Result<T, postgres::Error>,
        limit: Duration,
    ) -> Result<Result<T, NotCompared>, postgres::Error> {
        let error = match answer {
            Ok(found) => return Ok(Ok(found)),
            Err(error) => error,
        };
        let Some(code) = error.code() else { return Err(error) };
        let code_alone = code.code();
        let why = match *code {
            SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => return Err(error),
            SqlState::QUERY_CANCELED => format!(
                "comparing them took longer than {} s; set `query` under `[timeouts]` in drill.toml to more",
                limit.as_secs()
            ),
            _ if code_alone.starts_with("22") => format!(
                "a value cannot be read as the type that both sides are compared in (SQLSTATE {code_alone}); leave its column out of `rows`"
            ),
            _ if code_alone.starts_with("53") || code_alone.starts_with("54") => {
                format!("the server has no room for it (SQLSTATE {code_alone})")
            }
            _ => format!("the server refused (SQLSTATE {code_alone})"),
        };
        Ok(Err(NotCompared::Failed(why)))
    }
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (NotCompared::Failed(why) | NotCompared::NotAsked(why)) = self;
        f.write_str(why)
    }
}
