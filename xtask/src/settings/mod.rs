//! Everything a command needs to know before it looks at the world: flags over environment over `drill.toml` over defaults.
//!
//! The only module that reads the process environment, and the only one that reads `drill.toml`. The one exception to the
//! precedence is made by the guard, not here: a target variable set in two places with different values is a refusal.
#![allow(clippy::disallowed_methods, reason = "the one reader of the environment")]

pub mod env_file;
pub mod flags;
pub mod pair;
pub mod schema_files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{Failure, OrFail, Result};
use crate::hint::Aim;
use flags::Global;
use pair::{FilePair, Pair};

pub const SANDBOX: &str = "sandbox";

/// The answers of one invocation. Paths are absolute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the flags said to act on, for commands that a user is told to type.
    pub aim: Aim,
    pub root: PathBuf,
    /// Our own workspace: where the engine program lies when `root` is another project.
    pub home: PathBuf,
    pub target: TargetSettings,
    pub prisma: PrismaSettings,
    pub supabase: SupabaseSettings,
    pub parity: ParitySettings,
    pub evidence: EvidenceSettings,
    pub timeouts: Timeouts,
    pub environment: BTreeMap<String, String>,
    pub output: Output,
    /// Whether a sandbox run writes to the committed evidence and feedback files too.
    pub record: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    pub quiet: bool,
    pub color: bool,
    /// Whether stderr is a terminal on which spinners make sense.
    pub live: bool,
    /// Whether somebody may be there to answer: a terminal, and no CI.
    pub person: bool,
    pub github: bool,
}

#[derive(Debug, Clone)]
pub struct TargetSettings {
    pub name: String,
    /// None for the sandbox, which is described by its own state file.
    pub env_file: Option<PathBuf>,
    pub allow_hosts: Vec<String>,
    pub allow_projects: Vec<String>,
    pub allow_databases: Vec<String>,
    pub allow_schemas: Vec<String>,
    pub deny_systems: Vec<String>,
    pub ca_file: Option<PathBuf>,
}

impl TargetSettings {
    pub fn is_sandbox(&self) -> bool {
        self.name == SANDBOX
    }
}

#[derive(Debug, Clone)]
pub struct PrismaSettings {
    pub schema: PathBuf,
    pub migrations: PathBuf,
    pub config: PathBuf,
    /// A Node program that opens the database with the generated client and reads every model.
    pub smoke: PathBuf,
    /// SQL that makes rows for the sandbox; it need not be there.
    pub seed: PathBuf,
    pub url_env: String,
    pub direct_url_env: String,
    pub shadow_url_env: String,
}

#[derive(Debug, Clone)]
pub struct SupabaseSettings {
    pub mirror_sql: PathBuf,
    /// SQL that copies new rows into the mirror, as the app does; it need not be there.
    pub feed_sql: PathBuf,
}

impl SupabaseSettings {
    /// The mirror's script; None where the project has none.
    ///
    /// # Errors
    /// `blocked` when it is there and cannot be read.
    pub fn script(&self) -> Result<Option<String>> {
        match std::fs::read_to_string(&self.mirror_sql) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).blocked(|| format!("cannot read `{}`", self.mirror_sql.display())),
        }
    }
}

#[derive(Debug, Clone)]
pub struct ParitySettings {
    pub pairs: Vec<Pair>,
    /// Differences of up to this many percent of Prisma's rows are within; 0 to 100.
    pub threshold_pct: f64,
    /// How long rows in flight have to arrive before a breach counts.
    pub settle: Duration,
}

#[derive(Debug, Clone)]
pub struct EvidenceSettings {
    pub dir: PathBuf,
    pub deployment: PathBuf,
    pub data: PathBuf,
    pub qa: PathBuf,
    /// Who may sign, in the format of ssh-keygen; None: nobody has to.
    pub allowed_signers: Option<PathBuf>,
}

/// One deadline for each kind of step.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub connect: Duration,
    pub generate: Duration,
    pub migrate: Duration,
    pub query: Duration,
    pub smoke: Duration,
    /// How long a stopped run waits for the server to finish what was already sent.
    pub settle: Duration,
    /// One table's rows, out or in.
    pub snapshot: Duration,
    /// How long a server that owes an answer may be silent, on a new connection too, before it counts as gone.
    pub silence: Duration,
}

impl Settings {
    /// Reads the environment and `drill.toml`. Errors are `usage` failures that name the file, the line and the key.
    pub fn load(global: &Global) -> Result<Settings> {
        let environment = environment();
        let root = project_root(global, &environment)?;
        Settings::of_file(&File::read(&root)?, root, environment, global)
    }

    /// The defaults, with the env file that a flag names: for what must go on where `drill.toml` cannot be used.
    pub fn without_file(global: &Global) -> Result<Settings> {
        let environment = environment();
        let root = project_root(global, &environment)?;
        let global = Global { target: "staging".to_owned(), sandbox: false, ..global.clone() };
        Settings::of_file(&File::default(), root, environment, &global)
    }

    fn of_file(file: &File, root: PathBuf, environment: BTreeMap<String, String>, global: &Global) -> Result<Settings> {
        let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default();
        let name = if global.sandbox { SANDBOX.to_owned() } else { global.target.clone() };
        let target = file.target(&name, &root, global)?;
        let relative = |path: &str| root.join(path);
        Ok(Settings {
            aim: global.aim(),
            target,
            prisma: file.prisma(&root),
            supabase: SupabaseSettings {
                mirror_sql: relative(&file.supabase.mirror_sql),
                feed_sql: relative(&file.supabase.feed_sql),
            },
            parity: file.parity.checked()?,
            evidence: EvidenceSettings {
                dir: relative(&file.evidence.dir),
                deployment: relative(&file.evidence.deployment),
                data: relative(&file.evidence.data),
                qa: relative(&file.evidence.qa),
                allowed_signers: file.evidence.allowed_signers.as_deref().map(relative),
            },
            timeouts: file.timeouts.durations(),
            output: output(global, &environment),
            record: global.record,
            root,
            home,
            environment,
        })
    }

    /// Every env file that `drill.toml` seems to name, whether or not the file can be used.
    pub fn env_files_mentioned(&self) -> Vec<PathBuf> {
        let text = std::fs::read(self.root.join("drill.toml")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let values = text.lines().filter_map(|line| line.trim_start().strip_prefix("env_file")?.split_once('='));
        let paths = values.map(|(_, value)| value.split('#').next().unwrap_or(value).trim().trim_matches(['"', '\'']));
        paths.map(|path| self.root.join(path)).collect()
    }

    /// How to print, known before anything else can fail.
    pub fn output(global: &Global) -> Output {
        output(global, &environment())
    }

    /// The file of the job's summary in GitHub Actions, whatever else can be read.
    pub fn job_summary() -> Option<PathBuf> {
        environment().remove("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// The same settings for the sandbox's own commands, whatever target was named.
    pub fn for_sandbox(mut self) -> Settings {
        self.target = sandbox_settings();
        self.aim = self.aim.on_sandbox();
        self
    }

    /// Sandbox runs keep to the ignored folder unless told otherwise: trying things out must not dirty a checkout.
    pub fn recorded(&self) -> bool {
        !self.target.is_sandbox() || self.record
    }

    /// Where runs against the target leave their folders.
    pub fn evidence_dir(&self) -> PathBuf {
        if self.recorded() { self.evidence.dir.clone() } else { self.private_dir().join("evidence") }
    }

    /// A variable of our own environment, absent when it is empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The ignored folder for what belongs to this machine alone.
    pub fn private_dir(&self) -> PathBuf {
        self.root.join(".drill")
    }

    /// A path as a person would type it in the project's folder.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// Values that are not UTF-8 are left out: no variable that means anything to a drill can hold one.
fn environment() -> BTreeMap<String, String> {
    let pairs = std::env::vars_os();
    pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// `--root`, else the workspace that cargo runs us from, else the nearest folder above with a `drill.toml`.
fn project_root(global: &Global, environment: &BTreeMap<String, String>) -> Result<PathBuf> {
    let here = std::env::current_dir().blocked(|| "cannot tell the current folder")?;
    if let Some(root) = &global.root {
        let root = here.join(root);
        return root.canonicalize().or_fail(|| Failure::usage(format!("`--root {}` cannot be opened", root.display())));
    }
    if let Some(manifest) = environment.get("CARGO_MANIFEST_DIR")
        && let Some(workspace) = Path::new(manifest).parent()
    {
        return Ok(workspace.to_path_buf());
    }
    let above = here.ancestors().find(|folder| folder.join("drill.toml").is_file());
    Ok(above.unwrap_or(&here).to_path_buf())
}

fn output(global: &Global, environment: &BTreeMap<String, String>) -> Output {
    use std::io::IsTerminal;
    let set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    let terminal =
        std::io::stderr().is_terminal() && !set("CI") && environment.get("TERM").is_none_or(|term| term != "dumb");
    Output {
        json: global.json,
        quiet: global.quiet,
        color: terminal && !set("NO_COLOR"),
        live: terminal && !global.quiet,
        person: terminal,
        github: environment.get("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
    }
}

/// `drill.toml` as written.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    targets: BTreeMap<String, FileTarget>,
    prisma: FilePrisma,
    supabase: FileSupabase,
    parity: FileParity,
    evidence: FileEvidence,
    timeouts: FileTimeouts,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileTarget {
    env_file: String,
    allow_hosts: Vec<String>,
    allow_projects: Vec<String>,
    allow_databases: Vec<String>,
    /// What `?schema=` may name: `prisma migrate reset` drops it.
    allow_schemas: Vec<String>,
    /// System identifiers of production servers (`select system_identifier from pg_control_system()`), refused whatever else fits.
    deny_systems: Vec<String>,
    /// PEM file with the certificate authority for `sslmode=verify-ca` and `verify-full`.
    ca_file: Option<String>,
}

impl Default for FileTarget {
    fn default() -> Self {
        let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
        FileTarget {
            env_file: ".env.staging".to_owned(),
            allow_hosts: owned(&["*.staging.hotdash.app"]),
            allow_projects: Vec::new(),
            allow_databases: owned(&["*_staging", "*_test", "*_sandbox"]),
            allow_schemas: owned(&["public"]),
            deny_systems: Vec::new(),
            ca_file: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilePrisma {
    schema: String,
    migrations: Option<String>,
    config: Option<String>,
    smoke: String,
    seed: String,
    url_env: String,
    direct_url_env: String,
    shadow_url_env: String,
}

impl Default for FilePrisma {
    fn default() -> Self {
        FilePrisma {
            schema: "prisma/schema.postgres.prisma".to_owned(),
            migrations: None,
            config: None,
            smoke: "prisma/smoke.mjs".to_owned(),
            seed: "prisma/seed.sql".to_owned(),
            url_env: "DATABASE_URL".to_owned(),
            direct_url_env: "DIRECT_URL".to_owned(),
            shadow_url_env: "SHADOW_DATABASE_URL".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileSupabase {
    mirror_sql: String,
    feed_sql: String,
}

impl Default for FileSupabase {
    fn default() -> Self {
        FileSupabase {
            mirror_sql: "supabase/sql/analytics_facts_table.sql".to_owned(),
            feed_sql: "supabase/sql/feed_facts.sql".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileParity {
    threshold_pct: f64,
    /// Seconds.
    settle_seconds: u64,
    pairs: Option<Vec<FilePair>>,
}

impl Default for FileParity {
    fn default() -> Self {
        FileParity { threshold_pct: 1.0, settle_seconds: 2, pairs: None }
    }
}

impl FileParity {
    /// Longer than this a breach is no row in flight.
    const MOST_SETTLE_SECONDS: u64 = 3600;

    fn checked(&self) -> Result<ParitySettings> {
        let wrong = |what: String| {
            Failure::usage(format!("`drill.toml` cannot be used: {what}"))
                .hint("correct `[parity]`; docs/configuration.md lists every key")
        };
        if !(0.0..=100.0).contains(&self.threshold_pct) {
            return Err(wrong(format!("`threshold_pct` is {}, and must be from 0 to 100", self.threshold_pct)));
        }
        if self.settle_seconds > Self::MOST_SETTLE_SECONDS {
            return Err(wrong(format!("`settle_seconds` is more than {}", Self::MOST_SETTLE_SECONDS)));
        }
        Ok(ParitySettings {
            pairs: self.pairs.as_deref().map_or_else(|| Ok(pair::defaults()), pair::checked)?,
            threshold_pct: self.threshold_pct,
            settle: Duration::from_secs(self.settle_seconds),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileEvidence {
    dir: String,
    /// The feedback file of `forward`.
    deployment: String,
    /// The feedback file of `mirror` and `parity`.
    data: String,
    /// The feedback file of `backward`, `drill --each`, `reset` and `restore`.
    qa: String,
    allowed_signers: Option<String>,
}

impl Default for FileEvidence {
    fn default() -> Self {
        FileEvidence {
            dir: "feedback/evidence".to_owned(),
            deployment: "feedback/deployment.md".to_owned(),
            data: "feedback/data.md".to_owned(),
            qa: "feedback/qa.md".to_owned(),
            allowed_signers: None,
        }
    }
}

/// Seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileTimeouts {
    connect: u64,
    generate: u64,
    migrate: u64,
    query: u64,
    smoke: u64,
    settle: u64,
    snapshot: u64,
    silence: u64,
}

impl Default for FileTimeouts {
    fn default() -> Self {
        let (connect, silence) = (10, 60);
        FileTimeouts { connect, generate: 120, migrate: 600, query: 60, smoke: 60, settle: 60, snapshot: 3600, silence }
    }
}

impl FileTimeouts {
    fn durations(&self) -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(self.connect),
            generate: Duration::from_secs(self.generate),
            migrate: Duration::from_secs(self.migrate),
            query: Duration::from_secs(self.query),
            smoke: Duration::from_secs(self.smoke),
            settle: Duration::from_secs(self.settle),
            snapshot: Duration::from_secs(self.snapshot),
            silence: Duration::from_secs(self.silence.max(1)),
        }
    }
}

impl File {
    fn read(root: &Path) -> Result<File> {
        let path = root.join("drill.toml");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
            read => read.or_fail(|| Failure::usage("cannot read `drill.toml`"))?,
        };
        toml::from_str(&text).map_err(|error| broken(&text, &error))
    }

    fn target(&self, name: &str, root: &Path, global: &Global) -> Result<TargetSettings> {
        if name == SANDBOX {
            return sandbox_target(self.targets.contains_key(SANDBOX), global);
        }
        let file = match self.targets.get(name) {
            Some(file) => file.clone(),
            None if name == "staging" && self.targets.is_empty() => FileTarget::default(),
            None => return Err(self.unknown_target(name)),
        };
        let env_file = global.env_file.clone().unwrap_or_else(|| PathBuf::from(&file.env_file));
        Ok(TargetSettings {
            name: name.to_owned(),
            env_file: Some(root.join(env_file)),
            allow_hosts: file.allow_hosts,
            allow_projects: file.allow_projects,
            allow_databases: file.allow_databases,
            allow_schemas: file.allow_schemas,
            deny_systems: file.deny_systems,
            ca_file: file.ca_file.map(|path| root.join(path)),
        })
    }

    fn unknown_target(&self, name: &str) -> Failure {
        let mut known: Vec<&str> = self.targets.keys().map(String::as_str).collect();
        if known.is_empty() {
            known.push("staging");
        }
        known.push(SANDBOX);
        Failure::usage(format!("there is no target `{name}`"))
            .because(format!("the targets are: {}", known.join(", ")))
            .hint(format!("add `[targets.{name}]` to drill.toml, or name one of these with `--target`"))
    }

    fn prisma(&self, root: &Path) -> PrismaSettings {
        let prisma = &self.prisma;
        let schema = root.join(&prisma.schema);
        let beside = schema.parent().unwrap_or(root);
        PrismaSettings {
            migrations: match &prisma.migrations {
                Some(path) => root.join(path),
                None => default_migrations(root, beside, &prisma.schema),
            },
            config: match &prisma.config {
                Some(path) => root.join(path),
                None => default_config(root, beside),
            },
            smoke: root.join(&prisma.smoke),
            seed: root.join(&prisma.seed),
            schema,
            url_env: prisma.url_env.clone(),
            direct_url_env: prisma.direct_url_env.clone(),
            shadow_url_env: prisma.shadow_url_env.clone(),
        }
    }
}

/// Prisma's own rule is the folder beside the file with the datasource, which in a schema folder may be within it; this repo keeps one history for each database.
fn default_migrations(root: &Path, beside: &Path, schema: &str) -> PathBuf {
    let ours = root.join("prisma/postgres/migrations");
    let within = root.join(schema).join("migrations");
    match () {
        () if schema == FilePrisma::default().schema && ours.is_dir() => ours,
        () if within.is_dir() => within,
        () => beside.join("migrations"),
    }
}

fn default_config(root: &Path, beside: &Path) -> PathBuf {
    let ours = beside.join("postgres.config.ts");
    if ours.is_file() { ours } else { root.join("prisma.config.ts") }
}

fn sandbox_target(in_file: bool, global: &Global) -> Result<TargetSettings> {
    if in_file {
        return Err(Failure::usage("`[targets.sandbox]` in drill.toml has no meaning")
            .because("the sandbox is the embedded Postgres, and its address is its own")
            .hint("remove the section, or give the target another name"));
    }
    if global.env_file.is_some() {
        return Err(Failure::usage("`--env-file` does not go with the sandbox")
            .because("the sandbox needs no env file: its address is its own")
            .hint("leave out `--env-file`, or leave out `--sandbox`"));
    }
    Ok(sandbox_settings())
}

fn sandbox_settings() -> TargetSettings {
    TargetSettings {
        name: SANDBOX.to_owned(),
        env_file: None,
        allow_hosts: vec!["127.0.0.1".to_owned()],
        allow_projects: Vec::new(),
        allow_databases: vec!["*_sandbox".to_owned()],
        allow_schemas: vec!["public".to_owned()],
        deny_systems: Vec::new(),
        ca_file: None,
    }
}

fn broken(text: &str, error: &toml::de::Error) -> Failure {
    let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
    let place = line.map(|line| format!(" at line {line}")).unwrap_or_default();
    Failure::usage(format!("`drill.toml` cannot be read{place}"))
        .because(error.message().trim().replace('\n', "; "))
        .hint("correct that line; docs/configuration.md lists every key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_of_a_schema_folder_is_within_it_or_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let of = |schema: &str| {
            let migrations = default_migrations(root.path(), root.path().join(schema).parent().unwrap(), schema);
            migrations.strip_prefix(root.path()).unwrap().display().to_string()
        };
        std::fs::create_dir_all(root.path().join("prisma/schema")).unwrap();
        assert_eq!(of("prisma/schema"), "prisma/migrations");
        std::fs::create_dir(root.path().join("prisma/migrations")).unwrap();
        assert_eq!(["prisma", "prisma/schema", "prisma/schema.prisma"].map(of), ["prisma/migrations"; 3]);
    }
}
