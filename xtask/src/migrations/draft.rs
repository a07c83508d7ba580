//! A way back that leaves nothing, drafted: what a down script leaves undone is in the catalog, with its definition, so the statements
//! that undo it can be written down for a person to read. The catalog's words are not all of SQL: what it has no statement for is a line
//! of comment.

use crate::migrations::down::Down;
use crate::schema::catalog::{Catalog, Change, Difference, Object, ObjectKey, quoted};
use crate::schema::drift;

/// What takes nothing but its name to drop, in the order in which drops succeed; others come after them.
const DROPS: [&str; 17] = [
    "event trigger",
    "trigger",
    "policy",
    "rule",
    "constraint",
    "index",
    "statistics",
    "materialized view",
    "view",
    "function",
    "procedure",
    "column",
    "table",
    "sequence",
    "domain",
    "type",
    "extension",
];

/// `down`, and after it what brings `found`, where it leads, to `expected`.
pub fn complete(down: &Down, expected: &Catalog, found: &Catalog) -> Down {
    let differences = drift::between(expected, found).definition;
    let mut drops: Vec<(usize, String)> = Vec::new();
    let mut creates: Vec<(usize, String)> = Vec::new();
    for Difference { object, change, .. } in &differences {
        let rank = DROPS.iter().position(|kind| *kind == object.kind).unwrap_or(DROPS.len());
        let there = expected.objects.get(object);
        match change {
            Change::Unexpected => drops.push((rank, drop(object))),
            Change::Missing => creates.push((DROPS.len() - rank, create(object, there))),
            Change::Changed { property, expected, .. } => {
                let again = alter(object, property, expected.as_deref());
                if again.is_none() && is_made_whole(object) {
                    drops.push((rank, drop(object)));
                }
                creates.push((DROPS.len() - rank, again.unwrap_or_else(|| create(object, there))));
            }
        }
    }
    drops.sort();
    creates.sort();
    creates.dedup();
    let statements = drops.into_iter().chain(creates).map(|(_, sql)| format!("{sql}\n"));
    let end = if down.sql.trim_end().ends_with(';') { "" } else { "\n;" };
    let sql = format!("{}{end}", down.sql.trim_end());
    let added: String = statements.collect();
    Down { sql: format!("{sql}\n\n-- What the lines above leave undone.\n{added}"), ..down.clone() }
}

/// Whether changing it means to make it again. A function is replaced.
fn is_made_whole(object: &ObjectKey) -> bool {
    matches!(
        object.kind.as_str(),
        "trigger" | "policy" | "rule" | "constraint" | "index" | "view" | "materialized view" | "statistics"
    )
}

fn by_hand(object: &ObjectKey, what: &str) -> String {
    format!("-- By hand: {object} {what}.")
}

/// What is inside of a table, and that table.
fn inside(object: &ObjectKey) -> Option<(String, String)> {
    let (name, table) = object.path.split_last()?;
    Some((quoted([name]), quoted(table)))
}

fn drop(object: &ObjectKey) -> String {
    let kind = object.kind.to_uppercase();
    match (object.kind.as_str(), inside(object)) {
        ("trigger" | "policy" | "rule", Some((name, table))) => format!("DROP {kind} {name} ON {table};"),
        ("constraint" | "column", Some((name, table))) => format!("ALTER TABLE {table} DROP {kind} {name};"),
        (other, _) if DROPS.contains(&other) => format!("DROP {kind} {};", object.name()),
        _ => by_hand(object, "is to go"),
    }
}

fn create(object: &ObjectKey, there: Option<&Object>) -> String {
    let property =
        |name: &str| there.and_then(|object| object.properties.get(name)).map(|text| text.trim_end_matches(';'));
    let name = object.name();
    match (object.kind.as_str(), property("definition"), inside(object)) {
        ("view", Some(definition), _) => format!("CREATE VIEW {name} AS\n{definition};"),
        ("materialized view", Some(definition), _) => format!("CREATE MATERIALIZED VIEW {name} AS\n{definition};"),
        ("constraint", Some(definition), Some((name, table))) => {
            format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition};")
        }
        ("policy", _, Some((name, table))) => policy(&name, &table, &property),
        ("column", _, Some((name, table))) => column(&name, &table, &property),
        (_, Some(definition), _) => format!("{};", definition.trim_end()),
        _ => by_hand(object, "is to come back"),
    }
}

fn policy<'a>(name: &str, table: &str, property: &dyn Fn(&str) -> Option<&'a str>) -> String {
    let clause = |name: &str, before: &str, after: &str| {
        property(name).map(|text| format!(" {before}{text}{after}")).unwrap_or_default()
    };
    let roles = clause("roles", "TO ", "").replace("<migrating role>", "CURRENT_USER");
    let (kind, command) = (clause("kind", "AS ", ""), clause("command", "FOR ", ""));
    format!(
        "CREATE POLICY {name} ON {table}{kind}{command}{roles}{}{};",
        clause("using", "USING (", ")"),
        clause("check", "WITH CHECK (", ")")
    )
}

fn column<'a>(name: &str, table: &str, property: &dyn Fn(&str) -> Option<&'a str>) -> String {
    let kind = property("type").unwrap_or("text");
    let default = match (property("generated"), property("identity"), property("default")) {
        (Some(_), _, Some(value)) => format!(" GENERATED ALWAYS AS ({value}) STORED"),
        (_, Some(identity), _) => format!(" GENERATED {} AS IDENTITY", identity.to_uppercase()),
        (_, _, Some(value)) => format!(" DEFAULT {value}"),
        _ => String::new(),
    };
    let null = if property("nullable") == Some("no") { " NOT NULL" } else { "" };
    format!("ALTER TABLE {table} ADD COLUMN {name} {kind}{default}{null};")
}

/// What sets one property back without making the object again; None where only that does it.
fn alter(object: &ObjectKey, property: &str, expected: Option<&str>) -> Option<String> {
    let (name, table) = inside(object)?;
    Some(match (object.kind.as_str(), property, expected) {
        ("column", "type", Some(kind)) => format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE {kind};"),
        ("column", "nullable", Some("no")) => format!("ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL;"),
        ("column", "nullable", _) => format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL;"),
        ("column", "default", Some(value)) => format!("ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {value};"),
        ("column", "default", None) => format!("ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT;"),
        ("table", "row security", None) => {
            format!(
                "ALTER TABLE {0} DISABLE ROW LEVEL SECURITY;\nALTER TABLE {0} NO FORCE ROW LEVEL SECURITY;",
                object.name()
            )
        }
        ("table", "row security", Some("enabled")) => {
            format!(
                "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY;\nALTER TABLE {0} NO FORCE ROW LEVEL SECURITY;",
                object.name()
            )
        }
        (_, "comment", text) if matches!(object.kind.as_str(), "table" | "column" | "view" | "function") => {
            let text = text.map_or("NULL".to_owned(), postgres_protocol::escape::escape_literal);
            format!("COMMENT ON {} {} IS {text};", object.kind.to_uppercase(), object.name())
        }
        ("function" | "procedure", "definition", _) => return None,
        _ if is_made_whole(object)
            && matches!(property, "definition" | "using" | "check" | "roles" | "command" | "kind") =>
        {
            return None;
        }
        (_, _, Some(value)) => by_hand(object, &format!("had {property} {value}")),
        (_, _, None) => by_hand(object, &format!("had no {property}")),
    })
}
