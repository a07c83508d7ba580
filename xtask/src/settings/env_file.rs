//! The strict reading of an env file: text in, variables or refusals out.
//!
//! There is no standard for these files. The parsers of dotenvy, dotenv, Node and a shell give different values for the
//! same line (a repeated key, `pa$word`, `pa#ss`, a lone CR), so a check that trusts one of them says nothing about
//! what another program will connect to. This module accepts only lines that all of them read the same way and refuses
//! the rest by line number. What is accepted is then read by dotenvy and must come out exactly as it was checked.
//!
//! This module owns dotenvy and uses its reader only; nothing here changes our own environment. No message ever holds a
//! value, nor dotenvy's own error text, which contains the line.

use std::collections::BTreeMap;

use crate::error::Refusal;
use redact::Secret;

const CHECK: &str = "env-file";

/// The one file that may be missing: the process environment stands in for it, as in CI. Any other was named by somebody.
pub const DEFAULT: &str = ".env.staging";
/// None is longer, in bytes.
pub const LONGEST: u64 = 1 << 20;

/// Reads the bytes of an env file.
///
/// Returns the variables in file order, each name once; a value may be empty. Accepted are CRLF line ends, one UTF-8
/// byte order mark at the start, `export `, single and double quotes, and comments on a line of their own or after a
/// blank. dotenvy 0.15, dotenv 17 and Node 20 (`util.parseEnv`) read it alike; measured.
///
/// # Errors
/// Every line that two parsers could read differently, with its number and what to type instead.
pub fn parse(text: &[u8]) -> Result<Vec<(String, Secret)>, Vec<Refusal>> {
    let text = decode(text).map_err(|refusal| vec![refusal])?;
    let mut variables = Vec::new();
    let mut refusals = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        match read_line(line.strip_suffix('\r').unwrap_or(line)) {
            Ok(None) => {}
            Ok(Some((name, value))) => variables.push((index + 1, name, value)),
            Err(flaw) => refusals.push(flaw.refusal(index + 1)),
        }
    }
    refusals.extend(repeated(&variables));
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let variables: Vec<(&str, &str)> = variables.into_iter().map(|(_, name, value)| (name, value)).collect();
    read_again(text, &variables)
}

/// True for a placeholder that was meant to be replaced: `changeme`, `...`, `<password>`, `[YOUR-PASSWORD]`, `USER:PASSWORD@HOST:PORT`.
pub fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let whole = matches!(lower.as_str(), "changeme" | "change-me" | "change_me" | "..." | "todo" | "xxx");
    let brackets = lower.contains('…') || (lower.contains('<') && lower.contains('>'));
    let template = ["USER:PASSWORD@", "@HOST"].iter().any(|word| value.contains(word));
    let within = ["://...", ":...@", "@...", ":changeme@", "[your-"].iter().any(|word| lower.contains(word));
    whole || brackets || template || within
}

/// The text without its byte order mark, if it is text at all.
fn decode(bytes: &[u8]) -> Result<&str, Refusal> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(Refusal::new(CHECK, "the file is UTF-16", "save it as UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Refusal::new(CHECK, format!("line {line}: not UTF-8"), "save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

/// What is wrong with one line. It holds nothing of the line but a character or a well-formed name.
enum Flaw {
    Control(char),
    Indented,
    NotAnAssignment,
    Colon,
    SpaceAroundEquals,
    SpaceInValue,
    Special(char),
    Unbalanced,
    AfterQuote,
    QuoteInComment,
}

impl Flaw {
    fn refusal(&self, line: usize) -> Refusal {
        let (seen, fix) = match self {
            Flaw::Control('\r') => {
                ("a lone CR: some parsers see two lines here".into(), "use LF or CRLF line ends".into())
            }
            Flaw::Control('\t') => ("a tab: some parsers make it part of a name or value".into(), "use a space".into()),
            Flaw::Control('\u{FEFF}') => ("a byte order mark inside the file".into(), "retype the line".into()),
            Flaw::Control(c) => (format!("the character U+{:04X}", u32::from(*c)), "retype the line without it".into()),
            Flaw::Indented => (
                "blanks before a comment or on an empty line: Node loses the next variable".into(),
                "remove the blanks".into(),
            ),
            Flaw::NotAnAssignment => {
                ("not `NAME=value`".into(), "write `NAME=value`, or start the line with `#`".into())
            }
            Flaw::Colon => ("`NAME: value` is read by some parsers only".into(), "write `NAME=value`".into()),
            Flaw::SpaceAroundEquals => ("a space beside `=`".into(), "write `NAME=value`".into()),
            Flaw::SpaceInValue => ("a space in an unquoted value".into(), "put the value in single quotes".into()),
            Flaw::Special('\\') => (
                "`\\` in a value: parsers disagree about what it escapes".into(),
                "in a URL write `%5C`; elsewhere use a value without it".into(),
            ),
            Flaw::Special(c) => (format!("`{c}` in a value that is not in single quotes"), special_fix(*c)),
            Flaw::Unbalanced => ("the closing quote is missing".into(), "close the quote on the same line".into()),
            Flaw::AfterQuote => {
                ("text after the closing quote".into(), "put the whole value in one pair of quotes".into())
            }
            Flaw::QuoteInComment => {
                ("a quote or `\\` in a comment after a value".into(), "move the comment to a line of its own".into())
            }
        };
        Refusal::new(CHECK, format!("line {line}: {seen}"), fix)
    }
}

fn special_fix(c: char) -> String {
    match c {
        '"' | '\'' => "quote the whole value, or in a URL percent-encode the quote".into(),
        _ => format!("put the value in single quotes, or in a URL write `%{:02X}`", u32::from(c)),
    }
}

/// The name and value of one line; `None` for a blank line or a comment.
fn read_line(line: &str) -> Result<Option<(&str, &str)>, Flaw> {
    let comment = line.starts_with('#');
    if let Some(c) = line.chars().find(|&c| is_read_differently(c) && !(comment && c == '\t')) {
        return Err(Flaw::Control(c));
    }
    if comment || line.is_empty() {
        return Ok(None);
    }
    let trimmed = line.trim_matches(' ');
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Err(Flaw::Indented);
    }
    let (name, value) = split(trimmed)?;
    Ok(Some((name, read_value(value)?)))
}

/// Characters that end a line, vanish, or count as white space for one parser and not for another (JavaScript's `^`,
/// `$` and `\s` know U+2028, U+2029, U+00A0 and U+FEFF; a C string ends at NUL; Node does not trim tabs).
fn is_read_differently(c: char) -> bool {
    c.is_control() || c == '\u{FEFF}' || (c.is_whitespace() && c != ' ')
}

fn split(line: &str) -> Result<(&str, &str), Flaw> {
    let assignment = line.strip_prefix("export ").unwrap_or(line);
    let end = assignment.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(assignment.len());
    let (name, rest) = assignment.split_at(end);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Err(Flaw::NotAnAssignment);
    }
    match rest.strip_prefix('=') {
        Some(value) => Ok((name, value)),
        None if rest.starts_with(':') => Err(Flaw::Colon),
        None if rest.trim_start_matches(' ').starts_with('=') => Err(Flaw::SpaceAroundEquals),
        None => Err(Flaw::NotAnAssignment),
    }
}

fn read_value(value: &str) -> Result<&str, Flaw> {
    match value.chars().next() {
        None => Ok(""),
        Some(quote @ ('\'' | '"')) => read_quoted(quote, &value[1..]),
        Some(_) => read_bare(value),
    }
}

fn read_quoted(quote: char, rest: &str) -> Result<&str, Flaw> {
    let (value, after) = rest.split_once(quote).ok_or(Flaw::Unbalanced)?;
    let special: &[char] = if quote == '"' { &['\\', '$', '`'] } else { &['\\'] };
    match value.chars().find(|c| special.contains(c)) {
        Some(c) => Err(Flaw::Special(c)),
        None if after.is_empty() => Ok(value),
        None if after.starts_with(' ') => read_comment(after.trim_start_matches(' ')).map(|()| value),
        None => Err(Flaw::AfterQuote),
    }
}

fn read_bare(value: &str) -> Result<&str, Flaw> {
    if value.starts_with(' ') {
        return Err(Flaw::SpaceAroundEquals);
    }
    let end = value.find(' ').unwrap_or(value.len());
    let (bare, after) = value.split_at(end);
    let special = ['$', '#', '\\', '`', '"', '\''];
    if let Some(c) = bare.chars().find(|c| special.contains(c)) {
        return Err(Flaw::Special(c));
    }
    match after.trim_start_matches(' ') {
        "" => Ok(bare),
        comment if comment.starts_with('#') => read_comment(comment).map(|()| bare),
        _ => Err(Flaw::SpaceInValue),
    }
}

/// A comment behind a value may hold no quote: dotenvy would wait on the next line for the other one.
fn read_comment(comment: &str) -> Result<(), Flaw> {
    match comment {
        comment if !comment.starts_with('#') => Err(Flaw::AfterQuote),
        comment if comment.contains(['\'', '"', '`', '\\']) => Err(Flaw::QuoteInComment),
        _ => Ok(()),
    }
}

fn repeated(variables: &[(usize, &str, &str)]) -> Vec<Refusal> {
    let mut first = BTreeMap::new();
    let mut refusals = Vec::new();
    for &(line, name, _) in variables {
        match first.get(name) {
            Some(earlier) => refusals.push(Refusal::new(
                CHECK,
                format!(
                    "line {line}: `{name}` is set already on line {earlier}; parsers disagree about which one counts"
                ),
                format!("keep one of lines {earlier} and {line}"),
            )),
            None => {
                first.insert(name, line);
            }
        }
    }
    refusals
}

/// What dotenvy makes of a checked text; anything but the same variables is our own mistake and a refusal.
fn read_again(text: &str, checked: &[(&str, &str)]) -> Result<Vec<(String, Secret)>, Vec<Refusal>> {
    // dotenvy reports an error for a last line that ends in a blank and has no line end.
    let text = format!("{text}\n");
    let read: Option<Vec<(String, String)>> = dotenvy::from_read_iter(text.as_bytes()).map(Result::ok).collect();
    match read {
        Some(read) if read.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(checked.iter().copied()) => {
            Ok(read.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
        }
        _ => Err(vec![Refusal::new(
            CHECK,
            "the file passed the check, but dotenvy reads it differently",
            "write every line as `NAME='value'`, and please report this file with its values replaced",
        )]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepted(text: &str) -> Vec<(String, String)> {
        let variables = parse(text.as_bytes()).unwrap_or_else(|refusals| panic!("{text:?}: {refusals:?}"));
        variables.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect()
    }

    fn one(text: &str) -> String {
        let mut variables = accepted(text);
        assert_eq!(variables.len(), 1, "{text:?}");
        variables.remove(0).1
    }

    fn refused(text: &[u8]) -> String {
        let refusals = parse(text).map(|_| ()).expect_err(&String::from_utf8_lossy(text));
        refusals.iter().map(|r| format!("{}\n  {}\n", r.message, r.hint)).collect()
    }

    #[test]
    fn quotes_export_crlf_a_leading_bom_and_comments_have_one_answer() {
        for text in [
            "A=b",
            "A=b\n",
            "A=b\r\n",
            "\u{FEFF}A=b\n",
            "export A=b",
            "A='b'",
            "A=\"b\"",
            " A=b",
            "A=b  ",
            "A=b \r\n",
            "A=b # note",
            "A='b' # note",
            "\n\n# don't\t\nA=b\n# \"x\n",
        ] {
            assert_eq!(one(text), "b", "{text:?}");
        }
    }

    #[test]
    fn single_quotes_protect_a_dollar_and_a_hash() {
        assert_eq!(one("A='pa$w#rd`'"), "pa$w#rd`");
        assert_eq!(one("A=\"it's #1\""), "it's #1");
    }

    #[test]
    fn an_unquoted_url_with_two_parameters_is_one_value() {
        let url = "postgresql://u:p%24@h:5432/d_test?sslmode=require&schema=public";
        assert_eq!(one(&format!("A={url}\n")), url);
    }

    #[test]
    fn an_empty_value_is_a_value() {
        for text in ["A=", "A=''", "A=\"\"", "A=   ", "A=\r\n"] {
            assert_eq!(one(text), "", "{text:?}");
        }
        assert!(accepted("").is_empty());
    }

    #[test]
    fn what_two_parsers_read_differently_is_refused_by_line() {
        for text in [
            "A=hunter2$x",
            "A=\"hunter2$x\"",
            "A=\"${hunter2}\"",
            "A=hunter2#x",
            "A=hunter2\\x",
            "A='hunter2\\'",
            "A=hunter2`",
            "A=\"`hunter2`\"",
            "A=hunter2\rB=1",
            "A=hunter2\0",
            "A=hunter2\u{FEFF}",
            "A=hunter2\u{2028}B=1",
            "# hunter2\u{2028}A=1",
            "A=hunter2\u{85}",
            "A=hunter2\u{a0}",
            "A='hunter2'x",
            "A='hunter2'#x",
            "A='hunter2'\"x\"",
            "A: hunter2",
            "A:hunter2",
            "A = hunter2",
            "A =hunter2",
            "A= hunter2",
            "A=hunter2 x",
            "A='hunter2",
            "A=\"hunter2",
            "A=hunter2\"",
            "A=hunter2'x'",
            "A",
            "export A",
            "hunter2 is not valid",
            "1A=hunter2",
            "A.B=hunter2",
            "A-B=hunter2",
            "A+=hunter2",
            "=hunter2",
            "A=hunter2 # don't",
            "A=hunter2\t",
            "\tA=hunter2",
            "export  A=hunter2",
            "  # hunter2",
            "  ",
            "A='hunter2' 'x'",
            "export",
            "\u{FEFF}\u{FEFF}A=hunter2",
            "'A'=hunter2",
        ] {
            let told = refused(format!("FINE=1\n{text}\n").as_bytes());
            assert!(told.starts_with("line 2: "), "{text:?}: {told}");
            assert!(!told.contains("hunter2"), "{text:?}: {told}");
        }
    }

    #[test]
    fn a_repeated_name_is_refused_even_with_the_same_value_and_through_export() {
        assert!(refused(b"A=1\nexport A=1\n").contains("line 2: `A` is set already on line 1"));
    }

    #[test]
    fn every_bad_line_is_reported_at_once_and_none_is_quoted() {
        let told = refused(b"A=s3cret$x\nB: s3cret\nC='s3cret\nA=1 # ok\nthis s3cret\r");
        assert_eq!(told.lines().filter(|line| line.starts_with("line ")).count(), 4, "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert!(refused(&[0xFF, 0xFE, b'A', 0]).contains("UTF-16"));
        assert!(refused(b"A=1\nB=\xFF\n").starts_with("line 2: not UTF-8"));
    }

    #[test]
    fn the_common_refusals_say_what_to_type() {
        let told = refused(b"A=pa$w\nB=pa#w\nC: v\nD = v\nE='v\nF='v'x\nG=a b\nH=a\\b\nI=2\nI=3\n");
        let expected = "\
line 1: `$` in a value that is not in single quotes
  put the value in single quotes, or in a URL write `%24`
line 2: `#` in a value that is not in single quotes
  put the value in single quotes, or in a URL write `%23`
line 3: `NAME: value` is read by some parsers only
  write `NAME=value`
line 4: a space beside `=`
  write `NAME=value`
line 5: the closing quote is missing
  close the quote on the same line
line 6: text after the closing quote
  put the whole value in one pair of quotes
line 7: a space in an unquoted value
  put the value in single quotes
line 8: `\\` in a value: parsers disagree about what it escapes
  in a URL write `%5C`; elsewhere use a value without it
line 10: `I` is set already on line 9; parsers disagree about which one counts
  keep one of lines 9 and 10
";
        assert_eq!(told, expected);
    }

    #[test]
    fn placeholders_are_recognised_and_real_values_are_not() {
        for value in
            ["changeme", "...", "<your key>", "postgresql://USER:PASSWORD@HOST:PORT/db", "postgres://u:changeme@h/d"]
        {
            assert!(is_placeholder(value), "{value}");
        }
        for value in ["", "postgresql://user:password@host.staging.hotdash.app/d_test", "sb_secret_x", "a.b.c"] {
            assert!(!is_placeholder(value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        /// Texts made of the characters that parsers fight over; whatever is accepted is what dotenvy reads.
        #[test]
        fn accepted_text_never_surprises_dotenvy(
            text in "([AB]|export |=|'|\"|#| |\t|\\$|\\\\|`|\r|\n|\u{feff}|:|x|é){0,24}",
        ) {
            if let Err(refusals) = parse(text.as_bytes()) {
                prop_assert!(refusals.iter().all(|refusal| !refusal.message.contains("dotenvy")), "{refusals:?}");
            }
        }
    }
}
