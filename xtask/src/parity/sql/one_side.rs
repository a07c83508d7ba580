//! Prisma's side alone, in one snapshot: for a mirror that is counted over REST.

use std::time::Duration;

use postgres::Client;

use crate::headway::Headway;
use crate::interrupt::Interrupt;
use crate::parity::by_row::difference::Differences;
use crate::parity::by_row::mapping::{Compared, Mapping};
use crate::parity::by_row::uneven::Border;
use crate::parity::obstacle::Obstacle;
use crate::parity::sample;
use crate::parity::sql::moment::{by_time, count, obstacle, plans, rows};
use crate::parity::sql::not_compared::NotCompared;
use crate::parity::sql::page_join::{self, Edges, Stretch};
use crate::parity::time::{Range, Second, Width};
use crate::postgres::cancel::watched;
use crate::postgres::connection::Connection;
use crate::settings::pair::{Pair, Side, Which};

pub struct OneSide<'a> {
    connection: Connection,
    schema: &'a str,
    /// Of each statement.
    limit: Duration,
    interrupt: &'a Interrupt,
    headway: &'a Headway,
}

impl<'a> OneSide<'a> {
    /// Sees what is there now, whenever it is asked.
    ///
    /// # Errors
    /// As the other questions.
    pub fn new(
        mut connection: Connection,
        schema: &'a str,
        limit: Duration,
        (interrupt, headway): (&'a Interrupt, &'a Headway),
    ) -> Result<OneSide<'a>, Obstacle> {
        let begin = "begin isolation level repeatable read, read only";
        connection.client().batch_execute(begin).map_err(|error| obstacle(error, Which::Prisma, limit))?;
        Ok(OneSide { connection, schema, limit, interrupt, headway })
    }

    /// Rows of each pair.
    ///
    /// # Errors
    /// Why they could not be counted; `interrupted` when a signal came.
    pub fn counts(&mut self, pairs: &[Pair]) -> Result<Vec<u64>, Obstacle> {
        let sides: Vec<&Side> = pairs.iter().map(|pair| &pair.prisma).collect();
        let (schema, headway) = (self.schema, self.headway);
        let plans = self.ask(|client| plans(client, schema, &sides))?;
        if let Some((side, _)) = sides.iter().zip(&plans).find(|(_, plan)| plan.leads_away) {
            return Err(Obstacle::Elsewhere { which: Which::Prisma, table: side.table.clone() });
        }
        self.ask(|client| count(client, schema, (&sides, &plans), headway))
    }

    /// As the buckets of `Moment`.
    ///
    /// # Errors
    /// As `counts`.
    pub fn buckets(&mut self, pair: &Pair, width: Width, ranges: &[Range]) -> Result<Vec<(Second, u64)>, Obstacle> {
        let schema = self.schema;
        let mut buckets = self.ask(|client| by_time(client, schema, &pair.prisma, width, ranges))?;
        buckets.sort_unstable();
        Ok(buckets)
    }

    /// Keys and times of the rows of `pair` in `range`.
    ///
    /// # Errors
    /// As `counts`.
    pub fn rows(&mut self, pair: &Pair, key: &[String], range: Range) -> Result<Vec<sample::Row>, Obstacle> {
        let schema = self.schema;
        self.ask(|client| rows(client, schema, &pair.prisma, key, range))
    }

    /// What a page of the mirror's rows holds of the column that it is ordered by.
    ///
    /// # Errors
    /// As `counts`. That the server cannot read it is an answer.
    pub fn edges(&mut self, page: &str, stretch: Stretch<'_>) -> Result<Result<Edges, NotCompared>, Obstacle> {
        let limit = self.limit;
        self.ask(|client| NotCompared::or_lost(page_join::edges(client, page, stretch), limit))
    }

    /// Where the rows of `pair` are parted by that column, and how many of them have no value there.
    ///
    /// # Errors
    /// As `edges`.
    pub fn borders(
        &mut self,
        pair: &Pair,
        column: &Compared,
        size: usize,
    ) -> Result<Result<(Vec<Border>, u64), NotCompared>, Obstacle> {
        let (schema, limit) = (self.schema, self.limit);
        self.ask(|client| NotCompared::or_lost(page_join::borders(client, (schema, pair), column, size), limit))
    }

    /// A page of the mirror's rows against the rows of `pair` in the same stretch.
    ///
    /// # Errors
    /// As `edges`.
    pub fn page(
        &mut self,
        (pair, mapping): (&Pair, &Mapping),
        page: &str,
        stretch: Stretch<'_>,
    ) -> Result<Result<Differences, NotCompared>, Obstacle> {
        let (schema, limit) = (self.schema, self.limit);
        self.ask(|client| {
            NotCompared::or_lost(page_join::compare(client, (schema, pair, mapping), page, stretch), limit)
        })
    }

    /// How long all pages of a pair may take, as a statement may.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&mut Client) -> Result<T, postgres::Error>) -> Result<T, Obstacle> {
        let client = self.connection.client();
        let token = client.cancel_token();
        let answer = watched(&[token], self.interrupt, || ask(client));
        self.interrupt.check()?;
        answer.map_err(|error| obstacle(error, Which::Prisma, self.limit))
    }
}
