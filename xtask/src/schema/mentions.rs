//! What a history's text refers to, and what of that it makes itself. Words are looked at, not sentences: a name in a comment is
//! skipped, one in a string or in a function's body counts.
//!
//! Whoever asks knows the names by then. So of a script with a hundred megabytes of rows little is kept: those names, what says how they
//! are meant, and their neighbours.

use std::collections::{BTreeSet, HashMap, HashSet};

use indexmap::IndexSet;
use script::text::{Text, Unreadable};

use crate::schema::script_words::{NO_NAME, each_word};

/// What a relation, a type or a function stands behind where a statement needs it: `audit.log` behind `select` may be a column.
const BEFORE_WHAT_IS_NEEDED: [&str; 16] = [
    "table",
    "only",
    "into",
    "update",
    "from",
    "join",
    "references",
    "view",
    "function",
    "procedure",
    "type",
    "domain",
    "sequence",
    "execute",
    "call",
    "truncate",
];

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

/// What else is asked for; see `Mentions::made` and the like.
const MORE: [&str; 5] = ["create", "not", "exists", "authorization", "to"];

/// What stands for a sign that nothing depends on.
const SOME_SIGN: &str = ",";

pub struct Mentions {
    /// Each as its place in `known`.
    words: Vec<u32>,
    known: IndexSet<String>,
    /// Where each script ends.
    ends: Vec<usize>,
    /// Where `a.b` stands first.
    qualified: HashMap<(u32, u32), usize>,
}

impl Mentions {
    /// What `scripts` say of things that have one of `names`.
    ///
    /// # Errors
    /// A script cannot be read.
    pub fn of<'a>(
        scripts: impl IntoIterator<Item = &'a Text>,
        names: &BTreeSet<String>,
    ) -> Result<Mentions, Unreadable> {
        let mut gathered = Gathered::new(names);
        for script in scripts {
            each_word(script, |word| gathered.add(word))?;
            gathered.end_script();
        }
        let Gathered { words, known, ends, .. } = gathered;
        let mut qualified = HashMap::new();
        let dot = known.get_index_of(".").and_then(|at| u32::try_from(at).ok());
        for (index, three) in words.windows(3).enumerate().filter(|(_, three)| Some(three[1]) == dot) {
            qualified.entry((three[0], three[2])).or_insert(index);
        }
        Ok(Mentions { words, known, ends, qualified })
    }

    pub fn word(&self, word: &str) -> bool {
        self.known.contains(word)
    }

    fn id(&self, word: &str) -> Option<u32> {
        self.known.get_index_of(word).and_then(|at| u32::try_from(at).ok())
    }

    /// Empty beyond the end.
    fn at(&self, index: usize) -> &str {
        self.words.get(index).map_or("", |&id| self.text(id))
    }

    fn text(&self, id: u32) -> &str {
        self.known.get_index(id as usize).map_or("", String::as_str)
    }

    /// Every place of `word`.
    fn places(&self, word: &str) -> impl Iterator<Item = usize> {
        let id = self.id(word);
        self.words.iter().enumerate().filter(move |(_, word)| Some(**word) == id).map(|(at, _)| at)
    }

    /// Whether the history refers to `schema`, be it to something in it.
    pub fn schema(&self, schema: &str) -> bool {
        let id = self.id(schema);
        self.qualified.keys().any(|(first, _)| Some(*first) == id) || self.follows("schema", schema)
    }

    /// Whether the history refers to `schema.name` before it makes it.
    pub fn needs(&self, schema: &str, name: &str) -> bool {
        let at = self.id(schema).zip(self.id(name)).and_then(|both| self.qualified.get(&both));
        at.is_some_and(|&at| !self.is_made(at))
    }

    /// Whether the history makes the table or type `schema.name` at some place, also by its name alone.
    pub fn makes(&self, schema: &str, name: &str) -> bool {
        self.places(name).any(|at| match at.checked_sub(1).map(|before| self.at(before)) {
            Some(".") => at > 1 && self.at(at - 2) == schema && self.is_made(at - 2),
            _ => self.is_made(at),
        })
    }

    /// Whether the history refers to the role of this name before it makes it, be it in a statement that builds the command:
    /// `execute format('create role %I', 'reader')`.
    pub fn needs_role(&self, name: &str) -> bool {
        let creates =
            |pair: &[u32]| self.text(pair[0]) == "create" && matches!(self.text(pair[1]), "role" | "user" | "group");
        let first = self.places(name).next();
        first.is_some_and(|at| !self.is_made(at) && !self.statement(at).windows(2).any(creates))
    }

    /// How the history makes the extension `name`, wherever it does.
    pub fn made_extension(&self, name: &str) -> Option<Made> {
        self.made("extension", name).map(|(_, made)| made)
    }

    /// How the history makes the schema `name`, unless it needs that before: then it was there.
    pub fn made_schema(&self, name: &str) -> Option<Made> {
        let (at, made) = self.made("schema", name)?;
        (!self.needs_schema_before(at, name)).then_some(made)
    }

    /// Where the history makes `name` first, and how.
    fn made(&self, kind: &str, name: &str) -> Option<(usize, Made)> {
        let word = |at: usize| self.at(at);
        self.places("create").filter(|&at| word(at + 1) == kind).find_map(|at| {
            let is_conditional = ["if", "not", "exists"].iter().zip(at + 2..).all(|(part, at)| word(at) == *part);
            let made = if is_conditional { Made::IfMissing } else { Made::Anew };
            let behind = at + 2 + if is_conditional { 3 } else { 0 };
            let named = if word(behind) == "authorization" { behind + 1 } else { behind };
            (word(named) == name || self.is_built(named, name)).then_some((at, made))
        })
    }

    /// Whether the statement at `at` puts a name together, from what its script has as a text: `format('create schema %I', name)`.
    fn is_built(&self, at: usize, name: &str) -> bool {
        let is_sign = |word: &u32| !self.text(*word).starts_with(|c: char| c.is_alphanumeric() || c == '_');
        // A word without double quotes was folded, also where it is a text.
        let folded = name.to_lowercase();
        let quoted = [self.id("'"), self.id(&folded), self.id("'")];
        let is_text = |words: &[u32]| words.iter().zip(quoted).all(|(word, quoted)| Some(*word) == quoted);
        let begin = self.ends.iter().rev().find(|&&end| end < at).map_or(0, |end| end + 1);
        let end = self.ends.iter().find(|&&end| end >= at).copied().unwrap_or(self.words.len());
        self.words.get(at).is_some_and(is_sign) && self.words[begin..end].windows(3).any(is_text)
    }

    fn needs_schema_before(&self, end: usize, name: &str) -> bool {
        let before = |at: usize, back: usize| at.checked_sub(back).map_or("", |at| self.at(at));
        self.places(name).take_while(|&at| at < end).any(|at| {
            let is_qualifier = self.at(at + 1) == ".";
            let is_expected = before(at, 1) == "exists" && before(at, 2) == "not";
            match before(at, 1) {
                "schema" => before(at, 2) != "create",
                word => is_qualifier && (is_expected || BEFORE_WHAT_IS_NEEDED.contains(&word)),
            }
        })
    }

    /// Whether `name` comes right behind `before`.
    pub fn follows(&self, before: &str, name: &str) -> bool {
        let Some(pair) = self.id(before).zip(self.id(name)) else { return false };
        self.words.windows(2).any(|two| (two[0], two[1]) == pair)
    }

    /// The words between the semicolons around the one at `at`.
    fn statement(&self, at: usize) -> &[u32] {
        let end = self.id(";");
        let is_end = |word: &u32| Some(*word) == end;
        let begin = self.words[..at].iter().rposition(is_end).map_or(0, |end| end + 1);
        let end = self.words[at..].iter().position(is_end).map_or(self.words.len(), |length| at + length);
        &self.words[begin..end]
    }

    fn is_made(&self, at: usize) -> bool {
        let mut before = self.words[..at].iter().rev().map(|&word| self.text(word));
        before.find(|word| !BEFORE_A_NAME.contains(word)) == Some("create")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    Anew,
    IfMissing,
}

/// Words of scripts, as far as they may be asked for.
struct Gathered<'a> {
    names: &'a BTreeSet<String>,
    words: Vec<u32>,
    known: IndexSet<String>,
    ends: Vec<usize>,
    /// The statement that is not over yet,
    open: Vec<u32>,
    /// how many words at its end are nothing by themselves,
    idle: usize,
    /// and those before it in its script: what a statement says for the second time adds nothing.
    statements: HashSet<Vec<u32>>,
}

/// Words beside a name that say how it is meant: `schema.name`, `'name'`.
const BESIDE: usize = 2;

impl<'a> Gathered<'a> {
    fn new(names: &'a BTreeSet<String>) -> Gathered<'a> {
        Gathered {
            names,
            words: Vec::new(),
            known: IndexSet::new(),
            ends: Vec::new(),
            open: Vec::new(),
            idle: 0,
            statements: HashSet::new(),
        }
    }

    fn add(&mut self, word: &str) {
        if word == ";" {
            return self.end_statement();
        }
        let says = BEFORE_WHAT_IS_NEEDED.contains(&word) || BEFORE_A_NAME.contains(&word) || MORE.contains(&word);
        if says || self.names.contains(word) {
            self.idle = 0;
            return self.push(word);
        }
        let is_sign = !word.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        self.idle += 1;
        // Of many in a row the first ones are beside what comes before them, and the last ones beside what comes next.
        if self.idle > 2 * BESIDE {
            self.idle -= 1;
            self.open.remove(self.open.len() - BESIDE);
        }
        self.push(match word {
            "." | "'" => word,
            _ if is_sign => SOME_SIGN,
            _ => NO_NAME,
        });
    }

    fn push(&mut self, word: &str) {
        let id = self.id(word);
        self.open.push(id);
    }

    fn id(&mut self, word: &str) -> u32 {
        let at = self.known.get_index_of(word).unwrap_or_else(|| self.known.insert_full(word.to_owned()).0);
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn end_statement(&mut self) {
        let statement = std::mem::take(&mut self.open);
        self.idle = 0;
        if !self.statements.contains(&statement) {
            self.words.extend(&statement);
            let end = self.id(";");
            self.words.push(end);
            self.statements.insert(statement);
        }
    }

    /// A script's end ends a statement.
    fn end_script(&mut self) {
        self.statements.clear();
        self.end_statement();
        self.ends.push(self.words.len() - 1);
        self.statements.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(scripts: &[&str], names: &[&str]) -> Mentions {
        let scripts: Vec<Text> = scripts.iter().map(|sql| Text::from(*sql)).collect();
        Mentions::of(&scripts, &names.iter().map(|name| (*name).to_owned()).collect()).unwrap()
    }

    #[test]
    fn what_a_history_makes_itself_it_does_not_need() {
        let names = [
            "auth",
            "users",
            "uid",
            "old",
            "extra",
            "mine",
            "comment",
            "block",
            "nothing",
            "odd Name",
            "f",
            "extensions",
            "reports",
            "Shelf",
            "uuid-ossp",
            "keeper",
            "writer",
            "reader",
        ];
        let mentions = mentions(
            &[
                r#"CREATE TABLE "Shelf" (owner uuid REFERENCES auth.users(id)); -- not auth.comment
                   CREATE TABLE IF NOT EXISTS auth.extra (id int); ALTER TABLE auth.extra ADD x int; /* auth.block */
                   create policy p on "Shelf" using (Auth.uid() = owner and '"odd Name".f'::text <> '')"#,
                "DROP TABLE IF EXISTS auth.old; create table auth.old (); create or replace function auth.mine() returns int
                   language sql as 'select 1'; create extension if not exists \"uuid-ossp\" with schema extensions;
                 create schema reports; alter table t owner to keeper; create role writer;
                 do $$ begin execute format('create role %I', 'reader'); end $$; alter role reader set work_mem = '1MB'",
            ],
            &names,
        );
        let needed = |name| mentions.needs("auth", name);
        let names = ["users", "uid", "old", "extra", "mine", "comment", "block", "nothing"];
        assert_eq!(names.map(needed), [true, true, true, false, false, false, false, false]);
        assert!(mentions.needs("odd Name", "f"));
        assert_eq!(
            ["extensions", "auth", "reports", "Shelf"].map(|schema| mentions.schema(schema)),
            [true, true, true, false]
        );
        assert_eq!(["reports", "auth"].map(|schema| mentions.made_schema(schema)), [Some(Made::Anew), None]);
        assert_eq!(mentions.made_extension("uuid-ossp"), Some(Made::IfMissing));
        assert_eq!(["keeper", "writer", "reader"].map(|role| mentions.needs_role(role)), [true, false, false]);
        assert!(mentions.follows("to", "keeper"));
    }

    #[test]
    fn a_schema_that_the_history_makes_is_known_however_it_does() {
        let made = |scripts: &[&str]| mentions(scripts, &["Audit", "audit"]).made_schema("Audit");
        for script in [
            r#"CREATE SCHEMA "Audit""#,
            r#"create schema "Audit" authorization keeper create table t ()"#,
            r#"create schema authorization "Audit""#,
            r#"drop schema if exists "Audit" cascade; create schema "Audit""#,
            r#"drop table if exists "Audit".t; create schema "Audit""#,
            r#"select "Audit".id from log "Audit"; create schema "Audit""#,
            r#"do $$ begin create schema "Audit"; end $$"#,
            r#"do $$ begin execute 'create schema ' || quote_ident('Audit'); end $$"#,
            "do $$ declare s text := 'Audit'; begin perform 1; execute format('create schema %I', s); end $$",
            "do $$ declare s text; begin foreach s in array array['x', 'Audit'] loop execute format('create schema %I', s); end loop; end $$",
        ] {
            assert_eq!(made(&[script]), Some(Made::Anew), "{script}");
        }
        for script in [r#"create schema if not exists "Audit""#, r#"create schema if not exists authorization "Audit""#]
        {
            assert_eq!(made(&[script]), Some(Made::IfMissing), "{script}");
        }
        for scripts in [
            &["create schema audit", r#"create table "Audit".t ()"#][..],
            &[r#"create table "Audit".t ()"#, r#"drop schema "Audit" cascade; create schema "Audit""#],
            &[r#"grant usage on schema "Audit" to x; create schema "Audit""#],
            &[r#"create table t (id int references "Audit".t); create schema "Audit""#],
            &["do $$ begin execute format('create schema %I', 'other'); end $$", "select 'Audit'"],
        ] {
            assert_eq!(made(scripts), None, "{scripts:?}");
        }
    }

    #[test]
    fn of_many_rows_little_is_kept_and_what_stands_between_them_is_found() {
        let rows = |from: usize| {
            let rows = (from..from + 2_000).map(|id| format!("({id}, {id}.5, 'some text {id}', 'u{id}', now())"));
            format!("insert into \"Log\" values {};\n", rows.collect::<Vec<_>>().join(",\n "))
        };
        let script = [
            rows(0),
            format!("insert into audit.log values ('x'), ('nextval', nextval('billing.seq')), ($$it's$$){}", rows(1)),
            rows(2_000),
            "create schema \"Audit\"; select auth.uid();".to_owned(),
            rows(7_000),
        ]
        .concat();
        let names = ["Log", "audit", "Audit", "billing", "seq", "auth", "users", "uid", "log"];
        let found = mentions(&[&script], &names);
        assert!(found.words.len() < 100 && found.known.len() < 40, "{} words", found.words.len());
        assert!(found.needs("billing", "seq") && found.needs("auth", "uid") && found.needs("audit", "log"));
        assert!(!found.needs("auth", "users"));
        assert_eq!(found.made_schema("Audit"), Some(Made::Anew));
    }
}
