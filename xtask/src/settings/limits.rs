//! `[limits]` of `drill.toml`: how much a migration may be in the way of others before a run ends with 5.

use std::time::Duration;

use serde::Deserialize;

use super::span::Span;

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct FileLimits {
    pub blocked_behind: Option<Span>,
    blocks_reads: Option<Longest>,
    blocks_writes: Option<Longest>,
    statement: Option<Span>,
    wal: Option<Amount>,
    rewrites: Option<bool>,
    after: Option<String>,
}

/// What one statement of a migration may do. By default everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of a table that holds rows, as the three that follow.
    pub blocks_reads: Option<Longest>,
    pub blocks_writes: Option<Longest>,
    pub forbids_rewrites: bool,
    pub statement: Option<Duration>,
    /// Bytes.
    pub wal: Option<u64>,
    /// Migrations up to this name are not looked at: they are in production, and cannot be changed.
    pub after: Option<String>,
}

/// How long a table may be blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Longest {
    /// By nothing whose work grows with the table.
    Moment,
    Time(Duration),
}

impl TryFrom<String> for Longest {
    type Error = String;

    fn try_from(text: String) -> Result<Longest, String> {
        match text.as_str() {
            "moment" => Ok(Longest::Moment),
            _ => match Span::try_from(text) {
                Ok(span) => Ok(Longest::Time(span.0)),
                Err(why) => Err(format!("{why}, nor `moment`")),
            },
        }
    }
}

/// Of bytes: `500 kB`, `10MB`, `1 GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Amount(u64);

impl TryFrom<String> for Amount {
    type Error = String;

    fn try_from(text: String) -> Result<Amount, String> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit = match text[digits..].trim() {
            "kB" | "KB" => Some(1_000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            _ => None,
        };
        let number = text[..digits].parse().ok().filter(|number| *number > 0);
        let bytes = number.zip(unit).and_then(|(number, unit): (u64, u64)| number.checked_mul(unit));
        bytes.map(Amount).ok_or_else(|| format!("`{text}` is no amount, as `500 kB`, `10 MB` or `1 GB` are"))
    }
}

impl FileLimits {
    pub fn of_migrations(&self) -> Limits {
        Limits {
            blocks_reads: self.blocks_reads,
            blocks_writes: self.blocks_writes,
            forbids_rewrites: self.rewrites == Some(false),
            statement: self.statement.map(|span| span.0),
            wal: self.wal.map(|amount| amount.0),
            after: self.after.clone(),
        }
    }
}

impl Limits {
    pub fn are_set(&self) -> bool {
        *self != Limits { after: self.after.clone(), ..Limits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_time_an_amount_or_a_moment_and_anything_else_is_told() {
        let read = |text: &str| toml::from_str::<FileLimits>(text).map(|file| file.of_migrations());
        let all = "blocked_behind = '1s'\nblocks_reads = 'moment'\nblocks_writes = '2s'\nstatement = '1min'\nwal = '10 MB'\nrewrites = false\nafter = 'm'";
        let limits = Limits {
            blocks_reads: Some(Longest::Moment),
            blocks_writes: Some(Longest::Time(Duration::from_secs(2))),
            forbids_rewrites: true,
            statement: Some(Duration::from_secs(60)),
            wal: Some(10_000_000),
            after: Some("m".to_owned()),
        };
        assert_eq!(read(all).unwrap(), limits);
        assert!(limits.are_set());
        for none in ["", "blocked_behind = '1s'", "rewrites = true", "after = 'm'"] {
            assert!(!read(none).unwrap().are_set(), "{none}");
        }
        let wrong = [
            "blocks_reads = 'never'",
            "wal = '10'",
            "wal = '0 MB'",
            "wal = '99999999999999999999 GB'",
            "wal = '1 TB'",
            "rewrite = false",
        ];
        let told: Vec<String> = wrong.map(|text| read(text).unwrap_err().message().to_owned()).into();
        insta::assert_snapshot!(told.join("\n"), @r"
        `never` is no time from `1ms` to `24h`, as `500ms`, `5s` or `2min` are, nor `moment`
        `10` is no amount, as `500 kB`, `10 MB` or `1 GB` are
        `0 MB` is no amount, as `500 kB`, `10 MB` or `1 GB` are
        `99999999999999999999 GB` is no amount, as `500 kB`, `10 MB` or `1 GB` are
        `1 TB` is no amount, as `500 kB`, `10 MB` or `1 GB` are
        unknown field `rewrite`, expected one of `blocked_behind`, `blocks_reads`, `blocks_writes`, `statement`, `wal`, `rewrites`, `after`
        ");
    }
}
