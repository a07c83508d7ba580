//! What the server says a database is, down to which very tables it has: whether a reset has dropped anything.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::migrations::database_state::DatabaseState;
use crate::postgres::counts::Counts;
use crate::postgres::fence;
use crate::schema::history::History;
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::oids::oids;
use crate::session::Session;

pub struct Standpoint {
    pub state: DatabaseState,
    /// Which tables these are, whatever their names.
    pub oids: BTreeMap<String, u32>,
}

impl Standpoint {
    /// # Errors
    /// As the server's; `blocked` when this role may not count a table.
    pub fn read(session: &Session<'_>, history: &History) -> Result<Standpoint> {
        let mut state = DatabaseState::read(session, history)?.whole()?;
        // Of a reset that was killed; this one takes it away, whatever becomes of it.
        state.catalog.objects.retain(|object, _| !fence::owns(&object.path));
        Ok(Standpoint { state, oids: oids(&mut session.connection(), &session.target.schemas_of_reset())? })
    }

    /// The very same tables, and everything about them.
    pub fn is_untouched(&self, before: &Standpoint) -> bool {
        let (now, then) = (&self.state, &before.state);
        self.oids == before.oids && now.catalog == then.catalog && now.standing == then.standing
    }

    /// Of every table but the ledger, which nobody puts back.
    pub fn rows(&self) -> Counts {
        let is_ledger = |table: &str| table.ends_with(&format!(".{LEDGER_TABLE}"));
        let counts = self.state.counts.iter().filter(|(table, _)| !is_ledger(table));
        counts.map(|(table, rows)| (table.clone(), *rows)).collect()
    }
}
