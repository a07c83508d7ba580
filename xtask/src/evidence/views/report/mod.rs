//! `report.html`: one file that a person reads first, made from the run's folder.
//!
//! It needs nothing from elsewhere, and says so to the browser: its policy allows one style and one script, by their
//! digests, and no request at all. What children, servers and migrations said is text; the templates escape it when
//! they are compiled. Only the search needs the script: folding, jumping, printing and the filter by verdict are the
//! browser's own.

mod database;
mod deployed;
mod deploys;
mod failures;
mod identity;
mod impact;
mod lanes;
mod logs;
mod marks;
mod prose;
mod scripts;
mod section;
mod since;
mod skipped;
mod timeline;
mod verdict;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::error::{Failure, OrFail, Result};
use crate::evidence::entry::relative;
use crate::evidence::outcome::Outcome;
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::section::Section;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Writes the report of an old run to `out`, which must be new, or to its place in `private_dir`; returns the path.
///
/// # Errors
/// `failed` when it cannot be written.
pub fn save(reading: &Reading, out: Option<&Path>, private_dir: &Path) -> Result<PathBuf> {
    let usual = || private_dir.join("reports").join(format!("{}.html", reading.name));
    let path = out.map_or_else(usual, Path::to_path_buf);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        // What lies in our own folder is an older view of the same run.
        let mut file = File::options().write(true).create(true).truncate(true).create_new(out.is_some()).open(&path)?;
        let siblings = relative(path.parent().unwrap_or(&path), &reading.dir);
        file.write_all(page_at(reading, &siblings.to_string_lossy()).as_bytes())
    });
    written.map(|()| path.clone()).or_fail(|| {
        Failure::failed(format!("cannot write the report to `{}`", path.display()))
            .hint("name a file that is not there yet with `--out FILE`")
    })
}

/// The whole document, as it lies in the run's own folder.
pub fn page(reading: &Reading) -> String {
    page_at(reading, "..")
}

/// `siblings` leads from the page to the folder of all runs.
fn page_at(reading: &Reading, siblings: &str) -> String {
    let run = &reading.run.outcome;
    let sections: Vec<Section> = [
        failures::section(reading),
        timeline::section(reading),
        skipped::section(reading),
        since::section(reading, siblings),
        database::migrations(run),
        impact::impact(run),
        deploys::deploys(run),
        deployed::deployed(run),
        database::rows(run),
        database::schema(reading),
        database::parity(reading),
        scripts::section(reading),
        logs::section(reading),
        identity::section(reading),
        identity::files(reading),
    ]
    .into_iter()
    .flatten()
    .collect();
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            (head(run))
            body {
                (verdict::header(reading))
                nav aria-label="Sections" {
                    @for section in &sections { a href={ "#" (section.id) } { (section.title) } }
                }
                main {
                    @for section in &sections {
                        section id=(section.id) { h2 { (section.title) } (section.body) }
                    }
                }
                footer {
                    "Made from the files in " code { (reading.name) } " by the staging drill. "
                    code { "run.json" } " is the record."
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    document.into_string()
}

fn head(run: &Outcome) -> Markup {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        source(STYLE),
        source(SCRIPT),
    );
    let Outcome { command, status, started_at, target, .. } = run;
    let target = target.as_ref().map_or("", |target| &target.name);
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (command) " " (status) ", " (target) ", " (started_at) }
            link rel="icon" href=(marks::favicon(status));
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// As a content security policy names an inline style or script.
fn source(content: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(content)))
}

#[cfg(test)]
mod tests;
