//! Restore: puts a snapshot's rows back into the schema as it is, verified by the server before it is committed. Where a database keeps them
//! and the schema has no place for all of them, that database takes the name, with its schema.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use serde::Serialize;

use crate::error::{Failure, Refusal, Result};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::record_counts;
use crate::postgres::counts::{Counts, counts};
use crate::postgres::fence;
use crate::rows::snapshot::copy::{is_comment_of_schema, prove, settle_pending, swap, verify};
use crate::rows::snapshot::{Fit, Origin, Snapshot, Store, beside, choose, put_back};
use crate::run::consent::Question;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::catalog::{Catalog, catalog, diff};
use crate::schema::dependents;
use crate::schema::owed::{Missing, Owed};
use crate::schema::privileges;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::stages::dependents_step::make_again;
use crate::stages::restore_way::{Way, Whole};
use crate::stages::still_owed;
use crate::words::{counted, in_line};

/// The options of `restore`.
#[derive(Clone)]
pub struct Restore {
    /// A snapshot's name; None is the newest that holds more than what is there.
    pub snapshot: Option<String>,
    pub skip_missing: bool,
    pub confirm: bool,
}

/// What is to be put back, proven to be this database's and whole.
pub struct Chosen {
    pub snapshot: Snapshot,
    reasons: Vec<String>,
    pub owed: Option<Owed>,
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
    missing: Option<Missing>,
    /// A reset that was killed before it dropped anything has left the tables closed to writers.
    closed: bool,
    /// Of a snapshot that is a database: whether that takes the target's name as a whole.
    way: Way,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    OpenTables,
    VerifyCopy,
    PutBack,
    GiveBack,
    VerifyCounts,
    VerifyCatalog,
}

impl Stage for Restore {
    type Inspection = Inspection;
    type Action = Builtin;
    /// The catalog once that is back which a reset took.
    type Memory<'a> = OnceLock<Catalog>;

    const DEMAND: Demand = Demand::Destructive;

    /// # Errors
    /// `refused` for another database's snapshot, `different` for one whose bytes were changed, `blocked` for one that does not fit.
    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        self.inspect_from(session, self.choose(session)?)
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        Ok(Plan {
            stage: "restore",
            summary: inspection.summary(&session.settings.target.name),
            scripts: Vec::new(),
            rows: inspection.counts.clone(),
            losses: if inspection.way.is_rename() { Vec::new() } else { inspection.replaced() },
            groups: inspection.steps(),
        })
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Builtin>, console: &Console) -> Result<()> {
        self.ask(session, plan, console)
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        let Snapshot { name, manifest, .. } = &inspection.snapshot;
        let view = serde_json::json!({
            "name": name, "created_at": manifest.created_at, "reason": manifest.reason, "catalog": manifest.catalog,
            "database": manifest.database,
        });
        let Inspection { reasons, gaps, stale_views, .. } = inspection;
        let stale = |view: &String| format!("`{view}` shows what it did before: refresh materialized view {view}");
        let mut record = journal.record();
        record.outcome.extra.insert("snapshot".to_owned(), view);
        record.outcome.notes.extend(inspection.way.by_tables());
        record.outcome.notes.extend(reasons.iter().chain(gaps).cloned().chain(stale_views.iter().map(stale)));
        drop(record);
        if let Some(whole) = inspection.way.whole() {
            journal.write_json("catalog-of-the-copy.json", &whole.catalog)?;
        }
        journal.write_json("catalog-before.json", &inspection.catalog)
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) -> OnceLock<Catalog> {
        OnceLock::new()
    }

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        let Running { session, inspection, .. } = running;
        let done = match action {
            Builtin::OpenTables => {
                fence::lift(&mut session.connect()?, &session.target, &session.target.dsn().schema)?;
                Ok("they take rows again".to_owned())
            }
            Builtin::VerifyCopy => verify_copy(session, &inspection.snapshot),
            Builtin::PutBack => put_all_back(running),
            Builtin::GiveBack => give_back(running),
            Builtin::VerifyCounts => verify_counts(session, inspection),
            Builtin::VerifyCatalog => verify_catalog(running),
        };
        done.map(Ended::from)
    }

    fn record(running: &Running<'_, Self>, result: &Result<()>) -> Result<()> {
        let Running { session, journal, inspection, .. } = running;
        if let (Ok(()), Some(owed)) = (result, &inspection.owed) {
            owed.give_back(session, running.memory.get().unwrap_or_else(|| inspection.expected()))?;
        }
        // Where the run failed it says itself what to do.
        let owed = if result.is_ok() { Owed::read(session)? } else { None };
        let owed = owed.map(|_| {
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
    /// # Errors
    /// `refused` for another database's snapshot, `different` for one whose bytes were changed.
    pub fn choose(&self, session: &Session<'_>) -> Result<Chosen> {
        settle_pending(session)?;
        let owed = Owed::read(session)?;
        let privileges_are_owed = owed.as_ref().is_some_and(Owed::is_cut_short);
        let found = self.find(session, privileges_are_owed);
        let (snapshot, reasons) = found.map_err(|failure| match (privileges_are_owed, &self.snapshot) {
            // Another reset gives back what one without a snapshot took.
            (true, None) => failure.hint(Hint::run("reset --confirm --no-snapshot")),
            _ => failure,
        })?;
        check_origin(session, &snapshot)?;
        match &snapshot.manifest.database {
            None => snapshot.verify_files(&session.headway)?,
            Some(copy) => prove(session, &mut session.connection(), &snapshot, copy)?,
        }
        Ok(Chosen { snapshot, reasons, owed })
    }

    /// # Errors
    /// `blocked` where the rows do not fit, or this role may not put them back.
    pub fn inspect_from(&self, session: &Session<'_>, chosen: Chosen) -> Result<Inspection> {
        let Chosen { snapshot, reasons, owed } = chosen;
        let schemas: Vec<&str> = snapshot.manifest.schemas.iter().map(String::as_str).collect();
        let mut connection = session.connect()?;
        let closed = fence::is_closed(&mut connection, &session.target.dsn().schema)?;
        let (counts, mut catalog) = (counts(&mut connection, &schemas)?, catalog(&mut connection, &schemas)?);
        catalog.objects.retain(|object, _| !fence::owns(&object.path));
        let name = format!("the snapshot `{}`", snapshot.name);
        let fit = beside(&mut connection, snapshot.contents(), self.skip_missing)?;
        // What is put back of an empty snapshot is nothing but privileges.
        let fit = if snapshot.rows() == 0 && self.snapshot.is_none() { fit.nothing() } else { fit };
        let missing = owed.as_ref().map(|owed| owed.missing(session, &catalog)).transpose()?;
        let way = Way::of(session, &snapshot, &fit, owed.as_ref(), missing.as_ref(), self.skip_missing)?;
        let fit = way.fitted(fit, &name)?;
        let gaps = gaps(session, &fit)?;
        let stale_views = fit.stale_views(&mut connection)?;
        let obstacles = fit.obstacles(&mut connection)?;
        check_permissions(&obstacles.forbidden)?;
        let doubtful = obstacles.checks.into_iter().map(|check| check.shown).collect();
        let (stale_views, doubtful) = if way.is_rename() { Default::default() } else { (stale_views, doubtful) };
        Ok(Inspection {
            fit,
            gaps,
            stale_views,
            doubtful,
            counts,
            catalog,
            snapshot,
            reasons,
            owed,
            missing,
            closed,
            way,
        })
    }

    /// The user's word to `plan`, which holds more where a reset has to come first.
    ///
    /// # Errors
    /// `refused` without it.
    pub fn ask<A>(&self, session: &Session<'_>, plan: &Plan<A>, console: &Console) -> Result<()> {
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

fn verify_copy(session: &Session<'_>, snapshot: &Snapshot) -> Result<String> {
    match &snapshot.manifest.database {
        None => Err(Failure::bug("the snapshot is not kept as a database")),
        Some(copy) => verify(session, &copy.name, snapshot),
    }
}

fn put_all_back(running: &Running<'_, Restore>) -> Result<String> {
    let Running { session, journal, inspection, .. } = running;
    let copy = inspection.snapshot.manifest.database.as_ref().filter(|_| inspection.way.is_rename());
    if let (Some(copy), Some(lock)) = (copy, journal.run_lock()) {
        match swap(session, lock, &inspection.snapshot, copy)? {
            Ok(kept) => {
                let note = format!("the database as it was before is the newest snapshot now, {}", kept.place());
                let mut record = journal.record();
                record.outcome.notes.push(note);
                record.outcome.notes.extend(kept.pruning());
                return Ok(format!("`{}` has the target's name now, in one transaction", copy.name));
            }
            // The plan said that they are kept, or that they have no place.
            Err(why) if inspection.way.whole().is_some() || !inspection.replaced().is_empty() => {
                return Err(Failure::blocked(
                    "the copy could not take the target's name, and table by table rows would be lost",
                )
                .because(why)
                .because_all(inspection.replaced())
                .note("nothing was changed")
                .hint(Hint::run("restore --plan").arg(&inspection.snapshot.name)));
            }
            Err(why) => {
                let note = format!("the rows went back table by table, and not with the whole database: {why}");
                journal.console.say(format!("  note: {note}"));
                journal.record().outcome.notes.push(note);
            }
        }
    }
    let rows = put_back(session, &inspection.snapshot, &inspection.fit)?;
    Ok(format!("{rows} rows, as many and the same as in the snapshot"))
}

fn current_counts(session: &Session<'_>, inspection: &Inspection) -> Result<Counts> {
    let schemas: Vec<&str> = inspection.snapshot.manifest.schemas.iter().map(String::as_str).collect();
    counts(&mut session.connect()?, &schemas)
}

fn verify_counts(session: &Session<'_>, inspection: &Inspection) -> Result<String> {
    let after = current_counts(session, inspection)?;
    let mut expected = inspection.way.whole().map_or(&inspection.counts, |whole| &whole.counts).clone();
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

fn in_words(snapshot: &Snapshot, rows: u64, tables: usize) -> String {
    let (name, taken) = (&snapshot.name, snapshot.manifest.taken());
    format!("put back {rows} rows of {tables} tables from `{name}` (taken {taken})")
}

impl Chosen {
    /// Of the whole snapshot, whatever fits.
    pub fn in_words(&self) -> String {
        in_words(&self.snapshot, self.snapshot.rows(), self.snapshot.manifest.tables.len())
    }
}

impl Inspection {
    /// What goes back, why from that snapshot, and what is doubtful, a line each.
    fn summary(&self, target: &str) -> String {
        let all = self.snapshot.manifest.tables.len();
        let (rows, tables) = match &self.way {
            Way::Whole(_) => (self.snapshot.rows(), all),
            _ => (self.fit.tables().map(|(_, rows)| rows).sum(), self.fit.tables().count()),
        };
        let summary = format!("restore on {target}: {}.", in_words(&self.snapshot, rows, tables));
        std::iter::once(summary)
            .chain(self.reasons.iter().cloned())
            .chain(self.way.whole().into_iter().flat_map(Whole::in_words))
            .chain(self.taken_away())
            .chain(self.way.by_tables())
            .chain(self.doubtful.iter().map(|check| format!("The check {check} {JUDGED_AGAIN}")))
            .map(|line| in_line(&line))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Where the schema goes back with the rows: what the one that is there has no place for.
    pub fn schema_goes_along(&self) -> Option<&[String]> {
        self.way.whole().map(|whole| whole.why.as_slice())
    }

    /// The schema when the run is through.
    fn expected(&self) -> &Catalog {
        self.way.whole().map_or(&self.catalog, |whole| &whole.catalog)
    }

    /// What is gone when the rows have gone back table by table.
    fn replaced(&self) -> Vec<String> {
        let present = |table: &String| self.counts.get(table).copied().filter(|rows| *rows > 0);
        let replaced = self
            .fit
            .tables()
            .filter_map(|(table, _)| Some(format!("{} rows of `{table}` that are there now", present(&table)?)));
        replaced.chain(self.gaps.iter().cloned()).collect()
    }

    /// What is not lost, but out of sight.
    fn taken_away(&self) -> Option<String> {
        if !self.way.is_rename() {
            return None;
        }
        let filled = self.counts.iter().filter(|(_, rows)| **rows > 0);
        let filled: Vec<String> = filled.map(|(table, rows)| format!("{rows} rows of `{table}`")).collect();
        let what = if filled.is_empty() { "no row".to_owned() } else { filled.join(", ") };
        Some(format!("The database as it is now ({what}) is kept as the newest snapshot."))
    }

    fn steps(&self) -> Vec<Vec<Step<Builtin>>> {
        let step =
            |name, does: String, failure, action| vec![Step { name, does, failure, action: Action::Builtin(action) }];
        let open = self.closed.then(|| {
            step(
                "open the tables",
                "let writers in again, whom a reset that was cut short had shut out".to_owned(),
                "the tables are still closed to writers",
                Builtin::OpenTables,
            )
        });
        let copy = self.snapshot.manifest.database.as_ref().map(|copy| {
            step(
                "verify copy",
                format!("count and check every table of the database `{}`, which keeps the rows", copy.name),
                "the rows were not put back",
                Builtin::VerifyCopy,
            )
        });
        let put_back = step(
            "put back",
            self.way.in_words(self.fit.tables().count()),
            "the rows were not put back",
            Builtin::PutBack,
        );
        let give_back = self.owed_in_words().map(|what| {
            step(
                "give back",
                format!("bring back what a reset took: {what}"),
                "what a reset took is not all back",
                Builtin::GiveBack,
            )
        });
        let counts = step(
            "verify counts",
            "count every table again".to_owned(),
            "the counts are not the snapshot's",
            Builtin::VerifyCounts,
        );
        let catalog = step(
            "verify catalog",
            format!(
                "compare the schema with what {}",
                if self.way.whole().is_some() { "the copy's was" } else { "it was before" }
            ),
            "the schema is not what it was",
            Builtin::VerifyCatalog,
        );
        open.into_iter().chain(copy).chain([put_back]).chain(give_back).chain([counts, catalog]).collect()
    }

    /// What is to be given back; None where nothing is.
    fn owed_in_words(&self) -> Option<String> {
        let missing = self.missing.as_ref().and_then(still_owed::in_words);
        let keys = self.owed.iter().flat_map(|owed| owed.taken.validate.clone());
        let words: Vec<String> = missing.into_iter().chain(keys).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Privileges, what other schemas hang on the schema, and keys that the rows which are back satisfy.
fn give_back(running: &Running<'_, Restore>) -> Result<String> {
    let Running { session, journal, inspection, memory, .. } = running;
    let Some(owed) = &inspection.owed else { return Err(Failure::bug("nothing is owed")) };
    let mut connection = session.connect()?;
    let restored = privileges::restore_all(&mut connection, &session.target, &owed.taken.privileges)?;
    if !restored.missing.is_empty() {
        return Err(Failure::different(
            "the rows are back, and the privileges are not all as they were before the reset",
        )
        .because_all(restored.missing.iter().map(|sql| format!("needed: {sql}")))
        .hint("have a role that may grant them run these statements"));
    }
    let (made, _) = make_again(session, journal, &owed.taken.dependents)?;
    let refused = dependents::validate(&mut connection, &session.target, &owed.taken.validate)?;
    let refused = refused.iter().map(|sql| format!("a key of another schema holds for new rows alone: {sql}"));
    journal.record().outcome.notes.extend(refused);
    let schemas: Vec<&str> = inspection.catalog.schemas.iter().map(String::as_str).collect();
    let _ = memory.set(catalog(&mut connection, &schemas)?);
    let count = counted(restored.statements, "statement");
    Ok(format!("privileges are as before the reset ({count} needed); {made}"))
}

fn verify_catalog(running: &Running<'_, Restore>) -> Result<String> {
    let Running { session, inspection, .. } = running;
    let before = running.memory.get().unwrap_or_else(|| inspection.expected());
    let schemas: Vec<&str> = before.schemas.iter().map(String::as_str).collect();
    let after = catalog(&mut session.connect()?, &schemas)?;
    let mut differences = diff(before, &after);
    if inspection.way.is_rename() {
        differences.retain(|one| !is_comment_of_schema(one));
    }
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
