//! What a script may do to rows of the target that a rehearsal on made-up rows did not show: none could be made up, none met the condition, or
//! a branch was not taken.

use std::collections::{BTreeSet, VecDeque};

use script::row_changes::{RowChange, Told};
use script::text::{Text, Unreadable};

use crate::migrations::harm::Harm;
use crate::migrations::losses::Removal;
use crate::migrations::stock::Stock;
use crate::migrations::witness::{Operation, Write};
use crate::schema::place::Place;
use crate::schema::script_words::each_word;

/// Without one of these words a script changes no row that is there.
const MOVERS: [&str; 10] =
    ["update", "delete", "truncate", "merge", "do", "execute", "call", "select", "perform", "using"];

/// A script that was tried on made-up rows.
pub struct Tried<'a> {
    pub script: &'a Text,
    pub told: &'a Told,
    /// What was written to by statements of which the text does not tell it.
    pub untold: &'a BTreeSet<Write>,
    /// What there was before it.
    pub before: &'a Stock,
}

impl Tried<'_> {
    /// Tables of which nothing is known, by their names now and by those that they were `born` with; of `empty` there was no made-up row, and
    /// `seen` is known.
    ///
    /// # Errors
    /// The script cannot be read.
    pub fn untried(&self, born: &Stock, empty: &[Place], seen: &[Removal]) -> Result<Vec<Removal>, Unreadable> {
        if self.told.is_all {
            return Ok(Vec::new());
        }
        let mut found = self.without_rows(empty, seen)?;
        let unmet = self.unmet()?;
        for (table, place) in self.before.tables() {
            let is_unmet = |operation| unmet.contains(&(table, operation)) && !is_known(seen, place, operation);
            if born.contains((table, 0)) && [Operation::Updates, Operation::Deletes].into_iter().any(is_unmet) {
                let now = Some(born.place((table, 0)));
                found.push(Removal { then: place.clone(), now, harm: Harm::Untried });
            }
        }
        let mut places = BTreeSet::new();
        found.retain(|removal| places.insert(removal.then.clone()));
        Ok(found)
    }

    /// Of `empty`, those that the script names anywhere, if it may do something to rows at all.
    fn without_rows(&self, empty: &[Place], seen: &[Removal]) -> Result<Vec<Removal>, Unreadable> {
        let may_change = || {
            self.script.any_part(|part| {
                let text = part.to_lowercase();
                MOVERS.into_iter().any(|word| holds_word(&text, word))
            })
        };
        if empty.is_empty() || !may_change()? {
            return Ok(Vec::new());
        }
        let is_gone = |place: &Place| seen.iter().any(|one| one.is_drop() && one.now.as_ref() == Some(place));
        let named = that(self.script, empty, says_table)?;
        Ok(named.into_iter().filter(|removal| !is_gone(&removal.then)).collect())
    }

    /// What statements did or would have done, of which the text does not tell to how many rows, and for which there was none.
    fn unmet(&self) -> Result<BTreeSet<(u32, Operation)>, Unreadable> {
        let mut unmet: BTreeSet<(u32, Operation)> = BTreeSet::new();
        let executed = |met: bool, table: u32, operation: Operation| {
            self.untold.contains(&Write { relation: table, operation, met })
        };
        for Write { relation, operation, .. } in self.untold.iter().filter(|write| !write.met) {
            if !self.is_told(*relation, *operation)? {
                unmet.insert((*relation, *operation));
            }
        }
        for text in &self.told.unread {
            for Named { operation, schema, table } in named(text)? {
                let is_it =
                    |place: &Place| place.table == table && schema.as_ref().is_none_or(|it| place.schema == *it);
                let tables = self.before.tables().filter(|(id, place)| is_it(place) && !executed(true, *id, operation));
                unmet.extend(tables.map(|(id, _)| (id, operation)));
            }
        }
        Ok(unmet)
    }

    /// Where a file goes as one request: whether a statement of it whose text does tell has written there, and none of the others may have.
    fn is_told(&self, table: u32, operation: Operation) -> Result<bool, Unreadable> {
        let Some((_, place)) = self.before.tables().find(|(id, _)| *id == table) else { return Ok(false) };
        let is_it = |change: &RowChange| {
            (operation == Operation::Deletes) == change.columns.is_empty() && change.table_name() == place.table
        };
        if !self.told.changes.iter().any(is_it) {
            return Ok(false);
        }
        let name = place.table.to_lowercase();
        for text in &self.told.unread {
            if text.any_part(|part| holds_word(&part.to_lowercase(), &name))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Those of `tables` that `script` names anywhere, or whose schema it may drop, as not tried.
///
/// # Errors
/// The script cannot be read.
pub fn reached_by(script: &Text, tables: &[Place]) -> Result<Vec<Removal>, Unreadable> {
    let drops_schema =
        |text: &str, place: &Place| holds_word(text, "schema") && holds_word(text, &place.schema.to_lowercase());
    that(script, tables, |text, place| says_table(text, place) || drops_schema(text, place))
}

fn says_table(text: &str, place: &Place) -> bool {
    holds_word(text, &place.table.to_lowercase())
}

/// Those of `tables` for which a part of `script`, in small letters, is so; as not tried.
fn that(script: &Text, tables: &[Place], is_so: impl Fn(&str, &Place) -> bool) -> Result<Vec<Removal>, Unreadable> {
    let mut found = vec![false; tables.len()];
    for part in script.parts() {
        let text = part?.to_lowercase();
        for (place, is_it) in tables.iter().zip(&mut found) {
            *is_it |= is_so(&text, place);
        }
    }
    let removal = |place: &Place| Removal { then: place.clone(), now: Some(place.clone()), harm: Harm::Untried };
    Ok(tables.iter().zip(found).filter(|(_, is_it)| *is_it).map(|(place, _)| removal(place)).collect())
}

/// Whether what `operation` may do to the rows of a table is in `seen`, or more.
fn is_known(seen: &[Removal], table: &Place, operation: Operation) -> bool {
    seen.iter().filter(|one| one.then.of_table() == *table).any(|one| match (&one.harm, &one.then.column) {
        (Harm::Drops | Harm::Deletes | Harm::Untried, None) => true,
        (Harm::Changes, _) => operation == Operation::Updates,
        _ => false,
    })
}

pub fn holds_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_whole = |at: usize| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part);
    text.match_indices(word).any(|(at, _)| is_whole(at))
}

/// A statement within another: in a body, in a text.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    operation: Operation,
    schema: Option<String>,
    table: String,
}

/// By its words, since nothing reads what a body is made of; `on update cascade` and `for update of` are none.
fn named(text: &Text) -> Result<Vec<Named>, Unreadable> {
    let (mut found, mut inserted) = (Vec::new(), None);
    let mut seen: VecDeque<String> = VecDeque::from([String::new()]);
    let mut next = |word: &str| {
        seen.push_back(word.to_owned());
        if seen.len() == AT_ONCE {
            found.extend(named_at(seen.make_contiguous(), &mut inserted));
            seen.pop_front();
        }
    };
    each_word(text, &mut next)?;
    (0..AT_ONCE).for_each(|_| next(""));
    Ok(found)
}

/// The word before a statement, and its own up to `merge into only s . t`.
const AT_ONCE: usize = 8;

/// What the second of `words` begins. `inserted` is what the INSERT before it was about.
fn named_at(words: &[String], inserted: &mut Option<(Option<String>, String)>) -> Vec<Named> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let table = |at: usize| {
        let at = (at..words.len()).find(|&at| !["table", "only"].contains(&word(at))).unwrap_or(at);
        match word(at + 1) {
            "." => (Some(word(at).to_owned()), word(at + 2).to_owned()),
            _ => (None, word(at).to_owned()),
        }
    };
    let (operations, (schema, table)): (&[Operation], _) = match (word(0), word(1), word(2)) {
        ("on" | "for", _, _) => return Vec::new(),
        (_, "delete", "from") => (&[Operation::Deletes], table(3)),
        (_, "truncate", _) => (&[Operation::Deletes], table(2)),
        (_, "merge", "into") => (&[Operation::Updates, Operation::Deletes], table(3)),
        (_, "insert", "into") => {
            *inserted = Some(table(3));
            return Vec::new();
        }
        ("do", "update", _) => match inserted {
            Some(table) => (&[Operation::Updates], table.clone()),
            None => return Vec::new(),
        },
        (_, "update", _) => (&[Operation::Updates], table(2)),
        _ => return Vec::new(),
    };
    let named = |operation: &Operation| Named { operation: *operation, schema: schema.clone(), table: table.clone() };
    operations.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_within_a_body_are_known_by_their_words() {
        let said = |text: &str| {
            let one = |one: Named| {
                format!("{:?} {}{}", one.operation, one.schema.map(|it| it + ".").unwrap_or_default(), one.table)
            };
            named(&text.into()).unwrap().into_iter().map(one).collect::<Vec<_>>().join(", ")
        };
        for (text, expected) in [
            (r#"do $$ begin if x then delete from only "S"."T" where a; end if; end $$"#, "Deletes S.T"),
            ("do 'begin update T set a = 1; truncate table u; end'", "Updates t, Deletes u"),
            ("do $$ begin merge into t using u on true when matched then delete; end $$", "Updates t, Deletes t"),
            ("do $$ begin insert into s.t values (1) on conflict (id) do update set a = 1; end $$", "Updates s.t"),
            (
                "do $$ begin alter table t add foreign key (a) references u on delete cascade on update cascade; end $$",
                "",
            ),
            (
                "do $$ begin perform 1 from t for update of t; insert into t values (1) on conflict do nothing; end $$",
                "",
            ),
            ("do $$ begin create type a as enum ('b'); exception when duplicate_object then null; end $$", ""),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
