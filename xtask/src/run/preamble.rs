//! What surrounds a run: who ran it, from which commit, with which tools, against which server. The start of its record.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::Result;
use crate::evidence::outcome::Outcome;
use crate::evidence::past;
use crate::evidence::record::{Git, Operator, Record, Server, Tools};
use crate::guard::env_matrix;
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::process::locate;
use crate::process::{self, Exit, Invocation};
use crate::session::Session;
use crate::settings::schema_files;
use crate::settings::{EvidenceSettings, Settings};

/// A record that knows what can be known without spawning anything: all that a refused run has.
pub fn record(settings: &Settings, argv: &[String], outcome: &Outcome) -> Record {
    Record {
        outcome: outcome.clone(),
        argv: argv.to_vec(),
        operator: operator(settings),
        git: None,
        tools: Tools { drill: env!("CARGO_PKG_VERSION").to_owned(), ..Tools::default() },
        server: None,
        environment: BTreeMap::new(),
        inputs: BTreeMap::new(),
        files: BTreeMap::new(),
        previous: None,
        merged: Vec::new(),
        pruned: Vec::new(),
        abandoned: None,
    }
}

/// Adds what the server said of itself.
pub fn add_server(record: &mut Record, session: &Session<'_>) {
    record.server = Some(Server {
        version: session.identity.version.clone(),
        database: session.identity.database.clone(),
        user: session.identity.user.clone(),
        address: session.address().to_string(),
        system_identifier: session.identity.system_identifier.clone(),
        claimed: session.target.claimed(),
    });
}

/// Adds what the target's variables say of it, and a note where they said something else the last time.
pub fn add_environment(record: &mut Record, session: &Session<'_>) {
    let settings = session.settings;
    // The sandbox has another port each time, and no variables.
    if settings.target.is_sandbox() {
        return;
    }
    let facts = env_matrix::facts(session.target.candidate());
    if let Some((run, before)) = past::last_environment(&settings.evidence_dir(), &settings.target.name) {
        let update = Hint::run("env matrix");
        let rotated = |(what, is): &(&str, String)| {
            let was = before.get(*what).filter(|was| *was != is)?;
            Some(format!("rotated since {run}: {what} was {was}, is {is} ({})", update.line(&settings.aim)))
        };
        record.outcome.notes.extend(facts.iter().filter_map(rotated));
    }
    record.environment = facts.into_iter().map(|(what, is)| (what.to_owned(), is)).collect();
}

/// Adds what other programs must be asked for, Node and git side by side.
///
/// # Errors
/// `blocked` when Node does not answer or is too old.
pub fn add_tools(record: &mut Record, session: &Session<'_>) -> Result<()> {
    let (settings, interrupt) = (session.settings, session.interrupt);
    let (git, node) = std::thread::scope(|scope| {
        let git = scope.spawn(|| git(settings, interrupt));
        let node = session.toolbox.node_version(interrupt);
        (git.join().unwrap_or_default(), node)
    });
    record.git = git;
    record.tools.node = Some(node?);
    record.tools.prisma = Some(session.toolbox.prisma.version.clone());
    record.tools.engine = Some(session.toolbox.engine.in_words());
    if let Ok(digest) = schema_files::digest(&settings.prisma.schema) {
        record.inputs.insert("schema".to_owned(), digest);
    }
    Ok(())
}

fn operator(settings: &Settings) -> Operator {
    let variable = |name: &str| settings.variable(name).map(str::to_owned);
    let github = || {
        let (server, repository) = (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", variable("GITHUB_RUN_ID")?))
    };
    Operator {
        user: variable("USER").or_else(|| variable("LOGNAME")),
        host: rustix::system::uname().nodename().to_str().ok().map(str::to_owned),
        ci_run: github().or_else(|| variable("CI_JOB_URL")),
        actor: variable("GITHUB_ACTOR").or_else(|| variable("GITLAB_USER_LOGIN")),
    }
}

/// What runs leave behind is no change of what they ran: left out by git, by paths from the project's folder.
fn own_records(settings: &Settings) -> Vec<String> {
    let EvidenceSettings { dir, deployment, data, qa, .. } = &settings.evidence;
    let private = settings.private_dir();
    let all = [&private, dir, deployment, data, qa].into_iter();
    let inside = all.filter_map(|path| path.strip_prefix(&settings.root).ok());
    inside
        .filter(|path| !path.as_os_str().is_empty())
        .map(|path| format!(":(exclude,literal){}", path.display()))
        .collect()
}

/// None outside a repository, or without git.
fn git(settings: &Settings, interrupt: &Interrupt) -> Option<Git> {
    let program = locate::on_path(settings, "git")?;
    let ask = |args: &[&str]| {
        let inherited = ["PATH", "HOME"].map(|name| (name, settings.variable(name).unwrap_or_default()));
        let invocation = Invocation::new(&program, &settings.root).args(args).envs(inherited);
        match process::capture(&invocation, Duration::from_secs(10), interrupt) {
            Ok((Exit::Success, stdout)) => Some(String::from_utf8_lossy(&stdout).trim().to_owned()),
            _ => None,
        }
    };
    let head = ask(&["log", "-1", "--no-show-signature", "--format=%H%n%an"])?;
    let (commit, author) = head.split_once('\n').unwrap_or((&head, ""));
    let (commit, author) = (commit.to_owned(), Some(author.to_owned()).filter(|author| !author.is_empty()));
    let own = own_records(settings);
    let question = ["status", "--porcelain", "--", ":/"].into_iter().chain(own.iter().map(String::as_str));
    let dirty = !ask(&question.collect::<Vec<_>>())?.is_empty();
    Some(Git { commit, author, dirty })
}
