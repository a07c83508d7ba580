//! `env check` and `env matrix`: what the target's variables say, without touching the network.

use crate::clock;
use crate::error::{Failure, Result};
use crate::evidence::outcome::Outcome;
use crate::guard::env_matrix as matrix;
use crate::guard::input::Declared;
use crate::guard::{Candidate, Source};
use crate::hint::Hint;
use crate::run::runner::Runner;

/// Layers 1 to 3 of the guard alone: no network, nothing spawned.
fn declared_target(runner: &Runner<'_>) -> Result<(Declared, Candidate)> {
    let Runner { settings, console, command, .. } = *runner;
    if settings.target.is_sandbox() {
        return Err(Failure::usage(format!(
            "`{command}` is about the variables of a target, and the sandbox has none"
        ))
        .hint("leave out `--sandbox`, or name another target"));
    }
    let declared = Declared::of_environment(settings)?;
    console.mask(&declared.redactor());
    let candidate = declared.check().map_err(|refusals| Failure::refused(&settings.target.name, refusals))?;
    Ok((declared, candidate))
}

/// The document is made true, or with `check` compared.
pub fn matrix(check: bool, runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, plan_only, .. } = *runner;
    let (declared, candidate) = declared_target(runner)?;
    outcome.target = Some(crate::session::view(settings, &candidate));
    let column = matrix::column(settings, &declared, &candidate);
    let write = !check && !plan_only;
    let changes = matrix::update(&settings.root, &column, clock::now(), write)?;
    changes.iter().for_each(|change| console.say(change.in_words()));
    let json = serde_json::json!({ "path": matrix::PATH, "written": write, "changes": changes });
    outcome.extra.insert("matrix".to_owned(), json);
    match changes.len() {
        0 => console.say(format!("`{}` is up to date", matrix::PATH)),
        _ if write => console.say(format!("`{}` is updated: commit it", matrix::PATH)),
        _ if check => {
            return Err(Failure::different(format!("`{}` does not say what `{}` is", matrix::PATH, column.target))
                .because_all(changes.iter().map(matrix::Change::in_words))
                .hint(Hint::run("env matrix")));
        }
        _ => console.say("Nothing was changed."),
    }
    Ok(())
}

pub fn check(runner: &Runner<'_>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, .. } = *runner;
    let (_, candidate) = declared_target(runner)?;
    let view = crate::session::view(settings, &candidate);
    let project = view.project_ref.as_ref().map(|project| format!(", project {project}")).unwrap_or_default();
    console.say(format!(
        "ok: {} is database `{}` on {}:{}{project}, from {}",
        view.name,
        view.database,
        view.host,
        view.port,
        source(candidate.source()),
    ));
    for (name, dsn) in [("pooled", candidate.pooled()), ("direct", candidate.direct()), ("shadow", candidate.shadow())]
    {
        if let Some(dsn) = dsn {
            console.say(format!("  {name}: {}", dsn.identity()));
        }
    }
    if let Some(api) = candidate.supabase() {
        let key = api.key.as_ref().map_or("no service key", |key| key.kind.in_words());
        console.say(format!("  Supabase: {}, {key}", api.url));
    }
    outcome.target = Some(view);
    Ok(())
}

fn source(source: &Source) -> String {
    match source {
        Source::EnvFile(name) => format!("`{name}`"),
        Source::Process => "the process environment".to_owned(),
    }
}
