//! Makes the copy.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot, failure};
use crate::rows::snapshot::Copy;
use crate::rows::snapshot::copy::mark::{Found, Mark};
use crate::session::Session;

/// Longest name that the server keeps whole.
const LONGEST: usize = 63;

/// A copy that nothing but its mark vouches for yet.
pub struct Made {
    pub name: String,
    pub oid: u32,
    pub mark: Mark,
    pub bytes: u64,
}

impl Made {
    /// As the manifest has it.
    pub fn record(&self) -> Copy {
        Copy { name: self.name.clone(), oid: self.oid, id: self.mark.id.clone(), bytes: self.bytes }
    }
}

/// The end is the target's: it is by that end that `allow_databases` knows what is disposable.
pub fn name_for(database: &str, id: &str) -> String {
    let begin = format!("drill_copy_{id}_");
    let cut = database.len().saturating_sub(LONGEST - begin.len());
    let cut = (cut..database.len()).find(|at| database.is_char_boundary(*at)).unwrap_or_default();
    format!("{begin}{}", &database[cut..])
}

/// Copies the target. `staying` is the one session of the run that stays in it. Err within: why the server does not, in a line; nothing is
/// left of it then.
///
/// # Errors
/// `failed` where the server does not answer; `interrupted`.
pub fn make(
    session: &Session<'_>,
    staying: &mut Connection,
    name: &str,
    id: &str,
) -> Result<std::result::Result<Made, String>> {
    let mark = Mark::of(session, staying, id)?;
    let away = session.leave(staying)?;
    let copied = copy(session, staying, name);
    drop(away);
    staying.limit_statements(session.settings.timeouts.query)?;
    if let Err(why) = copied? {
        return Ok(Err(why));
    }
    if let Err(failure) = label(staying, name, &mark) {
        let drop = format!("drop database {}", escape_identifier(name));
        staying.client().batch_execute("rollback").could_not("end a transaction")?;
        staying.client().batch_execute(&drop).could_not("drop the copy")?;
        return Ok(Err(failure.message));
    }
    let intent = "look at the copy";
    let found = Found::look(staying, name)?.ok_or_else(|| Failure::failed("the copy that was made is gone"))?;
    let size = "select pg_catalog.pg_database_size($1::pg_catalog.oid)";
    let bytes: i64 = staying.client().query_one(size, &[&found.oid]).could_not(intent)?.get(0);
    Ok(Ok(Made { name: name.to_owned(), oid: found.oid, mark, bytes: bytes.unsigned_abs() }))
}

/// Nobody gets into it before it is as closed as the target is.
fn copy(session: &Session<'_>, staying: &mut Connection, name: &str) -> Result<std::result::Result<(), String>> {
    let (target, copy) = (escape_identifier(&session.identity.database), escape_identifier(name));
    staying.limit_statements(session.settings.timeouts.snapshot)?;
    let work = session.headway.doing("the server copies the database");
    let sql = format!("create database {copy} template {target} allow_connections false");
    let answer = staying.client().batch_execute(&sql);
    drop(work);
    let Err(error) = answer else { return Ok(Ok(())) };
    if let Some(status) = session.interrupt.status() {
        return Err(Failure::interrupted(status));
    }
    match error.as_db_error() {
        Some(answer) => Ok(Err(format!("the server says: {}", answer.message()))),
        None => Err(failure("copy the database", error)),
    }
}

/// A new database is open to everybody, whatever the one that it was copied of is.
fn label(staying: &mut Connection, name: &str, mark: &Mark) -> Result<()> {
    let (copy, comment) = (escape_identifier(name), escape_literal(&mark.comment()));
    let sql = format!(
        "begin; comment on database {copy} is {comment}; revoke all on database {copy} from public;
         alter database {copy} allow_connections true; commit"
    );
    staying.client().batch_execute(&sql).could_not("mark the copy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copys_name_ends_as_the_targets_and_is_never_cut_by_the_server() {
        assert_eq!(name_for("shop_staging", "0123456789abcdef"), "drill_copy_0123456789abcdef_shop_staging");
        let long = format!("{}_staging", "x".repeat(55));
        let name = name_for(&long, "0123456789abcdef");
        assert_eq!(name.len(), LONGEST);
        assert!(name.starts_with("drill_copy_0123456789abcdef_xxx") && name.ends_with("_staging"), "{name}");
    }
}
