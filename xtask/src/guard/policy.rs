//! The whole policy: an allow-list. Nothing is staging because it looks harmless; a place is staging because
//! `drill.toml` names its host or its Supabase project, and its database. Texts of refusals are in `verdict`, patterns
//! in `pattern`.

use pin::dsn::{Dsn, Host};

use crate::guard::host_entry::HostEntry;
use crate::guard::pattern::Value::{self, Identifier, Label, Number, OneOf};
use crate::guard::pattern::{MAINTENANCE, database_matches, is_identifier, is_number, is_project_ref};
use crate::guard::providers::{self, is_supabase_host};
use crate::settings;

/// The parameters a URL may carry, once each, and what each value may be. Nothing here names an address, a role or a
/// setting of the server; no value needs escaping, so every client reads the same text.
pub const PARAMETERS: [(&str, Value); 11] = [
    ("sslmode", OneOf(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])),
    ("schema", Identifier), // and one of `allow_schemas`: `prisma migrate reset` drops it
    ("connection_limit", Number),
    ("pool_timeout", Number),
    ("connect_timeout", Number),
    ("socket_timeout", Number),
    ("statement_cache_size", Number),
    ("pgbouncer", OneOf(&["true", "false"])),
    ("application_name", Label),
    ("sslaccept", OneOf(&["strict", "accept_invalid_certs"])),
    ("channel_binding", OneOf(&["require", "prefer"])),
];

/// Parameters that a URL may carry and that change nothing here, by the values for which that is so: a provider or a driver asks for them, and
/// the drill does what they say in any case, or never does what they concern. They are told, and reach no child.
pub const WITHOUT_EFFECT: [(&str, Value); 6] = [
    // A primary is asked for by the guard itself.
    ("target_session_attrs", OneOf(&["any", "read-write", "primary"])),
    // Both ways of asking for TLS end in the same session; PlanetScale's URLs name the newer one.
    ("sslnegotiation", OneOf(&["postgres", "direct"])),
    ("gssencmode", OneOf(&["disable", "prefer"])),
    // node-postgres: `sslmode` as libpq means it, as it is meant here.
    ("uselibpqcompat", OneOf(&["true"])),
    // Vercel's integrations of Supabase say which of them wrote the URL.
    ("supa", Label),
    ("workaround", OneOf(&["supabase-pooler.vercel"])),
];

/// Where a target lives, as far as its URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    Loopback,
    Host,
    Project(String),
    /// A Supabase host that does not say, in the one way we accept, which project answers.
    UnknownProject,
}

/// What `drill.toml` says about one target; plain data, checked by [`Policy::mistakes`].
#[derive(Debug, Clone)]
pub struct Policy {
    pub target: String,
    /// `[user@]host[:port]`, where the host is a name, `*.suffix`, or an address (`127.0.0.1` stands for 127.0.0.0/8).
    pub allow_hosts: Vec<String>,
    pub allow_projects: Vec<String>,
    /// Names, or `*_suffix`.
    pub allow_databases: Vec<String>,
    pub allow_schemas: Vec<String>,
    /// System identifiers of production servers (`pg_control_system()`): never touched, whatever else fits.
    pub deny_systems: Vec<String>,
    pub url_env: String,
    pub direct_url_env: String,
    pub shadow_url_env: String,
    /// The address of Supabase's REST API, and the key it is asked with.
    pub api_url_env: String,
    pub api_key_env: String,
    /// What children get from the process environment where there is no env file.
    pub application_variables: Vec<String>,
}

impl Policy {
    /// Allows nothing yet; the names are Prisma's own.
    pub fn new(target: impl Into<String>) -> Self {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Policy {
            target: target.into(),
            allow_hosts: Vec::new(),
            allow_projects: Vec::new(),
            allow_databases: list(&["*_staging", "*_test", "*_sandbox"]),
            allow_schemas: list(&["public"]),
            deny_systems: Vec::new(),
            url_env: "DATABASE_URL".into(),
            direct_url_env: "DIRECT_URL".into(),
            shadow_url_env: "SHADOW_DATABASE_URL".into(),
            api_url_env: settings::API_URL.into(),
            api_key_env: settings::API_KEY.into(),
            application_variables: Vec::new(),
        }
    }

    pub fn allows_home(&self, dsn: &Dsn) -> bool {
        match home(dsn) {
            Home::Project(project) => self.allows_project(&project),
            Home::UnknownProject => false,
            Home::Loopback | Home::Host => self.entries_for(dsn).next().is_some(),
        }
    }

    fn entries_for(&self, dsn: &Dsn) -> impl Iterator<Item = HostEntry<'_>> {
        self.allow_hosts.iter().filter_map(|entry| HostEntry::read(entry)).filter(|entry| entry.matches(dsn))
    }

    pub fn allows_project(&self, project: &str) -> bool {
        is_project_ref(project) && self.allow_projects.iter().any(|allowed| allowed == project)
    }

    /// `postgres` is on every server, so there it is the server that decides: a Supabase project, or one that is listed as `postgres` is, too.
    pub fn allows_database(&self, dsn: &Dsn) -> bool {
        if dsn.database != "postgres" {
            return self.allows_disposable(&dsn.database);
        }
        match home(dsn) {
            Home::Project(_) | Home::UnknownProject => true,
            Home::Loopback | Home::Host => {
                self.lists("postgres") && self.entries_for(dsn).any(|entry| entry.is_of_one_server())
            }
        }
    }

    /// The rule for what may be wiped as a whole, as a shadow database is.
    pub fn allows_disposable(&self, database: &str) -> bool {
        !MAINTENANCE.contains(&database) && self.lists(database)
    }

    fn lists(&self, database: &str) -> bool {
        self.allow_databases.iter().any(|pattern| database_matches(pattern, database))
    }

    pub fn allows_schema(&self, schema: &str) -> bool {
        self.allow_schemas.iter().any(|allowed| allowed == schema)
    }
}

/// Where `dsn` leads. Supabase's direct hosts name their project; its pooler's hosts are shared by all projects of a
/// region, and only the part of the user name after the dot says which one answers.
pub fn home(dsn: &Dsn) -> Home {
    let name = match &dsn.host {
        host if host.is_loopback() => return Home::Loopback,
        Host::Name(name) if is_supabase_host(name) => name,
        _ => return Home::Host,
    };
    let direct = name.strip_prefix("db.").and_then(|rest| rest.strip_suffix(".supabase.co"));
    let of_user = dsn.user.split_once('.');
    let project = match (direct, of_user) {
        _ if !matches!(dsn.port, 5432 | 6543) => None,
        (Some(project), None) => Some(project),
        (Some(project), Some((_, same))) => (project == same).then_some(project),
        (None, Some((role, project))) => (is_pooler(name) && is_identifier(role)).then_some(project),
        (None, None) => None,
    };
    match project {
        Some(project) if is_project_ref(project) => Home::Project(project.into()),
        _ => Home::UnknownProject,
    }
}

/// Whether each transaction may get another session there: a provider's pooler by its address, or any that the URL calls so. Prisma hangs or
/// fails there in ways that do not say so (prisma#22779, #24562).
pub fn is_transaction_pooler(dsn: &Dsn) -> bool {
    providers::is_transaction_pooler(dsn) || dsn.parameters.get("pgbouncer").is_some_and(|value| value == "true")
}

/// `aws-<n>-<region>.pooler.supabase.com`
fn is_pooler(name: &str) -> bool {
    let place = name.strip_suffix(".pooler.supabase.com").and_then(|name| name.strip_prefix("aws-"));
    let parts = place.and_then(|place| place.split_once('-'));
    parts.is_some_and(|(number, region)| is_number(number) && !region.is_empty() && !region.contains('.'))
}
