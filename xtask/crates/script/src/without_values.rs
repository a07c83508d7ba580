//! A statement that another session was sent, as it may be shown: its words and signs, and none of its values.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// Longer ones are cut: what is asked for is at the beginning.
const LONGEST: usize = 160;

/// Statements in which a bare word is the name of something, never what it is set to. Of others the first word alone is shown.
const NAMING: [&str; 21] = [
    "select",
    "with",
    "table",
    "insert",
    "update",
    "delete",
    "merge",
    "truncate",
    "lock",
    "copy",
    "vacuum",
    "analyze",
    "reindex",
    "cluster",
    "refresh",
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "savepoint",
];

/// Of these, where they are about such things.
const DEFINING: [&str; 3] = ["alter", "create", "drop"];
const DEFINED: [&str; 6] = ["table", "index", "unique", "view", "materialized", "sequence"];

/// On one line. What cannot be taken apart, since the server keeps only the beginning of a long one, is its first word.
pub fn without_values(sql: &str) -> String {
    // A session may have turned `standard_conforming_strings` off: then this is no end of a string.
    let tokens = match sql.contains("\\'") {
        true => None,
        false => Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize().ok(),
    };
    let shown = match tokens {
        Some(tokens) => tokens.split(|token| *token == Token::SemiColon).map(statement).collect::<Vec<_>>(),
        None => vec![first_word(sql)],
    };
    cut(&shown.into_iter().filter(|one| !one.is_empty()).collect::<Vec<_>>().join("; "))
}

fn statement(tokens: &[Token]) -> String {
    let text: String = tokens.iter().map(shown).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is = |at: usize, known: &[&str]| {
        words.get(at).is_some_and(|word| known.iter().any(|known| known.eq_ignore_ascii_case(word)))
    };
    match is(0, &NAMING) || is(0, &DEFINING) && is(1, &DEFINED) {
        true => words.join(" "),
        false => first_word(&text),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(_) | Token::Placeholder(_) => token.to_string(),
        Token::Whitespace(_) => " ".to_owned(),
        sign => Some(sign.to_string()).filter(|sign| is_sign(sign)).unwrap_or_else(|| "?".to_owned()),
    }
}

fn is_sign(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_punctuation() && c != '\'' && c != '"')
}

fn first_word(text: &str) -> String {
    let word: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).take(20).collect();
    if word.is_empty() { word } else { format!("{word} …") }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_shown_with_its_names_and_none_of_its_values() {
        let statements = [
            "select *, 'it''s s3cret'::text from \"Session\" where id = 4711 and at > DATE '2026-01-01' limit $1",
            "BEGIN; LOCK TABLE \"Session\" IN ACCESS SHARE MODE",
            "insert into t (a) values (-1.5e3, E's3cret\\n', U&'s3cret', $$s3cret$$, $x$s3cret$x$, B'101', X's3'), (N's3cret')",
            "update t set a = a || 's3cret' /* s3cret */ where b -> 's3cret' ?| array['s3cret'] -- s3cret",
            "set app.token = s3cret; select 1",
            "alter role ana password 's3cret'",
            "alter database d set app.token to s3cret",
            "ALTER TABLE t ADD COLUMN a text DEFAULT 's3cret'",
            "select 's3cret and the server kept no more",
            "select $$s3cret and the server kept no more",
            "select 'a\\' s3cret b s3cret', 'c'",
            "copy t from stdin with (delimiter '|')",
            "s3cret",
            "",
            "  ; ;",
            "4711",
            "<insufficient privilege>",
        ];
        let shown: Vec<String> = statements.iter().map(|sql| without_values(sql)).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        select *, ?::text from "Session" where id = ? and at > DATE ? limit $1
        BEGIN; LOCK TABLE "Session" IN ACCESS SHARE MODE
        insert into t (a) values (-?, ?, ?, ?, ?, ?, ?), (?)
        update t set a = a || ? where b -> ? ?| array[?]
        set …; select ?
        alter …
        alter …
        ALTER TABLE t ADD COLUMN a text DEFAULT ?
        select …
        select …
        select …
        copy t from stdin with (delimiter ?)
        s …
        "#);
        assert!(!shown.iter().any(|shown| shown.contains("s3cret")));
    }

    #[test]
    fn a_long_one_is_cut_between_letters() {
        let long = format!("select {}", "é, ".repeat(500));
        assert_eq!(without_values(&long).chars().count(), LONGEST);
        assert!(without_values(&long).ends_with("é…") || without_values(&long).ends_with(",…"));
    }
}
