//! Which releases of Prisma the drill knows: flags, exit codes and the engine's protocol were measured for these.

use crate::error::{Failure, Result};
use crate::process::package_manager::PackageManager;

/// The oldest release whose engine is on npm as WebAssembly, and so the nearest of all before it.
const OLDEST: (u32, u32) = (6, 6);
const OLDEST_RELEASE: &str = "6.6.0";
/// Releases between the known ones that have no such package: the one whose JavaScript half fits the CLI's own WebAssembly (all
/// imports and exports were compared), and the release that it is of.
const WITHOUT_TWIN: [(&str, &str, &str); 2] = [
    ("6.11.0", "6.11.1-1.f40f79ec31188888a2e33acda0ecc8fd10a853a9", "6.11.1"),
    ("7.10.1", "7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3", "7.10.0"),
];

/// # Errors
/// `blocked`, naming what the release lacks and what works without it.
pub fn check(version: &str, manager: PackageManager) -> Result<()> {
    let nearest = format!("its engine is not on npm; the nearest release with one is {OLDEST_RELEASE}");
    let (lacks, instead) = match major(version) {
        Some(major @ 0..=7) if (major, minor(version)) >= OLDEST => return Ok(()),
        Some(0..=7) => (nearest.as_str(), OLDEST_RELEASE),
        _ => ("it has no `migrate reset`, `resolve` and `diff`, which the drill is made of", "7"),
    };
    Err(Failure::blocked(format!("Prisma {version} is not supported"))
        .because(format!("{lacks}; `env check` and `evidence` still work"))
        .hint(manager.add(&format!("prisma@{instead}"))))
}

/// The engine package whose JavaScript half does for `version`, and its release, which is the nearest; None where npm has its own.
pub fn glue(version: &str) -> Option<(&'static str, &'static str)> {
    WITHOUT_TWIN.iter().find(|(release, ..)| *release == version).map(|&(_, glue, nearest)| (glue, nearest))
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
        }
    }

    #[test]
    fn others_are_refused_with_what_they_lack() {
        let said = |version| {
            let failure = check(version, PackageManager::Npm).unwrap_err();
            format!("{}: {}", failure.message, failure.causes().collect::<Vec<_>>().join("; "))
        };
        for version in ["5.22.0", "6.5.0", "4.16.2"] {
            let why = "its engine is not on npm; the nearest release with one is 6.6.0; `env check` and `evidence` still work";
            assert_eq!(said(version), format!("Prisma {version} is not supported: {why}"));
        }
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
    fn the_nearest_release_with_an_engine_package_is_known() {
        assert_eq!(glue("6.11.0"), Some(("6.11.1-1.f40f79ec31188888a2e33acda0ecc8fd10a853a9", "6.11.1")));
        assert_eq!(glue("6.11.1"), None);
    }
}
