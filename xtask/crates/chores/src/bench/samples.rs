//! What was measured several times: its median and its spread, alone or against something else's.

use std::fmt;

#[derive(Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    pub fn extend(&mut self, samples: impl IntoIterator<Item = f64>) {
        self.0.extend(samples);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    pub fn range(&self) -> (f64, f64) {
        (self.0.iter().copied().fold(f64::INFINITY, f64::min), self.0.iter().copied().fold(0.0, f64::max))
    }

    /// Pair by pair: `ratio: median 0.65, from 0.58 to 0.73`.
    pub fn ratio_to(&self, base: &Samples) -> String {
        let ratios = Samples(self.0.iter().zip(&base.0).map(|(sample, base)| sample / base).collect());
        let (least, most) = ratios.range();
        format!("ratio: median {:.2}, from {least:.2} to {most:.2}", ratios.median())
    }
}

/// As milliseconds.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.range();
        write!(f, "median {:.0} ms, from {least:.0} to {most:.0}", self.median())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_between_the_two_in_the_middle_and_a_ratio_is_one_of_pairs() {
        let (base, slower) = (Samples(vec![10.0, 40.0, 20.0]), Samples(vec![20.0, 20.0, 30.0]));
        assert_eq!(base.to_string(), "median 20 ms, from 10 to 40");
        assert_eq!(slower.ratio_to(&base), "ratio: median 1.50, from 0.50 to 2.00");
        assert_eq!(Samples(vec![1.0, 4.0, 2.0, 3.0]).median().to_string(), "2.5");
    }
}
