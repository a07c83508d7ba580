//! How our engine program takes migrations apart: it starts this binary again, which knows the rule.
//!
//! The program that runs Prisma's WebAssembly engine is JavaScript, and the parser is a crate. A variable tells it where we
//! are; another one tells us, when we are started again, to read scripts from stdin and write their statements to stdout.
#![allow(
    clippy::disallowed_methods,
    reason = "a process that is started for one answer has nothing but its environment"
)]

use std::io;
use std::path::Path;
use std::process::ExitCode;

use script::statements::{Version, split};
use script::text::Unreadable;
use serde::ser::Error as _;
use serde_json::json;

/// For the engine program: where we are, and which release of Prisma calls it.
const ADVERTISED: &str = "STAGING_DRILL_SPLITTER";
/// For us: the release.
const REQUESTED: &str = "STAGING_DRILL_SPLIT";
/// Our argument where the scripts go to a shadow database.
const SHADOW: &str = "shadow";

/// The variable that lets the engine program find us as `program`.
pub fn advertisement(program: &Path, release: &str) -> (String, String) {
    (ADVERTISED.to_owned(), json!({ "program": program, "release": release }).to_string())
}

/// The release of Prisma, where this process was started to take scripts apart.
pub fn requested() -> Option<Version> {
    let release = Version::of(&std::env::var(REQUESTED).ok()?);
    Some(if std::env::args().any(|argument| argument == SHADOW) { release.in_shadow() } else { release })
}

/// Reads a JSON array of scripts and writes one of their statements, a list for each.
pub fn run(release: Version) -> ExitCode {
    match answer(io::stdin().lock(), io::stdout().lock(), release) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(scripts: impl io::Read, statements: impl io::Write, release: Version) -> serde_json::Result<()> {
    let scripts: Vec<String> = serde_json::from_reader(scripts)?;
    let texts = |script: String| split(&script.into(), release)?.statements().map(|it| Ok(it?.text)).collect();
    let answer: Result<Vec<Vec<String>>, Unreadable> = scripts.into_iter().map(texts).collect();
    serde_json::to_writer(statements, &answer.map_err(serde_json::Error::custom)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(scripts: &str, release: &str) -> String {
        let mut statements = Vec::new();
        answer(scripts.as_bytes(), &mut statements, Version::of(release)).unwrap();
        String::from_utf8(statements).unwrap()
    }

    #[test]
    fn scripts_go_in_and_their_statements_come_out() {
        let scripts = r#"["select 1;\nselect 'é;'", "", "do $$ $$; select 1"]"#;
        assert_eq!(answered(scripts, "7.10.0"), r#"[["select 1;","\nselect 'é;'"],[],["do $$ $$; select 1"]]"#);
        assert_eq!(answered(scripts, "7.3.0"), r#"[["select 1;\nselect 'é;'"],[],["do $$ $$; select 1"]]"#);
    }
}
