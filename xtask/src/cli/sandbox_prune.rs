//! `sandbox prune`: what of the sandbox grows, and may go: old runs and snapshots, servers that killed commands left, the server's log. Never a row
//! of the sandbox itself, and nothing of another target.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::args::SandboxPrune;
use crate::cli::evidence_prune;
use crate::error::Result;
use crate::evidence::outcome::Outcome;
use crate::evidence::prune::{self, Pruning, Rule};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::postgres::run_lock::RunLock;
use crate::rows::snapshot::Store;
use crate::rows::snapshot::surplus::{self, Surplus};
use crate::run::runner::Runner;
use crate::sandbox;
use crate::sandbox::leftovers::{Leftover, Log, leftovers};
use crate::schema::owed;
use crate::words::{counted, size};

/// What may go.
struct Prunable {
    runs: Pruning,
    snapshots: Vec<Surplus>,
    servers: Vec<Leftover>,
    log: Log,
    log_bytes: u64,
    /// Why no snapshot goes, whatever its age.
    held: Option<&'static str>,
}

/// # Errors
/// `different` when the evidence is not what was recorded, `blocked` when another run is at work in the sandbox: nothing is removed then. `failed`
/// when something cannot be removed; another `sandbox prune` goes on from there.
pub fn run(args: &SandboxPrune, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let confirmed = args.confirm && !runner.plan_only;
    let prunable = match confirmed && sandbox::exists(runner.settings)? {
        true => alone(args, runner, outcome)?,
        false => Prunable::look(args, runner)?,
    };
    if confirmed {
        prunable.apply(runner, outcome)?;
    }
    outcome.extra.insert("prune".to_owned(), prunable.as_json(confirmed));
    if !runner.settings.output.json {
        runner.console.result(&prunable.in_words(args, runner, confirmed));
    }
    Ok(())
}

/// Takes the snapshots away while no other run is at work: one may be taking its own.
fn alone(args: &SandboxPrune, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<Prunable> {
    let declared = runner.declare()?;
    let session = runner.reach(&declared, &declared.redactor(), Demand::Destructive, outcome)?;
    let _lock = RunLock::take(session.connect()?)?;
    let prunable = Prunable::look(args, runner)?;
    surplus::remove(&session, &Store::of(runner.settings), &prunable.snapshots)?;
    Ok(prunable)
}

impl Prunable {
    fn look(args: &SandboxPrune, runner: &Runner<'_>) -> Result<Prunable> {
        let settings = runner.settings;
        let verification = evidence_prune::verified(runner)?;
        let store = Store::of(settings);
        let list = store.list()?;
        let held = match () {
            () if list.is_empty() => None,
            () if !sandbox::exists(settings)? => Some("there is no sandbox that they could be told to be of"),
            () if owed::is_any(settings) => Some("a reset has taken what is not back yet"),
            () => None,
        };
        let needed = prune::snapshots_of_resumable(&verification.runs);
        let snapshots = if held.is_none() { surplus::surplus(&store, args.keep, &needed)? } else { Vec::new() };
        let going: BTreeSet<&String> = snapshots.iter().map(|one| &one.listed.name).collect();
        let stay = list.into_iter().map(|listed| listed.name).filter(|name| !going.contains(name)).collect();
        let runs = Pruning::of(settings, &verification, &Rule::Keep(args.keep), &stay);
        let log = Log::of(settings);
        let servers = leftovers(settings, runner.interrupt)?;
        Ok(Prunable { runs, snapshots, servers, log_bytes: log.surplus(), log, held })
    }

    fn bytes(&self) -> u64 {
        let snapshots = self.snapshots.iter().map(|one| one.bytes);
        let servers = self.servers.iter().map(|one| one.bytes);
        self.runs.bytes() + snapshots.chain(servers).sum::<u64>() + self.log_bytes
    }

    /// All but the snapshots, which need a session.
    fn apply(&self, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
        self.servers.iter().try_for_each(Leftover::remove)?;
        self.log.cut()?;
        if self.runs.is_empty() {
            return Ok(());
        }
        evidence_prune::apply(&self.runs, runner, outcome)
    }

    fn as_json(&self, confirmed: bool) -> serde_json::Value {
        let snapshot = |one: &Surplus| {
            let kind = if one.is_database() { "database" } else { "files" };
            json!({ "name": one.listed.name, "kind": kind, "rows": one.rows, "bytes": one.bytes })
        };
        let mut json = evidence_prune::as_json(&self.runs, confirmed);
        json["snapshots"] = self.snapshots.iter().map(snapshot).collect();
        json["servers"] = self.servers.iter().map(|one| json!({ "bytes": one.bytes })).collect();
        json["log_bytes"] = self.log_bytes.into();
        json["bytes"] = self.bytes().into();
        json
    }

    fn in_words(&self, args: &SandboxPrune, runner: &Runner<'_>, confirmed: bool) -> String {
        let Prunable { runs, snapshots, servers, .. } = self;
        let is_empty = runs.is_empty() && snapshots.is_empty() && servers.is_empty() && self.log_bytes == 0;
        let held = self.held.map(|why| format!("no snapshot goes: {why}"));
        let total = size(self.bytes());
        let mut lines = match (is_empty, confirmed) {
            (true, _) => vec!["nothing of the sandbox has to go".to_owned()],
            (false, true) => vec![format!("removed from the sandbox, {total}:")],
            (false, false) => vec![format!("of the sandbox would go, {total}:")],
        };
        let line = |count: usize, noun: &str, bytes: u64, more: String| {
            (count > 0).then(|| format!("  {}, {}{more}", counted(count, noun), size(bytes)))
        };
        let sum = |bytes: &mut dyn Iterator<Item = u64>| bytes.sum::<u64>();
        let databases = snapshots.iter().filter(|one| one.is_database()).count();
        let databases = if databases > 0 { format!(", {databases} of them kept as a database") } else { String::new() };
        lines.extend(line(runs.going.len() + runs.left(), "run", runs.bytes(), String::new()));
        lines.extend(line(snapshots.len(), "snapshot", sum(&mut snapshots.iter().map(|one| one.bytes)), databases));
        let left = ", left by a command that was killed".to_owned();
        lines.extend(line(servers.len(), "throw-away server", sum(&mut servers.iter().map(|one| one.bytes)), left));
        lines.extend(
            (self.log_bytes > 0).then(|| format!("  the beginning of the server's log, {}", size(self.log_bytes))),
        );
        lines.extend(held);
        lines.extend(runs.staying.iter().map(|staying| format!("`{}` stays: {}", staying.run, staying.why)));
        if !is_empty && !confirmed {
            let again = Hint::run("sandbox prune").arg("--keep").arg(args.keep).arg("--confirm");
            lines.push(format!("to do it: {}", again.line(&runner.settings.aim)));
        }
        lines.join("\n")
    }
}
