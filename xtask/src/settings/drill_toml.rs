//! `drill.toml`: the file as written, its defaults, and what each section means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pin::file;
use serde::Deserialize;

use super::env_file;
use super::flags::Global;
use super::limits::{FileLimits, Limits};
use super::pair::{self, FilePair};
use super::prisma_places;
use super::production::{FileProduction, ProductionRows};
use super::schema_files;
use super::span::Span;
use super::{
    API_KEY, API_URL, DeploySettings, EvidenceSettings, KeepAs, ParitySettings, PrismaSettings, SANDBOX,
    SupabaseSettings, TargetSettings, Timeouts,
};
use crate::error::{Failure, OrFail, Result};

/// `drill.toml` as written.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    targets: BTreeMap<String, FileTarget>,
    prisma: FilePrisma,
    supabase: FileSupabase,
    parity: FileParity,
    evidence: FileEvidence,
    timeouts: FileTimeouts,
    limits: FileLimits,
    production: FileProduction,
    sandbox: FileSandbox,
    snapshots: FileSnapshots,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileTarget {
    kind: Option<Kind>,
    env_file: Option<String>,
    allow_hosts: Vec<String>,
    allow_projects: Vec<String>,
    allow_databases: Vec<String>,
    /// What `?schema=` may name: `prisma migrate reset` drops it.
    allow_schemas: Vec<String>,
    /// The application's variables, which are passed on where there is no env file.
    app_variables: Vec<String>,
    /// System identifiers of production servers (`select system_identifier from pg_control_system()`), refused whatever else fits.
    deny_systems: Vec<String>,
    /// PEM file with the certificate authority for `sslmode=verify-ca` and `verify-full`.
    ca_file: Option<String>,
}

/// Where a target is known by what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// The local stack of `supabase start`.
    SupabaseStart,
}

impl Default for FileTarget {
    fn default() -> Self {
        let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
        FileTarget {
            kind: None,
            env_file: None,
            allow_hosts: Vec::new(),
            allow_projects: Vec::new(),
            allow_databases: owned(&["*_staging", "*_test", "*_sandbox"]),
            allow_schemas: owned(&["public"]),
            app_variables: Vec::new(),
            deny_systems: Vec::new(),
            ca_file: None,
        }
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct FilePrisma {
    schema: Option<String>,
    migrations: Option<String>,
    config: Option<String>,
    smoke: Option<String>,
    seed: Option<String>,
    url_env: Option<String>,
    direct_url_env: Option<String>,
    shadow_url_env: Option<String>,
    lock_timeout: Option<Span>,
    statement_timeout: Option<Span>,
    lock_retries: Option<u8>,
}

impl FilePrisma {
    /// The variables with the database's, the direct and the shadow database's URL: as said here, else as the schema's datasource
    /// or the config's says, else as they are called by custom. No two are one: what is not the database's own is then not told apart.
    fn variables(&self, schema: &Path, config: &Path) -> [String; 3] {
        // The guard says what cannot be read of it.
        let files = schema_files::read(schema).unwrap_or_default();
        let found =
            |property| schema_files::variable(&files, property).or_else(|| prisma_places::variable(config, property));
        let named = |said: &Option<String>, property| said.clone().or_else(|| found(property));
        let url = named(&self.url_env, "url").unwrap_or_else(|| "DATABASE_URL".to_owned());
        let direct = named(&self.direct_url_env, "directUrl");
        let direct = direct.filter(|name| self.direct_url_env.is_some() || *name != url);
        let direct = direct.unwrap_or_else(|| "DIRECT_URL".to_owned());
        let shadow = named(&self.shadow_url_env, "shadowDatabaseUrl");
        let shadow = shadow.filter(|name| self.shadow_url_env.is_some() || ![&url, &direct].contains(&name));
        [url, direct, shadow.unwrap_or_else(|| "SHADOW_DATABASE_URL".to_owned())]
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct FileSupabase {
    /// Absent: as the rest of the file lets it be.
    enabled: Option<bool>,
    mirror_sql: Option<String>,
    feed_sql: Option<String>,
    url_env: Option<String>,
    key_env: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileParity {
    threshold_pct: f64,
    /// Seconds.
    settle_seconds: u64,
    pairs: Vec<FilePair>,
}

impl Default for FileParity {
    fn default() -> Self {
        FileParity { threshold_pct: 1.0, settle_seconds: 2, pairs: Vec::new() }
    }
}

impl FileParity {
    /// Longer than this no row is in flight.
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
            pairs: pair::checked(&self.pairs)?,
            threshold_pct: self.threshold_pct,
            settle: Duration::from_secs(self.settle_seconds),
        })
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct FileSnapshots {
    keep_as: KeepAs,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct FileSandbox {
    /// Another Postgres of this machine, by the folder of `initdb` and `postgres`.
    bin_dir: Option<String>,
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
    commit: Commit,
}

/// What git keeps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Commit {
    All,
    Summary,
}

impl Default for FileEvidence {
    fn default() -> Self {
        FileEvidence {
            dir: "feedback/evidence".to_owned(),
            deployment: "feedback/deployment.md".to_owned(),
            data: "feedback/data.md".to_owned(),
            qa: "feedback/qa.md".to_owned(),
            allowed_signers: None,
            commit: Commit::All,
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
    count: u64,
    smoke: u64,
    settle: u64,
    snapshot: u64,
    silence: u64,
}

impl Default for FileTimeouts {
    fn default() -> Self {
        let (connect, generate, migrate, count, snapshot) = (10, 120, 600, 20, 3600);
        FileTimeouts { connect, generate, migrate, query: 60, count, smoke: 60, settle: 60, snapshot, silence: 60 }
    }
}

impl File {
    pub(super) fn read(root: &Path) -> Result<File> {
        let path = root.join("drill.toml");
        let text = match file::read_text(&path, file::LONGEST) {
            // A link that leads nowhere is meant to be one.
            Err(_) if path.symlink_metadata().is_err() => return Ok(File::default()),
            read => read.or_fail(|| Failure::usage("cannot read `drill.toml`"))?,
        };
        File::of(&text)
    }

    pub(super) fn of(text: &str) -> Result<File> {
        toml::from_str(text).map_err(|error| broken(text, &error))
    }

    pub(super) fn target(&self, name: &str, root: &Path, global: &Global) -> Result<TargetSettings> {
        if name == SANDBOX {
            return sandbox_target(self.targets.contains_key(SANDBOX), global);
        }
        let file = match self.targets.get(name) {
            Some(file) => file.clone(),
            None if name == "staging" && self.targets.is_empty() => FileTarget::default(),
            None => return Err(self.unknown_target(name)),
        };
        if file.kind == Some(Kind::SupabaseStart) {
            return local_stack::target(name, root, &file, global);
        }
        let named = global.env_file.clone().or_else(|| file.env_file.as_ref().map(PathBuf::from));
        let env_file = named.unwrap_or_else(|| PathBuf::from(env_file::DEFAULT));
        Ok(TargetSettings {
            name: name.to_owned(),
            env_file: Some(root.join(env_file)),
            local_stack: None,
            allow_hosts: file.allow_hosts,
            allow_projects: file.allow_projects,
            allow_databases: file.allow_databases,
            allow_schemas: file.allow_schemas,
            app_variables: file.app_variables,
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

    pub(super) fn prisma(&self, root: &Path) -> PrismaSettings {
        let named = |path: &Option<String>| path.as_ref().map(|path| root.join(path));
        let config = named(&self.prisma.config).unwrap_or_else(|| prisma_places::config(root));
        let schema = named(&self.prisma.schema).unwrap_or_else(|| prisma_places::schema(root, &config));
        self.prisma_at(root, schema, config)
    }

    pub(super) fn prisma_at(&self, root: &Path, schema: PathBuf, config: PathBuf) -> PrismaSettings {
        let prisma = &self.prisma;
        let named = |path: &Option<String>| path.as_ref().map(|path| root.join(path));
        let [url_env, direct_url_env, shadow_url_env] = prisma.variables(&schema, &config);
        PrismaSettings {
            migrations: named(&prisma.migrations).unwrap_or_else(|| prisma_places::migrations(&config, &schema)),
            smoke: named(&prisma.smoke),
            seed: named(&prisma.seed),
            config,
            schema,
            url_env,
            direct_url_env,
            shadow_url_env,
        }
    }

    pub(super) fn deploy(&self) -> DeploySettings {
        let prisma = &self.prisma;
        let [lock_timeout, statement_timeout, blocked_behind] =
            [&prisma.lock_timeout, &prisma.statement_timeout, &self.limits.blocked_behind]
                .map(|span| span.map(|span| span.0));
        DeploySettings {
            lock_timeout,
            statement_timeout,
            lock_retries: prisma.lock_retries.unwrap_or(2),
            blocked_behind: blocked_behind.unwrap_or(Duration::from_secs(5)),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits.of_migrations()
    }

    pub(super) fn production_rows(&self) -> ProductionRows {
        self.production.rows()
    }

    pub(super) fn supabase(&self, root: &Path) -> SupabaseSettings {
        let enabled = self.has_supabase();
        let named = |path: &Option<String>| path.as_ref().filter(|_| enabled).map(|path| root.join(path));
        let called = |said: &Option<String>, custom: &str| said.clone().unwrap_or_else(|| custom.to_owned());
        SupabaseSettings {
            enabled,
            mirror_sql: named(&self.supabase.mirror_sql),
            feed_sql: named(&self.supabase.feed_sql),
            url_env: called(&self.supabase.url_env, API_URL),
            key_env: called(&self.supabase.key_env, API_KEY),
        }
    }

    pub(super) fn parity(&self) -> Result<ParitySettings> {
        let parity = self.parity.checked()?;
        let pairs = if self.has_supabase() { parity.pairs } else { Vec::new() };
        Ok(ParitySettings { pairs, ..parity })
    }

    fn has_supabase(&self) -> bool {
        self.supabase.enabled != Some(false)
    }

    pub(super) fn evidence(&self, root: &Path) -> EvidenceSettings {
        let file = &self.evidence;
        EvidenceSettings {
            dir: root.join(&file.dir),
            deployment: root.join(&file.deployment),
            data: root.join(&file.data),
            qa: root.join(&file.qa),
            allowed_signers: file.allowed_signers.as_ref().map(|path| root.join(path)),
            summary_alone: file.commit == Commit::Summary,
        }
    }

    pub(super) fn sandbox_programs(&self, root: &Path) -> Option<PathBuf> {
        self.sandbox.bin_dir.as_ref().map(|path| root.join(path))
    }

    pub(super) fn keep_as(&self) -> KeepAs {
        self.snapshots.keep_as
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        let file = &self.timeouts;
        Timeouts {
            connect: Duration::from_secs(file.connect),
            generate: Duration::from_secs(file.generate),
            migrate: Duration::from_secs(file.migrate),
            query: Duration::from_secs(file.query),
            count: Duration::from_secs(file.count),
            smoke: Duration::from_secs(file.smoke),
            settle: Duration::from_secs(file.settle),
            snapshot: Duration::from_secs(file.snapshot),
            silence: Duration::from_secs(file.silence.max(1)),
        }
    }
}

/// The target of `supabase start`: its address and its database are its own, and so is its password.
mod local_stack {
    use super::{FileTarget, Global, TargetSettings};
    use crate::error::{Failure, Result};
    use pin::file;
    use std::path::Path;

    /// Where the stack's Postgres listens unless `supabase/config.toml` says otherwise (Supabase's documentation, "Config reference", `db.port`).
    const PORT: u16 = 54322;

    pub fn target(name: &str, root: &Path, file: &FileTarget, global: &Global) -> Result<TargetSettings> {
        let usual = FileTarget::default();
        let lists = [
            ("allow_hosts", file.allow_hosts == usual.allow_hosts),
            ("allow_projects", file.allow_projects == usual.allow_projects),
            ("allow_databases", file.allow_databases == usual.allow_databases),
        ];
        if let Some((key, _)) = lists.into_iter().find(|(_, is_unsaid)| !is_unsaid) {
            return Err(Failure::usage(format!("`{key}` has no meaning in `[targets.{name}]` of drill.toml"))
                .because("its `kind` says where `supabase start` listens, and that its database is `postgres`")
                .hint(format!("remove `{key}`, or `kind`")));
        }
        let port = port(root);
        let named = global.env_file.clone().or_else(|| file.env_file.as_ref().map(Into::into));
        Ok(TargetSettings {
            name: name.to_owned(),
            env_file: named.map(|path| root.join(path)),
            local_stack: Some(port),
            allow_hosts: ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}")).into(),
            allow_projects: Vec::new(),
            allow_databases: vec!["postgres".to_owned()],
            allow_schemas: file.allow_schemas.clone(),
            app_variables: file.app_variables.clone(),
            deny_systems: file.deny_systems.clone(),
            ca_file: None,
        })
    }

    fn port(root: &Path) -> u16 {
        let text = file::read_text(&root.join("supabase/config.toml"), file::LONGEST).unwrap_or_default();
        let config: toml::Table = toml::from_str(&text).unwrap_or_default();
        let port = config.get("db").and_then(|db| db.get("port")).and_then(toml::Value::as_integer);
        port.and_then(|port| u16::try_from(port).ok()).unwrap_or(PORT)
    }
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

pub(super) fn sandbox_settings() -> TargetSettings {
    TargetSettings {
        name: SANDBOX.to_owned(),
        env_file: None,
        local_stack: None,
        allow_hosts: vec!["127.0.0.1".to_owned()],
        allow_projects: Vec::new(),
        allow_databases: vec!["*_sandbox".to_owned()],
        allow_schemas: vec!["public".to_owned()],
        app_variables: Vec::new(),
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
    fn a_file_may_be_missing_and_a_link_that_leads_nowhere_is_not() {
        let root = tempfile::tempdir().unwrap();
        assert!(File::read(root.path()).is_ok());
        std::os::unix::fs::symlink(root.path().join("elsewhere"), root.path().join("drill.toml")).unwrap();
        assert_eq!(File::read(root.path()).unwrap_err().message, "cannot read `drill.toml`");
    }

    #[test]
    fn the_variables_are_those_of_the_schema_unless_the_file_names_others() {
        let root = tempfile::tempdir().unwrap();
        let [schema, config] = ["schema.prisma", "prisma.config.ts"].map(|name| root.path().join(name));
        let block = "datasource db {\n url = env(\"STAGING_DB\")\n directUrl = env(\"STAGING_DIRECT\")\n \
                     shadowDatabaseUrl = env(\"STAGING_DIRECT\")\n}\n";
        let mut file = FilePrisma::default();
        assert_eq!(file.variables(&schema, &config), ["DATABASE_URL", "DIRECT_URL", "SHADOW_DATABASE_URL"]);
        let theirs = "datasource: { url: env('POSTGRES_URL'), shadowDatabaseUrl: process.env.SHADOW! }";
        std::fs::write(&config, theirs).unwrap();
        assert_eq!(file.variables(&schema, &config), ["POSTGRES_URL", "DIRECT_URL", "SHADOW"]);
        std::fs::remove_file(&config).unwrap();
        std::fs::write(&schema, block).unwrap();
        assert_eq!(file.variables(&schema, &config), ["STAGING_DB", "STAGING_DIRECT", "SHADOW_DATABASE_URL"]);
        file.direct_url_env = Some("OTHER".to_owned());
        assert_eq!(file.variables(&schema, &config), ["STAGING_DB", "OTHER", "STAGING_DIRECT"]);
    }

    #[test]
    fn without_a_file_nothing_is_allowed_and_nothing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = File::read(root.path()).unwrap();
        let target = FileTarget::default();
        assert_eq!([target.allow_hosts, target.allow_projects, target.app_variables].concat(), [""; 0]);
        let (prisma, supabase) = (file.prisma(root.path()), file.supabase(root.path()));
        let programs = [prisma.smoke, prisma.seed, supabase.mirror_sql, supabase.feed_sql];
        assert!(programs.iter().all(Option::is_none) && file.parity().unwrap().pairs.is_empty());
    }

    #[test]
    fn a_target_of_the_local_stack_is_where_its_config_says_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            global: Global,
        }
        let flags = <Flags as clap::Parser>::parse_from(["xtask"]).global;
        let target = |text: &str| File::of(text).unwrap().target("local", root.path(), &flags);
        let kind = "[targets.local]\nkind = \"supabase-start\"\n";
        let usual = target(kind).unwrap();
        assert_eq!((usual.local_stack, usual.env_file), (Some(54322), None));
        assert_eq!(usual.allow_hosts, ["127.0.0.1:54322", "localhost:54322"]);
        assert_eq!(usual.allow_databases, ["postgres"]);
        std::fs::create_dir(root.path().join("supabase")).unwrap();
        for (config, port) in [("[db]\nport = 55000\n", 55000), ("[db]\nport = \"x\"\n", 54322), ("not toml", 54322)] {
            std::fs::write(root.path().join("supabase/config.toml"), config).unwrap();
            assert_eq!(target(kind).unwrap().local_stack, Some(port), "{config}");
        }
        for list in ["allow_hosts = [\"db.x.dev\"]", "allow_projects = [\"a\"]", "allow_databases = [\"prod\"]"] {
            let refused = target(&format!("{kind}{list}\n")).unwrap_err();
            assert!(refused.message.contains("has no meaning"), "{}", refused.message);
        }
        assert!(File::of("[targets.local]\nkind = \"supabase\"\n").is_err());
    }

    #[test]
    fn a_project_says_once_that_it_has_no_supabase_and_keeps_what_it_names() {
        let named = "mirror_sql = \"mirror.sql\"\nfeed_sql = \"feed.sql\"\n[[parity.pairs]]\nname = \"a\"\nprisma = { table = \"A\" }\n\
                     mirror = { table = \"b\" }\n";
        for (said, enabled) in [("", true), ("enabled = true\n", true), ("enabled = false\n", false)] {
            let file = File::of(&format!("[supabase]\n{said}{named}")).unwrap();
            let supabase = file.supabase(Path::new("/p"));
            let found = [supabase.mirror_sql.is_some(), supabase.feed_sql.is_some(), supabase.enabled];
            assert_eq!((found, file.parity().unwrap().pairs.len()), ([enabled; 3], usize::from(enabled)), "{said}");
        }
        let wrong = "[supabase]\nenabled = false\n[[parity.pairs]]\nname = \"\"\n";
        assert!(File::of(wrong).is_err(), "what is named is read all the same");
    }
}
