//! A walk over the mirror's rows, a page after the other in the order of one key column, for Prisma's server to compare. There is no snapshot over REST:
//! pages that do not add up to the count are no comparison. Of more rows than are fetched, those stretches of the column are walked over in which the
//! two sides' counts differ.

use std::time::{Duration, Instant};

use crate::parity::by_row::difference::Differences;
use crate::parity::by_row::mapping::Compared;
use crate::parity::by_row::segments::{self, MOST_FETCHED, PAGE, Pages};
use crate::parity::by_row::uneven::{Uneven, uneven};
use crate::parity::obstacle::Obstacle;
use crate::parity::rest::{Client, Filter, Operator, filters};
use crate::parity::sql::not_compared::NotCompared;
use crate::parity::sql::one_side::OneSide;
use crate::parity::sql::page_join::{Edges, Stretch};
use crate::parity::sql::row_join::Question;

pub struct Walk<'a> {
    client: &'a Client,
    question: &'a Question<'a>,
    /// The column that orders the pages.
    column: &'a Compared,
    /// Of the mirror, what a page holds.
    columns: Vec<&'a str>,
    /// For all pages.
    limit: Duration,
}

/// Why there is no answer.
enum Stop {
    Obstacle(Box<Obstacle>),
    Why(NotCompared),
}

impl From<Obstacle> for Stop {
    fn from(obstacle: Obstacle) -> Stop {
        Stop::Obstacle(Box::new(obstacle))
    }
}

/// Counts of stretches that are asked for, of one pair.
const MOST_ASKED: usize = 2_000;

/// The mirror's rows from a value of the column on, as many as come.
struct Page {
    text: String,
    rows: u64,
    edges: Edges,
}

impl<'a> Walk<'a> {
    /// # Errors
    /// Why there is nothing to be walked over.
    pub fn new(client: &'a Client, question: &'a Question<'a>, limit: Duration) -> Result<Walk<'a>, NotCompared> {
        let Question { pair, mapping, counted: (_, counted), .. } = question;
        let not_asked = |why: &str| NotCompared::NotAsked(why.to_owned());
        if !mapping.over_rest {
            return Err(not_asked("over REST they are fetched only where `over_rest = true` stands in `rows`"));
        }
        let column = segments::column(mapping).ok_or_else(|| {
            not_asked("over REST a key needs a number, a time or a UUID, and no list may be compared")
        })?;
        if *counted > MOST_FETCHED && *counted == question.counted.0 {
            return Err(not_asked(&format!(
                "over REST no more than {MOST_FETCHED} rows are fetched, and the counts do not differ"
            )));
        }
        let compared = mapping.key.iter().chain(&mapping.values).map(|it| it.columns.mirror.as_str());
        let shown = mapping.primary[1].iter().chain([&pair.mirror.time]).map(String::as_str);
        let mut columns: Vec<&str> = compared.chain(shown).collect();
        columns.sort_unstable();
        columns.dedup();
        Ok(Walk { client, question, column, columns, limit })
    }

    /// Compares them.
    ///
    /// # Errors
    /// Why one of the two could not be asked. That they were asked and gave nothing to compare is an answer.
    pub fn compare(&self, prisma: &mut OneSide<'_>) -> Result<Result<Differences, NotCompared>, Obstacle> {
        let end = Instant::now() + self.limit;
        let (stretches, partly) = match self.stretches(prisma, end) {
            Ok(found) => found,
            Err(Stop::Obstacle(obstacle)) => return Err(*obstacle),
            Err(Stop::Why(why)) => return Ok(Err(why)),
        };
        let mut pages = Pages::default();
        for stretch in &stretches {
            if let Err(why) = self.walk(prisma, stretch, &mut pages, end)? {
                return Ok(Err(why));
            }
        }
        Ok(Ok(Differences { partly, ..pages.found(self.question.counted.0) }))
    }

    /// All of it, or what is uneven, and the words for that.
    fn stretches(&self, prisma: &mut OneSide<'_>, end: Instant) -> Result<(Vec<Uneven>, Option<String>), Stop> {
        let Question { pair, counted, .. } = self.question;
        if counted.1 <= MOST_FETCHED {
            return Ok((vec![Uneven { from: None, to: None, rows: counted.1 }], None));
        }
        let name = &self.column.columns.prisma;
        let (borders, without) = prisma.borders(pair, self.column, PAGE)?.map_err(Stop::Why)?;
        if without > 0 {
            return Err(Stop::Why(NotCompared::NotAsked(format!(
                "{without} of more than {MOST_FETCHED} have no `{name}`"
            ))));
        }
        let mut asked = 0;
        let mut ask = |from: Option<&str>, to: &str| {
            asked += 1;
            let why = if asked > MOST_ASKED { Some(self.too_many()) } else { self.too_late(end) };
            if let Some(why) = why {
                return Err(Stop::Why(why));
            }
            Ok(self.client.count(&pair.mirror.table, &self.within(from, Some(to))).map_err(Obstacle::from)?)
        };
        let found = uneven(&borders, *counted, &mut ask)?;
        if found.iter().map(|stretch| stretch.rows).sum::<u64>() > MOST_FETCHED {
            return Err(Stop::Why(self.too_many()));
        }
        let partly = format!(
            "over REST no more than {MOST_FETCHED} rows are fetched, so only where the counts by `{name}` differ was it looked: a changed value elsewhere is not seen"
        );
        Ok((found, Some(partly)))
    }

    fn too_many(&self) -> NotCompared {
        let name = &self.column.columns.prisma;
        NotCompared::Failed(format!(
            "over REST no more than {MOST_FETCHED} rows are fetched, and the counts by `{name}` differ in too many places"
        ))
    }

    fn too_late(&self, end: Instant) -> Option<NotCompared> {
        let limit = self.limit.as_secs();
        let why = || NotCompared::Failed(format!("fetching them took longer than {limit} s"));
        (Instant::now() > end).then(why)
    }

    /// Adds the pages of a stretch.
    fn walk(
        &self,
        prisma: &mut OneSide<'_>,
        all: &Uneven,
        pages: &mut Pages,
        end: Instant,
    ) -> Result<Result<(), NotCompared>, Obstacle> {
        let Question { pair, mapping, .. } = self.question;
        let (mut from, mut fetched) = (all.from.clone(), 0);
        loop {
            let page = match self.page(prisma, from.as_deref(), all.to.as_deref())? {
                Ok(page) => page,
                Err(why) => return Ok(Err(why)),
            };
            let is_last = is_last(&page, fetched, all.rows);
            if let Some(why) = self.trouble(&page, is_last, end) {
                return Ok(Err(why));
            }
            let (to, taken) =
                if is_last { (all.to.clone(), page.rows) } else { (page.edges.last, page.rows - page.edges.at_last) };
            let stretch = Stretch { column: self.column, from: from.as_deref(), to: to.as_deref() };
            match prisma.page((pair, mapping), &page.text, stretch)? {
                Ok(found) => pages.add(found),
                Err(why) => return Ok(Err(why)),
            }
            fetched += taken;
            match is_last {
                true if fetched < all.rows => return Ok(Err(self.too_few(fetched, all.rows))),
                true => return Ok(Ok(())),
                false => from = to,
            }
        }
    }

    /// That a row of the mirror is of the side and of that stretch.
    fn within(&self, from: Option<&str>, to: Option<&str>) -> Vec<Filter> {
        let name = &self.column.columns.mirror;
        let filter = |operator, value: &str| Filter { column: name.clone(), operator, value: value.to_owned() };
        let mut filters = filters(&self.question.pair.mirror, None);
        filters.extend(from.map(|from| filter(Operator::AtLeast, from)));
        filters.extend(to.map(|to| filter(Operator::Below, to)));
        filters
    }

    fn page(
        &self,
        prisma: &mut OneSide<'_>,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Result<Page, NotCompared>, Obstacle> {
        let (table, name) = (&self.question.pair.mirror.table, &self.column.columns.mirror);
        let order = format!("{name}.asc.nullslast");
        let (text, rows) = self.client.page(table, &self.columns, &self.within(from, to), &order, PAGE)?;
        let edges = prisma.edges(&text, Stretch { column: self.column, from, to: None })?;
        Ok(edges.map(|edges| Page { text, rows: rows as u64, edges }))
    }

    fn trouble(&self, page: &Page, is_last: bool, end: Instant) -> Option<NotCompared> {
        let name = &self.column.columns.mirror;
        let rows = page.rows;
        match () {
            () if page.edges.before > 0 => {
                Some(NotCompared::NotAsked(format!("the API orders `{name}` otherwise than Prisma's server")))
            }
            () if page.edges.alike && !is_last => {
                Some(NotCompared::NotAsked(format!("{rows} rows of the mirror share one `{name}`")))
            }
            () => self.too_late(end),
        }
    }

    fn too_few(&self, fetched: u64, all: u64) -> NotCompared {
        NotCompared::Failed(format!(
            "the API gave {fetched} of {all} rows: some came or went meanwhile, or have no `{}`",
            self.column.columns.mirror
        ))
    }
}

/// An API may give fewer rows than it is asked for, so that a short page alone is no end.
fn is_last(page: &Page, fetched: u64, all: u64) -> bool {
    let enough = fetched + page.rows >= all;
    page.rows < PAGE as u64 && (page.rows == 0 || enough || page.edges.alike)
}
