//! `migrate deploy`, watched, and again where it gave up a wait for a lock: only while nothing of the migration is there and the ledger says so.

use std::sync::{Mutex, PoisonError};

use crate::error::{Failure, Result};
use crate::evidence::deploy::Deploy;
use crate::hint::Hint;
use crate::run::journal::{Journal, Stage};
use crate::run::plan::{Action, Step};
use crate::run::run_plan::run_child;
use crate::session::Session;
use crate::settings::DeploySettings;
use crate::stages::deploy_watch::watched;
use crate::stages::resolve_failed;
use crate::tools::prisma::Prisma;
use crate::tools::prisma_error;
use pin::Lease;

/// The way through the pin for `migrate deploy`, with the limits of drill.toml.
pub fn lease(session: &Session<'_>) -> Lease {
    let (lease, settings) = (session.lease("prisma migrate deploy"), session.settings.deploy);
    settings.lock_timeout.into_iter().for_each(|limit| lease.limit_locks(limit));
    settings.statement_timeout.into_iter().for_each(|limit| lease.limit_statements(limit));
    lease
}

/// One `migrate deploy` of a run, with all its tries.
pub struct Tries<'a> {
    pub session: &'a Session<'a>,
    pub journal: &'a Journal<'a>,
    pub entry: &'a Stage<'a, 'a>,
    pub lease: &'a Lease,
    /// What this run is about to apply: nothing else in the ledger is its own to settle.
    pub pending: &'a [String],
    /// What was seen of each.
    pub seen: &'a Mutex<Vec<Deploy>>,
}

/// Which limit of drill.toml ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Lock,
    Statement,
}

/// What the ledger says after a try that ended at a limit.
enum Ledger {
    Clean,
    /// This migration was marked as rolled back: nothing of it was there.
    Settled(String),
    /// A person has to look: why.
    Open(Failure),
}

impl Tries<'_> {
    /// `run` is told the number of the try.
    ///
    /// # Errors
    /// Of the last try.
    pub fn all(&self, run: &dyn Fn(u8) -> Result<()>) -> Result<()> {
        let most = self.session.settings.deploy.lock_retries + 1;
        let mut attempt = 1;
        loop {
            let Err(failure) = self.one(attempt, run) else { return Ok(()) };
            let Some(limit) = limit(self.session.settings.deploy, &failure) else { return Err(failure) };
            let ledger = self.settle();
            if limit == Limit::Statement || attempt == most || matches!(ledger, Ledger::Open(_)) {
                return Err(told(failure, limit, ledger));
            }
            attempt += 1;
            let gave_up = "it gave up its place in the queue, and nothing of that migration was applied";
            self.journal.console.say(format!("  {gave_up}: try {attempt} of {most}"));
        }
    }

    fn one(&self, attempt: u8, run: &dyn Fn(u8) -> Result<()>) -> Result<()> {
        let (result, seen) = watched(self.session, self.journal.console, self.lease, || run(attempt));
        let seen = Deploy { attempt, ..seen };
        if let Some(line) = seen.in_words() {
            self.journal.console.say(format!("  {line}"));
        }
        let mut record = self.journal.record();
        record.outcome.notes.extend(
            seen.unwatched
                .iter()
                .map(|why| format!("nobody saw, or not to its end, who waited for `migrate deploy`: {why}")),
        );
        record.outcome.deploys.push(seen.clone());
        drop(record);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        result
    }

    /// Whatever the try has left in the ledger is settled here if nothing else is left of it.
    fn settle(&self) -> Ledger {
        let looked = self.session.settle(self.lease).and_then(|()| resolve_failed::without_trace(self.session));
        match looked {
            Ok(None) => Ledger::Clean,
            Ok(Some(name)) if self.pending.contains(&name) => match self.resolve(&name) {
                Ok(()) => Ledger::Settled(name),
                Err(failure) => Ledger::Open(failure),
            },
            Ok(Some(name)) => Ledger::Open(Failure::different(format!("`{name}` failed in another run"))),
            Err(failure) => Ledger::Open(failure),
        }
    }

    fn resolve(&self, migration: &str) -> Result<()> {
        let lease = self.session.lease("prisma migrate resolve");
        let invocation = Prisma::new(self.session, &lease).resolve("--rolled-back", migration)?;
        let step: Step<()> = Step {
            name: "migrate resolve",
            does: format!("mark `{migration}` as rolled back"),
            failure: "the migration was not settled",
            action: Action::Child {
                invocation,
                deadline: self.session.settings.timeouts.migrate,
                explain: prisma_error::explain,
            },
        };
        let numbers = self.entry.announce(&[step.name])?;
        numbers.into_iter().try_for_each(|number| run_child(self.entry, number, &step, 1))
    }
}

/// Of the limits that drill.toml names: one of the role's own is the role's affair.
fn limit(settings: DeploySettings, failure: &Failure) -> Option<Limit> {
    // The server's own word alone: its DETAIL and the script's line may hold any number.
    let spoken =
        || failure.causes().filter(|cause| !["DETAIL:", "HINT:", "line "].iter().any(|start| cause.starts_with(start)));
    let says = |words: &str| spoken().any(|cause| cause.contains(words));
    let by_lock = says("55P03") || says("due to lock timeout");
    let by_statement = (says("57014") || says("due to statement timeout")) && !says("user request");
    match (settings.lock_timeout, settings.statement_timeout) {
        (Some(_), _) if by_lock => Some(Limit::Lock),
        (_, Some(_)) if by_statement => Some(Limit::Statement),
        _ => None,
    }
}

/// What became of the ledger, and what there is to do: nothing is wrong with the SQL.
fn told(mut failure: Failure, limit: Limit, ledger: Ledger) -> Failure {
    let raise = match limit {
        Limit::Lock => {
            "wait for it to end, then run this again; `lock_retries` under `[prisma]` in drill.toml tries more often"
        }
        Limit::Statement => "raise `statement_timeout` under `[prisma]` in drill.toml, then run this again",
    };
    failure.notes.clear();
    match ledger {
        Ledger::Clean => failure.hint(raise),
        Ledger::Settled(name) => failure
            .note(format!("nothing of `{name}` was applied, and the ledger says so: it was marked as rolled back"))
            .hint(raise),
        Ledger::Open(why) => {
            failure.note(format!("the ledger is not settled: {}", why.message)).hint(Hint::run("backward --failed"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_limit_of_drill_toml_is_tried_again_and_nobody_is_told_that_the_sql_is_wrong() {
        let (locks, statements) = (Some(Duration::from_secs(1)), Some(Duration::from_secs(9)));
        let ends = [
            ("ERROR: canceling statement due to lock timeout", locks, None, Some(Limit::Lock)),
            ("Database error code: 55P03", locks, statements, Some(Limit::Lock)),
            ("Database error code: 55P03", None, statements, None),
            ("ERROR: canceling statement due to statement timeout", None, statements, Some(Limit::Statement)),
            ("ERROR: canceling statement due to statement timeout", locks, None, None),
            ("57014: canceling statement due to user request", locks, statements, None),
            ("Database error code: 42P01", locks, statements, None),
            ("DETAIL: Key (id)=(57014) is duplicated.", locks, statements, None),
            ("line 3: insert into code values ('55P03');", locks, statements, None),
        ];
        for (cause, lock_timeout, statement_timeout, expected) in ends {
            let blocked_behind = Duration::from_secs(5);
            let settings = DeploySettings { lock_timeout, statement_timeout, lock_retries: 2, blocked_behind };
            let failure = || Failure::failed("not applied").because(cause).note("correct the SQL");
            assert_eq!(limit(settings, &failure()), expected, "{cause}");
            let Some(limit) = expected else { continue };
            let told = |ledger| told(failure(), limit, ledger);
            assert!(told(Ledger::Clean).notes.is_empty());
            let settled = told(Ledger::Settled("m".to_owned()));
            assert_eq!(
                settled.notes,
                ["nothing of `m` was applied, and the ledger says so: it was marked as rolled back"]
            );
            let open = told(Ledger::Open(Failure::different("`m` failed and left something behind")));
            assert_eq!(open.notes, ["the ledger is not settled: `m` failed and left something behind"]);
            assert_eq!(open.hint.as_deref(), Some(&Hint::run("backward --failed")));
        }
    }
}
