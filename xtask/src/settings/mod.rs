//! Everything a command needs to know before it looks at the world: flags over environment over `drill.toml` over defaults.
//!
//! The only module that reads the process environment; `drill_toml` beside it reads the file. The one exception to the
//! precedence is made by the guard, not here: a target variable set in two places with different values is a refusal.
#![allow(clippy::disallowed_methods, reason = "the one reader of the environment")]

pub mod colour;
mod drill_toml;
pub mod env_file;
pub mod flags;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod limits;
pub mod network;
pub mod pair;
pub mod prisma_places;
pub mod production;
pub mod row_mapping;
pub mod schema_files;
pub mod span;
pub mod started;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Failure, OrFail, Result};
use crate::hint::Aim;
use colour::Colour;
use drill_toml::{File, sandbox_settings};
use flags::Global;
use limits::Limits;
use pair::Pair;
use pin::file;
use production::ProductionRows;
use serde::Deserialize;

pub const SANDBOX: &str = "sandbox";
/// What the variables of Supabase's REST API are called, where drill.toml says nothing.
pub const API_URL: &str = "SUPABASE_URL";
pub const API_KEY: &str = "SUPABASE_SERVICE_KEY";

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
    pub deploy: DeploySettings,
    pub limits: Limits,
    pub production_rows: ProductionRows,
    pub supabase: SupabaseSettings,
    pub parity: ParitySettings,
    pub evidence: EvidenceSettings,
    pub timeouts: Timeouts,
    pub keep_as: KeepAs,
    /// Where the sandbox's Postgres is, if it is not the embedded one.
    pub sandbox_programs: Option<PathBuf>,
    pub environment: BTreeMap<String, String>,
    pub output: Output,
    /// Whether a sandbox run writes to the committed evidence and feedback files too.
    pub record: bool,
    /// Nothing is left behind, not even what would make the next run faster.
    pub reads_only: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    pub quiet: bool,
    pub color: bool,
    /// The same of stdout, where results are rows with marks.
    pub color_results: bool,
    /// Whether stderr is a terminal on which spinners make sense.
    pub live: bool,
    /// Whether a person may be there to answer: a terminal, and no CI.
    pub person: bool,
    pub github: bool,
}

#[derive(Debug, Clone)]
pub struct TargetSettings {
    pub name: String,
    /// None for the sandbox, which is described by its own state file, and for the local stack.
    pub env_file: Option<PathBuf>,
    /// The port of Postgres, where the target is what `supabase start` starts.
    pub local_stack: Option<u16>,
    pub allow_hosts: Vec<String>,
    pub allow_projects: Vec<String>,
    pub allow_databases: Vec<String>,
    pub allow_schemas: Vec<String>,
    /// The application's variables, which children get from the process environment where there is no env file.
    pub app_variables: Vec<String>,
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
    pub smoke: Option<PathBuf>,
    /// SQL that makes rows for the sandbox.
    pub seed: Option<PathBuf>,
    pub url_env: String,
    pub direct_url_env: String,
    pub shadow_url_env: String,
}

/// How `migrate deploy` stands in the way of others, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct DeploySettings {
    /// None: as the role, the database or the server sets it.
    pub lock_timeout: Option<Duration>,
    pub statement_timeout: Option<Duration>,
    /// How often it is tried again after it gave up a wait for a lock.
    pub lock_retries: u8,
    /// How long another session may wait behind it.
    pub blocked_behind: Duration,
}

#[derive(Debug, Clone)]
pub struct SupabaseSettings {
    /// Where the project says that it has none, nothing of the mirror is named either.
    pub enabled: bool,
    pub mirror_sql: Option<PathBuf>,
    /// SQL that copies new rows into the mirror, as the app does.
    pub feed_sql: Option<PathBuf>,
    /// The variable with the address of the REST API.
    pub url_env: String,
    /// The variable with the key that it is asked with.
    pub key_env: String,
}

impl SupabaseSettings {
    /// The mirror's script; None where the project has none.
    ///
    /// # Errors
    /// `blocked` when it is there and cannot be read.
    pub fn script(&self) -> Result<Option<String>> {
        let Some(path) = &self.mirror_sql else { return Ok(None) };
        match file::read_text(path, file::LONGEST) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).blocked(|| format!("cannot read `{}`", path.display())),
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
    /// Who may sign, in the format of ssh-keygen; None: signing is not asked for.
    pub allowed_signers: Option<PathBuf>,
    /// Git keeps the record of a run alone.
    pub summary_alone: bool,
}

/// As what `reset` keeps the state before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepAs {
    /// A database of the same server where the rows are many, else files.
    #[default]
    Auto,
    Database,
    Files,
}

/// One deadline for each kind of step.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub connect: Duration,
    pub generate: Duration,
    pub migrate: Duration,
    pub query: Duration,
    /// Exact counts of a stage that destroys nothing.
    pub count: Duration,
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
        Ok(Settings {
            aim: global.aim(),
            target,
            prisma: file.prisma(&root),
            deploy: file.deploy(),
            limits: file.limits(),
            production_rows: file.production_rows(),
            supabase: file.supabase(&root),
            parity: file.parity()?,
            evidence: file.evidence(&root),
            timeouts: file.timeouts(),
            keep_as: file.keep_as(),
            sandbox_programs: file.sandbox_programs(&root),
            output: output(global, &environment),
            record: global.record,
            reads_only: false,
            root,
            home,
            environment,
        })
    }

    /// What a drill.toml of this text would say; None where it could not be read.
    pub fn production_rows_in(text: &str) -> Option<ProductionRows> {
        File::of(text).ok().map(|file| file.production_rows())
    }

    /// Every env file that `drill.toml` seems to name, whether or not the file can be used.
    pub fn env_files_mentioned(&self) -> Vec<PathBuf> {
        let text = file::read(&self.root.join("drill.toml"), file::LONGEST).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let values = text.lines().filter_map(|line| line.trim_start().strip_prefix("env_file")?.split_once('='));
        let paths = values.map(|(_, value)| value.split('#').next().unwrap_or(value).trim().trim_matches(['"', '\'']));
        paths.map(|path| self.root.join(path)).collect()
    }

    /// The same for a project whose files are elsewhere than drill.toml or the usual names say.
    pub fn with_prisma_at(mut self, schema: PathBuf, config: PathBuf) -> Settings {
        self.prisma = File::default().prisma_at(&self.root, schema, config);
        self
    }

    /// How to print, known before anything else can fail.
    pub fn output(global: &Global) -> Output {
        output(global, &environment())
    }

    /// How to print one object and nothing else, where the flags could not be read.
    pub fn output_as_json() -> Output {
        let [color, color_results, live, person, github] = [false; 5];
        Output { json: true, quiet: true, color, color_results, live, person, github }
    }

    /// The file of the step's outputs in GitHub Actions, whatever else can be read.
    pub fn step_outputs() -> Option<PathBuf> {
        environment().remove("GITHUB_OUTPUT").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// The file of the job's summary in GitHub Actions, whatever else can be read.
    pub fn job_summary() -> Option<PathBuf> {
        environment().remove("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// What stands before a path of the project in the repository that a job of GitHub Actions has checked out.
    pub fn folder_in_job(global: &Global) -> String {
        let environment = environment();
        let workspace = environment.get("GITHUB_WORKSPACE").and_then(|path| Path::new(path).canonicalize().ok());
        let root = project_root(global, &environment).and_then(|root| root.canonicalize().blocked(|| "no root"));
        let inside = workspace
            .zip(root.ok())
            .and_then(|(workspace, root)| root.strip_prefix(workspace).ok().map(Path::to_owned));
        let inside = inside.unwrap_or_default().display().to_string();
        if inside.is_empty() { inside } else { inside + "/" }
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

    /// The mirror's script as a person would type it; drill.toml's key where it names none.
    pub fn mirror_shown(&self) -> String {
        self.supabase.mirror_sql.as_deref().map_or_else(|| "mirror_sql".to_owned(), |path| self.shown(path))
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
    let able = !set("CI") && environment.get("TERM").is_none_or(|term| term != "dumb");
    let terminal = std::io::stderr().is_terminal() && able;
    let colour = if global.plain { Colour::Never } else { global.color };
    Output {
        json: global.json,
        quiet: global.quiet,
        color: colour.paints(environment, terminal),
        color_results: colour.paints(environment, std::io::stdout().is_terminal() && able),
        live: terminal && !global.quiet && !global.plain,
        person: terminal,
        github: environment.get("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
    }
}
