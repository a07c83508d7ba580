//! The comments of a script that have a line of their own, and what they stand above.

use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::pieces::{Stopped, if_understood, pieces};
use crate::text::{Text, Unreadable};

#[derive(Debug, PartialEq, Eq)]
pub struct Comment {
    pub line: usize,
    /// Without the dashes.
    pub text: String,
    /// The line of what comes next; None where nothing does, and where the comment follows something on its line.
    pub above: Option<usize>,
}

/// The comments that begin with `--` and are wanted, and the line on which something else is first. None where the tokenizer does not
/// understand the script.
///
/// # Errors
/// The script cannot be read.
pub fn comments(script: &Text, wanted: impl Fn(&str) -> bool) -> Result<Option<(Vec<Comment>, usize)>, Unreadable> {
    if_understood(found(script, wanted))
}

fn found(script: &Text, wanted: impl Fn(&str) -> bool) -> Result<(Vec<Comment>, usize), Stopped> {
    let mut found: Vec<Comment> = Vec::new();
    let (mut first, mut last, mut waiting) = (None, 0, 0);
    for piece in pieces(script) {
        for token in &piece?.tokens {
            if let Some(text) = comment(token).filter(|text| wanted(text)) {
                found.push(Comment { line: line(token), text: text.to_owned(), above: None });
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
        Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => Some(comment.trim()),
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
        let all = |script: &str| comments(&script.into(), |_| true).unwrap();
        let (found, first) = all(script).unwrap();
        let shown = |one: &Comment| format!("{} {} {:?}", one.line, one.text, one.above);
        insta::assert_snapshot!(found.iter().map(shown).collect::<Vec<_>>().join("\n"), @"
        1 one Some(4)
        3 two Some(4)
        8 three None
        9 five Some(11)
        12 six None
        ");
        assert_eq!(first, 4);
        assert_eq!(all("-- alone").unwrap().1, 1);
        assert_eq!(all("select 'open"), None);
        let some = comments(&script.into(), |text| text.starts_with('t')).unwrap().unwrap().0;
        assert_eq!(some.iter().map(|one| one.above).collect::<Vec<_>>(), [Some(4), None]);
    }
}
