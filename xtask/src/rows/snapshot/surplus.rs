//! Which snapshots may go before their time, for whoever wants the room: all but the newest few with rows, the one with the most rows, and one with
//! the most rows of each table.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::rows::snapshot::copy::remove;
use crate::rows::snapshot::store::Kept;
use crate::rows::snapshot::{Listed, Manifest, Store};
use crate::session::Session;

/// A snapshot that may go, and its size, wherever that lies.
#[derive(Debug)]
pub struct Surplus {
    pub listed: Listed,
    pub bytes: u64,
    pub rows: u64,
}

impl Surplus {
    /// Whether its rows are in a database of the server.
    pub fn is_database(&self) -> bool {
        self.manifest().is_some_and(|manifest| manifest.database.is_some())
    }

    fn manifest(&self) -> Option<&Manifest> {
        if let Kept::Whole(manifest) = &self.listed.state { Some(manifest) } else { None }
    }
}

/// Those that the newest `keep` with rows leave over, but for those that are `needed`. What was cut short is for the next snapshot to remove.
///
/// # Errors
/// `blocked` when the store cannot be read.
pub fn surplus(store: &Store, keep: usize, needed: &BTreeSet<String>) -> Result<Vec<Surplus>> {
    let list = store.list()?;
    let rows: Vec<Option<Rows>> = list.iter().map(rows_of).collect();
    let stay = stay(&rows, keep);
    let going =
        list.into_iter().zip(rows).zip(stay).filter(|((listed, _), stays)| !stays && !needed.contains(&listed.name));
    Ok(going.map(|((listed, rows), _)| Surplus { bytes: bytes(&listed), rows: total(rows.as_ref()), listed }).collect())
}

/// Rows by table.
type Rows = BTreeMap<String, u64>;

fn rows_of(listed: &Listed) -> Option<Rows> {
    let Kept::Whole(manifest) = &listed.state else { return None };
    Some(manifest.tables.iter().map(|table| (table.full_name(), table.rows)).collect())
}

fn total(rows: Option<&Rows>) -> u64 {
    rows.into_iter().flat_map(Rows::values).sum()
}

fn bytes(listed: &Listed) -> u64 {
    let Kept::Whole(manifest) = &listed.state else { return listed.bytes };
    manifest.database.as_ref().map_or(0, |copy| copy.bytes) + listed.bytes
}

/// Of a list from new to old; None is not whole, and stays.
fn stay(list: &[Option<Rows>], keep: usize) -> Vec<bool> {
    let mut with_rows = list.iter().map(|rows| total(rows.as_ref()) > 0).scan(0, |seen, has| {
        *seen += usize::from(has);
        Some(has && *seen <= keep)
    });
    let mut stays: Vec<bool> = list.iter().map(|rows| with_rows.next() == Some(true) || rows.is_none()).collect();
    keep_one_with_most(list, &mut stays, |rows| total(Some(rows)));
    let tables: BTreeSet<&String> = list.iter().flatten().flat_map(Rows::keys).collect();
    for table in tables {
        keep_one_with_most(list, &mut stays, |rows| rows.get(table).copied().unwrap_or_default());
    }
    stays
}

/// Unless one with as many stays anyway.
fn keep_one_with_most(list: &[Option<Rows>], stays: &mut [bool], rows: impl Fn(&Rows) -> u64) {
    let counts: Vec<u64> = list.iter().map(|one| one.as_ref().map_or(0, &rows)).collect();
    let most = counts.iter().copied().max().filter(|&most| most > 0);
    let is_kept = |most: u64| counts.iter().zip(&*stays).any(|(&count, stays)| *stays && count == most);
    if let Some(at) = most.filter(|&most| !is_kept(most)).and_then(|most| counts.iter().position(|&it| it == most)) {
        stays[at] = true;
    }
}

/// Takes `going` away: first its database, where it is one, then its record.
///
/// # Errors
/// `failed` when one cannot be removed; its record stays then.
pub fn remove(session: &Session<'_>, store: &Store, going: &[Surplus]) -> Result<()> {
    for one in going {
        if let Some(copy) = one.manifest().and_then(|manifest| manifest.database.as_ref()) {
            remove::forget(&mut session.connect()?, &copy.name, &copy.id, Some(copy.oid))?;
        }
        store.forget(&one.listed.name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[&[(&str, u64)]], keep: usize) -> Vec<bool> {
        let rows = |tables: &&[(&str, u64)]| Some(tables.iter().map(|&(name, rows)| (name.to_owned(), rows)).collect());
        stay(&list.iter().map(rows).collect::<Vec<_>>(), keep)
    }

    #[test]
    fn the_newest_with_rows_stay_and_empty_ones_do_not_count() {
        let (full, empty): (&[_], &[_]) = (&[("a", 5)], &[("a", 0)]);
        assert_eq!(of(&[full; 4], 2), [true, true, false, false]);
        assert_eq!(of(&[empty, empty, full, empty, full], 1), [false, false, true, false, false]);
        assert_eq!(of(&[empty, empty], 1), [false, false]);
    }

    #[test]
    fn what_no_other_has_so_many_of_stays_at_any_age() {
        let list: [&[_]; 5] = [&[("a", 5)], &[("a", 5)], &[("a", 9)], &[("b", 1), ("a", 1)], &[("b", 1)]];
        assert_eq!(of(&list, 1), [true, false, true, true, false]);
        let shrinking: [&[_]; 3] = [&[("a", 1), ("b", 8)], &[("a", 2), ("b", 7)], &[("a", 3), ("b", 6)]];
        assert_eq!(of(&shrinking, 1), [true, false, true], "the one with the most of `a`, and no other");
    }

    #[test]
    fn what_is_not_whole_stays() {
        assert_eq!(stay(&[None, Some(Rows::new())], 1), [true, false]);
    }
}
