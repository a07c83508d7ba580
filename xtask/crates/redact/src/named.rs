//! `name=value` as programs print it: the value of a name that says "secret".

use memchr::memchr_iter;

use super::shapes::{Bytes, URL_SAFE, not, run};
use super::work;

/// How far a quote may be from the one that closes it; a longer value ends at white space.
const QUOTED: usize = 4096;

/// The value after the name at the beginning of `text`.
pub fn value(text: &[u8]) -> Option<&[u8]> {
    let rest = strip_one(text, b"\"'");
    let rest = rest.get(key_len(rest)..).filter(|after| after.len() < rest.len())?;
    let after_name = strip_one(strip_one(strip_all(rest, b"\\"), b"\"'`"), b"]").trim_ascii_start();
    let operator = ["=>", ":=", "=", ":"].into_iter().find(|operator| after_name.starts_with(operator.as_bytes()))?;
    let value = after_name[operator.len()..].trim_ascii_start();
    let wrapped = ["Some(", "Secret("].iter().find_map(|wrapper| value.strip_prefix(wrapper.as_bytes()));
    let unescaped = strip_all(wrapped.unwrap_or(value).trim_ascii_start(), b"\\");
    let escapes = wrapped.unwrap_or(value).trim_ascii_start().len() - unescaped.len();
    match unescaped.first() {
        Some(quote @ (b'"' | b'\'' | b'`')) => quoted(&unescaped[1..], *quote, escapes),
        _ => plain(value, operator),
    }
}

/// The letters, digits, hyphens and underscores at the beginning.
pub fn key_len(text: &[u8]) -> usize {
    run(text, &URL_SAFE).len()
}

const AFTER_EQUALS: Bytes = not(b" \t\n\x0c\r\"'`&;");
const AFTER_COLON: Bytes = not(b" \t\n\x0c\r\"'`&;,(){}[]<>");

/// What is not in quotes ends where a list, a sentence or a query goes on.
fn plain<'a>(value: &'a [u8], operator: &str) -> Option<&'a [u8]> {
    let (not_first, bytes): (&[u8], _) = match operator {
        "=" => (b"=>", &AFTER_EQUALS),
        ":" => (b"=:\\", &AFTER_COLON),
        _ => return None,
    };
    // Asked first: what follows may be long, and be read from each of many names.
    value.first().filter(|first| !not_first.contains(first))?;
    Some(run(value, bytes)).filter(|value| !value.is_empty())
}

/// Up to the quote that has as many backslashes before it as the opening one had. Quotes deeper inside have more.
fn quoted(text: &[u8], quote: u8, escapes: usize) -> Option<&[u8]> {
    let reach = &text[..text.len().min(QUOTED)];
    let mut quotes = memchr_iter(quote, reach).peekable();
    while let Some(at) = quotes.next() {
        let backslashes = reach[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        work::read(backslashes);
        let is_doubled = quote == b'\'' && quotes.next_if_eq(&(at + 1)).is_some();
        if !is_doubled && backslashes % (2 * escapes + 2) == escapes {
            return Some(&reach[..at - escapes]).filter(|value| !value.is_empty());
        }
    }
    work::read(reach.len());
    let word = text.iter().take_while(|byte| !byte.is_ascii_whitespace() && !b"\"'`".contains(byte)).count();
    Some(&text[..word]).filter(|value| !value.is_empty())
}

pub fn strip_one<'a>(text: &'a [u8], any_of: &[u8]) -> &'a [u8] {
    text.split_first().filter(|(first, _)| any_of.contains(first)).map_or(text, |(_, rest)| rest)
}

pub fn strip_all<'a>(text: &'a [u8], any_of: &[u8]) -> &'a [u8] {
    &text[text.iter().take_while(|byte| any_of.contains(byte)).count()..]
}
