//! Renames by identity: what a migration gave another name, or moved to another schema, gets its own back and keeps what is in it.

use std::collections::BTreeMap;

use crate::migrations::ddl::{move_to, rename};
use crate::migrations::look::Seen;
use crate::schema::catalog::{Catalog, Object, ObjectKey};

/// What gives everything that is in both the names of `then`, as SQL, one statement each; None where there is no such statement. What has
/// taken such a name meanwhile makes way under another.
pub fn renamed_back(then: Seen<'_>, now: Seen<'_>) -> Option<Vec<String>> {
    let schemas: BTreeMap<&String, &String> = pairs(then, now)
        .filter(|(then, _)| then.kind == "schema")
        .map(|(then, now)| (&now.path[0], &then.path[0]))
        .collect();
    let home = |key: &ObjectKey| schemas.get(&key.path[0]).map_or(key.path[0].clone(), |then| (*then).clone());
    let mut statements = Vec::new();
    // What is inside first: it is named by the holder's name of now.
    for depth in [3, 2, 1] {
        let (mut away, mut back) = (BTreeMap::new(), Vec::new());
        for (then, now_key) in
            pairs(then, now).filter(|(then, now)| depth_of(then) == depth && then.path.last() != now.path.last())
        {
            let name = then.path.last()?;
            if let Some(occupant) = occupant(now_key, name, now.catalog)
                && !away.contains_key(occupant)
            {
                let aside = format!("drill_aside_{}", statements.len() + away.len());
                statements.push(rename(occupant, now.catalog, &aside)?);
                away.insert(occupant, aside);
            }
            back.push((now_key, name));
        }
        for (key, name) in back {
            let key = away.get(key).map_or(key.clone(), |aside| named(key, aside));
            statements.push(rename(&key, now.catalog, name)?);
        }
        let moved = |(before, after): &(&ObjectKey, &ObjectKey)| {
            depth == 2
                && depth_of(before) == 2
                && home(after) != before.path[0]
                && !goes_with_its_table(after, now.catalog)
        };
        for (then, now) in pairs(then, now).filter(moved) {
            let schema =
                schemas.iter().find(|(_, name)| **name == &then.path[0]).map_or(&then.path[0], |(now, _)| *now);
            statements.push(move_to(&named(now, then.path.last()?), schema)?);
        }
    }
    Some(statements)
}

/// What is `elsewhere`, each with the schema and the name that it has there, comes back from there.
pub fn brought_back(elsewhere: &[(&ObjectKey, [String; 2])], now: &Catalog) -> Option<Vec<String>> {
    let mut statements = Vec::new();
    for (key, [schema, name]) in elsewhere {
        let (home, own) = (key.path.first()?, key.path.last()?);
        if let Some(occupant) = occupant(key, own, now) {
            statements.push(rename(occupant, now, &format!("drill_aside_{}", statements.len()))?);
        }
        let there = ObjectKey::new(key.kind.as_str(), vec![schema.clone(), own.clone()], key.signature.as_str());
        if name != own {
            statements.push(rename(&named(&there, name), now, own)?);
        }
        statements.push(move_to(&there, home)?);
    }
    Some(statements)
}

/// What has the same identity and another name: as it was, and as it is.
fn pairs<'a>(then: Seen<'a>, now: Seen<'a>) -> impl Iterator<Item = (&'a ObjectKey, &'a ObjectKey)> {
    let both = now.identities.pairs(then.identities);
    let is_ours = move |(before, after): &(&ObjectKey, &ObjectKey)| {
        let there = now.catalog.objects.get(*after);
        then.catalog.objects.contains_key(*before) && there.is_some_and(|object| !is_inherited(after, object))
    };
    both.filter(|(before, after)| before != after).filter(is_ours).filter(|(before, after)| before.kind == after.kind)
}

/// A partition's column has the name of its parent's.
fn is_inherited(key: &ObjectKey, object: &Object) -> bool {
    key.kind == "column" && object.follows.iter().any(|path| path.len() == 3)
}

/// An index, and a sequence that a column owns, are where their table is.
pub fn goes_with_its_table(key: &ObjectKey, catalog: &Catalog) -> bool {
    let is_owned = || catalog.objects.get(key).is_some_and(|object| object.follows.iter().any(|path| path.len() == 3));
    key.kind == "index" || key.kind == "sequence" && is_owned()
}

fn depth_of(key: &ObjectKey) -> usize {
    key.path.len()
}

fn named(key: &ObjectKey, name: &str) -> ObjectKey {
    let mut path = key.path.to_vec();
    if let Some(last) = path.last_mut() {
        name.clone_into(last);
    }
    ObjectKey::new(key.kind.as_str(), path, key.signature.as_str())
}

/// What has the name that `key` is to have again.
fn occupant<'a>(key: &ObjectKey, name: &str, catalog: &'a Catalog) -> Option<&'a ObjectKey> {
    let wanted = named(key, name);
    let is_relation = |key: &ObjectKey| {
        matches!(key.kind.as_str(), "table" | "view" | "materialized view" | "foreign table" | "sequence" | "index")
    };
    let takes = |other: &&ObjectKey| {
        other.path == wanted.path
            && (other.kind == key.kind && other.signature == key.signature || is_relation(other) && is_relation(key))
    };
    catalog.objects.keys().find(takes)
}
