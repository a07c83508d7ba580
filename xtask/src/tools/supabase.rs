//! The Supabase CLI: where it is, its arguments for each major version, and what its errors mean to the user.
//!
//! It loads `.env`, `supabase/.env` and `bunfig.toml` from where it stands, a linked project from its workdir, and a login from HOME. So it
//! stands in an empty folder with an empty HOME, and reaches nothing but the pin. Its URL goes on a command line and holds no password: it
//! takes that from PGPASSWORD (measured on 2.122 and 3.1; SUPABASE_DB_PASSWORD is not used with a URL).

use std::path::PathBuf;

use serde::Deserialize;

use crate::causes::of_code;
use crate::digest::sha256;
use crate::error::{Failure, Result};
use crate::hint::Hint;
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
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (message, note) =
        (one_line(&message), suggestion.map(|text| format!("the Supabase CLI suggests: {}", one_line(&text))));
    Some(Explanation { hint: of_code(&code).map(|cause| cause.hint(&[])), note, code, message, details: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::said::tests::recorded;

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

    #[test]
    fn a_code_that_is_known_has_a_way_out_and_what_the_cli_suggests_is_told() {
        let told = |(name, lines): (String, Vec<String>)| {
            let Explanation { code, message, note, hint, .. } = explain(&lines)?;
            let hint = hint.map_or("(the log)".to_owned(), |hint| hint.line(&crate::hint::Aim::default()));
            Some(format!("{name}\n  {code}: {message}\n  note: {}\n  hint: {hint}", note.unwrap_or_default()))
        };
        insta::assert_snapshot!(recorded().filter_map(told).collect::<Vec<_>>().join("\n"), @r#"
        supabase-badurl
          LinkBranchNotLinkedError: Cannot resolve "nonsense": it is not a project ref (refs are exactly 20 lowercase letters, like `abcdefghijklmnopqrst`), so it was treated as a branch name — but no project is linked to search for branches. If it is a branch name, link the parent project first: supabase link --project-ref <parent-ref> If you meant a project ref: refs are exactly 20 lowercase letters ("nonsense" has 8).
          note: 
          hint: npm install --save-dev supabase@3.1.0  # see docs/failures/supabase-cli-changed
        supabase-consent
          HostedMutationConsentRequiredError: Confirmation required: Run a SQL statement (target: custom Postgres (127.0.0.1:5432)). This run can't ask because its output format is json. Nothing was changed.
          note: the Supabase CLI suggests: Re-run with --yes to confirm. For a read-only statement, pass --read-only instead.
          hint: npm install --save-dev supabase@3.1.0  # see docs/failures/supabase-cli-changed
        supabase-divide
          DbQueryExecError: failed to execute query: error: division by zero
          note: 
          hint: correct that statement in the mirror's script; nothing of the script is there; see docs/failures/mirror-script-fails
        supabase-nodb
          DbConnectError: failed to connect to postgres: failed to connect to `host=127.0.0.1 user=postgres database=nodb`: server error (FATAL: database "nodb" does not exist (SQLSTATE 3D000))
          note: 
          hint: cargo xtask doctor  # see docs/failures/supabase-cannot-connect
        supabase-nofile
          DbQueryReadFileError: failed to read SQL file: NotFound: FileSystem.readFile (/project/nope.sql)
          note: 
          hint: npm install --save-dev supabase@3.1.0  # see docs/failures/supabase-cli-changed
        supabase-refused
          DbConnectError: failed to connect to postgres: failed to connect to `host=127.0.0.1 user=postgres database=x`: dial error (connect ECONNREFUSED 127.0.0.1:1)
          note: the Supabase CLI suggests: Make sure your local IP is allowed in Network Restrictions and Network Bans. https://supabase.com/dashboard/project/_/database/settings
          hint: cargo xtask doctor  # see docs/failures/supabase-cannot-connect
        supabase-unique
          DbQueryExecError: failed to execute query: error: could not create unique index "t_id_key"
          note: 
          hint: correct that statement in the mirror's script; nothing of the script is there; see docs/failures/mirror-script-fails
        "#);
    }
}
