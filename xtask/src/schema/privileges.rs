//! Who may do what in a schema and what is said of it, and how to make it so again. `prisma migrate reset` drops the schema, and with it the
//! comment and the grants on it, the default privileges in it, and what those had granted on every table (prisma/prisma#16588): on Supabase nothing
//! but the owner gets in afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use postgres::Transaction;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Result;
use crate::guard::StagingTarget;
use crate::postgres::connection::{Connection, CouldNot, server_words};

/// Of one schema and everything in it. What an owner may do with its own is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    pub schema: String,
    owner: String,
    #[serde(default)]
    comment: Option<String>,
    granted: BTreeSet<Privilege>,
    /// Everything in the schema that has privileges, granted or not, with its owner.
    #[serde(serialize_with = "as_list", deserialize_with = "from_list")]
    objects: BTreeMap<Object, String>,
}

/// A key of a JSON object can only be text.
fn as_list<S: Serializer>(objects: &BTreeMap<Object, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(objects)
}

fn from_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Object, String>, D::Error> {
    Ok(Vec::<(Object, String)>::deserialize(deserializer)?.into_iter().collect())
}

/// In SQL's own words: `table`, `"public"."Session"`; for default privileges the role that creates, and what it creates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Object {
    kind: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Privilege {
    object: Object,
    /// Where it is granted on one column only.
    column: Option<String>,
    /// None is PUBLIC.
    grantee: Option<String>,
    privilege: String,
    may_grant: bool,
}

impl Object {
    fn is_default(&self) -> bool {
        self.kind.starts_with("default ")
    }
}

impl Privilege {
    fn what(&self) -> String {
        let column = self.column.as_ref().map(|column| format!(" ({})", escape_identifier(column))).unwrap_or_default();
        format!("{}{column}", self.privilege.to_lowercase())
    }

    fn role(&self) -> String {
        self.grantee.as_ref().map_or("public".to_owned(), |role| escape_identifier(role))
    }

    fn grant(&self, schema: &str) -> String {
        let option = if self.may_grant { " with grant option" } else { "" };
        let Object { kind, name } = &self.object;
        match kind.strip_prefix("default ") {
            Some(kind) => {
                format!("{} grant {} on {kind} to {}{option}", default(name, schema), self.what(), self.role())
            }
            None => format!("grant {} on {kind} {name} to {}{option}", self.what(), self.role()),
        }
    }

    fn revoke(&self, schema: &str) -> String {
        let Object { kind, name } = &self.object;
        match kind.strip_prefix("default ") {
            Some(kind) => format!("{} revoke {} on {kind} from {}", default(name, schema), self.what(), self.role()),
            None => format!("revoke {} on {kind} {name} from {}", self.what(), self.role()),
        }
    }
}

fn default(role: &str, schema: &str) -> String {
    format!("alter default privileges for role {role} in schema {}", escape_identifier(schema))
}

/// As the statement that grants it.
impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Object { kind, name } = &self.object;
        write!(f, "{} on {kind} {name} for {}", self.what(), self.role())
    }
}

/// What a new database says of `public`.
pub const OF_A_NEW_DATABASE: &str = "standard public schema";

const ABOUT: &str = "
    select pg_catalog.pg_get_userbyid(n.nspowner)::text, pg_catalog.obj_description(n.oid, 'pg_namespace') from pg_catalog.pg_namespace n where n.nspname = $1";

const GRANTED: &str = "
    with schema as (select oid, nspname, nspowner, nspacl from pg_catalog.pg_namespace where nspname = $1),
    extensions as (select classid, objid from pg_catalog.pg_depend where deptype = 'e'),
    objects as (
      select 'schema' as kind, pg_catalog.quote_ident(nspname) as name, null as col, nspowner as owner,
             coalesce(nspacl, pg_catalog.acldefault('n', nspowner)) as acl
        from schema
      union all
      select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::pg_catalog.regclass::text, null, c.relowner,
             coalesce(c.relacl, pg_catalog.acldefault(case c.relkind when 'S' then 's' else 'r' end::\"char\", c.relowner))
        from schema s join pg_catalog.pg_class c on c.relnamespace = s.oid
       where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
         and not exists (select from extensions e where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid = c.oid)
      union all
      select 'table', c.oid::pg_catalog.regclass::text, a.attname::text, c.relowner, a.attacl
        from schema s join pg_catalog.pg_class c on c.relnamespace = s.oid
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attacl is not null and not a.attisdropped
       where not exists (select from extensions e where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid = c.oid)
      union all
      select 'routine', p.oid::pg_catalog.regprocedure::text, null, p.proowner,
             coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
        from schema s join pg_catalog.pg_proc p on p.pronamespace = s.oid
       -- What a reset closes the tables with goes with it.
       where p.proname <> 'staging_drill_fence' and not exists (select from extensions e where e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and e.objid = p.oid)
      union all
      select 'type', t.oid::pg_catalog.regtype::text, null, t.typowner, coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))
        from schema s join pg_catalog.pg_type t on t.typnamespace = s.oid
        left join pg_catalog.pg_class c on c.oid = t.typrelid
       where (t.typtype in ('d', 'e', 'r') or t.typtype = 'c' and c.relkind = 'c')
         and not exists (select from extensions e where e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and e.objid = t.oid)
      union all
      select 'default ' || case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'routines' else 'types' end,
             pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(d.defaclrole)), null, 0, d.defaclacl
        from schema s join pg_catalog.pg_default_acl d on d.defaclnamespace = s.oid)
    select o.kind, o.name, o.col, case a.grantee when 0 then null else pg_catalog.pg_get_userbyid(a.grantee)::text end,
           a.privilege_type::text, a.is_grantable, pg_catalog.pg_get_userbyid(o.owner)::text
      from objects o left join lateral pg_catalog.aclexplode(o.acl) a on a.grantee <> o.owner";

/// Of each schema, in their order.
pub fn privileges_of(connection: &mut Connection, schemas: &[&str]) -> Result<Vec<Privileges>> {
    schemas.iter().map(|schema| privileges(connection, schema)).collect()
}

/// Reads everything in one snapshot.
pub fn privileges(connection: &mut Connection, schema: &str) -> Result<Privileges> {
    connection.read(|transaction| privileges_in(transaction, schema))
}

/// As `privileges`, as `transaction` sees them.
pub fn privileges_in(transaction: &mut Transaction<'_>, schema: &str) -> Result<Privileges> {
    let intent = "read the privileges";
    let about = transaction.query_opt(ABOUT, &[&schema]).could_not(intent)?;
    let (owner, comment) = about.map(|row| (row.get(0), row.get(1))).unwrap_or_default();
    let (schema, granted, objects) = (schema.to_owned(), BTreeSet::new(), BTreeMap::new());
    let mut found = Privileges { schema, owner, comment, granted, objects };
    for row in transaction.query(GRANTED, &[&found.schema]).could_not(intent)? {
        let object = Object { kind: row.get(0), name: row.get(1) };
        found.objects.insert(object.clone(), row.get(6));
        if let (Some(privilege), Some(may_grant)) = (row.get(4), row.get(5)) {
            let privilege = Privilege { object, column: row.get(2), grantee: row.get(3), privilege, may_grant };
            found.granted.insert(privilege);
        }
    }
    Ok(found)
}

impl Privileges {
    /// What of `self` is not so in `now`, as statements that make it so, for what is there in both.
    fn statements(&self, now: &Privileges) -> Vec<String> {
        let in_both = |one: &&Privilege| {
            one.object.is_default() || self.objects.contains_key(&one.object) && now.objects.contains_key(&one.object)
        };
        // What else is said of it is what a migration says, or drift. Before the owner, who may be another.
        let is_gone =
            self.comment.as_deref() == Some(OF_A_NEW_DATABASE) && now.comment.is_none() && !now.owner.is_empty();
        let comment = is_gone.then(|| {
            format!("comment on schema {} is {}", escape_identifier(&self.schema), escape_literal(OF_A_NEW_DATABASE))
        });
        let owner = (self.owner != now.owner && !self.owner.is_empty()).then(|| {
            format!("alter schema {} owner to {}", escape_identifier(&self.schema), escape_identifier(&self.owner))
        });
        let is_others = |(object, owner): &(&Object, &String)| {
            object.kind != "schema" && !object.is_default() && now.objects.get(object).is_some_and(|now| now != *owner)
        };
        let owners =
            self.objects.iter().filter(is_others).map(|(Object { kind, name }, owner)| {
                format!("alter {kind} {name} owner to {}", escape_identifier(owner))
            });
        let superfluous = now.granted.difference(&self.granted).filter(in_both).map(|one| one.revoke(&self.schema));
        let missing = self.granted.difference(&now.granted).filter(in_both).map(|one| one.grant(&self.schema));
        comment.into_iter().chain(owner).chain(owners).chain(superfluous).chain(missing).collect()
    }

    /// What is still owed from before, and what was granted since. PUBLIC has much by default, so of what was there before only that which it
    /// had then.
    pub fn or_since(mut self, now: Privileges) -> Privileges {
        let since =
            now.granted.into_iter().filter(|one| one.grantee.is_some() || !self.objects.contains_key(&one.object));
        self.granted.extend(since.collect::<Vec<_>>());
        self.comment = now.comment.or(self.comment);
        let new: Vec<(Object, String)> =
            now.objects.into_iter().filter(|(object, _)| !self.objects.contains_key(object)).collect();
        self.objects.extend(new);
        self
    }
}

/// The statements that would make the privileges in the schema what `before` says.
///
/// # Errors
/// `failed` with the server's words.
pub fn missing(connection: &mut Connection, before: &Privileges) -> Result<Vec<String>> {
    Ok(before.statements(&privileges(connection, &before.schema)?))
}

/// Whether everything that had privileges is there.
///
/// # Errors
/// `failed` with the server's words.
pub fn all_there(connection: &mut Connection, before: &Privileges) -> Result<bool> {
    let now = privileges(connection, &before.schema)?;
    Ok(before.objects.keys().all(|object| object.is_default() || now.objects.contains_key(object)))
}

/// What became of an attempt to make the privileges what they were.
#[derive(Debug)]
pub struct Restored {
    pub statements: usize,
    /// Statements that are still needed, and what the server said to those that it refused.
    pub missing: Vec<String>,
}

/// As `restore`, of each schema.
pub fn restore_all(connection: &mut Connection, target: &StagingTarget, before: &[Privileges]) -> Result<Restored> {
    let mut all = Restored { statements: 0, missing: Vec::new() };
    for before in before {
        let restored = restore(connection, target, before)?;
        all.statements += restored.statements;
        all.missing.extend(restored.missing);
    }
    Ok(all)
}

/// Makes the privileges in the schema what `before` says, one statement after the other, and reads them again.
pub fn restore(connection: &mut Connection, _: &StagingTarget, before: &Privileges) -> Result<Restored> {
    // The owner first: whose grants they are changes with it.
    let mut statements = 0;
    let mut refused = Vec::new();
    for _ in 0..2 {
        let now = privileges(connection, &before.schema)?;
        for sql in before.statements(&now) {
            match connection.client().batch_execute(&sql) {
                Ok(()) => statements += 1,
                Err(error) => {
                    refused.push((sql, error.as_db_error().map(server_words).unwrap_or_else(|| error.to_string())))
                }
            }
        }
    }
    let needed = before.statements(&privileges(connection, &before.schema)?);
    let said =
        |sql: &String| refused.iter().find(|(refused, _)| refused == sql).map(|(_, words)| format!(" ({words})"));
    let missing = needed.iter().map(|sql| format!("{sql}{}", said(sql).unwrap_or_default())).collect();
    Ok(Restored { statements, missing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::proven;
    use crate::postgres::server::Database;

    #[test]
    fn what_a_dropped_schema_took_along_is_granted_again() {
        let mut database = Database::new();
        let make = "create table t (a int, b int); create sequence s; create function f() returns int language sql as 'select 1';
                    create type mood as enum ('good')";
        database.run("grant usage on schema public to anon; alter default privileges in schema public grant select on tables to anon");
        database.run(make);
        database.run(
            "grant update (b) on t to reader; grant usage on sequence s to reader with grant option;
             revoke execute on function f() from public; revoke usage on type mood from public",
        );
        let before = privileges(&mut database.connection, "public").unwrap();
        database.run("drop schema public cascade; create schema public");
        database.run(make);
        assert_ne!(privileges(&mut database.connection, "public").unwrap(), before);
        let restored = restore(&mut database.connection, &proven(), &before).unwrap();
        assert_eq!(restored.missing, [""; 0]);
        assert_eq!(privileges(&mut database.connection, "public").unwrap(), before);
        database.run("create table later ()");
        assert!(database.ask::<bool>("select has_table_privilege('anon', 'public.later', 'select')"));
    }

    #[test]
    fn owners_come_back_and_what_is_written_down_is_what_was_read() {
        let mut database = Database::new();
        database.run("create role privileges_owner");
        let make = "create table t (id serial); create view v as select 1 as a; create domain d as int; create function f() returns int language sql as 'select 1'";
        database.run(make);
        database.run("alter table t owner to privileges_owner; alter view v owner to privileges_owner; alter domain d owner to privileges_owner; alter function f() owner to privileges_owner");
        let before = privileges(&mut database.connection, "public").unwrap();
        let written = serde_json::to_string(&before).unwrap();
        database.run("drop schema public cascade; create schema public");
        database.run(make);
        let restored = restore(&mut database.connection, &proven(), &serde_json::from_str(&written).unwrap()).unwrap();
        assert_eq!(restored.missing, [""; 0]);
        assert_eq!(privileges(&mut database.connection, "public").unwrap(), before);
    }

    #[test]
    fn what_a_reset_that_was_killed_took_is_still_owed_after_the_next_and_what_was_granted_since_stays() {
        let mut database = Database::new();
        let make = "create table t (a int); create function f() returns int language sql as 'select 1'";
        database.run(make);
        database.run("grant select on t to anon; revoke execute on function f() from public");
        let first = privileges(&mut database.connection, "public").unwrap();
        database.run("drop schema public cascade; create schema public");
        database.run(make);
        database.run("grant insert on t to reader");
        let owed = first.or_since(privileges(&mut database.connection, "public").unwrap());
        restore(&mut database.connection, &proven(), &owed).unwrap();
        let may = "select has_table_privilege('anon', 't', 'select') and has_table_privilege('reader', 't', 'insert') and not has_function_privilege('anon', 'f()', 'execute')";
        database.run("set search_path = public");
        assert!(database.ask::<bool>(may));
    }

    #[test]
    fn what_a_new_database_says_of_a_schema_comes_back_unless_something_newer_is_said() {
        let mut database = Database::new();
        let again = "drop schema public cascade; create schema public";
        let before = privileges(&mut database.connection, "public").unwrap();
        assert_eq!(before.comment.as_deref(), Some(OF_A_NEW_DATABASE));
        database.run(again);
        assert_eq!(restore(&mut database.connection, &proven(), &before).unwrap().missing, [""; 0]);
        assert_eq!(privileges(&mut database.connection, "public").unwrap(), before);
        database.run(&format!("{again}; comment on schema public is 'a migration''s'"));
        restore(&mut database.connection, &proven(), &before).unwrap();
        let now = privileges(&mut database.connection, "public").unwrap();
        assert_eq!(now.comment.as_deref(), Some("a migration's"));
        assert_eq!(before.clone().or_since(now.clone()).comment, now.comment);
        // Such a one that is gone is for the migrations to say again.
        database.run(again);
        restore(&mut database.connection, &proven(), &now).unwrap();
        assert_eq!(privileges(&mut database.connection, "public").unwrap().comment, None);
    }

    #[test]
    fn what_is_gone_needs_no_grants() {
        let mut database = Database::new();
        database.run("create table t (a int); grant select on t to anon");
        let before = privileges(&mut database.connection, "public").unwrap();
        database.run("drop table t");
        assert_eq!(restore(&mut database.connection, &proven(), &before).unwrap().missing, [""; 0]);
    }
}
