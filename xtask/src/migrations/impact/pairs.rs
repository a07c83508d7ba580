//! Harmful and harmless ways to the same end, as eugene's documentation pairs them (<https://kaveland.no/eugene/hints/>); each is written anew
//! here. What the limits say of both is held against what eugene says: the first of a pair, and not the second.

use super::limits::Check;
use super::limits::tests::MOMENT;
use super::tests::{PRISMA, of};
use crate::evidence::impact::Impact;
use crate::schema::history::Migration;

/// eugene's number, what is wanted, the harmful migrations and the harmless ones; each acts on a table of its own, `t` and the number.
type Pair = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const PAIRS: [Pair; 15] = [
    (
        "1",
        "a CHECK",
        &["alter table t1 add constraint positive check (n > 0)"],
        &["alter table t1 add constraint more check (n > 0) not valid", "alter table t1 validate constraint more"],
    ),
    (
        "2",
        "NOT NULL",
        &["alter table t2 alter note set not null"],
        &[
            "alter table t2 add constraint noted check (other is not null) not valid",
            "alter table t2 validate constraint noted",
            "alter table t2 alter other set not null",
            "alter table t2 drop constraint noted",
        ],
    ),
    ("3", "a document", &["alter table t3 add column doc json"], &["alter table t3 add column docs jsonb"]),
    (
        "4",
        "a column and its values",
        &["begin; alter table t4 add column flag boolean; update t4 set flag = true; commit"],
        &["alter table t4 add column mark boolean", "update t4 set mark = true"],
    ),
    (
        "5",
        "a wider number",
        &["alter table t5 alter n type bigint"],
        &["alter table t5 add column wide bigint", "update t5 set wide = n", "alter table t5 drop column n"],
    ),
    ("6", "an index", &["create index on t6 (note)"], &["create index concurrently other_note on t6 (note)"]),
    (
        "7",
        "a unique constraint",
        &["alter table t7 add unique (id)"],
        &[
            "create unique index concurrently t7_once on t7 (id)",
            "alter table t7 add constraint once unique using index t7_once",
        ],
    ),
    ("8", "an exclusion", &["alter table t8 add exclude (id with =)"], &[]),
    (
        "9",
        "no long wait in a queue",
        &["alter table t9 add column x int"],
        &["begin; set local lock_timeout = '2s'; alter table t9 add column y int; commit"],
    ),
    (
        "10",
        "a value of its own in each row",
        &["alter table t10 add column key uuid default gen_random_uuid()"],
        &[
            "alter table t10 add column token uuid; alter table t10 alter token set default gen_random_uuid()",
            "update t10 set token = default",
        ],
    ),
    (
        "11",
        "a number that counts",
        &[
            "alter table t11 add column counter serial",
            "alter table t11 add column twice int generated always as (n * 2) stored",
        ],
        &[],
    ),
    (
        "12",
        "two columns",
        &["alter table t12 add column x int; alter table t12 add column y int"],
        &["alter table t12 add column v int, add column w int"],
    ),
    ("13", "a few kinds", &["create type kind13 as enum ('a')"], &["create table kinds13 (kind text primary key)"]),
    (
        "14",
        "a primary key",
        &[
            "create unique index concurrently t14_note on t14 (note)",
            "alter table t14 add primary key using index t14_note",
        ],
        &["create unique index concurrently s14_id on s14 (id)", "alter table s14 add primary key using index s14_id"],
    ),
    (
        "15",
        "a foreign key",
        &["alter table t15 add constraint fk foreign key (n) references s14 not valid"],
        &[
            "create index concurrently t15_n on t15 (n)",
            "alter table t15 add constraint fk_too foreign key (n) references s14 not valid",
        ],
    ),
];

/// What limits are passed by some of these migrations.
fn passed(names: &[String], scripts: &[&str], impacts: &[Impact]) -> String {
    let migrations: Vec<Migration> =
        names.iter().zip(scripts).map(|(name, sql)| Migration::new(name.clone(), *sql)).collect();
    let check = Check { limits: &MOMENT, rows: super::ROWS, holds_rows: &|_| true, folder: "migrations" };
    let mut keys: Vec<String> =
        check.all(&migrations, impacts).unwrap().over.into_iter().map(|one| one.limit).collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}

#[test]
fn of_each_harmful_and_harmless_way_the_limits_say_what_was_measured() {
    let tables: String =
        (1..=15).map(|n| format!("create table t{n} (id int not null, n int, note text, other text);")).collect();
    let tables = tables + "create table s14 (id int not null, note text);";
    let all: Vec<&str> = PAIRS.iter().flat_map(|(_, _, bad, good)| bad.iter().chain(*good)).copied().collect();
    let impacts = of(&[&tables], &all, PRISMA);
    let mut names = (1..).map(|number: usize| number.to_string());
    let mut said = String::new();
    for (number, what, bad, good) in PAIRS {
        let [bad, good] = [bad, good].map(|scripts| {
            let names: Vec<String> = names.by_ref().take(scripts.len()).collect();
            if scripts.is_empty() { "no such way".to_owned() } else { passed(&names, scripts, &impacts) }
        });
        said += &format!("{number:>2} {what}: {bad} | {good}\n");
    }
    insta::assert_snapshot!(said, @"
     1 a CHECK: blocks_reads, blocks_writes | none
     2 NOT NULL: blocks_reads, blocks_writes | none
     3 a document: none | none
     4 a column and its values: blocks_reads, blocks_writes | none
     5 a wider number: blocks_reads, blocks_writes, rewrites | none
     6 an index: blocks_writes | none
     7 a unique constraint: blocks_reads, blocks_writes | none
     8 an exclusion: blocks_reads, blocks_writes | no such way
     9 no long wait in a queue: none | none
    10 a value of its own in each row: blocks_reads, blocks_writes, rewrites | none
    11 a number that counts: blocks_reads, blocks_writes, rewrites | no such way
    12 two columns: none | none
    13 a few kinds: none | none
    14 a primary key: blocks_reads, blocks_writes | none
    15 a foreign key: none | none
    ");
}
