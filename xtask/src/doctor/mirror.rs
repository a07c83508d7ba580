//! The mirror: its table by SQL, and what Supabase's REST API says to the target's key.

use crate::causes::{machine, rest};
use crate::doctor::check::Check;
use crate::doctor::{Patient, server};
use crate::error::Failure;
use crate::guard::Candidate;
use crate::parity::rest::{Client, Obstacle};
use crate::postgres::connection::{Connection, CouldNot};
use crate::settings::Settings;

/// The tables that the pairs of drill.toml compare with.
fn tables(settings: &Settings) -> Vec<&str> {
    let mut tables: Vec<&str> = settings.parity.pairs.iter().map(|pair| pair.mirror.table.as_str()).collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

pub fn by_sql(patient: &Patient, candidate: &Candidate, connection: &mut Connection) -> Check {
    const NAME: &str = "mirror";
    let tables = tables(&patient.settings);
    let elsewhere = candidate.supabase().is_some() && !candidate.api_is_of_the_database();
    if tables.is_empty() || elsewhere {
        let why = if elsewhere { "is in another database: see `rest`" } else { "drill.toml names none" };
        return Check::skipped(NAME, why);
    }
    const MISSING: &str = "
        select t.name from pg_catalog.unnest($2::text[]) t (name)
         where not exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                            where n.nspname = $1 and c.relname = t.name) limit 1";
    let schema = &candidate.dsn().schema;
    let asked = connection.client().query_opt(MISSING, &[schema, &tables]).could_not("look for the mirror's table");
    match asked {
        Err(failure) => Check::of_failure(NAME, &failure, None),
        Ok(None) => Check::ok(NAME, format!("{} is there", tables.join(", "))),
        Ok(Some(row)) => {
            let table: String = row.get(0);
            Check::warn(NAME, format!("there is no `{schema}.{table}`"), rest::TABLE_MISSING.hint(&[]))
        }
    }
}

pub fn over_rest(patient: &Patient) -> Vec<Check> {
    const NAME: &str = "rest";
    let settings = &patient.settings;
    let tables = tables(settings);
    let api = patient.candidate.as_ref().and_then(|candidate| Some((candidate, candidate.supabase()?)));
    let (Some((candidate, api)), Some(table)) = (api, tables.first()) else {
        return vec![Check::skipped(NAME, "the target names no REST API, or drill.toml no pair to compare")];
    };
    if api.key.is_none() {
        return vec![Check::skipped(NAME, "the target has no service key")];
    }
    let mut timeouts = settings.timeouts;
    timeouts.query = timeouts.connect;
    let client = Client::new(api, &candidate.dsn().schema, &timeouts, &patient.interrupt, &patient.redactor);
    let answer = client.map(Client::impatient).and_then(|client| {
        let rows = client.count(table, &[])?;
        Ok((rows, client.clock_difference()))
    });
    match answer {
        Ok((_, Some(ahead))) => vec![server::clock_row(NAME, ahead)],
        Ok((rows, None)) => {
            vec![Check::ok(NAME, format!("`{table}` has {rows} rows over REST, and the key may count them"))]
        }
        Err(obstacle) => vec![of_obstacle(NAME, obstacle)],
    }
}

fn of_obstacle(name: &'static str, obstacle: Obstacle) -> Check {
    let failure = Failure::from(obstacle);
    Check::of_failure(name, &failure, Some(&machine::CLOCK_OFF).filter(|_| failure.message.contains("clock")))
}
