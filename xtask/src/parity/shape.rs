//! What the catalog knows of a table, and whether a pair can be counted in it: asked before anything is counted, because a count that the
//! server refuses says less of the cause, and a count that row security thins out says nothing of it.

use std::collections::BTreeMap;

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
}

#[derive(Debug, Clone)]
pub struct Column {
    /// `pg_type.typname`.
    pub kind: String,
    pub readable: bool,
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
    for name in side.columns() {
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
