//! What hangs on a schema from outside of it, and goes with it: `drop schema … cascade` reaches triggers, keys, views and columns of other
//! schemas and the tables of publications, and reports none of it (supabase/cli#2214, supabase/auth#1067).
//!
//! Most of it is definition alone, which the catalog has: it is written down before and made again after. What has rows or values of its own,
//! or a definition that is not known to be whole, cannot be made again, and a stage that drops the schema refuses.

use postgres::Transaction;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Result};
use crate::guard::StagingTarget;
use crate::postgres::connection::{Connection, CouldNot, server_words};
use crate::schema::catalog::ObjectKey;
use crate::words::counted;

/// One object outside of the schema that cannot be without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    /// In the server's words: `trigger`, `table column`.
    pub kind: String,
    /// `greet_new on people.users`
    pub name: String,
    /// Make it again, in this order. None where that is not known to bring back what was there.
    pub statements: Option<Vec<String>>,
    /// Makes a key or check that is already there hold for old rows too.
    pub validate: Option<String>,
    /// Of a table its rows, of a column its values that are not null.
    pub stake: Option<usize>,
}

impl Dependent {
    pub fn in_words(&self) -> String {
        let noun = if self.kind.ends_with("column") { "value" } else { "row" };
        let stake = self.stake.map(|stake| format!(" with {}", counted(stake, noun))).unwrap_or_default();
        format!("{} `{}`{stake}", self.kind, self.name)
    }

    fn is(&self, other: &Dependent) -> bool {
        (&self.kind, &self.name) == (&other.kind, &other.name)
    }
}

const DEPENDENTS: &str = include_str!("dependents.sql");

/// Everything outside of `schemas` that goes with them, the oldest first.
///
/// # Errors
/// `failed` with the server's words; a table that the role may not count is one.
pub fn dependents(connection: &mut Connection, schemas: &[&str]) -> Result<Vec<Dependent>> {
    connection.read(|transaction| in_transaction(transaction, schemas))
}

fn in_transaction(transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Vec<Dependent>> {
    let intent = format!("find what hangs on the schema `{}`", schemas.join("`, `"));
    let rows = transaction.query(DEPENDENTS, &[&schemas]).could_not(&intent)?;
    rows.iter()
        .map(|row| {
            let stake = row.get::<_, Option<&str>>(4).map(|sql| count(transaction, sql)).transpose()?;
            Ok(Dependent { kind: row.get(0), name: row.get(1), statements: row.get(2), validate: row.get(3), stake })
        })
        .collect()
}

fn count(transaction: &mut Transaction<'_>, sql: &str) -> Result<usize> {
    let row = transaction.query_one(sql, &[]).could_not("count what hangs on the schema")?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}

/// What stands on `unmanaged`, which no migration makes, has nothing to stand on afterwards. By name: in doubt it does.
pub fn strand(dependents: &mut [Dependent], unmanaged: &ObjectKey) {
    let Some(names) = unmanaged.path.get(1..).filter(|names| !names.is_empty()) else { return };
    for one in dependents {
        let text = one.statements.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        if names.iter().all(|name| text.contains(name)) {
            one.statements = None;
        }
    }
}

/// `blocked` where one of them could not be made again.
pub fn refuse_loss(schemas: &[&str], dependents: &[Dependent]) -> Result<()> {
    let Some(first) = dependents.iter().find(|one| one.statements.is_none()) else { return Ok(()) };
    let words = |one: &Dependent| match one.statements {
        Some(_) => format!("{} would be made again", one.in_words()),
        None => format!("{} would be lost", one.in_words()),
    };
    let rest = if first.kind == "table column" {
        "give the column a type of another schema, such as text, and its own type again afterwards"
    } else {
        "move it, or drop it and make it again afterwards"
    };
    Err(Failure::blocked(format!(
        "what other schemas hang on `{}` would go with it, and not all of it can be put back",
        schemas.join("`, `")
    ))
    .because_all(dependents.iter().map(words))
    .note("nothing was dropped")
    .hint(format!("{}: {rest}", first.in_words())))
}

/// Those of `before` that `now` does not have.
pub fn gone<'a>(before: &'a [Dependent], now: &[Dependent]) -> Vec<&'a Dependent> {
    before.iter().filter(|one| !now.iter().any(|other| other.is(one))).collect()
}

/// What an earlier reset took and did not make again, and what hangs on the schemas now.
pub fn or_since(mut owed: Vec<Dependent>, now: Vec<Dependent>) -> Vec<Dependent> {
    owed.extend(now.into_iter().filter(|one| !owed.iter().any(|other| other.is(one))).collect::<Vec<_>>());
    owed
}

/// Makes keys hold for old rows too; returns those of `statements` that the server refused, with its words.
///
/// # Errors
/// `failed` with the server's words when it cannot be asked.
pub fn validate(connection: &mut Connection, _: &StagingTarget, statements: &[String]) -> Result<Vec<String>> {
    connection.write(|transaction| {
        let mut refused = Vec::new();
        for sql in statements {
            if let Err(words) = attempt(transaction, [sql].into_iter())? {
                refused.push(format!("{sql} ({words})"));
            }
        }
        Ok(refused)
    })
}

/// What became of an attempt to make them again.
#[derive(Debug)]
pub struct Restored {
    pub made: usize,
    /// Statements that are still needed, and what the server said to those that it refused.
    pub missing: Vec<String>,
    /// Keys and checks that are there and hold for new rows alone, since the old ones point to rows that are not back yet.
    pub unchecked: Vec<String>,
}

/// Makes those of `before` that are not there again, in one transaction, and reads all of them again.
///
/// # Errors
/// `failed` with the server's words when it cannot be asked.
pub fn restore(
    connection: &mut Connection,
    _: &StagingTarget,
    schemas: &[&str],
    before: &[Dependent],
) -> Result<Restored> {
    let there = dependents(connection, schemas)?;
    let gone = gone(before, &there);
    let (made, refused) = connection.write(|transaction| {
        let done = make(transaction, &gone)?;
        for sql in before.iter().filter_map(|one| one.validate.as_ref()) {
            // One that is refused here is found when they are read again.
            let _ = attempt(transaction, [sql].into_iter())?;
        }
        Ok(done)
    })?;
    let now = dependents(connection, schemas)?;
    let mut missing = Vec::new();
    let mut unchecked = Vec::new();
    for one in before {
        match now.iter().find(|other| other.is(one)) {
            Some(same) if same.statements == one.statements => {
                unchecked.extend(one.validate.clone().filter(|_| same.validate.is_none()));
            }
            _ => {
                let said = refused.iter().find(|(name, _)| *name == one.name).map(|(_, words)| format!(" ({words})"));
                let statements = one.statements.iter().flatten();
                missing.extend(statements.map(|sql| format!("{sql}{}", said.as_deref().unwrap_or_default())));
            }
        }
    }
    Ok(Restored { made, missing, unchecked })
}

/// A view may need another that is made after it: what is refused is tried again as long as something else went in.
fn make<'a>(transaction: &mut Transaction<'_>, gone: &[&'a Dependent]) -> Result<(usize, Vec<(&'a str, String)>)> {
    let mut open: Vec<&Dependent> = gone.to_vec();
    loop {
        let mut refused = Vec::new();
        for one in &open {
            if let Err(words) = attempt(transaction, one.statements.iter().flatten())? {
                refused.push((*one, words));
            }
        }
        if refused.is_empty() || refused.len() == open.len() {
            let made = gone.len() - refused.len();
            return Ok((made, refused.into_iter().map(|(one, words)| (one.name.as_str(), words)).collect()));
        }
        open = refused.into_iter().map(|(one, _)| one).collect();
    }
}

/// All of `statements` or none; the server's words where it refuses one.
fn attempt<'a>(
    transaction: &mut Transaction<'_>,
    mut statements: impl Iterator<Item = &'a String>,
) -> Result<Result<(), String>> {
    let intent = "make a savepoint";
    let mut savepoint = transaction.transaction().could_not(intent)?;
    let tried = statements.try_for_each(|sql| savepoint.batch_execute(sql));
    match tried {
        Ok(()) => savepoint.commit().could_not(intent).map(Ok),
        Err(error) => {
            let words = error.as_db_error().map(server_words).unwrap_or_else(|| error.to_string());
            savepoint.rollback().could_not(intent).map(|()| Err(words))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::proven;
    use crate::postgres::server::Database;

    const SCHEMA: &str = "
        create type kind as enum ('a', 'b'); create sequence numbers;
        create table shelf (id int primary key, label text);
        create function greet() returns trigger language plpgsql as $$ begin return new; end $$;
        create function allowed(int) returns boolean language sql immutable as 'select $1 < 10'";

    const REBUILD: &str = "drop schema public cascade; create schema public";

    fn words(dependents: &[Dependent]) -> String {
        dependents.iter().map(Dependent::in_words).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_definition_alone_is_found_and_made_again() {
        let mut database = Database::new();
        database.run(SCHEMA);
        database.run(
            "insert into shelf values (1, 'x');
             create schema other; create table other.users (id int, shelf int references shelf on delete cascade, empty int references shelf);
             insert into other.users values (1, 1);
             create trigger greet_new after insert on other.users for each row execute function greet();
             alter table other.users disable trigger greet_new; comment on trigger greet_new on other.users is 'hello';
             alter table other.users alter id set default nextval('numbers');
             alter table other.users add constraint small check (allowed(id));
             create index by_allowed on other.users (allowed(id));
             create policy mine on other.users for select to reader using (allowed(id));
             create view other.second as select 1 as one;
             create view other.first with (security_barrier) as select label from shelf;
             create or replace view other.second as select 1 as one from other.first;
             grant select on other.first to reader; alter view other.first owner to migrator;
             create rule quiet as on insert to other.first do instead nothing;
             create materialized view other.kept as select count(*) from shelf; create unique index on other.kept (count);
             create function other.of(shelf) returns int language sql as 'select 1'; grant execute on function other.of to reader;
             create publication live for table shelf (id) where (id > 1)",
        );
        let before = dependents(&mut database.connection, &["public"]).unwrap();
        insta::assert_snapshot!(words(&before), @r"
        table constraint `users_shelf_fkey on other.users`
        table constraint `users_empty_fkey on other.users`
        trigger `greet_new on other.users`
        default value `for other.users.id`
        table constraint `small on other.users`
        index `other.by_allowed`
        policy `mine on other.users`
        view `other.second`
        view `other.first`
        rule `quiet on other.first`
        materialized view `other.kept`
        index `other.kept_count_idx`
        function `other.of(public.shelf)`
        publication relation `public.shelf in publication live`
        ");
        refuse_loss(&["public"], &before).unwrap();
        database.run(REBUILD);
        database.run(SCHEMA);
        assert_eq!(dependents(&mut database.connection, &["public"]).unwrap(), []);
        let restored = restore(&mut database.connection, &proven(), &["public"], &before).unwrap();
        assert_eq!(restored.missing, [""; 0]);
        assert_eq!(restored.unchecked, ["alter table other.users validate constraint users_shelf_fkey"]);
        database.run("insert into shelf values (1, 'x'); alter table other.users validate constraint users_shelf_fkey");
        let mut sorted = dependents(&mut database.connection, &["public"]).unwrap();
        sorted.sort_by_key(|one| before.iter().position(|other| other.is(one)));
        assert_eq!(sorted, before);
    }

    #[test]
    fn what_has_values_or_no_known_definition_is_counted_and_refused() {
        let mut database = Database::new();
        database.run(SCHEMA);
        database.run(
            "create schema other; create table other.lines (id int, kind kind, kinds kind[], n int generated always as (length(id::text)) stored);
             create function len(int) returns int language sql immutable as 'select 1';
             alter table other.lines add m int generated always as (len(id)) stored;
             insert into other.lines values (1, 'a', '{a,b}'), (2, null, null);
             create index on other.lines (kind);
             create table parts (id int) partition by range (id);
             create table other.part partition of parts for values from (0) to (9); insert into parts values (1), (2), (3);
             create table heir_root (id int); create table other.heir (more int) inherits (heir_root);
             create domain other.sort as kind; create cast (int as kind) with inout;
             create view other.labels as select label from shelf",
        );
        let before = dependents(&mut database.connection, &["public"]).unwrap();
        let refused = refuse_loss(&["public"], &before).unwrap_err();
        insta::assert_snapshot!(refused.causes().collect::<Vec<_>>().join("\n"), @r"
        table column `other.lines.kind` with 1 value would be lost
        table column `other.lines.kinds` with 1 value would be lost
        table column `other.lines.m` with 2 values would be lost
        table `other.part` with 3 rows would be lost
        table `other.heir` with 0 rows would be lost
        type `other.sort` would be lost
        cast `(integer AS public.kind)` would be lost
        view `other.labels` would be made again
        ");
    }

    #[test]
    fn a_schema_that_nothing_hangs_on_has_no_dependents() {
        let mut database = Database::new();
        database.run(SCHEMA);
        database.run(
            "create view v as select * from shelf; create index on shelf (label); create publication everything for all tables;
             alter default privileges in schema public grant select on tables to reader; alter table shelf add boss int references shelf;
             create extension pg_trgm; create trigger t before insert on shelf for each row execute function greet()",
        );
        assert_eq!(dependents(&mut database.connection, &["public"]).unwrap(), []);
    }

    #[test]
    fn what_the_history_made_again_itself_is_left_alone() {
        let mut database = Database::new();
        database.run(SCHEMA);
        let trigger =
            "create or replace trigger greet_new after insert on other.users for each row execute function greet()";
        database.run("create schema other; create table other.users (id int)");
        database.run(trigger);
        let before = dependents(&mut database.connection, &["public"]).unwrap();
        database.run(REBUILD);
        database.run(SCHEMA);
        database.run(trigger);
        let restored = restore(&mut database.connection, &proven(), &["public"], &before).unwrap();
        assert_eq!((restored.made, restored.missing.len()), (0, 0));
    }

    #[test]
    fn what_cannot_be_made_again_after_all_is_said() {
        let mut database = Database::new();
        database.run(SCHEMA);
        database.run("create schema other; create view other.labels as select label from shelf");
        let before = dependents(&mut database.connection, &["public"]).unwrap();
        database.run(REBUILD);
        let restored = restore(&mut database.connection, &proven(), &["public"], &before).unwrap();
        assert_eq!((restored.made, restored.missing.len()), (0, 1));
        assert!(restored.missing[0].contains("does not exist (SQLSTATE 42P01)"), "{:?}", restored.missing);
    }
}
