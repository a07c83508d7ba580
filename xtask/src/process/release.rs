//! Which releases of Prisma the drill knows: flags, exit codes and the engine's protocol were measured for these.

use crate::causes::engine::NO_ENGINE;
use crate::causes::packages::PRISMA_UNSUPPORTED;
use crate::error::{Failure, Result};
use crate::process::package_manager::PackageManager;
use crate::settings::{PrismaSettings, Settings};

/// The oldest release whose engine is on npm as WebAssembly, and so the nearest of all before it, which have a native one only.
const OLDEST_ON_NPM: (u32, u32) = (6, 6);
const OLDEST_RELEASE_ON_NPM: &str = "6.6.0";
const OLDEST_MAJOR: u32 = 5;
/// Releases between the known ones that have no such package: the one whose JavaScript half fits the CLI's own WebAssembly (all
/// imports and exports were compared), and the release that it is of.
const WITHOUT_TWIN: [(&str, &str, &str); 2] = [
    ("6.11.0", "6.11.1-1.f40f79ec31188888a2e33acda0ecc8fd10a853a9", "6.11.1"),
    ("7.10.1", "7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3", "7.10.0"),
];

/// # Errors
/// `blocked`, naming what the release lacks and what works without it.
pub fn check(version: &str, manager: PackageManager) -> Result<()> {
    let (lacks, instead) = match major(version) {
        Some(OLDEST_MAJOR..=7) => return Ok(()),
        Some(0..OLDEST_MAJOR) => ("it is older than all that the drill knows", OLDEST_RELEASE_ON_NPM),
        _ => ("it has no `migrate reset`, `resolve` and `diff`, which the drill is made of", "7"),
    };
    Err(Failure::blocked(format!("Prisma {version} is not supported"))
        .because(format!("{lacks}; `env check` and `evidence` still work"))
        .hint(manager.add(&format!("prisma@{instead}")).see(PRISMA_UNSUPPORTED.name)))
}

/// For a release whose native engine is not here.
///
/// # Errors
/// `blocked` where npm has no engine for it, naming the nearest release that has one.
pub fn check_without_native_engine(version: &str, manager: PackageManager) -> Result<()> {
    if major(version).is_none_or(|major| (major, minor(version)) >= OLDEST_ON_NPM) {
        return Ok(());
    }
    Err(Failure::blocked(format!("the schema engine of Prisma {version} is not here"))
        .because(format!("its download was blocked or skipped, and npm has none for it; the nearest release with one is {OLDEST_RELEASE_ON_NPM}"))
        .note("`prisma version` downloads the native engine, and PRISMA_SCHEMA_ENGINE_BINARY names one that is elsewhere")
        .hint(manager.add(&format!("prisma@{OLDEST_RELEASE_ON_NPM}")).see(NO_ENGINE.name)))
}

/// The engine package whose JavaScript half does for `version`, and its release, which is the nearest; None where npm has its own.
pub fn glue(version: &str) -> Option<(&'static str, &'static str)> {
    WITHOUT_TWIN.iter().find(|(release, ..)| *release == version).map(|&(_, glue, nearest)| (glue, nearest))
}

/// Before 6.6 the CLI takes no other folder for the history than the one beside the schema, which may be a folder itself.
///
/// # Errors
/// `blocked` where the drill would read another one, with the line to write.
pub fn check_history(version: &str, settings: &Settings) -> Result<()> {
    let PrismaSettings { schema, migrations, .. } = &settings.prisma;
    let its_own = schema.with_file_name("migrations");
    if *migrations == its_own || major(version).is_none_or(|major| (major, minor(version)) >= OLDEST_ON_NPM) {
        return Ok(());
    }
    let [its_own, other] = [&its_own, migrations].map(|folder| settings.shown(folder));
    Err(Failure::blocked(format!("Prisma {version} reads its history from `{its_own}`, and not from `{other}`"))
        .hint(format!("write `migrations = \"{its_own}\"` under `[prisma]` in drill.toml")))
}

/// Whether `migrate diff` knows `--output`, which 5.4 does not.
pub fn has_diff_output(version: &str) -> bool {
    major(version).is_none_or(|major| (major, minor(version)) >= (5, 5))
}

/// Whether `generate` knows `--no-hints`, which 5.15 does not.
pub fn has_no_hints(version: &str) -> bool {
    major(version).is_none_or(|major| (major, minor(version)) >= (5, 16))
}

pub fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_with_an_engine_to_try_are_known() {
        for version in ["6.6.0", "6.11.0", "6.19.3", "7.0.0", "7.10.1", "7.11.0-dev.3"] {
            assert!(check(version, PackageManager::Npm).is_ok(), "{version}");
            assert!(check_without_native_engine(version, PackageManager::Npm).is_ok(), "{version}");
        }
    }

    #[test]
    fn releases_that_have_a_native_engine_only_need_it() {
        for version in ["5.0.0", "5.22.0", "6.0.1", "6.5.0"] {
            assert!(check(version, PackageManager::Npm).is_ok(), "{version}");
            let failure = check_without_native_engine(version, PackageManager::Npm).unwrap_err();
            assert_eq!(failure.message, format!("the schema engine of Prisma {version} is not here"));
        }
    }

    #[test]
    fn others_are_refused_with_what_they_lack() {
        let said = |version| {
            let failure = check(version, PackageManager::Npm).unwrap_err();
            format!("{}: {}", failure.message, failure.causes().collect::<Vec<_>>().join("; "))
        };
        let why = "it is older than all that the drill knows; `env check` and `evidence` still work";
        assert_eq!(said("4.16.2"), format!("Prisma 4.16.2 is not supported: {why}"));
        for version in ["8.0.0-rc.19", "9.1.0", "next"] {
            assert_eq!(
                said(version),
                format!(
                    "Prisma {version} is not supported: it has no `migrate reset`, `resolve` and `diff`, which the drill \
                     is made of; `env check` and `evidence` still work"
                )
            );
        }
    }

    #[test]
    fn flags_are_those_of_the_release() {
        let flags = |version| (has_diff_output(version), has_no_hints(version));
        let releases = ["5.4.2", "5.5.0", "5.15.1", "5.16.0", "6.0.0", "7.10.1", "7.11.0-dev.3"];
        let known =
            [(false, false), (true, false), (true, false), (true, true), (true, true), (true, true), (true, true)];
        assert_eq!(releases.map(flags), known);
    }

    #[test]
    fn the_nearest_release_with_an_engine_package_is_known() {
        assert_eq!(glue("6.11.0"), Some(("6.11.1-1.f40f79ec31188888a2e33acda0ecc8fd10a853a9", "6.11.1")));
        assert_eq!(glue("6.11.1"), None);
    }
}
