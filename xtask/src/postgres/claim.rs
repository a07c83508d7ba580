//! The claim: a row inside a database that says "this is disposable staging, and it is this very database".
//!
//! It has a schema of its own, which `prisma migrate reset` and Prisma's drift checks never look at, and it stores
//! whose claim it is: a restored copy brings the row along, but not the identity. A physical clone does keep that, so
//! the claim is one check among others.
//!
//! Two fresh servers hand out the same OIDs, and a role may not be allowed to ask for the system identifier. So the table also has what no
//! dump carries: a column that was dropped, and the length that it had, which is random and stands in the row; the row's transaction;
//! the table's own OID. Where the system identifier is hidden, the pinned address has to be the same as well.

use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;
use serde::Serialize;

use crate::error::{Failure, Refusal, Result};
use crate::guard::{Origin, StagingTarget};
use crate::hint::Hint;
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
    /// Where the pin led to; None in a claim of an earlier version.
    pub address: Option<String>,
    pub origin: Origin,
}

impl Claim {
    /// What the claim says otherwise than the server: each a clause such as "database is `a`, the claim says `b`".
    /// Empty: the claim holds. What the claim could not learn (the system identifier) proves nothing, so it has to be
    /// equal too: unknown then and known now disagrees.
    pub fn disagreements(&self, identity: &Identity, project_ref: Option<&str>) -> Vec<String> {
        let unknown = || "unknown".to_owned();
        let hidden = identity.system_identifier.is_none();
        let address = |address: Option<String>| address.filter(|_| hidden).unwrap_or_else(unknown);
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
            ("address", address(identity.address.map(|address| address.to_string())), address(self.address.clone())),
        ];
        let origin = match self.origin {
            Origin::Elsewhere => Some("its row was not written into this table".to_owned()),
            Origin::Unknown if hidden => Some(
                "it is of an earlier version, which says too little where the system identifier is hidden".to_owned(),
            ),
            Origin::Here | Origin::Unknown => None,
        };
        let different = pairs.into_iter().filter(|(_, here, claimed)| here != claimed);
        let different =
            different.map(|(what, here, claimed)| format!("{what} is `{here}`, the claim says `{claimed}`"));
        different.chain(origin).collect()
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

/// The first eight are all that a claim of an earlier version has.
const COLUMNS: [&str; 12] = [
    "only_row boolean",
    "database text",
    "database_oid oid",
    "system_identifier text",
    "project_ref text",
    "claimed_at timestamp with time zone",
    "claimed_by text",
    "note text",
    "address text",
    "table_oid oid",
    "transaction text",
    "mark integer",
];
const COLUMNS_BEFORE: usize = 8;

/// Every role may read it, since whoever connects has to see the claim; it holds no secret.
const CREATE: &str = "
    create schema if not exists staging_drill;
    drop table if exists staging_drill.claim;
    create table staging_drill.claim (
        only_row pg_catalog.bool primary key default true check (only_row),
        database pg_catalog.text not null,
        database_oid pg_catalog.oid not null,
        system_identifier pg_catalog.text,
        project_ref pg_catalog.text,
        claimed_at pg_catalog.timestamptz not null,
        claimed_by pg_catalog.text not null,
        note pg_catalog.text not null,
        address pg_catalog.text,
        table_oid pg_catalog.oid not null,
        transaction pg_catalog.text not null,
        mark pg_catalog.int4 not null,
        made_here pg_catalog.varchar(MARK)
    );
    alter table staging_drill.claim drop column made_here;
    grant usage on schema staging_drill to public;
    grant select on staging_drill.claim to public";

/// A `varchar` may have been this long.
const GREATEST_MARK: u32 = 10_485_760;

const SELECT_BEFORE: &str = "
    select database, database_oid, system_identifier, project_ref, claimed_at, claimed_by, note, null::pg_catalog.text, null::pg_catalog.bool
      from only staging_drill.claim";

/// A transaction's number is longer than what a row keeps of it. A dropped column keeps its place and its length (plus four).
const SELECT: &str = "
    select database, database_oid, system_identifier, project_ref, claimed_at, claimed_by, note, address,
           c.table_oid = c.tableoid
           and c.xmin::text = (c.transaction::pg_catalog.numeric % 4294967296)::pg_catalog.text
           and exists (select from pg_catalog.pg_attribute a
                        where a.attrelid = c.tableoid and a.attnum = 13 and a.attisdropped and a.atttypmod = c.mark + 4)
      from only staging_drill.claim c";

const INSERT: &str = "
    insert into staging_drill.claim
           (database, database_oid, system_identifier, project_ref, claimed_at, claimed_by, note, address, table_oid, transaction, mark)
    values ($1, $2, $3, $4, pg_catalog.now(), $5, $6, $7, 'staging_drill.claim'::pg_catalog.regclass::pg_catalog.oid,
            pg_catalog.txid_current()::pg_catalog.text, $8)";

/// Reads the claim; None where the database has none.
///
/// # Errors
/// `refused` when something else stands in its place.
pub fn read(connection: &mut Connection) -> Result<Option<Claim>> {
    connection.read(|transaction| match genuine(transaction)? {
        None => Ok(None),
        Some(query) => select(transaction, query),
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
        genuine(transaction)?;
        let intent = "write the claim";
        let mark = random_mark();
        transaction.batch_execute(&CREATE.replace("MARK", &mark.to_string())).could_not(intent)?;
        // Again: the schema may have been there, and be another role's.
        genuine(transaction)?;
        let Identity { database, database_oid, system_identifier, .. } = identity;
        let address = identity.address.map(|address| address.to_string());
        transaction
            .execute(
                INSERT,
                &[database, database_oid, system_identifier, &project_ref, &claimed_by, &note, &address, &mark],
            )
            .could_not(intent)?;
        select(transaction, SELECT)?.ok_or_else(|| Failure::bug("the claim that was just written is not there"))
    })
}

#[expect(clippy::expect_used, reason = "the system's random numbers do not run out")]
fn random_mark() -> i32 {
    let random = getrandom::u32().expect("the system has randomness");
    (random % GREATEST_MARK + 1).cast_signed()
}

/// How the claim is read; None where there is none. Something that only looks like one is an error.
fn genuine(transaction: &mut Transaction<'_>) -> Result<Option<&'static str>> {
    let row = transaction.query_opt(SHAPE, &[]).could_not("look for the claim")?;
    let Some(row) = row else { return Ok(None) };
    let columns: Vec<String> = row.get(3);
    let suspicion = match (row.get(0), row.get(1)) {
        (false, _) => "is not a plain table",
        (_, false) => "is owned by another role, or its schema is",
        (true, true) if columns != COLUMNS && columns != COLUMNS[..COLUMNS_BEFORE] => {
            "does not have the columns of a claim"
        }
        (true, true) if !row.get::<_, bool>(2) => return Err(unreadable()),
        (true, true) => return Ok(Some(if columns == COLUMNS { SELECT } else { SELECT_BEFORE })),
    };
    let message = format!("`staging_drill.claim` {suspicion}, so the drill did not make it");
    let fix = "find out who put it there; then, as its owner: drop schema staging_drill cascade";
    Err(Failure::refused(CLAIM_SCHEMA, vec![Refusal::new("claim", message, fix)]))
}

fn unreadable() -> Failure {
    Failure::blocked("this role may not read the claim that a superuser made")
        .note("that superuser may run the SQL below")
        .hint(Hint::sql("grant usage on schema staging_drill to public; grant select on staging_drill.claim to public"))
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
        .hint(Hint::sql(format!(
            "grant create on database {} to {}",
            escape_identifier(database),
            escape_identifier(user)
        ))))
}

fn select(transaction: &mut Transaction<'_>, query: &str) -> Result<Option<Claim>> {
    let row = transaction.query_opt(query, &[]).could_not("read the claim")?;
    Ok(row.map(|row| Claim {
        database: row.get(0),
        database_oid: row.get(1),
        system_identifier: row.get(2),
        project_ref: row.get(3),
        claimed_at: row.get(4),
        claimed_by: row.get(5),
        note: row.get(6),
        address: row.get(7),
        origin: match row.get(8) {
            None => Origin::Unknown,
            Some(true) => Origin::Here,
            Some(false) => Origin::Elsewhere,
        },
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

    /// What a dump of the claim holds, as SQL: `pg_dump` writes the columns that are there, and the rows.
    fn dump(database: &mut Database) -> String {
        let columns: String = database.ask(
            "select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum) from pg_attribute a
              where a.attrelid = 'staging_drill.claim'::regclass and a.attnum > 0 and not a.attisdropped",
        );
        let row: String = database.ask(
            "select string_agg(coalesce(quote_literal(v.value), 'null'), ', ' order by a.attnum) from staging_drill.claim c
               join lateral jsonb_each_text(to_jsonb(c)) v on true
               join pg_attribute a on a.attrelid = 'staging_drill.claim'::regclass and a.attname = v.key",
        );
        format!(
            "drop schema staging_drill cascade; create schema staging_drill; create table staging_drill.claim ({columns});
             insert into staging_drill.claim values ({row})"
        )
    }

    #[test]
    fn a_row_that_was_written_elsewhere_is_known_by_what_no_dump_carries() {
        let mut database = Database::new();
        claim(&mut database);
        let origin = |database: &mut Database| read(&mut database.connection).unwrap().unwrap().origin;
        for harmless in [
            "vacuum full staging_drill.claim",
            "vacuum freeze staging_drill.claim",
            "cluster staging_drill.claim using claim_pkey",
            "analyze staging_drill.claim; comment on table staging_drill.claim is 'x'; grant select on staging_drill.claim to clerk",
            "reindex table staging_drill.claim",
        ] {
            database.run(harmless);
            assert_eq!(origin(&mut database), Origin::Here, "{harmless}");
        }
        let restored = dump(&mut database);
        for copied in [
            // Of every part that a dump does carry, what it says is made true in turn.
            "",
            "update staging_drill.claim set table_oid = tableoid, transaction = txid_current()",
            "update staging_drill.claim set table_oid = tableoid, transaction = txid_current();
             alter table staging_drill.claim add column x text; alter table staging_drill.claim drop column x",
            "update staging_drill.claim set table_oid = tableoid, transaction = txid_current();
             alter table staging_drill.claim add column x varchar(1); alter table staging_drill.claim drop column x",
        ] {
            database.run(&restored);
            database.run(copied);
            assert_eq!(origin(&mut database), Origin::Elsewhere, "{copied}");
        }
        for rewritten in [
            "update staging_drill.claim set claimed_by = claimed_by",
            "create temp table t as select * from staging_drill.claim; delete from staging_drill.claim;
             insert into staging_drill.claim select * from t",
        ] {
            claim(&mut database);
            assert_eq!(origin(&mut database), Origin::Here);
            database.run(rewritten);
            assert_eq!(origin(&mut database), Origin::Elsewhere, "{rewritten}");
        }
        let elsewhere = read(&mut database.connection).unwrap().unwrap();
        let identity = identity(&mut database.connection).unwrap();
        let told = elsewhere.disagreements(&identity, Some("abcdefghijklmnopqrst"));
        assert_eq!(told, ["its row was not written into this table"]);
    }

    /// Its columns end with the note, as version 0.1 made it at first.
    #[test]
    fn a_claim_of_an_earlier_version_counts_where_the_system_identifier_can_be_read_and_is_replaced_by_a_new_one() {
        let mut database = Database::new();
        let identity = identity(&mut database.connection).unwrap();
        database.run(&format!(
            "create schema staging_drill; create table staging_drill.claim (only_row bool primary key default true check (only_row),
               database text not null, database_oid oid not null, system_identifier text, project_ref text,
               claimed_at timestamptz not null, claimed_by text not null, note text not null);
             insert into staging_drill.claim (database, database_oid, system_identifier, claimed_at, claimed_by, note)
             values ('{}', {}, '{}', now(), 'ana', '')",
            identity.database, identity.database_oid, identity.system_identifier.as_deref().unwrap()
        ));
        let earlier = read(&mut database.connection).unwrap().unwrap();
        assert_eq!((earlier.origin, earlier.address.as_deref()), (Origin::Unknown, None));
        assert_eq!(earlier.disagreements(&identity, None), [""; 0]);
        let hidden = Identity { system_identifier: None, ..identity.clone() };
        let unproven = Claim { system_identifier: None, ..earlier };
        assert_eq!(
            unproven.disagreements(&hidden, None),
            ["it is of an earlier version, which says too little where the system identifier is hidden"]
        );
        let address = "10.0.0.1:5432".parse().ok();
        let new = mark(&mut database.connection, &Identity { address, ..hidden.clone() }, None, "ana", "").unwrap();
        assert_eq!((new.origin, new.address.as_deref()), (Origin::Here, Some("10.0.0.1:5432")));
        let moved = Identity { address: "10.0.0.2:5432".parse().ok(), ..hidden };
        assert_eq!(new.disagreements(&moved, None), ["address is `10.0.0.2:5432`, the claim says `10.0.0.1:5432`"]);
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
