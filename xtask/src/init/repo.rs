//! A repo as it lies there: where Prisma's files are, what the schema uses, who installs its packages, what runs its CI.

use std::collections::BTreeSet;
use std::path::Path;

use pin::file;
use serde_json::{Value, json};

use crate::error::{Failure, Result};
use crate::guard::pattern::may_be_dropped;
use crate::guard::prisma_schema::Datasource;
use crate::hint::{Hint, quoted};
use crate::init::packages;
use crate::init::search::{self, Found};
use crate::init::validate;
use crate::interrupt::Interrupt;
use crate::process::package_manager::PackageManager;
use crate::process::release::major;
use crate::schema::history::History;
use crate::settings::{self, PrismaSettings, Settings, SupabaseSettings, env_file};

/// The user's own word on what is staging.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    pub hosts: Vec<String>,
    pub projects: Vec<String>,
}

pub struct Repo<'a> {
    pub settings: &'a Settings,
    pub prisma: PrismaSettings,
    pub release: String,
    pub manager: PackageManager,
    pub allowed: Allowed,
    datasource: Datasource,
    history: History,
    /// What the history makes.
    pub extensions: BTreeSet<String>,
    /// The variables with the address of Supabase's REST API and its key.
    pub api: [String; 2],
    /// What the repo's own example of an env file names, but for what says where the database is.
    pub variables: Vec<String>,
}

/// Reads all of it, and then has Prisma read the schema, too.
///
/// # Errors
/// `blocked`, with the command that mends it, where a drill could not work.
pub fn look<'a>(settings: &'a Settings, allowed: Allowed, interrupt: &Interrupt) -> Result<Repo<'a>> {
    let repo = read(settings, allowed)?;
    validate::schema(&Settings { prisma: repo.prisma.clone(), ..settings.clone() }, repo.manager, interrupt)?;
    Ok(repo)
}

/// # Errors
/// As `look`; no program is started.
pub fn read(settings: &Settings, allowed: Allowed) -> Result<Repo<'_>> {
    let root = &settings.root;
    packages::check_manifest(root)?;
    let Found { schema, config, datasource } = search::schema(settings)?;
    let prisma = match settings.prisma.schema == schema {
        true => settings.prisma.clone(),
        false => settings.clone().with_prisma_at(schema, config).prisma,
    };
    let manager = PackageManager::of(root);
    let release = packages::installed(settings, &prisma, manager)?;
    let history = history(settings, &prisma, &release, manager)?;
    let extensions = extensions_of(&history)?;
    let named = named_in_example(root);
    let api = api_variables(&settings.supabase, &named);
    let variables = own_variables(named, &prisma, &api);
    Ok(Repo { settings, prisma, release, manager, allowed, datasource, history, extensions, api, variables })
}

fn history(settings: &Settings, prisma: &PrismaSettings, release: &str, manager: PackageManager) -> Result<History> {
    let (folder, schema) = (settings.shown(&prisma.migrations), settings.shown(&prisma.schema));
    let history = match prisma.migrations.is_dir() {
        true => History::of(&Settings { prisma: prisma.clone(), ..settings.clone() })?,
        false => History::default(),
    };
    if let Some(other) = history.provider.as_deref().filter(|other| *other != "postgresql") {
        return Err(Failure::blocked(format!("`{folder}` is a history for `{other}`, and the drill is for Postgres"))
            .hint("name the Postgres history as `migrations` under `[prisma]` in drill.toml"));
    }
    if history.migrations.is_empty() {
        return Err(Failure::blocked(format!("there are no migrations in `{folder}`: this schema was only ever pushed, and a drill rehearses migrations"))
            .note("the hint writes the first one; `prisma migrate resolve --applied 0_init` tells a database that has it already")
            .hint(first_migration(&folder, &schema, release, manager)));
    }
    Ok(history)
}

fn first_migration(folder: &str, schema: &str, release: &str, manager: PackageManager) -> Hint {
    let to = if matches!(major(release), Some(5 | 6)) { "--to-schema-datamodel" } else { "--to-schema" };
    let [first, schema] = [quoted(&format!("{folder}/0_init")), quoted(schema)];
    let diff = format!("prisma migrate diff --from-empty {to} {schema} --script --output {first}/migration.sql");
    Hint::shell(format!("mkdir -p {first} && {} {diff}", manager.runs()))
}

/// Names, and never a value: of the files that are committed.
fn named_in_example(root: &Path) -> Vec<String> {
    let examples = [".env.example", ".env.sample", ".env.template", ".env.local.example"];
    let text = examples.iter().find_map(|name| file::read_text(&root.join(name), env_file::LONGEST).ok());
    let name = |line: &str| {
        let name = line.trim_start().trim_start_matches("export ").split_once('=')?.0.trim().to_owned();
        let is_one = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_one.then_some(name)
    };
    let mut seen = BTreeSet::new();
    text.unwrap_or_default().lines().filter_map(name).filter(|name| seen.insert(name.clone())).collect()
}

/// As drill.toml calls them, else as the repo does: `NEXT_PUBLIC_SUPABASE_URL`, `SUPABASE_SERVICE_ROLE_KEY`.
fn api_variables(said: &SupabaseSettings, named: &[String]) -> [String; 2] {
    let called = |said: &String, custom: &str, fits: fn(&str) -> bool| {
        let theirs = named.iter().find(|name| fits(name)).filter(|_| said == custom && !named.contains(said));
        theirs.unwrap_or(said).clone()
    };
    [
        called(&said.url_env, settings::API_URL, |name| name.ends_with("SUPABASE_URL")),
        called(&said.key_env, settings::API_KEY, is_service_key),
    ]
}

fn is_service_key(name: &str) -> bool {
    let opens_all = ["SERVICE", "SECRET"].iter().any(|word| name.contains(word));
    name.contains("SUPABASE") && name.ends_with("_KEY") && opens_all
}

fn own_variables(named: Vec<String>, prisma: &PrismaSettings, api: &[String; 2]) -> Vec<String> {
    let known = [&prisma.url_env, &prisma.direct_url_env, &prisma.shadow_url_env, &api[0], &api[1]];
    named.into_iter().filter(|name| !known.contains(&name)).collect()
}

impl Repo<'_> {
    pub fn root(&self) -> &Path {
        &self.settings.root
    }

    pub fn shown(&self, path: &Path) -> String {
        self.settings.shown(path)
    }

    /// Those that a reset may drop, where `public` is not all.
    pub fn schemas(&self) -> Vec<String> {
        let listed = self.datasource.schemas.iter().filter(|schema| may_be_dropped(schema));
        let mut all: Vec<String> = listed.cloned().collect();
        if all.is_empty() {
            all.push("public".to_owned());
        }
        all
    }

    pub fn has_direct_url(&self) -> bool {
        self.prisma.direct_url_env != "DIRECT_URL" || self.datasource.texts.contains(&self.prisma.direct_url_env)
    }

    pub fn has_supabase(&self) -> bool {
        self.is_dir("supabase")
    }

    /// The variables of the REST API, where the repo calls them in its own way.
    pub fn api_if_own(&self) -> Option<[&str; 2]> {
        let api = [self.api[0].as_str(), self.api[1].as_str()];
        (api != [settings::API_URL, settings::API_KEY]).then_some(api)
    }

    /// Also where nothing says what else runs CI.
    pub fn has_github(&self) -> bool {
        let others =
            [".gitlab-ci.yml", ".circleci", "azure-pipelines.yml", "bitbucket-pipelines.yml", ".woodpecker.yml"];
        self.is_dir(".github") || !others.iter().any(|name| self.root().join(name).exists())
    }

    fn is_dir(&self, name: &str) -> bool {
        self.root().join(name).is_dir()
    }

    /// What was found, a line each.
    pub fn in_words(&self) -> Vec<String> {
        let history = self.history.migrations.len();
        let listed =
            |words: &str, names: Vec<String>| (!names.is_empty()).then(|| format!("{words}: {}", names.join(", ")));
        let lines = [
            Some(format!(
                "schema: `{}`, of Prisma {}, installed by {}",
                self.shown(&self.prisma.schema),
                self.release,
                self.manager.name()
            )),
            Some(format!("history: {history} in `{}`", self.shown(&self.prisma.migrations))),
            self.config().map(|config| format!("config: `{config}`")),
            Some(format!("variable: {}", self.prisma.url_env)),
            listed("schemas of the database", self.datasource.schemas.clone()),
            listed("extensions", self.extensions.iter().cloned().collect()),
            self.has_supabase()
                .then(|| "Supabase: `supabase/`; name a mirror's script as `mirror_sql` where there is one".to_owned()),
        ];
        lines.into_iter().flatten().collect()
    }

    pub fn config(&self) -> Option<String> {
        self.prisma.config.is_file().then(|| self.shown(&self.prisma.config))
    }

    pub fn view(&self) -> Value {
        json!({
            "schema": self.shown(&self.prisma.schema),
            "migrations": self.shown(&self.prisma.migrations),
            "config": self.config(),
            "prisma": self.release,
            "package_manager": self.manager.name(),
            "url_env": self.prisma.url_env,
            "schemas": self.datasource.schemas,
            "extensions": self.extensions,
            "supabase": self.has_supabase(),
        })
    }
}

fn extensions_of(history: &History) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for part in history.migrations.iter().flat_map(|migration| migration.sql.parts()) {
        all.extend(extensions(&part?));
    }
    Ok(all)
}

/// The names after `create extension`, as statements write them.
fn extensions(sql: &str) -> Vec<String> {
    let words = sql.split_whitespace().map(|word| word.trim_end_matches(';'));
    let words: Vec<String> = words.map(str::to_owned).collect();
    let is = |at: usize, word: &str| words.get(at).is_some_and(|found| found.eq_ignore_ascii_case(word));
    let begins = (0..words.len()).filter(|&at| is(at, "create") && is(at + 1, "extension"));
    let name = |at: usize| if is(at + 2, "if") { at + 5 } else { at + 2 };
    begins.filter_map(|at| words.get(name(at))).map(|word| word.trim_matches('"').to_owned()).collect()
}
