//! Why a count could not be had. Each cause has its own sentence, its own fix and its own word for machines, because a count that is missing,
//! thinned out or stale looks the same from afar. docs/parity.md has them as a table.

use std::time::Duration;

use postgres_protocol::escape::escape_identifier;

use crate::error::Failure;
use crate::hint::Hint;
use crate::parity::rest;
use crate::postgres::counts::RowSecurity;
use crate::settings::pair::Which;
use crate::settings::row_mapping::Columns;

#[derive(Debug, Clone)]
pub enum Obstacle {
    NoTable {
        which: Which,
        table: String,
    },
    /// A foreign table, or a view or a partition that leads to one: its rows are on a server that was not proved to be staging.
    Elsewhere {
        which: Which,
        table: String,
    },
    NoGrant {
        which: Which,
        table: String,
    },
    RowSecurity {
        which: Which,
        table: String,
        how: RowSecurity,
    },
    NoColumn {
        which: Which,
        table: String,
        column: String,
    },
    /// The time column is of a type that no stretch of time can be cut from.
    NoTime {
        which: Which,
        table: String,
        column: String,
        kind: String,
    },
    /// Columns of `rows` whose types have nothing in common.
    Incomparable {
        pair: String,
        columns: Columns,
        kinds: [String; 2],
    },
    TimedOut {
        which: Which,
        limit: Duration,
    },
    /// The server refused, in its own words: a view over a table that the role may not read.
    Refused {
        which: Which,
        words: String,
    },
    /// The connection ended while it counted.
    Lost {
        which: Which,
        words: String,
    },
    /// The mirror could not be counted over REST.
    Rest(rest::Obstacle),
    /// Anything else, as it came.
    Other(Failure),
}

impl From<Failure> for Obstacle {
    fn from(failure: Failure) -> Self {
        Obstacle::Other(failure)
    }
}

impl From<rest::Obstacle> for Obstacle {
    fn from(obstacle: rest::Obstacle) -> Self {
        match obstacle.cause {
            rest::Cause::Stopped(_) => Obstacle::Other(obstacle.into()),
            _ => Obstacle::Rest(obstacle),
        }
    }
}

impl Obstacle {
    /// The key `reason` of `parity.json`. The first is the old probe's word, which others read.
    pub fn reason(&self) -> &'static str {
        match self {
            Obstacle::NoTable { which: Which::Mirror, .. } => "supabase.facts_table_missing",
            Obstacle::NoTable { which: Which::Prisma, .. } => "prisma.table_missing",
            Obstacle::Elsewhere { .. } => "table_is_foreign",
            Obstacle::NoGrant { .. } | Obstacle::Refused { .. } => "grants_missing",
            Obstacle::RowSecurity { .. } => "row_security",
            Obstacle::NoColumn { .. } => "column_missing",
            Obstacle::NoTime { .. } => "column_is_no_time",
            Obstacle::Incomparable { .. } => "columns_not_comparable",
            Obstacle::TimedOut { .. } => "statement_timeout",
            Obstacle::Lost { .. } => "connection_lost",
            Obstacle::Rest(obstacle) => obstacle.cause.reason(),
            Obstacle::Other(_) => "failed",
        }
    }

    /// The failure that a run ends with. `schema` holds both tables, `user` counts them.
    pub fn failure(&self, schema: &str, user: &str) -> Failure {
        match self {
            Obstacle::NoTable { which, table } => {
                let make = Hint::run(if *which == Which::Prisma { "forward" } else { "mirror" });
                Failure::blocked(format!("{} has no table `{schema}.{table}`", which.in_words()))
                    .hint(make)
            }
            Obstacle::Elsewhere { which, table } => {
                Failure::blocked(format!("{}: `{schema}.{table}` leads to a foreign table", which.in_words()))
                    .because("its rows are on another server, and that one is not proven to be staging")
                    .hint("name a table of this database in `[[parity.pairs]]`")
            }
            Obstacle::NoGrant { which, table } => {
                Failure::blocked(format!("{}: `{user}` may not read `{schema}.{table}`", which.in_words()))
                    .note("the table's owner may run the SQL below")
                    .hint(Hint::sql(format!(
                        "grant usage on schema \"{schema}\" to \"{user}\"; grant select on \"{schema}\".\"{table}\" to \"{user}\""
                    )))
            }
            Obstacle::RowSecurity { which, table, how } => Failure::blocked(format!(
                "{}: row-level security keeps rows of `{schema}.{table}` from `{user}`",
                which.in_words()
            ))
            .because("a count would be of some rows, and pass for all of them")
            .note(format!("or a superuser lets the role see every row: alter role \"{user}\" bypassrls"))
            .hint(how.hint(&format!("{}.{}", escape_identifier(schema), escape_identifier(table)))),
            Obstacle::NoColumn { which, table, column } => {
                Failure::blocked(format!("{}: `{schema}.{table}` has no column `{column}`", which.in_words()))
                    .hint("correct `where`, `time` or `rows` of that side in `[[parity.pairs]]` of drill.toml")
            }
            Obstacle::NoTime { which, table, column, kind } => Failure::blocked(format!(
                "{}: `{column}` of `{schema}.{table}` is of type `{kind}`, which is not a time",
                which.in_words()
            ))
            .hint("name a timestamp column as `time` of that side in `[[parity.pairs]]` of drill.toml"),
            Obstacle::Incomparable { pair, columns, kinds } => {
                let (Columns { prisma, mirror }, [one, other]) = (columns, kinds);
                Failure::blocked(format!("`{pair}`: `{prisma}` is of type `{one}` and `{mirror}` of type `{other}`, which nothing compares"))
                    .hint("leave them out of `rows` in `[[parity.pairs]]` of drill.toml, or name a view of the mirror that casts the column")
            }
            Obstacle::TimedOut { which, limit } => {
                let limit = limit.as_secs();
                Failure::blocked(format!("{}: counting took longer than {limit} s", which.in_words()))
                    .because("the server stopped it (SQLSTATE 57014)")
                    .hint(format!("set `query` under `[timeouts]` in drill.toml to more than {limit}"))
            }
            Obstacle::Refused { which, words } => {
                Failure::blocked(format!("{}: the server does not let `{user}` count every row", which.in_words()))
                    .because(words)
                    .hint("connect as the role that owns the tables where their row security is not forced, or as one with BYPASSRLS that may read them")
            }
            Obstacle::Lost { which, words } => {
                Failure::blocked(format!("{}: the connection was lost while the server counted", which.in_words()))
                    .because(words)
                    .note("the project may have been paused or restarted: wake it first")
                    .hint(Hint::run("parity"))
            }
            Obstacle::Rest(obstacle) => obstacle.clone().into(),
            Obstacle::Other(failure) => failure.clone(),
        }
    }
}
