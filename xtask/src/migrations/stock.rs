//! Every table and column of a database by identity, in whatever schema: what a script took away shows in what is missing later.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Transaction;
use postgres::types::Type;

use crate::error::Result;
use crate::postgres::claim::CLAIM_SCHEMA;
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::place::Place;

/// Relation and column number; 0 is the table itself.
pub type Id = (u32, i16);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    place: Place,
    /// Of a column, its type.
    kind: String,
}

#[derive(Debug, Clone, Default)]
pub struct Stock {
    held: BTreeMap<Id, Held>,
    /// Partitions to their root, whose columns and rows theirs are.
    roots: BTreeMap<u32, u32>,
    /// Tables whose rows are their own, and not their partitions'.
    plain: BTreeSet<u32>,
    /// Tables that this role may not read whole.
    closed: BTreeSet<u32>,
    /// Tables with values that may read otherwise though nobody wrote to them: labels of an enum, names of what the catalog knows,
    /// what is computed.
    unsteady: BTreeSet<u32>,
}

impl Stock {
    /// All tables but partitions, each followed by its columns.
    pub fn of_roots(&self) -> impl Iterator<Item = (Id, Place)> {
        let roots = self.held.iter().filter(|((relation, _), _)| !self.roots.contains_key(relation));
        roots.map(|(id, held)| (*id, held.place.clone()))
    }

    /// Partitions too.
    pub fn tables(&self) -> impl Iterator<Item = (u32, &Place)> {
        self.held.iter().filter(|((_, column), _)| *column == 0).map(|((relation, _), held)| (*relation, &held.place))
    }

    pub fn root(&self, relation: u32) -> u32 {
        self.roots.get(&relation).copied().unwrap_or(relation)
    }

    pub fn is_plain(&self, relation: u32) -> bool {
        self.plain.contains(&relation)
    }

    pub fn is_closed(&self, relation: u32) -> bool {
        self.closed.contains(&relation)
    }

    pub fn is_unsteady(&self, relation: u32) -> bool {
        self.unsteady.contains(&relation)
    }

    /// Tables, partitions too, of which no column is unlike `earlier`, by name or by type.
    pub fn unchanged<'a>(&'a self, earlier: &'a Stock) -> BTreeSet<u32> {
        let tables = |stock: &'a Stock| {
            let mut tables: BTreeMap<u32, Vec<(i16, &Held)>> = BTreeMap::new();
            stock
                .held
                .iter()
                .for_each(|((relation, column), held)| tables.entry(*relation).or_default().push((*column, held)));
            tables
        };
        let before = tables(earlier);
        let is_same = |(relation, columns): &(u32, Vec<(i16, &Held)>)| before.get(relation) == Some(columns);
        tables(self).into_iter().filter(is_same).map(|(relation, _)| relation).collect()
    }

    pub fn place(&self, id: Id) -> Place {
        self.held[&id].place.clone()
    }

    pub fn kind(&self, id: Id) -> Option<&str> {
        self.held.get(&id).map(|held| held.kind.as_str())
    }

    pub fn contains(&self, id: Id) -> bool {
        self.held.contains_key(&id)
    }

    pub fn has(&self, place: &Place) -> bool {
        self.held.values().any(|held| held.place == *place)
    }

    /// What `later` does not have any more: whole tables without their columns, roots without their partitions.
    pub fn without(&self, later: &Stock) -> Vec<Id> {
        let gone = |id: &Id| !later.contains(*id);
        let caused = |&(relation, column): &Id| {
            let by_table = column != 0 && gone(&(relation, 0));
            let by_root = self.roots.get(&relation).is_some_and(|&root| column != 0 || gone(&(root, 0)));
            by_table || by_root
        };
        self.held.keys().copied().filter(|id| gone(id) && !caused(id)).collect()
    }

    /// Columns that have another type `later`, and which.
    pub fn retyped<'a>(&'a self, later: &'a Stock) -> impl Iterator<Item = (Id, String)> {
        self.of_roots().filter_map(|(id, _)| {
            let kind = later.kind(id).filter(|kind| Some(*kind) != self.kind(id))?;
            Some((id, kind.to_owned()))
        })
    }
}

pub fn stock(connection: &mut Connection) -> Result<Stock> {
    connection.read(stock_in)
}

/// Under our own settings: they decide how the server writes a type.
pub fn stock_in(transaction: &mut Transaction<'_>) -> Result<Stock> {
    const STOCK: &str = "
        select c.oid, coalesce(a.attnum, 0::int2), n.nspname::text, c.relname::text, a.attname::text,
               case when c.relispartition then pg_catalog.pg_partition_root(c.oid)::oid end,
               coalesce(pg_catalog.format_type(a.type, a.typmod), ''), c.relkind = 'r',
               pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select')
                 and not pg_catalog.row_security_active(c.oid),
               coalesce(a.is_computed or t.oid >= 16384 or t.typname ~ '^_?reg', false)
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          cross join lateral (
               select null::int2, null::name, null::oid, null::int4, false
               union all
               select a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated <> ''
                 from pg_catalog.pg_attribute a
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as a (attnum, attname, type, typmod, is_computed)
          left join pg_catalog.pg_type t on t.oid = a.type
         where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', $1)
           and c.relkind in ('r', 'p') and c.relpersistence <> 't' and c.relname <> $2
           and not exists (select from pg_catalog.pg_depend e
                where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid = c.oid and e.deptype = 'e')";
    // In one go: it is asked several times a migration.
    let rows = transaction.query_typed(STOCK, &[(&CLAIM_SCHEMA, Type::TEXT), (&LEDGER_TABLE, Type::TEXT)]);
    let rows = rows.could_not("list the tables and columns")?;
    let mut stock = Stock::default();
    for row in rows {
        let relation: u32 = row.get(0);
        let place = Place { schema: row.get(2), table: row.get(3), column: row.get(4) };
        stock.held.insert((relation, row.get(1)), Held { place, kind: row.get(6) });
        if let Some(root) = row.get::<_, Option<u32>>(5) {
            stock.roots.insert(relation, root);
        }
        if row.get(7) {
            stock.plain.insert(relation);
        }
        if !row.get::<_, bool>(8) {
            stock.closed.insert(relation);
        }
        if row.get(9) {
            stock.unsteady.insert(relation);
        }
    }
    Ok(stock)
}

/// The schemas that hold tables, but for the server's own and the claim's.
pub fn schemas_of(stock: &Stock) -> Vec<String> {
    let schemas: BTreeSet<String> = stock.held.values().map(|held| held.place.schema.clone()).collect();
    schemas.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    #[test]
    fn a_rename_keeps_identity_and_a_second_column_of_the_name_does_not() {
        let mut database = Database::new();
        database.run("create table t (a int, b int); create table p (k int) partition by list (k); create table q partition of p default");
        let before = stock(&mut database.connection).unwrap();
        database.run("alter table t rename column a to c; alter table t drop column b; alter table t add column b int; drop table p");
        let after = stock(&mut database.connection).unwrap();
        let gone: Vec<String> = before.without(&after).into_iter().map(|id| before.place(id).to_string()).collect();
        assert_eq!(gone, ["column \"public\".\"t\".\"b\"", "table \"public\".\"p\""]);
    }
}
