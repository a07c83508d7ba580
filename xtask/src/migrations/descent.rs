//! The whole way back in one throw-away database: up with a look at every point of the history, then down by the scripts with a look
//! after each. A script that was made from the catalogs of the two points stays only where it leads from the one to the other.

use std::collections::BTreeSet;

use crate::error::{Failure, Result};
use crate::migrations::down::{Down, Origin, try_out_and};
use crate::migrations::look::{Look, Seen};
use crate::migrations::losses::removals;
use crate::migrations::points::Points;
use crate::migrations::prints::Prints;
use crate::migrations::proposal::proposed;
use crate::migrations::rehearsed::{Left, Rehearsal, RehearsedDown};
use crate::migrations::stock::{Stock, stock, stock_in};
use crate::postgres::connection::Connection;
use crate::schema::catalog::{Catalog, Difference};
use crate::schema::drift;
use crate::schema::history::History;
use crate::schema::replay::{AsPrisma, apply_all, apply_each};

/// How a script from the catalogs begins.
pub const FROM_CATALOGS: &str = "-- By the catalogs before and after the migration.\n";

/// Where the scripts come from. They are numbered from the newest, 0.
pub trait Scripts: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// One that is there: written, or found before.
    ///
    /// # Errors
    /// `blocked` when it cannot be read.
    fn ready(&self, at: usize) -> Result<Option<Down>>;

    /// Prisma's. No throw-away database may be open.
    ///
    /// # Errors
    /// `failed` when Prisma cannot tell the difference.
    fn asked(&self, missing: &[usize]) -> Result<Vec<(usize, Down)>>;

    /// Keeps one that was found.
    fn keep(&self, at: usize, down: &Down);
}

/// Newest first, and all that there are.
impl Scripts for Vec<Down> {
    fn count(&self) -> usize {
        self.len()
    }

    fn ready(&self, at: usize) -> Result<Option<Down>> {
        Ok(self.get(at).cloned())
    }

    fn asked(&self, missing: &[usize]) -> Result<Vec<(usize, Down)>> {
        let down = missing.first().and_then(|at| self.get(*at)).map(ToString::to_string).unwrap_or_default();
        Err(Failure::failed(format!("{down} does not lead back")))
    }

    fn keep(&self, _: usize, _: &Down) {}
}

/// Scripts as far as they are known.
pub struct Known {
    downs: Vec<Option<Down>>,
    /// Of which no proposal leads back.
    refused: BTreeSet<usize>,
    /// So many of the newest are not tried again.
    passed: usize,
}

impl Known {
    /// # Errors
    /// As `Scripts::ready`.
    pub fn of(scripts: &dyn Scripts) -> Result<Known> {
        let downs = (0..scripts.count()).map(|at| scripts.ready(at)).collect::<Result<_>>()?;
        Ok(Known { downs, refused: BTreeSet::new(), passed: 0 })
    }

    /// Goes on behind the script `at`. False: there is none.
    pub fn pass(&mut self, at: usize) -> bool {
        self.passed = at + 1;
        self.passed < self.downs.len()
    }

    /// All, newest first; None where one is missing.
    pub fn all(&self) -> Option<Vec<Down>> {
        self.downs.iter().cloned().collect()
    }

    /// Asks Prisma for those of `missing`.
    ///
    /// # Errors
    /// As `Scripts::asked`.
    pub fn ask(&mut self, scripts: &dyn Scripts, missing: &[usize]) -> Result<()> {
        for (at, down) in scripts.asked(missing)? {
            scripts.keep(at, &down);
            self.downs[at] = Some(down);
        }
        Ok(())
    }

    fn missing(&self) -> Vec<usize> {
        (0..self.downs.len()).filter(|at| self.downs[*at].is_none()).collect()
    }

    fn refuse(&mut self, at: usize) {
        self.refused.insert(at);
        self.downs[at] = None;
    }
}

/// How far it went.
pub enum Descent {
    Whole(Rehearsal),
    /// These scripts are known to nobody but Prisma.
    Missing(Vec<usize>),
    /// This script does not run.
    Stopped(usize, Failure),
}

/// Goes up `history` and down again in the empty database of `connection`. `give` is called with the scripts once all are there.
///
/// # Errors
/// `failed`, naming the migration, when one does not apply.
pub fn descent(
    connection: &mut Connection,
    history: &History,
    prisma: AsPrisma<'_>,
    scripts: &dyn Scripts,
    known: &mut Known,
    give: &dyn Fn(&[Down]),
) -> Result<Descent> {
    let mut look = Look::new(prisma);
    let mut points = climb(connection, history, known, &mut look)?;
    let Some(downs) = known.all() else { return Ok(Descent::Missing(known.missing())) };
    give(&downs);
    let start = points.newest().clone();
    let born = stock(connection)?;
    let mut present = born.clone();
    let (mut rehearsed, mut held) = (Vec::new(), Vec::new());
    let work = prisma.counts(downs.len());
    for (at, down) in downs.iter().enumerate().skip(known.passed) {
        work.step(at + 1, &down.migration);
        if !points.pop() {
            return Err(Failure::bug("more down scripts than migrations"));
        }
        let expected = points.newest();
        let Step { found, after, left, is_kept } = match step(&mut look, connection, down, expected, &held) {
            Ok(step) => step,
            Err(_) if down.origin == Origin::Catalogs => return Ok(refused(known, at)),
            Err(failure) => return Ok(Descent::Stopped(at, failure)),
        };
        if !is_kept {
            return Ok(refused(known, at));
        }
        scripts.keep(at, down);
        let empty = Prints::default();
        let removals = removals(&born, (&present, &empty), (&after, &empty));
        let left_behind = (!left.is_empty()).then(|| Left { expected: expected.clone(), found });
        rehearsed.push(RehearsedDown { removals, left: left_behind });
        (present, held) = (after, left);
    }
    Ok(Descent::Whole(Rehearsal { start, end: points.newest().clone(), rehearsed, had_rows: false }))
}

fn refused(known: &mut Known, at: usize) -> Descent {
    known.refuse(at);
    Descent::Missing(known.missing())
}

/// Up, and proposes what is missing on the way.
fn climb(connection: &mut Connection, history: &History, known: &mut Known, look: &mut Look<'_>) -> Result<Points> {
    let count = known.downs.len();
    let all = &history.migrations[..history.migrations.len() - known.passed];
    let (kept, last) = all.split_at(history.migrations.len() - count);
    apply_all(connection, kept, look.prisma)?;
    let (first, mut identities) = look.at_rest(connection)?;
    let mut points = Points::new(first);
    let mut at = count;
    apply_each(connection, last, look.prisma, |connection| {
        at -= 1;
        let (catalog, now) = look.at_rest(connection)?;
        if known.downs[at].is_none() && !known.refused.contains(&at) {
            let migration = &history.migrations[history.migrations.len() - 1 - at];
            let then = Seen { catalog: points.newest(), identities: &identities };
            let now = Seen { catalog: &catalog, identities: &now };
            known.downs[at] = proposed(connection, look, migration, then, now)?.map(|sql| Down {
                migration: migration.name.clone(),
                sql: format!("{FROM_CATALOGS}{sql}"),
                origin: Origin::Catalogs,
            });
        }
        points.push(catalog);
        identities = now;
        Ok(())
    })?;
    Ok(points)
}

/// What a script made.
struct Step {
    found: Catalog,
    after: Stock,
    /// What it leaves behind.
    left: Vec<Difference>,
    /// False: it was undone.
    is_kept: bool,
}

/// Runs `down`, from where `held` was left behind already. A script that nobody wrote and that leaves more is undone.
fn step(
    look: &mut Look<'_>,
    connection: &mut Connection,
    down: &Down,
    expected: &Catalog,
    held: &[Difference],
) -> Result<Step> {
    let is_planned = look.is_planned();
    match try_step(look, connection, down, expected, held) {
        Err(_) if is_planned && !look.is_planned() => try_step(look, connection, down, expected, held),
        step => step,
    }
}

fn try_step(
    look: &mut Look<'_>,
    connection: &mut Connection,
    down: &Down,
    expected: &Catalog,
    held: &[Difference],
) -> Result<Step> {
    let schemas = look.prisma.schemas;
    try_out_and(connection, down, schemas, None, |transaction| {
        let found = look.catalog(transaction)?;
        let left = match found.objects == expected.objects {
            true => Vec::new(),
            false => drift::between(expected, &found).definition,
        };
        let leads_back = left.iter().all(|difference| held.contains(difference));
        let is_kept = leads_back || down.origin != Origin::Catalogs;
        Ok((Step { found, after: stock_in(transaction)?, left, is_kept }, is_kept))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use script::statements::Version;

    use super::*;
    use crate::postgres::server::{open_as, open_as_migrator};
    use crate::schema::history::Migration;
    use crate::schema::replay::in_throw_away_database;
    use crate::session::groundwork::Groundwork;

    const PRISMA: AsPrisma<'_> =
        AsPrisma { schemas: &["public"], release: Version::NEWEST, groundwork: Groundwork::NONE, headway: None };

    /// What is written, newest first; of all else "Prisma" knows what is `told`.
    struct Sources {
        written: Vec<Option<&'static str>>,
        told: &'static str,
        kept: Mutex<Vec<usize>>,
    }

    fn down(at: usize, sql: &str, origin: Origin) -> Down {
        Down { migration: at.to_string(), sql: sql.to_owned(), origin }
    }

    impl Scripts for Sources {
        fn count(&self) -> usize {
            self.written.len()
        }

        fn ready(&self, at: usize) -> Result<Option<Down>> {
            Ok(self.written[at].map(|sql| down(at, sql, Origin::Written)))
        }

        fn asked(&self, missing: &[usize]) -> Result<Vec<(usize, Down)>> {
            Ok(missing.iter().map(|at| (*at, down(*at, self.told, Origin::Generated))).collect())
        }

        fn keep(&self, at: usize, _: &Down) {
            self.kept.lock().unwrap().push(at);
        }
    }

    /// Where each script comes from, and which were kept, of migrations given oldest first, each with what is written.
    fn went(migrations: &[(&str, Option<&'static str>)], told: &'static str) -> (Vec<(Origin, String)>, Vec<usize>) {
        let named = |(number, (sql, _)): (usize, &(&str, _))| Migration::new(number.to_string(), *sql);
        let history = History { provider: None, migrations: migrations.iter().enumerate().map(named).collect() };
        let written = migrations.iter().rev().map(|(_, down)| *down).collect();
        let sources = Sources { written, told, kept: Mutex::default() };
        let mut known = Known::of(&sources).unwrap();
        let mut is_done = false;
        while !is_done {
            let open = |name: &str| Ok(open_as("migrator", name));
            let went = in_throw_away_database(&mut open_as_migrator(), open, PRISMA, |connection| {
                descent(connection, &history, PRISMA, &sources, &mut known, &|_| {})
            });
            match went.unwrap() {
                Descent::Whole(_) => is_done = true,
                Descent::Missing(missing) => known.ask(&sources, &missing).unwrap(),
                Descent::Stopped(at, _) => is_done = !known.pass(at),
            }
        }
        let downs = known.all().unwrap().into_iter().map(|down| (down.origin, down.sql)).collect();
        (downs, sources.kept.into_inner().unwrap())
    }

    #[test]
    fn whoever_knows_the_way_is_asked_and_one_that_does_not_run_is_passed() {
        let migrations = [
            ("create table a (id int)", None),
            // Only "Prisma" knows this one.
            ("create type e as (a int); alter type e add attribute b int", Some("drop type e")),
            ("alter type e add attribute c int", None),
            ("create view v as select id from a", Some("drop view nowhere")),
            ("alter table a rename to b; deallocate all", None),
        ];
        let (downs, kept) = went(&migrations, "select 'asked'");
        let origins: Vec<Origin> = downs.iter().map(|(origin, _)| *origin).collect();
        use Origin::{Catalogs, Generated, Written};
        assert_eq!(origins, [Catalogs, Written, Generated, Written, Catalogs]);
        assert!(downs[0].1.contains(r#"ALTER TABLE "public"."b" RENAME TO "a";"#), "{}", downs[0].1);
        // The last comes after a fresh replay.
        assert_eq!(kept, [2, 0, 2, 3, 4]);
    }

    #[test]
    fn what_a_script_leaves_does_not_make_the_next_one_wrong() {
        let migrations = [
            ("create table a (id int)", None),
            ("create table b (id int)", Some("select 'nothing'")),
            ("prepare p as select 1", None),
            ("prepare p as select 2; create function f() returns int language sql as 'select 1'", None),
        ];
        let (downs, _) = went(&migrations, "select 'asked'");
        assert!(downs.iter().all(|(origin, _)| *origin != Origin::Generated), "{downs:?}");
    }
}
