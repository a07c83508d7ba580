//! A script that leads from the catalog after a migration to the one before it, in the database in which both were seen. Where the kinds of
//! the statements do not tell in which order they succeed, the server does: they are tried, and undone.

use postgres::Transaction;

use crate::error::Result;
use crate::migrations::inventory::peek;
use crate::migrations::inverse::{Step, aside, taken_back};
use crate::migrations::look::{Look, Seen};
use crate::migrations::renames::renamed_back;
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::catalog::{Catalog, ObjectKey, quoted};
use crate::schema::history::Migration;

/// Statements may show what else is to be done: a view that was made again has lost its grants.
const PASSES: usize = 4;

/// What leads back from `now`, which is there, to `then`; None where the catalogs do not tell it.
///
/// # Errors
/// `failed` when the server cannot be asked.
pub fn proposed(
    connection: &mut Connection,
    look: &mut Look<'_>,
    migration: &Migration,
    then: Seen<'_>,
    now: Seen<'_>,
) -> Result<Option<String>> {
    let Some(renames) = renamed_back(then, now) else { return Ok(None) };
    if renames.is_empty() {
        let Some(steps) = taken_back(then.catalog, now.catalog, &migration.sql) else { return Ok(None) };
        if steps.iter().all(|step| step.rank.is_sure() && step.otherwise.is_none()) {
            return Ok(Some(script(steps.iter().map(|step| &step.sql))));
        }
    }
    look.begin(connection)?;
    let ours = connection.settings_in_transaction();
    let mut trial = connection.client().transaction().could_not("begin a transaction")?;
    let found = tried(&mut trial, look, &ours, renames, migration, then.catalog);
    trial.rollback().could_not("undo a script")?;
    look.end(connection)?;
    Ok(found?.map(|lines| script(lines.iter())))
}

fn script<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    lines.map(|line| format!("{line}\n")).collect()
}

fn tried(
    trial: &mut Transaction<'_>,
    look: &mut Look<'_>,
    ours: &str,
    renames: Vec<String>,
    migration: &Migration,
    then: &Catalog,
) -> Result<Option<Vec<String>>> {
    let mut lines = Vec::new();
    for sql in renames {
        if !runs(trial, &sql)? {
            return Ok(None);
        }
        lines.push(sql);
    }
    for _ in 0..PASSES {
        let found = peek(trial, ours, |transaction| look.catalog(transaction))?;
        let Some(steps) = taken_back(then, &found, &migration.sql) else { return Ok(None) };
        if steps.is_empty() {
            return Ok(Some(lines));
        }
        let before = lines.len();
        let mut waiting = in_order(trial, steps, &mut lines)?;
        if !waiting.is_empty()
            && let Some(views) = peek(trial, ours, |transaction| views_on(transaction, &waiting, &found))?
        {
            waiting = in_order(trial, views.into_iter().chain(waiting).collect(), &mut lines)?;
        }
        // What has run may have done a part of what waits: a column takes its key along. The next look says what is left.
        if !waiting.is_empty() && lines.len() == before {
            return Ok(None);
        }
    }
    Ok(None)
}

/// What drops the views that stand on what `steps` change; None where one is not in `found`, and would not come back.
fn views_on(transaction: &mut Transaction<'_>, steps: &[Step], found: &Catalog) -> Result<Option<Vec<Step>>> {
    const VIEWS: &str = "
        with recursive stands_on (oid) as (
            select pg_catalog.to_regclass(name)::oid from pg_catalog.unnest($1::text[]) name
            union
            select r.ev_class from stands_on s
              join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = s.oid
               and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
              join pg_catalog.pg_rewrite r on r.oid = d.objid and r.ev_class <> s.oid)
        select case c.relkind when 'm' then 'materialized view' else 'view' end, array[n.nspname, c.relname]::text[]
          from stands_on s join pg_catalog.pg_class c on c.oid = s.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('v', 'm')";
    let names: Vec<String> = steps.iter().map(|step| quoted(&step.about)).collect();
    let rows = transaction.query(VIEWS, &[&names]).could_not("look for views in the way")?;
    let changed = |key: &ObjectKey| steps.iter().any(|step| step.about == *key.path);
    let keys = rows.iter().map(|row| ObjectKey::new(row.get::<_, &str>(0), row.get(1), ""));
    let keys: Vec<ObjectKey> = keys.filter(|key| !changed(key)).collect();
    let drops = keys.iter().map(|key| aside(key, found).filter(|_| found.objects.contains_key(key)));
    Ok(drops.collect::<Option<Vec<_>>>().filter(|drops| !drops.is_empty()))
}

/// Runs `steps`, in their order as far as they succeed in it, and adds them to `lines`. Returns those that never do.
fn in_order(trial: &mut Transaction<'_>, mut steps: Vec<Step>, lines: &mut Vec<String>) -> Result<Vec<Step>> {
    loop {
        let mut waiting = Vec::new();
        for step in steps.iter().cloned() {
            match first_that_runs(trial, &step)? {
                Some(sql) => lines.push(sql),
                None => waiting.push(step),
            }
        }
        if waiting.is_empty() || waiting.len() == steps.len() {
            return Ok(waiting);
        }
        steps = waiting;
    }
}

fn first_that_runs(trial: &mut Transaction<'_>, step: &Step) -> Result<Option<String>> {
    for sql in [Some(&step.sql), step.otherwise.as_ref()].into_iter().flatten() {
        if runs(trial, sql)? {
            return Ok(Some(sql.clone()));
        }
    }
    Ok(None)
}

fn runs(trial: &mut Transaction<'_>, sql: &str) -> Result<bool> {
    let mut savepoint = trial.transaction().could_not("begin a savepoint")?;
    let runs = savepoint.batch_execute(sql).is_ok();
    let ended = if runs { savepoint.commit() } else { savepoint.rollback() };
    ended.could_not("end a savepoint")?;
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use script::statements::Version;

    use super::*;
    use crate::migrations::prints::values;
    use crate::postgres::server::Database;
    use crate::schema::drift;
    use crate::schema::replay::AsPrisma;
    use crate::session::groundwork::Groundwork;

    const PRISMA: AsPrisma<'_> = AsPrisma {
        schemas: &["public", "more"],
        release: Version::NEWEST,
        groundwork: Groundwork::NONE,
        headway: None,
    };

    /// Strangers' names, each with rows.
    const BEFORE: &str = r#"
        create schema more; create type mood as enum ('ok', 'so, so', 'it''s'); create domain age as int constraint old check (value > 0);
        create sequence tickets start 5 increment 2 cycle;
        create table "Shop" (id serial primary key, "order" text not null default 'x', "a ""b""" int, mood mood default 'ok',
          "user" age, total int generated always as (id * 2) stored, constraint "Odd" check ("a ""b""" > 0));
        create index "by order" on "Shop" ("order"); comment on column "Shop"."order" is 'what''s asked';
        create table more."select" (k int, v text, constraint s unique (k, v), primary key (k)) ;
        create table parts (k int, v int) partition by list (k); create table part1 partition of parts for values in (1);
        create table rest partition of parts default; create index on parts (v);
        create function touch() returns trigger language plpgsql as $$ begin return new; end $$;
        create function pick(int) returns int language sql as 'select $1'; create function pick(text) returns int language sql as 'select 2';
        create trigger "before" before insert or update of "order" on "Shop" for each row execute function touch();
        create view shops as select id, "order" from "Shop"; create view two as select id from shops;
        grant select on shops to reader; comment on view shops is 'all';
        alter table "Shop" enable row level security; create policy mine on "Shop" for select to reader using (id > 1);
        insert into "Shop" ("order", "a ""b""", "user") values ('a', 1, 3), ('b', null, null);
        insert into more."select" values (1, 'one'), (2, null); insert into parts values (1, 2), (7, 8)"#;

    /// The way back of `migration` after `BEFORE`, where it stands again, and what is in the tables before it and after the way back.
    fn back(migration: &str, connection: &mut Connection) -> (Option<String>, [BTreeMap<String, String>; 2]) {
        let mut look = Look::new(PRISMA);
        let rows = |connection: &mut Connection| values(connection, Duration::from_secs(60)).unwrap();
        let ((then, at_first), before) = (look.at_rest(connection).unwrap(), rows(connection));
        let run = |sql: &str, connection: &mut Connection| {
            look_at(connection)
                .client()
                .batch_execute(sql)
                .unwrap_or_else(|error| panic!("{migration}: {sql}: {error:?}"));
        };
        run(migration, connection);
        let (now, identities) = look.at_rest(connection).unwrap();
        let script = Migration::new("m".to_owned(), migration);
        let seen = Seen { catalog: &then, identities: &at_first };
        let Some(sql) =
            proposed(connection, &mut look, &script, seen, Seen { catalog: &now, identities: &identities }).unwrap()
        else {
            return (None, [before.clone(), before]);
        };
        run(&sql, connection);
        let is = look.at_rest(connection).unwrap().0;
        assert_eq!(drift::between(&then, &is).definition, [], "{migration}: {sql}");
        let after = rows(connection);
        run(migration, connection);
        let again = look.at_rest(connection).unwrap().0;
        assert_eq!(drift::between(&now, &again).definition, [], "{migration}, again");
        run(&sql, connection);
        (Some(sql), [before, after])
    }

    fn look_at(connection: &mut Connection) -> &mut Connection {
        connection.impersonate_prisma("public").unwrap();
        connection
    }

    #[test]
    fn whatever_the_kind_the_schema_comes_back_and_no_row_is_lost() {
        let mut database = Database::new();
        database.run(BEFORE);
        for migration in [
            "select 1",
            r#"alter table "Shop" rename to "Laden"; alter table "Laden" rename column "order" to "group""#,
            r#"alter table "Shop" rename column "a ""b""" to swap; alter table "Shop" rename column "order" to "a ""b""";
               alter table "Shop" rename column swap to "order""#,
            r#"alter table "Shop" rename to old; create table "Shop" (id int); create view on_new as select id from "Shop""#,
            r#"alter table more."select" set schema public; alter table "select" rename to "from""#,
            "alter table parts rename column v to w; alter table part1 rename to first",
            r#"alter index "by order" rename to "by what"; alter table "Shop" rename constraint "Odd" to odd"#,
            "alter type mood rename to feeling; alter type feeling rename value 'so, so' to 'meh'",
            "alter domain age rename constraint old to grown; alter domain age set default 4; alter domain age add check (value < 99)",
            r#"alter function pick(text) rename to choose; alter trigger "before" on "Shop" rename to b"#,
            r#"alter policy mine on "Shop" rename to ours; alter policy ours on "Shop" using (id > 2)"#,
            "alter sequence tickets rename to numbers; alter sequence numbers increment 3 no cycle",
            r#"alter table "Shop" add constraint more check (id > 0), add constraint apart exclude using btree (id with =)"#,
            r#"alter table "Shop" drop constraint "Odd""#,
            r#"alter table "Shop" drop constraint "Odd", add constraint "Odd" check ("a ""b""" > -5)"#,
            "create function pick(bool) returns int language sql as 'select 3'; create procedure p() language sql as 'select 1'",
            "drop function pick(text); create or replace function pick(int) returns int language sql as 'select 9'",
            "drop function pick(int); create function pick(int) returns text language sql as 'select $$a$$'",
            r#"create trigger after_it after delete on "Shop" for each row execute function touch(); drop trigger "before" on "Shop""#,
            r#"alter table "Shop" disable trigger "before"; alter table "Shop" force row level security"#,
            r#"create policy more on "Shop" as restrictive for all to public using (true) with check (id > 0); drop policy mine on "Shop""#,
            r#"alter table "Shop" disable row level security; alter table parts enable row level security"#,
            "create view w as select id from two; create materialized view m as select id from w; create unique index on m (id)",
            "drop view two; drop view shops",
            r#"create or replace view shops as select id, "order", mood from "Shop"; revoke select on shops from reader"#,
            r#"drop view two, shops; create view shops as select id from "Shop" where id > 3; comment on view shops is 'few'"#,
            r#"alter table "Shop" add column rank int; create or replace view shops as select id, "order", rank from "Shop""#,
            "create sequence s; create table t (id int default nextval('s')); alter sequence s owned by t.id; drop sequence tickets",
            r#"comment on table "Shop" is 'new'; comment on column "Shop"."order" is null; comment on index "by order" is 'i';
               comment on constraint "Odd" on "Shop" is 'c'"#,
            r#"grant insert, update on "Shop" to reader with grant option; grant select ("order") on "Shop" to reader;
               grant usage on sequence tickets to public"#,
            "create type pair as (a int, b text); create domain d as pair[]; create type span as range (subtype = int);
             create table t (p pair, d d, s span)",
            r#"alter table "Shop" alter "a ""b""" type bigint, alter "user" type int; alter table more."select" alter k type bigint"#,
            r#"alter table "Shop" alter mood drop default, alter mood type text, alter mood set default 'none'"#,
            r#"alter table "Shop" add column nr int generated always as identity, add column at date default now()"#,
            "create table part2 partition of parts for values in (2); create rule r as on insert to part2 do nothing",
            "create statistics st on k, v from parts; create index on parts (k); alter table parts add check (k < 100)",
            r#"create schema extra; drop schema extra;
               create table more."Order" ("select" int references more."select" on delete cascade, "Check" text)"#,
            "create extension citext; create table texts (t citext)",
            r#"alter table more."select" drop constraint "select_pkey", add column id serial not null, add constraint "select_pkey" primary key (id)"#,
        ] {
            let (sql, [before, after]) = back(migration, &mut database.connection);
            assert!(sql.is_some(), "{migration}: Prisma would be asked");
            assert_eq!(before, after, "{migration}");
        }
    }

    #[test]
    fn what_was_dropped_is_made_again_and_its_values_are_not() {
        let mut database = Database::new();
        database.run(BEFORE);
        for migration in [
            r#"drop view two, shops; drop trigger "before" on "Shop"; alter table "Shop" drop column "order""#,
            "drop table parts",
            r#"drop table more."select"; create table t (id int)"#,
        ] {
            let (sql, [before, after]) = back(migration, &mut database.connection);
            assert!(sql.is_some() && before != after, "{migration}");
        }
    }
}
