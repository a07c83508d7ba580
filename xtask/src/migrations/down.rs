//! Taking one migration back: its down script and its row in Prisma's ledger, in one transaction under Prisma's own
//! lock, so that a failure leaves neither.
//!
//! The row is deleted and not marked as rolled back: `prisma migrate status` of Prisma 6 calls a database with a marked
//! row up to date, and Prisma 7 keeps comparing its checksum (measured on 6.19 and 7.10). Our evidence is the audit
//! trail.
//!
//! What a script drops is told by identity (relation and column numbers), not by name: a renamed column keeps its
//! values, and a column that is dropped and added again under its name has lost them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use postgres::Transaction;
use postgres::error::SqlState;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::error::{Failure, Result, Status};
use crate::guard::StagingTarget;
use crate::postgres::activity::{self, PRISMA_LOCK};
use crate::postgres::connection::{Connection, CouldNot, failure, in_server_words};
use crate::postgres::counts::{Counts, counts_in};
use crate::schema::catalog::{Catalog, Concern, catalog, catalog_in, diff};
use crate::schema::history::History;
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::place::Place;
use crate::schema::replay::{AsPrisma, apply, discard, in_throw_away_database, line_of};

/// How long we wait for Prisma's lock, and for each table that the script changes: somebody at work is not pushed aside,
/// and others do not queue behind us.
const LOCK_TIMEOUT: &str = "3s";

/// The script that takes one migration back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    pub migration: String,
    pub sql: String,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `down.sql` beside `migration.sql`.
    Written,
    /// Prisma's own difference between two points of the history.
    Generated,
}

impl Down {
    pub fn sha256(&self) -> String {
        sha256(&self.sql)
    }

    /// What to do about a script that does not work, to paste into an editor.
    pub fn remedy(&self) -> String {
        match self.origin {
            Origin::Written => format!("correct `{}/down.sql`", self.migration),
            Origin::Generated => format!("write the way back as `{}/down.sql`", self.migration),
        }
    }

    /// What is sent to the server. Prisma wraps the change of an enum in a transaction of its own, on two lines that
    /// say nothing else; inside of ours they would end it.
    fn statements(&self) -> String {
        match self.origin {
            Origin::Written => self.sql.clone(),
            Origin::Generated => {
                let own = |line: &&str| !matches!(line.trim(), "BEGIN;" | "COMMIT;");
                self.sql.lines().filter(own).map(|line| format!("{line}\n")).collect()
            }
        }
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Written => write!(f, "`{}/down.sql`", self.migration),
            Origin::Generated => write!(f, "the script from Prisma's diff for `{}`", self.migration),
        }
    }
}

/// What a script drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Its name when the script runs.
    pub then: Place,
    /// Its name in the database as it is now; None where an earlier script of the same run makes it.
    pub now: Option<Place>,
}

/// A removal with what is in it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    pub removal: Removal,
    pub rows: u64,
    /// Not null; of a table, its rows.
    pub values: u64,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.removal.now.as_ref().unwrap_or(&self.removal.then);
        match &place.column {
            None => write!(f, "{place}: {} rows", self.rows),
            Some(_) => write!(f, "{place}: {} values that are not null, in {} rows", self.values, self.rows),
        }
    }
}

/// One step of a rehearsal.
#[derive(Debug, Clone)]
pub struct RehearsedDown {
    pub removals: Vec<Removal>,
    /// The catalog of the history without the migration.
    pub expected: Catalog,
    /// What the script made of the history with it.
    pub found: Catalog,
}

/// What a throw-away database says of some down scripts before they run for real.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// The catalog of the whole history.
    pub start: Catalog,
    /// In the order of the scripts.
    pub rehearsed: Vec<RehearsedDown>,
}

/// Replays `history` in a throw-away database and takes its last migrations back with `downs`, newest first.
///
/// # Errors
/// `blocked`, naming the migration, when a script does not run or cannot run inside a transaction.
pub fn rehearse(
    admin: &mut Connection,
    open: impl Fn(&str) -> Result<Connection>,
    history: &History,
    prisma: AsPrisma<'_>,
    downs: &[Down],
) -> Result<Rehearsal> {
    let schemas = prisma.schemas;
    in_throw_away_database(admin, open, prisma, |connection| {
        let (kept, last) = history.migrations.split_at(history.migrations.len() - downs.len());
        kept.iter().try_for_each(|migration| apply(connection, migration, prisma))?;
        let mut points = vec![catalog(connection, schemas)?];
        for migration in last {
            apply(connection, migration, prisma)?;
            points.push(catalog(connection, schemas)?);
        }
        let start = points.pop().ok_or_else(|| Failure::bug("a history without an end"))?;
        let born = stock(connection, schemas)?;
        let mut present = born.clone();
        let mut rehearsed = Vec::new();
        for down in downs {
            let expected = points.pop().ok_or_else(|| Failure::bug("more down scripts than migrations"))?;
            try_out(connection, down, schemas)?;
            let after = stock(connection, schemas)?;
            let removals = present.without(&after).into_iter().map(|id| Removal {
                then: present.place(id),
                now: born.columns.contains_key(&id).then(|| born.place(id)),
            });
            let removals = removals.collect();
            present = after;
            rehearsed.push(RehearsedDown { removals, expected, found: catalog(connection, schemas)? });
        }
        Ok(Rehearsal { start, rehearsed })
    })
}

/// Runs `down` as `roll_back` will, where nothing is at stake.
///
/// # Errors
/// `blocked`, with what the server says against the script.
pub fn try_out(connection: &mut Connection, down: &Down, schemas: &[&str]) -> Result<()> {
    let schema = schemas.first().ok_or_else(|| Failure::bug("a rehearsal needs a schema"))?;
    begin_as_prisma(connection, schema)?;
    connection.write(|transaction| run(transaction, down)).map_err(|failure| {
        let message = format!("{down} does not work: a rehearsal of it failed");
        failure.with_status(Status::Blocked).message(message).hint(down.remedy())
    })?;
    discard(connection)
}

fn begin_as_prisma(connection: &mut Connection, schema: &str) -> Result<()> {
    discard(connection)?;
    connection.impersonate_prisma(schema).could_not("prepare a session for a script")
}

/// Sends the script as one request and makes sure that it left the transaction as it was.
fn run(transaction: &mut Transaction<'_>, down: &Down) -> Result<()> {
    let sql = down.statements();
    let before = transaction_id(transaction)?;
    transaction.batch_execute(&sql).map_err(|error| refused(down, &sql, error))?;
    if transaction_id(transaction).is_ok_and(|after| after == before) {
        return Ok(());
    }
    Err(Failure::failed(format!("{down} failed"))
        .because("it ends the transaction that it shares with the ledger: no COMMIT or ROLLBACK can stand in it")
        .hint(down.remedy()))
}

fn transaction_id(transaction: &mut Transaction<'_>) -> Result<String> {
    let row = transaction.query_one("select pg_catalog.pg_current_xact_id()::text", &[]);
    Ok(row.could_not("ask for the transaction")?.get(0))
}

fn refused(down: &Down, sql: &str, error: postgres::Error) -> Failure {
    let failure = Failure::failed(format!("{down} failed"))
        .hint(format!("{}, or change the rows that are in its way", down.remedy()));
    in_server_words(failure, error, |answer| line_of(answer, sql))
}

/// Relation and column number; 0 is the table itself.
pub type Id = (u32, i16);

/// Every table and column, by identity.
#[derive(Debug, Clone, Default)]
pub struct Stock {
    columns: BTreeMap<Id, Place>,
    /// Partitions to their root, whose columns and rows theirs are.
    roots: BTreeMap<u32, u32>,
}

impl Stock {
    /// All tables but partitions, each followed by its columns.
    pub fn of_roots(&self) -> impl Iterator<Item = (Id, Place)> {
        let roots = self.columns.iter().filter(|((relation, _), _)| !self.roots.contains_key(relation));
        roots.map(|(id, place)| (*id, place.clone()))
    }

    fn place(&self, id: Id) -> Place {
        self.columns[&id].clone()
    }

    /// What `later` does not have any more: whole tables without their columns, roots without their partitions.
    fn without(&self, later: &Stock) -> Vec<Id> {
        let gone = |id: &Id| !later.columns.contains_key(id);
        let caused = |&(relation, column): &Id| {
            let by_table = column != 0 && gone(&(relation, 0));
            let by_root = self.roots.get(&relation).is_some_and(|&root| column != 0 || gone(&(root, 0)));
            by_table || by_root
        };
        self.columns.keys().copied().filter(|id| gone(id) && !caused(id)).collect()
    }
}

fn stock(connection: &mut Connection, schemas: &[&str]) -> Result<Stock> {
    connection.read(|transaction| stock_in(transaction, schemas))
}

pub fn stock_in(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Stock> {
    const STOCK: &str = "
        select c.oid, coalesce(a.attnum, 0::int2), n.nspname::text, c.relname::text, a.attname::text,
               case when c.relispartition then pg_catalog.pg_partition_root(c.oid)::oid end
          from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          cross join lateral (
               select null::int2, null::name
               union all
               select a.attnum, a.attname from pg_catalog.pg_attribute a
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as a (attnum, attname)
         where n.nspname = any($1) and c.relkind in ('r', 'p') and c.relpersistence <> 't' and c.relname <> $2";
    let rows = transaction.query(STOCK, &[&schemas, &LEDGER_TABLE]).could_not("list the tables and columns")?;
    let mut stock = Stock::default();
    for row in rows {
        let relation: u32 = row.get(0);
        let place = Place { schema: row.get(2), table: row.get(3), column: row.get(4) };
        stock.columns.insert((relation, row.get(1)), place);
        if let Some(root) = row.get::<_, Option<u32>>(5) {
            stock.roots.insert(relation, root);
        }
    }
    Ok(stock)
}

/// Counts what is in `removals` now. What a pending migration has yet to make is empty.
///
/// # Errors
/// `failed` when the server refuses, as where row security hides rows from this role.
pub fn losses(connection: &mut Connection, removals: &[Removal], schemas: &[&str]) -> Result<Vec<Loss>> {
    connection.read(|transaction| {
        let there: BTreeSet<Place> = stock_in(transaction, schemas)?.columns.into_values().collect();
        let now = |removal: &'_ Removal| removal.now.clone().filter(|place| there.contains(place));
        let places: Vec<Option<Place>> = removals.iter().map(now).collect();
        let counted = contents(transaction, places.iter().map(Option::as_ref))?;
        let loss = |(removal, (rows, values)): (&Removal, (u64, u64))| Loss { removal: removal.clone(), rows, values };
        Ok(removals.iter().zip(counted).map(loss).collect())
    })
}

/// Rows and values of each place, in one statement; a place that is None has none.
fn contents<'a>(
    transaction: &mut Transaction<'_>,
    places: impl Iterator<Item = Option<&'a Place>>,
) -> Result<Vec<(u64, u64)>> {
    let places: Vec<Option<&Place>> = places.collect();
    let selects: Vec<String> =
        places.iter().enumerate().filter_map(|(at, place)| Some(count_of(at, (*place)?))).collect();
    let mut counted = vec![(0, 0); places.len()];
    if selects.is_empty() {
        return Ok(counted);
    }
    let rows = transaction.query(&selects.join("\nunion all\n"), &[]).could_not("count what would be lost")?;
    for row in rows {
        let (at, rows, values): (i32, i64, i64) = (row.get(0), row.get(1), row.get(2));
        counted[at as usize] = (rows.unsigned_abs(), values.unsigned_abs());
    }
    Ok(counted)
}

fn count_of(at: usize, place: &Place) -> String {
    let what = place.column.as_ref().map_or("*".to_owned(), |column| format!("t.{}", escape_identifier(column)));
    format!("select {at}::int4, pg_catalog.count(*), pg_catalog.count({what}) from {} t", place.relation())
}

/// One migration to take back for real.
#[derive(Debug)]
pub struct Order<'a> {
    /// The datasource's schema, where the ledger is.
    pub schema: &'a str,
    /// What the ledger must say is applied, and nothing else.
    pub applied: &'a [String],
    pub down: &'a Down,
    /// What the script may drop, with what was in it when the user was asked. None: not known beforehand, so it may drop
    /// what is empty.
    pub losses: Option<&'a [Loss]>,
    /// Whether rows may go at all.
    pub accept_data_loss: bool,
    /// The catalog that must be reached before anything is kept; None: it is compared afterwards.
    pub must_reach: Option<&'a Catalog>,
    /// For each statement.
    pub limit: Duration,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    pub dropped: usize,
    pub ledger_rows: u64,
}

/// Runs the down script and deletes the ledger's row, or does neither.
///
/// # Errors
/// `blocked` when somebody holds a lock, named; `different` when the ledger or the data is not what the plan was made
/// from, or when the script drops what it did not drop in the rehearsal; `failed` when it does not run.
pub fn roll_back(connection: &mut Connection, _: &StagingTarget, order: &Order<'_>) -> Result<RolledBack> {
    begin_as_prisma(connection, order.schema)?;
    let ours = connection.settings_in_transaction();
    let mut transaction = connection.client().transaction().could_not("begin a transaction")?;
    match attempt(&mut transaction, order, &ours) {
        Ok(done) => {
            transaction.commit().could_not("commit")?;
            Ok(done)
        }
        Err(failure) => {
            let _ = transaction.rollback();
            Err(name_the_holder(connection, failure))
        }
    }
}

fn attempt(transaction: &mut Transaction<'_>, order: &Order<'_>, ours: &str) -> Result<RolledBack> {
    let schemas = [order.schema];
    lock(transaction, order.limit)?;
    check_ledger(transaction, order)?;
    transaction.batch_execute("set local row_security = off").could_not("see every row")?;
    check_contents(transaction, order)?;
    let before = (stock_in(transaction, &schemas)?, counts_in(transaction, &schemas)?);
    transaction.batch_execute("set local row_security = on").could_not("prepare the script")?;
    run(transaction, order.down)?;
    transaction.batch_execute(ours).could_not("look at what the script did")?;
    let gone = before.0.without(&stock_in(transaction, &schemas)?);
    let dropped: Vec<Place> = gone.into_iter().map(|id| before.0.place(id)).collect();
    check_dropped(order, &dropped, &before.1)?;
    check_rows(order, &before.1, &counts_in(transaction, &schemas)?)?;
    check_catalog(transaction, order)?;
    Ok(RolledBack { dropped: dropped.len(), ledger_rows: forget(transaction, order)? })
}

fn lock(transaction: &mut Transaction<'_>, limit: Duration) -> Result<()> {
    let sql = format!(
        "set local lock_timeout = '{LOCK_TIMEOUT}'; set local statement_timeout = {};
         select pg_catalog.pg_advisory_xact_lock({PRISMA_LOCK})",
        limit.as_millis()
    );
    transaction.batch_execute(&sql).map_err(|error| match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => Failure::blocked(MIGRATION_LOCK_HELD),
        _ => failure("take Prisma's lock", error),
    })
}

const MIGRATION_LOCK_HELD: &str = "another session holds Prisma's migration lock";

/// A lock that did not come within `LOCK_TIMEOUT` is told with who has it.
fn name_the_holder(connection: &mut Connection, failure: Failure) -> Failure {
    let holders = if failure.message == MIGRATION_LOCK_HELD {
        activity::lock_holders(connection).map(|holders| holders.first().map(|holder| holder.in_words()))
    } else if failure.causes().any(|cause| cause.contains(SqlState::LOCK_NOT_AVAILABLE.code())) {
        activity::table_lock_holder(connection)
    } else {
        return failure;
    };
    let holder = holders.ok().flatten().unwrap_or_else(|| "it has just ended".to_owned());
    failure.with_status(Status::Blocked).because(holder).hint("wait for it to end, then run this again")
}

/// The applied migrations must be exactly those that the plan was made from: anything else means that somebody migrated
/// since.
fn check_ledger(transaction: &mut Transaction<'_>, order: &Order<'_>) -> Result<()> {
    let sql = format!(
        "select migration_name::text from only {} where rolled_back_at is null and finished_at is not null",
        ledger_of(order)
    );
    let rows = transaction.query(&sql, &[]).could_not("read the ledger")?;
    let found: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    if found == order.applied.iter().cloned().collect() {
        return Ok(());
    }
    Err(Failure::different("the ledger is no longer what the plan was made from: somebody migrated in between")
        .hint("run this again"))
}

fn ledger_of(order: &Order<'_>) -> String {
    format!("{}.{}", escape_identifier(order.schema), escape_identifier(LEDGER_TABLE))
}

/// Closes what will be dropped to writers, and counts it again: what came since the user was asked was not consented to.
fn check_contents(transaction: &mut Transaction<'_>, order: &Order<'_>) -> Result<()> {
    let losses = order.losses.unwrap_or_default();
    let relations: BTreeSet<String> = losses.iter().map(|loss| loss.removal.then.relation()).collect();
    for relation in relations {
        let lock = format!("lock table {relation} in access exclusive mode");
        transaction.batch_execute(&lock).could_not(&format!("lock {relation}"))?;
    }
    let known: Vec<&Loss> = losses.iter().filter(|loss| loss.removal.now.is_some()).collect();
    let now = contents(transaction, known.iter().map(|loss| Some(&loss.removal.then)))?;
    for (loss, (rows, values)) in known.iter().zip(now) {
        if values > loss.values || loss.removal.then.column.is_none() && rows > loss.rows {
            return Err(Failure::different(format!("{} has grown since the plan was made", loss.removal.then))
                .because(format!("{values} then {} were counted", loss.values))
                .hint("run this again, to see what is at stake now"));
        }
    }
    Ok(())
}

fn check_dropped(order: &Order<'_>, dropped: &[Place], before: &Counts) -> Result<()> {
    let Some(losses) = order.losses else { return check_dropped_is_empty(order, dropped, before) };
    match dropped.iter().find(|place| !losses.iter().any(|loss| loss.removal.then == **place)) {
        None => Ok(()),
        Some(place) => {
            Err(Failure::different(format!("{} would also drop {place}, which no migration made", order.down))
                .because("it did not in the rehearsal, so you were not asked about it")
                .hint("take it out of the way by hand, then run this again"))
        }
    }
}

/// A column of a table with rows counts as full: what was in it cannot be counted any more.
fn check_dropped_is_empty(order: &Order<'_>, dropped: &[Place], before: &Counts) -> Result<()> {
    let rows = |place: &Place| before.get(&format!("{}.{}", place.schema, place.table)).copied().unwrap_or(0);
    match dropped.iter().find(|place| rows(place) > 0) {
        Some(place) if !order.accept_data_loss => {
            Err(Failure::different(format!("{} would drop {place}, which holds {} rows", order.down, rows(place)))
                .hint("add --accept-data-loss: a snapshot is taken first"))
        }
        _ => Ok(()),
    }
}

/// Deleting rows needs the same word as dropping them.
fn check_rows(order: &Order<'_>, before: &Counts, after: &Counts) -> Result<()> {
    if order.accept_data_loss {
        return Ok(());
    }
    let fewer = |(table, rows): &(&String, &u64)| after.get(*table).is_some_and(|after| after < *rows);
    match before.iter().find(fewer) {
        None => Ok(()),
        Some((table, rows)) => {
            Err(Failure::different(format!("{} would delete {} rows of `{table}`", order.down, rows - after[table]))
                .hint("add --accept-data-loss: a snapshot is taken first"))
        }
    }
}

fn check_catalog(transaction: &mut Transaction<'_>, order: &Order<'_>) -> Result<()> {
    let Some(expected) = order.must_reach else { return Ok(()) };
    let differences = diff(expected, &catalog_in(transaction, &[order.schema])?);
    let differences = differences.iter().filter(|difference| difference.concern == Concern::Definition);
    let differences: Vec<String> = differences.map(ToString::to_string).collect();
    if differences.is_empty() {
        return Ok(());
    }
    let message = format!("{} does not bring the schema back to before its migration", order.down);
    Err(Failure::different(message)
        .because_all(differences)
        .hint(format!("{}, then run this again", order.down.remedy())))
}

/// All rows of the migration, settled attempts too: a row that stays would be compared with the file at the next deploy.
fn forget(transaction: &mut Transaction<'_>, order: &Order<'_>) -> Result<u64> {
    let name = escape_literal(&order.down.migration);
    let sql = format!("delete from only {} where migration_name = {name}", ledger_of(order));
    match transaction.execute(&sql, &[]).could_not("take the migration out of the ledger")? {
        0 => Err(Failure::different(format!("the ledger has no row of `{}` any more", order.down.migration))),
        rows => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::guard::proven;
    use crate::postgres::server::{Database, open};

    const LEDGER: &str = "create table _prisma_migrations (migration_name text, finished_at timestamptz default now(),
        rolled_back_at timestamptz); insert into _prisma_migrations (migration_name) values ('a'), ('b')";

    fn down(sql: &str) -> Down {
        Down { migration: "b".to_owned(), sql: sql.to_owned(), origin: Origin::Written }
    }

    fn loss(table: &str, column: Option<&str>, rows: u64, values: u64) -> Loss {
        let place = Place { schema: "public".into(), table: table.into(), column: column.map(str::to_owned) };
        Loss { removal: Removal { then: place.clone(), now: Some(place) }, rows, values }
    }

    /// A database with a ledger, `sql` and two applied migrations, and what comes of taking the second back.
    fn attempt(sql: &str, script: &str, losses: &[Loss], applied: &[&str]) -> (Database, Result<RolledBack>) {
        let mut database = Database::new();
        database.run(LEDGER);
        database.run(sql);
        let applied: Vec<String> = applied.iter().map(|name| (*name).to_owned()).collect();
        let order = Order {
            schema: "public",
            applied: &applied,
            down: &down(script),
            losses: Some(losses),
            accept_data_loss: true,
            must_reach: None,
            limit: Duration::from_secs(60),
        };
        let result = roll_back(&mut database.connection, &proven(), &order);
        (database, result)
    }

    const BOTH: [&str; 2] = ["a", "b"];

    #[test]
    fn script_and_ledger_change_together() {
        let (mut database, result) =
            attempt("create table t (c int)", "alter table t drop column c", &[loss("t", Some("c"), 0, 0)], &BOTH);
        assert_eq!(result.unwrap(), RolledBack { dropped: 1, ledger_rows: 1 });
        assert!(database.ask::<bool>("select pg_catalog.count(*) = 1 from public._prisma_migrations"));
    }

    #[test]
    fn a_table_that_grew_since_the_plan_is_not_dropped() {
        let (mut database, result) =
            attempt("create table t as select 1 as c", "drop table t", &[loss("t", None, 0, 0)], &BOTH);
        let failure = result.unwrap_err();
        assert_eq!(failure.status, Status::Different);
        assert!(failure.message.contains("has grown since the plan"), "{failure:?}");
        assert_eq!(database.ask::<i64>("select pg_catalog.count(*) from public.t"), 1);
        assert_eq!(database.ask::<i64>("select pg_catalog.count(*) from public._prisma_migrations"), 2);
    }

    #[test]
    fn what_nobody_was_asked_about_is_not_dropped() {
        let (mut database, result) = attempt("create table mine ()", "drop table mine", &[], &BOTH);
        assert!(result.unwrap_err().message.contains("would also drop table \"public\".\"mine\""));
        assert!(database.ask::<bool>("select pg_catalog.to_regclass('public.mine') is not null"));
    }

    #[test]
    fn a_ledger_that_changed_since_the_plan_stops_everything() {
        let (mut database, result) = attempt("create table t ()", "drop table t", &[loss("t", None, 0, 0)], &["a"]);
        assert!(result.unwrap_err().message.contains("somebody migrated in between"));
        assert!(database.ask::<bool>("select pg_catalog.to_regclass('public.t') is not null"));
    }

    #[test]
    fn a_rename_keeps_identity_and_a_second_column_of_the_name_does_not() {
        let mut database = Database::new();
        database.run("create table t (a int, b int); create table p (k int) partition by list (k); create table q partition of p default");
        let before = stock(&mut database.connection, &["public"]).unwrap();
        database.run("alter table t rename column a to c; alter table t drop column b; alter table t add column b int; drop table p");
        let after = stock(&mut database.connection, &["public"]).unwrap();
        let gone: Vec<String> = before.without(&after).into_iter().map(|id| before.place(id).to_string()).collect();
        assert_eq!(gone, ["column \"public\".\"t\".\"b\"", "table \"public\".\"p\""]);
    }

    #[test]
    fn prismas_own_transaction_lines_are_left_out_of_ours() {
        let sql = "-- AlterEnum\nBEGIN;\nselect 'BEGIN;';\nCOMMIT;\n";
        let generated = Down { origin: Origin::Generated, ..down(sql) };
        assert_eq!(generated.statements(), "-- AlterEnum\nselect 'BEGIN;';\n");
        assert_eq!(down(sql).statements(), sql);
    }

    #[test]
    fn the_rehearsal_names_what_goes_by_its_name_of_today() {
        let mut admin = Database::new().connection;
        let scripts = ["create table a (id int)", "alter table a rename to b"];
        let migrations =
            scripts.iter().enumerate().map(|(n, sql)| crate::schema::history::Migration::new(format!("{n}"), *sql));
        let history = History { provider: None, migrations: migrations.collect() };
        let downs = [down("alter table b rename to a"), down("drop table a")];
        let prisma = AsPrisma {
            schemas: &["public"],
            release: crate::schema::statements::Version::NEWEST,
            groundwork: crate::session::groundwork::Groundwork::NONE,
        };
        let rehearsal = rehearse(&mut admin, |name| Ok(open(name)), &history, prisma, &downs).unwrap();
        assert_eq!(rehearsal.rehearsed[0].removals, []);
        let [removal] = rehearsal.rehearsed[1].removals.as_slice() else {
            panic!("{:?}", rehearsal.rehearsed[1].removals)
        };
        assert_eq!((removal.then.table.as_str(), removal.now.as_ref().unwrap().table.as_str()), ("a", "b"));
    }
}
