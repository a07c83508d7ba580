//! Arguments that cannot be read: clap's words for a person, and with `--json` one object for a program, as every command prints.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::cli::args;
use crate::clock;
use crate::error::{Failure, Status};
use crate::evidence::outcome::Outcome;
use crate::hint::{Aim, Hint};
use crate::run::console::{self, Console};
use crate::settings::Settings;
use crate::settings::started;

/// `--help` and `--version` are not errors; everything else is.
pub fn answer(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let said = error.render().to_string();
    console::usage(&said);
    let words: Vec<OsString> = std::env::args_os().skip(1).take_while(|word| word != "--").collect();
    if words.iter().any(|word| word == "--json") {
        Console::new(Settings::output_as_json())
            .finish(&outcome(&said, error.kind(), &words, started::as_typed()), None);
    }
    ExitCode::from(Status::Usage.exit_code())
}

fn outcome(said: &str, kind: ErrorKind, words: &[OsString], program: Option<String>) -> Outcome {
    let command = command(words);
    let mut outcome = Outcome::begin(&command, clock::rfc3339(clock::now()));
    outcome.aim = Aim { program, ..Aim::default() };
    let words = format!("{command} --help").trim_start().to_owned();
    let failure = tips(said).fold(Failure::usage(message(said, kind)), Failure::note).hint(Hint::run_filled(words));
    outcome.finish(Some(&failure), clock::rfc3339(clock::now()));
    outcome
}

/// The command that was meant, as far as it is one.
fn command(words: &[OsString]) -> String {
    let mut command = &args::command(None);
    let mut names = Vec::new();
    for word in words {
        if let Some(below) = word.to_str().and_then(|word| command.find_subcommand(word)) {
            names.push(below.get_name().to_owned());
            command = below;
        }
    }
    names.join(" ")
}

/// clap's first paragraph, which may list what is missing below its sentence.
fn message(said: &str, kind: ErrorKind) -> String {
    if matches!(kind, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand) {
        return "no command is given".to_owned();
    }
    let lines = said.lines().take_while(|line| !line.is_empty()).map(str::trim);
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

fn tips(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter_map(|line| line.trim_start().strip_prefix("tip: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = args::command(None).try_get_matches_from(&words).unwrap_err();
        let outcome = outcome(&error.render().to_string(), error.kind(), &words[1..], None);
        let error = &outcome.error.as_ref().unwrap().message;
        let Outcome { command, status, exit_code, notes, .. } = &outcome;
        let hint = outcome.hint_command.as_deref().unwrap();
        format!("{line}\n  `{command}` {status} {}: {error}; {notes:?}; {hint}", exit_code.unwrap())
    }

    #[test]
    fn what_cannot_be_read_is_an_outcome_like_any_other() {
        let lines = [
            "xtask --json",
            "xtask forwrd --json",
            "xtask forward --nonsense --json",
            "xtask migrate --rows many --json",
            "xtask backward --steps 2 --to m --json",
            "xtask evidence --json",
            "xtask sandbox seed --mirror-drop 200 --json",
            "xtask completions --json",
            "xtask --json --target",
        ];
        insta::assert_snapshot!(lines.map(read).join("\n"), @r#"
        xtask --json
          `` usage 2: no command is given; []; cargo xtask --help
        xtask forwrd --json
          `` usage 2: unrecognized subcommand 'forwrd'; ["a similar subcommand exists: 'forward'"]; cargo xtask --help
        xtask forward --nonsense --json
          `forward` usage 2: unexpected argument '--nonsense' found; []; cargo xtask forward --help
        xtask migrate --rows many --json
          `forward` usage 2: invalid value 'many' for '--rows <N>': a number of rows from 1 to 1,000,000,000,000 is needed; []; cargo xtask forward --help
        xtask backward --steps 2 --to m --json
          `backward` usage 2: the argument '--steps <N>' cannot be used with '--to <MIGRATION>'; []; cargo xtask backward --help
        xtask evidence --json
          `evidence` usage 2: no command is given; []; cargo xtask evidence --help
        xtask sandbox seed --mirror-drop 200 --json
          `sandbox seed` usage 2: invalid value '200' for '--mirror-drop <PCT>': a number from 0 to 100 is needed; []; cargo xtask sandbox seed --help
        xtask completions --json
          `completions` usage 2: the following required arguments were not provided: <SHELL>; []; cargo xtask completions --help
        xtask --json --target
          `` usage 2: a value is required for '--target <NAME>' but none was supplied; []; cargo xtask --help
        "#);
    }
}
