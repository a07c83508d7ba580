//! What a history's text refers to, and what of that it makes itself. Words are looked at, not sentences: a name in a comment is
//! skipped, one in a string or in a function's body counts.

use std::collections::HashMap;

/// What may stand between `create` and the name of what is created.
const BEFORE_A_NAME: [&str; 20] = [
    "or",
    "replace",
    "unlogged",
    "foreign",
    "table",
    "materialized",
    "view",
    "function",
    "procedure",
    "type",
    "domain",
    "sequence",
    "extension",
    "schema",
    "role",
    "user",
    "group",
    "if",
    "not",
    "exists",
];

pub struct Mentions {
    words: Vec<String>,
    /// Where each word stands first.
    first: HashMap<String, usize>,
    /// Where `a.b` stands first.
    qualified: HashMap<(String, String), usize>,
}

impl Mentions {
    pub fn of<'a>(scripts: impl Iterator<Item = &'a str>) -> Mentions {
        // A script's end ends a statement.
        let words: Vec<String> = scripts.flat_map(|script| words(script).into_iter().chain([";".to_owned()])).collect();
        let (mut first, mut qualified) = (HashMap::new(), HashMap::new());
        for (index, word) in words.iter().enumerate() {
            first.entry(word.clone()).or_insert(index);
            if let (Some("."), Some(name)) = (words.get(index + 1).map(String::as_str), words.get(index + 2)) {
                qualified.entry((word.clone(), name.clone())).or_insert(index);
            }
        }
        Mentions { words, first, qualified }
    }

    pub fn word(&self, word: &str) -> bool {
        self.first.contains_key(word)
    }

    /// Whether the history refers to `schema`, be it to something in it.
    pub fn schema(&self, schema: &str) -> bool {
        self.qualified.keys().any(|(first, _)| first == schema) || self.follows("schema", schema)
    }

    /// Whether the history refers to `schema.name` before it makes it.
    pub fn needs(&self, schema: &str, name: &str) -> bool {
        let at = self.qualified.get(&(schema.to_owned(), name.to_owned()));
        at.is_some_and(|&at| !self.is_made(at))
    }

    /// Whether the history refers to the role of this name before it makes it, be it in a statement that builds the command:
    /// `execute format('create role %I', 'reader')`.
    pub fn needs_role(&self, name: &str) -> bool {
        let creates = |pair: &[String]| pair[0] == "create" && matches!(pair[1].as_str(), "role" | "user" | "group");
        self.first.get(name).is_some_and(|&at| !self.is_made(at) && !self.statement(at).windows(2).any(creates))
    }

    /// How the history makes `name`, a schema or an extension, wherever it does.
    pub fn made(&self, kind: &str, name: &str) -> Option<Made> {
        let places = self.words.iter().enumerate().filter(|(_, word)| *word == name);
        let found = places
            .map(|(at, _)| at)
            .find(|&at| self.is_made(at) && self.words[..at].iter().rev().take(4).any(|word| word == kind));
        found.map(|at| if self.words[at - 1] == "exists" { Made::IfMissing } else { Made::Anew })
    }

    /// Whether `name` comes right behind `before`.
    pub fn follows(&self, before: &str, name: &str) -> bool {
        self.words.windows(2).any(|pair| pair[0] == before && pair[1] == name)
    }

    /// The words between the semicolons around the one at `at`.
    fn statement(&self, at: usize) -> &[String] {
        let is_end = |word: &String| word == ";";
        let begin = self.words[..at].iter().rposition(is_end).map_or(0, |end| end + 1);
        let end = self.words[at..].iter().position(is_end).map_or(self.words.len(), |length| at + length);
        &self.words[begin..end]
    }

    fn is_made(&self, at: usize) -> bool {
        let mut before = self.words[..at].iter().rev().map(String::as_str);
        before.find(|word| !BEFORE_A_NAME.contains(word)) == Some("create")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    Anew,
    IfMissing,
}

/// Names and keywords as Postgres folds them, and every other sign by itself.
fn words(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = script;
    while let Some(sign) = rest.chars().next() {
        let (word, length) = match sign {
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, rest.find("*/").map_or(rest.len(), |end| end + 2)),
            '"' => {
                let end = rest[1..].find('"').map_or(rest.len(), |end| end + 1);
                (Some(rest[1..end].to_owned()), (end + 1).min(rest.len()))
            }
            _ if sign.is_alphanumeric() || sign == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                (Some(rest[..end].to_lowercase()), end)
            }
            _ => ((!sign.is_whitespace()).then(|| sign.to_string()), sign.len_utf8()),
        };
        found.extend(word);
        rest = &rest[length..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_history_makes_itself_it_does_not_need() {
        let mentions = Mentions::of(
            [
                r#"CREATE TABLE "Shelf" (owner uuid REFERENCES auth.users(id)); -- not auth.comment
                   CREATE TABLE IF NOT EXISTS auth.extra (id int); ALTER TABLE auth.extra ADD x int; /* auth.block */
                   create policy p on "Shelf" using (Auth.uid() = owner and '"odd Name".f'::text <> '')"#,
                "DROP TABLE IF EXISTS auth.old; create table auth.old (); create or replace function auth.mine() returns int
                   language sql as 'select 1'; create extension if not exists \"uuid-ossp\" with schema extensions;
                 create schema reports; alter table t owner to keeper; create role writer;
                 do $$ begin execute format('create role %I', 'reader'); end $$; alter role reader set work_mem = '1MB'",
            ]
            .into_iter(),
        );
        let needed = |name| mentions.needs("auth", name);
        let names = ["users", "uid", "old", "extra", "mine", "comment", "block", "nothing"];
        assert_eq!(names.map(needed), [true, true, true, false, false, false, false, false]);
        assert!(mentions.needs("odd Name", "f"));
        assert_eq!(
            ["extensions", "auth", "reports", "Shelf"].map(|schema| mentions.schema(schema)),
            [true, true, true, false]
        );
        assert_eq!((mentions.made("schema", "reports"), mentions.made("schema", "auth")), (Some(Made::Anew), None));
        assert_eq!(mentions.made("extension", "uuid-ossp"), Some(Made::IfMissing));
        assert_eq!(["keeper", "writer", "reader"].map(|role| mentions.needs_role(role)), [true, false, false]);
        assert!(mentions.follows("to", "keeper"));
    }
}
