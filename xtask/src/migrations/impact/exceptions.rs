//! What somebody says in a migration that a statement of it may do: `-- drill-accept: blocks-writes because REASON` above it.

use script::comments::{Comment, comments};
use script::text::Text;

use crate::error::Result;

const MARK: &str = "drill-accept";

/// The keys of `[limits]` that a statement can go over. A comment may write them with a hyphen.
pub const KEYS: [&str; 5] = ["blocks_reads", "blocks_writes", "rewrites", "statement", "wal"];

/// Whether a statement, with the comments before it, may have one.
pub fn is_said_in(text: &str) -> bool {
    text.contains(MARK)
}

/// One limit that one comment names.
#[derive(Debug, PartialEq, Eq)]
pub struct Exception {
    pub line: usize,
    pub key: String,
    /// What comes next in the script; None where that is not for the comment to say.
    pub above: Option<usize>,
    /// Err: why it does not count.
    pub reason: Result<String, &'static str>,
}

/// Of a whole script, and the line on which its first statement is.
#[derive(Debug, Default)]
pub struct Exceptions {
    pub all: Vec<Exception>,
    pub first: usize,
}

impl Exceptions {
    /// What cannot be taken apart has none.
    ///
    /// # Errors
    /// `blocked` where the script cannot be read.
    pub fn of(script: &Text) -> Result<Exceptions> {
        let (comments, first) = comments(script, |said| said.starts_with(MARK))?.unwrap_or_default();
        Ok(Exceptions { all: comments.iter().flat_map(read).collect(), first: first.max(1) })
    }
}

fn read(comment: &Comment) -> Vec<Exception> {
    let Some(said) = comment.text.strip_prefix(MARK) else { return Vec::new() };
    let said = said.trim_start_matches(':');
    let (names, reason) = match said.split_once(" because") {
        Some((names, reason)) => (names, reason.trim()),
        None => (said, ""),
    };
    let one = |name: &str| {
        let key = name.trim().replace('-', "_");
        let reason = match () {
            () if !KEYS.contains(&key.as_str()) => Err("it names no limit"),
            () if comment.above.is_none() => Err("it is not on a line of its own above a statement"),
            () if reason.is_empty() => Err("it has no reason"),
            () => Ok(reason.to_owned()),
        };
        Exception { line: comment.line, key, above: comment.above, reason }
    };
    names.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_names_limits_and_has_a_reason() {
        let script = "-- drill-accept: blocks-writes, wal because the table is small\n-- CreateIndex\ncreate index i on t (a);\n\
                      -- drill-accept: blocks_reads\nselect 1; -- drill-accept: wal because too late\n\
                      -- drill-accept rewrites because\n-- drill-accept: blocks because of that\n--drill-accept:statement because because\nselect 2;";
        let shown = |one: &Exception| format!("{} {} above {:?}: {:?}", one.line, one.key, one.above, one.reason);
        let all = Exceptions::of(&script.into()).unwrap().all;
        insta::assert_snapshot!(all.iter().map(shown).collect::<Vec<_>>().join("\n"), @r#"
        1 blocks_writes above Some(3): Ok("the table is small")
        1 wal above Some(3): Ok("the table is small")
        4 blocks_reads above Some(5): Err("it has no reason")
        5 wal above None: Err("it is not on a line of its own above a statement")
        6 rewrites above Some(9): Err("it has no reason")
        7 blocks above Some(9): Err("it names no limit")
        8 statement above Some(9): Ok("because")
        "#);
        assert!(Exceptions::of(&"select 'open".into()).unwrap().all.is_empty());
    }
}
