//! What stands in the way of copying rows into tables, taken away before and brought back after, in one transaction:
//!
//! - foreign keys that point to such a table are dropped and added again by their own definitions. Neither an order of the tables (there
//!   are cycles) nor deferring them (not all are deferrable, and the server keeps each deferred row in memory) would do, and one check of
//!   all rows is faster than one check a row. Keys that point out of these tables stay and are checked row by row;
//! - indexes of large tables that hold nothing but the rows' order are made again by their own definitions, since building one is faster
//!   than adding to it row by row. One that is more than its definition says (a constraint, a mark, a setting, something that depends on
//!   it) stays, as do all where the role could not make them again;
//! - triggers of users are disabled, since the rows already went through them, and put back into the state that each had.

use postgres::Transaction;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::error::Result;
use crate::postgres::connection::CouldNot;
use crate::rows::snapshot::manifest::Table;

/// Rows from which on making an index again is faster than adding to it.
const LARGE: u64 = 10_000;

/// Statements that take keys, indexes and triggers away, and those that bring exactly the same back.
pub struct Obstacles {
    pub drop: Vec<String>,
    pub recreate: Vec<String>,
}

/// `$1` and `$2` are schemas and names of tables; a partition belongs to its root.
const MEMBERS: &str = "
    with named as (
      select c.oid from unnest($1::text[], $2::text[]) as t(schema, name)
        join pg_catalog.pg_namespace n on n.nspname = t.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.name),
    members as (select oid from named union select p.relid from named, pg_catalog.pg_partition_tree(named.oid) p)";

const KEYS: &str = "
    select k.conrelid::pg_catalog.regclass::text, k.conname::text, pg_catalog.pg_get_constraintdef(k.oid),
           pg_catalog.obj_description(k.oid, 'pg_constraint')
      from pg_catalog.pg_constraint k
     where k.contype = 'f' and k.conparentid = 0 and k.confrelid in (select oid from members)
     order by 1, 2";

const TRIGGERS: &str = "
    select t.tgrelid::pg_catalog.regclass::text, t.tgname::text, t.tgenabled::text
      from pg_catalog.pg_trigger t
     where not t.tgisinternal and t.tgenabled <> 'D' and t.tgrelid in (select oid from members)
     order by 1, 2";

/// Of plain tables alone: a partition's index belongs to its root's. An index without a tablespace of its own is in the
/// database's, and so it is made again.
const INDEXES: &str = "
    select i.indexrelid::pg_catalog.regclass::text, pg_catalog.pg_get_indexdef(i.indexrelid),
           pg_catalog.obj_description(i.indexrelid, 'pg_class')
      from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indexrelid
      join pg_catalog.pg_class t on t.oid = i.indrelid
     where i.indrelid in (select oid from members) and t.relkind = 'r' and not t.relispartition
       and not i.indisunique and not i.indisexclusion and i.indisvalid and i.indisready
       and not i.indisclustered and not i.indisreplident and c.reltablespace = 0
       and pg_catalog.pg_has_role(c.relowner, 'usage') and pg_catalog.has_schema_privilege(c.relnamespace, 'create')
       and not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and coalesce(a.attstattarget, -1) >= 0)
       and not exists (select from pg_catalog.pg_depend d where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                                            and d.refobjid = c.oid)
       and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                                            and d.objid = c.oid and d.deptype in ('e', 'x', 'i'))
     order by 1";

impl Obstacles {
    /// What stands in the way of `tables`, with as many rows as they say.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn find(transaction: &mut Transaction<'_>, tables: &[&Table]) -> Result<Obstacles> {
        let mut ask = |sql: &str, tables: &[&Table]| {
            let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            let rows = transaction.query(&format!("{MEMBERS}{sql}"), &[&schemas, &names]);
            rows.could_not("list keys, indexes and triggers")
        };
        let large: Vec<&Table> = tables.iter().copied().filter(|table| table.rows >= LARGE).collect();
        let (indexes, triggers, keys) = (ask(INDEXES, &large)?, ask(TRIGGERS, tables)?, ask(KEYS, tables)?);
        let mut obstacles = Obstacles { drop: Vec::new(), recreate: Vec::new() };
        if !indexes.is_empty() {
            obstacles.recreate.push("set local default_tablespace = ''".to_owned());
        }
        indexes.iter().for_each(|row| obstacles.add_index(row.get(0), row.get(1), row.get(2)));
        triggers.iter().for_each(|row| obstacles.add_trigger(row.get(0), row.get(1), row.get(2)));
        keys.iter().for_each(|row| obstacles.add_key(row.get(0), row.get(1), row.get(2), row.get(3)));
        Ok(obstacles)
    }

    /// `name` is quoted already.
    fn add_index(&mut self, name: &str, definition: String, comment: Option<&str>) {
        self.drop.push(format!("drop index {name}"));
        self.recreate.push(definition);
        self.recreate.extend(comment.map(|text| format!("comment on index {name} is {}", escape_literal(text))));
    }

    fn add_trigger(&mut self, table: &str, name: &str, enabled: &str) {
        let name = escape_identifier(name);
        let how = match enabled {
            "R" => "enable replica",
            "A" => "enable always",
            _ => "enable",
        };
        // ONLY: each partition's share has a state of its own, and is listed itself.
        self.drop.push(format!("alter table only {table} disable trigger {name}"));
        self.recreate.push(format!("alter table only {table} {how} trigger {name}"));
    }

    fn add_key(&mut self, table: &str, name: &str, definition: &str, comment: Option<&str>) {
        let name = escape_identifier(name);
        self.drop.push(format!("alter table {table} drop constraint {name}"));
        self.recreate.push(format!("alter table {table} add constraint {name} {definition}"));
        let comment =
            comment.map(|text| format!("comment on constraint {name} on {table} is {}", escape_literal(text)));
        self.recreate.extend(comment);
    }
}
