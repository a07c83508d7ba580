//! Restore: puts a snapshot's rows back into the schema as it is, verified by the server before it is committed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use serde::Serialize;

use crate::error::{Failure, Refusal, Result};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::record_counts;
use crate::postgres::counts::{Counts, counts};
use crate::rows::snapshot::{Fit, Origin, Snapshot, Store, Table, choose, fit, put_back};
use crate::run::consent::Question;
use crate::run::console::Console;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::catalog::{Catalog, catalog, diff};
use crate::schema::owed::Owed;
use crate::schema::privileges;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::words::{counted, in_line};

/// The options of `restore`.
pub struct Restore {
    /// A snapshot's name; None is the newest that holds more than what is there.
    pub snapshot: Option<String>,
    pub skip_missing: bool,
    pub confirm: bool,
}

pub struct Inspection {
    snapshot: Snapshot,
    /// Why this one, where the user named none; in sentences.
    reasons: Vec<String>,
    fit: Fit,
    /// What will not be as it was although the rows come back, each as a sentence.
    gaps: Vec<String>,
    stale_views: Vec<String>,
    /// Checks that may judge the rows otherwise than before.
    doubtful: Vec<String>,
    counts: Counts,
    catalog: Catalog,
    /// What a reset that did not come to its end has not given back.
    owed: Option<Owed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    PutBack,
    RestorePrivileges,
    VerifyCounts,
    VerifyCatalog,
}

impl Stage for Restore {
    type Inspection = Inspection;
    type Action = Builtin;
    /// The catalog once the privileges were put back.
    type Memory<'a> = OnceLock<Catalog>;

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// `refused` for another database's snapshot, `different` for one whose bytes were changed, `blocked` for one that does not fit.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let owed = Owed::read(session)?;
        let (snapshot, reasons) = self.find(session, owed.is_some())?;
        check_origin(session, &snapshot)?;
        snapshot.verify_files()?;
        let schemas: Vec<&str> = snapshot.manifest.schemas.iter().map(String::as_str).collect();
        let mut connection = session.connect()?;
        let (counts, catalog) = (counts(&mut connection, &schemas)?, catalog(&mut connection, &schemas)?);
        let name = format!("the snapshot `{}`", snapshot.name);
        let fit = fit(&mut connection, &name, snapshot.contents(), self.skip_missing)
            .map_err(|failure| after_a_reset(failure, owed.as_ref(), &catalog, &snapshot, &counts))?;
        // What is put back of an empty snapshot is nothing but privileges.
        let fit = if snapshot.rows() == 0 && self.snapshot.is_none() { fit.nothing() } else { fit };
        let gaps = gaps(session, &fit)?;
        let stale_views = fit.stale_views(&mut connection)?;
        let obstacles = fit.obstacles(&mut connection)?;
        check_permissions(&obstacles.forbidden)?;
        let doubtful = obstacles.checks.into_iter().map(|check| check.shown).collect();
        Ok(Inspection { fit, gaps, stale_views, doubtful, counts, catalog, snapshot, reasons, owed })
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let Inspection { snapshot, reasons, fit, gaps, doubtful, counts, owed, .. } = inspection;
        let rows: u64 = fit.tables().map(|(_, rows)| rows).sum();
        let tables = fit.tables().count();
        let step =
            |name, does: String, failure, action| vec![Step { name, does, failure, action: Action::Builtin(action) }];
        let present = |table: &String| counts.get(table).copied().filter(|rows| *rows > 0);
        let replaced = fit
            .tables()
            .filter_map(|(table, _)| Some(format!("{} rows of `{table}` that are there now", present(&table)?)));
        let mut groups = vec![step(
            "put back",
            format!("in one transaction: empty {tables} tables, fill them, compare counts and checksums"),
            "the rows were not put back",
            Builtin::PutBack,
        )];
        let missing = owed.as_ref().map(|owed| owed.missing_privileges(session)).transpose()?.unwrap_or_default();
        groups.extend((!missing.is_empty()).then(|| {
            step(
                "restore privileges",
                format!("grant what a reset that was cut short took, in {}", counted(missing.len(), "statement")),
                "the privileges are not what they were",
                Builtin::RestorePrivileges,
            )
        }));
        groups.push(step(
            "verify counts",
            "count every table again".to_owned(),
            "the counts are not the snapshot's",
            Builtin::VerifyCounts,
        ));
        groups.push(step(
            "verify catalog",
            "compare the schema with what it was before".to_owned(),
            "the schema is not what it was",
            Builtin::VerifyCatalog,
        ));
        let summary = format!(
            "restore on {}: put back {rows} rows of {tables} tables from `{}` (taken {}).",
            session.settings.target.name,
            snapshot.name,
            snapshot.manifest.taken()
        );
        Ok(Plan {
            stage: "restore",
            summary: std::iter::once(summary)
                .chain(reasons.iter().cloned())
                .chain(doubtful.iter().map(|check| format!("The check {check} {JUDGED_AGAIN}")))
                .map(|line| in_line(&line))
                .collect::<Vec<_>>()
                .join("\n"),
            scripts: Vec::new(),
            rows: counts.clone(),
            losses: replaced.chain(gaps.iter().cloned()).collect(),
            groups,
        })
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Builtin>, console: &Console) -> Result<()> {
        plan.summary.lines().for_each(|line| console.say(line));
        plan.losses.iter().for_each(|loss| console.say(format!("  lost: {loss}")));
        let question = Question {
            target: &session.settings.target.name,
            database: &session.target.dsn().database,
            deed: "replace the rows of these tables",
            command: self.snapshot.iter().fold(Hint::run("restore"), Hint::arg).arg("--confirm"),
        };
        question.by_flag(self.confirm, console)
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        let Snapshot { name, manifest, .. } = &inspection.snapshot;
        let view = serde_json::json!({
            "name": name, "created_at": manifest.created_at, "reason": manifest.reason, "catalog": manifest.catalog,
        });
        let Inspection { reasons, gaps, stale_views, .. } = inspection;
        let stale = |view: &String| format!("`{view}` shows what it did before: refresh materialized view {view}");
        let mut record = journal.record();
        record.outcome.extra.insert("snapshot".to_owned(), view);
        record.outcome.notes.extend(reasons.iter().chain(gaps).cloned().chain(stale_views.iter().map(stale)));
        drop(record);
        journal.write_json("catalog-before.json", &inspection.catalog)
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) -> OnceLock<Catalog> {
        OnceLock::new()
    }

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<String> {
        let Running { session, inspection, .. } = running;
        match action {
            Builtin::PutBack => put_back(session, &inspection.snapshot, &inspection.fit)
                .map(|rows| format!("{rows} rows, as many and the same as in the snapshot")),
            Builtin::RestorePrivileges => restore_privileges(running),
            Builtin::VerifyCounts => verify_counts(session, inspection),
            Builtin::VerifyCatalog => verify_catalog(session, running.memory.get().unwrap_or(&inspection.catalog)),
        }
    }

    fn record(running: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        let Running { session, journal, inspection, .. } = running;
        let owed = Owed::read(session)?.map(|_| {
            let forward = Hint::run("forward").line(&session.settings.aim);
            format!("a reset was cut short, and not all that it took is back: {forward}")
        });
        journal.record().outcome.notes.extend(owed);
        record(session, journal, inspection)
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.qa
    }
}

impl Restore {
    /// The one that was named, or the one to offer, with the reasons.
    ///
    /// # Errors
    /// `blocked` where there is none, or none with rows.
    fn find(&self, session: &Session<'_>, privileges_are_owed: bool) -> Result<(Snapshot, Vec<String>)> {
        let store = Store::of(session.settings);
        if let Some(name) = &self.snapshot {
            return Ok((store.find(name)?, Vec::new()));
        }
        let (here, elsewhere): (Vec<Snapshot>, Vec<Snapshot>) =
            store.whole()?.into_iter().partition(|one| check_origin(session, one).is_ok());
        // Where all are of another database, the newest is refused in words.
        let snapshots = if here.is_empty() { elsewhere } else { here };
        let schemas: BTreeSet<&str> =
            snapshots.iter().flat_map(|one| &one.manifest.schemas).map(String::as_str).collect();
        let now = counts(&mut session.connect()?, &schemas.into_iter().collect::<Vec<_>>())?;
        let newest = snapshots.first().cloned();
        match (choose(snapshots, &now), newest) {
            (Some(choice), _) => Ok((choice.snapshot, choice.reasons)),
            (None, Some(newest)) if privileges_are_owed => {
                Ok((newest, vec!["No snapshot holds any rows; only privileges are put back.".to_owned()]))
            }
            _ => Err(Failure::blocked("no snapshot of this database holds any rows").hint(Hint::run("restore --list"))),
        }
    }
}

/// What the snapshot has and the schema has not, and the other way round: such a column gets its default in every row.
fn gaps(session: &Session<'_>, fit: &Fit) -> Result<Vec<String>> {
    let left_out = fit.left_out.iter().map(|what| format!("not put back: {what}"));
    if fit.filled.is_empty() {
        return Ok(left_out.collect());
    }
    let snapshots = Store::of(session.settings).whole()?;
    let ours = |one: &&Snapshot| check_origin(session, one).is_ok();
    let filled = fit.filled.iter().map(|(table, column)| {
        let has = |one: &&Snapshot| one.manifest.has_values_of(table, column);
        let newest = match snapshots.iter().filter(ours).find(has) {
            Some(one) => format!("the newest that has it is `{}`", one.name),
            None => "no other has it".to_owned(),
        };
        format!("values of the column `{column}` of `{table}`: the snapshot lacks it, so it gets its default in every row ({newest})")
    });
    Ok(left_out.chain(filled).collect())
}

/// After a reset that was cut short the tables come first: those of the migrations, then the mirror's.
fn after_a_reset(
    failure: Failure,
    owed: Option<&Owed>,
    now: &Catalog,
    snapshot: &Snapshot,
    counts: &Counts,
) -> Failure {
    let Some(owed) = owed else { return failure };
    let of_mirror = |table: &Table| owed.mirror.iter().any(|object| *object == format!("table {}", table.sql_name()));
    let tables = &snapshot.manifest.tables;
    let is_missing = |table: &&Table| table.rows > 0 && !counts.contains_key(&table.full_name());
    match tables.iter().filter(is_missing).all(of_mirror) && owed.lacks_mirror(now) {
        true => failure.hint(Hint::run("mirror")),
        false => failure.hint(Hint::run("forward")),
    }
}

/// Of a check that calls what may answer otherwise than it did.
const JUDGED_AGAIN: &str =
    "does not look at the row alone: it is added again after the rows, NOT VALID if they no longer satisfy it.";

/// # Errors
/// `blocked`, naming whose each thing is that this role would have to change.
fn check_permissions(forbidden: &[String]) -> Result<()> {
    if forbidden.is_empty() {
        return Ok(());
    }
    Err(Failure::blocked("this role may not put all of the snapshot back")
        .because_all(forbidden.iter().cloned())
        .note("nothing was changed")
        .hint("have the owners' roles granted to it, or connect as a role that has them"))
}

fn check_origin(session: &Session<'_>, snapshot: &Snapshot) -> Result<()> {
    let origin = &snapshot.manifest.origin;
    let differences = origin.differences(&Origin::of(session));
    if differences.is_empty() {
        return Ok(());
    }
    let message = format!("it was taken of the database `{}`: {} differs", origin.database, differences.join(", "));
    let fix = "name a snapshot of this very database";
    Err(Failure::refused(&session.settings.target.name, vec![Refusal::new("snapshot", message, fix)])
        .hint(Hint::run("restore --list"))
        .message(format!("the snapshot `{}` is another database's", snapshot.name)))
}

fn current_counts(session: &Session<'_>, inspection: &Inspection) -> Result<Counts> {
    let schemas: Vec<&str> = inspection.snapshot.manifest.schemas.iter().map(String::as_str).collect();
    counts(&mut session.connect()?, &schemas)
}

fn verify_counts(session: &Session<'_>, inspection: &Inspection) -> Result<String> {
    let after = current_counts(session, inspection)?;
    let mut expected = inspection.counts.clone();
    expected.extend(inspection.fit.tables());
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(table, rows)| after.get(*table) != Some(rows))
        .map(|(table, rows)| {
            format!("`{table}` has {} rows, expected {rows}", after.get(table).copied().unwrap_or_default())
        })
        .collect();
    if wrong.is_empty() {
        return Ok(format!("{} tables have the rows that they should", expected.len()));
    }
    Err(Failure::different("the counts are not as they should be")
        .because_all(wrong)
        .hint("stop what else writes to this database, then run this again"))
}

fn restore_privileges(running: &Running<'_, Restore>) -> Result<String> {
    let Running { session, inspection, memory, .. } = running;
    let Some(owed) = &inspection.owed else { return Err(Failure::bug("no privileges are owed")) };
    let mut connection = session.connect()?;
    let restored = privileges::restore_all(&mut connection, &session.target, &owed.privileges)?;
    if !restored.missing.is_empty() {
        return Err(Failure::different(
            "the rows are back, and the privileges are not all as they were before the reset",
        )
        .because_all(restored.missing.iter().map(|sql| format!("needed: {sql}")))
        .hint("have a role that may grant them run these statements"));
    }
    let schemas: Vec<&str> = inspection.catalog.schemas.iter().map(String::as_str).collect();
    let now = catalog(&mut connection, &schemas)?;
    owed.give_back(session, &now)?;
    let _ = memory.set(now);
    Ok(format!("as before the reset; {} were needed", counted(restored.statements, "statement")))
}

fn verify_catalog(session: &Session<'_>, before: &Catalog) -> Result<String> {
    let schemas: Vec<&str> = before.schemas.iter().map(String::as_str).collect();
    let after = catalog(&mut session.connect()?, &schemas)?;
    let differences = diff(before, &after);
    if differences.is_empty() {
        return Ok(format!("{} objects are as before", after.objects.len()));
    }
    Err(Failure::different("the schema is not what it was before")
        .because_all(differences.iter().map(ToString::to_string))
        .note("the rows are back; a check that they no longer satisfy is NOT VALID now")
        .hint(Hint::run("forward --plan")))
}

/// What the database is now, whatever came before.
fn record(session: &Session<'_>, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
    record_counts(journal, &inspection.counts, &current_counts(session, inspection)?)
}
