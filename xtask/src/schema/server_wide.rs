//! What in a history changes the whole server and not one database. In a throw-away database it would happen for real; and what the words of a
//! script do not show, as what a function puts together from pieces, `Shared` sees, which compares the server before and after.

use std::collections::BTreeSet;

use script::whole_server;

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot};
use crate::sandbox::EPHEMERAL;
use crate::schema::history::History;

/// The first statement of `history` that acts on the server, in words.
///
/// # Errors
/// `blocked` where a script cannot be read.
pub fn first_in(history: &History) -> Result<Option<String>> {
    for migration in &history.migrations {
        if let Some(found) = whole_server::first(&migration.sql)? {
            return Ok(Some(format!("`{}` ({found}) acts on the whole server", migration.name)));
        }
    }
    Ok(None)
}

/// How a line about a role begins, and what follows its name.
const ROLE: &str = "role ";
const ATTRIBUTES: &str = ":";

/// What this role could have changed of the server: roles that it may act as, their settings, and the memberships that it may grant.
#[derive(Debug, PartialEq, Eq)]
pub struct Shared(BTreeSet<String>);

impl Shared {
    pub fn read(connection: &mut Connection) -> Result<Shared> {
        const SHARED: &str = "
            with mine as (
                select r.* from pg_catalog.pg_roles r where pg_catalog.pg_has_role(current_user, r.oid, 'member'))
            select pg_catalog.format('role %I:', rolname) || case when rolsuper then ' superuser' else '' end
                   || case when rolcreaterole then ' createrole' else '' end
                   || case when rolcreatedb then ' createdb' else '' end
                   || case when rolcanlogin then ' login' else '' end
                   || case when rolbypassrls then ' bypassrls' else '' end
              from mine
            union all
            select pg_catalog.format('member %I of %I', m.rolname, g.rolname)
              from pg_catalog.pg_auth_members a join mine g on g.oid = a.roleid join pg_catalog.pg_roles m on m.oid = a.member
             where pg_catalog.pg_has_role(current_user, g.oid, 'member with admin option')
                or (select i.rolcreaterole from pg_catalog.pg_roles i where i.rolname = current_user)
            union all
            select pg_catalog.format('setting of %I: %s', mine.rolname, pg_catalog.array_to_string(s.setconfig, ', '))
              from pg_catalog.pg_db_role_setting s join mine on mine.oid = s.setrole
            union all
            select pg_catalog.format('setting of database %I: %s', d.datname, pg_catalog.array_to_string(s.setconfig, ', '))
              from pg_catalog.pg_db_role_setting s join pg_catalog.pg_database d on d.oid = s.setdatabase
             where s.setrole = 0 and d.datname = pg_catalog.current_database()";
        let rows = connection.client().query(SHARED, &[]).could_not("read the server's roles")?;
        Ok(Shared(rows.iter().map(|row| row.get(0)).collect()))
    }

    /// What a throw-away database leaves of itself outside of it: on a server that is thrown away too, roles, which make room
    /// for the next database; on any other, nothing.
    ///
    /// # Errors
    /// As `verify_same`.
    pub fn settle(&self, admin: &mut Connection) -> Result<()> {
        let now = Shared::read(admin)?;
        if server_name(admin)? != EPHEMERAL {
            return self.verify_same(&now);
        }
        let made = now
            .0
            .difference(&self.0)
            .filter_map(|line| line.strip_prefix(ROLE)?.rsplit_once(ATTRIBUTES).map(|(role, _)| role));
        made.into_iter().try_for_each(|role| {
            admin.client().batch_execute(&format!("drop role {role}")).could_not("drop a role of a replay")
        })
    }

    /// # Errors
    /// `failed`, naming it, when the server is no longer as it was.
    pub fn verify_same(&self, now: &Shared) -> Result<()> {
        let told = |from: &Shared, to: &Shared, what: &str| -> Vec<String> {
            from.0.difference(&to.0).map(|line| format!("{what}: {line}")).collect()
        };
        let changed = [told(now, self, "new"), told(self, now, "gone")].concat();
        if changed.is_empty() {
            return Ok(());
        }
        Err(Failure::failed("a replay in a throw-away database changed what is of the whole server")
            .because_all(changed)
            .note("a function did it, or another session at the same time")
            .hint("roll it back by hand, and write in the migration itself what it does to roles"))
    }
}

/// The server's own name, which tells the drill's servers from others.
pub fn server_name(connection: &mut Connection) -> Result<String> {
    let sql = "select pg_catalog.current_setting('cluster_name')";
    Ok(connection.client().query_one(sql, &[]).could_not("ask for the server's name")?.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    #[test]
    fn a_role_that_appeared_and_a_setting_are_named() {
        let mut database = Database::new();
        // Other tests make roles meanwhile.
        database.connection.client().batch_execute("begin isolation level repeatable read").unwrap();
        let before = Shared::read(&mut database.connection).unwrap();
        let make = "savepoint made; create role made_unseen; grant reader to made_unseen";
        database.connection.client().batch_execute(make).unwrap();
        let failure = before.verify_same(&Shared::read(&mut database.connection).unwrap()).unwrap_err();
        database.connection.client().batch_execute("rollback to made").unwrap();
        let causes: Vec<String> = failure.causes().collect();
        assert_eq!(causes, ["new: member made_unseen of reader", "new: role made_unseen:"]);
        before.verify_same(&Shared::read(&mut database.connection).unwrap()).unwrap();
    }
}
