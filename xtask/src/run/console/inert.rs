//! Text that others had a part in, as it may be printed: it commands neither a terminal nor the runner of a CI server.

use crate::words::is_unseen;

/// The colours that the console uses.
const PAINT: [&str; 7] =
    ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1;31m", "\u{1b}[1;36m"];

/// `text` with no power but over its own lines: errors quote children and servers, which may be hostile.
pub fn inert(text: &str) -> String {
    disarmed_lines(&shown(text, &[]))
}

/// As `inert`, in the console's colours: for what it has put together of texts that were made inert one by one.
pub fn inert_in_colour(text: &str) -> String {
    disarmed_lines(&shown(text, &PAINT))
}

fn disarmed_lines(shown: &str) -> String {
    shown.split('\n').map(disarmed).collect::<Vec<_>>().join("\n")
}

/// What a reader would not see is shown.
fn shown(text: &str, paint: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| is_unseen(c) && !matches!(c, '\n' | '\t')) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let painted = paint.iter().find(|paint| from.starts_with(**paint));
        let length = painted.map_or_else(|| from.chars().next().map_or(0, char::len_utf8), |paint| paint.len());
        match painted {
            Some(paint) => out.push_str(paint),
            None => out.extend(from[..length].escape_default()),
        }
        rest = &from[length..];
    }
    out + rest
}

/// A line that no CI server takes for a command: GitHub reads `::name::` behind white space and `##[name]` anywhere
/// (actions/runner, src/Runner.Common/ActionCommand.cs), Azure `##vso[`, TeamCity `##teamcity[`. Not only in GitHub's own
/// environment: a container's output is read there, too.
fn disarmed(line: &str) -> String {
    let text = line.trim_start();
    let line = match text.strip_prefix("::") {
        Some(command) => format!("{}\\u{{3a}}:{command}", &line[..line.len() - text.len()]),
        None => line.to_owned(),
    };
    without_brackets(&line, "\\u{23}")
}

/// JSON in which no text reads as a command; a number sign can stand in its texts alone.
pub fn inert_json(json: &str) -> String {
    without_brackets(json, "\\u0023")
}

/// With something else for the first sign of `##`, a word and a bracket.
fn without_brackets(text: &str, sign: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let command = text[at..].strip_prefix("##").map(|rest| rest.trim_start_matches(is_word));
        match command {
            Some(rest) if rest.starts_with('[') => out.push_str(sign),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_on_a_terminal_is_shown_instead() {
        let painted = "a\u{1b}[1;31merror:\u{1b}[0m é\n\tb";
        assert_eq!(inert_in_colour(painted), painted);
        assert_eq!(inert(painted), "a\\u{1b}[1;31merror:\\u{1b}[0m é\n\tb");
        assert_eq!(inert("x\u{1b}]0;owned\u{7}y\u{1b}[8mz\r\u{9b}2J"), r"x\u{1b}]0;owned\u{7}y\u{1b}[8mz\r\u{9b}2J");
        assert_eq!(inert("txt.\u{202e}gpj\u{2066}\u{200b}"), r"txt.\u{202e}gpj\u{2066}\u{200b}");
        assert_eq!(inert(""), "");
    }

    #[test]
    fn no_line_reads_as_a_command_to_a_ci_server() {
        for (text, expected) in [
            ("::error::x", r"\u{3a}:error::x"),
            ("a\n \t::set-env name=PATH::x\nb", "a\n \t\\u{3a}:set-env name=PATH::x\nb"),
            ("\u{a0}::add-path::x", "\u{a0}\\u{3a}:add-path::x"),
            ("caused by: ##[error]x ##[set-env]", r"caused by: \u{23}#[error]x \u{23}#[set-env]"),
            ("###[error]x", r"#\u{23}#[error]x"),
            ("##vso[task.setvariable] ##teamcity[x]", r"\u{23}#vso[task.setvariable] \u{23}#teamcity[x]"),
            ("## a title\nx::y ##", "## a title\nx::y ##"),
        ] {
            assert_eq!(inert(text), expected);
            assert_eq!(inert(expected), expected);
        }
    }

    #[test]
    fn json_without_commands_is_the_same_json() {
        let value = serde_json::json!({"##[error]x": ["####[a]", "## b", "::error::"]});
        let text = inert_json(&value.to_string());
        assert!(!text.contains("##["), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
