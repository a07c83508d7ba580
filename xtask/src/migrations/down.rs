//! Taking one migration back: its down script and its row in Prisma's ledger, in one transaction under Prisma's own
//! lock, so that a failure leaves neither.
//!
//! The row is deleted and not marked as rolled back: `prisma migrate status` of Prisma 6 calls a database with a marked
//! row up to date, and Prisma 7 keeps comparing its checksum (measured on 6.19 and 7.10). Our evidence is the audit
//! trail.
//!
//! What the script did to rows is looked at before it is kept: it runs once, the server says which tables it touched, and
//! if any, it is undone, what is in those tables is summed up, and it runs again.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{SimpleQueryMessage, Transaction};
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::digest::sha256;
use crate::error::{Failure, Result, Status};
use crate::guard::StagingTarget;
use crate::migrations::harm::Harm;
use crate::migrations::inventory::{Inventory, peek};
use crate::migrations::losses::{Loss, at_stake, relations};
use crate::migrations::prints::{Prints, prints_in};
use crate::postgres::activity::{self, PRISMA_LOCK};
use crate::postgres::connection::{Connection, CouldNot, failure, in_server_words};
use crate::schema::catalog::{Catalog, Concern, catalog_in, diff};
use crate::schema::external::parted;
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::place::Place;
use crate::schema::replay::{discard, line_of};
use crate::session::groundwork::External;

/// How long we wait for Prisma's lock, and for each table that the script changes: a session at work is not pushed aside,
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
    /// From the catalogs before and after a migration.
    Catalogs,
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
            Origin::Catalogs | Origin::Generated => format!("write the way back as `{}/down.sql`", self.migration),
        }
    }

    /// What is sent to the server. Prisma wraps the change of an enum in a transaction of its own, on two lines that
    /// say nothing else; inside of ours they would end it.
    fn statements(&self) -> String {
        match self.origin {
            Origin::Written | Origin::Catalogs => self.sql.clone(),
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
            Origin::Catalogs => write!(f, "the script from the catalogs for `{}`", self.migration),
            Origin::Generated => write!(f, "the script from Prisma's diff for `{}`", self.migration),
        }
    }
}

/// Runs `down` as `roll_back` will, where nothing is at stake; each statement for at most `limit`, where there is one.
///
/// # Errors
/// `blocked`, with what the server says against the script.
pub fn try_out(connection: &mut Connection, down: &Down, schemas: &[&str], limit: Option<Duration>) -> Result<()> {
    try_out_and(connection, down, schemas, limit, |_| Ok(((), true)))
}

/// As `try_out`, and lets `look` see what the script made before it is kept, under our own settings; `look` says whether it is.
///
/// # Errors
/// As `try_out`; what `look` says.
pub fn try_out_and<T>(
    connection: &mut Connection,
    down: &Down,
    schemas: &[&str],
    limit: Option<Duration>,
    look: impl FnOnce(&mut Transaction<'_>) -> Result<(T, bool)>,
) -> Result<T> {
    let schema = schemas.first().ok_or_else(|| Failure::bug("a rehearsal needs a schema"))?;
    begin_as_prisma(connection, schema)?;
    if let Some(limit) = limit {
        let sql = format!("set statement_timeout = {}", limit.as_millis());
        connection.client().batch_execute(&sql).could_not("set a time limit")?;
    }
    let refused = |failure: Failure| {
        let message = format!("{down} does not work: a rehearsal of it failed");
        failure.with_status(Status::Blocked).message(message).hint(down.remedy())
    };
    let ours = connection.settings_in_transaction();
    let mut transaction = connection.client().transaction().could_not("begin a transaction")?;
    run(&mut transaction, down).map_err(refused)?;
    transaction.batch_execute(&ours).could_not("look at what the script did")?;
    let (seen, is_kept) = look(&mut transaction)?;
    match is_kept {
        true => transaction.commit().could_not("commit").map_err(refused)?,
        false => transaction.rollback().could_not("undo a script")?,
    }
    discard(connection)?;
    Ok(seen)
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
    let answers =
        transaction.simple_query("select pg_catalog.pg_current_xact_id()").could_not("ask for the transaction")?;
    let id = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    id.map(str::to_owned).ok_or_else(|| Failure::bug("a transaction without a number"))
}

fn refused(down: &Down, sql: &str, error: postgres::Error) -> Failure {
    let is_in_use = error.code() == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
    let other = if is_in_use { "drop or change what depends on it" } else { "change the rows that are in its way" };
    let failure = Failure::failed(format!("{down} failed")).hint(format!("{}, or {other}", down.remedy()));
    in_server_words(failure, error, |answer| line_of(answer, sql))
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
    /// The schemas whose rows a snapshot holds.
    pub kept: &'a [String],
    /// The catalog that must be reached before anything is kept; None: it is compared afterwards.
    pub must_reach: Option<&'a Catalog>,
    /// What is left out of that.
    pub external: &'a External,
    /// For each statement.
    pub limit: Duration,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    pub dropped: usize,
    pub ledger_rows: u64,
    /// Tables of which only the first rows were compared, each as a sentence.
    pub samples: Vec<String>,
}

/// Runs the down script and deletes the ledger's row, or does neither.
///
/// # Errors
/// `blocked` when a session holds a lock, named; `different` when the ledger or the data is not what the plan was made
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
    lock(transaction, order.limit)?;
    check_ledger(transaction, order)?;
    close(transaction, relations(order.losses.unwrap_or_default()))?;
    let before = peek(transaction, ours, |transaction| {
        check_contents(transaction, order)?;
        Inventory::read(transaction)
    })?;
    let mut first = transaction.transaction().could_not("begin a savepoint")?;
    let after = run_and_look(&mut first, order, &before, ours)?;
    let unproven = order.unproven(&before, &after);
    let samples = if unproven.is_empty() {
        first.commit().could_not("end a savepoint")?;
        Vec::new()
    } else {
        first.rollback().could_not("undo the script")?;
        run_again(transaction, order, &before, &unproven, ours)?
    };
    check_catalog(transaction, order)?;
    let dropped = before.dropped(&after).len();
    Ok(RolledBack { dropped, ledger_rows: forget(transaction, order)?, samples })
}

/// Runs the script and says what is there then.
fn run_and_look(
    transaction: &mut Transaction<'_>,
    order: &Order<'_>,
    before: &Inventory,
    ours: &str,
) -> Result<Inventory> {
    run(transaction, order.down)?;
    transaction.batch_execute(ours).could_not("look at what the script did")?;
    let after = Inventory::read(transaction)?;
    check_dropped(order, &before.dropped(&after))?;
    Ok(after)
}

/// Runs the script once more, with what is in the tables `unproven` summed up before and after. Returns which of them were too large
/// for more than a sample.
fn run_again(
    transaction: &mut Transaction<'_>,
    order: &Order<'_>,
    before: &Inventory,
    unproven: &BTreeSet<u32>,
    ours: &str,
) -> Result<Vec<String>> {
    close(transaction, unproven.iter().map(|relation| before.stock.place((*relation, 0)).relation()))?;
    let then = peek(transaction, ours, |transaction| prints_in(transaction, &before.stock, Some(unproven), None))?;
    let after = run_and_look(transaction, order, before, ours)?;
    let now = prints_in(transaction, &after.stock, Some(unproven), Some(&before.stock))?;
    check_values(order, before, &after, (&then, &now))?;
    Ok(now.samples().collect())
}

/// Closes tables to writers.
fn close(transaction: &mut Transaction<'_>, relations: impl IntoIterator<Item = String>) -> Result<()> {
    for relation in relations {
        let lock = format!("lock table {relation} in access exclusive mode");
        transaction.batch_execute(&lock).could_not(&format!("lock {relation}"))?;
    }
    Ok(())
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

/// Prisma's lock that did not come within `LOCK_TIMEOUT` is told with who has it; of any other, the run says it.
fn name_the_holder(connection: &mut Connection, failure: Failure) -> Failure {
    if failure.message != MIGRATION_LOCK_HELD {
        return failure;
    }
    let holders = activity::lock_holders(connection).map(|holders| holders.first().map(|holder| holder.in_words()));
    let holder = holders.ok().flatten().unwrap_or_else(|| "it has just ended".to_owned());
    failure.because(holder).hint("wait for it to end, then run this again")
}

/// The applied migrations must be exactly those that the plan was made from: anything else means that another migration ran
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
    Err(Failure::different("the ledger is no longer what the plan was made from: another migration ran in between")
        .hint("run this again"))
}

fn ledger_of(order: &Order<'_>) -> String {
    format!("{}.{}", escape_identifier(order.schema), escape_identifier(LEDGER_TABLE))
}

/// Counts again what will be dropped or changed: what came since the user was asked was not consented to.
fn check_contents(transaction: &mut Transaction<'_>, order: &Order<'_>) -> Result<()> {
    let losses = order.losses.unwrap_or_default();
    let known: Vec<&Loss> = losses.iter().filter(|loss| loss.removal.now.is_some()).collect();
    let now = at_stake(transaction, known.iter().map(|loss| (Some(&loss.removal.then), &loss.removal.harm)))?;
    for (loss, (rows, values)) in known.iter().zip(now) {
        if values > loss.values || loss.removal.then.column.is_none() && rows > loss.rows {
            return Err(Failure::different(format!("{} has grown since the plan was made", loss.removal.then))
                .because(format!("{values} then {} were counted", loss.values))
                .hint("run this again, to see what is at stake now"));
        }
    }
    Ok(())
}

/// Only what the rehearsal dropped may be.
fn check_dropped(order: &Order<'_>, dropped: &[Place]) -> Result<()> {
    let Some(losses) = order.losses else { return Ok(()) };
    let is_known = |place: &Place| {
        let drops = losses.iter().filter(|loss| matches!(loss.removal.harm, Harm::Drops | Harm::DropsDefault));
        drops.map(|loss| &loss.removal.then).any(|then| then == place)
    };
    match dropped.iter().find(|place| !is_known(place)) {
        None => Ok(()),
        Some(place) => {
            Err(Failure::different(format!("{} would also drop {place}, which no migration made", order.down))
                .because("it did not in the rehearsal, so you were not asked about it")
                .hint("take it out of the way by hand, then run this again"))
        }
    }
}

impl Order<'_> {
    /// Tables in which something may be lost that no snapshot holds: what the script touched and, where no rehearsal says
    /// what it drops, that too.
    fn unproven(&self, before: &Inventory, after: &Inventory) -> BTreeSet<u32> {
        let dropped = before.stock.without(&after.stock).into_iter().map(|(relation, _)| before.stock.root(relation));
        let dropped = dropped.filter(|_| self.losses.is_none());
        let is_kept = |relation: &u32| self.kept.contains(&before.stock.place((*relation, 0)).schema);
        before.touched(after).chain(dropped).filter(|relation| !is_kept(relation)).collect()
    }
}

/// Deleting rows and changing values needs the same word as dropping them.
fn check_values(
    order: &Order<'_>,
    before: &Inventory,
    after: &Inventory,
    (then, now): (&Prints, &Prints),
) -> Result<()> {
    let dropped = if order.losses.is_none() { before.dropped_of(after, then) } else { None };
    let Some(loss) = dropped.or_else(|| then.worst(now)) else { return Ok(()) };
    let failure = Failure::different(format!("{} would {loss}", order.down));
    Err(match order.accept_data_loss {
        false => failure.hint("add --accept-data-loss: a snapshot is taken first"),
        true => failure
            .because("no snapshot holds it: it is in a schema of which the rehearsal showed nothing")
            .hint(format!("{}, so that it leaves this alone", order.down.remedy())),
    })
}

fn check_catalog(transaction: &mut Transaction<'_>, order: &Order<'_>) -> Result<()> {
    let Some(expected) = order.must_reach else { return Ok(()) };
    let schemas: Vec<&str> = expected.schemas.iter().map(String::as_str).collect();
    let (found, _) = parted(catalog_in(transaction, &schemas)?, order.external);
    let differences = diff(expected, &found);
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

/// The row of its application. Attempts that were marked as rolled back are the record of what happened before, and Prisma
/// passes over them.
fn forget(transaction: &mut Transaction<'_>, order: &Order<'_>) -> Result<u64> {
    let name = escape_literal(&order.down.migration);
    let sql = format!("delete from only {} where migration_name = {name} and rolled_back_at is null", ledger_of(order));
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
    use crate::migrations::losses::Removal;
    use crate::postgres::server::Database;
    use crate::schema::catalog::catalog;

    const LEDGER: &str = "create table _prisma_migrations (migration_name text, finished_at timestamptz default now(),
        rolled_back_at timestamptz); insert into _prisma_migrations (migration_name) values ('a'), ('b')";

    fn down(sql: &str) -> Down {
        Down { migration: "b".to_owned(), sql: sql.to_owned(), origin: Origin::Written }
    }

    fn loss(table: &str, column: Option<&str>, rows: u64, values: u64) -> Loss {
        let place = Place { schema: "public".into(), table: table.into(), column: column.map(str::to_owned) };
        Loss {
            removal: Removal { then: place.clone(), now: Some(place), harm: Harm::Drops },
            rows,
            values,
            is_exact: false,
        }
    }

    /// A database with a ledger, `sql` and two applied migrations, and what comes of taking the second back where anything may go.
    fn attempt(sql: &str, script: &str, losses: &[Loss], applied: &[&str]) -> (Database, Result<RolledBack>) {
        attempt_as(sql, script, losses, applied, Some("public"))
    }

    /// `kept`: the schema that a snapshot holds, where rows may go at all.
    fn attempt_as(
        sql: &str,
        script: &str,
        losses: &[Loss],
        applied: &[&str],
        kept: Option<&str>,
    ) -> (Database, Result<RolledBack>) {
        let mut database = Database::new();
        database.run(LEDGER);
        database.run(sql);
        let applied: Vec<String> = applied.iter().map(|name| (*name).to_owned()).collect();
        let order = Order {
            schema: "public",
            applied: &applied,
            down: &down(script),
            losses: Some(losses),
            accept_data_loss: kept.is_some(),
            kept: &kept.into_iter().map(str::to_owned).collect::<Vec<_>>(),
            must_reach: None,
            external: &External::NONE,
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
        assert_eq!(result.unwrap(), RolledBack { dropped: 1, ledger_rows: 1, samples: Vec::new() });
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
    fn what_depends_on_what_is_dropped_is_named() {
        let setup = "create table t (id int primary key); create table hand (t int references t); create view seen as select id from t";
        let (_, result) = attempt(setup, "drop table t", &[loss("t", None, 0, 0)], &BOTH);
        let failure = result.unwrap_err();
        insta::assert_snapshot!(failure.causes().collect::<Vec<_>>().join("\n"), @"ERROR: cannot drop table t because other objects depend on it (SQLSTATE 2BP01): constraint hand_t_fkey on table hand depends on table t, view seen depends on table t");
        let hint = failure.hint.unwrap().line(&crate::hint::Aim::default());
        assert!(hint.ends_with("or drop or change what depends on it"), "{hint}");
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
        assert!(result.unwrap_err().message.contains("another migration ran in between"));
        assert!(database.ask::<bool>("select pg_catalog.to_regclass('public.t') is not null"));
    }

    const ROWS: &str = "create table t (id int primary key, f float8, s text, at timestamp(6));
        insert into t select i, i + 0.5, null, '2026-01-01 00:00:00.000001' from pg_catalog.generate_series(1, 9) i;
        create schema trail; create table trail.step (id int); insert into trail.step values (1), (2);
        create table parts (k int, v int) partition by list (k); create table part partition of parts default;
        insert into parts values (1, 1)";

    #[test]
    fn a_script_that_changes_or_deletes_anything_anywhere_is_undone_without_a_word_that_it_may() {
        for (script, what) in [
            ("alter table t alter f type int", r#"change values of column "public"."t"."f", which holds 9 in 9 rows"#),
            ("alter table t alter f type float4 using 1", r#"change values of column "public"."t"."f", which holds 9 in 9 rows"#),
            ("alter table t alter at type date", r#"change values of column "public"."t"."at", which holds 9 in 9 rows"#),
            ("update t set f = 7 where id = 3", r#"change values of column "public"."t"."f", which holds 9 in 9 rows"#),
            ("delete from t where id > 7", r#"delete 2 rows of table "public"."t""#),
            ("truncate t", r#"delete 9 rows of table "public"."t""#),
            ("update parts set v = 2", r#"change values of column "public"."parts"."v", which holds 1 in 1 rows"#),
            ("truncate trail.step", r#"delete 2 rows of table "trail"."step""#),
            ("create function f() returns trigger language plpgsql as $$ begin delete from trail.step; return new; end $$;
              create trigger g before insert on t for each row execute function f(); insert into t values (10)",
             r#"delete 2 rows of table "trail"."step""#),
        ] {
            let (mut database, result) = attempt_as(ROWS, script, &[], &BOTH, None);
            assert_eq!(result.unwrap_err().message, format!("`b/down.sql` would {what}"), "{script}");
            let is_all_there = "select (select sum(f) from public.t) = 49.5 and (select count(*) from trail.step) = 2
                and (select min(at) > '2026-01-01' from public.t) and (select v from public.parts) = 1
                and (select count(*) from public._prisma_migrations) = 2";
            assert!(database.ask::<bool>(is_all_there), "{script}");
        }
    }

    #[test]
    fn a_script_that_loses_nothing_needs_no_word() {
        for script in [
            "alter table t alter f type numeric(9, 3), alter at type timestamp(6) with time zone, alter id type bigint",
            "alter table t alter f type text, add column n int default 4, add column r float8 default pg_catalog.random()",
            "alter table t rename f to g; update t set id = id; alter table t rename to u",
            "update t set s = 'was null' where s is null",
            "insert into t values (10)",
            "alter table parts detach partition part; alter table t set schema trail; alter table trail.step set schema public",
        ] {
            let (_, result) = attempt_as(ROWS, script, &[], &BOTH, None);
            assert!(result.is_ok(), "{script}: {result:?}");
        }
    }

    #[test]
    fn what_must_be_reached_is_looked_at_in_all_schemas_of_the_project() {
        for (script, is_reached) in [("drop table more.b", true), ("select 1", false)] {
            let mut database = Database::new();
            database.run(LEDGER);
            database.run("create schema more; create table more.a (id int)");
            let expected = catalog(&mut database.connection, &["public", "more"]).unwrap();
            database.run("create table more.b (id int)");
            let order = Order {
                schema: "public",
                applied: &BOTH.map(str::to_owned),
                down: &down(script),
                losses: None,
                accept_data_loss: false,
                kept: &[],
                must_reach: Some(&expected),
                external: &External::NONE,
                limit: Duration::from_secs(60),
            };
            let result = roll_back(&mut database.connection, &proven(), &order);
            assert_eq!(result.is_ok(), is_reached, "{script}: {result:?}");
        }
    }

    #[test]
    fn what_no_snapshot_holds_does_not_go_even_where_rows_may() {
        let (mut database, result) = attempt(ROWS, "delete from t; update trail.step set id = 9", &[], &BOTH);
        let failure = result.unwrap_err();
        assert_eq!(
            failure.message,
            r#"`b/down.sql` would change values of column "trail"."step"."id", which holds 2 in 2 rows"#
        );
        assert_eq!(database.ask::<i64>("select pg_catalog.count(*) from public.t"), 9);
        assert!(attempt(ROWS, "delete from t", &[], &BOTH).1.is_ok());
    }

    #[test]
    fn attempts_that_were_marked_as_rolled_back_stay_in_the_ledger() {
        let earlier = "insert into _prisma_migrations values ('b', null, now())";
        let (mut database, result) = attempt(earlier, "select 1", &[], &BOTH);
        assert_eq!(result.unwrap().ledger_rows, 1);
        let left =
            "select count(*) from public._prisma_migrations where migration_name = 'b' and rolled_back_at is not null";
        assert_eq!(database.ask::<i64>(left), 1);
    }

    #[test]
    fn prismas_own_transaction_lines_are_left_out_of_ours() {
        let sql = "-- AlterEnum\nBEGIN;\nselect 'BEGIN;';\nCOMMIT;\n";
        let generated = Down { origin: Origin::Generated, ..down(sql) };
        assert_eq!(generated.statements(), "-- AlterEnum\nselect 'BEGIN;';\n");
        assert_eq!(down(sql).statements(), sql);
    }
}
