//! What down scripts do, tried in throw-away databases before they run for real: once where there are no rows, which says what they drop
//! and what schema they leave, and once where every table has some, which says whose rows and values they change.

use std::time::Duration;

use postgres::{Row, Transaction};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Result};
use crate::migrations::awaited::Awaited;
use crate::migrations::down::{Down, try_out};
use crate::migrations::draft::complete;
use crate::migrations::harm::Harm;
use crate::migrations::losses::{Removal, holds_its_default, removals};
use crate::migrations::prints::{Prints, prints_of_few};
use crate::migrations::stock::{Id, Stock, schemas_of, stock, stock_in};
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::filler::fill_empty;
use crate::schema::catalog::Catalog;
use crate::schema::drift;
use crate::schema::external::managed;
use crate::schema::history::History;
use crate::schema::place::Place;
use crate::schema::replay::{AsPrisma, apply, apply_all, apply_each, in_throw_away_database};
use crate::schema::row_changes::row_changes;

/// Rows that each empty table gets: enough to see a change, few enough to cost nothing.
const ROWS: u64 = 20;

/// For each statement of a script on made-up rows. One that takes longer is tried where there are no rows, and not again.
const LIMIT: Duration = Duration::from_secs(5);

/// One step of a rehearsal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RehearsedDown {
    pub removals: Vec<Removal>,
    /// The catalog of the history without the migration.
    pub expected: Catalog,
    /// What the script made of the history with it.
    pub found: Catalog,
}

impl RehearsedDown {
    pub fn leaves(&self) -> bool {
        !drift::between(&self.expected, &self.found).definition.is_empty()
    }
}

/// What a throw-away database says of some down scripts before they run for real.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The catalog of the whole history.
    pub start: Catalog,
    /// In the order of the scripts.
    pub rehearsed: Vec<RehearsedDown>,
    /// Every script ran where there are rows, too, in its time.
    pub had_rows: bool,
}

/// The server of the throw-away databases.
pub struct Workplace<'a> {
    /// Opens a session that may create databases.
    pub connect: &'a (dyn Fn() -> Result<Connection> + Sync),
    /// Opens one in a database of that server.
    pub open: &'a (dyn Fn(&str) -> Result<Connection> + Sync),
    /// Replays that act on the whole server are in each other's way.
    pub one_at_a_time: bool,
}

/// Replays `history` in throw-away databases and takes its last `count` migrations back with what `downs` answers, newest first. Prisma is
/// the slowest here, so the databases get ready while it thinks.
///
/// # Errors
/// `blocked`, naming the migration, when a script does not run or cannot run inside a transaction; what `downs` says.
pub fn rehearse(
    place: &Workplace<'_>,
    history: &History,
    prisma: AsPrisma<'_>,
    count: usize,
    downs: impl FnOnce() -> Result<Vec<Down>>,
) -> Result<(Vec<Down>, Rehearsal)> {
    let awaited = Awaited::new(count);
    let plain = || without_rows(&mut (place.connect)()?, place.open, history, prisma, &awaited);
    let filled = || with_rows(&mut (place.connect)()?, place.open, history, prisma, &awaited);
    if place.one_at_a_time {
        let downs = awaited.fill(downs)?;
        return Ok((downs, merged(plain()?, filled()?)));
    }
    std::thread::scope(|scope| {
        let (plain, filled) = (scope.spawn(plain), scope.spawn(filled));
        let downs = awaited.fill(downs);
        let plain = plain.join().unwrap_or_else(|_| Err(Failure::bug("a rehearsal panicked")));
        let filled = filled.join().unwrap_or_else(|_| Err(Failure::bug("a rehearsal panicked")));
        Ok((downs?, merged(plain?, filled?)))
    })
}

/// What a script drops is told without rows; to whose loss, with rows.
fn merged(mut rehearsal: Rehearsal, harms: Vec<Vec<Removal>>) -> Rehearsal {
    rehearsal.had_rows = harms.len() == rehearsal.rehearsed.len();
    for (rehearsed, harms) in rehearsal.rehearsed.iter_mut().zip(harms) {
        let (dropped, changed): (Vec<_>, Vec<_>) = harms.into_iter().partition(Removal::is_drop);
        rehearsed.removals.retain(Removal::is_drop);
        for removal in &mut rehearsed.removals {
            let is_it = |one: &&Removal| one.then == removal.then && one.harm == Harm::DropsDefault;
            removal.harm = dropped.iter().find(is_it).map_or(Harm::Drops, |one| one.harm.clone());
        }
        rehearsed.removals.extend(changed);
    }
    rehearsal
}

/// Scripts that leave nothing, drafted for those of `downs` that do by `rehearsal`, and tried in turn; what the last draft still leaves,
/// each as a sentence.
///
/// # Errors
/// As `rehearse`, but for a draft that does not run: that is told as what it leaves.
pub fn drafts(
    place: &Workplace<'_>,
    history: &History,
    prisma: AsPrisma<'_>,
    downs: &[Down],
    rehearsal: &Rehearsal,
) -> Result<(Vec<Down>, Vec<String>)> {
    let mut drafted: Vec<Down> = Vec::new();
    let mut downs = downs.to_vec();
    let mut rehearsal = rehearsal.clone();
    while let Some(at) = rehearsal.rehearsed.iter().position(RehearsedDown::leaves) {
        if drafted.iter().any(|draft| draft.migration == downs[at].migration) {
            let left = drift::between(&rehearsal.rehearsed[at].expected, &rehearsal.rehearsed[at].found).definition;
            return Ok((drafted, left.iter().map(ToString::to_string).collect()));
        }
        let RehearsedDown { expected, found, .. } = &rehearsal.rehearsed[at];
        downs[at] = complete(&downs[at], expected, found);
        drafted.push(downs[at].clone());
        let tried = Awaited::of(downs.clone());
        rehearsal = match without_rows(&mut (place.connect)()?, place.open, history, prisma, &tried) {
            Ok(rehearsal) => rehearsal,
            Err(failure) => return Ok((drafted, failure.causes().collect())),
        };
    }
    Ok((drafted, Vec::new()))
}

fn without_rows(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    prisma: AsPrisma<'_>,
    downs: &Awaited,
) -> Result<Rehearsal> {
    let schemas = prisma.schemas;
    in_throw_away_database(admin, open, prisma, |connection| {
        let (kept, last) = history.migrations.split_at(history.migrations.len() - downs.count);
        apply_all(connection, kept, prisma)?;
        let seen = |connection: &mut _| managed(connection, schemas, &prisma.groundwork.external);
        let mut points = vec![seen(connection)?];
        apply_each(connection, last, prisma, |connection| {
            points.push(seen(connection)?);
            Ok(())
        })?;
        let start = points.pop().ok_or_else(|| Failure::bug("a history without an end"))?;
        let born = stock(connection)?;
        let mut present = born.clone();
        let mut rehearsed = Vec::new();
        let work = prisma.counts(downs.count);
        for (at, down) in downs.get()?.iter().enumerate() {
            work.step(at + 1, &down.migration);
            let expected = points.pop().ok_or_else(|| Failure::bug("more down scripts than migrations"))?;
            try_out(connection, down, schemas, None)?;
            let after = stock(connection)?;
            let empty = Prints::default();
            let removals = removals(&born, (&present, &empty), (&after, &empty));
            present = after;
            rehearsed.push(RehearsedDown { removals, expected, found: seen(connection)? });
        }
        Ok(Rehearsal { start, rehearsed, had_rows: false })
    })
}

/// What each script takes away where there are rows, as far as they run there: made-up rows may be in a script's way where no others
/// would be, and what they do not show, the real run looks for.
fn with_rows(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    prisma: AsPrisma<'_>,
    downs: &Awaited,
) -> Result<Vec<Vec<Removal>>> {
    in_throw_away_database(admin, open, prisma, |connection| {
        apply_all(connection, &history.migrations, prisma)?;
        let mut watch = Watch::begin(connection, ROWS)?;
        let mut harms: Vec<Vec<Removal>> = Vec::new();
        for down in downs.get()? {
            if try_out(connection, down, prisma.schemas, Some(LIMIT)).is_err() {
                return Ok(harms);
            }
            harms.push(watch.step(connection)?);
        }
        let last = &history.migrations[history.migrations.len() - downs.count..];
        if apply_all(connection, last, prisma).is_ok() {
            connection.read(|transaction| {
                for removal in harms.iter_mut().flatten().filter(|one| one.is_drop() && one.then.column.is_some()) {
                    if holds_its_default(transaction, &removal.then)? {
                        removal.harm = Harm::DropsDefault;
                    }
                }
                Ok(())
            })?;
        }
        Ok(harms)
    })
}

/// What the `pending` migrations take away from what `applied` made. Where made-up rows are in the way of one, what it and the ones after
/// it drop and retype is found without rows.
///
/// # Errors
/// `failed`, naming the migration, when one of `applied` does not apply.
pub fn foresee(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    applied: &History,
    pending: &History,
    prisma: AsPrisma<'_>,
) -> Result<Vec<Removal>> {
    let mut found = forward(admin, &open, applied, pending, prisma, ROWS)?;
    if found.len() < pending.migrations.len() {
        let rest = forward(admin, &open, applied, pending, prisma, 0)?;
        let known = found.len();
        found.extend(rest.into_iter().skip(known));
    }
    Ok(found.into_iter().flatten().collect())
}

/// What each of `pending` takes away, as far as they apply to a database with so many rows in each table.
fn forward(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    applied: &History,
    pending: &History,
    prisma: AsPrisma<'_>,
    rows: u64,
) -> Result<Vec<Vec<Removal>>> {
    in_throw_away_database(admin, open, prisma, |connection| {
        apply_all(connection, &applied.migrations, prisma)?;
        let mut watch = Watch::begin(connection, rows)?;
        let empty = connection.read(|transaction| tables_without_rows(transaction, &watch.born))?;
        let mut harms = Vec::new();
        let work = prisma.counts(pending.migrations.len());
        for (at, migration) in pending.migrations.iter().enumerate() {
            work.step(at + 1, &migration.name);
            if apply(connection, migration, prisma).is_err() {
                break;
            }
            let seen = watch.step(connection)?;
            harms.push([untried(&migration.sql, &empty, &seen), seen].concat());
        }
        Ok(harms)
    })
}

/// Tables in which no row could be made, or whose rows are hidden: what a script does to the rows of the target does not show there.
fn tables_without_rows(transaction: &mut Transaction<'_>, stock: &Stock) -> Result<Vec<Place>> {
    let tables: Vec<_> = stock.of_roots().filter(|(_, place)| place.column.is_none()).collect();
    let look = |(at, (id, place)): (usize, &(Id, Place))| match stock.is_closed(id.0) {
        true => format!("select {at}"),
        false => format!("select {at} where not exists (select from {})", place.relation()),
    };
    let looks: Vec<String> = tables.iter().enumerate().map(look).collect();
    let found = if looks.is_empty() { Ok(Vec::new()) } else { transaction.query(&looks.join(" union all "), &[]) };
    let at = |row: Row| row.get::<_, i32>(0).unsigned_abs() as usize;
    Ok(found.could_not("look for tables without rows")?.into_iter().map(|row| tables[at(row)].1.clone()).collect())
}

/// What `script` may do to rows that were not there to show it, unless its text says all that it does.
fn untried(script: &str, empty: &[Place], seen: &[Removal]) -> Vec<Removal> {
    if empty.is_empty() || row_changes(script).1 {
        return Vec::new();
    }
    let text = script.to_lowercase();
    let may_change = MOVERS.into_iter().any(|word| holds_word(&text, word));
    let is_named = |place: &&Place| may_change && holds_word(&text, &place.table.to_lowercase());
    let is_gone = |place: &Place| seen.iter().any(|one| one.is_drop() && one.now.as_ref() == Some(place));
    let untried = empty.iter().filter(is_named).filter(|place| !is_gone(place));
    untried.map(|place| Removal { then: place.clone(), now: Some(place.clone()), harm: Harm::Untried }).collect()
}

pub fn holds_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_whole = |at: usize| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part);
    text.match_indices(word).any(|(at, _)| is_whole(at))
}

/// Without one of these words a script changes no row that is there.
const MOVERS: [&str; 10] =
    ["update", "delete", "truncate", "merge", "do", "execute", "call", "select", "perform", "using"];

/// A database with rows while scripts run in it.
struct Watch {
    born: Stock,
    present: (Stock, Prints),
}

impl Watch {
    fn begin(connection: &mut Connection, rows: u64) -> Result<Watch> {
        if rows > 0 {
            let schemas = schemas_of(&stock(connection)?);
            let schemas: Vec<&str> = schemas.iter().map(String::as_str).collect();
            fill_empty(connection, &schemas, &[], rows)?;
        }
        let present = connection.read(|transaction| {
            let stock = stock_in(transaction)?;
            let prints = prints_of_few(transaction, &stock, None)?;
            Ok((stock, prints))
        })?;
        Ok(Watch { born: present.0.clone(), present })
    }

    /// What the script that just ran took away.
    fn step(&mut self, connection: &mut Connection) -> Result<Vec<Removal>> {
        let (before, prints) = &self.present;
        let (after, found, as_before) = connection.read(|transaction| {
            let after = stock_in(transaction)?;
            let as_before = prints_of_few(transaction, &after, Some(before))?;
            let found = match before.retyped(&after).next() {
                Some(_) => prints_of_few(transaction, &after, None)?,
                None => as_before.clone(),
            };
            Ok((after, found, as_before))
        })?;
        let removals = removals(&self.born, (before, prints), (&after, &as_before));
        self.present = (after, found);
        Ok(removals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::down::Origin;
    use crate::postgres::server::open_as;
    use crate::schema::history::Migration;
    use crate::schema::statements::Version;

    const PRISMA: AsPrisma<'_> = AsPrisma {
        schemas: &["public"],
        release: Version::NEWEST,
        groundwork: crate::session::groundwork::Groundwork::NONE,
        headway: None,
    };

    fn down(sql: &str) -> Down {
        Down { migration: "b".to_owned(), sql: sql.to_owned(), origin: Origin::Written }
    }

    fn migrations(scripts: &[&str]) -> Vec<Migration> {
        scripts.iter().enumerate().map(|(n, sql)| Migration::new(format!("{n}"), *sql)).collect()
    }

    fn rehearsed(scripts: &[&str], downs: &[&str]) -> Rehearsal {
        let history = History { provider: None, migrations: migrations(scripts) };
        let downs: Vec<Down> = downs.iter().map(|sql| down(sql)).collect();
        let place = Workplace {
            connect: &|| Ok(open_as("migrator", "postgres")),
            open: &|name| Ok(open_as("migrator", name)),
            one_at_a_time: false,
        };
        rehearse(&place, &history, PRISMA, downs.len(), || Ok(downs.clone())).unwrap().1
    }

    #[test]
    fn the_rehearsal_names_what_goes_by_its_name_of_today() {
        let rehearsal = rehearsed(
            &["create table a (id int)", "alter table a rename to b"],
            &["alter table b rename to a", "drop table a"],
        );
        assert_eq!(rehearsal.rehearsed[0].removals, []);
        let [removal] = rehearsal.rehearsed[1].removals.as_slice() else {
            panic!("{:?}", rehearsal.rehearsed[1].removals)
        };
        assert_eq!((removal.then.table.as_str(), removal.now.as_ref().unwrap().table.as_str()), ("a", "b"));
    }

    /// What taking `up` back with `down` takes away, after a migration that made some tables.
    fn harms(up: &str, down: &str) -> Vec<String> {
        let tables = "create table t (a int, b float8, c text); create schema other; create table other.u (d int)";
        let rehearsal = rehearsed(&[tables, up], &[down]);
        let [rehearsed] = rehearsal.rehearsed.as_slice() else { panic!("{:?}", rehearsal.rehearsed) };
        rehearsed.removals.iter().map(|one| format!("{} {:?}", one.then, one.harm)).collect()
    }

    #[test]
    fn what_a_script_does_to_rows_is_known_beforehand_whatever_the_schema() {
        for (up, down, expected) in [
            ("select 1", "drop schema other cascade", r#"table "other"."u" Drops"#),
            ("select 1", "delete from other.u where d < 3", r#"table "other"."u" Deletes"#),
            ("select 1", "truncate t", r#"table "public"."t" Deletes"#),
            ("select 1", "update t set b = b + 1 where a = 1", r#"column "public"."t"."b" Changes"#),
            ("select 1", "alter table t alter b type int", r#"column "public"."t"."b" Retypes("integer")"#),
            ("select 1", "alter table t alter b type int using 0", r#"column "public"."t"."b" Changes"#),
            ("alter table t add e int default 7", "alter table t drop e", r#"column "public"."t"."e" DropsDefault"#),
            (
                "alter table t add e timestamptz default now()",
                "alter table t drop e",
                r#"column "public"."t"."e" Drops"#,
            ),
            (
                "alter table t add e int; alter table t alter e set default 7",
                "alter table t drop e",
                r#"column "public"."t"."e" Drops"#,
            ),
            ("alter table t add e serial", "alter table t drop e", r#"column "public"."t"."e" Drops"#),
        ] {
            assert_eq!(harms(up, down), [expected], "{up}; {down}");
        }
        for (up, down) in [("select 1", "alter table t add x int default 1"), ("insert into t values (9)", "select 1")]
        {
            assert_eq!(harms(up, down), [""; 0], "{up}; {down}");
        }
    }

    #[test]
    fn a_script_that_made_up_rows_are_in_the_way_of_is_rehearsed_without_them() {
        let removals = harms("select 1", "alter table t drop c; alter table t add constraint x check (a is null)");
        assert_eq!(removals, [r#"column "public"."t"."c" Drops"#]);
    }
}
