//! The step that makes again what went with a schema although it was outside of it.

use crate::error::{Failure, Result};
use crate::run::journal::Journal;
use crate::run::plan::{Action, Step};
use crate::schema::dependents::{self, Dependent};
use crate::session::Session;
use crate::words::counted;

/// Their statements, so that a run that is killed does not take them along.
const FILE: &str = "dependents-before.json";

pub fn restore_dependents<A>(dependents: &[Dependent], action: A) -> Option<Vec<Step<A>>> {
    let names: Vec<String> = dependents.iter().map(Dependent::in_words).collect();
    (!names.is_empty()).then(|| {
        vec![Step {
            name: "restore dependents",
            does: format!(
                "make again what other schemas hang on this one, and what goes with it: {}",
                names.join(", ")
            ),
            failure: "what other schemas hang on this one is not all there again",
            action: Action::Builtin(action),
        }]
    })
}

pub fn write_down(journal: &Journal<'_>, dependents: &[Dependent]) -> Result<()> {
    if dependents.is_empty() { Ok(()) } else { journal.write_json(FILE, &dependents) }
}

/// Makes them again; the statements that make keys among them hold for old rows too, once these are back.
pub fn make_again(session: &Session<'_>, journal: &Journal<'_>, before: &[Dependent]) -> Result<(String, Vec<String>)> {
    let schemas = session.target.schemas_of_reset();
    let restored = dependents::restore(&mut session.connect()?, &session.target, &schemas, before)?;
    let until = |sql: &String| {
        format!("holds for new rows alone until the old ones are back and this is run, as restore does: {sql}")
    };
    journal.record().outcome.notes.extend(restored.unchecked.iter().map(until));
    if restored.missing.is_empty() {
        let (made, all) = (restored.made, counted(before.len(), "object"));
        return Ok((format!("{all} of other schemas are as before; {made} had to be made again"), restored.unchecked));
    }
    Err(Failure::different("what other schemas hang on this one is not all as it was before the reset")
        .because_all(restored.missing.iter().map(|sql| format!("needed: {sql}")))
        .hint("have a role that may do it run these statements"))
}
