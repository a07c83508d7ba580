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
use crate::parity::comparison::{Compared, Comparison, Source};
use crate::parity::obstacle::Obstacle;
use crate::parity::report::{self, Finding, Look};
use crate::parity::shape::{self, Shapes};
use crate::parity::sources::{Api, CountSource, Counted};
use crate::parity::sql::moment::shapes;
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
        Ok(Inspection { shapes, source })
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
                    format!("count {} and compare with {threshold} %{again}", way(inspection.source)),
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
        running.state().record(running.journal, result)
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
}

impl State<'_> {
    /// `parity.json` in any case; the comparison only where it is a verdict: two looks, or one that was within.
    fn record(&self, journal: &Journal<'_>, result: &Result<()>) -> Result<()> {
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
        run.write_json("parity.json", &report::counted(&self.looks, last, &self.findings))?;
        if !within {
            run.write_made("parity.svg", &plot::svg(&self.findings))?;
        }
        journal.console.parity(&last.comparison);
        journal.record().outcome.parity = Some(last.comparison.clone());
        Ok(())
    }
}

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
            let said = first.in_words();
            return Ok(if first.is_empty() { Ended::NotTried(said) } else { Ended::Done(said) });
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
            return Ok(format!("{} (counted again {waited})", second.in_words()).into());
        }
        self.state().breach = Some(moment);
        Err(self.different(&second, &waited).into())
    }

    /// Counts all pairs at one moment.
    fn look(&self) -> Result<(Comparison, CountSource<'a>), Obstacle> {
        let at = clock::rfc3339(clock::now());
        let mut moment = CountSource::now(self.session, self.inspection.source, || self.api())?;
        let counts = moment.counts(self.pairs())?;
        let threshold_pct = self.session.settings.parity.threshold_pct;
        let compare = |(pair, Counted { prisma, mirror, over_rest }): (&Pair, Counted)| {
            let compared = Compared::new(&pair.name, prisma, mirror, threshold_pct);
            match over_rest {
                Some(rows) => compared.with_rest(rows, threshold_pct),
                None => compared,
            }
        };
        let pairs = self.pairs().iter().zip(counts).map(compare).collect();
        let comparison = Comparison { threshold_pct, pairs, source: self.inspection.source };
        self.state().looks.push(Look { at, comparison: comparison.clone() });
        Ok((comparison, moment))
    }

    fn different(&self, comparison: &Comparison, waited: &str) -> Failure {
        let names: Vec<String> = comparison.breaches().map(|pair| format!("`{}`", pair.name)).collect();
        let threshold = comparison.threshold_pct;
        Failure::different(format!("Prisma and the mirror are more than {threshold} % apart in {}", names.join(", ")))
            .because_all(comparison.breaches().map(Compared::in_words))
            .note(format!("counted twice, the second time {waited}"))
            .note("parity.json and parity.svg show where; mirror what is missing, then count again")
            .hint(Hint::run("parity"))
    }

    /// A step that no plan has: only a breach has a place. What it finds is told with the failure, and so is that it could not.
    fn locate(&self, mut moment: CountSource<'_>) -> Vec<String> {
        let Some(comparison) = self.state().looks.last().map(|look| look.comparison.clone()) else { return Vec::new() };
        let mut findings = Vec::new();
        let work = || {
            let work = self.session.headway.part(comparison.breaches().count());
            for (at, compared) in comparison.breaches().enumerate() {
                work.step(at + 1, &format!("`{}`", compared.name));
                let pair = self.pairs().iter().find(|pair| pair.name == compared.name);
                let pair = pair.ok_or_else(|| Failure::bug("a pair was counted that no setting names"))?;
                let found = find(&mut moment, pair, &self.inspection.shapes, compared.delta);
                findings.push(found.map_err(|obstacle| in_words(self.session, &obstacle))?);
            }
            let places = |finding: &Finding| format!("`{}` differs in {}", finding.pair, counted(finding.places.len()));
            Ok(findings.iter().map(places).collect::<Vec<_>>().join(", "))
        };
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
