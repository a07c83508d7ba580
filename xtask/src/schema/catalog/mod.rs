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
mod wording;

use std::collections::{BTreeMap, HashMap, HashSet};

use postgres::Transaction;

pub use difference::{Change, Concern, Difference, SETTINGS, diff};
pub use object::{Catalog, Object, ObjectKey, quoted};
pub use questions::{Identities, Looker};
pub use scope::KINDS;

use crate::error::Result;
use crate::postgres::connection::Connection;

pub use object::CATALOG_VERSION;

use questions::Questions;

/// By address: what it is, and its text.
type Annotations = HashMap<String, Vec<(String, String)>>;

/// Reads the catalog of `schemas`: one snapshot, some twenty catalog queries, 20 to 30 ms for 100 tables.
pub fn catalog(connection: &mut Connection, schemas: &[&str]) -> Result<Catalog> {
    connection.read(|transaction| catalog_in(transaction, schemas))
}

/// As `catalog`, in a transaction that reads other things too.
pub fn catalog_in(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Catalog> {
    Questions::prepare(transaction)?.ask(transaction, schemas)
}

/// An object whose relations to others are still addresses: catalog, OID and column number, which mean nothing outside
/// of the snapshot.
struct Found {
    key: ObjectKey,
    properties: BTreeMap<String, String>,
    container: Option<String>,
    follows: Vec<String>,
}

fn read_object(row: &postgres::Row, role: &str, annotations: &Annotations) -> (String, Found) {
    let address: String = row.get(3);
    let owner: Option<String> = row.get(6);
    let mut properties = properties(&row.get::<_, Vec<Option<&str>>>(9));
    properties.extend(grants::access(&row.get::<_, Vec<&str>>(7), &row.get::<_, Vec<&str>>(8), owner.as_deref(), role));
    properties.extend(owner.map(|owner| ("owner".to_owned(), grants::role_name(&owner, role))));
    properties.extend(annotations.get(&address).into_iter().flatten().cloned());
    let key = ObjectKey { kind: row.get(0), path: row.get(1), signature: row.get(2) };
    (address, Found { key, properties, container: row.get(4), follows: row.get(5) })
}

/// From a list in which names and values take turns. What is NULL or empty is not set.
fn properties(list: &[Option<&str>]) -> BTreeMap<String, String> {
    let set = |pair: &[Option<&str>]| match pair {
        [Some(name), Some(value)] if !value.is_empty() => Some(((*name).to_owned(), (*value).to_owned())),
        _ => None,
    };
    list.chunks(2).filter_map(set).collect()
}

/// Turns addresses into paths. What is inside of something left out (the ledger, an extension's table) is left out with
/// it.
fn resolve(mut found: HashMap<String, Found>) -> BTreeMap<ObjectKey, Object> {
    loop {
        let orphans: Vec<String> = found
            .iter()
            .filter(|(_, object)| object.container.as_ref().is_some_and(|container| !found.contains_key(container)))
            .map(|(address, _)| address.clone())
            .collect();
        if orphans.is_empty() {
            break;
        }
        orphans.iter().for_each(|address| drop(found.remove(address)));
    }
    // Few of all: a table is named by each of its columns.
    let named: HashSet<&String> =
        found.values().flat_map(|object| object.container.iter().chain(&object.follows)).collect();
    let named = found.iter().filter(|(address, _)| named.contains(address));
    let paths: HashMap<String, Vec<String>> =
        named.map(|(address, object)| (address.clone(), object.key.path.clone())).collect();
    let object = |found: Found| {
        let follows =
            found.container.iter().chain(&found.follows).filter_map(|address| paths.get(address).cloned()).collect();
        (found.key, Object { properties: found.properties, follows })
    };
    found.into_values().map(object).collect()
}

/// `sql` without what a server of `major` does not know.
fn of_major(sql: &str, major: i32) -> String {
    let known = |line: &&str| {
        let since = line.rsplit_once("-- since ").and_then(|(_, since)| since.parse().ok());
        since.is_none_or(|since: i32| since <= major)
    };
    sql.lines().filter(known).collect::<Vec<_>>().join("\n")
}
