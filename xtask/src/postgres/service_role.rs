//! Whether the role behind the service key can write the mirror, tried and taken back.

use postgres::Transaction;
use postgres::error::SqlState;
use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::guard::StagingTarget;
use crate::hint::Hint;
use crate::postgres::connection::{Connection, CouldNot, failure};

/// The role that Supabase's API takes for a service key.
pub const SERVICE_ROLE: &str = "service_role";

/// Of the rows that are tried: one whose values are hardly taken, and one that is small enough for every type.
const NUMBERS: [u32; 2] = [29_989, 1];

/// What came of the trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// The row was written, read back, and rolled back.
    Writes,
    /// A plain Postgres: there is no such role to try.
    NoSuchRole,
}

/// Writes a row into `table`, in the first of `ways` that it takes, as the service role, reads it back, and rolls both back. A way is an
/// INSERT that lacks where its number `n` comes from.
///
/// # Errors
/// `failed` with the server's words when the role may not, when no way makes a row, or when row security hides it.
pub fn try_to_write(
    connection: &mut Connection,
    target: &StagingTarget,
    table: &str,
    ways: &[String],
) -> Result<Trial> {
    let intent = format!("write to {table} as the service role");
    let client = connection.client();
    let known = client
        .query_one("select exists (select from pg_catalog.pg_roles where rolname = $1)", &[&SERVICE_ROLE])
        .could_not(&intent)?;
    if !known.get::<_, bool>(0) {
        return Ok(Trial::NoSuchRole);
    }
    // Dropped without a commit: nothing of it stays, whatever comes.
    let mut trial = client.transaction().could_not(&intent)?;
    trial
        .batch_execute(&format!("set local role {SERVICE_ROLE}"))
        .map_err(|error| no_member(&intent, target, error))?;
    let (relation, place) = insert(&mut trial, ways, &intent)?;
    let read = format!("select pg_catalog.count(*) from {table} where ctid = $1::text::tid and tableoid = $2");
    let seen: i64 = trial.query_one(&read, &[&place, &relation]).could_not(&intent)?.get(0);
    trial.rollback().could_not(&intent)?;
    match seen {
        1 => Ok(Trial::Writes),
        _ => Err(Failure::failed(format!("the service role wrote a row to {table} and could not read it back"))
            .hint("row security hides it: see the policies in the mirror's script")),
    }
}

/// Whoever is no member of the role cannot act as it, whatever the role itself may do.
fn no_member(intent: &str, target: &StagingTarget, error: postgres::Error) -> Failure {
    let is_denied = error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
    let failure = failure(intent, error);
    match is_denied {
        true => failure.hint(Hint::sql(format!("grant {SERVICE_ROLE} to {}", escape_identifier(&target.dsn().user)))),
        false => failure,
    }
}

/// Where the row is. What the server says to the best way is what it says at the end, if none goes.
fn insert(trial: &mut Transaction<'_>, ways: &[String], intent: &str) -> Result<(u32, String)> {
    let mut first = None;
    for (way, number) in ways.iter().flat_map(|way| NUMBERS.map(|number| (way, number))) {
        let sql =
            format!("{way} pg_catalog.generate_series({number}, {number}) made (n) returning tableoid, ctid::text");
        let mut attempt = trial.transaction().could_not(intent)?;
        match attempt.query_one(&sql, &[]) {
            Ok(row) => return attempt.commit().could_not(intent).map(|()| (row.get(0), row.get(1))),
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    let error = first.ok_or_else(|| Failure::bug("no way to make a row was given"))?;
    Err(error).could_not(intent)
}
