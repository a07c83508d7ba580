//! What says where a target is: the env file or the process environment, and files in the project that could say otherwise.
//! Read here, judged by the guard.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::error::{Failure, OrFail, Refusal, Result};
use crate::guard::{self, Candidate, Policy};
use crate::hint::Hint;
use crate::settings::Settings;
use redact::Redactor;
use redact::Secret;

/// Files that some client reads by itself, or that say where production is.
const PROJECT_FILES: &[&str] = &[
    ".env",
    ".env.local",
    ".env.development",
    ".env.production",
    ".env.production.local",
    ".env.prod",
    "prisma/.env",
    "supabase/.env",
    "supabase/.env.local",
    "supabase/.temp/project-ref",
    "bunfig.toml",
];

pub struct Declared {
    policy: Policy,
    env_file: Option<(String, Vec<u8>)>,
    exported: BTreeMap<String, String>,
    project_files: Vec<(String, Vec<u8>)>,
}

impl Declared {
    /// The staging target: from the env file, or from the process environment where there is no such file.
    ///
    /// # Errors
    /// `blocked` when neither is there, or the file cannot be read.
    pub fn of_environment(settings: &Settings) -> Result<Declared> {
        let mut declared = Declared {
            policy: policy(settings),
            env_file: None,
            exported: settings.environment.clone(),
            project_files: project_files(settings),
        };
        let Some(path) = &settings.target.env_file else { return Ok(declared) };
        let shown = settings.shown(path);
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => declared.must_be_exported(settings, &shown)?,
            read => {
                let fix = || Hint::shell("chmod u+r").arg(&shown);
                let bytes = read.or_fail(|| Failure::blocked(format!("`{shown}` cannot be read")).hint(fix()))?;
                declared.env_file = Some((shown, bytes));
            }
        }
        Ok(declared)
    }

    /// The sandbox: its own URL and nothing else.
    pub fn of_sandbox(settings: &Settings, url: &str) -> Declared {
        let exported = BTreeMap::from([(settings.prisma.url_env.clone(), url.to_owned())]);
        Declared { policy: policy(settings), env_file: None, exported, project_files: Vec::new() }
    }

    fn must_be_exported(&self, settings: &Settings, file: &str) -> Result<()> {
        let url_env = &settings.prisma.url_env;
        if self.exported.contains_key(url_env) {
            return Ok(());
        }
        Err(Failure::blocked(format!("there is no `{file}`, and `{url_env}` is not set"))
            .note("a copy of the example has to be filled in; in CI, the variables are injected as secrets")
            .hint(Hint::shell("cp .env.staging.example").arg(file)))
    }

    pub fn check(&self) -> Result<Candidate, Vec<Refusal>> {
        guard::check(&guard::Declared {
            policy: &self.policy,
            env_file: self.env_file.as_ref().map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
            exported: &self.exported,
            project_files: &self.project_files,
            now: clock::now(),
        })
    }

    /// The variables that a target has, of the target and of the application.
    pub fn known_variables(&self) -> impl Iterator<Item = &str> {
        let own = guard::target_variables(&self.policy).into_iter();
        own.chain(self.policy.application_variables.iter().map(String::as_str))
    }

    /// The names of the variables that are given: all of the env file's, or those of the process that a target has.
    pub fn given(&self) -> BTreeSet<String> {
        match &self.env_file {
            Some(_) => self.file_variables().into_iter().map(|(name, _)| name).collect(),
            None => {
                self.known_variables().filter(|&name| self.exported.contains_key(name)).map(str::to_owned).collect()
            }
        }
    }

    fn file_variables(&self) -> Vec<(String, Secret)> {
        let bytes = self.env_file.as_ref().map(|(_, bytes)| bytes.as_slice());
        bytes.and_then(|bytes| crate::settings::env_file::parse(bytes).ok()).unwrap_or_default()
    }

    /// Whatever can be known of the secrets of a target, with what could not be read: for masking, which goes on where a
    /// stage would stop. Where the settings themselves cannot be used, every variable of the process may be the target's.
    pub fn known_at_any_rate(settings: &Settings, is_usable: bool, must_be_there: bool) -> (Redactor, Vec<Failure>) {
        let mut unread = Vec::new();
        let mut paths: BTreeSet<PathBuf> = settings.target.env_file.iter().cloned().collect();
        let mut declared = Declared {
            policy: policy(settings),
            env_file: None,
            exported: settings.environment.clone(),
            project_files: Vec::new(),
        };
        if is_usable {
            let names: BTreeSet<String> = declared.known_variables().map(str::to_owned).collect();
            declared.exported.retain(|name, _| names.contains(name));
        } else {
            paths.extend(settings.env_files_mentioned());
        }
        let mut texts = Vec::new();
        for path in paths {
            match read_bounded(&path) {
                Ok(text) => texts.push(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !must_be_there => {}
                Err(error) => unread.push(
                    Failure::blocked(format!(
                        "`{}` cannot be read, so what it holds is not known",
                        settings.shown(&path)
                    ))
                    .caused_by(error),
                ),
            }
        }
        (declared.redactor_of(&texts), unread)
    }

    fn redactor_of(&self, texts: &[Vec<u8>]) -> Redactor {
        let in_files = texts.iter().flat_map(|text| crate::settings::env_file::parse(text).unwrap_or_default());
        let exported = self.exported.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone())));
        let secrets: Vec<_> = in_files.chain(exported).collect();
        let raw: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        if texts.iter().all(|text| crate::settings::env_file::parse(text).is_ok()) {
            return Redactor::new(&secrets, &raw);
        }
        Redactor::of_unreadable(&secrets, &raw)
    }

    /// Knows every value that may be a secret, and the env file's raw text in case it cannot be parsed.
    pub fn redactor(&self) -> Redactor {
        // In CI the application's own variables come from there too, and children get them.
        let exported = self
            .known_variables()
            .filter_map(|name| Some((name.to_owned(), Secret::new(self.exported.get(name)?.clone()))));
        let is_readable =
            self.env_file.as_ref().is_none_or(|(_, bytes)| crate::settings::env_file::parse(bytes).is_ok());
        let secrets: Vec<_> = self.file_variables().into_iter().chain(exported).collect();
        let raw: Vec<&[u8]> = self.env_file.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        if is_readable { Redactor::new(&secrets, &raw) } else { Redactor::of_unreadable(&secrets, &raw) }
    }
}

/// No env file is longer, and a pipe may have no end.
const LONGEST_ENV_FILE: u64 = 1 << 20;

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    fs::File::open(path)?.take(LONGEST_ENV_FILE).read_to_end(&mut text)?;
    Ok(text)
}

fn policy(settings: &Settings) -> Policy {
    let target = &settings.target;
    Policy {
        allow_hosts: target.allow_hosts.clone(),
        allow_projects: target.allow_projects.clone(),
        allow_databases: target.allow_databases.clone(),
        allow_schemas: target.allow_schemas.clone(),
        deny_systems: target.deny_systems.clone(),
        url_env: settings.prisma.url_env.clone(),
        direct_url_env: settings.prisma.direct_url_env.clone(),
        shadow_url_env: settings.prisma.shadow_url_env.clone(),
        ..Policy::new(&target.name)
    }
}

/// The fixed names, and Prisma's schema and config as this project names them.
fn project_files(settings: &Settings) -> Vec<(String, Vec<u8>)> {
    let own = [&settings.prisma.schema, &settings.prisma.config].map(|path| settings.shown(path));
    let names = PROJECT_FILES.iter().map(|&name| name.to_owned()).chain(own);
    names.filter_map(|name| Some((name.clone(), fs::read(settings.root.join(Path::new(&name))).ok()?))).collect()
}
