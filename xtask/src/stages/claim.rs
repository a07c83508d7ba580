//! Claim: marks a database as disposable staging, after showing what it is. Destructive stages ask for this marker.
//!
//! What is asked is whether this database may lose everything, so it is asked with the database before one's eyes: what the server says it
//! is, what it holds, and whose claim it carries already. A copy brings the original's claim along; that is shown before it is replaced.

use std::path::Path;

use serde::Serialize;

use crate::error::{Failure, Result};
use crate::guard::{ClaimStatus, Demand};
use crate::hint::Hint;
use crate::postgres::claim;
use crate::postgres::counts::{Counts, counts};
use crate::run::consent::Question;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Step};
use crate::run::stage::{Running, Stage};
use crate::session::Session;
use crate::settings::EvidenceSettings;

/// The options of `claim`.
pub struct Claim {
    /// The database that the user named.
    pub confirm: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    Write,
    Verify,
}

impl Stage for Claim {
    /// Rows of every table that will count as disposable.
    type Inspection = Counts;
    type Action = Builtin;
    type Memory<'a> = ();

    const DEMAND: Demand = Demand::Additive;

    /// # Errors
    /// `blocked` when the role may not write a claim here: better before the question than after the answer.
    fn inspect(&self, session: &Session<'_>) -> Result<Counts> {
        let mut connection = session.connect()?;
        if !session.target.claimed() {
            claim::may_write(&mut connection, &session.identity)?;
        }
        counts(&mut connection, &session.target.schemas())
    }

    fn plan(&self, session: &Session<'_>, rows: &Counts) -> Result<Plan<Builtin>> {
        let step = |name, does: &str, failure, action| {
            vec![Step { name, does: does.to_owned(), failure, action: Action::Builtin(action) }]
        };
        let write = "write the marker into the schema `staging_drill`";
        let write = step("write claim", write, "the claim was not written", Builtin::Write);
        let verify = step(
            "verify claim",
            "read it back and compare it with the server",
            "the claim does not hold",
            Builtin::Verify,
        );
        Ok(Plan {
            stage: "claim",
            summary: format!(
                "claim on {}: mark as disposable staging\n{}",
                session.settings.target.name,
                identity(session).join("\n")
            ),
            scripts: Vec::new(),
            rows: rows.clone(),
            losses: Vec::new(),
            groups: if session.target.claimed() { vec![verify] } else { vec![write, verify] },
        })
    }

    /// Asked once: a claim that holds is only read again. A wrong name is refused in any case, since something else was meant.
    fn consent(&self, session: &Session<'_>, plan: &Plan<Builtin>, console: &Console) -> Result<()> {
        if session.target.claimed() && self.confirm.is_none() {
            identity(session).iter().for_each(|line| console.say(line));
            return Ok(());
        }
        let (tables, rows) = (plan.rows.len(), plan.rows.values().sum::<u64>());
        let stake =
            format!("  holds: {tables} tables, {rows} rows; claimed, the drill may drop and restore all of them");
        identity(session).iter().chain([&stake]).for_each(|line| console.show(line));
        let database = &session.target.dsn().database;
        let question = Question {
            target: &session.settings.target.name,
            database,
            deed: "claim this database as disposable",
            command: Hint::run("claim --confirm").arg(database),
        };
        question.by_name(self.confirm.as_deref(), console)
    }

    fn open(&self, _: &Journal<'_>, _: &Counts) -> Result<()> {
        Ok(())
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Counts) {}

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        let done = match action {
            Builtin::Write => write(running.session),
            Builtin::Verify => verify(running.session),
        };
        done.map(Ended::from)
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.deployment
    }
}

/// What the database is, so that a person can tell whether it is the one that was meant.
fn identity(session: &Session<'_>) -> Vec<String> {
    let identity = &session.identity;
    let claim = match session.target.standing() {
        ClaimStatus::Claimed => format!("its own{}", made(session)),
        ClaimStatus::Unclaimed => "none".to_owned(),
        ClaimStatus::Unproven => format!("of an earlier version{}; a copy could have it, too", made(session)),
        ClaimStatus::Copied(parts) => {
            format!("of another database, of which this is a copy{}; differs in {}", made(session), parts.join(", "))
        }
    };
    let facts = [
        ("database", identity.database.clone()),
        ("server", format!("Postgres {} at {}", identity.version, session.address())),
        ("system", identity.system_identifier.clone().unwrap_or_else(|| "not readable by this role".to_owned())),
        ("project", session.target.candidate().project_ref().unwrap_or("no Supabase project").to_owned()),
        ("user", identity.user.clone()),
        ("claim", claim),
    ];
    facts.map(|(name, value)| format!("  {name}: {value}")).into()
}

/// When and by whom the claim was made that is there now. Its texts are the database's, so they must not act on a terminal.
fn made(session: &Session<'_>) -> String {
    let Some(claim) = &session.target.observed().claim else { return String::new() };
    let (database, by) = (claim.database.escape_debug(), claim.claimed_by.escape_debug());
    format!(", made of `{database}` at {} by {by}", claim.claimed_at)
}

fn write(session: &Session<'_>) -> Result<String> {
    let by = session.settings.variable("USER").unwrap_or("unknown").to_owned();
    let project = session.target.candidate().project_ref();
    let mut connection = session.connect()?;
    claim::write(&mut connection, &session.target, &session.identity, project, &by, "cargo xtask claim")?;
    Ok(format!("claimed by {by}"))
}

fn verify(session: &Session<'_>) -> Result<String> {
    let mut connection = session.connect()?;
    let claim =
        claim::read(&mut connection)?.ok_or_else(|| Failure::failed("the claim that was written is not there"))?;
    let project = session.target.candidate().project_ref();
    match claim.disagreements(&session.identity, project).first() {
        None => Ok("the claim names this database of this server".to_owned()),
        Some(difference) => Err(Failure::different(format!("the claim does not fit: {difference}"))),
    }
}
