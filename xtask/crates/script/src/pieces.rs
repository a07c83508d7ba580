//! The tokens of a script, a part of it at a time: those of a script take fifty times its size in memory, and a data migration may have
//! a hundred megabytes.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

use crate::text::{Buffer, Text, Unreadable};

/// A script of no more is one piece.
const PIECE: usize = 1 << 16;

/// Why a script was not gone through to its end.
#[derive(Debug)]
pub enum Stopped {
    Unreadable(Unreadable),
    NotUnderstood(String),
}

impl From<Unreadable> for Stopped {
    fn from(error: Unreadable) -> Stopped {
        Stopped::Unreadable(error)
    }
}

impl From<TokenizerError> for Stopped {
    fn from(error: TokenizerError) -> Stopped {
        Stopped::NotUnderstood(error.to_string())
    }
}

/// What `work` says, or None where the script is not understood.
///
/// # Errors
/// The script cannot be read.
pub fn if_understood<T>(work: Result<T, Stopped>) -> Result<Option<T>, Unreadable> {
    match work {
        Ok(said) => Ok(Some(said)),
        Err(Stopped::NotUnderstood(_)) => Ok(None),
        Err(Stopped::Unreadable(error)) => Err(error),
    }
}

/// A part of a script, and its tokens with their lines in the whole.
pub struct Piece {
    pub text: String,
    /// Lines before it.
    pub lines: usize,
    pub tokens: Vec<TokenWithSpan>,
}

/// Pieces that end on a line that ends a statement. Where the tokenizer finds a piece complete and a semicolon last in it, no string,
/// comment or body is open there: what follows reads the same with it or without it.
pub struct Pieces<'a> {
    buffer: Buffer<'a>,
    lines: usize,
    size: usize,
}

pub fn pieces(script: &Text) -> Pieces<'_> {
    of_size(script, PIECE)
}

/// Of at least so many bytes, but for the last.
pub fn of_size(script: &Text, size: usize) -> Pieces<'_> {
    Pieces { buffer: Buffer::of(script), lines: 0, size }
}

impl Pieces<'_> {
    /// `piece` again, with more behind it: so many times as long; None where it is the last one.
    pub fn longer(&mut self, piece: &Piece, times: usize) -> Result<Option<Piece>, Stopped> {
        if self.buffer.rest.is_empty() && self.buffer.is_all()? {
            return Ok(None);
        }
        self.buffer.put_back(&piece.text);
        self.lines = piece.lines;
        self.next_of(self.size.saturating_mul(times))
    }

    fn next_of(&mut self, size: usize) -> Result<Option<Piece>, Stopped> {
        let (mut at_least, mut more) = (size, 1);
        while let Some(end) = self.buffer.line_end(at_least)? {
            if let Ok(tokens) = tokens(&self.buffer.rest[..end])
                && ends_with_semicolon(&tokens)
            {
                return Ok(Some(self.take(end, tokens)));
            }
            // So that a long body is not read once for each of its lines.
            (at_least, more) = (end.saturating_add(more), more * 2);
        }
        let rest = &self.buffer.rest;
        if rest.is_empty() {
            return Ok(None);
        }
        match tokens(rest) {
            Ok(tokens) => Ok(Some(self.take(rest.len(), tokens))),
            Err(mut error) => {
                error.location.line += self.lines as u64;
                Err(error.into())
            }
        }
    }

    fn take(&mut self, length: usize, mut tokens: Vec<TokenWithSpan>) -> Piece {
        for token in &mut tokens {
            token.span.start.line += self.lines as u64;
            token.span.end.line += self.lines as u64;
        }
        let (text, lines) = (self.buffer.take(length), self.lines);
        self.lines += text.bytes().filter(|&byte| byte == b'\n').count();
        Piece { text, lines, tokens }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece, Stopped>;

    /// What is not understood is the end.
    fn next(&mut self) -> Option<Self::Item> {
        let size = self.size;
        self.next_of(size).transpose()
    }
}

fn tokens(script: &str) -> Result<Vec<TokenWithSpan>, TokenizerError> {
    Tokenizer::new(&PostgreSqlDialect {}, script).tokenize_with_location()
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
        let script = Text::from(HARD);
        for size in 0..HARD.len() {
            let found: Vec<TokenWithSpan> = of_size(&script, size).flat_map(|piece| piece.unwrap().tokens).collect();
            assert_eq!(found, all, "of {size} bytes");
        }
        assert!(of_size(&script, 0).count() > 1, "there are several");
    }

    #[test]
    fn an_error_has_its_place_in_the_whole() {
        let script = "select 1;\nselect 2;\nselect 'open";
        let expected = tokens(script).unwrap_err();
        let script = Text::from(script);
        let mut pieces = of_size(&script, 0);
        assert!(pieces.next().unwrap().is_ok() && pieces.next().unwrap().is_ok());
        let Some(Err(Stopped::NotUnderstood(why))) = pieces.next() else { panic!("it is open") };
        assert_eq!((why.as_str(), expected.location.line), (expected.to_string().as_str(), 3));
    }
}
