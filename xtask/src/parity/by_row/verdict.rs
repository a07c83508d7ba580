//! What the rows of a pair came to, and the rule that judges it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::parity::by_row::difference::{Differences, Kind};

/// The key `rows` of a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowVerdict {
    pub how: How,
    /// Rows of Prisma's side without a partner, and of the mirror's.
    pub missing: u64,
    pub extra: u64,
    /// Partners whose values differ, and for each of Prisma's columns in how many of them.
    pub changed: u64,
    pub columns: BTreeMap<String, u64>,
    /// Missing and extra, and changed, in percent of Prisma's rows.
    pub diff_pct: f64,
    pub changed_pct: f64,
    /// Of `changed_pct`.
    pub threshold_pct: f64,
    pub within: bool,
}

/// How the rows were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// By their key, on the server that has both tables.
    Join,
    /// By their key, a segment of it after the other.
    Segments,
    /// By all values: a changed row is one missing and one extra.
    Hash,
}

impl RowVerdict {
    /// `names` are those of the compared values; the thresholds are of missing and extra rows, and of changed ones.
    pub fn new(how: How, names: Vec<String>, found: &Differences, prisma: u64, thresholds: [f64; 2]) -> RowVerdict {
        let [threshold_pct, of_changed] = thresholds;
        let columns = names.into_iter().zip(found.columns.iter().copied()).filter(|(_, rows)| *rows > 0).collect();
        let (diff_pct, changed_pct) = (share(found.missing + found.extra, prisma), share(found.changed, prisma));
        RowVerdict {
            how,
            missing: found.missing,
            extra: found.extra,
            changed: found.changed,
            columns,
            diff_pct,
            changed_pct,
            threshold_pct: of_changed,
            within: diff_pct <= threshold_pct && changed_pct <= of_changed,
        }
    }

    /// Whether rows are missing or extra, so that there is a place to look for.
    pub fn has_places(&self) -> bool {
        self.missing + self.extra > 0
    }

    pub fn differs(&self) -> bool {
        self.has_places() || self.changed > 0
    }

    /// `12 / 0 / 3`, as a table shows them.
    pub fn figures(&self) -> String {
        format!("{} / {} / {}", self.missing, self.extra, self.changed)
    }

    /// A sentence for each kind of row that there is.
    pub fn in_words(&self) -> Vec<(Kind, String)> {
        let rows = |rows: u64| if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        let is = |rows: u64| if rows == 1 { "is" } else { "are" };
        let mut told = Vec::new();
        if self.missing > 0 {
            told.push((Kind::Missing, format!("{} {} not in the mirror", rows(self.missing), is(self.missing))));
        }
        if self.extra > 0 {
            told.push((
                Kind::Extra,
                format!("{} of the mirror {} not on Prisma's side", rows(self.extra), is(self.extra)),
            ));
        }
        if self.changed > 0 {
            let columns: Vec<String> = self.columns.iter().map(|(name, rows)| format!("`{name}` in {rows}")).collect();
            let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
            let has = if self.changed == 1 { "has" } else { "have" };
            told.push((Kind::Changed, format!("{} {has} other values in the mirror{columns}", rows(self.changed))));
        }
        told
    }
}

/// In percent of Prisma's rows, as a difference of counts is.
fn share(rows: u64, prisma: u64) -> f64 {
    match (rows, prisma) {
        (0, _) => 0.0,
        (_, 0) => 100.0,
        _ => rows as f64 * 100.0 / prisma as f64,
    }
}
