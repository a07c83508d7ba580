//! What the database knows about the REST API in front of it: whether its role sees every row, and the one word that
//! the API listens to.

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::service_role::SERVICE_ROLE;

/// Whether row security can keep rows of the table from the role behind a service key: it is on, the role does not
/// bypass it, and no policy lets the role see every row. On a hosted project the role bypasses it.
///
/// # Errors
/// `failed` with the server's words.
pub fn hides_rows(connection: &mut Connection, schema: &str, table: &str) -> Result<bool> {
    const SQL: &str = "
        select c.relrowsecurity and not r.rolbypassrls and not r.rolsuper and not exists (
                 select from pg_catalog.pg_policy p
                  where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*')
                    and (p.polroles && array[r.oid, 0::oid])
                    and pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true')
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          join pg_catalog.pg_roles r on r.rolname = $3
         where n.nspname = $1 and c.relname = $2";
    let intent = "look at the mirror's row security";
    let row = connection
        .read(|transaction| transaction.query_opt(SQL, &[&schema, &table, &SERVICE_ROLE]).could_not(intent))?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// Asks PostgREST to look at the schema again ("Schema Cache Reloading"). It changes no data, and Postgres allows it in
/// a read-only transaction.
///
/// # Errors
/// `failed` with the server's words, as on a replica.
pub fn reload_schema(connection: &mut Connection) -> Result<()> {
    let intent = "notify PostgREST";
    connection.client().batch_execute("notify pgrst, 'reload schema'").could_not(intent)
}
