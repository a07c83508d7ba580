//! Who the server is: asked at the first login and on every connection after it.

use std::fmt;
use std::ops::Range;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;

use crate::error::Attempt;
use crate::login::{LoginFailure, Session, next};
use crate::wire;

/// What the server says it is, asked on every connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub database: String,
    /// Of the cluster, from its control file; `None` where the role may not read it.
    pub system_identifier: Option<String>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = self.system_identifier.as_deref().unwrap_or("unknown");
        write!(f, "database \"{}\" of system {cluster}", self.database)
    }
}

/// Who answered, and which of its backends serves the session.
pub struct Answer {
    pub identity: Identity,
    pub backend_pid: i32,
}

/// Every name is qualified: a `search_path` of the role may put lookalikes first.
pub const FULL: &str = "SELECT pg_catalog.current_database(), pg_catalog.pg_backend_pid(), \
    (SELECT system_identifier FROM pg_catalog.pg_control_system())";
/// Where the control file may not be read.
pub const WITHOUT_CLUSTER: &str = "SELECT pg_catalog.current_database(), pg_catalog.pg_backend_pid()";

/// Asks `query`. What the server says beside the answer joins the greeting.
pub async fn ask(session: &mut Session, attempt: &Attempt<'_>, query: &str) -> Result<Answer, LoginFailure> {
    let mut message = BytesMut::new();
    frontend::query(query, &mut message)?;
    session.stream.write_all(&message).await?;
    session.stream.flush().await?;
    let (mut answer, mut refusal) = (None, None);
    loop {
        match next(&mut session.stream, &mut session.greeting, attempt).await {
            Ok(Message::DataRow(row)) => answer = Some(read_answer(&row)?),
            Ok(Message::ReadyForQuery(_)) => break,
            Ok(Message::RowDescription(_) | Message::CommandComplete(_)) => {}
            Ok(_) => return Err(wire::malformed("an unexpected answer to the identity query").into()),
            // A refused query is followed by ReadyForQuery; a lost connection is not.
            Err(failure) if failure.response.is_some() && refusal.is_none() => refusal = Some(failure),
            Err(failure) => return Err(refusal.unwrap_or(failure)),
        }
    }
    match refusal {
        Some(refusal) => Err(refusal),
        None => answer.ok_or_else(|| wire::malformed("no answer to the identity query").into()),
    }
}

fn read_answer(row: &DataRowBody) -> Result<Answer, LoginFailure> {
    let columns: Vec<Option<Range<usize>>> = row.ranges().collect()?;
    let text = |index: usize| {
        let bytes = row.buffer().get(columns.get(index)?.clone()?)?;
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    };
    let malformed = || wire::malformed("an answer to the identity query that cannot be read");
    let database = text(0).ok_or_else(malformed)?;
    let backend_pid = text(1).and_then(|pid| pid.parse().ok()).ok_or_else(malformed)?;
    Ok(Answer { identity: Identity { database, system_identifier: text(2) }, backend_pid })
}
