//! Prisma's side alone, in one snapshot: for a mirror that is counted over REST.

use std::time::Duration;

use postgres::Client;

use crate::headway::Headway;
use crate::interrupt::Interrupt;
use crate::parity::obstacle::Obstacle;
use crate::parity::sample;
use crate::parity::sql::moment::{by_time, count, obstacle, plans, rows};
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

    fn ask<T>(&mut self, ask: impl FnOnce(&mut Client) -> Result<T, postgres::Error>) -> Result<T, Obstacle> {
        let client = self.connection.client();
        let token = client.cancel_token();
        let answer = watched(&[token], self.interrupt, || ask(client));
        self.interrupt.check()?;
        answer.map_err(|error| obstacle(error, Which::Prisma, self.limit))
    }
}
