//! The step that measures what pending migrations are in the way of, before they get to the target.

use std::time::{Duration, Instant};

use crate::digest::sha256;
use crate::error::{Failure, Result};
use crate::evidence::impact::{Impact, InTheWay, worst};
use crate::evidence::outcome::Counts;
use crate::migrations::impact::{AtSize, impacts, production};
use crate::migrations::kept;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Step};
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::replay::cache_key;
use crate::schema::scratch_server;
use crate::session::Session;
use crate::stages::{over_limits, squawk_step};
use crate::words::counted;

pub fn impact_step<A>(session: &Session<'_>, action: A) -> Step<A> {
    let measure = "measure in a throw-away database what the pending migrations lock, rewrite and read, and for whom that is in the way";
    let check = if session.settings.limits.are_set() { "; check the limits of drill.toml" } else { "" };
    Step {
        name: "impact",
        does: format!("{measure}{check}"),
        failure: "it was not measured what the migrations are in the way of",
        action: Action::Builtin(action),
    }
}

/// Nobody waits longer for a forward of thousands of migrations, whose every statement is measured beside every table.
const LONGEST: Duration = Duration::from_secs(60);

fn too_long(pending: &History) -> Failure {
    let count = counted(pending.migrations.len(), "migration");
    Failure::failed(format!(
        "{count} take longer than {} s to measure; `drill --each` measures each",
        LONGEST.as_secs()
    ))
}

/// On an empty database, as CI has it.
const NEW_TABLES: &str = "no migration was applied here before, so these make every table themselves and keep nobody waiting: \
                          `drill --each` holds each of them against `[limits]` and production's rows";

/// Whether somebody has said what is too much, or how many rows there are.
fn asks_for_more(session: &Session<'_>) -> bool {
    session.settings.limits.are_set() || !session.settings.production_rows.is_unknown()
}

/// Of tables that have a size and are in no migration.
///
/// # Errors
/// As `production::unheard_of`.
pub fn tell_unheard_of(session: &Session<'_>, journal: &Journal<'_>, history: &History) -> Result<()> {
    let notes = production::unheard_of(&session.settings.production_rows, history)?;
    tell_notes(journal, &notes);
    Ok(())
}

/// To the console and to the record.
pub fn tell_notes(journal: &Journal<'_>, notes: &[String]) {
    notes.iter().for_each(|note| journal.console.say(format!("  note: {note}")));
    journal.record().outcome.add_notes(notes);
}

/// Says of each migration what it does to tables that hold rows on the target. What cannot be measured is told, and stops nothing
/// unless there are limits.
///
/// # Errors
/// `interrupted`; `different` where a limit is passed, `blocked` where that cannot be known.
pub fn measure(
    session: &Session<'_>,
    journal: &Journal<'_>,
    (applied, pending): (&History, &History),
    rows: &Counts,
) -> Result<Ended> {
    let (mut found, notes) = match measured(session, applied, pending) {
        Ok(found) => found,
        Err(failure) => {
            session.interrupt.check()?;
            if session.settings.limits.are_set() {
                return Err(over_limits::cannot_be_checked(failure));
            }
            let why = format!("what the migrations are in the way of was not measured: {}", failure.message);
            let causes: Vec<String> = failure.causes().collect();
            journal.record().outcome.notes.push([vec![why], causes].concat().join(": "));
            return Ok(Ended::NotTried("not measured; the record says why".to_owned()));
        }
    };
    let linted = squawk_step::lint(session, journal, &pending.migrations, &mut found)?;
    let schemas = session.target.schemas();
    let worst = worst(&found, |table| may_hold_rows(table, rows, &schemas));
    tell(journal, &worst);
    tell_production(journal, &found);
    tell_notes(journal, &notes);
    if applied.migrations.is_empty() && asks_for_more(session) {
        tell_notes(journal, &[NEW_TABLES.to_owned()]);
    }
    let said = [Some(verdict(&found, worst.len())), linted].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let limits = over_limits::check(session, journal, &pending.migrations, &found, &|table| {
        may_hold_rows(table, rows, &schemas)
    });
    let said = limits?.map_or(said.clone(), |limits| format!("{said}; {limits}"));
    let none = !found.is_empty() && found.iter().all(|impact| impact.unmeasured.is_some());
    journal.record().outcome.impact = found;
    Ok(if none { Ended::NotTried(said) } else { Ended::Done(said) })
}

/// What was counted says so itself. Of another schema nothing was: in doubt it holds some.
fn may_hold_rows(table: &str, rows: &Counts, schemas: &[&str]) -> bool {
    let is_of = |schema: &&str| table.strip_prefix(*schema).is_some_and(|rest| rest.starts_with('.'));
    rows.get(table).map_or_else(|| !schemas.iter().any(is_of), |rows| *rows > 0)
}

fn verdict(found: &[Impact], in_the_way: usize) -> String {
    let unmeasured = found.iter().filter(|impact| impact.unmeasured.is_some()).count();
    let all: u64 = found.iter().map(|impact| 1 + impact.more_like_it).sum();
    let told = match in_the_way {
        0 => "none blocks reads or writes of a table that holds rows here".to_owned(),
        1 => "1 migration is in the way of tables that hold rows here".to_owned(),
        some => format!("{some} migrations are in the way of tables that hold rows here"),
    };
    let not = match unmeasured {
        0 => String::new(),
        some => format!("; {some} not measured, since it cannot run in a transaction"),
    };
    format!("{} measured: {told}{not}", counted(usize::try_from(all).unwrap_or(usize::MAX) - unmeasured, "statement"))
}

/// One line for each migration, and one for each way out.
pub fn tell(journal: &Journal<'_>, worst: &[(&Impact, InTheWay)]) {
    for (impact, way) in worst {
        journal.console.say(format!("  `{}` {}", impact.migration, impact.in_words(way)));
    }
    let mut ways_out: Vec<&str> = worst.iter().filter_map(|(_, way)| Impact::way_out(way.work)).collect();
    ways_out.dedup();
    for way_out in ways_out {
        journal.console.say(format!("  note: {way_out}"));
    }
}

/// One line for each statement whose time in production is known.
pub fn tell_production(journal: &Journal<'_>, found: &[Impact]) {
    for impact in found {
        if let Some(told) = impact.in_production() {
            journal.console.say(format!("  `{}` {told}", impact.migration));
        }
    }
}

/// Depends on the histories, on production's sizes and on nothing of the target, so it is kept.
fn measured(session: &Session<'_>, applied: &History, pending: &History) -> Result<(Vec<Impact>, Vec<String>)> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let rows = &session.settings.production_rows;
    let histories = sha256(format!("impact 2\n{}\n{}\n{rows:?}", applied.digest(), pending.digest()));
    let key = cache_key(&histories, session.identity.major_version(), prisma);
    let file = session.settings.private_dir().join("impacts").join(format!("{key}.json"));
    if let Some(known) = kept::known(&file) {
        return Ok(known);
    }
    let migrations = applied.migrations.iter().chain(&pending.migrations).cloned().collect();
    let whole = History { migrations, ..applied.clone() };
    let (found, is_whole) = scratch_server::open(session, &whole, |workshop| {
        let (open, go_on) = (|name: &str| workshop.connect_to(name), || session.interrupt.check());
        let mut admin = workshop.connect()?;
        let until = Instant::now() + LONGEST;
        let in_time = || go_on().and_then(|()| if Instant::now() < until { Ok(()) } else { Err(too_long(pending)) });
        let mut found = impacts(&mut admin, open, applied, pending, prisma, in_time)?;
        let mut at_size = AtSize::new(rows);
        at_size.foretell(&mut admin, open, (applied, pending), prisma, &mut found, go_on)?;
        let is_whole = at_size.is_whole();
        Ok(((found, at_size.notes()), is_whole))
    })?;
    // With more time it may be another answer.
    if is_whole {
        kept::keep(&file, &found);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_said_to_be() {
        let seen = Impact::default;
        let unseen = || Impact { unmeasured: Some("why".to_owned()), ..Impact::default() };
        let none = "none blocks reads or writes of a table that holds rows here";
        assert_eq!(verdict(&[seen(), seen()], 0), format!("2 statements measured: {none}"));
        assert_eq!(
            verdict(&[seen(), unseen()], 0),
            format!("1 statement measured: {none}; 1 not measured, since it cannot run in a transaction")
        );
        assert_eq!(
            verdict(&[seen()], 1),
            "1 statement measured: 1 migration is in the way of tables that hold rows here"
        );
    }

    #[test]
    fn a_table_that_nobody_counted_may_hold_rows() {
        let rows: Counts =
            [("public.full", 3), ("public.empty", 0)].map(|(table, rows)| (table.to_owned(), rows)).into();
        let holds = |table: &str| may_hold_rows(table, &rows, &["public"]);
        assert!(holds("public.full") && holds("audit.trail") && holds("public_too.t"));
        assert!(!holds("public.empty") && !holds("public.new"), "what the migrations make is empty");
    }
}
