//! Which rows the UPDATEs and DELETEs of a script are about, and what a MERGE, an ON CONFLICT or a USING puts in place of a value, as its own
//! text says: that can be asked of a database before the script runs there, which made-up rows cannot answer.

use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, Assignment, AssignmentTarget, CascadeOption, ConflictTarget, Expr,
    FromTable, Ident, Insert, Merge, MergeAction, MergeClause, MergeClauseKind, ObjectName, OnConflict,
    OnConflictAction, OnInsert, Statement, TableFactor, TableObject, TableWithJoins, UpdateTableFromKind,
};

use crate::pieces::if_understood;
use crate::statements::{each_alone, moves_rows, parsed};
use crate::text::{Text, Unreadable};

/// One UPDATE or DELETE, or what is like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// As the script names it, without an alias.
    pub table: String,
    /// The name by which `rows` has its columns.
    pub alias: String,
    /// What it is about, as a FROM and a WHERE.
    pub rows: String,
    /// Of an INSERT with ON CONFLICT, what `rows` has yet to be joined with, as `excluded`.
    pub proposed: Option<Proposed>,
    /// Of an UPDATE, each column, how the query names it, and what it becomes; of a DELETE, nothing.
    pub columns: Vec<Column>,
    /// TRUNCATE … CASCADE: every row of each table that refers to it goes, too.
    pub cascades: bool,
}

/// The rows that an INSERT would add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    pub source: String,
    /// Those of the table that it gives, in order; empty for as many as it has, from the first.
    pub columns: Vec<String>,
    /// What says whether a row is there already.
    pub key: Key,
    /// A WHERE, or nothing.
    pub condition: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Columns(Vec<String>),
    Constraint(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub from: String,
    pub to: String,
    /// Where that is of another type: what it is before the last cast, to a type that may not be there yet.
    pub before_cast: Option<String>,
}

/// What a script's text says of rows that are there.
#[derive(Debug, Default)]
pub struct Told {
    pub changes: Vec<RowChange>,
    /// Nothing else in the script changes rows that are there.
    pub is_all: bool,
    /// Statements that the parser does not read: a `DO` block, what is new in Postgres.
    pub unread: Vec<Text>,
    /// Of columns that get another type, which is told after all else.
    retyped: Vec<RowChange>,
}

/// What `script` says, each statement for itself.
///
/// # Errors
/// The script cannot be read.
pub fn row_changes(script: &Text) -> Result<Told, Unreadable> {
    let mut told = Told { is_all: true, ..Told::default() };
    if if_understood(parsed(script, look, |looked| told.add(looked)))?.is_none() {
        told = Told::default();
        let is_whole = each_alone(script, |statement| match statement {
            Ok(statement) => told.add(look(statement)),
            Err(text) => told.unread.push(text.into()),
        })?;
        if !is_whole {
            told.unread.push(script.clone());
        }
    }
    told.changes.append(&mut told.retyped);
    Ok(told)
}

/// What a statement says, whether that is all, and which columns it gives another type.
type Looked = (Vec<RowChange>, bool, Vec<RowChange>);

impl Told {
    fn add(&mut self, (changes, is_all, retyped): Looked) {
        self.changes.extend(changes);
        self.is_all &= is_all;
        self.retyped.extend(retyped);
    }
}

fn look(statement: Statement) -> Looked {
    let found = changes(&statement);
    let is_all = !found.is_empty() || is_harmless(&statement);
    (found, is_all, with_using(&statement))
}

fn is_harmless(statement: &Statement) -> bool {
    let adds_only = |on: &Option<OnInsert>| match on {
        None => true,
        Some(OnInsert::OnConflict(conflict)) => conflict.action == OnConflictAction::DoNothing,
        Some(_) => false,
    };
    match statement {
        Statement::Insert(insert) => adds_only(&insert.on),
        Statement::Merge(merge) => merged(merge).is_some(),
        _ => !moves_rows(statement),
    }
}

fn changes(statement: &Statement) -> Vec<RowChange> {
    match statement {
        Statement::Truncate(truncate) => {
            let names = truncate.table_names.iter().map(|target| target.name.to_string());
            let cascades = truncate.cascade == Some(CascadeOption::Cascade);
            let emptied =
                |table: String| RowChange { cascades, ..RowChange::of(&table, &table, format!("from {table}")) };
            names.map(emptied).collect()
        }
        Statement::Merge(merge) => merged(merge).unwrap_or_default(),
        _ => row_change(statement).into_iter().collect(),
    }
}

impl RowChange {
    /// A DELETE.
    fn of(table: &str, alias: &str, rows: String) -> RowChange {
        let (table, alias) = (table.to_owned(), alias.to_owned());
        RowChange { table, alias, rows, proposed: None, columns: Vec::new(), cascades: false }
    }

    /// The table's name without its schema, as Postgres folds it.
    pub fn table_name(&self) -> String {
        match self.table.strip_suffix('"') {
            Some(quoted) => quoted.rsplit('"').next().unwrap_or_default().to_owned(),
            None => self.table.rsplit('.').next().unwrap_or_default().to_lowercase(),
        }
    }
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
            let (table, alias) = named(&update.table.relation)?;
            let rows = rows(&update.table, others, update.selection.as_ref());
            let columns = assigned(&update.assignments, &alias)?;
            Some(RowChange { columns, ..RowChange::of(&table, &alias, rows) })
        }
        Statement::Delete(delete) => {
            let FromTable::WithFromKeyword(from) = &delete.from else { return None };
            let others = delete.using.as_deref().unwrap_or_default();
            let first = from.first()?;
            let (table, alias) = named(&first.relation)?;
            Some(RowChange::of(&table, &alias, rows(first, others, delete.selection.as_ref())))
        }
        _ => None,
    }
}

/// None where one is not told: of columns that a query gives all at once.
fn assigned(assignments: &[Assignment], alias: &str) -> Option<Vec<Column>> {
    let mut found = Vec::new();
    for Assignment { target, value } in assignments {
        match (target, value) {
            (AssignmentTarget::ColumnName(name), value) => found.push((name, value)),
            (AssignmentTarget::Tuple(names), Expr::Tuple(values)) if names.len() == values.len() => {
                found.extend(names.iter().zip(values));
            }
            (AssignmentTarget::Tuple(_), _) => return None,
        }
    }
    let column = |(name, value): (&ObjectName, &Expr)| {
        let ident = name.0.last()?.as_ident()?;
        let to = value.to_string();
        let to = if to.eq_ignore_ascii_case("default") { "null".to_owned() } else { to };
        Some(Column { name: folded(ident), from: format!("{alias}.{ident}"), to, before_cast: None })
    };
    found.into_iter().map(column).collect()
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The rows that are there already, beside what would be inserted.
fn on_conflict(insert: &Insert) -> Option<RowChange> {
    let Some(OnInsert::OnConflict(OnConflict { conflict_target, action })) = &insert.on else { return None };
    let (Some(target), OnConflictAction::DoUpdate(update)) = (conflict_target, action) else { return None };
    let TableObject::TableName(table) = &insert.table else { return None };
    let alias = insert.table_alias.as_ref().map_or_else(|| table.to_string(), ToString::to_string);
    let named = insert.table_alias.as_ref().map(|alias| format!(" as {alias}")).unwrap_or_default();
    let proposed = Proposed {
        source: insert.source.as_ref()?.to_string(),
        columns: insert.columns.iter().map(folded).collect(),
        key: match target {
            ConflictTarget::Columns(columns) => Key::Columns(columns.iter().map(folded).collect()),
            ConflictTarget::OnConstraint(name) => Key::Constraint(folded(name.0.last()?.as_ident()?)),
        },
        condition: update.selection.iter().map(|condition| format!(" where {condition}")).collect(),
    };
    let rows = format!("from {table}{named}");
    let columns = assigned(&update.assignments, &alias)?;
    Some(RowChange { columns, proposed: Some(proposed), ..RowChange::of(&table.to_string(), &alias, rows) })
}

/// What a MERGE does to rows that are there; None where that is not told by what they are joined with.
fn merged(merge: &Merge) -> Option<Vec<RowChange>> {
    let (table, alias) = named(&merge.table)?;
    let joined = format!("from {} join {} on {}", merge.table, merge.source, merge.on);
    let (mut found, mut earlier) = (Vec::new(), String::new());
    for MergeClause { clause_kind, predicate, action, .. } in &merge.clauses {
        match clause_kind {
            MergeClauseKind::Matched => {}
            MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => continue,
            MergeClauseKind::NotMatchedBySource => return None,
        }
        let predicate = predicate.as_ref().map_or_else(|| "true".to_owned(), ToString::to_string);
        // The first that applies is done, and no other.
        let rows = format!("{joined} where ({predicate}){earlier}");
        earlier += &format!(" and ({predicate}) is not true");
        let columns = match action {
            MergeAction::Update(update) => assigned(&update.assignments, &alias)?,
            MergeAction::Delete { .. } => Vec::new(),
            MergeAction::Insert(_) => return None,
        };
        found.push(RowChange { columns, ..RowChange::of(&table, &alias, rows) });
    }
    Some(found)
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
        Some(RowChange { columns: vec![column], ..RowChange::of(&table, &table, format!("from {table}")) })
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
fn named(table: &TableFactor) -> Option<(String, String)> {
    let TableFactor::Table { name, alias, .. } = table else { return None };
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

    /// Each change as a line, and whether they are all that the script does to rows.
    fn told(script: &str) -> (Vec<String>, bool) {
        let line = |one: &RowChange| {
            let columns = one.columns.iter().map(|one| format!("{} {} {}", one.name, one.from, one.to));
            let proposed = one.proposed.iter().map(|Proposed { source, columns, key, condition }| {
                format!(" beside {source} as {} by {key:?}{condition}", columns.join(", "))
            });
            let (columns, proposed): (Vec<_>, String) = (columns.collect(), proposed.collect());
            format!("{} {}: {} [{}]{proposed}", one.table, one.alias, one.rows, columns.join(", "))
        };
        let Told { changes, is_all, .. } = row_changes(&script.into()).unwrap();
        (changes.iter().map(line).collect(), is_all)
    }

    #[test]
    fn updates_and_deletes_say_which_rows_they_are_about() {
        let script = r#"create table x (a int);
            update "T" set "A" = 'x', b = t2.b from t2 where t2.id = "T".id;
            delete from s.t as u using v where u.id = v.id;
            update t set (a, b) = (1, default);
            delete from t"#;
        let found = [
            r#""T" "T": from "T", t2 where t2.id = "T".id [A "T"."A" 'x', b "T".b t2.b]"#,
            "s.t u: from s.t AS u, v where u.id = v.id []",
            "t t: from t [a t.a 1, b t.b null]",
            "t t: from t []",
        ];
        assert_eq!(told(script), (found.map(str::to_owned).to_vec(), true));
    }

    #[test]
    fn what_is_done_to_rows_that_are_there_already_is_told_beside_what_comes() {
        let script = r#"
            insert into t values (1, 'x') on conflict (id) do update set "Name" = excluded."Name" where t.a > 1;
            insert into s.t as u (id, "A") select id, 2 from v where b on conflict on constraint "T_key" do update set a = u.a + 1;
            merge into t as u using v on u.id = v.id
              when matched and v.gone then delete when matched then update set a = v.a when not matched then insert values (1)"#;
        let found = [
            r#"t t: from t [Name t."Name" excluded."Name"] beside VALUES (1, 'x') as  by Columns(["id"]) where t.a > 1"#,
            r#"s.t u: from s.t as u [a u.a u.a + 1] beside SELECT id, 2 FROM v WHERE b as id, A by Constraint("T_key")"#,
            "t u: from t AS u join v on u.id = v.id where (v.gone) []",
            "t u: from t AS u join v on u.id = v.id where (true) and (v.gone) is not true [a u.a v.a]",
        ];
        assert_eq!(told(script), (found.map(str::to_owned).to_vec(), true));
    }

    #[test]
    fn a_table_is_named_with_or_without_its_schema() {
        for (script, name) in [
            ("delete from T", "t"),
            ("delete from s.T as u", "t"),
            (r#"delete from "S.s"."T.t""#, "T.t"),
            (r#"update s."T" set a = 1"#, "T"),
        ] {
            assert_eq!(row_changes(&script.into()).unwrap().changes[0].table_name(), name);
        }
    }

    #[test]
    fn what_a_text_does_not_tell_is_not_taken_for_told() {
        for script in [
            "do $$ begin end $$",
            "call u()",
            "select u()",
            "update t set (a, b) = (select 1, 2)",
            "with gone as (delete from t returning *) select * from gone",
            "merge into t using v on t.id = v.id when not matched by source then delete",
        ] {
            assert_eq!(told(script), (Vec::new(), false), "{script}");
        }
        assert!(told("insert into t values (1)").1);
        let script = "update t set a = 1; do $$ begin perform 1; end $$; delete from t where a = ';'";
        let Told { changes, is_all, unread, .. } = row_changes(&script.into()).unwrap();
        let rows: Vec<&str> = changes.iter().map(|change| change.rows.as_str()).collect();
        assert_eq!((rows.as_slice(), is_all), (["from t", "from t where a = ';'"].as_slice(), false));
        let unread: Vec<String> = unread.iter().map(|text| text.head(99).unwrap()).collect();
        assert_eq!(unread, [" do $$ begin perform 1; end $$"]);
        let Told { unread, .. } = row_changes(&"delete from t; select 'open".into()).unwrap();
        assert_eq!(unread.len(), 1, "what cannot be taken apart");
    }
}
