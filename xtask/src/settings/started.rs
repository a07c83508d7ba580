//! How the user started this program: hints and `--help` begin in the same way.

use std::path::Path;

use crate::hint::quoted;

/// With the commit that it was built from, where that is known.
pub const VERSION: &str = env!("DRILL_VERSION");

/// As this repo's cargo builds it: by a path, which is what `cargo xtask` runs.
const BUILT: &str = env!("CARGO_PKG_NAME");

/// For a shell; None for `cargo xtask`.
pub fn as_typed() -> Option<String> {
    typed(&std::env::args().next()?)
}

/// npm starts it by a path that nobody types.
fn typed(program: &str) -> Option<String> {
    let path = Path::new(program);
    let name = quoted(&path.file_name()?.to_string_lossy());
    match () {
        () if path.components().any(|part| part.as_os_str() == "node_modules") => Some(format!("npx {name}")),
        () if name == BUILT && program != BUILT => None,
        () => Some(quoted(program)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_as_it_was() {
        let said = [
            "xtask",
            "/w/target/debug/xtask",
            "staging-drill",
            "/opt/my tools/staging-drill",
            "/usr/lib/node_modules/staging-drill/node_modules/.bin_real/xtask",
        ]
        .map(|program| typed(program).unwrap_or_else(|| "cargo xtask".to_owned()));
        insta::assert_snapshot!(said.join("\n"), @r"
        xtask
        cargo xtask
        staging-drill
        '/opt/my tools/staging-drill'
        npx xtask
        ");
    }
}
