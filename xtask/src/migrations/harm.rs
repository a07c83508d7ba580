//! The ways in which a script takes something away.

use serde::{Deserialize, Serialize};

/// How a script takes something away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    Drops,
    /// A column whose migration fills it with its default again: only other values are lost, if it is applied again.
    DropsDefault,
    /// Some rows of a table.
    Deletes,
    /// Some values of a column.
    Changes,
    /// A column gets this type, which not every value may survive.
    Retypes(String),
    /// Nothing is known: no row could be made up for a table that a script names, and its text does not say what it does.
    Untried,
}
