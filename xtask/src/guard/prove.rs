//! Layer 4: what the server says it is, against what the URL promised and what the claim remembers.
//!
//! A host name is a promise. The server's own account of itself is not proof either (a physical clone keeps its system
//! identifier and its claim), but all of it must fit: any single difference is a refusal. The connection that observes
//! and the connections of the children are tied together by `pin`.

use serde::Serialize;

use crate::error::Refusal;
use pin::dsn::Dsn;

use crate::guard::candidate::Candidate;

/// What the server said on one connection; every name was asked for with `pg_catalog.`.
#[derive(Debug, Clone)]
pub struct Observed {
    pub database: String,
    /// `pg_control_system()`, where the role may call it.
    pub system_identifier: Option<String>,
    pub is_replica: bool,
    pub database_oid: u32,
    /// Where the pin leads to.
    pub address: Option<String>,
    pub claim: Option<Claim>,
}

/// The marker that `claim` left in a database: which database it was left in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub database: String,
    pub database_oid: u32,
    pub system_identifier: Option<String>,
    pub project_ref: Option<String>,
    /// RFC 3339.
    pub claimed_at: String,
    pub claimed_by: String,
    pub address: Option<String>,
    pub origin: Origin,
}

/// Whether a claim's row was written where it is read, by what no dump carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Origin {
    Here,
    Elsewhere,
    /// The claim is of an earlier version, which did not write that down.
    Unknown,
}

/// How much a stage may do to the database. In order: what a greater demand may, a smaller one may too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    ReadOnly,
    /// Adds what was not there: `forward`, `mirror`, `claim`.
    Additive,
    /// Can lose data: `backward`, `reset`, `restore`.
    Destructive,
}

/// What the database's claim is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimStatus {
    Claimed,
    Unclaimed,
    /// The claim was left in another database, of which this one is a copy; the parts that differ.
    Copied(Vec<&'static str>),
    /// Nothing differs, but too little can be known: the claim is of an earlier version, and the system identifier is hidden.
    Unproven,
}

impl ClaimStatus {
    /// As it stands behind the target's name.
    pub fn in_words(&self) -> String {
        match self {
            ClaimStatus::Claimed => "claimed as disposable".to_owned(),
            ClaimStatus::Unclaimed => "unclaimed".to_owned(),
            ClaimStatus::Copied(parts) => {
                format!("with the claim of another database: its {} differs", parts.join(", "))
            }
            ClaimStatus::Unproven => "with a claim that a copy could have, too".to_owned(),
        }
    }
}

/// A database that is provably staging, for as much as was demanded. Only [`prove`] makes one.
#[derive(Debug, Clone)]
pub struct StagingTarget {
    candidate: Candidate,
    observed: Observed,
    standing: ClaimStatus,
}

impl StagingTarget {
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    pub fn dsn(&self) -> &Dsn {
        &self.candidate.dsn
    }

    /// As the candidate's: the first has the ledger.
    pub fn schemas(&self) -> Vec<&str> {
        self.candidate.schemas()
    }

    pub fn schemas_of_reset(&self) -> Vec<&str> {
        self.candidate.schemas_of_reset()
    }

    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    pub fn standing(&self) -> &ClaimStatus {
        &self.standing
    }

    /// What a claim that is read later is worth.
    pub fn standing_of(&self, observed: &Observed) -> ClaimStatus {
        standing(&self.candidate, observed)
    }

    /// True where the database carries a claim of its own; an additive stage says so where it does not.
    pub fn claimed(&self) -> bool {
        self.standing == ClaimStatus::Claimed
    }
}

/// Layer 4.
///
/// # Errors
/// Everything in which the server differs from what `candidate` promised, or falls short of `demand`.
pub fn prove(candidate: Candidate, observed: &Observed, demand: Demand) -> Result<StagingTarget, Vec<Refusal>> {
    let standing = standing(&candidate, observed);
    let checks = [
        other_database(&candidate, observed),
        known_production(&candidate, observed, demand),
        replica(observed, demand),
        unclaimed(&candidate, &standing, demand),
    ];
    let refusals: Vec<Refusal> = checks.into_iter().flatten().collect();
    if refusals.is_empty() {
        Ok(StagingTarget { candidate, observed: observed.clone(), standing })
    } else {
        Err(refusals)
    }
}

fn standing(candidate: &Candidate, observed: &Observed) -> ClaimStatus {
    let Some(claim) = &observed.claim else { return ClaimStatus::Unclaimed };
    let hidden = observed.system_identifier.is_none();
    let is_older = claim.origin == Origin::Unknown;
    let parts = [
        ("database name", claim.database != observed.database),
        ("database oid", claim.database_oid != observed.database_oid),
        ("system identifier", claim.system_identifier != observed.system_identifier),
        ("Supabase project", claim.project_ref != candidate.project_ref),
        ("address", hidden && !is_older && claim.address != observed.address),
        ("row", claim.origin == Origin::Elsewhere),
    ];
    let different: Vec<_> = parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect();
    match different.is_empty() {
        false => ClaimStatus::Copied(different),
        true if hidden && is_older => ClaimStatus::Unproven,
        true => ClaimStatus::Claimed,
    }
}

fn other_database(candidate: &Candidate, observed: &Observed) -> Option<Refusal> {
    let promised = &candidate.dsn.database;
    (observed.database != *promised).then(|| {
        let seen =
            format!("the server says that this is the database `{}`, the URL says `{promised}`", observed.database);
        Refusal::new(
            "server-database",
            seen,
            "find out which pooler or proxy answers under this host, and name the database itself",
        )
    })
}

fn known_production(candidate: &Candidate, observed: &Observed, demand: Demand) -> Option<Refusal> {
    let denied = &candidate.deny_systems;
    match &observed.system_identifier {
        Some(identifier) if denied.contains(identifier) => Some(Refusal::new(
            "server-identity",
            format!("the server's system identifier `{identifier}` is on the deny-list `deny_systems` of drill.toml"),
            "correct the target: this server, or the one that it was copied from, is production",
        )),
        None if !denied.is_empty() && demand > Demand::ReadOnly => Some(Refusal::new(
            "server-identity",
            "the server's system identifier cannot be read, so `deny_systems` cannot be checked",
            "grant execute on function pg_catalog.pg_control_system() to the target's user",
        )),
        _ => None,
    }
}

fn replica(observed: &Observed, demand: Demand) -> Option<Refusal> {
    (observed.is_replica && demand > Demand::ReadOnly).then(|| {
        Refusal::new(
            "server-replica",
            "the server is a replica: it follows another database",
            "name the primary of staging",
        )
    })
}

fn unclaimed(candidate: &Candidate, standing: &ClaimStatus, demand: Demand) -> Option<Refusal> {
    let database = &candidate.dsn.database;
    let seen = match standing {
        _ if demand < Demand::Destructive => return None,
        ClaimStatus::Claimed => return None,
        ClaimStatus::Unclaimed => format!("nothing in the database `{database}` says that it may lose data"),
        ClaimStatus::Copied(parts) => {
            format!("the claim in the database `{database}` was made elsewhere: its {} differs", parts.join(", "))
        }
        ClaimStatus::Unproven => format!(
            "the claim in the database `{database}` is of an earlier version, and with the server's system identifier hidden from this role it \
             cannot be told from a copy's"
        ),
    };
    Some(Refusal::new("claim", seen, format!("if this database is disposable, `claim --confirm {database}` says so")))
}

#[cfg(test)]
pub mod tests {
    use std::borrow::Cow;

    use super::super::corpus::{STAGING, ask};
    use crate::guard::*;

    fn candidate(deny: &[&str]) -> Candidate {
        let mut candidate = ask(None, &[("DATABASE_URL", STAGING)], &[]).expect("staging");
        candidate.deny_systems = deny.iter().map(ToString::to_string).collect();
        candidate
    }

    fn claim() -> Claim {
        Claim {
            database: "hotdash_staging".into(),
            database_oid: 16_384,
            system_identifier: Some("7300000000000000001".into()),
            project_ref: None,
            claimed_at: "2026-11-22T20:00:00Z".into(),
            claimed_by: "hotdash".into(),
            address: Some("10.0.0.1:5432".into()),
            origin: Origin::Here,
        }
    }

    fn observed(claim: Option<Claim>) -> Observed {
        Observed {
            database: "hotdash_staging".into(),
            system_identifier: Some("7300000000000000001".into()),
            is_replica: false,
            database_oid: 16_384,
            address: Some("10.0.0.2:5432".into()),
            claim,
        }
    }

    /// The guard's yes, for tests of what asks for it.
    pub fn proven() -> StagingTarget {
        prove(candidate(&[]), &observed(Some(claim())), Demand::Destructive).unwrap()
    }

    fn checks(observed: &Observed, deny: &[&str], demand: Demand) -> Vec<Cow<'static, str>> {
        let refusals = prove(candidate(deny), observed, demand).map(|_| Vec::new()).unwrap_or_else(|refusals| refusals);
        refusals.into_iter().map(|refusal| refusal.check).collect()
    }

    #[test]
    fn an_unclaimed_database_may_be_added_to_but_not_emptied() {
        let unclaimed = observed(None);
        let proof = prove(candidate(&[]), &unclaimed, Demand::Additive).unwrap();
        assert!(!proof.claimed());
        let refusals = prove(candidate(&[]), &unclaimed, Demand::Destructive).map(|_| ()).expect_err("unclaimed");
        assert_eq!(
            refusals,
            [Refusal::new(
                "claim",
                "nothing in the database `hotdash_staging` says that it may lose data",
                "if this database is disposable, `claim --confirm hotdash_staging` says so",
            )]
        );
    }

    #[test]
    fn a_claim_of_its_own_lets_a_database_be_emptied() {
        let proof = prove(candidate(&["1"]), &observed(Some(claim())), Demand::Destructive).unwrap();
        assert!(proof.claimed());
    }

    #[test]
    fn a_claim_that_came_with_a_copy_does_not_count() {
        for copied in [
            Claim { database: "other_staging".into(), ..claim() },
            Claim { database_oid: 16_385, ..claim() },
            Claim { system_identifier: Some("2".into()), ..claim() },
            Claim { system_identifier: None, ..claim() },
            Claim { project_ref: Some("prodrefabcdefghijklm".into()), ..claim() },
            Claim { origin: Origin::Elsewhere, ..claim() },
        ] {
            let observed = observed(Some(copied));
            assert_eq!(checks(&observed, &[], Demand::Destructive), ["claim"]);
            let proof = prove(candidate(&[]), &observed, Demand::Additive).unwrap();
            assert!(!proof.claimed() && matches!(proof.standing(), ClaimStatus::Copied(parts) if parts.len() == 1));
        }
    }

    #[test]
    fn where_the_system_identifier_is_hidden_the_address_and_the_rows_origin_decide() {
        let hidden = |claim: Claim| Observed { system_identifier: None, ..observed(Some(claim)) };
        let here = Claim { system_identifier: None, address: Some("10.0.0.2:5432".into()), ..claim() };
        let of = |claim: Claim| prove(candidate(&[]), &hidden(claim), Demand::Additive).unwrap().standing().clone();
        assert_eq!(of(here.clone()), ClaimStatus::Claimed);
        assert_eq!(of(Claim { system_identifier: None, ..claim() }), ClaimStatus::Copied(vec!["address"]));
        assert_eq!(of(Claim { origin: Origin::Elsewhere, ..here.clone() }), ClaimStatus::Copied(vec!["row"]));
        let older = Claim { origin: Origin::Unknown, address: None, ..here };
        assert_eq!(of(older.clone()), ClaimStatus::Unproven);
        assert_eq!(checks(&hidden(older.clone()), &[], Demand::Destructive), ["claim"]);
        let readable = Claim { system_identifier: claim().system_identifier, ..older };
        assert_eq!(
            checks(&observed(Some(readable)), &[], Demand::Destructive),
            [""; 0],
            "an earlier claim still counts"
        );
    }

    #[test]
    fn a_server_that_calls_itself_otherwise_is_refused_for_any_demand() {
        let other = Observed { database: "hotdash".into(), ..observed(Some(claim())) };
        assert_eq!(checks(&other, &[], Demand::ReadOnly), ["server-database"]);
        assert_eq!(checks(&observed(Some(claim())), &["7300000000000000001"], Demand::ReadOnly), ["server-identity"]);
    }

    #[test]
    fn an_identity_that_cannot_be_read_passes_no_deny_list() {
        let hidden = Observed { system_identifier: None, ..observed(None) };
        assert_eq!(checks(&hidden, &["1"], Demand::Additive), ["server-identity"]);
        assert_eq!(checks(&hidden, &[], Demand::Additive), [""; 0]);
    }

    #[test]
    fn a_replica_is_only_read() {
        let replica = Observed { is_replica: true, ..observed(Some(claim())) };
        assert_eq!(checks(&replica, &[], Demand::Additive), ["server-replica"]);
        assert_eq!(checks(&replica, &[], Demand::ReadOnly), [""; 0]);
    }
}
