//! Which columns of the server's own catalog a change writes to, and that each of them is one whose changes are noticed, or listed as not
//! looked at: a column that a new major brings is neither.

use std::collections::{BTreeMap, BTreeSet};

use postgres::{Client, Statement, Transaction};
use serde_json::Value;

/// Each column, with the change of drifts.txt that is noticed and writes to it and the fewest others; or, where it is not looked at, with `- `
/// and what `docs/safety.md` calls it; or, where no statement changes it in an object that stays, with `= ` and what it is.
const COLUMNS: &str = include_str!("server_columns.txt");
const NOT_LOOKED_AT: &str = "- ";
const NO_CHANGE: &str = "= ";

type Key = Vec<String>;
type Column = (String, String);

pub struct ServerColumns {
    /// The columns of each catalog that is not listed as a whole, and its unique keys.
    columns: BTreeMap<String, Vec<String>>,
    keys: BTreeMap<String, Vec<Key>>,
    before: BTreeMap<(String, String), Value>,
    written: Statement,
    noticed: BTreeMap<Column, (usize, String)>,
}

struct Row {
    catalog: String,
    values: Value,
    /// Its values of each unique key, and how the server describes the object, which one of its name that is made anew keeps.
    keys: Vec<String>,
}

impl ServerColumns {
    pub fn new(client: &mut Client) -> ServerColumns {
        let mut columns: BTreeMap<String, Vec<String>> = lists(client, COLUMNS_OF_CATALOGS).into_iter().collect();
        let listed = listed();
        columns.retain(|catalog, _| !listed.contains_key(catalog.as_str()));
        let mut keys: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for (catalog, key) in lists(client, UNIQUE_KEYS) {
            keys.entry(catalog).or_default().push(key);
        }
        let written =
            client.prepare(&rows(&columns, "where xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid")).unwrap();
        let mut new = ServerColumns { columns, keys, before: BTreeMap::new(), written, noticed: BTreeMap::new() };
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute("set local search_path = pg_catalog, pg_temp").unwrap();
        for row in transaction.query(&rows(&new.columns, ""), &[]).unwrap() {
            let Row { catalog, values, keys } = new.read(&row);
            new.before.extend(keys.into_iter().map(|key| ((catalog.clone(), key), values.clone())));
        }
        new
    }

    /// What the transaction's `change`, which was noticed, has written to.
    pub fn noticed(&mut self, transaction: &mut Transaction<'_>, change: &str) {
        let rows = transaction.query(&self.written, &[]).unwrap();
        let written: BTreeSet<Column> = rows.iter().flat_map(|row| self.written(&self.read(row))).collect();
        for column in &written {
            let (fewest, by) = self.noticed.entry(column.clone()).or_insert((usize::MAX, String::new()));
            if written.len() < *fewest {
                (*fewest, *by) = (written.len(), change.to_owned());
            }
        }
    }

    fn read(&self, row: &postgres::Row) -> Row {
        let (catalog, values): (String, Value) = (row.get(0), serde_json::from_str(row.get(1)).unwrap());
        let keys = self.keys_of(&catalog, &values).into_iter().chain(row.get::<_, Option<String>>(2)).collect();
        Row { catalog, values, keys }
    }

    /// Of a row that was there, by any of its keys, the columns that are others now; of a new one what identifies it.
    fn written(&self, Row { catalog, values, keys }: &Row) -> BTreeSet<Column> {
        let was = |key: &String| self.before.get(&(catalog.clone(), key.clone()));
        let before: Vec<&Value> = keys.iter().filter_map(was).collect();
        let is_other = |name: &&String| before.iter().all(|before| before[*name] != values[*name]);
        let columns: Vec<&String> = match before.is_empty() {
            true => self.unique_keys(catalog).into_iter().flatten().collect(),
            false => self.columns[catalog].iter().filter(is_other).collect(),
        };
        columns.into_iter().map(|column| (catalog.clone(), column.clone())).collect()
    }

    /// A catalog without a unique index has its whole rows for keys.
    fn unique_keys(&self, catalog: &str) -> Vec<&Key> {
        self.keys.get(catalog).map_or_else(|| vec![&self.columns[catalog]], |keys| keys.iter().collect())
    }

    fn keys_of(&self, catalog: &str, row: &Value) -> Vec<String> {
        let value = |name: &String| format!("{name}={}", row[name]);
        self.unique_keys(catalog).iter().map(|key| key.iter().map(value).collect::<Vec<_>>().join(" ")).collect()
    }

    /// # Panics
    /// If a column is neither noticed nor listed, or listed as what the docs do not name.
    pub fn hold(&self, docs: &str) {
        let listed = listed();
        let whole =
            listed.iter().filter(|(name, _)| !name.contains('.')).map(|(name, what)| format!("{name}: {what}\n"));
        let each = self.columns.iter().flat_map(|(catalog, columns)| {
            columns.iter().map(|column| self.line(&(catalog.clone(), column.clone()), &listed))
        });
        let said: String = whole.chain(each).collect();
        assert_eq!(said, COLUMNS);
        let docs = docs.split_whitespace().collect::<Vec<_>>().join(" ");
        let unsaid = |what: &&str| what.strip_prefix(NOT_LOOKED_AT).is_some_and(|what| !docs.contains(what));
        let unsaid: BTreeSet<&str> = listed.values().copied().filter(unsaid).collect();
        assert_eq!(unsaid, BTreeSet::new(), "docs/safety.md does not list them");
    }

    fn line(&self, column: &Column, listed: &BTreeMap<&str, &str>) -> String {
        let name = format!("{}.{}", column.0, column.1);
        let by = self.noticed.get(column).map(|(_, change)| change.as_str());
        let what = listed.get(name.as_str()).copied().or(by).unwrap_or("NEITHER NOTICED NOR LISTED");
        format!("{name}: {what}\n")
    }
}

fn rows(columns: &BTreeMap<String, Vec<String>>, condition: &str) -> String {
    let select = |(catalog, columns): (&String, &Vec<String>)| {
        let name = described(catalog, columns);
        format!("select '{catalog}', pg_catalog.to_jsonb(t)::text, {name} from pg_catalog.{catalog} t {condition}")
    };
    columns.iter().map(select).collect::<Vec<_>>().join("\nunion all\n")
}

/// How the server calls the object that a row is of; NULL where it has no word for that.
fn described(catalog: &str, columns: &[String]) -> String {
    let (class, object, part) = match catalog {
        "pg_aggregate" => ("pg_proc", "aggfnoid", "0"),
        "pg_attribute" => ("pg_class", "attrelid", "case when attnum > 0 then attnum else 0 end"),
        "pg_foreign_table" => ("pg_class", "ftrelid", "0"),
        "pg_index" => ("pg_class", "indexrelid", "0"),
        "pg_partitioned_table" => ("pg_class", "partrelid", "0"),
        "pg_range" => ("pg_type", "rngtypid", "0"),
        "pg_sequence" => ("pg_class", "seqrelid", "0"),
        _ if catalog != "pg_enum" && columns.iter().any(|column| column == "oid") => (catalog, "oid", "0"),
        _ => return "null".to_owned(),
    };
    format!("pg_catalog.pg_describe_object('pg_catalog.{class}'::pg_catalog.regclass, {object}, {part})")
}

/// A catalog, or one column of it, for which no change is asked, and why.
fn listed() -> BTreeMap<&'static str, &'static str> {
    let named = COLUMNS.lines().filter_map(|line| line.split_once(": "));
    named.filter(|(_, what)| what.starts_with(NOT_LOOKED_AT) || what.starts_with(NO_CHANGE)).collect()
}

const COLUMNS_OF_CATALOGS: &str = "select c.relname::text, array_agg(a.attname::text order by a.attnum)
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r' group by 1";
const UNIQUE_KEYS: &str = "select c.relname::text, (select array_agg(a.attname::text order by a.attnum) from pg_attribute a where a.attrelid = i.indexrelid)
  from pg_index i join pg_class c on c.oid = i.indrelid
 where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r' and i.indisunique";

fn lists(client: &mut Client, sql: &str) -> Vec<(String, Vec<String>)> {
    client.query(sql, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}
