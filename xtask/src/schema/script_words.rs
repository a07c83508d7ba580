//! Names, keywords and signs of a script, as Postgres folds them, read a part at a time.

use script::text::{Text, Unreadable};

/// No name is longer, in bytes (`NAMEDATALEN`, as Postgres is built).
const LONGEST_NAME: usize = 63;

/// What stands for what is no name: a number, a long text.
pub const NO_NAME: &str = "0";

/// Tells `found` each word and each sign.
///
/// # Errors
/// The script cannot be read.
pub fn each_word(script: &Text, mut found: impl FnMut(&str)) -> Result<(), Unreadable> {
    let mut waiting = String::new();
    for chunk in script.chunks() {
        waiting.push_str(&chunk?);
        let read = read(&waiting, false, &mut found);
        waiting.drain(..read);
    }
    read(&waiting, true, &mut found);
    Ok(())
}

/// As far as it is known where things end; returns how many bytes that is.
fn read(script: &str, is_all: bool, found: &mut impl FnMut(&str)) -> usize {
    let mut rest = script;
    while let Some(sign) = rest.chars().next() {
        let end = match sign {
            '-' if rest.starts_with("--") => rest.find('\n'),
            '/' if rest.starts_with("/*") => rest.find("*/").map(|end| end + 2),
            '"' => rest[1..].find('"').map(|end| end + 2),
            _ if is_part(sign) => rest.find(|c: char| !is_part(c)),
            _ => Some(sign.len_utf8()),
        };
        // What ends with what there is may go on behind it: a word, a dash, a quote.
        let end = match end.filter(|&end| is_all || end < rest.len()) {
            Some(end) => end,
            None if is_all => rest.len(),
            None => break,
        };
        tell(sign, &rest[..end], found);
        rest = &rest[end..];
    }
    script.len() - rest.len()
}

fn tell(sign: char, text: &str, found: &mut impl FnMut(&str)) {
    match sign {
        '-' | '/' if text.len() > 1 => {}
        '"' => found(text.trim_matches('"')),
        _ if is_part(sign) => {
            let is_name = text.len() <= LONGEST_NAME && !text.bytes().all(|byte| byte.is_ascii_digit());
            let word = text.to_lowercase();
            found(if is_name { &word } else { NO_NAME });
        }
        _ if sign.is_whitespace() => {}
        _ => found(text),
    }
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> String {
        let mut words = Vec::new();
        each_word(&script.into(), |word| words.push(word.to_owned())).unwrap();
        words.join(" ")
    }

    #[test]
    fn words_are_folded_and_comments_are_left_out() {
        let script = "-- no\nCREATE Table \"Odd Name\".t (a1 int, b text default 'two words'); /* no\n */ select 12 from É_1;\n\
            insert into t values (1.5, 'it''s', $$it's$$); create schema x; do 'begin end'; --";
        insta::assert_snapshot!(words(script), @"create table Odd Name . t ( a1 int , b text default ' two words ' ) ; select 0 from é_1 ; insert into t values ( 0 . 0 , ' it ' ' s ' , $ $ it ' s $ $ ) ; create schema x ; do ' begin end ' ;");
        assert_eq!(words(&format!("select {}", "x".repeat(64))), "select 0");
    }

    #[test]
    fn a_long_script_reads_as_a_short_one_wherever_it_is_cut() {
        let part =
            "/* a; b */ insert into \"T t\" values ('é é', 'x.y', 7); -- c\nselect a-b / c, 'open text' from x;\n";
        let one = words(part);
        for before in 0..part.len() {
            let count = (3 << 16) / part.len();
            let script = format!("{}{}", " ".repeat(before), part.repeat(count));
            assert_eq!(words(&script), vec![one.as_str(); count].join(" "), "after {before} blanks");
        }
    }
}
