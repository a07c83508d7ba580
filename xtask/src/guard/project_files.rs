//! Layer 3 over the project's own files: what a wrapped program would read there and believe more than the target.
//!
//! Most of these files have no grammar of ours, so they are searched, not parsed, and a hit is a refusal; Prisma's schema is
//! read (`prisma_schema`). The engine interposer of `pin` checks the same once more on the URL that Prisma finally uses.

use crate::error::Refusal;
use crate::guard::declared::Declared;
use crate::guard::pattern::may_be_dropped;
use crate::guard::policy::Policy;
use crate::guard::prisma_schema::{self, Datasource, PrismaSchema};
use crate::guard::source::Given;

/// Every file that contradicts the target.
pub fn check(declared: &Declared<'_>, given: &Given) -> Vec<Refusal> {
    let check_file = |(name, bytes): &(String, Vec<u8>)| {
        let text = String::from_utf8_lossy(bytes);
        let base = name.rsplit('/').next().unwrap_or(name);
        match base {
            ".env" if matches!(name.as_str(), ".env" | "prisma/.env") => {
                loaded_by_prisma(declared.policy, name, &text, given)
            }
            _ if is_config(name) => check_config(name, &without_comments(&text, "//")),
            _ => Vec::new(),
        }
    };
    declared.project_files.iter().flat_map(check_file).collect()
}

/// The Prisma schema among the declared files.
///
/// # Errors
/// The refusal of a file that cannot be read for certain.
pub fn schema(declared: &Declared<'_>) -> Result<PrismaSchema, Refusal> {
    let files = declared.project_files.iter().filter(|(name, _)| name.ends_with(".prisma"));
    prisma_schema::read(files.map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

/// A program among the declared files is Prisma's config, whatever `config` in drill.toml calls it.
fn is_config(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "ts" | "mts" | "cts" | "js" | "mjs" | "cjs")
}

/// The text without what stands behind `mark` at the start of a line or after a blank; `//` within a URL stays.
pub fn without_comments(text: &str, mark: &str) -> String {
    let blank_mark = format!(" {mark}");
    let kept = text.split(['\n', '\r']).filter(|line| !line.trim_start().starts_with(mark));
    kept.map(|line| line.split(&blank_mark).next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn check_config(name: &str, text: &str) -> Vec<Refusal> {
    let literal = holds_literal_url(text).then(|| {
        let seen = format!("`{name}` holds a database URL, so Prisma would not use the target's");
        Refusal::new("project-file", seen, format!("read the URL in `{name}` from `process.env`"))
    });
    let overrides = (text.contains("dotenv") && squeezed(text).contains("override:true")).then(|| {
        let seen = format!("`{name}` lets dotenv override what is exported, so `.env` would beat the target");
        Refusal::new("project-file", seen, format!("remove `override: true` from `{name}`"))
    });
    literal.into_iter().chain(overrides).collect()
}

/// A reset drops every schema that is listed, so each must be allowed as the target's own is.
pub fn check_datasource(policy: &Policy, datasource: &Datasource) -> Vec<Refusal> {
    let name = &datasource.file;
    let literal = datasource.texts.iter().any(|text| holds_literal_url(text)).then(|| {
        let seen = format!("`{name}` holds a database URL, so Prisma would not use the target's");
        Refusal::new("project-file", seen, format!("write `url = env(\"{}\")` in `{name}`", policy.url_env))
    });
    let foreign = datasource.schemas.iter().filter(|schema| !policy.allows_schema(schema)).map(|schema| {
        let (listed, target) = (schema.escape_debug(), &policy.target);
        let seen = format!(
            "`{name}` lists the schema `{listed}`, which a reset would drop and target `{target}` does not allow"
        );
        Refusal::new("schema", seen, allow_or_remove(policy, datasource, schema))
    });
    literal.into_iter().chain(foreign).collect()
}

fn allow_or_remove(policy: &Policy, datasource: &Datasource, schema: &str) -> String {
    if !may_be_dropped(schema) {
        return format!("remove it from `schemas` in `{}`: a reset may drop no schema of this name", datasource.file);
    }
    let listed = datasource.schemas.iter().filter(|schema| may_be_dropped(schema));
    let mut all = policy.allow_schemas.clone();
    all.extend(listed.filter(|schema| !policy.allows_schema(schema)).cloned());
    format!("if a reset may drop it, write `allow_schemas = {all:?}` under `[targets.{}]` in drill.toml", policy.target)
}

/// A URL that is written out; `startsWith('postgres://')` is not one.
fn holds_literal_url(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let starts =
        ["postgres://", "postgresql://", "prisma://"].into_iter().flat_map(|scheme| text.split(scheme).skip(1));
    let mut starts = starts.map(|rest| rest.chars().next());
    starts.any(|next| next.is_some_and(|c| !c.is_whitespace() && !"'\"`)".contains(c)))
}

/// The text without white space.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Prisma 6 loads these files by itself and uses `directUrl` for migrations, so a variable that the target leaves unset
/// would come from here. What the target sets wins over the file.
fn loaded_by_prisma(policy: &Policy, name: &str, text: &str, given: &Given) -> Vec<Refusal> {
    let sets = |variable: &str| without_comments(text, "#").lines().any(|line| sets(line, variable));
    let both = [&policy.direct_url_env, &policy.shadow_url_env];
    both.into_iter()
        .filter(|variable| given.get(variable).is_none() && sets(variable))
        .map(|variable| {
            let seen = format!("`{name}` sets `{variable}`, the target does not, and Prisma would take it from there");
            Refusal::new(
                "project-file",
                seen,
                format!("set `{variable}` for the target too, or remove it from `{name}`"),
            )
        })
        .collect()
}

/// True for `variable=value` and `variable: value` with anything behind it, as the most lenient parser reads it.
fn sets(line: &str, variable: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export").map_or(line, str::trim_start);
    let value = line.strip_prefix(variable).map(str::trim_start).and_then(|rest| rest.strip_prefix(['=', ':']));
    value.is_some_and(|value| !value.trim().trim_matches(['\'', '"', '`']).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_that_writes_out_a_url_is_refused_and_one_that_looks_at_it_is_not() {
        for text in [
            "export default { datasource: { url: 'postgresql://hotdash:prodpw@prod.example.com/x' } }",
            "url: `postgres://${process.env.HOST}/x`",
            "url: \"prisma+postgres://localhost/?api_key=x\"",
            "config({ path: '.env', override: true }) // dotenv\nimport { config } from 'dotenv'",
        ] {
            assert_eq!(check_config("prisma.config.ts", &without_comments(text, "//")).len(), 1, "{text}");
        }
        for text in [
            "const pg = (process.env.DATABASE_URL ?? '').startsWith('postgresql://')",
            "// url: 'postgresql://u@h/d'",
            "import 'dotenv/config'; url: process.env.DATABASE_URL, // postgresql://u@h/d",
        ] {
            assert_eq!(check_config("prisma.config.ts", &without_comments(text, "//")), [], "{text}");
        }
    }

    #[test]
    fn a_config_is_one_under_any_name() {
        for name in ["prisma.config.ts", "prisma7.config.mjs", ".config/prisma.ts", "prisma/postgres.config.ts"] {
            assert!(is_config(name), "{name}");
        }
        assert!(!is_config("bunfig.toml") && !is_config("prisma/schema.prisma") && !is_config(".env"));
    }

    #[test]
    fn schemas_that_a_reset_drops_must_be_allowed() {
        let mut policy = Policy::new("staging");
        let of = |listed: &[&str]| Datasource {
            file: "main.prisma".to_owned(),
            schemas: listed.iter().map(ToString::to_string).collect(),
            ..Datasource::default()
        };
        let told = |policy: &Policy, listed: &[&str]| {
            let refusals = check_datasource(policy, &of(listed)).into_iter();
            refusals.map(|refusal| format!("{}\n{}\n", refusal.message, refusal.hint)).collect::<String>()
        };
        insta::assert_snapshot!(told(&policy, &["public", "audit", "auth", "log"]), @r#"
        `main.prisma` lists the schema `audit`, which a reset would drop and target `staging` does not allow
        if a reset may drop it, write `allow_schemas = ["public", "audit", "log"]` under `[targets.staging]` in drill.toml
        `main.prisma` lists the schema `auth`, which a reset would drop and target `staging` does not allow
        remove it from `schemas` in `main.prisma`: a reset may drop no schema of this name
        `main.prisma` lists the schema `log`, which a reset would drop and target `staging` does not allow
        if a reset may drop it, write `allow_schemas = ["public", "audit", "log"]` under `[targets.staging]` in drill.toml
        "#);
        policy.allow_schemas = vec!["public".to_owned(), "audit".to_owned()];
        assert_eq!(told(&policy, &["audit", "public"]), "");
    }

    #[test]
    fn a_datasource_that_writes_out_a_url_is_refused() {
        let of =
            |text: &str| Datasource { texts: vec!["postgresql".to_owned(), text.to_owned()], ..Datasource::default() };
        let policy = Policy::new("staging");
        assert_eq!(check_datasource(&policy, &of("postgresql://u:p@prod.example.com/x")).len(), 1);
        assert_eq!(check_datasource(&policy, &of("DATABASE_URL")), []);
    }

    #[test]
    fn the_most_lenient_reading_of_a_line_counts() {
        for line in ["DIRECT_URL=x", "  export DIRECT_URL = 'x'", "DIRECT_URL: x"] {
            assert!(sets(line, "DIRECT_URL"), "{line}");
        }
        for line in ["DIRECT_URL=", "DIRECT_URL=''", "MY_DIRECT_URL=x", "DIRECT_URLS=x"] {
            assert!(!sets(line, "DIRECT_URL"), "{line}");
        }
    }
}
