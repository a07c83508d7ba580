//! What a reset takes along with the schema and gives back at its end: who may do what, what other schemas hang on it, and the mirror. It is
//! written down before anything is dropped and kept until all of it is there again, so that neither a run that dies nor a second reset loses it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{OrFail, Result};
use crate::files;
use crate::postgres::identity::Identity;
use crate::schema::catalog::Catalog;
use crate::schema::dependents::{self, Dependent, dependents};
use crate::schema::privileges::{self, Privileges};
use crate::session::Session;
use crate::settings::Settings;

/// Of one database, in the server's own words for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Owed {
    database: String,
    database_oid: u32,
    system_identifier: Option<String>,
    #[serde(flatten)]
    pub taken: Taken,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Taken {
    /// The tables before the first drop, by OID: where they are there, nothing was dropped.
    #[serde(default)]
    pub tables: BTreeMap<String, u32>,
    /// Of each schema.
    pub privileges: Vec<Privileges>,
    /// The mirror's objects, as a catalog names them; empty where there was no mirror.
    pub mirror: Vec<String>,
    /// Outside of the schemas.
    #[serde(default)]
    pub dependents: Vec<Dependent>,
    /// Makes keys that are back hold for old rows too, once these are back as well.
    #[serde(default)]
    pub validate: Vec<String>,
}

impl Taken {
    pub fn lacks_mirror(&self, now: &Catalog) -> bool {
        self.mirror.iter().any(|object| !now.objects.keys().any(|there| there.to_string() == *object))
    }
}

/// What is not there again.
#[derive(Debug)]
pub struct Missing {
    /// Statements that would bring them back.
    pub privileges: Vec<String>,
    pub dependents: Vec<Dependent>,
    pub mirror: bool,
}

impl Missing {
    pub fn is_empty(&self) -> bool {
        self.privileges.is_empty() && self.dependents.is_empty() && !self.mirror
    }
}

impl Owed {
    /// What is owed to this database; None where nothing is.
    ///
    /// # Errors
    /// `blocked` when it was written down and cannot be read.
    pub fn read(session: &Session<'_>) -> Result<Option<Owed>> {
        Owed::to(&session.identity, session.settings)
    }

    /// As `read`, for who has no session.
    ///
    /// # Errors
    /// As `read`.
    pub fn to(here: &Identity, settings: &Settings) -> Result<Option<Owed>> {
        let path = path(settings);
        let unreadable = || {
            let shown = settings.shown(&path);
            format!("cannot read `{shown}`, where a reset wrote down what it took; where nothing is missing, remove it")
        };
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.blocked(unreadable)?,
        };
        let owed: Owed = serde_json::from_slice(&text).blocked(unreadable)?;
        let same = owed.database == here.database
            && owed.database_oid == here.database_oid
            && owed.system_identifier == here.system_identifier;
        Ok(same.then_some(owed))
    }

    /// Writes down what is about to go. What was owed before has to be in it.
    ///
    /// # Errors
    /// `blocked` when the folder cannot be written to.
    pub fn write_down(session: &Session<'_>, taken: Taken) -> Result<()> {
        let here = &session.identity;
        let owed = Owed {
            database: here.database.clone(),
            database_oid: here.database_oid,
            system_identifier: here.system_identifier.clone(),
            taken,
        };
        let path = path(session.settings);
        let unwritable = || format!("cannot write `{}`", session.settings.shown(&path));
        let text = serde_json::to_vec_pretty(&owed).bug("what is owed cannot be written as JSON")?;
        let dir = path.parent().unwrap_or(&path);
        DirBuilder::new().recursive(true).mode(0o700).create(dir).blocked(unwritable)?;
        // Names of roles and tables belong to the database, not to the repository.
        files::replace_private(&dir.join(".gitignore"), b"*\n").blocked(unwritable)?;
        files::replace_private(&path, &text).blocked(unwritable)
    }

    /// Whether a reset began to take it and did not come to its end; else keys alone wait for rows that a restore puts back.
    pub fn is_cut_short(&self) -> bool {
        !self.taken.privileges.is_empty()
    }

    /// Settles it if everything that had privileges is there again; else some of them can still come back.
    ///
    /// # Errors
    /// `failed` with the server's words; `blocked` when the folder cannot be written to.
    pub fn give_back(&self, session: &Session<'_>, now: &Catalog) -> Result<()> {
        let mut connection = session.connection();
        let back = |before: &Privileges| privileges::all_there(&mut connection, before);
        let all: Vec<bool> = self.taken.privileges.iter().map(back).collect::<Result<_>>()?;
        drop(connection);
        if all.contains(&false) || !self.missing(session, now)?.is_empty() {
            return Ok(());
        }
        Owed::settle(session)
    }

    /// All of it is there.
    ///
    /// # Errors
    /// `blocked` when the folder cannot be written to.
    pub fn settle(session: &Session<'_>) -> Result<()> {
        let path = path(session.settings);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).blocked(|| format!("cannot remove `{}`", session.settings.shown(&path)))
            }
            _ => Ok(()),
        }
    }

    /// What is owed, and what there is `now`, with what has been granted since.
    pub fn or_since(self, now: Taken) -> Taken {
        let mut owed = self.taken.privileges;
        let tables = if owed.is_empty() { now.tables } else { self.taken.tables };
        let of = |now: Privileges| match owed.iter().position(|before| before.schema == now.schema) {
            Some(at) => owed.swap_remove(at).or_since(now),
            None => now,
        };
        Taken {
            tables,
            privileges: now.privileges.into_iter().map(of).collect(),
            mirror: now.mirror,
            dependents: dependents::or_since(self.taken.dependents, now.dependents),
            validate: self.taken.validate,
        }
    }

    /// What is not back, where the schema is `now`.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn missing(&self, session: &Session<'_>, now: &Catalog) -> Result<Missing> {
        let mut connection = session.connection();
        let mut privileges = Vec::new();
        for before in &self.taken.privileges {
            privileges.extend(privileges::missing(&mut connection, before)?);
        }
        let there = match self.taken.dependents.is_empty() {
            true => Vec::new(),
            false => dependents(&mut connection, &session.target.schemas_of_reset())?,
        };
        let gone = dependents::gone(&self.taken.dependents, &there).into_iter().cloned().collect();
        Ok(Missing { privileges, dependents: gone, mirror: self.taken.lacks_mirror(now) })
    }
}

/// Whether a reset of the target has taken what is not there again.
pub fn is_any(settings: &Settings) -> bool {
    path(settings).exists()
}

/// Not among the snapshots: a reset without one owes as much.
fn path(settings: &Settings) -> PathBuf {
    // A target's name is a key of drill.toml and may hold anything.
    let name = settings.target.name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_', "_");
    settings.private_dir().join("owed").join(format!("{name}.json"))
}
