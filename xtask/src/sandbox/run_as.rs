//! How to run Postgres, which refuses to run as root, as whoever we are.
//!
//! Order by how little each needs: as ourselves; as root inside a user namespace, where root appears as `nobody` and the
//! files stay ours; as root in a container that forbids namespaces, as the real `nobody` from a copy that it can read.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{OrFail, Result};
use crate::interrupt::Interrupt;
use crate::process::{self, Exit, Invocation};

/// `nobody` on every Linux that has the account; Postgres wants its user to be in the passwd file.
const NOBODY: u32 = 65534;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privileges {
    Own,
    Namespace,
    Nobody,
}

impl Privileges {
    /// Finds the least that works here, by trying.
    pub fn find(search_path: &str, interrupt: &Interrupt) -> Privileges {
        if !rustix::process::geteuid().is_root() {
            return Privileges::Own;
        }
        let probe = namespaced(Path::new("true"), Path::new("/")).env("PATH", search_path);
        match process::capture(&probe, Duration::from_secs(5), interrupt) {
            Ok((Exit::Success, _)) => Privileges::Namespace,
            _ => Privileges::Nobody,
        }
    }

    pub fn invocation(&self, program: &Path, dir: &Path) -> Invocation {
        match self {
            Privileges::Own => Invocation::new(program, dir),
            Privileges::Namespace => namespaced(program, dir),
            Privileges::Nobody => Invocation::new(program, dir).user(NOBODY),
        }
    }

    /// Where the programs can be run from: as they lie, or a copy that `nobody` can read.
    pub fn programs(&self, native: &Path, base: &Path) -> Result<PathBuf> {
        if *self != Privileges::Nobody {
            return Ok(native.to_path_buf());
        }
        let copy = base.join("native");
        if !copy.join("bin/postgres").is_file() {
            copy_tree(native, &copy).blocked(|| "cannot copy the embedded Postgres for `nobody`")?;
        }
        Ok(copy)
    }

    /// Makes `dir` a folder that the server's user owns.
    pub fn own(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        if *self == Privileges::Nobody { chown(dir, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
    }
}

fn namespaced(program: &Path, dir: &Path) -> Invocation {
    let map = format!("--map-user={NOBODY}");
    Invocation::new("unshare", dir).args(["--user", &map, &format!("--map-group={NOBODY}")]).arg(program)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
