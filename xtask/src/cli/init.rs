//! `init`: shows what another repo needs for its first drill, and with consent writes it.

use crate::cli::args::Init;
use crate::error::{Failure, Result};
use crate::evidence::outcome::Outcome;
use crate::guard::Policy;
use crate::hint::Hint;
use crate::init::change::Change;
use crate::init::proposed;
use crate::init::repo::{self, Allowed, Repo};
use crate::run::runner::Runner;
use crate::settings::Settings;
use crate::settings::flags::Global;
use crate::stages::each::Rehearse;

pub fn run(args: &Init, global: &Global, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, interrupt, .. } = *runner;
    if args.drill && !args.confirm {
        return Err(Failure::usage("`--drill` drills what `--confirm` has written").hint(again(args)));
    }
    let allowed = allowed(args)?;
    let repo = repo::look(settings, allowed, interrupt)?;
    let changes = proposed(&repo)?;
    let writes = args.confirm && !runner.plan_only;
    show(&repo, &changes, writes, runner, outcome);
    if writes {
        write(&changes, runner)?;
    }
    match changes.len() {
        0 => console.say("There is nothing to write: all of it is here."),
        _ if writes => {
            console.say("Next: commit these files, fill in `.env.staging`, and name your staging's host in drill.toml.")
        }
        _ => console.say(format!("Nothing was changed. To write it: {}", again(args).line(&settings.aim))),
    }
    if args.drill && writes { drill(global, runner, outcome) } else { Ok(()) }
}

fn write(changes: &[Change], runner: &Runner<'_>) -> Result<()> {
    for change in changes {
        change.write(&runner.settings.root)?;
        runner.console.say(format!("`{}` is written", change.path));
    }
    Ok(())
}

/// The same with consent.
fn again(args: &Init) -> Hint {
    let with =
        |hint: Hint, flag: &str, values: &[String]| values.iter().fold(hint, |hint, value| hint.arg(flag).arg(value));
    let hint = with(Hint::run("init --confirm"), "--allow-host", &args.allow_host);
    let hint = with(hint, "--allow-project", &args.allow_project);
    if args.drill { hint.arg("--drill") } else { hint }
}

/// What would be refused by every later command is refused now.
fn allowed(args: &Init) -> Result<Allowed> {
    let (allow_hosts, allow_projects) = (args.allow_host.clone(), args.allow_project.clone());
    let policy = Policy { allow_hosts, allow_projects, ..Policy::new("staging") };
    match policy.mistakes().into_iter().next() {
        Some(mistake) => Err(Failure::usage(mistake.message.replace("drill.toml: ", "")).hint(mistake.hint)),
        None => Ok(Allowed { hosts: policy.allow_hosts, projects: policy.allow_projects }),
    }
}

fn show(repo: &Repo<'_>, changes: &[Change], written: bool, runner: &Runner<'_>, outcome: &mut Outcome) {
    repo.in_words().iter().for_each(|line| runner.console.say(line));
    let files: Vec<_> = changes.iter().map(Change::view).collect();
    outcome
        .extra
        .insert("init".to_owned(), serde_json::json!({ "found": repo.view(), "files": files, "written": written }));
    if !runner.settings.output.json && !changes.is_empty() {
        runner.console.result(changes.iter().map(Change::diff).collect::<Vec<_>>().join("\n").trim_end());
    }
}

/// `drill --each --sandbox`, as the repo is now.
fn drill(global: &Global, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let global = Global { sandbox: true, ..global.clone() };
    let settings = Settings::load(&global)?;
    outcome.aim = settings.aim.clone();
    let argv = runner.argv.clone();
    Runner { settings: &settings, command: "drill", argv, ..*runner }.stage(&Rehearse, outcome)
}
