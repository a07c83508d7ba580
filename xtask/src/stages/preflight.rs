//! What would make Prisma fail or mislead later, found out before anything runs.

use postgres_protocol::escape::escape_literal;

use crate::causes::engine;
use crate::causes::history as causes;
use crate::causes::prisma;
use crate::error::{Failure, OrFail, Result, Status};
use crate::evidence::outcome::Leftover;
use crate::guard::prisma_schema;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::status::MigrationStatus;
use crate::process::{self, Exit};
use crate::schema::catalog::Difference;
use crate::schema::drift;
use crate::schema::expected::{self, Expected};
use crate::schema::history::History;
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::no_script;
use crate::session::Session;
use crate::settings::schema_files;
use crate::stages::still_owed;
use crate::tools::schema_reading;
use crate::words::listed;

/// Prisma finds this out too (P3019), but only after it has created a database that was missing.
pub fn check_providers(session: &Session<'_>, history: &History) -> Result<()> {
    let schema = &session.settings.prisma.schema;
    let shown = session.settings.shown(schema);
    let files = schema_files::read(schema)
        .or_fail(|| Failure::blocked(format!("cannot read `{shown}`")).known(&engine::SCHEMA_MISSING, &[]))?;
    let named: Vec<_> = files.iter().map(|(path, text)| (session.settings.shown(path), text)).collect();
    let read = prisma_schema::read(named.iter().map(|(name, text)| (name.as_str(), text.as_slice())));
    let read = read.map_err(|unread| Failure::refused(&session.settings.target.name, vec![unread]))?;
    match read.datasource.and_then(|datasource| datasource.provider).as_deref() {
        Some("postgresql" | "postgres") => {}
        other => {
            return Err(Failure::blocked(format!("`{shown}` is not a schema for Postgres"))
                .because(format!("its datasource says `{}`", other.unwrap_or("nothing")))
                .known(&engine::SCHEMA_OF_ANOTHER_KIND, &[]));
        }
    }
    if read.models == 0 && !history.migrations.is_empty() {
        return Err(Failure::blocked(format!("`{shown}` has no model, so its client would be empty"))
            .known(&engine::SCHEMA_WITHOUT_MODELS, &[]));
    }
    let folder = session.settings.shown(&session.settings.prisma.migrations);
    match history.provider.as_deref() {
        None | Some("postgresql") => Ok(()),
        Some(other) => {
            Err(Failure::blocked(format!("`{folder}` is a history for `{other}`, not for Postgres (P3019)"))
                .because("`migration_lock.toml` says so")
                .known(&engine::HISTORY_OF_ANOTHER_KIND, &[]))
        }
    }
}

/// Asks Prisma's engine what it makes of the schema, unless it has passed before: the CLI would say so while the migrations are applied.
///
/// # Errors
/// `blocked` when it cannot be read.
pub fn check_schema(session: &Session<'_>) -> Result<()> {
    if schema_reading::has_passed(session.settings, &session.toolbox) {
        return Ok(());
    }
    let question = schema_reading::question(session)?;
    let (exit, said) = process::capture(&question, session.settings.timeouts.generate, session.interrupt)?;
    schema_reading::judge(&said)?;
    if exit == Exit::Success && !said.is_empty() {
        schema_reading::keep_passed(session.settings, &session.toolbox);
    }
    Ok(())
}

/// A project that has no migration, neither here nor in the ledger: nothing could be rehearsed, and nothing verified.
pub fn check_history(session: &Session<'_>, history: &History, ledger: &[String]) -> Result<()> {
    let settings = session.settings;
    match history.migrations.is_empty() && ledger.is_empty() {
        true => Err(no_script::no_history(&settings.root, &settings.prisma.migrations)),
        false => Ok(()),
    }
}

pub fn check_standing(standing: &MigrationStatus) -> Result<()> {
    if let Some(name) = standing.running.first() {
        return Err(
            Failure::blocked(format!("migration `{name}` is running in another session")).known(&causes::RUNNING, &[])
        );
    }
    if let Some(name) = standing.edited_after_apply.first() {
        return Err(Failure::different(format!("migration `{name}` was edited after it was applied"))
            .because("Prisma does not say so, and the database is not what the file says")
            .known(&causes::EDITED, &[("file", &format!("{name}/{}", no_script::SCRIPT))]));
    }
    if let Some((old, new)) = standing.renamed.first() {
        return Err(Failure::different(format!("migration `{old}` is applied, and its folder is now called `{new}`"))
            .because("Prisma would apply the same script a second time")
            .note("one statement gives the ledger the new name; the other way is to give the folder its old one")
            .known(
                &causes::RENAMED,
                &[
                    ("ledger", &format!("\"{LEDGER_TABLE}\"")),
                    ("new", &escape_literal(new)),
                    ("old", &escape_literal(old)),
                ],
            ));
    }
    if let Some(name) = standing.missing_locally.first() {
        return Err(Failure::different(format!("migration `{name}` is applied, but its folder is not here"))
            .because("Prisma does not say so")
            .known(&causes::MISSING, &[("migration", name)]));
    }
    Ok(())
}

/// A squash by Prisma's guide leaves rows of the ledger without a folder. That they are covered is believed when the folders
/// that are applied make the schema that is there.
pub fn check_squash(session: &Session<'_>, history: &History, state: &DatabaseState) -> Result<()> {
    if state.standing.squashed.is_empty() {
        return Ok(());
    }
    let drift = drift::of_target(session, &history.only(&state.standing.applied), &state.catalog)?;
    if drift.definition.is_empty() {
        return Ok(());
    }
    Err(Failure::different("the folders do not make the schema that the squashed migrations made")
        .because(format!("without a folder, and older than the first one: {}", listed(&state.standing.squashed)))
        .because_all(drift.definition.iter().map(Difference::to_string))
        .hint("bring the folders back, or put the difference into the squashed migration"))
}

/// What is unusual about where the database stands, and no reason to stop.
pub fn remarks(standing: &MigrationStatus) -> Vec<String> {
    let squashed = (!standing.squashed.is_empty()).then(|| {
        let names = listed(&standing.squashed);
        format!("squashed: {names} stand in the ledger without a folder, and the folders make the same schema")
    });
    let late = standing.out_of_order.iter().map(|name| {
        format!("out of order: `{name}` is pending although a later migration is applied, as after a merge; it was not written for that schema")
    });
    squashed.into_iter().chain(late).collect()
}

/// Prisma says only that it failed (P3009). What it left behind decides how it must be settled, and the catalog knows.
pub fn failed_before(session: &Session<'_>, history: &History, state: &DatabaseState, name: &str) -> Failure {
    let failure = Failure::failed(format!(
        "migration `{name}` failed before, and Prisma does not go on until it is settled (P3009)"
    ));
    let applied = state.standing.applied.clone();
    let with_it = [applied.as_slice(), &[name.to_owned()]].concat();
    let is_at = |names: &[String]| {
        drift::of_target(session, &history.only(names), &state.catalog).is_ok_and(|drift| drift.definition.is_empty())
    };
    let (as_before, as_after) = (is_at(&applied), is_at(&with_it));
    let found = match (as_before, as_after) {
        (true, _) => "the schema is as before it: nothing of it was kept",
        (_, true) => "the schema is as after it: the server had finished it",
        _ => "the schema is neither as before it nor as after it: see docs/failed-migrations.md",
    };
    match !as_before && !as_after && still_owed::drop_again(session, &state.counts) {
        true => failure
            .note(found)
            .note("a reset that was cut short is run again")
            .hint(still_owed::way_back(session.settings)),
        false => failure.note(found).known(&prisma::FAILED_BEFORE, &[]),
    }
}

/// What the history makes of an empty database, asked before it gets to the target: there a script that fails leaves a failed
/// row in the ledger, and from Prisma 7.4 on whatever stands before the statement that failed.
///
/// # Errors
/// `blocked` when a migration does not apply to an empty database; nothing was changed then.
pub fn replay_first(session: &Session<'_>, history: &History) -> Result<Expected> {
    expected::catalog(session, history).map_err(|failure| match failure.status {
        Status::Failed => {
            let failure = failure.with_status(Status::Blocked).note("nothing was changed");
            if failure.hint.is_some() { failure } else { failure.hint("correct the migration, then run this again") }
        }
        _ => failure,
    })
}

pub fn leftover(difference: &Difference) -> Leftover {
    Leftover { kind: difference.object.kind.clone(), name: difference.object.name(), message: difference.to_string() }
}
