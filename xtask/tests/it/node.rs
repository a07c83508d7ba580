//! The Node side: the engine's own tests, and the check that both schemas hold the same models.

use std::process::{Command, Output};

use crate::project::program;
use crate::server::{self, install_packages, workspace};

fn node(args: &[&str], env: &[(&str, String)]) -> Output {
    Command::new("node").args(args).envs(env.iter().map(|(k, v)| (*k, v))).current_dir(workspace()).output().unwrap()
}

fn shown(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn both_schemas_hold_the_same_models_and_locks_agree() {
    install_packages();
    let output = node(&["prisma/check-schemas.mjs"], &[]);
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn both_schemas_validate() {
    install_packages();
    for config in ["prisma.config.ts", "prisma/postgres.config.ts"] {
        let output = node(&["prisma/engine/prisma.mjs", "validate", "--config", config], &[]);
        assert!(output.status.success(), "{config}: {}", shown(&output));
    }
}

/// The quick ones; `cargo chore ci-long` runs all.
#[test]
fn the_engine_passes_its_own_quick_tests() {
    passes_own_tests(&["columns", "schema", "statements"]);
}

pub fn passes_own_tests(names: &[&str]) {
    let tests: Vec<String> = names.iter().map(|name| format!("prisma/engine/test/{name}.test.mjs")).collect();
    let args: Vec<&str> = std::iter::once("--test").chain(tests.iter().map(String::as_str)).collect();
    let drill = program().display().to_string();
    let env = [("ENGINE_TEST_URL", server::shared().superuser_url("postgres")), ("ENGINE_TEST_DRILL", drill)];
    let output = node(&args, &env);
    assert!(output.status.success(), "{}", shown(&output));
}
