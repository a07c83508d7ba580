//! A way back that leaves nothing, drafted: what a down script leaves undone is in the catalog, with its definition, so the statements
//! that undo it can be written down for a person to read. The catalog's words are not all of SQL: what it has no statement for is a line
//! of comment.

use crate::migrations::ddl::{self, inside};
use crate::migrations::down::Down;
use crate::schema::catalog::{Catalog, Change, Difference, ObjectKey};
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
        match change {
            Change::Unexpected => drops.push((rank, gone(object, found))),
            Change::Missing => creates.push((DROPS.len() - rank, made(object, expected))),
            Change::Changed { property, expected: value, .. } => {
                let again = alter(object, property, value.as_deref());
                if again.is_none() && is_made_whole(object) {
                    drops.push((rank, gone(object, found)));
                }
                creates.push((DROPS.len() - rank, again.unwrap_or_else(|| made(object, expected))));
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

fn gone(object: &ObjectKey, found: &Catalog) -> String {
    let may_go = DROPS.contains(&object.kind.as_str());
    ddl::drop(object, found).filter(|_| may_go).unwrap_or_else(|| by_hand(object, "is to go"))
}

fn made(object: &ObjectKey, expected: &Catalog) -> String {
    ddl::create(object, expected).unwrap_or_else(|| by_hand(object, "is to come back"))
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
