//! Where two sides differ: counts of days, then of the hours of the days that differ, then of the minutes of those
//! hours.
//!
//! Each level is one question to each side, over the few stretches that the level above left. It goes down only where
//! that narrows: a loss that is spread over a month is a fact about the month, and a list of its minutes would hide
//! that.

use std::cmp::Reverse;

use serde::Serialize;

use crate::parity::place::{Place, places};
use crate::parity::time::{Bucket, Range, Second, Width};

/// Most counts that a side gives for one question: eleven years of days. Of more, the newest are looked at.
pub const MOST_BUCKETS: usize = 4096;

/// Most days and most hours whose parts are looked at; with more that differ about as much, the difference is spread
/// and not in places.
const MOST_DAYS: usize = 16;
const MOST_HOURS: usize = 48;

/// A bucket that differs by less than this part of the worst one is noise beside it, and is not looked into.
const NOISE: u64 = 4;

const ALL_TIME: Range = Range { from: Second::MIN, to: Second::MAX };

/// The buckets of one level, in order of time; empty ones are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    pub width: Width,
    pub buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// As far down as it was looked.
    pub levels: Vec<Level>,
    /// Every place that differs, the sharpest first, for it was the worst of its surroundings, and then the largest. A
    /// place that was looked into is there by its parts.
    pub places: Vec<Place>,
}

/// Both sides' counts by time as one list, in order. A side that gave `MOST_BUCKETS` may hold more before its first:
/// nothing is said of what is earlier.
pub fn merged(mut prisma: Vec<(Second, u64)>, mut mirror: Vec<(Second, u64)>) -> Vec<Bucket> {
    prisma.sort_unstable();
    mirror.sort_unstable();
    let horizon = [&prisma, &mirror].into_iter().filter(|side| side.len() >= MOST_BUCKETS).map(|side| side[0].0).max();
    let mut buckets = Vec::with_capacity(prisma.len().max(mirror.len()));
    let (mut left, mut right) = (prisma.into_iter().peekable(), mirror.into_iter().peekable());
    while let Some(start) = left.peek().into_iter().chain(right.peek()).map(|(start, _)| *start).min() {
        let rows = |side: &mut std::iter::Peekable<std::vec::IntoIter<(Second, u64)>>| {
            side.next_if(|(at, _)| *at == start).map_or(0, |(_, rows)| rows)
        };
        buckets.push(Bucket { start, prisma: rows(&mut left), mirror: rows(&mut right) });
    }
    buckets.retain(|bucket| horizon.is_none_or(|horizon| bucket.start >= horizon));
    buckets
}

/// `ask` counts both sides by buckets of a width within stretches of time (all time, where none is given).
///
/// # Errors
/// Those of `ask`.
pub fn locate<E>(mut ask: impl FnMut(Width, &[Range]) -> Result<Vec<Bucket>, E>) -> Result<Located, E> {
    let mut located = Located { levels: Vec::new(), places: Vec::new() };
    let mut stretches = vec![ALL_TIME];
    for width in [Width::Day, Width::Hour, Width::Minute] {
        let buckets = ask(width, if width == Width::Day { &[] } else { &stretches })?;
        let culprits = culprits(&buckets, width);
        for stretch in stretches {
            let within = buckets.iter().filter(|bucket| (stretch.from..stretch.to).contains(&bucket.start));
            located.places.extend(places(within, width, &culprits));
        }
        stretches = joined(&culprits, width);
        located.levels.push(Level { width, buckets });
        if stretches.is_empty() {
            break;
        }
    }
    let sharpest = |place: &Place| (place.width.seconds(), Reverse(place.delta().unsigned_abs()), place.range.from);
    located.places.sort_by_key(sharpest);
    Ok(located)
}

/// The buckets that are worth looking into, in order of time: those that differ most, and their neighbours that differ
/// in the same direction, since a stretch begins and ends in the midst of an hour.
fn culprits(buckets: &[Bucket], width: Width) -> Vec<Second> {
    let most = match width {
        Width::Day => MOST_DAYS,
        Width::Hour => MOST_HOURS,
        Width::Minute => 0,
    };
    let worst = buckets.iter().map(|bucket| bucket.delta().unsigned_abs()).max().unwrap_or(0);
    let loud = |bucket: &Bucket| bucket.delta() != 0 && bucket.delta().unsigned_abs() * NOISE >= worst;
    if buckets.iter().filter(|bucket| loud(bucket)).count() > most {
        return Vec::new();
    }
    let near = |bucket: &Bucket, other: &Bucket| {
        loud(other)
            && other.delta().signum() == bucket.delta().signum()
            && other.start.abs_diff(bucket.start) == width.seconds().unsigned_abs()
    };
    let meant = |&at: &usize| {
        let bucket = &buckets[at];
        let around = buckets[at.saturating_sub(1)..].iter().take(3);
        bucket.delta() != 0 && (loud(bucket) || around.into_iter().any(|other| near(bucket, other)))
    };
    (0..buckets.len()).filter(meant).map(|at| buckets[at].start).collect()
}

/// Neighbours as one stretch.
fn joined(starts: &[Second], width: Width) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for &from in starts {
        let to = from + width.seconds();
        match ranges.last_mut() {
            Some(last) if last.to == from => last.to = to,
            _ => ranges.push(Range { from, to }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;

    /// A noon, so that days, hours and minutes all have something before and after.
    const NOON: Second = 1_760_011_200;

    /// Rows at seconds, on both sides.
    #[derive(Default)]
    struct World {
        prisma: Vec<Second>,
        mirror: Vec<Second>,
        questions: usize,
    }

    impl World {
        /// One row every `every` seconds for `days` days from noon on; the mirror lacks those that `lost` names.
        fn new(days: i64, every: usize, lost: impl Fn(Second) -> bool) -> World {
            let prisma: Vec<Second> = (NOON..NOON + days * 86_400).step_by(every).collect();
            let mirror = prisma.iter().copied().filter(|&at| !lost(at - NOON)).collect();
            World { prisma, mirror, questions: 0 }
        }

        fn locate(&mut self) -> Located {
            let count = |rows: &[Second], width: Width, ranges: &[Range]| {
                let mut counts = BTreeMap::new();
                let meant = |at: Second| ranges.is_empty() || ranges.iter().any(|r| (r.from..r.to).contains(&at));
                for &at in rows.iter().filter(|&&at| meant(at)) {
                    *counts.entry(at.div_euclid(width.seconds()) * width.seconds()).or_default() += 1;
                }
                counts.into_iter().collect()
            };
            let located = locate(|width, ranges| {
                self.questions += 1;
                Ok::<_, Infallible>(merged(count(&self.prisma, width, ranges), count(&self.mirror, width, ranges)))
            });
            located.unwrap()
        }
    }

    fn told(located: &Located) -> Vec<(Second, Second, i64)> {
        let of = |place: &Place| (place.range.from - NOON, place.range.to - NOON, place.delta());
        located.places.iter().map(of).collect()
    }

    #[test]
    fn a_hole_is_found_to_the_minute_with_one_question_a_level() {
        let mut world = World::new(30, 20, |at| (7_500..7_800).contains(&at));
        let located = world.locate();
        assert_eq!(told(&located), [(7_500, 7_800, -15)]);
        assert_eq!((world.questions, located.levels.len()), (3, 3));
    }

    #[test]
    fn a_hole_is_found_beside_noise_on_every_day() {
        let mut world = World::new(30, 20, |at| (7_500..7_800).contains(&at) || at % 86_400 == 40_000);
        let located = world.locate();
        assert_eq!(told(&located)[..1], [(7_500, 7_800, -15)]);
        let delta = world.mirror.len() as i64 - world.prisma.len() as i64;
        assert_eq!(located.places.iter().map(Place::delta).sum::<i64>(), delta, "what is noise is told too");
    }

    #[test]
    fn a_loss_on_every_day_is_told_as_one_stretch_of_days() {
        let mut world = World::new(30, 100, |at| at % 6_700 == 0);
        let located = world.locate();
        assert_eq!((world.questions, located.places.len()), (1, 1));
        assert_eq!(located.places[0].delta(), world.mirror.len() as i64 - world.prisma.len() as i64);
    }

    #[test]
    fn what_the_mirror_has_too_much_is_a_place_of_its_own() {
        let mut world = World::new(3, 60, |at| (0..120).contains(&at));
        world.mirror.extend([NOON + 3_600, NOON + 3_601, NOON + 3_602]);
        let located = world.locate();
        assert_eq!(told(&located), [(3_600, 3_660, 3), (0, 120, -2)]);
    }

    #[test]
    fn a_place_reaches_over_midnight() {
        let midnight = 43_200;
        let mut world = World::new(3, 30, |at| (midnight - 120..midnight + 180).contains(&at));
        assert_eq!(told(&world.locate()), [(midnight - 120, midnight + 180, -10)]);
    }

    #[test]
    fn the_ends_of_a_long_stretch_are_found_to_the_minute_though_rows_are_rare() {
        let (from, to) = (43_200 - 900, 43_200 + 30 * 3_600 + 420);
        let mut world = World::new(9, 210, |at| (from..to).contains(&at));
        let located = world.locate();
        let [place] = located.places.as_slice() else { panic!("{:?}", located.places) };
        let ends = [place.range.from - NOON - from, to - place.range.to + NOON];
        assert!(ends.into_iter().all(|off| off.abs() < 210), "no row lies between: {ends:?}");
        assert_eq!(place.delta(), world.mirror.len() as i64 - world.prisma.len() as i64);
    }

    #[test]
    fn some_rows_of_each_minute_are_one_loss_and_two_holes_are_two() {
        let mut some = World::new(3, 20, |at| (7_200..10_800).contains(&at) && at % 140 == 0);
        assert_eq!(told(&some.locate()), [(7_260, 10_800, -26)]);
        let mut two = World::new(3, 20, |at| (7_200..7_320).contains(&at) || (9_000..9_060).contains(&at));
        assert_eq!(told(&two.locate()), [(7_200, 7_320, -6), (9_000, 9_060, -3)]);
    }

    #[test]
    fn sides_that_are_equal_or_empty_differ_nowhere() {
        assert_eq!(World::new(3, 60, |_| false).locate().places, []);
        assert_eq!(World::default().locate().places, []);
        let mut nothing_mirrored = World::new(1, 3_600, |_| true);
        assert_eq!(nothing_mirrored.locate().places.iter().map(Place::delta).sum::<i64>(), -24);
    }

    #[test]
    fn times_before_1970_are_times_too() {
        let mut world = World { prisma: vec![-1, -61, -61], mirror: vec![-1], questions: 0 };
        let located = world.locate();
        assert_eq!(located.places[0].range, Range { from: -120, to: -60 });
    }

    #[test]
    fn beyond_the_most_that_a_side_may_say_nothing_is_claimed() {
        let many: Vec<(Second, u64)> = (0..MOST_BUCKETS as i64).map(|day| (day * 86_400, 1)).collect();
        let older = vec![(-86_400, 1), (86_400, 1)];
        let buckets = merged(many, older);
        assert_eq!(buckets.len(), MOST_BUCKETS);
        assert_eq!(buckets[0], Bucket { start: 0, prisma: 1, mirror: 0 });
    }
}
