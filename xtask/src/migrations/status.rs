//! Where a database stands in its history: the ledger laid beside the migrations folder. Pure; Prisma's own `migrate
//! status` says nothing about an edited or a missing migration, nor about a failed one when others are pending.

use serde::{Deserialize, Serialize};

use crate::schema::history::History;
use crate::schema::ledger::Ledger;

/// Names of migrations: what is applied in the order of the ledger, as is what the folder does not have; all else in the
/// folder's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationStatus {
    pub applied: Vec<String>,
    /// In the folder, and neither applied nor begun.
    pub pending: Vec<String>,
    /// Begun, never finished, and not at work now: Prisma will refuse to go on (P3009).
    pub failed: Vec<String>,
    /// Begun and not finished while a session holds Prisma's lock.
    pub running: Vec<String>,
    /// Applied from a script that is not the one in the folder now.
    pub edited_after_apply: Vec<String>,
    /// Applied, but the folder does not have it.
    pub missing_locally: Vec<String>,
    /// Pending, though a later one is applied: it will run on a schema that it was not written for.
    pub out_of_order: Vec<String>,
    /// Missing, and a pending one has the very script: its folder was renamed from the first name to the second.
    #[serde(skip)]
    pub renamed: Vec<(String, String)>,
    /// Missing, older than the first folder, and that is applied: as Prisma's guide to squashing leaves the ledger.
    #[serde(skip)]
    pub squashed: Vec<String>,
}

impl MigrationStatus {
    /// Compares `history` with `ledger` (None: the table is absent). `lock_held`: a session holds Prisma's advisory lock
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
        standing.order_applied(ledger);
        standing.add_unfinished(ledger, lock_held);
        standing.add_missing(history, ledger);
        standing.add_renamed(history, ledger);
        standing.add_squashed(history);
        standing.add_out_of_order();
        standing
    }

    /// Nothing to apply and nothing to explain.
    pub fn is_clean(&self) -> bool {
        let MigrationStatus { pending, failed, running, edited_after_apply, missing_locally, out_of_order, .. } = self;
        [pending, failed, running, edited_after_apply, missing_locally, out_of_order]
            .iter()
            .all(|names| names.is_empty())
    }

    /// What the ledger calls applied, in its order; what was squashed comes first.
    pub fn in_ledger(&self) -> Vec<String> {
        self.squashed.iter().chain(&self.applied).cloned().collect()
    }

    /// The last attempt counts where there are several.
    fn order_applied(&mut self, ledger: &Ledger) {
        let names: Vec<&str> = ledger.applied().map(|entry| entry.name.as_str()).collect();
        self.applied.sort_by_key(|name| names.iter().rposition(|applied| applied == name));
    }

    fn add_renamed(&mut self, history: &History, ledger: &Ledger) {
        for entry in ledger.applied().filter(|entry| self.missing_locally.contains(&entry.name)) {
            let same = |name: &&String| {
                let migration = history.migrations.iter().find(|migration| migration.name == **name);
                migration.is_some_and(|migration| migration.has_checksum(&entry.checksum))
            };
            if let Some(now) = self.pending.iter().find(same) {
                self.renamed.push((entry.name.clone(), now.clone()));
            }
        }
    }

    fn add_squashed(&mut self, history: &History) {
        let Some(first) = history.migrations.first().map(|migration| &migration.name) else { return };
        if self.applied.contains(first) && self.missing_locally.iter().all(|name| name < first) {
            self.squashed = std::mem::take(&mut self.missing_locally);
        }
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

    #[test]
    fn what_is_applied_stands_in_the_order_of_the_ledger() {
        let late = standing(&["a", "b", "c"], vec![applied("a"), applied("c"), applied("b")], false);
        assert_eq!(late.applied, ["a", "c", "b"]);
        let again = standing(&["a", "b"], vec![applied("a"), applied("b"), applied("a")], false);
        assert_eq!(again.applied, ["b", "a"]);
    }

    #[test]
    fn a_renamed_folder_is_known_by_its_script() {
        let before = Entry { name: "old".into(), ..applied("b") };
        let renamed = standing(&["a", "b"], vec![applied("a"), before], false);
        assert_eq!(renamed.renamed, [("old".to_owned(), "b".to_owned())]);
        assert_eq!(renamed.missing_locally, ["old"]);
    }

    #[test]
    fn rows_older_than_an_applied_first_folder_are_squashed_and_others_are_missing() {
        let squashed = standing(&["c", "d"], vec![applied("a"), applied("b"), applied("c")], false);
        assert_eq!((squashed.squashed.as_slice(), squashed.missing_locally.len()), (&["a".into(), "b".into()][..], 0));
        assert_eq!(squashed.in_ledger(), ["a", "b", "c"]);
        for rows in [vec![applied("a"), applied("b")], vec![applied("a"), applied("c"), applied("e")]] {
            let missing = standing(&["c", "d"], rows, false);
            assert_eq!((missing.squashed.len(), missing.missing_locally.len()), (0, 2));
        }
    }
}
