//! How Prisma sends a migration's script to Postgres: as one request, or statement by statement.
//!
//! Up to 7.3 the file is one simple query, which Postgres runs as one transaction. From 7.4 on (prisma-engines#5767; in
//! shadow databases from 7.8 on, #5799) the native engine reads the file with the crate `sqlparser` and sends each
//! statement by itself, each a transaction of its own; where the crate does not understand any one statement, the file
//! goes as one, as before. The same crate in the same version and dialect gives the same answer here. All of 7.4 to 7.10
//! have 0.61.0 in them: the engine's WebAssembly package names it.

use std::thread;

use sqlparser::ast::{ObjectType, SetExpr, Statement as Sql};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token};

use crate::pieces::{self, Piece, Pieces, Stopped, if_understood};
use crate::text::{Buffer, Text, Unreadable};

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

/// A script as it is sent. Each statement is one request; put together they are the file, byte for byte.
#[derive(Debug)]
pub struct Script {
    text: Text,
    cuts: Vec<Cut>,
    /// What the parser did not understand; None where it was not asked, or understood all.
    pub whole_because: Option<String>,
}

/// What is kept of a statement, of which there may be a million.
#[derive(Debug)]
struct Cut {
    /// Of its text, in bytes.
    length: u32,
    /// Lines of its text before its own first one.
    before: u32,
    nature: Nature,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// With the comments before it; the last one with what follows it, too.
    pub text: String,
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
    /// The next one does the same to other rows of the same table.
    pub like_next: bool,
}

/// Takes `script` apart as `prisma` does.
///
/// # Errors
/// It cannot be read.
pub fn split(script: &Text, prisma: Version) -> Result<Script, Unreadable> {
    if !prisma.splits() {
        return whole(script, None);
    }
    let mut cutting = Cutting::default();
    match parse(script, |_| (), |statement| cutting.add(&statement)) {
        Ok(()) if cutting.cuts.is_empty() => whole(script, None),
        Ok(()) => Ok(Script { text: script.clone(), cuts: cutting.done(script), whole_because: None }),
        Err(Stopped::NotUnderstood(reason)) => whole(script, Some(reason)),
        Err(Stopped::Unreadable(error)) => Err(error),
    }
}

/// One request, or none for a file of no bytes.
fn whole(script: &Text, whole_because: Option<String>) -> Result<Script, Unreadable> {
    let cut = Cut { length: short(script.len()), before: 0, nature: Nature::default() };
    let cuts = [cut].into_iter().filter(|_| !script.is_empty()).collect();
    Ok(Script { text: script.clone(), cuts, whole_because })
}

/// No script is longer than what Node can read as one text, which is a fourth of this.
fn short(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

impl Script {
    /// How many statements there are.
    pub fn len(&self) -> usize {
        self.cuts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Of each statement.
    pub fn natures(&self) -> impl Iterator<Item = Nature> {
        self.cuts.iter().map(|cut| cut.nature)
    }

    /// In their order, each read when it is asked for.
    pub fn statements(&self) -> impl Iterator<Item = Result<Statement, Unreadable>> {
        let (mut buffer, mut starts) = (Buffer::of(&self.text), 1);
        self.cuts.iter().map(move |cut| {
            buffer.fill(cut.length as usize)?;
            let text = buffer.take(buffer.rest.len().min(cut.length as usize));
            let here = starts;
            starts += text.bytes().filter(|&byte| byte == b'\n').count();
            Ok(Statement { text, starts: here, line: here + cut.before as usize, nature: cut.nature })
        })
    }

    /// All of them at once.
    ///
    /// # Errors
    /// The script cannot be read.
    pub fn all(&self) -> Result<Vec<Statement>, Unreadable> {
        self.statements().collect()
    }
}

/// Cuts behind each semicolon but the last, so that what follows that stays with its statement.
#[derive(Default)]
struct Cutting {
    cuts: Vec<Cut>,
    /// Where the last one begins, in bytes and in lines,
    begins: End,
    /// and where its semicolon is.
    ends: End,
}

impl Cutting {
    fn add<T>(&mut self, statement: &Parsed<T>) {
        self.finish(self.ends);
        self.begins = self.ends;
        self.ends = statement.end.unwrap_or_default();
        if let Some(last) = self.cuts.last_mut() {
            last.nature.like_next = statement.like_last;
        }
        let before = short(statement.line - 1 - self.begins.lines);
        self.cuts.push(Cut { length: 0, before, nature: statement.nature });
    }

    fn finish(&mut self, end: End) {
        if let Some(last) = self.cuts.last_mut() {
            last.length = short(end.bytes - self.begins.bytes);
        }
    }

    fn done(mut self, script: &Text) -> Vec<Cut> {
        let bytes = usize::try_from(script.len()).unwrap_or(usize::MAX);
        self.finish(End { bytes, lines: 0 });
        self.cuts
    }
}

/// What comes before a place in a script.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    bytes: usize,
    lines: usize,
}

/// What the parser says of one statement.
struct Parsed<T> {
    line: usize,
    /// Behind its semicolon; None where the file ends without one.
    end: Option<End>,
    nature: Nature,
    /// It does to other rows what the one before it did.
    like_last: bool,
    said: T,
}

/// Tells `each` what `look` says of each statement, which is not kept.
///
/// # Errors
/// What the parser does not understand: then `each` was told of the statements before it.
pub(crate) fn parsed<T: Send>(
    script: &Text,
    look: impl Fn(Sql) -> T + Send,
    mut each: impl FnMut(T) + Send,
) -> Result<(), Stopped> {
    parse(script, look, |statement| each(statement.said))
}

/// Tells `each` every statement by itself, or its text where the parser does not understand that; false where the script cannot be taken apart
/// to its end.
///
/// # Errors
/// The script cannot be read.
pub(crate) fn each_alone(script: &Text, each: impl FnMut(Result<Sql, String>) + Send) -> Result<bool, Unreadable> {
    thread::scope(|scope| {
        let here = || each_alone_here(script, each);
        let Ok(parser) = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, here) else { return Ok(false) };
        parser.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn each_alone_here(script: &Text, mut each: impl FnMut(Result<Sql, String>)) -> Result<bool, Unreadable> {
    for piece in pieces::pieces(script) {
        let Some(Piece { tokens, .. }) = if_understood(piece)? else { return Ok(false) };
        for statement in tokens.split(|token| token.token == Token::SemiColon) {
            if statement.iter().all(|token| matches!(token.token, Token::Whitespace(_) | Token::EOF)) {
                continue;
            }
            let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(statement.to_vec());
            match parser.parse_statement() {
                Ok(parsed) if parser.peek_token().token == Token::EOF => each(Ok(parsed)),
                _ => each(Err(statement.iter().map(|token| token.token.to_string()).collect())),
            }
        }
    }
    Ok(true)
}

fn parse<T: Send>(
    script: &Text,
    look: impl Fn(Sql) -> T + Send,
    each: impl FnMut(Parsed<T>) + Send,
) -> Result<(), Stopped> {
    thread::scope(|scope| {
        let here = || parse_here(pieces::pieces(script), look, each);
        let parser = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, here);
        let parser = parser.map_err(|error| Stopped::NotUnderstood(format!("no thread to parse it in: {error}")))?;
        parser.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A statement that has semicolons of its own may lie in two pieces: what the parser refuses it gets again with more behind it, so many times as
/// much. It ends somewhere, since the tokens of all of a long script would be more than the memory there is; and soon, where the end of the
/// piece is not what the parser complains of.
const MORE: [usize; 2] = [4, 16];

fn parse_here<T>(
    mut script: Pieces<'_>,
    look: impl Fn(Sql) -> T,
    mut each: impl FnMut(Parsed<T>),
) -> Result<(), Stopped> {
    let mut before = Before::default();
    while let Some(mut piece) = script.next().transpose()? {
        let mut parsed = parse_piece(&mut piece, &before, &look);
        for times in MORE {
            match &parsed {
                Err(error) if times == MORE[0] || error.to_string().contains("EOF") => {}
                _ => break,
            }
            let Some(longer) = script.longer(&piece, times)? else { break };
            piece = longer;
            parsed = parse_piece(&mut piece, &before, &look);
        }
        let (parsed, last) = parsed.map_err(|error| Stopped::NotUnderstood(in_words(&error)))?;
        before = Before { bytes: before.bytes + piece.text.len(), ..last };
        parsed.into_iter().for_each(&mut each);
    }
    Ok(())
}

fn in_words(error: &ParserError) -> String {
    let text = error.to_string();
    text.strip_prefix("sql parser error: ").unwrap_or(&text).to_owned()
}

/// What came before a statement.
#[derive(Clone, Default)]
struct Before {
    /// Of the script, before the piece that it is in.
    bytes: usize,
    in_block: bool,
    /// The last statement's; see `kind`.
    kind: Option<String>,
}

fn parse_piece<T>(
    piece: &mut Piece,
    before: &Before,
    look: impl Fn(Sql) -> T,
) -> Result<(Vec<Parsed<T>>, Before), ParserError> {
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(std::mem::take(&mut piece.tokens));
    let mut place = Place { line: piece.lines + 1, column: 1, offset: 0 };
    let (mut parsed, mut before) = (Vec::new(), before.clone());
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let first = parser.peek_token_ref();
        if first.token == Token::EOF {
            return Ok((parsed, before));
        }
        let line = usize::try_from(first.span.start.line).unwrap_or(usize::MAX);
        let statement = parser.parse_statement()?;
        let in_block = block_after(&statement, before.in_block);
        let next = parser.peek_token();
        let end = match next.token {
            Token::SemiColon => {
                place = place.forward(&piece.text, next.span.end);
                Some(End { bytes: before.bytes + place.offset, lines: place.line - 1 })
            }
            Token::EOF => None,
            _ => return parser.expected("end of statement", next),
        };
        let (outside, moves_rows) = (outside(&statement), moves_rows(&statement));
        let nature = Nature { outside, in_block, moves_rows, like_next: false };
        let kind = kind(&statement);
        let like_last = kind.is_some() && kind == before.kind;
        (before.in_block, before.kind) = (in_block, kind);
        parsed.push(Parsed { line, end, nature, like_last, said: look(statement) });
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

/// What a statement does to which columns of which table, where it does nothing else, but to other rows each time: a data migration may have
/// a million of one kind.
fn kind(statement: &Sql) -> Option<String> {
    match statement {
        Sql::Insert(insert) => {
            let is_of_values = matches!(insert.source.as_deref()?.body.as_ref(), SetExpr::Values(_));
            let columns: Vec<String> = insert.columns.iter().map(ToString::to_string).collect();
            (is_of_values && insert.on.is_none()).then(|| format!("insert {} {}", insert.table, columns.join(" ")))
        }
        Sql::Update(update) if update.from.is_none() => {
            let columns: Vec<String> = update.assignments.iter().map(|one| one.target.to_string()).collect();
            Some(format!("update {} {}", update.table, columns.join(" ")))
        }
        Sql::Delete(delete) if delete.using.is_none() => Some(format!("delete {}", delete.from)),
        _ => None,
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
        let split = split(&script.into(), Version::NEWEST).unwrap();
        let statements = split.all().unwrap();
        assert_eq!(statements.iter().map(|statement| statement.text.as_str()).collect::<String>(), script);
        let newlines =
            |number: usize| statements[..number].iter().map(|it| it.text.matches('\n').count()).sum::<usize>();
        let line = |(number, it): (usize, &Statement)| {
            assert_eq!(it.starts, newlines(number) + 1);
            let Nature { outside, in_block, moves_rows, like_next } = it.nature;
            let marks =
                [(outside, " outside"), (in_block, " in block"), (moves_rows, " rows"), (like_next, " like next")];
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
    fn statements_of_one_kind_behind_each_other_are_told() {
        let script = "insert into t (a) values (1);\ninsert into t (a) values (f(2)), (3);\ninsert into t (b) values (1);\n\
                      insert into t (b) values (2) on conflict do nothing;\ninsert into t (b) select 1;\ninsert into t (b) select 2;\n\
                      update t set a = 1 where b = 2;\nupdate t set a = b where b = 3;\nupdate u set a = b where b = 3;\n\
                      delete from u where a = 1;\ndelete from u where b = 2;\ndelete from u using t where t.a = u.a;\nselect 1;select 2";
        insta::assert_snapshot!(shown(script), @r#"
        1 rows like next: "insert into t (a) values (1);"
        2 rows: "\ninsert into t (a) values (f(2)), (3);"
        3 rows: "\ninsert into t (b) values (1);"
        4 rows: "\ninsert into t (b) values (2) on conflict do nothing;"
        5 rows: "\ninsert into t (b) select 1;"
        6 rows: "\ninsert into t (b) select 2;"
        7 rows like next: "\nupdate t set a = 1 where b = 2;"
        8 rows: "\nupdate t set a = b where b = 3;"
        9 rows: "\nupdate u set a = b where b = 3;"
        10 rows like next: "\ndelete from u where a = 1;"
        11 rows: "\ndelete from u where b = 2;"
        12 rows: "\ndelete from u using t where t.a = u.a;"
        13 rows: "\nselect 1;"
        13 rows: "select 2"
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
        let split = split(&deep.into(), Version::NEWEST).unwrap();
        assert_eq!(split.whole_because.as_deref(), Some("recursion limit exceeded"));
    }

    #[test]
    fn what_holds_no_statement_is_sent_as_it_is() {
        insta::assert_snapshot!(shown("-- nothing;\n ; \n"), @r#"
        1: "-- nothing;\n ; \n"
        "#);
        assert!(split(&"".into(), Version::NEWEST).unwrap().is_empty());
    }

    #[test]
    fn the_release_decides() {
        let two = "select 1; select 2";
        let sent = |version: Version| split(&two.into(), version).unwrap().len();
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
            let mut found = Vec::new();
            let one = |one: Parsed<String>| {
                found.push(format!("{} {:?} {:?} {} {}", one.line, one.end, one.nature, one.like_last, one.said));
            };
            parse_here(pieces::of_size(&script.into(), size), |sql| sql.to_string(), one).unwrap();
            found
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
            let mut found = Vec::new();
            let one = |one: Parsed<String>| found.push(format!("{} {}", one.line, one.said));
            parse_here(pieces::of_size(&script.into(), size), |sql| sql.to_string(), one).map(|()| found)
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
            let stopped = parse_here(pieces::of_size(&wrong.as_str().into(), size), |_| (), |_| ());
            let Err(Stopped::NotUnderstood(error)) = stopped else { panic!("of {size} bytes it is understood") };
            assert!(error.contains("found: do at Line: 7"), "of {size} bytes: {error}");
        }
    }

    #[test]
    fn a_long_script_is_taken_apart_as_a_short_one_and_its_errors_have_their_lines() {
        let row = "insert into t values ('a;\n', 1);\n";
        let script = row.repeat((3 << 19) / row.len());
        let count = script.len() / row.len();
        let statements = split(&script.as_str().into(), Version::NEWEST).unwrap().all().unwrap();
        assert_eq!(statements.len(), count);
        let last = statements.last().unwrap();
        assert_eq!((last.text.trim_start(), last.line, last.nature.moves_rows), (row, count * 2 - 1, true));
        let wrong = script + "this is nothing;\n";
        let because = split(&wrong.into(), Version::NEWEST).unwrap().whole_because.unwrap();
        assert!(because.contains(&format!("Line: {}", count * 2 + 1)), "{because}");
    }
}
