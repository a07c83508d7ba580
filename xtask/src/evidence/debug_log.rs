//! `debug.log`: what the drill itself did, and when, for whoever has to find out why a run went as it did.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::error::Result;
use crate::evidence::folder::Run;
use redact::Redactor;

pub struct DebugLog {
    begun: Instant,
    file: Mutex<File>,
    redactor: Redactor,
}

impl DebugLog {
    /// # Errors
    /// `failed` when the run's folder cannot be written.
    pub fn of(run: &Run) -> Result<DebugLog> {
        let file = Mutex::new(run.create("debug.log")?);
        Ok(DebugLog { begun: Instant::now(), file, redactor: run.redactor().clone() })
    }

    /// One line, with the seconds since the record was opened. A line that cannot be written does not stop a run.
    pub fn line(&self, what: impl Display) {
        let line = format!("{:>9.3} {what}", self.begun.elapsed().as_secs_f64()).replace('\n', "\n          ");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(file, "{}", self.redactor.text(&line));
    }
}
