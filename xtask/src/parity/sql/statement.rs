//! A statement about one side of a pair, with what drill.toml says as its parameters.

use postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Row};
use postgres_protocol::escape::escape_identifier;

use crate::parity::time::{Range, Second, instant};
use crate::settings::pair::Side;

/// A value in the server's own text form, for a parameter of whatever type the column has.
#[derive(Debug)]
struct Text(String);

impl ToSql for Text {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// The parameters of one statement; an equal value of the same table's column is the same one.
#[derive(Default)]
pub struct Parameters {
    places: Vec<(String, String)>,
}

impl Parameters {
    /// `"column" operator $n`
    fn term(&mut self, table: &str, column: &str, operator: &str, value: &str) -> String {
        let wanted = (format!("{table} {column} {operator}"), value.to_owned());
        let place = self.places.iter().position(|place| *place == wanted).unwrap_or_else(|| {
            self.places.push(wanted);
            self.places.len() - 1
        });
        format!("{} {operator} ${}", escape_identifier(column), place + 1)
    }

    /// `$n`
    pub fn value(&mut self, value: &str) -> String {
        self.places.push((String::new(), value.to_owned()));
        format!("${}", self.places.len())
    }

    pub fn terms(&mut self, side: &Side) -> Vec<String> {
        side.filter.iter().map(|(column, value)| self.term(&side.table, column, "=", value)).collect()
    }

    pub fn filter(&mut self, side: &Side) -> String {
        let terms = self.terms(side);
        if terms.is_empty() { "true".to_owned() } else { all(&terms) }
    }

    /// That the side's time is in one of `ranges`.
    pub fn within(&mut self, side: &Side, ranges: &[Range]) -> String {
        let time = &side.time;
        let term = |range: &Range| {
            let (from, to) = (literal(range.from), literal(range.to));
            format!("{} and {}", self.term(&side.table, time, ">=", &from), self.term(&side.table, time, "<", &to))
        };
        let terms: Vec<String> = ranges.iter().map(term).collect();
        format!("({})", terms.join(" or "))
    }

    pub fn query(&self, client: &mut Client, sql: &str) -> Result<Vec<Row>, postgres::Error> {
        let values: Vec<Text> = self.places.iter().map(|(_, value)| Text(value.clone())).collect();
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        client.query(sql, &values)
    }
}

/// Empty for none.
pub fn all<'a>(terms: impl IntoIterator<Item = &'a String>) -> String {
    terms.into_iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
}

/// A time as both `timestamp` (which ignores the zone, and holds UTC) and `timestamptz` read it.
fn literal(second: Second) -> String {
    instant(second).to_string()
}

pub fn table(schema: &str, side: &Side) -> String {
    format!("{}.{}", escape_identifier(schema), escape_identifier(&side.table))
}
