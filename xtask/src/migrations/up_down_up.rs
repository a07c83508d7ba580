//! Every migration up, down and up again in a throw-away database, with rows in it: whether a history can go back is
//! known before it is needed.
//!
//! Rows are compared by a sum of hashes for each column, which no order of rows changes. Only what was there before a
//! migration counts: what is written into a new column is lost with the column, and everybody expects that. Where there
//! was no value to compare, a table or column that is dropped and made again counts as lost: in doubt, not reversible.

use std::collections::BTreeMap;

use crate::error::{Failure, Result};
use crate::migrations::down::{Down, try_out};
use crate::migrations::prints::{Print, prints_in};
use crate::migrations::stock::stock_in;
use crate::postgres::connection::Connection;
use crate::rows::filler::fill_empty;
use crate::schema::catalog::{Catalog, Concern, Difference, catalog, diff};
use crate::schema::history::{History, Migration};
use crate::schema::place::Place;
use crate::schema::replay::{AsPrisma, apply, in_throw_away_database};

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
}

impl MigrationTrial {
    fn is_clean(&self) -> bool {
        self.leftovers.is_empty() && self.failure.is_none()
    }
}

/// Takes every migration of `history` up, down and up again, oldest first. `downs` are its scripts, oldest first; `go_on`
/// is asked before each migration.
///
/// # Errors
/// `failed` when a migration does not apply to an empty database; whatever `go_on` says.
pub fn rehearse_all(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    downs: &[Down],
    prisma: AsPrisma<'_>,
    go_on: impl Fn() -> Result<()>,
) -> Result<Vec<MigrationTrial>> {
    let mut trials: Vec<MigrationTrial> = Vec::new();
    // A database in which a way back went wrong does not serve for the next one: that starts from a fresh replay.
    while trials.len() < history.migrations.len() {
        in_throw_away_database(admin, &open, prisma, |connection| {
            for migration in &history.migrations[..trials.len()] {
                apply(connection, migration, prisma)?;
            }
            for (migration, down) in history.migrations.iter().zip(downs).skip(trials.len()) {
                go_on()?;
                let unproven = fill_empty(connection, prisma.schemas, &[], ROWS)?;
                trials.push(MigrationTrial { unproven, ..trial(connection, migration, down, prisma)? });
                if !trials.last().is_some_and(MigrationTrial::is_clean) {
                    break;
                }
            }
            Ok(())
        })?;
    }
    Ok(trials)
}

fn trial(
    connection: &mut Connection,
    migration: &Migration,
    down: &Down,
    prisma: AsPrisma<'_>,
) -> Result<MigrationTrial> {
    let schemas = prisma.schemas;
    let (rows_before, before) = (prints(connection)?, catalog(connection, schemas)?);
    let mut trial = MigrationTrial { migration: migration.name.clone(), ..MigrationTrial::default() };
    apply(connection, migration, prisma)?;
    let up = catalog(connection, schemas)?;
    if let Err(failure) = try_out(connection, down, schemas, None) {
        trial.failure = Some(failure);
        return Ok(trial);
    }
    trial.leftovers = definition(&before, &catalog(connection, schemas)?);
    trial.lost = lost(&rows_before, &prints(connection)?);
    match apply(connection, migration, prisma) {
        Ok(()) => trial.leftovers.extend(definition(&up, &catalog(connection, schemas)?)),
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
    use super::*;
    use crate::migrations::down::Origin;
    use crate::postgres::server::{Database, open};
    use crate::schema::statements::Version;

    /// What is lost when `up` is taken back with `down`, after a migration that made table `t` with `columns`.
    fn lost_by(columns: &str, up: &str, down: &str) -> Vec<String> {
        let migrations = vec![Migration::new("1", format!("create table t ({columns})")), Migration::new("2", up)];
        let written = |(number, sql): (usize, &str)| Down {
            migration: (number + 1).to_string(),
            sql: sql.to_owned(),
            origin: Origin::Written,
        };
        let downs: Vec<Down> = ["drop table t", down].into_iter().enumerate().map(written).collect();
        let history = History { provider: None, migrations };
        let mut admin = Database::new().connection;
        let open = |name: &str| Ok(open(name));
        let prisma = AsPrisma {
            schemas: &["public"],
            release: Version::NEWEST,
            groundwork: crate::session::groundwork::Groundwork::NONE,
        };
        let trials = rehearse_all(&mut admin, open, &history, &downs, prisma, || Ok(())).unwrap();
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
        // No value of type `point` is made up, and no row satisfies the check.
        let column = lost_by("a int, b point", "alter table t drop column b", "alter table t add b point");
        let why = "is dropped and made again, and no value was there to show that it comes back";
        assert_eq!(column, [format!("column \"public\".\"t\".\"b\" {why}")]);
        let table = lost_by("a int check (a < 0)", "drop table t", "create table t (a int check (a < 0))");
        assert_eq!(table, [format!("table \"public\".\"t\" {why}")]);
    }
}
