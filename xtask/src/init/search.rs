//! Which of a repo's schemas is the one for Postgres.

use std::fs;
use std::path::{Path, PathBuf};

use pin::file;

use crate::error::{Failure, Result};
use crate::guard::prisma_schema::{self, Datasource, PrismaSchema};
use crate::settings::{Settings, prisma_places, schema_files};

/// Deeper than this no package of a monorepo keeps its schema.
const DEEPEST: usize = 6;
/// What is installed, built or generated.
const PASSED_OVER: [&str; 8] = ["node_modules", "target", "dist", "build", "out", "generated", "coverage", "vendor"];

pub struct Found {
    pub schema: PathBuf,
    pub config: PathBuf,
    pub datasource: Datasource,
}

/// The schema that settings find, if it is for Postgres; else the only one in the repo that is.
///
/// # Errors
/// `blocked` where there is none, or more than one, one that cannot be read, or one that a drill.toml which is there does not name.
pub fn schema(settings: &Settings) -> Result<Found> {
    let (schema, config) = (settings.prisma.schema.clone(), settings.prisma.config.clone());
    if schema.exists() {
        let datasource = datasource(settings, &schema)?;
        if datasource.as_ref().is_some_and(is_postgres) {
            return Ok(Found { schema, config, datasource: datasource.unwrap_or_default() });
        }
    }
    let mut files = Vec::new();
    walk(&settings.root, DEEPEST, &mut files);
    let all: Vec<(PathBuf, Datasource)> = files.into_iter().filter_map(with_datasource).collect();
    let mut ours = all.iter().filter(|(_, datasource)| is_postgres(datasource));
    match (ours.next(), ours.next()) {
        (Some((file, _)), None) => found(settings, file),
        (Some(_), Some(_)) => Err(several(settings, &all)),
        (None, _) => Err(none(settings, &all)),
    }
}

fn found(settings: &Settings, file: &Path) -> Result<Found> {
    let schema = whole(file, &settings.root);
    let config = config(&schema, &settings.root);
    // It stays as it is, so what every later command reads must be right already.
    if settings.root.join("drill.toml").exists() {
        return Err(unnamed(settings, &schema, &config));
    }
    let datasource = datasource(settings, &schema)?.unwrap_or_default();
    Ok(Found { schema, config, datasource })
}

fn unnamed(settings: &Settings, schema: &Path, config: &Path) -> Failure {
    let named = [("schema", schema), ("config", config)].into_iter().filter(|(_, path)| path.exists());
    let lines: Vec<String> = named.map(|(key, path)| format!("`{key} = {:?}`", settings.shown(path))).collect();
    Failure::blocked(format!("drill.toml does not name the schema for Postgres, `{}`", settings.shown(schema)))
        .hint(format!("write below `[prisma]` in drill.toml: {}", lines.join(" and ")))
}

fn is_postgres(datasource: &Datasource) -> bool {
    matches!(datasource.provider.as_deref(), Some("postgresql" | "postgres"))
}

fn several(settings: &Settings, all: &[(PathBuf, Datasource)]) -> Failure {
    let ours = all.iter().filter(|(_, datasource)| is_postgres(datasource));
    let names: Vec<String> = ours.map(|(file, _)| settings.shown(&whole(file, &settings.root))).collect();
    Failure::blocked(format!("there are {} schemas for Postgres: `{}`", names.len(), names.join("`, `")))
        .hint(format!("name one in drill.toml: `[prisma]` and below it `schema = \"{}\"`", names[0]))
}

fn none(settings: &Settings, all: &[(PathBuf, Datasource)]) -> Failure {
    let Some((file, datasource)) = all.first() else {
        return Failure::blocked("there is no Prisma schema here").hint("name the folder of the project with `--root`");
    };
    let provider = datasource.provider.as_deref().unwrap_or("nothing");
    Failure::blocked(format!("`{}` is for `{provider}`, and the drill is for Postgres", settings.shown(file)))
        .hint("where another schema is for Postgres, name it in drill.toml: `[prisma]` and below it `schema = \"…\"`")
}

fn datasource(settings: &Settings, schema: &Path) -> Result<Option<Datasource>> {
    let unread = |why: String| Failure::blocked(format!("cannot read `{}`: {why}", settings.shown(schema)));
    let files = schema_files::read(schema).map_err(|error| unread(error.to_string()))?;
    let named: Vec<(String, &[u8])> =
        files.iter().map(|(path, text)| (settings.shown(path), text.as_slice())).collect();
    let read = prisma_schema::read(named.iter().map(|(name, text)| (name.as_str(), *text)));
    let read = read.map_err(|refusal| Failure::blocked(refusal.message).hint(refusal.hint))?;
    Ok(read.datasource)
}

fn with_datasource(file: PathBuf) -> Option<(PathBuf, Datasource)> {
    let datasource = alone(&file)?.datasource?;
    Some((file, datasource))
}

fn alone(path: &Path) -> Option<PrismaSchema> {
    let text = file::read(path, file::LONGEST).ok()?;
    prisma_schema::read([(path.to_str()?, text.as_slice())]).ok()
}

/// The folder around a file whose models are in others; else the file.
fn whole(file: &Path, root: &Path) -> PathBuf {
    let is_part = |(path, _): &schema_files::SchemaFile| {
        path != file && alone(path).is_some_and(|part| part.datasource.is_none() && part.models > 0)
    };
    let folders = file.ancestors().skip(1).take_while(|folder| folder.starts_with(root) && *folder != root);
    let mut with_parts =
        folders.filter(|folder| schema_files::read(folder).is_ok_and(|files| files.iter().any(is_part)));
    with_parts.next().unwrap_or(file).to_path_buf()
}

/// The nearest config above the schema that does not name another one.
fn config(schema: &Path, root: &Path) -> PathBuf {
    let folders = schema.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    let mut configs = folders.map(prisma_places::config);
    let is_of_it =
        |config: &PathBuf| config.is_file() && prisma_places::schema_of(config).is_none_or(|named| named == schema);
    configs.find(is_of_it).unwrap_or_else(|| prisma_places::config(root))
}

/// In the order of names, so that two looks are alike.
fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let is_passed_over = |name: &str| name.starts_with('.') || PASSED_OVER.contains(&name);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 && !name.to_str().is_none_or(is_passed_over) => {
                walk(&path, depth - 1, found)
            }
            Ok(kind) if kind.is_file() && schema_files::is_schema(&path) => found.push(path),
            _ => {}
        }
    }
}
