//! Programs that only tests run, pinned in a package of their own so that nobody who uses the drill has to download them: major 2 of the
//! Supabase CLI, and PostgREST's official client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder with their `node_modules`, installed on first use as the project's own packages are.
pub fn clients() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        if !folder.join("node_modules/.package-lock.json").is_file() {
            let status = Command::new("npm").args(["ci", "--no-audit"]).current_dir(&folder).status().unwrap();
            assert!(status.success(), "npm ci failed in {}", folder.display());
        }
        folder
    })
}
