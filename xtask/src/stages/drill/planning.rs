//! The plan of a whole drill: each stage as it is foreseen before the first one begins, and what must still be so when its turn comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Failure, OrFail, Result};
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::losses::Loss;
use crate::migrations::status::MigrationStatus;
use crate::parity::comparison::Source;
use crate::run::plan::{Action, Plan, Step};
use crate::run::stage::Stage;
use crate::schema::history::History;
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::scratch_server::acts_on_server;
use crate::session::Session;
use crate::settings::Settings;
use crate::stages::backward::{self, Backward, Extent};
use crate::stages::deployed::Wanted;
use crate::stages::drill::pass::{Baseline, Pass, SecondPass};
use crate::stages::drill::phase::Phase;
use crate::stages::drill::progress::{Earlier, Progress};
use crate::stages::forward::Forward;
use crate::stages::mirror::Mirror;
use crate::stages::parity::Parity;
use crate::stages::preflight::replay_first;
use crate::stages::release_in_git::Git;
use pin::Lease;

/// How many rows each of the sandbox's empty tables gets.
pub const ROWS: u64 = 1000;

/// One server has both sides, so one snapshot can count them.
pub const PARITY: Parity = Parity { source: Some(Source::Sql) };

/// Which migrations are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrillExtent {
    /// The newest so many.
    Steps(usize),
    /// What this branch adds to the main one.
    Branch,
}

impl DrillExtent {
    fn steps(self, session: &Session<'_>, history: &History) -> Result<usize> {
        if let DrillExtent::Steps(steps) = self {
            return Ok(steps);
        }
        let git = Git::of(session)?;
        let of_main = git.migrations(&git.merge_base()?)?;
        let here: Vec<&str> = history.migrations.iter().map(|migration| migration.name.as_str()).collect();
        Ok(added(&here, &of_main))
    }
}

/// How many of the newest hold all that are not `of_main`: an older one among them is taken back as well.
fn added(here: &[&str], of_main: &[String]) -> usize {
    let oldest = here.iter().position(|name| !of_main.iter().any(|known| known == name));
    oldest.map_or(0, |oldest| here.len() - oldest)
}

/// The options of `drill`.
pub struct Drill {
    pub extent: DrillExtent,
    pub accept_data_loss: bool,
    /// Leaves out mirror and parity, for a project that has no Supabase.
    pub no_mirror: bool,
    /// Goes on where the last drill of this target stopped.
    pub resume: bool,
    /// The release that is running, which the first forward tries.
    pub deployed: Option<Wanted>,
}

pub struct Inspection {
    pub history: History,
    pub before: DatabaseState,
    /// Where this run begins; an earlier one may have come some way.
    pub progress: Progress,
    pub earlier: Option<Earlier>,
    /// Where an earlier run's first forward had led, if this run begins between there and the second.
    pub baseline: Option<Baseline>,
    /// The way back that is still to go; None where it is behind us.
    pub way: Option<backward::RollbackPlan>,
    /// SHA-256 of the Prisma schema that the client is generated from.
    pub schema: String,
    /// What forward and backward would take away of what is there now.
    pub losses: Vec<Loss>,
    /// The stages that it does without, and why.
    pub left_out: Vec<(Phase, &'static str)>,
}

/// A stage as it was planned before the first one began.
#[derive(Debug, Serialize)]
pub struct Planned {
    #[serde(flatten)]
    pub plan: Value,
    #[serde(skip)]
    pub words: Vec<String>,
    #[serde(skip)]
    pub promise: Promise,
}

/// What must still be planned when the stage's turn comes: names and digests of its scripts, and its steps.
#[derive(Debug, PartialEq, Eq)]
pub struct Promise {
    pub scripts: Vec<(String, String)>,
    pub steps: Vec<&'static str>,
}

impl Promise {
    pub fn of<A>(plan: &Plan<A>) -> Promise {
        let scripts = plan.scripts.iter().map(|script| (script.name.clone(), script.sha256.clone()));
        let steps = plan.groups.iter().flatten().map(|step| step.name);
        Promise { scripts: scripts.collect(), steps: steps.collect() }
    }
}

/// # Errors
/// `blocked` where the script that drill.toml names is not there, and `--no-mirror` is not given.
pub fn check_mirror(session: &Session<'_>) -> Result<()> {
    if session.settings.supabase.mirror_sql.is_none() || session.settings.supabase.script()?.is_some() {
        return Ok(());
    }
    let path = session.settings.mirror_shown();
    Err(Failure::blocked(format!("there is no `{path}`, which drill.toml names, so there is no mirror to drill"))
        .note("drill.toml names the mirror's script as `mirror_sql` under `[supabase]`")
        .hint(Hint::run("drill --no-mirror")))
}

/// Why the drill does without a stage of the mirror; None for one that it runs.
pub fn left_out(settings: &Settings, progress: &Progress, phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Backward | Phase::ForwardAgain if progress.steps == 0 => Some("since this branch adds no migration"),
        Phase::Mirror | Phase::Parity if progress.no_mirror => Some("as asked (--no-mirror)"),
        Phase::Mirror | Phase::Parity if !settings.supabase.enabled => {
            Some("since drill.toml says `enabled = false` under `[supabase]`")
        }
        Phase::Mirror if settings.supabase.mirror_sql.is_none() => Some("since drill.toml names no `mirror_sql`"),
        Phase::Parity if settings.parity.pairs.is_empty() => Some("since drill.toml names no `[[parity.pairs]]`"),
        _ => None,
    }
}

/// Adds the plan of a stage, as `inspect` foresees it, as one step of the drill's.
pub fn add<S: Stage>(
    plan: &mut Plan<Planned>,
    session: &Session<'_>,
    stage: &S,
    inspect: impl FnOnce(&S) -> Result<S::Inspection>,
) -> Result<()> {
    let planned = stage.plan(session, &inspect(stage)?)?;
    let json = serde_json::to_value(&planned).bug("cannot write a plan")?;
    let action = Planned { plan: json, words: planned.steps_in_words(), promise: Promise::of(&planned) };
    for script in planned.scripts {
        if !plan.scripts.iter().any(|known| known.name == script.name) {
            plan.scripts.push(script);
        }
    }
    for loss in planned.losses {
        if !plan.losses.contains(&loss) {
            plan.losses.push(loss);
        }
    }
    let step = Step {
        name: planned.stage,
        does: planned.summary,
        failure: "the drill stopped",
        action: Action::Builtin(action),
    };
    plan.groups.push(vec![step]);
    Ok(())
}

impl Drill {
    pub fn mirror(&self, session: &Session<'_>) -> Mirror {
        let feed = session.settings.target.is_sandbox();
        Mirror { feed, lease: None, drilled: true, accept_data_loss: self.may_lose(session) }
    }

    pub fn start(&self, session: &Session<'_>, history: &History, before: &DatabaseState) -> Result<Progress> {
        Ok(Progress {
            stage: Phase::Forward.number(),
            steps: self.extent.steps(session, history)?,
            no_mirror: self.no_mirror,
            standing: before.standing.clone(),
            taken: Vec::new(),
            dropped: Vec::new(),
            snapshot: None,
            baseline: None,
        })
    }

    /// The sandbox holds nothing but made-up rows.
    pub fn may_lose(&self, session: &Session<'_>) -> bool {
        self.accept_data_loss || session.settings.target.is_sandbox()
    }

    pub fn first_forward(&self, session: &Session<'_>, next: Option<Arc<Lease>>) -> Forward {
        let seed = session.settings.target.is_sandbox().then_some(ROWS);
        Forward {
            smoke: false,
            pass: Pass::First { seed, next },
            accept_data_loss: self.may_lose(session),
            deployed: self.deployed.clone(),
        }
    }

    pub fn summary(&self, session: &Session<'_>, inspection: &Inspection) -> String {
        let names: Vec<&str> = inspection.phases().map(Phase::name).collect();
        let without = match (inspection.progress.no_mirror, inspection.left_out.as_slice()) {
            (_, []) => String::new(),
            (true, _) => "; without a mirror, as asked (--no-mirror)".to_owned(),
            (false, left_out) => {
                let each = left_out.iter().map(|(phase, why)| format!("; {} is left out, {why}", phase.name()));
                each.collect()
            }
        };
        format!("drill on {}: {}{without}.", session.settings.target.name, names.join(", "))
    }

    pub fn backward(&self, session: &Session<'_>, inspection: &Inspection) -> Backward {
        let Progress { steps, taken, .. } = &inspection.progress;
        let extent = Extent::Steps(steps.saturating_sub(taken.len()));
        Backward { extent, accept_data_loss: self.may_lose(session), drilled: true }
    }

    pub fn way(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Option<backward::RollbackPlan>> {
        if inspection.progress.stage > Phase::Backward.number() || inspection.progress.steps == 0 {
            return Ok(None);
        }
        let history = &inspection.history;
        let standing = inspection.foreseen(session, Phase::Backward).standing;
        let way = || self.backward(session, inspection).way(session, history, &standing).map(Some);
        if inspection.before.standing.pending.is_empty() {
            return way();
        }
        // A script that cannot work is what the user is told, and not that there is no way back from it.
        if !session.identity.may_create_databases || acts_on_server(session, history)?.is_some() {
            return replay_first(session, history).and_then(|_| way());
        }
        std::thread::scope(|scope| {
            let replay = scope.spawn(|| replay_first(session, history));
            let way = way();
            replay.join().unwrap_or_else(|_| Err(Failure::bug("a replay panicked"))).and(way)
        })
    }

    /// What is lost of what is there when the drill begins; what forward has yet to put there has no values now.
    pub fn lost(&self, session: &Session<'_>, inspection: &Inspection, forward: Vec<Loss>) -> Result<Vec<Loss>> {
        if inspection.way.is_none() {
            return Ok(forward);
        }
        let backward = self.before_backward(session, inspection, inspection.foreseen(session, Phase::Backward))?;
        let backward = backward.losses().filter(|loss| loss.values > 0 && !forward.contains(loss)).cloned();
        Ok(forward.iter().cloned().chain(backward).collect())
    }

    /// Of a backward that begins at `before`, which may be foreseen.
    ///
    /// # Errors
    /// `failed` when the server cannot be asked.
    pub fn before_backward(
        &self,
        session: &Session<'_>,
        inspection: &Inspection,
        before: DatabaseState,
    ) -> Result<backward::Inspection> {
        let way = inspection.way.clone().ok_or_else(|| Failure::bug("a way back that is behind us"))?;
        let options = self.backward(session, inspection);
        backward::Inspection::new(session, inspection.history.clone(), before, way, &options)
    }

    /// What backward would drop is counted as far as it is there; what pending migrations have yet to make is named.
    pub fn add_backward(&self, session: &Session<'_>, inspection: &Inspection, plan: &mut Plan<Planned>) -> Result<()> {
        let inspected = self.before_backward(session, inspection, inspection.foreseen(session, Phase::Backward))?;
        let filled = inspected.losses().filter(|loss| loss.values > 0).map(ToString::to_string);
        plan.losses.extend(filled);
        if inspection.before.counts.values().sum::<u64>() > 0 {
            let to_come = inspected.made_by(&inspection.before.standing.pending);
            plan.losses.extend(to_come.map(|loss| format!("{}: what forward puts there", loss.removal.then)));
        }
        add(plan, session, &self.backward(session, inspection), |_| Ok(inspected))
    }

    /// As far as it is known before: where the first forward led, and what was dropped, are filled in when its turn
    /// comes.
    pub fn second_forward(&self, session: &Session<'_>, inspection: &Inspection, before: &DatabaseState) -> Forward {
        let takes_one = inspection.way.is_some() && self.may_lose(session);
        let snapshot = (takes_one || inspection.progress.snapshot.is_some()).then(String::new);
        let baseline =
            Baseline { counts: before.counts.clone(), values: BTreeMap::new(), catalog: before.catalog.clone() };
        let taken = before.standing.pending.clone();
        let schema = inspection.schema.clone();
        let second = SecondPass { baseline, taken, schema, dropped: Vec::new(), snapshot, deploy: None };
        Forward { smoke: false, pass: Pass::Second(Box::new(second)), accept_data_loss: false, deployed: None }
    }
}

impl Inspection {
    /// What is to be done, in order.
    pub fn phases(&self) -> impl Iterator<Item = Phase> + use<> {
        let (from, left_out) = (self.progress.stage, self.left_out.clone());
        let runs = move |phase: &Phase| !left_out.iter().any(|(other, _)| other == phase);
        Phase::ALL.into_iter().filter(move |phase| phase.number() >= from && runs(phase))
    }

    /// The database when `phase` begins: as it is now for the first, and as its history says for the others, whose rows
    /// are not foreseen.
    pub fn foreseen(&self, session: &Session<'_>, phase: Phase) -> DatabaseState {
        if phase.number() == self.progress.stage {
            return self.before.clone();
        }
        let taken = match (phase, &self.way) {
            (Phase::ForwardAgain, Some(way)) => [self.progress.taken.as_slice(), &way.migrations()].concat(),
            _ => Vec::new(),
        };
        let MigrationStatus { applied, pending, squashed, .. } = self.before.standing.clone();
        let in_order = applied.into_iter().chain(pending);
        let (mut pending, applied): (Vec<String>, _) = in_order.partition(|name| taken.contains(name));
        pending.sort();
        let standing = MigrationStatus { applied, pending, squashed, ..MigrationStatus::default() };
        let mut state = DatabaseState { standing, ..self.before.clone() };
        state.counts.entry(format!("{}.{LEDGER_TABLE}", session.target.dsn().schema)).or_default();
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_branch_adds_is_taken_back_with_all_that_is_newer() {
        let of_main = ["1_a".to_owned(), "3_c".to_owned()];
        for (here, steps) in [
            (["1_a", "3_c"].as_slice(), 0),
            (&["1_a"], 0),
            (&["1_a", "3_c", "4_d"], 1),
            (&["1_a", "3_c", "4_d", "5_e"], 2),
            (&["1_a", "2_b", "3_c"], 2),
            (&[], 0),
        ] {
            assert_eq!(added(here, &of_main), steps, "{here:?}");
        }
        assert_eq!(added(&["1_a", "3_c"], &[]), 2);
    }
}
