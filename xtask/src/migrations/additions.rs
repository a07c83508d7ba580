//! The way back of a migration that only added things which a drop takes away again: it is in the catalogs before and after the
//! migration, and known in a fraction of the second that Prisma needs to start. Only the kinds that Prisma's own schema has are
//! looked at; of whatever else a migration did, Prisma is asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::catalog::{Catalog, Change, Difference, Object, ObjectKey, quoted};
use crate::schema::drift;

/// What leads from `after` back to `before`, as SQL; None where more than additions lies between them, or nothing.
pub fn taken_back(before: &Catalog, after: &Catalog) -> Option<String> {
    let is_addition = |difference: &Difference| difference.change == Change::Unexpected;
    if !drift::between(before, after).definition.iter().all(is_addition) {
        return None;
    }
    let added: BTreeMap<_, _> = after.objects.iter().filter(|(key, _)| !before.objects.contains_key(*key)).collect();
    let gone = gone(&added);
    let mut drops: Vec<Drop> = Vec::new();
    for (key, object) in &added {
        if !goes_along(key, object, &gone) {
            drops.push(drop_of(key, object)?);
        }
    }
    drops.sort();
    (!drops.is_empty()).then(|| statements(&drops))
}

/// In the order in which they succeed.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Drop {
    Constraint(String),
    Index(String),
    /// By table.
    Column(String, String),
    Table(String),
    Type(String),
    Schema(String),
}

/// Tables and columns, which take with them what is in them.
fn gone(added: &BTreeMap<&ObjectKey, &Object>) -> BTreeSet<Vec<String>> {
    let holders = added.keys().filter(|key| matches!(key.kind.as_str(), "table" | "column"));
    holders.map(|key| key.path.clone()).collect()
}

/// Whether it goes with what holds it. A foreign key goes by itself: the table that it points to may be gone before its own is.
fn goes_along(key: &ObjectKey, object: &Object, gone: &BTreeSet<Vec<String>>) -> bool {
    let is_gone = |path: &[String]| (2..=path.len()).any(|len| gone.contains(&path[..len]));
    let table = &key.path[..key.path.len().saturating_sub(1)];
    let is_key = key.kind == "constraint" && !is_foreign_key(object);
    let with_table = !is_foreign_key(object) && is_gone(table);
    let with_column = is_key || matches!(key.kind.as_str(), "index" | "sequence");
    with_table || with_column && object.follows.iter().any(|path| is_gone(path))
}

fn is_foreign_key(object: &Object) -> bool {
    definition(object).starts_with("FOREIGN KEY")
}

fn definition(object: &Object) -> &str {
    object.properties.get("definition").map_or("", String::as_str)
}

fn drop_of(key: &ObjectKey, object: &Object) -> Option<Drop> {
    let (last, table) = key.path.split_last()?;
    let (name, table) = (quoted([last]), quoted(table));
    let is_of_prisma = ["FOREIGN KEY", "PRIMARY KEY", "UNIQUE"].iter().any(|kind| definition(object).starts_with(kind));
    match key.kind.as_str() {
        "constraint" if is_of_prisma => Some(Drop::Constraint(format!("ALTER TABLE {table} DROP CONSTRAINT {name};"))),
        "index" => Some(Drop::Index(format!("DROP INDEX {};", key.name()))),
        "column" => Some(Drop::Column(table, name)),
        "table" => Some(Drop::Table(format!("DROP TABLE {};", key.name()))),
        "type" if object.properties.get("form").is_some_and(|form| form == "enum") => {
            Some(Drop::Type(format!("DROP TYPE {};", key.name())))
        }
        "schema" => Some(Drop::Schema(format!("DROP SCHEMA {};", key.name()))),
        _ => None,
    }
}

fn statements(drops: &[Drop]) -> String {
    let same_table = |one: &Drop, other: &Drop| match (one, other) {
        (Drop::Column(one, _), Drop::Column(other, _)) => one == other,
        _ => false,
    };
    drops.chunk_by(same_table).map(|drops| statement(drops) + "\n").collect()
}

/// One that drops all of `drops`, which are several only where they are columns of one table.
fn statement(drops: &[Drop]) -> String {
    let columns = drops.iter().filter_map(|drop| match drop {
        Drop::Column(_, column) => Some(format!("DROP COLUMN {column}")),
        _ => None,
    });
    match &drops[0] {
        Drop::Column(table, _) => format!("ALTER TABLE {table} {};", columns.collect::<Vec<_>>().join(", ")),
        Drop::Constraint(sql) | Drop::Index(sql) | Drop::Table(sql) | Drop::Type(sql) | Drop::Schema(sql) => {
            sql.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;
    use crate::schema::catalog::catalog;

    const BEFORE: &str = "create table \"Shop\" (id int primary key, name text); create type mood as enum ('ok');
         create table seen (id serial, at timestamptz)";

    /// What is proposed for `migration`, and whether it leads back.
    fn proposed(migration: &str) -> Option<(String, bool)> {
        let mut database = Database::new();
        let mut look = |sql: &str| {
            database.run(sql);
            catalog(&mut database.connection, &["public", "more"]).unwrap()
        };
        let (before, after) = (look(BEFORE), look(migration));
        let sql = taken_back(&before, &after)?;
        let is_back = drift::between(&before, &look(&sql)).definition.is_empty();
        Some((sql, is_back))
    }

    #[test]
    fn what_was_added_is_dropped_each_after_what_hangs_on_it() {
        let migration = r#"
            create type color as enum ('red');
            create table "Item" (id serial primary key, shop int references "Shop", color color, parent int references "Item",
              unique (shop, color), check (shop > 0));
            create index on "Item" (color);
            create table "Order" (id int generated always as identity, item int references "Item");
            alter table "Item" add column last_order int, add column "a ""b""" text default 'x';
            alter table "Order" add primary key (id);
            alter table "Item" add foreign key (last_order) references "Order";
            alter table "Shop" add column mood mood not null default 'ok', add column rank serial unique, add check (rank > 0);
            alter table seen add primary key (id), add unique (at);
            create index by_name on "Shop" (name);
            create index by_both on "Shop" (name, rank);
            create schema more; create table more.t (id int)"#;
        let (sql, is_back) = proposed(migration).unwrap();
        let wanted = r#"ALTER TABLE "public"."Item" DROP CONSTRAINT "Item_last_order_fkey";
ALTER TABLE "public"."Item" DROP CONSTRAINT "Item_parent_fkey";
ALTER TABLE "public"."Item" DROP CONSTRAINT "Item_shop_fkey";
ALTER TABLE "public"."Order" DROP CONSTRAINT "Order_item_fkey";
ALTER TABLE "public"."seen" DROP CONSTRAINT "seen_at_key";
ALTER TABLE "public"."seen" DROP CONSTRAINT "seen_pkey";
DROP INDEX "public"."by_name";
ALTER TABLE "public"."Shop" DROP COLUMN "mood", DROP COLUMN "rank";
DROP TABLE "more"."t";
DROP TABLE "public"."Item";
DROP TABLE "public"."Order";
DROP TYPE "public"."color";
DROP SCHEMA "more";
"#;
        assert_eq!((sql.as_str(), is_back), (wanted, true));
    }

    #[test]
    fn of_anything_else_prisma_is_asked() {
        for migration in [
            "select 1",
            "alter table seen drop column at",
            "alter table seen alter at type date",
            "alter table seen rename at to since",
            "alter table seen alter at set not null",
            "alter type mood add value 'bad'",
            "create sequence s",
            "create view v as select 1",
            "create table t (a int); create function f() returns int language sql return 1",
            "alter table \"Shop\" add check (id > 0)",
            "create type pair as (a int, b int)",
            "create domain d as int",
            "alter table seen enable row level security",
            "comment on table seen is 'new'",
        ] {
            assert_eq!(proposed(migration), None, "{migration}");
        }
    }
}
