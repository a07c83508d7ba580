//! Where a migration's way back comes from: `down.sql` beside it; else the catalogs before and after it, where they tell it whole; else
//! Prisma's own difference between the schema that the history makes with it and the history without it.
//!
//! The catalogs of all are read in one replay. Prisma needs a second for each difference, most of it to start, so two are made at a time.
//! Each script is kept in `.drill/down` under a name that is made of everything it depends on.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Failure, OrFail, Result};
use crate::files;
use crate::migrations::down::{Down, Origin};
use crate::migrations::{inverse, prisma_diff};
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::catalog::{Catalog, catalog_in};
use crate::schema::drift;
use crate::schema::external::{managed, parted};
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::replay::{AsPrisma, apply, cache_key, in_throw_away_database};
use crate::session::Session;
use pin::file;

/// Calls of Prisma that run side by side: more than two only wait for each other on two cores.
const WORKERS: usize = 2;

/// The scripts that take the last `count` migrations of `history` back, newest first. `session` must be one that may
/// create databases.
///
/// # Errors
/// `failed` when Prisma cannot tell the difference; `blocked` when a `down.sql` cannot be read.
pub fn of(session: &Session<'_>, history: &History, count: usize) -> Result<Vec<Down>> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let histories = histories(history, count);
    let mut downs = histories.iter().map(|history| ready(session, history)).collect::<Result<Vec<_>>>()?;
    for source in [by_catalogs, by_prisma] {
        let missing: Vec<Missing<'_>> = histories.iter().enumerate().filter(|(at, _)| downs[*at].is_none()).collect();
        for (at, sql) in source(session, &missing, prisma)? {
            files::keep(&kept_as(session, &histories[at])?, sql.as_bytes());
            downs[at] = Some(Down { migration: last(&histories[at])?, origin: origin(&sql), sql });
        }
    }
    downs.into_iter().map(|down| down.ok_or_else(|| Failure::bug("a migration without a way back"))).collect()
}

/// As `of`, where nobody has to be asked; None where one of them is not known yet.
///
/// # Errors
/// `blocked` when a `down.sql` cannot be read.
pub fn known(session: &Session<'_>, history: &History, count: usize) -> Result<Option<Vec<Down>>> {
    histories(history, count).iter().map(|history| ready(session, history)).collect()
}

/// What each of the last `count` migrations is the end of, newest first.
fn histories(history: &History, count: usize) -> Vec<History> {
    let all = history.migrations.len();
    (all - count + 1..=all).rev().map(|length| history.first(length)).collect()
}

/// Which of the scripts it is, and the history up to and with the migration that it takes back.
type Missing<'a> = (usize, &'a History);

/// What takes the last migration of `history` back without asking anybody: its own file, or what was found before.
fn ready(session: &Session<'_>, history: &History) -> Result<Option<Down>> {
    let name = last(history)?;
    if let Some(down) = written(session, &name)? {
        return Ok(Some(down));
    }
    let kept = fs::read_to_string(kept_as(session, history)?).ok();
    Ok(kept.map(|sql| Down { migration: name, origin: origin(&sql), sql }))
}

fn last(history: &History) -> Result<String> {
    let last = history.migrations.last().ok_or_else(|| Failure::bug("nothing comes before the first migration"))?;
    Ok(last.name.clone())
}

/// `down.sql` beside `migration.sql`, where there is one.
///
/// # Errors
/// `blocked` when it is there and cannot be read.
pub fn written(session: &Session<'_>, migration: &str) -> Result<Option<Down>> {
    let path = session.settings.prisma.migrations.join(migration).join("down.sql");
    match file::read_text(&path, file::LONGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => {
            let sql = read.blocked(|| format!("cannot read `{}`", session.settings.shown(&path)))?;
            Ok(Some(Down { migration: migration.to_owned(), sql, origin: Origin::Written }))
        }
    }
}

fn kept_as(session: &Session<'_>, history: &History) -> Result<PathBuf> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let before = history.first(history.migrations.len() - 1).digest();
    let histories = [session.toolbox.prisma.version.as_str(), &history.digest(), &before].join("\n");
    let key = cache_key(&histories, session.identity.major_version(), prisma);
    Ok(session.settings.private_dir().join("down").join(format!("{key}.sql")))
}

/// How a script that we kept says that it is not from Prisma.
const FROM_CATALOGS: &str = "-- By the catalogs before and after the migration.\n";

fn origin(kept: &str) -> Origin {
    if kept.starts_with(FROM_CATALOGS) { Origin::Catalogs } else { Origin::Generated }
}

/// Of the migrations that the catalogs tell whole. Each script runs where it will run, and the server says that it leads back.
fn by_catalogs(session: &Session<'_>, missing: &[Missing<'_>], prisma: AsPrisma<'_>) -> Result<Vec<(usize, String)>> {
    let Some((_, longest)) = missing.first() else { return Ok(Vec::new()) };
    let open = |name: &str| session.connect_to(name);
    in_throw_away_database(&mut session.connect()?, open, prisma, |now| {
        let seen = |now: &mut Connection| managed(now, prisma.schemas, &prisma.groundwork.external);
        let (mut found, mut point) = (Vec::new(), None);
        let work = prisma.counts(longest.migrations.len());
        for (index, migration) in longest.migrations.iter().enumerate() {
            work.step(index + 1, &migration.name);
            let Some((at, _)) = missing.iter().find(|(_, history)| history.migrations.len() == index + 1) else {
                apply(now, migration, prisma)?;
                continue;
            };
            let before = point.take().map_or_else(|| seen(now), Ok)?;
            apply(now, migration, prisma)?;
            let after = seen(now)?;
            found.extend(way_back(now, &before, &after, prisma)?.map(|sql| (*at, FROM_CATALOGS.to_owned() + &sql)));
            point = Some(after);
        }
        Ok(found)
    })
}

/// The script that leads from `after`, which is there, to `before`, tried and undone; None where there is none.
fn way_back(now: &mut Connection, before: &Catalog, after: &Catalog, prisma: AsPrisma<'_>) -> Result<Option<String>> {
    let Some(sql) = inverse::taken_back(before, after) else { return Ok(None) };
    let ours = now.settings_in_transaction();
    let mut attempt = now.client().transaction().could_not("begin a transaction")?;
    let leads_back = attempt.batch_execute(&sql).is_ok() && {
        attempt.batch_execute(&ours).could_not("look at what the script did")?;
        let found = parted(catalog_in(&mut attempt, prisma.schemas)?, &prisma.groundwork.external).0;
        drift::between(before, &found).definition.is_empty()
    };
    attempt.rollback().could_not("undo a script")?;
    Ok(leads_back.then_some(sql))
}

/// The one whose turn it is, and its number from 1.
fn following<'a, T>(next: &AtomicUsize, all: &'a [T]) -> Option<(usize, &'a T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at + 1, all.get(at)?))
}

fn by_prisma(session: &Session<'_>, missing: &[Missing<'_>], prisma: AsPrisma<'_>) -> Result<Vec<(usize, String)>> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let counted = prisma.counts(missing.len());
    let work = || -> Result<()> {
        while let Some((number, (at, history))) = following(&next, missing) {
            counted.step(number, &last(history)?);
            // The other worker need not go on when one has failed.
            let stop = |_: &Failure| next.store(missing.len(), Ordering::Relaxed);
            let sql = prisma_diff::script(session, history, prisma).inspect_err(stop)?;
            found.lock().unwrap_or_else(PoisonError::into_inner).push((*at, sql));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS.min(missing.len())).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join());
        let results = ended.map(|result| result.unwrap_or_else(|_| Err(Failure::bug("a diff panicked"))));
        results.fold(Ok(()), Result::and)
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}
