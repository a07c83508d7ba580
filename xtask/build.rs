//! From which commit this program is built, for `--version`: the last one that changed what it is made of.
//!
//! Asked again where one of those files changes, and not at each commit: a commit elsewhere makes no other program.
#![allow(clippy::disallowed_methods, reason = "built before `process` and `settings` are")]
#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

use std::path::Path;
use std::process::Command;

/// What the program is made of.
pub const SOURCES: [&str; 12] = [
    "Cargo.lock",
    "Cargo.toml",
    "xtask/Cargo.toml",
    "xtask/build.rs",
    "xtask/src",
    "xtask/crates/driver",
    "xtask/crates/pin",
    "xtask/crates/public_suffix",
    "xtask/crates/redact",
    "xtask/crates/rowfile",
    "xtask/crates/script",
    "prisma/engine",
];

/// In git's own environment it would speak of the repository of a hook.
const OF_GIT: [&str; 3] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    for source in SOURCES.map(|source| root.join(source)).iter().filter(|source| source.exists()) {
        println!("cargo:rerun-if-changed={}", source.display());
    }
    let commit = commit(root).map(|commit| format!(" ({commit})")).unwrap_or_default();
    println!("cargo:rustc-env=DRILL_VERSION={}{commit}", env!("CARGO_PKG_VERSION"));
}

/// Twelve digits, and whether something was changed since; None where `root` is not the top of a repository, as in an archive, which may lie
/// in somebody else's.
pub fn commit(root: &Path) -> Option<String> {
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        OF_GIT.iter().for_each(|name| {
            git.env_remove(name);
        });
        let output = git.arg("--no-optional-locks").args(words).current_dir(root).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| said.trim().to_owned())
    };
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    let of_sources = |words: &[&str]| git(&[words, &["--"], &SOURCES].concat());
    let commit = of_sources(&["log", "-1", "--format=%H"])?;
    let changed = of_sources(&["status", "--porcelain"])?;
    let changed = if changed.is_empty() { "" } else { ", with changes" };
    Some(format!("{}{changed}", commit.get(..12)?))
}
