//! One look from inside of a transaction: which locks it holds, where each relation's rows lie, how often it has read and changed them.

use std::collections::{BTreeMap, BTreeSet};

use postgres::{SimpleQueryMessage, SimpleQueryRow};

use crate::error::{Failure, Result};
use crate::evidence::impact::{Blocks, Impact, TableLock};
use crate::postgres::connection::{Connection, CouldNot};

const PROBE: &str = include_str!("probe.sql");

/// Weakest first.
const MODES: [&str; 8] = [
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

/// Every table and index by its OID.
pub struct Probe {
    relations: BTreeMap<u32, Relation>,
    wal: u64,
}

struct Relation {
    /// The table, for an index too; of a partition, the root.
    root: u32,
    name: String,
    is_index: bool,
    file: u32,
    scans: u64,
    changed: u64,
    /// The strongest that is held, as its place in `MODES`.
    lock: Option<usize>,
}

impl Probe {
    /// In one round trip, and without a plan that is kept: the script may do `DISCARD ALL`.
    ///
    /// # Errors
    /// `failed` when the server refuses.
    pub fn read(connection: &mut Connection) -> Result<Probe> {
        let answer = connection.client().simple_query(PROBE).could_not("look at what a statement did")?;
        let mut probe = Probe { relations: BTreeMap::new(), wal: 0 };
        for message in answer {
            if let SimpleQueryMessage::Row(row) = message {
                let (oid, relation) = relation(&row)?;
                probe.relations.insert(oid, relation);
                probe.wal = number(&row, "wal")?;
            }
        }
        Ok(probe)
    }

    /// The tables, by OID.
    pub fn roots(&self) -> BTreeSet<u32> {
        self.relations.values().map(|relation| relation.root).collect()
    }

    /// The same of `tables` alone.
    pub fn of(mut self, tables: &BTreeSet<u32>) -> Probe {
        self.relations.retain(|_, relation| tables.contains(&relation.root));
        self
    }

    /// What was done since `before`, to what was there then.
    pub fn since(&self, before: &Probe) -> Impact {
        let there = |relation: &&Relation| before.relations.contains_key(&relation.root);
        let both = || self.relations.iter().filter_map(|(oid, now)| Some((before.relations.get(oid)?, now)));
        let named = |tables: BTreeSet<String>| tables.into_iter().collect::<Vec<_>>();
        let rewritten = both().filter(|(then, now)| !now.is_index && then.file != now.file);
        let scanned = both().filter(|(then, now)| !now.is_index && now.scans > then.scans);
        let rewritten: BTreeSet<String> = rewritten.map(|(then, _)| then.name.clone()).collect();
        let index_is_new = |(oid, now): &(&u32, &Relation)| {
            now.is_index && before.relations.get(oid).is_none_or(|then| then.file != now.file)
        };
        let indexed = self.relations.iter().filter(index_is_new).map(|(_, now)| now).filter(there);
        let indexed: BTreeSet<String> =
            indexed.map(|now| now.name.clone()).filter(|name| !rewritten.contains(name)).collect();
        let more = |then: &Relation, now: &Relation| now.changed.saturating_sub(then.changed);
        let mut rows = BTreeMap::new();
        for (then, now) in both().filter(|(then, now)| more(then, now) > 0) {
            *rows.entry(then.name.clone()).or_default() += more(then, now);
        }
        Impact {
            locks: self.locks(before),
            scanned: named(scanned.map(|(then, _)| then.name.clone()).collect()),
            rewritten: named(rewritten),
            indexed: named(indexed),
            rows,
            wal_bytes: self.wal.saturating_sub(before.wal),
            ..Impact::default()
        }
    }

    /// Nobody plans a query on a table one of whose indexes is locked: its lock counts as the table's. A lock on what is gone now
    /// was the strongest.
    fn locks(&self, before: &Probe) -> Vec<TableLock> {
        let mut strongest: BTreeMap<&str, usize> = BTreeMap::new();
        for (oid, then) in &before.relations {
            let lock = match self.relations.get(oid) {
                Some(now) => now.lock.filter(|lock| then.lock.is_none_or(|held| *lock > held)),
                None => Some(MODES.len() - 1),
            };
            let weak = if then.is_index { 3 } else { 0 };
            if let Some(lock) = lock.filter(|lock| *lock > weak) {
                let most = strongest.entry(&then.name).or_default();
                *most = lock.max(*most);
            }
        }
        let lock = |(table, lock): (&str, usize)| TableLock {
            table: table.to_owned(),
            mode: MODES[lock].to_owned(),
            blocks: Blocks::of(MODES[lock]),
        };
        strongest.into_iter().map(lock).collect()
    }
}

fn relation(row: &SimpleQueryRow) -> Result<(u32, Relation)> {
    let modes = row.get("modes").unwrap_or_default();
    let relation = Relation {
        root: number(row, "root")?,
        name: row.get("name").unwrap_or_default().to_owned(),
        is_index: row.get("is_index") == Some("t"),
        file: number(row, "relfilenode")?,
        scans: number(row, "scans")?,
        changed: number(row, "changed")?,
        lock: modes.split(',').filter_map(|mode| MODES.iter().position(|known| *known == mode)).max(),
    };
    Ok((number(row, "oid")?, relation))
}

fn number<T: std::str::FromStr>(row: &SimpleQueryRow, column: &str) -> Result<T> {
    let value = row.get(column).and_then(|value| value.parse().ok());
    value.ok_or_else(|| Failure::bug("the server answered no number where it has one"))
}
