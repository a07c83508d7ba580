//! One change a line, made by hand on the real server: what a comparison says of it, and that it says nothing of what was not changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Once;

use chores::reliability::Table;
use postgres::Transaction;

use crate::postgres::server::Database;
use crate::schema::catalog::server_columns::ServerColumns;
use crate::schema::catalog::{Catalog, KINDS, Looker, Object, catalog};
use crate::schema::drift::{Drift, between};

/// A change, and indented what is said of it. `{}` stands for the database.
const DRIFTS: &str = include_str!("drifts.txt");

fn house() -> Database {
    let mut database = Database::new();
    database.run(include_str!("torture.sql"));
    database.run(include_str!("rare.sql"));
    let label = "set local allow_system_table_mods = on;
        insert into pg_catalog.pg_seclabel values ('public.\"Shop\"'::regclass, 'pg_class'::regclass, 0, 'selinux', 'low')";
    database.run(label);
    static ATTIC: Once = Once::new();
    ATTIC.call_once(|| {
        database.run("set allow_in_place_tablespaces = on");
        database.connection.client().batch_execute("create tablespace attic location ''").unwrap();
    });
    database
}

/// Looks at the schema after `change`, which is taken back.
fn after<T>(database: &mut Database, change: &str, look: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
    let mut transaction = database.connection.client().transaction().unwrap();
    let change = change.replace("{}", &database.name);
    // What only the server itself and its providers write has to be written by hand.
    let begin =
        "set local allow_system_table_mods = on; set local search_path = public; set local client_min_messages = error";
    let end = "set local search_path = pg_catalog, pg_temp";
    let sql = format!("{begin}; {change}; {end}");
    transaction.batch_execute(&sql).unwrap_or_else(|error| panic!("{:?} in {change}", error.as_db_error()));
    look(&mut transaction)
}

fn told(drift: &Drift) -> String {
    let found = drift.definition.iter().map(|difference| format!("    found: {difference}\n"));
    let noted = drift.notes().into_iter().map(|note| format!("    noted: {note}\n"));
    let told: String = found.chain(noted).collect();
    if told.is_empty() { "    not looked at\n".to_owned() } else { told }
}

#[test]
fn every_change_is_found_or_noted_and_what_is_not_looked_at_is_listed() {
    let mut database = house();
    let before = catalog(&mut database.connection, &["public"]).unwrap();
    let mut columns = ServerColumns::new(database.connection.client());
    let mut looker = Looker::default();
    let (mut kinds, mut changes) = (BTreeSet::new(), BTreeMap::new());
    let mut said = String::new();
    for change in DRIFTS.lines().filter(|line| !line.starts_with(' ')) {
        let drift = after(&mut database, change, |transaction| {
            let drift = between(&before, &looker.look(transaction, &["public"]).unwrap());
            if !drift.definition.is_empty() || !drift.surroundings.is_empty() {
                columns.noticed(transaction, change);
            }
            drift
        });
        let all: Vec<_> = drift.definition.iter().chain(&drift.surroundings).collect();
        kinds.extend(all.iter().map(|difference| difference.object.kind.clone()));
        *changes
            .entry((all.first().map(|first| first.object.kind.clone()), drift.definition.is_empty()))
            .or_insert(0) += 1;
        said += &format!("{change}\n{}", told(&drift));
    }
    assert_eq!(said, DRIFTS);
    assert_eq!(kinds, KINDS.iter().map(|kind| (*kind).to_owned()).collect());
    let untouched = between(&before, &catalog(&mut database.connection, &["public"]).unwrap());
    assert_eq!(told(&untouched), "    not looked at\n");
    columns.hold(include_str!("../../../../docs/safety.md"));
    table(&changes).hold();
}

/// How many changes there were by the kind of what they are first noticed in, and whether they are only noted.
fn table(changes: &BTreeMap<(Option<String>, bool), usize>) -> Table {
    let about = "Changes that somebody made behind the migrations' back, one at a time, and what a comparison says of each: \
                 xtask/src/schema/catalog/drifts.txt has them all, with the words. They change every column of the server's catalog that a \
                 statement can change, but for what [safety.md](../safety.md#what-is-compared) lists as not looked at \
                 (server_columns.txt beside it has a change for each column).";
    let test = "every_change_is_found_or_noted_and_what_is_not_looked_at_is_listed";
    let mut table = Table::new("drift", about, test, &["what was changed", "what is said"]);
    for ((kind, noted), count) in changes {
        let said = match (kind, noted) {
            (None, _) => "not looked at",
            (_, true) => "noted: only on this server",
            (_, false) => "found: exit 5",
        };
        table.rows_of([kind.as_deref().unwrap_or("what safety.md lists"), said], *count, vec![]);
    }
    table
}

/// How other majors word the same schema, as their servers print it: major, object, property, and its value as JSON.
const MAJORS: &str = include_str!("majors.txt");

#[test]
fn what_other_majors_word_otherwise_is_no_drift() {
    let mut database = house();
    let ours = catalog(&mut database.connection, &["public"]).unwrap();
    for major in [14, 15, 16, 18] {
        let mut theirs = Catalog { major, ..ours.clone() };
        for line in MAJORS.lines().filter(|line| line.starts_with(&major.to_string())) {
            let parts: Vec<&str> = line.split('\t').collect();
            let object = theirs.objects.iter_mut().find(|(key, _)| key.to_string() == parts[1]).unwrap().1;
            let mut properties = (*object.properties).clone();
            match serde_json::from_str::<Option<String>>(parts[3]).unwrap() {
                Some(value) => properties.insert(parts[2].into(), value.as_str().into()),
                None => properties.remove(parts[2]),
            };
            *object = Object::new(properties, object.follows.clone());
        }
        assert_ne!(theirs.objects, ours.objects);
        for (expected, actual) in [(&ours, &theirs), (&theirs, &ours)] {
            let drift = between(expected, actual);
            assert_eq!(drift.definition.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0], "{major}");
        }
    }
}
