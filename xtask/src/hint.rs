//! One thing to do about a failure, as a value: a command names no target until it is rendered for the run that failed.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// How the program is started in its own workspace.
pub const CARGO: &str = "cargo xtask";

/// What a run acts on, as far as its flags said so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aim {
    /// What this program was started with, for a shell; None for `cargo xtask`.
    pub program: Option<String>,
    /// None for the default.
    pub target: Option<String>,
    pub sandbox: bool,
    pub root: Option<PathBuf>,
    pub env_file: Option<PathBuf>,
}

/// Rendered, each is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    what: What,
    /// The page of the known cause that it belongs to.
    page: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// A command of ours.
    Run(String),
    /// A command of another program, as it is typed in the project's folder.
    Shell(String),
    /// A statement for whoever may run it on the server.
    Sql(String),
    /// What no shell can do: a sentence.
    Advice(String),
}

/// Where the pages of known causes are, one a name.
pub const PAGES: &str = "docs/failures";

impl Hint {
    /// `words` as they follow the program; what varies is added with `arg`, so that it is always quoted.
    pub fn run(words: &'static str) -> Hint {
        Hint::new(What::Run(words.to_owned()))
    }

    /// As `run`, where what varies is filled in and quoted already.
    pub fn run_filled(words: String) -> Hint {
        Hint::new(What::Run(words))
    }

    pub fn shell(words: impl Into<String>) -> Hint {
        Hint::new(What::Shell(words.into()))
    }

    pub fn sql(statement: impl Into<String>) -> Hint {
        Hint::new(What::Sql(statement.into()))
    }

    fn new(what: What) -> Hint {
        Hint { what, page: None }
    }

    /// Ends with the name of its cause's page.
    #[must_use]
    pub fn see(self, page: &'static str) -> Hint {
        Hint { page: Some(page), ..self }
    }

    /// The name of its cause's page.
    pub fn page(&self) -> Option<&'static str> {
        self.page
    }

    /// What is to be done where no command does it.
    pub fn advice(&self) -> Option<&str> {
        if let What::Advice(text) = &self.what { Some(text) } else { None }
    }

    /// What is left to do where a program failed at something that is not known. `log` as the project's root sees it.
    pub fn read(log: impl Display) -> Hint {
        Hint::shell("less").arg(log)
    }

    /// Puts all rows of a snapshot back.
    pub fn restore(snapshot: &str) -> Hint {
        Hint::run("restore").arg(snapshot).arg("--confirm")
    }

    /// Adds one word to a command.
    #[must_use]
    pub fn arg(self, word: impl Display) -> Hint {
        let add = |words: String| format!("{words} {}", quoted(&word.to_string()));
        let what = match self.what {
            What::Run(words) => What::Run(add(words)),
            What::Shell(words) => What::Shell(add(words)),
            no_command => no_command,
        };
        Hint { what, ..self }
    }

    /// What a user can paste, with the flags that lead to the database of this run.
    pub fn command(&self, aim: &Aim) -> Option<String> {
        match &self.what {
            What::Run(words) => {
                let program = aim.program.as_deref().unwrap_or(CARGO);
                Some(format!("{program} {words}{}", aim.flags(words)))
            }
            What::Shell(words) => Some(match &aim.root {
                Some(root) => format!("(cd {} && {words})", shown(root)),
                None => words.clone(),
            }),
            What::Sql(_) | What::Advice(_) => None,
        }
    }

    /// The line behind `hint:`. What can be pasted stays so: there the page's name is a comment.
    pub fn line(&self, aim: &Aim) -> String {
        let see = |how| self.page.map(|page| format!("{how} see {PAGES}/{page}")).unwrap_or_default();
        match &self.what {
            What::Advice(text) => text.clone() + &see(";"),
            What::Sql(statement) => statement.clone() + &see("; --"),
            What::Run(_) | What::Shell(_) => self.command(aim).unwrap_or_default() + &see("  #"),
        }
    }
}

impl From<&str> for Hint {
    fn from(advice: &str) -> Hint {
        Hint::new(What::Advice(advice.to_owned()))
    }
}

impl From<String> for Hint {
    fn from(advice: String) -> Hint {
        Hint::new(What::Advice(advice))
    }
}

impl Aim {
    /// For the sandbox's own commands, which need no flag to say what they act on.
    #[must_use]
    pub fn on_sandbox(self) -> Aim {
        Aim { target: None, sandbox: true, env_file: None, ..self }
    }

    fn flags(&self, words: &str) -> String {
        let named = words.starts_with("sandbox ") || words.split(' ').any(|word| word == "--sandbox");
        let sandbox = (self.sandbox && !named).then(|| " --sandbox".to_owned());
        let target = self.target.as_deref().filter(|_| !named).map(|name| format!(" --target {}", quoted(name)));
        let path = |flag, path: &Option<PathBuf>| path.as_deref().map(|path| format!(" {flag} {}", shown(path)));
        let flags = [sandbox, target, path("--root", &self.root), path("--env-file", &self.env_file)];
        flags.into_iter().flatten().collect()
    }
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// One word for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(target: Option<&str>, sandbox: bool, root: Option<&str>, env_file: Option<&str>) -> Aim {
        Aim {
            program: None,
            target: target.map(str::to_owned),
            sandbox,
            root: root.map(Into::into),
            env_file: env_file.map(Into::into),
        }
    }

    #[test]
    fn a_command_carries_the_flags_of_its_run() {
        let mut lines = Vec::new();
        for (target, sandbox) in [(None, false), (Some("qa"), false), (None, true)] {
            for root in [None, Some("../other project")] {
                for env_file in [None, Some("it's.env")] {
                    let aim = aim(target, sandbox, root, env_file);
                    lines.push(Hint::run("backward --failed").line(&aim));
                }
            }
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        cargo xtask backward --failed
        cargo xtask backward --failed --env-file 'it'\''s.env'
        cargo xtask backward --failed --root '../other project'
        cargo xtask backward --failed --root '../other project' --env-file 'it'\''s.env'
        cargo xtask backward --failed --target qa
        cargo xtask backward --failed --target qa --env-file 'it'\''s.env'
        cargo xtask backward --failed --target qa --root '../other project'
        cargo xtask backward --failed --target qa --root '../other project' --env-file 'it'\''s.env'
        cargo xtask backward --failed --sandbox
        cargo xtask backward --failed --sandbox --env-file 'it'\''s.env'
        cargo xtask backward --failed --sandbox --root '../other project'
        cargo xtask backward --failed --sandbox --root '../other project' --env-file 'it'\''s.env'
        ");
    }

    #[test]
    fn a_command_begins_as_the_user_began() {
        let aim = Aim { program: Some("npx staging-drill".to_owned()), ..aim(None, true, None, None) };
        assert_eq!(Hint::run("forward").line(&aim), "npx staging-drill forward --sandbox");
        assert_eq!(Hint::run("sandbox up").line(&aim.clone().on_sandbox()), "npx staging-drill sandbox up");
        assert_eq!(Hint::shell("npm ci").line(&aim), "npm ci");
    }

    #[test]
    fn what_names_the_sandbox_already_gets_no_second_flag() {
        let aim = aim(None, true, Some("/p"), None);
        assert_eq!(Hint::run("sandbox up").line(&aim), "cargo xtask sandbox up --root /p");
        assert_eq!(Hint::run("forward --sandbox").line(&aim), "cargo xtask forward --sandbox --root /p");
        assert_eq!(Hint::run("forward").line(&aim), "cargo xtask forward --sandbox --root /p");
        let elsewhere = super::Aim { target: Some("qa".to_owned()), env_file: Some("x".into()), ..Aim::default() };
        assert_eq!(Hint::run("sandbox url").line(&elsewhere.on_sandbox()), "cargo xtask sandbox url");
    }

    #[test]
    fn what_varies_is_one_word_for_the_shell() {
        let hint = |name: &str| Hint::run("restore").arg(name).arg("--confirm").line(&Aim::default());
        assert_eq!(hint("20261123T000000Z-a1b2c3"), "cargo xtask restore 20261123T000000Z-a1b2c3 --confirm");
        assert_eq!(hint("it's; rm -rf ~"), r"cargo xtask restore 'it'\''s; rm -rf ~' --confirm");
        assert_eq!(hint(""), "cargo xtask restore '' --confirm");
        assert_eq!(hint("$(id)"), "cargo xtask restore '$(id)' --confirm");
    }

    #[test]
    fn only_a_command_can_be_pasted() {
        let aim = aim(None, true, None, None);
        assert_eq!(Hint::shell("npm ci").command(&aim).as_deref(), Some("npm ci"));
        let there = Aim { root: Some("../other project".into()), ..Aim::default() };
        assert_eq!(Hint::shell("npm ci").line(&there), "(cd '../other project' && npm ci)");
        let advice = Hint::from("start the server");
        assert_eq!((advice.line(&aim).as_str(), advice.command(&aim)), ("start the server", None));
    }

    /// The target of a command in a text would be the default's, whatever the run acts on.
    #[test]
    fn no_hint_of_the_source_is_a_text_with_a_command() {
        let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    for hint in text.split(".hint(").skip(1) {
                        let line = hint.trim_start().lines().next().unwrap_or_default();
                        let is_text = line.starts_with('"') || line.starts_with("format!");
                        let is_command = ["cargo xtask", "npm ", "git "].iter().any(|word| line.contains(word));
                        assert!(!(is_text && is_command), "{}: {line}", path.display());
                    }
                }
            }
        }
    }
}
