//! Rows of a mirror that another server holds, page by page in the order of one key column: what is left over in each page is brought together here.

use std::collections::BTreeMap;

use crate::parity::by_row::difference::{Difference, Differences, Kind, MOST_TAKEN};
use crate::parity::by_row::mapping::{Compared, Mapping};

/// Rows of a page, which is what Supabase gives at most.
pub const PAGE: usize = 1_000;

/// Rows that are fetched at most.
pub const MOST_FETCHED: u64 = 200_000;

/// The key's first column whose values stand in one order everywhere, unless a column holds what JSON cannot.
pub fn column(mapping: &Mapping) -> Option<&Compared> {
    let readable = mapping.key.iter().chain(&mapping.values).all(|column| column.common.is_in_json());
    mapping.key.iter().find(|key| key.common.ordered().is_some()).filter(|_| readable)
}

/// What all pages came to. A row whose time was rounded over the end of its page is left over in two: it finds its partner here.
#[derive(Debug, Default)]
pub struct Pages {
    found: Differences,
    missing: BTreeMap<String, Vec<Difference>>,
    extra: BTreeMap<String, Vec<Difference>>,
}

impl Pages {
    pub fn add(&mut self, page: Differences) {
        let found = &mut self.found;
        found.missing += page.missing;
        found.extra += page.extra;
        found.changed += page.changed;
        found.columns.resize(page.columns.len(), 0);
        found.columns.iter_mut().zip(&page.columns).for_each(|(all, rows)| *all += rows);
        for difference in page.listed {
            match difference.kind {
                Kind::Changed if self.found.listed.len() < MOST_TAKEN => self.found.listed.push(difference),
                Kind::Changed => {}
                Kind::Missing | Kind::Extra => self.leave(difference),
            }
        }
    }

    fn leave(&mut self, difference: Difference) {
        let (same, other) = match difference.kind {
            Kind::Extra => (&mut self.extra, &mut self.missing),
            _ => (&mut self.missing, &mut self.extra),
        };
        let partner = other.get_mut(&difference.identity).and_then(|left| {
            let at =
                left.iter().position(|it| it.rows == 1 && difference.rows == 1 && it.digest == difference.digest)?;
            Some(left.swap_remove(at))
        });
        match partner {
            Some(_) => {
                self.found.missing -= 1;
                self.found.extra -= 1;
            }
            None if same.len() < MOST_TAKEN => same.entry(difference.identity.clone()).or_default().push(difference),
            None => {}
        }
    }

    /// All of them, of as many rows of Prisma's.
    pub fn found(mut self, prisma: u64) -> Differences {
        let left = self.missing.into_values().chain(self.extra.into_values()).flatten();
        self.found.listed.extend(left);
        self.found.partners = prisma.saturating_sub(self.found.missing);
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(kind: Kind, identity: &str, digest: &str) -> Differences {
        let listed = Difference {
            kind,
            identity: identity.to_owned(),
            key: None,
            time: None,
            rows: 1,
            digest: digest.to_owned(),
            columns: Vec::new(),
        };
        let mut found = Differences { listed: vec![listed], ..Differences::default() };
        match kind {
            Kind::Missing => found.missing = 1,
            Kind::Extra => found.extra = 1,
            Kind::Changed => found.changed = 1,
        }
        found
    }

    #[test]
    fn a_row_that_two_pages_share_is_the_same_row() {
        let mut pages = Pages::default();
        for (kind, identity, digest) in [
            (Kind::Extra, "a", "1"),
            (Kind::Missing, "a", "1"),
            (Kind::Missing, "b", "1"),
            (Kind::Extra, "b", "2"),
            (Kind::Changed, "c", ""),
        ] {
            pages.add(page(kind, identity, digest));
        }
        let found = pages.found(10);
        assert_eq!((found.missing, found.extra, found.changed, found.partners), (1, 1, 1, 9));
        let left: Vec<&str> = found.listed.iter().map(|it| it.identity.as_str()).collect();
        assert_eq!(left, ["c", "b", "b"]);
    }
}
