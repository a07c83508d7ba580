//! Which snapshot `restore` offers where none is named: the newest that holds more than what is there now. After a reset that was killed or
//! run a second time the newest one holds nothing, and the rows lie in one before.

use crate::postgres::counts::Counts;
use crate::rows::snapshot::manifest::{Manifest, Snapshot};

/// What was chosen, and why, in sentences.
pub struct Choice {
    pub snapshot: Snapshot,
    pub reasons: Vec<String>,
}

/// Of `snapshots`, newest first; `now` counts the tables as they are. None where no snapshot holds any rows.
pub fn choose(mut snapshots: Vec<Snapshot>, now: &Counts) -> Option<Choice> {
    let more = snapshots.iter().position(|one| surplus(&one.manifest, now).is_some());
    let index = more.or_else(|| snapshots.iter().position(|one| one.rows() > 0))?;
    let fullest = snapshots.iter().max_by_key(|one| one.rows()).map(Snapshot::rows).unwrap_or_default();
    let passed: Vec<Snapshot> = snapshots.drain(..index).collect();
    let mut rest = snapshots.into_iter();
    let snapshot = rest.next()?;
    let mut reasons = vec![match surplus(&snapshot.manifest, now) {
        Some(surplus) => format!("It is the newest that holds more than there is now: {surplus}."),
        None => "No snapshot holds more rows than there are now; it is the newest with rows.".to_owned(),
    }];
    reasons.extend(passed.iter().map(|one| {
        format!(
            "`{}` is newer ({}) and holds no more than there is now: {} rows.",
            one.name,
            one.manifest.taken(),
            one.rows()
        )
    }));
    let older = rest.find(|one| one.rows() == fullest && fullest > snapshot.rows());
    reasons.extend(older.map(|one| {
        format!("`{}` is older ({}) and holds the most: {} rows.", one.name, one.manifest.taken(), one.rows())
    }));
    Some(Choice { snapshot, reasons })
}

/// The table of which a snapshot has the most rows that are not there now.
fn surplus(manifest: &Manifest, now: &Counts) -> Option<String> {
    let present = |name: &str| now.get(name).copied().unwrap_or_default();
    let with_more = manifest.tables.iter().filter(|table| table.rows > present(&table.full_name()));
    let table = with_more.max_by_key(|table| table.rows - present(&table.full_name()))?;
    let name = table.full_name();
    Some(format!("{} rows of `{name}`, where {} are", table.rows, present(&name)))
}
