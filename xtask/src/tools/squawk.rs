//! squawk, a linter of migrations that a team may have: its arguments, and what it says.

use std::path::Path;

use serde::Deserialize;

use crate::process::{Invocation, locate};
use crate::session::Session;

/// One of its findings.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub rule: String,
    pub message: String,
}

/// As it writes it: lines from 0.
#[derive(Deserialize)]
struct Written {
    file: String,
    line: usize,
    rule_name: String,
    message: String,
}

/// The project's own, else the one on PATH; None where there is none. It reads the team's `.squawk.toml`, and is told which Postgres it is.
pub fn squawk(session: &Session<'_>, files: &[String]) -> Option<Invocation> {
    let program = locate::squawk(session.settings)?;
    let version = format!("--pg-version={}", session.identity.major_version());
    let root: &Path = &session.settings.root;
    let words = ["--reporter", "json", &version, "--no-error-on-unmatched-pattern", "--"];
    let words = words.into_iter().map(str::to_owned).chain(files.iter().cloned());
    Some(Invocation::new(&program, root).args(words).envs(session.bare_environment()))
}

/// None where it is no answer.
pub fn read(said: &[u8]) -> Option<Vec<Finding>> {
    let written: Vec<Written> = serde_json::from_slice(said).ok()?;
    let finding = |Written { file, line, rule_name: rule, message }| {
        Some(Finding { file, line: line.checked_add(1)?, rule, message })
    };
    written.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As squawk 2.70.0 printed it.
    const SAID: &str = r#"[{"file":"b.sql","line":1,"column":0,"level":"Warning","message":"During normal index creation, table updates are blocked, but reads are still allowed.","help":"Use `concurrently` to avoid blocking writes.","rule_name":"require-concurrent-index-creation","column_end":38,"line_end":1}]"#;

    #[test]
    fn a_finding_is_where_an_editor_shows_it() {
        let found = read(SAID.as_bytes()).unwrap();
        assert_eq!((found[0].file.as_str(), found[0].line), ("b.sql", 2));
        assert_eq!(found[0].rule, "require-concurrent-index-creation");
        assert_eq!(read(b"[]"), Some(Vec::new()));
        let no_line = SAID.replace("\"line\":1", "\"line\":18446744073709551615");
        for other in ["", "error: no such file", "{}", r#"[{"file":"b.sql"}]"#, &no_line] {
            assert_eq!(read(other.as_bytes()), None);
        }
    }
}
