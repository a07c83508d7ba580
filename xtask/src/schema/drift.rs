//! What sets a database apart from the replay of its migrations: what counts, and what only says where the database lives.

use crate::error::Result;
use crate::schema::catalog::{Catalog, Concern, Difference, diff};
use crate::schema::expected;
use crate::schema::history::History;
use crate::session::Session;
use crate::words::counted;

#[derive(Debug)]
pub struct Drift {
    /// The schema is not the one that its migrations make.
    pub definition: Vec<Difference>,
    /// Owners, further grants, the order of columns: true of this server, and no migration's work.
    pub surroundings: Vec<Difference>,
    /// How many objects were compared.
    pub objects: usize,
    /// Where the two sides are of servers of different majors, and word queries in their own ways.
    reworded: Option<Reworded>,
}

#[derive(Debug, Clone, Copy)]
struct Reworded {
    count: usize,
    expected: i32,
    actual: i32,
}

impl Drift {
    /// What the comparison could not be of, to be said behind what it was of.
    pub fn limits(&self) -> String {
        let Some(Reworded { count, expected, actual }) = self.reworded else { return String::new() };
        format!(
            ", {} by structure only: the replay's Postgres {expected} words queries otherwise than the target's {actual} \
             (alter role … createdb has it replayed there)",
            counted(count, "definition")
        )
    }
}

pub fn between(expected: &Catalog, actual: &Catalog) -> Drift {
    let differences = diff(expected, actual);
    let count = differences.iter().filter(|difference| difference.concern == Concern::Wording).count();
    let (definition, surroundings) =
        differences.into_iter().partition(|difference| difference.concern == Concern::Definition);
    let reworded = Reworded { count, expected: expected.major, actual: actual.major };
    let reworded = Some(reworded).filter(|reworded| reworded.count > 0);
    Drift { definition, surroundings, objects: expected.objects.len(), reworded }
}

/// Compares the target with what `history` makes, and with the mirror's table where the target has it: which no migration makes
/// work either, and belongs there all the same.
pub fn of_target(session: &Session<'_>, history: &History, actual: &Catalog) -> Result<Drift> {
    let plain = expected::catalog(session, history)?.catalog;
    let drift = between(&plain, actual);
    if drift.definition.is_empty() {
        return Ok(drift);
    }
    match expected::with_mirror(session, history)? {
        Some(with_mirror) if expected::has_mirror(&plain, &with_mirror.catalog, actual) => {
            Ok(between(&with_mirror.catalog, actual))
        }
        _ => Ok(drift),
    }
}
