//! Materialized views hold rows of their own, which are not in a snapshot: after a restore they show what they did before.

use postgres::Transaction;

use crate::error::Result;
use crate::postgres::connection::CouldNot;
use crate::rows::snapshot::manifest::Table;

const STALE: &str = "
    with recursive above(oid) as (
      select c.oid from unnest($1::text[], $2::text[]) as t(schema, name)
        join pg_catalog.pg_namespace n on n.nspname = t.schema join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.name
      union
      select r.ev_class from above
        join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = above.oid
                                   and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        join pg_catalog.pg_rewrite r on r.oid = d.objid)
    select c.oid::pg_catalog.regclass::text from above join pg_catalog.pg_class c on c.oid = above.oid
     where c.relkind = 'm' and c.relispopulated order by 1";

/// Those that are made of `tables`, whatever views lie between, in SQL's own words.
///
/// # Errors
/// `failed` with the server's words.
pub fn stale_views(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<Vec<String>> {
    let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let rows = transaction.query(STALE, &[&schemas, &names]).could_not("list the materialized views")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
