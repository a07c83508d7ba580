//! What the platform made and no migration did, as far as a history refers to it: Prisma's `initShadowDb`, and a likeness of
//! what the target has outside of the migrations' schemas (Supabase's `auth` and `storage`, a DBA's extensions and roles).
//!
//! None of it is compared with anything, and none of it is ever dropped: it is there so that a replay can begin.

use std::collections::BTreeSet;

use postgres::Transaction;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use script::statements::Version;
use script::text::Text;

use crate::error::Result;
use crate::postgres::claim::CLAIM_SCHEMA;
use crate::postgres::connection::CouldNot;
use crate::schema::history::History;
use crate::schema::mentions::{Made, Mentions};
use crate::schema::replay::AsPrisma;
use crate::session::Session;
use crate::session::groundwork::{External, Groundwork};
use crate::session::prisma_config::{self, PrismaConfig};

const LIKENESSES: &str = include_str!("platform.sql");
const EXTENSIONS: &str = include_str!("platform_extensions.sql");

const OTHER_SCHEMAS: &str = "
    select n.nspname::text from pg_catalog.pg_namespace n
     where not n.nspname = any($1) and n.nspname <> 'information_schema' and n.nspname !~ '^pg_' order by 1";

/// Roles of the server but for Postgres' own, whether it is our own, and what lets each create something in our schemas. Its other
/// rights there come along, so that they are equal.
const ROLES: &str = "
    select r.rolname::text, r.rolname = current_user, array(
             select pg_catalog.format('grant %s on schema %I to %I',
                                      pg_catalog.string_agg(a.privilege_type, ', '), n.nspname, r.rolname)
               from pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
              where n.nspname = any($1) and a.grantee = r.oid and n.nspowner <> r.oid
              group by n.nspname having pg_catalog.bool_or(a.privilege_type = 'CREATE'))
      from pg_catalog.pg_roles r
     where r.rolname !~ '^pg_' order by 1";

/// How the project's Prisma applies a history to `schemas`, and what has to be there before it.
///
/// # Errors
/// `blocked` when the Prisma config cannot be read.
pub fn as_prisma<'s>(session: &'s Session<'_>, schemas: &'s [&'s str]) -> Result<AsPrisma<'s>> {
    let groundwork = match session.groundwork.get() {
        Some(known) => known,
        None => {
            let read = groundwork(session, schemas)?;
            session.groundwork.get_or_init(|| read)
        }
    };
    let release = Version::of(&session.toolbox.prisma.version);
    Ok(AsPrisma { schemas, release, groundwork, headway: Some(&session.headway) })
}

/// Of the whole history and the mirror's script, once for each run: what is there before a part of it is the same, and a
/// migration of this run does not become the platform's work by having been applied.
fn groundwork(session: &Session<'_>, schemas: &[&str]) -> Result<Groundwork> {
    let PrismaConfig { init_shadow_db, external_tables, external_enums, .. } = prisma_config::read(session)?;
    let external = External::new(&external_tables, &external_enums);
    let history = History::of(session.settings)?;
    let mirror = session.settings.supabase.script()?;
    let mirror = mirror.map(Text::from);
    let scripts = || history.migrations.iter().map(|migration| &migration.sql).chain(&mirror);
    session.connection().read(|transaction| {
        let extensions = Extension::all(transaction)?;
        let mentions = Mentions::of(scripts(), &names(transaction, &extensions, schemas)?)?;
        let made = made_schemas(&mentions, schemas);
        let there: Vec<&str> =
            schemas.iter().copied().filter(|schema| !made.iter().any(|made| made == schema)).collect();
        let (roles, rights) = roles(transaction, &mentions, &there)?;
        let external_ones = external_ones(transaction, &mentions, schemas, &external)?;
        let skeleton = [rights, skeleton(transaction, &mentions, &extensions, schemas)?, external_ones].concat();
        let settings = settings(transaction)?;
        Ok(Groundwork { init_shadow_db, roles, skeleton, made, external, settings })
    })
}

/// Of all that a script may refer to: what the database has, and our own schemas, which it need not have yet.
fn names(transaction: &mut Transaction<'_>, extensions: &[Extension], ours: &[&str]) -> Result<BTreeSet<String>> {
    const NAMES: &str = "
        with others as (
            select n.oid, n.nspname from pg_catalog.pg_namespace n
             where n.nspname <> 'information_schema' and n.nspname !~ '^pg_')
        select nspname::text from others
        union select c.relname::text from pg_catalog.pg_class c join others n on n.oid = c.relnamespace where c.relkind not in ('i', 'I', 't')
        union select t.typname::text from pg_catalog.pg_type t join others n on n.oid = t.typnamespace where t.typtype in ('e', 'd')
        union select p.proname::text from pg_catalog.pg_proc p join others n on n.oid = p.pronamespace
        union select r.rolname::text from pg_catalog.pg_roles r where r.rolname !~ '^pg_'";
    let rows = transaction.query(NAMES, &[]).could_not("list what a script may refer to")?;
    let there = rows.iter().map(|row| row.get::<_, String>(0));
    let of_extensions = extensions.iter().flat_map(|one| [&one.name].into_iter().chain(&one.members)).cloned();
    let all: BTreeSet<String> = there.chain(of_extensions).chain(ours.iter().map(|name| (*name).to_owned())).collect();
    // A text need not be written as the name is that it becomes.
    let folded: Vec<String> = all.iter().map(|name| name.to_lowercase()).collect();
    Ok(all.into_iter().chain(folded).collect())
}

/// What decides how a script is read is set for a database and a role, too, which a throw-away one is not, or not on the sandbox: how a literal is
/// written, which path or storage is the default. Not what is no part of a script's meaning: whom the role acts as, how long something may
/// take, and the encoding, which a driver chooses itself. What a project made up (`app.jwt_secret`) may be a secret, which a statement of
/// ours would bring into the server's log.
fn settings(transaction: &mut Transaction<'_>) -> Result<Vec<(String, String)>> {
    const SETTINGS: &str = "
        select distinct on (1) pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
          from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
         where s.setrole in (0, (select r.oid from pg_catalog.pg_roles r where r.rolname = session_user))
           and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))
           and c !~* '^([^=]*(_timeout|[.]|pass|secret|token|key)[^=]*|role|session_authorization|default_transaction_read_only|client_encoding)='
         order by 1, s.setrole <> 0 desc, s.setdatabase <> 0 desc";
    let rows = transaction.query(SETTINGS, &[]).could_not("read what sessions begin with")?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Those of our schemas that the history makes. The first is Prisma's work: it makes the URL's schema before the first migration.
fn made_schemas(mentions: &Mentions, ours: &[&str]) -> Vec<String> {
    let others = ours.iter().skip(1).filter(|schema| mentions.made_schema(schema).is_some());
    others.map(|schema| (*schema).to_owned()).collect()
}

fn skeleton(
    transaction: &mut Transaction<'_>,
    mentions: &Mentions,
    extensions: &[Extension],
    ours: &[&str],
) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    let reached = reached(transaction, mentions, ours)?;
    let likenesses = if reached.is_empty() { Vec::new() } else { likenesses(transaction, mentions, &reached)? };
    let needed =
        |schema: &&String| mentions.made_schema(schema).is_none() || likenesses.iter().any(|it| it.0 == **schema);
    let schemas = reached.iter().filter(needed);
    statements.extend(schemas.map(|schema| format!("create schema if not exists {}", escape_identifier(schema))));
    statements
        .extend(extensions.iter().filter(|one| one.is_there_before(mentions, ours)).flat_map(|one| one.made(ours)));
    statements.extend(likenesses.into_iter().map(|(_, statement)| statement));
    Ok(statements)
}

/// Other schemas that the history refers to. One that it makes from nothing is its own.
fn reached(transaction: &mut Transaction<'_>, mentions: &Mentions, ours: &[&str]) -> Result<Vec<String>> {
    let rows = transaction.query(OTHER_SCHEMAS, &[&ours]).could_not("look for the platform's schemas")?;
    let others = rows.iter().map(|row| row.get::<_, String>(0)).filter(|schema| schema != CLAIM_SCHEMA);
    Ok(others.filter(|schema| mentions.schema(schema) && mentions.made_schema(schema) != Some(Made::Anew)).collect())
}

/// Schema and statement of what is needed there. In a schema that the history makes if it is missing, what belongs to us is the
/// history's work.
fn likenesses(
    transaction: &mut Transaction<'_>,
    mentions: &Mentions,
    schemas: &[String],
) -> Result<Vec<(String, String)>> {
    let rows = transaction.query(LIKENESSES, &[&schemas]).could_not("look at what the platform made")?;
    let mut found = Vec::new();
    for row in rows {
        let (schema, name): (String, String) = (row.get(0), row.get(1));
        let ours = row.get(2) && mentions.made_schema(&schema).is_some();
        if !ours && mentions.needs(&schema, &name) {
            found.extend(row.get::<_, Vec<String>>(3).into_iter().map(|statement| (schema.clone(), statement)));
        }
    }
    Ok(found)
}

/// How a likeness of an object is made.
pub struct Likeness {
    pub schema: String,
    pub name: String,
    pub is_table: bool,
    pub statements: Vec<String>,
}

/// Of all that is in `schemas`, in an order in which it can be made: the schemas themselves first.
///
/// # Errors
/// `failed` when the server refuses.
pub fn likenesses_in(transaction: &mut Transaction<'_>, schemas: &[String]) -> Result<Vec<Likeness>> {
    let rows = transaction.query(LIKENESSES, &[&schemas]).could_not("look at what is there")?;
    let schemas = schemas.iter().map(|schema| Likeness {
        schema: schema.clone(),
        name: String::new(),
        is_table: false,
        statements: vec![format!("create schema if not exists {}", escape_identifier(schema))],
    });
    let objects = rows.iter().map(|row| {
        let statements: Vec<String> = row.get(3);
        let is_table = statements.first().is_some_and(|made| made.starts_with("create table"));
        Likeness { schema: row.get(0), name: row.get(1), is_table, statements }
    });
    Ok(schemas.chain(objects).collect())
}

/// What is external in our own schemas, but for what the history made before somebody else took it over.
fn external_ones(
    transaction: &mut Transaction<'_>,
    mentions: &Mentions,
    ours: &[&str],
    external: &External,
) -> Result<Vec<String>> {
    if external.is_empty() {
        return Ok(Vec::new());
    }
    let rows = transaction.query(LIKENESSES, &[&ours]).could_not("look at what is external")?;
    let is_meant = |schema: &str, name: &str| {
        (external.has_table(schema, name) || external.has_enum(schema, name)) && !mentions.makes(schema, name)
    };
    let meant = rows.iter().filter(|row| is_meant(row.get(0), row.get(1)));
    Ok(meant.flat_map(|row| row.get::<_, Vec<String>>(3)).collect())
}

/// One that the database has.
struct Extension {
    name: String,
    schema: String,
    /// The names by which others refer to what it brings.
    members: Vec<String>,
}

impl Extension {
    fn all(transaction: &mut Transaction<'_>) -> Result<Vec<Extension>> {
        let rows = transaction.query(EXTENSIONS, &[]).could_not("look for extensions")?;
        Ok(rows.iter().map(|row| Extension { name: row.get(0), schema: row.get(1), members: row.get(2) }).collect())
    }

    /// Whether the history uses it and does not make it. One that it makes only if it is missing was there before where it lies
    /// outside of our schemas. None is older than a schema that the history makes for it.
    fn is_there_before(&self, mentions: &Mentions, ours: &[&str]) -> bool {
        let there_before = match (mentions.made_extension(&self.name), mentions.made_schema(&self.schema)) {
            (_, Some(Made::Anew)) | (Some(Made::Anew), _) => false,
            (Some(Made::IfMissing), _) => !ours.contains(&self.schema.as_str()),
            (None, _) => true,
        };
        there_before && (mentions.word(&self.name) || self.members.iter().any(|member| mentions.word(member)))
    }

    fn made(&self, ours: &[&str]) -> Vec<String> {
        let (home, name) = (escape_identifier(&self.schema), escape_identifier(&self.name));
        let is_elsewhere = !ours.contains(&self.schema.as_str());
        let schema = is_elsewhere.then(|| format!("create schema if not exists {home}"));
        schema.into_iter().chain([format!("create extension if not exists {name} with schema {home}")]).collect()
    }
}

/// On the target's own server they are there, and nothing is granted. On the sandbox they are made, without a way to log in,
/// and stay: a role holds nothing. Beside them, what they may do in the throw-away database. A new owner has to be allowed to create things, as it is on the target.
fn roles(transaction: &mut Transaction<'_>, mentions: &Mentions, ours: &[&str]) -> Result<(Vec<String>, Vec<String>)> {
    let rows = transaction.query(ROLES, &[&ours]).could_not("look for roles")?;
    let (mut found, mut rights) = (Vec::new(), Vec::new());
    for row in rows.iter().filter(|row| mentions.needs_role(row.get(0))) {
        let (role, is_ours, grants): (String, bool, Vec<String>) = (row.get(0), row.get(1), row.get(2));
        found.push(format!("create role {0} nologin; grant {0} to current_user", escape_identifier(&role)));
        if is_ours {
            rights.push(stand_in(&role, ours));
        } else if mentions.follows("to", &role) {
            rights.extend(grants);
        }
    }
    Ok((found, rights))
}

/// The migrating role, named by the history, on a server where another role migrates: the schemas are its own, as they are
/// on the target.
fn stand_in(role: &str, schemas: &[&str]) -> String {
    let role = escape_literal(role);
    let owns = |schema: &&str| {
        format!("execute pg_catalog.format('alter schema %I owner to %I', {}, {role});", escape_literal(schema))
    };
    format!(
        "do $do$ begin if current_user <> {role} then
             execute pg_catalog.format('grant create on database %I to %I', pg_catalog.current_database(), {role});
             {}
         end if; end $do$",
        schemas.iter().map(owns).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::{open_as, open_as_migrator};
    use crate::schema::history::Migration;
    use crate::schema::replay::replay;

    /// The schemas there are when a history of a project with a second schema was replayed, or why it was not.
    fn replayed(scripts: &[&str]) -> Result<Vec<String>> {
        let ours = ["public", "Audit"];
        let texts: Vec<Text> = scripts.iter().map(|sql| Text::from(*sql)).collect();
        let names = ["public", "Audit", "audit"].map(str::to_owned).into();
        let made = made_schemas(&Mentions::of(&texts, &names).unwrap(), &ours);
        let groundwork = Groundwork { made, ..Groundwork::default() };
        let prisma = AsPrisma { schemas: &ours, release: Version::NEWEST, groundwork: &groundwork, headway: None };
        let migrations = scripts.iter().enumerate().map(|(n, sql)| Migration::new(n.to_string(), *sql)).collect();
        let history = History { provider: None, migrations };
        let open = |name: &str| Ok(open_as("migrator", name));
        let catalog = replay(&mut open_as_migrator(), open, &history, prisma)?;
        Ok(catalog.objects.keys().filter(|key| key.kind == "schema").map(|key| key.name()).collect())
    }

    const TABLE: &str = r#"create table "Audit".log (id int)"#;

    #[test]
    fn what_a_history_makes_of_its_schemas_is_not_there_before_and_the_rest_is() {
        for script in [
            r#"create schema "Audit""#,
            r#"create schema if not exists "Audit""#,
            r#"create schema "Audit" authorization current_user"#,
            r#"drop schema if exists "Audit" cascade; create schema "Audit""#,
            r#"do $$ begin create schema "Audit"; end $$"#,
            "do $$ begin execute format('create schema %I', 'Audit'); end $$",
            r#"do $$ begin if not exists (select from pg_namespace where nspname = 'Audit') then execute 'create schema "Audit"'; end if; end $$"#,
            r#"grant usage on schema "Audit" to public"#,
            "select 1",
        ] {
            assert_eq!(replayed(&[script, TABLE]).unwrap(), [r#""Audit""#, r#""public""#], "{script}");
        }
        let late = [TABLE, r#"drop schema "Audit" cascade"#, r#"create schema "Audit""#];
        assert_eq!(replayed(&late).unwrap(), [r#""Audit""#, r#""public""#]);
        assert_eq!(replayed(&[r#"create schema "Audit""#, r#"drop schema "Audit""#]).unwrap(), [r#""public""#]);
        // The URL's schema is made by Prisma, so the deploy would fail as well.
        assert!(replayed(&["create schema public"]).is_err());
    }
}
