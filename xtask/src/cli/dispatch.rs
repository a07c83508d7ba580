//! From arguments to an exit code: one arm a command.

use std::process::ExitCode;

use crate::cli::args::{self, Cli, Command, Env, Evidence, Sandbox};
use crate::cli::trace::TraceFile;
use crate::cli::{
    doctor, env, evidence, evidence_open, evidence_prune, init, production_sizes, sandbox, shell, status, usage,
};
use crate::clock;
use crate::error::{Failure, OrFail, Result, Status, guarded};
use crate::evidence::outcome::Outcome;
use crate::evidence::views::github;
use crate::guard::input::Declared;
use crate::interrupt::Interrupt;
use crate::rows::snapshot::{Listed, Store};
use crate::run::console::{self, Console};
use crate::run::runner::Runner;
use crate::settings::flags::Global;
use crate::settings::production::ProductionRows;
use crate::settings::{Output, Settings};
use crate::stages::backward::{Backward, Extent};
use crate::stages::claim::Claim;
use crate::stages::deployed::{Release, Wanted};
use crate::stages::drill::pass::Pass;
use crate::stages::drill::{Drill, DrillExtent};
use crate::stages::each::Rehearse;
use crate::stages::forward::Forward;
use crate::stages::mirror::Mirror;
use crate::stages::parity::Parity;
use crate::stages::recover::Recover;
use crate::stages::reset::Reset;
use crate::stages::resolve_failed::ResolveFailed;
use crate::stages::restore::Restore;
use redact::Redactor;

pub fn run() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return usage::answer(&error),
    };
    console::tame_panics();
    let output = Settings::output(&cli.global);
    let console = Console::new(output);
    let name = name(&cli.command);
    let mut outcome = Outcome::begin(name, clock::rfc3339(clock::now()));
    outcome.aim = cli.global.aim();
    let mut trace = None;
    let result = guarded("the drill broke", || {
        trace = cli.global.trace.as_deref().map(TraceFile::open).transpose()?;
        execute(&cli, name, &console, &mut outcome)
    });
    if outcome.finished_at.is_none() {
        outcome.finish(result.as_ref().err(), clock::rfc3339(clock::now()));
    }
    trace.into_iter().for_each(|file| file.write(&console, &outcome));
    tell_github(&console, &cli.global, output, &outcome);
    console.finish(&outcome, result.as_ref().err());
    ExitCode::from(result.map_or_else(|failure| failure.status, |()| Status::Ok).exit_code())
}

/// An annotation for what went wrong, and a summary of what a reviewer may want to see.
fn tell_github(console: &Console, global: &Global, output: Output, outcome: &Outcome) {
    let Ok(outcome) = &console.masked(outcome) else { return };
    let folder = Settings::folder_in_job(global);
    let annotation = github::annotation(outcome, &folder);
    if let Some(summary) = Settings::job_summary()
        && (annotation.is_some() || outcome.evidence.is_some())
        && let Err(error) = github::append(&summary, &github::summary(outcome))
    {
        console.say(format!("note: cannot write the job's summary: {error}"));
    }
    if let Some(outputs) = Settings::step_outputs()
        && let Err(error) = github::append_outputs(&outputs, &github::outputs(outcome, &folder))
    {
        console.say(format!("note: cannot write the step's outputs: {error}"));
    }
    if output.github {
        let places = github::annotations(outcome, &folder);
        annotation.iter().chain(&places).for_each(|annotation| console.annotate(annotation));
    }
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Doctor(_) => "doctor",
        Command::Status => "status",
        Command::Forward(_) => "forward",
        Command::Backward(_) => "backward",
        Command::Drill(_) => "drill",
        Command::Mirror(_) => "mirror",
        Command::Parity(_) => "parity",
        Command::Reset(_) => "reset",
        Command::Restore(_) => "restore",
        Command::Claim(_) => "claim",
        Command::Init(_) => "init",
        Command::ProductionSizes(_) => "production-sizes",
        Command::Sandbox(Sandbox::Up) => "sandbox up",
        Command::Sandbox(Sandbox::Down) => "sandbox down",
        Command::Sandbox(Sandbox::Status) => "sandbox status",
        Command::Sandbox(Sandbox::Url) => "sandbox url",
        Command::Sandbox(Sandbox::Seed(_)) => "sandbox seed",
        Command::Sandbox(Sandbox::Prune(_)) => "sandbox prune",
        Command::Evidence(Evidence::List) => "evidence list",
        Command::Evidence(Evidence::Show(_)) => "evidence show",
        Command::Evidence(Evidence::Open(_)) => "evidence open",
        Command::Evidence(Evidence::Verify(_)) => "evidence verify",
        Command::Evidence(Evidence::Report(_)) => "evidence report",
        Command::Evidence(Evidence::Prune(_)) => "evidence prune",
        Command::Evidence(Evidence::Redact) => "evidence redact",
        Command::Completions(_) => "completions",
        Command::Man(_) => "man",
        Command::Env(Env::Check) => "env check",
        Command::Env(Env::Matrix(_)) => "env matrix",
    }
}

fn execute(cli: &Cli, name: &'static str, console: &Console, outcome: &mut Outcome) -> Result<()> {
    if let Command::Evidence(Evidence::Redact) = cli.command {
        return evidence_redact(&cli.global, console);
    }
    if let Command::Doctor(args) = &cli.command {
        return doctor::run(args, &cli.global, console, outcome);
    }
    match &cli.command {
        Command::Completions(args) => return shell::completions(args.shell, console, outcome),
        Command::Man(args) => return shell::man(args, console, outcome),
        _ => {}
    }
    // What the sandbox's own commands act on needs no target of drill.toml.
    let of_sandbox = matches!(cli.command, Command::Sandbox(_));
    let mut settings = Settings::load(&Global { sandbox: cli.global.sandbox || of_sandbox, ..cli.global.clone() })?;
    outcome.history = settings.shown(&settings.prisma.migrations);
    let interrupt = Interrupt::listen()?;
    console.hears(&interrupt);
    if of_sandbox {
        settings = settings.for_sandbox();
        outcome.aim = settings.aim.clone();
    }
    if let Some(rows) = cli.command.rows() {
        settings.production_rows = ProductionRows::Each(rows);
    }
    let argv = std::env::args().skip(1).collect();
    let plan_only = cli.global.plan;
    let runner = Runner { settings: &settings, console, interrupt: &interrupt, command: name, argv, plan_only };
    match &cli.command {
        Command::Status => status::run(&runner, outcome),
        Command::Forward(args) => {
            let args::Forward { smoke, accept_data_loss, deployed, accept_breaking, .. } = args.clone();
            let deployed = deployed.map(|reference| Wanted { release: Release::Named(reference), accept_breaking });
            runner.stage(&Forward { smoke, pass: Pass::Alone, accept_data_loss, deployed }, outcome)
        }
        Command::Backward(args) => backward(args, &runner, outcome),
        Command::Drill(args) if args.each => runner.stage(&Rehearse, outcome),
        Command::Drill(args) => {
            let args::Drill {
                steps, branch, accept_data_loss, no_mirror, resume, accept_breaking, no_deployed, ..
            } = *args;
            let extent = if branch { DrillExtent::Branch } else { DrillExtent::Steps(steps.into()) };
            let release = args.deployed.clone().map_or(Release::MergeBase, Release::Named);
            let deployed = (!no_deployed).then_some(Wanted { release, accept_breaking });
            runner.stage(&Drill { extent, accept_data_loss, no_mirror, resume, deployed }, outcome)
        }
        Command::Mirror(args) => runner.stage(&Mirror::alone(args.accept_data_loss), outcome),
        Command::Parity(args) => runner.stage(&Parity { source: args.source }, outcome),
        Command::Reset(args) => runner.stage(&Reset::new(args.confirm, args.no_snapshot), outcome),
        Command::Restore(args) if args.list => list_snapshots(&settings, console, outcome),
        Command::Restore(args) => {
            let args::Restore { snapshot, skip_missing, confirm, .. } = args.clone();
            runner.stage(&Recover { restore: Restore { snapshot, skip_missing, confirm } }, outcome)
        }
        Command::Claim(args) => runner.stage(&Claim { confirm: args.confirm.clone() }, outcome),
        Command::Init(args) => init::run(args, &cli.global, &runner, outcome),
        Command::ProductionSizes(args) => production_sizes::run(args, &runner, outcome),
        Command::Sandbox(command) => sandbox::run(command, &runner, outcome),
        Command::Evidence(Evidence::List) => evidence::list(&settings, console, outcome),
        Command::Evidence(Evidence::Show(args)) => evidence::show(&settings, console, args.run.as_deref(), outcome),
        Command::Evidence(Evidence::Open(args)) => evidence_open::run(&runner, args.run.as_deref(), outcome),
        Command::Evidence(Evidence::Verify(args)) => evidence::verify(&runner, args.run.as_deref(), outcome),
        Command::Evidence(Evidence::Report(args)) => {
            let (redactor, _) = Declared::known_at_any_rate(&settings, true, false);
            evidence::report(&runner, args.run.as_deref(), args.out.as_deref(), &redactor, outcome)
        }
        Command::Evidence(Evidence::Prune(args)) => evidence_prune::run(args, &runner, outcome),
        // Answered above: no settings are needed, or whatever is wrong with them is looked at.
        Command::Evidence(Evidence::Redact) | Command::Doctor(_) | Command::Completions(_) | Command::Man(_) => Ok(()),
        Command::Env(Env::Check) => env::check(&runner, outcome),
        Command::Env(Env::Matrix(args)) => env::matrix(args.check, &runner, outcome),
    }
}

fn backward(args: &args::Backward, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let accept_data_loss = args.accept_data_loss;
    if args.failed {
        return runner.stage(&ResolveFailed { accept_data_loss }, outcome);
    }
    let extent = args.to.clone().map_or(Extent::Steps(args.steps.into()), Extent::To);
    runner.stage(&Backward { extent, accept_data_loss, drilled: false }, outcome)
}

/// Newest first: number, name, time, size, and what is in it.
fn list_snapshots(settings: &Settings, console: &Console, outcome: &mut Outcome) -> Result<()> {
    let list = Store::of(settings).list()?;
    outcome.extra.insert("snapshots".to_owned(), list.iter().map(Listed::to_json).collect());
    if !settings.output.json {
        let lines: Vec<String> = list.iter().map(Listed::in_words).collect();
        console.result(&if lines.is_empty() { "no snapshots".to_owned() } else { lines.join("\n") });
    }
    Ok(())
}

/// Masks what is known, whatever is wrong with the settings, and what is recognised by its shape; then fails with what
/// could not be read.
fn evidence_redact(global: &Global, console: &Console) -> Result<()> {
    if global.json {
        return Err(Failure::usage("`evidence redact` writes what it reads, not JSON").hint("leave out `--json`"));
    }
    // Ctrl-C stops who writes to us; what it still says is masked.
    let _interrupt = Interrupt::listen()?;
    let loaded = Settings::load(global);
    let settings = loaded.as_ref().map_or_else(|_| Settings::without_file(global), |settings| Ok(settings.clone()));
    let (redactor, unread) = match settings {
        Ok(settings) => Declared::known_at_any_rate(&settings, loaded.is_ok(), global.env_file.is_some()),
        Err(_) => (Redactor::generic(), Vec::new()),
    };
    console.filter(&redactor).failed(|| "cannot filter stdin to stdout")?;
    loaded.err().into_iter().chain(unread).next().map_or(Ok(()), Err)
}
