//! What a linter says of a statement, beside what was measured of it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lint {
    /// The linter.
    pub by: String,
    pub rule: String,
    pub message: String,
    /// What the measurement says against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contradicted: Option<String>,
}
