//! What must hold of whatever rows are in Prisma's ledger; see `crate::fuzz`.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::status::MigrationStatus;
use crate::schema::history::{History, Migration};
use crate::schema::ledger::{Entry, Ledger};

/// The first byte says which of eight migrations the folder has; each two of the others are a row. Every migration of the folder is in exactly
/// one place, nothing is called applied that the ledger does not, and only where all is well nothing is to be told.
pub fn ledger(bytes: &[u8]) {
    let (folder, rows) = bytes.split_first().unwrap_or((&0, &[]));
    let script = |name: &str| Migration::new(name, format!("create table {name} ()\n"));
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let migrations = (0..8).filter(|bit| folder & (1 << bit) != 0).map(|bit| script(names[bit])).collect();
    let history = History { provider: None, migrations };
    let entry = |(at, row): (usize, &[u8])| {
        let (name, how) = (names[usize::from(row[0] % 8)], row.get(1).copied().unwrap_or_default());
        let moment = |bit: u8| (how & bit != 0).then_some(Timestamp::UNIX_EPOCH);
        let checksum = if how & 8 == 0 { script(name).checksum } else { "0".repeat(usize::from(how)) };
        Entry {
            id: at.to_string(),
            name: name.to_owned(),
            checksum,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: moment(1),
            rolled_back_at: moment(2),
            logs: (how & 4 != 0).then(|| "ERROR: no".to_owned()),
            applied_steps: i32::from(how),
        }
    };
    let ledger = Ledger { rows: rows.chunks(2).enumerate().map(entry).collect() };
    let status = MigrationStatus::new(&history, Some(&ledger), folder & 1 != 0);
    let MigrationStatus { applied, pending, failed, running, edited_after_apply, out_of_order, .. } = &status;
    for Migration { name, .. } in &history.migrations {
        let is_begun = ledger.rows.iter().any(|row| row.name == *name && row.is_unfinished());
        let is_applied = ledger.rows.iter().any(|row| row.name == *name && row.is_applied());
        assert_eq!(applied.contains(name), is_applied, "{name}");
        assert_eq!(pending.contains(name), !is_applied && !is_begun, "{name}");
        assert_eq!(failed.contains(name) || running.contains(name), is_begun, "{name}");
    }
    assert!(edited_after_apply.iter().all(|name| applied.contains(name)));
    assert!(out_of_order.iter().all(|name| pending.contains(name)));
    let in_ledger = status.in_ledger();
    assert_eq!(in_ledger.iter().collect::<BTreeSet<_>>().len(), in_ledger.len(), "{in_ledger:?}");
    let is_well = pending.is_empty() && ledger.failed().next().is_none() && edited_after_apply.is_empty();
    assert!(!status.is_clean() || is_well, "{status:?}");
}
