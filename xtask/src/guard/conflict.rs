//! Layer 3: what is sound on its own must also agree. One source, one database, one project; and nothing in the
//! environment that would move our own resolver.

use crate::error::Refusal;
use pin::dsn::Dsn;

use crate::guard::candidate::{Reading, project_ref};
use crate::guard::declared::Declared;
use crate::guard::environment::{OTHER_URLS, PROJECTS, RESOLVER};
use crate::guard::form;
use crate::guard::policy::{Home, Policy, home};
use crate::guard::providers::{self, ToldApartBy};
use crate::guard::source::{Given, disagreements, holds_database_url, target_variables};
use crate::guard::supabase::{SupabaseApi, project_of};
use crate::guard::verdict::{foreign_project, judge};

/// Every contradiction between what was declared and what was read from it.
pub fn check(declared: &Declared<'_>, given: &Given, reading: &Reading) -> Vec<Refusal> {
    let policy = declared.policy;
    let mut refusals = disagreements(given, policy, declared.exported);
    refusals.extend(given.reserved());
    refusals.extend(resolver(declared));
    refusals.extend(projects(declared, given, reading));
    for (name, value) in others(declared, given) {
        refusals.extend(foreign_value(policy, name, value, reading.dsn.as_ref()));
    }
    let Some(dsn) = &reading.dsn else { return refusals };
    refusals.extend(reading.direct.as_ref().and_then(|direct| other_database(policy, dsn, direct)));
    refusals.extend(reading.shadow.as_ref().and_then(|shadow| unsafe_shadow(policy, dsn, shadow)));
    refusals.extend(reading.supabase.as_ref().and_then(|api| other_project(policy, dsn, api)));
    refusals
}

/// True where two URLs lead to one database as far as can be told without asking: two hosts of one owner may be a
/// server and its pooler, but not two projects, nor loopback and elsewhere.
fn same_target(one: &Dsn, other: &Dsn) -> bool {
    one.database == other.database && home(one) == home(other) && tenant(one) == tenant(other)
}

/// Where a proxy answers for many, what it tells them apart by.
fn tenant(dsn: &Dsn) -> Option<String> {
    match providers::told_apart_by(&dsn.host) {
        ToldApartBy::Host => None,
        ToldApartBy::User => Some(dsn.user.clone()),
        ToldApartBy::Port => Some(format!("{}:{}", dsn.host, dsn.port)),
    }
}

fn other_database(policy: &Policy, dsn: &Dsn, direct: &Dsn) -> Option<Refusal> {
    let (url, other) = (&policy.url_env, &policy.direct_url_env);
    (!same_target(dsn, direct)).then(|| {
        let seen = format!("`{other}` leads to `{}`, `{url}` to `{}`", direct.identity(), dsn.identity());
        Refusal::new("direct-url", seen, format!("let `{other}` name the same database and project as `{url}`"))
    })
}

/// The shadow database is wiped. Names of hosts cannot show that two servers differ, so the database's name must.
fn unsafe_shadow(policy: &Policy, dsn: &Dsn, shadow: &Dsn) -> Option<Refusal> {
    let (url, other) = (&policy.url_env, &policy.shadow_url_env);
    if shadow.database == dsn.database {
        let seen = format!("`{other}` names the same database as `{url}`, and Prisma wipes the shadow database");
        return Some(Refusal::new(
            "shadow-url",
            seen,
            format!("let `{other}` name a database of its own, such as `shadow_test`"),
        ));
    }
    match (home(dsn), home(shadow)) {
        (Home::Project(one), Home::Project(two)) if one != two => {
            let seen = format!("`{other}` names the project `{two}`, `{url}` names `{one}`");
            Some(Refusal::new("shadow-url", seen, format!("let `{other}` lead to the project of `{url}`")))
        }
        _ => None,
    }
}

fn other_project(policy: &Policy, dsn: &Dsn, api: &SupabaseApi) -> Option<Refusal> {
    let Policy { url_env: url, api_url_env: api_url, .. } = policy;
    let refusal = |seen: String| {
        let fix = format!("let `{url}` and `{api_url}` name the same project");
        Some(Refusal::new("supabase-url", seen, fix))
    };
    match (home(dsn), &api.project_ref) {
        (Home::Project(one), Some(two)) if one != *two => {
            refusal(format!("`{api_url}` names the project `{two}`, `{url}` names `{one}`"))
        }
        (Home::Project(_) | Home::Host, None) => {
            refusal(format!("`{api_url}` leads to loopback, `{url}` to `{}`; the first may be a tunnel", dsn.host))
        }
        _ => None,
    }
}

fn resolver(declared: &Declared<'_>) -> Vec<Refusal> {
    let set = RESOLVER.iter().filter(|name| declared.exported.get(**name).is_some_and(|value| !value.is_empty()));
    set.map(|name| {
        let seen = format!("`{name}` is exported: it can lead the host's name elsewhere, for this program too");
        Refusal::new("resolver", seen, format!("unset {name}"))
    })
    .collect()
}

/// Refs that are set for the Supabase CLI; it never sees them, but they say what this environment was meant for.
fn projects(declared: &Declared<'_>, given: &Given, reading: &Reading) -> Vec<Refusal> {
    let own = reading.dsn.as_ref().and_then(|dsn| project_ref(dsn, reading.supabase.as_ref()));
    let wrong = |project: &str| match &own {
        Some(own) => own != project,
        None => !declared.policy.allows_project(project),
    };
    let values = |name: &str| [declared.exported.get(name).map(String::as_str), given.get(name)];
    let foreign = |name: &str| values(name).into_iter().flatten().any(|project| !project.is_empty() && wrong(project));
    let set = PROJECTS.into_iter().filter(|name| foreign(name));
    set.map(|name| {
        let seen = format!("`{name}` names another Supabase project than the target's");
        Refusal::new("project", seen, format!("unset {name}, or correct it"))
    })
    .collect()
}

/// What else is declared and could name a database or a project: well-known URL variables of the shell, and all that a
/// child would get.
fn others<'a>(declared: &'a Declared<'_>, given: &'a Given) -> Vec<(&'a str, &'a str)> {
    let own = target_variables(declared.policy);
    let exported = OTHER_URLS.iter().filter_map(|name| declared.exported.get_key_value(*name));
    let exported = exported.map(|(name, value)| (name.as_str(), value.as_str()));
    let others = exported.chain(given.others(declared.policy));
    let mut others: Vec<_> = others.filter(|(name, _)| !own.contains(name)).collect();
    others.sort_unstable();
    others.dedup();
    others
}

/// A value that names a database must name the target's, and one that names a project an allowed one.
fn foreign_value(policy: &Policy, variable: &str, value: &str, dsn: Option<&Dsn>) -> Vec<Refusal> {
    if !holds_database_url(value) {
        let project = project_of(value).filter(|project| !policy.allows_project(project));
        return project.map(|project| foreign_project(policy, variable, &project)).into_iter().collect();
    }
    let other = match form::parse(variable, value) {
        Ok(other) => other,
        Err(flaws) => return flaws,
    };
    let judged = judge(policy, variable, &other);
    match dsn {
        Some(dsn) if judged.is_empty() && !same_target(dsn, &other) => {
            let seen =
                format!("`{variable}` leads to `{}`, `{}` to `{}`", other.identity(), policy.url_env, dsn.identity());
            vec![Refusal::new("other-url", seen, format!("unset {variable}, or let it name the target's database"))]
        }
        _ => judged,
    }
}
