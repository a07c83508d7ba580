//! What Prisma says when it fails: its code and sentence, what the server answered, where, and what all that calls for.

use crate::causes::of_code;
use crate::hint::Aim;
use crate::postgres::causes::{self, Whose};
use crate::run::plan::Explanation;

/// Reads a code of Prisma's in each of the shapes in which it prints one, and what the database said beside it.
pub fn explain(tail: &[String]) -> Option<Explanation> {
    let (at, code) = tail.iter().enumerate().find_map(|(at, line)| Some((at, code_of(line)?)))?;
    let below = &tail[at + 1..];
    let message = message(&tail[at], &code, below)?;
    let details = details(below);
    let note = if code == "P3018" { what_the_server_calls_for(&details) } else { None };
    let place = place(below).map_or_else(|| "the schema".to_owned(), |place| format!("`{place}`"));
    let hint = of_code(&code).map(|cause| cause.hint(&[("place", &place)]));
    Some(Explanation { hint, note, code, message, details })
}

/// `Error: P3018`, `Error: P1001: …`, and `Error code: P1012` below the first line.
fn code_of(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Error: ").or_else(|| line.strip_prefix("Error code: "))?;
    let code: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    let digits = code.strip_prefix('P')?;
    (digits.len() == 4 && digits.chars().all(|c| c.is_ascii_digit())).then_some(code)
}

/// What stands behind the code, or in the next line that has something.
fn message(line: &str, code: &str, below: &[String]) -> Option<String> {
    let same_line = line.split_once(code)?.1.trim_start_matches(':').trim();
    let next = below.iter().map(|line| line.trim()).find(|line| !line.is_empty()).unwrap_or_default();
    let message = if same_line.is_empty() { next } else { same_line };
    Some(message.strip_prefix("error: ").unwrap_or(message).to_owned())
}

/// Which migration, which SQLSTATE, all that the server said, and where: in the script (the last line that Prisma quotes is the one that failed), or in
/// the schema.
fn details(below: &[String]) -> Vec<String> {
    let begins = |labels: &'static [&str]| {
        below.iter().filter(|line| labels.iter().any(|label| line.starts_with(label))).cloned()
    };
    let of_what = begins(&["Migration name:", SQLSTATE, "The `"]);
    let answer = Some(answer(below)).filter(|lines| !lines.is_empty());
    let answer = answer.unwrap_or_else(|| begins(&["ERROR:", "FATAL:"]).collect());
    let script = below.iter().skip_while(|line| *line != POSITION).skip(1).take_while(|line| !line.is_empty()).last();
    let script = script.and_then(|line| line.trim().split_once(' '));
    let script = script.map(|(number, sql)| format!("{LINE}{number}: {}", sql.trim()));
    let schema = place(below).map(|place| format!("in {place}"));
    of_what.chain(answer).chain(script).chain(schema).collect()
}

/// Of a detail: the line that Prisma quotes of a script, and what stands there.
pub fn quoted_line(detail: &str) -> Option<(usize, &str)> {
    let (number, sql) = detail.strip_prefix(LINE)?.split_once(": ")?;
    Some((number.parse().ok()?, sql))
}

/// In the schema: `schema.prisma:12`.
fn place(below: &[String]) -> Option<&str> {
    below.iter().find_map(|line| line.trim().strip_prefix("-->")).map(str::trim)
}

const SQLSTATE: &str = "Database error code: ";
const POSITION: &str = "Position:";
const LINE: &str = "line ";
/// Lines of the server's answer: a message may have any number.
const MOST: usize = 12;

/// What the server said, but for the row that it quotes whole: that may hold a secret in any column.
fn answer(below: &[String]) -> Vec<String> {
    let is_over = |line: &String| line.starts_with("DbError {") || line == POSITION;
    let lines = below.iter().skip_while(|line| *line != "Database error:").skip(1).take_while(|line| !is_over(line));
    let mut in_a_row = false;
    let is_told = |line: &&String| {
        in_a_row = line.starts_with("DETAIL: Failing row contains") || in_a_row && !line.starts_with("HINT:");
        !in_a_row && !line.is_empty()
    };
    lines.filter(is_told).take(MOST).cloned().collect()
}

const EDIT_IT: &str =
    "correct the SQL of that migration before the next forward; it was never applied, so editing it is right";

/// What the server's own code says that is to be done, in the script or around it.
fn what_the_server_calls_for(details: &[String]) -> Option<String> {
    let sqlstate = details.iter().find_map(|line| line.strip_prefix(SQLSTATE)).unwrap_or_default().trim();
    let message = details.concat();
    let fix = causes::fix(sqlstate, &message, Whose::Childs).map(|fix| fix.line(&Aim::default()));
    match (fix, causes::is_the_scripts(sqlstate, &message)) {
        (Some(fix), true) => Some(format!("that migration was never applied, so editing it is right: {fix}")),
        (Some(fix), false) => Some(format!("it is not the SQL of that migration; before the next forward {fix}")),
        (None, true) => Some(EDIT_IT.to_owned()),
        (None, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::said::tests::recorded;

    /// A row of what a user reads, for each output that holds a code of Prisma's.
    #[test]
    fn a_code_is_told_with_all_that_the_server_said_and_with_what_it_calls_for() {
        let told = |explanation: Explanation| {
            let Explanation { code, message, details, note, hint } = explanation;
            let hint = hint.map_or("(the log)".to_owned(), |hint| hint.line(&Aim::default()));
            let note = note.map(|note| format!("note: {note}"));
            let lines = [format!("{code}: {message}")].into_iter().chain(details).chain(note);
            lines.chain([format!("hint: {hint}")]).collect::<Vec<_>>().join("\n  ")
        };
        let known = recorded().filter_map(|(name, lines)| Some(format!("{name}\n  {}", told(explain(&lines)?))));
        insta::assert_snapshot!(known.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn each_code_that_prisma_documents_for_a_migration_has_one_way_out_and_a_page() {
        let known = |number: &u16| {
            let said = [format!("Error: P{number}"), String::new(), "its sentence".to_owned()];
            explain(&said).unwrap().hint.and_then(|hint| hint.page()).is_some()
        };
        let codes = [1000..=1017, 3000..=3030].into_iter().flatten().filter(known).map(|number| number.to_string());
        assert_eq!(
            codes.collect::<Vec<_>>().join(" "),
            "1000 1001 1002 1003 1008 1009 1010 1011 1012 1013 1014 1015 1016 1017 \
             3005 3006 3008 3009 3011 3012 3014 3015 3017 3018 3019 3020"
        );
    }

    /// Recorded, but for the values.
    #[test]
    fn a_row_that_the_server_quotes_whole_is_not_told() {
        let said = "Error: P3018\n\nA migration failed to apply.\n\nMigration name: 2_b\n\nDatabase error code: 23502\n\nDatabase error:\n\
                    ERROR: null value in column \"v\" violates not-null constraint\nDETAIL: Failing row contains (1, a\ntoken\n\nmore, null).\n\
                    HINT: a hint\n\nDbError { severity: \"ERROR\" }\n";
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        let told = [
            "Migration name: 2_b",
            "Database error code: 23502",
            "ERROR: null value in column \"v\" violates not-null constraint",
            "HINT: a hint",
        ];
        assert_eq!(explain(&lines).unwrap().details, told);
    }

    #[test]
    fn an_answer_without_a_paragraph_of_its_own_and_a_broken_server_are_told_as_they_are() {
        let explained = |said: &str| explain(&said.lines().map(str::to_owned).collect::<Vec<_>>()).unwrap();
        let shadow = explained(
            "Error: P3006\n\nMigration `1_a` failed to apply cleanly to the shadow database.\nError:\nERROR: type \"x\" does not exist\n   0: sql\n",
        );
        assert_eq!(
            (shadow.code.as_str(), shadow.details),
            ("P3006", vec!["ERROR: type \"x\" does not exist".to_owned()])
        );
        let broken = explained(
            "Error: P3018\n\nA migration failed.\n\nDatabase error code: XX000\n\nDatabase error:\nERROR: cache lookup failed\n\nDbError {\n",
        );
        assert_eq!(broken.note, None, "nothing is known of the SQL");
        let unknown = explained("Error: P4321: what nobody has heard of\n");
        assert_eq!((unknown.message.as_str(), unknown.hint), ("what nobody has heard of", None));
    }
}
