//! What Node itself says that a program of it failed at, where that is known: by Node's own forms, never by a mere mention.

use crate::causes::{Cause, node, of_code};
use crate::hint::Hint;
use crate::process::said::first_error;

/// A known failure in Node's own words.
pub struct NodeError {
    cause: &'static Cause,
    /// The path or address that its sentence names.
    thing: Option<String>,
}

impl NodeError {
    pub fn of(lines: &[String]) -> Option<NodeError> {
        let at = first_error(lines)?;
        let line = lines[at].trim();
        let known = |code: &str| of_code(code).filter(|cause| node::ALL.iter().any(|one| one.name == cause.name));
        let below = &lines[at + 1..];
        let cause = by_words(line, below).or_else(|| codes(line, below).find_map(known))?;
        Some(NodeError { cause, thing: thing(line) })
    }

    pub fn hint(&self) -> Hint {
        let values: Vec<_> =
            self.thing.iter().flat_map(|thing| [("path", thing.as_str()), ("address", thing)]).collect();
        self.cause.hint(&values)
    }
}

/// What Node says without a code, or more exactly than by its code: a file of the project is no package, and JSON that a program reads is no source.
fn by_words(line: &str, below: &[String]) -> Option<&'static Cause> {
    if line.starts_with("FATAL ERROR: ") && line.ends_with("JavaScript heap out of memory") {
        return Some(&node::OUT_OF_MEMORY);
    }
    let is_loaded = || {
        below
            .iter()
            .filter(|line| line.trim().starts_with("at "))
            .take(2)
            .any(|line| line.contains("(node:internal/modules/"))
    };
    if line.starts_with("SyntaxError: ") && is_loaded() || line.contains("Error: ParseError: ") {
        return Some(&node::NOT_JAVASCRIPT);
    }
    let module = line.split_once("Cannot find module '").and_then(|(_, name)| name.split('\'').next())?;
    let is_file =
        ["/", "./", "../"].iter().any(|start| module.starts_with(start)) && !module.contains("/node_modules/");
    Some(if is_file { &node::FILE_MISSING } else { &node::MODULE_MISSING })
}

/// In the order of their weight: `Error [CODE]: …`, `Error: CODE: …`, `Error: connect CODE …`, `Error: spawn … CODE`, and the property
/// `code: 'CODE'` of the error that is shown below its stack.
fn codes<'a>(line: &'a str, below: &'a [String]) -> impl Iterator<Item = &'a str> {
    let head = line.split_once("]: ").and_then(|(head, _)| head.split_once(" [")).map(|(_, code)| code);
    let rest = line.split_once("Error: ").map_or("", |(_, rest)| rest);
    let first = rest.split_once(": ").map(|(code, _)| code);
    let called = match rest.split(' ').collect::<Vec<_>>()[..] {
        ["spawn", .., code] | ["connect" | "getaddrinfo" | "read" | "write" | "listen" | "bind", code, ..] => {
            Some(code)
        }
        _ => None,
    };
    let property = |line: &'a String| line.trim().strip_prefix("code: '")?.trim_end_matches(',').strip_suffix('\'');
    let property = below.iter().take_while(|line| !line.starts_with("Node.js v")).find_map(property);
    [head, first, called, property].into_iter().flatten()
}

/// `open '/a/b'`, `connect ECONNREFUSED 127.0.0.1:1`, `getaddrinfo ENOTFOUND host`, `spawn program ENOENT`
fn thing(line: &str) -> Option<String> {
    let quoted = line.split('\'').nth(1).filter(|path| !path.is_empty());
    let called = || match line.split_once("Error: ")?.1.split(' ').collect::<Vec<_>>()[..] {
        ["connect" | "getaddrinfo", _, thing, ..] | ["spawn", thing, _] => Some(thing),
        _ => None,
    };
    quoted.or_else(called).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(said: &str) -> Option<&'static str> {
        NodeError::of(&said.lines().map(str::to_owned).collect::<Vec<_>>()).map(|known| known.cause.name)
    }

    /// The known ones are in the table of what real programs said (`said`).
    #[test]
    fn a_mere_mention_is_no_code() {
        let unknown = [
            "Error: see EACCES in the manual",
            "Error: request to https://host failed, reason: getaddrinfo ENOTFOUND host",
            "Error: MODULE_NOT_FOUND is what Node would say",
            "code: 'ENOENT'",
            "Error: late\nNode.js v20.20.2\n  code: 'ENOENT'",
            "SyntaxError: Unexpected token '<', \"<html>\" is not valid JSON\n    at JSON.parse (<anonymous>)\n    at f (/p/a.js:1:1)",
            "Error: E: text",
            "",
        ];
        assert_eq!(unknown.map(name), [None; 8]);
        let known = [
            ("Error: spawn /usr/bin/tool EACCES", "node-access-denied"),
            ("Error: spawn tool ENOENT\n  code: 'ENOENT'", "node-file-missing"),
            ("Error: Cannot find module '/p/node_modules/a/index.js'", "node-module-missing"),
            ("Error: Cannot find module '../lib/a'", "node-file-missing"),
            ("Error [ERR_REQUIRE_ESM]: require() of ES Module /p/a.mjs not supported.", "node-require-of-esm"),
            (
                "TypeError [ERR_UNKNOWN_FILE_EXTENSION]: Unknown file extension \".ts\" for /p/a.ts",
                "node-file-extension",
            ),
        ];
        known.iter().for_each(|(said, cause)| assert_eq!(name(said), Some(*cause), "{said}"));
    }
}
