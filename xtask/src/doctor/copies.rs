//! Databases that keep the rows of an earlier state of this one or of a database that is gone, and whether anybody would put them back.

use crate::doctor::check::Check;
use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::snapshot::copy::mark::Mark;
use crate::rows::snapshot::{Store, megabytes};
use crate::settings::Settings;
use crate::words::counted;

const NAME: &str = "copies";

struct Left {
    name: String,
    mark: Mark,
    /// Whether this role may drop it.
    owned: bool,
    /// None where this role may not ask.
    bytes: Option<u64>,
}

impl Left {
    fn in_words(&self) -> String {
        match self.bytes {
            Some(bytes) => format!("`{}` ({})", self.name, megabytes(bytes)),
            None => format!("`{}`", self.name),
        }
    }
}

/// One row for those that a snapshot of this checkout names, and one for each that nobody here would ever put back or drop. What cannot be
/// looked at ends no look at the rest.
pub fn look(connection: &mut Connection, settings: &Settings, database: &str) -> Vec<Check> {
    found(connection, settings, database).unwrap_or_else(|failure| vec![Check::skipped(NAME, failure.message)])
}

fn found(connection: &mut Connection, settings: &Settings, database: &str) -> Result<Vec<Check>> {
    let here = databases(connection)?;
    let known = Store::of(settings).databases()?;
    let (mine, others): (Vec<Left>, Vec<Left>) =
        left(connection)?.into_iter().partition(|left| known.contains(&left.mark.id));
    let strange = others.iter().filter_map(|left| {
        let of = &left.mark.of;
        let why = match () {
            () if of == database => "a copy of this one, of another checkout or without its record".to_owned(),
            () if left.owned && !here.contains(of) => format!("a copy of `{of}`, which is gone"),
            () => return None,
        };
        let seen = format!("{} is {why}", left.in_words());
        Some(Check::warn(NAME, seen, format!("drop the database `{}` when nobody needs its rows", left.name).into()))
    });
    let strange: Vec<Check> = strange.collect();
    Ok(kept(&mine).into_iter().chain(strange).collect())
}

fn kept(mine: &[Left]) -> Option<Check> {
    let all: u64 = mine.iter().filter_map(|left| left.bytes).sum();
    let seen = format!("{}, {} in all, for `restore --list`", counted(mine.len(), "earlier state"), megabytes(all));
    (!mine.is_empty()).then(|| Check::ok(NAME, seen))
}

fn databases(connection: &mut Connection) -> Result<Vec<String>> {
    let rows = connection.client().query("select datname::text from pg_catalog.pg_database", &[]);
    Ok(rows.could_not("list the databases")?.iter().map(|row| row.get(0)).collect())
}

fn left(connection: &mut Connection) -> Result<Vec<Left>> {
    const OF: &str = "
        select pg_catalog.pg_has_role(d.datdba, 'usage'),
               case when pg_catalog.has_database_privilege(d.oid, 'connect') then pg_catalog.pg_database_size(d.oid) end
          from pg_catalog.pg_database d where d.datname = $1";
    let mut found = Vec::new();
    for (name, mark) in Mark::all(connection)? {
        let row = connection.client().query_opt(OF, &[&name]).could_not("look at a copy")?;
        // Gone in between.
        let Some(row) = row else { continue };
        let bytes = row.get::<_, Option<i64>>(1).and_then(|bytes| u64::try_from(bytes).ok());
        found.push(Left { owned: row.get(0), bytes, name, mark });
    }
    Ok(found)
}
