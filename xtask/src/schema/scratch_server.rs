//! Where throw-away databases are made: on the target's own server where its role may, else on the sandbox; and on a server
//! of their own where a script would change the server itself.

use postgres_protocol::escape::escape_identifier;
use script::whole_server;

use crate::error::{Failure, Result};
use crate::guard::Demand;
use crate::guard::input::Declared;
use crate::hint::Hint;
use crate::postgres::connection::CouldNot;
use crate::sandbox::{self, Sandbox};
use crate::schema::history::{History, Migration};
use crate::schema::platform;
use crate::schema::server_wide;
use crate::session::Session;

/// Runs `work`, which replays `history` or a part of it, with a session that may create databases: `session` itself, or one of
/// the sandbox, or one on a server of its own where a script acts on the whole server.
///
/// # Errors
/// `blocked` when there is no such place; otherwise what `work` says.
pub fn open<T>(session: &Session<'_>, history: &History, work: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
    if let Some(reason) = acts_on_server(session, history)? {
        return on_own_server(session, &reason, work);
    }
    if session.identity.may_create_databases {
        return work(session);
    }
    let sandbox = started_sandbox(session)?;
    in_sandbox(session, &sandbox, work)
}

/// The sandbox in place of the target's server, started where it does not run.
///
/// # Errors
/// `blocked` where there is none.
pub fn started_sandbox(session: &Session<'_>) -> Result<Sandbox> {
    let work = session.headway.doing("the sandbox");
    let tell = |what: &str| work.name(&format!("the sandbox, {what}"));
    sandbox::up(session.settings, session.interrupt, &tell).map_err(|sandbox| no_place(&session.identity.user, sandbox))
}

/// Why the history cannot be replayed on a server that others use; its down scripts count.
///
/// # Errors
/// `blocked` where a script cannot be read.
pub fn acts_on_server(session: &Session<'_>, history: &History) -> Result<Option<String>> {
    let down = |migration: &Migration| {
        let path = session.settings.prisma.migrations.join(&migration.name).join("down.sql");
        let script = pin::file::read_text(&path, pin::file::LONGEST).ok()?;
        let found = whole_server::first(&script.into()).transpose()?;
        let told = |found| format!("`{}/down.sql` ({found}) acts on the whole server", migration.name);
        Some(found.map(told).map_err(Failure::from))
    };
    match server_wide::first_in(history)? {
        Some(found) => Ok(Some(found)),
        None => history.migrations.iter().find_map(down).transpose(),
    }
}

/// Runs `work` on a server that is made for it and thrown away with all its roles.
///
/// # Errors
/// `blocked`, saying why it cannot be known, where there is no such server.
pub fn on_own_server<T>(
    session: &Session<'_>,
    reason: &str,
    work: impl FnOnce(&Session<'_>) -> Result<T>,
) -> Result<T> {
    let starting = session.headway.doing("a server for a replay");
    let tell = |what: &str| starting.name(&format!("a server for a replay, {what}"));
    let ephemeral = sandbox::Ephemeral::start(session.settings, session.interrupt, &tell).map_err(|failure| {
        let hint = failure.hint.clone().map_or_else(|| Hint::run("sandbox up"), |hint| *hint);
        Failure::blocked("what the history makes cannot be known: there is no server to replay it on")
            .because(format!("{reason}, so a replay beside the target would do it for real"))
            .because_of(failure)
            .note("nothing was changed")
            .hint(hint)
    })?;
    drop(starting);
    in_sandbox(session, &ephemeral.sandbox, |workshop| {
        prepare(workshop, session)?;
        work(workshop)
    })
}

/// The names that a script may use: the target's role and database, where the new server has none of these names.
fn prepare(workshop: &Session<'_>, session: &Session<'_>) -> Result<()> {
    const MISSING: &str = "
        select not exists (select from pg_catalog.pg_roles where rolname = $1),
               not exists (select from pg_catalog.pg_database where datname = $2)";
    let (user, database) = (&session.identity.user, &session.identity.database);
    let mut connection = workshop.connect()?;
    let intent = "prepare a server for a replay";
    let missing = connection.client().query_one(MISSING, &[user, database]).could_not(intent)?;
    let create = |kind: &str, name: &str| format!("create {kind} {}", escape_identifier(name));
    let wanted = [(missing.get(0), create("role", user)), (missing.get(1), create("database", database))];
    let statements = wanted.iter().filter(|(is_missing, _)| *is_missing);
    statements.into_iter().try_for_each(|(_, sql)| connection.client().batch_execute(sql).could_not(intent))
}

fn in_sandbox<T>(session: &Session<'_>, sandbox: &Sandbox, work: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
    let settings = session.settings.clone().for_sandbox();
    let declared = Declared::of_sandbox(&settings, &sandbox.url());
    let candidate = declared.check().map_err(|refusals| Failure::refused(sandbox::DATABASE, refusals))?;
    let redactor = declared.redactor();
    let mut workshop = Session::open(&settings, session.interrupt, candidate, redactor, Demand::Additive)?;
    workshop.headway = session.headway.clone();
    // What the platform made is known on the target, and nowhere else.
    let groundwork = platform::as_prisma(session, &session.target.schemas())?.groundwork.clone();
    workshop.groundwork.get_or_init(|| groundwork);
    // The session of the run does not know what became of this one.
    work(&workshop).map_err(|failure| workshop.told(failure, false))
}

/// `sandbox` says why there is none.
fn no_place(user: &str, mut sandbox: Failure) -> Failure {
    let hint = sandbox.hint.take().map_or_else(|| Hint::run("sandbox up"), |hint| *hint);
    Failure::blocked(format!("`{user}` may not create a throw-away database, and there is no sandbox to do it on"))
        .because_of(sandbox)
        .note(format!("an administrator may let the role do it: alter role \"{user}\" createdb"))
        .hint(hint)
}
