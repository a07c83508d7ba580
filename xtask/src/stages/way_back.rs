//! From the state that a reset left to everything in place.

use crate::error::Failure;
use crate::hint::Hint;
use crate::migrations::status::MigrationStatus;
use crate::rows::snapshot::{Origin, Snapshot, Store};
use crate::schema::owed::Owed;
use crate::session::Session;

/// What a reset knows of what it took.
pub struct WayBack<'a> {
    pub session: &'a Session<'a>,
    /// None where none was to be taken, or the run did not come so far.
    pub own: Option<&'a Snapshot>,
    /// What the same run was to put back.
    pub then: Option<&'a Snapshot>,
    /// By a reset before it, which was cut short.
    pub owed: Option<&'a Owed>,
}

impl WayBack<'_> {
    /// The command that brings everything back, whatever is there now.
    pub fn tell(&self, failure: Failure, now: &MigrationStatus) -> Failure {
        let snapshot = self.then.cloned().or_else(|| self.earlier()).or_else(|| self.own.cloned());
        let command =
            snapshot.as_ref().map_or(Hint::run("reset --confirm --no-snapshot"), |one| Hint::restore(&one.name));
        let rows = snapshot.map(|one| format!("all {} rows are in the snapshot `{}`", one.rows(), one.name));
        let way = format!("the whole way back: {}", command.line(&self.session.settings.aim));
        let failure = rows.into_iter().chain([way]).fold(failure, Failure::note);
        // Where all migrations are applied, the step that failed knows better what it needs.
        if now.failed.is_empty() && now.pending.is_empty() { failure } else { failure.hint(command) }
    }

    /// Where this run has ended what another had begun.
    pub fn rows_of_the_earlier(&self) -> Option<String> {
        let one = self.earlier().filter(|_| self.then.is_none())?;
        let restore = Hint::restore(&one.name).line(&self.session.settings.aim);
        Some(format!("the rows from before the reset that was cut short are in `{}`: {restore}", one.name))
    }

    /// The snapshot of a reset that was cut short, where there was nothing left to copy for this one.
    fn earlier(&self) -> Option<Snapshot> {
        let cut_short = self.owed.is_some_and(Owed::is_cut_short);
        if !cut_short || self.own.is_some_and(|own| own.rows() > 0) {
            return None;
        }
        let here = Origin::of(self.session);
        let of_this = |one: &Snapshot| one.rows() > 0 && one.manifest.origin.differences(&here).is_empty();
        Store::of(self.session.settings).whole().ok()?.into_iter().find(of_this)
    }
}
