//! From nothing to a copy that waits to be compared.

use crate::digest::hex;
use crate::error::{OrFail, Result};
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::snapshot::copy::make::{Made, make, name_for};
use crate::rows::snapshot::copy::mark::Found;
use crate::rows::snapshot::copy::remove::{clear_begun, forget};
use crate::rows::snapshot::copy::settle::settle_pending;
use crate::rows::snapshot::{Begun, Draft, Store};
use crate::session::Session;

/// A copy and the folder that is to hold its record.
pub struct Kept {
    pub draft: Draft,
    pub made: Made,
}

impl Kept {
    /// Drops it: it is not what the target was.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn discard(self, session: &Session<'_>) -> Result<()> {
        forget(&mut session.connect()?, &self.made.name, &self.made.mark.id, Some(self.made.oid))?;
        self.draft.end_database();
        Ok(())
    }
}

/// Copies the target; `staying` is the one session of the run that stays in it. Err within: why not, in a line.
///
/// # Errors
/// As `make`; `blocked` when the folder of the record cannot be written.
pub fn keep(session: &Session<'_>, staying: &mut Connection) -> Result<std::result::Result<Kept, String>> {
    settle_pending(session)?;
    clear_begun(session, staying)?;
    let now = staying.client().query_one("select pg_catalog.now()", &[]).could_not("ask the server for its time")?;
    let draft = Store::of(session.settings).begin(now.get(0), 0)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).bug("no random numbers")?;
    let id = hex(&random);
    let begun = Begun { database: name_for(&session.identity.database, &id), id };
    draft.begin_database(&begun)?;
    let made = make(session, staying, &begun.database, &begun.id);
    if !matches!(made, Ok(Ok(_))) && matches!(Found::look(staying, &begun.database), Ok(None)) {
        draft.end_database();
    }
    Ok(made?.map(|made| Kept { draft, made }))
}
