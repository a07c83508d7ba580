//! Who installs the repo's packages, and whether Prisma's are there, whole and of one version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pin::file;
use serde_json::Value;

use crate::error::{Failure, OrFail, Result};
use crate::hint::Hint;
use crate::process::locate::Toolbox;
use crate::settings::{PrismaSettings, Settings};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    Npm,
    Pnpm,
    Yarn,
    Bun,
}

/// The lock files, and whose they are.
const LOCKS: [(&str, Manager); 6] = [
    ("pnpm-lock.yaml", Manager::Pnpm),
    ("yarn.lock", Manager::Yarn),
    ("bun.lock", Manager::Bun),
    ("bun.lockb", Manager::Bun),
    ("package-lock.json", Manager::Npm),
    ("npm-shrinkwrap.json", Manager::Npm),
];

impl Manager {
    /// As `packageManager` of package.json says, else as the first lock file that is there; npm where nothing does.
    pub fn of(root: &Path) -> Manager {
        let said = manifest(root).and_then(|manifest| Some(manifest.get("packageManager")?.as_str()?.to_owned()));
        let all = [Manager::Npm, Manager::Pnpm, Manager::Yarn, Manager::Bun];
        let named =
            all.into_iter().find(|one| said.as_ref().is_some_and(|said| said.split('@').next() == Some(one.name())));
        let locked = || LOCKS.iter().find(|(lock, _)| root.join(lock).exists()).map(|(_, manager)| *manager);
        named.or_else(locked).unwrap_or(Manager::Npm)
    }

    pub fn name(self) -> &'static str {
        match self {
            Manager::Npm => "npm",
            Manager::Pnpm => "pnpm",
            Manager::Yarn => "yarn",
            Manager::Bun => "bun",
        }
    }

    /// What installs exactly what the lock file says.
    pub fn installs(self) -> &'static str {
        match self {
            Manager::Npm => "npm ci",
            Manager::Pnpm => "pnpm install --frozen-lockfile",
            Manager::Yarn => "yarn install --immutable",
            Manager::Bun => "bun install --frozen-lockfile",
        }
    }

    pub fn adds(self) -> &'static str {
        match self {
            Manager::Npm => "npm install --save-exact",
            Manager::Pnpm => "pnpm add --save-exact",
            Manager::Yarn => "yarn add --exact",
            Manager::Bun => "bun add --exact",
        }
    }

    /// What starts a program of the packages.
    pub fn runs(self) -> &'static str {
        match self {
            Manager::Npm => "npx",
            Manager::Pnpm => "pnpm exec",
            Manager::Yarn => "yarn",
            Manager::Bun => "bunx",
        }
    }

    /// The lock file that is there.
    pub fn lock(self, root: &Path) -> &'static str {
        let own = LOCKS.iter().filter(|(_, manager)| *manager == self).map(|(lock, _)| *lock);
        own.clone().find(|lock| root.join(lock).exists()).or_else(|| own.into_iter().next()).unwrap_or_default()
    }
}

const PRISMA: [&str; 2] = ["prisma", "@prisma/client"];

/// The release of Prisma that is installed, the same wherever it is.
///
/// # Errors
/// `blocked` where none is named, it is not installed or only half, or is there in two versions.
pub fn installed(settings: &Settings, prisma: &PrismaSettings, manager: Manager) -> Result<String> {
    // Under Plug'n'Play there is no folder to look at.
    if settings.root.join(".pnp.cjs").is_file() {
        return Toolbox::find(settings).map(|toolbox| toolbox.prisma.version);
    }
    let folders = folders(&settings.root, &prisma.schema);
    let wanted: BTreeSet<&str> =
        PRISMA.into_iter().filter(|name| folders.iter().any(|folder| names(folder, name))).collect();
    let found: Vec<Installed> =
        folders.iter().flat_map(|folder| PRISMA.map(|name| Installed::find(folder, name))).flatten().collect();
    let lacking = wanted.iter().find(|name| !found.iter().any(|one| one.name == **name));
    let broken = found.iter().find(|one| one.version.is_none());
    if let Some(what) =
        broken.map(|one| settings.shown(&one.folder)).or_else(|| lacking.map(|name| format!("node_modules/{name}")))
    {
        let is_there =
            if broken.is_some() { "is there only in part" } else { "is not there, and package.json asks for it" };
        return Err(Failure::blocked(format!("the packages are not installed whole: `{what}` {is_there}"))
            .hint(Hint::shell(manager.installs())));
    }
    let version = |name: &str| found.iter().find(|one| one.name == name).and_then(|one| one.version.clone());
    let Some(cli) = version(PRISMA[0]) else {
        return Err(Failure::blocked("package.json does not name `prisma`").hint(Hint::shell(manager.adds()).arg(
            match version(PRISMA[1]) {
                Some(client) => format!("prisma@{client}"),
                None => "prisma@7".to_owned(),
            },
        )));
    };
    one_version(settings, &found, &cli, manager)?;
    Ok(cli)
}

fn one_version(settings: &Settings, found: &[Installed], cli: &str, manager: Manager) -> Result<()> {
    if found.iter().all(|one| one.version.as_deref() == Some(cli)) {
        return Ok(());
    }
    let each = |one: &Installed| {
        format!("{} in `{}`", one.version.as_deref().unwrap_or_default(), settings.shown(&one.folder))
    };
    let each: Vec<String> = found.iter().map(each).collect();
    let hint = PRISMA.iter().fold(Hint::shell(manager.adds()), |hint, name| hint.arg(format!("{name}@{cli}")));
    Err(Failure::blocked(format!("Prisma is installed in two versions: {}", each.join(", "))).hint(hint))
}

/// The package of the schema, and all that it lies in, the nearest first.
fn folders(root: &Path, schema: &Path) -> Vec<PathBuf> {
    let inside = schema.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    inside.map(Path::to_path_buf).collect()
}

struct Installed {
    name: &'static str,
    folder: PathBuf,
    /// None where it is only half there.
    version: Option<String>,
}

impl Installed {
    fn find(folder: &Path, name: &'static str) -> Option<Installed> {
        let folder = folder.join("node_modules").join(name);
        folder.symlink_metadata().ok()?;
        let main = if name == "prisma" { "build/index.js" } else { "package.json" };
        let version = manifest(&folder).and_then(|manifest| Some(manifest.get("version")?.as_str()?.to_owned()));
        Some(Installed { name, version: version.filter(|_| folder.join(main).is_file()), folder })
    }
}

fn names(folder: &Path, package: &str) -> bool {
    let Some(manifest) = manifest(folder) else { return false };
    ["dependencies", "devDependencies"]
        .iter()
        .any(|kind| manifest.get(kind).and_then(|kind| kind.get(package)).is_some())
}

fn manifest(folder: &Path) -> Option<Value> {
    serde_json::from_str(&file::read_text(&folder.join("package.json"), file::LONGEST).ok()?).ok()
}

/// # Errors
/// `blocked` where there is no package.json that can be read.
pub fn check_manifest(root: &Path) -> Result<()> {
    let text = file::read_text(&root.join("package.json"), file::LONGEST).or_fail(|| {
        Failure::blocked("there is no `package.json` here").hint("name the folder of the project with `--root`")
    })?;
    let read: Result<Value, _> = serde_json::from_str(text.trim_start_matches('\u{feff}'));
    read.map(|_| ()).or_fail(|| Failure::blocked("`package.json` is not JSON").hint("correct it where the cause says"))
}
