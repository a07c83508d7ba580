//! What the release that is running can still do with the database after the migrations: the client of its schema, model by model.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deployed {
    /// As it was asked for.
    pub reference: String,
    pub commit: String,
    pub models: Vec<Model>,
    /// Of the new release's client, with the database as it was before the migrations; what fails after them, too, was not tried.
    pub next: Vec<Model>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Model {
    pub model: String,
    pub reads: Verdict,
    pub writes: Verdict,
}

/// What was tried before the migrations and again after them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    #[default]
    Compatible,
    /// With Prisma's code and what it says.
    Breaks(String),
    /// It failed before the migrations, too.
    NotTried(String),
}

impl Model {
    /// None where both go on as before.
    pub fn broken(&self) -> Option<String> {
        let told = |what: &str, why: &str| Some(format!("`{}`: breaks {what}: {why}", self.model));
        match (&self.reads, &self.writes) {
            (Verdict::Breaks(why), Verdict::Breaks(_)) => told("reads and writes", why),
            (Verdict::Breaks(why), _) => told("reads", why),
            (_, Verdict::Breaks(why)) => told("writes", why),
            _ => None,
        }
    }

    /// What of the new client has to wait for the migrations; None where nothing has to.
    pub fn too_early(&self) -> Option<String> {
        let told = |what: &str, why: &str| Some(format!("`{}` ({what}: {why})", self.model));
        match (&self.reads, &self.writes) {
            (Verdict::Breaks(why), Verdict::Breaks(_)) => told("reads and writes", why),
            (Verdict::Breaks(why), _) => told("reads", why),
            (_, Verdict::Breaks(why)) => told("writes", why),
            _ => None,
        }
    }

    pub fn not_tried(&self) -> Option<String> {
        let told = |what: &str, why: &str| {
            Some(format!("`{}`: {what} not tried, which failed before the migrations, too: {why}", self.model))
        };
        match (&self.reads, &self.writes) {
            (Verdict::NotTried(why), _) => told("reads and writes", why),
            (_, Verdict::NotTried(why)) => told("writes", why),
            _ => None,
        }
    }
}
