//! `env matrix`: docs/deployment/env_matrix.md, kept true by what the targets' variables really say. Names, hosts and
//! projects; never a value.
//!
//! The document is its own memory: what it says was seen last is compared with what is seen now, and a difference is a
//! rotation, which is told, listed and dated.

mod document;

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Failure, OrFail, Result};
use crate::files;
use crate::guard::input::Declared;
use crate::guard::{Candidate, Source};
use crate::hint::Hint;
use crate::settings::Settings;
use document::Document;
use pin::file;

/// Of the variables that say where a target is, in the guard's order.
const MEANINGS: [&str; 5] = [
    "the database (secret)",
    "the database past a pooler (secret)",
    "Prisma's shadow database (secret)",
    "the API of the Supabase project that holds the mirror",
    "its service key (secret)",
];

/// Relative to the root.
pub const PATH: &str = "docs/deployment/env_matrix.md";

const NOT_SET: &str = "not set";

/// What a target's variables say of it, in the words of the table: column and value.
pub type Facts = Vec<(&'static str, String)>;

/// What is no longer as the document says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub target: String,
    pub what: String,
    /// None where it was not known before.
    pub was: Option<String>,
    pub is: String,
    /// Another host, database, project or kind of key than the last time.
    pub rotation: bool,
}

impl Change {
    pub fn in_words(&self) -> String {
        let Change { target, what, was, is, .. } = self;
        match was {
            Some(was) => format!("{target}: {what} was {was}, is {is}"),
            None => format!("{target}: {what} is {is}, not seen before"),
        }
    }
}

/// The target's column of the tables.
pub struct Column<'a> {
    pub target: &'a str,
    pub facts: Facts,
    pub variables: Vec<Variable>,
}

pub struct Variable {
    name: String,
    meaning: &'static str,
    /// None where it is not given.
    from: Option<String>,
}

/// What the guard's answer says of a target.
pub fn facts(candidate: &Candidate) -> Facts {
    let code = |text: &str| format!("`{text}`");
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let dsn = candidate.dsn();
    let api = candidate.supabase();
    let key = api.and_then(|api| api.key.as_ref()).map(|key| key.kind.in_words().to_owned());
    vec![
        ("database", code(&dsn.database)),
        ("host", code(&format!("{}:{}", dsn.host, dsn.port))),
        ("Supabase project", or_none(candidate.project_ref().map(code))),
        ("API", or_none(api.map(|api| code(api.url.split_once("://").map_or(api.url.as_str(), |(_, host)| host))))),
        ("service key", or_none(key)),
    ]
}

/// The column of the target that `declared` and `candidate` describe.
pub fn column<'a>(settings: &'a Settings, declared: &Declared, candidate: &Candidate) -> Column<'a> {
    let source = match candidate.source() {
        Source::EnvFile(name) => format!("`{name}`"),
        Source::Process => "the process environment".to_owned(),
    };
    let given = declared.given();
    let known: Vec<String> = declared.known_variables().map(str::to_owned).collect();
    let others = given.iter().filter(|name| !known.contains(name)).cloned();
    let variable = |(at, name): (usize, String)| Variable {
        meaning: MEANINGS.get(at).copied().unwrap_or("the application's"),
        from: given.contains(&name).then(|| source.clone()),
        name,
    };
    Column {
        target: &settings.target.name,
        facts: facts(candidate),
        variables: known.iter().cloned().chain(others).enumerate().map(variable).collect(),
    }
}

/// What differs between the document and `column`; with `write`, the document is made true.
///
/// # Errors
/// `blocked` when the document is not in a shape that can be updated, or cannot be read or written; it is as it was then.
pub fn update(root: &Path, column: &Column<'_>, now: Timestamp, write: bool) -> Result<Vec<Change>> {
    let path = root.join(PATH);
    let unusable =
        || Failure::blocked(format!("cannot read or write `{PATH}`")).hint(Hint::shell("chmod u+rw").arg(PATH));
    let old = match file::read_text(&path, file::LONGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other.or_fail(unusable)?,
    };
    let mut document = Document::parse(&old)?;
    let changes = apply(&mut document, column, now);
    let new = document.render();
    if write && new != old {
        replace(&path, &new).or_fail(unusable)?;
    }
    Ok(changes)
}

fn apply(document: &mut Document, column: &Column<'_>, now: Timestamp) -> Vec<Change> {
    let mut changes = see_facts(document, column);
    let today = now.strftime("%Y-%m-%d").to_string();
    if !changes.is_empty() {
        document.targets.set(column.target, "since", &today);
    }
    let rotations = changes.iter().filter(|change| change.rotation);
    let rotations = rotations.map(|change| format!("{today}, {}", change.in_words()));
    document.rotations.splice(0..0, rotations.collect::<Vec<_>>());
    changes.extend(see_variables(document, column));
    changes
}

fn see_facts(document: &mut Document, column: &Column<'_>) -> Vec<Change> {
    let target = column.target;
    let mut changes = Vec::new();
    for (what, is) in &column.facts {
        let was = document.targets.get(target, what).map(str::to_owned);
        if was.as_deref() != Some(is.as_str()) {
            document.targets.set(target, what, is);
            let (rotation, what) = (was.is_some(), (*what).to_owned());
            changes.push(Change { target: target.to_owned(), what, was, is: is.clone(), rotation });
        }
    }
    changes
}

/// A variable is a change when it is given and was not, or the other way round; where it comes from may differ from one
/// machine to the next.
fn see_variables(document: &mut Document, column: &Column<'_>) -> Vec<Change> {
    let target = column.target;
    let unknown = |name: &String| !column.variables.iter().any(|variable| variable.name == *name);
    let gone: Vec<String> = document.variables.names().into_iter().filter(unknown).collect();
    let gone = gone.iter().map(|name| (name, "the application's", None));
    let seen = column.variables.iter().map(|Variable { name, meaning, from }| (name, *meaning, from.as_deref()));
    let mut changes = Vec::new();
    for (name, meaning, from) in seen.chain(gone) {
        let was = document.variables.get(name, target).map(str::to_owned);
        if was.as_deref().is_some_and(|was| (was != NOT_SET) != from.is_some()) || was.is_none() && from.is_some() {
            let (what, is) = (format!("`{name}`"), from.unwrap_or(NOT_SET).to_owned());
            changes.push(Change { target: target.to_owned(), what, was, is, rotation: false });
        }
        document.variables.set(name, "what it is", meaning);
        document.variables.set(name, target, from.unwrap_or(NOT_SET));
    }
    changes
}

/// In one step, so that a crash leaves the old document or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    files::replace(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: Timestamp = Timestamp::constant(1_795_348_800, 0);

    fn column(host: &str, key: &str, variables: &[(&str, bool)]) -> Column<'static> {
        let variable = |(name, given): &(&str, bool)| Variable {
            name: (*name).to_owned(),
            meaning: MEANINGS[0],
            from: given.then(|| "`.env.staging`".to_owned()),
        };
        Column {
            target: "staging",
            facts: vec![("host", format!("`{host}`")), ("service key", key.to_owned())],
            variables: variables.iter().map(variable).collect(),
        }
    }

    #[test]
    fn a_first_sight_is_no_rotation_and_a_second_one_changes_nothing() {
        let mut document = Document::parse("").unwrap();
        let first = column("a:5432", "none", &[("DATABASE_URL", true)]);
        assert!(apply(&mut document, &first, MONDAY).iter().all(|change| !change.rotation));
        let text = document.render();
        assert_eq!(apply(&mut document, &first, MONDAY), []);
        assert_eq!(document.render(), text);
    }

    #[test]
    fn what_rotated_is_named_listed_and_dated() {
        let mut document = Document::parse("").unwrap();
        apply(&mut document, &column("a:5432", "none", &[("DATABASE_URL", true), ("OLD", true)]), MONDAY);
        let changes = apply(&mut document, &column("b:5432", "none", &[("DATABASE_URL", true)]), MONDAY);
        assert_eq!(
            changes.iter().map(Change::in_words).collect::<Vec<_>>(),
            ["staging: host was `a:5432`, is `b:5432`", "staging: `OLD` was `.env.staging`, is not set"]
        );
        insta::assert_snapshot!(document.render(), @"
        # Environment matrix

        <!-- staging drill: written by `cargo xtask env matrix` from here on -->

        ## Variables: where each comes from

        | variable | what it is | staging |
        |---|---|---|
        | DATABASE_URL | the database (secret) | `.env.staging` |
        | OLD | the application's | not set |

        ## Targets: as last seen

        | target | database | host | Supabase project | API | service key | since |
        |---|---|---|---|---|---|---|
        | staging | – | `b:5432` | – | – | none | 2026-11-22 |

        ## Rotations: newest first

        - 2026-11-22, staging: host was `a:5432`, is `b:5432`

        <!-- staging drill: yours again from here on -->
        ");
    }
}
