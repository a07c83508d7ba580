//! All tests of the engine program.

use crate::node::passes_own_tests;
use crate::server::workspace;

#[test]
fn the_engine_passes_its_own_tests() {
    let files = std::fs::read_dir(workspace().join("prisma/engine/test")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter_map(|name| name.strip_suffix(".test.mjs").map(str::to_owned)).collect();
    passes_own_tests(&names.iter().map(String::as_str).collect::<Vec<_>>());
}
