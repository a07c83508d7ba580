//! Where a project keeps what Prisma reads, found as Prisma finds it: by its config, by `package.json`, by the usual names.
//!
//! A config is a program, and settings start none: of one, what is written out is read. What that misses, drill.toml names.

use std::path::{Component, Path, PathBuf};

use pin::file;

use super::schema_files;

/// In the order in which Prisma's loader tries them (measured on `@prisma/config` 7.10).
const EXTENSIONS: [&str; 6] = ["js", "ts", "mjs", "cjs", "mts", "cts"];
const CONFIGS: [&str; 5] =
    ["prisma7.config", ".config/prisma7", "prisma.config", ".config/prisma", ".config/prisma.config"];

/// The name that messages use where there is none.
const USUAL_CONFIG: &str = "prisma.config.ts";
const USUAL_SCHEMA: &str = "prisma/schema.prisma";

/// The config of a project, as paths below `root`; the usual name where there is none.
pub fn config(root: &Path) -> PathBuf {
    let names = CONFIGS.iter().flat_map(|name| EXTENSIONS.map(|extension| format!("{name}.{extension}")));
    let mut found = names.map(|name| root.join(name)).filter(|path| path.is_file());
    found.next().unwrap_or_else(|| root.join(USUAL_CONFIG))
}

/// What `config` names, else `package.json`, else the usual file or folder.
pub fn schema(root: &Path, config: &Path) -> PathBuf {
    let in_package = || package(root).map(|path| root.join(path));
    let usual = || {
        ["schema.prisma", USUAL_SCHEMA, "prisma/schema"]
            .map(|path| root.join(path))
            .into_iter()
            .find(|path| path.exists())
    };
    schema_of(config).or_else(in_package).or_else(usual).unwrap_or_else(|| root.join(USUAL_SCHEMA))
}

/// What `config` itself names.
pub fn schema_of(config: &Path) -> Option<PathBuf> {
    property(&text(config), "schema").map(|path| beside(config, &path))
}

/// What `config` names, else the folder beside the file with the datasource.
pub fn migrations(config: &Path, schema: &Path) -> PathBuf {
    let text = text(config);
    let block = text.split_once("migrations").map_or("", |(_, block)| block);
    let block = block.split_once('{').filter(|(between, _)| between.trim() == ":").map_or("", |(_, block)| block);
    let named = property(block.split('}').next().unwrap_or_default(), "path");
    named.map_or_else(|| with_datasource(schema).with_file_name("migrations"), |path| beside(config, &path))
}

/// The file that has the datasource.
fn with_datasource(schema: &Path) -> PathBuf {
    if !schema.is_dir() {
        return schema.to_path_buf();
    }
    let has_one =
        |text: &[u8]| String::from_utf8_lossy(text).lines().any(|line| line.trim_start().starts_with("datasource "));
    let files = schema_files::read(schema).unwrap_or_default();
    let found = files.into_iter().find(|(_, text)| has_one(text));
    found.map_or_else(|| schema.join("schema.prisma"), |(path, _)| path)
}

/// The variable that `config` takes a URL of its datasource from.
pub fn variable(config: &Path, property: &str) -> Option<String> {
    let text = text(config);
    let value = value_of(text.split_once("datasource")?.1, property)?;
    let from = ["env(", "process.env.", "process.env["].iter().find_map(|start| value.strip_prefix(start))?;
    let name: String = from
        .trim_start()
        .trim_start_matches(['"', '\'', '`'])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

fn package(root: &Path) -> Option<String> {
    let text = file::read_text(&root.join("package.json"), file::LONGEST).ok()?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    package.get("prisma")?.get("schema")?.as_str().map(str::to_owned)
}

fn beside(config: &Path, path: &str) -> PathBuf {
    let folder = config.parent().unwrap_or(Path::new(""));
    // So that what is shown is what a person would type.
    folder.join(path).components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir if path.file_name().is_some() => drop(path.pop()),
            Component::CurDir => {}
            part => path.push(part),
        }
        path
    })
}

fn text(path: &Path) -> String {
    let text = file::read_text(path, file::LONGEST).unwrap_or_default();
    let code = |line: &str| format!(" {line}").split(" //").next().unwrap_or_default().to_owned();
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

/// The path written out behind `name:`, as one text or as the parts of a `path.join` or `path.resolve`.
fn property(text: &str, name: &str) -> Option<String> {
    value_of(text, name).and_then(written_out)
}

/// What follows `name:`.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.match_indices(name).find_map(|(at, _)| {
        let starts = !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_$.".contains(c));
        let value =
            text[at + name.len()..].trim_start_matches(['"', '\'']).trim_start().strip_prefix(':')?.trim_start();
        starts.then_some(value)
    })
}

fn written_out(value: &str) -> Option<String> {
    let joined = ["path.join(", "path.resolve(", "join(", "resolve("].iter().find_map(|call| value.strip_prefix(call));
    let Some(arguments) = joined else { return quoted(value).map(|(path, _)| path) };
    let arguments = arguments.split_once(')')?.0.split(',').map(str::trim).filter(|part| !part.is_empty());
    let here = |part: &&str| !["__dirname", "import.meta.dirname"].contains(part);
    let parts: Option<Vec<String>> = arguments.filter(here).map(|part| quoted(part).map(|(path, _)| path)).collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/"))
}

/// A text without anything put in, and what follows it.
fn quoted(value: &str) -> Option<(String, &str)> {
    let quote = value.chars().next().filter(|c| "\"'`".contains(*c))?;
    let (path, rest) = value[1..].split_once(quote)?;
    (!path.contains(['$', '\\', '\n'])).then(|| (path.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_config_writes_out_is_read() {
        for (text, path) in [
            ("export default defineConfig({\n  schema: \"prisma/schema\",\n})", Some("prisma/schema")),
            ("module.exports = { 'schema': 'db', x: 1 }", Some("db")),
            ("export default { datasource: {}, schema : `new`, // x", Some("new")),
            ("  schema: path.join('prisma', \"schema\"),", Some("prisma/schema")),
            ("  schema: resolve(__dirname, 'db', 'schema.prisma')", Some("db/schema.prisma")),
            ("  schema: path.join(process.cwd(), 'db')", None),
            ("  schema: path.join('prisma', name)", None),
            ("  schema: `${folder}/schema`", None),
            ("  schema: where(),\n", None),
            ("  schemas: ['a'], mySchema: 'b', x.schema: 'c'", None),
        ] {
            assert_eq!(property(text, "schema").as_deref(), path, "{text}");
        }
    }

    type Files<'a> = &'a [(&'a str, &'a str)];

    /// A project of these files, and where its config, its schema and its history are.
    fn places(files: Files<'_>) -> [String; 3] {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(root.path().join(name), text).unwrap();
        }
        let config = config(root.path());
        let schema = schema(root.path(), &config);
        let migrations = migrations(&config, &schema);
        [config, schema, migrations].map(|path| path.strip_prefix(root.path()).unwrap().display().to_string())
    }

    #[test]
    fn a_project_is_read_as_prisma_reads_it() {
        let package = r#"{ "prisma": { "schema": "db/schema.prisma" } }"#;
        let config = "export default { // schema: 'no'\n// schema: 'old'\n schema: './db', migrations: { seed: 'x', path: 'db/history' } }";
        let table: [(Files<'_>, [&str; 3]); 9] = [
            (&[], ["prisma.config.ts", "prisma/schema.prisma", "prisma/migrations"]),
            (&[("schema.prisma", "")], ["prisma.config.ts", "schema.prisma", "migrations"]),
            (
                &[("schema.prisma", ""), ("prisma/schema.prisma", "")],
                ["prisma.config.ts", "schema.prisma", "migrations"],
            ),
            (&[("prisma/schema/a.prisma", "")], ["prisma.config.ts", "prisma/schema", "prisma/schema/migrations"]),
            (
                &[("prisma/schema/a.prisma", "// datasource x"), ("prisma/schema/b/c.prisma", "\ndatasource db {")],
                ["prisma.config.ts", "prisma/schema", "prisma/schema/b/migrations"],
            ),
            (
                &[("package.json", package), ("prisma/schema.prisma", "")],
                ["prisma.config.ts", "db/schema.prisma", "db/migrations"],
            ),
            (&[("package.json", package), ("prisma.config.mjs", config)], ["prisma.config.mjs", "db", "db/history"]),
            (
                &[(".config/prisma.ts", "export default { schema: '../db/main.prisma' }")],
                [".config/prisma.ts", "db/main.prisma", "db/migrations"],
            ),
            (
                &[
                    ("prisma.config.ts", "export default {}"),
                    ("prisma7.config.ts", "export default { schema: 'seven' }"),
                ],
                ["prisma7.config.ts", "seven", "migrations"],
            ),
        ];
        for (files, expected) in table {
            assert_eq!(places(files), expected, "{files:?}");
        }
    }
}
