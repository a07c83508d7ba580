//! Where the two sides' counts come from: both by SQL in one snapshot, or Prisma's by SQL and the mirror's over REST,
//! or all of that.
//!
//! Over REST there is no snapshot: each count is of its own moment. A row that comes in between looks like a
//! difference, and is none at the second look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::parity::bisect;
use crate::parity::by_row::difference::Differences;
use crate::parity::comparison::Source;
use crate::parity::halving;
use crate::parity::obstacle::Obstacle;
use crate::parity::page_walk::Walk;
use crate::parity::rest::{self, Cause, Client, Filter, filters};
use crate::parity::sample::{MOST_ROWS, Row, Sample};
use crate::parity::shape::Shapes;
use crate::parity::sql::api;
use crate::parity::sql::moment::Moment;
use crate::parity::sql::not_compared::NotCompared;
use crate::parity::sql::one_side::OneSide;
use crate::parity::sql::row_join::Question;
use crate::parity::time::{Bucket, Range, Second, Width};
use crate::session::Session;
use crate::settings::SupabaseSettings;
use crate::settings::pair::{Pair, Side};

/// Between two looks at a schema cache that was asked to reload.
const RELOAD_LOOK: Duration = Duration::from_millis(200);

/// Rows of one pair.
pub struct Counted {
    pub prisma: u64,
    pub mirror: u64,
    /// The mirror again, where both ways were asked for.
    pub over_rest: Option<u64>,
}

pub enum CountSource<'a> {
    Sql(Moment<'a>),
    Rest(OneSide<'a>, Arc<Api<'a>>),
    Both(Moment<'a>, Arc<Api<'a>>),
}

impl<'a> CountSource<'a> {
    /// What is there now.
    ///
    /// # Errors
    /// As the other questions.
    pub fn now(
        session: &'a Session<'a>,
        source: Source,
        api: impl FnOnce() -> Result<Arc<Api<'a>>, Obstacle>,
    ) -> Result<CountSource<'a>, Obstacle> {
        let (schema, limit) = (&session.target.dsn().schema, session.settings.timeouts.query);
        let connect = || session.connect();
        let told = (session.interrupt, &session.headway);
        let moment = || Moment::new(connect()?, connect()?, schema, limit, told);
        Ok(match source {
            Source::Sql => CountSource::Sql(moment()?),
            Source::Rest => CountSource::Rest(OneSide::new(connect()?, schema, limit, told)?, api()?),
            Source::Both => CountSource::Both(moment()?, api()?),
        })
    }

    /// Rows of each pair.
    ///
    /// # Errors
    /// Why a side could not be counted; `interrupted` when a signal came.
    pub fn counts(&mut self, pairs: &[Pair]) -> Result<Vec<Counted>, Obstacle> {
        let by_sql = |(prisma, mirror)| Counted { prisma, mirror, over_rest: None };
        match self {
            CountSource::Sql(moment) => Ok(moment.counts(pairs)?.into_iter().map(by_sql).collect()),
            CountSource::Rest(prisma, api) => {
                let (prisma, mirror) = (prisma.counts(pairs)?, api.counts(pairs)?);
                Ok(prisma.into_iter().zip(mirror).map(by_sql).collect())
            }
            CountSource::Both(moment, api) => {
                let (counts, over_rest) = (moment.counts(pairs)?, api.counts(pairs)?);
                let both = |(counts, rows)| Counted { over_rest: Some(rows), ..by_sql(counts) };
                Ok(counts.into_iter().zip(over_rest).map(both).collect())
            }
        }
    }

    /// The rows of each of `questions` compared, or why they were not.
    ///
    /// # Errors
    /// As `counts`.
    pub fn rows(&mut self, questions: &[Question<'_>]) -> Result<Vec<Result<Differences, NotCompared>>, Obstacle> {
        match self {
            CountSource::Sql(moment) | CountSource::Both(moment, _) => moment.rows(questions),
            CountSource::Rest(prisma, api) => {
                questions.iter().map(|question| api.compare_rows(prisma, question)).collect()
            }
        }
    }

    /// Rows of `pair` by buckets of `width`, within `ranges` (all time, where there are none).
    ///
    /// # Errors
    /// As `counts`.
    pub fn buckets(&mut self, pair: &Pair, width: Width, ranges: &[Range]) -> Result<Vec<Bucket>, Obstacle> {
        match self {
            CountSource::Sql(moment) | CountSource::Both(moment, _) => moment.buckets(pair, width, ranges),
            CountSource::Rest(prisma, api) => {
                let prisma = prisma.buckets(pair, width, ranges)?;
                let mirror = api.buckets(&pair.mirror, &prisma, width, ranges)?;
                Ok(bisect::merged(prisma, mirror))
            }
        }
    }

    /// Keys and times of the rows of `pair` in `range`.
    ///
    /// # Errors
    /// As `counts`.
    pub fn sample(&mut self, pair: &Pair, shapes: &Shapes, range: Range) -> Result<Sample, Obstacle> {
        match self {
            CountSource::Sql(moment) | CountSource::Both(moment, _) => moment.sample(pair, shapes, range),
            CountSource::Rest(prisma, api) => {
                let key = |side: &Side| shapes.get(&side.table).map_or(&[][..], |shape| &shape.key);
                let prisma = prisma.rows(pair, key(&pair.prisma), range)?;
                Ok(Sample::of(prisma, api.rows(&pair.mirror, key(&pair.mirror), range)?))
            }
        }
    }
}

/// The REST API of the target, and what its database can tell about it.
pub struct Api<'a> {
    client: Client,
    session: &'a Session<'a>,
    shapes: &'a Shapes,
}

impl<'a> Api<'a> {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// No address, or no key.
    pub fn new(session: &'a Session<'a>, shapes: &'a Shapes) -> Result<Api<'a>, Obstacle> {
        let Session { settings, interrupt, redactor, .. } = session;
        let SupabaseSettings { url_env, key_env, .. } = &settings.supabase;
        let unset = |cause, variable| rest::Obstacle::new(cause, format!("`{variable}` is not set"));
        let api = session.target.candidate().supabase().ok_or_else(|| unset(Cause::NoAddress, url_env))?;
        if api.key.is_none() {
            return Err(unset(Cause::NoKey, key_env).into());
        }
        let client = Client::new(api, &session.target.dsn().schema, &settings.timeouts, interrupt, redactor)?;
        Ok(Api { client, session, shapes })
    }

    /// A count over REST is of the rows that its role may see. The guard accepts no key but the service role's; here
    /// the database says whether that role sees every row, where it is the API's own.
    ///
    /// # Errors
    /// `RowSecurity` where it does not.
    pub fn sees_every_row(&self, side: &Side) -> Result<(), Obstacle> {
        let schema = &self.session.target.dsn().schema;
        let hidden = self.shares_database() && api::hides_rows(&mut self.session.connection(), schema, &side.table)?;
        if hidden { Err(rest::Obstacle::from(Cause::RowSecurity).into()) } else { Ok(()) }
    }

    /// What is worth knowing about the clocks.
    pub fn note(&self) -> Option<String> {
        let ahead = self.client.clock_difference()?;
        Some(format!(
            "the clock of the REST API is {}: times in the evidence are this machine's",
            rest::in_words(ahead)
        ))
    }

    fn shares_database(&self) -> bool {
        self.session.target.candidate().api_is_of_the_database()
    }

    fn counts(&self, pairs: &[Pair]) -> Result<Vec<u64>, Obstacle> {
        let work = self.session.headway.part(pairs.len());
        let count = |(at, pair): (usize, &Pair)| {
            work.step(at + 1, &format!("`{}` over REST", pair.mirror.table));
            self.count(&pair.mirror, None)
        };
        pairs.iter().enumerate().map(count).collect()
    }

    fn count(&self, side: &Side, range: Option<Range>) -> Result<u64, Obstacle> {
        let filters = filters(side, range);
        match self.client.count(&side.table, &filters) {
            Err(unknown) if unknown.cause == Cause::UnknownTable && self.shares_database() => {
                match self.shapes.contains_key(&side.table) {
                    true => Ok(self.count_after_reload(side, &filters)?),
                    false => Err(unknown.of(Cause::TableMissing).into()),
                }
            }
            other => Ok(other?),
        }
    }

    /// The table is there and the API has not seen it: asks it to look again, and waits as long as for a connection.
    fn count_after_reload(&self, side: &Side, filters: &[Filter]) -> Result<u64, rest::Obstacle> {
        // A replica cannot notify; then the wait is for whoever did.
        let _ = api::reload_schema(&mut self.session.connection());
        let end = Instant::now() + self.session.settings.timeouts.connect;
        loop {
            self.client.wait(RELOAD_LOOK)?;
            match self.client.count(&side.table, filters) {
                Err(obstacle) if obstacle.cause == Cause::UnknownTable && Instant::now() < end => {}
                Err(obstacle) if obstacle.cause == Cause::UnknownTable => return Err(obstacle.of(Cause::StaleCache)),
                other => return other,
            }
        }
    }

    fn buckets(
        &self,
        side: &Side,
        prisma: &[(Second, u64)],
        width: Width,
        ranges: &[Range],
    ) -> Result<halving::Counts, Obstacle> {
        let whole = if ranges.is_empty() { self.all_time(side, prisma, width)? } else { None };
        let mut questions = 0;
        let mut ask = |range: Range| {
            questions += 1;
            if questions > halving::MOST_QUESTIONS {
                return Err(Failure::different("too many places differ to ask for each over REST").into());
            }
            self.count(side, Some(range))
        };
        let mut found = halving::Counts::new();
        for &stretch in ranges.iter().chain(&whole) {
            let within: Vec<_> =
                prisma.iter().copied().filter(|(at, _)| (stretch.from..stretch.to).contains(at)).collect();
            found.extend(halving::buckets(&within, width, stretch, &mut ask)?);
        }
        Ok(found)
    }

    /// From the first row of either side to the last.
    fn all_time(&self, side: &Side, prisma: &[(Second, u64)], width: Width) -> Result<Option<Range>, Obstacle> {
        let mut seconds: Vec<Second> = prisma.iter().map(|(start, _)| *start).collect();
        for order in ["asc.nullslast", "desc.nullslast"] {
            let order = format!("{}.{order}", side.time);
            let rows = self.client.sample(&side.table, &[&side.time], &filters(side, None), &order, 1)?;
            seconds.extend(rows.first().and_then(|row| time(row, side)).map(jiff::Timestamp::as_second));
        }
        Ok(halving::around(seconds, width))
    }

    /// The mirror's rows against Prisma's, page by page.
    fn compare_rows(
        &self,
        prisma: &mut OneSide<'_>,
        question: &Question<'_>,
    ) -> Result<Result<Differences, NotCompared>, Obstacle> {
        match Walk::new(&self.client, question, prisma.limit()) {
            Ok(walk) => walk.compare(prisma),
            Err(why) => Ok(Err(why)),
        }
    }

    fn rows(&self, side: &Side, key: &[String], range: Range) -> Result<Vec<Row>, Obstacle> {
        let columns: Vec<&str> = key.iter().chain([&side.time]).map(String::as_str).collect();
        let order = format!("{}.asc", side.time);
        let rows = self.client.sample(&side.table, &columns, &filters(side, Some(range)), &order, MOST_ROWS)?;
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let row = |row: &serde_json::Value| {
            let key: Vec<String> = key.iter().map(|column| text(&row[column])).collect();
            // As the server's own text, in which Prisma's side comes.
            let time = time(row, side).map(|time| time.strftime("%Y-%m-%d %H:%M:%S%.f+00").to_string());
            Row { key: (!key.is_empty()).then(|| key.join(", ")), time: time.unwrap_or_else(|| text(&row[&side.time])) }
        };
        Ok(rows.iter().map(row).collect())
    }
}

fn time(row: &serde_json::Value, side: &Side) -> Option<jiff::Timestamp> {
    row[&side.time].as_str()?.parse().ok()
}
