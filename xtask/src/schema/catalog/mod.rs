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
mod scope;
#[cfg(test)]
mod tests;
mod wording;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use postgres::Transaction;

pub use difference::{Change, Concern, Difference, SETTINGS, diff};
pub use object::{Catalog, Object, ObjectKey, quoted};
pub use scope::KINDS;

use crate::error::Result;
use crate::postgres::claim::CLAIM_SCHEMA;
use crate::postgres::connection::{Connection, CouldNot};

pub use object::CATALOG_VERSION;

const OBJECTS: [(&str, &str); 17] = [
    ("schemas", include_str!("schemas.sql")),
    ("relations", include_str!("relations.sql")),
    ("columns", include_str!("columns.sql")),
    ("sequences", include_str!("sequences.sql")),
    ("constraints", include_str!("constraints.sql")),
    ("indexes", include_str!("indexes.sql")),
    ("types", include_str!("types.sql")),
    ("routines", include_str!("routines.sql")),
    ("triggers", include_str!("triggers.sql")),
    ("policies", include_str!("policies.sql")),
    ("rules", include_str!("rules.sql")),
    ("statistics", include_str!("statistics.sql")),
    ("extensions", include_str!("extensions.sql")),
    ("default privileges", include_str!("default_privileges.sql")),
    ("rare kinds", include_str!("others.sql")),
    ("database-wide objects", include_str!("database_wide.sql")),
    ("settings", include_str!("settings.sql")),
];
const ANNOTATIONS: &str = include_str!("annotations.sql");
const IMPLIED: &str = include_str!("implied.sql");

/// Reads the catalog of `schemas`: one snapshot, some twenty catalog queries, 20 to 30 ms for 100 tables.
pub fn catalog(connection: &mut Connection, schemas: &[&str]) -> Result<Catalog> {
    connection.read(|transaction| catalog_in(transaction, schemas))
}

/// As `catalog`, in a transaction that reads other things too.
pub fn catalog_in(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Catalog> {
    let schemas: BTreeSet<&str> = schemas.iter().copied().filter(|schema| *schema != CLAIM_SCHEMA).collect();
    let schemas: Vec<&str> = schemas.into_iter().collect();
    const SERVER: &str =
        "select current_user::text, pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000";
    let server = query(transaction, SERVER, &[])?;
    let (role, major): (String, i32) = (server[0].get(0), server[0].get(1));
    let implied = implied(transaction)?;
    let annotations = annotations(transaction)?;
    let mut found = HashMap::new();
    for (what, sql) in OBJECTS {
        let rows =
            transaction.query(&of_major(sql, major), &[&schemas]).could_not(&format!("read the catalog's {what}"))?;
        for row in rows.iter().filter(|row| !implied.contains(row.get::<_, &str>(3))) {
            let (address, object) = read_object(row, &role, &annotations);
            found.insert(address, object);
        }
    }
    let schemas = schemas.iter().map(|schema| (*schema).to_owned()).collect();
    Ok(Catalog { schemas, objects: resolve(found), major })
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
    let paths: HashMap<String, Vec<String>> =
        found.iter().map(|(address, object)| (address.clone(), object.key.path.clone())).collect();
    let object = |found: Found| {
        let follows =
            found.container.iter().chain(&found.follows).filter_map(|address| paths.get(address).cloned()).collect();
        (found.key, Object { properties: found.properties, follows })
    };
    found.into_values().map(object).collect()
}

fn implied(transaction: &mut Transaction<'_>) -> Result<BTreeSet<String>> {
    let rows = query(transaction, IMPLIED, &[])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// By address: what it is, and its text.
type Annotations = HashMap<String, Vec<(String, String)>>;

fn annotations(transaction: &mut Transaction<'_>) -> Result<Annotations> {
    let mut annotations = Annotations::new();
    for row in query(transaction, ANNOTATIONS, &[])? {
        annotations.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
    }
    Ok(annotations)
}

/// `sql` without what a server of `major` does not know.
fn of_major(sql: &str, major: i32) -> String {
    let known = |line: &&str| {
        let since = line.rsplit_once("-- since ").and_then(|(_, since)| since.parse().ok());
        since.is_none_or(|since: i32| since <= major)
    };
    sql.lines().filter(known).collect::<Vec<_>>().join("\n")
}

fn query(
    transaction: &mut Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn postgres::types::ToSql + Sync)],
) -> Result<Vec<postgres::Row>> {
    transaction.query(sql, parameters).could_not("read the catalog")
}
