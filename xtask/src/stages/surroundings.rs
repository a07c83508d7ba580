//! What is so on this server and is no migration's work: said beside the verdict, so that "exactly" means what it says.

use crate::run::journal::Journal;
use crate::schema::drift::Drift;

/// More lines than these are in the record alone.
const SHOWN: usize = 20;

/// To the console and to the record.
pub fn note(journal: &Journal<'_>, drift: &Drift) {
    let notes = drift.notes();
    notes.iter().take(SHOWN).for_each(|note| journal.console.say(format!("  note: {note}")));
    if notes.len() > SHOWN {
        journal.console.say(format!("  note: {} more such lines are in `run.json`", notes.len() - SHOWN));
    }
    journal.record().outcome.add_notes(&notes);
}
