use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use chores::{cargo, shell, workspace};
use xshell::{Shell, TempDir, cmd};

use super::samples::Samples;
use super::time;

/// Seconds of a cold build of the drill as it is committed, and of the crates of others alone, which are its floor
///
/// Each in an empty target folder, with the crates downloaded before. The budget is 75 s on 2 cores. On a busy machine it measures the
/// neighbours: what is built in turn can be compared, what was built an hour ago cannot.
#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 3)]
    runs: usize,

    /// Another commit, built in turn with this one
    #[arg(long, value_name = "COMMIT")]
    against: Option<String>,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        let shell = shell()?;
        let commits = ["HEAD"].into_iter().chain(self.against.as_deref());
        let mut programs = commits.map(|commit| Program::of(&shell, commit)).collect::<Result<Vec<_>>>()?;
        for _ in 0..self.runs {
            programs.iter_mut().try_for_each(|program| program.build(&shell))?;
        }
        let cores = std::thread::available_parallelism()?;
        println!("on {cores} cores (budget 75 s on 2):");
        for Program { commit, whole, others, .. } in &programs {
            println!("{commit}: median {:.1} s, the crates of others alone {:.1} s", whole.median(), others.median());
        }
        if let [ours, theirs] = &programs[..] {
            println!("{}", ours.whole.ratio_to(&theirs.whole));
            println!(
                "the crates of others alone to the whole of {}: {}",
                theirs.commit,
                ours.others.ratio_to(&theirs.whole)
            );
        }
        Ok(())
    }
}

/// The program of a commit, as often as it was built.
struct Program {
    commit: String,
    tree: TempDir,
    /// The same packages with nothing of ours in them.
    hollow: TempDir,
    whole: Samples,
    others: Samples,
}

impl Program {
    fn of(shell: &Shell, commit: &str) -> Result<Program> {
        let (tree, hollow) = (checkout(shell, commit)?, checkout(shell, commit)?);
        sources(shell, hollow.path())?.iter().try_for_each(|source| empty(source))?;
        let manifest = tree.path().join("Cargo.toml");
        cargo(shell).args(["fetch", "--quiet", "--locked", "--manifest-path"]).arg(manifest).quiet().run()?;
        let commit = cmd!(shell, "git rev-parse --short {commit}").quiet().read()?;
        Ok(Program { commit, tree, hollow, whole: Samples::default(), others: Samples::default() })
    }

    fn build(&mut self, shell: &Shell) -> Result<()> {
        let (whole, others) = (cold(shell, self.tree.path())?, cold(shell, self.hollow.path())?);
        println!("{}: cold build {whole:.1} s, the crates of others alone {others:.1} s", self.commit);
        self.whole.push(whole);
        self.others.push(others);
        Ok(())
    }
}

fn checkout(shell: &Shell, commit: &str) -> Result<TempDir> {
    let (root, tree) = (workspace(), shell.create_temp_dir()?);
    let folder = tree.path();
    let commit = cmd!(shell, "git rev-parse {commit}").quiet().read()?;
    cmd!(shell, "git clone --quiet --shared --no-checkout {root} {folder}").quiet().run()?;
    cmd!(shell, "git -C {folder} checkout --quiet --detach {commit}").quiet().run()?;
    Ok(tree)
}

/// Where each crate of ours begins.
fn sources(shell: &Shell, tree: &Path) -> Result<Vec<PathBuf>> {
    let roots = ["*/src/lib.rs", "*/src/main.rs"];
    Ok(cmd!(shell, "git -C {tree} ls-files {roots...}").quiet().read()?.lines().map(|root| tree.join(root)).collect())
}

fn empty(source: &Path) -> Result<()> {
    let is_program = source.ends_with("main.rs");
    fs::write(source, if is_program { "fn main() {}" } else { "" }).with_context(|| format!("{}", source.display()))
}

/// Seconds.
fn cold(shell: &Shell, tree: &Path) -> Result<f64> {
    let target = shell.create_temp_dir()?;
    let manifest = tree.join("Cargo.toml");
    let build =
        cargo(shell).args(["build", "--quiet", "--package", "xtask", "--locked", "--offline", "--manifest-path"]);
    let build = build.arg(manifest).env("CARGO_TARGET_DIR", target.path()).env_remove("CARGO_INCREMENTAL").quiet();
    Ok(time(|| Ok(build.run()?))? / 1e3)
}
