//! Where throw-away databases are made: on the target's own server where its role may, else on the sandbox.

use crate::error::{Failure, Result};
use crate::guard::Demand;
use crate::guard::input::Declared;
use crate::hint::Hint;
use crate::sandbox;
use crate::schema::platform;
use crate::session::Session;

/// Runs `work` with a session that may create databases: `session` itself, or one of the sandbox.
///
/// # Errors
/// `blocked` when neither may; otherwise what `work` says.
pub fn open<T>(session: &Session<'_>, work: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
    if session.identity.may_create_databases {
        return work(session);
    }
    let settings = session.settings.clone().for_sandbox();
    let sandbox =
        sandbox::up(&settings, session.interrupt).map_err(|sandbox| no_place(&session.identity.user, sandbox))?;
    let declared = Declared::of_sandbox(&settings, &sandbox.url());
    let candidate = declared.check().map_err(|refusals| Failure::refused(sandbox::DATABASE, refusals))?;
    let redactor = declared.redactor();
    let sandbox = Session::open(&settings, session.interrupt, candidate, redactor, Demand::Additive)?;
    // What the platform made is known on the target, and nowhere else.
    let groundwork = platform::as_prisma(session, &[&session.target.dsn().schema])?.groundwork.clone();
    sandbox.groundwork.get_or_init(|| groundwork);
    work(&sandbox)
}

/// `sandbox` says why there is none.
pub fn no_place(user: &str, mut sandbox: Failure) -> Failure {
    let hint = sandbox.hint.take().map_or_else(|| Hint::run("sandbox up"), |hint| *hint);
    Failure::blocked(format!("`{user}` may not create a throw-away database, and there is no sandbox to do it on"))
        .because_of(sandbox)
        .note(format!("an administrator may let the role do it: alter role \"{user}\" createdb"))
        .hint(hint)
}
