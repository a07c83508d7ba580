//! Which rows the UPDATEs and DELETEs of a script are about, as its own text says: their conditions can be asked of a database before
//! the script runs there, which made-up rows cannot answer.

use std::thread;

use sqlparser::ast::{AssignmentTarget, Expr, FromTable, Statement, TableFactor, TableWithJoins, UpdateTableFromKind};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::schema::statements::{STACK, moves_rows};

/// One UPDATE or DELETE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// As the script names it, without an alias.
    pub table: String,
    /// What it is about, as a FROM and a WHERE.
    pub rows: String,
    /// Of an UPDATE, each column, how the query names it, and what it becomes; of a DELETE, nothing.
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub from: String,
    pub to: String,
}

/// Those of `script` that the parser reads, and whether nothing else in it changes rows that are there.
pub fn row_changes(script: &str) -> (Vec<RowChange>, bool) {
    let parse = || Parser::parse_sql(&PostgreSqlDialect {}, script).ok();
    let parsed = thread::scope(|scope| {
        let parser = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, parse).ok()?;
        parser.join().ok()?
    });
    let Some(parsed) = parsed else { return (Vec::new(), false) };
    let found: Vec<Option<RowChange>> = parsed.iter().map(row_change).collect();
    let is_all = parsed.iter().zip(&found).all(|(statement, found)| found.is_some() || is_harmless(statement));
    (found.into_iter().flatten().collect(), is_all)
}

fn is_harmless(statement: &Statement) -> bool {
    matches!(statement, Statement::Insert(insert) if insert.on.is_none()) || !moves_rows(statement)
}

fn row_change(statement: &Statement) -> Option<RowChange> {
    match statement {
        Statement::Update(update) => {
            let others = match &update.from {
                Some(UpdateTableFromKind::BeforeSet(tables) | UpdateTableFromKind::AfterSet(tables)) => {
                    tables.as_slice()
                }
                None => &[],
            };
            let (table, alias) = named(&update.table)?;
            let columns = update.assignments.iter().filter_map(|assignment| {
                let AssignmentTarget::ColumnName(name) = &assignment.target else { return None };
                let ident = name.0.last()?.as_ident()?;
                let plain = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
                let to = assignment.value.to_string();
                let to = if to.eq_ignore_ascii_case("default") { "null".to_owned() } else { to };
                Some(Column { name: plain, from: format!("{alias}.{ident}"), to })
            });
            Some(RowChange {
                table,
                rows: rows(&update.table, others, update.selection.as_ref()),
                columns: columns.collect(),
            })
        }
        Statement::Delete(delete) => {
            let FromTable::WithFromKeyword(from) = &delete.from else { return None };
            let others = delete.using.as_deref().unwrap_or_default();
            let first = from.first()?;
            let (table, _) = named(first)?;
            Some(RowChange { table, rows: rows(first, others, delete.selection.as_ref()), columns: Vec::new() })
        }
        _ => None,
    }
}

/// The table's own name, and by which name the statement's columns are found.
fn named(table: &TableWithJoins) -> Option<(String, String)> {
    let TableFactor::Table { name, alias, .. } = &table.relation else { return None };
    let alias = alias.as_ref().map_or_else(|| name.to_string(), |alias| alias.name.to_string());
    Some((name.to_string(), alias))
}

fn rows(table: &TableWithJoins, others: &[TableWithJoins], condition: Option<&Expr>) -> String {
    let tables: Vec<String> = [table].into_iter().chain(others).map(ToString::to_string).collect();
    let condition = condition.map(|condition| format!(" where {condition}")).unwrap_or_default();
    format!("from {}{condition}", tables.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_and_deletes_say_which_rows_they_are_about() {
        let script = r#"create table x (a int);
            update "T" set "A" = 'x', b = t2.b from t2 where t2.id = "T".id;
            delete from s.t as u using v where u.id = v.id;
            delete from t"#;
        let (changes, is_all) = row_changes(script);
        let found: Vec<String> = changes
            .iter()
            .map(|one| {
                let columns = one.columns.iter().map(|one| format!("{} {} {}", one.name, one.from, one.to));
                format!("{}: {} [{}]", one.table, one.rows, columns.collect::<Vec<_>>().join(", "))
            })
            .collect();
        assert!(is_all);
        assert_eq!(
            found,
            [
                r#""T": from "T", t2 where t2.id = "T".id [A "T"."A" 'x', b "T".b t2.b]"#,
                "s.t: from s.t AS u, v where u.id = v.id []",
                "t: from t []",
            ]
        );
        assert_eq!(row_changes("update t set a = 1; do $$ begin end $$"), (Vec::new(), false));
        assert!(!row_changes("update t set a = 1; truncate u").1 && row_changes("insert into t values (1)").1);
    }
}
