//! `sandbox seed`: fills the sandbox's tables, so that a rehearsal has something to lose.

use std::time::Instant;

use crate::clock;
use crate::error::{Failure, Result};
use crate::evidence::outcome::{BeforeAfter, Outcome};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::postgres::counts::counts;
use crate::postgres::run_lock::RunLock;
use crate::rows::seed::{MirrorFaults, Wish, seed};
use crate::run::lock_watch::watched;
use crate::run::runner::Runner;
use crate::session::Session;

/// Adds `rows` rows to every table, and their facts to the mirror where there is one, but for what `faults` keep from
/// it.
pub fn run(runner: &Runner<'_>, rows: u64, faults: MirrorFaults, outcome: &mut Outcome) -> Result<()> {
    let declared = runner.declare()?;
    let session = runner.reach(&declared, &declared.redactor(), Demand::Additive, outcome)?;
    runner.announce(&session);
    let lock = RunLock::take(session.connect()?)?;
    watched(&session, runner.console, || fill(runner, &session, &lock, rows, faults, outcome))
}

fn fill(
    runner: &Runner<'_>,
    session: &Session<'_>,
    lock: &RunLock,
    rows: u64,
    faults: MirrorFaults,
    outcome: &mut Outcome,
) -> Result<()> {
    let begun = Instant::now();
    let schemas = session.target.schemas();
    let before = counts(&mut session.connection(), &schemas)?;
    if before.is_empty() {
        return Err(Failure::blocked("the sandbox has no tables yet").hint(Hint::run("forward")));
    }
    lock.check()?;
    let wish = Wish { rows, only_empty: false, faults, now: clock::now() };
    runner.console.during("seed", || seed(session, &wish))?;
    let counts = BeforeAfter::new(&before, &counts(&mut session.connection(), &schemas)?);
    runner.console.say(format!("seeded {rows} rows a table in {} ms", begun.elapsed().as_millis()));
    runner.console.counts(&counts);
    outcome.counts = Some(counts);
    Ok(())
}
