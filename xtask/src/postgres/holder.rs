//! Who holds a lock, as a person is told: a session, a worker of the server, or a transaction that was prepared and has no session.

use postgres::Row;
use postgres_protocol::escape::escape_literal;

/// Columns of `Holder::of`, of a session `a` of `pg_stat_activity`.
pub const OF_SESSION: &str =
    "a.usename::text, nullif(a.application_name, ''), a.state, coalesce(a.xact_start, a.state_change), a.backend_type";

/// Prepared transactions, and as what their locks are listed: each has that of its own number.
pub const PREPARED: &str = "(
    select x.gid, x.owner, x.prepared, o.virtualtransaction
      from pg_catalog.pg_prepared_xacts x
      join pg_catalog.pg_locks o on o.locktype = 'transactionid' and o.transactionid = x.transaction and o.granted and o.pid is null)";

/// What the role may not see of another role's session is None.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub who: Who,
    pub role: Option<String>,
    pub application_name: Option<String>,
    pub state: Option<String>,
    /// When its transaction began, or where it has none, when it last changed its state.
    pub since: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Session(i32),
    /// A worker of the server itself, by its kind.
    Worker(i32, String),
    /// By the name that it was prepared under.
    Prepared(String),
}

impl Holder {
    /// Of a row with a prepared transaction's name, owner and time at `at`, and behind them what `of` reads.
    pub fn prepared_or_session(row: &Row, at: usize) -> Holder {
        match row.get::<_, Option<String>>(at) {
            None => Holder::of(row, at + 3),
            Some(name) => Holder {
                who: Who::Prepared(name),
                role: row.get(at + 1),
                application_name: None,
                state: None,
                since: row.get(at + 2),
            },
        }
    }

    /// Of a row with a pid at `at`, and behind it `OF_SESSION`.
    pub fn of(row: &Row, at: usize) -> Holder {
        let pid = row.get::<_, Option<i32>>(at).unwrap_or_default();
        let kind: Option<String> = row.get(at + 5);
        let who = match kind.filter(|kind| kind != "client backend") {
            Some(kind) => Who::Worker(pid, kind),
            None => Who::Session(pid),
        };
        let (role, application_name, state) = (row.get(at + 1), row.get(at + 2), row.get(at + 3));
        Holder { who, role, application_name, state, since: row.get(at + 4) }
    }

    /// `backend pid 4711 (role `app`, `nightly_dump`, idle in transaction since …)`.
    pub fn in_words(&self) -> String {
        let name = match &self.who {
            Who::Session(pid) => format!("backend pid {pid}"),
            Who::Worker(pid, kind) => format!("{kind} pid {pid}"),
            Who::Prepared(name) => format!("prepared transaction `{name}`"),
        };
        let state = match (&self.who, self.state.as_deref()) {
            (Who::Prepared(_), _) => None,
            (_, state) => Some(state.unwrap_or("unknown")),
        };
        let since = self.since.map(|since| format!("since {since:.0}"));
        let state = [state.map(str::to_owned), since].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let role = self.role.as_ref().map(|role| format!("role `{role}`"));
        let application = match &self.who {
            Who::Session(_) => Some(format!("`{}`", self.application_name.as_deref().unwrap_or("unknown"))),
            _ => None,
        };
        let facts: Vec<String> =
            role.into_iter().chain(application).chain(Some(state).filter(|it| !it.is_empty())).collect();
        format!("{name} ({})", facts.join(", "))
    }

    /// None where it has no session.
    pub fn pid(&self) -> Option<i32> {
        match self.who {
            Who::Session(pid) | Who::Worker(pid, _) => Some(pid),
            Who::Prepared(_) => None,
        }
    }

    /// The statement that ends it.
    pub fn remedy(&self) -> String {
        match &self.who {
            Who::Prepared(name) => format!("rollback prepared {}", escape_literal(name)),
            Who::Session(pid) | Who::Worker(pid, _) => format!("select pg_terminate_backend({pid})"),
        }
    }
}
