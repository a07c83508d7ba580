//! What down scripts do, tried in throw-away databases before they run for real: once where there are no rows, which says what they drop
//! and what schema they leave, and once where every table has some, which says whose rows and values they change.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use script::row_changes::{Told, row_changes};
use script::text::Text;

use crate::error::{Failure, Result};
use crate::migrations::awaited::Awaited;
use crate::migrations::descent::{Descent, Known, Scripts, descent};
use crate::migrations::down::{Down, try_out_and};
use crate::migrations::draft::complete;
use crate::migrations::harm::Harm;
use crate::migrations::inventory::Inventory;
use crate::migrations::losses::{Removal, holds_its_default, removals};
use crate::migrations::prints::{Prints, prints_of_few};
use crate::migrations::rehearsed::{Left, Rehearsal};
use crate::migrations::stock::{Id, Stock, schemas_of, stock, stock_in};
use crate::migrations::untried::{self, Tried};
use crate::migrations::witness::{self, Operation, Write};
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::filler::fill_empty;
use crate::schema::history::{History, Migration};
use crate::schema::place::Place;
use crate::schema::replay::{AsPrisma, apply_all, apply_with, in_throw_away_database};
use postgres::{Row, Transaction};

/// Rows that each empty table gets: enough to see a change, few enough to cost nothing.
const ROWS: u64 = 20;

/// For each statement of a script on made-up rows. One that takes longer is tried where there are no rows, and not again.
const LIMIT: Duration = Duration::from_secs(5);

/// The server of the throw-away databases.
pub struct Workplace<'a> {
    /// Opens a session that may create databases.
    pub connect: &'a (dyn Fn() -> Result<Connection> + Sync),
    /// Opens one in a database of that server.
    pub open: &'a (dyn Fn(&str) -> Result<Connection> + Sync),
    /// Replays that act on the whole server are in each other's way.
    pub one_at_a_time: bool,
}

/// Replays `history` in throw-away databases and takes its last migrations back with what `scripts` know.
///
/// # Errors
/// `blocked`, naming the migration, when a script does not run or cannot run inside a transaction; what `scripts` say.
pub fn rehearse(
    place: &Workplace<'_>,
    history: &History,
    prisma: AsPrisma<'_>,
    scripts: &dyn Scripts,
) -> Result<(Vec<Down>, Rehearsal)> {
    let plain = |give: &dyn Fn(&[Down])| without_rows(place, history, prisma, scripts, give);
    let filled =
        |downs: &Awaited| with_rows(&mut (place.connect)()?, place.open, history, prisma, scripts.count(), downs);
    if place.one_at_a_time {
        let (downs, rehearsal) = plain(&|_| {})?;
        let harms = filled(&Awaited::of(downs.clone()))?;
        return Ok((downs, merged(rehearsal, harms)));
    }
    let awaited = &Awaited::default();
    std::thread::scope(|scope| {
        let filled = &filled;
        // The database with rows gets ready while the scripts are found.
        let beside = scope.spawn(move || filled(awaited));
        let found = awaited.fill(plain);
        let harms = beside.join().unwrap_or_else(|_| Err(Failure::bug("a rehearsal panicked")));
        let (downs, rehearsal) = found?;
        let harms = match awaited.get()? == downs {
            true => harms?,
            // One that was given did not lead back.
            false => filled(&Awaited::of(downs.clone()))?,
        };
        Ok((downs, merged(rehearsal, harms)))
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
    let left = |rehearsal: &Rehearsal| {
        rehearsal.rehearsed.iter().enumerate().find_map(|(at, down)| down.left.clone().map(|left| (at, left)))
    };
    while let Some((at, Left { expected, found })) = left(&rehearsal) {
        if drafted.iter().any(|draft| draft.migration == downs[at].migration) {
            let left = rehearsal.rehearsed[at].leftovers();
            return Ok((drafted, left.iter().map(ToString::to_string).collect()));
        }
        downs[at] = complete(&downs[at], &expected, &found);
        drafted.push(downs[at].clone());
        rehearsal = match without_rows(place, history, prisma, &downs, &|_| {}) {
            Ok((_, rehearsal)) => rehearsal,
            Err(failure) => return Ok((drafted, failure.causes().collect())),
        };
    }
    Ok((drafted, Vec::new()))
}

/// Prisma is asked between two databases, never beside one: a migration may act on the whole server.
fn without_rows(
    place: &Workplace<'_>,
    history: &History,
    prisma: AsPrisma<'_>,
    scripts: &dyn Scripts,
    give: &dyn Fn(&[Down]),
) -> Result<(Vec<Down>, Rehearsal)> {
    let mut known = Known::of(scripts)?;
    loop {
        let went = in_throw_away_database(&mut (place.connect)()?, place.open, prisma, |connection| {
            descent(connection, history, prisma, scripts, &mut known, give)
        })?;
        match went {
            Descent::Whole(rehearsal) => {
                let downs = known.all().ok_or_else(|| Failure::bug("a migration without a way back"))?;
                return Ok((downs, rehearsal));
            }
            Descent::Missing(missing) => known.ask(scripts, &missing)?,
            Descent::Stopped(_, failure) => return Err(failure),
        }
    }
}

/// What each script takes away where there are rows, as far as they run there: made-up rows may be in a script's way where no others
/// would be, and what they do not show, the real run looks for.
fn with_rows(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    prisma: AsPrisma<'_>,
    count: usize,
    downs: &Awaited,
) -> Result<Vec<Vec<Removal>>> {
    in_throw_away_database(admin, open, prisma, |connection| {
        apply_all(connection, &history.migrations, prisma)?;
        let mut watch = Watch::begin(connection, ROWS)?;
        let mut harms: Vec<Vec<Removal>> = Vec::new();
        for down in downs.get()? {
            let Ok(after) = try_out_and(connection, down, prisma.schemas, Some(LIMIT), at_its_end) else {
                return Ok(harms);
            };
            harms.push(watch.scripted(connection, after)?);
        }
        let last = &history.migrations[history.migrations.len() - count..];
        if apply_all(connection, last, prisma).is_ok() {
            connection.read(|transaction| {
                let there = stock_in(transaction)?;
                for removal in harms.iter_mut().flatten().filter(|one| one.is_drop() && one.then.column.is_some()) {
                    if holds_its_default(transaction, &there, &removal.then)? {
                        removal.harm = Harm::DropsDefault;
                    }
                }
                Ok(())
            })?;
        }
        Ok(harms)
    })
}

/// Makes what the target has beyond what its migrations make, in a database to which those were applied, and names the tables.
pub type Lay<'a> = &'a dyn Fn(&mut Connection) -> Result<Vec<Place>>;

/// Migrations that are yet to be applied.
pub struct Pending<'a> {
    pub history: &'a History,
    /// What the text of each says.
    pub told: Vec<Told>,
}

impl Pending<'_> {
    /// # Errors
    /// A script cannot be read.
    pub fn of(history: &History) -> Result<Pending<'_>> {
        let told = history.migrations.iter().map(|migration| row_changes(&migration.sql));
        Ok(Pending { history, told: told.collect::<std::result::Result<_, _>>()? })
    }
}

/// What the `pending` migrations take away from what `applied` made, and from what is `unmanaged`. Where made-up rows are in the way of one,
/// what it and the ones after it drop and retype is found without rows; where a likeness of the unmanaged is, without that: what is said of
/// those tables was not tried then.
///
/// # Errors
/// `failed`, naming the migration, when one of `applied` does not apply.
pub fn foresee(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    (applied, unmanaged): (&History, Lay<'_>),
    pending: &Pending<'_>,
    prisma: AsPrisma<'_>,
) -> Result<Vec<Removal>> {
    let laid = RefCell::new(Vec::new());
    let lay = |connection: &mut Connection| unmanaged(connection).inspect(|tables| *laid.borrow_mut() = tables.clone());
    let mut found = Vec::new();
    for (is_laid, rows) in [(true, ROWS), (true, 0), (false, ROWS), (false, 0)] {
        let known = found.len();
        if known == pending.history.migrations.len() || (!is_laid && laid.borrow().is_empty()) {
            break;
        }
        let lay: Lay<'_> = if is_laid { &lay } else { &|_| Ok(Vec::new()) };
        let seen = forward(admin, &open, (applied, lay), pending, prisma, rows)?;
        found.extend(seen.into_iter().skip(known));
        if !is_laid {
            for (migration, found) in pending.history.migrations.iter().zip(&mut found).skip(known) {
                found.extend(untried::reached_by(&migration.sql, &laid.borrow())?);
            }
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// What each of `pending` takes away, as far as they apply to a database with so many rows in each table.
fn forward(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    (applied, unmanaged): (&History, Lay<'_>),
    pending: &Pending<'_>,
    prisma: AsPrisma<'_>,
    rows: u64,
) -> Result<Vec<Vec<Removal>>> {
    in_throw_away_database(admin, open, prisma, |connection| {
        apply_all(connection, &applied.migrations, prisma)?;
        unmanaged(connection)?;
        let mut watch = Watch::begin(connection, rows)?;
        let empty = connection.read(|transaction| tables_without_rows(transaction, &watch.born))?;
        witness::watch(connection, &watch.born)?;
        let mut harms = Vec::new();
        let work = prisma.counts(pending.told.len());
        for (at, (migration, told)) in pending.history.migrations.iter().zip(&pending.told).enumerate() {
            work.step(at + 1, &migration.name);
            let Ok(heard) = Heard::of(connection, migration, told, prisma) else { break };
            let before = watch.present.0.stock.clone();
            let seen = heard.named(&before, watch.step(connection)?);
            let script = Tried { script: &migration.sql, told, untold: &heard.untold, before: &before };
            harms.push([script.untried(&watch.born, &empty, &seen)?, seen].concat());
        }
        Ok(harms)
    })
}

/// What a migration wrote to while it was applied.
struct Heard {
    all: BTreeSet<Write>,
    /// By statements of which the text does not tell it.
    untold: BTreeSet<Write>,
}

impl Heard {
    /// Applies `migration`.
    fn of(connection: &mut Connection, migration: &Migration, told: &Told, prisma: AsPrisma<'_>) -> Result<Heard> {
        let (mut all, mut untold) = (BTreeSet::new(), BTreeSet::new());
        let applied = apply_with(connection, migration, prisma, |connection, statement| {
            if told.is_all || row_changes(&Text::from(statement.text.as_str()))?.is_all {
                return Ok(connection.client().batch_execute(&statement.text));
            }
            all.extend(witness::heard(connection));
            let answer = connection.client().batch_execute(&statement.text);
            untold.extend(witness::heard(connection));
            Ok(answer)
        });
        applied.map_err(|refused| refused.failure)?;
        all.extend(witness::heard(connection));
        all.extend(&untold);
        Ok(Heard { all, untold })
    }

    /// Values of `seen` that are others since rows were deleted and others came, and none was updated, are rows that were deleted.
    fn named(&self, before: &Stock, seen: Vec<Removal>) -> Vec<Removal> {
        let does = |table: u32, operation: Operation| {
            self.all
                .iter()
                .any(|write| write.met && write.operation == operation && before.root(write.relation) == table)
        };
        let tables =
            before.tables().filter(|(table, _)| does(*table, Operation::Deletes) && !does(*table, Operation::Updates));
        let deleted_from: BTreeSet<&Place> = tables.map(|(_, place)| place).collect();
        let mut named: Vec<Removal> = Vec::new();
        for mut removal in seen {
            let table = removal.then.of_table();
            if removal.harm == Harm::Changes && deleted_from.contains(&table) {
                let now = removal.now.as_ref().map(Place::of_table);
                removal = Removal { then: table, now, harm: Harm::Deletes };
            }
            if !named.contains(&removal) {
                named.push(removal);
            }
        }
        named
    }
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

/// What a script did to the database of its transaction, when nothing of it is put off any more.
fn at_its_end(transaction: &mut Transaction<'_>) -> Result<(Inventory, bool)> {
    transaction.batch_execute("set constraints all immediate").could_not("end what a script put off")?;
    Ok((Inventory::read(transaction)?, true))
}

/// A database with rows while scripts run in it.
struct Watch {
    born: Stock,
    present: (Inventory, Prints),
}

impl Watch {
    fn begin(connection: &mut Connection, rows: u64) -> Result<Watch> {
        if rows > 0 {
            let schemas = schemas_of(&stock(connection)?);
            let schemas: Vec<&str> = schemas.iter().map(String::as_str).collect();
            fill_empty(connection, &schemas, &[], rows)?;
        }
        let present = connection.read(|transaction| {
            let inventory = Inventory::read(transaction)?;
            let prints = prints_of_few(transaction, &inventory.stock, None, None)?;
            Ok((inventory, prints))
        })?;
        Ok(Watch { born: present.0.stock.clone(), present })
    }

    /// What the script that just ran took away.
    fn step(&mut self, connection: &mut Connection) -> Result<Vec<Removal>> {
        let (after, found, as_before) = connection.read(|transaction| {
            let after = Inventory::read(transaction)?;
            let (found, as_before) = self.prints(transaction, &after.stock, None)?;
            Ok((after, found, as_before))
        })?;
        Ok(self.went(after, found, &as_before))
    }

    /// As `step`, of a script that ran in one transaction, at whose end `after` was seen: what it did not write to is as it was.
    fn scripted(&mut self, connection: &mut Connection, after: Inventory) -> Result<Vec<Removal>> {
        let (before, prints) = &self.present;
        let written: BTreeSet<u32> = after.written(before).filter(|table| !after.stock.is_closed(*table)).collect();
        let (found, as_before) = match written.is_empty() {
            true => Default::default(),
            false => connection.read(|transaction| self.prints(transaction, &after.stock, Some(&written)))?,
        };
        let [found, as_before] = [found, as_before].map(|some| some.beside(prints, &written, &after.stock));
        Ok(self.went(after, found, &as_before))
    }

    /// What is in the tables now, as it reads, and as it read under the types of before.
    fn prints(
        &self,
        transaction: &mut Transaction<'_>,
        after: &Stock,
        only: Option<&BTreeSet<u32>>,
    ) -> Result<(Prints, Prints)> {
        let before = &self.present.0.stock;
        let as_before = prints_of_few(transaction, after, only, Some(before))?;
        let found = match before.retyped(after).next() {
            Some(_) => prints_of_few(transaction, after, only, None)?,
            None => as_before.clone(),
        };
        Ok((found, as_before))
    }

    fn went(&mut self, after: Inventory, found: Prints, as_before: &Prints) -> Vec<Removal> {
        let (before, prints) = &self.present;
        let removals = removals(&self.born, (&before.stock, prints), (&after.stock, as_before));
        self.present = (after, found);
        removals
    }
}

#[cfg(test)]
mod tests {
    use script::statements::Version;

    use super::*;
    use crate::migrations::down::Origin;
    use crate::postgres::server::open_as;
    use crate::schema::history::Migration;

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
        rehearse(&place, &history, PRISMA, &downs).unwrap().1
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
