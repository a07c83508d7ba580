//! Which rows the UPDATEs and DELETEs of a script are about, and what an ON CONFLICT or a USING puts in place of a value, as its own text
//! says: that can be asked of a database before the script runs there, which made-up rows cannot answer.

use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, Assignment, AssignmentTarget, ConflictTarget, Expr, FromTable, Ident,
    Insert, OnConflict, OnConflictAction, OnInsert, Statement, TableFactor, TableObject, TableWithJoins,
    UpdateTableFromKind,
};

use crate::pieces::if_understood;
use crate::statements::{moves_rows, parsed};
use crate::text::{Text, Unreadable};

/// One UPDATE or DELETE, or what is like one.
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
    /// Where that is of another type: what it is before the last cast, to a type that may not be there yet.
    pub before_cast: Option<String>,
}

/// Those of `script` that the parser reads, and whether nothing else in it changes rows that are there.
///
/// # Errors
/// The script cannot be read.
pub fn row_changes(script: &Text) -> Result<(Vec<RowChange>, bool), Unreadable> {
    let look = |statement: Statement| {
        let found = changes(&statement);
        let is_all = !found.is_empty() || is_harmless(&statement);
        (found, is_all, with_using(&statement))
    };
    let (mut all, mut with_using, mut says_all) = (Vec::new(), Vec::new(), true);
    let read = parsed(script, look, |(found, is_all, retyped)| {
        says_all &= is_all;
        all.extend(found);
        with_using.extend(retyped);
    });
    let Some(()) = if_understood(read)? else { return Ok((Vec::new(), false)) };
    all.extend(with_using);
    Ok((all, says_all))
}

fn is_harmless(statement: &Statement) -> bool {
    let adds_only = |on: &Option<OnInsert>| match on {
        None => true,
        Some(OnInsert::OnConflict(conflict)) => conflict.action == OnConflictAction::DoNothing,
        Some(_) => false,
    };
    matches!(statement, Statement::Insert(insert) if adds_only(&insert.on)) || !moves_rows(statement)
}

fn changes(statement: &Statement) -> Vec<RowChange> {
    let Statement::Truncate(truncate) = statement else { return row_change(statement).into_iter().collect() };
    let names = truncate.table_names.iter().map(|target| target.name.to_string());
    names.map(|table| RowChange { rows: format!("from {table}"), table, columns: Vec::new() }).collect()
}

fn row_change(statement: &Statement) -> Option<RowChange> {
    match statement {
        Statement::Insert(insert) => on_conflict(insert),
        Statement::Update(update) => {
            let others = match &update.from {
                Some(UpdateTableFromKind::BeforeSet(tables) | UpdateTableFromKind::AfterSet(tables)) => {
                    tables.as_slice()
                }
                None => &[],
            };
            let (table, alias) = named(&update.table)?;
            let rows = rows(&update.table, others, update.selection.as_ref());
            Some(RowChange { table, rows, columns: assigned(&update.assignments, &alias) })
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

fn assigned(assignments: &[Assignment], alias: &str) -> Vec<Column> {
    let column = |assignment: &Assignment| {
        let AssignmentTarget::ColumnName(name) = &assignment.target else { return None };
        let ident = name.0.last()?.as_ident()?;
        let to = assignment.value.to_string();
        let to = if to.eq_ignore_ascii_case("default") { "null".to_owned() } else { to };
        Some(Column { name: folded(ident), from: format!("{alias}.{ident}"), to, before_cast: None })
    };
    assignments.iter().filter_map(column).collect()
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The rows that are there already, beside what would be inserted.
fn on_conflict(insert: &Insert) -> Option<RowChange> {
    let Some(OnInsert::OnConflict(OnConflict { conflict_target, action })) = &insert.on else { return None };
    let (Some(ConflictTarget::Columns(keys)), OnConflictAction::DoUpdate(update)) = (conflict_target, action) else {
        return None;
    };
    let TableObject::TableName(table) = &insert.table else { return None };
    let source = insert.source.as_ref().filter(|_| !insert.columns.is_empty())?;
    let list = insert.columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let alias = insert.table_alias.as_ref().map_or_else(|| table.to_string(), ToString::to_string);
    let named = insert.table_alias.as_ref().map(|alias| format!(" as {alias}")).unwrap_or_default();
    let keys = keys.iter().map(|key| format!("{alias}.{key} = excluded.{key}"));
    let condition = update.selection.iter().map(|condition| format!("({condition})"));
    let conditions = keys.chain(condition).collect::<Vec<_>>().join(" and ");
    let rows = format!("from {table}{named}, ({source}) as excluded ({list}) where {conditions}");
    Some(RowChange { table: table.to_string(), rows, columns: assigned(&update.assignments, &alias) })
}

/// Columns that get another type by an expression of the script's own.
fn with_using(statement: &Statement) -> Vec<RowChange> {
    let Statement::AlterTable(alter) = statement else { return Vec::new() };
    let table = alter.name.to_string();
    let change = |operation: &AlterTableOperation| {
        let AlterTableOperation::AlterColumn { column_name, op } = operation else { return None };
        let AlterColumnOperation::SetDataType { data_type, using: Some(using), .. } = op else { return None };
        let (from, to) = (format!("{table}.{column_name}"), format!("({using})::{data_type}"));
        let column = Column { name: folded(column_name), from, to, before_cast: Some(before_cast(using).to_string()) };
        Some(RowChange { table: table.clone(), rows: format!("from {table}"), columns: vec![column] })
    };
    alter.operations.iter().filter_map(change).collect()
}

fn before_cast(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) => before_cast(inner),
        Expr::Cast { expr, .. } => expr,
        other => other,
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
    #[test]
    fn updates_and_deletes_say_which_rows_they_are_about() {
        let script = r#"create table x (a int);
            update "T" set "A" = 'x', b = t2.b from t2 where t2.id = "T".id;
            delete from s.t as u using v where u.id = v.id;
            delete from t"#;
        let row_changes = |script: &str| super::row_changes(&script.into()).unwrap();
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
        assert!(!row_changes("update t set a = 1; call u()").1 && row_changes("insert into t values (1)").1);
    }
}
