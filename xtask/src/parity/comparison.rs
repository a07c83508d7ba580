//! Two counts and the rule that judges them: the difference in percent of what Prisma holds.

use serde::{Deserialize, Serialize};

use crate::parity::by_row::verdict::RowVerdict;

/// All pairs at one moment: the key `parity` of `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub threshold_pct: f64,
    pub pairs: Vec<Compared>,
    pub source: Source,
}

/// How the mirror's side was counted; Prisma's is always counted by SQL. `sql` is for a mirror in the same database: one snapshot sees both.
/// `both` counts the mirror in both ways, and each of them must be within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Sql,
    Rest,
    Both,
}

/// What a pair came to. `delta` is negative where the mirror has fewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub name: String,
    pub prisma: u64,
    pub mirror: u64,
    pub delta: i64,
    pub diff_pct: f64,
    pub within: bool,
    /// The mirror over REST, where it was counted by SQL too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_rest: Option<u64>,
    /// Its rows, where they were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowVerdict>,
    /// Why they were not, or which alone were, where all were to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_not_compared: Option<String>,
}

impl Compared {
    pub fn new(name: &str, prisma: u64, mirror: u64, threshold_pct: f64) -> Compared {
        let diff_pct = diff_pct(prisma, mirror);
        Compared {
            name: name.to_owned(),
            prisma,
            mirror,
            delta: mirror as i64 - prisma as i64,
            diff_pct,
            within: diff_pct <= threshold_pct,
            mirror_rest: None,
            rows: None,
            rows_not_compared: None,
        }
    }

    /// The same, with the mirror's rows over REST, which must be within as well.
    pub fn with_rest(self, rows: u64, threshold_pct: f64) -> Compared {
        let within = self.within && diff_pct(self.prisma, rows) <= threshold_pct;
        Compared { within, mirror_rest: Some(rows), ..self }
    }

    /// The same, with its rows, which must be within as well.
    pub fn with_rows(self, rows: RowVerdict) -> Compared {
        Compared { within: self.within && rows.within, rows: Some(rows), ..self }
    }

    /// Whether there is a stretch of time in which rows are missing or extra: where values alone differ there is none.
    pub fn has_places(&self) -> bool {
        self.delta != 0
            || self.mirror_rest.is_some_and(|rows| rows != self.mirror)
            || self.rows.as_ref().is_some_and(RowVerdict::has_places)
    }

    /// Nothing on either side agrees with anything.
    pub fn is_empty(&self) -> bool {
        [Some(self.prisma), Some(self.mirror), self.mirror_rest].into_iter().flatten().all(|rows| rows == 0)
    }

    /// `view: Prisma has 400 rows, the mirror 394: 6 fewer, 1.50 %`
    pub fn in_words(&self) -> String {
        let Compared { name, prisma, mirror, .. } = self;
        if let Some(rows) = self.mirror_rest.filter(|rows| rows != mirror) {
            return format!("{name}: Prisma has {prisma}, the mirror {mirror} by SQL and {rows} over REST");
        }
        let much = match self.delta {
            0 if self.is_empty() => return format!("{name}: no rows on either side"),
            0 => return format!("{name}: {prisma} on both sides"),
            delta if delta < 0 => format!("{} fewer", delta.unsigned_abs()),
            delta => format!("{delta} more"),
        };
        format!("{name}: Prisma has {prisma}, the mirror {mirror}: {much}, {}", percent(self.diff_pct))
    }
}

impl Comparison {
    pub fn breaches(&self) -> impl Iterator<Item = &Compared> {
        self.pairs.iter().filter(|pair| !pair.within)
    }

    /// Whether values alone differ, and no pair is short of rows or has too many.
    pub fn differs_in_values_alone(&self) -> bool {
        self.breaches().all(|pair| {
            pair.rows
                .as_ref()
                .is_some_and(|rows| rows.diff_pct <= self.threshold_pct && pair.diff_pct <= self.threshold_pct)
        })
    }

    pub fn within(&self) -> bool {
        self.breaches().next().is_none()
    }

    /// Whether there was anything to compare.
    pub fn is_empty(&self) -> bool {
        self.pairs.iter().all(Compared::is_empty)
    }

    /// Of one that is within.
    pub fn in_words(&self) -> String {
        let (empty, compared): (Vec<_>, Vec<_>) = self.pairs.iter().partition(|pair| pair.is_empty());
        let said = |pairs: &[&Compared], [one, many]: [&str; 2], what: &str| {
            let names: Vec<String> = pairs.iter().map(|pair| format!("`{}`", pair.name)).collect();
            (!names.is_empty())
                .then(|| format!("{} {} {what}", names.join(", "), if names.len() == 1 { one } else { many }))
        };
        let within = said(&compared, ["is", "are"], &format!("within {} %", self.threshold_pct));
        let nothing = said(&empty, ["has", "have"], "no rows on either side, so nothing was compared");
        [within, nothing].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// The old probe's rule: |prisma - mirror| in percent of prisma; nothing against nothing is 0, nothing against something is 100.
///
/// Multiplied before it is divided, so that a difference of exactly one percent is exactly 1.
fn diff_pct(prisma: u64, mirror: u64) -> f64 {
    match (prisma, mirror) {
        (0, 0) => 0.0,
        (0, _) => 100.0,
        _ => prisma.abs_diff(mirror) as f64 * 100.0 / prisma as f64,
    }
}

/// To two places, and never `0.00 %` where there is a difference.
pub fn percent(value: f64) -> String {
    if value > 0.0 && value < 0.005 { "less than 0.01 %".to_owned() } else { format!("{value:.2} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prisma: u64, mirror: u64, threshold_pct: f64) -> (f64, bool) {
        let compared = Compared::new("view", prisma, mirror, threshold_pct);
        (compared.diff_pct, compared.within)
    }

    #[test]
    fn the_rule_is_that_of_the_old_probe() {
        assert_eq!(of(0, 0, 0.0), (0.0, true));
        assert_eq!(of(0, 1, 99.9), (100.0, false));
        assert_eq!(of(0, 1, 100.0), (100.0, true));
        assert_eq!(of(5, 0, 1.0), (100.0, false));
        assert_eq!(of(100, 250, 100.0), (150.0, false), "more than twice as much is more than 100 %");
        assert_eq!(of(400, 394, 1.0), (1.5, false));
    }

    #[test]
    fn exactly_the_threshold_is_within_and_one_row_more_is_not() {
        for rows in [100, 300, 700, 1_100, 9_999_900, 1 << 50] {
            let rows = rows / 100 * 100;
            assert!(of(rows, rows - rows / 100, 1.0).1, "{rows}");
            assert!(!of(rows, rows - rows / 100 - 1, 1.0).1, "{rows}");
            assert!(of(rows, rows + rows / 100, 1.0).1, "{rows}");
            assert!(!of(rows, rows + rows / 100 + 1, 1.0).1, "{rows}");
        }
    }

    #[test]
    fn nothing_against_nothing_is_told_and_is_no_agreement() {
        let told = |counts: &[(u64, u64)]| {
            let pairs = counts
                .iter()
                .zip(["a", "b", "c"])
                .map(|((prisma, mirror), name)| Compared::new(name, *prisma, *mirror, 1.0));
            Comparison { threshold_pct: 1.0, pairs: pairs.collect(), source: Source::Sql }.in_words()
        };
        assert_eq!(told(&[(5, 5)]), "`a` is within 1 %");
        assert_eq!(told(&[(0, 0)]), "`a` has no rows on either side, so nothing was compared");
        let mixed = "`a` is within 1 %; `b`, `c` have no rows on either side, so nothing was compared";
        assert_eq!(told(&[(7, 7), (0, 0), (0, 0)]), mixed);
        assert!(!Compared::new("a", 0, 0, 1.0).with_rest(3, 100.0).is_empty(), "REST sees rows");
    }

    #[test]
    fn a_difference_is_never_shown_as_none() {
        assert_eq!(percent(0.0), "0.00 %");
        assert_eq!(percent(0.001), "less than 0.01 %");
        let words = |prisma, mirror| Compared::new("view", prisma, mirror, 1.0).in_words();
        assert_eq!(words(400, 394), "view: Prisma has 400, the mirror 394: 6 fewer, 1.50 %");
        assert_eq!(words(400, 401), "view: Prisma has 400, the mirror 401: 1 more, 0.25 %");
        assert_eq!(words(0, 0), "view: no rows on either side");
    }
}
