//! Form and policy of one variable at a time, in words: what was read, what is not allowed, and what to edit.

use jiff::Timestamp;

use crate::error::Refusal;
use pin::dsn::Dsn;

use crate::guard::form;
use crate::guard::host_entry;
use crate::guard::pattern::MAINTENANCE;
use crate::guard::policy::{Home, Policy, home};
use crate::guard::source::Given;
use crate::guard::supabase::{KeyClaim, SupabaseApi, read_key, read_url};

/// Reads a URL variable and judges it; the refusals of both go to `refusals`.
pub fn read_dsn(
    policy: &Policy,
    variable: &str,
    value: Result<Option<&str>, Refusal>,
    refusals: &mut Vec<Refusal>,
) -> Option<Dsn> {
    let dsn = match value.map(|value| value.map(|text| form::parse(variable, text))) {
        Ok(None) => return None,
        Ok(Some(Ok(dsn))) => dsn,
        Ok(Some(Err(flaws))) => {
            refusals.extend(flaws);
            return None;
        }
        Err(refusal) => {
            refusals.push(refusal);
            return None;
        }
    };
    let judged = judge(policy, variable, &dsn);
    let sound = judged.is_empty();
    refusals.extend(judged);
    sound.then_some(dsn)
}

/// Everything about `dsn` that the policy does not allow.
pub fn judge(policy: &Policy, variable: &str, dsn: &Dsn) -> Vec<Refusal> {
    let checks = [
        (!policy.allows_home(dsn)).then(|| wrong_home(policy, variable, dsn)),
        (!allows_name(policy, variable, dsn)).then(|| wrong_database(policy, variable, dsn)),
        (dsn.password.is_none() && !dsn.host.is_loopback()).then(|| no_password(variable)),
        (!policy.allows_schema(&dsn.schema)).then(|| wrong_schema(policy, variable, dsn)),
    ];
    checks.into_iter().flatten().collect()
}

/// A shadow database is wiped as a whole, so there a project's own `postgres` is not enough.
fn allows_name(policy: &Policy, variable: &str, dsn: &Dsn) -> bool {
    match variable == policy.shadow_url_env {
        true => policy.allows_disposable(&dsn.database),
        false => policy.allows_database(dsn),
    }
}

fn wrong_home(policy: &Policy, variable: &str, dsn: &Dsn) -> Refusal {
    let target = &policy.target;
    match home(dsn) {
        Home::Project(project) => foreign_project(policy, variable, &project),
        Home::UnknownProject => Refusal::new(
            "project",
            format!("`{variable}` names the Supabase host `{}` but not, in the one safe way, a project", dsn.host),
            "copy the session pooler's URL (user `<role>.<project ref>`, port 5432) or the direct one \
             from the project's connection settings",
        ),
        Home::Loopback | Home::Host => Refusal::new(
            "host",
            format!(
                "`{variable}` leads to `{}`, which is not an allowed host of target `{target}`",
                host_entry::for_dsn(dsn)
            ),
            format!(
                "correct `{variable}`; or, if that host is staging, add \"{}\" to `allow_hosts` in drill.toml",
                host_entry::for_dsn(dsn)
            ),
        ),
    }
}

/// The refusal for a project that `drill.toml` does not name.
pub fn foreign_project(policy: &Policy, variable: &str, project: &str) -> Refusal {
    Refusal::new(
        "project",
        format!("`{variable}` names the Supabase project `{project}`, which target `{}` does not allow", policy.target),
        format!(
            "correct `{variable}`; or, if that project is staging, add \"{project}\" to `allow_projects` in drill.toml"
        ),
    )
}

fn wrong_database(policy: &Policy, variable: &str, dsn: &Dsn) -> Refusal {
    let (allowed, database) = (policy.allow_databases.join("`, `"), &dsn.database);
    let fits = format!("name a database that fits `allow_databases` in drill.toml: `{allowed}`");
    let is_shadow = variable == policy.shadow_url_env;
    let fix = match database.as_str() {
        // Every server has it, so its name says nothing of the server.
        "postgres" if !is_shadow => format!(
            "{fits}; or, if all of that server is staging, add \"postgres\" to it, and \"{}\" to `allow_hosts`",
            host_entry::for_dsn(dsn)
        ),
        _ if is_shadow || MAINTENANCE.contains(&database.as_str()) => fits,
        _ => format!("{fits}; or, if that database is staging, add \"{database}\" to it"),
    };
    let seen = format!("`{variable}` names the database `{database}`, which target `{}` does not allow", policy.target);
    Refusal::new("database", seen, fix)
}

fn no_password(variable: &str) -> Refusal {
    let fix = format!("write `user:password@` in `{variable}`; only loopback does without");
    Refusal::new("password", format!("`{variable}` has no password"), fix)
}

fn wrong_schema(policy: &Policy, variable: &str, dsn: &Dsn) -> Refusal {
    let allowed = policy.allow_schemas.join("`, `");
    Refusal::new(
        "schema",
        format!(
            "`{variable}` names the schema `{}`, which a reset would drop and target `{}` does not allow",
            dsn.schema, policy.target
        ),
        format!(
            "write `schema=` and one of `{allowed}`, or leave it out; or, if the schema is yours, add it to `allow_schemas` in drill.toml"
        ),
    )
}

/// Reads and judges the API address and the service key, which must name one project between them.
pub fn read_supabase(
    policy: &Policy,
    given: &Given,
    now: Timestamp,
    refusals: &mut Vec<Refusal>,
) -> Option<SupabaseApi> {
    let mut keep = |refusal: Refusal| refusals.push(refusal);
    let Policy { api_url_env, api_key_env, .. } = policy;
    let url = given.target(api_url_env).and_then(|text| text.map(|text| read_url(api_url_env, text)).transpose());
    let key = given.target(api_key_env).and_then(|text| text.map(|text| read_key(api_key_env, text, now)).transpose());
    let (url, key) = (url.map_err(&mut keep), key.map_err(&mut keep));
    let (Ok(api), Ok(key)) = (url, key) else { return None };
    let claimed = match &key {
        Some((_, KeyClaim::Project(project))) => Some(project.as_str()),
        _ => None,
    };
    let named = api.as_ref().and_then(|api| api.project_ref.as_deref());
    for (variable, project) in [(api_url_env, named), (api_key_env, claimed)] {
        if let Some(project) = project.filter(|project| !policy.allows_project(project)) {
            refusals.push(foreign_project(policy, variable, project));
        }
    }
    refusals.extend(key.as_ref().and_then(|(_, claim)| mismatch(policy, api.as_ref(), claim)));
    api.map(|api| SupabaseApi { key: key.map(|(key, _)| key), ..api })
}

fn mismatch(policy: &Policy, api: Option<&SupabaseApi>, claim: &KeyClaim) -> Option<Refusal> {
    let Policy { api_url_env: url, api_key_env: key, .. } = policy;
    let refusal = |seen: String, fix: &str| Some(Refusal::new("service-key", seen, fix));
    match (api.map(|api| api.project_ref.as_deref()), claim) {
        (None, _) => refusal(
            format!("`{key}` is set, but `{url}` is not: nothing says which project it opens"),
            &format!("add `{url}=https://<project ref>.supabase.co`, or remove the key"),
        ),
        (Some(project), KeyClaim::Project(claimed)) if project != Some(claimed) => refusal(
            format!("`{key}` is a key of project `{claimed}`, `{url}` is another address"),
            "copy both from the API settings of one project",
        ),
        (Some(Some(_)), KeyClaim::Local) => refusal(
            format!("`{key}` is a key of the local stack, `{url}` is a hosted project"),
            "copy both from the API settings of one project",
        ),
        _ => None,
    }
}
