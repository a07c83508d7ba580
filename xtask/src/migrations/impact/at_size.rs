//! Expensive statements once more, beside many rows: how long each takes where tables are as large as production's.
//!
//! All that is pending runs at a few sizes, each in a throw-away database of its own, whose tables stand to each other as production's do. It
//! all ends in time: a size that is not reached is told, and the smaller ones speak for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use postgres::error::SqlState;

use crate::error::{Failure, Result};
use crate::evidence::foretold::{self, Foretold, How, Tried};
use crate::evidence::impact::Impact;
use crate::migrations::impact::growth::{Law, Point};
use crate::migrations::impact::measure::{Timed, apply_timed};
use crate::migrations::impact::{ROWS, filled};
use crate::migrations::in_the_way::InTheWay;
use crate::migrations::stock::stock_in;
use crate::postgres::connection::{Connection, CouldNot};
use crate::rows::grow::{Variety, Wanted, grow, in_order_of_keys, is_enough};
use crate::schema::history::{History, Migration};
use crate::schema::place::Place;
use crate::schema::replay::{AsPrisma, Refused, apply_all, in_throw_away_database};
use crate::settings::production::ProductionRows;
use crate::words::in_line;

/// Rows of the largest table that a statement works on, from size to size.
const SIZES: &[u64] = &[25_000, 50_000, 100_000];

/// All sizes of all migrations together.
const LONGEST: Duration = Duration::from_secs(60);

/// The next size takes so many times as long as the last one, if that was no slower than others.
const LONGER: u32 = 3;

/// From fewer nothing is foretold: what grows does not show yet.
const FEWEST: u64 = 2_000;

/// How large production's tables are, and until when there is time to make tables like them.
pub struct AtSize<'a> {
    rows: &'a ProductionRows,
    pub(super) sizes: &'a [u64],
    pub(super) until: Instant,
    notes: BTreeSet<String>,
    is_whole: bool,
}

/// A statement whose work grows.
struct Expensive {
    /// In the list of all.
    at: usize,
    law: Law,
    /// The tables that it works on, with production's rows.
    tables: BTreeMap<String, u64>,
    tried: Vec<Tried>,
}

/// How it went with one size.
struct Pass {
    /// Rows of the tables that are worked on and were there when the first migration began.
    rows: BTreeMap<String, u64>,
    found: Vec<Impact>,
    /// What could not be made, each as a sentence.
    notes: Vec<String>,
}

impl<'a> AtSize<'a> {
    pub fn new(rows: &'a ProductionRows) -> AtSize<'a> {
        AtSize { rows, sizes: SIZES, until: Instant::now() + LONGEST, notes: BTreeSet::new(), is_whole: true }
    }

    /// Whether every size was reached.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What is not foretold, and why, each as a sentence.
    pub fn notes(self) -> Vec<String> {
        self.notes.into_iter().collect()
    }

    /// Adds to `found`, which is what each statement of `pending` does after `applied`, how long the expensive ones take in production.
    /// What goes wrong is a note.
    ///
    /// # Errors
    /// What `go_on` says.
    pub fn foretell(
        &mut self,
        admin: &mut Connection,
        open: impl Fn(&str) -> Result<Connection>,
        (applied, pending): (&History, &History),
        prisma: AsPrisma<'_>,
        found: &mut [Impact],
        go_on: impl Fn() -> Result<()>,
    ) -> Result<()> {
        if self.rows.is_unknown() {
            return Ok(());
        }
        self.notes.extend(found.iter().filter(|impact| impact.unmeasured.is_some()).map(outside));
        if found.iter().all(|impact| impact.works_on().is_empty()) {
            return Ok(());
        }
        let mut rehearsal = Rehearsal::new(applied, pending, prisma, self.until);
        let there = rehearsal.tables_before(admin, &open)?;
        let mut expensive = self.expensive(found, prisma, &there);
        let mut last = Duration::ZERO;
        for &size in self.sizes {
            if expensive.iter().all(Expensive::is_measured) {
                break;
            }
            let begun = Instant::now();
            if begun + LONGER * last >= self.until {
                self.not_reached(size, "there was no time left");
                break;
            }
            match rehearsal.at_size(admin, &open, Scene { expensive: &expensive, found, size }, &go_on) {
                Ok(pass) => {
                    self.notes.extend(pass.notes.iter().cloned());
                    expensive.iter_mut().for_each(|one| one.look_at(&pass));
                }
                Err(failure) => {
                    go_on()?;
                    let causes: Vec<String> = failure.causes().collect();
                    self.not_reached(size, &[vec![failure.message.clone()], causes].concat().join(": "));
                    break;
                }
            }
            last = begun.elapsed();
        }
        for one in expensive {
            let impact = &mut found[one.at];
            impact.production = one.foretold();
            // Else that is what was told.
            if impact.production.is_none() && !one.tried.is_empty() {
                self.notes.insert(one.unknown(impact));
            }
        }
        self.notes.extend(rehearsal.told());
        Ok(())
    }

    fn not_reached(&mut self, size: u64, why: &str) {
        self.is_whole = false;
        self.notes.insert(format!("nothing was measured beside {} rows: {}", foretold::rows(size), in_line(why)));
    }

    /// What a migration has made itself is empty, and no work.
    fn expensive(&mut self, found: &[Impact], prisma: AsPrisma<'_>, there: &BTreeSet<String>) -> Vec<Expensive> {
        let schema = prisma.schemas.first().copied().unwrap_or_default();
        let mut expensive = Vec::new();
        for (at, impact) in found.iter().enumerate() {
            let mut tables = BTreeMap::new();
            for table in impact.works_on().into_iter().filter(|table| there.contains(*table)) {
                match self.rows.of(table, schema) {
                    Some(rows) => drop(tables.insert(table.to_owned(), rows)),
                    None => drop(self.notes.insert(no_size(table))),
                }
            }
            let law = match () {
                () if impact.has_indexes_to_fill() => Law::Sorting,
                () if tables.len() > 1 => Law::Joining,
                () => Law::Linear,
            };
            if tables.values().any(|rows| *rows > ROWS) {
                expensive.push(Expensive { at, law, tables, tried: Vec::new() });
            }
        }
        expensive
    }
}

fn outside(impact: &Impact) -> String {
    let Impact { migration, line, .. } = impact;
    format!("how long `{migration}` line {line} takes in production is not foretold: it cannot run in a transaction")
}

fn no_size(table: &str) -> String {
    format!(
        "`{}` has no size in `[production.rows]`: how long its rows take in production is not foretold",
        in_line(table)
    )
}

impl Expensive {
    /// The largest of its tables.
    fn lead(&self) -> (&str, u64) {
        let largest = self.tables.iter().max_by_key(|(_, rows)| **rows);
        largest.map(|(table, rows)| (table.as_str(), *rows)).unwrap_or_default()
    }

    fn look_at(&mut self, pass: &Pass) {
        let rows = pass.rows.get(self.lead().0).copied().unwrap_or_default();
        let is_more = self.tried.last().is_none_or(|last| last.rows < rows);
        if let Some(impact) = pass.found.get(self.at).filter(|_| rows > ROWS && is_more) {
            self.tried.push(Tried { rows, ms: impact.ms });
        }
    }

    fn is_measured(&self) -> bool {
        self.tried.last().is_some_and(|last| is_enough(last.rows, self.lead().1))
    }

    fn foretold(&self) -> Option<Foretold> {
        let ((table, rows), last) = (self.lead(), self.tried.last()?);
        let (table, tried) = (table.to_owned(), self.tried.clone());
        if self.is_measured() {
            let ms = last.ms;
            return Some(Foretold { table, rows, ms, low_ms: ms, high_ms: ms, how: How::Measured, tried });
        }
        let points: Vec<Point> = tried.iter().map(|one| Point { rows: one.rows, ms: one.ms }).collect();
        let estimate = self.law.estimate(&points, rows).filter(|_| last.rows >= FEWEST)?;
        let (ms, low_ms, high_ms) = (estimate.ms, estimate.low_ms, estimate.high_ms);
        Some(Foretold { table, rows, ms, low_ms, high_ms, how: How::Extrapolated, tried })
    }

    fn unknown(&self, impact: &Impact) -> String {
        let tables: Vec<String> = self.tables.keys().map(|table| format!("`{}`", in_line(table))).collect();
        format!(
            "how long `{}` line {} takes in production is not foretold: too few rows could be made for {}",
            impact.migration,
            impact.line,
            tables.join(" and ")
        )
    }
}

/// What is played, and at which size.
#[derive(Clone, Copy)]
struct Scene<'a> {
    expensive: &'a [Expensive],
    found: &'a [Impact],
    size: u64,
}

/// What was learned of the rows at one size holds for the next.
struct Rehearsal<'a> {
    applied: &'a History,
    pending: &'a History,
    prisma: AsPrisma<'a>,
    until: Instant,
    /// Many different rows may be in the way of a migration of which copies of few are not.
    variety: Variety,
    in_the_way: InTheWay,
    /// The tables that had rows, when that was learned.
    filled: BTreeSet<Place>,
}

impl<'a> Rehearsal<'a> {
    fn new(applied: &'a History, pending: &'a History, prisma: AsPrisma<'a>, until: Instant) -> Rehearsal<'a> {
        let (in_the_way, filled) = (InTheWay::default(), BTreeSet::new());
        Rehearsal { applied, pending, prisma, until, variety: Variety::All, in_the_way, filled }
    }

    fn tables_before(
        &self,
        admin: &mut Connection,
        open: impl Fn(&str) -> Result<Connection>,
    ) -> Result<BTreeSet<String>> {
        in_throw_away_database(admin, open, self.prisma, |connection| {
            apply_all(connection, &self.applied.migrations, self.prisma)?;
            Ok(tables(connection, self.prisma.schemas)?.into_keys().collect())
        })
    }

    /// Which rows could not be made, and why.
    fn told(self) -> Vec<String> {
        let told = self.in_the_way.told(&self.filled);
        told.into_iter().map(|why| format!("not foretold for production's rows: {why}")).collect()
    }

    fn at_size(
        &mut self,
        admin: &mut Connection,
        open: impl Fn(&str) -> Result<Connection>,
        scene: Scene<'_>,
        go_on: impl Fn() -> Result<()>,
    ) -> Result<Pass> {
        loop {
            go_on()?;
            let mut refused = None;
            let prisma = self.prisma;
            let pass = in_throw_away_database(admin, &open, prisma, |connection| {
                apply_all(connection, &self.applied.migrations, prisma)?;
                self.in_the_way.fill_others(connection, prisma.schemas, ROWS)?;
                self.filled = filled(connection, prisma.schemas)?;
                let mut pass = self.grown(connection, scene, &go_on)?;
                for migration in &self.pending.migrations {
                    go_on()?;
                    match apply_timed(connection, migration, prisma, Some(&self.timed(migration, scene)), &go_on) {
                        Ok(impacts) => pass.found.extend(impacts),
                        Err(why) => {
                            refused = Some(in_time(*why, migration)?);
                            break;
                        }
                    }
                }
                Ok(pass)
            })?;
            match refused {
                None => return Ok(pass),
                Some(_) if self.variety != Variety::Copies => self.variety = scene.less(self.variety),
                Some(why) => self.in_the_way.widen(why, &self.filled)?,
            }
        }
    }

    fn timed(&self, migration: &Migration, scene: Scene<'_>) -> Timed {
        let of_it = scene.expensive.iter().enumerate().map(|(number, one)| (number, &scene.found[one.at]));
        let again =
            of_it.filter(|(number, impact)| impact.migration == migration.name && scene.leaves_no_trace(*number));
        Timed { again: again.map(|(_, impact)| impact.line).collect(), until: self.until }
    }

    fn grown(&self, connection: &mut Connection, scene: Scene<'_>, go_on: impl Fn() -> Result<()>) -> Result<Pass> {
        let there = tables(connection, self.prisma.schemas)?;
        let wanted = scene.wanted();
        let mut pass = Pass { rows: BTreeMap::new(), found: Vec::new(), notes: Vec::new() };
        for place in
            in_order_of_keys(connection, wanted.keys().filter_map(|table| there.get(table).cloned()).collect())?
        {
            go_on()?;
            let table = place.full_table_name();
            let grown = grow(
                connection,
                &place,
                Wanted { rows: wanted[&table], variety: scene.in_proportion(self.variety), until: self.until },
            )?;
            let vacuum = format!("vacuum (analyze) {}", place.relation());
            connection.client().batch_execute(&vacuum).could_not("tell the planner of made-up rows")?;
            pass.notes.extend(grown.why.map(|why| no_more(&table, grown.rows, &why)));
            pass.rows.insert(table, grown.rows);
        }
        Ok(pass)
    }
}

impl Scene<'_> {
    /// Rows that were changed lie about after a rollback, in the way of what comes later.
    fn leaves_no_trace(&self, number: usize) -> bool {
        let changed = &self.found[self.expensive[number].at].rows;
        let mut later = self.expensive[number + 1..].iter().flat_map(|one| one.tables.keys());
        !later.any(|table| changed.contains_key(table))
    }

    /// What is tried after it.
    fn less(&self, variety: Variety) -> Variety {
        if variety == Variety::All { self.in_proportion(Variety::Of(0)) } else { Variety::Copies }
    }

    /// The smallest table is another one at each size.
    fn in_proportion(&self, variety: Variety) -> Variety {
        match variety {
            Variety::Of(_) => Variety::Of(self.wanted().into_values().min().unwrap_or_default().max(ROWS)),
            other => other,
        }
    }

    /// Tables that are worked on together stand to each other as they do in production.
    fn wanted(&self) -> BTreeMap<String, u64> {
        let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
        for one in self.expensive {
            let (_, lead) = one.lead();
            for (table, rows) in &one.tables {
                let share = (u128::from(*rows) * u128::from(self.size.min(lead))).div_ceil(u128::from(lead.max(1)));
                let share = u64::try_from(share).unwrap_or(u64::MAX);
                let least = wanted.entry(table.clone()).or_insert(share);
                *least = share.min(*least);
            }
        }
        wanted
    }
}

fn no_more(table: &str, rows: u64, why: &str) -> String {
    format!("of `{}` {} rows were made, and no more: {}", in_line(table), foretold::rows(rows), in_line(why))
}

/// A statement that was stopped in time has nothing against rows.
fn in_time(refused: Refused, migration: &Migration) -> Result<Refused> {
    if refused.code == Some(SqlState::QUERY_CANCELED) {
        return Err(Failure::failed(format!("a statement of `{}` did not end in time", migration.name)));
    }
    Ok(refused)
}

fn tables(connection: &mut Connection, schemas: &[&str]) -> Result<BTreeMap<String, Place>> {
    connection.read(|transaction| {
        let stock = stock_in(transaction)?;
        let tables = stock.of_roots().map(|(_, place)| place);
        let tables = tables.filter(|place| place.column.is_none() && schemas.contains(&place.schema.as_str()));
        Ok(tables.map(|place| (place.full_table_name(), place)).collect())
    })
}
