//! What was declared about a target, and what layers 1 to 3 make of it.

use redact::Secret;

use crate::guard::policy::{self, Home};
use crate::guard::source::Source;
use crate::guard::supabase::SupabaseApi;
use pin::dsn::Dsn;

/// A target that passed layers 1 to 3: it says that it is staging, everywhere and without contradiction. Only `guard::check`
/// makes one.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub(super) dsn: Dsn,
    pub(super) direct: Option<Dsn>,
    pub(super) pooled: Option<Dsn>,
    pub(super) without_effect: Vec<String>,
    pub(super) shadow: Option<Dsn>,
    pub(super) supabase: Option<SupabaseApi>,
    pub(super) project_ref: Option<String>,
    pub(super) listed_schemas: Vec<String>,
    pub(super) variables: Vec<(String, Secret)>,
    pub(super) source: Source,
    pub(super) unforwarded: Vec<String>,
    pub(super) deny_systems: Vec<String>,
    pub(super) production_names: Vec<String>,
}

impl Candidate {
    pub fn dsn(&self) -> &Dsn {
        &self.dsn
    }

    /// The same database past a pooler, where the target names one.
    pub fn direct(&self) -> Option<&Dsn> {
        self.direct.as_ref()
    }

    /// The pooler in transaction mode that the URL leads to, where the direct URL stands in for it.
    pub fn pooled(&self) -> Option<&Dsn> {
        self.pooled.as_ref()
    }

    /// Parameters of the URL that change nothing here, and reach no child; for the user to know.
    pub fn without_effect(&self) -> &[String] {
        &self.without_effect
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

    /// The schemas that are the project's: that of the URL, which holds the ledger, and then what Prisma's `schemas` lists.
    pub fn schemas(&self) -> Vec<&str> {
        let own = self.dsn.schema.as_str();
        std::iter::once(own).chain(self.listed_schemas.iter().map(String::as_str).filter(|name| *name != own)).collect()
    }

    /// Those that Prisma's reset drops: what is listed, else that of the URL.
    pub fn schemas_of_reset(&self) -> Vec<&str> {
        match self.listed_schemas.is_empty() {
            true => vec![&self.dsn.schema],
            false => self.listed_schemas.iter().map(String::as_str).collect(),
        }
    }

    /// The overlay for children: application variables, none of which holds a database URL or belongs to the guard.
    pub fn variables(&self) -> &[(String, Secret)] {
        &self.variables
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Host names under which a production file names a database as the target does: none may lead to the target's address.
    pub fn production_names(&self) -> &[String] {
        &self.production_names
    }

    /// Variables that were seen, could move a client, and are not passed on; for the user to know.
    pub fn unforwarded(&self) -> &[String] {
        &self.unforwarded
    }
}

/// What layers 1 and 2 made of the target's variables; `None` also where a variable was refused.
#[derive(Clone)]
pub struct Reading {
    pub(super) dsn: Option<Dsn>,
    pub(super) direct: Option<Dsn>,
    pub(super) shadow: Option<Dsn>,
    pub(super) supabase: Option<SupabaseApi>,
}

impl Reading {
    /// With the direct URL in the place of one that leads to a pooler in transaction mode, as Supabase's page for Prisma gives the two; and that
    /// pooler. A direct URL of another schema would be another history.
    pub fn over_direct(&self) -> (Reading, Option<Dsn>) {
        let stands_in = |dsn: &&Dsn| {
            policy::is_transaction_pooler(dsn)
                && self
                    .direct
                    .as_ref()
                    .is_some_and(|direct| direct.schema == dsn.schema && !policy::is_transaction_pooler(direct))
        };
        match self.dsn.as_ref().filter(stands_in) {
            Some(pooled) => (Reading { dsn: self.direct.clone(), ..self.clone() }, Some(pooled.clone())),
            None => (self.clone(), None),
        }
    }
}

/// The one Supabase project that both name.
pub fn project_ref(dsn: &Dsn, supabase: Option<&SupabaseApi>) -> Option<String> {
    match policy::home(dsn) {
        Home::Project(project) => Some(project),
        _ => supabase.and_then(|api| api.project_ref.clone()),
    }
}
