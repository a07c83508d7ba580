//! Which program installs the project's packages, told by its lock file: its words are the ones that a hint names.

use std::path::Path;

use pin::file;
use serde_json::Value;

use crate::hint::Hint;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageManager {
    Npm,
    Pnpm,
    Yarn,
    Bun,
}

const LOCKS: [(&str, PackageManager); 6] = [
    ("pnpm-lock.yaml", PackageManager::Pnpm),
    ("yarn.lock", PackageManager::Yarn),
    ("bun.lock", PackageManager::Bun),
    ("bun.lockb", PackageManager::Bun),
    ("package-lock.json", PackageManager::Npm),
    ("npm-shrinkwrap.json", PackageManager::Npm),
];

impl PackageManager {
    /// Of the project in `folder`: in a monorepo it is said above. npm, which comes with Node, where nothing says.
    pub fn of(folder: &Path) -> PackageManager {
        let lock_in = |folder: &Path| LOCKS.iter().find(|(lock, _)| folder.join(lock).is_file());
        let said = |folder: &Path| Self::named(folder).or_else(|| lock_in(folder).map(|(_, manager)| *manager));
        folder.ancestors().find_map(said).unwrap_or(PackageManager::Npm)
    }

    /// By `packageManager` of package.json.
    fn named(folder: &Path) -> Option<PackageManager> {
        let manifest = file::read_text(&folder.join("package.json"), file::LONGEST).ok()?;
        let manifest: Value = serde_json::from_str(&manifest).ok()?;
        let named = manifest.get("packageManager")?.as_str()?.split('@').next()?.to_owned();
        let all = [PackageManager::Npm, PackageManager::Pnpm, PackageManager::Yarn, PackageManager::Bun];
        all.into_iter().find(|one| one.name() == named)
    }

    pub fn name(self) -> &'static str {
        match self {
            PackageManager::Npm => "npm",
            PackageManager::Pnpm => "pnpm",
            PackageManager::Yarn => "yarn",
            PackageManager::Bun => "bun",
        }
    }

    /// Brings exactly what the lock file says.
    pub fn install(self) -> Hint {
        Hint::shell(match self {
            PackageManager::Npm => "npm ci",
            PackageManager::Pnpm => "pnpm install --frozen-lockfile",
            PackageManager::Yarn => "yarn install --immutable",
            PackageManager::Bun => "bun install --frozen-lockfile",
        })
    }

    /// What starts a program of the packages.
    pub fn runs(self) -> &'static str {
        match self {
            PackageManager::Npm => "npx",
            PackageManager::Pnpm => "pnpm exec",
            PackageManager::Yarn => "yarn",
            PackageManager::Bun => "bunx",
        }
    }

    /// The lock file in `root`, or how it would be called.
    pub fn lock(self, root: &Path) -> &'static str {
        let own = LOCKS.iter().filter(|(_, manager)| *manager == self).map(|(lock, _)| *lock);
        own.clone().find(|lock| root.join(lock).exists()).or_else(|| own.into_iter().next()).unwrap_or_default()
    }

    /// A script of package.json.
    pub fn run(self, script: &str) -> Hint {
        let words = match self {
            PackageManager::Npm => "npm run",
            PackageManager::Pnpm => "pnpm run",
            PackageManager::Yarn => "yarn run",
            PackageManager::Bun => "bun run",
        };
        Hint::shell(words).arg(script)
    }

    /// Brings exactly these versions of packages that package.json names already.
    pub fn change(self, packages: &[String]) -> Hint {
        let words = match self {
            PackageManager::Npm => "npm install --save-exact",
            PackageManager::Pnpm => "pnpm add --save-exact",
            PackageManager::Yarn => "yarn add --exact",
            PackageManager::Bun => "bun add --exact",
        };
        packages.iter().fold(Hint::shell(words), Hint::arg)
    }

    /// Brings exactly this version of a package, for development.
    pub fn add(self, package: &str) -> Hint {
        let words = match self {
            PackageManager::Npm => "npm install --save-dev --save-exact",
            PackageManager::Pnpm => "pnpm add --save-dev --save-exact",
            PackageManager::Yarn => "yarn add --dev --exact",
            PackageManager::Bun => "bun add --dev --exact",
        };
        Hint::shell(words).arg(package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Aim;

    #[test]
    fn the_lock_file_here_or_above_says_which_it_is() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("packages/db");
        std::fs::create_dir_all(&package).unwrap();
        let said = |lock: &str| {
            std::fs::write(root.path().join(lock), "").unwrap();
            let manager = PackageManager::of(&package);
            std::fs::remove_file(root.path().join(lock)).unwrap();
            [manager.install(), manager.add("prisma@7")].map(|hint| hint.line(&Aim::default())).join("; ")
        };
        assert_eq!(said("pnpm-lock.yaml"), "pnpm install --frozen-lockfile; pnpm add --save-dev --save-exact prisma@7");
        assert_eq!(said("yarn.lock"), "yarn install --immutable; yarn add --dev --exact prisma@7");
        assert_eq!(said("bun.lock"), "bun install --frozen-lockfile; bun add --dev --exact prisma@7");
        assert_eq!(said("package-lock.json"), "npm ci; npm install --save-dev --save-exact prisma@7");
        assert_eq!(said("notes.txt"), "npm ci; npm install --save-dev --save-exact prisma@7");
    }
}
