//! What the project's Prisma config says of things that no migration makes, read with Prisma's own loader.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::causes::engine::CONFIG_FAILS;
use crate::error::{Failure, OrFail, Result};
use crate::interrupt::Interrupt;
use crate::process::locate::Toolbox;
use crate::process::{self, Exit, Invocation};
use crate::session::Session;
use crate::settings::{PrismaSettings, Settings};
use pin::file;

const LOADER: &str = include_str!("prisma_config.cjs");

/// A URL that leads nowhere: a config may insist on one where none is needed.
pub const NOWHERE: &str = "postgresql://nobody@127.0.0.1:1/nothing";

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PrismaConfig {
    /// The SQL that comes before the first migration wherever a history is replayed.
    pub init_shadow_db: Option<String>,
    /// What somebody else makes and changes, each as `schema.name`.
    pub external_tables: Vec<String>,
    pub external_enums: Vec<String>,
    /// Where Prisma looks for the history, whatever the drill does.
    migrations: Option<PathBuf>,
    /// What the loader says against it.
    error: Option<String>,
}

/// Runs the config, which costs Node's start; so only one that can say something.
///
/// # Errors
/// `blocked` when Prisma's loader cannot read it: then Prisma itself cannot.
pub fn read(session: &Session<'_>) -> Result<PrismaConfig> {
    if !is_worth_reading(session.settings) {
        return Ok(PrismaConfig::default());
    }
    let environment = session.child_environment();
    load(session.settings, &session.toolbox, environment, session.interrupt)?.of_this_history(session.settings)
}

pub fn is_worth_reading(settings: &Settings) -> bool {
    may_tell(&file::read_text(&settings.prisma.config, file::LONGEST).unwrap_or_default())
}

/// What the loader makes of the config, in `environment` and with URLs that lead nowhere.
///
/// # Errors
/// As `read`.
pub fn load(
    settings: &Settings,
    toolbox: &Toolbox,
    environment: BTreeMap<String, String>,
    interrupt: &Interrupt,
) -> Result<PrismaConfig> {
    let PrismaSettings { config, url_env, direct_url_env, shadow_url_env, .. } = &settings.prisma;
    let mut invocation = Invocation::new(&toolbox.node, &settings.root)
        .args(&toolbox.prisma.node_arguments)
        .args(["-e", LOADER])
        .arg(&toolbox.prisma.script)
        .arg(config)
        .envs(missing_of(settings, &environment))
        .envs(environment);
    for name in [url_env, direct_url_env, shadow_url_env] {
        invocation = invocation.env(name, NOWHERE);
    }
    let (exit, said) = process::capture(&invocation, settings.timeouts.generate, interrupt)?;
    let shown = settings.shown(config);
    let unreadable = || format!("cannot read `{shown}` as Prisma does");
    if exit != Exit::Success {
        return Err(Failure::blocked(unreadable()).because(format!("its loader {}", exit.in_words())));
    }
    let said = String::from_utf8_lossy(&said);
    let found: PrismaConfig = serde_json::from_str(said.lines().last().unwrap_or_default()).blocked(unreadable)?;
    match &found.error {
        Some(error) => Err(Failure::blocked(unreadable()).because(error).known(&CONFIG_FAILS, &[("config", &shown)])),
        None => Ok(found),
    }
}

impl PrismaConfig {
    /// A deploy applies what the config names.
    pub fn of_this_history(self, settings: &Settings) -> Result<PrismaConfig> {
        let ours = &settings.prisma.migrations;
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let Some(theirs) = self.migrations.as_ref().filter(|theirs| real(theirs) != real(ours)) else {
            return Ok(self);
        };
        let [theirs, ours, config] = [theirs, ours, &settings.prisma.config].map(|path| settings.shown(path));
        Err(Failure::blocked(format!("`{config}` has the migrations in `{theirs}`, and the drill reads `{ours}`"))
            .because("Prisma would apply others than were looked at")
            .hint(format!("write `migrations = \"{theirs}\"` under `[prisma]` in drill.toml")))
    }
}

/// Variables that the config insists on, and the child would not have: `env("…")` ends the command where one is missing, also where
/// nothing of the command depends on it. They lead nowhere; what the command needs is set after them.
pub fn asked_for(session: &Session<'_>) -> BTreeMap<String, &'static str> {
    missing_of(session.settings, &session.child_environment())
}

fn missing_of(settings: &Settings, known: &BTreeMap<String, String>) -> BTreeMap<String, &'static str> {
    let text = file::read_text(&settings.prisma.config, file::LONGEST).unwrap_or_default();
    insisted_on(&text).filter(|name| !known.contains_key(*name)).map(|name| (name.to_owned(), NOWHERE)).collect()
}

/// The names within `env("…")` and `env<Env>("…")`, as far as they are written out.
fn insisted_on(text: &str) -> impl Iterator<Item = &str> {
    text.split("env").skip(1).filter_map(|call| {
        let call = call.strip_prefix('<').and_then(|kind| Some(kind.split_once('>')?.1)).unwrap_or(call);
        let argument = call.trim_start().strip_prefix('(')?.trim_start();
        let quote = argument.chars().next().filter(|c| "\"'`".contains(*c))?;
        let name = argument[1..].split_once(quote)?.0;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then_some(name)
    })
}

/// Whether the config may give Prisma a shadow database when a command works on the target.
pub fn gives_shadow(session: &Session<'_>) -> bool {
    let text = file::read_text(&session.settings.prisma.config, file::LONGEST).unwrap_or_default();
    let PrismaSettings { url_env, direct_url_env, .. } = &session.settings.prisma;
    let given = session.child_environment();
    may_give_shadow(&text, |name| given.contains_key(name) || [url_env, direct_url_env].contains(&&name.to_owned()))
}

/// It gives none where all that it does is to take it from a variable that is not set, and nothing that it loads could set that.
fn may_give_shadow(text: &str, is_set: impl Fn(&str) -> bool) -> bool {
    let mut values = text.split("shadowDatabaseUrl").skip(1);
    let is_unset = |value: &str| taken_from(value).is_some_and(|name| !is_set(name));
    text.contains("shadowDatabaseUrl") && !(loads_nothing(text) && values.all(is_unset))
}

/// The variable in `: process.env.NAME`, if that is all.
fn taken_from(value: &str) -> Option<&str> {
    let from = value.trim_start().strip_prefix(':')?.trim_start().strip_prefix("process.env.")?;
    let end = from.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (name, rest) = from.split_at(end);
    rest.trim_start().starts_with([',', '}']).then_some(name)
}

fn loads_nothing(text: &str) -> bool {
    let known = ["\"prisma/config\"", "'prisma/config'", "\"node:path\"", "'node:path'", "\"path\"", "'path'"];
    let mut imports = text.match_indices("import").map(|(at, _)| text[at..].lines().next().unwrap_or_default());
    imports.all(|line| known.iter().any(|module| line.trim_end_matches(';').ends_with(module)))
        && !["require", "loadEnvFile"].iter().any(|word| text.contains(word))
}

/// Whether the text names one of the settings, brings in a file that may, or works a path out.
fn may_tell(text: &str) -> bool {
    let worked_out = |value: &str| !value.trim_start().starts_with(['"', '\'', '`']);
    text.split("path:").skip(1).any(worked_out) || names_a_setting(text)
}

fn names_a_setting(text: &str) -> bool {
    ["initShadowDb", "external", "from \"./", "from './", "from \"../", "from '../", "require("]
        .iter()
        .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_that_no_variable_gives_is_none() {
        let config = |import: &str, value: &str| {
            format!(
                "import path from 'node:path';\n{import}\nexport default {{ datasource: {{ url: x, shadowDatabaseUrl{value} }} }};\n"
            )
        };
        let gives = |import: &str, value: &str| may_give_shadow(&config(import, value), |name| name == "SET");
        let known = "import { defineConfig } from \"prisma/config\";";
        for value in [": process.env.SHADOW", ":process.env.SHADOW,"] {
            assert!(!gives(known, value), "{value}");
        }
        for value in [
            ": process.env.SET",
            ": process.env.SHADOW ?? 'postgresql://…'",
            ": env('SHADOW')",
            ": 'postgresql://…'",
            ": process.env.SHADOW || other",
            "",
            ": process.env.SHADOW, ...{ shadowDatabaseUrl: y }",
        ] {
            assert!(gives(known, value), "{value}");
        }
        for import in [
            "import 'dotenv/config';",
            "import x from './env';",
            "await import('dotenv')",
            "process.loadEnvFile()",
            "require('dotenv').config()",
        ] {
            assert!(gives(import, ": process.env.SHADOW"), "{import}");
        }
        assert!(!may_give_shadow("export default {}", |_| false));
    }

    #[test]
    fn the_variables_that_a_config_insists_on_are_read_off_its_text() {
        let text = "import { env } from 'prisma/config';\nurl: env(\"A\"), shadowDatabaseUrl: env( 'B_1' ), directUrl: env<Env>('C'),
            other: env(name), x: process.env.D, y: env(`E`), z: env(\"a b\"), last: env('";
        assert_eq!(insisted_on(text).collect::<Vec<_>>(), ["A", "B_1", "C", "E"]);
    }
}
