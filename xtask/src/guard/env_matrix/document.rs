//! The document as text: two tables and a list between two marks. What stands around them is the reader's own.

use std::fmt::Write as _;

use crate::error::{Failure, Result};

const BEGIN: &str = "<!-- staging drill: written by `cargo xtask env matrix` from here on -->";
const END: &str = "<!-- staging drill: yours again from here on -->";
const TITLE: &str = "# Environment matrix\n\n";
const VARIABLES: &str = "## Variables: where each comes from";
const TARGETS: &str = "## Targets: as last seen";
const ROTATIONS: &str = "## Rotations: newest first";
/// A cell without a value.
const BLANK: &str = "–";

/// A table whose rows and columns have names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grid {
    /// The first one is that of the rows' names.
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    above: String,
    below: String,
    pub variables: Grid,
    pub targets: Grid,
    /// Each a sentence.
    pub rotations: Vec<String>,
}

impl Grid {
    fn new(columns: &[&str]) -> Grid {
        Grid { columns: columns.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// The names of the rows.
    pub fn names(&self) -> Vec<String> {
        self.rows.iter().map(|row| row[0].clone()).collect()
    }

    pub fn get(&self, row: &str, column: &str) -> Option<&str> {
        let column = self.columns.iter().position(|name| name == column)?;
        let row = self.rows.iter().find(|cells| cells[0] == row)?;
        row.get(column).map(String::as_str).filter(|cell| *cell != BLANK)
    }

    /// Adds the row and the column where they are not there yet.
    pub fn set(&mut self, row: &str, column: &str, value: &str) {
        let position = self.columns.iter().position(|name| name == column).unwrap_or_else(|| {
            self.columns.push(column.to_owned());
            self.columns.len() - 1
        });
        let at = self.rows.iter().position(|cells| cells[0] == row).unwrap_or_else(|| {
            self.rows.push(vec![row.to_owned()]);
            self.rows.len() - 1
        });
        let cells = &mut self.rows[at];
        cells.resize(self.columns.len().max(cells.len()), BLANK.to_owned());
        value.clone_into(&mut cells[position]);
    }

    /// A table as `render` writes it: cells hold no bar.
    fn parse(text: &str, empty: Grid) -> Grid {
        let mut lines = text.lines().filter(|line| line.starts_with('|')).map(cells);
        let Some(columns) = lines.next() else { return empty };
        let width = columns.len();
        let full = |mut row: Vec<String>| {
            row.resize(width, BLANK.to_owned());
            row
        };
        Grid { columns, rows: lines.skip(1).map(full).collect() }
    }

    fn render(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.columns.len()));
        let full = |row: &Vec<String>| {
            let mut row = row.clone();
            row.resize(self.columns.len(), BLANK.to_owned());
            line(&row)
        };
        format!("{}{rule}{}", line(&self.columns), self.rows.iter().map(full).collect::<String>())
    }
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

impl Document {
    /// Reads what was written before; an empty text is a new document.
    ///
    /// # Errors
    /// `blocked` when the marks are not there once each and in order, or a merge left its own.
    pub fn parse(text: &str) -> Result<Document> {
        let unclear = |why: &str| {
            Err(Failure::blocked("the environment matrix is not in a shape that can be updated")
                .because(why)
                .hint(format!("put right, or remove, the part between `{BEGIN}` and `{END}`")))
        };
        if text.lines().any(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ")) {
            return unclear("it holds the marks of a merge conflict");
        }
        let (above, rest) = match (text.matches(BEGIN).count(), text.matches(END).count()) {
            (0, 0) => return Ok(Document::around(text)),
            (1, 1) => text.split_once(BEGIN).unwrap_or((text, "")),
            _ => return unclear("a mark is missing, or there twice"),
        };
        let Some((inner, below)) = rest.split_once(END) else { return unclear("its marks are in the wrong order") };
        let section = |title: &str| {
            let text = inner.split_once(title).map_or("", |(_, text)| text);
            text.split("\n## ").next().unwrap_or(text)
        };
        let new = Document::around("");
        Ok(Document {
            above: above.to_owned(),
            below: below.to_owned(),
            variables: Grid::parse(section(VARIABLES), new.variables),
            targets: Grid::parse(section(TARGETS), new.targets),
            rotations: section(ROTATIONS)
                .lines()
                .filter_map(|line| line.strip_prefix("- "))
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Nothing seen yet, below what stands there.
    fn around(text: &str) -> Document {
        let above = if text.is_empty() { TITLE.to_owned() } else { format!("{}\n\n", text.trim_end()) };
        Document {
            above,
            below: "\n".to_owned(),
            variables: Grid::new(&["variable", "what it is"]),
            targets: Grid::new(&["target", "database", "host", "Supabase project", "API", "service key", "since"]),
            rotations: Vec::new(),
        }
    }

    pub fn render(&self) -> String {
        let mut rotations = String::new();
        for rotation in &self.rotations {
            // Writing to a String cannot fail.
            let _ = writeln!(rotations, "- {rotation}");
        }
        if rotations.is_empty() {
            rotations.push_str("None yet.\n");
        }
        format!(
            "{}{BEGIN}\n\n{VARIABLES}\n\n{}\n{TARGETS}\n\n{}\n{ROTATIONS}\n\n{rotations}\n{END}{}",
            self.above,
            self.variables.render(),
            self.targets.render(),
            self.below
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn what_is_written_is_read_back_and_what_stands_around_it_stays() {
        let mut document = Document::parse("# Ours\n\nA word of our own.\n").unwrap();
        document.variables.set("DATABASE_URL", "staging", "`.env.staging`");
        document.targets.set("staging", "host", "`db.example.com:5432`");
        document.rotations.push("2026-11-22, staging: host".to_owned());
        let text = document.render();
        assert!(text.starts_with("# Ours\n\nA word of our own.\n\n<!-- staging drill"), "{text}");
        let again = Document::parse(&text).unwrap();
        assert_eq!(again, document);
        assert_eq!(again.render(), text);
        assert_eq!(again.targets.get("staging", "host"), Some("`db.example.com:5432`"));
        assert_eq!(again.targets.get("staging", "API"), None, "blank");
        assert_eq!(Document::parse(&format!("{text}\nBelow.\n")).unwrap().render(), format!("{text}\nBelow.\n"));
    }

    #[test]
    fn a_shape_that_is_not_ours_is_refused() {
        let text = Document::parse("").unwrap().render();
        let twice = format!("{text}{text}");
        let no_end = text.replace(END, "");
        let (before, after) = text.split_once(BEGIN).unwrap();
        let reversed = format!("{before}{}{BEGIN}", after);
        let conflict = format!("<<<<<<< HEAD\n{text}");
        for broken in [twice, no_end, reversed, conflict] {
            assert_eq!(Document::parse(&broken).unwrap_err().status, Status::Blocked, "{broken}");
        }
    }
}
