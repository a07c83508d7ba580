//! The comments of a script that have a line of their own, and what they stand above.

use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::pieces::pieces;

#[derive(Debug, PartialEq, Eq)]
pub struct Comment {
    pub line: usize,
    /// Without the dashes.
    pub text: String,
    /// The line of what comes next; None where nothing does, and where the comment follows something on its line.
    pub above: Option<usize>,
}

/// The comments that begin with `--`, and the line on which something else is first.
///
/// # Errors
/// What the tokenizer does not understand.
pub fn comments(script: &str) -> Result<(Vec<Comment>, usize), String> {
    let mut found: Vec<Comment> = Vec::new();
    let (mut first, mut last, mut waiting) = (None, 0, 0);
    for tokens in pieces(script) {
        for token in &tokens.map_err(|error| error.to_string())? {
            if let Some(text) = comment(token) {
                found.push(Comment { line: line(token), text: text.trim().to_owned(), above: None });
            }
            if matches!(token.token, Token::Whitespace(_) | Token::EOF) {
                continue;
            }
            for comment in found[waiting..].iter_mut().filter(|comment| comment.line != last) {
                comment.above = Some(line(token));
            }
            first = first.or(Some(line(token)));
            waiting = found.len();
            last = usize::try_from(token.span.end.line).unwrap_or(usize::MAX);
        }
    }
    Ok((found, first.unwrap_or(1)))
}

fn comment(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => Some(comment),
        _ => None,
    }
}

fn line(token: &TokenWithSpan) -> usize {
    usize::try_from(token.span.start.line).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_stands_above_what_comes_next_unless_something_is_before_it_on_its_line() {
        let script = "-- one\n\n  -- two\nselect '\n-- no comment\n', $$\n-- nor this\n$$; -- three\n/* -- four */ -- five\n\nselect 1;\n-- six\n";
        let (found, first) = comments(script).unwrap();
        let shown = |one: &Comment| format!("{} {} {:?}", one.line, one.text, one.above);
        insta::assert_snapshot!(found.iter().map(shown).collect::<Vec<_>>().join("\n"), @"
        1 one Some(4)
        3 two Some(4)
        8 three None
        9 five Some(11)
        12 six None
        ");
        assert_eq!(first, 4);
        assert_eq!(comments("-- alone").unwrap().1, 1);
        assert!(comments("select 'open").is_err());
    }
}
