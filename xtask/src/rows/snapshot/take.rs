//! Copies all rows into files, of one moment, in pieces: memory stays flat whatever the size.

use std::cmp::Reverse;
use std::io::{self, BufRead};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use postgres::Transaction;

use crate::digest::hex;
use crate::error::{Failure, OrFail, Result};
use crate::postgres::cancel::interruptible;
use crate::postgres::connection::{CouldNot, failure};
use crate::postgres::counts::{Counts, check_all_seen};
use crate::rows::snapshot::contents::{Source, sequences, tables};
use crate::rows::snapshot::copy::remove::prune;
use crate::rows::snapshot::manifest::{Manifest, Origin, Snapshot, Table, format_of};
use crate::rows::snapshot::passing::Passing;
use crate::rows::snapshot::store::{Draft, Store};
use crate::schema::catalog::catalog_in;
use crate::schema::ledger::ledger_in;
use crate::session::Session;
use rowfile::{Writer, Written};

/// Takes a snapshot of `schemas`, of which the first has the ledger, for the command `reason`, then prunes old ones. `rows` are those that
/// were counted before, as far as they were: they tell how long it takes, and nothing else.
///
/// # Errors
/// `blocked` when the disk has too little room or a row cannot be seen by this role; `failed` when the disk or the server gives up midway.
/// What was written is removed then, and the database was only read.
pub fn take_of(session: &Session<'_>, reason: &str, schemas: &[&str], rows: &Counts) -> Result<Snapshot> {
    let store = Store::of(session.settings);
    let mut snapshot = session.connect()?.read(|transaction| {
        interruptible(transaction, session.interrupt, |transaction| {
            in_transaction(session, transaction, &store, (schemas, rows), reason)
        })
    })?;
    prune(session, &mut snapshot)?;
    Ok(snapshot)
}

fn in_transaction(
    session: &Session<'_>,
    transaction: &mut Transaction<'_>,
    store: &Store,
    (schemas, rows): (&[&str], &Counts),
    reason: &str,
) -> Result<Snapshot> {
    allow_time(transaction, session.settings.timeouts.snapshot)?;
    check_all_seen(transaction, schemas)?;
    let sources = tables(transaction, schemas)?;
    let created_at = server_time(transaction)?;
    let draft = store.begin(created_at, sources.iter().map(|source| source.bytes).sum())?;
    let known: Option<u64> = sources.iter().map(|source| rows.get(&source.full_name())).sum::<Option<u64>>();
    let mut passing = Passing::new(session.headway.rows(known));
    let tables = Taking::of(&draft, &sources, session).run(transaction, &mut passing)?;
    let encoding = sources.first().and_then(|source| source.encoding.clone());
    let manifest = Manifest {
        format: format_of(None, &encoding),
        drill: env!("CARGO_PKG_VERSION").to_owned(),
        number: Some(store.next_number()?),
        created_at,
        reason: reason.to_owned(),
        origin: Origin::of(session),
        server_version: session.identity.version.clone(),
        schemas: schemas.iter().map(|schema| (*schema).to_owned()).collect(),
        tables,
        sequences: sequences(transaction, schemas)?,
        ledger: ledger_in(transaction, schemas[0])?.map(|ledger| ledger.rows),
        catalog: catalog_in(transaction, schemas)?.digest(),
        database: None,
        encoding,
    };
    draft.seal(manifest)
}

/// Tables on their way into files, by several sessions that see the same moment.
struct Taking<'a> {
    draft: &'a Draft,
    sources: &'a [Source],
    session: &'a Session<'a>,
    /// The largest first, so that no session is left alone with it at the end.
    order: Vec<usize>,
    next: AtomicUsize,
    taken: Mutex<Vec<Option<Table>>>,
    failed: AtomicBool,
}

/// In bytes, together: less is copied before a second session has logged in.
const WORTH_ANOTHER: u64 = 16 << 20;

impl<'a> Taking<'a> {
    fn of(draft: &'a Draft, sources: &'a [Source], session: &'a Session<'a>) -> Taking<'a> {
        let mut order: Vec<usize> = (0..sources.len()).collect();
        order.sort_by_key(|&at| Reverse(sources[at].bytes));
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Taking { draft, sources, session, order, next, taken: Mutex::new(vec![None; sources.len()]), failed }
    }

    /// In `transaction`, and in a second one beside it where that is worth it and the server lets it in.
    fn run(self, transaction: &mut Transaction<'_>, passing: &mut Passing) -> Result<Vec<Table>> {
        let small = self.sources.iter().map(|source| source.bytes).sum::<u64>() < WORTH_ANOTHER;
        let moment = if small || self.sources.len() < 2 { None } else { Some(export(transaction)?) };
        let mut another = passing.beside();
        thread::scope(|scope| {
            let beside = moment.map(|moment| {
                let (taking, another) = (&self, &mut another);
                scope.spawn(move || taking.beside(&moment, another))
            });
            let own = self.take(transaction, passing);
            let panicked = |_| Err(Failure::bug("a copy panicked"));
            own.and(beside.map_or(Ok(()), |beside| beside.join().unwrap_or_else(panicked)))
        })?;
        let taken = self.taken.into_inner().unwrap_or_else(PoisonError::into_inner);
        taken.into_iter().map(|table| table.ok_or_else(|| Failure::bug("a table was not copied"))).collect()
    }

    /// The server or the role may let in no more, or the moment may not be taken over: then the first does it alone.
    fn beside(&self, moment: &str, passing: &mut Passing) -> Result<()> {
        let Ok(mut connection) = self.session.connect() else { return Ok(()) };
        let taken = connection.read_at(moment, |transaction| {
            interruptible(transaction, self.session.interrupt, |transaction| {
                allow_time(transaction, self.session.settings.timeouts.snapshot)?;
                self.take(transaction, passing)
            })
        });
        taken.map(drop)
    }

    fn take(&self, transaction: &mut Transaction<'_>, passing: &mut Passing) -> Result<()> {
        while let Some(&at) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if self.failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let table = copy_table(transaction, self.draft, at, &self.sources[at], passing);
            let table = table.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
            self.taken.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(table);
        }
        Ok(())
    }
}

fn export(transaction: &mut Transaction<'_>) -> Result<String> {
    let moment = transaction.query_one("select pg_catalog.pg_export_snapshot()", &[]);
    Ok(moment.could_not("share the moment of a snapshot")?.get(0))
}

/// This machine's clock may be days off.
pub fn server_time(transaction: &mut Transaction<'_>) -> Result<Timestamp> {
    Ok(transaction.query_one("select pg_catalog.now()", &[]).could_not("ask the server for its time")?.get(0))
}

/// A whole table is one statement, and takes longer than any query of ours.
pub fn allow_time(transaction: &mut Transaction<'_>, timeout: Duration) -> Result<()> {
    let sql = format!("set local statement_timeout = {}", timeout.as_millis());
    transaction.batch_execute(&sql).could_not("set a time limit")
}

fn copy_table(
    transaction: &mut Transaction<'_>,
    draft: &Draft,
    index: usize,
    source: &Source,
    passing: &mut Passing,
) -> Result<Table> {
    // Not by the table's name, which may hold what a file's may not.
    let file = format!("{:04}.copy.lz4", index + 1);
    let unwritable = || draft.unwritable(&file);
    let mut writer = Writer::new(draft.create(&file)?);
    copy_out(transaction, source, &source.columns, |piece| {
        writer.add(piece).or_fail(unwritable)?;
        passing.piece(writer.rows(), piece);
        Ok(())
    })?;
    let Written { file: written, sha256, sum } = writer.finish().or_fail(unwritable)?;
    written.sync_all().or_fail(unwritable)?;
    passing.table(sum.rows());
    Ok(Table {
        schema: source.schema.clone(),
        name: source.name.clone(),
        columns: source.columns.clone(),
        rows: sum.rows(),
        checksum: sum.checksum(),
        file_sha256: hex(&sha256),
        file,
    })
}

/// Reads all rows of `columns` and gives them to `sink` in pieces.
pub fn copy_out(
    transaction: &mut Transaction<'_>,
    source: &Source,
    columns: &[String],
    sink: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    copy(transaction, source, &source.copy_out(columns), sink)
}

/// What `sql`, which copies rows of `source`, prints.
pub fn copy_text(transaction: &mut Transaction<'_>, source: &Source, sql: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    copy(transaction, source, sql, |piece| {
        text.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(text)
}

fn copy(
    transaction: &mut Transaction<'_>,
    source: &Source,
    sql: &str,
    mut sink: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let intent = format!("read the rows of `{}`", source.full_name());
    let mut reader = transaction.copy_out(sql).could_not(&intent)?;
    loop {
        let piece = reader.fill_buf().map_err(|error| server_failure(&intent, error))?;
        if piece.is_empty() {
            return Ok(());
        }
        sink(piece)?;
        let length = piece.len();
        reader.consume(length);
    }
}

/// What the server said, where the library has put it into an error of input and output.
pub fn server_failure(intent: &str, error: io::Error) -> Failure {
    match error.downcast::<postgres::Error>() {
        Ok(error) => failure(intent, error),
        Err(error) => Failure::failed(format!("could not {intent}")).caused_by(error),
    }
}
