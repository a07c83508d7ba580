//! Whether the role behind the service key can write the mirror, tried and taken back.

use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::guard::StagingTarget;
use crate::postgres::connection::{Connection, CouldNot};

/// The role that Supabase's API takes for a service key.
pub const SERVICE_ROLE: &str = "service_role";

/// What came of the trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// The row was written, read back, and rolled back.
    Writes,
    /// A plain Postgres: there is no such role to try.
    NoSuchRole,
}

/// Writes a fact into `schema.facts` as the service role, reads it back, and rolls both back.
///
/// # Errors
/// `failed` with the server's words when the role may not, or row security hides the row.
pub fn try_to_write(connection: &mut Connection, _: &StagingTarget, schema: &str) -> Result<Trial> {
    let intent = "write to the mirror as the service role";
    let client = connection.client();
    let known = client
        .query_one("select exists (select from pg_catalog.pg_roles where rolname = $1)", &[&SERVICE_ROLE])
        .could_not(intent)?;
    if !known.get::<_, bool>(0) {
        return Ok(Trial::NoSuchRole);
    }
    let facts = format!("{}.facts", escape_identifier(schema));
    // Dropped without a commit: nothing of it stays, whatever comes.
    let mut trial = client.transaction().could_not(intent)?;
    trial.batch_execute(&format!("set local role {SERVICE_ROLE}")).could_not(intent)?;
    let insert = format!(
        "insert into {facts} (project, topic, key, value) values ('drill', 'drill', 'drill', '{{}}') returning id::text"
    );
    let id: String = trial.query_one(&insert, &[]).could_not(intent)?.get(0);
    let read = format!("select pg_catalog.count(*) from {facts} where id::text = $1");
    let seen: i64 = trial.query_one(&read, &[&id]).could_not(intent)?.get(0);
    trial.rollback().could_not(intent)?;
    match seen {
        1 => Ok(Trial::Writes),
        _ => Err(Failure::failed("the service role wrote a fact and could not read it back")
            .hint("row security hides it: see the policies in the mirror's script")),
    }
}
