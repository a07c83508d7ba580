//! Whether Prisma's packages are there, whole and of one version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pin::file;
use serde_json::Value;

use crate::error::{Failure, OrFail, Result};
use crate::process::locate::{Toolbox, is_plug_and_play};
use crate::process::package_manager::PackageManager;
use crate::settings::{PrismaSettings, Settings};

const PRISMA: [&str; 2] = ["prisma", "@prisma/client"];

/// The release of Prisma that is installed, the same wherever it is.
///
/// # Errors
/// `blocked` where none is named, it is not installed or only half, or is there in two versions.
pub fn installed(settings: &Settings, prisma: &PrismaSettings, manager: PackageManager) -> Result<String> {
    if is_plug_and_play(&settings.root) {
        // There are no folders to look into; Yarn's own program answers, when Prisma is asked about the schema.
        return Ok(Toolbox::find(&Settings { prisma: prisma.clone(), ..settings.clone() })?.prisma.version);
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
            .hint(manager.install()));
    }
    let version = |name: &str| found.iter().find(|one| one.name == name).and_then(|one| one.version.clone());
    let Some(cli) = version(PRISMA[0]) else {
        let wanted = version(PRISMA[1]).unwrap_or_else(|| "7".to_owned());
        return Err(
            Failure::blocked("package.json does not name `prisma`").hint(manager.add(&format!("prisma@{wanted}")))
        );
    };
    one_version(settings, &found, &cli, manager)?;
    Ok(cli)
}

fn one_version(settings: &Settings, found: &[Installed], cli: &str, manager: PackageManager) -> Result<()> {
    if found.iter().all(|one| one.version.as_deref() == Some(cli)) {
        return Ok(());
    }
    let each = |one: &Installed| {
        format!("{} in `{}`", one.version.as_deref().unwrap_or_default(), settings.shown(&one.folder))
    };
    let each: Vec<String> = found.iter().map(each).collect();
    let hint = manager.change(&PRISMA.map(|name| format!("{name}@{cli}")));
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
