//! Where npm packages lie on disk, by Node's own rule: in the `node_modules` of a folder or of one above it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    version: String,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

/// The folder of `package`, or a file in it, as a program in `folder` finds it.
pub fn find(folder: &Path, package: &str) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join("node_modules").join(package)).find(|found| found.exists())
}

/// As `find`, for what lies at `path`: what it needs lies beside its real place, which under pnpm is not where the project sees it.
pub fn find_beside(path: &Path, package: &str) -> Option<PathBuf> {
    find(&path.canonicalize().ok()?, package)
}

pub fn version(folder: &Path) -> Option<String> {
    manifest(folder).map(|manifest| manifest.version)
}

/// Of what Prisma's CLI in `folder` needs before any command, the first package that is not there: an install that was broken off.
pub fn missing_of_cli(folder: &Path) -> Option<String> {
    let own = |name: &String| ["@prisma/config", "@prisma/engines"].contains(&name.as_str());
    missing(folder, own).or_else(|| {
        let parts = ["@prisma/config", "@prisma/engines"].into_iter().filter_map(|name| find_beside(folder, name));
        parts.into_iter().find_map(|part| missing(&part, |_| true))
    })
}

fn missing(folder: &Path, counts: impl Fn(&String) -> bool) -> Option<String> {
    let names = manifest(folder)?.dependencies.into_keys().filter(counts);
    names.into_iter().find(|name| find_beside(folder, name).is_none_or(|found| manifest(&found).is_none()))
}

fn manifest(folder: &Path) -> Option<Manifest> {
    serde_json::from_slice(&std::fs::read(folder.join("package.json")).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &Path, text: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("package.json"), text).unwrap();
    }

    #[test]
    fn an_install_that_was_broken_off_is_told_by_what_it_lacks() {
        let root = tempfile::tempdir().unwrap();
        let modules = root.path().join("node_modules");
        let cli = modules.join("prisma");
        let needs = r#"{"version":"7.0.0","dependencies":{"@prisma/config":"7.0.0","@prisma/dev":"1","@prisma/engines":"7.0.0"}}"#;
        package(&cli, needs);
        assert_eq!(missing_of_cli(&cli).as_deref(), Some("@prisma/config"));
        package(&modules.join("@prisma/config"), r#"{"version":"7.0.0","dependencies":{"c12":"3"}}"#);
        std::fs::create_dir_all(modules.join("@prisma/engines")).unwrap();
        assert_eq!(missing_of_cli(&cli).as_deref(), Some("@prisma/engines"), "a folder without its package.json");
        package(&modules.join("@prisma/engines"), r#"{"version":"7.0.0"}"#);
        assert_eq!(missing_of_cli(&cli).as_deref(), Some("c12"));
        package(&modules.join("c12"), r#"{"version":"3.0.0"}"#);
        assert_eq!(missing_of_cli(&cli), None, "what only `prisma dev` needs may be left out");
    }
}
