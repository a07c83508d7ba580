//! Packages that the drill brings itself, with npm and the settings of the user and the project, into folders of its own below `.drill`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{OrFail, Result};
use crate::process::{self, Exit};

pub struct NpmCache<'a> {
    /// The project, whose `.npmrc` counts.
    pub root: &'a Path,
    /// One folder for each that was brought.
    pub folder: PathBuf,
    pub npm: Option<PathBuf>,
    pub quiet: bool,
}

/// Why nothing could be brought.
pub const NO_NPM: &str = "`npm` is not on PATH";

/// The folder, or why there is none.
pub type Brought = std::result::Result<PathBuf, String>;

impl NpmCache<'_> {
    /// The folder of this name, with `package` in its `node_modules` and what `add` writes beside; there whole or not at all.
    ///
    /// # Errors
    /// `blocked` when it cannot be written.
    pub fn bring(&self, name: &str, package: &str, add: impl FnOnce(&Path) -> io::Result<()>) -> Result<Brought> {
        let folder = self.folder.join(name);
        if folder.is_dir() {
            return Ok(Ok(folder));
        }
        let Some(npm) = &self.npm else { return Ok(Err(NO_NPM.to_owned())) };
        let unwritable = || format!("cannot write to `{}`", self.folder.display());
        fs::create_dir_all(&self.folder).blocked(unwritable)?;
        let place = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.folder).blocked(unwritable)?;
        fs::write(place.path().join("package.json"), r#"{"private": true, "type": "module"}"#).blocked(unwritable)?;
        if let Some(settings) = self.root.ancestors().map(|folder| folder.join(".npmrc")).find(|file| file.is_file()) {
            symlink(settings, place.path().join(".npmrc")).blocked(unwritable)?;
        }
        if !self.quiet {
            // Some are tens of megabytes, and npm itself says nothing before it has ended.
            let _ = writeln!(io::stderr(), "not installed in the project, so brought once into `.drill`: {package}");
        }
        let words =
            ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=silent", package];
        match process::run_visibly(npm, &words, place.path())? {
            Exit::Success => {}
            exit => return Ok(Err(format!("`npm install {package}` {}", exit.in_words()))),
        }
        add(place.path()).blocked(unwritable)?;
        match fs::rename(place.path(), &folder) {
            // Another run has brought it meanwhile.
            Err(_) if folder.is_dir() => {}
            renamed => renamed.blocked(unwritable)?,
        }
        Ok(Ok(folder))
    }
}
