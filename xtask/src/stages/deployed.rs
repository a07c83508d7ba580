//! `forward --deployed REF`: whether the release that is running goes on with the database after the migrations. The client of its
//! schema reads and writes before them and after them; what only fails after them is what they break.

use std::fs;

use script::only_adds::only_add;
use serde::Deserialize;

use crate::error::{Failure, Result};
use crate::evidence::deployed::{Deployed, Model, Verdict};
use crate::hint::Hint;
use crate::migrations::status::MigrationStatus;
use crate::process::{locate, packages};
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Explanation, Step};
use crate::schema::history::History;
use crate::session::Session;
use crate::stages::probed_client::ProbedClient;
use crate::stages::release_in_git::{Git, check_major, here};
use crate::tools::prisma::Prisma;
use crate::tools::prisma_error;
use crate::words::counted;
use pin::Lease;

const PROGRAM: &str = include_str!("deployed.mjs");

pub const GENERATE: &str = "generate deployed";
pub const GENERATE_NEXT: &str = "generate next";
pub const BEFORE: &str = "deployed before";
pub const AFTER: &str = "deployed after";

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub release: Release,
    pub accept_breaking: bool,
}

#[derive(Debug, Clone)]
pub enum Release {
    /// By a commit, tag or branch.
    Named(String),
    /// The one that the main branch had when this one left it, where that can be known.
    MergeBase,
}

impl Wanted {
    fn accepting(&self, reference: &str) -> Hint {
        match &self.release {
            Release::Named(_) => Hint::run("forward --accept-breaking --deployed").arg(reference),
            Release::MergeBase => Hint::run("drill --accept-breaking"),
        }
    }
}

/// The release to be tried, or why none is, where that is worth saying.
pub type Found = (Option<Running>, Option<String>);

/// # Errors
/// As `Running::of`, of a release that was named.
pub fn find(session: &Session<'_>, wanted: &Wanted, history: &History, standing: &MigrationStatus) -> Result<Found> {
    match &wanted.release {
        Release::Named(reference) => {
            let running = if standing.pending.is_empty() { None } else { Running::of(session, reference)? };
            let why =
                if standing.pending.is_empty() { "nothing is pending" } else { "its schema is the one that is here" };
            let said = running.is_none().then(|| format!("the client of `{reference}` was not tried: {why}"));
            Ok((running, said))
        }
        Release::MergeBase => of_merge_base(session, history, standing),
    }
}

/// Where the pending migrations may break something that may be running on this database.
fn of_merge_base(session: &Session<'_>, history: &History, standing: &MigrationStatus) -> Result<Found> {
    let pending = history.only(&standing.pending);
    if standing.applied.is_empty() || only_add(pending.migrations.iter().map(|migration| &migration.sql))? {
        return Ok((None, None));
    }
    match at_merge_base(session, standing) {
        Ok(running) => Ok((running, None)),
        Err(failure) => {
            session.interrupt.check()?;
            Ok((
                None,
                Some(format!(
                    "whether the migrations break the release that is running was not tried: {}",
                    failure.message
                )),
            ))
        }
    }
}

fn at_merge_base(session: &Session<'_>, standing: &MigrationStatus) -> Result<Option<Running>> {
    let git = Git::of(session)?;
    let commit = git.merge_base()?;
    let short = commit.get(..12).unwrap_or(&commit);
    let ledger = standing.in_ledger();
    if let Some(missing) = git.migrations(&commit)?.iter().find(|name| !ledger.contains(name)) {
        return Err(Failure::blocked(format!("`{missing}` of `{short}` is not applied here")));
    }
    let root = &session.settings.root;
    if packages::find(root, ADAPTER).is_none() && !locate::is_plug_and_play(root) {
        return Err(Failure::blocked(format!("{ADAPTER} is not installed here")));
    }
    Running::of(session, short)
}

const ADAPTER: &str = "@prisma/adapter-pg";

/// The release that is running, and where its client is made.
pub struct Running {
    reference: String,
    commit: String,
    client: ProbedClient,
    /// The client of the schema that is here.
    next: ProbedClient,
    lease: Lease,
}

/// As the program calls them.
const DEPLOYED: &str = "deployed";
const NEXT: &str = "next";

impl Running {
    /// None where its schema is the one that is here: then its client is the one that is made anyway.
    ///
    /// # Errors
    /// `usage` where there is no such commit; `blocked` where its client cannot be made here. Nothing was changed then.
    pub fn of(session: &Session<'_>, reference: &str) -> Result<Option<Running>> {
        let git = Git::of(session)?;
        let commit = git.commit(reference)?;
        let there = git.schema(&commit, reference)?;
        let here = here(session)?;
        if there == here {
            return Ok(None);
        }
        check_major(session, &git, &commit, reference)?;
        let (client, next) = (ProbedClient::of(session, &commit, &there)?, ProbedClient::of(session, NEXT, &here)?);
        let (reference, lease) = (reference.to_owned(), session.lease("deployed client"));
        Ok(Some(Running { reference, commit, client, next, lease }))
    }

    /// Both are to be there before the migrations.
    pub fn generate<A>(&self, session: &Session<'_>) -> Result<[Step<A>; 2]> {
        let step = |name, of: String, failure, client: &ProbedClient| -> Result<Step<A>> {
            Ok(Step {
                name,
                does: format!("generate the Prisma client from the schema {of}, in a folder of its own"),
                failure,
                action: Action::Child {
                    invocation: client.generate(&Prisma::new(session, &self.lease))?,
                    deadline: session.settings.timeouts.generate,
                    explain: prisma_error::explain,
                },
            })
        };
        let failure = "the client of the release that is running was not generated";
        Ok([
            step(GENERATE, format!("at `{}`", self.reference), failure, &self.client)?,
            step(GENERATE_NEXT, "that is here".to_owned(), "the new client was not generated", &self.next)?,
        ])
    }

    pub fn probe<A>(&self, session: &Session<'_>, name: &'static str) -> Result<Step<A>> {
        let program = session.temporary("deployed.mjs", PROGRAM)?;
        let clients = [(DEPLOYED, self.client.folder()), (NEXT, self.next.folder())];
        let when = if name == BEFORE { "before the migrations" } else { "again, after them" };
        Ok(Step {
            name,
            does: format!(
                "let the client of `{}` and the new one read every model, and write in a transaction that is rolled back, {when}",
                self.reference
            ),
            failure: "the client of the release that is running could not be tried",
            action: Action::Child {
                invocation: Prisma::new(session, &self.lease).probe(&program, &clients),
                deadline: session.settings.timeouts.smoke,
                explain,
            },
        })
    }

    pub fn verify<A>(&self, action: A) -> Step<A> {
        Step {
            name: "verify deployed",
            does: format!("check that the client of `{}` reads and writes as before", self.reference),
            failure: "the migrations break the release that is running",
            action: Action::Builtin(action),
        }
    }

    /// # Errors
    /// `different` where something is broken, and nobody has said that it may be.
    pub fn judge(&self, journal: &Journal<'_>, wanted: &Wanted) -> Result<Ended> {
        let (before, after) = (said(journal, BEFORE)?, said(journal, AFTER)?);
        let models = compared(&of(&before, DEPLOYED), &of(&after, DEPLOYED))?;
        // What the new client cannot do after the migrations either, they are not to blame for.
        let next = compared(&of(&after, NEXT), &of(&before, NEXT))?;
        let (reference, commit) = (self.reference.clone(), self.commit.clone());
        let deployed = Deployed { reference, commit, models: models.clone(), next: next.clone() };
        journal.record().outcome.deployed = Some(deployed);
        let accepted = models.iter().filter_map(Model::broken).filter(|_| wanted.accept_breaking);
        let notes = models.iter().filter_map(Model::not_tried).chain(accepted).chain(too_early(&next));
        journal.record().outcome.add_notes(&notes.collect::<Vec<_>>());
        verdict_of_all(&self.reference, &models, wanted)
    }
}

/// Nearly every migration that a new release needs has it so: what order a deploy goes in is not for the drill to say.
fn too_early(next: &[Model]) -> Option<String> {
    let models: Vec<String> = next.iter().filter_map(Model::too_early).collect();
    (!models.is_empty()).then(|| {
        format!(
            "the new client does not go with the database before the migrations, so they have to come first: {}",
            models.join(", ")
        )
    })
}

fn verdict_of_all(reference: &str, models: &[Model], wanted: &Wanted) -> Result<Ended> {
    let broken: Vec<String> = models.iter().filter_map(Model::broken).collect();
    let not_tried = models.iter().filter_map(Model::not_tried).count();
    let all = counted(models.len(), "model");
    let tried = if not_tried == 0 { all } else { format!("{all} ({not_tried} not tried in full)") };
    if !models.is_empty() && models.iter().all(|model| matches!(model.reads, Verdict::NotTried(_))) {
        return Ok(Ended::NotTried(format!(
            "nothing of the client of `{reference}` worked before the migrations either"
        )));
    }
    if broken.is_empty() {
        let said = format!("the client of `{reference}` reads and writes {tried} as before");
        return Ok(Ended::Done(said));
    }
    if wanted.accept_breaking {
        let broken = broken.len();
        return Ok(Ended::Done(format!("the client of `{reference}` is broken for {broken} of {tried}, as accepted")));
    }
    Err(Failure::different(format!("the migrations break the release that is running (`{reference}`)"))
        .because_all(broken)
        .note("add first, and take away once no release uses it any more: two migrations, with a release between them")
        .hint(wanted.accepting(reference)))
}

/// What the program says where it cannot begin; else its last line says more.
fn explain(tail: &[String]) -> Option<Explanation> {
    let why = tail.iter().find_map(|line| line.strip_prefix("cannot: "))?;
    let hint = Some(Hint::from("install it, or leave out `--deployed`"));
    Some(Explanation { code: "not tried".to_owned(), message: why.to_owned(), details: Vec::new(), note: None, hint })
}

#[derive(Debug, Clone, Deserialize)]
struct Said {
    client: String,
    model: String,
    read: Option<Wrong>,
    write: Option<Wrong>,
}

#[derive(Debug, Clone, Deserialize)]
struct Wrong {
    code: String,
    message: String,
}

/// By the log of a step.
fn said(journal: &Journal<'_>, step: &str) -> Result<Vec<Said>> {
    let record = journal.record();
    let mut steps = record.outcome.stages.last().into_iter().flat_map(|stage| &stage.steps);
    let log = steps.find(|one| one.name == step).and_then(|one| Some(journal.run().folder().join(one.log.as_ref()?)));
    drop(record);
    let text = log.and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
    let said: Vec<Said> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if said.is_empty() { Err(Failure::failed(format!("`{step}` said nothing of any model"))) } else { Ok(said) }
}

fn of(all: &[Said], client: &str) -> Vec<Said> {
    all.iter().filter(|said| said.client == client).cloned().collect()
}

/// # Errors
/// `failed` where a model was not asked twice.
fn compared(before: &[Said], after: &[Said]) -> Result<Vec<Model>> {
    let of = |before: &Said| {
        let after = after.iter().find(|after| after.model == before.model);
        let after = after.ok_or_else(|| Failure::failed(format!("`{AFTER}` said nothing of `{}`", before.model)))?;
        let reads = verdict(before.read.as_ref(), after.read.as_ref());
        let writes = verdict(before.write.as_ref(), after.write.as_ref());
        Ok(Model { model: before.model.clone(), reads, writes })
    };
    before.iter().map(of).collect()
}

fn verdict(before: Option<&Wrong>, after: Option<&Wrong>) -> Verdict {
    let words = |wrong: &Wrong| format!("{}: {}", wrong.code, wrong.message);
    match (before, after) {
        (Some(before), _) => Verdict::NotTried(words(before)),
        (None, Some(after)) => Verdict::Breaks(words(after)),
        (None, None) => Verdict::Compatible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &str) -> Vec<Said> {
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn only_what_worked_before_can_be_broken_and_what_did_not_is_said() {
        let before = said(
            r#"{"client":"deployed","model":"A","read":null,"write":null}
            {"client":"deployed","model":"B","read":null,"write":{"code":"P2003","message":"no parent"}}
            {"client":"deployed","model":"C","read":null,"write":null}
            {"client":"deployed","model":"D","read":{"code":"P2021","message":"no table"},"write":{"code":"P2021","message":"no table"}}
            {"client":"deployed","model":"E","read":null,"write":null}"#,
        );
        let after = said(
            r#"{"client":"deployed","model":"A","read":null,"write":null}
            {"client":"deployed","model":"B","read":{"code":"P2022","message":"no column"},"write":{"code":"P2022","message":"no column"}}
            {"client":"deployed","model":"C","read":null,"write":{"code":"P2011","message":"null"}}
            {"client":"deployed","model":"D","read":null,"write":null}"#,
        );
        assert_eq!(compared(&before, &after).unwrap_err().message, "`deployed after` said nothing of `E`");
        let models = compared(&before[..4], &after).unwrap();
        let told = |models: &[Model], accept| {
            let wanted = Wanted { release: Release::Named("main".to_owned()), accept_breaking: accept };
            verdict_of_all("main", models, &wanted).map_or_else(|failure| failure.in_full(), |ended| ended.in_words().1)
        };
        let said = [told(&models, false), told(&models, true), told(&models[..1], false), told(&models[3..4], false)];
        let not_tried: Vec<String> = models.iter().filter_map(Model::not_tried).collect();
        insta::assert_snapshot!(format!("{}\n{}", said.join("\n"), not_tried.join("\n")), @r"
        different: the migrations break the release that is running (`main`)
        caused by: `B`: breaks reads: P2022: no column
        caused by: `C`: breaks writes: P2011: null
        note: add first, and take away once no release uses it any more: two migrations, with a release between them
        the client of `main` is broken for 2 of 4 models (2 not tried in full), as accepted
        the client of `main` reads and writes 1 model as before
        nothing of the client of `main` worked before the migrations either
        `B`: writes not tried, which failed before the migrations, too: P2003: no parent
        `D`: reads and writes not tried, which failed before the migrations, too: P2021: no table
        ");
    }
}
