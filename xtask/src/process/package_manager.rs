//! Which program installs the project's packages, told by its lock file: its words are the ones that a hint names.

use std::path::Path;

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
    /// Of the project in `folder`: in a monorepo the lock file lies above. npm, which comes with Node, where there is none.
    pub fn of(folder: &Path) -> PackageManager {
        let lock_in = |folder: &Path| LOCKS.iter().find(|(lock, _)| folder.join(lock).is_file());
        folder.ancestors().find_map(lock_in).map_or(PackageManager::Npm, |(_, manager)| *manager)
    }

    /// Brings what the lock file says.
    pub fn install(self) -> Hint {
        Hint::shell(match self {
            PackageManager::Npm => "npm ci",
            PackageManager::Pnpm => "pnpm install",
            PackageManager::Yarn => "yarn install",
            PackageManager::Bun => "bun install",
        })
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
        assert_eq!(said("pnpm-lock.yaml"), "pnpm install; pnpm add --save-dev --save-exact prisma@7");
        assert_eq!(said("yarn.lock"), "yarn install; yarn add --dev --exact prisma@7");
        assert_eq!(said("bun.lock"), "bun install; bun add --dev --exact prisma@7");
        assert_eq!(said("package-lock.json"), "npm ci; npm install --save-dev --save-exact prisma@7");
        assert_eq!(said("notes.txt"), "npm ci; npm install --save-dev --save-exact prisma@7");
    }
}
