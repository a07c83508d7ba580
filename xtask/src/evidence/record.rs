//! `run.json`: the outcome, and what is needed to believe it. docs/evidence.md describes every key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::outcome::Outcome;

/// The record's file in a run's folder.
pub const RECORD: &str = "run.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Our own arguments.
    #[serde(default)]
    pub argv: Vec<String>,
    #[serde(default)]
    pub operator: Operator,
    pub git: Option<Git>,
    #[serde(default)]
    pub tools: Tools,
    /// What the server said of itself on the verified connection.
    pub server: Option<Server>,
    /// What the target's variables say of it, in the words of the environment matrix; never a value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// SHA-256 of what was used: `schema`, `migrations`.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// SHA-256 of every other file in this folder.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The run that was closed before this one; null until this one is closed, and for the first.
    pub previous: Option<Previous>,
    /// Other runs that this one follows too: ends of branches that were merged, and, of an anchor, what stays of the runs before those that it
    /// took away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<Previous>,
    /// Of an anchor, the runs that it took away, and those of the anchors among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pruned: Vec<Pruned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<Abandonment>,
}

/// What of a record the order of the runs is known by: of all the runs that a new one follows, no more is read.
#[derive(Debug, Clone, Deserialize)]
pub struct Link {
    pub command: String,
    pub status: String,
    finished_at: Option<String>,
    pub previous: Option<Previous>,
    #[serde(default)]
    merged: Vec<Previous>,
    #[serde(default)]
    pub pruned: Vec<Pruned>,
    abandoned: Option<Abandonment>,
}

impl Link {
    /// When it got its last state; None while the run is at work.
    pub fn closed_at(&self) -> Option<&str> {
        let finished_at = self.finished_at.as_deref();
        finished_at.or_else(|| self.abandoned.as_ref().map(|abandoned| abandoned.closed_at.as_str()))
    }

    /// The runs that this one followed.
    pub fn followed(&self) -> impl Iterator<Item = &Previous> {
        self.previous.iter().chain(&self.merged)
    }
}

impl Record {
    pub fn link(&self) -> Link {
        Link {
            command: self.outcome.command.clone(),
            status: self.outcome.status.clone(),
            finished_at: self.outcome.finished_at.clone(),
            previous: self.previous.clone(),
            merged: self.merged.clone(),
            pruned: self.pruned.clone(),
            abandoned: self.abandoned.clone(),
        }
    }

    /// A record as far as a test cares.
    #[cfg(test)]
    pub fn of(changes: serde_json::Value) -> Record {
        let mut record =
            serde_json::json!({"command": "forward", "status": "ok", "started_at": "2026-11-22T20:04:01Z"});
        if let (Some(record), Some(changes)) = (record.as_object_mut(), changes.as_object()) {
            record.extend(changes.clone());
        }
        serde_json::from_value(record).unwrap()
    }
}

/// Who ran it and where; no more than the environment says of itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Operator {
    pub user: Option<String>,
    /// As the machine calls itself.
    pub host: Option<String>,
    pub ci_run: Option<String>,
    /// Who set CI going, as CI says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Git {
    pub commit: String,
    /// Of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Whether tracked files differed from the commit, or untracked ones lay beside them.
    pub dirty: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tools {
    pub drill: String,
    pub node: Option<String>,
    pub prisma: Option<String>,
    /// Which engine answered Prisma: its own binary, or its WebAssembly twin.
    pub engine: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// A run that is no longer there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    pub run: String,
    /// Of its `run.json`.
    pub sha256: String,
    pub command: String,
    pub status: String,
    pub started_at: String,
}

/// Of a run whose process was gone before it could close its record: who closed it instead. When it ended cannot be known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Abandonment {
    /// The run that found it.
    pub closed_by: String,
    pub closed_at: String,
}
