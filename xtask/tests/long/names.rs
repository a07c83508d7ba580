//! Whatever things are called: every command over schemas, tables, columns and migrations with names of every kind, and secrets that are words;
//! each output is read back.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::made_history::with_history;
use crate::project::{Answer, Project};

/// What passwords are, and what names must not be taken for.
const WORDS: [&str; 4] = ["orders", "ok", "main", "1"];

/// What acts on a terminal, a page, a table, a path, a query or a CI server.
const HOSTILE: [&str; 18] = [
    "ApiKey",
    "secret_token",
    "[REDACTED]",
    "it's \"q\"",
    "two\nlines",
    "cr\rlf\r\n",
    "\u{1b}[31mred",
    "\u{202e}txet\u{2066}",
    "::error::owned",
    "\n::add-path::/",
    "##[error]x",
    "a|b`c`",
    "[x](http://e.example)",
    "<!-- c --><b>",
    "</script>",
    "%0A\\n$(id)",
    "@all #1 ;--",
    "../x",
];

/// Of migrations: Prisma says them a line each, so none has a line's end.
const FOLDERS: [&str; 2] = ["ApiKey it's", "\u{202e}::error::x |`<b> ##[error]"];

/// The same in every run: a seed of its own makes them, and a failure names what it was about.
fn names(count: usize) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let random = prop_oneof![Just(String::new()), "\\PC{1,6}".prop_map(|text| text)];
    let name =
        (prop::sample::select(HOSTILE.to_vec()), random).prop_map(|(hostile, random)| format!("{hostile}{random}"));
    let mut made = || name.new_tree(&mut runner).unwrap().current();
    let words = WORDS.into_iter().chain(HOSTILE).map(str::to_owned);
    let mut names: Vec<String> = words.chain((0..count).map(|_| made())).filter(|name| name.len() < 64).collect();
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Name, script, and way back.
type Migration = (String, String, String);

/// A history of two migrations, which are called as they should not be, with a table of every name; and how many rows each has.
fn history(names: &[String]) -> ([Migration; 2], BTreeMap<String, u64>) {
    let (mut scripts, mut rows) = (Vec::new(), BTreeMap::new());
    for (at, part) in names.chunks(names.len().div_ceil(2)).enumerate() {
        let (mut up, mut down) = (String::new(), String::new());
        for (number, name) in part.iter().enumerate() {
            let (table, column) = (quoted(name), quoted(&part[part.len() - 1 - number]));
            up += &format!("create table {table} (id int primary key, {column} text);\n");
            up += &format!("insert into {table} select generate_series(1, {number});\n");
            down += &format!("drop table {table};\n");
            rows.insert(format!("public.{name}"), number as u64);
        }
        let folder = format!("2026010{}000000_{}", at + 1, FOLDERS[at]);
        scripts.push((folder, up, down));
    }
    let Ok(scripts) = scripts.try_into() else { panic!("two halves") };
    (scripts, rows)
}

/// What is said but for what is meant for GitHub: the masks, which hold the secrets by right, and our annotation.
fn said(text: &str) -> String {
    let is_meant = |line: &&str| line.starts_with("::add-mask::") || line.starts_with("::error title=");
    text.split_inclusive('\n').filter(|line| !is_meant(line)).collect()
}

/// A command's answer; nothing in it commands GitHub or a terminal, or holds the database's password.
fn run(project: &Project, args: &[&str], code: i32) -> Answer {
    let answer = project.run(args).expect(code);
    let answer = Answer { stdout: said(&answer.stdout), stderr: said(&answer.stderr), ..answer };
    project.assert_no_secret(&[&answer]);
    for text in [&answer.stdout, &answer.stderr] {
        let is_json = text.starts_with('{');
        for line in text.split(['\n', '\r']) {
            assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{args:?}: {line:?} in\n{text}");
            assert!(is_json || !line.contains(['\u{1b}', '\u{202e}', '\u{2066}']), "{args:?}: {line:?} in\n{text}");
        }
    }
    answer
}

/// Proves that names stay names and counts numbers in every output, that no output acts on who reads it, and that `evidence verify` believes
/// what all of them left.
#[test]
fn whatever_things_are_called_every_output_reads_back() {
    let names = names(14);
    let (scripts, rows) = history(&names);
    let parts = scripts.each_ref().map(|(name, up, down)| (name.as_str(), up.as_str(), down.as_str()));
    let (mut project, database) = with_history("names", &parts);
    let secrets: String = WORDS.iter().enumerate().map(|(at, word)| format!("APP_{at}_SECRET={word}\n")).collect();
    project.write(".env.staging", &format!("DATABASE_URL={}\n{secrets}", database.url()));
    project.env.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    project.env.insert("GITHUB_STEP_SUMMARY".to_owned(), project.path("summary.md").display().to_string());
    let read = |args: &[&str], code: i32| run(&project, &[args, &["--json"]].concat(), code).json();
    let assert_counts = |counts: &Value, of: &BTreeMap<String, u64>| {
        for (table, rows) in of {
            assert_eq!(counts[table], *rows, "{table:?} in {counts:#}");
        }
    };
    let text = |args: &[&str], code: i32| run(&project, args, code);

    // In a schema of its own hangs what a reset takes and makes again.
    let schema = quoted("other\n::error::it's |`\u{202e}");
    database.execute(&format!("create schema {schema}; create view {schema}.{schema} as select * from \"orders\""));
    read(&["env", "check"], 0);
    read(&["env", "matrix"], 0);
    let plan = text(&["backward", "--plan"], 0).stdout;
    for name in names.iter().rev().take(names.len() / 2) {
        assert!(plan.contains(&shown(&format!("\"public\".{}", quoted(name)))), "{name:?} in\n{plan}");
    }
    assert_counts(&read(&["backward", "--plan"], 0)["plan"]["rows"], &rows);
    text(&["backward"], 3);
    let back = read(&["backward", "--accept-data-loss"], 0);
    assert_eq!(back["migrations"]["rolled_back"], json!([scripts[1].0]));
    assert_counts(&back["counts"]["before"], &rows);
    text(&["restore", "--list"], 0);
    read(&["forward", "--plan"], 0);
    let again = text(&["forward"], 0);
    let counts = &record_of(&project, &again)["counts"];
    assert_counts(&counts["after"], &rows);
    read(&["parity"], 4);
    read(&["mirror"], 4);
    read(&["claim", "--confirm", &database.name], 0);
    read(&["drill", "--no-mirror", "--plan"], 0);
    read(&["drill", "--each"], 0);
    let plan = text(&["reset", "--plan"], 0).stdout;
    assert!(plan.contains(&shown(&format!("view `{schema}.{schema}`"))), "{plan}");
    read(&["reset", "--confirm"], 0);
    assert_eq!(database.one::<i64>(&format!("select count(*) from {schema}.{schema}")), 0);
    text(&["restore", "--plan"], 0);
    assert_counts(&read(&["restore", "--confirm"], 0)["counts"]["after"], &rows);
    read(&["evidence", "list"], 0);
    text(&["evidence", "list"], 0);
    text(&["evidence", "show"], 0);
    let shown = read(&["evidence", "show"], 0);
    assert_counts(&shown["run"]["record"]["counts"]["after"], &rows);
    text(&["evidence", "report"], 0);
    text(&["evidence", "redact"], 0);
    assert!(text(&["evidence", "verify"], 0).stdout.contains("every record is as the run after it says"));
    assert_read_back(&project, &rows);
}

/// As the terminal shows it.
fn shown(name: &str) -> String {
    let is_shown = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2066}');
    let shown: String =
        name.chars().map(|c| if is_shown(c) { c.escape_default().to_string() } else { c.to_string() }).collect();
    shown.replace("##[", r"\u{23}#[")
}

fn record_of(project: &Project, answer: &Answer) -> Value {
    let folder = answer.stderr.lines().last().unwrap().strip_prefix("evidence: ").unwrap();
    serde_json::from_str(&project.read(&format!("{folder}/run.json"))).unwrap()
}

/// Every file that the runs left for programs parses, and what they left for people has no name that acts.
fn assert_read_back(project: &Project, rows: &BTreeMap<String, u64>) {
    let mut tried = 0;
    for path in project.files().iter().filter(|path| path.to_string_lossy().contains("/feedback/")) {
        let text = std::fs::read_to_string(path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                drop(serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{path:?}: {error}")))
            }
            Some("xml") => drop(roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))),
            Some("html") => assert!(!text.contains(['\u{202e}', '\u{1b}']) && !text.contains("<b>a"), "{path:?}"),
            Some("md") => assert_entries(&text, rows),
            _ => continue,
        }
        tried += 1;
    }
    let summary = project.read("summary.md");
    assert!(!summary.contains(['\u{202e}', '\u{1b}', '\r']), "{summary}");
    // What stands in a fence is text.
    let tables = summary.lines().filter(|line| line.starts_with("| "));
    tables.for_each(|line| assert!(!line.contains("<!--") && !line.contains("<b>") && !line.contains("]("), "{line}"));
    assert!(tried > 20, "{tried}");
}

/// Nothing in an entry but the file's own mark is a comment, a link leads to the evidence alone, and a row has its three cells.
fn assert_entries(text: &str, rows: &BTreeMap<String, u64>) {
    assert!(!text.contains(['\u{202e}', '\u{1b}', '\r']), "{text}");
    assert!(text.matches("<!--").count() <= 1 && !text.contains("[x]("), "{text}");
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        assert_eq!(line.matches('|').count(), 4, "{line}");
    }
    let of_tables = |line: &&str| line.contains("public.");
    for block in text.split("\n## ").filter(|block| block.contains("| table |")) {
        assert!(block.lines().filter(of_tables).count() >= rows.len(), "{block}");
    }
}
