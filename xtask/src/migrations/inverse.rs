//! The way back of a migration that did nothing which the catalogs before and after it do not tell whole: what it added is dropped, an
//! index or constraint that it dropped is made again, a default or NOT NULL is as it was. That is known in a fraction of the second that Prisma
//! needs to start. Of whatever else a migration did, Prisma is asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::catalog::{Catalog, Change, Difference, Object, ObjectKey, quoted};
use crate::schema::drift;

/// What leads from `after` back to `before`, as SQL; None where more than that lies between them, or nothing.
pub fn taken_back(before: &Catalog, after: &Catalog) -> Option<String> {
    let differences = drift::between(before, after).definition;
    let others = differences.iter().filter(|difference| difference.change != Change::Unexpected);
    let mut steps = others.map(|difference| restored(difference, before)).collect::<Option<Vec<Step>>>()?;
    let added: BTreeMap<_, _> = after.objects.iter().filter(|(key, _)| !before.objects.contains_key(*key)).collect();
    let gone = gone(&added);
    for (key, object) in &added {
        if !goes_along(key, object, &gone) {
            steps.push(drop_of(key, object)?);
        }
    }
    steps.sort();
    (!steps.is_empty()).then(|| statements(&steps))
}

/// In the order in which they succeed.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    DropConstraint(String),
    DropIndex(String),
    AlterColumn(String),
    /// By table.
    DropColumn(String, String),
    DropTable(String),
    DropType(String),
    DropSchema(String),
    CreateIndex(String),
    AddKey(String),
    AddForeignKey(String),
}

/// What makes of an object that was dropped, or changed, what it was; None for what loses values on the way, or is more than its own text.
fn restored(difference: &Difference, before: &Catalog) -> Option<Step> {
    let key = &difference.object;
    let (last, table) = key.path.split_last()?;
    let (name, table) = (quoted([last]), quoted(table));
    match (key.kind.as_str(), &difference.change) {
        ("index", Change::Missing) => Some(Step::CreateIndex(format!("{};", definition(before.objects.get(key)?)))),
        ("constraint", Change::Missing) => {
            let constraint = before.objects.get(key)?;
            let sql = format!("ALTER TABLE {table} ADD CONSTRAINT {name} {};", definition(constraint));
            Some(if is_foreign_key(constraint) { Step::AddForeignKey(sql) } else { Step::AddKey(sql) })
        }
        ("column", Change::Changed { property, expected, .. }) => {
            let action = match (property.as_str(), expected.as_deref()) {
                ("default", Some(default)) => format!("SET DEFAULT {default}"),
                ("default", None) => "DROP DEFAULT".to_owned(),
                ("nullable", Some("no")) => "SET NOT NULL".to_owned(),
                ("nullable", _) => "DROP NOT NULL".to_owned(),
                _ => return None,
            };
            Some(Step::AlterColumn(format!("ALTER TABLE {table} ALTER COLUMN {name} {action};")))
        }
        _ => None,
    }
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

fn drop_of(key: &ObjectKey, object: &Object) -> Option<Step> {
    let (last, table) = key.path.split_last()?;
    let (name, table) = (quoted([last]), quoted(table));
    let is_of_prisma = ["FOREIGN KEY", "PRIMARY KEY", "UNIQUE"].iter().any(|kind| definition(object).starts_with(kind));
    match key.kind.as_str() {
        "constraint" if is_of_prisma => {
            Some(Step::DropConstraint(format!("ALTER TABLE {table} DROP CONSTRAINT {name};")))
        }
        "index" => Some(Step::DropIndex(format!("DROP INDEX {};", key.name()))),
        "column" => Some(Step::DropColumn(table, name)),
        "table" => Some(Step::DropTable(format!("DROP TABLE {};", key.name()))),
        "type" if object.properties.get("form").is_some_and(|form| form == "enum") => {
            Some(Step::DropType(format!("DROP TYPE {};", key.name())))
        }
        "schema" => Some(Step::DropSchema(format!("DROP SCHEMA {};", key.name()))),
        _ => None,
    }
}

fn statements(steps: &[Step]) -> String {
    let same_table = |one: &Step, other: &Step| match (one, other) {
        (Step::DropColumn(one, _), Step::DropColumn(other, _)) => one == other,
        _ => false,
    };
    steps.chunk_by(same_table).map(|steps| statement(steps) + "\n").collect()
}

/// One for all of `steps`, which are several only where they drop columns of one table.
fn statement(steps: &[Step]) -> String {
    let columns = steps.iter().filter_map(|step| match step {
        Step::DropColumn(_, column) => Some(format!("DROP COLUMN {column}")),
        _ => None,
    });
    match &steps[0] {
        Step::DropColumn(table, _) => format!("ALTER TABLE {table} {};", columns.collect::<Vec<_>>().join(", ")),
        Step::DropConstraint(sql)
        | Step::DropIndex(sql)
        | Step::AlterColumn(sql)
        | Step::DropTable(sql)
        | Step::DropType(sql)
        | Step::DropSchema(sql)
        | Step::CreateIndex(sql)
        | Step::AddKey(sql)
        | Step::AddForeignKey(sql) => sql.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;
    use crate::schema::catalog::catalog;

    const BEFORE: &str = "create table \"Shop\" (id int primary key, name text); create type mood as enum ('ok');
         create table seen (id serial, at timestamptz)";

    fn proposed(migration: &str) -> Option<(String, bool)> {
        proposed_after("", migration)
    }

    /// What is proposed for `migration` after `begun`, and whether it leads back.
    fn proposed_after(begun: &str, migration: &str) -> Option<(String, bool)> {
        let mut database = Database::new();
        let mut look = |sql: &str| {
            database.run(sql);
            catalog(&mut database.connection, &["public", "more"]).unwrap()
        };
        let (before, after) = (look(&format!("{BEFORE}; {begun}")), look(migration));
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
    fn what_was_dropped_or_changed_and_is_told_whole_is_made_again() {
        let begun = r#"
            create table "Item" (id int not null, shop int default 7, "a ""b""" text not null default 'x', mood mood default 'ok',
              constraint "Item pkey" primary key (id), constraint u unique (shop, mood),
              constraint positive check (shop > 0), foreign key (shop) references "Shop" deferrable initially deferred);
            create unique index "by ""a""" on "Item" (lower("a ""b""") desc) where shop > 1"#;
        let migration = r#"
            alter table "Item" drop constraint "Item_shop_fkey", drop constraint "Item pkey", drop constraint u, drop constraint positive;
            drop index "by ""a""";
            alter table "Item" alter shop drop default, alter shop set not null, alter "a ""b""" drop not null,
              alter "a ""b""" set default 'y', alter mood set default null, add column new int;
            alter table "Shop" alter name set default 'shop';
            create index by_mood on "Item" (mood)"#;
        let (sql, is_back) = proposed_after(begun, migration).unwrap();
        let wanted = r#"DROP INDEX "public"."by_mood";
ALTER TABLE "public"."Item" ALTER COLUMN "a ""b""" SET DEFAULT 'x'::text;
ALTER TABLE "public"."Item" ALTER COLUMN "a ""b""" SET NOT NULL;
ALTER TABLE "public"."Item" ALTER COLUMN "mood" SET DEFAULT 'ok'::public.mood;
ALTER TABLE "public"."Item" ALTER COLUMN "shop" DROP NOT NULL;
ALTER TABLE "public"."Item" ALTER COLUMN "shop" SET DEFAULT 7;
ALTER TABLE "public"."Shop" ALTER COLUMN "name" DROP DEFAULT;
ALTER TABLE "public"."Item" DROP COLUMN "new";
CREATE UNIQUE INDEX "by ""a""" ON public."Item" USING btree (lower("a ""b""") DESC) WHERE (shop > 1);
ALTER TABLE "public"."Item" ADD CONSTRAINT "Item pkey" PRIMARY KEY (id);
ALTER TABLE "public"."Item" ADD CONSTRAINT "positive" CHECK ((shop > 0));
ALTER TABLE "public"."Item" ADD CONSTRAINT "u" UNIQUE (shop, mood);
ALTER TABLE "public"."Item" ADD CONSTRAINT "Item_shop_fkey" FOREIGN KEY (shop) REFERENCES public."Shop"(id) DEFERRABLE INITIALLY DEFERRED;
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
