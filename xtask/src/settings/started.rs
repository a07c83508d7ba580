//! How the user started this program: hints and `--help` begin in the same way.

use std::collections::BTreeMap;
use std::path::Path;

use crate::hint::quoted;

/// For a shell; None for `cargo xtask`.
pub fn as_typed() -> Option<String> {
    typed(&std::env::args().next()?, &super::environment())
}

fn typed(program: &str, environment: &BTreeMap<String, String>) -> Option<String> {
    let path = Path::new(program);
    let name = quoted(&path.file_name()?.to_string_lossy());
    if environment.get("CARGO_PKG_NAME").is_some_and(|package| package == env!("CARGO_PKG_NAME")) {
        return None;
    }
    // npm starts it through a script of its own, by a path that nobody types.
    if environment.contains_key("npm_command") {
        return Some(format!("npx {name}"));
    }
    let by_npm = path.components().any(|part| part.as_os_str() == "node_modules");
    Some(if by_npm { name } else { quoted(program) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_as_it_was() {
        let typed = |program: &str, variables: &[(&str, &str)]| {
            let pairs = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            typed(program, &pairs.collect()).unwrap_or_else(|| "cargo xtask".to_owned())
        };
        let by_npm = "/usr/lib/node_modules/staging-drill/node_modules/.bin_real/staging-drill";
        let said = [
            typed("staging-drill", &[]),
            typed("./target/debug/staging-drill", &[]),
            typed("/opt/my tools/staging-drill", &[]),
            typed("/w/target/debug/staging-drill", &[("CARGO_PKG_NAME", "xtask")]),
            typed("staging-drill", &[("CARGO_PKG_NAME", "their-tests")]),
            typed(by_npm, &[]),
            typed(by_npm, &[("npm_command", "exec")]),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        staging-drill
        ./target/debug/staging-drill
        '/opt/my tools/staging-drill'
        cargo xtask
        staging-drill
        staging-drill
        npx staging-drill
        ");
    }
}
