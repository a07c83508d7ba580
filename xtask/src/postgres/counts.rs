//! Row counts of every table, of one moment: exact, or where nothing is destroyed and there is no time, those of the largest as the planner
//! estimates them, which is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Row, Transaction};
use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::headway::Headway;
use crate::hint::Hint;
use crate::postgres::connection::{Connection, CouldNot};

/// `schema.table` to its number of rows.
pub type Counts = BTreeMap<String, u64>;

/// How row security applies to this role, of a table `c` of `pg_class`; null where it does not. Forced, it applies to the owner too.
pub const ROW_SECURITY: &str = "
    case when not pg_catalog.row_security_active(c.oid) then null
         when not c.relforcerowsecurity then 'applies'
         when pg_catalog.pg_has_role(c.relowner, 'usage') then 'is forced on the owner'
         else 'is forced' end";

/// Every table that may hold rows, with the table that it is counted under: a partition counts for its root. Foreign
/// tables and foreign partitions are not listed, since to count them is to reach another server. Those of some schemas, or those of a
/// list of names.
fn tables() -> String {
    format!(
        "select n.nspname::text, c.relname::text, rn.nspname || '.' || r.relname, c.relkind = 'p',
                pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_any_column_privilege(c.oid, 'select'),
                {ROW_SECURITY}, c.relpages
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           join pg_catalog.pg_class r on r.oid = coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid)
           join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
          where (rn.nspname = any($1) or (n.nspname || '.' || c.relname) = any($2) or (rn.nspname || '.' || r.relname) = any($2))
            and c.relkind in ('r', 'p') and c.relpersistence <> 't'
          order by 1, 2"
    )
}

/// Tables in one statement; far below the depth at which the server gives up on a UNION.
const TABLES_PER_STATEMENT: usize = 500;

/// Of tables with so many pages in all, which is a gigabyte, it is told that they are being counted: no statement counts more, but for a
/// table that has more by itself.
const LARGE: i64 = 1 << 17;

/// Less than that is no time to count.
const LEAST: Duration = Duration::from_millis(1);

/// The rows of the tables that the role sees whole, and the tables of which it does not.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    pub counts: Counts,
    /// Those of `counts` that were not counted in time.
    pub estimated: BTreeSet<String>,
    pub uncounted: Vec<Uncounted>,
}

/// # Errors
/// `blocked`, with what would make every table countable.
pub fn all_counted(uncounted: &[Uncounted]) -> Result<()> {
    let Some(first) = uncounted.first() else { return Ok(()) };
    Err(Failure::blocked("this role may not count every row of every table")
        .because_all(uncounted.iter().map(ToString::to_string))
        .hint(first.hint()))
}

/// A table of which the role may not see every row: to count the others would be a lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncounted {
    schema: String,
    table: String,
    is_granted: bool,
    row_security: Option<RowSecurity>,
}

/// How row security applies to a role that sees less than all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowSecurity {
    Applies,
    /// To the owner too, and that is who we are, or whose rights we have.
    ForcedOnUs,
    Forced,
}

impl RowSecurity {
    /// Of what `ROW_SECURITY` says.
    pub fn read(said: &str) -> RowSecurity {
        match said {
            "applies" => RowSecurity::Applies,
            "is forced on the owner" => RowSecurity::ForcedOnUs,
            _ => RowSecurity::Forced,
        }
    }

    /// The same for a `hint:`, where a statement alone does it.
    pub fn hint(self, relation: &str) -> Hint {
        match self {
            RowSecurity::ForcedOnUs => Hint::sql(self.fix(relation).replace("; or", "; -- or")),
            RowSecurity::Applies | RowSecurity::Forced => self.fix(relation).into(),
        }
    }

    /// What lets the role, or another one, see every row of `relation`.
    pub fn fix(self, relation: &str) -> String {
        let statement = format!("alter table {relation} no force row level security");
        match self {
            RowSecurity::Applies => BY_ANOTHER.to_owned(),
            RowSecurity::ForcedOnUs => format!("{statement}; or connect as a role with BYPASSRLS"),
            RowSecurity::Forced => {
                format!("connect as a role with BYPASSRLS that may read it; or as the owner, who has run `{statement}`")
            }
        }
    }
}

const BY_ANOTHER: &str = "connect as the role that owns the tables, or as one with BYPASSRLS that may read them";

impl Uncounted {
    fn relation(&self) -> String {
        format!("{}.{}", escape_identifier(&self.schema), escape_identifier(&self.table))
    }

    fn fix(&self) -> String {
        self.row_security.map_or_else(|| BY_ANOTHER.to_owned(), |row_security| row_security.fix(&self.relation()))
    }

    fn hint(&self) -> Hint {
        self.row_security.map_or_else(|| BY_ANOTHER.into(), |row_security| row_security.hint(&self.relation()))
    }

    /// What a run that needs no rows says of it.
    pub fn note(&self) -> String {
        format!("not counted: {self}; to have it counted, {}", self.fix())
    }
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match (self.is_granted, self.row_security) {
            (false, _) => "this role has no SELECT on it",
            (true, Some(RowSecurity::ForcedOnUs)) => "its row security is forced, so it applies to the owner too",
            (true, _) => "its row security applies to this role",
        };
        write!(f, "table {}: {why}", self.relation())
    }
}

/// As `check_seen`, of every table of `schemas`.
pub fn check_all_seen(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<()> {
    let listed = transaction.query(&tables(), &[&schemas, &[""; 0].as_slice()]).could_not("look at the tables")?;
    all_counted(&listed.iter().filter_map(uncounted).collect::<Vec<_>>())
}

/// Whether the role sees every row of `tables` (`schema.table`), a partitioned one with its partitions.
///
/// # Errors
/// As `all_counted`.
pub fn check_seen(transaction: &mut Transaction<'_>, names: &[String]) -> Result<()> {
    let listed = transaction.query(&tables(), &[&[""; 0].as_slice(), &names]).could_not("look at the tables")?;
    all_counted(&listed.iter().filter_map(uncounted).collect::<Vec<_>>())
}

/// Counts all tables of `schemas` in one snapshot: one round trip for the list, one for the counts.
///
/// # Errors
/// `blocked` when the role may not see every row of a table (no SELECT, or row security applies to it): a count of less
/// than everything would be a lie.
pub fn counts(connection: &mut Connection, schemas: &[&str]) -> Result<Counts> {
    connection.read(|transaction| counts_in(transaction, schemas))
}

/// As `counts`, as `transaction` sees them; it must have row security off.
pub fn counts_in(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Counts> {
    let Survey { counts, uncounted, .. } = survey_in(transaction, schemas, &Headway::default(), None)?;
    all_counted(&uncounted).map(|()| counts)
}

/// As `counts`, of the tables that the role sees whole; in `budget` for all of them, where there is one.
pub fn survey(
    connection: &mut Connection,
    schemas: &[&str],
    headway: &Headway,
    budget: Option<Duration>,
) -> Result<Survey> {
    connection.read(|transaction| survey_in(transaction, schemas, headway, budget))
}

fn survey_in(
    transaction: &mut Transaction<'_>,
    schemas: &[&str],
    headway: &Headway,
    budget: Option<Duration>,
) -> Result<Survey> {
    let listed = transaction.query(&tables(), &[&schemas, &[""; 0].as_slice()]).could_not("list the tables")?;
    let hidden = listed.iter().filter_map(|row| Some((row.get::<_, String>(2), uncounted(row)?)));
    let hidden: BTreeMap<String, Uncounted> = hidden.collect();
    let seen = || listed.iter().filter(|row| !hidden.contains_key(row.get::<_, &str>(2)));
    let mut counts: Counts = seen().map(|row| (row.get(2), 0)).collect();
    let mut tables: Vec<Table> = seen()
        .filter(|row| !row.get::<_, bool>(3))
        .map(|row| Table {
            schema: row.get(0),
            name: row.get(1),
            counted_as: row.get(2),
            pages: row.get::<_, i32>(6).into(),
        })
        .collect();
    // Whoever has little time has counted all but the largest by then.
    tables.sort_by_key(|table| table.pages);
    let until = budget.map(|budget| Instant::now() + budget);
    let (work, mut rest, mut estimated) = (headway.part(tables.len()), tables.as_slice(), BTreeSet::new());
    while let Some(first) = rest.first() {
        work.step(tables.len() - rest.len() + 1, &format!("count {}", first.counted_as));
        let (some, others) = rest.split_at(in_one_statement(rest));
        if !in_time(transaction, until, |transaction| add_counts(transaction, some, &mut counts))? {
            some.iter().try_for_each(|table| add_estimate(transaction, table, &mut counts))?;
            estimated.extend(some.iter().map(|table| table.counted_as.clone()));
        }
        rest = others;
    }
    Ok(Survey { counts, estimated, uncounted: hidden.into_values().collect() })
}

/// How many of `tables`, at least one.
fn in_one_statement(tables: &[Table]) -> usize {
    let mut pages = 0;
    let few = tables.iter().take(TABLES_PER_STATEMENT).take_while(|table| {
        pages += table.pages;
        pages < LARGE
    });
    few.count().max(1)
}

/// Whether `count` was done by `until`. Of what was not, nothing stays.
fn in_time(
    transaction: &mut Transaction<'_>,
    until: Option<Instant>,
    count: impl FnOnce(&mut Transaction<'_>) -> std::result::Result<(), postgres::Error>,
) -> Result<bool> {
    const INTENT: &str = "count the rows";
    let Some(until) = until else { return count(transaction).could_not(INTENT).map(|()| true) };
    let left = until.saturating_duration_since(Instant::now());
    if left < LEAST {
        return Ok(false);
    }
    let mut point = transaction.transaction().could_not("begin a savepoint")?;
    let limit = format!("set local statement_timeout = {}", left.as_millis());
    point.batch_execute(&limit).could_not("set a time limit")?;
    match count(&mut point) {
        Ok(()) => {
            // The limit goes with the savepoint alone.
            point.rollback().could_not("end a savepoint").map(|()| true)
        }
        Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
            point.rollback().could_not("end a savepoint").map(|()| false)
        }
        Err(error) => Err(error).could_not(INTENT),
    }
}

/// What the planner expects: from the table's size now, and its density when it was last analysed.
fn add_estimate(transaction: &mut Transaction<'_>, table: &Table, counts: &mut Counts) -> Result<()> {
    let sql = format!("explain (format json) select from only {}", table.relation());
    let plan = transaction.query_one(&sql, &[]).could_not("ask how many rows there may be")?;
    let plan: serde_json::Value = plan.get(0);
    let rows = plan[0]["Plan"]["Plan Rows"].as_f64().unwrap_or_default();
    *counts.entry(table.counted_as.clone()).or_default() += rows as u64;
    Ok(())
}

/// A table that holds its rows in partitions is not read itself.
fn uncounted(row: &Row) -> Option<Uncounted> {
    let (is_granted, row_security) = (row.get(4), row.get::<_, Option<&str>>(5).map(RowSecurity::read));
    let is_seen = row.get(3) || is_granted && row_security.is_none();
    (!is_seen).then(|| Uncounted { schema: row.get(0), table: row.get(1), is_granted, row_security })
}

struct Table {
    schema: String,
    name: String,
    counted_as: String,
    pages: i64,
}

impl Table {
    fn relation(&self) -> String {
        format!("{}.{}", escape_identifier(&self.schema), escape_identifier(&self.name))
    }
}

fn add_counts(
    transaction: &mut Transaction<'_>,
    tables: &[Table],
    counts: &mut Counts,
) -> std::result::Result<(), postgres::Error> {
    let selects: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(index, table)| {
            // ONLY: the rows of an inheriting table are counted under its own name.
            format!("select {index}::int4, pg_catalog.count(*) from only {}", table.relation())
        })
        .collect();
    let rows = transaction.query(&selects.join("\nunion all\n"), &[])?;
    for row in rows {
        let (index, count): (i32, i64) = (row.get(0), row.get(1));
        *counts.entry(tables[index as usize].counted_as.clone()).or_default() += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::postgres::server::{Database, open_as};

    fn of(database: &mut Database, schemas: &[&str]) -> Vec<(String, u64)> {
        counts(&mut database.connection, schemas).unwrap().into_iter().collect()
    }

    fn pair(table: &str, rows: u64) -> (String, u64) {
        (table.to_owned(), rows)
    }

    #[test]
    fn every_table_is_counted_whatever_its_name() {
        let mut database = Database::new();
        database.run(
            r#"create table "odd "" name." (a int); insert into "odd "" name." select generate_series(1, 7);
               create table empty (a int); create view v as select 1; create schema other; create table other.t (a int);
               insert into other.t values (1)"#,
        );
        assert_eq!(of(&mut database, &["public"]), [pair("public.empty", 0), pair("public.odd \" name.", 7)]);
        assert_eq!(of(&mut database, &["other"]), [pair("other.t", 1)]);
        assert_eq!(of(&mut database, &[]), []);
    }

    #[test]
    fn a_partition_counts_for_its_root_and_an_heir_for_itself() {
        let mut database = Database::new();
        database.run(
            "create table log (a int) partition by range (a);
             create table log_1 partition of log for values from (0) to (10) partition by range (a);
             create table log_1_1 partition of log_1 for values from (0) to (10);
             create table log_2 partition of log default; insert into log select generate_series(1, 15);
             create table bare (a int) partition by range (a);
             create table base (a int); create table heir () inherits (base);
             insert into base values (1); insert into heir values (1), (2)",
        );
        let expected = [pair("public.bare", 0), pair("public.base", 1), pair("public.heir", 2), pair("public.log", 15)];
        assert_eq!(of(&mut database, &["public"]), expected);
    }

    #[test]
    fn what_is_not_counted_in_time_is_estimated_and_called_that_and_small_tables_come_first() {
        let mut database = Database::new();
        database.run(
            r#"create table "Large" (a int); insert into "Large" select generate_series(1, 300000);
               create table parted (a int) partition by range (a); create table parted_1 partition of parted default;
               insert into parted select generate_series(1, 300000); create table small (a int);
               insert into small values (1), (2); analyze"#,
        );
        let headway = Headway::default();
        let mut within = |budget| survey(&mut database.connection, &["public"], &headway, budget).unwrap();
        let exact = within(Some(Duration::from_secs(600)));
        assert_eq!((&exact.counts, exact.estimated.len()), (&within(None).counts, 0));
        // No time at all: nothing is counted, and all of it is said.
        let none = within(Some(Duration::ZERO));
        assert_eq!(none.estimated.len(), 3);
        let off = |name: &str| none.counts[name].abs_diff(exact.counts[name]);
        assert!(off("public.Large") < 3_000 && off("public.parted") < 3_000 && off("public.small") < 2, "{none:?}");
    }

    #[test]
    fn a_count_that_the_clock_ends_leaves_the_transaction_and_its_limits_as_they_were() {
        let mut database = Database::new();
        database.run("create table large (a int); insert into large select generate_series(1, 300000); analyze");
        database
            .connection
            .read(|transaction| {
                let limit = |transaction: &mut Transaction<'_>| -> String {
                    transaction.query_one("show statement_timeout", &[]).unwrap().get(0)
                };
                let before = limit(transaction);
                let soon = Some(Instant::now() + Duration::from_millis(200));
                let slow =
                    |transaction: &mut Transaction<'_>| transaction.batch_execute("select pg_catalog.pg_sleep(60)");
                assert!(!in_time(transaction, soon, slow)?);
                let later = Some(Instant::now() + Duration::from_secs(600));
                assert!(in_time(transaction, later, |transaction| transaction.batch_execute("select 1"))?);
                assert_eq!(
                    (limit(transaction), counts_in(transaction, &["public"])?["public.large"]),
                    (before, 300_000)
                );
                // Another error is none of the clock's.
                let wrong = |transaction: &mut Transaction<'_>| transaction.batch_execute("select 1 / 0");
                let failure = in_time(transaction, later, wrong).unwrap_err();
                assert!(failure.to_string().contains("count the rows"), "{failure}");
                Err::<(), _>(failure)
            })
            .unwrap_err();
    }

    #[test]
    fn another_server_is_not_reached_to_count() {
        let mut database = Database::new();
        database.run(
            "create extension file_fdw; create server files foreign data wrapper file_fdw;
             create foreign table outside (a int) server files options (filename '/nowhere');
             create table log (a int) partition by range (a);
             create foreign table log_old partition of log default server files options (filename '/nowhere')",
        );
        assert_eq!(of(&mut database, &["public"]), [pair("public.log", 0)]);
    }

    #[test]
    fn rows_that_the_role_may_not_see_are_an_error_and_not_a_smaller_number() {
        let mut database = Database::new();
        database.run(
            "create table open (a int); grant select on open to clerk; create table shut (a int);
             insert into shut values (1);
             alter table shut enable row level security; grant select on shut to clerk",
        );
        let failure = counts(&mut open_as("clerk", &database.name), &["public"]).unwrap_err();
        assert_eq!(failure.status, Status::Blocked);
        assert!(failure.causes().next().unwrap().contains("\"shut\""), "{failure:?}");
        assert_eq!(of(&mut database, &["public"]), [pair("public.open", 0), pair("public.shut", 1)]);
    }

    #[test]
    fn forced_row_security_holds_for_the_owner_and_the_way_out_is_true_for_it() {
        let mut database = Database::new();
        database.run(
            "create table open (a int); insert into open values (1); create table forced (a int);
             insert into forced values (1), (2); alter table forced enable row level security;
             alter table forced force row level security; create table alien (a int);
             create table log (a int) partition by range (a);
             create table log_1 partition of log for values from (0) to (10); create table log_2 partition of log default;
             alter table log_2 enable row level security; alter table log_2 force row level security;
             alter table log owner to clerk; alter table log_1 owner to clerk; alter table log_2 owner to clerk;
             alter table open owner to clerk; alter table forced owner to clerk",
        );
        let mut clerk = open_as("clerk", &database.name);
        let survey = survey(&mut clerk, &["public"], &Headway::default(), None).unwrap();
        assert_eq!(survey.counts.into_iter().collect::<Vec<_>>(), [pair("public.open", 1)]);
        let notes: Vec<String> = survey.uncounted.iter().map(Uncounted::note).collect();
        insta::assert_snapshot!(notes.join("\n"), @r#"
        not counted: table "public"."alien": this role has no SELECT on it; to have it counted, connect as the role that owns the tables, or as one with BYPASSRLS that may read them
        not counted: table "public"."forced": its row security is forced, so it applies to the owner too; to have it counted, alter table "public"."forced" no force row level security; or connect as a role with BYPASSRLS
        not counted: table "public"."log_2": its row security is forced, so it applies to the owner too; to have it counted, alter table "public"."log_2" no force row level security; or connect as a role with BYPASSRLS
        "#);
        let failure = counts(&mut clerk, &["public"]).unwrap_err();
        assert_eq!(failure.status, Status::Blocked);
        database.run(
            "alter table forced no force row level security; alter table log_2 no force row level security;
                      drop table alien",
        );
        assert_eq!(counts(&mut clerk, &["public"]).unwrap().get("public.forced"), Some(&2));
    }

    /// What each role is told of each table, and that it is true: who may do what the fix says does it, and sees every row then.
    #[test]
    fn the_way_out_is_true_for_the_owner_its_members_and_everybody_else() {
        let mut database = Database::new();
        let mut told = String::new();
        for role in ["landlord", "heir", "stepchild", "overseer", "clerk", "postgres"] {
            database.run(
                "drop table if exists plain, secured, forced;
                 create table plain as select 1 a; create table secured as select 1 a; create table forced as select 1 a;
                 alter table secured enable row level security; alter table forced enable row level security, force row level security;
                 alter table plain owner to landlord; alter table secured owner to landlord; alter table forced owner to landlord;
                 grant select on plain, secured, forced to stepchild, overseer, clerk; grant usage on schema public to public",
            );
            let mut connection = open_as(role, &database.name);
            let survey = survey(&mut connection, &["public"], &Headway::default(), None).unwrap();
            told += &format!("{role}: sees {}\n", survey.counts.keys().cloned().collect::<Vec<_>>().join(", "));
            for uncounted in &survey.uncounted {
                told += &format!("  {uncounted}\n  {}\n", uncounted.fix());
                if let Some((statement, _)) = uncounted.fix().split_once("; or connect") {
                    connection.client().batch_execute(statement).unwrap();
                    assert_eq!(counts(&mut connection, &["public"]).unwrap().len(), 3, "{role}");
                }
            }
        }
        insta::assert_snapshot!(told, @r#"
        landlord: sees public.plain, public.secured
          table "public"."forced": its row security is forced, so it applies to the owner too
          alter table "public"."forced" no force row level security; or connect as a role with BYPASSRLS
        heir: sees public.plain, public.secured
          table "public"."forced": its row security is forced, so it applies to the owner too
          alter table "public"."forced" no force row level security; or connect as a role with BYPASSRLS
        stepchild: sees public.plain
          table "public"."forced": its row security applies to this role
          connect as a role with BYPASSRLS that may read it; or as the owner, who has run `alter table "public"."forced" no force row level security`
          table "public"."secured": its row security applies to this role
          connect as the role that owns the tables, or as one with BYPASSRLS that may read them
        overseer: sees public.forced, public.plain, public.secured
        clerk: sees public.plain
          table "public"."forced": its row security applies to this role
          connect as a role with BYPASSRLS that may read it; or as the owner, who has run `alter table "public"."forced" no force row level security`
          table "public"."secured": its row security applies to this role
          connect as the role that owns the tables, or as one with BYPASSRLS that may read them
        postgres: sees public.forced, public.plain, public.secured
        "#);
    }

    #[test]
    fn what_a_role_does_not_see_whole_is_no_obstacle_to_who_asks_for_other_tables() {
        let mut database = Database::new();
        database.run(
            "create table open (a int); create table forced (a int); create schema other; create table other.parts (a int) partition by list (a);
             create table other.part partition of other.parts default; grant usage on schema other to clerk;
             alter table forced enable row level security, force row level security; alter table other.part enable row level security, force row level security;
             alter table open owner to clerk; alter table forced owner to clerk; alter table other.parts owner to clerk; alter table other.part owner to clerk",
        );
        let mut clerk = open_as("clerk", &database.name);
        let mut check = |relations: &[&str]| {
            let relations: Vec<String> = relations.iter().map(|name| (*name).to_owned()).collect();
            clerk.read(|transaction| check_seen(transaction, &relations))
        };
        check(&["public.open"]).unwrap();
        check(&[]).unwrap();
        for (hidden, relation) in [("public.forced", r#""public"."forced""#), ("other.parts", r#""other"."part""#)] {
            let failure = check(&["public.open", hidden]).unwrap_err();
            assert_eq!(failure.status, Status::Blocked);
            let hint =
                format!("alter table {relation} no force row level security; -- or connect as a role with BYPASSRLS");
            assert_eq!(*failure.hint.unwrap(), Hint::sql(hint));
        }
    }

    #[test]
    fn more_tables_than_one_statement_takes_are_counted_too() {
        let mut database = Database::new();
        database.run(
            "do $$ begin for i in 1..501 loop execute format('create table t%s as select 1 a', i); end loop; end $$",
        );
        let counts = of(&mut database, &["public"]);
        assert_eq!((counts.len(), counts.iter().map(|(_, rows)| rows).sum::<u64>()), (501, 501));
    }
}
