//! Whether scripts only add to a schema, so that a program which does not know of it goes on as before.

use std::collections::BTreeSet;

use sqlparser::ast::{AlterTable, AlterTableOperation, AlterTypeOperation, ColumnOption, Statement as Sql};

use crate::pieces::if_understood;
use crate::statements::parsed;
use crate::text::{Text, Unreadable};

/// New tables and all that is done to them, indexes that are not unique, types and values of them, and columns that need no value. In doubt
/// not: what is not understood may do anything.
///
/// # Errors
/// A script cannot be read.
pub fn only_add<'a>(scripts: impl IntoIterator<Item = &'a Text>) -> Result<bool, Unreadable> {
    let (mut made, mut only) = (BTreeSet::new(), true);
    for script in scripts {
        let read = parsed(script, but_rows, |statement| only &= adds(&statement, &mut made));
        if if_understood(read)?.is_none() || !only {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Which may be many.
fn but_rows(statement: Sql) -> Sql {
    match statement {
        Sql::Insert(mut insert) => {
            insert.source = None;
            Sql::Insert(insert)
        }
        other => other,
    }
}

fn adds(statement: &Sql, made: &mut BTreeSet<String>) -> bool {
    match statement {
        Sql::CreateTable(table) => {
            made.insert(table.name.to_string());
            true
        }
        Sql::CreateIndex(index) => !index.unique || made.contains(&index.table_name.to_string()),
        Sql::AlterTable(AlterTable { name, operations, .. }) => {
            made.contains(&name.to_string()) || operations.iter().all(adds_column)
        }
        Sql::AlterType(of) => matches!(of.operation, AlterTypeOperation::AddValue(_)),
        Sql::CreateType { .. } | Sql::CreateSchema { .. } | Sql::CreateSequence { .. } => true,
        Sql::CreateExtension(_) | Sql::StartTransaction { .. } | Sql::Commit { .. } => true,
        _ => false,
    }
}

/// One that rows without a value of their own can have.
fn adds_column(operation: &AlterTableOperation) -> bool {
    let AlterTableOperation::AddColumn { column_def, .. } = operation else { return false };
    let is = |wanted: fn(&ColumnOption) -> bool| column_def.options.iter().any(|option| wanted(&option.option));
    let limits = |option: &ColumnOption| {
        matches!(option, ColumnOption::Check(_) | ColumnOption::Unique(_) | ColumnOption::PrimaryKey(_))
    };
    let fills = |option: &ColumnOption| matches!(option, ColumnOption::Default(_) | ColumnOption::Generated { .. });
    !is(limits) && (!is(|option| matches!(option, ColumnOption::NotNull)) || is(fills))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_running_release_may_feel_is_told_from_what_is_only_new() {
        let adds = [
            "create table \"A\" (id int primary key);\n-- CreateIndex\ncreate unique index i on \"A\" (id);\n\
             alter table \"A\" add constraint fk foreign key (id) references \"B\" (id);",
            "alter table \"B\" add column a text, add column b int not null default 1, add column c int generated always as identity",
            "create index i on \"B\" (a); create type t as enum ('a'); alter type t add value 'b';",
            "-- nothing",
        ];
        let only_add = |scripts: &[&str]| {
            super::only_add(&scripts.iter().map(|sql| Text::from(*sql)).collect::<Vec<_>>()).unwrap()
        };
        for script in adds {
            assert!(only_add(&[script]), "{script}");
        }
        let breaks = [
            "alter table \"B\" drop column a",
            "alter table \"B\" add column a int not null",
            "alter table \"B\" add column a int unique",
            "alter table \"B\" rename column a to b",
            "alter table \"B\" alter column a type int",
            "alter table \"B\" add constraint fk foreign key (id) references \"A\" (id)",
            "create unique index i on \"B\" (a)",
            "alter type t rename value 'a' to 'b'",
            "drop table \"B\"",
            "update \"B\" set a = 1",
            "do $$ begin end $$",
        ];
        for script in breaks {
            assert!(!only_add(&[script]), "{script}");
        }
        assert!(only_add(&["create table a (id int)", "alter table a add unique (id)"]), "made by the one before");
    }
}
