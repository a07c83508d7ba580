//! One change a line, made by hand on the real server: what a comparison says of it, and that it says nothing of what was not changed.

use std::collections::BTreeSet;

use crate::postgres::server::Database;
use crate::schema::catalog::questions::{ANNOTATIONS, IMPLIED, OBJECTS};
use crate::schema::catalog::scope::NOT_COMPARED;
use crate::schema::catalog::{Catalog, KINDS, catalog, catalog_in};
use crate::schema::drift::{Drift, between};

/// A change, and indented what is said of it. `{}` stands for the database.
const DRIFTS: &str = include_str!("drifts.txt");

fn house() -> Database {
    let mut database = Database::new();
    database.run(include_str!("torture.sql"));
    database.run(include_str!("rare.sql"));
    database
}

/// The schema after `change`, which is taken back.
fn after(database: &mut Database, change: &str) -> Catalog {
    let mut transaction = database.connection.client().transaction().unwrap();
    let change = change.replace("{}", &database.name);
    // What only the server itself and its providers write has to be written by hand.
    let begin =
        "set local allow_system_table_mods = on; set local search_path = public; set local client_min_messages = error";
    let end = "set local search_path = pg_catalog, pg_temp";
    let sql = format!("{begin}; {change}; {end}");
    transaction.batch_execute(&sql).unwrap_or_else(|error| panic!("{:?} in {change}", error.as_db_error()));
    catalog_in(&mut transaction, &["public"]).unwrap()
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
    let mut kinds = BTreeSet::new();
    let mut said = String::new();
    for change in DRIFTS.lines().filter(|line| !line.starts_with(' ')) {
        let drift = between(&before, &after(&mut database, change));
        kinds.extend(
            drift.definition.iter().chain(&drift.surroundings).map(|difference| difference.object.kind.clone()),
        );
        said += &format!("{change}\n{}", told(&drift));
    }
    assert_eq!(said, DRIFTS);
    assert_eq!(kinds, KINDS.iter().map(|kind| (*kind).to_owned()).collect());
    let untouched = between(&before, &catalog(&mut database.connection, &["public"]).unwrap());
    assert_eq!(told(&untouched), "    not looked at\n");
}

#[test]
fn every_table_of_the_servers_catalog_is_read_or_listed_with_what_is_in_it() {
    let mut database = Database::new();
    let sql = "select array_agg(relname::text) from pg_class where relnamespace = 'pg_catalog'::regnamespace and relkind = 'r'";
    let tables: Vec<String> = database.ask(sql);
    let read = OBJECTS.iter().map(|(_, sql)| *sql).chain([ANNOTATIONS, IMPLIED]).collect::<String>();
    let words: BTreeSet<&str> = read.split(|sign: char| !sign.is_alphanumeric() && sign != '_').collect();
    let listed = |table: &str| NOT_COMPARED.iter().any(|(name, _)| *name == table);
    let wrong: Vec<&String> = tables.iter().filter(|table| words.contains(table.as_str()) == listed(table)).collect();
    assert_eq!(wrong, [""; 0]);
    let docs = include_str!("../../../../docs/safety.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let unsaid: Vec<&str> = NOT_COMPARED.iter().map(|(_, what)| *what).filter(|what| !docs.contains(what)).collect();
    assert_eq!(unsaid, [""; 0]);
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
            match serde_json::from_str::<Option<String>>(parts[3]).unwrap() {
                Some(value) => object.properties.insert(parts[2].to_owned(), value),
                None => object.properties.remove(parts[2]),
            };
        }
        assert_ne!(theirs.objects, ours.objects);
        for (expected, actual) in [(&ours, &theirs), (&theirs, &ours)] {
            let drift = between(expected, actual);
            assert_eq!(drift.definition.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0], "{major}");
        }
    }
}
