//! Entries of `drill.toml` that are not patterns, or would allow more than they seem to.

use crate::error::Refusal;
use crate::guard::host_entry::HostEntry;
use crate::guard::pattern::{NAME_BYTES_MAX, is_made_of, is_project_ref, may_be_dropped};
use crate::guard::policy::Policy;

/// What to write instead of an entry that is one.
type Mistake = fn(&str) -> Option<String>;

impl Policy {
    /// Every entry that is not a pattern or would allow too much, each with what to write; empty for a sound policy.
    pub fn mistakes(&self) -> Vec<Refusal> {
        let lists: [(&str, &[String], Mistake); 5] = [
            ("allow_hosts", &self.allow_hosts, host_mistake),
            ("allow_projects", &self.allow_projects, project_mistake),
            ("allow_databases", &self.allow_databases, database_mistake),
            ("allow_schemas", &self.allow_schemas, schema_mistake),
            ("deny_systems", &self.deny_systems, system_mistake),
        ];
        let entries = lists.iter().flat_map(|(key, list, mistake)| {
            list.iter().filter_map(move |entry| mistake(entry).map(|fix| self.mistake(key, entry, &fix)))
        });
        entries.chain(self.variable_mistakes()).collect()
    }

    fn variable_mistakes(&self) -> Vec<Refusal> {
        let names = [
            ("url_env", &self.url_env),
            ("direct_url_env", &self.direct_url_env),
            ("shadow_url_env", &self.shadow_url_env),
            ("[supabase] url_env", &self.api_url_env),
            ("[supabase] key_env", &self.api_key_env),
        ];
        let wrong = |index: usize, name: &str| {
            let repeated = names[..index].iter().any(|(_, earlier)| *earlier == name);
            repeated || !is_made_of(name, "_", 1..=200) || name.starts_with(|c: char| c.is_ascii_digit())
        };
        names
            .iter()
            .enumerate()
            .filter(|(index, (_, name))| wrong(*index, name))
            .map(|(_, (key, name))| self.mistake(key, name, "a variable name of its own, such as `DATABASE_URL`"))
            .collect()
    }

    fn mistake(&self, key: &str, entry: &str, fix: &str) -> Refusal {
        let message = format!("drill.toml: `{entry}` in `{key}` of target `{}` cannot be used", self.target);
        Refusal::new("policy", message, format!("write {fix}"))
    }
}

fn host_mistake(entry: &str) -> Option<String> {
    match HostEntry::read(entry) {
        Some(entry) => entry.is_too_wide(),
        None => Some(
            "`[user@]host[:port]`: a lower-case host name, `*.` before at least two labels, `localhost`, or an address"
                .into(),
        ),
    }
}

fn project_mistake(project: &str) -> Option<String> {
    (!is_project_ref(project)).then(|| "the project's ref, 20 lower-case letters or digits".into())
}

fn database_mistake(pattern: &str) -> Option<String> {
    if ["template0", "template1"].contains(&pattern) {
        return Some("the name of a disposable database: this one is on every server".into());
    }
    let sound = match pattern.strip_prefix('*') {
        Some(suffix) => suffix.starts_with(['_', '-']) && is_made_of(suffix, "_-", 2..=NAME_BYTES_MAX - 1),
        None => pattern.starts_with(|c: char| c.is_ascii_alphabetic()) && is_made_of(pattern, "_-", 1..=NAME_BYTES_MAX),
    };
    (!sound).then(|| "a name, or `*_suffix` such as `*_staging`".into())
}

fn schema_mistake(schema: &str) -> Option<String> {
    (!may_be_dropped(schema)).then(|| "the name of a schema of yours that a reset may drop, such as `public`".into())
}

fn system_mistake(identifier: &str) -> Option<String> {
    let sound = (1..=20).contains(&identifier.len()) && identifier.bytes().all(|byte| byte.is_ascii_digit());
    (!sound).then(|| "the number from `select system_identifier from pg_control_system()`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_would_allow_everything_is_a_mistake() {
        let list = |entries: &[&str]| entries.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut policy = Policy::new("staging");
        policy.allow_hosts = list(&[
            "*",
            "*.",
            "*.app",
            "a.*.b",
            "*staging.app",
            "",
            "A.b",
            "0",
            "127.0.0.2",
            "[::]",
            "::",
            "0.0.0.0",
            "224.0.0.1",
            "::ffff:10.0.0.5",
            "010.0.0.5",
            "a.b:0",
            "a.b:05432",
            "a@b@c.d",
            "@a.b",
            "*.supabase.co",
            "db.x.supabase.co",
        ]);
        policy.allow_projects = list(&["*", "short", ""]);
        policy.allow_databases = list(&["*", "*_", "*staging", "template1", "a*", "", "*_a*"]);
        policy.allow_schemas = list(&["auth", "pg_catalog", "*", "a\"b"]);
        policy.deny_systems = list(&["x"]);
        policy.direct_url_env = "DATABASE_URL".into();
        policy.shadow_url_env = "A B".into();
        assert_eq!(policy.mistakes().len(), 21 + 3 + 7 + 4 + 1 + 2, "{:#?}", policy.mistakes());
    }

    /// Whoever else is with the provider, or has a name below the suffix, would be let through.
    #[test]
    fn an_entry_for_more_than_one_owner_is_a_mistake_that_says_what_to_write() {
        let mut told = String::new();
        for entry in [
            "*.com",
            "*.co.uk",
            "*.github.io",
            "*.neon.tech",
            "*.us-east-2.aws.neon.tech",
            "*.abc123.us-east-1.rds.amazonaws.com",
            "*.postgres.database.azure.com",
            "*.proxy.rlwy.net",
            "*.flycast.dev",
            "*.co",
            "shuttle.proxy.rlwy.net",
            "db.prisma.io",
            "us-east-1.pg.psdb.cloud",
            "aws-0-eu-central-1.pooler.supabase.com",
            "someone@aws-0-eu-central-1.pooler.supabase.com:5432",
        ] {
            let mut policy = Policy::new("staging");
            policy.allow_hosts = vec![entry.into()];
            let fixes: Vec<String> = policy.mistakes().into_iter().map(|mistake| mistake.hint).collect();
            told += &format!("{entry}: {}\n", fixes.join("; "));
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn a_sound_policy_has_no_mistakes() {
        let mut policy = Policy::new("staging");
        policy.allow_hosts = [
            "*.staging.hotdash.app",
            "localhost",
            "127.0.0.1",
            "127.0.0.1:54322",
            "::1",
            "[::1]:5432",
            "postgres",
            "my_project_db_1",
            "10.0.0.5",
            "2001:db8::5",
            "app@db.staging.hotdash.app:6432",
        ]
        .map(String::from)
        .into();
        policy.allow_databases.push("postgres".into());
        policy.allow_databases.push("hotdash_pr1".into());
        assert_eq!(policy.mistakes(), []);
    }
}
