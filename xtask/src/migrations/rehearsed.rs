//! What a rehearsal of down scripts has shown.

use serde::{Deserialize, Serialize};

use crate::migrations::losses::Removal;
use crate::schema::catalog::{Catalog, Difference};
use crate::schema::drift;

/// One step of a rehearsal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RehearsedDown {
    pub removals: Vec<Removal>,
    /// None: the script made of the history what it is without the migration.
    pub left: Option<Left>,
}

/// What a script did not do, or too much.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Left {
    /// The catalog of the history without the migration.
    pub expected: Catalog,
    /// What the script made of the history with it.
    pub found: Catalog,
}

impl RehearsedDown {
    /// What the script leaves behind.
    pub fn leftovers(&self) -> Vec<Difference> {
        let between = |left: &Left| drift::between(&left.expected, &left.found).definition;
        self.left.as_ref().map(between).unwrap_or_default()
    }
}

/// What a throw-away database says of some down scripts before they run for real.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The catalog of the whole history.
    pub start: Catalog,
    /// The catalog of the history without the migrations that are taken back.
    pub end: Catalog,
    /// In the order of the scripts.
    pub rehearsed: Vec<RehearsedDown>,
    /// Every script ran where there are rows, too, in its time.
    pub had_rows: bool,
}
