//! Restore, whatever the database is: where a reset was cut short, that is run again to its end before the rows go back, as one run. So one command
//! brings everything back after a kill at any moment.

use std::path::Path;

use serde::Serialize;

use crate::error::{Failure, Result};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::history::History;
use crate::schema::oids::oids;
use crate::schema::owed::Owed;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::stages::reset::{self, Reset};
use crate::stages::restore::{self, Chosen, Restore};

pub struct Recover {
    pub restore: Restore,
}

pub enum Inspection {
    /// The schema takes the rows.
    Rows(Box<restore::Inspection>),
    /// It is what a reset that was cut short has left.
    Unfinished(Box<Unfinished>),
}

pub struct Unfinished {
    history: History,
    chosen: Chosen,
    again: Reset,
    reset: reset::Inspection,
    /// Puts the rows back; None where no snapshot holds any, and the reset alone gives back what is owed.
    rows: Option<Restore>,
}

/// As in the plans of the two.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Builtin {
    Reset(reset::Builtin),
    Restore(restore::Builtin),
    Rows(RowsBack),
}

/// What is planned when its turn comes, of a schema that is not there yet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowsBack {
    Restore,
}

impl Stage for Recover {
    type Inspection = Inspection;
    type Action = Builtin;
    type Memory<'a> = ();

    const DEMAND: Demand = Restore::DEMAND;

    /// # Errors
    /// As `restore`, and as `reset` where that has to come first.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let chosen = self.restore.choose(session)?;
        let history = match was_cut_short(session, chosen.owed.as_ref())? {
            None => return Ok(Inspection::Rows(Box::new(self.restore.inspect_from(session, chosen)?))),
            Some(history) => history,
        };
        let snapshot = Some(&chosen.snapshot).filter(|one| self.restore.snapshot.is_some() || one.rows() > 0);
        let rows = snapshot.map(|one| Restore { snapshot: Some(one.name.clone()), ..self.restore.clone() });
        let again = Reset { confirm: true, no_snapshot: false, then: snapshot.cloned() };
        let reset = again.inspect(session)?;
        Ok(Inspection::Unfinished(Box::new(Unfinished { history, chosen, again, reset, rows })))
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        match inspection {
            Inspection::Rows(rows) => Ok(self.restore.plan(session, rows)?.with(Builtin::Restore)),
            Inspection::Unfinished(unfinished) => unfinished.plan(session),
        }
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Builtin>, console: &Console) -> Result<()> {
        self.restore.ask(session, plan, console)
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        match inspection {
            Inspection::Rows(rows) => self.restore.open(journal, rows),
            Inspection::Unfinished(unfinished) => journal.write_json("catalog-before.json", unfinished.reset.catalog()),
        }
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) {}

    fn builtin(_: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        Err(Failure::bug(format!("the stages run their own steps: {action:?}")))
    }

    fn run(
        &self,
        session: &Session<'_>,
        journal: &Journal<'_>,
        inspection: &Inspection,
        _: &Plan<Builtin>,
    ) -> Result<()> {
        match inspection {
            Inspection::Rows(rows) => self.restore.run(session, journal, rows, &self.restore.plan(session, rows)?),
            Inspection::Unfinished(unfinished) => {
                let result = unfinished.run(session, journal);
                journal.subfolder("");
                result.and(journal.console.during("record", || unfinished.record(session, journal)))
            }
        }
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        self.restore.feedback(settings)
    }
}

/// Whether a reset has dropped something and not made all of it again; then the history that it has to be led to.
///
/// # Errors
/// As the server's.
fn was_cut_short(session: &Session<'_>, owed: Option<&Owed>) -> Result<Option<History>> {
    let Some(owed) = owed.filter(|owed| owed.is_cut_short()) else { return Ok(None) };
    let tables = oids(&mut session.connection(), &session.target.schemas_of_reset())?;
    if tables == owed.taken.tables && !tables.is_empty() {
        return Ok(None);
    }
    let history = History::of(session.settings)?;
    let DatabaseState { standing, catalog, .. } = DatabaseState::read(session, &history)?;
    let is_whole = [&standing.pending, &standing.failed, &standing.running].iter().all(|names| names.is_empty());
    Ok((!is_whole || owed.taken.lacks_mirror(&catalog)).then_some(history))
}

fn rows_step(back: &str) -> Step<Builtin> {
    Step {
        name: "restore",
        does: format!("{back}: planned when the tables are there, each table's rows compared with the snapshot's"),
        failure: "the rows were not put back",
        action: Action::Builtin(Builtin::Rows(RowsBack::Restore)),
    }
}

impl Unfinished {
    fn plan(&self, session: &Session<'_>) -> Result<Plan<Builtin>> {
        let Plan { summary, scripts, rows, losses, mut groups, .. } =
            self.again.plan(session, &self.reset)?.with(Builtin::Reset);
        let target = &session.settings.target.name;
        let mut summary =
            format!("restore on {target}: a reset was cut short here, and is run again first.\n{summary}");
        if self.rows.is_some() {
            let back = self.chosen.in_words();
            summary += &format!("\nThen {back}.");
            groups.push(vec![rows_step(&back)]);
        }
        Ok(Plan { stage: "restore", summary, scripts, rows, losses, groups })
    }

    fn run(&self, session: &Session<'_>, journal: &Journal<'_>) -> Result<()> {
        journal.subfolder("1-reset");
        let plan = self.again.plan(session, &self.reset)?;
        self.again.open(journal, &self.reset)?;
        self.again.run(session, journal, &self.reset, &plan)?;
        session.same_server()?;
        let Some(restore) = &self.rows else { return journal.skip("restore", "no snapshot holds any rows") };
        journal.subfolder("2-restore");
        let inspection = journal.console.during("plan", || restore.inspect(session))?;
        if let Some(why) = inspection.schema_goes_along() {
            // The plan that was agreed to had no word of it.
            return Err(Failure::blocked(
                "the schema that the migrations make has no place for all rows of the snapshot",
            )
            .because_all(why.iter().cloned())
            .note("the reset is at its end, and the rows are not back")
            .hint(Hint::run("restore --plan").arg(&self.chosen.snapshot.name)));
        }
        let plan = restore.plan(session, &inspection)?;
        restore.open(journal, &inspection)?;
        restore.run(session, journal, &inspection, &plan)
    }

    /// Of the run as a whole: what the cut had left, and what there is now.
    fn record(&self, session: &Session<'_>, journal: &Journal<'_>) -> Result<()> {
        DatabaseState::read(session, &self.history)?.record(journal, self.reset.counts())
    }
}
