//! The example of an env file: placeholders that the guard knows as such, and never a value.

use crate::error::Result;
use crate::init::change::Change;
use crate::init::repo::Repo;

const PATH: &str = ".env.staging.example";

pub const RULES: &str = "\
# Copy this file to `.env.staging` and fill it in. Git ignores `.env.staging`, and no message of the drill shows a value of it.
# In CI there is no file: inject the same variables as secrets.
#
# Rules that make every reader agree: one `NAME=value` a line, no spaces around `=`; quote a value that holds `$`, `#`, a
# space or a backslash with single quotes; percent-encode special characters of the password within a URL (`@` is `%40`,
# `/` is `%2F`, `#` is `%23`, `%` is `%25`). `env check` says what is wrong, without touching the network.

# The staging Postgres. Its host (or Supabase project) and its database name must be allowed by drill.toml.
";

const SUPABASE: &str = "\
# On Supabase use the session pooler, port 5432: the direct host has only IPv6, and port 6543 cannot migrate.
";

pub fn change(repo: &Repo<'_>) -> Result<Option<Change>> {
    Ok(Change::new_file(repo.root(), PATH, || text(repo)))
}

fn text(repo: &Repo<'_>) -> String {
    let prisma = &repo.prisma;
    let of_supabase = if repo.has_supabase() { SUPABASE } else { "" };
    let mirror = if repo.has_supabase() || repo.api_if_own().is_some() { mirror(&repo.api) } else { String::new() };
    let direct = if repo.has_direct_url() { placeholder(&prisma.direct_url_env) } else { String::new() };
    format!("{RULES}{of_supabase}{}{direct}{mirror}{}", placeholder(&prisma.url_env), own(&repo.variables))
}

fn mirror([url, key]: &[String; 2]) -> String {
    format!(
        "\n# For a mirror that is counted over REST, exactly `https://<ref>.supabase.co` and the service key:\n# {url}=\n# {key}=\n"
    )
}

fn placeholder(name: &str) -> String {
    format!("{name}=postgresql://USER:PASSWORD@HOST:PORT/DATABASE_staging?schema=public\n")
}

fn own(variables: &[String]) -> String {
    let lines: String = variables.iter().map(|name| format!("# {name}=\n")).collect();
    match lines.as_str() {
        "" => lines,
        _ => {
            format!("\n# The application's own. The drill needs none of them, unless the Prisma config does.\n{lines}")
        }
    }
}
