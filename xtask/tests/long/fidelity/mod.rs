//! Rows of every type and every kind of table through `reset` and `restore`, in each way that rows are kept, and compared by what COPY prints of each
//! table, and by `pg_dump`: the drill's own checksums have no part in it.

mod dumped;

use std::collections::BTreeMap;
use std::io::Read;

use chores::reliability::Table;
use postgres::Client;

use self::dumped::Dumped;
use crate::project::{Project, claim};
use crate::server::{Database, Server};

/// Kinds: `-- # what it is`, the migration's part, `-- rows` and what fills it.
const KINDS: &str = include_str!("kinds.sql");

struct Kind {
    name: &'static str,
    migration: &'static str,
    rows: &'static str,
}

fn kinds() -> Vec<Kind> {
    let kind = |text: &'static str| {
        let (name, rest) = text.split_once('\n').unwrap();
        let (migration, rows) = rest.split_once("-- rows\n").unwrap();
        Kind { name, migration, rows }
    };
    KINDS.split("-- # ").skip(1).map(kind).collect()
}

/// By its name: the rows of a table as COPY prints them, in order, or where a sequence stands.
type Contents = BTreeMap<String, Vec<u8>>;

const RELATIONS: &str =
    "select format('%I.%I', nspname, relname), c.relkind = 'S' from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where nspname in ('public', 'elsewhere') and relkind in ('r', 'S') and relname <> '_prisma_migrations' order by 1";

fn relations(client: &mut Client) -> Vec<(String, bool)> {
    client.query(RELATIONS, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn contents(client: &mut Client) -> Contents {
    client.batch_execute("set extra_float_digits = 1; set timezone = 'UTC'; set row_security = off").unwrap();
    let names = relations(client);
    let read = |(name, is_sequence): (String, bool)| {
        let query = match is_sequence {
            true => format!("copy (select last_value, is_called from {name}) to stdout"),
            false => format!("copy (select * from only {name}) to stdout"),
        };
        let mut text = Vec::new();
        client.copy_out(&query).unwrap().read_to_end(&mut text).unwrap();
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        lines.sort_unstable();
        (name, lines.concat())
    };
    names.into_iter().map(read).collect()
}

/// Which relations each kind made.
fn relations_of_kinds(server: &Server) -> Vec<Vec<String>> {
    let database = server.database("fidelity_kinds");
    let mut client = database.connect();
    let mut seen = Vec::new();
    let made = |kind: Kind| {
        client.batch_execute(kind.migration).unwrap_or_else(|error| panic!("{}: {error:?}", kind.name));
        let names = relations(&mut client).into_iter().map(|(name, _)| name);
        let new: Vec<String> = names.filter(|name| !seen.contains(name)).collect();
        seen.extend(new.clone());
        new
    };
    kinds().into_iter().map(made).collect()
}

/// Types that a column may have and that no text is read as: their values are the server's own, and `what_would_not_go_back…` has them.
const WITHOUT_INPUT: [&str; 7] = [
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
];

/// Types of the server that no kind has a column of.
fn untried_types(client: &mut Client) -> Vec<String> {
    let sql = "select typname::text from pg_type t where typtype in ('b', 'r', 'm') and typnamespace = 'pg_catalog'::regnamespace
        and not exists (select from pg_type e where e.typarray = t.oid)
        and not exists (select from pg_attribute a join pg_class c on c.oid = attrelid where atttypid = t.oid and relnamespace = 'public'::regnamespace)
        order by 1";
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn keep_as(project: &Project, way: &str) {
    let toml = project.read("drill.toml");
    let before = toml.split("\n[snapshots]").next().unwrap();
    project.write("drill.toml", &format!("{before}\n[snapshots]\nkeep_as = \"{way}\"\n"));
}

fn staging(name: &str, server: &Server, migration: &str) -> (Project, Database) {
    let (project, database) = (Project::new(), server.database(name));
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
    project.migration("20260101000000_kinds", migration);
    project.run(&["forward"]).expect(0);
    // Where row security is forced, the owner without that right is refused before anything: `what_would_not_go_back…`.
    server.superuser("postgres").batch_execute(&format!("alter role {} bypassrls", database.user)).unwrap();
    claim(&project, &database);
    (project, database)
}

#[test]
fn every_type_and_every_kind_of_table_comes_back_as_it_was() {
    let server = Server::start();
    let relations = relations_of_kinds(&server);
    let migration: String = kinds().iter().map(|kind| kind.migration).collect();
    let (project, database) = staging("fidelity", &server, &migration);
    assert_eq!(untried_types(&mut database.connect()), WITHOUT_INPUT);
    database.execute("create schema elsewhere; create table elsewhere.guest (id int, of_many bigint)");
    for kind in kinds() {
        database.connect().batch_execute(kind.rows).unwrap_or_else(|error| panic!("{}: {error:?}", kind.name));
    }
    database.execute("insert into elsewhere.guest values (1, 1), (2, null)");
    let read = || contents(&mut server.superuser(&database.name));
    let dump = || Dumped::of(&server.superuser_url(&database.name));
    let (before, dumped) = (read(), dump());
    let mut failures: Vec<Vec<String>> = relations.iter().map(|_| Vec::new()).collect();
    let mut redefined = Vec::new();
    let ways = [
        ("files", "files", "rows"),
        ("a database that takes the name", "database", "is the newest snapshot now"),
        ("a database, table by table", "database", "large objects"),
    ];
    for (way, keep, said) in ways {
        if said == "large objects" {
            database.execute("select lo_from_bytea(0, 'it keeps a copy from taking the name')");
        }
        keep_as(&project, keep);
        project.run(&["reset", "--confirm"]).expect(0);
        let empty = read();
        let stayed =
            |name: &&String| !before[*name].is_empty() && *name != "public.untouched" && empty[*name] == before[*name];
        let stayed: Vec<&String> = relations.iter().flatten().filter(stayed).collect();
        assert_eq!(stayed, [""; 0], "a reset empties them");
        let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
        assert!(answer.stdout.contains(said), "{way}: {}", answer.stdout);
        let (after, dumped_after) = (read(), dump());
        for (names, failures) in relations.iter().zip(&mut failures) {
            let is_same = |name: &String| {
                let judged = dumped.rows(name).filter(|rows| dumped_after.rows(name) == Some(rows));
                judged.is_some() && after.get(name) == before.get(name)
            };
            let other: Vec<&str> = names.iter().filter(|name| !is_same(name)).map(String::as_str).collect();
            failures.extend((!other.is_empty()).then(|| format!("{} as it was not, kept as {way}", other.join(", "))));
        }
        let differences = dumped.differences(&dumped_after);
        redefined.extend((!differences.is_empty()).then(|| format!("kept as {way}:\n{}", differences.join("\n"))));
        assert_eq!(after["elsewhere.guest"], before["elsewhere.guest"]);
        assert!(dumped.rows("elsewhere.guest") == dumped_after.rows("elsewhere.guest"));
    }
    let object: String = database.one("select convert_from(lo_get(oid), 'UTF8') from pg_largeobject_metadata");
    let about = "Rows of every type and every kind of table through `reset` and `restore`, kept in three ways: as files, as a database that takes the \
                 name, and as a database whose rows go back table by table. What COPY prints of each table and partition, and where each sequence \
                 stands, is compared with before, and so is what `pg_dump` prints. xtask/tests/long/fidelity/kinds.sql has the values; the test fails where the server has a type \
                 that none of them is of.";
    let mut table =
        Table::new("fidelity", about, "every_type_and_every_kind_of_table_comes_back_as_it_was", &["rows of"]);
    for (kind, failures) in kinds().iter().zip(failures) {
        table.rows_of([kind.name], ways.len(), failures);
    }
    table.rows_of(["everything but rows, as `pg_dump` prints it"], ways.len(), redefined);
    let is_there = object == "it keeps a copy from taking the name";
    table.row(["a large object, which neither touches"], is_there.then_some(()).ok_or(object));
    table.hold();
}

/// What is in the way, the migration, the rows as the superuser writes them, and what is said before anything is dropped.
const REFUSED: [[&str; 4]; 5] = [
    [
        "a value that no text is read as: `pg_node_tree`",
        "create table kept (a pg_node_tree)",
        "insert into kept select adbin from pg_attrdef limit 1",
        "cannot accept a value of type pg_node_tree",
    ],
    [
        "the same: `pg_ndistinct`",
        "create table kept (a pg_ndistinct); create table counted (a int, b int); create statistics counts (ndistinct) on a, b from counted",
        "insert into counted select i, i from generate_series(1, 99) i; analyze counted; insert into kept select n_distinct from pg_stats_ext",
        "cannot accept a value of type pg_ndistinct",
    ],
    [
        "row security that is forced on a role without BYPASSRLS",
        "create table kept (a int); alter table kept enable row level security, force row level security",
        "insert into kept values (1)",
        "its row security is forced",
    ],
    [
        "a partition that is a foreign table",
        "create table kept (a int) partition by range (a)",
        "create foreign data wrapper far; create server office foreign data wrapper far;
         create foreign table away partition of kept for values from (1) to (9) server office",
        "is a foreign table",
    ],
    [
        "rows that the migrations' constraints do not let in",
        "create table kept (a int check (a > 0))",
        "alter table kept drop constraint kept_a_check; insert into kept values (-1)",
        "violates check constraint",
    ],
];

#[test]
fn what_would_not_go_back_is_named_before_anything_is_dropped() {
    let server = Server::start();
    let about = "What a snapshot cannot hold or a restore could not put back, and a `reset` of a database that has it, which keeps rows as files and as a \
                 database: exit 4 with these words, and every row is there.";
    let test = "what_would_not_go_back_is_named_before_anything_is_dropped";
    let mut table = Table::new("not-kept", about, test, &["in the way", "what is said"]);
    for [what, migration, rows, said] in REFUSED {
        let (project, database) = staging("fidelity_refused", &server, migration);
        let mut client = server.superuser(&database.name);
        client.batch_execute(rows).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let right = if said.contains("forced") { "nobypassrls" } else { "bypassrls" };
        client.batch_execute(&format!("alter role {} {right}", database.user)).unwrap();
        let read = |client: &mut Client| {
            let rows = "select count(*), max(a::text) from only kept";
            client.query_one(rows, &[]).map(|row| (row.get::<_, i64>(0), row.get::<_, Option<String>>(1))).unwrap()
        };
        let before = read(&mut client);
        let refused = |way: &str| {
            keep_as(&project, way);
            let answer = project.run(&["reset", "--confirm"]);
            let is_so = answer.code == 4 && answer.stderr.contains(said) && read(&mut client) == before;
            (!is_so).then(|| format!("as {way}: exit {}: {}", answer.code, answer.stderr))
        };
        table.rows_of([what, said], 2, ["files", "database"].into_iter().filter_map(refused).collect());
    }
    table.hold();
}
