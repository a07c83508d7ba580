//! Which releases of Prisma the drill knows: flags, exit codes and the engine's protocol were measured for these.

use crate::error::{Failure, Result};
use crate::hint::Hint;

/// The oldest release whose engine is on npm as WebAssembly.
const OLDEST: (u32, u32) = (6, 6);
/// Releases between the known ones that have no such twin, and the nearest that has.
const WITHOUT_TWIN: [(&str, &str); 2] = [("6.11.0", "6.11.1"), ("7.10.1", "7.10.0")];

/// # Errors
/// `blocked`, naming what the release lacks and what works without it.
pub fn check(version: &str) -> Result<()> {
    let (lacks, instead) = match major(version) {
        Some(major @ 0..=7) if (major, minor(version)) >= OLDEST => return Ok(()),
        Some(0..=7) => ("its engine is not on npm, so nothing of it could be tried", "prisma@6"),
        _ => ("it has no `migrate reset`, `resolve` and `diff`, which the drill is made of", "prisma@7"),
    };
    Err(Failure::blocked(format!("Prisma {version} is not supported"))
        .because(format!("{lacks}; `env check` and `evidence` still work"))
        .hint(Hint::shell("npm install --save-dev").arg(instead)))
}

/// The release nearest to `version` whose engine is on npm; None where its own is.
pub fn nearest_with_twin(version: &str) -> Option<&'static str> {
    WITHOUT_TWIN.iter().find(|(release, _)| *release == version).map(|(_, nearest)| *nearest)
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
            assert!(check(version).is_ok(), "{version}");
        }
    }

    #[test]
    fn others_are_refused_with_what_they_lack() {
        let said = |version| {
            let failure = check(version).unwrap_err();
            format!("{}: {}", failure.message, failure.causes().collect::<Vec<_>>().join("; "))
        };
        for version in ["5.22.0", "6.5.0", "4.16.2"] {
            let why =
                "its engine is not on npm, so nothing of it could be tried; `env check` and `evidence` still work";
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
    fn the_nearest_release_with_a_twin_is_named() {
        assert_eq!(nearest_with_twin("6.11.0"), Some("6.11.1"));
        assert_eq!(nearest_with_twin("6.11.1"), None);
    }
}
