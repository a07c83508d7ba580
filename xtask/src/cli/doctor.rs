//! `doctor`: every row in its place, and the worst one as the exit code.

use crate::causes;
use crate::cli::args::Doctor;
use crate::doctor::check::{Check, Mark};
use crate::doctor::examine;
use crate::error::{Failure, Result, Status};
use crate::evidence::outcome::Outcome;
use crate::interrupt::Interrupt;
use crate::run::console::Console;
use crate::session;
use crate::settings::Settings;
use crate::settings::flags::Global;
use crate::words::{in_line, listed, sentence};

pub fn run(args: &Doctor, global: &Global, console: &Console, outcome: &mut Outcome) -> Result<()> {
    if let Some(name) = &args.explain {
        return explain(name, console, outcome);
    }
    let interrupt = Interrupt::listen()?;
    console.hears(&interrupt);
    let loaded = Settings::load(global);
    let (settings, unusable) = match loaded {
        Ok(settings) => (settings, None),
        Err(failure) => (Settings::without_file(global)?, Some(failure)),
    };
    let (patient, rows) = examine(settings, &interrupt, unusable);
    console.mask(&patient.redactor);
    interrupt.check()?;
    outcome.target = patient.candidate.as_ref().map(|candidate| session::view(&patient.settings, candidate));
    tell(&patient.settings, &rows, console, outcome);
    verdict(&rows)
}

pub fn tell(settings: &Settings, rows: &[Check], console: &Console, outcome: &mut Outcome) {
    let json = rows.iter().map(|row| row.to_json(&settings.aim)).collect();
    outcome.extra.insert("checks".to_owned(), json);
    if settings.output.json {
        return;
    }
    let shown = rows.iter().filter(|row| !console.is_quiet() || row.mark >= Mark::Warn);
    let lines: Vec<String> = shown.flat_map(|row| in_words(row, settings, console)).collect();
    if !lines.is_empty() {
        console.result_in_colour(&lines.join("\n"));
    }
}

fn in_words(row: &Check, settings: &Settings, console: &Console) -> Vec<String> {
    let mark = match row.mark {
        Mark::Ok => console.painted_result("✓", "32"),
        Mark::Skipped => "-".to_owned(),
        Mark::Warn => console.painted_result("!", "33"),
        Mark::Fail => console.painted_result("✗", "31"),
    };
    let line = format!("{mark} {}: {}", row.name, in_line(&sentence(&row.message)));
    let fix = row.hint.as_ref().map(|hint| format!("    fix: {}", in_line(&sentence(&hint.line(&settings.aim)))));
    std::iter::once(line).chain(fix).collect()
}

/// Of what fails, what matters most: what must not be touched, then what is missing, then what differs.
pub fn verdict(rows: &[Check]) -> Result<()> {
    let failed: Vec<&Check> = rows.iter().filter(|row| row.mark == Mark::Fail).collect();
    let order = [Status::Bug, Status::Refused, Status::Usage, Status::Blocked, Status::Failed, Status::Different];
    let worst = order.into_iter().find_map(|status| failed.iter().find(|row| row.status == status));
    let Some(worst) = worst else { return Ok(()) };
    let mut names: Vec<String> = failed.iter().map(|row| row.name.to_owned()).collect();
    names.dedup();
    let failure = Failure::blocked(format!("a run would not work: {}", listed(&names))).with_status(worst.status);
    Err(match &worst.hint {
        Some(hint) => failure.hint(hint.clone()),
        None => failure,
    })
}

/// The page of a known failure, as a hint names it.
fn explain(name: &str, console: &Console, outcome: &mut Outcome) -> Result<()> {
    let name = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".md");
    let found = causes::named(name).or_else(|| causes::of_code(name));
    let Some(cause) = found else {
        return Err(Failure::usage(format!("no known failure is called `{name}`"))
            .hint("docs/failures/README.md lists them, by name and by code"));
    };
    outcome.extra.insert("page".to_owned(), cause.page().into());
    if !console.is_json() {
        console.result(cause.page().trim_end());
    }
    Ok(())
}
