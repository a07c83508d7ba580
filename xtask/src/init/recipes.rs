//! Recipes of `just`, where the repo has a justfile: those that it lacks, at its end.

use crate::error::Result;
use crate::init::change::{Change, appended};
use crate::init::repo::Repo;

/// What each is called, starts and says.
pub const RECIPES: [(&str, &str, &str); 8] = [
    (
        "drill-sandbox",
        "drill --sandbox",
        "Forward, backward, forward on an embedded Postgres, which it fills first: start here",
    ),
    ("check-staging", "env check", "Is the env file complete, and is it staging? No network"),
    ("migrate-staging", "forward", "Generate the client, apply pending migrations to staging, verify"),
    ("rollback-staging", "backward", "Take the last migration back, verify; --steps, --to, --failed"),
    (
        "drill-staging",
        "drill",
        "Forward, backward, forward on staging as one run; --accept-data-loss, --steps, --resume, --plan",
    ),
    (
        "drill-pr",
        "drill --branch",
        "Rehearse only the migrations that this branch adds to the main one, as a pull request needs it",
    ),
    ("reset-staging", "reset", "Snapshot every row, drop the schema, apply every migration, verify; needs --confirm"),
    (
        "restore-staging",
        "restore",
        "Put the rows of a snapshot back, verify; needs --confirm, and --list shows what there is",
    ),
];

/// What `cargo install` calls the drill's program.
pub const PROGRAM: &str = env!("CARGO_BIN_NAME");
/// And what it is called with, to find it among the packages of its repository.
pub const PACKAGE: &str = env!("CARGO_PKG_NAME");

/// As `just` finds it.
pub fn justfile(repo: &Repo<'_>) -> Option<&'static str> {
    ["justfile", ".justfile", "Justfile"].into_iter().find(|name| repo.root().join(name).is_file())
}

pub fn change(repo: &Repo<'_>) -> Result<Option<Change>> {
    let Some(path) = justfile(repo) else { return Ok(None) };
    Change::edit(repo.root(), path, |text| Ok(with_recipes(text)))
}

fn with_recipes(text: &str) -> String {
    let missing = RECIPES.iter().filter(|(name, ..)| !has(text, name));
    let recipe = |(name, words, says): &(&str, &str, &str)| {
        format!("# {says}\n[positional-arguments]\n{name} *args:\n    {PROGRAM} {words} \"$@\"\n")
    };
    appended(text, &missing.map(recipe).collect::<Vec<_>>().join("\n"))
}

/// A recipe or an alias of this name.
fn has(text: &str, name: &str) -> bool {
    let rest = |line: &str| line.strip_prefix('@').unwrap_or(line).strip_prefix(name).map(str::to_owned);
    let is_it = |line: &str| rest(line).is_some_and(|rest| rest.starts_with([' ', ':']));
    text.lines().any(|line| is_it(line) || line.strip_prefix("alias ").is_some_and(is_it))
}
