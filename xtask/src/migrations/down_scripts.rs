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
use crate::migrations::descent::{Descent, FROM_CATALOGS, Known, Scripts, descent};
use crate::migrations::down::{Down, Origin};
use crate::migrations::prisma_diff;
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::replay::{AsPrisma, cache_key, in_throw_away_database};
use crate::session::Session;
use pin::file;

/// Calls of Prisma that run side by side: more than two only wait for each other on two cores.
const WORKERS: usize = 2;

/// Where the scripts of one session come from.
pub struct Sources<'a> {
    session: &'a Session<'a>,
    prisma: AsPrisma<'a>,
    /// What each migration is the end of, newest first.
    histories: Vec<History>,
}

impl<'a> Sources<'a> {
    /// Of the last `count` migrations of `history`. `session` must be one that may create databases.
    pub fn new(session: &'a Session<'a>, prisma: AsPrisma<'a>, history: &History, count: usize) -> Sources<'a> {
        let all = history.migrations.len();
        let histories = (all - count + 1..=all).rev().map(|length| history.first(length)).collect();
        Sources { session, prisma, histories }
    }
}

impl Scripts for Sources<'_> {
    fn count(&self) -> usize {
        self.histories.len()
    }

    fn ready(&self, at: usize) -> Result<Option<Down>> {
        ready(self.session, &self.histories[at])
    }

    fn asked(&self, missing: &[usize]) -> Result<Vec<(usize, Down)>> {
        let missing: Vec<Missing<'_>> = missing.iter().map(|at| (*at, &self.histories[*at])).collect();
        let found = by_prisma(self.session, &missing, self.prisma)?;
        let down = |(at, sql)| Ok((at, Down { migration: last(&self.histories[at])?, sql, origin: Origin::Generated }));
        found.into_iter().map(down).collect()
    }

    fn keep(&self, at: usize, down: &Down) {
        let Ok(file) = kept_as(self.session, &self.histories[at]) else { return };
        if down.origin != Origin::Written && !file.exists() {
            files::keep(&file, down.sql.as_bytes());
        }
    }
}

/// The scripts that take the last `count` migrations of `history` back, newest first, whether or not they work; None where nothing takes
/// one back yet.
///
/// # Errors
/// As `Scripts::ready`.
pub fn known(session: &Session<'_>, history: &History, count: usize) -> Result<Option<Vec<Down>>> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    Ok(Known::of(&Sources::new(session, prisma, history, count))?.all())
}

/// As `known`, and finds what is missing.
///
/// # Errors
/// `failed` when a migration does not apply, or Prisma cannot tell the difference.
pub fn of(session: &Session<'_>, history: &History, count: usize) -> Result<Vec<Down>> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let scripts = Sources::new(session, prisma, history, count);
    let mut known = Known::of(&scripts)?;
    let mut is_done = known.all().is_some();
    while !is_done {
        let went = in_throw_away_database(
            &mut session.connect()?,
            |name| session.connect_to(name),
            prisma,
            |now| descent(now, history, prisma, &scripts, &mut known, &|_| {}),
        );
        match went? {
            Descent::Whole(_) => is_done = true,
            Descent::Missing(missing) => known.ask(&scripts, &missing)?,
            // What comes before one that does not run is looked at from a fresh replay.
            Descent::Stopped(at, _) => is_done = !known.pass(at),
        }
    }
    known.all().ok_or_else(|| Failure::bug("a migration without a way back"))
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
    let histories = [CATALOGS_TELL, session.toolbox.prisma.version.as_str(), &history.digest(), &before].join("\n");
    let key = cache_key(&histories, session.identity.major_version(), prisma);
    Ok(session.settings.private_dir().join("down").join(format!("{key}.sql")))
}

/// Raised when the catalogs tell more: what Prisma was asked before is found anew.
const CATALOGS_TELL: &str = "2";

fn origin(kept: &str) -> Origin {
    if kept.starts_with(FROM_CATALOGS) { Origin::Catalogs } else { Origin::Generated }
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
