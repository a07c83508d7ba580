//! The rows that differ, each by its primary key and time and never with a value, and which of them differ in two looks.

use std::collections::BTreeMap;

use serde::Serialize;

/// Rows of a kind that one look takes from the server. More of them differ, and which are in flight is not told apart.
pub const MOST_TAKEN: usize = 10_000;

/// Rows of a kind in `parity.json`, and on a terminal.
const MOST_LISTED: usize = 1_000;
const MOST_SHOWN: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Missing,
    Extra,
    Changed,
}

/// One row, or several that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub kind: Kind,
    /// The key as the server writes it, by which two looks are compared. It leaves the process nowhere.
    pub identity: String,
    /// By the primary key of the side that has it, Prisma's where both have; None where that has none.
    pub key: Option<String>,
    pub time: Option<String>,
    pub rows: u64,
    /// Of its values, where it may be compared with a row of another segment; else empty.
    pub digest: String,
    /// The values that differ, by the place of their columns.
    pub columns: Vec<usize>,
}

/// What one look at a pair's rows found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    pub missing: u64,
    pub extra: u64,
    pub changed: u64,
    /// Rows that are changed in each of the compared values.
    pub columns: Vec<u64>,
    /// Rows with a partner, changed or not.
    pub partners: u64,
    /// Some rows have the same key, or none, and were compared as a heap of rows.
    pub alike: bool,
    /// What alone was compared, where it is not every row.
    pub partly: Option<String>,
    pub listed: Vec<Difference>,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Missing, Kind::Extra, Kind::Changed];
}

impl Differences {
    pub fn count(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Missing => self.missing,
            Kind::Extra => self.extra,
            Kind::Changed => self.changed,
        }
    }

    pub fn is_empty(&self) -> bool {
        Kind::ALL.iter().all(|&kind| self.count(kind) == 0)
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Difference> {
        self.listed.iter().filter(move |difference| difference.kind == kind)
    }

    /// Whether every row of that kind is listed.
    fn is_whole(&self, kind: Kind) -> bool {
        self.of(kind).map(|difference| difference.rows).sum::<u64>() == self.count(kind)
    }

    /// What is so in this look and was in the one before: a row in flight is in one of them.
    pub fn also_in(mut self, before: &Differences) -> Differences {
        for kind in Kind::ALL {
            if !self.is_whole(kind) || !before.is_whole(kind) {
                continue;
            }
            let known: BTreeMap<&str, u64> = before.of(kind).map(|it| (it.identity.as_str(), it.rows)).collect();
            let mut gone = Vec::new();
            self.listed.retain_mut(|difference| {
                if difference.kind != kind {
                    return true;
                }
                let rows = known.get(difference.identity.as_str()).copied().unwrap_or(0).min(difference.rows);
                if rows == 0 {
                    gone.extend(difference.columns.iter().copied());
                }
                difference.rows = rows;
                rows > 0
            });
            let left = self.of(kind).map(|difference| difference.rows).sum();
            match kind {
                Kind::Missing => self.missing = left,
                Kind::Extra => self.extra = left,
                Kind::Changed => self.changed = left,
            }
            for column in gone {
                if let Some(rows) = self.columns.get_mut(column) {
                    *rows = rows.saturating_sub(1);
                }
            }
        }
        self
    }

    /// `rows 3, 5, 8 and 12 more`, by what identifies them.
    pub fn examples(&self, kind: Kind) -> Option<String> {
        let shown: Vec<String> = self.of(kind).take(MOST_SHOWN).filter_map(Difference::in_words).collect();
        let left = self.count(kind).saturating_sub(shown.len() as u64);
        match (shown.is_empty(), left) {
            (true, _) => None,
            (_, 0) => Some(shown.join("; ")),
            (_, left) => Some(format!("{}; and {left} more", shown.join("; "))),
        }
    }

    /// For `parity.json`; `columns` are the names of the compared values.
    pub fn record(&self, pair: &str, columns: &[String]) -> Listing {
        let kind = |kind: Kind| List {
            rows: self.of(kind).take(MOST_LISTED).map(|difference| difference.row(columns)).collect(),
            truncated: !self.is_whole(kind) || self.of(kind).nth(MOST_LISTED).is_some(),
        };
        Listing {
            pair: pair.to_owned(),
            missing: kind(Kind::Missing),
            extra: kind(Kind::Extra),
            changed: kind(Kind::Changed),
        }
    }
}

impl Difference {
    fn in_words(&self) -> Option<String> {
        let key = self.key.as_ref().map(|key| shortened(key))?;
        Some(match &self.time {
            Some(time) => format!("`{key}` of {time}"),
            None => format!("`{key}`"),
        })
    }

    fn row(&self, columns: &[String]) -> Row {
        let names = self.columns.iter().filter_map(|&column| columns.get(column).cloned());
        Row { key: self.key.clone(), time: self.time.clone(), rows: self.rows, columns: names.collect() }
    }
}

fn shortened(key: &str) -> String {
    const LONGEST: usize = 80;
    match key.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}

/// The rows of a pair that differ, as far as they are listed.
#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    pub pair: String,
    pub missing: List,
    pub extra: List,
    pub changed: List,
}

#[derive(Debug, Clone, Serialize)]
pub struct List {
    pub rows: Vec<Row>,
    pub truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub key: Option<String>,
    pub time: Option<String>,
    pub rows: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(kind: Kind, identity: &str, rows: u64, columns: &[usize]) -> Difference {
        let columns = columns.to_vec();
        let (identity, digest) = (identity.to_owned(), String::new());
        Difference { kind, key: Some(identity.clone()), identity, time: None, rows, digest, columns }
    }

    fn differences(listed: &[Difference], columns: Vec<u64>) -> Differences {
        let count = |kind| listed.iter().filter(|it| it.kind == kind).map(|it| it.rows).sum();
        Differences {
            missing: count(Kind::Missing),
            extra: count(Kind::Extra),
            changed: count(Kind::Changed),
            columns,
            listed: listed.to_vec(),
            ..Differences::default()
        }
    }

    #[test]
    fn a_row_differs_where_it_did_in_both_looks() {
        use Kind::{Changed, Extra, Missing};
        let [a, b] = [difference(Missing, "a", 3, &[]), difference(Missing, "b", 1, &[])];
        let [c, d] = [difference(Changed, "c", 1, &[0, 1]), difference(Changed, "d", 1, &[1])];
        let first = differences(&[difference(Missing, "a", 2, &[]), b.clone(), c.clone()], vec![1, 1]);
        let second = differences(&[a, difference(Extra, "b", 1, &[]), c, d], vec![1, 2]);
        let both = second.also_in(&first);
        assert_eq!((both.missing, both.extra, both.changed, both.columns.as_slice()), (2, 0, 1, &[1, 1][..]));
        assert_eq!(both.listed.iter().map(|it| it.identity.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn rows_that_are_not_all_listed_are_counted_as_they_were_seen_last() {
        let first = differences(&[difference(Kind::Missing, "a", 1, &[])], vec![]);
        let mut second = differences(&[difference(Kind::Missing, "b", 1, &[])], vec![]);
        second.missing = 20_000;
        let both = second.also_in(&first);
        assert_eq!(both.missing, 20_000);
        assert!(both.record("p", &[]).missing.truncated && !both.record("p", &[]).extra.truncated);
        assert_eq!(both.examples(Kind::Missing).unwrap(), "`b`; and 19999 more");
    }
}
