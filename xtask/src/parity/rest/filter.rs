//! Which rows are asked for, as PostgREST writes it: `column=operator.value` ("Tables and Views: Horizontal
//! Filtering").

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::parity::rest::cause::{Cause, Obstacle};
use crate::parity::time::{Range, instant};
use crate::settings::pair::Side;

/// One condition on a column; several must hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub column: String,
    pub operator: Operator,
    /// As text: the server reads it as the column's type. A time is written as RFC 3339.
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    AtLeast,
    Below,
}

impl Operator {
    fn word(self) -> &'static str {
        match self {
            Operator::Equal => "eq",
            Operator::AtLeast => "gte",
            Operator::Below => "lt",
        }
    }
}

/// That a row is of the side, and of the stretch of time.
pub fn filters(side: &Side, range: Option<Range>) -> Vec<Filter> {
    let filter = |column: &str, operator, value: String| Filter { column: column.to_owned(), operator, value };
    let mut filters: Vec<Filter> =
        side.filter.iter().map(|(column, value)| filter(column, Operator::Equal, value.clone())).collect();
    if let Some(range) = range {
        let at = |second| instant(second).to_string();
        filters.push(filter(&side.time, Operator::AtLeast, at(range.from)));
        filters.push(filter(&side.time, Operator::Below, at(range.to)));
    }
    filters
}

/// RFC 3986's unreserved characters mean themselves everywhere; all others are encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// PostgREST's own parameters. A column of such a name would be taken for one, and the filter silently left out of the
/// count.
const PARAMETERS: [&str; 8] = ["select", "order", "limit", "offset", "and", "or", "columns", "on_conflict"];

/// The path and query below the API's address.
///
/// # Errors
/// `Unaskable` for a column whose name PostgREST would read as something else.
pub fn path(table: &str, filters: &[Filter], parameters: &[(&str, &str)]) -> Result<String, Obstacle> {
    let plain = |name: &str| {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let asked = filters.iter().map(|filter| filter.column.as_str());
    if let Some(column) = asked.clone().find(|column| !plain(column) || PARAMETERS.contains(column)) {
        return Err(Obstacle::new(Cause::Unaskable, format!("`{column}`")));
    }
    let conditions = filters.iter().map(|filter| {
        let condition = format!("{}.{}", filter.operator.word(), filter.value);
        (filter.column.as_str(), condition)
    });
    let parameters = parameters.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let query: Vec<String> =
        conditions.chain(parameters).map(|(name, value)| format!("{name}={}", encoded(&value))).collect();
    Ok(format!("/rest/v1/{}?{}", encoded(table), query.join("&")))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(column: &str, operator: Operator, value: &str) -> Filter {
        Filter { column: column.to_owned(), operator, value: value.to_owned() }
    }

    #[test]
    fn every_character_of_a_value_stays_a_character_of_the_value() {
        let filters = [
            filter("topic", Operator::Equal, "a.b&limit=0#é+ %,()"),
            filter("created_at", Operator::AtLeast, "2026-10-09T14:05:00Z"),
            filter("created_at", Operator::Below, ""),
        ];
        assert_eq!(
            path("fact s", &filters, &[("limit", "1")]).unwrap(),
            "/rest/v1/fact%20s?topic=eq.a.b%26limit%3D0%23%C3%A9%2B%20%25%2C%28%29\
             &created_at=gte.2026-10-09T14%3A05%3A00Z&created_at=lt.&limit=1"
        );
    }

    #[test]
    fn a_column_that_would_be_read_as_a_parameter_is_not_asked_about() {
        for column in ["limit", "select", "or", "value->>a", "a.b", "", "1", "a b"] {
            let asked = path("facts", &[filter(column, Operator::Equal, "x")], &[]);
            assert_eq!(asked.unwrap_err().cause, Cause::Unaskable, "{column}");
        }
    }
}
