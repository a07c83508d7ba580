//! What a Prisma schema says about the database, read as Prisma's own parser reads it: strings, three kinds of comments and
//! blocks. Prisma's parser is a program, and the guard starts none; so whatever this one cannot read for certain, it refuses,
//! and a test holds it against Prisma's.

use crate::error::Refusal;

/// What the files of one schema say together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrismaSchema {
    /// Of the datasource block; None where no file has one.
    pub datasource: Option<Datasource>,
    /// How many models and views there are: a client of none of them is empty.
    pub models: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Datasource {
    /// The file that it is in.
    pub file: String,
    pub provider: Option<String>,
    /// What `schemas` lists: a reset drops each.
    pub schemas: Vec<String>,
    /// Every text of the block.
    pub texts: Vec<String>,
}

/// Reads all files of one schema, each with its name.
///
/// # Errors
/// A refusal that names the file and the line which Prisma, too, could not read, or might read otherwise.
pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<PrismaSchema, Refusal> {
    let mut schema = PrismaSchema::default();
    for (name, bytes) in files {
        let unread = |(line, why): Unread| unreadable(name, line, why);
        let text = std::str::from_utf8(bytes).map_err(|_| unread((1, "it is not UTF-8")))?;
        let mut blocks = Tokens { rest: text, line: 1 };
        while let Some(block) = blocks.block().map_err(unread)? {
            match block.keyword {
                "model" | "view" => schema.models += 1,
                "datasource" if schema.datasource.is_some() => {
                    return Err(unread((block.line, "there is a second datasource")));
                }
                "datasource" => {
                    let datasource = Datasource { file: name.to_owned(), ..Datasource::default() };
                    schema.datasource = Some(datasource.filled(&block).map_err(unread)?);
                }
                _ => {}
            }
        }
    }
    Ok(schema)
}

fn unreadable(name: &str, line: usize, why: &str) -> Refusal {
    Refusal::new(
        "prisma-schema",
        format!("`{name}` cannot be read for certain at line {line}: {why}"),
        format!("correct `{name}`; `npx prisma validate` and `npx prisma format` say what Prisma makes of it"),
    )
}

/// The line, and what is wrong with it.
type Unread = (usize, &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// As written between the quotes.
    Text(&'a str),
    Word(&'a str),
    Mark(char),
}

/// `keyword name { body }`
struct Block<'a> {
    line: usize,
    keyword: &'a str,
    body: Vec<(usize, Token<'a>)>,
}

struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

/// Prisma ends a line at each of these, and at nothing else that Unicode knows.
const LINE_ENDS: [char; 2] = ['\n', '\r'];

impl<'a> Tokens<'a> {
    fn block(&mut self) -> Result<Option<Block<'a>>, Unread> {
        let Some(first) = self.next()? else { return Ok(None) };
        let line = self.line;
        let (name, open) = (self.next()?, self.next()?);
        let (Token::Word(keyword), Some(Token::Word(_)), Some(Token::Mark('{'))) = (first, name, open) else {
            return Err((line, "a block begins with its kind, its name and `{`"));
        };
        if !["datasource", "generator", "model", "view", "enum", "type"].contains(&keyword) {
            return Err((line, "Prisma knows no block of this kind"));
        }
        let (mut body, mut depth) = (Vec::new(), 1);
        while depth > 0 {
            let token = self.next()?.ok_or((line, "this block does not end"))?;
            match token {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                _ => {}
            }
            body.push((self.line, token));
        }
        body.pop();
        Ok(Some(Block { line, keyword, body }))
    }

    /// The next token that is neither blank nor comment.
    fn next(&mut self) -> Result<Option<Token<'a>>, Unread> {
        self.skip_blanks()?;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let length = match first {
            '"' => return self.text().map(Some),
            _ if in_word(first) => self.rest.find(|c| !in_word(c)).unwrap_or(self.rest.len()),
            _ => return self.take(first.len_utf8()).map(|_| Some(Token::Mark(first))),
        };
        self.take(length).map(|word| Some(Token::Word(word)))
    }

    fn skip_blanks(&mut self) -> Result<(), Unread> {
        loop {
            let length = if self.rest.starts_with("//") {
                self.rest.find(LINE_ENDS).unwrap_or(self.rest.len())
            } else if self.rest.starts_with("/*") {
                2 + self.rest[2..].find("*/").ok_or((self.line, "this comment does not end"))? + 2
            } else {
                self.rest.find(|c: char| !(c == ' ' || c == '\t' || LINE_ENDS.contains(&c))).unwrap_or(self.rest.len())
            };
            if length == 0 {
                return Ok(());
            }
            self.take(length)?;
        }
    }

    fn text(&mut self) -> Result<Token<'a>, Unread> {
        let mut escaped = false;
        let end = self.rest[1..].find(|c: char| {
            let ends = !escaped && (c == '"' || LINE_ENDS.contains(&c));
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.map(|end| end + 1).filter(|end| self.rest[*end..].starts_with('"'));
        let text = self.take(end.ok_or((self.line, "this text does not end on its line"))? + 1)?;
        Ok(Token::Text(&text[1..text.len() - 1]))
    }

    fn take(&mut self, length: usize) -> Result<&'a str, Unread> {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        Ok(taken)
    }
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-' || c == '.'
}

impl Datasource {
    /// The block is nothing but `key = value`, each key once.
    fn filled(mut self, block: &Block<'_>) -> Result<Datasource, Unread> {
        let mut keys = Vec::new();
        let mut rest = block.body.as_slice();
        while let [(line, first), tail @ ..] = rest {
            let (Token::Word(key), [(_, Token::Mark('=')), tail @ ..]) = (first, tail) else {
                return Err((*line, "a datasource holds nothing but `key = value`"));
            };
            if keys.contains(key) {
                return Err((*line, "this key is there a second time"));
            }
            keys.push(*key);
            let (value, after) =
                tail.split_at(value_length(tail).ok_or((*line, "this value is none that Prisma knows"))?);
            self.keep(key, value).map_err(|why| (*line, why))?;
            rest = after;
        }
        Ok(self)
    }

    fn keep(&mut self, key: &str, value: &[(usize, Token<'_>)]) -> Result<(), &'static str> {
        self.texts.extend(value.iter().filter_map(|(_, token)| match token {
            Token::Text(text) => Some((*text).to_owned()),
            _ => None,
        }));
        match key {
            "provider" => self.provider = plain_texts(value).and_then(|texts| texts.into_iter().next()),
            "schemas" => self.schemas = plain_texts(value).ok_or("`schemas` is a list of names in double quotes")?,
            _ => {}
        }
        Ok(())
    }
}

/// How many tokens the value has that `tokens` begins with: one, a call, or a list of values.
fn value_length(tokens: &[(usize, Token<'_>)]) -> Option<usize> {
    let mark = |at: usize| tokens.get(at).map(|(_, token)| *token);
    let close = match (mark(0)?, mark(1)) {
        (Token::Mark('['), _) => ']',
        (Token::Word(_), Some(Token::Mark('('))) => ')',
        (Token::Text(_) | Token::Word(_), _) => return Some(1),
        (Token::Mark(_), _) => return None,
    };
    let mut open = Vec::new();
    for (at, (_, token)) in tokens.iter().enumerate() {
        match token {
            Token::Mark('[') => open.push(']'),
            Token::Mark('(') => open.push(')'),
            Token::Mark(mark @ (']' | ')')) if open.pop() != Some(*mark) => return None,
            Token::Mark(mark) if *mark == close && open.is_empty() => return Some(at + 1),
            Token::Mark(']' | ')' | ',' | ':') | Token::Text(_) | Token::Word(_) => {}
            Token::Mark(_) => return None,
        }
    }
    None
}

/// The texts of `"a"` and of `["a", "b"]`; None for anything else, and where a text has an escape in it.
fn plain_texts(value: &[(usize, Token<'_>)]) -> Option<Vec<String>> {
    let tokens: Vec<Token<'_>> = value.iter().map(|(_, token)| *token).collect();
    let listed = match tokens.as_slice() {
        [Token::Mark('['), listed @ .., Token::Mark(']')] => listed,
        [only @ Token::Text(_)] => std::slice::from_ref(only),
        _ => return None,
    };
    let texts = listed.split(|token| *token == Token::Mark(',')).map(|entry| match entry {
        [Token::Text(text)] if !text.contains('\\') => Some((*text).to_owned()),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::Value;

    use super::*;

    fn read_one(text: &str) -> Result<PrismaSchema, Refusal> {
        read([("main.prisma", text.as_bytes())])
    }

    /// A datasource with these lines in it, and what follows.
    fn with(lines: &str, rest: &str) -> String {
        format!("datasource db {{\n  provider = \"postgresql\"\n{lines}\n}}\n{rest}")
    }

    /// Ways to write, and to hide, a list of schemas.
    fn spellings() -> Vec<String> {
        let in_datasource = [
            "schemas=[\"public\", \"audit\"]",
            "/* schemas = [\"x\"] */ schemas = [\"a\"]",
            "/* schemas = [\n\"x\"] */\n schemas = [\n  \"a\",\n  \"b\"\n  ]",
            "/* /* */ schemas=[\"a\"]",
            "// /*\n schemas=[\"a\"]\n// */",
            "///*\n schemas=[\"a\"]",
            "/*/ schemas=[\"a\"] /*/",
            "// x\r schemas=[\"a\"]",
            "schemas=[\"a\"] // x\r",
            "// x\u{2028} schemas=[\"a\"]",
            "// x\u{b} schemas=[\"a\"]",
            "// x\u{85} schemas=[\"a\"]",
            "\u{a0}schemas=[\"a\"]",
            "schemas=\"a\"",
            "schemas=[a]",
            "schemas=[env(\"A\")]",
            "schemas=[]",
            "schemas",
            "schemas=",
            "schemas=['a']",
            "\"schemas\"=[\"a\"]",
            "schemas=[\"a\nb\"]",
            "schemas=[\"\\u0061\"]",
            "schemas=[\"a\\\"\", \"b\"]",
            "schemas=[\"a\"]\nschemas=[\"b\"]",
            "relationMode = \"foreignKeys\"\nschemas=[\"a //\", \"/* b\"]",
            "/* x",
            "/ schemas=[\"a\"]",
            "} schemas=[\"a\"]",
        ];
        let behind = [
            "model A {\n id Int @id // }\n /* } */ b String @default(\"}\\\"\") /// }\n @@schema(\"a\")\n}\n",
            "model A {\n id Int @id\n b String @default(\"datasource x { schemas=[] }\")\n @@schema(\"a\")\n}\n",
            "model A {\n id Int @id\n}\n}\n",
            "enum A {\n A @map(\"}\")\n B\n @@schema(\"a\")\n}\n// x",
            "/* datasource x {\n schemas = [\"x\"]\n} */",
            "generator one {\n provider = \"x\"\n}\ngenerator two {\n provider = \"y\"\n previewFeatures = [\"views\"]\n}\n",
            "datasource other {\n provider = \"postgresql\"\n schemas = [\"x\"]\n}\n",
            "\u{feff}model A {\n id Int @id\n}\n",
            "nonsense A {\n}\n",
        ];
        let in_datasource = in_datasource.into_iter().map(|lines| with(lines, ""));
        in_datasource.chain(behind.into_iter().map(|rest| with("schemas = [\"a\"]", rest))).collect()
    }

    /// What Prisma's own parser says: the schemas of each text, null where it does not accept the text.
    #[allow(clippy::disallowed_methods, reason = "the other parser is a program")]
    fn of_prisma(texts: &[String]) -> Vec<Option<Vec<String>>> {
        const PROGRAM: &str = "
            const prisma = require('@prisma/prisma-schema-wasm');
            const read = (text) => {
              const prismaSchema = [['main.prisma', text]];
              try {
                prisma.validate(JSON.stringify({ prismaSchema, noColor: true }));
                return JSON.parse(prisma.get_config(JSON.stringify({ prismaSchema, env: {} }))).config.datasources[0].schemas;
              } catch { return null }
            };
            console.log(JSON.stringify(JSON.parse(process.argv[1]).map(read)));";
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let texts = serde_json::to_string(texts).unwrap();
        let output = Command::new("node").args(["-e", PROGRAM, &texts]).current_dir(root).output().unwrap();
        let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        answers.into_iter().map(|answer| serde_json::from_value(answer).unwrap()).collect()
    }

    /// Proves that the two never read one text in two ways: where both read it, they read the same, and what Prisma does not
    /// accept cannot do harm.
    #[test]
    fn what_is_read_is_what_prisma_reads() {
        let texts = spellings();
        let mut read_by_both = 0;
        for (text, theirs) in texts.iter().zip(of_prisma(&texts)) {
            let (Ok(ours), Some(mut theirs)) = (read_one(text), theirs) else { continue };
            let mut ours = ours.datasource.unwrap().schemas;
            ours.sort();
            theirs.sort();
            assert_eq!(ours, theirs, "{text}");
            read_by_both += 1;
        }
        assert_eq!(read_by_both, 18);
    }

    #[test]
    fn what_cannot_be_read_for_certain_says_where_and_why() {
        let told = |text: &str| read_one(text).unwrap_err().message;
        insta::assert_snapshot!(told(&with("schemas = [\"\\u0061\"]", "")), @"`main.prisma` cannot be read for certain at line 3: `schemas` is a list of names in double quotes");
        insta::assert_snapshot!(told(&with("/* x", "")), @"`main.prisma` cannot be read for certain at line 3: this comment does not end");
        insta::assert_snapshot!(told(&with("url = \"x", "")), @"`main.prisma` cannot be read for certain at line 3: this text does not end on its line");
        insta::assert_snapshot!(told(&with("", "datasource two {\n}\n")), @"`main.prisma` cannot be read for certain at line 5: there is a second datasource");
        insta::assert_snapshot!(told(&with("", "model A {\n id Int @id\n")), @"`main.prisma` cannot be read for certain at line 5: this block does not end");
        insta::assert_snapshot!(read([("a.prisma", &b"\xff"[..])]).unwrap_err().message, @"`a.prisma` cannot be read for certain at line 1: it is not UTF-8");
    }

    #[test]
    fn files_of_a_folder_are_one_schema() {
        let models = "model A {\n id Int @id\n @@schema(\"audit\")\n}\nview B {\n id Int\n}\n";
        let main = with(
            "url = env(\"X\")\n extensions = [citext, postgis(version: \"2\", schema: \"gis\")]\n schemas = [\"audit\"]",
            "",
        );
        let schema = read([("a/models.prisma", models.as_bytes()), ("a/main.prisma", main.as_bytes())]).unwrap();
        assert_eq!(schema.models, 2);
        let datasource = schema.datasource.unwrap();
        assert_eq!((datasource.file.as_str(), datasource.provider.as_deref()), ("a/main.prisma", Some("postgresql")));
        assert_eq!(datasource.schemas, ["audit"]);
        assert_eq!(datasource.texts, ["postgresql", "X", "2", "gis", "audit"]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(datasource|model|\\{|\\}|\"|/\\*|\\*/|//|=|\\[|\\]|\\(|\\)|,|\\\\|\n|\r| |a|é){0,30}") {
            let _ = read_one(&text);
            let _ = read_one(&with(&text, &text));
        }
    }
}
