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
    /// A database that is dropped and made again has another one, whatever its name.
    pub database_oid: u32,
    /// Of the cluster, from its control file; `None` where the role may not read it.
    pub system_identifier: Option<String>,
    /// What else every role may ask a server about itself, where the system identifier may not be read: when it started, to the
    /// microsecond, which version it is, and which role this is to it. A restart changes it, and cannot be told from another server then.
    pub marks: Option<String>,
}

impl Identity {
    /// Whether `found` is the server, and in `database` the database, that was verified. Another database of this run has an OID of its own.
    pub fn vouches_for(&self, found: &Identity, database: &str) -> bool {
        found.database == database
            && (database != self.database || found.database_oid == self.database_oid)
            && found.system_identifier == self.system_identifier
            && found.marks == self.marks
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database \"{}\" (oid {}) of ", self.database, self.database_oid)?;
        match (&self.system_identifier, &self.marks) {
            (Some(identifier), _) => write!(f, "system {identifier}"),
            (None, marks) => write!(f, "a system that may not be named ({})", marks.as_deref().unwrap_or("unknown")),
        }
    }
}

/// Who answered, and which of its backends serves the session.
pub struct Answer {
    pub identity: Identity,
    pub backend_pid: i32,
}

/// Every name is qualified: a `search_path` of the role may put lookalikes first.
/// The limit that a role may have on its statements is not meant for this one; it is as it was when the request ends.
pub const FULL: &str = "SET LOCAL statement_timeout = 0; \
    SELECT d.datname, pg_catalog.pg_backend_pid(), d.oid, NULL, \
    (SELECT system_identifier FROM pg_catalog.pg_control_system()) \
    FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
/// Where the control file may not be read.
pub const WITHOUT_CLUSTER: &str = "SET LOCAL statement_timeout = 0; \
    SELECT d.datname, pg_catalog.pg_backend_pid(), d.oid, pg_catalog.concat('started ', \
    (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000)::pg_catalog.int8, ', version ', \
    pg_catalog.current_setting('server_version'), ', role ', r.oid) \
    FROM pg_catalog.pg_database d, pg_catalog.pg_roles r \
    WHERE d.datname = pg_catalog.current_database() AND r.rolname = session_user";

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
    let database_oid = text(2).and_then(|oid| oid.parse().ok()).ok_or_else(malformed)?;
    let identity = Identity { database, database_oid, marks: text(3), system_identifier: text(4) };
    Ok(Answer { identity, backend_pid })
}
