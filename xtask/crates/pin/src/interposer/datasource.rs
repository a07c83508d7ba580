//! Every place in which Prisma's CLI can name a database to its engine: arguments, JSON-RPC parameters, datasource
//! blocks.
//!
//! Seen in Prisma 5.0 to 7.10: `--datasource {"url":…,"shadowDatabaseUrl":…}`, `cli --datasource URL`, `--datamodels
//! FILE`, and in parameters `{"tag":"ConnectionString","url":…}`, `shadowDatabaseUrl`, and schema files as text, whose
//! datasource block may hold a literal or `env("NAME")` (Prisma 6 reads that from its own environment, into which it
//! loads `.env` files).

use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::Value;

use crate::pinned_url::{Expected, Strayed, Use};

/// Compares what an engine is told with what it should be told.
pub struct Check<'a> {
    pub expected: &'a Expected,
    /// Looks up a variable of the engine's environment.
    pub environment: fn(&str) -> Option<String>,
}

type Verdict = Result<(), Strayed>;

impl Check<'_> {
    /// Checks an engine's arguments, and the schema files that they name.
    pub fn arguments(&self, arguments: &[String]) -> Verdict {
        for (index, argument) in arguments.iter().enumerate() {
            // `--flag=value` and `--flag value` are the same to the engine.
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with('-') => (flag, value),
                _ => (index.checked_sub(1).map_or("", |before| arguments[before].as_str()), argument.as_str()),
            };
            self.argument(flag, value)?;
        }
        Ok(())
    }

    fn argument(&self, flag: &str, value: &str) -> Verdict {
        if value.starts_with(['{', '[']) {
            return serde_json::from_str(value)
                .map_or_else(|_| Err(Strayed::unreadable()), |json| self.json("", &json));
        }
        if let Some(text) = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
            self.schema(&text)?;
            self.url_like(&text)?;
        }
        if matches!(flag, "--datamodels" | "--datamodel" | "-d") {
            self.schema_file(Path::new(value))?;
        }
        if flag == "--datasource" { self.expected.admit(value, Use::Target) } else { self.url_like(value) }
    }

    /// Checks one line of JSON-RPC. What is not JSON is refused: nothing that we cannot read may reach the engine.
    pub fn request(&self, line: &str) -> Verdict {
        serde_json::from_str(line).map_or_else(|_| Err(Strayed::unreadable()), |json| self.json("", &json))
    }

    fn json(&self, key: &str, value: &Value) -> Verdict {
        match value {
            Value::String(text) => self.text(key, text),
            Value::Array(values) => values.iter().try_for_each(|value| self.json(key, value)),
            Value::Object(fields) => fields.iter().try_for_each(|(key, value)| self.json(key, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn text(&self, key: &str, text: &str) -> Verdict {
        match key {
            "url" | "directUrl" | "connectionString" => self.expected.admit(text, Use::Target),
            "shadowDatabaseUrl" => self.shadow(text),
            // Prisma 5 names a schema by its path, which no schema's text is.
            "schema" if !text.contains(['\n', '{']) => self.schema_file(Path::new(text)),
            _ => self.schema(text).and_then(|()| self.url_like(text)),
        }
    }

    /// A whole text that is a connection URL, wherever it stands. One *inside* a text is none: migrations may mention
    /// URLs.
    fn url_like(&self, text: &str) -> Verdict {
        if URL.is_match(text) { self.expected.admit(text, Use::Target) } else { Ok(()) }
    }

    /// An empty one is none: a config file may pass on a variable that is not set.
    fn shadow(&self, url: &str) -> Verdict {
        if url.is_empty() { Ok(()) } else { self.expected.admit(url, Use::Shadow) }
    }

    /// A file that cannot be read here cannot be read by the engine either; of a folder nobody knows what the engine reads.
    fn schema_file(&self, path: &Path) -> Verdict {
        if path.is_dir() {
            return Err(Strayed::unreadable());
        }
        std::fs::read(path).map_or(Ok(()), |bytes| self.schema(&String::from_utf8_lossy(&bytes)))
    }

    fn schema(&self, text: &str) -> Verdict {
        for (property, address) in addresses(text) {
            let url = match address {
                Address::Literal(url) => url.to_owned(),
                // The engine stops by itself without it.
                Address::Variable(name) => match (self.environment)(name).filter(|url| !url.is_empty()) {
                    Some(url) => url,
                    None => continue,
                },
            };
            match property {
                "shadowDatabaseUrl" => self.shadow(&url)?,
                _ => self.expected.admit(&url, Use::Target)?,
            }
        }
        Ok(())
    }
}

#[expect(clippy::expect_used, reason = "the patterns are constants, which the tests compile")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("our own patterns compile")
}

static URL: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)^\s*(postgres(ql)?|prisma(\+postgres)?|cockroachdb|mysql|sqlserver|mongodb(\+srv)?)://")
});
/// Comments, strings, words, and everything else one by one. For Prisma a line ends at a carriage return, too, and a string with its line.
static TOKEN: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"//[^\n\r]*|(?s:/\*.*?\*/)|"(?:\\[^\n\r]|[^"\\\n\r])*"|\w+|\S"#));

/// The variables that the datasource blocks of a Prisma schema name, each with its property.
pub fn variables(schema: &str) -> Vec<(&str, &str)> {
    let named = |(property, address)| match address {
        Address::Variable(name) => Some((property, name)),
        Address::Literal(_) => None,
    };
    addresses(schema).into_iter().filter_map(named).collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Address<'a> {
    /// As written: an escape in it makes it differ from the pinned one.
    Literal(&'a str),
    Variable(&'a str),
}

/// Every property with an address in the datasource blocks of a Prisma schema.
fn addresses(text: &str) -> Vec<(&str, Address<'_>)> {
    // Most texts are migrations, and large.
    if !text.contains("datasource") {
        return Vec::new();
    }
    let tokens: Vec<&str> = TOKEN
        .find_iter(text)
        .map(|token| token.as_str())
        .filter(|token| !token.starts_with("//") && !token.starts_with("/*"))
        .collect();
    let starts = (0..tokens.len()).filter(|start| matches!(tokens[*start..], ["datasource", _, "{", ..]));
    starts.flat_map(|start| properties(&tokens[start + 3..])).collect()
}

fn properties<'a>(tokens: &[&'a str]) -> Vec<(&'a str, Address<'a>)> {
    let block = tokens.split(|token| *token == "}").next().unwrap_or_default();
    let address = |value: &[&'a str]| match *value {
        ["env", "(", name, ")", ..] => Address::Variable(name.trim_matches('"')),
        [literal, ..] if literal.starts_with('"') => Address::Literal(literal.trim_matches('"')),
        // Not the language as we know it: nothing that could be let through.
        _ => Address::Literal("?"),
    };
    (0..block.len())
        .filter_map(|at| match block[at..] {
            [property @ ("url" | "directUrl" | "shadowDatabaseUrl"), "=", ..] => {
                Some((property, address(&block[at + 2..])))
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the engine would read, whatever stands before it.
    #[test]
    fn neither_a_comment_nor_a_quote_hides_the_next_line() {
        for before in ["// x\r", "provider = postgres\"\n", "\"\r", "a \"\\\n"] {
            let schema = format!("datasource db {{\n{before} url = \"{STRAY}\"\n}}\n");
            assert!(check(|check| check.schema(&schema)).is_err(), "{schema:?}");
        }
    }

    const PINNED: &str = "postgresql://app:t0ken@127.0.0.1:40001/shop_staging?schema=public";
    const STRAY: &str = "postgresql://app:s3cret@db.example.com:5432/shop";

    fn expected() -> Expected {
        Expected {
            host: "127.0.0.1".into(),
            port: 40_001,
            user: "app".into(),
            database: "shop_staging".into(),
            schema: "public".into(),
            shadow: Some("drill_shadow".into()),
        }
    }

    fn environment(name: &str) -> Option<String> {
        match name {
            "DATABASE_URL" => Some(PINNED.to_owned()),
            "DIRECT_URL" => Some(STRAY.to_owned()),
            _ => None,
        }
    }

    fn check<T>(with: impl FnOnce(&Check<'_>) -> T) -> T {
        with(&Check { expected: &expected(), environment })
    }

    fn arguments(arguments: &[&str]) -> Verdict {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        check(|check| check.arguments(&arguments))
    }

    fn request(json: &Value) -> Verdict {
        check(|check| check.request(&json.to_string()))
    }

    #[test]
    fn the_arguments_of_prisma_7_are_checked() {
        let json = |url: &str| serde_json::json!({ "url": url }).to_string();
        assert_eq!(arguments(&["--datasource", &json(PINNED), "cli", "can-connect-to-database"]), Ok(()));
        assert!(arguments(&["--datasource", &json(STRAY), "cli", "can-connect-to-database"]).is_err());
        assert!(arguments(&[&format!("--datasource={}", json(STRAY))]).is_err());
        let shadow = serde_json::json!({ "url": PINNED, "shadowDatabaseUrl": STRAY }).to_string();
        assert!(arguments(&["--datasource", &shadow]).is_err());
        assert!(arguments(&["--datasource", "{broken"]).is_err());
    }

    #[test]
    fn the_arguments_of_prisma_6_are_checked() {
        assert_eq!(arguments(&["cli", "--datasource", PINNED, "can-connect-to-database"]), Ok(()));
        assert!(arguments(&["cli", "--datasource", STRAY, "can-connect-to-database"]).is_err());
        assert!(arguments(&["cli", "--datasource", "file:./dev.db", "drop-database"]).is_err());
        let encoded = STANDARD.encode(format!("datasource db {{ provider = \"postgresql\"\n url = \"{STRAY}\" }}"));
        assert!(arguments(&["--datamodels", &encoded]).is_err());
    }

    #[test]
    fn arguments_without_a_database_pass() {
        assert_eq!(arguments(&["--version"]), Ok(()));
        assert_eq!(arguments(&["--datamodels", "prisma/schema.prisma", "--enabled-preview-features", "views"]), Ok(()));
    }

    #[test]
    fn urls_in_requests_are_found_wherever_they_stand() {
        for params in [
            serde_json::json!({ "datasource": { "tag": "ConnectionString", "url": STRAY } }),
            serde_json::json!({ "shadowDatabaseUrl": STRAY }),
            serde_json::json!({ "any": [{ "where": { "at": [STRAY] } }] }),
            serde_json::json!({ "url": "file:./dev.db" }),
            serde_json::json!({ "from": "prisma+postgres://localhost/?api_key=e30" }),
        ] {
            assert!(request(&serde_json::json!({ "id": 1, "method": "diff", "params": params })).is_err(), "{params}");
        }
    }

    #[test]
    fn a_migration_may_mention_urls() {
        let sql = format!("-- see {STRAY}\nCREATE SERVER s OPTIONS (host 'x'); COMMENT ON TABLE t IS '{STRAY}';");
        let file = serde_json::json!({ "path": "migration.sql", "content": { "tag": "ok", "value": sql } });
        let migrations = serde_json::json!({ "migrationDirectories": [{ "path": "1_x", "migrationFile": file }] });
        let params = serde_json::json!({ "migrationsList": migrations, "shadowDatabaseUrl": null });
        assert_eq!(request(&serde_json::json!({ "id": 1, "method": "applyMigrations", "params": params })), Ok(()));
    }

    #[test]
    fn datasource_blocks_in_requests_are_checked() {
        let with = |line: &str| {
            let content =
                format!("model A {{\n id Int @id\n}}\ndatasource db {{\n  provider = \"postgresql\"\n  {line}\n}}\n");
            request(&serde_json::json!({ "params": { "schema": { "files": [{ "path": "s", "content": content }] } } }))
        };
        assert_eq!(with("url = env(\"DATABASE_URL\")"), Ok(()));
        assert_eq!(with("directUrl = env(\"NOT_SET\")"), Ok(()));
        assert_eq!(with(&format!("url = \"{PINNED}\"")), Ok(()));
        assert_eq!(with(&format!("// url = \"{STRAY}\"")), Ok(()));
        assert!(with("directUrl = env(\"DIRECT_URL\")").is_err());
        assert!(with(&format!("url=\"{STRAY}\"")).is_err());
        assert!(with(&format!("url = // why\n \"{STRAY}\"")).is_err());
        assert!(with("url = \"postgresql\\u003a//app:t@127.0.0.1:40001/shop_staging\"").is_err());
        assert!(with(&format!("url /* why */ = \"{STRAY}\"")).is_err());
        assert_eq!(with(&format!("/* url = \"{STRAY}\" */")), Ok(()));
        assert!(with("url = something(else)").is_err());
    }

    #[test]
    fn a_schema_that_is_named_by_its_path_is_read_and_a_folder_refused() {
        let folder = std::env::temp_dir().join(format!("pin-named-schema-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("schema.prisma");
        let with = |url: &str| {
            std::fs::write(&path, format!("datasource db {{\n provider = \"postgresql\"\n url = {url}\n}}\n")).unwrap();
            let side = serde_json::json!({ "tag": "schemaDatasource", "schema": path });
            let asked = request(&serde_json::json!({ "params": { "from": side } }));
            assert_eq!(asked, arguments(&["-d", &path.display().to_string()]));
            asked
        };
        assert_eq!(with("env(\"DATABASE_URL\")"), Ok(()));
        assert!(with("env(\"DIRECT_URL\")").is_err());
        assert!(with(&format!("\"{STRAY}\"")).is_err());
        assert!(arguments(&["-d", &folder.display().to_string()]).is_err());
        assert!(request(&serde_json::json!({ "from": { "schema": folder } })).is_err());
        assert_eq!(request(&serde_json::json!({ "schema": "not/there.prisma" })), Ok(()));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_variables_of_a_datasource_are_named_whatever_they_are_called() {
        let schema = "datasource db {\n url = env(\"STAGING_DB\") // env(\"NOT\")\n directUrl=env( \"STAGING_DIRECT\" )\n \
                      shadowDatabaseUrl = \"postgresql://u@h/d\"\n}\nmodel A {\n url String @default(env(\"X\"))\n}\n";
        assert_eq!(variables(schema), [("url", "STAGING_DB"), ("directUrl", "STAGING_DIRECT")]);
        assert_eq!(variables("datasource db {\n provider = \"postgresql\"\n}\n"), []);
    }

    #[test]
    fn a_shadow_database_that_is_the_target_is_refused_wherever_it_is_named() {
        assert!(
            arguments(&[
                "--datasource",
                &serde_json::json!({ "url": PINNED, "shadowDatabaseUrl": PINNED }).to_string()
            ])
            .is_err()
        );
        assert!(request(&serde_json::json!({ "params": { "shadowDatabaseUrl": PINNED } })).is_err());
        let block = format!("datasource db {{\n url = \"{PINNED}\"\n shadowDatabaseUrl = env(\"DATABASE_URL\")\n}}");
        assert!(request(&serde_json::json!({ "content": block })).is_err());
        let shadow = PINNED.replace("shop_staging", "drill_shadow");
        assert_eq!(request(&serde_json::json!({ "shadowDatabaseUrl": shadow })), Ok(()));
        assert_eq!(request(&serde_json::json!({ "shadowDatabaseUrl": "" })), Ok(()));
    }

    #[test]
    fn what_is_not_json_does_not_reach_the_engine() {
        assert!(check(|check| check.request("{\"id\":1,")).is_err());
    }

    #[test]
    fn a_refusal_holds_no_secret() {
        let refusal = arguments(&["--datasource", STRAY]).unwrap_err().to_string();
        assert!(!refusal.contains("s3cret"), "{refusal}");
    }
}
