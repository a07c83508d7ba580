//! The claim: a row inside a database that says "this is disposable staging, and it is this very database".
//!
//! It has a schema of its own, which `prisma migrate reset` and Prisma's drift checks never look at, and it stores
//! whose claim it is: a restored copy brings the row along, but not the identity. A physical clone does keep that, so
//! the claim is one check among others.

use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;
use serde::Serialize;

use crate::error::{Failure, Refusal, Result};
use crate::guard::StagingTarget;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::identity::Identity;

/// The schema of the claim. The catalog leaves it out.
pub const CLAIM_SCHEMA: &str = "staging_drill";

/// What the claim says. The first three are the server's own answers at the time of claiming.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    pub database: String,
    pub database_oid: u32,
    pub system_identifier: Option<String>,
    /// The Supabase project, where there is one.
    pub project_ref: Option<String>,
    pub claimed_at: jiff::Timestamp,
    pub claimed_by: String,
    pub note: String,
}

impl Claim {
    /// What the claim says otherwise than the server: each a clause such as "database is `a`, the claim says `b`".
    /// Empty: the claim holds. What the claim could not learn (the system identifier) proves nothing, so it has to be
    /// equal too: unknown then and known now disagrees.
    pub fn disagreements(&self, identity: &Identity, project_ref: Option<&str>) -> Vec<String> {
        let unknown = || "unknown".to_owned();
        let pairs = [
            ("database", identity.database.clone(), self.database.clone()),
            ("database oid", identity.database_oid.to_string(), self.database_oid.to_string()),
            (
                "system identifier",
                identity.system_identifier.clone().unwrap_or_else(unknown),
                self.system_identifier.clone().unwrap_or_else(unknown),
            ),
            (
                "Supabase project",
                project_ref.unwrap_or("none").to_owned(),
                self.project_ref.clone().unwrap_or_else(|| "none".to_owned()),
            ),
        ];
        pairs
            .into_iter()
            .filter(|(_, here, claimed)| here != claimed)
            .map(|(what, here, claimed)| format!("{what} is `{here}`, the claim says `{claimed}`"))
            .collect()
    }
}

/// What a claim has to be for us to read it: one plain, permanent table without rules, row security or children, of
/// exactly our columns, it and its schema owned by the connecting role or a superuser. To select from anything else
/// could run its author's code, or believe it.
const SHAPE: &str = "
    select c.relkind = 'r' and c.relpersistence = 'p' and not c.relhasrules and not c.relrowsecurity
              and not c.relhassubclass,
           (c.relowner = me.oid or o.rolsuper) and (n.nspowner = me.oid or no.rolsuper),
           pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select'),
           array(select a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
                   from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_roles o on o.oid = c.relowner
      join pg_catalog.pg_roles no on no.oid = n.nspowner
      join pg_catalog.pg_roles me on me.rolname = current_user
     where n.nspname = 'staging_drill' and c.relname = 'claim'";

const COLUMNS: [&str; 8] = [
    "only_row boolean",
    "database text",
    "database_oid oid",
    "system_identifier text",
    "project_ref text",
    "claimed_at timestamp with time zone",
    "claimed_by text",
    "note text",
];

/// Every role may read it, since whoever connects has to see the claim; it holds no secret.
const CREATE: &str = "
    create schema if not exists staging_drill;
    create table if not exists staging_drill.claim (
        only_row pg_catalog.bool primary key default true check (only_row),
        database pg_catalog.text not null,
        database_oid pg_catalog.oid not null,
        system_identifier pg_catalog.text,
        project_ref pg_catalog.text,
        claimed_at pg_catalog.timestamptz not null,
        claimed_by pg_catalog.text not null,
        note pg_catalog.text not null
    );
    grant usage on schema staging_drill to public;
    grant select on staging_drill.claim to public";

const SELECT: &str = "
    select database, database_oid, system_identifier, project_ref, claimed_at, claimed_by, note
      from only staging_drill.claim";

const INSERT: &str = "
    insert into staging_drill.claim
           (database, database_oid, system_identifier, project_ref, claimed_at, claimed_by, note)
    values ($1, $2, $3, $4, pg_catalog.now(), $5, $6)";

/// Reads the claim; None where the database has none.
///
/// # Errors
/// `refused` when something else stands in its place.
pub fn read(connection: &mut Connection) -> Result<Option<Claim>> {
    connection.read(|transaction| match is_genuine(transaction)? {
        false => Ok(None),
        true => select(transaction),
    })
}

/// Claims the database that `identity` describes, replacing an earlier claim. `claimed_by` is for people
/// ("ana@laptop"), as is `note`.
///
/// # Errors
/// `refused` when something else stands in the claim's place; nothing is changed then.
pub fn write(
    connection: &mut Connection,
    _: &StagingTarget,
    identity: &Identity,
    project_ref: Option<&str>,
    claimed_by: &str,
    note: &str,
) -> Result<Claim> {
    mark(connection, identity, project_ref, claimed_by, note)
}

/// As `write`, in a database that the run itself has made.
///
/// # Errors
/// As `write`.
pub fn mark(
    connection: &mut Connection,
    identity: &Identity,
    project_ref: Option<&str>,
    claimed_by: &str,
    note: &str,
) -> Result<Claim> {
    connection.write(|transaction| {
        is_genuine(transaction)?;
        let intent = "write the claim";
        transaction.batch_execute(CREATE).could_not(intent)?;
        // Again: the schema may have been there, and be another role's.
        is_genuine(transaction)?;
        transaction.batch_execute("delete from staging_drill.claim").could_not(intent)?;
        let Identity { database, database_oid, system_identifier, .. } = identity;
        transaction
            .execute(INSERT, &[database, database_oid, system_identifier, &project_ref, &claimed_by, &note])
            .could_not(intent)?;
        select(transaction)?.ok_or_else(|| Failure::bug("the claim that was just written is not there"))
    })
}

/// Whether there is a claim at all. Something that only looks like one is an error.
fn is_genuine(transaction: &mut Transaction<'_>) -> Result<bool> {
    let row = transaction.query_opt(SHAPE, &[]).could_not("look for the claim")?;
    let Some(row) = row else { return Ok(false) };
    let columns: Vec<String> = row.get(3);
    let suspicion = match (row.get(0), row.get(1)) {
        (false, _) => "is not a plain table",
        (_, false) => "is owned by another role, or its schema is",
        (true, true) if columns != COLUMNS => "does not have the columns of a claim",
        (true, true) if row.get(2) => return Ok(true),
        (true, true) => return Err(unreadable()),
    };
    let message = format!("`staging_drill.claim` {suspicion}, so the drill did not make it");
    let fix = "find out who put it there; then, as its owner: drop schema staging_drill cascade";
    Err(Failure::refused(CLAIM_SCHEMA, vec![Refusal::new("claim", message, fix)]))
}

fn unreadable() -> Failure {
    Failure::blocked("this role may not read the claim that a superuser made")
        .note("that superuser may run the SQL below")
        .hint("grant usage on schema staging_drill to public; grant select on staging_drill.claim to public")
}

/// Whether the connecting role may put a claim where there is none, or replace the one that is there; asked before the user is.
///
/// # Errors
/// `blocked`, with the grant that is missing.
pub fn may_write(connection: &mut Connection, identity: &Identity) -> Result<()> {
    const MAY_WRITE: &str = "
        select case when n.oid is null then pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
                    else pg_catalog.pg_has_role(n.nspowner, 'usage') end
          from (select 1) one left join pg_catalog.pg_namespace n on n.nspname = 'staging_drill'";
    let may: bool = connection.read(|transaction| {
        let row = transaction.query_one(MAY_WRITE, &[]).could_not("ask what this role may do")?;
        Ok(row.get(0))
    })?;
    if may {
        return Ok(());
    }
    let Identity { database, user, .. } = identity;
    Err(Failure::blocked(format!("the role `{user}` may not write the claim into the database `{database}`"))
        .because("the claim has a schema of its own, `staging_drill`, which this role may not create or does not own")
        .note("the database's owner may run the SQL below")
        .hint(format!("grant create on database {} to {}", escape_identifier(database), escape_identifier(user))))
}

fn select(transaction: &mut Transaction<'_>) -> Result<Option<Claim>> {
    let row = transaction.query_opt(SELECT, &[]).could_not("read the claim")?;
    Ok(row.map(|row| Claim {
        database: row.get(0),
        database_oid: row.get(1),
        system_identifier: row.get(2),
        project_ref: row.get(3),
        claimed_at: row.get(4),
        claimed_by: row.get(5),
        note: row.get(6),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::hint::Aim;
    use crate::postgres::identity::identity;
    use crate::postgres::server::{Database, open, open_as};

    fn claim(database: &mut Database) -> Claim {
        let identity = identity(&mut database.connection).unwrap();
        mark(&mut database.connection, &identity, Some("abcdefghijklmnopqrst"), "ana@laptop", "").unwrap()
    }

    /// The one refusal's text.
    fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
        let failure = result.unwrap_err();
        assert_eq!(failure.status, Status::Refused);
        failure.refusals[0].message.clone()
    }

    #[test]
    fn a_claim_is_read_as_it_was_written_and_holds_for_its_database() {
        let mut database = Database::new();
        assert_eq!(read(&mut database.connection).unwrap(), None);
        let written = claim(&mut database);
        assert_eq!(read(&mut database.connection).unwrap(), Some(written.clone()));
        let identity = identity(&mut database.connection).unwrap();
        assert_eq!(written.disagreements(&identity, Some("abcdefghijklmnopqrst")), [""; 0]);
        assert_eq!(
            written.disagreements(&identity, None),
            ["Supabase project is `none`, the claim says `abcdefghijklmnopqrst`"]
        );
        let again = claim(&mut database);
        assert!(again.claimed_at > written.claimed_at);
    }

    #[test]
    fn a_claim_outlives_a_reset_of_the_schema() {
        let mut database = Database::new();
        let written = claim(&mut database);
        database.run("drop schema public cascade; create schema public");
        assert_eq!(read(&mut database.connection).unwrap(), Some(written));
    }

    #[test]
    fn a_copied_database_brings_a_claim_that_does_not_hold() {
        let mut original = Database::new();
        claim(&mut original);
        let (name, copy) = (original.name.clone(), format!("{}_copy", original.name));
        drop(original);
        open("postgres").client().batch_execute(&format!("create database {copy} template {name}")).unwrap();
        let mut connection = open(&copy);
        let copied = read(&mut connection).unwrap().unwrap();
        let identity = identity(&mut connection).unwrap();
        let disagreements = copied.disagreements(&identity, Some("abcdefghijklmnopqrst"));
        assert_eq!(disagreements[0], format!("database is `{copy}`, the claim says `{name}`"));
        assert!(disagreements[1].starts_with("database oid is"));
    }

    #[test]
    fn what_only_looks_like_a_claim_is_refused_and_left_alone() {
        let mut database = Database::new();
        let planted = [
            (
                "create view staging_drill.claim as select pg_catalog.pg_sleep(60)::text",
                "`staging_drill.claim` is not a plain table, so the drill did not make it",
            ),
            (
                "create table staging_drill.claim (database text)",
                "`staging_drill.claim` does not have the columns of a claim, so the drill did not make it",
            ),
            (
                "create table staging_drill.claim (database text);
                 alter table staging_drill.claim enable row level security",
                "`staging_drill.claim` is not a plain table, so the drill did not make it",
            ),
        ];
        let identity = identity(&mut database.connection).unwrap();
        for (sql, expected) in planted {
            database.run(&format!("drop schema if exists staging_drill cascade; create schema staging_drill; {sql}"));
            assert_eq!(refusal(read(&mut database.connection)), expected);
            assert_eq!(refusal(mark(&mut database.connection, &identity, None, "ana", "")), expected);
        }
    }

    #[test]
    fn another_roles_claim_is_not_believed() {
        let mut database = Database::new();
        claim(&mut database);
        database.run("alter table staging_drill.claim owner to clerk");
        let expected = "`staging_drill.claim` is owned by another role, or its schema is, so the drill did not make it";
        assert_eq!(refusal(read(&mut database.connection)), expected);
        database.run("alter table staging_drill.claim owner to postgres; alter schema staging_drill owner to clerk");
        assert_eq!(refusal(read(&mut database.connection)), expected);
    }

    #[test]
    fn a_schema_of_another_role_is_not_written_into() {
        let mut database = Database::new();
        database.run("create schema staging_drill authorization clerk");
        let identity = identity(&mut database.connection).unwrap();
        refusal(mark(&mut database.connection, &identity, None, "ana", ""));
        assert!(database.ask::<bool>("select pg_catalog.to_regclass('staging_drill.claim') is null"));
    }

    #[test]
    fn an_ordinary_role_claims_what_it_may_and_a_superusers_claim_counts_for_it() {
        let mut database = Database::new();
        let name = database.name.clone();
        database.run(&format!("grant create on database {name} to migrator"));
        let mut migrator = open_as("migrator", &name);
        let identity = identity(&mut migrator).unwrap();
        let own = mark(&mut migrator, &identity, None, "migrator", "").unwrap();
        assert_eq!(read(&mut migrator).unwrap(), Some(own));
        database.run("drop schema staging_drill cascade");
        let superusers = claim(&mut database);
        assert_eq!(read(&mut migrator).unwrap(), Some(superusers));
        database.run("revoke usage on schema staging_drill from public");
        let blocked = read(&mut migrator).unwrap_err();
        assert_eq!(blocked.status, Status::Blocked);
        assert!(blocked.hint.unwrap().line(&Aim::default()).contains("grant usage on schema staging_drill to public"));
    }

    #[test]
    fn who_may_not_write_it_is_told_before_anybody_is_asked() {
        let mut database = Database::new();
        let mut clerk = open_as("clerk", &database.name);
        let identity = identity(&mut clerk).unwrap();
        let blocked = may_write(&mut clerk, &identity).unwrap_err();
        assert_eq!(blocked.status, Status::Blocked);
        let name = &database.name;
        let grant = blocked.hint.unwrap().line(&Aim::default());
        assert_eq!(grant, format!(r#"grant create on database "{name}" to "clerk""#));
        database.run(&grant);
        may_write(&mut clerk, &identity).unwrap();
        database.run("create schema staging_drill");
        assert!(may_write(&mut clerk, &identity).is_err(), "another role's schema");
    }
}
