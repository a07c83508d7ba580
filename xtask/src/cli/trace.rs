//! The file of `--trace`: opened before anything happens, so that a mistyped path costs no run, and written when the outcome stands.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Failure, OrFail, Result};
use crate::evidence::outcome::Outcome;
use crate::evidence::views::trace;
use crate::run::console::Console;
use crate::settings::started;

/// What a trace begins with.
const MARK: &[u8] = b"{\"resourceSpans\"";

pub struct TraceFile {
    path: PathBuf,
    file: File,
}

impl TraceFile {
    /// A new file, or one that holds a trace already or nothing: what else stands there is not ours to overwrite.
    ///
    /// # Errors
    /// `usage` when that is no such file.
    pub fn open(path: &Path) -> Result<TraceFile> {
        let cannot = || {
            Failure::usage(format!("`--trace {}` cannot be written", path.display()))
                .note("name a new file, or that of an earlier trace, in a folder that is there")
        };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).or_fail(cannot)?;
        let mut start = Vec::new();
        Read::by_ref(&mut file).take(MARK.len() as u64).read_to_end(&mut start).or_fail(cannot)?;
        if start.is_empty() || start == MARK {
            return Ok(TraceFile { path: path.to_owned(), file });
        }
        Err(cannot().because("there is a file of that name which is no trace"))
    }

    /// What the outcome came to. That it cannot be written is told, and changes nothing else.
    pub fn write(self, console: &Console, outcome: &Outcome) {
        let TraceFile { path, mut file } = self;
        let text =
            console.masked(outcome).and_then(|masked| trace::document(&masked, outcome.elapsed_ms(), started::VERSION));
        let written = text.and_then(|text| replace(&mut file, &text).failed(|| "the file is not whole"));
        if let Err(failure) = written {
            console.show(format!("warning: cannot write the trace to `{}`: {failure}", path.display()));
        }
    }
}

fn replace(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}
