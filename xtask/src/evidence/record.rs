//! `run.json`: the outcome, and what is needed to believe it. docs/evidence.md describes every key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::outcome::Outcome;

#[derive(Debug, Clone, Serialize)]
pub struct Record {
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Our own arguments, masked.
    pub argv: Vec<String>,
    pub operator: Operator,
    pub git: Option<Git>,
    pub tools: Tools,
    /// What the server said of itself on the verified connection.
    pub server: Option<Server>,
    /// What the target's variables say of it, in the words of the environment matrix; never a value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// SHA-256 of what was used: `schema`, `migrations`.
    pub inputs: BTreeMap<String, String>,
    /// SHA-256 of every other file in this folder.
    pub files: BTreeMap<String, String>,
    /// The run that was closed before this one; null until this one is closed, and for the first.
    pub previous: Option<Previous>,
    /// Other ends of the chain that this run follows too: branches that were merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<Previous>,
}

/// Who ran it and where; no more than the environment says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operator {
    pub user: Option<String>,
    /// As the machine calls itself.
    pub host: Option<String>,
    pub ci_run: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Git {
    pub commit: String,
    /// Whether tracked files differed from the commit, or untracked ones lay beside them.
    pub dirty: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Tools {
    pub drill: String,
    pub node: Option<String>,
    pub prisma: Option<String>,
    /// Which engine answered Prisma: its own binary, or its WebAssembly twin.
    pub engine: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Server {
    pub version: String,
    pub database: String,
    pub user: String,
    /// Of the machine that was verified, as we dialled it.
    pub address: String,
    pub system_identifier: Option<String>,
    pub claimed: bool,
}

/// A run in the same folder, by the digest of its `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    pub run: String,
    pub sha256: String,
}

/// Of a run whose process was gone before it could close its record: who closed it instead. Nobody knows when it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Abandonment {
    /// The run that found it.
    pub closed_by: String,
    pub closed_at: String,
}
