//! `sandbox up`, `down`, `status`, `url`, `seed` and `prune`: the embedded Postgres, for the person at the keyboard.

use std::time::Duration;

use crate::cli::args::Sandbox;
use crate::cli::{sandbox_prune, seed};
use crate::error::{OrFail, Result};
use crate::evidence::outcome::Outcome;
use crate::rows::seed::MirrorFaults;
use crate::run::runner::Runner;
use crate::sandbox;

pub fn run(command: &Sandbox, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, interrupt, .. } = *runner;
    match command {
        Sandbox::Up => {
            runner.packages()?;
            let begun = std::time::Instant::now();
            let sandbox = runner.sandbox()?;
            let how = if sandbox.started { "is up" } else { "was up already" };
            let took = begun.elapsed().as_millis();
            console.say(format!("sandbox: {how}, port {}, pid {} ({took} ms)", sandbox.port, sandbox.pid));
            report(sandbox::status(settings)?, outcome)
        }
        Sandbox::Down => {
            let stopped = sandbox::down(settings, interrupt)?;
            console.say(if stopped { "sandbox: stopped; its rows stay" } else { "sandbox: was not running" });
            report(sandbox::status(settings)?, outcome)
        }
        Sandbox::Status => {
            let status = sandbox::status(settings)?;
            if !settings.output.json {
                console.result(&status.in_words());
            }
            report(status, outcome)
        }
        Sandbox::Url => {
            let url = sandbox::url(settings)?;
            if !settings.output.json {
                console.result(&url);
            }
            outcome.extra.insert("url".to_owned(), url.into());
            Ok(())
        }
        Sandbox::Seed(seed) => {
            let faults = MirrorFaults {
                drop_pct: seed.mirror_drop,
                duplicate_pct: seed.mirror_duplicate,
                delay: Duration::from_secs(seed.mirror_delay),
            };
            seed::run(runner, seed.rows, faults, outcome)
        }
        Sandbox::Prune(args) => sandbox_prune::run(args, runner, outcome),
    }
}

fn report(status: sandbox::Status, outcome: &mut Outcome) -> Result<()> {
    let json = serde_json::to_value(status).bug("cannot print the status")?;
    outcome.extra.insert("sandbox".to_owned(), json);
    Ok(())
}
