//! A copy of the project in a temporary folder, with a sandbox and a binary of its own: a build beside a run of minutes would replace the
//! workspace's.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result};
use chores::setup;
use xshell::{Cmd, Shell, TempDir, cmd};

use super::xtask;

pub const OURS: &str = include_str!("../../../../../drill.toml");

pub struct Scratch {
    folder: TempDir,
    /// Stands in the folder.
    pub shell: Shell,
}

impl Scratch {
    /// With these targets and timeouts, and all else as this repo has it.
    pub fn new(drill_toml: &str) -> Result<Scratch> {
        let shell = chores::shell()?;
        let folder = shell.create_temp_dir()?;
        let root = folder.path();
        shell.copy_file(xtask(&shell)?, root.join("xtask"))?;
        cmd!(shell, "cp -r prisma supabase package.json package-lock.json .gitignore {root}").quiet().run()?;
        symlink(setup::packages().join("node_modules"), root.join("node_modules"))?;
        let (_, ours) = OURS.split_once("\n[prisma]\n").context("drill.toml has a section `[prisma]`")?;
        shell.write_file(root.join("drill.toml"), format!("{drill_toml}\n[prisma]\n{ours}"))?;
        shell.change_dir(root);
        Ok(Scratch { folder, shell })
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The drill's program, acting on this project.
    pub fn xtask(&self) -> Cmd<'_> {
        self.shell.cmd(self.path("xtask")).arg("--root").arg(self.folder.path()).quiet()
    }

    /// Of the sandbox, without parameters.
    pub fn sandbox_url(&self) -> Result<String> {
        let url = self.xtask().args(["sandbox", "url"]).read()?;
        Ok(url.split('?').next().unwrap_or_default().to_owned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.xtask().args(["sandbox", "down", "--quiet"]).run();
    }
}
