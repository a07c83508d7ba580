//! What the text of scripts says that they do to rows, asked of the target before they run: how many rows an UPDATE, a DELETE, a MERGE or an
//! ON CONFLICT finds there, and what foreign keys do to the rows that refer to those.

use std::collections::BTreeMap;
use std::rc::Rc;

use postgres::Transaction;
use postgres::types::Oid;
use postgres_protocol::escape::escape_identifier;
use script::row_changes::{Column, Key, Proposed, RowChange};

use crate::error::Result;
use crate::migrations::harm::Harm;
use crate::migrations::losses::{Loss, Removal, type_and_default};
use crate::migrations::stock::{Stock, stock_in};
use crate::postgres::connection::CouldNot;
use crate::schema::place::Place;

/// What `changes` find in the database of `transaction`. A table or column that an earlier statement has yet to make holds nothing.
pub fn by_their_text(transaction: &mut Transaction<'_>, schema: &str, changes: &[RowChange]) -> Result<Vec<Loss>> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let stock = stock_in(transaction)?;
    let path = format!("set local search_path = {}", escape_identifier(schema));
    transaction.batch_execute(&path).could_not("look as Prisma does")?;
    let mut asking = Asking {
        transaction,
        stock,
        tables: BTreeMap::new(),
        columns: BTreeMap::new(),
        references: BTreeMap::new(),
        found: Vec::new(),
    };
    changes.iter().try_for_each(|change| asking.ask(change, &[]))?;
    Ok(asking.found)
}

struct Asking<'a, 'c> {
    transaction: &'a mut Transaction<'c>,
    stock: Stock,
    /// Many changes may be about one table, and that may be large: what it is, and how many rows it has; None where it is not there.
    tables: BTreeMap<String, Option<(Place, u64)>>,
    /// Names and types, in order.
    columns: BTreeMap<Place, Rc<[(String, String)]>>,
    /// Those to the table that act on this.
    references: BTreeMap<(Place, Event), Rc<[Reference]>>,
    found: Vec<Loss>,
}

impl Asking<'_, '_> {
    /// `through` are the foreign keys that led to it.
    fn ask(&mut self, change: &RowChange, through: &[Oid]) -> Result<()> {
        let Some((table, all)) = self.table(&change.table)? else { return Ok(()) };
        let rows = match &change.proposed {
            None => Some(change.rows.clone()),
            Some(proposed) => self.beside(change, proposed, &table)?,
        };
        if change.columns.is_empty() {
            let deleted = self.count("pg_catalog.count(*)", rows.as_deref())?;
            self.tell(table.clone(), Harm::Deletes, all, deleted, all);
            if deleted == Some(0) {
                return Ok(());
            }
        }
        let mut moved = Vec::new();
        for column in &change.columns {
            let place = Place { column: Some(column.name.clone()), ..table.clone() };
            if !self.stock.has(&place) {
                continue;
            }
            let exact = self.changed(rows.as_deref(), column, &place)?;
            let not_null = format!("pg_catalog.count(t.{})", escape_identifier(&column.name));
            let from = format!("from {} t", table.relation());
            let most = if exact.is_some() { all } else { self.count(&not_null, Some(&from))?.unwrap_or(all) };
            self.tell(place, Harm::Changes, all, exact, most);
            if exact != Some(0) {
                moved.push(&column.name);
            }
        }
        // Of what cannot be asked, neither can what follows.
        let rows = rows.unwrap_or_else(|| change.rows.clone());
        self.follow(&RowChange { rows, proposed: None, ..change.clone() }, &moved, &table, through)
    }

    fn tell(&mut self, place: Place, harm: Harm, rows: u64, exact: Option<u64>, most: u64) {
        let removal = Removal { then: place.clone(), now: Some(place), harm };
        self.found.push(Loss { removal, rows, values: exact.unwrap_or(most), is_exact: exact.is_some() });
    }

    fn table(&mut self, name: &str) -> Result<Option<(Place, u64)>> {
        if let Some(known) = self.tables.get(name) {
            return Ok(known.clone());
        }
        let found = match self.place_of(name)?.filter(|place| self.stock.has(place)) {
            Some(place) => {
                let rows = self.count("pg_catalog.count(*)", Some(&format!("from {} t", place.relation())))?;
                Some((place, rows.unwrap_or_default()))
            }
            None => None,
        };
        self.tables.insert(name.to_owned(), found.clone());
        Ok(found)
    }

    fn place_of(&mut self, table: &str) -> Result<Option<Place>> {
        const TABLE: &str = "
            select n.nspname::text, c.relname::text from pg_catalog.pg_class c
              join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = pg_catalog.to_regclass($1)";
        let row = self.transaction.query_opt(TABLE, &[&table]).could_not(&format!("look for {table}"))?;
        Ok(row.map(|row| Place { schema: row.get(0), table: row.get(1), column: None }))
    }

    /// How many values of `column` are others afterwards, where the server can tell.
    fn changed(&mut self, rows: Option<&str>, column: &Column, place: &Place) -> Result<Option<u64>> {
        let kind = match &column.before_cast {
            Some(_) => format!("::{}", type_and_default(self.transaction, place)?.0),
            None => String::new(),
        };
        let mut differing = |to: &str| {
            let from = &column.from;
            let differs = format!("{from} is not null and ({from})::text is distinct from ({to})::text");
            self.count(&format!("pg_catalog.count(*) filter (where {differs})"), rows)
        };
        match (differing(&format!("({}){kind}", column.to))?, &column.before_cast) {
            (None, Some(before_cast)) => differing(before_cast),
            (exact, _) => Ok(exact),
        }
    }

    /// None where the server cannot tell before the statements that come first have run.
    fn count(&mut self, what: &str, rows: Option<&str>) -> Result<Option<u64>> {
        let Some(rows) = rows else { return Ok(None) };
        let mut trial = self.transaction.transaction().could_not("begin a savepoint")?;
        let row = trial.query_one(&format!("select {what} {rows}"), &[]).ok();
        Ok(row.map(|row| row.get::<_, i64>(0).unsigned_abs()))
    }

    /// The rows that an INSERT meets, as a FROM and a WHERE; None where the server cannot tell.
    fn beside(&mut self, change: &RowChange, proposed: &Proposed, table: &Place) -> Result<Option<String>> {
        let columns = self.columns(table)?;
        let given: Vec<&(String, String)> = match proposed.columns.as_slice() {
            [] => columns.iter().take(self.width(&proposed.source)?).collect(),
            named => named.iter().filter_map(|name| columns.iter().find(|column| column.0 == *name)).collect(),
        };
        let key = match &proposed.key {
            Key::Columns(columns) => columns.clone(),
            Key::Constraint(name) => self.key(table, name)?,
        };
        if given.is_empty() || key.is_empty() {
            return Ok(None);
        }
        let name = |at: usize| format!("c{at}");
        let names: Vec<String> = (0..given.len()).map(name).collect();
        // What is written as a text becomes what the column is.
        let as_column = |(at, (column, kind)): (usize, &&(String, String))| {
            format!("given.{}::{kind} as {}", name(at), escape_identifier(column))
        };
        let excluded: Vec<String> = given.iter().enumerate().map(as_column).collect();
        let same = key.iter().map(|column| escape_identifier(column));
        let same: Vec<String> = same.map(|column| format!("{}.{column} = excluded.{column}", change.alias)).collect();
        Ok(Some(format!(
            "{} join (select {} from ({}) as given ({})) as excluded on {}{}",
            change.rows,
            excluded.join(", "),
            proposed.source,
            names.join(", "),
            same.join(" and "),
            proposed.condition
        )))
    }

    /// Of how many columns a query is; 0 where the server does not understand it.
    fn width(&mut self, query: &str) -> Result<usize> {
        let mut trial = self.transaction.transaction().could_not("begin a savepoint")?;
        Ok(trial.prepare(query).map_or(0, |statement| statement.columns().len()))
    }

    fn columns(&mut self, table: &Place) -> Result<Rc<[(String, String)]>> {
        const COLUMNS: &str = "
            select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) from pg_catalog.pg_attribute a
             where a.attrelid = $1::text::pg_catalog.regclass and a.attnum > 0 and not a.attisdropped order by a.attnum";
        if let Some(known) = self.columns.get(table) {
            return Ok(Rc::clone(known));
        }
        let rows = self.transaction.query(COLUMNS, &[&table.relation()]).could_not(&format!("look at {table}"))?;
        let found: Rc<[_]> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        self.columns.insert(table.clone(), Rc::clone(&found));
        Ok(found)
    }

    fn key(&mut self, table: &Place, constraint: &str) -> Result<Vec<String>> {
        const KEY: &str = "
            select a.attname::text from pg_catalog.pg_constraint k
              join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = any(k.conkey)
             where k.conrelid = $1::text::pg_catalog.regclass and k.conname = $2";
        let rows = self.transaction.query(KEY, &[&table.relation(), &constraint]);
        Ok(rows.could_not(&format!("look at {table}"))?.iter().map(|row| row.get(0)).collect())
    }

    /// What foreign keys do to the rows that refer to those that are deleted, or to those whose columns `moved`.
    fn follow(&mut self, change: &RowChange, moved: &[&String], table: &Place, through: &[Oid]) -> Result<()> {
        let event = Event::of(change);
        for reference in self.references(table, event)?.iter() {
            if event == Event::Update && !reference.key.iter().any(|key| moved.contains(&key)) {
                continue;
            }
            if through.contains(&reference.id) {
                // Round and round: at least those that were counted.
                self.found.iter_mut().filter(|loss| loss.place() == table).for_each(|loss| loss.is_exact = false);
                continue;
            }
            self.ask(&reference.change(change), &[through, &[reference.id]].concat())?;
        }
        Ok(())
    }

    fn references(&mut self, table: &Place, event: Event) -> Result<Rc<[Reference]>> {
        const REFERENCES: &str = "
            select k.oid, k.conrelid::pg_catalog.regclass::text, $2 = 't' or $2 = 'd' and k.confdeltype = 'c',
                   array(select a.attname::text from pg_catalog.unnest(k.conkey) with ordinality u (n, at)
                           join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.n order by u.at),
                   array(select a.attname::text from pg_catalog.unnest(k.confkey) with ordinality u (n, at)
                           join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.n order by u.at)
              from pg_catalog.pg_constraint k
             where k.contype = 'f' and k.conparentid = 0 and k.confrelid = $1::text::pg_catalog.regclass
               and case $2 when 't' then true when 'd' then k.confdeltype in ('c', 'n', 'd') else k.confupdtype in ('c', 'n', 'd') end
             order by k.conname, k.oid";
        let key = (table.clone(), event);
        if let Some(known) = self.references.get(&key) {
            return Ok(Rc::clone(known));
        }
        let rows = self.transaction.query(REFERENCES, &[&table.relation(), &event.letter()]);
        let reference = |row: &postgres::Row| Reference {
            id: row.get(0),
            table: row.get(1),
            deletes: row.get(2),
            columns: row.get(3),
            key: row.get(4),
        };
        let rows = rows.could_not(&format!("look what refers to {table}"))?;
        let found: Rc<[_]> = rows.iter().map(reference).collect();
        self.references.insert(key, Rc::clone(&found));
        Ok(found)
    }
}

/// What foreign keys act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Update,
    Delete,
    /// Takes every row of what refers to it, whatever the key says.
    Truncate,
}

impl Event {
    fn of(change: &RowChange) -> Event {
        match (change.columns.is_empty(), change.cascades) {
            (false, _) => Event::Update,
            (true, false) => Event::Delete,
            (true, true) => Event::Truncate,
        }
    }

    fn letter(self) -> &'static str {
        match self {
            Event::Update => "u",
            Event::Delete => "d",
            Event::Truncate => "t",
        }
    }
}

/// A foreign key that acts.
struct Reference {
    id: Oid,
    /// That refers, as the search path of the session has to name it.
    table: String,
    deletes: bool,
    columns: Vec<String>,
    /// What it refers to.
    key: Vec<String>,
}

impl Reference {
    /// What it does to the rows that refer to those of `change`.
    fn change(&self, change: &RowChange) -> RowChange {
        const ALIAS: &str = "referring";
        let of = |alias: &str, columns: &[String]| {
            let columns = columns.iter().map(|column| format!("{alias}.{}", escape_identifier(column)));
            columns.collect::<Vec<_>>().join(", ")
        };
        let (own, theirs) = (of(ALIAS, &self.columns), of(&change.alias, &self.key));
        let emptied = |column: &String| Column {
            name: column.clone(),
            from: format!("{ALIAS}.{}", escape_identifier(column)),
            to: "null".to_owned(),
            before_cast: None,
        };
        let referring = format!("from {} as {ALIAS}", self.table);
        let rows = match change.cascades {
            true => referring,
            false => format!("{referring} where ({own}) in (select {theirs} {})", change.rows),
        };
        RowChange {
            table: self.table.clone(),
            alias: ALIAS.to_owned(),
            rows,
            proposed: None,
            columns: if self.deletes { Vec::new() } else { self.columns.iter().map(emptied).collect() },
            cascades: change.cascades,
        }
    }
}

#[cfg(test)]
mod tests {
    use script::row_changes::row_changes;

    use super::*;
    use crate::postgres::server::Database;

    /// Four parents, two children of the first each way, a tree of four, and what refers to children.
    const TABLES: &str = r#"
        create schema "O s"; create schema drawer;
        create table "O s"."Parent" (id int primary key, code text unique, other int);
        create table kept (id int primary key, parent int not null references "O s"."Parent" on delete restrict on update cascade);
        create table owned (id int primary key, parent int references "O s"."Parent" on delete cascade);
        create table drawer.leaf (id int primary key, owned int references owned on delete cascade);
        create table named (id int primary key, code text default 'c4' references "O s"."Parent" (code) on delete set default on update set null);
        create table node (id int primary key, up int references node on delete cascade);
        create table pair (a int, b int, primary key (a, b));
        create table of_pair (id int primary key, x int, y int, foreign key (y, x) references pair (b, a) on delete set null);
        insert into "O s"."Parent" select i, 'c' || i, i from generate_series(1, 4) i;
        insert into owned values (1, 1), (2, 1), (3, 2); insert into kept values (1, 3);
        insert into drawer.leaf select i, 1 from generate_series(1, 5) i; insert into named values (1, 'c1'), (2, 'c1'), (3, 'c2');
        insert into node values (1, null), (2, 1), (3, 2), (4, null);
        insert into pair values (1, 2), (2, 1); insert into of_pair values (1, 1, 2), (2, 2, 1), (3, null, 1)"#;

    #[test]
    fn what_refers_to_the_rows_goes_or_changes_with_them() {
        let mut database = Database::new();
        database.run(TABLES);
        let mut found = |script: &str| {
            let told = row_changes(&script.into()).unwrap();
            let losses = database.connection.read(|transaction| by_their_text(transaction, "public", &told.changes));
            let losses = losses.unwrap().into_iter().filter(|loss| loss.values > 0);
            losses.map(|loss| loss.to_string()).collect::<Vec<_>>().join("; ")
        };
        for (script, expected) in [
            (
                r#"delete from "O s"."Parent" p where p.id = 1"#,
                r#"table "O s"."Parent": 1 of 4 rows are deleted; column "public"."named"."code": 2 values are changed, in 3 rows; table "public"."owned": 2 of 3 rows are deleted; table "drawer"."leaf": 5 of 5 rows are deleted"#,
            ),
            (r#"delete from "O s"."Parent" where id = 9"#, ""),
            (
                r#"update "O s"."Parent" set id = 7, other = 5 where id = 3"#,
                r#"column "O s"."Parent"."id": 1 values are changed, in 4 rows; column "O s"."Parent"."other": 1 values are changed, in 4 rows; column "public"."kept"."parent": 1 values are changed, in 1 rows"#,
            ),
            (
                r#"update "O s"."Parent" set id = id, code = upper(code) where id < 3"#,
                r#"column "O s"."Parent"."code": 2 values are changed, in 4 rows; column "public"."named"."code": 3 values are changed, in 3 rows"#,
            ),
            (
                r#"update "O s"."Parent" set other = 0 where id = 1"#,
                r#"column "O s"."Parent"."other": 1 values are changed, in 4 rows"#,
            ),
            (
                "delete from node where up is null and id = 1",
                r#"table "public"."node": rows are deleted, of 4; table "public"."node": rows are deleted, of 4"#,
            ),
            (
                "delete from pair using owned where pair.a = owned.id and owned.id = 1",
                r#"table "public"."pair": 1 of 2 rows are deleted; column "public"."of_pair"."y": 1 values are changed, in 3 rows; column "public"."of_pair"."x": 1 values are changed, in 3 rows"#,
            ),
            (
                "truncate owned cascade",
                r#"table "public"."owned": 3 of 3 rows are deleted; table "drawer"."leaf": 5 of 5 rows are deleted"#,
            ),
            (
                r#"truncate "O s"."Parent" cascade"#,
                r#"table "O s"."Parent": 4 of 4 rows are deleted; table "public"."kept": 1 of 1 rows are deleted; table "public"."named": 3 of 3 rows are deleted; table "public"."owned": 3 of 3 rows are deleted; table "drawer"."leaf": 5 of 5 rows are deleted"#,
            ),
            (
                "delete from owned",
                r#"table "public"."owned": 3 of 3 rows are deleted; table "drawer"."leaf": 5 of 5 rows are deleted"#,
            ),
            (
                r#"insert into "O s"."Parent" (id, code) values (1, 'new'), (9, 'c9') on conflict (id) do update set code = excluded.code"#,
                r#"column "O s"."Parent"."code": 1 values are changed, in 4 rows; column "public"."named"."code": 2 values are changed, in 3 rows"#,
            ),
            (
                "merge into owned using (values (2)) v (id) on owned.id = v.id when matched then delete",
                r#"table "public"."owned": 1 of 3 rows are deleted"#,
            ),
        ] {
            assert_eq!(found(script), expected, "{script}");
        }
    }
}
