//! What another repo needs before its first drill: looked at (`repo`), proposed as changes of its files, shown, and written.
//!
//! Nothing that is there is replaced: a file is made where there is none, and lines, recipes and scripts are added where they are missing;
//! so a second time there is nothing to do.

pub mod change;
mod drill_toml;
mod env_example;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod ignored;
mod packages;
pub mod production_sizes;
mod recipes;
pub mod repo;
mod scripts;
mod search;
#[cfg(test)]
mod tests;
mod validate;
mod workflow;

use crate::error::Result;
use change::Change;
use repo::Repo;

/// What would be written, in the order in which it is shown.
///
/// # Errors
/// `blocked` where a file that would be added to cannot be read.
pub fn proposed(repo: &Repo<'_>) -> Result<Vec<Change>> {
    let recipes = if recipes::justfile(repo).is_some() { recipes::change(repo) } else { scripts::change(repo) };
    let all = [
        drill_toml::change(repo),
        env_example::change(repo),
        ignored::change(repo),
        recipes,
        if repo.has_github() { workflow::change(repo) } else { Ok(None) },
    ];
    all.into_iter().filter_map(Result::transpose).collect()
}
