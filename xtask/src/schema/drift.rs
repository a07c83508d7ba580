//! What sets a database apart from the replay of its migrations: what counts, and what only says where the database lives.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::postgres::connection::MIGRATING_ROLE;
use crate::schema::catalog::{Catalog, Change, Concern, Difference, KINDS, ObjectKey, SETTINGS, diff};
use crate::schema::expected;
use crate::schema::history::History;
use crate::schema::privileges::OF_A_NEW_DATABASE;
use crate::session::Session;
use crate::words::counted;

#[derive(Debug)]
pub struct Drift {
    /// The schema is not the one that its migrations make.
    pub definition: Vec<Difference>,
    /// Owners, further grants, the order of columns: true of this server, and no migration's work.
    pub surroundings: Vec<Difference>,
    /// How many objects were compared.
    pub objects: usize,
    /// Where the two sides are of servers of different majors, and word queries in their own ways.
    reworded: Option<Reworded>,
}

#[derive(Debug, Clone, Copy)]
struct Reworded {
    count: usize,
    expected: i32,
    actual: i32,
}

impl Drift {
    /// What a comparison says that found no difference of definition; `makers` make what is there.
    pub fn verdict(&self, makers: &str) -> String {
        let (objects, kinds) = (counted(self.objects, "object"), KINDS.len());
        let (are, but) = match self.surroundings.len() {
            0 => ("exactly ", String::new()),
            count => ("", format!(", but for what is noted ({count})")),
        };
        format!("{objects} are {are}what {makers} make{but}; {kinds} kinds compared{}", self.limits())
    }

    /// What is true of this server alone, a line for all objects of which the same is true.
    pub fn notes(&self) -> Vec<String> {
        let mut groups: BTreeMap<(&str, String), Vec<&ObjectKey>> = BTreeMap::new();
        for difference in &self.surroundings {
            groups.entry((&difference.object.kind, difference.what())).or_default().push(&difference.object);
        }
        let line = |((_, what), objects): (&(&str, String), &Vec<&ObjectKey>)| {
            let others = match objects.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            format!("only on this server: {}{others}{what}", objects[0])
        };
        groups.iter().map(line).collect()
    }

    /// What the comparison could not be of, to be said behind what it was of.
    fn limits(&self) -> String {
        let Some(Reworded { count, expected, actual }) = self.reworded else { return String::new() };
        format!(
            ", {} by structure only: the replay's Postgres {expected} words queries otherwise than the target's {actual} \
             (alter role … createdb has it replayed there)",
            counted(count, "definition")
        )
    }
}

pub fn between(expected: &Catalog, actual: &Catalog) -> Drift {
    let differences = diff(expected, actual);
    let count = differences.iter().filter(|difference| difference.concern == Concern::Wording).count();
    let kept = differences.into_iter().filter(|it| !is_initdbs(it, actual.major));
    let (definition, surroundings): (_, Vec<_>) = kept.partition(|it| it.concern == Concern::Definition);
    let surroundings = surroundings.into_iter().chain(settings(actual)).collect();
    let reworded = Reworded { count, expected: expected.major, actual: actual.major };
    let reworded = Some(reworded).filter(|reworded| reworded.count > 0);
    Drift { definition, surroundings, objects: expected.objects.len(), reworded }
}

/// What sessions begin with here.
fn settings(actual: &Catalog) -> impl Iterator<Item = Difference> {
    actual.objects.iter().filter(|(key, _)| key.kind == SETTINGS).flat_map(|(key, object)| {
        object.properties.iter().map(|(name, value)| Difference {
            object: key.clone(),
            change: Change::Changed { property: name.to_string(), expected: None, actual: Some(value.to_string()) },
            concern: Concern::Surroundings,
        })
    })
}

/// The schema `public` as a new database has it. A replay begins as Prisma's reset leaves one; both are nobody's work.
fn is_initdbs(difference: &Difference, major: i32) -> bool {
    let Difference { object, change: Change::Changed { property, expected, actual }, .. } = difference else {
        return false;
    };
    let (owner, everyone) = if major < 15 { ("postgres", "CREATE, USAGE") } else { ("pg_database_owner", "USAGE") };
    let own = format!("access of {MIGRATING_ROLE}");
    object.kind == "schema"
        && *object.path == ["public"]
        && match (property.as_str(), expected.as_deref(), actual.as_deref()) {
            ("owner", Some(expected), Some(actual)) => expected == MIGRATING_ROLE && actual == owner,
            ("access of PUBLIC", None, Some(actual)) => actual == everyone,
            ("comment", None, Some(actual)) => actual == OF_A_NEW_DATABASE,
            (property, None, Some(actual)) => property == own && actual == "CREATE, USAGE",
            _ => false,
        }
}

/// Compares the target with what `history` makes, and with the mirror's table where the target has it: which no migration makes
/// work either, and belongs there all the same.
pub fn of_target(session: &Session<'_>, history: &History, actual: &Catalog) -> Result<Drift> {
    let plain = expected::catalog(session, history)?.catalog;
    let drift = between(&plain, actual);
    if drift.definition.is_empty() {
        return Ok(drift);
    }
    match expected::with_mirror(session, history)? {
        Some(with_mirror) if expected::has_mirror(&plain, &with_mirror.catalog, actual) => {
            Ok(between(&with_mirror.catalog, actual))
        }
        _ => Ok(drift),
    }
}

/// As `of_target`, without a replay; None where that would need one.
///
/// # Errors
/// As `of_target`.
pub fn of_target_if_known(session: &Session<'_>, history: &History, actual: &Catalog) -> Result<Option<Drift>> {
    if !expected::is_known(session, history)? {
        return Ok(None);
    }
    let drift = between(&expected::catalog(session, history)?.catalog, actual);
    let mirrored = expected::and_mirror(session, history)?.filter(|_| !drift.definition.is_empty());
    match mirrored.map(|history| expected::is_known(session, &history)).transpose()? {
        Some(false) => Ok(None),
        _ => of_target(session, history, actual).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;
    use crate::schema::catalog::catalog;

    /// What a replay begins with, and what a database that was just made has.
    fn replayed_and_new() -> (Catalog, Database) {
        let (mut replay, new) = (Database::new(), Database::new());
        replay.run("drop schema public cascade; create schema public; create table t (a int); create table u (a int)");
        (catalog(&mut replay.connection, &["public"]).unwrap(), new)
    }

    #[test]
    fn exactly_is_said_where_nothing_else_is_there_and_what_is_there_is_told_a_line_for_what_is_alike() {
        let (expected, mut target) = replayed_and_new();
        target.run("create table t (a int); create table u (a int)");
        let mut drift = || between(&expected, &catalog(&mut target.connection, &["public"]).unwrap());
        let same = drift();
        assert_eq!(same.verdict("the migrations"), "6 objects are exactly what the migrations make; 39 kinds compared");
        assert_eq!(same.notes(), [""; 0]);
        let name = target.name.clone();
        target.run(&format!(
            "grant all on t, u to anon, public; grant create on schema public to public; create publication pall for all tables;
             alter database {name} set timezone = 'UTC'; alter table t owner to clerk"
        ));
        let drift = between(&expected, &catalog(&mut target.connection, &["public"]).unwrap());
        assert_eq!(drift.definition, []);
        assert_eq!(
            drift.verdict("the migrations"),
            "6 objects are what the migrations make, but for what is noted (8); 39 kinds compared"
        );
        let all = "DELETE, INSERT, MAINTAIN, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE, expected none";
        assert_eq!(
            drift.notes(),
            [
                r#"only on this server: publication "pall" is not expected"#.to_owned(),
                r#"only on this server: schema "public": access of PUBLIC is CREATE, USAGE, expected none"#.to_owned(),
                "only on this server: settings of the database: TimeZone is UTC, expected none".to_owned(),
                format!(r#"only on this server: table "public"."t" and 1 more: access of PUBLIC is {all}"#),
                format!(r#"only on this server: table "public"."t" and 1 more: access of anon is {all}"#),
                r#"only on this server: table "public"."t": owner is clerk, expected <migrating role>"#.to_owned(),
            ]
        );
    }
}
