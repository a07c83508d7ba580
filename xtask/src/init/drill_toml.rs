//! The proposed drill.toml: what was found, and what the user allows. One that is there says it already.

use std::fmt::Write;

use crate::error::Result;
use crate::init::change::Change;
use crate::init::repo::Repo;

pub fn change(repo: &Repo<'_>) -> Result<Option<Change>> {
    Ok(Change::new_file(repo.root(), "drill.toml", || text(repo)))
}

fn text(repo: &Repo<'_>) -> String {
    let mut text = "\
# What the staging drill may touch, and where it finds things. Committed; secrets are in `.env.staging`.
# Every key is optional, unknown keys are errors, paths are relative to this folder.

[targets.staging]
"
    .to_owned();
    let hosts = "a host is staging when it is named here; a leading `*.` is one or more labels";
    let allowed = [
        ("allow_hosts", &repo.allowed.hosts, hosts),
        ("allow_projects", &repo.allowed.projects, "refs of Supabase projects"),
    ];
    for (key, values, meaning) in allowed {
        line(&mut text, &format!("{key} = {values:?}"), meaning);
    }
    line(
        &mut text,
        "allow_databases = [\"*_staging\", \"*_test\", \"*_sandbox\"]",
        "a letter first, and something before the suffix",
    );
    line(&mut text, &format!("allow_schemas = {:?}", repo.schemas()), "what a reset may drop");
    text += "\n[prisma]\n";
    for (key, value) in places(repo) {
        let _ = writeln!(text, "{key} = {value:?}");
    }
    if let Some([url, key]) = repo.api_if_own() {
        let _ = write!(text, "\n[supabase]\nurl_env = {url:?}\nkey_env = {key:?}\n");
    }
    text
}

fn line(text: &mut String, setting: &str, meaning: &str) {
    let _ = writeln!(text, "{setting:<60}# {meaning}");
}

fn places(repo: &Repo<'_>) -> Vec<(&'static str, String)> {
    let prisma = &repo.prisma;
    let config = repo.config().map(|config| ("config", config));
    let places = [("schema", repo.shown(&prisma.schema)), ("migrations", repo.shown(&prisma.migrations))];
    places.into_iter().chain(config).chain([("url_env", prisma.url_env.clone())]).collect()
}
