//! The rows of a pair compared by the server that has both tables: it joins them, and what comes back is numbers and a bounded list of keys.
//!
//! Keys that are not unique, or are NULL on both sides, have no partner that a join could find. Where the numbers do not add up to those of the two counts, rows are
//! compared as heaps: what is on both sides cancels out, as often as it is there.

use postgres::Client;
use postgres_protocol::escape::escape_identifier;

use crate::parity::by_row::difference::{Difference, Differences, Kind, MOST_TAKEN};
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
        let mut found = if self.mapping.unique { self.totals_of_unique(client)? } else { self.totals(client)? };
        let (prisma, mirror) = self.counted;
        if found.alike || found.missing + found.partners != prisma || found.extra + found.partners != mirror {
            return self.ask_heaps(client);
        }
        if !found.is_empty() {
            found.listed = self.listed(client, &found)?;
        }
        Ok(found)
    }

    fn totals(&self, client: &mut Client) -> Result<Differences, postgres::Error> {
        let (key, values) = self.mapping.partners();
        let rows = rows_where;
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
        let sql = format!("select {} from {}", columns.join(", "), self.joined("full join", &mut parameters));
        let answer = parameters.query(client, &sql)?;
        let number = |at: usize| answer.first().map_or(0, |row| number(row, at));
        Ok(Differences {
            missing: number(0),
            extra: number(1),
            partners: number(2),
            alike: number(3) > 0 && number(4) > 0,
            partly: None,
            changed: number(5),
            columns: (0..values.len()).map(|at| number(6 + at)).collect(),
            listed: Vec::new(),
        })
    }

    /// The inner join alone, which needs no look at rows without a partner.
    fn totals_of_unique(&self, client: &mut Client) -> Result<Differences, postgres::Error> {
        let values = self.mapping.partners().1;
        let changed = (0..values.len()).map(|at| rows_where(&differs(at)));
        let columns: Vec<String> =
            ["pg_catalog.count(*)".to_owned(), rows_where(&changes(values))].into_iter().chain(changed).collect();
        let mut parameters = Parameters::default();
        let sql = format!("select {} from {}", columns.join(", "), self.joined("join", &mut parameters));
        let answer = parameters.query(client, &sql)?;
        let number = |at: usize| answer.first().map_or(0, |row| number(row, at));
        let (partners, (prisma, mirror)) = (number(0), self.counted);
        Ok(Differences {
            missing: prisma.saturating_sub(partners),
            extra: mirror.saturating_sub(partners),
            partners,
            changed: number(1),
            columns: (0..values.len()).map(|at| number(2 + at)).collect(),
            ..Differences::default()
        })
    }

    /// Some rows of each kind that there is, which an index may find faster than a join of all.
    fn listed(&self, client: &mut Client, found: &Differences) -> Result<Vec<Difference>, postgres::Error> {
        let mut listed = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|&kind| found.count(kind) > 0) {
            let mut parameters = Parameters::default();
            let sql = self.list(kind, &mut parameters);
            let rows = parameters.query(client, &sql)?;
            let columns = if kind == Kind::Changed { found.columns.len() } else { 0 };
            listed.extend(rows.iter().map(|row| difference(row, columns)));
        }
        Ok(listed)
    }

    fn list(&self, kind: Kind, parameters: &mut Parameters) -> String {
        let (key, values) = self.mapping.partners();
        let (which, side) = if kind == Kind::Extra { (Which::Mirror, "m") } else { (Which::Prisma, "p") };
        let [shown, time] = self.shown(which);
        let keys: Vec<String> = (0..key.len()).map(|at| format!("{side}.k{at}")).collect();
        let flags: String = match kind {
            Kind::Changed => (0..values.len()).map(|at| format!(", {} as f{at}", differs(at))).collect(),
            Kind::Missing | Kind::Extra => String::new(),
        };
        let from = match kind {
            Kind::Missing => self.without_partner([(Which::Prisma, "p"), (Which::Mirror, "m")], parameters),
            Kind::Extra => self.without_partner([(Which::Mirror, "m"), (Which::Prisma, "p")], parameters),
            Kind::Changed => format!("{} where {}", self.joined("join", parameters), changes(values)),
        };
        let rows = format!(
            "select {}, row({})::text as identity, {shown} as shown, {time} as time, 1::int8 as rows, '' as digest{flags} from {from}",
            kind as i32,
            keys.join(", "),
        );
        match kind {
            // The server takes nearly every value for another one, and would make ready to sort them all.
            Kind::Changed => format!(
                "with d as materialized ({rows} limit {MOST_SET_ASIDE}) select * from d order by identity limit {MOST_TAKEN}"
            ),
            Kind::Missing | Kind::Extra => format!("{rows} order by identity limit {MOST_TAKEN}"),
        }
    }

    fn without_partner(
        &self,
        [(which, name), (other, others)]: [(Which, &str); 2],
        parameters: &mut Parameters,
    ) -> String {
        let [side, other] = [which, other].map(|which| self.side(which, "1", parameters));
        format!("({side}) {name} where not exists (select from ({other}) {others} where {})", self.on())
    }

    /// Both sides' rows, each with its partner where it has one.
    fn joined(&self, join: &str, parameters: &mut Parameters) -> String {
        let [prisma, mirror] = Which::BOTH.map(|which| self.side(which, "1", parameters));
        format!("({prisma}) p {join} ({mirror}) m on {}", self.on())
    }

    fn on(&self) -> String {
        let keys = self.mapping.partners().0.len();
        (0..keys).map(|at| format!("p.k{at} = m.k{at}")).collect::<Vec<_>>().join(" and ")
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

fn rows_where(condition: &str) -> String {
    format!("pg_catalog.count(*) filter (where {condition})")
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
