//! What the common hosts of Postgres do alike for all their customers: under which names they answer, what tells one customer's database
//! from another's there, and where their poolers are.
//!
//! From the providers' own pages on connecting, as of November 2026: neon.com/docs/connect, prisma.io/docs/postgres/database,
//! planetscale.com/docs/postgres/connecting, docs.railway.com (TCP proxy), fly.io/docs/mpg, docs.crunchybridge.com, and for the rest
//! the host names that their consoles show.

use pin::dsn::{Dsn, Host};

/// What decides on a provider's host which customer's database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldApartBy {
    /// The host is one server's, or one customer's.
    Host,
    /// A proxy reads the tenant from the user name.
    User,
    /// A proxy has a port for each tenant.
    Port,
}

/// Where a provider's pooler hands out another session for each transaction.
#[derive(Debug, Clone, Copy)]
enum Pooler {
    None,
    Port(u16),
    /// The first label of the host ends so.
    Label(&'static str),
}

pub struct Provider {
    pub name: &'static str,
    /// Everybody's databases are below it.
    domain: &'static str,
    pub told_apart_by: ToldApartBy,
    pooler: Pooler,
}

const fn provider(name: &'static str, domain: &'static str, told_apart_by: ToldApartBy, pooler: Pooler) -> Provider {
    Provider { name, domain, told_apart_by, pooler }
}

const PROVIDERS: [Provider; 23] = [
    provider("Neon", "neon.tech", ToldApartBy::Host, Pooler::Label("-pooler")),
    provider("Neon", "neon.build", ToldApartBy::Host, Pooler::Label("-pooler")),
    provider("Prisma Postgres", "prisma.io", ToldApartBy::User, Pooler::Label("pooled")),
    provider("Prisma Postgres", "prisma-data.net", ToldApartBy::User, Pooler::None),
    provider("PlanetScale", "psdb.cloud", ToldApartBy::User, Pooler::Port(6432)),
    provider("Railway", "rlwy.net", ToldApartBy::Port, Pooler::None),
    provider("Railway", "railway.app", ToldApartBy::Port, Pooler::None),
    provider("Railway", "railway.internal", ToldApartBy::Host, Pooler::None),
    provider("AWS", "amazonaws.com", ToldApartBy::Host, Pooler::None),
    provider("AWS", "amazonaws.com.cn", ToldApartBy::Host, Pooler::None),
    provider("AWS", "on.aws", ToldApartBy::Host, Pooler::None),
    provider("Azure", "database.azure.com", ToldApartBy::Host, Pooler::Port(6432)),
    provider("Azure", "cosmos.azure.com", ToldApartBy::Host, Pooler::Port(6432)),
    provider("Aiven", "aivencloud.com", ToldApartBy::Host, Pooler::None),
    provider("DigitalOcean", "ondigitalocean.com", ToldApartBy::Host, Pooler::None),
    provider("Crunchy Bridge", "postgresbridge.com", ToldApartBy::Host, Pooler::Port(5431)),
    provider("Tiger Cloud", "timescale.com", ToldApartBy::Host, Pooler::None),
    provider("Render", "render.com", ToldApartBy::Host, Pooler::None),
    provider("Fly", "flympg.net", ToldApartBy::Host, Pooler::Label("pgbouncer")),
    provider("Fly", "flycast", ToldApartBy::Host, Pooler::None),
    provider("Fly", "fly.dev", ToldApartBy::Host, Pooler::None),
    provider("Vercel", "vercel-storage.com", ToldApartBy::Host, Pooler::Label("-pooler")),
    // Its projects are told apart by `policy::home`.
    provider("Supabase", "supabase.com", ToldApartBy::Host, Pooler::Port(6543)),
];

/// Domains whose hosts only `allow_projects` can allow, whatever `allow_hosts` says.
const SUPABASE_DOMAINS: [&str; 4] = ["supabase.co", "supabase.com", "supabase.in", "supabase.net"];

impl Provider {
    fn has(&self, host: &str) -> bool {
        host.strip_suffix(self.domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// By its address alone, whatever the URL says of it.
    fn pools_transactions(&self, host: &str, port: u16) -> bool {
        match self.pooler {
            Pooler::None => false,
            Pooler::Port(pooled) => port == pooled,
            Pooler::Label(end) => host.split('.').next().is_some_and(|label| label.ends_with(end)),
        }
    }
}

/// The provider to whom `host` belongs, or the fixed part of a pattern.
pub fn of_host(host: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.has(host))
}

/// What tells databases apart where `dsn` leads.
pub fn told_apart_by(host: &Host) -> ToldApartBy {
    let Host::Name(name) = host else { return ToldApartBy::Host };
    of_host(name).map_or(ToldApartBy::Host, |provider| provider.told_apart_by)
}

/// Whether a provider's pooler answers there that gives each transaction another session.
pub fn is_transaction_pooler(dsn: &Dsn) -> bool {
    let Host::Name(name) = &dsn.host else { return false };
    of_host(name).is_some_and(|provider| provider.pools_transactions(name, dsn.port))
}

/// What to write instead of the address of such a pooler.
pub fn instead_of_pooler(dsn: &Dsn) -> Option<String> {
    let Host::Name(name) = &dsn.host else { return None };
    let provider = of_host(name).filter(|provider| provider.pools_transactions(name, dsn.port))?;
    Some(match (provider.pooler, name.split_once('.')) {
        (Pooler::Label("-pooler"), Some((label, rest))) => format!("`{}.{rest}`", label.trim_end_matches("-pooler")),
        (Pooler::Label("pooled"), Some((_, rest))) => format!("`{rest}`"),
        (Pooler::Label("pgbouncer"), Some((_, rest))) => format!("`direct.{rest}`"),
        _ if provider.name == "Supabase" => "port 5432 of the same host: its session pooler".to_owned(),
        _ => "port 5432 of the same host".to_owned(),
    })
}

/// Neon's proxy takes the endpoint from the host's first label, or from `options=endpoint=…` where a client names no host in its handshake.
pub fn neon_endpoint(host: &Host) -> Option<&str> {
    let Host::Name(name) = host else { return None };
    of_host(name).filter(|provider| provider.name == "Neon")?;
    let label = name.split('.').next()?;
    Some(label.strip_suffix("-pooler").unwrap_or(label))
}

/// True for a host, or for the fixed part of a pattern, that belongs to Supabase's shared domains.
pub fn is_supabase_host(name: &str) -> bool {
    let within = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    SUPABASE_DOMAINS.iter().any(|domain| within(domain))
}
