//! The step that measures what pending migrations are in the way of, before they get to the target.

use crate::digest::sha256;
use crate::error::Result;
use crate::evidence::impact::{Impact, InTheWay, worst};
use crate::evidence::outcome::Counts;
use crate::migrations::impact::impacts;
use crate::migrations::kept;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Step};
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::replay::cache_key;
use crate::schema::scratch_server;
use crate::session::Session;
use crate::words::counted;

pub fn impact_step<A>(action: A) -> Step<A> {
    Step {
        name: "impact",
        does: "measure in a throw-away database what the pending migrations lock, rewrite and read, and for whom that is in the way"
            .to_owned(),
        failure: "it was not measured what the migrations are in the way of",
        action: Action::Builtin(action),
    }
}

/// Says of each migration what it does to tables that hold rows on the target. What cannot be measured is told, and stops nothing.
///
/// # Errors
/// `interrupted`.
pub fn measure(
    session: &Session<'_>,
    journal: &Journal<'_>,
    (applied, pending): (&History, &History),
    rows: &Counts,
) -> Result<String> {
    let found = match measured(session, applied, pending) {
        Ok(found) => found,
        Err(failure) => {
            session.interrupt.check()?;
            let why = format!("what the migrations are in the way of was not measured: {}", failure.message);
            let causes: Vec<String> = failure.causes().collect();
            journal.record().outcome.notes.push([vec![why], causes].concat().join(": "));
            return Ok("not measured; the record says why".to_owned());
        }
    };
    let on_target = |table: &str| rows.get(table).is_some_and(|rows| *rows > 0);
    let worst = worst(&found, on_target);
    tell(journal, &worst);
    let told = match worst.len() {
        0 => "none blocks reads or writes of a table that holds rows here".to_owned(),
        some => format!(
            "{} in the way of tables that hold rows here",
            if some == 1 { "1 is".to_owned() } else { format!("{some} are") }
        ),
    };
    let statements = counted(found.len(), "statement");
    journal.record().outcome.impact = found;
    Ok(format!("{statements} of {} measured: {told}", counted(pending.migrations.len(), "migration")))
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

/// Depends on the histories and on nothing of the target, so it is kept.
fn measured(session: &Session<'_>, applied: &History, pending: &History) -> Result<Vec<Impact>> {
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let histories = sha256(format!("{}\n{}", applied.digest(), pending.digest()));
    let key = cache_key(&histories, session.identity.major_version(), prisma);
    let file = session.settings.private_dir().join("impacts").join(format!("{key}.json"));
    if let Some(known) = kept::known(&file) {
        return Ok(known);
    }
    let migrations = applied.migrations.iter().chain(&pending.migrations).cloned().collect();
    let whole = History { migrations, ..applied.clone() };
    let found = scratch_server::open(session, &whole, |workshop| {
        let (open, go_on) = (|name: &str| workshop.connect_to(name), || session.interrupt.check());
        impacts(&mut workshop.connect()?, open, applied, pending, prisma, go_on)
    })?;
    kept::keep(&file, &found);
    Ok(found)
}
