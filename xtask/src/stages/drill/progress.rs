//! How far a drill came: in the record while it runs, and read again by `drill --resume`.
//!
//! A drill is taken up only where it stopped and as it stopped: the same database, the same history, the same ledger.
//! Consent is not part of it: it is given for one run.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::of_file;
use crate::error::{Failure, OrFail, Refusal, Result};
use crate::evidence::outcome::BeforeAfter;
use crate::evidence::record::RECORD;
use crate::evidence::record::Record;
use crate::evidence::values::values_of;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::losses::Loss;
use crate::migrations::status::MigrationStatus;
use crate::schema::history::History;
use crate::session::Session;
use crate::stages::drill::pass::Baseline;

/// The key of `run.json`.
pub const KEY: &str = "drill";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Progress {
    /// The stage that is at work or missed, from 1; one more than there are once all are done.
    pub stage: usize,
    /// How many migrations are to be taken back.
    pub steps: usize,
    /// Mirror and parity were left out, as asked.
    pub no_mirror: bool,
    /// Where the database stood when this was written.
    pub standing: MigrationStatus,
    /// What backward took back.
    pub taken: Vec<String>,
    /// What it dropped of tables with rows, and what was in it.
    pub dropped: Vec<Loss>,
    /// What the rows from before can be put back from.
    pub snapshot: Option<String>,
    /// The folder of the first forward's files, beside other runs' folders.
    #[serde(rename = "landing")]
    pub baseline: Option<String>,
}

/// A drill that did not go through.
pub struct Earlier {
    /// The name of its folder.
    pub run: String,
    pub progress: Progress,
    folder: PathBuf,
    record: Record,
}

impl Earlier {
    /// The newest drill of the target, which must be one to go on with.
    ///
    /// # Errors
    /// `usage` when there is none or it went through; `refused` when it was of another database; `blocked` when the history or
    /// the ledger is another one since.
    pub fn find(session: &Session<'_>, history: &History, now: &DatabaseState) -> Result<Earlier> {
        let target = &session.settings.target.name;
        let Some(earlier) = newest(session)? else {
            return Err(Failure::usage(format!("there is no drill of `{target}` to resume")).hint(anew()));
        };
        if earlier.record.outcome.status == "ok" {
            return Err(Failure::usage(format!(
                "the last drill of `{target}` went through: nothing is left to resume"
            ))
            .note(format!("its evidence is `{}`", earlier.run))
            .hint(anew()));
        }
        earlier.check_identity(session)?;
        earlier.check_history(history)?;
        earlier.check_ledger(now)?;
        Ok(earlier)
    }

    fn check_identity(&self, session: &Session<'_>) -> Result<()> {
        let then = self.record.server.as_ref().map(|server| (&server.database, &server.system_identifier));
        let now = (&session.identity.database, &session.identity.system_identifier);
        let project = self.record.outcome.target.as_ref().and_then(|target| target.project_ref.as_deref());
        if then == Some(now) && project == session.target.candidate().project_ref() {
            return Ok(());
        }
        let message = format!("the drill in `{}` was of another database", self.run);
        Err(Failure::refused(&session.settings.target.name, vec![Refusal::new("resume", message, "begin a new drill")])
            .hint(anew())
            .message("the drill to resume is another database's"))
    }

    fn check_history(&self, history: &History) -> Result<()> {
        if self.record.inputs.get("migrations") == Some(&history.digest()) {
            return Ok(());
        }
        Err(Failure::blocked("the migrations are not those of the drill to resume")
            .note(format!("its evidence is `{}`", self.run))
            .hint(anew()))
    }

    fn check_ledger(&self, now: &DatabaseState) -> Result<()> {
        if self.progress.standing == now.standing {
            return Ok(());
        }
        Err(Failure::blocked("the ledger is not as the drill to resume had left it")
            .note(format!("its evidence is `{}`", self.run))
            .because("it was migrated since, or the run was killed in the middle of a stage")
            .hint(anew()))
    }

    /// SHA-256 of the Prisma schema that its first forward generated the client from.
    pub fn schema(&self) -> String {
        self.record.inputs.get("schema").cloned().unwrap_or_default()
    }

    /// The rows and the schema when its first forward had ended.
    ///
    /// # Errors
    /// `different` when a file was changed since.
    pub fn baseline(&self, session: &Session<'_>) -> Result<Baseline> {
        let baseline = self.progress.baseline.clone().unwrap_or_default();
        let dir = session.settings.evidence_dir().join(&baseline);
        let read = |name: &str| -> Result<Vec<u8>> {
            let path = dir.join(name);
            let inside = path.strip_prefix(&self.folder).map(|path| path.display().to_string()).unwrap_or_default();
            let altered = self.record.files.get(&inside).is_some_and(|then| of_file(&path).ok().as_ref() != Some(then));
            match fs::read(&path) {
                Ok(bytes) if !altered => Ok(bytes),
                _ => Err(self.unusable(&format!("{baseline}/{name}"))),
            }
        };
        let unusable = |name: &str| self.unusable(&format!("{baseline}/{name}"));
        let counts: BeforeAfter = serde_json::from_slice(&read("counts.json")?).map_err(|_| unusable("counts.json"))?;
        let catalog =
            serde_json::from_slice(&read("catalog-after.json")?).map_err(|_| unusable("catalog-after.json"))?;
        let run = baseline.split('/').next().unwrap_or_default();
        let values =
            fs::read(values_of(session.settings, run)).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let values = values.unwrap_or_default();
        Ok(Baseline { counts: counts.after, values, catalog })
    }

    fn unusable(&self, file: &str) -> Failure {
        Failure::different(format!("the evidence `{file}` is not as it was written")).hint(anew())
    }
}

fn anew() -> Hint {
    Hint::run("drill")
}

/// Folder names begin with their time. Runs of `drill --each`, and drills that were refused, have no progress.
fn newest(session: &Session<'_>) -> Result<Option<Earlier>> {
    let dir = session.settings.evidence_dir();
    let Ok(entries) = fs::read_dir(&dir) else { return Ok(None) };
    let mut runs: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|n| n.contains("-drill-"))
        .collect();
    runs.sort();
    for run in runs.into_iter().rev() {
        let folder = dir.join(&run);
        let Ok(bytes) = fs::read(folder.join(RECORD)) else { continue };
        let unreadable = || Failure::different(format!("the record of the drill in `{run}` cannot be read"));
        let record: Record = serde_json::from_slice(&bytes).or_fail(unreadable)?;
        let target = record.outcome.target.as_ref();
        let ours = target.is_some_and(|target| target.name == session.settings.target.name);
        if let Some(progress) = record.outcome.extra.get(KEY).filter(|_| ours) {
            let progress = Progress::deserialize(progress).or_fail(unreadable)?;
            return Ok(Some(Earlier { run, progress, folder, record }));
        }
    }
    Ok(None)
}
