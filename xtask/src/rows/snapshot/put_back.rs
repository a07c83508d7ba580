//! Puts a snapshot's rows back in one transaction, which is committed only when the server holds exactly what the
//! snapshot says.
//!
//! What stands in the way of plain copying is taken drop and put back in the same transaction (`obstacles`). Sequences are restarted before
//! they are set: only that makes setting them part of the transaction.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use postgres::Transaction;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::error::{Failure, OrFail, Result};
use crate::headway::Headway;
use crate::interrupt::Interrupt;
use crate::postgres::cancel::interruptible;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::counts::Counts;
use crate::rows::snapshot::contents::{Source, tables};
use crate::rows::snapshot::copy::FromCopy;
use crate::rows::snapshot::indexes::LARGE;
use crate::rows::snapshot::manifest::{Contents, Manifest, Sequence, Snapshot, Table};
use crate::rows::snapshot::obstacles::Obstacles;
use crate::rows::snapshot::passing::Passing;
use crate::rows::snapshot::stale_views::stale_views;
use crate::rows::snapshot::take::{allow_time, copy_out, server_failure};
use crate::schema::place::Place;
use crate::session::Session;
use rowfile::{Reader, RowSum};

/// Where the rows of tables lie, in the text form of COPY.
pub trait Rows {
    /// # Errors
    /// `failed` where they cannot be read.
    fn of(&self, table: &Table) -> Result<Box<dyn BufRead + '_>>;
}

impl Rows for Snapshot {
    fn of(&self, table: &Table) -> Result<Box<dyn BufRead + '_>> {
        let unreadable = || format!("cannot read the snapshot's file `{}`", table.file);
        let packed = File::open(self.folder.join(&table.file)).failed(unreadable)?;
        Ok(Box::new(Reader::new(packed)))
    }
}

/// How a snapshot goes into the schema as it is now.
#[derive(Debug)]
pub struct Fit {
    tables: Vec<Fitted>,
    sequences: Vec<Sequence>,
    /// The same sequences as they are now.
    present: Vec<Sequence>,
    /// What will not be put back although the snapshot has it, each as a sentence.
    pub left_out: Vec<String>,
    /// Columns that the snapshot does not have, of tables that it fills: table and column. The server fills them with their defaults.
    pub filled: Vec<(String, String)>,
    /// What keeps rows out, each as a sentence: a table that is missing, a new column that must not be empty.
    pub misfits: Vec<String>,
}

#[derive(Debug)]
struct Fitted {
    table: Table,
    target: Source,
    /// Positions of the snapshot's columns that the table still has.
    kept: Vec<usize>,
    /// What the table must be now, or it is not replaced.
    guard: Option<Guard>,
    /// Has so many rows that its indexes are made again after them.
    is_large: bool,
}

/// That a table was written to since the snapshot only by those who dropped some of its columns and added them again.
#[derive(Debug)]
struct Guard {
    rows: u64,
    /// Positions of the snapshot's columns whose values were never dropped.
    untouched: Vec<usize>,
}

impl Fit {
    /// What will stand in the way, and what of that this role cannot take away; reads only.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn obstacles(&self, connection: &mut Connection) -> Result<Obstacles> {
        connection.read(|transaction| {
            let mut obstacles = self.obstacles_in(transaction)?;
            obstacles.add_sequences(transaction, &self.sequences)?;
            Ok(obstacles)
        })
    }

    fn obstacles_in(&self, transaction: &mut Transaction<'_>) -> Result<Obstacles> {
        let tables: Vec<&Table> = self.tables.iter().map(|fitted| &fitted.table).collect();
        let large: Vec<&Table> = self.tables.iter().filter(|one| one.is_large).map(|one| &one.table).collect();
        Obstacles::find(transaction, &tables, &large)
    }

    /// As if each table had the rows that `counts` says: of a sample.
    pub fn sized(mut self, counts: &Counts) -> Fit {
        for fitted in &mut self.tables {
            fitted.is_large = counts.get(&fitted.table.full_name()).is_some_and(|rows| *rows >= LARGE);
        }
        self
    }

    /// Materialized views that will show what was there before; reads only.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn stale_views(&self, connection: &mut Connection) -> Result<Vec<String>> {
        let tables: Vec<&Table> = self.tables.iter().map(|fitted| &fitted.table).collect();
        connection.read(|transaction| stale_views(transaction, &tables))
    }

    /// Whether all that the snapshot has goes back, and nothing that it lacks has to be made up.
    pub fn is_whole(&self) -> bool {
        self.left_out.is_empty() && self.filled.is_empty()
    }

    /// `schema.table` of what will be emptied and filled.
    pub fn tables(&self) -> impl Iterator<Item = (String, u64)> {
        self.tables.iter().map(|fitted| (fitted.table.full_name(), fitted.table.rows))
    }
}

impl Fitted {
    fn columns(&self) -> Vec<String> {
        self.kept.iter().map(|&index| self.table.columns[index].clone()).collect()
    }

    /// As if the snapshot had those columns alone.
    fn narrowed(&self, kept: Vec<usize>) -> Fitted {
        Fitted { table: self.table.clone(), target: self.target.clone(), kept, guard: None, is_large: self.is_large }
    }

    fn is_whole(&self) -> bool {
        self.kept.len() == self.table.columns.len()
    }
}

/// Lays `contents`, which `what` names, beside the schema. With `skip_missing`, tables that are not there are left out.
///
/// # Errors
/// `blocked`, naming everything that cannot go in.
pub fn fit(connection: &mut Connection, what: &str, contents: Contents<'_>, skip_missing: bool) -> Result<Fit> {
    let fit = beside(connection, contents, skip_missing)?;
    if fit.misfits.is_empty() { Ok(fit) } else { Err(fit.refused(what)) }
}

/// As `fit`, and says in the answer what cannot go in.
///
/// # Errors
/// `failed` with the server's words.
pub fn beside(connection: &mut Connection, contents: Contents<'_>, skip_missing: bool) -> Result<Fit> {
    let schemas: Vec<&str> = contents.schemas.iter().map(String::as_str).collect();
    let (mut there, sequences) = connection.read(|transaction| {
        Ok((tables(transaction, &schemas)?, crate::rows::snapshot::contents::sequences(transaction, &schemas)?))
    })?;
    let mut fit = Fit {
        tables: Vec::new(),
        sequences: Vec::new(),
        present: Vec::new(),
        left_out: Vec::new(),
        filled: Vec::new(),
        misfits: Vec::new(),
    };
    for table in contents.tables {
        let found = there.iter().position(|target| target.schema == table.schema && target.name == table.name);
        match found.map(|index| there.swap_remove(index)) {
            Some(target) => fit.add(table, Source { encoding: contents.encoding.clone(), ..target }),
            None if table.rows == 0 => {}
            None if skip_missing => {
                fit.left_out.push(format!("{} rows of `{}`, which is not there", table.rows, table.full_name()))
            }
            None => {
                fit.misfits.push(format!("the table `{}` ({} rows) is not there", table.full_name(), table.rows));
            }
        }
    }
    let names_one_there =
        |one: &&Sequence| sequences.iter().any(|other| other.schema == one.schema && other.name == one.name);
    fit.sequences = contents.sequences.iter().filter(names_one_there).cloned().collect();
    fit.present = sequences;
    Ok(fit)
}

impl Fit {
    /// Only `tables`, and only while each has as many rows as `now` says and, in columns that are not `lost`, the
    /// values that the snapshot has. Sequences are moved forward only: others may have drawn from them since.
    pub fn only(mut self, tables: &BTreeSet<String>, lost: &[Place], now: &Counts) -> Fit {
        self.tables.retain(|fitted| tables.contains(&fitted.table.full_name()));
        for fitted in &mut self.tables {
            let name = fitted.table.full_name();
            let lost: Vec<&Place> = lost.iter().filter(|place| place.full_table_name() == name).collect();
            let is_lost =
                |column: &String| lost.iter().any(|place| place.column.as_ref().is_none_or(|lost| lost == column));
            let untouched = fitted.kept.iter().copied().filter(|&index| !is_lost(&fitted.table.columns[index]));
            let rows = now.get(&name).copied().unwrap_or_default();
            fitted.guard = Some(Guard { rows, untouched: untouched.collect() });
        }
        let present = self.present.clone();
        let is_behind = |wanted: &Sequence| {
            let here = present.iter().find(|here| (&here.schema, &here.name) == (&wanted.schema, &wanted.name));
            here.is_some_and(|here| (here.last_value, here.is_called) < (wanted.last_value, wanted.is_called))
        };
        self.sequences.retain(is_behind);
        self
    }

    /// Leaves every table as it is.
    pub fn nothing(self) -> Fit {
        Fit {
            tables: Vec::new(),
            sequences: Vec::new(),
            present: Vec::new(),
            left_out: Vec::new(),
            filled: Vec::new(),
            misfits: self.misfits,
        }
    }

    /// Whether the schema, as it is, has a place for all that the snapshot holds.
    pub fn takes_all(&self) -> bool {
        self.misfits.is_empty() && self.left_out.is_empty()
    }

    /// Of what `what` names.
    pub fn refused(&self, what: &str) -> Failure {
        Failure::blocked(format!("{what} does not fit the schema as it is now"))
            .because_all(self.misfits.iter().cloned())
            .note("nothing was changed; `--skip-missing` leaves out the tables that are missing")
            .hint("bring the schema back to where it was: forward, backward or mirror")
    }

    fn add(&mut self, table: &Table, target: Source) {
        let is_new = |column: &&String| !table.columns.contains(column);
        if let Some(column) = target.required.iter().find(is_new).filter(|_| table.rows > 0) {
            self.misfits.push(format!(
                "the column `{column}` of `{}` must not be null, has no default, and the snapshot does not have it",
                table.full_name()
            ));
        }
        let (kept, gone): (Vec<usize>, Vec<usize>) =
            (0..table.columns.len()).partition(|&index| target.columns.contains(&table.columns[index]));
        let gone = gone
            .iter()
            .map(|&index| format!("column `{}` of `{}`, which is not there", table.columns[index], table.full_name()));
        self.left_out.extend(gone);
        let new = target.columns.iter().filter(|column| is_new(column) && table.rows > 0);
        self.filled.extend(new.map(|column| (table.full_name(), column.clone())));
        let is_large = table.rows >= LARGE;
        self.tables.push(Fitted { table: table.clone(), target, kept, guard: None, is_large });
    }
}

/// Replaces the rows of all fitting tables by the snapshot's; returns how many those are.
///
/// # Errors
/// `different` when the server then holds something other than the snapshot; `failed` when a row does not go in. The database is as it was.
pub fn put_back(session: &Session<'_>, snapshot: &Snapshot, fit: &Fit) -> Result<u64> {
    let Manifest { schemas, encoding, .. } = &snapshot.manifest;
    match &snapshot.manifest.database {
        None => put_back_from(session, schemas, snapshot, fit),
        Some(copy) => put_back_from(session, schemas, &FromCopy { session, copy, encoding }, fit),
    }
}

/// As `put_back`, of `rows`.
///
/// # Errors
/// As `put_back`.
pub fn put_back_from(session: &Session<'_>, schemas: &[String], rows: &impl Rows, fit: &Fit) -> Result<u64> {
    let limit = session.settings.timeouts.snapshot;
    let done = session.connect()?.write(|transaction| {
        interruptible(transaction, session.interrupt, |transaction| {
            in_transaction(transaction, (limit, &session.headway), (schemas, None), rows, fit)
        })
        .map_err(|failure| failure.note("the database is as it was before: all of it was one transaction"))
    });
    done.map(|done| done.rows)
}

/// Does as `put_back` and takes all of it back, in a database that nobody else looks at.
///
/// # Errors
/// As `put_back`.
pub fn try_out(
    connection: &mut Connection,
    (interrupt, limit): (&Interrupt, Duration),
    schemas: &[String],
    rows: &impl Rows,
    fit: &Fit,
) -> Result<PutBack> {
    let settings = [connection.settings_elsewhere(), connection.settings_in_transaction()];
    let path = connection.path_elsewhere().map(str::to_owned);
    let mut transaction = connection.client().transaction().could_not("begin a transaction")?;
    run(&mut transaction, "set up a trial", &settings)?;
    interruptible(&mut transaction, interrupt, |transaction| {
        in_transaction(transaction, (limit, &Headway::default()), (schemas, path.as_deref()), rows, fit)
    })
}

/// What came of it.
pub struct PutBack {
    pub rows: u64,
    /// Checks that the rows do not satisfy, and which are NOT VALID now.
    pub unsatisfied: Vec<String>,
}

fn in_transaction(
    transaction: &mut Transaction<'_>,
    (limit, headway): (Duration, &Headway),
    users: (&[String], Option<&str>),
    rows: &impl Rows,
    fit: &Fit,
) -> Result<PutBack> {
    if fit.tables.is_empty() {
        return Ok(PutBack { rows: 0, unsatisfied: Vec::new() });
    }
    allow_time(transaction, limit)?;
    fit.tables.iter().try_for_each(|fitted| check_guard(transaction, rows, fitted))?;
    let obstacles = fit.obstacles_in(transaction)?;
    run(transaction, "clear the way", &obstacles.drop)?;
    run(transaction, "empty the tables", &[truncate(fit)])?;
    look_where_the_users_look(transaction, users)?;
    let all = fit.tables().map(|(_, rows)| rows).sum();
    let mut passing = Passing::new(headway.rows(Some(all)).named("before indexes, keys and a comparison"));
    let copied = fit.tables.iter().map(|fitted| copy_in(transaction, rows, fitted, &mut passing));
    let sums = copied.collect::<Result<Vec<RowSum>>>()?;
    drop(passing);
    // What a deferred key still has to check stands in the way of changing a table.
    run(transaction, "check the rows", &["set constraints all immediate".to_owned()])?;
    make_again(transaction, headway, &obstacles.indexes)?;
    let mut unsatisfied = Vec::new();
    for check in &obstacles.checks {
        unsatisfied.extend((!check.add(transaction)?).then(|| check.shown.clone()));
    }
    make_again(transaction, headway, &obstacles.recreate)?;
    set_sequences(transaction, &fit.sequences)?;
    // A name in a row (a `regclass`) is printed as when the snapshot was taken.
    run(transaction, "set up the comparison", &["set local search_path = pg_catalog, pg_temp".to_owned()])?;
    let mut passing = Passing::new(headway.rows(Some(all)).named("read back and compared"));
    for (fitted, expected) in fit.tables.iter().zip(&sums) {
        compare(transaction, fitted, expected, &mut passing)?;
    }
    run(transaction, "force row security again", &obstacles.force)?;
    Ok(PutBack { rows: sums.iter().map(RowSum::rows).sum(), unsatisfied })
}

/// A function that a check, a generated column or an index calls may name tables without their schema: it finds them as it did when the
/// rows were written, in the datasource's schemas and on the path that a session begins with: on `path` where that is another database's.
fn look_where_the_users_look(
    transaction: &mut Transaction<'_>,
    (schemas, path): (&[String], Option<&str>),
) -> Result<()> {
    let set =
        "select pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', $1::text, nullif(coalesce($2::text,
                  (select reset_val from pg_catalog.pg_settings where name = 'search_path')), '')), true)";
    let schemas = schemas.iter().map(|schema| escape_identifier(schema)).collect::<Vec<_>>().join(", ");
    transaction.execute(set, &[&schemas, &path]).could_not("set the search path").map(drop)
}

fn run(transaction: &mut Transaction<'_>, intent: &str, statements: &[String]) -> Result<()> {
    statements.iter().try_for_each(|sql| transaction.batch_execute(sql).could_not(intent))
}

fn make_again(transaction: &mut Transaction<'_>, headway: &Headway, statements: &[String]) -> Result<()> {
    let work = headway.part(statements.len());
    statements.iter().enumerate().try_for_each(|(at, statement)| {
        work.step(at + 1, "indexes, keys and triggers");
        transaction.batch_execute(statement).could_not("put indexes, keys and triggers back")
    })
}

fn truncate(fit: &Fit) -> String {
    // ONLY: heirs are tables of their own. A partitioned table has nothing but its partitions, and refuses the word.
    let name = |fitted: &Fitted| match fitted.target.partitioned {
        true => fitted.target.sql_name(),
        false => format!("only {}", fitted.target.sql_name()),
    };
    format!("truncate {}", fit.tables.iter().map(name).collect::<Vec<_>>().join(", "))
}

/// Sends a table's rows; returns the sum of what was sent.
fn copy_in(
    transaction: &mut Transaction<'_>,
    rows: &impl Rows,
    fitted: &Fitted,
    passing: &mut Passing,
) -> Result<RowSum> {
    let intent = format!("put rows back into `{}`", fitted.table.full_name());
    let sql = fitted.target.copy_in(&fitted.columns());
    let mut writer = transaction.copy_in(&sql).could_not(&intent)?;
    let mut sum = RowSum::default();
    each_piece(rows, fitted, |piece| {
        sum.add(piece);
        passing.piece(sum.rows(), piece);
        writer.write_all(piece).map_err(|error| server_failure(&intent, error))
    })?;
    passing.table(sum.rows());
    writer.finish().could_not(&intent)?;
    Ok(sum)
}

/// Unpacks the rows of one table, in the columns that it still has.
fn each_piece(rows: &impl Rows, fitted: &Fitted, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let unreadable = || match fitted.table.file.as_str() {
        "" => format!("cannot read the snapshot's rows of `{}`", fitted.table.full_name()),
        file => format!("cannot read the snapshot's file `{file}`"),
    };
    let mut rows = rows.of(&fitted.table)?;
    loop {
        let piece = next_piece(&mut rows, fitted).failed(unreadable)?;
        if piece.is_empty() {
            return Ok(());
        }
        sink(&piece)?;
    }
}

/// The next rows as they go in: some bytes as they are or, where a column is gone, one row without it. Empty at the
/// end.
fn next_piece(rows: &mut impl BufRead, fitted: &Fitted) -> io::Result<Vec<u8>> {
    if fitted.is_whole() {
        let piece = rows.fill_buf()?.to_vec();
        rows.consume(piece.len());
        return Ok(piece);
    }
    let mut row = Vec::new();
    rows.read_until(b'\n', &mut row)?;
    let Some(line) = row.strip_suffix(b"\n") else { return Ok(row) };
    // A tab inside of a value is printed as `\t`.
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b'\t').collect();
    let field = |&index: &usize| fields.get(index).copied().unwrap_or_default();
    let mut kept = fitted.kept.iter().map(field).collect::<Vec<_>>().join(&b'\t');
    kept.push(b'\n');
    Ok(kept)
}

/// Closes the table to writers and makes sure that replacing it loses nothing.
fn check_guard(transaction: &mut Transaction<'_>, rows: &impl Rows, fitted: &Fitted) -> Result<()> {
    let Some(guard) = &fitted.guard else { return Ok(()) };
    let lock = format!("lock table {} in access exclusive mode", fitted.target.sql_name());
    run(transaction, "close a table to writers", &[lock])?;
    let narrow = fitted.narrowed(guard.untouched.clone());
    let now = sum_on_server(transaction, &fitted.target, &narrow.columns(), &mut Passing::untold())?;
    // Where rows went, values cannot be compared as a whole.
    let comparable = now.rows() == fitted.table.rows && !guard.untouched.is_empty();
    let same = now.rows() == guard.rows && (!comparable || now.checksum() == sum_of(rows, &narrow)?.checksum());
    if same {
        return Ok(());
    }
    Err(Failure::different(format!("`{}` was written to since the snapshot", fitted.table.full_name()))
        .because("a migration or another session did: replacing its rows by the snapshot's would lose that"))
}

/// Of the snapshot's own rows, in the columns of `fitted`.
fn sum_of(rows: &impl Rows, fitted: &Fitted) -> Result<RowSum> {
    let mut sum = RowSum::default();
    each_piece(rows, fitted, |piece| {
        sum.add(piece);
        Ok(())
    })?;
    Ok(sum)
}

fn set_sequences(transaction: &mut Transaction<'_>, sequences: &[Sequence]) -> Result<()> {
    for Sequence { schema, name, last_value, is_called } in sequences {
        let sql_name = format!("{}.{}", escape_identifier(schema), escape_identifier(name));
        let sequence = escape_literal(&sql_name);
        let sql = format!(
            "alter sequence {sql_name} restart; select pg_catalog.setval({sequence}, {last_value}, {is_called})"
        );
        transaction.batch_execute(&sql).could_not(&format!("set the sequence `{schema}.{name}`"))?;
    }
    Ok(())
}

/// The sum of the rows that the server has.
fn sum_on_server(
    transaction: &mut Transaction<'_>,
    source: &Source,
    columns: &[String],
    passing: &mut Passing,
) -> Result<RowSum> {
    let mut sum = RowSum::default();
    copy_out(transaction, source, columns, |piece| {
        sum.add(piece);
        passing.piece(sum.rows(), piece);
        Ok(())
    })?;
    passing.table(sum.rows());
    Ok(sum)
}

/// Reads the rows back from the server and compares them with what was sent and with what the manifest says.
fn compare(transaction: &mut Transaction<'_>, fitted: &Fitted, sent: &RowSum, passing: &mut Passing) -> Result<()> {
    let table = &fitted.table;
    let found = sum_on_server(transaction, &fitted.target, &fitted.columns(), passing)?;
    let as_sent = (found.rows(), found.checksum()) == (sent.rows(), sent.checksum());
    // The checksums of a copy are the server's, and were compared there.
    let comparable = fitted.is_whole() && !table.file.is_empty();
    let as_promised = sent.rows() == table.rows && (!comparable || sent.checksum() == table.checksum);
    if as_sent && as_promised {
        return Ok(());
    }
    Err(Failure::different(format!("`{}` does not hold what the snapshot says", table.full_name()))
        .because(format!(
            "the snapshot has {} rows, the server {}; checksum {}, server {}",
            table.rows,
            found.rows(),
            table.checksum,
            found.checksum()
        ))
        .hint("see whether a column's type or the server's version prints values in another way now"))
}
