//! Compares a copy with the target, whose tables take no rows meanwhile, and writes its record.

use crate::error::{Failure, Result};
use crate::postgres::counts::check_all_seen;
use crate::rows::snapshot::contents::{Source, sequences, tables};
use crate::rows::snapshot::copy::dressing::inside;
use crate::rows::snapshot::copy::keep::Kept;
use crate::rows::snapshot::copy::make::Made;
use crate::rows::snapshot::copy::remove::prune;
use crate::rows::snapshot::copy::sums::{Sum, sums};
use crate::rows::snapshot::{Copy, Manifest, Origin, Sequence, Snapshot, Store, Table, format_of, server_time};
use crate::schema::catalog::{Catalog, catalog_in};
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
            return match session.interrupt.status() {
                Some(status) => Err(Failure::interrupted(status)),
                None => Ok(Err(failure.message)),
            };
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
    Ok(Ok(target.manifest(session, here, reason, made.record())?))
}

/// The record of `database` as it is, as a copy that `copy` describes.
///
/// # Errors
/// As `seal`.
pub fn describe(session: &Session<'_>, database: &str, schemas: &[&str], reason: &str, copy: Copy) -> Result<Manifest> {
    let side = Side::read(session, database, schemas)?;
    let sums = sums(session, database, &side.sources)?;
    side.manifest(session, sums, reason, copy)
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
    schemas: Vec<String>,
    created_at: jiff::Timestamp,
    sources: Vec<Source>,
    sequences: Vec<Sequence>,
    ledger: Option<Vec<Entry>>,
    catalog: Catalog,
}

impl Side {
    fn read(session: &Session<'_>, database: &str, schemas: &[&str]) -> Result<Side> {
        session.connect_to(database)?.read(|transaction| {
            check_all_seen(transaction, schemas)?;
            Ok(Side {
                schemas: schemas.iter().map(|schema| (*schema).to_owned()).collect(),
                created_at: server_time(transaction)?,
                sources: tables(transaction, schemas)?,
                sequences: sequences(transaction, schemas)?,
                ledger: ledger_in(transaction, schemas[0])?.map(|ledger| ledger.rows),
                catalog: catalog_in(transaction, schemas)?,
            })
        })
    }

    fn manifest(self, session: &Session<'_>, sums: Vec<Sum>, reason: &str, copy: Copy) -> Result<Manifest> {
        let Side { schemas, created_at, sources, sequences, ledger, catalog } = self;
        let encoding = sources.first().and_then(|source| source.encoding.clone());
        Ok(Manifest {
            format: format_of(Some(&copy), &encoding),
            drill: env!("CARGO_PKG_VERSION").to_owned(),
            number: Some(Store::of(session.settings).next_number()?),
            created_at,
            reason: reason.to_owned(),
            origin: Origin::of(session),
            server_version: session.identity.version.clone(),
            schemas,
            tables: sources.iter().zip(sums).map(|(source, sum)| table(source, sum)).collect(),
            sequences,
            ledger,
            catalog: catalog.digest(),
            database: Some(copy),
            encoding,
        })
    }

    fn difference(&self, other: &Side) -> Option<&'static str> {
        let names = |side: &Side| side.sources.iter().map(Source::full_name).collect::<Vec<_>>();
        let parts = [
            (
                "the schema was changed meanwhile",
                inside(&self.catalog) != inside(&other.catalog) || names(self) != names(other),
            ),
            ("the ledger was written to meanwhile", self.ledger != other.ledger),
            ("a sequence moved meanwhile", self.sequences != other.sequences),
        ];
        parts.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
    }
}
