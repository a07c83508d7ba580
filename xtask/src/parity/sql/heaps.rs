//! Two heaps of rows: what is in both cancels out, as often as it is there. A key's rows that are left are changed, as many as both sides have, and
//! missing or extra beyond that.

use postgres::{Client, Row};

use crate::parity::by_row::difference::{Difference, Differences, Kind, MOST_TAKEN};
use crate::parity::sql::statement::Parameters;

/// `k0, k1, v0`
pub fn names(keys: usize, values: usize) -> String {
    [letters('k', keys), letters('v', values)].concat().join(", ")
}

fn letters(letter: char, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{letter}{at}")).collect()
}

/// Each of `sides` gives `s` (1 for Prisma's, -1 for the mirror's), keys, values, `shown` and `time`.
///
/// # Errors
/// The server's.
pub fn compare(
    client: &mut Client,
    parameters: &Parameters,
    [prisma, mirror]: &[String; 2],
    (keys, values): (usize, usize),
) -> Result<Differences, postgres::Error> {
    let (key, all, value) = (names(keys, 0), names(keys, values), letters('v', values).join(", "));
    let same: String = (0..values)
        .map(|at| {
            format!(
                ", (select coalesce(sum(least(p, m)), 0)::int8 from
                     (select coalesce(sum(n) filter (where n > 0), 0) as p, coalesce(-sum(n) filter (where n < 0), 0) as m
                        from d group by {key}, v{at}) c)"
            )
        })
        .collect();
    let of_kind = |kind: usize, rows: &str, first: char, second: char| {
        format!(
            "(select {kind}, identity, coalesce({first}k, {second}k), coalesce({first}t, {second}t), {rows}, digest
                from g where {rows} > 0 order by identity limit {MOST_TAKEN})"
        )
    };
    let sql = format!(
        "with d as materialized (
           select {all}, sum(s)::int8 as n, min(shown) filter (where s > 0) as pk, min(shown) filter (where s < 0) as mk,
                  min(time) filter (where s > 0) as pt, min(time) filter (where s < 0) as mt,
                  pg_catalog.md5(row({value})::text) as digest
             from ({prisma} union all {mirror}) u group by {all} having sum(s) <> 0),
         g as materialized (
           select row({key})::text as identity, coalesce(sum(n) filter (where n > 0), 0)::int8 as p,
                  coalesce(-sum(n) filter (where n < 0), 0)::int8 as m, min(pk) as pk, min(mk) as mk, min(pt) as pt, min(mt) as mt,
                  min(digest) as digest
             from d group by {key}),
         c as (select array[(select coalesce(sum(greatest(p - m, 0)), 0)::int8 from g),
                            (select coalesce(sum(greatest(m - p, 0)), 0)::int8 from g),
                            (select coalesce(sum(least(p, m)), 0)::int8 from g){same}] as numbers),
         listed (kind, identity, shown, time, rows, digest) as ({} union all {} union all {})
         select null::int4, null::text, null::text, null::text, null::int8, null::text, c.numbers from c
         union all select kind, identity, shown, time, rows, digest, null from listed",
        of_kind(0, "p - m", 'p', 'm'),
        of_kind(1, "m - p", 'm', 'p'),
        of_kind(2, "least(p, m)", 'p', 'm'),
    );
    let answer = parameters.query(client, &sql)?;
    let (numbers, listed): (Vec<&Row>, Vec<&Row>) =
        answer.iter().partition(|row| row.get::<_, Option<i32>>(0).is_none());
    let numbers: Vec<i64> = numbers.first().map_or_else(Vec::new, |row| row.get(6));
    let number = |at: usize| numbers.get(at).map_or(0, |number| number.unsigned_abs());
    let (missing, extra, changed) = (number(0), number(1), number(2));
    Ok(Differences {
        missing,
        extra,
        changed,
        columns: (0..values).map(|at| changed.saturating_sub(number(3 + at))).collect(),
        listed: listed.into_iter().map(|row| difference(row, 0)).collect(),
        ..Differences::default()
    })
}

pub fn number(row: &Row, at: usize) -> u64 {
    row.get::<_, i64>(at).unsigned_abs()
}

/// `kind`, identity, key, time, rows, digest, and a flag for each of `columns`.
pub fn difference(row: &Row, columns: usize) -> Difference {
    Difference {
        kind: Kind::ALL[row.get::<_, i32>(0).unsigned_abs() as usize],
        identity: row.get(1),
        key: row.get(2),
        time: row.get(3),
        rows: number(row, 4),
        digest: row.get(5),
        columns: (0..columns).filter(|at| row.get::<_, bool>(6 + at)).collect(),
    }
}
