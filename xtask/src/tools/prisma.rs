//! Prisma's CLI: its arguments, and what it says is pending.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{Failure, OrFail, Result};
use crate::process::Invocation;
use crate::process::release;
use crate::session::Session;
use crate::session::environment;
use crate::session::groundwork::Groundwork;
use crate::session::prisma_config::{self, NOWHERE};
use crate::tools::reentry::EngineReentry;
use pin::{Expected, Lease};
use redact::Secret;

const QUERY_ENGINE: &str = "PRISMA_QUERY_ENGINE_LIBRARY";
const MIRRORS: [&str; 2] = ["PRISMA_ENGINES_MIRROR", "PRISMA_BINARIES_MIRROR"];

/// What Prisma's flags differ by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    /// And 5: the schema's datasource says where the database is.
    Six,
    /// The config says it.
    Seven,
}

impl Release {
    fn of(version: &str) -> Release {
        if matches!(release::major(version), Some(5 | 6)) { Release::Six } else { Release::Seven }
    }
}

fn lacks_query_engine(session: &Session<'_>) -> bool {
    Release::of(&session.toolbox.prisma.version) == Release::Six && !session.toolbox.has_query_engine()
}

/// What the client that `generate` makes lacks, where the project has it from a download that did not happen.
pub fn of_the_client(session: &Session<'_>) -> Option<String> {
    let named = [QUERY_ENGINE].iter().chain(&MIRRORS).any(|name| session.settings.variable(name).is_some());
    (!named && lacks_query_engine(session)).then(|| {
        let release = &session.toolbox.prisma.version;
        format!("the query engine of Prisma {release} is not installed here: a client whose generator does not say `engineType = \"client\"` is made without it")
    })
}

fn generate_words(version: &str) -> &'static [&'static str] {
    if release::has_no_hints(version) { &["generate", "--no-hints"] } else { &["generate"] }
}

fn reset_words(release: Release) -> &'static [&'static str] {
    match release {
        Release::Six => &["migrate", "reset", "--force", "--skip-seed", "--skip-generate"],
        Release::Seven => &["migrate", "reset", "--force"],
    }
}

/// What makes the database one side of a `migrate diff`. Prisma 7 takes the shadow database from the config.
fn diff_words(release: Release, schema: &str, shadow: &Secret) -> Vec<String> {
    let words: &[&str] = match release {
        Release::Six => &["--from-schema-datasource", schema, "--shadow-database-url", shadow.expose()],
        Release::Seven => &["--from-config-datasource"],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Prisma as this run calls it: without npx, in the project's folder, reaching the database only through the pin.
pub struct Prisma<'a> {
    session: &'a Session<'a>,
    lease: &'a Lease,
}

impl<'a> Prisma<'a> {
    pub fn new(session: &'a Session<'a>, lease: &'a Lease) -> Self {
        Prisma { session, lease }
    }

    fn invocation(&self, script: &Path) -> Invocation {
        Invocation::new(&self.session.toolbox.node, &self.session.settings.root)
            .args(&self.session.toolbox.prisma.node_arguments)
            .arg(self.shown(script))
            .envs(self.session.child_environment())
    }

    fn cli(&self, words: &[&str]) -> Result<Invocation> {
        let settings = &self.session.settings.prisma;
        let door = EngineReentry::new(&self.session.toolbox, self.lease.expected(None));
        let invocation = self.invocation(&self.session.toolbox.prisma.script).args(words);
        let invocation = invocation.envs(self.without_query_engine()).envs(door.environment()?);
        let invocation = invocation.envs(prisma_config::asked_for(self.session));
        Ok(invocation.args(self.config_without_shadow(words)?).arg("--schema").arg(self.shown(&settings.schema)))
    }

    /// The project's config; for a command that works on the database one that names no shadow database, where theirs does: the engine
    /// would be told of it, and the interposer refuses one that is not the drill's own.
    fn config_without_shadow(&self, words: &[&str]) -> Result<Vec<String>> {
        let named = words.first() == Some(&"migrate") && prisma_config::gives_shadow(self.session);
        if !named || self.release() == Release::Six {
            return Ok(self.config().collect());
        }
        let settings = &self.session.settings.prisma;
        let [config, schema, migrations] =
            [&settings.config, &settings.schema, &settings.migrations].map(|path| serde_json::json!(path));
        let text = format!(
            "import theirs from {config};\nexport default {{ ...theirs, schema: {schema}, \
             migrations: {{ ...theirs.migrations, path: {migrations} }}, \
             datasource: {{ ...theirs.datasource, shadowDatabaseUrl: undefined }} }};\n"
        );
        let ours = self.session.temporary("prisma.config.ts", &text)?;
        Ok(vec!["--config".to_owned(), ours.display().to_string()])
    }

    /// Relative to the project where that is enough: evidence is committed, and this machine's folders do not belong in it.
    fn shown(&self, path: &Path) -> String {
        self.session.settings.shown(path)
    }

    /// Needs no database, so it gets URLs that lead to none: a config that asks for them with `env()`, and any of Prisma 7.0, would
    /// end it without. Of itself it would install packages that it does not find.
    pub fn generate(&self) -> Result<Invocation> {
        let settings = &self.session.settings.prisma;
        let names = [&settings.url_env, &settings.direct_url_env];
        let mut invocation = self
            .cli(generate_words(&self.session.toolbox.prisma.version))?
            .env("PRISMA_GENERATE_SKIP_AUTOINSTALL", "1");
        // Who names a mirror has the query engine from there.
        let may_download = MIRRORS.iter().any(|mirror| self.session.settings.variable(mirror).is_some());
        if may_download && self.session.settings.variable(QUERY_ENGINE).is_none() {
            invocation.env.remove(OsStr::new(QUERY_ENGINE));
        }
        let invocation = invocation.envs(environment::of_downloads(self.session.settings));
        Ok(invocation.envs(names.map(|name| (name, NOWHERE))))
    }

    /// As `generate`, of another schema, with a config of its own and these of its generators.
    pub fn generate_of(&self, schema: &Path, config: &Path, generators: &[&str]) -> Result<Invocation> {
        let settings = &self.session.settings.prisma;
        let door = EngineReentry::new(&self.session.toolbox, self.lease.expected(None));
        let invocation =
            self.invocation(&self.session.toolbox.prisma.script).args(["generate", "--no-hints", "--config"]);
        let invocation = invocation.arg(self.shown(config)).arg("--schema").arg(self.shown(schema));
        let invocation = generators.iter().fold(invocation, |all, name| all.arg("--generator").arg(name));
        let invocation = invocation.envs(door.environment()?).env("PRISMA_GENERATE_SKIP_AUTOINSTALL", "1");
        Ok(invocation.envs([&settings.url_env, &settings.direct_url_env].map(|name| (name, NOWHERE))))
    }

    /// A program of ours that opens the database with clients, each by its name and its folder.
    pub fn probe(&self, program: &Path, clients: &[(&str, &Path)]) -> Invocation {
        let invocation = self.invocation(program).arg(&self.session.settings.prisma.url_env);
        let all = clients.iter().fold(invocation, |all, (name, folder)| all.arg(name).arg(self.shown(folder)));
        self.with_url(all)
    }

    pub fn deploy(&self) -> Result<Invocation> {
        Ok(self.with_url(self.cli(&["migrate", "deploy"])?))
    }

    /// Exits with 1 when anything is pending, and when it cannot connect: what it prints is the answer.
    pub fn status(&self) -> Result<Invocation> {
        Ok(self.with_url(self.cli(&["migrate", "status"])?))
    }

    /// Settles a migration that failed: `word` is `--applied` or `--rolled-back`.
    pub fn resolve(&self, word: &str, migration: &str) -> Result<Invocation> {
        Ok(self.with_url(self.cli(&["migrate", "resolve", word, migration])?))
    }

    /// Writes the script that leads from the schema of the database `now` to that of the history in `to` into the file `output`.
    /// Prisma replays that in the database `shadow`, which it empties first. One side being a database, it looks at all schemas of
    /// the datasource and not at the URL's alone (measured on 7.10).
    pub fn diff(&self, now: &str, to: &Path, output: &Path, shadow: &str) -> Result<Invocation> {
        let settings = &self.session.settings.prisma;
        let expected = Expected { database: now.to_owned(), ..self.lease.expected(Some(shadow)) };
        let door = EngineReentry::new(&self.session.toolbox, expected);
        let (url, shadow_url) = (self.lease.url_of(now), self.lease.url_of(shadow));
        let invocation = self
            .invocation(&self.session.toolbox.prisma.script)
            .args(["migrate", "diff", "--script"])
            .args(diff_words(self.release(), &self.shown(&settings.schema), &shadow_url))
            .arg("--to-migrations")
            .arg(to)
            .args(self.diff_writes_its_file().then_some([Path::new("--output"), output]).into_iter().flatten())
            .args(self.config_of_a_diff(output)?)
            .envs(self.without_query_engine())
            .envs(door.environment()?)
            .envs(prisma_config::asked_for(self.session))
            .env(&settings.shadow_url_env, shadow_url.expose());
        Ok(self.with(invocation, &url))
    }

    /// Else the script is what a diff prints: Prisma 5.0 to 5.4.
    pub fn diff_writes_its_file(&self) -> bool {
        release::has_diff_output(&self.session.toolbox.prisma.version)
    }

    /// Prisma 6 needs none where nothing has to be there before the history.
    fn config_of_a_diff(&self, beside: &Path) -> Result<Vec<PathBuf>> {
        let nothing_first = self.session.groundwork.get().is_none_or(|groundwork| groundwork.script().is_empty());
        if self.release() == Release::Six && nothing_first {
            return Ok(self.config().map(PathBuf::from).collect());
        }
        Ok(vec!["--config".into(), self.config_for_a_diff(beside)?])
    }

    fn release(&self) -> Release {
        Release::of(&self.session.toolbox.prisma.version)
    }

    /// Prisma 6 asks for its query engine before any command, and needs it for none of ours. Where that was not installed, an
    /// empty file keeps the CLI from trying the download again; `generate` then makes a client without it.
    fn without_query_engine(&self) -> Option<(&'static str, String)> {
        if !lacks_query_engine(self.session) {
            return None;
        }
        let named = self.session.settings.variable(QUERY_ENGINE).unwrap_or("/dev/null");
        Some((QUERY_ENGINE, named.to_owned()))
    }

    /// The project's config with the schema that it need not name, since the command takes no `--schema`; with both URLs, of which it may
    /// name none but its own; and with all that has to be there before the history: Prisma empties the shadow database, and runs this.
    fn config_for_a_diff(&self, beside: &Path) -> Result<PathBuf> {
        let settings = &self.session.settings.prisma;
        let [config, schema] = [&settings.config, &settings.schema].map(|path| serde_json::json!(path));
        let init = self.session.groundwork.get().map(Groundwork::script).unwrap_or_default();
        let first = match init.is_empty() {
            true => "migrations: { ...theirs.migrations, initShadowDb: undefined }".to_owned(),
            false => format!(
                "experimental: {{ ...theirs.experimental, externalTables: true }}, \
                 migrations: {{ ...theirs.migrations, initShadowDb: {} }}",
                serde_json::json!(init)
            ),
        };
        let theirs = match settings.config.is_file() {
            true => format!("import theirs from {config};"),
            false => "const theirs = {};".to_owned(),
        };
        let urls = match self.release() {
            Release::Six => String::new(),
            Release::Seven => format!(
                "datasource: {{ ...theirs.datasource, url: process.env[{}], shadowDatabaseUrl: process.env[{}] }}, ",
                serde_json::json!(settings.url_env),
                serde_json::json!(settings.shadow_url_env)
            ),
        };
        let text = format!("{theirs}\nexport default {{ ...theirs, schema: {schema}, {urls}{first} }};\n");
        let file = beside.with_file_name("prisma.config.ts");
        std::fs::write(&file, text).blocked(|| "cannot write temporary files")?;
        Ok(file)
    }

    fn config(&self) -> impl Iterator<Item = String> + use<> {
        let config = &self.session.settings.prisma.config;
        config.is_file().then(|| ["--config".to_owned(), self.shown(config)]).into_iter().flatten()
    }

    /// Drops the schema and applies every migration. Prisma asks nothing with `--force`, but for its agent gate. Prisma 7 neither seeds nor
    /// generates here, and no longer knows the flags that say so.
    pub fn reset(&self) -> Result<Invocation> {
        Ok(self.with_url(self.cli(reset_words(self.release()))?))
    }

    /// The project's own program: it knows where its client is.
    ///
    /// # Errors
    /// `blocked` where drill.toml names none.
    pub fn smoke(&self) -> Result<Invocation> {
        let named = self.session.settings.prisma.smoke.as_deref();
        let program = named.ok_or_else(|| {
            Failure::blocked("drill.toml names no program that opens the database with the generated client")
                .hint("name one as `smoke` under `[prisma]` in drill.toml")
        })?;
        Ok(self.with_url(self.invocation(program)))
    }

    fn with_url(&self, invocation: Invocation) -> Invocation {
        self.with(invocation, &self.lease.url())
    }

    fn with(&self, invocation: Invocation, url: &Secret) -> Invocation {
        let settings = &self.session.settings.prisma;
        invocation.env(&settings.url_env, url.expose()).env(&settings.direct_url_env, url.expose())
    }
}

/// The migrations that `migrate status` lists as not yet applied, in its order.
pub fn pending_of(status: &str) -> Vec<String> {
    let lines = status.lines().map(str::trim).skip_while(|line| !line.ends_with("have not yet been applied:"));
    lines.skip(1).take_while(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_major_is_told_in_its_own_words() {
        let shadow = Secret::new("postgresql://u@h/shadow");
        let [six, seven] = ["6.19.3", "7.0.0"].map(Release::of);
        assert_eq!(
            diff_words(six, "prisma/schema.prisma", &shadow).join(" "),
            "--from-schema-datasource prisma/schema.prisma --shadow-database-url postgresql://u@h/shadow"
        );
        assert_eq!(diff_words(seven, "prisma/schema.prisma", &shadow), ["--from-config-datasource"]);
        assert_eq!(reset_words(six).join(" "), "migrate reset --force --skip-seed --skip-generate");
        assert_eq!(reset_words(seven).join(" "), "migrate reset --force");
    }

    #[test]
    fn what_prisma_calls_pending_is_read_from_its_list() {
        let said = "3 migrations found in prisma/migrations\nFollowing migrations have not yet been applied:\n1_a\n2_b\n\n\
                    To apply migrations in development run prisma migrate dev.\n";
        assert_eq!(pending_of(said), ["1_a", "2_b"]);
        assert_eq!(pending_of("Following migration have not yet been applied:\n1_a\n\nTo apply"), ["1_a"]);
        assert_eq!(pending_of("Database schema is up to date!\n"), [""; 0]);
    }
}
