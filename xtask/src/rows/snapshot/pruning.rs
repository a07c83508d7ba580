//! Which snapshots go after a new one was taken: those older than 30 days. But the newest ten that hold rows stay, and the one with the most
//! rows: after a reset that was run again and again, the newest are the emptiest.

const KEEP_NEWEST: usize = 10;
const KEEP_DAYS: i64 = 30;

/// A snapshot as the rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    pub days: i64,
    /// Rows that it can put back; none where it was cut short.
    pub rows: u64,
}

/// For each of a list from new to old, whether it goes.
pub fn expired(list: &[Candidate]) -> Vec<bool> {
    let most = list.iter().map(|one| one.rows).max().unwrap_or_default();
    let fullest = list.iter().position(|one| one.rows == most && most > 0);
    let mut with_rows = 0;
    let goes = |(index, one): (usize, &Candidate)| {
        with_rows += usize::from(one.rows > 0);
        let among_newest = one.rows > 0 && with_rows <= KEEP_NEWEST;
        !among_newest && fullest != Some(index) && one.days >= KEEP_DAYS
    };
    list.iter().enumerate().map(goes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(i64, u64)]) -> Vec<bool> {
        expired(&list.iter().map(|&(days, rows)| Candidate { days, rows }).collect::<Vec<_>>())
    }

    #[test]
    fn the_newest_ten_with_rows_and_everything_young_stay() {
        let old = |count| vec![(90, 5); count];
        assert_eq!(of(&old(1)), [false], "the only one");
        assert_eq!(of(&old(12)), [vec![false; 10], vec![true; 2]].concat());
        assert_eq!(of(&[(29, 5); 20]), [false; 20]);
        assert_eq!(of(&[vec![(0, 5); 3], vec![(40, 0)], old(1)].concat()), [false, false, false, true, false]);
    }

    #[test]
    fn the_last_one_with_rows_stays_however_many_empty_ones_came_after_it() {
        let mut list = vec![(0, 0); 12];
        list.push((400, 1));
        assert!(!of(&list)[12]);
    }

    #[test]
    fn the_fullest_stays_however_many_resets_with_a_few_rows_came_after_it() {
        let mut list = vec![(0, 3); 12];
        list.extend([(400, 65_650), (500, 65_650), (600, 7)]);
        assert_eq!(of(&list)[12..], [false, true, true]);
    }

    #[test]
    fn a_clock_that_was_ahead_makes_nothing_go() {
        assert_eq!(of(&[(0, 5), (-60, 0)]), [false, false]);
    }
}
