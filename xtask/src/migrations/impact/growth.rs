//! How long a statement takes at a size that was not tried, from its times at smaller ones: a moment that is always there, and a part that
//! grows with the rows. Pure.

/// How the growing part grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// A table is read once.
    Linear,
    /// Rows are read and written, and each finds its place among the others of an index.
    Sorting,
    /// Rows of one table are looked up among those of another one, which are the farther away the more there are.
    Joining,
}

/// A time at a number of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub rows: u64,
    pub ms: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub ms: f64,
    pub low_ms: f64,
    pub high_ms: f64,
}

/// How far off a time may be that was not measured, as `cargo chore bench production` finds: large tables are in no cache of the processor's, so it is
/// rather too short than too long.
const MARGIN: [f64; 2] = [1.0 / 1.3, 1.5];

/// What does not depend on how many others there are, against the logarithm of how many there are: half of the work at 100,000.
const READ_AND_WRITTEN: f64 = 11.5;

/// A join grows by this power of the rows, at least by the first of the others and at most by the second.
const JOIN: f64 = 1.3;
const JOINS: [f64; 2] = [1.0, 1.4];

/// A power of the number of rows that neither law nor noise explains.
const STEEP: f64 = 1.3;

impl Law {
    fn grown(self, rows: u64) -> f64 {
        let rows = rows as f64;
        match self {
            Law::Linear => rows,
            Law::Sorting => rows * (READ_AND_WRITTEN + rows.max(2.0).ln()),
            Law::Joining => rows.powf(JOIN),
        }
    }

    /// None without a point.
    pub fn estimate(self, points: &[Point], rows: u64) -> Option<Estimate> {
        let points = &falling_left(points);
        let last = points.last()?;
        let at = |points: &[Point]| self.at(points, rows);
        let ms = at(points);
        let without = |left_out: usize| {
            let rest = points.iter().enumerate().filter(|(number, _)| *number != left_out);
            at(&rest.map(|(_, point)| *point).collect::<Vec<_>>())
        };
        // What the points would say without any one of them, and the last one alone.
        let others = (0..points.len()).filter(|_| points.len() > 2).map(without);
        let power = |power: f64| last.ms * (rows as f64 / last.rows as f64).powf(power);
        let joins = JOINS.map(power).into_iter().filter(|_| self == Law::Joining);
        let steep = steepness(points).filter(|steep| *steep > STEEP).map(power);
        let all: Vec<f64> =
            others.chain([at(&[*last])]).chain(MARGIN.map(|margin| ms * margin)).chain(joins).chain(steep).collect();
        let (low_ms, high_ms) = (all.iter().copied().fold(ms, f64::min), all.iter().copied().fold(ms, f64::max));
        Some(Estimate { ms, low_ms, high_ms })
    }

    /// Least squares of relative errors: a small time counts as much as a large one. Neither part is less than nothing.
    fn at(self, points: &[Point], rows: u64) -> f64 {
        let mut sums = [0.0; 5];
        for point in points {
            let (one, grown) = (1.0 / point.ms.max(0.001), self.grown(point.rows) / point.ms.max(0.001));
            for (sum, value) in sums.iter_mut().zip([one * one, one * grown, grown * grown, one, grown]) {
                *sum += value;
            }
        }
        let [oo, og, gg, o, g] = sums;
        let determinant = oo * gg - og * og;
        let (moment, slope) = match determinant > 1e-9 * oo * gg {
            true => ((o * gg - g * og) / determinant, (g * oo - o * og) / determinant),
            false => (-1.0, 0.0),
        };
        let (moment, slope) = match (moment < 0.0, slope < 0.0) {
            (true, _) => (0.0, g / gg),
            (false, true) => (o / oo, 0.0),
            (false, false) => (moment, slope),
        };
        moment + slope * self.grown(rows)
    }
}

/// From few rows to many, none slower than one with more rows: what else the machine did meanwhile made it so.
fn falling_left(points: &[Point]) -> Vec<Point> {
    let mut points = points.to_vec();
    points.sort_by_key(|point| point.rows);
    let mut fastest = f64::INFINITY;
    for point in points.iter_mut().rev() {
        fastest = point.ms.min(fastest);
        point.ms = fastest;
    }
    points
}

/// The power of the rows by which the times have grown so far: a query for each row grows faster than any law here.
fn steepness(points: &[Point]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last().filter(|last| last.rows > points[0].rows)?);
    Some((last.ms / first.ms.max(0.001)).ln() / (last.rows as f64 / first.rows as f64).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(law: Law, moment: f64, slope: f64, noise: [f64; 3]) -> Vec<Point> {
        let sizes = [25_000, 50_000, 100_000].into_iter().zip(noise);
        sizes.map(|(rows, noise)| Point { rows, ms: (moment + slope * law.grown(rows)) * noise }).collect()
    }

    #[test]
    fn what_grows_by_a_law_is_foretold_by_it() {
        for law in [Law::Linear, Law::Sorting, Law::Joining] {
            for (moment, slope) in [(0.0, 1e-3), (5.0, 1e-3), (200.0, 1e-5)] {
                let estimate = law.estimate(&points(law, moment, slope, [1.0; 3]), 2_000_000).unwrap();
                let truth = moment + slope * law.grown(2_000_000);
                assert!((estimate.ms / truth - 1.0).abs() < 1e-6, "{law:?} {moment} {slope}: {estimate:?}, {truth}");
                assert!(estimate.low_ms < truth / 1.29 && estimate.high_ms > truth * 1.49);
            }
        }
    }

    #[test]
    fn a_part_that_grows_is_not_less_than_nothing_and_noise_widens_the_range() {
        let law = Law::Linear;
        let falling = law.estimate(&points(law, 10.0, 0.0, [1.5, 1.0, 0.9]), 2_000_000).unwrap();
        assert!((falling.ms - 9.0).abs() < 1e-6, "what was slower with less was disturbed: {falling:?}");
        let noisy = law.estimate(&points(law, 0.0, 1e-3, [1.0, 1.0, 2.0]), 2_000_000).unwrap();
        assert!(noisy.low_ms < 2_001.0 && noisy.high_ms > 3_990.0, "{noisy:?}");
    }

    #[test]
    fn what_grows_with_the_square_is_in_the_range() {
        let points = [25_000, 50_000, 100_000].map(|rows: u64| Point { rows, ms: (rows as f64).powi(2) * 1e-7 });
        let estimate = Law::Linear.estimate(&points, 1_000_000).unwrap();
        assert!((estimate.high_ms / 1e5 - 1.0).abs() < 1e-6, "{estimate:?}");
    }

    #[test]
    fn one_point_is_taken_in_proportion_and_none_says_nothing() {
        let one = [Point { rows: 1_000, ms: 5.0 }];
        let estimate = Law::Linear.estimate(&one, 4_000).unwrap();
        assert!((estimate.ms - 20.0).abs() < 1e-9, "{estimate:?}");
        assert_eq!(Law::Linear.estimate(&[], 4_000), None);
        let twice = [Point { rows: 1_000, ms: 4.0 }, Point { rows: 1_000, ms: 4.0 }];
        assert!((Law::Linear.estimate(&twice, 4_000).unwrap().ms - 16.0).abs() < 1e-9);
    }
}
