//! A cause as a page of `docs/failures`, and the index of all pages.

use crate::causes::{Cause, Fix};
use crate::hint::CARGO;

pub fn of(cause: &Cause) -> String {
    let Cause { name, title, codes, more, .. } = cause;
    let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
    let codes = if codes.is_empty() { String::new() } else { format!("Also called: {}.\n\n", codes.join(", ")) };
    format!("# {title}\n\n`{name}`\n\n{codes}**What to do.** {}\n\n{}\n", fix(cause), more.trim())
}

fn fix(cause: &Cause) -> String {
    let shown = |text: &str| text.replace('{', "<").replace('}', ">");
    let block = |lead: &str, kind: &str, line: &str| format!("{lead}\n\n```{kind}\n{line}\n```");
    match cause.fix {
        Fix::Run(words) => block("Run:", "sh", &format!("{CARGO} {}", shown(words))),
        Fix::Shell(words) => block("In the project's folder:", "sh", &shown(words)),
        Fix::Sql(statement) => block("On the server, as a role that may:", "sql", &format!("{};", shown(statement))),
        Fix::Advice(text) => format!("{}.", capitalized(&escaped(&shown(text)))),
    }
}

/// What is no code would be taken for HTML.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts: Vec<String> =
        parts.map(|(at, part)| if at % 2 == 0 { part.replace('<', "&lt;") } else { part.into() }).collect();
    parts.join("`")
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + chars.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use crate::causes::all;

    /// Every page by its file's name, with the index.
    fn pages() -> BTreeMap<String, String> {
        let row = |cause: &crate::causes::Cause| {
            format!("| [{}]({}.md) | {} | {} |\n", cause.name, cause.name, cause.title, cause.codes.join(", "))
        };
        let index = format!(
            "# Known failures\n\nOne page each, made from the table that the program takes its hints from (`cargo chore docs`; a test holds \
             them together). `doctor` looks for them before a run, and a hint ends with the name of its page.\n\n\
             | name | what is so | also called |\n|---|---|---|\n{}",
            all().map(row).collect::<String>()
        );
        let pages = all().map(|cause| (format!("{}.md", cause.name), cause.page()));
        pages.chain([("README.md".to_owned(), index)]).collect()
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "who rewrites the pages says so by a variable")]
    fn every_page_is_what_the_table_says_and_there_is_no_other() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/failures");
        let pages = pages();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            pages.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
        }
        let found = fs::read_dir(&folder).into_iter().flatten().flatten();
        let found: BTreeMap<String, String> = found
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
            .collect();
        let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&pages), "docs/failures is out of date: cargo chore docs");
        let other: Vec<&String> = pages.keys().filter(|name| found[*name] != pages[*name]).collect();
        assert!(other.is_empty(), "out of date: {other:?}; cargo chore docs");
    }
}
