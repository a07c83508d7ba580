//! A statement of a migration that goes over a limit of `drill.toml`.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverLimit {
    pub migration: String,
    /// Its script, relative to the project.
    pub file: String,
    /// Of the file, from 1: where the statement begins.
    pub line: usize,
    /// The key under `[limits]`.
    pub limit: String,
    /// What it does, and what is allowed.
    pub message: String,
    /// Why it may, by the comment above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl OverLimit {
    pub fn in_words(&self) -> String {
        let accepted = self.accepted.iter().map(|why| format!("; accepted, because {why}"));
        format!("`{}` line {} {}{}", self.migration, self.line, self.message, accepted.collect::<String>())
    }
}
