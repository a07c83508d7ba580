//! The programs that a run is made of: Node, the project's packages, Prisma and its engine, the Supabase CLI.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

use crate::causes::{engine, packages};
use crate::doctor::Patient;
use crate::doctor::check::Check;
use crate::error::Failure;
use crate::process::NO_NPM;
use crate::process::locate::{self, Engine};
use crate::process::package_manager::PackageManager;
use crate::process::prisma_cli::Package;
use crate::settings::Settings;

/// What Prisma's installer reads to find its binaries.
const MIRRORS: [&str; 3] = ["PRISMA_ENGINES_MIRROR", "PRISMA_BINARIES_MIRROR", "HTTPS_PROXY"];

pub fn node(patient: &Patient) -> Vec<Check> {
    const NAME: &str = "node";
    let found =
        locate::node(&patient.settings).and_then(|node| Ok((locate::node_version(&node, &patient.interrupt)?, node)));
    vec![match found {
        Ok((version, node)) => Check::ok(NAME, format!("{version}, `{}`", node.display())),
        Err(failure) => Check::of_failure(NAME, &failure, None),
    }]
}

pub fn packages(patient: &Patient) -> Vec<Check> {
    let settings = &patient.settings;
    let owner = owner(settings);
    let Ok((node, _)) = patient.node() else {
        return vec![owner, Check::skipped("prisma", "needs Node"), Check::skipped("engine", "needs Node")];
    };
    let prisma = match locate::prisma(settings, &node) {
        Ok(prisma) => prisma,
        Err(failure) => {
            let missing = Check::of_failure("prisma", &failure, Some(&packages::NOT_INSTALLED));
            return vec![owner, missing, Check::skipped("engine", "needs Prisma's CLI")];
        }
    };
    let manager = PackageManager::of(&settings.root).name();
    let found = Check::ok("prisma", format!("{}, installed by {manager}", prisma.version));
    vec![owner, found, engine(settings, &prisma)]
}

/// Root may write anything.
fn owner(settings: &Settings) -> Check {
    const NAME: &str = "packages";
    let folder = settings.root.join("node_modules");
    let Ok(meta) = std::fs::metadata(&folder) else {
        return Check::skipped(NAME, "there is no `node_modules` in the project's folder");
    };
    let user = geteuid();
    if user.is_root() || meta.uid() == user.as_raw() {
        return Check::ok(NAME, "`node_modules` is this user's");
    }
    let hint = packages::MODULES_OWNER.hint(&[("user", &user.as_raw().to_string()), ("folder", "node_modules")]);
    Check::warn(NAME, format!("`node_modules` belongs to the user {}", meta.uid()), hint)
}

fn engine(settings: &Settings, prisma: &Package) -> Check {
    const NAME: &str = "engine";
    match locate::engine(settings, prisma, None) {
        Ok(Engine::Native(native)) => match &native.instead_of {
            None => Check::ok(NAME, native.in_words()),
            Some(_) => {
                let install = PackageManager::of(&settings.root).install();
                Check::warn(NAME, native.in_words(), install.see(engine::ENGINE_OF_ANOTHER.name))
            }
        },
        Ok(wasm @ Engine::Wasm { .. }) => Check::ok(NAME, format!("{}{}", wasm.in_words(), why_not_native(settings))),
        Err(failure) if may_bring(settings, &failure) => {
            Check::warn(NAME, engine::ENGINE_TO_BRING.title, engine::ENGINE_TO_BRING.hint(&[]))
        }
        Err(failure) => Check::of_failure(NAME, &failure, Some(&engine::NO_ENGINE)),
    }
}

/// Nothing but the bringing is missing.
fn may_bring(settings: &Settings, failure: &Failure) -> bool {
    locate::on_path(settings, "npm").is_some() && failure.causes().any(|cause| cause == NO_NPM)
}

fn why_not_native(settings: &Settings) -> String {
    let set: Vec<&str> = MIRRORS.into_iter().filter(|name| settings.variable(name).is_some()).collect();
    let with = if set.is_empty() {
        "PRISMA_ENGINES_MIRROR or HTTPS_PROXY would let an install download it".to_owned()
    } else {
        format!("{} did not help", set.join(" and "))
    };
    format!("; the native one was not downloaded when Prisma was installed: {with}")
}

pub fn supabase(patient: &Patient) -> Vec<Check> {
    const NAME: &str = "supabase-cli";
    let settings = &patient.settings;
    if settings.supabase.mirror_sql.as_deref().is_none_or(|script: &Path| !script.is_file()) {
        return vec![Check::skipped(NAME, "this project has no mirror's script")];
    }
    if !settings.root.join("node_modules").exists() && locate::supabase(settings).is_none() {
        return vec![Check::skipped(NAME, "needs the project's packages")];
    }
    vec![match crate::tools::supabase::Supabase::find(settings) {
        Ok(cli) => Check::ok(NAME, cli.version()),
        Err(failure) => {
            let missing = locate::supabase(settings).is_none();
            let cause = if missing { &packages::SUPABASE_MISSING } else { &packages::SUPABASE_UNSUPPORTED };
            Check::of_failure(NAME, &failure, Some(cause))
        }
    }]
}
