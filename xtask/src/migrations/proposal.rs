//! A script that leads from the catalog after a migration to the one before it, in the database in which both were seen. Where the kinds of
//! the statements do not tell in which order they succeed, the server does: they are tried, and undone.

use postgres::{Row, Transaction};

use crate::error::Result;
use crate::migrations::inventory::peek;
use crate::migrations::inverse::{Told, aside, taken_back};
use crate::migrations::look::{Look, Seen};
use crate::migrations::renames::{brought_back, goes_with_its_table, renamed_back};
use crate::migrations::step::Step;
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::catalog::{Catalog, ObjectKey, quoted};
use crate::schema::history::Migration;

/// Statements may show what else is to be done: a view that was made again has lost its grants.
const PASSES: usize = 6;

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
    let told = Told::by(&migration.sql)?;
    if renames.is_empty() {
        let Some(steps) = taken_back(then.catalog, now.catalog, &told) else { return Ok(None) };
        if steps.iter().all(|step| step.rank.is_sure() && step.otherwise.is_empty()) {
            return Ok(Some(script(steps.iter().map(|step| &step.sql))));
        }
    }
    look.begin(connection)?;
    let ours = connection.settings_in_transaction();
    let mut trial = connection.client().transaction().could_not("begin a transaction")?;
    let found = tried(&mut trial, look, &ours, &told, (then, now), renames);
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
    told: &Told,
    (then, now): (Seen<'_>, Seen<'_>),
    renames: Vec<String>,
) -> Result<Option<Vec<String>>> {
    let Some(mut lines) = moved_and_renamed(trial, look, ours, (then, now), renames)? else { return Ok(None) };
    let then = then.catalog;
    for _ in 0..PASSES {
        let found = peek(trial, ours, |transaction| look.catalog(transaction))?;
        let Some(steps) = taken_back(then, &found, told) else { return Ok(None) };
        if steps.is_empty() {
            return Ok(Some(lines));
        }
        let before = lines.len();
        let mut waiting = in_order(trial, steps, &mut lines)?;
        // What has run may have done what waits: a column takes its key along. The next look says what is left.
        if !waiting.is_empty()
            && lines.len() == before
            && let Some(views) = peek(trial, ours, |transaction| views_on(transaction, &waiting, &found))?
        {
            waiting = in_order(trial, views.into_iter().chain(waiting).collect(), &mut lines)?;
        }
        if !waiting.is_empty() && lines.len() == before {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Runs what brings everything back into its schema and under its name; None where the server refuses that.
fn moved_and_renamed(
    trial: &mut Transaction<'_>,
    look: &mut Look<'_>,
    ours: &str,
    (then, now): (Seen<'_>, Seen<'_>),
    renames: Vec<String>,
) -> Result<Option<Vec<String>>> {
    let moved = elsewhere(trial, ours, look, then, now)?;
    if moved.is_empty() {
        return Ok(run_all(trial, &renames)?.then_some(renames));
    }
    let Some(mut lines) = brought_back(&moved, now.catalog) else { return Ok(None) };
    if !run_all(trial, &lines)? {
        return Ok(None);
    }
    // What they hold may have other names, too.
    let (catalog, identities) = peek(trial, ours, |transaction| look.identified(transaction))?;
    let now = Seen { catalog: &catalog, identities: &identities };
    let Some(renames) = renamed_back(then, now) else { return Ok(None) };
    let runs = run_all(trial, &renames)?;
    lines.extend(renames);
    Ok(runs.then_some(lines))
}

/// What was moved into a schema that is not looked at, and where it is.
fn elsewhere<'a>(
    trial: &mut Transaction<'_>,
    ours: &str,
    look: &Look<'_>,
    then: Seen<'a>,
    now: Seen<'_>,
) -> Result<Vec<(&'a ObjectKey, [String; 2])>> {
    // A function's name is not told by itself.
    const PLACES: &str = "
        select a.at::int4 - 1, (pg_catalog.parse_ident(o.schema))[1], (pg_catalog.parse_ident(o.name))[1]
          from pg_catalog.unnest($1::text[]) with ordinality a (address, at)
         cross join lateral pg_catalog.pg_identify_object(pg_catalog.to_regclass('pg_catalog.' || pg_catalog.split_part(a.address, ' ', 1)),
                                                          pg_catalog.split_part(a.address, ' ', 2)::oid, 0) o
         where o.schema is not null and o.schema !~ '^pg_'";
    let is_free = |key: &ObjectKey| key.path.len() == 2 && !goes_with_its_table(key, then.catalog);
    let gone: Vec<_> = look.gone(then, now).into_iter().filter(|(key, _)| is_free(key)).collect();
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    let addresses: Vec<&str> = gone.iter().map(|(_, address)| address.as_str()).collect();
    let rows =
        peek(trial, ours, |transaction| transaction.query(PLACES, &[&addresses]).could_not("look for what was moved"))?;
    let place = |row: &Row| {
        let (key, _) = gone.get(usize::try_from(row.get::<_, i32>(0)).ok()?)?;
        let name: Option<String> = row.get(2);
        Some((*key, [row.get(1), name.unwrap_or_else(|| key.path[1].clone())]))
    };
    Ok(rows.iter().filter_map(place).collect())
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
    for sql in [&step.sql].into_iter().chain(&step.otherwise) {
        if runs(trial, sql)? {
            return Ok(Some(sql.clone()));
        }
    }
    Ok(None)
}

fn run_all(trial: &mut Transaction<'_>, statements: &[String]) -> Result<bool> {
    for sql in statements {
        if !runs(trial, sql)? {
            return Ok(false);
        }
    }
    Ok(true)
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
        create table counted (id int not null, old int generated always as identity, nr serial, plain int, made int generated always as (plain * 2) stored,
          big bigint generated by default as identity (start 10 increment 5), t text);
        create index on counted (made); create statistics on id, plain from counted; create policy open on counted using (true);
        create table base (a int, b text); create table heir (c int) inherits (base); create unlogged table quick (id int) with (fillfactor = 80);
        create table quick_ids (id int primary key); insert into quick_ids select generate_series(1, 9);
        create function log_ddl() returns event_trigger language plpgsql as $$ begin end $$; create sequence loose;
        create event trigger guard on ddl_command_end when tag in ('CREATE CAST', 'CREATE DOMAIN') execute function log_ddl();
        create publication everything for all tables with (publish = 'insert'); create schema aside;
        create table ranged (k int not null, v int default nextval('loose'), primary key (k)) partition by range (k);
        alter table ranged add check (v > -9), add unique (k, v), add foreign key (v) references quick_ids; create index on ranged (v);
        create table low partition of ranged for values from (0) to (100); create publication there for table only base (a) where (a > 1), more."select";
        create type "Odd Kind" as enum ('a', 'b'); create type other_kind as enum ('a'); create type "order" as enum ('a');
        create table kinds (id int primary key, k "Odd Kind" not null default 'a', ks "Odd Kind"[] default '{b}', o other_kind, w "order" default 'a', check (k <> 'b' or id > 1));
        create table kinds_by (id int, k "Odd Kind" default 'b') partition by list (id); create table kinds_1 partition of kinds_by for values in (1);
        create index some_kinds on kinds (id) where k = 'a'; create index on kinds (k); create index on kinds (o);
        create view kinds_seen as select k, count(*) from kinds group by k; grant select on kinds_seen to reader; comment on type "Odd Kind" is 'odd';
        create materialized view kinds_kept as select * from kinds_seen; create unique index on kinds_kept (k);
        create function is_odd("Odd Kind") returns boolean immutable language sql as 'select $1 = $$a$$'; grant usage on type "Odd Kind" to reader;
        create function next_kind(k text) returns text language sql as $$ select 'a'::"Odd Kind"::text $$;
        create policy odd on kinds using (k = 'a'); create trigger odd before update on kinds for each row when (new.k = 'b') execute function touch();
        insert into kinds values (1, 'a', '{a,b}', 'a', 'a'), (2, 'b', null, null, null); insert into kinds_by values (1, 'a');
        insert into counted (id, plain, t) select i, i, 'x' from generate_series(1, 7) i; insert into heir values (1, 'b', 2);
        insert into quick values (1), (2); insert into ranged (k) values (1), (2), (3);
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
        assert_eq!(behind(connection), [""; 0], "{migration}: {sql}");
        run(migration, connection);
        let again = look.at_rest(connection).unwrap().0;
        assert_eq!(drift::between(&now, &again).definition, [], "{migration}, again");
        run(&sql, connection);
        (Some(sql), [before, after])
    }

    /// Columns that hold what their sequence would give next, or more.
    fn behind(connection: &mut Connection) -> Vec<String> {
        const COUNTED: &str = "
            with counting as (
                select refobjid as relation, refobjsubid as number, objid as sequence from pg_depend where deptype in ('a', 'i')
                union
                select f.adrelid, f.adnum, d.refobjid from pg_depend d join pg_attrdef f on f.oid = d.objid
                 where d.classid = 'pg_attrdef'::regclass)
            select format('select %L from %s having max(%I) >= (select last_value + is_called::int from %s)', a.attname, c.relation::regclass,
                          a.attname, s.oid::regclass)
              from counting c join pg_class s on s.oid = c.sequence and s.relkind = 'S'
              join pg_attribute a on a.attrelid = c.relation and a.attnum = c.number and a.attnum > 0";
        let rows = |sql: &str, connection: &mut Connection| connection.client().query(sql, &[]).unwrap();
        let questions: Vec<String> = rows(COUNTED, connection).iter().map(|row| row.get(0)).collect();
        assert!(questions.len() > 4);
        questions.iter().flat_map(|sql| rows(sql, connection)).map(|row| row.get(0)).collect()
    }

    fn look_at(connection: &mut Connection) -> &mut Connection {
        connection.impersonate_prisma("public").unwrap();
        connection
    }

    fn all_come_back(migrations: &[&str]) {
        let mut database = Database::new();
        database.run(BEFORE);
        for migration in migrations {
            let (sql, [before, after]) = back(migration, &mut database.connection);
            assert!(sql.is_some(), "{migration}: Prisma would be asked");
            assert_eq!(before, after, "{migration}");
        }
    }

    #[test]
    fn whatever_the_kind_the_schema_comes_back_and_no_row_is_lost() {
        all_come_back(&[
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
        ]);
    }

    #[test]
    fn whatever_an_alter_changes_is_as_it_was_and_what_counts_goes_on() {
        all_come_back(&[
            "alter table counted alter made set expression as (plain * 3)",
            "alter table counted drop column made; alter table counted add column made int",
            "alter table counted alter made drop expression, alter made set default 5, alter made set not null",
            "alter table counted alter old drop identity; alter table counted alter old set default 9",
            "alter table counted alter old set generated by default, alter big set increment 7",
            "alter table counted alter big drop identity; alter table counted alter big drop not null",
            "alter table counted alter id add generated by default as identity (sequence name \"an odd name\" start 50 cycle)",
            "alter table counted alter nr drop default; drop sequence counted_nr_seq; alter table counted alter nr add generated always as identity (start 90)",
            "alter table counted alter nr drop default; drop sequence counted_nr_seq",
            "alter table ranged alter v drop default; drop sequence loose",
            "alter table counted alter t set storage external, alter t set compression pglz, alter t set statistics 50, alter plain set (n_distinct = 5)",
            "alter table counted set (fillfactor = 70, toast.autovacuum_enabled = off); alter table quick reset (fillfactor)",
            "alter table counted set unlogged; alter table quick set logged, set (autovacuum_enabled = off, fillfactor = 60)",
            r#"alter table counted replica identity full; alter table more."select" replica identity using index "select_pkey"; alter table quick replica identity nothing"#,
            r#"alter table more."select" cluster on "select_pkey""#,
            r#"alter type "Odd Kind" add value 'c'; alter type mood add value 'neu' before 'ok'; alter type "order" add value 'b'"#,
            r#"alter type "Odd Kind" add value 'c'; alter table kinds alter o type "Odd Kind" using o::text::"Odd Kind", alter k drop default;
               alter table kinds add column more "Odd Kind" default 'b'; create view on_c as select id from kinds where k = 'b';
               create table on_kind (k "Odd Kind" primary key); drop function next_kind; alter table kinds add check (more <> 'a')"#,
            "alter table counted add column a_first int, add column total int generated always as (a_first * 2) stored, add column last int",
            "alter table base add column z int default 4; alter table base alter b type varchar(9), alter b set default 'x'",
            "create table heirs () inherits (base); alter table ranged detach partition low",
            "alter table ranged detach partition low; alter table low add check (k < 99); create index on low (k, v); alter table low drop constraint low_k_v_key",
            "create table high (k int not null primary key, v int, constraint ranged_v_check check (v > -9)); alter table ranged attach partition high for values from (100) to (200)",
            "alter table ranged detach partition low; alter table ranged attach partition low for values from (0) to (50)",
            "alter table counted set schema more",
            r#"alter table counted set schema aside; alter table aside.counted rename to "An archive"; alter type mood set schema aside;
               alter function pick(text) set schema aside; alter sequence tickets set schema aside; create sequence tickets"#,
            r#"drop view two, shops; alter table "Shop" rename column "order" to swap; alter table "Shop" rename column "a ""b""" to "order";
               alter table "Shop" rename column swap to "a ""b"""; alter table "Shop" set schema aside; create view "Shop" as select 1 as id"#,
            "create publication late for table counted; alter publication there set table only base (b) where (a > 5); alter publication there add table counted",
            "alter publication there set (publish = 'update', publish_via_partition_root = true); drop publication everything",
            "drop publication everything; create publication everything; drop event trigger guard",
            "alter event trigger guard disable; alter statistics counted_id_plain_stat set statistics 9",
            "drop event trigger guard; create event trigger guard on sql_drop execute function log_ddl()",
            "create cast (bigint as point) with inout; create extension hstore schema aside",
            "alter table counted alter t type text collate \"C\"",
            "alter publication there drop table more.\"select\"; create event trigger watch on ddl_command_end execute function log_ddl()",
            "create foreign data wrapper own; create server away foreign data wrapper own; create user mapping for current_user server away",
            r#"create operator "more".=== (function = int4eq, leftarg = int, rightarg = int); create cast (mood as int) with inout;
               create collation more."by case" (provider = icu, locale = 'und'); create text search configuration words (copy = simple);
               create text search dictionary list (template = simple); create type hull;
               create function fresh(int) returns int language sql as 'select 1'; create operator more.@@ (function = fresh, rightarg = int)"#,
        ]);
    }

    #[test]
    fn what_was_dropped_is_made_again_and_its_values_are_not() {
        let mut database = Database::new();
        database.run(BEFORE);
        for migration in [
            r#"drop view two, shops; drop trigger "before" on "Shop"; alter table "Shop" drop column "order""#,
            "drop table parts",
            "alter table base drop column b",
            "alter table counted drop column plain cascade; alter table counted add column plain int generated always as (id + 1) stored",
            r#"drop table more."select"; create table t (id int)"#,
        ] {
            let (sql, [before, after]) = back(migration, &mut database.connection);
            assert!(sql.is_some() && before != after, "{migration}");
        }
    }
}
