//! A database inside of one transaction, before and after a script ran in it: which tables are there, and which it touched.

use std::collections::{BTreeMap, BTreeSet};

use postgres::{Row, Transaction};

use crate::error::Result;
use crate::migrations::prints::Prints;
use crate::migrations::stock::{Stock, stock_in};
use crate::postgres::connection::CouldNot;
use crate::schema::place::Place;

/// What a transaction has done to a table so far. The counts are None where the server does not count.
#[derive(PartialEq, Eq)]
struct Trace {
    /// What holds it, which a rewrite replaces.
    file: Option<u32>,
    /// Rows updated or deleted.
    changed: Option<i64>,
    inserted: Option<i64>,
}

pub struct Inventory {
    pub stock: Stock,
    traces: BTreeMap<u32, Trace>,
}

impl Inventory {
    /// Under our own settings.
    pub fn read(transaction: &mut Transaction<'_>) -> Result<Inventory> {
        const TRACES: &str = "
            select c.oid, pg_catalog.pg_relation_filenode(c.oid)::oid,
                   case when pg_catalog.current_setting('track_counts') = 'on'
                        then pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) end,
                   case when pg_catalog.current_setting('track_counts') = 'on' then pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) end
              from pg_catalog.pg_class c where c.relkind in ('r', 'p')";
        let stock = stock_in(transaction)?;
        let rows = transaction.query(TRACES, &[]).could_not("ask which tables were touched")?;
        let trace = |row: &Row| Trace { file: row.get(1), changed: row.get(2), inserted: row.get(3) };
        let traces = rows.iter().map(|row| (row.get(0), trace(row))).collect();
        Ok(Inventory { stock, traces })
    }

    /// By the names of this moment.
    pub fn dropped(&self, after: &Inventory) -> Vec<Place> {
        self.stock.without(&after.stock).into_iter().map(|id| self.stock.place(id)).collect()
    }

    /// Tables that are still there, and whose rows may be others; of partitions the root. One of which nothing can be known counts as
    /// touched.
    pub fn touched<'a>(&'a self, after: &'a Inventory) -> impl Iterator<Item = u32> {
        let is_ours = |relation: &u32| self.stock.contains((*relation, 0)) && after.stock.contains((*relation, 0));
        let touched = self.traces.iter().filter(move |(relation, trace)| {
            let now = after.traces.get(relation).map(|now| (now.file, now.changed));
            is_ours(relation) && (trace.changed.is_none() || now != Some((trace.file, trace.changed)))
        });
        touched.map(|(relation, _)| self.stock.root(*relation))
    }

    /// Tables in which anything may be unlike what it was in `earlier`, the end of an earlier transaction, after which nobody else wrote;
    /// of partitions the root.
    pub fn written<'a>(&'a self, earlier: &'a Inventory) -> impl Iterator<Item = u32> {
        let unchanged = self.stock.unchanged(&earlier.stock);
        let is_idle = |relation: &u32, now: &Trace| {
            let file = earlier.traces.get(relation).map(|then| then.file);
            file == Some(now.file) && (now.changed, now.inserted) == (Some(0), Some(0))
        };
        let written = self.traces.iter().filter(move |(relation, now)| {
            !unchanged.contains(relation) || self.stock.is_unsteady(**relation) || !is_idle(relation, now)
        });
        written.map(|(relation, _)| self.stock.root(*relation))
    }

    /// The first thing with something in it that is dropped, as the end of "it would …"; `then` is what was in it.
    pub fn dropped_of(&self, after: &Inventory, then: &Prints) -> Option<String> {
        let gone: BTreeSet<_> = self.stock.without(&after.stock).into_iter().collect();
        let print = then.iter().find(|print| gone.contains(&print.id) && print.values > 0)?;
        Some(match print.place.column {
            None => format!("drop {}, which holds {} rows", print.place, print.rows),
            Some(_) => format!("drop {}, which holds {} values in {} rows", print.place, print.values, print.rows),
        })
    }
}

/// Runs `look` under the settings `ours`, and undoes whatever it did.
pub fn peek<T>(
    transaction: &mut Transaction<'_>,
    ours: &str,
    look: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let mut inner = transaction.transaction().could_not("begin a savepoint")?;
    inner.batch_execute(ours).could_not("prepare to look")?;
    let answer = look(&mut inner)?;
    inner.rollback().could_not("undo what was looked at")?;
    Ok(answer)
}
