//! The mark: a database's comment that says whose copy it is, and of what. It is read without entering the database.

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Refusal, Result};
use crate::hint::Hint;
use crate::postgres::claim;
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::snapshot::{Copy, Snapshot};
use crate::session::Session;

/// Begins the comment.
const MARKER: &str = "staging drill: copy of a database ";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// As in the record.
    pub id: String,
    /// The database that it is a copy of.
    pub of: String,
    pub of_oid: u32,
    /// The claim of that database.
    pub claimed_at: Option<jiff::Timestamp>,
}

impl Mark {
    /// Of a copy of the target as it is now.
    ///
    /// # Errors
    /// As `claim::read`.
    pub fn of(session: &Session<'_>, connection: &mut Connection, id: &str) -> Result<Mark> {
        let claimed_at = claim::read(connection)?.map(|claim| claim.claimed_at);
        let (of, of_oid) = (session.identity.database.clone(), session.identity.database_oid);
        Ok(Mark { id: id.to_owned(), of, of_oid, claimed_at })
    }

    #[expect(clippy::expect_used, reason = "a mark holds nothing but text and numbers, which JSON always holds")]
    pub fn comment(&self) -> String {
        format!("{MARKER}{}", serde_json::to_string(self).expect("a mark holds nothing but text and numbers"))
    }

    /// Those of all databases of the server, with their names.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn all(connection: &mut Connection) -> Result<Vec<(String, Mark)>> {
        const MARKED: &str = "
            select d.datname::text, pg_catalog.shobj_description(d.oid, 'pg_database') from pg_catalog.pg_database d
             where pg_catalog.starts_with(pg_catalog.shobj_description(d.oid, 'pg_database'), $1) order by d.oid";
        let rows = connection.client().query(MARKED, &[&MARKER]).could_not("look for copies")?;
        Ok(rows.iter().filter_map(|row| Some((row.get(0), Mark::read(row.get(1))?))).collect())
    }

    fn read(comment: &str) -> Option<Mark> {
        serde_json::from_str(comment.strip_prefix(MARKER)?).ok()
    }
}

/// A database of the server, from outside.
pub struct Found {
    pub oid: u32,
    pub mark: Option<Mark>,
    /// Whether this role may act as its owner.
    owned: bool,
    /// Nobody may enter it and nothing is said about it: as the server makes a copy, before it is marked.
    unmarked: bool,
}

impl Found {
    /// None where there is no database of that name.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn look(connection: &mut Connection, name: &str) -> Result<Option<Found>> {
        const DATABASE: &str = "
            select d.oid, pg_catalog.shobj_description(d.oid, 'pg_database'), pg_catalog.pg_has_role(d.datdba, 'usage'), not d.datallowconn
              from pg_catalog.pg_database d where d.datname = $1";
        let row = connection.client().query_opt(DATABASE, &[&name]).could_not("look for a copy")?;
        Ok(row.map(|row| Found {
            oid: row.get(0),
            mark: row.get::<_, Option<&str>>(1).and_then(Mark::read),
            owned: row.get(2),
            unmarked: row.get::<_, Option<&str>>(1).is_none() && row.get(3),
        }))
    }

    /// Whether it is what a run that was killed had begun to make with that number, of whose name nobody else knows.
    pub fn is_begun(&self, id: &str) -> bool {
        self.doubt(id, None).is_none() || (self.unmarked && self.owned)
    }

    /// Why it is not the copy with that number; None where it is.
    pub fn doubt(&self, id: &str, oid: Option<u32>) -> Option<&'static str> {
        match &self.mark {
            None => Some("it has no mark of the drill"),
            Some(mark) if mark.id != id => Some("its mark is another copy's"),
            Some(_) if oid.is_some_and(|oid| oid != self.oid) => Some("it is another database of the same name"),
            Some(_) if !self.owned => Some("this role may not act as its owner"),
            Some(_) => None,
        }
    }
}

/// That the server still has the very database of `snapshot`, and that it is a copy of what the record says.
///
/// # Errors
/// `blocked` where it is gone, `refused` where another stands in its place.
pub fn prove(session: &Session<'_>, connection: &mut Connection, snapshot: &Snapshot, copy: &Copy) -> Result<()> {
    let Some(found) = Found::look(connection, &copy.name)? else {
        return Err(Failure::blocked(format!("the snapshot `{}` is gone", snapshot.name))
            .because(format!("its rows were in the database `{}`, which the server does not have any more", copy.name))
            .hint(Hint::run("restore --list")));
    };
    let origin = &snapshot.manifest.origin;
    let of_another = |mark: &Mark| (&mark.of, mark.of_oid) != (&origin.database, origin.database_oid);
    let doubt = found.doubt(&copy.id, Some(copy.oid));
    let doubt =
        doubt.or_else(|| found.mark.as_ref().is_some_and(of_another).then_some("it is a copy of another database"));
    let Some(doubt) = doubt else { return Ok(()) };
    let message = format!("`{}`: {doubt}", copy.name);
    let fix = "name another snapshot, and find out what that database is";
    Err(Failure::refused(&session.settings.target.name, vec![Refusal::new("snapshot", message, fix)])
        .hint(Hint::run("restore --list"))
        .message(format!("what stands in the place of the snapshot `{}` is not it", snapshot.name)))
}
