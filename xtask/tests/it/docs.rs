//! The prose is true: links lead somewhere, `docs/cli.md` is what `--help` says, the version is in the changelog.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::program;
use crate::server::workspace;

pub const COMMANDS: &[&[&str]] = &[
    &[],
    &["doctor"],
    &["status"],
    &["forward"],
    &["backward"],
    &["drill"],
    &["mirror"],
    &["parity"],
    &["claim"],
    &["reset"],
    &["restore"],
    &["production-sizes"],
    &["sandbox"],
    &["sandbox", "up"],
    &["sandbox", "seed"],
    &["sandbox", "prune"],
    &["evidence"],
    &["evidence", "list"],
    &["evidence", "show"],
    &["evidence", "open"],
    &["evidence", "verify"],
    &["evidence", "report"],
    &["evidence", "prune"],
    &["evidence", "redact"],
    &["env"],
    &["env", "check"],
    &["env", "matrix"],
    &["completions"],
    &["man"],
];

fn markdown(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            if !["node_modules", "target", "evidence"].contains(&name.as_str())
                && !name.starts_with(".drill")
                && name != ".git"
            {
                markdown(&entry.path(), found);
            }
        } else if name.ends_with(".md") {
            found.push(entry.path());
        }
    }
}

/// The targets of `[text](target)` that are files of this repo.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
        .filter(|link| !link.starts_with("http") && !link.starts_with('#'))
}

#[test]
fn every_link_leads_to_a_file() {
    let mut files = Vec::new();
    markdown(workspace(), &mut files);
    assert!(files.len() > 8, "{files:?}");
    for file in files {
        for link in links(&fs::read_to_string(&file).unwrap()) {
            let target = file.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{}: {link}", file.display());
        }
    }
}

fn help() -> String {
    let mut text =
        "# The command line\n\nWhat `--help` prints; kept true by a test (`cargo chore docs` rewrites it).\n"
            .to_owned();
    for &command in COMMANDS {
        let output = Command::new(program()).args(command).arg("--help").env("COLUMNS", "100").output().unwrap();
        assert!(output.status.success(), "{command:?}");
        let name = [&["cargo xtask"], command].concat().join(" ");
        let help = String::from_utf8(output.stdout).unwrap();
        let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", help.trim_end()));
    }
    text
}

/// Of the examples under each command's help.
#[test]
fn every_example_of_help_is_a_command() {
    let help = help();
    let examples = help.lines().filter(|line| line.starts_with("  cargo xtask ")).map(str::trim);
    let examples: Vec<&str> = examples.map(|line| line.split(['#', '<', '>']).next().unwrap().trim()).collect();
    assert!(examples.len() > 50, "{examples:?}");
    let mistakes: Vec<String> = examples.into_iter().filter_map(|line| mistake(line, &help)).collect();
    assert_eq!(mistakes, Vec::<String>::new());
}

#[test]
fn the_command_line_reference_is_what_help_says() {
    let path = workspace().join("docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, help()).unwrap();
    }
    let same = fs::read_to_string(&path).unwrap_or_default() == help();
    assert!(same, "docs/cli.md is out of date: cargo chore docs");
}

#[test]
fn every_sentence_of_help_begins_with_a_capital_and_ends_without_a_stop() {
    for line in help().lines().filter(|line| line.starts_with("  ") && line.trim().len() > 30) {
        let Some((_, sentence)) = line.trim().split_once("  ") else { continue };
        let sentence = sentence.trim();
        if sentence.starts_with('[') || sentence.is_empty() {
            continue;
        }
        assert!(!sentence.ends_with('.'), "{line}");
    }
}

#[test]
fn the_version_is_in_the_changelog() {
    let changelog = fs::read_to_string(workspace().join("CHANGELOG.md")).unwrap();
    assert!(changelog.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_exit_code_is_documented() {
    let page = fs::read_to_string(workspace().join("docs/exit-codes.md")).unwrap();
    for code in [0, 1, 2, 3, 4, 5, 70, 130, 143] {
        assert!(page.contains(&format!("| {code} | `")), "{code}");
    }
}

/// What a document tells a user to type: lines of `sh` blocks, and code within a sentence.
fn commands(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    let mut shell = false;
    for line in text.lines() {
        match line.trim() {
            "```sh" => shell = true,
            fence if fence.starts_with("```") => shell = false,
            line if shell => found.push(line),
            line => found.extend(line.split('`').skip(1).step_by(2)),
        }
    }
    found
}

/// Why nobody can type `line`, where it is one of ours.
fn mistake(line: &str, help: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["cargo", "xtask", words @ ..] => {
            let (flags, words): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with("--"));
            let known = |length: usize| COMMANDS.contains(&&words[..length]);
            let length = (0..=words.len().min(2)).rev().find(|&length| known(length)).unwrap_or(0);
            let placeholder = words.first().is_none_or(|word| !word.starts_with(|c: char| c.is_ascii_lowercase()));
            if length == 0 && !placeholder {
                return Some(format!("`{line}` names no command"));
            }
            let title = [&["## `cargo xtask"], &words[..length]].concat().join(" ");
            let page = help.split_once(&format!("{title}`\n")).map_or("", |(_, page)| page);
            let page = page.split("\n## `").next().unwrap_or(page);
            let flag = flags.iter().find(|flag| !page.contains(flag.split('=').next().unwrap()));
            flag.map(|flag| format!("`{line}`: there is no `{flag}`"))
        }
        ["cargo", "chore", "bench", name, ..] if name.starts_with(|c: char| c.is_ascii_lowercase()) => {
            let file = workspace().join(format!("xtask/crates/chores/src/bench/{name}.rs"));
            (!file.exists()).then(|| format!("`{line}` names no benchmark"))
        }
        ["just", recipe, ..] => {
            let text = fs::read_to_string(workspace().join("justfile")).unwrap();
            let there = text.lines().any(|line| line.split([' ', ':']).next() == Some(recipe));
            (!there).then(|| format!("`{line}` names no recipe"))
        }
        ["npm", "run", script, ..] => {
            let text = fs::read_to_string(workspace().join("package.json")).unwrap();
            (!text.contains(&format!("\"{script}\": "))).then(|| format!("`{line}` names no script"))
        }
        _ => None,
    }
}

#[test]
fn the_readme_has_two_commands_a_picture_and_every_page() {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert_eq!(blocks, ["cargo xtask drill --sandbox", "cargo test"]);
    assert!(readme.split_once("\n## ").unwrap().0.contains("](docs/drill.svg)"), "at its top");
    let listed: Vec<&str> = links(&readme).collect();
    for page in fs::read_dir(workspace().join("docs")).unwrap().flatten() {
        let name = page.file_name().into_string().unwrap();
        assert!(
            !name.ends_with(".md") || listed.contains(&format!("docs/{name}").as_str()),
            "{name} is not in README.md"
        );
    }
}

/// The pages that people wrote; the others are made by programs.
#[test]
fn every_page_begins_with_its_question() {
    for page in fs::read_dir(workspace().join("docs")).unwrap().flatten() {
        let path = page.path();
        if path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("cli.md") {
            let text = fs::read_to_string(&path).unwrap();
            let title = text.lines().next().unwrap();
            assert!(title.starts_with("# ") && title.ends_with('?'), "{}: {title}", path.display());
        }
    }
}

#[test]
fn every_command_in_the_prose_is_one() {
    let (mut files, help) = (Vec::new(), help());
    let wrong = "cargo xtask forwrd\ncargo xtask reset --confrim\ncargo chore bench forwrd\njust migrate-production\nnpm run nothing";
    for wrong in wrong.lines() {
        assert!(mistake(wrong, &help).is_some(), "{wrong}");
    }
    markdown(workspace(), &mut files);
    let mut mistakes = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let found = commands(&text).into_iter().filter_map(|line| mistake(line, &help));
        mistakes.extend(found.map(|mistake| format!("{}: {mistake}", file.display())));
    }
    assert_eq!(mistakes, Vec::<String>::new());
}

/// A promise whose test was renamed or removed is none.
#[test]
fn every_test_that_the_pages_on_safety_and_reliability_name_is_there() {
    let mut sources = String::new();
    ["xtask/src", "xtask/tests", "xtask/crates"]
        .iter()
        .for_each(|folder| read(&workspace().join(folder), &mut sources));
    for page in ["docs/safety.md", "docs/reliability.md"] {
        let page = fs::read_to_string(workspace().join(page)).unwrap();
        let names = page.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 3);
        let names: Vec<&str> = names.filter(|name| !name.starts_with("PRISMA_")).collect();
        assert!(names.len() > 15, "{names:?}");
        for name in names {
            let test = name.rsplit("::").next().unwrap();
            assert!(sources.contains(&format!("fn {test}(")), "{name}");
        }
    }
}

fn read(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => read(&entry.path(), sources),
            false if entry.path().extension().is_some_and(|extension| extension == "rs") => {
                sources.push_str(&fs::read_to_string(entry.path()).unwrap());
            }
            false => {}
        }
    }
}

#[test]
fn no_env_file_can_be_committed() {
    for name in [".env", ".env.staging", ".env.production", "prisma/.env", "supabase/.env.local", ".env.staging.local"]
    {
        let ignored =
            Command::new("git").args(["check-ignore", "-q", "--no-index", name]).current_dir(workspace()).status();
        assert!(ignored.unwrap().success(), "{name} is not ignored");
    }
    let mut example = Command::new("git");
    example.args(["check-ignore", "-q", "--no-index", ".env.staging.example"]).current_dir(workspace());
    assert!(!example.status().unwrap().success(), "the example must be committed");
}

#[test]
fn a_program_that_is_called_directly_helps_under_the_name_that_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    let linked = folder.path().join("staging-drill");
    std::os::unix::fs::symlink(program(), &linked).unwrap();
    let said = |words: &[&str]| {
        let mut command = Command::new(&linked);
        command.args(words).current_dir("/");
        let output = command.output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let name = linked.display().to_string();
    let help = said(&["--help"]);
    assert!(help.contains(&format!("Usage: {name} [OPTIONS] <COMMAND>")) && !help.contains("cargo xtask"), "{help}");
    assert!(!help.contains("Rust"), "{help}");
    assert!(said(&["forward", "--nonsense"]).contains(&format!("Usage: {name} forward ")));
}
