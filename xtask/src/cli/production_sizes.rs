//! `production-sizes`: the question for who may ask production, and what becomes of its answer. Nothing here connects to anything.

use std::io::Read;
use std::path::Path;

use pin::file;
use serde_json::json;

use crate::cli::args::ProductionSizes;
use crate::error::{Failure, OrFail, Result};
use crate::evidence::outcome::Outcome;
use crate::init::production_sizes::{QUERY, change, lines, read};
use crate::run::runner::Runner;

pub fn run(args: &ProductionSizes, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let Some(path) = &args.read else {
        outcome.extra.insert("query".to_owned(), QUERY.into());
        show(QUERY, runner);
        return Ok(());
    };
    let sizes = read(&text(path)?)?;
    let change = if args.write { change(&runner.settings.root, &sizes)? } else { None };
    show(&change.as_ref().map_or_else(|| lines(&sizes), |change| change.diff()), runner);
    let written = change.as_ref().filter(|_| !runner.plan_only);
    if let Some(change) = written {
        change.write(&runner.settings.root)?;
    }
    outcome.extra.insert("production_sizes".to_owned(), json!({ "tables": sizes, "written": written.is_some() }));
    runner.console.say(match (args.write, written) {
        (_, Some(_)) => "`drill.toml` is written",
        (true, None) if change.is_none() => "There is nothing to write: all of it is here.",
        _ => "Nothing was changed.",
    });
    Ok(())
}

fn show(text: &str, runner: &Runner<'_>) {
    if !runner.settings.output.json {
        runner.console.result(text.trim_end());
    }
}

/// `-` is standard input.
fn text(path: &Path) -> Result<String> {
    let read = if path == Path::new("-") { stdin() } else { file::read_text(path, file::LONGEST) };
    read.or_fail(|| Failure::usage(format!("cannot read `{}`", path.display())))
}

fn stdin() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(file::LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
