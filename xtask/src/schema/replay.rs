//! What a history *should* look like: its migrations applied to a throw-away database, and the catalog read from that.
//!
//! The throw-away database begins as `prisma migrate reset` leaves one, with a schema just created by the migrating
//! role, so that a database fresh from a reset has nothing that differs. It is dropped on every way out; what a killed
//! process leaves behind, the next replay removes.

use postgres::SimpleQueryMessage;
use postgres::error::{DbError, ErrorPosition, SqlState};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use script::statements::{Script, Statement, Version, split};

use crate::digest::sha256;
use crate::error::{Failure, OrFail, Result, Status};
use crate::headway::{Headway, Work};
use crate::postgres::connection::{Connection, CouldNot, failure, server_words};
use crate::schema::catalog::{CATALOG_VERSION, Catalog};
use crate::schema::external::managed;
use crate::schema::history::{History, Migration};
use crate::schema::server_wide::{Shared, server_name};
use crate::session::groundwork::Groundwork;

const PREFIX: &str = "drill_replay_";

/// How the names of the sandbox and of what is thrown away begin, and no target's.
const OUR_SERVERS: &str = "staging drill: ";

/// The comment on a throw-away database; the server's clock in seconds since 1970 follows.
const MARKER: &str = "staging drill: throw-away database of a replay, created ";

/// No replay takes this long, in seconds: an older one has lost its owner.
const STALE_AFTER: i64 = 3600;

/// What Prisma knows when it applies a history, and who is told how far that is.
#[derive(Debug, Clone, Copy)]
pub struct AsPrisma<'a> {
    /// The first is the datasource's, and alone on the search path.
    pub schemas: &'a [&'a str],
    pub release: Version,
    /// What is there before the first migration.
    pub groundwork: &'a Groundwork,
    pub headway: Option<&'a Headway>,
}

impl AsPrisma<'_> {
    /// Counts so many migrations, or whatever is done for each.
    pub fn counts(&self, total: usize) -> Work {
        self.headway.cloned().unwrap_or_default().part(total)
    }
}

/// Applies `history` to a throw-away database on the server of `admin` and returns the catalog of its schemas there. `open`
/// connects to a database of that server by name.
///
/// # Errors
/// `blocked` when the role may not create databases; `failed`, naming the migration, when one does not apply.
pub fn replay(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    prisma: AsPrisma<'_>,
) -> Result<Catalog> {
    in_throw_away_database(admin, open, prisma, |connection| {
        apply_all(connection, &history.migrations, prisma)?;
        managed(connection, prisma.schemas, &prisma.groundwork.external)
    })
}

/// What a migration makes of an empty database with `history` in it, bit by bit: how many of its requests were sent, and the
/// catalog then. Where one fails, the list ends; where the script has a transaction open, there is nothing to see.
///
/// # Errors
/// As `replay`, of `history`.
pub fn replay_by_statement(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    migration: &Migration,
    prisma: AsPrisma<'_>,
) -> Result<Vec<(usize, Catalog)>> {
    in_throw_away_database(admin, open, prisma, |connection| {
        apply_all(connection, &history.migrations, prisma)?;
        let seen = |connection: &mut _| managed(connection, prisma.schemas, &prisma.groundwork.external);
        let mut points = vec![(0, seen(connection)?)];
        begin(connection, prisma)?;
        for (number, statement) in split(&migration.sql, prisma.release)?.statements().enumerate() {
            let statement = statement?;
            if connection.client().batch_execute(&statement.text).is_err() {
                break;
            }
            if !statement.nature.in_block {
                points.push((number + 1, seen(connection)?));
            }
        }
        Ok(points)
    })
}

/// Names all that the result of a replay depends on, for whoever keeps it.
pub fn cache_key(history_digest: &str, server_major: i32, prisma: AsPrisma<'_>) -> String {
    let AsPrisma { schemas, release, groundwork, headway: _ } = prisma;
    let (splits, groundwork) = (release.splits(), groundwork.digest());
    sha256(format!(
        "majors told\n{CATALOG_VERSION}\n{server_major}\n{history_digest}\n{splits}\n{groundwork}\n{}",
        schemas.join("\n")
    ))
}

/// Runs `work` in a throw-away database on the server of `admin` that has the schemas of `prisma`, all empty,
/// and its groundwork.
///
/// # Errors
/// `blocked` when the role may not create databases; otherwise what `work` says.
pub fn in_throw_away_database<T>(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    prisma: AsPrisma<'_>,
    work: impl FnOnce(&mut Connection) -> Result<T>,
) -> Result<T> {
    with_throw_away_database(admin, prisma.groundwork, |name| {
        let mut connection = open(name)?;
        connection.stand_in(&prisma.groundwork.settings);
        create_schemas(&mut connection, prisma)?;
        discard(&mut connection)?;
        prisma.groundwork.lay(&mut connection, main_schema(prisma)?)?;
        work(&mut connection)
    })
}

/// Lends `work` the name of an empty throw-away database on the server of `admin`, such as Prisma wants for a shadow. The roles
/// of `groundwork` are made first where the server is ours alone: on the target's they are, or are not for a replay to make.
///
/// # Errors
/// As `in_throw_away_database`.
pub fn with_throw_away_database<T>(
    admin: &mut Connection,
    groundwork: &Groundwork,
    work: impl FnOnce(&str) -> Result<T>,
) -> Result<T> {
    drop_stale(admin)?;
    if server_name(admin)?.starts_with(OUR_SERVERS) {
        groundwork.lay_roles(admin)?;
    }
    let shared = Shared::read(admin)?;
    let mut database = ThrowAway::create(admin)?;
    let answer = work(&database.name);
    let dropped = database.drop_now();
    drop(database);
    let answer = answer.and_then(|answer| dropped.map(|()| answer));
    shared.settle(admin).and(answer)
}

/// An empty throw-away database, for whoever needs a session that is in no other. One that is forgotten is dropped by a later replay.
///
/// # Errors
/// `blocked` when the role may not create databases.
pub fn create_throw_away(admin: &mut Connection) -> Result<String> {
    let mut database = ThrowAway::create(admin)?;
    database.exists = false;
    Ok(database.name.clone())
}

/// Drops what `create_throw_away` made.
///
/// # Errors
/// `failed` with the server's words.
pub fn drop_throw_away(admin: &mut Connection, name: &str) -> Result<()> {
    if name.starts_with(PREFIX) {
        drop_database(admin, name)
    } else {
        Err(Failure::bug("that is no throw-away database"))
    }
}

/// A database that is dropped with this value, whatever happens.
struct ThrowAway<'a> {
    admin: &'a mut Connection,
    name: String,
    exists: bool,
}

impl<'a> ThrowAway<'a> {
    fn create(admin: &'a mut Connection) -> Result<ThrowAway<'a>> {
        let name = format!("{PREFIX}{:016x}", random()?);
        let like_ours = locale_of_ours(admin)?;
        let create = format!("create database {} template template0 {like_ours}", escape_identifier(&name));
        admin.client().batch_execute(&create).map_err(not_created)?;
        let throw_away = ThrowAway { admin, name, exists: true };
        // Nothing of it has to outlive a power cut, and each statement of a migration is a transaction.
        let mark = format!(
            "do $do$ begin
                execute pg_catalog.format('comment on database %I is %L', {}, {} || {SERVER_CLOCK});
            end $do$;
            alter database {} set synchronous_commit = off",
            escape_literal(&throw_away.name),
            escape_literal(MARKER),
            escape_identifier(&throw_away.name),
        );
        throw_away.admin.client().batch_execute(&mark).could_not("mark the throw-away database")?;
        Ok(throw_away)
    }

    fn drop_now(&mut self) -> Result<()> {
        self.exists = false;
        drop_database(self.admin, &self.name)
    }
}

impl Drop for ThrowAway<'_> {
    /// Only a panic or an error while creating comes here; its error has no reader any more, and the next replay tries
    /// again.
    fn drop(&mut self) {
        if self.exists {
            let _ = self.drop_now();
        }
    }
}

const SERVER_CLOCK: &str = "extract(epoch from pg_catalog.clock_timestamp())::pg_catalog.int8";

fn random() -> Result<u64> {
    getrandom::u64().bug("the system gave no random number")
}

/// The encoding and locale clauses that make a new database sort and fold like the one that we are in.
fn locale_of_ours(admin: &mut Connection) -> Result<String> {
    // `to_jsonb`, because the column of the locale has one name in Postgres 15 and 16 and another in 17, and 14 knows the C library alone.
    const LOCALE: &str = "
        select pg_catalog.pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text,
               coalesce(pg_catalog.to_jsonb(d) operator(pg_catalog.->>) 'datlocprovider', ''),
               coalesce(pg_catalog.to_jsonb(d) operator(pg_catalog.->>) 'datlocale',
                        pg_catalog.to_jsonb(d) operator(pg_catalog.->>) 'daticulocale')
          from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()";
    let row = admin.client().query_one(LOCALE, &[]).could_not("ask for the database's locale")?;
    let literal = |index| escape_literal(row.get::<_, Option<&str>>(index).unwrap_or_default());
    let provider = match row.get(3) {
        "i" => format!("locale_provider icu icu_locale {}", literal(4)),
        "b" => format!("locale_provider builtin builtin_locale {}", literal(4)),
        "" => String::new(),
        _ => "locale_provider libc".to_owned(),
    };
    Ok(format!("encoding {} lc_collate {} lc_ctype {} {provider}", literal(0), literal(1), literal(2)))
}

fn not_created(error: postgres::Error) -> Failure {
    let answered = error.as_db_error().is_some();
    let failure = failure("create a throw-away database", error);
    if !answered {
        return failure;
    }
    failure.with_status(Status::Blocked).hint("give the role CREATEDB; on the sandbox it has it")
}

/// Whoever is still connected is put out. An autovacuum worker counts as a superuser there, whom others may not put out; without
/// force the server asks it to leave, and waits some seconds.
fn drop_database(admin: &mut Connection, name: &str) -> Result<()> {
    let drop = format!("drop database if exists {}", escape_identifier(name));
    let dropped = match admin.client().batch_execute(&format!("{drop} with (force)")) {
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => admin.client().batch_execute(&drop),
        other => other,
    };
    dropped.could_not(&format!("drop the throw-away database `{name}`"))
}

/// Drops what earlier replays left behind: ours by name, by owner and by comment, and old by the comment's time.
fn drop_stale(admin: &mut Connection) -> Result<()> {
    let candidates = format!(
        "select d.datname::text, pg_catalog.shobj_description(d.oid, 'pg_database'), {SERVER_CLOCK}
           from pg_catalog.pg_database d
           join pg_catalog.pg_roles r on r.oid = d.datdba and r.rolname = current_user
          where pg_catalog.starts_with(d.datname::text, '{PREFIX}')"
    );
    let rows = admin.client().query(&candidates, &[]).could_not("look for stale databases")?;
    for row in rows {
        let created =
            row.get::<_, Option<&str>>(1).and_then(|comment| comment.strip_prefix(MARKER)?.parse::<i64>().ok());
        if created.is_some_and(|created| created + STALE_AFTER < row.get(2)) {
            drop_database(admin, row.get(0))?;
        }
    }
    Ok(())
}

/// `public` is there already and is not the project's own; `migrate reset` would replace it too. What the history makes
/// itself is not there yet.
fn create_schemas(connection: &mut Connection, prisma: AsPrisma<'_>) -> Result<()> {
    let is_made = |schema: &&&str| prisma.groundwork.made.iter().any(|made| made == **schema);
    for schema in prisma.schemas.iter().filter(|schema| !is_made(schema)) {
        let name = escape_identifier(schema);
        let sql = format!("set client_min_messages = warning; drop schema if exists {name}; create schema {name}");
        let made = match connection.client().batch_execute(&sql) {
            // Up to Postgres 14 `public` is the superuser's in a new database, and everybody may create in it.
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) && *schema == "public" => Ok(()),
            other => other,
        };
        made.could_not("prepare the throw-away database")?;
    }
    Ok(())
}

/// Applies them in order, and counts them.
///
/// # Errors
/// As `apply`, of the first that fails.
pub fn apply_all(connection: &mut Connection, migrations: &[Migration], prisma: AsPrisma<'_>) -> Result<()> {
    apply_each(connection, migrations, prisma, |_| Ok(()))
}

/// As `apply_all`, and does `then` after each.
///
/// # Errors
/// As `apply`, of the first that fails; what `then` says.
pub fn apply_each(
    connection: &mut Connection,
    migrations: &[Migration],
    prisma: AsPrisma<'_>,
    mut then: impl FnMut(&mut Connection) -> Result<()>,
) -> Result<()> {
    let work = prisma.counts(migrations.len());
    migrations.iter().enumerate().try_for_each(|(at, migration)| {
        work.step(at + 1, &migration.name);
        apply(connection, migration, prisma)?;
        then(connection)
    })
}

/// Sends the script as this Prisma's engine does. It finds a clean session and leaves one, since each script may have been
/// applied in a `deploy` of its own.
pub fn apply(connection: &mut Connection, migration: &Migration, prisma: AsPrisma<'_>) -> Result<()> {
    try_to_apply(connection, migration, prisma).map_err(|refused| refused.failure)
}

/// What the server said to a statement of a migration.
#[derive(Debug)]
pub struct Refused {
    pub failure: Failure,
    /// None where the server did not answer, or where it was not the statement that failed.
    pub code: Option<SqlState>,
    /// Schema and table, where the server names them.
    pub table: Option<(String, String)>,
    pub statement: String,
}

impl From<Failure> for Box<Refused> {
    fn from(failure: Failure) -> Self {
        Box::new(Refused { failure, code: None, table: None, statement: String::new() })
    }
}

/// As `apply`, for whoever looks for what is in the way of a migration.
///
/// # Errors
/// As `apply`.
pub fn try_to_apply(
    connection: &mut Connection,
    migration: &Migration,
    prisma: AsPrisma<'_>,
) -> Result<(), Box<Refused>> {
    apply_with(connection, migration, prisma, |connection, statement| {
        Ok(connection.client().batch_execute(&statement.text))
    })
}

/// As `try_to_apply`, each statement sent by `send`.
///
/// # Errors
/// As `apply`; what `send` says of itself.
pub fn apply_with(
    connection: &mut Connection,
    migration: &Migration,
    prisma: AsPrisma<'_>,
    mut send: impl FnMut(&mut Connection, &Statement) -> Result<Result<(), postgres::Error>>,
) -> Result<(), Box<Refused>> {
    begin(connection, prisma)?;
    let script = split(&migration.sql, prisma.release).map_err(Failure::from)?;
    for (number, statement) in script.statements().enumerate() {
        let statement = statement.map_err(Failure::from)?;
        send(connection, &statement)?.map_err(|error| {
            let answer = error.as_db_error();
            let code = answer.map(|answer| answer.code().clone());
            let table = answer.and_then(|answer| Some((answer.schema()?.to_owned(), answer.table()?.to_owned())));
            let failure = not_applied(migration, &script, (number, &statement), error);
            Box::new(Refused { failure, code, table, statement: statement.text.clone() })
        })?;
    }
    discard(connection).map_err(|failure| match failure.message == STILL_OPEN {
        true => Failure::failed(format!("the migration `{}` leaves a transaction open", migration.name))
            .hint("add the COMMIT that its BEGIN lacks, or remove the BEGIN"),
        false => failure,
    })?;
    Ok(())
}

/// Makes the session as good as new, whatever a script or we have set. As DISCARD ALL, but for what we have prepared ourselves.
///
/// # Errors
/// `failed` where a script has left a transaction open.
pub fn discard(connection: &mut Connection) -> Result<()> {
    // A transaction that was begun with this very request is as old as it.
    const DISCARD: &str = "
        select 1 operator(pg_catalog./) (pg_catalog.now() operator(pg_catalog.=) pg_catalog.statement_timestamp())::pg_catalog.int4;
        close all; set session authorization default; reset all; unlisten *; select pg_catalog.pg_advisory_unlock_all();
        discard temp; discard sequences;
        select 'deallocate ' operator(pg_catalog.||) pg_catalog.quote_ident(name) as sql from pg_catalog.pg_prepared_statements where from_sql";
    let answers = connection.client().simple_query(DISCARD).map_err(|error| match error.code() {
        Some(&SqlState::DIVISION_BY_ZERO | &SqlState::IN_FAILED_SQL_TRANSACTION) => Failure::failed(STILL_OPEN),
        _ => failure("clean up a session", error),
    })?;
    let rows = answers.iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.try_get("sql").ok().flatten(),
        _ => None,
    });
    let prepared: Vec<&str> = rows.collect();
    match prepared.is_empty() {
        true => Ok(()),
        false => connection.client().batch_execute(&prepared.join(";")).could_not("clean up a session"),
    }
}

const STILL_OPEN: &str = "a script leaves a transaction open";

fn main_schema(prisma: AsPrisma<'_>) -> Result<&str> {
    prisma.schemas.first().copied().ok_or_else(|| Failure::bug("a replay needs a schema"))
}

fn begin(connection: &mut Connection, prisma: AsPrisma<'_>) -> Result<()> {
    connection.impersonate_prisma(main_schema(prisma)?).could_not("prepare a session for a migration")
}

fn not_applied(
    migration: &Migration,
    script: &Script,
    (number, statement): (usize, &Statement),
    error: postgres::Error,
) -> Failure {
    let failure = Failure::failed(format!("the migration `{}` does not apply to an empty database", migration.name));
    let Some(answer) = error.as_db_error() else { return failure.caused_by(error) };
    let within = line_in(answer, &statement.text);
    let line = within.map_or(statement.line, |line| statement.starts + line - 1);
    let failure = failure.at(&migration.name, &migration.sql, Some(line));
    let failure = match (script.len(), within) {
        (1, line) => failure.because(format!("{}{}", server_words(answer), of_the_script(line))),
        (count, _) => failure.because(format!(
            "{}, in statement {} of {count}, line {line} of the script",
            server_words(answer),
            number + 1,
        )),
    };
    match &script.whole_because {
        Some(reason) if *answer.code() == SqlState::ACTIVE_SQL_TRANSACTION => failure
            .because(format!("Prisma sends this file as one request, since its parser does not read it: {reason}"))
            .hint("put the statement into a migration of its own"),
        // Of the server's words in whatever language: which of its files speaks.
        _ if *answer.code() == SqlState::FEATURE_NOT_SUPPORTED && answer.file() == Some("extension.c") => failure
            .note("or rehearse beside a claimed database of a server that has it: `drill --each --target NAME`, as a role that may create databases")
            .hint("install the extension on the server of the replay; for the sandbox name a Postgres of this machine that has it as `bin_dir` under `[sandbox]` in drill.toml"),
        _ if is_missing(answer.code()) => failure.hint(
            "correct the migration; what the platform made and no migration did, make in `migrations.initShadowDb` of the Prisma config",
        ),
        _ => failure,
    }
}

/// Whether a script refers to what is not there: a schema, a table, a function, a type, a role.
fn is_missing(code: &SqlState) -> bool {
    let codes = [
        &SqlState::INVALID_SCHEMA_NAME,
        &SqlState::UNDEFINED_TABLE,
        &SqlState::UNDEFINED_FUNCTION,
        &SqlState::UNDEFINED_OBJECT,
    ];
    codes.contains(&code)
}

/// ", line 3 of the script", where the server points at a place.
pub fn line_of(answer: &DbError, sql: &str) -> String {
    of_the_script(line_in(answer, sql))
}

fn of_the_script(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line} of the script")).unwrap_or_default()
}

/// The line of `sql` at which the server points, from 1.
fn line_in(answer: &DbError, sql: &str) -> Option<usize> {
    let Some(ErrorPosition::Original(position)) = answer.position() else { return None };
    // In characters, from 1.
    let before = sql.chars().take(*position as usize - 1);
    Some(before.filter(|c| *c == '\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::error::Status;
    use crate::postgres::server::{Database, open, open_as, open_as_migrator};
    use crate::schema::catalog::{catalog, diff};

    fn history(scripts: &[&str]) -> History {
        let migrations = scripts.iter().enumerate().map(|(n, sql)| Migration::new(format!("{n}"), *sql)).collect();
        History { provider: Some("postgresql".into()), migrations }
    }

    const PUBLIC: AsPrisma<'_> =
        AsPrisma { schemas: &["public"], release: Version::NEWEST, groundwork: Groundwork::NONE, headway: None };

    const GOOD: [&str; 5] = [
        "create table \"A\" (id serial primary key, note text); insert into \"A\" (note) values ('a;b')",
        "create function f() returns trigger language plpgsql as $$ begin new.note := ';'; return new; end $$",
        "-- alone, so outside of a transaction\ncreate index concurrently a_note on \"A\" (note)",
        "set search_path = ''; create view public.v as select note from public.\"A\"",
        "create trigger t before insert on \"A\" for each row execute function f(); grant select on \"A\" to reader",
    ];

    #[test]
    fn a_replay_counts_its_migrations() {
        let headway = Headway::default();
        let (prisma, seen) = (AsPrisma { headway: Some(&headway), ..PUBLIC }, RefCell::new(Vec::new()));
        let look = |_: &mut Connection| {
            let now = headway.look().unwrap();
            seen.borrow_mut().push((now.done, now.total, now.name));
            Ok(())
        };
        let admin = &mut open_as_migrator();
        let open = |name: &str| Ok(open_as("migrator", name));
        let history = history(&["select 1", "select 2", "select 3"]);
        in_throw_away_database(admin, open, prisma, |one| apply_each(one, &history.migrations, prisma, look)).unwrap();
        let expected = [(1, "0"), (2, "1"), (3, "2")].map(|(number, name)| (number, Some(3), name.to_owned()));
        assert_eq!((seen.into_inner().as_slice(), headway.look()), (&expected[..], None));
    }

    /// Whether `name` is a database of the server.
    fn exists(name: &str) -> bool {
        let sql = "select exists (select from pg_catalog.pg_database where datname = $1)";
        open("postgres").client().query_one(sql, &[&name]).unwrap().get(0)
    }

    /// Replays, and says which databases it opened.
    fn replayed(scripts: &[&str]) -> (Result<Catalog>, Vec<String>) {
        let opened = RefCell::new(Vec::new());
        let remember = |name: &str| {
            opened.borrow_mut().push(name.to_owned());
            Ok(open(name))
        };
        let answer = replay(&mut open_as_migrator(), remember, &history(scripts), PUBLIC);
        (answer, opened.into_inner())
    }

    /// As an autovacuum worker does, which cannot be called at will.
    #[test]
    fn a_superuser_who_looks_in_does_not_keep_a_throw_away_database() {
        let mut kept = String::new();
        let visit = |name: &str| {
            kept = name.to_owned();
            let visitor = open(name);
            std::thread::spawn(move || {
                let waits = "select exists (select from pg_catalog.pg_stat_activity
                              where usename = 'migrator' and state = 'active' and query ~ '^drop database [^(]*$')";
                let begun = std::time::Instant::now();
                let mut watch = open("postgres");
                while !watch.client().query_one(waits, &[]).unwrap().get::<_, bool>(0) && begun.elapsed().as_secs() < 10
                {
                }
                drop(visitor);
            });
            Ok(())
        };
        with_throw_away_database(&mut open_as_migrator(), Groundwork::NONE, visit).unwrap();
        assert!(!exists(&kept));
    }

    #[test]
    fn a_role_that_is_missing_on_somebody_elses_server_is_not_made_there() {
        let groundwork =
            Groundwork { roles: vec!["create role never_laid nologin".to_owned()], ..Groundwork::default() };
        with_throw_away_database(&mut open_as_migrator(), &groundwork, |_| Ok(())).unwrap();
        let mut database = Database::new();
        let made = "select exists (select from pg_catalog.pg_roles where rolname = 'never_laid')";
        assert!(!database.connection.client().query_one(made, &[]).unwrap().get::<_, bool>(0));
        groundwork.lay_roles(&mut database.connection).unwrap();
        assert!(database.connection.client().query_one(made, &[]).unwrap().get::<_, bool>(0));
        database.run("drop role never_laid");
    }

    #[test]
    fn a_replay_is_what_the_migrations_make_of_a_database_and_leaves_none_behind() {
        let mut database = Database::new();
        database.run("drop schema public; create schema public");
        GOOD.iter().for_each(|sql| database.run(sql));
        let (expected, opened) = replayed(&GOOD);
        let actual = catalog(&mut database.connection, &["public"]).unwrap();
        assert_eq!(diff(&expected.unwrap(), &actual), []);
        assert!(opened.len() == 1 && opened[0].starts_with(PREFIX) && !exists(&opened[0]));
    }

    #[test]
    fn a_migration_that_fails_is_named_with_its_line_and_the_database_is_dropped() {
        let (answer, opened) = replayed(&["create table a (id int)", "select 1;\n\nselect nonsense;"]);
        let failure = answer.unwrap_err();
        assert_eq!(failure.message, "the migration `1` does not apply to an empty database");
        assert_eq!(
            failure.causes().collect::<Vec<_>>(),
            ["ERROR: column \"nonsense\" does not exist (SQLSTATE 42703), in statement 2 of 2, line 3 of the script"]
        );
        assert!(!exists(&opened[0]));
    }

    const CONCURRENTLY: &str = "create table a (id int);\ncreate index concurrently a_id on a (id);\n\
                                -- the second\ncreate index concurrently a_id2 on a (id, id)";

    #[test]
    fn a_migration_is_sent_as_the_release_of_prisma_sends_it() {
        let apply = |sql: &str, release: &str| {
            let prisma = AsPrisma { release: Version::of(release), ..PUBLIC };
            let open = |name: &str| Ok(open(name));
            replay(&mut open_as_migrator(), open, &history(&[sql]), prisma).map(|catalog| catalog.objects.len())
        };
        assert!(apply(CONCURRENTLY, "7.4.0").is_ok());
        let refused = "ERROR: CREATE INDEX CONCURRENTLY cannot run inside a transaction block (SQLSTATE 25001)";
        assert_eq!(apply(CONCURRENTLY, "7.3.0").unwrap_err().causes().collect::<Vec<_>>(), [refused]);
        let unknown = format!("{CONCURRENTLY}; do $$ begin end $$");
        let reason = "Prisma sends this file as one request, since its parser does not read it: \
                      Expected: an SQL statement, found: do at Line: 4, Column: 48";
        assert_eq!(apply(&unknown, "7.10.0").unwrap_err().causes().collect::<Vec<_>>(), [refused, reason]);
        // A value of an enum cannot be used in the transaction that adds it.
        let used = "create type e as enum ('a'); alter type e add value 'b'; create table t (c e default 'b')";
        assert!(apply(used, "7.4.0").is_ok());
    }

    #[test]
    fn where_the_server_names_no_place_the_failing_statement_does() {
        let (answer, _) = replayed(&["create table a (id int);\n\n-- nothing\ndrop table b"]);
        let causes = ["ERROR: table \"b\" does not exist (SQLSTATE 42P01), in statement 2 of 2, line 4 of the script"];
        assert_eq!(answer.unwrap_err().causes().collect::<Vec<_>>(), causes);
    }

    #[test]
    fn a_migration_is_watched_statement_by_statement_but_for_its_own_transactions() {
        let sql =
            "create table a (); begin; create table b (); create table c (); commit; create table d (); drop table x";
        let open = |name: &str| Ok(open(name));
        let migration = Migration::new("1", sql);
        let before = history(&["create table z ()"]);
        let mut admin = open_as_migrator();
        let points = replay_by_statement(&mut admin, open, &before, &migration, PUBLIC).unwrap();
        let seen: Vec<(usize, usize)> = points
            .iter()
            .map(|(count, catalog)| (*count, catalog.objects.keys().filter(|key| key.kind == "table").count()))
            .collect();
        assert_eq!(seen, [(0, 1), (1, 2), (5, 4), (6, 5)]);
    }

    #[test]
    fn a_migration_that_leaves_a_transaction_open_is_refused() {
        let (answer, opened) = replayed(&["begin; create table a (id int)"]);
        assert_eq!(answer.unwrap_err().message, "the migration `0` leaves a transaction open");
        assert!(!exists(&opened[0]));
    }

    #[test]
    fn a_panic_leaves_no_database_behind() {
        let name = RefCell::new(String::new());
        let panicking = |database: &str| -> Result<Connection> {
            name.replace(database.to_owned());
            panic!("while connecting to {database}")
        };
        let mut admin = open_as_migrator();
        let caught = catch_unwind(AssertUnwindSafe(|| replay(&mut admin, panicking, &history(&GOOD), PUBLIC)));
        assert!(caught.is_err() && !exists(&name.into_inner()));
    }

    #[test]
    fn another_datasource_schema_is_made_and_searched_alone() {
        let mut admin = open_as_migrator();
        let scripts = ["create table t (id int)", "create table extra.t (id int)"];
        let prisma = AsPrisma { schemas: &["app", "extra"], ..PUBLIC };
        let catalog = replay(&mut admin, |name| Ok(open(name)), &history(&scripts), prisma).unwrap();
        let tables: Vec<String> =
            catalog.objects.keys().filter(|key| key.kind == "table").map(|key| key.name()).collect();
        assert_eq!(tables, ["\"app\".\"t\"", "\"extra\".\"t\""]);
    }

    #[test]
    fn an_ordinary_role_with_createdb_replays_and_one_without_is_told_so() {
        let database = Database::new();
        let mut migrator = open_as("migrator", &database.name);
        let scripts = history(&["create table t (id int)"]);
        let answer = replay(&mut migrator, |name| Ok(open_as("migrator", name)), &scripts, PUBLIC).unwrap();
        let by_superuser = replayed(&["create table t (id int)"]).0.unwrap();
        assert_eq!(diff(&by_superuser, &answer), []);
        let mut clerk = open_as("clerk", &database.name);
        let refused = replay(&mut clerk, |name| Ok(open_as("clerk", name)), &scripts, PUBLIC).unwrap_err();
        assert_eq!(refused.status, Status::Blocked);
    }

    #[test]
    fn only_our_own_old_leftovers_are_dropped() {
        let now = Database::new().ask::<i64>("select extract(epoch from now())::int8");
        let make = |name: &str, comment: Option<String>| {
            let mut server = open_as_migrator();
            server.client().batch_execute(&format!("create database {name}")).unwrap();
            if let Some(comment) = comment {
                server
                    .client()
                    .batch_execute(&format!("comment on database {name} is {}", escape_literal(&comment)))
                    .unwrap();
            }
        };
        make("drill_replay_old", Some(format!("{MARKER}{}", now - 2 * STALE_AFTER)));
        make("drill_replay_young", Some(format!("{MARKER}{}", now - STALE_AFTER / 2)));
        make("drill_replay_unmarked", None);
        make("drill_replay_misread", Some(format!("{MARKER}yesterday")));
        make("named_otherwise", Some(format!("{MARKER}{}", now - 2 * STALE_AFTER)));
        replay(&mut open_as_migrator(), |name| Ok(open(name)), &history(&[]), PUBLIC).unwrap();
        let left = [
            "drill_replay_old",
            "drill_replay_young",
            "drill_replay_unmarked",
            "drill_replay_misread",
            "named_otherwise",
        ];
        assert_eq!(left.map(exists), [false, true, true, true, true]);
    }

    #[test]
    fn the_cache_key_names_everything_that_the_result_depends_on() {
        let key = cache_key("digest", 17, PUBLIC);
        assert_eq!(key, cache_key("digest", 17, PUBLIC));
        let others = [
            cache_key("digest2", 17, PUBLIC),
            cache_key("digest", 16, PUBLIC),
            cache_key("digest", 17, AsPrisma { schemas: &["app"], ..PUBLIC }),
            cache_key("digest", 17, AsPrisma { schemas: &["public", "app"], ..PUBLIC }),
            cache_key("digest", 17, AsPrisma { release: Version::of("7.3.0"), ..PUBLIC }),
        ];
        assert!(!others.contains(&key));
    }
}
