//! What in a script changes the whole server and not one database: roles, their memberships and settings, databases,
//! tablespaces, subscriptions. In a throw-away database it would happen for real.
//!
//! Read from the script's words, inside of strings and bodies too, where `DO` and `EXECUTE` hide it: what looks like it counts.
//! What a function puts together from pieces is not seen, so `Shared` compares the server before and after.

use std::collections::BTreeSet;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot};
use crate::sandbox::EPHEMERAL;
use crate::schema::history::History;
use crate::schema::pieces::pieces;

/// The first two words of what acts on the server.
const KINDS: [&str; 8] = ["role", "user", "group", "database", "tablespace", "subscription", "system", "owned"];
const VERBS: [&str; 5] = ["create", "alter", "drop", "comment", "reassign"];

/// Functions that reach other databases or make what is of the server.
const FUNCTIONS: [&str; 3] =
    ["pg_create_logical_replication_slot", "pg_create_physical_replication_slot", "pg_replication_origin_create"];

/// The first statement of `history` that acts on the server, in words.
pub fn first_in(history: &History) -> Option<String> {
    history.migrations.iter().find_map(|migration| {
        let found = first(&migration.sql)?;
        Some(format!("`{}` ({found}) acts on the whole server", migration.name))
    })
}

/// The first words of `sql` that act on the server, in capitals.
pub fn first(sql: &str) -> Option<String> {
    let mut in_texts = None;
    for tokens in pieces(sql) {
        let Ok(tokens) = tokens else { return in_text(sql) };
        let (in_words, in_text) = of_tokens(tokens);
        if in_words.is_some() {
            return in_words;
        }
        in_texts = in_texts.or(in_text);
    }
    in_texts
}

/// What a statement of them does, and what stands in their texts.
fn of_tokens(tokens: Vec<TokenWithSpan>) -> (Option<String>, Option<String>) {
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let statements = tokens.split(|token| token.token == Token::SemiColon);
    let by_statement = statements.into_iter().find_map(|statement| {
        let words: Vec<String> = statement.iter().filter_map(|token| plain(&token.token)).collect();
        in_words(&words)
    });
    match by_statement {
        Some(_) => (by_statement, None),
        None => (None, tokens.iter().find_map(|token| in_text(text(&token.token)?))),
    }
}

/// A word that stands by itself; a quoted one is a name.
fn plain(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
        Token::Word(_) => Some("\"".to_owned()),
        _ => None,
    }
}

/// What may be a program of its own.
fn text(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) => {
            Some(text)
        }
        Token::DollarQuotedString(body) => Some(&body.value),
        _ => None,
    }
}

/// In a body any place may begin a statement: behind BEGIN, THEN, EXECUTE or a quote.
fn in_text(body: &str) -> Option<String> {
    let inner = Tokenizer::new(&PostgreSqlDialect {}, body).tokenize().ok();
    let nested = inner.iter().flatten().find_map(|token| first(text(token)?));
    let without_comments: String = match &inner {
        Some(tokens) => {
            let written = tokens.iter().map(|token| match token {
                Token::Whitespace(_) => " ".to_owned(),
                other => other.to_string(),
            });
            written.collect()
        }
        None => body.to_owned(),
    };
    nested.or_else(|| {
        without_comments.split(';').find_map(|statement| {
            let words: Vec<String> = statement
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| !word.is_empty())
                .map(str::to_lowercase)
                .collect();
            (0..words.len()).find_map(|at| in_words(&words[at..]))
        })
    })
}

/// Whether a statement of these words, from its first on, acts on the server.
fn in_words(words: &[String]) -> Option<String> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let shown = |count: usize| Some(words[..count.min(words.len())].join(" ").to_uppercase());
    let mapping = word(2) == "mapping";
    let kind = |at: usize| KINDS.contains(&word(at));
    if let Some(name) = words.iter().find(|word| FUNCTIONS.contains(&word.as_str()) || word.starts_with("dblink")) {
        return Some(name.clone());
    }
    match word(0) {
        "comment" if word(1) == "on" && kind(2) => shown(3),
        "security" if word(1) == "label" && words.iter().any(|word| KINDS.contains(&word.as_str())) => shown(2),
        "grant" | "revoke" if is_of_server(words) => shown(1),
        verb if VERBS.contains(&verb) && kind(1) && !mapping => shown(2),
        _ => None,
    }
}

/// A role granted to a role, or a right on what is of the server.
fn is_of_server(words: &[String]) -> bool {
    let end = words.iter().position(|word| word == "to" || word == "from");
    let Some(end) = end else { return false };
    match words[..end].iter().position(|word| word == "on") {
        None => true,
        Some(on) => {
            words.get(on + 1).is_some_and(|word| ["database", "tablespace", "parameter"].contains(&word.as_str()))
        }
    }
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
    fn what_acts_on_the_server_is_seen_wherever_it_stands() {
        let acts = [
            "create table t ();\n-- and\nCREATE /* a */ ROLE reader NOLOGIN",
            "alter user app set search_path = 'x'",
            "alter database \"d\" set timezone = 'UTC'",
            "grant connect on database d to app",
            "grant reader to app",
            "revoke \"Reader\" from app",
            "alter system set work_mem = '1MB'",
            "create database other",
            "create subscription s connection 'host=x' publication p",
            "comment on role app is 'x'",
            "reassign owned by a to b",
            "do $$ begin if true then create role reader; end if; end $$",
            "do $$ begin execute 'create role ' || quote_ident('reader'); end $$",
            "do $a$ begin execute format($b$create /* x */ user %I$b$, 'x'); end $a$",
            "do 'begin create role reader; end'",
            "do E'begin create role reader; end'",
            "create function f() returns void language sql as $$ grant a to b $$",
            "select 'open; create role x",
            "select dblink_exec('dbname=x', 'select 1')",
        ];
        let missed: Vec<&str> = acts.into_iter().filter(|sql| first(sql).is_none()).collect();
        assert_eq!(missed, [""; 0]);
    }

    #[test]
    fn what_keeps_to_its_database_is_left_alone() {
        let keeps = [
            "create table role (id int); alter table t drop role; alter table t add database text",
            "create table \"user\" (\"role\" text default 'user')",
            "grant select on all tables in schema public to app; revoke all on t from public",
            "create user mapping for app server s",
            "do $$ begin perform 1; grant select on t to app; end $$",
            "comment on table t is 'the role of a user'",
            "alter default privileges in schema public grant select on tables to app",
            "-- create role x\nselect 1 /* create role y */",
            "alter table t owner to app; create type role_kind as enum ('user', 'database')",
        ];
        let alarmed: Vec<(&str, String)> = keeps.into_iter().filter_map(|sql| Some((sql, first(sql)?))).collect();
        assert_eq!(alarmed, []);
    }

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
