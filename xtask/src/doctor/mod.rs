//! What keeps a target from being used: everything looked at, all probes at once, nothing changed.
//!
//! A probe has its time, and the answer comes after five seconds at most: one that has not answered by then is a row of its own.
//! What is behind something that fails is skipped and says so, so that one cause is one row.

pub mod check;
mod copies;
mod declared;
mod env_file;
mod history;
mod machine;
mod mirror;
mod network;
mod programs;
mod project;
mod rights;
mod sandbox;
mod server;
pub mod standing;

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::causes::network::NO_ANSWER;
use crate::error::{Failure, Result, guarded};
use crate::guard::Candidate;
use crate::interrupt::Interrupt;
use crate::process::locate::{self, Toolbox};
use crate::settings::Settings;
use check::Check;
use redact::Redactor;

/// When the answer comes, whoever is silent.
const LONGEST: Duration = Duration::from_millis(4_500);
/// For a name, an address and a login each: together they are within the time for all.
const NETWORK: Duration = Duration::from_millis(1_300);

/// What all probes look at.
pub struct Patient {
    pub settings: Settings,
    pub interrupt: Interrupt,
    pub redactor: Redactor,
    /// None where layers 1 to 3 refuse it, or where nothing says where it is.
    pub candidate: Option<Candidate>,
    /// Node and its version, asked once.
    node: OnceLock<Result<(PathBuf, String)>>,
    /// Looked for once: a native engine is asked for its version.
    toolbox: OnceLock<Option<Toolbox>>,
    /// Why drill.toml could not be used; its defaults are looked at then.
    pub unusable: Option<Failure>,
}

impl Patient {
    /// # Errors
    /// `blocked` where it is missing, too old, or does not start.
    fn node(&self) -> Result<(PathBuf, String)> {
        let ask = || {
            let node = locate::node(&self.settings)?;
            let version = locate::node_version(&node, &self.interrupt)?;
            Ok((node, version))
        };
        self.node.get_or_init(ask).clone()
    }

    /// Node, Prisma and its engine, as far as they are here: nothing is brought.
    fn toolbox(&self) -> Option<&Toolbox> {
        self.toolbox.get_or_init(|| self.find_toolbox()).as_ref()
    }

    fn find_toolbox(&self) -> Option<Toolbox> {
        // One that does not start is no use to anybody.
        self.node().ok()?;
        Toolbox::here(&self.settings).ok()
    }
}

type Probe<T> = (&'static str, fn(&T) -> Vec<Check>);

/// In the order of the answer. The name is that of the row for a probe that does not answer.
const PROBES: [Probe<Patient>; 11] = [
    ("env-file", env_file::look),
    ("git", env_file::look_at_git),
    ("node", programs::node),
    ("packages", programs::packages),
    ("supabase-cli", programs::supabase),
    ("config", project::config),
    ("project", project::look),
    ("server", server::look),
    ("rest", mirror::over_rest),
    ("machine", machine::look),
    ("sandbox", sandbox::look),
];

/// Declares the target, and looks at everything.
pub fn examine(settings: Settings, interrupt: &Interrupt, unusable: Option<Failure>) -> (Arc<Patient>, Vec<Check>) {
    let begun = Instant::now();
    let mut settings = settings;
    settings.timeouts.connect = settings.timeouts.connect.min(NETWORK);
    settings.timeouts.query = settings.timeouts.query.min(LONGEST);
    settings.timeouts.silence = settings.timeouts.silence.min(LONGEST);
    settings.output.quiet = true;
    settings.reads_only = true;
    let (patient, mut rows) = declared::look(settings, interrupt, unusable);
    let patient = Arc::new(patient);
    rows.extend(side_by_side(&patient, &PROBES, begun + LONGEST));
    (patient, rows)
}

/// The rows of `probes` in their order, each in a thread of its own that is left behind where it does not answer.
fn side_by_side<T: Send + Sync + 'static>(patient: &Arc<T>, probes: &[Probe<T>], until: Instant) -> Vec<Check> {
    let (tell, told) = channel();
    for (number, (name, probe)) in probes.iter().copied().enumerate() {
        let (tell, patient) = (tell.clone(), Arc::clone(patient));
        std::thread::spawn(move || {
            let rows = guarded("the probe broke", || Ok(probe(&patient)));
            tell.send((number, rows.unwrap_or_else(|broken| vec![Check::of_failure(name, &broken, None)])))
        });
    }
    drop(tell);
    let mut answers: Vec<Option<Vec<Check>>> = vec![None; probes.len()];
    while let Ok((number, rows)) = told.recv_timeout(until.saturating_duration_since(Instant::now())) {
        answers[number] = Some(rows);
    }
    let silent = |name| vec![Check::fail(name, "did not answer in time", NO_ANSWER.hint(&[]))];
    answers.into_iter().zip(probes).flat_map(|(rows, (name, _))| rows.unwrap_or_else(|| silent(*name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use check::Mark;

    #[test]
    fn a_probe_that_hangs_or_breaks_is_a_row_and_holds_nobody_up() {
        let probes: [Probe<()>; 3] = [
            ("hangs", |_| {
                std::thread::sleep(Duration::from_secs(60));
                Vec::new()
            }),
            ("answers", |_| vec![Check::ok("answers", "yes")]),
            ("breaks", |_| vec![Check::ok("breaks", format!("{}", [1][std::hint::black_box(1)]))]),
        ];
        let begun = Instant::now();
        let rows = side_by_side(&Arc::new(()), &probes, begun + Duration::from_millis(300));
        assert!(begun.elapsed() < Duration::from_secs(5));
        let rows: Vec<_> = rows.iter().map(|row| (row.name, row.mark)).collect();
        assert_eq!(rows, [("hangs", Mark::Fail), ("answers", Mark::Ok), ("breaks", Mark::Fail)]);
    }
}
