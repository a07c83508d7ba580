//! The tokens of a script, a part of it at a time: those of a script take fifty times its size in memory, and a data migration may have
//! a hundred megabytes.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

/// A script of no more is one piece.
const PIECE: usize = 1 << 17;

pub type Tokens = Result<Vec<TokenWithSpan>, TokenizerError>;

/// Pieces that end behind a semicolon at a line's end, with the lines of the whole script. Where the tokenizer finds a piece complete and a
/// semicolon last in it, no string, comment or body is open there: what follows reads the same with it or without it.
#[derive(Clone)]
pub struct Pieces<'a> {
    rest: &'a str,
    lines: u64,
    size: usize,
}

pub fn pieces(script: &str) -> Pieces<'_> {
    of_size(script, PIECE)
}

/// Of at least so many bytes, but for the last.
pub fn of_size(script: &str, size: usize) -> Pieces<'_> {
    Pieces { rest: script, lines: 0, size }
}

impl Pieces<'_> {
    /// The same from here on, in so many times as long ones; None where the next one is the last.
    pub fn longer(&self, times: usize) -> Option<Self> {
        (self.rest.len() > self.size).then(|| Pieces { size: self.size.saturating_mul(times), ..self.clone() })
    }

    /// From here on in those of `other`'s size.
    pub fn like(self, other: &Self) -> Self {
        Pieces { size: other.size, ..self }
    }

    fn take(&mut self, length: usize, mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
        for token in &mut tokens {
            token.span.start.line += self.lines;
            token.span.end.line += self.lines;
        }
        let (taken, rest) = self.rest.split_at(length);
        self.lines += taken.bytes().filter(|&byte| byte == b'\n').count() as u64;
        self.rest = rest;
        tokens
    }
}

impl Iterator for Pieces<'_> {
    type Item = Tokens;

    fn next(&mut self) -> Option<Tokens> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut at_least, mut more) = (self.size, 1);
        while let Some(end) = line_end(self.rest, at_least) {
            if let Ok(tokens) = tokens(&self.rest[..end])
                && ends_with_semicolon(&tokens)
            {
                return Some(Ok(self.take(end, tokens)));
            }
            // So that a long body is not read once for each of its lines.
            (at_least, more) = (end.saturating_add(more), more * 2);
        }
        Some(match tokens(self.rest) {
            Ok(tokens) => Ok(self.take(self.rest.len(), tokens)),
            Err(mut error) => {
                error.location.line += self.lines;
                self.rest = "";
                Err(error)
            }
        })
    }
}

fn tokens(script: &str) -> Tokens {
    Tokenizer::new(&PostgreSqlDialect {}, script).tokenize_with_location()
}

/// Behind the first line from `at_least` on that ends with a semicolon.
fn line_end(script: &str, at_least: usize) -> Option<usize> {
    let mut from = script.len().min(at_least);
    while !script.is_char_boundary(from) {
        from += 1;
    }
    let ends = script[from..].match_indices('\n').map(|(at, _)| from + at);
    let semicolon = |end: &usize| script[..*end].trim_end_matches('\r').ends_with(';');
    ends.map(|end| end + 1).find(|end| semicolon(&(end - 1)))
}

fn ends_with_semicolon(tokens: &[TokenWithSpan]) -> bool {
    let mut said = tokens.iter().rev().map(|token| &token.token);
    said.find(|token| !matches!(token, Token::Whitespace(_) | Token::EOF)) == Some(&Token::SemiColon)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARD: &str = "-- a comment;\nselect 1;\r\n/* not;\n here */ insert into t values ('a;\nb;\n'), (E'\\';\n', $$;\n$$);\n\n\
        create function f() returns int language plpgsql as $body$ begin\n  perform 1;\n  return 2;\nend $body$;\n\
        select \"a;\n\" from t; select 'é;\n' -- end;\n;\nselect 3";

    #[test]
    fn in_pieces_of_any_size_the_tokens_and_their_places_are_those_of_the_whole() {
        let all = tokens(HARD).unwrap();
        for size in 0..HARD.len() {
            let pieces: Vec<TokenWithSpan> = of_size(HARD, size).flat_map(Result::unwrap).collect();
            assert_eq!(pieces, all, "of {size} bytes");
        }
        assert!(of_size(HARD, 0).count() > 1, "there are several");
    }

    #[test]
    fn an_error_has_its_place_in_the_whole() {
        let script = "select 1;\nselect 2;\nselect 'open";
        let expected = tokens(script).unwrap_err();
        let pieces: Vec<Tokens> = of_size(script, 0).collect();
        assert_eq!((pieces.len(), pieces.last().unwrap().as_ref().unwrap_err()), (3, &expected));
        assert_eq!(expected.location.line, 3);
    }
}
