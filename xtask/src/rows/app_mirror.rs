//! What HotDash's app does with its facts: a copy of each opened session and each refresh goes into the mirror, with
//! the fact's own value and time. Done on the server, in the seeder's transaction, with knobs for what can go wrong on
//! the way.
//!
//! To feed a new mirror with the facts that are there, seed no rows.

use std::time::Duration;

use jiff::Timestamp;
use postgres::Transaction;

use crate::error::{Failure, Result};
use crate::guard::StagingTarget;
use crate::postgres::connection::{Connection, failure};

/// Of all facts that the app mirrors.
const TOPIC: &str = "dashboard.analytics";

/// Which facts are mirrored, each with the key that the mirror knows it by.
const MIRRORED: [(&str, &str); 2] = [("dashboard.session.opened", "view"), ("dashboard.refresh.triggered", "refresh")];

/// What goes wrong between the facts and the mirror; by default nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mishaps {
    /// Percent of each kind of facts that never arrive, spread evenly: exact to the row.
    pub drop_pct: f64,
    /// Percent that arrive twice; of a fact that is dropped too, one copy is left.
    pub duplicate_pct: f64,
    /// How long a fact is on its way: newer ones are not there yet. A fact that arrives carries its own time, not that
    /// of its arrival.
    pub delay: Duration,
}

impl Mishaps {
    fn are_none(&self) -> bool {
        self.drop_pct == 0.0 && self.duplicate_pct == 0.0 && self.delay.is_zero()
    }
}

/// Copies facts into the mirror: those that this very transaction has added, or all of them where the mirror has none
/// yet. What a mirror with facts in it lacks, it lacks still: that is for parity to find. Returns how many rows it got,
/// None where there is no mirror.
///
/// # Errors
/// `blocked` when mishaps are asked for and there is no mirror for them to happen to; `failed` when the server refuses
/// the rows.
pub fn feed(transaction: &mut Transaction<'_>, mishaps: &Mishaps, now: Timestamp) -> Result<Option<u64>> {
    if !is_there(transaction)? {
        return match mishaps.are_none() {
            true => Ok(None),
            false => Err(Failure::blocked("there is no mirror yet that rows could be missing from")
                .hint("cargo xtask mirror --sandbox")),
        };
    }
    let new = "xmin = pg_catalog.pg_current_xact_id()::xid";
    let which = if has_facts(transaction)? { new } else { "true" };
    copy_facts(transaction, which, mishaps, now).map(Some)
}

/// Feeds a mirror that has no facts yet with all there are; returns how many it got, None where a table of the two is
/// not there.
///
/// # Errors
/// `failed` when the server refuses the rows.
pub fn feed_mirror(connection: &mut Connection, _: &StagingTarget, now: Timestamp) -> Result<Option<u64>> {
    connection.write(|transaction| {
        no_time_limit(transaction)?;
        let facts = "select pg_catalog.to_regclass('public.\"DashboardFact\"') is not null";
        if ask(transaction, facts, &[])? { feed(transaction, &Mishaps::default(), now) } else { Ok(None) }
    })
}

/// So many rows may take longer than any statement should.
pub fn no_time_limit(transaction: &mut Transaction<'_>) -> Result<()> {
    let sql = "set local statement_timeout = 0";
    transaction.batch_execute(sql).map_err(|error| failure("begin to add rows", &error))
}

fn is_there(transaction: &mut Transaction<'_>) -> Result<bool> {
    ask(transaction, "select pg_catalog.to_regclass('public.facts') is not null", &[])
}

fn has_facts(transaction: &mut Transaction<'_>) -> Result<bool> {
    ask(transaction, "select exists (select from public.facts where topic = $1)", &[&TOPIC])
}

fn ask<T: postgres::types::FromSqlOwned>(
    transaction: &mut Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn postgres::types::ToSql + Sync)],
) -> Result<T> {
    transaction
        .query_one(sql, parameters)
        .map(|row| row.get(0))
        .map_err(|error| failure("look at the mirror to feed", &error))
}

/// `which` is a condition on the facts.
fn copy_facts(transaction: &mut Transaction<'_>, which: &str, mishaps: &Mishaps, now: Timestamp) -> Result<u64> {
    let arrived = now.checked_sub(jiff::SignedDuration::try_from(mishaps.delay).unwrap_or(jiff::SignedDuration::MAX));
    let arrived = if mishaps.delay.is_zero() { Timestamp::MAX } else { arrived.unwrap_or(Timestamp::MIN) };
    let facts = format!(
        "public.\"DashboardFact\" where \"factType\" = $1 and {which} and \"createdAt\" <= $2::timestamptz at time zone 'UTC'"
    );
    let mut rows = 0;
    for (fact_type, key) in MIRRORED {
        let facts_there: i64 =
            ask(transaction, &format!("select pg_catalog.count(*) from {facts}"), &[&fact_type, &arrived])?;
        let share = |percent: f64| (facts_there as f64 * percent / 100.0).round() as i64;
        // The n-th of a share falls on the row at which n whole steps of its width are full. Without a share the server
        // folds it away.
        let insert = format!(
            "insert into public.facts (project, topic, key, value, created_at)
             select \"shopDomain\", $3, $4, value, \"createdAt\" at time zone 'UTC'
               from (select *, pg_catalog.row_number() over () as number from {facts}) fact,
                    pg_catalog.generate_series(1, 1 - (number * $5 / $7 - (number - 1) * $5 / $7)
                                                    + (number * $6 / $7 - (number - 1) * $6 / $7))"
        );
        let (dropped, doubled, all) = (share(mishaps.drop_pct), share(mishaps.duplicate_pct), facts_there.max(1));
        rows += transaction
            .execute(&insert, &[&fact_type, &arrived, &TOPIC, &key, &dropped, &doubled, &all])
            .map_err(|error| failure("feed the mirror", &error))?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::postgres::server::Database;

    /// A database with a mirror, and a fact a minute of each kind up to `now`: 1,000 views, then 400 refreshes, then 10
    /// of another kind.
    fn database() -> Database {
        let mut database = Database::new();
        database.run(include_str!("../../../supabase/sql/analytics_facts_table.sql"));
        database.run(
            r#"create table "DashboardFact" (id serial primary key, "shopDomain" text not null, "factType" text not null,
                   value jsonb not null, "createdAt" timestamp(3) not null)"#,
        );
        add(&mut database, "dashboard.session.opened", 1000);
        add(&mut database, "dashboard.refresh.triggered", 400);
        add(&mut database, "shopify.orders.summary", 10);
        database
    }

    fn add(database: &mut Database, kind: &str, facts: u32) {
        database.run(&format!(
            r#"insert into "DashboardFact" ("shopDomain", "factType", value, "createdAt")
               select 'a.example.com', '{kind}', to_jsonb(i), timestamp '2026-11-22 12:00' - ({facts} - i) * interval '1 min'
                 from generate_series(1, {facts}) i"#
        ));
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn fed(database: &mut Database, mishaps: Mishaps) -> u64 {
        database.connection.write(|transaction| feed(transaction, &mishaps, now())).unwrap().unwrap()
    }

    fn rows(database: &mut Database, key: &str) -> i64 {
        database.ask(&format!("select count(*) from public.facts where key = '{key}'"))
    }

    #[test]
    fn a_mirror_gets_the_facts_that_the_app_mirrors_as_they_are() {
        let mut database = database();
        assert_eq!(fed(&mut database, Mishaps::default()), 1400);
        let same: bool = database.ask(
            r#"select count(*) = 1400 and bool_and(project = "shopDomain" and topic = 'dashboard.analytics')
                 from public.facts join public."DashboardFact" fact
                   on facts.value = fact.value and created_at = "createdAt" at time zone 'UTC'
                  and key = case "factType" when 'dashboard.session.opened' then 'view' when 'dashboard.refresh.triggered' then 'refresh' end"#,
        );
        assert!(same);
    }

    #[test]
    fn a_share_is_left_out_exactly_and_evenly() {
        let mut database = database();
        assert_eq!(fed(&mut database, Mishaps { drop_pct: 1.5, ..Mishaps::default() }), 985 + 394);
        // Of 200 views after another, 3 are gone wherever one begins to count.
        let slices: Vec<i64> = (0..5)
            .map(|slice| {
                database.ask(&format!(
                    "select count(*) from public.facts where key = 'view' and (value::int - 1) / 200 = {slice}"
                ))
            })
            .collect();
        assert_eq!(slices, [197; 5]);
        let mut all_gone = super::tests::database();
        assert_eq!(fed(&mut all_gone, Mishaps { drop_pct: 100.0, ..Mishaps::default() }), 0);
    }

    #[test]
    fn a_share_arrives_twice_and_the_youngest_not_yet() {
        let mut twice = database();
        assert_eq!(fed(&mut twice, Mishaps { duplicate_pct: 10.0, drop_pct: 1.0, ..Mishaps::default() }), 1090 + 436);
        let mut late = database();
        let delay = Duration::from_secs(30 * 60);
        assert_eq!(fed(&mut late, Mishaps { delay, ..Mishaps::default() }), 970 + 370);
        assert!(late.ask::<bool>("select max(created_at) = '2026-11-22 11:30Z' from public.facts"));
    }

    #[test]
    fn a_mirror_with_facts_gets_only_those_of_this_transaction() {
        let mut database = database();
        fed(&mut database, Mishaps { drop_pct: 50.0, ..Mishaps::default() });
        add(&mut database, "dashboard.session.opened", 7);
        assert_eq!(fed(&mut database, Mishaps::default()), 0, "they were added by another one");
        let in_one = database.connection.write(|transaction| {
            let add = r#"insert into public."DashboardFact" ("shopDomain", "factType", value, "createdAt")
                         select 'b', 'dashboard.session.opened', '1', '2026-11-22 11:00' from generate_series(1, 3)"#;
            transaction.batch_execute(add).unwrap();
            feed(transaction, &Mishaps::default(), now())
        });
        assert_eq!(in_one.unwrap(), Some(3));
        assert_eq!(rows(&mut database, "view"), 503);
    }

    #[test]
    fn without_a_mirror_there_is_nothing_to_feed_and_nothing_to_lose() {
        let mut database = Database::new();
        let mut feed = |mishaps| database.connection.write(|transaction| feed(transaction, &mishaps, now()));
        assert_eq!(feed(Mishaps::default()).unwrap(), None);
        let failure = feed(Mishaps { drop_pct: 1.0, ..Mishaps::default() }).unwrap_err();
        assert_eq!(failure.status, Status::Blocked);
    }
}
