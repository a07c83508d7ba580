//! What the role that we are connected as may do in the database, and what is set for its sessions.

use crate::error::Result;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::role_setting::{self, Place};

/// Of the role, the database and the server; sessions that are there now are counted with ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    pub role: Slot,
    pub database: Slot,
    pub server: Slot,
}

/// Sessions there may be, and are; no limit is -1, as the server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub limit: i32,
    pub used: i64,
}

impl Slot {
    /// None without a limit.
    pub fn free(self) -> Option<i64> {
        (self.limit >= 0).then(|| i64::from(self.limit) - self.used)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRights {
    pub name: String,
    /// May look into it, and make tables in it.
    pub may_create: bool,
    pub is_owner: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OthersTable {
    pub owner: String,
    pub name: String,
    /// The statement that gives it to this role.
    pub remedy: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    pub role: String,
    pub database: String,
    pub is_superuser: bool,
    pub may_create_databases: bool,
    pub may_create_schemas: bool,
    /// Of the schemas that were asked for, those that are there.
    pub schemas: Vec<SchemaRights>,
    /// Tables in them that this role may not alter.
    pub others: Vec<OthersTable>,
    pub slots: Slots,
}

const RIGHTS: &str = "
    select r.rolname::text, d.datname::text, r.rolsuper, r.rolcreatedb or r.rolsuper,
           pg_catalog.has_database_privilege(d.oid, 'CREATE'), r.rolconnlimit, d.datconnlimit,
           (select count(*) from pg_catalog.pg_stat_activity a where a.usesysid = r.oid and a.backend_type = 'client backend'),
           (select count(*) from pg_catalog.pg_stat_activity a where a.datid = d.oid and a.backend_type = 'client backend'),
           (select count(*) from pg_catalog.pg_stat_activity a where a.backend_type = 'client backend'),
           pg_catalog.current_setting('max_connections')::int4
             - pg_catalog.current_setting('superuser_reserved_connections')::int4
             - coalesce(pg_catalog.current_setting('reserved_connections', true)::int4, 0)
      from pg_catalog.pg_roles r, pg_catalog.pg_database d
     where r.rolname = current_user and d.datname = pg_catalog.current_database()";

const SCHEMAS: &str = "
    select n.nspname::text,
           pg_catalog.has_schema_privilege(n.oid, 'CREATE') and pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
           pg_catalog.pg_has_role(n.nspowner, 'USAGE')
      from pg_catalog.pg_namespace n where n.nspname = any($1) order by 1";

/// What an extension made is not a migration's to alter, and a column's own sequence goes with its table.
const OTHERS: &str = "
    select pg_catalog.pg_get_userbyid(c.relowner)::text, c.relname::text,
           pg_catalog.format('alter table %I.%I owner to %I', n.nspname, c.relname, current_user)
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
       and not pg_catalog.pg_has_role(c.relowner, 'USAGE')
       and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          and d.objid = c.oid and (d.deptype = 'e' or d.deptype in ('a', 'i') and c.relkind = 'S'))
     order by 1, 2";

/// # Errors
/// As the server's.
pub fn rights(connection: &mut Connection, schemas: &[&str]) -> Result<Rights> {
    connection.read(|transaction| {
        let intent = "ask what the role may do";
        let row = transaction.query_one(RIGHTS, &[]).could_not(intent)?;
        let schema_rows = transaction.query(SCHEMAS, &[&schemas]).could_not(intent)?;
        let other_rows = transaction.query(OTHERS, &[&schemas]).could_not(intent)?;
        let slot = |limit, used| Slot { limit: row.get(limit), used: row.get(used) };
        Ok(Rights {
            role: row.get(0),
            database: row.get(1),
            is_superuser: row.get(2),
            may_create_databases: row.get(3),
            may_create_schemas: row.get(4),
            schemas: schema_rows
                .iter()
                .map(|row| SchemaRights { name: row.get(0), may_create: row.get(1), is_owner: row.get(2) })
                .collect(),
            others: other_rows
                .iter()
                .map(|row| OthersTable { owner: row.get(0), name: row.get(1), remedy: row.get(2) })
                .collect(),
            slots: Slots { role: slot(5, 7), database: slot(6, 8), server: slot(10, 9) },
        })
    })
}

/// A setting that a new session of the role begins with, and the statement that takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begins {
    pub name: String,
    /// Milliseconds, where it is a time.
    pub value: String,
    pub remedy: String,
}

/// Those of `names` that are not off. What our own session has set says nothing: `reset_val` is what it began with.
fn settings() -> String {
    format!(
        "select s.name, s.reset_val, x.setrole, x.setdatabase from pg_catalog.pg_settings s left join lateral ({}) x on true
          where s.name = any($1) and s.reset_val not in ('0', 'off') order by 1",
        role_setting::place("s.name")
    )
}

/// # Errors
/// As the server's.
pub fn begins_with(connection: &mut Connection, names: &[&str], role: &str, database: &str) -> Result<Vec<Begins>> {
    connection.read(|transaction| {
        let rows = transaction.query(&settings(), &[&names]).could_not("ask what sessions of the role begin with")?;
        Ok(rows
            .iter()
            .map(|row| {
                let (name, of_role, of_database): (String, Option<u32>, Option<u32>) =
                    (row.get(0), row.get(2), row.get(3));
                let remedy = remedy(&name, of_role.zip(of_database), role, database);
                Begins { name, value: row.get(1), remedy }
            })
            .collect())
    })
}

fn remedy(name: &str, place: Option<Place>, role: &str, database: &str) -> String {
    let is_read_only = name == "default_transaction_read_only";
    let off = if is_read_only { "off" } else { "0" };
    let statement = role_setting::remedy(name, place, role, database, off);
    // Else it would not run where it is pasted.
    if is_read_only { format!("begin read write; {statement}; commit") } else { statement }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::{Database, open_as};

    fn of(role: &str, database: &Database) -> Rights {
        rights(&mut open_as(role, &database.name), &["public", "extra", "none"]).unwrap()
    }

    #[test]
    fn what_a_role_lacks_is_seen_and_gone_once_it_is_granted() {
        let mut database = Database::new();
        let mut plain = |sql: &str| {
            database.run(sql);
            let rights = of("clerk", &database);
            let schemas: Vec<_> =
                rights.schemas.iter().map(|it| (it.name.clone(), it.may_create, it.is_owner)).collect();
            let others: Vec<_> = rights.others.into_iter().map(|it| (it.owner, it.name)).collect();
            (schemas, others, rights.may_create_schemas)
        };
        let begins = plain("create table mine (id serial); create view theirs as select 1");
        assert_eq!(
            begins,
            (
                vec![("public".into(), false, false)],
                vec![("postgres".into(), "mine".into()), ("postgres".into(), "theirs".into())],
                false
            )
        );
        let granted = plain(
            "grant usage, create on schema public to clerk; alter table mine owner to clerk; alter view theirs owner to clerk; \
             create schema extra authorization clerk",
        );
        assert_eq!(
            granted,
            (vec![("extra".into(), true, true), ("public".into(), true, false)], vec![], false),
            "a table of its own is no other's"
        );
        let name = database.name.clone();
        database.run(&format!("grant create on database {name} to clerk; alter database {name} connection limit 9"));
        let rights = of("clerk", &database);
        assert!(rights.may_create_schemas && !rights.may_create_databases && !rights.is_superuser);
        assert_eq!(rights.slots.database.free(), Some(9 - rights.slots.database.used));
        assert_eq!((rights.slots.role.free(), rights.slots.server.limit), (None, 97));
    }

    #[test]
    fn a_limit_is_told_with_the_statement_that_takes_it_back_wherever_it_stands() {
        let mut database = Database::new();
        let name = database.name.clone();
        let role = format!("limited_{name}");
        database.run(&format!("create role {role} login"));
        let names = ["statement_timeout", "default_transaction_read_only", "idle_session_timeout"];
        for (place, value) in [
            (format!("alter role {role} in database {name} set statement_timeout = '3s'"), "3000"),
            (format!("alter role {role} set default_transaction_read_only = on"), "on"),
            (format!("alter database {name} set idle_session_timeout = '1h'"), "3600000"),
        ] {
            database.run(&place);
            let open = || begins_with(&mut open_as(&role, &name), &names, &role, &name).unwrap();
            let found = open();
            assert_eq!(found.len(), 1, "{place}: {found:?}");
            assert_eq!(found[0].value, value);
            database.run(&found[0].remedy);
            assert_eq!(begins_with(&mut open_as(&role, &name), &names, &role, &name).unwrap(), [], "{place}");
        }
    }
}
