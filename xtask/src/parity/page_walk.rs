//! A walk over the mirror's rows, a page after the other in the order of one key column, for Prisma's server to compare. There is no snapshot over REST:
//! pages that do not add up to the count are no comparison.

use std::time::{Duration, Instant};

use crate::parity::by_row::difference::Differences;
use crate::parity::by_row::mapping::Compared;
use crate::parity::by_row::segments::{self, MOST_FETCHED, PAGE, Pages};
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
        if *counted > MOST_FETCHED {
            return Err(not_asked(&format!("over REST no more than {MOST_FETCHED} rows are fetched")));
        }
        let compared = mapping.key.iter().chain(&mapping.values).map(|it| it.columns.mirror.as_str());
        let shown = mapping.primary[1].iter().chain([&pair.mirror.time]).map(String::as_str);
        let mut columns: Vec<&str> = compared.chain(shown).collect();
        columns.sort_unstable();
        columns.dedup();
        Ok(Walk { client, question, column, columns, limit })
    }

    /// Compares all of them.
    ///
    /// # Errors
    /// Why one of the two could not be asked. That they were asked and gave nothing to compare is an answer.
    pub fn compare(&self, prisma: &mut OneSide<'_>) -> Result<Result<Differences, NotCompared>, Obstacle> {
        let Question { pair, mapping, counted, .. } = self.question;
        let end = Instant::now() + self.limit;
        let (mut from, mut pages, mut fetched) = (None::<String>, Pages::default(), 0);
        loop {
            let page = match self.page(prisma, from.as_deref())? {
                Ok(page) => page,
                Err(why) => return Ok(Err(why)),
            };
            let is_last = self.is_last(&page, fetched);
            if let Some(why) = self.trouble(&page, is_last, end) {
                return Ok(Err(why));
            }
            let (to, taken) =
                if is_last { (None, page.rows) } else { (page.edges.last, page.rows - page.edges.at_last) };
            let stretch = Stretch { column: self.column, from: from.as_deref(), to: to.as_deref() };
            match prisma.page((pair, mapping), &page.text, stretch)? {
                Ok(found) => pages.add(found),
                Err(why) => return Ok(Err(why)),
            }
            fetched += taken;
            match is_last {
                true if fetched < counted.1 => return Ok(Err(self.too_few(fetched))),
                true => return Ok(Ok(pages.found(counted.0))),
                false => from = to,
            }
        }
    }

    fn page(&self, prisma: &mut OneSide<'_>, from: Option<&str>) -> Result<Result<Page, NotCompared>, Obstacle> {
        let (side, name) = (&self.question.pair.mirror, &self.column.columns.mirror);
        let mut filters = filters(side, None);
        let at_least =
            |from: &str| Filter { column: name.clone(), operator: Operator::AtLeast, value: from.to_owned() };
        filters.extend(from.map(at_least));
        let order = format!("{name}.asc.nullslast");
        let (text, rows) = self.client.page(&side.table, &self.columns, &filters, &order, PAGE)?;
        let edges = prisma.edges(&text, Stretch { column: self.column, from, to: None })?;
        Ok(edges.map(|edges| Page { text, rows: rows as u64, edges }))
    }

    /// An API may give fewer rows than it is asked for, so that a short page alone is no end.
    fn is_last(&self, page: &Page, fetched: u64) -> bool {
        let enough = fetched + page.rows >= self.question.counted.1;
        page.rows < PAGE as u64 && (page.rows == 0 || enough || page.edges.alike)
    }

    fn trouble(&self, page: &Page, is_last: bool, end: Instant) -> Option<NotCompared> {
        let name = &self.column.columns.mirror;
        let (rows, limit) = (page.rows, self.limit.as_secs());
        match () {
            () if page.edges.before > 0 => {
                Some(NotCompared::NotAsked(format!("the API orders `{name}` otherwise than Prisma's server")))
            }
            () if page.edges.alike && !is_last => {
                Some(NotCompared::NotAsked(format!("{rows} rows of the mirror share one `{name}`")))
            }
            () if Instant::now() > end => {
                Some(NotCompared::Failed(format!("fetching them took longer than {limit} s")))
            }
            () => None,
        }
    }

    fn too_few(&self, fetched: u64) -> NotCompared {
        NotCompared::Failed(format!(
            "the API gave {fetched} of {} rows: some came or went meanwhile, or have no `{}`",
            self.question.counted.1, self.column.columns.mirror
        ))
    }
}
