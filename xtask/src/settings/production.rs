//! How many rows production's tables hold, as the user says: nothing here has seen them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::words::number;

/// No table has more.
pub const MOST: u64 = 1_000_000_000_000;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProductionRows {
    /// Nobody said.
    #[default]
    Unknown,
    /// One size for all tables.
    Each(u64),
    /// By `schema.table`, or by the table alone where it is in the datasource's schema.
    Of(BTreeMap<String, u64>),
}

impl ProductionRows {
    pub fn is_unknown(&self) -> bool {
        *self == ProductionRows::Unknown
    }

    /// Of a table as `schema.table`; `schema` is the datasource's.
    pub fn of(&self, table: &str, schema: &str) -> Option<u64> {
        match self {
            ProductionRows::Unknown => None,
            ProductionRows::Each(rows) => Some(*rows),
            ProductionRows::Of(tables) => {
                let bare = || tables.get(table.strip_prefix(schema)?.strip_prefix('.')?);
                tables.get(table).or_else(bare).copied()
            }
        }
    }

    /// The tables that are named.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let tables = if let ProductionRows::Of(tables) = self { Some(tables) } else { None };
        tables.into_iter().flatten().map(|(name, _)| name.as_str())
    }
}

/// `[production]` as written.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileProduction {
    rows: BTreeMap<String, Rows>,
}

impl FileProduction {
    pub(super) fn rows(&self) -> ProductionRows {
        let rows: BTreeMap<String, u64> = self.rows.iter().map(|(table, rows)| (table.clone(), rows.0)).collect();
        if rows.is_empty() { ProductionRows::Unknown } else { ProductionRows::Of(rows) }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Rows(u64);

impl TryFrom<i64> for Rows {
    type Error = String;

    fn try_from(rows: i64) -> Result<Rows, String> {
        let read = u64::try_from(rows).ok().filter(|rows| *rows <= MOST);
        read.map(Rows).ok_or_else(|| format!("`{rows}` is no number of rows from 0 to {}", number(MOST)))
    }
}

/// `--rows N`, with or without `_` between the digits.
///
/// # Errors
/// What would be one.
pub fn rows(text: &str) -> Result<u64, String> {
    let read = text.replace('_', "").parse().ok().filter(|rows| (1..=MOST).contains(rows));
    read.ok_or_else(|| format!("a number of rows from 1 to {} is needed", number(MOST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProductionRows, String> {
        toml::from_str::<FileProduction>(text).map(|file| file.rows()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_table_is_named_with_its_schema_or_is_the_datasources() {
        let rows = read("[rows]\n\"app.Session\" = 12_000_000\nDecision = 7\n\"a.b\" = 1\n\"app.a.b\" = 2").unwrap();
        let of = |table| rows.of(table, "app");
        assert_eq!(of("app.Session"), Some(12_000_000));
        assert_eq!((of("app.Decision"), of("public.Decision")), (Some(7), None), "bare is the datasource's");
        assert_eq!((of("a.b"), of("app.a.b")), (Some(1), Some(2)), "the whole name comes first");
        assert_eq!((of("app.session"), of("application")), (None, None));
        assert_eq!(ProductionRows::Each(3).of("any.thing", "app"), Some(3));
        assert!(read("").unwrap().is_unknown() && read("[rows]").unwrap().is_unknown());
    }

    #[test]
    fn what_is_no_number_of_rows_is_refused_with_what_would_be() {
        let wrong = [
            ("rows = { t = -1 }", "`-1` is no number of rows from 0 to 1,000,000,000,000"),
            ("rows = { t = 1_000_000_000_001 }", "`1000000000001` is no number of rows from 0 to 1,000,000,000,000"),
            ("rows = { t = 1.5 }", "invalid type: floating point `1.5`, expected i64"),
            ("rows = { t = \"12M\" }", "invalid type: string \"12M\", expected i64"),
            ("rows = { public.t = 1 }", "invalid type: map, expected i64"),
            ("rows = 5", "invalid type: integer `5`, expected a map"),
            ("row = 5", "unknown field `row`, expected `rows`"),
        ];
        for (text, told) in wrong {
            assert_eq!(read(text).unwrap_err(), told, "{text}");
        }
    }

    #[test]
    fn the_flag_takes_digits_and_nothing_else() {
        assert_eq!([rows("1"), rows("12_000_000")], [Ok(1), Ok(12_000_000)]);
        for text in ["0", "-1", "1e6", "12M", "", "_", "1000000000001", "٣"] {
            assert_eq!(rows(text), Err("a number of rows from 1 to 1,000,000,000,000 is needed".to_owned()), "{text}");
        }
    }
}
