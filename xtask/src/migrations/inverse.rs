//! What leads from one catalog back to another: what was added is dropped, what was dropped is made again, what was changed is as it was.
//! None where a catalog does not tell it whole; of that, Prisma is asked.

use std::collections::{BTreeMap, BTreeSet};

use script::text::Text;

use crate::error::Result;
use crate::migrations::altered::{self, Altered, of_value};
use crate::migrations::ddl::{comment, count_on, create, drop, fires, grants, is_foreign_key, property, row_security};
use crate::migrations::relabel::relabeled;
use crate::migrations::step::{Rank, Step};
use crate::schema::catalog::{Catalog, Change, Difference, Object, ObjectKey, SETTINGS};
use crate::schema::drift;

/// What leads from `now` to `then`, in order; empty where nothing lies between them, None where the catalogs do not tell it whole.
/// `told` is what the script that lies between says.
pub fn taken_back(then: &Catalog, now: &Catalog, told: &Told) -> Option<Vec<Step>> {
    let differences = drift::between(then, now).definition;
    let way = Way { then, now, differences: differences.iter().map(|difference| &difference.object).collect() };
    let mut steps = Vec::new();
    for difference in &differences {
        if let Change::Changed { property, expected, .. } = &difference.change {
            steps.extend(way.changed(difference, property, expected.as_deref())?);
        }
    }
    let mut added: BTreeMap<_, _> = way.only_in(now, then).collect();
    added.extend(way.database_wide(told));
    let gone = holders(added.keys().copied());
    for (key, object) in &added {
        if key.kind == "extension" && !told.makes_extension() {
            return None;
        }
        if !goes_along(key, object, &gone) && !way.is_taken_over(key, object) {
            steps.push(way.dropped(key, object)?);
        }
    }
    for (key, object) in way.only_in(then, now) {
        if !way.comes_along(key, object) {
            steps.push(way.made(key, object)?);
            steps.extend(way.counted_on(key, object));
        }
    }
    steps.sort();
    steps.dedup();
    Some(in_one(&steps))
}

/// What makes way for others, to be made again by the next look.
pub fn aside(view: &ObjectKey, catalog: &Catalog) -> Option<Step> {
    Some(Step::new(Rank::DropView, view, drop(view, catalog)?))
}

/// What a migration's script says of what belongs to the database: its words, in rows of up to three that stand behind each other.
pub struct Told(BTreeSet<String>);

impl Told {
    /// # Errors
    /// `blocked` where the script cannot be read.
    pub fn by(migration: &Text) -> Result<Told> {
        let mut told = BTreeSet::new();
        for part in migration.parts() {
            let part = part?.to_lowercase();
            // Whatever stands between them: `DO$$` is a word, too.
            let words = part.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            let words: Vec<&str> = words.collect();
            let is_said = |word: &&str| ["do", "exception", "exists"].contains(word);
            told.extend(words.iter().copied().filter(is_said).map(str::to_owned));
            let creates = (0..words.len()).filter(|&at| words[at] == "create");
            told.extend(
                creates
                    .flat_map(|at| (at + 2..=words.len().min(at + 4)).map(move |end| (at, end)))
                    .map(|(at, end)| words[at..end].join(" ")),
            );
        }
        Ok(Told(told))
    }

    fn says(&self, words: &str) -> bool {
        self.0.contains(words)
    }

    /// Where a platform may have an extension already, it is not the migration's to drop: one that is made in a block may have been there.
    fn makes_extension(&self) -> bool {
        self.says("create extension")
            && !["create extension if", "do", "exception"].iter().any(|words| self.says(words))
    }

    /// The same of what belongs to the database, for which a script may ask in any words before it makes it.
    fn makes(&self, kind: &str) -> bool {
        self.says(&format!("create {}", called(kind)))
            && !["do", "exception", "exists"].iter().any(|word| self.says(word))
    }
}

/// As SQL calls it.
fn called(kind: &str) -> &str {
    if kind == "foreign server" { "server" } else { kind }
}

/// Kinds that belong to the database alone: of one that nobody misses, a comparison only takes note.
const DATABASE_WIDE: [&str; 10] = [
    "extension",
    "cast",
    "publication",
    "event trigger",
    "foreign data wrapper",
    "foreign server",
    "user mapping",
    "language",
    "access method",
    "transform",
];

struct Way<'a> {
    then: &'a Catalog,
    now: &'a Catalog,
    differences: BTreeSet<&'a ObjectKey>,
}

impl<'a> Way<'a> {
    /// What one has and the other has not, but for what is not the migrations' work.
    fn only_in(&self, here: &'a Catalog, there: &'a Catalog) -> impl Iterator<Item = (&'a ObjectKey, &'a Object)> {
        let counts =
            |key: &ObjectKey| key.path.len() > 1 && key.kind != "default privileges" || self.differences.contains(key);
        let only = here.objects.iter().filter(|(key, _)| !there.objects.contains_key(*key) && key.kind != SETTINGS);
        only.filter(move |(key, _)| counts(key))
    }

    fn dropped(&self, key: &ObjectKey, object: &Object) -> Option<Step> {
        let beside = |sql: Option<String>| Some(Step::new(Rank::Beside, key, sql?));
        let rank = match key.kind.as_str() {
            "aggregate" => Rank::DropFunction,
            "column" if self.is_of_view(key) => return beside(comment(key, None, self.now)),
            "column" if property(object, "generated").is_some() => Rank::DropComputed,
            "column" => Rank::DropColumn,
            "table" | "foreign table" => Rank::DropTable,
            "sequence" => Rank::DropSequence,
            "type" if matches!(property(object, "form"), Some("enum" | "composite" | "range" | "shell")) => {
                Rank::DropType
            }
            "domain" => Rank::DropType,
            "extension" => Rank::DropExtension,
            "schema" => Rank::DropSchema,
            "default privileges" => return None,
            kind => Rank::of_what_is_made_again(kind).unwrap_or(Rank::DropOther),
        };
        Some(Step::new(rank, key, drop(key, self.now)?))
    }

    fn made(&self, key: &ObjectKey, object: &Object) -> Option<Step> {
        let beside = |sql: Option<String>| Some(Step::new(Rank::Beside, key, sql?));
        let rank = match key.kind.as_str() {
            "trigger" => Rank::CreateTrigger,
            "policy" => Rank::CreatePolicy,
            "rule" => Rank::CreateRule,
            "view" | "materialized view" => Rank::CreateView,
            "constraint" if is_foreign_key(object) => Rank::AddForeignKey,
            "constraint" => Rank::AddKey,
            "index" => Rank::CreateIndex,
            "statistics" => Rank::CreateStatistics,
            "function" | "procedure" => Rank::CreateFunction,
            "column" if self.is_of_view(key) => return beside(comment(key, property(object, "comment"), self.then)),
            "column" => Rank::AddColumn,
            "table" => Rank::CreateTable,
            "sequence" => Rank::CreateSequence,
            "type" | "domain" => Rank::CreateType,
            "extension" => Rank::CreateExtension,
            "schema" => Rank::CreateSchema,
            "publication" | "event trigger" => Rank::CreateOther,
            _ => return None,
        };
        Some(Step::new(rank, key, create(key, self.then)?))
    }

    fn is_of_view(&self, column: &ObjectKey) -> bool {
        let is_view = |catalog: &Catalog| {
            let holder = column.path[..column.path.len() - 1].to_vec();
            ["view", "materialized view"].iter().any(|kind| {
                let view = ObjectKey::new(*kind, holder.clone(), "");
                catalog.objects.contains_key(&view)
            })
        };
        is_view(self.then) || is_view(self.now)
    }

    /// A column with its table, a sequence with the identity that it counts.
    fn comes_along(&self, key: &ObjectKey, object: &Object) -> bool {
        let is_made = |path: &[String]| {
            let table = ObjectKey::new("table", path.to_vec(), "");
            self.then.objects.contains_key(&table) && !self.now.objects.contains_key(&table)
        };
        let is_identity = |path: &[String]| {
            let column = ObjectKey::new("column", path.to_vec(), "");
            self.then.objects.get(&column).is_some_and(|column| property(column, "identity").is_some())
        };
        match key.kind.as_str() {
            "column" => is_made(&key.path[..key.path.len() - 1]) || self.is_heirs(object),
            "sequence" => object.follows.iter().any(|path| is_identity(path)),
            _ => false,
        }
    }

    /// A column that comes with the one that it is inherited from.
    fn is_heirs(&self, column: &Object) -> bool {
        let is_made = |path: &[String]| {
            let parent = ObjectKey::new("column", path.to_vec(), "");
            self.then.objects.contains_key(&parent) && !self.now.objects.contains_key(&parent)
        };
        property(column, "also its own").is_none() && column.follows.iter().any(|path| is_made(path))
    }

    /// On a table that becomes a partition or an heir again, which takes over what its parent has: what is left then, the next look drops.
    fn is_taken_over(&self, key: &ObjectKey, object: &Object) -> bool {
        let is_on = |path: &[String]| {
            let table = ObjectKey::new("table", path.iter().take(2).cloned().collect::<Vec<_>>(), "");
            let parents = |catalog: &Catalog| property(catalog.objects.get(&table)?, "parents").map(str::to_owned);
            parents(self.then).is_some_and(|then| parents(self.now) != Some(then))
        };
        match key.kind.as_str() {
            "constraint" | "trigger" => is_on(&key.path),
            "index" => object.follows.iter().any(|path| is_on(path)),
            _ => false,
        }
    }

    /// What belongs to the database, and was made by the migration.
    fn database_wide(&self, told: &'a Told) -> impl Iterator<Item = (&'a ObjectKey, &'a Object)> {
        let only = self.now.objects.iter().filter(|(key, _)| !self.then.objects.contains_key(*key));
        only.filter(move |(key, _)| DATABASE_WIDE.contains(&key.kind.as_str()) && told.makes(&key.kind))
    }

    /// What has a sequence that was made anew go on behind the values of the columns that it counts.
    fn counted_on(&self, key: &ObjectKey, sequence: &Object) -> Vec<Step> {
        if key.kind != "sequence" {
            return Vec::new();
        }
        let bare = |text: &str| text.replace('"', "");
        let next = format!("nextval('{}'::regclass)", bare(&key.path.join(".")));
        let counts = |(column, object): &(&ObjectKey, &Object)| {
            column.kind == "column"
                && property(object, "default").is_some_and(|default| bare(default) == next)
                && self.now.objects.contains_key(*column)
        };
        let columns = self.then.objects.iter().filter(counts);
        let sql = columns.filter_map(|(column, object)| count_on(key, sequence, column, object));
        sql.map(|sql| Step::new(Rank::Beside, key, sql)).collect()
    }

    /// What makes of an object that was changed what it was.
    fn changed(&self, difference: &Difference, name: &str, value: Option<&str>) -> Option<Vec<Step>> {
        let key = &difference.object;
        if (key.kind.as_str(), name) == ("type", "labels") {
            return relabeled(key, self.then, self.now);
        }
        Some(vec![self.altered(key, name, value)?])
    }

    fn altered(&self, key: &ObjectKey, name: &str, value: Option<&str>) -> Option<Step> {
        let (then, now) = (self.then.objects.get(key)?, self.now.objects.get(key)?);
        let altered = Altered { key, then, now, catalog_then: self.then, catalog_now: self.now };
        let again = || Some(format!("{}\n{}", drop(key, self.now)?, create(key, self.then)?));
        let step = |rank, sql| Some(Step::new(rank, key, sql));
        let beside = |sql: Option<String>| step(Rank::Beside, sql?);
        match (key.kind.as_str(), name) {
            (_, "comment") => beside(comment(key, value, self.then)),
            (_, name) if name.starts_with("access of ") => {
                beside(grants(key, then, name.strip_prefix("access of ")?, value))
            }
            ("column", _) if !self.is_of_view(key) => altered::column(altered, name, value),
            ("table", "row security") => beside(Some(row_security(key, value))),
            ("table", _) => altered::table(altered, name, value),
            ("trigger" | "rule" | "event trigger", "fires") => beside(fires(key, value)),
            ("publication", "publishes" | "via root") => Some(altered::publication(altered)),
            ("publication" | "event trigger", _) => step(Rank::Change, again()?),
            ("statistics", "target") => {
                beside(Some(format!("ALTER STATISTICS {} SET STATISTICS {};", key.name(), value.unwrap_or("-1"))))
            }
            ("view", "definition") => {
                let replaced = create(key, self.then)?.replacen("CREATE VIEW", "CREATE OR REPLACE VIEW", 1);
                Some(Step { otherwise: vec![again()?], ..Step::new(Rank::Change, key, replaced) })
            }
            ("function" | "procedure", "definition") => {
                Some(Step { otherwise: vec![again()?], ..Step::new(Rank::Change, key, create(key, self.then)?) })
            }
            ("view" | "materialized view", "definition" | "storage parameters")
            | ("index" | "constraint" | "trigger" | "rule" | "statistics", "definition")
            | ("policy", _) => step(Rank::Change, again()?),
            ("domain", "default" | "nullable") => {
                let action = of_value(name, value)?;
                step(Rank::Change, format!("ALTER DOMAIN {} {action};", key.name()))
            }
            ("sequence", _) => altered::sequence(altered, name, value),
            _ => None,
        }
    }
}

/// What takes with it what is in it.
fn holders<'a>(keys: impl Iterator<Item = &'a ObjectKey>) -> BTreeSet<Vec<String>> {
    let holds =
        |kind: &str| matches!(kind, "table" | "column" | "view" | "materialized view" | "foreign table" | "domain");
    keys.filter(|key| holds(&key.kind)).map(|key| key.path.to_vec()).collect()
}

/// Whether it goes with what holds it. A foreign key goes by itself: the table that it points to may be gone before its own is.
fn goes_along(key: &ObjectKey, object: &Object, gone: &BTreeSet<Vec<String>>) -> bool {
    let is_gone = |path: &[String]| (2..=path.len()).any(|len| gone.contains(&path[..len]));
    let table = &key.path[..key.path.len().saturating_sub(1)];
    let is_key = key.kind == "constraint" && !is_foreign_key(object);
    let with_table = !is_foreign_key(object) && is_gone(table);
    let is_heirs = key.kind == "column" && property(object, "also its own").is_none();
    let with_column = is_key || is_heirs || matches!(key.kind.as_str(), "index" | "sequence");
    with_table || with_column && object.follows.iter().any(|path| is_gone(path))
}

/// Columns of one table go in one statement.
fn in_one(steps: &[Step]) -> Vec<Step> {
    const DROP: &str = " DROP COLUMN ";
    let table = |step: &Step| match step.rank {
        Rank::DropColumn => step.sql.split_once(DROP).map(|(table, _)| table.to_owned()),
        _ => None,
    };
    let same_table = |one: &Step, other: &Step| table(one).is_some() && table(one) == table(other);
    let joined = |steps: &[Step]| match (steps, table(&steps[0])) {
        ([_, _, ..], Some(table)) => {
            let column = |step: &Step| step.sql[table.len()..].trim_end_matches(';').to_owned();
            let columns: Vec<String> = steps.iter().map(column).collect();
            Step { sql: format!("{table}{};", columns.join(",")), ..steps[0].clone() }
        }
        _ => steps[0].clone(),
    };
    steps.chunk_by(same_table).map(joined).collect()
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

    fn told(migration: &str) -> Told {
        Told::by(&migration.into()).unwrap()
    }

    /// What is proposed for `migration` after `begun`, and whether it leads back.
    fn proposed_after(begun: &str, migration: &str) -> Option<(String, bool)> {
        let mut database = Database::new();
        let mut look = |sql: &str| {
            database.run(sql);
            catalog(&mut database.connection, &["public", "more"]).unwrap()
        };
        let (before, after) = (look(&format!("{BEFORE}; {begun}")), look(migration));
        let steps = taken_back(&before, &after, &told(migration))?;
        let sql: String = steps.iter().map(|step| step.sql.clone() + "\n").collect();
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

    /// A platform may have had it before.
    #[test]
    fn what_a_script_may_have_found_there_is_not_its_own() {
        for script in [
            "DO $$ BEGIN CREATE PUBLICATION p; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            "do$$begin create publication p; end$$",
            "do $$ begin if not exists(select from pg_publication) then create publication p; end if; end $$",
            "drop publication if exists p; create publication p",
            "create function f() returns void language plpgsql as $$begin create publication p; exception when others then null; end$$",
            "alter publication p add table t",
        ] {
            assert!(!told(script).makes("publication"), "{script}");
        }
        assert!(told("CREATE PUBLICATION\tp;").makes("publication") && told("create server s").makes("foreign server"));
        let blocks = [
            "do$$begin create extension citext; exception when duplicate_object then null; end$$",
            "create extension/**/if not exists citext",
        ];
        assert!(blocks.iter().all(|script| !told(script).makes_extension()));
        assert!(told("drop table if exists t; CREATE EXTENSION citext").makes_extension());
    }

    #[test]
    fn of_what_the_catalogs_do_not_tell_whole_prisma_is_asked() {
        for (begun, migration) in [
            ("", "create extension if not exists citext"),
            ("create type pair as (a int)", "alter type pair add attribute b int"),
            ("create aggregate total (int) (sfunc = int4pl, stype = int)", "drop aggregate total (int)"),
        ] {
            assert_eq!(proposed_after(begun, migration).map(|(sql, _)| sql), None, "{migration}");
        }
    }
}
