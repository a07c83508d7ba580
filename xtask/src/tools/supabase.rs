//! The Supabase CLI: where it is, its arguments for each major version, and what its errors mean to the user.
//!
//! It loads `.env`, `supabase/.env` and `bunfig.toml` from where it stands, a linked project from its workdir, and a login from HOME. So it
//! stands in an empty folder with an empty HOME, and reaches nothing but the pin. Its URL goes on a command line and holds no password: it
//! takes that from PGPASSWORD (measured on 2.122 and 3.1; SUPABASE_DB_PASSWORD is not used with a URL).

use std::path::PathBuf;

use serde::Deserialize;

use crate::digest::sha256;
use crate::error::{Failure, Result};
use crate::hint::{Hint, READ_THE_LOG};
use crate::process::Invocation;
use crate::process::{locate, release};
use crate::run::plan::Explanation;
use crate::session::Session;
use crate::settings::Settings;
use pin::Lease;

pub struct Supabase {
    program: PathBuf,
    version: String,
    major: Major,
}

/// 2 writes without asking and names its target with `--db-url`; 3 refuses a write without `--yes` and names it with `--remote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Major {
    Two,
    Three,
}

impl Supabase {
    /// The project's own CLI.
    ///
    /// # Errors
    /// `blocked` when it is not installed, or is of a major version whose flags are not known.
    pub fn find(settings: &Settings) -> Result<Supabase> {
        let (program, version) = locate::supabase(settings)
            .ok_or_else(|| Failure::blocked("the Supabase CLI is not installed").hint(Hint::shell("npm ci")))?;
        let major = match release::major(&version) {
            Some(2) => Major::Two,
            Some(3) => Major::Three,
            _ => {
                return Err(Failure::blocked(format!("Supabase CLI {version} is not supported"))
                    .because("the drill knows the behaviour of 2 and 3")
                    .hint(Hint::shell("npm install --save-dev supabase@3")));
            }
        };
        Ok(Supabase { program, version, major })
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs `script` on the leased database. `db query` takes one statement, so a script of several becomes one: a DO block that
    /// executes it, which also makes it atomic.
    ///
    /// # Errors
    /// `failed` when the script cannot be laid out for the CLI to read.
    pub fn query(&self, session: &Session<'_>, lease: &Lease, script: &str) -> Result<Invocation> {
        // Another script has another name: a CLI that was started early may have read it already.
        let file = session.temporary(&format!("query-{:.12}.sql", sha256(script)), &as_one_statement(script))?;
        let url = lease.url_without_password();
        let empty = session.empty_folder()?;
        // Without a workdir it looks for `supabase/` in every folder above, and temporary ones lie where every user may make one.
        let invocation = Invocation::new(&self.program, &empty).args(["db", "query", "--workdir"]).arg(&empty);
        let invocation = match self.major {
            // The user asked for this very change by name, on a target that was proven; `--yes` says no more than that.
            Major::Three => invocation.arg(format!("--remote={url}")).arg("--yes"),
            Major::Two => invocation.arg("--db-url").arg(url),
        };
        Ok(invocation
            .args(["--agent", "no", "--output-format", "json", "--file"])
            .arg(file)
            .envs(session.bare_environment())
            .env("PGPASSWORD", lease.password().expose())
            // Loopback: without this it asks for TLS first and warns that there is none.
            .env("PGSSLMODE", "disable"))
    }
}

/// `script` inside a DO block, between dollar quotes that it does not contain itself.
fn as_one_statement(script: &str) -> String {
    let tag = |name: &str| {
        let tags = (0..).map(|number| format!("${name}{number}$"));
        tags.into_iter().find(|tag| !script.contains(tag)).unwrap_or_default()
    };
    let (outer, inner) = (tag("drill_do_"), tag("drill_script_"));
    format!("do {outer} begin execute {inner}\n{script}\n{inner}; end {outer}\n")
}

/// Reads the JSON error that the CLI prints (2.122 and 3.1: `{"_tag":"Error","error":{"code","message","suggestion"}}`).
pub fn explain(tail: &[String]) -> Option<Explanation> {
    #[derive(Deserialize)]
    struct Answer {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        code: String,
        message: String,
        suggestion: Option<String>,
    }
    let answer: Answer = tail.iter().find_map(|line| serde_json::from_str(line).ok())?;
    let Error { code, message, suggestion } = answer.error;
    let hint = suggestion.map_or_else(|| hint(&code).into(), Hint::from);
    Some(Explanation { hint, note: None, code, message, details: Vec::new() })
}

fn hint(code: &str) -> &'static str {
    match code {
        "DbConnectError" => "see whether the server is up and reachable from here",
        "HostedMutationConsentRequiredError" => "please report this: the drill passes its user's consent on",
        _ => READ_THE_LOG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_quoted_by_tags_that_it_does_not_contain() {
        let script = "do $$ begin null; end $$; select '$drill_script_0$';";
        let one = as_one_statement(script);
        assert!(one.starts_with("do $drill_do_0$ begin execute $drill_script_1$\n"), "{one}");
        assert!(one.contains(script));
    }

    #[test]
    fn an_error_is_read_from_the_line_that_is_json() {
        let line = r#"{"target":"x","_tag":"Error","error":{"code":"DbConnectError","message":"refused"}}"#;
        let explanation = explain(&["Target: x".to_owned(), line.to_owned()]).unwrap();
        assert_eq!((explanation.code.as_str(), explanation.message.as_str()), ("DbConnectError", "refused"));
    }
}
