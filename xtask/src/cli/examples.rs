//! What each command's `--help` ends with: lines that can be typed as they stand. Tests parse them all.

use clap::Command;

/// A command's words, and what follows the program in each example with what it is for.
const EXAMPLES: [(&str, &[(&str, &str)]); 32] = [
    ("doctor", &[("doctor", "staging"), ("doctor --sandbox", "the sandbox"), ("doctor --explain P3018", "one page")]),
    ("status", &[("status", "every row"), ("status --quiet", "for a cron: silent where all is well")]),
    (
        "forward",
        &[
            ("forward --plan", "what it would do"),
            ("forward", "on staging"),
            ("forward --sandbox", "on the embedded Postgres"),
        ],
    ),
    (
        "backward",
        &[
            ("backward --plan", "what it would do"),
            ("backward --steps 2", "the last two"),
            ("backward --failed", "settle one that failed"),
        ],
    ),
    (
        "drill",
        &[
            ("drill --sandbox", "start here"),
            ("drill --each --sandbox", "every migration"),
            ("drill --resume", "go on after a miss"),
        ],
    ),
    ("mirror", &[("mirror --plan", "the script"), ("mirror", "apply it")]),
    ("parity", &[("parity", "by SQL"), ("parity --source rest", "over Supabase's REST API")]),
    ("reset", &[("reset --plan", "what would go"), ("reset --confirm", "do it")]),
    (
        "restore",
        &[("restore --list", "what there is"), ("restore --plan", "the newest"), ("restore --confirm", "do it")],
    ),
    ("claim", &[("claim --plan", "what the database is"), ("claim --confirm hotdash_staging", "mark it")]),
    ("init", &[("init", "show what a first drill needs"), ("init --confirm --drill", "write it, and rehearse")]),
    (
        "production-sizes",
        &[
            ("production-sizes", "the query"),
            ("production-sizes --read sizes.txt --write", "its answer, into drill.toml"),
        ],
    ),
    (
        "completions",
        &[("completions bash > ~/.local/share/bash-completion/completions/xtask", "for an installed `xtask`")],
    ),
    ("man", &[("man > xtask.1", "one page"), ("man --dir target/man", "a page for each command")]),
    ("sandbox", &[("sandbox up", "start it"), ("sandbox seed --rows 5000", "fill it"), ("sandbox down", "stop it")]),
    ("sandbox up", &[("sandbox up", "and `sandbox url` says where")]),
    ("sandbox down", &[("sandbox down", "its rows stay")]),
    ("sandbox status", &[("sandbox status --json", "for a program")]),
    ("sandbox url", &[("sandbox url", "for a client")]),
    (
        "sandbox seed",
        &[
            ("sandbox seed --rows 5000", "believable rows"),
            ("sandbox seed --mirror-drop 2", "for a parity that misses"),
        ],
    ),
    ("sandbox prune", &[("sandbox prune", "show what would go"), ("sandbox prune --keep 3 --confirm", "take it away")]),
    ("evidence", &[("evidence list", "past runs"), ("evidence show", "the newest in full")]),
    ("evidence list", &[("evidence list", "of staging"), ("evidence list --sandbox", "of the sandbox")]),
    ("evidence show", &[("evidence show", "the newest"), ("evidence show 4368db", "by its id")]),
    ("evidence open", &[("evidence open", "the newest"), ("evidence open 4368db", "by its id")]),
    ("evidence verify", &[("evidence verify", "all"), ("evidence verify 4368db", "one")]),
    ("evidence report", &[("evidence report", "the newest"), ("evidence report --out report.html", "elsewhere")]),
    (
        "evidence prune",
        &[
            ("evidence prune --keep 50", "show what would go"),
            ("evidence prune --older-than 90d --confirm", "take it away"),
        ],
    ),
    ("evidence redact", &[("evidence redact < build.log > build.masked.log", "what may be shown")]),
    ("env", &[("env check", "before anything else"), ("env matrix --check", "in CI")]),
    ("env check", &[("env check", "`.env.staging`"), ("env check --env-file .env.preview", "another file")]),
    ("env matrix", &[("env matrix", "write it"), ("env matrix --check", "in CI: 5 where it is out of date")]),
];

/// `command`, and everything below it, with its examples under `--help`.
pub fn add(command: Command, program: &str) -> Command {
    add_below(command, program, "")
}

fn add_below(command: Command, program: &str, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}").trim_start().to_owned();
        command.mut_subcommand(name, |below| {
            let below = add_below(below, program, &path);
            match text(program, &path) {
                Some(text) => below.after_help(text),
                None => below,
            }
        })
    })
}

fn of(path: &str) -> &'static [(&'static str, &'static str)] {
    EXAMPLES.iter().find(|(name, _)| *name == path).map_or(&[], |(_, examples)| examples)
}

fn text(program: &str, path: &str) -> Option<String> {
    let examples = of(path);
    let width = examples.iter().map(|(words, _)| words.len()).max()?;
    let lines = examples.iter().map(|(words, purpose)| format!("  {program} {words:width$}  # {purpose}"));
    Some(format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Cli;

    fn paths(command: &Command, above: &str) -> Vec<String> {
        let below = command.get_subcommands().flat_map(|command| {
            let path = format!("{above} {}", command.get_name()).trim_start().to_owned();
            let below = paths(command, &path);
            std::iter::once(path).chain(below)
        });
        below.collect()
    }

    #[test]
    fn every_command_has_one_to_three_examples_and_each_can_be_typed() {
        let all = paths(&Cli::command(), "");
        assert!(all.len() > 25, "{all:?}");
        for path in &all {
            assert!((1..=3).contains(&of(path).len()), "`{path}` has {} examples", of(path).len());
            for (words, _) in of(path) {
                assert!(words.starts_with(path.as_str()), "`{words}` is an example of another command than `{path}`");
                let words = words.split_whitespace().take_while(|word| !["<", ">", "|"].contains(word));
                let parsed = Cli::command().try_get_matches_from(std::iter::once("xtask").chain(words.clone()));
                assert!(parsed.is_ok(), "`{}`: {}", words.collect::<Vec<_>>().join(" "), parsed.unwrap_err());
            }
        }
        let unknown = EXAMPLES.iter().filter(|(path, _)| !all.iter().any(|known| known == path));
        assert_eq!(unknown.count(), 0);
    }
}
