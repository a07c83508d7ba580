//! Scripts of package.json, where the repo has no justfile: those that it lacks. Indentation, order and what else is in it stay.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};

use crate::error::{Failure, OrFail, Result};
use crate::init::change::Change;
use crate::init::recipes::{PROGRAM, RECIPES};
use crate::init::repo::Repo;

const PATH: &str = "package.json";

pub fn change(repo: &Repo<'_>) -> Result<Option<Change>> {
    Change::edit(repo.root(), PATH, with_scripts)
}

pub fn with_scripts(text: &str) -> Result<String> {
    let unreadable = || Failure::blocked(format!("`{PATH}` is not JSON")).hint("correct it where the cause says");
    let root = CstRootNode::parse(text, &ParseOptions::default()).or_fail(unreadable)?;
    let not_objects = || Failure::blocked(format!("`{PATH}`, or `scripts` in it, is not an object"));
    let manifest = root.object_value().ok_or_else(not_objects)?;
    let scripts = manifest.object_value_or_create("scripts").ok_or_else(not_objects)?;
    let missing: Vec<_> = RECIPES.iter().filter(|(name, ..)| scripts.get(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(text.to_owned());
    }
    for (name, words, _) in missing {
        scripts.append(name, CstInputValue::String(format!("{PROGRAM} {words}")));
    }
    Ok(root.to_string())
}
