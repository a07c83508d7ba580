//! The order of the floors in docs/design.md, held against the code: an arrow goes down only, and nothing goes in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::server::workspace;

/// `cli`, `run/journal`: a file below `xtask/src` without its ending; a folder's `mod.rs` is the folder.
type Module = String;

fn sources() -> BTreeMap<Module, String> {
    let root = workspace().join("xtask/src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_for_tests(&path) {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.replace("pub mod tests {", "mod tests {");
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                found.insert(name(path.strip_prefix(&root).unwrap()), text);
            }
        }
    }
    assert!(found.len() > 100, "{found:?}");
    found
}

fn is_for_tests(path: &Path) -> bool {
    path.ends_with("tests.rs")
        || path.ends_with("corpus.rs")
        || path.ends_with("fuzz.rs")
        || path.ends_with("postgres/server.rs")
}

fn name(path: &Path) -> Module {
    let path: PathBuf = if path.ends_with("mod.rs") { path.parent().unwrap().into() } else { path.with_extension("") };
    path.to_str().unwrap().to_owned()
}

/// What a file says that it uses: `use crate::a::b::Thing` is the module `a/b`, and of a folder its own children.
fn uses(sources: &BTreeMap<Module, String>, of: &str) -> BTreeSet<Module> {
    let text = &sources[of];
    let paths = text.split("crate::").skip(1).map(|rest| {
        rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap().replace("::", "/")
    });
    let children = text.lines().filter_map(|line| line.strip_prefix("use ")?.split_once("::").map(|(name, _)| name));
    let children = children.map(|child| format!("{of}/{child}")).filter(|child| sources.contains_key(child));
    let found = paths.filter_map(|path| {
        let parts: Vec<&str> = path.split('/').collect();
        (1..=parts.len()).rev().map(|count| parts[..count].join("/")).find(|name| sources.contains_key(name))
    });
    found.chain(children).filter(|module| module != of).collect()
}

fn floor_of(module: &str) -> &str {
    module.split('/').next().unwrap()
}

/// The floors as docs/design.md lists them, the ground first; one line may hold several that do not know each other.
fn floors() -> Vec<Vec<String>> {
    let page = fs::read_to_string(workspace().join("docs/design.md")).unwrap();
    let (_, list) =
        page.split_once("<!-- floors, from the ground up: xtask/tests/it/layers.rs reads this table -->").unwrap();
    let rows = list.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect()).collect()
}

#[test]
fn an_arrow_goes_down_only() {
    let floors = floors();
    let height = |module: &str| {
        let floor = floor_of(module);
        floors
            .iter()
            .position(|row| row.iter().any(|name| name == floor))
            .unwrap_or_else(|| panic!("no floor: {module}"))
    };
    let sources = sources();
    let mut up = Vec::new();
    for module in sources.keys().filter(|module| *module != "main") {
        for used in uses(&sources, module) {
            if floor_of(&used) != floor_of(module) && height(&used) >= height(module) {
                up.push(format!("{module} uses {used}"));
            }
        }
    }
    assert_eq!(up, Vec::<String>::new());
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let sources = sources();
    let arrows: BTreeMap<&Module, BTreeSet<Module>> = sources.keys().map(|name| (name, uses(&sources, name))).collect();
    let reaches = |from: &Module, to: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = next.pop() {
            for used in &arrows[&module] {
                if used == to {
                    return true;
                }
                if seen.insert(used.clone()) {
                    next.push(used.clone());
                }
            }
        }
        false
    };
    let circle: Vec<&Module> = sources.keys().filter(|module| reaches(module, module)).collect();
    assert_eq!(circle, Vec::<&Module>::new());
}

#[test]
fn every_floor_of_the_page_is_there() {
    let sources = sources();
    for name in floors().into_iter().flatten() {
        assert!(sources.contains_key(&name), "{name} is no folder or file of xtask/src");
    }
}

/// The path of a `forward`, file by file.
#[test]
fn every_file_that_the_design_page_names_is_there() {
    let page = fs::read_to_string(workspace().join("docs/design.md")).unwrap();
    let files: Vec<&str> = page.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs")).collect();
    assert!(files.len() > 20, "{files:?}");
    let there = |name: &str| workspace().join(name).is_file() || workspace().join("xtask/src").join(name).is_file();
    let missing: Vec<&&str> = files.iter().filter(|name| !there(name)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}
