//! A part of the target's rows, in memory: enough to try whether a snapshot of all of them would go back, and bounded whatever there is.
//!
//! Of each table the first rows that the server finds are drawn, or all where there are few. The rows that they refer to are drawn as well, by
//! the foreign keys that will have to hold. Where that would lead too far, the rows that refer are left out instead, so that a key which
//! fails says something about the rows and nothing about the sample.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::time::Duration;

use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::counts::Counts;
use crate::rows::snapshot::contents::{Source, sequences, tables};
use crate::rows::snapshot::manifest::{Contents, Encoding, Sequence, Table};
use crate::rows::snapshot::put_back::Rows;
use crate::rows::snapshot::take::{allow_time, copy_text};
use rowfile::RowSum;

/// Rows of one table, those apart that others refer to.
const ROWS: u64 = 200;

/// Of all tables, by what they take on disk.
const BYTES: u64 = 8 << 20;

/// What a small table with its indexes takes, whatever its rows.
const OVERHEAD: u64 = 64 << 10;

/// How many rows are drawn because others refer to them, in multiples of a table's limit.
const REFERRED: usize = 4;

/// A foreign key between tables of ours.
pub struct Key {
    child: (String, String),
    columns: Vec<String>,
    parent: (String, String),
    referred: Vec<String>,
    /// In SQL's words, one for each column.
    operators: Vec<String>,
}

const KEYS: &str = "
    select cn.nspname::text, c.relname::text, pn.nspname::text, p.relname::text,
           array(select a.attname::text from unnest(k.conkey) with ordinality as on_(num, n)
                   join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = on_.num order by on_.n),
           array(select a.attname::text from unnest(k.confkey) with ordinality as on_(num, n)
                   join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = on_.num order by on_.n),
           array(select pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname) from unnest(k.conpfeqop) with ordinality as by_(op, n_)
                   join pg_catalog.pg_operator o on o.oid = by_.op join pg_catalog.pg_namespace n on n.oid = o.oprnamespace order by by_.n_)
      from pg_catalog.pg_constraint k
      join pg_catalog.pg_class c on c.oid = coalesce(pg_catalog.pg_partition_root(k.conrelid)::oid, k.conrelid)
      join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
      join pg_catalog.pg_class p on p.oid = coalesce(pg_catalog.pg_partition_root(k.confrelid)::oid, k.confrelid)
      join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
     where k.contype = 'f' and k.conparentid = 0 and cn.nspname = any($1) and pn.nspname = any($1)
     order by 1, 2, k.conname";

/// The foreign keys of `schemas`, as `connection` has them.
///
/// # Errors
/// `failed` with the server's words.
pub fn keys(connection: &mut Connection, schemas: &[&str]) -> Result<Vec<Key>> {
    connection.read(|transaction| {
        let rows = transaction.query(KEYS, &[&schemas]).could_not("list the foreign keys")?;
        let key = |row: &postgres::Row| Key {
            child: (row.get(0), row.get(1)),
            parent: (row.get(2), row.get(3)),
            columns: row.get(4),
            referred: row.get(5),
            operators: row.get(6),
        };
        Ok(rows.iter().map(key).collect())
    })
}

pub struct Sample {
    schemas: Vec<String>,
    tables: Vec<Table>,
    sequences: Vec<Sequence>,
    encoding: Encoding,
    /// By the table's full name.
    rows: BTreeMap<String, Vec<u8>>,
    /// All rows of all tables are in it.
    pub is_whole: bool,
}

impl Sample {
    /// Of the tables of `schemas`, which have as many rows as `counts` says.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn draw(
        connection: &mut Connection,
        limit: Duration,
        schemas: &[&str],
        counts: &Counts,
        keys: &[Key],
    ) -> Result<Sample> {
        connection.read(|transaction| {
            allow_time(transaction, limit)?;
            let sources = tables(transaction, schemas)?;
            let filled = |one: &&Source| counts.get(&one.full_name()).is_some_and(|rows| *rows > 0);
            let share = BYTES / (sources.iter().filter(filled).count() as u64).max(1);
            let mut drawn = Vec::new();
            for source in sources {
                let rows = counts.get(&source.full_name()).copied().unwrap_or_default();
                drawn.push(Drawn::first(transaction, source, rows, share)?);
            }
            let mut links: Vec<Link<'_>> = keys.iter().filter_map(|key| Link::of(key, &drawn)).collect();
            while follow(transaction, &mut drawn, &mut links)? {}
            while cut(&mut drawn, &links) {}
            let sequences = sequences(transaction, schemas)?;
            Ok(Sample::of(schemas, drawn, sequences))
        })
    }

    fn of(schemas: &[&str], drawn: Vec<Drawn>, sequences: Vec<Sequence>) -> Sample {
        let is_whole = drawn.iter().all(|one| one.is_whole);
        let encoding = drawn.first().and_then(|one| one.source.encoding.clone());
        let text = |one: &Drawn| (one.source.full_name(), one.rows.concat());
        let rows: BTreeMap<String, Vec<u8>> = drawn.iter().map(text).collect();
        let tables = drawn.into_iter().map(Drawn::table).collect();
        let schemas = schemas.iter().map(|&schema| schema.to_owned()).collect();
        Sample { schemas, tables, sequences, encoding, rows, is_whole }
    }

    /// How many tables have rows in it.
    pub fn filled(&self) -> usize {
        self.tables.iter().filter(|table| table.rows > 0).count()
    }

    pub fn contents(&self) -> Contents<'_> {
        let Sample { schemas, tables, sequences, encoding, .. } = self;
        Contents { schemas, tables, sequences, encoding }
    }
}

impl Rows for Sample {
    fn of(&self, table: &Table) -> Result<Box<dyn BufRead + '_>> {
        Ok(Box::new(self.rows.get(&table.full_name()).map(Vec::as_slice).unwrap_or_default()))
    }
}

/// A row as COPY prints it, with its end.
type Row = Vec<u8>;
/// Some fields of a row, as COPY prints them.
type Fields = Vec<Vec<u8>>;

/// Of one table.
struct Drawn {
    source: Source,
    rows: Vec<Row>,
    limit: usize,
    is_whole: bool,
}

impl Drawn {
    fn first(transaction: &mut Transaction<'_>, source: Source, rows: u64, share: u64) -> Result<Drawn> {
        let each = source.bytes.saturating_sub(OVERHEAD) / rows.max(1);
        let limit = share.checked_div(each).unwrap_or(ROWS).clamp(1, ROWS);
        // One more, which says whether these are all.
        let sql = source.copy_out_where(&format!("limit {}", limit + 1));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rows = lines(copy_text(transaction, &source, &sql)?);
        let is_whole = rows.len() <= limit;
        rows.truncate(limit);
        Ok(Drawn { source, rows, limit, is_whole })
    }

    fn table(self) -> Table {
        let mut sum = RowSum::default();
        self.rows.iter().for_each(|row| sum.add(row));
        Table {
            schema: self.source.schema,
            name: self.source.name,
            columns: self.source.columns,
            rows: sum.rows(),
            checksum: sum.checksum(),
            file: String::new(),
            file_sha256: String::new(),
        }
    }
}

fn lines(text: Vec<u8>) -> Vec<Row> {
    text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// A foreign key between two of the drawn tables.
struct Link<'a> {
    key: &'a Key,
    child: usize,
    /// Positions in the child's rows.
    from: Vec<usize>,
    parent: usize,
    to: Vec<usize>,
    /// What the parent was asked for.
    asked: BTreeSet<Fields>,
    /// Of these what it does not have: the key will fail on them, as it should.
    orphans: BTreeSet<Fields>,
}

impl<'a> Link<'a> {
    /// None where the target's tables do not have these columns, or compute them.
    fn of(key: &'a Key, drawn: &[Drawn]) -> Option<Link<'a>> {
        let table = |(schema, name): &(String, String)| {
            drawn.iter().position(|one| (&one.source.schema, &one.source.name) == (schema, name))
        };
        let columns = |table: usize, names: &[String]| {
            let place = |name| drawn[table].source.columns.iter().position(|column| column == name);
            names.iter().map(place).collect::<Option<Vec<usize>>>()
        };
        let (child, parent) = (table(&key.child)?, table(&key.parent)?);
        let (from, to) = (columns(child, &key.columns)?, columns(parent, &key.referred)?);
        Some(Link { key, child, from, parent, to, asked: BTreeSet::new(), orphans: BTreeSet::new() })
    }

    fn present(&self, drawn: &[Drawn]) -> BTreeSet<Fields> {
        drawn[self.parent].rows.iter().filter_map(|row| fields(row, &self.to)).collect()
    }

    /// What the child's rows refer to and is neither drawn nor known not to be there.
    fn missing(&self, drawn: &[Drawn]) -> BTreeSet<Fields> {
        let present = self.present(drawn);
        let wanted = drawn[self.child].rows.iter().filter_map(|row| fields(row, &self.from));
        wanted.filter(|one| !present.contains(one) && !self.orphans.contains(one)).collect()
    }

    fn condition(&self, wanted: &[Fields]) -> String {
        let (columns, operators) = (&self.key.referred, &self.key.operators);
        let equal = |((column, operator), field): ((&String, &String), &Vec<u8>)| {
            format!("{} {operator} {}", escape_identifier(column), literal(&plain(field)))
        };
        let row =
            |fields: &Fields| columns.iter().zip(operators).zip(fields).map(equal).collect::<Vec<_>>().join(" and ");
        format!("where {}", wanted.iter().map(row).collect::<Vec<_>>().join(" or "))
    }
}

/// None where one of them is null: such a row refers to nothing.
fn fields(row: &Row, places: &[usize]) -> Option<Fields> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    let all: Vec<&[u8]> = row.split(|&byte| byte == b'\t').collect();
    let field = |&place: &usize| all.get(place).filter(|field| **field != b"\\N").map(|field| field.to_vec());
    places.iter().map(field).collect()
}

/// A field without the escapes of COPY.
fn plain(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            (_, true) => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(&other) => other,
                None => b'\\',
            },
        });
    }
    out
}

/// In letters that every encoding has: what others stand for is the database's to say.
fn literal(value: &[u8]) -> String {
    let letter = |&byte: &u8| match byte {
        b'\'' => "''".to_owned(),
        b'\\' => r"\\".to_owned(),
        0x20..0x7f => char::from(byte).to_string(),
        other => format!(r"\x{other:02x}"),
    };
    format!("E'{}'", value.iter().map(letter).collect::<String>())
}

/// Draws rows that drawn ones refer to, one step further; whether there were any.
fn follow(transaction: &mut Transaction<'_>, drawn: &mut [Drawn], links: &mut [Link<'_>]) -> Result<bool> {
    let mut more = false;
    for link in links {
        let Drawn { source, rows, limit, is_whole } = &drawn[link.parent];
        let room = (limit * (1 + REFERRED)).saturating_sub(rows.len());
        if *is_whole || room == 0 {
            continue;
        }
        let missing = link.missing(drawn);
        let wanted: Vec<Fields> = missing.difference(&link.asked).take(room).cloned().collect();
        if wanted.is_empty() {
            continue;
        }
        let text = copy_text(transaction, source, &source.copy_out_where(&link.condition(&wanted)))?;
        let known: BTreeSet<&Row> = rows.iter().collect();
        let new: Vec<Row> = lines(text).into_iter().filter(|row| !known.contains(row)).collect();
        drawn[link.parent].rows.extend(new);
        let present = link.present(drawn);
        link.orphans.extend(wanted.iter().filter(|one| !present.contains(*one)).cloned());
        link.asked.extend(wanted);
        more = true;
    }
    Ok(more)
}

/// Leaves rows out that refer to what was not drawn although the target has it; whether there were any.
fn cut(drawn: &mut [Drawn], links: &[Link<'_>]) -> bool {
    let mut more = false;
    for link in links.iter().filter(|link| !drawn[link.parent].is_whole).collect::<Vec<_>>() {
        let missing = link.missing(drawn);
        let child = &mut drawn[link.child];
        let before = child.rows.len();
        child.rows.retain(|row| fields(row, &link.from).is_none_or(|one| !missing.contains(&one)));
        if child.rows.len() < before {
            child.is_whole = false;
            more = true;
        }
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::counts::counts;
    use crate::postgres::server::Database;

    fn draw(database: &mut Database) -> Sample {
        let counts = counts(&mut database.connection, &["public"]).unwrap();
        let keys = keys(&mut database.connection, &["public"]).unwrap();
        Sample::draw(&mut database.connection, Duration::from_secs(60), &["public"], &counts, &keys).unwrap()
    }

    fn drawn(sample: &Sample) -> String {
        sample.tables.iter().map(|table| format!("{} {}", table.name, table.rows)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_rows_that_a_part_of_a_large_table_refers_to_are_drawn_too() {
        let mut database = Database::new();
        database.run(
            r#"create table tiny (id int primary key); insert into tiny select generate_series(1, 3);
             create table maker ("the name" text, place text, primary key ("the name", place), tiny int references tiny);
             insert into maker select E'a\tb\\' || n, e'\n', n % 3 + 1 from generate_series(1, 5000) n;
             create table thing (id int primary key, maker text, place text, foreign key (maker, place) references maker);
             insert into thing select n, E'a\tb\\' || 5001 - n, e'\n' from generate_series(1, 5000) n;
             create table sold (thing int references thing); insert into sold select n * 10 from generate_series(1, 400) n"#,
        );
        let sample = draw(&mut database);
        assert_eq!((drawn(&sample).as_str(), sample.is_whole), ("maker 580, sold 200, thing 380, tiny 3", false));
    }

    #[test]
    fn what_leads_too_far_is_left_out_and_what_is_not_there_stays_in() {
        let mut database = Database::new();
        database.run(
            "create table chain (id int primary key, next int); insert into chain select n, n + 1 from generate_series(1, 5000) n;
             insert into chain values (6000, null); alter table chain add foreign key (next) references chain not valid",
        );
        // All but the last lead to the next one, for ever.
        assert_eq!(drawn(&draw(&mut database)), "chain 0");
        database.run(
            "alter table chain drop constraint chain_next_fkey; update chain set next = case when id > 150 then id + 1000 when id % 2 = 0 then 70000 + id end;
             delete from chain where id > 3000; cluster chain using chain_pkey; alter table chain add foreign key (next) references chain not valid",
        );
        // The first 150 lead to nothing or to what is not there; the next 50 to others, and these by two steps to what is not there.
        assert_eq!(drawn(&draw(&mut database)), "chain 300");
    }

    #[test]
    fn large_rows_are_drawn_by_their_size() {
        let mut database = Database::new();
        database.run(
            "create table big (b text); alter table big alter b set storage external;
             insert into big select repeat('x', 400000) from generate_series(1, 60); create table part (n int) partition by range (n);
             create table one partition of part default; insert into part values (1), (2)",
        );
        assert_eq!(drawn(&draw(&mut database)), "big 10, part 2");
    }
}
