//! What a snapshot says of itself: of which database it is, and each table with the file that holds its rows.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::postgres::counts::Counts;
use crate::postgres::identity::Identity;
use crate::rows::snapshot::succession::before;
use crate::schema::ledger::{Entry, LEDGER_TABLE};
use crate::session::Session;

/// Raised when older programs could not read a new snapshot. 2: a number, and the server's clock. 3: kept as a database. 4: rows in an encoding
/// that is not UTF-8.
pub const FORMAT: u32 = 4;
const FORMAT_OF_COPIES: u32 = 3;
const FORMAT_OF_FILES: u32 = 2;
/// The oldest format that is still read.
pub const OLDEST_FORMAT: u32 = 1;

/// The database's own, so that the bytes that are there come out and go in as they are: SQL_ASCII has any, and of other encodings a letter may
/// have none in UTF-8. None is UTF-8.
pub type Encoding = Option<String>;

/// What a snapshot holds, and of what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of this program.
    pub drill: String,
    /// Counts up in the store: the order in which snapshots were taken, whatever a clock says. None in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// By the server's clock; in format 1 by the clock of the machine that took it.
    pub created_at: jiff::Timestamp,
    /// The command that took it.
    pub reason: String,
    pub origin: Origin,
    /// The server's, such as `17.10`.
    pub server_version: String,
    pub schemas: Vec<String>,
    pub tables: Vec<Table>,
    pub sequences: Vec<Sequence>,
    /// The rows of `_prisma_migrations` then; None where there was none.
    pub ledger: Option<Vec<Entry>>,
    /// SHA-256 of the catalog of that moment.
    pub catalog: String,
    /// Where the rows are, if they are not in files: then a table has no file, and its checksum is the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Copy>,
    /// Of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Encoding,
}

/// A database of the target's own server that is as the target was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    pub name: String,
    pub oid: u32,
    /// At random; the mark in the database has the same.
    pub id: String,
    pub bytes: u64,
}

/// The one database that a snapshot may be put back into, in the server's own words at the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub database: String,
    pub database_oid: u32,
    pub system_identifier: Option<String>,
    pub project_ref: Option<String>,
    /// What had the name before; of a session alone.
    #[serde(skip)]
    pub before: BTreeSet<u32>,
}

/// One table and the file that holds its rows. A partitioned table is one table: its rows are routed again when they are put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub schema: String,
    pub name: String,
    /// In the order of the file's fields.
    pub columns: Vec<String>,
    pub rows: u64,
    /// Sum of the hashes of all rows, in hex; see `rowfile`. Of a copy, the server's own; see `copy`.
    pub checksum: String,
    pub file: String,
    /// SHA-256 of the file as it lies on disk, in hex.
    pub file_sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    pub schema: String,
    pub name: String,
    pub last_value: i64,
    /// False: the next value is `last_value` itself.
    pub is_called: bool,
}

/// What there is to be put back.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    pub schemas: &'a [String],
    pub tables: &'a [Table],
    pub sequences: &'a [Sequence],
    pub encoding: &'a Encoding,
}

/// A whole snapshot on this machine.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The folder's name, which is what `restore` takes.
    pub name: String,
    pub folder: PathBuf,
    pub manifest: Manifest,
    /// The names of those that were removed when it was taken.
    pub pruned: Vec<String>,
    /// Why each stays that should have been.
    pub kept: Vec<String>,
}

impl Snapshot {
    /// Rows of each table, by `schema.table`, the ledger's included.
    pub fn counts(&self) -> Counts {
        let tables = self.manifest.tables.iter().map(|table| (table.full_name(), table.rows));
        // The ledger lies in the datasource's schema, which is the first.
        let ledger = self.manifest.ledger.iter().zip(&self.manifest.schemas);
        tables.chain(ledger.map(|(rows, schema)| (format!("{schema}.{LEDGER_TABLE}"), rows.len() as u64))).collect()
    }

    pub fn contents(&self) -> Contents<'_> {
        let Manifest { schemas, tables, sequences, encoding, .. } = &self.manifest;
        Contents { schemas, tables, sequences, encoding }
    }

    /// For a person: where the rows are.
    pub fn place(&self) -> String {
        match &self.manifest.database {
            None => format!("`{}`", self.name),
            Some(copy) => format!("`{}`, kept as the database `{}`", self.name, copy.name),
        }
    }

    /// Rows that it can put back.
    pub fn rows(&self) -> u64 {
        self.manifest.rows()
    }

    /// What became of older ones, where anything did.
    pub fn pruning(&self) -> Vec<String> {
        let names = self.pruned.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let gone = (!names.is_empty()).then(|| format!("old snapshots were removed: {}", names.join(", ")));
        gone.into_iter().chain(self.kept.iter().cloned()).collect()
    }
}

/// The oldest whose programs can read it.
pub fn format_of(copy: Option<&Copy>, encoding: &Encoding) -> u32 {
    match (encoding, copy) {
        (Some(_), _) => FORMAT,
        (None, Some(_)) => FORMAT_OF_COPIES,
        (None, None) => FORMAT_OF_FILES,
    }
}

impl Manifest {
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Whether rows of `table` are in it, with that column.
    pub fn has_values_of(&self, table: &str, column: &str) -> bool {
        let is_it = |one: &&Table| one.rows > 0 && one.full_name() == table;
        self.tables.iter().find(is_it).is_some_and(|one| one.columns.iter().any(|name| name == column))
    }

    /// For a person, who needs no seconds.
    pub fn taken(&self) -> String {
        format!("{} by {}", self.created_at.strftime("%Y-%m-%d %H:%M UTC"), self.reason)
    }
}

impl Table {
    /// As `counts` names it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

impl Origin {
    pub fn of(session: &Session<'_>) -> Origin {
        let Identity { database, database_oid, system_identifier, .. } = session.identity.clone();
        let project_ref = session.target.candidate().project_ref().map(str::to_owned);
        let before = before(session.settings, system_identifier.as_deref(), database_oid);
        Origin { database, database_oid, system_identifier, project_ref, before }
    }

    /// In what `other` differs from this database; empty where it is the same.
    pub fn differences(&self, other: &Origin) -> Vec<&'static str> {
        let parts = [
            ("database name", self.database != other.database),
            ("database oid", self.database_oid != other.database_oid && !other.before.contains(&self.database_oid)),
            ("system identifier", self.system_identifier != other.system_identifier),
            ("Supabase project", self.project_ref != other.project_ref),
        ];
        parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
    }
}
