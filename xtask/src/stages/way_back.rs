//! From the state that a reset left to everything in place: which commands, in which order.

use crate::error::Failure;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::status::MigrationStatus;
use crate::rows::snapshot::{Origin, Snapshot, Store};
use crate::schema::owed::{Owed, Taken};
use crate::session::Session;

/// What a reset knows of what it took.
pub struct WayBack<'a> {
    pub session: &'a Session<'a>,
    /// None where none was to be taken, or the run did not come so far.
    pub own: Option<&'a Snapshot>,
    pub taken: &'a Taken,
    /// By a reset before it, which was cut short.
    pub owed: Option<&'a Owed>,
}

impl WayBack<'_> {
    /// Every command from `now` to the rows in place, the first of them as the hint.
    pub fn tell(&self, failure: Failure, now: &DatabaseState) -> Failure {
        let MigrationStatus { failed, pending, .. } = &now.standing;
        let snapshot = self.earlier().or_else(|| self.own.cloned());
        let commands = match (failed.is_empty(), &snapshot) {
            // A migration that was cut short may be there in part, which only another drop takes back whatever it is.
            (false, Some(one)) => vec![Hint::run("reset --confirm"), Hint::restore(&one.name)],
            (true, Some(one)) => {
                let forward = (!pending.is_empty()).then(|| Hint::run("forward"));
                let mirror = self.taken.lacks_mirror(&now.catalog).then(|| Hint::run("mirror"));
                forward.into_iter().chain(mirror).chain([Hint::restore(&one.name)]).collect()
            }
            (_, None) => vec![Hint::run("reset --confirm --no-snapshot")],
        };
        let lines: Vec<String> = commands.iter().map(|hint| hint.line(&self.session.settings.aim)).collect();
        let rows = |one: Snapshot| format!("all {} rows are in the snapshot `{}`", one.rows(), one.name);
        let failure = snapshot.map(rows).into_iter().fold(failure, Failure::note);
        let failure = failure.note(format!("the whole way back, in this order: {}", lines.join("; ")));
        // Where all migrations are applied, the step that failed knows better what it needs.
        let first = commands.into_iter().next().filter(|_| !failed.is_empty() || !pending.is_empty());
        first.into_iter().fold(failure, Failure::hint)
    }

    /// Where this run has ended what another had begun.
    pub fn rows_of_the_earlier(&self) -> Option<String> {
        let one = self.earlier()?;
        let restore = Hint::restore(&one.name).line(&self.session.settings.aim);
        Some(format!("the rows from before the reset that was cut short are in `{}`: {restore}", one.name))
    }

    /// The snapshot of a reset that was cut short, where there was nothing left to copy for this one.
    fn earlier(&self) -> Option<Snapshot> {
        let cut_short = self.owed.is_some_and(|owed| !owed.taken.privileges.is_empty());
        if !cut_short || self.own.is_some_and(|own| own.rows() > 0) {
            return None;
        }
        let here = Origin::of(self.session);
        let of_this = |one: &Snapshot| one.rows() > 0 && one.manifest.origin.differences(&here).is_empty();
        Store::of(self.session.settings).whole().ok()?.into_iter().find(of_this)
    }
}
