//! What says where a target is: the env file or the process environment, and files in the project that could say otherwise.
//! Read here, judged by the guard.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::causes::env_file::{MISSING, UNREADABLE};
use crate::clock;
use crate::error::{Failure, Refusal, Result};
use crate::guard::pattern::may_be_dropped;
use crate::guard::prisma_schema::{self, PrismaSchema};
use crate::guard::{self, Candidate, Policy};
use crate::hint::Hint;
use crate::settings::env_file;
use crate::settings::network;
use crate::settings::prisma_places;
use crate::settings::schema_files;
use crate::settings::{PrismaSettings, Settings};
use pin::file;
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
    /// What is there and could not be read: it may say anything.
    unread: Vec<Refusal>,
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
            project_files: Vec::new(),
            unread: Vec::new(),
        };
        declared.read_project_files(settings);
        declared.read_schema(settings);
        let Some(path) = &settings.target.env_file else {
            declared.of_local_stack(settings);
            return Ok(declared);
        };
        let shown = settings.shown(path);
        match file::read(path, env_file::LONGEST) {
            Ok(bytes) => declared.env_file = Some((shown, bytes)),
            Err(error) if is_absent(path) => declared.may_be_absent(settings, path, error)?,
            Err(error) => return Err(unreadable_env_file(&shown, error)),
        }
        Ok(declared)
    }

    /// What `supabase start` prints, which is alike on every machine; so nothing of the environment can stand in for it.
    fn of_local_stack(&mut self, settings: &Settings) {
        let Some(port) = settings.target.local_stack else { return };
        let PrismaSettings { url_env, direct_url_env, shadow_url_env, .. } = &settings.prisma;
        for name in [url_env, direct_url_env, shadow_url_env] {
            self.exported.remove(name);
        }
        self.exported.insert(url_env.clone(), format!("postgresql://postgres:postgres@127.0.0.1:{port}/postgres"));
    }

    /// The sandbox: its own URL, and every schema of the project, since all of it is disposable.
    pub fn of_sandbox(settings: &Settings, url: &str) -> Declared {
        let exported = BTreeMap::from([(settings.prisma.url_env.clone(), url.to_owned())]);
        let mut declared = Declared {
            policy: policy(settings),
            env_file: None,
            exported,
            project_files: Vec::new(),
            unread: Vec::new(),
        };
        declared.read_schema(settings);
        declared.policy.allow_schemas.extend(schemas_of(&declared.project_files));
        declared
    }

    /// The fixed names, and Prisma's config as this project names it.
    fn read_project_files(&mut self, settings: &Settings) {
        let names = PROJECT_FILES.iter().map(|&name| name.to_owned()).chain([settings.shown(&settings.prisma.config)]);
        for name in names {
            match file::read(&settings.root.join(&name), file::LONGEST) {
                Ok(bytes) => self.project_files.push((name, bytes)),
                Err(error) => self.unread.extend(unread(&name, &error)),
            }
        }
    }

    fn read_schema(&mut self, settings: &Settings) {
        let schema = &settings.prisma.schema;
        match schema_files::read(schema) {
            Ok(files) => {
                self.project_files.extend(files.into_iter().map(|(path, bytes)| (settings.shown(&path), bytes)));
                let doubts = [not_for_prisma(settings), part_of_a_folder(settings), beside_the_folder(settings)];
                self.unread.extend(doubts.into_iter().flatten().next());
            }
            // Each command that needs a schema says so itself.
            Err(_) if fs::symlink_metadata(schema).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) => {}
            Err(error) => self.unread.push(unreadable(&settings.shown(schema), &error)),
        }
    }

    /// The process environment may be the source instead, but not of a target that somebody keeps in a file of another name.
    fn may_be_absent(&self, settings: &Settings, path: &Path, error: io::Error) -> Result<()> {
        let (shown, url_env) = (settings.shown(path), &settings.prisma.url_env);
        let copy = MISSING.hint(&[("file", &shown)]);
        if let Some(by) = named_by(settings, path) {
            return Err(Failure::blocked(format!("there is no `{shown}`, which {by} names"))
                .caused_by(error)
                .note(format!("the process environment stands in for `{}` alone, as in CI", env_file::DEFAULT))
                .hint(copy));
        }
        if self.exported.contains_key(url_env) {
            return Ok(());
        }
        Err(Failure::blocked(format!("there is no `{shown}`, and `{url_env}` is not set"))
            .note("a copy of the example has to be filled in; in CI, the variables are injected as secrets")
            .hint(copy))
    }

    pub fn check(&self) -> Result<Candidate, Vec<Refusal>> {
        let checked = guard::check(&guard::Declared {
            policy: &self.policy,
            env_file: self.env_file.as_ref().map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
            exported: &self.exported,
            project_files: &self.project_files,
            now: clock::now(),
        });
        if self.unread.is_empty() {
            return checked;
        }
        Err(self.unread.iter().cloned().chain(checked.err().into_iter().flatten()).collect())
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
        bytes.and_then(|bytes| env_file::parse(bytes).ok()).unwrap_or_default()
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
            unread: Vec::new(),
        };
        if is_usable {
            let names: BTreeSet<String> = declared.known_variables().map(str::to_owned).collect();
            declared.exported.retain(|name, _| names.contains(name));
        } else {
            paths.extend(settings.env_files_mentioned());
        }
        let mut texts = Vec::new();
        for path in paths {
            match file::read(&path, env_file::LONGEST) {
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
        (declared.redactor_of(&texts, network::secrets(&settings.environment)), unread)
    }

    fn redactor_of(&self, texts: &[Vec<u8>], network: Vec<(String, Secret)>) -> Redactor {
        let in_files = texts.iter().flat_map(|text| env_file::parse(text).unwrap_or_default());
        let exported = self.exported.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone())));
        let secrets: Vec<_> = in_files.chain(exported).chain(network).collect();
        let raw: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        if texts.iter().all(|text| env_file::parse(text).is_ok()) {
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
        let is_readable = self.env_file.as_ref().is_none_or(|(_, bytes)| env_file::parse(bytes).is_ok());
        let network = network::secrets(&self.exported);
        let secrets: Vec<_> = self.file_variables().into_iter().chain(exported).chain(network).collect();
        let raw: Vec<&[u8]> = self.env_file.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        if is_readable { Redactor::new(&secrets, &raw) } else { Redactor::of_unreadable(&secrets, &raw) }
    }
}

/// A link that leads nowhere is there.
fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Who says that the target's variables are in this file; None for the name that holds where nobody says anything.
fn named_by(settings: &Settings, path: &Path) -> Option<&'static str> {
    match settings.aim.env_file {
        Some(_) => Some("`--env-file`"),
        None => (*path != settings.root.join(env_file::DEFAULT)).then_some("drill.toml"),
    }
}

fn unreadable_env_file(shown: &str, error: io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => UNREADABLE.hint(&[("file", shown)]),
        _ => Hint::from(format!("let `{shown}` be a plain file of `NAME=value` lines")).see(UNREADABLE.name),
    };
    Failure::blocked(format!("`{shown}` cannot be read")).caused_by(error).hint(hint)
}

/// Whether drill.toml lets a database of this name be disposable, too.
pub fn allows_disposable(settings: &Settings, database: &str) -> bool {
    policy(settings).allows_disposable(database)
}

fn policy(settings: &Settings) -> Policy {
    let target = &settings.target;
    Policy {
        allow_hosts: target.allow_hosts.clone(),
        allow_projects: target.allow_projects.clone(),
        allow_databases: target.allow_databases.clone(),
        allow_schemas: target.allow_schemas.clone(),
        deny_systems: target.deny_systems.clone(),
        application_variables: target.app_variables.clone(),
        url_env: settings.prisma.url_env.clone(),
        direct_url_env: settings.prisma.direct_url_env.clone(),
        shadow_url_env: settings.prisma.shadow_url_env.clone(),
        api_url_env: settings.supabase.url_env.clone(),
        api_key_env: settings.supabase.key_env.clone(),
        ..Policy::new(&target.name)
    }
}

/// None for what is not there.
fn unread(name: &str, error: &io::Error) -> Option<Refusal> {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind());
    (!absent).then(|| unreadable(name, error))
}

fn unreadable(name: &str, error: &io::Error) -> Refusal {
    let seen = format!("`{name}` is there and cannot be read, so what it says is not known: {error}");
    Refusal::new("project-file", seen, format!("let `{name}` be read, or remove it"))
}

/// What the datasource lists, as far as it can be known and a reset may drop it.
fn schemas_of(files: &[(String, Vec<u8>)]) -> Vec<String> {
    let files = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let datasource = prisma_schema::read(files).ok().and_then(|schema| schema.datasource);
    datasource
        .map(|datasource| datasource.schemas)
        .unwrap_or_default()
        .into_iter()
        .filter(|name| may_be_dropped(name))
        .collect()
}

/// Prisma passes over a file of another ending, and so does the guard.
fn not_for_prisma(settings: &Settings) -> Option<Refusal> {
    let schema = &settings.prisma.schema;
    let named = settings.shown(schema);
    (schema.is_file() && !schema_files::is_schema(schema)).then(|| {
        let fix = "name a file that ends with `.prisma`, or a folder, as `schema` under `[prisma]` in drill.toml";
        Refusal::new(
            "prisma-schema",
            format!("`{named}` is not a schema that Prisma reads: it does not end with `.prisma`"),
            fix,
        )
    })
}

/// Prisma's config names a folder, and drill.toml something else, which the drill would hand to Prisma instead.
fn beside_the_folder(settings: &Settings) -> Option<Refusal> {
    let (schema, config) = (&settings.prisma.schema, &settings.prisma.config);
    let folder = prisma_places::schema_of(config)?;
    let (folder, schema) = (folder.canonicalize().ok().filter(|folder| folder.is_dir())?, schema.canonicalize().ok()?);
    (folder != schema).then(|| {
        let root = settings.root.canonicalize().unwrap_or_default();
        let shown = |path: &Path| path.strip_prefix(&root).unwrap_or(path).display().to_string();
        let (folder, schema, config) = (shown(&folder), shown(&schema), settings.shown(config));
        let seen = format!("`{config}` names the schema folder `{folder}`, and drill.toml names `{schema}`");
        Refusal::new("prisma-schema", seen, format!("write `schema = \"{folder}\"` under `[prisma]` in drill.toml"))
    })
}

/// One file of a schema folder, named alone: its client would lack the models of the others. Such a folder has one datasource, and
/// files without any, which are of no use by themselves.
fn part_of_a_folder(settings: &Settings) -> Option<Refusal> {
    let schema = &settings.prisma.schema;
    if !schema.is_file() {
        return None;
    }
    let below_root = |folder: &&Path| folder.starts_with(&settings.root) && *folder != settings.root;
    for folder in schema.ancestors().skip(1).take_while(below_root) {
        let files = schema_files::read(folder).ok()?;
        let read = |(path, bytes): &(PathBuf, Vec<u8>)| {
            prisma_schema::read([(settings.shown(path).as_str(), bytes.as_slice())])
        };
        let read: Vec<_> = files.iter().map(|file| (file.0.as_path(), read(file))).collect();
        let has_datasource =
            |file: &Result<PrismaSchema, Refusal>| file.as_ref().is_ok_and(|file| file.datasource.is_some());
        if read.iter().any(|(path, file)| *path != schema && has_datasource(file)) {
            return None;
        }
        let part = read.iter().find(|(path, file)| *path != schema && file.as_ref().is_ok_and(|file| file.models > 0));
        if let Some((part, _)) = part {
            let (schema, part, folder) = (settings.shown(schema), settings.shown(part), settings.shown(folder));
            let seen = format!(
                "`{schema}` is one file of the schema folder `{folder}`: `{part}` has models and no datasource of its own"
            );
            return Some(Refusal::new(
                "prisma-schema",
                seen,
                format!("write `schema = \"{folder}\"` under `[prisma]` in drill.toml"),
            ));
        }
    }
    None
}
