//! The tables of docs/reliability: each is written by the test that holds it. A test compares what it saw with what the page says; with
//! `UPDATE_RELIABILITY=1` it writes the page, and its line in docs/reliability.md.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Where docs/reliability.md has a line for each table.
const SUMMARY: &str = "docs/reliability.md";
const END_OF_SUMMARY: &str = "<!-- the tests write the lines above -->";

/// Tests of one program write side by side.
static WRITING: Mutex<()> = Mutex::new(());

/// One table: what was tried, what was there afterwards, and how often that was as it should be.
pub struct Table {
    name: &'static str,
    about: &'static str,
    test: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    cells: Vec<String>,
    tried: usize,
    failures: Vec<String>,
}

impl Table {
    /// `name` is the page's in docs/reliability, `about` its first paragraph, `test` the function that holds it, and `columns` what its rows
    /// say beside the counts.
    pub fn new(name: &'static str, about: &'static str, test: &'static str, columns: &[&'static str]) -> Table {
        Table { name, about, test, columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One case, tried once.
    pub fn row<const N: usize>(&mut self, cells: [&str; N], result: Result<(), String>) {
        self.rows_of(cells, 1, result.err().into_iter().collect());
    }

    /// One kind of case, tried `tried` times, with a sentence for each time that it was not as it should be.
    pub fn rows_of<const N: usize>(&mut self, cells: [&str; N], tried: usize, failures: Vec<String>) {
        assert_eq!(N, self.columns.len(), "a row of {} says as much as its columns", self.name);
        let cells = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        self.rows.push(Row { cells, tried, failures });
    }

    /// # Panics
    /// If a case was not as it should be, or the page does not say what was seen.
    pub fn hold(self) {
        let failures: Vec<_> = self
            .rows
            .iter()
            .flat_map(|row| row.failures.iter().map(|why| format!("{}: {why}", row.cells.join(", "))))
            .collect();
        assert!(
            failures.is_empty(),
            "{} of {} in {}:\n{}",
            failures.len(),
            self.tried(),
            self.name,
            failures.join("\n")
        );
        let page = crate::workspace().join(format!("docs/reliability/{}.md", self.name));
        let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        if std::env::var_os("UPDATE_RELIABILITY").is_some() {
            write(&page, &self.page());
            write(&crate::workspace().join(SUMMARY), &self.summary_with_us(&read(SUMMARY.into())));
        }
        assert_eq!(
            read(page.clone()),
            self.page(),
            "{} is not what the test saw; UPDATE_RELIABILITY=1 writes it",
            page.display()
        );
        assert!(read(SUMMARY.into()).contains(&self.line()), "{SUMMARY} does not say: {}", self.line());
    }

    fn tried(&self) -> usize {
        self.rows.iter().map(|row| row.tried).sum()
    }

    fn page(&self) -> String {
        let head = |cells: &[&str]| format!("| {} |", cells.join(" | "));
        let mut columns = self.columns.clone();
        columns.extend(["tried", "held"]);
        let rules: Vec<_> =
            columns.iter().map(|column| if matches!(*column, "tried" | "held") { "---:" } else { "---" }).collect();
        let rows = self
            .rows
            .iter()
            .map(|row| format!("| {} | {} | {} |", row.cells.join(" | "), row.tried, row.tried - row.failures.len()));
        let table: Vec<_> = [head(&columns), head(&rules)].into_iter().chain(rows).collect();
        let Table { name, about, test, .. } = self;
        format!(
            "# {}\n\n{about}\n\nWritten by the test `{test}`; [all tables](../reliability.md).\n\n{}\n",
            title(name),
            table.join("\n")
        )
    }

    fn line(&self) -> String {
        let tried = self.tried();
        format!("| [{}](reliability/{}.md) | {tried} | {tried} | `{}` |", title(self.name), self.name, self.test)
    }

    fn summary_with_us(&self, summary: &str) -> String {
        let link = format!("(reliability/{}.md)", self.name);
        if summary.lines().any(|line| line.contains(&link)) {
            let lines = summary.lines().map(|line| if line.contains(&link) { self.line() } else { line.to_owned() });
            return lines.collect::<Vec<_>>().join("\n") + "\n";
        }
        summary.replacen(END_OF_SUMMARY, &format!("{}\n{END_OF_SUMMARY}", self.line()), 1)
    }
}

/// `signals-of-children`, as a heading says it.
fn title(name: &str) -> String {
    let words = name.replace('-', " ");
    let first = words.chars().next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(words.chars().skip(1)).collect()
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(crate::workspace().join(path)).unwrap_or_default()
}

fn write(path: &PathBuf, text: &str) {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    assert!(written.is_ok(), "{} is not written: {written:?}", path.display());
}
