//! What sets two catalogs apart, said as a person would: one difference for one cause.
//!
//! A table that is missing takes its columns, indexes and triggers with it; only the table is named. A partition's
//! column changes with its parent's; only the parent's is named.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::schema::catalog::object::{Catalog, Object, ObjectKey, Path};
use crate::schema::catalog::word::Word;
use crate::schema::catalog::wording;

/// One way in which the actual catalog is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    #[serde(flatten)]
    pub object: ObjectKey,
    #[serde(flatten)]
    pub change: Change,
    pub concern: Concern,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change {
    Missing,
    Unexpected,
    /// None: the property is not set on that side.
    Changed {
        property: String,
        expected: Option<String>,
        actual: Option<String>,
    },
}

/// How much a difference says about the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Concern {
    /// The schema is not the one that was promised.
    Definition,
    /// The same columns in another order, as after dropping a column and adding it again. SELECT * and COPY notice;
    /// Prisma does not.
    Order,
    /// A query that two majors of Postgres word otherwise: whether it is another one cannot be told from its text.
    Wording,
    /// Owners, grants beyond the promised ones, extensions elsewhere: what a platform gives every database of its own
    /// accord. It matters between two moments of one database, and says nothing when a database is compared with a
    /// replay of its migrations.
    Surroundings,
}

pub const SETTINGS: &str = "settings";

/// Kinds that others are inside of, or stand on.
const CONTAINERS: [&str; 7] = ["table", "view", "materialized view", "foreign table", "column", "type", "domain"];

/// Compares; the differences come in the order of the objects' names. An empty list: the two are equal.
pub fn diff(expected: &Catalog, actual: &Catalog) -> Vec<Difference> {
    let gone = uncaused(expected, actual).map(|key| (key.clone(), Change::Missing));
    let extra = uncaused(actual, expected).map(|key| (key.clone(), Change::Unexpected));
    let changed = changes(expected, actual)
        .into_iter()
        .map(|(key, property, expected, actual)| (key, Change::Changed { property, expected, actual }));
    // Settings are told and not compared: a replay on the same server is under those of its roles too.
    let compared = gone.chain(extra).chain(changed).filter(|(key, _)| key.kind != SETTINGS);
    let mut all: Vec<(ObjectKey, Change)> = compared.collect();
    all.sort();
    let judged = |(object, change)| {
        let concern = concern(&object, &change, expected, actual);
        Difference { object, change, concern }
    };
    all.into_iter().map(judged).collect()
}

/// The objects of `here` that `there` does not have, but for those that are gone because something else is.
fn uncaused<'a>(here: &'a Catalog, there: &Catalog) -> impl Iterator<Item = &'a ObjectKey> {
    let gone: Vec<(&ObjectKey, &Object)> =
        here.objects.iter().filter(|(key, _)| !there.objects.contains_key(*key)).collect();
    let causes: HashSet<&Path> =
        gone.iter().filter(|(key, _)| CONTAINERS.contains(&key.kind.as_str())).map(|(key, _)| &key.path).collect();
    gone.into_iter()
        .filter(move |(_, object)| !object.follows.iter().any(|path| causes.contains(path)))
        .map(|(key, _)| key)
}

type PropertyChange = (ObjectKey, String, Option<String>, Option<String>);

fn changes(expected: &Catalog, actual: &Catalog) -> Vec<PropertyChange> {
    let mut all: Vec<PropertyChange> = Vec::new();
    let across = wording::is_across_majors(expected, actual);
    let is_of_majors = |(_, property, expected, actual): &PropertyChange| {
        across && wording::may_be_same(property, expected.as_deref(), actual.as_deref())
    };
    for (key, before) in &expected.objects {
        if let Some(after) = actual.objects.get(key) {
            all.extend(property_changes(key, before, after).into_iter().filter(|change| !is_of_majors(change)));
        }
    }
    let passed_on: HashSet<_> = all.iter().filter(|change| is_passed_on(change)).map(|c| at(&c.0.path, c)).collect();
    let is_a_consequence = |change: &PropertyChange| {
        let follows = &expected.objects[&change.0].follows;
        is_passed_on(change) && follows.iter().any(|path| passed_on.contains(&at(path, change)))
    };
    let kept: Vec<PropertyChange> = all.iter().filter(|change| !is_a_consequence(change)).cloned().collect();
    kept.into_iter().chain(order_changes(expected, actual)).collect()
}

/// Whether Postgres itself makes such a change to what follows the object: of a table's owner and persistence to its
/// sequences, of a column's definition to the same column of partitions and heirs. Grants and comments are everyone's own.
fn is_passed_on((key, property, ..): &PropertyChange) -> bool {
    match key.kind.as_str() {
        "table" | "sequence" => property == "owner" || property == "persistence",
        "column" => property != "comment" && !property.starts_with("access of"),
        _ => false,
    }
}

/// The same change, of whatever stands at `path`.
fn at<'a>(path: &'a [String], change: &'a PropertyChange) -> (&'a [String], &'a str, Option<&'a str>, Option<&'a str>) {
    let (_, property, before, after) = change;
    (path, property, before.as_deref(), after.as_deref())
}

fn property_changes(key: &ObjectKey, before: &Object, after: &Object) -> Vec<PropertyChange> {
    let names: BTreeSet<&Word> = before.properties.keys().chain(after.properties.keys()).collect();
    names
        .into_iter()
        // The position alone moves whenever another column comes or goes; `order_changes` looks at what is left in
        // common.
        .filter(|name| name.as_str() != "position" && before.properties.get(*name) != after.properties.get(*name))
        // A view that was filled since is the work of who uses it, as rows are.
        .filter(|name| name.as_str() != "populated" || after.properties.contains_key(*name))
        .map(|name| {
            let value = |object: &Object| object.properties.get(name).map(ToString::to_string);
            (key.clone(), name.to_string(), value(before), value(after))
        })
        .collect()
}

/// Tables whose common columns stand in another order.
fn order_changes(expected: &Catalog, actual: &Catalog) -> Vec<PropertyChange> {
    let (before, after) = (common_columns(expected, actual), common_columns(actual, expected));
    let words = |columns: &[(u32, &str)]| Some(columns.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", "));
    let tables = expected.objects.keys().filter(|key| actual.objects.contains_key(*key));
    tables
        .filter_map(|table| {
            let path = table.path.as_slice();
            let (before, after) = (words(before.get(path)?), words(after.get(path)?));
            let moved = before != after && table.kind.ends_with("table");
            moved.then(|| (table.clone(), "column order".to_owned(), before, after))
        })
        .collect()
}

/// For each table the columns of `catalog` that `other` has too, in their order.
fn common_columns<'a>(catalog: &'a Catalog, other: &Catalog) -> BTreeMap<&'a [String], Vec<(u32, &'a str)>> {
    let mut columns: BTreeMap<&[String], Vec<(u32, &str)>> = BTreeMap::new();
    for (key, object) in
        catalog.objects.iter().filter(|(key, _)| key.kind == "column" && other.objects.contains_key(*key))
    {
        if let (Some((name, table)), Some(position)) = (key.path.split_last(), object.properties.get("position")) {
            columns.entry(table).or_default().push((position.parse().unwrap_or(0), name));
        }
    }
    columns.values_mut().for_each(|columns| columns.sort_unstable());
    columns
}

fn concern(object: &ObjectKey, change: &Change, expected: &Catalog, actual: &Catalog) -> Concern {
    let from_the_platform = match change {
        Change::Changed { property, .. } if property == "column order" => return Concern::Order,
        Change::Changed { property, expected: Some(text), actual: Some(_) }
            if wording::is_across_majors(expected, actual) && wording::is_reworded(object, property, text) =>
        {
            return Concern::Wording;
        }
        Change::Changed { property, expected: before, .. } => match object.kind.as_str() {
            // Where a platform installed an extension before the migrations asked for it, theirs was a no-op.
            "extension" => true,
            _ if property == "owner" || property == "populated" => true,
            _ if property.starts_with("access of") => is_granted_still(object, change, expected, actual),
            "schema" => before.is_none(),
            _ => false,
        },
        // What lies in no schema is the platform's, but where it refers to one of ours.
        Change::Unexpected if DATABASE_WIDE.contains(&object.kind.as_str()) => {
            let home = actual.objects.get(object).and_then(|object| object.properties.get("schema"));
            !home.is_some_and(|home| expected.schemas.iter().any(|schema| schema == home.as_str()))
        }
        Change::Unexpected => object.kind == "default privileges",
        Change::Missing => false,
    };
    if from_the_platform { Concern::Surroundings } else { Concern::Definition }
}

/// Kinds that lie in no schema.
const DATABASE_WIDE: [&str; 10] = [
    "extension",
    "event trigger",
    "publication",
    "foreign data wrapper",
    "foreign server",
    "user mapping",
    "language",
    "access method",
    "cast",
    "transform",
];

/// Whether all privileges that were expected are there, and others besides. An owner of whom nothing is said has them all.
fn is_granted_still(object: &ObjectKey, change: &Change, expected: &Catalog, actual: &Catalog) -> bool {
    let Change::Changed { property, expected: before, actual: after } = change else { return false };
    let owns = |catalog: &Catalog| {
        let owner = catalog.objects.get(object).and_then(|object| object.properties.get("owner"));
        owner.is_some() && owner.map(Word::as_str) == property.strip_prefix("access of ")
    };
    match (owns(expected), owns(actual)) {
        (true, true) if before.is_none() => false,
        (_, true) if after.is_none() => true,
        _ => {
            let across = wording::is_across_majors(expected, actual);
            let after = list(after, across);
            list(before, across).iter().all(|privilege| after.contains(privilege))
        }
    }
}

fn list(words: &Option<String>, across_majors: bool) -> Vec<&str> {
    match across_majors {
        true => wording::privileges(words.as_deref()),
        false => words.iter().flat_map(|words| words.split(", ")).collect(),
    }
}

impl Difference {
    /// What is so of the object, to be said behind its name.
    pub fn what(&self) -> String {
        match &self.change {
            Change::Missing => " is missing".to_owned(),
            Change::Unexpected => " is not expected".to_owned(),
            Change::Changed { property, expected, actual } => {
                let (line, actual, expected) = first_difference(actual.as_deref(), expected.as_deref());
                format!(": {property} is {actual}, expected {expected}{line}")
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.object, self.what())
    }
}

/// Long definitions are told apart by the first line in which they differ.
fn first_difference<'a>(actual: Option<&'a str>, expected: Option<&'a str>) -> (String, &'a str, &'a str) {
    let (left, right) = (actual.unwrap_or("none"), expected.unwrap_or("none"));
    if actual.is_none() || expected.is_none() || !left.contains('\n') && !right.contains('\n') {
        return (String::new(), left.lines().next().unwrap_or(""), right.lines().next().unwrap_or(""));
    }
    let at = left.lines().zip(right.lines()).take_while(|(left, right)| left == right).count();
    let line = |text: &'a str| text.lines().nth(at).map_or("nothing", str::trim);
    (format!(" (line {})", at + 1), line(left), line(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::catalog::object::Properties;

    fn object(kind: &str, path: &str, properties: &[(&str, &str)], follows: &[&str]) -> (ObjectKey, Object) {
        let parts = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        let properties: Properties = properties.iter().map(|(name, value)| (Word::of(name), Word::of(value))).collect();
        let follows = follows.iter().map(|path| parts(path).into()).collect();
        (ObjectKey::new(kind, parts(path), ""), Object::new(properties, follows))
    }

    fn catalog(objects: Vec<(ObjectKey, Object)>) -> Catalog {
        Catalog { schemas: vec!["public".into()], objects: objects.into_iter().collect(), major: 17 }
    }

    #[test]
    fn what_only_the_major_words_otherwise_is_no_difference_of_definition() {
        let of = |major, view: &str, default: &str, access: &str| Catalog {
            major,
            ..catalog(vec![
                object("view", "public.v", &[("definition", view)], &[]),
                object("column", "public.t.c", &[("default", default)], &[]),
                object("table", "public.t", &[("access of anon", access)], &[]),
            ])
        };
        let new = of(17, "SELECT a\n FROM t;", "(1 + 2)", "MAINTAIN, SELECT");
        let judge = |actual: &Catalog| {
            let differences = diff(&new, actual);
            differences.iter().map(|it| (it.to_string(), it.concern)).collect::<Vec<_>>()
        };
        assert_eq!(judge(&of(15, "SELECT t.a\n FROM t;", "((1) + 2)", "SELECT")), []);
        // A query may be another one, and nothing but its text could tell; an expression is one.
        assert_eq!(
            judge(&of(15, "SELECT t.b\n FROM t;", "3", "INSERT")),
            [
                (
                    r#"table "public"."t": access of anon is INSERT, expected MAINTAIN, SELECT"#.into(),
                    Concern::Definition
                ),
                (r#"column "public"."t"."c": default is 3, expected (1 + 2)"#.into(), Concern::Definition),
                (r#"view "public"."v": definition is SELECT t.b, expected SELECT a (line 1)"#.into(), Concern::Wording),
            ]
        );
        assert_eq!(judge(&of(17, "SELECT t.a\n FROM t;", "(1 + 2)", "MAINTAIN, SELECT"))[0].1, Concern::Definition);
    }

    fn said(expected: Vec<(ObjectKey, Object)>, actual: Vec<(ObjectKey, Object)>) -> Vec<String> {
        diff(&catalog(expected), &catalog(actual)).iter().map(ToString::to_string).collect()
    }

    fn table() -> (ObjectKey, Object) {
        object("table", "public.T", &[], &[])
    }

    #[test]
    fn a_missing_index_is_said_in_words() {
        assert_eq!(said(vec![object("index", "public.X", &[], &[])], vec![]), ["index \"public\".\"X\" is missing"]);
    }

    #[test]
    fn a_changed_type_is_said_in_words() {
        let column = |kind| object("column", "public.T.c", &[("type", kind)], &["public.T"]);
        assert_eq!(
            said(vec![table(), column("integer")], vec![table(), column("text")]),
            ["column \"public\".\"T\".\"c\": type is text, expected integer"]
        );
    }

    #[test]
    fn a_missing_table_takes_what_is_in_it_along() {
        let column = object("column", "public.T.c", &[], &["public.T"]);
        let sequence = object("sequence", "public.T_c_seq", &[], &["public.T", "public.T.c"]);
        assert_eq!(said(vec![table(), column, sequence], vec![]), ["table \"public\".\"T\" is missing"]);
    }

    #[test]
    fn a_constraint_named_like_its_column_does_not_hide_itself() {
        let column = object("column", "public.T.c", &[], &["public.T"]);
        let constraint = object("constraint", "public.T.c", &[], &["public.T", "public.T.c"]);
        assert_eq!(
            said(vec![table(), column.clone(), constraint], vec![table(), column]),
            ["constraint \"public\".\"T\".\"c\" is missing"]
        );
    }

    #[test]
    fn a_dropped_column_does_not_move_the_others() {
        let column = |name: &str, position| {
            object("column", &format!("public.T.{name}"), &[("position", position)], &["public.T"])
        };
        let all = vec![table(), column("a", "1"), column("b", "2"), column("c", "3")];
        let without = vec![table(), column("a", "1"), column("c", "2")];
        assert_eq!(said(all.clone(), without), ["column \"public\".\"T\".\"b\" is missing"]);
        let moved = vec![table(), column("a", "1"), column("c", "2"), column("b", "3")];
        assert_eq!(
            said(all.clone(), moved.clone()),
            ["table \"public\".\"T\": column order is a, c, b, expected a, b, c"]
        );
        assert_eq!(diff(&catalog(all), &catalog(moved))[0].concern, Concern::Order);
    }

    #[test]
    fn what_postgres_passes_on_is_one_difference_and_a_grant_on_each_is_not() {
        let of = |property: &str, value: &str| {
            let sequence = object("sequence", "public.T_seq", &[(property, value)], &["public.T"]);
            vec![object("table", "public.T", &[(property, value)], &[]), sequence]
        };
        assert_eq!(
            said(of("owner", "ana"), of("owner", "bob")),
            ["table \"public\".\"T\": owner is bob, expected ana"]
        );
        assert_eq!(said(of("access of anon", "SELECT"), of("access of anon", "USAGE")).len(), 2);
        assert_eq!(said(of("comment", "a"), of("comment", "b")).len(), 2);
    }

    #[test]
    fn a_long_definition_is_told_apart_by_its_first_differing_line() {
        let function =
            |body: &str| object("function", "public.f", &[("definition", &format!("create\n as {body}\nend"))], &[]);
        assert_eq!(
            said(vec![function("one")], vec![function("two")]),
            ["function \"public\".\"f\": definition is as two, expected as one (line 2)"]
        );
    }

    #[test]
    fn a_lost_grant_concerns_the_migrations_and_an_extra_one_the_platform() {
        let granted = |to: &str| object("table", "public.T", &[("access of anon", to)], &[]);
        let concern = |expected, actual| diff(&catalog(vec![expected]), &catalog(vec![actual]))[0].concern;
        assert_eq!(concern(granted("INSERT, SELECT"), granted("SELECT")), Concern::Definition);
        assert_eq!(concern(granted("INSERT, SELECT"), table()), Concern::Definition);
        assert_eq!(concern(granted("SELECT"), granted("INSERT, SELECT")), Concern::Surroundings);
        assert_eq!(concern(table(), granted("SELECT")), Concern::Surroundings);
    }

    #[test]
    fn an_owner_of_whom_nothing_is_said_has_every_right_and_one_who_lost_some_concerns_the_migrations() {
        let of = |owner: &str, access: Option<&str>| {
            let access = access.map(|access| ("access of ana", access));
            object("table", "public.T", &access.into_iter().chain([("owner", owner)]).collect::<Vec<_>>(), &[])
        };
        let concerns = |expected, actual| {
            let all = diff(&catalog(vec![expected]), &catalog(vec![actual]));
            all.into_iter().map(|difference| difference.concern).collect::<Vec<_>>()
        };
        let (definition, surroundings) = (Concern::Definition, Concern::Surroundings);
        assert_eq!(concerns(of("ana", None), of("ana", Some("SELECT"))), [definition]);
        assert_eq!(concerns(of("ana", None), of("ana", Some("nothing"))), [definition]);
        assert_eq!(concerns(of("ana", Some("SELECT")), of("ana", None)), [surroundings]);
        assert_eq!(concerns(of("ana", Some("SELECT")), of("ana", Some("nothing"))), [definition]);
        assert_eq!(concerns(of("bob", None), of("bob", Some("SELECT"))), [surroundings]);
        assert_eq!(concerns(of("bob", Some("SELECT")), of("bob", None)), [definition]);
        assert_eq!(concerns(of("ana", None), of("bob", Some("SELECT"))), [surroundings, surroundings]);
    }

    #[test]
    fn further_grants_on_a_server_that_does_not_know_maintain_are_further_grants() {
        let of = |major, access| Catalog {
            major,
            ..catalog(vec![object("table", "public.T", &[("access of anon", access)], &[])])
        };
        let concern = |expected, actual| diff(&expected, &actual)[0].concern;
        let more = concern(of(17, "INSERT, MAINTAIN, SELECT"), of(15, "INSERT, SELECT, UPDATE"));
        assert_eq!(more, Concern::Surroundings);
        assert_eq!(concern(of(17, "INSERT, MAINTAIN"), of(15, "SELECT")), Concern::Definition);
        assert_eq!(concern(of(17, "INSERT, MAINTAIN"), of(17, "INSERT, SELECT")), Concern::Definition);
    }
}
