//! Why there is no count over REST: one cause for each fix (docs/parity.md has them as a table, `causes::rest` what to do).

use jiff::SignedDuration;
use redact::Redactor;

use crate::causes::{self, rest as known};
use crate::error::{Failure, Status};

/// No count: the cause, and what the server or the system said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    pub cause: Cause,
    /// One line, cut short; empty where nothing was said. Masked before it leaves the client.
    pub said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("there is no address of a REST API to ask")]
    NoAddress,
    #[error("there is no key to ask the REST API with")]
    NoKey,
    #[error("the REST API is plain HTTP, and its host is not this machine")]
    NotLoopback,
    #[error("a column cannot be asked for over REST: PostgREST reads its name as something else")]
    Unaskable,

    #[error("the REST API cannot be reached")]
    Unreachable,
    #[error("the REST API did not answer in time")]
    TimedOut,
    #[error("the connection to the REST API was lost, again and again")]
    Lost,
    #[error("the certificate of the REST API is not trusted")]
    NotTrusted,
    #[error("the REST API answered with a redirect, which was not followed")]
    Redirected,
    #[error("something other than PostgREST answered in the place of the REST API")]
    NotPostgrest,
    #[error("the answer of the REST API holds no exact count")]
    NoCount,
    #[error("this machine's clock and the server's are not the same")]
    ClockOff,

    #[error("the mirror's table is missing")]
    TableMissing,
    #[error("the REST API does not know the mirror's table, and its database is not the target's")]
    UnknownTable,
    #[error("the mirror's table is there, but the REST API has not seen it: its schema cache is stale")]
    StaleCache,
    #[error("the REST API does not expose the target's schema")]
    SchemaNotExposed,
    #[error("the REST API does not accept the key")]
    KeyRejected,
    #[error("the REST API says that the key is not valid at this time")]
    KeyTime,
    #[error("the service role may not read the mirror's table")]
    NotPermitted,
    #[error("row security hides rows of the mirror from the service role, so no count over REST means anything")]
    RowSecurity,
    #[error("the database stopped the count over REST: it took longer than the API's statement timeout")]
    StatementTimeout,

    #[error("the Supabase project is paused")]
    Paused,
    #[error("the Supabase project does not answer: asleep, starting or unwell")]
    Asleep,
    #[error("the Supabase project is restricted")]
    Restricted,
    #[error("the REST API is asked too often")]
    Busy,
    #[error("the REST API refused the question")]
    Rejected,
    #[error("stopped by a signal")]
    Stopped(Status),
}

impl Cause {
    /// The word for programs: `reason` in `parity.json`. `supabase.facts_table_missing` is the old probe's.
    pub fn reason(self) -> &'static str {
        match self {
            Cause::NoAddress => "supabase.no_address",
            Cause::NoKey => "supabase.no_key",
            Cause::NotLoopback => "supabase.not_loopback",
            Cause::Unaskable => "supabase.unaskable_column",
            Cause::Unreachable => "supabase.unreachable",
            Cause::TimedOut => "supabase.timeout",
            Cause::Lost => "supabase.connection_lost",
            Cause::NotTrusted => "supabase.certificate_not_trusted",
            Cause::Redirected => "supabase.redirected",
            Cause::NotPostgrest => "supabase.not_postgrest",
            Cause::NoCount => "supabase.no_exact_count",
            Cause::ClockOff => "supabase.clock_off",
            Cause::TableMissing => "supabase.facts_table_missing",
            Cause::UnknownTable => "supabase.facts_table_unknown",
            Cause::StaleCache => "supabase.schema_cache_stale",
            Cause::SchemaNotExposed => "supabase.schema_not_exposed",
            Cause::KeyRejected => "supabase.key_rejected",
            Cause::KeyTime => "supabase.key_not_valid_now",
            Cause::NotPermitted => "supabase.permission_denied",
            Cause::RowSecurity => "supabase.row_security",
            Cause::StatementTimeout => "supabase.statement_timeout",
            Cause::Paused => "supabase.project_paused",
            Cause::Asleep => "supabase.project_asleep",
            Cause::Restricted => "supabase.project_restricted",
            Cause::Busy => "supabase.rate_limited",
            Cause::Rejected => "supabase.request_rejected",
            Cause::Stopped(_) => "interrupted",
        }
    }

    /// Its page, which says what to do.
    pub fn known(self) -> &'static causes::Cause {
        match self {
            Cause::NoAddress => &known::NO_ADDRESS,
            Cause::NoKey => &known::NO_KEY,
            Cause::NotLoopback => &known::NOT_LOOPBACK,
            Cause::Unaskable => &known::UNASKABLE,
            Cause::Unreachable => &known::UNREACHABLE,
            Cause::TimedOut => &known::TIMED_OUT,
            Cause::Lost => &known::LOST,
            Cause::NotTrusted | Cause::Redirected | Cause::NotPostgrest | Cause::NoCount => &known::IN_BETWEEN,
            Cause::ClockOff => &crate::causes::machine::CLOCK_OFF,
            Cause::TableMissing => &known::TABLE_MISSING,
            Cause::UnknownTable => &known::UNKNOWN_TABLE,
            Cause::StaleCache => &known::STALE_CACHE,
            Cause::SchemaNotExposed => &known::SCHEMA_NOT_EXPOSED,
            Cause::KeyRejected => &known::KEY_REJECTED,
            Cause::KeyTime => &known::KEY_TIME,
            Cause::NotPermitted => &known::NOT_PERMITTED,
            Cause::RowSecurity => &known::ROW_SECURITY,
            Cause::StatementTimeout => &known::STATEMENT_TIMEOUT,
            Cause::Paused => &known::PAUSED,
            Cause::Asleep => &known::ASLEEP,
            Cause::Restricted => &known::RESTRICTED,
            Cause::Busy => &known::BUSY,
            Cause::Rejected | Cause::Stopped(_) => &known::REJECTED,
        }
    }

    /// What else there is to know.
    fn note(self) -> Option<&'static str> {
        match self {
            Cause::NotPermitted => Some("the script grants the table to `service_role` again"),
            Cause::StatementTimeout => Some("the script makes the indexes; SQL can count too"),
            Cause::NoAddress => Some("REST needs `https://<project ref>.supabase.co` in that variable"),
            Cause::TimedOut => Some("`query` under `[timeouts]` in drill.toml says how long REST may take"),
            Cause::RowSecurity => Some("or a superuser runs: alter role service_role bypassrls"),
            Cause::StaleCache => Some("the SQL below is for the project's SQL editor"),
            Cause::Asleep => Some("the project's dashboard shows its health"),
            Cause::Busy => Some("REST may answer again in a minute"),
            _ => None,
        }
    }
}

impl Obstacle {
    pub fn new(cause: Cause, said: impl Into<String>) -> Obstacle {
        Obstacle { cause, said: said.into() }
    }

    /// The same, for a cause that another part of the program knows better.
    pub fn of(self, cause: Cause) -> Obstacle {
        Obstacle { cause, ..self }
    }

    pub fn masked(self, redactor: &Redactor) -> Obstacle {
        Obstacle { said: redactor.text(&self.said), ..self }
    }

    /// A key that is not valid at the server's time: with clocks that differ, they are the cause.
    pub fn with_clock(self, ahead: Option<SignedDuration>) -> Obstacle {
        match (self.cause, ahead) {
            (Cause::KeyTime, Some(ahead)) => {
                Obstacle::new(Cause::ClockOff, format!("the server's clock is {}: {}", in_words(ahead), self.said))
            }
            _ => self,
        }
    }
}

/// `7 minutes ahead of this machine's`
pub fn in_words(ahead: SignedDuration) -> String {
    let minutes = (ahead.as_secs().unsigned_abs() + 30) / 60;
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    format!("{minutes} {unit} {side} this machine's")
}

impl From<Cause> for Obstacle {
    fn from(cause: Cause) -> Obstacle {
        Obstacle::new(cause, "")
    }
}

impl From<Obstacle> for Failure {
    fn from(Obstacle { cause, said }: Obstacle) -> Failure {
        if let Cause::Stopped(status) = cause {
            return Failure::interrupted(status);
        }
        let failure = Failure::blocked(cause.to_string()).known(cause.known(), &[]);
        let failure = cause.note().into_iter().fold(failure, Failure::note);
        if said.is_empty() { failure } else { failure.because(said) }
    }
}
