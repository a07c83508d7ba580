//! What stands in the way of copying rows into tables, taken away before and brought back after, in one transaction:
//!
//! - foreign keys that point to such a table are dropped and added again by their own definitions. Neither an order of the tables (there
//!   are cycles) nor deferring them (not all are deferrable, and the server keeps each deferred row in memory) would do, and one check of
//!   all rows is faster than one check a row. Keys that point out of these tables stay and are checked row by row;
//! - constraints that a row in the table may break are dropped and added again: those that are NOT VALID let old rows be and refuse the same
//!   rows anew, and those whose expression calls something that is not a pure function of the row (another table is read, the time, a setting)
//!   may find nothing there yet, or judge otherwise than they did. The constraints of the columns' domains are held to the same rule, but for those
//!   that could not be added again, since a column holds the domain within another type: they stay, and judge the rows that go in. Where
//!   the rows no longer satisfy such a check it is added NOT VALID: the rows count for more than the mark;
//! - indexes of large tables, primary keys among them, are made again after the rows (`indexes`), before anything looks for one by them;
//! - triggers of users are disabled, since the rows already went through them, and put back into the state that each had;
//! - row security that binds the owner too is lifted from the owner.
//!
//! Rules need no care: COPY and TRUNCATE follow none.

use postgres::{Row, Transaction};
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::error::Result;
use crate::postgres::connection::CouldNot;
use crate::rows::snapshot::indexes::{INDEXES, Indexes};
use crate::rows::snapshot::manifest::{Sequence, Table};

/// Statements that take obstacles away, and those that bring exactly the same back.
#[derive(Default)]
pub struct Obstacles {
    pub drop: Vec<String>,
    /// Once the rows are there: what comes after may look for some of them.
    pub indexes: Vec<String>,
    /// After those, before anything of `recreate`.
    pub checks: Vec<Check>,
    pub recreate: Vec<String>,
    /// Binds the owner again, who cannot read the rows from then on.
    pub force: Vec<String>,
    /// What this role may not do although it has to, each as a sentence with its fix.
    pub forbidden: Vec<String>,
}

/// A constraint that may judge rows otherwise than it did when they were written.
pub struct Check {
    /// Without the words that would spare the rows which are there.
    pub add: String,
    pub comment: Option<String>,
    /// For a person.
    pub shown: String,
}

/// `$1` and `$2` are schemas and names of tables; a partition belongs to its root.
const MEMBERS: &str = "
    with named as (
      select c.oid from unnest($1::text[], $2::text[]) as t(schema, name)
        join pg_catalog.pg_namespace n on n.nspname = t.schema
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = t.name),
    members as (select oid from named union select p.relid from named, pg_catalog.pg_partition_tree(named.oid) p)";

/// The domains of the members' columns, with those that they are made of.
const DOMAINS: &str = "
    , domains as (
      with recursive used(oid) as (
        select a.atttypid from pg_catalog.pg_attribute a where a.attrelid in (select oid from members) and a.attnum > 0 and not a.attisdropped
        union select t.typbasetype from used join pg_catalog.pg_type t on t.oid = used.oid where t.typtype = 'd')
      select t.oid, t.typowner from used join pg_catalog.pg_type t on t.oid = used.oid where t.typtype = 'd')";

/// Of those, the ones that the server adds no checked constraint to: a column holds them within an array, a range, a composite or a row.
const WITHIN_OTHERS: &str = "
    , holders as (
      with recursive holder(domain, oid, within) as (
        select oid, oid, false from domains
        union
        select h.domain, o.oid, h.within or o.within from holder h cross join lateral (
          select t.oid, t.typtype <> 'd' from pg_catalog.pg_type t where h.oid in (t.typelem, t.typbasetype)
          union all select pg_catalog.unnest(array[r.rngtypid, r.rngmultitypid]), true from pg_catalog.pg_range r where r.rngsubtype = h.oid
          union all select c.reltype, true from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
                     where a.atttypid = h.oid and c.reltype <> 0 and not a.attisdropped) o(oid, within))
      select h.domain from holder h join pg_catalog.pg_attribute a on a.atttypid = h.oid join pg_catalog.pg_class c on c.oid = a.attrelid
       where h.within and c.relkind in ('r', 'p', 'm') and not a.attisdropped)";

/// An expression is stored as a tree, which names each function that it calls. One of the server's own that is immutable sees the row alone.
const CONSTRAINTS: &str = "
    , constraints as (
      select k.*, coalesce(c.relowner, d.typowner) as owner,
             k.contype = 'c' and (k.conbin::text ~ '[{](SQLVALUEFUNCTION|COERCEVIAIO)' or exists (
               select from pg_catalog.regexp_matches(k.conbin::text, ':(?:opfuncid|funcid) ([0-9]+)', 'g') as called(oid)
                 join pg_catalog.pg_proc p on p.oid = called.oid[1]::oid where p.provolatile <> 'i' or p.oid >= 16384)) as impure
        from pg_catalog.pg_constraint k
        left join pg_catalog.pg_class c on c.oid = k.conrelid
        left join domains d on d.oid = k.contypid
       where k.conparentid = 0 and k.coninhcount = 0
         and (k.confrelid in (select oid from members) or k.conrelid in (select oid from members) or d.oid is not null))
    select case k.conrelid when 0 then 'domain ' || k.contypid::pg_catalog.regtype else 'table ' || k.conrelid::pg_catalog.regclass end,
           k.conname::text, pg_catalog.pg_get_constraintdef(k.oid), pg_catalog.obj_description(k.oid, 'pg_constraint'),
           k.impure and k.convalidated,
           case when not pg_catalog.pg_has_role(k.owner, 'usage') then k.owner::pg_catalog.regrole::text end
      from constraints k
     where k.contype = 'f' and (not k.convalidated or k.confrelid in (select oid from members))
        or k.contype in ('c', 'n') and not k.convalidated
        or k.impure and not (k.convalidated and k.contypid in (select domain from holders))
     order by 1, 2";

/// Row security that holds for the owner as well.
const FORCED: &str = "
    select c.oid::pg_catalog.regclass::text from pg_catalog.pg_class c
     where c.oid in (select oid from members) and c.relrowsecurity and c.relforcerowsecurity and pg_catalog.pg_has_role(c.relowner, 'usage')
     order by 1";

/// Tables that the role neither owns nor may empty, fill and read whole.
const FOREIGN: &str = "
    select c.oid::pg_catalog.regclass::text, c.relowner::pg_catalog.regrole::text from pg_catalog.pg_class c
     where c.oid in (select oid from named) and not pg_catalog.pg_has_role(c.relowner, 'usage')
       and not (pg_catalog.has_table_privilege(c.oid, 'truncate') and pg_catalog.has_table_privilege(c.oid, 'insert')
                and pg_catalog.has_table_privilege(c.oid, 'select') and not pg_catalog.row_security_active(c.oid))
     order by 1";

const TRIGGERS: &str = "
    select t.tgrelid::pg_catalog.regclass::text, t.tgname::text, t.tgenabled::text,
           case when not pg_catalog.pg_has_role(c.relowner, 'usage') then c.relowner::pg_catalog.regrole::text end
      from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
     where not t.tgisinternal and t.tgenabled <> 'D' and t.tgrelid in (select oid from members)
     order by 1, 2";

/// `named` are sequences here.
const FOREIGN_SEQUENCES: &str = "
    select c.oid::pg_catalog.regclass::text, c.relowner::pg_catalog.regrole::text from pg_catalog.pg_class c
     where c.oid in (select oid from named) and not pg_catalog.pg_has_role(c.relowner, 'usage') order by 1";

impl Obstacles {
    /// What stands in the way of `tables`; the indexes of those that are `large` too.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn find(transaction: &mut Transaction<'_>, tables: &[&Table], large: &[&Table]) -> Result<Obstacles> {
        let mut ask = |sql: &str, tables: &[&Table]| {
            let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            let rows = transaction.query(&format!("{MEMBERS}{sql}"), &[&schemas, &names]);
            rows.could_not("list what stands in the way of the rows")
        };
        let mut obstacles = Obstacles::default();
        ask(FOREIGN, tables)?.iter().for_each(|row| obstacles.forbid("empty and fill", row.get(0), row.get(1)));
        ask(FORCED, tables)?.iter().for_each(|row| obstacles.add_forced(row.get(0)));
        ask(TRIGGERS, tables)?.iter().for_each(|row| obstacles.add_trigger(row));
        ask(&format!("{DOMAINS}{WITHIN_OTHERS}{CONSTRAINTS}"), tables)?
            .iter()
            .for_each(|row| obstacles.add_constraint(row));
        // At last: keys that point to a table depend on its index.
        let Indexes { drop, make } = Indexes::of(&ask(INDEXES, large)?);
        obstacles.drop.extend(drop);
        obstacles.indexes = make;
        Ok(obstacles)
    }

    /// Adds those that the role may not set.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn add_sequences(&mut self, transaction: &mut Transaction<'_>, sequences: &[Sequence]) -> Result<()> {
        let schemas: Vec<&str> = sequences.iter().map(|sequence| sequence.schema.as_str()).collect();
        let names: Vec<&str> = sequences.iter().map(|sequence| sequence.name.as_str()).collect();
        let rows = transaction.query(&format!("{MEMBERS}{FOREIGN_SEQUENCES}"), &[&schemas, &names]);
        rows.could_not("list the sequences' owners")?.iter().for_each(|row| self.forbid("set", row.get(0), row.get(1)));
        Ok(())
    }

    fn forbid(&mut self, deed: &str, what: &str, owner: &str) {
        self.forbidden.push(format!("this role may not {deed} `{what}`, which is `{owner}`'s: grant {owner} to it"));
    }

    fn add_forced(&mut self, table: &str) {
        self.drop.push(format!("alter table only {table} no force row level security"));
        self.force.push(format!("alter table only {table} force row level security"));
    }

    fn add_trigger(&mut self, row: &Row) {
        let (table, name, enabled): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        if let Some(owner) = row.get::<_, Option<&str>>(3) {
            self.forbid(&format!("disable the trigger `{name}` of"), table, owner);
        }
        let name = escape_identifier(name);
        let how = match enabled {
            "R" => "enable replica",
            "A" => "enable always",
            _ => "enable",
        };
        // ONLY: each partition's share has a state of its own, and is listed itself.
        self.drop.push(format!("alter table only {table} disable trigger {name}"));
        self.recreate.push(format!("alter table only {table} {how} trigger {name}"));
    }

    /// Of a table or a domain, which the row's first column says.
    fn add_constraint(&mut self, row: &Row) {
        let (on, plain, definition): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        if let Some(owner) = row.get::<_, Option<&str>>(5) {
            self.forbid(&format!("drop the constraint `{plain}` of"), on.trim_start_matches("table "), owner);
        }
        let name = escape_identifier(plain);
        self.drop.push(format!("alter {on} drop constraint {name}"));
        let add = format!("alter {on} add constraint {name} {definition}");
        let place = if on.starts_with("domain") { on } else { on.trim_start_matches("table ") };
        let comment = row.get::<_, Option<&str>>(3);
        let comment =
            comment.map(|text| format!("comment on constraint {name} on {place} is {}", escape_literal(text)));
        if row.get(4) {
            self.checks.push(Check { add, comment, shown: format!("`{plain}` of {on}") });
        } else {
            self.recreate.push(add);
            self.recreate.extend(comment);
        }
    }
}

impl Check {
    /// Adds it, and where the rows do not satisfy it, without a look at them; whether they do.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn add(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let intent = "put a check constraint back";
        let mut attempt = transaction.savepoint("staging_drill_check").could_not(intent)?;
        let satisfied = match attempt.batch_execute(&self.add) {
            Ok(()) => attempt.commit().could_not(intent).map(|()| true)?,
            Err(error) if is_about_the_rows(&error) => {
                attempt.rollback().could_not(intent)?;
                transaction.batch_execute(&format!("{} not valid", self.add)).could_not(intent).map(|()| false)?
            }
            Err(error) => return Err(error).could_not(intent),
        };
        let comment = self.comment.iter().try_for_each(|sql| transaction.batch_execute(sql));
        comment.could_not(intent).map(|()| satisfied)
    }
}

/// A row broke the constraint, or the function that it calls raised an error at one (classes 22, 23 and P0).
fn is_about_the_rows(error: &postgres::Error) -> bool {
    error.code().is_some_and(|state| ["22", "23", "P0"].contains(&state.code().get(..2).unwrap_or_default()))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::postgres::server::Database;

    /// Rows that every table has, in a way that no plain copy of them would be taken.
    const KINDS: &str = r#"
        create table settings (highest int); insert into settings values (100);
        create function highest() returns int language sql stable as 'select highest from settings';
        create table lent ("Due Date" date, what text, amount int);
        insert into lent values ('2001-01-01', '', 50), ('2002-02-02', 'x', 7);
        alter table lent add constraint "Is filled" check (what <> '') not valid, add constraint positive check (amount > 0),
          add constraint below check (amount <= highest()), add constraint past check ("Due Date" <= now());
        comment on constraint "Is filled" on lent is 'since ''24';
        create domain code as text; create domain short as code; create table coded (c short, n code);
        insert into coded values ('toolong', 'x');
        alter domain code add constraint lower check (value = lower(value)); alter domain short add constraint four check (length(value) <= 4) not valid;
        create table outside (id int primary key); create table points (o int); insert into points values (9);
        alter table points add constraint out foreign key (o) references outside not valid;
        create table parts (n int) partition by range (n); create table low partition of parts for values from (0) to (10);
        insert into parts values (3); alter table parts add constraint even check (n % 2 = 0) not valid;
        create table base (a int); create table heir () inherits (base); insert into base values (-1); insert into heir values (-2);
        alter table base add constraint plus check (a > 0) not valid;
        create table hidden (a int); alter table hidden enable row level security, force row level security; insert into hidden values (1);
        create table once (id int generated always as identity, a int unique deferrable initially deferred, twice int generated always as (a * 2) stored);
        create function is_filled(text) returns boolean language sql immutable as 'select $1 <> ''''';
        create domain filled as text check (is_filled(value)); create domain full_ as filled; create type wrap as (f full_);
        create table wrapped (f filled, w wrap, l filled[]); insert into wrapped values ('a', row('b'), '{c}');
        insert into once (a) values (1), (2); create rule no_rows as on insert to once do instead nothing;
        create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
        create constraint trigger late after insert on once deferrable initially deferred for each row execute function refuse()"#;

    const CONSTRAINTS_NOW: &str = "select string_agg(concat_ws(' ', conrelid::regclass, contypid::regtype, conname, pg_get_constraintdef(oid), convalidated,
            obj_description(oid, 'pg_constraint')), e'\\n' order by conrelid::regclass::text, contypid::regtype::text, conname) from pg_constraint
            where connamespace = 'public'::regnamespace";
    const SECURITY: &str = "select string_agg(concat_ws(' ', relname, relrowsecurity, relforcerowsecurity), ',' order by relname) from pg_class where relrowsecurity";

    /// All of a database, as a snapshot lists them.
    pub fn tables(database: &mut Database) -> Vec<Table> {
        let all = "select array_agg(relname::text order by relname) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition";
        let names: Vec<String> = database.ask(all);
        let table = |name| Table {
            schema: "public".to_owned(),
            name,
            columns: Vec::new(),
            rows: 1,
            checksum: String::new(),
            file: String::new(),
            file_sha256: String::new(),
        };
        names.into_iter().map(table).collect()
    }

    /// Empties all tables and copies their rows back, as `put_back` does.
    fn round_trip(database: &mut Database) {
        let tables = tables(database);
        database.connection.client().batch_execute("set search_path = public").unwrap();
        let mut transaction = database.connection.client().transaction().unwrap();
        let run = |transaction: &mut Transaction<'_>, sql: &str| {
            transaction.batch_execute(sql).unwrap_or_else(|error| panic!("{:?} in {sql}", error.as_db_error()));
        };
        let names = tables.iter().map(|table| table.name.clone()).collect::<Vec<_>>();
        let columns = "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and attgenerated = ''";
        let mut rows = Vec::new();
        for name in &names {
            let list: String = transaction.query_one(columns, &[name]).unwrap().get(0);
            let from = if name == "parts" { "parts".to_owned() } else { format!("only {name}") };
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(
                &mut transaction.copy_out(&format!("copy (select {list} from {from}) to stdout")).unwrap(),
                &mut bytes,
            )
            .unwrap();
            rows.push((format!("copy {name} ({list}) from stdin"), bytes));
        }
        let obstacles = Obstacles::find(&mut transaction, &tables.iter().collect::<Vec<_>>(), &[]).unwrap();
        assert_eq!(obstacles.forbidden, [""; 0]);
        obstacles.drop.iter().for_each(|sql| run(&mut transaction, sql));
        run(&mut transaction, &format!("truncate {}", names.join(", ")));
        for (sql, bytes) in rows {
            let mut writer = transaction.copy_in(&sql).unwrap();
            std::io::Write::write_all(&mut writer, &bytes).unwrap();
            writer.finish().unwrap_or_else(|error| panic!("{:?} in {sql}", error.as_db_error()));
        }
        run(&mut transaction, "set constraints all immediate");
        for check in &obstacles.checks {
            check.add(&mut transaction).unwrap();
        }
        obstacles.recreate.iter().chain(&obstacles.force).for_each(|sql| run(&mut transaction, sql));
        transaction.commit().unwrap();
    }

    fn md5(database: &mut Database) -> Vec<String> {
        let names: Vec<String> = tables(database).into_iter().map(|table| table.name).collect();
        let digest =
            |name: &String| format!("select md5(string_agg(t::text, ',' order by t::text)) || ' {name}' from {name} t");
        names.iter().map(|name| database.ask::<Option<String>>(&digest(name)).unwrap_or_default()).collect()
    }

    #[test]
    fn rows_that_could_be_there_go_in_again_and_every_constraint_is_as_it_was() {
        let mut database = Database::new();
        database.run(KINDS);
        let before: (Vec<String>, String, String) =
            (md5(&mut database), database.ask(CONSTRAINTS_NOW), database.ask(SECURITY));
        round_trip(&mut database);
        let after = (md5(&mut database), database.ask(CONSTRAINTS_NOW), database.ask(SECURITY));
        assert_eq!(after, before);
    }

    #[test]
    fn a_check_that_no_longer_holds_is_added_not_valid_and_the_rows_are_there() {
        let mut database = Database::new();
        database.run(KINDS);
        database.run("update settings set highest = 10");
        let before = md5(&mut database);
        round_trip(&mut database);
        assert_eq!(md5(&mut database), before);
        let open = "select string_agg(conname, ' ' order by conname) from pg_constraint where not convalidated and conrelid = 'lent'::regclass";
        assert_eq!(database.ask::<String>(open), "Is filled below");
    }

    #[test]
    fn what_another_role_owns_is_named_with_its_fix() {
        let mut database = Database::new();
        database.run(
            "create role obstacles_clerk; create role obstacles_owner; create table t (a int); create table whole (a int);
             create function f() returns trigger language plpgsql as 'begin return new; end';
             create trigger loud after insert on whole for each row execute function f(); alter table whole add constraint c check (a > 0) not valid;
             alter table t owner to obstacles_owner; alter table whole owner to obstacles_owner;
             grant truncate, insert, select on whole to obstacles_clerk; grant select on t to obstacles_clerk",
        );
        let tables = tables(&mut database);
        database.connection.client().batch_execute("set role obstacles_clerk").unwrap();
        let mut transaction = database.connection.client().transaction().unwrap();
        let obstacles = Obstacles::find(&mut transaction, &tables.iter().collect::<Vec<_>>(), &[]).unwrap();
        insta::assert_snapshot!(obstacles.forbidden.join("\n"), @r"
        this role may not empty and fill `t`, which is `obstacles_owner`'s: grant obstacles_owner to it
        this role may not disable the trigger `loud` of `whole`, which is `obstacles_owner`'s: grant obstacles_owner to it
        this role may not drop the constraint `c` of `whole`, which is `obstacles_owner`'s: grant obstacles_owner to it
        ");
    }
}
