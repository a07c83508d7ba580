//! What a new sandbox is born with: its user, its database, the roles that Supabase's SQL names, and the claim.
//!
//! A writer that asks for no `StagingTarget`: the server was created a moment ago, by us, and holds nothing.

use postgres_protocol::escape::escape_identifier;

use crate::error::Result;
use crate::postgres::claim;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::identity::identity;

/// The roles of a hosted Supabase database that a mirror's grants and policies name; none of them can log in.
const SUPABASE_ROLES: &str = "
    create role anon nologin;
    create role authenticated nologin;
    create role service_role nologin bypassrls;";

/// Creates the roles and the database; `server` is a superuser's session.
pub fn create(server: &mut Connection, user: &str, database: &str) -> Result<()> {
    let (user, database) = (escape_identifier(user), escape_identifier(database));
    let roles = format!(
        "{SUPABASE_ROLES} create role {user} login createdb createrole; grant anon, authenticated, service_role to {user};"
    );
    let intent = "prepare the sandbox";
    server.client().batch_execute(&roles).could_not(intent)?;
    // Not in the same request: CREATE DATABASE refuses to run in a transaction.
    server.client().batch_execute(&format!("create database {database} owner {user}")).could_not(intent)
}

/// Claims the database as disposable; `connection` is a superuser's session in it. The claim is the user's own: who puts a copy of the database in
/// its place writes it anew.
pub fn claim_it(connection: &mut Connection, user: &str) -> Result<()> {
    let identity = identity(connection)?;
    claim::mark(connection, &identity, None, "staging drill", "the sandbox, from birth")?;
    let user = escape_identifier(user);
    let own = format!("alter schema staging_drill owner to {user}; alter table staging_drill.claim owner to {user}");
    connection.client().batch_execute(&own).could_not("give the claim to the sandbox's user")
}
