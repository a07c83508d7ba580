//! Parity: counts both sides of each pair at one moment, looks twice before a difference counts, and then finds where it is.
//!
//! It reads and no more. A side that cannot be counted whole is not counted: what the role may not see would pass for what is not there.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock;
use crate::error::{Failure, Result, Status};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::parity::bisect;
use crate::parity::by_row::difference::{Differences, Listing};
use crate::parity::by_row::mapping::Mapping;
use crate::parity::by_row::told::{self, PairRows};
use crate::parity::by_row::verdict::RowVerdict;
use crate::parity::comparison::{Compared, Comparison, Source};
use crate::parity::obstacle::Obstacle;
use crate::parity::report::{self, Finding, Look};
use crate::parity::shape::{self, Shapes};
use crate::parity::sources::{Api, CountSource, Counted};
use crate::parity::sql::not_compared::NotCompared;
use crate::parity::sql::row_join::Question;
use crate::parity::sql::shapes::shapes;
use crate::parity::{place, plot};
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Step};
use crate::run::stage::{Running, Stage};
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::settings::pair::{Pair, Which};
use crate::stages::mirror;

/// How often a wait looks for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);

/// The option of `parity`.
pub struct Parity {
    /// Where none is named: SQL, and REST where the target does not hold the mirror and there is a key to ask with.
    pub source: Option<Source>,
}

pub struct Inspection {
    shapes: Shapes,
    source: Source,
    /// Of each pair, what makes its rows the same.
    mappings: Vec<Result<Option<Mapping>, Obstacle>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Both sides of each pair are there, with their columns, and every row of them is readable.
    Tables,
    /// Count, and on a breach count again.
    Count,
}

impl Stage for Parity {
    type Inspection = Inspection;
    type Action = Builtin;
    type Memory<'a> = Memory<'a>;

    const DEMAND: Demand = Demand::ReadOnly;

    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let pairs = &session.settings.parity.pairs;
        if !session.settings.supabase.enabled {
            return Err(mirror::switched_off());
        }
        if pairs.is_empty() {
            return Err(Failure::blocked("nothing is compared: drill.toml names no pair of a table and its mirror")
                .hint("add a `[[parity.pairs]]` to drill.toml; docs/configuration.md says what one is"));
        }
        let tables: Vec<&str> =
            pairs.iter().flat_map(|pair| Which::BOTH.map(|which| pair.side(which).table.as_str())).collect();
        let shapes = shapes(&mut session.connection(), &session.target.dsn().schema, &tables)?;
        let here = pairs.iter().all(|pair| shapes.contains_key(&pair.mirror.table));
        let key = session.target.candidate().supabase().is_some_and(|api| api.key.is_some());
        let source = self.source.unwrap_or(if here || !key { Source::Sql } else { Source::Rest });
        let mappings = pairs.iter().map(|pair| Mapping::of(pair, &shapes)).collect();
        Ok(Inspection { shapes, source, mappings })
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let parity = &session.settings.parity;
        let (target, threshold) = (&session.settings.target.name, parity.threshold_pct);
        let names: Vec<String> = parity.pairs.iter().map(|pair| format!("`{}`", pair.name)).collect();
        let again = format!("; over it again after {} s, then find where", parity.settle.as_secs());
        let step = |name, does: String, failure, own| vec![Step { name, does, failure, action: Action::Builtin(own) }];
        Ok(Plan {
            stage: "parity",
            summary: format!("parity on {target}: compare {}, up to {threshold} % apart.", names.join(", ")),
            scripts: Vec::new(),
            rows: crate::evidence::outcome::Counts::new(),
            losses: Vec::new(),
            groups: vec![
                step(
                    "tables",
                    "look at tables, columns, grants and row security of both sides".to_owned(),
                    "a side cannot be counted",
                    Builtin::Tables,
                ),
                step(
                    "count",
                    format!(
                        "count {} and compare with {threshold} %{}{again}",
                        way(inspection.source),
                        to_the_row(inspection)
                    ),
                    "the two sides differ",
                    Builtin::Count,
                ),
            ],
        })
    }

    fn open(&self, _: &Journal<'_>, _: &Inspection) -> Result<()> {
        Ok(())
    }

    fn memory<'a>(&self, session: &'a Session<'a>, inspection: &'a Inspection) -> Memory<'a> {
        let api = (inspection.source != Source::Sql).then(|| Api::new(session, &inspection.shapes).map(Arc::new));
        Memory { api: api.transpose(), state: Mutex::default() }
    }

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        running.builtin(action)
    }

    fn explain(running: &Running<'_, Self>, failure: Failure) -> Failure {
        let moment = running.state().breach.take();
        match moment {
            None => failure,
            Some(moment) => {
                let told = running.locate(moment);
                match running.session.interrupt.check() {
                    Err(interrupted) => interrupted,
                    Ok(()) => failure.because_all(told),
                }
            }
        }
    }

    fn record(running: &Running<'_, Self>, result: &Result<()>) -> Result<()> {
        if let Ok(Some(api)) = &running.memory.api {
            running.journal.record().outcome.notes.extend(api.note());
        }
        let (notes, listings) = running.with_rows(|rows| (told::notes(rows), told::listings(rows)));
        running.state().record(running.journal, &listings, result)?;
        notes.iter().for_each(|note| running.journal.console.say(format!("  note: {note}")));
        running.journal.record().outcome.notes.extend(notes);
        Ok(())
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.data
    }
}

/// What was found so far.
#[derive(Default)]
struct State<'a> {
    looks: Vec<Look>,
    /// Why a side could not be counted, as `parity.json` names it.
    reason: Option<&'static str>,
    /// The moment of the last look, kept where it was a breach: where it is must be asked of the same snapshot.
    breach: Option<CountSource<'a>>,
    findings: Vec<Finding>,
    /// The rows that differed in the last look, of each pair whose rows were compared.
    differences: Vec<Option<Differences>>,
    /// Rows of a pair were to be compared in the last look, and there was no answer.
    unanswered: bool,
}

impl State<'_> {
    /// `parity.json` in any case; the comparison only where it is a verdict: two looks, or one that was within.
    fn record(&self, journal: &Journal<'_>, listings: &[Listing], result: &Result<()>) -> Result<()> {
        let run = journal.run();
        let (last, within) = match (self.looks.last(), result) {
            (Some(last), Ok(())) => (last, true),
            (Some(last), Err(failure)) if failure.status == Status::Different => (last, false),
            (_, Err(failure)) => {
                let (aim, now) = (journal.record().outcome.aim.clone(), clock::rfc3339(clock::now()));
                return run
                    .write_json("parity.json", &report::unfinished(&self.looks, self.reason, failure, &aim, &now));
            }
            (None, Ok(())) => return Err(Failure::bug("parity counted nothing")),
        };
        run.write_json("parity.json", &report::counted(&self.looks, last, &self.findings, listings))?;
        if !within && !self.findings.is_empty() {
            run.write_made("parity.svg", &plot::svg(&self.findings))?;
        }
        journal.console.parity(&last.comparison);
        journal.record().outcome.parity = Some(last.comparison.clone());
        Ok(())
    }
}

/// What the rows of a pair came to, and which alone were compared.
type Rows = Result<(RowVerdict, Option<String>), NotCompared>;

/// What its steps find out for each other.
pub struct Memory<'a> {
    /// None for SQL alone.
    api: Result<Option<Arc<Api<'a>>>, Obstacle>,
    state: Mutex<State<'a>>,
}

impl<'a> Running<'a, Parity> {
    fn builtin(&self, action: &Builtin) -> Result<Ended> {
        let done = match action {
            Builtin::Tables => self.tables().map(Ended::from),
            Builtin::Count => self.count(),
        };
        done.map_err(|obstacle| {
            // A difference is a finding, and an interruption is neither.
            if !matches!(obstacle, Obstacle::Other(_)) {
                self.state().reason = Some(obstacle.reason());
            }
            in_words(self.session, &obstacle)
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<'a>> {
        self.memory.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pairs(&self) -> &'a [Pair] {
        &self.session.settings.parity.pairs
    }

    fn tables(&self) -> Result<String, Obstacle> {
        self.pairs().iter().try_for_each(|pair| match self.inspection.source {
            Source::Rest => shape::check_side(pair, Which::Prisma, &self.inspection.shapes),
            Source::Sql | Source::Both => shape::check(pair, &self.inspection.shapes),
        })?;
        if self.inspection.source != Source::Sql {
            self.pairs().iter().try_for_each(|pair| self.api()?.sees_every_row(&pair.mirror))?;
        }
        self.inspection.mappings.iter().try_for_each(|mapping| mapping.as_ref().map(|_| ()).map_err(Clone::clone))?;
        let by_sql = |table: &&String| {
            self.inspection.source != Source::Rest || self.pairs().iter().any(|pair| pair.prisma.table == **table)
        };
        let tables: Vec<String> =
            self.inspection.shapes.keys().filter(by_sql).map(|table| format!("`{table}`")).collect();
        Ok(format!("every row of {} is readable", tables.join(" and ")))
    }

    fn api(&self) -> Result<Arc<Api<'a>>, Obstacle> {
        let api = self.memory.api.as_ref().map_err(Clone::clone)?;
        Ok(api.clone().ok_or_else(|| Failure::bug("the mirror was to be counted by SQL alone"))?)
    }

    fn count(&self) -> Result<Ended, Obstacle> {
        let (first, moment) = self.look()?;
        if first.within() {
            return Ok(self.ended(&first, first.in_words()));
        }
        // A snapshot held open while we wait would keep the server from cleaning up.
        drop(moment);
        let settle = self.session.settings.parity.settle;
        let waiting = self.session.headway.doing(&format!("again after {} s, for rows in flight", settle.as_secs()));
        wait(self.session, settle)?;
        drop(waiting);
        let (second, moment) = self.look()?;
        let waited = format!("after {} s, for rows in flight", settle.as_secs());
        if second.within() {
            return Ok(self.ended(&second, format!("{} (counted again {waited})", second.in_words())));
        }
        self.state().breach = Some(moment);
        Err(self.different(&second, &waited).into())
    }

    /// What was not compared, and was to be, is not told as done.
    fn ended(&self, comparison: &Comparison, said: String) -> Ended {
        let compared = || comparison.pairs.iter().filter(|pair| !pair.is_empty() && pair.rows.is_some());
        let by_row = compared().next().is_some() && compared().all(|pair| pair.rows_not_compared.is_none());
        match () {
            () if comparison.is_empty() => Ended::NotTried(said),
            () if self.state().unanswered => {
                Ended::NotTried(format!("{said} by their counts; not every pair was compared row by row"))
            }
            () if by_row => Ended::Done(format!("{said}; compared to the row")),
            () => Ended::Done(said),
        }
    }

    /// Counts all pairs at one moment, and compares the rows of those whose rows have partners.
    fn look(&self) -> Result<(Comparison, CountSource<'a>), Obstacle> {
        let at = clock::rfc3339(clock::now());
        let mut moment = CountSource::now(self.session, self.inspection.source, || self.api())?;
        let counts = moment.counts(self.pairs())?;
        let threshold_pct = self.session.settings.parity.threshold_pct;
        let rows = self.rows(&mut moment, &counts)?;
        let compare = |((pair, counted), rows): ((&Pair, Counted), Option<Rows>)| {
            let Counted { prisma, mirror, over_rest } = counted;
            let compared = Compared::new(&pair.name, prisma, mirror, threshold_pct);
            let compared = match over_rest {
                Some(rows) => compared.with_rest(rows, threshold_pct),
                None => compared,
            };
            match rows {
                None => compared,
                Some(Ok((rows, partly))) => Compared { rows_not_compared: partly, ..compared.with_rows(rows) },
                Some(Err(why)) => Compared { rows_not_compared: Some(why.to_string()), ..compared },
            }
        };
        let pairs = self.pairs().iter().zip(counts).zip(rows).map(compare).collect();
        let comparison = Comparison { threshold_pct, pairs, source: self.inspection.source };
        self.state().looks.push(Look { at, comparison: comparison.clone() });
        Ok((comparison, moment))
    }

    /// The mapping of each pair that has one. The step before has looked at those that cannot be.
    fn mappings(&self) -> impl Iterator<Item = Option<&'a Mapping>> {
        self.inspection.mappings.iter().map(|mapping| mapping.as_ref().ok().and_then(Option::as_ref))
    }

    /// What each pair's rows come to; a row differs where it did in the look before, too.
    fn rows(&self, moment: &mut CountSource<'_>, counts: &[Counted]) -> Result<Vec<Option<Rows>>, Obstacle> {
        let schema = &self.session.target.dsn().schema;
        let pairs = || self.pairs().iter().zip(counts).zip(self.mappings());
        let question = |((pair, counted), mapping): ((&'a Pair, &Counted), Option<&'a Mapping>)| {
            Some(Question { schema, pair, mapping: mapping?, counted: (counted.prisma, counted.mirror) })
        };
        let mut answers = moment.rows(&pairs().filter_map(question).collect::<Vec<_>>())?.into_iter();
        self.state().unanswered = false;
        let mut before = std::mem::take(&mut self.state().differences).into_iter();
        let threshold = self.session.settings.parity.threshold_pct;
        let mut verdicts = Vec::new();
        for ((_, counted), mapping) in pairs() {
            let (Some(mapping), before) = (mapping, before.next().flatten()) else {
                verdicts.push(None);
                self.state().differences.push(None);
                continue;
            };
            let answer = answers.next().ok_or_else(|| Failure::bug("a pair's rows have no answer"))?;
            let found = answer.and_then(|found| identified(found, mapping, counted)).map(|found| match &before {
                Some(before) => found.also_in(before),
                None => found,
            });
            self.state().unanswered |= matches!(found, Err(NotCompared::Failed(_)));
            verdicts.push(Some(found.as_ref().map_err(Clone::clone).map(|found| {
                let how = mapping.how(self.inspection.source != Source::Rest);
                let thresholds = [threshold, mapping.threshold_pct];
                let verdict = RowVerdict::new(how, mapping.value_names(), found, counted.prisma, thresholds);
                (verdict, found.partly.clone())
            })));
            self.state().differences.push(found.ok());
        }
        Ok(verdicts)
    }

    fn different(&self, comparison: &Comparison, waited: &str) -> Failure {
        let names: Vec<String> = comparison.breaches().map(|pair| format!("`{}`", pair.name)).collect();
        let (names, threshold) = (names.join(", "), comparison.threshold_pct);
        let message = match comparison.differs_in_values_alone() {
            true => format!("the mirror has other values than Prisma in {names}"),
            false => format!("Prisma and the mirror are more than {threshold} % apart in {names}"),
        };
        let failure = Failure::different(message)
            .because_all(comparison.breaches().map(Compared::in_words))
            .because_all(self.with_rows(told::sentences))
            .note(format!("counted twice, the second time {waited}"))
            .hint(Hint::run("parity"));
        match comparison.breaches().any(Compared::has_places) {
            true => failure.note("parity.json and parity.svg show where; mirror what is missing, then count again"),
            false => failure.note("parity.json shows which rows; mirror them anew, then count again"),
        }
    }

    /// What is known of the rows of each pair after the last look.
    fn with_rows<T>(&self, tell: impl FnOnce(&[PairRows<'_>]) -> T) -> T {
        let state = self.state();
        let pairs = state.looks.last().map_or(&[][..], |last| &last.comparison.pairs);
        let rows = pairs.iter().zip(self.mappings()).zip(&state.differences);
        let rows: Vec<PairRows<'_>> =
            rows.map(|((pair, mapping), found)| PairRows { pair, mapping, found: found.as_ref() }).collect();
        tell(&rows)
    }

    /// A step that no plan has: only a breach has a place. What it finds is told with the failure, and so is that it could not.
    fn locate(&self, mut moment: CountSource<'_>) -> Vec<String> {
        let Some(comparison) = self.state().looks.last().map(|look| look.comparison.clone()) else { return Vec::new() };
        let mut findings = Vec::new();
        let work = || {
            let places = || comparison.breaches().filter(|pair| pair.has_places());
            let work = self.session.headway.part(places().count());
            for (at, compared) in places().enumerate() {
                work.step(at + 1, &format!("`{}`", compared.name));
                let pair = self.pairs().iter().find(|pair| pair.name == compared.name);
                let pair = pair.ok_or_else(|| Failure::bug("a pair was counted that no setting names"))?;
                let found = find(&mut moment, pair, &self.inspection.shapes, compared.delta);
                findings.push(found.map_err(|obstacle| in_words(self.session, &obstacle))?);
            }
            let places = |finding: &Finding| format!("`{}` differs in {}", finding.pair, counted(finding.places.len()));
            Ok(findings.iter().map(places).collect::<Vec<_>>().join(", "))
        };
        if !comparison.breaches().any(Compared::has_places) {
            return Vec::new();
        }
        let numbers = self.entry.announce(&["locate"]);
        let result = numbers.and_then(|numbers| self.entry.step(numbers[0], ("locate", true), work));
        let mut told = sentences(&findings);
        self.state().findings = findings;
        if let Err(failure) = result {
            told.push(format!("where else is not known: {}", failure.message));
        }
        told
    }
}

fn way(source: Source) -> &'static str {
    match source {
        Source::Sql => "both sides in one snapshot",
        Source::Rest => "Prisma's side by SQL and the mirror over REST",
        Source::Both => "both sides in one snapshot, the mirror over REST too,",
    }
}

/// What the plan says of the rows.
fn to_the_row(inspection: &Inspection) -> &'static str {
    let mut mappings = inspection.mappings.iter().filter_map(|mapping| mapping.as_ref().ok()?.as_ref());
    match mappings.any(|mapping| inspection.source != Source::Rest || mapping.over_rest) {
        true => ", then row by row",
        false => "",
    }
}

/// A key by which no row of either side has a partner identifies nothing, as where the mirror stamps its rows on arrival: no row is lost for it, and
/// none was compared.
fn identified(found: Differences, mapping: &Mapping, counted: &Counted) -> Result<Differences, NotCompared> {
    if found.partners > 0 || counted.prisma == 0 || counted.mirror == 0 {
        return Ok(found);
    }
    Err(NotCompared::Failed(format!("no row has a partner by {}, which identifies none here", mapping.by())))
}

fn in_words(session: &Session<'_>, obstacle: &Obstacle) -> Failure {
    obstacle.failure(&session.target.dsn().schema, &session.identity.user)
}

/// Waits, but not for longer than the user wants.
fn wait(session: &Session<'_>, duration: Duration) -> Result<()> {
    let deadline = Instant::now() + duration;
    while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        session.interrupt.check()?;
        std::thread::sleep(left.min(LOOK));
    }
    session.interrupt.check()
}

fn counted(places: usize) -> String {
    if places == 1 { "1 place".to_owned() } else { format!("{places} places") }
}

fn sentences(findings: &[Finding]) -> Vec<String> {
    let of = |finding: &Finding| {
        let pair = finding.pair.clone();
        finding.sentences.clone().into_iter().map(move |sentence| format!("{pair}: {sentence}"))
    };
    findings.iter().flat_map(of).collect()
}

fn find(moment: &mut CountSource<'_>, pair: &Pair, shapes: &Shapes, delta: i64) -> Result<Finding, Obstacle> {
    let located = bisect::locate(|width, ranges| moment.buckets(pair, width, ranges))?;
    let sample = match located.places.first() {
        Some(worst) => Some(moment.sample(pair, shapes, worst.range)?),
        None => None,
    };
    Ok(Finding {
        pair: pair.name.clone(),
        sentences: place::in_words(&located.places, delta),
        places: located.places,
        sample,
        levels: located.levels,
    })
}
