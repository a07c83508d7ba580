//! Between this machine and the server, step by step: the name, the port, TLS, the login. The first that fails has the cause; what comes
//! after it was not reached.

use std::net::SocketAddr;

use crate::causes::network;
use crate::doctor::Patient;
use crate::doctor::check::{Check, Mark};
use crate::guard::{self, Candidate};
use crate::session::reach;
use pin::{Pin, PinError, Unanswered};

const STEPS: [&str; 4] = ["dns", "port", "tls", "login"];

/// The way in, where there is one, and the rows of its four steps.
pub fn look(patient: &Patient, candidate: &Candidate) -> (Option<Pin>, Vec<Check>) {
    let settings = &patient.settings;
    if let Err(failure) = reach::not_a_transaction_pooler(settings, candidate) {
        let mut rows = vec![Check::of_failure("pooler", &failure, None)];
        rows.extend(STEPS.map(|name| Check::skipped(name, "migrations need another port")));
        return (None, rows);
    }
    let dsn = candidate.dsn();
    let addresses = pin::addresses(&dsn.host, dsn.port, settings.timeouts.connect);
    let addresses = match addresses {
        Ok(addresses) => addresses,
        Err(error) => return (None, failed_at(0, &[], patient, candidate, error)),
    };
    match reach::open(settings, &patient.interrupt, candidate) {
        Ok(pin) => {
            let rows = said_to_be_a_pooler(patient, candidate).into_iter().chain(passed(&pin, candidate, &addresses));
            (Some(pin), rows.collect())
        }
        Err(error) => (None, failed_at(step_of(&error), &addresses, patient, candidate, error)),
    }
}

/// By the URL's own word, which is one for the application's client.
fn said_to_be_a_pooler(patient: &Patient, candidate: &Candidate) -> Option<Check> {
    let says_so = guard::is_transaction_pooler(candidate.dsn());
    says_so.then(|| {
        let session = "the server itself or a pooler that gives a session, without `pgbouncer=true`";
        let hint = reach::needs_a_session(&patient.settings, candidate, session);
        Check::warn("pooler", "the URL says `pgbouncer=true`: each transaction may get another session", hint)
    })
}

/// Which of the four steps failed.
fn step_of(error: &PinError) -> usize {
    match error {
        PinError::Unresolvable { .. } | PinError::Ipv6Only { .. } | PinError::Shared { .. } => 0,
        PinError::Refused { .. }
        | PinError::Unreachable { .. }
        | PinError::NotPostgres { .. }
        | PinError::TimedOut { what: Unanswered::Connecting | Unanswered::Tls, .. } => 1,
        PinError::TlsRequiredButNotOffered
        | PinError::TlsRequiredByServer { .. }
        | PinError::TlsFailed { .. }
        | PinError::CertificateRejected { .. }
        | PinError::CaFile { .. } => 2,
        _ => 3,
    }
}

fn passed(pin: &Pin, candidate: &Candidate, addresses: &[SocketAddr]) -> Vec<Check> {
    let dsn = candidate.dsn();
    let encrypted = if pin.is_encrypted() { "encrypted" } else { "not encrypted" };
    vec![
        Check::ok(STEPS[0], resolved(addresses)),
        Check::ok(STEPS[1], format!("{} answers as Postgres does", pin.address())),
        Check::ok(STEPS[2], format!("{encrypted}, sslmode {}", dsn.sslmode.word())),
        Check::ok(STEPS[3], format!("`{}` may connect to `{}`", dsn.user, dsn.database)),
    ]
}

/// Each kind of address by how many there are.
fn resolved(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let six = addresses.iter().filter(|address| address.is_ipv6()).count();
    format!("{} (A {}, AAAA {six})", shown.join(", "), addresses.len() - six)
}

fn failed_at(
    step: usize,
    addresses: &[SocketAddr],
    patient: &Patient,
    candidate: &Candidate,
    error: PinError,
) -> Vec<Check> {
    let settings = &patient.settings;
    let passed = |at: usize| match at {
        0 => Check::ok(STEPS[0], resolved(addresses)),
        // Certificates are read before anything is dialled.
        _ if matches!(error, PinError::CaFile { .. }) => {
            Check::skipped(STEPS[at], "not dialled without the certificates")
        }
        1 => Check::ok(STEPS[1], "a Postgres answers"),
        _ => Check::ok(STEPS[at], "as `sslmode` asks"),
    };
    let before: Vec<Check> = (0..step).map(passed).collect();
    let failure = reach::refused(settings, candidate, error.clone());
    let mut own = Check::of_failure(STEPS[step], &failure, Some(&network::TLS_FAILED).filter(|_| step == 2));
    own.message = error.to_string();
    let after = STEPS[step + 1..].iter().map(|name| Check::skipped(name, format!("needs `{}`", STEPS[step])));
    let rows: Vec<Check> = before.into_iter().chain([own]).chain(after).collect();
    debug_assert_eq!(rows.iter().filter(|row| row.mark == Mark::Fail).count(), 1);
    rows
}
