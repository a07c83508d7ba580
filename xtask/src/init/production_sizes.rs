//! The sizes of production's tables: the question for who may ask production, and its answer as lines of `drill.toml`.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, OrFail, Result};
use crate::hint::Hint;
use crate::init::change::{Change, appended};
use crate::settings::Settings;
use crate::settings::production::MOST;
use crate::words::{number, size};

/// One row with one text on one line, which no format of psql takes apart.
pub const QUERY: &str = include_str!("production_sizes.sql");

const SECTION: &str = "[production.rows]";

#[derive(Debug, PartialEq, Deserialize)]
struct Answer {
    production_sizes: u8,
    tables: Vec<Size>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    schema: String,
    table: String,
    /// As the server estimates them; None where it was never analyzed.
    rows: Option<u64>,
    bytes: u64,
}

/// The answer in what psql printed, in whatever format.
///
/// # Errors
/// `usage` where there is none in `text`.
pub fn read(text: &str) -> Result<Vec<Size>> {
    let answer = text.find('{').zip(text.rfind('}')).and_then(|(from, to)| text.get(from..=to)).unwrap_or_default();
    // CSV writes a quote twice.
    let read = serde_json::from_str(answer).or_else(|error| {
        let single = answer.replace("\"\"", "\"");
        serde_json::from_str(&single).map_err(|_| error)
    });
    let again = Hint::run("production-sizes");
    let answer: Answer =
        read.or_fail(|| Failure::usage("there is no answer of the query in what was read").hint(again))?;
    if let Some(Size { schema, table, rows, .. }) = answer.tables.iter().find(|size| size.rows > Some(MOST)) {
        let rows = number(rows.unwrap_or_default());
        return Err(Failure::usage(format!(
            "the answer gives `{schema}.{table}` {rows} rows, and no table has so many"
        ))
        .hint(Hint::run("production-sizes")));
    }
    match answer.production_sizes {
        1 => Ok(answer.tables),
        other => Err(Failure::usage(format!("the answer is of form {other}, and this program reads form 1"))
            .hint(Hint::run("production-sizes"))),
    }
}

/// The section of `drill.toml`.
pub fn lines(sizes: &[Size]) -> String {
    let mut lines = format!("{SECTION}\n");
    for Size { schema, table, rows, bytes } in sizes {
        let name = serde_json::Value::from(format!("{schema}.{table}")).to_string().replace('\u{7f}', "\\u007f");
        let _ = match rows {
            Some(rows) => writeln!(lines, "{name} = {} # {}", grouped(*rows), size(*bytes)),
            None => writeln!(lines, "# {name} was never analyzed there, and holds {}", size(*bytes)),
        };
    }
    lines
}

/// `12_000_000`
fn grouped(rows: u64) -> String {
    number(rows).replace(',', "_")
}

/// drill.toml with these sizes in place of those that it has.
///
/// # Errors
/// `blocked` where it says them in a form that cannot be replaced.
pub fn change(root: &Path, sizes: &[Size]) -> Result<Option<Change>> {
    Change::edit(root, "drill.toml", |text| {
        let edited = with_section(text, &lines(sizes));
        let read = Settings::production_rows_in(&edited);
        let is_read = read.is_some() && read == Settings::production_rows_in(&lines(sizes));
        is_read.then_some(edited).ok_or_else(|| {
            Failure::blocked("`drill.toml` has `[production]` in a form that is not replaced")
                .hint(format!("write it as the section `{SECTION}`, or put the lines in by hand"))
        })
    })
}

fn with_section(text: &str, section: &str) -> String {
    let begins = |line: &str| line.trim_start().starts_with('[');
    let rows: Vec<&str> = text.split_inclusive('\n').collect();
    let Some(at) = rows.iter().position(|line| line.trim() == SECTION) else { return appended(text, section) };
    let end = rows[at + 1..].iter().position(|line| begins(line)).map_or(rows.len(), |next| at + 1 + next);
    let gap = if end < rows.len() { "\n" } else { "" };
    [rows[..at].concat(), format!("{section}{gap}"), rows[end..].concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    #[test]
    fn the_query_says_rows_and_bytes_of_tables_that_were_analyzed_and_no_value() {
        let mut database = Database::new();
        database.run(
            "create table \"Odd \"\"{}'name\" (secret text); insert into \"Odd \"\"{}'name\" select 'hush' from generate_series(1, 500);
             create table empty (id int); create table parts (id int) partition by list (id);
             create table part_1 partition of parts for values in (1); create table part_2 partition of parts for values in (2);
             insert into parts select 1 + i % 2 from generate_series(1, 300) i; create table _prisma_migrations (id int);
             create materialized view seen as select 1 as one; analyze;
             set track_counts = off; create table unseen (id int) with (autovacuum_enabled = off); insert into unseen values (1)",
        );
        let answer: String = database.ask(QUERY);
        assert!(!answer.contains("hush") && !answer.contains('\n'), "{answer}");
        let sizes = read(&answer).unwrap();
        let said: Vec<String> = sizes
            .iter()
            .map(|size| format!("{}.{} {:?} {}", size.schema, size.table, size.rows, size.bytes > 0))
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    const ANSWER: &str = r#"{"production_sizes" : 1, "tables" : [{"schema":"public","table":"Session","rows":12000000,"bytes":3100000000}, {"schema":"a","table":"q\"{}","rows":null,"bytes":8192}]}"#;

    #[test]
    fn whatever_format_psql_prints_the_answer_is_read() {
        let csv = format!("production_sizes\r\n\"{}\"\r\n", ANSWER.replace('"', "\"\""));
        let aligned = format!(" production_sizes \n------\n {ANSWER}\n(1 row)\n\n");
        let expanded = format!("-[ RECORD 1 ]----+---\nproduction_sizes | {ANSWER}\n\n");
        let size =
            |schema: &str, table: &str, rows, bytes| Size { schema: schema.into(), table: table.into(), rows, bytes };
        let meant = [size("public", "Session", Some(12_000_000), 3_100_000_000), size("a", "q\"{}", None, 8192)];
        for text in [ANSWER, &aligned, &expanded, &csv] {
            assert_eq!(read(text).unwrap(), meant, "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_in_a_line() {
        let wrong = [
            "",
            "psql: error: connection refused",
            "{}",
            &ANSWER.replace("12000000", "-1"),
            &ANSWER.replace("\"table\":\"Session\",", ""),
            &ANSWER[..60],
            &ANSWER.replace("\" : 1", "\" : 2"),
        ]
        .map(|text| {
            let failure = read(text).unwrap_err();
            [failure.message.clone()].into_iter().chain(failure.causes()).collect::<Vec<_>>().join(": ")
        });
        insta::assert_snapshot!(wrong.join("\n"));
    }

    #[test]
    fn sizes_are_added_to_drill_toml_or_replace_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drill.toml");
        let sizes = read(ANSWER).unwrap();
        let mut shown = Vec::new();
        for before in [
            "[parity]\nthreshold_pct = 1.0\n",
            "[production.rows]\nSession = 5\nGone = 1\n\n[parity]\nthreshold_pct = 1.0\n",
        ] {
            std::fs::write(&path, before).unwrap();
            let change = change(folder.path(), &sizes).unwrap().unwrap();
            change.write(folder.path()).unwrap();
            shown.push(std::fs::read_to_string(&path).unwrap());
            assert_eq!(super::change(folder.path(), &sizes).unwrap(), None, "a second time nothing is to do");
        }
        insta::assert_snapshot!(shown.join("----\n"));
        for before in ["production.rows.t = 1\n", "[production]\nrows = { t = 1 }\n", "[production.rows\n"] {
            std::fs::write(&path, before).unwrap();
            let refused = change(folder.path(), &sizes).unwrap_err();
            assert_eq!(refused.message, "`drill.toml` has `[production]` in a form that is not replaced", "{before}");
        }
    }
}
