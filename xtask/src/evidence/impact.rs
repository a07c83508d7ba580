//! What one statement of a migration did while it ran beside rows: which tables it held, and what it did as long as it held them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::evidence::foretold::Foretold;
use crate::evidence::lint::Lint;

/// Of one statement. Tables are `schema.table`, a partition under the name of its root.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Impact {
    pub migration: String,
    /// Of `migration.sql`, from 1.
    pub line: usize,
    /// The line of the statement that its transaction began with; 0 where it has none of its own here.
    pub transaction: usize,
    /// On one line, and shortened.
    pub statement: String,
    /// So many of its kind behind it are counted in: rows are those of all, time and WAL of the one that took most.
    #[serde(skip_serializing_if = "is_none")]
    pub more_like_it: u64,
    /// On what was there before, the strongest of each table.
    pub locks: Vec<TableLock>,
    /// Tables and materialized views that were written anew.
    pub rewritten: Vec<String>,
    /// Tables that an index was built of.
    pub indexed: Vec<String>,
    /// Tables that were read whole.
    pub scanned: Vec<String>,
    /// Rows inserted, updated or deleted.
    pub rows: BTreeMap<String, u64>,
    /// Of the whole server while it ran.
    pub wal_bytes: u64,
    pub ms: f64,
    /// From its start to the end of its transaction: as long are its locks held.
    pub held_ms: f64,
    /// Why there is nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmeasured: Option<String>,
    /// How long it takes in production, where its sizes are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub production: Option<Foretold>,
    /// What a linter says of it, which was not measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lint: Vec<Lint>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableLock {
    pub table: String,
    /// As `pg_locks` names it.
    pub mode: String,
    pub blocks: Blocks,
}

/// What others cannot do while a table is locked, by Postgres' table of conflicting lock modes
/// (<https://www.postgresql.org/docs/current/explicit-locking.html>). From least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocks {
    /// Only what locks the whole table.
    Nothing,
    /// Other changes of its definition, VACUUM, ANALYZE.
    Maintenance,
    /// INSERT, UPDATE, DELETE, and SELECT FOR UPDATE or FOR SHARE where the mode is EXCLUSIVE.
    Writes,
    /// Every SELECT, too.
    ReadsAndWrites,
}

impl Blocks {
    pub fn of(mode: &str) -> Blocks {
        match mode {
            "AccessExclusiveLock" => Blocks::ReadsAndWrites,
            "ExclusiveLock" | "ShareRowExclusiveLock" | "ShareLock" => Blocks::Writes,
            "ShareUpdateExclusiveLock" => Blocks::Maintenance,
            _ => Blocks::Nothing,
        }
    }

    pub fn in_words(self) -> &'static str {
        match self {
            Blocks::Nothing => "nothing",
            Blocks::Maintenance => "other changes of its definition, and VACUUM",
            Blocks::Writes => "writes",
            Blocks::ReadsAndWrites => "reads and writes",
        }
    }
}

/// What takes as long as a table is large, while others wait for that table. From least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    Moment,
    Changes,
    Reads,
    Indexes,
    Rewrites,
}

/// Where a statement is in the way of others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InTheWay {
    pub work: Work,
    pub blocks: Blocks,
    pub table: String,
}

impl Impact {
    /// Of each table whose readers or writers have to wait, why and how long.
    pub fn in_the_way(&self) -> Vec<InTheWay> {
        let blocking = self.locks.iter().filter(|lock| lock.blocks >= Blocks::Writes);
        let one = |lock: &TableLock| InTheWay {
            work: self.work(&lock.table),
            blocks: lock.blocks,
            table: lock.table.clone(),
        };
        blocking.map(one).collect()
    }

    /// The tables that its time grows with.
    pub fn works_on(&self) -> BTreeSet<&str> {
        let lists = [&self.rewritten, &self.indexed, &self.scanned].into_iter().flatten();
        lists.chain(self.rows.keys()).map(String::as_str).collect()
    }

    /// A rewrite makes the indexes of its table anew, and a row that is changed is put into them.
    pub fn has_indexes_to_fill(&self) -> bool {
        !self.indexed.is_empty() || !self.rewritten.is_empty() || !self.rows.is_empty()
    }

    /// `line 4 takes about 40 s at 12 M rows (…), reads and writes of `public.Session` blocked throughout`
    pub fn in_production(&self) -> Option<String> {
        let takes = format!("line {} takes {}", self.line, self.production.as_ref()?.in_words());
        let blocking = self.locks.iter().filter(|lock| lock.blocks >= Blocks::Writes);
        let blocked = blocking.map(|lock| format!("{} of `{}`", lock.blocks.in_words(), lock.table));
        Some(match blocked.collect::<Vec<_>>().as_slice() {
            [] => takes,
            blocked => format!("{takes}, {} blocked throughout", blocked.join(" and ")),
        })
    }

    /// A statement holds all its tables as long as it works on any one of them.
    fn work(&self, table: &str) -> Work {
        let is_on = |tables: &[String]| tables.iter().any(|one| one == table);
        let own = match () {
            () if is_on(&self.rewritten) => Work::Rewrites,
            () if is_on(&self.indexed) => Work::Indexes,
            () if is_on(&self.scanned) => Work::Reads,
            () if self.rows.contains_key(table) => Work::Changes,
            () => Work::Moment,
        };
        match own {
            Work::Moment if !self.rewritten.is_empty() => Work::Rewrites,
            Work::Moment if !self.indexed.is_empty() => Work::Indexes,
            Work::Moment if !self.scanned.is_empty() => Work::Reads,
            own => own,
        }
    }

    /// What works on `table` grows with it; else the tables that the work is on.
    fn worked_on(&self, way: &InTheWay) -> Vec<&String> {
        let all: Vec<&String> = match way.work {
            Work::Moment => Vec::new(),
            Work::Changes => self.rows.keys().collect(),
            Work::Reads => self.scanned.iter().collect(),
            Work::Indexes => self.indexed.iter().collect(),
            Work::Rewrites => self.rewritten.iter().collect(),
        };
        if all.contains(&&way.table) { Vec::new() } else { all }
    }

    pub fn in_words(&self, way: &InTheWay) -> String {
        let others = self.worked_on(way);
        let what = match others.as_slice() {
            [] => "it".to_owned(),
            tables => tables.iter().map(|table| format!("`{table}`")).collect::<Vec<_>>().join(" and "),
        };
        let how_long = match way.work {
            Work::Moment => {
                "for a moment, and everybody who comes behind it while it waits for who uses the table".to_owned()
            }
            Work::Changes => format!("for as long as it changes rows of {what}"),
            Work::Reads => format!("for as long as it reads {what} whole"),
            Work::Indexes => format!("for as long as it builds an index of {what}"),
            Work::Rewrites => format!("for as long as it rewrites {what}"),
        };
        format!("line {} blocks {} of `{}` {how_long}", self.line, way.blocks.in_words(), way.table)
    }

    /// How the same is reached with less waiting, as Postgres' documentation of ALTER TABLE and CREATE INDEX has it
    /// (<https://www.postgresql.org/docs/current/sql-altertable.html>, `sql-createindex.html`).
    pub fn way_out(work: Work) -> Option<&'static str> {
        match work {
            Work::Moment | Work::Changes => None,
            Work::Reads => Some(
                "add the constraint as NOT VALID, and VALIDATE it in a later migration, which blocks no write; for SET NOT NULL do so with \
                 CHECK (… IS NOT NULL), after which it reads nothing",
            ),
            Work::Indexes => Some(
                "CREATE INDEX CONCURRENTLY in a migration of its own blocks no write; a UNIQUE constraint or key takes such an index with USING INDEX",
            ),
            Work::Rewrites => Some(
                "add a new column, fill it in batches, and let the app go over to it; a column with a constant default rewrites nothing",
            ),
        }
    }
}

/// Of each migration the statement that is most in the way, of tables that `counts` says yes to.
pub fn worst(impacts: &[Impact], counts: impl Fn(&str) -> bool) -> Vec<(&Impact, InTheWay)> {
    let mut worst: Vec<(&Impact, InTheWay)> = Vec::new();
    for impact in impacts {
        let ways = impact.in_the_way().into_iter().filter(|way| counts(&way.table));
        let Some(most) = ways.max() else { continue };
        match worst.last_mut().filter(|(last, _)| last.migration == impact.migration) {
            Some(last) if most > last.1 => *last = (impact, most),
            Some(_) => {}
            None => worst.push((impact, most)),
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(table: &str, mode: &str) -> TableLock {
        TableLock { table: table.to_owned(), mode: mode.to_owned(), blocks: Blocks::of(mode) }
    }

    fn impact(line: usize, locks: &[TableLock]) -> Impact {
        Impact { migration: "m".to_owned(), line, locks: locks.to_vec(), ..Impact::default() }
    }

    #[test]
    fn the_worst_of_a_migration_is_what_lasts_longest_and_blocks_most() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let moment = impact(1, &[lock("s.a", "AccessExclusiveLock")]);
        let index = Impact { indexed: names(&["s.a"]), ..impact(2, &[lock("s.a", "ShareLock")]) };
        let key = Impact {
            scanned: names(&["s.b"]),
            ..impact(3, &[lock("s.a", "ShareRowExclusiveLock"), lock("s.b", "ShareRowExclusiveLock")])
        };
        let rewrite = Impact { rewritten: names(&["s.a"]), ..impact(4, &[lock("s.a", "AccessExclusiveLock")]) };
        let insert = impact(5, &[lock("s.a", "RowExclusiveLock")]);
        let said = |impacts: &[Impact]| {
            let worst = worst(impacts, |_| true);
            worst.iter().map(|(impact, way)| impact.in_words(way)).collect::<Vec<_>>().join("\n")
        };
        let all = [moment.clone(), index.clone(), key.clone(), rewrite, insert.clone()];
        insta::assert_snapshot!(said(&all), @"line 4 blocks reads and writes of `s.a` for as long as it rewrites it");
        insta::assert_snapshot!(said(&all[..3]), @"line 2 blocks writes of `s.a` for as long as it builds an index of it");
        insta::assert_snapshot!(said(std::slice::from_ref(&key)), @"line 3 blocks writes of `s.b` for as long as it reads it whole");
        insta::assert_snapshot!(said(&[moment, insert.clone()]), @"line 1 blocks reads and writes of `s.a` for a moment, and everybody who comes behind it while it waits for who uses the table");
        assert_eq!(said(&[insert]), "");
        let of_a = worst(std::slice::from_ref(&key), |table| table == "s.a");
        insta::assert_snapshot!(of_a[0].0.in_words(&of_a[0].1), @"line 3 blocks writes of `s.a` for as long as it reads `s.b` whole");
    }
}
