//! Where the target's variables come from: the env file, or, where there is none, the process environment. Never both.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Refusal;
use crate::settings::{env_file, network};
use redact::Secret;

use crate::guard::declared::Declared;
use crate::guard::environment::{OTHER_URLS, is_reserved, moves_a_client};
use crate::guard::policy::Policy;

/// The one source of a target's variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The name of the env file.
    EnvFile(String),
    Process,
}

/// The variables of that source.
pub struct Given {
    pub source: Source,
    variables: Vec<(String, Secret)>,
}

impl Given {
    /// # Errors
    /// The refusals of the env file's reading.
    pub fn read(declared: &Declared<'_>) -> Result<Given, Vec<Refusal>> {
        let Some((name, text)) = declared.env_file else {
            let variables = declared.exported.iter();
            let variables = variables.map(|(name, value)| (name.clone(), Secret::new(value.as_str()))).collect();
            return Ok(Given { source: Source::Process, variables });
        };
        let named = |mut refusal: Refusal| {
            refusal.message = format!("`{name}` {}", refusal.message);
            refusal
        };
        let variables = env_file::parse(text);
        let variables = variables.map_err(|refusals| refusals.into_iter().map(named).collect::<Vec<_>>())?;
        Ok(Given { source: Source::EnvFile(name.to_owned()), variables })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.expose())
    }

    /// A target variable's value; where it is set, it must be filled in.
    pub fn target(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let refusal =
            |seen: &str, fix: String| Err(Refusal::new("source", format!("`{name}` {seen}{}", self.place()), fix));
        match self.get(name) {
            Some("") => refusal("is set but empty", format!("give `{name}` its value, or remove it")),
            Some(value) if env_file::is_placeholder(value) => {
                refusal("still holds a placeholder", format!("replace every part of `{name}` with the real value"))
            }
            value => Ok(value),
        }
    }

    /// The refusal where no target is named.
    pub fn missing(&self, policy: &Policy) -> Vec<Refusal> {
        let name = &policy.url_env;
        if self.get(name).is_some() {
            return Vec::new();
        }
        let other_case = self.variables.iter().map(|(known, _)| known).find(|known| known.eq_ignore_ascii_case(name));
        let fix = match (other_case, &self.source) {
            (Some(known), _) => format!("rename `{known}` to `{name}`: names are case-sensitive"),
            (None, Source::EnvFile(file)) => {
                format!("add `{name}=postgresql://user:password@host:5432/database` to `{file}`")
            }
            (None, Source::Process) => format!("write the target's env file, or export `{name}`"),
        };
        let alone = if self.source == Source::Process { ", and there is no env file" } else { "" };
        vec![Refusal::new("source", format!("`{name}` is not set{}{alone}", self.place()), fix)]
    }

    /// Reserved names in the env file: a child's tools are configured here, not by a file.
    pub fn reserved(&self) -> Vec<Refusal> {
        let Source::EnvFile(file) = &self.source else { return Vec::new() };
        let names = self.variables.iter().map(|(name, _)| name).filter(|name| is_reserved(name));
        names
            .map(|name| {
                let message =
                    format!("`{file}` sets `{name}`, which could move a client or answer a gate for the user");
                Refusal::new("env-file", message, format!("remove the line of `{name}` from `{file}`"))
            })
            .collect()
    }

    /// What is neither the target's nor the shell's own business: from a file everything else in it, from the process
    /// only what the policy lets pass to children.
    pub fn others<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from_file = self.source != Source::Process;
        let listed = move |name: &String| from_file || policy.application_variables.contains(name);
        let others = self.variables.iter().filter(move |(name, _)| listed(name));
        let others = others.filter(|(name, _)| !target_variables(policy).contains(&name.as_str()));
        others.map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// The variables for children. A database URL would let them past the pin, so none is among them.
    pub fn overlay(&self, policy: &Policy) -> Vec<(String, Secret)> {
        let free = self.others(policy).filter(|(name, value)| !stays_behind(name, value) && !is_reserved(name));
        free.map(|(name, value)| (name.to_owned(), Secret::new(value))).collect()
    }

    /// What was seen, could move a client, and stays behind.
    pub fn unforwarded(&self, declared: &Declared<'_>) -> Vec<String> {
        let own = target_variables(declared.policy);
        let exported = declared.exported.keys().map(String::as_str);
        let exported = exported.filter(|name| stays_behind(name, "") && !network::OF_DOWNLOADS.contains(name));
        let given =
            self.others(declared.policy).filter(|(name, value)| stays_behind(name, value)).map(|(name, _)| name);
        let names: BTreeSet<&str> = exported.chain(given).filter(|name| !own.contains(name)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Where a message says that a variable was looked for.
    fn place(&self) -> String {
        match &self.source {
            Source::EnvFile(name) => format!(" in `{name}`"),
            Source::Process => " in the environment".into(),
        }
    }
}

/// The variables that say where the target is.
pub fn target_variables(policy: &Policy) -> [&str; 5] {
    [&policy.url_env, &policy.direct_url_env, &policy.shadow_url_env, &policy.api_url_env, &policy.api_key_env]
}

fn stays_behind(name: &str, value: &str) -> bool {
    moves_a_client(name) || OTHER_URLS.contains(&name) || holds_database_url(value)
}

/// True for a value that some client would take for the address of a Postgres database.
pub fn holds_database_url(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    ["postgres://", "postgresql://", "prisma://"].iter().any(|scheme| value.contains(scheme))
}

/// The two-places rule: with an env file, what is exported must be the same or absent.
pub fn disagreements(given: &Given, policy: &Policy, exported: &BTreeMap<String, String>) -> Vec<Refusal> {
    let Source::EnvFile(file) = &given.source else { return Vec::new() };
    let differs = |name: &str| match (exported.get(name).map(String::as_str), given.get(name)) {
        (None, _) | (Some(""), None) => None,
        (Some(_), None) => Some(format!("`{name}` is exported, but `{file}` does not set it")),
        (Some(shell), Some(value)) => {
            (shell != value).then(|| format!("`{name}` is exported with a value that differs from `{file}`'s"))
        }
    };
    let messages = target_variables(policy).into_iter().filter_map(|name| Some((name, differs(name)?)));
    messages.map(|(name, message)| Refusal::new("source", message, format!("unset {name}"))).collect()
}
