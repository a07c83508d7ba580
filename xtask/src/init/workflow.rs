//! The workflow for GitHub: the embedded Postgres for everybody, then staging for branches of the repository itself.

use std::path::Path;

use crate::error::Result;
use crate::hint::Aim;
use crate::init::change::Change;
use crate::init::recipes::{PACKAGE, PROGRAM};
use crate::init::repo::Repo;
use crate::process::package_manager::PackageManager;

const PATH: &str = ".github/workflows/staging-drill.yml";
const TEMPLATE: &str = include_str!("staging-drill.yml");

pub fn change(repo: &Repo<'_>) -> Result<Option<Change>> {
    Ok(Change::new_file(repo.root(), PATH, || text(repo)))
}

fn text(repo: &Repo<'_>) -> String {
    let prisma = &repo.prisma;
    let around = |path: &Path| path.parent().map(|folder| repo.shown(folder)).filter(|folder| !folder.is_empty());
    let mut paths: Vec<String> = [around(&prisma.schema), around(&prisma.migrations)]
        .into_iter()
        .flatten()
        .map(|path| format!("{path}/**"))
        .collect();
    paths.extend([repo.shown(&prisma.schema), "drill.toml".to_owned(), repo.manager.lock(repo.root()).to_owned()]);
    paths.dedup();
    let paths: Vec<String> = paths.iter().map(|path| format!("      - {path:?}")).collect();
    let setup: String = setup(repo.manager).iter().map(|line| format!("      {line}\n")).collect();
    let values = [
        ("@PATHS\n", format!("{}\n", paths.join("\n"))),
        ("@CACHE", cache(repo.manager).to_owned()),
        ("@SETUP\n", setup),
        ("@PROGRAM", PROGRAM.to_owned()),
        ("@PACKAGE", PACKAGE.to_owned()),
        ("@URL_ENV", prisma.url_env.clone()),
    ];
    values.iter().fold(TEMPLATE.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// Of the others the manager is not there yet when Node is set up, which would stop it.
fn cache(manager: PackageManager) -> &'static str {
    match manager {
        PackageManager::Npm => "cache: npm",
        PackageManager::Pnpm | PackageManager::Yarn | PackageManager::Bun => "package-manager-cache: false",
    }
}

fn setup(manager: PackageManager) -> Vec<String> {
    let before = match manager {
        PackageManager::Npm => None,
        PackageManager::Pnpm | PackageManager::Yarn => Some("- run: corepack enable"),
        PackageManager::Bun => Some("- uses: oven-sh/setup-bun@0c5077e51419868618aeaa5fe8019c62421857d6 # v2.2.0"),
    };
    before
        .map(str::to_owned)
        .into_iter()
        .chain([format!("- run: {}", manager.install().line(&Aim::default()))])
        .collect()
}
