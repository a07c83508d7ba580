//! How long a statement takes where tables are as large as production's: measured where so many rows were made, else foretold.

use serde::{Deserialize, Serialize};

/// Of one statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Foretold {
    /// Of the largest table that it works on, in production.
    pub table: String,
    pub rows: u64,
    pub ms: f64,
    pub low_ms: f64,
    pub high_ms: f64,
    pub how: How,
    /// What was measured, from few rows to many.
    pub tried: Vec<Tried>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// With that many rows.
    Measured,
    Extrapolated,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    pub rows: u64,
    pub ms: f64,
}

impl Foretold {
    /// `about 40 s at 12 M rows (30 to 55 s, extrapolated from 100 k)`
    pub fn in_words(&self) -> String {
        let at = format!("about {} at {}", time(self.ms), rows(self.rows));
        match (self.how, self.tried.last()) {
            (How::Extrapolated, Some(last)) => {
                let (low, high) = range(self.low_ms, self.high_ms);
                format!("{at} rows ({low} to {high}, extrapolated from {})", rows(last.rows))
            }
            _ => format!("{at} rows (measured)"),
        }
    }
}

impl Foretold {
    /// By what it is known.
    pub fn known(&self) -> String {
        let how = if self.how == How::Measured { "measured with" } else { "foretold for" };
        format!("{how} {} rows of `{}`", rows(self.rows), self.table)
    }
}

/// In the unit of the longer one.
fn range(low: f64, high: f64) -> (String, String) {
    let high = time(high);
    let low = time(low);
    let unit = |text: &str| text.split_once(' ').map(|(_, unit)| unit.to_owned());
    let short = low.split(' ').next().unwrap_or_default().to_owned();
    if unit(&low) == unit(&high) { (short, high) } else { (low, high) }
}

/// No more exact than it is known: `0.3 s`, `40 s`, `12 min`.
pub fn time(ms: f64) -> String {
    let seconds = ms / 1000.0;
    match seconds {
        ..0.05 => format!("{:.0} ms", ms.max(1.0)),
        ..9.95 => format!("{seconds:.1} s"),
        ..119.5 => format!("{seconds:.0} s"),
        ..7170.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// `20`, `100 k`, `12 M`, `1.5 M`
pub fn rows(rows: u64) -> String {
    let short = |unit: u64, name: &str| match (rows as f64 / unit as f64 * 10.0).round() {
        tenths if tenths % 10.0 == 0.0 || tenths >= 1000.0 => format!("{:.0} {name}", (tenths / 10.0).round()),
        tenths => format!("{:.1} {name}", tenths / 10.0),
    };
    match rows {
        0..1_000 => rows.to_string(),
        1_000..999_500 => short(1_000, "k"),
        999_500..999_500_000 => short(1_000_000, "M"),
        _ => short(1_000_000_000, "G"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_no_more_exactly_than_it_is_known() {
        let foretold = |ms: f64, rows, how, last| Foretold {
            table: "public.Session".to_owned(),
            rows,
            ms,
            low_ms: ms * 0.75,
            high_ms: ms * 1.4,
            how,
            tried: vec![Tried { rows: 1, ms: 1.0 }, Tried { rows: last, ms: 1.0 }],
        };
        let said = [
            foretold(40_123.0, 12_000_000, How::Extrapolated, 100_000),
            foretold(900.4, 1_250_000, How::Extrapolated, 99_980),
            foretold(110_000.0, 12_345_678, How::Extrapolated, 100_000),
            foretold(9_000_000.0, 2_000_000_000, How::Extrapolated, 50_000),
            foretold(312.0, 80_000, How::Measured, 80_000),
            foretold(0.2, 999, How::Measured, 999),
        ]
        .map(|one| one.in_words());
        insta::assert_snapshot!(said.join("\n"), @r"
        about 40 s at 12 M rows (30 to 56 s, extrapolated from 100 k)
        about 0.9 s at 1.3 M rows (0.7 to 1.3 s, extrapolated from 100 k)
        about 110 s at 12.3 M rows (82 s to 3 min, extrapolated from 100 k)
        about 2.5 h at 2 G rows (112 min to 3.5 h, extrapolated from 50 k)
        about 0.3 s at 80 k rows (measured)
        about 1 ms at 999 rows (measured)
        ");
    }
}
