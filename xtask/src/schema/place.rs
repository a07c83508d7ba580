//! A place where values are, by its name of today: a table, or one of its columns.

use std::fmt;

use postgres_protocol::escape::escape_identifier;
use serde::{Deserialize, Serialize};

/// A table, or one of its columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub schema: String,
    pub table: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

impl Place {
    /// The table that it is, or is a column of.
    pub fn of_table(&self) -> Place {
        Place { column: None, ..self.clone() }
    }

    /// As `counts` names the table.
    pub fn full_table_name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// As SQL names the table.
    pub fn relation(&self) -> String {
        format!("{}.{}", escape_identifier(&self.schema), escape_identifier(&self.table))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            None => write!(f, "table {}", self.relation()),
            Some(column) => write!(f, "column {}.{}", self.relation(), escape_identifier(column)),
        }
    }
}
