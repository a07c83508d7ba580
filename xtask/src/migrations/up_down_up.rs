//! Every migration up, down and up again in a throw-away database, with rows in it: whether a history can go back is
//! known before it is needed.
//!
//! Rows are compared by a sum of hashes for each column, which no order of rows changes. Only what was there before a
//! migration counts: what is written into a new column is lost with the column, and everybody expects that. Where there
//! was no value to compare, a table or column that is dropped and made again counts as lost: in doubt, not reversible.
//! A migration that the made-up rows are in the way of is tried without them.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Failure, Result};
use crate::evidence::impact::Impact;
use crate::migrations::down::{Down, try_out};
use crate::migrations::impact::apply_measured;
use crate::migrations::in_the_way::InTheWay;
use crate::migrations::look::Look;
use crate::migrations::prints::{Print, prints_in};
use crate::migrations::stock::stock_in;
use crate::postgres::connection::Connection;
use crate::schema::catalog::{Catalog, Concern, Difference, diff};
use crate::schema::history::{History, Migration};
use crate::schema::place::Place;
use crate::schema::replay::{AsPrisma, apply, apply_all, in_throw_away_database};

/// Rows that each table gets before a migration touches it: enough for a hash, few enough to cost nothing.
const ROWS: u64 = 20;

/// What became of one migration.
#[derive(Debug, Default)]
pub struct MigrationTrial {
    pub migration: String,
    /// What down did not undo, or what the second up made otherwise.
    pub leftovers: Vec<Difference>,
    /// Rows and values from before the migration that did not come back, each as a sentence.
    pub lost: Vec<String>,
    /// Why down, or up for the second time, did not run.
    pub failure: Option<Failure>,
    /// Tables that had no rows to lose, each as a sentence.
    pub unproven: Vec<String>,
    /// What each statement of it did when it was applied first.
    pub impacts: Vec<Impact>,
    /// The tables that were there before it.
    pub tables: BTreeSet<String>,
    /// Which tables had to be empty for it to apply, and why, each as a sentence.
    pub needs_empty: Vec<String>,
}

impl MigrationTrial {
    /// What it has made itself is empty.
    pub fn works_on_what_was_there(&self) -> bool {
        let mut works_on = self.impacts.iter().flat_map(Impact::works_on);
        works_on.any(|table| self.tables.contains(table))
    }

    fn is_clean(&self) -> bool {
        self.leftovers.is_empty() && self.failure.is_none()
    }
}

/// Takes every migration of `history` up, down and up again, oldest first. `downs` are its scripts, oldest first; `go_on`
/// is asked before each statement.
///
/// # Errors
/// `failed` when a migration applies neither to rows nor to an empty database; whatever `go_on` says.
pub fn rehearse_all(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    downs: &[Down],
    prisma: AsPrisma<'_>,
    go_on: impl Fn() -> Result<()>,
) -> Result<Vec<MigrationTrial>> {
    let mut trials: Vec<MigrationTrial> = Vec::new();
    let mut in_the_way = InTheWay::default();
    let work = prisma.headway.cloned().unwrap_or_default().steps(history.migrations.len());
    // A database in which something went wrong does not serve any more: what comes next starts from a fresh replay.
    while trials.len() < history.migrations.len() {
        in_throw_away_database(admin, &open, prisma, |connection| {
            apply_all(connection, &history.migrations[..trials.len()], prisma)?;
            let mut look = Look::new(prisma);
            for (migration, down) in history.migrations.iter().zip(downs).skip(trials.len()) {
                go_on()?;
                work.step(trials.len() + 1, &migration.name);
                let unproven = in_the_way.fill_others(connection, prisma.schemas, ROWS)?;
                let before = State::read(connection, &mut look)?;
                let impacts = match apply_measured(connection, migration, prisma, &go_on) {
                    Ok(impacts) => impacts,
                    Err(refused) => return in_the_way.widen(*refused, &before.filled(prisma.schemas)),
                };
                let needs_empty = std::mem::take(&mut in_the_way).told(&before.filled(prisma.schemas));
                let trial = down_and_up(connection, migration, down, &before, &mut look)?;
                let tables = before.rows.keys().map(Place::full_table_name).collect();
                trials.push(MigrationTrial { unproven, needs_empty, impacts, tables, ..trial });
                if !trials.last().is_some_and(MigrationTrial::is_clean) {
                    break;
                }
            }
            Ok(())
        })?;
    }
    Ok(trials)
}

/// Before a migration.
struct State {
    rows: BTreeMap<Place, Print>,
    catalog: Catalog,
}

impl State {
    fn read(connection: &mut Connection, look: &mut Look<'_>) -> Result<State> {
        Ok(State { rows: prints(connection)?, catalog: look.whole(connection)? })
    }

    /// The tables of `schemas` that have rows.
    fn filled(&self, schemas: &[&str]) -> BTreeSet<Place> {
        let is_filled = |print: &&Print| {
            print.place.column.is_none() && print.rows > 0 && schemas.contains(&print.place.schema.as_str())
        };
        self.rows.values().filter(is_filled).map(|print| print.place.clone()).collect()
    }
}

/// What becomes of a migration that is applied, whether it can be taken back to `before` and applied again.
fn down_and_up(
    connection: &mut Connection,
    migration: &Migration,
    down: &Down,
    before: &State,
    look: &mut Look<'_>,
) -> Result<MigrationTrial> {
    let prisma = look.prisma;
    let mut trial = MigrationTrial { migration: migration.name.clone(), ..MigrationTrial::default() };
    let up = look.whole(connection)?;
    if let Err(failure) = try_out(connection, down, prisma.schemas, None) {
        trial.failure = Some(failure);
        return Ok(trial);
    }
    trial.leftovers = definition(&before.catalog, &look.whole(connection)?);
    trial.lost = lost(&before.rows, &prints(connection)?);
    match apply(connection, migration, prisma) {
        Ok(()) => trial.leftovers.extend(definition(&up, &look.whole(connection)?)),
        Err(failure) => trial.failure = Some(failure.message("it does not apply a second time")),
    }
    Ok(trial)
}

fn definition(expected: &Catalog, actual: &Catalog) -> Vec<Difference> {
    diff(expected, actual).into_iter().filter(|difference| difference.concern == Concern::Definition).collect()
}

fn prints(connection: &mut Connection) -> Result<BTreeMap<Place, Print>> {
    connection.read(|transaction| {
        let stock = stock_in(transaction)?;
        let prints = prints_in(transaction, &stock, None, None)?;
        Ok(prints.iter().map(|print| (print.place.clone(), print.clone())).collect())
    })
}

/// What was there and is gone. A column whose table lost rows, or was made again itself, is not named beside it.
fn lost(before: &BTreeMap<Place, Print>, after: &BTreeMap<Place, Print>) -> Vec<String> {
    before.values().filter_map(|print| loss(print, before, after)).collect()
}

fn loss(print: &Print, before: &BTreeMap<Place, Print>, after: &BTreeMap<Place, Print>) -> Option<String> {
    let Print { place, rows, .. } = print;
    let table = Place { column: None, ..place.clone() };
    let table_is_same = before.get(&table).map(|print| print.id) == after.get(&table).map(|print| print.id);
    let unproven = "is dropped and made again, and no value was there to show that it comes back";
    match (&place.column, after.get(place)) {
        (None, None) if *rows > 0 => Some(format!("{place}: all {rows} rows are gone")),
        (None, Some(now)) if *rows > 0 && now.rows != *rows => {
            Some(format!("{place}: {} rows, {rows} before", now.rows))
        }
        (None, Some(_)) if *rows == 0 && !table_is_same => Some(format!("{place} {unproven}")),
        (Some(_), Some(now)) if now.rows == *rows && now.hash != print.hash => {
            Some(format!("{place}: its values are not those from before"))
        }
        (Some(_), Some(now)) if print.values == 0 && table_is_same && now.id != print.id => {
            Some(format!("{place} {unproven}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use script::statements::Version;

    use super::*;
    use crate::migrations::down::Origin;
    use crate::postgres::server::{open, open_as_migrator};

    /// What becomes of migrations that are an up and a down each, named `1`, `2` and so on.
    fn tried(scripts: &[(&str, &str)]) -> Result<Vec<MigrationTrial>> {
        let named = |(number, (up, down)): (usize, &(&str, &str))| {
            let migration = (number + 1).to_string();
            let up = Migration::new(migration.clone(), *up);
            (up, Down { migration, sql: (*down).to_owned(), origin: Origin::Written })
        };
        let (migrations, downs): (Vec<Migration>, Vec<Down>) = scripts.iter().enumerate().map(named).unzip();
        let history = History { provider: None, migrations };
        let mut admin = open_as_migrator();
        let open = |name: &str| Ok(open(name));
        let prisma = AsPrisma {
            schemas: &["public"],
            release: Version::NEWEST,
            groundwork: crate::session::groundwork::Groundwork::NONE,
            headway: None,
        };
        rehearse_all(&mut admin, open, &history, &downs, prisma, || Ok(()))
    }

    /// What is lost when `up` is taken back with `down`, after a migration that made table `t` with `columns`.
    fn lost_by(columns: &str, up: &str, down: &str) -> Vec<String> {
        let trials = tried(&[(&format!("create table t ({columns})"), "drop table t"), (up, down)]).unwrap();
        assert!(trials.iter().all(MigrationTrial::is_clean), "{trials:?}");
        trials.into_iter().next_back().unwrap().lost
    }

    #[test]
    fn a_column_that_is_made_again_has_lost_the_values_that_a_rename_keeps() {
        let remade = lost_by("a int, b text", "alter table t drop column b", "alter table t add b text");
        assert_eq!(remade, ["column \"public\".\"t\".\"b\": its values are not those from before"]);
        let renamed = lost_by("a int, b text", "alter table t rename b to c", "alter table t rename c to b");
        assert_eq!(renamed, Vec::<String>::new());
    }

    #[test]
    fn what_has_no_values_to_show_is_not_called_reversible() {
        // No value of type `pg_snapshot` is made up, and no row satisfies the check.
        let column = lost_by("a int, b pg_snapshot", "alter table t drop column b", "alter table t add b pg_snapshot");
        let why = "is dropped and made again, and no value was there to show that it comes back";
        assert_eq!(column, [format!("column \"public\".\"t\".\"b\" {why}")]);
        let table = lost_by("a int check (false)", "drop table t", "create table t (a int check (false))");
        assert_eq!(table, [format!("table \"public\".\"t\" {why}")]);
    }

    const NINE_TABLES: &str = "create table a (id int primary key); create table b (ok boolean); create table c (id int);
                      create table d (s text); create table no_rows (s text unique check (s > 'a'));
                      create table e (s text); create table f (s text); create table g (id int); create table h (id int);
                      create view all_of_a as select from a";

    /// Up, down, and what is said of what has to be empty.
    const IN_THE_WAY: &[(&str, &str, &[&str])] = &[
        (NINE_TABLES, "drop view all_of_a; drop table a, b, c, d, no_rows, e, f, g, h", &[]),
        (
            "select 1; alter table a add c text not null",
            "alter table a drop c",
            &["table \"public\".\"a\" has to be empty: ERROR: column \"c\" of relation \"a\" contains null values \
                   (SQLSTATE 23502), in statement 2 of 2, line 1 of the script"],
        ),
        (
            "create unique index b_ok on b (ok)",
            "drop index b_ok",
            &["table \"public\".\"b\" has to be empty: ERROR: could not create unique index \"b_ok\" (SQLSTATE 23505)"],
        ),
        (
            "alter table c add constraint k check (id < 0)",
            "alter table c drop constraint k",
            &[
                "table \"public\".\"c\" has to be empty: ERROR: check constraint \"k\" of relation \"c\" is violated by \
                   some row (SQLSTATE 23514)",
            ],
        ),
        (
            "alter table d add constraint k foreign key (s) references no_rows (s)",
            "alter table d drop constraint k",
            &["table \"public\".\"d\" has to be empty: ERROR: insert or update on table \"d\" violates foreign key \
                   constraint \"k\" (SQLSTATE 23503)"],
        ),
        // The server names no table here, but the statement does.
        (
            "alter table e alter s type date using ('x' || s)::date",
            "alter table e alter s type text",
            &[
                "table \"public\".\"e\" has to be empty: ERROR: invalid input syntax for type date: \"x1\" (SQLSTATE 22007)",
            ],
        ),
        // What it names here is another table than the one with the rows.
        (
            "create table made (n int not null); insert into made select null from f",
            "drop table made",
            &[
                "table \"public\".\"f\" has to be empty: ERROR: null value in column \"n\" of relation \"made\" violates \
                   not-null constraint (SQLSTATE 23502), in statement 2 of 2, line 1 of the script",
            ],
        ),
        (
            "alter table g add c int not null; alter table h add c int not null",
            "alter table g drop c; alter table h drop c",
            &[
                "tables \"public\".\"g\", \"public\".\"h\" have to be empty: ERROR: column \"c\" of relation \"g\" contains \
                     null values (SQLSTATE 23502), in statement 1 of 2, line 1 of the script",
                "ERROR: column \"c\" of relation \"h\" contains null values (SQLSTATE 23502), in statement 2 of 2, line 1 \
                     of the script",
            ],
        ),
        // Neither names one.
        (
            "do $$ begin if exists (select from all_of_a) then raise 'rows'; end if; end $$",
            "select 1",
            &["every table has to be empty: ERROR: rows (SQLSTATE P0001)"],
        ),
        ("create table i (id int)", "drop table i", &[]),
    ];

    #[test]
    fn a_migration_that_rows_are_in_the_way_of_names_their_tables_and_the_rehearsal_goes_on() {
        let scripts: Vec<(&str, &str)> = IN_THE_WAY.iter().map(|(up, down, _)| (*up, *down)).collect();
        let trials = tried(&scripts).unwrap();
        assert!(trials.iter().all(MigrationTrial::is_clean), "{trials:?}");
        let needs: Vec<_> = trials.iter().map(|trial| trial.needs_empty.as_slice()).collect();
        assert_eq!(needs, IN_THE_WAY.iter().map(|(_, _, needs)| *needs).collect::<Vec<_>>());
    }

    #[test]
    fn on_an_empty_table_a_way_back_can_be_as_wrong_as_on_rows() {
        let scripts = [
            ("create table t (id int)", "drop table t"),
            ("alter table t add c int not null, add d int", "alter table t drop c"),
            ("alter table t add e int", "alter table t drop e"),
        ];
        let trials = tried(&scripts).unwrap();
        assert_eq!(trials.len(), 3);
        assert_eq!((trials[1].needs_empty.len(), trials[1].leftovers.len()), (1, 1), "{trials:?}");
        assert!(trials[1].failure.is_some() && trials[2].is_clean(), "{trials:?}");
    }

    #[test]
    fn what_fails_on_empty_tables_too_stays_an_error() {
        let failure = tried(&[("create table t (id int)", "drop table t"), ("select 1 / 0", "select 1")]).unwrap_err();
        assert_eq!(failure.message, "the migration `2` does not apply to an empty database");
        let full = "do $$ begin if exists (select from t) then raise using errcode = 'disk_full'; end if; end $$";
        let failure = tried(&[("create table t (id int)", "drop table t"), (full, "select 1")]).unwrap_err();
        assert_eq!(failure.causes().collect::<Vec<_>>(), ["ERROR: disk_full (SQLSTATE 53100)"]);
    }
}
