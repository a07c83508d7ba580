//! What pending migrations would take away from the target, known before they run: the rehearsal on made-up rows says what they drop,
//! empty, retype and change, their own UPDATEs and DELETEs say which rows they are about, and the target says how many there are.

use std::path::PathBuf;

use postgres::Transaction;
use script::row_changes::RowChange;

use crate::digest::sha256;
use crate::error::Result;
use crate::files;
use crate::migrations::by_text::by_their_text;
use crate::migrations::harm::Harm;
use crate::migrations::losses::{Loss, Removal, losses};
use crate::migrations::rehearsal::{Pending, foresee};
use crate::migrations::unmanaged::Reached;
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::history::{History, Migration};
use crate::schema::place::Place;
use crate::schema::platform;
use crate::schema::replay::cache_key;
use crate::schema::scratch_server;
use crate::session::Session;

/// What the migrations `pending` would take away now, with what is in it; where it is empty, too.
///
/// # Errors
/// `failed` when an applied migration does not apply to an empty database, or the server refuses.
pub fn forecast(session: &Session<'_>, history: &History, applied: &[String], pending: &[String]) -> Result<Vec<Loss>> {
    if pending.is_empty() {
        return Ok(Vec::new());
    }
    foreseen(session, &history.only(applied), &history.only(pending))
}

/// What the script `name`, which is no migration, would take away from what `applied` made and from what is there beside that.
///
/// # Errors
/// As `forecast`.
pub fn forecast_of_script(
    session: &Session<'_>,
    history: &History,
    applied: &[String],
    (name, sql): (&str, &str),
) -> Result<Vec<Loss>> {
    let script = History { provider: None, migrations: vec![Migration::new(name, sql)] };
    foreseen(session, &history.only(applied), &script)
}

fn foreseen(session: &Session<'_>, before: &History, after: &History) -> Result<Vec<Loss>> {
    let reached = Reached::of(&mut session.connection(), &session.target.schemas(), after)?;
    if !session.connection().read(|transaction| holds_rows(transaction, &reached))? {
        return Ok(Vec::new());
    }
    let after = Pending::of(after)?;
    let removals = removals(session, before, &after, &reached)?;
    counted(&mut session.connection(), &session.target.dsn().schema, &removals, after)
}

/// What of `removals`, and of what the text of `pending` says, is there now.
fn counted(connection: &mut Connection, schema: &str, removals: &[Removal], pending: Pending<'_>) -> Result<Vec<Loss>> {
    let found = losses(connection, removals)?;
    let is_all = pending.told.iter().all(|told| told.is_all);
    let changes: Vec<RowChange> = pending.told.into_iter().flat_map(|told| told.changes).collect();
    let by_text = connection.read(|transaction| by_their_text(transaction, schema, &changes))?;
    Ok(merged(found, by_text, is_all))
}

/// Where the text tells all, what a condition counts is exact; else the larger number counts. What is dropped anyway is not named
/// beside that.
fn merged(found: Vec<Loss>, counted: Vec<Loss>, is_all: bool) -> Vec<Loss> {
    let kind = |harm: &Harm| match harm {
        Harm::Retypes(_) => Harm::Changes,
        other => other.clone(),
    };
    let is_same =
        |one: &Loss, other: &Loss| kind(&one.removal.harm) == kind(&other.removal.harm) && one.place() == other.place();
    let mut merged: Vec<Loss> =
        found.into_iter().filter(|loss| !is_all || !counted.iter().any(|one| is_same(one, loss))).collect();
    for loss in counted {
        let table = Place { column: None, ..loss.place().clone() };
        let is_gone = |one: &Loss| one.removal.is_drop() && (*one.place() == table || one.place() == loss.place());
        if merged.iter().any(is_gone) {
            continue;
        }
        match merged.iter_mut().find(|one| is_same(one, &loss)) {
            Some(known) if is_all => known.values = (known.values + loss.values).min(known.rows),
            Some(known) => {
                known.values = known.values.max(loss.values);
                known.is_exact = false;
            }
            None => merged.push(loss),
        }
    }
    merged
}

fn holds_rows(transaction: &mut Transaction<'_>, reached: &Reached) -> Result<bool> {
    let looks: Vec<String> =
        reached.tables().map(|place| format!("exists (select from {})", place.relation())).collect();
    if looks.is_empty() {
        return Ok(false);
    }
    let row = transaction.query_one(&format!("select {}", looks.join(" or ")), &[]);
    Ok(row.could_not("look whether there are rows")?.get(0))
}

/// Depends on the history and on what tables are there, and on nothing that is in them, so it is kept.
fn removals(
    session: &Session<'_>,
    applied: &History,
    pending: &Pending<'_>,
    reached: &Reached,
) -> Result<Vec<Removal>> {
    let file = kept_as(session, applied, pending.history, reached)?;
    if let Some(known) = std::fs::read(&file).ok().and_then(|json| serde_json::from_slice(&json).ok()) {
        return Ok(known);
    }
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let migrations = applied.migrations.iter().chain(&pending.history.migrations).cloned().collect();
    let whole = History { migrations, ..applied.clone() };
    let schema = &session.target.dsn().schema;
    let lay = |connection: &mut Connection| reached.lay(&mut session.connection(), connection, schema);
    let removals = scratch_server::open(session, &whole, |workshop| {
        foresee(&mut workshop.connect()?, |name| workshop.connect_to(name), (applied, &lay), pending, prisma)
    })?;
    if let Ok(json) = serde_json::to_vec(&removals) {
        files::keep(&file, &json);
    }
    Ok(removals)
}

fn kept_as(session: &Session<'_>, applied: &History, pending: &History, reached: &Reached) -> Result<PathBuf> {
    let schemas = session.target.schemas();
    let histories = sha256(format!("forecast 5\n{}\n{}\n{}", applied.digest(), pending.digest(), reached.digest()));
    let key = cache_key(&histories, session.identity.major_version(), platform::as_prisma(session, &schemas)?);
    Ok(session.settings.private_dir().join("forecasts").join(format!("{key}.json")))
}

#[cfg(test)]
mod tests {
    use script::statements::Version;

    use super::*;
    use crate::postgres::server::{Database, open_as};
    use crate::schema::replay::AsPrisma;
    use crate::session::groundwork::Groundwork;

    const TABLES: &str = "
        create type mood as enum ('sad', 'meh', 'glad');
        create table t (id int primary key, name text, code varchar(20), price numeric(10, 4), at timestamptz, mood mood, n bigint, f float8);
        create table other (id int primary key, t_id int references t on delete cascade);
        create schema trail; create table trail.step (id int primary key, what text);
        create table permit (code text primary key check (code ~ '^[A-Z]{3}-[0-9]{4}-x$'), note text);
        create sequence counter; create materialized view sums as select count(*) as n from t";

    /// Ten rows each; `name` is null in one, `code` is long in three, `price` has four decimals in four, one `at` has a time of day, two are
    /// glad, three `n` are large, five `f` have a fraction. No row of `permit` can be made up. There is always a table with rows beside.
    const ROWS: &str = "
        insert into t select i, case when i > 1 then 'n' || i end, case when i > 7 then 'a long code' else 'c' end,
               case when i > 6 then 1.2345 else 1.5 end, timestamptz '2026-01-01 00:00:00+00' + case when i = 5 then interval '1 hour' else '0' end,
               case when i > 8 then 'glad' else 'sad' end::mood, case when i > 7 then 5000000000 else i end,
               case when i > 5 then i + 0.5 else i end
          from generate_series(1, 10) i;
        insert into other select i, i from generate_series(1, 10) i;
        insert into trail.step select i, 'x' from generate_series(1, 10) i;
        insert into permit select 'ABC-' || 1000 + i || '-x', 'n' from generate_series(1, 10) i";
    const BESIDE: &str = "create table beside as select 1 as a";

    /// Migrations, and what they take away from filled tables.
    const SHAPES: [(&str, &[&str]); 61] = [
        ("drop table other", &[r#"table "public"."other": 10 rows"#]),
        ("drop table t cascade", &[r#"table "public"."t": 10 rows"#]),
        ("alter table t drop column name", &[r#"column "public"."t"."name": 9 values that are not null, in 10 rows"#]),
        ("alter table t alter price type numeric(10, 2)", &[r#"column "public"."t"."price": 4 values that do not survive `numeric(10,2)`, in 10 rows"#]),
        ("alter table t alter code type varchar(4) using left(code, 4)", &[r#"column "public"."t"."code": 3 values are changed, in 10 rows"#]),
        ("alter table t alter n type int using (n % 1000)", &[r#"column "public"."t"."n": 3 values are changed, in 10 rows"#]),
        ("alter table t alter f type int using round(f)", &[r#"column "public"."t"."f": 5 values are changed, in 10 rows"#]),
        ("alter table t alter at type date", &[r#"column "public"."t"."at": 1 values that do not survive `date`, in 10 rows"#]),
        ("alter table t add column title text; alter table t drop column name", &[r#"column "public"."t"."name": 9 values that are not null, in 10 rows"#]),
        ("alter table t rename name to title", &[]),
        ("update t set name = 'same' where id > 4", &[r#"column "public"."t"."name": 6 values are changed, in 10 rows"#]),
        ("delete from trail.step where id <= 3", &[r#"table "trail"."step": 3 of 10 rows are deleted"#]),
        ("truncate t cascade", &[r#"table "public"."t": 10 of 10 rows are deleted"#, r#"table "public"."other": 10 of 10 rows are deleted"#]),
        // In the way of which made-up rows are.
        ("insert into t (id) values (1), (2), (3); delete from t", &[r#"table "public"."t": 10 of 10 rows are deleted"#, r#"table "public"."other": 10 of 10 rows are deleted"#]),
        ("truncate other, trail.step", &[r#"table "public"."other": 10 of 10 rows are deleted"#, r#"table "trail"."step": 10 of 10 rows are deleted"#]),
        ("delete from t where id < 3", &[r#"table "public"."t": 2 of 10 rows are deleted"#, r#"table "public"."other": 2 of 10 rows are deleted"#]),
        ("alter table t alter at type timestamptz(0); alter table t alter code type varchar(4) using left(code, 4)", &[r#"column "public"."t"."code": 3 values are changed, in 10 rows"#]),
        ("alter table t alter n type int using 7", &[r#"column "public"."t"."n": 9 values are changed, in 10 rows"#]),
        ("update t set name = o.id::text from other o where o.t_id = t.id and o.id = 8", &[r#"column "public"."t"."name": 1 values are changed, in 10 rows"#]),
        ("alter table t rename to u; update u set name = 'new'", &[r#"column "public"."t"."name": values are changed, of 9 that are not null in 10 rows"#]),
        ("create type mood_new as enum ('sad', 'meh'); update t set mood = 'meh' where mood = 'glad';
         alter table t alter mood type mood_new using mood::text::mood_new; drop type mood; alter type mood_new rename to mood", &[r#"column "public"."t"."mood": 2 values are changed, in 10 rows"#]),
        ("create type mood_new as enum ('sad', 'meh');
         alter table t alter mood type mood_new using (case mood when 'glad' then 'meh' else mood::text end)::mood_new;
         drop type mood; alter type mood_new rename to mood", &[r#"column "public"."t"."mood": 2 values are changed, in 10 rows"#]),
        ("alter type mood rename to mood_old; create type mood as enum ('sad', 'glad', 'new');
         alter table t alter mood type mood using (mood::text::mood)", &[]),
        ("drop schema trail cascade", &[r#"table "trail"."step": 10 rows"#]),
        ("drop materialized view sums; drop sequence counter", &[]),
        ("insert into t (id, name) values (3, 'new'), (11, 'more') on conflict (id) do update set name = excluded.name", &[r#"column "public"."t"."name": 1 values are changed, in 10 rows"#]),
        ("do $$ begin execute 'delete from ' || quote_ident('other'); end $$", &[r#"table "public"."other": rows are deleted, of 10"#]),
        ("do $$ declare r record; begin for r in select id from t where id > 6 loop update t set f = 0 where id = r.id; end loop; end $$", &[r#"column "public"."t"."f": values are changed, of 10 that are not null in 10 rows"#]),
        ("create table u as select * from t; drop table t cascade; alter table u rename to t", &[r#"table "public"."t": 10 rows"#]),
        ("alter table t add column extra int default 3; update t set extra = 4", &[]),
        ("update t set name = 'was null' where name is null", &[]),
        ("alter table t alter price type numeric(14, 6), alter code type varchar(200), alter id type bigint", &[]),
        ("alter table other set schema trail; insert into t (id) values (99); create index t_name on t (name)", &[]),
        ("insert into t (id, name) values (3, 'new') on conflict do nothing", &[]),
        ("insert into t (id, name) select id + 100, 'more' from t; update t set code = 'd' where id = 5", &[r#"column "public"."t"."code": 1 values are changed, in 10 rows"#]),
        ("do $$ begin insert into t (id) values (99); update t set code = 'd' where id = 5; end $$", &[r#"column "public"."t"."code": values are changed, of 10 that are not null in 10 rows"#]),
        ("do $$ begin execute 'delete from permit'; end $$", &[r#"table "public"."permit": what is done to its 10 rows could not be tried"#]),
        ("update permit set note = 'm' where code < 'ABC-1004'", &[r#"column "public"."permit"."note": 3 values are changed, in 10 rows"#]),
        ("do $$ begin perform 1; end $$; alter table permit add column more text", &[r#"table "public"."permit": what is done to its 10 rows could not be tried"#]),
        ("do $$ begin perform 1; end $$; grant usage on schema public to public", &[]),
        ("do $$ begin perform 1; end $$; create function permitted() returns int language sql as 'select 1'", &[]),
        ("merge into trail.step s using (values (1)) v (id) on s.id = v.id when matched then delete", &[r#"table "trail"."step": 1 of 10 rows are deleted"#]),
        // What no made-up row meets.
        ("delete from t where name = 'n7'", &[r#"table "public"."t": 1 of 10 rows are deleted"#, r#"table "public"."other": 1 of 10 rows are deleted"#]),
        ("insert into trail.step values (3, 'new'), (4, 'x'), (11, 'new') on conflict (id) do update set what = excluded.what", &[r#"column "trail"."step"."what": 1 values are changed, in 10 rows"#]),
        ("insert into trail.step as s values (3, 'new') on conflict on constraint step_pkey do update set what = s.what || 'er'", &[r#"column "trail"."step"."what": 1 values are changed, in 10 rows"#]),
        ("insert into trail.step values (3, 'x'), (11, 'new') on conflict (id) do update set what = excluded.what", &[]),
        ("insert into t (id, mood, at) values (9, 'sad', '2026-01-01') on conflict (id) do update set mood = excluded.mood where t.at < excluded.at + interval '1 day'", &[r#"column "public"."t"."mood": 1 values are changed, in 10 rows"#]),
        ("merge into t using (values ('n3')) v (name) on t.name = v.name when matched and t.id < 0 then delete when matched then update set name = 'no' when not matched then insert (id) values (99)", &[r#"column "public"."t"."name": 1 values are changed, in 10 rows"#]),
        ("merge into t using (values (1)) v (id) on t.id = v.id when not matched then insert (id) values (99)", &[]),
        ("with gone as (delete from trail.step where what = 'x' returning id) select count(*) from gone", &[r#"table "trail"."step": what is done to its 10 rows could not be tried"#]),
        ("do $$ begin delete from trail.step where what = 'x'; end $$", &[r#"table "trail"."step": what is done to its 10 rows could not be tried"#]),
        ("do $$ declare r text; begin for r in select 'step' loop execute format('update trail.%I set what = null where what = ''x''', r); end loop; end $$", &[r#"table "trail"."step": what is done to its 10 rows could not be tried"#]),
        ("do $$ begin if exists (select from trail.step where what = 'x') then delete from trail.step; end if; end $$", &[r#"table "trail"."step": what is done to its 10 rows could not be tried"#]),
        ("create function gone() returns void language sql as $$ delete from trail.step where what = 'x' $$; select gone()", &[r#"table "trail"."step": what is done to its 10 rows could not be tried"#]),
        ("update t set (name, code) = (select 'a', 'b') where name = 'n7'", &[r#"table "public"."t": what is done to its 10 rows could not be tried"#]),
        // And what is nobody's loss.
        ("do $$ begin perform 1; end $$; alter table t add extra int; update t set extra = 1 where extra is null; alter table t alter extra set not null", &[]),
        ("do $$ begin alter table other add constraint o_name unique (id, t_id); exception when duplicate_table then null; end $$; alter table trail.step add other int references other on delete set null on update cascade", &[]),
        ("do $$ begin perform 1; end $$; update trail.step set what = 'y' where what = 'x' and id > 8", &[r#"column "trail"."step"."what": 2 values are changed, in 10 rows"#]),
        ("do $$ begin perform 1; end $$; delete from trail.step where what = 'y'", &[]),
        // Rows that go, while others come.
        ("insert into trail.step values (11, 'new'); delete from trail.step where id = 3", &[r#"table "trail"."step": 1 of 10 rows are deleted"#]),
        ("do $$ begin delete from trail.step where id = 3; insert into trail.step values (103, 'new'); end $$", &[r#"table "trail"."step": rows are deleted, of 10"#]),
    ];

    fn target(rows: &str) -> Database {
        let mut target = Database::new();
        [TABLES, BESIDE, rows, "refresh materialized view sums"].iter().for_each(|sql| target.run(sql));
        target
    }

    /// What the migration `up` would take away from each of `targets`, each as a sentence with its rows and values.
    fn named(up: &str, targets: &mut [Database; 2]) -> [Vec<String>; 2] {
        let history = |name: &str, sql: &str| History { provider: None, migrations: vec![Migration::new(name, sql)] };
        let (applied, pending) = (history("1", TABLES), history("2", up));
        let prisma =
            AsPrisma { schemas: &["public"], release: Version::NEWEST, groundwork: Groundwork::NONE, headway: None };
        let open = |name: &str| Ok(open_as("migrator", name));
        let nothing = |_: &mut Connection| Ok(Vec::new());
        let told = || Pending::of(&pending).unwrap();
        let mut admin = open_as("migrator", "postgres");
        let removals = foresee(&mut admin, open, (&applied, &nothing), &told(), prisma).unwrap();
        targets.each_mut().map(|target| {
            let found = counted(&mut target.connection, "public", &removals, told()).unwrap();
            found.iter().filter(|loss| loss.values > 0).map(ToString::to_string).collect()
        })
    }

    #[test]
    fn every_shape_of_loss_is_named_with_its_values_where_there_are_rows_and_not_asked_for_where_there_are_none() {
        let mut targets = [target(""), target(ROWS)];
        for (up, expected) in SHAPES {
            let [empty, found] = named(up, &mut targets);
            assert_eq!(empty, [""; 0], "on empty tables: {up}");
            assert_eq!(found, expected, "{up}");
        }
    }

    /// A table, columns, a foreign key and a trigger that no migration made.
    const BY_HAND: &str = "
        create schema shed; create table shed.tool (id int); insert into shed.tool values (1), (2);
        create table hand (id serial primary key, what text not null, at timestamptz not null default now(), t int references t on delete cascade);
        insert into hand (what, t) values ('a', 1), ('b', 2), ('b', 3);
        alter table t add extra int not null default 5";
    const FILLED_BY_A_TRIGGER: &str = "
        alter table t add filled int; update t set filled = 1; alter table t alter filled set not null;
        create function fill() returns trigger language plpgsql as $$ begin new.filled := 1; return new; end $$;
        create trigger fill before insert on t for each row execute function fill()";

    /// What `up` would take away from `target`.
    fn named_beyond(up: &str, target: &mut Database) -> Vec<String> {
        let history = |name: &str, sql: &str| History { provider: None, migrations: vec![Migration::new(name, sql)] };
        let (applied, pending) = (history("1", TABLES), history("2", up));
        let prisma =
            AsPrisma { schemas: &["public"], release: Version::NEWEST, groundwork: Groundwork::NONE, headway: None };
        let open = |name: &str| Ok(open_as("migrator", name));
        let reached = Reached::of(&mut target.connection, &["public"], &pending).unwrap();
        let connection = std::cell::RefCell::new(&mut target.connection);
        let lay = |laid: &mut Connection| reached.lay(&mut connection.borrow_mut(), laid, "public");
        let told = || Pending::of(&pending).unwrap();
        let mut admin = open_as("migrator", "postgres");
        let removals = foresee(&mut admin, open, (&applied, &lay), &told(), prisma).unwrap();
        let found = counted(&mut target.connection, "public", &removals, told()).unwrap();
        found.iter().filter(|loss| loss.values > 0).map(ToString::to_string).collect()
    }

    #[test]
    fn what_no_migration_made_is_named_too_and_is_in_nobodys_way() {
        let mut target = target(ROWS);
        target.run(BY_HAND);
        for (up, expected) in [
            ("drop table if exists hand", &[r#"table "public"."hand": 3 rows"#][..]),
            ("drop schema if exists shed cascade", &[r#"table "shed"."tool": 2 rows"#]),
            (
                "insert into t (id) values (77); alter table t drop column if exists extra",
                &[r#"column "public"."t"."extra": 10 values that are not null, in 10 rows"#],
            ),
            (
                "insert into hand (what) values ('c'); delete from hand where what = 'b'",
                &[r#"table "public"."hand": 2 of 3 rows are deleted"#],
            ),
            (
                "delete from t where id = 2",
                &[
                    r#"table "public"."t": 1 of 10 rows are deleted"#,
                    r#"table "public"."hand": 1 of 3 rows are deleted"#,
                    r#"table "public"."other": 1 of 10 rows are deleted"#,
                ],
            ),
            ("alter table t add more int", &[]),
        ] {
            assert_eq!(named_beyond(up, &mut target), expected, "{up}");
        }
        target.run(FILLED_BY_A_TRIGGER);
        for (up, expected) in [
            (
                "insert into t (id) values (77); drop table if exists hand",
                &[
                    r#"table "public"."hand": what is done to its 3 rows could not be tried"#,
                    r#"table "public"."t": what is done to its 10 rows could not be tried"#,
                ][..],
            ),
            (
                "insert into t (id) values (77); drop schema if exists shed cascade",
                &[
                    r#"table "public"."t": what is done to its 10 rows could not be tried"#,
                    r#"table "shed"."tool": what is done to its 2 rows could not be tried"#,
                ],
            ),
        ] {
            assert_eq!(named_beyond(up, &mut target), expected, "{up}");
        }
    }
}
