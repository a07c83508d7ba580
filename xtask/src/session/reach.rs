//! The way to a target's server, and its own words about itself: one login that proves it, or the known cause why there is none.

use std::sync::mpsc::channel;

use crate::causes::{Cause, network};
use crate::error::{Failure, Refusal, Result};
use crate::guard::{self, Candidate, Source};
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::postgres::causes::{self, Whose};
use crate::postgres::connection::Connection;
use crate::postgres::identity::{Identity, identity};
use crate::settings::{PrismaSettings, Settings};
use pin::dsn::Dsn;
use pin::{Lease, Pin, PinError, Unanswered, Urgency};

/// Our sessions in `pg_stat_activity`.
pub const NAME: &str = "staging drill";

pub struct Reached {
    pub pin: Pin,
    /// Our own way through it.
    pub lease: Lease,
    pub connection: Connection,
    pub identity: Identity,
}

impl Reached {
    /// # Errors
    /// `blocked` when the server cannot be reached, `refused` when its address is production's.
    pub fn new(settings: &Settings, interrupt: &Interrupt, candidate: &Candidate) -> Result<Reached> {
        let dsn = candidate.dsn();
        not_a_transaction_pooler(settings, candidate)?;
        let pin = open(settings, interrupt, candidate).map_err(|error| refused(settings, candidate, error))?;
        let lease = pin.own_token(NAME);
        let mut connection = Connection::open(&lease.driver_url(&dsn.database), NAME, settings.timeouts.query)?;
        let identity = Identity { address: Some(pin.address()), ..identity(&mut connection)? };
        Ok(Reached { pin, lease, connection, identity })
    }
}

/// One full login, and the door to whom it leads.
///
/// # Errors
/// Why there is no way in.
pub fn open(settings: &Settings, interrupt: &Interrupt, candidate: &Candidate) -> Result<Pin, PinError> {
    let options = pin::Options {
        ca_file: settings.target.ca_file.clone(),
        connect_timeout: settings.timeouts.connect,
        silence: settings.timeouts.silence,
        urgency: urgency(interrupt),
        elsewhere: candidate.production_names().to_vec(),
    };
    Pin::open(candidate.dsn(), options)
}

/// The failure that `error` is to a run.
pub fn refused(settings: &Settings, candidate: &Candidate, error: PinError) -> Failure {
    let dsn = candidate.dsn();
    if let PinError::Shared { host, .. } = &error {
        return shared_with_production(settings, host, dsn);
    }
    let hint = hint(settings, candidate, &error);
    Failure::blocked(format!("cannot connect to `{}` on {}:{}", dsn.database, dsn.host, dsn.port))
        .caused_by(error)
        .hint(hint)
}

/// Tells the pin of every signal, also of one that has come before.
fn urgency(interrupt: &Interrupt) -> Urgency {
    let (urgency, (wake, woken)) = (Urgency::default(), channel());
    let (told, asked) = (urgency.clone(), interrupt.clone());
    interrupt.wakes(wake);
    urgency.raise(interrupt.count());
    std::thread::spawn(move || woken.iter().for_each(|()| told.raise(asked.count())));
    urgency
}

/// Locks and prepared statements do not hold in a pooler's transaction mode.
///
/// # Errors
/// `blocked` where the URL leads there.
pub fn not_a_transaction_pooler(settings: &Settings, candidate: &Candidate) -> Result<()> {
    let dsn = candidate.dsn();
    let Some(session) = guard::instead_of_pooler(dsn) else { return Ok(()) };
    Err(Failure::blocked(format!("{}:{} is a transaction pooler, and migrations need a session", dsn.host, dsn.port))
        .hint(needs_a_session(settings, candidate, &session)))
}

/// What to name instead of a pooler in transaction mode.
pub fn needs_a_session(settings: &Settings, candidate: &Candidate, session: &str) -> Hint {
    network::POOLER_TRANSACTION_MODE.hint(&[("source", &source(settings, candidate)), ("session", session)])
}

fn shared_with_production(settings: &Settings, host: &str, dsn: &Dsn) -> Failure {
    let seen = format!(
        "`{host}`, which a production file names with the database `{}`, is the address of `{}`",
        dsn.database, dsn.host
    );
    let hint = network::SHARED_WITH_PRODUCTION.hint(&[]);
    let fix = hint.advice().unwrap_or_default().to_owned();
    Failure::refused(&settings.target.name, vec![Refusal::new("production-file", seen, fix)]).hint(hint)
}

/// Where the URL is written, for who has to change it.
pub fn source(settings: &Settings, candidate: &Candidate) -> String {
    let PrismaSettings { url_env, direct_url_env, .. } = &settings.prisma;
    let name = if candidate.pooled().is_some() { direct_url_env } else { url_env };
    match candidate.source() {
        Source::EnvFile(file) => format!("`{name}` of `{file}`"),
        Source::Process => format!("the exported `{name}`"),
    }
}

/// What to do about each way in which there is no way in.
pub fn hint(settings: &Settings, candidate: &Candidate, error: &PinError) -> Hint {
    let dsn = candidate.dsn();
    if let PinError::TooManyConnections { message } = error
        && message.to_lowercase().contains("clients reached")
    {
        return "close other clients of the pooler, or raise the size of its pool".into();
    }
    if matches!(error, PinError::Refused { .. }) && settings.target.local_stack.is_some() {
        return Hint::shell("npx supabase start");
    }
    let Some(cause) = cause(error) else {
        return match error {
            PinError::TooManyConnections { message } => by_sqlstate("53300", message),
            PinError::ServerError { sqlstate, message } => by_sqlstate(sqlstate, message),
            _ => Hint::run("env check"),
        };
    };
    let (port, address) = (dsn.port.to_string(), format!("{}:{}", dsn.host, dsn.port));
    let user =
        candidate.project_ref().map_or_else(|| "postgres.<ref>".to_owned(), |project| format!("postgres.{project}"));
    let user = if matches!(error, PinError::RoleDenied { .. }) { dsn.user.clone() } else { user };
    let values = [
        ("source", source(settings, candidate)),
        ("port", port),
        ("address", address),
        ("user", user),
        ("target", settings.target.name.clone()),
    ];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    cause.hint(&values)
}

/// None where it is the server's own SQLSTATE that says it.
pub fn cause(error: &PinError) -> Option<&'static Cause> {
    Some(match error {
        PinError::Unresolvable { .. } => &network::HOST_UNRESOLVED,
        PinError::Refused { .. } => &network::PORT_REFUSED,
        PinError::TimedOut { what: Unanswered::Connecting, .. } => &network::PORT_SILENT,
        PinError::TimedOut { .. } => &network::SERVER_HANGS,
        PinError::Unreachable { .. } => &network::UNREACHABLE,
        PinError::Ipv6Only { .. } => &network::IPV6_ONLY,
        PinError::NotPostgres { .. } => &network::NOT_POSTGRES,
        PinError::TenantNotFound { .. } => &network::TENANT_NOT_FOUND,
        PinError::PasswordRejected { .. } => &network::WRONG_PASSWORD,
        PinError::PasswordMissing => &network::PASSWORD_MISSING,
        PinError::CleartextRefused => &network::CLEARTEXT_PASSWORD,
        PinError::BindingMissing => &network::BINDING_MISSING,
        PinError::UnsupportedAuthentication { .. } => &network::UNSUPPORTED_LOGIN,
        PinError::RoleDenied { .. } => &network::ROLE_DENIED,
        PinError::DatabaseMissing { .. } => &network::DATABASE_MISSING,
        PinError::OtherDatabase { .. } => &network::OTHER_DATABASE,
        PinError::TlsRequiredButNotOffered => &network::TLS_NOT_OFFERED,
        PinError::TlsRequiredByServer { .. } => &network::TLS_REQUIRED,
        PinError::TlsFailed { .. } => &network::TLS_FAILED,
        PinError::CertificateRejected { .. } => &network::CERTIFICATE_REJECTED,
        PinError::CaFile { .. } => &network::CA_FILE,
        PinError::Shared { .. } => &network::SHARED_WITH_PRODUCTION,
        PinError::Protocol { .. } => &network::CONNECTION_LOST,
        PinError::TooManyConnections { .. }
        | PinError::ServerError { .. }
        | PinError::Local { .. }
        | PinError::Stopped => return None,
    })
}

fn by_sqlstate(sqlstate: &str, message: &str) -> Hint {
    causes::fix(sqlstate, message, Whose::Ours).unwrap_or_else(|| Hint::run("env check"))
}
