//! A database inside of one transaction, before and after a script ran in it: which tables are there, and which it touched.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Transaction;

use crate::error::Result;
use crate::migrations::prints::Prints;
use crate::migrations::stock::{Stock, stock_in};
use crate::postgres::connection::CouldNot;
use crate::schema::place::Place;

/// What a transaction has done to a table so far: the file that holds it, which a rewrite replaces, and how many rows were updated or
/// deleted. None where the server does not count.
type Trace = (Option<u32>, Option<i64>);

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
                        then pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) end
              from pg_catalog.pg_class c where c.relkind in ('r', 'p')";
        let stock = stock_in(transaction)?;
        let rows = transaction.query(TRACES, &[]).could_not("ask which tables were touched")?;
        let traces = rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
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
            is_ours(relation) && (trace.1.is_none() || after.traces.get(relation) != Some(trace))
        });
        touched.map(|(relation, _)| self.stock.root(*relation))
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
