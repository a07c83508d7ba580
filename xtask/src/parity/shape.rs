//! What the catalog knows of a table, and whether a pair can be counted in it: asked before anything is counted, because a count that the
//! server refuses says less of the cause, and a count that row security thins out says nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::parity::obstacle::Obstacle;
use crate::postgres::counts::RowSecurity;
use crate::settings::pair::{Pair, Which};

/// By the table's name; a table that is not there is not in it.
pub type Shapes = BTreeMap<String, Shape>;

/// A table as the role that counts sees it.
#[derive(Debug, Clone)]
pub struct Shape {
    /// `pg_class.relkind`.
    pub kind: String,
    /// Whether the role may use the table's schema.
    pub reachable: bool,
    /// Whether policies would keep rows from this role.
    pub row_security: Option<RowSecurity>,
    pub columns: BTreeMap<String, Column>,
    /// The primary key's columns, in its order; none in a view.
    pub key: Vec<String>,
    /// The columns of each index under which no two rows are alike.
    pub unique: Vec<BTreeSet<String>>,
}

#[derive(Debug, Clone)]
pub struct Column {
    /// `pg_type.typname`.
    pub kind: String,
    pub readable: bool,
    /// How it compares with others.
    pub value: ValueType,
    /// The table fills it by itself where an insert does not: a default, an identity, a generated column.
    pub filled: bool,
}

/// A column's type without its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueType {
    pub oid: u32,
    /// `pg_type.typname`.
    pub name: String,
    /// Of `pg_catalog`, so that its operators are found whatever the search path.
    pub builtin: bool,
    pub enumeration: bool,
    /// `pg_attribute.atttypmod`, of a time its digits after the second; -1 where the type has none.
    pub modifier: i32,
    /// 0 where the type has none.
    pub collation: u32,
    /// Equal in the collation is equal byte by byte.
    pub deterministic: bool,
}

/// The types that a stretch of time can be cut from.
const TIMES: [&str; 2] = ["timestamp", "timestamptz"];

const FOREIGN_TABLE: &str = "f";

/// Whether both sides of `pair` can be counted, every row of them.
///
/// # Errors
/// The first obstacle, in the order in which they have to be cleared.
pub fn check(pair: &Pair, shapes: &Shapes) -> Result<(), Obstacle> {
    Which::BOTH.into_iter().try_for_each(|which| check_side(pair, which, shapes))
}

/// As [`check`], for one side of it.
pub fn check_side(pair: &Pair, which: Which, shapes: &Shapes) -> Result<(), Obstacle> {
    let side = pair.side(which);
    let table = side.table.clone();
    let Some(shape) = shapes.get(&table) else { return Err(Obstacle::NoTable { which, table }) };
    if shape.kind == FOREIGN_TABLE {
        return Err(Obstacle::Elsewhere { which, table });
    }
    if !shape.reachable {
        return Err(Obstacle::NoGrant { which, table });
    }
    for name in pair.columns(which) {
        match shape.columns.get(name) {
            None => return Err(Obstacle::NoColumn { which, table, column: name.to_owned() }),
            Some(column) if !column.readable => return Err(Obstacle::NoGrant { which, table }),
            Some(_) => {}
        }
    }
    let kind = &shape.columns[&side.time].kind;
    if !TIMES.contains(&kind.as_str()) {
        return Err(Obstacle::NoTime { which, table, column: side.time.clone(), kind: kind.clone() });
    }
    shape.row_security.map_or(Ok(()), |how| Err(Obstacle::RowSecurity { which, table, how }))
}
