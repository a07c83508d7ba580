//! Which stretches of a key hold other numbers of rows on the two sides: found by halves, as long as the counts of a half differ. Of a table with more
//! rows than are fetched, these are looked into.

/// Where a stretch ends and the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Border {
    /// The first value of the next, in the server's words.
    pub value: String,
    /// Prisma's rows that lie before it.
    pub before: u64,
}

/// At least `from`, below `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uneven {
    pub from: Option<String>,
    pub to: Option<String>,
    /// The mirror's.
    pub rows: u64,
}

/// Of the stretches that `borders` make, in order; `ask` counts the mirror's rows from a value on, below another. One with a row too few and one
/// too many is even.
///
/// # Errors
/// Those of `ask`.
pub fn uneven<E>(
    borders: &[Border],
    (prisma, mirror): (u64, u64),
    ask: &mut impl FnMut(Option<&str>, &str) -> Result<u64, E>,
) -> Result<Vec<Uneven>, E> {
    let all = Half { borders, from: None, to: None, before: 0, prisma, rows: mirror };
    let mut found = Vec::new();
    all.look(ask, &mut found)?;
    Ok(found)
}

/// Some stretches in a row.
struct Half<'a> {
    /// Within it.
    borders: &'a [Border],
    from: Option<&'a str>,
    to: Option<&'a str>,
    /// Prisma's rows before it and in it, and the mirror's in it.
    before: u64,
    prisma: u64,
    rows: u64,
}

impl Half<'_> {
    fn look<E>(
        self,
        ask: &mut impl FnMut(Option<&str>, &str) -> Result<u64, E>,
        found: &mut Vec<Uneven>,
    ) -> Result<(), E> {
        if self.prisma == self.rows {
            return Ok(());
        }
        let middle = self.borders.len() / 2;
        let Some(border) = self.borders.get(middle) else {
            let owned = |value: Option<&str>| value.map(str::to_owned);
            found.push(Uneven { from: owned(self.from), to: owned(self.to), rows: self.rows });
            return Ok(());
        };
        let rows = ask(self.from, &border.value)?;
        let prisma = border.before.saturating_sub(self.before);
        let value = Some(border.value.as_str());
        let lower = Half { borders: &self.borders[..middle], to: value, prisma, rows, ..self };
        // Not asked for: what is left is above, and so is what has no value.
        let upper = Half {
            borders: &self.borders[middle + 1..],
            from: value,
            before: border.before,
            prisma: self.prisma.saturating_sub(prisma),
            rows: self.rows.saturating_sub(rows),
            ..self
        };
        lower.look(ask, found)?;
        upper.look(ask, found)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// Prisma has the numbers below `prisma`, with a border at each tenth.
    fn borders(prisma: u64) -> Vec<Border> {
        (1..=prisma.saturating_sub(1) / 10).map(|at| Border { value: (at * 10).to_string(), before: at * 10 }).collect()
    }

    fn of(prisma: u64, mirror: &[u64]) -> (Vec<Uneven>, usize) {
        let mut asked = 0;
        let mut ask = |from: Option<&str>, to: &str| {
            asked += 1;
            let from = from.map_or(0, |from| from.parse().unwrap());
            let to: u64 = to.parse().unwrap();
            Ok::<_, Infallible>(mirror.iter().filter(|row| (from..to).contains(row)).count() as u64)
        };
        let Ok(found) = uneven(&borders(prisma), (prisma, mirror.len() as u64), &mut ask);
        (found, asked)
    }

    fn stretch(from: Option<u64>, to: Option<u64>, rows: u64) -> Uneven {
        let text = |value: Option<u64>| value.map(|value| value.to_string());
        Uneven { from: text(from), to: text(to), rows }
    }

    #[test]
    fn a_lost_row_is_found_in_as_many_questions_as_halves() {
        let mirror: Vec<u64> = (0..100_000).filter(|row| *row != 77_777).collect();
        let (found, asked) = of(100_000, &mirror);
        assert_eq!(found, [stretch(Some(77_770), Some(77_780), 9)]);
        assert!(asked <= 14, "{asked}");
        assert_eq!(of(100_000, &(0..100_000).collect::<Vec<_>>()), (Vec::new(), 0));
    }

    #[test]
    fn what_lies_outside_of_prismas_rows_is_in_the_first_stretch_or_the_last() {
        let mirror: Vec<u64> = (0..30).chain([40, 50]).collect();
        assert_eq!(of(30, &mirror).0, [stretch(Some(20), None, 12)]);
        assert_eq!(of(5, &[]).0, [stretch(None, None, 0)], "without borders it is one");
    }

    proptest! {
        #[test]
        fn only_what_differs_is_found_and_something_where_the_sums_differ(lost in proptest::collection::btree_set(0_u64..200, 0..30), doubled in 0_u64..200) {
            let mut mirror: Vec<u64> = (0..200).filter(|row| !lost.contains(row)).collect();
            mirror.extend((mirror.len() != 200).then_some(doubled));
            let all = mirror.len() as u64;
            let wanted: Vec<Uneven> = (0..20).filter_map(|at| {
                let (from, to) = (at * 10, at * 10 + 10);
                let rows = mirror.iter().filter(|row| (from..to).contains(*row)).count() as u64;
                (rows != 10).then(|| stretch((at > 0).then_some(from), (at < 19).then_some(to), rows))
            }).collect();
            let found = of(200, &mirror).0;
            // Halves that cancel out are even.
            prop_assert!(found.iter().all(|one| wanted.contains(one)));
            prop_assert!(all == 200 || !found.is_empty());
        }
    }
}
