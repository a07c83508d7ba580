//! How Prisma sends a migration's script to Postgres: as one request, or statement by statement.
//!
//! Up to 7.3 the file is one simple query, which Postgres runs as one transaction. From 7.4 on (prisma-engines#5767; in
//! shadow databases from 7.8 on, #5799) the native engine reads the file with the crate `sqlparser` and sends each
//! statement by itself, each a transaction of its own; where the crate does not understand any one statement, the file
//! goes as one, as before. The same crate in the same version and dialect gives the same answer here. All of 7.4 to 7.10
//! have 0.61.0 in them: the engine's WebAssembly package names it.

use std::thread;

use sqlparser::ast::{ObjectType, Statement as Sql};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use crate::pieces::{self, Pieces};

/// The first release that takes a file apart.
const SPLITS: Version = Version(7, 4);
/// The first release that does so in a shadow database, too.
const SPLITS_IN_SHADOW: Version = Version(7, 8);

/// The parser calls itself for what is nested, up to a limit of its own that the stack of an ordinary thread does not hold
/// where the crate is not optimised. Memory that is not used is not taken.
const STACK: usize = 64 << 20;

/// A release of Prisma, as far as the rule depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32);

impl Version {
    /// One that takes files apart in any database.
    pub const NEWEST: Version = Version(7, 10);

    /// `7.10.0` is (7, 10); what is not a number counts as 0, before every rule.
    pub fn of(text: &str) -> Version {
        let mut numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
        Version(numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// This release, as it behaves in a shadow database.
    pub fn in_shadow(self) -> Version {
        if self < SPLITS_IN_SHADOW { self.min(Version(7, 3)) } else { self }
    }

    /// Whether a file is taken apart at all.
    pub fn splits(self) -> bool {
        self >= SPLITS
    }
}

/// A script as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// Each is one request. Put together they are the file, byte for byte.
    pub statements: Vec<Statement<'a>>,
    /// What the parser did not understand; None where it was not asked, or understood all.
    pub whole_because: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// With the comments before it; the last one with what follows it, too.
    pub text: &'a str,
    /// The line of the file on which `text` begins, from 1.
    pub starts: usize,
    /// The line of the file on which the statement itself begins.
    pub line: usize,
    pub nature: Nature,
}

/// What the syntax of a statement tells about it. Of a file that is sent as one, nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nature {
    /// Postgres refuses it inside of a transaction block.
    pub outside: bool,
    /// A transaction block that the script itself began is open behind it.
    pub in_block: bool,
    /// It may change rows, which no comparison of schemas sees.
    pub moves_rows: bool,
}

/// Takes `script` apart as `prisma` does.
pub fn split(script: &str, prisma: Version) -> Script<'_> {
    if !prisma.splits() {
        return Script { statements: whole(script), whole_because: None };
    }
    match parse(script, |_| ()) {
        Ok(parsed) if parsed.is_empty() => Script { statements: whole(script), whole_because: None },
        Ok(parsed) => Script { statements: cut(script, &parsed), whole_because: None },
        Err(reason) => Script { statements: whole(script), whole_because: Some(reason) },
    }
}

/// One request, or none for a file of no bytes.
fn whole(script: &str) -> Vec<Statement<'_>> {
    let statement = Statement { text: script, starts: 1, line: 1, nature: Nature::default() };
    [statement].into_iter().filter(|statement| !statement.text.is_empty()).collect()
}

/// What the parser says of one statement.
struct Parsed<T> {
    line: usize,
    /// Behind its semicolon; None where the file ends without one.
    end: Option<Location>,
    nature: Nature,
    said: T,
}

/// What `look` says of each statement, none of which is kept.
///
/// # Errors
/// What the parser does not understand.
pub(crate) fn parsed<T: Send>(script: &str, look: impl Fn(Sql) -> T + Sync) -> Result<Vec<T>, String> {
    parse(script, look).map(|all| all.into_iter().map(|one| one.said).collect())
}

fn parse<T: Send>(script: &str, look: impl Fn(Sql) -> T + Sync) -> Result<Vec<Parsed<T>>, String> {
    let in_words = |error: ParserError| {
        let text = error.to_string();
        text.strip_prefix("sql parser error: ").unwrap_or(&text).to_owned()
    };
    thread::scope(|scope| {
        let parser =
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse_here(pieces::pieces(script), &look));
        let parser = parser.map_err(|error| format!("no thread to parse it in: {error}"))?;
        parser.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(in_words)
    })
}

/// A statement that has semicolons of its own may lie in two pieces: what the parser refuses it gets again with more behind it, so many times as
/// much. It ends somewhere, since the tokens of all of a long script would be more than the memory there is.
const MORE: [usize; 2] = [4, 16];

fn parse_here<T>(mut script: Pieces<'_>, look: impl Fn(Sql) -> T) -> Result<Vec<Parsed<T>>, ParserError> {
    let mut parsed = Vec::new();
    loop {
        let here = script.clone();
        let (known, mut done) = (parsed.len(), parse_next(&mut script, &look, &mut parsed));
        for longer in MORE.iter().map_while(|&times| here.longer(times)) {
            if done.is_ok() {
                break;
            }
            parsed.truncate(known);
            script = longer;
            done = parse_next(&mut script, &look, &mut parsed);
        }
        script = script.like(&here);
        if !done? {
            return Ok(parsed);
        }
    }
}

/// Whether there was another piece.
fn parse_next<T>(
    script: &mut Pieces<'_>,
    look: impl Fn(Sql) -> T,
    parsed: &mut Vec<Parsed<T>>,
) -> Result<bool, ParserError> {
    let Some(tokens) = script.next() else { return Ok(false) };
    let dialect = PostgreSqlDialect {};
    parse_piece(Parser::new(&dialect).with_tokens_with_locations(tokens?), look, parsed)?;
    Ok(true)
}

fn parse_piece<T>(
    mut parser: Parser<'_>,
    look: impl Fn(Sql) -> T,
    parsed: &mut Vec<Parsed<T>>,
) -> Result<(), ParserError> {
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let first = parser.peek_token_ref();
        if first.token == Token::EOF {
            return Ok(());
        }
        let line = usize::try_from(first.span.start.line).unwrap_or(usize::MAX);
        let statement = parser.parse_statement()?;
        let was_in_block = parsed.last().is_some_and(|before| before.nature.in_block);
        let in_block = block_after(&statement, was_in_block);
        let next = parser.peek_token();
        let end = match next.token {
            Token::SemiColon => Some(next.span.end),
            Token::EOF => None,
            _ => return parser.expected("end of statement", next),
        };
        let nature = Nature { outside: outside(&statement), in_block, moves_rows: moves_rows(&statement) };
        parsed.push(Parsed { line, end, nature, said: look(statement) });
    }
}

fn block_after(statement: &Sql, before: bool) -> bool {
    match statement {
        Sql::StartTransaction { .. } => true,
        Sql::Commit { chain, .. } | Sql::Rollback { chain, savepoint: None } => *chain,
        _ => before,
    }
}

fn outside(statement: &Sql) -> bool {
    match statement {
        Sql::CreateIndex(index) => index.concurrently,
        Sql::Drop { object_type, .. } => *object_type == ObjectType::Database,
        Sql::CreateDatabase { .. } | Sql::Vacuum(_) => true,
        _ => false,
    }
}

/// A query may call a function that does; `set_config`, with which dumps begin, does not.
pub fn moves_rows(statement: &Sql) -> bool {
    match statement {
        Sql::Query(query) => !query.to_string().contains("set_config("),
        Sql::Insert(_) | Sql::Update(_) | Sql::Delete(_) | Sql::Merge(_) | Sql::Truncate(_) => true,
        Sql::Copy { .. } | Sql::Call(_) | Sql::Execute { .. } | Sql::Explain { .. } => true,
        _ => false,
    }
}

/// Cuts behind each semicolon but the last, so that what follows that stays with its statement.
fn cut<'a, T>(script: &'a str, parsed: &[Parsed<T>]) -> Vec<Statement<'a>> {
    let mut place = Place { line: 1, column: 1, offset: 0 };
    let last = parsed.len() - 1;
    let piece = |(number, parsed): (usize, &Parsed<T>)| {
        let start = place;
        place = match parsed.end {
            Some(end) if number < last => place.forward(script, end),
            _ => Place { offset: script.len(), ..place },
        };
        let text = &script[start.offset..place.offset];
        Statement { text, starts: start.line, line: parsed.line, nature: parsed.nature }
    };
    parsed.iter().enumerate().map(piece).collect()
}

/// The parser counts lines and characters; a text is cut at bytes.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    column: u64,
    offset: usize,
}

impl Place {
    fn forward(mut self, script: &str, to: Location) -> Place {
        for c in script[self.offset..].chars() {
            if (self.line as u64, self.column) >= (to.line, to.column) {
                break;
            }
            self.offset += c.len_utf8();
            (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent, one line a request; or why the file goes as one.
    fn shown(script: &str) -> String {
        let split = split(script, Version::NEWEST);
        let statements = &split.statements;
        assert_eq!(statements.iter().map(|statement| statement.text).collect::<String>(), script);
        let newlines =
            |number: usize| statements[..number].iter().map(|it| it.text.matches('\n').count()).sum::<usize>();
        let line = |(number, it): (usize, &Statement<'_>)| {
            assert_eq!(it.starts, newlines(number) + 1);
            let Nature { outside, in_block, moves_rows } = it.nature;
            let marks = [(outside, " outside"), (in_block, " in block"), (moves_rows, " rows")];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            format!("{}{marks}: {:?}", it.line, it.text)
        };
        let lines: Vec<String> = statements.iter().enumerate().map(line).collect();
        format!("{}{}", split.whole_because.map(|why| format!("{why}\n")).unwrap_or_default(), lines.join("\n"))
    }

    #[test]
    fn statements_keep_the_comments_before_them_and_the_last_what_follows() {
        let script = "-- CreateTable; not here\nCREATE TABLE a (b TEXT DEFAULT ';');;\n\n/* and /* nested; */ */\n\
                      CREATE INDEX CONCURRENTLY i ON a (b); -- there\nUPDATE a SET b = 'é;'; INSERT INTO a VALUES ('');\n-- the end\n";
        insta::assert_snapshot!(shown(script), @r#"
        2: "-- CreateTable; not here\nCREATE TABLE a (b TEXT DEFAULT ';');"
        5 outside: ";\n\n/* and /* nested; */ */\nCREATE INDEX CONCURRENTLY i ON a (b);"
        6 rows: " -- there\nUPDATE a SET b = 'é;';"
        6 rows: " INSERT INTO a VALUES ('');\n-- the end\n"
        "#);
    }

    #[test]
    fn what_stands_between_quotes_is_not_taken_apart() {
        let script = "create function f() returns trigger language plpgsql as $body$ begin new.a := $$;$$; return new; end; $body$;\n\
                      create trigger t before insert on a for each row execute function f();\n\
                      select \"a;\", E'\\\\;', U&';' from a";
        insta::assert_snapshot!(shown(script), @r#"
        1: "create function f() returns trigger language plpgsql as $body$ begin new.a := $$;$$; return new; end; $body$;"
        2: "\ncreate trigger t before insert on a for each row execute function f();"
        3 rows: "\nselect \"a;\", E'\\\\;', U&';' from a"
        "#);
    }

    #[test]
    fn a_transaction_of_the_scripts_own_is_followed() {
        let script = "BEGIN;\r\nALTER TYPE e RENAME TO f;\r\nCOMMIT;\r\nSTART TRANSACTION; ROLLBACK AND CHAIN; END;\r\nDROP TYPE f";
        insta::assert_snapshot!(shown(script), @r#"
        1 in block: "BEGIN;"
        2 in block: "\r\nALTER TYPE e RENAME TO f;"
        3: "\r\nCOMMIT;"
        4 in block: "\r\nSTART TRANSACTION;"
        4 in block: " ROLLBACK AND CHAIN;"
        4: " END;"
        5: "\r\nDROP TYPE f"
        "#);
    }

    #[test]
    fn one_statement_that_the_parser_does_not_know_keeps_the_file_whole() {
        let known = "create table a (b int);\n";
        let unknown = [
            "do $$ begin perform 1; end $$;",
            "drop index concurrently \"i\";",
            "lock table a;",
            "select 'open;",
            "\u{feff}select 1;",
            "select 1 end;",
        ];
        let all: Vec<String> = unknown.iter().map(|sql| shown(&format!("{known}{sql}"))).collect();
        insta::assert_snapshot!(all.join("\n").replace('\u{feff}', "(mark)"), @r#"
        Expected: an SQL statement, found: do at Line: 2, Column: 1
        1: "create table a (b int);\ndo $$ begin perform 1; end $$;"
        Expected: end of statement, found: "i" at Line: 2, Column: 25
        1: "create table a (b int);\ndrop index concurrently \"i\";"
        Expected: an SQL statement, found: lock at Line: 2, Column: 1
        1: "create table a (b int);\nlock table a;"
        Unterminated string literal at Line: 2, Column: 8
        1: "create table a (b int);\nselect 'open;"
        Expected: an SQL statement, found: (mark)select at Line: 2, Column: 1
        1: "create table a (b int);\n\u{feff}select 1;"
        Expected: end of statement, found: end at Line: 2, Column: 10
        1: "create table a (b int);\nselect 1 end;"
        "#);
        let deep = format!("select {}1{}", "(".repeat(400), ")".repeat(400));
        assert_eq!(split(&deep, Version::NEWEST).whole_because.as_deref(), Some("recursion limit exceeded"));
    }

    #[test]
    fn what_holds_no_statement_is_sent_as_it_is() {
        insta::assert_snapshot!(shown("-- nothing;\n ; \n"), @r#"
        1: "-- nothing;\n ; \n"
        "#);
        assert_eq!(split("", Version::NEWEST).statements, []);
    }

    #[test]
    fn the_release_decides() {
        let two = "select 1; select 2";
        let sent = |version: Version| split(two, version).statements.len();
        let of = |text| [Version::of(text), Version::of(text).in_shadow()].map(sent);
        assert_eq!(of("6.19.3"), [1, 1]);
        assert_eq!(of("7.3.0"), [1, 1]);
        assert_eq!(of("7.4.0-dev.3"), [2, 1]);
        assert_eq!(of("7.8.0"), [2, 2]);
        assert_eq!(of("7.10.1"), [2, 2]);
        assert_eq!(of("8.0.0"), [2, 2]);
        assert_eq!(of("latest"), [1, 1]);
    }

    #[test]
    fn in_pieces_of_any_size_a_script_has_the_statements_that_it_has_as_a_whole() {
        let script = "begin; create table t (a text);\n\n-- why;\ninsert into t values ('a;\n'), ('b');\r\ncommit;\n\
            create function f() returns int language sql as $$ select 1;\n select 2;\n$$;\ncreate index concurrently i on t (a);\n\
            /* ; */ update t set a = 'x;\n' where a = $q$;\n$q$;\n;\n;\nselect 1";
        let shown = |size: usize| {
            let parsed = parse_here(pieces::of_size(script, size), |sql| sql.to_string()).unwrap();
            let one = |one: Parsed<String>| format!("{} {:?} {:?} {}", one.line, one.end, one.nature, one.said);
            parsed.into_iter().map(one).collect::<Vec<_>>()
        };
        let whole = shown(usize::MAX);
        assert_eq!(whole.len(), 8, "{whole:#?}");
        (0..script.len()).for_each(|size| assert_eq!(shown(size), whole, "of {size} bytes"));
    }

    #[test]
    fn a_statement_with_semicolons_of_its_own_may_lie_in_two_pieces() {
        let script =
            "select 1;\ncreate table t (a text);\nif true then\n  select 2;\n  select 3;\nend if;\nselect 4;\n";
        let shown = |size: usize| {
            let parsed = parse_here(pieces::of_size(script, size), |sql| sql.to_string())?;
            Ok::<_, ParserError>(parsed.into_iter().map(|one| format!("{} {}", one.line, one.said)).collect::<Vec<_>>())
        };
        let whole = shown(usize::MAX).unwrap();
        assert_eq!(whole.len(), 4, "{whole:#?}");
        // Of 30 bytes it needs two more lines, which are within what is tried.
        for size in [10, 20, 30, 40, 60] {
            assert_eq!(shown(size).unwrap(), whole, "of {size} bytes");
        }
        // A statement that the parser does not know ends it, wherever the cut is, and says its line.
        let wrong = script.replace("select 4;", "do $$ begin; end $$;\nselect 4;");
        for size in [20, 40, usize::MAX] {
            let error = parse_here(pieces::of_size(&wrong, size), |_| ()).err().unwrap().to_string();
            assert!(error.contains("found: do at Line: 7"), "of {size} bytes: {error}");
        }
    }

    #[test]
    fn a_long_script_is_taken_apart_as_a_short_one_and_its_errors_have_their_lines() {
        let row = "insert into t values ('a;\n', 1);\n";
        let script = row.repeat((3 << 19) / row.len());
        let split = split(&script, Version::NEWEST);
        assert_eq!(split.statements.len(), script.len() / row.len());
        let last = split.statements.last().unwrap();
        assert_eq!(
            (last.text.trim_start(), last.line, last.nature.moves_rows),
            (row, split.statements.len() * 2 - 1, true)
        );
        let wrong = script.clone() + "this is nothing;\n";
        let because = super::split(&wrong, Version::NEWEST).whole_because.unwrap();
        assert!(because.contains(&format!("Line: {}", split.statements.len() * 2 + 1)), "{because}");
    }
}
