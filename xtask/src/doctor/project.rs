//! The project's own files: Prisma's config, the schema, the migrations, and the client that was generated last.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use crate::causes::{engine, packages};
use crate::doctor::Patient;
use crate::doctor::check::Check;
use crate::guard::prisma_schema;
use crate::process;
use crate::schema::history::History;
use crate::session::{environment, prisma_config};
use crate::settings::{Settings, schema_files};
use crate::temporary::Temporary;
use crate::tools::schema_reading;

const SCHEMA: &str = "schema";

pub fn look(patient: &Patient) -> Vec<Check> {
    let settings = &patient.settings;
    if patient.unusable.is_some() {
        return vec![Check::skipped(SCHEMA, "drill.toml says where it is, and cannot be used")];
    }
    let history = History::of(settings);
    vec![schema(patient, history.as_ref().ok()), migrations(settings, &history), client(settings)]
}

fn schema(patient: &Patient, history: Option<&History>) -> Check {
    let settings = &patient.settings;
    let path = &settings.prisma.schema;
    let shown = settings.shown(path);
    let Ok(files) = schema_files::read(path) else {
        return Check::fail(
            SCHEMA,
            format!("`{shown}` is not there, or cannot be read"),
            engine::SCHEMA_MISSING.hint(&[]),
        );
    };
    let named: Vec<_> = files.iter().map(|(path, text)| (settings.shown(path), text)).collect();
    let read = match prisma_schema::read(named.iter().map(|(name, text)| (name.as_str(), text.as_slice()))) {
        Ok(read) => read,
        Err(refusal) => return Check::of_refusal(SCHEMA, &refusal),
    };
    match read.datasource.and_then(|datasource| datasource.provider).as_deref() {
        Some("postgresql" | "postgres") => {}
        other => {
            let seen = format!("the datasource of `{shown}` says `{}`", other.unwrap_or("nothing"));
            return Check::fail(SCHEMA, seen, engine::SCHEMA_OF_ANOTHER_KIND.hint(&[]));
        }
    }
    if read.models == 0 && history.is_some_and(|history| !history.migrations.is_empty()) {
        return Check::fail(SCHEMA, format!("`{shown}` has no model"), engine::SCHEMA_WITHOUT_MODELS.hint(&[]));
    }
    by_engine(patient, &shown)
}

/// Prisma's own loader over Prisma's config.
pub fn config(patient: &Patient) -> Vec<Check> {
    const NAME: &str = "config";
    let settings = &patient.settings;
    let path = &settings.prisma.config;
    let shown = settings.shown(path);
    if patient.unusable.is_some() || !path.is_file() {
        return vec![Check::skipped(NAME, format!("there is no `{shown}`"))];
    }
    let Some(toolbox) = patient.toolbox() else {
        return vec![Check::skipped(NAME, "needs Prisma and its engine")];
    };
    let Ok(home) = Temporary::new() else { return vec![Check::skipped(NAME, "needs temporary files")] };
    let mut environment = environment::child(settings, home.path());
    if let Some(candidate) = &patient.candidate {
        let variables = candidate.variables().iter();
        environment.extend(variables.map(|(name, value)| (name.clone(), value.expose().to_owned())));
    }
    let loaded = prisma_config::load(settings, toolbox, environment, &patient.interrupt);
    vec![match loaded.and_then(|config| config.of_this_history(settings)) {
        Ok(_) => Check::ok(NAME, format!("`{shown}` loads, and names the history that drill.toml names")),
        Err(failure) => Check::of_failure(NAME, &failure, Some(&engine::CONFIG_FAILS)),
    }]
}

/// As Prisma's own engine reads it. A schema that has passed before is not asked about again.
fn by_engine(patient: &Patient, shown: &str) -> Check {
    let settings = &patient.settings;
    let Some(toolbox) = patient.toolbox() else {
        return Check::skipped(SCHEMA, format!("`{shown}` is for Postgres; more needs Prisma's engine"));
    };
    if schema_reading::has_passed(settings, toolbox) {
        return Check::ok(SCHEMA, format!("`{shown}` is for Postgres, and Prisma's engine has read it"));
    }
    if Temporary::new().is_err() {
        return Check::skipped(SCHEMA, format!("`{shown}` is for Postgres; more needs temporary files"));
    }
    let said = schema_reading::question_of(settings, toolbox)
        .and_then(|(question, _folder)| process::capture(&question, settings.timeouts.generate, &patient.interrupt));
    match said.and_then(|(_, said)| schema_reading::judge(&said)) {
        Ok(()) => Check::ok(SCHEMA, format!("`{shown}` is for Postgres, and Prisma's engine reads it")),
        Err(failure) => Check::of_failure(SCHEMA, &failure, Some(&engine::SCHEMA_ERROR)),
    }
}

fn migrations(settings: &Settings, history: &crate::error::Result<History>) -> Check {
    const NAME: &str = "migrations";
    let shown = settings.shown(&settings.prisma.migrations);
    match history {
        Err(failure) => Check::of_failure(NAME, failure, Some(&engine::NO_SCRIPT)),
        Ok(history) => match history.provider.as_deref() {
            _ if history.migrations.is_empty() => {
                Check::fail(NAME, format!("`{shown}` has none"), engine::NO_MIGRATIONS.hint(&[]))
            }
            None | Some("postgresql") => Check::ok(NAME, format!("{} in `{shown}`", history.migrations.len())),
            Some(other) => {
                let seen = format!("`{shown}` is a history for `{other}`, as its migration_lock.toml says");
                Check::fail(NAME, seen, engine::HISTORY_OF_ANOTHER_KIND.hint(&[]))
            }
        },
    }
}

/// What `generate` writes has to be this user's to write.
fn client(settings: &Settings) -> Check {
    const NAME: &str = "client";
    let user = geteuid();
    let places = outputs(settings);
    let foreign = places.iter().flat_map(|folder| entries(folder)).find(|path| access(path, Access::WRITE_OK).is_err());
    match foreign {
        Some(path) => {
            let folder = places.iter().find(|folder| path.starts_with(folder)).unwrap_or(&path);
            let shown = settings.shown(folder);
            let hint = packages::CLIENT_NOT_WRITABLE.hint(&[("user", &user.as_raw().to_string()), ("folder", &shown)]);
            Check::fail(NAME, format!("`{}` cannot be written, so `generate` would fail", settings.shown(&path)), hint)
        }
        None if places.is_empty() => Check::skipped(NAME, "none was generated yet"),
        None => Check::ok(NAME, "what was generated can be generated anew"),
    }
}

/// The folders that the generators name, and where Prisma's default is; those that are there.
fn outputs(settings: &Settings) -> Vec<PathBuf> {
    let schema = &settings.prisma.schema;
    let base = if schema.is_dir() { schema.as_path() } else { schema.parent().unwrap_or(schema) };
    let files = schema_files::read(schema).unwrap_or_default();
    let text: String = files.iter().map(|(_, text)| String::from_utf8_lossy(text) + "\n").collect();
    let named = text.lines().filter_map(|line| {
        let value = line.trim().strip_prefix("output")?.trim_start().strip_prefix('=')?.trim();
        Some(base.join(value.trim_matches('"')))
    });
    let default = settings.root.join("node_modules/.prisma/client");
    named.chain([default]).filter(|folder| folder.is_dir()).collect()
}

/// The folder, and what lies in it directly.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    std::iter::once(folder.to_owned()).chain(inside.take(1000)).collect()
}
