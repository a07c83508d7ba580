//! Whether a table is still the one that was there: dropped and made again, it has another OID, and every row in it is new.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};

/// OIDs of the tables of `schema`, by name.
pub fn oids(connection: &mut Connection, schema: &str) -> Result<BTreeMap<String, u32>> {
    const OIDS: &str = "
        select c.relname::text, c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relkind in ('r', 'p', 'f')";
    connection.read(|transaction| {
        let rows = transaction.query(OIDS, &[&schema]).could_not("list the tables")?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    })
}
