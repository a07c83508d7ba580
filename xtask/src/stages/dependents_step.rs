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

/// What to do where the run ended before the step.
pub fn still_needed(journal: &Journal<'_>, session: &Session<'_>, dependents: &[Dependent]) -> Option<String> {
    let now = dependents::dependents(&mut session.connection(), &session.target.schemas_of_reset()).ok()?;
    let gone = dependents::gone(dependents, &now);
    let statements: Vec<&str> =
        gone.iter().flat_map(|one| one.statements.iter().flatten()).map(String::as_str).collect();
    let file = session.settings.shown(&journal.run().folder().join(FILE));
    (!statements.is_empty()).then(|| {
        format!(
            "gone with the schema, and to be made again once the migrations are applied (`{file}`): {}",
            statements.join("; ")
        )
    })
}

pub fn make_again(session: &Session<'_>, journal: &Journal<'_>, before: &[Dependent]) -> Result<String> {
    let schemas = session.target.schemas_of_reset();
    let restored = dependents::restore(&mut session.connect()?, &session.target, &schemas, before)?;
    let unchecked =
        restored.unchecked.iter().map(|sql| format!("holds for new rows alone until the old ones are back: {sql}"));
    journal.record().outcome.notes.extend(unchecked);
    if restored.missing.is_empty() {
        let (made, all) = (restored.made, counted(before.len(), "object"));
        return Ok(format!("{all} of other schemas are as before; {made} had to be made again"));
    }
    Err(Failure::different("what other schemas hang on this one is not all as it was before the reset")
        .because_all(restored.missing.iter().map(|sql| format!("needed: {sql}")))
        .hint("have a role that may do it run these statements"))
}
