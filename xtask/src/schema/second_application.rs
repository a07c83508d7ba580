//! Whether a history applies a second time after its schema was dropped, as a reset has it do: a schema, a publication or an extension
//! that a migration makes elsewhere outlives the drop, and the migration then fails on it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use postgres::error::SqlState;
use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::files;
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::replay::{AsPrisma, apply, apply_all, cache_key, in_throw_away_database};
use crate::schema::scratch_server;
use crate::session::Session;

/// In SQL's words: `schema`, `"trail"`.
type Outlasting = (String, String);

/// What is of the database and not in one of the schemas `$1`.
const OUTLASTING: &str = "
    select 'schema', pg_catalog.quote_ident(nspname) from pg_catalog.pg_namespace
     where nspname <> all($1) and nspname !~ '^pg_' and nspname <> 'information_schema'
    union all
    select 'extension', pg_catalog.quote_ident(e.extname) from pg_catalog.pg_extension e
      join pg_catalog.pg_namespace n on n.oid = e.extnamespace where n.nspname <> all($1)
    union all select 'publication', pg_catalog.quote_ident(pubname) from pg_catalog.pg_publication
    union all select 'event trigger', pg_catalog.quote_ident(evtname) from pg_catalog.pg_event_trigger
    union all select 'foreign data wrapper', pg_catalog.quote_ident(fdwname) from pg_catalog.pg_foreign_data_wrapper
    union all select 'server', pg_catalog.quote_ident(srvname) from pg_catalog.pg_foreign_server";

fn outlasting(connection: &mut Connection, schemas: &[&str]) -> Result<BTreeSet<Outlasting>> {
    connection.read(|transaction| {
        let rows = transaction.query(OUTLASTING, &[&schemas]).could_not("list what is outside of the schema")?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    })
}

/// Tries it once for each history; a history that passed is known by its digest.
///
/// # Errors
/// `blocked`, naming the migration that fails and what outlives the drop; as a replay's.
pub fn check(session: &Session<'_>, history: &History) -> Result<()> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let mark = mark(session, history, prisma);
    if mark.is_file() {
        return Ok(());
    }
    let there = outlasting(&mut session.connect()?, &schemas)?;
    let dropped = session.target.schemas_of_reset();
    let anywhere = scratch_server::open(session, history, |workshop| {
        let open = |name: &str| workshop.connect_to(name);
        applies_again(&mut workshop.connect()?, open, history, prisma, (&dropped, &there))
    })?;
    if anywhere {
        files::keep(&mark, b"");
    }
    Ok(())
}

/// Beside the catalogs of known histories.
fn mark(session: &Session<'_>, history: &History, prisma: AsPrisma<'_>) -> PathBuf {
    let key = cache_key(&history.digest(), session.identity.major_version(), prisma);
    session.settings.private_dir().join("catalogs").join(format!("{key}.applies-again"))
}

/// Whether it does so in any database after the schemas `dropped` were: true, or only since the target does not have all that the
/// history makes elsewhere (`there` is what it has): false.
fn applies_again(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    prisma: AsPrisma<'_>,
    (dropped, there): (&[&str], &BTreeSet<Outlasting>),
) -> Result<bool> {
    in_throw_away_database(admin, open, prisma, |connection| {
        let fresh = outlasting(connection, prisma.schemas)?;
        apply_all(connection, &history.migrations, prisma)?;
        let made: BTreeSet<_> = outlasting(connection, prisma.schemas)?.difference(&fresh).cloned().collect();
        let elsewhere: Vec<&Outlasting> = made.difference(there).collect();
        drop_schemas(connection, dropped)?;
        for (kind, name) in &elsewhere {
            let drop = format!("drop {kind} if exists {name} cascade");
            connection.client().batch_execute(&drop).could_not("empty the throw-away database")?;
        }
        let outlived: Vec<&Outlasting> = made.intersection(there).collect();
        for migration in &history.migrations {
            apply(connection, migration, prisma)
                .map_err(|failure| not_again(failure, &migration.name, &outlived, dropped))
                .map_err(|failure| with_external(failure, &prisma.groundwork.external.tables_in(dropped)))?;
        }
        Ok(elsewhere.is_empty())
    })
}

/// Prisma's reset takes what is external in its schemas along (measured on 7.10), which may be what the history misses.
fn with_external(failure: Failure, tables: &[String]) -> Failure {
    if tables.is_empty() {
        return failure;
    }
    failure
        .note(format!("the reset would drop what `tables.external` names in these schemas, too: {}", tables.join(", ")))
        .hint("where the history needs one of these tables, have it in a schema that the reset does not drop")
}

/// As Prisma does: all of them are there again before the first migration, those too that the history makes.
fn drop_schemas(connection: &mut Connection, schemas: &[&str]) -> Result<()> {
    schemas.iter().try_for_each(|schema| {
        let name = escape_identifier(schema);
        let sql =
            format!("set client_min_messages = warning; drop schema if exists {name} cascade; create schema {name}");
        let dropped = match connection.client().batch_execute(&sql) {
            // Up to Postgres 14 `public` is the superuser's; whatever is in it here is ours.
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) && *schema == "public" => {
                connection.client().batch_execute("drop owned by current_user cascade")
            }
            other => other,
        };
        dropped.could_not("empty the throw-away database")
    })
}

fn not_again(failure: Failure, migration: &str, outlived: &[&Outlasting], dropped: &[&str]) -> Failure {
    let schema = dropped.join("`, `");
    let was = if dropped.len() > 1 { "were" } else { "was" };
    let made_again = "Prisma makes every schema of `schemas` again before the first migration, which then finds it";
    let refused = Failure::blocked(format!(
        "a reset would not come back: the migration `{migration}` does not apply again after `{schema}` {was} dropped"
    ))
    .because_all(failure.causes())
    .note("nothing was dropped: this was tried in a throw-away database");
    let refused = if dropped.len() > 1 { refused.note(made_again) } else { refused };
    let names: Vec<String> = outlived.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
    if names.is_empty() {
        return refused.hint("have the migration expect what it finds the second time, as `if not exists` does");
    }
    refused
        .note(format!(
            "the migrations make this outside of `{schema}`, where it outlives a reset: {}",
            names.join(", ")
        ))
        .hint("drop that first, with what it holds, or have the migration expect it, as `if not exists` does")
}

#[cfg(test)]
mod tests {
    use script::statements::Version;

    use super::*;
    use crate::postgres::server::{Database, open, open_as_migrator};
    use crate::schema::history::Migration;
    use crate::session::groundwork::Groundwork;

    const PUBLIC: AsPrisma<'_> =
        AsPrisma { schemas: &["public"], release: Version::NEWEST, groundwork: Groundwork::NONE, headway: None };

    /// Against a target that has all that `scripts` make.
    fn tried(scripts: &[&str]) -> Result<bool> {
        let mut target = Database::new();
        scripts.iter().for_each(|sql| target.run(sql));
        tried_against(scripts, &outlasting(&mut target.connection, &["public"]).unwrap())
    }

    fn tried_against(scripts: &[&str], there: &BTreeSet<Outlasting>) -> Result<bool> {
        let migrations = scripts.iter().enumerate().map(|(n, sql)| Migration::new(format!("{n}"), *sql)).collect();
        let history = History { provider: None, migrations };
        applies_again(&mut open_as_migrator(), |name| Ok(open(name)), &history, PUBLIC, (PUBLIC.schemas, there))
    }

    #[test]
    fn what_is_made_outside_of_the_schema_fails_the_second_time() {
        let made = [
            "create schema trail",
            "create publication live",
            "create schema if not exists ext; create extension pg_trgm schema ext",
        ];
        let said = made.map(|sql| {
            let refused = tried(&["create table shelf (id int)", sql]).unwrap_err();
            let causes: Vec<String> = refused.causes().collect();
            assert_eq!(refused.status.exit_code(), 4, "{refused:?}");
            format!("{}\n  {}\n  {}", refused.message, causes.join(", "), refused.notes.join("\n  "))
        });
        insta::assert_snapshot!(said.join("\n"), @r#"
        a reset would not come back: the migration `1` does not apply again after `public` was dropped
          ERROR: schema "trail" already exists (SQLSTATE 42P06)
          nothing was dropped: this was tried in a throw-away database
          the migrations make this outside of `public`, where it outlives a reset: schema trail
        a reset would not come back: the migration `1` does not apply again after `public` was dropped
          ERROR: publication "live" already exists (SQLSTATE 42710)
          nothing was dropped: this was tried in a throw-away database
          the migrations make this outside of `public`, where it outlives a reset: publication live
        a reset would not come back: the migration `1` does not apply again after `public` was dropped
          ERROR: extension "pg_trgm" already exists (SQLSTATE 42710)
          nothing was dropped: this was tried in a throw-away database
          the migrations make this outside of `public`, where it outlives a reset: extension pg_trgm, schema ext
        "#);
    }

    #[test]
    fn what_is_inside_or_expects_itself_applies_again() {
        let scripts = [
            "create table shelf (id int); create extension pg_trgm; create type mood as enum ('a')",
            "create schema if not exists trail; create table if not exists trail.step (id int)",
            "alter type mood add value 'b'",
        ];
        assert!(tried(&scripts).unwrap());
    }

    #[test]
    fn what_the_target_no_longer_has_is_not_in_the_way() {
        let scripts = ["create schema trail; create table trail.step (id int)"];
        assert!(!tried_against(&scripts, &BTreeSet::new()).unwrap());
    }

    /// Measured on 7.10: Prisma's reset fails on a schema that a migration makes and `schemas` lists, and passes where it is
    /// made only if it is missing.
    #[test]
    fn a_schema_of_the_project_that_a_migration_makes_from_nothing_is_there_the_second_time() {
        let groundwork = Groundwork { made: vec!["trail".to_owned()], ..Groundwork::default() };
        let schemas = ["public", "trail"];
        let prisma = AsPrisma { schemas: &schemas, groundwork: &groundwork, ..PUBLIC };
        let tried = |sql: &str| {
            let history = History { provider: None, migrations: vec![Migration::new("1", sql)] };
            let against = (&schemas[..], &BTreeSet::new());
            applies_again(&mut open_as_migrator(), |name| Ok(open(name)), &history, prisma, against)
        };
        assert!(tried("create schema if not exists trail; create table trail.step (id int)").unwrap());
        let refused = tried("create schema trail").unwrap_err();
        insta::assert_snapshot!(format!("{}\n{}", refused.message, refused.notes.join("\n")), @"
        a reset would not come back: the migration `1` does not apply again after `public`, `trail` were dropped
        nothing was dropped: this was tried in a throw-away database
        Prisma makes every schema of `schemas` again before the first migration, which then finds it
        ");
    }
}
