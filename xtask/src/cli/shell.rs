//! `completions` and `man`: the command line as a shell and a pager want it, made of the same definition as `--help`.

use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate};

use crate::cli::args::{self, Man};
use crate::error::{Failure, OrFail, Result};
use crate::evidence::outcome::Outcome;
use crate::run::console::Console;

/// As it is installed: `cargo xtask` is an alias of cargo, which completes for itself.
const PROGRAM: &str = "xtask";

pub fn completions(shell: Shell, console: &Console, outcome: &mut Outcome) -> Result<()> {
    let mut script = Vec::new();
    generate(shell, &mut installed(), PROGRAM, &mut script);
    tell("script", &String::from_utf8_lossy(&script), console, outcome);
    Ok(())
}

pub fn man(args: &Man, console: &Console, outcome: &mut Outcome) -> Result<()> {
    match &args.dir {
        Some(dir) => pages(dir, console, outcome),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(installed()).render(&mut page).bug("the page of the manual cannot be made")?;
            tell("page", &String::from_utf8_lossy(&page), console, outcome);
            Ok(())
        }
    }
}

/// One for each command, as `man` finds them in a folder of its path.
fn pages(dir: &Path, console: &Console, outcome: &mut Outcome) -> Result<()> {
    let shown = dir.display().to_string();
    let cannot = || Failure::blocked(format!("cannot write the pages of the manual to `{shown}`"));
    std::fs::create_dir_all(dir).or_fail(cannot)?;
    clap_mangen::generate_to(installed(), dir).or_fail(cannot)?;
    tell("dir", &shown, console, outcome);
    Ok(())
}

fn tell(key: &str, text: &str, console: &Console, outcome: &mut Outcome) {
    outcome.extra.insert(key.to_owned(), text.into());
    if !console.is_json() {
        console.result(text.trim_end());
    }
}

fn installed() -> Command {
    args::command(Some(PROGRAM.to_owned())).name(PROGRAM)
}
