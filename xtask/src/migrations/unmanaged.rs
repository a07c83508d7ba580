//! What the target has beyond what its migrations make, as far as pending ones may reach it: tables, columns and foreign keys that somebody
//! made by hand or with another tool. A rehearsal without them would not show what becomes of their rows.

use std::collections::BTreeSet;

use postgres::Transaction;

use crate::digest::sha256;
use crate::error::Result;
use crate::migrations::stock::stock_in;
use crate::postgres::claim::CLAIM_SCHEMA;
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::history::History;
use crate::schema::mentions::Mentions;
use crate::schema::place::Place;
use crate::schema::platform;
use crate::session::groundwork::Groundwork;

/// What the target has in the schemas that pending migrations may reach.
pub struct Reached {
    schemas: Vec<String>,
    tables: Vec<Place>,
    /// With its type; of a table none.
    places: BTreeSet<(Place, Option<String>)>,
    references: Vec<Reference>,
}

/// A foreign key, and the statement that makes it.
#[derive(PartialEq, Eq)]
struct Reference {
    table: (String, String),
    name: String,
    made: String,
}

impl Reached {
    /// Of the schemas `ours`, those that `pending` names, and those with a table that refers to one of them.
    ///
    /// # Errors
    /// `failed` when the server refuses; `blocked` when a script cannot be read.
    pub fn of(connection: &mut Connection, ours: &[&str], pending: &History) -> Result<Reached> {
        connection.read(|transaction| {
            let schemas = reached(transaction, ours, pending)?;
            let stock = stock_in(transaction)?;
            let inside = |place: &Place| schemas.contains(&place.schema);
            let roots = stock.of_roots().filter(|(_, place)| inside(place));
            let places = roots.map(|(id, place)| (place, stock.kind(id).map(str::to_owned))).collect();
            let readable = stock.of_roots().filter(|(id, place)| id.1 == 0 && inside(place) && !stock.is_closed(id.0));
            let tables = readable.map(|(_, place)| place).collect();
            let references = references(transaction, &schemas)?;
            Ok(Reached { schemas, tables, places, references })
        })
    }

    /// Those whose rows this role may read.
    pub fn tables(&self) -> impl Iterator<Item = &Place> {
        self.tables.iter()
    }

    /// Names all of it, for whoever keeps what is found with it.
    pub fn digest(&self) -> String {
        let references: Vec<&str> = self.references.iter().map(|reference| reference.made.as_str()).collect();
        sha256(format!("{:?}\n{:?}\n{}", self.schemas, self.places, references.join("\n")))
    }

    /// Makes a likeness of what the database of `connection`, to which the applied migrations were applied, lacks. `target` says how.
    ///
    /// # Errors
    /// `failed` when a server cannot be reached any more.
    pub fn lay(&self, target: &mut Connection, connection: &mut Connection, schema: &str) -> Result<()> {
        let (there, known) = connection.read(|transaction| {
            let stock = stock_in(transaction)?;
            let there: BTreeSet<Place> = stock.of_roots().map(|(_, place)| place).collect();
            Ok((there, references(transaction, &self.schemas)?))
        })?;
        let missing = self.places.iter().map(|(place, _)| place).filter(|place| !there.contains(place));
        let tables: BTreeSet<(&str, &str)> =
            missing.map(|place| (place.schema.as_str(), place.table.as_str())).collect();
        let is_known = |reference: &&Reference| {
            known.iter().any(|one| (&one.table, &one.name) == (&reference.table, &reference.name))
        };
        let references = self.references.iter().filter(|reference| !is_known(reference));
        let mut skeleton = Vec::new();
        if !tables.is_empty() {
            let likenesses = target.read(|transaction| platform::likenesses_in(transaction, &self.schemas))?;
            let is_needed = |schema: &str, name: &str, is_type: bool| is_type || tables.contains(&(schema, name));
            let needed = likenesses.into_iter().filter(|one| is_needed(&one.schema, &one.name, one.is_type));
            skeleton.extend(needed.flat_map(|one| one.statements));
        }
        skeleton.extend(references.map(|reference| reference.made.clone()));
        Groundwork { skeleton, ..Groundwork::default() }.lay(connection, schema)
    }
}

fn reached(transaction: &mut Transaction<'_>, ours: &[&str], pending: &History) -> Result<Vec<String>> {
    const SCHEMAS: &str = "
        select n.nspname::text from pg_catalog.pg_namespace n
         where n.nspname not in ('information_schema', $1) and n.nspname !~ '^pg_' order by 1";
    const REFERRING: &str = "
        select distinct n.nspname::text from pg_catalog.pg_constraint k
          join pg_catalog.pg_class c on c.oid = k.conrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          join pg_catalog.pg_class o on o.oid = k.confrelid
          join pg_catalog.pg_namespace m on m.oid = o.relnamespace
         where k.contype = 'f' and m.nspname = any($1)";
    let intent = "look which schemas the migrations reach";
    let names = |rows: Vec<postgres::Row>| rows.iter().map(|row| row.get(0)).collect::<BTreeSet<String>>();
    let all = names(transaction.query(SCHEMAS, &[&CLAIM_SCHEMA]).could_not(intent)?);
    let written: BTreeSet<String> = all.iter().flat_map(|name| [name.clone(), name.to_lowercase()]).collect();
    let mentions = Mentions::of(pending.migrations.iter().map(|migration| &migration.sql), &written)?;
    let is_meant =
        |name: &&String| ours.contains(&name.as_str()) || mentions.word(name) || mentions.word(&name.to_lowercase());
    let mut reached: BTreeSet<String> = all.iter().filter(is_meant).cloned().collect();
    loop {
        let schemas: Vec<&String> = reached.iter().collect();
        let referring = names(transaction.query(REFERRING, &[&schemas]).could_not(intent)?);
        let before = reached.len();
        reached.extend(referring.into_iter().filter(|name| all.contains(name)));
        if reached.len() == before {
            return Ok(reached.into_iter().collect());
        }
    }
}

fn references(transaction: &mut Transaction<'_>, schemas: &[String]) -> Result<Vec<Reference>> {
    const REFERENCES: &str = "
        select n.nspname::text, c.relname::text, k.conname::text,
               pg_catalog.format('alter table %I.%I add constraint %I %s', n.nspname, c.relname, k.conname, pg_catalog.pg_get_constraintdef(k.oid))
          from pg_catalog.pg_constraint k
          join pg_catalog.pg_class c on c.oid = k.conrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where k.contype = 'f' and k.conparentid = 0 and n.nspname = any($1) order by 1, 2, 3";
    let rows = transaction.query(REFERENCES, &[&schemas]).could_not("look at the foreign keys")?;
    let reference =
        |row: &postgres::Row| Reference { table: (row.get(0), row.get(1)), name: row.get(2), made: row.get(3) };
    Ok(rows.iter().map(reference).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::stock::stock;
    use crate::postgres::server::Database;
    use crate::schema::history::Migration;

    const MADE: &str = "create table t (id int primary key, a int)";

    fn reached(target: &mut Database, pending: &str) -> Reached {
        let pending = History { provider: None, migrations: vec![Migration::new("2", pending)] };
        Reached::of(&mut target.connection, &["public"], &pending).unwrap()
    }

    #[test]
    fn schemas_are_reached_by_name_and_by_what_refers_to_them() {
        let mut target = Database::new();
        target.run(MADE);
        target.run(
            r#"create schema "Far"; create table "Far".a (id int references t); create schema farther; alter table "Far".a add unique (id);
               create table farther.b (id int references "Far".a (id)); create schema other; create table other.c (id int)"#,
        );
        for (pending, expected) in [
            ("select 1", &["Far", "farther", "public"][..]),
            ("drop schema if exists Other", &["Far", "farther", "other", "public"]),
            ("do 'begin execute ''truncate other.c''; end'", &["Far", "farther", "other", "public"]),
            ("-- other", &["Far", "farther", "public"]),
        ] {
            assert_eq!(reached(&mut target, pending).schemas, expected, "{pending}");
        }
    }

    #[test]
    fn what_the_target_has_beyond_is_made_and_nothing_else() {
        let (mut target, mut replayed) = (Database::new(), Database::new());
        [&mut target, &mut replayed].into_iter().for_each(|database| database.run(MADE));
        let pending = "drop schema other cascade";
        let before = reached(&mut target, pending).digest();
        target.run(
            r#"alter table t add by_hand text not null default 'x', add up int references t on delete cascade;
               create schema other; create type other.mood as enum ('glad'); create domain other."Short" as varchar(3);
               create table other."C" (id int primary key, mood other.mood, s other."Short", t int references t on delete set null);
               create table other.parts (k int) partition by list (k); create table other.part partition of other.parts default"#,
        );
        let found = reached(&mut target, pending);
        assert_ne!(found.digest(), before, "what was found before is not taken for it");
        found.lay(&mut target.connection, &mut replayed.connection, "public").unwrap();
        let tables = |database: &mut Database| {
            let stock = stock(&mut database.connection).unwrap();
            let kind = |id| stock.kind(id).unwrap_or_default().to_owned();
            stock.of_roots().map(|(id, place)| format!("{place} {}", kind(id))).collect::<BTreeSet<_>>()
        };
        assert_eq!(tables(&mut replayed), tables(&mut target));
        assert_eq!(reached(&mut replayed, pending).digest(), found.digest());
        replayed.run("insert into t (id, by_hand) values (1, 'x'); insert into t values (2, 1, 'y', 1); delete from t where id = 1");
        assert_eq!(replayed.ask::<i64>("select count(*) from t"), 0);
    }
}
