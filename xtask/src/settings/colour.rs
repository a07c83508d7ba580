//! Whether to paint: the flag, over `NO_COLOR`, over `CLICOLOR_FORCE`, over `CLICOLOR=0`, over whether a person sees it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{ColorChoice, ValueEnum};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

impl Colour {
    /// `on_terminal`: of the stream in question.
    pub fn paints(self, environment: &BTreeMap<String, String>, on_terminal: bool) -> bool {
        let value = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto if value("NO_COLOR").is_some() => false,
            Colour::Auto if value("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Colour::Auto => on_terminal && value("CLICOLOR") != Some("0"),
        }
    }

    /// For `--help`, which is made before the arguments are read.
    pub fn of_words(words: impl IntoIterator<Item = OsString>) -> ColorChoice {
        let words: Vec<String> = words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let after = |at: usize| words.get(at + 1).map(String::as_str);
        let value = words.iter().enumerate().find_map(|(at, word)| match word.as_str() {
            "--plain" => Some("never"),
            "--color" => after(at),
            word => word.strip_prefix("--color="),
        });
        match value {
            Some("always") => ColorChoice::Always,
            Some("never") => ColorChoice::Never,
            _ => ColorChoice::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_over_the_environment_and_that_over_the_terminal() {
        let mut lines = Vec::new();
        for (colour, environment) in [
            (Colour::Auto, ""),
            (Colour::Auto, "NO_COLOR="),
            (Colour::Auto, "NO_COLOR=1"),
            (Colour::Auto, "CLICOLOR_FORCE=1"),
            (Colour::Auto, "CLICOLOR_FORCE=0"),
            (Colour::Auto, "NO_COLOR=1 CLICOLOR_FORCE=1"),
            (Colour::Auto, "CLICOLOR=0"),
            (Colour::Auto, "CLICOLOR=0 CLICOLOR_FORCE=1"),
            (Colour::Always, "NO_COLOR=1"),
            (Colour::Never, "CLICOLOR_FORCE=1"),
        ] {
            let pairs = environment.split_whitespace().filter_map(|pair| pair.split_once('='));
            let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let [seen, piped] = [true, false].map(|terminal| colour.paints(&variables, terminal));
            lines.push(format!("{colour:?} {environment}: terminal {seen}, pipe {piped}"));
        }
        insta::assert_snapshot!(lines.join("\n"), @"
        Auto : terminal true, pipe false
        Auto NO_COLOR=: terminal true, pipe false
        Auto NO_COLOR=1: terminal false, pipe false
        Auto CLICOLOR_FORCE=1: terminal true, pipe true
        Auto CLICOLOR_FORCE=0: terminal true, pipe false
        Auto NO_COLOR=1 CLICOLOR_FORCE=1: terminal false, pipe false
        Auto CLICOLOR=0: terminal false, pipe false
        Auto CLICOLOR=0 CLICOLOR_FORCE=1: terminal true, pipe true
        Always NO_COLOR=1: terminal true, pipe true
        Never CLICOLOR_FORCE=1: terminal false, pipe false
        ");
    }

    #[test]
    fn help_is_painted_as_the_words_before_it_say() {
        let of = |line: &str| Colour::of_words(line.split(' ').map(OsString::from));
        assert_eq!(of("xtask --help"), ColorChoice::Auto);
        assert_eq!(of("xtask forward --color always --help"), ColorChoice::Always);
        assert_eq!(of("xtask --color=never --help"), ColorChoice::Never);
        assert_eq!(of("xtask --plain --help"), ColorChoice::Never);
        assert_eq!(of("xtask --color"), ColorChoice::Auto);
    }
}
