//! The server: the way to it, and then what it says of itself, of the role, of who else is at work, and of the history.

use jiff::SignedDuration;

use crate::causes::{guard as causes, machine, rights as versions};
use crate::clock;
use crate::doctor::check::{Check, Mark};
use crate::doctor::{Patient, copies, history, mirror, network, rights};
use crate::error::{Refusal, Result};
use crate::guard::{self, Candidate, ClaimStatus, Demand};
use crate::parity::rest;
use crate::postgres::claim;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::identity::{Identity, identity};
use crate::rows::snapshot::{free_bytes, megabytes};
use crate::session::{self, reach::NAME};
use pin::Pin;

/// What needs a login, and then a server that is not refused, in the order of the rows.
const BEHIND: [&str; 10] =
    ["version", "claim", "disk", "clock", "rights", "limits", "locks", "ledger", "drift", "mirror"];

/// As PostgREST forgives.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(30);

/// When a major version got its last fixes (postgresql.org, "Versioning Policy").
const LAST_FIXES: [(i32, &str); 5] =
    [(14, "2026-11-12"), (15, "2027-11-11"), (16, "2028-11-09"), (17, "2029-11-08"), (18, "2030-11-14")];

pub fn look(patient: &Patient) -> Vec<Check> {
    let Some(candidate) = &patient.candidate else {
        return vec![Check::skipped("server", "nothing is dialled before the target is proven")];
    };
    let (pin, mut rows) = network::look(patient, candidate);
    let Some(pin) = pin else {
        rows.extend(BEHIND.map(|name| Check::skipped(name, "needs a login")));
        return rows;
    };
    rows.extend(behind(patient, candidate, &pin));
    rows
}

fn behind(patient: &Patient, candidate: &Candidate, pin: &Pin) -> Vec<Check> {
    let lease = pin.own_token(NAME);
    let url = lease.driver_url(&candidate.dsn().database);
    let opened = Connection::open(&url, NAME, patient.settings.timeouts.query).and_then(|mut connection| {
        Ok((Identity { address: Some(pin.address()), ..identity(&mut connection)? }, connection))
    });
    let (identity, mut connection) = match opened {
        Ok(opened) => opened,
        Err(failure) => return vec![Check::of_failure("session", &failure, None)],
    };
    let connection = &mut connection;
    let mut rows = vec![version(&identity)];
    let claim = or_row("claim", claim_of(connection, &identity, candidate));
    let is_refused = claim.iter().any(|row| row.mark == Mark::Fail);
    rows.extend(claim);
    if is_refused {
        rows.extend(BEHIND[2..].iter().map(|name| Check::skipped(name, "nothing more is asked of this server")));
        return rows;
    }
    rows.push(disk(patient, &identity));
    rows.extend(copies::look(connection, &patient.settings, &identity.database));
    rows.extend(or_row("clock", clock_of(connection).map(|row| vec![row])));
    rows.extend(or_row("rights", rights::look(connection, &patient.settings, candidate)));
    let too_old = identity.check_version().is_err();
    let locks = or_row("locks", history::locks(connection, candidate));
    let is_free = locks.iter().all(|row| row.mark != Mark::Fail);
    rows.extend(locks);
    if too_old || !is_free {
        let why = if too_old { "needs a newer server" } else { "waits for who holds the lock" };
        rows.extend(["ledger", "drift", "mirror"].map(|name| Check::skipped(name, why)));
        return rows;
    }
    rows.extend(history::look(patient, candidate, connection));
    rows.push(mirror::by_sql(patient, candidate, connection));
    rows
}

/// The rows, or the one that says why there are none.
fn or_row(name: &'static str, rows: Result<Vec<Check>>) -> Vec<Check> {
    rows.unwrap_or_else(|failure| vec![Check::of_failure(name, &failure, None)])
}

fn version(identity: &Identity) -> Check {
    const NAME: &str = "version";
    if let Err(failure) = identity.check_version() {
        return Check::of_failure(NAME, &failure, None);
    }
    let major = identity.major_version();
    let today = clock::rfc3339(clock::now());
    match LAST_FIXES.iter().find(|(known, date)| *known == major && **date < *today.as_str()) {
        Some((_, date)) => {
            let hint = versions::SERVER_END_OF_LIFE.hint(&[("major", &major.to_string()), ("date", date)]);
            Check::warn(NAME, format!("Postgres {} gets no more fixes since {date}", identity.version), hint)
        }
        None => Check::ok(NAME, format!("Postgres {}", identity.version)),
    }
}

/// Layer 4, for the least and for the most that a stage asks.
pub fn claim_of(connection: &mut Connection, identity: &Identity, candidate: &Candidate) -> Result<Vec<Check>> {
    const NAME: &str = "claim";
    let observed = session::observed(identity, claim::read(connection)?);
    let row = |refusal: &Refusal| Check::of_refusal(NAME, refusal);
    let target = match guard::prove(candidate.clone(), &observed, Demand::Additive) {
        Ok(target) => target,
        Err(refusals) => return Ok(refusals.iter().map(row).collect()),
    };
    let words = format!("`{}` is {}", identity.database, target.standing().in_words());
    let values = [("database", identity.database.as_str())];
    Ok(vec![match target.standing() {
        ClaimStatus::Claimed => Check::ok(NAME, words),
        ClaimStatus::Unclaimed => {
            let words = words + ": backward, reset and restore are refused";
            Check::warn(NAME, words, causes::UNCLAIMED.hint(&values))
        }
        ClaimStatus::Copied(_) | ClaimStatus::Unproven => {
            let words = format!("`{}` comes {}", identity.database, target.standing().in_words());
            Check::warn(NAME, words, causes::CLAIM_OF_ANOTHER.hint(&values))
        }
    }])
}

/// Whether a snapshot of the whole database would find room.
fn disk(patient: &Patient, identity: &Identity) -> Check {
    const NAME: &str = "disk";
    let folder = patient.settings.private_dir();
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(&folder);
    let Ok(free) = free_bytes(there) else {
        return Check::skipped(NAME, "the file system does not say how much is free");
    };
    let needed = u64::try_from(identity.size_bytes).unwrap_or_default();
    let (shown_free, shown_needed) = (megabytes(free), megabytes(needed));
    if free >= needed {
        return Check::ok(NAME, format!("{shown_free} free, and the database has {shown_needed}"));
    }
    let values = [("folder", ".drill"), ("needed", &shown_needed), ("free", &shown_free)];
    let seen = format!("{shown_free} are free, and the database has {shown_needed}");
    Check::warn(NAME, seen, machine::DISK_LOW.hint(&values))
}

fn clock_of(connection: &mut Connection) -> Result<Check> {
    const NAME: &str = "clock";
    let before = clock::now();
    let row =
        connection.client().query_one("select pg_catalog.clock_timestamp()", &[]).could_not("ask for the time")?;
    let (theirs, after): (jiff::Timestamp, _) = (row.get(0), clock::now());
    let ahead = theirs.duration_since(if theirs < before { before } else { after.min(theirs) });
    Ok(clock_row(NAME, ahead))
}

/// `ahead`: the server's clock, of ours.
pub fn clock_row(name: &'static str, ahead: SignedDuration) -> Check {
    if ahead.abs() <= CLOCK_TOLERANCE {
        return Check::ok(name, "the server's clock and this machine's agree");
    }
    Check::warn(name, format!("the server's clock is {}", rest::in_words(ahead)), machine::CLOCK_OFF.hint(&[]))
}
