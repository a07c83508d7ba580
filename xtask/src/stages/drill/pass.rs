//! What makes a forward one of a drill's two. The first gives the sandbox something to lose; the second must lead
//! back to where the first one led, and brings back the rows that backward dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::clock;
use crate::error::{Failure, Result};
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::losses::{Loss, Removal, losses};
use crate::migrations::prints;
use crate::postgres::counts::Counts;
use crate::rows;
use crate::rows::seed::{MirrorFaults, Wish};
use crate::rows::snapshot::{self, Store, copy, fit};
use crate::run::plan::{Action, Step};
use crate::schema::catalog::{Catalog, Difference};
use crate::schema::drift;
use crate::schema::ledger::LEDGER_TABLE;
use crate::schema::place::Place;
use crate::session::Session;
use crate::settings::schema_files;
use crate::words::listed;
use pin::Lease;

/// Which forward it is.
pub enum Pass {
    /// Not part of a drill.
    Alone,
    /// The first of a drill; on the sandbox, each empty table gets so many rows.
    First {
        seed: Option<u64>,
        /// For the deploy of the second, which is started when the first one's has ended.
        next: Option<Arc<Lease>>,
    },
    Second(Box<SecondPass>),
}

/// Where the second forward must arrive.
pub struct SecondPass {
    pub baseline: Baseline,
    /// What is taken back: this must be applied again, and nothing else.
    pub taken: Vec<String>,
    /// SHA-256 of the Prisma schema that the client was generated from.
    pub schema: String,
    /// What backward dropped of tables with rows, and what was in it.
    pub dropped: Vec<Loss>,
    /// The name of the snapshot that has it; None without consent that anything may go.
    pub snapshot: Option<String>,
    /// The lease of a deploy that was started early.
    pub deploy: Option<Arc<Lease>>,
}

/// Where the first forward led: rows and schema when it had ended.
#[derive(Debug, Clone)]
pub struct Baseline {
    pub counts: Counts,
    /// What was in each column.
    pub values: BTreeMap<String, String>,
    pub catalog: Catalog,
}

/// What a pass adds to a forward's own steps.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    VerifyClient,
    Seed(u64),
    PutBack,
    VerifyRows,
}

impl Pass {
    /// Stands where the first forward generates the client.
    pub fn client<A>(&self, wrap: impl Fn(Builtin) -> A) -> Option<Step<A>> {
        matches!(self, Pass::Second(_)).then(|| Step {
            name: "generate",
            does: "not again: check that the schema is the one that the client was generated from".to_owned(),
            failure: "the client is not the schema's",
            action: Action::Builtin(wrap(Builtin::VerifyClient)),
        })
    }

    pub fn deploy(&self) -> Option<Arc<Lease>> {
        match self {
            Pass::Second(second) => second.deploy.clone(),
            _ => None,
        }
    }

    /// Comes after the verification.
    pub fn steps<A>(&self, wrap: impl Fn(Builtin) -> A) -> Vec<Step<A>> {
        let step = |name, does: String, failure, own| Step { name, does, failure, action: Action::Builtin(wrap(own)) };
        match self {
            Pass::Alone | Pass::First { seed: None, .. } => Vec::new(),
            Pass::First { seed: Some(rows), .. } => vec![step(
                "seed",
                format!("fill empty tables with {rows} made-up rows each, so that there is something to lose"),
                "the tables were not filled",
                Builtin::Seed(*rows),
            )],
            Pass::Second(pass) => {
                let put_back = pass.snapshot.as_ref().map(|_| {
                    let does = "put what backward dropped back from the snapshot, if nothing was written there since";
                    step("put back", does.to_owned(), "the rows were not put back", Builtin::PutBack)
                });
                let does = "compare the rows and values of every table with those after the first forward";
                let verify =
                    step("verify rows", does.to_owned(), "the rows are not those from before", Builtin::VerifyRows);
                put_back.into_iter().chain([verify]).collect()
            }
        }
    }
}

/// Believable rows from the project's own seed; where that does not run (a migration may ask more of a row than it knows), rows by type,
/// and why.
///
/// # Errors
/// `failed` when the server cannot be asked.
pub fn seed(session: &Session<'_>, rows: u64) -> Result<String> {
    let wish = Wish { rows, only_empty: true, faults: MirrorFaults::default(), now: clock::now() };
    let (gained, why) = match rows::seed::seed(session, &wish) {
        Ok(gained) => (gained, String::new()),
        Err(failure) => {
            let why = format!(
                "; by type alone, since it {}: {}",
                failure.message,
                failure.causes().collect::<Vec<_>>().join("; ")
            );
            (rows::seed::fill(session, rows)?, why)
        }
    };
    let tables: Vec<&String> = gained.keys().collect();
    Ok(match gained.values().all(|gained| *gained == rows) {
        true if tables.is_empty() => format!("no table is empty, so nothing was added{why}"),
        true => format!("{rows} rows each in {}{why}", listed(tables)),
        false => format!("{} rows in {}{why}", gained.values().sum::<u64>(), listed(tables)),
    })
}

impl SecondPass {
    /// # Errors
    /// `different` when the Prisma schema was changed since the first forward.
    pub fn verify_client(&self, session: &Session<'_>) -> Result<String> {
        let path = &session.settings.prisma.schema;
        match schema_files::digest(path) {
            Ok(digest) if digest == self.schema => {
                Ok("not again: the client of the first forward is of this very schema".to_owned())
            }
            _ => Err(Failure::different(format!("`{}` was changed while the drill ran", session.settings.shown(path)))
                .hint(Hint::run("drill"))),
        }
    }

    /// # Errors
    /// `different` when other migrations were applied than those taken back.
    pub fn verify_applied(&self, applied: &[String]) -> Result<()> {
        let names = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        let (taken, applied) = (names(&self.taken), names(applied));
        if applied == taken {
            return Ok(());
        }
        Err(Failure::different("Prisma applied other migrations than those that were rolled back")
            .because(format!("rolled back: {}; applied: {}", listed(&taken), listed(&applied)))
            .hint(Hint::run("drill")))
    }

    /// # Errors
    /// `different` when the schema is not the one after the first forward. Columns may stand in another order: one that is
    /// dropped and added again is the last.
    pub fn verify_catalog(&self, after: &Catalog) -> Result<()> {
        let differences = drift::between(&self.baseline.catalog, after).definition;
        if differences.is_empty() {
            return Ok(());
        }
        Err(Failure::different("the second forward did not lead to where the first one led")
            .because_all(differences.iter().map(Difference::to_string))
            .hint(Hint::run("drill --each")))
    }

    /// Puts back the tables that lost something, whole, in one transaction. `now`: what forward left.
    ///
    /// # Errors
    /// `different` when one of them was written to since the snapshot: replacing it would lose that.
    pub fn put_back(&self, session: &Session<'_>, now: &DatabaseState) -> Result<String> {
        let Some(name) = &self.snapshot else { return Err(Failure::bug("there is no snapshot to put back")) };
        let fewer =
            self.baseline.counts.iter().filter(|(table, rows)| now.counts.get(*table).is_none_or(|now| now < rows));
        let places: Vec<Place> = self.dropped.iter().filter_map(|loss| loss.removal.now.clone()).collect();
        let tables: BTreeSet<String> =
            places.iter().map(Place::full_table_name).chain(fewer.map(|(table, _)| table.clone())).collect();
        if tables.is_empty() {
            return Ok("nothing was dropped, so there is nothing to put back".to_owned());
        }
        let snapshot = Store::of(session.settings).find(name)?;
        copy::verify_rows(session, &snapshot)?;
        let what = format!("the snapshot `{}`", snapshot.name);
        let fit = fit(&mut session.connection(), &what, snapshot.contents(), false)?;
        let fit = fit.only(&tables, &places, &now.counts);
        let rows = snapshot::put_back(session, &snapshot, &fit).map_err(|failure| {
            failure.note("compare the rows first: the restore puts all of them back").hint(Hint::restore(name))
        })?;
        Ok(format!("{rows} rows of {}, as many and the same as in `{}`", listed(&tables), name))
    }

    /// # Errors
    /// `different` when a table has more or fewer rows than after the first forward, or a column other values: one that was null may
    /// have come back with its default, one that was narrowed on the way is rounded.
    pub fn verify_rows(&self, session: &Session<'_>, now: &Counts) -> Result<String> {
        let removals: Vec<Removal> = self.dropped.iter().map(|loss| loss.removal.clone()).collect();
        let found = losses(&mut session.connection(), &removals)?;
        let changed = self.dropped.iter().zip(&found).filter(|(then, now)| then != now);
        let changed = changed.map(|(then, now)| format!("{then} before, {} values now", now.values));
        let wrong: Vec<String> = differing(&self.baseline.counts, now).into_iter().chain(changed).collect();
        let wrong = if wrong.is_empty() { self.other_values(session)? } else { wrong };
        if wrong.is_empty() {
            let tables = now.keys().filter(|table| !table.ends_with(LEDGER_TABLE)).count();
            let same = if self.baseline.values.is_empty() { "" } else { ", and the same values" };
            return Ok(format!("{tables} tables have as many rows as after the first forward{same}"));
        }
        Err(Failure::different("the rows are not those from before the migrations were rolled back")
            .because_all(wrong)
            .hint(match &self.snapshot {
                Some(name) => Hint::restore(name),
                None => "look at what the migration does to rows each time that it runs".into(),
            }))
    }
}

impl SecondPass {
    /// Columns whose values are not those from after the first forward, a sentence for each.
    fn other_values(&self, session: &Session<'_>) -> Result<Vec<String>> {
        let now = prints::values(&mut session.connection(), session.settings.timeouts.snapshot)?;
        let others = self.baseline.values.iter().filter(|(place, then)| now.get(*place) != Some(then));
        Ok(others.map(|(place, _)| format!("{place}: its values are not those from before")).collect())
    }
}

/// What sets two counts apart, a sentence for each table.
pub fn differing(before: &Counts, after: &Counts) -> Vec<String> {
    let tables: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let shown = |rows: Option<&u64>| rows.map_or("no such table".to_owned(), |rows| format!("{rows} rows"));
    let sentence =
        |table: &String| format!("`{table}`: {} before, {} now", shown(before.get(table)), shown(after.get(table)));
    tables.into_iter().filter(|table| before.get(*table) != after.get(*table)).map(sentence).collect()
}
