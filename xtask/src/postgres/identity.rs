//! Who the server says it is: asked over the connection that will be used, because a URL proves nothing.

use std::net::SocketAddr;

use serde::Serialize;

use crate::causes::rights;
use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot};

/// The server's own words about itself and the database we are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    pub database: String,
    pub database_oid: u32,
    pub user: String,
    /// As in `server_version_num`: 170010 is 17.10.
    pub version_number: i32,
    pub version: String,
    /// Of the cluster; a physical clone keeps it. None where the role may not ask. Text, since it exceeds what JSON
    /// readers hold exactly.
    pub system_identifier: Option<String>,
    /// A replica: it can be read, and nothing that is done to it lasts.
    pub in_recovery: bool,
    /// For information only: None on a unix socket, and behind a pooler the address of the backend.
    pub server_address: Option<String>,
    pub server_port: Option<i32>,
    pub may_create_databases: bool,
    pub size_bytes: i64,
    /// What the pin dials; None where there is no pin. Not the server's word, but a dump does not carry it.
    #[serde(skip)]
    pub address: Option<SocketAddr>,
}

/// The oldest major version that its makers still mended when this was written, in 2025.
const OLDEST: i32 = 14;

impl Identity {
    /// 17 for 17.10.
    pub fn major_version(&self) -> i32 {
        self.version_number / 10_000
    }

    /// # Errors
    /// `blocked` on a server that is older than what the drill's questions were written for.
    pub fn check_version(&self) -> Result<()> {
        if self.major_version() >= OLDEST {
            return Ok(());
        }
        Err(Failure::blocked(format!("Postgres {} is not supported: {OLDEST} is the oldest that is", self.version))
            .known(&rights::SERVER_TOO_OLD, &[]))
    }
}

const IDENTITY: &str = "
    select pg_catalog.current_database()::text, d.oid, current_user::text,
           pg_catalog.current_setting('server_version_num')::int4, pg_catalog.current_setting('server_version'),
           pg_catalog.pg_is_in_recovery(), pg_catalog.host(pg_catalog.inet_server_addr()),
           pg_catalog.inet_server_port(),
           r.rolcreatedb or r.rolsuper, pg_catalog.pg_database_size(d.oid),
           pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
      from pg_catalog.pg_database d, pg_catalog.pg_roles r
     where d.datname = pg_catalog.current_database() and r.rolname = current_user";

const SYSTEM_IDENTIFIER: &str = "select system_identifier::text from pg_catalog.pg_control_system()";

/// Asks the server who it is; a few milliseconds.
pub fn identity(connection: &mut Connection) -> Result<Identity> {
    connection.read(|transaction| {
        let intent = "ask the server who it is";
        let row = transaction.query_one(IDENTITY, &[]).could_not(intent)?;
        let system_identifier = match row.get(10) {
            true => Some(transaction.query_one(SYSTEM_IDENTIFIER, &[]).could_not(intent)?.get(0)),
            false => None,
        };
        Ok(Identity {
            database: row.get(0),
            database_oid: row.get(1),
            user: row.get(2),
            version_number: row.get(3),
            version: row.get(4),
            system_identifier,
            in_recovery: row.get(5),
            server_address: row.get(6),
            server_port: row.get(7),
            may_create_databases: row.get(8),
            size_bytes: row.get(9),
            address: None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::{Database, open_as};

    #[test]
    fn the_server_says_who_it_is() {
        let mut database = Database::new();
        let identity = identity(&mut database.connection).unwrap();
        assert_eq!(identity.database, database.name);
        assert_eq!(identity.user, "postgres");
        assert_eq!(identity.major_version(), 17);
        assert_eq!(
            identity.database_oid,
            database.ask::<u32>("select oid from pg_database where datname = current_database()")
        );
        assert!(identity.system_identifier.unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(identity.server_address.as_deref(), Some("127.0.0.1"));
        assert!(identity.may_create_databases && !identity.in_recovery && identity.size_bytes > 0);
    }

    #[test]
    fn a_role_that_may_not_ask_for_the_system_identifier_gets_the_rest() {
        let mut database = Database::new();
        database.run("revoke execute on function pg_control_system() from public");
        let identity = identity(&mut open_as("clerk", &database.name)).unwrap();
        assert_eq!(identity.system_identifier, None);
        assert_eq!(identity.user, "clerk");
        assert!(!identity.may_create_databases);
    }

    #[test]
    fn what_is_older_than_postgres_14_is_refused_in_a_line() {
        let mut database = Database::new();
        let mut identity = identity(&mut database.connection).unwrap();
        identity.check_version().unwrap();
        (identity.version_number, identity.version) = (130_022, "13.22".to_owned());
        let refused = identity.check_version().unwrap_err();
        assert_eq!(refused.message, "Postgres 13.22 is not supported: 14 is the oldest that is");
        identity.version_number = 140_000;
        identity.check_version().unwrap();
    }
}
