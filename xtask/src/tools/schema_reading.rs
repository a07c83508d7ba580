//! What Prisma's schema engine makes of the project's schema, asked without a database: the CLI would say it only while it generates, when
//! the migrations may be applied already.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use crate::causes::engine::SCHEMA_ERROR;
use crate::causes::machine::TEMPORARY;
use crate::digest::sha256;
use crate::error::{Failure, OrFail, Result};
use crate::files;
use crate::process::Invocation;
use crate::process::locate::{Engine, Toolbox};
use crate::session::{Session, environment};
use crate::settings::Settings;
use crate::settings::schema_files::{self, SchemaFile};
use crate::temporary::Temporary;
use crate::tools::reentry;

/// The engine, with a question to it as its stdin.
///
/// # Errors
/// `blocked` when the schema cannot be read.
pub fn question(session: &Session<'_>) -> Result<Invocation> {
    let asked = session.temporary("schema-question.json", &request(session.settings)?)?;
    Ok(invocation(session.settings, &session.toolbox)?.envs(session.bare_environment()).stdin(asked))
}

/// As `question`, where there is no session; the folder has to outlive the engine.
///
/// # Errors
/// As `question`; `blocked` when temporary files cannot be written.
pub fn question_of(settings: &Settings, toolbox: &Toolbox) -> Result<(Invocation, Temporary)> {
    let cannot = || Failure::blocked("cannot write temporary files").known(&TEMPORARY, &[]);
    let folder = Temporary::new().or_fail(cannot)?;
    let asked = folder.path().join("schema-question.json");
    std::fs::write(&asked, request(settings)?).or_fail(cannot)?;
    let environment = environment::child(settings, folder.path());
    Ok((invocation(settings, toolbox)?.envs(environment).stdin(asked), folder))
}

/// Where it is kept that this engine has read this schema.
fn kept_as(settings: &Settings, toolbox: &Toolbox) -> PathBuf {
    let schema = schema_files::digest(&settings.prisma.schema).unwrap_or_default();
    let name = sha256(format!("{schema}\n{}", toolbox.engine.in_words()));
    settings.private_dir().join("schemas").join(name)
}

pub fn has_passed(settings: &Settings, toolbox: &Toolbox) -> bool {
    kept_as(settings, toolbox).is_file()
}

/// What cannot be kept is asked again.
pub fn keep_passed(settings: &Settings, toolbox: &Toolbox) {
    files::keep(&kept_as(settings, toolbox), b"");
}

fn invocation(settings: &Settings, toolbox: &Toolbox) -> Result<Invocation> {
    Ok(match &toolbox.engine {
        Engine::Native(engine) => Invocation::new(&engine.path, &settings.root),
        Engine::Wasm { program, engine } => {
            Invocation::new(&toolbox.node, &settings.root).arg(program).envs([reentry::wasm(engine)?])
        }
    })
}

/// A comparison of nothing with the schema: neither side is a database.
fn request(settings: &Settings) -> Result<String> {
    let schema = &settings.prisma.schema;
    let files = schema_files::read(schema).blocked(|| format!("cannot read `{}`", settings.shown(schema)))?;
    let file =
        |(path, text): &SchemaFile| json!({ "path": settings.shown(path), "content": String::from_utf8_lossy(text) });
    let files: Vec<_> = files.iter().map(file).collect();
    let params = json!({
        "from": { "tag": "empty" },
        "to": { "tag": "schemaDatamodel", "files": files },
        "script": false,
        "exitCode": null,
        "shadowDatabaseUrl": null,
        "filters": { "externalTables": [], "externalEnums": [] },
    });
    Ok(format!("{}\n", json!({ "jsonrpc": "2.0", "id": ID, "method": "diff", "params": params })))
}

const ID: u64 = 1;
/// Prisma's code for a schema that does not pass.
const UNREADABLE: &str = "P1012";

#[derive(Deserialize)]
struct Answer {
    id: u64,
    #[serde(default)]
    error: Option<Error>,
    #[serde(default)]
    method: Option<String>,
}

#[derive(Deserialize)]
struct Error {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    message: String,
    #[serde(default)]
    error_code: Option<String>,
}

/// # Errors
/// `blocked` where the engine says that it cannot read the schema. Whatever else it says, or where it says nothing, a command of the
/// CLI will say better.
pub fn judge(said: &[u8]) -> Result<()> {
    let said = String::from_utf8_lossy(said);
    let answers = said.lines().filter_map(|line| serde_json::from_str::<Answer>(line).ok());
    let mut errors =
        answers.filter(|answer| answer.id == ID && answer.method.is_none()).filter_map(|answer| answer.error);
    match errors.find(|error| error.data.error_code.as_deref() == Some(UNREADABLE)) {
        Some(error) => Err(refused(&error.data.message)),
        None => Ok(()),
    }
}

fn refused(message: &str) -> Failure {
    let mut lines = message.lines().map(str::trim);
    let what = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let place = lines
        .find_map(|line| line.strip_prefix("-->"))
        .map(str::trim)
        .map_or("the schema".to_owned(), |place| format!("`{place}`; `prisma validate` says whether it is right"));
    Failure::blocked(format!("Prisma cannot read the schema ({UNREADABLE})"))
        .because(what)
        .note("nothing was changed")
        .known(&SCHEMA_ERROR, &[("place", &place)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_prisma_cannot_read_is_told_with_its_line() {
        let no = r#"{"jsonrpc":"2.0","id":0,"method":"print","params":{"content":""}}
{"jsonrpc":"2.0","id":1,"error":{"code":4466,"message":"An error happened.","data":{"is_panic":false,"message":"error: Type \"Strin\" is neither a built-in type, nor refers to another model.\n  -->  prisma/schema.prisma:10\n   | \n 9 |   id   Int\n","meta":{},"error_code":"P1012"}}}"#;
        let failure = judge(no.as_bytes()).unwrap_err();
        let hint = failure.hint.as_ref().unwrap().line(&crate::hint::Aim::default());
        insta::assert_snapshot!(format!("{}\n{}\n{hint}", failure.message, failure.causes().next().unwrap()), @r#"
        Prisma cannot read the schema (P1012)
        Type "Strin" is neither a built-in type, nor refers to another model.
        correct `prisma/schema.prisma:10`; `prisma validate` says whether it is right; see docs/failures/schema-error
        "#);
        let other = no.replace("P1012", "P1001");
        for said in [other.as_str(), "", "{", r#"{"jsonrpc":"2.0","id":1,"result":{"exitCode":0,"stdout":null}}"#] {
            assert!(judge(said.as_bytes()).is_ok(), "{said}");
        }
    }
}
