//! Whether the state before can be kept as a database, and if not, why.

use crate::error::Result;
use crate::guard::input::allows_disposable;
use crate::postgres::activity::strangers;
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::snapshot::contents::tables;
use crate::rows::snapshot::copy::make::name_for;
use crate::rows::snapshot::megabytes;
use crate::session::Session;
use crate::settings::KeepAs;

/// From so many bytes of tables on a copy is quicker than files, whose time goes with the rows; below it, making a database costs more.
const MANY: u64 = 32 << 20;

/// A copy has everything that is in the database. The server copies in an eighth of the time that the same rows take to files, and comparing them
/// takes three eighths (docs/performance.md): with so many times the tables in question both ways come to the same, and a copy takes more room.
const MOST_TIMES: u64 = 4;

/// As what the state before is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeping {
    /// Of so many bytes.
    Database(u64),
    Files,
    /// And why not as a database, which was wanted.
    FilesBecause(String),
}

/// What can be done for `schemas`, as things are; reads only.
///
/// # Errors
/// `failed` with the server's words.
pub fn keeping(session: &Session<'_>, schemas: &[&str]) -> Result<Keeping> {
    let wanted = session.settings.keep_as;
    if wanted == KeepAs::Files {
        return Ok(Keeping::Files);
    }
    let mut connection = session.connect()?;
    let sources = connection.read(|transaction| tables(transaction, schemas))?;
    let bytes: u64 = sources.iter().map(|source| source.bytes).sum();
    let all = session.identity.size_bytes.unsigned_abs();
    if wanted == KeepAs::Auto && bytes < MANY {
        return Ok(Keeping::Files);
    }
    if wanted == KeepAs::Auto && all > bytes * MOST_TIMES {
        let why = format!("the whole database takes {}, these tables {}", megabytes(all), megabytes(bytes));
        return Ok(Keeping::FilesBecause(why));
    }
    let right = match missing_right(session, &mut connection)? {
        None => in_words(strangers(&mut connection, &session.pids())?),
        missing => missing,
    };
    Ok(right.map_or(Keeping::Database(all), Keeping::FilesBecause))
}

/// Who is in the database besides this run.
pub fn in_words(strangers: Vec<String>) -> Option<String> {
    strangers.into_iter().next().map(|first| format!("somebody else is in the database: {first}"))
}

fn missing_right(session: &Session<'_>, connection: &mut Connection) -> Result<Option<String>> {
    const OWNER: &str = "
        select pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_has_role(d.datdba, 'usage')
          from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()";
    let identity = &session.identity;
    if !identity.may_create_databases {
        return Ok(Some(format!("the role `{}` may not create databases", identity.user)));
    }
    let row = connection.client().query_one(OWNER, &[]).could_not("ask whose the database is")?;
    if !row.get::<_, bool>(1) {
        let owner: String = row.get(0);
        return Ok(Some(format!("the database belongs to `{owner}`, and `{}` may not act as it", identity.user)));
    }
    let name = name_for(&identity.database, "0123456789abcdef");
    let policy_allows = allows_disposable(session.settings, &name);
    Ok((!policy_allows).then(|| format!("`allow_databases` of drill.toml has no pattern for a name such as `{name}`")))
}
