//! Supabase's REST API (PostgREST behind a gateway): exact counts of a table, and, where there is none, why.
//!
//! The only module that speaks HTTP. Counts are made by the server: the old probe fetched the rows to count them, and
//! 1,000 rows is where the API stops. So a count is one `HEAD` with `Prefer: count=exact`, and its answer is in
//! `Content-Range`; PostgREST's page "Pagination and Count" is the source. An answer to `HEAD` has no body and so no
//! error code: where it fails, the same question is asked once more as `GET`.

mod answer;
mod cause;
mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod transport;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::SignedDuration;
use serde_json::Value;

pub use cause::{Cause, Obstacle, in_words};
pub use filter::{Filter, Operator, filters};

use crate::clock;
use crate::guard::SupabaseApi;
use crate::interrupt::Interrupt;
use crate::settings::Timeouts;
use answer::{Answer, Miss};
use redact::Redactor;
use transport::{Method, Request, Transport};

/// How often a question is asked again, and the first and the longest wait before that. A `Retry-After` counts up to
/// the longest.
const TRIES: usize = 3;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// PostgREST itself forgives 30 s, and `Date` has no fractions.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// One project's API, asked with one key about one schema.
pub struct Client {
    transport: Transport,
    redactor: Redactor,
    /// How far the server's clock was ahead of ours in its last answer.
    ahead: Mutex<SignedDuration>,
    tries: usize,
}

impl Client {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// `NoKey`; `NotLoopback` where `http://` would leave this machine.
    pub fn new(
        api: &SupabaseApi,
        schema: &str,
        timeouts: &Timeouts,
        interrupt: &Interrupt,
        redactor: &Redactor,
    ) -> Result<Client, Obstacle> {
        let transport = Transport::new(api, schema, timeouts, interrupt)?;
        Ok(Client { transport, redactor: redactor.clone(), ahead: Mutex::default(), tries: TRIES })
    }

    /// Asks nothing a second time.
    #[must_use]
    pub fn impatient(self) -> Client {
        Client { tries: 0, ..self }
    }

    /// How many rows of `table` pass every filter, as the server counted them.
    ///
    /// # Errors
    /// A cause for each way in which there can be no exact count.
    pub fn count(&self, table: &str, filters: &[Filter]) -> Result<u64, Obstacle> {
        // The count is of all rows, whatever the limit: one row is the least that every version of PostgREST agrees on.
        let path = filter::path(table, filters, &[("limit", "1")])?;
        self.patiently(|| {
            let head = self.ask(Method::Head, &path)?;
            if head.is_mute() { self.ask(Method::Get, &path)?.total() } else { head.total() }
        })
    }

    /// `columns` of at most `limit` rows that pass every filter, in `order` (`created_at.asc`).
    ///
    /// # Errors
    /// As for [`Client::count`].
    pub fn sample(
        &self,
        table: &str,
        columns: &[&str],
        filters: &[Filter],
        order: &str,
        limit: usize,
    ) -> Result<Vec<Value>, Obstacle> {
        let (columns, limit) = (columns.join(","), limit.to_string());
        let path = filter::path(table, filters, &[("select", &columns), ("order", order), ("limit", &limit)])?;
        self.patiently(|| self.ask(Method::Get, &path)?.rows())
    }

    /// As [`Client::sample`], as the text that came: no number in it is rounded. Also how many rows it holds.
    ///
    /// # Errors
    /// As for [`Client::count`].
    pub fn page(
        &self,
        table: &str,
        columns: &[&str],
        filters: &[Filter],
        order: &str,
        limit: usize,
    ) -> Result<(String, usize), Obstacle> {
        let (columns, limit) = (columns.join(","), limit.to_string());
        let path = filter::path(table, filters, &[("select", &columns), ("order", order), ("limit", &limit)])?;
        self.patiently(|| {
            let answer = self.ask(Method::Get, &path)?;
            let rows = answer.rows()?.len();
            Ok((answer.body, rows))
        })
    }

    /// How far the server's clock is from ours, where that is more than its own tolerance.
    pub fn clock_difference(&self) -> Option<SignedDuration> {
        Some(*self.ahead.lock().unwrap_or_else(PoisonError::into_inner)).filter(|ahead| ahead.abs() > CLOCK_TOLERANCE)
    }

    /// Waits, but not for longer than the user wants.
    ///
    /// # Errors
    /// `Stopped` after a signal.
    pub fn wait(&self, wait: Duration) -> Result<(), Obstacle> {
        self.transport.pause(wait)
    }

    fn ask(&self, method: Method, path: &str) -> Result<Answer, Miss> {
        let answer = self.transport.send(&Request { method, path })?;
        if let Some(date) = answer.date {
            *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = date.duration_since(clock::now());
        }
        Ok(answer)
    }

    /// Asks until there is an answer that another try would not change, waiting longer each time. What the server said
    /// is masked here, so that nothing of it holds a secret.
    fn patiently<T>(&self, question: impl Fn() -> Result<T, Miss>) -> Result<T, Obstacle> {
        let mut waits = ExponentialBuilder::new()
            .with_min_delay(FIRST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(self.tries)
            .with_jitter()
            .build();
        loop {
            let miss = match question() {
                Ok(found) => return Ok(found),
                Err(miss) => miss,
            };
            match miss.again.then(|| waits.next()).flatten() {
                Some(wait) => self.transport.pause(wait.max(miss.after.min(LONGEST_WAIT)))?,
                None => return Err(miss.obstacle.with_clock(self.clock_difference()).masked(&self.redactor)),
            }
        }
    }
}
