//! What a run came to: the JSON of `--json`, and the first half of `run.json`. What an older run did not write is read as
//! empty.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Excerpt, Failure, Refusal, Status};
use crate::evidence::deploy::Deploy;
use crate::evidence::deployed::Deployed;
use crate::evidence::impact::Impact;
use crate::evidence::limits::OverLimit;
use crate::hint::Aim;
use crate::parity::comparison::Comparison;
use crate::process::Exit;
use crate::schema::ledger::LEDGER_TABLE;
use crate::session::TargetView;

pub const SCHEMA: &str = "drill/v1";

/// `schema.table` to rows.
pub type Counts = BTreeMap<String, u64>;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// What `offset_ms` of stages and steps counts from: `started_at` by a monotonic clock.
    #[serde(skip, default = "Instant::now")]
    begun: Instant,
    #[serde(skip)]
    pub aim: Aim,
    /// The folder of migrations, relative to the root.
    #[serde(skip)]
    pub history: String,
    #[serde(default)]
    pub schema: String,
    pub command: String,
    /// `running` until the end, then a word of the exit-code table.
    pub status: String,
    pub exit_code: Option<u8>,
    pub target: Option<TargetView>,
    pub started_at: String,
    pub finished_at: Option<String>,
    /// What came before the first step, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planning: Vec<Phase>,
    #[serde(default)]
    pub stages: Vec<StageView>,
    /// The folder, relative to the root.
    pub evidence: Option<String>,
    pub hint: Option<String>,
    /// The hint as a line to paste; null where it is not a command.
    pub hint_command: Option<String>,
    pub error: Option<ErrorView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<BeforeAfter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Migrations>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rehearsal: Vec<Rehearsed>,
    /// Of migrations that were tried beside rows, statement by statement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub impact: Vec<Impact>,
    /// Where they go over a limit of `drill.toml`, accepted or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<OverLimit>,
    /// What each `migrate deploy` waited for, and who waited behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deploys: Vec<Deploy>,
    /// What the migrations mean to the release that is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parity: Option<Comparison>,
    /// What is worth knowing and no failure: an unclaimed database, grants that only the target has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What a command reports beside the common keys: `plan`, the sandbox's state.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorView {
    pub message: String,
    #[serde(default)]
    pub causes: Vec<String>,
    /// The script that it is about, relative to the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

/// Something that a run did before its first step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    /// From the run's start.
    pub offset_ms: u64,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StageView {
    pub name: String,
    pub status: String,
    /// When it began, from the run's start; None in records from before that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<u64>,
    pub duration_ms: u64,
    /// Of one that was left out, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub steps: Vec<StepView>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StepView {
    pub name: String,
    pub status: String,
    /// Of the child process; null for a step of our own.
    pub exit_code: Option<i32>,
    /// How the child ended; null for a step of our own.
    pub exit: Option<Exit>,
    /// When it was next, from the run's start; None in records from before that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<u64>,
    pub duration_ms: u64,
    /// Of a child process, when it was there: it may have been started before its step was next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Lifetime>,
    /// The log's name in the evidence folder.
    pub log: Option<String>,
    /// What the step found, in one line.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// From the run's start.
    pub offset_ms: u64,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeforeAfter {
    pub before: Counts,
    pub after: Counts,
    /// Tables that would have taken too long to count: their rows, before or after, are the planner's estimate.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub estimated: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Migrations {
    pub applied: Vec<String>,
    pub pending: Vec<String>,
    pub rolled_back: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Leftover {
    pub kind: String,
    pub name: String,
    /// The difference as a sentence.
    pub message: String,
}

/// What became of one migration that was taken up, down and up again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rehearsed {
    pub migration: String,
    pub verdict: Verdict,
    /// What shows the verdict: differences of the catalog, tables whose rows changed or are in the way, or the
    /// server's error.
    pub leftovers: Vec<String>,
}

/// From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Down brings back schema and rows, and up works again.
    Reversible,
    /// The schema comes back; rows or values that were there before do not.
    Lossy,
    /// It does not apply to a table with the made-up rows; without them down and up are as they should be.
    NeedsEmptyTable,
    /// Down leaves a schema that is not the one from before.
    Leftovers,
    /// Down, or up for the second time, does not run.
    Failed,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Reversible => "reversible",
            Verdict::Lossy => "lossy",
            Verdict::NeedsEmptyTable => "needs_empty_table",
            Verdict::Leftovers => "leftovers",
            Verdict::Failed => "failed",
        }
    }
}

impl BeforeAfter {
    /// Both exact.
    pub fn new(before: &Counts, after: &Counts) -> BeforeAfter {
        BeforeAfter { before: before.clone(), after: after.clone(), estimated: BTreeSet::new() }
    }

    /// What stands before the rows of a table wherever they are shown.
    pub fn about(&self, table: &str) -> &'static str {
        if self.estimated.contains(table) { "~" } else { "" }
    }

    /// As `tables`, without Prisma's ledger: how many migrations it has is said elsewhere, and is nobody's data.
    pub fn data(&self) -> impl Iterator<Item = (&str, Option<u64>, Option<u64>)> {
        self.tables().filter(|(name, ..)| !is_ledger(name))
    }

    /// Each table once, by name, with its rows before and after.
    pub fn tables(&self) -> impl Iterator<Item = (&str, Option<u64>, Option<u64>)> {
        let names: BTreeSet<&String> = self.before.keys().chain(self.after.keys()).collect();
        names.into_iter().map(|name| (name.as_str(), self.before.get(name).copied(), self.after.get(name).copied()))
    }
}

fn is_ledger(table: &str) -> bool {
    table.rsplit_once('.').is_some_and(|(_, name)| name == LEDGER_TABLE)
}

impl StageView {
    pub fn running(name: &str, offset_ms: u64) -> StageView {
        let (name, status, offset_ms) = (name.to_owned(), "running".to_owned(), Some(offset_ms));
        StageView { name, status, offset_ms, ..StageView::default() }
    }
}

impl StepView {
    /// What it came to in one line: what it found, or how its program ended where that was not well.
    pub fn found(&self) -> Option<String> {
        let badly = self.exit.filter(|exit| !matches!(exit, Exit::Success | Exit::Interrupted(_)));
        self.detail.clone().or_else(|| badly.map(Exit::in_words))
    }

    pub fn running(name: &str, offset_ms: u64) -> StepView {
        let (name, status, offset_ms) = (name.to_owned(), "running".to_owned(), Some(offset_ms));
        StepView { name, status, offset_ms, ..StepView::default() }
    }
}

impl Outcome {
    pub fn begin(command: &str, started_at: String) -> Outcome {
        Outcome {
            begun: Instant::now(),
            aim: Aim::default(),
            history: String::new(),
            schema: SCHEMA.to_owned(),
            command: command.to_owned(),
            status: "running".to_owned(),
            exit_code: None,
            target: None,
            started_at,
            finished_at: None,
            planning: Vec::new(),
            stages: Vec::new(),
            evidence: None,
            hint: None,
            hint_command: None,
            error: None,
            refusals: Vec::new(),
            counts: None,
            migrations: None,
            leftovers: Vec::new(),
            rehearsal: Vec::new(),
            impact: Vec::new(),
            limits: Vec::new(),
            deploys: Vec::new(),
            deployed: None,
            parity: None,
            notes: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// Of all stages.
    pub fn steps(&self) -> impl Iterator<Item = &StepView> {
        self.stages.iter().flat_map(|stage| &stage.steps)
    }

    /// Why it did not end well, down to the root.
    pub fn causes(&self) -> &[String] {
        self.error.as_ref().map_or(&[], |error| &error.causes)
    }

    /// Milliseconds since the run's start.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Of what began at `begun`, and has just ended.
    pub fn lifetime(&self, begun: Instant) -> Lifetime {
        let offset = begun.saturating_duration_since(self.begun).as_millis();
        let offset_ms = u64::try_from(offset).unwrap_or(u64::MAX);
        Lifetime { offset_ms, duration_ms: self.elapsed_ms().saturating_sub(offset_ms) }
    }

    /// Ends a phase of the planning, which began where the one before it ended.
    pub fn phase(&mut self, name: &str) {
        let offset_ms = self.planning.last().map_or(0, |last| last.offset_ms + last.duration_ms);
        let duration_ms = self.elapsed_ms().saturating_sub(offset_ms);
        self.planning.push(Phase { name: name.to_owned(), offset_ms, duration_ms });
    }

    /// Each is said once: a record that is finished twice, or two stages that find the same, add nothing new.
    pub fn add_notes(&mut self, notes: &[String]) {
        for note in notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
    }

    /// Gives the run its last word, and the same one to each stage and step that still runs.
    pub fn end(&mut self, word: &str) {
        word.clone_into(&mut self.status);
        let views = self.stages.iter_mut().flat_map(|stage| {
            std::iter::once(&mut stage.status).chain(stage.steps.iter_mut().map(|step| &mut step.status))
        });
        views.filter(|status| *status == "running").for_each(|status| word.clone_into(status));
    }

    pub fn finish(&mut self, failure: Option<&Failure>, finished_at: String) {
        let status = match failure {
            None => Status::Ok,
            Some(failure) => {
                let place = failure.place.as_deref();
                self.error = Some(ErrorView {
                    message: failure.message.clone(),
                    causes: failure.causes().collect(),
                    file: place.map(|place| format!("{}/{}/migration.sql", self.history, place.migration)),
                    line: place.and_then(|place| place.line),
                    excerpt: place.map(|place| place.excerpt.clone()),
                });
                let refused = || failure.refusals.first().map(|refusal| refusal.hint.clone());
                self.hint = failure.hint.as_ref().map(|hint| hint.line(&self.aim)).or_else(refused);
                self.hint_command = failure.hint.as_ref().and_then(|hint| hint.command(&self.aim));
                self.add_notes(&failure.notes);
                self.refusals = failure.refusals.clone();
                failure.status
            }
        };
        self.end(status.word());
        self.exit_code = Some(status.exit_code());
        self.finished_at = Some(finished_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_of_any_schema_is_nobodys_data() {
        let side = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 1)).collect::<Counts>();
        let before = side(&["public._prisma_migrations", "public.a"]);
        let counts = BeforeAfter::new(&before, &side(&["my.own._prisma_migrations", "public.old_prisma_migrations"]));
        let names: Vec<&str> = counts.data().map(|(name, ..)| name).collect();
        assert_eq!(names, ["public.a", "public.old_prisma_migrations"]);
        assert_eq!(counts.tables().count(), 4);
    }

    #[test]
    fn phases_of_the_planning_follow_each_other() {
        let mut outcome = Outcome::begin("forward", String::new());
        outcome.planning.push(Phase { name: "declare".to_owned(), offset_ms: 0, duration_ms: 0 });
        std::thread::sleep(std::time::Duration::from_millis(20));
        outcome.phase("connect");
        outcome.phase("lock");
        let [_, connect, lock] = outcome.planning.as_slice() else { panic!("{:?}", outcome.planning) };
        assert!(connect.offset_ms == 0 && connect.duration_ms >= 20, "{connect:?}");
        assert_eq!(lock.offset_ms, connect.duration_ms);
    }

    #[test]
    fn a_program_that_ended_badly_says_how() {
        let said = |exit| StepView { exit: Some(exit), ..StepView::default() }.found();
        assert_eq!(said(Exit::Code(3)).unwrap(), "exited with code 3");
        assert_eq!(said(Exit::Signal(9)).unwrap(), "was killed by signal 9");
        assert_eq!(said(Exit::TimedOut).unwrap(), "did not end in time and was stopped");
        assert_eq!(said(Exit::Success), None);
    }
}
