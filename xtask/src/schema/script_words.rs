//! Names, keywords and signs of a script, as Postgres folds them, read a part at a time.

use script::text::{Text, Unreadable};

/// No name is longer, in bytes (`NAMEDATALEN`, as Postgres is built).
const LONGEST_NAME: usize = 63;

/// What stands for what is no name: a number, a long text.
pub const NO_NAME: &str = "0";

/// Statements that bring rows: a text of several words in one is no reference to anything.
const OF_ROWS: [&str; 4] = ["insert", "update", "delete", "merge"];

/// Tells `found` each word and each sign.
///
/// # Errors
/// The script cannot be read.
pub fn each_word(script: &Text, found: impl FnMut(&str)) -> Result<(), Unreadable> {
    let mut reader = Reader { found, begins: true, has_rows: false, escapes: false };
    let mut waiting = String::new();
    for chunk in script.chunks() {
        waiting.push_str(&chunk?);
        let read = reader.read(&waiting, false);
        waiting.drain(..read);
    }
    reader.read(&waiting, true);
    Ok(())
}

struct Reader<F> {
    found: F,
    /// Whether the next word is the first of its statement.
    begins: bool,
    /// Whether the statement is one of those that bring rows.
    has_rows: bool,
    /// Whether a text that begins here has backslashes before quotes that are its own: `E'it\'s'`.
    escapes: bool,
}

impl<F: FnMut(&str)> Reader<F> {
    /// As far as it is known where things end; returns how many bytes that is.
    fn read(&mut self, script: &str, is_all: bool) -> usize {
        let mut rest = script;
        while let Some(sign) = rest.chars().next() {
            let end = match sign {
                '-' if rest.starts_with("--") => rest.find('\n'),
                '/' if rest.starts_with("/*") => rest.find("*/").map(|end| end + 2),
                '"' => rest[1..].find('"').map(|end| end + 2),
                '\'' if self.has_rows => self.end_of_text(rest),
                _ if is_part(sign) => rest.find(|c: char| !is_part(c)),
                _ => Some(sign.len_utf8()),
            };
            // What ends with what there is may go on behind it: a word, a dash, a quote.
            let end = match end.filter(|&end| is_all || end < rest.len()) {
                Some(end) => end,
                None if is_all => rest.len(),
                None => break,
            };
            self.tell(sign, &rest[..end]);
            rest = &rest[end..];
        }
        script.len() - rest.len()
    }

    /// Behind its last quote.
    fn end_of_text(&self, text: &str) -> Option<usize> {
        let is_own = |at: usize| {
            let backslashes = text[1..at].bytes().rev().take_while(|&byte| byte == b'\\').count();
            self.escapes && backslashes % 2 == 1
        };
        let mut quotes = text.match_indices('\'').map(|(at, _)| at).skip(1);
        quotes.find(|&at| !is_own(at)).map(|at| at + 1)
    }

    fn tell(&mut self, sign: char, text: &str) {
        self.escapes = text.eq_ignore_ascii_case("e") || self.escapes && sign == '\'';
        match sign {
            '-' | '/' if text.len() > 1 => {}
            '"' => (self.found)(text.trim_matches('"')),
            '\'' if text.len() > 1 => self.text(text.trim_matches('\'')),
            _ if is_part(sign) => self.word(text),
            _ if sign.is_whitespace() => {}
            _ => {
                self.begins |= sign == ';';
                (self.found)(text);
            }
        }
    }

    /// What a row has, or the name of something: `'public.log'::regclass`.
    fn text(&mut self, text: &str) {
        (self.found)("'");
        if text.contains(char::is_whitespace) {
            (self.found)(NO_NAME);
        } else {
            self.read(text, true);
        }
        (self.found)("'");
    }

    fn word(&mut self, word: &str) {
        let is_name = word.len() <= LONGEST_NAME && !word.bytes().all(|byte| byte.is_ascii_digit());
        let word = if is_name { word.to_lowercase() } else { NO_NAME.to_owned() };
        if std::mem::take(&mut self.begins) {
            self.has_rows = OF_ROWS.contains(&word.as_str());
        }
        (self.found)(&word);
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
    fn words_are_folded_and_comments_and_the_texts_of_rows_are_left_out() {
        let script = "-- no\nCREATE Table \"Odd Name\".t (a1 int, b text default 'two words'); /* no\n */ select 12 from É_1;\n\
            insert into t values (1.5, 'two words', 'a.b'::regclass, '', 'it''s', $$c d$$), ('new\nline'), (E'it\\'s '' \\' a', 'C:\\');\n\
            select 'these count'; do 'begin end'; --";
        insta::assert_snapshot!(words(script), @r"create table Odd Name . t ( a1 int , b text default ' two words ' ) ; select 0 from é_1 ; insert into t values ( 0 . 0 , ' 0 ' , ' a . b ' : : regclass , ' ' , ' it ' ' s ' , $ $ c d $ $ ) , ( ' 0 ' ) , ( e ' 0 ' ' 0 ' , ' c : \ ' ) ; select ' these count ' ; do ' begin end ' ;");
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
