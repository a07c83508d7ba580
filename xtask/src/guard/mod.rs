//! The guard: nothing is touched that is not provably staging.
//!
//! Layers, cheapest first. [`check`] is layers 1 to 3 (form, policy, conflict): pure and total, from what was declared
//! to a [`Candidate`] or to all refusals at once. [`prove`] is layer 4: it compares the candidate with what the server
//! said about itself and makes the [`StagingTarget`] that everything that changes a database asks for (but for one that
//! the run itself has made). Neither can be made anywhere else, so code that forgets the guard does not compile.
//!
//! No part of the guard reads the environment, a file or the clock, spawns, or prints: its callers hand it what they
//! read. No refusal ever holds a secret.

mod conflict;
pub mod env_matrix;
mod environment;
mod form;
pub mod input;
mod pattern;
mod policy;
mod project_files;
mod prove;
mod source;
mod supabase;
mod verdict;

#[cfg(test)]
mod corpus;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::error::Refusal;
use pin::dsn::Dsn;
use redact::Secret;

pub use environment::forwarded_markers;
pub use policy::Policy;
#[cfg(test)]
pub use prove::tests::proven;
pub use prove::{Claim, Demand, Observed, StagingTarget, Standing, prove};
pub use source::{Source, target_variables};
pub use supabase::{KeyKind, SupabaseApi};

use policy::Home;
use source::Given;

/// All that anyone says about a target before the first connection. No `Debug`: it borrows plain secrets.
#[derive(Clone, Copy)]
pub struct Declared<'a> {
    pub policy: &'a Policy,
    /// The target's env file, where there is one: its name for messages, and its bytes.
    pub env_file: Option<(&'a str, &'a [u8])>,
    pub exported: &'a BTreeMap<String, String>,
    /// Other files that a wrapped program would read, by path relative to the root: `.env`, `.env.production*`,
    /// `prisma/.env`, `prisma.config.*`, the schema.
    pub project_files: &'a [(String, Vec<u8>)],
    /// What the end of a service key is compared with.
    pub now: Timestamp,
}

/// A target that passed layers 1 to 3: it says that it is staging, everywhere and without contradiction. Only [`check`]
/// makes one.
#[derive(Debug, Clone)]
pub struct Candidate {
    dsn: Dsn,
    direct: Option<Dsn>,
    shadow: Option<Dsn>,
    supabase: Option<SupabaseApi>,
    project_ref: Option<String>,
    variables: Vec<(String, Secret)>,
    source: Source,
    unforwarded: Vec<String>,
    deny_systems: Vec<String>,
}

impl Candidate {
    pub fn dsn(&self) -> &Dsn {
        &self.dsn
    }

    /// The same database past a pooler, where the target names one.
    pub fn direct(&self) -> Option<&Dsn> {
        self.direct.as_ref()
    }

    /// A database that Prisma may wipe; never the target's.
    pub fn shadow(&self) -> Option<&Dsn> {
        self.shadow.as_ref()
    }

    /// Whether the API is that of the very database: one project, or the local stack. What SQL knows of a table holds for the API then.
    pub fn api_is_of_the_database(&self) -> bool {
        let api = self.supabase.as_ref().map(|api| api.project_ref.as_deref());
        match (policy::home(&self.dsn), api) {
            (Home::Project(project), Some(Some(named))) => project == named,
            (Home::Loopback, Some(None)) => true,
            _ => false,
        }
    }

    pub fn supabase(&self) -> Option<&SupabaseApi> {
        self.supabase.as_ref()
    }

    /// The one Supabase project that the database URL, the API address or the key names.
    pub fn project_ref(&self) -> Option<&str> {
        self.project_ref.as_deref()
    }

    /// The overlay for children: application variables, none of which holds a database URL or belongs to the guard.
    pub fn variables(&self) -> &[(String, Secret)] {
        &self.variables
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Variables that were seen, could move a client, and are not passed on; for the user to know.
    pub fn unforwarded(&self) -> &[String] {
        &self.unforwarded
    }
}

/// What layers 1 and 2 made of the target's variables; `None` also where a variable was refused.
struct Reading {
    dsn: Option<Dsn>,
    direct: Option<Dsn>,
    shadow: Option<Dsn>,
    supabase: Option<SupabaseApi>,
}

/// Layers 1 to 3: form, policy, conflict.
///
/// # Errors
/// Every refusal that can be told from what was declared. A broken policy or env file is reported alone: nothing read
/// from it would mean anything.
pub fn check(declared: &Declared<'_>) -> Result<Candidate, Vec<Refusal>> {
    let policy = declared.policy;
    let mistakes = policy.mistakes();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let given = Given::read(declared)?;
    let mut refusals = given.missing(policy);
    let reading = read(&given, declared, &mut refusals);
    refusals.extend(conflict::check(declared, &given, &reading));
    refusals.extend(project_files::check(declared, &given, &reading));
    match reading.dsn {
        Some(dsn) if refusals.is_empty() => Ok(Candidate {
            project_ref: project_ref(&dsn, reading.supabase.as_ref()),
            dsn,
            direct: reading.direct,
            shadow: reading.shadow,
            supabase: reading.supabase,
            variables: given.overlay(policy),
            unforwarded: given.unforwarded(declared),
            source: given.source,
            deny_systems: policy.deny_systems.clone(),
        }),
        _ => Err(refusals),
    }
}

fn read(given: &Given, declared: &Declared<'_>, refusals: &mut Vec<Refusal>) -> Reading {
    let policy = declared.policy;
    let mut url = |variable: &str| verdict::read_dsn(policy, variable, given.target(variable), refusals);
    let (dsn, direct, shadow) = (url(&policy.url_env), url(&policy.direct_url_env), url(&policy.shadow_url_env));
    let supabase = verdict::read_supabase(policy, given, declared.now, refusals);
    Reading { dsn, direct, shadow, supabase }
}

fn project_ref(dsn: &Dsn, supabase: Option<&SupabaseApi>) -> Option<String> {
    match policy::home(dsn) {
        Home::Project(project) => Some(project),
        _ => supabase.and_then(|api| api.project_ref.clone()),
    }
}
