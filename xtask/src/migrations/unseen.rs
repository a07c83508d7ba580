//! What Prisma's diff does not see and would stumble over: policies and row security, which hold on to columns, and foreign
//! keys to tables outside of the datasource's schemas, at which it gives up (P4002).

use std::collections::BTreeMap;

use postgres_protocol::escape::escape_identifier;

use crate::schema::catalog::{Catalog, Object, ObjectKey, quoted};

/// The last migration of a history that Prisma compares: without the keys that it cannot read.
pub fn without_outside_keys(schemas: &[&str]) -> String {
    let schemas: Vec<String> = schemas.iter().map(|schema| postgres_protocol::escape::escape_literal(schema)).collect();
    let list = schemas.join(", ");
    format!(
        "DO $outside$ DECLARE k record; BEGIN
           FOR k IN SELECT c.conrelid::regclass AS at, c.conname FROM pg_catalog.pg_constraint c
                      JOIN pg_catalog.pg_class r ON r.oid = c.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
                     WHERE c.contype = 'f' AND c.conparentid = 0 AND c.connamespace::regnamespace::text IN ({list})
                       AND n.nspname NOT IN ({list})
           LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.at, k.conname); END LOOP;
         END $outside$;\n"
    )
}

/// What has to go before Prisma's script that leads from `now` to `then`, as SQL; empty where there is nothing of the kind.
pub fn taken_back(now: &Catalog, then: &Catalog) -> String {
    let mut lines = Vec::new();
    for (key, object) in only_in(now, then) {
        let Some((name, table)) = key.path.split_last() else { continue };
        let (name, table) = (escape_identifier(name), quoted(table));
        match key.kind.as_str() {
            "policy" => lines.push(format!("DROP POLICY {name} ON {table};")),
            "constraint" if is_outside(object, now) => {
                lines.push(format!("ALTER TABLE {table} DROP CONSTRAINT {name};"))
            }
            _ => {}
        }
    }
    for (key, object) in &now.objects {
        if let Some(before) = then.objects.get(key) {
            lines.extend(row_security(&quoted(key.path.iter()), property(object), property(before)));
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn only_in<'a>(here: &'a Catalog, there: &'a Catalog) -> BTreeMap<&'a ObjectKey, &'a Object> {
    here.objects.iter().filter(|(key, _)| !there.objects.contains_key(*key)).collect()
}

fn property(object: &Object) -> &str {
    object.properties.get("row security").map_or("", |value| value.as_str())
}

/// From `now` to `then`; only what was added is taken away.
fn row_security(table: &str, now: &str, then: &str) -> Vec<String> {
    let added = |word: &str| now.contains(word) && !then.contains(word);
    let mut lines = Vec::new();
    if added("forced") {
        lines.push(format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;"));
    }
    if added("enabled") {
        lines.push(format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;"));
    }
    lines
}

/// Whether a constraint is a foreign key to a table of none of the catalog's schemas.
fn is_outside(constraint: &Object, catalog: &Catalog) -> bool {
    let definition = constraint.properties.get("definition").map_or("", |value| value.as_str());
    let Some((_, target)) = definition.split_once(" REFERENCES ") else { return false };
    let inside = |schema: &String| {
        target.starts_with(&format!("{schema}.")) || target.starts_with(&format!("{}.", escape_identifier(schema)))
    };
    definition.starts_with("FOREIGN KEY") && !catalog.schemas.iter().any(inside)
}
