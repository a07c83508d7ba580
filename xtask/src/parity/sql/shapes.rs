//! The catalog's answer about the tables to compare.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Row;

use crate::error::Result;
use crate::parity::shape::{Column, Shape, Shapes, ValueType};
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::counts::{ROW_SECURITY, RowSecurity};

/// What the catalog knows of `tables` of `schema`, those that are there.
///
/// # Errors
/// `failed` with the server's words.
pub fn shapes(connection: &mut Connection, schema: &str, tables: &[&str]) -> Result<Shapes> {
    let sql = format!(
        "select c.relname::text, c.relkind::text, pg_catalog.has_schema_privilege(n.oid, 'usage'),
               {ROW_SECURITY}, a.attname::text, t.typname::text,
               pg_catalog.has_column_privilege(c.oid, a.attnum, 'select'),
               pg_catalog.array_position(i.indkey::int2[], a.attnum),
               b.oid, b.typname::text, b.typnamespace = 'pg_catalog'::pg_catalog.regnamespace, b.typtype = 'e',
               case when t.typtype = 'd' then t.typtypmod else a.atttypmod end,
               a.attcollation, coalesce(o.collisdeterministic, true),
               a.atthasdef or a.attidentity <> ''
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          left join pg_catalog.pg_type t on t.oid = a.atttypid
          left join pg_catalog.pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
          left join pg_catalog.pg_collation o on o.oid = a.attcollation
          left join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
         where n.nspname = $1 and c.relname = any($2) and c.relkind in ('r', 'p', 'v', 'm', 'f')
         order by c.oid, 8 nulls last, a.attnum"
    );
    let intent = "look at the tables to compare";
    let rows = connection.read(|transaction| transaction.query(&sql, &[&schema, &tables]).could_not(intent))?;
    let mut shapes = Shapes::new();
    for row in &rows {
        let shape = shapes.entry(row.get(0)).or_insert_with(|| Shape {
            kind: row.get(1),
            reachable: row.get(2),
            row_security: row.get::<_, Option<&str>>(3).map(RowSecurity::read),
            columns: BTreeMap::new(),
            key: Vec::new(),
            unique: Vec::new(),
        });
        if let Some(name) = row.get::<_, Option<String>>(4) {
            if row.get::<_, Option<i32>>(7).is_some() {
                shape.key.push(name.clone());
            }
            shape.columns.insert(name, column(row));
        }
    }
    for row in connection.read(|transaction| transaction.query(UNIQUE, &[&schema, &tables]).could_not(intent))? {
        if let Some(shape) = shapes.get_mut(row.get::<_, &str>(0)) {
            shape.unique.push(row.get::<_, Vec<String>>(1).into_iter().collect::<BTreeSet<_>>());
        }
    }
    Ok(shapes)
}

/// A partial one, one of expressions and one that is checked late promise nothing about all rows of a moment, nor does any about tables that
/// inherit.
const UNIQUE: &str = "
    select c.relname::text, pg_catalog.array_agg(a.attname::text)
      from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid
           and pg_catalog.array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts
     where n.nspname = $1 and c.relname = any($2) and i.indisunique and i.indisvalid and i.indimmediate
       and i.indpred is null and i.indexprs is null and (c.relkind = 'p' or not c.relhassubclass)
     group by c.relname, i.indexrelid";

fn column(row: &Row) -> Column {
    Column {
        kind: row.get(5),
        readable: row.get(6),
        value: ValueType {
            oid: row.get(8),
            name: row.get(9),
            builtin: row.get(10),
            enumeration: row.get(11),
            modifier: row.get(12),
            collation: row.get(13),
            deterministic: row.get(14),
        },
        filled: row.get(15),
    }
}
