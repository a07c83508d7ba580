//! Where a migration's way back comes from: `down.sql` beside it; else, where it only added, the catalogs before and after it; else
//! Prisma's own difference between the schema that the history makes with it and the history without it.
//!
//! Prisma needs a second for each difference, most of it to start, so two are made at a time, and each is kept in
//! `.drill/down` under a name that is made of everything it depends on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Failure, OrFail, Result};
use crate::files;
use crate::migrations::down::{Down, Origin};
use crate::migrations::{additions, unseen};
use crate::postgres::connection::{Connection, CouldNot};
use crate::process::{self, Exit};
use crate::schema::catalog::{Catalog, Object, catalog_in, quoted};
use crate::schema::drift;
use crate::schema::expected;
use crate::schema::external::{managed, parted};
use crate::schema::history::{History, Migration};
use crate::schema::platform;
use crate::schema::replay::{AsPrisma, apply, cache_key, in_throw_away_database};
use crate::session::Session;
use crate::session::groundwork::Groundwork;
use crate::temporary::Temporary;
use crate::tools::prisma::Prisma;
use pin::file;

/// Calls of Prisma that run side by side: more than two only wait for each other on two cores.
const WORKERS: usize = 2;

/// The scripts that take the last `count` migrations of `history` back, newest first. `session` must be one that may
/// create databases.
///
/// # Errors
/// `failed` when Prisma cannot tell the difference; `blocked` when a `down.sql` cannot be read.
pub fn of(session: &Session<'_>, history: &History, count: usize) -> Result<Vec<Down>> {
    let all = history.migrations.len();
    let lengths: Vec<usize> = (all - count + 1..=all).rev().collect();
    let scripts: Vec<Mutex<Option<Down>>> =
        lengths.iter().map(|&length| ready(session, &history.first(length)).map(Mutex::new)).collect::<Result<_>>()?;
    let missing: Vec<usize> = (0..count).filter(|&at| is_missing(&scripts[at])).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(&at) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            // The other worker need not go on when one has failed.
            let stop = |_: &Failure| next.store(missing.len(), Ordering::Relaxed);
            let down = generate(session, &history.first(lengths[at])).inspect_err(stop)?;
            *scripts[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(down);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS.min(missing.len())).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join());
        let results = ended.map(|result| result.unwrap_or_else(|_| Err(Failure::bug("a diff panicked"))));
        results.fold(Ok(()), Result::and)
    })?;
    let taken = scripts.into_iter().map(|script| script.into_inner().unwrap_or_else(|error| error.into_inner()));
    taken.map(|down| down.ok_or_else(|| Failure::bug("a migration without a way back"))).collect()
}

fn is_missing(script: &Mutex<Option<Down>>) -> bool {
    script.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_none()
}

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
const FROM_CATALOGS: &str = "-- By the catalogs before and after the migration, which only added.\n";

fn origin(kept: &str) -> Origin {
    if kept.starts_with(FROM_CATALOGS) { Origin::Catalogs } else { Origin::Generated }
}

/// Finds out, and keeps the answer.
fn generate(session: &Session<'_>, history: &History) -> Result<Down> {
    let migration = last(history)?;
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let open = |name: &str| session.connect_to(name);
    let sql = in_throw_away_database(&mut session.connect()?, open, prisma, |now| {
        match by_catalogs(now, history, prisma)? {
            Some(sql) => Ok(FROM_CATALOGS.to_owned() + &sql),
            None => by_prisma(session, now, history, prisma),
        }
    })?;
    files::keep(&kept_as(session, history)?, sql.as_bytes());
    Ok(Down { migration, origin: origin(&sql), sql })
}

/// Replays `history` in `now`, and takes its last migration back where it only added; the server says that this is the way.
fn by_catalogs(now: &mut Connection, history: &History, prisma: AsPrisma<'_>) -> Result<Option<String>> {
    let (last, kept) = history.migrations.split_last().ok_or_else(|| Failure::bug("a history without an end"))?;
    let seen = |now: &mut Connection| managed(now, prisma.schemas, &prisma.groundwork.external);
    kept.iter().try_for_each(|migration| apply(now, migration, prisma))?;
    let before = seen(now)?;
    apply(now, last, prisma)?;
    let Some(sql) = additions::taken_back(&before, &seen(now)?) else { return Ok(None) };
    let ours = now.settings_in_transaction();
    let mut attempt = now.client().transaction().could_not("begin a transaction")?;
    let leads_back = attempt.batch_execute(&sql).is_ok() && {
        attempt.batch_execute(&ours).could_not("look at what the script did")?;
        let found = parted(catalog_in(&mut attempt, prisma.schemas)?, &prisma.groundwork.external).0;
        drift::between(&before, &found).definition.is_empty()
    };
    attempt.rollback().could_not("undo a script")?;
    Ok(leads_back.then_some(sql))
}

/// Prisma's difference between what is in `now`, all of `history`, and the history without its last migration.
fn by_prisma(session: &Session<'_>, now: &mut Connection, history: &History, prisma: AsPrisma<'_>) -> Result<String> {
    let migration = last(history)?;
    let folder = Temporary::new().blocked(|| "cannot create a folder for temporary files")?;
    let [to, output] = ["to", "down.sql"].map(|name| folder.path().join(name));
    let before = history.first(history.migrations.len() - 1);
    write_history(&to, &readable(before.clone(), prisma)).blocked(|| "cannot write temporary files")?;
    let more = &readable(history.clone(), prisma).migrations[history.migrations.len()..];
    more.iter().try_for_each(|migration| apply(now, migration, prisma))?;
    let bare = Groundwork { made: prisma.groundwork.made.clone(), ..Groundwork::default() };
    let shadow = AsPrisma { groundwork: &bare, ..prisma };
    let open = |name: &str| session.connect_to(name);
    let made: Vec<String> = in_throw_away_database(&mut session.connect()?, open, shadow, |then| {
        let databases = [database_of(now)?, database_of(then)?];
        diff(session, [&to, &output], &databases, &migration)?;
        let there = namespaces(then)?;
        Ok(namespaces(now)?.into_iter().filter(|schema| !there.contains(schema)).collect())
    })?;
    let sql = fs::read_to_string(&output).failed(|| format!("Prisma wrote no script for `{migration}`"))?;
    let sql = unseen_by_prisma(session, history, &before)? + &with_constraints(session, history, sql)?;
    Ok(sql + &without_schemas(prisma.schemas, made))
}

fn database_of(connection: &mut Connection) -> Result<String> {
    let sql = "select pg_catalog.current_database()::text";
    Ok(connection.client().query_one(sql, &[]).could_not("ask for the database's name")?.get(0))
}

fn namespaces(connection: &mut Connection) -> Result<Vec<String>> {
    let sql = "select nspname::text from pg_catalog.pg_namespace";
    let rows = connection.client().query(sql, &[]).could_not("list the schemas")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Prisma makes schemas and drops none. One in which there is something else refuses to go.
fn without_schemas(ours: &[&str], made: Vec<String>) -> String {
    let ours = made.into_iter().filter(|schema| ours.contains(&schema.as_str()));
    ours.map(|schema| format!("\n-- DropSchema\nDROP SCHEMA {};\n", quoted(&[schema]))).collect()
}

/// `history` as Prisma's diff can read its schema.
fn readable(mut history: History, prisma: AsPrisma<'_>) -> History {
    if prisma.groundwork != Groundwork::NONE {
        history.migrations.push(Migration::new("99999999999999_outside", unseen::without_outside_keys(prisma.schemas)));
    }
    history
}

fn unseen_by_prisma(session: &Session<'_>, history: &History, before: &History) -> Result<String> {
    let text = history.migrations.last().map(|migration| migration.sql.to_lowercase()).unwrap_or_default();
    // Else two replays would be made for nothing.
    if !["policy", "row level security", "references"].iter().any(|word| text.contains(word)) {
        return Ok(String::new());
    }
    Ok(unseen::taken_back(&expected::catalog(session, history)?.catalog, &expected::catalog(session, before)?.catalog))
}

fn diff(session: &Session<'_>, [to, output]: [&Path; 2], [now, shadow]: &[String; 2], migration: &str) -> Result<()> {
    let lease = session.lease("prisma migrate diff");
    [now, shadow].into_iter().for_each(|database| lease.allow_database(database));
    let invocation = Prisma::new(session, &lease).diff(now, to, output, shadow)?;
    let deadline = session.settings.timeouts.migrate;
    let finished = process::run(&invocation, deadline, io::sink(), &session.redactor, session.interrupt)?;
    match finished.exit {
        Exit::Success => Ok(()),
        Exit::Interrupted(status) => Err(Failure::interrupted(status)),
        _ => Err(Failure::failed(format!("Prisma could not tell how to take `{migration}` back"))
            .because(finished.exit.in_words())
            .because_all(finished.tail.into_iter().filter(|line| !line.trim().is_empty()))
            .hint(format!("write the way back by hand as `{migration}/down.sql`"))),
    }
}

/// Prisma takes a unique constraint for its index and drops that, which Postgres refuses (2BP01; measured on 7.10): the
/// constraint has to go instead.
fn with_constraints(session: &Session<'_>, history: &History, sql: String) -> Result<String> {
    if !sql.contains(DROP_INDEX) {
        return Ok(sql);
    }
    let catalog = expected::catalog(session, history)?.catalog;
    let line = |line: &str| format!("{}\n", drop_constraint(line, &catalog).unwrap_or_else(|| line.to_owned()));
    Ok(sql.lines().map(line).collect())
}

const DROP_INDEX: &str = "DROP INDEX ";

/// What drops the constraint whose index `line` wants to drop, if there is one.
fn drop_constraint(line: &str, catalog: &Catalog) -> Option<String> {
    let index = line.strip_prefix(DROP_INDEX)?.strip_suffix(';')?;
    let names = |path: &[String]| {
        let [schema, _, name] = path else { return false };
        index == quoted([name]) || index == quoted([schema, name])
    };
    let unique = |object: &Object| object.properties.get("definition").is_some_and(|sql| sql.starts_with("UNIQUE"));
    let mut constraints = catalog.objects.iter().filter(|(key, _)| key.kind == "constraint");
    let (key, _) = constraints.find(|(key, object)| names(&key.path) && unique(object))?;
    let (name, table) = key.path.split_last()?;
    Some(format!("ALTER TABLE {} DROP CONSTRAINT {};", quoted(table), quoted([name])))
}

/// Real files: Prisma passes over symbolic links.
fn write_history(folder: &Path, history: &History) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::write(folder.join("migration_lock.toml"), "provider = \"postgresql\"\n")?;
    for migration in &history.migrations {
        let folder = folder.join(&migration.name);
        fs::create_dir(&folder)?;
        fs::write(folder.join("migration.sql"), &migration.sql)?;
    }
    Ok(())
}
