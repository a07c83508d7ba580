//! What makes of a column, a table or a sequence that was changed what it was. What an ALTER of the server's does not tell is None.

use postgres_protocol::escape::escape_identifier;

use crate::migrations::ddl::{
    column as declared, count_on, identity, inside, parameters, property, published as parameters_of, sequence_of,
};
use crate::migrations::step::{Rank, Step};
use crate::schema::catalog::{Catalog, Object, ObjectKey, quoted};

/// An object at the two points.
#[derive(Clone, Copy)]
pub struct Altered<'a> {
    pub key: &'a ObjectKey,
    pub then: &'a Object,
    pub now: &'a Object,
    pub catalog_then: &'a Catalog,
    pub catalog_now: &'a Catalog,
}

/// `SET DEFAULT …` and its like.
pub fn of_value(name: &str, value: Option<&str>) -> Option<String> {
    Some(match (name, value) {
        ("default", Some(default)) => format!("SET DEFAULT {default}"),
        ("default", None) => "DROP DEFAULT".to_owned(),
        ("nullable", Some("no")) => "SET NOT NULL".to_owned(),
        ("nullable", _) => "DROP NOT NULL".to_owned(),
        _ => return None,
    })
}

/// What gives the column's property `name` its `value` again.
pub fn column(altered: Altered<'_>, name: &str, value: Option<&str>) -> Option<Step> {
    let Altered { key, then, now, .. } = altered;
    if property(then, "generated") != property(now, "generated") {
        return computed(altered, name);
    }
    let is_computed = property(then, "generated").is_some();
    match name {
        "type" | "collation" => retyped(altered, property(then, "type")?),
        "identity" => counted(altered),
        "default" if is_computed => {
            let again = again(altered)?.sql;
            let sql = alter(key, &[format!("SET EXPRESSION AS ({})", value?)])?;
            Some(Step { otherwise: vec![again], ..Step::new(Rank::Change, key, sql) })
        }
        "storage" => {
            let step = |storage: &str| alter(key, &[format!("SET STORAGE {}", storage.to_uppercase())]);
            // The word is known since 16.
            let extended = value.is_none().then(|| step("extended")).flatten();
            Some(Step {
                otherwise: extended.into_iter().collect(),
                ..Step::new(Rank::Beside, key, step(value.unwrap_or("default"))?)
            })
        }
        "compression" => beside(key, alter(key, &[format!("SET COMPRESSION {}", value.unwrap_or("default"))])?),
        "statistics target" => beside(key, alter(key, &[format!("SET STATISTICS {}", value.unwrap_or("-1"))])?),
        "options" => beside(key, alter(key, &options("", value, property(now, name)))?),
        _ => Some(Step::new(Rank::AlterColumn, key, alter(key, &[of_value(name, value)?])?)),
    }
}

fn beside(key: &ObjectKey, sql: String) -> Option<Step> {
    Some(Step::new(Rank::Beside, key, sql))
}

fn alter(key: &ObjectKey, actions: &[String]) -> Option<String> {
    let (column, table) = inside(key)?;
    let actions: Vec<String> = actions.iter().map(|action| format!("ALTER COLUMN {column} {action}")).collect();
    Some(format!("ALTER TABLE {table} {};", actions.join(", ")))
}

/// What was computed by another rule, or is now: the values of before can be computed again, those that somebody wrote cannot.
fn computed(altered: Altered<'_>, name: &str) -> Option<Step> {
    let Altered { key, then, now, .. } = altered;
    let was_plain = property(then, "generated").is_none() && property(then, "identity").is_none();
    if !was_plain || property(now, "generated") != Some("stored") {
        return again(altered);
    }
    match name {
        "generated" => Some(Step::new(Rank::Change, key, alter(key, &["DROP EXPRESSION".to_owned()])?)),
        "type" => retyped(altered, property(then, name)?),
        "default" | "nullable" => {
            Some(Step::new(Rank::Change, key, alter(key, &[of_value(name, property(then, name))?])?))
        }
        _ => None,
    }
}

/// The column goes and comes, without its values.
fn again(altered: Altered<'_>) -> Option<Step> {
    let Altered { key, then, catalog_then, .. } = altered;
    let (column, table) = inside(key)?;
    let declared = declared(key, then, catalog_then)?;
    Some(Step::new(Rank::AddColumn, key, format!("ALTER TABLE {table} DROP COLUMN {column}, ADD COLUMN {declared};")))
}

/// What counts the column.
fn counted(altered: Altered<'_>) -> Option<Step> {
    let Altered { key, then, now, catalog_then, catalog_now } = altered;
    let step = |sql: String| Some(Step::new(Rank::Change, key, sql));
    let Some(kind) = property(then, "identity") else { return step(alter(key, &["DROP IDENTITY".to_owned()])?) };
    if property(now, "identity").is_some() {
        return step(alter(key, &[format!("SET GENERATED {}", kind.to_uppercase())])?);
    }
    let mut lines = Vec::new();
    if property(now, "default").is_some() {
        lines.push(alter(key, &["DROP DEFAULT".to_owned()])?);
    }
    let sequence = sequence_of(key, catalog_then);
    // A serial's may have the name.
    if let Some((taken, _)) = sequence.filter(|(sequence, _)| catalog_now.objects.contains_key(*sequence)) {
        lines.push(format!("DROP SEQUENCE {};", taken.name()));
    }
    lines.push(alter(key, &[format!("ADD{}", identity(key, then, catalog_then)?)])?);
    lines.extend(sequence.and_then(|(sequence, parameters)| count_on(sequence, parameters, key, then)));
    step(lines.join("\n"))
}

/// The column has another type. No value is made to fit: one that does not is an error, and what another reading loses, the rehearsal names.
fn retyped(altered: Altered<'_>, kind: &str) -> Option<Step> {
    let Altered { key, then, now, .. } = altered;
    let (column, _) = inside(key)?;
    let collation = property(then, "collation").map(|name| format!(" COLLATE {name}")).unwrap_or_default();
    let to = |using: &str| format!("TYPE {kind}{collation}{using}");
    // The last leads from one enum to another.
    let ways = ["", &format!(" USING {column}::{kind}"), &format!(" USING {column}::text::{kind}")].map(to);
    let with_default = |to: String| {
        let default = property(then, "default").map(|value| format!("SET DEFAULT {value}"));
        // What a column is computed from is not its default.
        let dropped = property(now, "default").filter(|_| property(now, "generated").is_none());
        let dropped = dropped.map(|_| "DROP DEFAULT".to_owned());
        let default = default.filter(|_| dropped.is_some());
        alter(key, &dropped.into_iter().chain([to]).chain(default).collect::<Vec<_>>())
    };
    let [sql, otherwise @ ..] = ways.map(with_default);
    let otherwise = otherwise.into_iter().collect::<Option<_>>()?;
    Some(Step { otherwise, ..Step::new(Rank::AlterColumn, key, sql?) })
}

/// What gives the table's property `name` its `value` again.
pub fn table(altered: Altered<'_>, name: &str, value: Option<&str>) -> Option<Step> {
    let Altered { key, now, .. } = altered;
    let change = |rank, action: &str| Some(Step::new(rank, key, format!("ALTER TABLE {} {action};", key.name())));
    let index_of = |value: &str| value.strip_prefix("index ").map(|name| format!("USING INDEX {}", last(name)));
    match (name, value) {
        ("storage parameters", _) => change(Rank::Beside, &options("", value, property(now, name)).join(", ")),
        ("toast storage parameters", _) => {
            change(Rank::Beside, &options("toast.", value, property(now, name)).join(", "))
        }
        ("persistence", None) => change(Rank::Change, "SET LOGGED"),
        ("persistence", Some("unlogged")) => change(Rank::Change, "SET UNLOGGED"),
        ("access method", _) => {
            change(Rank::Change, &format!("SET ACCESS METHOD {}", escape_identifier(value.unwrap_or("heap"))))
        }
        ("replica identity", None) => change(Rank::Beside, "REPLICA IDENTITY DEFAULT"),
        ("replica identity", Some(word @ ("full" | "nothing"))) => {
            change(Rank::Beside, &format!("REPLICA IDENTITY {}", word.to_uppercase()))
        }
        ("replica identity", Some(index)) => change(Rank::Beside, &format!("REPLICA IDENTITY {}", index_of(index)?)),
        ("clustered on", None) => change(Rank::Beside, "SET WITHOUT CLUSTER"),
        ("clustered on", Some(index)) => change(Rank::Beside, &format!("CLUSTER ON {}", last(index))),
        ("parents" | "partition bound", _) => descent(altered),
        ("publications", _) => published(altered, value),
        _ => None,
    }
}

/// The name of what lies in the table's own schema.
fn last(name: &str) -> &str {
    let mut is_quoted = false;
    let dot = name.rfind(|c| {
        is_quoted ^= c == '"';
        c == '.' && !is_quoted
    });
    dot.map_or(name, |dot| &name[dot + 1..])
}

/// From the options of `now` to those of `then`, each as the server lists them.
fn options(prefix: &str, then: Option<&str>, now: Option<&str>) -> Vec<String> {
    let of = |list: Option<&'_ str>| -> Vec<(String, String)> {
        let pairs = list.unwrap_or_default().split(", ").filter_map(|option| option.split_once('='));
        pairs.map(|(name, value)| (format!("{prefix}{name}"), value.to_owned())).collect()
    };
    let (then, now) = (of(then), of(now));
    let gone = now.iter().filter(|(name, _)| then.iter().all(|(other, _)| other != name));
    let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
    let set = then.iter().filter(|option| !now.contains(option));
    let set: Vec<String> = set.map(|(name, value)| format!("{name} = {value}")).collect();
    let action = |word: &str, list: Vec<String>| (!list.is_empty()).then(|| format!("{word} ({})", list.join(", ")));
    [action("RESET", gone), action("SET", set)].into_iter().flatten().collect()
}

/// Whose partition or heir it is.
fn descent(Altered { key, then, now, .. }: Altered<'_>) -> Option<Step> {
    let (parents_then, parents_now) = (property(then, "parents"), property(now, "parents"));
    let (bound_then, bound_now) = (property(then, "partition bound"), property(now, "partition bound"));
    let mut lines = Vec::new();
    if let (Some(parent), Some(_)) = (parents_now, bound_now) {
        lines.push(format!("ALTER TABLE {parent} DETACH PARTITION {};", key.name()));
    }
    if let (Some(parent), Some(bound)) = (parents_then, bound_then) {
        lines.push(format!("ALTER TABLE {parent} ATTACH PARTITION {} {bound};", key.name()));
    }
    let heirs = |parents: Option<&str>, bound: Option<&str>| -> Vec<String> {
        let parents = parents.filter(|_| bound.is_none()).unwrap_or_default();
        parents.split(", ").filter(|parent| !parent.is_empty()).map(str::to_owned).collect()
    };
    let (then, now) = (heirs(parents_then, bound_then), heirs(parents_now, bound_now));
    let action = |word: &str, parent: &String| format!("ALTER TABLE {} {word} {parent};", key.name());
    lines.extend(now.iter().filter(|parent| !then.contains(parent)).map(|parent| action("NO INHERIT", parent)));
    lines.extend(then.iter().filter(|parent| !now.contains(parent)).map(|parent| action("INHERIT", parent)));
    (!lines.is_empty()).then(|| Step::new(Rank::Change, key, lines.join("\n")))
}

/// In which publications the table is, with what of it.
fn published(Altered { key, now, .. }: Altered<'_>, value: Option<&str>) -> Option<Step> {
    let (then, now) =
        (publications(value.unwrap_or_default())?, publications(property(now, "publications").unwrap_or_default())?);
    let (table, mut lines) = (key.name(), Vec::new());
    for (name, _) in now.iter().filter(|one| !then.contains(one)) {
        lines.push(format!("ALTER PUBLICATION {} DROP TABLE ONLY {table};", escape_identifier(name)));
    }
    for (name, of) in then.iter().filter(|one| !now.contains(one)) {
        lines.push(format!("ALTER PUBLICATION {} ADD TABLE ONLY {table}{of};", escape_identifier(name)));
    }
    (!lines.is_empty()).then(|| Step::new(Rank::Beside, key, lines.join("\n")))
}

/// Each with the columns and rows that it has. None where a name could be read in two ways.
fn publications(list: &str) -> Option<Vec<(String, String)>> {
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut all: Vec<(String, String)> = Vec::new();
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if c == ',' && depth == 0 {
            parts.push(list.get(start..at)?);
            start = at + 2;
        }
    }
    parts.extend(list.get(start..).filter(|rest| !rest.is_empty()));
    for part in parts {
        let name = part.split(' ').next()?;
        let of = &part[name.len()..];
        let (columns, rows) = of.split_once(" where ").map_or((of, None), |(columns, rows)| (columns, Some(rows)));
        let inner = columns.trim_start_matches(" (").trim_end_matches(')');
        if !is_plain(name) || !inner.split(", ").all(is_plain) {
            return None;
        }
        let rows = rows.map(|rows| format!(" WHERE ({rows})")).unwrap_or_default();
        all.push((name.to_owned(), format!("{columns}{rows}")));
    }
    Some(all)
}

/// What gives the publication its parameters again; which tables are in it, these tell.
pub fn publication(Altered { key, then, .. }: Altered<'_>) -> Step {
    Step::new(Rank::Beside, key, format!("ALTER PUBLICATION {} SET ({});", key.name(), parameters_of(then)))
}

/// What gives the sequence's property `name` its `value` again.
pub fn sequence(Altered { key, then, .. }: Altered<'_>, name: &str, value: Option<&str>) -> Option<Step> {
    let change = |rank, action: String| Some(Step::new(rank, key, format!("ALTER SEQUENCE {}{action};", key.name())));
    match name {
        "owned by" => {
            let column = then.follows.iter().find(|path| path.len() == 3);
            change(Rank::Beside, format!(" OWNED BY {}", column.map_or("NONE".to_owned(), |path| quoted(path.iter()))))
        }
        "persistence" => change(Rank::Change, format!(" SET {}", value.map_or("LOGGED", |_| "UNLOGGED"))),
        _ => change(Rank::Change, format!(" AS {}{}", property(then, "type")?, parameters(then)?)),
    }
}
