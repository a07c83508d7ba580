//! What there is to copy: the tables with their columns, and the sequences with their values.

use postgres::Transaction;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::error::{Failure, Result};
use crate::postgres::claim::CLAIM_SCHEMA;
use crate::postgres::connection::CouldNot;
use crate::rows::snapshot::manifest::{Encoding, Sequence};
use crate::schema::ledger::LEDGER_TABLE;

/// A table as the server has it now.
#[derive(Debug, Clone)]
pub struct Source {
    pub schema: String,
    pub name: String,
    pub partitioned: bool,
    /// Without the generated ones.
    pub columns: Vec<String>,
    /// Of `columns`, those that must be given: NOT NULL, and nothing to fill them with.
    pub required: Vec<String>,
    /// With indexes and all partitions.
    pub bytes: u64,
    /// In which its rows are copied; None for UTF-8.
    pub encoding: Encoding,
}

impl Source {
    pub fn sql_name(&self) -> String {
        format!("{}.{}", escape_identifier(&self.schema), escape_identifier(&self.name))
    }

    /// As `counts` names it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Prints those rows in text form that `clause` picks, which follows the table's name.
    pub fn copy_out_where(&self, clause: &str) -> String {
        let list = self.columns.iter().map(|column| escape_identifier(column)).collect::<Vec<_>>().join(", ");
        // The rows of heirs are theirs; those of partitions are the table's.
        let only = if self.partitioned { "" } else { "only " };
        format!("copy (select {list} from {only}{} {clause}) to stdout{}", self.sql_name(), self.options(false))
    }

    /// Prints `columns` of all rows in text form.
    pub fn copy_out(&self, columns: &[String]) -> String {
        let list = columns.iter().map(|column| escape_identifier(column)).collect::<Vec<_>>().join(", ");
        let rows = match (self.partitioned, columns.is_empty()) {
            // COPY itself reads no partitioned table, and of a table with heirs only the table's own rows.
            (true, _) => format!("(select {list} from {})", self.sql_name()),
            (false, true) => self.sql_name(),
            (false, false) => format!("{} ({list})", self.sql_name()),
        };
        format!("copy {rows} to stdout{}", self.options(false))
    }

    /// Fills a table that this transaction has emptied. No other session can see its rows before the transaction ends, so they are
    /// frozen at once, which spares reading them again for it; a partitioned table refuses that.
    pub fn copy_in(&self, columns: &[String]) -> String {
        let list = columns.iter().map(|column| escape_identifier(column)).collect::<Vec<_>>().join(", ");
        let list = if columns.is_empty() { String::new() } else { format!(" ({list})") };
        format!("copy {}{list} from stdin{}", self.sql_name(), self.options(!self.partitioned))
    }

    fn options(&self, freeze: bool) -> String {
        let encoding = self.encoding.as_ref().map(|name| format!("encoding {}", escape_literal(name)));
        let options: Vec<String> = freeze.then(|| "freeze".to_owned()).into_iter().chain(encoding).collect();
        if options.is_empty() { String::new() } else { format!(" with ({})", options.join(", ")) }
    }
}

/// A partition is copied with its root, but for one whose parent lies in a schema that is not ours.
const TABLES: &str = "
    select n.nspname::text, c.relname::text, c.relkind = 'p',
           array(select a.attname::text from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum),
           array(select a.attname::text from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
                    and a.attnotnull and not a.atthasdef and a.attidentity = '' order by a.attnum),
           case c.relkind
             when 'r' then pg_catalog.pg_total_relation_size(c.oid)
             else (select coalesce(sum(pg_catalog.pg_total_relation_size(p.relid)), 0)::int8 from pg_catalog.pg_partition_tree(c.oid) p)
           end,
           (select min(p.relid::pg_catalog.regclass::text) from pg_catalog.pg_partition_tree(c.oid) p
              join pg_catalog.pg_class f on f.oid = p.relid where f.relkind = 'f'),
           (select nullif(pg_catalog.pg_encoding_to_char(d.encoding), 'UTF8')::text from pg_catalog.pg_database d
             where d.datname = pg_catalog.current_database())
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any($1) and n.nspname <> $2 and (n.nspname, c.relname) <> ($3, $4)
       and c.relkind in ('r', 'p') and c.relpersistence <> 't'
       and (not c.relispartition or not exists (
              select from pg_catalog.pg_inherits i join pg_catalog.pg_class p on p.oid = i.inhparent
                join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace where i.inhrelid = c.oid and pn.nspname = any($1)))
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
     order by 1, 2";

/// The tables of `schemas`; the first of those is the datasource's and has the ledger, which is not content.
///
/// # Errors
/// `blocked` where a partition is a foreign table: its rows are another server's.
pub fn tables(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Vec<Source>> {
    let ledger_schema = schemas.first().copied().unwrap_or_default();
    let rows = transaction
        .query(TABLES, &[&schemas, &CLAIM_SCHEMA, &ledger_schema, &LEDGER_TABLE])
        .could_not("list the tables")?;
    rows.iter().map(source).collect()
}

fn source(row: &postgres::Row) -> Result<Source> {
    if let Some(foreign) = row.get::<_, Option<String>>(6) {
        return Err(Failure::blocked(format!(
            "the partition `{foreign}` is a foreign table, so its rows are another server's"
        ))
        .hint("detach it before you let the drill destroy what it cannot put back"));
    }
    Ok(Source {
        schema: row.get(0),
        name: row.get(1),
        partitioned: row.get(2),
        columns: row.get(3),
        required: row.get(4),
        bytes: row.get::<_, i64>(5).unsigned_abs(),
        encoding: row.get(7),
    })
}

const SEQUENCES: &str = "
    select n.nspname::text, c.relname::text
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any($1) and n.nspname <> $2 and c.relkind = 'S' and c.relpersistence <> 't'
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
     order by 1, 2";

/// The sequences of `schemas`. They stand outside of transactions, so their values are those of now, at or after the rows'.
pub fn sequences(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Vec<Sequence>> {
    let intent = "read the sequences";
    let listed = transaction.query(SEQUENCES, &[&schemas, &CLAIM_SCHEMA]).could_not(intent)?;
    let names: Vec<(String, String)> = listed.iter().map(|row| (row.get(0), row.get(1))).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let select = |(index, (schema, name)): (usize, &(String, String))| {
        format!(
            "select {index}::int4, last_value, is_called from {}.{}",
            escape_identifier(schema),
            escape_identifier(name)
        )
    };
    let selects: Vec<String> = names.iter().enumerate().map(select).collect();
    let rows = transaction.query(&selects.join(" union all "), &[]).could_not(intent)?;
    let mut sequences: Vec<(i32, i64, bool)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    sequences.sort_unstable_by_key(|(index, ..)| *index);
    let sequence = |((schema, name), (_, last_value, is_called))| Sequence { schema, name, last_value, is_called };
    Ok(names.into_iter().zip(sequences).map(sequence).collect())
}
