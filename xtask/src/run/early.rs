//! Children that are started before their turn: Prisma's CLI needs most of a second before it asks for the database. Until its turn
//! comes the pin lets nothing of it through, and what it says is read by nobody.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::process::{Invocation, Started};
use pin::{Hold, Lease};

/// Those of one run.
#[derive(Default)]
pub struct Early(Mutex<Vec<Waiting>>);

struct Waiting {
    invocation: Invocation,
    /// After that it no longer waits for the database.
    until: Option<Instant>,
    /// None once it is somebody else's.
    started: Option<Started>,
    /// After `started`: whoever is let through later is not this one.
    _hold: Hold,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.started.take().into_iter().for_each(Started::end);
    }
}

impl Early {
    /// Unless it waits already. One that cannot be started now is started at its turn, which then says why it cannot. `patience` is how
    /// long its program may be kept waiting; None for one that waits as long as it has to.
    pub fn start(&self, invocation: &Invocation, lease: &Lease, patience: Option<Duration>) {
        let mut waiting = self.waiting();
        if waiting.iter().any(|early| early.invocation == *invocation) {
            return;
        }
        let hold = lease.hold();
        if let Ok(started) = Started::new(invocation) {
            let until = patience.map(|patience| Instant::now() + patience);
            waiting.push(Waiting { invocation: invocation.clone(), until, started: Some(started), _hold: hold });
        }
    }

    /// The one that was started of exactly this, and lets it in. One of the same command is ended if it has another environment, or was kept
    /// waiting for too long: its turn does not come.
    pub fn take(&self, invocation: &Invocation) -> Option<Started> {
        let mut waiting = self.waiting();
        let at = waiting.iter().position(|early| early.invocation.shown() == invocation.shown())?;
        let mut early = waiting.remove(at);
        let still_waits = early.until.is_none_or(|until| Instant::now() < until);
        if early.invocation == *invocation && still_waits { early.started.take() } else { None }
    }

    /// The one that was started of exactly this, or a new one.
    ///
    /// # Errors
    /// `blocked` when the program cannot be started.
    pub fn take_or_start(&self, invocation: &Invocation) -> Result<Started> {
        self.take(invocation).map_or_else(|| Started::new(invocation), Ok)
    }

    /// Ends all that still wait.
    pub fn end(&self) {
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::interrupt::Interrupt;
    use crate::postgres::connection::Connection;
    use crate::postgres::server;
    use pin::dsn::{Dsn, Host, SslMode};
    use pin::{Options, Pin, Urgency};
    use redact::Redactor;

    type End = fn(&mut Early, &Invocation);

    const LONG: Duration = Duration::from_secs(60);

    fn pin() -> Pin {
        let url = server::url("postgres", "postgres");
        let port = url.split([':', '/']).filter_map(|part| part.parse().ok()).next().unwrap();
        let dsn = Dsn {
            user: "postgres".to_owned(),
            password: None,
            host: Host::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
            port,
            database: "postgres".to_owned(),
            sslmode: SslMode::Disable,
            schema: "public".to_owned(),
            parameters: BTreeMap::new(),
        };
        let (elsewhere, urgency) = (Vec::new(), Urgency::default());
        Pin::open(&dsn, Options { ca_file: None, connect_timeout: LONG, elsewhere, silence: LONG, urgency }).unwrap()
    }

    /// Writes its number down first.
    fn child(folder: &Path, then: &str) -> Invocation {
        let script = format!("echo $$ > begun; {then}");
        Invocation::new("/bin/sh", folder).args(["-c", &script]).env("PATH", "/usr/bin:/bin")
    }

    fn number(folder: &Path) -> String {
        let limit = Instant::now() + LONG;
        loop {
            assert!(Instant::now() < limit, "it was not started");
            match fs::read_to_string(folder.join("begun")) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn lets_in(pin: &Pin, lease: &Lease) -> bool {
        let database = &pin.identity().database;
        Connection::open(&lease.driver_url(database), "test", Duration::from_secs(1)).is_ok()
    }

    #[test]
    fn it_is_taken_over_once_with_what_it_has_said_and_let_in_then() {
        let (pin, folder) = (pin(), tempfile::tempdir().unwrap());
        let (lease, early) = (pin.token("early"), Early::default());
        let invocation = child(folder.path(), "echo ready");
        early.start(&invocation, &lease, None);
        early.start(&invocation, &lease, None);
        let begun = number(folder.path());
        let started = std::thread::scope(|scope| {
            let client = scope.spawn(|| lets_in(&pin, &lease));
            std::thread::sleep(Duration::from_millis(100));
            assert!(!client.is_finished(), "it has to wait");
            let started = early.take(&invocation).unwrap();
            assert!(client.join().unwrap());
            started
        });
        assert!(early.take(&invocation).is_none());
        let finished = started.run(LONG, std::io::sink(), &Redactor::generic(), &Interrupt::default()).unwrap();
        assert_eq!((finished.exit.code(), finished.tail), (Some(0), vec!["ready".to_owned()]));
        assert_eq!(number(folder.path()), begun);
    }

    #[test]
    fn one_whose_turn_does_not_come_is_ended_before_anybody_is_let_in() {
        let pin = pin();
        let ends: [(Option<Duration>, End); 4] = [
            (None, |early, _| early.end()),
            (None, |early, invocation| assert!(early.take(&invocation.clone().env("URL", "another")).is_none())),
            (Some(Duration::ZERO), |early, invocation| assert!(early.take(invocation).is_none())),
            (None, |early, _| drop(std::mem::take(early))),
        ];
        for (patience, end) in ends {
            let folder = tempfile::tempdir().unwrap();
            let (lease, mut early) = (pin.token("early"), Early::default());
            let invocation = child(folder.path(), "sleep 60 & wait");
            early.start(&invocation, &lease, patience);
            let alive = Path::new("/proc").join(number(folder.path())).join("cmdline");
            assert!(alive.exists() && early.take(&child(folder.path(), "another")).is_none());
            end(&mut early, &invocation);
            assert!(!alive.exists(), "it was waited for");
            assert!(lets_in(&pin, &lease));
        }
    }
}
