//! Compares a copy with the target, whose tables take no rows meanwhile, and writes its record.

use crate::error::{Failure, Result};
use crate::postgres::counts::check_all_seen;
use crate::rows::snapshot::contents::{Source, sequences, tables};
use crate::rows::snapshot::copy::keep::Kept;
use crate::rows::snapshot::copy::make::Made;
use crate::rows::snapshot::copy::remove::prune;
use crate::rows::snapshot::copy::sums::{Sum, sums};
use crate::rows::snapshot::{FORMAT, Manifest, Origin, Sequence, Snapshot, Store, Table, server_time};
use crate::schema::catalog::catalog_in;
use crate::schema::ledger::{Entry, ledger_in};
use crate::session::Session;

/// Err within: in what the two differ, in a line; the copy is gone then.
///
/// # Errors
/// `blocked` when a row cannot be seen by this role; `failed` with the server's words.
pub fn seal(
    session: &Session<'_>,
    kept: Kept,
    schemas: &[&str],
    reason: &str,
) -> Result<std::result::Result<Snapshot, String>> {
    let mut snapshot = match compare(session, &kept.made, schemas, reason) {
        Ok(Ok(manifest)) => kept.draft.seal(manifest)?,
        Ok(Err(what)) => {
            kept.discard(session)?;
            return Ok(Err(what));
        }
        Err(failure) => {
            // Where it cannot be dropped now, the next copy finds it.
            let _ = kept.discard(session);
            return Err(failure);
        }
    };
    prune(session, &mut snapshot)?;
    Ok(Ok(snapshot))
}

fn compare(
    session: &Session<'_>,
    made: &Made,
    schemas: &[&str],
    reason: &str,
) -> Result<std::result::Result<Manifest, String>> {
    let target = Side::read(session, &session.identity.database, schemas)?;
    let copy = Side::read(session, &made.name, schemas)?;
    if let Some(what) = target.difference(&copy) {
        return Ok(Err(what.to_owned()));
    }
    let (here, there) = std::thread::scope(|scope| {
        let there = scope.spawn(|| sums(session, &made.name, &copy.sources));
        let here = sums(session, &session.identity.database, &target.sources);
        (here, there.join().unwrap_or_else(|_| Err(Failure::bug("a comparison panicked"))))
    });
    let (here, there) = (here?, there?);
    if let Some(at) = (0..here.len()).find(|&at| here[at] != there[at]) {
        return Ok(Err(format!("`{}` was written to meanwhile", target.sources[at].full_name())));
    }
    let tables = target.sources.iter().zip(here).map(|(source, sum)| table(source, sum)).collect();
    let Side { created_at, sequences, ledger, catalog, .. } = target;
    Ok(Ok(Manifest {
        format: FORMAT,
        drill: env!("CARGO_PKG_VERSION").to_owned(),
        number: Some(Store::of(session.settings).next_number()?),
        created_at,
        reason: reason.to_owned(),
        origin: Origin::of(session),
        server_version: session.identity.version.clone(),
        schemas: schemas.iter().map(|schema| (*schema).to_owned()).collect(),
        tables,
        sequences,
        ledger,
        catalog,
        database: Some(made.record()),
    }))
}

fn table(source: &Source, sum: Sum) -> Table {
    Table {
        schema: source.schema.clone(),
        name: source.name.clone(),
        columns: source.columns.clone(),
        rows: sum.rows,
        checksum: sum.checksum,
        file: String::new(),
        file_sha256: String::new(),
    }
}

/// What is compared beside the rows.
struct Side {
    created_at: jiff::Timestamp,
    sources: Vec<Source>,
    sequences: Vec<Sequence>,
    ledger: Option<Vec<Entry>>,
    catalog: String,
}

impl Side {
    fn read(session: &Session<'_>, database: &str, schemas: &[&str]) -> Result<Side> {
        session.connect_to(database)?.read(|transaction| {
            check_all_seen(transaction, schemas)?;
            Ok(Side {
                created_at: server_time(transaction)?,
                sources: tables(transaction, schemas)?,
                sequences: sequences(transaction, schemas)?,
                ledger: ledger_in(transaction, schemas[0])?.map(|ledger| ledger.rows),
                catalog: catalog_in(transaction, schemas)?.digest(),
            })
        })
    }

    fn difference(&self, other: &Side) -> Option<&'static str> {
        let names = |side: &Side| side.sources.iter().map(Source::full_name).collect::<Vec<_>>();
        let parts = [
            ("the schema was changed meanwhile", self.catalog != other.catalog || names(self) != names(other)),
            ("the ledger was written to meanwhile", self.ledger != other.ledger),
            ("a sequence moved meanwhile", self.sequences != other.sequences),
        ];
        parts.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
    }
}
