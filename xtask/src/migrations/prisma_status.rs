//! What Prisma itself calls pending.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Failure, OrFail, Result};
use crate::process::{Exit, Invocation};
use crate::run::journal::Journal;
use crate::run::run_plan::in_its_words;
use crate::session::Session;
use crate::tools::prisma::{self, Prisma};
use crate::tools::prisma_error;
use pin::Lease;
use redact::Redactor;

/// What a program said, with the names as they are: a migration may be called as a secret of the target is.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `prisma migrate status`, and its way through the pin.
pub struct Question {
    lease: Lease,
    invocation: Invocation,
}

impl Question {
    pub fn new(session: &Session<'_>) -> Result<Question> {
        let lease = session.lease("prisma migrate status");
        let invocation = Prisma::new(session, &lease).status()?;
        Ok(Question { lease, invocation })
    }

    /// Starts the CLI before its turn.
    pub fn get_ready(&self, journal: &Journal<'_>) {
        journal.early.start(&self.invocation, &self.lease, None);
    }

    /// What Prisma itself calls pending. Its exit code says nothing: it is 1 for pending migrations and for no connection.
    pub fn ask(&self, session: &Session<'_>, journal: &Journal<'_>) -> Result<Vec<String>> {
        let steps: usize = journal.record().outcome.stages.iter().map(|stage| stage.steps.len()).sum();
        let (name, mut log) = journal.run().log(steps, "migrate status")?;
        let (deadline, said) = (session.settings.timeouts.migrate, Said::default());
        let started = journal.early.take_or_start(&self.invocation)?;
        let finished = started.run(deadline, said.clone(), &Redactor::generic(), session.interrupt)?;
        let said = String::from_utf8_lossy(&said.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        log.write_all(session.redactor.text(&said).as_bytes()).failed(|| "cannot write a log")?;
        match finished.exit {
            Exit::Success | Exit::Code(1) if prisma_error::explain(&finished.tail).is_none() => {
                finished.whole(&name).map(|()| prisma::pending_of(&said))
            }
            Exit::Interrupted(status) => Err(Failure::interrupted(status)),
            exit => {
                let failure = Failure::failed(format!("Prisma could not say what is pending: it {}", exit.in_words()));
                Err(in_its_words(failure, &finished.tail, prisma_error::explain(&finished.tail), journal.read(&name)))
            }
        }
    }
}
