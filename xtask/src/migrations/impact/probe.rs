//! One look from inside of a transaction: which locks it holds, where each relation's rows lie, how often it has read and changed them.
//!
//! The first look reads all relations. A later one asks for those that the transaction holds a lock on, or has read, and for what belongs to
//! them: nothing can be done to any other, and a script of a thousand statements would read thousands of relations before and after each.

use std::collections::{BTreeMap, BTreeSet};

use postgres::{SimpleQueryMessage, SimpleQueryRow};

use crate::error::{Failure, Result};
use crate::evidence::impact::{Blocks, Impact, TableLock};
use crate::postgres::connection::{Connection, CouldNot};

const PROBE: &str = include_str!("probe.sql");
/// What `PROBE` looks at. By index, and not as the planner would join them: a throw-away database has no statistics of its catalogs.
const ALL: &str = "pg_catalog.pg_class";
const TOUCHED: &str = "(select c.* from touched t cross join lateral (select c.oid, c.relkind, c.relfilenode from pg_catalog.pg_class c where c.oid = t.oid offset 0) c)";

/// What the transaction has dropped: the lock on it stays.
const GONE: &str = "
    select l.relation as gone from pg_catalog.pg_locks l
     where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation'
       and not exists (select from pg_catalog.pg_class c where c.oid = l.relation)";

const WAL: &str =
    "select pg_catalog.pg_current_wal_insert_lsn() operator(pg_catalog.-) '0/0'::pg_catalog.pg_lsn as wal";

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
#[derive(Clone)]
pub struct Probe {
    relations: BTreeMap<u32, Relation>,
    wal: u64,
}

#[derive(Clone)]
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
        let mut probe = Probe { relations: BTreeMap::new(), wal: 0 };
        probe.ask(connection, &[&PROBE.replace("LOOKED_AT", ALL), WAL].join(";"))?;
        Ok(probe)
    }

    /// The same again, where nothing was done since that held no lock which is held now or was held at the last look.
    ///
    /// # Errors
    /// As `read`.
    pub fn look_again(&mut self, connection: &mut Connection) -> Result<()> {
        for relation in self.relations.values_mut() {
            (relation.lock, relation.scans, relation.changed) = (None, 0, 0);
        }
        self.ask(connection, &[&PROBE.replace("LOOKED_AT", TOUCHED), GONE, WAL].join(";"))
    }

    fn ask(&mut self, connection: &mut Connection, sql: &str) -> Result<()> {
        let answer = connection.client().simple_query(sql).could_not("look at what a statement did")?;
        for message in answer {
            let SimpleQueryMessage::Row(row) = message else { continue };
            match row.columns().first().map(|column| column.name()) {
                Some("wal") => self.wal = number(&row, "wal")?,
                Some("gone") => {
                    self.relations.remove(&number(&row, "gone")?);
                }
                _ => {
                    let (oid, relation) = relation(&row)?;
                    self.relations.insert(oid, relation);
                }
            }
        }
        Ok(())
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
