//! What in a script changes the whole server and not one database: roles, their memberships and settings, databases,
//! tablespaces, subscriptions.
//!
//! Read from the script's words, inside of strings and bodies too, where `DO` and `EXECUTE` hide it: what looks like it counts.
//! What a function puts together from pieces is not seen.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::pieces::{Stopped, pieces};
use crate::text::{Text, Unreadable};

/// The first two words of what acts on the server.
const KINDS: [&str; 8] = ["role", "user", "group", "database", "tablespace", "subscription", "system", "owned"];
const VERBS: [&str; 5] = ["create", "alter", "drop", "comment", "reassign"];

/// Functions that reach other databases or make what is of the server.
const FUNCTIONS: [&str; 3] =
    ["pg_create_logical_replication_slot", "pg_create_physical_replication_slot", "pg_replication_origin_create"];

/// The first words of `script` that act on the server, in capitals.
///
/// # Errors
/// The script cannot be read.
pub fn first(script: &Text) -> Result<Option<String>, Unreadable> {
    let mut in_texts = None;
    for piece in pieces(script) {
        let tokens = match piece {
            Ok(piece) => piece.tokens,
            Err(Stopped::NotUnderstood(_)) => return in_parts(script),
            Err(Stopped::Unreadable(error)) => return Err(error),
        };
        let (in_words, in_text) = of_tokens(tokens);
        if in_words.is_some() {
            return Ok(in_words);
        }
        in_texts = in_texts.or(in_text);
    }
    Ok(in_texts)
}

/// Of what the tokenizer does not understand: any place may begin a statement.
fn in_parts(script: &Text) -> Result<Option<String>, Unreadable> {
    for part in script.parts() {
        let found = in_any_place(&part?);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
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
    let Ok(inner) = Tokenizer::new(&PostgreSqlDialect {}, body).tokenize() else { return in_any_place(body) };
    let nested = inner.iter().find_map(|token| first_here(text(token)?));
    nested.or_else(|| {
        let written = inner.iter().map(|token| match token {
            Token::Whitespace(_) => " ".to_owned(),
            other => other.to_string(),
        });
        in_any_place(&written.collect::<String>())
    })
}

/// As `first`, of what is in memory.
fn first_here(script: &str) -> Option<String> {
    first(&script.into()).unwrap_or_default()
}

fn in_any_place(script: &str) -> Option<String> {
    script.split(';').find_map(|statement| {
        let words: Vec<String> = statement
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        function(&words).or_else(|| (0..words.len()).find_map(|at| beginning(&words[at..])))
    })
}

/// Whether a statement of these words, from its first on, acts on the server.
fn in_words(words: &[String]) -> Option<String> {
    function(words).or_else(|| beginning(words))
}

fn function(words: &[String]) -> Option<String> {
    words.iter().find(|word| FUNCTIONS.contains(&word.as_str()) || word.starts_with("dblink")).cloned()
}

fn beginning(words: &[String]) -> Option<String> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let shown = |count: usize| Some(words[..count.min(words.len())].join(" ").to_uppercase());
    let mapping = word(2) == "mapping";
    let kind = |at: usize| KINDS.contains(&word(at));
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let missed: Vec<&str> = acts.into_iter().filter(|sql| first_here(sql).is_none()).collect();
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
        let alarmed: Vec<(&str, String)> = keeps.into_iter().filter_map(|sql| Some((sql, first_here(sql)?))).collect();
        assert_eq!(alarmed, []);
    }
}
