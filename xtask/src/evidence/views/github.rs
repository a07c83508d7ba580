//! What GitHub shows without opening anything: the job's summary, and an annotation for a failure.
//!
//! Pure but for `append`. Both are made from the outcome as `--json` prints it, masked. GitHub renders a summary as
//! Markdown with HTML in it, so what others said goes into fences and `<code>` with every special character as an
//! entity: it can neither mark up nor mention.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::evidence::limits::OverLimit;
use crate::evidence::outcome::{BeforeAfter, ErrorView, Outcome};
use crate::evidence::views::reading::inert;
use crate::parity::comparison::Comparison;
use crate::words::{duration, in_line, moment, number, sentence};

/// Above 1 MiB a step's summary is not shown at all
/// (docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits).
const LIMIT: usize = 1024 * 1024;

/// An error message may quote a child at length; the log has all of it.
const MESSAGE_LIMIT: usize = 16 * 1024;

const CUT: &str = "\n\n_The rest did not fit into GitHub's 1 MiB; all of it is in the evidence folder._\n";

/// `::error title=…::…` for a run that did not end well, at the migration that it ended with; None for one that did. `folder` is the
/// project's in the repository.
pub fn annotation(outcome: &Outcome, folder: &str) -> Option<String> {
    let title = property(&inert(&format!("{} {}", outcome.command, outcome.status)));
    let place = outcome.error.as_ref().map(|error| place(error, folder)).unwrap_or_default();
    (outcome.status != "ok").then(|| format!("::error {place}title={title}::{}", data(&message(outcome))))
}

fn place(error: &ErrorView, folder: &str) -> String {
    let Some(file) = &error.file else { return String::new() };
    let line = error.line.map(|line| format!("line={line},")).unwrap_or_default();
    format!("file={},{line}", property(&inert(&format!("{folder}{file}"))))
}

/// One at each statement that goes over a limit, and that nobody has accepted. `folder` is the project's in the repository.
pub fn annotations(outcome: &Outcome, folder: &str) -> Vec<String> {
    let over = outcome.limits.iter().filter(|one| one.accepted.is_none());
    let one = |one: &OverLimit| {
        let file = property(&inert(&format!("{folder}{}", one.file)));
        let title = property(&inert(&format!("{} over its limit", one.limit)));
        let words = data(&inert(&sentence(&one.message)));
        format!("::error file={file},line={},title={title}::{words}", one.line)
    };
    over.map(one).collect()
}

/// What later steps of the job may ask for as `steps.ID.outputs.NAME`, a line each; paths as the repository has them.
pub fn outputs(outcome: &Outcome, folder: &str) -> String {
    let evidence = outcome.evidence.as_ref().map(|evidence| format!("{folder}{evidence}"));
    let file = |name: &str| evidence.as_ref().map(|evidence| format!("{evidence}/{name}"));
    let all = [
        ("command", Some(outcome.command.clone())),
        ("status", Some(outcome.status.clone())),
        ("exit_code", outcome.exit_code.map(|code| code.to_string())),
        ("evidence", evidence.clone()),
        ("report", file("report.html")),
        ("junit", file("junit.xml")),
    ];
    let lines = all.into_iter().filter_map(|(name, value)| Some(format!("{name}={}\n", in_line(&value?))));
    lines.collect()
}

/// As the runner reads the text of a command (actions/toolkit, packages/core/src/command.ts).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// What went wrong as the terminal says it.
fn message(outcome: &Outcome) -> String {
    let mut lines = vec![outcome.error.as_ref().map(|error| sentence(&error.message)).unwrap_or_default()];
    lines.extend(outcome.refusals.iter().map(|one| format!("  {}: {}", one.check, sentence(&one.message))));
    lines.extend(outcome.causes().iter().map(|cause| format!("caused by: {}", sentence(cause))));
    lines.extend(outcome.notes.iter().map(|note| format!("note: {}", sentence(note))));
    lines.extend(outcome.hint.iter().map(|hint| format!("hint: {}", sentence(hint))));
    let message = inert(&lines.join("\n"));
    let end = message.char_indices().map(|(at, _)| at).take_while(|at| *at < MESSAGE_LIMIT).last().unwrap_or(0);
    if message.len() <= MESSAGE_LIMIT { message } else { format!("{}\n…", &message[..end]) }
}

/// The outcome in Markdown: verdict, reason, steps, rows, where the evidence is.
pub fn summary(outcome: &Outcome) -> String {
    let status = outcome.status.as_str();
    let mut out = format!("## {} {} {status}\n\n", symbol(status), code(&outcome.command));
    if let Some(target) = &outcome.target {
        let address = format!("{}:{}", target.host, target.port);
        let _ = write!(out, "{} is {} on {}, ", code(&target.name), code(&target.database), code(&address));
    }
    let _ = writeln!(out, "{}\n", moment(&outcome.started_at));
    if status != "ok" {
        out.push_str(&fenced(&message(outcome)));
    }
    out.push_str(&steps(outcome));
    out.extend(outcome.counts.as_ref().map(rows));
    out.extend(outcome.parity.as_ref().map(parity));
    if let Some(folder) = &outcome.evidence {
        let _ = writeln!(out, "Evidence: {}. Its `report.html` is the place to start.\n", code(folder));
    }
    out
}

fn symbol(status: &str) -> &'static str {
    match status {
        "ok" => "✅",
        "refused" => "⛔",
        "skipped" => "➖",
        "interrupted" | "blocked" => "⚠️",
        _ => "❌",
    }
}

fn steps(outcome: &Outcome) -> String {
    let mut rows = String::new();
    for stage in &outcome.stages {
        if stage.status == "skipped" {
            let why = stage.detail.as_deref().map(code).unwrap_or_default();
            let _ = writeln!(rows, "| {} | {} | | | {why} |", symbol(&stage.status), code(&stage.name));
        }
        for step in &stage.steps {
            let (mark, took) = (symbol(&step.status), duration(step.duration_ms));
            let detail = step.found().as_deref().map(code).unwrap_or_default();
            let _ = writeln!(rows, "| {mark} | {} | {} | {took} | {detail} |", code(&stage.name), code(&step.name));
        }
    }
    under("| | stage | step | took | found |\n|---|---|---|---:|---|\n", &rows)
}

fn rows(counts: &BeforeAfter) -> String {
    let mut rows = String::new();
    for (name, before, after) in counts.data() {
        let about = if counts.about(name).is_empty() { "" } else { "about " };
        let shown = |count: Option<u64>| count.map_or("–".to_owned(), |count| format!("{about}{}", number(count)));
        let changed = if before == after { "" } else { "**" };
        let _ = writeln!(rows, "| {} | {} | {changed}{}{changed} |", code(name), shown(before), shown(after));
    }
    under("| table | rows before | after |\n|---|---:|---:|\n", &rows)
}

fn parity(parity: &Comparison) -> String {
    let mut rows = String::new();
    for pair in &parity.pairs {
        let mark = if pair.within { "✅" } else { "❌" };
        let [prisma, mirror, percent] = [pair.prisma.into(), pair.mirror.into(), pair.diff_pct.into()]
            .map(|figure: serde_json::Value| code(&figure.to_string()));
        let by_row = pair.rows.as_ref().map(|rows| code(&rows.figures())).unwrap_or_default();
        let _ = writeln!(rows, "| {mark} | {} | {prisma} | {mirror} | {percent} % | {by_row} |", code(&pair.name));
    }
    under(
        "| | pair | prisma | mirror | difference | rows missing / extra / changed |\n|---|---|---:|---:|---:|---:|\n",
        &rows,
    )
}

/// A table, where there is anything to put into it.
fn under(header: &str, rows: &str) -> String {
    if rows.is_empty() { String::new() } else { format!("{header}{rows}\n") }
}

/// Text of others within a line.
fn code(text: &str) -> String {
    let mut out = "<code>".to_owned();
    for c in in_line(text).chars() {
        match c {
            c if c.is_ascii_punctuation() && !"-/.,".contains(c) => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "</code>"
}

/// Text of others in a block, whose fence is longer than any in it.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n\n")
}

/// Adds `markdown` to the step's summary, as much of it as GitHub still takes.
///
/// # Errors
/// What the system says of the file.
pub fn append(path: &Path, markdown: &str) -> io::Result<()> {
    let mut file = opened(path)?;
    let there = usize::try_from(file.metadata()?.len()).unwrap_or(LIMIT);
    file.write_all(fitting(markdown, LIMIT.saturating_sub(there)).as_bytes())
}

/// Adds `lines` to the step's outputs.
///
/// # Errors
/// What the system says of the file.
pub fn append_outputs(path: &Path, lines: &str) -> io::Result<()> {
    opened(path)?.write_all(lines.as_bytes())
}

fn opened(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// All of `markdown`, or its first lines and a word about the rest, or nothing.
fn fitting(markdown: &str, room: usize) -> String {
    if markdown.len() <= room {
        return markdown.to_owned();
    }
    let Some(room) = room.checked_sub(CUT.len()) else { return String::new() };
    let lines = markdown.split_inclusive('\n').scan(0, |length, line| {
        *length += line.len();
        (*length <= room).then_some(line)
    });
    lines.collect::<String>().trim_end().to_owned() + CUT
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evidence::record::Record;

    #[test]
    fn an_annotation_is_one_line_that_the_runner_reads_back_whole() {
        let outcome = Record::of(json!({
            "command": "forward", "status": "failed", "hint": "a, b: c",
            "error": {"message": "100% of `x`\n::stop::", "causes": ["one\r\ntwo"]},
        }))
        .outcome;
        let expected =
            "::error title=forward failed::100%25 of `x`\\n::stop::%0Acaused by: one\\r\\ntwo%0Ahint: a, b: c";
        assert_eq!(annotation(&outcome, "").unwrap(), expected);
        assert_eq!(property("a:b,c%"), "a%3Ab%2Cc%25");
        assert_eq!(annotation(&Record::of(json!({})).outcome, ""), None);
    }

    #[test]
    fn what_a_migration_fails_with_is_annotated_where_it_is() {
        let at = |line| {
            let error = json!({"message": "no", "file": "prisma/migrations/1_a,b/migration.sql", "line": line});
            let outcome = Record::of(json!({"command": "forward", "status": "blocked", "error": error})).outcome;
            annotation(&outcome, "apps/web/").unwrap()
        };
        insta::assert_snapshot!([at(Some(3)), at(None)].join("\n"), @"
        ::error file=apps/web/prisma/migrations/1_a%2Cb/migration.sql,line=3,title=forward blocked::no
        ::error file=apps/web/prisma/migrations/1_a%2Cb/migration.sql,title=forward blocked::no
        ");
    }

    #[test]
    fn a_statement_over_a_limit_is_annotated_where_it_is() {
        let over = |line: u8, accepted: Option<&str>| {
            json!({"migration": "m", "file": "db/m,1:%/migration.sql", "line": line, "limit": "blocks_writes",
                   "message": "blocks writes of `t`\n::stop::x, and `blocks_writes` allows a moment", "accepted": accepted})
        };
        let outcome = Record::of(json!({"limits": [over(3, None), over(7, Some("it is small"))]})).outcome;
        insta::assert_snapshot!(annotations(&outcome, "apps/web/").join("\n"), @r"::error file=apps/web/db/m%2C1%3A%25/migration.sql,line=3,title=blocks_writes over its limit::blocks writes of `t`\n::stop::x, and `blocks_writes` allows a moment");
    }

    #[test]
    fn the_outputs_of_a_step_are_lines_of_names_that_are_known() {
        let refused = json!({"command": "drill", "status": "refused", "exit_code": 3, "evidence": "feedback/evidence/x\nstatus=ok"});
        let ok = json!({"command": "env check", "status": "ok", "exit_code": 0});
        let said = [refused, ok].map(|outcome| outputs(&Record::of(outcome).outcome, "apps/web/"));
        insta::assert_snapshot!(said.join("--\n"), @r"
        command=drill
        status=refused
        exit_code=3
        evidence=apps/web/feedback/evidence/x\nstatus=ok
        report=apps/web/feedback/evidence/x\nstatus=ok/report.html
        junit=apps/web/feedback/evidence/x\nstatus=ok/junit.xml
        --
        command=env check
        status=ok
        exit_code=0
        ");
    }

    #[test]
    fn what_was_not_tried_has_a_mark_of_its_own() {
        let step = |name: &str, status: &str, detail: &str| json!({"name": name, "status": status, "detail": detail});
        let steps = [step("feed", "ok", "7 rows"), step("verify write", "skipped", "not tried: no role")];
        let outcome = Record::of(json!({"stages": [
            {"name": "mirror", "status": "ok", "steps": steps},
            {"name": "parity", "status": "skipped", "detail": "left out, as asked"},
        ]}));
        insta::assert_snapshot!(self::steps(&outcome.outcome), @"
        | | stage | step | took | found |
        |---|---|---|---:|---|
        | ✅ | <code>mirror</code> | <code>feed</code> | 0 ms | <code>7 rows</code> |
        | ➖ | <code>mirror</code> | <code>verify write</code> | 0 ms | <code>not tried&#58; no role</code> |
        | ➖ | <code>parity</code> | | | <code>left out, as asked</code> |
        ");
    }

    #[test]
    fn what_others_said_neither_marks_up_nor_mentions() {
        assert_eq!(code("@a|b*<c>`\nd"), "<code>&#64;a&#124;b&#42;&#60;c&#62;&#96;&#92;nd</code>");
        assert_eq!(fenced("x\n```\n@a"), "````text\nx\n```\n@a\n````\n\n");
    }

    #[test]
    fn a_summary_that_does_not_fit_is_cut_at_a_line_and_says_so() {
        let long = "0123456789\n".repeat(40);
        assert_eq!(fitting(&long, 440), long);
        let cut = fitting(&long, 120);
        assert!(cut.len() <= 120 && cut.starts_with("0123456789\n") && cut.ends_with(CUT), "{cut}");
        assert_eq!(fitting(&long, 10), "");
    }

    #[test]
    fn what_is_there_already_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.md");
        std::fs::write(&path, "x".repeat(LIMIT - 200)).unwrap();
        append(&path, &"a line of text\n".repeat(100)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() <= LIMIT && text.ends_with(CUT), "{}", text.len());
        append(&path, "more\n").unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= LIMIT as u64);
    }
}
