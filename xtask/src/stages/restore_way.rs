//! How the rows of a snapshot go back: out of files, with a copy that takes the database's name, or table by table out of that.

use crate::error::Result;
use crate::postgres::counts::{Counts, counts};
use crate::postgres::fence;
use crate::rows::snapshot::copy::{Along, along, obstacle};
use crate::rows::snapshot::{Copy, Fit, Snapshot};
use crate::schema::catalog::{Catalog, Change, catalog};
use crate::schema::owed::{Missing, Owed};
use crate::session::Session;
use crate::words::listed;

pub enum Way {
    Files,
    /// The copy takes the target's name; its schema is the target's.
    Rename,
    /// The copy takes the target's name, and its schema goes back with the rows, since the target's has no place for all of them.
    Whole(Box<Whole>),
    /// Table by table out of the copy: why.
    Tables(String),
    /// As `Tables`, of a schema that has no place for all of them, where the copy's may not go back with them: why. Nothing goes back where a
    /// whole table has none.
    None(String),
}

/// What the target will be.
pub struct Whole {
    pub counts: Counts,
    pub catalog: Catalog,
    pub along: Along,
    /// What the schema has no place for.
    pub why: Vec<String>,
}

impl Way {
    /// # Errors
    /// `failed` where the server does not answer.
    pub fn of(
        session: &Session<'_>,
        snapshot: &Snapshot,
        fit: &Fit,
        owed: Option<&Owed>,
        missing: Option<&Missing>,
        skip_missing: bool,
    ) -> Result<Way> {
        let Some(copy) = &snapshot.manifest.database else { return Ok(Way::Files) };
        if !fit.takes_all() && !skip_missing {
            return Way::with_schema(session, snapshot, copy, fit, owed);
        }
        if !fit.is_whole() {
            return Ok(Way::Tables("the schema is not the copy's".to_owned()));
        }
        if missing.is_some_and(|missing| !missing.is_empty()) {
            return Ok(Way::Tables("not all that a reset took is back".to_owned()));
        }
        Ok(obstacle(session, snapshot, copy)?.map_or(Way::Rename, Way::Tables))
    }

    fn with_schema(
        session: &Session<'_>,
        snapshot: &Snapshot,
        copy: &Copy,
        fit: &Fit,
        owed: Option<&Owed>,
    ) -> Result<Way> {
        if owed.is_some() {
            return Ok(Way::None("a reset that was cut short still owes something".to_owned()));
        }
        let along = match along(session, snapshot, copy)? {
            Ok(along) => along,
            Err(why) => return Ok(Way::None(why)),
        };
        let mut there = session.connect_to(&copy.name)?;
        let schemas: Vec<&str> = snapshot.manifest.schemas.iter().map(String::as_str).collect();
        let (counts, mut catalog) = (counts(&mut there, &schemas)?, catalog(&mut there, &schemas)?);
        catalog.objects.retain(|object, _| !fence::owns(&object.path));
        let why = fit.misfits.iter().chain(&fit.left_out).cloned().collect();
        Ok(Way::Whole(Box::new(Whole { counts, catalog, along, why })))
    }

    /// What of `fit` goes by tables on this way, of the snapshot that `what` names.
    ///
    /// # Errors
    /// `blocked` where rows have no place.
    pub fn fitted(&self, fit: Fit, what: &str) -> Result<Fit> {
        match self {
            Way::Whole(_) => Ok(fit.nothing()),
            _ if fit.misfits.is_empty() => Ok(fit),
            Way::None(why) => {
                Err(fit.refused(what).note(format!("nor can the whole database go back, with its schema: {why}")))
            }
            _ => Err(fit.refused(what)),
        }
    }

    /// Whether the database as it is stays, under another name.
    pub fn is_rename(&self) -> bool {
        matches!(self, Way::Rename | Way::Whole(_))
    }

    /// Of the copy's schema where that goes back, too.
    pub fn whole(&self) -> Option<&Whole> {
        if let Way::Whole(whole) = self { Some(whole) } else { None }
    }

    /// Why rows go back table by table although a database has them.
    pub fn by_tables(&self) -> Option<String> {
        let (Way::Tables(why) | Way::None(why)) = self else { return None };
        Some(format!("The rows go back table by table, and not with the whole database: {why}."))
    }

    pub fn in_words(&self, tables: usize) -> String {
        let what = match self {
            Way::Rename => "or the rows go back table by table",
            Way::Whole(_) => "or nothing is changed",
            Way::Files | Way::Tables(_) | Way::None(_) => {
                return format!("in one transaction: empty {tables} tables, fill them, compare counts and checksums");
            }
        };
        format!(
            "in one transaction: give the copy the database's name, rights and settings, and keep the database under another name; \
             nobody may be in it for that moment, {what}"
        )
    }
}

impl Whole {
    /// What goes back with the rows, and why, a line each.
    pub fn in_words(&self) -> Vec<String> {
        let of = |is: fn(&Change) -> bool| self.along.differences.iter().filter(|one| is(&one.change)).count();
        let back = of(|change| matches!(change, Change::Unexpected));
        let gone = of(|change| matches!(change, Change::Missing));
        let other = of(|change| matches!(change, Change::Changed { .. }));
        let why = self.why.join("; ");
        let schema = format!(
            "The schema goes back with the rows, since the one that is there has no place for all of them ({why}). Objects that come back: {back}, that go: \
             {gone}; other changes: {other}. With `--skip-missing` the schema stays as it is."
        );
        let again = &self.along.applied_again;
        let again = (!again.is_empty()).then(|| format!("Applied again will be {}.", listed(again)));
        let not = &self.along.not_applied;
        let not = (!not.is_empty()).then(|| format!("No longer applied will be {}.", listed(not)));
        std::iter::once(schema).chain(again).chain(not).collect()
    }
}
