//! The rows at hand where two sides differ: keys and times, never a value, since values may be a customer's.

use std::collections::BTreeMap;

use serde::Serialize;

/// Rows shown of each side.
const SHOWN: usize = 5;

/// Rows that a side gives at most; with fewer on both sides, all of the place is there and the rows can be told apart
/// by their times.
pub const MOST_ROWS: usize = 1_000;

/// A row by its primary key and its time, as the server writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub key: Option<String>,
    pub time: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// `unmatched`: rows for whose time the other side has no row. `first`: there are too many to tell, so these are
    /// the first ones.
    pub rows: &'static str,
    pub prisma: Vec<Row>,
    pub mirror: Vec<Row>,
}

impl Sample {
    /// From all rows of a place, or the first `MOST_ROWS` of them. The mirror copies a fact's time, so a row and its
    /// copy share it.
    pub fn of(prisma: Vec<Row>, mirror: Vec<Row>) -> Sample {
        let whole = prisma.len() < MOST_ROWS && mirror.len() < MOST_ROWS;
        let (rows, mut prisma, mut mirror) = match whole {
            true => ("unmatched", unmatched(&prisma, &mirror), unmatched(&mirror, &prisma)),
            false => ("first", prisma, mirror),
        };
        prisma.truncate(SHOWN);
        mirror.truncate(SHOWN);
        Sample { rows, prisma, mirror }
    }
}

/// Those of `rows` that are left when each of `others` has taken one row of its time away.
fn unmatched(rows: &[Row], others: &[Row]) -> Vec<Row> {
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for other in others {
        *taken.entry(&other.time).or_default() += 1;
    }
    let mut left = Vec::new();
    for row in rows {
        match taken.get_mut(row.time.as_str()) {
            Some(count) if *count > 0 => *count -= 1,
            _ => left.push(row.clone()),
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(times: &[&str]) -> Vec<Row> {
        times.iter().map(|time| Row { key: None, time: (*time).to_owned() }).collect()
    }

    #[test]
    fn rows_without_a_counterpart_are_shown() {
        let sample = Sample::of(rows(&["1", "2", "2", "3"]), rows(&["2", "3", "4"]));
        assert_eq!(sample, Sample { rows: "unmatched", prisma: rows(&["1", "2"]), mirror: rows(&["4"]) });
    }

    #[test]
    fn of_too_many_the_first_are_shown() {
        let many = vec!["1"; MOST_ROWS];
        let sample = Sample::of(rows(&many), rows(&["1"]));
        assert_eq!((sample.rows, sample.prisma.len(), sample.mirror.len()), ("first", SHOWN, 1));
    }
}
