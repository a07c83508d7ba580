//! One look from inside of a transaction: which locks it holds, where each relation's rows lie, how often it has read and changed them.
//!
//! The first look reads all relations. A later one asks for those that the transaction holds a lock on, or has read, and for what belongs to
//! them: nothing can be done to any other, and a script of a thousand statements would read thousands of relations before and after each.
//! What it finds otherwise is all that is compared, for the same reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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

/// Whether `mode` keeps others out that `than` lets in.
pub fn is_stronger(mode: &str, than: &str) -> bool {
    let place = |mode: &str| MODES.iter().position(|known| *known == mode);
    place(mode) > place(than)
}

/// How much the server has written to its log.
///
/// # Errors
/// `failed` when the server refuses.
pub fn wal(connection: &mut Connection) -> Result<u64> {
    let mut probe = Probe { there: Arc::default(), relations: BTreeMap::new(), touched: Vec::new(), wal: 0 };
    probe.ask(connection, WAL)?;
    Ok(probe.wal)
}

/// Tables that were there before a migration, by OID. Nobody waits for one that it makes itself, and that is empty.
pub type There = Arc<BTreeSet<u32>>;

/// Every table and index of those that were there, by its OID.
pub struct Probe {
    there: There,
    relations: BTreeMap<u32, Relation>,
    /// What the last look found: all else has no lock, and was not read.
    touched: Vec<u32>,
    wal: u64,
}

/// What a later look found otherwise, as it was before; None is what was not there.
pub struct Before {
    relations: BTreeMap<u32, Option<Relation>>,
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
    /// In one round trip, and without a plan that is kept: the script may do `DISCARD ALL`. Where `there` is not known, it is all.
    ///
    /// # Errors
    /// `failed` when the server refuses.
    pub fn read(connection: &mut Connection, there: Option<There>) -> Result<Probe> {
        let mut probe = Probe { there: Arc::default(), relations: BTreeMap::new(), touched: Vec::new(), wal: 0 };
        probe.ask(connection, &[&PROBE.replace("LOOKED_AT", ALL).replace("LAST", "0"), WAL].join(";"))?;
        let roots = || Arc::new(probe.relations.values().map(|relation| relation.root).collect());
        probe.there = there.unwrap_or_else(roots);
        Ok(probe)
    }

    pub fn there(&self) -> There {
        Arc::clone(&self.there)
    }

    /// The same again, where nothing was done since that held no lock which is held now or was held at the last look.
    ///
    /// # Errors
    /// As `read`.
    pub fn look_again(&mut self, connection: &mut Connection) -> Result<Before> {
        self.forget_others();
        let was = |oid: &u32| Some((*oid, self.relations.get(oid).cloned()));
        let mut before = Before { relations: self.touched.iter().filter_map(was).collect(), wal: self.wal };
        for oid in self.touched.drain(..) {
            if let Some(relation) = self.relations.get_mut(&oid) {
                (relation.lock, relation.scans, relation.changed) = (None, 0, 0);
            }
        }
        let last = self.relations.last_key_value().map_or(0, |(oid, _)| *oid).to_string();
        let look = PROBE.replace("LOOKED_AT", TOUCHED).replace("LAST", &last);
        for (oid, was) in self.ask(connection, &[&look, GONE, WAL].join(";"))? {
            before.relations.entry(oid).or_insert(was);
        }
        Ok(before)
    }

    /// What the last look found of tables that were not there.
    fn forget_others(&mut self) {
        let is_there = |relation: &Relation| self.there.contains(&relation.root);
        for oid in &self.touched {
            if self.relations.get(oid).is_some_and(|relation| !is_there(relation)) {
                self.relations.remove(oid);
            }
        }
    }

    /// What the answer replaces.
    fn ask(&mut self, connection: &mut Connection, sql: &str) -> Result<Vec<(u32, Option<Relation>)>> {
        let answer = connection.client().simple_query(sql).could_not("look at what a statement did")?;
        let mut replaced = Vec::new();
        for message in answer {
            let SimpleQueryMessage::Row(row) = message else { continue };
            match row.columns().first().map(|column| column.name()) {
                Some("wal") => self.wal = number(&row, "wal")?,
                Some("gone") => {
                    let oid = number(&row, "gone")?;
                    replaced.push((oid, self.relations.remove(&oid)));
                }
                _ => {
                    let (oid, relation) = relation(&row)?;
                    replaced.push((oid, self.relations.insert(oid, relation)));
                    self.touched.push(oid);
                }
            }
        }
        Ok(replaced)
    }

    /// What was done since `before`, to what was there then.
    pub fn since(&self, before: &Before) -> Impact {
        let both = || self.changes(before).filter_map(|(_, then, now)| Some((then?, now?)));
        let named = |tables: BTreeSet<String>| tables.into_iter().collect::<Vec<_>>();
        let rewritten = both().filter(|(then, now)| !now.is_index && then.file != now.file);
        let scanned = both().filter(|(then, now)| !now.is_index && now.scans > then.scans);
        let rewritten: BTreeSet<String> = rewritten.map(|(then, _)| then.name.clone()).collect();
        let index_is_new = |(_, then, now): (u32, Option<&Relation>, Option<&'_ Relation>)| {
            let is_new = |now: &&Relation| {
                now.is_index && then.is_none_or(|then| then.file != now.file) && self.was_there(now.root, before)
            };
            now.filter(is_new).map(|now| now.name.clone())
        };
        let indexed: BTreeSet<String> =
            self.changes(before).filter_map(index_is_new).filter(|name| !rewritten.contains(name)).collect();
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

    /// Each that is not as it was, then and now; then only where its table was there.
    fn changes<'a>(
        &'a self,
        before: &'a Before,
    ) -> impl Iterator<Item = (u32, Option<&'a Relation>, Option<&'a Relation>)> {
        let is_there = |then: &&Relation| self.there.contains(&then.root);
        let each = before.relations.iter();
        each.map(move |(oid, then)| (*oid, then.as_ref().filter(is_there), self.relations.get(oid)))
    }

    fn was_there(&self, root: u32, before: &Before) -> bool {
        let then = before.relations.get(&root).map_or_else(|| self.relations.get(&root), Option::as_ref);
        then.is_some_and(|then| self.there.contains(&then.root))
    }

    /// Nobody plans a query on a table one of whose indexes is locked: its lock counts as the table's. A lock on what is gone now
    /// was the strongest.
    fn locks(&self, before: &Before) -> Vec<TableLock> {
        let mut strongest: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, then, now) in self.changes(before) {
            let Some(then) = then else { continue };
            let lock = match now {
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
