//! What a database has that lies outside of it, and that a copy is made without: its owner, who may do what with it, how many may be in it, its
//! comment, and the settings of those who enter it.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Transaction;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::error::{Failure, Result};
use crate::postgres::connection::CouldNot;
use crate::schema::catalog::{Catalog, SETTINGS};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dressing {
    owner: String,
    grants: BTreeSet<Grant>,
    limit: i32,
    comment: Option<String>,
    /// By role; those of None hold for all.
    settings: BTreeMap<Option<String>, BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    /// As SQL names it.
    to: String,
    privilege: String,
    grantable: bool,
}

/// A catalog but for what it says of the database from outside.
pub fn inside(catalog: &Catalog) -> Catalog {
    let mut inside = catalog.clone();
    inside.objects.retain(|object, _| object.kind != SETTINGS);
    inside
}

/// Settings whose value is a list of names, which SQL takes one by one (the same that pg_dump knows).
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

impl Dressing {
    /// # Errors
    /// `failed` with the server's words.
    pub fn read(transaction: &mut Transaction<'_>, database: &str) -> Result<Dressing> {
        const DATABASE: &str = "
            select pg_catalog.pg_get_userbyid(d.datdba)::text, d.datconnlimit, pg_catalog.shobj_description(d.oid, 'pg_database')
              from pg_catalog.pg_database d where d.datname = $1";
        const GRANTS: &str = "
            select case a.grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
                   a.privilege_type, a.is_grantable
              from pg_catalog.pg_database d,
                   pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
             where d.datname = $1";
        const SETTINGS: &str = "
            select case s.setrole when 0 then null else pg_catalog.pg_get_userbyid(s.setrole)::text end, pg_catalog.unnest(s.setconfig)
              from pg_catalog.pg_db_role_setting s join pg_catalog.pg_database d on d.oid = s.setdatabase where d.datname = $1";
        let intent = "read what a database has besides its content";
        let row = transaction.query_one(DATABASE, &[&database]).could_not(intent)?;
        let grants = transaction.query(GRANTS, &[&database]).could_not(intent)?;
        let mut settings: BTreeMap<Option<String>, BTreeSet<String>> = BTreeMap::new();
        for row in transaction.query(SETTINGS, &[&database]).could_not(intent)? {
            settings.entry(row.get(0)).or_default().insert(row.get(1));
        }
        let grant = |row: &postgres::Row| Grant { to: row.get(0), privilege: row.get(1), grantable: row.get(2) };
        Ok(Dressing {
            owner: row.get(0),
            limit: row.get(1),
            comment: row.get(2),
            grants: grants.iter().map(grant).collect(),
            settings,
        })
    }

    /// Gives `database` all of it, and nothing else.
    ///
    /// # Errors
    /// `failed` with the server's words, also where the server then says otherwise.
    pub fn put_on(&self, transaction: &mut Transaction<'_>, database: &str) -> Result<()> {
        let name = escape_identifier(database);
        let run = |sql: String, transaction: &mut Transaction<'_>| {
            transaction.batch_execute(&sql).could_not("give the copy what the database has besides its content")
        };
        // Who owns it has granted what is granted.
        run(format!("alter database {name} owner to {}", escape_identifier(&self.owner)), transaction)?;
        let present = Dressing::read(transaction, database)?;
        for statement in self.statements(&present, &name) {
            run(statement, transaction)?;
        }
        match Dressing::read(transaction, database)? == *self {
            true => Ok(()),
            false => Err(Failure::failed("the copy does not get what the database has besides its content")),
        }
    }

    fn statements(&self, present: &Dressing, name: &str) -> Vec<String> {
        let less = present.grants.difference(&self.grants).map(|grant| grant.revoke(name));
        let more = self.grants.difference(&present.grants).map(|grant| grant.grant(name));
        let comment = self.comment.as_deref().map_or_else(|| "null".to_owned(), escape_literal);
        let whole = [
            format!("alter database {name} connection limit {}", self.limit),
            format!("comment on database {name} is {comment}"),
        ];
        let reset = present.settings.keys().map(|role| format!("{} reset all", of_role(role.as_deref(), name)));
        let set = self.settings.iter().flat_map(|(role, settings)| {
            settings.iter().filter_map(move |setting| {
                let (key, value) = setting.split_once('=')?;
                Some(format!("{} set {} to {}", of_role(role.as_deref(), name), dotted(key), value_of(key, value)))
            })
        });
        less.chain(more).chain(whole).chain(reset).chain(set).collect()
    }

    /// Takes from everybody but its owner what they may do with it: it is a copy now.
    pub fn closed(&self, database: &str) -> Vec<String> {
        let owner = escape_identifier(&self.owner);
        let name = escape_identifier(database);
        let others = self.grants.iter().filter(|grant| grant.to != self.owner && grant.to != owner);
        others.map(|grant| grant.revoke(&name)).collect()
    }
}

impl Grant {
    fn grant(&self, name: &str) -> String {
        let option = if self.grantable { " with grant option" } else { "" };
        format!("grant {} on database {name} to {}{option}", self.privilege, self.to)
    }

    fn revoke(&self, name: &str) -> String {
        format!("revoke {} on database {name} from {} cascade", self.privilege, self.to)
    }
}

fn of_role(role: Option<&str>, database: &str) -> String {
    match role {
        None => format!("alter database {database}"),
        Some(role) => format!("alter role {} in database {database}", escape_identifier(role)),
    }
}

fn dotted(key: &str) -> String {
    key.split('.').map(escape_identifier).collect::<Vec<_>>().join(".")
}

fn value_of(key: &str, value: &str) -> String {
    if !LISTS.contains(&key) {
        return escape_literal(value);
    }
    names(value).iter().map(|name| escape_literal(name)).collect::<Vec<_>>().join(", ")
}

/// Those of a list as the server stores it: quoted where they have to be.
fn names(list: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            ' ' if !quoted => {}
            other => name.push(other),
        }
    }
    names.push(name);
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::{Database, open};

    #[test]
    fn a_database_gets_what_another_has_and_loses_what_it_had_itself() {
        let (from, to) = (Database::new(), Database::new());
        let mut admin = open("postgres");
        let (a, b) = (&from.name, &to.name);
        let sql = format!(
            r#"revoke connect on database {a} from public; grant connect on database {a} to reader with grant option; grant create on database {a} to clerk;
               alter database {a} connection limit 17; comment on database {a} is 'it''s \ ours'; alter database {a} owner to landlord;
               alter database {a} set search_path = "$user", 'Odd "name', public; alter database {a} set work_mem = '5MB';
               alter database {a} set "app.Key" = 'a, "b"'; alter role reader in database {a} set statement_timeout = '3s';
               alter role reader in database {a} set search_path = '';
               alter database {b} set jit = off; alter role clerk in database {b} set work_mem = '6MB'; grant temporary on database {b} to anon"#
        );
        admin.client().batch_execute(&sql).unwrap();
        let wanted = admin.read(|transaction| Dressing::read(transaction, a)).unwrap();
        admin.write(|transaction| wanted.put_on(transaction, b)).unwrap();
        assert_eq!(admin.read(|transaction| Dressing::read(transaction, b)).unwrap(), wanted);
    }

    #[test]
    fn a_list_is_read_name_by_name() {
        assert_eq!(names(r#""$user", public"#), ["$user", "public"]);
        assert_eq!(names(r#""a ""b"", c",d"#), [r#"a "b", c"#, "d"]);
        assert_eq!(names("\"\""), [""]);
    }
}
