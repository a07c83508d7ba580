//! The Prisma schema of this project at another commit, as git has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Failure, OrFail, Result};
use crate::hint::Hint;
use crate::process::{self, Exit, Invocation, locate, release};
use crate::session::Session;
use crate::settings::schema_files::{self, is_schema};

/// `path` relative to the schema, and what is in it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The schema that is here.
pub fn here(session: &Session<'_>) -> Result<Files> {
    let schema = &session.settings.prisma.schema;
    let files = schema_files::read(schema).blocked(|| "cannot read the Prisma schema")?;
    Ok(files.into_iter().map(|(path, text)| (relative(&path, schema), text)).collect())
}

fn relative(path: &Path, schema: &Path) -> PathBuf {
    match path.strip_prefix(schema) {
        Ok(inside) if !inside.as_os_str().is_empty() => inside.to_owned(),
        _ => PathBuf::from("schema.prisma"),
    }
}

pub struct Git<'a> {
    session: &'a Session<'a>,
    program: PathBuf,
}

impl<'a> Git<'a> {
    pub fn of(session: &'a Session<'a>) -> Result<Git<'a>> {
        let program = locate::on_path(session.settings, "git");
        let program =
            program.ok_or_else(|| Failure::blocked("git is not on PATH, which knows the schema of another commit"))?;
        Ok(Git { session, program })
    }

    /// What it prints; None where it fails.
    fn ask(&self, args: &[&str]) -> Result<Option<Vec<u8>>> {
        let settings = self.session.settings;
        let inherited = ["PATH", "HOME"].map(|name| (name, settings.variable(name).unwrap_or_default()));
        let invocation = Invocation::new(&self.program, &settings.root).args(args).envs(inherited);
        let (exit, stdout) = process::capture(&invocation, Duration::from_secs(10), self.session.interrupt)?;
        Ok((exit == Exit::Success).then_some(stdout))
    }

    pub fn commit(&self, reference: &str) -> Result<String> {
        let wanted = format!("{reference}^{{commit}}");
        let said = self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
        let said = said.ok_or_else(|| {
            Failure::usage(format!("there is no commit `{reference}` in this repo"))
                .note("nothing was changed")
                .hint("fetch it first, or name another commit, tag or branch with `--deployed`")
        })?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    fn file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
        self.ask(&["show", "--end-of-options", &format!("{commit}:./{path}")])
    }

    /// Where this commit left the main branch.
    pub fn merge_base(&self) -> Result<String> {
        for main in self.main_branches()? {
            if let Some(said) = self.ask(&["merge-base", "--end-of-options", "HEAD", &main])? {
                return Ok(String::from_utf8_lossy(&said).trim().to_owned());
            }
        }
        Err(Failure::blocked(
            "git knows no merge base with a main branch, as in a clone that is cut off or has no such branch",
        )
        .note("nothing was changed")
        .hint(Hint::shell("git fetch --unshallow origin")))
    }

    /// What a pull request goes to, where CI says it; what the remote says; what it is usually called.
    fn main_branches(&self) -> Result<Vec<String>> {
        let in_ci = ["GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"];
        let in_ci = in_ci.iter().filter_map(|name| self.session.settings.variable(name));
        let wanted: Vec<String> = in_ci
            .map(|branch| format!("refs/remotes/origin/{branch}"))
            .chain(
                ["remotes/origin/HEAD", "remotes/origin/main", "remotes/origin/master", "heads/main", "heads/master"]
                    .map(|name| format!("refs/{name}")),
            )
            .collect();
        let all = ["for-each-ref", "--format=%(refname)", "refs/remotes/origin", "refs/heads"];
        let there = self.ask(&all)?.map(|said| String::from_utf8_lossy(&said).into_owned()).unwrap_or_default();
        Ok(wanted.into_iter().filter(|name| there.lines().any(|line| line == name)).collect())
    }

    /// The names of the migrations at `commit`.
    pub fn migrations(&self, commit: &str) -> Result<Vec<String>> {
        let folder = self.session.settings.shown(&self.session.settings.prisma.migrations);
        let said =
            self.ask(&["ls-tree", "-d", "-z", "--name-only", commit, &format!("./{folder}/")])?.unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let names = said
            .split('\0')
            .filter_map(|path| Path::new(path).file_name())
            .map(|name| name.to_string_lossy().into_owned());
        Ok(names.collect())
    }

    pub fn schema(&self, commit: &str, reference: &str) -> Result<Files> {
        let schema = &self.session.settings.prisma.schema;
        let shown = self.session.settings.shown(schema);
        let listed =
            self.ask(&["ls-tree", "-r", "-z", "--name-only", commit, &format!("./{shown}")])?.unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut files = Files::new();
        for path in listed.split('\0').filter(|path| is_schema(Path::new(path))) {
            if let Some(text) = self.file(commit, path)? {
                files.insert(relative(&self.session.settings.root.join(path), schema), text);
            }
        }
        if files.is_empty() {
            return Err(Failure::blocked(format!("`{reference}` has no `{shown}`"))
                .note("nothing was changed")
                .hint("name a commit that has the schema where it is now, or leave out `--deployed`"));
        }
        Ok(files)
    }
}

/// The client has to be that of the release: another major makes another one.
pub fn check_major(session: &Session<'_>, git: &Git<'_>, commit: &str, reference: &str) -> Result<()> {
    let installed = release::major(&session.toolbox.prisma.version);
    let there = git.file(commit, "package.json")?.and_then(|text| major_in(&text));
    let why = match (there, installed) {
        (_, Some(installed)) if installed < 7 => "its client is tried with Prisma 7 and later alone".to_owned(),
        (Some(there), Some(installed)) if there != installed => {
            format!("it has Prisma {there}, and {installed} is installed here")
        }
        _ => return Ok(()),
    };
    Err(Failure::blocked(format!("the client of `{reference}` cannot be tried: {why}"))
        .note("nothing was changed")
        .hint("leave out `--deployed`"))
}

fn major_in(package: &[u8]) -> Option<u32> {
    let json: serde_json::Value = serde_json::from_slice(package).ok()?;
    let places = [
        ("dependencies", "@prisma/client"),
        ("dependencies", "prisma"),
        ("devDependencies", "prisma"),
        ("devDependencies", "@prisma/client"),
    ];
    let range = places.into_iter().find_map(|(section, name)| json[section][name].as_str())?;
    let digits: String =
        range.trim_start_matches(['^', '~', '=', '>', ' ', 'v']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_is_read_from_whatever_range_names_it() {
        let of = |text: &str| major_in(text.as_bytes());
        for range in ["6.19.0", "^6", "~6.1", ">=6.0.0", "v6.1.0"] {
            assert_eq!(of(&format!(r#"{{"devDependencies":{{"prisma":"{range}"}}}}"#)), Some(6));
        }
        for text in
            ["", "{}", r#"{"dependencies":{"prisma":"workspace:*"}}"#, r#"{"dependencies":{"prisma":"catalog:"}}"#]
        {
            assert_eq!(of(text), None);
        }
    }
}
