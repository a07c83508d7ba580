//! The catalog: everything the server knows about some schemas, in a canonical form that two databases can be compared
//! by.
//!
//! Each kind of object has a query of its own in this folder; all answer with the same columns and run in one snapshot.
//! Names come out qualified and definitions canonical because the connection's settings make the server print them so.
//! What is looked at and what is not, and why, is in `scope`. Of each:
//!
//! - no OIDs, sizes, nor the current value of sequences: they differ between equal schemas;
//! - not `_prisma_migrations`, the schema of the claim, and what extensions own: it is not the migrations' work;
//! - of the partitions' shares of indexes, constraints and triggers only what is unlike their parents'.
//!
//! An owner or grantee that is the connecting role is written `<migrating role>`: who migrates may have another name on
//! another server, and an object with another owner should stand out. The owner's own privileges are noted
//! only where they are not the default.
//!
//! Postgres 14 and later. What a line of a query names that came later bears `-- since 15`, and is left out before.

mod difference;
#[cfg(test)]
mod drift_tests;
mod grants;
mod object;
mod questions;
mod scope;
#[cfg(test)]
mod server_columns;
#[cfg(test)]
mod tests;
mod told;
mod word;
mod wording;

use std::collections::BTreeMap;

use postgres::Transaction;

pub use difference::{Change, Concern, Difference, SETTINGS, diff};
pub use object::{Catalog, Object, ObjectKey, quoted};
pub use questions::{Identities, Looker};
pub use scope::KINDS;

use crate::error::Result;
use crate::postgres::connection::Connection;

pub use object::CATALOG_VERSION;

use questions::Questions;
use told::Address;

/// Of an object: what it is, and its text.
type Annotations = BTreeMap<Address, Vec<(String, String)>>;

/// Reads the catalog of `schemas`: one snapshot, some twenty catalog queries, 20 to 30 ms for 100 tables.
pub fn catalog(connection: &mut Connection, schemas: &[&str]) -> Result<Catalog> {
    connection.read(|transaction| catalog_in(transaction, schemas))
}

/// As `catalog`, in a transaction that reads other things too.
pub fn catalog_in(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Catalog> {
    Questions::prepare(transaction)?.ask(transaction, schemas)
}

/// `sql` without what a server of `major` does not know.
fn of_major(sql: &str, major: i32) -> String {
    let known = |line: &&str| {
        let since = line.rsplit_once("-- since ").and_then(|(_, since)| since.parse().ok());
        since.is_none_or(|since: i32| since <= major)
    };
    sql.lines().filter(known).collect::<Vec<_>>().join("\n")
}
