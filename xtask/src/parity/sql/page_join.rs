//! A page of the mirror's rows, as JSON, compared with Prisma's rows of the same stretch by the server that has those.

use postgres::Client;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::parity::by_row::difference::Differences;
use crate::parity::by_row::mapping::{Compared, Mapping};
use crate::parity::by_row::uneven::Border;
use crate::parity::sql::heaps;
use crate::parity::sql::row_join::undone;
use crate::parity::sql::statement::{Parameters, table};
use crate::settings::pair::{Pair, Which};

/// One of the key's columns, whose order all servers share, and a stretch of it: at least `from`, below `to`.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    pub column: &'a Compared,
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
}

/// What a page holds of its column.
#[derive(Debug, PartialEq, Eq)]
pub struct Edges {
    /// The greatest value, in the server's words.
    pub last: Option<String>,
    /// All rows have that one.
    pub alike: bool,
    /// Rows before `from`: whoever sent them has another order.
    pub before: u64,
    /// Rows with the greatest value, of which there may be more in the next page.
    pub at_last: u64,
}

/// # Errors
/// The server's.
pub fn edges(client: &mut Client, page: &str, stretch: Stretch<'_>) -> Result<Edges, postgres::Error> {
    let mut parameters = Parameters::default();
    let kind = stretch.column.common.ordered().unwrap_or("text");
    let rows = rows(&mut parameters, page);
    let before = stretch.from.map_or("false".to_owned(), |from| {
        format!("o < {}::pg_catalog.text::pg_catalog.{kind}", parameters.value(from))
    });
    let sql = format!(
        "select (pg_catalog.array_agg(o order by o desc nulls last))[1]::text, pg_catalog.count(distinct o) <= 1,
                pg_catalog.count(*) filter (where {before}), pg_catalog.count(*) filter (where o = l)
           from (select o, pg_catalog.first_value(o) over (order by o desc nulls last) as l
                   from (select ({})::pg_catalog.{kind} as o from {rows}) page) page",
        field(&stretch.column.columns.mirror, kind)
    );
    undone(client, |client| {
        let answer = parameters.query(client, &sql)?;
        let edges = answer.first().map(|row| Edges {
            last: row.get(0),
            alike: row.get(1),
            before: row.get::<_, i64>(2).unsigned_abs(),
            at_last: row.get::<_, i64>(3).unsigned_abs(),
        });
        Ok(edges.unwrap_or(Edges { last: None, alike: true, before: 0, at_last: 0 }))
    })
}

/// Where Prisma's rows are parted into stretches of `size` or little more, and how many have no value in the column. A time that is rounded is parted where
/// it is rounded the other way, so that both sides' own values, which may have more digits, lie on the same side of it.
///
/// # Errors
/// The server's.
pub fn borders(
    client: &mut Client,
    (schema, pair): (&str, &Pair),
    column: &Compared,
    size: usize,
) -> Result<(Vec<Border>, u64), postgres::Error> {
    let mut parameters = Parameters::default();
    let side = &pair.prisma;
    let value = column.common.spelled(&escape_identifier(&column.columns.prisma));
    let half = column
        .common
        .digits()
        .map_or_else(String::new, |digits| format!(" - pg_catalog.make_interval(secs => 0.5 / 10 ^ {digits})"));
    let sql = format!(
        "with rows as (select {value} as o from {} where {}),
              places as (select o, pg_catalog.rank() over (order by o) - 1 as before, pg_catalog.row_number() over (order by o) - 1 as at
                           from rows where o is not null)
         select distinct (o{half})::text, before, (select pg_catalog.count(*) from rows where o is null)
           from places where at % {size} = 0 and before > 0 order by before",
        table(schema, side),
        parameters.filter(side)
    );
    undone(client, |client| {
        let answer = parameters.query(client, &sql)?;
        let without = answer.first().map_or(0, |row| row.get::<_, i64>(2).unsigned_abs());
        let border = |row: &postgres::Row| Border { value: row.get(0), before: row.get::<_, i64>(1).unsigned_abs() };
        Ok((answer.iter().map(border).collect(), without))
    })
}

/// # Errors
/// The server's.
pub fn compare(
    client: &mut Client,
    (schema, pair, mapping): (&str, &Pair, &Mapping),
    page: &str,
    stretch: Stretch<'_>,
) -> Result<Differences, postgres::Error> {
    let mut parameters = Parameters::default();
    let sides = [
        prisma(&mut parameters, (schema, pair, mapping), stretch),
        mirror(&mut parameters, (pair, mapping), page, stretch),
    ];
    let counts = (mapping.key.len(), mapping.values.len());
    undone(client, |client| heaps::compare(client, &parameters, &sides, counts))
}

fn prisma(
    parameters: &mut Parameters,
    (schema, pair, mapping): (&str, &Pair, &Mapping),
    stretch: Stretch<'_>,
) -> String {
    let (side, column) = (&pair.prisma, escape_identifier(&stretch.column.columns.prisma));
    let shown: Vec<String> =
        mapping.primary[0].iter().map(|name| format!("{}::text", escape_identifier(name))).collect();
    let mut terms = vec![parameters.filter(side)];
    // As the column's own type, for which an index may do. Rows without a value stand at the end.
    terms.extend(stretch.from.map(|from| {
        let without = if stretch.to.is_none() { format!(" or {column} is null") } else { String::new() };
        format!("({column} >= {}{without})", parameters.value(from))
    }));
    terms.extend(stretch.to.map(|to| format!("{column} < {}", parameters.value(to))));
    format!(
        "select 1 as s, {}, {} as shown, {}::timestamptz::text as time from {} where {}",
        columns(mapping, |column| column.common.spelled(&escape_identifier(column.columns.of(Which::Prisma)))),
        or_null(shown),
        escape_identifier(&side.time),
        table(schema, side),
        terms.join(" and ")
    )
}

fn mirror(parameters: &mut Parameters, (pair, mapping): (&Pair, &Mapping), page: &str, stretch: Stretch<'_>) -> String {
    let kind = stretch.column.common.ordered().unwrap_or("text");
    let of = |column: &Compared| column.common.spelled(&field(&column.columns.mirror, &column.common.name));
    let shown: Vec<String> = mapping.primary[1].iter().map(|name| field(name, "text")).collect();
    let rows = rows(parameters, page);
    let within = stretch.to.map_or("true".to_owned(), |to| {
        let column = field(&stretch.column.columns.mirror, kind);
        format!("{column}::pg_catalog.{kind} < {}::pg_catalog.text::pg_catalog.{kind}", parameters.value(to))
    });
    format!(
        "select -1 as s, {}, {} as shown, ({})::timestamptz::text as time from {rows} where {within}",
        columns(mapping, of),
        or_null(shown),
        field(&pair.mirror.time, "timestamptz"),
    )
}

fn rows(parameters: &mut Parameters, page: &str) -> String {
    format!("pg_catalog.jsonb_array_elements({}::pg_catalog.text::pg_catalog.jsonb) page (r)", parameters.value(page))
}

/// A row's field: JSON as it is, where JSON's null is none, and all else as text.
fn field(column: &str, kind: &str) -> String {
    let name = escape_literal(column);
    match kind {
        "jsonb" => format!("nullif(page.r -> {name}, 'null'::pg_catalog.jsonb)"),
        _ => format!("(page.r ->> {name})"),
    }
}

fn columns(mapping: &Mapping, expression: impl Fn(&Compared) -> String) -> String {
    let named = |letter: char, columns: &[Compared]| -> Vec<String> {
        columns.iter().enumerate().map(|(at, column)| format!("{} as {letter}{at}", expression(column))).collect()
    };
    [named('k', &mapping.key), named('v', &mapping.values)].concat().join(", ")
}

fn or_null(shown: Vec<String>) -> String {
    if shown.is_empty() { "null::text".to_owned() } else { shown.join(" || ', ' || ") }
}
