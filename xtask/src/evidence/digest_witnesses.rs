//! Who says what a run's `run.json` was: the runs that followed it, the entries for people, and the attestation
//! beside it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::evidence::entry::evidence_of;
use crate::evidence::feedback::KEPT;
use crate::evidence::past::{Past, State, is_run};
use crate::evidence::record::RECORD;
use crate::evidence::views::attestation::ATTESTATION;
use crate::files::{read_linked, read_plain};
use crate::settings::Settings;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// A run, or a file as a person would type it.
    pub by: String,
    /// When it was written down, where that is known.
    pub at: Option<String>,
    pub sha256: String,
    /// Whether it lies outside the run's own folder, so that who changes that does not change this.
    pub outside: bool,
}

/// All of them, by the run that they vouch for, which need not be there any more.
pub type Vouchers = BTreeMap<String, Vec<Voucher>>;

/// # Errors
/// None: a file that cannot be read vouches for nothing.
pub fn collect(settings: &Settings, runs: &[Past]) -> Vouchers {
    let mut vouchers = Vouchers::new();
    let mut add = |run: &str, voucher: Voucher| vouchers.entry(run.to_owned()).or_default().push(voucher);
    for past in runs.iter().filter(|past| past.state == State::Closed) {
        let Some(link) = &past.link else { continue };
        for previous in link.followed() {
            let (by, at) = (past.name.clone(), link.closed_at().map(str::to_owned));
            add(&previous.run, Voucher { by, at, sha256: previous.sha256.clone(), outside: true });
        }
    }
    for past in runs {
        if let Some(sha256) = attested(&past.folder) {
            add(&past.name, Voucher { by: ATTESTATION.to_owned(), at: None, sha256, outside: false });
        }
        for (run, sha256) in entries(settings, &past.folder.join(KEPT)) {
            add(&run, Voucher { by: KEPT.to_owned(), at: None, sha256, outside: false });
        }
    }
    if settings.recorded() {
        let evidence = &settings.evidence;
        for file in [&evidence.deployment, &evidence.data, &evidence.qa] {
            for (run, sha256) in entries(settings, file) {
                add(&run, Voucher { by: settings.shown(file), at: None, sha256, outside: true });
            }
        }
    }
    vouchers
}

/// The digest of `run.json` that the attestation beside it states.
fn attested(folder: &Path) -> Option<String> {
    let statement: Value = serde_json::from_slice(&read_plain(&folder.join(ATTESTATION)).ok()?).ok()?;
    let subject = statement["subject"].as_array()?.iter().find(|subject| subject["name"] == RECORD)?;
    subject["digest"]["sha256"].as_str().map(str::to_owned)
}

/// The runs of the evidence folder that a file for people names, with the digests of their records.
fn entries(settings: &Settings, file: &Path) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&read_linked(file).unwrap_or_default()).into_owned();
    named(&text, &settings.shown(&settings.evidence_dir()))
}

fn named(text: &str, dir: &str) -> Vec<(String, String)> {
    let ours = text.lines().filter_map(evidence_of).filter(|(of, run, _)| *of == dir && is_run(run));
    ours.map(|(_, run, sha256)| (run.to_owned(), sha256.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::entry::{Place, entry};
    use crate::evidence::record::Record;

    #[test]
    fn what_an_entry_says_is_read_again() {
        let sha256 = "7".repeat(64);
        let record = Record::of(serde_json::json!({ "files": { "report.html": "0" } }));
        let shown = "feedback/evidence/20261122T200401Z-forward-4368db";
        let text = entry(&record, &sha256, &Place { shown, link: "evidence/20261122T200401Z-forward-4368db" });
        assert_eq!(named(&text, "feedback/evidence"), [("20261122T200401Z-forward-4368db".to_owned(), sha256)]);
        assert_eq!(named(&text, ".drill/evidence"), []);
    }
}
