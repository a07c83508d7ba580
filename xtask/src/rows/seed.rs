//! Rows from the project's own SQL: its seed, and what feeds its mirror. Whatever is still empty then gets rows by type.
//!
//! A script learns what is wanted from settings of its transaction (docs/configuration.md lists them), and both run in one, so that
//! the second knows what the first has added.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use postgres::Transaction;

use crate::error::{Failure, Result};
use crate::guard::StagingTarget;
use crate::headway::Headway;
use crate::hint::Hint;
use crate::postgres::connection::{Connection, CouldNot, failure};
use crate::postgres::counts::{Counts, counts, counts_in};
use crate::rows::filler::fill_counted;
use crate::rows::seed_program;
use crate::session::Session;
use crate::settings::Settings;
use crate::words::number;
use pin::file;

/// What goes wrong between the rows and the mirror; by default nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MirrorFaults {
    /// Percent of each kind of rows that never arrive.
    pub drop_pct: f64,
    /// Percent that arrive twice.
    pub duplicate_pct: f64,
    /// How long a row is on its way: newer ones are not there yet.
    pub delay: Duration,
}

/// What is wanted of the scripts.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// How many rows each table gets.
    pub rows: u64,
    /// Whether a table that has rows is left alone.
    pub only_empty: bool,
    pub faults: MirrorFaults,
    pub now: Timestamp,
}

impl Wish {
    /// What `script` is at: rows that it adds in one statement nobody can count meanwhile.
    fn in_words(&self, script: &str) -> String {
        match self.rows {
            0 => script.to_owned(),
            rows => format!("`{script}` adds {} rows a table", number(rows)),
        }
    }

    /// As a program finds it in its environment.
    fn as_variables(&self) -> [(&'static str, String); 3] {
        [
            ("DRILL_ROWS", self.rows.to_string()),
            ("DRILL_ONLY_EMPTY", self.only_empty.to_string()),
            ("DRILL_NOW", self.now.to_string()),
        ]
    }
}

/// The project's scripts that make rows, in the order in which they run.
struct Script {
    /// As messages name it.
    name: String,
    sql: String,
}

/// Runs the project's seed and feeds its mirror, in one transaction unless the seed is a program; then fills what is still empty. Returns how many rows each
/// table gained.
///
/// # Errors
/// `blocked` when a mirror is to miss rows and there is none; `failed` when a script cannot be read, or the server refuses it:
/// nothing of both is kept then.
pub fn seed(session: &Session<'_>, wish: &Wish) -> Result<Counts> {
    let Session { settings, target, .. } = session;
    let (schema, schemas) = (target.dsn().schema.as_str(), target.schemas());
    let before = counts(&mut session.connection(), &schemas)?;
    let fed = mirrors(settings, schema).iter().all(|mirror| before.contains_key(mirror));
    if wish.faults != MirrorFaults::default() && !fed {
        return Err(
            Failure::blocked("there is no mirror yet that rows could be missing from").hint(Hint::run("mirror"))
        );
    }
    let (programs, sql): (Vec<&Path>, Vec<&Path>) =
        settings.prisma.seed.as_deref().into_iter().partition(|seed| seed_program::is_one(seed));
    programs.into_iter().try_for_each(|program| {
        let _work = session.headway.doing(&wish.in_words(&settings.shown(program)));
        seed_program::run(session, program, &wish.as_variables())
    })?;
    let feed = if fed { Script::read(settings, settings.supabase.feed_sql.as_deref())? } else { None };
    let scripts = Script::read(settings, sql.first().copied())?.into_iter().chain(feed);
    run((&mut session.connect()?, &session.headway), target, &scripts.collect::<Vec<_>>(), wish)?;
    fill(session, wish.rows)?;
    Ok(gained(&before, &counts(&mut session.connection(), &schemas)?))
}

/// Fills what is empty with rows by type, but for the mirror, which only its feed may fill. Returns how many rows each table gained.
///
/// # Errors
/// `failed` when the server cannot be asked.
pub fn fill(session: &Session<'_>, rows: u64) -> Result<Counts> {
    let schemas = session.target.schemas();
    let mut connection = session.connection();
    let before = counts(&mut connection, &schemas)?;
    if rows > 0 {
        let mirrors = mirrors(session.settings, &session.target.dsn().schema);
        fill_counted(&mut connection, (&schemas, &mirrors), rows, &session.headway)?;
    }
    Ok(gained(&before, &counts(&mut connection, &schemas)?))
}

/// Feeds the mirror alone; returns how many rows it gained.
///
/// # Errors
/// As `seed`.
pub fn feed(session: &Session<'_>, now: Timestamp) -> Result<u64> {
    let Some(script) = Script::read(session.settings, session.settings.supabase.feed_sql.as_deref())? else {
        return Ok(0);
    };
    let wish = Wish { rows: 0, only_empty: false, faults: MirrorFaults::default(), now };
    let gained = run((&mut session.connect()?, &session.headway), &session.target, &[script], &wish)?;
    Ok(gained.values().sum())
}

/// Tables that only the feed may fill.
fn mirrors(settings: &Settings, schema: &str) -> Vec<String> {
    settings.parity.pairs.iter().map(|pair| format!("{schema}.{}", pair.mirror.table)).collect()
}

impl Script {
    /// None where the project names none.
    fn read(settings: &Settings, path: Option<&Path>) -> Result<Option<Script>> {
        let Some(path) = path else { return Ok(None) };
        let name = settings.shown(path);
        match file::read_text(path, file::LONGEST) {
            Ok(sql) => Ok(Some(Script { name, sql })),
            Err(error) => {
                Err(Failure::failed(format!("cannot read `{name}`, which drill.toml names")).caused_by(error))
            }
        }
    }
}

fn run(
    (connection, headway): (&mut Connection, &Headway),
    target: &StagingTarget,
    scripts: &[Script],
    wish: &Wish,
) -> Result<Counts> {
    connection.impersonate_prisma(&target.dsn().schema).could_not("prepare a session for a script")?;
    connection.write(|transaction| {
        let before = counts_in(transaction, &target.schemas())?;
        tell(transaction, wish)?;
        for Script { name, sql } in scripts {
            let _work = headway.doing(&wish.in_words(name));
            transaction
                .batch_execute(sql)
                .map_err(|error| failure(&format!("run `{name}`"), error).hint(format!("correct `{name}`")))?;
        }
        Ok(gained(&before, &counts_in(transaction, &target.schemas())?))
    })
}

/// So many rows may take longer than any statement should.
fn tell(transaction: &mut Transaction<'_>, wish: &Wish) -> Result<()> {
    let Wish { rows, only_empty, faults, now } = wish;
    let settings = [
        ("statement_timeout", "0".to_owned()),
        ("drill.rows", rows.to_string()),
        ("drill.only_empty", only_empty.to_string()),
        ("drill.now", now.to_string()),
        ("drill.mirror_drop_pct", faults.drop_pct.to_string()),
        ("drill.mirror_duplicate_pct", faults.duplicate_pct.to_string()),
        ("drill.mirror_delay_seconds", faults.delay.as_secs().to_string()),
    ];
    settings.iter().try_for_each(|(name, value)| {
        let set = transaction.query("select pg_catalog.set_config($1, $2, true)", &[name, value]);
        set.map(|_| ()).could_not("begin to add rows")
    })
}

fn gained(before: &Counts, after: &Counts) -> Counts {
    let more = |(table, rows): (&String, &u64)| {
        let more = rows.saturating_sub(before.get(table).copied().unwrap_or(0));
        (more > 0).then(|| (table.clone(), more))
    };
    after.iter().filter_map(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::proven;
    use crate::postgres::server::Database;

    const SEED: &str = include_str!("../../../prisma/seed.sql");
    const FEED: &str = include_str!("../../../supabase/sql/feed_facts.sql");
    const TABLES: [&str; 3] = ["Session", "DashboardFact", "DecisionLog"];

    /// HotDash's tables as its migrations make them.
    fn models() -> Database {
        let mut database = Database::new();
        let folder = chores::workspace().join("prisma/postgres/migrations");
        let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join("migration.sql"));
        let mut scripts: Vec<_> = folders.filter(|script| script.is_file()).collect();
        scripts.sort();
        scripts.iter().for_each(|script| database.run(&std::fs::read_to_string(script).unwrap()));
        database
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn wish(rows: u64) -> Wish {
        Wish { rows, only_empty: false, faults: MirrorFaults::default(), now: now() }
    }

    fn try_run(database: &mut Database, sql: &str, wish: &Wish) -> Result<Counts> {
        let script = Script { name: "a script".to_owned(), sql: sql.to_owned() };
        run((&mut database.connection, &Headway::default()), &proven(), &[script], wish)
    }

    fn seeded(database: &mut Database, wish: &Wish) -> Vec<u64> {
        let gained = try_run(database, SEED, wish).unwrap();
        TABLES.iter().map(|table| gained.get(&format!("public.{table}")).copied().unwrap_or(0)).collect()
    }

    #[test]
    fn every_table_gets_the_rows_asked_for_none_included() {
        let mut database = models();
        assert_eq!(seeded(&mut database, &wish(0)), [0, 0, 0]);
        assert_eq!(seeded(&mut database, &wish(1001)), [1001, 1001, 1001]);
        database.run("delete from \"DecisionLog\"");
        assert_eq!(seeded(&mut database, &Wish { only_empty: true, ..wish(7) }), [0, 0, 7]);
    }

    #[test]
    fn seeding_again_adds_fresh_keys_even_after_rows_were_deleted() {
        let mut database = models();
        seeded(&mut database, &wish(300));
        database.run(
            r#"delete from "Session" where right(id, 2) < '80'; insert into "Session" (id, shop, state, "accessToken")
                        values ('offline_shop', 's', 't', 'u')"#,
        );
        assert_eq!(seeded(&mut database, &wish(300)), [300, 300, 300]);
        let free: bool = database
            .ask(r#"select nextval('public."DashboardFact_id_seq"') > (select max(id) from public."DashboardFact")"#);
        assert!(free, "the sequence is behind the keys");
    }

    #[test]
    fn equal_databases_get_equal_rows() {
        let digest = || -> String {
            let mut database = models();
            seeded(&mut database, &wish(500));
            seeded(&mut database, &wish(500));
            database.ask(
                r#"select md5(string_agg(f::text, '' order by id)) || (select md5(string_agg(s::text, '' order by id))
                              from public."Session" s) from public."DashboardFact" f"#,
            )
        };
        assert_eq!(digest(), digest());
    }

    #[test]
    fn rows_are_believable() {
        let mut database = models();
        seeded(&mut database, &wish(2000));
        for (true_of_all, what) in [
            (r#""createdAt" between '2026-10-23 12:00' and '2026-11-22 12:00'"#, "made in the last 30 days"),
            (r#""updatedAt" between "createdAt" and '2026-11-22 12:00'"#, "changed after they were made"),
        ] {
            let sql = format!("select bool_and({true_of_all}) from public.\"DashboardFact\"");
            assert!(database.ask::<bool>(&sql), "not {what}");
        }
        let spread = r#"select max("createdAt") - min("createdAt") > interval '29 days' from public."DashboardFact""#;
        assert!(database.ask::<bool>(spread));
        let unicode = r#"select bool_or(value::text ~ '[^ -~]') from public."DashboardFact""#;
        assert!(database.ask::<bool>(unicode));
        assert!(database.ask::<bool>(r#"select bool_and("accessToken" like 'seeded\_%') from public."Session""#));
        assert!(database.ask::<bool>(r#"select count(distinct shop) > 100 from public."Session""#));
    }

    #[test]
    fn a_script_that_fails_adds_nothing_and_is_named() {
        let mut database = models();
        database.run(r#"alter table "DecisionLog" add place point not null"#);
        let failure = try_run(&mut database, SEED, &wish(10)).unwrap_err();
        assert_eq!(failure.message, "could not run `a script`");
        assert_eq!(database.ask::<i64>("select count(*) from public.\"Session\""), 0);
    }

    /// A mirror, and a fact a minute of each kind up to `now`: 1,000 views, then 400 refreshes, then 10 of another kind.
    fn mirrored() -> Database {
        let mut database = models();
        database.run(include_str!("../../../supabase/sql/analytics_facts_table.sql"));
        let kinds =
            [("dashboard.session.opened", 1000), ("dashboard.refresh.triggered", 400), ("shopify.orders.summary", 10)];
        kinds.iter().for_each(|(kind, facts)| database.run(&add(kind, *facts)));
        database
    }

    fn add(kind: &str, facts: u32) -> String {
        format!(
            r#"insert into "DashboardFact" ("shopDomain", "factType", value, "createdAt", "updatedAt")
               select 'a.example.com', '{kind}', to_jsonb(i), at, at
                 from generate_series(1, {facts}) i,
                      lateral (select timestamp '2026-11-22 12:00' - ({facts} - i) * interval '1 min' as at) time;"#
        )
    }

    fn fed(database: &mut Database, faults: MirrorFaults) -> u64 {
        try_run(database, FEED, &Wish { faults, ..wish(0) }).unwrap().values().sum()
    }

    fn dropping(drop_pct: f64) -> MirrorFaults {
        MirrorFaults { drop_pct, ..MirrorFaults::default() }
    }

    #[test]
    fn a_mirror_gets_the_facts_that_the_app_mirrors_as_they_are() {
        let mut database = mirrored();
        assert_eq!(fed(&mut database, MirrorFaults::default()), 1400);
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
        let mut database = mirrored();
        assert_eq!(fed(&mut database, dropping(1.5)), 985 + 394);
        // Of 200 views after another, 3 are gone wherever one begins to count.
        let slice = |slice| {
            format!("select count(*) from public.facts where key = 'view' and (value::int - 1) / 200 = {slice}")
        };
        let slices: Vec<i64> = (0..5).map(|at| database.ask(&slice(at))).collect();
        assert_eq!(slices, [197; 5]);
        assert_eq!(fed(&mut mirrored(), dropping(100.0)), 0);
    }

    #[test]
    fn a_share_arrives_twice_and_the_youngest_not_yet() {
        let faults = MirrorFaults { duplicate_pct: 10.0, ..dropping(1.0) };
        assert_eq!(fed(&mut mirrored(), faults), 1090 + 436);
        let mut late = mirrored();
        let faults = MirrorFaults { delay: Duration::from_secs(30 * 60), ..MirrorFaults::default() };
        assert_eq!(fed(&mut late, faults), 970 + 370);
        assert!(late.ask::<bool>("select max(created_at) = '2026-11-22 11:30Z' from public.facts"));
    }

    #[test]
    fn a_mirror_with_facts_gets_only_those_of_this_transaction() {
        let mut database = mirrored();
        fed(&mut database, dropping(50.0));
        database.run(&add("dashboard.session.opened", 7));
        assert_eq!(fed(&mut database, MirrorFaults::default()), 0, "they were added by another one");
        let in_one = format!("{}{FEED}", add("dashboard.session.opened", 3));
        try_run(&mut database, &in_one, &wish(0)).unwrap();
        assert_eq!(database.ask::<i64>("select count(*) from public.facts where key = 'view'"), 503);
    }
}
