//! Both sides of all pairs at one moment: two sessions that see one snapshot, and count side by side.
//!
//! Counts of one table are taken in one scan of it (`count(*) filter`) or one by one, whichever the server itself thinks
//! is cheaper; those that an index alone answers are left to it.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{CancelToken, Client, Row};
use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::headway::Headway;
use crate::interrupt::Interrupt;
use crate::parity::bisect::{self, MOST_BUCKETS};
use crate::parity::by_row::difference::Differences;
use crate::parity::obstacle::Obstacle;
use crate::parity::sample::{self, MOST_ROWS, Sample};
use crate::parity::shape::Shapes;
use crate::parity::sql::count_plan::Plan;
use crate::parity::sql::not_compared::NotCompared;
use crate::parity::sql::row_join::{Question, compare};
use crate::parity::sql::statement::{Parameters, all, table};
use crate::parity::time::{Bucket, Range, Second, Width};
use crate::postgres::cancel::watched;
use crate::postgres::connection::{Connection, failure, server_words};
use crate::settings::pair::{Pair, Side, Which};

/// Two sessions in one snapshot. Dropping it ends both.
pub struct Moment<'a> {
    prisma: Connection,
    mirror: Connection,
    schema: &'a str,
    /// Of each statement.
    limit: Duration,
    interrupt: &'a Interrupt,
    headway: &'a Headway,
}

impl<'a> Moment<'a> {
    /// Makes both sessions see what `prisma` sees now.
    ///
    /// # Errors
    /// As the other questions.
    pub fn new(
        mut prisma: Connection,
        mut mirror: Connection,
        schema: &'a str,
        limit: Duration,
        (interrupt, headway): (&'a Interrupt, &'a Headway),
    ) -> Result<Moment<'a>, Obstacle> {
        let begin = "begin isolation level repeatable read, read only";
        let snapshot = begin_first(prisma.client(), begin).map_err(|error| obstacle(error, Which::Prisma, limit))?;
        let follow = format!("{begin}; set transaction snapshot '{snapshot}'");
        mirror.client().batch_execute(&follow).map_err(|error| obstacle(error, Which::Mirror, limit))?;
        Ok(Moment { prisma, mirror, schema, limit, interrupt, headway })
    }

    /// Rows of each pair: Prisma's, the mirror's.
    ///
    /// # Errors
    /// Why a side could not be counted; `interrupted` when a signal came.
    pub fn counts(&mut self, pairs: &[Pair]) -> Result<Vec<(u64, u64)>, Obstacle> {
        let (schema, headway) = (self.schema, self.headway);
        let sides = |which: Which| pairs.iter().map(move |pair| pair.side(which)).collect::<Vec<&Side>>();
        let plans = self.both(|client, which| plans(client, schema, &sides(which)))?;
        for (which, plans) in Which::BOTH.into_iter().zip(&plans) {
            if let Some((side, _)) = sides(which).iter().zip(plans).find(|(_, plan)| plan.leads_away) {
                return Err(Obstacle::Elsewhere { which, table: side.table.clone() });
            }
        }
        let [prisma, mirror] =
            self.both(|client, which| count(client, schema, (&sides(which), &plans[which as usize]), headway))?;
        Ok(prisma.into_iter().zip(mirror).collect())
    }

    /// Compares the rows of each of `questions`, every other one in each session.
    ///
    /// # Errors
    /// As `counts`, where the connection is lost or a signal came. That one of them could not be compared is its answer, and loses no other.
    pub fn rows(&mut self, questions: &[Question<'_>]) -> Result<Vec<Result<Differences, NotCompared>>, Obstacle> {
        let limit = self.limit;
        let share = |which: Which| questions.iter().skip(which as usize).step_by(2);
        let [first, second] = self.both(|client, which| {
            share(which)
                .map(|question| NotCompared::or_lost(compare(client, question), limit))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let mut answers = [first.into_iter(), second.into_iter()];
        Ok((0..questions.len()).filter_map(|at| answers[at % 2].next()).collect())
    }

    /// Rows of `pair` by buckets of `width`, within `ranges` (all time, where there are none). Rows without a finite time are in none.
    ///
    /// # Errors
    /// As `counts`.
    pub fn buckets(&mut self, pair: &Pair, width: Width, ranges: &[Range]) -> Result<Vec<Bucket>, Obstacle> {
        let schema = self.schema;
        let [prisma, mirror] = self.both(|client, which| by_time(client, schema, pair.side(which), width, ranges))?;
        Ok(bisect::merged(prisma, mirror))
    }

    /// Keys and times of the rows of `pair` in `range`.
    ///
    /// # Errors
    /// As `counts`.
    pub fn sample(&mut self, pair: &Pair, shapes: &Shapes, range: Range) -> Result<Sample, Obstacle> {
        let schema = self.schema;
        let [prisma, mirror] = self.both(|client, which| {
            let side = pair.side(which);
            let key = shapes.get(&side.table).map_or(&[][..], |shape| &shape.key);
            rows(client, schema, side, key, range)
        })?;
        Ok(Sample::of(prisma, mirror))
    }

    /// Asks both sides at once; what fails on one is stopped on the other.
    fn both<T: Send>(
        &mut self,
        ask: impl Fn(&mut Client, Which) -> Result<T, postgres::Error> + Sync,
    ) -> Result<[T; 2], Obstacle> {
        let (prisma, mirror) = (self.prisma.client(), self.mirror.client());
        let tokens = [prisma.cancel_token(), mirror.cancel_token()];
        let culprit = OnceLock::new();
        // Whoever fails first is the cause; the other one is stopped, not waited for.
        let failed = |which: Which, other: &CancelToken| {
            if culprit.set(which).is_ok() {
                let _ = other.cancel_query(postgres::NoTls);
            }
        };
        let (prisma, mirror) = watched(&tokens, self.interrupt, || {
            std::thread::scope(|scope| {
                let other =
                    scope.spawn(|| ask(mirror, Which::Mirror).inspect_err(|_| failed(Which::Mirror, &tokens[0])));
                let prisma = ask(prisma, Which::Prisma).inspect_err(|_| failed(Which::Prisma, &tokens[1]));
                (prisma, other.join())
            })
        });
        self.interrupt.check()?;
        match (prisma, mirror.map_err(|_| Failure::bug("a count panicked"))?) {
            (Ok(prisma), Ok(mirror)) => Ok([prisma, mirror]),
            (Err(error), _) if culprit.get() == Some(&Which::Prisma) => Err(obstacle(error, Which::Prisma, self.limit)),
            (_, Err(error)) => Err(obstacle(error, Which::Mirror, self.limit)),
            (Err(error), _) => Err(obstacle(error, Which::Prisma, self.limit)),
        }
    }
}

fn begin_first(client: &mut Client, begin: &str) -> Result<String, postgres::Error> {
    client.batch_execute(begin)?;
    Ok(client.query_one("select pg_catalog.pg_export_snapshot()", &[])?.get(0))
}

pub fn obstacle(error: postgres::Error, which: Which, limit: Duration) -> Obstacle {
    let Some(answer) = error.as_db_error() else { return Obstacle::Lost { which, words: error.to_string() } };
    let words = server_words(answer);
    match *answer.code() {
        SqlState::QUERY_CANCELED => Obstacle::TimedOut { which, limit },
        SqlState::INSUFFICIENT_PRIVILEGE => Obstacle::Refused { which, words },
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
            Obstacle::Lost { which, words }
        }
        _ => Obstacle::Other(failure(&format!("count {}", which.in_words()), error)),
    }
}

/// What the server would do to count each side.
pub fn plans(client: &mut Client, schema: &str, sides: &[&Side]) -> Result<Vec<Plan>, postgres::Error> {
    sides.iter().map(|side| plan(client, &count_of(schema, &[side]))).collect()
}

fn plan(client: &mut Client, (sql, parameters): &(String, Parameters)) -> Result<Plan, postgres::Error> {
    Ok(Plan::read(&parameters.query(client, &format!("explain (format json) {sql}"))?))
}

/// Rows of each of `sides`, which are of one table, as the columns of one row. What they have in common is left to
/// `where`, for which an index may do.
fn count_of(schema: &str, sides: &[&Side]) -> (String, Parameters) {
    let mut parameters = Parameters::default();
    let terms: Vec<Vec<String>> = sides.iter().map(|side| parameters.terms(side)).collect();
    let is_common = |term: &&String| terms.iter().all(|terms| terms.contains(term));
    let column = |terms: &Vec<String>| match all(terms.iter().filter(|term| !is_common(term))) {
        own if own.is_empty() => "pg_catalog.count(*)".to_owned(),
        own => format!("pg_catalog.count(*) filter (where {own})"),
    };
    let columns: Vec<String> = terms.iter().map(column).collect();
    let common = match all(terms[0].iter().filter(is_common)) {
        common if common.is_empty() => common,
        common => format!(" where {common}"),
    };
    (format!("select {} from {}{common}", columns.join(", "), table(schema, sides[0])), parameters)
}

/// Rows of each side, in order; `plans` are those of each side alone.
pub fn count(
    client: &mut Client,
    schema: &str,
    (sides, plans): (&[&Side], &[Plan]),
    headway: &Headway,
) -> Result<Vec<u64>, postgres::Error> {
    let asked = |indices: &[usize]| count_of(schema, &indices.iter().map(|&index| sides[index]).collect::<Vec<_>>());
    let (alone, of_tables) = tables(sides, plans);
    let mut questions: Vec<Vec<usize>> = alone.into_iter().map(|index| vec![index]).collect();
    for indices in of_tables {
        let one_by_one: f64 = indices.iter().map(|&index| plans[index].cost).sum();
        if plan(client, &asked(&indices))?.cost < one_by_one {
            questions.push(indices);
        } else {
            questions.extend(indices.into_iter().map(|index| vec![index]));
        }
    }
    let mut counts = vec![0; sides.len()];
    let work = headway.part(questions.len());
    for (at, indices) in questions.into_iter().enumerate() {
        work.step(at + 1, &table(schema, sides[indices[0]]));
        let (sql, parameters) = asked(&indices);
        for (&index, rows) in indices.iter().zip(numbers(&parameters.query(client, &sql)?, indices.len())) {
            counts[index] = rows;
        }
    }
    Ok(counts)
}

/// The sides that are best counted alone, and those of each table that may be counted in one scan.
fn tables(sides: &[&Side], plans: &[Plan]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut tables: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let (alone, shared) = (0..sides.len()).partition::<Vec<usize>, _>(|&index| plans[index].index_alone);
    for index in shared {
        tables.entry(&sides[index].table).or_default().push(index);
    }
    (alone, tables.into_values().collect())
}

/// The counts in the one row of an answer.
fn numbers(rows: &[Row], columns: usize) -> Vec<u64> {
    (0..columns).map(|column| rows.first().map_or(0, |row| row.get::<_, i64>(column).unsigned_abs())).collect()
}

/// Rows by the second that their bucket begins with, the newest buckets.
pub fn by_time(
    client: &mut Client,
    schema: &str,
    side: &Side,
    width: Width,
    ranges: &[Range],
) -> Result<Vec<(Second, u64)>, postgres::Error> {
    let mut parameters = Parameters::default();
    let (seconds, time) = (width.seconds(), escape_identifier(&side.time));
    let filter = parameters.filter(side);
    let within = if ranges.is_empty() { "true".to_owned() } else { parameters.within(side, ranges) };
    let sql = format!(
        "select pg_catalog.floor(pg_catalog.date_part('epoch', {time}) / {seconds})::int8 * {seconds}, pg_catalog.count(*)
           from {} where {filter} and pg_catalog.isfinite({time}) and {within}
          group by 1 order by 1 desc limit {MOST_BUCKETS}",
        table(schema, side)
    );
    let rows = parameters.query(client, &sql)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1).unsigned_abs())).collect())
}

pub fn rows(
    client: &mut Client,
    schema: &str,
    side: &Side,
    key: &[String],
    range: Range,
) -> Result<Vec<sample::Row>, postgres::Error> {
    let mut parameters = Parameters::default();
    let filter = parameters.filter(side);
    let within = parameters.within(side, &[range]);
    let time = escape_identifier(&side.time);
    let key: Vec<String> = key.iter().map(|column| format!("{}::text", escape_identifier(column))).collect();
    let key = if key.is_empty() { "null".to_owned() } else { key.join(" || ', ' || ") };
    // A `timestamp` holds UTC, and the session's zone is UTC: both sides' times are written alike.
    let sql = format!(
        "select {key}, {time}::timestamptz::text from {} where {filter} and {within} order by {time}, 1 limit {MOST_ROWS}",
        table(schema, side)
    );
    let rows = parameters.query(client, &sql)?;
    Ok(rows.iter().map(|row| sample::Row { key: row.get(0), time: row.get(1) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    fn side(filter: &[(&str, &str)]) -> Side {
        let filter = filter.iter().map(|(column, value)| ((*column).to_owned(), (*value).to_owned())).collect();
        Side { table: "fact".to_owned(), filter, time: "at".to_owned() }
    }

    /// Rows of `topic` and `key`: 6 of a and x, 4 of a and y, 2 of b and x; a vacuumed table is counted in its index.
    #[test]
    fn together_or_one_by_one_the_counts_are_the_same() {
        let mut database = Database::new();
        database.run(
            "create table fact (topic text, key text, at timestamptz);
             insert into fact select topic, key, now() from (values ('a', 'x', 6), ('a', 'y', 4), ('b', 'x', 2)) of (topic, key, rows),
                                     generate_series(1, rows)",
        );
        let sides = [
            side(&[("topic", "a"), ("key", "x")]),
            side(&[("topic", "a"), ("key", "y")]),
            side(&[("topic", "b")]),
            side(&[("topic", "a")]),
            side(&[]),
            side(&[("topic", "o'clock"), ("key", "\\")]),
        ];
        let expected = [6, 4, 2, 10, 12, 0];
        let sides: Vec<&Side> = sides.iter().collect();
        let client = database.connection.client();
        let plans_now = plans(client, "public", &sides).unwrap();
        assert!(plans_now.iter().all(|plan| !plan.index_alone), "{plans_now:?}");
        assert_eq!(count(client, "public", (&sides, &plans_now), &Headway::default()).unwrap(), expected);
        let shared = count_of("public", &[sides[0], sides[1]]).0;
        assert_eq!(
            shared,
            "select pg_catalog.count(*) filter (where \"key\" = $1), pg_catalog.count(*) filter (where \"key\" = $3) \
             from \"public\".\"fact\" where \"topic\" = $2"
        );
        database.run("create index on fact (topic, key)");
        database.run("vacuum fact");
        database.run("set enable_seqscan = off; set enable_bitmapscan = off");
        let client = database.connection.client();
        let plans = plans(client, "public", &sides).unwrap();
        assert!(plans.iter().all(|plan| plan.index_alone), "{plans:?}");
        assert_eq!(count(client, "public", (&sides, &plans), &Headway::default()).unwrap(), expected);
    }
}
