//! What `pg_dump` prints of a database: of each table its rows and of each sequence where it stands, as digests, and all else as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use chores::pg_dump;
use sha2::{Digest, Sha256};

/// What a dump says beside that: settings, and a token that differs each time.
const HEAD: [&[u8]; 5] = [b"--", b"SET ", b"SELECT pg_catalog.set_config(", b"\\restrict ", b"\\unrestrict "];

#[derive(PartialEq)]
pub struct Dumped {
    /// By the statement that would put them back, without the rows themselves.
    rows: BTreeMap<String, Vec<u8>>,
    /// Everything but rows, an entry each, in whatever order.
    definitions: BTreeSet<String>,
}

impl Dumped {
    pub fn of(url: &str) -> Dumped {
        let definitions = read(url, &["--section=pre-data", "--section=post-data"], |out| {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            let entries = text.split("\n--\n-- Name: ").skip(1);
            entries.map(|entry| entry.split("\n\\unrestrict ").next().unwrap().trim_end().to_owned()).collect()
        });
        Dumped { rows: read(url, &["--data-only"], rows), definitions }
    }

    /// Of a table or a sequence, by its name with the schema's; None where the dump does not have it.
    pub fn rows(&self, relation: &str) -> Option<&[u8]> {
        let table = format!("COPY {relation} ");
        let sequence = format!("SELECT pg_catalog.setval('{}',", relation.replace('\'', "''"));
        let is_it = |statement: &String| statement.starts_with(&table) || statement.starts_with(&sequence);
        self.rows.iter().find_map(|(statement, rows)| is_it(statement).then_some(rows.as_slice()))
    }

    /// What one of the two has and the other has not.
    pub fn differences(&self, other: &Dumped) -> Vec<String> {
        let only = |one: &Dumped, other: &Dumped, what: &str| {
            let entries = one.definitions.difference(&other.definitions);
            entries.map(|entry| format!("{what}: {entry}")).collect::<Vec<_>>()
        };
        [only(self, other, "gone"), only(other, self, "new")].concat()
    }
}

fn read<T>(url: &str, what: &[&str], taken_apart: impl Fn(&mut dyn BufRead) -> T) -> T {
    let mut dump = Command::new(pg_dump::program());
    dump.args(what).args(["--exclude-table-data=_prisma_migrations", "--dbname", url]);
    let mut child: Child = dump.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let taken = taken_apart(&mut BufReader::with_capacity(1 << 20, child.stdout.take().unwrap()));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    taken
}

/// A line of the dump, without its end.
fn line(out: &mut dyn BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let is_there = out.read_until(b'\n', &mut line).unwrap() > 0;
    line.pop_if(|last| *last == b'\n');
    is_there.then_some(line)
}

fn rows(out: &mut dyn BufRead) -> BTreeMap<String, Vec<u8>> {
    let mut all: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    while let Some(mut text) = line(out) {
        if text.is_empty() || HEAD.iter().any(|head| text.starts_with(head)) {
            continue;
        }
        if !text.starts_with(b"COPY ") {
            // A sequence stands at what comes after its name; of large objects each statement counts.
            let statement = String::from_utf8(text).unwrap();
            let (what, at) = statement.split_once(',').unwrap_or(("anything else", &statement));
            all.entry(format!("{what},")).or_default().extend(at.bytes());
            continue;
        }
        // A name may have a line's end in it.
        while !text.ends_with(b" FROM stdin;") {
            text.push(b'\n');
            text.extend(line(out).unwrap());
        }
        all.insert(String::from_utf8(text).unwrap(), digest(out));
    }
    all
}

/// Of all rows of a table, whatever their order.
fn digest(out: &mut dyn BufRead) -> Vec<u8> {
    let rows = std::iter::from_fn(|| line(out)).take_while(|row| row != b"\\.");
    let mut rows: Vec<[u8; 32]> = rows.map(|row| Sha256::digest(row).into()).collect();
    rows.sort_unstable();
    let mut digest = Sha256::digest(rows.concat()).to_vec();
    digest.extend(rows.len().to_be_bytes());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server;

    #[test]
    fn the_judge_sees_a_row_a_sequence_a_definition_and_a_large_object_and_nothing_where_there_is_nothing() {
        let database = server::shared().database("judged");
        database.execute(
            "create table \"odd\nname\" (a int, b text); insert into \"odd\nname\" values (1, E'a\n\\\\.'), (2, null);
             create sequence stands; create table other (a int); insert into other values (1), (1)",
        );
        let (names, url) = (["public.\"odd\nname\"", "public.stands", "public.other"], database.url());
        let before = Dumped::of(&url);
        assert!(names.iter().all(|name| before.rows(name).is_some()) && before.rows("public.od").is_none());
        assert!(before == Dumped::of(&url));
        let changes = [
            ("update \"odd\nname\" set b = '' where a = 2", Some(0)),
            ("select nextval('stands')", Some(1)),
            ("delete from other where ctid = '(0,1)'", Some(2)),
            ("alter table other alter a set default 1", None),
            ("select lo_from_bytea(0, 'large')", None),
        ];
        for (change, seen) in changes {
            let before = Dumped::of(&url);
            database.execute(change);
            let after = Dumped::of(&url);
            let other: Vec<usize> = (0..3).filter(|&at| before.rows(names[at]) != after.rows(names[at])).collect();
            assert_eq!(other, Vec::from_iter(seen), "{change}");
            assert!(before != after, "{change}");
            assert_eq!(before.differences(&after).is_empty(), !change.starts_with("alter"), "{change}");
        }
    }
}
