//! Where a database stands in its history: the ledger laid beside the migrations folder. Pure; Prisma's own `migrate
//! status` says nothing about an edited or a missing migration, nor about a failed one when others are pending.

use serde::{Deserialize, Serialize};

use crate::schema::history::History;
use crate::schema::ledger::Ledger;

/// Names of migrations, each list in the order of the history or, for what the folder does not have, of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationStatus {
    pub applied: Vec<String>,
    /// In the folder, and neither applied nor begun.
    pub pending: Vec<String>,
    /// Begun, never finished, and nobody is at it: Prisma will refuse to go on (P3009).
    pub failed: Vec<String>,
    /// Begun and not finished while somebody holds Prisma's lock.
    pub running: Vec<String>,
    /// Applied from a script that is not the one in the folder now.
    pub edited_after_apply: Vec<String>,
    /// Applied, but the folder does not have it.
    pub missing_locally: Vec<String>,
    /// Pending, though a later one is applied: it will run on a schema that it was not written for.
    pub out_of_order: Vec<String>,
}

impl MigrationStatus {
    /// Compares `history` with `ledger` (None: the table is absent). `lock_held`: somebody holds Prisma's advisory lock
    /// now, see `activity::lock_holders`.
    pub fn new(history: &History, ledger: Option<&Ledger>, lock_held: bool) -> MigrationStatus {
        let nothing = Ledger::default();
        let ledger = ledger.unwrap_or(&nothing);
        let mut standing = MigrationStatus::default();
        for migration in &history.migrations {
            let applied = ledger.applied().filter(|entry| entry.name == migration.name).last();
            match applied {
                Some(entry) if !migration.has_checksum(&entry.checksum) => {
                    standing.applied.push(migration.name.clone());
                    standing.edited_after_apply.push(migration.name.clone());
                }
                Some(_) => standing.applied.push(migration.name.clone()),
                None if ledger.failed().any(|entry| entry.name == migration.name) => {}
                None => standing.pending.push(migration.name.clone()),
            }
        }
        standing.add_unfinished(ledger, lock_held);
        standing.add_missing(history, ledger);
        standing.add_out_of_order();
        standing
    }

    /// Nothing to apply and nothing to explain.
    pub fn is_clean(&self) -> bool {
        let MigrationStatus { applied: _, pending, failed, running, edited_after_apply, missing_locally, out_of_order } =
            self;
        [pending, failed, running, edited_after_apply, missing_locally, out_of_order]
            .iter()
            .all(|names| names.is_empty())
    }

    fn add_unfinished(&mut self, ledger: &Ledger, lock_held: bool) {
        for entry in ledger.failed() {
            // Prisma writes the error into `logs` when it sees the failure; a runner that was killed leaves them empty.
            let names = if lock_held && entry.logs.is_none() { &mut self.running } else { &mut self.failed };
            if !names.contains(&entry.name) {
                names.push(entry.name.clone());
            }
        }
    }

    fn add_missing(&mut self, history: &History, ledger: &Ledger) {
        for entry in ledger.applied() {
            let known = history.migrations.iter().any(|migration| migration.name == entry.name);
            if !known && !self.missing_locally.contains(&entry.name) {
                self.missing_locally.push(entry.name.clone());
            }
        }
    }

    fn add_out_of_order(&mut self) {
        let last_applied = self.applied.iter().chain(&self.missing_locally).max().cloned();
        self.out_of_order = self.pending.iter().filter(|name| Some(*name) < last_applied.as_ref()).cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::history::Migration;
    use crate::schema::ledger::Entry;

    fn history(names: &[&str]) -> History {
        let migrations = names.iter().map(|name| Migration::new(*name, format!("create table {name} ()"))).collect();
        History { provider: Some("postgresql".into()), migrations }
    }

    /// An applied row for a migration of `history`.
    fn applied(name: &str) -> Entry {
        let migration = Migration::new(name, format!("create table {name} ()"));
        Entry {
            id: name.into(),
            name: name.into(),
            checksum: migration.checksum,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            finished_at: Some(jiff::Timestamp::UNIX_EPOCH),
            rolled_back_at: None,
            logs: None,
            applied_steps: 1,
        }
    }

    fn unfinished(name: &str, logs: Option<&str>) -> Entry {
        Entry { finished_at: None, logs: logs.map(str::to_owned), ..applied(name) }
    }

    fn rolled_back(name: &str) -> Entry {
        Entry { rolled_back_at: Some(jiff::Timestamp::UNIX_EPOCH), ..unfinished(name, Some("ERROR")) }
    }

    fn standing(names: &[&str], rows: Vec<Entry>, lock_held: bool) -> MigrationStatus {
        MigrationStatus::new(&history(names), Some(&Ledger { rows }), lock_held)
    }

    #[test]
    fn without_a_ledger_everything_is_pending() {
        let standing = MigrationStatus::new(&history(&["a", "b"]), None, false);
        assert_eq!(standing, MigrationStatus { pending: vec!["a".into(), "b".into()], ..MigrationStatus::default() });
        assert!(!standing.is_clean());
    }

    #[test]
    fn with_everything_applied_it_is_clean() {
        let standing = standing(&["a", "b"], vec![applied("a"), applied("b")], false);
        assert_eq!(standing, MigrationStatus { applied: vec!["a".into(), "b".into()], ..MigrationStatus::default() });
        assert!(standing.is_clean());
    }

    #[test]
    fn a_failed_migration_is_neither_applied_nor_pending_until_it_is_rolled_back() {
        let failed = standing(&["a", "b", "c"], vec![applied("a"), unfinished("b", Some("ERROR"))], false);
        assert_eq!((failed.failed, failed.pending), (vec!["b".to_owned()], vec!["c".to_owned()]));
        let settled = standing(&["a", "b"], vec![applied("a"), rolled_back("b")], false);
        assert_eq!((settled.failed, settled.pending), (vec![], vec!["b".to_owned()]));
        let again = standing(&["a", "b"], vec![applied("a"), rolled_back("b"), applied("b")], false);
        assert!(again.is_clean());
    }

    #[test]
    fn an_unfinished_one_runs_while_the_lock_is_held_and_it_has_not_logged_an_error() {
        let running = |logs, lock_held| standing(&["a"], vec![unfinished("a", logs)], lock_held).running;
        assert_eq!(running(None, true), ["a"]);
        assert_eq!(running(None, false), [""; 0]);
        assert_eq!(running(Some("ERROR"), true), [""; 0]);
    }

    #[test]
    fn an_edited_a_missing_and_a_late_migration_are_seen() {
        let edited = Entry { checksum: "0".repeat(64), ..applied("b") };
        let standing = standing(&["a", "b", "c"], vec![edited, applied("d")], false);
        assert_eq!(standing.edited_after_apply, ["b"]);
        assert_eq!(standing.missing_locally, ["d"]);
        assert_eq!(standing.out_of_order, ["a", "c"]);
    }
}
