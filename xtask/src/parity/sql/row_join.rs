//! The rows of a pair compared by the server that has both tables: it joins them, and what comes back is numbers and a bounded list of keys.
//!
//! Keys that are not unique, or are NULL on both sides, have no partner that a join could find. Where the numbers do not add up to those of the two counts, rows are
//! compared as heaps: what is on both sides cancels out, as often as it is there.

use postgres::Client;
use postgres_protocol::escape::escape_identifier;

use crate::parity::by_row::difference::{Difference, Differences, MOST_TAKEN};
use crate::parity::by_row::mapping::{Compared, Mapping};
use crate::parity::sql::heaps::{self, difference, number};
use crate::parity::sql::statement::{Parameters, table};
use crate::settings::pair::{Pair, Which};

/// Rows that the server may set aside to list some of them.
const MOST_SET_ASIDE: usize = 100_000;

/// One pair, and how many rows the same snapshot counted in it.
pub struct Question<'a> {
    pub schema: &'a str,
    pub pair: &'a Pair,
    pub mapping: &'a Mapping,
    pub counted: (u64, u64),
}

/// # Errors
/// The server's. Nothing of the transaction but the error stays.
pub fn compare(client: &mut Client, question: &Question<'_>) -> Result<Differences, postgres::Error> {
    undone(client, |client| {
        question.prepare(client)?;
        question.ask(client)
    })
}

/// Does `work` and takes back what it set and how it failed, so that the transaction goes on.
///
/// # Errors
/// The server's.
pub fn undone<T>(
    client: &mut Client,
    work: impl FnOnce(&mut Client) -> Result<T, postgres::Error>,
) -> Result<T, postgres::Error> {
    client.batch_execute("savepoint rows")?;
    let found = work(client);
    match (client.batch_execute("rollback to savepoint rows; release savepoint rows"), found) {
        (_, Err(error)) => Err(error),
        (Err(error), Ok(_)) => Err(error),
        (Ok(()), Ok(found)) => Ok(found),
    }
}

impl Question<'_> {
    /// Memory for one hash table of a million keys, unless the server gives more by itself. Of what is compared after a cast the server has no
    /// statistics: it takes a sort for cheap, which takes four times as long as a hash.
    fn prepare(&self, client: &mut Client) -> Result<(), postgres::Error> {
        let is_cast = self.mapping.partners().0.iter().any(|key| key.common.cast);
        let merge = if is_cast { "set local enable_mergejoin = off;" } else { "" };
        client.batch_execute(&format!(
            "set local jit = off; {merge}
             select pg_catalog.set_config('work_mem', '32MB', true)
              where pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < 32 * 1024 * 1024"
        ))
    }

    fn ask(&self, client: &mut Client) -> Result<Differences, postgres::Error> {
        if self.mapping.key.is_empty() {
            return self.ask_heaps(client);
        }
        let mut found = self.totals(client)?;
        let (prisma, mirror) = self.counted;
        if found.alike || found.missing + found.partners != prisma || found.extra + found.partners != mirror {
            return self.ask_heaps(client);
        }
        if !found.is_empty() {
            found.listed = self.listed(client, found.columns.len())?;
        }
        Ok(found)
    }

    fn totals(&self, client: &mut Client) -> Result<Differences, postgres::Error> {
        let (key, values) = self.mapping.partners();
        let rows = |condition: &str| format!("pg_catalog.count(*) filter (where {condition})");
        let nothing = |side: &str| {
            let columns: Vec<String> = (0..key.len()).map(|at| format!("{side}.k{at} is null")).collect();
            rows(&format!("{side}.s = 1 and ({})", columns.join(" or ")))
        };
        let changed = (0..values.len()).map(|at| rows(&format!("p.s = m.s and {}", differs(at))));
        let mut columns = vec![
            rows("m.s is null"),
            rows("p.s is null"),
            rows("p.s = m.s"),
            nothing("p"),
            nothing("m"),
            rows(&changes(values)),
        ];
        columns.extend(changed);
        let mut parameters = Parameters::default();
        let sql = format!("select {} from {}", columns.join(", "), self.joined(&mut parameters));
        let answer = parameters.query(client, &sql)?;
        let number = |at: usize| answer.first().map_or(0, |row| number(row, at));
        Ok(Differences {
            missing: number(0),
            extra: number(1),
            partners: number(2),
            alike: number(3) > 0 && number(4) > 0,
            changed: number(5),
            columns: (0..values.len()).map(|at| number(6 + at)).collect(),
            listed: Vec::new(),
        })
    }

    fn listed(&self, client: &mut Client, columns: usize) -> Result<Vec<Difference>, postgres::Error> {
        let (key, values) = self.mapping.partners();
        let coalesced: Vec<String> = (0..key.len()).map(|at| format!("coalesce(p.k{at}, m.k{at})")).collect();
        let flags: String =
            (0..columns).map(|at| format!(", coalesce(p.s = m.s and {}, false) as f{at}", differs(at))).collect();
        let [of_prisma, of_mirror] = Which::BOTH.map(|which| self.shown(which));
        let mut parameters = Parameters::default();
        let joined = self.joined(&mut parameters);
        let of_kind =
            |kind: usize| format!("(select * from d where kind = {kind} order by identity limit {MOST_TAKEN})");
        let sql = format!(
            "with d as materialized (
               select case when m.s is null then 0 when p.s is null then 1 else 2 end as kind,
                      row({})::text as identity, coalesce({}, {}), coalesce({}, {}), 1::int8 as rows, '' as digest{flags}
                 from {joined} where m.s is null or p.s is null or {} limit {MOST_SET_ASIDE})
             {} union all {} union all {}",
            coalesced.join(", "),
            of_prisma[0],
            of_mirror[0],
            of_prisma[1],
            of_mirror[1],
            changes(values),
            of_kind(0),
            of_kind(1),
            of_kind(2),
        );
        Ok(parameters.query(client, &sql)?.iter().map(|row| difference(row, columns)).collect())
    }

    /// Both sides' rows, each with its partner where it has one.
    fn joined(&self, parameters: &mut Parameters) -> String {
        let keys = self.mapping.partners().0.len();
        let on: Vec<String> = (0..keys).map(|at| format!("p.k{at} = m.k{at}")).collect();
        let [prisma, mirror] = Which::BOTH.map(|which| self.side(which, "1", parameters));
        format!("({prisma}) p full join ({mirror}) m on {}", on.join(" and "))
    }

    /// `s`, key `k0…`, values `v0…`, and what shows a row, as it is stored: to write it as text is for the few that are listed.
    fn side(&self, which: Which, sign: &str, parameters: &mut Parameters) -> String {
        let (key, values) = self.mapping.partners();
        let side = self.pair.side(which);
        let named = |letter: char, columns: &[Compared]| -> String {
            columns
                .iter()
                .enumerate()
                .map(|(at, column)| format!(", {} as {letter}{at}", column.expression(which)))
                .collect()
        };
        let primary = &self.mapping.primary[which as usize];
        let primary: String =
            primary.iter().enumerate().map(|(at, name)| format!(", {} as i{at}", escape_identifier(name))).collect();
        let filter = parameters.filter(side);
        format!(
            "select {sign} as s{}{}{primary}, {} as t from {} where {filter}",
            named('k', key),
            named('v', values),
            escape_identifier(&side.time),
            table(self.schema, side)
        )
    }

    /// Primary key and time of a side's row as text.
    fn shown(&self, which: Which) -> [String; 2] {
        let side = if which == Which::Prisma { "p" } else { "m" };
        let columns = self.mapping.primary[which as usize].len();
        let key: Vec<String> = (0..columns).map(|at| format!("{side}.i{at}::text")).collect();
        let key = if key.is_empty() { "null".to_owned() } else { key.join(" || ', ' || ") };
        // A `timestamp` holds UTC, and the session's zone is UTC: both sides' times are written alike.
        [key, format!("{side}.t::timestamptz::text")]
    }

    /// As heaps of rows.
    fn ask_heaps(&self, client: &mut Client) -> Result<Differences, postgres::Error> {
        let (key, values) = self.mapping.partners();
        let mut parameters = Parameters::default();
        let sides = [(Which::Prisma, "1"), (Which::Mirror, "-1")].map(|(which, sign)| {
            let [shown, time] = self.shown(which);
            let side = if which == Which::Prisma { "p" } else { "m" };
            let all = heaps::names(key.len(), values.len());
            format!(
                "select s, {all}, {shown} as shown, {time} as time from ({}) {side}",
                self.side(which, sign, &mut parameters)
            )
        });
        let found = heaps::compare(client, &parameters, &sides, (key.len(), values.len()))?;
        let partners = self.counted.0.saturating_sub(found.missing);
        Ok(Differences { partners, alike: !self.mapping.key.is_empty(), ..found })
    }
}

fn differs(value: usize) -> String {
    format!("p.v{value} is distinct from m.v{value}")
}

/// That partners differ in any of the values.
fn changes(values: &[Compared]) -> String {
    let terms: Vec<String> = (0..values.len()).map(differs).collect();
    if terms.is_empty() { "false".to_owned() } else { format!("(p.s = m.s and ({}))", terms.join(" or ")) }
}

#[cfg(test)]
mod tests;
