//! A stretch of time in which the two sides differ, and the sentence that tells it to a person.

use serde::Serialize;

use crate::parity::time::{Bucket, Range, Second, Width, instant};

/// Sentences for one pair; what is beyond is summed up.
const MOST_SENTENCES: usize = 3;

/// Places that one stretch is told by; with more of them the stretch itself is the place.
const MOST_APART: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    #[serde(flatten)]
    pub range: Range,
    pub width: Width,
    /// How many buckets of that width differ between its ends.
    pub buckets: u64,
    /// Whether every row of it is in a bucket that differs.
    pub throughout: bool,
    pub prisma: u64,
    pub mirror: u64,
}

impl Place {
    /// Negative where the mirror has fewer.
    pub fn delta(&self) -> i64 {
        self.mirror as i64 - self.prisma as i64
    }

    /// `17 rows are missing from the mirror between 14:05 and 14:10 on 9 October 2026 (UTC)`
    pub fn in_words(&self) -> String {
        let rows = self.delta().unsigned_abs();
        let what = match (self.delta() < 0, rows) {
            (true, 1) => "1 row is missing from the mirror".to_owned(),
            (true, _) => format!("{rows} rows are missing from the mirror"),
            (false, 1) => "the mirror has 1 row too many".to_owned(),
            (false, _) => format!("the mirror has {rows} rows too many"),
        };
        let some = match self.throughout {
            true => String::new(),
            false => format!(" in {} {}s", self.buckets, self.width.word()),
        };
        format!("{what}{some} {} (UTC)", when(self.range, self.width))
    }

    fn starting(bucket: &Bucket, width: Width) -> Place {
        let range = Range { from: bucket.start, to: bucket.start + width.seconds() };
        Place { range, width, buckets: 1, throughout: true, prisma: bucket.prisma, mirror: bucket.mirror }
    }

    fn differs_as(&self, bucket: &Bucket) -> bool {
        (bucket.delta() < 0) == (self.delta() < 0)
    }

    /// Grows over a later place, and what lies between.
    fn take(&mut self, later: &Place) {
        self.range.to = later.range.to;
        self.buckets += later.buckets;
        self.prisma += later.prisma;
        self.mirror += later.mirror;
    }
}

/// What differs in the buckets of one stretch, but for those that are looked into.
///
/// Buckets that differ in the same direction are one place unless one that does not differ lies between. Where that
/// leaves more than a few, it is a loss of some rows here and there, and one place as long as all of them.
pub fn places<'a>(buckets: impl Iterator<Item = &'a Bucket>, width: Width, looked_into: &[Second]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut open = false;
    for bucket in buckets {
        let differs = bucket.delta() != 0 && !looked_into.contains(&bucket.start);
        match places.last_mut() {
            Some(last) if differs && open && last.differs_as(bucket) => last.take(&Place::starting(bucket, width)),
            _ if differs => places.push(Place::starting(bucket, width)),
            _ => {}
        }
        open = differs;
    }
    let (fewer, more) = places.into_iter().partition(|place| place.delta() < 0);
    few(fewer).into_iter().chain(few(more)).collect()
}

fn few(places: Vec<Place>) -> Vec<Place> {
    if places.len() <= MOST_APART {
        return places;
    }
    let whole = places.into_iter().reduce(|mut whole, later| {
        whole.take(&later);
        Place { throughout: false, ..whole }
    });
    whole.into_iter().collect()
}

/// Sentences for `places`, the worst first; `delta` is the pair's whole difference.
pub fn in_words(places: &[Place], delta: i64) -> Vec<String> {
    let told = places.len().min(MOST_SENTENCES);
    let mut sentences: Vec<String> = places[..told].iter().map(Place::in_words).collect();
    let rest: u64 = places[told..].iter().map(|place| place.delta().unsigned_abs()).sum();
    if rest > 0 {
        sentences.push(format!("{rest} more in {} other places; parity.json has them all", places.len() - told));
    }
    let elsewhere = delta - places.iter().map(Place::delta).sum::<i64>();
    if elsewhere != 0 {
        let rows = elsewhere.unsigned_abs();
        sentences.push(format!("{rows} rows of the difference have no time, or are older than what was looked at"));
    }
    sentences
}

fn when(range: Range, width: Width) -> String {
    let last = range.to - 1;
    let one_day = date(range.from) == date(last);
    match (width, one_day) {
        (Width::Day, true) => format!("on {}", date(range.from)),
        (Width::Day, false) => format!("from {} to {}", date(range.from), date(last)),
        (_, true) => format!("between {} and {} on {}", clock(range.from), end_of_day(range.to), date(range.from)),
        (_, false) => format!(
            "between {} on {} and {} on {}",
            clock(range.from),
            date(range.from),
            end_of_day(range.to),
            date(last)
        ),
    }
}

/// `9 October 2026`
pub fn date(second: Second) -> String {
    instant(second).strftime("%-d %B %Y").to_string()
}

/// `14:05`
pub fn clock(second: Second) -> String {
    instant(second).strftime("%H:%M").to_string()
}

/// As `clock`; the end of a day is its own, not the next one's beginning.
fn end_of_day(second: Second) -> String {
    let clock = clock(second);
    if clock == "00:00" { "24:00".to_owned() } else { clock }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 9 October 2026, 00:00 UTC.
    const DAY: Second = 1_791_504_000;

    fn place(from: Second, to: Second, width: Width, prisma: u64, mirror: u64) -> Place {
        let buckets = ((to - from) / width.seconds()) as u64;
        Place { range: Range { from: DAY + from, to: DAY + to }, width, buckets, throughout: true, prisma, mirror }
    }

    #[test]
    fn a_place_is_told_in_the_words_of_its_width() {
        let hour = 3_600;
        let words = |from, to, width, prisma, mirror| place(from, to, width, prisma, mirror).in_words();
        assert_eq!(
            words(14 * hour + 300, 14 * hour + 600, Width::Minute, 60, 43),
            "17 rows are missing from the mirror between 14:05 and 14:10 on 9 October 2026 (UTC)"
        );
        assert_eq!(
            words(23 * hour, 24 * hour, Width::Hour, 1, 0),
            "1 row is missing from the mirror between 23:00 and 24:00 on 9 October 2026 (UTC)"
        );
        assert_eq!(
            words(24 * hour - 60, 24 * hour + 60, Width::Minute, 0, 1),
            "the mirror has 1 row too many between 23:59 on 9 October 2026 and 00:01 on 10 October 2026 (UTC)"
        );
        assert_eq!(words(0, 24 * hour, Width::Day, 0, 2), "the mirror has 2 rows too many on 9 October 2026 (UTC)");
        assert_eq!(
            words(0, 72 * hour, Width::Day, 9, 0),
            "9 rows are missing from the mirror from 9 October 2026 to 11 October 2026 (UTC)"
        );
        let some = Place { buckets: 12, throughout: false, ..place(120, 3_420, Width::Minute, 100, 83) };
        assert_eq!(
            some.in_words(),
            "17 rows are missing from the mirror in 12 minutes between 00:02 and 00:57 on 9 October 2026 (UTC)"
        );
    }

    #[test]
    fn what_is_not_told_in_full_is_summed_up() {
        let places: Vec<Place> =
            (0..5).map(|hour| place(hour * 7_200, hour * 7_200 + 60, Width::Minute, 2, 1)).collect();
        let sentences = in_words(&places, -7);
        assert_eq!(sentences.len(), 5);
        assert_eq!(sentences[3], "2 more in 2 other places; parity.json has them all");
        assert_eq!(sentences[4], "2 rows of the difference have no time, or are older than what was looked at");
    }
}
