//! Yarn's Plug'n'Play: packages lie in archives that only its own hook opens, so Node is asked where Prisma is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Failure, OrFail, Result};
use crate::interrupt::Interrupt;
use crate::process::{self, Exit, Invocation};

const PROBE: &str = include_str!("pnp.cjs");
pub const HOOK: &str = ".pnp.cjs";

/// What the project has, each None where it does not declare it.
#[derive(Debug, Deserialize)]
pub struct Found {
    pub cli: Option<PathBuf>,
    pub version: Option<String>,
    /// The folder of `@prisma/engines`: on the disk where its install script ran, in an archive else.
    pub engines: Option<PathBuf>,
    /// Of the engine that the CLI wants.
    pub wanted: Option<String>,
    /// Of `@prisma/client`.
    pub client: Option<String>,
}

/// # Errors
/// `blocked` where Yarn's own file does not say.
pub fn prisma(node: &Path, hook: &Path, asker: &Path) -> Result<Found> {
    let unreadable = || format!("cannot read `{}`", hook.display());
    let folder = hook.parent().unwrap_or(hook);
    let invocation = Invocation::new(node, folder).args(["-e", PROBE]).arg(hook).arg(asker);
    match process::capture(&invocation, Duration::from_secs(30), &Interrupt::default())? {
        (Exit::Success, said) => serde_json::from_slice(&said).blocked(unreadable),
        (exit, _) => Err(Failure::blocked(unreadable()).because(format!("Node {}", exit.in_words()))),
    }
}

/// What Node is started with in `root` so that programs find their packages, as `yarn node` does it. Relative, since what ran is recorded.
pub fn node_arguments(root: &Path, hook: &Path) -> Vec<String> {
    let folder = hook.parent().unwrap_or(root);
    let above = root.strip_prefix(folder).unwrap_or(Path::new("")).components().count();
    let way = format!("./{}", "../".repeat(above));
    let mut arguments = vec!["--require".to_owned(), format!("{way}{HOOK}")];
    if folder.join(".pnp.loader.mjs").is_file() {
        let loader = format!("{way}.pnp.loader.mjs");
        arguments.extend(["--no-warnings".to_owned(), "--experimental-loader".to_owned(), loader]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as Yarn writes it, with the one method that is asked for: Yarn itself is not installed here.
    const YARNS: &str = r#"
        const folders = { "prisma": "cli", "@prisma/engines": "engines", "@prisma/engines-version": "wanted" };
        module.exports = {
          setup() {},
          resolveToUnqualified(name) {
            if (!folders[name]) throw new Error("it is not declared");
            return `${__dirname}/packages/${folders[name]}`;
          },
        };"#;

    #[test]
    fn node_is_asked_where_yarn_has_prisma() {
        let root = tempfile::tempdir().unwrap();
        let hook = root.path().join(HOOK);
        std::fs::write(&hook, YARNS).unwrap();
        for (name, version) in [("cli", "7.10.0"), ("engines", "7.10.0"), ("wanted", "7.10.0-4.abc")] {
            let folder = root.path().join("packages").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("package.json"), format!("{{\"version\":\"{version}\"}}")).unwrap();
        }
        let node = which::which("node").unwrap();
        let found = prisma(&node, &hook, &root.path().join("prisma/schema.prisma")).unwrap();
        assert_eq!(found.cli, Some(root.path().join("packages/cli")));
        let said = [found.version, found.wanted, found.client];
        assert_eq!(said, [Some("7.10.0".to_owned()), Some("7.10.0-4.abc".to_owned()), None]);
        std::fs::write(&hook, "throw new Error('no')").unwrap();
        let failure = prisma(&node, &hook, root.path()).unwrap_err();
        assert_eq!(failure.causes().collect::<Vec<_>>(), ["Node exited with code 1"]);
    }

    #[test]
    fn node_gets_yarns_hooks_by_the_way_that_leads_up_to_them() {
        let root = tempfile::tempdir().unwrap();
        let (hook, package) = (root.path().join(HOOK), root.path().join("packages/db"));
        assert_eq!(node_arguments(root.path(), &hook), ["--require", "./.pnp.cjs"]);
        std::fs::write(root.path().join(".pnp.loader.mjs"), "").unwrap();
        assert_eq!(
            node_arguments(&package, &hook).join(" "),
            "--require ./../../.pnp.cjs --no-warnings --experimental-loader ./../../.pnp.loader.mjs"
        );
    }
}
