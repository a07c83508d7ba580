use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use script::statements::{Version, split};

use super::measure::Watch;
use super::*;
use crate::evidence::foretold::How;
use crate::evidence::impact::{Blocks, TableLock};
use crate::migrations::impact::at_size::AtSize;
use crate::postgres::server::{open_as, open_as_migrator, open_heard};
use crate::rows::filler::fill_empty;
use crate::schema::history::Migration;
use crate::session::groundwork::Groundwork;
use crate::settings::production::ProductionRows;

pub const PRISMA: AsPrisma<'_> =
    AsPrisma { schemas: &["public"], release: Version::NEWEST, groundwork: Groundwork::NONE, headway: None };

pub const TABLES: &str = "
    create type mood as enum ('sad', 'ok');
    create sequence numbers;
    create table parent (id int primary key, code text unique, name varchar(20));
    create table child (id int primary key, parent int, mood mood, at timestamp, note text, n int default 1);
    alter table child add constraint positive check (n > -100) not valid;
    create index child_note on child (note);
    create table linked (id int primary key, parent int references parent (id));
    create table parted (id int, at date) partition by range (at);
    create table parted_1 partition of parted for values from ('2000-01-01') to ('2100-01-01');
    create table loose (id int, at date);
    create table base (n int);
    create view names as select id, parent from linked;
    create materialized view sums as select parent, count(*) as rows from child group by parent;
    create unique index sums_parent on sums (parent);
    create function touch() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger touched before update on child for each row execute function touch();";

/// Kinds of statements, each on the tables above.
const KINDS: [&str; 61] = [
    "alter table child add column x int",
    "alter table child add column x int not null default 7",
    "alter table child add column x timestamptz default clock_timestamp()",
    "alter table child add column x serial",
    "alter table child add column x int generated always as (n * 2) stored",
    "alter table child add column x int generated always as identity",
    "alter table child drop column note",
    "alter table child alter column n type bigint",
    "alter table child alter column note type varchar(500)",
    "alter table parent alter column name type varchar(40)",
    "alter table parent alter column name type text",
    "alter table parent alter column name type varchar(10)",
    "alter table child alter column at type timestamptz",
    "alter table child alter column n set not null",
    "alter table child alter column n drop not null",
    "alter table child alter column n set default 2",
    "alter table child alter column n drop default",
    "alter table child alter column note set statistics 500",
    "alter table child alter column note set storage external",
    "alter table child rename to children",
    "alter table child rename column note to notes",
    "alter table child add constraint fk foreign key (parent) references parent (id)",
    "alter table child add constraint fk foreign key (parent) references parent (id) not valid",
    "alter table child add constraint c check (n < 1000000)",
    "alter table child add constraint c check (n < 1000000) not valid",
    "alter table child validate constraint positive",
    "alter table child add constraint u unique (note)",
    "alter table child add constraint e exclude (id with =)",
    "alter table linked drop constraint linked_parent_fkey",
    "alter table child drop constraint positive",
    "alter table child drop constraint child_pkey",
    "alter table child set unlogged",
    "alter table child set (fillfactor = 70)",
    "alter table child set without oids",
    "alter table child enable row level security",
    "alter table child disable trigger touched",
    "alter table child replica identity full",
    "alter table child cluster on child_note",
    "alter table child inherit base",
    "alter table parted attach partition loose for values from ('1900-01-01') to ('2000-01-01')",
    "alter table parted detach partition parted_1",
    "create table fresh (id int references parent (id))",
    "create table copied as select * from child",
    "create table parted_2 partition of parted for values from ('1900-01-01') to ('2000-01-01')",
    "create index i on child (parent)",
    "create unique index i on child (id, note)",
    "create index i on parted (id)",
    "drop index child_note",
    "reindex index child_note",
    "reindex table child",
    "cluster child using child_note",
    "refresh materialized view sums",
    "refresh materialized view concurrently sums",
    "create trigger t after insert on child for each row execute function touch()",
    "drop trigger touched on child",
    "create policy p on child using (true)",
    "create or replace view names as select id, parent, 1 as one from linked",
    "alter type mood add value 'great'",
    "update child set n = n + 1",
    "truncate child",
    "drop table linked cascade",
];

pub fn of(applied: &[&str], pending: &[&str], prisma: AsPrisma<'_>) -> Vec<Impact> {
    let history = |scripts: &[&str], from: usize| History {
        provider: None,
        migrations: scripts.iter().enumerate().map(|(n, sql)| Migration::new((from + n).to_string(), *sql)).collect(),
    };
    let (applied, pending) = (history(applied, 0), history(pending, applied.len()));
    let open = |name: &str| Ok(open_as("migrator", name));
    impacts(&mut open_as_migrator(), open, &applied, &pending, prisma, || Ok(())).unwrap()
}

fn shown(impact: &Impact) -> String {
    let mut line = String::new();
    if impact.unmeasured.is_some() {
        return " not measured".to_owned();
    }
    for TableLock { table, mode, blocks } in &impact.locks {
        let short = mode.trim_end_matches("Lock");
        write!(line, " {}:{short}({blocks:?})", table.trim_start_matches("public.")).unwrap();
    }
    for (what, tables) in [("rewrites", &impact.rewritten), ("indexes", &impact.indexed), ("reads", &impact.scanned)] {
        if !tables.is_empty() {
            write!(line, " {what} {}", tables.join(",").replace("public.", "")).unwrap();
        }
    }
    let changed: Vec<String> =
        impact.rows.iter().map(|(table, rows)| format!("{rows} of {}", table.replace("public.", ""))).collect();
    if !changed.is_empty() {
        write!(line, " changes {}", changed.join(",")).unwrap();
    }
    line
}

/// Another session that tries things, and hears what the server writes to its log of its waiting.
struct Witness {
    client: postgres::Client,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Witness {
    fn of(database: &str) -> Witness {
        let (mut client, heard) = open_heard(database);
        let settings =
            "set search_path = public; set lock_timeout = 30; set deadlock_timeout = 5; set log_lock_waits = on;
                        set client_min_messages = log";
        client.batch_execute(settings).unwrap();
        Witness { client, heard }
    }

    /// What it cannot do to `table` now, by trying. The server's log has to say that it waited.
    fn waits(&mut self, table: &str) -> Option<Blocks> {
        match (self.waits_for("select *", table), self.waits_for("delete", table)) {
            (true, _) => Some(Blocks::ReadsAndWrites),
            (false, true) => Some(Blocks::Writes),
            (false, false) => None,
        }
    }

    fn waits_for(&mut self, what: &str, table: &str) -> bool {
        self.heard.lock().unwrap().clear();
        let answer = self.client.batch_execute(&format!("{what} from {table} where false"));
        let waited = answer.is_err_and(|error| error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE));
        let heard = self.heard.lock().unwrap();
        let logged = heard.iter().any(|line| line.contains(" still waiting for ") && line.contains(" on relation "));
        assert_eq!(waited, logged, "{what} {table}: {heard:?}");
        waited
    }

    /// `table` and its indexes, while it is still called so.
    fn relations(&mut self, table: &str) -> Vec<u32> {
        let ask = "select oid from pg_class where oid = $1::text::regclass
                   union all select indexrelid from pg_index where indrelid = $1::text::regclass order by 1";
        self.client.query(ask, &[&table]).unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// The most that `pg_locks` has for the session `pid` on one of them. A weak lock on an index is in nobody's way.
    fn locked(&mut self, pid: i32, relations: &[u32]) -> Option<Blocks> {
        let ask = "select mode from pg_locks where pid = $1 and granted and relation = any($2)";
        let modes = self.client.query(ask, &[&pid, &relations]).unwrap();
        let blocks = modes.iter().map(|row| Blocks::of(row.get(0)));
        blocks.max().filter(|blocks| *blocks >= Blocks::Writes)
    }
}

#[test]
fn of_each_kind_is_said_what_it_does_and_what_another_session_then_waits_for() {
    const NAMES: [&str; 6] = ["child", "parent", "linked", "parted", "loose", "base"];
    let open = |name: &str| Ok(open_as("migrator", name));
    let mut lines = Vec::new();
    let mut major = 0;
    in_throw_away_database(&mut open_as_migrator(), open, PRISMA, |connection| {
        let ask =
            "select current_database()::text, pg_backend_pid(), current_setting('server_version_num')::int / 10000";
        let row = connection.client().query_one(ask, &[]).unwrap();
        let (name, pid): (String, i32) = (row.get(0), row.get(1));
        major = row.get(2);
        crate::schema::replay::apply(connection, &Migration::new("tables", TABLES), PRISMA)?;
        fill_empty(connection, &["public"], &["public.loose".to_owned()], ROWS)?;
        let mut witness = Witness::of(&name);
        let relations = NAMES.map(|table| witness.relations(table));
        for sql in KINDS {
            connection.client().batch_execute("set search_path = public; begin").unwrap();
            let script = split(&sql.into(), Version::NEWEST)?.all()?;
            let mut watch = Watch::default();
            watch.seen(connection, &script[0])?.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let [said] = watch.found.as_slice() else { panic!("{sql}: {:?}", watch.found) };
            for (table, relations) in NAMES.iter().zip(&relations) {
                let name = format!("public.{table}");
                let lock = said.locks.iter().find(|lock| lock.table == name && lock.blocks >= Blocks::Writes);
                let blocks = lock.map(|lock| lock.blocks);
                assert_eq!(blocks, witness.waits(table), "{sql}: {table}, by trying");
                assert_eq!(blocks, witness.locked(pid, relations), "{sql}: {table}, by pg_locks");
            }
            connection.client().batch_execute("rollback").unwrap();
            lines.push(documented_row(sql, said));
        }
        Ok(())
    })
    .unwrap();
    // `cargo chore ci-long` reads that the server is the one that it meant.
    println!("measured on Postgres {major}");
    let documented = documented(major);
    let differing: Vec<&String> = lines.iter().filter(|line| !documented.contains(line.as_str())).collect();
    assert!(
        differing.is_empty() && documented.len() == KINDS.len(),
        "on {major}, docs/impact.md lacks:\n{differing:#?}"
    );
}

/// The rows of docs/impact.md for this major: those of the first table, but for the statements that the major's own has.
fn documented(major: i32) -> BTreeSet<&'static str> {
    let rows = |table: &'static str| table.lines().filter(|line| line.starts_with("| `"));
    let of = |mark: &str| {
        let (_, after) = include_str!("../../../../docs/impact.md").split_once(mark)?;
        Some(after.split("<!--").next().unwrap_or(after))
    };
    let own: Vec<&str> = of(&format!("<!-- kinds on {major} -->")).into_iter().flat_map(rows).collect();
    let statement = |row: &&str| row.split(" | ").next().unwrap().to_owned();
    let others: BTreeSet<String> = own.iter().map(statement).collect();
    let common = rows(of("<!-- kinds -->").unwrap()).filter(|row| !others.contains(&statement(row)));
    common.chain(own.iter().copied()).collect()
}

/// As docs/impact.md has it.
fn documented_row(sql: &str, said: &Impact) -> String {
    let blocks = |least: Blocks| {
        let tables = said.locks.iter().filter(|lock| lock.blocks == least);
        tables.map(|lock| lock.table.trim_start_matches("public.")).collect::<Vec<_>>().join(", ")
    };
    let kinds = [("rewrites", &said.rewritten), ("indexes", &said.indexed), ("reads", &said.scanned)];
    let work: Vec<String> = kinds
        .iter()
        .filter(|(_, tables)| !tables.is_empty())
        .map(|(what, tables)| format!("{what} {}", tables.join(", ").replace("public.", "")))
        .collect();
    let cells = [format!("`{sql}`"), blocks(Blocks::ReadsAndWrites), blocks(Blocks::Writes), work.join("; ")];
    format!("| {} |", cells.join(" | ")).replace("|  |", "| |").replace("|  |", "| |")
}

/// Each changes what the next ones find: names, files, what is there at all; some take back what they did.
const IN_TURN: [&str; 29] = [
    r#"alter table child rename to "Child""#,
    r#"create index again on "Child" (note)"#,
    r#"alter table "Child" rename column note to "Note""#,
    "begin",
    "drop table linked cascade",
    "update parent set name = 'x'",
    "rollback",
    "alter table linked add x int default 1",
    "begin",
    "savepoint s",
    "alter table linked alter column x type bigint",
    "rollback to s",
    "alter table linked alter column x type text",
    "commit",
    "create schema shop",
    "create table shop.parent (id int primary key, name text)",
    "alter schema shop rename to store",
    "update store.parent set name = 'y'",
    "create index concurrently later on base (n)",
    "drop index later",
    "truncate base",
    "insert into base values (1)",
    "create table parted_2 partition of parted for values from ('2100-01-01') to ('2200-01-01')",
    "alter table parted add z int",
    "vacuum full base",
    r#"drop table "Child" cascade"#,
    r#"create table "Child" (id int)"#,
    r#"insert into "Child" values (1)"#,
    "drop schema store cascade",
];

/// What each of `IN_TURN` is said to do, with every look a whole one or not.
fn in_turn(whole: bool) -> Vec<String> {
    let mut told = Vec::new();
    let open = |name: &str| Ok(open_as("migrator", name));
    in_throw_away_database(&mut open_as_migrator(), open, PRISMA, |connection| {
        crate::schema::replay::apply(connection, &Migration::new("tables", TABLES), PRISMA)?;
        fill_empty(connection, &["public"], &[], ROWS)?;
        connection.client().batch_execute("set search_path = public").unwrap();
        let mut watch = Watch::default();
        let text = IN_TURN.join(";\n");
        let script = split(&text.into(), Version::NEWEST)?.all()?;
        assert_eq!(script.len(), IN_TURN.len(), "the parser knows all of them");
        for statement in &script {
            let sql = &statement.text;
            if whole {
                watch.probe = None;
            }
            let sent = watch.alone(connection, statement)?;
            sent.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        let seen = watch.found.iter().map(|impact| Impact { ms: 0.0, held_ms: 0.0, wal_bytes: 0, ..impact.clone() });
        told.extend(seen.map(|impact| format!("{impact:?}")));
        Ok(())
    })
    .unwrap();
    told
}

#[test]
fn looking_at_what_was_touched_alone_finds_what_looking_at_everything_does() {
    let (some, all) = (in_turn(false), in_turn(true));
    some.iter().zip(&all).for_each(|(some, all)| assert_eq!(some, all));
    assert_eq!(some.len(), all.len());
    assert!(some.iter().filter(|line| line.contains("AccessExclusiveLock")).count() > 10, "{some:#?}");
}

#[test]
fn what_cannot_run_in_a_transaction_is_applied_and_said_not_to_be_measured() {
    let script = "create index concurrently i on child (parent);\nvacuum child;\nalter table child add column x int";
    let impacts = of(&[TABLES], &[script], PRISMA);
    let said: Vec<String> = impacts.iter().map(|one| format!("{}:{}", one.statement, shown(one))).collect();
    insta::assert_snapshot!(said.join("\n"));
    let alone = of(&[TABLES], &["reindex index concurrently child_note"], PRISMA);
    assert!(alone[0].unmeasured.is_some(), "which the parser does not know as one");
}

#[test]
fn nobody_waits_for_a_table_that_the_migration_itself_makes() {
    let script = "create table fresh (id int primary key, parent int);\ncreate index i on fresh (parent);\n\
                  insert into fresh select id, parent from child;\nalter table fresh add column x int default random();\n\
                  alter table fresh add constraint fk foreign key (parent) references parent (id);\nalter table child rename to kids;\n\
                  create index k on kids (note)";
    let said = |pending: &[&str]| {
        let impacts = of(&[TABLES], pending, PRISMA);
        impacts.iter().map(|one| format!("{}:{}", one.line, shown(one))).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(said(&[script]), @"
    1:
    2:
    3: reads child
    4:
    5: parent:ShareRowExclusive(Writes) reads parent
    6: child:AccessExclusive(ReadsAndWrites)
    7: kids:Share(Writes) indexes kids reads kids
    ");
    let (first, later) = script.split_once(";\nalter").unwrap();
    let later = said(&[first, &format!("alter{later}")]);
    insta::assert_snapshot!(later.lines().skip(3).collect::<Vec<_>>().join("\n"), @"
    1: fresh:AccessExclusive(ReadsAndWrites) rewrites fresh reads fresh
    2: fresh:ShareRowExclusive(Writes) parent:ShareRowExclusive(Writes) reads fresh,parent
    3: child:AccessExclusive(ReadsAndWrites)
    4: kids:Share(Writes) indexes kids reads kids
    ");
}

#[test]
fn a_lock_lasts_until_the_end_of_its_transaction() {
    let script =
        "alter table child add column x int;\nupdate child set n = (select 1 from pg_sleep(0.1)) where id is not null;";
    let held = |script: &str, release: Version| {
        let impacts = of(&[TABLES], &[script], AsPrisma { release, ..PRISMA });
        impacts.iter().map(|one| (one.line, one.held_ms >= 90.0, one.ms >= 90.0)).collect::<Vec<_>>()
    };
    assert_eq!(held(script, Version::NEWEST), [(1, false, false), (2, true, true)], "each is a transaction");
    assert_eq!(held(script, Version::of("7.3.0")), [(1, true, false), (2, true, true)], "the file is one");
    let block = format!("begin;\n{script}\ncommit;");
    for release in [Version::NEWEST, Version::of("6.19.0")] {
        assert_eq!(held(&block, release), [(2, true, false), (3, true, true)], "the script's own");
    }
}

#[test]
fn what_postgres_refuses_in_one_request_is_refused_here_too() {
    let history = |sql: &str| History { provider: None, migrations: vec![Migration::new("0", sql)] };
    let script = "create index concurrently i on child (parent);\nalter table child add column x int;";
    let applies = |release: &str| {
        let (open, prisma) =
            (|name: &str| Ok(open_as("migrator", name)), AsPrisma { release: Version::of(release), ..PRISMA });
        impacts(&mut open_as_migrator(), open, &history(TABLES), &history(script), prisma, || Ok(())).is_ok()
    };
    assert!(applies("7.10.0"), "each statement is a request");
    assert!(!applies("7.3.0") && !applies("6.19.3"), "the file is one");
}

#[test]
fn rows_that_are_in_the_way_are_left_out_and_what_comes_after_is_measured_beside_rows() {
    let pending = [
        "alter table child add column x int not null",
        "alter table child alter column x set not null;\n\nalter table child alter column note set not null",
    ];
    let impacts = of(&[TABLES], &pending, PRISMA);
    let said: Vec<String> =
        impacts.iter().map(|one| format!("{} {}:{}", one.migration, one.line, shown(one))).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn of_what_the_parser_does_not_understand_the_whole_file_is_one() {
    let script =
        "do $$ begin execute 'alter table child alter n type bigint'; end $$;\nalter table child no such thing;";
    let open = |name: &str| Ok(open_as("migrator", name));
    let history = |sql: &str| History { provider: None, migrations: vec![Migration::new("0", sql)] };
    let refused = impacts(&mut open_as_migrator(), open, &history(TABLES), &history(script), PRISMA, || Ok(()));
    assert!(refused.unwrap_err().message.contains("does not apply"));
    let rule =
        "alter table child add column x int;\n/* a; */ create rule r as on delete to loose do also notify gone;\n";
    let whole = of(&[TABLES], &[rule], PRISMA);
    assert_eq!(whole.iter().map(|one| one.line).collect::<Vec<_>>(), [1]);
    assert_eq!(shown(&whole[0]), " child:AccessExclusive(ReadsAndWrites) loose:AccessExclusive(ReadsAndWrites)");
}

/// What is foretold of each statement of `pending`, and the notes.
fn foretold(pending: &[&str], rows: &ProductionRows, sizes: &[u64], left: u64) -> (Vec<Impact>, Vec<String>) {
    let history = |scripts: &[&str]| History {
        provider: None,
        migrations: scripts.iter().map(|sql| Migration::new(sql.len().to_string(), *sql)).collect(),
    };
    let (applied, pending) = (history(&[LARGE]), history(pending));
    let (mut admin, open) = (open_as_migrator(), |name: &str| Ok(open_as("migrator", name)));
    let mut found = impacts(&mut admin, open, &applied, &pending, PRISMA, || Ok(())).unwrap();
    let mut at_size = AtSize::new(rows);
    (at_size.sizes, at_size.until) = (sizes, Instant::now() + Duration::from_secs(left));
    at_size.foretell(&mut admin, open, (&applied, &pending), PRISMA, &mut found, || Ok(())).unwrap();
    (found, at_size.notes())
}

/// But for the times, which are never the same.
fn told(found: &[Impact]) -> String {
    let one = |impact: &Impact| {
        let said = impact.production.as_ref().map_or_else(String::new, |one| {
            assert!(one.low_ms <= one.ms && one.ms <= one.high_ms && one.ms > 0.0, "{one:?}");
            assert_eq!(one.how == How::Measured, one.low_ms == one.high_ms, "{one:?}");
            let tried: Vec<u64> = one.tried.iter().map(|tried| tried.rows).collect();
            format!(" {:?} at {} of {}, tried {tried:?}", one.how, one.rows, one.table)
        });
        format!("{}:{said}", impact.statement)
    };
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}

const LARGE: &str = "
    create table parent (id serial primary key, code text unique);
    create table child (id uuid primary key default gen_random_uuid(), parent int not null, note text, n int, kind text);
    alter table child add constraint positive check (n > 0) not valid;
    create table small (id int primary key, n int);
    create table strange (id int primary key, n int);
    create table calm (id int primary key, n int);
    create table alike (id int primary key, ok boolean);";

#[test]
fn what_is_expensive_is_tried_beside_more_and_more_rows_and_foretold_for_productions() {
    let pending = [
        "create index on child (note);
         alter table child alter column n type bigint;
         alter table child validate constraint positive;
         alter table child add constraint fk foreign key (parent) references parent (id);
         alter table child add column x text;
         update child set x = note;
         alter table child alter column x set not null;
         alter table child add column y int;
         create index on small (n);
         create index on strange (n);
         begin; create index on child (kind); alter table child alter column kind set not null; commit;",
        "create table fresh (id int primary key, child uuid references child (id)); create index on fresh (child);",
    ];
    let rows = [("child", 3_000_000), ("public.parent", 300_000), ("small", 5_000), ("calm", 9), ("gone", 7)];
    let rows = ProductionRows::Of(rows.map(|(table, rows)| (table.to_owned(), rows)).into());
    let (found, notes) = foretold(&pending, &rows, &[3_000, 6_000, 12_000], 60);
    insta::assert_snapshot!(format!("{}\n\n{}", told(&found), notes.join("\n")));
}

#[test]
fn rows_that_are_in_the_way_and_sizes_that_are_not_reached_are_told() {
    let each = ProductionRows::Each(1_000_000);
    // Numbers of many rows break the key, those of the smaller table do not; and copies of few rows pass where neither does.
    let smaller = ProductionRows::Of(
        [("small", 1_000_000), ("strange", 500_000)].map(|(table, rows)| (table.to_owned(), rows)).into(),
    );
    let key = "alter table small add constraint fk foreign key (n) references strange (id)";
    for sql in [key, "alter table small add constraint few check (n <= 20)"] {
        let (found, notes) = foretold(&[sql], &smaller, &[3_000], 60);
        assert!(found[0].production.is_some() && notes.is_empty(), "{} {notes:?}", told(&found));
    }
    let cases = [
        ("no row can be", "alter table small add column x int not null", 60),
        ("no time", "create index on small (n)", 0),
        (
            "too slow",
            "update small set n = 1 from (select pg_sleep(0.01), s.id from small s) slow where slow.id = small.id",
            1,
        ),
        ("outside", "create index concurrently on small (n); vacuum small", 60),
        ("unsplit", "do $$ begin execute 'create index on small (n)'; end $$;", 60),
    ];
    let said = cases.map(|(case, sql, left)| {
        let (found, notes) = foretold(&[sql], &each, &[3_000], left);
        format!("-- {case}\n{}\n{}", told(&found), notes.join("\n"))
    });
    insta::assert_snapshot!(said.join("\n"));
    let (found, notes) = foretold(&["create index on small (n)"], &ProductionRows::Unknown, &[3_000], 60);
    assert!(found[0].production.is_none() && notes.is_empty(), "nothing is tried where nobody asks");
}
