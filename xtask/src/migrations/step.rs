//! One statement on the way back, and where it stands among others.

use crate::schema::catalog::ObjectKey;

/// One statement on the way back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub rank: Rank,
    pub sql: String,
    /// Where the server refuses `sql`, one after the other.
    pub otherwise: Vec<String>,
    /// The path of what it changes, or of what that is inside of.
    pub about: Vec<String>,
}

impl Step {
    pub fn new(rank: Rank, key: &ObjectKey, sql: String) -> Step {
        Step { rank, sql, otherwise: Vec::new(), about: key.path.iter().take(2).cloned().collect() }
    }
}

/// In the order in which they succeed, as far as their kind tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    DropTrigger,
    DropPolicy,
    DropRule,
    DropView,
    DropConstraint,
    DropIndex,
    DropStatistics,
    /// An operator, a cast, a collation: what other kinds may stand on.
    DropOther,
    DropFunction,
    RenameLabel,
    /// Before the columns that it is computed from.
    DropComputed,
    AlterColumn,
    DropColumn,
    DropTable,
    ChangeType,
    DropSequence,
    DropType,
    DropExtension,
    DropSchema,
    CreateSchema,
    CreateExtension,
    CreateType,
    CreateSequence,
    CreateFunction,
    CreateTable,
    AddColumn,
    CreateIndex,
    AddKey,
    AddForeignKey,
    CreateStatistics,
    CreateView,
    Change,
    CreateTrigger,
    CreatePolicy,
    CreateRule,
    CreateOther,
    /// What stands beside an object: comments, grants, switches.
    Beside,
}

impl Rank {
    /// Where an object of this kind goes that can be made again without the loss of a row.
    pub fn of_what_is_made_again(kind: &str) -> Option<Rank> {
        Some(match kind {
            "trigger" => Rank::DropTrigger,
            "policy" => Rank::DropPolicy,
            "rule" => Rank::DropRule,
            "view" | "materialized view" => Rank::DropView,
            "constraint" => Rank::DropConstraint,
            "index" => Rank::DropIndex,
            "statistics" => Rank::DropStatistics,
            "function" | "procedure" => Rank::DropFunction,
            _ => return None,
        })
    }

    /// Whether statements of this kind succeed in their order, whatever the schema.
    pub fn is_sure(self) -> bool {
        use Rank::{
            AddForeignKey, AddKey, AlterColumn, CreateIndex, DropColumn, DropComputed, DropConstraint, DropIndex,
            DropSchema, DropTable, DropType,
        };
        let sure = [DropConstraint, DropIndex, DropComputed, AlterColumn, DropColumn, DropTable, DropType, DropSchema];
        sure.contains(&self) || [CreateIndex, AddKey, AddForeignKey].contains(&self)
    }
}
