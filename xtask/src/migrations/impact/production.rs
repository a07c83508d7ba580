//! The sizes of production's tables, beside what a history makes.

use crate::error::Result;
use crate::migrations::untried::holds_word;
use crate::schema::history::History;
use crate::settings::production::ProductionRows;
use crate::words::in_line;

/// The tables with a size of which no migration speaks, each as a sentence.
///
/// # Errors
/// `blocked` where a script cannot be read.
pub fn unheard_of(rows: &ProductionRows, history: &History) -> Result<Vec<String>> {
    let mut sentences = Vec::new();
    for name in rows.names() {
        let table = name.rsplit('.').next().unwrap_or(name);
        if !is_there(table, history)? && !is_there(name, history)? {
            sentences.push(sentence(name, history)?);
        }
    }
    Ok(sentences)
}

fn is_there(table: &str, history: &History) -> Result<bool> {
    for migration in &history.migrations {
        if migration.sql.any_part(|part| holds_word(part, table))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sentence(name: &str, history: &History) -> Result<String> {
    let table = name.rsplit('.').next().unwrap_or(name);
    let mut meant = String::new();
    for migration in &history.migrations {
        let found = migration.sql.any_part(|part| {
            let spelled = spelled(part, table);
            meant = spelled.map(|other| format!("; one speaks of `{other}`")).unwrap_or_default();
            spelled.is_some()
        })?;
        if found {
            break;
        }
    }
    Ok(format!("`{}` under `[production.rows]` is a table that no migration speaks of{meant}", in_line(name)))
}

/// As the script writes it, in other cases.
fn spelled<'a>(sql: &'a str, table: &str) -> Option<&'a str> {
    let mut words = sql.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.find(|word| word.to_lowercase() == table.to_lowercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::schema::history::Migration;

    #[test]
    fn a_size_of_a_table_that_no_migration_speaks_of_is_told_with_what_may_be_meant() {
        let sql = "create table \"Session\" (id int); create table app.users (); create table \"odd.name\" ();";
        let history = History { provider: None, migrations: vec![Migration::new("1", sql)] };
        let names = ["Session", "public.Session", "app.users", "odd.name", "public.session", "Sess", "app.Nothing"];
        let rows: BTreeMap<String, u64> = names.map(|name| (name.to_owned(), 5)).into();
        insta::assert_snapshot!(unheard_of(&ProductionRows::Of(rows), &history).unwrap().join("\n"));
        assert_eq!(unheard_of(&ProductionRows::Each(5), &history).unwrap(), [""; 0]);
    }
}
