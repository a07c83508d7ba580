//! A pair: rows of one of Prisma's tables that the mirror should hold too, and how both are told from the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::row_mapping::{Columns, FileRows, RowMapping};
use crate::error::{Failure, Result};

/// One named comparison. Every name in it is a plain identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub name: String,
    pub prisma: Side,
    pub mirror: Side,
    /// What makes a row of one side the same as a row of the other, where the file says so.
    pub rows: Option<RowMapping>,
}

/// The rows of `table` in which each column of `filter` has that value; `time` is the column that says when a row
/// happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    pub table: String,
    pub filter: BTreeMap<String, String>,
    pub time: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    Prisma,
    Mirror,
}

impl Pair {
    pub fn side(&self, which: Which) -> &Side {
        match which {
            Which::Prisma => &self.prisma,
            Which::Mirror => &self.mirror,
        }
    }

    /// Every column that it names of that side.
    pub fn columns(&self, which: Which) -> impl Iterator<Item = &str> {
        let mapped = self.rows.iter().flat_map(RowMapping::columns).map(move |columns| columns.of(which));
        self.side(which).columns().chain(mapped)
    }
}

impl Columns {
    pub fn of(&self, which: Which) -> &str {
        match which {
            Which::Prisma => &self.prisma,
            Which::Mirror => &self.mirror,
        }
    }
}

impl Side {
    /// Every column that it names.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.filter.keys().chain([&self.time]).map(String::as_str)
    }
}

impl Which {
    pub const BOTH: [Which; 2] = [Which::Prisma, Which::Mirror];

    pub fn in_words(self) -> &'static str {
        match self {
            Which::Prisma => "Prisma's side",
            Which::Mirror => "the mirror",
        }
    }
}

/// A pair as drill.toml writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePair {
    name: String,
    prisma: FileSide,
    mirror: FileSide,
    rows: Option<FileRows>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSide {
    table: String,
    #[serde(default, rename = "where")]
    filter: BTreeMap<String, String>,
    time: Option<String>,
}

/// The pairs that a file names, checked.
///
/// # Errors
/// `usage`, naming the pair: a name that is not a plain identifier or is used twice, a value that no Postgres text can
/// hold.
pub fn checked(pairs: &[FilePair]) -> Result<Vec<Pair>> {
    let mut names = BTreeSet::new();
    for pair in pairs {
        if !names.insert(&pair.name) {
            return Err(wrong(&pair.name, "is there twice"));
        }
    }
    pairs.iter().map(FilePair::check).collect()
}

fn wrong(pair: &str, what: &str) -> Failure {
    Failure::usage(format!("`drill.toml` cannot be used: the pair `{pair}` {what}"))
        .hint("correct `[[parity.pairs]]`; docs/configuration.md lists every key")
}

fn not_plain(pair: &str, name: &str) -> Failure {
    wrong(pair, &format!("names `{}`, which is not a plain identifier", name.escape_default()))
}

impl FilePair {
    fn check(&self) -> Result<Pair> {
        if !is_plain(&self.name) {
            return Err(wrong(&self.name, "has a name that is not letters, digits and `_`"));
        }
        let rows = self.rows.as_ref().map(FileRows::read).transpose().map_err(|what| wrong(&self.name, &what))?;
        let columns = || rows.iter().flat_map(RowMapping::columns);
        if let Some(name) = columns().flat_map(|it| [&it.prisma, &it.mirror]).find(|name| !is_plain(name)) {
            return Err(not_plain(&self.name, name));
        }
        Ok(Pair {
            name: self.name.clone(),
            prisma: self.prisma.check(&self.name, "createdAt")?,
            mirror: self.mirror.check(&self.name, "created_at")?,
            rows,
        })
    }
}

impl FileSide {
    fn check(&self, pair: &str, default_time: &str) -> Result<Side> {
        let side = Side {
            table: self.table.clone(),
            filter: self.filter.clone(),
            time: self.time.clone().unwrap_or_else(|| default_time.to_owned()),
        };
        if let Some(name) = [side.table.as_str()].into_iter().chain(side.columns()).find(|name| !is_plain(name)) {
            return Err(not_plain(pair, name));
        }
        match side.filter.values().any(|value| value.contains('\0')) {
            true => Err(wrong(pair, "has a value with a NUL in it, which no text in Postgres can be")),
            false => Ok(side),
        }
    }
}

/// Letters, digits and `_`, not a digit first, at most the 63 bytes that Postgres keeps of a name.
fn is_plain(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        pairs: Vec<FilePair>,
    }

    fn read(pair: &str) -> Result<Vec<Pair>> {
        checked(&toml::from_str::<File>(pair).unwrap().pairs)
    }

    #[test]
    fn what_is_no_plain_identifier_never_gets_near_a_statement() {
        let pair = |name: &str, table: &str, column: &str, value: &str| {
            let side = format!("{{ table = '{table}', where = {{ \"{column}\" = \"{value}\" }} }}");
            read(&format!("[[pairs]]\nname = '{name}'\nprisma = {side}\nmirror = {side}")).map_err(|f| f.message)
        };
        assert!(pair("a", "T", "c", "anything; at 'all").is_ok());
        let wrong = [
            pair("", "T", "c", ""),
            pair("a b", "T", "c", ""),
            pair("a", "T\"; drop table T; --", "c", ""),
            pair("a", "public.T", "c", ""),
            pair("a", "1T", "c", ""),
            pair("a", &"T".repeat(64), "c", ""),
            pair("a", "T", "c d", ""),
            pair("a", "T", "c", "\\u0000"),
        ];
        assert!(wrong.iter().all(Result::is_err), "{wrong:?}");
        assert_eq!(
            wrong[3].clone().unwrap_err(),
            "`drill.toml` cannot be used: the pair `a` names `public.T`, which is not a plain identifier"
        );
    }

    #[test]
    fn a_name_is_used_once_and_an_unknown_key_is_an_error() {
        let pair = "[[pairs]]\nname = 'a'\nprisma = { table = 'T' }\nmirror = { table = 'm', time = 'at' }\n";
        let read_once = read(pair).unwrap();
        assert_eq!((read_once[0].prisma.time.as_str(), read_once[0].mirror.time.as_str()), ("createdAt", "at"));
        assert!(read(&pair.repeat(2)).unwrap_err().message.contains("the pair `a` is there twice"));
        assert!(toml::from_str::<File>(&pair.replace("time", "tiem")).is_err());
    }

    #[test]
    fn what_makes_rows_the_same_is_named_by_columns_of_both_sides() {
        let pair = |rows: &str| {
            read(&format!(
                "[[pairs]]\nname = 'a'\nprisma = {{ table = 'T' }}\nmirror = {{ table = 'm' }}\nrows = {{ {rows} }}\n"
            ))
        };
        let read = pair("key = { id = 'fact_id' }, values = { order = 'Order' }, threshold_pct = 0.5").unwrap();
        let columns = |which| read[0].columns(which).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(columns(Which::Prisma), ["createdAt", "id", "order"]);
        assert_eq!(columns(Which::Mirror), ["created_at", "fact_id", "Order"]);
        assert_eq!(read[0].rows.as_ref().unwrap().threshold_pct, 0.5);
        let wrong = [
            ("", "the pair `a` has `rows` that name no column"),
            ("key = { 'a b' = 'c' }", "the pair `a` names `a b`, which is not a plain identifier"),
            ("key = { a = 'c; drop' }", "the pair `a` names `c; drop`, which is not a plain identifier"),
            (
                "key = { a = 'b' }, threshold_pct = 101",
                "the pair `a` has a `threshold_pct` of 101, and it must be from 0 to 100",
            ),
            ("key = { a = 'b' }, values = { a = 'c' }", "the pair `a` names `a` as `key` and as a value"),
            ("key = { a = 'c', b = 'c' }", "the pair `a` compares `c` twice"),
        ];
        for (rows, told) in wrong {
            let message = pair(rows).unwrap_err().message;
            assert_eq!(message, format!("`drill.toml` cannot be used: {told}"));
        }
        assert!(
            toml::from_str::<File>(
                "[[pairs]]\nname = 'a'\nprisma = { table = 'T' }\nmirror = { table = 'm' }\nrows = { keys = {} }"
            )
            .is_err()
        );
    }
}
