//! What is in a release, as CycloneDX: the crates that the program is made of, by cargo-cyclonedx, and the npm packages of the project, by npm.

use anyhow::{Context, Result, ensure};
use chores::{cargo, shell, workspace};
use serde_json::Value;
use xshell::Shell;

const FOLDER: &str = "target/sbom";
const CRATES: &str = "staging-drill.cdx";

pub fn run() -> Result<()> {
    let shell = shell()?;
    shell.remove_path(FOLDER)?;
    shell.create_dir(FOLDER)?;
    crates(&shell)?;
    let npm =
        shell.cmd("npm").args(["sbom", "--package-lock-only", "--omit", "dev", "--sbom-format", "cyclonedx"]).read()?;
    shell.write_file(format!("{FOLDER}/npm.cdx.json"), npm)?;
    for entry in shell.read_dir(FOLDER)? {
        let count = check(&shell.read_file(&entry)?).with_context(|| entry.display().to_string())?;
        println!("{}: {count} components", entry.display());
    }
    Ok(())
}

/// It writes beside the manifest of each crate of the workspace.
fn crates(shell: &Shell) -> Result<()> {
    let words = ["cyclonedx", "--manifest-path", "xtask/Cargo.toml", "--format", "json", "--spec-version", "1.5"];
    cargo(shell).args(words).args(["--target", "all", "--override-filename", CRATES]).run()?;
    // Our own crates are named by where they lie on this machine.
    let text = shell.read_file(format!("xtask/{CRATES}.json"))?.replace(&workspace().display().to_string(), "");
    shell.write_file(format!("{FOLDER}/{CRATES}.json"), text)?;
    let libraries = shell.read_dir("xtask/crates")?.into_iter().map(|library| library.join(format!("{CRATES}.json")));
    libraries.chain([format!("xtask/{CRATES}.json").into()]).try_for_each(|beside| shell.remove_path(beside))?;
    Ok(())
}

/// How many components it names, each with a version and an address by which a scanner knows it.
fn check(text: &str) -> Result<usize> {
    let bom: Value = serde_json::from_str(text)?;
    ensure!(bom["bomFormat"] == "CycloneDX" && bom["specVersion"] == "1.5", "it is no CycloneDX 1.5");
    let components = bom["components"].as_array().context("it names no components")?;
    let is_known =
        |one: &&Value| one["version"].is_string() && one["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:"));
    let unknown: Vec<_> = components.iter().filter(|one| !is_known(one)).map(|one| one["name"].to_string()).collect();
    ensure!(!components.is_empty() && unknown.is_empty(), "components that no scanner would know: {unknown:?}");
    Ok(components.len())
}
