//! What a history makes of an empty database: replayed once, then known by the history's digest.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::files;
use crate::postgres::connection::Connection;
use crate::sandbox;
use crate::schema::catalog::{Catalog, ObjectKey};
use crate::schema::history::{History, Migration};
use crate::schema::platform;
use crate::schema::replay::{AsPrisma, cache_key, replay};
use crate::schema::scratch_server;
use crate::session::Session;
use redact::Secret;

pub struct Expected {
    pub catalog: Catalog,
    origin: Origin,
    migrations: usize,
}

enum Origin {
    Known,
    SameServer,
    Sandbox,
    /// Why.
    OwnServer(String),
}

impl Expected {
    pub fn in_words(&self) -> String {
        let migrations = self.migrations;
        match &self.origin {
            Origin::Known => format!("the schema that {migrations} migrations make is known from an earlier replay"),
            Origin::SameServer => {
                format!("{migrations} migrations replayed in a throw-away database of the same server")
            }
            Origin::Sandbox => {
                format!("{migrations} migrations replayed in the sandbox, since this role may not create databases")
            }
            Origin::OwnServer(reason) => {
                format!("{migrations} migrations replayed on a server of their own, since {reason}")
            }
        }
    }
}

/// The catalog that `history` makes on a server like the target's: on it where the role may create a database, else on the
/// sandbox; a second time from `.drill/catalogs`.
///
/// # Errors
/// `failed` when a migration does not run on an empty database; `blocked` when neither server can be used.
pub fn catalog(session: &Session<'_>, history: &History) -> Result<Expected> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let file = kept_as(session, history, prisma);
    let migrations = history.migrations.len();
    if let Some(catalog) = known(&file) {
        return Ok(Expected { catalog, origin: Origin::Known, migrations });
    }
    let (catalog, origin) = if let Some(reason) = scratch_server::acts_on_server(session, history)? {
        let on = |workshop: &Session<'_>| {
            replay(&mut workshop.connect()?, |name| workshop.connect_to(name), history, prisma)
        };
        (scratch_server::on_own_server(session, &reason, on)?, Origin::OwnServer(reason))
    } else if session.identity.may_create_databases {
        (replay(&mut session.connect()?, |name| session.connect_to(name), history, prisma)?, Origin::SameServer)
    } else {
        (on_sandbox(session, history, prisma)?, Origin::Sandbox)
    };
    keep(&file, &catalog);
    Ok(Expected { catalog, origin, migrations })
}

fn kept_as(session: &Session<'_>, history: &History, prisma: AsPrisma<'_>) -> PathBuf {
    let key = cache_key(&history.digest(), session.identity.major_version(), prisma);
    session.settings.private_dir().join("catalogs").join(format!("{key}.json"))
}

/// Whether `catalog` would be answered without a replay.
///
/// # Errors
/// As `platform::as_prisma`.
pub fn is_known(session: &Session<'_>, history: &History) -> Result<bool> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    Ok(known(&kept_as(session, history, prisma)).is_some())
}

/// As `catalog`, with the mirror's script run after the migrations; None where the project has no such script.
pub fn with_mirror(session: &Session<'_>, history: &History) -> Result<Option<Expected>> {
    and_mirror(session, history)?.map(|history| catalog(session, &history)).transpose()
}

/// `history`, with the mirror's script after it where the schema `now` has the mirror's table.
pub fn as_on_target(session: &Session<'_>, history: &History, now: &Catalog) -> Result<History> {
    let plain = catalog(session, history)?.catalog;
    let Some(mirrored) = and_mirror(session, history)? else { return Ok(history.clone()) };
    let has_mirror = has_mirror(&plain, &catalog(session, &mirrored)?.catalog, now);
    Ok(if has_mirror { mirrored } else { history.clone() })
}

/// `history`, with the mirror's script after it; None where the project has no such script.
pub fn and_mirror(session: &Session<'_>, history: &History) -> Result<Option<History>> {
    let Some(sql) = session.settings.supabase.script()? else { return Ok(None) };
    let mut history = history.clone();
    history.migrations.push(Migration::new("the mirror", sql));
    Ok(Some(history))
}

/// Whether `actual` has a table that only the mirror's script makes.
pub fn has_mirror(plain: &Catalog, with_mirror: &Catalog, actual: &Catalog) -> bool {
    of_the_mirror(plain, with_mirror).any(|key| actual.objects.contains_key(key))
}

/// The tables that only the mirror's script makes, each with its schema; none where the project has no such script.
pub fn mirrors(session: &Session<'_>, history: &History) -> Result<Vec<(String, String)>> {
    let Some(with_mirror) = with_mirror(session, history)? else { return Ok(Vec::new()) };
    let plain = catalog(session, history)?.catalog;
    let named = |key: &ObjectKey| match key.path.as_slice() {
        [schema, table] => Some((schema.clone(), table.clone())),
        _ => None,
    };
    Ok(of_the_mirror(&plain, &with_mirror.catalog).filter_map(named).collect())
}

fn of_the_mirror<'a>(plain: &'a Catalog, with_mirror: &'a Catalog) -> impl Iterator<Item = &'a ObjectKey> {
    let added = with_mirror.objects.keys().filter(|key| !plain.objects.contains_key(*key));
    added.filter(|key| key.kind == "table")
}

fn on_sandbox(session: &Session<'_>, history: &History, prisma: AsPrisma<'_>) -> Result<Catalog> {
    let sandbox = scratch_server::started_sandbox(session)?;
    let open = |name: &str| {
        let url = Secret::new(sandbox.url_of(name));
        Connection::open(&url, "staging drill", Duration::from_secs(30))
    };
    replay(&mut open(sandbox::DATABASE)?, open, history, prisma)
}

fn known(file: &PathBuf) -> Option<Catalog> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// A catalog that cannot be kept is made again the next time.
fn keep(file: &Path, catalog: &Catalog) {
    if let Ok(bytes) = serde_json::to_vec(catalog) {
        files::keep(file, &bytes);
    }
}
