//! The guard: nothing is touched that is not provably staging.
//!
//! Layers, cheapest first. [`check`] is layers 1 to 3 (form, policy, conflict): pure and total, from what was declared
//! to a [`Candidate`] or to all refusals at once. [`prove`] is layer 4: it compares the candidate with what the server
//! said about itself and makes the [`StagingTarget`] that everything that changes a database asks for (but for one that
//! the run itself has made). Neither can be made anywhere else, so code that forgets the guard does not compile.
//!
//! No part of the guard reads the environment, a file or the clock, spawns, or prints: its callers hand it what they
//! read. No refusal ever holds a secret.

mod candidate;
mod conflict;
mod declared;
pub mod env_matrix;
mod environment;
mod form;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod host_entry;
pub mod input;
mod mistakes;
pub mod pattern;
mod policy;
pub mod prisma_schema;
mod production_file;
mod project_files;
mod prove;
mod providers;
mod source;
mod supabase;
mod verdict;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod provider_urls;

use crate::error::Refusal;

pub use candidate::Candidate;
pub use declared::Declared;
pub use environment::forwarded_markers;
pub use policy::{Policy, is_transaction_pooler};
#[cfg(test)]
pub use prove::tests::proven;
pub use prove::{Claim, ClaimStatus, Demand, Observed, Origin, StagingTarget, prove};
pub use providers::instead_of_pooler;
pub use source::{Source, target_variables};
pub use supabase::{KeyKind, SupabaseApi};

use candidate::{Reading, project_ref};
use source::Given;

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
    refusals.extend(production_file::check(declared, &reading));
    let (reading, pooled) = reading.over_direct();
    if pooled.is_some() {
        refusals.extend(production_file::check(declared, &reading));
    }
    refusals.extend(project_files::check(declared, &given));
    let schema = project_files::schema(declared).map_err(|unread| refusals.push(unread)).unwrap_or_default();
    let datasource = schema.datasource.unwrap_or_default();
    refusals.extend(project_files::check_datasource(policy, &datasource));
    match reading.dsn {
        Some(dsn) if refusals.is_empty() => Ok(Candidate {
            without_effect: without_effect(
                &given,
                if pooled.is_some() { &policy.direct_url_env } else { &policy.url_env },
            ),
            project_ref: project_ref(&dsn, reading.supabase.as_ref()),
            listed_schemas: datasource.schemas,
            production_names: production_file::other_names(declared, &dsn),
            dsn,
            direct: reading.direct,
            pooled,
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

fn without_effect(given: &Given, variable: &str) -> Vec<String> {
    given.target(variable).ok().flatten().map(form::without_effect).unwrap_or_default()
}

fn read(given: &Given, declared: &Declared<'_>, refusals: &mut Vec<Refusal>) -> Reading {
    let policy = declared.policy;
    let mut url = |variable: &str| verdict::read_dsn(policy, variable, given.target(variable), refusals);
    let (dsn, direct, shadow) = (url(&policy.url_env), url(&policy.direct_url_env), url(&policy.shadow_url_env));
    let supabase = verdict::read_supabase(policy, given, declared.now, refusals);
    Reading { dsn, direct, shadow, supabase }
}
