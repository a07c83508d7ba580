//! What a run that was killed around the renaming has left: it happened, or it did not.

use crate::error::Result;
use crate::rows::snapshot::Store;
use crate::rows::snapshot::copy::mark::Found;
use crate::session::Session;

/// The records of runs that were killed around that moment: of those that were done, and of those that were not.
///
/// # Errors
/// `failed` with the server's words; `blocked` where the store cannot be read.
pub fn settle_pending(session: &Session<'_>) -> Result<()> {
    let store = Store::of(session.settings);
    for pending in store.pending()? {
        let Some(copy) = &pending.manifest.database else { continue };
        let found = Found::look(&mut session.connection(), &copy.name)?;
        match found.is_some_and(|found| found.doubt(&copy.id, Some(copy.oid)).is_none()) {
            true => drop(store.settle(&pending)?),
            false => store.forget(&pending.name)?,
        }
    }
    Ok(())
}
