//! An enum gets the labels that it had: by renames or, since no label goes by itself, as another type to which every column changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::migrations::ddl::{create, drop, inside, property};
use crate::migrations::step::{Rank, Step};
use crate::schema::catalog::{Catalog, Object, ObjectKey, quoted};

/// What gives `key` the labels of `then`. What stands on the type makes way for it, and is missing at the next look.
pub fn relabeled(key: &ObjectKey, then: &Catalog, now: &Catalog) -> Option<Vec<Step>> {
    let labels = |catalog: &Catalog| property(catalog.objects.get(key)?, "labels").map(str::to_owned);
    if let Some(sql) = renamed(key, &labels(then)?, &labels(now)?) {
        return Some(vec![Step::new(Rank::RenameLabel, key, sql)]);
    }
    let columns = columns(key, then, now);
    let mut steps = vec![Step::new(Rank::ChangeType, key, replaced(key, &columns, then, now)?)];
    for (other, rank) in in_the_way(key, &columns, now) {
        steps.push(Step::new(rank, other, drop(other, now)?));
    }
    Some(steps)
}

/// A label may have another name.
fn renamed(key: &ObjectKey, then: &str, now: &str) -> Option<String> {
    let (then, now) = (literals(then)?, literals(now)?);
    let others = |here: &[String], there: &[String]| here.iter().filter(|label| !there.contains(label)).count();
    let renamed: Vec<(&String, &String)> = now.iter().zip(&then).filter(|(now, then)| now != then).collect();
    // Two that have changed places are no renames.
    if then.len() != now.len() || renamed.len() != others(&now, &then) {
        return None;
    }
    let rename = |(now, then): &(&String, &String)| format!("ALTER TYPE {} RENAME VALUE {now} TO {then};", key.name());
    Some(renamed.iter().map(rename).collect::<Vec<_>>().join("\n"))
}

/// The literals of a list, as they are written.
fn literals(list: &str) -> Option<Vec<String>> {
    let (mut all, mut inside) = (vec![String::new()], false);
    for c in list.chars() {
        inside ^= c == '\'';
        match c {
            ',' if !inside => all.push(String::new()),
            ' ' if !inside => {}
            c => all.last_mut()?.push(c),
        }
    }
    Some(all)
}

/// What is declared with the type, what stands on a table of which a column changes, and what stands on that.
fn in_the_way<'a>(key: &ObjectKey, columns: &[Column<'_>], now: &'a Catalog) -> BTreeMap<&'a ObjectKey, Rank> {
    let tables: BTreeSet<&[String]> = columns.iter().map(|column| &column.key.path[..2]).collect();
    let is_on_table = |other: &ObjectKey| {
        matches!(other.kind.as_str(), "trigger" | "policy" | "rule") && tables.contains(&other.path[..2])
    };
    let mut names: Vec<String> = vec![shown(&key.path)];
    let mut tables: Vec<String> = tables.iter().map(|path| shown(path)).collect();
    let mut found = BTreeMap::new();
    loop {
        let before = found.len();
        for (other, object) in &now.objects {
            let Some(rank) = Rank::of_what_is_made_again(&other.kind).filter(|_| !found.contains_key(other)) else {
                continue;
            };
            let is_view = rank == Rank::DropView;
            if is_on_table(other) || mentions(other, object, &names) || is_view && mentions(other, object, &tables) {
                found.insert(other, rank);
                if is_view {
                    names.push(shown(&other.path));
                }
            }
        }
        tables.clear();
        if found.len() == before {
            return found;
        }
    }
}

/// Whether `object` is declared with one of `names`: what a function does with it when it runs is no matter.
fn mentions(key: &ObjectKey, object: &Object, names: &[String]) -> bool {
    let declared = |text: &str| match key.kind.as_str() {
        "function" | "procedure" => text.split("\nAS ").next().unwrap_or_default().to_owned(),
        _ => text.to_owned(),
    };
    let texts = object.properties.values().map(|value| bare(&declared(value.as_str())));
    let texts: Vec<String> = texts.chain([bare(&key.signature)]).collect();
    names.iter().any(|name| texts.iter().any(|text| contains(text, name)))
}

/// As the server prints it, but for the quotes: which names have them, it knows.
fn shown(path: &[String]) -> String {
    bare(&path.join("."))
}

fn bare(text: &str) -> String {
    text.replace('"', "")
}

/// As a whole name.
fn contains(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    text.match_indices(name).any(|(at, _)| {
        let after = text[at + name.len()..].chars().next();
        !text[..at].ends_with(is_part) && !after.is_some_and(is_part)
    })
}

/// A column that is of the type at both points.
struct Column<'a> {
    key: &'a ObjectKey,
    then: &'a Object,
    now: &'a Object,
    /// `[]`, or nothing.
    array: &'static str,
}

fn columns<'a>(kind: &ObjectKey, then: &'a Catalog, now: &'a Catalog) -> Vec<Column<'a>> {
    let name = shown(&kind.path);
    let column = |(key, object): (&'a ObjectKey, &'a Object)| {
        let before = then.objects.get(key).filter(|_| key.kind == "column")?;
        // A partition's is changed with its parent's.
        let is_inherited = object.follows.iter().any(|path| path.len() == 3);
        let is = |text: &str| {
            [before, object].iter().all(|object| property(object, "type").map(bare).as_deref() == Some(text))
        };
        let array = if is(&name) { "" } else { Some("[]").filter(|array| is(&format!("{name}{array}")))? };
        (!is_inherited).then_some(Column { key, then: before, now: object, array })
    };
    now.objects.iter().filter_map(column).collect()
}

/// A new type in the place of the old one. A value that it does not have is an error.
fn replaced(key: &ObjectKey, columns: &[Column<'_>], then: &Catalog, now: &Catalog) -> Option<String> {
    let (schema, name) = (key.path.first()?, key.path.last()?);
    let aside = format!("{name}_before");
    let before = ObjectKey::new("type", vec![schema.clone(), aside.clone()], "");
    if now.objects.contains_key(&before) {
        return None;
    }
    let mut lines = vec![format!("ALTER TYPE {} RENAME TO {};", key.name(), quoted([&aside])), create(key, then)?];
    for column in columns {
        lines.push(column.changed(&key.name())?);
    }
    lines.push(format!("DROP TYPE {};", before.name()));
    Some(lines.join("\n"))
}

impl Column<'_> {
    fn changed(&self, kind: &str) -> Option<String> {
        let (column, table) = inside(self.key)?;
        let array = self.array;
        let retype = format!("ALTER COLUMN {column} TYPE {kind}{array} USING {column}::text{array}::{kind}{array}");
        let dropped = property(self.now, "default").map(|_| format!("ALTER COLUMN {column} DROP DEFAULT"));
        let default = property(self.then, "default").filter(|_| dropped.is_some());
        let default = default.map(|default| format!("ALTER COLUMN {column} SET DEFAULT {default}"));
        let actions: Vec<String> = dropped.into_iter().chain([retype]).chain(default).collect();
        Some(format!("ALTER TABLE {table} {};", actions.join(", ")))
    }
}
