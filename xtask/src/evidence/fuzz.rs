//! What must hold of whatever lies in an evidence folder; see `crate::fuzz`.

#![allow(clippy::expect_used, reason = "a property panics where it does not hold")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use redact::Redactor;
use serde_json::json;
use tempfile::TempDir;

use super::digest_witnesses::Voucher;
use super::folder::Run;
use super::past::{self, Past, State};
use super::record::{RECORD, Record};
use super::verify;
use super::views::attestation::ATTESTATION;

const LOG: &str = "01-migrate-deploy.log";
const PLAN: &str = "plan.json";

/// A run that was closed, as it was then.
struct Closed {
    dir: TempDir,
    name: String,
    files: Vec<(&'static str, Vec<u8>)>,
    sha256: String,
}

static CLOSED: LazyLock<Closed> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a folder");
    let run = Run::open(dir.path(), "20261126T200000Z", "forward", &Redactor::generic()).expect("a folder");
    let outcome = json!({
        "command": "forward", "status": "ok", "started_at": "2026-11-26T20:00:00Z", "finished_at": "2026-11-26T20:00:03Z",
        "evidence": format!("feedback/evidence/{}", run.name()),
    });
    let mut record: Record = serde_json::from_value(outcome).expect("a record");
    run.write(PLAN, "{\"steps\": []}\n").expect("room");
    run.log(1, "migrate deploy")
        .expect("room")
        .1
        .write_all(b"All migrations have been successfully applied.\n")
        .expect("room");
    run.close(&mut record).expect("room");
    let name = run.name();
    drop(run);
    let read = |file| (file, fs::read(dir.path().join(&name).join(file)).expect("it was written"));
    let files = [RECORD, ATTESTATION, PLAN, LOG].map(read).to_vec();
    let sha256 = Past::read(dir.path(), &name).sha256.expect("it has a record");
    Closed { dir, name, files, sha256 }
});

/// The first byte says which file of a closed run becomes the rest: whatever is not what it was is found, and nothing is where all is as it was.
pub fn evidence_folder(bytes: &[u8]) {
    let Closed { dir, name, files, sha256 } = &*CLOSED;
    let (which, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let folder = dir.path().join(name);
    let known = files.get(usize::from(which % 8));
    let file = known.map_or("extra.txt", |(file, _)| file);
    fs::write(folder.join(file), rest).expect("room");
    let found = found(dir.path(), name, sha256);
    let is_same = known.is_some_and(|(_, before)| before == rest);
    let (past, findings) = found;
    match known {
        Some((file, before)) => fs::write(folder.join(file), before).expect("room"),
        None => fs::remove_file(folder.join(file)).expect("it is there"),
    }
    assert_eq!(findings.is_empty(), is_same, "{file}: {findings:?}");
    if let Some(record) = past.record.as_ref().filter(|_| past.state == State::Closed && file == RECORD) {
        let again: Record = serde_json::from_value(json!(record)).expect("what was read can be written");
        assert_eq!(json!(again), json!(record));
    }
}

fn found(dir: &Path, name: &str, sha256: &str) -> (Past, Vec<verify::Finding>) {
    let past = Past::read(dir, name);
    let voucher =
        Voucher { by: "feedback/deployment.md".to_owned(), at: None, sha256: sha256.to_owned(), outside: true };
    let findings = verify::check(&past, Some(&vec![voucher]), false);
    (past, findings)
}

/// A name is a run's only where it can be nothing but one folder of its own; what is not is read as foreign.
pub fn folder_name(bytes: &[u8]) {
    let name = String::from_utf8_lossy(bytes);
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && name.len() > 24;
    assert!(!past::is_run(&name) || is_plain, "{name:?}");
    if !name.contains('\0') {
        let past = Past::read(CLOSED.dir.path(), &name);
        assert!(past.state == State::Foreign || past::is_run(&name), "{name:?}");
        assert!(past.name.ends_with(past.short_id()));
    }
}
