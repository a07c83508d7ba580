//! By time, where a side says no more than how many rows a stretch holds: halves, and halves of halves, where they
//! differ from Prisma's.
//!
//! A stretch with as many rows as Prisma has in it is taken to hold them in the same buckets. So a row that is missing
//! and one too many cancel out within such a stretch; both sides by SQL see them apart. Few questions are the gain:
//! about two for each level of halves and place.

use crate::parity::time::{Range, Second, Width};

/// Most questions for one width of one pair: beyond, there are too many places to name them one by one.
pub const MOST_QUESTIONS: usize = 512;

/// Counts of one side by the first second of their bucket.
pub type Counts = Vec<(Second, u64)>;

/// The side's buckets of `width` within `stretch`, whose ends are buckets' ends. `prisma` is the other side, in order
/// of time; `ask` counts the rows of a stretch.
///
/// # Errors
/// Those of `ask`; it is asked to refuse after [`MOST_QUESTIONS`].
pub fn buckets<E>(
    prisma: &[(Second, u64)],
    width: Width,
    stretch: Range,
    ask: &mut impl FnMut(Range) -> Result<u64, E>,
) -> Result<Counts, E> {
    let rows = ask(stretch)?;
    let mut found = Counts::new();
    halve(prisma, width, stretch, rows, ask, &mut found)?;
    Ok(found)
}

fn halve<E>(
    prisma: &[(Second, u64)],
    width: Width,
    stretch: Range,
    rows: u64,
    ask: &mut impl FnMut(Range) -> Result<u64, E>,
    found: &mut Counts,
) -> Result<(), E> {
    let buckets = (stretch.to - stretch.from) / width.seconds();
    if rows == prisma.iter().map(|(_, rows)| rows).sum::<u64>() {
        found.extend(prisma);
    } else if rows > 0 && buckets <= 1 {
        found.push((stretch.from, rows));
    } else if rows > 0 {
        let middle = stretch.from + buckets / 2 * width.seconds();
        let (earlier, later) = prisma.split_at(prisma.partition_point(|(start, _)| *start < middle));
        let (first, second) = (Range { to: middle, ..stretch }, Range { from: middle, ..stretch });
        let rows_of_first = ask(first)?;
        halve(earlier, width, first, rows_of_first, ask, found)?;
        // What is not in the first half is in the second, unless a row came in between.
        halve(later, width, second, rows.saturating_sub(rows_of_first), ask, found)?;
    }
    Ok(())
}

/// The stretch that begins and ends with a bucket and holds every one of `seconds`.
pub fn around(seconds: impl IntoIterator<Item = Second> + Clone, width: Width) -> Option<Range> {
    let floor = |second: Second| second.div_euclid(width.seconds()) * width.seconds();
    let (first, last) = (seconds.clone().into_iter().min()?, seconds.into_iter().max()?);
    Some(Range { from: floor(first), to: floor(last) + width.seconds() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn found(prisma: &[(Second, u64)], mirror: &[Second], minutes: Second) -> (Counts, usize) {
        let mut questions = 0;
        let mut ask = |range: Range| {
            questions += 1;
            Ok::<_, Infallible>(mirror.iter().filter(|&&at| (range.from..range.to).contains(&at)).count() as u64)
        };
        let stretch = Range { from: 0, to: minutes * 60 };
        let counts = buckets(prisma, Width::Minute, stretch, &mut ask).unwrap();
        (counts, questions)
    }

    #[test]
    fn one_place_in_a_day_is_found_with_a_dozen_questions() {
        let prisma: Vec<(Second, u64)> = (0..1440).map(|minute| (minute * 60, 2)).collect();
        let mirror: Vec<Second> =
            (0..2880).map(|half| half * 30).filter(|at| !(845 * 60..846 * 60).contains(at)).collect();
        let (counts, questions) = found(&prisma, &mirror, 1440);
        let differs: Vec<_> = counts.iter().filter(|bucket| !prisma.contains(bucket)).collect();
        assert_eq!((differs.len(), counts.iter().map(|(_, rows)| rows).sum::<u64>()), (0, 2878), "{differs:?}");
        assert!(!counts.iter().any(|(start, _)| *start == 845 * 60));
        assert!(questions <= 13, "{questions}");
    }

    #[test]
    fn equal_sides_cost_one_question_and_an_empty_one_no_more() {
        let prisma = [(60, 3), (120, 1)];
        assert_eq!(found(&prisma, &[60, 61, 62, 120], 1440), (prisma.to_vec(), 1));
        assert_eq!(found(&prisma, &[], 1440), (vec![], 1));
    }

    #[test]
    fn rows_where_prisma_has_none_are_found_too() {
        let (counts, _) = found(&[(0, 1)], &[0, 600, 601], 1440);
        assert_eq!(counts, [(0, 1), (600, 2)]);
    }

    #[test]
    fn a_stretch_begins_and_ends_with_a_bucket() {
        assert_eq!(around([61, -1, 119], Width::Minute), Some(Range { from: -60, to: 120 }));
        assert_eq!(around([], Width::Day), None);
    }
}
