//! Made-up rows that a migration cannot be applied to, found by what happens without them: first those of the table that the server
//! names, then those of the tables that its statement names, then all.

use std::collections::BTreeSet;

use postgres::error::SqlState;

use crate::error::Result;
use crate::migrations::untried::holds_word;
use crate::postgres::connection::Connection;
use crate::rows::filler::fill_empty;
use crate::schema::place::Place;
use crate::schema::replay::Refused;

/// What is left out when tables get rows for one migration. By default nothing.
#[derive(Debug, Default)]
pub struct InTheWay {
    tables: BTreeSet<Place>,
    /// No table gets any.
    all: bool,
    /// What the server said to the rows that were there, each once.
    said: Vec<String>,
}

impl InTheWay {
    /// Fills what is not in the way. Returns which of it stayed empty, each as a sentence.
    pub fn fill_others(&self, connection: &mut Connection, schemas: &[&str], rows: u64) -> Result<Vec<String>> {
        if self.all {
            return Ok(Vec::new());
        }
        let except: Vec<String> = self.tables.iter().map(Place::full_table_name).collect();
        fill_empty(connection, schemas, &except, rows)
    }

    /// Leaves out more, after the server refused the migration while `filled` had rows.
    ///
    /// # Errors
    /// What the server said, where rows have no part in it: there are none left, or it would say the same without them.
    pub fn widen(&mut self, refused: Refused, filled: &BTreeSet<Place>) -> Result<()> {
        let left: BTreeSet<Place> = filled.difference(&self.tables).cloned().collect();
        if self.all || left.is_empty() || refused.code.as_ref().is_none_or(is_of_the_server) {
            return Err(refused.failure);
        }
        let said: Vec<String> = refused.failure.causes().filter(|words| !self.said.contains(words)).collect();
        self.said.extend(said);
        let is_mentioned = |place: &Place| holds_word(&refused.statement, &place.table);
        let (named, others): (BTreeSet<Place>, BTreeSet<Place>) =
            left.into_iter().partition(|place| is_named_by_server(place, &refused));
        let mut next = named;
        if next.is_empty() {
            next.extend(others.into_iter().filter(is_mentioned));
        }
        self.all = next.is_empty();
        self.tables.append(&mut next);
        Ok(())
    }

    /// What had to be empty, and why, now that the migration applied while `filled` had rows.
    pub fn told(self, filled: &BTreeSet<Place>) -> Vec<String> {
        let empty: Vec<String> = self.tables.difference(filled).map(Place::relation).collect();
        let what = match (self.all, empty.as_slice()) {
            (true, _) => "every table has to be empty".to_owned(),
            (false, [table]) => format!("table {table} has to be empty"),
            (false, _) => format!("tables {} have to be empty", empty.join(", ")),
        };
        let mut said = self.said.into_iter();
        let first = said.next().map(|words| format!("{what}: {words}"));
        first.into_iter().chain(said).collect()
    }
}

fn is_named_by_server(place: &Place, refused: &Refused) -> bool {
    refused.table.as_ref().is_some_and(|(schema, table)| (schema, table) == (&place.schema, &place.table))
}

/// Whether it is the server's state that ended a statement, or another session, and no row: these come and go.
fn is_of_the_server(code: &SqlState) -> bool {
    let classes = ["08", "40", "53", "57", "58", "XX"];
    classes.iter().any(|class| code.code().starts_with(class)) || *code == SqlState::LOCK_NOT_AVAILABLE
}
