//! `drill --each`: every migration of the folder up, down and up again, and one table that says which can be taken back.
//!
//! It happens in a throw-away database with made-up rows on the target's server, so the target's own rows are never at
//! stake; a claim is asked for all the same, because migrations run there that may do anything.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::error::{Failure, Result};
use crate::evidence::impact::{Impact, Work, worst};
use crate::evidence::outcome::{Counts, Rehearsed, Verdict};
use crate::guard::Demand;
use crate::migrations::down::Down;
use crate::migrations::down_scripts;
use crate::migrations::impact::AtSize;
use crate::migrations::up_down_up::{MigrationTrial, rehearse_all};
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Script, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::scratch_server;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::stages::impact_step;
use crate::stages::preflight::{check_history, check_providers};
use crate::stages::{over_limits, squawk_step};
use crate::words::counted;

pub struct Rehearse;

pub struct Inspection {
    history: History,
    /// Oldest first.
    downs: Vec<Down>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    #[serde(rename = "climb")]
    RehearseAll,
}

impl Stage for Rehearse {
    type Inspection = Inspection;
    type Action = Builtin;
    type Memory<'a> = ();

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// `failed` when Prisma cannot tell the way back from a migration.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let history = History::of(session.settings)?;
        check_providers(session, &history)?;
        check_history(session, &history, &[])?;
        let count = history.migrations.len();
        let mut downs =
            scratch_server::open(session, &history, |workshop| down_scripts::of(workshop, &history, count))?;
        downs.reverse();
        Ok(Inspection { history, downs })
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let script = |down: &Down| Script::new(format!("down/{}.sql", down.migration), down.sha256(), &down.sql);
        let count = counted(inspection.downs.len(), "migration");
        Ok(Plan {
            stage: "rehearse",
            summary: format!(
                "rehearse on the server of {}: {count}, each up, down and up.",
                session.settings.target.name
            ),
            scripts: inspection.downs.iter().map(script).collect(),
            rows: Counts::new(),
            losses: Vec::new(),
            groups: vec![vec![Step {
                name: "rehearse",
                does: format!("take {count} up, down and up in a throw-away database"),
                failure: "the history does not apply",
                action: Action::Builtin(Builtin::RehearseAll),
            }]],
        })
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        journal.record().inputs.insert("migrations".to_owned(), inspection.history.digest());
        let write = |down: &Down| journal.run().write(&format!("down/{}.sql", down.migration), &down.sql);
        inspection.downs.iter().try_for_each(write)
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) {}

    fn builtin(running: &Running<'_, Self>, Builtin::RehearseAll: &Builtin) -> Result<Ended> {
        rehearse(running.session, running.journal, running.inspection).map(Ended::from)
    }

    fn record(running: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        let record = running.journal.record();
        let (table, impacts) = (table(&record.outcome.rehearsal), record.outcome.impact.clone());
        drop(record);
        table.iter().for_each(|line| running.journal.console.say(line));
        // For a moment nearly all are in somebody's way.
        let worst: Vec<_> = worst(&impacts, |_| true).into_iter().filter(|(_, way)| way.work > Work::Moment).collect();
        impact_step::tell(running.journal, &worst);
        impact_step::tell_production(running.journal, &impacts);
        Ok(())
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.qa
    }
}

fn rehearse(session: &Session<'_>, journal: &Journal<'_>, inspection: &Inspection) -> Result<String> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let Inspection { history, downs } = inspection;
    impact_step::tell_unheard_of(session, journal, history)?;
    let (trials, notes) = scratch_server::open(session, history, |workshop| {
        let open = |name: &str| workshop.connect_to(name);
        let go_on = || session.interrupt.check();
        let mut admin = workshop.connect()?;
        let mut trials = rehearse_all(&mut admin, open, history, downs, prisma, go_on)?;
        let mut at_size = AtSize::new(&session.settings.production_rows);
        let work = session.headway.part(trials.len());
        for (number, trial) in trials.iter_mut().enumerate().filter(|(_, trial)| trial.works_on_what_was_there()) {
            work.step(number + 1, &trial.migration);
            let histories = (&history.first(number), &history.only(std::slice::from_ref(&trial.migration)));
            at_size.foretell(&mut admin, open, histories, prisma, &mut trial.impacts, go_on)?;
        }
        Ok((trials, at_size.notes()))
    })?;
    impact_step::tell_notes(journal, &notes);
    let rehearsed: Vec<Rehearsed> = trials.iter().map(rehearsed).collect();
    let mut impacts: Vec<Impact> = trials.iter().flat_map(|trial| trial.impacts.clone()).collect();
    // Its tables all had rows.
    let limits = over_limits::check(session, journal, &history.migrations, &impacts, &|_| true);
    let linted = squawk_step::lint(session, journal, &history.migrations, &mut impacts)?;
    // A table is named once, although it stays empty from trial to trial.
    let unproven: BTreeSet<String> = trials.into_iter().flat_map(|trial| trial.unproven).collect();
    let mut record = journal.record();
    record.outcome.rehearsal.clone_from(&rehearsed);
    record.outcome.impact = impacts;
    record.outcome.notes.extend(unproven);
    drop(record);
    match (verdict(&rehearsed), limits) {
        (Ok(said), Ok(limits)) => Ok([Some(said), linted, limits].into_iter().flatten().collect::<Vec<_>>().join("; ")),
        (Err(failure), Err(over)) => Err(failure.because_of(over)),
        (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => Err(failure),
    }
}

fn rehearsed(trial: &MigrationTrial) -> Rehearsed {
    let failure =
        trial.failure.iter().flat_map(|failure| [failure.message.clone()].into_iter().chain(failure.causes()));
    let leftovers = trial.leftovers.iter().map(ToString::to_string);
    let verdict = match trial {
        trial if !trial.leftovers.is_empty() => Verdict::Leftovers,
        trial if trial.failure.is_some() => Verdict::Failed,
        trial if !trial.needs_empty.is_empty() => Verdict::NeedsEmptyTable,
        trial if !trial.lost.is_empty() => Verdict::Lossy,
        _ => Verdict::Reversible,
    };
    // What the verdict is called by comes first.
    let rows = trial.needs_empty.iter().chain(&trial.lost).cloned();
    let all: Vec<String> = match verdict {
        Verdict::Failed => failure.chain(rows).collect(),
        _ => leftovers.chain(rows).chain(failure).collect(),
    };
    Rehearsed { migration: trial.migration.clone(), verdict, leftovers: all }
}

/// A lossy migration is not a failure: whoever wrote it may have meant it. Nor is one that needs an empty table, which says nothing
/// against its way back. The two worse verdicts are.
fn verdict(rehearsed: &[Rehearsed]) -> Result<String> {
    let count = |verdict: Verdict| rehearsed.iter().filter(|rehearsed| rehearsed.verdict == verdict).count();
    let words = [
        (Verdict::Reversible, "reversible"),
        (Verdict::Lossy, "lossy"),
        (Verdict::NeedsEmptyTable, "need an empty table"),
        (Verdict::Leftovers, "leave something behind"),
        (Verdict::Failed, "cannot be rolled back"),
    ];
    let words = words.map(|(verdict, words)| (count(verdict), words));
    let sentence: Vec<String> =
        words.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}")).collect();
    let bad = rehearsed.iter().find(|rehearsed| rehearsed.verdict > Verdict::NeedsEmptyTable);
    match bad {
        None => Ok(sentence.join(", ")),
        Some(bad) => {
            Err(Failure::different(format!("not every migration can be rolled back: {}", sentence.join(", ")))
                .because_all(bad.leftovers.iter().map(|line| format!("`{}`: {line}", bad.migration)))
                .hint(format!("write the way back as `{}/down.sql`", bad.migration)))
        }
    }
}

fn table(rehearsed: &[Rehearsed]) -> Vec<String> {
    let width = rehearsed.iter().map(|rehearsed| rehearsed.migration.len()).max().unwrap_or(0);
    let longest = rehearsed.iter().map(|rehearsed| rehearsed.verdict.word().len()).max().unwrap_or(0);
    let line = |rehearsed: &Rehearsed| {
        let verdict = rehearsed.verdict.word();
        let why = rehearsed.leftovers.first().cloned().unwrap_or_default();
        format!("  {:width$}  {verdict:<longest$}  {why}", rehearsed.migration).trim_end().to_owned()
    };
    rehearsed.iter().map(line).collect()
}
