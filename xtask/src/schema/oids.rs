//! Whether a table is still the one that was there: dropped and made again, it has another OID, and every row in it is new.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};

/// OIDs of the tables of `schemas`, by `schema.table`.
pub fn oids(connection: &mut Connection, schemas: &[&str]) -> Result<BTreeMap<String, u32>> {
    const OIDS: &str = "
        select n.nspname || '.' || c.relname, c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = any($1) and c.relkind in ('r', 'p', 'f')";
    connection.read(|transaction| {
        let rows = transaction.query(OIDS, &[&schemas]).could_not("list the tables")?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    })
}
