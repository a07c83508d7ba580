//! What the role may do, and what its sessions begin with, as rows.

use std::time::Duration;

use postgres_protocol::escape::escape_identifier;

use crate::causes::{Cause, rights as causes};
use crate::doctor::check::Check;
use crate::error::Result;
use crate::guard::Candidate;
use crate::postgres::connection::Connection;
use crate::postgres::rights::{self, Begins, Rights, Slot};
use crate::settings::Settings;
use crate::words::counted;

const RIGHTS: &str = "rights";
const LIMITS: &str = "limits";

/// What a run has open at once: its lock, its questions, Prisma's engine, a replay and what watches it.
const NEEDED: i64 = 5;

/// The next time the rest is named.
const MOST_REMEDIES: usize = 20;

/// The settings of a session that get into a migration's way.
const SETTINGS: [(&str, &Cause); 5] = [
    ("default_transaction_read_only", &causes::READ_ONLY),
    ("statement_timeout", &causes::STATEMENT_TIMEOUT),
    ("transaction_timeout", &causes::STATEMENT_TIMEOUT),
    ("idle_session_timeout", &causes::IDLE_TIMEOUT),
    ("idle_in_transaction_session_timeout", &causes::IDLE_TIMEOUT),
];

/// Shorter than that, a session may be ended between two statements of a migration.
const IDLE: Duration = Duration::from_secs(30);

/// # Errors
/// As the server's.
pub fn look(connection: &mut Connection, settings: &Settings, candidate: &Candidate) -> Result<Vec<Check>> {
    let schemas = candidate.schemas();
    let found = rights::rights(connection, &schemas)?;
    let mut rows = of_schemas(&found, &schemas);
    rows.extend(others(&found));
    if !found.may_create_databases {
        let hint = causes::NO_CREATEDB.hint(&[("role", &escape_identifier(&found.role))]);
        rows.push(Check::warn(
            RIGHTS,
            format!("`{}` may not create databases, so replays run on the sandbox", found.role),
            hint,
        ));
    }
    if rows.is_empty() {
        rows.push(Check::ok(RIGHTS, format!("`{}` may create, alter and drop in {}", found.role, schemas.join(", "))));
    }
    rows.extend(limits(connection, settings, &found)?);
    Ok(rows)
}

fn of_schemas(found: &Rights, schemas: &[&str]) -> Vec<Check> {
    let role = escape_identifier(&found.role);
    let row = |name: &&str| {
        let schema = escape_identifier(name);
        let values = [("schema", schema.as_str()), ("role", role.as_str())];
        match found.schemas.iter().find(|schema| schema.name == *name) {
            Some(rights) if !rights.may_create => Some(Check::fail(
                RIGHTS,
                format!("`{}` may not create tables in the schema `{name}`", found.role),
                causes::NO_CREATE_ON_SCHEMA.hint(&values),
            )),
            Some(rights) if !rights.is_owner => Some(Check::warn(
                RIGHTS,
                format!("`{}` does not own the schema `{name}`, so a reset could not drop it", found.role),
                causes::NOT_SCHEMA_OWNER.hint(&values),
            )),
            None if !found.may_create_schemas => Some(Check::fail(
                RIGHTS,
                format!("there is no schema `{name}`, and `{}` may not create it", found.role),
                causes::NO_CREATE_IN_DATABASE
                    .hint(&[("database", &escape_identifier(&found.database)), ("role", &role)]),
            )),
            _ => None,
        }
    };
    schemas.iter().filter_map(row).collect()
}

fn others(found: &Rights) -> Option<Check> {
    let first = found.others.first()?;
    let remedies: Vec<&str> = found.others.iter().take(MOST_REMEDIES).map(|table| table.remedy.as_str()).collect();
    let hint = causes::NOT_TABLE_OWNER.hint(&[("statements", &remedies.join("; "))]);
    let count = counted(found.others.len(), "table");
    let seen = format!(
        "`{}` may not alter {count} of the schema, which belong to others: `{}` to `{}`",
        found.role, first.name, first.owner
    );
    Some(Check::warn(RIGHTS, seen, hint))
}

fn limits(connection: &mut Connection, settings: &Settings, found: &Rights) -> Result<Vec<Check>> {
    let names = SETTINGS.map(|(name, _)| name);
    let begins = rights::begins_with(connection, &names, &found.role, &found.database)?;
    let mut rows: Vec<Check> = begins.iter().filter_map(|begins| of_setting(begins, settings)).collect();
    rows.extend(slots(found));
    if rows.is_empty() {
        rows.push(Check::ok(LIMITS, "no timeout, no read-only default, and room for more sessions"));
    }
    Ok(rows)
}

/// None where it is long enough for every migration that the drill waits for.
fn of_setting(begins: &Begins, settings: &Settings) -> Option<Check> {
    let (_, cause) = SETTINGS.into_iter().find(|(name, _)| *name == begins.name)?;
    let hint = cause.hint(&[("statement", &begins.remedy)]);
    if begins.name == "default_transaction_read_only" {
        return Some(Check::fail(
            LIMITS,
            "sessions of this role are read-only: default_transaction_read_only is on",
            hint,
        ));
    }
    let limit = Duration::from_millis(begins.value.parse().ok()?);
    let is_own = begins.name == "statement_timeout" && settings.deploy.statement_timeout.is_some();
    let enough = if begins.name.starts_with("idle") { IDLE } else { settings.timeouts.migrate };
    (limit < enough && !is_own).then(|| {
        let shown = crate::words::duration(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        Check::warn(LIMITS, format!("sessions of this role begin with {} = {shown}", begins.name), hint)
    })
}

fn slots(found: &Rights) -> Option<Check> {
    // Superusers have no limit of their own, and a reserve.
    if found.is_superuser {
        return None;
    }
    let short = |slot: Slot| slot.free().filter(|free| *free < NEEDED);
    let needed = |slot: Slot| (slot.used + NEEDED).to_string();
    let (slots, role, database) = (&found.slots, escape_identifier(&found.role), escape_identifier(&found.database));
    if let Some(free) = short(slots.role) {
        let hint = causes::ROLE_SLOTS.hint(&[("role", &role), ("needed", &needed(slots.role))]);
        return Some(Check::warn(
            LIMITS,
            format!("`{}` may open {free} more sessions, and a run needs {NEEDED}", found.role),
            hint,
        ));
    }
    if let Some(free) = short(slots.database) {
        let hint = causes::DATABASE_SLOTS.hint(&[("database", &database), ("needed", &needed(slots.database))]);
        return Some(Check::warn(
            LIMITS,
            format!("`{}` lets in {free} more sessions, and a run needs {NEEDED}", found.database),
            hint,
        ));
    }
    let free = short(slots.server)?;
    let hint = causes::SERVER_SLOTS.hint(&[("free", &free.to_string()), ("all", &slots.server.limit.to_string())]);
    Some(Check::warn(LIMITS, format!("the server has {free} connections left of {}", slots.server.limit), hint))
}
