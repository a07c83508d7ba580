//! A value for row `n`, made by its type alone.

use std::collections::BTreeMap;

use postgres::Transaction;

use crate::error::Result;
use crate::postgres::connection::CouldNot;

/// How deep types of types are followed.
const DEEPEST: u8 = 8;

/// A type as the catalog has it.
#[derive(Debug)]
struct Kind {
    name: String,
    /// As SQL writes it.
    written: String,
    category: String,
    /// Of a domain, what it is made of: the type, and how SQL writes that, with its length and precision.
    base: Option<(u32, String)>,
    /// Of an array, of what.
    element: Option<u32>,
    /// Of a range or multirange, of what, and whether it is one of many.
    subtype: Option<(u32, bool)>,
    /// Of a composite.
    fields: Vec<u32>,
    is_enum: bool,
}

/// All types of a database.
#[derive(Debug, Default)]
pub struct Kinds(BTreeMap<u32, Kind>);

impl Kinds {
    pub fn read(transaction: &mut Transaction<'_>) -> Result<Kinds> {
        const KINDS: &str = "
            select t.oid, t.typname::text, t.typcategory::text, nullif(t.typbasetype, 0),
                   pg_catalog.format_type(nullif(t.typbasetype, 0), t.typtypmod),
                   case when t.typcategory = 'A' then nullif(t.typelem, 0) end, r.rngsubtype, t.typtype = 'm',
                   array(select a.atttypid from pg_catalog.pg_attribute a
                          where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
                          order by a.attnum),
                   t.typtype = 'e', pg_catalog.format_type(t.oid, -1)
              from pg_catalog.pg_type t
              left join pg_catalog.pg_range r on t.oid in (r.rngtypid, r.rngmultitypid)";
        let rows = transaction.query(KINDS, &[]).could_not("look at the types")?;
        let kind = |row: &postgres::Row| Kind {
            name: row.get(1),
            category: row.get(2),
            base: row.get::<_, Option<u32>>(3).zip(row.get(4)),
            element: row.get(5),
            subtype: row.get::<_, Option<u32>>(6).zip(row.get(7)),
            fields: row.get(8),
            is_enum: row.get(9),
            written: row.get(10),
        };
        Ok(Kinds(rows.iter().map(|row| (row.get(0), kind(row))).collect()))
    }

    /// The category of a type, of a domain that of what it is made of.
    pub fn category(&self, oid: u32) -> &str {
        self.0
            .get(&oid)
            .map_or("", |kind| kind.base.as_ref().map_or(kind.category.as_str(), |base| self.category(base.0)))
    }

    /// As SQL, for a column of type `oid` that SQL writes as `written`.
    pub fn value(&self, oid: u32, written: &str) -> String {
        self.to_depth(oid, written, DEEPEST)
    }

    fn to_depth(&self, oid: u32, written: &str, depth: u8) -> String {
        let Some(kind) = self.0.get(&oid).filter(|_| depth > 0) else { return "null".to_owned() };
        let inner = |oid: u32| self.to_depth(oid, self.0.get(&oid).map_or("", |kind| &kind.written), depth - 1);
        let value = match kind {
            Kind { base: Some((base, written)), .. } => self.to_depth(*base, written, depth - 1),
            Kind { element: Some(element), .. } => {
                let one = written.strip_suffix("[]").map(|one| self.to_depth(*element, one, depth - 1));
                format!("array[{}]", one.unwrap_or_else(|| inner(*element)))
            }
            Kind { subtype: Some((subtype, many)), .. } => {
                let one = format!("pg_catalog.format('[\"%s\",\"%s\"]', {0}, {0})", inner(*subtype));
                if *many { format!("'{{' || {one} || '}}'") } else { one }
            }
            Kind { is_enum: true, .. } => {
                let all = format!("pg_catalog.enum_range(null::{written})");
                format!("({all})[1 + (n - 1) % pg_catalog.cardinality({all})]")
            }
            Kind { fields, .. } if !fields.is_empty() => {
                format!("row({})", fields.iter().map(|field| inner(*field)).collect::<Vec<_>>().join(", "))
            }
            Kind { name, category, .. } => plain(name, category, written),
        };
        format!("({value})::{written}")
    }
}

fn plain(name: &str, category: &str, written: &str) -> String {
    let value = match (name, category) {
        ("uuid", _) => "pg_catalog.md5(n::text)",
        ("json" | "jsonb", _) => "pg_catalog.jsonb_build_object('n', n)",
        ("bytea", _) => "pg_catalog.decode(pg_catalog.md5(n::text), 'hex')",
        ("date" | "timestamp" | "timestamptz", _) => "'2026-01-01 00:00Z'::timestamptz + n * '1 day'::interval",
        ("time" | "timetz", _) => "'00:00'::time + n * '1 minute'::interval",
        ("interval", _) => "n * '1 minute'::interval",
        ("numeric", _) => return format!("n % {}", limit(written)),
        ("bit", _) => "n",
        ("varbit", _) => "n::bit(16)",
        ("tsvector" | "tsquery", _) => "n::text",
        ("xml", _) => "'<n>' || n || '</n>'",
        ("macaddr", _) => "'08002b' || pg_catalog.lpad(pg_catalog.to_hex(n), 6, '0')",
        ("macaddr8", _) => "'08002b' || pg_catalog.lpad(pg_catalog.to_hex(n), 10, '0')",
        ("pg_lsn", _) => "'0/' || pg_catalog.to_hex(n)",
        ("jsonpath", _) => "'$.n' || n",
        ("line", _) => "'{1,1,' || n || '}'",
        ("circle", _) => "'<(0,0),' || n || '>'",
        ("point", _) => "pg_catalog.point(n, n)",
        (_, "G") => "'((0,0),(1,' || n || '))'",
        ("money", _) => "n % 1000000",
        (_, "N" | "S") => "n",
        (_, "B") => "n % 2 = 0",
        (_, "I") => "'10.0.0.0'::inet + n",
        _ => "n::text",
    };
    value.to_owned()
}

/// What a number of type `written` stays below: `numeric(3, 2)` has no 10.
fn limit(written: &str) -> String {
    let numbers = written.split_once('(').map_or("", |(_, numbers)| numbers.trim_end_matches(')'));
    let (precision, scale) = numbers.split_once(',').unwrap_or((numbers, "0"));
    match (precision.trim().parse::<i32>(), scale.trim().parse::<i32>()) {
        (Ok(precision), Ok(scale)) => format!("1{}", "0".repeat((precision - scale).clamp(0, 9) as usize)),
        _ => "1000000000".to_owned(),
    }
}
