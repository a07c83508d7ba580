use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::parity::obstacle::Obstacle;
use crate::parity::sql::not_compared::NotCompared;
use crate::parity::sql::shapes::shapes;
use crate::postgres::server::Database;
use crate::settings::pair::Side;
use crate::settings::row_mapping::{Columns, RowMapping};

type Answer = Result<Differences, NotCompared>;

/// The tables `p` and `m`, both with a time `at`.
struct Sides(Database);

impl Sides {
    fn new(sql: &str) -> Sides {
        let mut database = Database::new();
        database.run(sql);
        Sides(database)
    }

    fn pair(columns: Option<(&[&str], &[&str])>) -> Pair {
        let side = |table: &str| Side { table: table.to_owned(), filter: BTreeMap::new(), time: "at".to_owned() };
        // `name`, or `name mirror's_name`.
        let named = |names: &[&str]| -> Vec<Columns> {
            let columns = |name: &&str| {
                let (prisma, mirror) = name.split_once(' ').unwrap_or((name, name));
                Columns { prisma: prisma.to_owned(), mirror: mirror.to_owned() }
            };
            names.iter().map(columns).collect()
        };
        let rows = columns.map(|(key, values)| RowMapping {
            key: named(key),
            values: named(values),
            threshold_pct: 0.0,
            over_rest: false,
        });
        Pair { name: "pair".to_owned(), prisma: side("p"), mirror: side("m"), rows }
    }

    fn mapping(&mut self, pair: &Pair) -> Result<Option<Mapping>, Obstacle> {
        Mapping::of(pair, &shapes(&mut self.0.connection, "public", &["p", "m"]).unwrap())
    }

    fn compare(&mut self, pair: &Pair) -> Answer {
        let mapping = self.mapping(pair).unwrap().expect("a mapping");
        let counted = ["p", "m"].map(|table| self.0.ask::<i64>(&format!("select count(*) from public.{table}")) as u64);
        let question = Question { schema: "public", pair, mapping: &mapping, counted: counted.into() };
        let client = self.0.connection.client();
        client.batch_execute("reset search_path; set search_path = pg_catalog, pg_temp; set timezone = 'UTC'").unwrap();
        client.batch_execute("begin isolation level repeatable read, read only").unwrap();
        let answer = NotCompared::or_lost(compare(client, &question), Duration::from_secs(1)).unwrap();
        client.batch_execute("commit").expect("a failure ends no transaction");
        answer
    }

    fn by(&mut self, key: &[&str], values: &[&str]) -> Differences {
        self.compare(&Sides::pair(Some((key, values)))).unwrap()
    }
}

/// As what a copy without its index comes to, with all that is told.
#[test]
fn a_key_that_both_keep_unique_comes_to_the_same() {
    let mut sides = Sides::new(TWENTY);
    sides.0.run(
        "alter table m add unique (fact_id); delete from m where fact_id in (3, 4);
         insert into m (fact_id, a, b) values (30, 'a', 1), (null, 'b', 2); update m set a = null where fact_id in (5, 6)",
    );
    let pair = Sides::pair(Some((&["id fact_id"], &["a", "b"])));
    assert!(sides.mapping(&pair).unwrap().unwrap().unique);
    let of_unique = sides.compare(&pair).unwrap();
    sides.0.run("alter table m drop constraint m_fact_id_key");
    assert!(!sides.mapping(&pair).unwrap().unwrap().unique);
    assert_eq!(sides.compare(&pair).unwrap(), of_unique);
    assert_eq!(told(&of_unique), (2, 2, 2, &[2, 0][..]));
    // An index of a table says nothing of those that inherit from it.
    sides.0.run("alter table m add unique (fact_id); create table heir () inherits (m); insert into heir (fact_id, a, b) values (9, 'a9', 9)");
    assert!(!sides.mapping(&pair).unwrap().unwrap().unique);
    assert_eq!(told(&sides.compare(&pair).unwrap()), (2, 3, 2, &[2, 0][..]));
}

/// Missing, extra, changed, and each column's share of the changed.
fn told(found: &Differences) -> (u64, u64, u64, &[u64]) {
    (found.missing, found.extra, found.changed, &found.columns)
}

fn keys(found: &Differences, kind: Kind) -> Vec<&str> {
    found.listed.iter().filter(|it| it.kind == kind).map(|it| it.key.as_deref().unwrap_or("none")).collect()
}

const TWENTY: &str = "
    create table p (id int primary key, a text, b int, at timestamp(3));
    create table m (own uuid primary key default gen_random_uuid(), fact_id bigint, a text, b int, at timestamptz);
    insert into p select i, 'a' || i, i, timestamp '2026-10-09 14:00' + i * interval '1 s' from generate_series(1, 20) i;
    insert into m (fact_id, a, b, at) select id, a, b, at at time zone 'UTC' from p;";

#[test]
fn what_is_missing_extra_or_changed_is_told_to_the_row_and_column() {
    let mut sides = Sides::new(TWENTY);
    assert_eq!(told(&sides.by(&["id fact_id"], &["a", "b"])), (0, 0, 0, &[0, 0][..]));
    // Two rows change places, one is NULL in place of empty, one has both values changed.
    sides.0.run(
        "delete from m where fact_id in (3, 4); insert into m (fact_id, a, b) values (30, 'a', 1);
         update m set a = case fact_id when 5 then 'a6' else 'a5' end where fact_id in (5, 6);
         update p set a = '' where id = 7; update m set a = null where fact_id = 7;
         update m set a = 'x', b = -1 where fact_id = 8",
    );
    let found = sides.by(&["id fact_id"], &["a", "b"]);
    assert_eq!(told(&found), (2, 1, 4, &[4, 1][..]));
    assert_eq!(keys(&found, Kind::Missing), ["3", "4"]);
    assert_eq!(keys(&found, Kind::Changed), ["5", "6", "7", "8"], "by Prisma's own key");
    assert_eq!(keys(&found, Kind::Extra)[0].len(), 36, "by the mirror's own key");
    let columns: Vec<&[usize]> =
        found.listed.iter().filter(|it| it.kind == Kind::Changed).map(|it| &it.columns[..]).collect();
    assert_eq!(columns, [&[0][..], &[0], &[0], &[0, 1]]);
    assert_eq!(found.listed[0].time.as_deref(), Some("2026-10-09 14:00:03+00"));
    assert!(!found.alike && found.partners == 18);
    // What is not compared is not seen.
    assert_eq!(told(&sides.by(&["id fact_id"], &[])), (2, 1, 0, &[][..]));
}

#[test]
fn a_lost_row_and_a_doubled_one_do_not_cancel_out() {
    let mut sides = Sides::new(TWENTY);
    sides.0.run(
        "delete from m where fact_id = 3; insert into m (fact_id, a, b) select fact_id, a, b from m where fact_id = 9",
    );
    let found = sides.by(&["id fact_id"], &["a"]);
    assert_eq!((told(&found), found.alike), ((1, 1, 0, &[0][..]), true));
    assert_eq!(keys(&found, Kind::Missing), ["3"]);
    // Of two with one key, one has another value than Prisma's.
    sides.0.run("update m set a = 'x' where ctid = (select min(ctid) from m where fact_id = 9)");
    assert_eq!(told(&sides.by(&["id fact_id"], &["a"])), (1, 1, 0, &[0][..]), "a partner is the one that fits");
    sides.0.run("update m set a = 'y' where fact_id = 9");
    assert_eq!(told(&sides.by(&["id fact_id"], &["a", "b"])), (1, 1, 1, &[1, 0][..]));
}

#[test]
fn rows_without_a_key_or_with_half_of_one_are_counted_as_often_as_they_are_there() {
    let mut sides = Sides::new(
        "create table p (a text, b int, v int, at timestamptz); create table m (a text, b int, v int, at timestamptz);
         insert into p values (null, 1, 1), (null, 1, 1), (null, 1, 2), ('a', null, 3), ('a', 1, 4);
         insert into m select * from p",
    );
    let found = sides.by(&["a", "b"], &["v"]);
    assert_eq!((told(&found), found.alike), ((0, 0, 0, &[0][..]), true));
    sides.0.run("delete from m where v = 2; insert into m values (null, 1, 1), (null, 2, 1)");
    let found = sides.by(&["a", "b"], &["v"]);
    assert_eq!(told(&found), (0, 1, 1, &[1][..]), "a NULL key that has changed is no other row");
    // Where one side alone has such rows, they have no partners, and a join sees that.
    sides.0.run("delete from m where a is null or b is null");
    let found = sides.by(&["a", "b"], &["v"]);
    assert_eq!((told(&found), found.alike), ((4, 0, 0, &[0][..]), false));
}

#[test]
fn a_composite_key_of_reserved_words_is_a_key() {
    let mut sides = Sides::new(
        r#"create table p ("order" int, "Group" text, "select" text, at timestamp, primary key ("order", "Group"));
           create table m ("user" int, "group" text, "Select" text, at timestamp);
           insert into p select i % 5, 'g,' || i / 5, 'v', null from generate_series(0, 19) i;
           insert into m select * from p where "order" > 0 or "Group" <> 'g,2'; update m set "Select" = 'w' where "user" = 1 and "group" = 'g,1'"#,
    );
    let found = sides.by(&["order user", "Group group"], &["select Select"]);
    assert_eq!(told(&found), (1, 0, 1, &[1][..]));
    assert_eq!((keys(&found, Kind::Missing), keys(&found, Kind::Changed)), (vec!["0, g,2"], vec!["1, g,1"]));
    // The mirror need not have a key of its own, nor be a table.
    sides.0.run(r#"alter table m rename to kept; create view m as select * from kept"#);
    assert_eq!(told(&sides.by(&["order user", "Group group"], &["select Select"])), (1, 0, 1, &[1][..]));
}

#[test]
fn values_of_two_types_are_the_same_where_they_mean_the_same() {
    let mut sides = Sides::new(
        r#"create type level as enum ('low', 'high'); create domain money2 as numeric(10, 2);
           create table p (id int primary key, at timestamp(3), number numeric(10, 2), price money2, float real, object json, said text, level level,
             uuid uuid, small smallint, name varchar(20), fixed char(5), day date, list text[], flag boolean, bytes bytea, digits int, zone timestamp);
           create table m (id bigint, at timestamptz, number numeric(14, 4), price float8, float float8, object jsonb, said jsonb, level text,
             uuid text, small bigint, name text, fixed text, day timestamptz, list varchar[], flag boolean, bytes bytea, digits text, zone timestamptz(0));
           insert into p values (1, '2026-03-29 01:30:00.123', 1.5, 7.25, 0.1, '{"b": 1.0, "a": [1, 2]}', '{"x": {"y": 1, "z": null}}', 'high',
             'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 7, 'O''Brien', 'ab', '2026-10-09', '{a,"b c"}', true, '\x00ff', 42, '2026-03-29 01:30');
           insert into m values (1, '2026-03-29 03:30:00.1234+02', 1.5000, 7.25, 0.1::real, '{"a": [1, 2], "b": 1}', '{"x": {"z": null, "y": 1.0}}', 'high',
             'a0eebc99-9C0B-4ef8-bb6d-6bb9bd380a11', 7, 'O''Brien', 'ab', '2026-10-09 00:00Z', '{a,"b c"}', true, '\x00ff', '42', '2026-03-29 03:30+02')"#,
    );
    let values = [
        "at", "number", "price", "float", "object", "said", "level", "uuid", "small", "name", "fixed", "day", "list",
        "flag", "bytes", "digits", "zone",
    ];
    assert_eq!(told(&sides.by(&["id"], &values)), (0, 0, 0, &[0; 17][..]));
    sides.0.run(
        r#"update m set at = at + interval '1 ms', number = 1.5001, price = 7.26, float = 0.2, object = '{"a": [2, 1], "b": 1}', said = '{}',
             level = 'High', uuid = replace(uuid, 'a0', 'a1'), small = 8, name = 'o''brien', fixed = 'ab ', day = day + interval '1 s', list = '{a,"b  c"}',
             flag = null, bytes = '\x00fe', digits = '042', zone = zone + interval '1 hour'"#,
    );
    let found = sides.by(&["id"], &values);
    assert_eq!(told(&found), (0, 0, 1, &[1; 17][..]));
    assert_eq!(found.listed[0].columns, (0..17).collect::<Vec<_>>());
    // And each of them as a key.
    for key in values {
        let found = sides.by(&[key], &[]);
        assert_eq!(told(&found), (1, 1, 0, &[][..]), "{key}");
    }
}

#[test]
fn what_nothing_compares_is_told_before_it_is_asked() {
    let mut sides = Sides::new(
        "create table p (id int, n numeric, at timestamptz, ok boolean); create table m (id int, n text, at timestamptz, ok int);
         insert into p values (1, 1); insert into m values (1, '1')",
    );
    for (column, kinds) in [("n", ["numeric", "text"]), ("ok", ["bool", "int4"])] {
        let refused = sides.mapping(&Sides::pair(Some((&["id"], &[column])))).unwrap_err();
        let Obstacle::Incomparable { kinds: found, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!(found, &kinds);
        assert_eq!(refused.reason(), "columns_not_comparable");
    }
}

#[test]
fn what_the_server_cannot_read_is_not_compared_and_its_value_is_not_told() {
    let mut sides = Sides::new(
        "create table p (id int, v jsonb, at timestamptz); create table m (id int, v text, at timestamptz);
         insert into p values (1, '{}'); insert into m values (1, '{secret of a customer')",
    );
    let why = sides.compare(&Sides::pair(Some((&["id"], &["v"])))).unwrap_err().to_string();
    assert_eq!(
        why,
        "a value cannot be read as the type that both sides are compared in (SQLSTATE 22P02); leave its column out of `rows`"
    );
}

#[test]
fn without_a_key_rows_are_partners_by_all_their_values() {
    let mut sides = Sides::new(TWENTY);
    sides.0.run("update m set a = 'x' where fact_id = 5; insert into m (a, b) select a, b from m where fact_id = 6");
    let found = sides.by(&[], &["a", "b"]);
    assert_eq!((told(&found), found.alike), ((1, 2, 0, &[][..]), false));
    assert_eq!(keys(&found, Kind::Missing), ["5"]);
    // One value of two rows changes places: seen as long as another one stays.
    sides.0.run("truncate m; insert into m (a, b) select a, case id when 1 then 2 when 2 then 1 else b end from p");
    assert_eq!(told(&sides.by(&[], &["a", "b"])), (2, 2, 0, &[][..]));
    assert_eq!(told(&sides.by(&[], &["b"])), (0, 0, 0, &[][..]));
}

#[test]
fn an_empty_side_has_no_partners() {
    let mut sides = Sides::new(TWENTY);
    sides.0.run("truncate m");
    assert_eq!(told(&sides.by(&["id fact_id"], &["a"])), (20, 0, 0, &[0][..]));
    sides.0.run("insert into m (fact_id, a) select id, a from p; truncate p");
    assert_eq!(told(&sides.by(&["id fact_id"], &["a"])), (0, 20, 0, &[0][..]));
    sides.0.run("truncate m");
    for key in [&["id fact_id"][..], &[]] {
        let found = sides.by(key, &["a"]);
        assert!(found.is_empty() && found.listed.is_empty());
    }
}

#[test]
fn both_sides_may_name_a_column_alike_and_mean_another_type() {
    let mut sides = Sides::new(
        "create type state as enum ('on', 'off'); create table p (id int, state state, at timestamptz);
         create table m (id int, state text, at timestamptz); insert into p select i, 'on' from generate_series(1, 3) i;
         insert into p values (4, 'off'); insert into m select id, state from p where id <> 2",
    );
    let mut pair = Sides::pair(Some((&["id"], &[])));
    for side in [&mut pair.prisma, &mut pair.mirror] {
        side.filter.insert("state".to_owned(), "on".to_owned());
    }
    let mapping = sides.mapping(&pair).unwrap().unwrap();
    let question = Question { schema: "public", pair: &pair, mapping: &mapping, counted: (3, 2) };
    let client = sides.0.connection.client();
    client.batch_execute("begin").unwrap();
    assert_eq!(told(&compare(client, &question).unwrap()), (1, 0, 0, &[][..]));
    assert_eq!(
        client.query_one("show enable_mergejoin", &[]).unwrap().get::<_, String>(0),
        "on",
        "settings end with the question"
    );
}

#[test]
fn a_shared_key_is_found_only_where_it_is_certain() {
    let p = "create table p (id uuid primary key, at timestamp);";
    let cases = [
        ("create table m (id uuid primary key, at timestamptz)", true),
        ("create table m (id uuid unique, at timestamptz)", true),
        ("create table m (id uuid, at timestamptz)", false),
        ("create table m (id text primary key, at timestamptz)", false),
        ("create table m (id uuid primary key default gen_random_uuid(), at timestamptz)", false),
        ("create table m (id uuid, n int, at timestamptz, primary key (id, n))", false),
        ("create table m (id uuid, at timestamptz); create unique index on m (id) where at is not null", false),
        ("create table m (id uuid, at timestamptz); create unique index on m ((id::text))", false),
        ("create table m (id uuid, at timestamptz unique, unique (id) deferrable)", false),
        ("create table kept (id uuid primary key, at timestamptz); create view m as select * from kept", false),
    ];
    for (m, certain) in cases {
        let mut sides = Sides::new(&format!("{p} {m}"));
        let found = sides.mapping(&Sides::pair(None)).unwrap();
        assert_eq!(found.is_some(), certain, "{m}");
        if let Some(mapping) = found {
            assert_eq!((mapping.by().as_str(), mapping.named, mapping.values.len()), ("`id`", false, 0));
        }
    }
}
