//! The script by which Prisma's own difference leads from a history to the one without its last migration, and what has to be added to
//! it: Prisma sees neither policies nor schemas, and takes a unique constraint for its index.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Failure, OrFail, Result};
use crate::migrations::unseen;
use crate::postgres::connection::{Connection, CouldNot};
use crate::process::{self, Exit, said};
use crate::schema::catalog::{Catalog, Object, quoted};
use crate::schema::expected;
use crate::schema::history::{History, Migration};
use crate::schema::replay::{AsPrisma, apply_all, in_throw_away_database};
use crate::session::Session;
use crate::session::groundwork::Groundwork;
use crate::temporary::Temporary;
use crate::tools::prisma::Prisma;
use crate::tools::prisma_error;

/// What takes the last migration of `history` back, by Prisma.
///
/// # Errors
/// `failed` when Prisma cannot tell the difference.
pub fn script(session: &Session<'_>, history: &History, prisma: AsPrisma<'_>) -> Result<String> {
    let (last, _) =
        history.migrations.split_last().ok_or_else(|| Failure::bug("nothing comes before the first migration"))?;
    let folder = Temporary::new().blocked(|| "cannot create a folder for temporary files")?;
    let [to, output] = ["to", "down.sql"].map(|name| folder.path().join(name));
    let before = history.first(history.migrations.len() - 1);
    let (full, less) = (readable(history, prisma), readable(&before, prisma));
    write_history(&to, &less).blocked(|| "cannot write temporary files")?;
    let bare = Groundwork { made: prisma.groundwork.made.clone(), ..Groundwork::default() };
    let shadow = AsPrisma { groundwork: &bare, ..prisma };
    let open = |name: &str| session.connect_to(name);
    let made: Vec<String> = in_throw_away_database(&mut session.connect()?, open, prisma, |now| {
        apply_all(now, &full.migrations, prisma)?;
        in_throw_away_database(&mut session.connect()?, open, shadow, |then| {
            let databases = [database_of(now)?, database_of(then)?];
            diff(session, [&to, &output], &databases, &last.name)?;
            let there = namespaces(then)?;
            Ok(namespaces(now)?.into_iter().filter(|schema| !there.contains(schema)).collect())
        })
    })?;
    let sql = fs::read_to_string(&output).failed(|| format!("Prisma wrote no script for `{}`", last.name))?;
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
fn readable(history: &History, prisma: AsPrisma<'_>) -> History {
    let mut history = history.clone();
    if prisma.groundwork != Groundwork::NONE {
        history.migrations.push(Migration::new("99999999999999_outside", unseen::without_outside_keys(prisma.schemas)));
    }
    history
}

fn unseen_by_prisma(session: &Session<'_>, history: &History, before: &History) -> Result<String> {
    let Some(migration) = history.migrations.last() else { return Ok(String::new()) };
    let may_be = migration.sql.any_part(|part| {
        let text = part.to_lowercase();
        ["policy", "row level security", "references"].iter().any(|word| text.contains(word))
    })?;
    // Else two replays would be made for nothing.
    if !may_be {
        return Ok(String::new());
    }
    Ok(unseen::taken_back(&expected::catalog(session, history)?.catalog, &expected::catalog(session, before)?.catalog))
}

fn diff(session: &Session<'_>, [to, output]: [&Path; 2], [now, shadow]: &[String; 2], migration: &str) -> Result<()> {
    let lease = session.lease("prisma migrate diff");
    [now, shadow].into_iter().for_each(|database| lease.allow_database(database));
    let prisma = Prisma::new(session, &lease);
    let invocation = prisma.diff(now, to, output, shadow)?;
    let deadline = session.settings.timeouts.migrate;
    if !prisma.diff_writes_its_file() {
        let (exit, script) = process::capture(&invocation, deadline, session.interrupt)?;
        fs::write(output, script).or_fail(|| Failure::failed("cannot keep what Prisma said of the way back"))?;
        return told(exit, &[], migration);
    }
    let finished = process::run(&invocation, deadline, io::sink(), &session.redactor, session.interrupt)?;
    told(finished.exit, &finished.tail, migration)
}

/// `said` is empty where Prisma said it to nobody.
fn told(exit: Exit, said: &[String], migration: &str) -> Result<()> {
    match exit {
        Exit::Success => Ok(()),
        Exit::Interrupted(status) => Err(Failure::interrupted(status)),
        _ => Err(Failure::failed(format!("Prisma could not tell how to roll `{migration}` back"))
            .because(exit.in_words())
            .because_all(reasons(said))
            .hint(format!("write the way back by hand as `{migration}/down.sql`"))),
    }
}

fn reasons(said: &[String]) -> Vec<String> {
    match prisma_error::explain(said) {
        Some(known) => [vec![format!("{}: {}", known.code, known.message)], known.details].concat(),
        None if said.is_empty() => Vec::new(),
        None => vec![said::why(said)],
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
        let mut script = fs::File::create(folder.join("migration.sql"))?;
        for chunk in migration.sql.chunks() {
            script.write_all(chunk.map_err(io::Error::other)?.as_bytes())?;
        }
    }
    Ok(())
}
